/*
 * One connection of the workspace API: requests one after the other, each
 * answered before the next is looked at.  What a peer sent ahead waits in
 * conn's buffer, and when that is full, in the socket.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn.h"
#include "svc/rest_impl.h"

/* ---- places ---- */

static size_t *
count_of(struct rest_conn *c)
{
	if (c->refused != 0)
		return &c->rest->nrefused;
	return c->lasting ? &c->rest->nlasting : &c->rest->nconns;
}

static void
set_lasting(struct rest_conn *c, bool lasting)
{
	(*count_of(c))--;
	c->lasting = lasting;
	(*count_of(c))++;
}

bool
rest_lasts(struct rest_conn *c)
{
	if (c->rest->nlasting >= REST_LASTING_MAX) {
		c->rest->counts.refused_lasting++;
		c->full = true;
		rest_error(c, 503, "%d requests follow a log, wait or are "
		    "attached already", REST_LASTING_MAX);
		return false;
	}
	set_lasting(c, true);
	return true;
}

bool
rest_may_last(struct rest_conn *c)
{
	if (c->lasting || c->rest->nconns <= REST_SLOW_MAX)
		return true;
	if (c->rest->nlasting >= REST_LASTING_MAX)
		return false;
	set_lasting(c, true);
	return true;
}

/*
 * Who comes back from where the places do not count may not fill those that
 * do.  So he takes one before he is told that he may stay; at the end of a
 * stream, hours later, there may be none.
 */
void
rest_conn_settle(struct rest_conn *c)
{
	if (!c->lasting)
		return;
	if (c->source != NULL || c->rest->nconns >= REST_SLOW_MAX)
		c->keep = false;
	if (c->keep)
		set_lasting(c, false);
}

/* ---- the end ---- */

static void
on_free(void *arg)
{
	struct rest_conn	*c = arg;

	buf_finish(&c->body);
	buf_finish(&c->head);
	buf_finish(&c->answer);
	free(c);
}

/* The handler's part is over. */
static void
leave_handler(struct rest_conn *c)
{
	const struct rest_source	*source = c->source;
	const struct rest_raw		*raw = c->raw;
	void				(*gone)(void *arg) = c->gone;

	c->source = NULL;
	c->raw = NULL;
	c->gone = NULL;
	if (source != NULL)
		source->closed(c->fn_arg);
	if (raw != NULL)
		raw->closed(c->fn_arg);
	if (gone != NULL)
		gone(c->fn_arg);
}

static void
on_closed(void *arg, int why, const char *reason)
{
	struct rest_conn	*c = arg;

	if (why < 0 && c->begun)
		log_debug("rest", "uid %u: %s", c->uid, reason);
	c->conn = NULL;
	loop_timer_clear(&c->timer);
	*c->prevp = c->next;
	if (c->next != NULL)
		c->next->prevp = c->prevp;
	(*count_of(c))--;
	leave_handler(c);
	loop_later(c->rest->loop, &c->free_task);
}

static void
finish(struct rest_conn *c)
{
	c->state = REST_ENDED;
	loop_timer_clear(&c->timer);
	conn_finish(c->conn);
}

void
rest_conn_close(struct rest_conn *c)
{
	conn_close(c->conn, 0);
}

void
rest_conn_stop(struct rest_conn *c)
{
	c->keep = false;		/* sources know when they end */
	if (c->state == REST_READING)
		finish(c);
}

/* ---- a request ---- */

static void
await_request(struct rest_conn *c)
{
	c->state = REST_READING;
	c->begun = false;
	c->keep = true;
	c->full = false;
	c->route = NULL;
	buf_finish(&c->body);
	buf_finish(&c->answer);
	buf_init(&c->answer, REST_ANSWER_MAX);
	conn_set_times(c->conn, 0, c->rest->opt.idle_ms);
	http1_init_request(&c->http, REST_BODY_MAX);
	loop_timer_set(c->rest->loop, &c->timer,
	    loop_now(c->rest->loop) + c->rest->opt.idle_ms);
}

static void
on_timer(void *arg)
{
	struct rest_conn	*c = arg;

	conn_close(c->conn, -ETIMEDOUT);
}

/* From its first byte a request has a time of its own, whatever trickles. */
static void
begin(struct rest_conn *c)
{
	c->begun = true;
	loop_timer_set(c->rest->loop, &c->timer,
	    loop_now(c->rest->loop) + c->rest->opt.idle_ms);
}

static bool
has_body(const struct http1 *h)
{
	return h->chunked || h->length > 0;
}

/* The answer of somebody who is not served: nothing else was looked at. */
static void
turn_away(struct rest_conn *c)
{
	c->keep = false;
	c->full = c->refused == 503;
	if (c->refused == 403)
		rest_error(c, 403, "only the workspace user may ask");
	else
		rest_error(c, 503, "more than %d connections at once",
		    REST_CONNS_MAX);
}

/* RFC 9110 10.1.1 */
static void
expect(struct rest_conn *c)
{
	if (c->http.old || http1_field(&c->http, "expect") == NULL)
		return;
	if (!http1_lists(&c->http, "expect", "100-continue")) {
		c->keep = false;
		rest_error(c, 417, "what is expected is not known");
		return;
	}
	if (!has_body(&c->http) || http1_put_status(&c->head, 100) < 0 ||
	    http1_put_end(&c->head) < 0)
		return;
	conn_kick(c->conn);
}

/*
 * Who is asking, and what for, is settled before a byte of the body is.  A
 * body that nobody will read ends the connection.
 */
static void
on_head(struct rest_conn *c)
{
	bool	keep = http1_keep_alive(&c->http) && !c->rest->stopping;

	c->keep = keep && !has_body(&c->http);
	if (c->refused != 0) {
		turn_away(c);
	} else if (rest_find_route(c)) {
		c->keep = keep;
		expect(c);
	}
}

static void
on_body(struct rest_conn *c)
{
	if ((c->route->flags & REST_BODY) == 0)
		return;
	if (buf_put(&c->body, c->http.data, c->http.len) < 0) {
		c->keep = false;
		rest_error(c, 500, "out of memory");
	}
}

static void
on_request(struct rest_conn *c)
{
	loop_timer_clear(&c->timer);
	if ((c->route->flags & REST_AUDIT) != 0)
		log_info("rest", "%s %.*s by uid %u, pid %d", c->http.method,
		    (int)strcspn(c->http.target, "?"), c->http.target, c->uid,
		    (int)c->pid);
	if ((c->route->flags & REST_LASTS) == 0 || rest_lasts(c))
		c->route->fn(c);
}

/* One event of the parser; false: nothing more for now. */
static bool
advance(struct rest_conn *c, struct buf *in)
{
	int	r = http1_parse(&c->http, in);

	switch (r) {
	case HTTP1_MORE:
		return false;
	case HTTP1_HEAD:
		on_head(c);
		return true;
	case HTTP1_BODY:
		on_body(c);
		return true;
	case HTTP1_DONE:
		on_request(c);
		return true;
	default:
		c->keep = false;
		if (c->refused != 0)
			turn_away(c);
		else
			rest_error(c, c->http.refusal, "%s",
			    c->http.error);
		return false;
	}
}

static int
on_input(void *arg, struct buf *in)
{
	struct rest_conn	*c = arg;
	int			 r = 0;

	if (in->len > 0 && c->state == REST_READING && !c->begun)
		begin(c);
	while (c->conn != NULL && c->state == REST_READING && advance(c, in))
		;
	if (c->conn == NULL)
		return 0;
	if (c->state == REST_RAW && in->len > 0)
		r = c->raw->input(c->fn_arg, in);
	if (c->conn == NULL)
		return 0;
	c->left = in->len > 0;
	if (c->state == REST_READING && c->eof)
		finish(c);
	return r;
}

/* ---- an answer ---- */

void
rest_conn_send(struct rest_conn *c)
{
	c->state = REST_ANSWERING;
	loop_timer_clear(&c->timer);
	c->gone = NULL;
	conn_kick(c->conn);
}

/* All of it is on its way: the next request, which may be here already. */
static void
answered(struct rest_conn *c)
{
	if (!c->keep) {
		finish(c);
		return;
	}
	buf_trim(&c->head);
	await_request(c);
	if (c->left)
		conn_resume(c->conn);
	else if (c->eof)
		finish(c);
}

static void
end_stream(struct rest_conn *c)
{
	leave_handler(c);
	if (!c->http.old)
		c->tail = true;
}

/* HTTP/1.0 knows no chunks: there the end is the end of the connection. */
static int
put_piece(struct rest_conn *c, struct buf *out)
{
	const struct buf	*a = &c->answer;

	if (c->http.old)
		return buf_put(out, buf_head(a), a->len);
	return http1_put_chunk(out, buf_head(a), a->len);
}

static void
fill_stream(struct rest_conn *c, struct buf *out)
{
	bool	more = true;

	while (more && buf_room(out) >= CONN_OUT_SLACK) {
		more = c->source->fill(c->fn_arg, &c->answer);
		if (c->answer.len == 0)
			break;
		if (put_piece(c, out) < 0) {
			conn_close(c->conn, -ENOMEM);
			return;
		}
		buf_clear(&c->answer);
	}
	if (!more)
		end_stream(c);
}

static void
on_output(void *arg, struct buf *out)
{
	struct rest_conn	*c = arg;

	if (buf_move(out, &c->head, c->head.len, NULL) < 0) {
		conn_close(c->conn, -ENOMEM);
		return;
	}
	if (c->head.len > 0)
		return;
	if (c->source != NULL)
		fill_stream(c, out);
	else if (c->raw != NULL)
		c->raw->output(c->fn_arg, out);
	else if (buf_move(out, &c->answer, c->answer.len, NULL) < 0)
		conn_close(c->conn, -ENOMEM);
	if (c->conn == NULL)
		return;
	if (c->tail && http1_put_chunk(out, NULL, 0) == 0)
		c->tail = false;
	if (c->source != NULL || c->raw != NULL || c->tail ||
	    c->answer.len > 0)
		return;
	if (c->state == REST_STREAMING || c->state == REST_ANSWERING)
		answered(c);
}

/* ---- events of the socket ---- */

static void
on_ready(void *arg)
{
	(void)arg;
}

/*
 * "printf ... | nc -U": a request may be answered after its sender has ended.
 * A stream or a terminal whose reader has gone is over, and so is an answer
 * that nobody can get any more.
 */
static void
on_eof(void *arg)
{
	struct rest_conn	*c = arg;

	c->eof = true;
	if (c->state == REST_READING)
		finish(c);
	else if (c->state == REST_STREAMING || c->state == REST_RAW ||
	    (c->state == REST_WAITING && conn_lost(c->conn)))
		conn_close(c->conn, 0);
}

static const struct conn_ops ops = {
	.ready = on_ready, .input = on_input, .output = on_output,
	.eof = on_eof, .closed = on_closed,
};

/* Status for everything this peer asks, or 0. */
static unsigned
judge(struct rest *r, const struct ucred *cred)
{
	uint32_t	skipped;

	if (cred->uid != 0 && cred->uid != r->opt.owner_uid) {
		r->counts.refused_uid++;
		if (log_allow(&r->refusals, loop_now(r->loop), &skipped))
			log_warn("rest", "uid %u, pid %d refused (%u more)",
			    cred->uid, (int)cred->pid, skipped);
		return 403;
	}
	if (r->nconns < REST_CONNS_MAX)
		return 0;
	r->counts.refused_busy++;
	return 503;
}

static void
link_conn(struct rest *r, struct rest_conn *c)
{
	c->prevp = &r->conns;
	c->next = r->conns;
	if (r->conns != NULL)
		r->conns->prevp = &c->next;
	r->conns = c;
	(*count_of(c))++;
	r->counts.conns_total++;
}

static struct rest_conn *
conn_new(struct rest *r, const struct ucred *cred, unsigned refused)
{
	struct rest_conn	*c;

	if ((c = calloc(1, sizeof *c)) == NULL)
		return NULL;
	c->rest = r;
	c->uid = cred->uid;
	c->pid = cred->pid;
	c->refused = refused;
	c->timer = (struct loop_timer){ .fn = on_timer, .arg = c };
	c->free_task = (struct loop_task){ .fn = on_free, .arg = c };
	buf_init(&c->body, REST_BODY_MAX);
	buf_init(&c->head, REST_HEAD_MAX + HTTP1_HEAD_MAX);
	return c;
}

void
rest_accept(void *arg, int fd)
{
	struct rest		*r = arg;
	struct rest_conn	*c = NULL;
	struct ucred		 cred;
	socklen_t		 len = sizeof cred;
	unsigned		 refused;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
		close(fd);
		return;
	}
	refused = judge(r, &cred);
	if ((refused != 0 && r->nrefused >= REST_REFUSED_MAX) ||
	    (c = conn_new(r, &cred, refused)) == NULL) {
		close(fd);
		return;
	}
	if (conn_create(&c->conn, r->loop, fd, false, NULL, &ops, c) < 0) {
		on_free(c);
		return;
	}
	link_conn(r, c);
	await_request(c);
}

/* ---- streams and terminals ---- */

void
rest_more(struct rest_conn *c)
{
	conn_kick(c->conn);
}

void
rest_resume(struct rest_conn *c)
{
	conn_resume(c->conn);
}

void
rest_pause(struct rest_conn *c)
{
	conn_pause(c->conn);
}

bool
rest_hung_up(const struct rest_conn *c)
{
	return conn_hung_up(c->conn);
}

void
rest_end(struct rest_conn *c)
{
	if (c->state == REST_STREAMING && c->source != NULL) {
		end_stream(c);
		conn_kick(c->conn);
	} else if (c->state == REST_RAW) {
		finish(c);
	}
}
