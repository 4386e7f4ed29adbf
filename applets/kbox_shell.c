/*
 * shell, detach: sessions begin and are left alone.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "applets/kbox_sessions.h"
#include "applets/kbox_text.h"
#include "applets/kssh_tty.h"
#include "base/buf.h"
#include "base/str.h"
#include "svc/rest.h"


/* ---- shell ---- */

/* As ssh does: the words of a command with a blank between. */
static char *
join_words(struct kbox *k)
{
	char	*all = kbox_printf(k, "%s", "");
	size_t	 i;

	for (i = 0; i < k->nwords; i++)
		all = kbox_printf(k, "%s%s%s", all, i > 0 ? " " : "",
		    k->words[i]);
	return all;
}

int
kbox_put_env(struct kbox *k, struct json_out *o)
{
	const char	*eq;
	size_t		 i;

	if (k->nlisted == 0)
		return 0;
	json_put_object(o, "env");
	for (i = 0; i < k->nlisted; i++) {
		eq = strchr(k->listed[i], '=');
		if (eq == NULL || eq == k->listed[i])
			return kbox_fail(k, KBOX_USAGE, "--env takes "
			    "NAME=VALUE, not \"%s\"", k->listed[i]);
		json_put_string(o, kbox_printf(k, "%.*s",
		    (int)(eq - k->listed[i]), k->listed[i]), eq + 1);
	}
	json_put_end(o, '}');
	return 0;
}

/*
 * The folder somebody stands in, unless another one is named.  Where it is not
 * there any more, home would be a place he did not choose.
 */
int
kbox_put_folder(struct kbox *k, struct json_out *o)
{
	const char	*cwd = k->values[OPT_CWD];
	char		 here[PATH_MAX];

	if (cwd == NULL || cwd[0] != '/') {
		if (getcwd(here, sizeof here) == NULL) {
			(void)kbox_fail(k, 0, "this folder: %s",
			    strerror(errno));
			kbox_hint("--cwd and a whole path says where to "
			    "start");
			return KBOX_USAGE;
		}
		cwd = cwd == NULL ? here : kbox_printf(k, "%s/%s",
		    strcmp(here, "/") != 0 ? here : "", cwd);
	}
	if (!utf8_valid(cwd, strlen(cwd)))
		return kbox_fail(k, KBOX_USAGE,
		    "the folder's name is not UTF-8");
	json_put_string(o, "cwd", cwd);
	return 0;
}

static int
put_start(struct kbox *k, struct json_out *o)
{
	uint32_t	cols, rows;
	int		r;

	kssh_tty_size(&cols, &rows);
	json_put_object(o, NULL);
	if (k->values[OPT_NAME] != NULL)
		json_put_string(o, "name", k->values[OPT_NAME]);
	if (k->nwords > 0)
		json_put_string(o, "command", join_words(k));
	if ((r = kbox_put_folder(k, o)) != 0 ||
	    (r = kbox_put_env(k, o)) != 0)
		return r;
	json_put_int(o, "width", cols);
	json_put_int(o, "height", rows);
	json_put_end(o, '}');
	if (json_put_done(o) < 0)
		return kbox_fail(k, KBOX_USAGE, "the command is too long");
	return 0;
}

static int
start(struct kbox *k, struct kbox_answer *a)
{
	struct kbox_request	 q = {
		.method = "POST", .target = KBOX_API "/shells"
	};
	struct json_out		 o;
	struct buf		 body;
	int			 r;

	buf_init(&body, REST_BODY_MAX);
	json_out_init(&o, &body);
	if ((r = put_start(k, &o)) == 0) {
		q.body = kbox_printf(k, "%.*s", (int)body.len,
		    (const char *)buf_head(&body));
		r = kbox_call(k, &q, a);
		kbox_hint_if_older(a);
	}
	buf_finish(&body);
	return r;
}

int
kbox_shell(struct kbox *k)
{
	struct kbox_answer	 a;
	const struct value	*v;
	const char		*id;
	bool			 sit = k->values[OPT_DETACHED] == NULL &&
				    k->values[OPT_JSON] == NULL;
	int			 r;

	if (sit && (isatty(STDIN_FILENO) != 1 || isatty(STDOUT_FILENO) != 1)) {
		(void)kbox_fail(k, 0, "standard input and output have to be a "
		    "terminal");
		kbox_hint("--detached starts it and leaves it there");
		return KBOX_FAILED;
	}
	if ((r = start(k, &a)) != KBOX_OK)
		return r;
	if (k->values[OPT_JSON] != NULL)
		return value_print_answer(k, &a);
	if ((v = value_parse(k, &a)) == NULL)
		return KBOX_FAILED;
	id = value_text(v, "id");
	if (!sit) {
		puts(kbox_out(k, id));
		return KBOX_OK;
	}
	return kbox_sit_in(k, id, true);
}

/* ---- detach ---- */

enum { ID, PID, SHELL };

static const struct kbox_column columns[] = {
	[ID]	= { "ID", "id", 0, 0 },
	[PID]	= { "PID", NULL, 0, 1 },
	[SHELL]	= { "SHELL", NULL, 8, 0 },
};

static int
choose_attached(struct kbox *k, const char **id)
{
	const struct value	*list, *v;
	struct kbox_session	 s;
	struct kbox_table	 t;
	struct kbox_row		*row;
	int			 r, chosen;

	if (!k->tty || isatty(STDIN_FILENO) != 1)
		return kbox_fail(k, KBOX_FAILED, "not in a session "
		    "(K8SHELL_SESSION_ID is not set): give its id");
	if ((r = kbox_sessions_get(k, &list)) != 0)
		return r;
	kbox_table_init(&t, columns, ARRAY_LEN(columns));
	for (v = list->kids; v != NULL; v = v->next) {
		if (!kbox_session_read(k, v, &s) ||
		    strcmp(s.status, "ACTIVE") != 0)
			continue;
		row = kbox_table_add(k, &t, v);
		kbox_row_set(k, row, ID, s.id);
		kbox_row_set(k, row, PID, s.pid);
		kbox_row_set(k, row, SHELL, s.shell);
	}
	if (t.nrows == 0)
		return kbox_fail(k, KBOX_FAILED, "no shell is attached");
	if ((chosen = kbox_pick(k, "Detach which shell?", &t, &r)) < 0)
		return r;
	*id = value_text(t.rows[chosen].value, "id");
	return KBOX_OK;
}

static int
find_attached(struct kbox *k, const char **id)
{
	const char	*own = getenv("K8SHELL_SESSION_ID");

	if (k->nwords > 0)
		return kbox_session_find(k, k->words[0], id);
	if (own == NULL || own[0] == '\0')
		return choose_attached(k, id);
	*id = own;
	return KBOX_OK;
}

/* {"ttl": "30m"}, or NULL: as the daemon is configured. */
static int
ttl_body(struct kbox *k, char **body)
{
	const char	*ttl = k->values[OPT_TTL];
	int64_t		 ns;

	*body = NULL;
	if (ttl == NULL)
		return 0;
	if (str_to_duration(ttl, &ns) < 0 || ns < 0)
		return kbox_fail(k, KBOX_USAGE, "--ttl is a duration such as "
		    "90s, 30m or 12h, or 0 for ever, not \"%s\"", ttl);
	*body = kbox_printf(k, "{\"ttl\":\"%s\"}", ns == 0 ? "0s" : ttl);
	return 0;
}

static bool
is_running(struct kbox *k, const char *id)
{
	const struct value	*list, *v;
	struct kbox_session	 s;

	if (kbox_sessions_get(k, &list) != KBOX_OK)
		return true;		/* who knows */
	for (v = list->kids; v != NULL; v = v->next)
		if (kbox_session_read(k, v, &s) && strcmp(s.id, id) == 0)
			return true;
	return false;
}

int
kbox_detach(struct kbox *k)
{
	struct kbox_request	 q = { .method = "POST" };
	struct kbox_answer	 a;
	const char		*id = NULL;
	char			*body;
	int			 r;

	if ((r = ttl_body(k, &body)) != 0 || (r = find_attached(k, &id)) != 0)
		return r;
	if ((q.target = kbox_route(k, "shells", id, "/detach")) == NULL)
		return KBOX_USAGE;
	q.body = body;
	r = kbox_call(k, &q, &a);
	/* Any refusal of detach is a 400, as old clients know it. */
	if (r == KBOX_FAILED && a.status == 400 && !is_running(k, id))
		r = KBOX_NOT_FOUND;
	if (r != KBOX_OK)
		return r;
	printf("Detached from %s; it keeps running.\n"
	    "kbox attach %s brings it back.\n", kbox_clean(k, id),
	    kbox_clean(k, id));
	return KBOX_OK;
}
