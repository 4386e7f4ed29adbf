#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

/* Small enough for a header list, large enough to be worth a malloc. */
#define BUF_CAP_MIN	256

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void
buf_finish(struct buf *b)
{
	free(b->mem);
	buf_init(b, b->max);
}

void
buf_wipe(struct buf *b)
{
	/* All of it: drained bytes are still there. */
	secret_wipe(b->mem, b->cap);
	buf_finish(b);
}

void
buf_trim(struct buf *b)
{
	if (b->len == 0)
		buf_finish(b);
}

size_t
buf_room(const struct buf *b)
{
	return b->max - b->len;
}

uint8_t *
buf_head(const struct buf *b)
{
	return b->mem == NULL ? NULL : b->mem + b->off;
}

void
buf_drain(struct buf *b, size_t n)
{
	assert(n <= b->len);
	b->len -= n;
	b->off = b->len == 0 ? 0 : b->off + n;
}

void
buf_clear(struct buf *b)
{
	b->off = b->len = 0;
}

/* Only unread bytes are worth copying, which realloc cannot know. */
static int
grow(struct buf *b, size_t cap)
{
	uint8_t	*mem;

	if (b->off == 0 && b->len > 0) {
		mem = realloc(b->mem, cap);
		if (mem == NULL)
			return -ENOMEM;
	} else {
		mem = malloc(cap);
		if (mem == NULL)
			return -ENOMEM;
		if (b->len > 0)
			memcpy(mem, b->mem + b->off, b->len);
		free(b->mem);
	}
	b->mem = mem;
	b->off = 0;
	b->cap = cap;
	return 0;
}

static size_t
grown_cap(const struct buf *b, size_t need)
{
	size_t	cap = b->cap > 0 ? b->cap : BUF_CAP_MIN;

	if (b->cap > 0)
		cap = cap > b->max / 2 ? b->max : cap * 2;
	while (cap < need)
		cap = cap > b->max / 2 ? b->max : cap * 2;
	return cap < b->max ? cap : b->max;
}

/*
 * Moving the unread bytes down is cheap if as many were drained before;
 * otherwise a queue that stays nearly full would move for every small put.
 */
static bool
worth_moving(const struct buf *b, size_t n)
{
	if (n > b->cap - b->len)
		return false;
	return b->off >= b->len || b->cap >= b->max;
}

static int
make_room(struct buf *b, size_t n)
{
	if (n > b->max - b->len)
		return -ENOBUFS;
	if (n <= b->cap - b->off - b->len)
		return 0;
	if (worth_moving(b, n)) {
		memmove(b->mem, b->mem + b->off, b->len);
		b->off = 0;
		return 0;
	}
	return grow(b, grown_cap(b, b->len + n));
}

int
buf_reserve(struct buf *b, size_t n, uint8_t **p)
{
	int	r;

	if ((r = make_room(b, n)) < 0)
		return r;
	*p = b->mem == NULL ? NULL : b->mem + b->off + b->len;
	return 0;
}

void
buf_commit(struct buf *b, size_t n)
{
	assert(n <= b->cap - b->off - b->len && n <= b->max - b->len);
	b->len += n;
}

int
buf_put(struct buf *b, const void *p, size_t n)
{
	int	r;

	if (n == 0)
		return 0;
	if ((r = make_room(b, n)) < 0)
		return r;
	memcpy(b->mem + b->off + b->len, p, n);
	b->len += n;
	return 0;
}

int
buf_put_u8(struct buf *b, uint8_t v)
{
	return buf_put(b, &v, 1);
}

int
buf_put_u16(struct buf *b, uint16_t v)
{
	uint8_t	w[2];

	be16_write(w, v);
	return buf_put(b, w, sizeof w);
}

int
buf_put_u24(struct buf *b, uint32_t v)
{
	uint8_t	w[3];

	be24_write(w, v);
	return buf_put(b, w, sizeof w);
}

int
buf_put_u32(struct buf *b, uint32_t v)
{
	uint8_t	w[4];

	be32_write(w, v);
	return buf_put(b, w, sizeof w);
}

int
buf_put_u64(struct buf *b, uint64_t v)
{
	uint8_t	w[8];

	be64_write(w, v);
	return buf_put(b, w, sizeof w);
}

/* Everything goes and dst holds nothing: the memory changes hands instead. */
static bool
can_swap(const struct buf *dst, const struct buf *src, size_t n)
{
	return dst->len == 0 && n == src->len && src->cap <= dst->max &&
	    dst->cap <= src->max;
}

static void
swap(struct buf *a, struct buf *b)
{
	struct buf	 t = *a;
	size_t		 amax = a->max, bmax = b->max;

	*a = *b;
	*b = t;
	a->max = amax;
	b->max = bmax;
}

int
buf_move(struct buf *dst, struct buf *src, size_t n, size_t *moved)
{
	int	r;

	assert(dst != src);
	if (n > src->len)
		n = src->len;
	if (n > buf_room(dst))
		n = buf_room(dst);
	if (n > 0 && can_swap(dst, src, n)) {
		swap(dst, src);
	} else if (n > 0) {
		if ((r = buf_put(dst, buf_head(src), n)) < 0)
			return r;
		buf_drain(src, n);
	}
	if (moved != NULL)
		*moved = n;
	return 0;
}

int
buf_get(struct buf *b, void *p, size_t n)
{
	if (n > b->len)
		return -EAGAIN;
	if (n > 0) {
		memcpy(p, b->mem + b->off, n);
		buf_drain(b, n);
	}
	return 0;
}

int
buf_get_u8(struct buf *b, uint8_t *v)
{
	return buf_get(b, v, 1);
}

int
buf_get_u16(struct buf *b, uint16_t *v)
{
	uint8_t	w[2];
	int	r;

	if ((r = buf_get(b, w, sizeof w)) == 0)
		*v = be16_read(w);
	return r;
}

int
buf_get_u24(struct buf *b, uint32_t *v)
{
	uint8_t	w[3];
	int	r;

	if ((r = buf_get(b, w, sizeof w)) == 0)
		*v = be24_read(w);
	return r;
}

int
buf_get_u32(struct buf *b, uint32_t *v)
{
	uint8_t	w[4];
	int	r;

	if ((r = buf_get(b, w, sizeof w)) == 0)
		*v = be32_read(w);
	return r;
}

int
buf_get_u64(struct buf *b, uint64_t *v)
{
	uint8_t	w[8];
	int	r;

	if ((r = buf_get(b, w, sizeof w)) == 0)
		*v = be64_read(w);
	return r;
}

uint16_t
be16_read(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t
be24_read(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

uint32_t
be32_read(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | be24_read(p + 1);
}

uint64_t
be64_read(const uint8_t *p)
{
	return (uint64_t)be32_read(p) << 32 | be32_read(p + 4);
}

void
be16_write(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

void
be24_write(uint8_t *p, uint32_t v)
{
	assert(v <= 0xffffff);
	p[0] = (uint8_t)(v >> 16);
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)v;
}

void
be32_write(uint8_t *p, uint32_t v)
{
	be16_write(p, (uint16_t)(v >> 16));
	be16_write(p + 2, (uint16_t)v);
}

void
be64_write(uint8_t *p, uint64_t v)
{
	be32_write(p, (uint32_t)(v >> 32));
	be32_write(p + 4, (uint32_t)v);
}
