#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "proc/orphan.h"
#include "proc/procfs.h"
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
create(struct world *w, char *const *exclude, size_t n, uint32_t escalate_ms)
{
	struct orphan_options	opt = { .interval_ms = FOR_EVER,
				    .escalate_ms = escalate_ms,
				    .exclude = exclude, .nexclude = n,
				    .names = names, .lives = lives, .arg = w };

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	*w = (struct world){ .lives = false };
	spin_init(&w->s, true);
	assert_int_equal(orphans_create(&w->o, w->s.loop, w->s.reap, &opt), 0);
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

/* A process whose parent is gone, old enough to be told. */
static void
leave(struct world *w, const char *program)
{
	struct procfs_stat	st;
	int			p[2], status, fd, i;
	pid_t			pid;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	if ((pid = fork()) == 0) {
		setenv("ORPHAN_OF", "this test", 1);
		setsid();
		if ((pid = fork()) != 0) {
			(void)!write(p[1], &pid, sizeof pid);
			_exit(0);
		}
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		for (i = 0; i < 3; i++)
			dup2(fd, i);
		execl("/bin/sh", "sh", "-c", program, "left-over", NULL);
		_exit(1);
	}
	assert_true(pid > 0);
	assert_int_equal(read(p[0], &w->pid, sizeof w->pid), sizeof w->pid);
	assert_true(w->pid > 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(p[1]);
	assert_int_equal(read(p[0], &pid, 1), 0);	/* it is at exec */
	close(p[0]);
	usleep((ORPHAN_AGE_MS + 200) * 1000);
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
is_gone(void *arg)
{
	return run_is_gone(&((struct world *)arg)->pid);
}

static bool
second_time(void *arg)
{
	return (*(int *)arg)++ > 0;
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
