/*
 * Shells: what runs, its size, its end.  Whoever gets here is the workspace
 * user or root, and every session of this daemon is theirs (T15).
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/rfc3339.h"
#include "svc/rest_impl.h"
#include "svc/svc.h"
#include "workspace/session.h"
#include "workspace/stream.h"
#include "workspace/task.h"

#define CELLS_MAX	65535	/* struct winsize has 16 bits */
#define END_POLL_MS	20
#define END_MAX_MS	(TASK_HANGUP_MS + 2000)	/* SIGHUP, SIGKILL, reap */

/* ---- GET /shells ---- */

struct listing {
	struct json_out	 json;
	bool		 all;
};

void
rest_put_session(struct json_out *o, const struct session_info *info)
{
	char	text[RFC3339_LEN];

	json_put_string(o, "id", info->id);
	json_put_string(o, "cmd_shell", info->shell);
	json_put_int(o, "pid", info->pid);
	rfc3339_format(info->created, text);
	json_put_string(o, "created", text);
	text[0] = '\0';
	if (info->detached_at != 0 && !info->attached)
		rfc3339_format(info->detached_at, text);
	json_put_string(o, "detached_at", text);
	json_put_string(o, "user", info->user);
	json_put_bool(o, "pty", info->pty);
	json_put_bool(o, "attached", info->attached);
	if (info->ttl_left_ms >= 0)
		json_put_int(o, "ttl_seconds",
		    (info->ttl_left_ms + 999) / 1000);
}

static bool
put_session(void *arg, const struct session_info *info)
{
	struct listing	*l = arg;

	if (!l->all && (!info->pty || info->attached))
		return true;
	json_put_object(&l->json, NULL);
	rest_put_session(&l->json, info);
	json_put_end(&l->json, '}');
	return true;
}

/* The detached ones, whom one can attach to; all=true: every shell. */
void
rest_shells(struct rest_conn *c)
{
	struct listing	l = { .all = rest_query_true(c, "all") };

	json_out_init(&l.json, &c->answer);
	json_put_array(&l.json, NULL);
	sessions_each(c->rest->opt.svc->sessions, "", put_session, &l);
	json_put_end(&l.json, ']');
	rest_json(c, 200, &l.json);
}

/* ---- POST /shells/{id}/resize ---- */

struct size {
	int64_t	 width, height;
};

/* {"width": 80, "height": 24}; other keys are somebody else's. */
static int
read_size(const struct buf *body, struct size *size)
{
	struct json	 j;
	enum json_type	 t;
	int64_t		*v;

	*size = (struct size){ 0 };
	json_init(&j, buf_head(body), body->len);
	if (json_next(&j) != JSON_OBJECT)
		return -EINVAL;
	while ((t = json_next(&j)) == JSON_KEY) {
		v = json_is(&j, "width") ? &size->width :
		    json_is(&j, "height") ? &size->height : NULL;
		t = json_next(&j);
		if (v != NULL ? t != JSON_NUMBER || json_int(&j, v) < 0 ||
		    *v < 1 || *v > UINT32_MAX : json_skip(&j, t) < 0)
			return -EINVAL;
		if (v != NULL && *v > CELLS_MAX)
			*v = CELLS_MAX;
	}
	if (t != JSON_OBJECT_END || json_next(&j) != JSON_END ||
	    size->width == 0 || size->height == 0)
		return -EINVAL;
	return 0;
}

void
rest_shell_resize(struct rest_conn *c)
{
	struct session	*ss;
	struct size	 size;
	int		 r;

	if (read_size(&c->body, &size) < 0) {
		rest_error(c, 400, "the body is not {\"width\": COLUMNS, "
		    "\"height\": ROWS}");
		return;
	}
	ss = session_by_id(c->rest->opt.svc->sessions, c->arg);
	if (ss == NULL) {
		rest_error(c, 400, "no session %s", c->arg);
		return;
	}
	r = session_resize(ss, (uint32_t)size.width, (uint32_t)size.height);
	if (r < 0)
		rest_error(c, 400, "session %s: %s", c->arg,
		    r == -ENOTTY ? "it has no terminal" : strerror(-r));
	else
		rest_empty(c, 204);
}

/* ---- DELETE /shells/{id} ---- */

/* Waits for a session to be gone. */
struct killing {
	struct rest_conn	*conn;
	struct session		*session;	/* only compared */
	char			 id[REST_ARG_MAX];
	struct loop_timer	 timer;
	uint64_t		 kill_ms, end_ms;
};

static void
killing_gone(void *arg)
{
	struct killing	*k = arg;

	loop_timer_clear(&k->timer);
	free(k);
}

static void
killing_done(struct killing *k, bool gone)
{
	if (gone)
		rest_empty(k->conn, 204);
	else
		rest_error(k->conn, 500, "session %s is still there", k->id);
	free(k);
}

static void
killing_poll(void *arg)
{
	struct killing	*k = arg;
	struct rest	*r = k->conn->rest;
	struct session	*ss = session_by_id(r->opt.svc->sessions, k->id);
	uint64_t	 now = loop_now(r->loop);

	if (ss == NULL || ss != k->session || now >= k->end_ms) {
		killing_done(k, ss == NULL || ss != k->session);
		return;
	}
	if (now >= k->kill_ms) {
		session_signal(ss, SIGKILL);
		k->kill_ms = k->end_ms;
	}
	loop_timer_set(r->loop, &k->timer, now + END_POLL_MS);
}

void
rest_shell_end(struct rest_conn *c)
{
	struct rest	*r = c->rest;
	struct session	*ss = session_by_id(r->opt.svc->sessions, c->arg);
	struct killing	*k;

	if (ss == NULL) {
		rest_error(c, 404, "no session %s", c->arg);
		return;
	}
	if ((k = calloc(1, sizeof *k)) == NULL) {
		rest_error(c, 503, "out of memory");
		return;
	}
	k->conn = c;
	k->session = ss;
	memcpy(k->id, c->arg, sizeof k->id);
	k->kill_ms = loop_now(r->loop) + TASK_HANGUP_MS;
	k->end_ms = loop_now(r->loop) + END_MAX_MS;
	k->timer.fn = killing_poll;
	k->timer.arg = k;
	session_unexpect(ss);
	session_hang_up(ss);
	loop_timer_set(r->loop, &k->timer, loop_now(r->loop));
	(void)rest_may_last(c);		/* if not, some seconds are bearable */
	rest_wait(c, killing_gone, k);
}
