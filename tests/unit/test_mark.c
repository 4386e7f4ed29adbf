/* mark: what stays with a process and all that comes of it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proc/mark.h"

/* Forked twice, in a session of its own, executed with no environment. */
static void
become_daemon(int out, uint64_t mark)
{
	char	*argv[] = { "sleep", "30", NULL }, *envp[] = { NULL };
	pid_t	 pid;

	assert_int_equal(mark_put(mark), 0);
	if (fork() > 0)
		_exit(0);
	setsid();
	pid = getpid();
	(void)!write(out, &pid, sizeof pid);
	execve("/bin/sleep", argv, envp);
	_exit(99);
}

static void
it_survives_fork_exec_session_and_environment(void **state)
{
	uint64_t	mark = mark_make();
	int		p[2];
	char		c;
	pid_t		child, pid;

	(void)state;
	assert_true(mark > 0);
	assert_int_equal(pipe2(p, 0), 0);
	if ((child = fork()) == 0) {
		close(p[0]);
		become_daemon(p[1], mark);
	}
	close(p[1]);
	assert_int_equal(read(p[0], &pid, sizeof pid), sizeof pid);
	waitpid(child, NULL, 0);
	assert_true(mark_is("", pid, mark));
	assert_false(mark_is("", pid, mark + 1));
	assert_false(mark_is("", pid, 0));
	assert_false(mark_is("", getpid(), mark));
	kill(pid, SIGKILL);
	assert_int_equal(read(p[0], &c, 1), 0);	/* it held the pipe */
	close(p[0]);
}

static void
two_are_never_the_same_and_who_has_one_can_give_another(void **state)
{
	uint64_t	a = mark_make(), b = mark_make();
	int		status;

	(void)state;
	assert_int_not_equal(a, b);
	if (fork() == 0) {
		if (mark_put(a) < 0)
			_exit(1);
		b = mark_make();
		if (b == 0 || b > a || mark_put(b) < 0 ||
		    !mark_is("", getpid(), b) || mark_put(0) < 0 ||
		    !mark_is("", getpid(), b))
			_exit(2);
		if (mark_put(1000) < 0 || mark_make() != 0)
			_exit(3);
		_exit(0);
	}
	assert_true(wait(&status) > 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(it_survives_fork_exec_session_and_environment),
		cmocka_unit_test(
		    two_are_never_the_same_and_who_has_one_can_give_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
