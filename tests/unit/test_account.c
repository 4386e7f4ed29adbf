/* account: as whom a child runs, and with which environment. */
#include <sys/stat.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "auth/identity.h"
#include "base/str.h"
#include "tests/unit/failmalloc.h"
#include "workspace/account.h"

/* A fixture tree of two files. */
static char	passwd_path[] = "/tmp/test_account_p." "XX" "XX" "XX";
static char	group_path[] = "/tmp/test_account_g." "XX" "XX" "XX";

static const struct account_files	files = { passwd_path, group_path };
static const struct account_files	scratch = {
	"/nonexistent/passwd", "/nonexistent/group"
};

static char	alice_name[] = "alice", alice_home[] = "/home/alice";
static char	alice_shell[] = "/bin/fish";

static const struct identity	alice = {
	.from = IDENTITY_PROFILE, .username = alice_name, .home = alice_home,
	.shell = alice_shell, .uid = 1001, .gid = 1001,
};

static struct identity
with_sudo(void)
{
	struct identity	id = alice;

	id.sudo = true;
	return id;
}

static void
put(const char *path, const char *text)
{
	FILE	*f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static int
fixture(void **state)
{
	(void)state;
	put(passwd_path, "root:x:0:0:root:/root:/bin/bash\n"
	    "toor:x:0:0:also:/toor:/bin/csh\n"
	    "alice:x:1001:1001::/elsewhere:/bin/zsh\n"
	    "bob:x:1002:1002::/home/bob:/bin/bash\n"
	    "odd:x:1003:1003::relative:\n");
	put(group_path, "root:x:0:\nalice:x:1001:\nwheel:x:10:alice,bob\n"
	    "docker:x:998:alice\n");
	return 0;
}

/* Only root can resolve others: elsewhere these tests can't say anything. */
static void
need_root(void)
{
	if (geteuid() != 0)
		skip();
}

static struct account *
resolve(const struct identity *id, const char *as_user)
{
	struct account	*a = NULL;
	const char	*why = "";
	int		 r;

	if ((r = account_resolve(&a, id, as_user, &files, &why)) != 0)
		fail_msg("%s: %d: %s", as_user, r, why);
	return a;
}

static void
refused(const struct identity *id, const char *as_user, int expected,
    const char *text)
{
	struct account	*a = NULL;
	const char	*why = "";

	assert_int_equal(account_resolve(&a, id, as_user, &files, &why),
	    expected);
	assert_string_equal(why, text);
	assert_null(a);
}

static const char	needs_sudo[] =
    "becoming another user needs the sudo right";

/* -- account_resolve -- */

static void
T6_own_account_is_that_of_the_identity(void **state)
{
	static const char *const	names[] = { NULL, "", "alice" };
	struct account			*a;
	size_t				 i;

	(void)state;
	need_root();
	for (i = 0; i < ARRAY_LEN(names); i++) {
		a = resolve(&alice, names[i]);
		assert_string_equal(a->name, "alice");
		assert_int_equal(a->uid, 1001);
		assert_int_equal(a->gid, 1001);
		assert_string_equal(a->home, "/home/alice");
		assert_string_equal(a->login_shell, "/bin/zsh");
		assert_false(a->sudo);
		assert_int_equal(a->ngroups, 3);
		assert_int_equal(a->groups[0], 1001);
		assert_int_equal(a->groups[1], 10);
		assert_int_equal(a->groups[2], 998);
		account_destroy(a);
	}
}

static void
T6_a_uid_that_differs_from_passwd_is_refused(void **state)
{
	struct identity	id = alice;

	(void)state;
	need_root();
	id.uid = 1009;
	refused(&id, "", -EPERM,
	    "passwd has another uid for the workspace user");
	refused(&id, "alice", -EPERM,
	    "passwd has another uid for the workspace user");
	/* Another gid is the platform's choice. */
	id = alice;
	id.gid = 7;
	account_destroy(resolve(&id, ""));
}

static void
T6_other_users_need_the_sudo_right(void **state)
{
	static const char *const	names[] = {
		"root", "0", "+0", "00", "-0", "toor", "bob", "1002", "nobody",
		"alice\n", "alice ", "Alice", "alic", "1001", "ROOT", "root ",
		"root:x", "../root", "\xff",
	};
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(names); i++)
		refused(&alice, names[i], -EACCES, needs_sudo);
}

static void
EX_22_unknown_users_do_not_exist_even_with_the_right(void **state)
{
	static const char *const	names[] = {
		"nobody", "alice\n", "alice ", "Alice", "+0", "-0", "0x0",
		"root\n", " root", "4294967295", "4294967296", "1009",
		"root:x",
		"alice:x:1001:1001::/elsewhere:/bin/zsh", "x", "*", "\xff",
	};
	struct identity	id = with_sudo();
	size_t		i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(names); i++)
		refused(&id, names[i], -ENOENT, "no such user");
}

static void
EX_21_SH_07_root_with_the_right(void **state)
{
	static const char *const	names[] = { "root", "0" };
	struct identity	 id = with_sudo();
	struct account	*a;
	size_t		 i;

	(void)state;
	need_root();
	for (i = 0; i < ARRAY_LEN(names); i++) {
		a = resolve(&id, names[i]);
		assert_string_equal(a->name, "root");
		assert_int_equal(a->uid, 0);
		assert_int_equal(a->gid, 0);
		assert_string_equal(a->home, "/root");
		assert_string_equal(a->login_shell, "/bin/bash");
		assert_int_equal(a->ngroups, 0);
		assert_true(a->sudo);
		account_destroy(a);
	}
	put(passwd_path, "root:x:5:5::/:/bin/sh\n");
	refused(&id, "root", -EPERM, "passwd has another uid for root");
}

static void
others_come_from_passwd_by_name_or_uid(void **state)
{
	struct identity	 id = with_sudo();
	struct account	*a;

	(void)state;
	need_root();
	a = resolve(&id, "bob");
	assert_string_equal(a->home, "/home/bob");
	assert_int_equal(a->uid, 1002);
	assert_int_equal(a->ngroups, 2);
	assert_int_equal(a->groups[0], 1002);
	assert_int_equal(a->groups[1], 10);
	account_destroy(a);
	a = resolve(&id, "1002");
	assert_string_equal(a->name, "bob");
	account_destroy(a);
	a = resolve(&id, "odd");
	assert_string_equal(a->home, "/");
	assert_string_equal(a->login_shell, "");
	assert_int_equal(a->ngroups, 0);
	account_destroy(a);
	a = resolve(&id, "toor");
	assert_string_equal(a->name, "toor");
	assert_int_equal(a->uid, 0);
	account_destroy(a);
}

static void
an_image_without_passwd_works(void **state)
{
	struct identity	 id = with_sudo();
	struct account	*a;
	const char	*why;

	(void)state;
	need_root();
	assert_int_equal(account_resolve(&a, &alice, "", &scratch, &why), 0);
	assert_string_equal(a->name, "alice");
	assert_string_equal(a->login_shell, "/bin/fish");
	assert_int_equal(a->ngroups, 0);
	account_destroy(a);
	assert_int_equal(account_resolve(&a, &id, "root", &scratch, &why), 0);
	assert_int_equal(a->uid, 0);
	assert_int_equal(a->gid, 0);
	assert_string_equal(a->home, "/root");
	assert_string_equal(a->login_shell, "");
	account_destroy(a);
	assert_int_equal(account_resolve(&a, &id, "bob", &scratch, &why),
	    -ENOENT);
}

static void
a_passwd_that_can_not_be_read_refuses(void **state)
{
	static const struct account_files	broken = { "/tmp", "/tmp" };
	struct account	*a;
	const char	*why;

	(void)state;
	need_root();
	assert_int_equal(account_resolve(&a, &alice, "", &broken, &why), -EIO);
	assert_string_equal(why, "cannot read the passwd file");
}

static void
groups_that_can_not_be_read_are_none(void **state)
{
	static const struct account_files	broken = { passwd_path, "/tmp" };
	struct account	*a;
	const char	*why;

	(void)state;
	need_root();
	assert_int_equal(account_resolve(&a, &alice, "", &broken, &why), 0);
	assert_int_equal(a->ngroups, 0);
	account_destroy(a);
}

static void
groups_are_limited(void **state)
{
	static char	 text[300 * 32];
	struct account	*a;
	size_t		 at = 0;
	unsigned	 i;

	(void)state;
	need_root();
	for (i = 0; i < 300; i++)
		at += (size_t)snprintf(text + at, sizeof text - at,
		    "g%u:x:%u:alice\n", i, 2000 + i);
	put(group_path, text);
	a = resolve(&alice, "");
	assert_int_equal(a->ngroups, ACCOUNT_GROUPS_MAX);
	assert_int_equal(a->groups[0], 1001);
	assert_int_equal(a->groups[ACCOUNT_GROUPS_MAX - 1], 2254);
	account_destroy(a);
}

/* In a child, as uid 1002: 0 if it all held. */
static int
check_unprivileged(void)
{
	struct identity	 id = with_sudo();
	struct account	*a;
	const char	*why = "";

	if (setgid(1002) < 0 || setuid(1002) < 0)
		return 1;
	if (account_resolve(&a, &id, "", &files, &why) != -EACCES ||
	    strcmp(why, "not running as root: cannot become another user"))
		return 2;
	if (account_resolve(&a, &id, "root", &files, &why) != -EACCES)
		return 3;
	if (account_resolve(&a, &id, "bob", &files, &why) != 0 ||
	    a->uid != 1002)
		return 4;
	account_destroy(a);
	return 0;
}

static void
without_root_nobody_else_can_be_become(void **state)
{
	int	status;
	pid_t	pid;

	(void)state;
	need_root();
	assert_int_equal(chmod(passwd_path, 0644), 0);
	assert_int_equal(chmod(group_path, 0644), 0);
	if ((pid = fork()) == 0)
		_exit(check_unprivileged());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* -- account_environment -- */

static const char *
value_of(char **env, const char *name)
{
	const char	*value = NULL;
	size_t		 n = strlen(name);

	for (; *env != NULL; env++) {
		if (strncmp(*env, name, n) != 0 || (*env)[n] != '=')
			continue;
		assert_null(value);		/* never twice */
		value = *env + n + 1;
	}
	return value;
}

static size_t
count_of(char **env)
{
	size_t	n = 0;

	while (env[n] != NULL)
		n++;
	return n;
}

static char	no_text[] = "";

static const struct account	user = {
	.name = alice_name, .home = alice_home, .login_shell = alice_shell,
	.uid = 1001, .gid = 1001,
};

static const struct account	superuser = {
	.name = alice_name, .home = alice_home, .login_shell = no_text,
};

static char **
environment(const struct account *a, const char *const *request, size_t n)
{
	char	**env;

	env = account_environment(a, (char *const *)(uintptr_t)request, n,
	    "/bin/bash", true, NULL);
	assert_non_null(env);
	return env;
}

static void
EX_23_an_empty_request_gets_the_account(void **state)
{
	char	**env;

	(void)state;
	env = account_environment(&user, NULL, 0, NULL, false, NULL);
	assert_non_null(env);
	assert_int_equal(count_of(env), 5);
	assert_string_equal(value_of(env, "HOME"), "/home/alice");
	assert_string_equal(value_of(env, "USER"), "alice");
	assert_string_equal(value_of(env, "LOGNAME"), "alice");
	assert_string_equal(value_of(env, "SHELL"), "/bin/fish");
	assert_string_equal(value_of(env, "PATH"), "/usr/local/sbin:"
	    "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	free(env);
	env = account_environment(&superuser, NULL, 0, "", false, NULL);
	assert_string_equal(value_of(env, "SHELL"), "/bin/sh");
	free(env);
}

static void
T8_nothing_of_our_own_environment_is_inherited(void **state)
{
	char	**env;

	(void)state;
	setenv("K8SHELL_PAT_TOKEN", "secret", 1);
	setenv("LANG", "xx", 1);
	env = environment(&user, NULL, 0);
	assert_int_equal(count_of(env), 6);
	assert_null(value_of(env, "K8SHELL_PAT_TOKEN"));
	assert_null(value_of(env, "LANG"));
	free(env);
}

static void
SH_05_the_last_of_a_name_wins(void **state)
{
	static const char *const	request[] = {
		"TERM=dumb", "A=1", "AB=x", "A=2", "TERM=xterm-256color", "A=",
	};
	char	**env;

	(void)state;
	env = environment(&user, request, ARRAY_LEN(request));
	assert_string_equal(value_of(env, "TERM"), "xterm-256color");
	assert_string_equal(value_of(env, "A"), "");
	assert_string_equal(value_of(env, "AB"), "x");
	assert_string_equal(env[0], "TERM=xterm-256color");
	assert_string_equal(env[1], "A=");
	free(env);
}

static void
SH_06_account_wins_over_the_request(void **state)
{
	static const char *const	request[] = {
		"SHELL=/bin/evil", "USER=root", "LOGNAME=root", "HOME=/root",
		"PATH=/opt/bin", "TERM=vt100", "LANG=C.UTF-8",
		"USER=twice",
	};
	char	**env;

	(void)state;
	env = environment(&user, request, ARRAY_LEN(request));
	assert_int_equal(count_of(env), 7);
	assert_string_equal(value_of(env, "SHELL"), "/bin/bash");
	assert_string_equal(value_of(env, "USER"), "alice");
	assert_string_equal(value_of(env, "LOGNAME"), "alice");
	assert_string_equal(value_of(env, "HOME"), "/home/alice");
	assert_string_equal(value_of(env, "PATH"), "/opt/bin");
	assert_string_equal(value_of(env, "TERM"), "vt100");
	assert_string_equal(value_of(env, "LANG"), "C.UTF-8");
	free(env);
}

static void
TERM_is_made_up_for_a_terminal_only(void **state)
{
	char	**env;

	(void)state;
	env = account_environment(&user, NULL, 0, "/bin/sh", true, NULL);
	assert_string_equal(value_of(env, "TERM"), "xterm");
	free(env);
	env = account_environment(&user, NULL, 0, "/bin/sh", false, NULL);
	assert_null(value_of(env, "TERM"));
	free(env);
}

static void
extra_variables_win_over_all(void **state)
{
	static const char *const	extra[] = {
		"K8SHELL_SESSION_ID=s1", "HOME=/tmp", "LD_PRELOAD=ours", NULL
	};
	static char	id[] = "K8SHELL_SESSION_ID=forged";
	char		*request[] = { id }, **env;

	(void)state;
	env = account_environment(&superuser, request, 1, "/bin/sh", false,
	    extra);
	assert_string_equal(value_of(env, "K8SHELL_SESSION_ID"), "s1");
	assert_string_equal(value_of(env, "HOME"), "/tmp");
	assert_string_equal(value_of(env, "LD_PRELOAD"), "ours");
	free(env);
}

static void
ill_formed_variables_are_dropped(void **state)
{
	static const char *const	request[] = {
		"", "=", "=x", "NOVALUE", "A\nB=x", "A\x7f=x", "\tA=x",
		"OK=1=2\n3", "A B=kept", "\xc3\xa9=kept",
	};
	char	**env;

	(void)state;
	env = environment(&user, request, ARRAY_LEN(request));
	assert_int_equal(count_of(env), 6 + 3);
	assert_string_equal(value_of(env, "OK"), "1=2\n3");
	assert_string_equal(value_of(env, "A B"), "kept");
	assert_string_equal(value_of(env, "\xc3\xa9"), "kept");
	free(env);
}

static void
T19_root_gets_no_loader_variables(void **state)
{
	static const char *const	request[] = {
		"LD_PRELOAD=/x.so", "LD_=1", "LD_LIBRARY_PATH=/x",
		"BASH_ENV=/x", "ENV=/x", "GCONV_PATH=/x", "LOCPATH=/x",
		"NLSPATH=/x", "SHELLOPTS=x", "PS4=$(x)", "IFS=x",
		"BASH_FUNC_ls%%=() { x; }", "PERL5OPT=-Mx", "PERL5LIB=/x",
		"PYTHONPATH=/x", "PYTHONSTARTUP=/x", "RUBYOPT=-rx",
		"NODE_OPTIONS=-r x", "GLIBC_TUNABLES=x", "MALLOC_CHECK_=3",
		/* These only look like it. */
		"LD=1", "ENVIRONMENT=1", "MY_LD_PRELOAD=1", "IFSX=1",
		"ld_preload=1", "LANG=C", "PYTHON=1",
	};
	const size_t	harmless = 7;
	char		**env;

	(void)state;
	env = environment(&superuser, request, ARRAY_LEN(request));
	assert_int_equal(count_of(env), 6 + harmless);
	assert_null(value_of(env, "LD_PRELOAD"));
	assert_null(value_of(env, "ENV"));
	assert_string_equal(value_of(env, "ENVIRONMENT"), "1");
	free(env);
	/* The workspace user may do so to their own programs. */
	env = environment(&user, request, ARRAY_LEN(request));
	assert_int_equal(count_of(env), 6 + ARRAY_LEN(request));
	assert_string_equal(value_of(env, "LD_PRELOAD"), "/x.so");
	free(env);
}

static void
variables_are_limited(void **state)
{
	static char	 text[ACCOUNT_ENV_MAX + 1][16], name[258 + 2];
	static char	*request[ACCOUNT_ENV_MAX + 1];
	char		**env, *one[1] = { name };
	unsigned	 i;

	(void)state;
	for (i = 0; i <= ACCOUNT_ENV_MAX; i++) {
		snprintf(text[i], sizeof text[i], "V%u=%u", i, i);
		request[i] = text[i];
	}
	for (i = ACCOUNT_ENV_MAX - 1; i <= ACCOUNT_ENV_MAX + 1; i++) {
		env = account_environment(&user, request, i, "/bin/sh", true,
		    NULL);
		assert_int_equal(count_of(env),
		    6 + (i < ACCOUNT_ENV_MAX ? i : ACCOUNT_ENV_MAX));
		free(env);
	}
	for (i = 254; i <= 256; i++) {
		memset(name, 'N', i);
		memcpy(name + i, "=x", 3);
		env = account_environment(&user, one, 1, "/bin/sh", true,
		    NULL);
		assert_int_equal(count_of(env), i <= 255 ? 7 : 6);
		free(env);
	}
}

/* -- account_shell_usable -- */

static void
SH_02_shells_that_are_none_are_not_usable(void **state)
{
	static const char *const	no[] = {
		"", "sh", "./sh", "bin/sh", "/", "/bin/", "/usr/sbin/nologin",
		"/sbin/nologin", "/bin/false", "/usr/bin/false",
		"/home/alice/false", "/bin/there-is-no-such-shell",
		"/usr/local/bin/there-is-no-such-shell",
	};
	size_t	i;

	(void)state;
	assert_true(account_shell_usable("/bin/sh"));
	for (i = 0; i < ARRAY_LEN(no); i++)
		assert_false(account_shell_usable(no[i]));
	/* Ids of files nobody can run, and of what is no file. */
	assert_false(account_shell_usable("/usr/bin/."));
}

static void
shells_in_a_users_hands_are_not_looked_at(void **state)
{
	static const char *const	paths[] = {
		"/home/alice/bin/zsh", "/opt/data/fish", "/tmp/no-such-shell",
		"/bin/../tmp/no-such-shell", "/usr/bin/x/no-such-shell",
	};
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(paths); i++)
		assert_true(account_shell_usable(paths[i]));
}

/* -- memory -- */

static void
out_of_memory_is_an_error_at_every_allocation(void **state)
{
	struct account	*a = NULL;
	const char	*why;
	unsigned	 n;
	int		 r;

	(void)state;
	need_root();
	for (n = 1; ; n++) {
		why = "";
		failmalloc_arm(n);
		r = account_resolve(&a, &alice, "", &files, &why);
		if (!failmalloc_disarm())
			break;
		assert_int_equal(r, -ENOMEM);
		assert_string_equal(why, "out of memory");
	}
	assert_int_equal(r, 0);
	assert_int_equal(n, 5);
	failmalloc_arm(1);
	assert_null(account_environment(a, NULL, 0, NULL, true, NULL));
	failmalloc_disarm();
	account_destroy(a);
	account_destroy(NULL);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
#define RESOLVE(f)	cmocka_unit_test_setup(f, fixture)
		RESOLVE(T6_own_account_is_that_of_the_identity),
		RESOLVE(T6_a_uid_that_differs_from_passwd_is_refused),
		RESOLVE(T6_other_users_need_the_sudo_right),
		RESOLVE(EX_22_unknown_users_do_not_exist_even_with_the_right),
		RESOLVE(EX_21_SH_07_root_with_the_right),
		RESOLVE(others_come_from_passwd_by_name_or_uid),
		RESOLVE(an_image_without_passwd_works),
		RESOLVE(a_passwd_that_can_not_be_read_refuses),
		RESOLVE(groups_that_can_not_be_read_are_none),
		RESOLVE(groups_are_limited),
		RESOLVE(without_root_nobody_else_can_be_become),
		cmocka_unit_test(EX_23_an_empty_request_gets_the_account),
		cmocka_unit_test(
		    T8_nothing_of_our_own_environment_is_inherited),
		cmocka_unit_test(SH_05_the_last_of_a_name_wins),
		cmocka_unit_test(SH_06_account_wins_over_the_request),
		cmocka_unit_test(TERM_is_made_up_for_a_terminal_only),
		cmocka_unit_test(extra_variables_win_over_all),
		cmocka_unit_test(ill_formed_variables_are_dropped),
		cmocka_unit_test(T19_root_gets_no_loader_variables),
		cmocka_unit_test(variables_are_limited),
		cmocka_unit_test(SH_02_shells_that_are_none_are_not_usable),
		cmocka_unit_test(shells_in_a_users_hands_are_not_looked_at),
		RESOLVE(out_of_memory_is_an_error_at_every_allocation),
	};
	int	p, g, r;

	p = mkstemp(passwd_path);
	g = mkstemp(group_path);
	if (p < 0 || g < 0)
		return 1;
	close(p);
	close(g);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(passwd_path);
	unlink(group_path);
	return r;
}
