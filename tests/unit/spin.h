/*
 * spin - turns the loop until a test has seen what it waits for.
 *
 * Callbacks of the test set a flag and call spin_wake(); nothing sleeps, and
 * a deadline turns a hang into a failure.
 */
#ifndef TESTS_UNIT_SPIN_H
#define TESTS_UNIT_SPIN_H

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "loop/sig.h"
#include "proc/reap.h"

#define SPIN_DEADLINE_MS	20000
#define SPIN_POLL_MS		2

struct spin {
	struct loop	*loop;
	struct reap	*reap;
	struct sig	*sig;
	struct loop_timer deadline, poll;
	bool		 late;
	int		 fds;		/* open before */
};

static inline int
spin_count_fds(void)
{
	DIR	*d = opendir("/proc/self/fd");
	int	 n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static inline void
spin_on_signal(void *arg, int signo)
{
	struct spin	*s = arg;

	(void)signo;
	reap_run(s->reap);
	loop_stop(s->loop);
}

static inline void
spin_on_deadline(void *arg)
{
	struct spin	*s = arg;

	s->late = true;
	loop_stop(s->loop);
}

static inline void
spin_on_poll(void *arg)
{
	struct spin	*s = arg;

	loop_stop(s->loop);
}

static inline void
spin_init(struct spin *s, bool adopt)
{
	static const int	signos[] = { SIGCHLD, 0 };

	*s = (struct spin){ .fds = spin_count_fds() };
	s->loop = loop_create();
	s->reap = reap_create(adopt);
	assert_non_null(s->loop);
	assert_non_null(s->reap);
	s->sig = sig_create(s->loop, signos, spin_on_signal, s);
	assert_non_null(s->sig);
	s->deadline.fn = spin_on_deadline;
	s->poll.fn = spin_on_poll;
	s->deadline.arg = s->poll.arg = s;
	loop_timer_set(s->loop, &s->deadline,
	    loop_now(s->loop) + SPIN_DEADLINE_MS);
}

static inline void
spin_wake(struct spin *s)
{
	loop_stop(s->loop);
}

/* Until a callback has set *flag. */
static inline void
spin_until(struct spin *s, const bool *flag)
{
	while (!*flag && !s->late)
		assert_int_equal(loop_run(s->loop), 0);
	assert_false(s->late);
}

/* Until fn says so: for what no callback tells. */
static inline void
spin_poll(struct spin *s, bool (*fn)(void *arg), void *arg)
{
	while (!fn(arg) && !s->late) {
		loop_timer_set(s->loop, &s->poll,
		    loop_now(s->loop) + SPIN_POLL_MS);
		assert_int_equal(loop_run(s->loop), 0);
	}
	assert_false(s->late);
	loop_timer_clear(&s->poll);
}

/* Also says that nothing was left open. */
static inline void
spin_finish(struct spin *s)
{
	loop_timer_clear(&s->deadline);
	sig_destroy(s->sig);
	loop_drain(s->loop);	/* who ends by itself, such as hangup */
	loop_destroy(s->loop);
	reap_destroy(s->reap);
	assert_int_equal(spin_count_fds(), s->fds);
}

#endif
