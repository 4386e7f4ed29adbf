#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "loop/loop.h"
#include "net/http1.h"
#include "net/listen.h"
#include "workspace/engine.h"

#define REQUEST_MAX	1024u
#define READ_MAX	(64u * 1024)

const char *const engine_sockets[] = {
	"/run/podman/podman.sock", "/var/run/podman/podman.sock",
	"/var/run/docker.sock", "/var/run/docker/docker.sock", NULL
};

/* One request, one connection. */
struct call {
	int		 fd;
	uint64_t	 deadline_ms;
	struct buf	 in, out, body;
	struct http1	 http;
};

static int
await(const struct call *c, short events)
{
	struct pollfd	p = { .fd = c->fd, .events = events };
	uint64_t	now = loop_clock_us() / 1000;
	int		r;

	if (now >= c->deadline_ms)
		return -ETIMEDOUT;
	r = poll(&p, 1, (int)(c->deadline_ms - now));
	if (r < 0 && errno != EINTR)
		return -errno;
	return r == 0 ? -ETIMEDOUT : 0;
}

static int
send_request(struct call *c)
{
	ssize_t	n;
	int	r;

	while (c->out.len > 0) {
		if ((r = await(c, POLLOUT)) < 0)
			return r;
		n = send(c->fd, buf_head(&c->out), c->out.len, MSG_NOSIGNAL);
		if (n > 0)
			buf_drain(&c->out, (size_t)n);
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return 0;
}

/* 1: the answer is whole; 0: more is to come. */
static int
parse_answer(struct call *c)
{
	int	r;

	while ((r = http1_parse(&c->http, &c->in)) > 0) {
		if (r == HTTP1_HEAD && c->http.status != 200)
			return -ENOENT;
		if (r == HTTP1_BODY &&
		    buf_put(&c->body, c->http.data, c->http.len) < 0)
			return -ENOMEM;
		if (r == HTTP1_DONE)
			return 1;
	}
	return r;
}

static int
receive_answer(struct call *c)
{
	uint8_t	*p;
	ssize_t	 n;
	int	 r;

	for (;;) {
		if ((r = await(c, POLLIN)) < 0)
			return r;
		if (buf_reserve(&c->in, READ_MAX - c->in.len, &p) < 0)
			return -ENOMEM;
		n = recv(c->fd, p, READ_MAX - c->in.len, 0);
		if (n == 0)
			return http1_close(&c->http) == HTTP1_DONE ? 0 :
			    -EPROTO;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n > 0)
			buf_commit(&c->in, (size_t)n);
		if ((r = parse_answer(c)) != 0)
			return r < 0 ? r : 0;
	}
}

/* Body of a 200 answer in c->body; 0 or -errno. */
static int
get(struct call *c, const char *path, const char *target)
{
	int	r;

	buf_clear(&c->in);
	buf_clear(&c->out);
	buf_clear(&c->body);
	http1_init_response(&c->http, ENGINE_BODY_MAX);
	if ((r = http1_put_request(&c->out, "GET", target, "localhost")) < 0 ||
	    (r = http1_put_field(&c->out, "Connection", "close")) < 0 ||
	    (r = http1_put_end(&c->out)) < 0)
		return r;
	if ((c->fd = connect_unix(path)) < 0)
		return c->fd;
	c->deadline_ms = loop_clock_us() / 1000 + ENGINE_REQUEST_MS;
	if ((r = send_request(c)) == 0)
		r = receive_answer(c);
	close(c->fd);
	return r;
}

typedef int read_fn(struct engine_usage *u, const void *p, size_t n);

/*
 * target below prefix + version ("/v4.0.0"), else without.  0, -ETIMEDOUT: the
 * engine doesn't answer and need not be asked more, or another -errno.
 */
static int
ask(struct call *c, struct engine_usage *u, const char *version,
    const char *target, read_fn *fn)
{
	char	path[128];
	int	r = -ENOENT;

	if (version[0] != '\0' &&
	    str_format(path, sizeof path, "/v%s%s", version, target) > 0)
		r = get(c, u->socket, path);
	if (r < 0 && r != -ETIMEDOUT)
		r = get(c, u->socket, target);
	if (r == 0)
		r = fn(u, buf_head(&c->body), c->body.len);
	return r;
}

static int
converse(struct call *c, struct engine_usage *u)
{
	char	version[sizeof u->version];
	int	r;

	if ((r = ask(c, u, "", "/version", engine_read_version)) < 0)
		return r;
	memcpy(version, u->version, sizeof version);
	r = ask(c, u, version, "/libpod/info", engine_read_libpod);
	if (r != -ETIMEDOUT && u->root_dir[0] == '\0')
		r = ask(c, u, u->api_version, "/info", engine_read_info);
	if (r != -ETIMEDOUT)
		ask(c, u, u->api_version, "/system/df", engine_read_df);
	if (u->total == 0)
		u->total = u->images + u->containers + u->volumes +
		    u->build_cache;
	return 0;
}

/* A user's socket leads where the user likes: go there as the user. */
static int
become_owner(const struct stat *st)
{
	uid_t	uid = st->st_uid;
	gid_t	gid = st->st_gid;

	if (geteuid() != 0 || uid == 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return -errno;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return geteuid() == uid ? 0 : -EPERM;
}

int
engine_query(const char *const *paths, struct engine_usage *u)
{
	struct call	c = { .fd = -1 };
	struct stat	st;
	int		r;

	memset(u, 0, sizeof *u);	/* padding, too: it crosses a pipe */
	for (; *paths != NULL; paths++)
		if (stat(*paths, &st) == 0 && S_ISSOCK(st.st_mode))
			break;
	if (*paths == NULL)
		return -ENOENT;
	if ((r = str_format(u->socket, sizeof u->socket, "%s", *paths)) < 0 ||
	    (r = become_owner(&st)) < 0)
		return r;
	buf_init(&c.in, READ_MAX);
	buf_init(&c.out, REQUEST_MAX);
	buf_init(&c.body, ENGINE_BODY_MAX);
	r = converse(&c, u);
	buf_finish(&c.in);
	buf_finish(&c.out);
	buf_finish(&c.body);
	return r;
}
