#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/fetch_child.h"
#include "base/buf.h"
#include "base/str.h"
#include "loop/loop.h"
#include "proc/reap.h"

#define READ_MAX	(16u * 1024)

struct fetch {
	struct loop		*loop;		/* borrowed */
	struct loop_io		 io;
	struct loop_task	 free_task;
	struct reap_entry	 child;
	struct reap_exit	 exit;
	int			 fd;		/* -1: end of file was seen */
	bool			 running;	/* not collected yet */
	bool			 dead;		/* fn must not be called */
	unsigned		 seconds;
	int			 err;		/* reading the pipe failed */
	struct buf		 body;
	fetch_fn		*fn;
	void			*arg;
};

static bool
is_host_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Labels of 1 to 63 characters; only digits and dots must be an address. */
static bool
host_valid(const char *host)
{
	struct in_addr	a;
	const char	*p = host;
	size_t		 n;

	if (strspn(host, "0123456789.") == strlen(host))
		return inet_pton(AF_INET, host, &a) == 1;
	for (;;) {
		for (n = 0; is_host_char(p[n]); n++)
			;
		if (n == 0 || n > 63)
			return false;
		if (p[n] == '\0')
			return p + n - host <= 253;
		if (p[n] != '.')
			return false;
		p += n + 1;
	}
}

/* "" or ":port" */
static int
port_parse(struct fetch_url *u, const char *p, size_t n)
{
	char		text[6];
	uint32_t	v = 443;

	if (n > 0) {
		if (*p != ':' || n - 1 >= sizeof text)
			return -EINVAL;
		memcpy(text, p + 1, n - 1);
		text[n - 1] = '\0';
		if (text[0] == '0' || str_to_u32(text, UINT16_MAX, &v) < 0)
			return -EINVAL;
	}
	snprintf(u->port, sizeof u->port, "%u", (unsigned)v);
	return 0;
}

/* "[v6]" or a name, then perhaps a port. */
static int
authority_parse(struct fetch_url *u, const char *p, size_t n)
{
	struct in6_addr	a;
	bool		v6 = n > 0 && p[0] == '[';
	const char	*end = memchr(p, v6 ? ']' : ':', n);
	size_t		 len = end != NULL ? (size_t)(end - p) : n;

	if (n >= sizeof u->host || (v6 && end == NULL))
		return -EINVAL;
	memcpy(u->authority, p, n);
	u->authority[n] = '\0';
	memcpy(u->host, p + v6, len - v6);
	u->host[len - v6] = '\0';
	if (v6 ? inet_pton(AF_INET6, u->host, &a) != 1 : !host_valid(u->host))
		return -EINVAL;
	return port_parse(u, p + len + v6, n - len - v6);
}

int
fetch_url_parse(struct fetch_url *u, const char *url, const char *suffix)
{
	static const char	scheme[] = "https://";
	const char		*p;
	size_t			 n, i;

	if (!str_prefix(url, scheme))
		return -EINVAL;
	url += sizeof scheme - 1;
	n = strcspn(url, "/");
	p = url + n;
	if (authority_parse(u, url, n) < 0)
		return -EINVAL;
	n = strlen(p);
	if (n > 0 && p[n - 1] == '/')
		n--;
	for (i = 0; i < n; i++)
		if (p[i] <= 0x20 || p[i] >= 0x7f ||
		    strchr("?#\"<>\\^`{|}", p[i]) != NULL)
			return -EINVAL;
	if (str_format(u->target, sizeof u->target, "%.*s%s", (int)n, p,
	    suffix) < 0)
		return -EINVAL;
	return 0;
}

static const char *
why_not(struct fetch *f, char *text, size_t len)
{
	if (f->err != 0)
		snprintf(text, len, "reading the answer: %s",
		    strerror(-f->err));
	else if (f->exit.signaled && f->exit.value == SIGALRM)
		snprintf(text, len, "no answer within %u s", f->seconds);
	else if (f->exit.signaled)
		snprintf(text, len, "fetching process was killed by signal %d",
		    f->exit.value);
	else if (f->body.len > 0 && f->body.len < len)
		snprintf(text, len, "%.*s", (int)f->body.len,
		    (const char *)buf_head(&f->body));
	else
		snprintf(text, len, "fetching process failed");
	return text;
}

/* Once the pipe is at its end and the child is collected, in any order. */
static void
finish(struct fetch *f)
{
	char	text[FETCH_WHY_MAX];

	if (f->fd != -1 || f->running || f->dead)
		return;
	f->dead = true;
	if (f->err == 0 && !f->exit.signaled && f->exit.value == FETCH_OK)
		f->fn(f->arg, buf_head(&f->body), f->body.len, NULL);
	else
		f->fn(f->arg, NULL, 0, why_not(f, text, sizeof text));
}

static void
pipe_close(struct fetch *f)
{
	if (f->fd == -1)
		return;
	loop_forget(&f->io);
	close(f->fd);
	f->fd = -1;
}

static void
on_pipe(void *arg, unsigned ready)
{
	struct fetch	*f = arg;
	uint8_t		*p;
	ssize_t		 n;
	size_t		 room = buf_room(&f->body);

	(void)ready;
	if (room > READ_MAX)
		room = READ_MAX;
	if (room == 0)
		f->err = -EFBIG;
	else
		f->err = buf_reserve(&f->body, room, &p);
	if (f->err == 0) {
		n = read(f->fd, p, room);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n > 0) {
			buf_commit(&f->body, (size_t)n);
			return;
		}
		f->err = n < 0 ? -errno : 0;
	}
	pipe_close(f);
	finish(f);
}

static void
on_exit_status(void *arg, const struct reap_exit *e)
{
	struct fetch	*f = arg;

	f->running = false;
	f->exit = *e;
	finish(f);
}

static void
fetch_free(void *arg)
{
	struct fetch	*f = arg;

	buf_finish(&f->body);
	free(f);
}

static struct fetch *
fetch_create(struct loop *l, size_t body_max, fetch_fn *fn, void *arg)
{
	struct fetch	*f = calloc(1, sizeof *f);

	if (f == NULL)
		return NULL;
	f->loop = l;
	f->fd = -1;
	f->fn = fn;
	f->arg = arg;
	f->io.fn = on_pipe;
	f->child.fn = on_exit_status;
	f->free_task.fn = fetch_free;
	f->io.arg = f->child.arg = f->free_task.arg = f;
	/* One more than a body needs: the end must be seen. */
	buf_init(&f->body, body_max + 1);
	return f;
}

int
fetch_start(struct fetch **out, struct loop *l, struct reap *r,
    const struct fetch_spec *spec, fetch_fn *fn, void *arg)
{
	struct fetch	*f;
	int		 p[2] = { -1, -1 }, err;

	if ((f = fetch_create(l, spec->body_max, fn, arg)) == NULL)
		return -ENOMEM;
	f->seconds = spec->seconds;
	if (pipe2(p, O_CLOEXEC) < 0 || fcntl(p[0], F_SETFL, O_NONBLOCK) < 0) {
		err = -errno;
		goto out;
	}
	f->fd = f->io.fd = p[0];
	if ((err = loop_watch(l, &f->io, LOOP_READ)) < 0)
		goto out;
	if ((f->child.pid = fork()) < 0) {
		err = -errno;
		goto out;
	}
	if (f->child.pid == 0)
		fetch_child(spec, p[1]);	/* does not return */
	f->running = true;
	reap_watch(r, &f->child);
	*out = f;
	f = NULL;			/* now the caller's */
	p[0] = -1;
	err = 0;
out:
	if (f != NULL) {
		loop_forget(&f->io);
		fetch_free(f);
	}
	if (p[0] != -1)
		close(p[0]);
	if (p[1] != -1)
		close(p[1]);
	return err;
}

void
fetch_destroy(struct fetch *f)
{
	if (f == NULL)
		return;
	f->dead = true;
	pipe_close(f);
	if (f->running) {
		kill(f->child.pid, SIGKILL);
		reap_forget(&f->child);
		f->running = false;
	}
	loop_later(f->loop, &f->free_task);
}
