/* test_rpc_flow - back-pressure, both ways. */
#include "rpc/server_impl.h"
#include "tests/unit/rpc_world.h"

static void
test_room_ends_and_writable_comes(void **state)
{
	const size_t	total = 8 << 20;
	struct world	w;
	struct link	l;
	struct out	o = { .pause = true };

	(void)state;
	world_init(&w, NULL);
	w.script.pour = total;
	link_open(&w, &l);
	assert_int_equal(out_start(&l, &o, "/test.Svc/Bidi", 0), 0);
	assert_int_equal(grpc_out_send_bytes(o.call, 3, "go", 2), 0);
	world_count(&w, &o.messages, 1);
	world_turns(&w, 200);
	assert_int_equal(o.messages, 1);
	/* What the server has sent is the window, its buffer and the socket. */
	assert_in_range(w.poured, GRPC_DATA_MAX, 1 << 20);
	grpc_out_resume(o.call);
	world_until(&w, &o.done);
	assert_int_equal(o.status, GRPC_OK);
	assert_int_equal(o.bytes, total);
	assert_true(w.writable > 0);
	link_close(&l);
	world_finish(&w);
}

static void
test_TR_19_a_stalled_stream_does_not_stop_the_others(void **state)
{
	struct world	w;
	struct link	l;
	struct out	o[4] = { { 0 } }, good = { 0 };
	unsigned	i;

	(void)state;
	world_init(&w, NULL);
	link_open(&w, &l);
	for (i = 0; i < 4; i++) {
		w.script.pour = 1 << 20;
		w.poured = 0;
		o[i].pause = true;
		assert_int_equal(out_start(&l, &o[i], "/test.Svc/Bidi", 0), 0);
		assert_int_equal(grpc_out_send_bytes(o[i].call, 3, "go", 2),
		    0);
		world_count(&w, &o[i].messages, 1);
		world_turns(&w, 50);
	}
	w.script.pour = 0;
	for (i = 0; i < 50; i++) {
		assert_int_equal(out_unary(&l, &good, "quick"), 0);
		world_until(&w, &good.done);
		assert_int_equal(good.status, GRPC_OK);
	}
	for (i = 0; i < 4; i++)
		grpc_out_cancel(o[i].call);
	link_close(&l);
	world_finish(&w);
}

/* Together the queues of the others are at their limit: no room beside what
 * is queued already, but whoever asks is told when that has gone out. */
static void
test_TR_19_small_writer_beside_full_queues(void **state)
{
	struct grpc_call	*call;
	struct world		 w;
	struct link		 l;
	struct out		 o[12], live = { 0 };
	unsigned		 i, n;

	(void)state;
	world_init(&w, NULL);
	link_open(&w, &l);
	memset(o, 0, sizeof o);
	for (i = 0; i < 12; i++) {
		w.script.pour = 1 << 20;
		w.poured = 0;
		o[i].pause = true;
		assert_int_equal(out_start(&l, &o[i], "/test.Svc/Bidi", 0), 0);
		assert_int_equal(grpc_out_send_bytes(o[i].call, 3, "go", 2),
		    0);
		world_count(&w, &o[i].messages, 1);
		world_turns(&w, 50);
	}
	w.script.pour = 0;
	w.script.keep_open = true;
	assert_int_equal(out_start(&l, &live, "/test.Svc/Bidi", 0), 0);
	n = w.messages;
	assert_int_equal(grpc_out_send_bytes(live.call, 3, "a", 1), 0);
	world_count(&w, &w.messages, n + 1);
	call = w.call;
	for (i = 0; i < 20; i++) {
		assert_true(grpc_room(call) > 0);
		assert_int_equal(grpc_send_bytes(call, 2, "x", 1), 0);
		n = w.writable;
		if (grpc_room(call) == 0)
			world_count(&w, &w.writable, n + 1);
	}
	world_count(&w, &live.messages, 20);
	for (i = 0; i < 12; i++)
		grpc_out_cancel(o[i].call);
	grpc_out_cancel(live.call);
	link_close(&l);
	world_finish(&w);
}

static void
test_paused_call_holds_no_more_than_its_window(void **state)
{
	static const uint8_t	block[8192];
	struct grpc_call	*call;
	struct world		 w;
	struct link		 l;
	struct out		 o = { 0 };
	size_t			 sent = 0;
	int			 i, r;

	(void)state;
	world_init(&w, NULL);
	w.script.keep_open = w.script.pause = true;
	link_open(&w, &l);
	assert_int_equal(out_start(&l, &o, "/test.Svc/Bidi", 0), 0);
	for (i = 0; i < 200; i++) {
		r = grpc_out_send_bytes(o.call, 3, block, sizeof block);
		if (r == 0)
			sent += sizeof block;
		else
			assert_int_equal(r, -ENOBUFS);
		world_turns(&w, 3);
	}
	assert_int_equal(w.messages, 1);
	assert_in_range(sent, 64 << 10, 512 << 10);
	assert_int_equal(grpc_out_send_bytes(o.call, 3, block, sizeof block),
	    -ENOBUFS);
	call = w.call;
	grpc_resume(call);
	world_count(&w, &w.messages, (unsigned)(sent / sizeof block));
	assert_int_equal(w.bytes, sent);
	assert_true(o.writable > 0);
	grpc_pause(call);
	grpc_out_end(o.call);
	world_turns(&w, 20);
	assert_int_equal(w.ended, 0);	/* comes behind what is held back */
	grpc_resume(call);
	world_count(&w, &w.ended, 1);
	grpc_finish(call, GRPC_OK, NULL);
	world_until(&w, &o.done);
	link_close(&l);
	world_finish(&w);
}

static void
test_paused_client_gets_its_answers_before_done(void **state)
{
	struct world	w;
	struct link	l;
	struct out	o = { .pause = true };

	(void)state;
	world_init(&w, NULL);
	link_open(&w, &l);
	assert_int_equal(out_start(&l, &o, "/test.Svc/Bidi", 0), 0);
	grpc_out_send_bytes(o.call, 3, "1", 1);
	grpc_out_send_bytes(o.call, 3, "2", 1);
	grpc_out_send_bytes(o.call, 3, "3", 1);
	grpc_out_end(o.call);
	world_count(&w, &o.messages, 1);
	world_turns(&w, 50);
	assert_false(o.done);
	/* Not even the loss of the connection takes them away. */
	grpc_server_destroy(w.server);
	w.server = NULL;
	world_turns(&w, 50);
	assert_false(o.done);
	assert_false(l.lost);
	grpc_out_resume(o.call);
	world_until(&w, &l.lost);
	assert_true(o.done);
	assert_int_equal(o.status, GRPC_OK);
	assert_int_equal(o.messages, 3);
	link_close(&l);
	world_finish(&w);
}

/* Messages that never end share one account with everything else that waits;
 * what would go over it fails, the others go on. */
static void
test_unfinished_messages_are_bounded(void **state)
{
	const size_t		 n = GRPC_MESSAGE_MAX - 16;
	static struct answer	 a[10];
	uint8_t			*p = calloc(1, n + GRPC_PREFIX_LEN);
	struct world		 w;
	struct raw		 r;
	unsigned		 i, failed = 0;

	(void)state;
	assert_non_null(p);
	world_init(&w, NULL);
	raw_open(&w, &r, world_dial(&w), false);
	be32_write(p + 1, (uint32_t)n);
	p[5] = 0xa2;				/* unknown field 100, bytes */
	p[6] = 0x06;
	p[7] = 0xea;
	p[8] = p[9] = 0xff;
	p[10] = 0x01;
	for (i = 0; i < 10; i++) {
		raw_request(&r, &a[i], false, ":path", i % 2 == 0 ?
		    "/test.Svc/Unary" : "/test.Svc/Bidi", NULL);
		raw_data(&r, &a[i], p, n, false);	/* 5 bytes short */
		world_turns(&w, 400);
	}
	for (i = 0; i < 10; i++)
		failed += a[i].closed && strcmp(a[i].status, "8") == 0;
	assert_in_range(failed, 1, 3);
	for (i = 0; i < 10; i++) {
		if (a[i].closed)
			continue;
		raw_data(&r, &a[i], p + n, 5, true);
		world_until(&w, &a[i].closed);
		assert_string_equal(a[i].status, "0");
	}
	raw_request(&r, &a[0], false, NULL);
	RAW_DATA(&r, &a[0], MSG("\0", "\0", ""), true);
	world_until(&w, &a[0].closed);
	assert_string_equal(a[0].status, "0");
	raw_close(&r);
	world_finish(&w);
	free(p);
}

#define MESSAGES	12u
#define MESSAGE_LEN	8192u

/* One small message, at which the handler pauses, and 96 KiB more. */
static uint8_t *
many_messages(size_t *n)
{
	uint8_t		*all = calloc(1, 8 + MESSAGES * MESSAGE_LEN), *p;
	unsigned	 i;

	assert_non_null(all);
	memcpy(all, MSG("\0", "\3", "\x1a\1x"), 8);
	for (i = 0, p = all + 8; i < MESSAGES; i++, p += MESSAGE_LEN) {
		be32_write(p + 1, MESSAGE_LEN - 5);
		memcpy(p + 5, "\x1a\xf8\x3f", 3);	/* data, 8184 */
	}
	*n = (size_t)(p - all);
	return all;
}

/*
 * Above GRPC_HELD_MAX the connections that add to it are not read, and are
 * read again when handlers take what waits for them.  540 windows of 64 KiB
 * are 34 MiB.
 */
static void
test_T28_data_waiting_for_handlers_is_bounded(void **state)
{
	enum { LINKS = 3, CALLS = 180 };
	static struct answer	 a[LINKS][CALLS], good;
	struct world		 w;
	struct raw		 r[LINKS + 1];
	size_t			 n;
	uint8_t			*p = many_messages(&n);
	unsigned		 i, k;

	(void)state;
	world_init(&w, NULL);
	w.script.pause_all = w.script.keep_open = true;
	for (k = 0; k < LINKS; k++) {
		raw_open(&w, &r[k], world_dial(&w), false);
		for (i = 0; i < CALLS; i++) {
			raw_request(&r[k], &a[k][i], false, ":path",
			    "/test.Svc/Bidi", NULL);
			raw_data(&r[k], &a[k][i], p, n, false);
			world_turns(&w, 4);
		}
	}
	world_turns(&w, 100);
	assert_in_range(w.server->held, GRPC_HELD_MAX,
	    GRPC_HELD_MAX + CONN_READ_MAX);
	assert_true(w.npaused < LINKS * CALLS);

	/* Who adds nothing is served as ever. */
	raw_open(&w, &r[LINKS], world_dial(&w), false);
	raw_request(&r[LINKS], &good, false, NULL);
	RAW_DATA(&r[LINKS], &good, MSG("\0", "\0", ""), true);
	world_until(&w, &good.closed);
	assert_string_equal(good.status, "0");

	w.messages = w.npaused;			/* leaves out the one above */
	for (i = 0; i < LINKS * CALLS; i++) {
		world_count(&w, &w.npaused, i < w.npaused ? w.npaused : i + 1);
		grpc_resume(w.paused[i]);
		world_turns(&w, 2);
	}
	world_count(&w, &w.messages, (MESSAGES + 1) * LINKS * CALLS);
	world_turns(&w, 20);
	assert_int_equal(w.server->held, 0);
	for (k = 0; k <= LINKS; k++)
		raw_close(&r[k]);
	assert_int_equal(w.gone, LINKS * CALLS);
	world_finish(&w);
	free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_room_ends_and_writable_comes),
		cmocka_unit_test(
		    test_TR_19_a_stalled_stream_does_not_stop_the_others),
		cmocka_unit_test(test_TR_19_small_writer_beside_full_queues),
		cmocka_unit_test(
		    test_paused_call_holds_no_more_than_its_window),
		cmocka_unit_test(
		    test_paused_client_gets_its_answers_before_done),
		cmocka_unit_test(test_unfinished_messages_are_bounded),
		cmocka_unit_test(
		    test_T28_data_waiting_for_handlers_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
