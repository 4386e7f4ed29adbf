#include <errno.h>
#include <string.h>

#include "net/h2_priv.h"

enum stream_rule { STREAM_ANY, STREAM_NEEDED, STREAM_NONE };

static int	 begin_data(struct h2 *h);
static int	 begin_settings(struct h2 *h);
static int	 begin_push(struct h2 *h);

/* One row holds what RFC 9113 section 6 says about a frame's layout. */
static const struct rule {
	enum stream_rule stream;
	uint32_t	 min, max;		/* payload */
	enum h2_in_state next;			/* what follows the header */
	uint32_t	 keep;			/* H2_IN_SMALL: bytes wanted */
	int		(*begin)(struct h2 *h);	/* may be NULL */
	int		(*payload)(struct h2 *h, const uint8_t *p);
} rules[H2_TYPE_COUNT] = {
	[H2_DATA] = { STREAM_NEEDED, 0, H2_FRAME_MAX, H2_IN_PREFIX, 0,
	    begin_data, NULL },
	[H2_HEADERS] = { STREAM_NEEDED, 0, H2_FRAME_MAX, H2_IN_PREFIX, 0,
	    h2_block_begin, NULL },
	[H2_PRIORITY] = { STREAM_NEEDED, H2_PRIORITY_LEN, H2_PRIORITY_LEN,
	    H2_IN_SMALL, H2_PRIORITY_LEN, NULL, h2_on_priority },
	[H2_RST_STREAM] = { STREAM_NEEDED, H2_RST_LEN, H2_RST_LEN,
	    H2_IN_SMALL, H2_RST_LEN, NULL, h2_on_reset },
	[H2_SETTINGS] = { STREAM_NONE, 0, H2_FRAME_MAX, H2_IN_SMALL,
	    H2_HOLD_MAX, begin_settings, h2_on_settings },
	[H2_PUSH_PROMISE] = { STREAM_ANY, 0, H2_FRAME_MAX, H2_IN_SKIP, 0,
	    begin_push, NULL },
	[H2_PING] = { STREAM_NONE, H2_PING_LEN, H2_PING_LEN, H2_IN_SMALL,
	    H2_PING_LEN, NULL, h2_on_ping },
	[H2_GOAWAY] = { STREAM_NONE, H2_GOAWAY_LEN, H2_FRAME_MAX,
	    H2_IN_SMALL, H2_GOAWAY_LEN, NULL, h2_on_goaway },
	[H2_WINDOW_UPDATE] = { STREAM_ANY, H2_UPDATE_LEN, H2_UPDATE_LEN,
	    H2_IN_SMALL, H2_UPDATE_LEN, NULL, h2_on_update },
	[H2_CONTINUATION] = { STREAM_NEEDED, 0, H2_FRAME_MAX, H2_IN_BLOCK, 0,
	    h2_block_continue, NULL },
};

static void
enter(struct h2 *h, enum h2_in_state in, uint32_t left)
{
	h->in = in;
	h->left = left;
	h->hold_len = 0;
}

/* -- at the frame header --------------------------------------------------- */

/* RFC 9113 6.9: padding counts, and so does DATA nobody wants. */
static int
charge_conn_window(struct h2 *h, uint32_t n)
{
	uint32_t	credit;

	if ((int64_t)n > h->recv_window)
		return h2_fail(h, H2_FLOW_CONTROL_ERROR,
		    "more DATA than the connection's window");
	h->recv_window -= n;
	h->recv_credit += n;
	if (h->recv_credit == 0 ||
	    h->recv_credit < h->limits.conn_window / 2)
		return 0;
	credit = h->recv_credit;
	h->recv_credit = 0;
	h->recv_window += credit;
	return h2_send_update(h, 0, credit);
}

static int
begin_data(struct h2 *h)
{
	struct h2_stream	*s;
	int			 r;

	if ((r = charge_conn_window(h, h->head.length)) < 0)
		return r;
	if ((s = h2_find(h, h->head.stream)) == NULL) {
		if (h2_is_idle(h, h->head.stream))
			return h2_fail(h, H2_PROTOCOL_ERROR,
			    "DATA on an idle stream");
		if (!h2_was_reset(h, h->head.stream))
			return h2_fail(h, H2_STREAM_CLOSED,
			    "DATA on a closed stream");
		enter(h, H2_IN_SKIP, h->head.length);
		return h2_glitch(h);
	}
	if (s->remote_ended)
		return h2_fail(h, H2_STREAM_CLOSED, "DATA behind END_STREAM");
	if ((int64_t)h->head.length > s->recv_window)
		return h2_fail(h, H2_FLOW_CONTROL_ERROR,
		    "more DATA than the stream's window");
	s->recv_window -= h->head.length;
	if (!h->server && !s->answered) {
		enter(h, H2_IN_SKIP, h->head.length);
		return h2_stream_error(h, s->id, H2_PROTOCOL_ERROR);
	}
	return 0;
}

static int
begin_settings(struct h2 *h)
{
	uint32_t	n = h->head.length;

	if (n % H2_SETTING_LEN != 0 ||
	    ((h->head.flags & H2_FLAG_ACK) && n > 0))
		return h2_fail(h, H2_FRAME_SIZE_ERROR,
		    "SETTINGS of a wrong length");
	if (n / H2_SETTING_LEN > h->limits.settings_entries_max ||
	    n > H2_HOLD_MAX)
		return h2_fail(h, H2_ENHANCE_YOUR_CALM,
		    "too many entries in SETTINGS");
	return 0;
}

static int
begin_push(struct h2 *h)
{
	return h2_fail(h, H2_PROTOCOL_ERROR, "PUSH_PROMISE");
}

static int
check_head(struct h2 *h, const struct rule *rule)
{
	const struct h2_head	*f = &h->head;

	if (rule->stream == STREAM_NEEDED && f->stream == 0)
		return h2_fail(h, H2_PROTOCOL_ERROR,
		    "frame of a stream without one");
	if (rule->stream == STREAM_NONE && f->stream != 0)
		return h2_fail(h, H2_PROTOCOL_ERROR,
		    "frame of the connection on a stream");
	if (f->length < rule->min || f->length > rule->max)
		return h2_fail(h, H2_FRAME_SIZE_ERROR,
		    "frame of a wrong length");
	return 0;
}

static uint32_t
prefix_len(const struct h2_head *f)
{
	uint32_t	n = f->flags & H2_FLAG_PADDED ? 1 : 0;

	if (f->type == H2_HEADERS && (f->flags & H2_FLAG_PRIORITY))
		n += H2_PRIORITY_LEN;
	return n;
}

static int
begin_known(struct h2 *h, const struct rule *rule)
{
	const struct h2_head	*f = &h->head;
	uint32_t		 n = f->length;
	int			 r;

	if ((r = check_head(h, rule)) < 0)
		return r;
	if (rule->next == H2_IN_PREFIX && (n = prefix_len(f)) > f->length)
		return h2_fail(h, H2_FRAME_SIZE_ERROR,
		    "frame too short for its padding or priority");
	if (rule->next == H2_IN_SMALL && n > rule->keep)
		n = rule->keep;
	enter(h, rule->next, n);
	h->pad = 0;
	return rule->begin != NULL ? rule->begin(h) : 0;
}

static int
begin_frame(struct h2 *h)
{
	const struct h2_head	*f = &h->head;

	h2_head_read(&h->head, h->hold);
	if (!h->settings_seen &&
	    (f->type != H2_SETTINGS || (f->flags & H2_FLAG_ACK)))
		return h2_fail(h, H2_PROTOCOL_ERROR,
		    "the first frame is not SETTINGS");
	if (h->block_use != H2_BLOCK_NONE && (f->type != H2_CONTINUATION ||
	    f->stream != h->block_stream))
		return h2_fail(h, H2_PROTOCOL_ERROR,
		    "frame inside a header block");
	if (f->length > H2_FRAME_MAX)
		return h2_fail(h, H2_FRAME_SIZE_ERROR,
		    "frame above 16384 bytes");
	if (f->type < H2_TYPE_COUNT)
		return begin_known(h, &rules[f->type]);
	enter(h, H2_IN_SKIP, f->length);
	return h2_glitch(h);
}

/* -- DATA and header blocks ------------------------------------------------ */

/* Empty frames cost work and move nothing (CVE-2019-9518). */
static int
count_payload(struct h2 *h, uint32_t n)
{
	bool	end = h->head.type != H2_CONTINUATION &&
	    (h->head.flags & H2_FLAG_END_STREAM);

	if (n > 0 || end)
		h->empty_frames = 0;
	else if (++h->empty_frames > h->limits.empty_frames_max)
		return h2_fail(h, H2_ENHANCE_YOUR_CALM,
		    "too many empty frames");
	return 0;
}

/* n bytes of payload follow, and the stream may take them.  Its window opens
 * at once for what is not payload. */
static int
data_prefix(struct h2 *h, uint32_t n)
{
	struct h2_stream	*s = h2_find(h, h->head.stream);
	bool			 end = h->head.flags & H2_FLAG_END_STREAM;
	uint32_t		 rest = h->head.length - n;

	enter(h, H2_IN_DATA, n);
	if (n > 0)
		h->got_since_ping = true;
	if (s == NULL)
		return 0;
	s->received += n;
	if (s->content_length != H2_NO_LENGTH &&
	    (s->received > s->content_length ||
	    (end && s->received < s->content_length))) {
		enter(h, H2_IN_SKIP, n + h->pad);
		return h2_stream_error(h, s->id, H2_PROTOCOL_ERROR);
	}
	if (rest > 0) {
		s->unread += rest;
		h2_consume(s, rest);
	}
	return h->failed;
}

/* Pad length and priority are there. */
static int
prefix_done(struct h2 *h, const uint8_t *p)
{
	const struct h2_head	*f = &h->head;
	uint32_t		 n = f->length - prefix_len(f);
	int			 r;

	if (f->flags & H2_FLAG_PADDED)
		h->pad = *p++;
	if (h->pad > n)
		return h2_fail(h, H2_PROTOCOL_ERROR,
		    "padding longer than the frame");
	n -= h->pad;
	if ((r = count_payload(h, n)) < 0)
		return r;
	if (f->type == H2_DATA)
		return data_prefix(h, n);
	if ((f->flags & H2_FLAG_PRIORITY) &&
	    (be32_read(p) & H2_ID_MAX) == f->stream)
		return h2_fail(h, H2_PROTOCOL_ERROR,
		    "stream depends on itself");
	enter(h, H2_IN_BLOCK, n);
	return 0;
}

/* h2_finish() has been called: the application wants no more. */
static void
deliver(struct h2 *h, const uint8_t *p, size_t n, bool end)
{
	struct h2_stream	*s = h2_find(h, h->head.stream);

	if (s == NULL)
		return;
	if (end)
		s->remote_ended = true;
	if (!s->finish) {
		s->unread += n;
		h->depth++;
		h->ops.data(h->arg, s, p, n, end);
		h->depth--;
	}
	if (end)
		h2_remote_end(s);
}

/* -- states ---------------------------------------------------------------- */

static void
end_frame(struct h2 *h)
{
	enter(h, H2_IN_HEAD, H2_HEAD_LEN);
}

static int
small_done(struct h2 *h, const uint8_t *p)
{
	const struct rule	*rule = &rules[h->head.type];
	uint32_t		 kept = h->head.length;

	if (kept > rule->keep)
		kept = rule->keep;
	enter(h, H2_IN_SKIP, h->head.length - kept);
	return rule->payload(h, p != NULL ? p : h->hold);
}

/* The last byte of the state has come; p: where its bytes are, NULL if it has
 * none. */
static int
state_done(struct h2 *h, const uint8_t *p)
{
	bool	last;

	switch (h->in) {
	case H2_IN_PREFACE:
		end_frame(h);
		return 0;
	case H2_IN_HEAD:
		return begin_frame(h);
	case H2_IN_SMALL:
		return small_done(h, p);
	case H2_IN_PREFIX:
		return prefix_done(h, p);
	case H2_IN_DATA:
		/* END_STREAM that take_data() could not tell with data. */
		last = (h->head.flags & H2_FLAG_END_STREAM) != 0;
		if (last && (h->pad > 0 || p == NULL))
			deliver(h, h->hold, 0, true);
		enter(h, H2_IN_SKIP, h->pad);
		return 0;
	case H2_IN_BLOCK:
		enter(h, H2_IN_SKIP, h->pad);
		if ((h->head.flags & H2_FLAG_END_HEADERS) == 0)
			return 0;
		return h2_block_done(h, buf_head(&h->block), h->block.len);
	case H2_IN_SKIP:
		end_frame(h);
		return 0;
	}
	return 0;
}

/* Collects a state's bytes in hold, or uses them where they are. */
static size_t
take_held(struct h2 *h, const uint8_t *p, size_t n, const uint8_t **whole)
{
	if (n > h->left)
		n = h->left;
	*whole = h->hold;
	if (h->hold_len == 0 && n == h->left && h->in != H2_IN_HEAD)
		*whole = p;
	else
		memcpy(h->hold + h->hold_len, p, n);
	h->hold_len += (uint32_t)n;
	h->left -= (uint32_t)n;
	return n;
}

static size_t
take_preface(struct h2 *h, const uint8_t *p, size_t n)
{
	static const char	preface[] = H2_PREFACE;

	if (n > h->left)
		n = h->left;
	if (memcmp(p, &preface[H2_PREFACE_LEN - h->left], n) != 0)
		h2_fail(h, H2_PROTOCOL_ERROR, "not an HTTP/2 preface");
	h->left -= (uint32_t)n;
	return n;
}

static size_t
take_data(struct h2 *h, const uint8_t *p, size_t n)
{
	bool	end;

	if (n > h->left)
		n = h->left;
	h->left -= (uint32_t)n;
	end = h->left == 0 && h->pad == 0 &&
	    (h->head.flags & H2_FLAG_END_STREAM) != 0;
	deliver(h, p, n, end);
	return n;
}

/* A block that lies whole in the input is decoded there. */
static size_t
take_block(struct h2 *h, const uint8_t *p, size_t n)
{
	if (n > h->left)
		n = h->left;
	if (n == h->left && h->block.len == 0 &&
	    (h->head.flags & H2_FLAG_END_HEADERS)) {
		enter(h, H2_IN_SKIP, h->pad);
		h2_block_done(h, p, n);
		return n;
	}
	if (buf_put(&h->block, p, n) < 0)
		h2_fail_memory(h);
	h->left -= (uint32_t)n;
	return n;
}

/* Feeds the state it is in; returns what that took. */
static size_t
take(struct h2 *h, const uint8_t *p, size_t n)
{
	const uint8_t	*whole = NULL;
	size_t		 used = 0;

	switch (h->in) {
	case H2_IN_PREFACE:
		used = take_preface(h, p, n);
		break;
	case H2_IN_HEAD:
	case H2_IN_SMALL:
	case H2_IN_PREFIX:
		used = take_held(h, p, n, &whole);
		break;
	case H2_IN_DATA:
		used = take_data(h, p, n);
		whole = p;
		break;
	case H2_IN_BLOCK:
		used = take_block(h, p, n);
		break;
	case H2_IN_SKIP:
		used = n < h->left ? n : h->left;
		h->left -= (uint32_t)used;
		break;
	}
	if (h->failed == 0 && h->left == 0)
		state_done(h, whole);
	/* States of no length end where they begin. */
	while (h->failed == 0 && h->left == 0)
		state_done(h, NULL);
	return used;
}

bool
h2_recv_paused(const struct h2 *h)
{
	return h->ctl_frames >= h->limits.control_queue_pause;
}

int
h2_recv(struct h2 *h, const uint8_t *p, size_t n, size_t *used, uint64_t now)
{
	uint32_t	frames = 0;
	size_t		at = 0;

	h->now = now;
	if (n > 0 && h->failed == 0) {
		h->recv_ms = now;
		h->keepalive_sent = false;
	}
	if (n > h->limits.bytes_per_turn)
		n = h->limits.bytes_per_turn;
	while (at < n && h->failed == 0) {
		if (h->in == H2_IN_HEAD && h->hold_len == 0 &&
		    (h2_recv_paused(h) ||
		    frames++ >= h->limits.frames_per_turn))
			break;
		at += take(h, p + at, n - at);
		h2_reap(h);
	}
	h2_reap(h);
	*used = at;
	return h->failed;
}
