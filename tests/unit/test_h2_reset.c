#include "tests/unit/h2_peer.h"

/* A reset that crosses the end of our answer (TR-16), and those like it. */

#define GLITCHES	10u

static struct peer *
server_of_few_glitches(void)
{
	struct peer	*p = peer_new();

	p->limits.glitch_burst = GLITCHES;
	p->answer = true;
	return server_ready(p);
}

/* What the budget of oddities still held; the connection is over then. */
static unsigned
glitches_left(struct peer *p)
{
	unsigned	n;

	assert_int_equal(p->r, 0);
	for (n = 0; p->r == 0; n++)
		send_frame(p, 0x42, 0, 0, "x", 1);
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	return n - 1;
}

static void
TR_16_a_reset_of_every_completed_stream_is_free(void **state)
{
	struct peer	*p = server_of_few_glitches();
	uint32_t	 id;

	(void)state;
	for (id = 1; id < 10000; id += 2) {
		send_get(p, id);
		forget(p);
		send_u32(p, H2_RST_STREAM, id, H2_CANCEL);
	}
	assert_int_equal(glitches_left(p), GLITCHES);
	peer_free(p);
}

static void
TR_16_also_behind_our_own_no_error(void **state)
{
	struct peer	*p = server_of_few_glitches();
	uint32_t	 id;

	(void)state;
	for (id = 1; id < 100; id += 2) {
		send_post(p, id);
		peer_answer(p->last);
		h2_finish(p->last);
		forget(p);
		send_u32(p, H2_RST_STREAM, id, H2_NO_ERROR);
	}
	assert_int_equal(glitches_left(p), GLITCHES);
	peer_free(p);
}

/* The peer has asked for all before it resets the first; here they may have
 * been open all at once, or one after the other. */
static void
TR_16_all_streams_may_be_reset_at_once(void **state)
{
	struct peer	*p;
	uint32_t	 i;
	int		 one_by_one;

	(void)state;
	for (one_by_one = 0; one_by_one < 2; one_by_one++) {
		p = server_of_few_glitches();
		for (i = 0; i < H2_STREAMS_MAX; i++) {
			send_get(p, 2 * i + 1);
			if (one_by_one)
				forget(p);
		}
		forget(p);
		for (i = 0; i < H2_STREAMS_MAX; i++)
			send_u32(p, H2_RST_STREAM, 2 * i + 1, H2_CANCEL);
		assert_int_equal(glitches_left(p), GLITCHES);
		peer_free(p);
	}
}

static void
TR_16_a_stream_may_be_old_when_it_completes(void **state)
{
	struct peer		*p = server_of_few_glitches();
	struct h2_stream	*old;
	uint32_t		 id;

	(void)state;
	send_post(p, 1);
	old = p->last;
	for (id = 3; id < 4000; id += 2) {
		send_get(p, id);
		forget(p);
	}
	peer_answer(old);
	h2_finish(old);
	forget(p);
	send_u32(p, H2_RST_STREAM, 1, H2_CANCEL);
	assert_int_equal(glitches_left(p), GLITCHES);
	peer_free(p);
}

/* Two seconds without a stream: what is still to come costs one each. */
static void
completed_streams_are_forgotten_with_the_pools(void **state)
{
	struct peer	*p = server_of_few_glitches();

	(void)state;
	send_get(p, 1);
	forget(p);
	p->now += H2_TRIM_MS;
	assert_int_equal(h2_tick(p->h, p->now), 0);
	send_u32(p, H2_RST_STREAM, 1, H2_CANCEL);
	assert_int_equal(glitches_left(p), GLITCHES - 1);
	peer_free(p);
}

static void
a_second_reset_of_a_completed_stream_is_a_glitch(void **state)
{
	struct peer	*p = server_of_few_glitches();
	unsigned	 i;

	(void)state;
	send_get(p, 1);
	forget(p);
	for (i = 0; i < 4; i++)
		send_u32(p, H2_RST_STREAM, 1, H2_CANCEL);
	assert_int_equal(glitches_left(p), GLITCHES - 3);
	peer_free(p);
}

static void
a_reset_of_a_stream_that_did_not_complete_is_a_glitch(void **state)
{
	struct peer	*p = server_of_few_glitches();

	(void)state;
	send_u32(p, H2_WINDOW_UPDATE, 0, 1);
	send_post(p, 3);
	send_u32(p, H2_RST_STREAM, 1, H2_CANCEL);	/* never was */
	h2_reset(p->last, H2_CANCEL);
	send_u32(p, H2_RST_STREAM, 3, H2_CANCEL);	/* ended by us */
	send_post(p, 5);
	send_u32(p, H2_RST_STREAM, 5, H2_CANCEL);
	send_u32(p, H2_RST_STREAM, 5, H2_CANCEL);	/* by the peer */
	assert_int_equal(glitches_left(p), GLITCHES - 3);
	peer_free(p);
}

/* An answer that has not left yet is still work. */
static void
CVE_2023_44487_a_reset_before_the_answer_is_sent_is_charged(void **state)
{
	struct peer	*p = server_of_few_glitches();
	uint32_t	 i;

	(void)state;
	for (i = 0; i <= H2_RESET_BURST && p->r == 0; i++) {
		send_get(p, 2 * i + 1);
		send_u32(p, H2_RST_STREAM, 2 * i + 1, H2_CANCEL);
		if (i < H2_RESET_BURST)
			forget(p);
	}
	assert_int_equal(i, H2_RESET_BURST + 1);
	expect_goaway(p, H2_ENHANCE_YOUR_CALM);
	peer_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(TR_16_a_reset_of_every_completed_stream_is_free),
		cmocka_unit_test(TR_16_also_behind_our_own_no_error),
		cmocka_unit_test(TR_16_all_streams_may_be_reset_at_once),
		cmocka_unit_test(TR_16_a_stream_may_be_old_when_it_completes),
		cmocka_unit_test(completed_streams_are_forgotten_with_the_pools),
		cmocka_unit_test(a_second_reset_of_a_completed_stream_is_a_glitch),
		cmocka_unit_test(a_reset_of_a_stream_that_did_not_complete_is_a_glitch),
		cmocka_unit_test(CVE_2023_44487_a_reset_before_the_answer_is_sent_is_charged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
