/*
 * client - gRPC calls from our side, for kssh and kbox.
 *
 * One connection, any number of calls, same codecs as the server.
 */
#ifndef RPC_CLIENT_H
#define RPC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/hpack.h"
#include "rpc/grpc.h"

struct grpc_client;
struct grpc_out_call;
struct loop;
struct tls;

struct grpc_client_ops {
	/* The connection is lost or closed; reason is one line.  Every call
	 * got its done() before. */
	void	(*lost)(void *arg, const char *reason);
	/* SETTINGS of the server arrived: it is alive and speaks HTTP/2. */
	void	(*ready)(void *arg);
};

/* Takes fd and tls in any case.  authority: ":authority" of every call. */
int	 grpc_client_create(struct grpc_client **out, struct loop *l, int fd,
	    bool connecting, struct tls *tls, const char *authority,
	    const struct grpc_client_ops *ops, void *arg);
/*
 * How long the server may take to connect and through TLS, and again for its
 * SETTINGS and to acknowledge ours, instead of 10 s each; counted from now, so
 * call it at once.
 */
void	 grpc_client_set_patience(struct grpc_client *c, uint32_t ms);
/* GOAWAY, flush, close; calls get done(CANCELLED).  NULL is allowed. */
void	 grpc_client_destroy(struct grpc_client *c);
/*
 * The same at once: nothing is sent any more, and no turn of the loop is
 * needed, so that a program can end.  NULL is allowed.
 */
void	 grpc_client_abort(struct grpc_client *c);

struct grpc_out_ops {
	/* A decoded answer; valid during the call. */
	void	(*message)(void *arg, const ProtobufCMessage *m);
	/* The call is over; once, last. */
	void	(*done)(void *arg, enum grpc_status status, const char *text);
	void	(*writable)(void *arg);		/* NULL: don't care */
};

struct grpc_request {
	const char	*path;		/* "/k8shelld.SshService/Exec" */
	const struct hpack_field *metadata;	/* copied */
	size_t		 nmetadata;
	const ProtobufCMessageDescriptor *response;
	uint32_t	 timeout_ms;		/* 0: none */
};

/* 0, -EAGAIN, -EPIPE or -ENOMEM. */
int	 grpc_start(struct grpc_client *c, struct grpc_out_call **out,
	    const struct grpc_request *req, const struct grpc_out_ops *ops,
	    void *arg);
/* 0, -ENOBUFS (writable() follows), -EPIPE, -ENOMEM. */
int	 grpc_out_send(struct grpc_out_call *c, const ProtobufCMessage *m);
int	 grpc_out_send_bytes(struct grpc_out_call *c, uint32_t field,
	    const void *p, size_t n);
size_t	 grpc_out_room(struct grpc_out_call *c);
void	 grpc_out_end(struct grpc_out_call *c);		/* half-close */
void	 grpc_out_cancel(struct grpc_out_call *c);	/* no done() follows */
/* Stop and restart delivery of answers (a slow standard output). */
void	 grpc_out_pause(struct grpc_out_call *c);
void	 grpc_out_resume(struct grpc_out_call *c);

#endif
