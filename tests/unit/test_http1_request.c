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
#include "base/str.h"
#include "net/http1.h"
#include "tests/unit/failmalloc.h"

#define BODY_MAX	1000

static struct http1	h;
static char		body[8192];
static size_t		body_len;

static int
run(struct buf *in)
{
	int	r;

	while ((r = http1_parse(&h, in)) > 0 && r != HTTP1_DONE) {
		if (r != HTTP1_BODY)
			continue;
		assert_true(body_len + h.len < sizeof body);
		memcpy(body + body_len, h.data, h.len);
		body_len += h.len;
		body[body_len] = '\0';
	}
	assert_true((r < 0) == (h.error != NULL));
	assert_true((r < 0) == (h.refusal != 0));
	return r;
}

/* The first piece of `first` bytes, then steps.  *rest: bytes not taken. */
static int
feed_by(const char *text, size_t n, size_t first, size_t step, size_t *rest)
{
	struct buf	in;
	size_t		i, take;
	int		r = 0;

	buf_init(&in, 64 * 1024);
	http1_init_request(&h, BODY_MAX);
	body_len = 0;
	body[0] = '\0';
	for (i = 0; i < n && r == 0; i += take) {
		take = i == 0 ? first : step;
		take = n - i < take ? n - i : take;
		assert_int_equal(buf_put(&in, text + i, take), 0);
		r = run(&in);
	}
	*rest = n - i + in.len;
	buf_finish(&in);
	return r;
}

/* Whole, byte by byte and cut in two anywhere must agree. */
static int
feed(const char *text)
{
	size_t	a, b, i, n = strlen(text);
	int	r = feed_by(text, n, n, n, &a);

	for (i = 1; i < n; i++) {
		assert_int_equal(feed_by(text, n, i, n, &b), r);
		if (r == HTTP1_DONE)
			assert_int_equal(a, b);
	}
	assert_int_equal(feed_by(text, n, 1, 1, &b), r);
	if (r == HTTP1_DONE)
		assert_int_equal(a, b);
	return r;
}

#define HOST	"Host: unix\r\n"

static void
a_request_without_framing_fields_has_no_body(void **state)
{
	size_t	rest;

	(void)state;
	assert_int_equal(feed("GET /api/v1/streams?a=b HTTP/1.1\r\n" HOST
	    "\r\n"), HTTP1_DONE);
	assert_string_equal(h.method, "GET");
	assert_string_equal(h.target, "/api/v1/streams?a=b");
	assert_string_equal(http1_field(&h, "host"), "unix");
	assert_false(h.old);
	assert_true(http1_keep_alive(&h));
	assert_int_equal(feed_by("POST / HTTP/1.1\r\n" HOST "\r\nraw bytes",
	    40, 40, 40, &rest), HTTP1_DONE);
	assert_string_equal(body, "");
	assert_int_equal(rest, 9);
}

static void
a_request_may_have_a_body(void **state)
{
	(void)state;
	assert_int_equal(feed("PUT /x HTTP/1.1\r\n" HOST
	    "Content-Length: 5\r\n\r\nhello"), HTTP1_DONE);
	assert_string_equal(body, "hello");
	assert_int_equal(feed("POST /x HTTP/1.1\r\n" HOST
	    "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n"
	    "\r\n"), HTTP1_DONE);
	assert_string_equal(body, "hello");
	assert_int_equal(feed("POST /x HTTP/1.1\r\n" HOST
	    "Content-Length: 0\r\n\r\n"), HTTP1_DONE);
	assert_string_equal(body, "");
}

static void
test_T26_what_follows_a_request_is_not_touched(void **state)
{
	static const char	both[] = "POST /a HTTP/1.1\r\n" HOST
				    "Content-Length: 1\r\n\r\nx"
				    "GET /b HTTP/1.1\r\n" HOST "\r\n\1\2\3";
	struct buf	in;

	(void)state;
	buf_init(&in, 1000);
	assert_int_equal(buf_put(&in, both, sizeof both - 1), 0);
	http1_init_request(&h, BODY_MAX);
	body_len = 0;
	assert_int_equal(run(&in), HTTP1_DONE);
	assert_string_equal(h.target, "/a");
	http1_init_request(&h, BODY_MAX);
	assert_int_equal(run(&in), HTTP1_DONE);
	assert_string_equal(h.target, "/b");
	assert_int_equal(in.len, 3);
	assert_memory_equal(buf_head(&in), "\1\2\3", 3);
	buf_finish(&in);
}

static void
test_T26_host_is_there_once_and_well_formed(void **state)
{
	static const char *const bad[] = {
		"", "X: 1\r\n", HOST HOST, "Host: a\r\nHost: b\r\n",
		"Host: a b\r\n", "Host: a/b\r\n", "Host: a@b\r\n",
		"Host: http://x\r\n", "Host: \xc3\xa9\r\n", "Host: a\\b\r\n",
		"Host: a\"b\r\n", "Host : a\r\n",
	};
	static const char *const good[] = {
		HOST, "Host: localhost\r\n", "Host: [::1]:80\r\n",
		"hOsT: 127.0.0.1:8080\r\n", "Host:\r\n",
	};
	char	text[256];
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%s\r\n",
		    bad[i]);
		assert_int_equal(feed(text), -EPROTO);
		assert_int_equal(h.refusal, 400);
	}
	for (i = 0; i < ARRAY_LEN(good); i++) {
		snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%s\r\n",
		    good[i]);
		assert_int_equal(feed(text), HTTP1_DONE);
	}
}

static void
test_T26_framing_of_a_request_is_never_ambiguous(void **state)
{
	static const char *const bad[] = {
		"Content-Length: 5\r\nContent-Length: 5\r\n",
		"Content-Length: 5\r\nContent-Length: 6\r\n",
		"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: gzip, chunked\r\n",
		"Transfer-Encoding: identity\r\n", "Transfer-Encoding:\r\n",
		"Content-Length: +5\r\n", "Content-Length: -5\r\n",
		"Content-Length: 5, 5\r\n", "Content-Length: 0x5\r\n",
		"Content-Length:\r\n", "Content-Length: 5 \x01\r\n",
		"Content-Length: 99999999999999999999\r\n",
		"Content-Length : 5\r\n", " Content-Length: 5\r\n",
		"X: 1\r\n Content-Length: 5\r\n", "X: 1\r\n\tfolded\r\n",
		"Content-Length: 5\n", "X: a\rb\r\n", "X: 1\r\r\n",
	};
	char	text[256];
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST
		    "%s\r\nhello", bad[i]);
		assert_int_equal(feed(text), -EPROTO);
		assert_int_equal(h.refusal, 400);
		assert_string_equal(body, "");
	}
	assert_int_equal(feed("POST / HTTP/1.0\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), -EPROTO);
}

static void
test_T26_request_lines_are_strict(void **state)
{
	static const char *const bad[] = {
		"GET\r\n", "GET /\r\n", "GET / \r\n", "GET  / HTTP/1.1\r\n",
		"GET / HTTP/1.1 \r\n", "GET /  HTTP/1.1\r\n",
		" GET / HTTP/1.1\r\n", "GET\t/\tHTTP/1.1\r\n",
		"G(T / HTTP/1.1\r\n", "GET x HTTP/1.1\r\n",
		"GET * HTTP/1.1\r\n", "GET http://a/ HTTP/1.1\r\n",
		"CONNECT a:1 HTTP/1.1\r\n", "GET /\xc3\xa9 HTTP/1.1\r\n",
		"GET /\x01 HTTP/1.1\r\n", "GET / HTTP/1.1\n",
		"GET / HTTP/1.1\rX", "GET / http/1.1\r\n", "\r\n\r\n",
		"HTTP/1.1 200 OK\r\n", "\x16\x03\x01\r\n", " / HTTP/1.1\r\n",
	};
	static const char *const version[] = {
		"GET / HTTP/2\r\n", "GET / HTTP/1.2\r\n", "GET / HTTP/0.9\r\n",
		"GET / HTTP/11\r\n", "PRI * HTTP/2.0\r\n",
	};
	size_t	i, rest;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(feed(bad[i]), -EPROTO);
		assert_int_equal(h.refusal, 400);
	}
	for (i = 0; i < ARRAY_LEN(version) - 1; i++) {
		assert_int_equal(feed(version[i]), -EPROTO);
		assert_int_equal(h.refusal, 505);
	}
	assert_int_equal(feed(version[i]), -EPROTO);	/* HTTP/2 preface */
	assert_int_equal(feed_by("GET /\0 HTTP/1.1\r\n", 17, 17, 17, &rest),
	    -EPROTO);
}

static void
one_empty_line_in_front_is_skipped(void **state)
{
	(void)state;
	assert_int_equal(feed("\r\nGET / HTTP/1.1\r\n" HOST "\r\n"),
	    HTTP1_DONE);
	assert_string_equal(h.target, "/");
	assert_int_equal(feed("\nGET / HTTP/1.1\r\n" HOST "\r\n"), -EPROTO);
}

static void
keep_alive_is_for_1_1_without_close(void **state)
{
	(void)state;
	assert_int_equal(feed("GET / HTTP/1.1\r\n" HOST
	    "Connection: x, Close\r\n\r\n"), HTTP1_DONE);
	assert_false(http1_keep_alive(&h));
	assert_int_equal(feed("GET / HTTP/1.1\r\n" HOST
	    "Connection: x\r\nConnection: ,, close ,\r\n\r\n"), HTTP1_DONE);
	assert_false(http1_keep_alive(&h));
	assert_int_equal(feed("GET / HTTP/1.1\r\n" HOST
	    "Connection: closed, Upgrade\r\n\r\n"), HTTP1_DONE);
	assert_true(http1_keep_alive(&h));
	assert_true(http1_lists(&h, "connection", "upgrade"));
	assert_false(http1_lists(&h, "upgrade", "upgrade"));
	assert_int_equal(feed("GET / HTTP/1.0\r\n\r\n"), HTTP1_DONE);
	assert_true(h.old);
	assert_false(http1_keep_alive(&h));
}

static void
head_limits_at_and_above(void **state)
{
	static char	text[16 * 1024], pad[16 * 1024];
	size_t		n, i, rest;

	(void)state;
	memset(pad, 'p', sizeof pad);
	for (n = HTTP1_HEAD_MAX - 1; n <= HTTP1_HEAD_MAX + 1; n++) {
		/* One byte behind each line is kept, not two. */
		snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST
		    "X: %.*s\r\n\r\n", (int)(n - 31), pad);
		assert_int_equal(feed_by(text, strlen(text), 4096, 4096,
		    &rest), n <= HTTP1_HEAD_MAX ? HTTP1_DONE : -EMSGSIZE);
		assert_int_equal(h.refusal, n <= HTTP1_HEAD_MAX ? 0 : 431);
		snprintf(text, sizeof text, "GET /%.*s HTTP/1.1\r\n" HOST
		    "\r\n", (int)(n - 27), pad);
		assert_int_equal(feed_by(text, strlen(text), 4096, 4096,
		    &rest), n <= HTTP1_HEAD_MAX ? HTTP1_DONE : -EMSGSIZE);
	}
	for (n = HTTP1_FIELDS_MAX; n <= HTTP1_FIELDS_MAX + 1; n++) {
		snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST);
		for (i = 1; i < n; i++)
			memcpy(text + 22 + i * 6, "X: 1\r\n", 7);
		memcpy(text + 22 + n * 6, "\r\n", 3);
		assert_int_equal(feed(text), n == HTTP1_FIELDS_MAX ?
		    HTTP1_DONE : -EMSGSIZE);
	}
}

static void
body_limit_at_and_above(void **state)
{
	char	text[2048], data[BODY_MAX + 2];
	size_t	n, rest;

	(void)state;
	memset(data, 'd', sizeof data);
	for (n = BODY_MAX - 1; n <= BODY_MAX + 1; n++) {
		snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST
		    "Content-Length: %zu\r\n\r\n%.*s", n, (int)n, data);
		assert_int_equal(feed_by(text, strlen(text), 100, 100, &rest),
		    n <= BODY_MAX ? HTTP1_DONE : -EMSGSIZE);
		assert_int_equal(h.refusal, n <= BODY_MAX ? 0 : 413);
		snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST
		    "Transfer-Encoding: chunked\r\n\r\n"
		    "1\r\nd\r\n%zx\r\n%.*s\r\n0\r\n\r\n", n - 1, (int)n - 1,
		    data);
		assert_int_equal(feed_by(text, strlen(text), 100, 100, &rest),
		    n <= BODY_MAX ? HTTP1_DONE : -EMSGSIZE);
		assert_int_equal(h.refusal, n <= BODY_MAX ? 0 : 413);
	}
}

static void
cut_short_anywhere_is_not_a_request(void **state)
{
	static const char	text[] = "POST / HTTP/1.1\r\n" HOST
				    "Content-Length: 5\r\n\r\nhello";
	size_t	i, rest;

	(void)state;
	for (i = 0; i < sizeof text - 1; i++) {
		assert_int_equal(feed_by(text, i, 7, 7, &rest), HTTP1_MORE);
		assert_int_equal(http1_close(&h), -EPROTO);
	}
}

static void
answers_are_written(void **state)
{
	struct buf	out;

	(void)state;
	buf_init(&out, 1000);
	assert_int_equal(http1_put_status(&out, 99), -EINVAL);
	assert_int_equal(http1_put_status(&out, 600), -EINVAL);
	assert_int_equal(out.len, 0);
	assert_int_equal(http1_put_status(&out, 503), 0);
	assert_int_equal(http1_put_length(&out, 12), 0);
	assert_int_equal(http1_put_end(&out), 0);
	assert_int_equal(http1_put_status(&out, 299), 0);
	assert_int_equal(buf_put_u8(&out, 0), 0);
	assert_string_equal((char *)buf_head(&out),
	    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 12\r\n\r\n"
	    "HTTP/1.1 299 \r\n");
	buf_finish(&out);
}

static void
chunks_are_written_whole_or_not_at_all(void **state)
{
	struct buf	out;
	size_t		n;

	(void)state;
	for (n = 5 + 7; n > 0; n--) {
		buf_init(&out, n - 1);
		assert_int_equal(http1_put_chunk(&out, "hello", 5), n > 10 ?
		    0 : -ENOBUFS);
		assert_int_equal(out.len, n > 10 ? 10 : 0);
		buf_finish(&out);
	}
	buf_init(&out, 100);
	assert_int_equal(http1_put_chunk(&out, "0123456789abcdefg", 17), 0);
	assert_int_equal(http1_put_chunk(&out, NULL, 0), 0);
	assert_int_equal(buf_put_u8(&out, 0), 0);
	assert_string_equal((char *)buf_head(&out),
	    "11\r\n0123456789abcdefg\r\n0\r\n\r\n");
	buf_finish(&out);
	buf_init(&out, 100);
	failmalloc_arm(1);
	assert_int_equal(http1_put_chunk(&out, "x", 1), -ENOMEM);
	assert_true(failmalloc_disarm());
	assert_int_equal(out.len, 0);
	buf_finish(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_without_framing_fields_has_no_body),
		cmocka_unit_test(a_request_may_have_a_body),
		cmocka_unit_test(
		    test_T26_what_follows_a_request_is_not_touched),
		cmocka_unit_test(test_T26_host_is_there_once_and_well_formed),
		cmocka_unit_test(
		    test_T26_framing_of_a_request_is_never_ambiguous),
		cmocka_unit_test(test_T26_request_lines_are_strict),
		cmocka_unit_test(one_empty_line_in_front_is_skipped),
		cmocka_unit_test(keep_alive_is_for_1_1_without_close),
		cmocka_unit_test(head_limits_at_and_above),
		cmocka_unit_test(body_limit_at_and_above),
		cmocka_unit_test(cut_short_anywhere_is_not_a_request),
		cmocka_unit_test(answers_are_written),
		cmocka_unit_test(chunks_are_written_whole_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
