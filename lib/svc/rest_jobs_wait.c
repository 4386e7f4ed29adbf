/*
 * GET and POST /jobs/{id}/wait: until it is over, says something, listens.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "svc/rest_impl.h"
#include "svc/rest_jobs.h"
#include "svc/svc.h"

struct awaiting {
	struct rest_conn *conn;
	struct job_wait	*wait;
	enum job_await	 what;
	uint64_t	 timeout_ms;
};

/* ---- answers ---- */

static void
put_group(struct json_out *o, const struct jobmatch_found *found,
    const regmatch_t *g)
{
	char	text[3 * JOBMATCH_LINE_MAX + 1];
	size_t	n = (size_t)(g->rm_eo - g->rm_so);

	if (g->rm_so < 0) {
		json_put_null(o, NULL);
		return;
	}
	memcpy(text, found->line + g->rm_so, n);
	text[n] = '\0';
	json_put_string(o, NULL, text);
}

static void
answer_line(struct rest_conn *c, const struct job_wait_result *r)
{
	struct json_out	o;
	size_t		i;

	json_out_init(&o, &c->answer);
	json_put_object(&o, NULL);
	json_put_bool(&o, "matched", true);
	json_put_string(&o, "stream",
	    r->stream == JOBLOG_STDERR ? "stderr" : "stdout");
	json_put_string(&o, "line", r->found->line);
	json_put_int(&o, "seq", (int64_t)r->seq);
	json_put_array(&o, "groups");
	for (i = 0; i < r->found->ngroups; i++)
		put_group(&o, r->found, &r->found->group[i]);
	json_put_end(&o, ']');
	json_put_end(&o, '}');
	rest_json(c, 200, &o);
}

static void
answer_port(struct rest_conn *c, unsigned status)
{
	struct json_out	o;

	json_out_init(&o, &c->answer);
	json_put_object(&o, NULL);
	json_put_bool(&o, "ready", true);
	if (status != 0)
		json_put_int(&o, "status_code", status);
	json_put_end(&o, '}');
	rest_json(c, 200, &o);
}

static void
answer_ended(struct rest_conn *c, const struct job *j)
{
	struct job_info	i;

	job_info(j, &i);
	if (i.status == JOB_ERROR)
		rest_error(c, 500, "job %s never ran: %s", i.id, i.message);
	else
		rest_error(c, 500, "job %s: exited before ready, status %d",
		    i.id, i.exit_code);
}

static void
on_done(void *arg, const struct job_wait_result *r)
{
	struct awaiting		*w = arg;
	struct rest_conn	*c = w->conn;

	switch (r->outcome) {
	case JOB_WAIT_DONE:
		if (w->what == JOB_AWAIT_END)
			jobs_answer(c, 200, r->job);
		else if (w->what == JOB_AWAIT_LINE)
			answer_line(c, r);
		else
			answer_port(c, r->status);
		break;
	case JOB_WAIT_ENDED:
		answer_ended(c, r->job);
		break;
	case JOB_WAIT_TIMEOUT:
		rest_error(c, 408, "job %s: timeout after %llu ms", c->arg,
		    (unsigned long long)w->timeout_ms);
		break;
	case JOB_WAIT_STOPPING:
		rest_error(c, 503, "the daemon stops");
		break;
	}
	free(w);
}

static void
on_gone(void *arg)
{
	struct awaiting	*w = arg;

	job_wait_cancel(w->wait);
	free(w);
}

/* ---- questions ---- */

static void
await(struct rest_conn *c, struct job *j, const struct job_wait_spec *spec)
{
	struct awaiting	*w;
	const char	*why = NULL;
	int		 r;

	if ((w = calloc(1, sizeof *w)) == NULL) {
		rest_error(c, 503, "out of memory");
		return;
	}
	w->conn = c;
	w->what = spec->what;
	w->timeout_ms = spec->timeout_ms;
	r = job_wait_start(&w->wait, j, spec, on_done, w, &why);
	if (r < 0) {
		free(w);
		rest_error(c, r == -EINVAL ? 400 : 503, "%s",
		    r == -EINVAL ? why : "out of memory");
		return;
	}
	rest_wait(c, on_gone, w);
}

void
rest_job_wait(struct rest_conn *c)
{
	struct job_wait_spec	 spec = { .what = JOB_AWAIT_END };
	struct job		*j = jobs_find(c);

	if (j != NULL &&
	    jobs_number(c, "timeout_ms", UINT32_MAX, &spec.timeout_ms))
		await(c, j, &spec);
}

void
rest_job_await(struct rest_conn *c)
{
	struct jobs_wait_wish	 wish;
	const char		*why = NULL;
	struct job		*j;

	if (jobs_read_wait(&wish, buf_head(&c->body), c->body.len, &why) < 0)
		rest_error(c, 400, "%s", why);
	else if ((j = jobs_find(c)) != NULL)
		await(c, j, &wish.spec);
}
