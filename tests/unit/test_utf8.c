#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

#define FFFD	"\xef\xbf\xbd"

static void
every_scalar_value_survives(void **state)
{
	char		s[4];
	uint32_t	cp, got;
	size_t		n, k;

	(void)state;
	for (cp = 0; cp <= 0x10ffff; cp++) {
		if (cp == 0xd800)
			cp = 0xe000;
		n = utf8_put(cp, s);
		if (utf8_next(s, n, &got) != n || got != cp)
			fail_msg("U+%04x", cp);
		if (cp % 61 != 0)
			continue;
		assert_true(utf8_valid(s, n));
		for (k = 0; k < n; k++)		/* cut short */
			assert_int_equal(utf8_next(s, k, &got), 0);
	}
}

static const struct {
	const char	*text, *repaired;
} bad[] = {
	{ "\x80", FFFD }, { "\xbf", FFFD }, { "\xc0\x80", FFFD FFFD },
	{ "\xc1\xbf", FFFD FFFD }, { "\xe0\x80\x80", FFFD FFFD FFFD },
	{ "\xe0\x9f\xbf", FFFD FFFD FFFD },
	{ "\xf0\x80\x80\x80", FFFD FFFD FFFD FFFD },
	{ "\xf0\x8f\xbf\xbf", FFFD FFFD FFFD FFFD },
	{ "\xed\xa0\x80", FFFD FFFD FFFD },	/* U+D800 */
	{ "\xed\xbf\xbf", FFFD FFFD FFFD },	/* U+DFFF */
	{ "\xf4\x90\x80\x80", FFFD FFFD FFFD FFFD },	/* U+110000 */
	{ "\xf5\x80\x80\x80", FFFD FFFD FFFD FFFD },
	{ "\xfe", FFFD }, { "\xff", FFFD },
	{ "\xc2", FFFD }, { "\xe2\x82", FFFD }, { "\xf0\x9f\x98", FFFD },
	{ "a\xe2\x82z", "a" FFFD "z" }, { "\xc2\xc2\xb5", FFFD "\xc2\xb5" },
	{ "\xf0\x9f\x98\xe2\x82\xac", FFFD "\xe2\x82\xac" },
	{ "12345678\x80", "12345678" FFFD },
	{ "1234567\x80" "9abcdefghij", "1234567" FFFD "9abcdefghij" },
};

static void
ill_formed_text_is_refused_and_repaired(void **state)
{
	char		out[64];
	uint32_t	cp = 5;
	size_t		i, n;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		n = strlen(bad[i].text);
		assert_false(utf8_valid(bad[i].text, n));
		n = utf8_repair(bad[i].text, n, out, sizeof out);
		assert_string_equal(out, bad[i].repaired);
		assert_int_equal(n, strlen(bad[i].repaired));
		assert_true(utf8_valid(out, n));
	}
	assert_int_equal(utf8_next("\xed\xa0\x80", 3, &cp), 0);
	assert_int_equal(utf8_next("", 0, &cp), 0);
	assert_int_equal(cp, 5);
}

/* Behind ASCII of every length, since eight bytes are looked at at once. */
static void
ascii_runs_hide_nothing(void **state)
{
	char	s[64];
	size_t	n, at;

	(void)state;
	memset(s, 'a', sizeof s);
	assert_true(utf8_valid(s, 0));
	for (n = 1; n <= 40; n++) {
		assert_true(utf8_valid(s, n));
		for (at = 0; at < n; at++) {
			s[at] = '\xff';
			assert_false(utf8_valid(s, n));
			s[at] = 'a';
		}
		s[n] = '\xc2';
		assert_false(utf8_valid(s, n + 1));
		s[n + 1] = '\xa9';
		assert_true(utf8_valid(s, n + 2));
		memset(s, 'a', sizeof s);
	}
}

static void
repair_cuts_at_a_character(void **state)
{
	static const char	text[] = "a\xe2\x82\xac" "\xff" "z";
	static const size_t	want[] = { 0, 0, 1, 1, 1, 4, 4, 4, 7, 8, 8 };
	char			out[16];
	size_t			room;

	(void)state;
	for (room = 0; room < ARRAY_LEN(want); room++) {
		memset(out, '#', sizeof out);
		assert_int_equal(utf8_repair(text, sizeof text - 1, out,
		    room), want[room]);
		assert_int_equal(out[room], '#');
		if (room > 0)
			assert_int_equal(strlen(out), want[room]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_scalar_value_survives),
		cmocka_unit_test(ill_formed_text_is_refused_and_repaired),
		cmocka_unit_test(ascii_runs_hide_nothing),
		cmocka_unit_test(repair_cuts_at_a_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
