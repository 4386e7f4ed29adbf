/* history: a day of samples, and means over buckets. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "proc/history.h"
#include "tests/unit/failmalloc.h"

#define S	INT64_C(1000000000)
#define NOW	(INT64_C(1795307400) * S)	/* 2026-11-22T00:30:00Z */
#define START	INT64_C(1795307400)

static struct history_window
window(const struct history_request *req)
{
	struct history_window	w;
	const char		*why;

	assert_int_equal(history_window(&w, req, NOW, &why), 0);
	assert_null(why);
	assert_true(w.n >= 1 && w.n <= HISTORY_POINTS_MAX);
	assert_true(w.to_ns > w.from_ns && w.to_ns <= NOW);
	assert_true((int64_t)w.n * w.step_ns >= w.to_ns - w.from_ns);
	return w;
}

static void
SY_08_the_default_is_the_last_hour(void **state)
{
	struct history_window	w = window(&(struct history_request){ 0 });

	(void)state;
	assert_int_equal(w.to_ns, NOW);
	assert_int_equal(w.from_ns, NOW - 3600 * S);
	assert_int_equal(w.step_ns, 30 * S);
	assert_int_equal(w.n, 120);
	assert_int_equal(history_bucket(&w, 1), START - 3600 + 30);
	w = window(&(struct history_request){ "", "", "", "" });
	assert_int_equal(w.n, 120);
}

static void
SY_08_windows_end_now_and_begin_a_day_ago(void **state)
{
	struct history_window	w;

	(void)state;
	w = window(&(struct history_request){ .range = "1000h" });
	assert_int_equal(w.from_ns, NOW - 24 * 3600 * S);
	assert_int_equal(w.step_ns, 120 * S);
	assert_int_equal(w.n, 720);
	w = window(&(struct history_request){ "2026-11-22T00:00:00Z",
	    "2027-01-01T00:00:00Z", "nonsense", "90s" });
	assert_int_equal(w.from_ns, NOW - 1800 * S);
	assert_int_equal(w.to_ns, NOW);
	assert_int_equal(w.n, 20);
	/* Long ago, or yet to come: nothing is left but a second. */
	w = window(&(struct history_request){ "2020-01-01T00:00:00Z",
	    "2020-01-02T00:00:00Z", NULL, NULL });
	assert_int_equal(w.to_ns - w.from_ns, S);
	assert_int_equal(w.n, 1);
	w = window(&(struct history_request){ "2030-01-01T00:00:00Z",
	    "2030-01-02T00:00:00Z", NULL, NULL });
	assert_int_equal(w.to_ns, NOW);
	assert_int_equal(w.n, 1);
	/* One of the two alone says nothing. */
	w = window(&(struct history_request){ .from = "2026-11-22T00:00:00Z",
	    .range = "10m" });
	assert_int_equal(w.from_ns, NOW - 600 * S);
	w = window(&(struct history_request){ .to = "bad", .range = "1ns" });
	assert_int_equal(w.n, 1);
}

static void
SY_08_steps_are_raised_to_what_makes_sense(void **state)
{
	struct history_window	w;

	(void)state;
	w = window(&(struct history_request){ .step = "1ns" });
	assert_int_equal(w.step_ns, 30 * S);
	w = window(&(struct history_request){ .range = "23h59m59s",
	    .step = "30s" });
	assert_int_equal(w.step_ns, 120 * S);
	assert_int_equal(w.n, 720);
	w = window(&(struct history_request){ .step = "2500h" });
	assert_int_equal(w.n, 1);
	w = window(&(struct history_request){ .range = "5m", .step = "7m" });
	assert_int_equal(w.n, 1);
	w = window(&(struct history_request){ .range = "5m", .step = "2m" });
	assert_int_equal(w.n, 3);
}

static void
SY_08_bad_requests_are_refused(void **state)
{
	static const struct history_request	wrong[] = {
		{ .from = "x", .to = "2026-11-22T00:00:00Z" },
		{ .from = "2026-11-22T00:00:00Z", .to = "tomorrow" },
		{ .from = "2026-11-22T00:00:00Z",
		  .to = "2026-11-22T00:00:00Z" },
		{ .from = "2026-11-22T00:00:01Z",
		  .to = "2026-11-22T00:00:00Z" },
		{ .range = "0s" }, { .range = "-1h" }, { .range = "1" },
		{ .range = "9999999999999h" },
		{ .step = "0s" }, { .step = "-30s" }, { .step = "soon" },
	};
	struct history_window	 w;
	const char		*why;
	size_t			 i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(wrong); i++) {
		why = NULL;
		assert_int_equal(history_window(&w, &wrong[i], NOW, &why),
		    -EINVAL);
		assert_non_null(why);
	}
}

static void
SY_08_buckets_hold_means_and_absent_is_not_zero(void **state)
{
	struct history		h = { 0 };
	struct history_window	w = { (START - 120) * S, START * S, 30 * S,
	    4 };
	double			v[4] = { 1, 0, 100, -1 }, mean[4];

	(void)state;
	history_add_floats(&h, START - 121, v);		/* before */
	history_add_floats(&h, START - 120, v);
	v[0] = 4;
	history_add_floats(&h, START - 91, v);
	v[0] = (double)NAN;
	history_add_floats(&h, START - 90, v);
	v[0] = 7;
	history_add_floats(&h, START - 1, v);
	history_add_floats(&h, START, v);		/* behind */
	history_floats(&h, &w, 0, mean);
	assert_true(mean[0] > 2.49 && mean[0] < 2.51);
	assert_true(isnan(mean[1]) && isnan(mean[2]));
	assert_true(mean[3] > 6.99 && mean[3] < 7.01);
	history_floats(&h, &w, 1, mean);
	assert_false(mean[1] > 0 || mean[1] < 0 || isnan(mean[1]));
	history_floats(&h, &w, 3, mean);
	assert_true(mean[0] < -0.99);
	assert_true(isnan(mean[2]));
	history_finish(&h);
	history_floats(&h, &w, 0, mean);
	assert_true(isnan(mean[0]));
}

static void
numbers_keep_all_their_bits(void **state)
{
	struct history		h = { 0 };
	struct history_window	w = { START * S, (START + 30) * S, 30 * S, 1 };
	uint64_t		v[2] = { UINT64_C(0x1fedcba987654), 3 };
	double			mean[1];

	(void)state;
	history_add_numbers(&h, START, v);
	history_numbers(&h, &w, 0, mean);
	assert_true((uint64_t)mean[0] == v[0]);
	history_numbers(&h, &w, 1, mean);
	assert_int_equal(mean[0], 3);
	history_finish(&h);
}

static void
a_day_is_kept_and_no_more(void **state)
{
	struct history		h = { 0 };
	struct history_window	w = { 0, INT64_C(9999999) * S,
	    INT64_C(9999999) * S, 1 };
	double			v[4] = { 0 }, mean[1];
	size_t			i;

	(void)state;
	for (i = 0; i < 5 * HISTORY_SAMPLES; i++) {
		v[0] = i >= 4 * HISTORY_SAMPLES ? 5 : -100000;
		history_add_floats(&h, (int64_t)i * 30, v);
		assert_true(h.cap <= HISTORY_SAMPLES);
		if (i == 10)
			assert_true(h.cap <= 32);
	}
	assert_int_equal(h.len, HISTORY_SAMPLES);
	history_floats(&h, &w, 0, mean);
	assert_int_equal(mean[0], 5);
	history_finish(&h);
}

static void
means_of_the_last_minutes(void **state)
{
	struct history	h = { 0 };
	double		v[4] = { 0 };
	int		i;

	(void)state;
	assert_true(isnan(history_mean_since(&h, 0, 0)));
	for (i = 0; i < 10; i++) {
		v[0] = i == 9 ? (double)NAN : i;
		history_add_floats(&h, START + i * 30, v);
	}
	/* 7 and 8: the last is not known. */
	assert_true(history_mean_since(&h, START + 180, 0) > 7.49);
	assert_true(history_mean_since(&h, START + 180, 0) < 7.51);
	assert_true(isnan(history_mean_since(&h, START + 300, 0)));
	history_finish(&h);
}

static void
without_memory_the_oldest_go(void **state)
{
	struct history	h = { 0 };
	double		v[4] = { 0 };
	int		i;

	(void)state;
	failmalloc_arm_all(1);
	history_add_floats(&h, START, v);
	assert_true(failmalloc_disarm());
	assert_int_equal(h.len, 0);
	for (i = 0; i < 32; i++)
		history_add_floats(&h, START + i, v);
	failmalloc_arm_all(1);
	history_add_floats(&h, START + 32, v);
	history_add_floats(&h, START + 33, v);
	assert_true(failmalloc_disarm());
	assert_int_equal(h.len, 32);
	/* Memory came back: it grows on, in order. */
	history_add_floats(&h, START + 34, v);
	assert_int_equal(h.len, 33);
	assert_int_equal(h.cap, 64);
	history_finish(&h);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(SY_08_the_default_is_the_last_hour),
		cmocka_unit_test(SY_08_windows_end_now_and_begin_a_day_ago),
		cmocka_unit_test(SY_08_steps_are_raised_to_what_makes_sense),
		cmocka_unit_test(SY_08_bad_requests_are_refused),
		cmocka_unit_test(
		    SY_08_buckets_hold_means_and_absent_is_not_zero),
		cmocka_unit_test(numbers_keep_all_their_bits),
		cmocka_unit_test(a_day_is_kept_and_no_more),
		cmocka_unit_test(means_of_the_last_minutes),
		cmocka_unit_test(without_memory_the_oldest_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
