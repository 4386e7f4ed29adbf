/*
 * ring - a history of fixed size that forgets its oldest bytes.
 *
 * Memory is taken as bytes arrive, so a session that says little holds little.
 * Bytes are kept as they came: a reader may start inside an escape sequence or
 * a character.
 */
#ifndef BASE_RING_H
#define BASE_RING_H

#include <stddef.h>
#include <stdint.h>

struct ring {
	uint8_t	*mem;
	size_t	 head;		/* oldest byte, mem + head */
	size_t	 len;
	size_t	 cap;		/* bytes allocated */
	size_t	 max;		/* len never exceeds this */
};

void	 ring_init(struct ring *r, size_t max);

/* Frees the memory; r may be used again, with the same limit. */
void	 ring_finish(struct ring *r);

/*
 * Of more than max bytes the last are kept.  Always succeeds: when memory is
 * out, the history stays as short as what it has.
 */
void	 ring_put(struct ring *r, const void *p, size_t n);
size_t	 ring_len(const struct ring *r);

/*
 * The bytes from offset off on, oldest first, as up to two spans that are valid
 * until the next put.  Returns how many spans: 0, 1 or 2.
 */
struct ring_span {
	const uint8_t	*p;
	size_t		 n;
};
int	 ring_peek(const struct ring *r, size_t off, struct ring_span span[2]);

/* Copies up to n bytes from offset off on; how many it were. */
size_t	 ring_copy(const struct ring *r, size_t off, void *p, size_t n);

#endif
