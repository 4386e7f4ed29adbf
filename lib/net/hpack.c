#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/hpack_huffman.h"
#include "net/hpack_table.h"

/* First bits of a representation, RFC 7541 section 6. */
#define INDEXED		0x80u	/* 7 bits of index follow */
#define INCREMENTAL	0x40u	/* 6 */
#define SIZE_UPDATE	0x20u	/* 5 bits of size follow */
#define NEVER_INDEXED	0x10u	/* 4 */
#define NOT_INDEXED	0x00u	/* 4 */
#define HUFFMAN		0x80u	/* in front of a string: 7 bits of length */

/* No length or index we accept needs more; the rest is an attack. */
#define INT_SHIFT_MAX	21u

/* Index and two lengths, at their longest. */
#define FIELD_BOUND	20u
#define UPDATES_BOUND	16u

struct decoder {
	struct hpack_table	*t;
	struct hpack_list	*list;
	const uint8_t		*p, *end;
	char			*scratch;	/* text nobody wants to see */
};

/* A string as it lies in the block. */
struct wire_text {
	const uint8_t	*p;
	size_t		 n;
	bool		 huffman;
};

void
hpack_list_init(struct hpack_list *list, struct arena *arena)
{
	list->count = list->size = 0;
	list->oversize = list->too_many = false;
	list->arena = arena;
}

/* At least one byte is there. */
static int
read_int(struct decoder *d, unsigned prefix, size_t *v)
{
	size_t		max = (1u << prefix) - 1, n;
	unsigned	shift;
	uint8_t		b;

	n = *d->p++ & max;
	if (n == max) {
		for (shift = 0; ; shift += 7) {
			if (d->p == d->end || shift > INT_SHIFT_MAX)
				return -EPROTO;
			b = *d->p++;
			n += (size_t)(b & 0x7f) << shift;
			if ((b & 0x80) == 0)
				break;
		}
	}
	*v = n;
	return 0;
}

static int
read_text(struct decoder *d, struct wire_text *x)
{
	int	r;

	if (d->p == d->end)
		return -EPROTO;
	x->huffman = (*d->p & HUFFMAN) != 0;
	if ((r = read_int(d, 7, &x->n)) < 0)
		return r;
	if (x->n > (size_t)(d->end - d->p))
		return -EPROTO;
	x->p = d->p;
	d->p += x->n;
	return 0;
}

static size_t
text_bound(const struct wire_text *x, size_t cap)
{
	size_t	n = x->huffman ? HPACK_HUFFMAN_BOUND(x->n) : x->n;

	return n < cap ? n : cap;
}

/* At most cap bytes to out; *len is the whole length all the same. */
static int
decode_text(const struct wire_text *x, char *out, size_t cap, size_t *len)
{
	if (x->huffman)
		return hpack_huffman_decode(x->p, x->n, out, cap, len);
	if (x->n > 0)
		memcpy(out, x->p, x->n < cap ? x->n : cap);
	*len = x->n;
	return 0;
}

/* RFC 9113 8.2.1; a colon may only begin a name. */
static bool
name_malformed(const char *p, size_t n)
{
	size_t	i;
	uint8_t	c;

	for (i = 0; i < n; i++) {
		c = (uint8_t)p[i];
		if (c <= ' ' || c >= 0x7f || (c >= 'A' && c <= 'Z') ||
		    (c == ':' && i > 0))
			return true;
	}
	return n == 0;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
value_malformed(const char *p, size_t n)
{
	size_t	i;

	if (n > 0 && (is_blank(p[0]) || is_blank(p[n - 1])))
		return true;
	for (i = 0; i < n; i++)
		if (p[i] == '\0' || p[i] == '\r' || p[i] == '\n')
			return true;
	return false;
}

/* Counts f; false if it is not to be stored. */
static bool
list_takes(struct hpack_list *list, const struct hpack_field *f)
{
	list->size += f->name_len + f->value_len + HPACK_ENTRY_OVERHEAD;
	if (list->size > HPACK_LIST_MAX)
		list->oversize = true;
	else if (list->count == HPACK_FIELDS_MAX)
		list->oversize = list->too_many = true;
	return !list->oversize;
}

/* Text of the dynamic table may go before the block ends. */
static int
copy_text(struct hpack_list *list, struct hpack_field *f)
{
	char	*p;

	p = arena_alloc(list->arena, f->name_len + f->value_len + 2);
	if (p == NULL)
		return -ENOMEM;
	memcpy(p, f->name, f->name_len);
	p[f->name_len] = '\0';
	f->name = p;
	p += f->name_len + 1;
	memcpy(p, f->value, f->value_len);
	p[f->value_len] = '\0';
	f->value = p;
	return 0;
}

static int
decode_indexed(struct decoder *d)
{
	struct hpack_field	f;
	size_t			index;
	int			r;

	if ((r = read_int(d, 7, &index)) < 0)
		return r;
	if (!hpack_lookup(d->t, index, &f))
		return -EPROTO;
	if (!list_takes(d->list, &f))
		return 0;
	if (index > HPACK_STATIC_COUNT && (r = copy_text(d->list, &f)) < 0)
		return r;
	d->list->fields[d->list->count++] = f;
	return 0;
}

/*
 * Memory for n bytes of text.  Once the list is over its limit all that text
 * is for is the table, and one piece of memory serves to the end.
 */
static char *
text_memory(struct decoder *d, size_t n)
{
	if (!d->list->oversize)
		return arena_alloc(d->list->arena, n);
	if (d->scratch == NULL)
		d->scratch = arena_alloc(d->list->arena,
		    2 * (size_t)HPACK_TABLE_DEFAULT + 2);
	return d->scratch;
}

/* What is longer fits neither the list nor the table. */
static size_t
text_cap(const struct decoder *d)
{
	size_t	room = 0;

	if (!d->list->oversize)
		room = HPACK_LIST_MAX - d->list->size;
	return room > d->t->max ? room : d->t->max;
}

/* Decodes name (unless f has one) and value into fresh memory. */
static int
literal_text(struct decoder *d, struct hpack_field *f,
    const struct wire_text *name, const struct wire_text *value)
{
	size_t	 cap = text_cap(d), nb, vb;
	bool	 known = f->name != NULL;
	char	*p;
	int	 r;

	nb = known ? f->name_len : text_bound(name, cap);
	vb = text_bound(value, cap);
	if ((p = text_memory(d, nb + vb + 2)) == NULL)
		return -ENOMEM;
	if (known)
		memcpy(p, f->name, nb);
	else if ((r = decode_text(name, p, nb, &f->name_len)) < 0)
		return r;
	f->name = p;
	p += f->name_len < nb ? f->name_len : nb;
	*p++ = '\0';
	if ((r = decode_text(value, p, vb, &f->value_len)) < 0)
		return r;
	f->value = p;
	p[f->value_len < vb ? f->value_len : vb] = '\0';
	if (f->name_len <= nb && f->value_len <= vb)
		f->malformed = name_malformed(f->name, f->name_len) ||
		    value_malformed(f->value, f->value_len);
	return 0;
}

static int
decode_literal(struct decoder *d, unsigned prefix, bool index, bool never)
{
	struct hpack_field	f = { .name = NULL };
	struct wire_text	name = { .n = 0 }, value;
	size_t			at;
	int			r;

	if ((r = read_int(d, prefix, &at)) < 0)
		return r;
	if (at == 0) {
		if ((r = read_text(d, &name)) < 0)
			return r;
	} else if (!hpack_lookup(d->t, at, &f)) {
		return -EPROTO;
	}
	if ((r = read_text(d, &value)) < 0 ||
	    (r = literal_text(d, &f, &name, &value)) < 0)
		return r;
	f.sensitive = never;
	if (index && (r = hpack_insert(d->t, &f)) < 0)
		return r;
	if (list_takes(d->list, &f))
		d->list->fields[d->list->count++] = f;
	return 0;
}

static int
decode_update(struct decoder *d)
{
	size_t	max;
	int	r;

	if ((r = read_int(d, 5, &max)) < 0)
		return r;
	if (max > d->t->settings_max)
		return -EPROTO;
	hpack_table_resize(d->t, max);
	d->t->update_due = false;
	return 0;
}

static int
decode_field(struct decoder *d)
{
	uint8_t	b = *d->p;

	if (b & INDEXED)
		return decode_indexed(d);
	if (b & INCREMENTAL)
		return decode_literal(d, 6, true, false);
	return decode_literal(d, 4, false, (b & NEVER_INDEXED) != 0);
}

int
hpack_decode(struct hpack_table *t, const uint8_t *p, size_t n,
    struct hpack_list *list)
{
	struct decoder	d = { .t = t, .list = list, .p = p, .end = p + n };
	int		r;

	/* Size updates come before the first field (RFC 7541 4.2). */
	while (d.p < d.end && (*d.p & 0xe0) == SIZE_UPDATE)
		if ((r = decode_update(&d)) < 0)
			return r;
	if (t->update_due)
		return -EPROTO;
	while (d.p < d.end) {
		if ((*d.p & 0xe0) == SIZE_UPDATE)
			return -EPROTO;
		if ((r = decode_field(&d)) < 0)
			return r;
	}
	return 0;
}

static uint8_t *
put_int(uint8_t *out, unsigned first, unsigned prefix, size_t v)
{
	size_t	max = (1u << prefix) - 1;

	if (v < max) {
		*out++ = (uint8_t)(first | v);
		return out;
	}
	*out++ = (uint8_t)(first | max);
	for (v -= max; v >= 0x80; v >>= 7)
		*out++ = (uint8_t)(v | 0x80);
	*out++ = (uint8_t)v;
	return out;
}

static uint8_t *
put_text(uint8_t *out, const char *p, size_t n)
{
	size_t	coded = hpack_huffman_length(p, n);

	if (coded < n) {
		out = put_int(out, HUFFMAN, 7, coded);
		return hpack_huffman_encode(p, n, out);
	}
	out = put_int(out, 0, 7, n);
	if (n > 0)
		memcpy(out, p, n);
	return out + n;
}

/* A value that hardly ever comes twice would only push others out. */
static bool
worth_indexing(const struct hpack_table *t, const struct hpack_field *f)
{
	static const struct {
		const char	*name;
		size_t		 len;
	} changing[] = {
		{ "content-length", 14 },
		{ "date", 4 },
		{ "grpc-message", 12 },
		{ "grpc-status-details-bin", 23 },
		{ "grpc-timeout", 12 },
	};
	size_t	i;

	if (f->name_len + f->value_len + HPACK_ENTRY_OVERHEAD > t->max / 2)
		return false;
	for (i = 0; i < ARRAY_LEN(changing); i++)
		if (f->name_len == changing[i].len &&
		    memcmp(f->name, changing[i].name, f->name_len) == 0)
			return false;
	return true;
}

static uint8_t *
put_field(struct hpack_table *t, const struct hpack_field *f, uint8_t *out)
{
	bool	whole;
	size_t	at = hpack_find(t, f, &whole);

	if (f->sensitive)
		out = put_int(out, NEVER_INDEXED, 4, at);
	else if (whole)
		return put_int(out, INDEXED, 7, at);
	else if (worth_indexing(t, f) && hpack_insert(t, f) == 0)
		out = put_int(out, INCREMENTAL, 6, at);
	else
		out = put_int(out, NOT_INDEXED, 4, at);
	if (at == 0)
		out = put_text(out, f->name, f->name_len);
	return put_text(out, f->value, f->value_len);
}

/* RFC 7541 4.2: the smallest size in between has to be told as well. */
static uint8_t *
put_updates(struct hpack_table *t, uint8_t *out)
{
	if (t->max < t->settings_max) {
		t->max = t->settings_max;
		t->update_due = true;
	}
	if (!t->update_due)
		return out;
	if (t->lowest < t->max)
		out = put_int(out, SIZE_UPDATE, 5, t->lowest);
	out = put_int(out, SIZE_UPDATE, 5, t->max);
	t->lowest = t->max;
	t->update_due = false;
	return out;
}

size_t
hpack_encode_bound(const struct hpack_field *fields, size_t n)
{
	size_t	bound = UPDATES_BOUND, i;

	for (i = 0; i < n; i++)
		bound += fields[i].name_len + fields[i].value_len +
		    FIELD_BOUND;
	return bound;
}

int
hpack_encode(struct hpack_table *t, const struct hpack_field *fields,
    size_t n, struct buf *out)
{
	uint8_t	*start, *p;
	size_t	 i;
	int	 r;

	r = buf_reserve(out, hpack_encode_bound(fields, n), &start);
	if (r < 0)
		return r;
	p = put_updates(t, start);
	for (i = 0; i < n; i++)
		p = put_field(t, &fields[i], p);
	buf_commit(out, (size_t)(p - start));
	return 0;
}
