/*
 * client - the connection of a gRPC client: conn <-> h2, and its end.
 *
 * The session dies in teardown() only, never while it is on the stack.  A
 * connection that is lost lets paused calls keep what has arrived for them:
 * lost() waits until they are done.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/conn.h"
#include "net/tls.h"
#include "rpc/client_impl.h"

static void	settle(struct grpc_client *cl);

/* -- events of the h2 session --------------------------------------------- */

static void
on_headers(void *arg, struct h2_stream *s, const struct hpack_list *list,
    bool end)
{
	(void)arg;
	if (h2_stream_arg(s) != NULL)
		out_headers(h2_stream_arg(s), list, end);
}

static void
on_data(void *arg, struct h2_stream *s, const uint8_t *p, size_t n, bool end)
{
	(void)arg;
	if (h2_stream_arg(s) != NULL)
		out_data(h2_stream_arg(s), p, n, end);
	else if (n > 0)
		h2_consume(s, n);
}

static void
on_writable(void *arg, struct h2_stream *s)
{
	(void)arg;
	if (h2_stream_arg(s) != NULL)
		out_writable(h2_stream_arg(s));
}

static void
on_stream_closed(void *arg, struct h2_stream *s, uint32_t code)
{
	(void)arg;
	if (h2_stream_arg(s) != NULL)
		out_closed(h2_stream_arg(s), code);
}

static void
on_goaway(void *arg, uint32_t last, uint32_t code)
{
	struct grpc_client	*cl = arg;

	(void)last;
	(void)code;
	cl->leaving = true;
}

static const struct h2_ops session_ops = {
	.headers = on_headers,
	.data = on_data,
	.writable = on_writable,
	.closed = on_stream_closed,
	.goaway = on_goaway,
};

/* -- the end -------------------------------------------------------------- */

static void
client_free(void *arg)
{
	struct grpc_client	*cl = arg;

	arena_finish(&cl->decoded);
	buf_finish(&cl->scratch);
	free(cl->authority);
	free(cl);
}

static void
set_reason(struct grpc_client *cl, const char *why)
{
	if (cl->reason[0] == '\0')
		snprintf(cl->reason, sizeof cl->reason, "%s", why);
}

static struct grpc_out_call *
unfinished(const struct grpc_client *cl)
{
	struct grpc_out_call	*c;

	for (c = cl->calls; c != NULL && c->final; )
		c = c->next;
	return c;
}

/* Bytes will not move any more; calls may still have some to deliver. */
static void
teardown(struct grpc_client *cl)
{
	struct grpc_out_call	*c;

	if (cl->torn)
		return;
	assert(cl->busy == 0);
	cl->torn = true;
	loop_timer_clear(&cl->timer);
	loop_later_cancel(cl->loop, &cl->again);
	cl->busy++;
	/* done() may end any other call: start again each time. */
	while ((c = unfinished(cl)) != NULL) {
		c->busy++;
		out_end(c, GRPC_UNAVAILABLE, cl->reason);
		out_release(c);
	}
	if (cl->h2 != NULL)
		h2_destroy(cl->h2);
	cl->h2 = NULL;
	cl->busy--;
	if (!cl->lost)
		conn_close(cl->conn, 0);
}

/* Everything is over: tell the owner, or free what he left behind. */
static void
conclude(struct grpc_client *cl)
{
	if (!cl->torn || cl->calls != NULL || cl->busy > 0)
		return;
	if (!cl->dead && !cl->told) {
		cl->told = true;
		cl->busy++;
		cl->ops->lost(cl->arg, cl->reason);
		cl->busy--;
	}
	if (cl->dead)
		loop_later(cl->loop, &cl->die);
}

static void
schedule(struct grpc_client *cl)
{
	uint64_t	due = cl->h2 != NULL ? h2_deadline(cl->h2) : UINT64_MAX;

	if (cl->finishing || due >= cl->armed_ms)
		return;
	cl->armed_ms = due;
	loop_timer_set(cl->loop, &cl->timer, due);
}

/* GOAWAY goes out, then the connection ends. */
static void
stop_session(struct grpc_client *cl, const char *why)
{
	set_reason(cl, why);
	if (cl->stopping)
		return;
	cl->stopping = true;
	if (cl->h2 == NULL) {
		conn_close(cl->conn, 0);
		return;
	}
	h2_terminate(cl->h2, H2_NO_ERROR, "client shutdown");
	conn_kick(cl->conn);
}

static void
settle(struct grpc_client *cl)
{
	if (cl->busy > 0)
		return;
	if (cl->lost && !cl->torn)
		teardown(cl);
	if (cl->torn) {
		conclude(cl);
		return;
	}
	if (cl->h2 == NULL)
		return;
	if (!cl->stopping && h2_reason(cl->h2) != NULL) {
		set_reason(cl, h2_reason(cl->h2));
		cl->stopping = true;
		conn_kick(cl->conn);
	}
	if (cl->leaving && h2_stream_count(cl->h2) == 0)
		stop_session(cl, "the server is shutting down");
	if (cl->stopping && !cl->finishing && !h2_wants_send(cl->h2)) {
		cl->finishing = true;
		conn_finish(cl->conn);
		if (cl->dead)
			loop_later(cl->loop, &cl->again);
	}
	schedule(cl);
}

void
client_leave(struct grpc_client *cl)
{
	cl->busy--;
	if (!cl->torn && cl->h2 != NULL && h2_wants_send(cl->h2))
		conn_kick(cl->conn);
	settle(cl);
}

static void
on_timer(void *arg)
{
	struct grpc_client	*cl = arg;

	cl->armed_ms = UINT64_MAX;
	if (cl->h2 == NULL || cl->finishing)
		return;
	cl->busy++;
	h2_tick(cl->h2, loop_now(cl->loop));
	client_leave(cl);
}

/* -- events of the byte stream -------------------------------------------- */

static void
on_ready(void *arg)
{
	struct grpc_client	*cl = arg;
	struct h2_limits	 limits;

	h2_limits_default(&limits);
	if (cl->patience_ms != 0)
		limits.preface_ms = limits.settings_ack_ms = cl->patience_ms;
	cl->h2 = h2_create(false, &limits, &session_ops, cl,
	    loop_now(cl->loop));
	if (cl->h2 == NULL) {
		conn_close(cl->conn, -ENOMEM);
		return;
	}
	conn_resume(cl->conn);		/* bytes may have come before */
	schedule(cl);
}

static void
go_on(struct grpc_client *cl)
{
	if (cl->backlog && !h2_recv_paused(cl->h2))
		loop_later(cl->loop, &cl->again);
}

static int
on_input(void *arg, struct buf *in)
{
	struct grpc_client	*cl = arg;
	size_t			 used = 0;
	int			 r;

	if (cl->stopping) {
		buf_clear(in);
		return 0;
	}
	if (cl->h2 == NULL || cl->lost)
		return 0;
	cl->busy++;
	r = h2_recv(cl->h2, buf_head(in), in->len, &used, loop_now(cl->loop));
	buf_drain(in, used);
	cl->backlog = r == 0 && in->len > 0;
	go_on(cl);
	if (!cl->ready && r == 0 && h2_peer_ready(cl->h2)) {
		cl->ready = true;
		if (!cl->dead && cl->ops->ready != NULL)
			cl->ops->ready(cl->arg);
	}
	client_leave(cl);
	return r == -EPROTO ? 0 : r;	/* then the GOAWAY has to go out */
}

static void
on_output(void *arg, struct buf *out)
{
	struct grpc_client	*cl = arg;

	if (cl->h2 == NULL)
		return;
	cl->busy++;
	h2_send(cl->h2, out);
	go_on(cl);
	cl->busy--;
	settle(cl);
}

static void
on_closed(void *arg, int why, const char *reason)
{
	struct grpc_client	*cl = arg;

	set_reason(cl, why < 0 ? reason : "connection closed by the server");
	cl->lost = true;
	settle(cl);
}

static const struct conn_ops byte_ops = {
	.ready = on_ready,
	.input = on_input,
	.output = on_output,
	.closed = on_closed,
};

/*
 * Input is left, or the owner is gone and so is the GOAWAY: then nobody waits
 * for the server's end, and a loop that is destroyed next leaves nothing
 * behind.
 */
static void
on_again(void *arg)
{
	struct grpc_client	*cl = arg;

	if (cl->torn)
		return;
	if (!cl->finishing)
		conn_resume(cl->conn);
	else if (cl->dead && conn_queued(cl->conn) == 0)
		conn_close(cl->conn, 0);
}

/* -- create and destroy --------------------------------------------------- */

int
grpc_client_create(struct grpc_client **out, struct loop *l, int fd,
    bool connecting, struct tls *tls, const char *authority,
    const struct grpc_client_ops *ops, void *arg)
{
	struct grpc_client	*cl = calloc(1, sizeof *cl);
	struct conn		*conn = NULL;
	int			 r;

	if (cl == NULL || (cl->authority = strdup(authority)) == NULL) {
		tls_destroy(tls);
		close(fd);
		free(cl);
		return -ENOMEM;
	}
	cl->loop = l;
	cl->ops = ops;
	cl->arg = arg;
	cl->tls = tls != NULL;
	cl->armed_ms = UINT64_MAX;
	cl->timer.fn = on_timer;
	cl->again.fn = on_again;
	cl->die.fn = client_free;
	cl->timer.arg = cl->again.arg = cl->die.arg = cl;
	arena_init(&cl->decoded, OUT_DECODED_MAX);
	buf_init(&cl->scratch, H2_PIECE_MAX);
	r = conn_create(&conn, l, fd, connecting, tls, &byte_ops, cl);
	if (r < 0) {
		client_free(cl);
		return r;
	}
	cl->conn = conn;
	*out = cl;
	return 0;
}

void
grpc_client_set_patience(struct grpc_client *cl, uint32_t ms)
{
	cl->patience_ms = ms;
	conn_set_times(cl->conn, ms, 0);
}

void
grpc_client_destroy(struct grpc_client *cl)
{
	struct grpc_out_call	*c;

	if (cl == NULL || cl->dead)
		return;
	cl->dead = true;
	cl->busy++;
	while ((c = cl->calls) != NULL) {
		c->busy++;
		c->paused = false;
		buf_clear(&c->held);
		out_end(c, GRPC_CANCELLED, "client is closing");
		out_forget(c);
		out_release(c);
	}
	cl->busy--;
	if (!cl->torn)
		stop_session(cl, "client is closing");
	if (cl->finishing)
		loop_later(cl->loop, &cl->again);
	settle(cl);
}

void
grpc_client_abort(struct grpc_client *cl)
{
	if (cl == NULL)
		return;
	grpc_client_destroy(cl);
	if (!cl->lost)			/* it is freed when the turn ends */
		conn_close(cl->conn, 0);
}
