/*
 * init-status: what became of the init scripts (GET /initscripts).
 */
#include <string.h>
#include <time.h>

#include "applets/kbox_value.h"
#include "base/str.h"

#define NS		INT64_C(1000000000)
#define POLL_MS		200
#define PREFIX		"__init_"
#define TICK		"\xe2\x9c\x93"
#define CROSS		"\xe2\x9c\x97"

enum state { WAITING, RUNNING, DONE, BROKEN };

static const struct look {
	const char	*mark, *sgr;
} looks[] = {
	[WAITING]	= { "-", "2" },
	[RUNNING]	= { "*", "33" },
	[DONE]		= { TICK, "32" },
	[BROKEN]	= { CROSS, "31" },
};

static enum state
state_of(const struct value *v)
{
	const char	*status = value_text(v, "status");

	if (value_true(v, "has_error"))
		return BROKEN;
	if (strcmp(status, "completed") == 0)
		return DONE;
	return strcmp(status, "running") == 0 ? RUNNING : WAITING;
}

/* "1.2s"; "" if a time is missing. */
static const char *
elapsed(struct kbox *k, const struct value *v, enum state state)
{
	int64_t	from, to = kbox_now();

	if (!value_time(v, "started_at", &from) ||
	    (state != RUNNING && !value_time(v, "finished_at", &to)))
		return "";
	return kbox_printf(k, "%.1fs", (double)(to - from) / NS);
}

static void
show_script(struct kbox *k, const struct value *v, char spinner)
{
	enum state	 state = state_of(v);
	const char	*name = value_text(v, "name"), *text;
	char		 mark[2] = { spinner, '\0' };

	if (str_prefix(name, PREFIX))
		name += strlen(PREFIX);
	if (state == WAITING)
		text = "waiting...";
	else if (state == RUNNING)
		text = kbox_printf(k, "running... %s", elapsed(k, v, state));
	else
		text = elapsed(k, v, state);
	printf("%s%s[%s] %s: %s%s\n", k->color ? "\033[" : "",
	    k->color ? kbox_printf(k, "%sm", looks[state].sgr) : "",
	    state == RUNNING && spinner != '\0' ? mark : looks[state].mark,
	    kbox_clean(k, name), text, k->color ? "\033[0m" : "");
}

struct summary {
	size_t	shown, open, broken;
};

static void
show_scripts(struct kbox *k, const struct value *list, char spinner,
    struct summary *s)
{
	const struct value	*v;
	enum state		 state;

	*s = (struct summary){ 0 };
	for (v = list->kids; v != NULL; v = v->next) {
		state = state_of(v);
		s->open += state == WAITING || state == RUNNING;
		s->broken += state == BROKEN;
		if (k->values[OPT_ERRORS] != NULL && state != BROKEN)
			continue;
		show_script(k, v, spinner);
		s->shown++;
	}
}

static int
get_scripts(struct kbox *k, struct kbox_answer *a, const struct value **list)
{
	int	r = kbox_get(k, KBOX_API "/initscripts", NULL, a);

	if (r != KBOX_OK)
		return r;
	*list = value_parse(k, a);
	return *list != NULL ? KBOX_OK : KBOX_FAILED;
}

static bool
all_done(const struct value *list)
{
	const struct value	*v;

	for (v = list->kids; v != NULL; v = v->next)
		if (state_of(v) <= RUNNING)
			return false;
	return true;
}

/*
 * Until all are done.  Redrawn only where a terminal can go up; elsewhere the
 * end is told.
 */
static int
follow(struct kbox *k, const struct value *list, struct summary *s)
{
	static const char	spinner[] = "|/-\\";
	struct timespec		pause = { 0, POLL_MS * 1000000 };
	struct kbox_answer	a;
	bool			redraw = k->tty &&
				    k->values[OPT_NO_ANSI] == NULL;
	size_t			turn;
	int			r;

	if (!all_done(list))
		puts("Init scripts are running; Ctrl-C to skip");
	for (turn = 0; !all_done(list); turn++) {
		if (redraw)
			show_scripts(k, list, spinner[turn % 4], s);
		fflush(stdout);
		(void)nanosleep(&pause, NULL);
		if ((r = get_scripts(k, &a, &list)) != KBOX_OK)
			return r;
		if (redraw && s->shown > 0)
			printf("\033[%zuA\033[J", s->shown);
	}
	show_scripts(k, list, '\0', s);
	return KBOX_OK;
}

int
kbox_init_status(struct kbox *k)
{
	struct kbox_answer	 a;
	const struct value	*list;
	struct summary		 s;
	int			 r;

	if ((r = get_scripts(k, &a, &list)) != KBOX_OK)
		return r;
	if (k->values[OPT_JSON] != NULL)
		return value_print_answer(k, &a);
	if (list->kids == NULL) {
		puts("No init scripts are registered.");
		return KBOX_OK;
	}
	if (k->values[OPT_PROGRESS] == NULL)
		show_scripts(k, list, '\0', &s);
	else if ((r = follow(k, list, &s)) != KBOX_OK)
		return r;
	if (s.shown == 0)
		puts("No init script has failed.");
	/* A plain look says what it sees; who asks for errors wants to know. */
	return s.broken > 0 && (k->values[OPT_ERRORS] != NULL ||
	    k->values[OPT_PROGRESS] != NULL) ? KBOX_FAILED : KBOX_OK;
}
