#include "net/h2_limits.h"

void
h2_limits_default(struct h2_limits *l)
{
	*l = (struct h2_limits){
		.max_streams = H2_STREAMS_MAX,
		.header_block_max = H2_HEADER_BLOCK_MAX,
		.continuations_max = H2_CONTINUATIONS_MAX,
		.header_block_ms = H2_HEADER_BLOCK_MS,
		.settings_entries_max = H2_SETTINGS_ENTRIES_MAX,
		.settings_burst = H2_SETTINGS_BURST,
		.settings_per_s = H2_SETTINGS_PER_S,
		.reset_burst = H2_RESET_BURST,
		.reset_per_s = H2_RESET_PER_S,
		.ping_burst = H2_PING_BURST,
		.ping_per_s = H2_PING_PER_S,
		.ping_strikes = H2_PING_STRIKES,
		.ping_strike_ms = H2_PING_STRIKE_MS,
		.glitch_burst = H2_GLITCH_BURST,
		.glitch_per_s = H2_GLITCH_PER_S,
		.empty_frames_max = H2_EMPTY_FRAMES_MAX,
		.control_queue_pause = H2_CONTROL_QUEUE_PAUSE,
		.control_queue_max = H2_CONTROL_QUEUE_MAX,
		.stream_window = H2_STREAM_WINDOW,
		.stream_window_max = H2_STREAM_WINDOW_MAX,
		.conn_window = H2_CONN_WINDOW,
		.send_buffer = H2_SEND_BUFFER,
		.settings_ack_ms = H2_SETTINGS_ACK_MS,
		.keepalive_ms = H2_KEEPALIVE_MS,
		.keepalive_wait_ms = H2_KEEPALIVE_WAIT_MS,
		.preface_ms = H2_PREFACE_MS,
		.frames_per_turn = H2_FRAMES_PER_TURN,
		.bytes_per_turn = H2_BYTES_PER_TURN,
	};
}

void
h2_bucket_init(struct h2_bucket *b, uint32_t burst, uint32_t per_s,
    uint64_t now)
{
	*b = (struct h2_bucket){
		.level = (uint64_t)burst * 1000, .last_ms = now,
		.burst = burst, .per_s = per_s
	};
}

/* A rate per second is as many thousandths per millisecond. */
bool
h2_bucket_take(struct h2_bucket *b, uint64_t now)
{
	const uint64_t	full = (uint64_t)b->burst * 1000;
	uint64_t	passed = now > b->last_ms ? now - b->last_ms : 0;

	if (now > b->last_ms)
		b->last_ms = now;
	if (b->per_s > 0 && passed >= (full - b->level) / b->per_s + 1)
		b->level = full;
	else
		b->level += passed * b->per_s;
	if (b->level < 1000)
		return false;
	b->level -= 1000;
	return true;
}
