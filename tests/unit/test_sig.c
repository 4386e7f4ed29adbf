#include <sys/wait.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "loop/sig.h"
#include "tests/unit/failmalloc.h"

struct seen {
	struct loop	*loop;
	struct sig	*sig;
	int		 count[65];
	int		 left;		/* stop after so many */
	bool		 destroy;
};

static void
on_signal(void *arg, int signo)
{
	struct seen	*s = arg;

	s->count[signo]++;
	if (s->destroy)
		sig_destroy(s->sig);
	if (--s->left == 0)
		loop_stop(s->loop);
}

static void
signals_arrive_as_events(void **state)
{
	const int	signos[] = { SIGUSR1, SIGTERM, SIGCHLD, 0 };
	struct seen	s = { .loop = loop_create(), .left = 3 };

	(void)state;
	s.sig = sig_create(s.loop, signos, on_signal, &s);
	assert_non_null(s.sig);
	raise(SIGUSR1);
	raise(SIGUSR1);		/* coalesces */
	raise(SIGTERM);
	raise(SIGCHLD);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.count[SIGUSR1], 1);
	assert_int_equal(s.count[SIGTERM], 1);
	assert_int_equal(s.count[SIGCHLD], 1);
	sig_destroy(s.sig);
	sig_destroy(s.sig);
	loop_destroy(s.loop);
	sig_restore();
}

static void
handler_may_destroy_its_source(void **state)
{
	const int	signos[] = { SIGUSR1, SIGUSR2, 0 };
	struct seen	s = { .loop = loop_create(), .left = 1 };

	(void)state;
	s.destroy = true;
	s.sig = sig_create(s.loop, signos, on_signal, &s);
	raise(SIGUSR1);
	raise(SIGUSR2);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.count[SIGUSR1] + s.count[SIGUSR2], 1);
	loop_destroy(s.loop);

	/* The other one is still blocked and pending: not a death. */
	s.loop = loop_create();
	s.left = 1;
	s.sig = sig_create(s.loop, signos, on_signal, &s);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.count[SIGUSR1] + s.count[SIGUSR2], 2);
	loop_destroy(s.loop);
	sig_restore();
}

static void
a_held_signal_waits_and_holds_no_other_up(void **state)
{
	const int	signos[] = { SIGUSR1, SIGUSR2, 0 };
	struct seen	s = { .loop = loop_create(), .left = 1 };

	(void)state;
	s.sig = sig_create(s.loop, signos, on_signal, &s);
	sig_hold(s.sig, SIGUSR1, true);
	sig_hold(s.sig, SIGUSR1, true);		/* twice is once */
	sig_hold(s.sig, SIGHUP, false);		/* not ours */
	raise(SIGUSR1);
	raise(SIGUSR2);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.count[SIGUSR1], 0);
	assert_int_equal(s.count[SIGUSR2], 1);
	s.left = 1;
	sig_hold(s.sig, SIGUSR1, false);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.count[SIGUSR1], 1);
	sig_destroy(s.sig);
	loop_destroy(s.loop);
	sig_restore();
}

/* nohup, or a parent that ignores SIGCHLD, must not change what we see. */
static void
inherited_ignore_is_undone(void **state)
{
	const int	signos[] = { SIGCHLD, SIGHUP, 0 };
	struct seen	s = { .loop = loop_create(), .left = 2 };
	pid_t		pid;
	int		status;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	s.sig = sig_create(s.loop, signos, on_signal, &s);
	raise(SIGHUP);
	if ((pid = fork()) == 0)
		_exit(7);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.count[SIGCHLD], 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 7);
	sig_destroy(s.sig);
	loop_destroy(s.loop);
	sig_restore();
}

static void
broken_pipe_is_ignored_until_restored(void **state)
{
	const int	signos[] = { SIGTERM, 0 };
	struct loop	*l = loop_create();
	struct sig	*s = sig_create(l, signos, on_signal, NULL);
	struct sigaction sa;

	(void)state;
	sigaction(SIGPIPE, NULL, &sa);
	assert_ptr_equal(sa.sa_handler, SIG_IGN);
	sig_destroy(s);
	loop_destroy(l);
	sig_restore();
	sigaction(SIGPIPE, NULL, &sa);
	assert_ptr_equal(sa.sa_handler, SIG_DFL);
}

static void
restore_leaves_nothing_blocked_or_ignored(void **state)
{
	struct sigaction sa;
	sigset_t	 all, now;
	int		 i;

	(void)state;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (i = 1; i < 32; i++)
		signal(i, SIG_IGN);
	sig_restore();
	sigprocmask(SIG_BLOCK, NULL, &now);
	for (i = 1; i < 32; i++) {
		assert_false(sigismember(&now, i));
		sigaction(i, NULL, &sa);
		assert_ptr_equal(sa.sa_handler, SIG_DFL);
	}
}

static void
create_without_memory_fails(void **state)
{
	const int	signos[] = { SIGUSR1, 0 };
	struct loop	*l = loop_create();

	(void)state;
	failmalloc_arm(1);
	assert_null(sig_create(l, signos, on_signal, NULL));
	assert_true(failmalloc_disarm());
	sig_destroy(NULL);
	loop_destroy(l);
	sig_restore();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signals_arrive_as_events),
		cmocka_unit_test(handler_may_destroy_its_source),
		cmocka_unit_test(a_held_signal_waits_and_holds_no_other_up),
		cmocka_unit_test(inherited_ignore_is_undone),
		cmocka_unit_test(broken_pipe_is_ignored_until_restored),
		cmocka_unit_test(restore_leaves_nothing_blocked_or_ignored),
		cmocka_unit_test(create_without_memory_fails),
	};

	return cmocka_run_group_tests_name("sig", tests, NULL, NULL);
}
