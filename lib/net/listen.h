/*
 * listen - sockets that wait for connections, and sockets that make one.
 *
 * When descriptors run out a reserve fd is spent to accept and close, so a
 * full backlog never spins the loop.
 */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include <stdint.h>

#define LISTEN_BACKLOG		128
#define LISTEN_ACCEPTS_MAX	16	/* per turn; then others work */
#define LISTEN_REST_MS		100	/* when the reserve is gone too */

struct listener;
struct loop;

/* Owns fd, which is non-blocking.  May destroy its listener. */
typedef void listener_fn(void *arg, int fd);

/*
 * One literal address, or NULL or "" for all (dual-stack, or IPv4 where there
 * is no IPv6); port 0: the kernel picks.  *port: the one in use.  0, -EINVAL,
 * -ENOMEM, or -errno of the socket calls.
 */
int	 listen_tcp(struct listener **out, struct loop *l, const char *addr,
	    uint16_t *port, listener_fn *fn, void *arg);

/*
 * Mode by umask before bind, never by chmod after.  A stale socket of ours is
 * replaced (looked up relative to its directory, T10); anything else at path
 * is -EEXIST; a live one is -EADDRINUSE; a path that does not fit is
 * -ENAMETOOLONG.  Destroying unlinks it if it is still the one we made.
 */
int	 listen_unix(struct listener **out, struct loop *l, const char *path,
	    uint32_t mode, listener_fn *fn, void *arg);
void	 listener_destroy(struct listener *ln);		/* NULL is allowed */

/*
 * Non-blocking connect, perhaps still in progress: pass to conn_create() with
 * connecting = true.  fd or -errno (-EINPROGRESS never escapes).
 */
int	 connect_unix(const char *path);
int	 connect_tcp_literal(const char *addr, uint16_t port);

#endif
