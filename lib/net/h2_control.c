#include <errno.h>
#include <string.h>

#include "net/h2_priv.h"

/* What gRPC stacks send to measure bandwidth and delay, once per round trip:
 * never a strike (TR-06). */
#define PING_BDP	UINT64_C(0x02041010090e0707)

int
h2_on_priority(struct h2 *h, const uint8_t *p)
{
	if ((be32_read(p) & H2_ID_MAX) == h->head.stream)
		return h2_fail(h, H2_PROTOCOL_ERROR,
		    "stream depends on itself");
	if (++h->priorities > H2_PRIORITY_PER_STREAM * (1 + h->opened))
		return h2_fail(h, H2_ENHANCE_YOUR_CALM,
		    "too many PRIORITY frames");
	return 0;
}

int
h2_on_reset(struct h2 *h, const uint8_t *p)
{
	const uint32_t		 id = h->head.stream;
	struct h2_stream	*s;
	int			 r;

	if (h2_is_idle(h, id))
		return h2_fail(h, H2_PROTOCOL_ERROR,
		    "RST_STREAM on an idle stream");
	if ((s = h2_find(h, id)) == NULL)
		return h2_take_completed(h, id) ? 0 : h2_glitch(h);
	if ((r = h2_charge_reset(h)) < 0)
		return r;
	h2_stream_close(s, be32_read(p));
	return 0;
}

/* -- SETTINGS -------------------------------------------------------------- */

static int
set_window(struct h2 *h, uint32_t v)
{
	int64_t	delta = (int64_t)v - h->peer_window;

	if (v > H2_WINDOW_MAX)
		return h2_fail(h, H2_FLOW_CONTROL_ERROR,
		    "INITIAL_WINDOW_SIZE out of range");
	h->peer_window = v;
	if (h2_shift_send_windows(h, delta) < 0)
		return h2_fail(h, H2_FLOW_CONTROL_ERROR,
		    "INITIAL_WINDOW_SIZE overflows a window");
	return 0;
}

static int
apply(struct h2 *h, uint16_t id, uint32_t v)
{
	switch (id) {
	case H2_SET_HEADER_TABLE_SIZE:
		hpack_table_limit(&h->enc, v);
		break;
	case H2_SET_ENABLE_PUSH:
		if (v > 1 || (v == 1 && !h->server))
			return h2_fail(h, H2_PROTOCOL_ERROR,
			    "ENABLE_PUSH out of range");
		break;
	case H2_SET_MAX_STREAMS:
		h->peer_streams = v;
		break;
	case H2_SET_WINDOW:
		return set_window(h, v);
	case H2_SET_FRAME_MAX:
		/* We never send more than the least it can be. */
		if (v < H2_FRAME_MAX || v > H2_FRAME_MAX_MAX)
			return h2_fail(h, H2_PROTOCOL_ERROR,
			    "MAX_FRAME_SIZE out of range");
		break;
	default:
		break;
	}
	return 0;
}

static int
on_settings_ack(struct h2 *h)
{
	if (h->settings_acked)
		return h2_glitch(h);
	h->settings_acked = true;
	h2_shift_recv_windows(h,
	    (int64_t)h->limits.stream_window - H2_WINDOW_DEFAULT);
	return 0;
}

int
h2_on_settings(struct h2 *h, const uint8_t *p)
{
	struct h2_head	ack = { .type = H2_SETTINGS, .flags = H2_FLAG_ACK };
	const uint8_t	*end = p + h->head.length;
	uint8_t		*none;
	int		 r;

	if (h->head.flags & H2_FLAG_ACK)
		return on_settings_ack(h);
	if (!h2_bucket_take(&h->settings_left, h->now))
		return h2_fail(h, H2_ENHANCE_YOUR_CALM,
		    "too many SETTINGS frames");
	for (; h->head.length > 0 && p < end; p += H2_SETTING_LEN)
		if ((r = apply(h, be16_read(p), be32_read(p + 2))) < 0)
			return r;
	h->settings_seen = true;
	return h2_control(h, &ack, &none);
}

/* -- PING ------------------------------------------------------------------ */

/*
 * A PING after DATA or HEADERS of ours measures something and is free, for we
 * set its pace; so is gRPC's probe beside DATA of the peer's.  Others are
 * rationed, and too close together they are strikes.
 */
static int
judge_ping(struct h2 *h, uint64_t payload)
{
	bool	soon = h->ping_seen &&
	    h->now - h->ping_ms < h->limits.ping_strike_ms;
	bool	moved = h->sent_since_ping ||
	    (h->got_since_ping && payload == PING_BDP);

	if (h->sent_since_ping)
		h->ping_strikes = 0;
	h->ping_seen = true;
	h->ping_ms = h->now;
	h->sent_since_ping = h->got_since_ping = false;
	if (moved)
		return 0;
	if (soon && payload != PING_BDP)
		h->ping_strikes++;
	if (h->ping_strikes > h->limits.ping_strikes ||
	    !h2_bucket_take(&h->pings_left, h->now))
		return h2_fail(h, H2_ENHANCE_YOUR_CALM, "too_many_pings");
	return 0;
}

static int
on_ping_ack(struct h2 *h, uint64_t payload)
{
	if (payload == H2_PING_SHUTDOWN && h->stopping && !h->stopped)
		h2_stop(h);
	else if (payload != H2_PING_KEEPALIVE && payload != H2_PING_SHUTDOWN)
		return h2_glitch(h);
	return h->failed;
}

int
h2_on_ping(struct h2 *h, const uint8_t *p)
{
	struct h2_head	ack = {
		.length = H2_PING_LEN, .type = H2_PING, .flags = H2_FLAG_ACK
	};
	uint64_t	payload = be64_read(p);
	uint8_t		*out;
	int		 r;

	if (h->head.flags & H2_FLAG_ACK)
		return on_ping_ack(h, payload);
	if ((r = judge_ping(h, payload)) < 0 ||
	    (r = h2_control(h, &ack, &out)) < 0)
		return r;
	be64_write(out, payload);
	return 0;
}

/* -- GOAWAY ---------------------------------------------------------------- */

/* Streams of ours above last were not processed and can be tried again. */
int
h2_on_goaway(struct h2 *h, const uint8_t *p)
{
	uint32_t	last = be32_read(p) & H2_ID_MAX;
	uint32_t	code = be32_read(p + 4);

	if (!h->server) {
		h->stopping = true;
		h2_close_all(h, H2_REFUSED_STREAM, last);
	}
	h->depth++;
	h->ops.goaway(h->arg, last, code);
	h->depth--;
	return h->failed;
}

/* -- WINDOW_UPDATE --------------------------------------------------------- */

static int
update_conn(struct h2 *h, uint32_t n)
{
	struct h2_stream	*s;

	h->send_window += n;
	if (h->send_window > (int64_t)H2_WINDOW_MAX)
		return h2_fail(h, H2_FLOW_CONTROL_ERROR,
		    "the connection's window overflows");
	while (h->send_window > 0 && (s = h->stalled.head) != NULL) {
		h2_queue_remove(s);
		h2_stream_wake(s);
	}
	return 0;
}

static int
update_stream(struct h2 *h, uint32_t n)
{
	struct h2_stream	*s = h2_find(h, h->head.stream);

	if (h2_is_idle(h, h->head.stream))
		return h2_fail(h, H2_PROTOCOL_ERROR,
		    "WINDOW_UPDATE on an idle stream");
	if (s == NULL)
		return 0;	/* was on its way when the stream ended */
	s->send_window += n;
	if (s->send_window > (int64_t)H2_WINDOW_MAX)
		return h2_fail(h, H2_FLOW_CONTROL_ERROR,
		    "a stream's window overflows");
	if (s->data_len > 0)
		h2_stream_wake(s);
	return 0;
}

int
h2_on_update(struct h2 *h, const uint8_t *p)
{
	uint32_t	n = be32_read(p) & H2_WINDOW_MAX;

	if (n == 0)
		return h2_fail(h, H2_PROTOCOL_ERROR, "WINDOW_UPDATE of 0");
	if (++h->updates > H2_UPDATE_BASE + H2_UPDATE_FACTOR *
	    (h->opened + H2_UPDATE_PER_DATA * h->data_frames))
		return h2_fail(h, H2_ENHANCE_YOUR_CALM,
		    "too many WINDOW_UPDATE frames");
	return h->head.stream == 0 ? update_conn(h, n) : update_stream(h, n);
}
