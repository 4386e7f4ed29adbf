/*
 * conn - non-blocking byte stream over a socket, plain or TLS.
 *
 * The owner sees plaintext only: it consumes `in` and fills `out`, both owned
 * by conn.  Reading stops while the owner is paused or leaves `in` full, and
 * the peer feels it through TCP.  It does not stop because `out` is full: two
 * peers that both did so would wait for each other for ever.  One read and
 * one write per turn, the write at its end, so what many sources put out in a
 * turn leaves in one packet.  Life ends in conn_close(), from any callback,
 * any number of times; the memory goes at the end of the turn.  An idle
 * connection holds no buffers.
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

/* Limit of `in`, and of one read (fairness). */
#define CONN_READ_MAX		(64u * 1024)
/*
 * Limit of `out`.  Small, so that a key press waits behind little when
 * someone else on the connection sends in bulk; what does not fit stays with
 * the owner, whose streams are served in turn.
 */
#define CONN_OUT_MAX		(128u * 1024)
/* output() that leaves less room than this is asked again without a kick. */
#define CONN_OUT_SLACK		(32u * 1024)
#define CONN_HANDSHAKE_MS	10000	/* with connect: slow-loris */
#define CONN_WRITE_STALL_MS	60000		/* slow read */
#define CONN_LINGER_MS		1000	/* so no reset kills GOAWAY */
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
	/*
	 * Fill out up to its limit; called before every write.  Who leaves
	 * CONN_OUT_SLACK of room has no more and kicks when there is.
	 */
	void	(*output)(void *arg, struct buf *out);
	/*
	 * The peer shut its side down after all its bytes were offered; ours
	 * still works.  NULL: that is the end, closed() with why 0.  TLS has
	 * no such state, so there it is always closed().
	 */
	void	(*eof)(void *arg);
	/*
	 * The connection is gone for its owner: no callback after this one,
	 * and c is not to be used once it returns.  why: 0 after the peer's
	 * orderly end, conn_finish() or conn_close(c, 0), else -errno; reason
	 * is never NULL.  What is in out already still goes to a peer that
	 * only shut its side down.
	 */
	void	(*closed)(void *arg, int why, const char *reason);
};

/*
 * Takes fd (connected or, with connecting = true, perhaps in progress) and
 * tls (NULL for plain) in any case, also on failure.  No callback comes before
 * this returns.  0, -ENOMEM, or the epoll error.
 */
int	 conn_create(struct conn **out, struct loop *l, int fd, bool connecting,
	    struct tls *tls, const struct conn_ops *ops, void *arg);

/*
 * Other times than CONN_HANDSHAKE_MS (counted from now) and
 * CONN_WRITE_STALL_MS; 0 keeps one as it is.
 */
void	 conn_set_times(struct conn *c, uint32_t handshake_ms,
	    uint32_t write_stall_ms);

/* There is output to fetch: output() is asked before the loop sleeps. */
void	 conn_kick(struct conn *c);

/* The owner can take input again. */
void	 conn_resume(struct conn *c);
/* Stop calling input() until conn_resume(). */
void	 conn_pause(struct conn *c);

/* At once, output dropped; closed(why) comes from within, why 0 or -errno. */
void	 conn_close(struct conn *c, int why);

/*
 * Sends what is queued and what output() still has, shuts the write side,
 * drains the peer for at most CONN_LINGER_MS, then closed(0): unread bytes at
 * close would make the kernel send a reset that destroys what was sent last
 * (security.md finding 11).  input() is not called any more.
 */
void	 conn_finish(struct conn *c);

/* The peer of a Unix socket can't even read any more. */
bool	 conn_lost(const struct conn *c);

/* Output not yet taken by the socket, bytes. */
size_t	 conn_queued(const struct conn *c);

/* The peer has shut its side, though what it sent may not all be read: asked
 * while the connection is paused, when nothing else would tell. */
bool	 conn_hung_up(const struct conn *c);

/* "10.0.0.7:41222", "unix uid 1000"; for the log. */
const char *conn_peer(const struct conn *c);

/* uid of the peer of a Unix socket; false on TCP. */
bool	 conn_peer_uid(const struct conn *c, uint32_t *uid);
bool	 conn_is_tls(const struct conn *c);

#endif
