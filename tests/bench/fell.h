/*
 * fell - what its files share: fell.c (rounds), fell_decoys.c (bystanders) and
 * fell_shim.c (trees below the daemon's own shim).
 */
#ifndef TESTS_BENCH_FELL_H
#define TESTS_BENCH_FELL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "loop/loop.h"
#include "loop/sig.h"
#include "proc/cgjob.h"
#include "proc/child.h"
#include "proc/reap.h"
#include "proc/tree_impl.h"
#include "proc/treekill.h"
#include "tests/unit/grove.h"

#define FELL_SKIP	77		/* exit status: not on this machine */
#define FELL_PIDS	(1u << 22)	/* the largest pid_max there is */
#define FELL_ENOUGH	4		/* decoys with a dead one's number */

enum killer { OURS, NUMBERS, KILLPG, PEER };

/* Seen by all bystanders. */
struct decoys {
	int	 hits, born;
	int	 reused;		/* had the number of a dead member
					 * while the kill still ran */
	int	 sitting;		/* of those, in this round */
	bool	 stop, over;
	unsigned round;			/* from 1; 0: no kill runs */
	int	 ntargets;
	pid_t	 target[GROVE_PIDS_MAX];	/* numbers to take over */
	unsigned member[FELL_PIDS];	/* by pid: the round it was in */
};

struct fell {
	enum killer	 killer;
	enum grove_shape shape;
	int		 n;
	uint32_t	 grace_ms, uid;
	unsigned	 rounds, how;
	bool		 decoys, aim, sprout, holdout, drop;
	bool		 cgroup, lose_shim;
	const char	*shim;			/* the program; NULL: grove's */
	struct loop	*loop;
	struct reap	*reap;
	struct sig	*sig;
	struct grove	 g;
	struct tree_sys	 sys;
	struct treekill	*kill;			/* NULL: none is running */
	struct loop_timer watch;		/* for enough reuse */
	bool		 done, gone;
	FILE		*to, *from;		/* the peer */
	struct decoys	*sh;
	uint64_t	 at_us, *took_us;
	unsigned	 dirty, survivors, lingering, taken, lost;

	/* fell_shim.c */
	struct child	*child;
	struct cgjob	 cg;
	char		 cg_home[CGJOB_PATH_MAX];
	uint64_t	 mark;
	bool		 started, exited, emptied, unsure;
};

_Noreturn void	 fell_die(const char *what);

/* Starts them, root where we are root; uid: theirs, if drop. */
void	 fell_decoys_start(struct fell *f);
/* From here on whoever gets the number of one of the round's dead is counted;
 * and until here. */
void	 fell_decoys_begin(struct fell *f, unsigned round);
void	 fell_decoys_end(struct fell *f);
/* They have ended, and all hits are counted. */
void	 fell_decoys_stop(struct fell *f);

/* Whether it can be done here; the process ends with FELL_SKIP if not. */
void	 fell_shim_probe(struct fell *f);
/* Instead of grove_begin() and grove_ready(). */
bool	 fell_shim_begin(struct fell *f);
/* The one to be killed, as the daemon has it; also of a stand-in. */
void	 fell_shim_scope(const struct fell *f, struct tree_scope *scope);
/* Somebody kills the shim within that time. */
void	 fell_shim_lose(struct fell *f, uint64_t within_us);
/* Until program and shim are collected. */
void	 fell_shim_end(struct fell *f);
/* What the job's program is: "grow SHARED LIFE SHAPE N". */
_Noreturn void	 fell_grow(char **argv);

#endif
