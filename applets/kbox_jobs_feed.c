/*
 * What a job says, as events over HTTP: one JSON object a line, until the one
 * that says how it ended.  Used by run, which waits for that, and by logs.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "applets/kbox_jobs.h"
#include "applets/kbox_text.h"
#include "base/rfc3339.h"
#include "base/str.h"

#define LINE_BYTES_MAX	(8u * 1024 * 1024)
#define LAST_MAX	1000000u
#define ARENA_MAX	((size_t)1 << 28)

static bool
on_wake(void *arg)
{
	struct kbox_feed	*f = arg;

	if (!f->wake.fn(f->wake.arg))
		f->stopped = true;
	return !f->stopped;
}

static struct kbox_wake
wake_of(struct kbox_feed *f)
{
	return (struct kbox_wake){ f->wake.fd, f->wake.events, on_wake, f };
}

/* ---- our output ---- */

/* Room in fd; false if there never will be any. */
static bool
wait_out(struct kbox_feed *f, int fd)
{
	struct pollfd	p[2] = {
		{ .fd = fd, .events = POLLOUT },
		{ .fd = f->wake.fd, .events = f->wake.events }
	};

	do {
		if (poll(p, 2, -1) < 0 && errno != EINTR) {
			f->error = errno;
			return false;
		}
		if (p[1].revents != 0 && !on_wake(f))
			return false;
	} while (p[0].revents == 0);
	return true;
}

/* A pipe that polls as writable takes PIPE_BUF bytes at once. */
static bool
put_out(struct kbox_feed *f, int fd, const char *p, size_t n)
{
	ssize_t	w;

	while (n > 0) {
		if (!wait_out(f, fd))
			return false;
		w = write(fd, p, n < PIPE_BUF ? n : PIPE_BUF);
		if (w > 0) {
			p += w;
			n -= (size_t)w;
		} else if (w < 0 && errno == EPIPE) {
			f->gone = true;
			return false;
		} else if (w < 0 && errno != EINTR && errno != EAGAIN) {
			f->error = errno;
			return false;
		}
	}
	return true;
}

/* ---- one event ---- */

/* As it is, or with the time before each line that begins in it. */
static bool
put_lines(struct kbox_feed *f, const struct value *v, int fd, const char *p,
    size_t n)
{
	const char	*time, *end;
	size_t		 len;

	if (f->k->values[OPT_TIMES] == NULL)
		return put_out(f, fd, p, n);
	time = kbox_printf(f->k, "%s ", kbox_clean(f->k,
	    value_text(v, "time")));
	for (; n > 0; p += len, n -= len) {
		end = memchr(p, '\n', n);
		len = end != NULL ? (size_t)(end - p) + 1 : n;
		if ((!f->inside[fd] &&
		    !put_out(f, fd, time, strlen(time))) ||
		    !put_out(f, fd, p, len))
			return false;
		f->inside[fd] = end == NULL;
	}
	return true;
}

static bool
put_data(struct kbox_feed *f, const struct value *v, int fd)
{
	const char	*text = value_text(v, "data_base64");
	size_t		 n = strlen(text), room = n / 4 * 3 + 3;
	uint8_t		*raw;

	if (value_get(v, "data_base64") == NULL) {
		text = value_text(v, "data");
		n = strlen(text);
		f->at += n;
		return put_lines(f, v, fd, text, n);
	}
	raw = kbox_alloc(f->k, room);
	if (base64_decode(text, n, true, raw, &room) < 0) {
		(void)kbox_fail(f->k, 0, "a piece of output is not base64 and "
		    "is left out");
		return true;
	}
	f->at += room;
	return put_lines(f, v, fd, (const char *)raw, room);
}

static void
on_exit_event(struct kbox_feed *f, const struct value *v)
{
	f->ended = true;
	f->exit_code = (int)value_number(v, "exit_code", -1);
	(void)str_format(f->status, sizeof f->status, "%s",
	    value_text(v, "status"));
	(void)str_format(f->reason, sizeof f->reason, "%s",
	    value_text(v, "reason"));
}

static bool
put_piece(void *arg, const char *p, size_t n)
{
	return put_out(arg, STDOUT_FILENO, p, n);
}

/* False: no more of this. */
static bool
on_truncated(struct kbox_feed *f, const struct value *v)
{
	const struct kbox_wake	wake = wake_of(f);
	struct kbox_copy	c = { .put = put_piece, .arg = f, .wake = &wake,
		.at = f->at, .to = value_count(v, "offset") };

	f->at = c.to;
	if (!f->whole || value_get(v, "offset") == NULL ||
	    !kbox_joblog_copy(f->k, f->id, &c)) {
		(void)kbox_fail(f->k, 0, "what came before event %llu is "
		    "forgotten", (unsigned long long)value_count(v, "first"));
		if (f->id != NULL && value_text(kbox_job_get(f->k, f->id),
		    "log_file")[0] != '\0')
			kbox_hint("the log file has more; kbox ps ID says "
			    "where it is");
		return true;
	}
	if (!c.stopped && (c.missing += c.to - c.at) > 0)
		(void)kbox_fail(f->k, 0, "%llu bytes that came before are not "
		    "kept any more", (unsigned long long)c.missing);
	return !c.stopped;
}

/* False: no more of this. */
static bool
take_event(struct kbox_feed *f, const struct value *v, const char *json)
{
	const char	*type = value_text(v, "type");
	int		 fd = strcmp(type, "stderr") == 0 ? STDERR_FILENO :
			    STDOUT_FILENO;
	bool		 is_output = fd == STDERR_FILENO ||
			    strcmp(type, "stdout") == 0;
	int64_t		 ns;

	if (strcmp(type, "start") == 0 && f->started != NULL)
		f->started(f->arg, value_text(v, "id"));
	if (strcmp(type, "exit") == 0)
		on_exit_event(f, v);
	if (is_output && f->since_ns != 0 && value_time(v, "time", &ns) &&
	    ns < f->since_ns)
		return true;
	if (f->k->values[OPT_JSON] != NULL) {
		json = kbox_printf(f->k, "%s\n", kbox_out(f->k, json));
		return put_out(f, STDOUT_FILENO, json, strlen(json)) &&
		    !f->ended;
	}
	if (is_output)
		return put_data(f, v, fd);
	if (strcmp(type, "truncated") == 0 && !on_truncated(f, v))
		return false;
	return !f->ended;
}

static bool
take_line(struct kbox_feed *f)
{
	struct kbox		*k = f->k;
	struct arena		 kept = k->arena;
	struct kbox_answer	 a = { .len = f->line.len };
	const struct value	*v;
	bool			 more = true;

	if (a.len == 0)
		return true;
	arena_init(&k->arena, ARENA_MAX);
	a.body = kbox_printf(k, "%.*s", (int)a.len,
	    (const char *)buf_head(&f->line));
	if ((v = value_parse(k, &a)) != NULL)
		more = take_event(f, v, a.body);
	arena_finish(&k->arena);
	k->arena = kept;
	buf_clear(&f->line);
	return more;
}

static bool
on_piece(void *arg, const char *p, size_t n)
{
	struct kbox_feed	*f = arg;
	const char		*end;
	size_t			 len;

	while (n > 0) {
		end = memchr(p, '\n', n);
		len = end != NULL ? (size_t)(end - p) : n;
		if (buf_put(&f->line, p, len) < 0) {
			f->error = EMSGSIZE;
			return false;
		}
		if (end == NULL)
			break;
		if (!take_line(f))
			return false;
		n -= len + 1;
		p = end + 1;
	}
	return true;
}

int
kbox_feed_run(struct kbox_feed *f, struct kbox_request *q,
    struct kbox_answer *a)
{
	const struct kbox_wake	wake = wake_of(f);
	int			r;

	f->exit_code = -1;
	buf_init(&f->line, LINE_BYTES_MAX);
	q->piece = on_piece;
	q->arg = f;
	q->wake = &wake;
	fflush(stdout);
	r = kbox_call(f->k, q, a);
	if (r == KBOX_OK && !f->ended && !f->gone && !f->stopped &&
	    f->error == 0)
		(void)take_line(f);
	buf_finish(&f->line);
	q->wake = NULL;
	if (f->ended || f->gone || f->stopped)
		r = KBOX_OK;
	if (f->error != 0)
		r = kbox_fail(f->k, KBOX_FAILED, "%s: %s", f->error ==
		    EMSGSIZE ? "the daemon's answer" : "standard output",
		    strerror(f->error));
	return r;
}

/* ---- logs ID ---- */

/* The reader of our output is gone: tail(1) ends then, and so do we. */
static bool
on_reader_gone(void *arg)
{
	struct kbox_feed	*f = arg;

	f->gone = true;
	return false;
}

/* What stands behind "?" of the request. */
static int
put_wishes(struct kbox_feed *f, char **query)
{
	struct kbox	*k = f->k;
	const char	*stream = k->values[OPT_STREAM];
	const char	*since = k->values[OPT_SINCE];
	const char	*last = k->values[OPT_LAST];
	uint64_t	 seq;
	uint32_t	 n;
	int64_t		 ms;

	*query = kbox_printf(k, "?follow=%d",
	    k->values[OPT_FOLLOW] != NULL);
	if (stream != NULL && strcmp(stream, "stdout") != 0 &&
	    strcmp(stream, "stderr") != 0)
		return kbox_fail(k, KBOX_USAGE, "--stream is stdout or stderr, "
		    "not \"%s\"", stream);
	if (stream != NULL)
		*query = kbox_printf(k, "%s&stream=%s", *query, stream);
	if (last != NULL && str_to_u32(last, LAST_MAX, &n) < 0)
		return kbox_fail(k, KBOX_USAGE, "--tail is a number of lines, "
		    "not \"%s\"", last);
	if (last != NULL)
		*query = kbox_printf(k, "%s&tail=%s", *query, last);
	if (since == NULL || rfc3339_parse(since, &f->since_ns) == 0)
		return 0;
	if (str_to_u64(since, INT64_MAX, &seq) == 0) {
		*query = kbox_printf(k, "%s&since=%s", *query, since);
		return 0;
	}
	if ((ms = kbox_parse_span(since)) < 0)
		return kbox_fail(k, KBOX_USAGE, "--since is the number of an "
		    "event, a span such as 10m or a moment such as "
		    "2026-11-22T10:00:00Z");
	f->since_ns = kbox_now() - ms * 1000000;
	return 0;
}

static int
refuse_others(struct kbox *k)
{
	static const enum kbox_opt	others[] = {
		OPT_COMPONENT, OPT_LEVEL, OPT_GREP, OPT_WRAP
	};
	size_t				i;

	for (i = 0; i < ARRAY_LEN(others); i++)
		if (k->values[others[i]] != NULL)
			return kbox_fail(k, KBOX_USAGE, "--component, --level, "
			    "--grep and --wrap are for the daemon's log, "
			    "without an id");
	return 0;
}

/* Its last event need not be among those that were asked for. */
static bool
has_ended(struct kbox *k, const char *id)
{
	const struct value	*v = kbox_job_get(k, id);
	struct kbox_job		 j;

	if (v == NULL)
		return false;
	kbox_job_read(v, &j);
	return j.ended;
}

/* All it has ever said, as it said it: what the log file has, too. */
static bool
wants_all(const struct kbox *k)
{
	static const enum kbox_opt	less[] = {
		OPT_STREAM, OPT_LAST, OPT_SINCE, OPT_JSON, OPT_TIMES
	};
	size_t				i;

	for (i = 0; i < ARRAY_LEN(less); i++)
		if (k->values[less[i]] != NULL)
			return false;
	return true;
}

/* The daemon may have been started anew, or have forgotten it. */
static int
show_file(struct kbox *k, struct kbox_feed *f)
{
	const struct kbox_wake	wake = wake_of(f);
	struct kbox_copy	c = {
		.put = put_piece, .arg = f, .wake = &wake
	};

	if (wants_all(k) && kbox_joblog_forgotten(k, k->words[0], &c)) {
		(void)kbox_fail(k, 0, "the daemon has no job \"%s\" any more: "
		    "this is what %s has", k->words[0], c.path);
		return f->error != 0 ? kbox_fail(k, KBOX_FAILED,
		    "standard output: %s", strerror(f->error)) :
		    f->gone ? KBOX_EXACT(128 + SIGPIPE) : KBOX_OK;
	}
	return kbox_job_none(k, k->words[0]);
}

int
kbox_job_logs(struct kbox *k)
{
	struct kbox_feed	 f = { .k = k };
	struct kbox_request	 q = { .method = "GET" };
	struct kbox_answer	 a;
	const char		*id;
	char			*query;
	int			 r;

	f.wake = (struct kbox_wake){ STDOUT_FILENO, 0, on_reader_gone, &f };
	if ((r = refuse_others(k)) != 0 || (r = put_wishes(&f, &query)) != 0)
		return r;
	r = kbox_job_look(k, k->words[0], KBOX_JOBS_ANY, &id);
	if (r != KBOX_OK)
		return r;
	if (id == NULL)
		return show_file(k, &f);
	f.id = id;
	f.whole = wants_all(k);
	query = kbox_printf(k, "/logs%s", query);
	if ((q.target = kbox_route(k, "jobs", id, query)) == NULL)
		return KBOX_USAGE;
	if ((r = kbox_feed_run(&f, &q, &a)) != KBOX_OK)
		return r;
	if (f.gone)
		return KBOX_EXACT(128 + SIGPIPE);
	if (k->values[OPT_FOLLOW] != NULL && !f.ended && !has_ended(k, id))
		return kbox_fail(k, KBOX_NO_DAEMON,
		    "the daemon has ended the log before the job has ended");
	return KBOX_OK;
}
