/*
 * POST /jobs: a command starts, detached from who asked for it or attached.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "svc/rest_impl.h"
#include "svc/rest_jobs.h"
#include "svc/svc.h"

static const char	lost[] = "the loss of its client";

/* Answers once it is known whether the program runs. */
struct starting {
	struct rest_conn *conn;		/* NULL: the caller is gone */
	struct svc	*svc;
	struct job	*job;
	struct job_watch watch;
	struct loop_task task;
	bool		 attached;
	uint32_t	 grace_ms;
};

static void
forget(struct starting *st)
{
	st->svc->starting--;
	job_unwatch(&st->watch);
	loop_later_cancel(st->svc->loop, &st->task);
	job_unref(st->job);
	free(st);
}

static void
answer(struct starting *st, const struct job_info *i)
{
	struct rest_conn	*c = st->conn;

	/* Who has said all he will say can't leave any more. */
	if (st->attached && c->eof)
		job_kill(st->job, st->grace_ms, JOB_REASON_REQUESTED, lost,
		    NULL);
	if (i->status == JOB_ERROR)
		rest_error(c, 500, "job %s: %s", i->id, i->message);
	else if (st->attached)
		jobs_attach(c, st->job, st->grace_ms);
	else
		jobs_answer(c, 201, st->job);
}

static void
on_turn(void *arg)
{
	struct starting	*st = arg;
	struct job_info	 i;

	job_info(st->job, &i);
	if (i.status == JOB_STARTING)
		return;
	if (st->conn != NULL)
		answer(st, &i);
	forget(st);
}

static void
on_more(void *arg)
{
	struct starting	*st = arg;

	loop_later(st->svc->loop, &st->task);
}

/* Who wanted to sit with it and is gone has lost it; else it goes on. */
static void
on_gone(void *arg)
{
	struct starting	*st = arg;

	st->conn = NULL;
	if (st->attached)
		job_kill(st->job, st->grace_ms, JOB_REASON_REQUESTED, lost,
		    NULL);
}

static void
refuse(struct rest_conn *c, int err, const char *why)
{
	switch (err) {
	case -EEXIST:
		rest_error(c, 409, "a job of that id is there");
		break;
	case -EAGAIN:
		rest_error(c, 503, "%s", why != NULL ? why :
		    "too many jobs or processes");
		break;
	case -EMFILE:
	case -ENFILE:
		rest_error(c, 503, "too few file descriptors");
		break;
	case -ENOMEM:
	case -ESHUTDOWN:
		rest_error(c, 503, "%s", err == -ENOMEM ? "out of memory" :
		    "the daemon stops");
		break;
	case -EINVAL:
		rest_error(c, 400, "the command's quotes are not closed");
		break;
	case -EPERM:
	case -EACCES:
		rest_error(c, 403, "%s", why != NULL ? why : strerror(-err));
		break;
	default:
		rest_error(c, 500, "%s", why != NULL ? why : strerror(-err));
		break;
	}
}

static int
start(struct rest_conn *c, struct starting *st, const struct jobs_wish *w,
    const char **why)
{
	struct svc	*svc = c->rest->opt.svc;
	char		 who[JOBS_WHO_MAX];
	struct account	*a = NULL;
	struct job_spec	 spec = {
		.id = w->id, .command = w->command,
		.argv = w->nargv > 0 ? w->argv : NULL, .cwd = w->cwd,
		.env = w->env, .nenv = w->nenv,
		.session = w->session != NULL ? w->session : "",
		.detached = w->detached, .timeout_ms = w->timeout_ms,
		.grace_ms = w->grace_ms, .who = who,
	};
	int		 r;

	jobs_who(c, who);
	*why = "too many starts at once";
	if (!svc_may_start(svc))
		return -EAGAIN;
	*why = NULL;
	r = account_resolve(&a, svc->identity, "", &account_files_system,
	    why);
	if (r < 0)
		return r;
	spec.account = a;
	r = job_start(svc->jobs, &st->job, &spec);
	account_destroy(a);
	return r;
}

static void
begin(struct rest_conn *c, const struct jobs_wish *w)
{
	struct starting	*st;
	const char	*why = NULL;
	int		 r;

	if ((st = calloc(1, sizeof *st)) == NULL) {
		refuse(c, -ENOMEM, NULL);
		return;
	}
	if ((r = start(c, st, w, &why)) < 0) {
		free(st);
		refuse(c, r, why);
		return;
	}
	st->conn = c;
	st->svc = c->rest->opt.svc;
	st->svc->starting++;
	st->attached = w->attached;
	st->grace_ms = w->grace_ms;
	st->task = (struct loop_task){ .fn = on_turn, .arg = st };
	st->watch = (struct job_watch){ .more = on_more, .arg = st };
	job_ref(st->job);
	job_watch(st->job, &st->watch);
	rest_wait(c, on_gone, st);
}

void
rest_job_start(struct rest_conn *c)
{
	struct jobs_wish	*w;
	const char		*why = NULL;

	if ((w = calloc(1, sizeof *w)) == NULL) {
		refuse(c, -ENOMEM, NULL);
		return;
	}
	arena_init(&w->arena, JOBS_MEM_MAX);
	if (jobs_read_start(w, buf_head(&c->body), c->body.len, &why) < 0)
		rest_error(c, 400, "%s", why);
	else if (!w->attached || rest_lasts(c))
		begin(c, w);
	arena_finish(&w->arena);
	free(w);
}
