/* See listen.h. */
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "loop/loop.h"
#include "net/addr.h"
#include "net/listen.h"

struct listener {
	struct loop	*loop;		/* borrowed */
	struct loop_io	 io;
	struct loop_timer timer;	/* end of a rest */
	struct loop_task free_task;
	listener_fn	*fn;
	void		*arg;
	int		 fd;		/* -1: destroyed */
	int		 reserve;	/* spent when descriptors run out */
	struct log_limit limit;
	/* Unix sockets: where the name is, and what it was when bound. */
	int		 dirfd;		/* -1: not a Unix socket */
	char		 name[sizeof ((struct sockaddr_un *)0)->sun_path];
	dev_t		 dev;
	ino_t		 ino;
};

static void
fd_close(int fd)
{
	if (fd != -1)
		close(fd);
}

static int
reserve_open(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* -- accepting ------------------------------------------------------------- */

static void
on_rested(void *arg)
{
	struct listener	*ln = arg;

	if (ln->reserve == -1)
		ln->reserve = reserve_open();
	loop_want(&ln->io, LOOP_READ);
}

static void
rest(struct listener *ln)
{
	loop_want(&ln->io, 0);
	loop_timer_set(ln->loop, &ln->timer,
	    loop_now(ln->loop) + LISTEN_REST_MS);
}

/*
 * No descriptor for the caller: it is told by a close, which it would not
 * be if it stayed in the backlog.
 */
static void
turn_away(struct listener *ln, int why)
{
	uint32_t	skipped;

	if (log_allow(&ln->limit, loop_now(ln->loop), &skipped))
		log_warn("listen", "connection refused: %s (%u more)",
		    strerror(why), skipped);
	if (why == EMFILE && ln->reserve != -1) {
		close(ln->reserve);
		fd_close(accept4(ln->fd, NULL, NULL, SOCK_CLOEXEC));
		if ((ln->reserve = reserve_open()) != -1)
			return;
	}
	rest(ln);
}

static void
on_ready(void *arg, unsigned ready)
{
	struct listener	*ln = arg;
	int		 fd, i;

	(void)ready;
	for (i = 0; i < LISTEN_ACCEPTS_MAX && ln->fd != -1; i++) {
		fd = accept4(ln->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd != -1) {
			ln->fn(ln->arg, fd);
			continue;
		}
		switch (errno) {
		case EAGAIN:
			return;
		case EMFILE:
		case ENFILE:
		case ENOBUFS:
		case ENOMEM:
			turn_away(ln, errno);
			return;
		default:
			break;		/* that caller's trouble: the next */
		}
	}
}

/* Takes fd. */
static int
listener_create(struct listener **out, struct loop *l, int fd, listener_fn *fn,
    void *arg)
{
	struct listener	*ln;
	int		 r;

	if ((ln = calloc(1, sizeof *ln)) == NULL) {
		close(fd);
		return -ENOMEM;
	}
	ln->loop = l;
	ln->fn = fn;
	ln->arg = arg;
	ln->fd = fd;
	ln->dirfd = -1;
	ln->reserve = reserve_open();
	ln->limit = (struct log_limit){ .burst = 1, .every_ms = 1000 };
	ln->io = (struct loop_io){ .fd = fd, .fn = on_ready, .arg = ln };
	ln->timer = (struct loop_timer){ .fn = on_rested, .arg = ln };
	ln->free_task = (struct loop_task){ .fn = free, .arg = ln };
	if (listen(fd, LISTEN_BACKLOG) == -1)
		r = -errno;
	else
		r = loop_watch(l, &ln->io, LOOP_READ);
	if (r < 0) {
		listener_destroy(ln);
		return r;
	}
	*out = ln;
	return 0;
}

void
listener_destroy(struct listener *ln)
{
	struct stat	st;

	if (ln == NULL || ln->fd == -1)
		return;
	loop_timer_clear(&ln->timer);
	loop_forget(&ln->io);
	if (ln->dirfd != -1 && fstatat(ln->dirfd, ln->name, &st,
	    AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == ln->dev &&
	    st.st_ino == ln->ino)
		unlinkat(ln->dirfd, ln->name, 0);
	fd_close(ln->dirfd);
	fd_close(ln->reserve);
	close(ln->fd);
	ln->fd = -1;
	loop_later(ln->loop, &ln->free_task);
}

/* -- TCP ------------------------------------------------------------------- */

static int
bound_socket(const struct addr *a)
{
	const int	on = 1, off = 0;
	int		fd, r;

	fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (a->sa.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
	if (bind(fd, &a->sa, a->len) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

static int
bound_to_all(uint16_t port)
{
	struct addr	a;
	int		fd;

	addr_parse(&a, "::", port);
	fd = bound_socket(&a);
	if (fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL)
		return fd;
	addr_parse(&a, "0.0.0.0", port);
	return bound_socket(&a);
}

static int
port_of(int fd, uint16_t *port)
{
	struct addr	a = { .len = sizeof a.un };

	if (getsockname(fd, &a.sa, &a.len) == -1)
		return -errno;
	*port = ntohs(a.sa.sa_family == AF_INET6 ? a.in6.sin6_port :
	    a.in.sin_port);
	return 0;
}

int
listen_tcp(struct listener **out, struct loop *l, const char *addr,
    uint16_t *port, listener_fn *fn, void *arg)
{
	struct addr	a;
	int		fd, r;

	if (addr == NULL || *addr == '\0')
		fd = bound_to_all(*port);
	else if ((r = addr_parse(&a, addr, *port)) < 0)
		return r;
	else
		fd = bound_socket(&a);
	if (fd < 0)
		return fd;
	if ((r = listener_create(out, l, fd, fn, arg)) < 0)
		return r;
	return port_of(fd, port);
}

/* -- Unix sockets ---------------------------------------------------------- */

/* The folder of path as a descriptor, so that looking and unlinking agree. */
static int
dir_open(const char *path)
{
	const char	*slash = strrchr(path, '/');
	char		 dir[sizeof ((struct sockaddr_un *)0)->sun_path];
	int		 fd;

	if (slash == NULL)
		str_format(dir, sizeof dir, ".");
	else if (slash == path)
		str_format(dir, sizeof dir, "/");
	else
		str_format(dir, sizeof dir, "%.*s", (int)(slash - path), path);
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd == -1 ? -errno : fd;
}

static bool
is_live(const struct addr *a)
{
	bool	live;
	int	fd;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return true;		/* can't tell: leave it alone */
	live = connect(fd, &a->sa, a->len) == 0 || errno != ECONNREFUSED;
	close(fd);
	return live;
}

/* Makes the name free, or says why it can't be. */
static int
clear_name(int dirfd, const char *name, const struct addr *a)
{
	struct stat	st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
		return -EEXIST;
	if (is_live(a))
		return -EADDRINUSE;
	if (unlinkat(dirfd, name, 0) == -1 && errno != ENOENT)
		return -errno;
	return 0;
}

static int
bind_with_mode(const struct addr *a, uint32_t mode)
{
	mode_t	old = umask(~(mode_t)mode & 0777);
	int	fd = bound_socket(a);

	umask(old);
	return fd;
}

/* A folder swapped under our feet shows here. */
static int
remember_name(struct listener *ln, int dirfd, const char *name)
{
	struct stat	st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return -errno;
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
		return -EEXIST;
	str_format(ln->name, sizeof ln->name, "%s", name);
	ln->dev = st.st_dev;
	ln->ino = st.st_ino;
	ln->dirfd = dirfd;
	return 0;
}

int
listen_unix(struct listener **out, struct loop *l, const char *path,
    uint32_t mode, listener_fn *fn, void *arg)
{
	struct listener	*ln = NULL;
	struct addr	 a;
	const char	*name = path_base(path);
	int		 dirfd = -1, fd, r;

	if ((r = addr_unix(&a, path)) < 0)
		return r;
	if ((dirfd = dir_open(path)) < 0)
		return dirfd;
	if ((r = clear_name(dirfd, name, &a)) < 0)
		goto out;
	if ((fd = bind_with_mode(&a, mode)) < 0) {
		r = fd == -EADDRINUSE ? -EEXIST : fd;
		goto out;
	}
	if ((r = listener_create(&ln, l, fd, fn, arg)) < 0) {
		unlinkat(dirfd, name, 0);
		goto out;
	}
	if ((r = remember_name(ln, dirfd, name)) < 0)
		goto out;
	dirfd = -1;			/* now ln's */
	*out = ln;
	ln = NULL;			/* now the caller's */
out:
	listener_destroy(ln);
	fd_close(dirfd);
	return r;
}

/* -- connecting ------------------------------------------------------------ */

static int
start_connect(const struct addr *a)
{
	int	fd, r;

	fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -errno;
	if (connect(fd, &a->sa, a->len) == 0 || errno == EINPROGRESS ||
	    errno == EINTR)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

int
connect_unix(const char *path)
{
	struct addr	a;
	int		r;

	if ((r = addr_unix(&a, path)) < 0)
		return r;
	return start_connect(&a);
}

int
connect_tcp_literal(const char *addr, uint16_t port)
{
	struct addr	a;
	int		r;

	if ((r = addr_parse(&a, addr, port)) < 0)
		return r;
	return start_connect(&a);
}
