#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "tests/unit/failmalloc.h"
#include "tests/unit/job.h"
#include "workspace/task.h"

/* -- output ---------------------------------------------------------------- */

static void
EX_13_both_streams_arrive_whole_and_in_order(void **state)
{
	struct spin	s;
	struct job	j;

	(void)state;
	spin_init(&s, true);
	job_run(&j, &s, CHILD_STREAMS,
	    "echo a; echo b >&2; echo c; echo d >&2; exit 3");
	assert_string_equal(j.out, "a\nc\n");
	assert_string_equal(j.err, "b\nd\n");
	assert_int_equal(reap_exit_code(&j.exit), 3);
	job_free(&j);
	job_run(&j, &s, CHILD_MERGED, "echo a; echo b >&2; echo c");
	assert_string_equal(j.out, "a\nb\nc\n");
	job_free(&j);
	job_run(&j, &s, CHILD_PTY, "echo a; echo b >&2");
	assert_string_equal(j.out, "a\r\nb\r\n");
	job_free(&j);
	job_run(&j, &s, CHILD_OUTPUT, "cat; echo a; exit 4");
	assert_string_equal(j.out, "a\n");
	assert_int_equal(reap_exit_code(&j.exit), 4);
	job_free(&j);
	spin_finish(&s);
}

static void
EX_03_a_killed_program_is_128_and_the_signal(void **state)
{
	struct spin	s;
	struct job	j;

	(void)state;
	spin_init(&s, true);
	job_run(&j, &s, CHILD_STREAMS, "kill -9 $$");
	assert_int_equal(reap_exit_code(&j.exit), 137);
	job_free(&j);
	spin_finish(&s);
}

static void
SH_09_D2_the_tail_of_the_output_is_not_lost(void **state)
{
	static const enum child_io kinds[] = { CHILD_PTY, CHILD_STREAMS };
	const char	*tail;
	struct spin	 s;
	struct job	 j;
	size_t		 i;

	(void)state;
	spin_init(&s, true);
	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		job_run(&j, &s, kinds[i], "seq 100000; echo the end");
		tail = kinds[i] == CHILD_PTY ? "100000\r\nthe end\r\n" :
		    "100000\nthe end\n";
		assert_true(j.nout > strlen(tail) && j.nout < KEEP_MAX);
		assert_string_equal(j.out + j.nout - strlen(tail), tail);
		job_free(&j);
	}
	spin_finish(&s);
}

static bool
file_exists(void *path)
{
	return access(path, F_OK) == 0;
}

/* Fills the pipe to its end, says so, and then writes more than it takes. */
static void
start_flood(struct job *j, struct spin *s, char *dir, char *full, char *over,
    size_t pathlen)
{
	char	script[256];

	assert_non_null(mkdtemp(dir));
	snprintf(full, pathlen, "%s/full", dir);
	snprintf(over, pathlen, "%s/over", dir);
	snprintf(script, sizeof script, "head -c 65536 /dev/zero; : >%s; "
	    "head -c 1000000 /dev/zero; : >%s", full, over);
	job_start(j, s, CHILD_STREAMS, script);
	j->room = 0;
	spin_poll(s, file_exists, full);
}

static void
end_flood(struct job *j, const char *dir, const char *full, const char *over)
{
	job_end(j);
	assert_int_equal(j->nout, 65536 + 1000000);
	assert_int_equal(unlink(over), 0);
	unlink(full);
	rmdir(dir);
	job_free(j);
}

static void
EX_28_a_flood_comes_in_large_pieces(void **state)
{
	char		dir[] = TEMPLATE, full[64], over[64];
	struct spin	s;
	struct job	j;

	(void)state;
	spin_init(&s, true);
	start_flood(&j, &s, dir, full, over, sizeof full);
	j.room = 1 << 20;
	task_resume(j.task);
	while (j.chunks == 0)
		loop_run(s.loop);
	assert_int_equal(j.nout, TASK_READ_MAX);
	end_flood(&j, dir, full, over);
	spin_finish(&s);
}

/* Its reads bring 4 KiB at most: one output() is made of several. */
static void
EX_28_a_flood_on_a_terminal_is_gathered(void **state)
{
	char		dir[] = TEMPLATE, full[64], script[256];
	struct spin	s;
	struct job	j;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(full, sizeof full, "%s/full", dir);
	snprintf(script, sizeof script, "stty raw -echo; "
	    "head -c 8000 /dev/zero; : >%s; read a", full);
	spin_init(&s, true);
	job_start(&j, &s, CHILD_PTY, script);
	j.room = 0;
	spin_poll(&s, file_exists, full);
	j.room = TASK_READ_MAX;
	task_resume(j.task);
	while (j.chunks == 0)
		loop_run(s.loop);
	assert_in_range(j.nout, 4097, 8000);
	assert_int_equal(task_input(j.task, "\n", 1), 0);
	job_end(&j);
	assert_int_equal(j.nout, 8000);
	job_free(&j);
	unlink(full);
	rmdir(dir);
	spin_finish(&s);
}

static void
EX_27_a_taker_without_room_stops_the_child(void **state)
{
	char		dir[] = TEMPLATE, full[64], over[64];
	struct spin	s;
	struct job	j, other;
	uint64_t	before, turns, us;

	(void)state;
	spin_init(&s, true);
	start_flood(&j, &s, dir, full, over, sizeof full);
	loop_stats(s.loop, &before, &us);
	job_run(&other, &s, CHILD_OUTPUT, "sleep 0.1");
	job_free(&other);
	loop_stats(s.loop, &turns, &us);
	assert_in_range(turns - before, 1, 20);		/* and no busy loop */
	assert_int_equal(j.nout, 0);
	assert_false(file_exists(over));
	j.room = 1000;
	task_resume(j.task);
	while (j.chunks == 0)
		loop_run(s.loop);
	assert_int_equal(j.largest, 1000);
	j.room = 5000;
	end_flood(&j, dir, full, over);
	spin_finish(&s);
}

static void
EX_28_a_little_is_forwarded_at_once(void **state)
{
	struct spin	s;
	struct job	j;

	(void)state;
	spin_init(&s, true);
	/* The second half is only written once the first was seen. */
	job_start(&j, &s, CHILD_STREAMS, "printf x; read a; printf y");
	job_await(&j, "x");
	assert_int_equal(task_input(j.task, "\n", 1), 0);
	job_end(&j);
	assert_string_equal(j.out, "xy");
	assert_int_equal(j.chunks, 2);
	job_free(&j);
	spin_finish(&s);
}

static void
the_drain_waits_for_room_and_not_for_time(void **state)
{
	struct spin	s;
	struct job	j;
	struct job	other;

	(void)state;
	spin_init(&s, true);
	job_start(&j, &s, CHILD_STREAMS, "echo kept");
	j.room = 0;
	/* Takes longer than the drain of the first would. */
	job_run(&other, &s, CHILD_STREAMS, "sleep 0.4");
	job_free(&other);
	assert_false(j.finished);
	assert_int_equal(j.nout, 0);
	j.room = TASK_READ_MAX;
	task_resume(j.task);
	job_end(&j);
	assert_string_equal(j.out, "kept\n");
	job_free(&j);
	spin_finish(&s);
}

static void
EX_17_a_grandchild_with_the_pipe_open_does_not_hold_the_end(void **state)
{
	static const enum child_io kinds[] = { CHILD_STREAMS, CHILD_MERGED,
				    CHILD_PTY };
	struct spin	s;
	struct job	j;
	size_t		i;
	uint64_t	from;
	pid_t		pid;

	(void)state;
	spin_init(&s, true);
	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		job_start(&j, &s, kinds[i],
		    "trap '' HUP; sleep 1000 & echo $!; exit 6");
		spin_until(&s, &j.started);
		from = loop_now(s.loop);
		job_end(&j);
		assert_int_equal(reap_exit_code(&j.exit), 6);
		assert_in_range(loop_now(s.loop) - from, 0, 2000);
		pid = (pid_t)strtol(j.out, NULL, 10);
		assert_true(pid > 1);
		assert_int_equal(kill(pid, 0), 0);	/* it lives on */
		kill(pid, SIGKILL);
		spin_poll(&s, run_is_gone, &pid);
		job_free(&j);
	}
	spin_finish(&s);
}

static void
EX_17_room_that_comes_after_the_end_ends_the_drain(void **state)
{
	struct spin	s;
	struct job	j;
	pid_t		pid;

	(void)state;
	spin_init(&s, true);
	job_start(&j, &s, CHILD_STREAMS, "sleep 1000 & exit 2");
	j.room = 0;
	pid = task_pid(j.task);
	spin_poll(&s, run_is_gone, &pid);
	assert_false(j.finished);
	j.room = 1;
	task_resume(j.task);
	job_end(&j);
	assert_int_equal(reap_exit_code(&j.exit), 2);
	assert_int_equal(kill(-pid, SIGKILL), 0);
	spin_poll(&s, run_nobody_left, NULL);
	job_free(&j);
	spin_finish(&s);
}

static void
EX_17_what_a_grandchild_still_says_is_heard(void **state)
{
	struct spin	s;
	struct job	j;

	(void)state;
	spin_init(&s, true);
	job_run(&j, &s, CHILD_STREAMS,
	    "(for i in 1 2 3 4 5 6; do sleep 0.1; echo $i; done) & exit 0");
	assert_string_equal(j.out, "1\n2\n3\n4\n5\n6\n");
	job_free(&j);
	spin_finish(&s);
}

static void
a_shell_that_ends_takes_its_terminals_group_along(void **state)
{
	struct spin	s;
	struct job	j;
	pid_t		pid;

	(void)state;
	spin_init(&s, true);
	job_run(&j, &s, CHILD_PTY, "sleep 1000 & echo $!");
	pid = (pid_t)strtol(j.out, NULL, 10);
	assert_true(pid > 1);
	spin_poll(&s, run_is_gone, &pid);
	job_free(&j);
	spin_finish(&s);
}

static void
a_shell_that_is_killed_takes_its_own_group_along_too(void **state)
{
	struct spin	s;
	struct job	j;
	pid_t		pid;

	(void)state;
	spin_init(&s, true);
	/* The kernel hangs up only the foreground, another group here. */
	job_run(&j, &s, CHILD_PTY, "sleep 1000 & echo $! up; set -m; "
	    "sh -c \"kill -9 $$; sleep 1000\"");
	pid = (pid_t)strtol(j.out, NULL, 10);
	assert_true(pid > 1);
	assert_int_equal(reap_exit_code(&j.exit), 128 + SIGKILL);
	spin_poll(&s, run_is_gone, &pid);
	job_free(&j);
	spin_finish(&s);
}

/* -- input ----------------------------------------------------------------- */

static void
EX_09_no_input_at_all_is_end_of_file(void **state)
{
	struct spin	s;
	struct job	j;

	(void)state;
	spin_init(&s, true);
	job_start(&j, &s, CHILD_STREAMS, "cat; echo done");
	task_input_end(j.task);		/* before the start is known */
	assert_int_equal(task_input(j.task, "x", 1), -EPIPE);
	job_end(&j);
	assert_string_equal(j.out, "done\n");
	job_free(&j);
	spin_finish(&s);
}

static void
EX_10_stdin_closes_behind_all_input(void **state)
{
	static const enum child_io kinds[] = { CHILD_STREAMS, CHILD_MERGED };
	size_t		 n = 900000, i;
	char		*big = malloc(n);
	struct spin	 s;
	struct job	 j;

	(void)state;
	assert_non_null(big);
	for (i = 0; i < n; i++)
		big[i] = (char)(i * 31 >> 3);
	spin_init(&s, true);
	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		job_start(&j, &s, kinds[i], "sleep 0.05; cat");
		assert_int_equal(task_input(j.task, big, n), 0);
		assert_int_equal(task_input_queued(j.task), n);
		task_input_end(j.task);
		job_end(&j);
		assert_int_equal(j.nout, n);
		assert_memory_equal(j.out, big, n);
		job_free(&j);
	}
	spin_finish(&s);
	free(big);
}

static void
EX_11_input_nobody_reads_is_dropped(void **state)
{
	static const enum child_io kinds[] = { CHILD_STREAMS, CHILD_MERGED };
	char		 mem[4096] = "";
	struct spin	 s;
	struct job	 j;
	size_t		 i;
	int		 r;

	(void)state;
	spin_init(&s, true);
	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		job_start(&j, &s, kinds[i],
		    "exec <&-; echo closed; sleep 0.05; exit 9");
		job_await(&j, "closed");
		while ((r = task_input(j.task, mem, sizeof mem)) == 0)
			continue;
		assert_int_equal(r, -EPIPE);
		assert_int_equal(task_input_queued(j.task), 0);
		job_end(&j);
		assert_int_equal(reap_exit_code(&j.exit), 9);
		job_free(&j);
	}
	spin_finish(&s);
}

static void
EX_11_input_after_the_end_is_refused(void **state)
{
	struct spin	s;
	struct job	j;

	(void)state;
	spin_init(&s, true);
	job_start(&j, &s, CHILD_PTY, "exit 0");
	spin_until(&s, &j.finished);
	assert_int_equal(task_input(j.task, "x", 1), -EPIPE);
	assert_int_equal(task_resize(j.task, 80, 24), -EPIPE);
	assert_int_equal(task_signal(j.task, SIGTERM), -ESRCH);
	task_input_end(j.task);
	task_resume(j.task);
	job_end(&j);
	job_free(&j);
	spin_finish(&s);
}

static void
EX_15_a_signal_passes_input_the_child_does_not_read(void **state)
{
	size_t		 n = 256 * 1024, total = 0;
	char		*mem = calloc(1, n);
	struct spin	 s;
	struct job	 j;
	int		 r;

	(void)state;
	assert_non_null(mem);
	spin_init(&s, true);
	job_start(&j, &s, CHILD_STREAMS, "echo up; exec sleep 1000");
	job_await(&j, "up");
	while ((r = task_input(j.task, mem, n)) == 0)
		total += n;
	assert_int_equal(r, -ENOBUFS);
	assert_true(total >= TASK_INPUT_MAX);
	assert_in_range(task_input_queued(j.task), TASK_INPUT_MAX,
	    TASK_INPUT_MAX + n);
	assert_int_equal(task_signal(j.task, SIGTERM), 0);
	job_end(&j);
	assert_int_equal(reap_exit_code(&j.exit), 128 + SIGTERM);
	job_free(&j);
	spin_finish(&s);
	free(mem);
}

static void
writable_comes_once_half_of_the_queue_is_free(void **state)
{
	size_t		 n = TASK_INPUT_MAX + 1;
	char		*mem = calloc(1, n);
	struct spin	 s;
	struct job	 j;

	(void)state;
	assert_non_null(mem);
	spin_init(&s, true);
	job_start(&j, &s, CHILD_STREAMS, "cat >/dev/null");
	/* One piece may pass the limit, and then no other. */
	assert_int_equal(task_input(j.task, mem, TASK_INPUT_MAX - 1), 0);
	assert_int_equal(task_input(j.task, mem, n), 0);
	assert_int_equal(task_input(j.task, mem, 1), -ENOBUFS);
	spin_until(&s, &j.writable);
	assert_int_equal(task_input(j.task, mem, 1), 0);
	task_input_end(j.task);
	job_end(&j);
	job_free(&j);
	spin_finish(&s);
	free(mem);
}

static void
SH_08_a_raw_terminal_passes_every_byte(void **state)
{
	char		 all[256];
	struct spin	 s;
	struct job	 j;
	int		 i;

	(void)state;
	for (i = 0; i < 256; i++)
		all[i] = (char)i;
	spin_init(&s, true);
	job_start(&j, &s, CHILD_PTY,
	    "stty raw -echo; echo up; exec head -c 256");
	job_await(&j, "up\n");
	j.nout = 0;
	assert_int_equal(task_input(j.task, all, 256), 0);
	job_end(&j);
	assert_int_equal(j.nout, 256);
	assert_memory_equal(j.out, all, 256);
	job_free(&j);
	spin_finish(&s);
}

static void
EX_20_the_end_of_input_leaves_a_terminal_alone(void **state)
{
	struct spin	s;
	struct job	j;

	(void)state;
	spin_init(&s, true);
	job_start(&j, &s, CHILD_PTY, "stty -echo; echo up; read a; echo $a");
	job_await(&j, "up");
	task_input_end(j.task);
	assert_int_equal(task_input(j.task, "typed\n", 6), 0);
	job_end(&j);
	assert_string_equal(j.out, "up\r\ntyped\r\n");
	job_free(&j);
	spin_finish(&s);
}

static void
SH_20_an_interrupt_is_typed_past_a_stalled_taker(void **state)
{
	struct spin	s;
	struct job	j;

	(void)state;
	spin_init(&s, true);
	job_start(&j, &s, CHILD_PTY, "echo up; exec yes");
	job_await(&j, "up");
	j.room = 0;
	assert_int_equal(task_input(j.task, "\003", 1), 0);
	/* Collected while nobody reads; then the rest comes. */
	while (task_signal(j.task, SIGCONT) == 0 && !s.late)
		loop_run(s.loop);
	j.room = TASK_READ_MAX;
	task_resume(j.task);
	job_end(&j);
	assert_int_equal(reap_exit_code(&j.exit), 128 + SIGINT);
	job_free(&j);
	spin_finish(&s);
}

/* -- signals, size, failed starts ------------------------------------------ */

static void
EX_14_a_signal_before_the_start_is_kept_for_the_program(void **state)
{
	struct spin	s;
	struct job	j;

	(void)state;
	spin_init(&s, true);
	job_start(&j, &s, CHILD_STREAMS, "sleep 1000");
	assert_int_equal(task_signal(j.task, SIGTERM), 0);
	assert_int_equal(task_signal(j.task, 0), -EINVAL);
	assert_int_equal(task_signal(j.task, 65), -EINVAL);
	job_end(&j);
	assert_int_equal(j.stage, CHILD_OK);
	assert_int_equal(reap_exit_code(&j.exit), 128 + SIGTERM);
	job_free(&j);
	spin_finish(&s);
}

static void
RS_04_sizes_are_clamped_and_never_wrap(void **state)
{
	struct spin	s;
	struct job	j;

	(void)state;
	spin_init(&s, true);
	job_start(&j, &s, CHILD_PTY, "read a; stty size");
	assert_int_equal(task_resize(j.task, 0, 24), -EINVAL);
	assert_int_equal(task_resize(j.task, 80, 0), -EINVAL);
	assert_int_equal(task_resize(j.task, 65536 + 80, 65536), 0);
	assert_int_equal(task_input(j.task, "\n", 1), 0);
	job_end(&j);
	assert_non_null(strstr(j.out, "65535 65535"));
	job_free(&j);
	job_start(&j, &s, CHILD_STREAMS, "exit 0");
	assert_int_equal(task_resize(j.task, 80, 24), -ENOTTY);
	job_end(&j);
	job_free(&j);
	spin_finish(&s);
}

static void
S12_the_end_of_a_shim_is_told_apart_from_the_end(void **state)
{
	struct spin	 s;
	struct job	 j;

	(void)state;
	spin_init(&s, true);
	job_spawn(&j, &s, CHILD_STREAMS, true,
	    "(setsid cat </dev/fd/3 >/dev/null 2>&1 &) 3<&0; echo x; exit 4");
	spin_until(&s, &j.finished);
	assert_int_equal(j.exit.value, 4);
	assert_string_equal(j.out, "x\n");
	assert_int_equal(j.nerr, 0);
	if (!j.emptied)
		assert_int_not_equal(task_shim(j.task), 0);
	spin_until(&s, &j.emptied);	/* finish() closed what cat reads */
	assert_true(j.sure);
	assert_int_equal(task_shim(j.task), 0);
	job_end(&j);
	job_free(&j);
	job_spawn(&j, &s, CHILD_STREAMS, true, "exec sleep 1000");
	spin_until(&s, &j.started);
	task_hangup(j.task, job_on_gone, &j);
	spin_until(&s, &j.gone);
	assert_false(j.emptied);
	job_free(&j);
	spin_poll(&s, run_nobody_left, NULL);
	spin_finish(&s);
}

static void
a_failed_start_finishes_too(void **state)
{
	static const char *const paths[] = { "/no/such", NULL };
	static const char *const argv[] = { NULL, NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_STREAMS);
	struct job		 j;
	struct spin		 s;

	(void)state;
	spin_init(&s, true);
	j = (struct job){ .spin = &s, .room = 1 };
	assert_int_equal(task_create(&j.task, s.loop, s.reap, &spec,
	    &job_ops, &j), 0);
	assert_int_equal(task_input(j.task, "x", 1), 0);
	job_end(&j);
	assert_int_equal(j.stage, CHILD_EXEC);
	spin_finish(&s);
}

static void
no_memory_starts_nothing(void **state)
{
	static const char *const paths[] = { "/bin/true", NULL };
	static const char *const argv[] = { NULL, NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_STREAMS);
	struct spin		 s;
	struct job		 j;
	unsigned		 n;
	int			 r;

	(void)state;
	spin_init(&s, true);
	for (n = 1; ; n++) {
		j = (struct job){ .spin = &s, .room = 1 };
		failmalloc_arm(n);
		r = task_create(&j.task, s.loop, s.reap, &spec, &job_ops, &j);
		if (!failmalloc_disarm())
			break;
		assert_int_equal(r, -ENOMEM);
	}
	assert_int_equal(r, 0);
	failmalloc_arm(1);
	assert_int_equal(task_input(j.task, "x", 1), -ENOMEM);
	failmalloc_disarm();
	job_end(&j);
	spin_finish(&s);
}

static void
many_short_tasks_leave_nothing_behind(void **state)
{
	enum { ROUNDS = 100 };
	struct spin	s;
	struct job	j;
	int		i;

	(void)state;
	spin_init(&s, true);
	for (i = 0; i < ROUNDS; i++) {
		job_run(&j, &s, i % 2 ? CHILD_PTY : CHILD_STREAMS, "echo x");
		assert_string_equal(j.out, i % 2 ? "x\r\n" : "x\n");
		job_free(&j);
	}
	spin_poll(&s, run_nobody_left, NULL);
	spin_finish(&s);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		T(EX_13_both_streams_arrive_whole_and_in_order),
		T(EX_03_a_killed_program_is_128_and_the_signal),
		T(SH_09_D2_the_tail_of_the_output_is_not_lost),
		T(EX_28_a_flood_comes_in_large_pieces),
		T(EX_28_a_flood_on_a_terminal_is_gathered),
		T(EX_28_a_little_is_forwarded_at_once),
		T(EX_27_a_taker_without_room_stops_the_child),
		T(the_drain_waits_for_room_and_not_for_time),
		T(EX_17_a_grandchild_with_the_pipe_open_does_not_hold_the_end),
		T(EX_17_room_that_comes_after_the_end_ends_the_drain),
		T(EX_17_what_a_grandchild_still_says_is_heard),
		T(a_shell_that_ends_takes_its_terminals_group_along),
		T(a_shell_that_is_killed_takes_its_own_group_along_too),
		T(EX_09_no_input_at_all_is_end_of_file),
		T(EX_10_stdin_closes_behind_all_input),
		T(EX_11_input_nobody_reads_is_dropped),
		T(EX_11_input_after_the_end_is_refused),
		T(EX_15_a_signal_passes_input_the_child_does_not_read),
		T(writable_comes_once_half_of_the_queue_is_free),
		T(SH_08_a_raw_terminal_passes_every_byte),
		T(EX_20_the_end_of_input_leaves_a_terminal_alone),
		T(SH_20_an_interrupt_is_typed_past_a_stalled_taker),
		T(EX_14_a_signal_before_the_start_is_kept_for_the_program),
		T(RS_04_sizes_are_clamped_and_never_wrap),
		T(S12_the_end_of_a_shim_is_told_apart_from_the_end),
		T(a_failed_start_finishes_too),
		T(no_memory_starts_nothing),
		T(many_short_tasks_leave_nothing_behind),
	};

	/* Else grandchildren stay zombies until this system's init looks. */
	if (reap_become_subreaper() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
