#include "tests/unit/failmalloc.h"
#include "tests/unit/h2_peer.h"

/* The client's end, both ends joined in memory, stopping, and callbacks that
 * do what they like. */

static const struct hpack_field request[] = {
	FIELD(":method", "POST"), FIELD(":scheme", "http"),
	FIELD(":path", "/a.B/C"), FIELD("te", "trailers"),
	FIELD("authorization", "Bearer abcdefghijklmnopqrstuvwxyz"),
};
static const struct hpack_field answer[] = {
	FIELD(":status", "200"), FIELD("content-type", "application/grpc"),
};
static const struct hpack_field trailers[] = { FIELD("grpc-status", "0") };

/* :status 200, x: y */
#define OK	"88"
#define TRAILER	"40 01 78 01 79"

static struct peer *
client_new(void)
{
	struct peer	*p = peer_new();

	peer_open(p, false);
	send_hex(p, SET SETACK);
	assert_int_equal(p->r, 0);
	flush(p);
	buf_drain(&p->out, H2_PREFACE_LEN);
	forget(p);
	return p;
}

static struct h2_stream *
open_stream(struct peer *p, bool end)
{
	struct h2_stream	*s = NULL;

	assert_int_equal(h2_open(p->h, &s, request, ARRAY_LEN(request), end),
	    0);
	return s;
}

/* -- client ----------------------------------------------------------------- */

static void
a_client_begins_with_preface_and_settings(void **state)
{
	struct peer	*p = peer_new();
	struct frame	 f;
	size_t		 i;
	bool		 no_push = false;

	(void)state;
	peer_open(p, false);
	flush(p);
	assert_true(p->out.len > H2_PREFACE_LEN);
	assert_memory_equal(buf_head(&p->out), H2_PREFACE, H2_PREFACE_LEN);
	buf_drain(&p->out, H2_PREFACE_LEN);
	assert_true(next_frame(p, &f));
	assert_int_equal(f.head.type, H2_SETTINGS);
	for (i = 0; i < f.head.length; i += 6)
		if (be16_read(f.p + i) == H2_SET_ENABLE_PUSH)
			no_push = be32_read(f.p + i + 2) == 0;
	assert_true(no_push);
	peer_free(p);
}

static void
client_cases(void **state)
{
	/* Stream 1 is open and its request complete. */
	static const struct {
		const char	*name, *bytes, *log;
		uint32_t	 goaway;
	} rows[] = {
		{ "answer, data, trailers", "000001 01 04 00000001" OK
		    "000002 00 00 00000001 6162 000005 01 05 00000001"
		    TRAILER, "H1 D1:2 H1+ C1=0 ", 0 },
		{ "trailers only", "000001 01 05 00000001" OK, "H1+ C1=0 ",
		    0 },
		{ "informational responses are passed over",
		    "000005 01 04 00000001 08 03 313030"
		    "000005 01 04 00000001 08 03 313033"
		    "000001 01 05 00000001" OK, "H1+ C1=0 ", 0 },
		{ "informational with END_STREAM",
		    "000005 01 05 00000001 08 03 313030", "C1=1 ", 0 },
		{ "101", "000005 01 04 00000001 08 03 313031", "C1=1 ", 0 },
		{ ":status missing", "000005 01 04 00000001" TRAILER,
		    "C1=1 ", 0 },
		{ ":status is no number", "000005 01 04 00000001 08 03 323078",
		    "C1=1 ", 0 },
		{ "request pseudo-header", "000002 01 04 00000001 88 82",
		    "C1=1 ", 0 },
		{ "DATA before HEADERS", "000001 00 00 00000001 61", "C1=1 ",
		    0 },
		{ "content-length too long", "000005 01 04 00000001" OK
		    "0f0d 01 31 000002 00 01 00000001 6162", "H1 C1=1 ", 0 },
		{ "content-length of 304 is not the body's",
		    "000005 01 05 00000001 8b 0f0d 01 31", "H1+ C1=0 ", 0 },
		{ "reset", "000004 03 00 00000001 00000007", "C1=7 ", 0 },
		{ "PUSH_PROMISE", "000005 05 04 00000001 00000002 82",
		    "C1=1 ", H2_PROTOCOL_ERROR },
		{ "HEADERS on a stream nobody opened",
		    "000001 01 04 00000003" OK, "C1=1 ", H2_PROTOCOL_ERROR },
		{ "HEADERS on an even stream", "000001 01 04 00000002" OK,
		    "C1=1 ", H2_PROTOCOL_ERROR },
		{ "ENABLE_PUSH 1 from a server",
		    "000006 04 00 00000000 0002 00000001", "C1=1 ",
		    H2_PROTOCOL_ERROR },
		{ "GOAWAY below the stream",
		    "000008 07 00 00000000 00000000 00000000", "G0=0 C1=7 ",
		    0 },
		{ "GOAWAY above the stream, which goes on",
		    "000008 07 00 00000000 7fffffff 00000000"
		    "000001 01 05 00000001" OK, "G2147483647=0 H1+ C1=0 ", 0 },
	};
	struct peer	*p;
	size_t		 i, chunk;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		for (chunk = 0; chunk < 8; chunk++) {
			p = client_new();
			open_stream(p, true);
			drop_output(p);
			p->chunk = chunk;
			send_hex(p, rows[i].bytes);
			if (rows[i].goaway != 0)
				expect_goaway(p, rows[i].goaway);
			else
				assert_int_equal(p->r, 0);
			expect_log(p, rows[i].log);
			peer_free(p);
		}
	}
}

/* A client forgets a call when its status is there. */
static void
reset_of_a_stream_that_is_over_sends_nothing(void **state)
{
	struct peer	*p = client_new();
	struct frame	 f;

	(void)state;
	p->refuse = true;
	open_stream(p, true);
	drop_output(p);
	send_hex(p, "000001 01 05 00000001" OK);
	expect_log(p, "H1+ C1=0 ");
	flush(p);
	assert_false(next_frame(p, &f));
	forget(p);
	open_stream(p, false);
	drop_output(p);
	send_hex(p, "000001 01 05 00000003" OK);
	expect_log(p, "H3+ C3=8 ");
	flush(p);
	assert_true(next_frame(p, &f));
	assert_int_equal(f.head.type, H2_RST_STREAM);
	peer_free(p);
}

static void
reset_no_error_behind_the_answer_is_success(void **state)
{
	struct peer	*p = client_new();

	(void)state;
	open_stream(p, false);
	drop_output(p);
	send_hex(p, "000001 01 05 00000001" OK);
	expect_log(p, "H1+ ");
	send_u32(p, H2_RST_STREAM, 1, H2_NO_ERROR);
	expect_log(p, "H1+ C1=0 ");
	peer_free(p);
}

static void
a_client_keeps_to_the_peers_limit(void **state)
{
	struct peer	*p = client_new();
	struct h2_stream *s;

	(void)state;
	send_setting(p, H2_SET_MAX_STREAMS, 2);
	open_stream(p, true);
	open_stream(p, true);
	assert_int_equal(h2_open(p->h, &s, request, 4, true), -EAGAIN);
	drop_output(p);
	send_hex(p, "000001 01 05 00000001" OK);
	assert_int_equal(h2_open(p->h, &s, request, 4, true), 0);
	assert_int_equal(h2_stream_id(s), 5);
	peer_free(p);
}

/* A server may refuse as often as it likes. */
static void
a_client_does_not_count_resets(void **state)
{
	struct peer	*p = client_new();
	uint32_t	 i;

	(void)state;
	for (i = 0; i < 2 * H2_RESET_BURST; i++) {
		open_stream(p, true);
		drop_output(p);
		send_u32(p, H2_RST_STREAM, 2 * i + 1, H2_REFUSED_STREAM);
		assert_int_equal(p->r, 0);
		forget(p);
	}
	peer_free(p);
}

static void
nothing_new_after_goaway(void **state)
{
	struct peer	*p = client_new();
	struct h2_stream *s;

	(void)state;
	open_stream(p, true);
	drop_output(p);
	send_hex(p, "000008 07 00 00000000 00000001 00000000");
	assert_int_equal(h2_open(p->h, &s, request, 4, true), -EPIPE);
	assert_int_equal(h2_stream_count(p->h), 1);
	h2_shutdown(p->h);
	assert_false(h2_drained(p->h));
	send_hex(p, "000001 01 05 00000001" OK);
	drop_output(p);
	assert_true(h2_drained(p->h));
	peer_free(p);
}

/* -- both ends -------------------------------------------------------------- */

struct pair {
	struct peer	*c, *s;
	struct buf	 up, down;
	size_t		 step;		/* bytes carried at a time */
};

static void
carry(struct peer *from, struct buf *wire, struct peer *to, size_t step)
{
	size_t	used, n;

	h2_send(from->h, wire);
	while (wire->len > 0 && to->r == 0) {
		n = wire->len < step ? wire->len : step;
		to->r = h2_recv(to->h, buf_head(wire), n, &used, to->now);
		buf_drain(wire, used);
		if (used == 0)
			break;
	}
}

/* Until nothing moves. */
static void
run(struct pair *j)
{
	int	i;

	for (i = 0; i < 10000; i++) {
		carry(j->c, &j->up, j->s, j->step);
		carry(j->s, &j->down, j->c, j->step);
		if (j->c->r < 0 || j->s->r < 0 ||
		    (j->up.len == 0 && j->down.len == 0 &&
		    !h2_wants_send(j->c->h) && !h2_wants_send(j->s->h)))
			return;
	}
	fail();
}

static void
pair_init(struct pair *j, size_t step)
{
	j->c = peer_new();
	j->s = peer_new();
	j->step = step;
	buf_init(&j->up, 1u << 20);
	buf_init(&j->down, 1u << 20);
}

static void
pair_finish(struct pair *j)
{
	peer_free(j->c);
	peer_free(j->s);
	buf_finish(&j->up);
	buf_finish(&j->down);
}

/* One call with a body in each direction; the streams' ids repeat. */
static void
one_call(struct pair *j, const void *body, size_t n)
{
	struct h2_stream	*s = open_stream(j->c, false);

	assert_int_equal(h2_data(s, body, n, true), 0);
	run(j);
	s = j->s->last;
	assert_int_equal(h2_headers(s, answer, 2, false), 0);
	assert_int_equal(h2_data(s, body, n, false), 0);
	assert_int_equal(h2_headers(s, trailers, 1, true), 0);
	run(j);
}

static void
two_ends_talk_whatever_the_pieces(void **state)
{
	static const size_t	steps[] = { 1, 2, 3, 7, 9, 10, 100, 65536 };
	uint8_t			*body = malloc(200000);
	struct pair		 j;
	size_t			 i;

	(void)state;
	for (i = 0; i < 200000; i++)
		body[i] = (uint8_t)(i * 7 + i / 251);
	for (i = 0; i < ARRAY_LEN(steps); i++) {
		pair_init(&j, steps[i]);
		peer_open(j.c, false);
		peer_open(j.s, true);
		run(&j);
		one_call(&j, "hello", 5);
		one_call(&j, body, 200000);
		one_call(&j, "", 0);
		expect_log(j.s, "H1 D1:5+ C1=0 H3 D3:200000+ C3=0 H5 D5:0+ "
		    "C5=0 ");
		expect_log(j.c, "H1 D1:5 H1+ C1=0 H3 D3:200000 H3+ C3=0 H5 "
		    "H5+ C5=0 ");
		assert_int_equal(j.s->data.len, 200005);
		assert_memory_equal(buf_head(&j.s->data) + 5, body, 200000);
		assert_memory_equal(buf_head(&j.c->data) + 5, body, 200000);
		pair_finish(&j);
	}
	free(body);
}

/* TR-09: a long token, coded and indexed; the second time it is one byte. */
static void
TR_09_long_indexed_authorization(void **state)
{
	struct hpack_field	 f[4];
	struct pair		 j;
	struct h2_stream	*s;
	char			 token[2048];
	size_t			 first;

	(void)state;
	memset(token, 'a', sizeof token);
	memcpy(f, request, sizeof f);
	f[3] = (struct hpack_field){ "authorization", token, 13, 2000, false,
	    false };
	pair_init(&j, 65536);
	peer_open(j.c, false);
	peer_open(j.s, true);
	run(&j);
	assert_int_equal(h2_open(j.c->h, &s, f, 4, true), 0);
	h2_send(j.c->h, &j.up);
	first = j.up.len;
	run(&j);
	assert_int_equal(h2_open(j.c->h, &s, f, 4, true), 0);
	h2_send(j.c->h, &j.up);
	assert_true(first > 1200);
	assert_int_equal(j.up.len, 9 + 4);
	run(&j);
	expect_log(j.s, "H1+ H3+ ");
	pair_finish(&j);
}

/* -- stopping --------------------------------------------------------------- */

static void
G15_TR_20_goaway_twice_then_streams_finish(void **state)
{
	struct peer	*p = server_new();
	struct frame	 f;
	uint8_t		 payload[8];

	(void)state;
	send_post(p, 1);
	h2_shutdown(p->h);
	h2_shutdown(p->h);
	assert_true(next_frame(p, &f));
	assert_int_equal(f.head.type, H2_GOAWAY);
	assert_int_equal(be32_read(f.p), 0x7fffffff);
	assert_int_equal(be32_read(f.p + 4), H2_NO_ERROR);
	assert_true(next_frame(p, &f));
	assert_int_equal(f.head.type, H2_PING);
	memcpy(payload, f.p, 8);
	assert_false(next_frame(p, &f));

	/* It was on its way. */
	send_post(p, 3);
	send_frame(p, H2_PING, H2_FLAG_ACK, 0, payload, 8);
	assert_true(next_frame(p, &f));
	assert_int_equal(f.head.type, H2_GOAWAY);
	assert_int_equal(be32_read(f.p), 3);

	/* This one is too late. */
	send_post(p, 5);
	expect_reset(p, 5, H2_REFUSED_STREAM);
	expect_log(p, "H1 H3 ");
	assert_false(h2_drained(p->h));
	p->answer = true;
	send_frame(p, H2_DATA, 1, 1, "x", 1);
	send_frame(p, H2_DATA, 1, 3, "x", 1);
	expect_alive(p);
	expect_log(p, "H1 H3 D1:1+ D3:1+ C1=0 C3=0 ");
	assert_true(h2_drained(p->h));
	peer_free(p);
}

/* What was announced as the last stream stays the last. */
static void
G15_the_last_id_never_rises(void **state)
{
	struct peer	*p = server_new();
	struct frame	 f;

	(void)state;
	send_post(p, 1);
	h2_shutdown(p->h);
	h2_tick(p->h, p->now + H2_SHUTDOWN_MS);
	send_post(p, 3);
	drop_output(p);
	h2_terminate(p->h, H2_INTERNAL_ERROR, "enough");
	assert_true(find_frame(p, H2_GOAWAY, &f));
	assert_int_equal(be32_read(f.p), 1);
	peer_free(p);
}

static void
TR_20_second_goaway_does_not_wait_for_ever(void **state)
{
	struct peer	*p = server_new();
	struct frame	 f;

	(void)state;
	h2_shutdown(p->h);
	drop_output(p);
	assert_false(h2_drained(p->h));
	assert_int_equal(h2_deadline(p->h), p->now + H2_SHUTDOWN_MS);
	assert_int_equal(h2_tick(p->h, p->now + H2_SHUTDOWN_MS), 0);
	assert_true(next_frame(p, &f));
	assert_int_equal(f.head.type, H2_GOAWAY);
	assert_int_equal(be32_read(f.p), 0);
	assert_true(h2_drained(p->h));
	peer_free(p);
}

static void
ids_running_out_stop_the_connection(void **state)
{
	struct peer	*p = server_new();
	struct frame	 f;

	(void)state;
	send_get(p, H2_ID_EXHAUSTED - 1);
	expect_alive(p);
	send_get(p, H2_ID_EXHAUSTED + 1);
	assert_true(find_frame(p, H2_GOAWAY, &f));
	assert_int_equal(be32_read(f.p), 0x7fffffff);
	assert_int_equal(h2_stream_count(p->h), 2);
	peer_free(p);
}

static void
terminate_closes_every_stream(void **state)
{
	struct peer	*p = server_new();

	(void)state;
	send_post(p, 1);
	send_post(p, 3);
	h2_terminate(p->h, H2_INTERNAL_ERROR, "enough");
	expect_log(p, "H1 H3 C1=2 C3=2 ");
	assert_string_equal(h2_reason(p->h), "enough");
	p->r = -EPROTO;
	expect_goaway(p, H2_INTERNAL_ERROR);
	assert_int_equal(h2_deadline(p->h), UINT64_MAX);
	peer_free(p);
}

/* Ids 32 apart share a place in a small table. */
static void
streams_whose_ids_collide_are_told_apart(void **state)
{
	static const uint32_t	order[] = { 33, 1, 97, 3, 65, 35, 129 };
	struct peer		*p = server_new();
	char			 want[32];
	size_t			 i, k;

	(void)state;
	for (i = 0; i < ARRAY_LEN(order); i++) {
		send_post(p, 1);
		send_post(p, 3);
		send_post(p, 33);
		send_post(p, 35);
		send_post(p, 65);
		send_post(p, 97);
		send_post(p, 129);
		assert_int_equal(h2_stream_count(p->h), 7);
		/* Another one goes first each time. */
		for (k = 0; k < ARRAY_LEN(order); k++) {
			uint32_t id = order[(i + k) % ARRAY_LEN(order)];

			forget(p);
			send_u32(p, H2_RST_STREAM, id, H2_CANCEL);
			snprintf(want, sizeof want, "C%u=8 ", id);
			expect_log(p, want);
		}
		peer_free(p);
		p = server_new();
	}
	peer_free(p);
}

/* -- callbacks -------------------------------------------------------------- */

/* What a callback is to do, to which stream. */
struct wild {
	struct h2	*h;
	struct h2_stream *streams[8];
	unsigned	 n, closed;
	char		 when, what;
};

static void
go_wild(struct wild *w, struct h2_stream *self, char when)
{
	unsigned	i;

	if (when != w->when)
		return;
	for (i = 0; i < w->n; i++) {
		struct h2_stream	*s = w->streams[i];

		if (s == NULL || (w->what == 'o') == (s == self))
			continue;
		switch (w->what) {
		case 't':
			h2_terminate(w->h, H2_INTERNAL_ERROR, "wild");
			return;
		case 'a':
			peer_answer(s);
			h2_finish(s);
			break;
		default:
			h2_reset(s, H2_CANCEL);
			h2_reset(s, H2_CANCEL);
			assert_int_equal(h2_data(s, "x", 1, true), -EPIPE);
			assert_int_equal(h2_headers(s, answer, 2, true),
			    -EPIPE);
			assert_int_equal(h2_room(s), 0);
			h2_consume(s, 1000);
			h2_finish(s);
			break;
		}
	}
}

static void
wild_headers(void *arg, struct h2_stream *s, const struct hpack_list *list,
    bool end)
{
	struct wild	*w = arg;

	(void)list;
	(void)end;
	if (h2_stream_arg(s) == NULL) {
		h2_stream_set_arg(s, w);
		w->streams[w->n++] = s;
	}
	go_wild(w, s, 'h');
}

static void
wild_data(void *arg, struct h2_stream *s, const uint8_t *p, size_t n,
    bool end)
{
	(void)p;
	(void)n;
	(void)end;
	go_wild(arg, s, 'd');
}

static void
wild_writable(void *arg, struct h2_stream *s)
{
	go_wild(arg, s, 'w');
}

static void
wild_closed(void *arg, struct h2_stream *s, uint32_t code)
{
	struct wild	*w = arg;
	unsigned	 i;

	(void)code;
	w->closed++;
	for (i = 0; i < w->n; i++)
		if (w->streams[i] == s)
			break;
	assert_true(i < w->n);		/* once, and only of those shown */
	w->streams[i] = NULL;
	go_wild(w, s, 'c');
}

static void
wild_goaway(void *arg, uint32_t last, uint32_t code)
{
	(void)last;
	(void)code;
	go_wild(arg, NULL, 'g');
}

static const struct h2_ops wild_ops = {
	.headers = wild_headers, .data = wild_data,
	.writable = wild_writable, .closed = wild_closed,
	.goaway = wild_goaway
};

static void
callbacks_may_do_anything_to_any_stream(void **state)
{
	static char	filler[H2_SEND_BUFFER];
	const char	*when, *what;

	(void)state;
	for (when = "hdwcg"; *when != '\0'; when++) {
		for (what = "rota"; *what != '\0'; what++) {
			struct wild	 w = { .when = *when, .what = *what };
			struct peer	*p = peer_new();
			struct h2	*h;
			unsigned	 i;

			h = h2_create(true, &p->limits, &wild_ops, &w, p->now);
			w.h = p->h = h;
			send_hex(p, HELLO);
			for (i = 0; i < 6; i++) {
				send_post(p, 2 * i + 1);
				if (w.n > i && w.streams[i] != NULL)
					h2_data(w.streams[i], filler,
					    sizeof filler, false);
			}
			drop_output(p);
			for (i = 0; i < 6 && p->r == 0; i++)
				send_frame(p, H2_DATA, i % 2, 2 * i + 1,
				    "abc", 3);
			send_u32(p, H2_WINDOW_UPDATE, 0, 1u << 20);
			for (i = 0; i < 6 && p->r == 0; i++)
				send_u32(p, H2_WINDOW_UPDATE, 2 * i + 1,
				    1u << 18);
			drop_output(p);
			send_u32(p, H2_RST_STREAM, 1, H2_CANCEL);
			send_hex(p, "000008 07 00 00000000 00000000 00000000");
			drop_output(p);
			h2_destroy(h);
			assert_int_equal(w.closed, w.n);
			p->h = NULL;
			peer_free(p);
		}
	}
}

/* -- memory ----------------------------------------------------------------- */

/* Both ends of a conversation with all there is; any allocation may fail. */
static int
conversation(unsigned n, bool all)
{
	static char	 body[100000];
	struct pair	 j;
	struct h2_stream *s;
	unsigned	 i;
	bool		 failed;

	pair_init(&j, 4096);
	/* What the test itself needs. */
	assert_int_equal(buf_put(&j.c->data, body, 1000), 0);
	assert_int_equal(buf_put(&j.s->data, body, 1000), 0);
	j.c->answer = false;
	j.s->answer = true;
	if (all)
		failmalloc_arm_all(n);
	else
		failmalloc_arm(n);
	j.c->h = h2_create(false, &j.c->limits, &peer_ops, j.c, 1000);
	j.s->h = h2_create(true, &j.s->limits, &peer_ops, j.s, 1000);
	for (i = 0; i < 30 && j.c->h != NULL && j.s->h != NULL; i++) {
		buf_clear(&j.c->data);
		buf_clear(&j.s->data);
		if (h2_open(j.c->h, &s, request, ARRAY_LEN(request), false) ==
		    0) {
			h2_data(s, body, i * 20, i % 3 != 0);
			if (i % 3 == 0)
				h2_headers(s, trailers, 1, true);
			if (i % 7 == 0)
				h2_reset(s, H2_CANCEL);
		}
		carry(j.c, &j.up, j.s, j.step);
		carry(j.s, &j.down, j.c, j.step);
	}
	if (j.c->h != NULL && j.s->h != NULL) {
		h2_shutdown(j.s->h);
		carry(j.s, &j.down, j.c, j.step);
		carry(j.c, &j.up, j.s, j.step);
		h2_tick(j.s->h, 100000);
		h2_tick(j.c->h, 100000);
	}
	failed = failmalloc_disarm();
	assert_true(failed || (j.c->r == 0 && j.s->r == 0));
	pair_finish(&j);
	return failed;
}

static void
any_allocation_may_fail(void **state)
{
	unsigned	n;

	(void)state;
	for (n = 1; conversation(n, false); n++)
		;
	assert_true(n > 10);
	for (n = 1; conversation(n, true); n++)
		;
}

/* A connection that does nothing holds next to nothing. */
static void
an_idle_session_is_small(void **state)
{
	struct peer	*p = peer_new();
	unsigned	 n;

	(void)state;
	p->answer = true;
	failmalloc_arm(1u << 30);
	peer_open(p, true);
	send_hex(p, HELLO);
	drop_output(p);
	failmalloc_disarm();
	/* After work the pools go back, and the work costs no allocation once
	 * they are filled. */
	send_get(p, 1);
	send_get(p, 3);
	forget(p);
	failmalloc_arm(1u << 30);
	n = failmalloc_count();
	send_get(p, 5);
	drop_output(p);
	/* Two are the test's own, for the frame and its copy, and one its
	 * output's. */
	assert_true(failmalloc_count() - n <= 3);
	failmalloc_disarm();
	assert_int_equal(h2_deadline(p->h), p->now + H2_TRIM_MS);
	assert_int_equal(h2_tick(p->h, p->now + H2_TRIM_MS), 0);
	assert_int_equal(h2_deadline(p->h), p->now + H2_KEEPALIVE_MS);
	send_get(p, 7);
	expect_alive(p);
	peer_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_begins_with_preface_and_settings),
		cmocka_unit_test(client_cases),
		cmocka_unit_test(reset_of_a_stream_that_is_over_sends_nothing),
		cmocka_unit_test(reset_no_error_behind_the_answer_is_success),
		cmocka_unit_test(a_client_keeps_to_the_peers_limit),
		cmocka_unit_test(a_client_does_not_count_resets),
		cmocka_unit_test(nothing_new_after_goaway),
		cmocka_unit_test(two_ends_talk_whatever_the_pieces),
		cmocka_unit_test(TR_09_long_indexed_authorization),
		cmocka_unit_test(G15_TR_20_goaway_twice_then_streams_finish),
		cmocka_unit_test(G15_the_last_id_never_rises),
		cmocka_unit_test(TR_20_second_goaway_does_not_wait_for_ever),
		cmocka_unit_test(ids_running_out_stop_the_connection),
		cmocka_unit_test(terminate_closes_every_stream),
		cmocka_unit_test(streams_whose_ids_collide_are_told_apart),
		cmocka_unit_test(callbacks_may_do_anything_to_any_stream),
		cmocka_unit_test(any_allocation_may_fail),
		cmocka_unit_test(an_idle_session_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
