#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/failmalloc.h"

static void
only_the_nth_allocation_fails(void **state)
{
	void	*a, *b, *c;

	(void)state;
	failmalloc_arm(2);
	a = malloc(1);
	b = calloc(1, 1);
	c = strdup("x");
	assert_true(failmalloc_disarm());
	assert_int_equal(failmalloc_count(), 3);
	assert_non_null(a);
	assert_null(b);
	assert_non_null(c);
	free(a);
	free(b);
	free(c);
}

static void
arm_all_fails_from_the_nth_on(void **state)
{
	void	*a, *b, *c;

	(void)state;
	failmalloc_arm_all(2);
	a = malloc(1);
	b = malloc(1);
	c = realloc(NULL, 1);
	assert_true(failmalloc_disarm());
	assert_non_null(a);
	assert_null(b);
	assert_null(c);
	free(a);
	free(b);
	free(c);
}

static void
disarm_says_when_nothing_failed(void **state)
{
	void	*a;

	(void)state;
	failmalloc_arm(2);
	a = malloc(1);
	assert_false(failmalloc_disarm());
	free(a);
	a = malloc(1);
	assert_non_null(a);
	free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_nth_allocation_fails),
		cmocka_unit_test(arm_all_fails_from_the_nth_on),
		cmocka_unit_test(disarm_says_when_nothing_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
