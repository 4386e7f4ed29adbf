#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bearssl.h>

#include "auth/jwk.h"
#include "base/str.h"

#define PEM_TEXT_MAX	(64u * 1024)
#define PEM_DER_MAX	(8u * 1024)

/* base64url of the largest modulus, and a terminator. */
#define JWK_VALUE_MAX	(4 * JWK_RSA_MAX_BYTES / 3 + 4)

static bool
rsa_signed(const struct jwt_key *k, const uint8_t *hash, const uint8_t *sig,
    size_t siglen)
{
	br_rsa_public_key	pk;
	uint8_t			found[br_sha256_SIZE];

	pk.n = (unsigned char *)k->n;
	pk.nlen = k->nlen;
	pk.e = (unsigned char *)k->e;
	pk.elen = k->elen;
	if (siglen != k->nlen)
		return false;
	if (!br_rsa_pkcs1_vrfy_get_default()(sig, siglen, BR_HASH_OID_SHA256,
	    sizeof found, &pk, found))
		return false;
	return memcmp(found, hash, sizeof found) == 0;
}

static bool
ec_signed(const struct jwt_key *k, const uint8_t *hash, const uint8_t *sig,
    size_t siglen)
{
	br_ec_public_key	pk;

	pk.curve = BR_EC_secp256r1;
	pk.q = (unsigned char *)k->q;
	pk.qlen = sizeof k->q;
	/* RFC 7518 3.4: R and S, 32 bytes each; no DER (T4). */
	if (siglen != 64)
		return false;
	return br_ecdsa_vrfy_raw_get_default()(br_ec_get_default(), hash,
	    br_sha256_SIZE, &pk, sig, siglen) == 1;
}

bool
jwk_signed(const struct jwt_key *k, const void *data, size_t n,
    const uint8_t *sig, size_t siglen)
{
	br_sha256_context	sha;
	uint8_t			hash[br_sha256_SIZE];

	br_sha256_init(&sha);
	br_sha256_update(&sha, data, n);
	br_sha256_out(&sha, hash);
	if (k->alg == JWT_RS256)
		return rsa_signed(k, hash, sig, siglen);
	return ec_signed(k, hash, sig, siglen);
}

/* Big-endian numbers; takes leading zeros away.  NULL if the key is fine. */
static const char *
rsa_set(struct jwt_key *k, const uint8_t *n, size_t nlen, const uint8_t *e,
    size_t elen)
{
	for (; nlen > 0 && *n == 0; nlen--)
		n++;
	for (; elen > 0 && *e == 0; elen--)
		e++;
	if (nlen < JWK_RSA_MIN_BITS / 8 ||
	    (nlen == JWK_RSA_MIN_BITS / 8 && n[0] < 0x80))
		return "RSA key is shorter than 2048 bits";
	if (nlen > sizeof k->n)
		return "RSA key is longer than 4096 bits";
	if ((n[nlen - 1] & 1) == 0)
		return "RSA modulus is even";
	if (elen == 0 || elen > sizeof k->e || (e[elen - 1] & 1) == 0 ||
	    (elen == 1 && e[0] < 3))
		return "RSA exponent is not odd, 3 or more and below 2^32";
	k->alg = JWT_RS256;
	memcpy(k->n, n, nlen);
	memcpy(k->e, e, elen);
	k->nlen = nlen;
	k->elen = elen;
	return NULL;
}

/* The multiplication by one is how BearSSL tells whether a point is valid. */
static const char *
ec_set(struct jwt_key *k, const uint8_t q[JWK_POINT_LEN])
{
	static const unsigned char	one[] = { 1 };
	const br_ec_impl		*ec = br_ec_get_default();
	uint8_t				 copy[JWK_POINT_LEN];

	memcpy(copy, q, sizeof copy);
	if (q[0] != 0x04 ||
	    !ec->mul(copy, sizeof copy, one, sizeof one, BR_EC_secp256r1))
		return "EC point is not on curve P-256";
	k->alg = JWT_ES256;
	memcpy(k->q, q, sizeof k->q);
	return NULL;
}

enum {
	DER_INTEGER = 0x02, DER_BITS = 0x03, DER_NULL = 0x05, DER_OID = 0x06,
	DER_SEQUENCE = 0x30, DER_VERSION = 0xa0
};

struct der {
	const uint8_t	*p;
	size_t		 n;
};

/* Takes one element with this tag off the front of d.  Long and indefinite
 * lengths that DER does not allow are refused. */
static int
der_take(struct der *d, uint8_t tag, struct der *body)
{
	size_t	len, head = 2;

	if (d->n < 2 || d->p[0] != tag)
		return -EINVAL;
	len = d->p[1];
	if (len == 0x81 && d->n >= 3 && d->p[2] >= 0x80) {
		len = d->p[2];
		head = 3;
	} else if (len == 0x82 && d->n >= 4 && d->p[2] != 0) {
		len = (size_t)d->p[2] << 8 | d->p[3];
		head = 4;
	} else if (len >= 0x80) {
		return -EINVAL;
	}
	if (len > d->n - head)
		return -EINVAL;
	body->p = d->p + head;
	body->n = len;
	d->p += head + len;
	d->n -= head + len;
	return 0;
}

static int
der_skip(struct der *d)
{
	struct der	body;

	return d->n == 0 ? -EINVAL : der_take(d, d->p[0], &body);
}

/* Positive, shortest form; body without the sign byte. */
static int
der_number(struct der *d, struct der *body)
{
	struct der	b;

	if (der_take(d, DER_INTEGER, &b) < 0 || b.n == 0 || b.p[0] >= 0x80)
		return -EINVAL;
	if (b.n > 1 && b.p[0] == 0) {
		if (b.p[1] < 0x80)
			return -EINVAL;
		b.p++;
		b.n--;
	}
	*body = b;
	return 0;
}

static bool
der_is(const struct der *d, const uint8_t *p, size_t n)
{
	return d->n == n && memcmp(d->p, p, n) == 0;
}

static const char *
rsa_from_der(struct jwt_key *k, struct der bits)
{
	struct der	seq, n, e;

	if (der_take(&bits, DER_SEQUENCE, &seq) < 0 || bits.n != 0 ||
	    der_number(&seq, &n) < 0 || der_number(&seq, &e) < 0 || seq.n != 0)
		return "malformed RSA public key";
	return rsa_set(k, n.p, n.n, e.p, e.n);
}

/* SubjectPublicKeyInfo, RFC 5280 4.1; algorithms of RFC 3279 and 5480. */
static const char *
key_from_spki(struct jwt_key *k, struct der *d)
{
	static const uint8_t	rsa[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d,
		0x01, 0x01, 0x01 };
	static const uint8_t	ec[] = { 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
		0x01 };
	static const uint8_t	p256[] = { 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
		0x01, 0x07 };
	struct der		seq, alg, oid, param, bits;

	if (der_take(d, DER_SEQUENCE, &seq) < 0 ||
	    der_take(&seq, DER_SEQUENCE, &alg) < 0 ||
	    der_take(&alg, DER_OID, &oid) < 0 ||
	    der_take(&seq, DER_BITS, &bits) < 0 || seq.n != 0 ||
	    bits.n < 1 || bits.p[0] != 0)
		return "malformed public key";
	bits.p++;
	bits.n--;
	if (der_is(&oid, rsa, sizeof rsa)) {
		if (der_take(&alg, DER_NULL, &param) < 0 || param.n != 0 ||
		    alg.n != 0)
			return "malformed RSA public key";
		return rsa_from_der(k, bits);
	}
	if (!der_is(&oid, ec, sizeof ec))
		return "public key is neither RSA nor EC";
	if (der_take(&alg, DER_OID, &param) < 0 || alg.n != 0 ||
	    !der_is(&param, p256, sizeof p256))
		return "EC key is not on curve P-256";
	if (bits.n != JWK_POINT_LEN)
		return "malformed EC public key";
	return ec_set(k, bits.p);
}

/*
 * Only the key matters: the file is configuration, so neither signature nor
 * dates of the certificate say anything about whether it is the right one.
 */
static const char *
key_from_certificate(struct jwt_key *k, struct der *d)
{
	struct der	cert, tbs;
	int		r, i;

	r = der_take(d, DER_SEQUENCE, &cert);
	if (r == 0)
		r = der_take(&cert, DER_SEQUENCE, &tbs);
	if (r == 0 && tbs.n > 0 && tbs.p[0] == DER_VERSION)
		r = der_skip(&tbs);
	/* serial, signature, issuer, validity, subject */
	for (i = 0; r == 0 && i < 5; i++)
		r = der_skip(&tbs);
	if (r < 0)
		return "malformed certificate";
	return key_from_spki(k, &tbs);
}

enum pem_kind { PEM_NONE, PEM_KEY, PEM_CERTIFICATE };

struct pem {
	enum pem_kind	 kind;
	bool		 inside, done;
	const char	*err;
	size_t		 len;
	uint8_t		 der[PEM_DER_MAX];
};

static void
pem_on_bytes(void *arg, const void *p, size_t n)
{
	struct pem	*m = arg;

	if (n > sizeof m->der - m->len) {
		m->err = "PEM object is larger than 8 KiB";
		return;
	}
	memcpy(m->der + m->len, p, n);
	m->len += n;
}

static void
pem_on_event(struct pem *m, br_pem_decoder_context *dec)
{
	const char	*name;

	switch (br_pem_decoder_event(dec)) {
	case BR_PEM_BEGIN_OBJ:
		name = br_pem_decoder_name(dec);
		m->kind = strcmp(name, "PUBLIC KEY") == 0 ? PEM_KEY :
		    strcmp(name, "CERTIFICATE") == 0 ? PEM_CERTIFICATE :
		    PEM_NONE;
		m->inside = true;
		if (m->kind != PEM_NONE)
			br_pem_decoder_setdest(dec, pem_on_bytes, m);
		else
			br_pem_decoder_setdest(dec, NULL, NULL);
		break;
	case BR_PEM_END_OBJ:
		m->inside = false;
		m->done = m->kind != PEM_NONE;
		break;
	case BR_PEM_ERROR:
		m->err = "malformed PEM text";
		break;
	default:
		break;
	}
}

static void
pem_push(struct pem *m, br_pem_decoder_context *dec, const char *p, size_t n)
{
	size_t	used;

	while (n > 0 && !m->done && m->err == NULL) {
		used = br_pem_decoder_push(dec, p, n);
		p += used;
		n -= used;
		pem_on_event(m, dec);
	}
}

/* The first key or certificate of the text. */
static void
pem_decode(struct pem *m, const char *text, size_t n)
{
	br_pem_decoder_context	dec;

	m->kind = PEM_NONE;
	m->inside = m->done = false;
	m->err = NULL;
	m->len = 0;
	br_pem_decoder_init(&dec);
	pem_push(m, &dec, text, n);
	pem_push(m, &dec, "\n", 1);	/* the decoder acts on whole lines */
	if (m->err == NULL && !m->done)
		m->err = m->inside ? "PEM text is cut short" :
		    "no PUBLIC KEY or CERTIFICATE in PEM text";
}

int
jwt_key_from_pem(struct jwt_key **out, const void *pem, size_t n,
    enum jwt_alg alg, const char **err)
{
	struct jwt_key	*k;
	struct pem	 m;
	struct der	 d;

	if (n > PEM_TEXT_MAX) {
		*err = "PEM text is larger than 64 KiB";
		return -EINVAL;
	}
	pem_decode(&m, pem, n);
	if ((*err = m.err) != NULL)
		return -EINVAL;
	if ((k = calloc(1, sizeof *k)) == NULL) {
		*err = "out of memory";
		return -ENOMEM;
	}
	d.p = m.der;
	d.n = m.len;
	*err = m.kind == PEM_KEY ? key_from_spki(k, &d) :
	    key_from_certificate(k, &d);
	if (*err == NULL && d.n != 0)
		*err = "bytes after the key";
	if (*err == NULL && k->alg != alg)
		*err = alg == JWT_RS256 ? "RS256 needs an RSA key" :
		    "ES256 needs an EC key";
	if (*err != NULL) {
		free(k);
		return -EINVAL;
	}
	*out = k;
	return 0;
}

void
jwt_key_destroy(struct jwt_key *k)
{
	free(k);
}

void
jwk_members_init(struct jwk_members *m, struct json *j)
{
	m->j = j;
	m->n = 0;
}

int
jwk_members_next(struct jwk_members *m, enum json_type *type)
{
	struct json	*j = m->j;
	size_t		 i;

	switch (json_next(j)) {
	case JSON_OBJECT_END:
		return 0;
	case JSON_KEY:
		break;
	default:
		return -EINVAL;
	}
	if (m->n == JWK_MEMBERS_MAX || memchr(j->text, '\\', j->len) != NULL)
		return -EINVAL;
	for (i = 0; i < m->n; i++)
		if (m->seen[i].len == j->len &&
		    memcmp(m->seen[i].text, j->text, j->len) == 0)
			return -EINVAL;
	m->seen[m->n].text = j->text;
	m->seen[m->n].len = j->len;
	m->n++;
	*type = json_next(j);
	return *type == JSON_ERROR ? -EINVAL : 1;
}

bool
jwk_member_is(const struct jwk_members *m, const char *name)
{
	size_t	len = strlen(name);

	return m->seen[m->n - 1].len == len &&
	    memcmp(m->seen[m->n - 1].text, name, len) == 0;
}

int
jwk_text(const struct json *j, enum json_type type, char *out, size_t outlen)
{
	if (type != JSON_STRING || json_text(j, out, outlen) < 0)
		return -EINVAL;
	return 0;
}

/* What a key object says, before it is judged. */
struct jwk {
	char	kty[16], use[16], alg[16], crv[16];
	char	kid[JWT_KID_MAX + 1];
	char	n[JWK_VALUE_MAX], e[JWK_VALUE_MAX];
	char	x[JWK_VALUE_MAX], y[JWK_VALUE_MAX];
	bool	odd;		/* a value we can't hold: not one of ours */
};

/* Where the value of the current key goes; NULL: not interesting. */
static char *
jwk_slot(struct jwk *w, const struct jwk_members *m, size_t *size)
{
	const struct {
		const char	*name;
		char		*to;
		size_t		 size;
	} slots[] = {
		{ "kty", w->kty, sizeof w->kty },
		{ "use", w->use, sizeof w->use },
		{ "alg", w->alg, sizeof w->alg },
		{ "crv", w->crv, sizeof w->crv },
		{ "kid", w->kid, sizeof w->kid },
		{ "n", w->n, sizeof w->n },
		{ "e", w->e, sizeof w->e },
		{ "x", w->x, sizeof w->x },
		{ "y", w->y, sizeof w->y },
	};
	size_t	i;

	for (i = 0; i < ARRAY_LEN(slots); i++) {
		if (jwk_member_is(m, slots[i].name)) {
			*size = slots[i].size;
			return slots[i].to;
		}
	}
	return NULL;
}

static int
jwk_read(struct json *j, struct jwk *w)
{
	struct jwk_members	 m;
	enum json_type		 t;
	size_t			 size;
	char			*to;
	int			 r;

	memset(w, 0, sizeof *w);
	jwk_members_init(&m, j);
	while ((r = jwk_members_next(&m, &t)) > 0) {
		to = jwk_slot(w, &m, &size);
		if (to != NULL && jwk_text(j, t, to, size) == 0)
			continue;
		if (to != NULL)
			w->odd = true;
		if (json_skip(j, t) < 0)
			return -EINVAL;
	}
	return r;
}

static bool
jwk_rsa(const struct jwk *w, struct jwt_key *k)
{
	uint8_t	n[JWK_VALUE_MAX], e[JWK_VALUE_MAX];
	size_t	nlen = sizeof n, elen = sizeof e;

	return base64url_decode(w->n, strlen(w->n), n, &nlen) == 0 &&
	    base64url_decode(w->e, strlen(w->e), e, &elen) == 0 &&
	    rsa_set(k, n, nlen, e, elen) == NULL;
}

static bool
jwk_ec(const struct jwk *w, struct jwt_key *k)
{
	uint8_t	q[JWK_POINT_LEN];
	size_t	xlen = 32, ylen = 32;

	q[0] = 0x04;
	return strcmp(w->crv, "P-256") == 0 &&
	    base64url_decode(w->x, strlen(w->x), q + 1, &xlen) == 0 &&
	    base64url_decode(w->y, strlen(w->y), q + 33, &ylen) == 0 &&
	    xlen == 32 && ylen == 32 && ec_set(k, q) == NULL;
}

/* False: not a key we could use; the set may hold others. */
static bool
jwk_build(const struct jwk *w, struct jwt_key *k)
{
	if (w->odd || (w->use[0] != '\0' && strcmp(w->use, "sig") != 0))
		return false;
	if (strcmp(w->kty, "RSA") == 0)
		return (w->alg[0] == '\0' || strcmp(w->alg, "RS256") == 0) &&
		    jwk_rsa(w, k);
	if (strcmp(w->kty, "EC") == 0)
		return (w->alg[0] == '\0' || strcmp(w->alg, "ES256") == 0) &&
		    jwk_ec(w, k);
	return false;
}

static bool
jwks_has(const struct jwt_keys *s, const char *kid)
{
	size_t	i;

	for (i = 0; i < s->count; i++)
		if (strcmp(s->kid[i], kid) == 0)
			return true;
	return false;
}

static int
jwks_add(struct jwt_keys *s, const struct jwk *w)
{
	struct jwt_key	*k, tmp;

	memset(&tmp, 0, sizeof tmp);
	if (s->count == JWT_KEYS_MAX || jwks_has(s, w->kid) ||
	    !jwk_build(w, &tmp))
		return 0;
	if ((k = malloc(sizeof *k)) == NULL)
		return -ENOMEM;
	memcpy(k, &tmp, sizeof tmp);
	memcpy(s->kid[s->count], w->kid, sizeof w->kid);
	s->key[s->count++] = k;
	return 0;
}

static int
jwks_array(struct json *j, struct jwt_keys *s)
{
	struct jwk	w;
	enum json_type	t;
	int		r;

	while ((t = json_next(j)) != JSON_ARRAY_END) {
		if (t != JSON_OBJECT || jwk_read(j, &w) < 0)
			return -EINVAL;
		if ((r = jwks_add(s, &w)) < 0)
			return r;
	}
	return 0;
}

static int
jwks_read(struct json *j, struct jwt_keys *s)
{
	struct jwk_members	m;
	enum json_type		t;
	bool			found = false;
	int			r;

	if (json_next(j) != JSON_OBJECT)
		return -EINVAL;
	jwk_members_init(&m, j);
	while ((r = jwk_members_next(&m, &t)) > 0) {
		if (!jwk_member_is(&m, "keys")) {
			r = json_skip(j, t);
		} else if (t == JSON_ARRAY) {
			found = true;
			r = jwks_array(j, s);
		} else {
			r = -EINVAL;
		}
		if (r < 0)
			return r;
	}
	if (r == 0 && (!found || json_next(j) != JSON_END))
		r = -EINVAL;
	return r;
}

int
jwt_keys_from_jwks(struct jwt_keys *out, const void *json, size_t n,
    const char **err)
{
	struct jwt_keys	s;
	struct json	j;
	int		r;

	memset(&s, 0, sizeof s);
	json_init(&j, json, n);
	r = jwks_read(&j, &s);
	if (r == -ENOMEM)
		*err = "out of memory";
	else if (r < 0)
		*err = j.error != NULL ? j.error : "not a JWK Set";
	else if (s.count == 0)
		*err = "no usable RS256 or ES256 key in the set";
	if (r < 0 || s.count == 0) {
		jwt_keys_finish(&s);
		return r < 0 ? r : -EINVAL;
	}
	*out = s;
	return 0;
}

void
jwt_keys_finish(struct jwt_keys *k)
{
	size_t	i;

	for (i = 0; i < k->count; i++)
		jwt_key_destroy(k->key[i]);
	k->count = 0;
}

/* Keys are built from zeroed memory, so their bytes can be compared. */
bool
jwt_keys_same(const struct jwt_keys *a, const struct jwt_keys *b)
{
	size_t	i;

	if (a->count != b->count)
		return false;
	for (i = 0; i < a->count; i++)
		if (strcmp(a->kid[i], b->kid[i]) != 0 ||
		    memcmp(a->key[i], b->key[i], sizeof *a->key[i]) != 0)
			return false;
	return true;
}
