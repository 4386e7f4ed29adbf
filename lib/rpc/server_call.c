/*
 * server_call - a call from its first byte to its status.
 *
 * Rising: data -> held (paused, or token unverified) -> cutter -> decoder ->
 * message().  Methods with one request wait for the end of the stream first,
 * so a second message is refused before anything was done.
 * Falling: message -> h2's send buffer, trailers behind it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "net/hpack.h"
#include "rpc/server_impl.h"

#define FIELD(n, v)	{ .name = n, .value = v, .name_len = sizeof n - 1, \
			    .value_len = sizeof v - 1 }

static const struct hpack_field response_fields[] = {
	FIELD(":status", "200"),
	FIELD("content-type", "application/grpc"),
};

static const char *const status_digits[] = {
	"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12",
	"13", "14", "15", "16",
};

/* -- the end -------------------------------------------------------------- */

static void
set_field(struct hpack_field *f, const char *name, const char *value)
{
	*f = (struct hpack_field){
		.name = name, .name_len = strlen(name),
		.value = value, .value_len = strlen(value),
	};
}

/* Trailers, or the whole answer if there was none yet (G7). */
static void
send_trailers(struct grpc_call *c, enum grpc_status status, const char *text)
{
	char			message[3 * STATUS_TEXT_MAX + 1]
	    __attribute__((uninitialized));
	struct hpack_field	f[ARRAY_LEN(response_fields) + 2];
	size_t			n = 0;
	bool			ended = h2_stream_remote_ended(c->stream);
	int			r;

	if (!c->answered) {
		memcpy(f, response_fields, sizeof response_fields);
		n = ARRAY_LEN(response_fields);
	}
	if ((unsigned)status >= ARRAY_LEN(status_digits))
		status = GRPC_UNKNOWN;
	set_field(&f[n++], "grpc-status", status_digits[status]);
	if (text[0] != '\0' &&
	    grpc_percent_encode(text, message, sizeof message) == 0)
		set_field(&f[n++], "grpc-message", message);
	c->answered = true;
	r = h2_headers(c->stream, f, n, true);
	if (c->stream != NULL && r == -ENOMEM)
		h2_reset(c->stream, H2_INTERNAL_ERROR);
	else if (c->stream != NULL && r == 0 && !ended)
		h2_finish(c->stream);		/* G9 */
	if (c->conn != NULL)
		conn_touch(c->conn);
}

/* To CALL_OVER; what was not delivered is dropped. */
static void
close_input(struct grpc_call *c)
{
	c->state = CALL_OVER;
	loop_timer_clear(&c->deadline);
	call_spare(&c->part);
	call_spare(&c->held);
	call_account(c);
	c->over_ms = loop_now(c->server->loop);
	if (c->conn != NULL && c->method->kind == GRPC_UNARY)
		conn_sweep_at(c->conn, c->over_ms + STALL_MS);
	else
		c->over_ms = 0;
}

/* Takes c out of the hands of the authoriser. */
static void
leave_pending(struct grpc_call *c, bool cancelled)
{
	const struct grpc_auth	*auth = &c->server->opt.auth;

	if (!c->pending)
		return;
	c->pending = false;
	c->conn->pending--;
	if (cancelled && auth->cancel != NULL)
		auth->cancel(auth->arg, c);
}

/* c was in `state` when it ended without the handler's doing. */
static void
tell_gone(struct grpc_call *c, enum call_state state)
{
	leave_pending(c, true);
	if (state == CALL_OPEN && c->known && c->method->gone != NULL)
		c->method->gone(c);
}

void
call_drop(struct grpc_call *c)
{
	enum call_state	state = c->state;

	if (state == CALL_OVER)
		return;
	close_input(c);
	tell_gone(c, state);
}

void
call_closed(struct grpc_call *c)
{
	call_hold(c);
	c->stream = NULL;
	call_drop(c);
	call_release(c);
}

void
call_fail(struct grpc_call *c, enum grpc_status status, const char *text)
{
	enum call_state	state = c->state;

	if (state == CALL_OVER)
		return;
	log_debug("grpc", "%s: %s%s: %s: %s", c->conn->peer.name,
	    c->service->prefix, c->method->name, grpc_status_name(status),
	    text);
	call_hold(c);
	close_input(c);
	if (c->stream != NULL)
		send_trailers(c, status, text);
	tell_gone(c, state);
	call_release(c);
}

void
call_expire(void *arg)
{
	struct grpc_call	*c = arg;

	call_hold(c);
	call_fail(c, GRPC_DEADLINE_EXCEEDED, "deadline exceeded");
	/* Nobody waits for what is still queued. */
	if (c->stream != NULL && c->conn != NULL) {
		c->over_ms = loop_now(c->server->loop);
		conn_sweep_at(c->conn, c->over_ms + STALL_MS);
	}
	call_release(c);
}

void
grpc_finish(struct grpc_call *c, enum grpc_status status, const char *fmt, ...)
{
	char	raw[STATUS_TEXT_MAX] __attribute__((uninitialized));
	char	text[STATUS_TEXT_MAX] __attribute__((uninitialized));
	va_list	ap;

	text[0] = '\0';
	if (fmt != NULL && status != GRPC_OK) {
		va_start(ap, fmt);
		if (vsnprintf(raw, sizeof raw, fmt, ap) > 0)
			utf8_repair(raw, strlen(raw), text, sizeof text);
		va_end(ap);
	}
	if (c->state != CALL_OPEN)
		return;
	if (log_wanted(LOG_DEBUG))
		log_debug("grpc", "%s: %s%s: %s", c->conn->peer.name,
		    c->service->prefix, c->method->name,
		    grpc_status_name(status));
	call_hold(c);
	close_input(c);
	if (c->stream != NULL)
		send_trailers(c, status, text);
	call_release(c);
}

/* -- messages to the handler ---------------------------------------------- */

static void
deliver(struct grpc_call *c, const struct grpc_cut *cut)
{
	struct arena		*a = &c->server->decoded;
	const ProtobufCMessage	*m;
	const char		*why;

	if (cut->compressed) {
		call_fail(c, GRPC_INTERNAL, "compressed message without "
		    "grpc-encoding");		/* G11 */
		return;
	}
	m = grpc_decode(c->method->request, cut->p, cut->n, a, &why);
	if (m != NULL) {
		c->known = true;
		c->method->message(c, m);
	} else if (strcmp(why, GRPC_WHY_MEMORY) == 0) {
		call_fail(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
	} else {
		call_fail(c, GRPC_INVALID_ARGUMENT, why);
	}
	arena_reset(a);
}

static void
cut_failed(struct grpc_call *c, int r)
{
	if (r == -EMSGSIZE)
		call_fail(c, GRPC_RESOURCE_EXHAUSTED,
		    "message larger than 4 MiB");
	else if (r == -EPROTO)
		call_fail(c, GRPC_INTERNAL, "bad flag of a message");
	else
		call_fail(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
}

static void
consume(struct grpc_call *c, size_t n)
{
	if (n > 0 && c->stream != NULL)
		h2_consume(c->stream, n);
}

static void
hold_bytes(struct grpc_call *c, const uint8_t *p, size_t n)
{
	int	r;

	if (n > 0 && (r = buf_put(&c->held, p, n)) < 0)
		cut_failed(c, r == -ENOBUFS ? -EMSGSIZE : r);
}

/* Stream of requests: gives out what is complete; returns bytes taken. */
static size_t
cut_messages(struct grpc_call *c, const uint8_t *p, size_t n)
{
	struct grpc_cutter	cutter = { &c->part };
	struct grpc_cut		cut;
	size_t			taken = 0, used;
	int			r = 1;

	while (r == 1 && taken < n && c->state == CALL_OPEN && !c->paused) {
		r = grpc_cut(&cutter, p + taken, n - taken, &used, &cut);
		taken += used;
		if (r == 1)
			deliver(c, &cut);
		else if (r < 0)
			cut_failed(c, r);
	}
	if (grpc_cut_idle(&cutter))
		call_spare(&c->part);		/* it has been delivered */
	consume(c, taken);
	return taken;
}

/* What the peer's END_STREAM means once everything before it is delivered. */
static void
stream_end(struct grpc_call *c)
{
	struct grpc_cutter	cutter = { &c->part };

	if (c->state != CALL_OPEN || !c->ended || c->ended_told ||
	    c->paused || c->held.len > 0)
		return;
	c->ended_told = true;
	if (!grpc_cut_idle(&cutter)) {
		call_fail(c, GRPC_INTERNAL, "message cut short");
		return;
	}
	c->known = true;
	if (c->method->ended != NULL)
		c->method->ended(c);
}

static void
stream_data(struct grpc_call *c, const uint8_t *p, size_t n)
{
	size_t	taken = 0;

	if (c->held.len == 0)
		taken = cut_messages(c, p, n);
	if (c->state == CALL_OPEN)
		hold_bytes(c, p + taken, n - taken);
	else
		consume(c, n - taken);
	stream_end(c);
}

/* All of the one request is there: p and n with its prefix. */
static void
single_deliver(struct grpc_call *c, const uint8_t *p, size_t n)
{
	struct grpc_cut	cut;

	if (n < GRPC_PREFIX_LEN || be32_read(p + 1) > n - GRPC_PREFIX_LEN) {
		call_fail(c, GRPC_INTERNAL, n == 0 ?
		    "missing request message" : "message cut short");
		return;
	}
	cut = (struct grpc_cut){ .p = p + GRPC_PREFIX_LEN,
	    .n = be32_read(p + 1), .compressed = p[0] == 1 };
	if (n - GRPC_PREFIX_LEN > cut.n) {
		call_fail(c, GRPC_INTERNAL, "more than one request message");
		return;
	}
	c->ended_told = true;
	deliver(c, &cut);
	if (c->state != CALL_OPEN)
		return;
	call_spare(&c->held);
	if (c->method->ended != NULL)
		c->method->ended(c);
}

/* False: what is there can't become one good request. */
static bool
single_check(struct grpc_call *c, const uint8_t *p, size_t n)
{
	if (n > 0 && p[0] > 1) {
		cut_failed(c, -EPROTO);
		return false;
	}
	if (n < GRPC_PREFIX_LEN)
		return true;
	if (be32_read(p + 1) > GRPC_MESSAGE_MAX) {
		cut_failed(c, -EMSGSIZE);
		return false;
	}
	if (n - GRPC_PREFIX_LEN > be32_read(p + 1)) {
		call_fail(c, GRPC_INTERNAL, "more than one request message");
		return false;
	}
	return true;
}

/* Methods with one request. */
static void
single_data(struct grpc_call *c, const uint8_t *p, size_t n)
{
	struct buf	*held = &c->held;

	consume(c, n);
	if (held->len == 0 && c->ended) {
		if (single_check(c, p, n))
			single_deliver(c, p, n);
		return;
	}
	hold_bytes(c, p, n);
	if (c->state != CALL_OPEN ||
	    !single_check(c, buf_head(held), held->len))
		return;
	if (c->ended && !c->ended_told)
		single_deliver(c, buf_head(held), held->len);
}

/*
 * Over GRPC_HELD_MAX the connection stops reading for the sake of what waits
 * for a handler.  A message that waits for its own rest can't be treated like
 * that, or nothing would ever shrink: a large one is given up.
 */
static void
account(struct grpc_call *c)
{
	bool	unfinished;

	if (call_account(c) || c->state == CALL_OVER || c->conn == NULL)
		return;
	unfinished = c->state == CALL_OPEN && !c->paused &&
	    (c->held.len == 0 || c->method->kind != GRPC_BIDI);
	if (!unfinished)
		conn_stall(c->conn);
	else if (c->charged > UNFINISHED_MAX)
		call_fail(c, GRPC_RESOURCE_EXHAUSTED,
		    "too much data waits in the server");
}

void
call_data(struct grpc_call *c, const uint8_t *p, size_t n, bool end)
{
	call_hold(c);
	c->ended = c->ended || end;
	if (c->state == CALL_OVER)
		consume(c, n);
	else if (c->state == CALL_PENDING)
		hold_bytes(c, p, n);
	else if (c->method->kind == GRPC_BIDI)
		stream_data(c, p, n);
	else
		single_data(c, p, n);
	account(c);
	call_release(c);
}

/* Delivers what was held, from a clean stack; c is held by the caller. */
void
call_run(struct grpc_call *c)
{
	struct buf	*held = &c->held;
	size_t		 taken;

	if (c->state != CALL_OPEN)
		return;
	if (c->method->kind != GRPC_BIDI) {
		consume(c, c->owed);
		c->owed = 0;
		if (single_check(c, buf_head(held), held->len) && c->ended &&
		    !c->ended_told)
			single_deliver(c, buf_head(held), held->len);
	} else {
		taken = cut_messages(c, buf_head(held), held->len);
		if (c->state == CALL_OPEN)
			buf_drain(held, taken);
		stream_end(c);
	}
	account(c);
	if (c->conn != NULL)
		conn_touch(c->conn);		/* windows have opened */
}

void
grpc_pause(struct grpc_call *c)
{
	c->paused = true;
}

void
grpc_resume(struct grpc_call *c)
{
	if (!c->paused)
		return;
	c->paused = false;
	call_queue(c);
}

/* -- authorisation -------------------------------------------------------- */

void
call_verdict(struct grpc_call *c, int verdict, const char *why)
{
	if (verdict != GRPC_OK) {
		c->server->stats.calls_refused++;
		call_fail(c, (enum grpc_status)verdict,
		    why != NULL ? why : "");
		return;
	}
	conn_is_authentic(c->conn);
	c->state = CALL_OPEN;
	if (c->method->message == NULL) {
		grpc_finish(c, GRPC_UNIMPLEMENTED,
		    "not served by this daemon");
		return;
	}
	c->owed = c->held.len;
	if (c->ended || c->held.len > 0)
		call_queue(c);
}

void
grpc_authorized(struct grpc_call *c, int verdict, const char *why)
{
	if (!c->pending)
		return;
	call_hold(c);
	leave_pending(c, false);
	call_verdict(c, verdict, why);
	call_release(c);
}

/* -- messages to the peer ------------------------------------------------- */

void
call_writable(struct grpc_call *c)
{
	if (!c->want_room || c->state != CALL_OPEN)
		return;
	c->want_room = false;
	if (c->method->writable == NULL)
		return;
	call_hold(c);
	c->method->writable(c);
	call_release(c);
}

static int
start_answer(struct grpc_call *c)
{
	int	r;

	if (c->answered)
		return 0;
	r = h2_headers(c->stream, response_fields, ARRAY_LEN(response_fields),
	    false);
	if (r == 0)
		c->answered = true;
	return r;
}

/* A framed message in two pieces. */
static int
send_pieces(struct grpc_call *c, const void *a, size_t na, const void *b,
    size_t nb)
{
	int	r;

	if (c->state != CALL_OPEN || c->stream == NULL)
		return -EPIPE;
	if ((r = start_answer(c)) < 0)
		return r;
	r = h2_data2(c->stream, a, na, b, nb, false);
	if (r == 0)
		conn_touch(c->conn);
	else if (r == -ENOBUFS)
		c->want_room = true;
	return r;
}

int
grpc_send(struct grpc_call *c, const ProtobufCMessage *m)
{
	struct buf	*b = &c->server->scratch;
	const uint8_t	*p;
	size_t		 n;
	int		 r;

	if ((r = grpc_frame(b, m, ANSWER_MAX, &p, &n)) < 0)
		return r;
	r = send_pieces(c, p, n, NULL, 0);
	if (b->cap > SPARE_MAX)
		buf_trim(b);
	return r;
}

int
grpc_send_bytes(struct grpc_call *c, uint32_t field, const void *p, size_t n)
{
	uint8_t	head[GRPC_HEAD_MAX];

	return send_pieces(c, head, grpc_bytes_head(field, n, head), p, n);
}

size_t
grpc_room(struct grpc_call *c)
{
	return c->state != CALL_OPEN || c->stream == NULL ? 0 :
	    grpc_stream_room(c->stream, &c->want_room);
}

void
grpc_reply(struct grpc_call *c, const ProtobufCMessage *m)
{
	int	r = grpc_send(c, m);

	if (r == 0)
		grpc_finish(c, GRPC_OK, NULL);
	else
		grpc_finish(c, GRPC_RESOURCE_EXHAUSTED, "answer not sent: %s",
		    strerror(-r));
}

/* -- what the handler may ask --------------------------------------------- */

const char *
grpc_metadata_bin(const struct grpc_call *c, const char *key, size_t *len)
{
	const struct metadata	*md;

	for (md = c->metadata; md != NULL; md = md->next) {
		if (strcmp(md->key, key) != 0)
			continue;
		*len = md->value_len;
		return md->value;
	}
	return NULL;
}

const char *
grpc_metadata(const struct grpc_call *c, const char *key)
{
	size_t	len;

	return grpc_metadata_bin(c, key, &len);
}

const struct grpc_peer *
grpc_call_peer(const struct grpc_call *c)
{
	return &c->conn->peer;
}

void *
grpc_call_user(const struct grpc_call *c)
{
	return c->server->opt.user;
}

const char *
grpc_call_subject(const struct grpc_call *c)
{
	return c->subject;
}

int
grpc_call_set_subject(struct grpc_call *c, const char *subject)
{
	size_t	 n = strlen(subject) + 1;
	char	*copy = arena_alloc(&c->meta, n);

	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, subject, n);
	c->subject = copy;
	return 0;
}

void
grpc_call_set_arg(struct grpc_call *c, void *arg)
{
	c->arg = arg;
}

void *
grpc_call_arg(const struct grpc_call *c)
{
	return c->arg;
}
