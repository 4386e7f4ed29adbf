/* cgjob: on fixture trees, and for real where this machine has such groups. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proc/cgjob.h"
#include "proc/cgroup.h"
#include "tests/unit/fixture.h"

#define PATH_LEN	512
#define CG		"/sys/fs/cgroup"

static char	root[] = "/tmp/test_cgjob." "XX" "XX" "XX";

static void
put(const char *name, const char *text)
{
	fixture_put(root, name, text, strlen(text));
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

static void
where_there_is_only_v1_there_is_none(void **state)
{
	char	home[CGJOB_PATH_MAX];

	(void)state;
	assert_int_equal(cgjob_probe(root, home, sizeof home), -ENOENT);
	put("/proc/self/cgroup", "3:cpu,cpuacct:/a\n2:pids:/a\n");
	put(CG "/cpu/a/tasks", "");
	assert_int_equal(cgjob_probe(root, home, sizeof home), -ENOENT);
	/* v2 is there, but nobody mounted it. */
	put("/proc/self/cgroup", "2:pids:/a\n0::/a\n");
	assert_int_equal(cgjob_probe(root, home, sizeof home), -ENOENT);
}

static void
expect_own(const char *want)
{
	char	home[CGJOB_PATH_MAX], path[CGJOB_PATH_MAX];

	snprintf(path, sizeof path, "%s%s", root, want);
	assert_int_equal(cgroup_own(root, home, sizeof home), 0);
	assert_string_equal(home, path);
	assert_int_equal(cgroup_own(root, home, 8), -ENAMETOOLONG);
}

static void
our_own_group_is_found_in_v2_and_in_hybrid(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "2:pids:/x\n0::/pod/box\n");
	put(CG "/pids/tasks", "");
	put(CG "/unified/cgroup.controllers", "");
	expect_own(CG "/unified");	/* the path can't be seen */
	put(CG "/unified/pod/box/cgroup.procs", "");
	expect_own(CG "/unified/pod/box");
	put(CG "/cgroup.controllers", "cpu\n");
	expect_own(CG);
	put(CG "/pod/box/cgroup.procs", "");
	expect_own(CG "/pod/box");
	put("/proc/self/cgroup", "0::/../outside\n");
	expect_own(CG);
}

/* A folder made there has no files by itself: as of a kernel before 5.14. */
static void
a_kernel_without_cgroup_kill_is_ENOSYS_and_nothing_is_left(void **state)
{
	char	home[CGJOB_PATH_MAX], path[PATH_LEN];

	(void)state;
	put("/proc/self/cgroup", "0::/\n");
	put(CG "/cgroup.controllers", "");
	put(CG "/cgroup.procs", "");
	assert_int_equal(cgjob_probe(root, home, sizeof home), -ENOSYS);
	snprintf(path, sizeof path, "%s" CG "/k8shell-job-probe", root);
	assert_int_equal(access(path, F_OK), -1);
}

static void
a_group_that_is_in_the_way_is_used_if_empty(void **state)
{
	struct cgjob	g;
	char		home[PATH_LEN];

	(void)state;
	snprintf(home, sizeof home, "%s" CG, root);
	put(CG "/k8shell-job-7/full", "");
	assert_int_equal(cgjob_open(&g, home, "7"), -ENOTEMPTY);
	assert_int_equal(cgjob_close(&g), 0);
	put(CG "/k8shell-job-8/x", "");
	snprintf(home, sizeof home, "%s" CG "/k8shell-job-8/x", root);
	assert_int_equal(unlink(home), 0);
	snprintf(home, sizeof home, "%s" CG, root);
	assert_int_equal(cgjob_open(&g, home, "8"), -ENOSYS);
	assert_int_equal(cgjob_open(&g, "/nowhere", "8"), -ENOENT);
}

static bool
is_there(const char *name)
{
	char	path[PATH_LEN];

	snprintf(path, sizeof path, "%s" CG "%s", root, name);
	return access(path, F_OK) == 0;
}

static void
empty_it(const char *name)
{
	char	path[PATH_LEN];

	put(name, "");
	snprintf(path, sizeof path, "%s%s", root, name);
	assert_int_equal(unlink(path), 0);
}

static void
a_sweep_takes_empty_groups_of_jobs_and_nothing_else(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "0::/\n");
	put(CG "/cgroup.controllers", "");
	put(CG "/k8shell-job-file", "");
	put(CG "/k8shell-job-full/x", "");
	empty_it(CG "/k8shell-job-empty/x");
	empty_it(CG "/k8shell-job-deep/a/b/x");
	empty_it(CG "/other/x");
	cgjob_sweep(root);
	assert_true(is_there("/k8shell-job-file"));
	assert_true(is_there("/k8shell-job-full"));
	assert_true(is_there("/other"));
	assert_false(is_there("/k8shell-job-empty"));
	assert_false(is_there("/k8shell-job-deep"));
	cgjob_sweep("/nowhere");
}

/* Its empty groups are its own business while somebody lives in it. */
static void
a_sweep_leaves_alone_what_somebody_lives_in(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "0::/\n");
	put(CG "/cgroup.controllers", "");
	put(CG "/k8shell-job-live/cgroup.events", "populated 1\nfrozen 0\n");
	empty_it(CG "/k8shell-job-live/below/x");
	put(CG "/k8shell-job-over/cgroup.events", "populated 0\nfrozen 0\n");
	empty_it(CG "/k8shell-job-over/below/x");
	cgjob_sweep(root);
	assert_true(is_there("/k8shell-job-live/below"));
	assert_false(is_there("/k8shell-job-over/below"));
}

/* Who has it open can't be asked then. */
static void
a_sweep_without_descriptors_takes_nothing(void **state)
{
	struct rlimit	old, few;
	int		fd;

	(void)state;
	put("/proc/self/cgroup", "0::/\n");
	put(CG "/cgroup.controllers", "");
	empty_it(CG "/k8shell-job-empty/x");
	fd = open("/", O_PATH | O_CLOEXEC);
	close(fd);
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = (rlim_t)fd + 1;	/* to read the folder with */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	cgjob_sweep(root);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_true(is_there("/k8shell-job-empty"));
	cgjob_sweep(root);
	assert_false(is_there("/k8shell-job-empty"));
}

/* What another daemon has open, it has locked. */
static void
a_sweep_leaves_alone_what_is_locked(void **state)
{
	char	path[PATH_LEN];
	int	fd;

	(void)state;
	put("/proc/self/cgroup", "0::/\n");
	put(CG "/cgroup.controllers", "");
	put(CG "/k8shell-job-1/cgroup.procs", "");
	empty_it(CG "/k8shell-job-1/below/x");
	snprintf(path, sizeof path, "%s" CG "/k8shell-job-1/cgroup.procs",
	    root);
	assert_true((fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	cgjob_sweep(root);
	assert_true(is_there("/k8shell-job-1/below"));
	close(fd);
	cgjob_sweep(root);
	assert_false(is_there("/k8shell-job-1/below"));
}

/* -- the real one --------------------------------------------------------- */

static pid_t
sleeper_in(const struct cgjob *g)
{
	int	up[2];
	pid_t	pid;
	char	c = 1;

	assert_int_equal(pipe(up), 0);
	if ((pid = fork()) == 0) {
		c = cgjob_join(g->procs) == 0 ? 0 : 1;
		alarm(30);
		if (write(up[1], &c, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(up[0], &c, 1), 1);
	close(up[0]);
	close(up[1]);
	assert_int_equal(c, 0);
	return pid;
}

static void
who_is_in_it_dies_by_one_write(void **state)
{
	char		home[CGJOB_PATH_MAX], below[CGJOB_PATH_MAX + 16];
	struct cgjob	g, busy;
	pid_t		pid;
	int		status, r;

	(void)state;
	if ((r = cgjob_probe("", home, sizeof home)) < 0) {
		print_message("skipped: no group of v2 here to make others "
		    "in: %s\n", strerror(-r));
		skip();
	}
	assert_int_equal(cgjob_open(&g, home, "unit-test"), 0);
	pid = sleeper_in(&g);
	/* As a job that makes its own. */
	busy = g;
	busy.kill = busy.procs = -1;
	assert_int_equal(cgjob_close(&busy), -EBUSY);
	snprintf(below, sizeof below, "%s/below", g.path);
	assert_int_equal(mkdir(below, 0755), 0);
	cgjob_sweep("");		/* it is in use */
	assert_int_equal(access(below, F_OK), 0);
	assert_int_equal(write(g.kill, "1", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(cgjob_close(&g), 0);
	assert_int_equal(access(below, F_OK), -1);
	assert_int_equal(cgjob_close(&g), 0);
}

#define ON_FIXTURE(test)						\
	cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		ON_FIXTURE(where_there_is_only_v1_there_is_none),
		ON_FIXTURE(our_own_group_is_found_in_v2_and_in_hybrid),
		ON_FIXTURE(
		    a_kernel_without_cgroup_kill_is_ENOSYS_and_nothing_is_left),
		ON_FIXTURE(a_group_that_is_in_the_way_is_used_if_empty),
		ON_FIXTURE(
		    a_sweep_takes_empty_groups_of_jobs_and_nothing_else),
		ON_FIXTURE(a_sweep_leaves_alone_what_somebody_lives_in),
		ON_FIXTURE(a_sweep_without_descriptors_takes_nothing),
		ON_FIXTURE(a_sweep_leaves_alone_what_is_locked),
		cmocka_unit_test(who_is_in_it_dies_by_one_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
