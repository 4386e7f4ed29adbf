#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

#define S	INT64_C(1000000000)

static void
go_notation_is_read(void **state)
{
	static const struct {
		const char	*text;
		int64_t		 ns;
	} rows[] = {
		{ "0", 0 }, { "+0", 0 }, { "-0", 0 }, { "0s", 0 },
		{ "0h0m0s", 0 },
		{ "5s", 5 * S }, { "+5s", 5 * S }, { "-5s", -5 * S },
		{ "30s", 30 * S }, { "1478s", 1478 * S },
		{ "5.0s", 5 * S }, { "5.6s", 56 * S / 10 }, { "5.s", 5 * S },
		{ ".5s", S / 2 }, { "-.5s", -S / 2 }, { "1.0s", S },
		{ "1.00s", S }, { "1.004s", 1004 * S / 1000 },
		{ "1.0040s", 1004 * S / 1000 }, { "100.00100s", 100001000000 },
		{ "10ns", 10 }, { "11us", 11000 }, { "12\xc2\xb5s", 12000 },
		{ "12\xce\xbcs", 12000 }, { "13ms", 13000000 },
		{ "300ms", 300000000 }, { "14s", 14 * S }, { "15m", 900 * S },
		{ "16h", 57600 * S }, { "3h30m", 12600 * S },
		{ "1.5h", 5400 * S }, { "-1.5h", -5400 * S },
		{ "2h45m", 9900 * S }, { "10.5s4m", 250500000000 },
		{ "1h1h", 7200 * S }, { "-2m3.4s", -123400000000 },
		{ "1h2m3s4ms5us6ns", 3723004005006 },
		{ "39h9m14.425s", 140954425000000 },
		{ "52763797000ns", 52763797000 },
		{ "0.3333333333333333333h", 1200 * S },
		{ "0.100000000000000000000h", 360 * S },
		{ "0.830103483285477580700h", 2988372539827 },
		{ "9007199254740993ns", 9007199254740993 },
		{ "9223372036854775807ns", INT64_MAX },
		{ "9223372036854775.807us", INT64_MAX },
		{ "9223372036s854ms775us807ns", INT64_MAX },
		{ "-9223372036854775807ns", -INT64_MAX },
		{ "-9223372036854775808ns", INT64_MIN },
		{ "-9223372036854775.808us", INT64_MIN },
		{ "-2562047h47m16.854775808s", INT64_MIN },
	};
	int64_t	v;
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		v = -1;
		assert_int_equal(str_to_duration(rows[i].text, &v), 0);
		if (v != rows[i].ns)
			fail_msg("%s: %lld", rows[i].text, (long long)v);
	}
}

static void
anything_else_is_refused(void **state)
{
	static const char	*bad[] = {
		"", "3", "-", "+", "s", ".", "-.", ".s", "+.s", "1", "1.5",
		"00", "0.0", "--1s", "+-1s", "1 s", " 1s", "1s ", "1s\n",
		"1S", "1d", "1w", "1M", "1sec", "1ss", "1.2.3s", "1..5s",
		"1,5s", "1e3s", "0x1s", "1s2", "1h-5m", "m1", "1\xc2s",
		"1\xb5s", "1\xc2\xb5", "\xef\xbc\x91s", "inf", "NaN",
		"99999999999999999999h1", "-0-", "0 "
	};
	int64_t			v = 42;
	size_t			i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		if (str_to_duration(bad[i], &v) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_int_equal(v, 42);
	}
}

static void
overflow_is_refused(void **state)
{
	static const char	*bad[] = {
		"9223372036854775808ns", "9223372036854775.808us",
		"9223372036854775.809us", "-9223372036854775.809us",
		"-9223372036854775809ns", "9223372036854ms775us808ns",
		"-9223372036854775809us", "2562047h47m16.854775808s",
		"3000000h", "-3000000h", "18446744073709551616ns",
		"18446744073709551617s", "99999999999999999999999999h",
		"9223372036s9223372036s", "1h99999999999999999999s"
	};
	int64_t			v = 42;
	size_t			i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		if (str_to_duration(bad[i], &v) != -ERANGE)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_int_equal(v, 42);
	}
}

static void
go_notation_is_written_and_read_back(void **state)
{
	static const struct {
		int64_t		 ns;
		const char	*text;
	} rows[] = {
		{ 0, "0s" }, { 1, "1ns" }, { 999, "999ns" },
		{ 1100, "1.1\xc2\xb5s" }, { 2200000, "2.2ms" },
		{ 999999, "999.999\xc2\xb5s" }, { 1000000, "1ms" },
		{ 1001000, "1.001ms" }, { 999999999, "999.999999ms" },
		{ S, "1s" }, { 3300000000, "3.3s" }, { 10 * S, "10s" },
		{ 60 * S, "1m0s" }, { 600 * S, "10m0s" },
		{ 245 * S, "4m5s" }, { 245001000000, "4m5.001s" },
		{ 3600 * S, "1h0m0s" }, { 18367001000000, "5h6m7.001s" },
		{ 480000000001, "8m0.000000001s" },
		{ -1500000000, "-1.5s" }, { -1, "-1ns" },
		{ 86400 * S, "24h0m0s" },
		{ INT64_MAX, "2562047h47m16.854775807s" },
		{ INT64_MIN, "-2562047h47m16.854775808s" },
	};
	char	out[32];
	int64_t	v;
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		str_from_duration(rows[i].ns, out, sizeof out);
		assert_string_equal(out, rows[i].text);
		assert_int_equal(str_to_duration(out, &v), 0);
		assert_true(v == rows[i].ns);
	}
}

static void
output_is_cut_at_the_room_given(void **state)
{
	char	out[6] = "-----";

	(void)state;
	str_from_duration(INT64_MIN, out, 5);
	assert_string_equal(out, "-256");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(go_notation_is_read),
		cmocka_unit_test(anything_else_is_refused),
		cmocka_unit_test(overflow_is_refused),
		cmocka_unit_test(go_notation_is_written_and_read_back),
		cmocka_unit_test(output_is_cut_at_the_room_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
