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
#include "tests/unit/tokens.h"

#define NOW		INT64_C(1700000000)
#define CLAIMS		"{\"sub\":\"alice\",\"exp\":1700000600}"
#define RS_HEADER	"{\"alg\":\"RS256\"}"
#define ES_HEADER	"{\"alg\":\"ES256\"}"

static struct tokens_key	rsa, rsa_other, ec, ec_other;
static struct jwt_key		*rsa_key, *ec_key;

static char			token[TOKENS_TEXT_MAX];
static struct jwt_claims	claims;
static const char		*why;

static struct jwt_key *
key_of(const struct tokens_key *k)
{
	struct jwt_key	*out = NULL;
	char		 pem[2048];
	size_t		 n = tokens_public_pem(k, pem);

	assert_int_equal(jwt_key_from_pem(&out, pem, n,
	    k->rsa ? JWT_RS256 : JWT_ES256, &why), 0);
	return out;
}

static int
setup(void **state)
{
	(void)state;
	tokens_key_make(&rsa, "rsa", 2048);
	tokens_key_make(&rsa_other, "rsa other", 2048);
	tokens_key_make(&ec, "ec", 0);
	tokens_key_make(&ec_other, "ec other", 0);
	rsa_key = key_of(&rsa);
	ec_key = key_of(&ec);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	jwt_key_destroy(rsa_key);
	jwt_key_destroy(ec_key);
	return 0;
}

static int
verify_len(const struct jwt_key *k, size_t n)
{
	int	r;

	/* A copy of exactly this size: reading past it is found. */
	char	*copy = malloc(n > 0 ? n : 1);

	assert_non_null(copy);
	memcpy(copy, token, n);
	why = NULL;
	r = jwt_verify(k, copy, n, NOW, &claims, &why);
	free(copy);
	assert_true((r == 0) == (why == NULL));
	return r;
}

static int
verify(const struct jwt_key *k)
{
	return verify_len(k, strlen(token));
}

/* EC: verifying takes a millisecond, so most cases use it. */
static int
verify_claims(const char *text)
{
	tokens_sign(&ec, ES_HEADER, text, token);
	return verify(ec_key);
}

static int
verify_header(const char *text)
{
	tokens_sign(&ec, text, CLAIMS, token);
	return verify(ec_key);
}

static void
good_tokens_of_both_algorithms_verify(void **state)
{
	(void)state;
	tokens_sign(&rsa, RS_HEADER, CLAIMS, token);
	assert_int_equal(verify(rsa_key), 0);
	assert_string_equal(claims.sub, "alice");
	assert_int_equal(claims.exp, 1700000600);
	tokens_sign(&ec, ES_HEADER, CLAIMS, token);
	assert_int_equal(verify(ec_key), 0);
	assert_string_equal(claims.sub, "alice");
}

static void
test_T1_another_keys_signature_is_refused(void **state)
{
	(void)state;
	tokens_sign(&rsa_other, RS_HEADER, CLAIMS, token);
	assert_int_equal(verify(rsa_key), -EACCES);
	tokens_sign(&ec_other, ES_HEADER, CLAIMS, token);
	assert_int_equal(verify(ec_key), -EACCES);
	assert_string_equal(claims.sub, "");
}

static void
test_T2_algorithm_is_the_keys(void **state)
{
	static const char *const headers[] = {
		"{\"alg\":\"none\"}", "{\"alg\":\"None\"}",
		"{\"alg\":\"HS256\"}", "{\"alg\":\"es256\"}",
		"{\"alg\":\"ES384\"}", "{\"alg\":\"ES256 \"}",
		"{\"alg\":\"RS256\"}", "{\"alg\":\"\"}", "{\"alg\":null}",
		"{\"alg\":[\"ES256\"]}", "{}", "{\"typ\":\"JWT\"}",
		"{\"alg\":\"ES256ES256ES256ES256\"}",
		"{\"ALG\":\"ES256\"}", "{\"alg\":\"ES256\\u0000\"}",
	};
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(headers); i++)
		assert_int_equal(verify_header(headers[i]), -EINVAL);
	/* An RS256 token on an ES256 key and the other way round. */
	tokens_sign(&rsa, RS_HEADER, CLAIMS, token);
	assert_int_equal(verify(ec_key), -EINVAL);
	tokens_sign(&ec, ES_HEADER, CLAIMS, token);
	assert_int_equal(verify(rsa_key), -EINVAL);
}

static void
test_T2_none_without_signature_is_refused(void **state)
{
	char	*p;

	(void)state;
	p = tokens_b64(token, "{\"alg\":\"none\"}", 14);
	*p++ = '.';
	p = tokens_b64(p, CLAIMS, strlen(CLAIMS));
	*p++ = '.';
	*p = '\0';
	assert_int_equal(verify(rsa_key), -EINVAL);
}

/* The classic: HMAC with the text of the public key as the secret. */
static void
test_T2_hmac_with_the_public_key_is_refused(void **state)
{
	br_hmac_key_context	kc;
	br_hmac_context		hc;
	uint8_t			mac[32];
	char			pem[2048], *p;
	size_t			n = tokens_public_pem(&rsa, pem);

	(void)state;
	p = tokens_b64(token, "{\"alg\":\"HS256\"}", 15);
	*p++ = '.';
	p = tokens_b64(p, CLAIMS, strlen(CLAIMS));
	br_hmac_key_init(&kc, &br_sha256_vtable, pem, n);
	br_hmac_init(&hc, &kc, 0);
	br_hmac_update(&hc, token, (size_t)(p - token));
	br_hmac_out(&hc, mac);
	*p++ = '.';
	tokens_b64(p, mac, sizeof mac);
	assert_int_equal(verify(rsa_key), -EINVAL);
}

static void
test_T3_crit_is_refused_and_pointers_ignored(void **state)
{
	(void)state;
	assert_int_equal(verify_header(
	    "{\"alg\":\"ES256\",\"crit\":[\"exp\"]}"), -EINVAL);
	assert_int_equal(verify_header("{\"alg\":\"ES256\",\"crit\":[]}"),
	    -EINVAL);
	assert_int_equal(verify_header("{\"crit\":null,\"alg\":\"ES256\"}"),
	    -EINVAL);
	/* A key inside the token changes nothing. */
	tokens_sign(&ec_other, "{\"alg\":\"ES256\",\"jwk\":{\"kty\":\"EC\"},"
	    "\"jku\":\"https://evil.example/\",\"x5u\":\"file:///etc/k\"}",
	    CLAIMS, token);
	assert_int_equal(verify(ec_key), -EACCES);
	assert_int_equal(verify_header("{\"alg\":\"ES256\",\"typ\":7,"
	    "\"jku\":\"https://evil.example/\"}"), 0);
}

static void
test_T4_three_parts_exactly(void **state)
{
	static const char *const bad[] = {
		"", ".", "..", "...", "a.b", "a.b.c.d", "a..b.c", ".a.b.c",
		"a.b.c.", "a.b.", "a..c", ".b.c", "abc",
	};
	char	good[4096];
	size_t	i, n;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		memcpy(token, bad[i], strlen(bad[i]) + 1);
		assert_int_equal(verify(ec_key), -EINVAL);
	}
	n = tokens_sign(&ec, ES_HEADER, CLAIMS, good);
	tokens_format(token, sizeof token, ".%s", good);
	assert_int_equal(verify(ec_key), -EINVAL);
	tokens_format(token, sizeof token, "%s.", good);
	assert_int_equal(verify(ec_key), -EINVAL);
	tokens_format(token, sizeof token, "%s.AAAA", good);
	assert_int_equal(verify(ec_key), -EINVAL);
	/* Cut short anywhere. */
	memcpy(token, good, n + 1);
	for (i = 0; i < n; i++)
		assert_true(verify_len(ec_key, i) < 0);
	assert_int_equal(verify_len(ec_key, n), 0);
}

static void
test_T4_base64url_is_strict(void **state)
{
	static const char	bad[] = "=+/ \t\r\n\x80*";
	size_t			n, i, where[3];
	char			kept;
	const char		*c;

	(void)state;
	n = tokens_sign(&ec, ES_HEADER, CLAIMS, token);
	where[0] = 1;
	where[1] = strlen(ES_HEADER) * 4 / 3 + 5;
	where[2] = n - 1;
	for (i = 0; i < ARRAY_LEN(where); i++) {
		kept = token[where[i]];
		for (c = bad; *c != '\0'; c++) {
			token[where[i]] = *c;
			assert_int_equal(verify(ec_key), -EINVAL);
		}
		token[where[i]] = '\0';
		assert_int_equal(verify_len(ec_key, n), -EINVAL);
		token[where[i]] = kept;
	}
	token[n] = '=';
	assert_int_equal(verify_len(ec_key, n + 1), -EINVAL);
	token[n] = '\n';
	assert_int_equal(verify_len(ec_key, n + 1), -EINVAL);
	token[n] = '\0';
	assert_int_equal(verify_len(ec_key, n + 1), -EINVAL);
	/* 64 bytes end in "xx" with 4 unused bits, which must be zero. */
	assert_int_equal(verify_len(ec_key, n), 0);
	token[n - 1]++;
	assert_int_equal(verify_len(ec_key, n), -EINVAL);
}

static void
test_T4_length_limit(void **state)
{
	static char	text[16 * 1024], pad[16 * 1024];
	size_t		n, fill;

	(void)state;
	memset(pad, 'x', sizeof pad);
	for (fill = 5900; ; fill++) {
		tokens_format(text, sizeof text,
		    "{\"exp\":1700000600,\"pad\":\"%.*s\"}", (int)fill, pad);
		n = tokens_sign(&ec, ES_HEADER, text, token);
		if (n >= JWT_TOKEN_MAX - 1)
			break;
		if (n < JWT_TOKEN_MAX - 3)
			fill += (JWT_TOKEN_MAX - 3 - n) / 2;
	}
	for (; n <= JWT_TOKEN_MAX + 1; fill++) {
		assert_int_equal(verify(ec_key),
		    n <= JWT_TOKEN_MAX ? 0 : -EINVAL);
		tokens_format(text, sizeof text,
		    "{\"exp\":1700000600,\"pad\":\"%.*s\"}", (int)fill, pad);
		n = tokens_sign(&ec, ES_HEADER, text, token);
	}
	assert_int_equal(verify(ec_key), -EINVAL);
}

static void
test_T4_duplicate_keys_are_refused(void **state)
{
	(void)state;
	assert_int_equal(verify_header("{\"alg\":\"ES256\",\"alg\":\"ES256\"}"),
	    -EINVAL);
	assert_int_equal(verify_header(
	    "{\"alg\":\"ES256\",\"a\":1,\"b\":2,\"a\":1}"), -EINVAL);
	assert_int_equal(verify_header(
	    "{\"alg\":\"ES256\",\"\\u0061lg\":\"ES256\"}"), -EINVAL);
	assert_int_equal(verify_claims(
	    "{\"sub\":\"a\",\"exp\":1700000600,\"sub\":\"b\"}"), -EINVAL);
	assert_int_equal(verify_claims(
	    "{\"exp\":1700000600,\"x\":1,\"x\":1}"), -EINVAL);
	assert_int_equal(verify_claims(
	    "{\"exp\":1700000600,\"\\u0073ub\":\"root\"}"), -EINVAL);
	assert_int_equal(verify_claims("{\"exp\":1700000600,\"kubernetes.io\":"
	    "{\"namespace\":\"a\",\"namespace\":\"b\"}}"), -EINVAL);
	assert_int_equal(verify_claims("{\"exp\":1700000600,\"kubernetes.io\":"
	    "{\"serviceaccount\":{\"name\":\"a\",\"name\":\"b\"}}}"),
	    -EINVAL);
}

static void
test_T4_exp_is_a_whole_positive_number(void **state)
{
	static const char *const bad[] = {
		"{}", "{\"exp\":null}", "{\"exp\":0}", "{\"exp\":-1}",
		"{\"exp\":-0}", "{\"exp\":1700000600.0}",
		"{\"exp\":1700000600.5}", "{\"exp\":1e400}",
		"{\"exp\":1.7e10}", "{\"exp\":17e9}",
		"{\"exp\":\"1700000600\"}", "{\"exp\":true}",
		"{\"exp\":[1700000600]}", "{\"exp\":{}}",
		"{\"exp\":9223372036854775808}",
		"{\"exp\":99999999999999999999999}",
		"{\"exp\":+1700000600}", "{\"exp\":01700000600}",
		"{\"EXP\":1700000600}",
		"{\"exp\":1700000600,\"nbf\":1.0}",
		"{\"exp\":1700000600,\"nbf\":\"1\"}",
		"{\"exp\":1700000600,\"iat\":-1}",
		"{\"exp\":1700000600,\"iat\":1e1}",
	};
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(verify_claims(bad[i]), -EINVAL);
	assert_int_equal(verify_claims("{\"exp\":9223372036854775807}"), 0);
	assert_int_equal(verify_claims(
	    "{\"exp\":9223372036854775807,\"nbf\":9223372036854775807}"),
	    -EACCES);
}

static void
test_T4_es256_signature_is_64_raw_bytes(void **state)
{
	uint8_t	sig[512];
	size_t	n;
	char	*p, *end;

	(void)state;
	end = tokens_b64(token, ES_HEADER, strlen(ES_HEADER));
	*end++ = '.';
	end = tokens_b64(end, CLAIMS, strlen(CLAIMS));
	n = tokens_sign_raw(&ec, token, (size_t)(end - token), sig);
	assert_int_equal(n, 64);
	*end++ = '.';
	tokens_b64(end, sig, 64);
	assert_int_equal(verify(ec_key), 0);
	for (n = 1; n <= 70; n++) {
		memset(sig + 64, 0, 6);
		tokens_b64(end, sig, n);
		assert_int_equal(verify(ec_key), n == 64 ? 0 : -EACCES);
	}
	n = br_ecdsa_raw_to_asn1(sig, 64);
	assert_true(n > 64);
	p = tokens_b64(end, sig, n);
	assert_int_equal(verify_len(ec_key, (size_t)(p - token)), -EACCES);
	memset(sig, 0, 64);
	tokens_b64(end, sig, 64);
	assert_int_equal(verify(ec_key), -EACCES);
	memset(sig, 0xff, 64);
	tokens_b64(end, sig, 64);
	assert_int_equal(verify(ec_key), -EACCES);
}

static void
rs256_signature_is_as_long_as_the_modulus(void **state)
{
	uint8_t	sig[512];
	size_t	n;
	char	*end;

	(void)state;
	end = tokens_b64(token, RS_HEADER, strlen(RS_HEADER));
	*end++ = '.';
	end = tokens_b64(end, CLAIMS, strlen(CLAIMS));
	n = tokens_sign_raw(&rsa, token, (size_t)(end - token), sig + 1);
	assert_int_equal(n, 256);
	sig[0] = 0;
	*end++ = '.';
	tokens_b64(end, sig + 1, 256);
	assert_int_equal(verify(rsa_key), 0);
	tokens_b64(end, sig, 257);
	assert_int_equal(verify(rsa_key), -EACCES);
	tokens_b64(end, sig + 1, 255);
	assert_int_equal(verify(rsa_key), -EACCES);
}

static void
one_changed_bit_anywhere_is_refused(void **state)
{
	size_t	n, i;

	(void)state;
	n = tokens_sign(&ec, ES_HEADER, CLAIMS, token);
	for (i = 0; i < n; i++) {
		token[i] ^= 1;
		assert_true(verify_len(ec_key, n) < 0);
		token[i] ^= 1;
	}
	assert_int_equal(verify_len(ec_key, n), 0);
}

static int
verify_time(const char *name, int64_t offset)
{
	char	text[128];

	if (strcmp(name, "exp") == 0)
		tokens_format(text, sizeof text, "{\"exp\":%lld}",
		    (long long)(NOW + offset));
	else
		tokens_format(text, sizeof text, "{\"exp\":%lld,\"%s\":%lld}",
		    (long long)NOW + 600, name, (long long)(NOW + offset));
	return verify_claims(text);
}

static void
test_T5_leeway_is_30_seconds(void **state)
{
	(void)state;
	assert_int_equal(verify_time("exp", 31), 0);
	assert_int_equal(verify_time("exp", -29), 0);
	assert_int_equal(verify_time("exp", -30), -EACCES);
	assert_int_equal(verify_time("exp", -31), -EACCES);
	assert_int_equal(verify_time("nbf", -31), 0);
	assert_int_equal(verify_time("nbf", 29), 0);
	assert_int_equal(verify_time("nbf", 30), 0);
	assert_int_equal(verify_time("nbf", 31), -EACCES);
	assert_int_equal(verify_time("iat", -31), 0);
	assert_int_equal(verify_time("iat", 29), 0);
	assert_int_equal(verify_time("iat", 30), 0);
	assert_int_equal(verify_time("iat", 31), -EACCES);
}

static void
test_T5_times_can_be_checked_again_later(void **state)
{
	int64_t	exp = NOW + 600, nbf = NOW - 10;

	(void)state;
	assert_null(jwt_times_wrong(exp, nbf, 0, NOW));
	assert_null(jwt_times_wrong(exp, nbf, 0, NOW + 629));
	assert_non_null(jwt_times_wrong(exp, nbf, 0, NOW + 630));
	assert_null(jwt_times_wrong(exp, nbf, 0, NOW - 40));
	assert_non_null(jwt_times_wrong(exp, nbf, 0, NOW - 41));
}

static void
test_T5_audience_is_text_or_list(void **state)
{
	(void)state;
	assert_int_equal(verify_claims(
	    "{\"exp\":1700000600,\"aud\":\"k8shelld\"}"), 0);
	assert_true(jwt_has_audience(&claims, "k8shelld"));
	assert_false(jwt_has_audience(&claims, "k8shell"));
	assert_false(jwt_has_audience(&claims, ""));
	assert_int_equal(verify_claims(
	    "{\"exp\":1700000600,\"aud\":[\"a\",\"k8shelld\"]}"), 0);
	assert_true(jwt_has_audience(&claims, "k8shelld"));
	assert_int_equal(claims.naud, 2);
	assert_int_equal(verify_claims("{\"exp\":1700000600,\"aud\":[]}"), 0);
	assert_false(jwt_has_audience(&claims, "k8shelld"));
	assert_int_equal(verify_claims("{\"exp\":1700000600}"), 0);
	assert_false(jwt_has_audience(&claims, "k8shelld"));
	assert_int_equal(verify_claims("{\"exp\":1700000600,\"aud\":"
	    "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\"]}"), 0);
	assert_int_equal(verify_claims("{\"exp\":1700000600,\"aud\":"
	    "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]}"),
	    -EINVAL);
	assert_int_equal(verify_claims("{\"exp\":1700000600,\"aud\":[1]}"),
	    -EINVAL);
	assert_int_equal(verify_claims("{\"exp\":1700000600,\"aud\":{}}"),
	    -EINVAL);
}

static void
workspace_claims_are_read(void **state)
{
	(void)state;
	assert_int_equal(verify_claims("{\"iss\":\"k8shell\",\"sub\":\"alice\","
	    "\"uid\":1000,\"gid\":4294967295,\"name\":\"Al\\u00efce\","
	    "\"email\":\"a@example.org\",\"roles\":[\"dev\",\"ops\"],"
	    "\"org\":\"acme\",\"source\":\"ldap\",\"shell\":\"/bin/zsh\","
	    "\"sudo\":true,\"jti\":\"1\",\"iat\":1700000000,"
	    "\"exp\":1700000600,\"unknown\":{\"a\":[1,2,{}]}}"), 0);
	assert_string_equal(claims.iss, "k8shell");
	assert_string_equal(claims.name, "Al\xc3\xaf" "ce");
	assert_string_equal(claims.email, "a@example.org");
	assert_string_equal(claims.org, "acme");
	assert_string_equal(claims.source, "ldap");
	assert_string_equal(claims.shell, "/bin/zsh");
	assert_true(claims.has_uid && claims.has_gid && claims.sudo);
	assert_int_equal(claims.uid, 1000);
	assert_int_equal(claims.gid, 4294967295u);
	assert_int_equal(claims.nroles, 2);
	assert_string_equal(claims.roles[1], "ops");
	assert_int_equal(claims.iat, 1700000000);
	assert_int_equal(verify_claims("{\"exp\":1700000600,\"sudo\":false,"
	    "\"roles\":null,\"org\":null}"), 0);
	assert_false(claims.has_uid || claims.has_gid || claims.sudo);
	assert_int_equal(claims.nroles, 0);
}

static void
claims_of_the_wrong_type_are_refused(void **state)
{
	static const char *const bad[] = {
		"\"uid\":\"1000\"", "\"uid\":-1", "\"uid\":1.0",
		"\"uid\":4294967296", "\"gid\":[]", "\"sub\":7",
		"\"sudo\":\"true\"", "\"sudo\":1", "\"roles\":\"dev\"",
		"\"roles\":[1]", "\"roles\":[[]]", "\"sub\":\"a\\u0000b\"",
		"\"kubernetes.io\":\"x\"",
		"\"kubernetes.io\":{\"namespace\":1}",
		"\"kubernetes.io\":{\"serviceaccount\":\"x\"}",
		"\"kubernetes.io\":{\"serviceaccount\":{\"name\":{}}}",
		("\"source\":\"0123456789012345678901234567890123456789"
		    "012345678901234567890123\""),
	};
	char	text[512];
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		tokens_format(text, sizeof text, "{%s,\"exp\":1700000600}",
		    bad[i]);
		assert_int_equal(verify_claims(text), -EINVAL);
	}
	assert_int_equal(verify_claims("[]"), -EINVAL);
	assert_int_equal(verify_claims("7"), -EINVAL);
	assert_int_equal(verify_claims(CLAIMS "x"), -EINVAL);
	assert_int_equal(verify_claims(CLAIMS CLAIMS), -EINVAL);
	assert_int_equal(verify_claims("{\"exp\":1700000600"), -EINVAL);
	assert_int_equal(verify_claims("{\"exp\":1700000600,}"), -EINVAL);
	assert_int_equal(verify_claims(
	    "{\"exp\":1700000600,\"sub\":\"\xff\"}"), -EINVAL);
}

static void
kubernetes_claims_are_read(void **state)
{
	(void)state;
	assert_int_equal(verify_claims("{\"aud\":[\"k8shelld\"],"
	    "\"exp\":1700000600,\"iss\":\"https://k\",\"kubernetes.io\":"
	    "{\"namespace\":\"prod\",\"node\":{\"name\":\"n\",\"uid\":\"1\"},"
	    "\"pod\":{\"name\":\"p\"},"
	    "\"serviceaccount\":{\"name\":\"ssh-proxy\",\"uid\":\"2\"},"
	    "\"warnafter\":1700000300},\"nbf\":1700000000,"
	    "\"sub\":\"system:serviceaccount:prod:ssh-proxy\"}"), 0);
	assert_string_equal(claims.k8s_namespace, "prod");
	assert_string_equal(claims.k8s_account, "ssh-proxy");
	assert_string_equal(claims.iss, "https://k");
}

static void
key_id_is_read_without_a_key(void **state)
{
	char	kid[JWT_KID_MAX + 1], id[200], header[300];
	size_t	n;

	(void)state;
	n = tokens_make(&ec, "key-1", CLAIMS, token);
	assert_int_equal(jwt_peek_kid(token, n, kid, &why), 0);
	assert_string_equal(kid, "key-1");
	n = tokens_make(&ec, NULL, CLAIMS, token);
	assert_int_equal(jwt_peek_kid(token, n, kid, &why), 0);
	assert_string_equal(kid, "");
	assert_int_equal(jwt_peek_kid(token, n - 1, kid, &why), -EINVAL);
	memset(id, 'k', sizeof id);
	tokens_format(header, sizeof header,
	    "{\"alg\":\"ES256\",\"kid\":\"%.*s\"}", JWT_KID_MAX, id);
	n = tokens_sign(&ec, header, CLAIMS, token);
	assert_int_equal(jwt_peek_kid(token, n, kid, &why), 0);
	assert_int_equal(strlen(kid), JWT_KID_MAX);
	tokens_format(header, sizeof header,
	    "{\"alg\":\"ES256\",\"kid\":\"%.*s\"}", JWT_KID_MAX + 1, id);
	n = tokens_sign(&ec, header, CLAIMS, token);
	assert_int_equal(jwt_peek_kid(token, n, kid, &why), -EINVAL);
	n = tokens_sign(&ec, "{\"alg\":\"ES256\",\"kid\":3}", CLAIMS, token);
	assert_int_equal(jwt_peek_kid(token, n, kid, &why), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_tokens_of_both_algorithms_verify),
		cmocka_unit_test(test_T1_another_keys_signature_is_refused),
		cmocka_unit_test(test_T2_algorithm_is_the_keys),
		cmocka_unit_test(test_T2_none_without_signature_is_refused),
		cmocka_unit_test(test_T2_hmac_with_the_public_key_is_refused),
		cmocka_unit_test(test_T3_crit_is_refused_and_pointers_ignored),
		cmocka_unit_test(test_T4_three_parts_exactly),
		cmocka_unit_test(test_T4_base64url_is_strict),
		cmocka_unit_test(test_T4_length_limit),
		cmocka_unit_test(test_T4_duplicate_keys_are_refused),
		cmocka_unit_test(test_T4_exp_is_a_whole_positive_number),
		cmocka_unit_test(test_T4_es256_signature_is_64_raw_bytes),
		cmocka_unit_test(rs256_signature_is_as_long_as_the_modulus),
		cmocka_unit_test(one_changed_bit_anywhere_is_refused),
		cmocka_unit_test(test_T5_leeway_is_30_seconds),
		cmocka_unit_test(test_T5_times_can_be_checked_again_later),
		cmocka_unit_test(test_T5_audience_is_text_or_list),
		cmocka_unit_test(workspace_claims_are_read),
		cmocka_unit_test(claims_of_the_wrong_type_are_refused),
		cmocka_unit_test(kubernetes_claims_are_read),
		cmocka_unit_test(key_id_is_read_without_a_key),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
