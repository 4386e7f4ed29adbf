/*
 * tls_identity - a server's certificate chain and the key that fits it.
 *
 * BearSSL's private key decoder copies the numbers of a key into a buffer of
 * fixed size with a limit that is too large (security.md finding 6), so their
 * sizes are checked before it sees them.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "net/tls.h"
#include "net/tls_impl.h"

#define RSA_BITS_MIN	2048u
#define RSA_BITS_MAX	4096u
#define RSA_NUMBER_MAX	(RSA_BITS_MAX / 8 + 1)	/* n, d; a sign byte */
#define RSA_FACTOR_MAX	(RSA_BITS_MAX / 16 + 1)	/* p, q, dp, dq, iq */
#define EC_SECRET_MAX	66u			/* P-521 */

/* -- sizes inside a key, DER (X.690) --------------------------------------- */

enum { DER_INTEGER = 0x02, DER_OCTETS = 0x04, DER_SEQUENCE = 0x30 };

struct der {
	const uint8_t	*p;
	size_t		 n;
};

/* Takes one element off d.  False if d is malformed or at its end. */
static bool
der_next(struct der *d, unsigned *tag, struct der *content)
{
	size_t	len, head = 2, more;

	if (d->n < 2)
		return false;
	len = d->p[1];
	if (len > 0x80) {
		more = len - 0x80;
		if (more > 2 || d->n < head + more)
			return false;
		for (len = 0; more > 0; more--)
			len = len << 8 | d->p[head++];
	} else if (len == 0x80) {
		return false;
	}
	if (len > d->n - head)
		return false;
	*tag = d->p[0];
	content->p = d->p + head;
	content->n = len;
	d->p += head + len;
	d->n -= head + len;
	return true;
}

static bool
der_take(struct der *d, unsigned want, struct der *content)
{
	unsigned	tag;

	return der_next(d, &tag, content) && tag == want;
}

/* RSAPrivateKey (RFC 8017 A.1.2) behind the version and n. */
static bool
rsa_sizes_ok(struct der body, size_t n_len)
{
	struct der	v;
	int		i;

	if (n_len > RSA_NUMBER_MAX)
		return false;
	if (!der_take(&body, DER_INTEGER, &v) || v.n > 8)	/* e */
		return false;
	if (!der_take(&body, DER_INTEGER, &v) || v.n > RSA_NUMBER_MAX)
		return false;
	for (i = 0; i < 5; i++)
		if (!der_take(&body, DER_INTEGER, &v) ||
		    v.n > RSA_FACTOR_MAX)
			return false;
	return true;
}

/*
 * RSAPrivateKey, ECPrivateKey (RFC 5915), or one of them inside PrivateKeyInfo
 * (RFC 5208): after the version comes a number, bytes, or a sequence.
 */
static bool
key_sizes_ok(struct der d, bool wrapped)
{
	struct der	body, v;
	unsigned	tag;

	if (!der_take(&d, DER_SEQUENCE, &body) || d.n != 0 ||
	    !der_take(&body, DER_INTEGER, &v) || v.n != 1 ||
	    !der_next(&body, &tag, &v))
		return false;
	switch (tag) {
	case DER_INTEGER:
		return rsa_sizes_ok(body, v.n);
	case DER_OCTETS:
		return v.n <= EC_SECRET_MAX;
	case DER_SEQUENCE:
		return !wrapped && der_take(&body, DER_OCTETS, &v) &&
		    key_sizes_ok(v, true);
	default:
		return false;
	}
}

/* -- certificate chain ----------------------------------------------------- */

struct loading {
	struct tls_identity *id;
	const char	*err;
	bool		 has_key;
};

static int
on_cert_object(void *arg, const char *name, const uint8_t *der, size_t n)
{
	struct loading		*ld = arg;
	struct tls_identity	*id = ld->id;
	uint8_t			*copy;

	if (strcmp(name, "CERTIFICATE") != 0 &&
	    strcmp(name, "X509 CERTIFICATE") != 0)
		return 0;
	if (id->chain_len == TLS_CHAIN_MAX) {
		ld->err = "the certificate chain is longer than 8";
		return -EINVAL;
	}
	if ((copy = malloc(n + 1)) == NULL)
		return -ENOMEM;
	memcpy(copy, der, n);
	id->chain[id->chain_len].data = copy;
	id->chain[id->chain_len++].data_len = n;
	return 0;
}

static const char *
file_error(int r, const char *cannot, const char *broken)
{
	if (r == -ENOMEM)
		return "out of memory";
	return r == -EINVAL || r == -EFBIG ? broken : cannot;
}

static int
load_chain(struct loading *ld, const char *file)
{
	struct buf	text;
	int		r;

	buf_init(&text, TLS_FILE_MAX);
	if ((r = tls_file_read(file, &text)) == 0)
		r = tls_pem_each(&text, on_cert_object, ld);
	buf_finish(&text);
	if (r < 0 && ld->err == NULL)
		ld->err = file_error(r, "cannot read the certificate file",
		    "the certificate file is not a PEM file of up to 64 KiB");
	if (r == 0 && ld->id->chain_len == 0) {
		ld->err = "there is no certificate in the certificate file";
		r = -EINVAL;
	}
	return r;
}

/* -- private key ----------------------------------------------------------- */

static int
on_key_object(void *arg, const char *name, const uint8_t *der, size_t n)
{
	struct loading	*ld = arg;
	struct der	 d = { der, n };

	if (strcmp(name, "ENCRYPTED PRIVATE KEY") == 0) {
		ld->err = "the private key is encrypted";
		return -EINVAL;
	}
	if (strcmp(name, "PRIVATE KEY") != 0 &&
	    strcmp(name, "RSA PRIVATE KEY") != 0 &&
	    strcmp(name, "EC PRIVATE KEY") != 0)
		return 0;
	if (ld->has_key) {
		ld->err = "there is more than one key in the key file";
		return -EINVAL;
	}
	if (!key_sizes_ok(d, false)) {
		ld->err = "the private key is malformed, too large, "
		    "or neither RSA nor EC";
		return -EINVAL;
	}
	br_skey_decoder_init(&ld->id->key);
	br_skey_decoder_push(&ld->id->key, der, n);
	if (br_skey_decoder_last_error(&ld->id->key) != 0) {
		ld->err = "the private key cannot be decoded";
		return -EINVAL;
	}
	ld->has_key = true;
	return 0;
}

static int
load_key(struct loading *ld, const char *file)
{
	struct buf	text;
	int		r;

	buf_init(&text, TLS_FILE_MAX);
	if ((r = tls_file_read(file, &text)) == 0)
		r = tls_pem_each(&text, on_key_object, ld);
	buf_wipe(&text);
	if (r < 0 && ld->err == NULL)
		ld->err = file_error(r, "cannot read the key file",
		    "the key file is not a PEM file of up to 64 KiB");
	if (r == 0 && !ld->has_key) {
		ld->err = "there is no private key in the key file";
		r = -EINVAL;
	}
	return r;
}

/* -- the pair -------------------------------------------------------------- */

/*
 * What the private key signs the public key has to accept.  (The library can
 * also recompute the public exponent, but only from factors that are 3 modulo
 * 4; other makers of keys choose any.)
 */
static bool
rsa_pair(const br_rsa_private_key *sk, const br_rsa_public_key *pk)
{
	static const uint8_t	hash[br_sha256_SIZE] = { 1, 2, 3 };
	uint8_t			sig[RSA_BITS_MAX / 8], out[br_sha256_SIZE];
	size_t			n = (sk->n_bitlen + 7) / 8;

	return n <= sizeof sig && n == pk->nlen &&
	    br_rsa_pkcs1_sign_get_default()(BR_HASH_OID_SHA256, hash,
	    sizeof hash, sk, sig) != 0 &&
	    br_rsa_pkcs1_vrfy_get_default()(sig, n, BR_HASH_OID_SHA256,
	    sizeof out, pk, out) != 0 &&
	    memcmp(out, hash, sizeof hash) == 0;
}

static bool
ec_pair(const br_ec_private_key *sk, const br_ec_public_key *pk)
{
	uint8_t			kbuf[BR_EC_KBUF_PUB_MAX_SIZE];
	br_ec_public_key	mine;

	return sk->curve == pk->curve &&
	    br_ec_compute_pub(br_ec_get_default(), &mine, kbuf, sk) != 0 &&
	    mine.qlen == pk->qlen && memcmp(mine.q, pk->q, pk->qlen) == 0;
}

static const char *
check_rsa(struct tls_identity *id, const br_x509_pkey *pk)
{
	const br_rsa_private_key	*sk = br_skey_decoder_get_rsa(&id->key);

	if (sk->n_bitlen < RSA_BITS_MIN)
		return "RSA keys below 2048 bits are refused";
	if (sk->n_bitlen > RSA_BITS_MAX)
		return "RSA keys above 4096 bits are refused";
	if (pk->key_type != BR_KEYTYPE_RSA || !rsa_pair(sk, &pk->key.rsa))
		return "certificate and private key do not belong together";
	id->kind = sk->n_bitlen == 2048 ? "RSA 2048" :
	    sk->n_bitlen == 3072 ? "RSA 3072" :
	    sk->n_bitlen == 4096 ? "RSA 4096" : "RSA";
	return NULL;
}

static const char *
check_ec(struct tls_identity *id, const br_x509_pkey *pk)
{
	const br_ec_private_key	*sk = br_skey_decoder_get_ec(&id->key);

	if (sk->curve != BR_EC_secp256r1 && sk->curve != BR_EC_secp384r1)
		return "EC keys must be on P-256 or P-384";
	if (pk->key_type != BR_KEYTYPE_EC || !ec_pair(sk, &pk->key.ec))
		return "certificate and private key do not belong together";
	id->kind = sk->curve == BR_EC_secp256r1 ? "EC P-256" : "EC P-384";
	return NULL;
}

static int
check_pair(struct loading *ld)
{
	br_x509_decoder_context	dc;
	struct tls_identity	*id = ld->id;
	br_x509_pkey		*pk;

	br_x509_decoder_init(&dc, NULL, NULL);
	br_x509_decoder_push(&dc, id->chain[0].data, id->chain[0].data_len);
	if ((pk = br_x509_decoder_get_pkey(&dc)) == NULL) {
		ld->err = "the first certificate cannot be decoded";
		return -EINVAL;
	}
	id->issuer_key_type =
	    (unsigned)br_x509_decoder_get_signer_key_type(&dc);
	if (br_skey_decoder_key_type(&id->key) == BR_KEYTYPE_RSA)
		ld->err = check_rsa(id, pk);
	else
		ld->err = check_ec(id, pk);
	return ld->err == NULL ? 0 : -EINVAL;
}

int
tls_identity_load(struct tls_identity **out, const char *cert_file,
    const char *key_file, const char **err)
{
	struct loading	ld = { .err = NULL };
	int		r;

	if ((ld.id = calloc(1, sizeof *ld.id)) == NULL) {
		*err = "out of memory";
		return -ENOMEM;
	}
	ld.id->refs = 1;
	ld.id->groups = *br_ec_get_default();
	ld.id->groups.supported_curves &= (uint32_t)1 << BR_EC_curve25519 |
	    (uint32_t)1 << BR_EC_secp256r1;
	if ((r = load_chain(&ld, cert_file)) == 0 &&
	    (r = load_key(&ld, key_file)) == 0)
		r = check_pair(&ld);
	if (r < 0) {
		*err = ld.err;
		tls_identity_unref(ld.id);
		return r;
	}
	*out = ld.id;
	return 0;
}

struct tls_identity *
tls_identity_ref(struct tls_identity *id)
{
	id->refs++;
	return id;
}

void
tls_identity_unref(struct tls_identity *id)
{
	size_t	i;

	if (id == NULL)
		return;
	assert(id->refs > 0);
	if (--id->refs > 0)
		return;
	for (i = 0; i < id->chain_len; i++)
		free(id->chain[i].data);
	secret_wipe(id, sizeof *id);
	free(id);
}

const char *
tls_identity_kind(const struct tls_identity *id)
{
	return id->kind;
}
