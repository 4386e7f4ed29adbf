/*
 * One of several rows: by arrow keys on a terminal that can do that, by its
 * number elsewhere.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "applets/kbox_sessions.h"
#include "applets/kbox_text.h"
#include "applets/kbox_tty.h"
#include "base/str.h"

#define ESCAPE_MS	100	/* a lone Esc, or the start of an arrow key */
#define HELP		"arrows or number, Enter takes, q leaves"

enum key { KEY_NONE, KEY_UP, KEY_DOWN, KEY_FIRST, KEY_LAST, KEY_TAKE,
	KEY_LEAVE };

struct picker {
	struct kbox		*k;
	const char		*title;
	const struct kbox_table	*t;
	struct kbox_tty		 tty;
	size_t			 at, top, shown;
	size_t			 widths[KBOX_COLUMNS_MAX];
	size_t			 line;		/* cells of a line */
};

/* ---- by number ---- */

/* The same table with the numbers in front. */
static void
show_numbered(struct kbox *k, const struct kbox_table *t)
{
	struct kbox_column	 columns[KBOX_COLUMNS_MAX + 1] = {
		{ "#", NULL, 0, 0 }
	};
	struct kbox_table	 numbered;
	struct kbox_row		*row;
	size_t			 i, j;

	memcpy(columns + 1, t->columns, t->ncolumns * sizeof *columns);
	kbox_table_init(&numbered, columns, t->ncolumns + 1);
	for (i = 0; i < t->nrows; i++) {
		row = kbox_table_add(k, &numbered, t->rows[i].value);
		kbox_row_set(k, row, 0, kbox_printf(k, "%zu", i + 1));
		for (j = 0; j < t->ncolumns; j++)
			kbox_row_set(k, row, j + 1, t->rows[i].cells[j]);
	}
	kbox_table_print(k, &numbered);
}

static int
pick_by_number(struct kbox *k, const struct kbox_table *t, int *status)
{
	char		line[64], *end;
	unsigned long	n;

	show_numbered(k, t);
	printf("\nnumber (1-%zu): ", t->nrows);
	fflush(stdout);
	*status = KBOX_FAILED;
	if (fgets(line, sizeof line, stdin) == NULL) {
		putchar('\n');
		(void)kbox_fail(k, 0, "nothing was chosen");
		return -1;
	}
	errno = 0;
	n = strtoul(line, &end, 10);
	if (end == line || errno != 0 || n < 1 || n > t->nrows) {
		(void)kbox_fail(k, 0, "not a number from 1 to %zu", t->nrows);
		return -1;
	}
	return (int)n - 1;
}

/* ---- by arrow keys ---- */

/* Waits; 0 if a signal came instead. */
static int
read_byte(struct picker *p, int timeout_ms)
{
	struct pollfd	fds[2] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = p->tty.signals, .events = POLLIN },
	};
	unsigned char	c;

	if (poll(fds, 2, timeout_ms) <= 0)
		return 0;
	if (fds[0].revents == 0)
		return 0;
	return read(STDIN_FILENO, &c, 1) == 1 ? c : -1;
}

/* Behind Esc: "[A" and "OA" are arrows, "[1~" and "[H" go to the start. */
static enum key
read_sequence(struct picker *p)
{
	int	c = read_byte(p, ESCAPE_MS);

	if (c != '[' && c != 'O')
		return c == 0 ? KEY_LEAVE : KEY_NONE;
	c = read_byte(p, ESCAPE_MS);
	while (c >= '0' && c <= '9')
		c = read_byte(p, ESCAPE_MS);
	switch (c) {
	case 'A':
		return KEY_UP;
	case 'B':
		return KEY_DOWN;
	case 'H':
		return KEY_FIRST;
	case 'F':
		return KEY_LAST;
	default:
		return KEY_NONE;
	}
}

static enum key
read_key(struct picker *p)
{
	int	c = read_byte(p, -1);

	if (c > '0' && c <= '9' && (size_t)(c - '0') <= p->t->nrows) {
		p->at = (size_t)(c - '1');
		return KEY_NONE;
	}
	switch (c) {
	case 0x1b:
		return read_sequence(p);
	case 'k':
	case 0x10:			/* Ctrl-P */
		return KEY_UP;
	case 'j':
	case '\t':
	case 0x0e:			/* Ctrl-N */
		return KEY_DOWN;
	case 'g':
		return KEY_FIRST;
	case 'G':
		return KEY_LAST;
	case '\r':
	case '\n':
		return KEY_TAKE;
	case 'q':
	case 0x03:			/* Ctrl-C */
	case 0x04:			/* Ctrl-D */
	case -1:
		return KEY_LEAVE;
	default:
		return KEY_NONE;
	}
}

static void
put_text(struct picker *p, const char *s)
{
	fputs(kbox_cut(p->k, s, p->line), stdout);
}

/* One row as a line that is never wider than the terminal. */
static char *
row_text(struct picker *p, const struct kbox_row *row, const char *mark)
{
	struct kbox	*k = p->k;
	char		*text = kbox_printf(k, "%s", mark);
	char		*cell;
	size_t		 i, blanks = 0;

	for (i = 0; i < p->t->ncolumns; i++) {
		if (p->widths[i] == 0)
			continue;
		cell = kbox_cut(k, row->cells[i], p->widths[i]);
		text = kbox_printf(k, "%s%*s%s", text, (int)blanks, "", cell);
		blanks = p->widths[i] - kbox_width(cell) + KBOX_GAP;
	}
	return text;
}

static void
measure(struct picker *p)
{
	struct winsize	ws = { 0 };
	size_t		natural[KBOX_COLUMNS_MAX] = { 0 }, i, j;

	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws);
	p->line = ws.ws_col > 8 ? ws.ws_col : 80;
	p->shown = ws.ws_row > 5 ? ws.ws_row - 4u : 1;
	if (p->shown > p->t->nrows)
		p->shown = p->t->nrows;
	for (i = 0; i < p->t->ncolumns; i++) {
		natural[i] = kbox_width(p->t->columns[i].title);
		for (j = 0; j < p->t->nrows; j++)
			if (p->t->rows[j].widths[i] > natural[i])
				natural[i] = p->t->rows[j].widths[i];
	}
	/* Two for the mark, one so that no terminal wraps. */
	kbox_layout(p->t->columns, p->t->ncolumns, natural, p->line - 3,
	    p->widths);
}

static void
draw(struct picker *p)
{
	struct kbox_row	title = { .sgr = NULL };
	size_t		i;

	for (i = 0; i < p->t->ncolumns; i++)
		kbox_row_set(p->k, &title, i, p->t->columns[i].title);
	if (p->at < p->top)
		p->top = p->at;
	if (p->at >= p->top + p->shown)
		p->top = p->at - p->shown + 1;
	put_text(p, p->title);
	fputs("\r\n", stdout);
	put_text(p, row_text(p, &title, "  "));
	for (i = p->top; i < p->top + p->shown; i++) {
		fputs("\r\n", stdout);
		if (i == p->at)
			fputs("\033[7m", stdout);
		put_text(p, row_text(p, &p->t->rows[i],
		    i == p->at ? "> " : "  "));
		if (i == p->at)
			fputs("\033[0m", stdout);
	}
	fputs("\r\n", stdout);
	put_text(p, HELP);
	fflush(stdout);
}

/* Back to where drawing began, and nothing below. */
static void
undraw(const struct picker *p)
{
	printf("\r\033[%zuA\033[J", p->shown + 2);
}

static enum key
turn(struct picker *p, int *signal)
{
	enum key	key;
	size_t		last = p->t->nrows - 1;
	int		sig;

	draw(p);
	key = read_key(p);
	undraw(p);
	while ((sig = kbox_tty_signal(&p->tty)) != 0) {
		if (sig != SIGWINCH) {
			*signal = sig;
			return KEY_LEAVE;
		}
		measure(p);
	}
	if (key == KEY_UP)
		p->at = p->at > 0 ? p->at - 1 : last;
	else if (key == KEY_DOWN)
		p->at = p->at < last ? p->at + 1 : 0;
	else if (key == KEY_FIRST)
		p->at = 0;
	else if (key == KEY_LAST)
		p->at = last;
	return key;
}

static int
pick_by_keys(struct picker *p, int *status)
{
	enum key	key = KEY_NONE;
	int		signal = SIGINT;

	measure(p);
	while (key != KEY_TAKE && key != KEY_LEAVE)
		key = turn(p, &signal);
	fflush(stdout);
	kbox_tty_give_back(&p->tty, false);
	*status = 128 + signal;
	return key == KEY_TAKE ? (int)p->at : -1;
}

int
kbox_pick(struct kbox *k, const char *title, const struct kbox_table *t,
    int *status)
{
	struct picker	 p = { .k = k, .title = title, .t = t };
	const char	*term = getenv("TERM");

	if (k->tty && isatty(STDIN_FILENO) == 1 &&
	    k->values[OPT_NO_ANSI] == NULL && term != NULL &&
	    term[0] != '\0' && strcmp(term, "dumb") != 0 &&
	    kbox_tty_take(&p.tty) == 0)
		return pick_by_keys(&p, status);
	return pick_by_number(k, t, status);
}
