/*
 * tree - the /proc walker: who belongs to a job, and a signal for all of them.
 *
 * A job is everything that ever descended from its first process.  It runs
 * below a shim (shim.h), a subreaper of its own, so that whoever loses his
 * parent, daemons included, is still found below the shim.  Where the shim was
 * killed its processes became our own children, mixed with others': its first
 * process while we have not collected it, those with the job's mark (mark.h) or
 * in the session of a living member belong to it, and so does whatever is below
 * them.  Where no mark can be set, that first one has to do.  Nothing of that
 * looks into the memory of a process: who does that may hang with it
 * (orphan.h).
 *
 * Somebody found is bound by a pidfd, then looked at once more: only if he
 * still has the parent he was found by and the same start time, he is the one
 * (T8).  After that the number doesn't matter any more.  Where the kernel has
 * no pidfds, or a filter refuses them, number and start time have to do.
 *
 * One walk proves nothing about who forked meanwhile: callers repeat it.
 * Source: spec/process-tree.md 1.1, 4.2, 4.3.
 */
#ifndef PROC_TREE_H
#define PROC_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proc/procfs.h"

struct reap;
struct tree_sys;			/* tree_impl.h: for tests */

/* Beyond them, or half of RLIMIT_NOFILE, number and start time have to do. */
#define TREE_PIDFDS_MAX	30000u

/* Who is meant. */
struct tree_scope {
	pid_t	 shim;			/* 0: none, or gone; our own pid:
					 * everybody below us */
	pid_t	 leader;		/* the first process, 0: collected, as
					 * known at the first walk */
	bool	 emptied;		/* the shim said that nobody is left */
	uint64_t mark;			/* without a shim: mark.h; 0: none */
	/* Children of ours that it watches were started by us: the leader is a
	 * member by that, the others are none.  Borrowed; NULL: nothing is
	 * known. */
	const struct reap *reap;
	const struct tree_sys *sys;	/* NULL: the kernel */
};

struct tree_member {
	struct procfs_stat stat;	/* as last seen */
	int	 pidfd;			/* -1: none; owned by the tree */
	uint64_t ino;			/* of the pidfd; 0: none */
	bool	 dead;
	uint8_t	 told;			/* the caller's: signals it got */
	void	*owner;			/* the caller's; NULL when new */
	size_t	 seen;			/* last walk that saw it */
	uint32_t up, size, slot;	/* the walk's */
};

/*
 * Members in post-order of the walk that found them: children first (T7).
 * Among them are some that were dead when first seen.
 */
struct tree {
	struct tree_member *member;
	size_t	 n, cap;
	size_t	 walks, live;
	size_t	 met;			/* all there ever were */
	size_t	 past[8];		/* let go, by their bits of `told` */
	size_t	 changes;		/* who the last walk met first, dead
					 * or alive, or saw vanish: none and
					 * nobody alive is an empty walk */
	bool	 cut;			/* the last walk failed on its way */
	/* As the last walk found the shim: alive; or not, and it didn't end
	 * by itself either, so that somebody who hides may be missing. */
	bool	 shim, lost;
	uint64_t shim_start;		/* 0: not seen so far */
	uint64_t leader_start;		/* at the first walk: later its number
					 * may be another's */
	pid_t	 shim_group;
	uint32_t *index;		/* by pid, open addressing */
	size_t	 nindex;
	size_t	 npidfds, max_pidfds;
	bool	 no_pidfds;		/* the kernel has none for us */
	int	 spare[2];		/* + 1; kept to read /proc with when
					 * there are no descriptors left */
	const struct tree_sys *sys;
	/* Members known to be alive are passed over: for who lost his parent
	 * since the last walk, where there is a shim to find him below. */
	bool	 shallow;
	/* New members get it before their children are read (SIGSTOP: they
	 * can't get more of them then); 0: none.  Sets `told` bits. */
	int	 greet;
	uint8_t	 greet_told;
};

/* Zeroed memory is an empty tree. */
void	 tree_finish(struct tree *t);

/*
 * One walk: new members are appended, known ones brought up to date, the dead
 * marked.  Never process 1, ourselves, the shim, or anybody outside (K11).
 * Iterative; bounded by what is there, and by the dead that tree_compact() has
 * not let go.  Indices of known members stay, their addresses don't.  Returns
 * how many are new, or -errno: -ENOMEM, -EMFILE, or -ETIME (too many dead ones
 * on the way, or too many others').  What was found so far is in the tree then,
 * and the next walk goes the other way round.
 */
int	 tree_walk(struct tree *t, const struct tree_scope *scope);

/*
 * Lets those go that were dead by then and that the last walk, a whole one, did
 * not meet as zombies.  Indices change; the order stays.
 */
void	 tree_compact(struct tree *t);

/* Member i is dead: gives its pidfd back.  Nothing if it was known. */
void	 tree_bury(struct tree *t, size_t i);

/*
 * To the very process that was found.  0, -ESRCH (it is dead now), -EPERM.
 */
int	 tree_signal(struct tree *t, size_t i, int signo);

/*
 * To the whole process group of member i, by one call that hits even who was
 * forked a moment ago.  Only if he is seen alive in it (best stopped by us:
 * then he can't leave it meanwhile), and never our own group, the shim's, or
 * any of our own session.  0, -EPERM, or -ESRCH: he isn't in it (any more).
 */
int	 tree_signal_group(struct tree *t, size_t i, int signo);

#endif
