/*
 * Standard input is read only while the stream has room for it, answers are
 * taken only while standard output has; a stall on either side reaches the
 * other through HTTP/2's windows.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "applets/kssh.h"

#define READ_MAX	(32u * 1024)
#define OUT_HIGH	(256u * 1024)	/* stop taking answers above */
#define OUT_LOW		(64u * 1024)
#define OUT_MAX		(8u * 1024 * 1024)	/* one answer may be 4 MiB */
#define PIPE_PIECE	4096u		/* a ready pipe takes it unblocked */

static void
sink_on_ready(void *arg, unsigned ready)
{
	struct sink	*s = arg;
	struct kssh	*k = s->k;
	size_t		 n = s->queue.len;
	ssize_t		 w;

	(void)ready;
	if (n > PIPE_PIECE)
		n = PIPE_PIECE;
	w = write(s->io.fd, buf_head(&s->queue), n);
	if (w < 0 && errno != EAGAIN && errno != EINTR) {
		/* Nobody reads us any more, like any filter we end. */
		buf_clear(&s->queue);
		kssh_finish(k, errno == EPIPE ? 128 + SIGPIPE : KSSH_TROUBLE);
	}
	if (w > 0)
		buf_drain(&s->queue, (size_t)w);
	loop_want(&s->io, s->queue.len > 0 ? LOOP_WRITE : 0);
	if (k->paused && k->out.queue.len < OUT_LOW &&
	    k->err.queue.len < OUT_LOW) {
		k->paused = false;
		if (k->call != NULL)
			grpc_out_resume(k->call);
	}
	kssh_try_stop(k);
}

/*
 * Mostly there is room: then an echo is out without two turns of the loop.
 * Returns bytes taken; what went wrong comes again with the rest.
 */
static size_t
write_now(struct sink *s, const void *p, size_t n)
{
	struct pollfd	pfd = { .fd = s->io.fd, .events = POLLOUT };
	ssize_t		w;

	if (s->queue.len > 0 || n > PIPE_PIECE || poll(&pfd, 1, 0) != 1 ||
	    pfd.revents != POLLOUT)
		return 0;
	w = write(s->io.fd, p, n);
	return w > 0 ? (size_t)w : 0;
}

void
kssh_sink_put(struct sink *s, const void *p, size_t n)
{
	struct kssh	*k = s->k;
	size_t		 done = write_now(s, p, n);

	if (done == n)
		return;
	if (buf_put(&s->queue, (const uint8_t *)p + done, n - done) < 0) {
		kssh_fail(k, "output", strerror(ENOBUFS));
		return;
	}
	loop_want(&s->io, LOOP_WRITE);
	if (s->queue.len > OUT_HIGH && !k->paused) {
		k->paused = true;
		grpc_out_pause(k->call);
	}
}

int
kssh_sink_init(struct kssh *k, struct sink *s, int fd)
{
	s->k = k;
	s->io.fd = fd;
	s->io.fn = sink_on_ready;
	s->io.arg = s;
	buf_init(&s->queue, OUT_MAX);
	return loop_watch(k->loop, &s->io, 0);
}

static void
act(struct kssh *k, enum kssh_escape what)
{
	static const char	text[] = "~?\r\nSupported escapes:\r\n"
		    " ~.   - end the connection\r\n"
		    " ~^Z  - suspend kssh\r\n"
		    " ~?   - this message\r\n"
		    " ~~   - send the escape character\r\n";

	switch (what) {
	case ESCAPE_LEAVE:
		kssh_say(k, "connection ended by ~.", NULL);
		kssh_finish(k, KSSH_TROUBLE);
		break;
	case ESCAPE_SUSPEND:
		kssh_tty_restore(&k->tty);
		raise(SIGSTOP);
		kssh_tty_raw(&k->tty);
		kssh_resize(k);
		break;
	case ESCAPE_HELP:
		kssh_sink_put(&k->err, text, sizeof text - 1);
		break;
	case ESCAPE_NONE:
		break;
	}
}

static void
input_bytes(struct kssh *k, const uint8_t *p, size_t n)
{
	uint8_t			clean[READ_MAX + 1]
	    __attribute__((uninitialized));
	enum kssh_escape	what;
	size_t			used, len;

	if (!k->tty.raw) {
		kssh_send_input(k, p, n);
		return;
	}
	for (; n > 0 && !k->over; p += used, n -= used) {
		what = kssh_escape_filter(&k->escapes, p, n, &used, clean,
		    &len);
		kssh_send_input(k, clean, len);
		act(k, what);
	}
}

/* A terminal's end is the far side's to decide; a pipe's end is told. */
static void
input_end(struct kssh *k)
{
	k->input_over = true;
	loop_forget(&k->in);
	if (!k->pty)
		grpc_out_end(k->call);
}

static void
in_on_ready(void *arg, unsigned ready)
{
	struct kssh	*k = arg;
	uint8_t		 p[READ_MAX] __attribute__((uninitialized));
	size_t		 room = grpc_out_room(k->call);
	ssize_t		 n;

	(void)ready;
	if (room < READ_MAX / 2) {
		loop_want(&k->in, 0);	/* kssh_input_resume() comes */
		return;
	}
	n = read(STDIN_FILENO, p, room < sizeof p ? room : sizeof p);
	if (n > 0)
		input_bytes(k, p, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		input_end(k);
}

void
kssh_input_start(struct kssh *k)
{
	int	r;

	k->in.fd = STDIN_FILENO;
	k->in.fn = in_on_ready;
	k->in.arg = k;
	if (k->opt.no_stdin)
		input_end(k);
	else if ((r = loop_watch(k->loop, &k->in, LOOP_READ)) < 0)
		kssh_fail(k, "standard input", strerror(-r));
}

void
kssh_input_resume(struct kssh *k)
{
	if (!k->input_over && !k->over)
		loop_want(&k->in, LOOP_READ);
}
