/*
 * server - limits and accounts of a gRPC server; life of its calls.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/conn.h"
#include "net/tls.h"
#include "rpc/server_impl.h"

#define NOISE_EVERY_MS	1000

static void	server_run(void *arg);

struct grpc_server *
grpc_server_create(struct loop *l, const struct grpc_options *opt)
{
	struct grpc_server	*s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->loop = l;
	s->opt = *opt;
	if (s->opt.conns_max == 0)
		s->opt.conns_max = GRPC_CONNS_MAX;
	if (s->opt.conns_unauth_max == 0)
		s->opt.conns_unauth_max = GRPC_CONNS_UNAUTH_MAX;
	if (s->opt.first_token_ms == 0)
		s->opt.first_token_ms = GRPC_FIRST_TOKEN_MS;
	if (s->opt.idle_ms == 0)
		s->opt.idle_ms = GRPC_IDLE_MS;
	if (opt->limits != NULL)
		s->limits = *opt->limits;
	else
		h2_limits_default(&s->limits);
	arena_init(&s->decoded, DECODED_MAX);
	buf_init(&s->scratch, ANSWER_MAX);
	s->ready_tail = &s->ready;
	s->run.fn = server_run;
	s->run.arg = s;
	s->noise = (struct log_limit){ .burst = 1, .every_ms = NOISE_EVERY_MS };
	s->refs = 1;
	return s;
}

static void
call_free(struct grpc_call *c)
{
	buf_finish(&c->part);
	buf_finish(&c->held);
	arena_finish(&c->meta);
	free(c);
}

static void
server_unref(struct grpc_server *s)
{
	struct grpc_call	*c;

	if (--s->refs > 0)
		return;
	while ((c = s->pool) != NULL) {
		s->pool = c->next_ready;
		call_free(c);
	}
	loop_later_cancel(s->loop, &s->run);
	arena_finish(&s->decoded);
	buf_finish(&s->scratch);
	free(s);
}

void
grpc_server_destroy(struct grpc_server *s)
{
	struct grpc_call	*c;

	if (s == NULL)
		return;
	s->stopping = true;
	while (s->conns != NULL)
		conn_teardown(s->conns);
	while ((c = s->ready) != NULL) {
		s->ready = c->next_ready;
		c->queued = false;
		call_hold(c);
		call_release(c);
	}
	s->ready_tail = &s->ready;
	loop_later_cancel(s->loop, &s->run);
	server_unref(s);
}

void
server_noise(struct grpc_server *s, enum log_level level, const char *peer,
    const char *what)
{
	uint32_t	skipped;

	if (!log_wanted(level) ||
	    !log_allow(&s->noise, loop_now(s->loop), &skipped))
		return;
	if (skipped > 0)
		log_at(level, "grpc", "%s: %s (%u more not shown)", peer,
		    what, skipped);
	else
		log_at(level, "grpc", "%s: %s", peer, what);
}

void
grpc_server_accept(struct grpc_server *s, int fd, struct tls *tls)
{
	const char	*why = NULL;

	if (s->stopping)
		why = "connection refused: shutting down";
	else if (s->nconns >= s->opt.conns_max)
		why = "connection refused: too many connections";
	else if (s->nunauth >= s->opt.conns_unauth_max)
		why = "connection refused: too many without a valid call";
	if (why == NULL) {
		conn_open(s, fd, tls);
		return;
	}
	s->stats.conns_refused++;
	server_noise(s, LOG_WARN, "listener", why);
	tls_destroy(tls);
	close(fd);
}

void
grpc_server_shutdown(struct grpc_server *s)
{
	struct server_conn	*sc, *next;

	s->stopping = true;
	for (sc = s->conns; sc != NULL; sc = next) {
		next = sc->next;
		conn_drain(sc);
	}
}

bool
grpc_server_drained(const struct grpc_server *s)
{
	return s->stopping && s->conns == NULL;
}

void
grpc_server_stats(const struct grpc_server *s, struct grpc_stats *st)
{
	*st = s->stats;
	st->conns = s->nconns;
	st->calls = s->live;
}

void
server_unlink(struct grpc_server *s, struct server_conn *sc)
{
	if (sc->prev != NULL)
		sc->prev->next = sc->next;
	else
		s->conns = sc->next;
	if (sc->next != NULL)
		sc->next->prev = sc->prev;
	sc->next = sc->prev = NULL;
	s->nconns--;
	if (!sc->authentic)
		s->nunauth--;
}

/* A used call, its buffers kept, or a new one; the rest is zero. */
static struct grpc_call *
call_fresh(struct grpc_server *s)
{
	struct grpc_call	*c = s->pool;

	if (c == NULL) {
		if ((c = calloc(1, sizeof *c)) == NULL)
			return NULL;
		buf_init(&c->part, GRPC_MESSAGE_MAX + GRPC_PREFIX_LEN);
		buf_init(&c->held, GRPC_MESSAGE_MAX + GRPC_PREFIX_LEN + 1);
			arena_init(&c->meta, METADATA_MAX);
		return c;
	}
	s->pool = c->next_ready;
	s->npool--;
	memset(c, 0, offsetof(struct grpc_call, part));
	return c;
}

struct grpc_call *
call_create(struct server_conn *sc, struct h2_stream *stream)
{
	struct grpc_server	*s = sc->server;
	struct grpc_call	*c = call_fresh(s);

	if (c == NULL)
		return NULL;
	c->server = s;
	c->conn = sc;
	c->stream = stream;
	c->subject = "";
	c->work.call = c;
	c->deadline.fn = call_expire;
	c->deadline.arg = c;
	if ((c->next = sc->calls) != NULL)
		c->next->prev = c;
	sc->calls = c;
	sc->live++;
	s->live++;
	s->refs++;
	s->stats.calls_total++;
	return c;
}

void
call_spare(struct buf *b)
{
	buf_clear(b);
	if (b->cap > SPARE_MAX)
		buf_trim(b);
}

static void
call_retire(struct grpc_call *c)
{
	struct grpc_server	*s = c->server;

	if (c->conn != NULL) {
		if (c->prev != NULL)
			c->prev->next = c->next;
		else
			c->conn->calls = c->next;
		if (c->next != NULL)
			c->next->prev = c->prev;
		c->conn->live--;
	}
	loop_timer_clear(&c->deadline);
	s->live--;
	call_spare(&c->part);
	call_spare(&c->held);
	arena_reset(&c->meta);
	if (s->npool < POOL_MAX) {
		c->next_ready = s->pool;
		s->pool = c;
		s->npool++;
	} else {
		call_free(c);
	}
	server_unref(s);
}

void
call_hold(struct grpc_call *c)
{
	c->busy++;
}

void
call_release(struct grpc_call *c)
{
	c->busy--;
	if (c->busy == 0 && c->works == 0 && c->stream == NULL && !c->queued)
		call_retire(c);
}

/*
 * Unfinished messages and paused calls share one account.  When it shrinks
 * below the limit, the connections that had to stop may go on.
 */
bool
call_account(struct grpc_call *c)
{
	struct grpc_server	*s = c->server;
	struct server_conn	*sc;
	size_t			 now = c->part.len + c->held.len;
	bool			 was_over = s->held > GRPC_HELD_MAX;

	s->held += now - c->charged;
	c->charged = now;
	if (was_over && s->held <= GRPC_HELD_MAX)
		for (sc = s->conns; sc != NULL; sc = sc->next)
			conn_unstall(sc);
	return s->held <= GRPC_HELD_MAX;
}

void
call_queue(struct grpc_call *c)
{
	if (c->queued)
		return;
	c->queued = true;
	c->next_ready = NULL;
	*c->server->ready_tail = c;
	c->server->ready_tail = &c->next_ready;
	loop_later(c->server->loop, &c->server->run);
}

/* Calls queued while this runs have their turn before the loop sleeps. */
static void
server_run(void *arg)
{
	struct grpc_server	*s = arg;
	struct grpc_call	*c, *list = s->ready;

	s->ready = NULL;
	s->ready_tail = &s->ready;
	s->refs++;
	while ((c = list) != NULL) {
		list = c->next_ready;
		c->queued = false;
		call_hold(c);
		call_run(c);
		call_release(c);
	}
	server_unref(s);
}

struct grpc_work *
grpc_work_begin(struct grpc_call *c)
{
	c->works++;
	return &c->work;
}

void
grpc_work_done(struct grpc_work *w)
{
	if (w == NULL)
		return;
	call_hold(w->call);
	w->call->works--;
	call_release(w->call);
}
