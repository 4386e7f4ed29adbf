/*
 * job_impl - what jobs.c (registry), job.c (life of one), jobkill.c (the end)
 * and jobwait.c (waiting) share.
 */
#ifndef WORKSPACE_JOB_IMPL_H
#define WORKSPACE_JOB_IMPL_H

#include "proc/cgjob.h"
#include "workspace/job.h"
#include "workspace/jobfile.h"
#include "workspace/task.h"

#define JOB_COMPONENT	"job"
#define JOB_HOLD_EVENTS	128u	/* half of the log, at most */

struct job {
	struct jobs	*owner;
	unsigned	 refs;
	char		 id[JOB_ID_MAX + 1];
	char		 session[JOB_SESSION_MAX + 1];
	uint64_t	 mark;			/* proc/mark.h */
	char		*command, *cwd;
	char		**argv;			/* one allocation, or NULL */
	char		*path;			/* of the log file, or NULL */
	bool		 detached;

	enum job_status	 status;
	enum job_reason	 reason;
	char		 message[JOB_WHY_MAX];
	pid_t		 pid;
	int		 exit_code, signo;
	int64_t		 start_ms, end_ms;
	uint32_t	 timeout_ms, grace_ms;
	uint64_t	 oom_kills;		/* at its start */

	/*
	 * task: until the program is collected and nobody is left.  If the
	 * shim was killed nobody tells; then unsure, until a walk finds
	 * nobody.
	 */
	struct task	*task;
	bool		 finished, emptied, unsure;
	struct cgjob	 cgroup;	/* path "": none */
	struct joblog	 log;
	uint64_t	 held;			/* job_hold(); 0: nobody */
	struct jobfile	 file;
	bool		 file_there;
	struct loop_timer timeout;

	/* jobkill.c */
	struct treekill	*kill;			/* NULL: none is running */
	enum job_reason	 kill_reason;
	bool		 kill_waits;		/* for the start (N14) */
	uint32_t	 kill_grace_ms;
	bool		 killed;		/* result is valid */
	struct treekill_result result;
	struct loop_timer settle;
	struct job_killing *killings;

	struct job_watch *watches;
	struct job_wait	*waits;
	struct job	*next, **prevp;
};

struct jobs {
	struct loop	*loop;			/* borrowed, all four */
	struct reap	*reap;
	const char	*shim;			/* program */
	const struct rlimit *nofile;
	struct jobfiles	*files;
	struct job	*list;			/* newest first */
	bool		 stopping;
	char		 cgroup_home[CGJOB_PATH_MAX];	/* "": none */
	struct loop_timer oom_look;
	uint64_t	 oom_kills;		/* of our group, as last seen */
	uint64_t	 oom_rose_ms;		/* when it was seen to rise */
	struct jobs_totals totals;		/* live, kept: not here */
};

/* -- jobs.c -- */

/* 0, -EEXIST, -EAGAIN or -ESHUTDOWN, as job_start().  id NULL: any. */
int	 jobs_may_start(struct jobs *js, const char *id);
/* Takes the place of an older one of that id; makes room. */
void	 jobs_add(struct jobs *js, struct job *j);
/* How many the kernel killed for want of memory in our group, seen now; and
 * whether one of them just died, and none of those before `since'. */
uint64_t jobs_oom_kills(struct jobs *js);
bool	 jobs_oom_recent(struct jobs *js, uint64_t since);
/* Its log has changed; its memory was `before'. */
void	 jobs_count_log(struct job *j, size_t before);

/* Of job's own control group, to write to; -1: none. */
int	 job_cgroup(const struct job *j);

/* Whom a walk has to find. */
void	 job_scope(const struct job *j, struct tree_scope *scope);
/* A process of it may live; job_alive() is the same, but walks if need be. */
bool	 job_busy(const struct job *j);

/* What its log holds back of a character goes out: no end will come. */
void	 job_flush_log(struct job *j);

/* It is over; the first who says so is right (S9). */
void	 job_end(struct job *j, enum job_status status, int exit_code,
	    int signo);

/* jobkill.c: the program runs, or never will; the job is over; the tree is
 * empty; the daemon ends. */
void	 job_kill_started(struct job *j);
void	 job_kill_ended(struct job *j);
void	 job_kill_emptied(struct job *j);
void	 job_kill_finish(struct job *j);

/* jobwait.c: there is news; the daemon ends. */
void	 job_waits_poke(struct job *j);
void	 job_waits_finish(struct job *j);

#endif
