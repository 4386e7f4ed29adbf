/*
 * oidc - the signing keys of the cluster's service-account issuer.
 *
 * Read from a JWKS file, or fetched over HTTPS from "<issuer>/openid/v1/jwks"
 * by a forked child (resolving and connecting may block), trusting only the
 * pod's CA and sending the pod's own token, read anew for each fetch.  Keys
 * stay in use when a refetch fails.  An unknown key id asks for a refetch, at
 * most one per OIDC_REFETCH_MS.
 */
#ifndef AUTH_OIDC_H
#define AUTH_OIDC_H

#include <stdint.h>

#include "auth/jwt.h"

struct loop;
struct oidc;
struct reap;

#define OIDC_FETCH_MS	10000		/* whole fetch */
#define OIDC_REFETCH_MS	10000		/* unknown key ids can't hammer */
#define OIDC_BODY_MAX	(256u * 1024)
#define OIDC_REFRESH_MS	(60u * 60 * 1000)
#define OIDC_FILE_MS	15000		/* how often the file is looked at */
#define OIDC_RETRY_MS	1000		/* doubled up to ... */
#define OIDC_RETRY_MAX_MS	60000

/* What an empty issuer stands for (spec/grpc.md 2.3). */
#define OIDC_ISSUER_DEFAULT	"https://kubernetes.default.svc.cluster.local"

struct oidc_options {
	const char	*issuer_url;	/* borrowed, all of them */
	const char	*jwks_file;	/* NULL: fetch */
	const char	*ca_file, *token_file;
};

/* Reads the file, or starts the first fetch.  -ENOMEM only: what fails is
 * logged and tried again. */
int	 oidc_create(struct oidc **out, struct loop *l, struct reap *r,
	    const struct oidc_options *opt);
/* Callers that wait are not called.  NULL is allowed. */
void	 oidc_destroy(struct oidc *o);

/* Key for kid ("" is allowed if the set has one key), or NULL. */
const struct jwt_key *oidc_key(const struct oidc *o, const char *kid);
/* Changes when the keys do: cached verdicts die with it (T7). */
uint32_t oidc_generation(const struct oidc *o);

/* One caller waiting for a refetch; embedded. */
struct oidc_wait {
	void	(*fn)(void *arg);
	void	*arg;
	struct oidc_wait *next, **prevp;
};
/* 0: fn is called once, when the fetch has ended well or not; -EAGAIN: rate
 * limit, no fetch. */
int	 oidc_refetch(struct oidc *o, struct oidc_wait *w);
void	 oidc_wait_cancel(struct oidc_wait *w);

#endif
