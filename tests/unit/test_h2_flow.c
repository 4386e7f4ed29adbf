#include "tests/unit/h2_peer.h"

static char	big[600 * 1024];

/* Sum of DATA that h lets out now; frames of other types are passed over. */
static size_t
data_sent(struct peer *p, uint32_t stream)
{
	struct frame	f;
	size_t		n = 0;

	while (next_frame(p, &f))
		if (f.head.type == H2_DATA &&
		    (stream == 0 || f.head.stream == stream))
			n += f.head.length;
	return n;
}

static void
TR_01_first_frame_is_settings_at_once(void **state)
{
	struct peer	*p = peer_new();
	struct frame	 f;
	size_t		 i;
	uint32_t	 v[7] = { 0 };

	(void)state;
	peer_open(p, true);
	assert_true(h2_wants_send(p->h));
	assert_true(next_frame(p, &f));
	assert_int_equal(f.head.type, H2_SETTINGS);
	assert_int_equal(f.head.flags, 0);
	for (i = 0; i < f.head.length; i += 6)
		v[be16_read(f.p + i)] = be32_read(f.p + i + 2);
	assert_int_equal(v[H2_SET_MAX_STREAMS], 256);
	assert_int_equal(v[H2_SET_WINDOW], 65536);
	assert_int_equal(v[H2_SET_HEADER_LIST_MAX], 16384);
	assert_true(next_frame(p, &f));
	assert_int_equal(f.head.type, H2_WINDOW_UPDATE);
	assert_int_equal(be32_read(f.p) + 65535, 1u << 20);
	assert_false(h2_peer_ready(p->h));
	send_hex(p, PRI SET);
	assert_true(h2_peer_ready(p->h));
	assert_true(next_frame(p, &f));
	assert_int_equal(f.head.type, H2_SETTINGS);
	assert_int_equal(f.head.flags, H2_FLAG_ACK);
	assert_int_equal(f.head.length, 0);
	peer_free(p);
}

static void
TR_05_no_frame_above_16384(void **state)
{
	struct peer		*p = server_new();
	struct hpack_field	 f[3] = { FIELD(":status", "200") };
	struct frame		 got;
	size_t			 n = 0, frames = 0;

	(void)state;
	/* Even if the peer would take more. */
	send_setting(p, H2_SET_FRAME_MAX, 1u << 20);
	send_setting(p, H2_SET_WINDOW, 1u << 20);
	send_u32(p, H2_WINDOW_UPDATE, 0, 1u << 20);
	send_post(p, 1);
	memset(big, '\xff', 60000);	/* no Huffman code is shorter */
	f[1] = (struct hpack_field){ "x", big, 1, 40000, false, false };
	assert_int_equal(h2_headers(p->last, f, 2, false), 0);
	assert_int_equal(h2_data(p->last, big, 50000, false), 0);
	drop_output(p);
	assert_int_equal(h2_headers(p->last, f, 2, false), 0);
	while (next_frame(p, &got)) {
		assert_int_equal(got.head.type,
		    frames == 0 ? H2_HEADERS : H2_CONTINUATION);
		assert_int_equal(got.head.flags,
		    got.head.length < H2_FRAME_MAX ? H2_FLAG_END_HEADERS : 0);
		assert_int_equal(got.head.stream, 1);
		n += got.head.length;
		frames++;
	}
	assert_int_equal(frames, 3);
	assert_in_range(n, 40001, 40010);
	peer_free(p);
}

static void
TR_07_initial_window_change_reaches_open_streams(void **state)
{
	struct peer	*p = server_new();
	struct h2_stream *s[50];
	struct frame	 f;
	size_t		 i;

	(void)state;
	send_setting(p, H2_SET_WINDOW, 100);
	for (i = 0; i < 50; i++) {
		send_post(p, (uint32_t)(2 * i + 1));
		s[i] = p->last;
		assert_int_equal(h2_data(s[i], big, 1000, false), 0);
	}
	assert_int_equal(data_sent(p, 0), 50 * 100);
	assert_false(h2_wants_send(p->h));
	send_setting(p, H2_SET_WINDOW, 150);
	assert_true(find_frame(p, H2_SETTINGS, &f));
	assert_int_equal(f.head.flags, H2_FLAG_ACK);
	assert_int_equal(data_sent(p, 0), 50 * 50);
	/* Below zero; a window update has to make up for it first. */
	send_setting(p, H2_SET_WINDOW, 140);
	assert_int_equal(data_sent(p, 0), 0);
	send_u32(p, H2_WINDOW_UPDATE, 1, 10);
	assert_int_equal(data_sent(p, 0), 0);
	send_u32(p, H2_WINDOW_UPDATE, 1, 1);
	assert_int_equal(data_sent(p, 1), 1);
	send_setting(p, H2_SET_WINDOW, 16u << 20);
	send_u32(p, H2_WINDOW_UPDATE, 0, 16u << 20);
	assert_int_equal(data_sent(p, 0), 50 * (1000 - 150) - 1);
	peer_free(p);
}

static void
window_of_1_lets_1_byte_out(void **state)
{
	struct peer	*p = server_new();
	struct frame	 f;

	(void)state;
	p->answer = true;
	send_setting(p, H2_SET_WINDOW, 1);
	send_get(p, 1);
	assert_true(find_frame(p, H2_DATA, &f));
	assert_int_equal(f.head.length, 1);
	assert_int_equal(f.head.flags, 0);
	send_u32(p, H2_WINDOW_UPDATE, 1, 100);
	assert_true(find_frame(p, H2_DATA, &f));
	assert_int_equal(f.head.length, 4);
	assert_int_equal(f.head.flags, H2_FLAG_END_STREAM);
	peer_free(p);
}

static void
TR_19_a_stalled_stream_does_not_stop_others(void **state)
{
	struct peer	*p = server_new();
	struct h2_stream *slow;
	struct frame	 f;
	size_t		 i, n;

	(void)state;
	send_u32(p, H2_WINDOW_UPDATE, 0, 1u << 30);
	send_post(p, 1);
	slow = p->last;
	/* Its window is full, and its queue too. */
	while (h2_data(slow, big, 1000, false) == 0)
		drop_output(p);
	assert_true(h2_stream_blocked(slow));
	send_post(p, 3);
	for (i = 0; i < 200; i++) {
		assert_int_equal(h2_data(p->last, big, 30000, false), 0);
		for (n = 0; next_frame(p, &f); )
			if (f.head.type == H2_DATA && f.head.stream == 3)
				n += f.head.length;
		assert_int_equal(n, 30000);
		if (i % 2 == 0)
			send_u32(p, H2_WINDOW_UPDATE, 3, 60000);
	}
	peer_free(p);
}

/* Nine readers that stall fill the buffers of the connection. */
static void
many_stalled_streams_leave_room_for_others(void **state)
{
	struct peer	*p = server_new();
	struct h2_stream *s[12];
	size_t		 i;

	(void)state;
	send_setting(p, H2_SET_WINDOW, 0);
	for (i = 0; i < 12; i++) {
		send_post(p, (uint32_t)(2 * i + 1));
		s[i] = p->last;
		assert_int_equal(h2_data(s[i], big, 48 * 1024, false), 0);
		/* Above 512 KiB in all, what is not empty is full. */
		assert_int_equal(h2_room(s[i]), i < 10 ? 16 * 1024 : 0);
	}
	send_post(p, 99);
	assert_int_equal(h2_room(p->last), H2_SEND_BUFFER);
	assert_int_equal(h2_data(p->last, big, 20000, false), 0);
	send_u32(p, H2_WINDOW_UPDATE, 99, 20000);
	assert_int_equal(data_sent(p, 99), 20000);
	peer_free(p);
}

static void
the_connection_window_is_shared_fairly(void **state)
{
	struct peer	*p = server_new();
	struct frame	 f;
	size_t		 i, n[5] = { 0 };

	(void)state;
	send_setting(p, H2_SET_WINDOW, 1u << 20);
	for (i = 0; i < 5; i++) {
		send_post(p, (uint32_t)(2 * i + 1));
		assert_int_equal(h2_data(p->last, big, 64 * 1024, false), 0);
	}
	for (i = 0; i < 20; i++) {
		while (next_frame(p, &f))
			if (f.head.type == H2_DATA)
				n[f.head.stream / 2] += f.head.length;
		send_u32(p, H2_WINDOW_UPDATE, 0, 10000);
	}
	while (next_frame(p, &f))
		if (f.head.type == H2_DATA)
			n[f.head.stream / 2] += f.head.length;
	assert_int_equal(n[0] + n[1] + n[2] + n[3] + n[4], 65535 + 200000);
	for (i = 0; i < 5; i++)
		assert_in_range(n[i], 53107 - 16384, 65536);
	peer_free(p);
}

/* -- send queue ------------------------------------------------------------- */

static void
a_full_queue_refuses_and_tells_when_there_is_room(void **state)
{
	struct peer	*p = server_new();
	struct h2_stream *s;

	(void)state;
	send_setting(p, H2_SET_WINDOW, 0);
	send_post(p, 1);
	s = p->last;
	forget(p);
	assert_int_equal(h2_room(s), H2_SEND_BUFFER);
	assert_int_equal(h2_data(s, big, H2_SEND_BUFFER, false), 0);
	assert_int_equal(h2_room(s), 0);
	assert_int_equal(h2_data2(s, "a", 1, "b", 1, false), -ENOBUFS);
	send_u32(p, H2_WINDOW_UPDATE, 1, 16384);
	drop_output(p);
	expect_log(p, "");
	send_u32(p, H2_WINDOW_UPDATE, 1, 40000);
	drop_output(p);
	expect_log(p, "W1 ");
	assert_true(h2_room(s) >= 48 * 1024);
	peer_free(p);
}

static void
one_long_piece_fits_an_empty_queue(void **state)
{
	struct peer	*p = server_new();
	size_t		 n;

	(void)state;
	send_setting(p, H2_SET_WINDOW, 1u << 20);
	send_u32(p, H2_WINDOW_UPDATE, 0, 1u << 20);
	send_post(p, 1);
	forget(p);
	assert_int_equal(h2_data2(p->last, "head", 4, big, sizeof big, false),
	    0);
	assert_int_equal(h2_data(p->last, big, 1, false), -ENOBUFS);
	for (n = 0; h2_wants_send(p->h); )
		n += data_sent(p, 1);
	assert_int_equal(n, 4 + sizeof big);
	expect_log(p, "W1 ");
	peer_free(p);
}

static void
trailers_wait_for_data(void **state)
{
	static const struct hpack_field	trailers[] = {
		FIELD("grpc-status", "0"), FIELD("empty", "")
	};
	struct peer	*p = server_new();
	struct frame	 f;

	(void)state;
	send_setting(p, H2_SET_WINDOW, 3);
	send_post(p, 1);
	assert_int_equal(h2_data(p->last, "abcdef", 6, false), 0);
	assert_int_equal(h2_headers(p->last, trailers, 2, false), -EINVAL);
	assert_int_equal(h2_headers(p->last, trailers, 2, true), 0);
	assert_int_equal(h2_headers(p->last, trailers, 2, true), -EPIPE);
	assert_int_equal(h2_data(p->last, "x", 1, false), -EPIPE);
	assert_true(find_frame(p, H2_DATA, &f));
	assert_int_equal(f.head.length, 3);
	assert_false(next_frame(p, &f));
	send_u32(p, H2_WINDOW_UPDATE, 1, 3);
	assert_true(next_frame(p, &f));
	assert_int_equal(f.head.type, H2_DATA);
	assert_int_equal(f.head.flags, 0);
	assert_true(next_frame(p, &f));
	assert_int_equal(f.head.type, H2_HEADERS);
	assert_int_equal(f.head.flags,
	    H2_FLAG_END_STREAM | H2_FLAG_END_HEADERS);
	/* The peer has not ended: half-closed, and alive. */
	assert_int_equal(h2_stream_count(p->h), 1);
	send_frame(p, H2_DATA, 1, 1, "x", 1);
	expect_log(p, "H1 D1:1+ C1=0 ");
	peer_free(p);
}

/* Blocks leave in the order of the table, whatever waits for data. */
static void
header_blocks_leave_in_the_order_of_the_table(void **state)
{
	struct hpack_field	 f = FIELD("x", "0");
	struct peer		*p = server_new();
	struct h2_stream	*s[20];
	struct hpack_table	 t;
	struct hpack_list	*list = calloc(1, sizeof *list);
	struct arena		 arena;
	struct frame		 got;
	char			 value[2] = "a";
	size_t			 i, blocks = 0;

	(void)state;
	hpack_table_init(&t, 4096);
	arena_init(&arena, HPACK_ARENA_MAX);
	for (i = 0; i < 20; i++) {
		send_post(p, (uint32_t)(2 * i + 1));
		s[i] = p->last;
	}
	f.value = value;
	for (i = 0; i < 20; i++) {
		value[0] = (char)('a' + i);
		assert_int_equal(h2_headers(s[i], &f, 1, false), 0);
		assert_int_equal(h2_data(s[i], "data", 4, false), 0);
		value[0] = (char)('A' + i);
		assert_int_equal(h2_headers(s[i], &f, 1, true), 0);
	}
	while (next_frame(p, &got)) {
		if (got.head.type != H2_HEADERS)
			continue;
		arena_reset(&arena);
		hpack_list_init(list, &arena);
		assert_int_equal(hpack_decode(&t, got.p, got.head.length,
		    list), 0);
		assert_int_equal(list->fields[0].value[0],
		    (got.head.flags & 1 ? 'A' : 'a') + got.head.stream / 2);
		blocks++;
	}
	assert_int_equal(blocks, 40);
	hpack_table_finish(&t);
	arena_finish(&arena);
	free(list);
	peer_free(p);
}

/* A small output buffer, emptied bit by bit, changes nothing of the bytes. */
static void
output_may_be_small(void **state)
{
	struct peer	*p, *q;
	struct buf	 small;
	size_t		 i, room;

	(void)state;
	for (room = 600; room < 3000; room += 777) {
		p = server_new();
		q = server_new();
		for (i = 0; i < 10; i++) {
			send_post(p, (uint32_t)(2 * i + 1));
			peer_answer(p->last);
			send_post(q, (uint32_t)(2 * i + 1));
			peer_answer(q->last);
		}
		flush(p);
		buf_init(&small, room);
		while (h2_wants_send(q->h)) {
			h2_send(q->h, &small);
			assert_true(small.len > 0);
			assert_int_equal(buf_move(&q->out, &small, 50, NULL),
			    0);
		}
		assert_int_equal(buf_move(&q->out, &small, room, NULL), 0);
		assert_int_equal(p->out.len, q->out.len);
		assert_memory_equal(buf_head(&p->out), buf_head(&q->out),
		    p->out.len);
		buf_finish(&small);
		peer_free(p);
		peer_free(q);
	}
}

/* -- receive windows -------------------------------------------------------- */

static void
the_connection_is_credited_on_receipt(void **state)
{
	struct peer	*p = server_new();
	struct frame	 f;
	size_t		 i, credit = 0;

	(void)state;
	p->consume = false;		/* nobody reads */
	for (i = 0; i < 100; i++) {
		send_post(p, (uint32_t)(2 * i + 1));
		send_frame(p, H2_DATA, 0, (uint32_t)(2 * i + 1), big, 16000);
		while (next_frame(p, &f)) {
			assert_int_equal(f.head.type, H2_WINDOW_UPDATE);
			assert_int_equal(f.head.stream, 0);
			credit += be32_read(f.p);
		}
	}
	assert_int_equal(p->r, 0);
	assert_true(credit >= 100 * 16000 - H2_CONN_WINDOW / 2);
	peer_free(p);
}

static void
a_stream_window_at_and_above_its_end(void **state)
{
	struct peer	*p;
	size_t		 extra, left, n;

	(void)state;
	for (extra = 0; extra < 2; extra++) {
		p = server_new();
		p->consume = false;
		send_post(p, 1);
		for (left = H2_STREAM_WINDOW + extra; left > 0; left -= n) {
			n = left < 16000 ? left : 16000;
			send_frame(p, H2_DATA, 0, 1, big, n);
		}
		if (extra == 0)
			expect_alive(p);
		else
			expect_goaway(p, H2_FLOW_CONTROL_ERROR);
		peer_free(p);
	}
}

/* Before our SETTINGS are acknowledged the default of 65535 holds. */
static void
windows_change_when_settings_are_acknowledged(void **state)
{
	struct peer	*p = peer_new();

	(void)state;
	p->limits.stream_window = 1000;
	peer_open(p, true);
	p->consume = false;
	send_hex(p, PRI SET);
	send_post(p, 1);
	send_frame(p, H2_DATA, 0, 1, big, 1001);
	send_hex(p, SETACK);
	assert_int_equal(p->r, 0);
	h2_consume(p->last, 1001);
	send_frame(p, H2_DATA, 0, 1, big, 1000);
	expect_alive(p);
	send_frame(p, H2_DATA, 0, 1, big, 1000);
	send_frame(p, H2_DATA, 0, 1, big, 1);
	expect_goaway(p, H2_FLOW_CONTROL_ERROR);
	peer_free(p);
}

static void
the_connection_is_credited_at_half_its_window(void **state)
{
	struct peer	*p = peer_new();
	size_t		 i;

	(void)state;
	p->limits.stream_window = 4u << 20;
	p->consume = false;
	server_ready(p);
	send_post(p, 1);
	for (i = 0; i < 64; i++) {
		send_frame(p, H2_DATA, 0, 1, big, 16384);
		assert_int_equal(h2_wants_send(p->h), i >= 31);
	}
	expect_alive(p);
	peer_free(p);
}

static void
stream_windows_grow_on_streams_that_drain(void **state)
{
	struct peer	*p = server_new();
	struct frame	 f;
	int64_t		 window = H2_STREAM_WINDOW;
	size_t		 i;

	(void)state;
	send_post(p, 1);
	for (i = 0; i < 200; i++) {
		send_frame(p, H2_DATA, 0, 1, big, 16000);
		window -= 16000;
		while (next_frame(p, &f))
			if (f.head.type == H2_WINDOW_UPDATE &&
			    f.head.stream == 1)
				window += be32_read(f.p);
		assert_true(window >= 16000);
		assert_true(window <= (int64_t)H2_STREAM_WINDOW_MAX);
	}
	assert_true(window > (int64_t)H2_STREAM_WINDOW_MAX / 2 - 16000);
	expect_alive(p);
	peer_free(p);
}

static void
a_stream_nobody_reads_gets_no_credit(void **state)
{
	struct peer	*p = server_new();
	struct frame	 f;

	(void)state;
	p->consume = false;
	send_post(p, 1);
	send_frame(p, H2_DATA, 0, 1, big, 16384);
	send_frame(p, H2_DATA, 0, 1, big, 16384);
	send_frame(p, H2_DATA, 0, 1, big, 16384);
	assert_false(next_frame(p, &f));
	h2_consume(p->last, 3 * 16384);
	assert_true(next_frame(p, &f));
	assert_int_equal(f.head.type, H2_WINDOW_UPDATE);
	assert_int_equal(be32_read(f.p), 3 * 16384 + H2_STREAM_WINDOW);
	peer_free(p);
}

static void
a_stream_that_does_not_drain_does_not_grow(void **state)
{
	struct peer	*p = server_new();
	struct frame	 f;

	(void)state;
	p->consume = false;
	send_post(p, 1);
	send_frame(p, H2_DATA, 0, 1, big, 16384);
	send_frame(p, H2_DATA, 0, 1, big, 16384);
	send_frame(p, H2_DATA, 0, 1, big, 16384);
	h2_consume(p->last, 2 * 16384);
	assert_true(next_frame(p, &f));
	assert_int_equal(f.head.type, H2_WINDOW_UPDATE);
	assert_int_equal(be32_read(f.p), 2 * 16384);
	peer_free(p);
}

/* Padding is nobody's to consume. */
static void
padding_is_credited_at_once(void **state)
{
	static const uint8_t	padded[257] = { 255, 'x' };
	struct peer		*p = server_new();
	struct frame		 f;
	size_t			 i, credit = 0;

	(void)state;
	p->consume = false;
	send_post(p, 1);
	for (i = 0; i < 1000; i++) {
		send_frame(p, H2_DATA, H2_FLAG_PADDED, 1, padded,
		    sizeof padded);
		while (next_frame(p, &f))
			credit += be32_read(f.p);
	}
	assert_int_equal(p->r, 0);
	assert_true(credit > 1000 * 256 - H2_STREAM_WINDOW / 2);
	assert_true(credit <= 1000 * 256);
	peer_free(p);
}

/* G9: what still comes in is counted, not delivered. */
static void
after_finish_data_is_counted_and_dropped(void **state)
{
	struct peer	*p = server_new();

	(void)state;
	send_post(p, 1);
	peer_answer(p->last);
	h2_finish(p->last);
	send_frame(p, H2_DATA, 0, 1, big, 16384);
	send_frame(p, H2_DATA, 1, 1, big, 16384);
	assert_int_equal(p->r, 0);
	expect_log(p, "H1 ");
	expect_alive(p);		/* it ended: no RST_STREAM is due */
	expect_log(p, "H1 C1=0 ");
	peer_free(p);
}

static void
TR_15_cancel_drops_what_is_queued(void **state)
{
	struct peer	*p = server_new();
	struct frame	 f;

	(void)state;
	send_setting(p, H2_SET_WINDOW, 100);
	send_post(p, 1);
	h2_data(p->last, big, 5000, false);
	drop_output(p);
	send_u32(p, H2_RST_STREAM, 1, H2_CANCEL);
	send_u32(p, H2_WINDOW_UPDATE, 1, 5000);
	expect_log(p, "H1 C1=8 ");
	assert_false(next_frame(p, &f));
	send_get(p, 3);
	expect_log(p, "H1 C1=8 H3+ ");
	peer_free(p);
}

static void
TR_16_reset_of_an_ended_stream_is_ignored(void **state)
{
	struct peer	*p = server_new();

	(void)state;
	p->answer = true;
	send_get(p, 1);
	expect_alive(p);
	send_u32(p, H2_RST_STREAM, 1, H2_NO_ERROR);
	send_u32(p, H2_RST_STREAM, 1, H2_CANCEL);
	expect_alive(p);
	expect_log(p, "H1+ C1=0 ");
	peer_free(p);
}

static void
TR_17_streams_are_cancelled_with_the_connection(void **state)
{
	struct peer	*p = server_new();

	(void)state;
	send_post(p, 1);
	send_post(p, 3);
	send_hex(p, "000008 07 00 00000000 00000000 00000000");
	h2_destroy(p->h);
	p->h = NULL;
	expect_log(p, "H1 H3 G0=0 C1=8 C3=8 ");
	peer_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(TR_01_first_frame_is_settings_at_once),
		cmocka_unit_test(TR_05_no_frame_above_16384),
		cmocka_unit_test(TR_07_initial_window_change_reaches_open_streams),
		cmocka_unit_test(window_of_1_lets_1_byte_out),
		cmocka_unit_test(TR_19_a_stalled_stream_does_not_stop_others),
		cmocka_unit_test(many_stalled_streams_leave_room_for_others),
		cmocka_unit_test(the_connection_window_is_shared_fairly),
		cmocka_unit_test(a_full_queue_refuses_and_tells_when_there_is_room),
		cmocka_unit_test(one_long_piece_fits_an_empty_queue),
		cmocka_unit_test(trailers_wait_for_data),
		cmocka_unit_test(header_blocks_leave_in_the_order_of_the_table),
		cmocka_unit_test(output_may_be_small),
		cmocka_unit_test(the_connection_is_credited_on_receipt),
		cmocka_unit_test(a_stream_window_at_and_above_its_end),
		cmocka_unit_test(windows_change_when_settings_are_acknowledged),
		cmocka_unit_test(the_connection_is_credited_at_half_its_window),
		cmocka_unit_test(stream_windows_grow_on_streams_that_drain),
		cmocka_unit_test(a_stream_nobody_reads_gets_no_credit),
		cmocka_unit_test(a_stream_that_does_not_drain_does_not_grow),
		cmocka_unit_test(padding_is_credited_at_once),
		cmocka_unit_test(after_finish_data_is_counted_and_dropped),
		cmocka_unit_test(TR_15_cancel_drops_what_is_queued),
		cmocka_unit_test(TR_16_reset_of_an_ended_stream_is_ignored),
		cmocka_unit_test(TR_17_streams_are_cancelled_with_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
