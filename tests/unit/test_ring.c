#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/ring.h"
#include "tests/unit/failmalloc.h"

static void
check_content(const struct ring *r, const char *want)
{
	char			 got[64];
	struct ring_span	 span[2];
	size_t			 n = strlen(want), off, at;
	int			 i, spans;

	assert_int_equal(ring_len(r), n);
	for (off = 0; off <= n; off++) {
		assert_int_equal(ring_copy(r, off, got, sizeof got), n - off);
		assert_memory_equal(got, want + off, n - off);
		spans = ring_peek(r, off, span);
		for (i = 0, at = off; i < spans; at += span[i++].n) {
			assert_true(span[i].n > 0);
			assert_memory_equal(span[i].p, want + at, span[i].n);
		}
		assert_int_equal(at, n);
	}
	assert_int_equal(ring_copy(r, n + 1, got, sizeof got), 0);
}

static void
empty_ring_has_no_spans(void **state)
{
	struct ring	 r;

	(void)state;
	ring_init(&r, 10);
	check_content(&r, "");
	ring_put(&r, NULL, 0);
	check_content(&r, "");
	assert_null(r.mem);
	ring_finish(&r);
}

static void
oldest_bytes_are_overwritten(void **state)
{
	struct ring	 r;

	(void)state;
	ring_init(&r, 8);
	ring_put(&r, "abcdefg", 7);
	check_content(&r, "abcdefg");
	ring_put(&r, "h", 1);
	check_content(&r, "abcdefgh");
	ring_put(&r, "i", 1);
	check_content(&r, "bcdefghi");
	ring_put(&r, "jklmn", 5);
	check_content(&r, "ghijklmn");
	ring_put(&r, "01234567", 8);
	check_content(&r, "01234567");
	ring_put(&r, "abcdefghijklmnopqrst", 20);
	check_content(&r, "mnopqrst");
	ring_finish(&r);
	check_content(&r, "");
	ring_put(&r, "again", 5);
	check_content(&r, "again");
	ring_finish(&r);
}

/* Against the plain model: the last max bytes of everything put. */
static void
every_put_size_matches_the_model(void **state)
{
	static const char	text[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	struct ring		 r;
	char			 all[4096], want[32];
	size_t			 max, n, k, total, keep;

	(void)state;
	for (max = 1; max <= 20; max++)
		for (n = 1; n <= 30; n++) {
			ring_init(&r, max);
			for (k = total = 0; k < 40; k++) {
				memcpy(all + total, text + k % 5, n);
				ring_put(&r, text + k % 5, n);
				total += n;
				keep = total < max ? total : max;
				memcpy(want, all + total - keep, keep);
				want[keep] = '\0';
				check_content(&r, want);
			}
			ring_finish(&r);
		}
}

static void
copy_stops_at_the_room_given(void **state)
{
	struct ring	 r;
	char		 got[8] = "-------";

	(void)state;
	ring_init(&r, 5);
	ring_put(&r, "abcdefg", 7);
	assert_int_equal(ring_copy(&r, 1, got, 3), 3);
	assert_string_equal(got, "def----");
	assert_int_equal(ring_copy(&r, 0, got, 0), 0);
	ring_finish(&r);
}

static void
memory_is_taken_as_bytes_come(void **state)
{
	struct ring	 r;
	char		 chunk[1000];
	size_t		 i, max = 256 * 1024;

	(void)state;
	memset(chunk, 'x', sizeof chunk);
	ring_init(&r, max);
	assert_null(r.mem);
	ring_put(&r, chunk, 1);
	assert_true(r.cap <= 4096);
	for (i = 0; i < 400; i++) {
		ring_put(&r, chunk, sizeof chunk);
		assert_true(r.cap <= max);
		assert_true(r.cap <= 4096 || r.cap <= 2 * r.len);
	}
	assert_int_equal(ring_len(&r), max);
	assert_int_equal(r.cap, max);
	ring_finish(&r);
}

static void
without_memory_the_history_stays_short(void **state)
{
	struct ring	 r;
	char		 big[5000], got[5000];

	(void)state;
	memset(big, 'b', sizeof big);
	ring_init(&r, 8192);
	failmalloc_arm(1);
	ring_put(&r, "abc", 3);
	assert_true(failmalloc_disarm());
	assert_int_equal(ring_len(&r), 0);
	ring_put(&r, "abc", 3);
	failmalloc_arm(1);
	ring_put(&r, big, sizeof big);
	assert_true(failmalloc_disarm());
	assert_int_equal(ring_len(&r), 4096);
	failmalloc_arm(1);
	ring_put(&r, "end", 3);
	assert_true(failmalloc_disarm());
	assert_int_equal(ring_copy(&r, 4093, got, sizeof got), 3);
	assert_memory_equal(got, "end", 3);
	ring_put(&r, big, sizeof big);
	assert_int_equal(ring_len(&r), 8192);
	ring_finish(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_ring_has_no_spans),
		cmocka_unit_test(oldest_bytes_are_overwritten),
		cmocka_unit_test(every_put_size_matches_the_model),
		cmocka_unit_test(copy_stops_at_the_room_given),
		cmocka_unit_test(memory_is_taken_as_bytes_come),
		cmocka_unit_test(without_memory_the_history_stays_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
