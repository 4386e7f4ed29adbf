/*
 * jwk - one public key and where it comes from: PEM text or a JWK Set; and
 * the strict walk over a JSON object that keys and tokens share.
 *
 * Internal to lib/auth; the constructors are in auth/jwt.h.
 */
#ifndef AUTH_JWK_H
#define AUTH_JWK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/jwt.h"
#include "base/json.h"

#define JWK_RSA_MIN_BITS	2048u
#define JWK_RSA_MAX_BYTES	512u		/* BearSSL's own limit */
#define JWK_EXPONENT_MAX	4u		/* bytes */
#define JWK_POINT_LEN		65u		/* 0x04, x, y on P-256 */

struct jwt_key {
	enum jwt_alg	 alg;
	size_t		 nlen, elen;		/* RSA, no leading zeros */
	uint8_t		 n[JWK_RSA_MAX_BYTES], e[JWK_EXPONENT_MAX];
	uint8_t		 q[JWK_POINT_LEN];	/* EC */
};

/* True if sig is this key's signature of the n bytes at data. */
bool	 jwk_signed(const struct jwt_key *k, const void *data, size_t n,
	    const uint8_t *sig, size_t siglen);

/*
 * Members of one object, whose JSON_OBJECT token has just been read.  Keys
 * that repeat or hide behind an escape are refused (T4): two readers could
 * see two different objects.
 */
#define JWK_MEMBERS_MAX	64

struct jwk_members {
	struct json	*j;		/* borrowed */
	size_t		 n;
	struct {
		const char	*text;
		size_t		 len;
	} seen[JWK_MEMBERS_MAX];
};

void	 jwk_members_init(struct jwk_members *m, struct json *j);

/*
 * 1: the next key, *type is the first token of its value, which the caller
 * reads or skips; 0: the object ended; -EINVAL.
 */
int	 jwk_members_next(struct jwk_members *m, enum json_type *type);
bool	 jwk_member_is(const struct jwk_members *m, const char *name);

/* A string value into out; 0, -EINVAL if it is none, or does not fit. */
int	 jwk_text(const struct json *j, enum json_type type, char *out,
	    size_t outlen);

#endif
