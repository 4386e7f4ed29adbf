/*
 * reap - pid -> owner registry, the only waitid in the tree.
 *
 * Driven by SIGCHLD: collects until nothing is left, every status is
 * delivered once to whoever registered the pid (T21).  The owner is called
 * while the child is still a zombie: its pid and process group can't be
 * anybody else's yet, so that is the moment to signal the group (T20).
 * Register in the same thread right after fork, before the loop turns: no
 * status can slip by.
 *
 * With adopt, children nobody registered (orphans handed to PID 1 or to a
 * subreaper) are collected as well; without it only our own are.
 */
#ifndef PROC_REAP_H
#define PROC_REAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct reap;

struct reap_exit {
	pid_t	pid;
	bool	signaled;
	int	value;			/* exit status, or signal number */
};

/* Embedded in the owner. */
struct reap_entry {
	pid_t	 pid;
	void	(*fn)(void *arg, const struct reap_exit *e);
	void	*arg;
	struct reap_entry *next, **prevp;	/* NULL: not registered */
};

/* NULL: out of memory. */
struct reap *reap_create(bool adopt);
void	 reap_destroy(struct reap *r);

void	 reap_watch(struct reap *r, struct reap_entry *e);
/* The child is then collected, its status dropped. */
void	 reap_forget(struct reap_entry *e);

/* On SIGCHLD, and once after start.  Returns how many were collected. */
unsigned reap_run(struct reap *r);

uint64_t reap_adopted(const struct reap *r);	/* collected orphans so far */

/* Shell's way: status, or 128 + signal number (EX-03). */
int	 reap_exit_code(const struct reap_exit *e);

#endif
