#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"
#include "tests/unit/deny.h"
#include "tests/unit/job.h"
#include "workspace/task.h"

/* -- hang-up --------------------------------------------------------------- */

static void
SH_10_EX_16_a_hangup_ends_the_group_but_not_nohup(void **state)
{
	static const enum child_io kinds[] = { CHILD_STREAMS, CHILD_PTY };
	struct spin	s;
	struct job	j;
	pid_t		stays, goes, shell;
	size_t		i;

	(void)state;
	spin_init(&s, true);
	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		job_start(&j, &s, kinds[i],
		    "sleep 1000 & echo $!; "
		    "nohup sleep 1000 >/dev/null 2>&1 </dev/null & "
		    "sleep 0.1; echo $!; echo up; wait");
		job_await(&j, "up");
		assert_int_equal(sscanf(j.out, "%d %d", &goes, &stays), 2);
		shell = task_pid(j.task);
		task_hangup(j.task, job_on_gone, &j);
		task_hangup(j.task, NULL, NULL);	/* the first counts */
		assert_false(j.gone);
		spin_until(&s, &j.gone);
		assert_int_equal(j.finishes, 0);
		spin_poll(&s, run_is_gone, &shell);
		spin_poll(&s, run_is_gone, &goes);
		assert_int_equal(kill(stays, 0), 0);
		kill(stays, SIGKILL);
		spin_poll(&s, run_is_gone, &stays);
		job_free(&j);
	}
	spin_finish(&s);
}

static void
SH_10_the_foreground_job_of_a_shell_is_hung_up_too(void **state)
{
	struct spin	s;
	struct job	j;
	uint64_t	from;
	pid_t		fg;

	(void)state;
	spin_init(&s, true);
	/* Job control gives it a group of its own; the shell won't go. */
	job_start(&j, &s, CHILD_PTY, "set -m; trap : HUP; "
	    "sh -c 'echo $$ up; exec sleep 1000'; sleep 1000");
	job_await(&j, " up");
	fg = (pid_t)strtol(j.out, NULL, 10);
	assert_true(fg > 1 && fg != task_pid(j.task));
	from = loop_now(s.loop);
	task_hangup(j.task, job_on_gone, &j);
	spin_poll(&s, run_is_gone, &fg);
	assert_in_range(loop_now(s.loop) - from, 0, TASK_HANGUP_MS / 2);
	spin_until(&s, &j.gone);
	job_free(&j);
	spin_finish(&s);
}

static void
SH_10_who_ignores_a_hangup_is_killed(void **state)
{
	struct spin	s;
	struct job	j;
	uint64_t	from;
	pid_t		pid;

	(void)state;
	spin_init(&s, true);
	job_start(&j, &s, CHILD_STREAMS,
	    "trap '' HUP PIPE; sleep 1000 & echo $! up; wait; sleep 1000");
	job_await(&j, " up");
	pid = (pid_t)strtol(j.out, NULL, 10);
	from = loop_now(s.loop);
	task_hangup(j.task, job_on_gone, &j);
	spin_until(&s, &j.gone);
	assert_in_range(loop_now(s.loop) - from, TASK_HANGUP_MS,
	    TASK_HANGUP_MS + 2000);
	spin_poll(&s, run_is_gone, &pid);
	job_free(&j);
	spin_finish(&s);
}

/* Says its pid, and lives through SIGHUP. */
#define HANDLER(mark)							\
	"sh -c 'trap : HUP; echo $$ " mark "; while :; do sleep 0.2; done'"

/* The number in front of a mark; waits for it. */
static pid_t
pid_of(struct job *j, const char *mark)
{
	const char	*p;

	job_await(j, mark);
	for (p = strstr(j->out, mark) - 1; p > j->out && p[-1] >= '0' &&
	    p[-1] <= '9'; p--)
		continue;
	return (pid_t)strtol(p, NULL, 10);
}

static void
EX_16_jobs_of_the_session_in_groups_of_their_own_go_too(void **state)
{
	static const enum child_io kinds[] = { CHILD_STREAMS, CHILD_PTY };
	struct spin	s;
	struct job	j;
	pid_t		deaf, below, stays, nohup;
	size_t		i;

	(void)state;
	spin_init(&s, true);
	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		job_start(&j, &s, kinds[i], "set -m; " HANDLER("deaf") " & "
		    "sh -c 'sleep 1000 & echo $! below; wait' & "
		    "setsid " HANDLER("stays") " & "
		    "(trap '' HUP; echo $(exec sh -c 'echo $PPID') nohup; "
		    "exec sleep 1000 >/dev/null 2>&1) & wait");
		deaf = pid_of(&j, " deaf");
		below = pid_of(&j, " below");
		stays = pid_of(&j, " stays");
		nohup = pid_of(&j, " nohup");
		task_hangup(j.task, job_on_gone, &j);
		spin_until(&s, &j.gone);
		spin_poll(&s, run_is_gone, &below);
		spin_poll(&s, run_is_gone, &deaf);
		assert_int_equal(kill(stays, SIGKILL), 0);
		assert_int_equal(kill(nohup, SIGKILL), 0);
		spin_poll(&s, run_is_gone, &stays);
		spin_poll(&s, run_is_gone, &nohup);
		job_free(&j);
	}
	spin_finish(&s);
}

static void
EX_16_a_child_of_a_thread_goes_too(void **state)
{
	static const char *const script = "exec python3 -c '"
	    "import os, signal, subprocess, threading, time\n"
	    "def run():\n"
	    "  p = subprocess.Popen([\"sleep\", \"1000\"], process_group=0)"
	    "\n  print(p.pid, \"thread\", flush=True)\n  time.sleep(1000)\n"
	    "threading.Thread(target=run).start()'";
	struct spin	s;
	struct job	j;
	pid_t		pid;

	(void)state;
	spin_init(&s, true);
	job_start(&j, &s, CHILD_STREAMS, script);
	pid = pid_of(&j, " thread");
	task_hangup(j.task, job_on_gone, &j);
	spin_until(&s, &j.gone);
	spin_poll(&s, run_is_gone, &pid);
	job_free(&j);
	spin_finish(&s);
}

static void
a_shell_that_ends_takes_its_group_along_even_who_is_slow(void **state)
{
	struct spin	s;
	struct job	j;
	pid_t		deaf, own;

	(void)state;
	spin_init(&s, true);
	/* Without job control they are in its group; with it, not. */
	job_start(&j, &s, CHILD_PTY, HANDLER("deaf") " & set -m; "
	    HANDLER("own") " & read x; exit 0");
	deaf = pid_of(&j, " deaf");
	own = pid_of(&j, " own");
	assert_int_equal(task_input(j.task, "\n", 1), 0);
	spin_until(&s, &j.finished);
	spin_poll(&s, run_is_gone, &deaf);
	/* A job in the background is the orphan scanner's to judge. */
	assert_int_equal(kill(own, SIGKILL), 0);
	spin_poll(&s, run_is_gone, &own);
	job_end(&j);
	job_free(&j);
	spin_finish(&s);
}

static void
T20_a_group_goes_without_pidfds_too(void **state)
{
	if (deny(SYS_pidfd_open, EPERM) < 0) {
		print_message("skipped: no seccomp\n");
		skip();
	}
	a_shell_that_ends_takes_its_group_along_even_who_is_slow(state);
	EX_16_jobs_of_the_session_in_groups_of_their_own_go_too(state);
}

static void
SH_13_accepted_input_is_written_before_the_hangup(void **state)
{
	char		file[] = TEMPLATE, script[128], text[64] = "";
	int		fd = mkstemp(file);
	struct spin	s;
	struct job	j;

	(void)state;
	assert_true(fd >= 0);
	/* Deaf to the hang-up, so that what came before it can be seen. */
	snprintf(script, sizeof script, "trap '' HUP; echo up; exec cat >%s",
	    file);
	spin_init(&s, true);
	job_start(&j, &s, CHILD_STREAMS, script);
	job_await(&j, "up");
	assert_int_equal(task_input(j.task, "last words", 10), 0);
	task_input_end(j.task);
	task_hangup(j.task, job_on_gone, &j);
	spin_until(&s, &j.gone);
	assert_int_equal(read(fd, text, sizeof text - 1), 10);
	assert_string_equal(text, "last words");
	unlink(file);
	job_free(&j);
	spin_finish(&s);
	close(fd);
}

static void
SH_13_input_from_before_the_start_is_written_too(void **state)
{
	char		text[64] = "";
	struct spin	s;
	struct job	j;

	(void)state;
	spin_init(&s, true);
	job_start(&j, &s, CHILD_STREAMS, "sleep 1000");
	assert_int_equal(task_input(j.task, "last words", 10), 0);
	j.hang_up_in_started = true;
	spin_until(&s, &j.gone);
	assert_false(j.finished);
	assert_int_equal(read(j.stdin_copy, text, sizeof text - 1), 10);
	assert_string_equal(text, "last words");
	close(j.stdin_copy);
	job_free(&j);
	spin_finish(&s);
}

static void
a_hangup_during_the_start_takes_the_child_along(void **state)
{
	static const enum child_io kinds[] = { CHILD_STREAMS, CHILD_PTY };
	struct spin	s;
	struct job	j;
	pid_t		pid;
	size_t		i;

	(void)state;
	spin_init(&s, true);
	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		job_start(&j, &s, kinds[i], "sleep 1000");
		pid = task_pid(j.task);
		task_hangup(j.task, job_on_gone, &j);
		spin_until(&s, &j.gone);
		spin_poll(&s, run_is_gone, &pid);
		assert_false(j.started || j.finished);
		job_free(&j);

	}
	spin_finish(&s);
}

static void
a_hangup_from_output_or_while_draining_is_final(void **state)
{
	struct spin	s;
	struct job	j;
	pid_t		pid;

	(void)state;
	spin_init(&s, true);
	job_start(&j, &s, CHILD_STREAMS, "exec yes");
	j.hang_up_in_output = true;
	spin_until(&s, &j.gone);
	assert_int_equal(j.chunks, 1);
	job_free(&j);

	job_start(&j, &s, CHILD_STREAMS,
	    "trap '' HUP; sleep 1000 & echo $! up");
	job_await(&j, " up");
	pid = (pid_t)strtol(j.out, NULL, 10);
	while (task_signal(j.task, SIGCONT) == 0 && !s.late)
		loop_run(s.loop);		/* until it is collected */
	assert_false(j.finished);
	task_hangup(j.task, job_on_gone, &j);
	spin_until(&s, &j.gone);
	assert_false(j.finished);
	kill(pid, SIGKILL);
	spin_poll(&s, run_is_gone, &pid);
	job_free(&j);

	job_start(&j, &s, CHILD_STREAMS, "exit 0");
	spin_until(&s, &j.finished);
	task_hangup(j.task, job_on_gone, &j);	/* instead of destroying it */
	spin_until(&s, &j.gone);
	job_free(&j);
	spin_finish(&s);
}

static void
L12_a_start_that_hangs_ends_in_time(void **state)
{
	static const char *const paths[] = { "/bin/true", NULL };
	static const char *const argv[] = { NULL, NULL };
	char			 dir[] = TEMPLATE;
	struct child_spec	 spec = spec_of(paths, argv, CHILD_STREAMS);
	struct job		 j = { .room = 1 }, lost = { .room = 1 };
	uint64_t		 from;
	struct spin		 s;
	int			 fuse;

	(void)state;
	fuse = run_hung_folder(dir);
	spin_init(&s, true);
	spec.cwd = dir;
	j.spin = lost.spin = &s;
	assert_int_equal(task_create(&j.task, s.loop, s.reap, &spec, &job_ops,
	    &j), 0);
	assert_int_equal(task_create(&lost.task, s.loop, s.reap, &spec,
	    &job_ops, &lost), 0);
	from = loop_now(s.loop);
	task_hangup(lost.task, job_on_gone, &lost);
	spin_until(&s, &lost.gone);
	assert_false(lost.started);
	assert_in_range(loop_now(s.loop) - from, TASK_HANGUP_MS,
	    TASK_HANGUP_MS + 2000);
	assert_false(j.started);
	job_end(&j);
	assert_int_equal(j.stage, CHILD_TIMEOUT);
	assert_int_equal(reap_exit_code(&j.exit), 128 + SIGKILL);
	spin_poll(&s, run_nobody_left, NULL);
	spin_finish(&s);
	umount2(dir, MNT_DETACH);
	close(fuse);
	rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		T(SH_10_EX_16_a_hangup_ends_the_group_but_not_nohup),
		T(SH_10_the_foreground_job_of_a_shell_is_hung_up_too),
		T(SH_10_who_ignores_a_hangup_is_killed),
		T(EX_16_jobs_of_the_session_in_groups_of_their_own_go_too),
		T(EX_16_a_child_of_a_thread_goes_too),
		T(a_shell_that_ends_takes_its_group_along_even_who_is_slow),
		T(SH_13_accepted_input_is_written_before_the_hangup),
		T(SH_13_input_from_before_the_start_is_written_too),
		T(a_hangup_during_the_start_takes_the_child_along),
		T(a_hangup_from_output_or_while_draining_is_final),
		/* Last: they leave pidfds, and the mount namespace. */
		T(T20_a_group_goes_without_pidfds_too),
		T(L12_a_start_that_hangs_ends_in_time),
	};

	/* Else grandchildren stay zombies until this system's init looks. */
	if (reap_become_subreaper() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
