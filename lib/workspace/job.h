/*
 * job - supervised commands: start, watch, await, end, and what is left.
 *
 * A job is one program of the workspace user without a terminal, below a shim
 * of its own (proc/shim.h), so that whatever it starts is found again.  It is
 * over when its program is; processes it left behind are its `lingering' ones,
 * and ending the job ends them, too.  Ended jobs stay for who asks, JOBS_KEPT
 * of them; one that still has processes counts as a live one.
 *
 * Everybody who waits (for the end, for a line, for a port, for a kill) gets
 * exactly one answer.  No job waits for another.
 * Source: spec/process-tree.md 1.2-1.4 (K, S, B), 2.
 */
#ifndef WORKSPACE_JOB_H
#define WORKSPACE_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "loop/loop.h"
#include "proc/treekill.h"
#include "workspace/joblog.h"
#include "workspace/jobmatch.h"
#include "workspace/probe.h"

struct account;
struct job;
struct jobs;
struct reap;
struct rlimit;

#define JOB_ID_MAX	64
#define JOB_SESSION_MAX	128
#define JOB_WHY_MAX	256
#define JOBS_LIVE_MAX	256u
#define JOBS_KEPT	64u			/* ended ones */
#define JOBS_LOG_MAX	(64u * 1024 * 1024)	/* of all logs together */

enum job_status {
	JOB_STARTING, JOB_RUNNING,
	/* S1 */
	JOB_COMPLETED, JOB_FAILED, JOB_KILLED,
	JOB_ERROR			/* it never ran (S2) */
};

/* S4 */
enum job_reason {
	JOB_REASON_NONE, JOB_REASON_REQUESTED, JOB_REASON_SIGNAL,
	JOB_REASON_OOM, JOB_REASON_TIMEOUT
};

const char *job_status_name(enum job_status s);
const char *job_reason_name(enum job_reason r);		/* "" for none */
/* 0 or -EINVAL. */
int	 job_status_parse(const char *name, enum job_status *s);

/* [A-Za-z0-9._-]{1,64}, not "." or "..", not "kill-all". */
bool	 job_id_valid(const char *id);

/* -- the registry ---------------------------------------------------------- */

/* nofile: what jobs get as RLIMIT_NOFILE; borrowed, NULL: ours.  shim: as
 * child_spec.shim, not NULL. */
struct jobs *jobs_create(struct loop *l, struct reap *r,
	    const struct rlimit *nofile, const char *shim);
/* NULL is allowed.  Abandons them, and what their files lack. */
void	 jobs_destroy(struct jobs *j);

/* Ends all jobs as job_kill() does; none is started any more. */
void	 jobs_stop(struct jobs *j, uint32_t grace_ms);
/* Forgets all, ended or not, after SIGKILL to what lives; waits for nobody,
 * tells the waiters. */
void	 jobs_abandon(struct jobs *j);
/* Some of what jobs have said is still to be written to their files. */
bool	 jobs_writing(const struct jobs *j);
/* Jobs of which a process lives. */
size_t	 jobs_count(const struct jobs *j);

struct jobs_totals {
	uint64_t started, live, kept;
	uint64_t ended[JOB_ERROR + 1];		/* since the start, by status */
	size_t	 log_memory;
};
void	 jobs_totals(const struct jobs *j, struct jobs_totals *t);

struct job *job_find(struct jobs *j, const char *id);
typedef bool jobs_fn(void *arg, struct job *job);
/* Newest first; false stops.  fn may not remove any. */
void	 jobs_each(struct jobs *j, jobs_fn *fn, void *arg);

/* The shell session is over: its jobs that are not detached are destroyed
 * (B9). */
void	 jobs_session_ended(struct jobs *j, const char *session);
/* All of a session, detached or not: SIGKILL at once, without waiting for
 * their death (B2).  How many were alive. */
size_t	 jobs_destroy_session(struct jobs *j, const char *session,
	    const char *who);

/* -- one job --------------------------------------------------------------- */

/* Everything is copied.  Either command, by the user's shell, or argv. */
struct job_spec {
	const char	*id;			/* NULL: made up */
	const struct account *account;
	const char	*command;		/* or NULL */
	char *const	*argv;			/* NULL ends; or NULL */
	const char	*cwd;			/* NULL: home */
	char *const	*env;			/* "NAME=value" */
	size_t		 nenv;
	const char	*session;		/* "" for none */
	bool		 detached;
	uint32_t	 timeout_ms;		/* of all that it starts; 0:
						 * none */
	uint32_t	 grace_ms;		/* of the timeout */
	const char	*who;			/* for the log */
};

/*
 * 0, -EEXIST (a live job has the id), -EAGAIN (JOBS_LIVE_MAX), -ESHUTDOWN,
 * -EINVAL (blank command or ill quoting), -ENOMEM, or -errno of the fork.  A
 * failure of the exec shows later, as JOB_ERROR.
 */
int	 job_start(struct jobs *j, struct job **out,
	    const struct job_spec *spec);

struct job_info {
	const char	*id, *command, *cwd, *session;	/* borrowed */
	const char	*const *argv;		/* NULL: command was given */
	bool		 detached;
	enum job_status	 status;
	enum job_reason	 reason;
	const char	*message;		/* of JOB_ERROR, or "" */
	pid_t		 pid;
	int		 exit_code;		/* -1: not yet */
	int		 signo;			/* 0: none */
	int64_t		 start_ms, end_ms;	/* wall clock; 0: not yet */
	uint32_t	 timeout_ms;
	const char	*log_file;		/* or "" */
	const struct joblog *log;
};
void	 job_info(const struct job *j, struct job_info *info);
bool	 job_terminal(const struct job *j);
/* It runs, or processes that it started do: looks for them. */
bool	 job_alive(struct job *j);
/* Processes left after the end, counted now (S12). */
size_t	 job_lingering(const struct job *j);

/* The memory stays, whatever becomes of the job. */
struct job *job_ref(struct job *j);
void	 job_unref(struct job *j);

/* 0, or -EBUSY: a process of it lives. */
int	 job_remove(struct job *j);
/* All that are over; how many. */
size_t	 jobs_remove_ended(struct jobs *j);

/* Told of everything that is new in log or status; embedded in its owner.
 * more() may not change the job. */
struct job_watch {
	void		(*more)(void *arg);
	void		*arg;
	struct job	*job;			/* NULL: not watching */
	struct job_watch *next, **prevp;
};
void	 job_watch(struct job *j, struct job_watch *w);
void	 job_unwatch(struct job_watch *w);	/* any number of times */

/*
 * Somebody who may not miss any of it has come as far as event `at': the job's
 * output waits for him while he is far behind, until it is to end.  0: no more.
 * One at a time.
 */
void	 job_hold(struct job *j, uint64_t at);

/* -- its end --------------------------------------------------------------- */

struct job_killing {
	/* The tree is gone and the job over.  already: it had been before.
	 * job's memory is good for the call. */
	void		(*done)(void *arg, struct job *job, bool already,
			    const struct treekill_result *r);
	void		*arg;
	struct job	*job;			/* NULL: not waiting */
	bool		 already;
	struct loop_task task;
	struct job_killing *next, **prevp;
};

/*
 * SIGTERM to the tree, grace, SIGKILL (see treekill.h).  done() always comes,
 * once, and never from within; k NULL: nobody waits.  A second kill joins the
 * first and may shorten its grace (K14).  who: for the log.
 */
void	 job_kill(struct job *j, uint32_t grace_ms, enum job_reason reason,
	    const char *who, struct job_killing *k);
void	 job_killing_cancel(struct job_killing *k);	/* the kill goes on */

/* One signal, once (K15).  As treekill_signal(); 0 instead of a count. */
int	 job_signal(struct job *j, enum treekill_whom whom, int signo,
	    const char *who);

/* -- waiting (jobwait.c) --------------------------------------------------- */

enum job_await { JOB_AWAIT_END, JOB_AWAIT_LINE, JOB_AWAIT_PORT };

enum job_outcome {
	JOB_WAIT_DONE,			/* what was awaited has come */
	JOB_WAIT_ENDED,			/* the job ended before that */
	JOB_WAIT_TIMEOUT,
	JOB_WAIT_STOPPING		/* we end, and know nothing */
};

struct job_wait;

struct job_wait_result {
	enum job_outcome outcome;
	struct job	*job;
	/* JOB_AWAIT_LINE */
	const struct jobmatch_found *found;
	enum joblog_type stream;
	uint64_t	 seq;
	/* JOB_AWAIT_PORT with HTTP */
	unsigned	 status;
};

struct job_wait_spec {
	enum job_await	 what;
	uint64_t	 timeout_ms;		/* 0: none */
	const char	*text;			/* copied */
	bool		 regex;
	struct probe_spec probe;		/* path is copied */
	uint32_t	 interval_ms;
	unsigned	 status_min, status_max;
};

/*
 * done comes once, never from within, unless the wait is cancelled; *out is
 * live until then.  0, -EINVAL (*why: the expression), -ENOMEM.
 */
typedef void job_wait_fn(void *arg, const struct job_wait_result *r);
int	 job_wait_start(struct job_wait **out, struct job *j,
	    const struct job_wait_spec *spec, job_wait_fn *done, void *arg,
	    const char **why);
void	 job_wait_cancel(struct job_wait *w);	/* NULL is allowed */

#endif
