/*
 * conn_owner - an owner of a connection that notes what it is told, and time
 * that passes when a test says so.
 */
#ifndef TESTS_UNIT_CONN_OWNER_H
#define TESTS_UNIT_CONN_OWNER_H

#include <sys/socket.h>
#include <sys/syscall.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "loop/loop.h"
#include "net/conn.h"
#include "tests/unit/failmalloc.h"

/* Stands in for the C library's, so that time can be made to pass. */
static time_t	skew;

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int	r = (int)syscall(SYS_clock_gettime, id, ts);

	ts->tv_sec += skew;
	return r;
}

/* An owner that notes what it is told and does what the test says. */
struct owner {
	struct conn	*c;
	struct buf	 got, todo;	/* received; still to send */
	int		 readies, inputs, outputs, eofs, closeds;
	int		 why;
	char		 reason[80];
	size_t		 eat;		/* input() takes so much at most */
	int		 input_result;
	bool		 close_on_input, close_on_ready, finish_on_eof;
	bool		 echo;
};

static inline void
on_ready(void *arg)
{
	struct owner	*o = arg;

	o->readies++;
	if (o->close_on_ready)
		conn_close(o->c, 0);
}

static inline int
on_input(void *arg, struct buf *in)
{
	struct owner	*o = arg;
	size_t		 n = in->len < o->eat ? in->len : o->eat;

	assert_int_equal(o->closeds, 0);
	assert_true(in->len > 0);
	o->inputs++;
	if (o->close_on_input) {
		conn_close(o->c, -EPROTO);
		conn_close(o->c, 0);
		return 0;
	}
	assert_int_equal(buf_put(o->echo ? &o->todo : &o->got, buf_head(in),
	    n), 0);
	buf_drain(in, n);
	if (o->echo)
		conn_kick(o->c);
	return o->input_result;
}

static inline void
on_output(void *arg, struct buf *out)
{
	struct owner	*o = arg;

	assert_int_equal(o->closeds, 0);
	o->outputs++;
	assert_int_equal(buf_move(out, &o->todo, SIZE_MAX, NULL), 0);
}

static inline void
on_eof(void *arg)
{
	struct owner	*o = arg;

	assert_int_equal(o->closeds, 0);
	o->eofs++;
	if (o->finish_on_eof)
		conn_finish(o->c);
}

static inline void
on_closed(void *arg, int why, const char *reason)
{
	struct owner	*o = arg;

	o->closeds++;
	o->why = why;
	str_format(o->reason, sizeof o->reason, "%s", reason);
}

static const struct conn_ops ops = {
	.ready = on_ready,
	.input = on_input,
	.output = on_output,
	.closed = on_closed,
};

static const struct conn_ops ops_with_eof = {
	.ready = on_ready,
	.input = on_input,
	.output = on_output,
	.eof = on_eof,
	.closed = on_closed,
};

static inline void
owner_init(struct owner *o)
{
	memset(o, 0, sizeof *o);
	buf_init(&o->got, 64 << 20);
	buf_init(&o->todo, 64 << 20);
	o->eat = SIZE_MAX;
}

static inline void
owner_finish(struct owner *o)
{
	buf_finish(&o->got);
	buf_finish(&o->todo);
}

static inline void
stop(void *arg)
{
	loop_stop(arg);
}

/* Some turns that do not sleep. */
static inline void
turns(struct loop *l, int n)
{
	while (n-- > 0) {
		struct loop_timer	t = { .fn = stop, .arg = l };

		loop_timer_set(l, &t, 0);
		assert_int_equal(loop_run(l), 0);
	}
}

static inline void
socket_pair(int fd[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0, fd), 0);
}

static inline void
pass(struct loop *l, unsigned ms)
{
	skew += ms / 1000 + 1;
	turns(l, 2);
}

#endif
