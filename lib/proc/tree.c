/* The walk of tree.h; whom it finds is kept by tree_member.c. */
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/loop.h"
#include "proc/mark.h"
#include "proc/reap.h"
#include "proc/tree.h"
#include "proc/tree_impl.h"

#define LOOKS_MIN	512u		/* whatever time it takes */
#define PATIENCE_EACH_US 100u		/* a living member more */

/* For a kernel without children files: who is whose. */
struct kin {
	pid_t	 ppid, pid;
};

/* Somebody listed as a child, to be looked at. */
struct hint {
	pid_t	 pid, ppid;
	uint32_t up;			/* the parent's index, or TREE_NOBODY */
};

struct walk {
	struct tree *t;
	const struct tree_scope *scope;
	pid_t	 self, sid;
	uint64_t start_us;
	struct hint *hint;		/* a stack: the next one is the last */
	size_t	 nhints, chints, looks;
	struct hint of;			/* whose list is being read */
	struct kin *kin;		/* by ppid; NULL: not needed so far */
	size_t	 nkin, ckin;
	bool	 nomem;
};

/* -- who belongs to it ---------------------------------------------------- */

/* A living member is in that session, so its number is nobody else's. */
static bool
session_seen(const struct walk *w, pid_t sid)
{
	const struct tree	*t = w->t;
	size_t			 i;

	for (i = 0; i < t->n; i++)
		if (!t->member[i].dead && t->member[i].stat.sid == sid)
			return true;
	return false;
}

/* Started by us, and not collected so far. */
static bool
is_watched(const struct walk *w, pid_t pid)
{
	return w->scope->reap != NULL && reap_is_watched(w->scope->reap, pid);
}

/* For our own children, where there is no shim to tell whose they are. */
static bool
belongs(const struct walk *w, const struct procfs_stat *st)
{
	return (st->pid == w->scope->leader && is_watched(w, st->pid) &&
	    st->start == w->t->leader_start) ||
	    mark_is(w->t->sys->root, st->pid, w->scope->mark) ||
	    (st->sid > 1 && st->sid != w->sid && session_seen(w, st->sid));
}

/* -- the walk ------------------------------------------------------------- */

static bool
push_kid(void *arg, pid_t pid)
{
	struct walk	*w = arg;

	if (tree_reserve(&w->hint, w->nhints, &w->chints,
	    sizeof *w->hint) < 0) {
		w->nomem = true;
		return false;
	}
	w->hint[w->nhints++] = (struct hint){ pid, w->of.ppid, w->of.up };
	return true;
}

static bool
push_kin(void *arg, pid_t pid)
{
	struct walk		*w = arg;
	struct procfs_stat	 st;

	if (tree_look_at(w->t, pid, &st) < 0)
		return true;
	if (tree_reserve(&w->kin, w->nkin, &w->ckin, sizeof *w->kin) < 0) {
		w->nomem = true;
		return false;
	}
	w->kin[w->nkin++] = (struct kin){ st.ppid, pid };
	return true;
}

static int
compare_kin(const void *a, const void *b)
{
	const struct kin	*x = a, *y = b;

	return (x->ppid > y->ppid) - (x->ppid < y->ppid);
}

/* Children by a look at everybody (T2); one look serves the whole walk. */
static int
list_kin(struct walk *w, pid_t ppid)
{
	size_t	low = 0, high, mid;
	int	r;

	if (w->kin == NULL) {
		r = procfs_each(w->t->sys->root, push_kin, w);
		if (r < 0 || w->nomem)
			return r < 0 ? r : -ENOMEM;
		if (w->kin == NULL)
			return 0;
		qsort(w->kin, w->nkin, sizeof *w->kin, compare_kin);
	}
	for (high = w->nkin; low < high; ) {
		mid = low + (high - low) / 2;
		if (w->kin[mid].ppid < ppid)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < w->nkin && w->kin[low].ppid == ppid; low++)
		push_kid(w, w->kin[low].pid);
	return 0;
}

/* What is about us; the rest is about one process, and the walk goes on. */
static bool
ends_walk(int r)
{
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE;
}

static int
read_kids(struct walk *w, pid_t pid, unsigned threads)
{
	const char	*root = w->t->sys->root;
	size_t		 before = w->nhints;
	int		 r = -ENOSYS;

	if (w->kin == NULL)
		r = threads == 1 ?
		    procfs_thread_children(root, pid, pid, push_kid, w) :
		    procfs_children(root, pid, push_kid, w);
	if (r == -ENOSYS) {
		w->nhints = before;
		r = list_kin(w, pid);
	}
	return r;
}

/* So that the first of them is the next one. */
static void
turn_round(struct hint *h, size_t n)
{
	struct hint	tmp;
	size_t		i;

	for (i = 0; i < n / 2; i++) {
		tmp = h[i];
		h[i] = h[n - 1 - i];
		h[n - 1 - i] = tmp;
	}
}

/* threads: as known; more than one, or 0, are looked for. */
static int
list_kids(struct walk *w, pid_t pid, unsigned threads, uint32_t up)
{
	size_t	before = w->nhints;
	int	r;

	w->of = (struct hint){ .ppid = pid, .up = up };
	do {
		w->nhints = before;
		r = read_kids(w, pid, threads);
	} while (tree_out_of_fds(w->t, r));
	if (up != TREE_NOBODY || w->t->walks % 2 != 0)
		turn_round(w->hint + before, w->nhints - before);
	tree_step(w->t, TREE_LISTED, pid);
	return w->nomem ? -ENOMEM : ends_walk(r) ? r : 0;
}

/* Member i is alive: his children are next. */
static int
visit(struct walk *w, size_t i)
{
	struct tree_member	*m = &w->t->member[i];

	m->seen = w->t->walks;
	return list_kids(w, m->stat.pid, m->stat.threads, (uint32_t)i);
}

static int
append(struct walk *w, const struct tree_member *new)
{
	struct tree		*t = w->t;
	struct tree_member	*m;

	if ((m = tree_add(t, new)) == NULL)
		return -ENOMEM;
	m->seen = t->walks;
	t->met++;
	t->changes++;
	if (m->dead)
		return 0;
	t->live++;
	tree_step(t, TREE_VERIFIED, m->stat.pid);
	if (t->greet != 0 && tree_signal(t, t->n - 1, t->greet) == 0)
		m->told |= t->greet_told;
	return 0;
}

/* Whether the one by whom a child was found is the one we know (T8). */
static bool
parent_holds(const struct walk *w, uint32_t up)
{
	return up == TREE_NOBODY || tree_holds(w->t, &w->t->member[up]);
}

/* 1: m is a new member, maybe a dead one; 0: it isn't; or -errno. */
static int
verify(const struct walk *w, struct tree_member *m, pid_t pid, pid_t ppid)
{
	struct tree_member	*old;
	struct tree		*t = w->t;
	int			 r;

	tree_step(t, TREE_BOUND, pid);
	if ((r = tree_look_at(t, pid, &m->stat)) < 0 && ends_walk(r))
		return r;
	if (r == 0 && m->stat.ppid == ppid && m->up == TREE_NOBODY &&
	    !t->shim && !belongs(w, &m->stat))
		return 0;
	if (r < 0 || m->stat.ppid != ppid || !tree_holds(t, m) ||
	    !parent_holds(w, m->up)) {
		t->changes++;
		return 0;
	}
	m->dead = procfs_dead(&m->stat);
	if (!m->dead || (old = tree_find(t, pid, m)) == NULL)
		return 1;
	old->seen = t->walks;
	return 0;
}

/* Binds him, then looks at him, then trusts (T8). */
static int
adopt_new(struct walk *w, pid_t pid, pid_t ppid, uint32_t up)
{
	struct tree_member	m = { .up = up };
	struct tree		*t = w->t;
	int			 r;

	if ((m.pidfd = tree_bind(t, pid)) == -ESRCH) {
		t->changes++;
		return 0;
	}
	m.ino = tree_pidfd_number(m.pidfd);
	r = verify(w, &m, pid, ppid);
	if (r != 1 || m.dead)
		tree_unbind(t, &m);
	if (r != 1)
		return r;
	if ((r = append(w, &m)) < 0) {
		tree_unbind(t, &m);
		return r;
	}
	return m.dead ? 0 : visit(w, t->n - 1);
}

/* up: the member below whom pid was listed, or TREE_NOBODY. */
static int
adopt(struct walk *w, pid_t pid, pid_t ppid, uint32_t up)
{
	struct tree_member	*m;
	struct tree		*t = w->t;

	if (pid <= 1 || pid == w->self ||
	    (t->shim ? pid == w->scope->shim : up == TREE_NOBODY &&
	    pid != w->scope->leader && is_watched(w, pid)))
		return 0;
	if ((m = tree_find(t, pid, NULL)) != NULL && m->seen == t->walks)
		return 0;
	if (m != NULL && t->shallow && m->pidfd >= 0 &&
	    !tree_pidfd_ended(m->pidfd))
		return 0;
	if (m != NULL && tree_refresh(t, m))
		return visit(w, (size_t)(m - t->member));
	return adopt_new(w, pid, ppid, up);
}

/*
 * A large tree may take its time, a heap of zombies may not: those alive come
 * before, being below each other.
 */
static bool
out_of_patience(struct walk *w)
{
	return ++w->looks > LOOKS_MIN && loop_clock_us() - w->start_us >
	    w->t->sys->patience_us + w->t->live * PATIENCE_EACH_US;
}

/* Depth first. */
static int
walk_hints(struct walk *w)
{
	struct hint	h;
	int		r = 0;

	while (w->nhints > 0 && r == 0) {
		h = w->hint[--w->nhints];
		r = out_of_patience(w) ? -ETIME :
		    adopt(w, h.pid, h.ppid, h.up);
	}
	return r;
}

/* A zombie of ours: nobody is left below a shim that was not killed. */
static bool
ended_by_itself(pid_t pid)
{
	siginfo_t	si = { 0 };

	return waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) ==
	    0 && si.si_pid == pid && si.si_code == CLD_EXITED;
}

/* Of our child that has the shim's number, and may have it anew. */
static void
judge_shim(struct tree *t, const struct procfs_stat *st)
{
	if (t->shim_start == 0)
		t->shim_start = st->start;
	if (st->start != t->shim_start)
		return;
	t->shim = !procfs_dead(st);
	t->lost = !t->shim && !ended_by_itself(st->pid);
	t->shim_group = st->pgid;
	/* On its way out it gets no orphans any more, we do: look again. */
	t->changes += t->shim && st->exiting;
}

/* Our own number stands for ourselves: a shim we are, or process 1. */
static void
look_at_shim(struct walk *w)
{
	struct procfs_stat	 st;
	struct tree		*t = w->t;

	if (t->walks == 1 && w->scope->leader != 0 &&
	    tree_look_at(t, w->scope->leader, &st) == 0)
		t->leader_start = st.start;
	t->shim = w->scope->shim == w->self;
	t->lost = !t->shim && !w->scope->emptied;
	if (t->shim)
		t->shim_group = getpgrp();
	else if (w->scope->shim > 1 &&
	    tree_look_at(t, w->scope->shim, &st) == 0 && st.ppid == w->self)
		judge_shim(t, &st);
}

static int
walk_roots(struct walk *w)
{
	pid_t	pid;
	int	r;

	if (!w->t->shim && (!w->t->lost ||
	    (w->scope->mark == 0 && w->scope->leader == 0 &&
	    w->t->live == 0)))
		return 0;
	pid = w->t->shim ? w->scope->shim : w->self;
	if ((r = list_kids(w, pid, 0, TREE_NOBODY)) < 0)
		return r;
	return walk_hints(w);
}

/* Whoever is known has children, whether a list has him or not. */
static int
walk_known(struct walk *w)
{
	struct tree	*t = w->t;
	size_t		 i, n = t->n;
	int		 r = 0;

	for (i = 0; i < n && r == 0; i++)
		if (!t->member[i].dead && t->member[i].seen != t->walks &&
		    tree_refresh(t, &t->member[i]) && (r = visit(w, i)) == 0)
			r = walk_hints(w);
	return r;
}

int
tree_walk(struct tree *t, const struct tree_scope *scope)
{
	struct walk	w = { .t = t, .scope = scope, .self = getpid(),
			    .sid = getsid(0) };
	size_t		first = t->n;
	int		r = 0;

	t->sys = scope->sys != NULL ? scope->sys : &tree_kernel;
	w.start_us = loop_clock_us();
	t->walks++;
	t->changes = 0;
	tree_open_spares(t);
	look_at_shim(&w);
	if (!t->shallow || !t->shim)
		r = walk_known(&w);
	if (r == 0)
		r = walk_roots(&w);
	if (r < 0)
		t->changes++;
	t->cut = r < 0;
	tree_order(t, first);
	if (t->n > first)
		tree_index(t);
	free(w.hint);
	free(w.kin);
	return r < 0 ? r : (int)(t->n - first);
}
