#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "auth/jwk.h"
#include "auth/jwt.h"
#include "base/json.h"
#include "base/str.h"

/* Decoded header or claims; base64url takes 4 characters for 3 bytes. */
#define PART_MAX	(JWT_TOKEN_MAX / 4 * 3 + 3)

struct part {
	const char	*p;
	size_t		 n;
};

struct token {
	struct part	header, claims, sig;
	size_t		signed_len;	/* header, dot, claims */
};

struct header {
	char	alg[16];
	char	kid[JWT_KID_MAX + 1];
};

static int
token_cut(struct part *out, const char **p, const char *end)
{
	const char	*dot = memchr(*p, '.', (size_t)(end - *p));

	out->p = *p;
	out->n = (size_t)((dot != NULL ? dot : end) - *p);
	*p = dot != NULL ? dot + 1 : end;
	return dot != NULL;
}

/* Three parts, none empty. */
static const char *
token_split(struct token *t, const char *p, size_t n)
{
	const char	*start = p, *end = p + n;

	if (n > JWT_TOKEN_MAX)
		return "token is longer than 8 KiB";
	if (!token_cut(&t->header, &p, end) || !token_cut(&t->claims, &p, end))
		return "token does not have three parts";
	t->signed_len = (size_t)(p - start) - 1;
	if (token_cut(&t->sig, &p, end))
		return "token does not have three parts";
	if (t->header.n == 0 || t->claims.n == 0 || t->sig.n == 0)
		return "token has an empty part";
	return NULL;
}

/* Every part is decoded, so that one look decides what a token is. */
static const char *
part_decode(const struct part *p, uint8_t *out, size_t *n)
{
	if (base64url_decode(p->p, p->n, out, n) < 0)
		return "token is not canonical base64url";
	return NULL;
}

static const char *
header_member(struct json *j, const struct jwk_members *m, enum json_type t,
    struct header *h)
{
	if (jwk_member_is(m, "crit"))
		return "token has critical extensions";
	if (jwk_member_is(m, "alg"))
		return jwk_text(j, t, h->alg, sizeof h->alg) < 0 ?
		    "algorithm of the token is not a known one" : NULL;
	if (jwk_member_is(m, "kid"))
		return jwk_text(j, t, h->kid, sizeof h->kid) < 0 ?
		    "key id of the token is not text or too long" : NULL;
	return json_skip(j, t) < 0 ? "token header is not JSON" : NULL;
}

static const char *
header_parse(const uint8_t *p, size_t n, struct header *h)
{
	struct jwk_members	 m;
	struct json		 j;
	enum json_type		 t;
	const char		*err;
	int			 r;

	memset(h, 0, sizeof *h);
	json_init(&j, p, n);
	if (json_next(&j) != JSON_OBJECT)
		return "token header is not a JSON object";
	jwk_members_init(&m, &j);
	while ((r = jwk_members_next(&m, &t)) > 0)
		if ((err = header_member(&j, &m, t, h)) != NULL)
			return err;
	if (r < 0 || json_next(&j) != JSON_END)
		return "token header is malformed or repeats a key";
	return NULL;
}

/* Syntax of the whole token and its header; scratch holds PART_MAX bytes. */
static const char *
token_open(struct token *t, struct header *h, const char *token, size_t n,
    uint8_t *scratch)
{
	const struct part	*others[2];
	const char		*err;
	size_t			 len, i;

	if ((err = token_split(t, token, n)) != NULL)
		return err;
	others[0] = &t->claims;
	others[1] = &t->sig;
	for (i = 0; i < ARRAY_LEN(others); i++) {
		len = PART_MAX;
		if ((err = part_decode(others[i], scratch, &len)) != NULL)
			return err;
	}
	len = PART_MAX;
	if ((err = part_decode(&t->header, scratch, &len)) != NULL)
		return err;
	return header_parse(scratch, len, h);
}

int
jwt_peek_kid(const char *token, size_t n, char *kid, const char **why)
{
	struct token	t;
	struct header	h;
	uint8_t		scratch[PART_MAX];

	if ((*why = token_open(&t, &h, token, n, scratch)) != NULL)
		return -EINVAL;
	memcpy(kid, h.kid, sizeof h.kid);
	return 0;
}

enum claim_kind {
	CLAIM_TEXT, CLAIM_TIME, CLAIM_ID, CLAIM_BOOL, CLAIM_AUD, CLAIM_ROLES,
	CLAIM_K8S
};

#define FIELD(f)	offsetof(struct jwt_claims, f), \
			    sizeof(((struct jwt_claims *)0)->f)

/* Names of spec/bootstrap.md 3.4 and RFC 7519 4.1. */
static const struct claim_row {
	const char	*name;
	enum claim_kind	 kind;
	size_t		 off, size;
} claim_rows[] = {
	{ "iss",	CLAIM_TEXT,	FIELD(iss) },
	{ "sub",	CLAIM_TEXT,	FIELD(sub) },
	{ "aud",	CLAIM_AUD,	FIELD(aud) },
	{ "exp",	CLAIM_TIME,	FIELD(exp) },
	{ "nbf",	CLAIM_TIME,	FIELD(nbf) },
	{ "iat",	CLAIM_TIME,	FIELD(iat) },
	{ "name",	CLAIM_TEXT,	FIELD(name) },
	{ "email",	CLAIM_TEXT,	FIELD(email) },
	{ "org",	CLAIM_TEXT,	FIELD(org) },
	{ "source",	CLAIM_TEXT,	FIELD(source) },
	{ "shell",	CLAIM_TEXT,	FIELD(shell) },
	{ "uid",	CLAIM_ID,	FIELD(uid) },
	{ "gid",	CLAIM_ID,	FIELD(gid) },
	{ "sudo",	CLAIM_BOOL,	FIELD(sudo) },
	{ "roles",	CLAIM_ROLES,	FIELD(roles) },
	{ "kubernetes.io", CLAIM_K8S,	FIELD(k8s_namespace) },
};

static int
claim_integer(const struct json *j, enum json_type t, int64_t max, int64_t *v)
{
	int64_t	n;

	if (t != JSON_NUMBER || json_int(j, &n) < 0 || n < 0 || n > max)
		return -EINVAL;
	*v = n;
	return 0;
}

/* An array of strings into `room` slots of `size` bytes. */
static int
claim_list(struct json *j, char *slot, size_t size, size_t room, size_t *count)
{
	enum json_type	t;

	while ((t = json_next(j)) != JSON_ARRAY_END) {
		if (*count == room || jwk_text(j, t, slot, size) < 0)
			return -EINVAL;
		slot += size;
		++*count;
	}
	return 0;
}

static int
claim_aud(struct json *j, enum json_type t, struct jwt_claims *c)
{
	if (t == JSON_ARRAY)
		return claim_list(j, c->aud[0], sizeof c->aud[0],
		    ARRAY_LEN(c->aud), &c->naud);
	if (jwk_text(j, t, c->aud[0], sizeof c->aud[0]) < 0)
		return -EINVAL;
	c->naud = 1;
	return 0;
}

static int
claim_account(struct json *j, enum json_type t, struct jwt_claims *c)
{
	struct jwk_members	m;
	int			r;

	if (t != JSON_OBJECT)
		return -EINVAL;
	jwk_members_init(&m, j);
	while ((r = jwk_members_next(&m, &t)) > 0) {
		if (jwk_member_is(&m, "name"))
			r = jwk_text(j, t, c->k8s_account,
			    sizeof c->k8s_account);
		else
			r = json_skip(j, t);
		if (r < 0)
			return -EINVAL;
	}
	return r;
}

static int
claim_k8s(struct json *j, enum json_type t, struct jwt_claims *c)
{
	struct jwk_members	m;
	int			r;

	if (t != JSON_OBJECT)
		return -EINVAL;
	jwk_members_init(&m, j);
	while ((r = jwk_members_next(&m, &t)) > 0) {
		if (jwk_member_is(&m, "namespace"))
			r = jwk_text(j, t, c->k8s_namespace,
			    sizeof c->k8s_namespace);
		else if (jwk_member_is(&m, "serviceaccount"))
			r = claim_account(j, t, c);
		else
			r = json_skip(j, t);
		if (r < 0)
			return -EINVAL;
	}
	return r;
}

static int
claim_id(const struct json *j, enum json_type t, struct jwt_claims *c,
    const struct claim_row *row)
{
	int64_t	v;

	if (claim_integer(j, t, UINT32_MAX, &v) < 0)
		return -EINVAL;
	*(uint32_t *)((char *)c + row->off) = (uint32_t)v;
	if (row->off == offsetof(struct jwt_claims, uid))
		c->has_uid = true;
	else
		c->has_gid = true;
	return 0;
}

static int
claim_read(struct json *j, enum json_type t, struct jwt_claims *c,
    const struct claim_row *row)
{
	void	*to = (char *)c + row->off;

	/* How Go writes an absent slice; a null time is refused. */
	if (t == JSON_NULL && row->kind != CLAIM_TIME)
		return 0;
	switch (row->kind) {
	case CLAIM_TEXT:
		return jwk_text(j, t, to, row->size);
	case CLAIM_TIME:
		return claim_integer(j, t, INT64_MAX, to);
	case CLAIM_ID:
		return claim_id(j, t, c, row);
	case CLAIM_BOOL:
		if (t != JSON_TRUE && t != JSON_FALSE)
			return -EINVAL;
		*(bool *)to = t == JSON_TRUE;
		return 0;
	case CLAIM_AUD:
		return claim_aud(j, t, c);
	case CLAIM_ROLES:
		if (t != JSON_ARRAY)
			return -EINVAL;
		return claim_list(j, c->roles[0], sizeof c->roles[0],
		    ARRAY_LEN(c->roles), &c->nroles);
	case CLAIM_K8S:
		return claim_k8s(j, t, c);
	}
	return -EINVAL;
}

static const struct claim_row *
claim_find(const struct jwk_members *m)
{
	size_t	i;

	for (i = 0; i < ARRAY_LEN(claim_rows); i++)
		if (jwk_member_is(m, claim_rows[i].name))
			return &claim_rows[i];
	return NULL;
}

static const char *
claims_parse(const uint8_t *p, size_t n, struct jwt_claims *c)
{
	const struct claim_row	*row;
	struct jwk_members	 m;
	struct json		 j;
	enum json_type		 t;
	int			 r;

	json_init(&j, p, n);
	if (json_next(&j) != JSON_OBJECT)
		return "claims are not a JSON object";
	jwk_members_init(&m, &j);
	while ((r = jwk_members_next(&m, &t)) > 0) {
		if ((row = claim_find(&m)) == NULL)
			r = json_skip(&j, t);
		else
			r = claim_read(&j, t, c, row);
		if (r < 0)
			return row == NULL ? "claims are not JSON" :
			    row->kind == CLAIM_TIME ?
			    "exp, nbf or iat is not a whole number of seconds" :
			    "a claim has the wrong type or is too long";
	}
	if (r < 0 || json_next(&j) != JSON_END)
		return "claims are malformed or repeat a key";
	if (c->exp == 0)
		return "exp is missing or zero";
	return NULL;
}

/* Written so that no claim, however large, can overflow. */
const char *
jwt_times_wrong(int64_t exp, int64_t nbf, int64_t iat, int64_t now)
{
	if (now - JWT_LEEWAY_S >= exp)
		return "token has expired";
	if (nbf > now + JWT_LEEWAY_S)
		return "token is not valid yet";
	if (iat > now + JWT_LEEWAY_S)
		return "token was issued in the future";
	return NULL;
}

static bool
token_signed(const struct jwt_key *key, const struct token *t,
    const char *token)
{
	uint8_t	sig[JWK_RSA_MAX_BYTES + 1];
	size_t	siglen = sizeof sig;

	return base64url_decode(t->sig.p, t->sig.n, sig, &siglen) == 0 &&
	    jwk_signed(key, token, t->signed_len, sig, siglen);
}

static int
token_verify(const struct jwt_key *key, const char *token, size_t n,
    struct jwt_claims *c, const char **why)
{
	const char	*want = key->alg == JWT_RS256 ? "RS256" : "ES256";
	struct token	 t;
	struct header	 h;
	uint8_t		 scratch[PART_MAX];
	size_t		 len = sizeof scratch;

	if ((*why = token_open(&t, &h, token, n, scratch)) != NULL)
		return -EINVAL;
	if (strcmp(h.alg, want) != 0) {
		*why = "algorithm of the token is not that of the key";
		return -EINVAL;
	}
	if (!token_signed(key, &t, token)) {
		*why = "signature is wrong";
		return -EACCES;
	}
	/* Only what is signed is read. */
	if ((*why = part_decode(&t.claims, scratch, &len)) != NULL ||
	    (*why = claims_parse(scratch, len, c)) != NULL)
		return -EINVAL;
	return 0;
}

int
jwt_verify(const struct jwt_key *key, const char *token, size_t n,
    int64_t now, struct jwt_claims *claims, const char **why)
{
	int	r;

	memset(claims, 0, sizeof *claims);
	r = token_verify(key, token, n, claims, why);
	if (r == 0 && (*why = jwt_times_wrong(claims->exp, claims->nbf,
	    claims->iat, now)) != NULL)
		r = -EACCES;
	if (r < 0)
		memset(claims, 0, sizeof *claims);
	return r;
}

bool
jwt_has_audience(const struct jwt_claims *c, const char *aud)
{
	size_t	i;

	for (i = 0; i < c->naud; i++)
		if (strcmp(c->aud[i], aud) == 0)
			return true;
	return false;
}
