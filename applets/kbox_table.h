/*
 * kbox_table - rows of text under upper-case titles.
 *
 * A column is as wide as its widest cell.  On a terminal that is too narrow the
 * flexible column gives way first, then whole columns leave in the order of
 * `drop`, at last the flexible one; what is cut ends in an ellipsis.  No line
 * is ever wider than the terminal, and nothing is cut where there is none.
 */
#ifndef APPLETS_KBOX_TABLE_H
#define APPLETS_KBOX_TABLE_H

#include "applets/kbox_value.h"

#define KBOX_COLUMNS_MAX	12
#define KBOX_GAP		2	/* cells between columns */

struct kbox_column {
	const char	*title;
	const char	*sort;	/* member of a row; "-member": reversed; NULL */
	unsigned	 min;	/* flexible down to that many cells; 0: not */
	unsigned	 drop;	/* 1 leaves first; 0 stays */
};

struct kbox_row {
	char		*cells[KBOX_COLUMNS_MAX];
	size_t		 widths[KBOX_COLUMNS_MAX];
	const char	*sgr;	/* colour of the row, "33"; NULL: none */
	const struct value *value;	/* what it was made of */
	size_t		 number;	/* as added */
};

struct kbox_table {
	const struct kbox_column *columns;
	size_t		 ncolumns;
	struct kbox_row	*rows;
	size_t		 nrows, room;
};

/*
 * Widths for a terminal of `width` cells (0: no limit); 0 is a column left
 * out.  natural: widest cell of each column, title included.
 */
void	 kbox_layout(const struct kbox_column *columns, size_t n,
	    const size_t *natural, size_t width, size_t *out);

void	 kbox_table_init(struct kbox_table *t,
	    const struct kbox_column *columns, size_t n);
/* Cells start as "-".  The row is valid until the next one is added. */
struct kbox_row *kbox_table_add(struct kbox *k, struct kbox_table *t,
	    const struct value *value);
/* An empty text stays "-".  Escaped here. */
void	 kbox_row_set(struct kbox *k, struct kbox_row *row, size_t column,
	    const char *text);
/* "a,-b" by columns' sort members, title or member named; 0 or KBOX_USAGE
 * after a message. */
int	 kbox_table_sort(struct kbox *k, struct kbox_table *t,
	    const char *keys);
void	 kbox_table_print(struct kbox *k, const struct kbox_table *t);
/* text in at most `width` cells, with an ellipsis where it was cut. */
char	*kbox_cut(struct kbox *k, const char *text, size_t width);
/* The rows' values as a JSON array, as they came. */
int	 kbox_table_json(struct kbox *k, const struct kbox_table *t);
/* All of a table's options: sorted by --sort or keys; as rows, JSON, ids. */
int	 kbox_table_show(struct kbox *k, struct kbox_table *t,
	    const char *keys);

/* Pairs under a heading, as `kbox info` has them. */
struct kbox_group {
	const char	*title;
	const char	*keys[32];
	char		*texts[32];
	const char	*sgr[32];	/* as a row's, or NULL */
	size_t		 n;
};

void	 kbox_group_add(struct kbox *k, struct kbox_group *g, const char *key,
	    const char *text);		/* empty: "n/a" */
/* The one added last is in this colour, where there are colours. */
void	 kbox_group_color(struct kbox_group *g, const char *sgr);
void	 kbox_group_print(struct kbox *k, const struct kbox_group *g);

#endif
