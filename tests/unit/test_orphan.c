#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc/orphan.h"
#include "proc/procfs.h"
#include "tests/unit/deny.h"
#include "tests/unit/failmalloc.h"
#include "tests/unit/run.h"

#define FOR_EVER	1000000		/* we scan by hand */

static const char *const names[] = { "ORPHAN_OF", NULL };

struct world {
	struct spin	 s;
	struct orphans	*o;
	bool		 lives;
	pid_t		 pid;
};

static bool
lives(void *arg, const char *name, const char *value)
{
	struct world	*w = arg;

	assert_string_equal(name, "ORPHAN_OF");
	assert_string_equal(value, "this test");
	return w->lives;
}

static void
create_with(struct world *w, struct orphan_options opt)
{
	opt.interval_ms = FOR_EVER;
	opt.names = names;
	opt.lives = lives;
	opt.arg = w;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	*w = (struct world){ .lives = false };
	spin_init(&w->s, true);
	assert_int_equal(orphans_create(&w->o, w->s.loop, w->s.reap, &opt), 0);
}

static void
create(struct world *w, char *const *exclude, size_t n, uint32_t escalate_ms)
{
	create_with(w, (struct orphan_options){ .escalate_ms = escalate_ms,
	    .exclude = exclude, .nexclude = n });
}

static void
finish(struct world *w)
{
	orphans_destroy(w->o);
	if (w->pid > 1)
		kill(w->pid, SIGKILL);
	spin_poll(&w->s, run_nobody_left, NULL);
	spin_finish(&w->s);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static _Noreturn void
run_shell(const char *program)
{
	int	i, fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (i = 0; i < 3; i++)
		dup2(fd, i);
	execl("/bin/sh", "sh", "-c", program, "left-over", NULL);
	_exit(1);
}

static void
get_old(void)
{
	usleep((ORPHAN_AGE_MS + 200) * 1000);
}

/*
 * A process whose parent is gone: a shell that runs program, or this one's
 * copy that does be() before it sleeps.
 */
static pid_t
leave_young(const char *program, void (*be)(void))
{
	int	p[2], status;
	pid_t	pid, left;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	if ((pid = fork()) == 0) {
		setenv("ORPHAN_OF", "this test", 1);
		setsid();
		if ((pid = fork()) != 0) {
			(void)!write(p[1], &pid, sizeof pid);
			_exit(0);
		}
		alarm(100);
		if (be == NULL)
			run_shell(program);
		sig_restore();
		be();
		close(p[1]);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	assert_int_equal(read(p[0], &left, sizeof left), sizeof left);
	assert_true(left > 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(p[1]);
	assert_int_equal(read(p[0], &pid, 1), 0);	/* it is at exec */
	close(p[0]);
	return left;
}

/* And old enough to be told. */
static void
leave(struct world *w, const char *program)
{
	struct procfs_stat	st;

	w->pid = leave_young(program, NULL);
	get_old();
	assert_int_equal(procfs_stat("", w->pid, &st), 0);
	assert_int_equal(st.ppid, getpid());
}

static bool
counted(void *arg)
{
	struct world		*w = arg;
	struct orphan_counts	 c;

	orphans_counts(w->o, &c);
	return c.known > 0;
}

static bool
second_time(void *arg)
{
	return (*(int *)arg)++ > 0;
}

/* To its end. */
static void
scan(struct world *w)
{
	struct orphan_counts	c;
	uint64_t		ended;

	orphans_counts(w->o, &c);
	ended = c.ended;
	orphans_scan(w->o);
	for (orphans_counts(w->o, &c); c.ended == ended;
	    orphans_counts(w->o, &c)) {
		int	turns = 0;

		spin_poll(&w->s, second_time, &turns);
	}
}

static bool
is_gone(void *arg)
{
	return run_is_gone(&((struct world *)arg)->pid);
}

static uint64_t
hung_up(const struct world *w)
{
	struct orphan_counts	c;

	orphans_counts(w->o, &c);
	return c.hung_up;
}

static void
an_orphan_of_nobody_is_hung_up_once(void **state)
{
	struct orphan_counts	c;
	struct world		w;
	int			turns = 0;

	(void)state;
	create(&w, NULL, 0, 1);
	leave(&w, "trap : HUP; while :; do sleep 0.1; done");
	orphans_scan(w.o);
	spin_poll(&w.s, counted, &w);
	assert_int_equal(hung_up(&w), 1);
	usleep(5000);
	spin_poll(&w.s, second_time, &turns);	/* the loop's clock, too */
	orphans_scan(w.o);			/* escalates: after 1 ms */
	spin_poll(&w.s, is_gone, &w);
	orphans_scan(w.o);
	orphans_counts(w.o, &c);
	assert_int_equal(c.hung_up, 1);
	assert_int_equal(c.killed, 1);
	assert_int_equal(c.scans, 3);
	assert_int_equal(c.known, 0);
	w.pid = 0;
	finish(&w);
}

static void
weakness_2_registered_while_a_scan_runs_it_is_not_hit(void **state)
{
	struct reap_entry	e;
	struct world		w;

	(void)state;
	create(&w, NULL, 0, 0);
	leave(&w, "exec sleep 1000");
	orphans_scan(w.o);			/* its memory is asked for */
	e = (struct reap_entry){ .pid = w.pid, .fn = (void (*)(void *,
	    const struct reap_exit *))abort };
	reap_watch(w.s.reap, &e);
	spin_poll(&w.s, counted, &w);
	assert_int_equal(hung_up(&w), 0);
	assert_int_equal(kill(w.pid, 0), 0);
	reap_unwatch(&e);
	orphans_scan(w.o);		/* it was not told yet */
	assert_int_equal(hung_up(&w), 1);
	spin_poll(&w.s, is_gone, &w);
	w.pid = 0;
	finish(&w);
}

static void
who_belongs_to_what_lives_is_kept_until_it_ends(void **state)
{
	struct world	w;

	(void)state;
	create(&w, NULL, 0, 0);
	leave(&w, "exec sleep 1000");
	w.lives = true;
	orphans_scan(w.o);
	spin_poll(&w.s, counted, &w);
	orphans_scan(w.o);
	assert_int_equal(hung_up(&w), 0);
	w.lives = false;
	orphans_scan(w.o);			/* known: nobody is asked */
	assert_int_equal(hung_up(&w), 1);
	spin_poll(&w.s, is_gone, &w);
	w.pid = 0;
	finish(&w);
}

static void
weakness_1_its_look_takes_no_status_from_others(void **state)
{
	static char	 exclude[] = "left-[o]ver$";
	char		*list[] = { exclude };
	struct world	 w;
	struct run	 run;

	(void)state;
	create(&w, list, 1, 0);
	leave(&w, "while :; do sleep 0.1; done");
	orphans_scan(w.o);
	run_script(&run, &w.s, CHILD_STREAMS, NULL, "exit 9");
	spin_until(&w.s, &run.over);
	assert_int_equal(run.exit.value, 9);
	run_end(&run);
	spin_poll(&w.s, counted, &w);
	orphans_scan(w.o);
	assert_int_equal(hung_up(&w), 0);	/* excluded */
	finish(&w);
}

static void
weakness_5_a_bad_pattern_and_no_memory_are_errors(void **state)
{
	static char		 bad[] = "a(b", good[] = "a|b";
	char			*list[] = { good, bad };
	struct orphan_options	 opt = { .interval_ms = FOR_EVER,
				    .exclude = list, .nexclude = 2 };
	struct orphans		*o;
	struct spin		 s;
	int			 r;

	(void)state;
	spin_init(&s, true);
	assert_int_equal(orphans_create(&o, s.loop, s.reap, &opt), -EINVAL);
	opt.nexclude = 1;
	failmalloc_arm(1);
	r = orphans_create(&o, s.loop, s.reap, &opt);
	assert_true(failmalloc_disarm());
	assert_int_equal(r, -ENOMEM);
	failmalloc_arm(2);
	r = orphans_create(&o, s.loop, s.reap, &opt);
	assert_true(failmalloc_disarm());
	assert_int_equal(r, -ENOMEM);
	assert_int_equal(orphans_create(&o, s.loop, s.reap, &opt), 0);
	orphans_destroy(o);
	orphans_destroy(NULL);
	spin_finish(&s);
}

static void
T28_a_scan_without_memory_tells_nobody(void **state)
{
	struct world	w;
	unsigned	n;
	bool		failed = true;

	(void)state;
	create(&w, NULL, 0, 0);
	leave(&w, "exec sleep 1000");
	w.lives = true;
	for (n = 1; failed && n < 50; n++) {
		failmalloc_arm(n);
		orphans_scan(w.o);
		failed = failmalloc_disarm();
		while (!failed && !counted(&w))
			spin_poll(&w.s, counted, &w);
	}
	assert_int_equal(hung_up(&w), 0);
	assert_int_equal(kill(w.pid, 0), 0);
	finish(&w);
}

/*
 * What root of most containers has not.  Since Linux 6.16 those who may watch
 * performance may read memory, too.
 */
static void
set_ptrace(bool may)
{
	static const unsigned		 caps[] = {
		CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON
	};
	struct __user_cap_header_struct	 h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct	 d[2], *e;
	uint32_t			 bit;
	size_t				 i;

	assert_int_equal(syscall(SYS_capget, &h, d), 0);
	for (i = 0; i < ARRAY_LEN(caps); i++) {
		e = &d[caps[i] / 32];
		bit = UINT32_C(1) << caps[i] % 32;
		e->effective &= ~bit;
		if (may)
			e->effective |= e->permitted & bit;
	}
	assert_int_equal(syscall(SYS_capset, &h, d), 0);
}

/* As ssh-agent does. */
static void
hide(void)
{
	prctl(PR_SET_DUMPABLE, 0);
}

static void
never(void *arg, const struct reap_exit *e)
{
	(void)e;
	*(bool *)arg = true;
}

static void
B9_who_hides_is_kept_while_what_is_older_lives(void **state)
{
	bool			over = false;
	struct reap_entry	e = { .fn = never, .arg = &over };
	struct world		w;

	(void)state;
	create(&w, NULL, 0, 0);
	if ((e.pid = fork()) == 0)
		run_shell("exec sleep 100");
	reap_watch(w.s.reap, &e);
	w.pid = leave_young(NULL, hide);
	get_old();
	set_ptrace(false);
	scan(&w);
	scan(&w);
	assert_int_equal(hung_up(&w), 0);
	assert_int_equal(kill(e.pid, SIGKILL), 0);
	spin_until(&w.s, &over);
	scan(&w);
	assert_int_equal(hung_up(&w), 1);
	spin_poll(&w.s, is_gone, &w);
	set_ptrace(true);
	w.pid = 0;
	finish(&w);
}

/* As if the command line were on a file system that is gone. */
static int
hang_reader(const char *root, pid_t pid, char *out, size_t outlen)
{
	char	path[64];

	snprintf(path, sizeof path, "/proc/%d/cwd/hangs", (int)pid);
	while (access(path, F_OK) == 0)
		pause();
	return procfs_cmdline(root, pid, out, outlen);
}

static void
who_hangs_his_reader_stops_nobody_elses_end(void **state)
{
	static const struct orphan_sys	sys = { .children = procfs_children,
					    .cmdline = hang_reader };
	char				dir[] = TEMPLATE, script[128];
	pid_t				before, after;
	struct world			w;
	int				i;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(script, sizeof script, "cd %s; >hangs; exec sleep 100", dir);
	create_with(&w, (struct orphan_options){ .sys = &sys });
	before = leave_young("exec sleep 100", NULL);
	w.pid = leave_young(script, NULL);
	after = leave_young("exec sleep 100", NULL);
	get_old();
	scan(&w);
	assert_int_equal(hung_up(&w), 1);
	spin_poll(&w.s, run_is_gone, &before);
	assert_int_equal(kill(after, 0), 0);
	scan(&w);
	assert_int_equal(hung_up(&w), 2);
	spin_poll(&w.s, run_is_gone, &after);
	/* It is asked again, but not for ever. */
	for (i = 0; i < 3; i++)
		scan(&w);
	assert_int_equal(hung_up(&w), 2);
	assert_int_equal(kill(w.pid, SIGKILL), 0);
	w.pid = 0;
	finish(&w);
	snprintf(script, sizeof script, "%s/hangs", dir);
	unlink(script);
	rmdir(dir);
}

static int
no_children(const char *root, pid_t pid, procfs_pid_fn *fn, void *arg)
{
	(void)root;
	(void)pid;
	(void)fn;
	(void)arg;
	return -ENOSYS;
}

/* Three of one group below each other, and one who left it. */
#define FAMILY								\
	"trap : HUP; sh -c 'sh -c \"exec sleep 100\" & wait' & "	\
	"setsid sleep 100 & while :; do sleep 0.1; done"

static void
T2_the_group_below_is_told_without_children_files(void **state)
{
	static const struct orphan_sys	sys = { .children = no_children,
					    .cmdline = procfs_cmdline };
	struct world			w;
	int				with;

	(void)state;
	for (with = 1; with >= 0; with--) {
		create_with(&w, (struct orphan_options){
		    .sys = with ? NULL : &sys });
		leave(&w, FAMILY);
		scan(&w);
		/* The shell's own sleep may be young, or be there twice. */
		assert_in_range(hung_up(&w), 3, 4);
		kill(w.pid, SIGKILL);
		w.pid = 0;
		get_old();
		scan(&w);			/* who left the group */
		finish(&w);
	}
}

static void
join_many_groups(void)
{
	gid_t	gid[3000];
	size_t	i;
	pid_t	pid;

	for (i = 0; i < 3000; i++)
		gid[i] = (gid_t)(1000000 + i);
	if (setgroups(3000, gid) == -1 || unshare(CLONE_NEWPID) == -1)
		_exit(1);
	if ((pid = fork()) != 0)
		_exit(pid < 0);		/* and it is our child's child */
	alarm(100);
}

static bool
one_left(void *arg)
{
	pid_t	*pid = arg;
	FILE	*f;
	char	 path[64];

	snprintf(path, sizeof path, "/proc/self/task/%d/children",
	    (int)getpid());
	if ((f = fopen(path, "re")) == NULL)
		return false;
	*pid = 0;
	(void)!fscanf(f, "%d", pid);
	fclose(f);
	return *pid > 0;
}

static void
T23_another_pid_namespace_is_not_ours(void **state)
{
	struct world	w;

	(void)state;
	NEED_ROOT();
	create(&w, NULL, 0, 0);
	w.pid = leave_young(NULL, join_many_groups);
	spin_poll(&w.s, is_gone, &w);
	spin_poll(&w.s, one_left, &w.pid);
	get_old();
	scan(&w);
	assert_int_equal(hung_up(&w), 0);
	assert_int_equal(kill(w.pid, 0), 0);
	finish(&w);
}

#define CROWD	200

static void
a_crowd_is_looked_at_and_told_in_slices(void **state)
{
	struct world	w;
	int		i;

	(void)state;
	create(&w, NULL, 0, 0);
	for (i = 0; i < CROWD; i++)
		leave_young("exec sleep 100", NULL);
	get_old();
	w.lives = true;
	scan(&w);
	assert_int_equal(hung_up(&w), 0);
	w.lives = false;
	orphans_scan(w.o);			/* known: nobody is asked */
	assert_in_range(hung_up(&w), 0, CROWD / 2);
	spin_poll(&w.s, run_nobody_left, NULL);
	assert_int_equal(hung_up(&w), CROWD);
	finish(&w);
}

static void
T20_without_pidfds_only_our_own_children_are_told(void **state)
{
	struct world	w;

	(void)state;
	create(&w, NULL, 0, 0);
	leave(&w, FAMILY);
	if (deny(SYS_pidfd_open, EPERM) < 0) {
		finish(&w);
		print_message("skipped: no seccomp\n");
		skip();
	}
	scan(&w);
	assert_int_equal(hung_up(&w), 1);
	assert_int_equal(kill(-getpgid(w.pid), SIGKILL), 0);
	w.pid = 0;
	get_old();
	scan(&w);
	finish(&w);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		T(an_orphan_of_nobody_is_hung_up_once),
		T(weakness_2_registered_while_a_scan_runs_it_is_not_hit),
		T(who_belongs_to_what_lives_is_kept_until_it_ends),
		T(weakness_1_its_look_takes_no_status_from_others),
		T(weakness_5_a_bad_pattern_and_no_memory_are_errors),
		T(T28_a_scan_without_memory_tells_nobody),
		T(B9_who_hides_is_kept_while_what_is_older_lives),
		T(who_hangs_his_reader_stops_nobody_elses_end),
		T(T2_the_group_below_is_told_without_children_files),
		T(T23_another_pid_namespace_is_not_ours),
		T(a_crowd_is_looked_at_and_told_in_slices),
		/* Last: what it denies stays denied. */
		T(T20_without_pidfds_only_our_own_children_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
