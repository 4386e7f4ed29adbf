/*
 * hangup - the end of a terminal session's other processes.
 *
 * A program that is hung up or ends leaves others behind: children forked by
 * its threads, jobs in groups of their own, members of its own group that are
 * slow to go.  Those in its session that do not ignore SIGHUP get it, and
 * SIGKILL when they are there after HANGUP_MS.  Who left the session (setsid)
 * or ignores SIGHUP (nohup) stays: SH-10, EX-16.
 *
 * Without pidfds (old kernels, old seccomp profiles) number and start time have
 * to do, and who came later is killed only where he is a child of ours.
 *
 * Works on alone, with what it has to know about the processes, until they are
 * gone or told; everybody is told as the very process that was found (T20).
 */
#ifndef WORKSPACE_HANGUP_H
#define WORKSPACE_HANGUP_H

#include <sys/types.h>

/*
 * SIGHUP to SIGKILL: whoever still lives then has a handler, and those of
 * editors, pagers and shells need a few milliseconds.
 */
#define HANGUP_MS	500

struct loop;

/*
 * leader, a child of ours, is alive or not collected yet.  SIGHUP and SIGCONT
 * to its group, and then to whoever is below it in its session.  SIGKILL to
 * itself is the caller's.  0, -ENOMEM, or -errno of looking at the leader:
 * nobody was told anything then.
 */
int	 hangup_session(struct loop *l, pid_t leader);

/*
 * leader ended and is not collected yet, its group got SIGHUP: who of it stays
 * is killed later.  0, or the same errors: nobody is.
 */
int	 hangup_group(struct loop *l, pid_t leader);

#endif
