/*
 * Tokens, key sets and PEM text.  The first letter picks one:
 *
 *	t	the rest is a token
 *	c	the rest is "header\nclaims", which is signed, so that what is
 *		read behind a good signature is reached as well
 *	k	the rest is a JWK Set
 *	p	the rest is PEM text
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define assert_true(x)		((x) ? (void)0 : abort())
#define assert_int_equal(a, b)	assert_true((a) == (b))

#include "auth/jwt.h"
#include "tests/unit/tokens.h"

#define NOW	INT64_C(1700000000)

int	LLVMFuzzerInitialize(int *argc, char ***argv);
int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct tokens_key	signer;
static struct jwt_key		*key;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char	*err;
	char		 pem[2048];
	size_t		 n;

	(void)argc;
	(void)argv;
	tokens_key_make(&signer, "fuzz", 0);
	n = tokens_public_pem(&signer, pem);
	if (jwt_key_from_pem(&key, pem, n, JWT_ES256, &err) < 0)
		abort();
	return 0;
}

static void
check_text(const char *text, size_t size)
{
	if (memchr(text, '\0', size) == NULL)
		abort();
}

/* What comes out keeps its promises, good or bad. */
static void
check_token(const char *token, size_t n)
{
	static struct jwt_claims c;
	char			 kid[JWT_KID_MAX + 1];
	const char		*why = NULL;
	size_t			 i;
	int			 r = jwt_verify(key, token, n, NOW, &c, &why);

	if (r < 0) {
		if (why == NULL || c.exp != 0 || c.sub[0] != '\0')
			abort();
		if (jwt_peek_kid(token, n, kid, &why) == 0)
			check_text(kid, sizeof kid);
		return;
	}
	if (n > JWT_TOKEN_MAX || jwt_peek_kid(token, n, kid, &why) < 0 ||
	    c.exp <= NOW - JWT_LEEWAY_S || c.nbf > NOW + JWT_LEEWAY_S ||
	    c.naud > JWT_AUD_MAX || c.nroles > JWT_ROLES_MAX)
		abort();
	check_text(c.iss, sizeof c.iss);
	check_text(c.sub, sizeof c.sub);
	check_text(c.k8s_namespace, sizeof c.k8s_namespace);
	check_text(c.k8s_account, sizeof c.k8s_account);
	for (i = 0; i < c.naud; i++)
		check_text(c.aud[i], sizeof c.aud[i]);
	for (i = 0; i < c.nroles; i++)
		check_text(c.roles[i], sizeof c.roles[i]);
	(void)jwt_has_audience(&c, "k8shelld");
}

static void
check_claims(const char *text, size_t n)
{
	static char	token[TOKENS_TEXT_MAX];
	char		header[4096], claims[8192];
	const char	*end = memchr(text, '\n', n);
	size_t		len = end != NULL ? (size_t)(end - text) : n;

	n -= len;
	if (n == 0 || len >= sizeof header || n > sizeof claims)
		return;
	memcpy(header, text, len);
	header[len] = '\0';
	memcpy(claims, text + len + 1, n - 1);
	claims[n - 1] = '\0';
	check_token(token, tokens_sign(&signer, header, claims, token));
}

static void
check_keys(const char *text, size_t n)
{
	struct jwt_keys	 k;
	const char	*err = NULL;
	size_t		 i;

	if (jwt_keys_from_jwks(&k, text, n, &err) < 0) {
		if (err == NULL)
			abort();
		return;
	}
	if (k.count == 0 || k.count > JWT_KEYS_MAX || !jwt_keys_same(&k, &k))
		abort();
	for (i = 0; i < k.count; i++)
		check_text(k.kid[i], sizeof k.kid[i]);
	jwt_keys_finish(&k);
}

static void
check_pem(const char *text, size_t n)
{
	struct jwt_key	*k;
	const char	*err = NULL;
	int		 alg;

	for (alg = JWT_RS256; alg <= JWT_ES256; alg++) {
		if (jwt_key_from_pem(&k, text, n, (enum jwt_alg)alg,
		    &err) == 0)
			jwt_key_destroy(k);
		else if (err == NULL)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char	*text = (const char *)data + 1;

	if (n < 1)
		return 0;
	switch (data[0]) {
	case 't':
		check_token(text, n - 1);
		break;
	case 'c':
		check_claims(text, n - 1);
		break;
	case 'k':
		check_keys(text, n - 1);
		break;
	case 'p':
		check_pem(text, n - 1);
		break;
	default:
		break;
	}
	return 0;
}
