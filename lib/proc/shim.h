/*
 * shim - a subreaper between us and one job, so that nobody gets away.
 *
 * Forked by child_spawn() where child_spec.shim is set; it forks the program
 * and stays.  Whoever of the job loses his parent becomes the shim's child,
 * whatever sessions, groups and environments he has left behind: a walk from
 * the shim is complete (spec/process-tree.md 4.2).  It tells us the program's
 * pid and its status as soon as there is one, waits for everybody else, and
 * ends when nobody is left: the end of the shim is the end of the job.
 *
 * It keeps our ids, so that a job of another user can't kill it, is
 * undumpable, a session of its own, deaf to all signals that can be blocked,
 * and holds no descriptor but its link to us, and, executed anew, none of our
 * memory.  If we die, it kills what it holds.
 */
#ifndef PROC_SHIM_H
#define PROC_SHIM_H

#include <stdbool.h>
#include <sys/types.h>

#define SHIM_NAME	"k8shell-shim"	/* what ps(1) shows */
#define SHIM_DEATH_MS	5000		/* we died: how long it tries */

/*
 * STARTED is written by the program itself before it does anything else, so
 * it is there before anything the program reports.
 */
enum shim_event { SHIM_STARTED, SHIM_EXITED };

/* What comes from the shim, each in one packet. */
struct shim_report {
	int	event;			/* enum shim_event */
	pid_t	pid;			/* of the program */
	bool	signaled;
	int	value;			/* as reap_exit */
};

/*
 * What goes to it, one byte each.  The ended program stays a zombie until
 * TAKEN: so long its pid, and its group's number, can't be anybody else's
 * (T20).  Our end closed: nobody wants its status any more.
 */
enum shim_order {
	SHIM_TAKEN = 'T',		/* EXITED was read: collect it */
	SHIM_KILL = 'K'			/* SIGKILL to the program */
};

struct child_spec;
struct launch_plan;
struct launch_fds;

/*
 * In the forked child: becomes the shim; the program is started below it.
 * link: its end of a SOCK_SEQPACKET pair; parent: who forked it.
 */
_Noreturn void shim_run(const struct child_spec *spec,
	    struct launch_plan *p, const struct launch_fds *fds, int link,
	    pid_t parent);

/*
 * The applet SHIM_NAME: what the shim goes on as where child_spec.shim is a
 * program that has it; else it stays a copy of us.  argv: who forked it, and
 * the job's first process.
 */
int	 shim_main(int argc, char **argv);

#endif
