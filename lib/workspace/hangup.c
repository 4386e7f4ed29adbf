#include "workspace/hangup.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/loop.h"
#include "proc/tree.h"

#define STEP_MS		100
#define PASSES		3		/* of SIGKILL */

struct hangup {
	struct loop	*loop;		/* borrowed */
	struct loop_timer timer;
	uint64_t	 deadline;
	pid_t		 session;
	bool		 whole;		/* else only the group of that number */
	uint64_t	 start;		/* of its leader, */
	uint64_t	 now;		/* and of us, in ticks */
	bool		 held;		/* see holds_session() */
	unsigned	 passes;
	bool		 met;		/* somebody, in this pass */
	struct tree	 below;		/* empty: only the group */
};

static void
hangup_free(struct hangup *h)
{
	tree_finish(&h->below);
	free(h);
}

/* Alive, still in the session, and not deaf on purpose. */
static bool
is_meant(const struct hangup *h, const struct procfs_stat *st)
{
	return st->sid == h->session && st->pid != h->session &&
	    (h->whole || st->pgid == h->session) &&
	    !procfs_dead(st) && procfs_ignores("", st->pid, SIGHUP) == 0;
}

static unsigned
tell_below(struct hangup *h, int signo)
{
	struct procfs_stat	st;
	struct tree_member	*m;
	unsigned		n = 0;
	size_t			i;

	for (i = 0; i < h->below.n; i++) {
		m = &h->below.member[i];
		if (m->dead || procfs_stat("", m->stat.pid, &st) < 0 ||
		    st.start != m->stat.start || !is_meant(h, &st) ||
		    tree_signal(&h->below, i, signo) < 0)
			continue;
		n++;
		if (signo == SIGHUP)
			tree_signal(&h->below, i, SIGCONT);
	}
	return n;
}

/*
 * Whether somebody found below is in the session yet: so long its number is
 * its own, and whoever is in it is meant, however young.
 */
static bool
holds_session(struct hangup *h)
{
	struct procfs_stat	st;
	struct tree_member	*m;
	size_t			 i;

	for (i = 0; i < h->below.n; i++) {
		m = &h->below.member[i];
		if (!m->dead && procfs_stat("", m->stat.pid, &st) == 0 &&
		    st.start == m->stat.start && !procfs_dead(&st) &&
		    st.sid == h->session)
			return true;
	}
	return false;
}

/* -- what came later, and the group --------------------------------------- */

/*
 * Without a pidfd only a child of ours is surely who he was: his number is his
 * until we collect him.
 */
static int
kill_process(int fd, const struct procfs_stat *st)
{
	if (fd != -1)
		return (int)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL,
		    0);
	return st->ppid == getpid() ? kill(st->pid, SIGKILL) : -1;
}

/* Bound, looked at once more, and only then told. */
static bool
kill_one(void *arg, pid_t pid)
{
	struct hangup		*h = arg;
	struct procfs_stat	 st, again;
	int			 fd;

	if (procfs_stat("", pid, &st) < 0 || !is_meant(h, &st) ||
	    (!h->held && st.start > h->now))
		return true;
	h->met = true;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (procfs_stat("", pid, &again) == 0 && again.start == st.start &&
	    is_meant(h, &again) && kill_process(fd, &again) == 0)
		log_debug("task", "pid %d (%s): SIGKILL: its session %d was "
		    "hung up", (int)pid, st.name, (int)h->session);
	if (fd != -1)
		close(fd);
	return true;
}

/*
 * A number is not given away while it is a group's or a session's.  If there
 * is a process of that number, it is its old leader or it is another group;
 * and who is in another session of that number is younger than our question.
 */
static bool
group_is_there(const struct hangup *h)
{
	struct procfs_stat	st;

	if (kill(-h->session, 0) == -1 && errno != EPERM)
		return false;
	return procfs_stat("", h->session, &st) < 0 || st.start == h->start;
}

/*
 * Who was met is killed, and who was just forked by him, or was not ours yet,
 * is met the next time.
 */
static void
on_step(void *arg)
{
	struct hangup	*h = arg;
	uint64_t	 now = loop_now(h->loop);
	bool		 there, was_held = h->held;

	h->held = holds_session(h);
	there = h->held || group_is_there(h);
	/* It was ours a step ago: who is in it now was forked by ours. */
	if (there && was_held)
		h->now = procfs_ticks();
	if (there && now < h->deadline) {
		loop_timer_set(h->loop, &h->timer, now + STEP_MS);
		return;
	}
	h->met = tell_below(h, SIGKILL) > 0;
	if (there)
		procfs_each("", kill_one, h);
	if (h->met && ++h->passes < PASSES)
		loop_timer_set(h->loop, &h->timer, now + STEP_MS);
	else
		hangup_free(h);
}

/* -- interface ------------------------------------------------------------ */

static int
hangup_create(struct hangup **out, struct loop *l, pid_t leader)
{
	struct procfs_stat	 st;
	struct hangup		*h;
	int			 r;

	if (leader <= 1)
		return -ESRCH;
	if ((r = procfs_stat("", leader, &st)) < 0)
		return r;
	if ((h = calloc(1, sizeof *h)) == NULL)
		return -ENOMEM;
	h->loop = l;
	h->session = leader;
	h->start = st.start;
	h->now = procfs_ticks();
	h->timer.fn = on_step;
	h->timer.arg = h;
	h->held = true;			/* the leader is not collected yet */
	h->deadline = loop_now(l) + HANGUP_MS;
	*out = h;
	return 0;
}

int
hangup_session(struct loop *l, pid_t leader)
{
	/* Everybody below it, and it left out, as for a shim. */
	const struct tree_scope	 below = { .shim = leader };
	struct hangup		*h;
	int			 r;

	if ((r = hangup_create(&h, l, leader)) < 0)
		return r;
	h->whole = true;
	/* Who gets it may be gone at once, and nobody is below him then. */
	tree_walk(&h->below, &below);
	kill(-leader, SIGHUP);
	kill(-leader, SIGCONT);
	if (tell_below(h, SIGHUP) == 0)
		hangup_free(h);
	else
		loop_timer_set(l, &h->timer, loop_now(l) + STEP_MS);
	return 0;
}

int
hangup_group(struct loop *l, pid_t leader)
{
	struct hangup	*h;
	int		 r;

	if ((r = hangup_create(&h, l, leader)) < 0)
		return r;
	loop_timer_set(l, &h->timer, loop_now(l) + STEP_MS);
	return 0;
}
