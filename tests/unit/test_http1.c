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
static unsigned		heads;

/* Runs the parser over what is queued; the first error, or the last event. */
static int
run(struct buf *in)
{
	int	r;

	while ((r = http1_parse(&h, in)) > 0 && r != HTTP1_DONE) {
		if (r == HTTP1_HEAD) {
			heads++;
		} else {
			assert_int_equal(r, HTTP1_BODY);
			assert_true(h.len > 0);
			assert_true(body_len + h.len < sizeof body);
			memcpy(body + body_len, h.data, h.len);
			body_len += h.len;
			body[body_len] = '\0';
		}
	}
	assert_true((r < 0) == (h.error != NULL));
	return r;
}

/* Feeds text in steps of that many bytes.  *rest: bytes not taken. */
static int
feed_by(const char *text, size_t n, size_t step, size_t *rest)
{
	struct buf	in;
	size_t		i, take;
	int		r = 0;

	buf_init(&in, 64 * 1024);
	http1_init_response(&h, BODY_MAX);
	heads = 0;
	body_len = 0;
	body[0] = '\0';
	for (i = 0; i < n && r == 0; i += take) {
		take = n - i < step ? n - i : step;
		assert_int_equal(buf_put(&in, text + i, take), 0);
		r = run(&in);
	}
	*rest = n - i + in.len;
	buf_finish(&in);
	return r;
}

/* Whole and byte by byte must agree. */
static int
feed(const char *text)
{
	size_t	a, b, n = strlen(text);
	int	r;

	r = feed_by(text, n, n, &a);
	assert_int_equal(feed_by(text, n, 1, &b), r);
	if (r == HTTP1_DONE)
		assert_int_equal(a, b);
	return r;
}

static void
body_by_content_length(void **state)
{
	size_t	rest;

	(void)state;
	assert_int_equal(feed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
	    "Content-Type:\t application/json \t\r\nX-Empty:\r\n\r\nhello"),
	    HTTP1_DONE);
	assert_int_equal(h.status, 200);
	assert_int_equal(heads, 1);
	assert_string_equal(body, "hello");
	assert_string_equal(http1_field(&h, "content-type"),
	    "application/json");
	assert_string_equal(http1_field(&h, "x-empty"), "");
	assert_null(http1_field(&h, "x-other"));
	/* What follows the message stays where it is. */
	assert_int_equal(feed_by("HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n"
	    "okHTTP", 42, 42, &rest), HTTP1_DONE);
	assert_string_equal(body, "ok");
	assert_int_equal(rest, 4);
	assert_int_equal(feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
	    HTTP1_DONE);
	assert_string_equal(body, "");
}

static void
body_in_chunks(void **state)
{
	(void)state;
	assert_int_equal(feed("HTTP/1.1 200 OK\r\n"
	    "Transfer-Encoding: Chunked\r\n\r\n"
	    "5\r\nhello\r\n01;name=\"value\"\r\n \r\n00A\r\n0123456789\r\n"
	    "0\r\n\r\n"), HTTP1_DONE);
	assert_string_equal(body, "hello 0123456789");
	assert_true(h.chunked);
	assert_int_equal(feed("HTTP/1.1 200 OK\r\n"
	    "Transfer-Encoding: chunked\r\nX-A: 1\r\n\r\n"
	    "0\r\nX-A: 2\r\nX-B: 3\r\n\r\n"), HTTP1_DONE);
	assert_string_equal(http1_field(&h, "x-a"), "1");
	assert_null(http1_field(&h, "x-b"));
}

static void
body_until_close_needs_a_clean_close(void **state)
{
	(void)state;
	assert_int_equal(feed("HTTP/1.0 200 OK\r\n\r\nhello"), HTTP1_MORE);
	assert_string_equal(body, "hello");
	assert_int_equal(http1_close(&h), HTTP1_DONE);
	assert_int_equal(http1_close(&h), HTTP1_DONE);
}

static void
answers_without_a_body_end_at_once(void **state)
{
	struct buf	in;

	(void)state;
	assert_int_equal(feed("HTTP/1.1 204 No Content\r\n\r\n"), HTTP1_DONE);
	assert_int_equal(feed("HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n"),
	    HTTP1_DONE);
	http1_init_response(&h, BODY_MAX);
	http1_expect_no_body(&h);
	buf_init(&in, 1000);
	buf_put(&in, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", 42);
	assert_int_equal(run(&in), HTTP1_DONE);
	assert_int_equal(h.length, 5000);
	buf_finish(&in);
}

static void
interim_answers_are_skipped_up_to_eight(void **state)
{
	char	text[1024] = "";
	size_t	i;

	(void)state;
	assert_int_equal(feed("HTTP/1.1 100 Continue\r\nX-Old: 1\r\n\r\n"
	    "HTTP/1.1 103 Early Hints\r\nContent-Length: 1\r\n\r\n"
	    "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"),
	    HTTP1_DONE);
	assert_int_equal(h.status, 404);
	assert_int_equal(heads, 1);
	assert_null(http1_field(&h, "x-old"));
	assert_string_equal(body, "no");
	for (i = 0; i < HTTP1_INTERIM_MAX; i++)
		memcpy(text + i * 18, "HTTP/1.1 100 C\r\n\r\n", 19);
	assert_int_equal(feed(text), HTTP1_MORE);
	memcpy(text + i * 18, "HTTP/1.1 100 C\r\n\r\n", 19);
	assert_int_equal(feed(text), -EMSGSIZE);
	assert_int_equal(feed("HTTP/1.1 101 Switching\r\n\r\n"), -EPROTO);
}

static void
test_T26_framing_is_never_ambiguous(void **state)
{
	static const char *const bad[] = {
		"Content-Length: 5\r\nContent-Length: 5\r\n",
		"Content-Length: 5\r\nContent-Length: 6\r\n",
		"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: gzip, chunked\r\n",
		"Transfer-Encoding: identity\r\n",
		"Transfer-Encoding: xchunked\r\n",
		"Transfer-Encoding:\r\n",
		"Content-Length: +5\r\n", "Content-Length: -5\r\n",
		"Content-Length: 5,5\r\n", "Content-Length: 0x5\r\n",
		"Content-Length: 5 5\r\n", "Content-Length:\r\n",
		"Content-Length: 99999999999999999999\r\n",
		"Content-Length: 9223372036854775808\r\n",
	};
	char	text[256];
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n%s\r\nhello",
		    bad[i]);
		assert_int_equal(feed(text), -EPROTO);
		assert_string_equal(body, "");
	}
	assert_int_equal(feed("HTTP/1.0 200 OK\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), -EPROTO);
}

static void
test_T26_lines_end_in_crlf_and_fields_are_whole(void **state)
{
	static const char *const bad[] = {
		"X: 1\n", "X: 1\r\r\n", "X: a\rb\r\n", "X : 1\r\n",
		" X: 1\r\n", "X: 1\r\n folded\r\n", "X: 1\r\n\tfolded\r\n",
		"X\r\n", ": 1\r\n", "X\t: 1\r\n", "X(: 1\r\n", "X: \x01\r\n",
		"X: \x7f\r\n", "\xc3\xa9: 1\r\n", "X: 1\r\n\n",
	};
	char	text[256];
	size_t	i, rest;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n%s\r\n",
		    bad[i]);
		assert_int_equal(feed(text), -EPROTO);
	}
	assert_int_equal(feed_by("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", 27, 27,
	    &rest), -EPROTO);
	assert_int_equal(feed("HTTP/1.1 200 \xc3\xa9\r\nX: \xc3\xa9\r\n\r\n"),
	    HTTP1_MORE);
	assert_string_equal(http1_field(&h, "x"), "\xc3\xa9");
}

static void
status_lines_are_strict(void **state)
{
	static const char *const bad[] = {
		"HTTP/1.1 200\r\n", "HTTP/1.1  200 OK\r\n", "HTTP/2 200 OK\r\n",
		"HTTP/1.2 200 OK\r\n", "http/1.1 200 OK\r\n",
		"HTTP/1.1 20 OK\r\n", "HTTP/1.1 2000 OK\r\n",
		"HTTP/1.1 099 X\r\n", "HTTP/1.1 600 X\r\n",
		"HTTP/1.1 abc X\r\n", "HTTP/1.1 200\tOK\r\n", "\r\n",
		"<html>\r\n", "HTTP/1.1 200 a\x1b[2J\r\n", "SSH-2.0-x\r\n",
	};
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(feed(bad[i]), -EPROTO);
}

static void
chunks_are_strict(void **state)
{
	static const char *const bad[] = {
		"\r\n", "x\r\n", "-1\r\n", "+1\r\n", "0x1\r\n", " 1\r\n",
		"1 \r\n", "1\n", "1\r\nab\r\n", "1\r\na0\r\n", "1\r\na\n",
		"000000001\r\na\r\n", "1;\x01\r\n", "0\r\nX\r\n\r\n",
		"0\r\nX : 1\r\n\r\n", "0\r\n X: 1\r\n\r\n",
	};
	char	text[256];
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n%s", bad[i]);
		assert_int_equal(feed(text), -EPROTO);
	}
	assert_int_equal(feed("HTTP/1.1 200 OK\r\n"
	    "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n"), -EMSGSIZE);
}

static void
body_limit_at_and_above(void **state)
{
	char	text[2048], data[BODY_MAX + 2];
	size_t	n;

	(void)state;
	memset(data, 'd', sizeof data);
	for (n = BODY_MAX - 1; n <= BODY_MAX + 1; n++) {
		snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n"
		    "Content-Length: %zu\r\n\r\n%.*s", n, (int)n, data);
		assert_int_equal(feed(text), n <= BODY_MAX ? HTTP1_DONE :
		    -EMSGSIZE);
		snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n"
		    "1\r\nd\r\n%zx\r\n%.*s\r\n0\r\n\r\n", n - 1, (int)n - 1,
		    data);
		assert_int_equal(feed(text), n <= BODY_MAX ? HTTP1_DONE :
		    -EMSGSIZE);
		snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n\r\n%.*s",
		    (int)n, data);
		assert_int_equal(feed(text), n <= BODY_MAX ? HTTP1_MORE :
		    -EMSGSIZE);
	}
}

static void
head_limits_at_and_above(void **state)
{
	static char	text[16 * 1024], pad[16 * 1024];
	size_t		n, i, rest;

	(void)state;
	memset(pad, 'p', sizeof pad);
	/* The lines are kept with one byte behind each, not two. */
	for (n = HTTP1_HEAD_MAX - 1; n <= HTTP1_HEAD_MAX + 1; n++) {
		snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nX: %.*s\r\n"
		    "\r\n", (int)(n - 21), pad);
		assert_int_equal(feed_by(text, strlen(text), 8192, &rest),
		    n <= HTTP1_HEAD_MAX ? HTTP1_MORE : -EMSGSIZE);
	}
	for (n = HTTP1_FIELDS_MAX; n <= HTTP1_FIELDS_MAX + 1; n++) {
		snprintf(text, sizeof text, "HTTP/1.1 204 OK\r\n");
		for (i = 0; i < n; i++)
			memcpy(text + 17 + i * 6, "X: 1\r\n", 7);
		memcpy(text + 17 + n * 6, "\r\n", 3);
		assert_int_equal(feed(text), n == HTTP1_FIELDS_MAX ?
		    HTTP1_DONE : -EMSGSIZE);
	}
}

/* A head of the largest size leaves room for chunk lines. */
static void
chunk_and_trailer_lines_have_their_own_room(void **state)
{
	static char	text[32 * 1024], pad[16 * 1024];
	size_t		n, rest;

	(void)state;
	memset(pad, 'p', sizeof pad);
	for (n = HTTP1_LINE_MAX; n <= HTTP1_LINE_MAX + 1; n++) {
		snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n"
		    "Transfer-Encoding: chunked\r\nX: %.*s\r\n\r\n"
		    "1;%.*s\r\nd\r\n0\r\nT: %.*s\r\n\r\n",
		    (int)(HTTP1_HEAD_MAX - 48), pad, (int)(n - 3), pad,
		    (int)(n - 4), pad);
		assert_int_equal(feed_by(text, strlen(text), 999, &rest),
		    n == HTTP1_LINE_MAX ? HTTP1_DONE : -EMSGSIZE);
	}
}

static void
cut_short_anywhere_is_not_an_answer(void **state)
{
	static const char *const texts[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		    "5\r\nhello\r\n0\r\nX: 1\r\n\r\n",
	};
	size_t	i, t, n, rest;

	(void)state;
	for (t = 0; t < ARRAY_LEN(texts); t++) {
		n = strlen(texts[t]);
		for (i = 0; i < n; i++) {
			assert_int_equal(feed_by(texts[t], i, 7, &rest),
			    HTTP1_MORE);
			assert_int_equal(http1_close(&h), -EPROTO);
			assert_int_equal(http1_close(&h), -EPROTO);
		}
	}
}

static void
a_broken_parser_stays_broken(void **state)
{
	struct buf	in;

	(void)state;
	assert_int_equal(feed("nonsense\r\n"), -EPROTO);
	buf_init(&in, 100);
	buf_put(&in, "HTTP/1.1 204 OK\r\n\r\n", 19);
	assert_int_equal(http1_parse(&h, &in), -EPROTO);
	buf_finish(&in);
}

static void
requests_are_written_and_split_ones_refused(void **state)
{
	static const char *const targets[] = {
		"", "x", "/a b", "/a\r\nX: 1", "/\x7f", "/\xc3\xa9", "*",
	};
	struct buf	out;
	size_t		i;

	(void)state;
	buf_init(&out, 1000);
	for (i = 0; i < ARRAY_LEN(targets); i++)
		assert_int_equal(http1_put_request(&out, "GET", targets[i],
		    "h"), -EINVAL);
	assert_int_equal(http1_put_request(&out, "GET ", "/", "h"), -EINVAL);
	assert_int_equal(http1_put_request(&out, "", "/", "h"), -EINVAL);
	assert_int_equal(http1_put_request(&out, "GET", "/", "h\r\nX: 1"),
	    -EINVAL);
	assert_int_equal(http1_put_request(&out, "GET", "/", ""), -EINVAL);
	assert_int_equal(http1_put_field(&out, "X:", "1"), -EINVAL);
	assert_int_equal(http1_put_field(&out, "X", "1\r\nY: 2"), -EINVAL);
	assert_int_equal(http1_put_field(&out, "X", "1\n"), -EINVAL);
	assert_int_equal(out.len, 0);
	assert_int_equal(http1_put_request(&out, "GET", "/a?b=c",
	    "[::1]:8443"), 0);
	assert_int_equal(http1_put_field(&out, "Accept", "a/b, c"), 0);
	assert_int_equal(http1_put_end(&out), 0);
	assert_int_equal(buf_put_u8(&out, 0), 0);
	assert_string_equal((char *)buf_head(&out), "GET /a?b=c HTTP/1.1\r\n"
	    "Host: [::1]:8443\r\nAccept: a/b, c\r\n\r\n");
	buf_finish(&out);
}

static void
a_full_or_failing_buffer_takes_nothing(void **state)
{
	struct buf	out;

	(void)state;
	buf_init(&out, 20);
	assert_int_equal(http1_put_request(&out, "GET", "/", "host"),
	    -ENOBUFS);
	assert_int_equal(out.len, 0);
	buf_finish(&out);
	buf_init(&out, 1000);
	failmalloc_arm(1);
	assert_int_equal(http1_put_request(&out, "GET", "/", "host"),
	    -ENOMEM);
	assert_true(failmalloc_disarm());
	assert_int_equal(out.len, 0);
	buf_finish(&out);
}

/* The parser itself lives on the memory it is given. */
static void
parsing_allocates_nothing(void **state)
{
	struct buf	in;

	(void)state;
	buf_init(&in, 1000);
	buf_put(&in, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "5\r\nhello\r\n0\r\n\r\n", 62);
	http1_init_response(&h, BODY_MAX);
	body_len = 0;
	failmalloc_arm_all(1);
	assert_int_equal(run(&in), HTTP1_DONE);
	assert_false(failmalloc_disarm());
	buf_finish(&in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(body_by_content_length),
		cmocka_unit_test(body_in_chunks),
		cmocka_unit_test(body_until_close_needs_a_clean_close),
		cmocka_unit_test(answers_without_a_body_end_at_once),
		cmocka_unit_test(interim_answers_are_skipped_up_to_eight),
		cmocka_unit_test(test_T26_framing_is_never_ambiguous),
		cmocka_unit_test(
		    test_T26_lines_end_in_crlf_and_fields_are_whole),
		cmocka_unit_test(status_lines_are_strict),
		cmocka_unit_test(chunks_are_strict),
		cmocka_unit_test(body_limit_at_and_above),
		cmocka_unit_test(head_limits_at_and_above),
		cmocka_unit_test(chunk_and_trailer_lines_have_their_own_room),
		cmocka_unit_test(cut_short_anywhere_is_not_an_answer),
		cmocka_unit_test(a_broken_parser_stays_broken),
		cmocka_unit_test(requests_are_written_and_split_ones_refused),
		cmocka_unit_test(a_full_or_failing_buffer_takes_nothing),
		cmocka_unit_test(parsing_allocates_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
