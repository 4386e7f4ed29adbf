/*
 * ssh's command line as scp, sftp, rsync, git and people write it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* An applet is in no library. */
#include "applets/kssh_options.c"

#define ARGS_MAX	40

/* Splits a line at blanks; "_" stands for a blank inside of an argument. */
static int
parse(struct kssh_options *o, const char *line)
{
	char	 copy[512], *argv[ARGS_MAX], *p, *save = NULL;
	int	 argc = 0;

	/* What o points to in argv is not looked at after this. */
	snprintf(copy, sizeof copy, "kssh %s", line);
	for (p = strtok_r(copy, " ", &save); p != NULL;
	    p = strtok_r(NULL, " ", &save)) {
		assert_true(argc < ARGS_MAX);
		argv[argc++] = p;
		for (; (p = strchr(p, '_')) != NULL; )
			*p = ' ';
	}
	return kssh_options_parse(o, argc, argv);
}

struct expected {
	const char	*line, *user, *host, *socket;
	uint16_t	 port;
	const char	*command;
};

static void
same(const char *line, const char *have, const char *want)
{
	if ((have == NULL) != (want == NULL) ||
	    (want != NULL && strcmp(have, want) != 0))
		fail_msg("%s: %s instead of %s", line,
		    have != NULL ? have : "(null)",
		    want != NULL ? want : "(null)");
}

static void
targets_and_commands(void **state)
{
	static const struct expected	table[] = {
		{ "", NULL, NULL, NULL, 2822, NULL },
		{ ".", NULL, NULL, NULL, 2822, NULL },
		{ "al@.", "al", NULL, NULL, 2822, NULL },
		{ "h", NULL, "h", NULL, 2822, NULL },
		{ "h:99", NULL, "h", NULL, 99, NULL },
		{ "-p 99 h", NULL, "h", NULL, 99, NULL },
		{ "-p99 al@h id -u", "al", "h", NULL, 99, "id -u" },
		{ "-l al h", "al", "h", NULL, 2822, NULL },
		{ "-l x al@b@h", "al@b", "h", NULL, 2822, NULL },
		{ "::1", NULL, "::1", NULL, 2822, NULL },
		{ "[::1]", NULL, "::1", NULL, 2822, NULL },
		{ "[::1]:7 x", NULL, "::1", NULL, 7, "x" },
		{ "unix:/a/b:c x", NULL, NULL, "/a/b:c", 2822, "x" },
		{ "h -p 7 x -p 8", NULL, "h", NULL, 7, "x -p 8" },
		{ "-- h -p 7", NULL, "h", NULL, 2822, "-p 7" },
		{ "h -- -x", NULL, "h", NULL, 2822, "-x" },
		{ "-oPort=7 -o User_al h", "al", "h", NULL, 7, NULL },
		{ "-oport=7 -o user_=_al h", "al", "h", NULL, 7, NULL },
	};
	struct kssh_options	o;
	size_t			i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(table); i++) {
		assert_int_equal(parse(&o, table[i].line), -1);
		same(table[i].line, o.user, table[i].user);
		same(table[i].line, o.host, table[i].host);
		same(table[i].line, o.socket, table[i].socket);
		same(table[i].line, o.command, table[i].command);
		assert_int_equal(o.port, table[i].port);
		kssh_options_finish(&o);
	}
}

/* As their sources and manuals have them. */
static void
command_lines_of_other_programs(void **state)
{
	static const struct {
		const char	*line, *command;
		bool		 subsystem;
	} table[] = {
		{ "-x -oPermitLocalCommand=no -oClearAllForwardings=yes "
		  "-oRemoteCommand=none -oRequestTTY=no -oForwardAgent=no "
		  "-l al -s -- h sftp", "sftp", true },
		{ "-oForwardX11_no -oPermitLocalCommand_no "
		  "-oClearAllForwardings_yes -oForwardAgent_no -oProtocol_2 "
		  "-s -- h sftp", "sftp", true },
		{ "-x -oClearAllForwardings=yes -- h scp_-t_/tmp",
		  "scp -t /tmp", false },
		{ "-l al h rsync --server -e.LsfxCIvu . dir",
		  "rsync --server -e.LsfxCIvu . dir", false },
		{ "-4 -p 7 h rsync --server", "rsync --server", false },
		{ "-o SendEnv=GIT_PROTOCOL -p 7 al@h git-upload-pack_'/r'",
		  "git-upload-pack '/r'", false },
	};
	struct kssh_options	o;
	size_t			i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(table); i++) {
		assert_int_equal(parse(&o, table[i].line), -1);
		same(table[i].line, o.command, table[i].command);
		assert_int_equal(o.subsystem, table[i].subsystem);
		kssh_options_finish(&o);
	}
}

static void
terminal_is_asked_for_forced_and_refused(void **state)
{
	static const struct {
		const char	*line;
		enum kssh_tty	 tty;
	} table[] = {
		{ "h", TTY_AUTO }, { "-t h", TTY_ASK }, { "-T h", TTY_NO },
		{ "-tt h", TTY_FORCE }, { "-t -t h", TTY_FORCE },
		{ "-ttt h", TTY_FORCE }, { "-t -T h", TTY_NO },
		{ "-T -t h", TTY_ASK }, { "-oRequestTTY=force h", TTY_FORCE },
		{ "-o requesttty=YES h", TTY_ASK },
		{ "-o RequestTTY_no h", TTY_NO },
	};
	struct kssh_options	o;
	size_t			i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(table); i++) {
		assert_int_equal(parse(&o, table[i].line), -1);
		if (o.tty != table[i].tty)
			fail_msg("%s", table[i].line);
		kssh_options_finish(&o);
	}
}

static void
clusters_and_values(void **state)
{
	struct kssh_options	o;

	(void)state;
	assert_int_equal(parse(&o, "-vvqnsTe^] -o ConnectTimeout=5 h sftp"),
	    -1);
	assert_int_equal(o.verbose, 2);
	assert_true(o.quiet && o.no_stdin && o.subsystem);
	assert_int_equal(o.escape, 0x1d);
	assert_int_equal(o.connect_timeout_s, 5);
	kssh_options_finish(&o);
	assert_int_equal(parse(&o, "-e none -6 --plaintext --ca=x h"), -1);
	assert_int_equal(o.escape, KSSH_ESCAPE_NONE);
	assert_int_equal(o.family, AF_INET6);
	assert_true(o.plaintext);
	kssh_options_finish(&o);
}

static void
sessions_that_survive(void **state)
{
	static const struct {
		const char	*line;
		bool		 keep, attach, list, json;
	} table[] = {
		{ "h", false, false, false, false },
		{ "--detach-on-close h", true, false, false, false },
		{ "-tt --detach-on-close", true, false, false, false },
		{ "--attach sh-1 h", false, true, false, false },
		{ "h --attach=sh-1", false, true, false, false },
		{ "--attach sh-1 --detach-on-close", true, true, false,
		  false },
		{ "--list", false, false, true, false },
		{ "--json --list h", false, false, true, true },
		{ "-T --list", false, false, true, false },
	};
	struct kssh_options	o;
	size_t			i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(table); i++) {
		assert_int_equal(parse(&o, table[i].line), -1);
		if (o.keep != table[i].keep || o.list != table[i].list ||
		    (o.attach != NULL) != table[i].attach ||
		    o.json != table[i].json)
			fail_msg("%s", table[i].line);
		assert_null(o.command);
		kssh_options_finish(&o);
	}
}

static void
what_does_not_go_together_is_refused(void **state)
{
	static const char *const lines[] = {
		"--attach", "--attach=", "--attach sh-1 h id",
		"--detach-on-close h id", "--list h id", "--list --attach sh-1",
		"--list --detach-on-close", "--json", "--json --attach sh-1",
		"-T --attach sh-1", "-T --detach-on-close h", "--list=x",
		"--attach sh-1 -s h sftp",
	};
	struct kssh_options	o;
	size_t			i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(lines); i++) {
		if (parse(&o, lines[i]) != KSSH_TROUBLE)
			fail_msg("%s", lines[i]);
		kssh_options_finish(&o);
	}
}

static void
environment_is_named_once_and_the_first_counts(void **state)
{
	struct kssh_options	o;

	(void)state;
	setenv("KSSH_TEST_A", "1", 1);
	setenv("KSSH_TEST_B", "two", 1);
	o = (struct kssh_options){ 0 };
	assert_int_equal(set_option(&o, "SetEnv=KSSH_TEST_A=x"), -1);
	assert_int_equal(set_option(&o, "SendEnv KSSH_TEST_* KSSH_NONE"), -1);
	assert_int_equal(set_option(&o, "SendEnv=KSSH_TEST_"), -1);
	kssh_options_env(&o, "KSSH_TEST_B=three");
	kssh_options_env(&o, "KSSH_TEST=four");
	assert_int_equal(o.nenv, 3);
	assert_string_equal(o.env[0], "KSSH_TEST_A=x");
	assert_string_equal(o.env[1], "KSSH_TEST_B=two");
	assert_string_equal(o.env[2], "KSSH_TEST=four");
	kssh_options_finish(&o);
	kssh_options_finish(&o);		/* twice is allowed */
}

static void
every_letter_of_ssh_is_known(void **state)
{
	static const char	plain[] = "46AaCfGgKkMNnqsTtVvXxYy";
	static const char	valued[] = "BbcDEeFIiJLlmOoPpQRSWw";
	size_t			i;

	(void)state;
	for (i = 0; plain[i] != '\0'; i++)
		if (strchr("Gnqstv46TV" IGNORED NOT_YET, plain[i]) == NULL)
			fail_msg("-%c is unknown", plain[i]);
	for (i = 0; valued[i] != '\0'; i++)
		if (strchr(WITH_VALUE, valued[i]) == NULL)
			fail_msg("-%c takes a value", valued[i]);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(targets_and_commands),
		cmocka_unit_test(command_lines_of_other_programs),
		cmocka_unit_test(terminal_is_asked_for_forced_and_refused),
		cmocka_unit_test(clusters_and_values),
		cmocka_unit_test(sessions_that_survive),
		cmocka_unit_test(what_does_not_go_together_is_refused),
		cmocka_unit_test(
		    environment_is_named_once_and_the_first_counts),
		cmocka_unit_test(every_letter_of_ssh_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
