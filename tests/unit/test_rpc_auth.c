/* test_rpc_auth - who may call, and who may stay connected. */
#include "tests/unit/rpc_world.h"

static void
begin(struct world *w, struct raw *r, const struct grpc_options *opt)
{
	world_init(w, opt);
	raw_open(w, r, world_dial(w), false);
}

static void
end(struct world *w, struct raw *r)
{
	assert_false(r->lost);
	raw_close(r);
	world_finish(w);
}

/* -- authorisation -------------------------------------------------------- */

static void
with_auth(struct world *w, struct raw *r, int verdict)
{
	struct grpc_options	opt;

	world_options(w, &opt);
	opt.auth = (struct grpc_auth){
		.check = auth_check, .forget = auth_forget,
		.cancel = auth_cancel
	};
	begin(w, r, &opt);
	w->verdict = verdict;
}

static void
test_TR_23_refused_call_is_never_looked_at(void **state)
{
	static const char *const paths[] = {
		"/test.Svc/Unary", "/test.Svc/Stream", "/test.Svc/Bidi"
	};
	struct grpc_stats	st;
	struct world		w;
	struct raw		r;
	struct answer		a;
	size_t			i;

	(void)state;
	with_auth(&w, &r, GRPC_UNAUTHENTICATED);
	for (i = 0; i < ARRAY_LEN(paths); i++) {
		raw_request(&r, &a, false, ":path", paths[i], "authorization",
		    "Bearer abc", NULL);
		RAW_DATA(&r, &a, MSG("\0", "\3", "\x1a\1x"), false);
		world_until(&w, &a.closed);
		assert_string_equal(a.http, "200");
		assert_string_equal(a.status, "16");
		assert_string_equal(a.message, "token expired");
		assert_int_equal(a.blocks, 1);
		assert_int_equal(a.code, H2_NO_ERROR);
		assert_string_equal(w.authorization, "Bearer abc");
	}
	raw_request(&r, &a, true, NULL);
	world_until(&w, &a.closed);
	assert_string_equal(w.authorization, "(none)");
	assert_int_equal(w.checks, 4);
	assert_int_equal(w.messages, 0);
	assert_int_equal(w.ended, 0);
	assert_int_equal(w.gone, 0);
	grpc_server_stats(w.server, &st);
	assert_int_equal(st.calls_refused, 4);
	end(&w, &r);
	assert_int_equal(w.forgets, 1);
}

static void
test_T1_data_of_a_refused_call_is_thrown_away(void **state)
{
	static uint8_t	block[16384];
	struct world	w;
	struct raw	r;
	struct answer	a, good;
	unsigned	i;

	(void)state;
	with_auth(&w, &r, GRPC_UNAUTHENTICATED);
	/* More than the connection's window, in calls that are all refused. */
	for (i = 0; i < 100; i++) {
		raw_request(&r, &a, false, ":path", "/test.Svc/Bidi", NULL);
		raw_data(&r, &a, block, sizeof block, false);
		world_until(&w, &a.closed);
		assert_string_equal(a.status, "16");
	}
	w.verdict = GRPC_OK;
	raw_request(&r, &good, false, NULL);
	RAW_DATA(&r, &good, MSG("\0", "\0", ""), true);
	world_until(&w, &good.closed);
	assert_string_equal(good.status, "0");
	end(&w, &r);
}

static void
test_TR_24_allowed_call_knows_its_subject(void **state)
{
	struct world	w;
	struct raw	r;
	struct answer	a;

	(void)state;
	with_auth(&w, &r, GRPC_OK);
	w.script.silent = true;
	raw_request(&r, &a, false, "authorization", "Bearer abc", NULL);
	RAW_DATA(&r, &a, MSG("\0", "\0", ""), true);
	world_count(&w, &w.messages, 1);
	assert_string_equal(grpc_call_subject(w.call), "alice");
	assert_true(grpc_call_peer(w.call)->has_uid);
	assert_false(grpc_call_peer(w.call)->tls);
	assert_int_equal(grpc_call_peer(w.call)->uid, getuid());
	grpc_finish(w.call, GRPC_OK, NULL);
	world_until(&w, &a.closed);
	end(&w, &r);
}

static void
test_pending_call_waits_with_its_data(void **state)
{
	struct world	w;
	struct raw	r;
	struct answer	a;

	(void)state;
	with_auth(&w, &r, GRPC_AUTH_PENDING);
	/* Stream: two messages wait, then come in order, then the end. */
	raw_request(&r, &a, false, ":path", "/test.Svc/Bidi", NULL);
	RAW_DATA(&r, &a, MSG("\0", "\3", "\x1a\1x") MSG("\0", "\3", "\x1a\1y"),
	    true);
	world_turns(&w, 20);
	assert_int_equal(w.messages, 0);
	grpc_authorized(w.pending, GRPC_OK, NULL);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "0");
	assert_int_equal(w.messages, 2);
	assert_string_equal(w.last, "y");
	assert_int_equal(w.ended, 1);
	/* Unary: allowed in the middle of its message. */
	raw_request(&r, &a, false, NULL);
	RAW_DATA(&r, &a, "\0\0\0\0", false);
	world_turns(&w, 20);
	grpc_authorized(w.pending, GRPC_OK, NULL);
	RAW_DATA(&r, &a, "\3\x0a\1q", true);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "0");
	assert_string_equal(w.last, "q");
	/* Unary, whole. */
	raw_request(&r, &a, false, NULL);
	RAW_DATA(&r, &a, MSG("\0", "\3", "\x0a\1z"), true);
	world_turns(&w, 20);
	grpc_authorized(w.pending, GRPC_OK, NULL);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "0");
	assert_string_equal(w.last, "z");
	assert_int_equal(w.cancels, 0);
	end(&w, &r);
}

/* Whatever comes or does not come behind the headers. */
static void
test_SY_09_what_is_not_served_is_unimplemented_at_once(void **state)
{
	struct world	w;
	struct raw	r;
	struct answer	a;
	int		how;

	(void)state;
	with_auth(&w, &r, GRPC_OK);
	for (how = 0; how < 3; how++) {
		raw_request(&r, &a, how == 0, ":path", "/test.Svc/Missing",
		    NULL);
		if (how == 1)
			RAW_DATA(&r, &a, MSG("\0", "\3", "\x1a\1x"), false);
		world_until(&w, &a.closed);
		assert_string_equal(a.status, "12");
		assert_int_equal(a.blocks, 1);
		assert_int_equal(a.code, H2_NO_ERROR);
	}
	/* Not before it is known who asks. */
	w.verdict = GRPC_AUTH_PENDING;
	raw_request(&r, &a, true, ":path", "/test.Svc/Missing", NULL);
	world_turns(&w, 20);
	assert_false(a.closed);
	grpc_authorized(w.pending, GRPC_OK, NULL);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "12");
	w.verdict = GRPC_UNAUTHENTICATED;
	raw_request(&r, &a, true, ":path", "/test.Svc/Missing", NULL);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "16");
	end(&w, &r);
}

static void
test_pending_call_keeps_no_more_than_its_window(void **state)
{
	static uint8_t	block[16384];
	struct world	w;
	struct raw	r;
	struct answer	a;
	size_t		sent = 0;
	int		i;

	(void)state;
	with_auth(&w, &r, GRPC_AUTH_PENDING);
	raw_request(&r, &a, false, NULL);
	be32_write(block + 1, 1 << 20);
	for (i = 0; i < 50; i++) {
		if (h2_data(a.stream, block, sizeof block, false) == 0)
			sent += sizeof block;
		conn_kick(r.conn);
		world_turns(&w, 3);
	}
	assert_in_range(sent, 100000, 200000);	/* window and send buffer */
	grpc_authorized(w.pending, GRPC_PERMISSION_DENIED, "not yours");
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "7");
	assert_string_equal(a.message, "not yours");
	assert_int_equal(w.messages, 0);
	end(&w, &r);
}

static void
test_pending_call_that_goes_away_is_cancelled(void **state)
{
	struct world	w;
	struct raw	r;
	struct answer	a, b;

	(void)state;
	with_auth(&w, &r, GRPC_AUTH_PENDING);
	raw_request(&r, &a, false, NULL);
	world_count(&w, &w.checks, 1);
	h2_reset(a.stream, H2_CANCEL);
	conn_kick(r.conn);
	world_count(&w, &w.cancels, 1);
	raw_request(&r, &a, false, "grpc-timeout", "10m", NULL);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "4");
	assert_int_equal(w.cancels, 2);
	raw_request(&r, &b, false, NULL);
	world_count(&w, &w.checks, 3);
	end(&w, &r);
	assert_int_equal(w.cancels, 3);
	assert_int_equal(w.gone, 0);
	assert_int_equal(w.forgets, 1);
}

static void
test_calls_pending_per_connection_are_limited(void **state)
{
	static struct answer	a[17];
	struct world		w;
	struct raw		r;
	unsigned		i;

	(void)state;
	with_auth(&w, &r, GRPC_AUTH_PENDING);
	for (i = 0; i < 17; i++)
		raw_request(&r, &a[i], false, NULL);
	world_until(&w, &a[16].closed);
	assert_string_equal(a[16].status, "8");
	assert_int_equal(w.cancels, 1);
	assert_false(a[0].closed);
	end(&w, &r);
	assert_int_equal(w.cancels, 17);
}

/* -- connections ---------------------------------------------------------- */

static void
test_connections_are_limited(void **state)
{
	struct grpc_options	opt;
	struct grpc_stats	st;
	struct world		w;
	struct raw		r[5];
	struct answer		a;
	unsigned		i;

	(void)state;
	world_options(&w, &opt);
	opt.conns_max = 4;
	opt.conns_unauth_max = 2;
	world_init(&w, &opt);
	for (i = 0; i < 3; i++)
		raw_open(&w, &r[i], world_dial(&w), false);
	world_until(&w, &r[2].lost);		/* two without a good call */
	raw_close(&r[2]);
	for (i = 0; i < 2; i++) {
		raw_request(&r[i], &a, false, NULL);
		RAW_DATA(&r[i], &a, MSG("\0", "\0", ""), true);
		world_until(&w, &a.closed);
	}
	for (i = 2; i < 5; i++)
		raw_open(&w, &r[i], world_dial(&w), false);
	world_until(&w, &r[4].lost);		/* four in all */
	grpc_server_stats(w.server, &st);
	assert_int_equal(st.conns, 4);
	assert_int_equal(st.conns_refused, 2);
	for (i = 0; i < 5; i++)
		raw_close(&r[i]);
	grpc_server_stats(w.server, &st);
	assert_int_equal(st.conns, 0);
	world_finish(&w);
}

static void
test_no_good_call_in_time_ends_the_connection(void **state)
{
	struct grpc_options	opt;
	struct world		w;
	struct raw		r;
	struct answer		a;

	(void)state;
	world_options(&w, &opt);
	opt.first_token_ms = 30;
	opt.auth.check = auth_check;
	begin(&w, &r, &opt);
	w.verdict = GRPC_UNAUTHENTICATED;
	raw_request(&r, &a, true, NULL);
	world_until(&w, &a.closed);
	world_until(&w, &r.lost);
	assert_int_equal(r.goaways, 1);
	raw_close(&r);
	world_finish(&w);
}

static void
test_idle_connection_is_sent_away(void **state)
{
	struct grpc_options	opt;
	struct world		w;
	struct raw		r;
	struct answer		a, b;

	(void)state;
	world_options(&w, &opt);
	opt.idle_ms = 40;
	begin(&w, &r, &opt);
	w.script.keep_open = true;
	raw_request(&r, &a, false, ":path", "/test.Svc/Bidi", NULL);
	raw_request(&r, &b, false, "grpc-timeout", "80m", NULL);
	world_until(&w, &b.closed);
	assert_int_equal(r.goaways, 0);		/* a stream is open */
	h2_reset(a.stream, H2_CANCEL);
	conn_kick(r.conn);
	world_until(&w, &r.lost);
	assert_int_equal(r.goaways, 2);
	raw_close(&r);
	world_finish(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_TR_23_refused_call_is_never_looked_at),
		cmocka_unit_test(test_T1_data_of_a_refused_call_is_thrown_away),
		cmocka_unit_test(test_TR_24_allowed_call_knows_its_subject),
		cmocka_unit_test(test_pending_call_waits_with_its_data),
		cmocka_unit_test(
		    test_SY_09_what_is_not_served_is_unimplemented_at_once),
		cmocka_unit_test(
		    test_pending_call_keeps_no_more_than_its_window),
		cmocka_unit_test(test_pending_call_that_goes_away_is_cancelled),
		cmocka_unit_test(test_calls_pending_per_connection_are_limited),
		cmocka_unit_test(test_connections_are_limited),
		cmocka_unit_test(test_no_good_call_in_time_ends_the_connection),
		cmocka_unit_test(test_idle_connection_is_sent_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
