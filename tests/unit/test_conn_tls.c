#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/tls.h"
#include "tests/unit/conn_owner.h"
#include "tests/unit/tls_files.h"

struct wire {
	struct loop	*loop;
	struct tls_identity *id;
	struct tls_trust *trust;
	struct owner	 server, client;
};

static void
wire_open(struct wire *w, const char *host)
{
	int	fd[2];

	w->loop = loop_create();
	w->id = identity("ec.crt", "ec.key");
	w->trust = trust();
	owner_init(&w->server);
	owner_init(&w->client);
	socket_pair(fd);
	assert_int_equal(conn_create(&w->server.c, w->loop, fd[0], false,
	    tls_server_create(w->id, "h2"), &ops_with_eof, &w->server), 0);
	assert_int_equal(conn_create(&w->client.c, w->loop, fd[1], false,
	    tls_client_create(w->trust, host, "h2"), &ops, &w->client), 0);
}

static void
wire_close(struct wire *w)
{
	if (w->server.closeds == 0)
		conn_close(w->server.c, 0);
	if (w->client.closeds == 0)
		conn_close(w->client.c, 0);
	loop_destroy(w->loop);
	tls_identity_unref(w->id);
	tls_trust_destroy(w->trust);
	owner_finish(&w->server);
	owner_finish(&w->client);
}

static void
tls_carries_bulk_both_ways(void **state)
{
	struct wire	w;
	size_t		n = 3 << 20, i;
	uint8_t		*p;

	(void)state;
	wire_open(&w, "localhost");
	w.server.echo = true;
	assert_int_equal(buf_reserve(&w.client.todo, n, &p), 0);
	for (i = 0; i < n; i++)
		p[i] = (uint8_t)(i % 251);
	buf_commit(&w.client.todo, n);
	conn_kick(w.client.c);
	for (i = 0; i < 5000 && w.client.got.len < n; i++)
		turns(w.loop, 1);
	assert_int_equal(w.client.got.len, n);
	assert_int_equal(w.server.readies + w.client.readies, 2);
	for (i = 0; i < n; i++)
		assert_int_equal(buf_head(&w.client.got)[i], i % 251);
	assert_true(conn_is_tls(w.server.c));
	wire_close(&w);
}

static void
tls_plaintext_left_over_is_offered_after_resume(void **state)
{
	struct wire	w;

	(void)state;
	wire_open(&w, "localhost");
	w.server.eat = 1;
	assert_int_equal(buf_put(&w.client.todo, "abc", 3), 0);
	conn_kick(w.client.c);
	turns(w.loop, 10);
	assert_int_equal(w.server.got.len, 1);
	conn_resume(w.server.c);
	turns(w.loop, 2);
	assert_int_equal(w.server.got.len, 2);
	wire_close(&w);
}

static void
tls_end_is_orderly_with_close_notify(void **state)
{
	struct wire	w;

	(void)state;
	wire_open(&w, "localhost");
	assert_int_equal(buf_put(&w.client.todo, "last", 4), 0);
	turns(w.loop, 10);
	conn_finish(w.client.c);
	turns(w.loop, 10);
	assert_int_equal(w.server.got.len, 4);
	assert_int_equal(w.server.closeds, 1);
	assert_int_equal(w.server.why, 0);
	assert_int_equal(w.server.eofs, 0);
	assert_int_equal(w.client.closeds, 1);
	assert_int_equal(w.client.why, 0);
	wire_close(&w);
}

static void
tls_end_without_close_notify_is_an_error(void **state)
{
	struct wire	w;

	(void)state;
	wire_open(&w, "localhost");
	turns(w.loop, 10);
	assert_int_equal(w.server.readies, 1);
	conn_close(w.client.c, 0);
	turns(w.loop, 3);
	assert_int_equal(w.server.closeds, 1);
	assert_int_equal(w.server.why, -ECONNRESET);
	assert_string_equal(w.server.reason, "cut off without a TLS close");
	wire_close(&w);
}

static void
tls_failure_has_a_reason(void **state)
{
	struct wire	w;

	(void)state;
	wire_open(&w, "example.org");
	turns(w.loop, 20);
	assert_int_equal(w.client.closeds, 1);
	assert_int_equal(w.client.readies, 0);
	assert_int_equal(w.client.why, -EPROTO);
	assert_string_equal(w.client.reason,
	    "certificate is for another name (56)");
	assert_int_equal(w.server.closeds, 1);
	assert_string_equal(w.server.reason, "closed during the TLS handshake");
	wire_close(&w);
}

static void
tls_ready_may_close(void **state)
{
	struct wire	w;

	(void)state;
	wire_open(&w, "localhost");
	w.server.close_on_ready = true;
	turns(w.loop, 10);
	assert_int_equal(w.server.closeds, 1);
	assert_int_equal(w.client.closeds, 1);
	wire_close(&w);
}

static void
tls_handshake_has_a_time_limit(void **state)
{
	struct tls_identity	*id = identity("ec.crt", "ec.key");
	struct loop		*l = loop_create();
	struct owner		 o;
	int			 fd[2];

	(void)state;
	owner_init(&o);
	socket_pair(fd);
	assert_int_equal(conn_create(&o.c, l, fd[0], false,
	    tls_server_create(id, "h2"), &ops, &o), 0);
	turns(l, 2);
	/* A byte now and then does not help. */
	pass(l, CONN_HANDSHAKE_MS / 2);
	assert_int_equal(send(fd[1], "\x16", 1, 0), 1);
	pass(l, 0);
	assert_int_equal(o.closeds, 0);
	pass(l, CONN_HANDSHAKE_MS / 2);
	assert_int_equal(o.closeds, 1);
	assert_int_equal(o.why, -ETIMEDOUT);
	assert_string_equal(o.reason, "TLS handshake took too long");
	close(fd[1]);
	loop_destroy(l);
	owner_finish(&o);
	tls_identity_unref(id);
}

/* -- no memory ------------------------------------------------------------- */

static void
any_failed_allocation_costs_the_connection_only(void **state)
{
	struct tls_identity	*id = identity("ec.crt", "ec.key");
	struct loop		*l = loop_create();
	struct owner		 o;
	unsigned		 n;
	bool			 failed = true;
	int			 fd[2], i;

	(void)state;
	for (n = 1; failed; n++) {
		struct tls	*t = tls_server_create(id, "h2");

		owner_init(&o);
		socket_pair(fd);
		assert_int_equal(send(fd[1], "\x16\x03\x01", 3, 0), 3);
		failmalloc_arm(n);
		if (conn_create(&o.c, l, fd[0], false, t, &ops, &o) == 0) {
			for (i = 0; i < 3; i++)
				turns(l, 1);
			failed = failmalloc_disarm();
			if (o.closeds == 0)
				conn_close(o.c, 0);
			else
				assert_int_equal(o.why, -ENOMEM);
		} else {
			failed = failmalloc_disarm();
		}
		turns(l, 1);
		close(fd[1]);
		owner_finish(&o);
	}
	assert_true(n > 2);
	loop_destroy(l);
	tls_identity_unref(id);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tls_carries_bulk_both_ways),
		cmocka_unit_test(
		    tls_plaintext_left_over_is_offered_after_resume),
		cmocka_unit_test(tls_end_is_orderly_with_close_notify),
		cmocka_unit_test(tls_end_without_close_notify_is_an_error),
		cmocka_unit_test(tls_failure_has_a_reason),
		cmocka_unit_test(tls_ready_may_close),
		cmocka_unit_test(tls_handshake_has_a_time_limit),
		cmocka_unit_test(
		    any_failed_allocation_costs_the_connection_only),
	};

	return cmocka_run_group_tests_name("conn tls", tests, files_create,
	    files_remove);
}
