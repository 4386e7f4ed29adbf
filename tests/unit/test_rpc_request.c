/*
 * test_rpc_request - requests our client never sends.
 */
#include "tests/unit/rpc_world.h"

static void
begin(struct world *w, struct raw *r, const struct grpc_options *opt)
{
	world_init(w, opt);
	raw_open(w, r, world_dial(w), false);
}

static void
end(struct world *w, struct raw *r)
{
	assert_false(r->lost);
	raw_close(r);
	world_finish(w);
}

/* -- what is a call ------------------------------------------------------- */

static void
test_G1_only_post_and_only_grpc(void **state)
{
	struct world	w;
	struct raw	r;
	struct answer	a;

	(void)state;
	begin(&w, &r, NULL);
	raw_request(&r, &a, true, ":method", "GET", NULL);
	world_until(&w, &a.closed);
	assert_string_equal(a.http, "405");
	assert_string_equal(a.allow, "POST");
	assert_string_equal(a.status, "");
	raw_request(&r, &a, true, ":method", "GET", "content-type", NULL, NULL);
	world_until(&w, &a.closed);
	assert_string_equal(a.http, "405");
	raw_request(&r, &a, false, "content-type", "text/html", NULL);
	world_until(&w, &a.closed);
	assert_string_equal(a.http, "415");
	assert_int_equal(a.code, H2_NO_ERROR);
	raw_request(&r, &a, true, "content-type", NULL, NULL);
	world_until(&w, &a.closed);
	assert_string_equal(a.http, "415");
	assert_int_equal(w.messages, 0);
	end(&w, &r);
}

static void
test_G2_content_types(void **state)
{
	static const struct {
		const char	*type;
		bool		 good;
	} cases[] = {
		{ "application/grpc", true },
		{ "application/grpc+proto", true },
		{ "Application/GRPC", true },
		{ "application/grpc;charset=utf-8", true },
		{ "application/grpc+proto; x", true },
		{ "application/grpcfoo", false },
		{ "application/grpc-web", false },
		{ "application/grpc+json", false },
		{ "application/grp", false },
		{ "", false },
	};
	struct world	w;
	struct raw	r;
	struct answer	a;
	size_t		i;

	(void)state;
	begin(&w, &r, NULL);
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		raw_request(&r, &a, false, "content-type", cases[i].type,
		    NULL);
		RAW_DATA(&r, &a, MSG("\0", "\0", ""), true);
		world_until(&w, &a.closed);
		assert_string_equal(a.http, cases[i].good ? "200" : "415");
	}
	end(&w, &r);
}

static void
test_G3_paths_are_compared_byte_for_byte(void **state)
{
	static const char *const bad[] = {
		"test.Svc/Unary", "/test.Svc/unary", "/test.Svc/Unary/",
		"/test.Svc/Unary?x=1", "/test.Svc/%55nary", "//test.Svc/Unary",
		"/test.Svc//Unary", "/test.Svc/../test.Svc/Unary",
		"/test.Svc/Unary/test.Svc/Unary", "/", "/test.Svc/",
		"/test.Svc", "/Test.Svc/Unary", "*",
	};
	struct grpc_options	opt;
	struct world		w;
	struct raw		r;
	struct answer		a;
	size_t			i;

	(void)state;
	world_options(&w, &opt);
	opt.auth.check = auth_check;
	begin(&w, &r, &opt);
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		raw_request(&r, &a, false, ":path", bad[i], NULL);
		world_until(&w, &a.closed);
		if (bad[i][0] != '/') {		/* not even HTTP */
			assert_true(a.blocks == 0 ||
			    strcmp(a.status, "12") == 0);
			continue;
		}
		assert_string_equal(a.http, "200");
		assert_string_equal(a.status, "12");
		assert_int_equal(a.blocks, 1);
	}
	assert_int_equal(w.checks, 0);		/* before any rule can differ */
	assert_int_equal(w.messages, 0);
	end(&w, &r);
}

static void
test_G4_TR_14_unknown_service_and_method(void **state)
{
	static const char *const paths[] = {
		"/test.Svc/Nothing", "/other.Svc/Unary",
	};
	struct world	w;
	struct raw	r;
	struct answer	a;
	size_t		i;

	(void)state;
	begin(&w, &r, NULL);
	for (i = 0; i < ARRAY_LEN(paths); i++) {
		raw_request(&r, &a, false, ":path", paths[i], NULL);
		RAW_DATA(&r, &a, MSG("\0", "\0", ""), true);
		world_until(&w, &a.closed);
		assert_string_equal(a.http, "200");
		assert_string_equal(a.type, "application/grpc");
		assert_string_equal(a.status, "12");
		assert_int_equal(a.blocks, 1);		/* Trailers-Only */
		assert_int_equal(a.ndata, 0);
	}
	end(&w, &r);
}

static void
test_G5_malformed_timeout_is_internal(void **state)
{
	static const char *const bad[] = {
		"123456789S", "-1S", "1", "S", "1s", "0S", "1 S",
	};
	struct world	w;
	struct raw	r;
	struct answer	a;
	size_t		i;

	(void)state;
	begin(&w, &r, NULL);
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		raw_request(&r, &a, false, "grpc-timeout", bad[i], NULL);
		world_until(&w, &a.closed);
		assert_string_equal(a.http, "200");
		assert_string_equal(a.status, "13");
		assert_string_equal(a.message, "malformed grpc-timeout");
	}
	raw_request(&r, &a, false, "grpc-timeout", "99999999H", NULL);
	RAW_DATA(&r, &a, MSG("\0", "\0", ""), true);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "0");
	end(&w, &r);
}

static void
test_G10_binary_metadata(void **state)
{
	static const struct {
		const char	*value, *decoded;	/* NULL: refused */
	} cases[] = {
		{ "aGk=", "hi" }, { "aGk", "hi" }, { "aGk,Ynll", "hi" },
		{ "", "" }, { "aGk=,Ynll,aGk", "hi" },
		{ "!!!!", NULL }, { "aGk,!", NULL }, { "a", NULL },
		{ "aGl", NULL },		/* last bits not zero */
	};
	const char	*value;
	struct world	 w;
	struct raw	 r;
	struct answer	 a;
	size_t		 i, len;

	(void)state;
	begin(&w, &r, NULL);
	w.script.silent = true;
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		raw_request(&r, &a, false, "trace-bin", cases[i].value, NULL);
		RAW_DATA(&r, &a, MSG("\0", "\0", ""), true);
		if (cases[i].decoded == NULL) {
			world_until(&w, &a.closed);
			assert_string_equal(a.http, "200");
			assert_string_equal(a.status, "13");
			continue;
		}
		w.messages = 0;
		world_count(&w, &w.messages, 1);
		value = grpc_metadata_bin(w.call, "trace-bin", &len);
		assert_non_null(value);
		assert_string_equal(value, cases[i].decoded);
		assert_int_equal(len, strlen(cases[i].decoded));
		grpc_finish(w.call, GRPC_OK, NULL);
		world_until(&w, &a.closed);
	}
	end(&w, &r);
}

static void
test_G20_TR_10_other_fields_are_ignored(void **state)
{
	struct world	w;
	struct raw	r;
	struct answer	a;

	(void)state;
	begin(&w, &r, NULL);
	w.script.silent = true;
	raw_request(&r, &a, false, "grpc-previous-rpc-attempts", "1",
	    "grpc-accept-encoding", "gzip", "grpc-what-bin", "!!", "x-y", "z",
	    "user-agent", "grpc-go/1.76.0", "authorization", "Bearer t",
	    "session-id", "sh-9", "+session-id", "sh-8", NULL);
	RAW_DATA(&r, &a, MSG("\0", "\0", ""), true);
	world_count(&w, &w.messages, 1);
	assert_string_equal(grpc_metadata(w.call, "session-id"), "sh-9");
	assert_string_equal(grpc_metadata(w.call, "x-y"), "z");
	assert_null(grpc_metadata(w.call, "authorization"));
	assert_null(grpc_metadata(w.call, "grpc-what-bin"));
	assert_null(grpc_metadata(w.call, "user-agent"));
	assert_null(grpc_metadata(w.call, ":path"));
	assert_string_equal(grpc_call_subject(w.call), "");
	grpc_finish(w.call, GRPC_OK, NULL);
	world_until(&w, &a.closed);
	end(&w, &r);
}

static void
test_G11_compression_is_refused(void **state)
{
	struct world	w;
	struct raw	r;
	struct answer	a;

	(void)state;
	begin(&w, &r, NULL);
	raw_request(&r, &a, false, "grpc-encoding", "gzip", NULL);
	RAW_DATA(&r, &a, MSG("\1", "\1", "x"), true);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "12");
	assert_string_equal(a.accept, "identity");
	raw_request(&r, &a, false, NULL);		/* flag, no header */
	RAW_DATA(&r, &a, MSG("\1", "\0", ""), true);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "13");
	raw_request(&r, &a, false, "grpc-encoding", "identity", ":path",
	    "/test.Svc/Bidi", NULL);
	RAW_DATA(&r, &a, MSG("\1", "\0", ""), false);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "13");
	raw_request(&r, &a, false, NULL);		/* flag above 1 */
	RAW_DATA(&r, &a, MSG("\2", "\0", ""), true);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "13");
	raw_request(&r, &a, false, "grpc-encoding", "identity", NULL);
	RAW_DATA(&r, &a, MSG("\0", "\0", ""), true);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "0");
	assert_int_equal(w.messages, 1);
	end(&w, &r);
}

static void
test_G13_G14_malformed_fields_reset_the_stream(void **state)
{
	struct world	w;
	struct raw	r;
	struct answer	a;

	(void)state;
	begin(&w, &r, NULL);
	/* Malformed by RFC 9113, so the codec does not even pass it on. */
	raw_request(&r, &a, false, "+host", "x", "+host", "x", NULL);
	world_until(&w, &a.closed);
	assert_int_equal(a.blocks, 0);
	assert_int_equal(a.code, H2_PROTOCOL_ERROR);
	raw_request(&r, &a, false, "host", "other", NULL);
	world_until(&w, &a.closed);
	assert_int_equal(a.code, H2_PROTOCOL_ERROR);
	raw_request(&r, &a, false, "connection", "close", NULL);
	world_until(&w, &a.closed);
	assert_int_equal(a.code, H2_PROTOCOL_ERROR);
	raw_request(&r, &a, false, "te", "gzip", NULL);
	world_until(&w, &a.closed);
	assert_int_equal(a.code, H2_PROTOCOL_ERROR);
	raw_request(&r, &a, false, ":authority", NULL, "host", "a", NULL);
	RAW_DATA(&r, &a, MSG("\0", "\0", ""), true);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "0");
	end(&w, &r);
}

static void
test_header_list_above_the_limit_is_refused(void **state)
{
	char		big[20000];
	struct world	w;
	struct raw	r;
	struct answer	a;

	(void)state;
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	begin(&w, &r, NULL);
	raw_request(&r, &a, false, "x-big", big, NULL);
	world_until(&w, &a.closed);
	assert_string_equal(a.http, "200");
	assert_string_equal(a.status, "8");
	raw_request(&r, &a, false, NULL);
	RAW_DATA(&r, &a, MSG("\0", "\0", ""), true);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "0");
	end(&w, &r);
}

/* -- messages ------------------------------------------------------------- */

static void
test_G7_TR_13_shape_of_a_good_answer(void **state)
{
	struct world	w;
	struct raw	r;
	struct answer	a;

	(void)state;
	begin(&w, &r, NULL);
	raw_request(&r, &a, false, NULL);
	RAW_DATA(&r, &a, MSG("\0", "\3", "\x0a\1x"), true);
	world_until(&w, &a.closed);
	assert_int_equal(a.blocks, 2);
	assert_string_equal(a.http, "200");
	assert_string_equal(a.type, "application/grpc");
	assert_string_equal(a.status, "0");
	assert_string_equal(a.message, "");
	assert_string_equal(a.encoding, "");
	assert_int_equal(a.ndata, 8);
	assert_memory_equal(a.data, MSG("\0", "\3", "\x0a\1x"), 8);
	end(&w, &r);
}

static void
test_G7_failure_is_one_block_of_headers(void **state)
{
	struct world	w;
	struct raw	r;
	struct answer	a;

	(void)state;
	begin(&w, &r, NULL);
	w.script.status = GRPC_NOT_FOUND;
	w.script.text = "100% \xc3\xa4";
	raw_request(&r, &a, false, NULL);
	RAW_DATA(&r, &a, MSG("\0", "\0", ""), true);
	world_until(&w, &a.closed);
	assert_int_equal(a.blocks, 1);
	assert_string_equal(a.http, "200");
	assert_string_equal(a.status, "5");
	assert_string_equal(a.message, "100%25 %C3%A4");
	end(&w, &r);
}

static void
test_one_request_method_takes_exactly_one_message(void **state)
{
	static const struct {
		const char	*data;
		size_t		 n;
		const char	*status;
	} cases[] = {
		{ "", 0, "13" },
		{ MSG("\0", "\0", ""), 5, "0" },
		{ MSG("\0", "\0", ""), 4, "13" },
		{ MSG("\0", "\3", "\x0a\1x"), 8, "0" },
		{ MSG("\0", "\3", "\x0a\1x"), 7, "13" },
		{ MSG("\0", "\0", "") MSG("\0", "\0", ""), 10, "13" },
		{ MSG("\0", "\0", "") "\0", 6, "13" },
		{ MSG("\0", "\1", "\x0b"), 6, "3" },	/* a group */
		{ MSG("\0", "\3", "\x0a\1\xff"), 8, "3" },
	};
	static const char *const paths[] = {
		"/test.Svc/Unary", "/test.Svc/Stream"
	};
	struct world	w;
	struct raw	r;
	struct answer	a;
	size_t		i, p, cut;

	(void)state;
	begin(&w, &r, NULL);
	for (p = 0; p < 2; p++)
		for (i = 0; i < ARRAY_LEN(cases); i++)
			for (cut = 0; cut <= cases[i].n; cut++) {
				w.messages = 0;
				raw_request(&r, &a, false, ":path", paths[p],
				    NULL);
				raw_data(&r, &a, cases[i].data, cut, false);
				world_turns(&w, 4);
				if (a.stream != NULL && !a.ended)
					raw_data(&r, &a, cases[i].data + cut,
					    cases[i].n - cut, true);
				world_until(&w, &a.closed);
				assert_string_equal(a.status, cases[i].status);
				assert_int_equal(w.messages,
				    strcmp(a.status, "0") == 0);
			}
	end(&w, &r);
}

static void
test_headers_with_end_stream_lack_the_message(void **state)
{
	struct world	w;
	struct raw	r;
	struct answer	a;

	(void)state;
	begin(&w, &r, NULL);
	raw_request(&r, &a, true, NULL);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "13");
	assert_string_equal(a.message, "missing request message");
	raw_request(&r, &a, true, ":path", "/test.Svc/Bidi", NULL);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "0");
	end(&w, &r);
}

static void
test_stream_cut_short_in_a_message(void **state)
{
	struct world	w;
	struct raw	r;
	struct answer	a;

	(void)state;
	begin(&w, &r, NULL);
	raw_request(&r, &a, false, ":path", "/test.Svc/Bidi", NULL);
	RAW_DATA(&r, &a, MSG("\0", "\3", "\x1a\1x") MSG("\0", "\3", "\x1a"),
	    true);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "13");
	assert_int_equal(w.messages, 1);
	assert_int_equal(w.gone, 1);
	assert_int_equal(w.ended, 0);
	end(&w, &r);
}

static void
test_G17_bad_message_ends_a_known_stream_with_gone(void **state)
{
	struct world	w;
	struct raw	r;
	struct answer	a;

	(void)state;
	begin(&w, &r, NULL);
	w.script.keep_open = true;
	raw_request(&r, &a, false, ":path", "/test.Svc/Bidi", NULL);
	RAW_DATA(&r, &a, MSG("\0", "\3", "\x1a\1x"), false);
	world_count(&w, &w.messages, 1);
	RAW_DATA(&r, &a, MSG("\0", "\3", "\x1a\7x"), false);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "3");
	assert_string_equal(a.message, "length past the end");
	assert_int_equal(w.gone, 1);
	assert_int_equal(w.messages, 1);
	end(&w, &r);
}

static void
test_request_trailers_are_the_end(void **state)
{
	static const struct hpack_field	trailer[] = { FIELD("x-t", "1") };
	struct world	w;
	struct raw	r;
	struct answer	a;

	(void)state;
	begin(&w, &r, NULL);
	raw_request(&r, &a, false, NULL);
	RAW_DATA(&r, &a, MSG("\0", "\0", ""), false);
	assert_int_equal(h2_headers(a.stream, trailer, 1, true), 0);
	world_until(&w, &a.closed);
	assert_string_equal(a.status, "0");
	end(&w, &r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_G1_only_post_and_only_grpc),
		cmocka_unit_test(test_G2_content_types),
		cmocka_unit_test(test_G3_paths_are_compared_byte_for_byte),
		cmocka_unit_test(test_G4_TR_14_unknown_service_and_method),
		cmocka_unit_test(test_G5_malformed_timeout_is_internal),
		cmocka_unit_test(test_G10_binary_metadata),
		cmocka_unit_test(test_G20_TR_10_other_fields_are_ignored),
		cmocka_unit_test(test_G11_compression_is_refused),
		cmocka_unit_test(
		    test_G13_G14_malformed_fields_reset_the_stream),
		cmocka_unit_test(test_header_list_above_the_limit_is_refused),
		cmocka_unit_test(test_G7_TR_13_shape_of_a_good_answer),
		cmocka_unit_test(test_G7_failure_is_one_block_of_headers),
		cmocka_unit_test(
		    test_one_request_method_takes_exactly_one_message),
		cmocka_unit_test(test_headers_with_end_stream_lack_the_message),
		cmocka_unit_test(test_stream_cut_short_in_a_message),
		cmocka_unit_test(
		    test_G17_bad_message_ends_a_known_stream_with_gone),
		cmocka_unit_test(test_request_trailers_are_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
