/* procfs: one process of /proc, on fixture trees and on ourselves. */
#include <sys/stat.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "proc/procfs.h"
#include "tests/unit/fixture.h"

#define PATH_LEN	512
#define TAIL " S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 2 0 4250 99 7 18446744"

static char	root[] = "/tmp/test_procfs." "XX" "XX" "XX";

/* A file of the fixture; n: it may hold NULs. */
static void
put(const char *name, const char *text, size_t n)
{
	fixture_put(root, name, text, n);
}

static int
make_root(void **state)
{
	(void)state;
	memcpy(root + strlen(root) - 6, "XX" "XX" "XX", 6);
	return mkdtemp(root) == NULL;
}

static int
remove_root(void **state)
{
	(void)state;
	return fixture_remove(root);
}

/* -- stat ----------------------------------------------------------------- */

static void
T3_N12_a_name_may_hold_anything(void **state)
{
	static const struct {
		const char	*text, *name;
	} cases[] = {
		{ "12 (sh)" TAIL, "sh" },
		{ "12 (a) Z 1 ()" TAIL, "a) Z 1 (" },
		{ "12 (a\nb) X 1 1)" TAIL "\n", "a\nb) X 1 1" },
		{ "12 ()" TAIL, "" },
		{ "12 (()" TAIL, "(" },
		{ "12 (kworker/u9:1-events_unbound)" TAIL, "kworker/u9:1-ev" },
	};
	struct procfs_stat	s;
	size_t			i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(procfs_parse_stat(cases[i].text,
		    strlen(cases[i].text), &s), 0);
		assert_string_equal(s.name, cases[i].name);
		assert_int_equal(s.pid, 12);
		assert_int_equal(s.state, 'S');
		assert_int_equal(s.ppid, 7);
		assert_int_equal(s.pgid, 8);
		assert_int_equal(s.sid, 9);
		assert_int_equal(s.threads, 2);
		assert_int_equal(s.start, 4250);
	}
}

/* Its state still says that it runs. */
static void
who_is_on_his_way_out_is_told_by_a_flag(void **state)
{
	static const char	text[] = "12 (a) R 7 8 9 0 -1 4195340 1 0 0 0 "
				    "1 1 0 0 20 0 1 0 4250 0 0\n";
	char			copy[sizeof text];
	struct procfs_stat	s;

	(void)state;
	memcpy(copy, text, sizeof text);
	assert_int_equal(procfs_parse_stat(copy, strlen(copy), &s), 0);
	assert_true(s.exiting);
	memcpy(strstr(copy, "4195340"), "4194304", 7);
	assert_int_equal(procfs_parse_stat(copy, strlen(copy), &s), 0);
	assert_false(s.exiting);
}

static void
half_a_line_is_refused_wherever_it_ends(void **state)
{
	static const char	text[] = "12 (a) Z 1 ()" TAIL;
	size_t			n, whole;
	struct procfs_stat	s;
	char			*copy;

	(void)state;
	whole = (size_t)(strstr(text, " 4250") - text) + 5;
	for (n = 0; n < sizeof text; n++) {
		copy = malloc(n + 1);
		assert_non_null(copy);
		memcpy(copy, text, n);
		/* A number cut short is a number. */
		assert_int_equal(procfs_parse_stat(copy, n, &s) == 0,
		    n > whole - 4);
		free(copy);
	}
}

static void
nonsense_is_refused(void **state)
{
	static const char *const	bad[] = {
		"", ")", "(", "()", "1 ()", "x (a)" TAIL, "1(a)" TAIL,
		"1 a" TAIL, "1 (a) SS 1 2 3", "1 (a)S 1 2", "-1 (a)" TAIL,
		"1 (a) S 99999999999 8 9 0 -1 0 1 2 3 4 5 6 7 8 20 0 2 0 42 9",
		"1 (a) S - 8 9 0 -1 0 1 2 3 4 5 6 7 8 20 0 2 0 42 9",
		"1 (a) S 1  8 9 0 -1 0 1 2 3 4 5 6 7 8 20 0 2 0 42 9",
	};
	struct procfs_stat		s;
	size_t				i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(procfs_parse_stat(bad[i], strlen(bad[i]), &s),
		    -EINVAL);
}

static void
K8_a_zombie_is_dead_unless_threads_live_on(void **state)
{
	static const char	gone[] = "5 (x) X 0 -1 -1 0 -1 0 0 0 0 0 0 0 "
				    "0 0 20 0 0 0 77 0";
	struct procfs_stat	s = { .threads = 1 };
	const char		*p;

	(void)state;
	for (p = "ZXx"; *p != '\0'; p++) {
		s.state = *p;
		assert_true(procfs_dead(&s));
	}
	for (p = "RSDTtIWKP"; *p != '\0'; p++) {
		s.state = *p;
		assert_false(procfs_dead(&s));
	}
	s = (struct procfs_stat){ .state = 'Z', .threads = 2 };
	assert_false(procfs_dead(&s));
	/* Of one that has no group any more the kernel says -1. */
	assert_int_equal(procfs_parse_stat(gone, sizeof gone - 1, &s), 0);
	assert_true(procfs_dead(&s));
	assert_int_equal(s.pgid, 0);
}

static void
T5_who_is_not_there_is_ESRCH_everywhere(void **state)
{
	struct procfs_stat	s;
	char			text[16];

	(void)state;
	put("/proc/uptime", "1", 1);
	assert_int_equal(procfs_stat(root, 12, &s), -ESRCH);
	assert_int_equal(procfs_children(root, 12, NULL, NULL), -ESRCH);
	assert_int_equal(procfs_thread_children(root, 12, 12, NULL, NULL),
	    -ESRCH);
	assert_int_equal(procfs_ignores(root, 12, SIGHUP), -ESRCH);
	assert_int_equal(procfs_cmdline(root, 12, text, 16), -ESRCH);
	assert_int_equal(procfs_environ(root, 12, "A", text, 16), -ESRCH);
}

static void *
outlive_the_first(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void
K8_a_process_whose_first_thread_has_ended_is_alive(void **state)
{
	struct procfs_stat	s = { 0 };
	pthread_t		t;
	pid_t			pid;
	int			i;

	(void)state;
	if ((pid = fork()) == 0) {
		alarm(20);
		prctl(PR_SET_NAME, "a) Z 1 (");
		pthread_create(&t, NULL, outlive_the_first, NULL);
		pthread_exit(NULL);
	}
	for (i = 0; i < 10000 && s.state != 'Z'; i++) {
		assert_int_equal(procfs_stat("", pid, &s), 0);
		usleep(1000);
	}
	assert_int_equal(s.state, 'Z');
	assert_string_equal(s.name, "a) Z 1 (");
	assert_false(procfs_dead(&s));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(procfs_stat("", pid, &s), -ESRCH);
}

/* -- children ------------------------------------------------------------- */

struct seen {
	unsigned	 n, max;
	pid_t		 last;
	uint64_t	 sum;
};

static bool
see(void *arg, pid_t pid)
{
	struct seen	*s = arg;

	s->n++;
	s->last = pid;
	s->sum += (uint64_t)pid;
	return s->n < s->max;
}

static void
T1_children_of_all_threads(void **state)
{
	struct seen	s = { .max = 100 };

	(void)state;
	put("/proc/12/task/12/children", "20 21 ", 6);
	put("/proc/12/task/13/children", "", 0);
	put("/proc/12/task/14/children", "30 ", 3);
	put("/proc/12/task/15/stat", "", 0);	/* a thread on its way out */
	put("/proc/12/task/15/children", "31", 2);
	assert_int_equal(procfs_children(root, 12, see, &s), 0);
	assert_int_equal(s.n, 4);
	assert_int_equal(s.sum, 20 + 21 + 30 + 31);
	s = (struct seen){ .max = 1 };
	assert_int_equal(procfs_children(root, 12, see, &s), 0);
	assert_int_equal(s.n, 1);
	s = (struct seen){ .max = 100 };
	assert_int_equal(procfs_thread_children(root, 12, 14, see, &s), 0);
	assert_int_equal(s.sum, 30);
}

static void
T2_without_the_file_it_says_so(void **state)
{
	struct seen	s = { .max = 100 };

	(void)state;
	put("/proc/12/task/12/stat", "", 0);
	assert_int_equal(procfs_children(root, 12, see, &s), -ENOSYS);
	assert_int_equal(procfs_thread_children(root, 12, 12, see, &s),
	    -ENOSYS);
	assert_int_equal(procfs_thread_children(root, 12, 13, see, &s),
	    -ESRCH);
	assert_int_equal(s.n, 0);
}

static void
T4_a_list_of_any_length_is_read_whole(void **state)
{
	struct seen	 s = { .max = UINT32_MAX };
	size_t		 n = 0, cap = 30000 * 8;
	char		*text = malloc(cap);
	uint64_t	 sum = 0;
	unsigned	 i;

	(void)state;
	assert_non_null(text);
	for (i = 1; i <= 30000; i++) {
		n += (size_t)snprintf(text + n, cap - n, "%u ", i * 7);
		sum += i * 7;
	}
	put("/proc/12/task/12/children", text, n);
	assert_int_equal(procfs_children(root, 12, see, &s), 0);
	assert_int_equal(s.n, 30000);
	assert_int_equal(s.sum, sum);
	free(text);
}

static void
numbers_that_are_no_pids_are_skipped(void **state)
{
	struct seen	s = { .max = 100 };
	const char	text[] = "0 99999999999999999999 2147483648  x7y -5 12";

	(void)state;
	put("/proc/12/task/12/children", text, strlen(text));
	assert_int_equal(procfs_children(root, 12, see, &s), 0);
	assert_int_equal(s.sum, 7 + 5 + 12);
}

static void
every_process_and_nothing_else(void **state)
{
	struct seen	s = { .max = 100 };

	(void)state;
	put("/proc/1/stat", "", 0);
	put("/proc/300/stat", "", 0);
	put("/proc/self/stat", "", 0);
	put("/proc/12x/stat", "", 0);
	put("/proc/0/stat", "", 0);
	put("/proc/uptime", "", 0);
	assert_int_equal(procfs_each(root, see, &s), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.sum, 301);
	s = (struct seen){ .max = 1 };
	assert_int_equal(procfs_each(root, see, &s), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(procfs_each("/nowhere", see, &s), -ESRCH);
}

/* -- the rest ------------------------------------------------------------- */

static void
signals_ignored_by_their_bit(void **state)
{
	static const char	hup[] = "Name:\tSigIgn\nGroups:\t1 2\n"
				    "SigBlk:\tffffffffffffffff\n"
				    "SigIgn:\t8000000000000001\nSigCgt:\t0\n";
	char			*many, *p;
	size_t			 n = 100000;

	(void)state;
	put("/proc/1/status", hup, strlen(hup));
	assert_int_equal(procfs_ignores(root, 1, SIGHUP), 1);
	assert_int_equal(procfs_ignores(root, 1, SIGINT), 0);
	assert_int_equal(procfs_ignores(root, 1, 64), 1);
	assert_int_equal(procfs_ignores(root, 1, 63), 0);
	put("/proc/2/status", "SigIgn:\tzz\n", 11);
	assert_int_equal(procfs_ignores(root, 2, SIGHUP), -EINVAL);
	put("/proc/3/status", "SigBlk:\t1\n", 10);
	assert_int_equal(procfs_ignores(root, 3, SIGHUP), -EINVAL);
	/* The groups come before it, and there may be 65536 of them. */
	assert_non_null(many = malloc(n + sizeof hup));
	memset(many, '7', n);
	memcpy(many, "Groups:\t", 8);
	p = many + n;
	*p++ = '\n';
	memcpy(p, hup, sizeof hup - 1);
	put("/proc/4/status", many, n + sizeof hup);
	assert_int_equal(procfs_ignores(root, 4, SIGHUP), 1);
	free(many);
	signal(SIGUSR2, SIG_IGN);
	assert_int_equal(procfs_ignores("", getpid(), SIGUSR2), 1);
	signal(SIGUSR2, SIG_DFL);
	assert_int_equal(procfs_ignores("", getpid(), SIGUSR2), 0);
}

static void
T23_a_pid_namespace_below_ours_is_seen(void **state)
{
	static const struct {
		const char	*line;
		int		 r;
	} cases[] = {
		{ "\nNSpid:\t812\n", 0 }, { "\nNSpid:\t812\t1\n", 1 },
		{ "\nNSpid:\t4000001\t4000002\t4000003\t4000004\t5\n", 1 },
		{ "\nNStgid:\t812\t1\n", 0 },
	};
	char	*many, path[32];
	size_t	 i, n;

	(void)state;
	/* Behind 65536 groups, too. */
	assert_non_null(many = malloc(600000));
	memset(many, '7', 500000);
	memcpy(many, "Groups:\t", 8);
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		n = strlen(cases[i].line);
		snprintf(path, sizeof path, "/proc/%zu/status", 20 + i);
		put(path, cases[i].line, n);
		assert_int_equal(procfs_is_nested(root, (pid_t)(20 + i)),
		    cases[i].r);
		memcpy(many + 500000, cases[i].line, n);
		put(path, many, 500000 + n);
		assert_int_equal(procfs_is_nested(root, (pid_t)(20 + i)),
		    cases[i].r);
	}
	free(many);
	assert_int_equal(procfs_is_nested(root, 99), -ESRCH);
}

static void
times_are_ticks_of_the_kernel(void **state)
{
	struct procfs_stat	st;
	uint64_t		now;
	int			status;
	pid_t			pid;

	(void)state;
	assert_int_equal(procfs_hz(), sysconf(_SC_CLK_TCK));
	now = procfs_ticks();
	if ((pid = fork()) == 0)
		pause();
	assert_int_equal(procfs_stat("", pid, &st), 0);
	assert_in_range(st.start, now, procfs_ticks());
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

static void
a_hard_limit_is_the_second_number_of_its_line(void **state)
{
	static const char	text[] =
	    "Limit                     Soft Limit           Hard Limit"
	    "           Units     \n"
	    "Max open files            1024                 4096      "
	    "           files     \n"
	    "Max file locks            unlimited            unlimited "
	    "           locks     \n"
	    "Max file locks2           1\nMax odd 5 \n";
	uint64_t		v;

	(void)state;
	put("/proc/1/limits", text, strlen(text));
	assert_int_equal(procfs_hard_limit(root, 1, "Max open files", &v), 0);
	assert_int_equal(v, 4096);
	assert_int_equal(procfs_hard_limit(root, 1, "Max file locks", &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(procfs_hard_limit(root, 1, "Max odd", &v), -EINVAL);
	assert_int_equal(procfs_hard_limit(root, 1, "Max", &v), -EINVAL);
	assert_int_equal(procfs_hard_limit(root, 1, "Min", &v), -EINVAL);
	assert_int_equal(procfs_hard_limit(root, 77, "Max", &v), -ESRCH);
}

static void
a_variable_is_found_whole_or_not_at_all(void **state)
{
	static const char	env[] = "PATH=/bin\0AB=no\0XA=no\0A=yes=1\0"
				    "EMPTY=\0bare\0A=again";
	char			*big, out[8];

	(void)state;
	put("/proc/1/environ", env, sizeof env - 1);
	assert_int_equal(procfs_environ(root, 1, "A", out, sizeof out), 1);
	assert_string_equal(out, "yes=1");
	assert_int_equal(procfs_environ(root, 1, "A", out, 6), 1);
	assert_int_equal(procfs_environ(root, 1, "A", out, 5), -ENAMETOOLONG);
	assert_string_equal(out, "");
	assert_int_equal(procfs_environ(root, 1, "EMPTY", out, 1), 1);
	assert_string_equal(out, "");
	assert_int_equal(procfs_environ(root, 1, "bare", out, 8), 0);
	assert_int_equal(procfs_environ(root, 1, "again", out, 8), 0);
	assert_int_equal(procfs_environ(root, 1, "B", out, 8), 0);
	/* Behind more than any buffer holds, and with no NUL at the end. */
	assert_non_null(big = malloc(300000));
	memset(big, 'x', 300000);
	memcpy(big + 299990, "\0MARK=12345", 10);
	put("/proc/2/environ", big, 300000);
	assert_int_equal(procfs_environ(root, 2, "MARK", out, 8), 1);
	assert_string_equal(out, "1234");
	free(big);
}

static void
arguments_with_blanks_between(void **state)
{
	char	out[16];

	(void)state;
	put("/proc/1/cmdline", "sleep\0" "1 0\0\0", 11);
	assert_int_equal(procfs_cmdline(root, 1, out, sizeof out), 0);
	assert_string_equal(out, "sleep 1 0");
	assert_int_equal(procfs_cmdline(root, 1, out, 5), 0);
	assert_string_equal(out, "slee");
	assert_int_equal(procfs_cmdline(root, 1, out, 1), 0);
	assert_string_equal(out, "");
	put("/proc/2/cmdline", "", 0);
	assert_int_equal(procfs_cmdline(root, 2, out, sizeof out), 0);
	assert_string_equal(out, "");
}

#define ON_FIXTURE(test)						\
	cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(T3_N12_a_name_may_hold_anything),
		cmocka_unit_test(who_is_on_his_way_out_is_told_by_a_flag),
		cmocka_unit_test(half_a_line_is_refused_wherever_it_ends),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(K8_a_zombie_is_dead_unless_threads_live_on),
		cmocka_unit_test(
		    K8_a_process_whose_first_thread_has_ended_is_alive),
		ON_FIXTURE(T5_who_is_not_there_is_ESRCH_everywhere),
		ON_FIXTURE(T1_children_of_all_threads),
		ON_FIXTURE(T2_without_the_file_it_says_so),
		ON_FIXTURE(T4_a_list_of_any_length_is_read_whole),
		ON_FIXTURE(numbers_that_are_no_pids_are_skipped),
		ON_FIXTURE(every_process_and_nothing_else),
		ON_FIXTURE(signals_ignored_by_their_bit),
		ON_FIXTURE(T23_a_pid_namespace_below_ours_is_seen),
		cmocka_unit_test(times_are_ticks_of_the_kernel),
		ON_FIXTURE(a_hard_limit_is_the_second_number_of_its_line),
		ON_FIXTURE(a_variable_is_found_whole_or_not_at_all),
		ON_FIXTURE(arguments_with_blanks_between),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
