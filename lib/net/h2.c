#include <errno.h>
#include <stdlib.h>

#include "net/h2_priv.h"

/* -- failing --------------------------------------------------------------- */

static uint32_t
last_processed(const struct h2 *h)
{
	if (!h->server)
		return 0;		/* it cannot open any */
	return h->stopped && h->stop_id < h->last_id ? h->stop_id : h->last_id;
}

int
h2_fail(struct h2 *h, uint32_t code, const char *reason)
{
	if (h->failed < 0)
		return h->failed;
	h->failed = -EPROTO;
	h->reason = reason;
	h2_send_goaway(h, last_processed(h), code, reason);
	h->stopping = h->stopped = true;
	h2_close_all(h, code, 0);
	return h->failed;
}

int
h2_fail_memory(struct h2 *h)
{
	if (h->failed < 0)
		return h->failed;
	h->failed = -ENOMEM;
	h->reason = "out of memory";
	h->stopping = h->stopped = true;
	h2_close_all(h, H2_INTERNAL_ERROR, 0);
	return h->failed;
}

int
h2_glitch(struct h2 *h)
{
	if (h2_bucket_take(&h->glitches_left, h->now))
		return 0;
	return h2_fail(h, H2_ENHANCE_YOUR_CALM, "too many odd frames");
}

/* A client that is refused has more reason to complain than we have. */
int
h2_charge_reset(struct h2 *h)
{
	if (!h->server || h2_bucket_take(&h->resets_left, h->now))
		return 0;
	return h2_fail(h, H2_ENHANCE_YOUR_CALM, "too many reset streams");
}

/* -- life ------------------------------------------------------------------ */

static void
put_setting(uint8_t **p, enum h2_setting id, uint32_t v)
{
	be16_write(*p, (uint16_t)id);
	be32_write(*p + 2, v);
	*p += H2_SETTING_LEN;
}

/* Preface, SETTINGS and the connection's window, before anything is read. */
static int
greet(struct h2 *h)
{
	struct h2_head	head = {
		.length = 3 * H2_SETTING_LEN, .type = H2_SETTINGS
	};
	uint8_t		*p;
	int		 r;

	if (!h->server &&
	    (r = buf_put(&h->ctl, H2_PREFACE, H2_PREFACE_LEN)) < 0)
		return r;
	if ((r = h2_control(h, &head, &p)) < 0)
		return r;
	if (h->server)
		put_setting(&p, H2_SET_MAX_STREAMS, h->limits.max_streams);
	else
		put_setting(&p, H2_SET_ENABLE_PUSH, 0);
	put_setting(&p, H2_SET_WINDOW, h->limits.stream_window);
	put_setting(&p, H2_SET_HEADER_LIST_MAX, HPACK_LIST_MAX);
	if (h->limits.conn_window <= H2_WINDOW_DEFAULT)
		return 0;
	h->recv_window = h->limits.conn_window;
	return h2_send_update(h, 0, h->limits.conn_window - H2_WINDOW_DEFAULT);
}

static void
init_buckets(struct h2 *h, const struct h2_limits *l)
{
	h2_bucket_init(&h->resets_left, l->reset_burst, l->reset_per_s,
	    h->now);
	h2_bucket_init(&h->pings_left, l->ping_burst, l->ping_per_s, h->now);
	h2_bucket_init(&h->settings_left, l->settings_burst,
	    l->settings_per_s, h->now);
	h2_bucket_init(&h->glitches_left, l->glitch_burst, l->glitch_per_s,
	    h->now);
}

struct h2 *
h2_create(bool server, const struct h2_limits *limits,
    const struct h2_ops *ops, void *arg, uint64_t now)
{
	struct h2	*h;

	if ((h = calloc(1, sizeof *h)) == NULL)
		return NULL;
	h->server = server;
	h->limits = *limits;
	h->ops = *ops;
	h->arg = arg;
	h->now = h->created_ms = h->recv_ms = h->settings_ms = now;
	h->in = server ? H2_IN_PREFACE : H2_IN_HEAD;
	h->left = server ? H2_PREFACE_LEN : H2_HEAD_LEN;
	h->send_window = h->recv_window = H2_WINDOW_DEFAULT;
	h->peer_window = H2_WINDOW_DEFAULT;
	h->peer_streams = UINT32_MAX;
	init_buckets(h, limits);
	buf_init(&h->ctl, H2_CONTROL_BYTES_MAX);
	buf_init(&h->block, limits->header_block_max);
	arena_init(&h->arena, HPACK_ARENA_MAX);
	hpack_table_init(&h->dec, HPACK_TABLE_DEFAULT);
	hpack_table_init(&h->enc, HPACK_TABLE_DEFAULT);
	if (greet(h) < 0) {
		h2_destroy(h);
		return NULL;
	}
	return h;
}

void
h2_destroy(struct h2 *h)
{
	if (h == NULL)
		return;
	if (h->failed == 0)
		h->failed = -EPIPE;	/* whatever closed() may call */
	h2_close_all(h, H2_CANCEL, 0);
	h2_reap(h);
	h2_trim(h);
	free(h->resets);
	hpack_table_finish(&h->dec);
	hpack_table_finish(&h->enc);
	buf_finish(&h->ctl);
	buf_finish(&h->block);
	free(h);
}

/* -- stopping -------------------------------------------------------------- */

/* G15: first say that the end is near, so that no request on its way is lost;
 * one round trip later, which was the last. */
void
h2_shutdown(struct h2 *h)
{
	if (h->failed < 0 || h->stopped || (h->server && h->stopping))
		return;
	h->stopping = true;
	h->stop_ms = h->now;
	if (!h->server)
		h2_stop(h);
	else if (h2_send_goaway(h, H2_ID_MAX, H2_NO_ERROR, NULL) == 0)
		h2_send_ping(h, H2_PING_SHUTDOWN);
}

void
h2_stop(struct h2 *h)
{
	if (h->failed < 0 || h->stopped)
		return;
	h->stop_id = last_processed(h);
	h->stopped = true;
	h2_send_goaway(h, h->stop_id, H2_NO_ERROR, NULL);
}

bool
h2_drained(const struct h2 *h)
{
	return h->stopped && h->count == 0 && h->dead.head == NULL &&
	    h->ctl.len == 0;
}

void
h2_terminate(struct h2 *h, uint32_t code, const char *debug)
{
	h2_fail(h, code, debug != NULL ? debug : "ended by us");
	h2_reap(h);
}

/* -- time ------------------------------------------------------------------ */

static void
sooner(uint64_t *due, bool armed, uint64_t since, uint32_t ms)
{
	if (armed && since + ms < *due)
		*due = since + ms;
}

uint64_t
h2_deadline(const struct h2 *h)
{
	const struct h2_limits	*l = &h->limits;
	uint64_t		 due = UINT64_MAX;

	if (h->failed < 0)
		return due;
	sooner(&due, !h->settings_seen, h->created_ms, l->preface_ms);
	sooner(&due, !h->settings_acked, h->settings_ms, l->settings_ack_ms);
	sooner(&due, h->block_use != H2_BLOCK_NONE, h->block_ms,
	    l->header_block_ms);
	sooner(&due, h->stopping && !h->stopped && h->server, h->stop_ms,
	    H2_SHUTDOWN_MS);
	sooner(&due, h->trim_due, h->trim_ms, 0);
	if (h->keepalive_sent)
		sooner(&due, true, h->keepalive_ms, l->keepalive_wait_ms);
	else
		sooner(&due, l->keepalive_ms > 0, h->recv_ms,
		    l->keepalive_ms);
	return due;
}

static bool
passed(const struct h2 *h, uint64_t since, uint32_t ms)
{
	return h->now >= since + ms;
}

static int
timeout(struct h2 *h, uint32_t code, const char *reason)
{
	h2_fail(h, code, reason);
	h->failed = -ETIMEDOUT;
	return h->failed;
}

static int
check_peer(struct h2 *h)
{
	const struct h2_limits	*l = &h->limits;

	if (!h->settings_seen && passed(h, h->created_ms, l->preface_ms))
		return timeout(h, H2_PROTOCOL_ERROR,
		    "no HTTP/2 preface in time");
	if (!h->settings_acked &&
	    passed(h, h->settings_ms, l->settings_ack_ms))
		return timeout(h, H2_SETTINGS_TIMEOUT,
		    "SETTINGS not acknowledged in time");
	if (h->block_use != H2_BLOCK_NONE &&
	    passed(h, h->block_ms, l->header_block_ms))
		return timeout(h, H2_ENHANCE_YOUR_CALM,
		    "header block not complete in time");
	if (h->keepalive_sent &&
	    passed(h, h->keepalive_ms, l->keepalive_wait_ms))
		return timeout(h, H2_NO_ERROR, "keepalive PING not answered");
	return 0;
}

int
h2_tick(struct h2 *h, uint64_t now)
{
	int	r = h->failed;

	h->now = now;
	if (r == 0 && (r = check_peer(h)) == 0) {
		if (h->stopping && h->server &&
		    passed(h, h->stop_ms, H2_SHUTDOWN_MS))
			h2_stop(h);
		if (h->trim_due && passed(h, h->trim_ms, 0))
			h2_trim(h);
		if (!h->keepalive_sent && h->limits.keepalive_ms > 0 &&
		    passed(h, h->recv_ms, h->limits.keepalive_ms) &&
		    h2_send_ping(h, H2_PING_KEEPALIVE) == 0) {
			h2_trim(h);
			h->keepalive_sent = true;
			h->keepalive_ms = now;
		}
		r = h->failed;
	}
	h2_reap(h);
	return r;
}

/* -- looking --------------------------------------------------------------- */

size_t
h2_stream_count(const struct h2 *h)
{
	return h->count;
}

bool
h2_peer_ready(const struct h2 *h)
{
	return h->settings_seen;
}

const char *
h2_reason(const struct h2 *h)
{
	return h->reason;
}

uint32_t
h2_stream_id(const struct h2_stream *s)
{
	return s->id;
}

void
h2_stream_set_arg(struct h2_stream *s, void *arg)
{
	s->arg = arg;
}

void *
h2_stream_arg(const struct h2_stream *s)
{
	return s->arg;
}

bool
h2_stream_remote_ended(const struct h2_stream *s)
{
	return s->remote_ended;
}

struct h2 *
h2_stream_session(const struct h2_stream *s)
{
	return s->h;
}
