/*
 * Standard input is read only while the stream has room for it, answers are
 * taken only while standard output has; a stall on either side reaches the
 * other through HTTP/2's windows.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "applets/kssh.h"

#define READ_MAX	(32u * 1024)
#define OUT_HIGH	(256u * 1024)	/* stop taking answers above */
#define OUT_LOW		(64u * 1024)
#define OUT_MAX		(8u * 1024 * 1024)	/* one answer may be 4 MiB */
#define PIPE_PIECE	4096u		/* a ready pipe takes it unblocked */

static void	sink_on_ready(void *arg, unsigned ready);

/*
 * A second description of the terminal or pipe behind fd, so that a write
 * need not block: O_NONBLOCK on the inherited one would be felt by every
 * process that shares it.  fd itself where that can't be had.
 */
static int
open_again(int fd)
{
	char		path[32];
	struct stat	st;
	int		again = -1;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || isatty(fd)))
		again = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY |
		    O_CLOEXEC);
	return again != -1 ? again : fd;
}

int
kssh_sink_init(struct kssh *k, struct sink *s, int fd)
{
	int	own = open_again(fd);

	s->k = k;
	s->piece = own != fd ? OUT_MAX : PIPE_PIECE;
	s->io.fd = own;
	s->io.fn = sink_on_ready;
	s->io.arg = s;
	buf_init(&s->queue, OUT_MAX);
	return loop_watch(k->loop, &s->io, 0);
}

/* Counts more than what the command says: its output is lost. */
static void
sink_failed(struct sink *s, int err)
{
	int	status = KSSH_TROUBLE;

	buf_clear(&s->queue);
	if (err == EPIPE)		/* like any filter nobody reads */
		status = 128 + SIGPIPE;
	else
		kssh_say(s->k, "output", strerror(err));
	kssh_finish(s->k, status);
	s->k->status = status;
}

static void
sink_on_ready(void *arg, unsigned ready)
{
	struct sink	*s = arg;
	struct kssh	*k = s->k;
	size_t		 n = s->queue.len;
	ssize_t		 w;

	(void)ready;
	w = write(s->io.fd, buf_head(&s->queue), n < s->piece ? n : s->piece);
	if (w > 0) {
		if (s->vt != NULL)
			vt_feed(s->vt, buf_head(&s->queue), (size_t)w);
		buf_drain(&s->queue, (size_t)w);
	} else if (w < 0 && errno != EAGAIN && errno != EINTR)
		sink_failed(s, errno);
	loop_want(&s->io, s->queue.len > 0 ? LOOP_WRITE : 0);
	if (k->paused && k->out.queue.len < OUT_LOW &&
	    k->err.queue.len < OUT_LOW) {
		k->paused = false;
		if (k->call != NULL)
			grpc_out_resume(k->call);
	}
	kssh_try_stop(k);
}

void
kssh_sink_finish(struct sink *s)
{
	loop_forget(&s->io);
	buf_finish(&s->queue);
	if (s->io.fd > STDERR_FILENO)
		close(s->io.fd);
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

	if (s->queue.len > 0 || n > s->piece)
		return 0;
	if (s->piece == PIPE_PIECE &&
	    (poll(&pfd, 1, 0) != 1 || pfd.revents != POLLOUT))
		return 0;
	if ((w = write(s->io.fd, p, n)) <= 0)
		return 0;
	if (s->vt != NULL)
		vt_feed(s->vt, p, (size_t)w);
	return (size_t)w;
}

void
kssh_sink_put(struct sink *s, const void *p, size_t n)
{
	struct kssh	*k = s->k;
	size_t		 done = 0;

	if (k->over || (done = write_now(s, p, n)) == n)
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
		kssh_say_last(k, "connection ended by ~.", NULL);
		kssh_quit(k, KSSH_TROUBLE);
		break;
	case ESCAPE_SUSPEND:
		kssh_tty_restore(&k->tty);
		kill(0, SIGTSTP);	/* the pipeline we are part of, too */
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

/*
 * The end of a pipe or file is told.  On a terminal that is up to the far
 * side, where Ctrl-D means what it means there; if ours is gone, so are we.
 */
static void
input_end(struct kssh *k)
{
	k->input_over = true;
	loop_forget(&k->in);
	if (k->tty.raw)
		kssh_quit(k, 128 + SIGHUP);
	else if (!k->pty)
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
	if (room == 0) {
		loop_want(&k->in, 0);	/* kssh_input_resume() comes */
		return;
	}
	n = read(STDIN_FILENO, p, room < sizeof p ? room : sizeof p);
	if (n > 0) {
		input_bytes(k, p, (size_t)n);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		if (n < 0 && !k->tty.raw)
			kssh_say(k, "standard input", strerror(errno));
		input_end(k);
	}
}

void
kssh_input_start(struct kssh *k)
{
	int	r;

	k->in.fd = STDIN_FILENO;
	k->in.fn = in_on_ready;
	k->in.arg = k;
	if ((r = loop_watch(k->loop, &k->in, LOOP_READ)) < 0)
		kssh_fail(k, "standard input", strerror(-r));
}

void
kssh_input_resume(struct kssh *k)
{
	if (!k->input_over && !k->over)
		loop_want(&k->in, LOOP_READ);
}
