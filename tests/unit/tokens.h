/*
 * tokens - keys, PEM text, JWK Sets and signed tokens for tests.
 *
 * Keys come from a fixed seed, so every run sees the same ones and nothing
 * secret is kept in the tree.  Any failure here ends the test.
 */
#ifndef TESTS_UNIT_TOKENS_H
#define TESTS_UNIT_TOKENS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <bearssl.h>

#define TOKENS_TEXT_MAX	(64 * 1024)

struct tokens_key {
	bool			 rsa;
	br_rsa_private_key	 rsk;
	br_rsa_public_key	 rpk;
	br_ec_private_key	 esk;
	uint8_t			 q[BR_EC_KBUF_PUB_MAX_SIZE];
	uint8_t			 priv[BR_RSA_KBUF_PRIV_SIZE(2048) + 64];
	uint8_t			 pub[BR_RSA_KBUF_PUB_SIZE(2048) + 64];
};

/* snprintf that must fit; returns the length. */
static inline size_t __attribute__((format(printf, 3, 4)))
tokens_format(char *out, size_t outlen, const char *fmt, ...)
{
	va_list	ap;
	int	n;

	va_start(ap, fmt);
	n = vsnprintf(out, outlen, fmt, ap);
	va_end(ap);
	assert_true(n >= 0 && (size_t)n < outlen);
	return (size_t)n;
}

/* bits 0: an EC key on P-256. */
static inline void
tokens_key_make(struct tokens_key *k, const char *seed, unsigned bits)
{
	br_hmac_drbg_context	rng;
	const br_ec_impl	*ec = br_ec_get_default();

	br_hmac_drbg_init(&rng, &br_sha256_vtable, seed, strlen(seed));
	k->rsa = bits != 0;
	if (k->rsa) {
		assert_true(br_rsa_keygen_get_default()(&rng.vtable, &k->rsk,
		    k->priv, &k->rpk, k->pub, bits, 65537));
		return;
	}
	assert_true(br_ec_keygen(&rng.vtable, ec, &k->esk, k->priv,
	    BR_EC_secp256r1) > 0);
	assert_int_equal(br_ec_compute_pub(ec, NULL, k->q, &k->esk), 65);
}

/* base64url without padding; returns a pointer behind the text. */
static inline char *
tokens_b64(char *out, const void *data, size_t n)
{
	static const char	abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789-_";
	const uint8_t		*p = data;
	uint32_t		 v;
	size_t			 i, left;

	for (i = 0; i < n; i += 3) {
		left = n - i < 3 ? n - i : 3;
		v = (uint32_t)p[i] << 16;
		if (left > 1)
			v |= (uint32_t)p[i + 1] << 8;
		if (left > 2)
			v |= p[i + 2];
		*out++ = abc[v >> 18];
		*out++ = abc[v >> 12 & 63];
		if (left > 1)
			*out++ = abc[v >> 6 & 63];
		if (left > 2)
			*out++ = abc[v & 63];
	}
	*out = '\0';
	return out;
}

/* Signs any text; sig holds 512 bytes. */
static inline size_t
tokens_sign_raw(const struct tokens_key *k, const char *text, size_t n,
    uint8_t *sig)
{
	br_sha256_context	sha;
	uint8_t			hash[32];

	br_sha256_init(&sha);
	br_sha256_update(&sha, text, n);
	br_sha256_out(&sha, hash);
	if (!k->rsa)
		return br_ecdsa_sign_raw_get_default()(br_ec_get_default(),
		    &br_sha256_vtable, hash, &k->esk, sig);
	assert_true(br_rsa_pkcs1_sign_get_default()(BR_HASH_OID_SHA256, hash,
	    sizeof hash, &k->rsk, sig));
	return k->rpk.nlen;
}

/* Any header, any claims, a good signature.  Returns the length. */
static inline size_t
tokens_sign(const struct tokens_key *k, const char *header,
    const char *claims, char *out)
{
	uint8_t	sig[512];
	size_t	n;
	char	*p;

	p = tokens_b64(out, header, strlen(header));
	*p++ = '.';
	p = tokens_b64(p, claims, strlen(claims));
	n = tokens_sign_raw(k, out, (size_t)(p - out), sig);
	*p++ = '.';
	p = tokens_b64(p, sig, n);
	return (size_t)(p - out);
}

/* The usual header for the key, with a key id unless that is NULL. */
static inline size_t
tokens_make(const struct tokens_key *k, const char *kid, const char *claims,
    char *out)
{
	char	header[256];

	if (kid != NULL)
		tokens_format(header, sizeof header,
		    "{\"alg\":\"%s\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
		    k->rsa ? "RS256" : "ES256", kid);
	else
		tokens_format(header, sizeof header,
		    "{\"alg\":\"%s\",\"typ\":\"JWT\"}",
		    k->rsa ? "RS256" : "ES256");
	return tokens_sign(k, header, claims, out);
}

/* One DER element in front of what comes from body. */
static inline size_t
tokens_der(uint8_t *out, uint8_t tag, const void *body, size_t n)
{
	size_t	h = 0;

	out[h++] = tag;
	if (n >= 0x100) {
		out[h++] = 0x82;
		out[h++] = (uint8_t)(n >> 8);
	} else if (n >= 0x80) {
		out[h++] = 0x81;
	}
	out[h++] = (uint8_t)n;
	memmove(out + h, body, n);
	return h + n;
}

static inline size_t
tokens_der_number(uint8_t *out, const uint8_t *p, size_t n)
{
	uint8_t	tmp[600];

	for (; n > 1 && *p == 0; n--)
		p++;
	tmp[0] = 0;
	memcpy(tmp + 1, p, n);
	if (p[0] >= 0x80)
		return tokens_der(out, 0x02, tmp, n + 1);
	return tokens_der(out, 0x02, tmp + 1, n);
}

/* SubjectPublicKeyInfo; out holds 1024 bytes. */
static inline size_t
tokens_spki(const struct tokens_key *k, uint8_t *out)
{
	static const uint8_t	rsa[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86,
		0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00 };
	static const uint8_t	ec[] = { 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86,
		0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
		0xce, 0x3d, 0x03, 0x01, 0x07 };
	uint8_t			a[1024], b[1024];
	size_t			n, len;

	b[0] = 0;		/* unused bits */
	if (k->rsa) {
		n = tokens_der_number(a, k->rpk.n, k->rpk.nlen);
		n += tokens_der_number(a + n, k->rpk.e, k->rpk.elen);
		n = 1 + tokens_der(b + 1, 0x30, a, n);
		memcpy(a, rsa, len = sizeof rsa);
	} else {
		memcpy(b + 1, k->q, 65);
		n = 66;
		memcpy(a, ec, len = sizeof ec);
	}
	len += tokens_der(a + len, 0x03, b, n);
	return tokens_der(out, 0x30, a, len);
}

static inline size_t
tokens_pem(const char *label, const uint8_t *der, size_t n, char *out)
{
	return br_pem_encode(out, der, n, label, BR_PEM_LINE64);
}

/* PEM of the public key; out holds 2048 bytes. */
static inline size_t
tokens_public_pem(const struct tokens_key *k, char *out)
{
	uint8_t	der[1024];

	return tokens_pem("PUBLIC KEY", der, tokens_spki(k, der), out);
}

/* One JWK; more is put into the object as it is, such as "\"alg\":1,". */
static inline size_t
tokens_jwk(const struct tokens_key *k, const char *kid, const char *more,
    char *out, size_t outlen)
{
	char	a[1024], b[1024];

	if (k->rsa) {
		tokens_b64(a, k->rpk.n, k->rpk.nlen);
		tokens_b64(b, k->rpk.e, k->rpk.elen);
		return tokens_format(out, outlen, "{%s\"kty\":\"RSA\","
		    "\"kid\":\"%s\",\"n\":\"%s\",\"e\":\"%s\"}", more, kid,
		    a, b);
	}
	tokens_b64(a, k->q + 1, 32);
	tokens_b64(b, k->q + 33, 32);
	return tokens_format(out, outlen, "{%s\"kty\":\"EC\","
	    "\"crv\":\"P-256\",\"kid\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"}",
	    more, kid, a, b);
}

#endif
