#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/listen.h"
#include "tests/unit/conn_owner.h"

/* A plain connection and the bare socket at its other end. */
struct line {
	struct loop	*loop;
	struct owner	 o;
	int		 fd;
};

static void
line_open(struct line *ln, const struct conn_ops *with)
{
	int	fd[2];

	ln->loop = loop_create();
	owner_init(&ln->o);
	socket_pair(fd);
	assert_int_equal(conn_create(&ln->o.c, ln->loop, fd[0], false, NULL,
	    with, &ln->o), 0);
	assert_int_equal(ln->o.readies, 0);
	ln->fd = fd[1];
	turns(ln->loop, 1);
	assert_int_equal(ln->o.readies, ln->o.closeds == 0);
}

static void
line_close(struct line *ln)
{
	if (ln->o.closeds == 0)
		conn_close(ln->o.c, 0);
	assert_int_equal(ln->o.closeds, 1);
	if (ln->fd != -1)
		close(ln->fd);
	loop_destroy(ln->loop);
	owner_finish(&ln->o);
}

static void
peer_sends(struct line *ln, const char *text)
{
	assert_int_equal(send(ln->fd, text, strlen(text), 0), strlen(text));
}

static void
assert_peer_reads(struct line *ln, const char *text)
{
	char	got[64];
	ssize_t	n = recv(ln->fd, got, sizeof got, 0);

	assert_int_equal(n, strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

static void
bytes_go_both_ways(void **state)
{
	struct line	ln;

	(void)state;
	line_open(&ln, &ops);
	peer_sends(&ln, "hello");
	turns(ln.loop, 1);
	assert_int_equal(ln.o.got.len, 5);
	assert_int_equal(buf_put(&ln.o.todo, "world", 5), 0);
	conn_kick(ln.o.c);
	conn_kick(ln.o.c);
	turns(ln.loop, 1);
	assert_peer_reads(&ln, "world");
	assert_false(conn_is_tls(ln.o.c));
	line_close(&ln);
}

static void
what_is_left_is_offered_with_more_bytes_or_after_resume(void **state)
{
	struct line	ln;

	(void)state;
	line_open(&ln, &ops);
	ln.o.eat = 2;
	peer_sends(&ln, "abcdef");
	turns(ln.loop, 3);
	assert_int_equal(ln.o.inputs, 1);
	assert_int_equal(ln.o.got.len, 2);
	peer_sends(&ln, "g");
	turns(ln.loop, 3);
	assert_int_equal(ln.o.inputs, 2);
	assert_int_equal(ln.o.got.len, 4);
	conn_resume(ln.o.c);
	turns(ln.loop, 3);
	assert_int_equal(ln.o.inputs, 3);
	assert_int_equal(ln.o.got.len, 6);
	assert_memory_equal(buf_head(&ln.o.got), "abcdef", 6);
	line_close(&ln);
}

static void
paused_connection_reads_nothing(void **state)
{
	static char	block[1 << 16];
	struct line	ln;
	int		i;

	(void)state;
	line_open(&ln, &ops);
	conn_pause(ln.o.c);
	turns(ln.loop, 1);
	/* The socket fills up: the peer feels it. */
	for (i = 0; i < 100 && send(ln.fd, block, sizeof block, 0) != -1; i++)
		turns(ln.loop, 1);
	assert_true(i < 100);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(ln.o.inputs, 0);
	conn_resume(ln.o.c);
	turns(ln.loop, 100);
	assert_true(ln.o.got.len > sizeof block);
	line_close(&ln);
}

static void
owner_that_takes_nothing_holds_little(void **state)
{
	static char	block[1 << 16];
	struct line	ln;
	int		i;

	(void)state;
	line_open(&ln, &ops);
	ln.o.eat = 0;
	for (i = 0; i < 100 && send(ln.fd, block, sizeof block, 0) != -1; i++)
		turns(ln.loop, 20);
	assert_true(i < 100);
	i = ln.o.inputs;
	turns(ln.loop, 20);		/* full: no more calls, no spinning */
	assert_int_equal(ln.o.inputs, i);
	ln.o.eat = SIZE_MAX;
	conn_resume(ln.o.c);
	turns(ln.loop, 100);
	assert_true(ln.o.got.len >= sizeof block);
	line_close(&ln);
}

static void
slow_reader_gets_everything_in_order(void **state)
{
	struct line	ln;
	size_t		i, total = 0, n = 2 << 20;
	uint8_t		*p, chunk[10000];
	ssize_t		got;

	(void)state;
	line_open(&ln, &ops);
	assert_int_equal(buf_reserve(&ln.o.todo, n, &p), 0);
	for (i = 0; i < n; i++)
		p[i] = (uint8_t)(i % 251);
	buf_commit(&ln.o.todo, n);
	conn_kick(ln.o.c);
	turns(ln.loop, 50);
	assert_true(ln.o.todo.len > 0);		/* kept by the owner */
	assert_true(conn_queued(ln.o.c) <= CONN_OUT_MAX);
	while (total < n) {
		got = recv(ln.fd, chunk, sizeof chunk, 0);
		if (got == -1) {
			turns(ln.loop, 1);
			continue;
		}
		for (i = 0; i < (size_t)got; i++)
			assert_int_equal(chunk[i], (total + i) % 251);
		total += (size_t)got;
	}
	assert_int_equal(conn_queued(ln.o.c), 0);
	line_close(&ln);
}

/* -- the end --------------------------------------------------------------- */

static void
end_of_peer_comes_after_its_bytes(void **state)
{
	struct line	ln;

	(void)state;
	line_open(&ln, &ops);
	peer_sends(&ln, "last");
	shutdown(ln.fd, SHUT_WR);
	turns(ln.loop, 3);
	assert_int_equal(ln.o.got.len, 4);
	assert_int_equal(ln.o.closeds, 1);
	assert_int_equal(ln.o.why, 0);
	assert_peer_reads(&ln, "");
	line_close(&ln);
}

static void
end_of_peer_waits_for_a_paused_owner(void **state)
{
	struct line	ln;

	(void)state;
	line_open(&ln, &ops);
	peer_sends(&ln, "last");
	turns(ln.loop, 1);
	conn_pause(ln.o.c);
	peer_sends(&ln, "one");
	shutdown(ln.fd, SHUT_WR);
	turns(ln.loop, 3);
	assert_int_equal(ln.o.closeds, 0);
	conn_resume(ln.o.c);
	turns(ln.loop, 3);
	assert_int_equal(ln.o.got.len, 7);
	assert_int_equal(ln.o.closeds, 1);
	line_close(&ln);
}

static void
half_close_leaves_our_side_open_where_asked_for(void **state)
{
	struct line	ln;

	(void)state;
	line_open(&ln, &ops_with_eof);
	peer_sends(&ln, "question");
	shutdown(ln.fd, SHUT_WR);
	turns(ln.loop, 3);
	assert_int_equal(ln.o.eofs, 1);
	assert_int_equal(ln.o.closeds, 0);
	assert_int_equal(buf_put(&ln.o.todo, "answer", 6), 0);
	conn_kick(ln.o.c);
	turns(ln.loop, 3);
	assert_peer_reads(&ln, "answer");
	assert_int_equal(ln.o.eofs, 1);
	conn_finish(ln.o.c);
	turns(ln.loop, 3);
	assert_int_equal(ln.o.closeds, 1);
	assert_int_equal(ln.o.why, 0);
	line_close(&ln);
}

static void
vanished_peer_is_an_error(void **state)
{
	struct line	ln;

	(void)state;
	line_open(&ln, &ops);
	/* Bytes we never read turn the close into a reset. */
	assert_int_equal(buf_put(&ln.o.todo, "x", 1), 0);
	conn_kick(ln.o.c);
	turns(ln.loop, 1);
	close(ln.fd);
	ln.fd = -1;
	turns(ln.loop, 3);
	assert_int_equal(ln.o.closeds, 1);
	assert_int_equal(ln.o.why, -ECONNRESET);
	assert_string_equal(ln.o.reason, strerror(ECONNRESET));
	line_close(&ln);
}

/* What the peer said before it went is not lost to a failed write. */
static void
last_words_are_heard_when_writing_fails(void **state)
{
	struct line	ln;

	(void)state;
	line_open(&ln, &ops);
	peer_sends(&ln, "bye");
	close(ln.fd);
	ln.fd = -1;
	assert_int_equal(buf_put(&ln.o.todo, "x", 1), 0);
	conn_kick(ln.o.c);
	turns(ln.loop, 3);
	assert_int_equal(ln.o.got.len, 3);
	assert_int_equal(ln.o.closeds, 1);
	line_close(&ln);
}

static void
close_from_any_callback_any_number_of_times(void **state)
{
	struct line	ln;

	(void)state;
	line_open(&ln, &ops);
	ln.o.close_on_input = true;
	peer_sends(&ln, "x");
	turns(ln.loop, 1);
	assert_int_equal(ln.o.closeds, 1);
	assert_int_equal(ln.o.why, -EPROTO);
	line_close(&ln);

	line_open(&ln, &ops);
	ln.o.input_result = -EBADMSG;
	peer_sends(&ln, "x");
	turns(ln.loop, 1);
	assert_int_equal(ln.o.closeds, 1);
	assert_int_equal(ln.o.why, -EBADMSG);
	line_close(&ln);
}

static void
finish_sends_everything_and_lingers(void **state)
{
	struct line	ln;
	char		c;

	(void)state;
	line_open(&ln, &ops);
	assert_int_equal(buf_put(&ln.o.todo, "goaway", 6), 0);
	peer_sends(&ln, "never read");
	conn_finish(ln.o.c);
	conn_finish(ln.o.c);
	turns(ln.loop, 3);
	peer_sends(&ln, "nor this");
	turns(ln.loop, 1);
	assert_peer_reads(&ln, "goaway");
	assert_int_equal(recv(ln.fd, &c, 1, 0), 0);	/* no reset */
	assert_int_equal(ln.o.closeds, 0);
	assert_int_equal(ln.o.inputs, 0);
	shutdown(ln.fd, SHUT_WR);
	turns(ln.loop, 2);
	assert_int_equal(ln.o.closeds, 1);
	assert_int_equal(ln.o.why, 0);
	line_close(&ln);
}

/* All that the peer can get without the loop turning; its end is no byte. */
static size_t
peer_reads_all(struct line *ln)
{
	static char	chunk[1 << 16];
	size_t		total = 0;
	ssize_t		n;

	while ((n = recv(ln->fd, chunk, sizeof chunk, 0)) > 0)
		total += (size_t)n;
	return total;
}

/* The owner could add nothing to a full out, and then one send empties it:
 * that does not mean that the owner has no more. */
static void
finish_waits_for_an_owner_that_met_a_full_out(void **state)
{
	struct line	ln;
	size_t		sent = 4 << 20, rest = 1000, got;
	uint8_t		*p;
	int		i;

	(void)state;
	line_open(&ln, &ops);
	assert_int_equal(buf_reserve(&ln.o.todo, sent, &p), 0);
	memset(p, 0, sent);
	buf_commit(&ln.o.todo, sent);
	for (i = 0; conn_queued(ln.o.c) < CONN_OUT_MAX; i++) {
		assert_true(i < 50);
		conn_kick(ln.o.c);
		turns(ln.loop, 1);
	}
	assert_true(ln.o.todo.len > rest);
	sent -= ln.o.todo.len - rest;
	buf_drain(&ln.o.todo, ln.o.todo.len - rest);
	conn_finish(ln.o.c);
	turns(ln.loop, 3);
	got = peer_reads_all(&ln);
	for (i = 0; i < 10; i++) {
		turns(ln.loop, 1);
		got += peer_reads_all(&ln);
	}
	assert_int_equal(got, sent);
	assert_int_equal(ln.o.todo.len, 0);
	line_close(&ln);
}

static void
lingering_has_a_limit(void **state)
{
	static char	block[16384];
	struct line	ln;
	int		i;

	(void)state;
	line_open(&ln, &ops);
	conn_finish(ln.o.c);
	turns(ln.loop, 2);
	for (i = 0; i < 100 && ln.o.closeds == 0; i++) {
		(void)send(ln.fd, block, sizeof block, MSG_NOSIGNAL);
		turns(ln.loop, 2);
	}
	assert_int_equal(ln.o.closeds, 1);
	assert_true(i <= 5);
	line_close(&ln);
}

/* -- time limits ----------------------------------------------------------- */

static void
peer_that_does_not_read_is_dropped(void **state)
{
	struct line	ln;
	char		block[1 << 16];
	uint8_t		*p;
	int		 i;

	(void)state;
	line_open(&ln, &ops);
	assert_int_equal(buf_reserve(&ln.o.todo, 4 << 20, &p), 0);
	memset(p, 0, 4 << 20);
	buf_commit(&ln.o.todo, 4 << 20);
	conn_kick(ln.o.c);
	for (i = 0; i < 3; i++) {	/* a little progress is enough */
		turns(ln.loop, 10);
		pass(ln.loop, CONN_WRITE_STALL_MS / 2);
		assert_int_equal(ln.o.closeds, 0);
		while (recv(ln.fd, block, sizeof block, 0) > 0)
			continue;
	}
	turns(ln.loop, 10);
	pass(ln.loop, CONN_WRITE_STALL_MS);
	assert_int_equal(ln.o.closeds, 1);
	assert_int_equal(ln.o.why, -ETIMEDOUT);
	assert_string_equal(ln.o.reason, "peer does not read");
	line_close(&ln);
}

static void
lingering_ends_without_the_peer(void **state)
{
	struct line	ln;

	(void)state;
	line_open(&ln, &ops);
	conn_finish(ln.o.c);
	turns(ln.loop, 3);
	assert_int_equal(ln.o.closeds, 0);
	pass(ln.loop, CONN_LINGER_MS);
	assert_int_equal(ln.o.closeds, 1);
	assert_int_equal(ln.o.why, 0);
	line_close(&ln);
}

static void
idle_connection_keeps_working(void **state)
{
	struct line	ln;

	(void)state;
	line_open(&ln, &ops);
	peer_sends(&ln, "before");
	turns(ln.loop, 2);
	pass(ln.loop, 3600 * 1000);	/* buffers are given back */
	assert_int_equal(ln.o.closeds, 0);
	peer_sends(&ln, "after");
	turns(ln.loop, 2);
	assert_int_equal(ln.o.got.len, 11);
	line_close(&ln);
}

/* -- connecting, names ----------------------------------------------------- */

static void
on_accept(void *arg, int fd)
{
	*(int *)arg = fd;
}

static void
connect_in_progress_ends_in_ready(void **state)
{
	struct loop	*l = loop_create();
	struct listener	*ln;
	struct owner	 o;
	uint16_t	 port = 0;
	int		 fd = -1;
	uint32_t	 uid;

	(void)state;
	owner_init(&o);
	assert_int_equal(listen_tcp(&ln, l, "127.0.0.1", &port, on_accept,
	    &fd), 0);
	assert_int_equal(conn_create(&o.c, l,
	    connect_tcp_literal("127.0.0.1", port), true, NULL, &ops, &o), 0);
	while (o.readies == 0 || fd == -1)
		turns(l, 1);
	assert_true(str_prefix(conn_peer(o.c), "127.0.0.1:"));
	assert_false(conn_peer_uid(o.c, &uid));
	close(fd);
	listener_destroy(ln);
	turns(l, 3);
	assert_int_equal(o.closeds, 1);

	/* Nobody there any more. */
	owner_init(&o);
	assert_int_equal(conn_create(&o.c, l,
	    connect_tcp_literal("127.0.0.1", port), true, NULL, &ops, &o), 0);
	while (o.closeds == 0)
		turns(l, 1);
	assert_int_equal(o.readies, 0);
	assert_int_equal(o.why, -ECONNREFUSED);
	loop_destroy(l);
	owner_finish(&o);
}

static void
peer_of_a_unix_socket_has_a_uid(void **state)
{
	struct line	ln;
	char		want[32];
	uint32_t	uid = 0;

	(void)state;
	line_open(&ln, &ops);
	str_format(want, sizeof want, "unix uid %u", geteuid());
	assert_string_equal(conn_peer(ln.o.c), want);
	assert_true(conn_peer_uid(ln.o.c, &uid));
	assert_int_equal(uid, geteuid());
	line_close(&ln);
}

static void
idle_connection_sleeps(void **state)
{
	struct line	ln;
	uint64_t	before, after, us;

	(void)state;
	line_open(&ln, &ops);
	turns(ln.loop, 2);
	loop_stats(ln.loop, &before, &us);
	turns(ln.loop, 1);
	loop_stats(ln.loop, &after, &us);
	assert_int_equal(after - before, 1);
	assert_int_equal(ln.o.outputs, 1);	/* once, when it came up */
	line_close(&ln);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_go_both_ways),
		cmocka_unit_test(
		    what_is_left_is_offered_with_more_bytes_or_after_resume),
		cmocka_unit_test(paused_connection_reads_nothing),
		cmocka_unit_test(owner_that_takes_nothing_holds_little),
		cmocka_unit_test(slow_reader_gets_everything_in_order),
		cmocka_unit_test(end_of_peer_comes_after_its_bytes),
		cmocka_unit_test(end_of_peer_waits_for_a_paused_owner),
		cmocka_unit_test(
		    half_close_leaves_our_side_open_where_asked_for),
		cmocka_unit_test(vanished_peer_is_an_error),
		cmocka_unit_test(last_words_are_heard_when_writing_fails),
		cmocka_unit_test(close_from_any_callback_any_number_of_times),
		cmocka_unit_test(finish_sends_everything_and_lingers),
		cmocka_unit_test(finish_waits_for_an_owner_that_met_a_full_out),
		cmocka_unit_test(lingering_has_a_limit),
		cmocka_unit_test(peer_that_does_not_read_is_dropped),
		cmocka_unit_test(lingering_ends_without_the_peer),
		cmocka_unit_test(idle_connection_keeps_working),
		cmocka_unit_test(connect_in_progress_ends_in_ready),
		cmocka_unit_test(peer_of_a_unix_socket_has_a_uid),
		cmocka_unit_test(idle_connection_sleeps),
	};

	return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}
