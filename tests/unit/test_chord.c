#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "workspace/chord.h"

/* Feeds in pieces of `step`; what passed is compared with want. */
static void
check(const char *in, size_t step, const char *want, bool found, bool held)
{
	struct chord	c = { 0 };
	uint8_t		out[64];
	size_t		i, n = strlen(in), take, len = 0;

	for (i = 0; i < n; i += take) {
		take = n - i < step ? n - i : step;
		len += chord_filter(&c, (const uint8_t *)in + i, take,
		    out + len);
	}
	assert_int_equal(len, strlen(want));
	assert_memory_equal(out, want, len);
	assert_true(c.found == found);
	assert_true(c.held == held);
}

static void
found_anywhere_and_however_it_is_split(void **state)
{
	size_t	step;

	(void)state;
	for (step = 1; step <= 8; step++) {
		check("\x01" "d", step, "", true, false);
		check("\x01" "D", step, "", true, false);
		check("ls\r\x01" "d", step, "ls\r", true, false);
		check("\x01\x01\x01" "d", step, "\x01\x01", true, false);
		check("\x01" "drest", step, "", true, false);
	}
}

static void
other_keys_pass_with_their_prefix(void **state)
{
	size_t	step;

	(void)state;
	for (step = 1; step <= 8; step++) {
		check("plain d D", step, "plain d D", false, false);
		check("\x01x", step, "\x01x", false, false);
		check("\x01\x01", step, "\x01\x01", false, false);
		check("\x01\x01" "d", step, "\x01\x01" "d", false, false);
		check("a\x01", step, "a", false, true);
	}
}

static void
bytes_without_the_prefix_need_no_copy(void **state)
{
	struct chord	c = { 0 };

	(void)state;
	assert_true(chord_idle(&c, "abc", 3));
	assert_true(chord_idle(&c, NULL, 0));
	assert_false(chord_idle(&c, "a\x01", 2));
	c.held = true;
	assert_false(chord_idle(&c, "abc", 3));
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(found_anywhere_and_however_it_is_split),
		cmocka_unit_test(other_keys_pass_with_their_prefix),
		cmocka_unit_test(bytes_without_the_prefix_need_no_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
