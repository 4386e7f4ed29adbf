/*
 * POST /shells: a shell of the caller, who attaches to it afterwards.
 *
 * {"name", "command", "cwd": text, "env": {NAME: text}, "width", "height"},
 * all of it optional.  It starts attached to this request and is detached as
 * soon as it runs.  Should it end before the caller is back to attach to it,
 * its output waits for him.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"
#include "base/rfc3339.h"
#include "base/str.h"
#include "svc/rest_impl.h"
#include "svc/svc.h"
#include "workspace/account.h"
#include "workspace/session.h"
#include "workspace/stream.h"

#define MEM_MAX		(256u * 1024)	/* of a body of 64 KiB */
#define CELLS_MAX	65535

struct wish {
	struct arena	 arena;
	const char	*name, *command, *cwd;	/* NULL: not said */
	char		*env[ACCOUNT_ENV_MAX];
	size_t		 nenv;
	uint32_t	 cols, rows;
};

/* ---- the body ---- */

static char *
read_text(struct wish *w, const struct json *j)
{
	char	*s = arena_alloc(&w->arena, j->len + 1);

	if (s == NULL || json_text(j, s, j->len + 1) < 0)
		return NULL;
	return s;
}

/* {"NAME": "value"} */
static int
read_env(struct wish *w, struct json *j)
{
	enum json_type	 t;
	char		*name, *value, *both;
	size_t		 n;

	if (json_next(j) != JSON_OBJECT)
		return -EINVAL;
	while ((t = json_next(j)) == JSON_KEY) {
		if ((name = read_text(w, j)) == NULL || name[0] == '\0' ||
		    strchr(name, '=') != NULL || json_next(j) != JSON_STRING ||
		    (value = read_text(w, j)) == NULL ||
		    w->nenv == ACCOUNT_ENV_MAX)
			return -EINVAL;
		n = strlen(name) + strlen(value) + 2;
		if ((both = arena_alloc(&w->arena, n)) == NULL ||
		    str_format(both, n, "%s=%s", name, value) < 0)
			return -EINVAL;
		w->env[w->nenv++] = both;
	}
	return t == JSON_OBJECT_END ? 0 : -EINVAL;
}

static int
read_cells(struct json *j, uint32_t *cells)
{
	int64_t	v;

	if (json_next(j) != JSON_NUMBER || json_int(j, &v) < 0 || v < 0 ||
	    v > UINT32_MAX)
		return -EINVAL;
	*cells = v > CELLS_MAX ? CELLS_MAX : (uint32_t)v;
	return 0;
}

/* One member; *why is about its value. */
static int
read_member(struct wish *w, struct json *j, const char **why)
{
	const char	**text;

	text = json_is(j, "name") ? &w->name : json_is(j, "command") ?
	    &w->command : json_is(j, "cwd") ? &w->cwd : NULL;
	if (text != NULL) {
		*why = "name, command and cwd are text";
		return json_next(j) == JSON_STRING &&
		    (*text = read_text(w, j)) != NULL ? 0 : -EINVAL;
	}
	*why = "width and height are numbers";
	if (json_is(j, "width"))
		return read_cells(j, &w->cols);
	if (json_is(j, "height"))
		return read_cells(j, &w->rows);
	*why = "env is {\"NAME\": \"value\"}";
	if (json_is(j, "env"))
		return read_env(w, j);
	*why = "not JSON";
	return json_skip(j, json_next(j));
}

static int
read_wish(struct wish *w, const struct buf *body, const char **why)
{
	struct json	 j;
	enum json_type	 t;

	if (body->len == 0)
		return 0;
	json_init(&j, buf_head(body), body->len);
	*why = "the body is not an object";
	if (json_next(&j) != JSON_OBJECT)
		return -EINVAL;
	while ((t = json_next(&j)) == JSON_KEY)
		if (read_member(w, &j, why) < 0)
			return -EINVAL;
	*why = "not JSON";
	if (t != JSON_OBJECT_END || json_next(&j) != JSON_END)
		return -EINVAL;
	*why = "name is not 1 to 128 printable characters without a slash";
	if (w->name != NULL && !stream_id_valid(w->name))
		return -EINVAL;
	*why = "cwd is not absolute";
	if (w->cwd != NULL && w->cwd[0] != '/')
		return -EINVAL;
	*why = "command is empty";
	return w->command != NULL && w->command[0] == '\0' ? -EINVAL : 0;
}

/* ---- starting ---- */

struct starting {
	struct rest_conn *conn;		/* NULL: the caller is gone */
	struct svc	*svc;
	struct session	*session;
	char		 id[STREAM_ID_MAX + 1];
};

/* "sh-k3x9q-7fm2a", as the platform's own look. */
static int
make_id(char *out, size_t outlen)
{
	static const char	set[] = "abcdefghijkmnpqrstuvwxyz23456789";
	uint8_t			r[10];
	char			text[sizeof r + 1] = "";
	size_t			i;

	if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r)
		return -EIO;
	for (i = 0; i < sizeof r; i++)
		text[i] = set[r[i] % (sizeof set - 1)];
	(void)str_format(out, outlen, "sh-%.5s-%s", text, text + 5);
	return 0;
}

static bool
put_info(void *arg, const struct session_info *info)
{
	struct starting	*st = arg;
	struct json_out	 o;

	if (strcmp(info->id, st->id) != 0)
		return true;
	json_out_init(&o, &st->conn->answer);
	json_put_object(&o, NULL);
	rest_put_session(&o, info);
	json_put_end(&o, '}');
	rest_json(st->conn, 201, &o);
	st->conn = NULL;
	return false;
}

static void
on_started(void *arg, const char *tty)
{
	struct starting	*st = arg;

	(void)tty;
	if (session_detach(st->session, SESSION_TTL_RULE) < 0)
		log_error("rest", "session %s: cannot be detached", st->id);
}

static size_t
on_room(void *arg)
{
	(void)arg;
	return 0;		/* for the scrollback, in a moment */
}

static void
on_output(void *arg, const void *p, size_t n)
{
	(void)arg;
	(void)p;
	(void)n;
}

static void
on_writable(void *arg)
{
	(void)arg;
}

static void
on_detached(void *arg)
{
	struct starting	*st = arg;

	st->svc->starting--;
	if (st->conn != NULL)
		sessions_each(st->svc->sessions, "", put_info, st);
	free(st);
}

static void
on_ended(void *arg, const char *why)
{
	struct starting	*st = arg;

	st->svc->starting--;
	if (st->conn != NULL)
		rest_error(st->conn, 500, "%s", why != NULL ? why :
		    "the shell ended at once");
	session_release(st->session);
	free(st);
}

static const struct session_client client = {
	.started = on_started, .room = on_room, .output = on_output,
	.writable = on_writable, .ended = on_ended, .detached = on_detached,
};

/* The shell stays, as it would if he had gone a moment later. */
static void
caller_gone(void *arg)
{
	struct starting	*st = arg;

	st->conn = NULL;
	on_started(st, "");
}

static int
start(struct rest_conn *c, struct starting *st, const struct wish *w,
    const struct account *a)
{
	char			 subject[32];
	struct session_spec	 spec = {
		.id = st->id, .subject = subject, .account = a,
		.fallback_shell = "", .command = w->command, .cwd = w->cwd,
		.env = w->env, .nenv = w->nenv, .pty = true, .cols = w->cols,
		.rows = w->rows, .keep = true, .linger = true,
	};

	(void)str_format(subject, sizeof subject, "uid:%u", c->uid);
	st->conn = c;
	st->svc = c->rest->opt.svc;
	return session_start(st->svc->sessions, &st->session, &spec, &client,
	    st);
}

static void
refuse(struct rest_conn *c, int err, const char *why)
{
	unsigned	status = 500;

	if (err == -EEXIST) {
		status = 409;
		why = "a session of that name is there";
	} else if (err == -EAGAIN || err == -ENOMEM) {
		status = 503;
	} else if (err == -EPERM || err == -EACCES) {
		status = 403;
	}
	rest_error(c, status, "%s", why != NULL ? why : strerror(-err));
}

static void
begin(struct rest_conn *c, const struct wish *w)
{
	struct svc	*svc = c->rest->opt.svc;
	struct starting	*st = NULL;
	struct account	*a = NULL;
	const char	*why = NULL;
	int		 r;

	if (!svc_may_start(svc)) {
		refuse(c, -EAGAIN, "too many starts at once");
		return;
	}
	if ((r = account_resolve(&a, svc->identity, "", &account_files_system,
	    &why)) == 0)
		r = (st = calloc(1, sizeof *st)) == NULL ? -ENOMEM : 0;
	if (r == 0 && w->name != NULL)
		memcpy(st->id, w->name, strlen(w->name) + 1);
	else if (r == 0)
		r = make_id(st->id, sizeof st->id);
	if (r == 0)
		r = start(c, st, w, a);
	account_destroy(a);
	if (r < 0) {
		free(st);
		refuse(c, r, why);
		return;
	}
	svc->starting++;
	rest_wait(c, caller_gone, st);
}

void
rest_shell_start(struct rest_conn *c)
{
	struct wish	*w;
	const char	*why = NULL;

	if (!c->rest->opt.svc->may_detach) {
		rest_error(c, 403, "detaching sessions is disabled "
		    "(shells.allowSessionDetach)");
		return;
	}
	if ((w = calloc(1, sizeof *w)) == NULL) {
		rest_error(c, 503, "out of memory");
		return;
	}
	arena_init(&w->arena, MEM_MAX);
	if (read_wish(w, &c->body, &why) < 0)
		rest_error(c, 400, "%s", why);
	else
		begin(c, w);
	arena_finish(&w->arena);
	free(w);
}
