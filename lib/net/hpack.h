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
#define HPACK_LIST_MAX		(16u * 1024)	/* name+value+32 each */
#define HPACK_FIELDS_MAX	100u	/* bounds per-field work */

struct buf;

/* name and value are terminated as well; both may contain any byte. */
struct hpack_field {
	const char	*name, *value;
	size_t		 name_len, value_len;
	bool		 sensitive;	/* never indexed */
	bool		 malformed;	/* decoder: breaks RFC 9113 8.2.1 */
};

struct hpack_entry;

/*
 * A dynamic table: ring of entries over one stretch of text.  Both grow with
 * use; a table nobody has used owns no memory.
 */
struct hpack_table {
	struct hpack_entry *entries;	/* ring */
	size_t		 cap, head, count;
	size_t		 size;		/* RFC 7541 4.1 */
	size_t		 max;		/* current limit */
	size_t		 settings_max;	/* what SETTINGS allow */
	size_t		 lowest;	/* of max since the last block */
	bool		 update_due;	/* a size update has to come first */
	char		*text;		/* names and values, oldest first */
	size_t		 text_cap, text_start, text_end;
	uint32_t	 text_base;	/* position that text[0] stands for */
};

struct hpack_list {
	struct hpack_field fields[HPACK_FIELDS_MAX];
	size_t		 count;
	size_t		 size;		/* RFC 9113 10.5.1 */
	bool		 oversize;
	bool		 too_many;	/* oversize because of FIELDS_MAX */
	struct arena	*arena;		/* borrowed, holds the text */
};

/* max above HPACK_TABLE_DEFAULT counts as that.  0, -ENOMEM. */
int	 hpack_table_init(struct hpack_table *t, size_t max);
void	 hpack_table_finish(struct hpack_table *t);

/*
 * Our SETTINGS_HEADER_TABLE_SIZE (decoder) or the peer's (encoder); never
 * above HPACK_TABLE_DEFAULT.  If it is lowered the next block has to begin
 * with a size update, which the encoder writes and the decoder insists on.
 */
void	 hpack_table_limit(struct hpack_table *t, size_t settings_max);

/* Empty list; its text will be in arena, which the caller resets. */
void	 hpack_list_init(struct hpack_list *list, struct arena *arena);

/*
 * Decodes one whole header block into list.  Text of the static table is not
 * copied, the rest goes to the arena: HPACK_ARENA_MAX is always enough.
 * 0, -EPROTO, or -ENOMEM.
 */
#define HPACK_ARENA_MAX		(64u * 1024)
int	 hpack_decode(struct hpack_table *t, const uint8_t *p, size_t n,
	    struct hpack_list *list);

/*
 * Appends the block for fields.  0; -ENOBUFS or -ENOMEM leave out and the
 * table unchanged.  Room for hpack_encode_bound() bytes always suffices.
 */
int	 hpack_encode(struct hpack_table *t, const struct hpack_field *fields,
	    size_t n, struct buf *out);
size_t	 hpack_encode_bound(const struct hpack_field *fields, size_t n);

#endif
