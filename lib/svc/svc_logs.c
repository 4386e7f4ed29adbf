/*
 * SystemService.GetLogsStream and GetLogsPage: the daemon's own log.
 *
 * A follower is woken by a line, at the end of the turn that logged it, and
 * takes what its stream has room for; one that reads slowly goes on with what
 * the ring still holds.  Sending logs nothing, so nobody follows himself.
 * Source: spec/grpc.md 3.11; SY-06, SY-07, L13.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/logring.h"
#include "base/mem.h"
#include "base/str.h"
#include "gen/system.pb-c.h"
#include "loop/loop.h"
#include "svc/svc.h"

#define PAGE_DEFAULT	100
#define PAGE_MEM_MAX	(4u * 1024 * 1024)	/* 10 000 entries */
#define COMPONENT_MAX	64

struct tail {
	struct svc	*svc;
	struct grpc_call *call;
	struct logring_follower follower;
	struct loop_task task;
	bool		 follow;
	bool		 stopping;	/* the daemon is */
	int		 error;		/* why the last line was not sent */
	int64_t		 at, last;	/* sent so far; where to end */
	struct logring_filter filter;
	char		 component[COMPONENT_MAX + 1];
};

/* False: no such level. */
static bool
set_filter(struct logring_filter *f, const char *component,
    K8shelld__LogLevel level)
{
	if (level < K8SHELLD__LOG_LEVEL__LOG_LEVEL_UNSPECIFIED ||
	    level > K8SHELLD__LOG_LEVEL__LOG_LEVEL_FATAL)
		return false;
	f->component = component;
	f->has_level = level != K8SHELLD__LOG_LEVEL__LOG_LEVEL_UNSPECIFIED;
	if (f->has_level)
		f->level = (enum log_level)((int)level -
		    K8SHELLD__LOG_LEVEL__LOG_LEVEL_DEBUG);
	return true;
}

/* time is what m->time will point at. */
static void
fill_entry(K8shelld__SystemLogsStreamResponse *m, char *time,
    const struct logring_entry *e)
{
	k8shelld__system_logs_stream_response__init(m);
	logring_time(e->time_ms, time);
	m->time = time;
	m->component = (char *)(uintptr_t)e->component;
	m->level = (char *)(uintptr_t)log_level_name(e->level);
	m->message = (char *)(uintptr_t)e->text;
	m->id = e->id;
}

/* -- stream ---------------------------------------------------------------- */

static bool
send_entry(void *arg, const struct logring_entry *e)
{
	struct tail			*t = arg;
	K8shelld__SystemLogsStreamResponse m;
	char				 time[LOGRING_TIME_LEN];

	fill_entry(&m, time, e);
	t->error = grpc_send(t->call, &m.base);
	return t->error == 0;
}

static void
tail_destroy(struct tail *t)
{
	logring_unfollow(&t->follower);
	loop_later_cancel(t->svc->loop, &t->task);
	free(t);
}

/* Sends what there is room for; t may be gone afterwards. */
static void
pump(void *arg)
{
	struct tail	*t = arg;
	struct logring	*ring = t->svc->logs;
	int64_t		 last = t->follow ? logring_newest(ring) : t->last;

	t->at = logring_read(ring, &t->filter, t->at, last, send_entry, t);
	if (t->error < 0 && t->error != -ENOBUFS)
		grpc_finish(t->call, GRPC_RESOURCE_EXHAUSTED, "%s",
		    strerror(-t->error));
	else if (t->at < last || (t->follow && !t->stopping))
		return;			/* there will be room, or a line */
	else
		grpc_finish(t->call, t->stopping ? GRPC_UNAVAILABLE : GRPC_OK,
		    "the daemon is stopping");
	tail_destroy(t);
}

static void
on_more(void *arg)
{
	struct tail	*t = arg;

	loop_later(t->svc->loop, &t->task);
}

/* What is in the ring still goes out if the client takes it. */
static void
on_end(void *arg)
{
	struct tail	*t = arg;

	t->stopping = true;
	loop_later(t->svc->loop, &t->task);
}

static struct tail *
tail_create(struct grpc_call *c, const K8shelld__SystemLogsStreamRequest *req)
{
	struct tail	*t = calloc(1, sizeof *t);

	if (t == NULL)
		return NULL;
	t->svc = grpc_call_user(c);
	t->call = c;
	t->follow = req->follow;
	t->follower = (struct logring_follower){ .more = on_more,
	    .end = on_end, .arg = t };
	t->task = (struct loop_task){ .fn = pump, .arg = t };
	memcpy(t->component, req->component, strlen(req->component) + 1);
	set_filter(&t->filter, t->component, req->level);
	t->last = logring_newest(t->svc->logs);
	return t;
}

void
svc_logs_stream(struct grpc_call *c, const ProtobufCMessage *m)
{
	const K8shelld__SystemLogsStreamRequest	*req = (const void *)m;
	struct svc				*svc = grpc_call_user(c);
	struct logring_filter			 f;
	struct tail				*t;
	bool					 more;

	if (!set_filter(&f, req->component, req->level)) {
		grpc_finish(c, GRPC_INVALID_ARGUMENT, "unknown level %d",
		    (int)req->level);
		return;
	}
	/* A longer name is nobody's; nothing can match it. */
	if (strlen(req->component) > COMPONENT_MAX) {
		grpc_finish(c, GRPC_INVALID_ARGUMENT, "no component is called "
		    "that");
		return;
	}
	if (svc->logs == NULL || (t = tail_create(c, req)) == NULL) {
		grpc_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	if (req->last_n > 0)
		logring_back(svc->logs, &t->filter, 0, (size_t)req->last_n,
		    &t->at, &more);
	grpc_call_set_arg(c, t);
	if (t->follow)
		logring_follow(svc->logs, &t->follower);
	pump(t);
}

void
svc_logs_writable(struct grpc_call *c)
{
	struct tail	*t = grpc_call_arg(c);

	if (t != NULL)
		pump(t);
}

void
svc_logs_gone(struct grpc_call *c)
{
	struct tail	*t = grpc_call_arg(c);

	if (t != NULL)
		tail_destroy(t);
}

/* -- page ------------------------------------------------------------------ */

struct page {
	struct arena	 arena;
	K8shelld__SystemLogsStreamResponse **entries;
	size_t		 n, max;
	bool		 no_memory;
};

struct page_entry {
	K8shelld__SystemLogsStreamResponse m;
	char		 time[LOGRING_TIME_LEN];
};

/* Text stays in the ring: nothing is logged before the answer is packed. */
static bool
take_entry(void *arg, const struct logring_entry *e)
{
	struct page		*p = arg;
	struct page_entry	*entry = NULL;

	if (p->n < p->max)
		entry = arena_alloc(&p->arena, sizeof *entry);
	if (entry == NULL) {
		p->no_memory = true;
		return false;
	}
	fill_entry(&entry->m, entry->time, e);
	p->entries[p->n++] = &entry->m;
	return true;
}

static void
send_page(struct grpc_call *c, const struct logring_filter *f,
    int64_t before, size_t limit)
{
	const struct svc	*svc = grpc_call_user(c);
	K8shelld__GetLogsPageResponse resp;
	struct page		 p = { .n = 0 };
	int64_t			 after;
	bool			 more;

	k8shelld__get_logs_page_response__init(&resp);
	arena_init(&p.arena, PAGE_MEM_MAX);
	p.max = logring_back(svc->logs, f, before, limit, &after, &more);
	if (p.max > 0)
		p.entries = arena_alloc(&p.arena, p.max * sizeof *p.entries);
	p.no_memory = p.max > 0 && p.entries == NULL;
	if (!p.no_memory && p.max > 0)
		logring_read(svc->logs, f, after, before > 0 ? before - 1 :
		    INT64_MAX, take_entry, &p);
	resp.entries = p.entries;
	resp.n_entries = p.n;
	resp.has_more = more;
	if (p.no_memory)
		grpc_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
	else
		grpc_reply(c, &resp.base);
	arena_finish(&p.arena);
}

void
svc_logs_page(struct grpc_call *c, const ProtobufCMessage *m)
{
	const K8shelld__GetLogsPageRequest	*req = (const void *)m;
	const struct svc			*svc = grpc_call_user(c);
	struct logring_filter			 f;

	if (req->before_id < 0 || req->limit < 0)
		grpc_finish(c, GRPC_INVALID_ARGUMENT, "before_id and limit "
		    "can't be negative");
	else if (!set_filter(&f, req->component, req->level))
		grpc_finish(c, GRPC_INVALID_ARGUMENT, "unknown level %d",
		    (int)req->level);
	else if (svc->logs == NULL)
		grpc_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
	else
		send_page(c, &f, req->before_id, req->limit > 0 ?
		    (size_t)req->limit : PAGE_DEFAULT);
}
