#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "proc/launch.h"
#include "tests/unit/run.h"

/* -- programs ------------------------------------------------------------- */

static void
the_first_path_that_executes_runs(void **state)
{
	static const char *const paths[] = { "/no/such/shell", "/etc/passwd",
				    "/bin/sh", NULL };
	static const char *const argv[] = { NULL, "-c", "echo $0", NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_STREAMS);
	struct spin		 s;
	struct run		 run;

	(void)state;
	spin_init(&s, true);
	run_all(&run, &s, &spec);
	assert_string_equal(run.path, "/bin/sh");
	assert_string_equal(run.text, "/bin/sh\n");
	run_end(&run);
	assert_int_equal(run.exit.value, 0);
	assert_int_equal(run.hup_at_exit, 0);
	spin_finish(&s);
}

static void
SH_02_a_login_shell_has_a_dash_before_its_path(void **state)
{
	static const char *const paths[] = { "/no/such", "/bin/cat", NULL };
	static const char *const argv[] = { "-", "/proc/self/cmdline", NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_STREAMS);
	struct spin		 s;
	struct run		 run;

	(void)state;
	spin_init(&s, true);
	run_all(&run, &s, &spec);
	assert_string_equal(run.text, "-/bin/cat");
	run_end(&run);
	spin_finish(&s);
}

static void
an_argv0_of_its_own_is_kept(void **state)
{
	static const char *const paths[] = { "/bin/cat", NULL };
	static const char *const argv[] = { "kitty", "/proc/self/cmdline",
				    NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_STREAMS);
	struct spin		 s;
	struct run		 run;

	(void)state;
	spin_init(&s, true);
	run_all(&run, &s, &spec);
	assert_string_equal(run.text, "kitty");
	run_end(&run);
	spin_finish(&s);
}

static void
a_bare_name_is_looked_up_on_the_childs_path(void **state)
{
	static const char *const paths[] = { "sh", NULL };
	static const char *const argv[] = { NULL, "-c", "echo $0", NULL };
	static const char *const env[] = { "A=b",
				    "PATH=:.:usr/bin:/nowhere:/usr/bin:/bin",
				    NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_STREAMS);
	struct spin		 s;
	struct run		 run;

	(void)state;
	spec.envp = env;
	spin_init(&s, true);
	run_all(&run, &s, &spec);
	assert_string_equal(run.path, "/usr/bin/sh");
	assert_string_equal(run.text, "/usr/bin/sh\n");
	run_end(&run);
	spin_finish(&s);
}

/* Expects the start of paths to fail; leaves the details in run. */
static void
run_failing(struct run *run, const char *const *paths,
    const char *const *argv, const char *const *env)
{
	struct child_spec	spec = spec_of(paths, argv, CHILD_STREAMS);
	struct spin		s;

	if (env != NULL)
		spec.envp = env;
	spin_init(&s, true);
	run_spawn(run, &s, &spec);
	spin_until(&s, &run->started);
	assert_int_not_equal(run->stage, CHILD_OK);
	run_end(run);
	spin_finish(&s);
}

static void
D15_what_is_absent_is_ENOENT_under_the_name_asked_for(void **state)
{
	static const char *const absolute[] = { "/no/such", "/nor/this", NULL };
	static const char *const bare[] = { "no-such-program", NULL };
	static const char *const none[] = { NULL };
	static const char *const nothing[] = { "", NULL };
	static const char *const relative[] = { "PATH=.:", NULL };
	static const char *const argv[] = { NULL, NULL };
	struct run		 run;

	(void)state;
	run_failing(&run, absolute, argv, NULL);
	assert_int_equal(run.stage, CHILD_EXEC);
	assert_int_equal(run.err, ENOENT);
	assert_string_equal(run.path, "/no/such");
	run_failing(&run, bare, argv, NULL);
	assert_int_equal(run.err, ENOENT);
	assert_string_equal(run.path, "no-such-program");
	run_failing(&run, bare, argv, relative);
	assert_int_equal(run.err, ENOENT);
	run_failing(&run, nothing, argv, NULL);
	assert_int_equal(run.err, ENOENT);
	run_failing(&run, none, argv, NULL);
	assert_int_equal(run.stage, CHILD_EXEC);
	assert_int_equal(run.err, ENOENT);
	assert_string_equal(run.path, "");
}

static void
D15_found_but_not_executable_says_more_than_absent(void **state)
{
	static const char *const paths[] = { "/no/such", "/etc/passwd",
				    "/nor/this", NULL };
	static const char *const folder[] = { "/etc", NULL };
	static const char *const argv[] = { NULL, NULL };
	struct run		 run;

	(void)state;
	run_failing(&run, paths, argv, NULL);
	assert_int_equal(run.err, EACCES);
	assert_string_equal(run.path, "/etc/passwd");
	run_failing(&run, folder, argv, NULL);
	assert_int_equal(run.err, EACCES);
	assert_int_equal(run.exit.value, 126);
}

static void
a_file_that_is_no_program_is_not_guessed_at(void **state)
{
	char			 file[] = TEMPLATE;
	const char		*paths[] = { file, "/bin/true", NULL };
	static const char *const argv[] = { NULL, NULL };
	struct run		 run;
	int			 fd = mkstemp(file);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "echo guessed\n", 13), 13);
	assert_int_equal(fchmod(fd, 0755), 0);
	close(fd);
	run_failing(&run, paths, argv, NULL);
	unlink(file);
	assert_int_equal(run.err, ENOEXEC);
	assert_string_equal(run.path, file);
}

static void
EX_26_an_argument_of_200_KiB_is_E2BIG(void **state)
{
	static const char *const paths[] = { "/bin/sh", "/bin/dash", NULL };
	char			*big = calloc(1, 200 * 1024 + 1);
	const char		*argv[] = { NULL, "-c", big, NULL };
	struct run		 run;

	(void)state;
	assert_non_null(big);
	memset(big, ' ', 200 * 1024);
	run_failing(&run, paths, argv, NULL);
	free(big);
	assert_int_equal(run.stage, CHILD_EXEC);
	assert_int_equal(run.err, E2BIG);
	assert_string_equal(run.path, "/bin/sh");
}

static void
an_endless_PATH_is_looked_at_only_so_far(void **state)
{
	static const char *const paths[] = { "sh", NULL };
	static const char *const argv[] = { NULL, NULL };
	size_t			 i, n = 3000;
	char			*path = calloc(1, 8 + n * 3);
	const char		*env[] = { path, NULL };
	struct run		 run;

	(void)state;
	assert_non_null(path);
	memcpy(path, "PATH=", 5);
	for (i = 0; i < n; i++)
		memcpy(path + 5 + i * 3, "/x:", 3);
	memcpy(path + 5 + (n - 1) * 3, "/bin", 5);
	run_failing(&run, paths, argv, env);
	free(path);
	assert_int_equal(run.err, ENOENT);
}

/* -- directory ------------------------------------------------------------ */

static void
a_missing_directory_falls_back_to_the_root_and_says_so(void **state)
{
	static const char *const paths[] = { "/bin/pwd", NULL };
	static const char *const argv[] = { NULL, NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_STREAMS);
	struct spin		 s;
	struct run		 run;

	(void)state;
	spin_init(&s, true);
	spec.cwd = "/no/such/home";
	run_all(&run, &s, &spec);
	assert_int_equal(run.cwd_err, ENOENT);
	assert_string_equal(run.text, "/\n");
	run_end(&run);
	spec.cwd = "/usr/bin";
	run_all(&run, &s, &spec);
	assert_int_equal(run.cwd_err, 0);
	assert_string_equal(run.text, "/usr/bin\n");
	run_end(&run);
	spec.cwd = NULL;
	run_all(&run, &s, &spec);
	assert_int_equal(run.cwd_err, 0);
	assert_string_equal(run.text, "/\n");
	run_end(&run);
	spin_finish(&s);
}

static void
T19_the_directory_is_entered_with_the_users_rights(void **state)
{
	static const char *const paths[] = { "/bin/pwd", NULL };
	static const char *const argv[] = { NULL, NULL };
	char			 dir[] = TEMPLATE;
	struct child_spec	 spec = spec_of(paths, argv, CHILD_STREAMS);
	struct spin		 s;
	struct run		 run;

	(void)state;
	NEED_ROOT();
	assert_non_null(mkdtemp(dir));
	spec.cwd = dir;
	spec.user = (struct child_user){ .uid = 1234, .gid = 1234,
	    .change = true };
	spin_init(&s, true);
	run_all(&run, &s, &spec);
	rmdir(dir);
	assert_int_equal(run.cwd_err, EACCES);
	assert_string_equal(run.text, "/\n");
	run_end(&run);
	spin_finish(&s);
}

/* -- descriptors, signals, environment ------------------------------------ */

static void
T18_only_the_standard_three_are_open(void **state)
{
	static const char *const paths[] = { "/bin/ls", NULL };
	static const char *const argv[] = { NULL, "-1", "/proc/self/fd",
				    NULL };
	static const enum child_io kinds[] = { CHILD_STREAMS, CHILD_MERGED };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_STREAMS);
	struct spin		 s;
	struct run		 run;
	size_t			 i;
	int			 leak = dup(STDIN_FILENO), far;

	(void)state;
	far = fcntl(leak, F_DUPFD, 500);	/* neither closes on exec */
	spin_init(&s, true);
	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		spec.io = kinds[i];
		run_all(&run, &s, &spec);
		/* 3 is the folder that ls itself has open. */
		assert_string_equal(run.text, "0\n1\n2\n3\n");
		run_end(&run);
	}
	spec.io = CHILD_PTY;
	run_all(&run, &s, &spec);
	assert_string_equal(run.text, "0\r\n1\r\n2\r\n3\r\n");
	run_end(&run);
	spin_finish(&s);
	close(far);
	close(leak);
}

static void
T18_nothing_leaks_between_500_parallel_spawns(void **state)
{
	enum { BATCH = 50, ROUNDS = 10 };
	static const char *const paths[] = { "/bin/ls", NULL };
	static const char *const argv[] = { NULL, "/proc/self/fd", NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_STREAMS);
	struct spin		 s;
	struct run		*run = calloc(BATCH, sizeof *run);
	int			 i, round;

	(void)state;
	assert_non_null(run);
	spin_init(&s, true);
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < BATCH; i++)
			run_spawn(&run[i], &s, &spec);
		for (i = 0; i < BATCH; i++) {
			spin_until(&s, &run[i].started);
			read_all(&run[i], child_take_stdout(run[i].child));
			assert_string_equal(run[i].text, "0\n1\n2\n3\n");
			run_end(&run[i]);
		}
	}
	spin_finish(&s);
	free(run);
}

static void
a_daemon_without_standard_descriptors_can_spawn(void **state)
{
	static const char *const paths[] = { "/bin/ls", NULL };
	static const char *const argv[] = { NULL, "/proc/self/fd", NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_STREAMS);
	struct spin		 s;
	struct run		 run;
	int			 saved[3], i;

	(void)state;
	for (i = 0; i < 3; i++) {
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 100);
		close(i);
	}
	spin_init(&s, true);
	run_spawn(&run, &s, &spec);
	spin_until(&s, &run.started);
	read_all(&run, child_take_stdout(run.child));
	assert_string_equal(run.text, "0\n1\n2\n3\n");
	run_end(&run);
	spin_finish(&s);
	for (i = 0; i < 3; i++) {
		dup2(saved[i], i);
		close(saved[i]);
	}
}

static void
T22_signals_are_default_and_unblocked_in_the_child(void **state)
{
	static const char *const paths[] = { "/bin/cat", NULL };
	static const char *const argv[] = { NULL, "/proc/self/status", NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_STREAMS);
	struct spin		 s;
	struct run		 run;

	(void)state;
	spin_init(&s, true);		/* blocks CHLD, ignores PIPE */
	signal(SIGUSR1, SIG_IGN);
	run_all(&run, &s, &spec);
	assert_string_equal(field(run.text, "SigBlk:"), "0000000000000000");
	/*
	 * 32 and 33 are libc's own: posix_spawn, which make uses, leaves them
	 * ignored in what it starts, and sigaction() will not touch them.
	 */
	assert_int_equal(strtoull(field(run.text, "SigIgn:"), NULL, 16) &
	    ~UINT64_C(0x180000000), 0);
	run_end(&run);
	spin_finish(&s);
}

static void
T8_the_child_sees_only_the_environment_it_was_given(void **state)
{
	static const char *const paths[] = { "/bin/cat", NULL };
	static const char *const argv[] = { NULL, "/proc/self/environ", NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_STREAMS);
	struct spin		 s;
	struct run		 run;

	(void)state;
	setenv("K8SHELL_PAT_TOKEN", "secret", 1);
	spin_init(&s, true);
	run_all(&run, &s, &spec);
	assert_memory_equal(run.text, "PATH=/usr/bin:/bin\0A=b\0\0", 24);
	run_end(&run);
	spin_finish(&s);
}

static void
T28_the_child_gets_the_original_descriptor_limit(void **state)
{
	static const char *const paths[] = { "/bin/sh", NULL };
	static const char *const argv[] = { NULL, "-c",
				    "ulimit -Sn; ulimit -Hn; umask", NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_STREAMS);
	struct rlimit		 rl = { .rlim_cur = 123, .rlim_max = 456 };
	struct spin		 s;
	struct run		 run;

	(void)state;
	spec.nofile = &rl;
	spin_init(&s, true);
	run_all(&run, &s, &spec);
	assert_string_equal(run.text, "123\n456\n0022\n");
	run_end(&run);
	spin_finish(&s);
}

static void
every_child_leads_its_own_session(void **state)
{
	static const enum child_io kinds[] = { CHILD_STREAMS, CHILD_PTY };
	char			 want[64];
	struct spin		 s;
	struct run		 run;
	size_t			 i;

	(void)state;
	spin_init(&s, true);
	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		run_script(&run, &s, kinds[i], NULL,
		    "set -- $(cat /proc/$$/stat); "
		    "[ $1 = $5 ] && [ $1 = $6 ] && echo leader $1");
		snprintf(want, sizeof want, "leader %d%s\n",
		    (int)child_pid(run.child),
		    kinds[i] == CHILD_PTY ? "\r" : "");
		assert_string_equal(run.text, want);
		run_end(&run);
	}
	spin_finish(&s);
}

/* -- users ---------------------------------------------------------------- */

static const char	show_ids[] = "cat /proc/self/status";

static void
T19_ids_groups_and_capabilities_are_the_users_only(void **state)
{
	static const gid_t	groups[] = { 1234, 4242 };
	struct child_user	user = { .uid = 1234, .gid = 1235,
				    .groups = groups, .ngroups = 2,
				    .change = true };
	struct spin		s;
	struct run		run;

	(void)state;
	NEED_ROOT();
	spin_init(&s, true);
	run_script(&run, &s, CHILD_STREAMS, &user, show_ids);
	assert_string_equal(field(run.text, "Uid:"), "1234 1234 1234 1234");
	assert_string_equal(field(run.text, "Gid:"), "1235 1235 1235 1235");
	assert_string_equal(field(run.text, "Groups:"), "1234 4242");
	assert_string_equal(field(run.text, "CapPrm:"), "0000000000000000");
	assert_string_equal(field(run.text, "CapEff:"), "0000000000000000");
	assert_string_equal(field(run.text, "CapBnd:"), "0000000000000000");
	assert_string_equal(field(run.text, "CapAmb:"), "0000000000000000");
	assert_string_equal(field(run.text, "NoNewPrivs:"), "1");
	run_end(&run);

	user.groups = NULL;
	user.ngroups = 0;
	run_script(&run, &s, CHILD_PTY, &user, show_ids);
	assert_string_equal(field(run.text, "Groups:"), "\r");
	run_end(&run);
	spin_finish(&s);
}

static void
T19_the_sudo_right_keeps_what_sudo_needs(void **state)
{
	struct child_user	user = { .uid = 1234, .gid = 1234,
				    .change = true, .may_gain = true };
	struct spin		s;
	struct run		run;

	(void)state;
	NEED_ROOT();
	spin_init(&s, true);
	run_script(&run, &s, CHILD_STREAMS, &user, show_ids);
	assert_string_equal(field(run.text, "Uid:"), "1234 1234 1234 1234");
	assert_string_equal(field(run.text, "CapEff:"), "0000000000000000");
	assert_string_not_equal(field(run.text, "CapBnd:"),
	    "0000000000000000");
	assert_string_equal(field(run.text, "NoNewPrivs:"), "0");
	run_end(&run);
	spin_finish(&s);
}

static void
T19_root_stays_root(void **state)
{
	struct child_user	user = { .uid = 0, .gid = 0, .change = true };
	struct spin		s;
	struct run		run;

	(void)state;
	NEED_ROOT();
	spin_init(&s, true);
	run_script(&run, &s, CHILD_STREAMS, &user, show_ids);
	assert_string_equal(field(run.text, "Uid:"), "0 0 0 0");
	assert_string_not_equal(field(run.text, "CapEff:"),
	    "0000000000000000");
	run_end(&run);
	spin_finish(&s);
}

/* In a fork; its status is the verdict. */
static void
try_keep_only(int first)
{
	int	fd = open("/dev/zero", O_RDONLY), i;
	char	c = 1;

	for (i = 0; i <= first; i++)
		close(i);
	if (launch_keep_only(fd, 3) < 0)
		_exit(10);
	if (read(3, &c, 1) != 1 || c != 0)
		_exit(11);
	for (i = 0; i < 3; i++)
		if (read(i, &c, 1) != 0 || write(i, &c, 1) != 1)
			_exit(12);
	for (i = 4; i < 100; i++)
		if (fcntl(i, F_GETFD) != -1)
			_exit(13);
	_exit(0);
}

static void
T18_a_forked_child_keeps_one_descriptor(void **state)
{
	int	first, status, far = fcntl(STDIN_FILENO, F_DUPFD, 50);
	pid_t	pid;

	(void)state;
	/* Also if we were started without the standard three. */
	for (first = -1; first < 3; first++) {
		if ((pid = fork()) == 0)
			try_keep_only(first);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	close(far);
}

/* In a fork without the right to change ids; its status is the verdict. */
static void
try_drop_unprivileged(void)
{
	static const char *const paths[] = { "/bin/true", NULL };
	static const char *const argv[] = { NULL, NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_OUTPUT);
	struct spin		 s;
	struct run		 run;

	if (setresgid(1234, 1234, 1234) == -1 ||
	    setresuid(1234, 1234, 1234) == -1)
		_exit(10);
	spec.user = (struct child_user){ .uid = 4321, .gid = 4321,
	    .change = true };
	spin_init(&s, true);
	run_spawn(&run, &s, &spec);
	spin_until(&s, &run.over);
	_exit(run.stage == CHILD_IDS && run.err == EPERM &&
	    run.exit.value == 126 ? 0 : 11);
}

static void
T19_a_drop_that_fails_runs_nothing(void **state)
{
	pid_t	pid;
	int	status;

	(void)state;
	NEED_ROOT();
	if ((pid = fork()) == 0)
		try_drop_unprivileged();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		T(the_first_path_that_executes_runs),
		T(SH_02_a_login_shell_has_a_dash_before_its_path),
		T(an_argv0_of_its_own_is_kept),
		T(a_bare_name_is_looked_up_on_the_childs_path),
		T(D15_what_is_absent_is_ENOENT_under_the_name_asked_for),
		T(D15_found_but_not_executable_says_more_than_absent),
		T(a_file_that_is_no_program_is_not_guessed_at),
		T(EX_26_an_argument_of_200_KiB_is_E2BIG),
		T(an_endless_PATH_is_looked_at_only_so_far),
		T(a_missing_directory_falls_back_to_the_root_and_says_so),
		T(T19_the_directory_is_entered_with_the_users_rights),
		T(T18_only_the_standard_three_are_open),
		T(T18_a_forked_child_keeps_one_descriptor),
		T(T18_nothing_leaks_between_500_parallel_spawns),
		T(a_daemon_without_standard_descriptors_can_spawn),
		T(T22_signals_are_default_and_unblocked_in_the_child),
		T(T8_the_child_sees_only_the_environment_it_was_given),
		T(T28_the_child_gets_the_original_descriptor_limit),
		T(every_child_leads_its_own_session),
		T(T19_ids_groups_and_capabilities_are_the_users_only),
		T(T19_the_sudo_right_keeps_what_sudo_needs),
		T(T19_root_stays_root),
		T(T19_a_drop_that_fails_runs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
