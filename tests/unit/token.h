/*
 * token - ES256 tokens made on the spot, for tests.
 *
 * Private keys are one byte repeated: they protect nothing.
 */
#ifndef TESTS_UNIT_TOKEN_H
#define TESTS_UNIT_TOKEN_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <bearssl.h>

#include "base/str.h"

#define TOKEN_MAX	4096
#define TOKEN_PEM_MAX	512
#define TOKEN_KEY_A	0x11
#define TOKEN_KEY_B	0x22

static inline void
token_private(br_ec_private_key *sk, unsigned char *scalar, unsigned char key)
{
	memset(scalar, key, 32);
	sk->curve = BR_EC_secp256r1;
	sk->x = scalar;
	sk->xlen = 32;
}

static inline size_t
token_base64url(const void *p, size_t n, char *out)
{
	size_t	len = base64_encode(p, n, out), i;

	for (i = 0; i < len; i++) {
		if (out[i] == '+')
			out[i] = '-';
		else if (out[i] == '/')
			out[i] = '_';
	}
	return len;
}

/* The public half of a key as PEM text, out[TOKEN_PEM_MAX]. */
static inline void
token_pem(char *out, unsigned char key)
{
	/* SubjectPublicKeyInfo up to the point, RFC 5480. */
	static const unsigned char	head[] = {
		0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce,
		0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
		0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
	};
	unsigned char		scalar[32], kbuf[BR_EC_KBUF_PUB_MAX_SIZE];
	unsigned char		der[sizeof head + 65];
	char			text[160];
	br_ec_private_key	sk;
	br_ec_public_key	pk;

	token_private(&sk, scalar, key);
	br_ec_compute_pub(br_ec_get_default(), &pk, kbuf, &sk);
	memcpy(der, head, sizeof head);
	memcpy(der + sizeof head, pk.q, 65);
	base64_encode(der, sizeof der, text);
	snprintf(out, TOKEN_PEM_MAX, "-----BEGIN PUBLIC KEY-----\n%.64s\n"
	    "%s==\n-----END PUBLIC KEY-----\n", text, text + 64);
}

/* A signed token with these claims, out[TOKEN_MAX]. */
static inline void
token_make(char *out, const char *claims, unsigned char key)
{
	static const char	header[] = "{\"alg\":\"ES256\"}";
	unsigned char		scalar[32], hash[32], sig[64];
	br_ec_private_key	sk;
	br_sha256_context	sha;
	size_t			n;

	n = token_base64url(header, sizeof header - 1, out);
	out[n++] = '.';
	n += token_base64url(claims, strlen(claims), out + n);
	br_sha256_init(&sha);
	br_sha256_update(&sha, out, n);
	br_sha256_out(&sha, hash);
	token_private(&sk, scalar, key);
	br_ecdsa_sign_raw_get_default()(br_ec_get_default(),
	    &br_sha256_vtable, hash, &sk, sig);
	out[n++] = '.';
	token_base64url(sig, sizeof sig, out + n);
}

#endif
