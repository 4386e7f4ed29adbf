#include "workspace/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

static void	attempt(struct probe *p);

static void
drop(struct probe *p)
{
	loop_forget(&p->io);
	if (p->io.fd != -1)
		close(p->io.fd);
	p->io.fd = -1;
}

/* From a clean stack. */
static void
tell(void *arg)
{
	struct probe	*p = arg;

	p->running = false;
	p->done(p->arg, p->err, p->status);
}

static void
finish(struct probe *p, int err, unsigned status)
{
	drop(p);
	if (err < 0 && err != -ETIMEDOUT && p->attempt == 0) {
		p->attempt = 1;
		attempt(p);
		return;
	}
	loop_timer_clear(&p->timer);
	p->err = err;
	p->status = status;
	loop_later(p->loop, &p->task);
}

int
probe_status(const char *head, size_t n)
{
	static const char	start[] = "HTTP/1.";
	const size_t		at = sizeof start - 1;	/* of the minor */
	uint64_t		status;

	if (memcmp(head, start, n < at ? n : at) != 0)
		return -EPROTO;
	if (n < at + 6)
		return n > at + 1 && head[at + 1] != ' ' ? -EPROTO : 0;
	if (head[at] < '0' || head[at] > '9' || head[at + 1] != ' ' ||
	    mem_to_u64(head + at + 2, 3, 999, &status) < 0 || status < 100 ||
	    strchr(" \r\n", head[at + 5]) == NULL || head[at + 5] == '\0')
		return -EPROTO;
	return (int)status;
}

static void
ask(struct probe *p)
{
	char	request[PROBE_PATH_MAX + 128];
	int	n;

	n = str_format(request, sizeof request, "GET %s HTTP/1.1\r\n"
	    "Host: localhost:%u\r\nUser-Agent: k8shell\r\n"
	    "Accept: */*\r\nConnection: close\r\n\r\n", p->spec.path,
	    p->spec.port);
	/* A new socket takes this much at once. */
	if (n < 0)
		finish(p, n, 0);
	else if (send(p->io.fd, request, (size_t)n, MSG_NOSIGNAL) != n)
		finish(p, -ECONNRESET, 0);
	else
		(void)loop_want(&p->io, LOOP_READ);
}

static void
listen_to(struct probe *p)
{
	ssize_t	n;
	int	status;

	n = recv(p->io.fd, p->head + p->nhead, sizeof p->head - p->nhead, 0);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		finish(p, n == 0 ? -EPROTO : -errno, 0);
		return;
	}
	p->nhead += (size_t)n;
	if ((status = probe_status(p->head, p->nhead)) < 0)
		finish(p, status, 0);
	else if (status >= 200)
		finish(p, 0, (unsigned)status);
	else if (status > 0)
		finish(p, -EPROTO, 0);		/* nobody asked for 1xx */
}

static void
on_ready(void *arg, unsigned ready)
{
	struct probe	*p = arg;
	int		 err = 0;
	socklen_t	 len = sizeof err;

	(void)ready;
	if (p->connected) {
		listen_to(p);
		return;
	}
	if (getsockopt(p->io.fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1)
		err = errno;
	if (err != 0) {
		finish(p, -err, 0);
		return;
	}
	p->connected = true;
	if (p->spec.http)
		ask(p);
	else
		finish(p, 0, 0);
}

static int
connect_to(struct probe *p)
{
	struct sockaddr_in	v4 = { .sin_family = AF_INET,
				    .sin_port = htons(p->spec.port),
				    .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_in6	v6 = { .sin6_family = AF_INET6,
				    .sin6_port = htons(p->spec.port),
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	bool			six = p->attempt == 1;
	int			r;

	p->io.fd = socket(six ? AF_INET6 : AF_INET,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->io.fd == -1)
		return -errno;
	r = connect(p->io.fd, six ? (struct sockaddr *)&v6 :
	    (struct sockaddr *)&v4, six ? sizeof v6 : sizeof v4);
	if (r == -1 && errno != EINPROGRESS)
		return -errno;
	return loop_watch(p->loop, &p->io, LOOP_WRITE);
}

static void
attempt(struct probe *p)
{
	int	r;

	p->connected = false;
	p->nhead = 0;
	if ((r = connect_to(p)) < 0)
		finish(p, r, 0);
}

static void
on_timeout(void *arg)
{
	finish(arg, -ETIMEDOUT, 0);
}

void
probe_init(struct probe *p, struct loop *l, probe_fn *done, void *arg)
{
	*p = (struct probe){ .loop = l, .done = done, .arg = arg };
	p->io = (struct loop_io){ .fd = -1, .fn = on_ready, .arg = p };
	p->timer.fn = on_timeout;
	p->task.fn = tell;
	p->timer.arg = p->task.arg = p;
}

void
probe_start(struct probe *p, const struct probe_spec *spec)
{
	p->spec = *spec;
	p->attempt = 0;
	p->running = true;
	loop_timer_set(p->loop, &p->timer, loop_now(p->loop) + PROBE_MS);
	attempt(p);
}

void
probe_stop(struct probe *p)
{
	drop(p);
	loop_timer_clear(&p->timer);
	loop_later_cancel(p->loop, &p->task);
	p->running = false;
}
