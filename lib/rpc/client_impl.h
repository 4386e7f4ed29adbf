/*
 * client_impl - what client.c (the connection) and client_call.c share.
 *
 * A call is held by its stream, by callbacks that are running, by the queue
 * of calls with held answers, and by the application until done(); the last
 * one frees it.
 */
#ifndef RPC_CLIENT_IMPL_H
#define RPC_CLIENT_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "net/h2.h"
#include "net/h2_limits.h"
#include "rpc/client.h"

#define OUT_DECODED_MAX	(16u * 1024 * 1024)
#define OUT_TEXT_MAX	1024		/* of grpc-message */

struct grpc_out_call {
	struct grpc_client	*client;
	struct h2_stream	*stream;	/* NULL: closed */
	const struct grpc_out_ops *ops;
	void			*arg;
	const ProtobufCMessageDescriptor *response;
	bool	 answered;	/* response headers came */
	bool	 paused;
	bool	 final;		/* status and text are known */
	bool	 forgotten;	/* done() was called, or cancelled */
	bool	 listed;	/* in client->calls */
	bool	 want_room;
	bool	 queued;	/* run is */
	unsigned		 busy;
	struct buf		 part;		/* unfinished answer */
	struct buf		 held;		/* not delivered yet */
	enum grpc_status	 status;
	char			 text[OUT_TEXT_MAX];
	struct loop_timer	 deadline;
	struct loop_task	 run;
	struct grpc_out_call	*next, *prev;	/* client->calls */
};

struct grpc_client {
	struct loop		*loop;
	struct conn		*conn;
	struct h2		*h2;		/* NULL until connected */
	char			*authority;
	const struct grpc_client_ops *ops;
	void			*arg;
	struct grpc_out_call	*calls;		/* struct grpc_out_call::next */
	bool	 tls;
	bool	 ready;		/* the server's SETTINGS came */
	bool	 leaving;	/* GOAWAY came */
	bool	 stopping;	/* GOAWAY goes out, then the end */
	bool	 finishing;	/* conn_finish() was called */
	bool	 lost;		/* conn said closed() */
	bool	 torn;
	bool	 told;		/* lost() was called */
	bool	 dead;		/* the owner let go */
	bool	 backlog;	/* input is left in conn */
	unsigned		 busy;		/* h2, callbacks on the stack */
	uint64_t		 armed_ms;	/* UINT64_MAX: not armed */
	uint32_t		 patience_ms;	/* until ready(); 0: as it is */
	struct loop_timer	 timer;
	struct loop_task	 again, die;
	struct arena		 decoded;	/* the answer being handled */
	struct buf		 scratch;	/* the message being encoded */
	char			 reason[256];
};

/* client.c: leaves the h2 session, pair of client->busy++. */
void	 client_leave(struct grpc_client *cl);

/* client_call.c */
void	 out_headers(struct grpc_out_call *c, const struct hpack_list *list,
	    bool end);
void	 out_data(struct grpc_out_call *c, const uint8_t *p, size_t n,
	    bool end);
void	 out_writable(struct grpc_out_call *c);
void	 out_closed(struct grpc_out_call *c, uint32_t code);
/* Sets the status unless it is known; done() follows the held answers. */
void	 out_end(struct grpc_out_call *c, enum grpc_status status,
	    const char *text);
/* No more callbacks. */
void	 out_forget(struct grpc_out_call *c);
void	 out_release(struct grpc_out_call *c);	/* pair of busy++ */

#endif
