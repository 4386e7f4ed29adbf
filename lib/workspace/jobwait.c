/*
 * Waiting for a job: for its end, for a line of its output, for a port.
 *
 * Who waits for a line reads the log like anybody else, from its oldest event
 * on, in steps that keep the loop turning.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "workspace/job_impl.h"

#define STEP_COST	(256u * 1024)	/* of matching, in one turn */
#define QUIET_MS	200		/* then a line may have no end */

struct job_wait {
	struct job	*job;
	struct loop	*loop;
	struct job_wait_spec spec;
	struct jobmatch	 match;
	uint64_t	 seq;		/* next event to look at */
	size_t		 cost;		/* in this step */
	struct jobmatch_found found;
	enum joblog_type stream;
	struct probe	 probe;
	char		 path[PROBE_PATH_MAX];
	uint64_t	 probed_ms;
	struct loop_timer timeout, tick;
	struct loop_task task;
	job_wait_fn	*done;
	void		*arg;
	struct job_wait	*next, **prevp;
};

/* -- the end --------------------------------------------------------------- */

void
job_wait_cancel(struct job_wait *w)
{
	if (w == NULL)
		return;
	*w->prevp = w->next;
	if (w->next != NULL)
		w->next->prevp = w->prevp;
	loop_timer_clear(&w->timeout);
	loop_timer_clear(&w->tick);
	loop_later_cancel(w->loop, &w->task);
	probe_stop(&w->probe);
	jobmatch_finish(&w->match);
	job_unref(w->job);
	free(w);
}

static void
finish(struct job_wait *w, enum job_outcome outcome, unsigned status)
{
	struct job_wait_result	r = { .outcome = outcome, .job = w->job,
		.status = status, .found = &w->found, .stream = w->stream,
		.seq = w->seq };

	w->done(w->arg, &r);
	job_wait_cancel(w);
}

static void
on_timeout(void *arg)
{
	finish(arg, JOB_WAIT_TIMEOUT, 0);
}

/* -- a line ---------------------------------------------------------------- */

static void
forget_lines(struct jobmatch *m)
{
	buf_clear(&m->line[0]);
	buf_clear(&m->line[1]);
}

/* False: found, or enough for this turn. */
static bool
look_at(void *arg, const struct joblog_event *e)
{
	struct job_wait	*w = arg;

	if (e->seq != w->seq)
		forget_lines(&w->match);	/* something is missing */
	w->seq = e->seq;
	if (e->type == JOBLOG_STDOUT || e->type == JOBLOG_STDERR) {
		w->stream = e->type;
		if (jobmatch_feed(&w->match, e->type == JOBLOG_STDERR, e->p,
		    e->n, &w->found))
			return false;
		w->cost += w->match.cost * (e->n + 64);
	}
	w->found.line = NULL;
	w->seq++;
	return w->cost < STEP_COST;
}

/* What has no end yet is a line, too. */
static bool
look_at_rest(struct job_wait *w)
{
	unsigned	s;

	for (s = 0; s < 2; s++) {
		w->stream = s == 0 ? JOBLOG_STDOUT : JOBLOG_STDERR;
		if (jobmatch_rest(&w->match, s, &w->found)) {
			w->seq = joblog_newest(&w->job->log);
			return true;
		}
	}
	return false;
}

static void
on_quiet(void *arg)
{
	struct job_wait	*w = arg;

	if (look_at_rest(w))
		finish(w, JOB_WAIT_DONE, 0);
}

static void
await_line(struct job_wait *w)
{
	w->cost = 0;
	w->found.line = NULL;
	(void)joblog_read(&w->job->log, w->seq, look_at, w);
	if (w->found.line != NULL) {
		finish(w, JOB_WAIT_DONE, 0);
	} else if (w->seq <= joblog_newest(&w->job->log)) {
		loop_later(w->loop, &w->task);
	} else if (job_terminal(w->job)) {
		finish(w, look_at_rest(w) ? JOB_WAIT_DONE : JOB_WAIT_ENDED, 0);
	} else if (jobmatch_pending(&w->match)) {
		w->tick.fn = on_quiet;
		loop_timer_set(w->loop, &w->tick,
		    loop_now(w->loop) + QUIET_MS);
	}
}

/* -- a port ---------------------------------------------------------------- */

static void
on_tick(void *arg)
{
	struct job_wait	*w = arg;

	w->probed_ms = loop_now(w->loop);
	probe_start(&w->probe, &w->spec.probe);
}

static void
on_probed(void *arg, int err, unsigned status)
{
	struct job_wait	*w = arg;

	if (job_terminal(w->job)) {
		finish(w, JOB_WAIT_ENDED, 0);
		return;
	}
	if (err == 0 && (!w->spec.probe.http ||
	    (status >= w->spec.status_min && status <= w->spec.status_max))) {
		finish(w, JOB_WAIT_DONE, status);
		return;
	}
	w->tick.fn = on_tick;
	loop_timer_set(w->loop, &w->tick, w->probed_ms + w->spec.interval_ms);
}

/* -- news ------------------------------------------------------------------ */

static void
work(void *arg)
{
	struct job_wait	*w = arg;

	switch (w->spec.what) {
	case JOB_AWAIT_END:
		if (job_terminal(w->job))
			finish(w, JOB_WAIT_DONE, 0);
		break;
	case JOB_AWAIT_LINE:
		await_line(w);
		break;
	case JOB_AWAIT_PORT:
		if (job_terminal(w->job))
			finish(w, JOB_WAIT_ENDED, 0);
		else if (!w->probe.running && w->tick.loop == NULL)
			on_tick(w);
		break;
	}
}

void
job_waits_poke(struct job *j)
{
	struct job_wait	*w;

	for (w = j->waits; w != NULL; w = w->next)
		loop_later(w->loop, &w->task);
}

void
job_waits_finish(struct job *j)
{
	struct job_wait	*w, *next;

	for (w = j->waits; w != NULL; w = next) {
		next = w->next;
		finish(w, JOB_WAIT_STOPPING, 0);
	}
}

/* -- interface ------------------------------------------------------------- */

static int
prepare(struct job_wait *w, const char **why)
{
	size_t	n;

	if (w->spec.what == JOB_AWAIT_LINE)
		return jobmatch_init(&w->match, w->spec.text, w->spec.regex,
		    why);
	if (w->spec.what == JOB_AWAIT_PORT && w->spec.probe.http) {
		n = strlen(w->spec.probe.path);
		*why = "the path is too long";
		if (n >= sizeof w->path)
			return -EINVAL;
		memcpy(w->path, w->spec.probe.path, n + 1);
		w->spec.probe.path = w->path;
	}
	return 0;
}

int
job_wait_start(struct job_wait **out, struct job *j,
    const struct job_wait_spec *spec, job_wait_fn *done, void *arg,
    const char **why)
{
	struct job_wait	*w;
	int		 r;

	if ((w = calloc(1, sizeof *w)) == NULL)
		return -ENOMEM;
	w->loop = j->owner->loop;
	w->spec = *spec;
	w->seq = 1;
	w->done = done;
	w->arg = arg;
	w->timeout.fn = on_timeout;
	w->task.fn = work;
	w->timeout.arg = w->tick.arg = w->task.arg = w;
	probe_init(&w->probe, w->loop, on_probed, w);
	if ((r = prepare(w, why)) < 0) {
		free(w);
		return r;
	}
	w->spec.text = NULL;
	w->job = job_ref(j);
	w->prevp = &j->waits;
	w->next = j->waits;
	if (w->next != NULL)
		w->next->prevp = &w->next;
	j->waits = w;
	if (spec->timeout_ms > 0)
		loop_timer_set(w->loop, &w->timeout,
		    loop_now(w->loop) + spec->timeout_ms);
	loop_later(w->loop, &w->task);
	*out = w;
	return 0;
}
