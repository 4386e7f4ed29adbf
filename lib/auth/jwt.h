/*
 * jwt - signature and claims of one compact token, RS256 or ES256.
 *
 * The algorithm comes from the key, never from the token (T2); header fields
 * that point anywhere (jku, jwk, x5u) are never followed, any "crit" is
 * refused (T3).  Syntax is as strict as T4 asks.  No I/O, no clock.
 */
#ifndef AUTH_JWT_H
#define AUTH_JWT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JWT_TOKEN_MAX	(8u * 1024)
#define JWT_LEEWAY_S	30		/* clock skew on exp, nbf, iat (T5) */
#define JWT_KEYS_MAX	16
#define JWT_KID_MAX	128
#define JWT_AUD_MAX	8
#define JWT_ROLES_MAX	64

enum jwt_alg { JWT_RS256, JWT_ES256 };

struct jwt_key;				/* one public key, one algorithm */

/* PEM "PUBLIC KEY" or "CERTIFICATE" text.  alg must fit the key; RSA below
 * 2048 bits is refused.  0, -EINVAL (*err: static text), -ENOMEM. */
int	 jwt_key_from_pem(struct jwt_key **out, const void *pem, size_t n,
	    enum jwt_alg alg, const char **err);
void	 jwt_key_destroy(struct jwt_key *k);

/*
 * A JWK Set.  Keys of other types or uses, weak ones and whatever comes after
 * JWT_KEYS_MAX are skipped; of two keys with one id the first counts.  *out
 * is written only on success.  0, -EINVAL (not a set, or no key of use in
 * it; *err: static text), -ENOMEM.
 */
struct jwt_keys {
	struct jwt_key	*key[JWT_KEYS_MAX];
	char		 kid[JWT_KEYS_MAX][JWT_KID_MAX + 1];
	size_t		 count;
};
int	 jwt_keys_from_jwks(struct jwt_keys *out, const void *json, size_t n,
	    const char **err);
void	 jwt_keys_finish(struct jwt_keys *k);
/* The same keys under the same ids in the same order. */
bool	 jwt_keys_same(const struct jwt_keys *a, const struct jwt_keys *b);

struct jwt_claims {
	char	 iss[256], sub[256];
	char	 aud[JWT_AUD_MAX][128];
	size_t	 naud;
	int64_t	 exp, nbf, iat;		/* 0: absent, except exp: required */
	/* kubernetes.io */
	char	 k8s_namespace[64], k8s_account[254];
	/* workspace identity, spec/bootstrap.md 3.4 */
	char	 name[256], email[256], org[128], source[64], shell[256];
	bool	 has_uid, has_gid;
	uint32_t uid, gid;
	bool	 sudo;
	char	 roles[JWT_ROLES_MAX][64];
	size_t	 nroles;
};

/*
 * kid of the token's header into kid[JWT_KID_MAX + 1] ("" if none), after the
 * full syntax check.  0 or -EINVAL.
 */
int	 jwt_peek_kid(const char *token, size_t n, char *kid, const char **why);

/*
 * Signature with this key, then the claims, then their times at `now`
 * (seconds since 1970).  0, -EACCES (signature, expired, not yet valid) or
 * -EINVAL (syntax, algorithm, a claim of the wrong type); *why static.
 * Claims of a token that is refused come out empty.
 */
int	 jwt_verify(const struct jwt_key *key, const char *token, size_t n,
	    int64_t now, struct jwt_claims *claims, const char **why);

/* The time rules alone: NULL, or why a token with these times is refused.
 * 0 stands for an absent nbf or iat. */
const char *jwt_times_wrong(int64_t exp, int64_t nbf, int64_t iat,
	    int64_t now);
bool	 jwt_has_audience(const struct jwt_claims *c, const char *aud);

#endif
