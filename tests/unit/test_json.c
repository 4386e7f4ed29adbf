#include <errno.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"
#include "tests/unit/failmalloc.h"

/* Everything between the brackets of one document, as one letter each. */
static enum json_type
walk(const char *text, size_t n, char letters[256])
{
	static const char	names[] = "$o}a]ksntfz!";
	struct json		j;
	enum json_type		t;
	size_t			i = 0;
	char			*copy = malloc(n + 1);

	/* Exact size: a read beyond the end is seen by ASan. */
	assert_non_null(copy);
	memcpy(copy, text, n);
	copy = realloc(copy, n > 0 ? n : 1);
	assert_non_null(copy);
	json_init(&j, copy, n);
	do {
		t = json_next(&j);
		assert_true(i < 254);
		letters[i++] = names[t];
		assert_true(j.text >= copy || n == 0);
		assert_true(n == 0 || j.text + j.len <= copy + n);
		assert_true(t == JSON_ERROR || j.error == NULL);
	} while (t != JSON_END && t != JSON_ERROR);
	letters[i] = '\0';
	assert_int_equal(json_next(&j), t);	/* both are final */
	assert_true(t == JSON_END || j.error != NULL);
	assert_true(json_offset(&j) <= n);
	free(copy);
	return t;
}

static void
documents_come_out_as_tokens(void **state)
{
	static const struct {
		const char	*text, *tokens;
	} rows[] = {
		{ "null", "z$" }, { " true ", "t$" }, { "false\n", "f$" },
		{ "0", "n$" }, { "-0", "n$" }, { "-1.5e+3", "n$" },
		{ "1E400", "n$" }, { "\"\"", "s$" }, { "[]", "a]$" },
		{ "{}", "o}$" }, { "[[]]", "aa]]$" }, { "[1,2]", "ann]$" },
		{ "{\"a\":1}", "okn}$" },
		{ " { \"a\" : [ 1 , { } ] , \"b\" : null } ",
		    "okano}]kz}$" },
		{ "\t\r\n[\"a\",\"\xe2\x82\xac\",\"\\u20ac\\n\"]", "asss]$" },
		{ "{\"a\":1,\"a\":2}", "oknkn}$" },
		{ "\"\\ud83d\\ude00\"", "s$" }, { "\"\\u0000\"", "s$" },
		{ "\"\x7f\"", "s$" },
	};
	char	got[256];
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(walk(rows[i].text, strlen(rows[i].text),
		    got), JSON_END);
		assert_string_equal(got, rows[i].tokens);
	}
}

static void
other_text_is_refused(void **state)
{
	static const char	*bad[] = {
		"", " ", "nul", "nulll", "Null", "True", "tru e", "undefined",
		"NaN", "Infinity", "-", "+1", "01", "-01", "00", "1.", ".5",
		"1.e1", "1e", "1e+", "1e1.5", "0x1", "1_000", "- 1",
		"[", "]", "{", "}", "[}", "{]", "[1", "[1,", "[1,]", "[,1]",
		"[1 2]", "[1,,2]", "[1:2]", "{\"a\"", "{\"a\":", "{\"a\":}",
		"{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}", "{a:1}",
		"{'a':1}", "{1:2}", "{\"a\" 1}", "{\"a\",1}", "{\"a\":1:2}",
		"{\"a\":1 \"b\":2}", "{\"a\":1]", "{null:1}", "{[]:1}",
		"1 2", "null null", "{}{}", "[] x", "[]]", "\"a\"\"b\"",
		"\"", "\"a", "\"\\", "\"\\\"", "\"\\x\"", "\"\\u\"",
		"\"\\u12\"", "\"\\u123g\"", "\"\\u 123\"", "\"\\U0041\"",
		"\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"",
		"\"\\ud800\\ud800\"", "\"\\ud800x\"", "\"\\ud800\\ue000\"",
		"\"\\ud83d\\ude0\"",
		"\"\\'\"", "\"\\0\"", "\"a\nb\"", "\"a\tb\"", "\"\x01\"",
		"\"\x80\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"",
		"\"\xe2\x82\"", "\"\xf4\x90\x80\x80\"", "\"\xff\"",
		"\xef\xbb\xbf{}", "/* c */ 1", "// c\n1", "\f1", "\v1",
		"\xc2\xa0" "1", "{\"\\ud800\":1}", "[\"\\q\"]",
	};
	char			got[256];
	size_t			i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++)
		if (walk(bad[i], strlen(bad[i]), got) != JSON_ERROR)
			fail_msg("\"%s\" was taken: %s", bad[i], got);
	assert_int_equal(walk("1\0", 2, got), JSON_ERROR);
	assert_int_equal(walk("\0" "1", 2, got), JSON_ERROR);
	assert_int_equal(walk("\"a\0b\"", 5, got), JSON_ERROR);
	assert_int_equal(walk("\"\\\0\"", 4, got), JSON_ERROR);
	assert_int_equal(walk("[\0]", 3, got), JSON_ERROR);
}

static const char	sample[] =
    "{\"iss\":\"https://k\\u00e9y\",\"n\":[-12.5e3,0,{\"x\":null}],"
    "\"\xf0\x9f\x98\x80\":\"\\ud83d\\ude00\\\\\",\"t\":true,\"e\":{}}";

static void
document_cut_short_is_refused_at_every_byte(void **state)
{
	char	got[256];
	size_t	n;

	(void)state;
	for (n = 0; n < sizeof sample - 1; n++)
		assert_int_equal(walk(sample, n, got), JSON_ERROR);
	assert_int_equal(walk(sample, n, got), JSON_END);
}

/* Whatever a byte is changed into, nothing is read beyond the end. */
static void
no_changed_byte_does_harm(void **state)
{
	char	text[sizeof sample], got[256];
	size_t	at;
	int	c;

	(void)state;
	memcpy(text, sample, sizeof text);
	for (at = 0; at < sizeof sample - 1; at++) {
		for (c = 0; c < 256; c++) {
			text[at] = (char)c;
			(void)walk(text, sizeof sample - 1, got);
		}
		text[at] = sample[at];
	}
}

static void
depth_has_a_limit(void **state)
{
	char	text[2 * JSON_DEPTH_MAX + 4], got[256];
	int	d;

	(void)state;
	for (d = JSON_DEPTH_MAX - 1; d <= JSON_DEPTH_MAX + 1; d++) {
		memset(text, '[', (size_t)d);
		memset(text + d, ']', (size_t)d);
		assert_int_equal(walk(text, 2 * (size_t)d, got),
		    d <= JSON_DEPTH_MAX ? JSON_END : JSON_ERROR);
	}
}

static void
skip_ends_behind_the_value(void **state)
{
	static const char	*values[] = {
		"1", "null", "true", "false", "\"x\"", "[]", "{}",
		"[1,[2,{\"a\":[]}],3]", "{\"a\":{\"b\":[{}]},\"c\":1}"
	};
	struct json		j;
	char			text[128];
	size_t			i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(values); i++) {
		str_format(text, sizeof text, "{\"k\":%s,\"end\":7}",
		    values[i]);
		json_init(&j, text, strlen(text));
		assert_int_equal(json_next(&j), JSON_OBJECT);
		assert_int_equal(json_skip(&j, JSON_END), -EINVAL);
		assert_int_equal(json_next(&j), JSON_KEY);
		assert_int_equal(json_skip(&j, JSON_KEY), -EINVAL);
		assert_int_equal(json_skip(&j, json_next(&j)), 0);
		assert_int_equal(json_next(&j), JSON_KEY);
		assert_true(json_is(&j, "end"));
		assert_int_equal(json_next(&j), JSON_NUMBER);
		assert_int_equal(json_next(&j), JSON_OBJECT_END);
		assert_int_equal(json_next(&j), JSON_END);
	}
	json_init(&j, "[[1,x],2]", 9);
	assert_int_equal(json_next(&j), JSON_ARRAY);
	assert_int_equal(json_skip(&j, json_next(&j)), -EINVAL);
	assert_int_equal(json_skip(&j, json_next(&j)), -EINVAL);
	assert_string_equal(j.error, "unexpected character");
	assert_int_equal(json_offset(&j), 4);
}

static struct json
only_string(const char *text)
{
	struct json	j;

	json_init(&j, text, strlen(text));
	assert_int_equal(json_next(&j), JSON_STRING);
	return j;
}

static void
strings_come_out_decoded(void **state)
{
	static const struct {
		const char	*text, *want;
	} rows[] = {
		{ "\"\"", "" }, { "\"abc\"", "abc" },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" },
		{ "\"\\u0041\\u00e9\\u20AC\"", "A\xc3\xa9\xe2\x82\xac" },
		{ "\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80" },
		{ "\"\\uDBFF\\uDFFF\"", "\xf4\x8f\xbf\xbf" },
		{ "\"\xf0\x9f\x98\x80\"", "\xf0\x9f\x98\x80" },
		{ "\"\\u0001\x7f\"", "\x01\x7f" },
		{ "\"\\ue000\\ud7ff\"", "\xee\x80\x80\xed\x9f\xbf" },
	};
	char		out[64];
	struct json	j;
	size_t		i, n;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		n = strlen(rows[i].want);
		j = only_string(rows[i].text);
		memset(out, '#', sizeof out);
		assert_int_equal(json_text(&j, out, n + 1), 0);
		assert_string_equal(out, rows[i].want);
		assert_true(json_is(&j, rows[i].want));
		assert_false(json_is(&j, "other"));
		assert_int_equal(json_text(&j, out, n), -ENOBUFS);
		assert_int_equal(json_text(&j, out, 0), -ENOBUFS);
	}
}

static void
nul_in_a_string_is_refused(void **state)
{
	struct json	j = only_string("\"a\\u0000b\"");
	char		out[16] = "old";

	(void)state;
	assert_int_equal(json_text(&j, out, sizeof out), -EINVAL);
	assert_string_equal(out, "");
	assert_false(json_is(&j, "a"));
}

static void
is_compares_all_of_it(void **state)
{
	struct json	j = only_string("\"ex\\u0070\"");

	(void)state;
	assert_true(json_is(&j, "exp"));
	assert_false(json_is(&j, "ex"));
	assert_false(json_is(&j, "expx"));
	assert_false(json_is(&j, ""));
	assert_false(json_is(&j, "ex\\u0070"));
}

static void
integers_have_no_fraction_and_no_exponent(void **state)
{
	static const struct {
		const char	*text;
		int		 r;
		int64_t		 v;
	} rows[] = {
		{ "0", 0, 0 }, { "-0", 0, 0 }, { "7", 0, 7 }, { "-7", 0, -7 },
		{ "9223372036854775807", 0, INT64_MAX },
		{ "-9223372036854775808", 0, INT64_MIN },
		{ "9223372036854775808", -ERANGE, 5 },
		{ "-9223372036854775809", -ERANGE, 5 },
		{ "1e400", -ERANGE, 5 }, { "1e2", -ERANGE, 5 },
		{ "1.0", -ERANGE, 5 }, { "1.5", -ERANGE, 5 },
		{ "-1E1", -ERANGE, 5 },
		{ "99999999999999999999999999999", -ERANGE, 5 },
	};
	struct json	j;
	int64_t		v;
	size_t		i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		v = 5;
		json_init(&j, rows[i].text, strlen(rows[i].text));
		assert_int_equal(json_next(&j), JSON_NUMBER);
		assert_int_equal(json_int(&j, &v), rows[i].r);
		assert_true(v == rows[i].v);
	}
}

static void
write_sample(struct json_out *o, struct buf *b)
{
	json_out_init(o, b);
	json_put_object(o, NULL);
	json_put_string(o, "s", "a\"b\\c\n\x01\x7f/\xe2\x82\xac");
	json_put_string(o, "k\"ey", "");
	json_put_string(o, "none", NULL);
	json_put_array(o, "list");
	json_put_int(o, NULL, INT64_MIN);
	json_put_int(o, NULL, 0);
	json_put_bool(o, NULL, true);
	json_put_array(o, NULL);
	json_put_end(o, ']');
	json_put_object(o, NULL);
	json_put_end(o, '}');
	json_put_end(o, ']');
	json_put_bool(o, "no", false);
	json_put_null(o, "nil");
	json_put_end(o, '}');
}

static const char	written[] =
    "{\"s\":\"a\\\"b\\\\c\\n\\u0001\\u007f/\xe2\x82\xac\",\"k\\\"ey\":\"\","
    "\"none\":null,\"list\":[-9223372036854775808,0,true,[],{}],"
    "\"no\":false,\"nil\":null}";

static void
doubles_are_written_short_and_always_as_json(void **state)
{
	static const struct {
		double		 v;
		const char	*text;
	} rows[] = {
		{ 0, "0" }, { -1, "-1" }, { 1.5, "1.5" }, { 0.1, "0.1" },
		{ 1234567.25, "1234567.25" }, { -0.0000001, "0" },
		{ 100, "100" }, { 1e20, "100000000000000000000" },
		{ 2.0 / 3, "0.666667" }, { HUGE_VAL, "null" },
		{ -HUGE_VAL, "null" }, { NAN, "null" },
	};
	struct json_out	o;
	struct buf	b;
	size_t		i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		buf_init(&b, 100);
		json_out_init(&o, &b);
		json_put_double(&o, NULL, rows[i].v);
		assert_int_equal(json_put_done(&o), 0);
		assert_int_equal(b.len, strlen(rows[i].text));
		assert_memory_equal(buf_head(&b), rows[i].text, b.len);
		buf_finish(&b);
	}
	buf_init(&b, 1000);
	json_out_init(&o, &b);
	json_put_double(&o, NULL, DBL_MAX);
	assert_int_equal(json_put_done(&o), 0);
	assert_int_equal(b.len, 309);
	buf_finish(&b);
}

static void
writer_sees_to_commas_and_quotes(void **state)
{
	struct json_out	o;
	struct buf	b;
	char		got[256];

	(void)state;
	buf_init(&b, 1000);
	write_sample(&o, &b);
	assert_int_equal(json_put_done(&o), 0);
	assert_int_equal(b.len, sizeof written - 1);
	assert_memory_equal(buf_head(&b), written, b.len);
	assert_int_equal(walk((char *)buf_head(&b), b.len, got), JSON_END);
	buf_finish(&b);
}

static void
written_text_is_always_utf8(void **state)
{
	static const struct {
		const char	*text, *want;
	} rows[] = {
		{ "\xff", "\"\xef\xbf\xbd\"" },
		{ "a\x80z", "\"a\xef\xbf\xbdz\"" },
		{ "\xed\xa0\x80",
		    "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\x1b[0m", "\"\\u001b[0m\"" },
	};
	struct json_out	o;
	struct buf	b;
	size_t		i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		buf_init(&b, 100);
		json_out_init(&o, &b);
		json_put_string(&o, NULL, rows[i].text);
		assert_int_equal(json_put_done(&o), 0);
		assert_int_equal(b.len, strlen(rows[i].want));
		assert_memory_equal(buf_head(&b), rows[i].want, b.len);
		buf_finish(&b);
	}
}

static void
writer_keeps_to_the_limit(void **state)
{
	struct json_out	o;
	struct buf	b;
	size_t		max;

	(void)state;
	for (max = 0; max <= sizeof written; max++) {
		buf_init(&b, max);
		write_sample(&o, &b);
		assert_int_equal(json_put_done(&o),
		    max < sizeof written - 1 ? -ENOBUFS : 0);
		assert_int_equal(json_put_done(&o), o.error);
		buf_finish(&b);
	}
}

static void
writer_notices_what_was_left_open(void **state)
{
	struct json_out	o;
	struct buf	b;

	(void)state;
	buf_init(&b, 100);
	json_out_init(&o, &b);
	json_put_array(&o, NULL);
	assert_int_equal(json_put_done(&o), -EINVAL);
	buf_finish(&b);
}

static void
writer_survives_every_failing_allocation(void **state)
{
	struct json_out	o;
	struct buf	b;
	unsigned	n;
	int		i, r;

	(void)state;
	for (n = 1; n < 100; n++) {
		buf_init(&b, 1 << 20);
		failmalloc_arm(n);
		json_out_init(&o, &b);
		json_put_array(&o, NULL);
		for (i = 0; i < 1000; i++)
			json_put_string(&o, NULL, "text");
		json_put_end(&o, ']');
		r = json_put_done(&o);
		if (!failmalloc_disarm())
			break;
		assert_int_equal(r, -ENOMEM);
		buf_finish(&b);
	}
	assert_int_equal(r, 0);
	assert_true(n > 2);
	assert_int_equal(b.len, 1000 * 7 + 1);
	buf_finish(&b);
}

static void
reader_allocates_nothing(void **state)
{
	struct json	j;
	enum json_type	t;

	(void)state;
	failmalloc_arm(1);
	json_init(&j, sample, sizeof sample - 1);
	do
		t = json_next(&j);
	while (t != JSON_END && t != JSON_ERROR);
	assert_false(failmalloc_disarm());
	assert_int_equal(t, JSON_END);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documents_come_out_as_tokens),
		cmocka_unit_test(other_text_is_refused),
		cmocka_unit_test(document_cut_short_is_refused_at_every_byte),
		cmocka_unit_test(no_changed_byte_does_harm),
		cmocka_unit_test(depth_has_a_limit),
		cmocka_unit_test(skip_ends_behind_the_value),
		cmocka_unit_test(strings_come_out_decoded),
		cmocka_unit_test(nul_in_a_string_is_refused),
		cmocka_unit_test(is_compares_all_of_it),
		cmocka_unit_test(integers_have_no_fraction_and_no_exponent),
		cmocka_unit_test(writer_sees_to_commas_and_quotes),
		cmocka_unit_test(written_text_is_always_utf8),
		cmocka_unit_test(writer_keeps_to_the_limit),
		cmocka_unit_test(doubles_are_written_short_and_always_as_json),
		cmocka_unit_test(writer_notices_what_was_left_open),
		cmocka_unit_test(writer_survives_every_failing_allocation),
		cmocka_unit_test(reader_allocates_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
