/*
 * server_conn - one connection of a gRPC server: bytes between conn and h2,
 * and every reason for it to end.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/conn.h"
#include "net/tls.h"
#include "rpc/route.h"
#include "rpc/server_impl.h"

/* h2_stream_arg() of streams that carry no call. */
static char	plain_stream, routed_stream;

static void	conn_schedule(struct server_conn *sc);
static void	conn_settle(struct server_conn *sc);

void
conn_stream_set_plain(struct h2_stream *s, bool routed)
{
	h2_stream_set_arg(s, routed ? &routed_stream : &plain_stream);
}

static struct grpc_call *
call_of(struct h2_stream *s)
{
	void	*arg = h2_stream_arg(s);

	return arg == &plain_stream || arg == &routed_stream ? NULL : arg;
}

/* -- events of the h2 session --------------------------------------------- */

static void
on_headers(void *arg, struct h2_stream *s, const struct hpack_list *list,
    bool end)
{
	struct server_conn	*sc = arg;
	struct grpc_call	*c = call_of(s);

	sc->active_ms = loop_now(sc->server->loop);
	if (c != NULL)			/* request trailers say nothing */
		call_data(c, NULL, 0, end);
	else if (h2_stream_arg(s) == NULL)
		request_headers(sc, s, list, end);
	else if (end && h2_stream_arg(s) == &routed_stream)
		route_ended(s);
}

static void
on_data(void *arg, struct h2_stream *s, const uint8_t *p, size_t n, bool end)
{
	struct grpc_call	*c = call_of(s);

	(void)arg;
	if (c != NULL)
		call_data(c, p, n, end);
	else if (n > 0)
		h2_consume(s, n);
	if (end && h2_stream_arg(s) == &routed_stream)
		route_ended(s);
}

static void
on_writable(void *arg, struct h2_stream *s)
{
	struct grpc_call	*c = call_of(s);

	(void)arg;
	if (c != NULL)
		call_writable(c);
}

static void
on_stream_closed(void *arg, struct h2_stream *s, uint32_t code)
{
	struct server_conn	*sc = arg;
	struct grpc_call	*c = call_of(s);

	(void)code;
	sc->active_ms = loop_now(sc->server->loop);
	if (c != NULL)
		call_closed(c);
}

static void
on_goaway(void *arg, uint32_t last, uint32_t code)
{
	struct server_conn	*sc = arg;

	(void)last;
	(void)code;
	sc->leaving = true;
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
conn_free(void *arg)
{
	free(arg);
}

/*
 * The only place where a session dies.  Calls with unfinished work stay
 * behind without a connection.
 */
void
conn_teardown(struct server_conn *sc)
{
	struct grpc_server	*s = sc->server;
	struct grpc_call	*c;

	if (sc->torn)
		return;
	assert(sc->busy == 0);
	sc->torn = true;
	loop_timer_clear(&sc->timer);
	loop_later_cancel(s->loop, &sc->again);
	if (sc->h2 != NULL)
		h2_destroy(sc->h2);	/* closed() for every stream */
	sc->h2 = NULL;
	while ((c = sc->calls) != NULL) {
		sc->calls = c->next;
		c->next = c->prev = NULL;
		c->conn = NULL;
	}
	if (s->opt.auth.forget != NULL)
		s->opt.auth.forget(s->opt.auth.arg, &sc->peer);
	server_unlink(s, sc);
	if (!sc->lost)
		conn_close(sc->conn, 0);
	loop_later(s->loop, &sc->die);
}

/* The session has failed and told its calls; the GOAWAY still goes out. */
static void
conn_fail(struct server_conn *sc)
{
	sc->failing = true;
	server_noise(sc->server, LOG_WARN, sc->peer.name, h2_reason(sc->h2));
	conn_kick(sc->conn);
}

/* After anything that may have changed what the connection waits for. */
static void
conn_settle(struct server_conn *sc)
{
	bool	over;

	if (sc->lost && sc->busy == 0) {
		conn_teardown(sc);
		return;
	}
	if (sc->torn || sc->h2 == NULL || sc->busy > 0)
		return;
	if (!sc->failing && h2_reason(sc->h2) != NULL)
		conn_fail(sc);
	over = sc->failing || h2_drained(sc->h2) ||
	    (sc->leaving && h2_stream_count(sc->h2) == 0);
	if (over && !sc->finishing && !h2_wants_send(sc->h2)) {
		sc->finishing = true;
		conn_finish(sc->conn);
	}
	conn_schedule(sc);
}

/* -- timers --------------------------------------------------------------- */

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
conn_due(const struct server_conn *sc)
{
	const struct grpc_options	*opt = &sc->server->opt;
	uint64_t			 due = UINT64_MAX;

	if (sc->failing)
		return due;		/* conn times the flush */
	if (!sc->authentic)
		due = sc->accepted_ms + opt->first_token_ms;
	else if (!sc->draining && sc->h2 != NULL &&
	    h2_stream_count(sc->h2) == 0)
		due = sc->active_ms + opt->idle_ms;
	if (sc->h2 != NULL)
		due = earlier(due, h2_deadline(sc->h2));
	if (sc->sweep_ms != 0)
		due = earlier(due, sc->sweep_ms);
	return due;
}

/*
 * Only ever moves the timer forward: most deadlines recede with every frame,
 * and finding out once that nothing is due is cheaper than moving the timer
 * each time.
 */
static void
conn_schedule(struct server_conn *sc)
{
	uint64_t	due = conn_due(sc);

	if (due >= sc->armed_ms || sc->finishing)
		return;
	sc->armed_ms = due;
	loop_timer_set(sc->server->loop, &sc->timer, due);
}

void
conn_sweep_at(struct server_conn *sc, uint64_t due)
{
	if (sc->sweep_ms == 0 || due < sc->sweep_ms) {
		sc->sweep_ms = due;
		conn_schedule(sc);
	}
}

/* Resets the streams of answers nobody has fetched for STALL_MS. */
static void
conn_sweep(struct server_conn *sc, uint64_t now)
{
	struct grpc_call	*c, *next;

	if (sc->sweep_ms == 0 || now < sc->sweep_ms)
		return;
	sc->sweep_ms = 0;
	for (c = sc->calls; c != NULL; c = next) {
		call_hold(c);
		if (c->stream == NULL || c->over_ms == 0)
			;
		else if (c->over_ms + STALL_MS > now)
			conn_sweep_at(sc, c->over_ms + STALL_MS);
		else if (h2_stream_blocked(c->stream))
			h2_reset(c->stream, H2_CANCEL);
		next = c->next;
		call_release(c);
	}
}

static void
conn_on_timer(void *arg)
{
	struct server_conn	*sc = arg;
	const struct grpc_options *opt = &sc->server->opt;
	uint64_t		 now = loop_now(sc->server->loop);

	sc->armed_ms = UINT64_MAX;
	if (sc->finishing)
		return;
	if (sc->h2 == NULL) {		/* not even TLS is up */
		if (now >= sc->accepted_ms + opt->first_token_ms)
			conn_close(sc->conn, -ETIMEDOUT);
		else
			conn_schedule(sc);
		return;
	}
	sc->busy++;
	if (h2_deadline(sc->h2) <= now)
		h2_tick(sc->h2, now);
	if (!sc->authentic && now >= sc->accepted_ms + opt->first_token_ms)
		h2_terminate(sc->h2, H2_NO_ERROR, "no valid call in time");
	else if (sc->authentic && !sc->draining &&
	    h2_stream_count(sc->h2) == 0 &&
	    now >= sc->active_ms + opt->idle_ms)
		conn_drain(sc);
	conn_sweep(sc, now);
	sc->busy--;
	conn_touch(sc);
	conn_settle(sc);
}

void
conn_drain(struct server_conn *sc)
{
	if (sc->h2 == NULL) {
		conn_close(sc->conn, 0);
		return;
	}
	sc->draining = true;
	h2_shutdown(sc->h2);
	conn_kick(sc->conn);
}

/* -- events of the byte stream -------------------------------------------- */

static void
on_ready(void *arg)
{
	struct server_conn	*sc = arg;

	sc->peer.tls = conn_is_tls(sc->conn);
	sc->peer.has_uid = conn_peer_uid(sc->conn, &sc->peer.uid);
	sc->active_ms = loop_now(sc->server->loop);
	sc->h2 = h2_create(true, &sc->server->limits, &session_ops, sc,
	    sc->active_ms);
	if (sc->h2 == NULL) {
		conn_close(sc->conn, -ENOMEM);
		return;
	}
	sc->server->stats.handshakes++;
	conn_resume(sc->conn);		/* bytes may have come before */
	conn_schedule(sc);
}

/*
 * Input is left when the turn's budget was spent, or because the peer does
 * not read our answers: then h2 has to be emptied first.
 */
static void
go_on(struct server_conn *sc)
{
	if (sc->backlog && !sc->stalled && !h2_recv_paused(sc->h2))
		loop_later(sc->server->loop, &sc->again);
}

static int
on_input(void *arg, struct buf *in)
{
	struct server_conn	*sc = arg;
	size_t			 used = 0;
	int			 r;

	if (sc->failing || sc->finishing) {
		buf_clear(in);
		return 0;
	}
	if (sc->h2 == NULL || sc->stalled || sc->lost)
		return 0;
	sc->busy++;
	r = h2_recv(sc->h2, buf_head(in), in->len, &used,
	    loop_now(sc->server->loop));
	sc->server->stats.bytes_in += used;
	buf_drain(in, used);
	sc->backlog = r == 0 && in->len > 0;
	go_on(sc);
	sc->busy--;
	conn_touch(sc);
	conn_settle(sc);
	return r == -EPROTO ? 0 : r;
}

static void
on_output(void *arg, struct buf *out)
{
	struct server_conn	*sc = arg;
	size_t			 before = out->len;

	if (sc->h2 == NULL)
		return;
	sc->busy++;
	h2_send(sc->h2, out);
	sc->server->stats.bytes_out += out->len - before;
	go_on(sc);
	sc->busy--;
	conn_settle(sc);
}

static void
on_closed(void *arg, int why, const char *reason)
{
	struct server_conn	*sc = arg;

	if (why < 0 && !sc->torn && !sc->failing)
		server_noise(sc->server, LOG_INFO, sc->peer.name, reason);
	sc->lost = true;
	conn_settle(sc);
}

static const struct conn_ops byte_ops = {
	.ready = on_ready,
	.input = on_input,
	.output = on_output,
	.closed = on_closed,
};

static void
conn_again(void *arg)
{
	struct server_conn	*sc = arg;

	if (!sc->torn && !sc->stalled)
		conn_resume(sc->conn);
}

void
conn_touch(struct server_conn *sc)
{
	if (!sc->torn && sc->h2 != NULL && h2_wants_send(sc->h2))
		conn_kick(sc->conn);
}

void
conn_stall(struct server_conn *sc)
{
	if (sc->stalled)
		return;
	sc->stalled = true;
	conn_pause(sc->conn);
}

void
conn_unstall(struct server_conn *sc)
{
	if (!sc->stalled)
		return;
	sc->stalled = false;
	loop_later(sc->server->loop, &sc->again);
}

void
conn_is_authentic(struct server_conn *sc)
{
	if (sc->authentic)
		return;
	sc->authentic = true;
	sc->server->nunauth--;
}

void
conn_open(struct grpc_server *s, int fd, struct tls *tls)
{
	struct server_conn	*sc = calloc(1, sizeof *sc);
	struct conn		*conn = NULL;
	int			 r;

	if (sc == NULL) {
		tls_destroy(tls);
		close(fd);
		return;
	}
	sc->server = s;
	sc->armed_ms = UINT64_MAX;
	sc->accepted_ms = loop_now(s->loop);
	sc->timer.fn = conn_on_timer;
	sc->again.fn = conn_again;
	sc->die.fn = conn_free;
	sc->timer.arg = sc->again.arg = sc->die.arg = sc;
	if ((r = conn_create(&conn, s->loop, fd, false, tls, &byte_ops,
	    sc)) < 0) {
		server_noise(s, LOG_WARN, "listener", strerror(-r));
		free(sc);
		return;
	}
	conn_set_times(conn, s->opt.handshake_ms, s->opt.write_stall_ms);
	sc->conn = conn;
	sc->peer.name = conn_peer(conn);
	if ((sc->next = s->conns) != NULL)
		sc->next->prev = sc;
	s->conns = sc;
	s->nconns++;
	s->nunauth++;
	s->stats.conns_total++;
	conn_schedule(sc);
}
