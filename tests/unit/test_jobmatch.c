#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "workspace/jobmatch.h"

static size_t
cost(const char *regex)
{
	const char	*why = NULL;
	size_t		 n = jobmatch_cost(regex, &why);

	assert_true((n == 0) == (why != NULL));
	return n;
}

/* The line that was found in text fed in pieces of step bytes, or NULL. */
static char *
feed(struct jobmatch *m, const char *text, size_t step)
{
	struct jobmatch_found	f;
	size_t			i, n = strlen(text), len;

	for (i = 0; i < n; i += len) {
		len = n - i < step ? n - i : step;
		if (jobmatch_feed(m, 0, text + i, len, &f))
			return strdup(f.line);
	}
	return jobmatch_rest(m, 0, &f) ? strdup(f.line) : NULL;
}

static void
check(const char *what, bool regex, const char *text, const char *line)
{
	struct jobmatch	 m;
	const char	*why;
	char		*found;
	size_t		 step;

	for (step = 1; step < 20; step++) {
		assert_int_equal(jobmatch_init(&m, what, regex, &why), 0);
		found = feed(&m, text, step);
		if (line == NULL)
			assert_null(found);
		else
			assert_string_equal(found, line);
		free(found);
		jobmatch_finish(&m);
	}
}

static void
a_text_is_found_in_its_line_however_it_comes(void **state)
{
	(void)state;
	check("ready", false, "no\nserver ready now\nyes\n",
	    "server ready now");
	check("ready", false, "rea\ndy\n", NULL);
	check("ready", false, "no end: ready", "no end: ready");
	check("ready", false, "ready\r\n", "ready");
	check(".*", false, "abc\n", NULL);
}

static void
an_expression_is_found_line_by_line(void **state)
{
	(void)state;
	check("^port [0-9]+$", true, "x port 1\nport 80a\nport 80\n",
	    "port 80");
	check("a|b", true, "x\nb\n", "b");
	check("^$", true, "x\n\ny\n", "");
	check("x{3}", true, "xx\nxxx", "xxx");
}

static void
an_expression_sees_characters(void **state)
{
	(void)state;
	check("^.$", true, "ab\n\xc3\xa9\n", "\xc3\xa9");
	check("x\xc3\xa9+y", true, "x\xc3\xa9\xc3\xa9y\n",
	    "x\xc3\xa9\xc3\xa9y");
	check("a.b", true, "a\xff" "b\n", "a\xef\xbf\xbd" "b");
}

static void
groups_are_where_they_were_found(void **state)
{
	struct jobmatch		m;
	struct jobmatch_found	f;
	const char		*why;

	(void)state;
	assert_int_equal(jobmatch_init(&m, "(a)(b)?(c)", true, &why), 0);
	assert_true(jobmatch_feed(&m, 1, "xac\nmore", 8, &f));
	assert_int_equal(f.ngroups, 3);
	assert_true(f.group[0].rm_so == 1 && f.group[0].rm_eo == 2);
	assert_int_equal(f.group[1].rm_so, -1);
	assert_true(f.group[2].rm_so == 2 && f.group[2].rm_eo == 3);
	jobmatch_finish(&m);
}

static void
streams_have_lines_of_their_own(void **state)
{
	struct jobmatch		m;
	struct jobmatch_found	f;
	const char		*why;

	(void)state;
	assert_int_equal(jobmatch_init(&m, "ready", false, &why), 0);
	assert_false(jobmatch_feed(&m, 0, "rea", 3, &f));
	assert_false(jobmatch_feed(&m, 1, "dy\n", 3, &f));
	assert_true(jobmatch_pending(&m));
	assert_false(jobmatch_rest(&m, 0, &f));
	assert_true(jobmatch_feed(&m, 0, "dy\n", 3, &f));
	jobmatch_finish(&m);
}

static void
an_endless_line_is_looked_at_in_pieces(void **state)
{
	static char		text[3 * JOBMATCH_LINE_MAX];
	struct jobmatch		m;
	struct jobmatch_found	f;
	const char		*why;

	(void)state;
	memset(text, 'x', sizeof text);
	memcpy(text + 2 * JOBMATCH_LINE_MAX + 10, "here", 4);
	assert_int_equal(jobmatch_init(&m, "here", false, &why), 0);
	assert_true(jobmatch_feed(&m, 0, text, sizeof text, &f));
	assert_int_equal(strlen(f.line), JOBMATCH_LINE_MAX);
	jobmatch_finish(&m);
}

static void
what_is_looked_for_has_its_limits(void **state)
{
	char		text[JOBMATCH_TEXT_MAX + 2];
	struct jobmatch	m;
	const char	*why = NULL;

	(void)state;
	memset(text, 'x', sizeof text);
	text[JOBMATCH_TEXT_MAX + 1] = '\0';
	assert_int_equal(jobmatch_init(&m, text, false, &why), -EINVAL);
	assert_non_null(why);
	text[JOBMATCH_TEXT_MAX] = '\0';
	assert_int_equal(jobmatch_init(&m, text, false, &why), 0);
	jobmatch_finish(&m);
	assert_int_equal(jobmatch_init(&m, "", false, &why), -EINVAL);
	assert_int_equal(jobmatch_init(&m, "a)", true, &why), -EINVAL);
	assert_int_equal(jobmatch_init(&m, "(a", true, &why), -EINVAL);
	assert_int_equal(jobmatch_init(&m, "[a", true, &why), -EINVAL);
}

static void
expressions_that_would_cost_too_much_are_refused(void **state)
{
	char	nested[256] = "";
	size_t	i;

	(void)state;
	assert_true(cost("a") > 0 && cost("^a.*b[]x]c$") > 0);
	assert_true(cost("(a|b)+(c{2,3})?") > 0);
	assert_true(cost("[[:alpha:]]+[^]]") > 0);
	assert_int_equal(cost("(a)\\1"), 0);
	assert_int_equal(cost("a\\"), 0);
	assert_int_equal(cost("a{255}{255}"), 0);
	assert_int_equal(cost("((a{100}){100}){100}"), 0);
	assert_int_equal(cost("a{1000000}"), 0);
	assert_int_equal(cost("a{"), 0);
	assert_int_equal(cost("a{2,"), 0);
	assert_int_equal(cost("(a"), 0);
	assert_int_equal(cost("[a"), 0);
	assert_int_equal(cost("[[:alpha:"), 0);
	for (i = 0; i < 20; i++)
		nested[i] = '(';
	for (; i < 21; i++)
		nested[i] = 'a';
	for (; i < 61; i += 2)
		memcpy(nested + i, ")+", 2);
	assert_int_equal(cost(nested), 0);
	for (i = 0; i < 100; i++)
		nested[i] = '(';
	assert_int_equal(cost(nested), 0);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(a_text_is_found_in_its_line_however_it_comes),
		cmocka_unit_test(an_expression_is_found_line_by_line),
		cmocka_unit_test(an_expression_sees_characters),
		cmocka_unit_test(groups_are_where_they_were_found),
		cmocka_unit_test(streams_have_lines_of_their_own),
		cmocka_unit_test(an_endless_line_is_looked_at_in_pieces),
		cmocka_unit_test(what_is_looked_for_has_its_limits),
		cmocka_unit_test(
		    expressions_that_would_cost_too_much_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
