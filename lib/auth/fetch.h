/*
 * fetch - one HTTPS GET in a forked child.
 *
 * Resolving, connecting and TLS may block, so they happen where nobody waits.
 * The child keeps no descriptor but one pipe, drops root for nobody before it
 * talks to anyone, and dies by its own alarm.  It trusts one CA file, sends
 * one bearer token to the host the URL names and follows no redirect.
 */
#ifndef AUTH_FETCH_H
#define AUTH_FETCH_H

#include <stddef.h>
#include <stdint.h>

struct fetch;
struct loop;
struct reap;

#define FETCH_NOBODY		65534u	/* uid and gid the child drops to */
#define FETCH_CONNECT_MS	3000	/* per address */
#define FETCH_WHY_MAX		256

/* "https://host[:port]/path", and nothing else (spec: no plain http, no user,
 * query or fragment). */
struct fetch_url {
	char	host[256];		/* without brackets */
	char	authority[272];		/* for Host: with brackets and port */
	char	port[6];
	char	target[1024];		/* starts with a slash */
};
/* suffix is appended to the path, whose last slash is dropped.  0, -EINVAL. */
int	 fetch_url_parse(struct fetch_url *u, const char *url,
	    const char *suffix);

struct fetch_spec {
	const struct fetch_url	*url;
	const char		*ca_file;
	const char		*token_file;	/* NULL or missing: no token */
	size_t			 body_max;
	unsigned		 seconds;	/* for all of it */
};

/*
 * Called once, from the loop: the body of a 200 answer (why NULL), or why
 * there is none, one line.  Both are gone afterwards.  Destroying the fetch
 * in here is allowed.
 */
typedef void fetch_fn(void *arg, const void *body, size_t n, const char *why);

/* spec is borrowed until this returns.  0 or -errno. */
int	 fetch_start(struct fetch **out, struct loop *l, struct reap *r,
	    const struct fetch_spec *spec, fetch_fn *fn, void *arg);
/* Kills a child that still runs; fn is not called.  NULL is allowed. */
void	 fetch_destroy(struct fetch *f);

#endif
