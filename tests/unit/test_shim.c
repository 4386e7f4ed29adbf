#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/str.h"
#include "proc/procfs.h"
#include "proc/shim.h"
#include "tests/unit/failmalloc.h"
#include "tests/unit/run.h"

/* main() is shim_main() by that name. */
#define OURSELVES	"/proc/self/exe"

static const char *const sh[] = { "/bin/sh", NULL };

/* The line of /proc/PID/status that starts with key. */
static const char *
status_field(pid_t pid, const char *key)
{
	static char	 text[8192];
	char		 path[64];
	ssize_t		 n;
	int		 fd;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	if ((fd = open(path, O_RDONLY)) == -1)
		return "gone";
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? field(text, key) : "gone";
}

static void
spawn_script(struct run *run, struct spin *s, enum child_io io,
    const char *script)
{
	const char		*argv[] = { NULL, "-c", script, NULL };
	struct child_spec	 spec = spec_of(sh, argv, io);

	spec.shim = OURSELVES;
	run_spawn(run, s, &spec);
	spin_until(s, &run->started);
	assert_int_equal(run->stage, CHILD_OK);
}

/* The first n words of what it prints are pids. */
static void
read_pids(struct run *run, pid_t *pid, size_t n)
{
	struct pollfd	 p = { .events = POLLIN };
	char		 text[256] = "", *next = text, *end;
	size_t		 len = 0, lines;
	ssize_t		 r;

	p.fd = child_take_stdout(run->child);
	do {
		assert_int_equal(poll(&p, 1, SPIN_DEADLINE_MS), 1);
		r = read(p.fd, text + len, sizeof text - 1 - len);
		assert_true(r > 0);
		len += (size_t)r;
		for (lines = 0, next = text; *next != '\0'; next++)
			lines += *next == '\n';
	} while (lines < n);
	close(p.fd);
	for (next = text; n > 0; n--, next = end)
		*pid++ = (pid_t)strtol(next, &end, 10);
}

static bool
all_ended(void *arg)
{
	struct spin	*s = arg;

	reap_run(s->reap);
	return run_nobody_left(NULL);
}

static void
shim_end(struct run *run)
{
	spin_until(run->spin, &run->emptied);
	assert_int_equal(child_shim(run->child), 0);
	run_end(run);
}

/* -- order ----------------------------------------------------------------- */

static void
the_program_starts_ends_and_the_shim_follows(void **state)
{
	struct spin	 s;
	struct run	 run;
	pid_t		 shim;

	(void)state;
	spin_init(&s, true);
	spawn_script(&run, &s, CHILD_STREAMS, "read x; exit 7");
	shim = child_shim(run.child);
	assert_true(shim > 0 && child_pid(run.child) > 0);
	assert_int_not_equal(child_pid(run.child), shim);
	assert_int_equal(strtol(status_field(child_pid(run.child), "PPid:"),
	    NULL, 10), shim);
	assert_int_equal(reap_watched(s.reap), 2);
	close(child_take_stdin(run.child));
	spin_until(&s, &run.over);
	assert_false(run.exit.signaled);
	assert_int_equal(run.exit.value, 7);
	assert_int_equal(run.exit.pid, child_pid(run.child));
	assert_int_equal(run.hup_at_exit, 0);
	spin_until(&s, &run.emptied);
	assert_true(run.sure);
	assert_int_equal(reap_watched(s.reap), 0);
	shim_end(&run);
	spin_finish(&s);
}

static void
T11_who_daemonized_is_still_below_it(void **state)
{
	struct spin	 s;
	struct run	 run;
	pid_t		 pid[1], shim;

	(void)state;
	spin_init(&s, true);
	spawn_script(&run, &s, CHILD_STREAMS,
	    "(setsid env -i sleep 1000 >/dev/null 2>&1 & echo $!); exit 3");
	shim = child_shim(run.child);
	read_pids(&run, pid, 1);
	spin_until(&s, &run.over);
	assert_int_equal(run.exit.value, 3);
	assert_false(run.emptied);
	/* Its parent is gone by now, or will be in a moment. */
	while (strtol(status_field(pid[0], "PPid:"), NULL, 10) != shim)
		assert_int_equal(kill(pid[0], 0), 0);
	assert_int_equal(child_shim(run.child), shim);
	assert_int_equal(kill(pid[0], SIGKILL), 0);
	spin_until(&s, &run.emptied);
	assert_true(run.sure);
	shim_end(&run);
	spin_finish(&s);
}

static void
S2_a_failed_start_is_told_and_leaves_nobody(void **state)
{
	static const char *const paths[] = { "/nowhere", NULL };
	static const char *const argv[] = { NULL, NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_OUTPUT);
	struct spin		 s;
	struct run		 run;

	(void)state;
	spin_init(&s, true);
	spec.shim = OURSELVES;
	run_spawn(&run, &s, &spec);
	spin_until(&s, &run.started);
	assert_int_equal(run.stage, CHILD_EXEC);
	assert_int_equal(run.err, ENOENT);
	shim_end(&run);
	assert_true(run.sure);
	spin_finish(&s);
}

static void
a_terminal_below_a_shim_is_a_terminal(void **state)
{
	struct spin	 s;
	struct run	 run;

	(void)state;
	spin_init(&s, true);
	spawn_script(&run, &s, CHILD_PTY,
	    "ps -o tpgid= -p $$ | grep -qw $$ && tty </dev/tty");
	read_all(&run, child_take_stdin(run.child));
	assert_non_null(strstr(run.text, "/dev/tty"));
	shim_end(&run);
	assert_int_equal(run.exit.value, 0);
	spin_finish(&s);
}

/* By its own name, so it is executed anew, and asleep. */
static bool
shim_sleeps(void *arg)
{
	pid_t	pid = *(pid_t *)arg;
	char	args[64];

	return procfs_cmdline("", pid, args, sizeof args) == 0 &&
	    str_prefix(args, SHIM_NAME " ") &&
	    strcmp(status_field(pid, "Name:"), SHIM_NAME) == 0 &&
	    strncmp(status_field(pid, "State:"), "S", 1) == 0;
}

/* -- what it is ------------------------------------------------------------ */

static void
it_is_deaf_alone_and_holds_one_descriptor(void **state)
{
	struct spin	 s;
	struct run	 run;
	char		 path[64];
	struct dirent	*e;
	pid_t		 shim;
	DIR		*d;
	int		 n = 0;

	(void)state;
	spin_init(&s, true);
	spawn_script(&run, &s, CHILD_STREAMS, "read x");
	shim = child_shim(run.child);
	spin_poll(&s, shim_sleeps, &shim);
	assert_int_equal(getsid(shim), shim);
	snprintf(path, sizeof path, "/proc/%d/fd", (int)shim);
	assert_non_null(d = opendir(path));
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	closedir(d);
	assert_int_equal(n, 1);
	for (n = 1; n <= 64; n++)
		if (n != SIGKILL && n != SIGSTOP && n != 32 && n != 33)
			kill(shim, n);
	close(child_take_stdin(run.child));
	shim_end(&run);
	assert_true(run.sure);
	assert_int_equal(run.exit.value, 1);	/* read saw end of file */
	spin_finish(&s);
}

/* The copy goes on as the shim. */
static void
without_a_program_it_stays_as_it_was_forked(void **state)
{
	const char		*argv[] = { NULL, "-c", "read x; exit 3",
				    NULL };
	struct child_spec	 spec = spec_of(sh, argv, CHILD_STREAMS);
	struct spin		 s;
	struct run		 run;

	spin_init(&s, true);
	spec.shim = *state;
	run_spawn(&run, &s, &spec);
	spin_until(&s, &run.started);
	close(child_take_stdin(run.child));
	shim_end(&run);
	assert_true(run.sure);
	assert_int_equal(run.exit.value, 3);
	spin_finish(&s);
}

static void
K9_the_group_gets_the_signal(void **state)
{
	struct spin	 s;
	struct run	 run;

	(void)state;
	spin_init(&s, true);
	spawn_script(&run, &s, CHILD_STREAMS,
	    "trap 'exit 9' TERM; kill -STOP $$; sleep 1000 & wait");
	assert_int_equal(child_signal_group(run.child, SIGTERM), 0);
	shim_end(&run);
	assert_int_equal(reap_exit_code(&run.exit),
	    run.exit.signaled ? 143 : 9);
	spin_finish(&s);
}

static void
Z1_orphans_below_it_are_collected(void **state)
{
	struct spin	 s;
	struct run	 run;

	(void)state;
	spin_init(&s, true);
	spawn_script(&run, &s, CHILD_STREAMS, "i=0; while [ $i -lt 300 ]; do "
	    "(true & ) ; i=$((i+1)); done; "
	    "until ! ps -eo stat=,ppid= | grep -q \"^Z.* $PPID\\$\"; do :; "
	    "done; exit 4");
	shim_end(&run);
	assert_int_equal(run.exit.value, 4);
	spin_finish(&s);
}

/* -- T20, T21: the status, once, while the number is the program's --------- */

static void
T20_its_zombie_is_kept_until_we_know(void **state)
{
	struct spin	 s;
	struct run	 run;
	pid_t		 pid;

	(void)state;
	spin_init(&s, true);
	spawn_script(&run, &s, CHILD_STREAMS, "read x");
	pid = child_pid(run.child);
	close(child_take_stdin(run.child));
	/* We don't turn the loop: nobody takes it. */
	while (strncmp(status_field(pid, "State:"), "Z", 1) != 0)
		assert_int_equal(kill(pid, 0), 0);
	assert_int_equal(child_signal_group(run.child, SIGHUP), 0);
	assert_true(child_alive(run.child));
	shim_end(&run);
	spin_poll(&s, run_is_gone, &pid);
	spin_finish(&s);
}

static void
N15_a_killed_shim_costs_the_tree_not_the_status(void **state)
{
	struct spin	 s;
	struct run	 run;

	(void)state;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	spin_init(&s, true);
	spawn_script(&run, &s, CHILD_STREAMS, "read x; exit 6");
	assert_int_equal(kill(child_shim(run.child), SIGKILL), 0);
	while (child_shim(run.child) != 0)
		assert_int_equal(loop_run(s.loop), 0);
	assert_false(run.over);
	assert_true(child_alive(run.child));
	assert_int_equal(child_signal_group(run.child, SIGCONT), 0);
	close(child_take_stdin(run.child));
	spin_until(&s, &run.over);
	assert_false(run.exit.signaled);
	assert_int_equal(run.exit.value, 6);
	spin_until(&s, &run.emptied);
	assert_false(run.sure);
	shim_end(&run);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	spin_finish(&s);
}

static void
T21_both_killed_at_once_are_told_once_each(void **state)
{
	struct spin	 s;
	struct run	 run;
	pid_t		 pid, shim;
	int		 i;

	(void)state;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	spin_init(&s, true);
	for (i = 0; i < 40; i++) {
		spawn_script(&run, &s, CHILD_STREAMS, "read x");
		pid = child_pid(run.child);
		shim = child_shim(run.child);
		kill(i & 1 ? pid : shim, SIGKILL);
		if (i & 2)
			while (strncmp(status_field(i & 1 ? pid : shim,
			    "State:"), "Z", 1) != 0)
				continue;
		kill(i & 1 ? shim : pid, SIGKILL);
		spin_until(&s, &run.emptied);
		assert_false(run.sure);
		assert_true(run.exit.signaled);
		assert_int_equal(run.exit.value, SIGKILL);
		assert_int_equal(reap_watched(s.reap), 0);
		shim_end(&run);
	}
	spin_poll(&s, all_ended, &s);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	spin_finish(&s);
}

static void
S8_a_program_nobody_gave_us_is_told_as_killed(void **state)
{
	bool		 adopt = *(bool *)*state;
	struct spin	 s;
	struct run	 run;
	pid_t		 pid;

	spin_init(&s, adopt);
	spawn_script(&run, &s, CHILD_STREAMS, "read x");
	pid = child_pid(run.child);
	kill(child_shim(run.child), SIGKILL);
	spin_until(&s, &run.emptied);		/* it went to init */
	assert_false(run.sure);
	assert_true(run.exit.signaled);
	assert_int_equal(run.exit.value, SIGKILL);
	assert_int_equal(run.exit.pid, pid);
	assert_int_equal(run.hup_at_exit, -ESRCH);
	assert_int_equal(reap_watched(s.reap), 0);
	shim_end(&run);				/* closes its stdin */
	spin_finish(&s);
}

/* -- destroyed early ------------------------------------------------------- */

static void
L12_destroyed_before_its_start_it_is_killed(void **state)
{
	static const char *const argv[] = { NULL, "-c", "sleep 1000", NULL };
	struct child_spec	 spec = spec_of(sh, argv, CHILD_PTY);
	bool			 adopt = *(bool *)*state;
	struct spin		 s;
	struct run		 run;

	spin_init(&s, adopt);
	spec.shim = OURSELVES;
	run_spawn(&run, &s, &spec);
	child_destroy(run.child);
	spin_poll(&s, run_nobody_left, NULL);
	assert_false(run.started || run.over || run.emptied);
	spin_finish(&s);
}

static void
destroyed_alive_it_runs_on_and_is_collected(void **state)
{
	bool		 adopt = *(bool *)*state;
	struct spin	 s;
	struct run	 run;
	int		 in;

	spin_init(&s, adopt);
	spawn_script(&run, &s, CHILD_STREAMS, "read x; exit 5");
	in = child_take_stdin(run.child);
	child_destroy(run.child);
	assert_int_equal(reap_watched(s.reap), 1);
	assert_false(all_ended(&s));
	close(in);
	spin_poll(&s, all_ended, &s);
	assert_false(run.over || run.emptied);
	spin_finish(&s);
}

static void
destroyed_in_started_it_runs_on_and_is_collected(void **state)
{
	static const char *const argv[] = { NULL, "-c", "exit 5", NULL };
	struct child_spec	 spec = spec_of(sh, argv, CHILD_OUTPUT);
	bool			 adopt = *(bool *)*state;
	struct spin		 s;
	struct run		 run;

	spin_init(&s, adopt);
	spec.shim = OURSELVES;
	run_spawn(&run, &s, &spec);
	run.destroy_early = true;
	spin_until(&s, &run.started);
	spin_poll(&s, run_nobody_left, NULL);
	assert_false(run.over);
	spin_finish(&s);
}

static void
T28_no_memory_and_no_descriptors_start_nothing(void **state)
{
	static const char *const argv[] = { NULL, "-c", "exit 0", NULL };
	struct child_spec	 spec = spec_of(sh, argv, CHILD_STREAMS);
	struct spin		 s;
	struct run		 run;

	(void)state;
	spin_init(&s, true);
	spec.shim = OURSELVES;
	run_out_of_memory(&run, &s, &spec);
	shim_end(&run);
	assert_int_equal(run_out_of_files(&s, &spec, 12), 0);
	spin_poll(&s, run_nobody_left, NULL);
	spin_finish(&s);
}

/* -- we are killed --------------------------------------------------------- */

/* In a process of its own: starts a job and waits for its end. */
static _Noreturn void
be_daemon(int out)
{
	static const char *const argv[] = { NULL, "-c", "trap '' HUP TERM;"
				    "(setsid env -i sleep 1000 &"
				    " setsid sh -c 'sleep 1000 & echo $!;"
				    " wait'& echo $!); echo $$; sleep 1000",
				    NULL };
	struct child_spec	 spec = spec_of(sh, argv, CHILD_STREAMS);
	struct spin		 s;
	struct run		 run;
	pid_t			 pid[4];

	spin_init(&s, true);
	spec.shim = OURSELVES;
	run_spawn(&run, &s, &spec);
	spin_until(&s, &run.started);
	read_pids(&run, pid, 3);
	pid[3] = child_shim(run.child);
	if (write(out, pid, sizeof pid) != (ssize_t)sizeof pid)
		_exit(1);
	for (;;)
		pause();
}

static void
B6_a_daemon_killed_leaves_no_process_of_the_job(void **state)
{
	int		 p[2], st;
	struct spin	 s;
	pid_t		 us, pid[4];
	size_t		 i;

	(void)state;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	spin_init(&s, true);
	assert_int_equal(pipe(p), 0);
	if ((us = fork()) == 0)
		be_daemon(p[1]);
	close(p[1]);
	assert_int_equal(read(p[0], pid, sizeof pid), sizeof pid);
	close(p[0]);
	for (i = 0; i < ARRAY_LEN(pid); i++)
		assert_int_equal(kill(pid[i], 0), 0);
	assert_int_equal(kill(us, SIGKILL), 0);
	assert_int_equal(waitpid(us, &st, 0), us);
	spin_poll(&s, all_ended, &s);		/* the shim came to us */
	for (i = 0; i < ARRAY_LEN(pid); i++)
		assert_int_equal(kill(pid[i], 0), -1);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	spin_finish(&s);
}

/* -- a hung directory; last, it leaves the mount namespace ----------------- */

static void
L12_a_hung_directory_is_given_up(void **state)
{
	static const char *const argv[] = { NULL, "-c", "exit 0", NULL };
	char			 dir[] = TEMPLATE;
	struct child_spec	 spec = spec_of(sh, argv, CHILD_STREAMS);
	struct spin		 s;
	struct run		 hung;
	int			 fuse;

	(void)state;
	fuse = run_hung_folder(dir);
	spin_init(&s, true);
	spec.cwd = dir;
	spec.shim = OURSELVES;
	run_spawn(&hung, &s, &spec);
	spin_until(&s, &hung.started);
	assert_int_equal(hung.stage, CHILD_TIMEOUT);
	shim_end(&hung);
	assert_true(hung.exit.signaled);
	assert_int_equal(hung.exit.value, SIGKILL);
	assert_true(hung.sure);
	spin_finish(&s);
	umount2(dir, MNT_DETACH);
	close(fuse);
	rmdir(dir);
}

int
main(int argc, char **argv)
{
	static bool	yes = true, no = false;
	static char	missing[] = "/no/such/program";
	const struct CMUnitTest	tests[] = {
		T(the_program_starts_ends_and_the_shim_follows),
		T(T11_who_daemonized_is_still_below_it),
		T(S2_a_failed_start_is_told_and_leaves_nobody),
		T(a_terminal_below_a_shim_is_a_terminal),
		T(it_is_deaf_alone_and_holds_one_descriptor),
		cmocka_unit_test_prestate(
		    without_a_program_it_stays_as_it_was_forked, missing),
		T(K9_the_group_gets_the_signal),
		T(Z1_orphans_below_it_are_collected),
		T(T20_its_zombie_is_kept_until_we_know),
		T(N15_a_killed_shim_costs_the_tree_not_the_status),
		T(T21_both_killed_at_once_are_told_once_each),
		T_EACH(S8_a_program_nobody_gave_us_is_told_as_killed),
		T_EACH(L12_destroyed_before_its_start_it_is_killed),
		T_EACH(destroyed_alive_it_runs_on_and_is_collected),
		T_EACH(destroyed_in_started_it_runs_on_and_is_collected),
		T(T28_no_memory_and_no_descriptors_start_nothing),
		T(B6_a_daemon_killed_leaves_no_process_of_the_job),
		T(L12_a_hung_directory_is_given_up),
	};

	if (strcmp(argv[0], SHIM_NAME) == 0)
		return shim_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
