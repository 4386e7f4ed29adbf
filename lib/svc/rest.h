/*
 * rest - the workspace API: HTTP/1.1 on a Unix socket, for kbox and for curl.
 *
 * One const table of routes (rest.c); a route's handler is in rest_<noun>.c.
 * Who calls is known from the kernel: the workspace user and root are
 * served, anybody else gets 403 before the body of his request is looked at
 * (T9).  A socket that can't be made costs this API and nothing else; making
 * it is tried again for as long as the daemon runs.
 *
 * Errors are one line of text, as the platform's kbox shows them, or
 * {"status": 503, "msg": "..."} for a caller that accepts application/json.
 * Source: spec/rest-kbox.md 1, spec/security.md 2.1, T9, T10, T26.
 */
#ifndef SVC_REST_H
#define SVC_REST_H

#include <stdbool.h>
#include <stdint.h>

struct conf;
struct grpc_server;
struct rest;
struct svc;

#define REST_SOCKET_PATH	"/var/run/k8shelld.sock"
#define REST_SOCKET_NAME	"k8shelld.sock"	/* in a run directory */

/* spec/security.md 2.1 */
#define REST_CONNS_MAX		32	/* more are answered 503 */
/*
 * Followers, waiters and terminals do not count there: they stay for hours,
 * and whoever wants to end what they look at has to get in.  12 KiB each.
 * Kills, and logs that are not followed, do only while half is free there.
 */
#define REST_LASTING_MAX	128	/* more are answered 503 */
#define REST_SLOW_MAX		(REST_CONNS_MAX / 2)
#define REST_REFUSED_MAX	16	/* of those at once; more: closed */
#define REST_BODY_MAX		(64u * 1024)
#define REST_IDLE_MS		10000	/* to begin, and to end, a request */
#define REST_STOP_MS		1000

/* Everything is borrowed and outlives the server. */
struct rest_options {
	const char	*path;		/* of the socket */
	uint32_t	 mode;		/* of the socket */
	bool		 set_group;	/* the socket's group is gid */
	uint32_t	 gid;
	uint32_t	 owner_uid;	/* who may call, beside root */
	bool		 make_dir;	/* where path's folders are missing */
	struct svc	*svc;
	const struct conf *conf;
	struct grpc_server *const *server;	/* *server NULL: gone */
	uint32_t	 idle_ms;	/* 0: REST_IDLE_MS */
	void		(*stop)(void *arg); /* the daemon, soon; NULL: that is
					 * the API server's business */
	void		*stop_arg;
};

/* NULL: out of memory.  A socket that can't be made yet is no failure. */
struct rest *rest_create(const struct rest_options *opt);

/* No new connection or request; answers being given are finished. */
void	 rest_stop(struct rest *r);
/* None is being given any more, or their readers take longer than
 * REST_STOP_MS.  After rest_stop(). */
bool	 rest_drained(const struct rest *r);

/* NULL is allowed.  Every connection is closed. */
void	 rest_destroy(struct rest *r);

#endif
