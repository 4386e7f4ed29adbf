/*
 * hpack - header compression for HTTP/2 (RFC 7541), both directions.
 *
 * No I/O, no clock.  The decoder keeps decoding a block that is over its
 * limits, since the dynamic table has to stay in step, but stores nothing
 * more and reports `oversize`; only a malformed block is an error, and that
 * is a connection error (COMPRESSION_ERROR).
 */
#ifndef NET_HPACK_H
#define NET_HPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HPACK_TABLE_DEFAULT	4096u	/* RFC 9113 6.5.2 */
#define HPACK_LIST_MAX		(16u * 1024)	/* name+value+32 each; two tokens fit */
#define HPACK_FIELDS_MAX	100u	/* bounds per-field work */

struct buf;

/* name and value are terminated as well; both may contain any byte. */
struct hpack_field {
	const char	*name, *value;
	size_t		 name_len, value_len;
	bool		 sensitive;	/* never indexed */
};

struct hpack_entry;

/* A dynamic table: ring of entries over one byte arena. */
struct hpack_table {
	struct hpack_entry *entries;	/* ring */
	size_t		 cap, head, count;
	size_t		 size;		/* RFC 7541 4.1 */
	size_t		 max;		/* current limit */
	size_t		 settings_max;	/* what SETTINGS allow */
};

struct hpack_list {
	struct hpack_field fields[HPACK_FIELDS_MAX];
	size_t		 count;
	size_t		 size;		/* RFC 9113 10.5.1 */
	bool		 oversize;
	struct arena	*arena;		/* borrowed, holds the text */
};

int	 hpack_table_init(struct hpack_table *t, size_t max);	/* 0, -ENOMEM */
void	 hpack_table_finish(struct hpack_table *t);

/* Our SETTINGS_HEADER_TABLE_SIZE (decoder) or the peer's (encoder). */
void	 hpack_table_limit(struct hpack_table *t, size_t settings_max);

/*
 * Decodes one whole header block into list (caller resets count, size,
 * oversize and the arena).  0, -EPROTO, or -ENOMEM.
 */
int	 hpack_decode(struct hpack_table *t, const uint8_t *p, size_t n,
	    struct hpack_list *list);

/* Appends the block for fields; -ENOBUFS leaves out unchanged. */
int	 hpack_encode(struct hpack_table *t, const struct hpack_field *fields,
	    size_t n, struct buf *out);

#endif
