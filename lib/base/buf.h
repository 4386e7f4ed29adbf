/*
 * buf - byte queue with a hard limit.
 *
 * Zeroed memory is not a valid buf: the limit has to be chosen.  A failed put
 * changes nothing.  Memory is taken as bytes arrive, never because a peer
 * announced a length.  Integers are big-endian, as on every wire we speak.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t	*mem;
	size_t	 off;		/* first unread byte, mem + off */
	size_t	 len;		/* unread bytes */
	size_t	 cap;		/* bytes allocated */
	size_t	 max;		/* len never exceeds this */
};

void	 buf_init(struct buf *b, size_t max);

/* Frees the memory; b may be used again, with the same limit. */
void	 buf_finish(struct buf *b);

/* Like buf_finish, but wipes the bytes first. */
void	 buf_wipe(struct buf *b);

/* Gives the memory back if nothing is queued: idle connections hold none. */
void	 buf_trim(struct buf *b);

size_t	 buf_room(const struct buf *b);		/* max - len */

/* First unread byte; valid until the next put, reserve or drain. */
uint8_t	*buf_head(const struct buf *b);

void	 buf_drain(struct buf *b, size_t n);	/* n <= len, or assert */
void	 buf_clear(struct buf *b);

/* 0, -ENOBUFS at the limit, or -ENOMEM. */
int	 buf_put(struct buf *b, const void *p, size_t n);
int	 buf_put_u8(struct buf *b, uint8_t v);
int	 buf_put_u16(struct buf *b, uint16_t v);
int	 buf_put_u24(struct buf *b, uint32_t v);
int	 buf_put_u32(struct buf *b, uint32_t v);
int	 buf_put_u64(struct buf *b, uint64_t v);

/*
 * Makes n bytes writable behind the unread ones and points *p at them; they
 * count only after buf_commit(b, m) with m <= n.  0, -ENOBUFS or -ENOMEM.
 */
int	 buf_reserve(struct buf *b, size_t n, uint8_t **p);
void	 buf_commit(struct buf *b, size_t n);

/*
 * Moves up to n bytes from the head of src to the tail of dst; what fits.  If
 * that is everything and dst is empty, only memory changes hands.  0 with
 * *moved set (moved may be NULL), or -ENOMEM with nothing moved.
 */
int	 buf_move(struct buf *dst, struct buf *src, size_t n, size_t *moved);

/* 0, or -EAGAIN with nothing taken. */
int	 buf_get(struct buf *b, void *p, size_t n);
int	 buf_get_u8(struct buf *b, uint8_t *v);
int	 buf_get_u16(struct buf *b, uint16_t *v);
int	 buf_get_u24(struct buf *b, uint32_t *v);
int	 buf_get_u32(struct buf *b, uint32_t *v);
int	 buf_get_u64(struct buf *b, uint64_t *v);

/* The same on plain memory, for fixed headers. */
uint16_t be16_read(const uint8_t *p);
uint32_t be24_read(const uint8_t *p);
uint32_t be32_read(const uint8_t *p);
uint64_t be64_read(const uint8_t *p);
void	 be16_write(uint8_t *p, uint16_t v);
void	 be24_write(uint8_t *p, uint32_t v);
void	 be32_write(uint8_t *p, uint32_t v);
void	 be64_write(uint8_t *p, uint64_t v);

#endif
