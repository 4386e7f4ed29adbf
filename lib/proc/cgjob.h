/*
 * cgjob - a control group of one job's own, for the sake of its end.
 *
 * What is in it dies by one write, whoever forks or moves away meanwhile.  It
 * takes a v2 hierarchy that is ours to write below our own group, and a kernel
 * with cgroup.kill (5.14).  Most containers have neither: then the walk alone
 * has to do, see treekill.h.  No controller is switched on, so we may stay in
 * the group above.
 *
 * The job's first process enters before it executes, not its shim: that one
 * has to outlive the kill, to tell the status.
 * Source: the kernel's cgroup-v2.rst; spec/process-tree.md 4.2.
 */
#ifndef PROC_CGJOB_H
#define PROC_CGJOB_H

#include <stdbool.h>
#include <stddef.h>

#define CGJOB_PATH_MAX	1024

struct cgjob {
	char	 path[CGJOB_PATH_MAX];	/* "": none */
	int	 procs, kill;		/* to write to; close-on-exec */
	int	 events;		/* cgroup.events, to read */
};

/*
 * Where such groups can be made, into home; tried by making one.  root: "" or
 * the top of a fixture tree.  0, -ENOENT (no v2), -EROFS, -EACCES, -ENOSYS (no
 * cgroup.kill), -EOPNOTSUPP (a threaded one) or another -errno.
 */
int	 cgjob_probe(const char *root, char *home, size_t len);

/*
 * id: a file name, of this daemon's jobs alone; an empty group that has the
 * name already is used.  0 or -errno with nothing made.
 */
int	 cgjob_open(struct cgjob *g, const char *home, const char *id);

/*
 * The calling process moves in.  procs: of the group, inherited over the fork.
 * Async-signal-safe.  0 or -errno.
 */
int	 cgjob_join(int procs);

/* SIGKILL to all in it and below it.  kill: of the group. */
void	 cgjob_kill(int kill);

/* Whether somebody lives in it or below it, zombies don't count. */
bool	 cgjob_lives(int events);

/*
 * Removes the empty groups that jobs left where cgjob_probe() looks: those of
 * a daemon that was killed, and ours whose last ones were about to die as we
 * closed them.  What another daemon has open stays, and so does what somebody
 * lives in, and what can't be told about.
 */
void	 cgjob_sweep(const char *root);

/*
 * Closes all three and removes the group with those made in it, if nobody lives
 * there.  0, -EBUSY (somebody does: call it again later), or -errno.
 */
int	 cgjob_close(struct cgjob *g);	/* a closed one is allowed */

#endif
