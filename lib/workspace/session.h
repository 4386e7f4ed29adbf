/*
 * session - one shell: a task, its id, its owner, and at most one client.
 *
 * Knows no gRPC: its clients attach themselves through session_client.  A
 * terminal session may go on without a client, detached: its output goes to
 * the scrollback, and who attaches later gets that first.
 * Source: spec/grpc.md 3.2-3.6, 4; SH-*, RS-*, CW-*, AQ-*, LS-*; T15..T17.
 */
#ifndef WORKSPACE_SESSION_H
#define WORKSPACE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct account;
struct loop;
struct reap;
struct rlimit;
struct session;
struct sessions;
struct streams;

struct session_client {
	void	(*started)(void *arg, const char *tty);
	size_t	(*room)(void *arg);
	void	(*output)(void *arg, const void *p, size_t n);
	void	(*writable)(void *arg);		/* input has room again */
	/* The shell is over (all output was given); why NULL, or one line
	 * about a failed start. */
	void	(*ended)(void *arg, const char *why);
	/* The session goes on without this client, which forgets it. */
	void	(*detached)(void *arg);
};

/* What the configuration allows (spec/grpc.md 4.1). */
struct session_rules {
	bool	may_detach;
	bool	may_stay;		/* as long as a detach asks for */
	int64_t	ttl_ms;			/* 0: detached ones never expire */
};

#define SESSION_TTL_RULE	(-1)	/* what the rules say */
#define SESSION_TTL_NONE	0
#define SESSION_LOCK_MS		30000	/* to use an acquired lock (AQ-03) */
#define SESSION_LOCK_LEN	35u	/* "lk-" and 128 bits */
#define SESSION_LINGER_MS	2000
#define SESSION_LINGER_MAX	16u	/* of them, oldest go first */

struct session_spec {
	const char	*id;			/* valid, see stream.h */
	const char	*subject;		/* who owns it (T15) */
	const struct account *account;
	const char	*fallback_shell;	/* request's cmdShell or "" */
	const char	*command;		/* NULL: a login shell */
	const char	*cwd;			/* NULL: the home directory */
	char *const	*env;
	size_t		 nenv;
	bool		 pty;
	uint32_t	 cols, rows;		/* 0: 80 and 24 (SH-04) */
	bool		 keep;			/* detach if it is lost */
	/* Somebody will come for it: should it end before he does, what it
	 * said waits SESSION_LINGER_MS for his session_attach(). */
	bool		 linger;
};

/* nofile: what children get as RLIMIT_NOFILE; borrowed, NULL: ours. */
struct sessions *sessions_create(struct loop *l, struct reap *r,
	    struct streams *st, const struct rlimit *nofile,
	    const struct session_rules *rules);
/* fn hears of every shell that is over or hung up; NULL: nobody does. */
void	 sessions_on_end(struct sessions *s,
	    void (*fn)(void *arg, const char *id), void *arg);
/* SIGHUP to every shell; clients see them end (shutdown). */
void	 sessions_hangup(struct sessions *s);
/* Hangs every session up; none is left behind. */
void	 sessions_destroy(struct sessions *s);

/* 0, -EEXIST (SH-14), -EINVAL (size), or -errno of the fork. */
int	 session_start(struct sessions *s, struct session **out,
	    const struct session_spec *spec, const struct session_client *cl,
	    void *arg);

/* NULL if unknown or owned by somebody else: the same answer (T15). */
struct session *session_find(struct sessions *s, const char *id,
	    const char *subject);

/* For who owns the workspace, and so every session: NULL if unknown. */
struct session *session_by_id(struct sessions *s, const char *id);
/* One that has ended and lingers, for session_attach() only; or NULL. */
struct session *session_lingering(struct sessions *s, const char *id);
/* Nobody will come for it. */
void	 session_unexpect(struct session *ss);
/* To the shell's group; its client hears of the end as of any other. */
int	 session_signal(struct session *ss, int signo);
/* SIGHUP to all of its session: task_hang_up_session(). */
void	 session_hang_up(struct session *ss);

/*
 * As task_input(); the caller stops taking input while it is full.  Where
 * detaching is allowed, Ctrl+A d in it detaches: detached() comes from within.
 */
int	 session_input(struct session *ss, const void *p, size_t n);
bool	 session_input_full(const struct session *ss);
/* The client is gone and what it left is the rest: until session_lost() it is
 * taken while the queue is full, too.  Bounded by who calls, and 4 MiB. */
void	 session_input_rest(struct session *ss);
bool	 session_has_pty(const struct session *ss);
void	 session_input_end(struct session *ss);	/* stdin; no-op on a PTY */
void	 session_resume(struct session *ss);
int	 session_resize(struct session *ss, uint32_t cols, uint32_t rows);

/*
 * The client is gone: no callback follows.  The session is detached where its
 * client asked for that and the rules allow it, else hung up.  done, if not
 * NULL, is called when no process of it is left, or at once if it stays.
 */
void	 session_lost(struct session *ss, void (*done)(void *arg), void *arg);
/* Hung up in any case. */
void	 session_kill(struct session *ss, void (*done)(void *arg), void *arg);
/* After ended(): forget it. */
void	 session_release(struct session *ss);

/* Directory of the shell process (no external program), UTF-8.  0, -ESRCH if
 * it is not running, or -errno. */
int	 session_cwd(const struct session *ss, char *out, size_t outlen);
size_t	 sessions_count(const struct sessions *s);

/*
 * On purpose: the client gets detached().  ttl_ms: SESSION_TTL_RULE,
 * SESSION_TTL_NONE, or a time up to the rule's.  0, -EPERM (the rules forbid
 * it), -ENOTTY, -EALREADY (nobody is attached), -ERANGE (the time).
 */
int	 session_detach(struct session *ss, int64_t ttl_ms);
/* A detached one: its time begins anew.  0, -EPERM, -ENOTCONN (somebody is
 * attached), -ERANGE. */
int	 session_retain(struct session *ss, int64_t ttl_ms);

/*
 * First step of attaching: a lock on a detached session, random, for one use
 * by this subject within SESSION_LOCK_MS.  0, -ENOENT (unknown, ended, or
 * somebody else's), -EBUSY (attached or locked), -ENOTTY, -EIO (no entropy).
 */
int	 session_acquire(struct sessions *s, const char *id,
	    const char *subject, char lock[SESSION_LOCK_LEN + 1]);

struct session_attach {
	const struct session_client *client;	/* started() is not called */
	void		*arg;
	uint32_t	 cols, rows;		/* 0: as it is */
	bool		 keep;
};

/*
 * Second step.  The lock is spent, also on failure.  session_resume() then
 * starts the replay and live output behind it.  0, -ENOENT (unknown, spent,
 * gone), -ETIMEDOUT, -EBUSY.
 */
int	 session_attach_lock(struct sessions *s, struct session **out,
	    const char *lock, const char *subject,
	    const struct session_attach *at);
/* Both steps in one; of a lingering one ended() follows the replay.  0,
 * -EBUSY, -ENOTTY, -EPERM. */
int	 session_attach(struct session *ss, const struct session_attach *at);

struct session_info {
	const char	*id, *user, *shell;	/* borrowed for the call */
	pid_t		 pid;
	int64_t		 created, detached_at;	/* wall seconds; 0: never */
	bool		 pty, attached, locked;
	int64_t		 ttl_left_ms;		/* -1: does not expire */
};
typedef bool session_fn(void *arg, const struct session_info *info);
/* Running ones that subject may know of; false stops. */
void	 sessions_each(const struct sessions *s, const char *subject,
	    session_fn *fn, void *arg);

#endif
