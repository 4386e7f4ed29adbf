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

static void
TR_16_all_streams_may_be_reset_at_once(void **state)
{
	struct peer	*p = server_of_few_glitches();
	uint32_t	 i;

	(void)state;
	for (i = 0; i < H2_STREAMS_MAX; i++)
		send_get(p, 2 * i + 1);
	forget(p);
	for (i = 0; i < H2_STREAMS_MAX; i++)
		send_u32(p, H2_RST_STREAM, 2 * i + 1, H2_CANCEL);
	assert_int_equal(glitches_left(p), GLITCHES);
	peer_free(p);
}

/* The table of streams grows between the end and the reset. */
static void
TR_16_growth_forgets_no_completed_stream(void **state)
{
	struct peer	*p = server_of_few_glitches();
	uint32_t	 i;

	(void)state;
	for (i = 0; i < 16; i++) {
		send_get(p, 2 * i + 1);
		forget(p);
	}
	for (; i < 16 + H2_STREAMS_MAX; i++)
		send_post(p, 2 * i + 1);
	for (i = 0; i < 16; i++)
		send_u32(p, H2_RST_STREAM, 2 * i + 1, H2_CANCEL);
	assert_int_equal(glitches_left(p), GLITCHES);
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
		cmocka_unit_test(TR_16_growth_forgets_no_completed_stream),
		cmocka_unit_test(a_second_reset_of_a_completed_stream_is_a_glitch),
		cmocka_unit_test(a_reset_of_a_stream_that_did_not_complete_is_a_glitch),
		cmocka_unit_test(CVE_2023_44487_a_reset_before_the_answer_is_sent_is_charged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
