/* kbox_args: options, values, words; spans; commands nearly typed right. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "applets/kbox.h"

static void
begin(struct kbox *k, const char *command)
{
	memset(k, 0, sizeof *k);
	arena_init(&k->arena, 1 << 20);
	k->command = kbox_command_find(command);
	assert_non_null(k->command);
	k->name = command;
}

#define ARGS(k, ...)	args(k, (const char *[]){ __VA_ARGS__, NULL })

static int
args(struct kbox *k, const char **words)
{
	char	*argv[16];
	int	 argc = 0;

	begin(k, words[0]);
	while (words[argc + 1] != NULL) {
		argv[argc] = kbox_printf(k, "%s", words[argc + 1]);
		argc++;
	}
	argv[argc] = NULL;
	return kbox_args(k, argc, argv);
}

static void
options_and_words_may_be_mixed(void **state)
{
	struct kbox	k;

	(void)state;
	assert_int_equal(ARGS(&k, "detach", "--ttl", "5m", "sh-1"), 0);
	assert_string_equal(k.values[OPT_TTL], "5m");
	assert_string_equal(k.words[0], "sh-1");
	arena_finish(&k.arena);
	assert_int_equal(ARGS(&k, "detach", "sh-1", "--ttl=0"), 0);
	assert_string_equal(k.values[OPT_TTL], "0");
	assert_int_equal(k.nwords, 1);
	arena_finish(&k.arena);
	assert_int_equal(ARGS(&k, "kill", "--", "--ttl", "-x"), 0);
	assert_int_equal(k.nwords, 2);
	arena_finish(&k.arena);
}

/* Of an option named twice, the command's own counts. */
static void
options_are_found_by_name_and_letter(void **state)
{
	const struct kbox_command	*run = kbox_command_find("run");

	(void)state;
	assert_int_equal(kbox_option_find(run, "--timeout")->id, OPT_LIMIT);
	assert_int_equal(kbox_option_find(NULL, "--timeout")->id, OPT_TIMEOUT);
	assert_int_equal(kbox_option_find(run, "--env=A=b")->id, OPT_ENV);
	assert_int_equal(kbox_option_find(run, "-C")->id, OPT_CWD);
	assert_null(kbox_option_find(run, "-Cx"));
	assert_null(kbox_option_find(run, "--nothing"));
	assert_null(kbox_option_find(run, "-"));
	assert_null(kbox_option_find(run, "word"));
}

static void
the_words_of_run_are_not_its_options(void **state)
{
	struct kbox	k;

	(void)state;
	assert_int_equal(ARGS(&k, "run", "--timeout", "5s", "make", "-d"), 0);
	assert_string_equal(k.values[OPT_LIMIT], "5s");
	assert_null(k.values[OPT_TIMEOUT]);
	assert_null(k.values[OPT_DETACHED]);
	assert_int_equal(k.nwords, 2);
	arena_finish(&k.arena);
	assert_int_equal(ARGS(&k, "kill", "-9", "web"), 0);
	assert_non_null(k.values[OPT_NOW]);
	arena_finish(&k.arena);
}

static void
letters_combine_and_take_values(void **state)
{
	struct kbox	k;

	(void)state;
	assert_int_equal(ARGS(&k, "logs", "-fwn10", "-c", "grpc"), 0);
	assert_non_null(k.values[OPT_FOLLOW]);
	assert_non_null(k.values[OPT_WRAP]);
	assert_string_equal(k.values[OPT_LAST], "10");
	assert_string_equal(k.values[OPT_COMPONENT], "grpc");
	arena_finish(&k.arena);
	assert_int_equal(ARGS(&k, "logs", "-n=7"), 0);
	assert_string_equal(k.values[OPT_LAST], "7");
	arena_finish(&k.arena);
}

static void
an_optional_value_needs_its_sign(void **state)
{
	struct kbox	k;

	(void)state;
	assert_int_equal(ARGS(&k, "streams", "--watch"), 0);
	assert_string_equal(k.values[OPT_WATCH], "");
	arena_finish(&k.arena);
	assert_int_equal(ARGS(&k, "streams", "--watch=5", "--json=false"), 0);
	assert_string_equal(k.values[OPT_WATCH], "5");
	assert_null(k.values[OPT_JSON]);
	arena_finish(&k.arena);
}

static void
a_command_to_run_keeps_its_options(void **state)
{
	struct kbox	k;

	(void)state;
	assert_int_equal(ARGS(&k, "shell", "-n", "x", "ls", "-l", "--json"),
	    0);
	assert_string_equal(k.values[OPT_NAME], "x");
	assert_null(k.values[OPT_JSON]);
	assert_int_equal(k.nwords, 3);
	assert_string_equal(k.words[1], "-l");
	arena_finish(&k.arena);
}

static void
every_env_counts(void **state)
{
	struct kbox	k;

	(void)state;
	assert_int_equal(ARGS(&k, "shell", "-eA=1", "--env", "B=2"), 0);
	assert_int_equal(k.nlisted, 2);
	assert_string_equal(k.listed[0], "A=1");
	assert_string_equal(k.listed[1], "B=2");
	arena_finish(&k.arena);
}

static void
what_is_not_understood_is_wrong_usage(void **state)
{
	struct kbox	k;

	(void)state;
	assert_int_equal(ARGS(&k, "streams", "--ttl", "5"), KBOX_USAGE);
	arena_finish(&k.arena);
	assert_int_equal(ARGS(&k, "streams", "-z"), KBOX_USAGE);
	arena_finish(&k.arena);
	assert_int_equal(ARGS(&k, "streams", "--json=7"), KBOX_USAGE);
	arena_finish(&k.arena);
	assert_int_equal(ARGS(&k, "detach", "--ttl"), KBOX_USAGE);
	arena_finish(&k.arena);
	assert_int_equal(ARGS(&k, "logs", "-n"), KBOX_USAGE);
	arena_finish(&k.arena);
	assert_int_equal(ARGS(&k, "streams", "word"), KBOX_USAGE);
	arena_finish(&k.arena);
	assert_int_equal(ARGS(&k, "wait"), KBOX_USAGE);
	arena_finish(&k.arena);
}

static void
help_needs_no_arguments(void **state)
{
	struct kbox	k;

	(void)state;
	assert_int_equal(ARGS(&k, "kill", "--help"), 0);
	arena_finish(&k.arena);
	assert_int_equal(ARGS(&k, "streams", "x", "-v"), 0);
	arena_finish(&k.arena);
}

static void
spans_are_seconds_or_durations(void **state)
{
	(void)state;
	assert_int_equal(kbox_parse_span("10"), 10000);
	assert_int_equal(kbox_parse_span("0.5"), 500);
	assert_int_equal(kbox_parse_span("10m"), 600000);
	assert_int_equal(kbox_parse_span("1h30m"), 5400000);
	assert_int_equal(kbox_parse_span("0"), 0);
	assert_int_equal(kbox_parse_span("-1"), -EINVAL);
	assert_int_equal(kbox_parse_span("-1m"), -EINVAL);
	assert_int_equal(kbox_parse_span(""), -EINVAL);
	assert_int_equal(kbox_parse_span("x"), -EINVAL);
	assert_int_equal(kbox_parse_span("1x"), -EINVAL);
	assert_int_equal(kbox_parse_span("1e99"), -EINVAL);
}

static void
a_misspelt_command_is_recognised(void **state)
{
	(void)state;
	assert_string_equal(kbox_nearest("strems"), "streams");
	assert_string_equal(kbox_nearest("atach"), "attach");
	assert_string_equal(kbox_nearest("log"), "logs");
	assert_null(kbox_nearest("frobnicate"));
	assert_null(kbox_nearest("a-word-much-longer-than-any-command-is"));
}

static void
every_row_of_the_table_is_complete(void **state)
{
	const struct kbox_command	*c;
	size_t				 i;

	(void)state;
	for (i = 0; (c = kbox_command_at(i)) != NULL; i++) {
		assert_non_null(c->name);
		assert_non_null(c->usage);
		assert_non_null(c->run);
		assert_true(c->min_words <= c->max_words);
		assert_ptr_equal(kbox_command_find(c->name), c);
	}
	assert_null(kbox_command_find("nothing"));
	assert_string_equal(kbox_command_find("identity")->name, "profile");
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(options_and_words_may_be_mixed),
		cmocka_unit_test(options_are_found_by_name_and_letter),
		cmocka_unit_test(the_words_of_run_are_not_its_options),
		cmocka_unit_test(letters_combine_and_take_values),
		cmocka_unit_test(an_optional_value_needs_its_sign),
		cmocka_unit_test(a_command_to_run_keeps_its_options),
		cmocka_unit_test(every_env_counts),
		cmocka_unit_test(what_is_not_understood_is_wrong_usage),
		cmocka_unit_test(help_needs_no_arguments),
		cmocka_unit_test(spans_are_seconds_or_durations),
		cmocka_unit_test(a_misspelt_command_is_recognised),
		cmocka_unit_test(every_row_of_the_table_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
