/*
 * tree_world - a grove, a tree of it, and the kernel as it is made to look.
 */
#ifndef TESTS_UNIT_TREE_WORLD_H
#define TESTS_UNIT_TREE_WORLD_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proc/tree.h"
#include "proc/tree_impl.h"
#include "tests/unit/grove.h"

#define PATH_LEN	128

/* A tree under test, and the kernel as it is made to look. */
struct world {
	struct grove	 g;
	struct tree	 t;
	struct tree_scope scope;
	struct tree_sys	 sys;
	/* At that step of this one, something happens: */
	enum tree_step	 when;
	pid_t		 whose;
	void		(*happens)(struct world *w);
	unsigned	 happened;
	pid_t		 masked, by;	/* a number with somebody else */
	unsigned	 kills;		/* by number */
	int		 open_error, send_error, kill_error;
	unsigned	 opens_left;	/* then open_error */
	pid_t		 order[GROVE_PIDS_MAX];
	size_t		 norder;
	char		 root[PATH_LEN];
};

/* -- the kernel, as asked for --------------------------------------------- */

static inline pid_t
seen_as(const struct world *w, pid_t pid)
{
	return w->masked != 0 && pid == w->masked ? w->by : pid;
}

static inline int
fake_open(void *arg, pid_t pid)
{
	struct world	*w = arg;

	if (w->open_error != 0 && w->opens_left-- == 0) {
		w->opens_left = 0;
		return w->open_error;
	}
	return tree_kernel.open(NULL, seen_as(w, pid));
}

static inline int
fake_send(void *arg, int pidfd, int signo, unsigned flags)
{
	struct world	*w = arg;

	if (w->send_error != 0 && signo != 0)
		return w->send_error;
	return tree_kernel.send(NULL, pidfd, signo, flags);
}

static inline int
fake_kill(void *arg, pid_t pid, int signo)
{
	struct world	*w = arg;

	w->kills++;
	if (w->kill_error != 0)
		return w->kill_error;
	return tree_kernel.kill(NULL, pid < 0 ? pid : seen_as(w, pid), signo);
}

static inline int
fake_stat(void *arg, const char *root, pid_t pid, struct procfs_stat *out)
{
	struct world	*w = arg;
	int		 r = procfs_stat("", seen_as(w, pid), out);

	(void)root;
	if (r == 0)
		out->pid = pid;
	return r;
}

static inline void
fake_step(void *arg, enum tree_step step, pid_t pid)
{
	struct world	*w = arg;

	if (step == TREE_SIGNALLING && w->norder < GROVE_PIDS_MAX)
		w->order[w->norder++] = pid;
	if (w->happens == NULL || step != w->when || pid != w->whose)
		return;
	w->happened++;
	w->happens(w);
}

/* Up to grove_ready(), if they wait for it. */
static inline void
sow(struct world *w, enum grove_shape shape, int n, unsigned how)
{
	memset(w, 0, sizeof *w);
	w->sys = (struct tree_sys){ "", fake_open, fake_send, fake_kill,
	    fake_stat, fake_step, w, UINT64_MAX / 2 };
	assert_true(grove_begin(&w->g, shape, n, how));
	w->scope = (struct tree_scope){ .shim = w->g.shim, .sys = &w->sys };
}

static inline void
plant_some(struct world *w, enum grove_shape shape, int n, unsigned how)
{
	sow(w, shape, n, how);
	assert_true(grove_ready(&w->g));
}

/* All of it bears a mark. */
static inline void
plant_marked(struct world *w, enum grove_shape shape, int n, uint64_t mark)
{
	sow(w, shape, n, GROVE_HOLD);
	w->g.sh->mark = w->scope.mark = mark;
	w->g.sh->hold = false;
	assert_true(grove_ready(&w->g));
}

static inline void
plant(struct world *w, enum grove_shape shape, int n)
{
	plant_some(w, shape, n, 0);
}

static inline void
clear(struct world *w)
{
	tree_finish(&w->t);
	if (w->g.shim != 0) {
		kill(w->g.shim, SIGKILL);
		waitpid(w->g.shim, NULL, 0);
	}
	grove_finish(&w->g);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		continue;
}

static inline int
walk(struct world *w)
{
	return tree_walk(&w->t, &w->scope);
}

static inline bool
has(const struct world *w, pid_t pid)
{
	size_t	i;

	for (i = 0; i < w->t.n; i++)
		if (w->t.member[i].stat.pid == pid && !w->t.member[i].dead)
			return true;
	return false;
}

static inline bool
alive(pid_t pid)
{
	struct procfs_stat	st;

	return procfs_stat("", pid, &st) == 0 && !procfs_dead(&st);
}

/* Killed, and collected by the shim or by us: the number is free. */
static inline void
end_for_good(pid_t pid)
{
	struct procfs_stat	st;
	int			i;

	kill(pid, SIGKILL);
	for (i = 0; i < 20000 && procfs_stat("", pid, &st) == 0; i++) {
		waitpid(pid, NULL, WNOHANG);
		usleep(500);
	}
	assert_int_equal(procfs_stat("", pid, &st), -ESRCH);
}

/* Some member but the root. */
static inline pid_t
some_leaf(const struct world *w)
{
	return w->g.sh->pid[0] != w->g.leader ? w->g.sh->pid[0] :
	    w->g.sh->pid[1];
}

#endif
