#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/str.h"
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
	    "long=123456789&t=true&u=True&&=7";
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escapes_are_strict_and_bring_no_nul),
		cmocka_unit_test(
		    a_query_is_read_by_whole_names_and_the_first_wins),
		cmocka_unit_test(json_leaves_nothing_that_html_would_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
