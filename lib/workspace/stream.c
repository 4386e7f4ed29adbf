#include "workspace/stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "loop/loop.h"

/* Live streams in order of creation; ended ones in order of their end. */
struct ended {
	struct stream_record	 record;
	uint64_t		 gone_ms;	/* when it is dropped */
	struct ended		*next;
};

#define KINDS	(STREAM_UNIX_SOCKET + 1)

struct streams {
	struct loop		*loop;		/* borrowed */
	struct stream_totals	 totals[KINDS];	/* bytes: of ended ones */
	struct stream		*live, **live_tail;
	struct ended		*ended, **ended_tail;
	size_t			 nended;
	size_t			 input;
	struct loop_timer	 expiry;
};

static const char *const kind_names[] = {
	[STREAM_EXEC] = "exec",
	[STREAM_PORT_FORWARD] = "port-forward",
	[STREAM_SHELL] = "shell",
	[STREAM_UNIX_SOCKET] = "unix-socket",
};

const char *
stream_kind_name(enum stream_kind k)
{
	return kind_names[k];
}

bool
stream_id_valid(const char *id)
{
	size_t	n;

	for (n = 0; id[n] != '\0'; n++)
		if (n == STREAM_ID_MAX || id[n] <= ' ' || id[n] > '~' ||
		    id[n] == '/')
			return false;
	return n > 0 && strcmp(id, ".") != 0 && strcmp(id, "..") != 0;
}

static void
drop_oldest(struct streams *s)
{
	struct ended	*e = s->ended;

	s->ended = e->next;
	if (s->ended == NULL)
		s->ended_tail = &s->ended;
	s->nended--;
	free(e);
}

static void
on_expiry(void *arg)
{
	struct streams	*s = arg;

	while (s->ended != NULL && s->ended->gone_ms <= loop_now(s->loop))
		drop_oldest(s);
	if (s->ended != NULL)
		loop_timer_set(s->loop, &s->expiry, s->ended->gone_ms);
}

struct streams *
streams_create(struct loop *l)
{
	struct streams	*s;

	if ((s = calloc(1, sizeof *s)) == NULL)
		return NULL;
	s->loop = l;
	s->live_tail = &s->live;
	s->ended_tail = &s->ended;
	s->expiry.fn = on_expiry;
	s->expiry.arg = s;
	return s;
}

void
streams_destroy(struct streams *s)
{
	struct stream	*st;

	if (s == NULL)
		return;
	for (st = s->live; st != NULL; st = st->next)
		st->owner = NULL;
	while (s->ended != NULL)
		drop_oldest(s);
	loop_timer_clear(&s->expiry);
	free(s);
}

size_t *
streams_input(struct streams *s)
{
	return &s->input;
}

void
stream_add(struct streams *s, struct stream *st)
{
	st->owner = s;
	st->created = loop_wall();
	st->next = NULL;
	st->prevp = s->live_tail;
	*s->live_tail = st;
	s->live_tail = &st->next;
	s->totals[st->kind].live++;
	s->totals[st->kind].started++;
}

bool
streams_live(const struct streams *s, enum stream_kind k, const char *id)
{
	const struct stream	*st;

	for (st = s->live; st != NULL; st = st->next)
		if (st->kind == k && strcmp(st->id, id) == 0)
			return true;
	return false;
}

void
streams_totals(const struct streams *s, enum stream_kind k,
    struct stream_totals *t)
{
	const struct stream	*st;

	*t = s->totals[k];
	for (st = s->live; st != NULL; st = st->next) {
		if (st->kind != k)
			continue;
		t->bytes_in += st->bytes_in;
		t->bytes_out += st->bytes_out;
	}
}

static void
fill_record(struct stream_record *r, const struct stream *st, uint64_t now)
{
	memcpy(r->id, st->id, sizeof r->id);
	memcpy(r->params, st->params, sizeof r->params);
	r->kind = st->kind;
	r->bytes_in = st->bytes_in;
	r->bytes_out = st->bytes_out;
	r->created = st->created;
	r->deleted = 0;
	r->detached = st->detached;
	r->ttl_left_ms = -1;
	if (st->detached && st->expires_ms != 0)
		r->ttl_left_ms = st->expires_ms > now ?
		    (int64_t)(st->expires_ms - now) : 0;
}

void
stream_end(struct stream *st)
{
	struct streams	*s = st->owner;
	struct ended	*e;

	if (s == NULL)
		return;
	*st->prevp = st->next;
	if (st->next != NULL)
		st->next->prevp = st->prevp;
	else
		s->live_tail = st->prevp;
	st->owner = NULL;
	s->totals[st->kind].live--;
	s->totals[st->kind].bytes_in += st->bytes_in;
	s->totals[st->kind].bytes_out += st->bytes_out;

	/* Out of memory costs the record of the past, nothing else. */
	if ((e = calloc(1, sizeof *e)) == NULL)
		return;
	fill_record(&e->record, st, 0);
	e->record.detached = false;
	e->record.ttl_left_ms = -1;
	e->record.deleted = loop_wall();
	e->gone_ms = loop_now(s->loop) + STREAM_KEEP_MS;
	*s->ended_tail = e;
	s->ended_tail = &e->next;
	if (++s->nended > STREAM_ENDED_MAX)
		drop_oldest(s);
	loop_timer_set(s->loop, &s->expiry, s->ended->gone_ms);
}

void
streams_each(struct streams *s, stream_fn *fn, void *arg)
{
	struct stream_record	 r;
	const struct stream	*st;
	const struct ended	*e;

	for (st = s->live; st != NULL; st = st->next) {
		fill_record(&r, st, loop_now(s->loop));
		if (!fn(arg, &r))
			return;
	}
	for (e = s->ended; e != NULL; e = e->next)
		if (!fn(arg, &e->record))
			return;
}
