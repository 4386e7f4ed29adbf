#include <bearssl.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/str.h"
#include "net/tls.h"
#include "tests/unit/failmalloc.h"
#include "tests/unit/tls_files.h"

/* -- two ends joined in memory --------------------------------------------- */

struct end {
	struct tls	*tls;
	struct buf	 wire_in, wire_out, app_in, app_out;
	int		 r;
};

struct pair {
	struct tls_identity *id;
	struct tls_trust *trust;
	struct end	 server, client;
};

static void
end_init(struct end *e, struct tls *tls)
{
	assert_non_null(tls);
	e->tls = tls;
	e->r = 0;
	buf_init(&e->wire_in, 1 << 20);
	buf_init(&e->wire_out, 1 << 20);
	buf_init(&e->app_in, 1 << 20);
	buf_init(&e->app_out, 1 << 20);
}

static void
end_finish(struct end *e)
{
	tls_destroy(e->tls);
	buf_finish(&e->wire_in);
	buf_finish(&e->wire_out);
	buf_finish(&e->app_in);
	buf_finish(&e->app_out);
}

static void
end_pump(struct end *e)
{
	struct tls_io	io = {
		&e->wire_in, &e->wire_out, &e->app_in, &e->app_out
	};

	e->r = tls_pump(e->tls, &io);
}

/* Carries what one end has put out, step bytes at a time. */
static bool
carry(struct end *from, struct end *to, size_t step)
{
	size_t	moved, total = 0;

	end_pump(from);
	while (from->wire_out.len > 0) {
		assert_int_equal(buf_move(&to->wire_in, &from->wire_out, step,
		    &moved), 0);
		total += moved;
		end_pump(to);
	}
	return total > 0;
}

static void
talk(struct pair *p, size_t step)
{
	bool	more;

	do {
		more = carry(&p->client, &p->server, step);
		more |= carry(&p->server, &p->client, step);
	} while (more);
}

static void
pair_open(struct pair *p, const char *crt, const char *key, const char *host,
    const char *alpn)
{
	p->id = identity(crt, key);
	p->trust = trust();
	end_init(&p->server, tls_server_create(p->id, "h2"));
	end_init(&p->client, tls_client_create(p->trust, host, alpn));
}

static void
pair_close(struct pair *p)
{
	end_finish(&p->server);
	end_finish(&p->client);
	tls_identity_unref(p->id);
	tls_trust_destroy(p->trust);
}

static void
assert_up(struct pair *p)
{
	if (p->server.r != 0 || p->client.r != 0)
		fail_msg("server: %s, client: %s", tls_reason(p->server.tls),
		    tls_reason(p->client.tls));
	assert_true(tls_ready(p->server.tls));
	assert_true(tls_ready(p->client.tls));
}

static void
assert_crosses(struct end *from, struct end *to, size_t n, size_t step)
{
	uint8_t	*p;
	size_t	 i;

	assert_int_equal(buf_reserve(&from->app_out, n, &p), 0);
	for (i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 7 + i / 256);
	buf_commit(&from->app_out, n);
	carry(from, to, step);
	assert_int_equal(from->app_out.len, 0);
	assert_int_equal(to->app_in.len, n);
	for (i = 0; i < n; i++)
		assert_int_equal(buf_head(&to->app_in)[i],
		    (uint8_t)(i * 7 + i / 256));
	buf_clear(&to->app_in);
}

static void
every_kind_of_key_works(void **state)
{
	static const char *const kinds[][3] = {
		{ "ec.crt", "ec.key", "EC P-256" },
		{ "ec.crt", "ec8.key", "EC P-256" },
		{ "ec.pem", "ec.pem", "EC P-256" },
		{ "ec.crt", "noend.key", "EC P-256" },
		{ "p384.crt", "p384.key", "EC P-384" },
		{ "rsa.crt", "rsa.key", "RSA 2048" },
		{ "rsa.crt", "rsa8.key", "RSA 2048" },
	};
	struct pair	p;
	size_t		i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		pair_open(&p, kinds[i][0], kinds[i][1], "localhost", "h2");
		assert_string_equal(tls_identity_kind(p.id), kinds[i][2]);
		talk(&p, SIZE_MAX);
		assert_up(&p);
		assert_crosses(&p.client, &p.server, 100, SIZE_MAX);
		assert_crosses(&p.server, &p.client, 100000, SIZE_MAX);
		pair_close(&p);
	}
}

static void
one_byte_at_a_time_works(void **state)
{
	struct pair	p;

	(void)state;
	pair_open(&p, "ec.crt", "ec.key", "localhost", "h2");
	talk(&p, 1);
	assert_up(&p);
	assert_crosses(&p.client, &p.server, 300, 1);
	assert_crosses(&p.server, &p.client, 20000, 7);
	pair_close(&p);
}

static void
plaintext_that_does_not_fit_waits_inside(void **state)
{
	struct pair	p;
	size_t		got = 0;

	(void)state;
	pair_open(&p, "ec.crt", "ec.key", "localhost", "h2");
	talk(&p, SIZE_MAX);
	buf_finish(&p.server.app_in);
	buf_init(&p.server.app_in, 10);
	assert_int_equal(buf_put(&p.client.app_out, "0123456789abcdefghij-",
	    21), 0);
	carry(&p.client, &p.server, SIZE_MAX);
	assert_int_equal(p.server.app_in.len, 10);
	assert_true(tls_pending(p.server.tls));
	while (p.server.app_in.len > 0) {
		got += p.server.app_in.len;
		buf_clear(&p.server.app_in);
		end_pump(&p.server);
	}
	assert_int_equal(got, 21);
	assert_false(tls_pending(p.server.tls));
	pair_close(&p);
}

static void
full_wire_buffer_stops_sealing(void **state)
{
	struct pair	p;
	uint8_t		text[50000] = { 0 };

	(void)state;
	pair_open(&p, "ec.crt", "ec.key", "localhost", "h2");
	talk(&p, SIZE_MAX);
	buf_finish(&p.server.wire_out);
	buf_init(&p.server.wire_out, 1000);
	assert_int_equal(buf_put(&p.server.app_out, text, sizeof text), 0);
	end_pump(&p.server);
	assert_int_equal(p.server.wire_out.len, 1000);
	assert_int_equal(p.server.app_out.len, sizeof text - 16384);
	talk(&p, SIZE_MAX);
	assert_int_equal(p.client.app_in.len, sizeof text);
	pair_close(&p);
}

static void
bulk_fills_records_and_key_presses_do_not(void **state)
{
	struct pair	p;
	uint8_t		text[3 * 16384] = { 0 };

	(void)state;
	pair_open(&p, "ec.crt", "ec.key", "localhost", "h2");
	talk(&p, SIZE_MAX);
	assert_int_equal(buf_put(&p.server.app_out, text, sizeof text), 0);
	end_pump(&p.server);
	assert_int_equal(p.server.wire_out.len, 3 * (16384 + 29));
	buf_clear(&p.server.wire_out);
	assert_int_equal(buf_put(&p.server.app_out, "x", 1), 0);
	end_pump(&p.server);
	assert_int_equal(p.server.wire_out.len, 1 + 29);
	pair_close(&p);
}

static void
close_is_seen_after_the_last_byte(void **state)
{
	struct pair	p;

	(void)state;
	pair_open(&p, "ec.crt", "ec.key", "localhost", "h2");
	talk(&p, SIZE_MAX);
	assert_int_equal(buf_put(&p.server.app_out, "bye", 3), 0);
	end_pump(&p.server);
	tls_shut(p.server.tls);
	carry(&p.server, &p.client, SIZE_MAX);
	assert_int_equal(p.client.r, -EPIPE);
	assert_int_equal(p.client.app_in.len, 3);
	carry(&p.client, &p.server, SIZE_MAX);
	assert_int_equal(p.server.r, -EPIPE);
	end_pump(&p.server);
	assert_int_equal(p.server.r, -EPIPE);
	pair_close(&p);
}

/* -- what is refused ------------------------------------------------------- */

static void
client_without_alpn_is_refused(void **state)
{
	struct pair	p;

	(void)state;
	pair_open(&p, "ec.crt", "ec.key", "localhost", NULL);
	talk(&p, SIZE_MAX);
	assert_int_equal(p.server.r, -EPROTO);
	assert_false(tls_ready(p.server.tls));
	assert_string_equal(tls_reason(p.server.tls), "peer does not use ALPN");
	assert_int_equal(p.client.r, -EPIPE);
	pair_close(&p);
}

static void
client_with_other_alpn_is_refused(void **state)
{
	struct pair	p;

	(void)state;
	pair_open(&p, "ec.crt", "ec.key", "localhost", "http/1.1");
	talk(&p, SIZE_MAX);
	assert_int_equal(p.server.r, -EPROTO);
	assert_string_equal(tls_reason(p.server.tls),
	    "no common ALPN protocol (alert 120)");
	assert_int_equal(p.client.r, -EPROTO);
	assert_string_equal(tls_reason(p.client.tls),
	    "peer says: no common protocol (alert 120)");
	pair_close(&p);
}

static void
server_without_alpn_is_refused_by_a_client_that_wants_it(void **state)
{
	struct pair	p;

	(void)state;
	pair_open(&p, "ec.crt", "ec.key", "localhost", "h2");
	tls_destroy(p.server.tls);
	p.server.tls = tls_server_create(p.id, NULL);
	talk(&p, SIZE_MAX);
	assert_int_equal(p.client.r, -EPROTO);
	assert_string_equal(tls_reason(p.client.tls), "peer does not use ALPN");
	pair_close(&p);
}

static void
assert_client_refuses(const char *crt, const char *key, const char *host,
    const char *why)
{
	struct pair	p;

	pair_open(&p, crt, key, host, "h2");
	talk(&p, SIZE_MAX);
	assert_int_equal(p.client.r, -EPROTO);
	assert_false(tls_ready(p.client.tls));
	assert_string_equal(tls_reason(p.client.tls), why);
	pair_close(&p);
}

static void
wrong_certificates_are_refused(void **state)
{
	(void)state;
	assert_client_refuses("ec.crt", "ec.key", "example.org",
	    "certificate is for another name (56)");
	assert_client_refuses("expired.crt", "ec.key", "localhost",
	    "certificate has expired or is not valid yet (54)");
	assert_client_refuses("ip.crt", "ec.key", "127.0.0.2",
	    "certificate is for another address");
	assert_client_refuses("ec.crt", "ec.key", "127.0.0.1",
	    "certificate is for another address");
}

static void
address_is_compared_with_the_common_name(void **state)
{
	struct pair	p;

	(void)state;
	pair_open(&p, "ip.crt", "ec.key", "127.0.0.1", "h2");
	talk(&p, SIZE_MAX);
	assert_up(&p);
	pair_close(&p);
}

static void
unknown_ca_is_refused(void **state)
{
	struct tls_trust	*t = NULL;
	struct pair		 p;
	const char		*err;
	char			 name[128];

	(void)state;
	assert_int_equal(tls_trust_load(&t, path(name, "rsa.crt"), &err), 0);
	pair_open(&p, "ec.crt", "ec.key", "localhost", "h2");
	tls_destroy(p.client.tls);
	p.client.tls = tls_client_create(t, "localhost", "h2");
	talk(&p, SIZE_MAX);
	assert_int_equal(p.client.r, -EPROTO);
	assert_string_equal(tls_reason(p.client.tls),
	    "certificate is not signed by a trusted CA (62)");
	pair_close(&p);
	tls_trust_destroy(t);
}

/* Each byte of the first flight, and of a record, spoilt in turn. */
static void
corruption_never_goes_unseen(void **state)
{
	struct pair	p;
	size_t		i, n;

	(void)state;
	pair_open(&p, "ec.crt", "ec.key", "localhost", "h2");
	talk(&p, SIZE_MAX);
	assert_int_equal(buf_put(&p.client.app_out, "secret", 6), 0);
	end_pump(&p.client);
	n = p.client.wire_out.len;
	pair_close(&p);
	for (i = 0; i < n; i++) {
		pair_open(&p, "ec.crt", "ec.key", "localhost", "h2");
		talk(&p, SIZE_MAX);
		assert_int_equal(buf_put(&p.client.app_out, "secret", 6), 0);
		end_pump(&p.client);
		buf_head(&p.client.wire_out)[i] ^= 0x01;
		carry(&p.client, &p.server, SIZE_MAX);
		assert_int_equal(p.server.app_in.len, 0);
		/* A longer length: the rest is waited for. */
		if (i != 3 && i != 4)
			assert_int_equal(p.server.r, -EPROTO);
		pair_close(&p);
	}
}

static void
bytes_that_are_not_tls_are_refused(void **state)
{
	static const char *const text[] = {
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"SSH-2.0-OpenSSH_9.2\r\n",
	};
	struct pair	p;
	size_t		i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(text); i++) {
		pair_open(&p, "ec.crt", "ec.key", "localhost", "h2");
		assert_int_equal(buf_put(&p.server.wire_in, text[i],
		    strlen(text[i])), 0);
		end_pump(&p.server);
		assert_int_equal(p.server.r, -EPROTO);
		assert_true(str_prefix(tls_reason(p.server.tls), "not TLS") ||
		    str_prefix(tls_reason(p.server.tls), "unsupported TLS") ||
		    str_prefix(tls_reason(p.server.tls), "record"));
		pair_close(&p);
	}
}

/* -- a client of BearSSL's own making, which breaks our rules -------------- */

struct rogue {
	br_ssl_client_context cc;
	br_x509_knownkey_context key;
	unsigned char	 iobuf[BR_SSL_BUFSIZE_BIDI];
	const char	*alpn[1];
};

static void
rogue_open(struct rogue *r, unsigned version)
{
	br_x509_minimal_context	unused;

	memset(r, 0, sizeof *r);
	br_ssl_client_init_full(&r->cc, &unused, NULL, 0);
	br_ssl_engine_set_versions(&r->cc.eng, version, version);
	br_ssl_engine_set_buffer(&r->cc.eng, r->iobuf, sizeof r->iobuf, 1);
	r->alpn[0] = "h2";
	br_ssl_engine_set_protocol_names(&r->cc.eng, r->alpn, 1);
}

static void
append(void *arg, const void *p, size_t n)
{
	assert_int_equal(buf_put(arg, p, n), 0);
}

/* The key of ec.crt, so that no chain is looked at. */
static void
rogue_start(struct rogue *r)
{
	static uint8_t		 q[65];
	br_x509_decoder_context	 dc;
	br_pem_decoder_context	 pem;
	struct buf		 der;
	br_ec_public_key	 pk;
	const char		*p = EC_CERT;
	size_t			 left = strlen(p), n;

	buf_init(&der, 4096);
	br_pem_decoder_init(&pem);
	br_pem_decoder_setdest(&pem, append, &der);
	for (; left > 0; p += n, left -= n) {
		n = br_pem_decoder_push(&pem, p, left);
		br_pem_decoder_event(&pem);
	}
	br_x509_decoder_init(&dc, NULL, NULL);
	br_x509_decoder_push(&dc, buf_head(&der), der.len);
	pk = br_x509_decoder_get_pkey(&dc)->key.ec;
	memcpy(q, pk.q, sizeof q);
	pk.q = q;
	buf_finish(&der);
	br_x509_knownkey_init_ec(&r->key, &pk,
	    BR_KEYTYPE_SIGN | BR_KEYTYPE_KEYX);
	br_ssl_engine_set_x509(&r->cc.eng, &r->key.vtable);
	assert_int_equal(br_ssl_client_reset(&r->cc, "localhost", 0), 1);
}

static void
rogue_talk(struct rogue *r, struct end *server)
{
	unsigned char	*p;
	size_t		 n;
	bool		 more;

	do {
		more = false;
		if ((p = br_ssl_engine_sendrec_buf(&r->cc.eng, &n)) != NULL) {
			assert_int_equal(buf_put(&server->wire_in, p, n), 0);
			br_ssl_engine_sendrec_ack(&r->cc.eng, n);
			more = true;
		}
		end_pump(server);
		p = br_ssl_engine_recvrec_buf(&r->cc.eng, &n);
		if (p != NULL && server->wire_out.len > 0) {
			if (n > server->wire_out.len)
				n = server->wire_out.len;
			assert_int_equal(buf_get(&server->wire_out, p, n), 0);
			br_ssl_engine_recvrec_ack(&r->cc.eng, n);
			more = true;
		}
	} while (more);
}

static void
old_versions_are_refused(void **state)
{
	static const unsigned versions[] = { BR_TLS10, BR_TLS11 };
	struct tls_identity	*id = identity("ec.crt", "ec.key");
	struct rogue		 r;
	struct end		 e;
	size_t			 i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(versions); i++) {
		end_init(&e, tls_server_create(id, "h2"));
		rogue_open(&r, versions[i]);
		rogue_start(&r);
		rogue_talk(&r, &e);
		assert_int_equal(e.r, -EPROTO);
		assert_string_equal(tls_reason(e.tls),
		    "peer offers only old TLS versions (alert 70)");
		end_finish(&e);
	}
	tls_identity_unref(id);
}

static void
weak_suites_are_refused(void **state)
{
	static const uint16_t	 weak[] = {
		BR_TLS_RSA_WITH_AES_128_GCM_SHA256,
		BR_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
		BR_TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA,
	};
	struct tls_identity	*id = identity("ec.crt", "ec.key");
	struct rogue		 r;
	struct end		 e;

	(void)state;
	end_init(&e, tls_server_create(id, "h2"));
	rogue_open(&r, BR_TLS12);
	br_ssl_engine_set_suites(&r.cc.eng, weak, ARRAY_LEN(weak));
	rogue_start(&r);
	rogue_talk(&r, &e);
	assert_int_equal(e.r, -EPROTO);
	assert_string_equal(tls_reason(e.tls),
	    "no common cipher suite (alert 40)");
	end_finish(&e);
	tls_identity_unref(id);
}

static void
renegotiation_is_refused_and_harmless(void **state)
{
	struct tls_identity	*id = identity("ec.crt", "ec.key");
	struct rogue		 r;
	struct end		 e;

	(void)state;
	end_init(&e, tls_server_create(id, "h2"));
	rogue_open(&r, BR_TLS12);
	rogue_start(&r);
	rogue_talk(&r, &e);
	assert_true(tls_ready(e.tls));
	assert_int_equal(br_ssl_engine_renegotiate(&r.cc.eng), 1);
	rogue_talk(&r, &e);
	assert_int_equal(e.r, 0);
	assert_int_equal(br_ssl_engine_last_error(&r.cc.eng),
	    BR_ERR_RECV_FATAL_ALERT + 100);	/* no_renegotiation */
	assert_int_equal(buf_put(&e.app_out, "still here", 10), 0);
	end_pump(&e);
	assert_int_equal(e.r, 0);
	assert_int_equal(e.wire_out.len, 10 + 29);
	end_finish(&e);
	tls_identity_unref(id);
}

static void
host_name_has_a_limit(void **state)
{
	struct tls_trust	*t = trust();
	struct tls		*c;
	char			 host[257];

	(void)state;
	memset(host, 'a', sizeof host);
	host[256] = '\0';
	assert_null(tls_client_create(t, host, "h2"));
	host[255] = '\0';
	c = tls_client_create(t, host, "h2");
	assert_non_null(c);
	tls_destroy(c);
	assert_null(tls_client_create(t, "", "h2"));
	tls_trust_destroy(t);
	tls_destroy(NULL);
}

/* A connection keeps the identity it began with (TR-25). */
static void
identity_outlives_its_owner_in_connections(void **state)
{
	struct tls_identity	*none = NULL;
	struct pair		 p;

	(void)state;
	pair_open(&p, "rsa.crt", "rsa.key", "localhost", "h2");
	tls_identity_unref(p.id);
	p.id = none;
	talk(&p, 100);
	assert_up(&p);
	pair_close(&p);
}

static void
talking_survives_any_failed_allocation(void **state)
{
	struct tls_identity	*id = identity("ec.crt", "ec.key");
	struct tls_trust	*t = trust();
	struct pair		 p = { .id = NULL };
	unsigned		 n;
	bool			 failed = true;

	(void)state;
	for (n = 1; failed; n++) {
		failmalloc_arm(n);
		p.server.tls = tls_server_create(id, "h2");
		p.client.tls = tls_client_create(t, "localhost", "h2");
		if (p.server.tls != NULL && p.client.tls != NULL) {
			end_init(&p.server, p.server.tls);
			end_init(&p.client, p.client.tls);
			end_pump(&p.client);
			end_pump(&p.server);
			assert_true(p.client.r == 0 || p.client.r == -ENOMEM);
			end_finish(&p.server);
			end_finish(&p.client);
		} else {
			tls_destroy(p.server.tls);
			tls_destroy(p.client.tls);
		}
		failed = failmalloc_disarm();
	}
	tls_identity_unref(id);
	tls_trust_destroy(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_key_works),
		cmocka_unit_test(one_byte_at_a_time_works),
		cmocka_unit_test(plaintext_that_does_not_fit_waits_inside),
		cmocka_unit_test(full_wire_buffer_stops_sealing),
		cmocka_unit_test(bulk_fills_records_and_key_presses_do_not),
		cmocka_unit_test(close_is_seen_after_the_last_byte),
		cmocka_unit_test(client_without_alpn_is_refused),
		cmocka_unit_test(client_with_other_alpn_is_refused),
		cmocka_unit_test(
		    server_without_alpn_is_refused_by_a_client_that_wants_it),
		cmocka_unit_test(wrong_certificates_are_refused),
		cmocka_unit_test(address_is_compared_with_the_common_name),
		cmocka_unit_test(unknown_ca_is_refused),
		cmocka_unit_test(corruption_never_goes_unseen),
		cmocka_unit_test(bytes_that_are_not_tls_are_refused),
		cmocka_unit_test(old_versions_are_refused),
		cmocka_unit_test(weak_suites_are_refused),
		cmocka_unit_test(renegotiation_is_refused_and_harmless),
		cmocka_unit_test(host_name_has_a_limit),
		cmocka_unit_test(identity_outlives_its_owner_in_connections),
		cmocka_unit_test(talking_survives_any_failed_allocation),
	};

	return cmocka_run_group_tests_name("tls", tests, files_create,
	    files_remove);
}
