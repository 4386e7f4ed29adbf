/*
 * failmalloc - an allocator that fails on demand.
 *
 * Every unit test is linked with malloc, calloc, realloc, reallocarray, strdup
 * and strndup wrapped; allocations made inside shared libraries are not seen.
 * The usual walk, which ends when the code under test needs fewer than n:
 *
 *	for (n = 1; ; n++) {
 *		failmalloc_arm(n);
 *		r = thing_under_test();
 *		if (!failmalloc_disarm())
 *			break;			(r must be success here)
 *		assert_int_equal(r, -ENOMEM);
 *	}
 */
#ifndef TESTS_UNIT_FAILMALLOC_H
#define TESTS_UNIT_FAILMALLOC_H

#include <stdbool.h>

/* The n-th allocation from now fails, once; n >= 1. */
void	failmalloc_arm(unsigned n);

/* As above, and every later one fails too, until disarmed. */
void	failmalloc_arm_all(unsigned n);

/* Back to normal.  True if an allocation was made to fail since arming. */
bool	failmalloc_disarm(void);

/* Allocations seen since the last arm. */
unsigned	failmalloc_count(void);

#endif
