/*
 * See tree_impl.h: the members of a tree, whether each still is who he was, and
 * signals for them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/str.h"
#include "proc/tree.h"
#include "proc/tree_impl.h"

#define MEMBERS_MAX	(UINT32_MAX / 4)

/* PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9. */
#define SEND_TO_GROUP	4u

/* -- the table ------------------------------------------------------------ */

int
tree_reserve(void *array, size_t n, size_t *cap, size_t size)
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

void
tree_index(struct tree *t)
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
	tree_index(t);
	return 0;
}

struct tree_member *
tree_add(struct tree *t, const struct tree_member *m)
{
	if (tree_reserve(&t->member, t->n, &t->cap, sizeof *m) < 0 ||
	    index_reserve(t) < 0)
		return NULL;
	t->member[t->n] = *m;
	index_put(t, t->n);
	return &t->member[t->n++];
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

struct tree_member *
tree_find(const struct tree *t, pid_t pid, const struct tree_member *dead)
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

void
tree_open_spares(struct tree *t)
{
	size_t	i;

	for (i = 0; i < ARRAY_LEN(t->spare); i++)
		if (t->spare[i] == 0)
			t->spare[i] = open("/", O_PATH | O_CLOEXEC) + 1;
}

bool
tree_out_of_fds(struct tree *t, int r)
{
	if ((r != -EMFILE && r != -ENFILE) || t->spare[0] == 0)
		return false;
	close_spares(t);
	t->no_pidfds = true;
	return true;
}

int
tree_look_at(struct tree *t, pid_t pid, struct procfs_stat *st)
{
	int	r;

	do
		r = t->sys->stat(t->sys->arg, t->sys->root, pid, st);
	while (tree_out_of_fds(t, r));
	return r;
}

void
tree_step(const struct tree *t, enum tree_step what, pid_t pid)
{
	t->sys->step(t->sys->arg, what, pid);
}

bool
tree_holds(struct tree *t, const struct tree_member *m)
{
	struct procfs_stat	st;
	int			r;

	if (m->pidfd >= 0) {
		r = t->sys->send(t->sys->arg, m->pidfd, 0, 0);
		if (r != -ENOSYS)
			return r != -ESRCH;
	}
	return tree_look_at(t, m->stat.pid, &st) == 0 &&
	    st.start == m->stat.start;
}

static void
mark_dead(struct tree *t, struct tree_member *m)
{
	if (!m->dead) {
		m->dead = true;
		t->live--;
	}
}

bool
tree_refresh(struct tree *t, struct tree_member *m)
{
	struct procfs_stat	st;
	int			r;

	if (m->pidfd >= 0 && tree_pidfd_ended(m->pidfd)) {
		mark_dead(t, m);
		return false;
	}
	if ((r = tree_look_at(t, m->stat.pid, &st)) == 0 &&
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

int
tree_bind(struct tree *t, pid_t pid)
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

void
tree_unbind(struct tree *t, struct tree_member *m)
{
	if (m->pidfd < 0)
		return;
	close(m->pidfd);
	m->pidfd = -1;
	t->npidfds--;
}

/* -- the end of a member -------------------------------------------------- */

void
tree_bury(struct tree *t, size_t i)
{
	mark_dead(t, &t->member[i]);
	tree_unbind(t, &t->member[i]);
}

static void
let_go(struct tree *t, struct tree_member *m)
{
	size_t	bit;

	tree_unbind(t, m);
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
	tree_index(t);
}

void
tree_finish(struct tree *t)
{
	size_t	i;

	for (i = 0; i < t->n; i++)
		tree_unbind(t, &t->member[i]);
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
	tree_step(t, TREE_SIGNALLING, m->stat.pid);
	if (m->pidfd >= 0)
		r = sys->send(sys->arg, m->pidfd, signo, 0);
	if (r != -ENOSYS && r != -EPERM)
		return r;
	/* Refused by a filter, not by the process?  kill(2) tells. */
	if (m->stat.pid <= 1 || !tree_holds(t, m))
		return -ESRCH;
	return sys->kill(sys->arg, m->stat.pid, signo);
}

/* Whether m is in his group for sure, at this moment. */
static bool
in_group(struct tree *t, struct tree_member *m)
{
	struct procfs_stat	st;
	pid_t			pgid = m->stat.pgid;

	if (m->dead || tree_look_at(t, m->stat.pid, &st) < 0 ||
	    st.start != m->stat.start || !tree_holds(t, m))
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
	tree_step(t, TREE_SIGNALLING, -pgid);
	r = send_group(t, m, signo);
	if (r == 0 || r == -ESRCH)
		return r;
	return t->sys->kill(t->sys->arg, -pgid, signo);
}
