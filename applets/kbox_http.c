/*
 * HTTP/1.1 to the daemon's socket: one request, one connection.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "applets/kbox.h"
#include "applets/kbox_text.h"
#include "applets/rundir.h"
#include "base/buf.h"
#include "base/str.h"
#include "loop/loop.h"
#include "net/http1.h"
#include "net/listen.h"
#include "svc/rest.h"

#define HEAD_MAX	8192u
#define READ_MAX	(32u * 1024)
#define BODY_MAX	(64u * 1024 * 1024)	/* collected in memory */
#define STREAM_MAX	UINT64_MAX		/* not collected */

/* ---- which socket ---- */

static int
try_socket(struct kbox *k, char *path)
{
	k->socket = path;
	return connect_unix(path);
}

/*
 * Named by an option; else the platform's, else that of the standalone daemon
 * of this user.  What matters of two failures is the one that is not "no such
 * file".
 */
static int
find_socket(struct kbox *k, const char **why)
{
	char	 dir[512], *first;
	int	 fd, second;

	if (k->values[OPT_SOCKET] != NULL)
		return try_socket(k, kbox_printf(k, "%s",
		    k->values[OPT_SOCKET]));
	if (k->values[OPT_RUN_DIR] != NULL)
		return try_socket(k, kbox_printf(k, "%s/" REST_SOCKET_NAME,
		    k->values[OPT_RUN_DIR]));
	first = kbox_printf(k, REST_SOCKET_PATH);
	if ((fd = try_socket(k, first)) >= 0 ||
	    rundir_default(dir, sizeof dir) < 0)
		return fd;
	if ((second = rundir_check(dir, why)) == 0)
		second = try_socket(k, kbox_printf(k, "%s/" REST_SOCKET_NAME,
		    dir));
	else
		k->socket = kbox_printf(k, "%s", dir);
	if (second < 0 && second != -ENOENT && fd == -ENOENT)
		return second;
	if (second < 0) {
		k->socket = first;
		*why = NULL;
	}
	return second < 0 ? fd : second;
}

static void
cannot_reach(struct kbox *k, int err, const char *why)
{
	struct stat	st;

	(void)kbox_fail(k, 0, "cannot reach the daemon at %s: %s", k->socket,
	    why != NULL ? why : strerror(err));
	if (err == ENOENT)
		kbox_hint("is k8shelld running? --socket FILE or --run-dir DIR "
		    "says where it is");
	else if (err == ECONNREFUSED)
		kbox_hint("k8shelld has ended and left its socket behind");
	else if (err == EACCES && stat(k->socket, &st) == 0)
		kbox_hint("the socket belongs to uid %u, you are uid %u",
		    (unsigned)st.st_uid, (unsigned)geteuid());
}

int
kbox_connect(struct kbox *k, bool quiet)
{
	const char	*why = NULL;
	int		 fd = find_socket(k, &why);

	if (fd >= 0)
		return fd;
	if (!quiet)
		cannot_reach(k, -fd, why);
	return -1;
}

/* ---- one request ---- */

int64_t
kbox_clock(void)
{
	return (int64_t)(loop_clock_us() / 1000);
}

/* end_ms < 0: for ever. */
static int
wait_for(int fd, short events, int64_t end_ms)
{
	struct pollfd	p = { .fd = fd, .events = events };
	int64_t		left = end_ms - kbox_clock();
	int		r;

	if (end_ms >= 0 && left <= 0)
		return -ETIMEDOUT;
	r = poll(&p, 1, end_ms < 0 ? -1 : (int)left);
	if (r < 0 && errno != EINTR)
		return -errno;
	return r == 0 ? -ETIMEDOUT : 0;
}

/* The same for what comes in; -ECANCELED if wake wants no more. */
static int
wait_in(int fd, const struct kbox_wake *wake, int64_t end_ms)
{
	struct pollfd	p[2] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = wake->fd, .events = wake->events }
	};
	int64_t		left = end_ms - kbox_clock();
	int		r;

	if (end_ms >= 0 && left <= 0)
		return -ETIMEDOUT;
	r = poll(p, 2, end_ms < 0 ? -1 : (int)left);
	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	if (p[1].revents != 0 && !wake->fn(wake->arg))
		return -ECANCELED;
	return r == 0 ? -ETIMEDOUT : 0;
}

static int
send_all(int fd, const uint8_t *p, size_t n, int64_t end_ms)
{
	ssize_t	w;
	int	r;

	while (n > 0) {
		w = send(fd, p, n, MSG_NOSIGNAL);
		if (w > 0) {
			p += w;
			n -= (size_t)w;
		} else if (errno != EAGAIN && errno != EINTR &&
		    errno != ENOTCONN) {
			return -errno;
		} else if ((r = wait_for(fd, POLLOUT, end_ms)) < 0) {
			return r;
		}
	}
	return 0;
}

int
kbox_send(struct kbox *k, int fd, const void *p, size_t n)
{
	return send_all(fd, p, n, kbox_clock() + k->timeout_ms);
}

static int
put_request(struct buf *out, const struct kbox_request *q)
{
	size_t	n = q->body != NULL ? strlen(q->body) : 0;
	int	r;

	if ((r = http1_put_request(out, q->method, q->target, "unix")) < 0 ||
	    (q->body != NULL && (r = http1_put_field(out, "Content-Type",
	    "application/json")) < 0) ||
	    (strcmp(q->method, "GET") != 0 &&
	    (r = http1_put_length(out, n)) < 0) ||
	    (r = http1_put_field(out, "Connection", "close")) < 0 ||
	    (r = http1_put_end(out)) < 0)
		return r;
	return n > 0 ? buf_put(out, q->body, n) : 0;
}

struct reading {
	int			 fd;
	int64_t			 end_ms;
	const struct kbox_request *q;
	struct http1		 http;
	struct buf		 in, body;
	bool			 stopped;	/* piece() wants no more */
};

/* Some bytes, or what the end of the connection means: an event. */
static int
read_some(struct reading *rd)
{
	uint8_t	*p;
	ssize_t	 n;
	int	 r;

	if ((r = buf_reserve(&rd->in, READ_MAX, &p)) < 0)
		return r;
	n = recv(rd->fd, p, READ_MAX, 0);
	if (n > 0) {
		buf_commit(&rd->in, (size_t)n);
		return HTTP1_MORE;
	}
	if (n == 0)
		return rd->http.status == 0 && rd->in.len == 0 ?
		    -ECONNRESET : http1_close(&rd->http);
	if (errno != EAGAIN && errno != EINTR)
		return -errno;
	r = rd->q->wake != NULL ? wait_in(rd->fd, rd->q->wake, rd->end_ms) :
	    wait_for(rd->fd, POLLIN, rd->end_ms);
	return r < 0 ? r : HTTP1_MORE;
}

static int
take_body(struct reading *rd)
{
	const struct http1	*h = &rd->http;

	if (rd->q->piece == NULL || h->status >= 300)
		return buf_put(&rd->body, h->data, h->len);
	if (!rd->q->piece(rd->q->arg, (const char *)h->data, h->len))
		rd->stopped = true;
	return 0;
}

static int
read_answer(struct reading *rd)
{
	int	r = HTTP1_MORE;

	while (r != HTTP1_DONE && !rd->stopped) {
		r = http1_parse(&rd->http, &rd->in);
		if (r == HTTP1_HEAD && rd->q->piece != NULL &&
		    rd->http.status < 300)
			rd->end_ms = -1;
		if (r == HTTP1_BODY)
			r = take_body(rd) < 0 ? -EMSGSIZE : HTTP1_BODY;
		if (r == HTTP1_MORE)
			r = read_some(rd);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Both ends of the exchange; a daemon that refuses may not read it all. */
static int
exchange(struct reading *rd)
{
	struct buf	out;
	int		r;

	buf_init(&out, HEAD_MAX + READ_MAX +
	    (rd->q->body != NULL ? strlen(rd->q->body) : 0));
	if ((r = put_request(&out, rd->q)) == 0)
		r = send_all(rd->fd, buf_head(&out), out.len, rd->end_ms);
	if (r == 0 || r == -EPIPE || r == -ECONNRESET)
		r = read_answer(rd);
	buf_wipe(&out);
	return r;
}

static void
no_answer(struct kbox *k, const struct reading *rd, int err)
{
	if (rd->q->piece != NULL && rd->http.status / 100 == 2)
		(void)kbox_fail(k, 0, "the connection to the daemon at %s is "
		    "lost", k->socket);
	else if (err == ETIMEDOUT)
		(void)kbox_fail(k, 0, "no answer from the daemon at %s within "
		    "%g s", k->socket, (double)k->timeout_ms / 1000);
	else if (err == EPROTO)
		(void)kbox_fail(k, 0, "%s did not answer in HTTP: %s",
		    k->socket, rd->http.error != NULL ? rd->http.error :
		    "the answer is cut short");
	else if (err == ECONNRESET)
		(void)kbox_fail(k, 0, "the daemon at %s closed the connection "
		    "without an answer", k->socket);
	else
		(void)kbox_fail(k, 0, "%s: %s", k->socket, strerror(err));
}

int
kbox_call(struct kbox *k, const struct kbox_request *q, struct kbox_answer *a)
{
	struct reading	rd = { .q = q };
	int		r, fd;

	*a = (struct kbox_answer){ .body = kbox_alloc(k, 1) };
	if ((fd = kbox_connect(k, q->quiet)) < 0)
		return KBOX_NO_DAEMON;
	rd.fd = fd;
	rd.end_ms = kbox_clock() + k->timeout_ms;
	http1_init_response(&rd.http, q->piece != NULL ? STREAM_MAX :
	    BODY_MAX);
	buf_init(&rd.in, READ_MAX * 2);
	buf_init(&rd.body, BODY_MAX);
	r = exchange(&rd);
	close(fd);
	if (r == 0) {
		a->status = rd.http.status;
		a->full = http1_field(&rd.http, "retry-after") != NULL;
		a->len = rd.body.len;
		a->body = kbox_alloc(k, a->len + 1);
		if (a->len > 0)
			memcpy(a->body, buf_head(&rd.body), a->len);
	} else if (!q->quiet && r != -ECANCELED) {
		no_answer(k, &rd, -r);
	}
	buf_wipe(&rd.in);
	buf_wipe(&rd.body);
	if (r < 0)
		return KBOX_NO_DAEMON;
	return a->status < 400 ? KBOX_OK :
	    kbox_refused(k, a, q->quiet || a->status == q->mine);
}

/* ---- what it means ---- */

int
kbox_refused(struct kbox *k, const struct kbox_answer *a, bool quiet)
{
	char	*text = str_trim(kbox_printf(k, "%s", a->body));

	if (!quiet)
		(void)kbox_fail(k, 0, "%s (HTTP %u)",
		    text[0] != '\0' ? text : http1_reason(a->status),
		    a->status);
	switch (a->status) {
	case 404:
		return KBOX_NOT_FOUND;
	case 403:
		return KBOX_REFUSED;
	case 502:
	case 503:
		return a->full ? KBOX_FAILED : KBOX_NO_API;
	default:
		return KBOX_FAILED;
	}
}

int
kbox_get(struct kbox *k, const char *target, const char *older,
    struct kbox_answer *a)
{
	struct kbox_request	q = {
		.method = "GET", .target = target, .quiet = older != NULL
	};
	int			r = kbox_call(k, &q, a);

	if (older == NULL || r == KBOX_OK)
		return r;
	if (a->status != 0 && a->status != 404)
		return kbox_refused(k, a, false);
	q.target = a->status == 404 ? older : target;
	q.quiet = false;
	return kbox_call(k, &q, a);
}

char *
kbox_route(struct kbox *k, const char *kind, const char *id, const char *rest)
{
	char	escaped[1024];

	if (kbox_url_escape(id, escaped, sizeof escaped) < 0) {
		(void)kbox_fail(k, 0, "the id is too long");
		return NULL;
	}
	return kbox_printf(k, KBOX_API "/%s/%s%s", kind, escaped, rest);
}

bool
kbox_is_older(const struct kbox_answer *a)
{
	return a->status == 405 || (a->status == 404 &&
	    (strstr(a->body, "page not found") != NULL ||
	    strstr(a->body, "no such path") != NULL));
}

void
kbox_hint_if_older(const struct kbox_answer *a)
{
	if (kbox_is_older(a))
		kbox_hint("this daemon is too old for that");
}
