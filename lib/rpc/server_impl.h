/*
 * server_impl - what the files of the gRPC server share; nobody else
 * includes it.
 *
 *	server.c		limits, accounts, life of server and calls
 *	server_conn.c		one connection: conn <-> h2, timers
 *	server_request.c	from a header block to a call, or a refusal
 *	server_call.c		messages in, messages out, the end
 *
 * Lifetime.  A call has up to four holders: its stream, a callback that is
 * running, the queue of calls with held messages, and unfinished work.  Each
 * ends in call_release(), and the last one puts the call back into the pool.
 * A connection is torn down in one place, conn_teardown(), never while its h2
 * session is on the stack.
 */
#ifndef RPC_SERVER_IMPL_H
#define RPC_SERVER_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "net/h2.h"
#include "net/h2_limits.h"
#include "rpc/grpc.h"
#include "rpc/server.h"

/* Calls of one connection whose token is being verified (window's worth of
 * data each). */
#define PENDING_MAX	16

/* So much of a message may always wait for its rest: two data chunks as the
 * platform's clients send them. */
#define UNFINISHED_MAX	(64u * 1024)

/* A finished unary call whose answer the peer will not take (slow read). */
#define STALL_MS	60000

/* Largest answer, prefix included: one piece of h2. */
#define ANSWER_MAX	H2_PIECE_MAX

/* A decoded message: text of 4 MiB plus the structs around it. */
#define DECODED_MAX	(16u * 1024 * 1024)

/* Metadata of one call; the header list is 16 KiB at most. */
#define METADATA_MAX	(64u * 1024)

#define STATUS_TEXT_MAX	1024	/* of grpc-message, before encoding */
#define POOL_MAX	64	/* calls kept for reuse */
#define SPARE_MAX	(16u * 1024)	/* bytes a pooled buffer may keep */

struct hpack_list;
struct server_conn;

enum call_state {
	CALL_PENDING,	/* not allowed yet: the token is being verified */
	CALL_OPEN,
	CALL_OVER	/* the handler is done with it, or was told so */
};

/* Value decoded if the key ends in "-bin"; both are terminated. */
struct metadata {
	const char	*key, *value;
	size_t		 value_len;
	struct metadata	*next;
};

struct grpc_work {
	struct grpc_call *call;
};

struct grpc_call {
	struct grpc_server	*server;
	struct server_conn	*conn;		/* NULL: connection is gone */
	struct h2_stream	*stream;	/* NULL: closed */
	const struct grpc_service *service;
	const struct grpc_method *method;
	void			*arg;		/* the handler's */
	enum call_state		 state;
	bool	 pending;	/* the authoriser has it */
	bool	 known;		/* the handler has seen it */
	bool	 paused;
	bool	 ended;		/* END_STREAM came */
	bool	 ended_told;
	bool	 answered;	/* response headers are out */
	bool	 want_room;	/* writable() is owed */
	bool	 queued;	/* in server->ready */
	unsigned	 busy;		/* callbacks on the stack */
	unsigned	 works;
	size_t		 owed;		/* bytes of held not yet consumed */
	size_t		 charged;	/* bytes counted in server->held */
	struct metadata	*metadata;	/* in meta */
	const char	*subject;	/* in meta, or "" */
	struct loop_timer deadline;
	uint64_t	 over_ms;	/* when the answer was complete, or 0 */
	struct grpc_work work;
	struct grpc_call *next, *prev;	/* conn->calls */
	struct grpc_call *next_ready;	/* server->ready, or pool */
	/* From here on, memory is kept when the call is pooled. */
	struct buf	 part;		/* unfinished message */
	struct buf	 held;		/* not delivered yet */
	struct arena	 meta;
};

struct server_conn {
	struct grpc_server	*server;
	struct conn		*conn;
	struct h2		*h2;		/* NULL until ready */
	struct grpc_peer	 peer;
	struct grpc_call	*calls;		/* struct grpc_call::next */
	unsigned		 live;		/* slots taken */
	unsigned		 pending;	/* calls in CALL_PENDING */
	struct loop_timer	 timer;
	uint64_t		 armed_ms;	/* UINT64_MAX: not armed */
	uint64_t		 accepted_ms, active_ms, sweep_ms;
	bool	 authentic;	/* a call was allowed */
	bool	 failing;	/* flush GOAWAY, then close */
	bool	 finishing;	/* conn_finish() was called */
	bool	 leaving;	/* GOAWAY came */
	bool	 draining;	/* graceful GOAWAY was sent */
	bool	 stalled;	/* paused for GRPC_HELD_MAX */
	bool	 backlog;	/* input is left in conn */
	bool	 lost;		/* conn said closed() */
	bool	 torn;
	unsigned		 busy;		/* h2 is on the stack */
	struct loop_task	 again;		/* rest of the input */
	struct loop_task	 die;
	struct server_conn	*next, *prev;	/* server->conns */
};

struct grpc_server {
	struct loop		*loop;
	struct grpc_options	 opt;
	struct h2_limits	 limits;
	struct server_conn	*conns;		/* struct server_conn::next */
	uint32_t		 nconns, nunauth;
	size_t			 live;		/* slots taken */
	size_t			 held;		/* bytes, GRPC_HELD_MAX */
	size_t			 refs;		/* owner and calls */
	bool			 stopping;
	struct arena		 decoded;	/* the message being handled */
	struct buf		 scratch;	/* the message being encoded */
	struct grpc_call	*ready, **ready_tail;
	struct loop_task	 run;
	struct grpc_call	*pool;
	unsigned		 npool;
	struct grpc_stats	 stats;
	struct log_limit	 noise;		/* peers' faults */
};

/* server.c */
struct grpc_call *call_create(struct server_conn *sc, struct h2_stream *s);
void	 call_hold(struct grpc_call *c);	/* busy; pair of release */
void	 call_release(struct grpc_call *c);
void	 call_spare(struct buf *b);	/* empties; keeps a small one */
void	 call_queue(struct grpc_call *c);	/* run it this turn */
/* Brings server->held up to date; false: over GRPC_HELD_MAX. */
bool	 call_account(struct grpc_call *c);
void	 server_unlink(struct grpc_server *s, struct server_conn *sc);
/* One line about a peer, at most one per second. */
void	 server_noise(struct grpc_server *s, enum log_level level,
	    const char *peer, const char *what);

/* server_conn.c */
void	 conn_open(struct grpc_server *s, int fd, struct tls *tls);
void	 conn_teardown(struct server_conn *sc);
void	 conn_touch(struct server_conn *sc);	/* output to fetch */
void	 conn_stall(struct server_conn *sc);
void	 conn_unstall(struct server_conn *sc);
void	 conn_drain(struct server_conn *sc);	/* graceful GOAWAY */
void	 conn_is_authentic(struct server_conn *sc);
void	 conn_sweep_at(struct server_conn *sc, uint64_t due);
/* Marks streams that carry no call; their DATA is discarded.  routed: and
 * route_ended() is told of its end. */
void	 conn_stream_set_plain(struct h2_stream *s, bool routed);

/* server_request.c */
void	 request_headers(struct server_conn *sc, struct h2_stream *s,
	    const struct hpack_list *list, bool end);

/* server_call.c */
void	 call_data(struct grpc_call *c, const uint8_t *p, size_t n, bool end);
/* GRPC_OK: open; else refused with why. */
void	 call_verdict(struct grpc_call *c, int verdict, const char *why);
void	 call_run(struct grpc_call *c);		/* deliver what is held */
void	 call_writable(struct grpc_call *c);
void	 call_closed(struct grpc_call *c);	/* the stream is gone */
/* The handler gets gone(); nothing is sent. */
void	 call_drop(struct grpc_call *c);
/* Ends it from our side, with gone() for the handler or cancel() for the
 * authoriser, whoever has it. */
void	 call_fail(struct grpc_call *c, enum grpc_status status,
	    const char *text);
void	 call_expire(void *call);		/* deadline timer */

#endif
