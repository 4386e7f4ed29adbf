#include <sys/mman.h>
#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "tests/unit/failmalloc.h"

/* One watched end of a socket pair, and what its handler does. */
struct end {
	struct loop	*loop;
	struct loop_io	 io;
	int		 peer;
	unsigned	 seen;		/* ready bits of the last call */
	int		 calls;
	struct end	*victim;	/* what the handler closes */
	bool		 stop;
};

static void
on_ready(void *arg, unsigned ready)
{
	struct end	*e = arg;

	e->seen = ready;
	e->calls++;
	if (e->victim != NULL && e->victim->io.fd != -1) {
		loop_forget(&e->victim->io);
		close(e->victim->io.fd);
		e->victim->io.fd = -1;
	}
	if (e->stop)
		loop_stop(e->loop);
}

static void
end_open(struct end *e, struct loop *l, unsigned want)
{
	int	fd[2];

	memset(e, 0, sizeof *e);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0, fd), 0);
	e->loop = l;
	e->io.fd = fd[0];
	e->io.fn = on_ready;
	e->io.arg = e;
	e->peer = fd[1];
	assert_int_equal(loop_watch(l, &e->io, want), 0);
}

static void
end_close(struct end *e)
{
	loop_forget(&e->io);
	if (e->io.fd != -1)
		close(e->io.fd);
	if (e->peer != -1)
		close(e->peer);
}

static void
stop(void *arg)
{
	loop_stop(arg);
}

/* Exactly one turn, which does not sleep. */
static void
one_turn(struct loop *l)
{
	struct loop_timer	t = { .fn = stop, .arg = l };

	loop_timer_set(l, &t, 0);
	assert_int_equal(loop_run(l), 0);
}

static void
readable_is_reported_until_read(void **state)
{
	struct loop	*l = loop_create();
	struct end	 e;
	char		 c;

	(void)state;
	end_open(&e, l, LOOP_READ);
	one_turn(l);
	assert_int_equal(e.calls, 0);
	assert_int_equal(write(e.peer, "x", 1), 1);
	one_turn(l);
	one_turn(l);
	assert_int_equal(e.calls, 2);
	assert_int_equal(e.seen, LOOP_READ);
	assert_int_equal(read(e.io.fd, &c, 1), 1);
	one_turn(l);
	assert_int_equal(e.calls, 2);
	end_close(&e);
	loop_destroy(l);
}

static void
only_what_is_wanted_is_reported(void **state)
{
	struct loop	*l = loop_create();
	struct end	 e;

	(void)state;
	end_open(&e, l, LOOP_WRITE);
	assert_int_equal(write(e.peer, "x", 1), 1);
	one_turn(l);
	assert_int_equal(e.seen, LOOP_WRITE);
	assert_int_equal(loop_want(&e.io, LOOP_READ | LOOP_WRITE), 0);
	one_turn(l);
	assert_int_equal(e.seen, LOOP_READ | LOOP_WRITE);
	end_close(&e);
	loop_destroy(l);
}

static void
hang_up_sets_the_wanted_bits(void **state)
{
	struct loop	*l = loop_create();
	struct end	 e;

	(void)state;
	end_open(&e, l, LOOP_READ);
	close(e.peer);
	e.peer = -1;
	one_turn(l);
	assert_int_equal(e.seen, LOOP_READ | LOOP_HANGUP);
	end_close(&e);
	loop_destroy(l);
}

static void
hang_up_is_silent_while_nothing_is_wanted(void **state)
{
	struct loop	*l = loop_create();
	struct end	 e;

	(void)state;
	end_open(&e, l, 0);
	close(e.peer);
	e.peer = -1;
	one_turn(l);
	assert_int_equal(e.calls, 0);
	assert_int_equal(loop_want(&e.io, LOOP_READ), 0);
	one_turn(l);
	assert_int_equal(e.calls, 1);
	assert_int_equal(loop_want(&e.io, 0), 0);
	one_turn(l);
	assert_int_equal(e.calls, 1);
	end_close(&e);
	loop_destroy(l);
}

static void
forgotten_this_turn_gets_no_event(void **state)
{
	struct loop	*l = loop_create();
	struct end	 a, b;

	(void)state;
	end_open(&a, l, LOOP_READ);
	end_open(&b, l, LOOP_READ);
	a.victim = &b;
	b.victim = &a;
	assert_int_equal(write(a.peer, "x", 1), 1);
	assert_int_equal(write(b.peer, "x", 1), 1);
	one_turn(l);
	assert_int_equal(a.calls + b.calls, 1);
	end_close(&a);
	end_close(&b);
	loop_destroy(l);
}

/* Closes its victim, whose number and memory a new descriptor takes over. */
static void
on_ready_replace(void *arg, unsigned ready)
{
	struct end	*e = arg, *victim = e->victim;
	int		 old;

	on_ready(arg, ready);
	if (victim == NULL || victim->calls != 0 || victim->peer == -1)
		return;
	old = dup(e->io.fd);
	close(victim->peer);
	victim->peer = -1;
	victim->io.fd = old;
	assert_int_equal(loop_watch(e->loop, &victim->io, LOOP_READ), 0);
	e->victim = NULL;
	e->seen = (unsigned)old;
}

static void
reused_number_gets_no_old_event(void **state)
{
	struct loop	*l = loop_create();
	struct end	 a, b;
	int		 was;

	(void)state;
	end_open(&a, l, LOOP_READ);
	end_open(&b, l, LOOP_READ);
	was = b.io.fd;
	a.victim = &b;
	a.io.fn = on_ready_replace;
	b.io.fn = on_ready;
	assert_int_equal(write(a.peer, "x", 1), 1);
	assert_int_equal(write(b.peer, "x", 1), 1);
	/* Epoll reports in the order of arrival: a first. */
	one_turn(l);
	assert_int_equal(a.seen, was);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 0);
	one_turn(l);
	assert_int_equal(b.calls, 1);
	end_close(&a);
	end_close(&b);
	loop_destroy(l);
}

static void
regular_file_is_always_ready(void **state)
{
	struct loop	*l = loop_create();
	struct end	 e = { .loop = l, .peer = -1 };

	(void)state;
	e.io.fd = memfd_create("file", MFD_CLOEXEC);
	assert_int_not_equal(e.io.fd, -1);
	e.io.fn = on_ready;
	e.io.arg = &e;
	assert_int_equal(loop_watch(l, &e.io, LOOP_READ), 0);
	e.stop = true;
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(e.calls, 2);
	assert_int_equal(e.seen, LOOP_READ);
	assert_int_equal(loop_want(&e.io, 0), 0);
	one_turn(l);
	assert_int_equal(e.calls, 2);
	assert_int_equal(loop_want(&e.io, LOOP_READ), 0);
	one_turn(l);
	assert_int_equal(e.calls, 3);
	end_close(&e);
	loop_destroy(l);
}

/* Timers that note the order in which they fire. */
struct tick {
	struct loop_timer t;
	struct loop	*loop;
	int		*order, *n, id;
	struct tick	*other;		/* cleared when this one fires */
	bool		 again;
};

static void
on_tick(void *arg)
{
	struct tick	*k = arg;

	k->order[(*k->n)++] = k->id;
	if (k->other != NULL)
		loop_timer_clear(&k->other->t);
	if (k->again)
		loop_timer_set(k->loop, &k->t, 0);
}

static void
ticks_init(struct tick *k, int count, struct loop *l, int *order, int *n)
{
	int	i;

	memset(k, 0, sizeof *k * (size_t)count);
	for (i = 0; i < count; i++) {
		k[i].t.fn = on_tick;
		k[i].t.arg = &k[i];
		k[i].loop = l;
		k[i].order = order;
		k[i].n = n;
		k[i].id = i;
	}
}

static void
timers_fire_in_order(void **state)
{
	struct loop	*l = loop_create();
	struct tick	 k[100];
	int		 order[100], n = 0, i;
	uint64_t	 base = loop_now(l) - 1000;

	(void)state;
	ticks_init(k, 100, l, order, &n);
	for (i = 0; i < 100; i++)
		loop_timer_set(l, &k[i].t, base + (uint64_t)(i * 37 % 100));
	/* Moved both ways, and cleared at every place of the heap. */
	for (i = 0; i < 100; i += 3)
		loop_timer_set(l, &k[i].t, base + (uint64_t)(i * 53 % 100));
	for (i = 0; i < 100; i += 7)
		loop_timer_clear(&k[i].t);
	loop_drain(l);
	assert_int_equal(n, 85);
	for (i = 1; i < n; i++)
		assert_true(k[order[i - 1]].t.due_ms <= k[order[i]].t.due_ms);
	for (i = 0; i < n; i++)
		assert_int_not_equal(order[i] % 7, 0);
	loop_destroy(l);
}

static uint64_t
clock_us(void)
{
	struct timespec	ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

struct busy {
	struct loop	*loop;
	struct loop_task task;
};

static void
again(void *arg)
{
	struct busy	*b = arg;

	loop_later(b->loop, &b->task);
}

/*
 * Not by a part of a millisecond, wherever in it the turn began, and however
 * often the loop looks.
 */
static void
timer_is_never_early(void **state)
{
	struct loop	 *l;
	struct loop_timer t = { .fn = stop };
	struct busy	  b = { .task = { .fn = again, .arg = &b } };
	uint64_t	  begin, due;
	int		  i;

	(void)state;
	for (i = 0; i < 20; i++) {
		begin = clock_us();
		l = t.arg = loop_create();
		due = loop_now(l) + 3;
		loop_timer_set(l, &t, due);
		b.loop = l;
		again(&b);
		assert_int_equal(loop_run(l), 0);
		assert_true(loop_now(l) >= due);
		assert_true(clock_us() - begin >= 3000);
		loop_later_cancel(l, &b.task);
		loop_destroy(l);
	}
}

static void
timer_may_clear_one_that_is_due_too(void **state)
{
	struct loop	*l = loop_create();
	struct tick	 k[3];
	int		 order[3], n = 0;

	(void)state;
	ticks_init(k, 3, l, order, &n);
	k[0].other = &k[1];
	loop_timer_set(l, &k[0].t, 1);
	loop_timer_set(l, &k[1].t, 2);
	loop_timer_set(l, &k[2].t, 3);
	one_turn(l);
	one_turn(l);
	assert_int_equal(n, 2);
	assert_int_equal(order[0], 0);
	assert_int_equal(order[1], 2);
	loop_destroy(l);
}

static void
timer_that_rearms_itself_fires_once_a_turn(void **state)
{
	struct loop	*l = loop_create();
	struct tick	 k[1];
	int		 order[8], n = 0;

	(void)state;
	ticks_init(k, 1, l, order, &n);
	k[0].again = true;
	loop_timer_set(l, &k[0].t, 0);
	one_turn(l);
	assert_int_equal(n, 1);
	one_turn(l);
	assert_int_equal(n, 2);
	loop_timer_clear(&k[0].t);
	one_turn(l);
	assert_int_equal(n, 2);
	loop_destroy(l);
}

struct job {
	struct loop_task task;
	struct loop	*loop;
	int		 runs;
	bool		 again;
	struct job	*cancel;
};

static void
on_job(void *arg)
{
	struct job	*j = arg;

	j->runs++;
	if (j->cancel != NULL)
		loop_later_cancel(j->loop, &j->cancel->task);
	if (j->again)
		loop_later(j->loop, &j->task);
}

static void
job_init(struct job *j, struct loop *l)
{
	memset(j, 0, sizeof *j);
	j->loop = l;
	j->task.fn = on_job;
	j->task.arg = j;
}

static void
task_queued_twice_runs_once(void **state)
{
	struct loop	*l = loop_create();
	struct job	 j;

	(void)state;
	job_init(&j, l);
	loop_later(l, &j.task);
	loop_later(l, &j.task);
	one_turn(l);
	one_turn(l);
	assert_int_equal(j.runs, 1);
	loop_destroy(l);
}

static void
task_that_queues_itself_does_not_starve_io(void **state)
{
	struct loop	*l = loop_create();
	struct end	 e;
	struct job	 j;

	(void)state;
	job_init(&j, l);
	j.again = true;
	loop_later(l, &j.task);
	end_open(&e, l, LOOP_READ);
	e.stop = true;
	assert_int_equal(write(e.peer, "x", 1), 1);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(e.calls, 1);
	assert_int_equal(j.runs, 1);
	j.again = false;
	end_close(&e);
	loop_destroy(l);
}

static void
task_may_cancel_the_ones_behind_it(void **state)
{
	struct loop	*l = loop_create();
	struct job	 j[4];
	int		 i;

	(void)state;
	for (i = 0; i < 4; i++) {
		job_init(&j[i], l);
		loop_later(l, &j[i].task);
	}
	j[0].cancel = &j[2];
	j[1].cancel = &j[0];		/* has run: nothing to cancel */
	loop_later_cancel(l, &j[3].task);
	one_turn(l);
	assert_int_equal(j[0].runs + j[1].runs, 2);
	assert_int_equal(j[2].runs + j[3].runs, 0);
	loop_later(l, &j[3].task);	/* the queue's tail is still right */
	one_turn(l);
	assert_int_equal(j[3].runs, 1);
	loop_destroy(l);
}

static void
destroy_runs_what_is_queued(void **state)
{
	struct loop	*l = loop_create();
	struct job	 j;

	(void)state;
	job_init(&j, l);
	loop_later(l, &j.task);
	loop_destroy(l);
	assert_int_equal(j.runs, 1);
	loop_destroy(NULL);
}

static void
wait_a_bit(void *arg)
{
	struct timespec	ts = { .tv_nsec = 3000000 };

	(void)arg;
	nanosleep(&ts, NULL);
}

/* Index of the bucket whose count grew by one; checks that no other did. */
static size_t
grown(const struct loop_durations *now, const struct loop_durations *before)
{
	size_t	i, found = LOOP_BOUNDS + 1;

	for (i = 0; i <= LOOP_BOUNDS; i++) {
		if (now->count[i] == before->count[i])
			continue;
		assert_int_equal(now->count[i], before->count[i] + 1);
		assert_int_equal(found, LOOP_BOUNDS + 1);
		found = i;
	}
	assert_true(found <= LOOP_BOUNDS);
	return found;
}

/* The machine may stretch it, so it is only known what it took at least. */
static void
turn_is_counted_by_its_duration(void **state)
{
	struct loop		*l = loop_create();
	struct loop_durations	 before = *loop_durations(l);
	struct loop_task	 task = { .fn = wait_a_bit };
	uint64_t		 turns, max_us;
	size_t			 i;

	(void)state;
	loop_later(l, &task);
	one_turn(l);
	i = grown(loop_durations(l), &before);
	loop_stats(l, &turns, &max_us);
	assert_true(max_us >= 3000);
	assert_int_equal(loop_durations(l)->sum_us, max_us);
	assert_true(i == LOOP_BOUNDS || max_us <= loop_bounds_us[i]);
	assert_true(max_us > loop_bounds_us[i - 1]);
	loop_destroy(l);
}

struct many {
	struct loop_timer	 timer[100];
	struct loop_task	 task;
	int			 fired, seen;
};

static void
count_one(void *arg)
{
	struct many	*m = arg;

	m->fired++;
}

static void
look(void *arg)
{
	struct many	*m = arg;

	m->seen = m->fired;
}

/* What is queued for the end of a turn does not wait for all of them. */
static void
many_timers_share_several_turns(void **state)
{
	struct loop	*l = loop_create();
	struct many	 m = { .task = { .fn = look, .arg = &m } };
	uint64_t	 turns, max_us;
	size_t		 i;

	(void)state;
	for (i = 0; i < 100; i++) {
		m.timer[i] = (struct loop_timer){ .fn = count_one, .arg = &m };
		loop_timer_set(l, &m.timer[i], loop_now(l));
	}
	loop_later(l, &m.task);
	loop_timer_clear(&m.timer[99]);
	loop_drain(l);
	loop_stats(l, &turns, &max_us);
	assert_int_equal(m.fired, 99);
	assert_in_range(m.seen, 1, 50);
	assert_in_range(turns, 2, 99);
	loop_destroy(l);
}

static void
sleep_is_not_part_of_a_turn(void **state)
{
	uint64_t		 start = clock_us();
	struct loop		*l = loop_create();
	struct loop_timer	 t = { .fn = stop, .arg = l };

	(void)state;
	loop_timer_set(l, &t, loop_now(l) + 100);
	assert_int_equal(loop_run(l), 0);
	assert_true(clock_us() - start >=
	    loop_durations(l)->sum_us + 99 * 1000);
	loop_destroy(l);
}

static void
bounds_rise_and_5_ms_is_one_of_them(void **state)
{
	bool	found = false;
	size_t	i;

	(void)state;
	for (i = 0; i < LOOP_BOUNDS; i++) {
		assert_true(i == 0 ||
		    loop_bounds_us[i] > loop_bounds_us[i - 1]);
		found |= loop_bounds_us[i] == 5000;
	}
	assert_true(found);
}

static void
stop_before_run_returns_at_once(void **state)
{
	struct loop	*l = loop_create();
	uint64_t	 turns, max_us;

	(void)state;
	loop_stop(l);
	assert_int_equal(loop_run(l), 0);
	loop_stats(l, &turns, &max_us);
	assert_int_equal(turns, 0);
	one_turn(l);
	loop_stats(l, &turns, &max_us);
	assert_int_equal(turns, 1);
	loop_destroy(l);
}

static void
create_without_memory_fails(void **state)
{
	(void)state;
	failmalloc_arm(1);
	assert_null(loop_create());
	assert_true(failmalloc_disarm());
}

/* A timer that queues a task: the last thing that goes on. */
struct last {
	struct loop		*loop;
	struct loop_timer	 timer;
	struct loop_task	 task;
	bool			 ran;
};

static void
on_last_timer(void *arg)
{
	struct last	*x = arg;

	loop_later(x->loop, &x->task);
}

static void
on_last_task(void *arg)
{
	struct last	*x = arg;

	x->ran = true;
}

static void
drain_runs_timers_and_tasks_but_waits_for_no_descriptor(void **state)
{
	struct last	x = { .loop = loop_create(), .timer.fn = on_last_timer,
			    .task.fn = on_last_task };
	struct end	e;

	(void)state;
	end_open(&e, x.loop, LOOP_READ);	/* never ready */
	x.timer.arg = x.task.arg = &x;
	loop_timer_set(x.loop, &x.timer, loop_now(x.loop) + 2);
	loop_drain(x.loop);
	assert_true(x.ran);
	assert_int_equal(e.calls, 0);
	loop_drain(x.loop);			/* nothing pending: at once */
	end_close(&e);
	loop_destroy(x.loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readable_is_reported_until_read),
		cmocka_unit_test(only_what_is_wanted_is_reported),
		cmocka_unit_test(hang_up_sets_the_wanted_bits),
		cmocka_unit_test(hang_up_is_silent_while_nothing_is_wanted),
		cmocka_unit_test(forgotten_this_turn_gets_no_event),
		cmocka_unit_test(reused_number_gets_no_old_event),
		cmocka_unit_test(regular_file_is_always_ready),
		cmocka_unit_test(timers_fire_in_order),
		cmocka_unit_test(timer_is_never_early),
		cmocka_unit_test(timer_may_clear_one_that_is_due_too),
		cmocka_unit_test(timer_that_rearms_itself_fires_once_a_turn),
		cmocka_unit_test(task_queued_twice_runs_once),
		cmocka_unit_test(task_that_queues_itself_does_not_starve_io),
		cmocka_unit_test(task_may_cancel_the_ones_behind_it),
		cmocka_unit_test(destroy_runs_what_is_queued),
		cmocka_unit_test(turn_is_counted_by_its_duration),
		cmocka_unit_test(sleep_is_not_part_of_a_turn),
		cmocka_unit_test(many_timers_share_several_turns),
		cmocka_unit_test(bounds_rise_and_5_ms_is_one_of_them),
		cmocka_unit_test(stop_before_run_returns_at_once),
		cmocka_unit_test(
		    drain_runs_timers_and_tasks_but_waits_for_no_descriptor),
		cmocka_unit_test(create_without_memory_fails),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
