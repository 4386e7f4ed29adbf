/*
 * GET /logs: the daemon's log as lines of JSON.
 *
 * component, level: only lines that match exactly; lastN: the newest N of
 * those; since=ID: newer than; before=ID with limit=N: older than, the newest
 * N; follow=true: stay.  A follower is woken by a line, goes on by id and so
 * never falls silent when the ring is full (spec/rest-kbox.md 1.5, 7.2).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/logring.h"
#include "base/str.h"
#include "svc/rest_impl.h"
#include "svc/svc.h"

#define TYPE		"application/x-ndjson"
#define NAME_MAX_LEN	64	/* of a component */
#define LINE_MAX_LEN	(6 * LOG_LINE_MAX + 1024)	/* all escaped */

struct tail {
	struct rest_conn *conn;
	struct logring	*ring;
	struct logring_follower follower;
	struct loop_task task;
	struct logring_filter filter;
	char		 component[NAME_MAX_LEN + 1];
	bool		 follow, stopping;
	int64_t		 at, last;	/* sent so far; where to end */
	uint64_t	 last_n, since, before, limit;
	bool		 has_before;
};

/* ---- lines ---- */

struct filling {
	struct buf	*out;
	struct buf	 line, escaped;
};

/* False: it has to wait for the next piece. */
static bool
put_line(void *arg, const struct logring_entry *e)
{
	struct filling	*f = arg;
	struct json_out	 o;
	char		 time[LOGRING_TIME_LEN];

	buf_clear(&f->line);
	buf_clear(&f->escaped);
	logring_time(e->time_ms, time);
	json_out_init(&o, &f->line);
	json_put_object(&o, NULL);
	json_put_int(&o, "id", e->id);
	json_put_string(&o, "time", time);
	json_put_string(&o, "component", e->component);
	json_put_string(&o, "level", log_level_name(e->level));
	json_put_string(&o, "message", e->text);
	json_put_end(&o, '}');
	if (json_put_done(&o) < 0 || rest_put_json(&f->escaped,
	    buf_head(&f->line), f->line.len) < 0 ||
	    buf_put_u8(&f->escaped, '\n') < 0)
		return true;	/* a line is lost, not the stream */
	return buf_put(f->out, buf_head(&f->escaped), f->escaped.len) == 0;
}

static bool
tail_fill(void *arg, struct buf *out)
{
	struct tail	*t = arg;
	struct filling	 f = { .out = out };
	int64_t		 last = t->follow ? logring_newest(t->ring) : t->last;

	buf_init(&f.line, LINE_MAX_LEN);
	buf_init(&f.escaped, LINE_MAX_LEN);
	t->at = logring_read(t->ring, &t->filter, t->at, last, put_line, &f);
	buf_finish(&f.line);
	buf_finish(&f.escaped);
	return t->at < last || (t->follow && !t->stopping);
}

static void
tail_closed(void *arg)
{
	struct tail	*t = arg;

	logring_unfollow(&t->follower);
	loop_later_cancel(t->conn->rest->loop, &t->task);
	free(t);
}

static const struct rest_source tail_source = { tail_fill, tail_closed };

/* From wherever the line was logged; work comes at the end of the turn. */
static void
on_more(void *arg)
{
	struct tail	*t = arg;

	loop_later(t->conn->rest->loop, &t->task);
}

static void
on_end(void *arg)
{
	struct tail	*t = arg;

	t->stopping = true;
	loop_later(t->conn->rest->loop, &t->task);
}

static void
wake(void *arg)
{
	struct tail	*t = arg;

	rest_more(t->conn);
}

/* ---- what was asked ---- */

/* False after an answer. */
static bool
number(struct rest_conn *c, const char *name, uint64_t *v, bool *given)
{
	char	text[32];
	int	r = rest_query(c, name, text, sizeof text);

	*given = false;
	if (r == 0 || (r == 1 && text[0] == '\0'))
		return true;
	if (r < 0 || str_to_u64(text, INT64_MAX, v) < 0) {
		rest_error(c, 400, "%s is not a number from 0 on", name);
		return false;
	}
	*given = true;
	return true;
}

/* A name nobody has matches nothing: that is an answer, too. */
static bool
filters(struct rest_conn *c, struct tail *t, bool *nothing)
{
	char	level[16];
	int	r;

	r = rest_query(c, "component", t->component, sizeof t->component);
	if (r == -EINVAL) {
		rest_error(c, 400, "component is not escaped properly");
		return false;
	}
	t->filter.component = t->component;
	*nothing = r < 0;
	r = rest_query(c, "level", level, sizeof level);
	if (r == 0 || (r == 1 && level[0] == '\0'))
		return true;
	if (r < 0 || log_level_parse(level, &t->filter.level) < 0) {
		rest_error(c, 400, "level is none of debug, info, warn, "
		    "error, fatal");
		return false;
	}
	t->filter.has_level = true;
	return true;
}

static bool
parse(struct rest_conn *c, struct tail *t, bool *nothing)
{
	bool	given;

	if (!filters(c, t, nothing) ||
	    !number(c, "lastN", &t->last_n, &given) ||
	    !number(c, "since", &t->since, &given) ||
	    !number(c, "limit", &t->limit, &given) ||
	    !number(c, "before", &t->before, &t->has_before))
		return false;
	t->follow = rest_query_true(c, "follow");
	if (t->has_before && t->follow) {
		rest_error(c, 400, "before and follow contradict each other");
		return false;
	}
	return true;
}

/* Where to start and where to end. */
static void
position(struct tail *t)
{
	uint64_t	n = t->has_before ? t->limit : t->last_n;
	bool		more;

	t->last = logring_newest(t->ring);
	if (t->has_before && (int64_t)t->before <= t->last)
		t->last = (int64_t)t->before - 1;
	if (n > 0 && t->last >= 0)
		(void)logring_back(t->ring, &t->filter, t->last + 1,
		    n > LOGRING_ENTRIES_MAX ? LOGRING_ENTRIES_MAX : (size_t)n,
		    &t->at, &more);
	if (t->at < (int64_t)t->since)
		t->at = (int64_t)t->since;
}

void
rest_logs(struct rest_conn *c)
{
	struct logring	*ring = c->rest->opt.svc->logs;
	struct tail	*t;
	bool		 nothing;

	if (ring == NULL || (t = calloc(1, sizeof *t)) == NULL) {
		rest_error(c, 503, "no memory for the log");
		return;
	}
	t->conn = c;
	t->ring = ring;
	t->task = (struct loop_task){ .fn = wake, .arg = t };
	t->follower = (struct logring_follower){ .more = on_more,
	    .end = on_end, .arg = t };
	if (!parse(c, t, &nothing) || (t->follow && !rest_lasts(c))) {
		free(t);
		return;
	}
	position(t);
	if (nothing)
		t->at = t->last = INT64_MAX;
	if (t->follow)
		logring_follow(ring, &t->follower);
	rest_stream(c, TYPE, &tail_source, t);
}
