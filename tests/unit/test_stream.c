#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "loop/loop.h"
#include "tests/unit/failmalloc.h"
#include "workspace/stream.h"

struct seen {
	struct stream_record	records[8];
	size_t			n, max;
};

static bool
see(void *arg, const struct stream_record *r)
{
	struct seen	*s = arg;

	if (s->n < ARRAY_LEN(s->records))
		s->records[s->n] = *r;
	return ++s->n < s->max;
}

static struct seen
all(struct streams *s)
{
	struct seen	seen = { .max = SIZE_MAX };

	streams_each(s, see, &seen);
	return seen;
}

static void
SH_24_ids_are_names_and_not_paths(void **state)
{
	static const char *const	bad[] = {
		"", ".", "..", "a/b", "/", "a b", "a\tb", "a\n", "\x7f",
		"\xc3\xa9", "a\x1b[m"
	};
	char				id[STREAM_ID_MAX + 2];
	size_t				i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(stream_id_valid(bad[i]));
	assert_true(stream_id_valid("sh-p98l6-78-2i1"));
	assert_true(stream_id_valid("..."));
	memset(id, 'x', sizeof id);
	id[STREAM_ID_MAX + 1] = '\0';
	assert_false(stream_id_valid(id));
	id[STREAM_ID_MAX] = '\0';
	assert_true(stream_id_valid(id));
}

static void
live_ones_come_first_and_ended_ones_stay_for_a_while(void **state)
{
	struct loop	*l = loop_create();
	struct streams	*s = streams_create(l);
	struct stream	 a = { .id = "a", .kind = STREAM_SHELL,
			    .params = "cmd=/bin/sh, pid=7" };
	struct stream	 b = { .id = "b", .kind = STREAM_EXEC };
	struct seen	 seen;

	(void)state;
	assert_int_equal(all(s).n, 0);
	stream_add(s, &a);
	stream_add(s, &b);
	a.bytes_in = 3;
	a.bytes_out = 4;
	stream_end(&a);
	stream_end(&a);			/* the second time is nothing */
	seen = all(s);
	assert_int_equal(seen.n, 2);
	assert_string_equal(seen.records[0].id, "b");
	assert_int_equal(seen.records[0].deleted, 0);
	assert_string_equal(seen.records[1].id, "a");
	assert_string_equal(seen.records[1].params, "cmd=/bin/sh, pid=7");
	assert_true(seen.records[1].deleted >= seen.records[1].created);
	assert_int_equal(seen.records[1].bytes_in, 3);
	assert_int_equal(seen.records[1].bytes_out, 4);
	seen = (struct seen){ .max = 1 };
	streams_each(s, see, &seen);
	assert_int_equal(seen.n, 1);
	stream_end(&b);
	streams_destroy(s);
	loop_destroy(l);
}

static void
ended_ones_are_bounded_and_the_oldest_go_first(void **state)
{
	struct loop	*l = loop_create();
	struct streams	*s = streams_create(l);
	struct stream	 st = { .kind = STREAM_EXEC };
	struct seen	 seen;
	int		 i;

	(void)state;
	for (i = 0; i < STREAM_ENDED_MAX + 3; i++) {
		snprintf(st.id, sizeof st.id, "%d", i);
		stream_add(s, &st);
		stream_end(&st);
	}
	seen = all(s);
	assert_int_equal(seen.n, STREAM_ENDED_MAX);
	assert_string_equal(seen.records[0].id, "3");
	streams_destroy(s);
	loop_destroy(l);
}

static void
a_stream_may_outlive_its_registry(void **state)
{
	struct loop	*l = loop_create();
	struct streams	*s = streams_create(l);
	struct stream	 st = { .id = "x", .kind = STREAM_EXEC };

	(void)state;
	stream_add(s, &st);
	streams_destroy(s);
	stream_end(&st);
	loop_destroy(l);
}

static void
out_of_memory_costs_the_record_of_the_past_only(void **state)
{
	struct loop	*l = loop_create();
	struct streams	*s = streams_create(l);
	struct stream	 st = { .id = "x", .kind = STREAM_EXEC };

	(void)state;
	stream_add(s, &st);
	failmalloc_arm(1);
	stream_end(&st);
	assert_true(failmalloc_disarm());
	assert_int_equal(all(s).n, 0);
	failmalloc_arm(1);
	assert_null(streams_create(l));
	assert_true(failmalloc_disarm());
	streams_destroy(s);
	loop_destroy(l);
}

static void
a_detached_one_says_how_long_it_stays(void **state)
{
	struct loop	*l = loop_create();
	struct streams	*s = streams_create(l);
	struct stream	 a = { .id = "a", .kind = STREAM_SHELL };

	(void)state;
	stream_add(s, &a);
	assert_false(all(s).records[0].detached);
	a.detached = true;
	assert_true(all(s).records[0].detached);
	assert_int_equal(all(s).records[0].ttl_left_ms, -1);
	a.expires_ms = loop_now(l) + 5000;
	assert_int_equal(all(s).records[0].ttl_left_ms, 5000);
	a.expires_ms = loop_now(l) > 1 ? loop_now(l) - 1 : 1;
	assert_int_equal(all(s).records[0].ttl_left_ms, 0);
	stream_end(&a);
	assert_false(all(s).records[0].detached);
	assert_int_equal(all(s).records[0].ttl_left_ms, -1);
	streams_destroy(s);
	loop_destroy(l);
}

/* Counters never fall, or a scraper would take it for a restart. */
static void
totals_count_what_has_ended_and_been_forgotten_too(void **state)
{
	struct loop		*l = loop_create();
	struct streams		*s = streams_create(l);
	struct stream		 a = { .id = "a", .kind = STREAM_EXEC };
	struct stream		 b = { .id = "b", .kind = STREAM_EXEC };
	struct stream_totals	 t;

	(void)state;
	stream_add(s, &a);
	stream_add(s, &b);
	a.bytes_in = 3;
	b.bytes_out = 4;
	failmalloc_arm(1);		/* no record of it is kept */
	stream_end(&a);
	assert_true(failmalloc_disarm());
	assert_true(streams_live(s, STREAM_EXEC, "b"));
	assert_false(streams_live(s, STREAM_UNIX_SOCKET, "b"));
	assert_false(streams_live(s, STREAM_EXEC, "a"));
	streams_totals(s, STREAM_EXEC, &t);
	assert_int_equal(t.live, 1);
	assert_int_equal(t.started, 2);
	assert_int_equal(t.bytes_in, 3);
	assert_int_equal(t.bytes_out, 4);
	streams_totals(s, STREAM_SHELL, &t);
	assert_int_equal(t.started, 0);
	stream_end(&b);
	streams_destroy(s);
	loop_destroy(l);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(SH_24_ids_are_names_and_not_paths),
		cmocka_unit_test(
		    live_ones_come_first_and_ended_ones_stay_for_a_while),
		cmocka_unit_test(
		    ended_ones_are_bounded_and_the_oldest_go_first),
		cmocka_unit_test(a_detached_one_says_how_long_it_stays),
		cmocka_unit_test(
		    totals_count_what_has_ended_and_been_forgotten_too),
		cmocka_unit_test(a_stream_may_outlive_its_registry),
		cmocka_unit_test(
		    out_of_memory_costs_the_record_of_the_past_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
