/*
 * rest_jobs - what requests about jobs say: bodies in, structs out.
 *
 * The readers take any bytes and never more than what their limits say.  0, or
 * -EINVAL with *why set to static text for the caller.
 */
#ifndef SVC_REST_JOBS_H
#define SVC_REST_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "workspace/account.h"
#include "workspace/command.h"
#include "workspace/job.h"

struct rest_conn;

#define JOBS_MEM_MAX	(256u * 1024)	/* of a body of 64 KiB */
#define JOBS_PROBE_MIN	100u		/* ms, between two */
#define JOBS_PROBE_MAX	10000u
#define JOBS_PROBE_EACH	500u

/* POST /jobs.  Large: not for the stack. */
struct jobs_wish {
	struct arena	 arena;		/* holds the text; init, finish */
	const char	*id, *command, *cwd, *session;	/* NULL: not said */
	char		*argv[COMMAND_WORDS_MAX + 1];
	size_t		 nargv;
	char		*env[ACCOUNT_ENV_MAX];
	size_t		 nenv;
	uint32_t	 timeout_ms, grace_ms;
	bool		 detached, attached;
};
int	 jobs_read_start(struct jobs_wish *w, const void *p, size_t n,
	    const char **why);

/* POST /jobs/{id}/kill and /jobs/kill-all; no body is an empty one. */
struct jobs_kill_wish {
	int		 signo;		/* 0: not said */
	uint32_t	 grace_ms;
	enum treekill_whom whom;
	bool		 once;		/* deliver, don't end */
	bool		 wait;
	char		 session[JOB_SESSION_MAX + 1];	/* "": not said */
};
int	 jobs_read_kill(struct jobs_kill_wish *w, const void *p, size_t n,
	    const char **why);

/* POST /jobs/{id}/wait; spec points into w. */
struct jobs_wait_wish {
	struct job_wait_spec spec;
	char		 text[JOBMATCH_TEXT_MAX + 1];
	char		 path[PROBE_PATH_MAX];
};
int	 jobs_read_wait(struct jobs_wait_wish *w, const void *p, size_t n,
	    const char **why);

/* -- shared by the handlers ------------------------------------------------ */

#define JOBS_WHO_MAX	64

/* "uid 1000, pid 4711" */
void	 jobs_who(const struct rest_conn *c, char out[JOBS_WHO_MAX]);
/* Job c->arg, or NULL after a 404. */
struct job *jobs_find(struct rest_conn *c);
/* A number of the query.  False after a 400; absent: *v stays. */
bool	 jobs_number(struct rest_conn *c, const char *name, uint64_t max,
	    uint64_t *v);
/* "2026-11-22T00:24:58.123Z"; 0: "". */
#define JOBS_TIME_LEN	25
void	 jobs_time(int64_t ms, char out[JOBS_TIME_LEN]);
/* The job object as the answer. */
void	 jobs_answer(struct rest_conn *c, unsigned status,
	    const struct job *j);

/* Streams the log from the start event on; c lost kills the job. */
void	 jobs_attach(struct rest_conn *c, struct job *j, uint32_t grace_ms);

#endif
