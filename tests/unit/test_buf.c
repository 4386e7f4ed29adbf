#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "tests/unit/failmalloc.h"

static void
put_at_limit_fails_and_keeps_bytes(void **state)
{
	struct buf	b;
	uint32_t	v = 7;

	(void)state;
	buf_init(&b, 6);
	assert_int_equal(buf_put(&b, "\0\0\1\2", 4), 0);
	assert_int_equal(buf_put(&b, "xyz", 3), -ENOBUFS);
	assert_int_equal(buf_room(&b), 2);
	assert_int_equal(buf_put(&b, "xy", 2), 0);
	assert_int_equal(buf_put_u8(&b, 1), -ENOBUFS);
	assert_int_equal(buf_put(&b, NULL, 0), 0);
	assert_int_equal(buf_get_u32(&b, &v), 0);
	assert_int_equal(v, 0x102);
	assert_int_equal(buf_get_u32(&b, &v), -EAGAIN);
	assert_int_equal(v, 0x102);
	assert_int_equal(b.len, 2);
	buf_finish(&b);
}

static void
limit_of_zero_takes_nothing(void **state)
{
	struct buf	 b;
	uint8_t		*p = (uint8_t *)&b;

	(void)state;
	buf_init(&b, 0);
	assert_int_equal(buf_put(&b, "x", 1), -ENOBUFS);
	assert_int_equal(buf_put(&b, "x", 0), 0);
	assert_int_equal(buf_reserve(&b, 0, &p), 0);
	assert_null(p);
	buf_commit(&b, 0);
	buf_drain(&b, 0);
	assert_int_equal(buf_get(&b, NULL, 0), 0);
	assert_null(buf_head(&b));
	assert_null(b.mem);
	buf_finish(&b);
}

static void
no_limit_does_not_overflow(void **state)
{
	struct buf	 b;
	uint8_t		*p = NULL;

	(void)state;
	buf_init(&b, SIZE_MAX);
	assert_int_equal(buf_put(&b, "abc", 3), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX, &p), -ENOBUFS);
	assert_int_equal(buf_reserve(&b, SIZE_MAX - 3, &p), -ENOMEM);
	assert_null(p);
	assert_memory_equal(buf_head(&b), "abc", 3);
	buf_finish(&b);
}

static void
drained_space_is_reused(void **state)
{
	struct buf	b;
	int		i;

	(void)state;
	buf_init(&b, 64);
	for (i = 0; i < 1000; i++) {
		assert_int_equal(buf_put(&b, "0123456789abcdef0123456789",
		    26), 0);
		buf_drain(&b, 26);
		assert_int_equal(b.off, 0);
	}
	assert_true(b.cap <= 64);
	buf_finish(&b);
}

/* Bytes in and out in all step sizes: order and count have to survive. */
static void
queue_keeps_order_in_every_step_size(void **state)
{
	struct buf	b;
	uint8_t		w[16], in, out;
	unsigned	put, get, i, k;

	(void)state;
	for (put = 1; put <= 16; put++)
		for (get = 1; get <= 16; get++) {
			buf_init(&b, 600);
			in = out = 0;
			for (k = 0; k < 200; k++) {
				for (i = 0; i < put; i++)
					w[i] = in++;
				if (buf_put(&b, w, put) < 0)
					in = (uint8_t)(in - put);
				if (buf_get(&b, w, get) < 0)
					continue;
				for (i = 0; i < get; i++)
					assert_int_equal(w[i], out++);
			}
			assert_int_equal((uint8_t)b.len, (uint8_t)(in - out));
			assert_true(b.cap <= 600);
			buf_finish(&b);
		}
}

static void
memory_follows_the_bytes_not_the_limit(void **state)
{
	struct buf	b;

	(void)state;
	buf_init(&b, 1 << 20);
	assert_null(b.mem);
	assert_int_equal(buf_put(&b, "x", 1), 0);
	assert_true(b.cap <= 4096);
	buf_trim(&b);
	assert_non_null(b.mem);
	buf_drain(&b, 1);
	assert_non_null(b.mem);
	buf_trim(&b);
	assert_null(b.mem);
	assert_int_equal(b.cap, 0);
	assert_int_equal(b.max, 1 << 20);
	assert_int_equal(buf_put(&b, "y", 1), 0);
	buf_finish(&b);
	assert_int_equal(buf_room(&b), 1 << 20);
}

static void
growth_leaves_drained_bytes_behind(void **state)
{
	struct buf	b;
	char		big[4096];

	(void)state;
	memset(big, 'b', sizeof big);
	buf_init(&b, 1 << 20);
	assert_int_equal(buf_put(&b, big, sizeof big), 0);
	buf_drain(&b, sizeof big - 10);
	assert_int_equal(buf_put(&b, big, sizeof big), 0);
	assert_int_equal(b.len, sizeof big + 10);
	assert_int_equal(b.off, 0);
	assert_true(b.cap <= 4 * sizeof big);
	buf_finish(&b);
}

/* Else each small put would move the whole queue. */
static void
queue_that_stays_full_grows(void **state)
{
	struct buf	b;
	char		big[250];

	(void)state;
	memset(big, 'b', sizeof big);
	buf_init(&b, 600);
	assert_int_equal(buf_put(&b, big, sizeof big), 0);
	buf_drain(&b, 10);
	assert_int_equal(buf_put(&b, big, 10), 0);
	assert_true(b.cap >= 2 * sizeof big);
	buf_finish(&b);
}

static void
reserve_counts_only_what_is_committed(void **state)
{
	struct buf	 b;
	uint8_t		*p;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(buf_put(&b, "ab", 2), 0);
	assert_int_equal(buf_reserve(&b, 99, &p), -ENOBUFS);
	assert_int_equal(buf_reserve(&b, 98, &p), 0);
	memset(p, 'c', 98);
	assert_int_equal(b.len, 2);
	buf_commit(&b, 3);
	assert_int_equal(b.len, 5);
	assert_memory_equal(buf_head(&b), "abccc", 5);
	buf_clear(&b);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_reserve(&b, 100, &p), 0);
	buf_commit(&b, 100);
	assert_int_equal(buf_room(&b), 0);
	buf_finish(&b);
}

static void
integers_are_big_endian(void **state)
{
	static const uint8_t	wire[] = {
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
		11, 12, 13, 14, 15, 16, 17, 0xff
	};
	struct buf	b;
	uint64_t	v64;
	uint32_t	v32, v24;
	uint16_t	v16;
	uint8_t		v8;

	(void)state;
	buf_init(&b, sizeof wire);
	assert_int_equal(buf_put_u8(&b, 1), 0);
	assert_int_equal(buf_put_u16(&b, 0x0203), 0);
	assert_int_equal(buf_put_u24(&b, 0x040506), 0);
	assert_int_equal(buf_put_u32(&b, 0x0708090a), 0);
	assert_int_equal(buf_put_u64(&b, 0x0b0c0d0e0f1011ff), 0);
	assert_int_equal(b.len, 18);
	assert_memory_equal(buf_head(&b), wire, 16);
	assert_int_equal(buf_get_u8(&b, &v8), 0);
	assert_int_equal(buf_get_u16(&b, &v16), 0);
	assert_int_equal(buf_get_u24(&b, &v24), 0);
	assert_int_equal(buf_get_u32(&b, &v32), 0);
	assert_int_equal(buf_get_u64(&b, &v64), 0);
	assert_int_equal(v8, 1);
	assert_int_equal(v16, 0x0203);
	assert_int_equal(v24, 0x040506);
	assert_int_equal(v32, 0x0708090a);
	assert_true(v64 == 0x0b0c0d0e0f1011ff);
	buf_finish(&b);
}

static void
integers_survive_their_extremes(void **state)
{
	uint8_t	w[8];

	(void)state;
	be16_write(w, 0xffff);
	assert_int_equal(be16_read(w), 0xffff);
	be24_write(w, 0xffffff);
	assert_int_equal(be24_read(w), 0xffffff);
	be32_write(w, 0x80000001);
	assert_int_equal(be32_read(w), 0x80000001);
	be64_write(w, UINT64_C(0x8000000000000001));
	assert_true(be64_read(w) == UINT64_C(0x8000000000000001));
	be64_write(w, 0);
	assert_true(be64_read(w) == 0);
}

static void
short_get_takes_nothing(void **state)
{
	struct buf	b;
	uint64_t	v64;
	uint32_t	v32;
	uint16_t	v16;
	uint8_t		v8;
	size_t		n;

	(void)state;
	buf_init(&b, 64);
	assert_int_equal(buf_get_u8(&b, &v8), -EAGAIN);
	for (n = 1; n < 8; n++) {
		assert_int_equal(buf_put_u8(&b, (uint8_t)n), 0);
		assert_int_equal(buf_get_u64(&b, &v64), -EAGAIN);
		if (n < 2)
			assert_int_equal(buf_get_u16(&b, &v16), -EAGAIN);
		if (n < 3)
			assert_int_equal(buf_get_u24(&b, &v32), -EAGAIN);
		if (n < 4)
			assert_int_equal(buf_get_u32(&b, &v32), -EAGAIN);
		assert_int_equal(b.len, n);
	}
	buf_finish(&b);
}

static void
move_takes_what_fits(void **state)
{
	struct buf	a, b;
	size_t		moved = 99;

	(void)state;
	buf_init(&a, 100);
	buf_init(&b, 5);
	assert_int_equal(buf_move(&b, &a, 10, &moved), 0);
	assert_int_equal(moved, 0);
	assert_int_equal(buf_put(&a, "abcdefgh", 8), 0);
	assert_int_equal(buf_move(&b, &a, 2, &moved), 0);
	assert_int_equal(moved, 2);
	assert_int_equal(buf_move(&b, &a, SIZE_MAX, &moved), 0);
	assert_int_equal(moved, 3);
	assert_int_equal(buf_move(&b, &a, SIZE_MAX, &moved), 0);
	assert_int_equal(moved, 0);
	assert_memory_equal(buf_head(&b), "abcde", 5);
	assert_memory_equal(buf_head(&a), "fgh", 3);
	assert_int_equal(a.len, 3);
	buf_finish(&a);
	buf_finish(&b);
}

static void
moving_everything_copies_nothing(void **state)
{
	struct buf	a, b;
	uint8_t		*mem;
	size_t		moved;

	(void)state;
	buf_init(&a, 1000);
	buf_init(&b, 2000);
	assert_int_equal(buf_put(&a, "xabc", 4), 0);
	buf_drain(&a, 1);
	mem = a.mem;
	failmalloc_arm(1);
	assert_int_equal(buf_move(&b, &a, SIZE_MAX, &moved), 0);
	assert_false(failmalloc_disarm());
	assert_int_equal(moved, 3);
	assert_ptr_equal(b.mem, mem);
	assert_memory_equal(buf_head(&b), "abc", 3);
	assert_int_equal(a.len, 0);
	assert_int_equal(a.max, 1000);
	assert_int_equal(b.max, 2000);
	buf_finish(&a);
	buf_finish(&b);
}

/* A swap must not hand a small queue more memory than its limit. */
static void
moved_memory_respects_the_limit(void **state)
{
	struct buf	a, b;
	char		big[2000];

	(void)state;
	memset(big, 'x', sizeof big);
	buf_init(&a, 4000);
	buf_init(&b, 300);
	assert_int_equal(buf_put(&a, big, sizeof big), 0);
	buf_drain(&a, 1990);
	assert_int_equal(buf_move(&b, &a, SIZE_MAX, NULL), 0);
	assert_int_equal(b.len, 10);
	assert_true(b.cap <= 300);
	assert_true(a.cap > 300);
	assert_int_equal(buf_move(&a, &b, SIZE_MAX, NULL), 0);
	assert_int_equal(a.len, 10);
	assert_true(b.cap <= 300);
	buf_finish(&a);
	buf_finish(&b);
}

static void
wipe_frees_and_keeps_the_limit(void **state)
{
	struct buf	b;

	(void)state;
	buf_init(&b, 50);
	buf_wipe(&b);
	assert_int_equal(buf_put(&b, "secret", 6), 0);
	buf_wipe(&b);
	assert_null(b.mem);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_put(&b, "again", 5), 0);
	buf_finish(&b);
}

static void
failed_allocation_changes_nothing(void **state)
{
	struct buf	 a, b;
	char		 big[1000];
	uint8_t		*p = NULL;
	size_t		 moved = 5;

	(void)state;
	memset(big, 'x', sizeof big);
	buf_init(&a, 10000);
	buf_init(&b, 10000);
	failmalloc_arm(1);
	assert_int_equal(buf_put(&a, "abc", 3), -ENOMEM);
	assert_true(failmalloc_disarm());
	assert_int_equal(a.len, 0);
	assert_int_equal(buf_put(&a, "abc", 3), 0);
	failmalloc_arm(1);			/* grows by realloc */
	assert_int_equal(buf_put(&a, big, sizeof big), -ENOMEM);
	assert_true(failmalloc_disarm());
	buf_drain(&a, 1);
	failmalloc_arm(1);			/* grows by malloc */
	assert_int_equal(buf_reserve(&a, sizeof big, &p), -ENOMEM);
	assert_true(failmalloc_disarm());
	assert_null(p);
	failmalloc_arm(1);
	assert_int_equal(buf_move(&b, &a, 1, &moved), -ENOMEM);
	assert_true(failmalloc_disarm());
	assert_int_equal(moved, 5);
	assert_int_equal(a.len, 2);
	assert_memory_equal(buf_head(&a), "bc", 2);
	assert_int_equal(b.len, 0);
	buf_finish(&a);
	buf_finish(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_at_limit_fails_and_keeps_bytes),
		cmocka_unit_test(limit_of_zero_takes_nothing),
		cmocka_unit_test(no_limit_does_not_overflow),
		cmocka_unit_test(drained_space_is_reused),
		cmocka_unit_test(queue_keeps_order_in_every_step_size),
		cmocka_unit_test(memory_follows_the_bytes_not_the_limit),
		cmocka_unit_test(growth_leaves_drained_bytes_behind),
		cmocka_unit_test(queue_that_stays_full_grows),
		cmocka_unit_test(reserve_counts_only_what_is_committed),
		cmocka_unit_test(integers_are_big_endian),
		cmocka_unit_test(integers_survive_their_extremes),
		cmocka_unit_test(short_get_takes_nothing),
		cmocka_unit_test(move_takes_what_fits),
		cmocka_unit_test(moving_everything_copies_nothing),
		cmocka_unit_test(moved_memory_respects_the_limit),
		cmocka_unit_test(wipe_frees_and_keeps_the_limit),
		cmocka_unit_test(failed_allocation_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
