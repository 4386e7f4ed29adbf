/* See tree.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "loop/loop.h"
#include "proc/mark.h"
#include "proc/reap.h"
#include "proc/tree.h"
#include "proc/tree_impl.h"

#define MEMBERS_MAX	(UINT32_MAX / 4)
#define LOOKS_MIN	512u		/* whatever time it takes */
#define PATIENCE_EACH_US 100u		/* a living member more */

/* PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9. */
#define SEND_TO_GROUP	4u

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

/* Room for one more in an array that doubles.  0 or -ENOMEM. */
static int
reserve(void *array, size_t n, size_t *cap, size_t size)
{
	void	**p = array, *mem;
	size_t	 want = *cap > 0 ? *cap * 2 : 64;

	if (n < *cap)
		return 0;
	if (n >= MEMBERS_MAX || (mem = realloc(*p, want * size)) == NULL)
		return -ENOMEM;
	*p = mem;
	*cap = want;
	return 0;
}

/* -- the index ------------------------------------------------------------ */

static size_t
slot_of(const struct tree *t, pid_t pid)
{
	return ((uint32_t)pid * 2654435761u >> 4) & (t->nindex - 1);
}

/* There is a free slot. */
static void
index_put(struct tree *t, size_t i)
{
	size_t	at = slot_of(t, t->member[i].stat.pid);

	while (t->index[at] != 0)
		at = (at + 1) & (t->nindex - 1);
	t->index[at] = (uint32_t)i + 1;
}

static void
index_fill(struct tree *t)
{
	size_t	i;

	memset(t->index, 0, t->nindex * sizeof *t->index);
	for (i = 0; i < t->n; i++)
		index_put(t, i);
}

/* Room for one more.  0 or -ENOMEM. */
static int
index_reserve(struct tree *t)
{
	size_t		 n = t->nindex > 0 ? t->nindex * 2 : 128;
	uint32_t	*mem;

	if (t->n * 2 < t->nindex)
		return 0;
	if ((mem = realloc(t->index, n * sizeof *mem)) == NULL)
		return -ENOMEM;
	t->index = mem;
	t->nindex = n;
	index_fill(t);
	return 0;
}

/*
 * The same process, as far as is known: a start time has ticks of 10 ms, and a
 * number can come back within one.
 */
static bool
is_same(const struct tree_member *a, const struct tree_member *b)
{
	return a->stat.start == b->stat.start &&
	    (a->ino == b->ino || a->ino == 0 || b->ino == 0);
}

/* The living member with that number; dead: or this one.  NULL: none. */
static struct tree_member *
find(const struct tree *t, pid_t pid, const struct tree_member *dead)
{
	struct tree_member	*m;
	size_t			 at;

	if (t->nindex == 0)
		return NULL;
	for (at = slot_of(t, pid); t->index[at] != 0;
	    at = (at + 1) & (t->nindex - 1)) {
		m = &t->member[t->index[at] - 1];
		if (m->stat.pid == pid && (dead != NULL ? is_same(m, dead) :
		    !m->dead))
			return m;
	}
	return NULL;
}

/* -- identity ------------------------------------------------------------- */

static void
close_spares(struct tree *t)
{
	size_t	i;

	for (i = 0; i < ARRAY_LEN(t->spare); i++) {
		if (t->spare[i] > 0)
			close(t->spare[i] - 1);
		t->spare[i] = 0;
	}
}

/* As many as are open at once while a thread's children are read. */
static void
open_spares(struct tree *t)
{
	size_t	i;

	for (i = 0; i < ARRAY_LEN(t->spare); i++)
		if (t->spare[i] == 0)
			t->spare[i] = open("/", O_PATH | O_CLOEXEC) + 1;
}

/* Whether to try again, with what was spared for it. */
static bool
out_of_fds(struct tree *t, int r)
{
	if ((r != -EMFILE && r != -ENFILE) || t->spare[0] == 0)
		return false;
	close_spares(t);
	t->no_pidfds = true;
	return true;
}

static int
look_at(struct tree *t, pid_t pid, struct procfs_stat *st)
{
	int	r;

	do
		r = t->sys->stat(t->sys->arg, t->sys->root, pid, st);
	while (out_of_fds(t, r));
	return r;
}

static void
step(const struct tree *t, enum tree_step what, pid_t pid)
{
	t->sys->step(t->sys->arg, what, pid);
}

/*
 * Whether the number still is his: as long as his pidfd leads to somebody,
 * dead or alive, nobody else can have it.
 */
static bool
holds(struct tree *t, const struct tree_member *m)
{
	struct procfs_stat	st;
	int			r;

	if (m->pidfd >= 0) {
		r = t->sys->send(t->sys->arg, m->pidfd, 0, 0);
		if (r != -ENOSYS)
			return r != -ESRCH;
	}
	return look_at(t, m->stat.pid, &st) == 0 && st.start == m->stat.start;
}

static void
mark_dead(struct tree *t, struct tree_member *m)
{
	if (!m->dead) {
		m->dead = true;
		t->live--;
	}
}

/* Brings a member up to date; false: dead. */
static bool
refresh(struct tree *t, struct tree_member *m)
{
	struct procfs_stat	st;
	int			r;

	if (m->pidfd >= 0 && tree_pidfd_ended(m->pidfd)) {
		mark_dead(t, m);
		return false;
	}
	if ((r = look_at(t, m->stat.pid, &st)) == 0 &&
	    st.start == m->stat.start && !procfs_dead(&st)) {
		m->stat = st;
		return true;
	}
	/* Anything else but his end says nothing: no descriptor left. */
	if (r == 0 || r == -ESRCH)
		mark_dead(t, m);
	return !m->dead;
}

static void
set_max_pidfds(struct tree *t)
{
	struct rlimit	rl;

	t->max_pidfds = TREE_PIDFDS_MAX;
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 &&
	    rl.rlim_cur / 2 < TREE_PIDFDS_MAX)
		t->max_pidfds = (size_t)rl.rlim_cur / 2;
}

/* A pidfd, -1: number and start time have to do, or -ESRCH. */
static int
bind_pid(struct tree *t, pid_t pid)
{
	int	fd;

	if (t->max_pidfds == 0)
		set_max_pidfds(t);
	if (t->no_pidfds || t->npidfds >= t->max_pidfds)
		return -1;
	fd = t->sys->open(t->sys->arg, pid);
	if (fd >= 0) {
		t->npidfds++;
		return fd;
	}
	if (fd != -ESRCH && fd != -EINVAL)
		t->no_pidfds = true;
	return fd == -ESRCH || fd == -EINVAL ? -ESRCH : -1;
}

static void
unbind(struct tree *t, struct tree_member *m)
{
	if (m->pidfd < 0)
		return;
	close(m->pidfd);
	m->pidfd = -1;
	t->npidfds--;
}

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

	if (reserve(&w->hint, w->nhints, &w->chints, sizeof *w->hint) < 0) {
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

	if (look_at(w->t, pid, &st) < 0)
		return true;
	if (reserve(&w->kin, w->nkin, &w->ckin, sizeof *w->kin) < 0) {
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
	} while (out_of_fds(w->t, r));
	if (up != TREE_NOBODY || w->t->walks % 2 != 0)
		turn_round(w->hint + before, w->nhints - before);
	step(w->t, TREE_LISTED, pid);
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

	if (reserve(&t->member, t->n, &t->cap, sizeof *t->member) < 0 ||
	    index_reserve(t) < 0)
		return -ENOMEM;
	m = &t->member[t->n];
	*m = *new;
	m->seen = t->walks;
	index_put(t, t->n++);
	t->met++;
	t->changes++;
	if (m->dead)
		return 0;
	t->live++;
	step(t, TREE_VERIFIED, m->stat.pid);
	if (t->greet != 0 && tree_signal(t, t->n - 1, t->greet) == 0)
		m->told |= t->greet_told;
	return 0;
}

/* Whether the one by whom a child was found is the one we know (T8). */
static bool
parent_holds(const struct walk *w, uint32_t up)
{
	return up == TREE_NOBODY || holds(w->t, &w->t->member[up]);
}

/* 1: m is a new member, maybe a dead one; 0: it isn't; or -errno. */
static int
verify(const struct walk *w, struct tree_member *m, pid_t pid, pid_t ppid)
{
	struct tree_member	*old;
	struct tree		*t = w->t;
	int			 r;

	step(t, TREE_BOUND, pid);
	if ((r = look_at(t, pid, &m->stat)) < 0 && ends_walk(r))
		return r;
	if (r == 0 && m->stat.ppid == ppid && m->up == TREE_NOBODY &&
	    !t->shim && !belongs(w, &m->stat))
		return 0;
	if (r < 0 || m->stat.ppid != ppid || !holds(t, m) ||
	    !parent_holds(w, m->up)) {
		t->changes++;
		return 0;
	}
	m->dead = procfs_dead(&m->stat);
	if (!m->dead || (old = find(t, pid, m)) == NULL)
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

	if ((m.pidfd = bind_pid(t, pid)) == -ESRCH) {
		t->changes++;
		return 0;
	}
	m.ino = tree_pidfd_number(m.pidfd);
	r = verify(w, &m, pid, ppid);
	if (r != 1 || m.dead)
		unbind(t, &m);
	if (r != 1)
		return r;
	if ((r = append(w, &m)) < 0) {
		unbind(t, &m);
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
	if ((m = find(t, pid, NULL)) != NULL && m->seen == t->walks)
		return 0;
	if (m != NULL && t->shallow && m->pidfd >= 0 &&
	    !tree_pidfd_ended(m->pidfd))
		return 0;
	if (m != NULL && refresh(t, m))
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
	    look_at(t, w->scope->leader, &st) == 0)
		t->leader_start = st.start;
	t->shim = w->scope->shim == w->self;
	t->lost = !t->shim && !w->scope->emptied;
	if (t->shim)
		t->shim_group = getpgrp();
	else if (w->scope->shim > 1 &&
	    look_at(t, w->scope->shim, &st) == 0 && st.ppid == w->self)
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
		    refresh(t, &t->member[i]) && (r = visit(w, i)) == 0)
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
	open_spares(t);
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
		index_fill(t);
	free(w.hint);
	free(w.kin);
	return r < 0 ? r : (int)(t->n - first);
}

void
tree_bury(struct tree *t, size_t i)
{
	mark_dead(t, &t->member[i]);
	unbind(t, &t->member[i]);
}

static void
let_go(struct tree *t, struct tree_member *m)
{
	size_t	bit;

	unbind(t, m);
	for (bit = 0; bit < ARRAY_LEN(t->past); bit++)
		t->past[bit] += (m->told & 1u << bit) != 0;
}

void
tree_compact(struct tree *t)
{
	size_t	i, n = 0;

	for (i = 0; i < t->n; i++)
		if (t->member[i].dead && t->member[i].seen != t->walks)
			let_go(t, &t->member[i]);
		else
			t->member[n++] = t->member[i];
	if (n == t->n)
		return;
	t->n = n;
	index_fill(t);
}

void
tree_finish(struct tree *t)
{
	size_t	i;

	for (i = 0; i < t->n; i++)
		unbind(t, &t->member[i]);
	close_spares(t);
	free(t->member);
	free(t->index);
	*t = (struct tree){ 0 };
}

/* -- signals -------------------------------------------------------------- */

int
tree_signal(struct tree *t, size_t i, int signo)
{
	struct tree_member	*m = &t->member[i];
	const struct tree_sys	*sys = t->sys;
	int			 r = -ENOSYS;

	if (m->dead)
		return -ESRCH;
	step(t, TREE_SIGNALLING, m->stat.pid);
	if (m->pidfd >= 0)
		r = sys->send(sys->arg, m->pidfd, signo, 0);
	if (r != -ENOSYS && r != -EPERM)
		return r;
	/* Refused by a filter, not by the process?  kill(2) tells. */
	if (m->stat.pid <= 1 || !holds(t, m))
		return -ESRCH;
	return sys->kill(sys->arg, m->stat.pid, signo);
}

/* Whether m is in his group for sure, at this moment. */
static bool
in_group(struct tree *t, struct tree_member *m)
{
	struct procfs_stat	st;
	pid_t			pgid = m->stat.pgid;

	if (m->dead || look_at(t, m->stat.pid, &st) < 0 ||
	    st.start != m->stat.start || !holds(t, m))
		return false;
	m->stat = st;
	return st.pgid == pgid && st.sid != getsid(0) && st.sid > 0;
}

/* By the leader's pidfd, which no number can lead astray. */
static int
send_group(const struct tree *t, const struct tree_member *m, int signo)
{
	if (m->pidfd < 0 || m->stat.pid != m->stat.pgid)
		return -ENOSYS;
	return t->sys->send(t->sys->arg, m->pidfd, signo, SEND_TO_GROUP);
}

int
tree_signal_group(struct tree *t, size_t i, int signo)
{
	struct tree_member	*m = &t->member[i];
	pid_t			 pgid = m->stat.pgid;
	int			 r;

	if (pgid <= 1 || pgid == getpgrp() || pgid == t->shim_group)
		return -EPERM;
	if (!in_group(t, m))
		return -ESRCH;
	step(t, TREE_SIGNALLING, -pgid);
	r = send_group(t, m, signo);
	if (r == 0 || r == -ESRCH)
		return r;
	return t->sys->kill(t->sys->arg, -pgid, signo);
}
