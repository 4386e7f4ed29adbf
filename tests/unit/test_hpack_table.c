#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/hpack_table.h"

/* What hpack_find() has to say of a table without dynamic entries: the first
 * row that matches whole, or else the first of that name. */
static size_t
find_slowly(const struct hpack_table *t, const struct hpack_field *f,
    bool *whole)
{
	struct hpack_field	row;
	size_t			i, name = 0;

	*whole = false;
	for (i = 1; hpack_lookup(t, i, &row); i++) {
		if (row.name_len != f->name_len ||
		    memcmp(row.name, f->name, f->name_len) != 0)
			continue;
		if (name == 0)
			name = i;
		if (row.value_len == f->value_len &&
		    memcmp(row.value, f->value, f->value_len) == 0) {
			*whole = true;
			return i;
		}
	}
	return name;
}

static size_t
check(const struct hpack_table *t, const struct hpack_field *f, bool *whole)
{
	size_t	want, got;
	bool	want_whole;

	want = find_slowly(t, f, &want_whole);
	got = hpack_find(t, f, whole);
	assert_int_equal(got, want);
	assert_int_equal(*whole, want_whole);
	return got;
}

static void
every_static_row_is_found(void **state)
{
	struct hpack_table	t;
	struct hpack_field	f;
	size_t			i;
	bool			whole;

	(void)state;
	hpack_table_init(&t, HPACK_TABLE_DEFAULT);
	for (i = 1; i <= HPACK_STATIC_COUNT; i++) {
		assert_true(hpack_lookup(&t, i, &f));
		assert_int_equal(check(&t, &f, &whole), i);
		assert_true(whole);
		f.value = "another";
		f.value_len = 7;
		assert_in_range(check(&t, &f, &whole), 1, i);
		assert_false(whole);
	}
	assert_false(hpack_lookup(&t, i, &f));
	hpack_table_finish(&t);
}

/* Every row's name with one byte changed, added or left out. */
static void
near_misses_are_not_found(void **state)
{
	struct hpack_table	t;
	struct hpack_field	row, f;
	char			name[64];
	size_t			i, at;
	unsigned		c;
	bool			whole;

	(void)state;
	hpack_table_init(&t, HPACK_TABLE_DEFAULT);
	for (i = 1; hpack_lookup(&t, i, &row); i++) {
		f = row;
		f.name = name;
		assert_true(row.name_len + 1 < sizeof name);
		for (at = 0; at <= row.name_len; at++)
			for (c = 0; c < 256; c++) {
				memcpy(name, row.name, row.name_len);
				name[at] = (char)c;
				f.name_len = row.name_len + (at ==
				    row.name_len);
				check(&t, &f, &whole);
			}
		memcpy(name, row.name, row.name_len);
		for (f.name_len = 0; f.name_len < row.name_len; f.name_len++)
			check(&t, &f, &whole);
	}
	hpack_table_finish(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_static_row_is_found),
		cmocka_unit_test(near_misses_are_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
