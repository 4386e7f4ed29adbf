/* sysinfo, cgroup, mounts: readers of /proc and /sys, on fixture trees. */
#include <sys/stat.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "proc/cgroup.h"
#include "proc/mounts.h"
#include "proc/procfile.h"
#include "proc/sysinfo.h"
#include "tests/unit/fixture.h"

#define PATH_LEN	512

/* -- fixture trees --------------------------------------------------------- */

struct tree {
	char	root[64];
};

static void
tree_make(struct tree *t)
{
	snprintf(t->root, sizeof t->root, "/tmp/test_sysinfo." "XX" "XX" "XX");
	assert_non_null(mkdtemp(t->root));
}

static void
tree_put(const struct tree *t, const char *name, const char *text)
{
	fixture_put(t->root, name, text, strlen(text));
}

static void
tree_remove(const struct tree *t)
{
	assert_int_equal(fixture_remove(t->root), 0);
}

#define CG	"/sys/fs/cgroup"

static void
assert_near(double a, double b)
{
	assert_true(a > b - 0.001 && a < b + 0.001);
}

/* -- cgroup ---------------------------------------------------------------- */

static void
v2_in_a_container_is_read_at_the_mount(void **state)
{
	struct cgroup_usage	u;
	struct tree		t;

	(void)state;
	tree_make(&t);
	tree_put(&t, "/proc/self/cgroup", "0::/\n");
	tree_put(&t, CG "/cgroup.controllers", "cpu memory\n");
	tree_put(&t, CG "/cpu.stat", "usage_usec 123456789\nuser_usec 1\n");
	tree_put(&t, CG "/cpu.max", "150000 100000\n");
	tree_put(&t, CG "/memory.current", "104857600\n");
	tree_put(&t, CG "/memory.max", "536870912\n");
	cgroup_read(t.root, &u);
	assert_true(u.has_cpu && u.has_memory);
	assert_int_equal(u.cpu_us, 123456789);
	assert_near(u.cpu_limit, 1500);
	assert_int_equal(u.memory, 104857600);
	assert_int_equal(u.memory_limit, 536870912);
	tree_put(&t, CG "/cpu.max", "max 100000\n");
	tree_put(&t, CG "/memory.max", "max\n");
	cgroup_read(t.root, &u);
	assert_near(u.cpu_limit, -1);
	assert_int_equal(u.memory_limit, CGROUP_NO_LIMIT);
	tree_remove(&t);
}

static void
v2_the_tightest_limit_above_counts(void **state)
{
	struct cgroup_usage	u;
	struct tree		t;

	(void)state;
	tree_make(&t);
	tree_put(&t, "/proc/self/cgroup", "0::/pod/init\n");
	tree_put(&t, CG "/cgroup.controllers", "cpu memory\n");
	tree_put(&t, CG "/cpu.max", "400000 100000\n");
	tree_put(&t, CG "/memory.max", "1000\n");
	tree_put(&t, CG "/pod/cpu.max", "50000 100000\n");
	tree_put(&t, CG "/pod/memory.max", "700\n");
	tree_put(&t, CG "/pod/init/cpu.max", "max 100000\n");
	tree_put(&t, CG "/pod/init/memory.max", "900\n");
	tree_put(&t, CG "/pod/init/memory.current", "5\n");
	tree_put(&t, CG "/pod/init/cpu.stat", "usage_usec 7\n");
	cgroup_read(t.root, &u);
	assert_near(u.cpu_limit, 500);
	assert_int_equal(u.memory_limit, 700);
	assert_int_equal(u.memory, 5);
	assert_int_equal(u.cpu_us, 7);
	tree_remove(&t);
}

static void
a_path_that_is_not_here_means_the_mount(void **state)
{
	static const char *const	selfs[] = {
		"0::/kubepods/pod1/abc\n", "0::/../../other\n", "0::/..\n",
		"0::relative\n",
	};
	struct cgroup_usage	u;
	struct tree		t;
	size_t			i;

	(void)state;
	tree_make(&t);
	tree_put(&t, CG "/cgroup.controllers", "memory\n");
	tree_put(&t, CG "/memory.current", "42\n");
	tree_put(&t, "/sys/other/memory.current", "666\n");
	for (i = 0; i < ARRAY_LEN(selfs); i++) {
		tree_put(&t, "/proc/self/cgroup", selfs[i]);
		cgroup_read(t.root, &u);
		assert_true(u.has_memory);
		assert_int_equal(u.memory, 42);
		assert_false(u.has_cpu);
	}
	tree_remove(&t);
}

static void
S4_processes_killed_for_want_of_memory_are_counted(void **state)
{
	struct tree	t;
	uint64_t	n = 0;

	(void)state;
	tree_make(&t);
	assert_int_equal(cgroup_oom_kills(t.root, &n), -ENOENT);
	tree_put(&t, "/proc/self/cgroup", "0::/pod\n");
	tree_put(&t, CG "/cgroup.controllers", "memory\n");
	tree_put(&t, CG "/pod/memory.events", "low 0\nhigh 1\nmax 2\n"
	    "oom 3\noom_kill 4\noom_group_kill 5\n");
	assert_int_equal(cgroup_oom_kills(t.root, &n), 0);
	assert_int_equal(n, 4);
	tree_remove(&t);
	tree_make(&t);
	tree_put(&t, "/proc/self/cgroup", "4:memory:/pod\n");
	tree_put(&t, CG "/memory/pod/memory.oom_control",
	    "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n");
	assert_int_equal(cgroup_oom_kills(t.root, &n), 0);
	assert_int_equal(n, 7);
	tree_put(&t, CG "/memory/pod/memory.oom_control",
	    "oom_kill_disable 0\nunder_oom 0\n");	/* before 4.13 */
	assert_int_equal(cgroup_oom_kills(t.root, &n), -ENOENT);
	tree_remove(&t);
}

static void
v1_is_read_like_v2(void **state)
{
	struct cgroup_usage	u;
	struct tree		t;

	(void)state;
	tree_make(&t);
	tree_put(&t, "/proc/self/cgroup", "12:pids:/\n"
	    "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n"
	    "1:name=systemd:/docker/abc\n");
	tree_put(&t, CG "/cpu,cpuacct/cpuacct.usage", "5000000000\n");
	tree_put(&t, CG "/cpu,cpuacct/cpu.cfs_quota_us", "200000\n");
	tree_put(&t, CG "/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
	tree_put(&t, CG "/memory/memory.usage_in_bytes", "1048576\n");
	tree_put(&t, CG "/memory/memory.limit_in_bytes", "2097152\n");
	cgroup_read(t.root, &u);
	assert_true(u.has_cpu && u.has_memory);
	assert_int_equal(u.cpu_us, 5000000);
	assert_near(u.cpu_limit, 2000);
	assert_int_equal(u.memory, 1048576);
	assert_int_equal(u.memory_limit, 2097152);
	tree_put(&t, CG "/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
	tree_put(&t, CG "/memory/memory.limit_in_bytes",
	    "9223372036854771712\n");
	cgroup_read(t.root, &u);
	assert_near(u.cpu_limit, -1);
	assert_int_equal(u.memory_limit, CGROUP_NO_LIMIT);
	tree_remove(&t);
}

static void
v1_below_its_mount_and_under_one_name(void **state)
{
	struct cgroup_usage	u;
	struct tree		t;

	(void)state;
	tree_make(&t);
	tree_put(&t, "/proc/self/cgroup", "3:cpuacct,cpu:/a\n4:memory:/a\n");
	/* The folder has the controller's own name, not the list's. */
	tree_put(&t, CG "/cpuacct/a/cpuacct.usage", "2000\n");
	tree_put(&t, CG "/cpu/a/cpu.cfs_quota_us", "-1\n");
	tree_put(&t, CG "/cpu/a/cpu.cfs_period_us", "100000\n");
	tree_put(&t, CG "/cpu/cpu.cfs_quota_us", "10000\n");
	tree_put(&t, CG "/cpu/cpu.cfs_period_us", "100000\n");
	tree_put(&t, CG "/memory/a/memory.usage_in_bytes", "9\n");
	cgroup_read(t.root, &u);
	assert_int_equal(u.cpu_us, 2);
	assert_near(u.cpu_limit, 100);
	assert_int_equal(u.memory, 9);
	tree_remove(&t);
}

static void
hybrid_takes_each_controller_where_it_is(void **state)
{
	struct cgroup_usage	u;
	struct tree		t;

	(void)state;
	tree_make(&t);
	tree_put(&t, "/proc/self/cgroup", "4:memory:/\n0::/\n");
	tree_put(&t, CG "/memory/memory.usage_in_bytes", "9\n");
	tree_put(&t, CG "/unified/cgroup.controllers", "cpu\n");
	tree_put(&t, CG "/unified/cpu.stat", "nr 1\nusage_usec 8\n");
	tree_put(&t, CG "/unified/cpu.max", "1000 2000\n");
	cgroup_read(t.root, &u);
	assert_int_equal(u.cpu_us, 8);
	assert_near(u.cpu_limit, 500);
	assert_int_equal(u.memory, 9);
	tree_remove(&t);
}

static void
odd_files_are_absent_numbers(void **state)
{
	struct cgroup_usage	u;
	struct tree		t;

	(void)state;
	tree_make(&t);
	cgroup_read(t.root, &u);
	assert_false(u.has_cpu || u.has_memory);
	tree_put(&t, "/proc/self/cgroup", "garbage\n::\n0::/\n");
	tree_put(&t, CG "/cpu.stat", "usage_usec twelve\n");
	tree_put(&t, CG "/cpu.max", "1000 0\n");
	tree_put(&t, CG "/memory.current", "-3\n");
	tree_put(&t, CG "/memory.max", "\n");
	cgroup_read(t.root, &u);
	assert_false(u.has_cpu || u.has_memory);
	assert_near(u.cpu_limit, -1);
	assert_int_equal(u.memory_limit, CGROUP_NO_LIMIT);
	tree_remove(&t);
}

static void
the_line_of_a_controller_is_found(void **state)
{
	static const char	text[] = "10:cpuset:/x\n9:cpu,cpuacct:/y:z\n"
	    "0::/w\nbroken\n";
	char			list[64], path[64];

	(void)state;
	assert_int_equal(cgroup_find(text, "cpu", list, path, 64), 0);
	assert_string_equal(list, "cpu,cpuacct");
	assert_string_equal(path, "/y:z");
	assert_int_equal(cgroup_find(text, "cpuacct", list, path, 64), 0);
	assert_int_equal(cgroup_find(text, "cpus", list, path, 64), -ENOENT);
	assert_int_equal(cgroup_find(text, "", list, path, 64), 0);
	assert_string_equal(path, "/w");
	assert_int_equal(cgroup_find(text, "cpu", list, path, 11),
	    -ENAMETOOLONG);
	assert_int_equal(cgroup_find(text, "cpu", list, path, 12), 0);
	assert_int_equal(cgroup_find("", "cpu", list, path, 64), -ENOENT);
	/* Cut anywhere, it is found or not, and that is all. */
	{
		char	cut[sizeof text];
		size_t	n;

		for (n = 0; n < sizeof text; n++) {
			memcpy(cut, text, n);
			cut[n] = '\0';
			cgroup_find(cut, "cpuacct", list, path, 64);
			cgroup_find(cut, "", list, path, 64);
		}
	}
}

/* -- the machine ----------------------------------------------------------- */

static void
without_a_group_the_machine_counts(void **state)
{
	struct cgroup_usage	u;
	struct tree		t;

	(void)state;
	tree_make(&t);
	tree_put(&t, "/proc/stat", "cpu  100 20 30 900 50 6 7 8 9 10\n"
	    "cpu0 1 2 3 4 5 6 7 8 9 10\n");
	tree_put(&t, "/proc/meminfo", "MemTotal:       2048 kB\n"
	    "MemFree:         100 kB\nMemAvailable:   1024 kB\n");
	sysinfo_read(t.root, &u);
	assert_true(u.has_cpu && u.has_memory);
	/* 171 ticks of 1/100 s. */
	assert_int_equal(u.cpu_us, 1710000);
	assert_int_equal(u.memory, 1024 * 1024);
	assert_near(u.cpu_limit, -1);
	assert_int_equal(u.memory_limit, CGROUP_NO_LIMIT);
	tree_remove(&t);
}

#define STAT_TAIL " S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4250 99 7\n"

static void
W38_process_1_may_be_called_anything(void **state)
{
	static const char *const	names[] = {
		"1 (k8shelld)", "1 (a b c)", "1 (x) S 9 9)", "1 ()", "1 ((()))"
	};
	char		text[256];
	uint64_t	ticks;
	size_t		i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(text, sizeof text, "%s" STAT_TAIL, names[i]);
		assert_int_equal(sysinfo_start_ticks(text, &ticks), 0);
		assert_int_equal(ticks, 4250);
	}
	assert_int_equal(sysinfo_start_ticks("", &ticks), -EINVAL);
	assert_int_equal(sysinfo_start_ticks("1 (x) S 1", &ticks), -EINVAL);
	assert_int_equal(sysinfo_start_ticks("1 (x", &ticks), -EINVAL);
}

static void
start_time_is_now_less_uptime_plus_start(void **state)
{
	struct tree	t;
	int64_t		seconds;

	(void)state;
	tree_make(&t);
	assert_int_equal(sysinfo_started(t.root, 0, &seconds), -ENOENT);
	tree_put(&t, "/proc/uptime", "1000.50 1999.99\n");
	assert_int_equal(sysinfo_started(t.root, 0, &seconds), -ENOENT);
	tree_put(&t, "/proc/self/stat", "7 (me)" STAT_TAIL);
	assert_int_equal(sysinfo_started(t.root, 5000000, &seconds), 0);
	assert_int_equal(seconds, 5000 - 1000 + 41);
	tree_put(&t, "/proc/1/stat", "1 (init) S 0 1 1 0 -1 4194560 1 2 3 4 5 "
	    "6 7 8 20 0 1 0 100 99 7\n");
	assert_int_equal(sysinfo_started(t.root, 5000500, &seconds), 0);
	assert_int_equal(seconds, 4001);
	tree_remove(&t);
}

static void
numbers_of_proc_are_read_strictly(void **state)
{
	uint64_t	v = 77;

	(void)state;
	assert_int_equal(sysinfo_uptime("12.34 5\n", &v), 0);
	assert_int_equal(v, 12340);
	assert_int_equal(sysinfo_uptime("12 5", &v), -EINVAL);
	assert_int_equal(sysinfo_uptime("", &v), -EINVAL);
	assert_int_equal(sysinfo_uptime("-1.00", &v), -EINVAL);
	assert_int_equal(sysinfo_uptime("1.x", &v), -EINVAL);
	assert_int_equal(sysinfo_busy_ticks("cpu  1 2 3\n", &v), -EINVAL);
	assert_int_equal(sysinfo_busy_ticks("intr 1\n", &v), -EINVAL);
	assert_int_equal(sysinfo_meminfo("A: 1 kB\nB:  2 kB\n", "B:", &v), 0);
	assert_int_equal(v, 2048);
	assert_int_equal(sysinfo_meminfo("A: 1 kB", "C:", &v), -EINVAL);
	assert_int_equal(sysinfo_meminfo("A: x kB", "A:", &v), -EINVAL);
}

static void
this_machine_can_be_read(void **state)
{
	struct cgroup_usage	u;
	int64_t			seconds;

	(void)state;
	sysinfo_read("", &u);
	assert_true(u.has_cpu);
	assert_true(u.has_memory);
	assert_true(u.cpu_us > 0 && u.memory > 0);
	assert_int_equal(sysinfo_started("", INT64_C(1795307098000),
	    &seconds), 0);
	assert_true(seconds <= 1795307098);
}

static void
files_are_cut_at_the_room_there_is(void **state)
{
	char		out[8], path[PATH_LEN];
	struct tree	t;

	(void)state;
	tree_make(&t);
	tree_put(&t, "/f", "1234567890");
	snprintf(path, sizeof path, "%s/f", t.root);
	assert_int_equal(procfile_read(path, out, sizeof out), 0);
	assert_string_equal(out, "1234567");
	assert_int_equal(procfile_read(t.root, out, sizeof out), -EISDIR);
	assert_string_equal(out, "");
	tree_remove(&t);
}

/* -- mounts ---------------------------------------------------------------- */

struct seen {
	int	n;
	char	text[2048];
};

static void
on_mount(void *arg, const struct mount_line *m)
{
	struct seen	*s = arg;
	size_t		 n = strlen(s->text);

	s->n++;
	snprintf(s->text + n, sizeof s->text - n, "%s|%s|%s|%s\n", m->point,
	    m->options, m->type, m->source);
}

static struct seen
mounts_of(const char *text)
{
	char		*copy = strdup(text);
	struct seen	 s = { 0 };

	assert_non_null(copy);
	mounts_each(copy, on_mount, &s);
	free(copy);
	return s;
}

static void
mountinfo_lines_are_read_with_any_optional_fields(void **state)
{
	struct seen	s;

	(void)state;
	s = mounts_of(
	    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
	    "36 35 98:0 /mnt1 /mnt2 ro master:1 - ext3 /dev/root rw\n"
	    "36 35 98:0 / /a shared:1 master:2 propagate_from:3 - x y z\n"
	    "36 35 98:0 / /b rw shared:1 master:2 - tmpfs none rw,size=1\n"
	    "36 35 98:0 / /c rw - tmpfs  rw\n"
	    "too short\n"
	    "36 35 98:0 / /d rw shared:1\n"
	    "\n"
	    "36 35 98:0 / /e rw - nfs4 server:/a/b rw");
	assert_string_equal(s.text,
	    "/proc|rw,relatime|proc|proc\n"
	    "/mnt2|ro|ext3|/dev/root\n"
	    "/a|shared:1|x|y\n"
	    "/b|rw|tmpfs|none\n"
	    "/c|rw|tmpfs|\n"
	    "/e|rw|nfs4|server:/a/b\n");
}

static void
octal_escapes_are_decoded(void **state)
{
	struct seen	s;

	(void)state;
	s = mounts_of(
	    "1 2 3:4 / /a\\040b\\011c\\134d\\303\\251 rw - fuse\\056x "
	    "sr\\043c rw\n1 2 3:4 / /x\\04\\0x\\400\\000\\ rw - t \\\n");
	assert_string_equal(s.text,
	    "/a b\tc\\d\xc3\xa9|rw|fuse.x|sr#c\n"
	    "/x\\04\\0x\\400\\000\\|rw|t|\\\n");
}

static void
every_cut_mountinfo_is_read_or_skipped(void **state)
{
	static const char	whole[] = "36 35 98:0 /m /mn\\040t2 ro,nosuid "
	    "master:1 - ext3 /dev/ro\\134ot rw,x\n";
	char			text[sizeof whole];
	struct seen		s;
	size_t			n;

	(void)state;
	for (n = 0; n < sizeof whole; n++) {
		memcpy(text, whole, n);
		text[n] = '\0';
		s = mounts_of(text);
		assert_true(s.n <= 1);
	}
	assert_int_equal(s.n, 1);
}

static void
L16_sizes_are_counted_in_fragments(void **state)
{
	struct mount_usage	u;

	(void)state;
	assert_int_equal(mounts_statfs("/", &u), 0);
	assert_true(u.total > 0 && u.used <= u.total && u.free <= u.total);
	assert_int_equal(u.used, u.total - u.free);
	assert_true(u.available <= u.total);
	assert_int_equal(mounts_statfs("/nonexistent", &u), -ENOENT);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(v2_in_a_container_is_read_at_the_mount),
		cmocka_unit_test(v2_the_tightest_limit_above_counts),
		cmocka_unit_test(a_path_that_is_not_here_means_the_mount),
		cmocka_unit_test(
		    S4_processes_killed_for_want_of_memory_are_counted),
		cmocka_unit_test(v1_is_read_like_v2),
		cmocka_unit_test(v1_below_its_mount_and_under_one_name),
		cmocka_unit_test(hybrid_takes_each_controller_where_it_is),
		cmocka_unit_test(odd_files_are_absent_numbers),
		cmocka_unit_test(the_line_of_a_controller_is_found),
		cmocka_unit_test(without_a_group_the_machine_counts),
		cmocka_unit_test(W38_process_1_may_be_called_anything),
		cmocka_unit_test(start_time_is_now_less_uptime_plus_start),
		cmocka_unit_test(numbers_of_proc_are_read_strictly),
		cmocka_unit_test(this_machine_can_be_read),
		cmocka_unit_test(files_are_cut_at_the_room_there_is),
		cmocka_unit_test(
		    mountinfo_lines_are_read_with_any_optional_fields),
		cmocka_unit_test(octal_escapes_are_decoded),
		cmocka_unit_test(every_cut_mountinfo_is_read_or_skipped),
		cmocka_unit_test(L16_sizes_are_counted_in_fragments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
