/*
 * Header blocks.  Input: table size, then blocks, each behind its length in
 * two bytes.  What is decoded is encoded again and has to come back the same.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/hpack.h"

struct coder {
	struct hpack_table	in, out, back;
	struct arena		arena, arena2;
	struct hpack_list	list, list2;
	struct buf		buf;
};

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
check_table(const struct hpack_table *t)
{
	assert(t->size <= t->max && t->max <= HPACK_TABLE_DEFAULT);
	assert(t->count <= t->cap && t->text_start <= t->text_end &&
	    t->text_end <= t->text_cap);
	assert(t->size == t->count * 32 + t->text_end - t->text_start);
}

static void
round_trip(struct coder *c)
{
	size_t	i;

	buf_clear(&c->buf);
	if (hpack_encode(&c->out, c->list.fields, c->list.count, &c->buf) < 0)
		abort();
	arena_reset(&c->arena2);
	hpack_list_init(&c->list2, &c->arena2);
	if (hpack_decode(&c->back, buf_head(&c->buf), c->buf.len, &c->list2) <
	    0)
		abort();
	check_table(&c->out);
	assert(c->out.size == c->back.size);
	assert(c->list2.count == c->list.count && !c->list2.oversize);
	for (i = 0; i < c->list.count; i++) {
		const struct hpack_field	*f = &c->list.fields[i];
		const struct hpack_field	*g = &c->list2.fields[i];

		assert(f->name_len == g->name_len &&
		    f->value_len == g->value_len &&
		    f->malformed == g->malformed &&
		    f->sensitive == g->sensitive);
		assert(memcmp(f->name, g->name, f->name_len) == 0 &&
		    memcmp(f->value, g->value, f->value_len) == 0);
	}
}

/* From memory of just that size. */
static int
block(struct coder *c, const uint8_t *p, size_t n)
{
	uint8_t	*copy = malloc(n > 0 ? n : 1);
	int	 r;

	assert(copy != NULL);
	memcpy(copy, p, n);
	arena_reset(&c->arena);
	hpack_list_init(&c->list, &c->arena);
	r = hpack_decode(&c->in, copy, n, &c->list);
	free(copy);
	check_table(&c->in);
	if (r == 0 && !c->list.oversize)
		round_trip(c);
	return r;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct coder	*c;
	size_t		 max, len;

	if (n < 1 || (c = calloc(1, sizeof *c)) == NULL)
		return 0;
	max = (size_t)data[0] * 16;
	hpack_table_init(&c->in, max);
	hpack_table_init(&c->out, max);
	hpack_table_init(&c->back, max);
	arena_init(&c->arena, HPACK_ARENA_MAX);
	arena_init(&c->arena2, HPACK_ARENA_MAX);
	buf_init(&c->buf, 256 * 1024);
	for (data++, n--; n >= 2; data += len, n -= len) {
		len = be16_read(data);
		data += 2;
		n -= 2;
		len = len < n ? len : n;
		if (block(c, data, len) < 0)
			break;
	}
	hpack_table_finish(&c->in);
	hpack_table_finish(&c->out);
	hpack_table_finish(&c->back);
	arena_finish(&c->arena);
	arena_finish(&c->arena2);
	buf_finish(&c->buf);
	free(c);
	return 0;
}
