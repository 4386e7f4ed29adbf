/*
 * rest_impl - what the files of rest share: connections, answers, handlers.
 *
 * A handler answers with exactly one of rest_json(), rest_text(),
 * rest_empty(), rest_error(), rest_stream() or rest_upgrade(), at once or,
 * after rest_wait(), later.  After an answer it forgets the connection.
 */
#ifndef SVC_REST_IMPL_H
#define SVC_REST_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "loop/loop.h"
#include "net/http1.h"
#include "svc/rest.h"

struct conn;
struct listener;
struct rest_conn;
struct session_info;

#define REST_ANSWER_MAX		(4u * 1024 * 1024)	/* body */
#define REST_HEAD_MAX		4096u			/* header of one */
#define REST_ARG_MAX		256	/* {id}, decoded, with its end */
#define REST_PIECE_MAX		(30u * 1024)	/* of a stream, one chunk */
#define REST_RETRY_MS		5000	/* to make the socket, doubling up to */
#define REST_RETRY_MAX_MS	60000

typedef void rest_fn(struct rest_conn *c);

#define REST_BODY	0x1u	/* the body of the request is kept */
#define REST_AUDIT	0x2u	/* who asked is worth a line in the log */
#define REST_QUIET	0x4u	/* not even a debug line: it reads the log */
#define REST_LASTS	0x8u	/* the answer may take for ever */

/* One row holds every fact about a route. */
struct rest_route {
	const char	*method;
	const char	*path;		/* "/api/v1/shells/{id}/attach" */
	rest_fn		*fn;
	unsigned	 flags;
	const char	*missing;	/* rest_missing(): what is */
};

/* A body of unknown length. */
struct rest_source {
	/* Puts what there is while it fits (REST_PIECE_MAX); false: that was
	 * all.  Asked again while it puts something, and by rest_more(). */
	bool	(*fill)(void *arg, struct buf *out);
	/* It is over, or nobody reads it any more.  Frees arg. */
	void	(*closed)(void *arg);
};

/* Raw bytes after 101. */
struct rest_raw {
	/* As in conn_ops; what is left comes again after rest_resume(). */
	int	(*input)(void *arg, struct buf *in);
	void	(*output)(void *arg, struct buf *out);
	void	(*closed)(void *arg);
};

enum rest_state {
	REST_READING,		/* a request, or waiting for one */
	REST_WAITING,		/* for the handler */
	REST_ANSWERING,
	REST_STREAMING,
	REST_RAW,
	REST_ENDED		/* conn_finish() was called */
};

struct rest_conn {
	struct rest	*rest;
	struct conn	*conn;
	enum rest_state	 state;
	uint32_t	 uid;
	int32_t		 pid;
	unsigned	 refused;	/* status for whatever is asked, or 0 */
	bool		 begun;		/* bytes of a request have arrived */
	bool		 lasting;	/* counted there, not in nconns */
	bool		 full;		/* the answer: later, perhaps */
	bool		 keep;		/* another request may follow; not
					 * lasting, once the head says so */
	bool		 eof;		/* the peer sends no more */
	bool		 left;		/* unread bytes are in conn's buffer */
	bool		 tail;		/* the end of a stream is still owed */
	struct http1	 http;
	const struct rest_route *route;
	char		 arg[REST_ARG_MAX];
	struct buf	 body;		/* of the request */
	struct buf	 head, answer;	/* to be sent, in this order */
	struct loop_timer timer;
	struct loop_task free_task;
	const struct rest_source *source;
	const struct rest_raw *raw;
	void		(*gone)(void *arg);
	void		*fn_arg;	/* of source, raw or gone */
	struct rest_conn *next, **prevp;
};

struct rest_counts {
	uint64_t	 conns_total, refused_uid, refused_busy;
	uint64_t	 refused_lasting;
	uint64_t	 answers[6];	/* by first digit of the status */
};

struct rest {
	struct rest_options opt;
	struct loop	*loop;
	struct listener	*listener;
	struct loop_timer retry;
	uint32_t	 retry_ms;
	char		 why[256];	/* there is no socket; last logged */
	struct rest_conn *conns;
	size_t		 nconns, nlasting, nrefused;
	struct rest_counts counts;
	struct log_limit refusals;
	int64_t		 started;	/* wall clock, seconds */
	bool		 stopping;
	uint64_t	 stop_ms;	/* when that began */
};

/* rest_socket.c: tries now, and again when it has to. */
void	 rest_listen(struct rest *r);

/* rest_conn.c; takes fd. */
void	 rest_accept(void *arg, int fd);
void	 rest_conn_stop(struct rest_conn *c);
void	 rest_conn_close(struct rest_conn *c);
void	 rest_conn_send(struct rest_conn *c);	/* head and answer are set */
/* Takes a place among REST_LASTING_MAX until c has been answered; false after
 * an answer.  For routes with REST_LASTS it is done. */
bool	 rest_lasts(struct rest_conn *c);
/* For who may not be refused: c may take its time, half of REST_CONNS_MAX
 * being free or with a place as above.  False: neither, nothing is said. */
bool	 rest_may_last(struct rest_conn *c);
/* Before the head of an answer: settles whether it promises another. */
void	 rest_conn_settle(struct rest_conn *c);

/* rest.c: finds the route of c->http, or answers. */
bool	 rest_find_route(struct rest_conn *c);

/* rest_answer.c */
void	 rest_error(struct rest_conn *c, unsigned status, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));
/* What was put into c->answer through o, which fails as a 500. */
void	 rest_json(struct rest_conn *c, unsigned status, struct json_out *o);
/* What is in c->answer. */
void	 rest_text(struct rest_conn *c, unsigned status, const char *type);
void	 rest_empty(struct rest_conn *c, unsigned status);
void	 rest_redirect(struct rest_conn *c, const char *location);
void	 rest_not_allowed(struct rest_conn *c, const char *allow);
void	 rest_stream(struct rest_conn *c, const char *type,
	    const struct rest_source *source, void *arg);
/* False: the connection is gone, and so is arg. */
bool	 rest_upgrade(struct rest_conn *c, const char *protocol,
	    const struct rest_raw *raw, void *arg);
/* The handler answers later; gone: it must not any more. */
void	 rest_wait(struct rest_conn *c, void (*gone)(void *arg), void *arg);

/* A stream or raw peer has more to send; can take more; is done. */
void	 rest_more(struct rest_conn *c);
void	 rest_resume(struct rest_conn *c);
/* Nothing is read until rest_resume(). */
void	 rest_pause(struct rest_conn *c);
bool	 rest_hung_up(const struct rest_conn *c);	/* not all read */
void	 rest_end(struct rest_conn *c);

/*
 * Value of a query parameter, the first of its name, decoded.  1, 0 if it is
 * not there, -EINVAL for bad escapes, -ENAMETOOLONG; out is "" unless 1.
 */
int	 rest_query(const struct rest_conn *c, const char *name, char *out,
	    size_t outlen);
/* It is "true" or "1". */
bool	 rest_query_true(const struct rest_conn *c, const char *name);
/* "%41" -> "A"; plus: "+" is a blank.  0, -EINVAL (a NUL too), or
 * -ENAMETOOLONG. */
int	 rest_unescape(const char *s, size_t n, bool plus, char *out,
	    size_t outlen);
/* Appends JSON with what is special in HTML escaped.  As buf_put(). */
int	 rest_put_json(struct buf *out, const void *p, size_t n);

/* Handlers. */
rest_fn	 rest_missing;			/* 503, route->missing */
rest_fn	 rest_streams, rest_profile, rest_health, rest_splash;
rest_fn	 rest_none;			/* an empty list */
rest_fn	 rest_shutdown, rest_upstream;
rest_fn	 rest_metrics, rest_sysinfo, rest_logs;
rest_fn	 rest_shells, rest_shell_start, rest_shell_end, rest_shell_resize;
rest_fn	 rest_shell_attach, rest_shell_detach;
rest_fn	 rest_jobs, rest_job_start, rest_jobs_remove, rest_jobs_kill;
rest_fn	 rest_job, rest_job_remove, rest_job_kill, rest_job_logs;
rest_fn	 rest_job_wait, rest_job_await;

/* The members of a shell in answers. */
void	 rest_put_session(struct json_out *o, const struct session_info *info);

#endif
