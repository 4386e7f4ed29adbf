/* What requests about jobs say; and the two small parsers beside them. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "svc/rest_jobs.h"
#include "tests/unit/failmalloc.h"

static const char	full[] = "{\"command\":\"make all\",\"id\":\"b-1\","
    "\"cwd\":\"/tmp\",\"env\":{\"A\":\"b = c\",\"E\":\"\"},"
    "\"timeout_ms\":5000,\"grace_ms\":0,\"session\":\"sh-1\","
    "\"detached\":true,\"later\":[1,{}]}";

static int
read_start(struct jobs_wish *w, const char *text, size_t n)
{
	const char	*why = NULL;
	int		 r;

	*w = (struct jobs_wish){ .nargv = 0 };
	arena_init(&w->arena, JOBS_MEM_MAX);
	r = jobs_read_start(w, text, n, &why);
	assert_true((r < 0) == (why != NULL));
	return r;
}

static void
every_member_of_a_start_is_read(void **state)
{
	static struct jobs_wish	w;

	(void)state;
	assert_int_equal(read_start(&w, full, sizeof full - 1), 0);
	assert_string_equal(w.command, "make all");
	assert_string_equal(w.id, "b-1");
	assert_string_equal(w.cwd, "/tmp");
	assert_string_equal(w.session, "sh-1");
	assert_int_equal(w.nenv, 2);
	assert_string_equal(w.env[0], "A=b = c");
	assert_string_equal(w.env[1], "E=");
	assert_true(w.detached && !w.attached && w.nargv == 0);
	assert_true(w.timeout_ms == 5000 && w.grace_ms == 0);
	arena_finish(&w.arena);
}

static void
a_start_that_is_cut_short_is_refused(void **state)
{
	static struct jobs_wish	w;
	char			*copy;
	size_t			 n;

	(void)state;
	for (n = 0; n < sizeof full - 1; n++) {
		assert_non_null(copy = malloc(n + 1));
		memcpy(copy, full, n);
		assert_int_equal(read_start(&w, copy, n), -EINVAL);
		arena_finish(&w.arena);
		free(copy);
	}
}

static void
words_are_taken_as_they_are(void **state)
{
	static const char	text[] = "{\"argv\":[\"a\",\"\",\"b c\"]}";
	static struct jobs_wish	w;

	(void)state;
	assert_int_equal(read_start(&w, text, sizeof text - 1), 0);
	assert_int_equal(w.nargv, 3);
	assert_string_equal(w.argv[1], "");
	assert_string_equal(w.argv[2], "b c");
	assert_null(w.argv[3]);
	assert_int_equal(w.grace_ms, TREEKILL_GRACE_MS);
	arena_finish(&w.arena);
}

static void
without_memory_a_start_is_refused(void **state)
{
	static struct jobs_wish	w;
	unsigned		n;
	int			r;

	(void)state;
	for (n = 1; ; n++) {
		failmalloc_arm(n);
		r = read_start(&w, full, sizeof full - 1);
		arena_finish(&w.arena);
		if (!failmalloc_disarm())
			break;
		assert_int_equal(r, -EINVAL);
	}
	assert_true(n > 1);
	assert_int_equal(r, 0);
}

static int
read_kill(struct jobs_kill_wish *w, const char *text)
{
	const char	*why = NULL;
	int		 r = jobs_read_kill(w, text, strlen(text), &why);

	assert_true((r < 0) == (why != NULL));
	return r;
}

static void
K15_what_a_kill_means(void **state)
{
	struct jobs_kill_wish	w;

	(void)state;
	assert_int_equal(read_kill(&w, ""), 0);
	assert_true(w.signo == SIGTERM && !w.once && w.wait);
	assert_int_equal(w.grace_ms, 5000);
	assert_int_equal(read_kill(&w, "{\"signal\":\"SIGKILL\","
	    "\"grace_ms\":9}"), 0);
	assert_true(w.signo == SIGKILL && !w.once && w.grace_ms == 0);
	assert_int_equal(read_kill(&w, "{\"grace_ms\":3600000}"), 0);
	assert_int_equal(w.grace_ms, TREEKILL_GRACE_MAX_MS);
	assert_int_equal(read_kill(&w, "{\"grace_ms\":3600001}"), -EINVAL);
	assert_int_equal(read_kill(&w, "{\"signal\":\"USR1\"}"), 0);
	assert_true(w.signo == SIGUSR1 && w.once);
	assert_int_equal(w.whom, TREEKILL_TREE);
	assert_int_equal(read_kill(&w, "{\"signal\":15,\"scope\":\"root\"}"),
	    0);
	assert_true(w.once && w.whom == TREEKILL_ROOT);
	assert_int_equal(read_kill(&w, "{\"signal\":64,"
	    "\"scope\":\"group\"}"), 0);
	assert_true(w.signo == 64 && w.whom == TREEKILL_GROUP);
	assert_int_equal(read_kill(&w, "{\"wait\":false,"
	    "\"session\":\"s\"}"), 0);
	assert_false(w.wait);
	assert_string_equal(w.session, "s");
	assert_int_equal(read_kill(&w, "{\"signal\":65}"), -EINVAL);
	assert_int_equal(read_kill(&w, "{\"signal\":0}"), -EINVAL);
	assert_int_equal(read_kill(&w, "{\"signal\":\"term\"}"), -EINVAL);
}

static int
read_wait(struct jobs_wait_wish *w, const char *text)
{
	const char	*why = NULL;
	int		 r = jobs_read_wait(w, text, strlen(text), &why);

	assert_true((r < 0) == (why != NULL));
	return r;
}

static void
what_a_wait_means(void **state)
{
	struct jobs_wait_wish	w;

	(void)state;
	assert_int_equal(read_wait(&w, "{\"port\":80}"), 0);
	assert_int_equal(w.spec.what, JOB_AWAIT_PORT);
	assert_true(w.spec.probe.http && w.spec.probe.port == 80);
	assert_string_equal(w.spec.probe.path, "/");
	assert_true(w.spec.status_min == 200 && w.spec.status_max == 399);
	assert_int_equal(w.spec.interval_ms, 500);
	assert_int_equal(read_wait(&w, "{\"port\":80,\"interval_ms\":1,"
	    "\"status\":\"204\",\"mode\":\"tcp\"}"), 0);
	assert_int_equal(w.spec.interval_ms, 100);
	assert_true(w.spec.status_min == 204 && w.spec.status_max == 204);
	assert_false(w.spec.probe.http);
	assert_int_equal(read_wait(&w, "{\"port\":80,"
	    "\"interval_ms\":99999,\"status\":500}"), 0);
	assert_int_equal(w.spec.interval_ms, 10000);
	assert_int_equal(w.spec.status_min, 500);
	assert_int_equal(read_wait(&w, "{\"log\":\"x\",\"timeout_ms\":7}"),
	    0);
	assert_int_equal(w.spec.what, JOB_AWAIT_LINE);
	assert_true(w.spec.timeout_ms == 7 && !w.spec.regex);
}

static void
ids_are_names_and_not_paths(void **state)
{
	static const char *const bad[] = {
		"", ".", "..", "kill-all", "a/b", "a b", "a\n", "\xc3\xa9",
		"a%2f"
	};
	char	id[JOB_ID_MAX + 2];
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(job_id_valid(bad[i]));
	memset(id, 'x', sizeof id);
	id[JOB_ID_MAX + 1] = '\0';
	assert_false(job_id_valid(id));
	id[JOB_ID_MAX] = '\0';
	assert_true(job_id_valid(id));
	assert_true(job_id_valid("...") && job_id_valid("A-z_0.9"));
}

static void
a_status_line_is_believed_when_it_is_one(void **state)
{
	static const struct {
		const char	*text;
		int		 status;
	} all[] = {
		{ "", 0 }, { "H", 0 }, { "HTTP/1.1", 0 }, { "HTTP/1.1 2", 0 },
		{ "HTTP/1.1 20", 0 }, { "HTTP/1.1 200", 0 },
		{ "HTTP/1.1 200 OK\r\n", 200 }, { "HTTP/1.0 404\r\n", 404 },
		{ "HTTP/1.1 500\n", 500 }, { "HTTP/1.1 2000 ", -EPROTO },
		{ "HTTP/2 200 OK", -EPROTO }, { "SSH-2.0-x", -EPROTO },
		{ "HTTP/1.1  200", -EPROTO }, { "HTTP/1.1 099 x", -EPROTO },
		{ "HTTP/1.x 200 ", -EPROTO }, { "HTTP/1.12", -EPROTO },
		{ "HTTP/1.1 2x0 ", -EPROTO },
	};
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(all); i++)
		assert_int_equal(probe_status(all[i].text,
		    strlen(all[i].text)), all[i].status);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(every_member_of_a_start_is_read),
		cmocka_unit_test(a_start_that_is_cut_short_is_refused),
		cmocka_unit_test(words_are_taken_as_they_are),
		cmocka_unit_test(without_memory_a_start_is_refused),
		cmocka_unit_test(K15_what_a_kill_means),
		cmocka_unit_test(what_a_wait_means),
		cmocka_unit_test(ids_are_names_and_not_paths),
		cmocka_unit_test(a_status_line_is_believed_when_it_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
