#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "proc/child.h"
#include "tests/unit/failmalloc.h"
#include "tests/unit/run.h"

/* -- pipes ----------------------------------------------------------------- */

static void
EX_13_stdout_and_stderr_are_apart_or_merged_as_asked(void **state)
{
	static const char *const script = "echo out; echo err >&2";
	struct spin		 s;
	struct run		 run;

	(void)state;
	spin_init(&s, true);
	run_script(&run, &s, CHILD_STREAMS, NULL, script);
	assert_string_equal(run.text, "out\n");
	read_all(&run, child_take_stderr(run.child));
	assert_string_equal(run.text, "err\n");
	run_end(&run);
	run_script(&run, &s, CHILD_MERGED, NULL, script);
	assert_string_equal(run.text, "out\nerr\n");
	assert_int_equal(child_take_stderr(run.child), -1);
	run_end(&run);
	spin_finish(&s);
}

static void
EX_09_a_closed_stdin_is_end_of_file(void **state)
{
	static const enum child_io kinds[] = { CHILD_STREAMS, CHILD_MERGED };
	static const char *const paths[] = { "/bin/cat", NULL };
	static const char *const argv[] = { NULL, NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_STREAMS);
	struct spin		 s;
	struct run		 run;
	size_t			 i;
	int			 fd;

	(void)state;
	spin_init(&s, true);
	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		spec.io = kinds[i];
		run_spawn(&run, &s, &spec);
		fd = child_take_stdin(run.child);
		assert_int_equal(child_take_stdin(run.child), -1);
		assert_int_equal(write(fd, "meow", 4), 4);
		close(fd);
		spin_until(&s, &run.started);
		read_all(&run, child_take_stdout(run.child));
		assert_string_equal(run.text, "meow");
		run_end(&run);
		assert_int_equal(run.exit.value, 0);
	}
	spec.io = CHILD_OUTPUT;
	run_spawn(&run, &s, &spec);
	assert_int_equal(child_take_stdin(run.child), -1);
	run_end(&run);
	spin_finish(&s);
}

/* -- signals and life ----------------------------------------------------- */

static void
the_group_gets_the_signal_stopped_members_too(void **state)
{
	struct spin		 s;
	struct run		 run;
	static const char *const paths[] = { "/bin/sh", NULL };
	static const char *const argv[] = { NULL, "-c",
				    "cat & kill -STOP $!; echo up; wait",
				    NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_STREAMS);
	struct pollfd		 p;
	int			 out, in;

	(void)state;
	spin_init(&s, true);
	run_spawn(&run, &s, &spec);
	spin_until(&s, &run.started);
	in = child_take_stdin(run.child);
	out = child_take_stdout(run.child);
	p = (struct pollfd){ .fd = out, .events = POLLIN };
	assert_int_equal(poll(&p, 1, SPIN_DEADLINE_MS), 1);
	assert_int_equal(child_signal_group(run.child, SIGTERM), 0);
	read_all(&run, out);		/* ends when both are gone */
	assert_string_equal(run.text, "up\n");
	close(in);
	run_end(&run);
	assert_true(run.exit.signaled);
	assert_int_equal(run.exit.value, SIGTERM);
	spin_finish(&s);
}

static void
an_end_seen_before_the_start_is_told_after_it(void **state)
{
	static const char *const paths[] = { "/bin/true", NULL };
	static const char *const argv[] = { NULL, NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_OUTPUT);
	struct spin		 s;
	struct run		 run;
	siginfo_t		 si;

	(void)state;
	spin_init(&s, true);
	run_spawn(&run, &s, &spec);
	waitid(P_PID, (id_t)child_pid(run.child), &si, WEXITED | WNOWAIT);
	assert_int_equal(reap_run(s.reap), 1);
	assert_true(run.started);
	assert_int_equal(run.stage, CHILD_OK);
	assert_true(run.over);
	run_end(&run);
	spin_finish(&s);
}

static void
L12_a_child_destroyed_before_its_start_is_killed(void **state)
{
	static const char *const paths[] = { "/bin/sleep", NULL };
	static const char *const argv[] = { NULL, "1000", NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_PTY);
	bool			 adopt = *(bool *)*state;
	struct spin		 s;
	struct run		 run;

	spin_init(&s, adopt);
	run_spawn(&run, &s, &spec);
	child_destroy(run.child);
	child_destroy(NULL);
	spin_poll(&s, run_nobody_left, NULL);
	assert_false(run.started);
	assert_false(run.over);
	spin_finish(&s);
}

static void
a_child_destroyed_in_started_runs_on_and_run_is_gone(void **state)
{
	static const char *const paths[] = { "/bin/sh", NULL };
	static const char *const argv[] = { NULL, "-c", "exit 5", NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_OUTPUT);
	bool			 adopt = *(bool *)*state;
	struct spin		 s;
	struct run		 run;

	spin_init(&s, adopt);
	run_spawn(&run, &s, &spec);
	run.destroy_early = true;
	spin_until(&s, &run.started);
	spin_poll(&s, run_nobody_left, NULL);
	assert_false(run.over);
	spin_finish(&s);
}

static void
no_memory_and_no_descriptors_start_nothing(void **state)
{
	static const char *const paths[] = { "/bin/true", NULL };
	static const char *const argv[] = { NULL, NULL };
	static const enum child_io kinds[] = { CHILD_PTY, CHILD_STREAMS,
				    CHILD_OUTPUT };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_OUTPUT);
	struct spin		 s;
	struct run		 run;
	size_t			 i;

	(void)state;
	spin_init(&s, true);
	run_out_of_memory(&run, &s, &spec);
	run_end(&run);
	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		spec.io = kinds[i];
		run_out_of_files(&s, &spec, 9);
	}
	spin_poll(&s, run_nobody_left, NULL);
	spin_finish(&s);
}

static void
every_stage_has_a_name(void **state)
{
	int	i;

	(void)state;
	for (i = CHILD_OK; i <= CHILD_TIMEOUT; i++)
		assert_string_not_equal(
		    child_stage_name((enum child_stage)i), "unknown");
	assert_string_equal(child_stage_name((enum child_stage)99), "unknown");
}

/* -- a hung directory; last, it leaves the mount namespace ----------------- */

static void
L12_a_hung_directory_costs_the_child_and_not_us(void **state)
{
	static const char *const paths[] = { "/bin/true", NULL };
	static const char *const argv[] = { NULL, NULL };
	char			 dir[] = TEMPLATE;
	struct child_spec	 spec = spec_of(paths, argv, CHILD_STREAMS);
	struct spin		 s;
	struct run		 hung, other, dropped;
	pid_t			 pid;
	int			 fuse;

	(void)state;
	fuse = run_hung_folder(dir);
	spin_init(&s, true);
	spec.cwd = dir;
	run_spawn(&hung, &s, &spec);
	run_spawn(&dropped, &s, &spec);
	pid = child_pid(dropped.child);
	child_destroy(dropped.child);
	spec.cwd = NULL;
	run_spawn(&other, &s, &spec);		/* lives on meanwhile */
	run_end(&other);
	spin_poll(&s, run_is_gone, &pid);
	assert_false(hung.started);
	spin_until(&s, &hung.started);
	assert_int_equal(hung.stage, CHILD_TIMEOUT);
	assert_int_equal(hung.err, ETIMEDOUT);
	assert_string_equal(hung.path, "/bin/true");
	run_end(&hung);
	assert_true(hung.exit.signaled);
	assert_int_equal(hung.exit.value, SIGKILL);
	spin_finish(&s);
	umount2(dir, MNT_DETACH);
	close(fuse);
	rmdir(dir);
}

int
main(void)
{
	static bool	yes = true, no = false;
	const struct CMUnitTest	tests[] = {
		T(EX_13_stdout_and_stderr_are_apart_or_merged_as_asked),
		T(EX_09_a_closed_stdin_is_end_of_file),
		T(the_group_gets_the_signal_stopped_members_too),
		T(an_end_seen_before_the_start_is_told_after_it),
		T_EACH(L12_a_child_destroyed_before_its_start_is_killed),
		T_EACH(a_child_destroyed_in_started_runs_on_and_run_is_gone),
		T(no_memory_and_no_descriptors_start_nothing),
		T(every_stage_has_a_name),
		T(L12_a_hung_directory_costs_the_child_and_not_us),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
