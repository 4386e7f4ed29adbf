/*
 * server - gRPC calls of one listener's connections.
 *
 * Joins conn, h2 and the service tables; knows no service.  A call is
 * authorised before the first byte of its first message is kept (T1), on
 * every method, streams included.  Handlers answer with grpc_send*() and end
 * with grpc_finish(); after that, or after gone(), they forget the call.
 */
#ifndef RPC_SERVER_H
#define RPC_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc/grpc.h"

struct conn;
struct grpc_call;
struct grpc_server;
struct h2_limits;
struct loop;
struct tls;

enum grpc_kind { GRPC_UNARY, GRPC_SERVER_STREAM, GRPC_BIDI };

/* One row holds every fact about a method. */
struct grpc_method {
	const char	*name;
	enum grpc_kind	 kind;
	const ProtobufCMessageDescriptor *request;
	/* A decoded message; valid during the call.  NULL: not served, the
	 * answer is UNIMPLEMENTED as soon as the caller is known. */
	void	(*message)(struct grpc_call *c, const ProtobufCMessage *req);
	/* The peer will send no more (END_STREAM).  NULL: don't care. */
	void	(*ended)(struct grpc_call *c);
	/* grpc_room() grew after it was too small.  NULL: don't care. */
	void	(*writable)(struct grpc_call *c);
	/* Cancelled, connection lost, deadline passed or the peer at fault:
	 * nothing can be sent any more.  Only after message() or ended() was
	 * called, and never after grpc_finish().  NULL: don't care. */
	void	(*gone)(struct grpc_call *c);
};

struct grpc_service {
	const char		*prefix;	/* "/k8shelld.SshService/" */
	const struct grpc_method *methods;	/* NULL name ends */
	size_t			 nmethods;
};

/* What is known of the other end of a connection. */
struct grpc_peer {
	const char	*name;		/* for the log */
	bool		 has_uid;	/* Unix socket */
	uint32_t	 uid;
	bool		 tls;
	void		*auth;		/* the authoriser's own */
};

#define GRPC_AUTH_PENDING	(-1)

struct grpc_auth {
	/*
	 * authorization: header value or NULL.  GRPC_OK, a status to refuse
	 * with (*why: static text for grpc-message), or GRPC_AUTH_PENDING and
	 * grpc_authorized() later.  May call grpc_call_set_subject().
	 */
	int	(*check)(void *arg, struct grpc_peer *peer,
		    struct grpc_call *c, const char *authorization,
		    const char **why);
	/* The connection is going: free peer->auth. */
	void	(*forget)(void *arg, struct grpc_peer *peer);
	/* A pending call went away. */
	void	(*cancel)(void *arg, struct grpc_call *c);
	void	*arg;
};

/* spec/security.md 2.1 */
#define GRPC_CONNS_MAX		64	/* only proxies connect */
#define GRPC_CONNS_UNAUTH_MAX	16
#define GRPC_FIRST_TOKEN_MS	30000	/* connect to first good token */
#define GRPC_IDLE_MS		(30u * 60 * 1000)
#define GRPC_LIVE_CONN_MAX	256	/* handlers of one connection */
#define GRPC_LIVE_MAX		1024	/* of the process; reset streams count
					 * until their work has ended */
#define GRPC_HELD_MAX		(32u << 20)	/* bytes buffered in all */

struct grpc_options {
	const struct grpc_service *const *services;	/* borrowed */
	size_t			 nservices;
	struct grpc_auth	 auth;		/* check NULL: allow all */
	const struct h2_limits	*limits;	/* NULL: defaults */
	/* 0: the constants above. */
	uint32_t		 conns_max, conns_unauth_max;
	uint32_t		 first_token_ms, idle_ms;
	uint32_t		 handshake_ms, write_stall_ms;	/* conn.h */
	void			*user;		/* grpc_call_user() */
};

/* NULL: out of memory. */
struct grpc_server *grpc_server_create(struct loop *l,
	    const struct grpc_options *opt);
/* Every call gets gone(), every connection is closed.  Not from a handler. */
void	 grpc_server_destroy(struct grpc_server *s);

/* Takes fd and tls (NULL: plaintext) in any case. */
void	 grpc_server_accept(struct grpc_server *s, int fd, struct tls *tls);

/* GOAWAY to every connection, running calls go on; drained() tells. */
void	 grpc_server_shutdown(struct grpc_server *s);
bool	 grpc_server_drained(const struct grpc_server *s);

struct grpc_stats {
	uint64_t conns, conns_total, conns_refused;
	uint64_t handshakes;	/* connections that became ready */
	uint64_t calls, calls_total, calls_refused;
	uint64_t bytes_in, bytes_out;
};
void	 grpc_server_stats(const struct grpc_server *s, struct grpc_stats *st);

/* The verdict on a pending call: GRPC_OK or a status with its text. */
void	 grpc_authorized(struct grpc_call *c, int verdict, const char *why);

/*
 * First value of a metadata key (lower case), or NULL; lives as long as c.
 * Keys ending in "-bin" have their value decoded, *len may be asked for.
 */
const char *grpc_metadata(const struct grpc_call *c, const char *key);
const char *grpc_metadata_bin(const struct grpc_call *c, const char *key,
	    size_t *len);
const struct grpc_peer *grpc_call_peer(const struct grpc_call *c);
void	*grpc_call_user(const struct grpc_call *c);

/* Who the token says is calling; "" without authentication. */
const char *grpc_call_subject(const struct grpc_call *c);
int	 grpc_call_set_subject(struct grpc_call *c, const char *subject);

/* The handler's own pointer; NULL at first. */
void	 grpc_call_set_arg(struct grpc_call *c, void *arg);
void	*grpc_call_arg(const struct grpc_call *c);

/*
 * 0, -ENOBUFS (writable() follows), -EPIPE, -ENOMEM, or -EMSGSIZE above
 * 8 MiB.  A message longer than the send buffer goes out when that is empty.
 */
int	 grpc_send(struct grpc_call *c, const ProtobufCMessage *m);
/* A message whose only content is bytes field `field`; n <= GRPC_DATA_MAX. */
int	 grpc_send_bytes(struct grpc_call *c, uint32_t field, const void *p,
	    size_t n);
/* Payload bytes grpc_send_bytes() takes now; 0 arms writable(). */
size_t	 grpc_room(struct grpc_call *c);

/*
 * Stops delivery of messages: what arrives stays in the stream's window.
 * ended() comes after the messages that were held back.
 */
void	 grpc_pause(struct grpc_call *c);
void	 grpc_resume(struct grpc_call *c);

/* Status behind everything sent; cannot fail.  c is dead for the caller. */
void	 grpc_finish(struct grpc_call *c, enum grpc_status status,
	    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Unary: message and status OK. */
void	 grpc_reply(struct grpc_call *c, const ProtobufCMessage *m);

/*
 * Work that outlives its call (a child being killed) keeps the slot taken:
 * the Rapid Reset fix.  The token is freed by grpc_work_done().
 */
struct grpc_work;
struct grpc_work *grpc_work_begin(struct grpc_call *c);	/* never NULL */
void	 grpc_work_done(struct grpc_work *w);		/* NULL is allowed */

#endif
