/* logring: the last log lines, numbered, in bounded memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/logring.h"
#include "tests/unit/failmalloc.h"

#define IDS_MAX	32

static const struct logring_filter	any;

/* What a reader got: the first ids, all texts checked. */
struct got {
	int64_t	ids[IDS_MAX];
	size_t	n, max;
	char	last[64], component[72];
	enum log_level level;
	int64_t	time_ms;
	size_t	length;
};

static bool
take(void *arg, const struct logring_entry *e)
{
	struct got	*g = arg;

	if (g->max > 0 && g->n == g->max)
		return false;
	if (g->n > 0 && g->n <= IDS_MAX)
		assert_true(e->id > g->ids[g->n - 1]);
	if (g->n < IDS_MAX)
		g->ids[g->n] = e->id;
	g->n++;
	snprintf(g->last, sizeof g->last, "%s", e->text);
	snprintf(g->component, sizeof g->component, "%s", e->component);
	g->level = e->level;
	g->time_ms = e->time_ms;
	g->length = strlen(e->text);
	return true;
}

static struct got
read_all(const struct logring *r, const struct logring_filter *f,
    int64_t after)
{
	struct got	g = { 0 };

	logring_read(r, f, after, INT64_MAX, take, &g);
	return g;
}

/* Lines "line 1".. up to id n, every third from "grpc", every fifth a warn. */
static struct logring *
filled(int64_t n)
{
	struct logring	*r = logring_create();
	char		 text[32];
	int64_t		 id;

	assert_non_null(r);
	for (id = 1; id <= n; id++) {
		snprintf(text, sizeof text, "line %lld", (long long)id);
		logring_add(r, id * 1000, id % 5 == 0 ? LOG_WARN : LOG_INFO,
		    id % 3 == 0 ? "grpc" : "k8shelld", text);
	}
	return r;
}

static void
an_empty_ring_has_nothing_and_costs_nothing(void **state)
{
	struct logring	*r = logring_create();
	int64_t		 after;
	bool		 more = true;

	(void)state;
	assert_int_equal(logring_newest(r), 0);
	assert_int_equal(logring_oldest(r), 1);
	assert_int_equal(logring_bytes(r), 0);
	assert_int_equal(read_all(r, &any, 0).n, 0);
	assert_int_equal(logring_back(r, &any, 0, 10, &after, &more), 0);
	assert_false(more);
	assert_int_equal(after, 0);
	logring_destroy(r);
	logring_destroy(NULL);
}

static void
lines_come_back_as_they_were(void **state)
{
	struct logring	*r = logring_create();
	struct got	 g;

	(void)state;
	logring_add(r, 1795307098123, LOG_ERROR, "grpc-exec", "h\xc3\xa9llo");
	g = read_all(r, &any, 0);
	assert_int_equal(g.n, 1);
	assert_int_equal(g.ids[0], 1);
	assert_string_equal(g.last, "h\xc3\xa9llo");
	assert_string_equal(g.component, "grpc-exec");
	assert_int_equal(g.level, LOG_ERROR);
	assert_int_equal(g.time_ms, 1795307098123);
	logring_add(r, 0, LOG_DEBUG, "", "");
	g = read_all(r, &any, 1);
	assert_int_equal(g.ids[0], 2);
	assert_string_equal(g.last, "");
	assert_string_equal(g.component, "");
	assert_int_equal(logring_bytes(r), LOGRING_CHUNK);
	logring_destroy(r);
}

static void
the_log_feeds_it_with_what_it_shows(void **state)
{
	struct logring	*r = logring_create();
	struct got	 g;

	(void)state;
	log_setup(LOG_INFO, -1);
	log_set_sink(logring_sink, r);
	log_debug("unit", "nobody wants this");
	log_warn("unit", "x\ny");
	log_set_sink(NULL, NULL);
	log_warn("unit", "too late");
	g = read_all(r, &any, 0);
	assert_int_equal(g.n, 1);
	assert_string_equal(g.last, "x\\x0ay");
	assert_int_equal(g.level, LOG_WARN);
	assert_true(g.time_ms > 1700000000000);
	logring_destroy(r);
}

static void
lines_that_are_too_long_are_cut_at_a_character(void **state)
{
	struct logring	*r = logring_create();
	char		 text[2 * LOG_LINE_MAX], component[100];
	struct got	 g;

	(void)state;
	memset(text, 'a', sizeof text);
	text[LOG_LINE_MAX] = '\0';
	logring_add(r, 0, LOG_INFO, "c", text);
	assert_int_equal(read_all(r, &any, 0).length, LOG_LINE_MAX);
	text[LOG_LINE_MAX] = 'b';
	text[LOG_LINE_MAX + 1] = '\0';
	logring_add(r, 0, LOG_INFO, "c", text);
	assert_int_equal(read_all(r, &any, 1).length, LOG_LINE_MAX);
	memcpy(text + LOG_LINE_MAX - 1, "\xc3\xa9", 3);
	memset(component, 'c', sizeof component - 1);
	component[sizeof component - 1] = '\0';
	logring_add(r, 0, LOG_INFO, component, text);
	g = read_all(r, &any, 2);
	assert_int_equal(g.length, LOG_LINE_MAX - 1);
	assert_int_equal(strlen(g.component), 64);
	logring_destroy(r);
}

static void
SY_07_the_ring_keeps_10000_lines_and_ids_go_on(void **state)
{
	struct logring	*r = filled(LOGRING_ENTRIES_MAX);

	(void)state;
	assert_int_equal(logring_oldest(r), 1);
	assert_int_equal(read_all(r, &any, 0).n, LOGRING_ENTRIES_MAX);
	logring_add(r, 0, LOG_INFO, "c", "one more");
	assert_int_equal(logring_oldest(r), 2);
	assert_int_equal(logring_newest(r), LOGRING_ENTRIES_MAX + 1);
	assert_int_equal(read_all(r, &any, 0).n, LOGRING_ENTRIES_MAX);
	logring_destroy(r);
	r = filled(34567);
	assert_int_equal(logring_oldest(r), 34567 - LOGRING_ENTRIES_MAX + 1);
	assert_int_equal(read_all(r, &any, 0).n, LOGRING_ENTRIES_MAX);
	assert_int_equal(read_all(r, &any, 34560).n, 7);
	assert_true(logring_bytes(r) < LOGRING_BYTES_MAX);
	logring_destroy(r);
}

static void
long_lines_are_bounded_in_bytes(void **state)
{
	struct logring	*r = logring_create();
	char		 text[LOG_LINE_MAX + 1];
	struct got	 g;
	int		 i;

	(void)state;
	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	for (i = 0; i < 2000; i++)
		logring_add(r, 0, LOG_INFO, "c", text);
	assert_int_equal(logring_bytes(r), LOGRING_BYTES_MAX);
	g = read_all(r, &any, 0);
	assert_true(g.n > 300 && g.n < 520);
	assert_int_equal(logring_newest(r), 2000);
	assert_int_equal(logring_oldest(r), 2000 - (int64_t)g.n + 1);
	logring_destroy(r);
}

static void
filters_are_equality_not_at_least(void **state)
{
	struct logring		*r = filled(30);
	struct logring_filter	 warn = { .has_level = true,
	    .level = LOG_WARN }, grpc = { .component = "grpc" };
	struct logring_filter	 both = { "grpc", true, LOG_WARN };
	struct logring_filter	 none = { .component = "grp" };

	(void)state;
	logring_add(r, 0, LOG_ERROR, "k8shelld", "worse than a warning");
	assert_int_equal(read_all(r, &warn, 0).n, 6);
	assert_int_equal(read_all(r, &grpc, 0).n, 10);
	assert_int_equal(read_all(r, &both, 0).n, 2);
	assert_int_equal(read_all(r, &both, 0).ids[1], 30);
	assert_int_equal(read_all(r, &none, 0).n, 0);
	none.component = "";
	assert_int_equal(read_all(r, &none, 0).n, 31);
	logring_destroy(r);
}

static void
a_reader_goes_on_from_where_it_stopped(void **state)
{
	struct logring	*r = filled(2000);
	struct got	 g;
	int64_t		 at = 0, seen = 0;

	(void)state;
	while (at < 2000) {
		g = (struct got){ .max = 7 };
		at = logring_read(r, &any, at, INT64_MAX, take, &g);
		assert_int_equal(g.ids[0], seen + 1);
		seen += (int64_t)g.n;
		assert_int_equal(at, seen);
	}
	/* A reader that was too slow starts with what is left. */
	logring_destroy(r);
	r = filled(30000);
	g = read_all(r, &any, 5);
	assert_int_equal(g.ids[0], 20001);
	/* Up to a bound; and bounds that make no sense give nothing. */
	g = (struct got){ 0 };
	assert_int_equal(logring_read(r, &any, 29990, 29995, take, &g), 29995);
	assert_int_equal(g.n, 5);
	g = (struct got){ 0 };
	assert_int_equal(logring_read(r, &any, 40000, INT64_MAX, take, &g),
	    30000);
	assert_int_equal(logring_read(r, &any, 9, 3, take, &g), 9);
	assert_int_equal(logring_read(r, &any, INT64_MAX, INT64_MAX, take,
	    &g), INT64_MAX);
	assert_int_equal(g.n, 0);
	logring_destroy(r);
}

static void
SY_06_the_newest_n_are_the_newest_that_match(void **state)
{
	struct logring		*r = filled(1000);
	struct logring_filter	 both = { "grpc", true, LOG_WARN };
	int64_t			 after;
	bool			 more;

	(void)state;
	assert_int_equal(logring_back(r, &any, 0, 3, &after, &more), 3);
	assert_int_equal(after, 997);
	assert_true(more);
	/* Ids 990, 975, 960: the count is of lines that match. */
	assert_int_equal(logring_back(r, &both, 0, 3, &after, &more), 3);
	assert_int_equal(after, 959);
	assert_int_equal(read_all(r, &both, after).n, 3);
	assert_int_equal(logring_back(r, &both, 0, 1000, &after, &more), 66);
	assert_int_equal(after, 14);
	assert_false(more);
	logring_destroy(r);
}

static void
SY_07_pages_walk_back_to_the_beginning(void **state)
{
	struct logring	*r = filled(25);
	int64_t		 before = 0, after;
	bool		 more = true;
	size_t		 n, sum = 0;

	(void)state;
	while (more) {
		n = logring_back(r, &any, before, 10, &after, &more);
		sum += n;
		before = after + 1;
	}
	assert_int_equal(sum, 25);
	assert_int_equal(before, 1);
	/* Exactly filled, nothing older left. */
	assert_int_equal(logring_back(r, &any, 0, 25, &after, &more), 25);
	assert_false(more);
	assert_int_equal(logring_back(r, &any, 0, 24, &after, &more), 24);
	assert_true(more);
	assert_int_equal(logring_back(r, &any, 1, 5, &after, &more), 0);
	assert_false(more);
	assert_int_equal(logring_back(r, &any, 2, 5, &after, &more), 1);
	assert_int_equal(logring_back(r, &any, 9999, 5, &after, &more), 5);
	assert_int_equal(after, 20);
	logring_destroy(r);
}

static void
SY_07_pages_of_lines_that_are_gone_are_empty(void **state)
{
	struct logring	*r = filled(20000);
	int64_t		 after;
	bool		 more = true;

	(void)state;
	assert_int_equal(logring_back(r, &any, 10001, 5, &after, &more), 0);
	assert_false(more);
	assert_int_equal(logring_back(r, &any, 10002, 5, &after, &more), 1);
	assert_int_equal(after, 10000);
	assert_false(more);
	logring_destroy(r);
}

struct watcher {
	struct logring_follower	f;
	int			more, ended;
};

static void
on_more(void *arg)
{
	((struct watcher *)arg)->more++;
}

static void
on_end(void *arg)
{
	((struct watcher *)arg)->ended++;
}

static void
L13_followers_are_woken_by_lines_not_by_a_clock(void **state)
{
	struct logring	*r = logring_create();
	struct watcher	 w[3] = { 0 };
	int		 i;

	(void)state;
	for (i = 0; i < 3; i++) {
		w[i].f = (struct logring_follower){ .more = on_more,
		    .end = on_end, .arg = &w[i] };
		logring_unfollow(&w[i].f);
		logring_follow(r, &w[i].f);
	}
	logring_add(r, 0, LOG_INFO, "c", "1");
	logring_unfollow(&w[1].f);
	logring_unfollow(&w[1].f);
	logring_add(r, 0, LOG_INFO, "c", "2");
	logring_end(r);
	logring_add(r, 0, LOG_INFO, "c", "3");
	assert_int_equal(w[0].more, 2);
	assert_int_equal(w[1].more, 1);
	assert_int_equal(w[2].more, 2);
	assert_int_equal(w[0].ended + w[2].ended, 2);
	assert_int_equal(w[1].ended, 0);
	logring_follow(r, &w[1].f);
	logring_destroy(r);
	assert_int_equal(w[1].ended, 0);
	assert_null(w[1].f.prevp);
}

static void
without_memory_the_oldest_lines_make_room(void **state)
{
	struct logring	*r;
	struct got	 g;
	int		 i;

	(void)state;
	failmalloc_arm(1);
	assert_null(logring_create());
	assert_true(failmalloc_disarm());
	r = logring_create();
	failmalloc_arm_all(1);
	logring_add(r, 0, LOG_INFO, "c", "lost");
	assert_true(failmalloc_disarm());
	assert_int_equal(logring_newest(r), 0);
	logring_destroy(r);

	r = filled(2000);
	failmalloc_arm(1);
	for (i = 0; i < 400; i++)
		logring_add(r, 0, LOG_INFO, "c", "after the failure");
	assert_true(failmalloc_disarm());
	assert_int_equal(logring_newest(r), 2400);
	assert_true(logring_oldest(r) > 1);
	g = read_all(r, &any, 0);
	assert_int_equal(g.n, 2400 - logring_oldest(r) + 1);
	logring_destroy(r);
}

static void
times_are_UTC_with_milliseconds_and_no_zone(void **state)
{
	char	text[LOGRING_TIME_LEN];

	(void)state;
	logring_time(1795307098007, text);
	assert_string_equal(text, "2026-11-22T00:24:58.007");
	logring_time(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000");
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(an_empty_ring_has_nothing_and_costs_nothing),
		cmocka_unit_test(lines_come_back_as_they_were),
		cmocka_unit_test(the_log_feeds_it_with_what_it_shows),
		cmocka_unit_test(
		    lines_that_are_too_long_are_cut_at_a_character),
		cmocka_unit_test(
		    SY_07_the_ring_keeps_10000_lines_and_ids_go_on),
		cmocka_unit_test(long_lines_are_bounded_in_bytes),
		cmocka_unit_test(filters_are_equality_not_at_least),
		cmocka_unit_test(a_reader_goes_on_from_where_it_stopped),
		cmocka_unit_test(SY_06_the_newest_n_are_the_newest_that_match),
		cmocka_unit_test(SY_07_pages_walk_back_to_the_beginning),
		cmocka_unit_test(SY_07_pages_of_lines_that_are_gone_are_empty),
		cmocka_unit_test(
		    L13_followers_are_woken_by_lines_not_by_a_clock),
		cmocka_unit_test(without_memory_the_oldest_lines_make_room),
		cmocka_unit_test(times_are_UTC_with_milliseconds_and_no_zone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
