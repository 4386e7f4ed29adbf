#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "svc/rest_jobs.h"
#include "workspace/stream.h"

enum kind { TEXT, FLAG, NUMBER };

/* One plain member of an object. */
struct member {
	const char	*name;
	enum kind	 kind;
	void		*to;		/* const char *, bool, uint32_t */
	const char	*why;		/* about a value that is not taken */
};

struct reader {
	struct json	 j;
	struct arena	*arena;		/* of text */
	const struct member *members;
	size_t		 nmembers;
	/* Another member, whose key was just read; 1: not known either. */
	int		(*other)(struct reader *r);
	void		*arg;
	const char	*why;
};

static char *
read_text(struct reader *r)
{
	char	*s = arena_alloc(r->arena, r->j.len + 1);

	return s == NULL || json_text(&r->j, s, r->j.len + 1) < 0 ? NULL : s;
}

static int
read_number(struct reader *r, uint32_t max, uint32_t *v)
{
	int64_t	n;

	if (json_next(&r->j) != JSON_NUMBER || json_int(&r->j, &n) < 0 ||
	    n < 0 || n > max)
		return -EINVAL;
	*v = (uint32_t)n;
	return 0;
}

static int
read_member(struct reader *r, const struct member *m)
{
	enum json_type	 t;
	char		*s;

	r->why = m->why;
	switch (m->kind) {
	case TEXT:
		if (json_next(&r->j) != JSON_STRING ||
		    (s = read_text(r)) == NULL)
			return -EINVAL;
		*(const char **)m->to = s;
		return 0;
	case FLAG:
		if ((t = json_next(&r->j)) != JSON_TRUE && t != JSON_FALSE)
			return -EINVAL;
		*(bool *)m->to = t == JSON_TRUE;
		return 0;
	case NUMBER:
		return read_number(r, UINT32_MAX, m->to);
	}
	return -EINVAL;
}

/* Members nobody knows are somebody else's. */
static int
read_any(struct reader *r)
{
	size_t	i;
	int	known;

	for (i = 0; i < r->nmembers; i++)
		if (json_is(&r->j, r->members[i].name))
			return read_member(r, &r->members[i]);
	if ((known = r->other(r)) <= 0)
		return known;
	r->why = "the body is not JSON";
	return json_skip(&r->j, json_next(&r->j));
}

static int
read_object(struct reader *r, const void *p, size_t n)
{
	enum json_type	t;

	json_init(&r->j, p, n);
	r->why = "the body is not an object of JSON";
	if (json_next(&r->j) != JSON_OBJECT)
		return -EINVAL;
	while ((t = json_next(&r->j)) == JSON_KEY)
		if (read_any(r) < 0)
			return -EINVAL;
	r->why = "the body is not JSON";
	return t == JSON_OBJECT_END && json_next(&r->j) == JSON_END ? 0 :
	    -EINVAL;
}

/* -- a start --------------------------------------------------------------- */

/* ["word", ...] */
static int
read_argv(struct reader *r, struct jobs_wish *w)
{
	enum json_type	t;

	r->why = "argv is not a list of 1 to 1024 words";
	w->nargv = 0;
	if (json_next(&r->j) != JSON_ARRAY)
		return -EINVAL;
	while ((t = json_next(&r->j)) == JSON_STRING) {
		if (w->nargv == COMMAND_WORDS_MAX ||
		    (w->argv[w->nargv] = read_text(r)) == NULL)
			return -EINVAL;
		w->nargv++;
	}
	w->argv[w->nargv] = NULL;
	return t == JSON_ARRAY_END && w->nargv > 0 && w->argv[0][0] != '\0' ?
	    0 : -EINVAL;
}

/* {"NAME": "value"} */
static int
read_env(struct reader *r, struct jobs_wish *w)
{
	enum json_type	 t;
	char		*name, *value, *both;
	size_t		 n;

	r->why = "env is not {\"NAME\": \"value\"}";
	if (json_next(&r->j) != JSON_OBJECT)
		return -EINVAL;
	while ((t = json_next(&r->j)) == JSON_KEY) {
		if ((name = read_text(r)) == NULL || name[0] == '\0' ||
		    strchr(name, '=') != NULL ||
		    json_next(&r->j) != JSON_STRING ||
		    (value = read_text(r)) == NULL ||
		    w->nenv == ACCOUNT_ENV_MAX)
			return -EINVAL;
		n = strlen(name) + strlen(value) + 2;
		if ((both = arena_alloc(r->arena, n)) == NULL ||
		    str_format(both, n, "%s=%s", name, value) < 0)
			return -EINVAL;
		w->env[w->nenv++] = both;
	}
	return t == JSON_OBJECT_END ? 0 : -EINVAL;
}

static int
other_of_start(struct reader *r)
{
	if (json_is(&r->j, "argv"))
		return read_argv(r, r->arg);
	return json_is(&r->j, "env") ? read_env(r, r->arg) : 1;
}

static const char	too_patient[] = "grace_ms is more than an hour";

static const char *
judge_start(const struct jobs_wish *w)
{
	if ((w->command != NULL) == (w->nargv > 0))
		return "exactly one of command and argv is needed";
	if (w->command != NULL &&
	    w->command[strspn(w->command, " \t\r\n")] == '\0')
		return "command is empty";
	if (w->id != NULL && !job_id_valid(w->id))
		return "id is not 1 to 64 of A-Z a-z 0-9 . _ - "
		    "(and not ., .. or kill-all)";
	if (w->cwd != NULL && w->cwd[0] != '/')
		return "cwd is not absolute";
	if (w->cwd != NULL && strlen(w->cwd) >= PATH_MAX)
		return "cwd is too long";
	if (w->session != NULL && w->session[0] != '\0' &&
	    !stream_id_valid(w->session))
		return "session is not the id of one";
	if (w->detached && w->attached)
		return "detached and attached contradict each other";
	return w->grace_ms > TREEKILL_GRACE_MAX_MS ? too_patient : NULL;
}

int
jobs_read_start(struct jobs_wish *w, const void *p, size_t n,
    const char **why)
{
	const struct member	members[] = {
		{ "id", TEXT, &w->id, "id is not text" },
		{ "command", TEXT, &w->command, "command is not text" },
		{ "cwd", TEXT, &w->cwd, "cwd is not text" },
		{ "session", TEXT, &w->session, "session is not text" },
		{ "timeout_ms", NUMBER, &w->timeout_ms,
		    "timeout_ms is not a number of milliseconds" },
		{ "grace_ms", NUMBER, &w->grace_ms,
		    "grace_ms is not a number of milliseconds" },
		{ "detached", FLAG, &w->detached,
		    "detached is not true or false" },
		{ "attached", FLAG, &w->attached,
		    "attached is not true or false" },
	};
	struct reader		r = { .arena = &w->arena, .members = members,
		.nmembers = ARRAY_LEN(members), .other = other_of_start,
		.arg = w };

	w->grace_ms = TREEKILL_GRACE_MS;
	if (read_object(&r, p, n) < 0) {
		*why = r.why;
		return -EINVAL;
	}
	*why = judge_start(w);
	return *why == NULL ? 0 : -EINVAL;
}

/* -- a kill ---------------------------------------------------------------- */

static int
read_signal(struct reader *r, struct jobs_kill_wish *w)
{
	enum json_type	t = json_next(&r->j);
	char		name[16];
	int64_t		v;

	r->why = "signal is neither a name nor a number from 1 to 64";
	if (t == JSON_NUMBER && json_int(&r->j, &v) == 0 && v >= 1 && v <= 64)
		w->signo = (int)v;
	else if (t != JSON_STRING ||
	    json_text(&r->j, name, sizeof name) < 0 ||
	    (w->signo = command_signal(name)) == 0)
		return -EINVAL;
	return 0;
}

static int
read_scope(struct reader *r, struct jobs_kill_wish *w)
{
	r->why = "scope is none of tree, group, root";
	if (json_next(&r->j) != JSON_STRING)
		return -EINVAL;
	if (json_is(&r->j, "tree"))
		w->whom = TREEKILL_TREE;
	else if (json_is(&r->j, "group"))
		w->whom = TREEKILL_GROUP;
	else if (json_is(&r->j, "root"))
		w->whom = TREEKILL_ROOT;
	else
		return -EINVAL;
	return 0;
}

static int
other_of_kill(struct reader *r)
{
	struct jobs_kill_wish	*w = r->arg;

	if (json_is(&r->j, "signal"))
		return read_signal(r, w);
	if (json_is(&r->j, "scope"))
		return read_scope(r, w);
	if (!json_is(&r->j, "session"))
		return 1;
	r->why = "session is not the id of one";
	return json_next(&r->j) == JSON_STRING &&
	    json_text(&r->j, w->session, sizeof w->session) == 0 &&
	    stream_id_valid(w->session) ? 0 : -EINVAL;
}

/* TERM and KILL to the tree end it; anything else is delivered once (K15). */
int
jobs_read_kill(struct jobs_kill_wish *w, const void *p, size_t n,
    const char **why)
{
	const struct member	members[] = {
		{ "grace_ms", NUMBER, &w->grace_ms,
		    "grace_ms is not a number of milliseconds" },
		{ "wait", FLAG, &w->wait, "wait is not true or false" },
	};
	struct reader		r = { .members = members,
		.nmembers = ARRAY_LEN(members), .other = other_of_kill,
		.arg = w };

	*w = (struct jobs_kill_wish){ .grace_ms = TREEKILL_GRACE_MS,
	    .whom = TREEKILL_TREE, .wait = true };
	if (n > 0 && read_object(&r, p, n) < 0) {
		*why = r.why;
		return -EINVAL;
	}
	if (w->grace_ms > TREEKILL_GRACE_MAX_MS) {
		*why = too_patient;
		return -EINVAL;
	}
	if (w->signo == SIGKILL)
		w->grace_ms = 0;
	w->once = w->whom != TREEKILL_TREE ||
	    (w->signo != 0 && w->signo != SIGTERM && w->signo != SIGKILL);
	if (w->signo == 0)
		w->signo = SIGTERM;
	return 0;
}

/* -- a wait ---------------------------------------------------------------- */

struct wait_body {
	struct jobs_wait_wish *wish;
	bool		 has_text, has_port, has_interval;
	uint32_t	 port, interval_ms, timeout_ms;
};

/* 204 or "200-399" */
static int
read_status(struct reader *r, struct job_wait_spec *spec)
{
	enum json_type	t = json_next(&r->j);
	const char	*s = r->j.text;
	uint64_t	lo, hi;
	int64_t		v;

	r->why = "status is neither 204 nor \"200-399\"";
	if (t == JSON_NUMBER && json_int(&r->j, &v) == 0 && v >= 100 &&
	    v <= 999) {
		spec->status_min = spec->status_max = (unsigned)v;
		return 0;
	}
	if (t != JSON_STRING || (r->j.len != 7 && r->j.len != 3) ||
	    mem_to_u64(s, 3, 999, &lo) < 0 || lo < 100)
		return -EINVAL;
	hi = lo;
	if (r->j.len == 7 && (s[3] != '-' ||
	    mem_to_u64(s + 4, 3, 999, &hi) < 0 || hi < lo))
		return -EINVAL;
	spec->status_min = (unsigned)lo;
	spec->status_max = (unsigned)hi;
	return 0;
}

static int
read_path(struct reader *r, struct jobs_wait_wish *w)
{
	const char	*s;

	r->why = "path is not a path of printable characters";
	if (json_next(&r->j) != JSON_STRING ||
	    json_text(&r->j, w->path, sizeof w->path) < 0 ||
	    w->path[0] != '/')
		return -EINVAL;
	for (s = w->path; *s > 0x20 && *s < 0x7f; s++)
		;
	return *s == '\0' ? 0 : -EINVAL;
}

static int
other_of_wait(struct reader *r)
{
	struct wait_body	*v = r->arg;
	struct jobs_wait_wish	*w = v->wish;

	if (json_is(&r->j, "log")) {
		r->why = "log is not a text of 1 to 1024 bytes";
		v->has_text = true;
		return json_next(&r->j) == JSON_STRING &&
		    json_text(&r->j, w->text, sizeof w->text) == 0 &&
		    w->text[0] != '\0' ? 0 : -EINVAL;
	}
	if (json_is(&r->j, "port")) {
		r->why = "port is not a number from 1 to 65535";
		v->has_port = true;
		return read_number(r, UINT16_MAX, &v->port) < 0 ||
		    v->port == 0 ? -EINVAL : 0;
	}
	if (json_is(&r->j, "interval_ms")) {
		r->why = "interval_ms is not a number of milliseconds";
		v->has_interval = true;
		return read_number(r, UINT32_MAX, &v->interval_ms);
	}
	if (json_is(&r->j, "mode")) {
		r->why = "mode is neither http nor tcp";
		if (json_next(&r->j) != JSON_STRING)
			return -EINVAL;
		w->spec.probe.http = json_is(&r->j, "http");
		return w->spec.probe.http || json_is(&r->j, "tcp") ? 0 :
		    -EINVAL;
	}
	if (json_is(&r->j, "path"))
		return read_path(r, w);
	return json_is(&r->j, "status") ? read_status(r, &w->spec) : 1;
}

static void
fill_wait(const struct wait_body *v, struct jobs_wait_wish *w)
{
	uint32_t	each = v->has_interval ? v->interval_ms :
			    JOBS_PROBE_EACH;

	w->spec.what = v->has_port ? JOB_AWAIT_PORT : JOB_AWAIT_LINE;
	w->spec.text = w->text;
	w->spec.probe.path = w->path;
	w->spec.probe.port = (uint16_t)v->port;
	w->spec.timeout_ms = v->timeout_ms;
	w->spec.interval_ms = each < JOBS_PROBE_MIN ? JOBS_PROBE_MIN :
	    each > JOBS_PROBE_MAX ? JOBS_PROBE_MAX : each;
}

int
jobs_read_wait(struct jobs_wait_wish *w, const void *p, size_t n,
    const char **why)
{
	struct wait_body	v = { .wish = w };
	const struct member	members[] = {
		{ "regex", FLAG, &w->spec.regex,
		    "regex is not true or false" },
		{ "timeout_ms", NUMBER, &v.timeout_ms,
		    "timeout_ms is not a number of milliseconds" },
	};
	struct reader		r = { .members = members,
		.nmembers = ARRAY_LEN(members), .other = other_of_wait,
		.arg = &v };

	*w = (struct jobs_wait_wish){ .spec = { .probe = { .http = true },
	    .status_min = 200, .status_max = 399 }, .path = "/" };
	if (read_object(&r, p, n) < 0) {
		*why = r.why;
		return -EINVAL;
	}
	*why = "exactly one of log and port is needed";
	if (v.has_text == v.has_port)
		return -EINVAL;
	*why = NULL;
	fill_wait(&v, w);
	return 0;
}
