/*
 * orphan - finds what ended sessions left behind, and hangs it up.
 *
 * Looked at is only who became our child and was never started by us: nobody
 * outside our descendants is touched, whatever else lives in our PID namespace
 * (spec/bootstrap.md 11, weakness 6).  Kept are, in this order:
 *
 *  - who was started by us (reap.h knows them), or is in a session whose
 *    leader was, or in our own session, or in a PID namespace of its own;
 *  - who ignores SIGHUP (nohup), looked at just before the signal, too;
 *  - who matches a pattern to be excluded, by his command line;
 *  - whose environment names a session, a command or a job that lives, even
 *    detached; and whose environment we may not read, while anything lives that
 *    we started before him: ssh-agent is not worth less for hiding its keys.
 *
 * Anybody else, once he is ORPHAN_AGE_MS old (so that nohup has had its time),
 * gets SIGHUP and SIGCONT, once in his life, and so does each of those below
 * him in his process group under the same rules.  A process is its number and
 * its start time, and told through a pidfd.
 *
 * Command lines and environments are memory of those processes, which may hang
 * whoever reads it: a child of ours does that (ask.h).  Who keeps it waiting is
 * left alone, and the others' answers count.  What is registered meanwhile is
 * known when the answer is used: registering, answer and signal are one
 * thread's work, done in slices.
 * Source: spec/bootstrap.md 9.2, 11.1-11.8; spec/grpc.md 5, L9; T20, T23.
 */
#ifndef PROC_ORPHAN_H
#define PROC_ORPHAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"
#include "proc/procfs.h"
#include "proc/reap.h"

#define ORPHAN_AGE_MS	1000	/* younger ones: next time */
#define ORPHAN_ASK_MS	2000
#define ORPHAN_BATCH	1024u	/* asked about at once; others: next time */

struct orphans;
struct orphan_sys;

struct orphan_options {
	uint32_t interval_ms;		/* not 0 */
	uint32_t escalate_ms;		/* SIGHUP to SIGKILL; 0: never */
	/* POSIX extended regular expressions. */
	char	*const *exclude, *const *exclude_more;
	size_t	 nexclude, nexclude_more;
	/* Variables that name what a process belongs to; NULL ends. */
	const char *const *names;
	bool	(*lives)(void *arg, const char *name, const char *value);
	void	*arg;
	const struct orphan_sys *sys;	/* NULL: the kernel */
};

/* What a test may put in the place of two functions of procfs.h. */
struct orphan_sys {
	int	(*children)(const char *root, pid_t pid, procfs_pid_fn *fn,
		    void *arg);
	int	(*cmdline)(const char *root, pid_t pid, char *out,
		    size_t outlen);
};

/*
 * Scans every interval.  Options are copied, but what they point to is
 * borrowed.  0, -EINVAL (a pattern) or -ENOMEM.
 */
int	 orphans_create(struct orphans **out, struct loop *l, struct reap *r,
	    const struct orphan_options *opt);
void	 orphans_destroy(struct orphans *o);	/* NULL is allowed */

/* Now, too. */
void	 orphans_scan(struct orphans *o);

struct orphan_counts {
	uint64_t scans, ended;		/* begun, and over */
	uint64_t hung_up, killed;
	size_t	 known;			/* looked at and still there */
};
void	 orphans_counts(const struct orphans *o, struct orphan_counts *c);

#endif
