#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "tests/unit/failmalloc.h"
#include "workspace/account.h"
#include "workspace/command.h"

/* Splits s and compares with the words of want, which ends in NULL. */
static void
check_words(const char *s, const char *const *want)
{
	size_t	 n, i;
	char	**words = command_words(s, &n);

	assert_non_null(words);
	for (i = 0; want[i] != NULL; i++) {
		assert_true(i < n);
		assert_string_equal(words[i], want[i]);
	}
	assert_int_equal(n, i);
	assert_null(words[n]);
	free(words);
}

#define WORDS(s, ...) \
	check_words(s, (const char *const []){ __VA_ARGS__, NULL })

static void
words_are_split_as_a_shell_does_without_expanding(void **state)
{
	static const char *const	none[] = { NULL };

	(void)state;
	check_words("", none);
	check_words(" \t\n ", none);
	check_words("# only a comment", none);
	WORDS("a", "a");
	WORDS("  a  b\tc\nd ", "a", "b", "c", "d");
	WORDS("a # b", "a");
	WORDS("a#b #c\nd", "a#b", "d");
	WORDS("'a b' \"c d\"", "a b", "c d");
	WORDS("'' \"\"", "", "");
	WORDS("a''b\"\"c", "abc");
	WORDS("a\\ b \\'c\\' \\\\", "a b", "'c'", "\\");
	WORDS("'a\\b'", "a\\b");
	WORDS("\"a\\\"b\\$c\\d\"", "a\"b$c\\d");
	WORDS("a\\\nb \"c\\\nd\"", "ab", "cd");
	WORDS("$HOME `id` *", "$HOME", "`id`", "*");
}

static void
unbalanced_quotes_are_refused(void **state)
{
	static const char *const	bad[] = {
		"'", "\"", "a 'b", "a \"b\\\"", "\\", "a \\", "'\"", "\"'"
	};
	size_t				i, n;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_null(command_words(bad[i], &n));
}

static const struct account	alice = {
	.name = (char *)(uintptr_t)"alice", .home = (char *)(uintptr_t)"/",
	.login_shell = (char *)(uintptr_t)"/bin/bash",
};
static const struct account	plain = {
	.name = (char *)(uintptr_t)"alice", .home = (char *)(uintptr_t)"/",
	.login_shell = (char *)(uintptr_t)"",
};

static void
EX_06_the_string_is_one_argument_of_the_shell(void **state)
{
	struct command	c;

	(void)state;
	assert_int_equal(command_build(&c, &alice, "ex-1", "a  'b", "/bin/sh"),
	    0);
	assert_string_equal(c.paths[0], "/bin/sh");
	assert_string_equal(c.paths[1], "/bin/bash");
	assert_null(c.argv[0]);
	assert_string_equal(c.argv[1], "-c");
	assert_string_equal(c.argv[2], "a  'b");
	assert_null(c.argv[3]);
	command_finish(&c);
	assert_int_equal(command_build(&c, &alice, "ex-1", "id", ""), 0);
	assert_string_equal(c.paths[0], "/bin/bash");
	assert_string_equal(c.paths[1], "/bin/sh");
	assert_null(c.paths[2]);
	command_finish(&c);
	assert_int_equal(command_build(&c, &plain, "ex-1", "id", ""), 0);
	assert_string_equal(c.paths[0], "/bin/sh");
	assert_null(c.paths[1]);
	command_finish(&c);
}

static void
EX_07_sftp_runs_without_a_shell(void **state)
{
	struct command	c;

	(void)state;
	assert_int_equal(command_build(&c, &alice, "ex-1",
	    "/usr/local/bin/sftp", "/bin/sh"), 0);
	assert_string_equal(c.paths[0], "/usr/local/bin/sftp");
	assert_string_equal(c.argv[0], "/usr/local/bin/sftp");
	assert_null(c.argv[1]);
	command_finish(&c);
	assert_int_equal(command_build(&c, &alice, "sf-a-1-bb1",
	    "/opt/sftp-server", ""), 0);
	assert_string_equal(c.paths[0], "/opt/sftp-server");
	assert_null(c.paths[1]);
	command_finish(&c);
	/* A command line is a command line, whatever the id says. */
	assert_int_equal(command_build(&c, &alice, "sf-a-1-bb1",
	    "sftp -x", ""), 0);
	assert_string_equal(c.argv[1], "-c");
	command_finish(&c);
}

static void
EX_08_unusable_shells_are_passed_by(void **state)
{
	struct command	c;

	(void)state;
	assert_int_equal(command_build(&c, &alice, "ex-1", "id",
	    "/bin/no-such-shell"), 0);
	assert_string_equal(c.paths[0], "/bin/bash");
	command_finish(&c);
	assert_int_equal(command_build(&c, &alice, "ex-1", "id",
	    "/usr/sbin/nologin"), 0);
	assert_string_equal(c.paths[0], "/bin/bash");
	command_finish(&c);
}

static void
blank_commands_are_refused(void **state)
{
	struct command	c;

	(void)state;
	assert_int_equal(command_build(&c, &alice, "ex-1", "", ""), -EINVAL);
	assert_int_equal(command_build(&c, &alice, "ex-1", " \t\r\n", ""),
	    -EINVAL);
	assert_null(c.mem);
}

static void
EX_14_signal_names_with_and_without_prefix(void **state)
{
	static const char *const	bad[] = {
		"", "SIG", "sigterm", "Term", "TERM ", "SIGSIGTERM", "9",
		"INFO@openssh.com", "FOO"
	};
	size_t				i;

	(void)state;
	assert_int_equal(command_signal("TERM"), SIGTERM);
	assert_int_equal(command_signal("SIGTERM"), SIGTERM);
	assert_int_equal(command_signal("USR1"), SIGUSR1);
	assert_int_equal(command_signal("SIGKILL"), SIGKILL);
	assert_int_equal(command_signal("XFSZ"), SIGXFSZ);
	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(command_signal(bad[i]), 0);
}

static void
every_failing_allocation_is_reported(void **state)
{
	struct command	c;
	size_t		nwords;
	unsigned	n;
	int		r;

	(void)state;
	for (n = 1; ; n++) {
		failmalloc_arm(n);
		r = command_build(&c, &alice, "ex-1", "id", "");
		if (!failmalloc_disarm())
			break;
		assert_int_equal(r, -ENOMEM);
	}
	assert_int_equal(r, 0);
	command_finish(&c);
	failmalloc_arm(1);
	assert_null(command_words("a b", &nwords));
	assert_true(failmalloc_disarm());
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(
		    words_are_split_as_a_shell_does_without_expanding),
		cmocka_unit_test(unbalanced_quotes_are_refused),
		cmocka_unit_test(
		    EX_06_the_string_is_one_argument_of_the_shell),
		cmocka_unit_test(EX_07_sftp_runs_without_a_shell),
		cmocka_unit_test(EX_08_unusable_shells_are_passed_by),
		cmocka_unit_test(blank_commands_are_refused),
		cmocka_unit_test(EX_14_signal_names_with_and_without_prefix),
		cmocka_unit_test(every_failing_allocation_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
