/* See tls.h. */
#include <sys/random.h>

#include <arpa/inet.h>
#include <assert.h>
#include <bearssl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "net/tls.h"
#include "net/tls_impl.h"

#define HOST_MAX	255u	/* of a DNS name, and of BearSSL */
#define SEED_LEN	32u

#define FLAGS	(BR_OPT_ENFORCE_SERVER_PREFERENCES | \
	    BR_OPT_NO_RENEGOTIATION | BR_OPT_FAIL_ON_ALPN_MISMATCH)

/* What only a client needs. */
struct verifier {
	br_x509_minimal_context x509;
	br_name_element	 cn;
	char		 cn_text[INET6_ADDRSTRLEN];
	char		 ip[INET6_ADDRSTRLEN];	/* "": the engine compares */
};

/*
 * The whole, buffers included, stays just below 37 436 bytes, which is a size
 * class of musl's allocator; the next one is 43 676.
 */
struct tls {
	union {
		br_ssl_server_context server;
		br_ssl_client_context client;
	} ctx;
	br_ssl_engine_context *eng;	/* first field of either */
	struct tls_identity *id;	/* server: one reference */
	struct verifier	*verifier;	/* client */
	const char	*alpn_names[1];
	char		 alpn[TLS_ALPN_MAX + 1];	/* "": none */
	char		 number[24];	/* text of an error without one */
	const char	*reason;
	int		 over;		/* result of every further pump */
	bool		 ready;
	bool		 refused;	/* complete, but not what we want */
	bool		 idle;		/* ready, and the engine holds nothing
					 * that could move by itself */
	unsigned char	 iobuf[BR_SSL_BUFSIZE_BIDI];
};

/* -- profile, security.md 2.2 ---------------------------------------------- */

/* ChaCha20-Poly1305 is six times slower than AES-GCM where AES-NI is. */
static const uint16_t suites_aes_first[] = {
	BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
};

static const uint16_t suites_chacha_first[] = {
	BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
};

static void
set_profile(struct tls *t)
{
	br_ssl_engine_context	*eng = t->eng;

	br_ssl_engine_set_versions(eng, BR_TLS12, BR_TLS12);
	if (br_aes_x86ni_ctr_get_vtable() != NULL)
		br_ssl_engine_set_suites(eng, suites_aes_first,
		    ARRAY_LEN(suites_aes_first));
	else
		br_ssl_engine_set_suites(eng, suites_chacha_first,
		    ARRAY_LEN(suites_chacha_first));
	br_ssl_engine_set_all_flags(eng, FLAGS);
	br_ssl_engine_set_hash(eng, br_sha256_ID, &br_sha256_vtable);
	br_ssl_engine_set_hash(eng, br_sha384_ID, &br_sha384_vtable);
	br_ssl_engine_set_hash(eng, br_sha512_ID, &br_sha512_vtable);
	br_ssl_engine_set_prf_sha256(eng, br_tls12_sha256_prf);
	br_ssl_engine_set_prf_sha384(eng, br_tls12_sha384_prf);
	br_ssl_engine_set_default_aes_gcm(eng);
	br_ssl_engine_set_default_chapol(eng);
	br_ssl_engine_set_buffer(eng, t->iobuf, sizeof t->iobuf, 1);
}

static void
set_alpn(struct tls *t, const char *alpn)
{
	if (alpn == NULL)
		return;
	str_format(t->alpn, sizeof t->alpn, "%s", alpn);
	t->alpn_names[0] = t->alpn;
	br_ssl_engine_set_protocol_names(t->eng, t->alpn_names, 1);
}

/* Fails closed: no randomness, no connection. */
static bool
seed(struct tls *t)
{
	uint8_t	bytes[SEED_LEN];

	if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
		return false;
	br_ssl_engine_inject_entropy(t->eng, bytes, sizeof bytes);
	secret_wipe(bytes, sizeof bytes);
	return true;
}

/* -- creation -------------------------------------------------------------- */

struct tls *
tls_server_create(struct tls_identity *id, const char *alpn)
{
	const br_ec_impl	*ec = br_ec_get_default();
	br_ssl_server_context	*cc;
	struct tls		*t;

	if ((t = calloc(1, sizeof *t)) == NULL)
		return NULL;
	cc = &t->ctx.server;
	t->eng = &cc->eng;
	t->id = tls_identity_ref(id);
	br_ssl_server_zero(cc);
	set_profile(t);
	set_alpn(t, alpn);
	br_ssl_engine_set_ec(t->eng, &id->groups);
	if (br_skey_decoder_key_type(&id->key) == BR_KEYTYPE_RSA)
		br_ssl_server_set_single_rsa(cc, id->chain, id->chain_len,
		    br_skey_decoder_get_rsa(&id->key), BR_KEYTYPE_SIGN,
		    br_rsa_private_get_default(),
		    br_rsa_pkcs1_sign_get_default());
	else
		br_ssl_server_set_single_ec(cc, id->chain, id->chain_len,
		    br_skey_decoder_get_ec(&id->key), BR_KEYTYPE_SIGN,
		    id->issuer_key_type, ec,
		    br_ecdsa_sign_asn1_get_default());
	if (!seed(t) || !br_ssl_server_reset(cc)) {
		tls_destroy(t);
		return NULL;
	}
	return t;
}

/* An address is not a name: it must be the CN, see tls.h. */
static void
set_host(struct verifier *v, const char *host)
{
	static const unsigned char common_name[] = { 3, 0x55, 0x04, 0x03 };
	unsigned char	addr[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, host, addr) != 1 &&
	    inet_pton(AF_INET6, host, addr) != 1)
		return;
	str_format(v->ip, sizeof v->ip, "%s", host);
	v->cn.oid = common_name;
	v->cn.buf = v->cn_text;
	v->cn.len = sizeof v->cn_text;
	br_x509_minimal_set_name_elements(&v->x509, &v->cn, 1);
}

static struct verifier *
verifier_create(const struct tls_trust *trust, const char *host)
{
	struct verifier	*v;

	if ((v = calloc(1, sizeof *v)) == NULL)
		return NULL;
	br_x509_minimal_init(&v->x509, &br_sha256_vtable, trust->anchors,
	    trust->count);
	br_x509_minimal_set_rsa(&v->x509, br_rsa_pkcs1_vrfy_get_default());
	br_x509_minimal_set_ecdsa(&v->x509, br_ec_get_default(),
	    br_ecdsa_vrfy_asn1_get_default());
	br_x509_minimal_set_hash(&v->x509, br_sha256_ID, &br_sha256_vtable);
	br_x509_minimal_set_hash(&v->x509, br_sha384_ID, &br_sha384_vtable);
	br_x509_minimal_set_hash(&v->x509, br_sha512_ID, &br_sha512_vtable);
	br_x509_minimal_set_minrsa(&v->x509, 2048 / 8);
	set_host(v, host);
	return v;
}

struct tls *
tls_client_create(const struct tls_trust *trust, const char *host,
    const char *alpn)
{
	br_ssl_client_context	*cc;
	struct tls		*t;

	if (*host == '\0' || strlen(host) > HOST_MAX ||
	    (t = calloc(1, sizeof *t)) == NULL)
		return NULL;
	cc = &t->ctx.client;
	t->eng = &cc->eng;
	if ((t->verifier = verifier_create(trust, host)) == NULL)
		goto fail;
	br_ssl_client_zero(cc);
	set_profile(t);
	set_alpn(t, alpn);
	br_ssl_engine_set_default_ec(t->eng);
	br_ssl_engine_set_default_rsavrfy(t->eng);
	br_ssl_engine_set_default_ecdsa(t->eng);
	br_ssl_engine_set_x509(t->eng, &t->verifier->x509.vtable);
	if (t->verifier->ip[0] != '\0')
		host = NULL;
	if (!seed(t) || !br_ssl_client_reset(cc, host, 0))
		goto fail;
	return t;
fail:
	tls_destroy(t);
	return NULL;
}

void
tls_destroy(struct tls *t)
{
	if (t == NULL)
		return;
	tls_identity_unref(t->id);
	free(t->verifier);
	secret_wipe(t, sizeof *t);	/* keys, and the last plaintext */
	free(t);
}

/* -- moving bytes ---------------------------------------------------------- */

static size_t
smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Engine to buffer: records to wire_out, plaintext to app_in.  What was moved,
 * or -ENOMEM. */
static ssize_t
take(const unsigned char *from, size_t n, struct buf *to)
{
	int	r;

	n = from == NULL ? 0 : smaller(n, buf_room(to));
	if (n > 0 && (r = buf_put(to, from, n)) < 0)
		return r;
	return (ssize_t)n;
}

/* Buffer to engine: records from wire_in, plaintext from app_out. */
static size_t
give(unsigned char *to, size_t n, struct buf *from)
{
	n = to == NULL ? 0 : smaller(n, from->len);
	if (n > 0) {
		memcpy(to, buf_head(from), n);
		buf_drain(from, n);
	}
	return n;
}

/* Records in, until one is complete and its plaintext has to be taken: the
 * engine asks for the head and the rest of each by themselves. */
static size_t
move_records_in(struct tls *t, struct buf *wire_in)
{
	unsigned char	*p;
	size_t		 n, total = 0;

	while (wire_in->len > 0) {
		p = br_ssl_engine_recvrec_buf(t->eng, &n);
		if ((n = give(p, n, wire_in)) == 0)
			break;
		br_ssl_engine_recvrec_ack(t->eng, n);
		total += n;
	}
	return total;
}

static size_t
move_plaintext_in(struct tls *t, struct buf *app_out)
{
	unsigned char	*p;
	size_t		 n;

	if (app_out->len == 0)
		return 0;
	p = br_ssl_engine_sendapp_buf(t->eng, &n);
	if ((n = give(p, n, app_out)) == 0)
		return 0;
	br_ssl_engine_sendapp_ack(t->eng, n);
	if (app_out->len == 0)
		br_ssl_engine_flush(t->eng, 0);
	return n;
}

/* One round of all four ways.  1 if anything moved, 0, or -ENOMEM. */
static int
move(struct tls *t, const struct tls_io *io)
{
	unsigned char	*p;
	size_t		 n, total;
	ssize_t		 moved;

	total = move_records_in(t, io->wire_in);
	if (t->ready) {
		p = br_ssl_engine_recvapp_buf(t->eng, &n);
		if ((moved = take(p, n, io->app_in)) < 0)
			return (int)moved;
		if (moved > 0)
			br_ssl_engine_recvapp_ack(t->eng, (size_t)moved);
		total += (size_t)moved;
		total += move_plaintext_in(t, io->app_out);
	}
	p = br_ssl_engine_sendrec_buf(t->eng, &n);
	if ((moved = take(p, n, io->wire_out)) < 0)
		return (int)moved;
	if (moved > 0)
		br_ssl_engine_sendrec_ack(t->eng, (size_t)moved);
	return total + (size_t)moved > 0;
}

/* -- outcome --------------------------------------------------------------- */

/* BR_OPT_FAIL_ON_ALPN_MISMATCH is silent about a peer that sends no ALPN. */
static const char *
objection(const struct tls *t)
{
	const struct verifier	*v = t->verifier;
	const char		*got;

	if (t->alpn[0] != '\0') {
		got = br_ssl_engine_get_selected_protocol(t->eng);
		if (got == NULL)
			return "peer does not use ALPN";
		if (strcmp(got, t->alpn) != 0)
			return "peer chose another ALPN protocol";
	}
	if (v != NULL && v->ip[0] != '\0' &&
	    (v->cn.status != 1 || strcmp(v->cn_text, v->ip) != 0))
		return "certificate is for another address";
	return NULL;
}

static void
check_complete(struct tls *t)
{
	unsigned	state;

	if (t->ready || t->refused)
		return;
	state = br_ssl_engine_current_state(t->eng);
	if (state == BR_SSL_CLOSED ||
	    (state & (BR_SSL_SENDAPP | BR_SSL_RECVAPP)) == 0)
		return;
	if ((t->reason = objection(t)) == NULL) {
		t->ready = true;
	} else {
		t->refused = true;
		br_ssl_engine_close(t->eng);
	}
}

static int
finish(struct tls *t, int result)
{
	int	err;

	t->over = result;
	if (result == -ENOMEM)
		t->reason = "out of memory";
	if (result != -EPROTO || t->refused)
		return result;
	err = br_ssl_engine_last_error(t->eng);
	if ((t->reason = tls_error_text(err)) == NULL) {
		str_format(t->number, sizeof t->number, "TLS error %d", err);
		t->reason = t->number;
	}
	return result;
}

/* Nothing moves any more: is that the end?  Mostly it asks for records. */
static bool
is_closed(struct tls *t)
{
	size_t	n;

	if (br_ssl_engine_recvrec_buf(t->eng, &n) == NULL)
		return br_ssl_engine_current_state(t->eng) == BR_SSL_CLOSED;
	t->idle = t->ready &&
	    br_ssl_engine_recvapp_buf(t->eng, &n) == NULL &&
	    br_ssl_engine_sendrec_buf(t->eng, &n) == NULL;
	return false;
}

int
tls_pump(struct tls *t, const struct tls_io *io)
{
	int	r;

	if (t->over != 0)
		return t->over;
	if (t->idle && io->wire_in->len == 0 && io->app_out->len == 0)
		return 0;
	t->idle = false;
	do {
		check_complete(t);
		r = move(t, io);
	} while (r > 0);
	check_complete(t);
	if (r < 0)
		return finish(t, r);
	if (t->refused)
		return finish(t, -EPROTO);
	if (!is_closed(t))
		return 0;
	return finish(t, br_ssl_engine_last_error(t->eng) == BR_ERR_OK ?
	    -EPIPE : -EPROTO);
}

bool
tls_ready(const struct tls *t)
{
	return t->ready;
}

void
tls_shut(struct tls *t)
{
	t->idle = false;
	br_ssl_engine_close(t->eng);
}

const char *
tls_reason(const struct tls *t)
{
	return t->reason != NULL ? t->reason : "closed";
}

bool
tls_pending(const struct tls *t)
{
	size_t	n;

	return t->over == 0 && t->ready &&
	    br_ssl_engine_recvapp_buf(t->eng, &n) != NULL;
}
