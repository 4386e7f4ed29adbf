/* Jobs without their API: what must hold when memory or the daemon ends. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/str.h"
#include "proc/cgjob.h"
#include "tests/unit/failmalloc.h"
#include "tests/unit/fixture.h"
#include "tests/unit/spin.h"
#include "workspace/account.h"
#include "workspace/job.h"
#include "workspace/jobfile.h"

struct world {
	struct spin	 s;
	struct jobs	*jobs;
	struct account	 account;
	unsigned	 answers, outcomes[JOB_WAIT_STOPPING + 1];
	bool		 all;		/* `expected' answers are there */
	unsigned	 expected;
};

static void
world_make(struct world *w)
{
	static char	shell[] = "/bin/sh", home[] = "/nonexistent",
			name[] = "tester";

	*w = (struct world){ .account = { .login_shell = shell,
	    .home = home, .name = name } };
	w->account.uid = getuid();
	w->account.gid = getgid();
	log_set_level(LOG_FATAL);
	spin_init(&w->s, true);
	assert_int_equal(reap_become_subreaper(), 0);
	assert_non_null(w->jobs = jobs_create(w->s.loop, w->s.reap, NULL,
	    "/no/such/shim"));
}

static bool
nobody_is_left(void *arg)
{
	return reap_watched(arg) == 0;
}

/* As the daemon does: what was abandoned is still collected. */
static void
world_end(struct world *w)
{
	jobs_destroy(w->jobs);
	spin_poll(&w->s, nobody_is_left, w->s.reap);
	cgjob_sweep("");
	spin_finish(&w->s);
}

static int
start(struct world *w, struct job **j, const char *command)
{
	struct job_spec	spec = { .account = &w->account, .command = command,
		.cwd = "/", .session = "", .who = "a test" };

	return job_start(w->jobs, j, &spec);
}

static void
answered(struct world *w)
{
	if (++w->answers == w->expected) {
		w->all = true;
		spin_wake(&w->s);
	}
}

static void
on_wait(void *arg, const struct job_wait_result *r)
{
	struct world	*w = arg;

	w->outcomes[r->outcome]++;
	answered(w);
}

static void
on_killed(void *arg, struct job *j, bool already,
    const struct treekill_result *r)
{
	(void)j;
	(void)already;
	(void)r;
	answered(arg);
}

static struct job_wait *
await(struct world *w, struct job *j, enum job_await what, const char *text)
{
	struct job_wait_spec	 spec = { .what = what, .text = text,
		.interval_ms = 100, .probe = { .port = 1 } };
	struct job_wait		*wait;
	const char		*why;

	assert_int_equal(job_wait_start(&wait, j, &spec, on_wait, w, &why), 0);
	return wait;
}

static void
until(struct world *w, unsigned n)
{
	w->expected = n;
	w->all = w->answers >= n;
	spin_until(&w->s, &w->all);
}

/* -- tests ----------------------------------------------------------------- */

static void
S8_everybody_gets_one_answer_when_the_daemon_ends(void **state)
{
	static struct world	w;
	struct job_killing	k = { .done = on_killed, .arg = &w };
	struct job		*j;

	(void)state;
	world_make(&w);
	assert_int_equal(start(&w, &j, "trap '' TERM; echo up; "
	    "while :; do sleep 0.05; done"), 0);
	await(&w, j, JOB_AWAIT_LINE, "up");
	until(&w, 1);
	await(&w, j, JOB_AWAIT_END, NULL);
	await(&w, j, JOB_AWAIT_LINE, "never");
	await(&w, j, JOB_AWAIT_PORT, NULL);
	job_kill(j, 60000, JOB_REASON_REQUESTED, "a test", &k);
	world_end(&w);
	assert_int_equal(w.answers, 5);
	assert_int_equal(w.outcomes[JOB_WAIT_STOPPING], 3);
}

static void
a_wait_that_was_cancelled_says_nothing(void **state)
{
	static struct world	w;
	struct job_killing	k = { .done = on_killed, .arg = &w };
	struct job		*j;

	(void)state;
	world_make(&w);
	assert_int_equal(start(&w, &j, "sleep 100"), 0);
	job_wait_cancel(await(&w, j, JOB_AWAIT_END, NULL));
	job_wait_cancel(await(&w, j, JOB_AWAIT_LINE, "x"));
	job_wait_cancel(await(&w, j, JOB_AWAIT_PORT, NULL));
	job_kill(j, 0, JOB_REASON_REQUESTED, "a test", &k);
	job_killing_cancel(&k);
	job_killing_cancel(&k);
	await(&w, j, JOB_AWAIT_END, NULL);
	until(&w, 1);
	assert_int_equal(w.outcomes[JOB_WAIT_DONE], 1);
	world_end(&w);
	assert_int_equal(w.answers, 1);
}

static bool
count(void *arg, const struct joblog_event *e)
{
	*(size_t *)arg += e->n;
	return true;
}

static void
a_reader_keeps_what_was_removed(void **state)
{
	static struct world	w;
	struct job_info		i;
	struct job		*j;
	size_t			n = 0;

	(void)state;
	world_make(&w);
	assert_int_equal(start(&w, &j, "echo hello"), 0);
	job_ref(j);
	await(&w, j, JOB_AWAIT_END, NULL);
	until(&w, 1);
	assert_int_equal(job_remove(j), 0);
	assert_null(job_find(w.jobs, "x"));
	job_info(j, &i);
	joblog_read(i.log, 1, count, &n);
	assert_int_equal(n, 6);
	job_unref(j);
	world_end(&w);
}

/* Whatever allocation fails: an error, or a job that ends. */
static void
a_start_without_memory_is_an_error(void **state)
{
	static struct world	w;
	struct job		*j;
	unsigned		n;
	int			r;

	(void)state;
	world_make(&w);
	for (n = 1; ; n++) {
		failmalloc_arm(n);
		r = start(&w, &j, "echo up");
		if (!failmalloc_disarm())
			break;
		if (r == 0) {
			await(&w, j, JOB_AWAIT_END, NULL);
			until(&w, w.answers + 1);
		} else {
			assert_int_equal(r, -ENOMEM);
		}
	}
	assert_true(n > 5);
	assert_int_equal(r, 0);
	world_end(&w);
}

static void
without_memory_output_may_go_but_the_end_comes(void **state)
{
	static struct world	w;
	struct job_info		i;
	struct job		*j;

	(void)state;
	world_make(&w);
	assert_int_equal(start(&w, &j, "sleep 0.1; echo up; exit 3"), 0);
	await(&w, j, JOB_AWAIT_END, NULL);
	failmalloc_arm_all(1);
	until(&w, 1);
	assert_true(failmalloc_disarm());
	job_info(j, &i);
	assert_true(i.status == JOB_FAILED && i.exit_code == 3);
	world_end(&w);
}

static void
all_logs_together_have_a_limit(void **state)
{
	static struct world	w;
	struct jobs_totals	t;
	struct job_info		i;
	struct job		*j;
	unsigned		n;

	(void)state;
	world_make(&w);
	for (n = 0; n < JOBS_KEPT + 4; n++) {
		assert_int_equal(start(&w, &j, "head -c 1100000 /dev/zero"),
		    0);
		await(&w, j, JOB_AWAIT_END, NULL);
		until(&w, n + 1);
		jobs_totals(w.jobs, &t);
		assert_true(t.log_memory <= JOBS_LOG_MAX);
	}
	assert_true(t.log_memory > JOBS_LOG_MAX - 4 * 1024 * 1024);
	job_info(j, &i);
	assert_true(i.log->bytes > JOBLOG_BYTES_MAX - 8192);
	jobs_remove_ended(w.jobs);
	jobs_totals(w.jobs, &t);
	assert_true(t.kept <= 1);
	world_end(&w);
}

static void
B7_none_is_started_once_we_stop(void **state)
{
	static struct world	w;
	struct job		*j, *no;

	(void)state;
	world_make(&w);
	assert_int_equal(start(&w, &j, "sleep 100"), 0);
	await(&w, j, JOB_AWAIT_END, NULL);
	assert_int_equal(jobs_count(w.jobs), 1);
	jobs_stop(w.jobs, 1000);
	assert_int_equal(start(&w, &no, "true"), -ESHUTDOWN);
	until(&w, 1);
	world_end(&w);
}

struct waiting {
	struct job	*j;
	char		 path[256];
};

static bool
has_spoken(void *arg)
{
	const struct waiting	*x = arg;
	struct job_info		 i;

	job_info(x->j, &i);
	return i.log->total == 2;
}

static bool
is_written(void *arg)
{
	const struct waiting	*x = arg;
	struct stat		 st;

	return stat(x->path, &st) == 0 && st.st_size == 2;
}

/* It ends with a character that was begun, and no end of it is seen. */
static void
the_file_of_an_abandoned_job_has_all_it_said(void **state)
{
	static struct world	w;
	char			home[] = "/tmp/test_job." "XX" "XX" "XX";
	struct waiting		x;
	struct job_info		i;

	(void)state;
	assert_non_null(mkdtemp(home));
	world_make(&w);
	w.account.home = home;
	assert_int_equal(start(&w, &x.j, "printf 'a\\303'; exec sleep 100"),
	    0);
	job_info(x.j, &i);
	snprintf(x.path, sizeof x.path, "%s" JOBFILE_DIR "/%s.log", home,
	    i.id);
	spin_poll(&w.s, has_spoken, &x);
	jobs_abandon(w.jobs);
	spin_poll(&w.s, is_written, &x);
	world_end(&w);
	assert_int_equal(fixture_remove(home), 0);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(
		    S8_everybody_gets_one_answer_when_the_daemon_ends),
		cmocka_unit_test(a_wait_that_was_cancelled_says_nothing),
		cmocka_unit_test(a_reader_keeps_what_was_removed),
		cmocka_unit_test(a_start_without_memory_is_an_error),
		cmocka_unit_test(
		    without_memory_output_may_go_but_the_end_comes),
		cmocka_unit_test(all_logs_together_have_a_limit),
		cmocka_unit_test(B7_none_is_started_once_we_stop),
		cmocka_unit_test(the_file_of_an_abandoned_job_has_all_it_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
