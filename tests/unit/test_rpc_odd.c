/* test_rpc_odd - our client and answers our server never gives. */
#include "tests/unit/rpc_world.h"

struct odd {
	struct world	w;
	struct link	l;
	struct raw	server;
	struct out	o;
};

static void
odd_begin(struct odd *x)
{
	int	sv[2];

	world_init(&x->w, NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    sv), 0);
	raw_open(&x->w, &x->server, sv[0], true);
	assert_int_equal(link_attach(&x->w, &x->l, sv[1]), 0);
	world_until(&x->w, &x->l.ready);
}

static void
odd_call(struct odd *x)
{
	unsigned	n = x->server.requests;

	x->o = (struct out){ 0 };
	assert_int_equal(out_unary(&x->l, &x->o, "x"), 0);
	world_count(&x->w, &x->server.requests, n + 1);
}

static void
odd_end(struct odd *x)
{
	link_close(&x->l);
	raw_close(&x->server);
	world_finish(&x->w);
}

static void
odd_answer(struct odd *x, bool end_stream, const char *http, const char *type,
    const char *status)
{
	struct hpack_field	f[3];
	size_t			n = 0;

	f[n++] = (struct hpack_field){ .name = ":status", .name_len = 7,
	    .value = http, .value_len = strlen(http) };
	if (type != NULL)
		f[n++] = (struct hpack_field){ .name = "content-type",
		    .name_len = 12, .value = type,
		    .value_len = strlen(type) };
	if (status != NULL)
		f[n++] = (struct hpack_field){ .name = "grpc-status",
		    .name_len = 11, .value = status,
		    .value_len = strlen(status) };
	assert_int_equal(h2_headers(x->server.request, f, n, end_stream), 0);
	conn_kick(x->server.conn);
}

static void
test_G16_reset_by_the_server(void **state)
{
	static const struct {
		uint32_t	 code;
		enum grpc_status status;
	} cases[] = {
		{ H2_REFUSED_STREAM, GRPC_UNAVAILABLE },
		{ H2_CANCEL, GRPC_CANCELLED },
		{ H2_ENHANCE_YOUR_CALM, GRPC_RESOURCE_EXHAUSTED },
		{ H2_INTERNAL_ERROR, GRPC_INTERNAL },
		{ H2_NO_ERROR, GRPC_INTERNAL },
	};
	struct odd	x;
	size_t		i;

	(void)state;
	odd_begin(&x);
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		odd_call(&x);
		h2_reset(x.server.request, cases[i].code);
		conn_kick(x.server.conn);
		world_until(&x.w, &x.o.done);
		assert_int_equal(x.o.status, cases[i].status);
		assert_int_equal(x.o.dones, 1);
	}
	odd_end(&x);
}

static void
test_answers_that_are_not_grpc(void **state)
{
	static const struct {
		const char	*http, *type;
		enum grpc_status status;
	} cases[] = {
		{ "404", "text/html", GRPC_UNIMPLEMENTED },
		{ "503", NULL, GRPC_UNAVAILABLE },
		{ "401", NULL, GRPC_UNAUTHENTICATED },
		{ "200", "text/html", GRPC_UNKNOWN },
		{ "415", NULL, GRPC_UNKNOWN },
	};
	struct odd	x;
	size_t		i;

	(void)state;
	odd_begin(&x);
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		odd_call(&x);
		odd_answer(&x, i % 2 == 0, cases[i].http, cases[i].type, NULL);
		world_until(&x.w, &x.o.done);
		assert_int_equal(x.o.status, cases[i].status);
	}
	odd_end(&x);
}

static void
test_answers_without_a_status(void **state)
{
	struct odd	x;

	(void)state;
	odd_begin(&x);
	odd_call(&x);				/* END_STREAM on DATA */
	odd_answer(&x, false, "200", "application/grpc", NULL);
	h2_data(x.server.request, MSG("\0", "\0", ""), 5, true);
	conn_kick(x.server.conn);
	world_until(&x.w, &x.o.done);
	assert_int_equal(x.o.status, GRPC_INTERNAL);
	assert_int_equal(x.o.messages, 1);
	odd_call(&x);				/* headers only */
	odd_answer(&x, true, "200", "application/grpc", NULL);
	world_until(&x.w, &x.o.done);
	assert_int_equal(x.o.status, GRPC_INTERNAL);
	odd_call(&x);				/* a status nobody knows */
	odd_answer(&x, true, "200", "application/grpc", "77");
	world_until(&x.w, &x.o.done);
	assert_int_equal(x.o.status, GRPC_UNKNOWN);
	odd_call(&x);				/* a malformed message */
	odd_answer(&x, false, "200", "application/grpc", NULL);
	h2_data(x.server.request, MSG("\0", "\1", "\x0b"), 6, false);
	conn_kick(x.server.conn);
	world_until(&x.w, &x.o.done);
	assert_int_equal(x.o.status, GRPC_INTERNAL);
	odd_end(&x);
}

static void
test_server_that_is_no_http2_server(void **state)
{
	static const char	text[] = "SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n";
	struct world		w;
	struct link		l;
	int			sv[2];

	(void)state;
	world_init(&w, NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    sv), 0);
	assert_int_equal(link_attach(&w, &l, sv[1]), 0);
	assert_int_equal(write(sv[0], text, sizeof text), sizeof text);
	world_until(&w, &l.lost);
	assert_false(l.ready);
	assert_string_equal(l.reason, "the first frame is not SETTINGS");
	close(sv[0]);
	link_close(&l);
	world_finish(&w);
}

static void
test_server_that_says_goodbye(void **state)
{
	struct odd	x;
	struct out	late;

	(void)state;
	odd_begin(&x);
	odd_call(&x);
	h2_shutdown(x.server.h2);
	conn_kick(x.server.conn);
	world_turns(&x.w, 20);
	assert_false(x.o.done);
	late.pause = false;
	assert_int_equal(out_unary(&x.l, &late, "x"), -EPIPE);
	odd_answer(&x, true, "200", "application/grpc", "0");
	world_until(&x.w, &x.l.lost);
	assert_int_equal(x.o.status, GRPC_OK);
	assert_string_equal(x.l.reason, "the server is shutting down");
	odd_end(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_G16_reset_by_the_server),
		cmocka_unit_test(test_answers_that_are_not_grpc),
		cmocka_unit_test(test_answers_without_a_status),
		cmocka_unit_test(test_server_that_is_no_http2_server),
		cmocka_unit_test(test_server_that_says_goodbye),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
