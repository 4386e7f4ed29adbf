#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

static void
numbers_are_digits_and_nothing_else(void **state)
{
	static const char	*bad[] = {
		"", " ", "-1", "+1", " 1", "1 ", "1\n", "0x10", "1e3", "1.0",
		"a", "1a", "\xd9\xa1", "1,000", "99999999999999999999x"
	};
	uint64_t		v = 77;
	size_t			i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(str_to_u64(bad[i], UINT64_MAX, &v), -EINVAL);
		assert_int_equal(v, 77);
	}
	assert_int_equal(mem_to_u64("12", 0, 99, &v), -EINVAL);
	assert_int_equal(mem_to_u64("1\0002", 3, 999, &v), -EINVAL);
	assert_int_equal(mem_to_u64("123", 2, 99, &v), 0);
	assert_int_equal(v, 12);
	assert_int_equal(str_to_u64("007", 7, &v), 0);
	assert_int_equal(v, 7);
}

static void
numbers_keep_to_their_limit(void **state)
{
	uint64_t	v = 77;
	uint32_t	w = 77;

	(void)state;
	assert_int_equal(str_to_u64("0", 0, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(str_to_u64("1", 0, &v), -ERANGE);
	assert_int_equal(str_to_u64("65534", 65535, &v), 0);
	assert_int_equal(str_to_u64("65535", 65535, &v), 0);
	assert_int_equal(str_to_u64("65536", 65535, &v), -ERANGE);
	assert_int_equal(v, 65535);
	assert_int_equal(str_to_u64("9", 5, &v), -ERANGE);
	assert_int_equal(str_to_u64("18446744073709551615", UINT64_MAX, &v),
	    0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(str_to_u64("18446744073709551616", UINT64_MAX, &v),
	    -ERANGE);
	assert_int_equal(str_to_u64("99999999999999999999999", UINT64_MAX,
	    &v), -ERANGE);
	assert_int_equal(str_to_u32("4294967295", UINT32_MAX, &w), 0);
	assert_true(w == UINT32_MAX);
	assert_int_equal(str_to_u32("4294967296", UINT32_MAX, &w), -ERANGE);
	assert_int_equal(str_to_u32("-1", UINT32_MAX, &w), -EINVAL);
}

static void
format_refuses_to_cut(void **state)
{
	char	out[5] = "old";

	(void)state;
	assert_int_equal(str_format(out, sizeof out, "%s", "abcd"), 4);
	assert_string_equal(out, "abcd");
	assert_int_equal(str_format(out, sizeof out, "%s", "abcde"),
	    -ENAMETOOLONG);
	assert_string_equal(out, "");
	assert_int_equal(str_format(out, sizeof out, "%s", ""), 0);
	assert_int_equal(str_format(out, 0, "%s", "x"), -ENAMETOOLONG);
}

static void
join_leaves_exactly_one_slash(void **state)
{
	static const struct {
		const char	*dir, *name, *want;
	} rows[] = {
		{ "/a", "b", "/a/b" },
		{ "/a/", "b", "/a/b" },
		{ "/a", "/b", "/a/b" },
		{ "/a//", "//b", "/a/b" },
		{ "/", "b", "/b" },
		{ "//", "/b", "/b" },
		{ "a", "b/c", "a/b/c" },
		{ "", "b", "b" },
		{ "", "/b", "/b" },
		{ "a", "", "a/" },
	};
	char	out[16];
	size_t	i, n;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		n = strlen(rows[i].want);
		assert_int_equal(path_join(out, n + 1, rows[i].dir,
		    rows[i].name), 0);
		assert_string_equal(out, rows[i].want);
		memset(out, 'x', sizeof out);
		assert_int_equal(path_join(out, n, rows[i].dir,
		    rows[i].name), -ENAMETOOLONG);
		assert_int_equal(out[0], 'x');
	}
	assert_int_equal(path_join(out, 0, "", ""), -ENAMETOOLONG);
}

static void
base_is_what_follows_the_last_slash(void **state)
{
	(void)state;
	assert_string_equal(path_base("/usr/bin/kbox"), "kbox");
	assert_string_equal(path_base("kbox"), "kbox");
	assert_string_equal(path_base("a/"), "");
	assert_string_equal(path_base(""), "");
}

static void
comparisons(void **state)
{
	(void)state;
	assert_true(str_prefix("Bearer x", "Bearer "));
	assert_true(str_prefix("x", ""));
	assert_false(str_prefix("Bear", "Bearer"));
	assert_true(str_ieq("BeArEr", "bEaReR"));
	assert_true(str_ieq("", ""));
	assert_false(str_ieq("abc", "abcd"));
	assert_false(str_ieq("abcd", "abc"));
	assert_false(str_ieq("@", "`"));	/* differ in bit 5 only */
	assert_false(str_ieq("[", "{"));
	assert_false(str_ieq("\xc4", "\xe4"));	/* ASCII only */
}

static void
trim_takes_blanks_at_both_ends(void **state)
{
	char	a[] = " \t\r\n a b \n", b[] = " \n", c[] = "", d[] = "x";

	(void)state;
	assert_string_equal(str_trim(a), "a b");
	assert_string_equal(str_trim(b), "");
	assert_string_equal(str_trim(c), "");
	assert_string_equal(str_trim(d), "x");
}

static void
secrets_compare_by_content_and_length(void **state)
{
	char	a[32], b[32];
	size_t	i;

	(void)state;
	memset(a, 'k', sizeof a);
	memcpy(b, a, sizeof b);
	assert_true(secret_eq(a, sizeof a, b, sizeof b));
	assert_true(secret_eq(NULL, 0, "", 0));
	assert_false(secret_eq(a, sizeof a, b, sizeof b - 1));
	assert_false(secret_eq(a, 0, b, 1));
	for (i = 0; i < sizeof a * 8; i++) {
		b[i / 8] = (char)(b[i / 8] ^ 1 << i % 8);
		assert_false(secret_eq(a, sizeof a, b, sizeof b));
		b[i / 8] = (char)(b[i / 8] ^ 1 << i % 8);
	}
}

static void
hexadecimal_digits_and_nothing_else(void **state)
{
	static const char	digits[] = "0123456789abcdef";
	int			c, good = 0;

	(void)state;
	for (c = 0; c < 16; c++)
		assert_int_equal(str_hex_digit(digits[c]), c);
	assert_int_equal(str_hex_digit('A'), 10);
	assert_int_equal(str_hex_digit('F'), 15);
	for (c = -128; c < 128; c++)
		good += str_hex_digit((char)c) >= 0;
	assert_int_equal(good, 22);
}

static void
wipe_clears_every_byte(void **state)
{
	char	a[33], zero[32] = { 0 };

	(void)state;
	memset(a, 'k', sizeof a);
	secret_wipe(a, 32);
	assert_memory_equal(a, zero, 32);
	assert_int_equal(a[32], 'k');
	secret_wipe(NULL, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_digits_and_nothing_else),
		cmocka_unit_test(numbers_keep_to_their_limit),
		cmocka_unit_test(format_refuses_to_cut),
		cmocka_unit_test(join_leaves_exactly_one_slash),
		cmocka_unit_test(base_is_what_follows_the_last_slash),
		cmocka_unit_test(comparisons),
		cmocka_unit_test(trim_takes_blanks_at_both_ends),
		cmocka_unit_test(secrets_compare_by_content_and_length),
		cmocka_unit_test(hexadecimal_digits_and_nothing_else),
		cmocka_unit_test(wipe_clears_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
