#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auth/jwt.h"
#include "base/str.h"
#include "tests/unit/failmalloc.h"
#include "tests/unit/tokens.h"

#define CLAIMS		"{\"sub\":\"alice\",\"exp\":1700000600}"

static struct tokens_key	rsa, rsa_small, ec, ec_other;
static const char		*why;

static int
setup(void **state)
{
	(void)state;
	tokens_key_make(&rsa, "rsa", 2048);
	tokens_key_make(&rsa_small, "rsa small", 1024);
	tokens_key_make(&ec, "ec", 0);
	tokens_key_make(&ec_other, "ec other", 0);
	return 0;
}

/* Does key accept what signer signs? */
static bool
accepts(const struct jwt_key *key, const struct tokens_key *signer)
{
	static char		token[TOKENS_TEXT_MAX];
	static struct jwt_claims claims;
	size_t			n = tokens_make(signer, NULL, CLAIMS, token);

	return jwt_verify(key, token, n, 1700000000, &claims, &why) == 0;
}

static int
load(const char *label, const uint8_t *der, size_t n, enum jwt_alg alg)
{
	struct jwt_key	*k = NULL;
	char		 pem[4096];
	int		 r;

	n = tokens_pem(label, der, n, pem);
	r = jwt_key_from_pem(&k, pem, n, alg, &why);
	assert_true((r == 0) == (k != NULL));
	jwt_key_destroy(k);
	return r;
}

static void
test_T4_rsa_keys_below_2048_bits_are_refused(void **state)
{
	static struct tokens_key	k;
	uint8_t				der[1024], n[256];

	(void)state;
	assert_int_equal(load("PUBLIC KEY", der,
	    tokens_spki(&rsa_small, der), JWT_RS256), -EINVAL);
	assert_string_equal(why, "RSA key is shorter than 2048 bits");
	/* 2047 bits, odd. */
	k = rsa;
	memcpy(n, rsa.rpk.n, sizeof n);
	k.rpk.n = n;
	n[0] = 0x7f;
	assert_int_equal(load("PUBLIC KEY", der, tokens_spki(&k, der),
	    JWT_RS256), -EINVAL);
	n[0] = 0x80;
	assert_int_equal(load("PUBLIC KEY", der, tokens_spki(&k, der),
	    JWT_RS256), 0);
}

static void
odd_rsa_numbers_are_refused(void **state)
{
	static const uint8_t	e1[] = { 1 }, e2[] = { 2 }, e0[] = { 0 },
	    even[] = { 1, 0, 0 }, large[] = { 1, 0, 0, 0, 1 }, e3[] = { 3 };
	static const struct {
		const uint8_t	*e;
		size_t		 n;
		int		 r;
	} cases[] = {
		{ e0, 1, -EINVAL }, { e1, 1, -EINVAL }, { e2, 1, -EINVAL },
		{ even, 3, -EINVAL }, { large, 5, -EINVAL }, { e3, 1, 0 },
	};
	static struct tokens_key	k;
	uint8_t				der[1024];
	uint8_t				n[256];
	size_t				i;

	(void)state;
	k = rsa;
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		k.rpk.e = (uint8_t *)cases[i].e;
		k.rpk.elen = cases[i].n;
		assert_int_equal(load("PUBLIC KEY", der, tokens_spki(&k, der),
		    JWT_RS256), cases[i].r);
	}
	k = rsa;
	memcpy(n, rsa.rpk.n, sizeof n);
	n[255] &= 0xfe;
	k.rpk.n = n;
	assert_int_equal(load("PUBLIC KEY", der, tokens_spki(&k, der),
	    JWT_RS256), -EINVAL);
}

static void
points_off_the_curve_are_refused(void **state)
{
	struct tokens_key	k = ec;
	uint8_t			der[1024];
	size_t			n;

	(void)state;
	n = tokens_spki(&k, der);
	assert_int_equal(load("PUBLIC KEY", der, n, JWT_ES256), 0);
	k.q[64] ^= 1;
	assert_int_equal(load("PUBLIC KEY", der, tokens_spki(&k, der),
	    JWT_ES256), -EINVAL);
	memset(k.q + 1, 0, 64);
	assert_int_equal(load("PUBLIC KEY", der, tokens_spki(&k, der),
	    JWT_ES256), -EINVAL);
	memset(k.q + 1, 0xff, 64);
	assert_int_equal(load("PUBLIC KEY", der, tokens_spki(&k, der),
	    JWT_ES256), -EINVAL);
	k = ec;
	k.q[0] = 0x06;			/* hybrid form */
	assert_int_equal(load("PUBLIC KEY", der, tokens_spki(&k, der),
	    JWT_ES256), -EINVAL);
	/* Another curve's name. */
	n = tokens_spki(&ec, der);
	der[22] ^= 1;
	assert_int_equal(load("PUBLIC KEY", der, n, JWT_ES256), -EINVAL);
}

static void
test_T2_key_must_fit_the_configured_algorithm(void **state)
{
	uint8_t	der[1024];
	size_t	n;

	(void)state;
	n = tokens_spki(&ec, der);
	assert_int_equal(load("PUBLIC KEY", der, n, JWT_RS256), -EINVAL);
	assert_string_equal(why, "RS256 needs an RSA key");
	n = tokens_spki(&rsa, der);
	assert_int_equal(load("PUBLIC KEY", der, n, JWT_ES256), -EINVAL);
	assert_string_equal(why, "ES256 needs an EC key");
}

static void
der_cut_or_changed_is_refused_or_harmless(void **state)
{
	uint8_t	der[1024], copy[1024];
	size_t	n, i;

	(void)state;
	n = tokens_spki(&rsa, der);
	for (i = 0; i < n; i++)
		assert_int_equal(load("PUBLIC KEY", der, i, JWT_RS256),
		    -EINVAL);
	der[n] = 0;
	assert_int_equal(load("PUBLIC KEY", der, n + 1, JWT_RS256), -EINVAL);
	/* Every byte of the framing: an odd length must not be followed. */
	for (i = 0; i < 40; i++) {
		memcpy(copy, der, n);
		copy[i] = 0xff;
		if (copy[i] != der[i] && (i < 33 || i > 36))
			assert_int_equal(load("PUBLIC KEY", copy, n,
			    JWT_RS256) == 0, i > 36);
	}
}

static void
pem_needs_a_whole_public_key(void **state)
{
	struct jwt_key	*k = NULL;
	char		 pem[4096], two[8192];
	uint8_t		 der[1024];
	size_t		 n, i;

	(void)state;
	n = tokens_public_pem(&ec, pem);
	/* BearSSL reads no further than "-----END " of the last line. */
	for (i = 0; pem + i < strstr(pem, "END PUBLIC KEY") + 4; i++)
		assert_int_equal(jwt_key_from_pem(&k, pem, i, JWT_ES256, &why),
		    -EINVAL);
	assert_int_equal(jwt_key_from_pem(&k, pem, n - 1, JWT_ES256, &why), 0);
	jwt_key_destroy(k);
	assert_int_equal(load("PRIVATE KEY", der, tokens_spki(&ec, der),
	    JWT_ES256), -EINVAL);
	assert_string_equal(why, "no PUBLIC KEY or CERTIFICATE in PEM text");
	/* Text and other objects before it do not matter. */
	n = tokens_pem("EC PARAMETERS", der, 10, pem);
	tokens_format(two, sizeof two, "comment\r\n%.*s", (int)n, pem);
	n = strlen(two);
	n += tokens_public_pem(&ec, two + n);
	assert_int_equal(jwt_key_from_pem(&k, two, n, JWT_ES256, &why), 0);
	jwt_key_destroy(k);
	tokens_format(two, sizeof two, "-----BEGIN PUBLIC KEY-----\n*\n"
	    "-----END PUBLIC KEY-----\n");
	assert_int_equal(jwt_key_from_pem(&k, two, strlen(two), JWT_ES256,
	    &why), -EINVAL);
}

/* A certificate in outline: what surrounds the key is not looked at. */
static size_t
certificate(const struct tokens_key *k, bool version, uint8_t *out)
{
	static const uint8_t	v3[] = { 0xa0, 3, 2, 1, 2 }, serial[] =
	    { 2, 1, 7 }, seq[] = { 0x30, 0 };
	uint8_t			a[2048], b[2048];
	size_t			n = 0, i;

	if (version) {
		memcpy(a, v3, sizeof v3);
		n = sizeof v3;
	}
	memcpy(a + n, serial, sizeof serial);
	n += sizeof serial;
	for (i = 0; i < 4; i++, n += sizeof seq)
		memcpy(a + n, seq, sizeof seq);
	n += tokens_spki(k, a + n);
	n = tokens_der(b, 0x30, a, n);
	memcpy(b + n, seq, sizeof seq);
	return tokens_der(out, 0x30, b, n + sizeof seq);
}

static void
certificates_give_their_key(void **state)
{
	uint8_t	der[4096];
	size_t	n, i;

	(void)state;
	n = certificate(&rsa, true, der);
	assert_int_equal(load("CERTIFICATE", der, n, JWT_RS256), 0);
	for (i = 0; i < n; i++)
		assert_int_equal(load("CERTIFICATE", der, i, JWT_RS256),
		    -EINVAL);
	n = certificate(&ec, false, der);
	assert_int_equal(load("CERTIFICATE", der, n, JWT_ES256), 0);
	assert_int_equal(load("PUBLIC KEY", der, n, JWT_ES256), -EINVAL);
}

static struct jwt_keys	set;

static int
jwks(const char *text)
{
	int	r;

	jwt_keys_finish(&set);
	why = NULL;
	r = jwt_keys_from_jwks(&set, text, strlen(text), &why);
	assert_true((r == 0) == (why == NULL));
	return r;
}

static void
key_sets_are_read_and_others_skipped(void **state)
{
	static char	text[32 * 1024], a[2048], b[2048], c[2048], d[2048];

	(void)state;
	tokens_jwk(&rsa, "r1", "\"alg\":\"RS256\",\"use\":\"sig\",", a,
	    sizeof a);
	tokens_jwk(&ec, "e1", "", b, sizeof b);
	tokens_jwk(&ec_other, "enc", "\"use\":\"enc\",", c, sizeof c);
	tokens_jwk(&ec_other, "e384", "\"alg\":\"ES384\",", d, sizeof d);
	tokens_format(text, sizeof text, "{\"more\":{\"keys\":1},"
	    "\"keys\":[%s,%s,"
	    "{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"o\"},{},"
	    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"},%s,%s]}",
	    c, a, d, b);
	assert_int_equal(jwks(text), 0);
	assert_int_equal(set.count, 2);
	assert_string_equal(set.kid[0], "r1");
	assert_string_equal(set.kid[1], "e1");
	assert_true(accepts(set.key[0], &rsa));
	assert_true(accepts(set.key[1], &ec));
	assert_false(accepts(set.key[0], &ec));
}

static void
weak_and_broken_keys_in_a_set_are_skipped(void **state)
{
	static char		text[32 * 1024], a[2048], good[2048];
	static const char *const odd[] = {
		"\"alg\":\"HS256\",", "\"alg\":\"ES256\",", "\"alg\":7,",
		"\"use\":null,", "\"crv\":{},",
		"\"use\":\"0123456789abcdef\",",
	};
	struct tokens_key	off = ec;
	size_t			i;

	(void)state;
	tokens_jwk(&rsa, "ok", "", good, sizeof good);
	for (i = 0; i < ARRAY_LEN(odd); i++) {
		tokens_jwk(&rsa, "odd", odd[i], a, sizeof a);
		tokens_format(text, sizeof text, "{\"keys\":[%s,%s]}", a, good);
		assert_int_equal(jwks(text), 0);
		assert_int_equal(set.count, 1);
		assert_string_equal(set.kid[0], "ok");
	}
	tokens_jwk(&rsa_small, "odd", "", a, sizeof a);
	tokens_format(text, sizeof text, "{\"keys\":[%s]}", a);
	assert_int_equal(jwks(text), -EINVAL);
	assert_string_equal(why, "no usable RS256 or ES256 key in the set");
	off.q[40] ^= 1;
	tokens_jwk(&off, "odd", "", a, sizeof a);
	tokens_format(text, sizeof text, "{\"keys\":[%s]}", a);
	assert_int_equal(jwks(text), -EINVAL);
	/* Padded base64 is not what RFC 7518 says. */
	assert_int_equal(jwks("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
	    "\"x\":\"AAAA=\",\"y\":\"AAAA\"}]}"), -EINVAL);
}

static void
first_key_of_an_id_counts(void **state)
{
	static char	text[32 * 1024], a[2048], b[2048];

	(void)state;
	tokens_jwk(&ec, "same", "", a, sizeof a);
	tokens_jwk(&ec_other, "same", "", b, sizeof b);
	tokens_format(text, sizeof text, "{\"keys\":[%s,%s]}", a, b);
	assert_int_equal(jwks(text), 0);
	assert_int_equal(set.count, 1);
	assert_true(accepts(set.key[0], &ec));
}

static void
key_sets_hold_sixteen_keys(void **state)
{
	static char	text[64 * 1024];
	char		kid[16];
	size_t		n, i, want;

	(void)state;
	for (want = JWT_KEYS_MAX - 1; want <= JWT_KEYS_MAX + 1; want++) {
		n = tokens_format(text, sizeof text, "{\"keys\":[");
		for (i = 0; i < want; i++) {
			tokens_format(kid, sizeof kid, "k%zu", i);
			n += tokens_jwk(&ec, kid, "", text + n,
			    sizeof text - n);
			text[n++] = i + 1 < want ? ',' : ']';
		}
		memcpy(text + n, "}", 2);
		assert_int_equal(jwks(text), 0);
		assert_int_equal(set.count,
		    want < JWT_KEYS_MAX ? want : JWT_KEYS_MAX);
		assert_string_equal(set.kid[set.count - 1],
		    want < JWT_KEYS_MAX ? "k14" : "k15");
	}
}

static void
what_is_no_key_set_is_refused(void **state)
{
	static char	text[4096], a[2048];
	static const char *const bad[] = {
		"", "{}", "[]", "{\"keys\":{}}", "{\"keys\":[]}",
		"{\"keys\":[1]}", "{\"keys\":null}",
		"{\"keys\":[],\"keys\":[]}",
		"{\"keys\":[{\"kty\":\"RSA\",\"kty\":\"EC\"}]}",
		"<html>404</html>",
	};
	size_t		i, n;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(jwks(bad[i]), -EINVAL);
	tokens_jwk(&ec, "k", "", a, sizeof a);
	n = tokens_format(text, sizeof text, "{\"keys\":[%s]}", a);
	assert_int_equal(jwks(text), 0);
	for (i = 0; i < n; i++) {
		text[n - i] = '\0';
		assert_int_equal(jwks(text) == 0, i == 0);
	}
}

static void
failing_allocations_are_reported(void **state)
{
	static char	text[32 * 1024], a[2048], b[2048];
	struct jwt_key	*k;
	char		 pem[2048];
	size_t		 len;
	unsigned	 n;
	int		 r;

	(void)state;
	len = tokens_public_pem(&ec, pem);
	for (n = 1; ; n++) {
		k = NULL;
		failmalloc_arm(n);
		r = jwt_key_from_pem(&k, pem, len, JWT_ES256, &why);
		if (!failmalloc_disarm())
			break;
		assert_int_equal(r, -ENOMEM);
		assert_null(k);
	}
	assert_int_equal(r, 0);
	jwt_key_destroy(k);
	tokens_jwk(&rsa, "a", "", a, sizeof a);
	tokens_jwk(&ec, "b", "", b, sizeof b);
	tokens_format(text, sizeof text, "{\"keys\":[%s,%s]}", a, b);
	for (n = 1; ; n++) {
		jwt_keys_finish(&set);
		failmalloc_arm(n);
		r = jwt_keys_from_jwks(&set, text, strlen(text), &why);
		if (!failmalloc_disarm())
			break;
		assert_int_equal(r, -ENOMEM);
	}
	assert_int_equal(r, 0);
	jwt_keys_finish(&set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_T4_rsa_keys_below_2048_bits_are_refused),
		cmocka_unit_test(odd_rsa_numbers_are_refused),
		cmocka_unit_test(points_off_the_curve_are_refused),
		cmocka_unit_test(test_T2_key_must_fit_the_configured_algorithm),
		cmocka_unit_test(der_cut_or_changed_is_refused_or_harmless),
		cmocka_unit_test(pem_needs_a_whole_public_key),
		cmocka_unit_test(certificates_give_their_key),
		cmocka_unit_test(key_sets_are_read_and_others_skipped),
		cmocka_unit_test(weak_and_broken_keys_in_a_set_are_skipped),
		cmocka_unit_test(first_key_of_an_id_counts),
		cmocka_unit_test(key_sets_hold_sixteen_keys),
		cmocka_unit_test(what_is_no_key_set_is_refused),
		cmocka_unit_test(failing_allocations_are_reported),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
