#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/str.h"
#include "tests/unit/failmalloc.h"
#include "workspace/splash.h"

static const struct splash_names names = {
	.version = "1.2.3", .commit = "abcdef0", .user = "alice",
	.hostname = "ws-0", .now = 1795307098,	/* 2026-11-22 */
};

static void
expect(const char *text, const char *want)
{
	struct buf	out;

	buf_init(&out, 4096);
	assert_int_equal(splash_expand(text, &names, &out), 0);
	assert_int_equal(buf_put_u8(&out, 0), 0);
	assert_string_equal((char *)buf_head(&out), want);
	buf_finish(&out);
}

static void
fields_are_filled_in(void **state)
{
	(void)state;
	expect("", "");
	expect("Hello\n", "Hello\n");
	expect("Hello", "Hello\n");
	expect("{{.ShellUsername}}@{{ .Hostname }}", "alice@ws-0\n");
	expect("v{{.Version}}-{{.Commit}} [{{.Username}}] {{\t.Date\n}}\n",
	    "v1.2.3-abcdef0 [] 2026-11-22\n");
}

static void
trim_markers_take_the_blanks_beside_them(void **state)
{
	(void)state;
	expect("a  {{- .Version}}  b", "a1.2.3  b\n");
	expect("a  {{.Version -}}  b", "a  1.2.3b\n");
	expect("a\n\n{{- .Version -}}\n\tb", "a1.2.3b\n");
}

static void
what_is_not_known_is_shown_as_it_stands(void **state)
{
	static const char *const	raw[] = {
		"{{.Nothing}}", "{{if .Version}}x{{end}}", "{{", "{{.Version",
		"{{.Version}", "{{}}", "{{.}}", "{{ . Version}}",
		"{{-.Version}}", "{{.Version-}}", "{{.Version }x}",
		"{{.Version | printf}}", "{{/* x */}}", "ok {{.Version}} {{x}}",
	};
	char				want[64];
	size_t				i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(raw); i++) {
		str_format(want, sizeof want, "%s\n", raw[i]);
		expect(raw[i], want);
	}
}

static void
ends_of_lines_become_newlines(void **state)
{
	(void)state;
	expect("a\r\nb\rc\n\r\n", "a\nb\nc\n\n");
	expect("\r", "\n");
	expect("a\r", "a\n");
	expect("{{x\r\n", "{{x\n");
}

static void
without_room_or_memory_it_fails(void **state)
{
	struct buf	out;

	(void)state;
	buf_init(&out, 3);
	assert_int_equal(splash_expand("abc", &names, &out), -ENOBUFS);
	buf_finish(&out);
	buf_init(&out, 100);
	failmalloc_arm(1);
	assert_int_equal(splash_expand("abc", &names, &out), -ENOMEM);
	assert_true(failmalloc_disarm());
	buf_finish(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_filled_in),
		cmocka_unit_test(trim_markers_take_the_blanks_beside_them),
		cmocka_unit_test(what_is_not_known_is_shown_as_it_stands),
		cmocka_unit_test(ends_of_lines_become_newlines),
		cmocka_unit_test(without_room_or_memory_it_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
