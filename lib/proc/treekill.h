/*
 * treekill - the end of a process tree: ask, wait, force, and be sure.
 *
 * SIGTERM leaves first, then SIGCONT so that stopped ones see it (K9); wait
 * for all of them, not for the root (K3), told by their pidfds and not by a
 * tick (K4); who was forked meanwhile is asked, too.  After the grace a fresh
 * walk, and SIGKILL in passes (stop, kill, kill groups, or cgroup.kill where
 * there is a group of the job's own) until two in a row find nobody alive (K5,
 * K6), at most TREEKILL_PASSES or TREEKILL_FORCE_MS (K7).  Whoever is left then
 * hangs in the kernel, or isn't ours to kill (K12), and is reported (K10).
 *
 * It holds no lock of anybody's (K13), and a zombie counts as dead (K8): when
 * done() is called, the tree is gone, not about to go.
 * Source: spec/process-tree.md 1.2, 4.3.
 */
#ifndef PROC_TREEKILL_H
#define PROC_TREEKILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proc/tree.h"

struct loop;

#define TREEKILL_GRACE_MS	5000u	/* K2 */
#define TREEKILL_GRACE_MAX_MS	3600000u	/* what callers may ask for */
#define TREEKILL_PASSES		200u	/* each a turn of the loop */
#define TREEKILL_FORCE_MS	2000u	/* of passes */
#define TREEKILL_SETTLE_MS	5000u	/* for the last ones to die (K10) */
#define TREEKILL_SURVIVORS_MAX	64u	/* named; more are counted */

enum treekill_phase {
	TREEKILL_NONE,			/* there was nobody */
	TREEKILL_TERM,			/* all went when asked */
	TREEKILL_KILL			/* SIGKILL was needed */
};

struct treekill_survivor {
	pid_t	 pid;
	char	 state;			/* mostly 'D' */
	bool	 denied;		/* the last signal was refused: EPERM */
	char	 name[PROCFS_NAME_MAX];
};

struct treekill_result {
	enum treekill_phase phase;
	unsigned told;			/* members that got a signal */
	unsigned denied;		/* EPERM (K12) */
	bool	 root_denied;		/* the leader is one of those */
	/* There was no shim, or it was killed: who has hidden on purpose, from
	 * mark and session, is not among those that were found.  Or somebody
	 * lives in the group whom SIGKILL doesn't end. */
	bool	 unsure;
	size_t	 nsurvivors;		/* all of them */
	struct treekill_survivor survivor[TREEKILL_SURVIVORS_MAX];
};

/* "not permitted", or what its state means; static. */
const char *treekill_why(const struct treekill_survivor *s);

struct treekill_spec {
	struct tree_scope scope;
	uint32_t grace_ms;		/* 0: SIGKILL at once */
	/* Of the job's own group, borrowed: cgroup.kill, or -1; and, looked at
	 * only with it, cgroup.events, or -1. */
	int	 cgroup, cgroup_events;
};

struct treekill;

/* Once, never from within treekill_start(); the result is borrowed. */
typedef void treekill_fn(void *arg, const struct treekill_result *r);

/* 0 or -ENOMEM.  *out is live until done() returns or treekill_abandon(). */
int	 treekill_start(struct treekill **out, struct loop *l,
	    const struct treekill_spec *spec, treekill_fn *done, void *arg);

/* A later, shorter grace, from now, shortens the running one (K14). */
void	 treekill_hasten(struct treekill *k, uint32_t grace_ms);

/* The shim ended by itself: nobody is left, so there is nothing to look for. */
void	 treekill_emptied(struct treekill *k);

/* done() is not called any more; nobody is signalled by it any more. */
void	 treekill_abandon(struct treekill *k);	/* NULL is allowed */

/*
 * SIGKILL to all that a few walks find, without waiting for their death (B2).
 * Bounded; returns how many were told.
 */
unsigned treekill_now(const struct tree_scope *scope, int cgroup);

/* For whom one signal without an escalation is (K15). */
enum treekill_whom { TREEKILL_ROOT, TREEKILL_GROUP, TREEKILL_TREE };

/*
 * Once to each.  leader: the root and its group.  Returns how many got it,
 * -EINVAL for a signal that isn't one of 1 to 64, -ESRCH if nobody is there,
 * -EPERM if all refused.
 */
int	 treekill_signal(const struct tree_scope *scope, pid_t leader,
	    enum treekill_whom whom, int signo);

#endif
