#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/failmalloc.h"

static void
x_functions_return_memory(void **state)
{
	char	*s, *t;
	int	*v;

	(void)state;
	s = xasprintf("%d-%s", 7, "x");
	assert_string_equal(s, "7-x");
	t = xstrdup(s);
	assert_string_equal(t, s);
	v = xcalloc(3, sizeof *v);
	assert_int_equal(v[2], 0);
	v = xrealloc(v, 100);
	assert_int_equal(v[0], 0);
	free(s);
	free(t);
	free(v);
	s = xmalloc(0);
	assert_non_null(s);
	s = xrealloc(s, 0);
	assert_non_null(s);
	free(s);
	s = xcalloc(0, 8);
	assert_non_null(s);
	free(s);
}

static void
x_functions_end_the_program_with_one_line(void **state)
{
	char	text[100];
	int	fd[2], status;
	ssize_t	n;
	pid_t	pid;

	(void)state;
	assert_int_equal(pipe(fd), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fd[1], 2);
		failmalloc_arm_all(1);
		free(xmalloc(1));
		_exit(0);
	}
	close(fd[1]);
	n = read(fd[0], text, sizeof text);
	close(fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_true(n > 1);
	assert_ptr_equal(memchr(text, '\n', (size_t)n), text + n - 1);
}

static void
arena_memory_is_aligned_and_separate(void **state)
{
	struct arena	 a;
	unsigned char	*p[200];
	size_t		 i, k;

	(void)state;
	arena_init(&a, 1 << 20);
	for (i = 0; i < 200; i++) {
		p[i] = arena_alloc(&a, i * 7);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % _Alignof(max_align_t), 0);
		memset(p[i], (int)i, i * 7);
	}
	for (i = 0; i < 200; i++)
		for (k = 0; k < i * 7; k++)
			assert_int_equal(p[i][k], i);
	arena_finish(&a);
	assert_null(a.blocks);
}

static void
arena_stops_at_its_limit(void **state)
{
	struct arena	 a;

	(void)state;
	arena_init(&a, 64);
	assert_null(arena_alloc(&a, 65));
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_alloc(&a, SIZE_MAX - 40));
	assert_non_null(arena_alloc(&a, 48));
	assert_null(arena_alloc(&a, 17));
	assert_non_null(arena_alloc(&a, 16));
	assert_null(arena_alloc(&a, 0));
	assert_int_equal(a.total, 64);
	arena_reset(&a);
	assert_int_equal(a.total, 0);
	assert_non_null(arena_alloc(&a, 64));
	arena_finish(&a);
	arena_init(&a, 0);
	assert_null(arena_alloc(&a, 0));
	arena_finish(&a);
}

/* One round of a message stream; how often malloc was called. */
static unsigned
round_of(struct arena *a, size_t n)
{
	void	*p, *q;

	failmalloc_arm(1000000);
	p = arena_alloc(a, 100);
	q = arena_alloc(a, n);
	(void)failmalloc_disarm();
	assert_non_null(p);
	assert_non_null(q);
	memset(q, 'x', n);
	arena_reset(a);
	return failmalloc_count();
}

static void
steady_stream_costs_no_malloc(void **state)
{
	static const size_t	sizes[] = { 1, 3000, 16384, 32768, 65536 };
	struct arena		a;
	size_t			i;
	int			k;

	(void)state;
	for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		arena_init(&a, 1 << 22);
		(void)round_of(&a, sizes[i]);
		for (k = 0; k < 5; k++)
			assert_int_equal(round_of(&a, sizes[i]), 0);
		arena_finish(&a);
	}
}

static size_t
kept(const struct arena *a)
{
	struct arena	probe = *a;
	size_t		n = 0;

	/* What fits without a new block is what was kept. */
	failmalloc_arm_all(1);
	while (arena_alloc(&probe, 16) != NULL)
		n += 16;
	(void)failmalloc_disarm();
	return n;
}

static void
big_memory_does_not_stay(void **state)
{
	struct arena	a;

	(void)state;
	arena_init(&a, 1 << 22);
	(void)round_of(&a, 1 << 20);
	assert_true(kept(&a) <= 128 * 1024);
	(void)round_of(&a, 65536);
	assert_int_equal(kept(&a), 128 * 1024);
	(void)round_of(&a, 10);		/* keystrokes again */
	(void)round_of(&a, 10);
	assert_int_equal(kept(&a), 4096);
	arena_finish(&a);
}

static void
arena_survives_every_failing_allocation(void **state)
{
	struct arena	 a;
	unsigned	 n;
	void		*p;
	size_t		 i;

	(void)state;
	for (n = 1; n < 100; n++) {
		arena_init(&a, 1 << 20);
		failmalloc_arm(n);
		for (i = 0, p = &a; p != NULL && i < 100; i++)
			if ((p = arena_alloc(&a, 1000)) != NULL)
				memset(p, 1, 1000);
		if (!failmalloc_disarm())
			break;
		assert_null(p);
		assert_non_null(arena_alloc(&a, 1000));
		arena_finish(&a);
	}
	assert_non_null(p);
	assert_true(n > 2);
	arena_finish(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(x_functions_return_memory),
		cmocka_unit_test(x_functions_end_the_program_with_one_line),
		cmocka_unit_test(arena_memory_is_aligned_and_separate),
		cmocka_unit_test(arena_stops_at_its_limit),
		cmocka_unit_test(steady_stream_costs_no_malloc),
		cmocka_unit_test(big_memory_does_not_stay),
		cmocka_unit_test(arena_survives_every_failing_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
