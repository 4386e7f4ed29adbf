/* test_rpc - our server and our client, joined over a socket pair. */
#include "tests/unit/rpc_world.h"

/* -- unary ---------------------------------------------------------------- */

static void
test_SY_04_first_call_needs_no_handshake(void **state)
{
	struct grpc_stats	st;
	struct world		w;
	struct link		l;
	struct out		o = { 0 };

	(void)state;
	world_init(&w, NULL);
	link_open(&w, &l);
	assert_int_equal(out_unary(&l, &o, "sh-7"), 0);
	world_until(&w, &o.done);
	assert_int_equal(o.status, GRPC_OK);
	assert_string_equal(o.text, "");
	assert_int_equal(o.messages, 1);
	assert_string_equal(o.last, "sh-7");
	assert_string_equal(w.metadata, "sh-1");	/* the first one wins */
	assert_int_equal(w.gone, 0);
	world_turns(&w, 10);
	grpc_server_stats(w.server, &st);
	assert_int_equal(st.conns, 1);
	assert_int_equal(st.calls, 0);
	assert_int_equal(st.calls_total, 1);
	link_close(&l);
	world_finish(&w);
}

static void
test_many_calls_on_one_connection(void **state)
{
	static struct out	o[200];
	struct world		w;
	struct link		l;
	unsigned		i, round;

	(void)state;
	world_init(&w, NULL);
	link_open(&w, &l);
	for (round = 0; round < 3; round++) {
		memset(o, 0, sizeof o);
		for (i = 0; i < 200; i++)
			assert_int_equal(out_unary(&l, &o[i], "x"), 0);
		for (i = 0; i < 200; i++) {
			world_until(&w, &o[i].done);
			assert_int_equal(o[i].status, GRPC_OK);
			assert_int_equal(o[i].messages, 1);
		}
	}
	assert_int_equal(w.messages, 600);
	link_close(&l);
	world_finish(&w);
}

static void
test_status_and_text_arrive(void **state)
{
	struct world	w;
	struct link	l;
	struct out	o = { 0 };

	(void)state;
	world_init(&w, NULL);
	w.script.status = GRPC_NOT_FOUND;
	w.script.text = "no session \"a%b\"\n\xe2\x98\xba";
	link_open(&w, &l);
	assert_int_equal(out_unary(&l, &o, "a"), 0);
	world_until(&w, &o.done);
	assert_int_equal(o.status, GRPC_NOT_FOUND);
	assert_string_equal(o.text, w.script.text);
	assert_int_equal(o.messages, 0);
	link_close(&l);
	world_finish(&w);
}

static void
test_long_status_text_is_trimmed(void **state)
{
	char		text[5000];
	struct world	w;
	struct link	l;
	struct out	o = { 0 };

	(void)state;
	memset(text, '\xff', sizeof text - 1);		/* not even UTF-8 */
	text[sizeof text - 1] = '\0';
	world_init(&w, NULL);
	w.script.status = GRPC_ABORTED;
	w.script.text = text;
	link_open(&w, &l);
	assert_int_equal(out_unary(&l, &o, "a"), 0);
	world_until(&w, &o.done);
	assert_int_equal(o.status, GRPC_ABORTED);
	assert_in_range(strlen(o.text), 900, 1024);
	assert_true(utf8_valid(o.text, strlen(o.text)));
	link_close(&l);
	world_finish(&w);
}

static void
test_TR_12_message_of_1_mib_is_taken(void **state)
{
	size_t		 n = 1 << 20;
	char		*text = malloc(n + 1);
	struct world	 w;
	struct link	 l;
	struct out	 o = { 0 };

	(void)state;
	assert_non_null(text);
	memset(text, 'c', n);
	text[n] = '\0';
	world_init(&w, NULL);
	link_open(&w, &l);
	assert_int_equal(out_unary(&l, &o, text), 0);
	world_until(&w, &o.done);
	assert_int_equal(o.status, GRPC_OK);
	assert_int_equal(o.bytes, n);
	link_close(&l);
	world_finish(&w);
	free(text);
}

static void
test_TR_12_above_4_mib_fails_that_call_only(void **state)
{
	uint8_t		head[5] = { 0 };
	struct world	w;
	struct link	l;
	struct out	bidi = { 0 }, good = { 0 };
	struct raw	r;
	struct answer	a;

	(void)state;
	world_init(&w, NULL);
	link_open(&w, &l);
	assert_int_equal(out_start(&l, &bidi, "/test.Svc/Bidi", 0), 0);
	raw_open(&w, &r, world_dial(&w), false);
	raw_request(&r, &a, false, NULL);
	be32_write(head + 1, GRPC_MESSAGE_MAX + 1);
	raw_data(&r, &a, head, 5, false);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "8");
	assert_string_equal(a.message, "message larger than 4 MiB");
	raw_request(&r, &a, false, ":path", "/test.Svc/Bidi", NULL);
	raw_data(&r, &a, head, 5, false);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "8");
	assert_int_equal(out_unary(&l, &good, "still here"), 0);
	world_until(&w, &good.done);
	assert_int_equal(good.status, GRPC_OK);
	assert_false(bidi.done);
	assert_false(r.lost);
	grpc_out_cancel(bidi.call);
	raw_close(&r);
	link_close(&l);
	world_finish(&w);
}

static void
test_answer_larger_than_the_send_buffer(void **state)
{
	struct world	w;
	struct link	l;
	struct out	o = { 0 };

	(void)state;
	world_init(&w, NULL);
	w.script.answer = 3 << 20;
	link_open(&w, &l);
	assert_int_equal(out_unary(&l, &o, "x"), 0);
	world_until(&w, &o.done);
	assert_int_equal(o.status, GRPC_OK);
	assert_int_equal(o.bytes, 3 << 20);
	link_close(&l);
	world_finish(&w);
}

/* -- streams -------------------------------------------------------------- */

static void
test_half_close_by_the_client(void **state)
{
	struct world	w;
	struct link	l;
	struct out	o = { 0 };

	(void)state;
	world_init(&w, NULL);
	link_open(&w, &l);
	assert_int_equal(out_start(&l, &o, "/test.Svc/Bidi", 0), 0);
	assert_int_equal(grpc_out_send_bytes(o.call, 3, "one", 3), 0);
	world_count(&w, &o.messages, 1);
	assert_string_equal(o.last, "one");
	assert_int_equal(w.ended, 0);
	assert_int_equal(grpc_out_send_bytes(o.call, 3, "two", 3), 0);
	grpc_out_end(o.call);
	world_until(&w, &o.done);
	assert_int_equal(o.status, GRPC_OK);
	assert_int_equal(o.messages, 2);
	assert_string_equal(o.last, "two");
	assert_int_equal(w.ended, 1);
	assert_int_equal(w.gone, 0);
	link_close(&l);
	world_finish(&w);
}

static void
test_client_ends_without_a_message(void **state)
{
	struct world	w;
	struct link	l;
	struct out	o = { 0 };

	(void)state;
	world_init(&w, NULL);
	link_open(&w, &l);
	assert_int_equal(out_start(&l, &o, "/test.Svc/Bidi", 0), 0);
	grpc_out_end(o.call);
	world_until(&w, &o.done);
	assert_int_equal(o.status, GRPC_OK);
	assert_int_equal(w.ended, 1);
	assert_int_equal(w.messages, 0);
	link_close(&l);
	world_finish(&w);
}

static void
test_half_close_by_the_server(void **state)
{
	struct world	w;
	struct link	l;
	struct out	o = { 0 };

	(void)state;
	world_init(&w, NULL);
	w.script.keep_open = true;
	link_open(&w, &l);
	assert_int_equal(out_start(&l, &o, "/test.Svc/Bidi", 0), 0);
	assert_int_equal(grpc_out_send_bytes(o.call, 3, "a", 1), 0);
	grpc_out_end(o.call);
	world_count(&w, &w.ended, 1);
	world_turns(&w, 20);
	assert_false(o.done);
	/* Answers still flow after the client's end. */
	assert_int_equal(grpc_send_bytes(w.call, 2, "later", 5), 0);
	world_count(&w, &o.messages, 1);
	assert_string_equal(o.last, "later");
	grpc_finish(w.call, GRPC_OK, NULL);
	world_until(&w, &o.done);
	assert_int_equal(o.status, GRPC_OK);
	link_close(&l);
	world_finish(&w);
}

static void
test_G9_answer_before_the_clients_end(void **state)
{
	struct grpc_stats	st;
	struct world		w;
	struct link		l;
	struct out		o = { 0 };

	(void)state;
	world_init(&w, NULL);
	w.script.finish_first = true;
	link_open(&w, &l);
	assert_int_equal(out_start(&l, &o, "/test.Svc/Bidi", 0), 0);
	assert_int_equal(grpc_out_send_bytes(o.call, 3, "a", 1), 0);
	world_until(&w, &o.done);
	assert_int_equal(o.status, GRPC_OK);
	assert_int_equal(w.gone, 0);
	world_turns(&w, 20);
	grpc_server_stats(w.server, &st);
	assert_int_equal(st.calls, 0);
	assert_false(l.lost);
	link_close(&l);
	world_finish(&w);
}

static void
test_TR_15_cancel_reaches_the_handler_once(void **state)
{
	struct world	w;
	struct link	l;
	struct out	o = { 0 }, other = { 0 };

	(void)state;
	world_init(&w, NULL);
	link_open(&w, &l);
	assert_int_equal(out_start(&l, &o, "/test.Svc/Bidi", 0), 0);
	assert_int_equal(grpc_out_send_bytes(o.call, 3, "a", 1), 0);
	world_count(&w, &o.messages, 1);
	grpc_out_cancel(o.call);
	world_count(&w, &w.gone, 1);
	assert_int_equal(out_unary(&l, &other, "b"), 0);
	world_until(&w, &other.done);
	assert_int_equal(other.status, GRPC_OK);
	assert_false(o.done);			/* no done() after cancel */
	assert_int_equal(w.gone, 1);
	link_close(&l);
	world_finish(&w);
}

/* -- deadlines ------------------------------------------------------------ */

static void
test_G6_deadline_ends_the_call_and_its_work(void **state)
{
	struct world	w;
	struct raw	r;
	struct answer	a;

	(void)state;
	world_init(&w, NULL);
	w.script.keep_open = true;
	raw_open(&w, &r, world_dial(&w), false);
	raw_request(&r, &a, false, ":path", "/test.Svc/Bidi", "grpc-timeout",
	    "20m", NULL);
	RAW_DATA(&r, &a, MSG("\0", "\3", "\x1a\1x"), false);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "4");
	assert_int_equal(a.code, H2_NO_ERROR);
	assert_int_equal(w.messages, 1);
	assert_int_equal(w.gone, 1);
	raw_close(&r);
	assert_int_equal(w.gone, 1);
	world_finish(&w);
}

static void
test_SY_03_deadline_before_the_message(void **state)
{
	struct world	w;
	struct raw	r;
	struct answer	a;

	(void)state;
	world_init(&w, NULL);
	raw_open(&w, &r, world_dial(&w), false);
	raw_request(&r, &a, false, "grpc-timeout", "1n", NULL);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "4");
	assert_int_equal(w.messages, 0);
	assert_int_equal(w.gone, 0);	/* the handler never knew */
	raw_close(&r);
	world_finish(&w);
}

static void
test_client_keeps_its_own_deadline(void **state)
{
	struct world	w;
	struct link	l;
	struct out	o = { 0 };
	int		sv[2];

	(void)state;
	world_init(&w, NULL);
	w.script.keep_open = true;
	link_open(&w, &l);
	assert_int_equal(out_start(&l, &o, "/test.Svc/Bidi", 20), 0);
	world_until(&w, &o.done);
	assert_int_equal(o.status, GRPC_DEADLINE_EXCEEDED);
	link_close(&l);

	/* Nobody answers at all. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    sv), 0);
	assert_int_equal(link_attach(&w, &l, sv[0]), 0);
	world_turns(&w, 3);
	assert_int_equal(out_start(&l, &o, "/test.Svc/Bidi", 20), 0);
	world_until(&w, &o.done);
	assert_int_equal(o.status, GRPC_DEADLINE_EXCEEDED);
	close(sv[1]);
	link_close(&l);
	world_finish(&w);
}

/* -- losing the connection ------------------------------------------------ */

static void
test_TR_17_lost_connection_ends_every_call(void **state)
{
	struct grpc_stats	st;
	struct world		w;
	struct link		l;
	struct out		o[20];
	unsigned		i;

	(void)state;
	world_init(&w, NULL);
	w.script.keep_open = true;
	link_open(&w, &l);
	memset(o, 0, sizeof o);
	for (i = 0; i < 20; i++) {
		assert_int_equal(out_start(&l, &o[i], "/test.Svc/Bidi", 0), 0);
		assert_int_equal(grpc_out_send_bytes(o[i].call, 3, "a", 1), 0);
	}
	world_count(&w, &w.messages, 20);
	link_close(&l);
	world_count(&w, &w.gone, 20);
	for (i = 0; i < 20; i++) {
		assert_int_equal(o[i].dones, 1);
		assert_int_equal(o[i].status, GRPC_CANCELLED);
	}
	world_turns(&w, 20);
	grpc_server_stats(w.server, &st);
	assert_int_equal(st.conns, 0);
	assert_int_equal(st.calls, 0);
	assert_int_equal(w.gone, 20);
	world_finish(&w);
}

static void
test_lost_server_ends_every_call_then_the_link(void **state)
{
	struct world	w;
	struct link	l;
	struct out	o[3] = { { 0 } };
	unsigned	i;

	(void)state;
	world_init(&w, NULL);
	w.script.keep_open = true;
	link_open(&w, &l);
	for (i = 0; i < 3; i++) {
		assert_int_equal(out_start(&l, &o[i], "/test.Svc/Bidi", 0), 0);
		assert_int_equal(grpc_out_send_bytes(o[i].call, 3, "a", 1), 0);
	}
	world_count(&w, &w.messages, 3);
	grpc_server_destroy(w.server);
	w.server = NULL;
	assert_int_equal(w.gone, 3);
	world_until(&w, &l.lost);
	for (i = 0; i < 3; i++) {
		assert_int_equal(o[i].dones, 1);
		assert_int_equal(o[i].status, GRPC_UNAVAILABLE);
	}
	assert_true(strlen(l.reason) > 0);
	assert_int_equal(out_start(&l, &o[0], "/test.Svc/Bidi", 0), -EPIPE);
	link_close(&l);
	world_finish(&w);
}

static void
test_G15_graceful_stop_finishes_running_calls(void **state)
{
	struct world	w;
	struct link	l;
	struct raw	r;
	struct answer	a, late;
	struct out	o = { 0 };

	(void)state;
	world_init(&w, NULL);
	w.script.keep_open = true;
	link_open(&w, &l);
	assert_int_equal(out_start(&l, &o, "/test.Svc/Bidi", 0), 0);
	assert_int_equal(grpc_out_send_bytes(o.call, 3, "a", 1), 0);
	world_count(&w, &w.messages, 1);
	raw_open(&w, &r, world_dial(&w), false);
	raw_request(&r, &a, false, ":path", "/test.Svc/Bidi", NULL);
	RAW_DATA(&r, &a, MSG("\0", "\3", "\x1a\1x"), false);
	world_count(&w, &w.messages, 2);

	grpc_server_shutdown(w.server);
	assert_false(grpc_server_drained(w.server));
	world_count(&w, &r.goaways, 2);		/* 2^31-1, then the last one */
	assert_int_equal(r.goaway_id, h2_stream_id(a.stream));
	world_turns(&w, 20);
	assert_false(o.done);
	assert_int_equal(out_start(&l, &o, "/test.Svc/Bidi", 0), -EPIPE);
	assert_false(l.lost);
	(void)late;
	grpc_finish(w.call, GRPC_OK, NULL);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "0");
	world_until(&w, &r.lost);
	raw_close(&r);
	link_close(&l);
	assert_true(grpc_server_drained(w.server));
	world_finish(&w);
}

static void
test_client_destroyed_in_its_own_callbacks(void **state)
{
	struct world	w;
	struct link	l;
	struct out	o = { 0 };

	(void)state;
	world_init(&w, NULL);
	link_open(&w, &l);
	assert_int_equal(out_unary(&l, &o, "x"), 0);
	world_turns(&w, 1);
	grpc_client_destroy(l.client);
	grpc_client_destroy(NULL);
	assert_true(o.done);
	assert_int_equal(o.status, GRPC_CANCELLED);
	world_turns(&w, 50);
	assert_false(l.lost);			/* the owner let go */
	world_finish(&w);
}

static void
test_client_and_loop_destroyed_in_one_breath(void **state)
{
	struct world	w;
	struct link	l;
	struct loop	*loop;
	int		 sv[2], end;

	(void)state;
	for (end = 0; end < 2; end++) {
		world_init(&w, NULL);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM |
		    SOCK_NONBLOCK, 0, sv), 0);
		loop = w.loop;
		assert_non_null(w.loop = loop_create());
		assert_int_equal(link_attach(&w, &l, sv[0]), 0);
		if (end == 1)
			world_turns(&w, 5);
		grpc_client_destroy(l.client);
		loop_destroy(w.loop);		/* the leak checker watches */
		assert_false(l.lost);
		close(sv[1]);
		w.loop = loop;
		world_finish(&w);
	}
}

/* -- slots ---------------------------------------------------------------- */

static void
test_work_keeps_the_slot_of_a_reset_call(void **state)
{
	static struct out	o[GRPC_LIVE_CONN_MAX];
	struct grpc_stats	st;
	struct world		w;
	struct link		l;
	struct out		late = { 0 };
	unsigned		i;

	(void)state;
	world_init(&w, NULL);
	w.script.keep_open = w.script.work = true;
	link_open(&w, &l);
	memset(o, 0, sizeof o);
	for (i = 0; i < GRPC_LIVE_CONN_MAX; i++) {
		assert_int_equal(out_start(&l, &o[i], "/test.Svc/Bidi", 0), 0);
		assert_int_equal(grpc_out_send_bytes(o[i].call, 3, "a", 1), 0);
		world_count(&w, &w.nworks, i + 1);
		grpc_out_cancel(o[i].call);
	}
	world_count(&w, &w.gone, GRPC_LIVE_CONN_MAX);
	grpc_server_stats(w.server, &st);
	assert_int_equal(st.calls, GRPC_LIVE_CONN_MAX);
	assert_int_equal(out_unary(&l, &late, "x"), 0);
	world_until(&w, &late.done);
	assert_int_equal(late.status, GRPC_UNAVAILABLE);	/* REFUSED */
	assert_int_equal(w.messages, GRPC_LIVE_CONN_MAX);

	grpc_work_done(w.works[0]);
	grpc_work_done(NULL);
	assert_int_equal(out_unary(&l, &late, "x"), 0);
	world_until(&w, &late.done);
	assert_int_equal(late.status, GRPC_OK);
	/* Work may outlive connection and server. */
	link_close(&l);
	world_turns(&w, 20);
	grpc_server_stats(w.server, &st);
	assert_int_equal(st.conns, 0);
	assert_int_equal(st.calls, GRPC_LIVE_CONN_MAX);
	grpc_server_destroy(w.server);
	w.server = NULL;
	for (i = 1; i < w.nworks; i++)
		grpc_work_done(w.works[i]);
	world_finish(&w);
}

/* -- memory --------------------------------------------------------------- */

static void
exercise(struct world *w)
{
	struct link	l;
	struct out	o = { 0 }, p = { 0 };
	int		sv, r;

	sv = world_dial(w);
	if (link_attach(w, &l, sv) < 0)
		return;
	world_turns(w, 12);
	if (l.ready && out_unary(&l, &o, "hello") == 0)
		world_turns(w, 12);
	if (l.ready && !l.lost &&
	    out_start(&l, &p, "/test.Svc/Bidi", 0) == 0) {
		r = grpc_out_send_bytes(p.call, 3, "abc", 3);
		if (r == 0)
			world_turns(w, 6);
		if (!p.done)
			grpc_out_end(p.call);
		world_turns(w, 12);
	}
	grpc_client_destroy(l.client);
	world_turns(w, 20);
	assert_true(o.dones <= 1 && p.dones <= 1);
}

static void
test_calls_survive_a_failing_allocator(void **state)
{
	struct grpc_stats	st;
	struct world		w;
	unsigned		n;

	(void)state;
	for (n = 1; ; n++) {
		world_init(&w, NULL);
		failmalloc_arm(n);
		exercise(&w);
		if (!failmalloc_disarm())
			break;
		grpc_server_stats(w.server, &st);
		assert_int_equal(st.calls, 0);
		world_finish(&w);
	}
	assert_int_equal(w.messages, 2);
	assert_int_equal(w.ended, 1);
	assert_true(n > 10);
	world_finish(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_SY_04_first_call_needs_no_handshake),
		cmocka_unit_test(test_many_calls_on_one_connection),
		cmocka_unit_test(test_status_and_text_arrive),
		cmocka_unit_test(test_long_status_text_is_trimmed),
		cmocka_unit_test(test_TR_12_message_of_1_mib_is_taken),
		cmocka_unit_test(test_TR_12_above_4_mib_fails_that_call_only),
		cmocka_unit_test(test_answer_larger_than_the_send_buffer),
		cmocka_unit_test(test_half_close_by_the_client),
		cmocka_unit_test(test_client_ends_without_a_message),
		cmocka_unit_test(test_half_close_by_the_server),
		cmocka_unit_test(test_G9_answer_before_the_clients_end),
		cmocka_unit_test(test_TR_15_cancel_reaches_the_handler_once),
		cmocka_unit_test(test_G6_deadline_ends_the_call_and_its_work),
		cmocka_unit_test(test_SY_03_deadline_before_the_message),
		cmocka_unit_test(test_client_keeps_its_own_deadline),
		cmocka_unit_test(test_TR_17_lost_connection_ends_every_call),
		cmocka_unit_test(
		    test_lost_server_ends_every_call_then_the_link),
		cmocka_unit_test(test_G15_graceful_stop_finishes_running_calls),
		cmocka_unit_test(test_client_destroyed_in_its_own_callbacks),
		cmocka_unit_test(test_client_and_loop_destroyed_in_one_breath),
		cmocka_unit_test(test_work_keeps_the_slot_of_a_reset_call),
		cmocka_unit_test(test_calls_survive_a_failing_allocator),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
