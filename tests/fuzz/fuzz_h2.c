/*
 * A session, server or client, fed with anything.  The first byte picks the
 * size of the pieces, the second what the application does; then come frames.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "net/h2.h"
#include "net/h2_frame.h"
#include "net/h2_limits.h"

#define F(n, v)		{ .name = n, .value = v, .name_len = sizeof n - 1, \
			    .value_len = sizeof v - 1 }

enum {
	AS_CLIENT = 1 << 0,
	ANSWER = 1 << 1,		/* when the request is complete */
	CONSUME = 1 << 2,
	RESET = 1 << 3,			/* every third stream */
	FINISH = 1 << 4,		/* answer early, G9 */
	STINGY = 1 << 5,		/* output is taken in small pieces */
	RAW = 1 << 6,			/* the input brings its own preface */
	BIG = 1 << 7			/* answers that do not fit a window */
};

struct app {
	struct h2	*h;
	unsigned	 how;
	size_t		 shown, closed;
	struct buf	 out;
	uint64_t	 now;
};

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct hpack_field ok[] = {
	F(":status", "200"), F("content-type", "application/grpc"),
};
static const struct hpack_field trailers[] = { F("grpc-status", "0") };
static const struct hpack_field request[] = {
	F(":method", "POST"), F(":scheme", "http"), F(":path", "/a.B/C"),
	F("content-type", "application/grpc"),
};

static void
answer(struct app *a, struct h2_stream *s)
{
	static char	body[60000];

	h2_headers(s, ok, 2, false);
	h2_data2(s, "\0\0\0\0\5", 5, body, a->how & BIG ? sizeof body : 5,
	    false);
	h2_headers(s, trailers, 1, true);
}

static void
on_headers(void *arg, struct h2_stream *s, const struct hpack_list *list,
    bool end)
{
	struct app	*a = arg;
	size_t		 i;

	for (i = 0; i < list->count; i++) {
		const struct hpack_field	*f = &list->fields[i];

		assert(strlen(f->name) == f->name_len);
		assert(f->value[f->value_len] == '\0');
	}
	if (h2_stream_arg(s) == NULL) {
		h2_stream_set_arg(s, a);
		a->shown++;
	}
	if ((a->how & RESET) && h2_stream_id(s) % 3 == 0)
		h2_reset(s, H2_CANCEL);
	else if ((a->how & FINISH) || (end && (a->how & ANSWER)))
		answer(a, s);
	if (a->how & FINISH)
		h2_finish(s);
}

static void
on_data(void *arg, struct h2_stream *s, const uint8_t *p, size_t n, bool end)
{
	struct app	*a = arg;
	volatile uint8_t sum = 0;
	size_t		i;

	assert(h2_stream_arg(s) == a);
	for (i = 0; i < n; i++)
		sum = (uint8_t)(sum + p[i]);
	if (a->how & CONSUME)
		h2_consume(s, n);
	if (end && (a->how & ANSWER))
		answer(a, s);
}

static void
on_writable(void *arg, struct h2_stream *s)
{
	struct app	*a = arg;

	assert(h2_stream_arg(s) == a);
	h2_data(s, "more", 4, false);
}

static void
on_closed(void *arg, struct h2_stream *s, uint32_t code)
{
	struct app	*a = arg;

	(void)code;
	assert(h2_stream_arg(s) == a);
	h2_stream_set_arg(s, NULL);
	a->closed++;
	h2_reset(s, H2_CANCEL);
}

static void
on_goaway(void *arg, uint32_t last, uint32_t code)
{
	(void)arg;
	(void)last;
	(void)code;
}

static const struct h2_ops ops = {
	.headers = on_headers, .data = on_data, .writable = on_writable,
	.closed = on_closed, .goaway = on_goaway
};

/* Takes output, all or some; every frame has to be sound. */
static void
drain(struct app *a, bool all)
{
	struct h2_head	head;

	h2_send(a->h, &a->out);
	while (a->out.len >= H2_HEAD_LEN) {
		h2_head_read(&head, buf_head(&a->out));
		assert(head.length <= H2_FRAME_MAX);
		assert(head.type < H2_TYPE_COUNT);
		if (a->out.len < H2_HEAD_LEN + head.length)
			break;
		buf_drain(&a->out, H2_HEAD_LEN + head.length);
		if (!all && (a->how & STINGY))
			break;
	}
}

static int
take(struct app *a, const uint8_t *p, size_t n)
{
	uint8_t	*copy = malloc(n > 0 ? n : 1);
	size_t	 used, at = 0;
	int	 r = 0, idle = 0;

	assert(copy != NULL);
	memcpy(copy, p, n);
	while (at < n && r == 0) {
		r = h2_recv(a->h, copy + at, n - at, &used, a->now);
		at += used;
		idle = used == 0 ? idle + 1 : 0;
		assert(idle < 3);
		if (r == 0 && at < n)
			drain(a, true);
	}
	free(copy);
	return r;
}

static void
begin(struct app *a)
{
	static const uint8_t	hello[] = H2_PREFACE
	    "\0\0\0\4\0\0\0\0\0" "\0\0\0\4\1\0\0\0\0";
	size_t			skip = a->how & AS_CLIENT ? H2_PREFACE_LEN : 0;
	struct h2_stream	*s;
	unsigned		i;

	if (a->how & RAW)
		return;
	take(a, hello + skip, sizeof hello - 1 - skip);
	drain(a, true);
	for (i = 0; (a->how & AS_CLIENT) && i < 4; i++) {
		if (h2_open(a->h, &s, request, 4, i % 2 == 0) < 0)
			continue;
		h2_stream_set_arg(s, a);
		a->shown++;
		if (i % 2 != 0)
			h2_data(s, "body", 4, i == 3);
	}
	if (a->how & AS_CLIENT)
		drain(a, true);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct app		a = { .now = 1000 };
	struct h2_limits	limits;
	size_t			step, take_n;

	if (n < 2)
		return 0;
	step = data[0] < 64 ? (size_t)data[0] + 1 : (size_t)data[0] * 64;
	a.how = data[1];
	data += 2;
	n -= 2;
	h2_limits_default(&limits);
	limits.stream_window = 70000;
	a.h = h2_create(!(a.how & AS_CLIENT), &limits, &ops, &a, a.now);
	assert(a.h != NULL);
	buf_init(&a.out, 256 * 1024);
	if (a.how & AS_CLIENT) {
		h2_send(a.h, &a.out);
		buf_drain(&a.out, H2_PREFACE_LEN);
	}
	for (begin(&a); n > 0; data += take_n, n -= take_n) {
		take_n = n < step ? n : step;
		if (take(&a, data, take_n) < 0)
			break;
		drain(&a, false);
		a.now += take_n;
		if (h2_deadline(a.h) <= a.now && h2_tick(a.h, a.now) < 0)
			break;
	}
	h2_shutdown(a.h);
	drain(&a, true);
	h2_destroy(a.h);
	assert(a.shown == a.closed);
	buf_finish(&a.out);
	return 0;
}
