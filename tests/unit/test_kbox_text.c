/* kbox_text, kbox_width: cells of a terminal, cutting, quantities. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "applets/kbox_text.h"

#define WIDE	"\xe6\x97\xa5"		/* U+65E5, two cells */
#define ACUTE	"\xcc\x81"		/* U+0301, combines */

static void
a_character_takes_none_one_or_two_cells(void **state)
{
	(void)state;
	assert_int_equal(kbox_width_of('a'), 1);
	assert_int_equal(kbox_width_of(0xe9), 1);
	assert_int_equal(kbox_width_of(0x301), 0);
	assert_int_equal(kbox_width_of(0x200b), 0);
	assert_int_equal(kbox_width_of(0x65e5), 2);
	assert_int_equal(kbox_width_of(0xac00), 2);
	assert_int_equal(kbox_width_of(0xff21), 2);
	assert_int_equal(kbox_width_of(0x1f600), 2);
	assert_int_equal(kbox_width_of(0x20000), 2);
	assert_int_equal(kbox_width_of(0x2713), 1);
	assert_int_equal(kbox_width_of(0x10ffff), 1);
}

static void
a_width_is_the_sum_of_its_characters(void **state)
{
	(void)state;
	assert_int_equal(kbox_width(""), 0);
	assert_int_equal(kbox_width("abc"), 3);
	assert_int_equal(kbox_width("e" ACUTE "x"), 2);
	assert_int_equal(kbox_width(WIDE WIDE), 4);
	assert_int_equal(kbox_width("\xff"), 1);
}

static void
a_cut_never_splits_what_belongs_together(void **state)
{
	size_t	cells;

	(void)state;
	assert_int_equal(kbox_fit("abc", 2, &cells), 2);
	assert_int_equal(cells, 2);
	assert_int_equal(kbox_fit("abc", 3, &cells), 3);
	assert_int_equal(kbox_fit("abc", 0, &cells), 0);
	assert_int_equal(kbox_fit(WIDE WIDE, 3, &cells), 3);
	assert_int_equal(cells, 2);
	assert_int_equal(kbox_fit(WIDE WIDE, 1, &cells), 0);
	assert_int_equal(kbox_fit("e" ACUTE "x", 1, &cells), 3);
	assert_int_equal(cells, 1);
}

static const char *
short_of(uint64_t n)
{
	static char	text[32];

	kbox_bytes_short(n, text, sizeof text);
	return text;
}

static const char *
long_of(uint64_t n)
{
	static char	text[32];

	kbox_bytes_long(n, text, sizeof text);
	return text;
}

static void
bytes_are_written_as_the_table_always_did(void **state)
{
	(void)state;
	assert_string_equal(short_of(0), "0B");
	assert_string_equal(short_of(1023), "1023B");
	assert_string_equal(short_of(1024), "1.00K");
	assert_string_equal(short_of(2509), "2.45K");
	assert_string_equal(short_of(1153434), "1.10M");
	assert_string_equal(short_of(UINT64_C(3) << 30), "3.00G");
	assert_string_equal(short_of(UINT64_C(5) << 40), "5120.00G");
}

/* Weakness 7.2: 1.5 GiB was shown as 2GiB. */
static void
sizes_are_not_rounded_to_whole_units(void **state)
{
	(void)state;
	assert_string_equal(long_of(17), "17B");
	assert_string_equal(long_of(3 << 10), "3KiB");
	assert_string_equal(long_of(UINT64_C(3) << 29), "1.50GiB");
	assert_string_equal(long_of(UINT64_C(1) << 40), "1TiB");
	assert_string_equal(long_of(UINT64_MAX), "16EiB");
}

static void
a_percentage_of_nothing_is_not_a_number(void **state)
{
	char	text[32];

	(void)state;
	kbox_percent(1, 4, text, sizeof text);
	assert_string_equal(text, "25.00%");
	kbox_percent(1, 0, text, sizeof text);
	assert_string_equal(text, "n/a");
}

/* Weakness 7.2: "kbox attach ../x". */
static void
an_id_cannot_leave_its_segment_of_a_url(void **state)
{
	char	text[16];

	(void)state;
	assert_int_equal(kbox_url_escape("../x", text, sizeof text), 0);
	assert_string_equal(text, "..%2Fx");
	assert_int_equal(kbox_url_escape("a b", text, sizeof text), 0);
	assert_string_equal(text, "a%20b");
	assert_int_equal(kbox_url_escape("\xc3\xa9?", text, sizeof text), 0);
	assert_string_equal(text, "%C3%A9%3F");
	assert_int_equal(kbox_url_escape("0123456789abcdef", text,
	    sizeof text), -ENAMETOOLONG);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(a_character_takes_none_one_or_two_cells),
		cmocka_unit_test(a_width_is_the_sum_of_its_characters),
		cmocka_unit_test(a_cut_never_splits_what_belongs_together),
		cmocka_unit_test(bytes_are_written_as_the_table_always_did),
		cmocka_unit_test(sizes_are_not_rounded_to_whole_units),
		cmocka_unit_test(a_percentage_of_nothing_is_not_a_number),
		cmocka_unit_test(an_id_cannot_leave_its_segment_of_a_url),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
