/*
 * session_impl - what session.c (start, life, end) and detach.c (detaching,
 * locks, attaching, expiry) share.
 */
#ifndef WORKSPACE_SESSION_IMPL_H
#define WORKSPACE_SESSION_IMPL_H

#include "base/buf.h"
#include "loop/loop.h"
#include "workspace/chord.h"
#include "workspace/scrollback.h"
#include "workspace/session.h"
#include "workspace/stream.h"
#include "workspace/task.h"

#define SESSION_WHY_MAX	256

/*
 * STARTING until exec is known to have worked, LIVE until the shell was
 * collected and its output drained, then ENDED.  HUNG_UP: the client is gone
 * and the task ends by itself; only done() is still owed.
 *
 * A STARTING or LIVE session without a client is detached.
 */
enum session_state {
	SESSION_STARTING, SESSION_LIVE, SESSION_ENDED, SESSION_HUNG_UP
};

struct session {
	struct loop		*loop;		/* borrowed */
	struct sessions		*owner;		/* NULL: outlived it */
	struct stream		 stream;	/* id, counters */
	struct task		*task;
	enum session_state	 state;
	bool			 pty;
	char			*subject;	/* who started it (T15) */
	char			*user;		/* it runs as */
	char			*shell;		/* path, once it runs */
	bool			 keep;		/* losing the client detaches */
	bool			 expected;	/* nobody has attached yet */
	bool			 lingers;	/* ENDED, output kept */
	bool			 input_rest;	/* no limit any more */
	struct chord		 chord;
	struct loop_timer	 chord_timer;	/* a lone Ctrl+A */
	struct scrollback	 scrollback;
	struct buf		 replay;	/* owed to a new client */
	int64_t			 detached_at;	/* wall seconds; 0: never */
	int64_t			 ttl_ms;	/* of this detach; 0: none */
	struct loop_timer	 expiry;	/* armed while detached */
	char			 lock[SESSION_LOCK_LEN + 1];	/* or "" */
	uint64_t		 lock_until_ms;
	char			 why[SESSION_WHY_MAX];	/* of a failed start */
	char			 notice[128];	/* waits for room */
	const struct session_client *client;	/* NULL: nobody listens */
	void			*client_arg;
	void			(*done)(void *arg);
	void			*done_arg;
	struct loop_task	 end;		/* ended() from a clean stack */
	struct session		*next, **prevp;
};

struct sessions {
	struct loop	*loop;			/* borrowed, all three */
	struct reap	*reap;
	struct streams	*streams;
	const struct rlimit *nofile;		/* borrowed, or NULL */
	struct session_rules rules;
	struct session	*list;
	size_t		 count;
	void		(*on_end)(void *arg, const char *id);	/* or NULL */
	void		*on_end_arg;
	size_t		 nlingering;		/* of them */
	bool		 stopping;		/* nobody attaches now */
};

/* Runs, or is about to. */
static inline bool
session_running(const struct session *ss)
{
	return ss->state == SESSION_STARTING || ss->state == SESSION_LIVE;
}

/* May a caller of this subject know of ss? */
bool	 session_owned(const struct session *ss, const char *subject);

/* detach.c: set up and torn down with the session. */
void	 session_detach_init(struct session *ss);
void	 session_detach_finish(struct session *ss);

/* The client is gone and the session stays. */
void	 session_leave(struct session *ss, int64_t ttl_ms);

/* It has ended before its first client came. */
void	 session_linger(struct session *ss);
/* A new session has the name of one that lingers. */
void	 session_replace(struct sessions *s, const char *id);
void	 session_free(struct session *ss);

/* Sends what a new client is owed; true when nothing is left. */
bool	 session_replay_flush(struct session *ss);

#endif
