/*
 * The registry of jobs: who is there, how many, and what all of them share.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proc/cgroup.h"
#include "workspace/job_impl.h"

/*
 * The kernel counts whom it killed for want of memory in the whole container,
 * and doesn't say whom.  Who got SIGKILL just when the number rose was it.
 */
#define OOM_LOOK_MS	2000		/* while jobs run */
#define OOM_RECENT_MS	3000		/* from being seen to the death */

/* -- members --------------------------------------------------------------- */

/* Out of the registry, where nothing of it lives any more. */
static void
unlist(struct job *j)
{
	*j->prevp = j->next;
	if (j->next != NULL)
		j->next->prevp = j->prevp;
	j->owner->totals.log_memory -= j->log.memory;
	loop_timer_clear(&j->timeout);
	task_destroy(j->task);		/* nobody is left below its shim */
	j->task = NULL;
	job_unref(j);
}

/* Makes room: the oldest that are over go. */
static void
evict(struct jobs *js)
{
	struct job	*j, *old;
	size_t		 n;

	for (;;) {
		n = 0;
		old = NULL;
		for (j = js->list; j != NULL; j = j->next)
			if (!job_busy(j)) {
				old = j;
				n++;
			}
		if (n <= JOBS_KEPT)
			return;
		unlist(old);
	}
}

void
jobs_add(struct jobs *js, struct job *j)
{
	struct job	*old = job_find(js, j->id);

	if (old != NULL)
		unlist(old);
	j->prevp = &js->list;
	j->next = js->list;
	if (j->next != NULL)
		j->next->prevp = &j->next;
	js->list = j;
	js->totals.started++;
	if (js->oom_look.loop == NULL)
		loop_timer_set(js->loop, &js->oom_look,
		    loop_now(js->loop) + OOM_LOOK_MS);
	evict(js);
}

int
jobs_may_start(struct jobs *js, const char *id)
{
	struct job	*j = id != NULL ? job_find(js, id) : NULL;

	if (js->stopping)
		return -ESHUTDOWN;
	if (j != NULL && job_alive(j))
		return -EEXIST;
	return jobs_count(js) >= JOBS_LIVE_MAX ? -EAGAIN : 0;
}

/*
 * All logs together have a limit: ended jobs give first, the oldest of them,
 * then whoever writes.
 */
void
jobs_count_log(struct job *j, size_t before)
{
	struct jobs	*js = j->owner;
	struct job	*o, *old;

	js->totals.log_memory += j->log.memory - before;
	while (js->totals.log_memory > JOBS_LOG_MAX) {
		for (old = NULL, o = js->list; o != NULL; o = o->next)
			if (job_terminal(o) && o->log.oldest != o->log.newest)
				old = o;
		if (old == NULL)
			old = j;
		before = old->log.memory;
		joblog_shrink(&old->log, old == j ? before / 2 : 0);
		js->totals.log_memory -= before - old->log.memory;
		if (old->log.memory == before)
			return;
	}
}

/* -- want of memory -------------------------------------------------------- */

uint64_t
jobs_oom_kills(struct jobs *js)
{
	uint64_t	n;

	if (cgroup_oom_kills("", &n) == 0 && n != js->oom_kills) {
		js->oom_kills = n;
		js->oom_rose_ms = loop_now(js->loop);
	}
	return js->oom_kills;
}

bool
jobs_oom_recent(struct jobs *js, uint64_t since)
{
	return jobs_oom_kills(js) > since &&
	    loop_now(js->loop) - js->oom_rose_ms <= OOM_RECENT_MS;
}

static void
look_for_oom(void *arg)
{
	struct jobs	*js = arg;
	struct job	*j;

	(void)jobs_oom_kills(js);
	for (j = js->list; j != NULL && job_terminal(j); j = j->next)
		continue;
	if (j != NULL)
		loop_timer_set(js->loop, &js->oom_look,
		    loop_now(js->loop) + OOM_LOOK_MS);
}

/* -- life ------------------------------------------------------------------ */

struct jobs *
jobs_create(struct loop *l, struct reap *r, const struct rlimit *nofile,
    const char *shim)
{
	struct jobs	*js;

	if ((js = calloc(1, sizeof *js)) == NULL)
		return NULL;
	js->loop = l;
	js->reap = r;
	js->nofile = nofile;
	js->shim = shim;
	js->oom_look.fn = look_for_oom;
	js->oom_look.arg = js;
	if (cgjob_probe("", js->cgroup_home, sizeof js->cgroup_home) < 0)
		js->cgroup_home[0] = '\0';
	else
		log_info(JOB_COMPONENT, "jobs get control groups in %s",
		    js->cgroup_home);
	cgjob_sweep("");
	if ((js->files = jobfiles_create(l, r)) == NULL) {
		free(js);
		return NULL;
	}
	return js;
}

static void
abandon(struct job *j)
{
	struct tree_scope	scope;

	if (job_alive(j)) {
		job_scope(j, &scope);
		(void)treekill_now(&scope, job_cgroup(j));
		log_warn(JOB_COMPONENT, "job %s: abandoned, we end", j->id);
	}
	job_flush_log(j);
	jobfile_close(&j->file);
	job_waits_finish(j);
	job_kill_finish(j);
	if (j->task != NULL && j->finished)
		task_destroy(j->task);
	else if (j->task != NULL)
		task_hangup(j->task, NULL, NULL);
	j->task = NULL;
	unlist(j);
}

void
jobs_abandon(struct jobs *js)
{
	while (js->list != NULL)
		abandon(js->list);
}

bool
jobs_writing(const struct jobs *js)
{
	return jobfiles_pending(js->files);
}

void
jobs_destroy(struct jobs *js)
{
	if (js == NULL)
		return;
	jobs_abandon(js);
	loop_timer_clear(&js->oom_look);
	jobfiles_destroy(js->files);
	free(js);
}

size_t
jobs_count(const struct jobs *js)
{
	struct job	*j;
	size_t		 n = 0;

	for (j = js->list; j != NULL; j = j->next)
		n += j->unsure ? job_alive(j) : job_busy(j);
	return n;
}

void
jobs_totals(const struct jobs *js, struct jobs_totals *t)
{
	struct job	*j;

	*t = js->totals;
	for (j = js->list; j != NULL; j = j->next)
		t->kept++;
	t->live = jobs_count(js);
	t->kept -= t->live;
}

struct job *
job_find(struct jobs *js, const char *id)
{
	struct job	*j;

	for (j = js->list; j != NULL; j = j->next)
		if (strcmp(j->id, id) == 0)
			return j;
	return NULL;
}

void
jobs_each(struct jobs *js, jobs_fn *fn, void *arg)
{
	struct job	*j;

	for (j = js->list; j != NULL; j = j->next)
		if (!fn(arg, j))
			return;
}

/* Both: the first answers at once, the second makes sure. */
static void
destroy_tree(struct job *j, const char *who)
{
	struct tree_scope	scope;

	if (j->kill_reason == JOB_REASON_NONE && !job_terminal(j))
		j->kill_reason = JOB_REASON_REQUESTED;
	if (j->status != JOB_STARTING) {
		job_scope(j, &scope);
		(void)treekill_now(&scope, job_cgroup(j));
	}
	job_kill(j, 0, JOB_REASON_REQUESTED, who, NULL);
}

static size_t
destroy_session(struct jobs *js, const char *session, bool all,
    const char *who)
{
	struct job	*j, *next;
	size_t		 n = 0;

	for (j = js->list; j != NULL; j = next) {
		next = j->next;
		if (strcmp(j->session, session) != 0 ||
		    (j->detached && !all) || !job_alive(j))
			continue;
		destroy_tree(j, who);
		n++;
	}
	return n;
}

void
jobs_session_ended(struct jobs *js, const char *session)
{
	(void)destroy_session(js, session, false, "the end of its session");
}

size_t
jobs_destroy_session(struct jobs *js, const char *session, const char *who)
{
	return destroy_session(js, session, true, who);
}

void
jobs_stop(struct jobs *js, uint32_t grace_ms)
{
	struct job	*j;

	js->stopping = true;
	for (j = js->list; j != NULL; j = j->next)
		if (job_alive(j))
			job_kill(j, grace_ms, JOB_REASON_REQUESTED,
			    "the daemon's end", NULL);
}

int
job_remove(struct job *j)
{
	if (job_alive(j))
		return -EBUSY;
	unlist(j);
	return 0;
}

size_t
jobs_remove_ended(struct jobs *js)
{
	struct job	*j, *next;
	size_t		 n = 0;

	for (j = js->list; j != NULL; j = next) {
		next = j->next;
		n += job_remove(j) == 0;
	}
	return n;
}
