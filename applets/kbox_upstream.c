/*
 * What the daemon asks others for: the API server, the app manager.  Where
 * they are not configured it says so with 503, and that sentence is the answer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "applets/kbox_table.h"
#include "applets/kbox_text.h"
#include "base/str.h"

static int
call(struct kbox *k, const char *method, const char *target, const char *body,
    struct kbox_answer *a)
{
	struct kbox_request	q = {
		.method = method, .target = target, .body = body
	};

	return kbox_call(k, &q, a);
}

/* ---- last ---- */

enum { USER, TERMINAL, CLIENT, START, END, LASTED, IN, OUT };

static const struct kbox_column last_columns[] = {
	[USER]		= { "USER", "username", 0, 0 },
	[TERMINAL]	= { "TERMINAL", "ptyName", 0, 2 },
	[CLIENT]	= { "CLIENT_IP", "clientIP", 0, 3 },
	[START]		= { "START", "startTime", 0, 0 },
	[END]		= { "END", "endTime", 4, 0 },
	[LASTED]	= { "LASTED", NULL, 0, 4 },
	[IN]		= { "BYTES_IN", "bytesIn", 0, 1 },
	[OUT]		= { "BYTES_OUT", "bytesOut", 0, 1 },
};

static void
set_bytes(struct kbox *k, struct kbox_row *row, size_t column,
    const struct value *v, const char *member)
{
	char	text[32];

	kbox_bytes_short(value_count(v, member), text, sizeof text);
	kbox_row_set(k, row, column, text);
}

static void
add_session(struct kbox *k, struct kbox_table *t, const struct value *v)
{
	struct kbox_row	*row = kbox_table_add(k, t, v);
	int64_t		 start, end;

	kbox_row_set(k, row, USER, value_text(v, "username"));
	kbox_row_set(k, row, TERMINAL, value_text(v, "ptyName"));
	kbox_row_set(k, row, CLIENT, value_text(v, "clientIP"));
	set_bytes(k, row, IN, v, "bytesIn");
	set_bytes(k, row, OUT, v, "bytesOut");
	if (!value_time(v, "startTime", &start))
		return;
	kbox_row_set(k, row, START, kbox_time(k, start, "%a %b %e %H:%M"));
	if (!value_time(v, "endTime", &end)) {
		kbox_row_set(k, row, END, "still logged in");
		return;
	}
	kbox_row_set(k, row, END, kbox_time(k, end, "%a %b %e %H:%M"));
	kbox_row_set(k, row, LASTED, kbox_span(k, end - start));
}

int
kbox_last(struct kbox *k)
{
	struct kbox_answer	 a;
	const struct value	*v;
	struct value		*list;
	struct kbox_table	 t;
	uint32_t		 n = 15;
	int			 r;

	if (k->values[OPT_LAST] != NULL &&
	    (str_to_u32(k->values[OPT_LAST], 100, &n) < 0 || n == 0))
		return kbox_fail(k, KBOX_USAGE, "--num is from 1 to 100");
	if ((r = call(k, "GET", kbox_printf(k, KBOX_API "/sessions?num=%u",
	    n), NULL, &a)) != KBOX_OK)
		return r;
	if (k->values[OPT_JSON] != NULL)
		return value_print_answer(k, &a);
	if ((list = value_parse(k, &a)) == NULL)
		return KBOX_FAILED;
	kbox_table_init(&t, last_columns, ARRAY_LEN(last_columns));
	for (v = list->kids; v != NULL; v = v->next)
		add_session(k, &t, v);
	kbox_table_print(k, &t);
	return KBOX_OK;
}

/* ---- apps ---- */

static const struct kbox_column app_columns[] = {
	{ "NAME", "name", 0, 0 }, { "STATUS", "status", 0, 0 },
	{ "VERSION", "version", 6, 0 }, { "PORT", "port", 0, 4 },
	{ "PROTOCOL", "protocol", 0, 1 }, { "PID", "pid", 0, 2 },
	{ "AGE", "age", 0, 5 }, { "RESTARTS", "restarts", 0, 3 },
};

int
kbox_apps(struct kbox *k)
{
	static const char *const members[] = {
		"name", "status", "version", "port", "protocol", "pid", "age",
		"restarts"
	};
	struct kbox_answer	 a;
	const struct value	*v;
	struct value		*list;
	struct kbox_table	 t;
	struct kbox_row		*row;
	size_t			 i;
	int			 r;

	if (k->nwords > 0 && strcmp(k->words[0], "ls") != 0 &&
	    strcmp(k->words[0], "list") != 0)
		return kbox_fail(k, KBOX_FAILED, "%s: apps are not configured "
		    "here", k->words[0]);
	if ((r = call(k, "GET", KBOX_API "/apps", NULL, &a)) != KBOX_OK)
		return r;
	if ((list = value_parse(k, &a)) == NULL)
		return KBOX_FAILED;
	kbox_table_init(&t, app_columns, ARRAY_LEN(app_columns));
	for (v = list->kids; v != NULL; v = v->next) {
		row = kbox_table_add(k, &t, v);
		if (strcmp(value_text(v, "status"), "RUNNING") != 0)
			row->sgr = "2";
		for (i = 0; i < ARRAY_LEN(members); i++)
			kbox_row_set(k, row, i, value_text(v, members[i]));
	}
	r = kbox_table_sort(k, &t, k->values[OPT_SORT] != NULL ?
	    k->values[OPT_SORT] : "name");
	if (r != 0)
		return r;
	if (k->values[OPT_JSON] != NULL)
		return kbox_table_json(k, &t);
	kbox_table_print(k, &t);
	return KBOX_OK;
}

/* ---- credentials ---- */

int
kbox_credentials(struct kbox *k)
{
	struct kbox_answer	a;
	const char		*kind = k->words[0];
	int			r;

	if (strcmp(kind, "git") != 0 && strcmp(kind, "docker") != 0 &&
	    strcmp(kind, "kubernetes") != 0)
		return kbox_fail(k, KBOX_USAGE,
		    "there is git, docker and kubernetes, not \"%s\"", kind);
	r = call(k, "GET", kbox_printf(k, KBOX_API "/creds?type=%s", kind),
	    NULL, &a);
	if (r != KBOX_OK)
		return r;
	return kbox_fail(k, KBOX_NO_API,
	    "credentials from the API server are not configured");
}

/* ---- validate ---- */

int
kbox_validate(struct kbox *k)
{
	const char		*file = k->values[OPT_FILE];
	char			 path[4096], escaped[3 * sizeof path];
	struct kbox_answer	 a;
	const struct value	*v, *e;
	int			 r;

	if (file == NULL && k->nwords > 0)
		file = k->words[0];
	if (file == NULL)
		return kbox_fail(k, KBOX_USAGE, "which file?");
	if (realpath(file, path) == NULL)
		return kbox_fail(k, errno == ENOENT ? KBOX_NOT_FOUND :
		    KBOX_FAILED, "%s: %s", file, strerror(errno));
	if (kbox_url_escape(path, escaped, sizeof escaped) < 0)
		return kbox_fail(k, KBOX_USAGE, "the path is too long");
	r = call(k, "POST", kbox_printf(k, KBOX_API "/validate?file=%s%s",
	    escaped, k->values[OPT_COMPOSE] != NULL ? "&compose=true" : ""),
	    NULL, &a);
	if (r != KBOX_OK)
		return r;
	if ((v = value_parse(k, &a)) == NULL)
		return KBOX_FAILED;
	r = strcmp(value_text(v, "status"), "valid") == 0 ? KBOX_OK :
	    KBOX_FAILED;
	if (k->values[OPT_JSON] != NULL) {
		(void)value_print_answer(k, &a);
		return r;
	}
	printf("%s is %s\n", kbox_clean(k, file), r == KBOX_OK ? "valid" :
	    "not valid");
	e = value_get(v, "errors");
	for (e = e != NULL ? e->kids : NULL; e != NULL; e = e->next)
		printf(" - %s\n", kbox_clean(k, e->text));
	return r;
}

/* ---- shutdown ---- */

/* What can't be undone is asked about; nobody to ask is a no. */
static bool
confirmed(struct kbox *k)
{
	char	line[16];

	if (k->values[OPT_YES] != NULL)
		return true;
	if (isatty(STDIN_FILENO) != 1)
		return false;
	printf("Delete this workspace for good? Type yes: ");
	fflush(stdout);
	return fgets(line, sizeof line, stdin) != NULL &&
	    strcmp(str_trim(line), "yes") == 0;
}

int
kbox_shutdown(struct kbox *k)
{
	struct kbox_answer	 a;
	bool			 del = k->values[OPT_DELETE] != NULL;
	int			 r;

	if (del && !confirmed(k))
		return kbox_fail(k, KBOX_FAILED,
		    "nothing done; --yes deletes without a question");
	r = call(k, "POST", kbox_printf(k, KBOX_API "/shutdown?action=%s",
	    del ? "delete" : "stop"), NULL, &a);
	if (r == KBOX_OK && a.status == 202)	/* a standalone daemon */
		printf("The daemon is stopping: shells are hung up, commands "
		    "may finish.\n");
	else if (r == KBOX_OK)
		printf("The workspace will be %s.\n", del ? "deleted" :
		    "stopped");
	return r;
}
