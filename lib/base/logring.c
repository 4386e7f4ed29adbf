#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/logring.h"

#define COMPONENT_MAX	64
#define CHUNKS_MAX	(LOGRING_BYTES_MAX / LOGRING_CHUNK)

/* A line in a chunk; its id is its place. */
struct line {
	int64_t	 time_ms;
	uint16_t size;		/* of all of it, a multiple of 8 */
	uint16_t prev;		/* size of the line before, 0: the first */
	uint16_t text;		/* where the text begins in data */
	uint8_t	 level;
	char	 data[];	/* component, NUL, text, NUL */
};

struct chunk {
	struct chunk	*next, *prev;
	int64_t		 first;		/* id of the line at start */
	uint16_t	 count;		/* lines ever put here */
	uint16_t	 start;		/* offset of the oldest line kept */
	uint16_t	 used;		/* offset of the end */
	uint16_t	 last;		/* size of the newest line */
	_Alignas(8) uint8_t mem[];
};

#define ROOM	(LOGRING_CHUNK - sizeof(struct chunk))

struct logring {
	struct chunk	*oldest, *newest;
	size_t		 chunks, lines;
	int64_t		 last_id;
	struct logring_follower *followers;
};

/* A place in the ring: a line and its id. */
struct place {
	struct chunk	*chunk;		/* NULL: beyond the end */
	size_t		 off;
	int64_t		 id;
};

_Static_assert(sizeof(struct line) + COMPONENT_MAX + LOG_LINE_MAX + 16 <
    ROOM / 2, "a chunk holds several lines");
_Static_assert(ROOM <= UINT16_MAX, "offsets fit");

struct logring *
logring_create(void)
{
	return calloc(1, sizeof(struct logring));
}

void
logring_destroy(struct logring *r)
{
	struct chunk	*c;

	if (r == NULL)
		return;
	while (r->followers != NULL)
		logring_unfollow(r->followers);
	while ((c = r->oldest) != NULL) {
		r->oldest = c->next;
		free(c);
	}
	free(r);
}

/* -- places ----------------------------------------------------------- */

static const struct line *
line_at(const struct chunk *c, size_t off)
{
	return (const struct line *)(const void *)(c->mem + off);
}

static struct place
place_first(const struct logring *r)
{
	struct place	p = { .chunk = r->oldest, .id = r->last_id + 1 };

	if (p.chunk != NULL) {
		p.off = p.chunk->start;
		p.id = p.chunk->first;
	}
	return p;
}

static void
place_next(struct place *p)
{
	p->off += line_at(p->chunk, p->off)->size;
	p->id++;
	if (p->off < p->chunk->used)
		return;
	p->chunk = p->chunk->next;
	if (p->chunk != NULL)
		p->off = p->chunk->start;
}

/* False: p is the oldest line. */
static bool
place_prev(struct place *p)
{
	if (p->off > p->chunk->start) {
		p->off -= line_at(p->chunk, p->off)->prev;
	} else {
		if (p->chunk->prev == NULL)
			return false;
		p->chunk = p->chunk->prev;
		p->off = (size_t)p->chunk->used - p->chunk->last;
	}
	p->id--;
	return true;
}

/* The oldest line with this id or a later one. */
static struct place
place_find(const struct logring *r, int64_t id)
{
	struct place	p = place_first(r);

	while (p.chunk != NULL && p.chunk->next != NULL &&
	    p.chunk->next->first <= id) {
		p.chunk = p.chunk->next;
		p.off = p.chunk->start;
		p.id = p.chunk->first;
	}
	while (p.chunk != NULL && p.id < id)
		place_next(&p);
	return p;
}

/* -- writing ---------------------------------------------------------- */

static void
drop_chunk(struct logring *r)
{
	struct chunk	*c = r->oldest;

	r->oldest = c->next;
	if (r->oldest != NULL)
		r->oldest->prev = NULL;
	else
		r->newest = NULL;
	r->lines -= c->count;
	r->chunks--;
	free(c);
}

static void
drop_line(struct logring *r)
{
	struct chunk	*c = r->oldest;

	if (c->count == 1) {
		drop_chunk(r);
		return;
	}
	c->start = (uint16_t)(c->start + line_at(c, c->start)->size);
	c->first++;
	c->count--;
	r->lines--;
}

/* A chunk at the end with room for a line, or NULL. */
static struct chunk *
make_room(struct logring *r, size_t size)
{
	struct chunk	*c = r->newest;

	if (c != NULL && ROOM - c->used >= size)
		return c;
	if (r->chunks == CHUNKS_MAX)
		drop_chunk(r);
	c = malloc(LOGRING_CHUNK);
	if (c == NULL && r->chunks > 1) {
		drop_chunk(r);
		c = malloc(LOGRING_CHUNK);
	}
	if (c == NULL)
		return NULL;
	*c = (struct chunk){ .first = r->last_id + 1, .prev = r->newest };
	if (r->newest != NULL)
		r->newest->next = c;
	else
		r->oldest = c;
	r->newest = c;
	r->chunks++;
	return c;
}

static void
put(struct chunk *c, const struct line *head, const char *component,
    const char *text, size_t ntext)
{
	struct line	*l = (struct line *)(void *)(c->mem + c->used);
	size_t		 ncomponent = (size_t)head->text - 1;

	*l = *head;
	l->prev = c->last;
	memcpy(l->data, component, ncomponent);
	l->data[ncomponent] = '\0';
	memcpy(l->data + l->text, text, ntext);
	l->data[l->text + ntext] = '\0';
	c->used = (uint16_t)(c->used + l->size);
	c->last = l->size;
	c->count++;
}

/* Not in the middle of a character. */
static size_t
cut_length(const char *text)
{
	size_t	n = strnlen(text, LOG_LINE_MAX + 1);

	if (n <= LOG_LINE_MAX)
		return n;
	for (n = LOG_LINE_MAX; n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80; )
		n--;
	return n;
}

void
logring_add(struct logring *r, int64_t time_ms, enum log_level level,
    const char *component, const char *text)
{
	struct logring_follower	*f;
	struct chunk		*c;
	struct line		 head = { .time_ms = time_ms };
	size_t			 n = cut_length(text);

	head.level = (uint8_t)level;
	head.text = (uint16_t)(strnlen(component, COMPONENT_MAX) + 1);
	head.size = (uint16_t)((offsetof(struct line, data) + head.text + n +
	    1 + 7) / 8 * 8);
	if ((c = make_room(r, head.size)) == NULL)
		return;
	put(c, &head, component, text, n);
	r->last_id++;
	if (++r->lines > LOGRING_ENTRIES_MAX)
		drop_line(r);
	for (f = r->followers; f != NULL; f = f->next)
		f->more(f->arg);
}

void
logring_sink(void *arg, enum log_level level, const char *component,
    const char *text)
{
	struct timespec	ts = { 0, 0 };

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	logring_add(arg, (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000,
	    level, component, text);
}

/* -- reading ---------------------------------------------------------- */

int64_t
logring_newest(const struct logring *r)
{
	return r->last_id;
}

int64_t
logring_oldest(const struct logring *r)
{
	return place_first(r).id;
}

size_t
logring_bytes(const struct logring *r)
{
	return r->chunks * LOGRING_CHUNK;
}

static bool
matches(const struct logring_filter *f, const struct line *l)
{
	if (f->has_level && l->level != (uint8_t)f->level)
		return false;
	return f->component == NULL || f->component[0] == '\0' ||
	    strcmp(f->component, l->data) == 0;
}

int64_t
logring_read(const struct logring *r, const struct logring_filter *f,
    int64_t after, int64_t last, logring_fn *fn, void *arg)
{
	struct logring_entry	 e;
	const struct line	*l;
	struct place		 p;

	if (after >= last || after == INT64_MAX)
		return after;
	p = place_find(r, after + 1);
	for (; p.chunk != NULL && p.id <= last; place_next(&p)) {
		l = line_at(p.chunk, p.off);
		if (!matches(f, l))
			continue;
		e = (struct logring_entry){ p.id, l->time_ms,
		    (enum log_level)l->level, l->data, l->data + l->text };
		if (!fn(arg, &e))
			return p.id - 1;
	}
	return last < r->last_id ? last : r->last_id;
}

size_t
logring_back(const struct logring *r, const struct logring_filter *f,
    int64_t before, size_t n, int64_t *after, bool *more)
{
	struct place	p = { .chunk = r->newest, .id = r->last_id };
	size_t		found = 0;
	bool		any = p.chunk != NULL;

	*more = false;
	*after = r->last_id;
	if (before > 0 && before <= r->last_id)
		*after = before - 1;
	if (!any || n == 0)
		return 0;
	if (*after < logring_oldest(r))
		return 0;
	if (*after < r->last_id)
		p = place_find(r, *after);
	else
		p.off = (size_t)p.chunk->used - p.chunk->last;
	for (; any; any = place_prev(&p)) {
		if (!matches(f, line_at(p.chunk, p.off)))
			continue;
		*after = p.id - 1;
		if (++found == n)
			break;
	}
	*more = found == n && p.id > logring_oldest(r);
	return found;
}

/* -- followers -------------------------------------------------------- */

void
logring_follow(struct logring *r, struct logring_follower *f)
{
	f->next = r->followers;
	f->prevp = &r->followers;
	if (f->next != NULL)
		f->next->prevp = &f->next;
	r->followers = f;
}

void
logring_unfollow(struct logring_follower *f)
{
	if (f->prevp == NULL)
		return;
	*f->prevp = f->next;
	if (f->next != NULL)
		f->next->prevp = f->prevp;
	f->next = NULL;
	f->prevp = NULL;
}

void
logring_end(struct logring *r)
{
	struct logring_follower	*f;

	while ((f = r->followers) != NULL) {
		logring_unfollow(f);
		f->end(f->arg);
	}
}

void
logring_time(int64_t time_ms, char out[LOGRING_TIME_LEN])
{
	time_t		 t = (time_t)(time_ms / 1000);
	struct tm	 tm;
	size_t		 n;

	out[0] = '\0';
	if (gmtime_r(&t, &tm) == NULL)
		return;
	n = strftime(out, LOGRING_TIME_LEN, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(out + n, LOGRING_TIME_LEN - n, ".%03u",
	    (unsigned)(time_ms % 1000) % 1000);
}
