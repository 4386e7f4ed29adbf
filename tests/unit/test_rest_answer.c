#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/str.h"
#include "loop/loop.h"
#include "svc/rest_impl.h"
#include "tests/unit/failmalloc.h"

static void
escapes_are_strict_and_bring_no_nul(void **state)
{
	static const char *const bad[] = {
		"%", "%4", "%4g", "%g4", "a%", "%00", "x%0", "%%41", "% 41",
	};
	char	out[8];
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(rest_unescape(bad[i], strlen(bad[i]), false,
		    out, sizeof out), -EINVAL);
	assert_int_equal(rest_unescape("%41%7e+%fF", 10, false, out,
	    sizeof out), 0);
	assert_string_equal(out, "A~+\xff");
	assert_int_equal(rest_unescape("a+b", 3, true, out, sizeof out), 0);
	assert_string_equal(out, "a b");
	assert_int_equal(rest_unescape("", 0, true, out, sizeof out), 0);
	assert_string_equal(out, "");
	assert_int_equal(rest_unescape("1234567", 7, true, out, sizeof out),
	    0);
	assert_int_equal(rest_unescape("12345678", 8, true, out, sizeof out),
	    -ENAMETOOLONG);
}

static void
a_query_is_read_by_whole_names_and_the_first_wins(void **state)
{
	static struct rest_conn	c;
	char			v[8];

	(void)state;
	c.http.target = "/x?last=1&lastN=2&lastN=3&flag&empty=&b=%zz&"
	    "long=123456789&t=true&u=True&1=1&&=7";
	assert_int_equal(rest_query(&c, "lastN", v, sizeof v), 1);
	assert_string_equal(v, "2");
	assert_int_equal(rest_query(&c, "flag", v, sizeof v), 1);
	assert_string_equal(v, "");
	assert_int_equal(rest_query(&c, "empty", v, sizeof v), 1);
	assert_string_equal(v, "");
	assert_int_equal(rest_query(&c, "las", v, sizeof v), 0);
	assert_int_equal(rest_query(&c, "x", v, sizeof v), 0);
	assert_int_equal(rest_query(&c, "b", v, sizeof v), -EINVAL);
	assert_string_equal(v, "");
	assert_int_equal(rest_query(&c, "long", v, sizeof v), -ENAMETOOLONG);
	assert_string_equal(v, "");
	assert_true(rest_query_true(&c, "t"));
	assert_true(rest_query_true(&c, "1"));
	assert_false(rest_query_true(&c, "u"));
	assert_false(rest_query_true(&c, "flag"));
	assert_false(rest_query_true(&c, "long"));
	c.http.target = "/x";
	assert_int_equal(rest_query(&c, "x", v, sizeof v), 0);
	c.http.target = "/x?";
	assert_int_equal(rest_query(&c, "x", v, sizeof v), 0);
}

static void
json_leaves_nothing_that_html_would_read(void **state)
{
	static const char	in[] = "{\"a\":\"<b>&\xe2\x80\xa8\xe2\x80\xa9"
				    "\xe2\x80\xaa\xe2\x82\xac\"}";
	static const char	want[] = "{\"a\":\"\\u003cb\\u003e\\u0026"
				    "\\u2028\\u2029\xe2\x80\xaa"
				    "\xe2\x82\xac\"}";
	struct buf		out;
	size_t			i;

	(void)state;
	buf_init(&out, 200);
	assert_int_equal(rest_put_json(&out, in, sizeof in - 1), 0);
	assert_int_equal(out.len, sizeof want - 1);
	assert_memory_equal(buf_head(&out), want, out.len);
	buf_finish(&out);
	for (i = 0; i < sizeof want - 1; i++) {
		buf_init(&out, i);
		assert_int_equal(rest_put_json(&out, in, sizeof in - 1),
		    -ENOBUFS);
		buf_finish(&out);
	}
	buf_init(&out, 200);
	assert_int_equal(rest_put_json(&out, "", 0), 0);
	assert_int_equal(rest_put_json(&out, "\xe2\x80", 2), 0);
	buf_finish(&out);
	buf_init(&out, 200);
	failmalloc_arm(1);
	assert_int_equal(rest_put_json(&out, "x", 1), -ENOMEM);
	assert_true(failmalloc_disarm());
	buf_finish(&out);
}

/* ---- a handler that answers when memory is out ---- */

struct late {
	struct rest	 rest;
	struct rest_conn *conn;
	int		 peer;
	unsigned	 gone;
};

static void
on_gone(void *arg)
{
	struct late	*w = arg;

	w->gone++;
}

/* A connection whose handler has said that it will answer. */
static void
late_init(struct late *w)
{
	int	fds[2];

	*w = (struct late){ .rest = { .opt = { .owner_uid = getuid(),
	    .idle_ms = REST_IDLE_MS } } };
	assert_non_null(w->rest.loop = loop_create());
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0, fds), 0);
	w->peer = fds[1];
	rest_accept(&w->rest, fds[0]);
	assert_non_null(w->conn = w->rest.conns);
	rest_wait(w->conn, on_gone, w);
}

static void
late_finish(struct late *w)
{
	if (w->rest.conns != NULL)
		rest_conn_close(w->rest.conns);
	loop_destroy(w->rest.loop);
	close(w->peer);
}

static void
say_text(struct rest_conn *c)
{
	rest_text(c, 200, "text/plain");
}

static void
say_empty(struct rest_conn *c)
{
	rest_empty(c, 204);
}

static void
say_error(struct rest_conn *c)
{
	rest_error(c, 408, "timeout after %d ms", 100);
}

static void
say_json(struct rest_conn *c)
{
	struct json_out	o;

	json_out_init(&o, &c->answer);
	json_put_object(&o, NULL);
	json_put_bool(&o, "killed", true);
	json_put_end(&o, '}');
	rest_json(c, 200, &o);
}

/*
 * Whoever answers frees what he waited with; to be told on top of that, from
 * within, that the peer is gone would have him do it twice.
 */
static void
who_answers_is_not_told_that_he_must_not(void **state)
{
	static rest_fn *const	says[] = {
		say_text, say_empty, say_error, say_json
	};
	struct late		w;
	unsigned		n, failed = 0;
	size_t			i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(says); i++)
		for (n = 1; n == 1 || failed > 0; n++) {
			late_init(&w);
			failmalloc_arm_all(n);
			says[i](w.conn);
			failed = failmalloc_disarm();
			assert_int_equal(w.gone, 0);
			assert_true(failed == 0 || w.rest.conns == NULL ||
			    w.conn->state == REST_ANSWERING);
			late_finish(&w);
			assert_int_equal(w.gone, 0);
		}
}

static void
who_waits_is_told_once_that_nobody_listens(void **state)
{
	struct late	w;

	(void)state;
	late_init(&w);
	late_finish(&w);
	assert_int_equal(w.gone, 1);
}

/* ---- places ---- */

/* Up to half of the places that count, and then among those that last. */
static void
who_may_not_be_refused_takes_half_and_then_what_lasts(void **state)
{
	struct late	w;

	(void)state;
	late_init(&w);
	w.rest.nconns = REST_SLOW_MAX;		/* he is one of them */
	assert_true(rest_may_last(w.conn));
	assert_false(w.conn->lasting);
	w.rest.nconns = REST_SLOW_MAX + 1;
	w.rest.nlasting = REST_LASTING_MAX;
	assert_false(rest_may_last(w.conn));
	assert_false(w.conn->lasting);
	w.rest.nlasting = REST_LASTING_MAX - 1;
	assert_true(rest_may_last(w.conn));
	assert_true(w.conn->lasting);
	assert_true(rest_may_last(w.conn));	/* he has one */
	assert_int_equal(w.rest.nconns, REST_SLOW_MAX);
	assert_int_equal(w.rest.nlasting, REST_LASTING_MAX);
	late_finish(&w);
}

/* Others have n places when he is answered: does he come back? */
static bool
comes_back(size_t n, bool asked_to_close)
{
	struct late	w;
	bool		keep;

	late_init(&w);
	assert_true(rest_lasts(w.conn));
	w.rest.nconns = n;
	if (asked_to_close)
		w.conn->keep = false;
	rest_empty(w.conn, 204);
	keep = w.conn->keep;
	assert_int_equal(w.conn->lasting, !keep);
	assert_int_equal(w.rest.nconns, keep ? n + 1 : n);
	assert_int_equal(w.rest.nlasting, !keep);
	late_finish(&w);
	return keep;
}

static void
who_lasted_has_a_place_before_he_is_told_to_stay(void **state)
{
	(void)state;
	assert_true(comes_back(0, false));
	assert_true(comes_back(REST_SLOW_MAX - 1, false));
	assert_false(comes_back(REST_SLOW_MAX, false));
	assert_false(comes_back(0, true));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escapes_are_strict_and_bring_no_nul),
		cmocka_unit_test(
		    a_query_is_read_by_whole_names_and_the_first_wins),
		cmocka_unit_test(json_leaves_nothing_that_html_would_read),
		cmocka_unit_test(who_answers_is_not_told_that_he_must_not),
		cmocka_unit_test(who_waits_is_told_once_that_nobody_listens),
		cmocka_unit_test(
		    who_may_not_be_refused_takes_half_and_then_what_lasts),
		cmocka_unit_test(
		    who_lasted_has_a_place_before_he_is_told_to_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
