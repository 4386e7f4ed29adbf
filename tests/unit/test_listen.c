#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/str.h"
#include "loop/loop.h"
#include "net/addr.h"
#include "net/listen.h"
#include "tests/unit/failmalloc.h"

struct door {
	struct loop	*loop;
	struct listener	*ln;
	char		 dir[64], path[96];
	int		 accepted, last;
	bool		 destroy;
};

static void
on_accept(void *arg, int fd)
{
	struct door	*d = arg;

	d->accepted++;
	d->last = fd;
	if (d->destroy)
		listener_destroy(d->ln);
	loop_stop(d->loop);
}

static int
setup(void **state)
{
	struct door	*d = calloc(1, sizeof *d);

	assert_non_null(d);
	d->loop = loop_create();
	str_format(d->dir, sizeof d->dir, "/tmp/test_listen.%d", getpid());
	assert_int_equal(mkdir(d->dir, 0700), 0);
	str_format(d->path, sizeof d->path, "%s/sock", d->dir);
	*state = d;
	return 0;
}

static int
teardown(void **state)
{
	struct door	*d = *state;

	unlink(d->path);
	assert_int_equal(rmdir(d->dir), 0);
	loop_destroy(d->loop);
	free(d);
	return 0;
}

static int
open_unix(struct door *d)
{
	return listen_unix(&d->ln, d->loop, d->path, 0600, on_accept, d);
}

/* One turn that does not sleep. */
static void
stop(void *arg)
{
	loop_stop(arg);
}

static void
one_turn(struct loop *l)
{
	struct loop_timer	t = { .fn = stop, .arg = l };

	loop_timer_set(l, &t, 0);
	assert_int_equal(loop_run(l), 0);
}

static void
tcp_port_zero_is_chosen_by_the_kernel(void **state)
{
	static const char *const addrs[] = { NULL, "", "127.0.0.1" };
	struct door	*d = *state;
	char		 peer[ADDR_TEXT_MAX];
	uint16_t	 port;
	size_t		 i;
	int		 fd;

	for (i = 0; i < ARRAY_LEN(addrs); i++) {
		port = 0;
		assert_int_equal(listen_tcp(&d->ln, d->loop, addrs[i], &port,
		    on_accept, d), 0);
		assert_int_not_equal(port, 0);
		fd = connect_tcp_literal("127.0.0.1", port);
		assert_true(fd >= 0);
		assert_int_equal(loop_run(d->loop), 0);
		assert_int_equal(d->accepted, i + 1);
		addr_peer(d->last, peer, sizeof peer);
		assert_true(str_prefix(peer, "127.0.0.1:"));
		assert_true(fcntl(d->last, F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(d->last, F_GETFD) & FD_CLOEXEC);
		close(d->last);
		close(fd);
		listener_destroy(d->ln);
	}
}

static void
tcp_refuses_names_and_taken_ports(void **state)
{
	struct door	*d = *state;
	struct listener	*second;
	uint16_t	 port = 0;

	assert_int_equal(listen_tcp(&d->ln, d->loop, "localhost", &port,
	    on_accept, d), -EINVAL);
	assert_int_equal(connect_tcp_literal("localhost", 1), -EINVAL);
	assert_int_equal(listen_tcp(&d->ln, d->loop, "127.0.0.1", &port,
	    on_accept, d), 0);
	assert_int_equal(listen_tcp(&second, d->loop, "127.0.0.1", &port,
	    on_accept, d), -EADDRINUSE);
	listener_destroy(d->ln);
}

static void
unix_socket_has_the_mode_asked_for(void **state)
{
	struct door	*d = *state;
	struct stat	 st;
	char		 peer[ADDR_TEXT_MAX], want[32];
	mode_t		 mask = umask(0);
	int		 fd;

	assert_int_equal(open_unix(d), 0);
	assert_int_equal(umask(mask), 0);	/* ours again */
	assert_int_equal(stat(d->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	fd = connect_unix(d->path);
	assert_true(fd >= 0);
	assert_int_equal(loop_run(d->loop), 0);
	addr_peer(d->last, peer, sizeof peer);
	str_format(want, sizeof want, "unix uid %u", geteuid());
	assert_string_equal(peer, want);
	close(d->last);
	close(fd);
	listener_destroy(d->ln);
	assert_int_equal(stat(d->path, &st), -1);	/* unlinked */
}

static void
stale_socket_is_replaced_and_live_one_is_not(void **state)
{
	struct door	*d = *state;
	struct listener	*second;
	struct addr	 a;
	int		 fd;

	assert_int_equal(addr_unix(&a, d->path), 0);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, &a.sa, a.len), 0);
	close(fd);				/* the name stays */
	assert_int_equal(open_unix(d), 0);
	assert_int_equal(listen_unix(&second, d->loop, d->path, 0600,
	    on_accept, d), -EADDRINUSE);
	listener_destroy(d->ln);
}

static void
foreign_files_are_left_alone(void **state)
{
	struct door	*d = *state;
	struct stat	 st;
	int		 fd;

	fd = open(d->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(open_unix(d), -EEXIST);
	assert_int_equal(unlink(d->path), 0);
	assert_int_equal(symlink("/tmp/nowhere", d->path), 0);
	assert_int_equal(open_unix(d), -EEXIST);
	assert_int_equal(lstat(d->path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
}

static void
destroy_leaves_a_successor_alone(void **state)
{
	struct door	*d = *state;
	struct stat	 st;
	struct listener	*first;

	assert_int_equal(open_unix(d), 0);
	first = d->ln;
	assert_int_equal(unlink(d->path), 0);
	assert_int_equal(open_unix(d), 0);
	listener_destroy(first);
	assert_int_equal(stat(d->path, &st), 0);
	listener_destroy(d->ln);
	assert_int_equal(stat(d->path, &st), -1);
}

static void
path_of_a_socket_has_a_limit(void **state)
{
	struct door	*d = *state;
	struct addr	 a;
	char		 path[sizeof a.un.sun_path + 1];

	memset(path, 'x', sizeof path);
	path[sizeof path - 1] = '\0';
	assert_int_equal(listen_unix(&d->ln, d->loop, path, 0600, on_accept,
	    d), -ENAMETOOLONG);
	assert_int_equal(connect_unix(path), -ENAMETOOLONG);
	assert_int_equal(connect_unix(""), -EINVAL);
	path[sizeof path - 2] = '\0';
	assert_int_equal(addr_unix(&a, path), 0);
	assert_int_equal(listen_unix(&d->ln, d->loop, "/nowhere/s", 0600,
	    on_accept, d), -ENOENT);
	assert_int_equal(connect_unix("/nowhere/s"), -ENOENT);
}

static void
handler_may_destroy_its_listener(void **state)
{
	struct door	*d = *state;
	int		 fd[2];

	assert_int_equal(open_unix(d), 0);
	fd[0] = connect_unix(d->path);
	fd[1] = connect_unix(d->path);
	d->destroy = true;
	assert_int_equal(loop_run(d->loop), 0);
	assert_int_equal(d->accepted, 1);
	close(d->last);
	close(fd[0]);
	close(fd[1]);
	listener_destroy(NULL);
}

/* Takes every free descriptor; returns the rlimit to restore. */
static struct rlimit
exhaust(int *fds, size_t *n)
{
	struct rlimit	old, low;

	getrlimit(RLIMIT_NOFILE, &old);
	low = old;
	low.rlim_cur = 64;
	setrlimit(RLIMIT_NOFILE, &low);
	for (*n = 0; (fds[*n] = open("/dev/null", O_RDONLY)) != -1; )
		++*n;
	return old;
}

static void
out_of_descriptors_turns_callers_away(void **state)
{
	struct door	*d = *state;
	struct rlimit	 old;
	struct pollfd	 p = { .events = POLLIN };
	int		 fds[64];
	size_t		 n;
	char		 c;

	log_set_level(LOG_ERROR);
	assert_int_equal(open_unix(d), 0);
	p.fd = connect_unix(d->path);
	old = exhaust(fds, &n);
	one_turn(d->loop);
	assert_int_equal(d->accepted, 0);
	assert_int_equal(poll(&p, 1, 0), 1);	/* not left in the backlog */
	assert_int_equal(read(p.fd, &c, 1), 0);
	close(p.fd);

	/* With a descriptor to spare the door is open again. */
	close(fds[--n]);
	close(fds[--n]);
	p.fd = connect_unix(d->path);
	assert_int_equal(loop_run(d->loop), 0);
	assert_int_equal(d->accepted, 1);
	close(d->last);
	close(p.fd);
	while (n > 0)
		close(fds[--n]);
	setrlimit(RLIMIT_NOFILE, &old);
	listener_destroy(d->ln);
	log_set_level(LOG_INFO);
}

static void
no_memory_leaves_nothing_behind(void **state)
{
	struct door	*d = *state;
	struct stat	 st;
	uint16_t	 port = 0;

	failmalloc_arm(1);
	assert_int_equal(open_unix(d), -ENOMEM);
	assert_true(failmalloc_disarm());
	assert_int_equal(stat(d->path, &st), -1);
	failmalloc_arm(1);
	assert_int_equal(listen_tcp(&d->ln, d->loop, "127.0.0.1", &port,
	    on_accept, d), -ENOMEM);
	assert_true(failmalloc_disarm());
}

static void
mapped_addresses_are_shown_as_v4(void **state)
{
	struct door	*d = *state;
	char		 peer[ADDR_TEXT_MAX];
	uint16_t	 port = 0;
	int		 fd;

	if (listen_tcp(&d->ln, d->loop, "::", &port, on_accept, d) < 0)
		skip();			/* a host without IPv6 */
	fd = connect_tcp_literal("127.0.0.1", port);
	assert_int_equal(loop_run(d->loop), 0);
	addr_peer(d->last, peer, sizeof peer);
	assert_true(str_prefix(peer, "127.0.0.1:"));
	close(d->last);
	close(fd);
	fd = connect_tcp_literal("::1", port);
	assert_int_equal(loop_run(d->loop), 0);
	addr_peer(d->last, peer, sizeof peer);
	assert_true(str_prefix(peer, "[::1]:"));
	close(d->last);
	close(fd);
	listener_destroy(d->ln);
	addr_peer(0, peer, sizeof peer);
	assert_string_equal(peer, "unknown");
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(tcp_port_zero_is_chosen_by_the_kernel),
		T(tcp_refuses_names_and_taken_ports),
		T(unix_socket_has_the_mode_asked_for),
		T(stale_socket_is_replaced_and_live_one_is_not),
		T(foreign_files_are_left_alone),
		T(destroy_leaves_a_successor_alone),
		T(path_of_a_socket_has_a_limit),
		T(handler_may_destroy_its_listener),
		T(out_of_descriptors_turns_callers_away),
		T(no_memory_leaves_nothing_behind),
		T(mapped_addresses_are_shown_as_v4),
	};

	return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
