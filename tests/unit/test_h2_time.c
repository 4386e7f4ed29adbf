#include "tests/unit/h2_peer.h"

/* What is bounded by queues, by turns and by time. */

/* -- queues ----------------------------------------------------------------- */

/* The peer asks and does not read; we stop reading. */
static void
reading_stops_at_64_queued_answers(void **state)
{
	uint8_t		 frames[40 * 17 * 2], *at = frames;
	struct h2_head	 head = { .length = 8, .type = H2_PING };
	struct peer	*p = peer_new();
	size_t		 used, i;

	(void)state;
	p->limits.ping_strikes = 1000;
	p->limits.frames_per_turn = 1000;
	server_ready(p);
	for (i = 0; i < 80; i++, at += 17) {
		h2_head_write(at, &head);
		memset(at + 9, 'x', 8);
	}
	assert_false(h2_recv_paused(p->h));
	assert_int_equal(h2_recv(p->h, frames, sizeof frames, &used, p->now),
	    0);
	assert_int_equal(used, H2_CONTROL_QUEUE_PAUSE * 17);
	assert_true(h2_recv_paused(p->h));
	assert_int_equal(h2_recv(p->h, frames, 17, &used, p->now), 0);
	assert_int_equal(used, 0);
	drop_output(p);
	assert_false(h2_recv_paused(p->h));
	assert_int_equal(h2_recv(p->h, frames, 17, &used, p->now), 0);
	assert_int_equal(used, 17);
	peer_free(p);
}

static void
CVE_2019_9517_queued_control_frames_have_a_hard_limit(void **state)
{
	struct peer	*p = peer_new();
	unsigned	 i, n = 0;

	(void)state;
	p->limits.control_queue_max = 10;
	server_ready(p);
	for (i = 0; i < 20; i++)
		send_post(p, 2 * i + 1);
	/* Nothing is taken out while the application resets streams. */
	for (i = 0; i < 20 && h2_reason(p->h) == NULL; i++, n++) {
		send_post(p, 2 * i + 101);
		if (p->last != NULL)
			h2_reset(p->last, H2_NO_ERROR);
	}
	assert_int_equal(n, 11);
	p->r = -EPROTO;
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

static void
one_turn_is_64_frames(void **state)
{
	uint8_t		 frames[12 * 100];
	struct h2_head	 head = { .length = 3, .type = H2_HEADERS, .flags = 5 };
	struct peer	*p = server_new();
	size_t		 used, i;

	(void)state;
	for (i = 0; i < 100; i++) {
		head.stream = (uint32_t)(2 * i + 1);
		h2_head_write(frames + 12 * i, &head);
		memcpy(frames + 12 * i + 9, "\x82\x86\x84", 3);
	}
	assert_int_equal(h2_recv(p->h, frames, sizeof frames, &used, p->now),
	    0);
	assert_int_equal(used, 12 * H2_FRAMES_PER_TURN);
	peer_free(p);
}

static void
one_turn_is_256_KiB(void **state)
{
	struct peer	*p = peer_new();
	uint8_t		*frames;
	size_t		 n = 9 + H2_FRAME_MAX, used, i;
	struct h2_head	 head = { .length = H2_FRAME_MAX, .stream = 1 };

	(void)state;
	p->limits.stream_window = 1u << 20;
	server_ready(p);
	send_post(p, 1);
	frames = calloc(20, n);
	for (i = 0; i < 20; i++)
		h2_head_write(frames + n * i, &head);
	assert_int_equal(h2_recv(p->h, frames, 20 * n, &used, p->now), 0);
	assert_int_equal(used, H2_BYTES_PER_TURN);
	free(frames);
	peer_free(p);
}

/* -- time ------------------------------------------------------------------- */

static void
preface_and_settings_have_10_seconds(void **state)
{
	struct peer	*p = peer_new();

	(void)state;
	peer_open(p, true);
	p->now += H2_PREFACE_MS - 1;
	send_hex(p, PRI);
	assert_int_equal(h2_tick(p->h, p->now), 0);
	assert_int_equal(h2_deadline(p->h), p->now + 1);
	assert_int_equal(h2_tick(p->h, p->now + 1), -ETIMEDOUT);
	assert_non_null(h2_reason(p->h));
	peer_free(p);
}

static void
settings_have_to_be_acknowledged_in_10_seconds(void **state)
{
	struct peer	*p = peer_new();

	(void)state;
	peer_open(p, true);
	send_hex(p, PRI SET);
	assert_int_equal(h2_tick(p->h, p->now + H2_SETTINGS_ACK_MS - 1), 0);
	assert_int_equal(h2_tick(p->h, p->now + H2_SETTINGS_ACK_MS),
	    -ETIMEDOUT);
	p->r = -EPROTO;
	expect_goaway(p, H2_SETTINGS_TIMEOUT);
	peer_free(p);
}

static void
TR_18_silent_peer_is_pinged_and_dropped(void **state)
{
	struct peer	*p = server_new();
	struct frame	 f;
	uint8_t		 payload[8];

	(void)state;
	send_post(p, 1);
	assert_int_equal(h2_deadline(p->h), p->now + H2_KEEPALIVE_MS);
	p->now += H2_KEEPALIVE_MS;
	assert_int_equal(h2_tick(p->h, p->now), 0);
	assert_true(next_frame(p, &f));
	assert_int_equal(f.head.type, H2_PING);
	assert_int_equal(f.head.flags, 0);
	memcpy(payload, f.p, 8);
	assert_int_equal(h2_deadline(p->h), p->now + H2_KEEPALIVE_WAIT_MS);

	/* Answered: all is well. */
	p->now += H2_KEEPALIVE_WAIT_MS - 1;
	send_frame(p, H2_PING, H2_FLAG_ACK, 0, payload, 8);
	assert_int_equal(h2_deadline(p->h), p->now + H2_KEEPALIVE_MS);

	/* Not answered. */
	p->now += H2_KEEPALIVE_MS;
	assert_int_equal(h2_tick(p->h, p->now), 0);
	p->now += H2_KEEPALIVE_WAIT_MS;
	assert_int_equal(h2_tick(p->h, p->now), -ETIMEDOUT);
	expect_log(p, "H1 C1=0 ");
	peer_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_stops_at_64_queued_answers),
		cmocka_unit_test(CVE_2019_9517_queued_control_frames_have_a_hard_limit),
		cmocka_unit_test(one_turn_is_64_frames),
		cmocka_unit_test(one_turn_is_256_KiB),
		cmocka_unit_test(preface_and_settings_have_10_seconds),
		cmocka_unit_test(settings_have_to_be_acknowledged_in_10_seconds),
		cmocka_unit_test(TR_18_silent_peer_is_pinged_and_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
