/*
 * The end of a job that somebody asked for.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "workspace/job_impl.h"

/* From an empty tree to the program's status and the end of its output. */
#define SETTLE_MS	3000
#define SETTLE_STUCK_MS	500		/* somebody hangs in the kernel */
#define START_LOOK_MS	10		/* until the shim has forked */

/* -- answers --------------------------------------------------------------- */

static void
killing_unlink(struct job_killing *k)
{
	*k->prevp = k->next;
	if (k->next != NULL)
		k->next->prevp = k->prevp;
	k->prevp = NULL;
}

static void
tell(void *arg)
{
	struct job_killing	*k = arg;
	struct job		*j = k->job;

	k->job = NULL;
	killing_unlink(k);
	k->done(k->arg, j, k->already, &j->result);
	job_unref(j);
}

/* The tree is gone and the status known: everybody gets the same answer. */
static void
answer(struct job *j)
{
	struct job_killing	*k;

	if (j->kill != NULL || !j->killed ||
	    (!job_terminal(j) && !j->result.root_denied))
		return;
	for (k = j->killings; k != NULL; k = k->next)
		loop_later(j->owner->loop, &k->task);
}

void
job_killing_cancel(struct job_killing *k)
{
	struct job	*j = k->job;

	if (j == NULL)
		return;
	k->job = NULL;
	killing_unlink(k);
	loop_later_cancel(j->owner->loop, &k->task);
	job_unref(j);
}

static void
await(struct job *j, struct job_killing *k)
{
	k->job = job_ref(j);
	k->already = job_terminal(j);
	k->task = (struct loop_task){ .fn = tell, .arg = k };
	k->prevp = &j->killings;
	k->next = j->killings;
	if (k->next != NULL)
		k->next->prevp = &k->next;
	j->killings = k;
}

/* -- the tree -------------------------------------------------------------- */

static void
log_survivors(const struct job *j, const struct treekill_result *r)
{
	size_t	i, n = r->nsurvivors < TREEKILL_SURVIVORS_MAX ?
	    r->nsurvivors : TREEKILL_SURVIVORS_MAX;

	for (i = 0; i < n; i++)
		log_warn(JOB_COMPONENT, "job %s: pid %d (%s) is still there: "
		    "%s", j->id, (int)r->survivor[i].pid,
		    r->survivor[i].name, treekill_why(&r->survivor[i]));
}

/*
 * No status came, and none may ever come: what the signal would have made of
 * it (S8).
 */
static void
on_settle(void *arg)
{
	struct job	*j = arg;
	int		 signo = j->result.phase == TREEKILL_TERM ? SIGTERM :
	    SIGKILL;

	job_end(j, JOB_KILLED, 128 + signo, signo);
}

static void
settle(struct job *j)
{
	struct loop	*l = j->owner->loop;

	j->killed = true;
	if (job_terminal(j)) {
		answer(j);
		return;
	}
	if (j->result.root_denied) {	/* it runs on, and is still ours */
		j->kill_reason = JOB_REASON_NONE;
		answer(j);
		return;
	}
	j->settle.fn = on_settle;
	j->settle.arg = j;
	loop_timer_set(l, &j->settle, loop_now(l) +
	    (j->result.nsurvivors > 0 ? SETTLE_STUCK_MS : SETTLE_MS));
}

static void
on_killed(void *arg, const struct treekill_result *r)
{
	struct job	*j = arg;

	j->kill = NULL;
	j->result = *r;
	j->unsure = j->unsure && r->nsurvivors > 0;
	log_info(JOB_COMPONENT, "job %s: tree ended, %u told, %zu left", j->id,
	    r->told, r->nsurvivors);
	log_survivors(j, r);
	settle(j);
}

static void
begin(struct job *j, uint32_t grace_ms)
{
	struct treekill_spec	spec = { .grace_ms = grace_ms,
		.cgroup = job_cgroup(j), .cgroup_events = j->cgroup.events };

	j->killed = false;
	j->result = (struct treekill_result){ .phase = TREEKILL_NONE };
	job_scope(j, &spec.scope);
	if (treekill_start(&j->kill, j->owner->loop, &spec, on_killed, j) == 0)
		return;
	/* No memory to be gentle. */
	j->kill = NULL;
	j->result.phase = TREEKILL_KILL;
	j->result.told = treekill_now(&spec.scope, spec.cgroup);
	settle(j);
}

/*
 * Before the shim has forked the program there is nobody to find; from then on
 * he may hang on his way to exec, and is ended there (N14).
 */
static bool
is_unborn(const struct job *j)
{
	return j->status == JOB_STARTING && task_pid(j->task) == 0;
}

static void
begin_late(struct job *j)
{
	j->kill_waits = false;
	loop_timer_clear(&j->settle);
	begin(j, j->kill_grace_ms);
}

static void
look_for_birth(void *arg)
{
	struct job	*j = arg;

	if (!is_unborn(j)) {
		begin_late(j);
		return;
	}
	j->settle.fn = look_for_birth;
	j->settle.arg = j;
	loop_timer_set(j->owner->loop, &j->settle,
	    loop_now(j->owner->loop) + START_LOOK_MS);
}

static void
await_birth(struct job *j, uint32_t grace_ms)
{
	if (!j->kill_waits || grace_ms < j->kill_grace_ms)
		j->kill_grace_ms = grace_ms;
	j->kill_waits = true;
	look_for_birth(j);
}

/* A kill of this turn: whoever comes now gets what the others get. */
static bool
is_answering(const struct job *j)
{
	const struct job_killing	*k;

	for (k = j->killings; k != NULL; k = k->next)
		if (k->task.queued)
			return true;
	return false;
}

void
job_kill(struct job *j, uint32_t grace_ms, enum job_reason reason,
    const char *who, struct job_killing *k)
{
	bool	alive = job_alive(j);

	if (k != NULL)
		await(j, k);
	if (alive)
		log_info(JOB_COMPONENT, "job %s: kill by %s, grace %u ms",
		    j->id, who, grace_ms);
	if (!job_terminal(j) && j->kill_reason == JOB_REASON_NONE)
		j->kill_reason = reason;
	if (j->kill != NULL) {
		treekill_hasten(j->kill, grace_ms);
	} else if (is_unborn(j)) {
		await_birth(j, grace_ms);
	} else if (is_answering(j)) {
		answer(j);
	} else if (alive && !j->settle.loop) {
		begin(j, grace_ms);
	} else if (job_terminal(j)) {
		if (!j->killed)
			j->result = (struct treekill_result){
			    .phase = TREEKILL_NONE };
		j->killed = true;
		answer(j);
	}
	job_hold(j, 0);		/* its end waits for no reader */
}

int
job_signal(struct job *j, enum treekill_whom whom, int signo, const char *who)
{
	struct tree_scope	scope;
	int			n;

	if (signo < 1 || signo > 64)
		return -EINVAL;
	if (!job_alive(j))
		return -ESRCH;
	job_scope(j, &scope);
	n = treekill_signal(&scope, j->pid, whom, signo);
	log_info(JOB_COMPONENT, "job %s: signal %d by %s: %s", j->id, signo,
	    who, n < 0 ? strerror(-n) : "sent");
	return n < 0 ? n : 0;
}

/* -- what happens meanwhile ------------------------------------------------ */

void
job_kill_started(struct job *j)
{
	if (!j->kill_waits)
		return;
	if (j->status == JOB_RUNNING) {
		begin_late(j);
		return;
	}
	j->kill_waits = false;
	loop_timer_clear(&j->settle);
	j->killed = true;
}

void
job_kill_ended(struct job *j)
{
	loop_timer_clear(&j->settle);
	answer(j);
}

void
job_kill_emptied(struct job *j)
{
	if (j->kill != NULL)
		treekill_emptied(j->kill);
}

void
job_kill_finish(struct job *j)
{
	struct job_killing	*k, *next;

	treekill_abandon(j->kill);
	j->kill = NULL;
	loop_timer_clear(&j->settle);
	for (k = j->killings; k != NULL; k = next) {
		next = k->next;
		loop_later_cancel(j->owner->loop, &k->task);
		tell(k);
	}
}
