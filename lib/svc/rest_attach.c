/*
 * POST /shells/{id}/attach: the connection becomes the terminal.
 *
 * The scrollback comes first, then what the shell says; Ctrl+A d, or losing
 * the connection, detaches.  Bytes that came behind the request are typed
 * (T26).  Nothing is read from a client whose bytes the shell doesn't take, so
 * what was read gets there, and if he leaves, the rest does.
 * Source: spec/rest-kbox.md 1.13.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "conf/conf.h"
#include "svc/rest_impl.h"
#include "svc/svc.h"
#include "workspace/session.h"

#define PROTOCOL	"k8shell-pty"
#define OUT_MAX		(64u * 1024)	/* waits for the connection */
#define CELLS_MAX	65535
#define LOOK_MS		200	/* whether a held up client is still there */

struct attach {
	struct rest_conn *conn;
	struct session	*session;	/* NULL: it goes on without us, or is
					 * over */
	struct buf	 out;
	struct loop_timer look;		/* armed while input is held up */
};

/* ---- the session's side ---- */

static void
on_started(void *arg, const char *tty)
{
	(void)arg;
	(void)tty;
}

static size_t
on_room(void *arg)
{
	struct attach	*a = arg;

	return buf_room(&a->out);
}

/* Where memory is out the connection ends and the session stays. */
static void
on_output(void *arg, const void *p, size_t n)
{
	struct attach	*a = arg;

	if (buf_put(&a->out, p, n) < 0)
		rest_conn_close(a->conn);
	else
		rest_more(a->conn);
}

static void
on_writable(void *arg)
{
	struct attach	*a = arg;

	loop_timer_clear(&a->look);
	rest_resume(a->conn);
}

static void
on_detached(void *arg)
{
	struct attach	*a = arg;

	a->session = NULL;
	on_writable(a);
	rest_more(a->conn);	/* says goodbye behind what is left */
}

static void
on_ended(void *arg, const char *why)
{
	struct attach	*a = arg;

	(void)why;
	session_release(a->session);
	on_detached(a);
}

static const struct session_client client = {
	.started = on_started, .room = on_room, .output = on_output,
	.writable = on_writable, .ended = on_ended, .detached = on_detached,
};

/* ---- the connection's side ---- */

static void hold_up(struct attach *a);

/* Nothing he left in the socket is more than a socket holds. */
static void
on_look(void *arg)
{
	struct attach	*a = arg;

	if (a->session != NULL && rest_hung_up(a->conn)) {
		session_input_rest(a->session);
		rest_resume(a->conn);
	} else {
		hold_up(a);
	}
}

static void
hold_up(struct attach *a)
{
	struct loop	*l = a->conn->rest->loop;

	rest_pause(a->conn);
	loop_timer_set(l, &a->look, loop_now(l) + LOOK_MS);
}

/* All of it in any case: what stays here would be lost with the client. */
static int
raw_input(void *arg, struct buf *in)
{
	struct attach	*a = arg;
	int		 r;

	if (a->session != NULL) {
		r = session_input(a->session, buf_head(in), in->len);
		if (r < 0 && r != -EPIPE)
			return r;
	}
	buf_clear(in);
	if (a->session != NULL && session_input_full(a->session))
		hold_up(a);
	return 0;
}

static void
raw_output(void *arg, struct buf *out)
{
	struct attach	*a = arg;
	size_t		 moved;

	if (buf_move(out, &a->out, a->out.len, &moved) < 0) {
		rest_conn_close(a->conn);
		return;
	}
	if (a->session == NULL && a->out.len == 0)
		rest_end(a->conn);
	else if (a->session != NULL && moved > 0)
		session_resume(a->session);
}

static void
raw_closed(void *arg)
{
	struct attach	*a = arg;

	loop_timer_clear(&a->look);
	if (a->session != NULL)
		session_lost(a->session, NULL, NULL);
	buf_finish(&a->out);
	free(a);
}

static const struct rest_raw raw = { raw_input, raw_output, raw_closed };

/* ---- attaching ---- */

/* 0 where it is not said; false after an answer. */
static bool
cells(struct rest_conn *c, const char *name, uint32_t *v)
{
	char	text[16];
	int	r = rest_query(c, name, text, sizeof text);

	*v = 0;
	if (r == 0 || (r == 1 && str_to_u32(text, UINT32_MAX, v) == 0)) {
		if (*v > CELLS_MAX)
			*v = CELLS_MAX;
		return true;
	}
	rest_error(c, 400, "%s is not a number", name);
	return false;
}

static void
refuse(struct rest_conn *c, int err)
{
	switch (err) {
	case -EPERM:
		rest_error(c, 403, "detaching sessions is disabled "
		    "(shells.allowSessionDetach)");
		break;
	case -ENOENT:
		rest_error(c, 404, "no session %s", c->arg);
		break;
	case -ENOTTY:
		rest_error(c, 400, "session %s has no terminal", c->arg);
		break;
	case -EBUSY:
		rest_error(c, 409, "session %s is attached somewhere else",
		    c->arg);
		break;
	default:
		rest_error(c, 500, "session %s: %s", c->arg, strerror(-err));
		break;
	}
}

static int
attach(struct rest_conn *c, struct attach *a, struct session_attach *at)
{
	struct session	*ss;
	int		 r;

	if (!c->rest->opt.svc->may_detach)
		return -EPERM;
	ss = session_by_id(c->rest->opt.svc->sessions, c->arg);
	if (ss == NULL)
		ss = session_lingering(c->rest->opt.svc->sessions, c->arg);
	if (ss == NULL)
		return -ENOENT;
	if ((r = session_attach(ss, at)) == 0)
		a->session = ss;
	return r;
}

void
rest_shell_attach(struct rest_conn *c)
{
	struct session_attach	 at = {
		.client = &client,
		.keep = !c->rest->opt.conf->shells.kill_on_lost_attach,
	};
	struct attach		*a;
	int			 r;

	if (!cells(c, "width", &at.cols) || !cells(c, "height", &at.rows))
		return;
	if ((a = calloc(1, sizeof *a)) == NULL) {
		refuse(c, -ENOMEM);
		return;
	}
	a->conn = c;
	a->look = (struct loop_timer){ .fn = on_look, .arg = a };
	buf_init(&a->out, OUT_MAX);
	at.arg = a;
	if ((r = attach(c, a, &at)) < 0) {
		free(a);
		refuse(c, r);
		return;
	}
	if (rest_upgrade(c, PROTOCOL, &raw, a))
		session_resume(a->session);
}

/* ---- POST /shells/{id}/detach ---- */

/* {"ttl": "30m"}, or nothing; "" is the configuration's. */
static int
read_ttl(const struct buf *body, int64_t *ttl_ms)
{
	struct json	 j;
	enum json_type	 t;
	char		 text[64];
	int64_t		 ns;

	*ttl_ms = SESSION_TTL_RULE;
	if (body->len == 0)
		return 0;
	json_init(&j, buf_head(body), body->len);
	if (json_next(&j) != JSON_OBJECT)
		return -EINVAL;
	while ((t = json_next(&j)) == JSON_KEY) {
		if (!json_is(&j, "ttl")) {
			if (json_skip(&j, json_next(&j)) < 0)
				return -EINVAL;
			continue;
		}
		if (json_next(&j) != JSON_STRING ||
		    json_text(&j, text, sizeof text) < 0)
			return -EINVAL;
		if (text[0] == '\0')
			continue;
		if (str_to_duration(text, &ns) < 0 || ns < 0)
			return -EINVAL;
		*ttl_ms = ns / 1000000 + (ns % 1000000 != 0);
	}
	return t == JSON_OBJECT_END && json_next(&j) == JSON_END ? 0 : -EINVAL;
}

static void
refuse_detach(struct rest_conn *c, int err)
{
	const char	*why = strerror(-err);

	if (err == -EPERM)
		why = "detaching sessions is disabled "
		    "(shells.allowSessionDetach)";
	else if (err == -ENOENT)
		why = "no such session";
	else if (err == -ENOTTY)
		why = "it has no terminal";
	else if (err == -ERANGE)
		why = "the ttl is more than the configuration allows "
		    "(shells.detachedTTL, shells.allowUnlimittedTTL)";
	rest_error(c, 400, "session %s: %s", c->arg, why);
}

void
rest_shell_detach(struct rest_conn *c)
{
	struct svc	*svc = c->rest->opt.svc;
	struct session	*ss = session_by_id(svc->sessions, c->arg);
	int64_t		 ttl_ms;
	int		 r;

	if (read_ttl(&c->body, &ttl_ms) < 0) {
		rest_error(c, 400, "the body is not {\"ttl\": \"30m\"}");
		return;
	}
	if (!svc->may_detach)
		r = -EPERM;
	else if (ss == NULL)
		r = -ENOENT;
	else if ((r = session_detach(ss, ttl_ms)) == -EALREADY)
		r = ttl_ms == SESSION_TTL_RULE ? 0 :
		    session_retain(ss, ttl_ms);
	if (r < 0)
		refuse_detach(c, r);
	else
		rest_empty(c, 204);
}
