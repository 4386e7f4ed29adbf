/*
 * GET /jobs/{id}/logs: what a job said, as lines of JSON or as it came.
 *
 * A reader goes through the job's ring at his own pace, by number.  What was
 * overwritten before he came there is told to him in one line, "truncated".
 * Only who is attached is waited for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "svc/rest_impl.h"
#include "svc/rest_jobs.h"
#include "svc/svc.h"

#define TYPE_LINES	"application/x-ndjson"
#define TYPE_RAW	"application/octet-stream"
#define LINE_MAX_LEN	(6 * JOBLOG_PIECE_MAX + 512)	/* all escaped */
#define OUTPUT		(1u << JOBLOG_STDOUT | 1u << JOBLOG_STDERR)

struct tail {
	struct rest_conn *conn;
	struct job	*job;
	struct job_watch watch;
	struct loop_task task;
	unsigned	 types;		/* of output: bits */
	bool		 follow, raw;
	bool		 lost;		/* owed: the line that says so */
	uint64_t	 at, last;	/* next event; where to end */
	size_t		 skip;		/* bytes of event `at' */
	bool		 attached;	/* whoever goes takes the job along */
	uint32_t	 grace_ms;
};

/* ---- lines ---- */

struct filling {
	struct tail	*tail;
	struct buf	*out;
	struct buf	 line, escaped;
};

/* All of it, or nothing. */
static bool
send_line(struct filling *f, struct json_out *o)
{
	buf_clear(&f->escaped);
	return json_put_done(o) == 0 && rest_put_json(&f->escaped,
	    buf_head(&f->line), f->line.len) == 0 &&
	    buf_put_u8(&f->escaped, '\n') == 0 &&
	    buf_put(f->out, buf_head(&f->escaped), f->escaped.len) == 0;
}

static void
begin_line(struct filling *f, struct json_out *o)
{
	buf_clear(&f->line);
	json_out_init(o, &f->line);
	json_put_object(o, NULL);
}

/* first: the oldest that is kept; what came before is in the log file. */
static bool
put_lost(struct filling *f, uint64_t first)
{
	struct json_out	o;
	struct job_info	i;

	if (f->tail->raw)
		return true;
	job_info(f->tail->job, &i);
	begin_line(f, &o);
	json_put_string(&o, "type", "truncated");
	json_put_int(&o, "first", (int64_t)first);
	json_put_int(&o, "offset", (int64_t)joblog_offset(i.log));
	json_put_end(&o, '}');
	return send_line(f, &o);
}

/* Text where it is some that a string of JSON can say. */
static void
put_data(struct json_out *o, const uint8_t *p, size_t n)
{
	char	text[4 * (JOBLOG_PIECE_MAX + 2) / 3 + 4];
	size_t	len = n;

	if (utf8_valid(p, n) && memchr(p, '\0', n) == NULL) {
		memcpy(text, p, n);
		text[n] = '\0';
		json_put_string(o, "data", text);
		return;
	}
	len = base64_encode(p, n, text);
	while (len % 4 != 0)
		text[len++] = '=';
	text[len] = '\0';
	json_put_string(o, "data_base64", text);
}

static void
put_exit(struct json_out *o, const struct job_info *i)
{
	json_put_string(o, "status", job_status_name(i->status));
	if (i->exit_code >= 0)
		json_put_int(o, "exit_code", i->exit_code);
	if (i->signo > 0)
		json_put_int(o, "signal", i->signo);
	json_put_string(o, "reason", job_reason_name(i->reason));
	if (i->message[0] != '\0')
		json_put_string(o, "message", i->message);
}

static bool
put_line(struct filling *f, const struct joblog_event *e)
{
	static const char *const types[] = {
		"start", "stdout", "stderr", "exit"
	};
	size_t			 skip = f->tail->skip;
	struct json_out		 o;
	struct job_info		 i;
	char			 time[JOBS_TIME_LEN];

	job_info(f->tail->job, &i);
	jobs_time(e->time_ms, time);
	begin_line(f, &o);
	json_put_int(&o, "seq", (int64_t)e->seq);
	json_put_string(&o, "type", types[e->type]);
	json_put_string(&o, "time", time);
	if (e->type == JOBLOG_START) {
		json_put_string(&o, "id", i.id);
		json_put_int(&o, "pid", i.pid);
	} else if (e->type == JOBLOG_EXIT) {
		put_exit(&o, &i);
	} else {
		put_data(&o, e->p + skip, e->n - skip);
	}
	json_put_end(&o, '}');
	return send_line(f, &o);
}

static bool
put_event(struct filling *f, const struct joblog_event *e)
{
	bool	output = e->type == JOBLOG_STDOUT || e->type == JOBLOG_STDERR;

	if (output && (f->tail->types & 1u << e->type) == 0)
		return true;
	if (!f->tail->raw)
		return put_line(f, e);
	return !output || buf_put(f->out, e->p + f->tail->skip,
	    e->n - f->tail->skip) == 0;
}

/* False: it has to wait for the next piece, or is not wanted any more. */
static bool
on_event(void *arg, const struct joblog_event *e)
{
	struct filling	*f = arg;
	struct tail	*t = f->tail;

	if (e->seq > t->at) {
		t->lost = true;		/* overtaken */
		t->skip = 0;
		t->at = e->seq;
	}
	if (t->lost && !put_lost(f, e->seq))
		return false;
	t->lost = false;
	if ((e->seq > t->last && !t->follow) || !put_event(f, e))
		return false;
	t->skip = 0;
	t->at = e->seq + 1;
	return true;
}

static bool
tail_fill(void *arg, struct buf *out)
{
	struct tail	*t = arg;
	struct filling	 f = { .tail = t, .out = out };
	struct job_info	 i;

	job_info(t->job, &i);
	buf_init(&f.line, LINE_MAX_LEN);
	buf_init(&f.escaped, LINE_MAX_LEN);
	(void)joblog_read(i.log, t->at, on_event, &f);
	if (t->attached)
		job_hold(t->job, t->at);
	buf_finish(&f.line);
	buf_finish(&f.escaped);
	if (!t->follow)
		return t->at <= t->last;
	return !job_terminal(t->job) || t->at <= joblog_newest(i.log);
}

static void
tail_closed(void *arg)
{
	struct tail	*t = arg;

	job_unwatch(&t->watch);
	loop_later_cancel(t->conn->rest->loop, &t->task);
	if (t->attached)
		job_hold(t->job, 0);
	if (t->attached && !job_terminal(t->job))
		job_kill(t->job, t->grace_ms, JOB_REASON_REQUESTED,
		    "the loss of its client", NULL);
	job_unref(t->job);
	free(t);
}

static const struct rest_source source = { tail_fill, tail_closed };

static void
on_more(void *arg)
{
	struct tail	*t = arg;

	loop_later(t->conn->rest->loop, &t->task);
}

static void
wake(void *arg)
{
	struct tail	*t = arg;

	rest_more(t->conn);
}

static struct tail *
tail_new(struct rest_conn *c, struct job *j)
{
	struct tail	*t;

	if ((t = calloc(1, sizeof *t)) == NULL) {
		rest_error(c, 503, "out of memory");
		return NULL;
	}
	t->conn = c;
	t->types = OUTPUT;
	t->at = 1;
	t->task = (struct loop_task){ .fn = wake, .arg = t };
	t->watch = (struct job_watch){ .more = on_more, .arg = t };
	t->job = j;
	return t;
}

static void
stream(struct rest_conn *c, struct tail *t)
{
	job_ref(t->job);
	if (t->follow)
		job_watch(t->job, &t->watch);
	rest_stream(c, t->raw ? TYPE_RAW : TYPE_LINES, &source, t);
}

void
jobs_attach(struct rest_conn *c, struct job *j, uint32_t grace_ms)
{
	struct tail	*t;

	if ((t = tail_new(c, j)) == NULL) {
		job_kill(j, grace_ms, JOB_REASON_REQUESTED,
		    "the want of memory", NULL);
		return;
	}
	t->follow = t->attached = true;
	job_hold(j, t->at);
	t->grace_ms = grace_ms;
	stream(c, t);
}

/* ---- what was asked ---- */

/* False after an answer. */
static bool
parse(struct rest_conn *c, struct tail *t, uint64_t *since, uint64_t *lines)
{
	struct job_info	i;
	char		name[16];
	int		r;

	r = rest_query(c, "stream", name, sizeof name);
	if (r == 1 && strcmp(name, "stdout") == 0)
		t->types = 1u << JOBLOG_STDOUT;
	else if (r == 1 && strcmp(name, "stderr") == 0)
		t->types = 1u << JOBLOG_STDERR;
	else if (r != 0 && !(r == 1 && name[0] == '\0')) {
		rest_error(c, 400, "stream is neither stdout nor stderr");
		return false;
	}
	t->follow = rest_query_true(c, "follow");
	t->raw = rest_query_true(c, "raw");
	*since = 0;
	*lines = UINT64_MAX;
	job_info(t->job, &i);
	t->last = joblog_newest(i.log);
	if (!jobs_number(c, "since", UINT64_MAX - 1, since) ||
	    !jobs_number(c, "tail", INT64_MAX, lines))
		return false;
	if (*since <= t->last)
		return true;
	rest_error(c, 400, "since is newer than the newest event, %llu",
	    (unsigned long long)t->last);
	return false;
}

static void
position(struct tail *t, uint64_t since, uint64_t lines)
{
	struct job_info	i;
	uint64_t	at;
	size_t		skip;

	t->at = since + 1;
	if (lines == UINT64_MAX)
		return;
	job_info(t->job, &i);
	t->lost = !joblog_tail(i.log, t->types, lines, &at, &skip);
	if (at < t->at)
		return;
	t->at = at;
	t->skip = skip;
}

void
rest_job_logs(struct rest_conn *c)
{
	struct job	*j = jobs_find(c);
	struct tail	*t;
	uint64_t	 since, lines;

	if (j == NULL || (t = tail_new(c, j)) == NULL)
		return;
	if (!parse(c, t, &since, &lines) || (t->follow && !rest_lasts(c))) {
		free(t);
		return;
	}
	position(t, since, lines);
	stream(c, t);
}
