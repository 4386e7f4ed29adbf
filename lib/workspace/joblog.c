#include "workspace/joblog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MIN	512u
#define CHUNK_MAX	(32u * 1024)

/* Events one behind the other: a header, then its bytes. */
struct header {
	int64_t	 time_ms;
	uint32_t n;
	uint32_t type;
};

struct joblog_chunk {
	struct joblog_chunk *next;
	uint64_t seq;			/* of its first event */
	size_t	 len, cap;
	uint8_t	 mem[];
};

void
joblog_init(struct joblog *l)
{
	*l = (struct joblog){ .first = 1, .next = 1 };
}

static void
drop_chunk(struct joblog *l)
{
	struct joblog_chunk	*c = l->oldest;

	l->oldest = c->next;
	if (l->oldest == NULL)
		l->newest = NULL;
	l->head = 0;
	l->memory -= sizeof *c + c->cap;
	free(c);
}

void
joblog_finish(struct joblog *l)
{
	while (l->oldest != NULL)
		drop_chunk(l);
	joblog_init(l);
}

static void
sink(struct joblog *l, const void *p, size_t n)
{
	if (l->sink != NULL && n > 0)
		l->sink(l->sink_arg, p, n);
}

static struct header
header_at(const struct joblog_chunk *c, size_t at)
{
	struct header	h;

	memcpy(&h, c->mem + at, sizeof h);
	return h;
}

/* -- room ------------------------------------------------------------------ */

static void
drop_event(struct joblog *l)
{
	struct header	h = header_at(l->oldest, l->head);

	l->head += sizeof h + h.n;
	l->bytes -= h.n;
	l->first++;
	if (l->head == l->oldest->len && l->oldest != l->newest)
		drop_chunk(l);
}

static void
drop_oldest(struct joblog *l)
{
	struct joblog_chunk	*c = l->oldest;

	while (l->oldest == c && l->first < l->next && l->head < c->len)
		drop_event(l);
	if (l->oldest == c)
		drop_chunk(l);
}

/* A new chunk, the larger the more there is already; or what can be had. */
static struct joblog_chunk *
add_chunk(struct joblog *l, size_t need)
{
	struct joblog_chunk	*c;
	size_t			 cap = CHUNK_MIN;

	while (cap < CHUNK_MAX && cap < l->memory)
		cap *= 2;
	if (cap < need)
		cap = need;
	while ((c = malloc(sizeof *c + cap)) == NULL) {
		if (l->oldest == NULL)
			return NULL;
		drop_oldest(l);
	}
	*c = (struct joblog_chunk){ .seq = l->next, .cap = cap };
	l->memory += sizeof *c + cap;
	if (l->newest != NULL)
		l->newest->next = c;
	else
		l->oldest = c;
	l->newest = c;
	return c;
}

/*
 * Lost, and its number says so.  The end is not: it is all there is then, and
 * needs no memory.
 */
static void
lose(struct joblog *l, const struct header *h)
{
	l->first = ++l->next;
	if (h->type != JOBLOG_EXIT)
		return;
	l->first--;
	l->end_ms = h->time_ms;
}

/* One event, of two parts. */
static void
append(struct joblog *l, const struct header *h, const void *a, size_t na,
    const void *b)
{
	struct joblog_chunk	*c;
	uint8_t			*to;

	l->given += h->n;
	while (l->first < l->next && (l->bytes + h->n > JOBLOG_BYTES_MAX ||
	    l->next - l->first >= JOBLOG_EVENTS_MAX))
		drop_event(l);
	c = l->newest;
	if (c == NULL || c->cap - c->len < sizeof *h + h->n)
		c = add_chunk(l, sizeof *h + h->n);
	if (c == NULL) {
		lose(l, h);
		return;
	}
	to = c->mem + c->len;
	memcpy(to, h, sizeof *h);
	if (na > 0)
		memcpy(to + sizeof *h, a, na);
	if (h->n > na)
		memcpy(to + sizeof *h + na, b, h->n - na);
	c->len += sizeof *h + h->n;
	l->bytes += h->n;
	l->next++;
}

/* -- output ---------------------------------------------------------------- */

/* Byte i, counted from 1 at the end, of two parts. */
static uint8_t
from_end(const void *a, size_t na, const uint8_t *b, size_t nb, size_t i)
{
	return i <= nb ? b[nb - i] : ((const uint8_t *)a)[na + nb - i];
}

/*
 * Bytes at the end that begin a character and lack the rest of it: 0 to 3.
 * Close enough: what is held back in error comes with the next bytes.
 */
static size_t
unfinished(const void *a, size_t na, const uint8_t *b, size_t nb)
{
	size_t	i, want;
	uint8_t	ch;

	for (i = 1; i <= 3 && i <= na + nb; i++) {
		if (((ch = from_end(a, na, b, nb, i)) & 0xc0) == 0x80)
			continue;
		want = ch >= 0xf0 ? 4 : ch >= 0xe0 ? 3 : ch >= 0xc2 ? 2 : 1;
		return ch < 0xf5 && want > i ? i : 0;
	}
	return 0;
}

/* What was held back comes first; it is less than a character. */
static void
put_output(struct joblog *l, struct header *h, const uint8_t *p, size_t n)
{
	struct partial	*held = &l->partial[h->type == JOBLOG_STDERR];
	struct partial	 before = *held;
	const uint8_t	*begin = p;
	uint64_t	 given = l->given;
	size_t		 take, keep = 0;

	while (n > keep) {
		take = JOBLOG_PIECE_MAX - held->n;
		if (take > n)
			take = n;
		keep = unfinished(held->p, held->n, p, take);
		if (keep == held->n + take)
			break;			/* all of it */
		h->n = (uint32_t)(held->n + take - keep);
		append(l, h, held->p, held->n, p);
		held->n = 0;
		p += take - keep;
		n -= take - keep;
	}
	if (l->given > given)
		sink(l, before.p, before.n);
	sink(l, begin, (size_t)(p - begin));
	memcpy(held->p + held->n, p, n);
	held->n += n;
}

void
joblog_flush(struct joblog *l, int64_t time_ms)
{
	struct header	h = { .time_ms = time_ms };
	unsigned	s;

	for (s = 0; s < 2; s++) {
		if (l->partial[s].n == 0)
			continue;
		h.type = s == 0 ? JOBLOG_STDOUT : JOBLOG_STDERR;
		h.n = (uint32_t)l->partial[s].n;
		append(l, &h, l->partial[s].p, h.n, NULL);
		sink(l, l->partial[s].p, h.n);
		l->partial[s].n = 0;
	}
}

void
joblog_put(struct joblog *l, enum joblog_type type, int64_t time_ms,
    const void *p, size_t n)
{
	struct header	h = { .time_ms = time_ms, .type = type };

	assert(!l->ended);
	if (type == JOBLOG_STDOUT || type == JOBLOG_STDERR) {
		l->total += n;
		put_output(l, &h, p, n);
		return;
	}
	if (type == JOBLOG_EXIT) {
		joblog_flush(l, time_ms);
		l->ended = true;
	}
	append(l, &h, NULL, 0, NULL);
}

void
joblog_trim(struct joblog *l)
{
	struct joblog_chunk	*c = l->newest, *smaller, **at = &l->oldest;

	if (c == NULL || c->len == c->cap)
		return;
	while (*at != c)
		at = &(*at)->next;
	if ((smaller = realloc(c, sizeof *c + c->len)) == NULL)
		return;
	l->memory -= smaller->cap - smaller->len;
	smaller->cap = smaller->len;
	*at = l->newest = smaller;
}

void
joblog_shrink(struct joblog *l, size_t max)
{
	while (l->memory > max && l->oldest != l->newest)
		drop_oldest(l);
}

/* -- readers --------------------------------------------------------------- */

uint64_t
joblog_newest(const struct joblog *l)
{
	return l->next - 1;
}

uint64_t
joblog_offset(const struct joblog *l)
{
	return l->given - l->bytes;
}

/* Finds event seq, which is kept: its chunk and place. */
static const struct joblog_chunk *
find(const struct joblog *l, uint64_t seq, size_t *at)
{
	const struct joblog_chunk	*c = l->oldest;
	uint64_t			 n = l->first;
	struct header			 h;

	*at = l->head;
	while (c->next != NULL && c->next->seq <= seq) {
		c = c->next;
		n = c->seq;
		*at = 0;
	}
	for (; n < seq; n++) {
		h = header_at(c, *at);
		*at += sizeof h + h.n;
	}
	return c;
}

uint64_t
joblog_read(const struct joblog *l, uint64_t seq, joblog_fn *fn, void *arg)
{
	const struct joblog_chunk	*c;
	struct joblog_event		 e;
	struct header			 h;
	size_t				 at;

	if (seq < l->first)
		seq = l->first;
	if (seq >= l->next)
		return seq;
	if (l->oldest == NULL) {
		e = (struct joblog_event){ .seq = seq, .time_ms = l->end_ms,
		    .type = JOBLOG_EXIT };
		return fn(arg, &e) ? seq + 1 : seq;
	}
	for (c = find(l, seq, &at); seq < l->next; seq++) {
		if (at == c->len) {
			c = c->next;
			at = 0;
		}
		h = header_at(c, at);
		e = (struct joblog_event){ .seq = seq, .time_ms = h.time_ms,
		    .type = (enum joblog_type)h.type,
		    .p = c->mem + at + sizeof h, .n = h.n };
		if (!fn(arg, &e))
			break;
		at += sizeof h + h.n;
	}
	return seq;
}

struct counting {
	unsigned	 types;
	uint64_t	 ends;		/* of lines, seen */
	uint64_t	 wanted;	/* stop after this one */
	bool		 open;		/* the last line has no end yet */
	uint64_t	 seq;
	size_t		 skip;
};

static bool
count_ends(void *arg, const struct joblog_event *e)
{
	struct counting	*c = arg;
	const uint8_t	*p = e->p, *end = e->p + e->n;

	if ((c->types & 1u << e->type) == 0)
		return true;
	while (c->ends < c->wanted &&
	    (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		p++;
		c->ends++;
	}
	c->open = e->n > 0 && end[-1] != '\n';
	if (c->ends < c->wanted)
		return true;
	/* The next one, if nothing is left of this: an event is never empty. */
	c->seq = p == end ? e->seq + 1 : e->seq;
	c->skip = p == end ? 0 : (size_t)(p - e->p);
	return false;
}

bool
joblog_tail(const struct joblog *l, unsigned types, uint64_t lines,
    uint64_t *seq, size_t *skip)
{
	struct counting	all = { .types = types, .wanted = UINT64_MAX };
	struct counting	c = { .types = types };
	uint64_t	total;

	*seq = l->first;
	*skip = 0;
	joblog_read(l, l->first, count_ends, &all);
	total = all.ends + all.open;
	if (lines == 0) {
		*seq = l->next;
		return true;
	}
	if (total <= lines)
		return total == lines || l->first == 1;
	c.wanted = total - lines;
	joblog_read(l, l->first, count_ends, &c);
	*seq = c.seq;
	*skip = c.skip;
	return true;
}
