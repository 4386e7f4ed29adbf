#include <stdlib.h>
#include <string.h>

#include "base/ring.h"

#define RING_CAP_MIN	4096

void
ring_init(struct ring *r, size_t max)
{
	*r = (struct ring){ .max = max };
}

void
ring_finish(struct ring *r)
{
	free(r->mem);
	ring_init(r, r->max);
}

size_t
ring_len(const struct ring *r)
{
	return r->len;
}

int
ring_peek(const struct ring *r, size_t off, struct ring_span span[2])
{
	size_t	n, at, first;

	if (off >= r->len)
		return 0;
	n = r->len - off;
	at = r->head + off;		/* at most 2 * cap: no overflow */
	if (at >= r->cap)
		at -= r->cap;
	first = n <= r->cap - at ? n : r->cap - at;
	span[0] = (struct ring_span){ r->mem + at, first };
	if (n == first)
		return 1;
	span[1] = (struct ring_span){ r->mem, n - first };
	return 2;
}

size_t
ring_copy(const struct ring *r, size_t off, void *p, size_t n)
{
	struct ring_span	 span[2];
	int			 i, spans = ring_peek(r, off, span);
	size_t			 take, done = 0;

	for (i = 0; i < spans && done < n; i++) {
		take = span[i].n < n - done ? span[i].n : n - done;
		memcpy((uint8_t *)p + done, span[i].p, take);
		done += take;
	}
	return done;
}

/* To hold `want` bytes, or what can be had. */
static void
grow(struct ring *r, size_t want)
{
	size_t	 cap = r->cap > 0 ? r->cap : RING_CAP_MIN;
	uint8_t	*mem;

	if (want > r->max)
		want = r->max;
	if (want <= r->cap)
		return;
	while (cap < want)
		cap = cap > r->max / 2 ? r->max : cap * 2;
	if (cap > r->max)
		cap = r->max;
	if ((mem = malloc(cap)) == NULL)
		return;
	(void)ring_copy(r, 0, mem, r->len);
	free(r->mem);
	r->mem = mem;
	r->head = 0;
	r->cap = cap;
}

void
ring_put(struct ring *r, const void *p, size_t n)
{
	const uint8_t	*s = p;
	size_t		 at, first;

	if (n == 0)
		return;
	grow(r, n < r->max - r->len ? r->len + n : r->max);
	if (n > r->cap) {
		s += n - r->cap;
		n = r->cap;
	}
	if (n == 0)
		return;
	if (n > r->cap - r->len) {	/* forget the oldest */
		first = n - (r->cap - r->len);
		r->head = (r->head + first) % r->cap;
		r->len -= first;
	}
	at = (r->head + r->len) % r->cap;
	first = n <= r->cap - at ? n : r->cap - at;
	memcpy(r->mem + at, s, first);
	memcpy(r->mem, s + first, n - first);
	r->len += n;
}
