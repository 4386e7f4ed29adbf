/*
 * streams, shells: what runs in this workspace.
 */
#include <string.h>

#include "applets/kbox_sessions.h"
#include "applets/kbox_table.h"
#include "applets/kbox_text.h"

enum { ID, CREATED, DURATION, STATUS, BYTES_IN, BYTES_OUT, PARAMS };

static const struct kbox_column stream_columns[] = {
	[ID]		= { "ID", "id", 0, 0 },
	[CREATED]	= { "CREATED", "created", 0, 1 },
	[DURATION]	= { "DURATION", "-created", 0, 4 },
	[STATUS]	= { "STATUS", "status", 0, 0 },
	[BYTES_IN]	= { "BYTES_IN", "bytes_in", 0, 2 },
	[BYTES_OUT]	= { "BYTES_OUT", "bytes_out", 0, 3 },
	[PARAMS]	= { "PARAMS", "params", 20, 0 },
};

static const char *
color_of(const char *status)
{
	if (strcmp(status, "STOPPED") == 0)
		return "2";
	return strcmp(status, "DETACHED") == 0 ? "33" : NULL;
}

/* How long it has been there; of one that is over: was. */
static char *
age_of(struct kbox *k, const struct value *v)
{
	int64_t	from, to;

	if (!value_time(v, "created", &from))
		return kbox_printf(k, "%s", "");
	if (!value_time(v, "deleted", &to))
		to = kbox_now();
	return kbox_span(k, to - from);
}

static void
set_bytes(struct kbox *k, struct kbox_row *row, size_t column,
    const struct value *v, const char *member)
{
	char	text[32];

	kbox_bytes_short(value_count(v, member), text, sizeof text);
	kbox_row_set(k, row, column, text);
}

static void
add_stream(struct kbox *k, struct kbox_table *t, const struct value *v)
{
	struct kbox_row	*row = kbox_table_add(k, t, v);
	int64_t		 created;

	row->sgr = color_of(value_text(v, "status"));
	kbox_row_set(k, row, ID, value_text(v, "id"));
	if (value_time(v, "created", &created))
		kbox_row_set(k, row, CREATED,
		    kbox_time(k, created, "%b %e %H:%M:%S"));
	kbox_row_set(k, row, DURATION, age_of(k, v));
	kbox_row_set(k, row, STATUS, value_text(v, "status"));
	set_bytes(k, row, BYTES_IN, v, "bytes_in");
	set_bytes(k, row, BYTES_OUT, v, "bytes_out");
	kbox_row_set(k, row, PARAMS, value_text(v, "params"));
}

int
kbox_streams(struct kbox *k)
{
	const struct value	*list, *v;
	struct kbox_table	 t;
	int			 r;

	if ((r = kbox_sessions_get(k, &list)) != 0)
		return r;
	kbox_table_init(&t, stream_columns,
	    sizeof stream_columns / sizeof stream_columns[0]);
	for (v = list->kids; v != NULL; v = v->next)
		add_stream(k, &t, v);
	return kbox_table_show(k, &t, "-created");
}

/* ---- shells ---- */

enum { S_ID, S_STATUS, S_PID, S_AGE, S_TTL, S_COMMAND };

static const struct kbox_column shell_columns[] = {
	[S_ID]		= { "ID", "id", 0, 0 },
	[S_STATUS]	= { "STATUS", "status", 0, 0 },
	[S_PID]		= { "PID", NULL, 0, 1 },
	[S_AGE]		= { "AGE", "-created", 0, 2 },
	[S_TTL]		= { "TTL", NULL, 0, 3 },
	[S_COMMAND]	= { "COMMAND", NULL, 8, 0 },
};

static void
add_shell(struct kbox *k, struct kbox_table *t, const struct kbox_session *s)
{
	struct kbox_row	*row = kbox_table_add(k, t, s->value);

	row->sgr = color_of(s->status);
	kbox_row_set(k, row, S_ID, s->id);
	kbox_row_set(k, row, S_STATUS, s->status);
	kbox_row_set(k, row, S_PID, s->pid);
	kbox_row_set(k, row, S_AGE, age_of(k, s->value));
	kbox_row_set(k, row, S_TTL, s->ttl);
	kbox_row_set(k, row, S_COMMAND, s->shell);
}

/* Older daemons list the detached ones, whatever is asked. */
static int
shells_json(struct kbox *k)
{
	struct kbox_answer	a;
	int			r;

	r = kbox_get(k, k->values[OPT_DETACHED] != NULL ? KBOX_API "/shells" :
	    KBOX_API "/shells?all=true", NULL, &a);
	return r != KBOX_OK ? r : value_print_answer(k, &a);
}

int
kbox_shells(struct kbox *k)
{
	const struct value	*list, *v;
	struct kbox_session	 s;
	struct kbox_table	 t;
	int			 r;

	if (k->values[OPT_JSON] != NULL)
		return shells_json(k);
	if ((r = kbox_sessions_get(k, &list)) != 0)
		return r;
	kbox_table_init(&t, shell_columns,
	    sizeof shell_columns / sizeof shell_columns[0]);
	for (v = list->kids; v != NULL; v = v->next)
		if (kbox_session_read(k, v, &s) &&
		    (k->values[OPT_DETACHED] == NULL ||
		    strcmp(s.status, "DETACHED") == 0))
			add_shell(k, &t, &s);
	return kbox_table_show(k, &t, "-created");
}
