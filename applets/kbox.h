/*
 * kbox - the parts of the command line inside the workspace.
 *
 * Every command is a row of the table in kbox.c: name, usage, help, options,
 * handler.  A handler asks the daemon through kbox_http.c, reads the answer
 * as a tree (kbox_value.h), and prints.  kbox lives for one command: memory
 * comes from one arena and is never freed piecewise.
 * Source: spec/rest-kbox.md 2, wishes of 7.3.
 */
#ifndef APPLETS_KBOX_H
#define APPLETS_KBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"

#define KBOX_API	"/api/v1"

/* Exit status. */
#define KBOX_OK		0
#define KBOX_FAILED	1
#define KBOX_USAGE	2
#define KBOX_NOT_FOUND	3
#define KBOX_NO_DAEMON	4
#define KBOX_NO_API	5	/* the API server is needed and not there */
#define KBOX_REFUSED	6	/* by policy */
#define KBOX_INTERRUPT	130

/*
 * run and wait exit with a job's status; what is their own failure has a
 * number of its own, as with env(1) and docker.
 */
#define KBOX_TOO_LATE	124	/* wait --timeout */
#define KBOX_OWN	125
#define KBOX_CANNOT_RUN	126
#define KBOX_NO_PROGRAM	127
/* From a handler: this exit status, whatever it means elsewhere. */
#define KBOX_EXACT(n)	(0x100 | (n))

enum kbox_opt {
	/* of every command */
	OPT_HELP, OPT_VERSION, OPT_SOCKET, OPT_RUN_DIR, OPT_TIMEOUT,
	OPT_COLOR, OPT_NO_ANSI,
	/* of some */
	OPT_JSON, OPT_SORT, OPT_WATCH, OPT_NO_HEADERS, OPT_NO_TRUNC, OPT_QUIET,
	OPT_PRETTY, OPT_SINCE, OPT_COMPONENT, OPT_LEVEL, OPT_FOLLOW, OPT_LAST,
	OPT_WRAP, OPT_GREP, OPT_ERRORS, OPT_PROGRESS, OPT_TTL, OPT_NAME,
	OPT_CWD, OPT_ENV, OPT_NEWEST, OPT_DELETE, OPT_YES, OPT_FILE,
	OPT_COMPOSE, OPT_DETACHED,
	/* of jobs */
	OPT_LIMIT, OPT_ID, OPT_SESSION, OPT_ALL, OPT_STATUS, OPT_SIGNAL,
	OPT_GRACE, OPT_SCOPE, OPT_NOW, OPT_NO_WAIT, OPT_LOG, OPT_REGEX,
	OPT_PORT, OPT_HTTP, OPT_STREAM, OPT_TIMES, OPT_DONE,
	OPT_MAX
};

struct kbox_option {
	enum kbox_opt	 id;
	const char	*name;		/* NULL ends a list */
	char		 letter;	/* or '\0' */
	const char	*value;		/* "N"; "[S]": only with "="; NULL */
	const char	*help;
};

struct kbox;
typedef int kbox_fn(struct kbox *k);

struct kbox_command {
	const char	*name, *alias;	/* alias may be NULL */
	const char	*usage;		/* words behind the name */
	const char	*summary;	/* one line; NULL hides the command */
	const char	*text;		/* more for --help, or NULL */
	const struct kbox_option *options;	/* or NULL */
	unsigned	 min_words, max_words;
	bool		 rest;		/* the first word ends the options */
	bool		 of_job;	/* own failures become KBOX_OWN */
	kbox_fn		*run;
};

#define KBOX_LISTED_MAX	64

struct kbox {
	const struct kbox_command *command;
	const char	*name;		/* as typed: "uptime", "kbox uptime" */
	const char	*values[OPT_MAX];	/* "": a flag, NULL: absent */
	const char	*listed[KBOX_LISTED_MAX];	/* every --env */
	size_t		 nlisted;
	char		**words;
	size_t		 nwords;
	bool		 tty;		/* of standard output */
	bool		 color;
	unsigned	 columns;	/* 0: no limit */
	uint32_t	 timeout_ms;
	char		*socket;	/* the one in use */
	struct arena	 arena;
};

/* kbox.c */
const struct kbox_command *kbox_command_at(size_t i);	/* NULL: the end */
const struct kbox_command *kbox_command_find(const char *name);
const struct kbox_option *kbox_common_options(void);
kbox_fn	 kbox_help, kbox_show_version;

/* kbox_args.c: argv behind the command.  0 or KBOX_USAGE after a message. */
int	 kbox_args(struct kbox *k, int argc, char **argv);
/* "--name" or "-n" as an option of that command; or NULL.  c may be NULL. */
const struct kbox_option *kbox_option_find(const struct kbox_command *c,
	    const char *word);
/* Nearest name in a table of commands, or NULL if none is near. */
const char *kbox_nearest(const char *word);
/* Seconds ("90", "1.5") or a Go duration; milliseconds, or -EINVAL. */
int64_t	 kbox_parse_span(const char *s);
/* Whether word is in a list with commas between; NULL is an empty one. */
bool	 kbox_in_list(const char *list, const char *word);

/* kbox_say.c: memory that is not there ends the program. */
void	*kbox_alloc(struct kbox *k, size_t n);		/* zeroed */
char	*kbox_printf(struct kbox *k, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
/* What stands on a terminal safely: T25 of spec/security.md. */
char	*kbox_clean(struct kbox *k, const char *s);
/* The same only if standard output is a terminal. */
const char *kbox_out(struct kbox *k, const char *s);
/* "kbox: COMMAND: TEXT" on standard error, escaped; returns status. */
int	 kbox_fail(struct kbox *k, int status, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));
void	 kbox_hint(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "Jan  2 15:04:05" and the like, local time; ns of Unix time. */
char	*kbox_time(struct kbox *k, int64_t ns, const char *format);
int64_t	 kbox_now(void);		/* ns of Unix time */
/* Whole seconds, Go style: "1h2m3s"; negative is "0s". */
char	*kbox_span(struct kbox *k, int64_t ns);

/* ---- kbox_http.c ---- */

struct kbox_answer {
	unsigned	 status;
	bool		 full;		/* too many ask at once: Retry-After */
	char		*body;		/* terminated */
	size_t		 len;
};

/* A piece of a body as it comes; false ends the request. */
typedef bool kbox_piece_fn(void *arg, const char *p, size_t n);

/* Something else to look at meanwhile; fn says whether to go on. */
struct kbox_wake {
	int		 fd;
	short		 events;	/* as of poll(2); errors always count */
	bool		 (*fn)(void *arg);
	void		*arg;
};

struct kbox_request {
	const char	*method, *target;
	const char	*body;		/* JSON, or NULL */
	kbox_piece_fn	*piece;		/* for a 2xx body; NULL: collect it */
	void		*arg;
	bool		 quiet;		/* say nothing about failures */
	unsigned	 mine;		/* status the caller speaks of */
	const struct kbox_wake *wake;	/* while reading, or NULL */
};

int64_t	 kbox_clock(void);		/* ms; nobody sets it */
/* Non-blocking socket; or -1 after a message, unless quiet. */
int	 kbox_connect(struct kbox *k, bool quiet);
/*
 * One request on a connection of its own.  KBOX_OK for 2xx; else the exit
 * status after a message.  a->status is 0 if there was no answer.
 */
int	 kbox_call(struct kbox *k, const struct kbox_request *q,
	    struct kbox_answer *a);
/* GET; the second target is asked where the first is unknown (404). */
int	 kbox_get(struct kbox *k, const char *target, const char *older,
	    struct kbox_answer *a);
/* What a status of 400 or more means for our exit; says so unless quiet. */
int	 kbox_refused(struct kbox *k, const struct kbox_answer *a, bool quiet);
/* Target of one thing: KBOX_API "/KIND/ID" REST; NULL after a message. */
char	*kbox_route(struct kbox *k, const char *kind, const char *id,
	    const char *rest);
/* Daemons before ours do not know some routes, or their methods. */
bool	 kbox_is_older(const struct kbox_answer *a);
void	 kbox_hint_if_older(const struct kbox_answer *a);
/* For the 101 of attach: sends all of p, or -errno; waits up to timeout. */
int	 kbox_send(struct kbox *k, int fd, const void *p, size_t n);

/* ---- commands ---- */

kbox_fn	 kbox_streams, kbox_shells;		/* kbox_streams.c */
kbox_fn	 kbox_info;				/* kbox_info.c */
kbox_fn	 kbox_uptime;				/* kbox_uptime.c */
kbox_fn	 kbox_logs;				/* kbox_logs.c */
kbox_fn	 kbox_profile, kbox_user, kbox_splash;	/* kbox_profile.c */
kbox_fn	 kbox_init_status;			/* kbox_init.c */
kbox_fn	 kbox_attach;				/* kbox_attach.c */
kbox_fn	 kbox_shell, kbox_detach;		/* kbox_shell.c */
kbox_fn	 kbox_ps, kbox_rm;			/* kbox_jobs.c */
kbox_fn	 kbox_run;				/* kbox_jobs_run.c */
kbox_fn	 kbox_wait;				/* kbox_jobs_wait.c */
kbox_fn	 kbox_kill;				/* kbox_jobs_kill.c */
kbox_fn	 kbox_job_logs;				/* kbox_jobs_feed.c */
kbox_fn	 kbox_last, kbox_apps, kbox_credentials;	/* kbox_upstream.c */
kbox_fn	 kbox_validate, kbox_shutdown, kbox_passwd;
kbox_fn	 kbox_completion, kbox_complete;	/* kbox_complete.c */

/*
 * kbox_attach.c: sits in a session until it, or we, let go.  fresh: it was
 * started for that, and may be over already.
 */
int	 kbox_sit_in(struct kbox *k, const char *id, bool fresh);

#endif
