/*
 * tree_impl - what the walker asks of the kernel, for tests that put something
 * between two steps of it: a delay, a death, a refusal, somebody with the same
 * number.
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

#define TREE_NOBODY	UINT32_MAX	/* "up" of those right below us */

/*
 * Puts members from `first` on, as found with parents in front, into
 * post-order.  Their indices change.
 */
void	 tree_order(struct tree *t, size_t first);

#endif
