#include "tests/unit/h2_peer.h"

/* Each limit of security.md 2.1: kept at its value, enforced one above. */

static void
rapid_reset(struct peer *p, unsigned n)
{
	unsigned	i;

	for (i = 0; i < n && p->r == 0; i++) {
		send_post(p, 2 * i + 1);
		send_u32(p, H2_RST_STREAM, 2 * i + 1, H2_CANCEL);
	}
}

static void
CVE_2023_44487_rapid_reset(void **state)
{
	struct peer	*p = server_new();

	(void)state;
	rapid_reset(p, H2_RESET_BURST);
	assert_int_equal(p->r, 0);
	send_post(p, 2 * H2_RESET_BURST + 1);
	send_u32(p, H2_RST_STREAM, 2 * H2_RESET_BURST + 1, H2_CANCEL);
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

static void
CVE_2023_44487_the_bucket_refills(void **state)
{
	struct peer	*p = server_new();
	uint32_t	 id = 2 * H2_RESET_BURST + 1, i;

	(void)state;
	rapid_reset(p, H2_RESET_BURST);
	p->now += 1000;
	for (i = 0; i < H2_RESET_PER_S; i++, id += 2) {
		send_post(p, id);
		send_u32(p, H2_RST_STREAM, id, H2_CANCEL);
	}
	assert_int_equal(p->r, 0);
	send_post(p, id);
	send_u32(p, H2_RST_STREAM, id, H2_CANCEL);
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

/* A quiet hour does not save up for a storm. */
static void
CVE_2023_44487_the_bucket_does_not_overflow(void **state)
{
	struct peer	*p = server_new();
	unsigned	 i;

	(void)state;
	rapid_reset(p, 1);
	p->now += 3600 * 1000;
	send_post(p, 3);
	send_u32(p, H2_RST_STREAM, 3, H2_CANCEL);
	p->now += 3600 * 1000;
	send_hex(p, "000008 06 00 00000000 0000000000000000");
	drop_output(p);
	for (i = 2; i <= H2_RESET_BURST + 2 && p->r == 0; i++) {
		send_post(p, 2 * i + 1);
		send_u32(p, H2_RST_STREAM, 2 * i + 1, H2_CANCEL);
	}
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

/* Resets that we send because of the peer count as well. */
static void
CVE_2025_8671_made_you_reset_by_malformed_requests(void **state)
{
	struct peer	*p = server_new();
	unsigned	 i;

	(void)state;
	for (i = 0; i < H2_RESET_BURST && p->r == 0; i++) {
		send_frame(p, H2_HEADERS, 5, 2 * i + 1, "\x82", 1);
		if (i % 32 == 0)
			drop_output(p);
	}
	assert_int_equal(p->r, 0);
	send_frame(p, H2_HEADERS, 5, 2 * i + 1, "\x82", 1);
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

static void
resets_by_the_application_count(void **state)
{
	struct peer	*p = server_new();
	unsigned	 i;

	(void)state;
	p->refuse = true;
	for (i = 0; i <= H2_RESET_BURST && p->r == 0; i++) {
		if (i % 32 == 0)
			drop_output(p);
		send_post(p, 2 * i + 1);
	}
	assert_int_equal(i, H2_RESET_BURST + 1);
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

static void
G9_no_error_after_the_answer_is_not_charged(void **state)
{
	struct peer	*p = server_new();
	struct frame	 f;
	unsigned	 i;

	(void)state;
	for (i = 0; i < 2 * H2_RESET_BURST; i++) {
		send_post(p, 2 * i + 1);
		peer_answer(p->last);
		h2_finish(p->last);
		assert_true(next_frame(p, &f) && f.head.type == H2_HEADERS);
		assert_true(next_frame(p, &f) && f.head.type == H2_DATA);
		assert_int_equal(f.head.flags, H2_FLAG_END_STREAM);
		assert_true(next_frame(p, &f));
		assert_int_equal(f.head.type, H2_RST_STREAM);
		assert_int_equal(be32_read(f.p), H2_NO_ERROR);
		assert_false(next_frame(p, &f));
		forget(p);
	}
	assert_int_equal(p->r, 0);
	assert_int_equal(h2_stream_count(p->h), 0);
	peer_free(p);
}

static void
streams_at_and_above_the_limit(void **state)
{
	struct peer	*p = server_new();
	unsigned	 i;

	(void)state;
	for (i = 0; i < H2_STREAMS_MAX; i++)
		send_post(p, 2 * i + 1);
	expect_alive(p);
	send_post(p, 2 * i + 1);
	expect_reset(p, 2 * i + 1, H2_REFUSED_STREAM);
	assert_int_equal(h2_stream_count(p->h), H2_STREAMS_MAX);
	/* One goes, one comes. */
	send_u32(p, H2_RST_STREAM, 1, H2_CANCEL);
	send_post(p, 2 * i + 3);
	expect_alive(p);
	peer_free(p);
}

static void
TR_08_200_streams_at_once_are_not_refused(void **state)
{
	struct peer	*p = server_new();
	struct frame	 f;
	unsigned	 i, ends = 0;

	(void)state;
	p->answer = true;
	for (i = 0; i < 200; i++)
		send_get(p, 2 * i + 1);
	while (next_frame(p, &f)) {
		assert_true(f.head.type == H2_HEADERS ||
		    f.head.type == H2_DATA);
		ends += f.head.flags & H2_FLAG_END_STREAM;
	}
	assert_int_equal(ends, 200);
	peer_free(p);
}

/* -- header blocks ---------------------------------------------------------- */

static void
CVE_2024_28182_continuations_at_and_above_the_limit(void **state)
{
	struct peer	*p;
	unsigned	 extra, i;

	(void)state;
	for (extra = 0; extra < 2; extra++) {
		p = server_new();
		send_frame(p, H2_HEADERS, 1, 1, "\x82", 1);
		for (i = 1; i < H2_CONTINUATIONS_MAX + extra; i++)
			send_frame(p, H2_CONTINUATION, 0, 1, "\x86", i == 1);
		send_frame(p, H2_CONTINUATION, 4, 1, "\x84", 1);
		if (extra == 0)
			expect_log(p, "H1+ ");
		else
			expect_goaway(p, H2_ENHANCE_YOUR_CALM);
		peer_free(p);
	}
}

/* Zero bytes each; counted before the payload would come. */
static void
CVE_2026_33871_empty_continuations_are_counted(void **state)
{
	struct peer	*p = peer_new();
	unsigned	 i;

	(void)state;
	p->limits.empty_frames_max = 1000;
	server_ready(p);
	send_frame(p, H2_HEADERS, 1, 1, "\x82", 1);
	for (i = 0; i < H2_CONTINUATIONS_MAX; i++)
		send_frame(p, H2_CONTINUATION, 0, 1, "", 0);
	assert_int_equal(p->r, 0);
	send_hex(p, "004000 09 00 00000001");
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

/* x: vvv... in raw bytes, to make a block of n bytes behind GET. */
static uint8_t *
block_of(size_t n)
{
	uint8_t	*b = malloc(n);
	size_t	 len = n - 3 - 7;

	memcpy(b, "\x82\x86\x84\x00\x01x\x7f", 7);
	b[7] = (uint8_t)((len - 127) % 128 | 128);
	b[8] = (uint8_t)((len - 127) / 128 % 128 | 128);
	b[9] = (uint8_t)((len - 127) / 128 / 128);
	memset(b + 10, 'v', len);
	return b;
}

static void
send_block(struct peer *p, uint32_t id, const uint8_t *b, size_t n)
{
	uint8_t	type = H2_HEADERS;
	size_t	piece;

	for (; n > 0 && p->r == 0; n -= piece, b += piece) {
		piece = n < H2_FRAME_MAX ? n : H2_FRAME_MAX;
		send_frame(p, type, (uint8_t)((type == H2_HEADERS) |
		    (n == piece ? H2_FLAG_END_HEADERS : 0)), id, b, piece);
		type = H2_CONTINUATION;
	}
}

static void
CVE_2023_45288_block_length_at_and_above_the_limit(void **state)
{
	struct peer	*p = server_new();
	uint8_t		*b = block_of(H2_HEADER_BLOCK_MAX + 1);

	(void)state;
	free(b);
	b = block_of(H2_HEADER_BLOCK_MAX);
	send_block(p, 1, b, H2_HEADER_BLOCK_MAX);
	expect_log(p, "H1!+ ");		/* over the list's limit, no more */
	expect_alive(p);
	free(b);
	b = block_of(H2_HEADER_BLOCK_MAX + 1);
	send_block(p, 3, b, H2_HEADER_BLOCK_MAX + 1);
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	free(b);
	peer_free(p);
}

static void
list_size_at_and_above_the_limit(void **state)
{
	struct peer	*p = server_new();
	/* GET / http: 42 + 43 + 38; "x" and its 32. */
	size_t		 n = HPACK_LIST_MAX - 123 - 33 + 10;
	uint8_t		*b = block_of(n);

	(void)state;
	send_block(p, 1, b, n);
	expect_log(p, "H1+ ");
	free(b);
	b = block_of(n + 1);
	send_block(p, 3, b, n + 1);
	expect_log(p, "H1+ H3!+ ");
	expect_alive(p);
	free(b);
	peer_free(p);
}

static void
fields_at_and_above_the_limit(void **state)
{
	struct peer	*p = server_new();
	uint8_t		 b[3 + 4 * 100] = "\x82\x86\x84";
	size_t		 i;

	(void)state;
	for (i = 0; i < 98; i++)
		memcpy(b + 3 + 4 * i, "\x00\x01x", 4);
	send_block(p, 1, b, 3 + 4 * 97);
	expect_log(p, "H1+ ");
	send_block(p, 3, b, 3 + 4 * 98);
	expect_reset(p, 3, H2_ENHANCE_YOUR_CALM);
	expect_log(p, "H1+ ");
	peer_free(p);
}

static void
a_block_has_10_seconds(void **state)
{
	struct peer	*p = server_new();

	(void)state;
	send_frame(p, H2_HEADERS, 1, 1, "\x82", 1);
	assert_int_equal(h2_deadline(p->h), p->now + H2_HEADER_BLOCK_MS);
	assert_int_equal(h2_tick(p->h, p->now + H2_HEADER_BLOCK_MS - 1), 0);
	assert_int_equal(h2_tick(p->h, p->now + H2_HEADER_BLOCK_MS),
	    -ETIMEDOUT);
	p->r = -EPROTO;
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

/* -- control frames --------------------------------------------------------- */

static void
CVE_2019_9515_settings_entries_at_and_above_the_limit(void **state)
{
	uint8_t		 many[6 * (H2_SETTINGS_ENTRIES_MAX + 1)] = { 0 };
	struct peer	*p = server_new();

	(void)state;
	send_frame(p, H2_SETTINGS, 0, 0, many, sizeof many - 6);
	expect_alive(p);
	send_frame(p, H2_SETTINGS, 0, 0, many, sizeof many);
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

static void
CVE_2019_9515_settings_frames_at_and_above_the_limit(void **state)
{
	struct peer	*p = server_new();	/* one is spent */
	unsigned	 i;

	(void)state;
	for (i = 1; i < H2_SETTINGS_BURST; i++)
		send_frame(p, H2_SETTINGS, 0, 0, "", 0);
	assert_int_equal(p->r, 0);
	p->now += 1000 / H2_SETTINGS_PER_S;
	send_frame(p, H2_SETTINGS, 0, 0, "", 0);
	expect_alive(p);
	send_frame(p, H2_SETTINGS, 0, 0, "", 0);
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

static void
ping(struct peer *p, const char *payload)
{
	send_frame(p, H2_PING, 0, 0, payload, 8);
}

static void
CVE_2019_9512_pings_too_close_are_strikes(void **state)
{
	struct peer	*p = server_new();
	struct frame	 f, last = { .p = NULL };
	unsigned	 i;

	(void)state;
	for (i = 0; i <= H2_PING_STRIKES; i++)
		ping(p, "12345678");
	expect_alive(p);
	ping(p, "12345678");
	assert_int_equal(p->r, -EPROTO);
	while (next_frame(p, &f))
		last = f;
	assert_int_equal(last.head.length, 8 + 14);
	assert_memory_equal(last.p + 8, "too_many_pings", 14);
	assert_int_equal(be32_read(last.p + 4), H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

static void
pings_10_s_apart_are_no_strikes(void **state)
{
	struct peer	*p = server_new();
	unsigned	 i;

	(void)state;
	for (i = 0; i < 500; i++) {
		ping(p, "12345678");
		p->now += H2_PING_STRIKE_MS;
		drop_output(p);
	}
	assert_int_equal(p->r, 0);
	peer_free(p);
}

#define BDP	"\x02\x04\x10\x10\x09\x0e\x07\x07"

/* Once per round trip, that is after DATA of ours: any payload, for ever. */
static void
TR_06_ping_per_round_trip_is_never_punished(void **state)
{
	struct peer	*p = server_new();
	struct frame	 f;
	unsigned	 i;

	(void)state;
	p->answer = true;
	for (i = 0; i < 5000; i++) {
		send_get(p, 2 * i + 1);
		drop_output(p);
		ping(p, i % 2 == 0 ? BDP : "12345678");
		assert_true(next_frame(p, &f));
		assert_int_equal(f.head.type, H2_PING);
		assert_int_equal(f.head.flags, H2_FLAG_ACK);
		assert_memory_equal(f.p, i % 2 == 0 ? BDP : "12345678", 8);
		forget(p);
	}
	assert_int_equal(p->r, 0);
	peer_free(p);
}

static void
TR_06_bandwidth_pings_are_no_strikes(void **state)
{
	struct peer	*p = server_new();
	unsigned	 i;

	(void)state;
	for (i = 0; i < H2_PING_BURST; i++) {
		ping(p, BDP);
		drop_output(p);
	}
	assert_int_equal(p->r, 0);
	ping(p, BDP);
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

/* An upload: probes beside the peer's own DATA, before we have said a word. */
static void
TR_06_probes_beside_received_data_are_free(void **state)
{
	struct peer	*p = server_new();
	unsigned	 i;

	(void)state;
	send_post(p, 1);
	for (i = 0; i < 10 * H2_PING_BURST; i++) {
		send_frame(p, H2_DATA, 0, 1, "x", 1);
		ping(p, BDP);
		drop_output(p);
	}
	assert_int_equal(p->r, 0);
	/* Any other payload is a strike all the same. */
	for (i = 0; i <= H2_PING_STRIKES; i++) {
		assert_int_equal(p->r, 0);
		send_frame(p, H2_DATA, 0, 1, "x", 1);
		ping(p, "12345678");
	}
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

static void
TR_06_ping_is_answered_ahead_of_queued_data(void **state)
{
	struct peer	*p = server_new();
	struct frame	 f;
	char		 big[60000] = { 0 };

	(void)state;
	send_post(p, 1);
	assert_int_equal(h2_data(p->last, big, sizeof big, false), 0);
	ping(p, BDP);
	assert_true(next_frame(p, &f));
	assert_int_equal(f.head.type, H2_PING);
	assert_memory_equal(f.p, BDP, 8);
	peer_free(p);
}

static void
CVE_2019_9513_priority_frames_at_and_above_the_limit(void **state)
{
	struct peer	*p = server_new();
	unsigned	 i;

	(void)state;
	send_post(p, 1);
	for (i = 0; i < 2 * H2_PRIORITY_PER_STREAM; i++)
		send_frame(p, H2_PRIORITY, 0, 3 + 2 * i, "\0\0\0\0\x10", 5);
	expect_alive(p);
	send_frame(p, H2_PRIORITY, 0, 3, "\0\0\0\0\x10", 5);
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

static void
window_updates_at_and_above_the_limit(void **state)
{
	struct peer	*p = server_new();
	unsigned	 i, max;

	(void)state;
	p->answer = true;
	send_get(p, 1);
	drop_output(p);
	max = H2_UPDATE_BASE + H2_UPDATE_FACTOR * (1 + H2_UPDATE_PER_DATA);
	for (i = 0; i < max; i++)
		send_u32(p, H2_WINDOW_UPDATE, 0, 1);
	expect_alive(p);
	send_u32(p, H2_WINDOW_UPDATE, 0, 1);
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

static void
CVE_2019_9518_empty_frames_at_and_above_the_limit(void **state)
{
	struct peer	*p = server_new();
	unsigned	 i;

	(void)state;
	send_post(p, 1);
	for (i = 0; i < H2_EMPTY_FRAMES_MAX; i++)
		send_frame(p, H2_DATA, 0, 1, "", 0);
	send_frame(p, H2_DATA, 0, 1, "x", 1);
	/* Padding is no payload. */
	for (i = 0; i < H2_EMPTY_FRAMES_MAX; i++)
		send_frame(p, H2_DATA, H2_FLAG_PADDED, 1, "\x02\0", 3);
	expect_alive(p);
	send_frame(p, H2_DATA, 0, 1, "", 0);
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

static void
empty_data_with_end_stream_is_not_counted(void **state)
{
	struct peer	*p = server_new();
	unsigned	 i;

	(void)state;
	p->answer = true;
	for (i = 0; i < 4 * H2_EMPTY_FRAMES_MAX; i++) {
		send_post(p, 2 * i + 1);
		send_frame(p, H2_DATA, H2_FLAG_END_STREAM, 2 * i + 1, "", 0);
		expect_alive(p);
	}
	peer_free(p);
}

static void
glitches_at_and_above_the_limit(void **state)
{
	struct peer	*p = server_new();
	unsigned	 i;

	(void)state;
	for (i = 0; i < H2_GLITCH_BURST; i++)
		send_frame(p, 0x42, 0, 0, "x", 1);
	expect_alive(p);
	send_frame(p, 0x42, 0, 0, "x", 1);
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

/* -- other attacks ---------------------------------------------------------- */

static void
not_http2_is_told_so(void **state)
{
	static const char	get[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	struct peer		*p = peer_new();

	(void)state;
	peer_open(p, true);
	feed(p, (const uint8_t *)get, sizeof get - 1);
	expect_goaway(p, H2_PROTOCOL_ERROR);
	peer_free(p);
}

static void
the_first_frame_has_to_be_settings(void **state)
{
	struct peer	*p = peer_new();

	(void)state;
	peer_open(p, true);
	send_hex(p, PRI "000003 01 05 00000001" GET);
	expect_goaway(p, H2_PROTOCOL_ERROR);
	peer_free(p);
	p = peer_new();
	peer_open(p, true);
	send_hex(p, PRI SETACK);
	expect_goaway(p, H2_PROTOCOL_ERROR);
	peer_free(p);
}

/* CVE-2019-9511: much is asked for and let out byte by byte. */
static void
CVE_2019_9511_data_dribble_is_bounded(void **state)
{
	struct peer	*p = server_new();
	static char	 big[H2_SEND_BUFFER];
	unsigned	 i;

	(void)state;
	send_setting(p, H2_SET_WINDOW, 0);
	send_post(p, 1);
	assert_int_equal(h2_data(p->last, big, sizeof big, false), 0);
	assert_int_equal(h2_data(p->last, big, 1, false), -ENOBUFS);
	assert_int_equal(h2_room(p->last), 0);
	assert_true(h2_stream_blocked(p->last));
	for (i = 0; i < 1000 && p->r == 0; i++) {
		send_u32(p, H2_WINDOW_UPDATE, 1, 1);
		drop_output(p);
	}
	assert_int_equal(p->r, 0);
	assert_false(h2_wants_send(p->h));
	/* Updates that let nothing out are another matter. */
	for (i = 0; i < 100000 && p->r == 0; i++)
		send_u32(p, H2_WINDOW_UPDATE, 3, 1);
	expect_goaway(p, H2_PROTOCOL_ERROR);
	peer_free(p);
}

static void
frames_on_streams_we_reset_are_glitches(void **state)
{
	struct peer	*p = server_new();
	unsigned	 i;

	(void)state;
	send_post(p, 1);
	h2_reset(p->last, H2_CANCEL);
	send_frame(p, H2_DATA, 0, 1, "late", 4);
	send_u32(p, H2_WINDOW_UPDATE, 1, 1);
	send_frame(p, H2_HEADERS, 5, 1, "\x40\x01x\x01y", 5);
	send_u32(p, H2_RST_STREAM, 1, H2_CANCEL);
	assert_int_equal(p->r, 0);
	expect_log(p, "H1 C1=8 ");
	/* The table has kept in step. */
	send_frame(p, H2_HEADERS, 5, 3, "\x82\x86\x84\xbe", 4);
	expect_log(p, "H1 C1=8 H3+ ");
	for (i = 0; i < 2 * H2_GLITCH_BURST && p->r == 0; i++)
		send_frame(p, H2_DATA, 0, 1, "late", 4);
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

static void
a_stream_may_be_reset_between_continuations(void **state)
{
	struct peer	*p = server_new();

	(void)state;
	send_post(p, 1);
	send_frame(p, H2_HEADERS, H2_FLAG_END_STREAM, 1, "\x40\x01x", 3);
	h2_reset(p->last, H2_CANCEL);
	send_frame(p, H2_CONTINUATION, H2_FLAG_END_HEADERS, 1, "\x01y", 2);
	assert_int_equal(p->r, 0);
	expect_log(p, "H1 C1=8 ");
	send_frame(p, H2_HEADERS, 5, 3, "\x82\x86\x84\xbe", 4);
	expect_log(p, "H1 C1=8 H3+ ");
	peer_free(p);
}

/* As many as can still get frames that were on their way. */
static void
all_streams_reset_at_once_are_remembered(void **state)
{
	struct peer	*p = server_new();
	uint32_t	 i, ids = H2_STREAMS_MAX;

	(void)state;
	p->refuse = true;
	for (i = 0; i < ids; i++) {
		send_post(p, 2 * i + 1);
		drop_output(p);
	}
	for (i = 0; i < ids; i++)
		send_frame(p, H2_DATA, 1, 2 * i + 1, "x", 1);
	expect_alive(p);
	peer_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(CVE_2023_44487_rapid_reset),
		cmocka_unit_test(CVE_2023_44487_the_bucket_refills),
		cmocka_unit_test(CVE_2023_44487_the_bucket_does_not_overflow),
		cmocka_unit_test(CVE_2025_8671_made_you_reset_by_malformed_requests),
		cmocka_unit_test(resets_by_the_application_count),
		cmocka_unit_test(G9_no_error_after_the_answer_is_not_charged),
		cmocka_unit_test(streams_at_and_above_the_limit),
		cmocka_unit_test(TR_08_200_streams_at_once_are_not_refused),
		cmocka_unit_test(CVE_2024_28182_continuations_at_and_above_the_limit),
		cmocka_unit_test(CVE_2026_33871_empty_continuations_are_counted),
		cmocka_unit_test(CVE_2023_45288_block_length_at_and_above_the_limit),
		cmocka_unit_test(list_size_at_and_above_the_limit),
		cmocka_unit_test(fields_at_and_above_the_limit),
		cmocka_unit_test(a_block_has_10_seconds),
		cmocka_unit_test(CVE_2019_9515_settings_entries_at_and_above_the_limit),
		cmocka_unit_test(CVE_2019_9515_settings_frames_at_and_above_the_limit),
		cmocka_unit_test(CVE_2019_9512_pings_too_close_are_strikes),
		cmocka_unit_test(pings_10_s_apart_are_no_strikes),
		cmocka_unit_test(TR_06_ping_per_round_trip_is_never_punished),
		cmocka_unit_test(TR_06_bandwidth_pings_are_no_strikes),
		cmocka_unit_test(TR_06_probes_beside_received_data_are_free),
		cmocka_unit_test(TR_06_ping_is_answered_ahead_of_queued_data),
		cmocka_unit_test(CVE_2019_9513_priority_frames_at_and_above_the_limit),
		cmocka_unit_test(window_updates_at_and_above_the_limit),
		cmocka_unit_test(CVE_2019_9518_empty_frames_at_and_above_the_limit),
		cmocka_unit_test(empty_data_with_end_stream_is_not_counted),
		cmocka_unit_test(glitches_at_and_above_the_limit),
		cmocka_unit_test(not_http2_is_told_so),
		cmocka_unit_test(the_first_frame_has_to_be_settings),
		cmocka_unit_test(CVE_2019_9511_data_dribble_is_bounded),
		cmocka_unit_test(frames_on_streams_we_reset_are_glitches),
		cmocka_unit_test(a_stream_may_be_reset_between_continuations),
		cmocka_unit_test(all_streams_reset_at_once_are_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
