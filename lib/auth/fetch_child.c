#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/fetch_child.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"
#include "base/version.h"
#include "loop/sig.h"
#include "net/http1.h"
#include "net/tls.h"
#include "proc/child.h"
#include "proc/launch.h"

#define PIPE_FD		3
#define WIRE_MAX	(64u * 1024)
#define TOKEN_MAX	(16u * 1024)

/* The memory of this process ends with it: nothing here is freed. */
struct child {
	const struct fetch_spec	*spec;
	struct tls_trust	*trust;
	struct tls		*tls;
	char			*token;		/* NULL: none */
	int			 sock;
	bool			 closed;	/* close_notify was seen */
	struct buf		 wire_in, wire_out, app_in, app_out, body;
	struct http1		 http;
};

static void
write_all(int fd, const void *p, size_t n)
{
	ssize_t	r;

	while (n > 0) {
		if ((r = write(fd, p, n)) < 0 && errno != EINTR)
			_exit(FETCH_FAILED);
		if (r > 0) {
			p = (const char *)p + r;
			n -= (size_t)r;
		}
	}
}

_Noreturn static void __attribute__((format(printf, 1, 2)))
give_up(const char *fmt, ...)
{
	char	text[FETCH_WHY_MAX];
	va_list	ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	write_all(PIPE_FD, text, strlen(text));
	_exit(FETCH_FAILED);
}

/* While still root: the files are root's. */
static void
read_files(struct child *c)
{
	const char	*path = c->spec->token_file, *err = NULL;
	char		*text;
	size_t		 n;
	int		 r;

	r = tls_trust_load(&c->trust, c->spec->ca_file, &err);
	if (r < 0)
		give_up("%s: %s", c->spec->ca_file,
		    r == -EINVAL && err != NULL ? err : strerror(-r));
	if (path == NULL)
		return;
	r = file_read(path, TOKEN_MAX, &text, &n);
	if (r == 0 && strlen(text) == n)
		c->token = str_trim(text);
	else if (r != -ENOENT)
		give_up("%s: %s", path, strerror(r < 0 ? -r : EINVAL));
}

static void
drop_root(void)
{
	const struct child_user	nobody = { .uid = FETCH_NOBODY,
				    .gid = FETCH_NOBODY,
				    .change = geteuid() == 0 };
	int			r = launch_become(&nobody);

	if (r < 0)
		give_up("cannot drop root: %s", strerror(-r));
}

/* 0 or the errno. */
static int
connect_one(const struct addrinfo *ai, int *out)
{
	struct pollfd	pfd = { .events = POLLOUT };
	socklen_t	len = sizeof(int);
	int		err = 0, flags;

	pfd.fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (pfd.fd < 0)
		return errno;
	if (connect(pfd.fd, ai->ai_addr, ai->ai_addrlen) < 0) {
		err = errno;
		if (err == EINPROGRESS) {
			err = ETIMEDOUT;
			if (poll(&pfd, 1, FETCH_CONNECT_MS) == 1)
				getsockopt(pfd.fd, SOL_SOCKET, SO_ERROR, &err,
				    &len);
		}
	}
	if (err == 0 && ((flags = fcntl(pfd.fd, F_GETFL)) < 0 ||
	    fcntl(pfd.fd, F_SETFL, flags & ~O_NONBLOCK) < 0))
		err = errno;
	if (err != 0)
		close(pfd.fd);
	else
		*out = pfd.fd;
	return err;
}

static void
connect_any(struct child *c)
{
	const struct fetch_url	*u = c->spec->url;
	struct addrinfo		 hints, *list, *ai;
	int			 r;

	memset(&hints, 0, sizeof hints);
	hints.ai_socktype = SOCK_STREAM;
	r = getaddrinfo(u->host, u->port, &hints, &list);
	if (r != 0)
		give_up("%s: %s", u->host, r == EAI_SYSTEM ?
		    strerror(errno) : gai_strerror(r));
	r = EHOSTUNREACH;
	for (ai = list; ai != NULL; ai = ai->ai_next)
		if ((r = connect_one(ai, &c->sock)) == 0)
			return;
	give_up("%s: %s", u->authority, strerror(r));
}

static void
queue_request(struct child *c)
{
	const struct fetch_url	*u = c->spec->url;
	char			 bearer[TOKEN_MAX + 16];
	int			 r;

	r = http1_put_request(&c->app_out, "GET", u->target, u->authority);
	if (r == 0)
		r = http1_put_field(&c->app_out, "User-Agent", "k8shelld");
	if (r == 0)
		r = http1_put_field(&c->app_out, "Accept",
		    "application/jwk-set+json, application/json");
	if (r == 0)
		r = http1_put_field(&c->app_out, "Connection", "close");
	if (r == 0 && c->token != NULL) {
		snprintf(bearer, sizeof bearer, "Bearer %s", c->token);
		r = http1_put_field(&c->app_out, "Authorization", bearer);
	}
	if (r == 0)
		r = http1_put_end(&c->app_out);
	if (r == -EINVAL)
		give_up("token file is not one line of text");
	if (r < 0)
		give_up("%s", strerror(-r));
}

static void
send_queued(struct child *c)
{
	ssize_t	n;

	while (c->wire_out.len > 0) {
		n = send(c->sock, buf_head(&c->wire_out), c->wire_out.len,
		    MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			give_up("sending: %s", strerror(errno));
		if (n > 0)
			buf_drain(&c->wire_out, (size_t)n);
	}
}

static void
receive(struct child *c)
{
	uint8_t	*p;
	size_t	 room = buf_room(&c->wire_in);
	ssize_t	 n;

	if (room == 0 || buf_reserve(&c->wire_in, room, &p) < 0)
		give_up("out of memory");
	do
		n = recv(c->sock, p, room, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		give_up("receiving: %s", strerror(errno));
	if (n == 0)
		give_up("connection was cut");
	buf_commit(&c->wire_in, (size_t)n);
}

/* Everything that moves without the network; true once anything moved. */
static bool
pump(struct child *c)
{
	const struct tls_io	io = { &c->wire_in, &c->wire_out, &c->app_in,
		&c->app_out };
	size_t			in = c->wire_in.len, out = c->app_out.len;
	int			r;

	r = tls_pump(c->tls, &io);
	if (r == -EPIPE)
		c->closed = true;
	else if (r < 0)
		give_up("TLS: %s", tls_reason(c->tls));
	r = c->wire_in.len != in || c->app_out.len != out ||
	    c->wire_out.len > 0;
	send_queued(c);
	return r != 0;
}

/* Takes what the answer has so far; true at its end. */
static bool
read_answer(struct child *c)
{
	int	r;

	while ((r = http1_parse(&c->http, &c->app_in)) > 0) {
		if (r == HTTP1_HEAD && c->http.status != 200)
			give_up("HTTP status %u", c->http.status);
		if (r == HTTP1_BODY &&
		    buf_put(&c->body, c->http.data, c->http.len) < 0)
			give_up("out of memory");
		if (r == HTTP1_DONE)
			return true;
	}
	if (r == HTTP1_MORE && c->closed)
		r = http1_close(&c->http);
	if (r < 0)
		give_up("%s", c->http.error);
	return r == HTTP1_DONE;
}

static void
converse(struct child *c)
{
	for (;;) {
		while (pump(c))
			if (read_answer(c))
				return;
		if (read_answer(c))
			return;
		receive(c);
	}
}

_Noreturn void
fetch_child(const struct fetch_spec *spec, int fd)
{
	struct child	c;
	int		r;

	sig_restore();
	signal(SIGPIPE, SIG_IGN);
	alarm(spec->seconds);
	if ((r = launch_keep_only(fd, PIPE_FD)) < 0)
		give_up("descriptors: %s", strerror(-r));
	memset(&c, 0, sizeof c);
	c.spec = spec;
	c.sock = -1;
	buf_init(&c.wire_in, WIRE_MAX);
	buf_init(&c.wire_out, WIRE_MAX);
	buf_init(&c.app_in, WIRE_MAX);
	buf_init(&c.app_out, WIRE_MAX);
	buf_init(&c.body, spec->body_max);
	http1_init_response(&c.http, spec->body_max);
	read_files(&c);
	drop_root();
	connect_any(&c);
	if ((c.tls = tls_client_create(c.trust, spec->url->host, NULL)) == NULL)
		give_up("out of memory");
	queue_request(&c);
	converse(&c);
	write_all(PIPE_FD, buf_head(&c.body), c.body.len);
	_exit(FETCH_OK);
}
