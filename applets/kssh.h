/*
 * kssh - the parts of the client: one connection, one shell or one command.
 *
 * kssh.c starts and ends it, kssh_connect.c gets a connection, kssh_call.c
 * speaks the protocol, kssh_session.c lists and attaches, kssh_io.c moves bytes
 * between it and the descriptors.
 */
#ifndef APPLETS_KSSH_H
#define APPLETS_KSSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "applets/kssh_options.h"
#include "applets/kssh_tty.h"
#include "base/buf.h"
#include "loop/loop.h"
#include "net/hpack.h"
#include "rpc/client.h"
#include "workspace/stream.h"
#include "workspace/vt.h"

#define KSSH_ADDRESSES_MAX	16

struct sig;
struct tls_trust;

/* Where answers go: a queue in front of a descriptor that may block. */
struct sink {
	struct kssh	*k;
	struct loop_io	 io;
	struct buf	 queue;
	size_t		 piece;		/* largest write */
	struct vt	*vt;		/* is fed what was written, or NULL */
};

/* What becomes of the shell behind us, as far as we know. */
enum kssh_fate {
	FATE_NONE,		/* there is none yet, or it ended */
	FATE_RUNS,		/* losing us is its end */
	FATE_STAYS,		/* losing us detaches it */
	FATE_DETACHED
};

struct kssh {
	struct kssh_options	 opt;
	struct loop		*loop;
	struct sig		*sig;
	struct tls_trust	*trust;
	struct grpc_client	*client;
	struct grpc_out_call	*hello, *call, *ask;
	struct kssh_tty_state	 tty;
	struct kssh_escapes	 escapes;
	struct loop_io		 in;
	struct sink		 out, err;
	struct loop_timer	 connect_timer;
	char			 addresses[KSSH_ADDRESSES_MAX][64];
	unsigned		 naddresses, next_address;
	char			 id[STREAM_ID_MAX + 1];
	char			 lock[64];	/* to attach with, or "" */
	unsigned		 matches;	/* ids that start as asked */
	char			 candidates[256];	/* some of them */
	int			 refusal;	/* AcquireSession's reason */
	enum kssh_fate		 fate;
	struct vt		 vt;		/* what our terminal is now */
	char			 last[256];	/* start of the last output */
	char			 words[1024];	/* said at the very end */
	char			*bearer;	/* "Bearer ..." or NULL */
	bool			 own_token;	/* found, not given */
	bool			 exec;		/* else Shell */
	bool			 pty;
	bool			 withheld;	/* bearer, from this address */
	bool			 connected;	/* Handshake was answered */
	bool			 input_over;
	bool			 paused;
	bool			 over;
	int			 status;
};

/* kssh.c: at once; or when the terminal is itself again, the first of them. */
void	 kssh_say(const struct kssh *k, const char *what, const char *why);
void	 kssh_say_last(struct kssh *k, const char *what, const char *why);
void	 kssh_debug(const struct kssh *k, const char *what,
	    const char *detail);
/* The first of these decides the exit status.  Ends the loop once what was
 * received has been written; the same after a message; at once. */
void	 kssh_finish(struct kssh *k, int status);
void	 kssh_fail(struct kssh *k, const char *what, const char *why);
void	 kssh_quit(struct kssh *k, int status);
void	 kssh_try_stop(struct kssh *k);

/* kssh_connect.c: token, trust and addresses, 0 or -1 after a message; then
 * the first address, or the next one after why. */
int	 kssh_prepare(struct kssh *k);
void	 kssh_connect(struct kssh *k, const char *why);

/* kssh_call.c */
struct kssh_method {
	const char	*path;
	const char	*id_key;	/* our id goes under it, or NULL */
	const ProtobufCMessageDescriptor *response;
	uint32_t	 timeout_ms;	/* 0: none */
};

int	 kssh_start_call(struct kssh *k, struct grpc_out_call **out,
	    const struct kssh_method *m, const struct grpc_out_ops *ops);
/* Ends it with the server's text, a hint where we have one. */
void	 kssh_refused(struct kssh *k, enum grpc_status status,
	    const char *text);
/* One message, then the half-close: a unary call. */
int	 kssh_ask(struct kssh *k, struct grpc_out_call **out,
	    const struct kssh_method *m, const struct grpc_out_ops *ops,
	    const ProtobufCMessage *req);
void	 kssh_hello(struct kssh *k);
/* The shell or the command; to the one behind k->lock if there is one. */
void	 kssh_begin(struct kssh *k);
void	 kssh_resize(struct kssh *k);

/* kssh_session.c: --list; --attach, which ends in kssh_begin(); and whether a
 * shell that has left us is still there, before we say goodbye. */
void	 kssh_list(struct kssh *k);
void	 kssh_attach(struct kssh *k);
void	 kssh_farewell(struct kssh *k);

/* kssh_io.c */
int	 kssh_sink_init(struct kssh *k, struct sink *s, int fd);
void	 kssh_sink_finish(struct sink *s);
void	 kssh_sink_put(struct sink *s, const void *p, size_t n);
void	 kssh_input_start(struct kssh *k);
void	 kssh_input_resume(struct kssh *k);
void	 kssh_send_input(struct kssh *k, const uint8_t *p, size_t n);

#endif
