/*
 * hangup - the end of a terminal session's other processes.
 *
 * A program that is hung up or ends leaves others behind: children forked by
 * its threads, jobs in groups of their own, members of its own group that are
 * slow to go.  Those in its session that do not ignore SIGHUP get it, and
 * SIGKILL when they are there after HANGUP_MS.  Who left the session (setsid)
 * or ignores SIGHUP (nohup) stays: SH-10, EX-16.
 *
 * Works on alone, with what it has to know about the processes, until they are
 * gone or told; everybody is told as the very process that was found (T20).
 */
#ifndef WORKSPACE_HANGUP_H
#define WORKSPACE_HANGUP_H

#include <sys/types.h>

#define HANGUP_MS	2000		/* SIGHUP to SIGKILL */

struct loop;

/*
 * leader, a child of ours, is alive or not collected yet.  SIGHUP and SIGCONT
 * to its group, and then to whoever is below it in its session.  SIGKILL to
 * itself is the caller's.  0, or -ENOMEM: nobody was told anything.
 */
int	 hangup_session(struct loop *l, pid_t leader);

/* leader ended and is not collected yet, its group got SIGHUP: who of it stays
 * is killed later.  0 or -ENOMEM. */
int	 hangup_group(struct loop *l, pid_t leader);

#endif
