/*
 * h2_peer - a session under test and what the other end of its wire sees.
 *
 * Events are noted in a text: H headers, D data, W writable, C closed, G
 * goaway; then the stream, what belongs to it, and '+' for END_STREAM.
 * Frames are written in hexadecimal, so that a test can send anything.
 */
#ifndef TESTS_UNIT_H2_PEER_H
#define TESTS_UNIT_H2_PEER_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/h2.h"
#include "net/h2_frame.h"
#include "net/h2_limits.h"

#define FIELD(n, v)	{ .name = n, .value = v, .name_len = sizeof n - 1, \
			    .value_len = sizeof v - 1 }

/* GET http / and POST http /, in static table indexes. */
#define GET	"82 86 84"
#define POST	"83 86 84"
#define PRI	"505249202a20485454502f322e300d0a0d0a534d0d0a0d0a"
#define SET	"000000 04 00 00000000"
#define SETACK	"000000 04 01 00000000"
#define HELLO	PRI SET SETACK

struct peer {
	struct h2	*h;
	struct h2_limits limits;
	struct buf	 out;		/* frames from h */
	uint64_t	 now;
	int		 r;		/* of the last h2_recv() */
	size_t		 chunk;		/* bytes per h2_recv(), 0: all */
	bool		 answer;	/* 200 and "hello" on END_STREAM */
	bool		 refuse;	/* h2_reset(CANCEL) in headers() */
	bool		 consume;	/* h2_consume() in data() */
	struct h2_stream *last;		/* of the last event */
	char		 log[16 * 1024];
	size_t		 log_len, last_data;
	struct buf	 data;		/* payload of all streams */
};

static inline void
note(struct peer *p, const char *fmt, ...)
{
	va_list	ap;
	int	n;

	va_start(ap, fmt);
	n = vsnprintf(p->log + p->log_len, sizeof p->log - p->log_len, fmt,
	    ap);
	va_end(ap);
	assert_true(n >= 0 && (size_t)n < sizeof p->log - p->log_len);
	p->log_len += (size_t)n;
}

static inline void
peer_answer(struct h2_stream *s)
{
	static const struct hpack_field	ok[] = { FIELD(":status", "200") };

	if (h2_headers(s, ok, 1, false) == 0)
		h2_data(s, "hello", 5, true);
}

static inline void
peer_headers(void *arg, struct h2_stream *s, const struct hpack_list *list,
    bool end)
{
	struct peer	*p = arg;

	p->last = s;
	note(p, "H%u%s%s ", h2_stream_id(s), list->oversize ? "!" : "",
	    end ? "+" : "");
	if (p->refuse)
		h2_reset(s, H2_CANCEL);
	else if (end && p->answer)
		peer_answer(s);
}

/* Pieces of one stream in a row count as one, however they were cut. */
static inline void
peer_data(void *arg, struct h2_stream *s, const uint8_t *bytes, size_t n,
    bool end)
{
	struct peer	*p = arg;
	unsigned	 id, was = 0;
	char		*tail;

	p->last = s;
	id = h2_stream_id(s);
	assert_int_equal(buf_put(&p->data, bytes, n), 0);
	tail = p->log + p->last_data;
	if (p->last_data < p->log_len &&
	    sscanf(tail, "D%u:%u ", &id, &was) == 2 &&
	    id == h2_stream_id(s) && strchr(tail, ' ')[1] == '\0')
		p->log_len = p->last_data;
	else
		was = 0;
	p->last_data = p->log_len;
	note(p, "D%u:%u%s ", h2_stream_id(s), was + (unsigned)n,
	    end ? "+" : "");
	if (p->consume)
		h2_consume(s, n);
	if (end && p->answer)
		peer_answer(s);
}

static inline void
peer_writable(void *arg, struct h2_stream *s)
{
	struct peer	*p = arg;

	p->last = s;
	note(p, "W%u ", h2_stream_id(s));
}

static inline void
peer_closed(void *arg, struct h2_stream *s, uint32_t code)
{
	struct peer	*p = arg;

	note(p, "C%u=%u ", h2_stream_id(s), code);
	if (p->last == s)
		p->last = NULL;
}

static inline void
peer_goaway(void *arg, uint32_t last, uint32_t code)
{
	note(arg, "G%u=%u ", last, code);
}

static const struct h2_ops peer_ops = {
	.headers = peer_headers, .data = peer_data,
	.writable = peer_writable, .closed = peer_closed,
	.goaway = peer_goaway
};

/* Limits may be changed between the two. */
static inline struct peer *
peer_new(void)
{
	struct peer	*p = calloc(1, sizeof *p);

	assert_non_null(p);
	h2_limits_default(&p->limits);
	buf_init(&p->out, 64u << 20);
	buf_init(&p->data, 64u << 20);
	p->now = 1000000;
	p->consume = true;
	return p;
}

static inline void
peer_open(struct peer *p, bool server)
{
	p->h = h2_create(server, &p->limits, &peer_ops, p, p->now);
	assert_non_null(p->h);
}

static inline void
peer_free(struct peer *p)
{
	h2_destroy(p->h);
	buf_finish(&p->out);
	buf_finish(&p->data);
	free(p);
}

static inline void
flush(struct peer *p)
{
	while (h2_wants_send(p->h)) {
		size_t	before = p->out.len;

		h2_send(p->h, &p->out);
		if (p->out.len == before)
			break;
		/* h2 stops when a lot is queued; make it look taken. */
		if (p->out.len >= H2_OUTPUT_MAX)
			break;
	}
}

/* Feeds n bytes from memory of just that size. */
static inline void
feed(struct peer *p, const uint8_t *bytes, size_t n)
{
	uint8_t	*copy;
	size_t	 at = 0, step, used;
	int	 idle = 0;

	while (at < n && p->r == 0) {
		step = p->chunk > 0 && p->chunk < n - at ? p->chunk : n - at;
		copy = malloc(step);
		assert_non_null(copy);
		memcpy(copy, bytes + at, step);
		p->r = h2_recv(p->h, copy, step, &used, p->now);
		free(copy);
		assert_true(used <= step);
		at += used;
		if (p->r == 0 && used < step)
			flush(p);
		idle = used == 0 ? idle + 1 : 0;
		assert_true(idle < 3);
	}
}

static inline size_t
hex(const char *text, uint8_t *out, size_t max)
{
	size_t		n = 0;
	unsigned	v;
	int		took;

	while (sscanf(text, " %2x%n", &v, &took) == 1) {
		assert_true(n < max);
		out[n++] = (uint8_t)v;
		text += took;
	}
	return n;
}

static inline void
send_hex(struct peer *p, const char *text)
{
	size_t	 max = strlen(text) / 2 + 1;
	uint8_t	*bytes = malloc(max);

	assert_non_null(bytes);
	feed(p, bytes, hex(text, bytes, max));
	free(bytes);
}

static inline void
send_frame(struct peer *p, uint8_t type, uint8_t flags, uint32_t stream,
    const void *payload, size_t n)
{
	struct h2_head	 head = {
		.length = (uint32_t)n, .type = type, .flags = flags,
		.stream = stream
	};
	uint8_t		*bytes = malloc(H2_HEAD_LEN + n);

	assert_non_null(bytes);
	h2_head_write(bytes, &head);
	if (n > 0)
		memcpy(bytes + H2_HEAD_LEN, payload, n);
	feed(p, bytes, H2_HEAD_LEN + n);
	free(bytes);
}

static inline void
send_u32(struct peer *p, uint8_t type, uint32_t stream, uint32_t v)
{
	uint8_t	payload[4];

	be32_write(payload, v);
	send_frame(p, type, 0, stream, payload, sizeof payload);
}

static inline void
send_get(struct peer *p, uint32_t stream)
{
	send_frame(p, H2_HEADERS, H2_FLAG_END_STREAM | H2_FLAG_END_HEADERS,
	    stream, "\x82\x86\x84", 3);
}

static inline void
send_post(struct peer *p, uint32_t stream)
{
	send_frame(p, H2_HEADERS, H2_FLAG_END_HEADERS, stream,
	    "\x83\x86\x84", 3);
}

static inline void
send_setting(struct peer *p, uint16_t id, uint32_t v)
{
	uint8_t	payload[6];

	be16_write(payload, id);
	be32_write(payload + 2, v);
	send_frame(p, H2_SETTINGS, 0, 0, payload, sizeof payload);
}

struct frame {
	struct h2_head	 head;
	const uint8_t	*p;		/* until the next call */
};

/* The next frame that h has sent, or false. */
static inline bool
next_frame(struct peer *p, struct frame *f)
{
	flush(p);
	if (p->out.len < H2_HEAD_LEN)
		return false;
	h2_head_read(&f->head, buf_head(&p->out));
	assert_true(f->head.length <= H2_FRAME_MAX);	/* TR-05 */
	assert_true(p->out.len >= H2_HEAD_LEN + f->head.length);
	f->p = buf_head(&p->out) + H2_HEAD_LEN;
	buf_drain(&p->out, H2_HEAD_LEN + f->head.length);
	return true;
}

/* Skips to the next frame of a type. */
static inline bool
find_frame(struct peer *p, uint8_t type, struct frame *f)
{
	while (next_frame(p, f))
		if (f->head.type == type)
			return true;
	return false;
}

static inline void
drop_output(struct peer *p)
{
	struct frame	f;

	while (next_frame(p, &f))
		;
}

static inline void
forget(struct peer *p)
{
	drop_output(p);
	p->log[0] = '\0';
	p->log_len = p->last_data = 0;
	buf_clear(&p->data);
}

/* A server whose client has said hello. */
static inline struct peer *
server_ready(struct peer *p)
{
	peer_open(p, true);
	send_hex(p, HELLO);
	assert_int_equal(p->r, 0);
	forget(p);
	return p;
}

static inline struct peer *
server_new(void)
{
	return server_ready(peer_new());
}

/* The connection is over, with code; the last frame says so. */
static inline void
expect_goaway(struct peer *p, uint32_t code)
{
	struct frame	f, last = { .p = NULL };

	assert_int_equal(p->r, -EPROTO);
	while (next_frame(p, &f))
		last = f;
	assert_non_null(last.p);
	assert_int_equal(last.head.type, H2_GOAWAY);
	assert_int_equal(last.head.stream, 0);
	assert_int_equal(be32_read(last.p + 4), code);
	assert_non_null(h2_reason(p->h));
	assert_int_equal(h2_stream_count(p->h), 0);
}

static inline void
expect_reset(struct peer *p, uint32_t stream, uint32_t code)
{
	struct frame	f;

	assert_int_equal(p->r, 0);
	assert_true(find_frame(p, H2_RST_STREAM, &f));
	assert_int_equal(f.head.stream, stream);
	assert_int_equal(be32_read(f.p), code);
}

/* Nothing was held against the peer. */
static inline void
expect_alive(struct peer *p)
{
	struct frame	f;

	assert_int_equal(p->r, 0);
	while (next_frame(p, &f)) {
		assert_int_not_equal(f.head.type, H2_GOAWAY);
		assert_int_not_equal(f.head.type, H2_RST_STREAM);
	}
}

static inline void
expect_log(struct peer *p, const char *text)
{
	assert_string_equal(p->log, text);
}

#endif
