/*
 * conn - see conn.h.
 *
 *	socket -> wire_in -> tls -> in -> owner
 *	socket <- wire_out <- tls <- out <- owner
 *
 * A plain connection has no tls, and `in` and `out` are the wire buffers.
 * Readiness only reads and delivers; everything is sent by the end-of-turn
 * task, which is also the one place where interest is computed.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "loop/loop.h"
#include "net/addr.h"
#include "net/conn.h"
#include "net/tls.h"

/* Reads start small, for key presses, and grow while they come back full. */
#define READ_SIZE_MIN	4096u
/* Ciphertext of a full `out` in records of 16 KiB, 29 bytes each, and a few
 * alerts and small records. */
#define WIRE_OUT_MAX	(CONN_OUT_MAX + 4096)
/* Buffers of a connection without traffic are given back after so long. */
#define IDLE_MS		2000
/* The kernel's share of what waits behind a slow peer. */
#define NOTSENT_LOWAT	(128 * 1024)

enum conn_state {
	CONN_CONNECTING,
	CONN_HANDSHAKE,
	CONN_OPEN,
	CONN_FLUSH,		/* conn_finish(), or the owner is gone */
	CONN_LINGER,		/* our side is shut; the peer's is drained */
	CONN_CLOSED		/* dies at the end of the turn */
};

struct conn {
	struct loop	*loop;		/* borrowed */
	struct loop_io	 io;		/* fd is ours */
	struct loop_timer timer;	/* handshake, write stall, linger */
	struct loop_timer idle_timer;
	struct loop_task turn_task, free_task;
	enum conn_state	 state;
	struct tls	*tls;		/* NULL: plain */
	const struct conn_ops *ops;	/* NULL once closed() was called */
	void		*arg;
	struct buf	 in, out, wire_in, wire_out;
	size_t		 read_size;
	size_t		 offered;	/* of in, already seen by the owner */
	size_t		 drained;	/* while lingering */
	uint64_t	 active_ms;
	uint32_t	 write_stall_ms;
	bool		 is_up;		/* ready() was called */
	bool		 paused;
	bool		 resumed;	/* offer again what is left in in */
	bool		 eof;		/* the socket has no more to read */
	bool		 eof_told;
	bool		 more;		/* the owner has more output */
	bool		 tls_over;	/* the engine is closed or failed */
	bool		 tls_closed;	/* by the peer's close_notify */
	char		 peer[ADDR_TEXT_MAX];
};

static void
set_state(struct conn *c, enum conn_state state)
{
	static const char *const names[] = {
		"connecting", "handshake", "open", "flush", "linger", "closed"
	};

	if (log_wanted(LOG_DEBUG))
		log_debug("conn", "%s: %s -> %s", c->peer, names[c->state],
		    names[state]);
	c->state = state;
}

static struct buf *
wire_in(struct conn *c)
{
	return c->tls != NULL ? &c->wire_in : &c->in;
}

static struct buf *
wire_out(struct conn *c)
{
	return c->tls != NULL ? &c->wire_out : &c->out;
}

static void
schedule(struct conn *c)
{
	if (c->state != CONN_CLOSED)
		loop_later(c->loop, &c->turn_task);
}

/* -- the end --------------------------------------------------------------- */

static void
on_free(void *arg)
{
	struct conn	*c = arg;

	buf_wipe(&c->in);
	buf_wipe(&c->out);
	buf_finish(&c->wire_in);
	buf_finish(&c->wire_out);
	tls_destroy(c->tls);
	free(c);
}

/* The owner hears of the end once, and nothing after that. */
static void
tell_closed(struct conn *c, int why, const char *reason)
{
	const struct conn_ops	*ops = c->ops;

	c->ops = NULL;
	if (ops != NULL)
		ops->closed(c->arg, why, reason);
}

static void
end(struct conn *c, int why, const char *reason)
{
	if (c->state == CONN_CLOSED)
		return;
	set_state(c, CONN_CLOSED);
	loop_timer_clear(&c->timer);
	loop_timer_clear(&c->idle_timer);
	loop_later_cancel(c->loop, &c->turn_task);
	loop_forget(&c->io);
	close(c->io.fd);
	c->io.fd = -1;
	loop_later(c->loop, &c->free_task);
	tell_closed(c, why, reason);
}

static void
end_errno(struct conn *c, int why)
{
	end(c, why, why < 0 ? strerror(-why) : "closed");
}

void
conn_close(struct conn *c, int why)
{
	end_errno(c, why);
}

void
conn_finish(struct conn *c)
{
	if (c->state < CONN_OPEN) {
		end_errno(c, 0);
	} else if (c->state == CONN_OPEN) {
		set_state(c, CONN_FLUSH);
		schedule(c);
	}
}

/* The owner goes now; what it has put out, or an alert, may still leave. */
static void
detach_owner(struct conn *c, int why, const char *reason)
{
	set_state(c, CONN_FLUSH);
	tell_closed(c, why, reason);
	schedule(c);
}

static void
start_linger(struct conn *c)
{
	shutdown(c->io.fd, SHUT_WR);
	if (c->eof) {
		end_errno(c, 0);
		return;
	}
	set_state(c, CONN_LINGER);
	loop_timer_set(c->loop, &c->timer, loop_now(c->loop) + CONN_LINGER_MS);
}

static void
on_timer(void *arg)
{
	struct conn	*c = arg;

	if (c->state == CONN_LINGER)
		end_errno(c, 0);
	else if (c->state == CONN_CONNECTING)
		end(c, -ETIMEDOUT, "connecting took too long");
	else if (c->state == CONN_HANDSHAKE)
		end(c, -ETIMEDOUT, "TLS handshake took too long");
	else
		end(c, -ETIMEDOUT, "peer does not read");
}

/* -- socket to owner ------------------------------------------------------- */

static void
adapt_read_size(struct conn *c, size_t asked, size_t got)
{
	if (got == asked && c->read_size < CONN_READ_MAX)
		c->read_size *= 4;
	else if (got < c->read_size / 4 && c->read_size > READ_SIZE_MIN)
		c->read_size /= 4;
}

/* One read.  0, also if there is nothing, or -errno. */
static int
fill(struct conn *c)
{
	struct buf	*b = wire_in(c);
	size_t		 room = buf_room(b);
	uint8_t		*p;
	ssize_t		 n;
	int		 r;

	if (room == 0 || c->eof)
		return 0;
	if (room > c->read_size)
		room = c->read_size;
	if ((r = buf_reserve(b, room, &p)) < 0)
		return r;
	if ((n = recv(c->io.fd, p, room, 0)) == -1)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0) {
		c->eof = true;
		return 0;
	}
	buf_commit(b, (size_t)n);
	adapt_read_size(c, room, (size_t)n);
	c->active_ms = loop_now(c->loop);
	return 0;
}

static void
go_up(struct conn *c)
{
	loop_timer_clear(&c->timer);
	set_state(c, CONN_OPEN);
	c->is_up = true;
	c->ops->ready(c->arg);
}

/* Lets TLS work.  False if that ended the owner's part. */
static bool
pump(struct conn *c)
{
	struct tls_io	io = { &c->wire_in, &c->wire_out, &c->in, &c->out };
	int		r;

	if (c->state == CONN_CLOSED)
		return false;
	if (c->tls == NULL || c->tls_over)
		return true;
	r = tls_pump(c->tls, &io);
	if (c->state == CONN_HANDSHAKE && tls_ready(c->tls)) {
		go_up(c);
		if (c->state == CONN_CLOSED)
			return false;
	}
	if (r == 0)
		return true;
	c->tls_over = true;
	buf_clear(&c->out);		/* can't be sealed any more */
	if (r == -EPIPE) {
		c->eof = c->tls_closed = true;
		return true;
	}
	if (r == -EPROTO)
		detach_owner(c, r, tls_reason(c->tls));
	else
		end_errno(c, r);
	return false;
}

static bool
can_offer(const struct conn *c)
{
	return c->state == CONN_OPEN && !c->paused && c->in.len > 0 &&
	    (c->resumed || c->in.len != c->offered);
}

/* Everything that has arrived goes up as far as the owner takes it. */
static void
deliver(struct conn *c)
{
	size_t	before;
	int	r;

	while (pump(c) && can_offer(c)) {
		c->resumed = false;
		before = c->in.len;
		r = c->ops->input(c->arg, &c->in);
		c->offered = c->in.len;
		if (r < 0)
			end_errno(c, r);
		if (c->in.len == before)
			break;
	}
}

/* After the last byte was offered: the peer's end of the conversation. */
static void
check_eof(struct conn *c)
{
	if (!c->eof || c->eof_told || c->state > CONN_OPEN)
		return;
	if (c->state == CONN_HANDSHAKE) {
		end(c, -ECONNRESET, "closed during the TLS handshake");
		return;
	}
	if (c->paused || (c->resumed && c->in.len > 0))
		return;
	c->eof_told = true;
	if (c->tls != NULL && !c->tls_closed)
		end(c, -ECONNRESET, "cut off without a TLS close");
	else if (c->tls == NULL && c->ops->eof != NULL)
		c->ops->eof(c->arg);
	else
		detach_owner(c, 0, "closed by the peer");
}

/* What nobody wants any more is read so that closing sends no reset. */
static void
discard(struct conn *c)
{
	uint8_t	scratch[8192];
	ssize_t	n;

	if ((n = recv(c->io.fd, scratch, sizeof scratch, 0)) == -1) {
		if (errno != EAGAIN && errno != EINTR)
			end_errno(c, c->state == CONN_LINGER ? 0 : -errno);
		return;
	}
	if (n == 0)
		c->eof = true;
	if (c->state != CONN_LINGER)
		return;
	c->drained += (size_t)n;
	if (c->eof || c->drained >= CONN_LINGER_BYTES)
		end_errno(c, 0);
}

/* -- owner to socket ------------------------------------------------------- */

static void
fetch(struct conn *c)
{
	size_t	before = c->out.len;

	c->more = false;
	if (c->ops == NULL || !c->is_up || c->tls_over)
		return;
	c->ops->output(c->arg, &c->out);
	c->more = buf_room(&c->out) < CONN_OUT_SLACK;
	/* Nobody kicks a connection that ends: it asks until nothing comes. */
	if (c->state == CONN_FLUSH && c->out.len > before)
		c->more = true;
}

/* One write.  0, also if the socket is full, or -errno. */
static int
flush(struct conn *c)
{
	struct buf	*b = wire_out(c);
	ssize_t		 n = 0;

	if (b->len > 0)
		n = send(c->io.fd, buf_head(b), b->len, MSG_NOSIGNAL);
	if (n == -1 && errno != EAGAIN && errno != EINTR)
		return -errno;
	if (n > 0) {
		buf_drain(b, (size_t)n);
		c->active_ms = loop_now(c->loop);
	}
	if (c->state == CONN_HANDSHAKE)
		return 0;		/* has the timer for itself */
	/* A full socket may have taken all of out and still not be ready. */
	if (b->len == 0 && !c->more)
		loop_timer_clear(&c->timer);
	else if (n > 0 || c->timer.loop == NULL)
		loop_timer_set(c->loop, &c->timer,
		    loop_now(c->loop) + c->write_stall_ms);
	return 0;
}

/* The peer may have said why before it stopped listening. */
static void
write_failed(struct conn *c, int why)
{
	if (c->state == CONN_OPEN && !c->paused && fill(c) == 0) {
		deliver(c);
		if (c->tls_closed)
			check_eof(c);
	}
	end_errno(c, why);
}

/* All out: TLS says goodbye, then our side is shut. */
static void
finish_flush(struct conn *c)
{
	if (c->more || c->out.len > 0 || c->wire_out.len > 0)
		return;
	if (c->tls != NULL && !c->tls_over) {
		tls_shut(c->tls);
		pump(c);
		c->tls_over = true;
		if (c->state == CONN_CLOSED || flush(c) < 0 ||
		    c->wire_out.len > 0)
			return;		/* the rest when there is room */
	}
	start_linger(c);
}

/* -- the turn -------------------------------------------------------------- */

static unsigned
interest(struct conn *c)
{
	unsigned	want = 0;

	switch (c->state) {
	case CONN_CONNECTING:
		return LOOP_WRITE;
	case CONN_HANDSHAKE:
	case CONN_OPEN:
		if (!c->eof && !c->paused && buf_room(wire_in(c)) > 0)
			want |= LOOP_READ;
		break;
	case CONN_FLUSH:
	case CONN_LINGER:
		if (!c->eof)
			want |= LOOP_READ;
		break;
	case CONN_CLOSED:
		return 0;
	}
	if (wire_out(c)->len > 0 || c->more)
		want |= LOOP_WRITE;
	return want;
}

static void
on_idle(void *arg)
{
	struct conn	*c = arg;

	if (c->active_ms + IDLE_MS > loop_now(c->loop)) {
		loop_timer_set(c->loop, &c->idle_timer, c->active_ms + IDLE_MS);
		return;
	}
	c->read_size = READ_SIZE_MIN;
	buf_trim(&c->in);
	buf_trim(&c->out);
	buf_trim(&c->wire_in);
	buf_trim(&c->wire_out);
}

static void
watch_idle(struct conn *c)
{
	if (c->idle_timer.loop == NULL &&
	    c->in.cap + c->out.cap + c->wire_in.cap + c->wire_out.cap > 0)
		loop_timer_set(c->loop, &c->idle_timer,
		    loop_now(c->loop) + IDLE_MS);
}

static void
send_out(struct conn *c)
{
	int	r;

	if (c->state == CONN_OPEN || c->state == CONN_FLUSH)
		fetch(c);
	if (c->state == CONN_CLOSED || !pump(c))
		return;
	/* TLS stopped for want of room: come back when there is some. */
	if (c->tls != NULL && buf_room(&c->wire_out) == 0)
		c->more = true;
	if ((r = flush(c)) < 0)
		write_failed(c, r);
	else if (c->state == CONN_FLUSH)
		finish_flush(c);
}

static void
on_turn(void *arg)
{
	struct conn	*c = arg;
	int		 r;

	if (c->state == CONN_OPEN && !c->is_up)
		go_up(c);
	if (c->state == CONN_HANDSHAKE || c->state == CONN_OPEN) {
		deliver(c);
		check_eof(c);
	}
	if (c->state != CONN_CONNECTING && c->state < CONN_LINGER)
		send_out(c);
	if (c->state == CONN_CLOSED)
		return;
	if ((r = loop_want(&c->io, interest(c))) < 0)
		end_errno(c, r);
	else
		watch_idle(c);
}

static void
on_connected(struct conn *c)
{
	int		err = 0;
	socklen_t	len = sizeof err;

	if (getsockopt(c->io.fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1)
		err = errno;
	if (err != 0) {
		end_errno(c, -err);
		return;
	}
	addr_peer(c->io.fd, c->peer, sizeof c->peer);
	set_state(c, c->tls != NULL ? CONN_HANDSHAKE : CONN_OPEN);
}

static void
on_ready(void *arg, unsigned ready)
{
	struct conn	*c = arg;
	int		 r = 0;

	if (c->state == CONN_CONNECTING) {
		on_connected(c);
	} else if (c->state >= CONN_FLUSH) {
		if (ready & LOOP_READ)
			discard(c);
	} else if (ready & LOOP_READ) {
		if ((r = fill(c)) < 0)
			end_errno(c, r);
		else
			deliver(c);
	}
	schedule(c);
}

/* -- creation and small calls ---------------------------------------------- */

static void
set_options(int fd)
{
	const int	on = 1, lowat = NOTSENT_LOWAT;
	int		flags = fcntl(fd, F_GETFL);

	if (flags != -1 && (flags & O_NONBLOCK) == 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	/* These fail on Unix sockets, which need none of them. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof lowat);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

static void
init(struct conn *c, struct loop *l, int fd, bool connecting)
{
	c->loop = l;
	c->io = (struct loop_io){ .fd = fd, .fn = on_ready, .arg = c };
	c->timer = (struct loop_timer){ .fn = on_timer, .arg = c };
	c->idle_timer = (struct loop_timer){ .fn = on_idle, .arg = c };
	c->turn_task = (struct loop_task){ .fn = on_turn, .arg = c };
	c->free_task = (struct loop_task){ .fn = on_free, .arg = c };
	c->read_size = READ_SIZE_MIN;
	buf_init(&c->in, CONN_READ_MAX);
	buf_init(&c->out, CONN_OUT_MAX);
	buf_init(&c->wire_in, CONN_READ_MAX);
	buf_init(&c->wire_out, WIRE_OUT_MAX);
	set_options(fd);
	addr_peer(fd, c->peer, sizeof c->peer);
	if (connecting)
		c->state = CONN_CONNECTING;
	else
		c->state = c->tls != NULL ? CONN_HANDSHAKE : CONN_OPEN;
}

int
conn_create(struct conn **out, struct loop *l, int fd, bool connecting,
    struct tls *tls, const struct conn_ops *ops, void *arg)
{
	struct conn	*c;
	int		 r;

	if ((c = calloc(1, sizeof *c)) == NULL) {
		tls_destroy(tls);
		close(fd);
		return -ENOMEM;
	}
	c->tls = tls;
	c->ops = ops;
	c->arg = arg;
	c->write_stall_ms = CONN_WRITE_STALL_MS;
	init(c, l, fd, connecting);
	if ((r = loop_watch(l, &c->io, interest(c))) < 0) {
		close(fd);
		on_free(c);
		return r;
	}
	if (c->state != CONN_OPEN)
		loop_timer_set(l, &c->timer, loop_now(l) + CONN_HANDSHAKE_MS);
	schedule(c);
	*out = c;
	return 0;
}

void
conn_set_times(struct conn *c, uint32_t handshake_ms, uint32_t write_stall_ms)
{
	if (handshake_ms != 0 && c->state != CONN_OPEN)
		loop_timer_set(c->loop, &c->timer,
		    loop_now(c->loop) + handshake_ms);
	if (write_stall_ms != 0)
		c->write_stall_ms = write_stall_ms;
}

void
conn_kick(struct conn *c)
{
	schedule(c);
}

void
conn_pause(struct conn *c)
{
	c->paused = true;
	schedule(c);
}

void
conn_resume(struct conn *c)
{
	c->paused = false;
	c->resumed = true;
	schedule(c);
}

bool
conn_lost(const struct conn *c)
{
	struct pollfd	p = { .fd = c->io.fd };

	return c->io.fd != -1 && poll(&p, 1, 0) == 1 &&
	    (p.revents & (POLLHUP | POLLERR)) != 0;
}

size_t
conn_queued(const struct conn *c)
{
	return c->out.len + c->wire_out.len;
}

bool
conn_hung_up(const struct conn *c)
{
	struct pollfd	p = { .fd = c->io.fd, .events = POLLRDHUP };

	return c->eof || (poll(&p, 1, 0) == 1 &&
	    (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0);
}

const char *
conn_peer(const struct conn *c)
{
	return c->peer;
}

bool
conn_peer_uid(const struct conn *c, uint32_t *uid)
{
	struct ucred	cred;
	socklen_t	len = sizeof cred;
	int		domain;
	socklen_t	dlen = sizeof domain;

	if (getsockopt(c->io.fd, SOL_SOCKET, SO_DOMAIN, &domain, &dlen) == -1 ||
	    domain != AF_UNIX || getsockopt(c->io.fd, SOL_SOCKET, SO_PEERCRED,
	    &cred, &len) == -1)
		return false;
	*uid = cred.uid;
	return true;
}

bool
conn_is_tls(const struct conn *c)
{
	return c->tls != NULL;
}
