#include <errno.h>
#include <string.h>

#include "net/h2_priv.h"

/* A DATA frame is not cut below this only because the output is full. */
#define DATA_PIECE_MIN	512u

/* Packed trailers: lengths, flag, name, value, and so on. */
#define PACKED_HEAD	9u

/* -- control frames ------------------------------------------------------- */

int
h2_control(struct h2 *h, const struct h2_head *head, uint8_t **payload)
{
	uint8_t	*p;

	if (head->type != H2_GOAWAY) {
		if (h->failed < 0)
			return h->failed;
		if (h->ctl_frames >= h->limits.control_queue_max)
			return h2_fail(h, H2_ENHANCE_YOUR_CALM,
			    "answers to control frames are not read");
	}
	if (buf_reserve(&h->ctl, H2_HEAD_LEN + head->length, &p) < 0)
		return h2_fail_memory(h);
	h2_head_write(p, head);
	buf_commit(&h->ctl, H2_HEAD_LEN + head->length);
	h->ctl_frames++;
	*payload = p + H2_HEAD_LEN;
	return 0;
}

static int
control_u32(struct h2 *h, enum h2_type type, uint32_t id, uint32_t v)
{
	struct h2_head	head = {
		.length = sizeof v, .type = (uint8_t)type, .stream = id
	};
	uint8_t		*p;
	int		 r;

	if ((r = h2_control(h, &head, &p)) == 0)
		be32_write(p, v);
	return r;
}

int
h2_send_reset(struct h2 *h, uint32_t id, uint32_t code)
{
	h2_remember_reset(h, id);
	return control_u32(h, H2_RST_STREAM, id, code);
}

int
h2_send_update(struct h2 *h, uint32_t id, uint32_t n)
{
	return control_u32(h, H2_WINDOW_UPDATE, id, n);
}

int
h2_send_ping(struct h2 *h, uint64_t payload)
{
	struct h2_head	head = { .length = H2_PING_LEN, .type = H2_PING };
	uint8_t		*p;
	int		 r;

	if ((r = h2_control(h, &head, &p)) == 0)
		be64_write(p, payload);
	return r;
}

int
h2_send_goaway(struct h2 *h, uint32_t last, uint32_t code, const char *debug)
{
	size_t		 n = debug != NULL ? strlen(debug) : 0;
	struct h2_head	 head = {
		.length = (uint32_t)(H2_GOAWAY_LEN + n), .type = H2_GOAWAY
	};
	uint8_t		*p;
	int		 r;

	if ((r = h2_control(h, &head, &p)) < 0)
		return r;
	be32_write(p, last);
	be32_write(p + 4, code);
	if (n > 0)
		memcpy(p + H2_GOAWAY_LEN, debug, n);
	return 0;
}

int
h2_stream_error(struct h2 *h, uint32_t id, uint32_t code)
{
	struct h2_stream	*s;
	int			 r;

	if ((r = h2_charge_reset(h)) < 0 ||
	    (r = h2_send_reset(h, id, code)) < 0)
		return r;
	if ((s = h2_find(h, id)) != NULL)
		h2_stream_close(s, code);
	return 0;
}

/* -- header blocks -------------------------------------------------------- */

/*
 * A block of len bytes lies at p + H2_HEAD_LEN with room behind it; makes
 * frames of it, the last piece first so that nothing is overwritten.
 */
static size_t
frame_block(uint8_t *p, size_t len, uint32_t id, bool end)
{
	struct h2_head	head = { .stream = id };
	size_t		i = len > 0 ? (len - 1) / H2_FRAME_MAX : 0;
	size_t		total = len + (i + 1) * H2_HEAD_LEN, n;
	uint8_t		*at;

	head.flags = H2_FLAG_END_HEADERS;
	for (n = len - i * H2_FRAME_MAX; i > 0; i--, n = H2_FRAME_MAX) {
		at = p + i * (H2_HEAD_LEN + H2_FRAME_MAX);
		memmove(at + H2_HEAD_LEN, p + H2_HEAD_LEN + i * H2_FRAME_MAX,
		    n);
		head.type = H2_CONTINUATION;
		head.length = (uint32_t)n;
		h2_head_write(at, &head);
		head.flags = 0;
	}
	head.type = H2_HEADERS;
	head.flags |= end ? H2_FLAG_END_STREAM : 0;
	head.length = (uint32_t)n;
	h2_head_write(p, &head);
	return total;
}

/* Appends HEADERS and CONTINUATIONs.  Failing changes nothing. */
static int
put_headers(struct h2 *h, struct buf *out, uint32_t id,
    const struct hpack_field *f, size_t n, bool end)
{
	size_t	 bound = hpack_encode_bound(f, n), len, start = out->len;
	uint8_t	*p;
	int	 r;

	bound += (bound / H2_FRAME_MAX + 1) * H2_HEAD_LEN;
	if ((r = buf_reserve(out, bound, &p)) < 0)
		return r;
	buf_commit(out, H2_HEAD_LEN);
	if ((r = hpack_encode(&h->enc, f, n, out)) < 0) {
		out->len = start;
		return r;
	}
	len = out->len - start - H2_HEAD_LEN;
	out->len = start;
	buf_commit(out, frame_block(p, len, id, end));
	h->sent_since_ping = true;
	return 0;
}

/* Trailers wait behind the data in plain form: they are encoded when their
 * turn comes, for the order of header blocks is the order of the table. */
static int
pack_trailers(struct h2_stream *s, const struct hpack_field *f, size_t n)
{
	uint8_t	*p;
	size_t	 total = 0, i;
	int	 r;

	for (i = 0; i < n; i++)
		total += PACKED_HEAD + f[i].name_len + f[i].value_len;
	if ((r = buf_reserve(&s->queue, total, &p)) < 0)
		return r == -ENOBUFS ? -ENOMEM : r;
	for (i = 0; i < n; i++) {
		be32_write(p, (uint32_t)f[i].name_len);
		be32_write(p + 4, (uint32_t)f[i].value_len);
		p[8] = f[i].sensitive;
		p += PACKED_HEAD;
		memcpy(p, f[i].name, f[i].name_len);
		p += f[i].name_len;
		if (f[i].value_len > 0)
			memcpy(p, f[i].value, f[i].value_len);
		p += f[i].value_len;
	}
	buf_commit(&s->queue, total);
	return 0;
}

/* Fields point into the queue. */
static size_t
unpack_trailers(const struct h2_stream *s, struct hpack_field *f)
{
	const uint8_t	*p = buf_head(&s->queue), *end = p + s->queue.len;
	size_t		 n = 0;

	while (p != NULL && p < end) {
		f[n] = (struct hpack_field){
			.name_len = be32_read(p), .value_len = be32_read(p + 4),
			.sensitive = p[8] != 0
		};
		p += PACKED_HEAD;
		f[n].name = (const char *)p;
		p += f[n].name_len;
		f[n].value = (const char *)p;
		p += f[n].value_len;
		n++;
	}
	return n;
}

int
h2_open(struct h2 *h, struct h2_stream **out, const struct hpack_field *f,
    size_t n, bool end)
{
	uint32_t		 id = h->last_id > 0 ? h->last_id + 2 : 1;
	struct h2_stream	*s;
	int			 r;

	if (h->failed < 0 || h->stopping || id >= H2_ID_EXHAUSTED)
		return -EPIPE;
	if (h->count >= h->peer_streams || h->count >= h->limits.max_streams)
		return -EAGAIN;
	if ((s = h2_stream_new(h, id)) == NULL)
		return -ENOMEM;
	if ((r = put_headers(h, &h->ctl, id, f, n, end)) < 0) {
		h2_stream_discard(s);
		return r == -ENOBUFS ? -EAGAIN : r;
	}
	h2_note_id(h, id);
	if (end) {
		s->end_queued = s->end_in_ctl = true;
		h2_stream_wake(s);
	}
	*out = s;
	return 0;
}

int
h2_headers(struct h2_stream *s, const struct hpack_field *f, size_t n,
    bool end)
{
	struct h2	*h = s->h;
	int		 r;

	if (s->dead || s->end_queued || h->failed < 0)
		return -EPIPE;
	if (n > HPACK_FIELDS_MAX || (s->data_len > 0 && !end))
		return -EINVAL;
	if (s->data_len > 0) {
		if ((r = pack_trailers(s, f, n)) < 0)
			return r;
		s->trailers = s->end_queued = true;
		return 0;
	}
	if ((r = put_headers(h, &h->ctl, s->id, f, n, end)) < 0)
		return r == -ENOBUFS ? -ENOMEM : r;
	if (end) {
		s->end_queued = s->end_in_ctl = true;
		h2_stream_wake(s);
	}
	return 0;
}

/* -- data ----------------------------------------------------------------- */

size_t
h2_room(const struct h2_stream *s)
{
	const struct h2	*h = s->h;

	if (s->dead || s->end_queued || h->failed < 0)
		return 0;
	if (s->data_len == 0)
		return h->limits.send_buffer;
	if (s->data_len >= h->limits.send_buffer ||
	    h->queued >= H2_CONN_SEND_BUFFER)
		return 0;
	return h->limits.send_buffer - s->data_len;
}

int
h2_data(struct h2_stream *s, const void *p, size_t n, bool end)
{
	return h2_data2(s, p, n, NULL, 0, end);
}

/* writable() comes when n bytes fit, and not before most of the queue is
 * free: a wake-up should be worth its cost. */
static void
want_room(struct h2_stream *s, size_t n)
{
	const size_t	max = s->h->limits.send_buffer;

	if (n < max / 4 * 3)
		n = max / 4 * 3;
	if (s->need < n)
		s->need = n < max ? n : max;
}

void
h2_want_room(struct h2_stream *s)
{
	want_room(s, 0);
}

int
h2_data2(struct h2_stream *s, const void *a, size_t na, const void *b,
    size_t nb, bool end)
{
	const size_t	 n = na + nb;
	uint8_t		*p;
	int		 r;

	if (s->dead || s->end_queued || s->h->failed < 0)
		return -EPIPE;
	if (n > (s->data_len == 0 ? H2_PIECE_MAX : h2_room(s))) {
		want_room(s, n);
		return -ENOBUFS;
	}
	if (n > 0) {
		if ((r = buf_reserve(&s->queue, n, &p)) < 0)
			return r;
		if (na > 0)
			memcpy(p, a, na);
		if (nb > 0)
			memcpy(p + na, b, nb);
		buf_commit(&s->queue, n);
		s->data_len += n;
		s->h->queued += n;
	}
	/* Whoever asks h2_room() first and finds too little is told, too. */
	if (s->data_len > s->h->limits.send_buffer / 4)
		want_room(s, 0);
	s->end_queued = end;
	if (n > 0 || end)
		h2_stream_wake(s);
	return 0;
}

bool
h2_stream_blocked(const struct h2_stream *s)
{
	return !s->dead && s->data_len > 0 &&
	    (s->send_window <= 0 || s->h->send_window <= 0);
}

void
h2_reset(struct h2_stream *s, uint32_t code)
{
	struct h2	*h = s->h;

	if (s->dead || h->failed < 0)
		return;
	/* Both ends are through: a frame would come to a closed stream. */
	if (s->local_ended && s->remote_ended)
		h2_stream_complete(s);
	else if ((code == H2_NO_ERROR || h2_charge_reset(h) == 0) &&
	    h2_send_reset(h, s->id, code) == 0)
		h2_stream_close(s, code);
	h2_reap(h);
}

void
h2_finish(struct h2_stream *s)
{
	if (s->dead || s->remote_ended)
		return;
	s->finish = true;
	s->end_queued = true;
	h2_stream_wake(s);
}

/* -- output --------------------------------------------------------------- */

static void
local_end(struct h2_stream *s)
{
	s->local_ended = true;
	if (s->remote_ended)
		h2_stream_complete(s);
}

void
h2_remote_end(struct h2_stream *s)
{
	if (!s->dead && s->local_ended)
		h2_stream_complete(s);
}

/* One frame.  0, -ENOBUFS: out is full, -EAGAIN: a window is shut. */
static int
send_data(struct h2_stream *s, struct buf *out)
{
	struct h2	*h = s->h;
	struct h2_head	 head = { .type = H2_DATA, .stream = s->id };
	size_t		 n = s->data_len, room = buf_room(out);
	int64_t		 window;
	uint8_t		*p;
	bool		 end;
	int		 r;

	window = s->send_window < h->send_window ? s->send_window :
	    h->send_window;
	if (n > 0 && window <= 0)
		return -EAGAIN;
	if (n > H2_FRAME_MAX)
		n = H2_FRAME_MAX;
	if (n > 0 && n > (uint64_t)window)
		n = (size_t)window;
	if (room < H2_HEAD_LEN + (n < DATA_PIECE_MIN ? n : DATA_PIECE_MIN))
		return -ENOBUFS;
	if (n > room - H2_HEAD_LEN)
		n = room - H2_HEAD_LEN;
	end = n == s->data_len && s->end_queued && !s->trailers;
	if ((r = buf_reserve(out, H2_HEAD_LEN + n, &p)) < 0)
		return r;
	head.length = (uint32_t)n;
	head.flags = end ? H2_FLAG_END_STREAM : 0;
	h2_head_write(p, &head);
	if (n > 0)
		memcpy(p + H2_HEAD_LEN, buf_head(&s->queue), n);
	buf_commit(out, H2_HEAD_LEN + n);
	buf_drain(&s->queue, n);
	s->data_len -= n;
	h->queued -= n;
	s->send_window -= (int64_t)n;
	h->send_window -= (int64_t)n;
	h->data_frames++;
	h->sent_since_ping = true;
	if (end)
		local_end(s);
	return 0;
}

static int
send_trailers(struct h2_stream *s, struct buf *out)
{
	struct hpack_field	f[HPACK_FIELDS_MAX]
	    __attribute__((uninitialized));	/* 4 KiB, most of it unused */
	size_t			n = unpack_trailers(s, f);
	int			r;

	if ((r = put_headers(s->h, out, s->id, f, n, true)) < 0)
		return r;
	buf_clear(&s->queue);
	s->trailers = false;
	local_end(s);
	return 0;
}

/* What one stream may send in its turn: a frame, and its end if that fits. */
static int
send_turn(struct h2_stream *s, struct buf *out)
{
	int	r;

	if (s->end_in_ctl && !s->local_ended)
		local_end(s);
	if (!s->local_ended && (s->data_len > 0 ||
	    (s->end_queued && !s->trailers)) && (r = send_data(s, out)) < 0)
		return r;
	if (!s->dead && s->trailers && s->data_len == 0 &&
	    (r = send_trailers(s, out)) < 0)
		return r;
	if (!s->dead && s->finish && s->local_ended) {
		if ((r = h2_send_reset(s->h, s->id, H2_NO_ERROR)) < 0)
			return r;
		h2_stream_complete(s);
	}
	return 0;
}

static bool
more_to_send(const struct h2_stream *s)
{
	return s->data_len > 0 || (s->end_queued && !s->local_ended);
}

static void
tell_writable(struct h2_stream *s)
{
	struct h2	*h = s->h;

	if (s->dead || s->need == 0 || s->end_queued ||
	    (s->data_len > 0 && h2_room(s) < s->need))
		return;
	s->need = 0;
	h->depth++;
	h->ops.writable(h->arg, s);
	h->depth--;
}

/* False: out is full. */
static bool
flush_control(struct h2 *h, struct buf *out)
{
	if (h->ctl.len == 0)
		return true;
	if (buf_move(out, &h->ctl, h->ctl.len, NULL) < 0) {
		h2_fail_memory(h);
		return false;
	}
	if (h->ctl.len > 0)
		return false;
	h->ctl_frames = 0;
	return true;
}

void
h2_send(struct h2 *h, struct buf *out)
{
	struct h2_stream	*s;
	int			 r;

	for (;;) {
		h2_reap(h);
		if (!flush_control(h, out) || h->failed < 0 ||
		    out->len >= H2_OUTPUT_MAX || (s = h->ready.head) == NULL)
			break;
		r = send_turn(s, out);
		if (r == -ENOBUFS)
			break;
		if (r == -ENOMEM)
			h2_fail_memory(h);
		if (s->dead)
			continue;
		h2_queue_remove(s);
		if (r == -EAGAIN && s->send_window > 0)
			h2_queue_push(&h->stalled, s);
		else if (r == 0 && more_to_send(s))
			h2_stream_wake(s);
		tell_writable(s);
	}
	h2_reap(h);
}

bool
h2_wants_send(const struct h2 *h)
{
	return h->ctl.len > 0 || (h->ready.head != NULL && h->failed == 0);
}
