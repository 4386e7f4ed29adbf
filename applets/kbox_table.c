#include "applets/kbox_table.h"

#include <stdlib.h>
#include <string.h>

#include "applets/kbox_text.h"
#include "base/rfc3339.h"
#include "base/str.h"

#define ELLIPSIS	"\xe2\x80\xa6"
#define KEYS_MAX	4

/* ---- widths ---- */

static size_t
total(const size_t *w, size_t n)
{
	size_t	i, sum = 0;

	for (i = 0; i < n; i++)
		if (w[i] > 0)
			sum += w[i] + (sum > 0 ? KBOX_GAP : 0);
	return sum;
}

/* The next column to leave, or n. */
static size_t
first_to_drop(const struct kbox_column *c, const size_t *w, size_t n)
{
	size_t	i, best = n;

	for (i = 0; i < n; i++)
		if (w[i] > 0 && c[i].drop > 0 &&
		    (best == n || c[i].drop < c[best].drop))
			best = i;
	return best;
}

/*
 * Too wide even so: what sticks out is cut off.  Less of a column than its
 * title is worth nothing, but for the first one's, which names the row.
 */
static void
cut_hard(const struct kbox_column *c, size_t *w, size_t n, size_t width)
{
	size_t	i, room, used = 0;

	for (i = 0; i < n; i++) {
		room = used == 0 ? width : used + KBOX_GAP < width ?
		    width - used - KBOX_GAP : 0;
		if (w[i] > room)
			w[i] = used == 0 || room >= strlen(c[i].title) ?
			    room : 0;
		if (w[i] > 0)
			used += w[i] + (used > 0 ? KBOX_GAP : 0);
	}
}

/*
 * Every column that may leave has.  The flexible one gives up to the width of
 * its title, then leaves, too.
 */
static void
squeeze(const struct kbox_column *c, size_t *w, size_t n, size_t flex,
    size_t width)
{
	size_t	title, over = total(w, n) - width;

	if (flex < n && w[flex] > 0) {
		title = strlen(c[flex].title);
		if (w[flex] >= title + over)
			w[flex] -= over;
		else if (flex > 0)
			w[flex] = 0;
	}
	if (total(w, n) > width)
		cut_hard(c, w, n, width);
}

void
kbox_layout(const struct kbox_column *c, size_t n, const size_t *natural,
    size_t width, size_t *out)
{
	size_t	i, flex = n;

	memcpy(out, natural, n * sizeof *out);
	if (width == 0 || total(out, n) <= width)
		return;
	for (i = 0; i < n; i++)
		if (c[i].min > 0)
			flex = i;
	if (flex < n && out[flex] > c[flex].min)
		out[flex] = c[flex].min;
	while (total(out, n) > width &&
	    (i = first_to_drop(c, out, n)) < n)
		out[i] = 0;
	if (total(out, n) > width) {
		squeeze(c, out, n, flex, width);
		return;
	}
	if (flex < n && out[flex] > 0) {
		out[flex] += width - total(out, n);
		if (out[flex] > natural[flex])
			out[flex] = natural[flex];
	}
}

/* ---- rows ---- */

void
kbox_table_init(struct kbox_table *t, const struct kbox_column *columns,
    size_t n)
{
	*t = (struct kbox_table){ .columns = columns, .ncolumns = n };
}

struct kbox_row *
kbox_table_add(struct kbox *k, struct kbox_table *t,
    const struct value *value)
{
	struct kbox_row	*bigger, *row;
	size_t		 i;

	if (t->nrows == t->room) {
		t->room = t->room > 0 ? t->room * 2 : 16;
		bigger = kbox_alloc(k, t->room * sizeof *bigger);
		if (t->nrows > 0)
			memcpy(bigger, t->rows, t->nrows * sizeof *bigger);
		t->rows = bigger;
	}
	row = &t->rows[t->nrows];
	row->value = value;
	row->number = t->nrows++;
	for (i = 0; i < t->ncolumns; i++)
		kbox_row_set(k, row, i, "-");
	return row;
}

void
kbox_row_set(struct kbox *k, struct kbox_row *row, size_t column,
    const char *text)
{
	if (text[0] == '\0')
		text = "-";
	row->cells[column] = kbox_clean(k, text);
	row->widths[column] = kbox_width(row->cells[column]);
}

/* ---- order ---- */

struct sort_key {
	const char	*member;
	bool		 down;
};

struct sort_row {
	struct kbox_row		 row;
	const struct sort_key	*keys;
	size_t			 nkeys;
};

static int
compare_values(const struct value *a, const struct value *b)
{
	const char	*sa = a != NULL ? a->text : "";
	const char	*sb = b != NULL ? b->text : "";
	int64_t		 ta, tb;
	double		 da, db;

	if (a != NULL && b != NULL && a->type == JSON_NUMBER &&
	    b->type == JSON_NUMBER) {
		da = strtod(sa, NULL);
		db = strtod(sb, NULL);
		return (da > db) - (da < db);
	}
	if (rfc3339_parse(sa, &ta) == 0 && rfc3339_parse(sb, &tb) == 0)
		return (ta > tb) - (ta < tb);
	return strcmp(sa, sb);
}

static int
compare_rows(const void *pa, const void *pb)
{
	const struct sort_row	*a = pa, *b = pb;
	size_t			 i;
	int			 r;

	for (i = 0; i < a->nkeys; i++) {
		r = compare_values(
		    value_get(a->row.value, a->keys[i].member),
		    value_get(b->row.value, a->keys[i].member));
		if (r != 0)
			return a->keys[i].down ? -r : r;
	}
	return a->row.number < b->row.number ? -1 : 1;
}

static bool
find_member(const struct kbox_table *t, const char *word, struct sort_key *key)
{
	const char	*sort;
	size_t		 i;
	bool		 reversed;

	for (i = 0; i < t->ncolumns; i++) {
		if ((sort = t->columns[i].sort) == NULL)
			continue;
		reversed = sort[0] == '-';
		key->member = sort + reversed;
		if (strcmp(key->member, word) == 0)
			return true;
		if (!str_ieq(t->columns[i].title, word))
			continue;
		key->down ^= reversed;
		return true;
	}
	return false;
}

static int
no_such_field(struct kbox *k, const struct kbox_table *t, const char *word)
{
	char	*list = kbox_printf(k, "%s", "");
	size_t	 i;

	for (i = 0; i < t->ncolumns; i++)
		if (t->columns[i].sort != NULL)
			list = kbox_printf(k, "%s%s%s", list,
			    list[0] != '\0' ? ", " : "", t->columns[i].title);
	return kbox_fail(k, KBOX_USAGE, "cannot sort by \"%s\"; there are %s",
	    word, list);
}

static int
read_keys(struct kbox *k, const struct kbox_table *t, const char *text,
    struct sort_key *keys, size_t *nkeys)
{
	char	*list = kbox_printf(k, "%s", text), *word;

	*nkeys = 0;
	while ((word = strsep(&list, ",")) != NULL) {
		if (word[0] == '\0')
			continue;
		if (*nkeys == KEYS_MAX)
			return kbox_fail(k, KBOX_USAGE,
			    "more than %d fields to sort by", KEYS_MAX);
		keys[*nkeys].down = word[0] == '-';
		if (!find_member(t, word + (word[0] == '-'), &keys[*nkeys]))
			return no_such_field(k, t, word);
		++*nkeys;
	}
	return 0;
}

int
kbox_table_sort(struct kbox *k, struct kbox_table *t, const char *text)
{
	struct sort_key	 keys[KEYS_MAX];
	struct sort_row	*rows;
	size_t		 i, n;
	int		 r;

	if ((r = read_keys(k, t, text, keys, &n)) != 0)
		return r;
	rows = kbox_alloc(k, (t->nrows + 1) * sizeof *rows);
	for (i = 0; i < t->nrows; i++)
		rows[i] = (struct sort_row){ t->rows[i], keys, n };
	qsort(rows, t->nrows, sizeof *rows, compare_rows);
	for (i = 0; i < t->nrows; i++)
		t->rows[i] = rows[i].row;
	return 0;
}

/* ---- output ---- */

char *
kbox_cut(struct kbox *k, const char *text, size_t width)
{
	size_t	used, n;

	if (kbox_width(text) <= width)
		return kbox_printf(k, "%s", text);
	n = kbox_fit(text, width > 0 ? width - 1 : 0, &used);
	return kbox_printf(k, "%.*s%s", (int)n, text,
	    width > 0 ? ELLIPSIS : "");
}

/* text in exactly w cells; without blanks behind it if it is the last. */
static void
put_cell(struct kbox *k, const char *text, size_t w, bool last)
{
	const char	*cut = kbox_cut(k, text, w);

	fputs(cut, stdout);
	if (!last)
		printf("%*s", (int)(w - kbox_width(cut) + KBOX_GAP), "");
}

static size_t
last_shown(const size_t *w, size_t n)
{
	while (n > 0 && w[n - 1] == 0)
		n--;
	return n;
}

static void
put_row(struct kbox *k, const struct kbox_row *row, const size_t *w,
    size_t n)
{
	bool	colored = k->color && row->sgr != NULL;
	size_t	i;

	if (colored)
		printf("\033[%sm", row->sgr);
	for (i = 0; i < n; i++)
		if (w[i] > 0)
			put_cell(k, row->cells[i], w[i], i + 1 == n);
	puts(colored ? "\033[0m" : "");
}

void
kbox_table_print(struct kbox *k, const struct kbox_table *t)
{
	struct kbox_row	 title = { .sgr = NULL };
	size_t		 natural[KBOX_COLUMNS_MAX] = { 0 };
	size_t		 w[KBOX_COLUMNS_MAX];
	size_t		 i, j, n;
	bool		 headers = k->values[OPT_NO_HEADERS] == NULL;

	for (i = 0; i < t->ncolumns; i++) {
		kbox_row_set(k, &title, i, t->columns[i].title);
		natural[i] = headers ? title.widths[i] : 1;
		for (j = 0; j < t->nrows; j++)
			if (t->rows[j].widths[i] > natural[i])
				natural[i] = t->rows[j].widths[i];
	}
	kbox_layout(t->columns, t->ncolumns, natural,
	    k->values[OPT_NO_TRUNC] == NULL ? k->columns : 0, w);
	n = last_shown(w, t->ncolumns);
	if (headers)
		put_row(k, &title, w, n);
	for (j = 0; j < t->nrows; j++)
		put_row(k, &t->rows[j], w, n);
}

int
kbox_table_json(struct kbox *k, const struct kbox_table *t)
{
	char	*json, *p;
	size_t	 i, len = 2, n;

	for (i = 0; i < t->nrows; i++)
		len += t->rows[i].value->rawlen + 1;
	p = json = kbox_alloc(k, len + 1);
	*p++ = '[';
	for (i = 0; i < t->nrows; i++) {
		n = t->rows[i].value->rawlen;
		memcpy(p, t->rows[i].value->raw, n);
		p += n;
		*p++ = ',';
	}
	if (t->nrows > 0)
		p--;
	*p++ = ']';
	return value_print(k, json, (size_t)(p - json));
}

int
kbox_table_show(struct kbox *k, struct kbox_table *t, const char *keys)
{
	size_t	i;
	int	r;

	if (k->values[OPT_SORT] != NULL)
		keys = k->values[OPT_SORT];
	if ((r = kbox_table_sort(k, t, keys)) != 0)
		return r;
	if (k->values[OPT_JSON] != NULL)
		return kbox_table_json(k, t);
	if (k->values[OPT_QUIET] == NULL) {
		kbox_table_print(k, t);
		return KBOX_OK;
	}
	for (i = 0; i < t->nrows; i++)
		puts(t->rows[i].cells[0]);
	return KBOX_OK;
}

/* ---- pairs ---- */

void
kbox_group_add(struct kbox *k, struct kbox_group *g, const char *key,
    const char *text)
{
	if (g->n == ARRAY_LEN(g->keys))
		return;
	g->keys[g->n] = kbox_clean(k, key);
	g->texts[g->n++] = kbox_clean(k, text[0] != '\0' ? text : "n/a");
}

void
kbox_group_color(struct kbox_group *g, const char *sgr)
{
	if (g->n > 0)
		g->sgr[g->n - 1] = sgr;
}

/* Bytes of text for one line: up to a blank if there is one. */
static size_t
line_of(const char *text, size_t room)
{
	size_t	used, n = kbox_fit(text, room, &used), end = n;

	while (end > 0 && text[end] != ' ')
		end--;
	while (end > 0 && text[end - 1] == ' ')
		end--;
	return end > 0 ? end : n;
}

/* On a narrow terminal the text goes on below itself, never beyond. */
static void
put_wrapped(const char *text, size_t indent, size_t columns)
{
	size_t	room = columns > indent ? columns - indent : 0, n;

	while (room >= 8 && kbox_width(text) > room) {
		n = line_of(text, room);
		printf("%.*s\n%*s", (int)n, text, (int)indent, "");
		text += n;
		text += strspn(text, " ");
	}
	fputs(text, stdout);
}

void
kbox_group_print(struct kbox *k, const struct kbox_group *g)
{
	size_t	i, w, widest = 0;
	bool	colored;

	printf("%s\n", g->title);
	for (i = 0; i < g->n; i++)
		if ((w = kbox_width(g->keys[i])) > widest)
			widest = w;
	for (i = 0; i < g->n; i++) {
		printf("  %s:%*s", g->keys[i],
		    (int)(widest - kbox_width(g->keys[i]) + 2), "");
		colored = k->color && g->sgr[i] != NULL;
		if (colored)
			printf("\033[%sm", g->sgr[i]);
		put_wrapped(g->texts[i], widest + 5, k->columns);
		puts(colored ? "\033[0m" : "");
	}
	putchar('\n');
}
