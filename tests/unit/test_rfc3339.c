/* rfc3339: moments as text. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rfc3339.h"
#include "base/str.h"

static void
seconds_are_written_as_UTC(void **state)
{
	char	text[RFC3339_LEN];

	(void)state;
	rfc3339_format(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00Z");
	rfc3339_format(1795307098, text);
	assert_string_equal(text, "2026-11-22T00:24:58Z");
	rfc3339_format(INT64_C(253402300800), text);	/* year 10000 */
	assert_string_equal(text, "");
	rfc3339_format(INT64_MAX, text);
	assert_string_equal(text, "");
}

static void
what_was_written_is_read(void **state)
{
	static const int64_t	moments[] = {
		0, 1, 951782400, 951868800, 1795307098, 4107542400, 7258118399
	};
	char	text[RFC3339_LEN];
	int64_t	ns;
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(moments); i++) {
		rfc3339_format(moments[i], text);
		assert_int_equal(rfc3339_parse(text, &ns), 0);
		assert_int_equal(ns, moments[i] * 1000000000);
	}
}

static void
offsets_and_fractions_count(void **state)
{
	static const struct {
		const char	*text;
		int64_t		 ns;
	} cases[] = {
		{ "1970-01-01t00:00:01z", 1000000000 },
		{ "1970-01-01T01:00:01+01:00", 1000000000 },
		{ "1970-01-01T00:00:00-00:30", 1800000000000 },
		{ "1970-01-01T00:00:00.5Z", 500000000 },
		{ "1970-01-01T00:00:00.000000001Z", 1 },
		{ "1970-01-01T00:00:00.0000000019Z", 1 },
		{ "1970-01-01T00:00:60Z", 60000000000 },
		{ "2000-02-29T00:00:00Z", INT64_C(951782400000000000) },
	};
	int64_t	ns;
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(rfc3339_parse(cases[i].text, &ns), 0);
		assert_int_equal(ns, cases[i].ns);
	}
}

static void
everything_else_is_refused(void **state)
{
	static const char *const	wrong[] = {
		"", "now", "2026-11-22", "2026-11-22T00:24:58",
		"2026-11-22 00:24:58Z", "2026-13-22T00:24:58Z",
		"2026-00-22T00:24:58Z", "2026-11-31T00:24:58Z",
		"2026-02-29T00:24:58Z", "2100-02-29T00:00:00Z",
		"2026-11-00T00:24:58Z", "2026-11-22T24:00:00Z",
		"2026-11-22T00:60:58Z", "2026-11-22T00:24:61Z",
		"2026-11-22T00:24:58.Z", "2026-11-22T00:24:58Z ",
		" 2026-11-22T00:24:58Z", "2026-11-22T00:24:58+1:00",
		"2026-11-22T00:24:58+24:00", "2026-11-22T00:24:58+01:60",
		"2026-11-22T00:24:58+0100", "1969-12-31T23:59:59Z",
		"2200-01-01T00:00:00Z", "26-11-22T00:24:58Z",
		"2026-11-22T00:24:58ZZ", "+026-11-22T00:24:58Z",
	};
	int64_t	ns;
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(wrong); i++)
		if (rfc3339_parse(wrong[i], &ns) != -EINVAL)
			fail_msg("%s was read", wrong[i]);
}

static void
every_shortened_text_is_refused(void **state)
{
	static const char	whole[] = "2026-11-22T00:24:58.123+01:00";
	char			text[sizeof whole];
	int64_t			ns;
	size_t			n;

	(void)state;
	for (n = 0; n < sizeof whole - 1; n++) {
		memcpy(text, whole, n);
		text[n] = '\0';
		assert_int_equal(rfc3339_parse(text, &ns), -EINVAL);
	}
	assert_int_equal(rfc3339_parse(whole, &ns), 0);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(seconds_are_written_as_UTC),
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(offsets_and_fractions_count),
		cmocka_unit_test(everything_else_is_refused),
		cmocka_unit_test(every_shortened_text_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
