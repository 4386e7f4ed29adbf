#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "loop/sig.h"
#include "proc/ask.h"
#include "proc/launch.h"

#define ANSWER_FD	3
#define READ_MAX	4096u

/* -- the child ------------------------------------------------------------- */

void
ask_write(int fd, const void *p, size_t n)
{
	ssize_t	r;

	while (n > 0) {
		if ((r = write(fd, p, n)) < 0 && errno != EINTR)
			_exit(1);
		if (r > 0) {
			p = (const char *)p + r;
			n -= (size_t)r;
		}
	}
}

_Noreturn static void
child_main(ask_work_fn *work, void *arg, int fd, unsigned timeout_ms)
{
	sig_restore();
	signal(SIGPIPE, SIG_IGN);
	/* Should we be gone when its time is up. */
	alarm(timeout_ms / 1000 + 2);
	if (launch_keep_only(fd, ANSWER_FD) < 0)
		_exit(1);
	work(arg, ANSWER_FD);
	_exit(0);
}

/* -- the parent ------------------------------------------------------------ */

/* No answer is awaited any more. */
static void
stop_waiting(struct ask *a)
{
	loop_timer_clear(&a->timer);
	if (a->fd == -1)
		return;
	loop_forget(&a->io);
	close(a->fd);
	a->fd = -1;
}

static void
finish(struct ask *a, int r)
{
	struct buf	answer = a->answer;

	stop_waiting(a);
	if (a->running && r < 0)
		kill(a->child.pid, SIGKILL);
	/* done() may ask again. */
	buf_init(&a->answer, answer.max);
	a->done(a->arg, r, buf_head(&answer), answer.len);
	buf_finish(&answer);
}

static void
on_ready(void *arg, unsigned ready)
{
	struct ask	*a = arg;
	size_t		 room = buf_room(&a->answer);
	uint8_t		*p;
	ssize_t		 n;
	int		 r;

	(void)ready;
	if (room > READ_MAX)
		room = READ_MAX;
	r = room == 0 ? -EFBIG : buf_reserve(&a->answer, room, &p);
	if (r < 0) {
		finish(a, r);
		return;
	}
	n = read(a->fd, p, room);
	if (n > 0)
		buf_commit(&a->answer, (size_t)n);
	else if (n == 0)
		finish(a, 0);
	else if (errno != EAGAIN && errno != EINTR)
		finish(a, -errno);
}

static void
on_timeout(void *arg)
{
	finish(arg, -ETIMEDOUT);
}

static void
on_collected(void *arg, const struct reap_exit *e)
{
	struct ask	*a = arg;

	(void)e;
	a->running = false;
}

void
ask_init(struct ask *a, struct loop *l, struct reap *r, size_t max,
    ask_done_fn *done, void *arg)
{
	*a = (struct ask){ .loop = l, .reap = r, .fd = -1, .done = done,
	    .arg = arg };
	a->io.fn = on_ready;
	a->timer.fn = on_timeout;
	a->child.fn = on_collected;
	a->io.arg = a->timer.arg = a->child.arg = a;
	/* One more than an answer needs: the end must be seen. */
	buf_init(&a->answer, max + 1);
}

void
ask_finish(struct ask *a)
{
	stop_waiting(a);
	if (a->running) {
		kill(a->child.pid, SIGKILL);
		reap_forget(&a->child);
		a->running = false;
	}
	buf_finish(&a->answer);
}

int
ask_start(struct ask *a, ask_work_fn *work, void *arg, unsigned timeout_ms)
{
	int	p[2], r;

	if (a->running || a->fd != -1)
		return -EBUSY;
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	a->fd = a->io.fd = p[0];
	if (fcntl(p[0], F_SETFL, O_NONBLOCK) < 0)
		r = -errno;
	else
		r = loop_watch(a->loop, &a->io, LOOP_READ);
	if (r == 0 && (a->child.pid = fork()) < 0)
		r = -errno;
	if (r == 0 && a->child.pid == 0)
		child_main(work, arg, p[1], timeout_ms);
	close(p[1]);
	if (r < 0) {
		stop_waiting(a);
		return r;
	}
	a->running = true;
	reap_watch(a->reap, &a->child);
	loop_timer_set(a->loop, &a->timer, loop_now(a->loop) + timeout_ms);
	return 0;
}
