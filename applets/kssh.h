/*
 * kssh - the parts of the client: one connection, one shell or one command.
 *
 * kssh.c starts and ends it, kssh_connect.c gets a connection, kssh_call.c
 * speaks the protocol, kssh_io.c moves bytes between it and the descriptors.
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

#define KSSH_ADDRESSES_MAX	16

struct sig;
struct tls_trust;

/* Where answers go: a queue in front of a descriptor that may block. */
struct sink {
	struct kssh	*k;
	struct loop_io	 io;
	struct buf	 queue;
	size_t		 piece;		/* largest write */
};

struct kssh {
	struct kssh_options	 opt;
	struct loop		*loop;
	struct sig		*sig;
	struct tls_trust	*trust;
	struct grpc_client	*client;
	struct grpc_out_call	*hello, *call;
	struct kssh_tty_state	 tty;
	struct kssh_escapes	 escapes;
	struct loop_io		 in;
	struct sink		 out, err;
	struct loop_timer	 connect_timer;
	char			 addresses[KSSH_ADDRESSES_MAX][64];
	unsigned		 naddresses, next_address;
	char			 id[64];
	char			 last[256];	/* start of the last output */
	char			*bearer;	/* "Bearer ..." or NULL */
	bool			 exec;		/* else Shell */
	bool			 pty;
	bool			 connected;	/* Handshake was answered */
	bool			 input_over;
	bool			 paused;
	bool			 over;
	int			 status;
};

/* kssh.c */
void	 kssh_say(const struct kssh *k, const char *what, const char *why);
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
void	 kssh_hello(struct kssh *k);
void	 kssh_resize(struct kssh *k);

/* kssh_io.c */
int	 kssh_sink_init(struct kssh *k, struct sink *s, int fd);
void	 kssh_sink_finish(struct sink *s);
void	 kssh_sink_put(struct sink *s, const void *p, size_t n);
void	 kssh_input_start(struct kssh *k);
void	 kssh_input_resume(struct kssh *k);
void	 kssh_send_input(struct kssh *k, const uint8_t *p, size_t n);

#endif
