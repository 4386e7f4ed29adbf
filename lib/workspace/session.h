/*
 * session - one shell: a task, its id, its owner, and at most one client.
 *
 * Knows no gRPC: svc_ssh attaches itself through session_client.  A session
 * without a client ends, unless it may be detached (its own issue).
 * Source: spec/grpc.md 3.2-3.6; SH-*, RS-*, CW-*; T15, T17.
 */
#ifndef WORKSPACE_SESSION_H
#define WORKSPACE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
};

struct session_spec {
	const char	*id;			/* valid, see stream.h */
	const char	*subject;		/* who owns it (T15) */
	const struct account *account;
	const char	*fallback_shell;	/* request's cmdShell or "" */
	char *const	*env;
	size_t		 nenv;
	bool		 pty;
	uint32_t	 cols, rows;		/* 0: 80 and 24 (SH-04) */
};

/* nofile: what children get as RLIMIT_NOFILE; borrowed, NULL: ours. */
struct sessions *sessions_create(struct loop *l, struct reap *r,
	    struct streams *st, const struct rlimit *nofile);
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
/* To the shell's group; its client hears of the end as of any other. */
int	 session_signal(struct session *ss, int signo);

/* As task_input(); the caller stops taking input while it is full. */
int	 session_input(struct session *ss, const void *p, size_t n);
bool	 session_input_full(const struct session *ss);
bool	 session_has_pty(const struct session *ss);
void	 session_input_end(struct session *ss);	/* stdin; no-op on a PTY */
void	 session_resume(struct session *ss);
int	 session_resize(struct session *ss, uint32_t cols, uint32_t rows);

/* The client is gone: no callback follows; the shell is hung up.  done, if
 * not NULL, is called when its processes are. */
void	 session_lost(struct session *ss, void (*done)(void *arg), void *arg);
/* After ended(): forget it. */
void	 session_release(struct session *ss);

/* Directory of the shell process (no external program), UTF-8.  0, -ESRCH if
 * it is not running, or -errno. */
int	 session_cwd(const struct session *ss, char *out, size_t outlen);
size_t	 sessions_count(const struct sessions *s);

#endif
