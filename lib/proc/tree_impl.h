/*
 * tree_impl - what the walk (tree.c), its members (tree_member.c) and their
 * order (tree_order.c) share; and what they ask of the kernel (tree_sys.c), for
 * tests that put something between two steps: a delay, a death, a refusal,
 * somebody with the same number.
 */
#ifndef PROC_TREE_IMPL_H
#define PROC_TREE_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proc/procfs.h"

/* Between finding somebody and telling him something. */
enum tree_step {
	TREE_LISTED,			/* pid's children were read */
	TREE_BOUND,			/* pid has a pidfd, isn't looked at */
	TREE_VERIFIED,			/* pid is a member now */
	TREE_SIGNALLING			/* pid is about to get a signal */
};

struct tree_sys {
	const char *root;		/* of /proc: "" */
	/* As the system calls, but with -errno. */
	int	(*open)(void *arg, pid_t pid);
	int	(*send)(void *arg, int pidfd, int signo, unsigned flags);
	int	(*kill)(void *arg, pid_t pid, int signo);
	int	(*stat)(void *arg, const char *root, pid_t pid,
		    struct procfs_stat *out);
	void	(*step)(void *arg, enum tree_step step, pid_t pid);
	void	*arg;
	/* Of a walk that finds nobody alive: the loop waits so long. */
	uint64_t patience_us;
};

extern const struct tree_sys tree_kernel;

/* Of one process only since Linux 6.9; of all of them before.  0: none. */
uint64_t tree_pidfd_number(int fd);

/* Ends as soon as the whole process, not only its first thread, has. */
bool	 tree_pidfd_ended(int fd);

struct tree;
struct tree_member;

#define TREE_NOBODY	UINT32_MAX	/* "up" of those right below us */

/*
 * Puts members from `first` on, as found with parents in front, into
 * post-order.  Their indices change.
 */
void	 tree_order(struct tree *t, size_t first);

/* -- tree_member.c -------------------------------------------------------- */

/* Room for one more of n in an array that doubles: array is where a pointer to
 * it is.  0 or -ENOMEM. */
int	 tree_reserve(void *array, size_t n, size_t *cap, size_t size);

/* A copy of m, the last one now.  NULL: no memory. */
struct tree_member *tree_add(struct tree *t, const struct tree_member *m);
/* The living member with that number; dead: or this one.  NULL: none. */
struct tree_member *tree_find(const struct tree *t, pid_t pid,
	    const struct tree_member *dead);
/* Indices have changed: members are found by their numbers again. */
void	 tree_index(struct tree *t);

/* As many descriptors as are open at once while a thread's children are
 * read. */
void	 tree_open_spares(struct tree *t);
/* Whether to try again after r, with what was spared for it. */
bool	 tree_out_of_fds(struct tree *t, int r);

/* tree_sys.stat, with what was spared, and tree_sys.step. */
int	 tree_look_at(struct tree *t, pid_t pid, struct procfs_stat *st);
void	 tree_step(const struct tree *t, enum tree_step what, pid_t pid);

/* A pidfd, -1: number and start time have to do, or -ESRCH. */
int	 tree_bind(struct tree *t, pid_t pid);
void	 tree_unbind(struct tree *t, struct tree_member *m);
/* Whether the number still is his: as long as his pidfd leads to somebody,
 * dead or alive, nobody else can have it. */
bool	 tree_holds(struct tree *t, const struct tree_member *m);
/* Brings a member up to date; false: dead. */
bool	 tree_refresh(struct tree *t, struct tree_member *m);

#endif
