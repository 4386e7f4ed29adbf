/*
 * conn - non-blocking byte stream over a socket, plain or TLS.
 *
 * The owner sees plaintext only: it consumes `in` and fills `out`, both owned
 * by conn.  Reading stops while the owner has not consumed what there is, or
 * while `out` is over its limit, and the peer feels it through TCP.  One read
 * and one write per turn.  Life ends in conn_close(), from any callback, any
 * number of times; the memory goes at the end of the turn.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct conn;
struct loop;
struct tls;

/* Work per connection and turn: 256 KiB, then the next one (fairness). */
#define CONN_READ_MAX		(64u * 1024)
#define CONN_OUT_MAX		(512u * 1024)	/* stop producing above */
#define CONN_HANDSHAKE_MS	10000		/* TLS slow-loris */
#define CONN_WRITE_STALL_MS	60000		/* slow read */
#define CONN_LINGER_MS		1000		/* drain so no RST kills GOAWAY */
#define CONN_LINGER_BYTES	(64u * 1024)

struct conn_ops {
	/* TLS is up (or the plain socket is connected); once. */
	void	(*ready)(void *arg);
	/*
	 * Bytes arrived: consume from in what can be consumed.  What is left
	 * is offered again after conn_resume() or with more bytes.  0, or
	 * -errno to close.
	 */
	int	(*input)(void *arg, struct buf *in);
	/* Fill out up to its limit; called before every write.  */
	void	(*output)(void *arg, struct buf *out);
	/* No more input: the peer shut its side down (why 0), or the
	 * connection is gone (why < 0, -errno).  Called once, last. */
	void	(*closed)(void *arg, int why, const char *reason);
};

/*
 * Takes fd (connected or, with connecting = true, in progress) and tls (NULL
 * for plain) in any case, also on failure.  -ENOMEM, or the epoll error.
 */
int	 conn_create(struct conn **out, struct loop *l, int fd, bool connecting,
	    struct tls *tls, const struct conn_ops *ops, void *arg);

/* There is output to fetch: asks output() again before this turn ends. */
void	 conn_kick(struct conn *c);

/* The owner can take input again. */
void	 conn_resume(struct conn *c);
/* Stop calling input() until conn_resume(). */
void	 conn_pause(struct conn *c);

/* At once, output dropped.  why: 0 or -errno, passed to closed(). */
void	 conn_close(struct conn *c, int why);

/*
 * Sends what is queued, shuts the write side, drains the peer for at most
 * CONN_LINGER_MS, then closes (security.md finding 11).
 */
void	 conn_finish(struct conn *c);

/* Output not yet taken by the socket, bytes. */
size_t	 conn_queued(const struct conn *c);

/* "10.0.0.7:41222", "unix uid 1000"; for the log. */
const char *conn_peer(const struct conn *c);

/* uid of the peer of a Unix socket; false on TCP. */
bool	 conn_peer_uid(const struct conn *c, uint32_t *uid);
bool	 conn_is_tls(const struct conn *c);

/*
 * Listeners.  accepted() owns fd.  When descriptors run out a reserve fd is
 * spent to accept and close, so the backlog never spins the loop.
 */
struct listener;
typedef void listener_fn(void *arg, int fd);

/* All addresses (dual-stack, or v4 only if there is no v6) or one literal
 * address; port 0: the kernel picks.  *port: the one in use. */
int	 listen_tcp(struct listener **out, struct loop *l, const char *addr,
	    uint16_t *port, listener_fn *fn, void *arg);
/*
 * Mode by umask before bind, never by chmod after.  A stale socket of ours is
 * replaced (looked up relative to its directory, T10); anything else at path
 * is -EEXIST; a live one is -EADDRINUSE.  Destroying unlinks it.
 */
int	 listen_unix(struct listener **out, struct loop *l, const char *path,
	    uint32_t mode, listener_fn *fn, void *arg);
void	 listener_destroy(struct listener *ln);		/* NULL is allowed */

/* Non-blocking connect; fd or -errno (-EINPROGRESS never escapes). */
int	 connect_unix(const char *path);
int	 connect_tcp_literal(const char *addr, uint16_t port);

#endif
