/* See reap.h. */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/loop.h"
#include "proc/reap.h"

#define REAP_BUCKETS_MIN	64	/* a power of two, as all sizes here */

struct reap {
	bool		 adopt;
	size_t		 nbuckets, count;
	struct reap_entry **buckets;	/* by pid; pids come in sequence */
	uint64_t	 adopted;
	bool		 left_some;	/* the last call stopped at its limit */
};

static struct reap_entry **
bucket_of(const struct reap *r, pid_t pid)
{
	return &r->buckets[(size_t)pid & (r->nbuckets - 1)];
}

static void
entry_link(struct reap_entry *e, struct reap_entry **head)
{
	e->next = *head;
	e->prevp = head;
	if (e->next != NULL)
		e->next->prevp = &e->next;
	*head = e;
}

static void
entry_unlink(struct reap_entry *e)
{
	*e->prevp = e->next;
	if (e->next != NULL)
		e->next->prevp = e->prevp;
	e->next = NULL;
	e->prevp = NULL;
}

static struct reap_entry *
entry_find(const struct reap *r, pid_t pid)
{
	struct reap_entry	*e;

	for (e = *bucket_of(r, pid); e != NULL; e = e->next)
		if (e->pid == pid)
			return e;
	return NULL;
}

static void
entry_remove(struct reap_entry *e)
{
	entry_unlink(e);
	e->reap->count--;
	e->reap = NULL;
}

struct reap *
reap_create(bool adopt)
{
	struct reap	*r;

	if ((r = calloc(1, sizeof *r)) == NULL)
		return NULL;
	r->adopt = adopt;
	r->nbuckets = REAP_BUCKETS_MIN;
	r->buckets = calloc(r->nbuckets, sizeof *r->buckets);
	if (r->buckets == NULL) {
		free(r);
		return NULL;
	}
	return r;
}

/* For a child whose owner lost interest: the entry is all there is to free. */
static void
drop_status(void *arg, const struct reap_exit *e)
{
	(void)e;
	free(arg);
}

void
reap_destroy(struct reap *r)
{
	struct reap_entry	*e;
	size_t			 i;

	if (r == NULL)
		return;
	for (i = 0; i < r->nbuckets; i++)
		while ((e = r->buckets[i]) != NULL) {
			entry_remove(e);
			if (e->fn == drop_status)
				free(e);
		}
	free(r->buckets);
	free(r);
}

/* Out of memory only means longer chains. */
static void
grow(struct reap *r)
{
	struct reap_entry	**old = r->buckets, **mem, *e;
	size_t			  n = r->nbuckets, i;

	if ((mem = calloc(n * 2, sizeof *mem)) == NULL)
		return;
	r->buckets = mem;
	r->nbuckets = n * 2;
	for (i = 0; i < n; i++)
		while ((e = old[i]) != NULL) {
			entry_unlink(e);
			entry_link(e, bucket_of(r, e->pid));
		}
	free(old);
}

void
reap_watch(struct reap *r, struct reap_entry *e)
{
	assert(e->pid > 0 && e->fn != NULL);
	if (r->count >= r->nbuckets)
		grow(r);
	e->reap = r;
	entry_link(e, bucket_of(r, e->pid));
	r->count++;
}

void
reap_forget(struct reap_entry *e)
{
	struct reap		*r = e->reap;
	struct reap_entry	*ghost;

	if (r == NULL)
		return;
	entry_remove(e);
	if (r->adopt || (ghost = calloc(1, sizeof *ghost)) == NULL)
		return;
	ghost->pid = e->pid;
	ghost->fn = drop_status;
	ghost->arg = ghost;
	reap_watch(r, ghost);
}

void
reap_forget_owned(struct reap_entry *e)
{
	if (e->reap == NULL) {
		free(e);
		return;
	}
	e->fn = drop_status;
	e->arg = e;
}

/*
 * Looks for an ended child.  id 0: any child; WNOWAIT leaves it a zombie.
 * True and *out if there is one.
 */
static bool
look(pid_t id, int how, struct reap_exit *out)
{
	siginfo_t	si;
	int		r;

	do {
		si.si_pid = 0;		/* what "nothing yet" looks like */
		r = waitid(id == 0 ? P_ALL : P_PID, (id_t)id, &si,
		    WEXITED | WNOHANG | how);
	} while (r == -1 && errno == EINTR);
	if (r == -1 || si.si_pid == 0)
		return false;
	out->pid = si.si_pid;
	out->signaled = si.si_code != CLD_EXITED;
	out->value = si.si_status;
	return true;
}

static bool
peek(pid_t id, struct reap_exit *out)
{
	return look(id, WNOWAIT, out);
}

void
reap_unwatch(struct reap_entry *e)
{
	if (e->reap != NULL)
		entry_remove(e);
}

bool
reap_has_ended(pid_t pid)
{
	struct reap_exit	ex;

	return pid > 0 && peek(pid, &ex);
}

bool
reap_is_child(pid_t pid)
{
	siginfo_t	si;
	int		r;

	if (pid <= 0)
		return false;
	do
		r = waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT);
	while (r == -1 && errno == EINTR);
	return r == 0;
}

/* The owner first, the pid's freedom second. */
static void
deliver(struct reap *r, struct reap_entry *e, const struct reap_exit *ex)
{
	siginfo_t	si;

	if (e != NULL) {
		entry_remove(e);
		e->fn(e->arg, ex);	/* may free e */
	} else {
		r->adopted++;
	}
	while (waitid(P_PID, (id_t)ex->pid, &si, WEXITED | WNOHANG) == -1 &&
	    errno == EINTR)
		continue;
}

/* The time of one call: none of ours may keep the loop waiting for long. */
struct turn {
	uint64_t	begin_us;
	unsigned	n;		/* collected */
};

static bool
is_spent(const struct turn *t)
{
	return t->n >= REAP_BATCH ||
	    loop_clock_us() - t->begin_us >= REAP_SPEND_US;
}

/*
 * Somebody else's zombie hides ours from a look at all children, or thousands
 * stand before them: ask for each of ours.  Callbacks may change the table
 * meanwhile, so everything is moved to a list first and goes back one by one.
 * That turns the order around: who was not asked in time is first the next
 * time.
 */
static void
run_each(struct reap *r, struct turn *t)
{
	struct reap_entry	*todo = NULL, *e;
	struct reap_exit	 ex;
	size_t			 i;

	for (i = 0; i < r->nbuckets; i++)
		while ((e = r->buckets[i]) != NULL) {
			entry_unlink(e);
			entry_link(e, &todo);
		}
	while ((e = todo) != NULL) {
		entry_unlink(e);
		entry_link(e, bucket_of(r, e->pid));
		if (!is_spent(t) && peek(e->pid, &ex)) {
			deliver(r, e, &ex);
			t->n++;
		}
	}
}

/*
 * One of all our children: 1.  0: none has ended.  -1: one that is not ours to
 * collect, and hides those that are.
 */
static int
run_any(struct reap *r)
{
	struct reap_entry	*e;
	struct reap_exit	 ex;

	/* Where nobody waits for anybody, one call does for two. */
	if (r->adopt && r->count == 0) {
		if (!look(0, 0, &ex))
			return 0;
		r->adopted++;
		return 1;
	}
	if (!peek(0, &ex))
		return 0;
	if ((e = entry_find(r, ex.pid)) == NULL && !r->adopt)
		return -1;
	deliver(r, e, &ex);
	return 1;
}

/* Looks at least once, however long it was kept from the processor. */
unsigned
reap_run(struct reap *r)
{
	struct turn	t = { .begin_us = loop_clock_us() };
	int		got;

	if (r->left_some)
		run_each(r, &t);
	r->left_some = false;
	do {
		if ((got = run_any(r)) == 0)
			return t.n;
		if (got == 1)
			t.n++;
		else
			run_each(r, &t);
	} while (got == 1 && !is_spent(&t));
	if (!is_spent(&t))
		return t.n;
	r->left_some = true;
	kill(getpid(), SIGCHLD);
	return t.n;
}

bool
reap_left_some(const struct reap *r)
{
	return r->left_some;
}

size_t
reap_watched(const struct reap *r)
{
	return r->count;
}

bool
reap_is_watched(const struct reap *r, pid_t pid)
{
	return entry_find(r, pid) != NULL;
}

void
reap_each(const struct reap *r, void (*fn)(void *arg, pid_t pid), void *arg)
{
	const struct reap_entry	*e;
	size_t			 i;

	for (i = 0; i < r->nbuckets; i++)
		for (e = r->buckets[i]; e != NULL; e = e->next)
			fn(arg, e->pid);
}

uint64_t
reap_adopted(const struct reap *r)
{
	return r->adopted;
}

int
reap_exit_code(const struct reap_exit *e)
{
	return e->signaled ? 128 + e->value : e->value;
}

int
reap_become_subreaper(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == -1 ? -errno : 0;
}
