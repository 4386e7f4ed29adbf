/*
 * hpack_table - the static and the dynamic table of RFC 7541 section 2.3,
 * private to hpack.
 */
#ifndef NET_HPACK_TABLE_H
#define NET_HPACK_TABLE_H

#include "net/hpack.h"

#define HPACK_STATIC_COUNT	61u
#define HPACK_ENTRY_OVERHEAD	32u		/* RFC 7541 4.1 */

/* Text is at position pos: name, then value, not terminated. */
struct hpack_entry {
	uint32_t	 pos;
	uint16_t	 name_len, value_len;
	bool		 malformed;
};

/* The field at a wire index, 1..; false if there is none.  The text of a
 * dynamic one is not terminated and valid until the table changes. */
bool	 hpack_lookup(const struct hpack_table *t, size_t index,
	    struct hpack_field *f);

/*
 * Best index for f: *whole says whether the value matches too; 0 if not even
 * the name is there.
 */
size_t	 hpack_find(const struct hpack_table *t, const struct hpack_field *f,
	    bool *whole);

/* Evicts down to max. */
void	 hpack_table_resize(struct hpack_table *t, size_t max);

/*
 * RFC 7541 4.4: evicts what has to go.  A field larger than the table empties
 * it and is not stored.  f is not text of the table.  0, or -ENOMEM, and then
 * nothing has changed.
 */
int	 hpack_insert(struct hpack_table *t, const struct hpack_field *f);

#endif
