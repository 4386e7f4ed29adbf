#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "tests/unit/failmalloc.h"
#include "workspace/joblog.h"

#define OUT	(1u << JOBLOG_STDOUT)
#define ERR	(1u << JOBLOG_STDERR)

/* What a reader got. */
struct got {
	char		*text;
	size_t		 n, events, largest, stop_after;
	uint64_t	 first, last;
	unsigned	 types;
};

static bool
take(void *arg, const struct joblog_event *e)
{
	struct got	*g = arg;

	if (g->events == g->stop_after)
		return false;
	if (g->events++ == 0)
		g->first = e->seq;
	else
		assert_int_equal(e->seq, g->last + 1);
	g->last = e->seq;
	g->types |= 1u << e->type;
	if (e->n > g->largest)
		g->largest = e->n;
	assert_non_null(g->text = realloc(g->text, g->n + e->n + 1));
	if (e->n > 0)
		memcpy(g->text + g->n, e->p, e->n);
	g->n += e->n;
	g->text[g->n] = '\0';
	return true;
}

static struct got
all(const struct joblog *l)
{
	struct got	g = { .stop_after = SIZE_MAX };

	assert_int_equal(joblog_read(l, 1, take, &g),
	    joblog_newest(l) + 1);
	return g;
}

static void
expect(const struct joblog *l, const char *text, size_t events)
{
	struct got	g = all(l);

	assert_int_equal(g.events, events);
	assert_string_equal(g.text != NULL ? g.text : "", text);
	free(g.text);
}

static void
put(struct joblog *l, enum joblog_type t, const char *s)
{
	joblog_put(l, t, 1000, s, strlen(s));
}

static void
events_are_numbered_from_one_and_keep_their_order(void **state)
{
	struct joblog	l;
	struct got	g = { .stop_after = 2 };

	(void)state;
	joblog_init(&l);
	assert_int_equal(joblog_newest(&l), 0);
	put(&l, JOBLOG_START, "");
	put(&l, JOBLOG_STDOUT, "one ");
	put(&l, JOBLOG_STDERR, "two ");
	put(&l, JOBLOG_STDOUT, "three");
	expect(&l, "one two three", 4);
	assert_int_equal(joblog_read(&l, 2, take, &g), 4);
	assert_int_equal(g.first, 2);
	assert_string_equal(g.text, "one two ");
	free(g.text);
	put(&l, JOBLOG_EXIT, "");
	assert_int_equal(joblog_newest(&l), 5);
	assert_true(l.ended && l.total == 13);
	joblog_finish(&l);
}

static void
a_character_is_never_cut(void **state)
{
	static const char	euro[] = "a\xe2\x82\xac";
	struct joblog		l;
	size_t			i;

	(void)state;
	joblog_init(&l);
	for (i = 0; i < 4; i++)
		joblog_put(&l, JOBLOG_STDOUT, 1, euro + i, 1);
	expect(&l, euro, 2);
	joblog_put(&l, JOBLOG_STDOUT, 1, "\xe2\x82", 2);
	put(&l, JOBLOG_STDERR, "!");
	joblog_put(&l, JOBLOG_STDOUT, 1, "\xacz", 2);
	expect(&l, "a\xe2\x82\xac!\xe2\x82\xacz", 4);
	joblog_finish(&l);
}

static void
what_is_no_character_comes_all_the_same(void **state)
{
	static const char	*const	pieces[] = {
		"\xc3", "\xc3", "\xe2", "\xc3", "\xf0\x9f", "\xff", "\xf0",
		"\x80\x80", "\xe2\x82", "x", "\x80", "\xf4\x8f\xbf", "\xbf"
	};
	char			text[64] = "";
	struct joblog		l;
	size_t			i, n = 0;

	(void)state;
	joblog_init(&l);
	for (i = 0; i < ARRAY_LEN(pieces); i++) {
		put(&l, JOBLOG_STDOUT, pieces[i]);
		n += (size_t)snprintf(text + n, sizeof text - n, "%s",
		    pieces[i]);
	}
	put(&l, JOBLOG_STDOUT, "\xe2\x82");
	put(&l, JOBLOG_EXIT, "");		/* gives what was held back */
	(void)snprintf(text + n, sizeof text - n, "\xe2\x82");
	{
		struct got	g = all(&l);

		assert_string_equal(g.text, text);
		free(g.text);
	}
	joblog_finish(&l);
}

static void
long_output_is_cut_between_characters(void **state)
{
	size_t		 n = 3 * 5000, i;
	char		*text = malloc(n + 1);
	struct joblog	 l;
	struct got	 g;
	uint64_t	 at;

	(void)state;
	for (i = 0; i < n; i += 3)
		memcpy(text + i, "\xe2\x82\xac", 3);
	text[n] = '\0';
	joblog_init(&l);
	put(&l, JOBLOG_STDOUT, text);
	g = all(&l);
	assert_string_equal(g.text, text);
	assert_true(g.largest <= JOBLOG_PIECE_MAX && g.events == 4);
	free(g.text);
	for (at = 1; at <= 4; at++) {
		g = (struct got){ .stop_after = 1 };
		joblog_read(&l, at, take, &g);
		assert_true(utf8_valid(g.text, g.n));
		free(g.text);
	}
	free(text);
	joblog_finish(&l);
}

/* At the limit all is there, one byte more costs the oldest event. */
static void
the_oldest_bytes_go_first(void **state)
{
	char		*k = malloc(1024);
	struct joblog	 l;
	struct got	 g;
	unsigned	 i;

	(void)state;
	memset(k, 'x', 1024);
	joblog_init(&l);
	for (i = 0; i < JOBLOG_BYTES_MAX / 1024; i++)
		joblog_put(&l, JOBLOG_STDOUT, 1, k, 1024);
	g = all(&l);
	assert_int_equal(g.n, JOBLOG_BYTES_MAX);
	assert_int_equal(g.first, 1);
	free(g.text);
	joblog_put(&l, JOBLOG_STDOUT, 1, "y", 1);
	g = all(&l);
	assert_int_equal(g.n, JOBLOG_BYTES_MAX - 1023);
	assert_int_equal(g.first, 2);
	assert_int_equal(g.text[g.n - 1], 'y');
	free(g.text);
	assert_true(l.memory < JOBLOG_BYTES_MAX + 128 * 1024);
	joblog_finish(&l);
	assert_int_equal(l.memory, 0);
	free(k);
}

struct sunk {
	char	text[256 * 1024];
	size_t	n;
};

static void
take_sunk(void *arg, const void *p, size_t n)
{
	struct sunk	*s = arg;

	assert_true(n < sizeof s->text - s->n);
	memcpy(s->text + s->n, p, n);
	s->n += n;
	s->text[s->n] = '\0';
}

/* Characters that end late, in both streams: as events order them. */
static void
the_sink_gets_all_of_it_in_the_order_of_events(void **state)
{
	static const char *const pieces[] = {
		"a\xe2", "\x82", "b", "\xac\xf0", "\x9f\xe2", "\x82\xac\n",
		"\xe2", "\xf0", "\xf0"
	};
	static struct sunk	s;
	struct joblog		l;
	struct got		g;
	size_t			i;

	(void)state;
	joblog_init(&l);
	l.sink = take_sunk;
	l.sink_arg = &s;
	put(&l, JOBLOG_START, "");
	for (i = 0; i < 300; i++)
		put(&l, i % 4 == 0 ? JOBLOG_STDERR : JOBLOG_STDOUT,
		    pieces[i % ARRAY_LEN(pieces)]);
	put(&l, JOBLOG_EXIT, "");
	g = all(&l);
	assert_int_equal(g.n, l.total);
	assert_int_equal(s.n, g.n);
	assert_string_equal(s.text, g.text);
	assert_int_equal(joblog_offset(&l), 0);
	free(g.text);
	joblog_finish(&l);
}

/* Of a job that is abandoned: no end comes. */
static void
what_is_held_back_can_be_had_without_an_end(void **state)
{
	static struct sunk	s;
	struct joblog		l;

	(void)state;
	joblog_init(&l);
	l.sink = take_sunk;
	l.sink_arg = &s;
	put(&l, JOBLOG_STDERR, "a\xe2\x82");
	put(&l, JOBLOG_STDOUT, "\xc3");
	assert_string_equal(s.text, "a");
	joblog_flush(&l, 1);
	assert_string_equal(s.text, "a\xc3\xe2\x82");
	expect(&l, s.text, 3);
	joblog_flush(&l, 2);
	put(&l, JOBLOG_EXIT, "");
	joblog_flush(&l, 3);
	expect(&l, s.text, 4);
	joblog_finish(&l);
}

/* Where the oldest event begins in what the sink got, however it got there. */
static void
the_offset_is_that_of_the_oldest_event(void **state)
{
	static struct sunk	s;
	struct joblog		l;
	struct got		g;
	char			line[32];
	bool			failed = false;
	unsigned		i;

	(void)state;
	joblog_init(&l);
	l.sink = take_sunk;
	l.sink_arg = &s;
	for (i = 0; i < JOBLOG_EVENTS_MAX + 100; i++) {
		snprintf(line, sizeof line, "%u\xe2\x82\xac", i);
		if (i >= 5000 && i < 6000)
			failmalloc_arm_all(1);
		put(&l, JOBLOG_STDOUT, line);
		failed |= failmalloc_disarm();
		if (i != 4000 && i != 5050 && i != 7000 &&
		    i != JOBLOG_EVENTS_MAX + 50)
			continue;
		if (i == 7000)
			joblog_shrink(&l, 20000);
		g = all(&l);
		assert_int_equal(joblog_offset(&l) + g.n, s.n);
		assert_true(g.n == 0 ||
		    memcmp(s.text + joblog_offset(&l), g.text, g.n) == 0);
		free(g.text);
	}
	assert_true(failed && joblog_offset(&l) > 0);
	joblog_finish(&l);
}

static void
the_oldest_events_go_first(void **state)
{
	struct joblog	l;
	struct got	g;
	unsigned	i;

	(void)state;
	joblog_init(&l);
	for (i = 0; i < JOBLOG_EVENTS_MAX; i++)
		put(&l, JOBLOG_STDOUT, "x");
	assert_int_equal(l.first, 1);
	put(&l, JOBLOG_STDERR, "y");
	g = all(&l);
	assert_int_equal(g.events, JOBLOG_EVENTS_MAX);
	assert_int_equal(g.first, 2);
	free(g.text);
	put(&l, JOBLOG_EXIT, "");
	g = all(&l);
	assert_true((g.types & 1u << JOBLOG_EXIT) != 0);
	assert_int_equal(g.last, JOBLOG_EVENTS_MAX + 2);
	free(g.text);
	joblog_finish(&l);
}

static void
memory_comes_with_output_and_goes_with_the_end(void **state)
{
	struct joblog	l;
	size_t		before;

	(void)state;
	joblog_init(&l);
	assert_int_equal(l.memory, 0);
	put(&l, JOBLOG_STDOUT, "x");
	assert_true(l.memory < 1024);
	put(&l, JOBLOG_EXIT, "");
	before = l.memory;
	joblog_trim(&l);
	assert_true(l.memory < before);
	expect(&l, "x", 2);
	joblog_trim(&l);
	expect(&l, "x", 2);
	joblog_finish(&l);
}

static void
shrinking_forgets_the_oldest_and_never_the_end(void **state)
{
	char		*k = calloc(1, 4096);
	struct joblog	 l;
	struct got	 g;
	unsigned	 i;

	(void)state;
	joblog_init(&l);
	for (i = 0; i < 64; i++)
		joblog_put(&l, JOBLOG_STDOUT, 1, k, 4096);
	put(&l, JOBLOG_EXIT, "");
	joblog_shrink(&l, 100000);
	assert_true(l.memory <= 100000 && l.memory > 50000);
	joblog_shrink(&l, 0);
	g = all(&l);
	assert_true(g.first > 40 && g.last == 65);
	assert_true((g.types & 1u << JOBLOG_EXIT) != 0);
	free(g.text);
	free(k);
	joblog_finish(&l);
}

static void
tail_finds_the_last_lines(void **state)
{
	struct joblog	l;
	uint64_t	seq;
	size_t		skip;

	(void)state;
	joblog_init(&l);
	put(&l, JOBLOG_START, "");
	put(&l, JOBLOG_STDOUT, "a\nb\nc");		/* 2 */
	put(&l, JOBLOG_STDERR, "E\n");			/* 3 */
	put(&l, JOBLOG_STDOUT, "d\ne");			/* 4 */
	assert_true(joblog_tail(&l, OUT, 1, &seq, &skip));
	assert_true(seq == 4 && skip == 2);
	assert_true(joblog_tail(&l, OUT, 2, &seq, &skip));
	assert_true(seq == 2 && skip == 4);
	assert_true(joblog_tail(&l, OUT, 3, &seq, &skip));
	assert_true(seq == 2 && skip == 2);
	assert_true(joblog_tail(&l, ERR, 1, &seq, &skip));
	assert_true(seq == 1 && skip == 0);
	assert_true(joblog_tail(&l, OUT | ERR, 100, &seq, &skip));
	assert_true(seq == 1 && skip == 0);
	assert_true(joblog_tail(&l, OUT, 0, &seq, &skip));
	assert_true(seq == 5);
	put(&l, JOBLOG_STDOUT, "\n");
	assert_true(joblog_tail(&l, OUT, 1, &seq, &skip));
	assert_true(seq == 4 && skip == 2);
	joblog_finish(&l);
}

/* As events mostly do: nobody is to get an empty one first. */
static void
tail_begins_behind_an_event_that_ends_with_its_line(void **state)
{
	struct joblog	l;
	uint64_t	seq;
	size_t		skip;

	(void)state;
	joblog_init(&l);
	put(&l, JOBLOG_STDOUT, "a\n");			/* 1 */
	put(&l, JOBLOG_STDERR, "E\n");			/* 2 */
	put(&l, JOBLOG_STDOUT, "b\nc\n");		/* 3 */
	put(&l, JOBLOG_STDOUT, "d");			/* 4 */
	assert_true(joblog_tail(&l, OUT, 1, &seq, &skip));
	assert_true(seq == 4 && skip == 0);
	assert_true(joblog_tail(&l, OUT, 2, &seq, &skip));
	assert_true(seq == 3 && skip == 2);
	assert_true(joblog_tail(&l, OUT, 3, &seq, &skip));
	assert_true(seq == 2 && skip == 0);
	joblog_finish(&l);
}

static void
tail_says_when_lines_were_lost(void **state)
{
	struct joblog	l;
	uint64_t	seq;
	size_t		skip;
	unsigned	i;

	(void)state;
	joblog_init(&l);
	for (i = 0; i < JOBLOG_EVENTS_MAX + 5; i++)
		put(&l, JOBLOG_STDOUT, "x\n");
	assert_true(joblog_tail(&l, OUT, JOBLOG_EVENTS_MAX, &seq, &skip));
	assert_int_equal(seq, 6);
	assert_false(joblog_tail(&l, OUT, JOBLOG_EVENTS_MAX + 1, &seq, &skip));
	assert_int_equal(seq, 6);
	joblog_finish(&l);
}

static void
without_memory_the_oldest_make_room(void **state)
{
	char		*k = calloc(1, 4096);
	struct joblog	 l;
	struct got	 g;
	unsigned	 i;

	(void)state;
	joblog_init(&l);
	for (i = 0; i < 100; i++)
		joblog_put(&l, JOBLOG_STDOUT, 1, k, 4096);
	failmalloc_arm(1);
	for (i = 0; i < 16; i++)
		joblog_put(&l, JOBLOG_STDOUT, 1, k, 4096);
	assert_true(failmalloc_disarm());
	put(&l, JOBLOG_EXIT, "");
	g = all(&l);
	assert_true(g.last == 117 && g.first > 1);
	free(g.text);
	free(k);
	joblog_finish(&l);
}

static void
without_any_memory_the_end_is_there(void **state)
{
	char		*k = calloc(1, 4096);
	struct joblog	 l;
	struct got	 g;
	unsigned	 puts;

	(void)state;
	for (puts = 0; puts < 3; puts++) {
		joblog_init(&l);
		if (puts == 2)		/* and a chunk without room for it */
			joblog_put(&l, JOBLOG_STDOUT, 1, k, 500);
		failmalloc_arm_all(1);
		if (puts == 1)
			put(&l, JOBLOG_STDOUT, "lost");
		joblog_put(&l, JOBLOG_EXIT, 7, NULL, 0);
		joblog_trim(&l);
		joblog_shrink(&l, 0);
		assert_true(failmalloc_disarm());
		g = all(&l);
		assert_int_equal(g.types, 1u << JOBLOG_EXIT);
		assert_true(g.events == 1 && g.n == 0);
		assert_int_equal(g.first, puts == 0 ? 1 : 2);
		free(g.text);
		joblog_finish(&l);
	}
	free(k);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(
		    events_are_numbered_from_one_and_keep_their_order),
		cmocka_unit_test(a_character_is_never_cut),
		cmocka_unit_test(what_is_no_character_comes_all_the_same),
		cmocka_unit_test(long_output_is_cut_between_characters),
		cmocka_unit_test(the_oldest_bytes_go_first),
		cmocka_unit_test(
		    the_sink_gets_all_of_it_in_the_order_of_events),
		cmocka_unit_test(what_is_held_back_can_be_had_without_an_end),
		cmocka_unit_test(the_offset_is_that_of_the_oldest_event),
		cmocka_unit_test(the_oldest_events_go_first),
		cmocka_unit_test(
		    memory_comes_with_output_and_goes_with_the_end),
		cmocka_unit_test(
		    shrinking_forgets_the_oldest_and_never_the_end),
		cmocka_unit_test(tail_finds_the_last_lines),
		cmocka_unit_test(
		    tail_begins_behind_an_event_that_ends_with_its_line),
		cmocka_unit_test(tail_says_when_lines_were_lost),
		cmocka_unit_test(without_memory_the_oldest_make_room),
		cmocka_unit_test(without_any_memory_the_end_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
