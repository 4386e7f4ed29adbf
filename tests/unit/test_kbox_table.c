/* kbox_table, kbox_value: widths, order, what is read from an answer. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "applets/kbox_table.h"
#include "base/str.h"

enum { A, B, C, D, N };

static const struct kbox_column columns[N] = {
	[A] = { "ID", "id", 0, 0 },
	[B] = { "WHEN", "when", 0, 1 },
	[C] = { "AGE", "-when", 0, 2 },
	[D] = { "PARAMS", NULL, 6, 0 },
};
static const size_t	natural[N] = { 8, 10, 4, 30 };

static void
expect(size_t width, size_t a, size_t b, size_t c, size_t d)
{
	size_t	w[N];

	kbox_layout(columns, N, natural, width, w);
	assert_int_equal(w[A], a);
	assert_int_equal(w[B], b);
	assert_int_equal(w[C], c);
	assert_int_equal(w[D], d);
}

static void
nothing_is_cut_where_there_is_room(void **state)
{
	(void)state;
	expect(0, 8, 10, 4, 30);
	expect(58, 8, 10, 4, 30);
	expect(1000, 8, 10, 4, 30);
}

static void
the_flexible_column_gives_way_first(void **state)
{
	(void)state;
	expect(57, 8, 10, 4, 29);
	expect(34, 8, 10, 4, 6);
}

static void
then_columns_leave_in_their_order(void **state)
{
	(void)state;
	expect(33, 8, 0, 4, 17);
	expect(22, 8, 0, 4, 6);
	expect(21, 8, 0, 0, 11);
	expect(16, 8, 0, 0, 6);
}

/* Weakness 7.2: the table crashed on a narrow terminal. */
static void
no_terminal_is_too_narrow(void **state)
{
	size_t	width, i, sum, w[N];

	(void)state;
	expect(15, 8, 0, 0, 0);		/* no title without its end */
	expect(8, 8, 0, 0, 0);
	expect(1, 1, 0, 0, 0);
	for (width = 1; width < 70; width++) {
		kbox_layout(columns, N, natural, width, w);
		for (sum = i = 0; i < N; i++)
			if (w[i] > 0)
				sum += w[i] + (sum > 0 ? KBOX_GAP : 0);
		assert_true(sum >= 1 && sum <= width);
	}
}

/* ---- order ---- */

static void
begin(struct kbox *k)
{
	memset(k, 0, sizeof *k);
	arena_init(&k->arena, 1 << 20);
}

static struct value *
parse(struct kbox *k, char *text)
{
	struct kbox_answer	a = { .body = text, .len = strlen(text) };

	return value_parse(k, &a);
}

/* Ids of the rows one behind the other. */
static const char *
order(const char *keys)
{
	static char	ids[16];
	char		json[] = "[{\"id\":\"b\",\"n\":10,\"when\":"
			    "\"2026-01-02T00:00:00Z\"},"
			    "{\"id\":\"a\",\"n\":9,\"when\":"
			    "\"2026-01-02T01:00:00+02:00\"},"
			    "{\"id\":\"c\",\"n\":9,\"when\":"
			    "\"2026-01-03T00:00:00Z\"}]";
	static const struct kbox_column sorted[] = {
		{ "ID", "id", 0, 0 }, { "AGE", "-when", 0, 0 },
		{ "N", "n", 0, 0 },
	};
	struct kbox_table	 t;
	const struct value	*v;
	struct kbox		 k;
	size_t			 i;

	begin(&k);
	kbox_table_init(&t, sorted, ARRAY_LEN(sorted));
	for (v = parse(&k, json)->kids; v != NULL; v = v->next)
		(void)kbox_table_add(&k, &t, v);
	assert_int_equal(kbox_table_sort(&k, &t, keys), 0);
	for (i = 0; i < t.nrows; i++)
		ids[i] = value_text(t.rows[i].value, "id")[0];
	arena_finish(&k.arena);
	return ids;
}

static void
rows_are_sorted_by_text_number_and_time(void **state)
{
	(void)state;
	assert_string_equal(order(""), "bac");
	assert_string_equal(order("id"), "abc");
	assert_string_equal(order("-id"), "cba");
	assert_string_equal(order("when"), "abc");
	assert_string_equal(order("age"), "cba");
	assert_string_equal(order("-AGE"), "abc");
	assert_string_equal(order("n,-id"), "cab");
}

static void
equal_rows_keep_their_order(void **state)
{
	(void)state;
	assert_string_equal(order("n"), "acb");
	assert_string_equal(order("-n"), "bac");
}

static void
an_unknown_field_is_wrong_usage(void **state)
{
	struct kbox_table	t;
	struct kbox		k;

	(void)state;
	begin(&k);
	kbox_table_init(&t, columns, N);
	assert_int_equal(kbox_table_sort(&k, &t, "params"), KBOX_USAGE);
	assert_int_equal(kbox_table_sort(&k, &t, "id,,when"), 0);
	assert_int_equal(kbox_table_sort(&k, &t, "id,id,id,id,id"),
	    KBOX_USAGE);
	arena_finish(&k.arena);
}

/* T25: what stands in a cell cannot leave it. */
static void
T25_cells_are_escaped(void **state)
{
	struct kbox_row	row;
	struct kbox	k;

	(void)state;
	begin(&k);
	kbox_row_set(&k, &row, 0, "a\nb\033[2J\xe2\x80\xae");
	assert_string_equal(row.cells[0], "a\\x0ab\\x1b[2J\\u202e");
	kbox_row_set(&k, &row, 1, "");
	assert_string_equal(row.cells[1], "-");
	arena_finish(&k.arena);
}

static void
members_are_found_by_kind(void **state)
{
	char		 json[] = " {\"s\":\"\\u00e9\",\"n\":-1.5,\"u\":7,"
			    "\"t\":true,\"z\":null,\"l\":[1,{}]} ";
	struct value	*v;
	struct kbox	 k;
	int64_t		 ns;

	(void)state;
	begin(&k);
	v = parse(&k, json);
	assert_string_equal(value_text(v, "s"), "\xc3\xa9");
	assert_string_equal(value_text(v, "z"), "");
	assert_string_equal(value_text(v, "missing"), "");
	assert_true(value_number(v, "n", 0) < -1.4);
	assert_true(value_number(v, "s", 3) > 2.9);
	assert_int_equal(value_count(v, "u"), 7);
	assert_int_equal(value_count(v, "n"), 0);
	assert_true(value_true(v, "t"));
	assert_false(value_time(v, "s", &ns));
	assert_int_equal(value_get(v, "l")->rawlen, 6);
	assert_memory_equal(value_get(v, "l")->raw, "[1,{}]", 6);
	assert_int_equal(value_get(v, "s")->rawlen, 8);
	assert_null(value_get(value_get(v, "l"), "x"));
	assert_null(value_get(NULL, "x"));
	arena_finish(&k.arena);
}

static void
what_is_not_json_is_refused(void **state)
{
	static const char *const bad[] = { "", "{", "[1,", "{} x", "<html>" };
	struct kbox	k;
	size_t		i;

	(void)state;
	begin(&k);
	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_null(parse(&k, kbox_printf(&k, "%s", bad[i])));
	arena_finish(&k.arena);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(nothing_is_cut_where_there_is_room),
		cmocka_unit_test(the_flexible_column_gives_way_first),
		cmocka_unit_test(then_columns_leave_in_their_order),
		cmocka_unit_test(no_terminal_is_too_narrow),
		cmocka_unit_test(rows_are_sorted_by_text_number_and_time),
		cmocka_unit_test(equal_rows_keep_their_order),
		cmocka_unit_test(an_unknown_field_is_wrong_usage),
		cmocka_unit_test(T25_cells_are_escaped),
		cmocka_unit_test(members_are_found_by_kind),
		cmocka_unit_test(what_is_not_json_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
