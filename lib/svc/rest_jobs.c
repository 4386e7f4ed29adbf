/*
 * Jobs: what there is, how one is doing, and forgetting those that are over.
 */
#include "svc/rest_jobs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/rfc3339.h"
#include "base/str.h"
#include "svc/rest_impl.h"
#include "svc/svc.h"

/* Of each text in a list, which then fits into an answer, were it full of jobs
 * and all of it escaped.  Where one is asked for, it has all. */
#define LISTED_MAX	512u

/* ---- shared ---- */

void
jobs_who(const struct rest_conn *c, char out[JOBS_WHO_MAX])
{
	(void)snprintf(out, JOBS_WHO_MAX, "uid %u, pid %d", c->uid,
	    (int)c->pid);
}

struct job *
jobs_find(struct rest_conn *c)
{
	struct job	*j = job_find(c->rest->opt.svc->jobs, c->arg);

	if (j == NULL)
		rest_error(c, 404, "no job %s", c->arg);
	return j;
}

bool
jobs_number(struct rest_conn *c, const char *name, uint64_t max, uint64_t *v)
{
	char	text[32];
	int	r = rest_query(c, name, text, sizeof text);

	if (r == 0 || (r == 1 && str_to_u64(text, max, v) == 0))
		return true;
	rest_error(c, 400, "%s is not a number", name);
	return false;
}

void
jobs_time(int64_t ms, char out[JOBS_TIME_LEN])
{
	char	seconds[RFC3339_LEN];

	out[0] = '\0';
	if (ms == 0)
		return;
	rfc3339_format(ms / 1000, seconds);
	if (seconds[0] != '\0')
		(void)snprintf(out, JOBS_TIME_LEN, "%.19s.%03uZ", seconds,
		    (unsigned)(ms % 1000) % 1000);
}

/* ---- the object ---- */

static void
put_argv(struct json_out *o, const char *const *argv, bool all)
{
	size_t	i, n = 0;

	for (i = 0; argv[i] != NULL; i++)
		n += strlen(argv[i]) + 1;
	if (n > LISTED_MAX && !all)
		return;
	json_put_array(o, "argv");
	for (i = 0; argv[i] != NULL; i++)
		json_put_string(o, NULL, argv[i]);
	json_put_end(o, ']');
}

static bool
too_long(const char *s, bool all)
{
	return !all && strlen(s) > LISTED_MAX;
}

/* A command is for eyes, which know it by its beginning.  A path that is cut
 * is another path. */
static void
put_texts(struct json_out *o, const struct job_info *i, bool all)
{
	char	text[LISTED_MAX + 4];
	bool	cut = too_long(i->command, all);

	if (cut)
		(void)utf8_repair(i->command, LISTED_MAX, text,
		    LISTED_MAX + 1);
	json_put_string(o, "command", cut ? text : i->command);
	if (cut)
		json_put_bool(o, "cut", true);
	if (i->argv != NULL)
		put_argv(o, i->argv, all);
	if (!too_long(i->cwd, all))
		json_put_string(o, "cwd", i->cwd);
}

static void
put_end(struct json_out *o, const struct job_info *i)
{
	if (i->exit_code >= 0)
		json_put_int(o, "exit_code", i->exit_code);
	if (i->signo > 0)
		json_put_int(o, "signal", i->signo);
}

/* all: also what would make a list too long. */
static void
put_job(struct json_out *o, const struct job *j, bool all)
{
	struct job_info	i;
	char		start[JOBS_TIME_LEN], end[JOBS_TIME_LEN];

	job_info(j, &i);
	jobs_time(i.start_ms, start);
	jobs_time(i.end_ms, end);
	json_put_object(o, NULL);
	json_put_string(o, "id", i.id);
	put_texts(o, &i, all);
	json_put_string(o, "session", i.session);
	json_put_bool(o, "detached", i.detached);
	json_put_string(o, "status", job_status_name(i.status));
	json_put_string(o, "reason", job_reason_name(i.reason));
	json_put_string(o, "message", i.message);
	json_put_int(o, "pid", i.pid);
	put_end(o, &i);
	json_put_string(o, "start_time", start);
	json_put_string(o, "end_time", end);
	json_put_int(o, "lingering", (int64_t)job_lingering(j));
	json_put_int(o, "timeout_ms", i.timeout_ms);
	json_put_string(o, "log_file", i.log_file);
	json_put_int(o, "seq", (int64_t)joblog_newest(i.log));
	json_put_int(o, "bytes_out", (int64_t)i.log->total);
	json_put_end(o, '}');
}

void
jobs_answer(struct rest_conn *c, unsigned status, const struct job *j)
{
	struct json_out	o;

	json_out_init(&o, &c->answer);
	put_job(&o, j, true);
	rest_json(c, status, &o);
}

/* ---- GET /jobs, GET /jobs/{id} ---- */

struct listing {
	struct json_out	 o;
	bool		 by_status, by_session;
	enum job_status	 status;
	char		 session[JOB_SESSION_MAX + 1];
};

static bool
put_listed(void *arg, struct job *j)
{
	struct listing	*l = arg;
	struct job_info	 i;

	job_info(j, &i);
	if ((!l->by_status || i.status == l->status) &&
	    (!l->by_session || strcmp(i.session, l->session) == 0))
		put_job(&l->o, j, false);
	return true;
}

void
rest_jobs(struct rest_conn *c)
{
	struct listing	l = { .by_status = false };
	char		status[16];
	int		r;

	r = rest_query(c, "status", status, sizeof status);
	l.by_status = r != 0 && !(r == 1 && status[0] == '\0');
	if (l.by_status &&
	    (r < 0 || job_status_parse(status, &l.status) < 0)) {
		rest_error(c, 400, "status is none of starting, running, "
		    "completed, failed, killed, error");
		return;
	}
	if ((r = rest_query(c, "session", l.session, sizeof l.session)) < 0) {
		rest_error(c, 400, "session is not the id of one");
		return;
	}
	l.by_session = r == 1;
	json_out_init(&l.o, &c->answer);
	json_put_array(&l.o, NULL);
	jobs_each(c->rest->opt.svc->jobs, put_listed, &l);
	json_put_end(&l.o, ']');
	rest_json(c, 200, &l.o);
}

void
rest_job(struct rest_conn *c)
{
	struct job	*j = jobs_find(c);

	if (j != NULL)
		jobs_answer(c, 200, j);
}

/* ---- DELETE /jobs/{id}, DELETE /jobs ---- */

void
rest_job_remove(struct rest_conn *c)
{
	struct job	*j = jobs_find(c);
	size_t		 left;

	if (j == NULL)
		return;
	if (job_remove(j) == 0)
		rest_empty(c, 204);
	else if ((left = job_lingering(j)) > 0)
		rest_error(c, 409, "job %s left %zu processes: kill it first",
		    c->arg, left);
	else
		rest_error(c, 409, "job %s runs: kill it first", c->arg);
}

static void
answer_count(struct rest_conn *c, const char *what, size_t n)
{
	struct json_out	o;

	json_out_init(&o, &c->answer);
	json_put_object(&o, NULL);
	json_put_int(&o, what, (int64_t)n);
	json_put_end(&o, '}');
	rest_json(c, 200, &o);
}

/* terminal=1: forget what is over; session=ID: destroy what is its. */
void
rest_jobs_remove(struct rest_conn *c)
{
	struct jobs	*js = c->rest->opt.svc->jobs;
	char		 session[JOB_SESSION_MAX + 1], who[JOBS_WHO_MAX];

	if (rest_query_true(c, "terminal")) {
		answer_count(c, "removed", jobs_remove_ended(js));
	} else if (rest_query(c, "session", session, sizeof session) == 1 &&
	    session[0] != '\0') {
		jobs_who(c, who);
		answer_count(c, "destroyed",
		    jobs_destroy_session(js, session, who));
	} else {
		rest_error(c, 400, "terminal=1 or session=ID is needed");
	}
}
