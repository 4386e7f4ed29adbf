#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/str.h"
#include "proc/tty.h"
#include "tests/unit/run.h"

static void
SH_22_modes_are_sane_without_any_from_the_client(void **state)
{
	struct termios	m;
	struct tty	t;

	(void)state;
	assert_int_equal(tty_open(&t, 100, 30), 0);
	assert_int_equal(tcgetattr(t.slave, &m), 0);
	assert_int_equal(m.c_lflag & (ICANON | ECHO | ISIG | IEXTEN | ECHOE),
	    ICANON | ECHO | ISIG | IEXTEN | ECHOE);
	assert_int_equal(m.c_oflag & (OPOST | ONLCR), OPOST | ONLCR);
	assert_int_equal(m.c_iflag & (IUTF8 | ICRNL | INLCR | IGNCR | ISTRIP),
	    IUTF8 | ICRNL);
	assert_int_equal(m.c_cflag & CSIZE, CS8);
	assert_int_equal(m.c_cc[VERASE], 0x7f);
	assert_int_equal(m.c_cc[VINTR], 3);
	assert_int_equal(m.c_cc[VEOF], 4);
	assert_int_equal(m.c_cc[VSUSP], 26);
	assert_int_equal(m.c_cc[VMIN], 1);
	assert_int_equal(cfgetospeed(&m), B38400);
	assert_true(fcntl(t.master, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(t.slave, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(t.master, F_GETFL) & O_NONBLOCK);
	assert_false(fcntl(t.slave, F_GETFL) & O_NONBLOCK);
	close(t.master);
	close(t.slave);
}

static void
SH_04_the_window_has_its_size_before_the_program_runs(void **state)
{
	static const char *const paths[] = { "/bin/stty", NULL };
	static const char *const argv[] = { NULL, "size", NULL };
	struct child_spec	 spec = spec_of(paths, argv, CHILD_PTY);
	struct winsize		 ws;
	struct spin		 s;
	struct run		 run;
	struct tty		 t;

	(void)state;
	spin_init(&s, true);
	spec.cols = 132;
	spec.rows = 43;
	run_all(&run, &s, &spec);
	assert_string_equal(run.text, "43 132\r\n");
	run_end(&run);
	assert_int_equal(tty_open(&t, 132, 43), 0);
	assert_int_equal(tty_resize(t.master, 0, 24), -EINVAL);
	assert_int_equal(tty_resize(t.master, 80, 0), -EINVAL);
	assert_int_equal(tty_resize(t.master, 65535, 1), 0);
	assert_int_equal(ioctl(t.slave, TIOCGWINSZ, &ws), 0);
	assert_int_equal(ws.ws_col, 65535);
	assert_int_equal(ws.ws_row, 1);
	assert_int_equal(tty_resize(s.deadline.loop != NULL ? 9999 : 0, 1, 1),
	    -EBADF);
	close(t.master);
	close(t.slave);
	spin_finish(&s);
}

static void
T17_a_terminal_is_controlling_named_and_never_shared(void **state)
{
	struct spin	s;
	struct run	run, second;
	char		want[64];

	(void)state;
	spin_init(&s, true);
	run_script(&run, &s, CHILD_PTY, NULL, "tty; : </dev/tty && echo ctty");
	assert_true(str_prefix(child_tty(run.child), "/dev/pts/"));
	snprintf(want, sizeof want, "%s\r\nctty\r\n", child_tty(run.child));
	assert_string_equal(run.text, want);
	assert_int_equal(child_take_stdout(run.child), -1);
	assert_int_equal(child_take_stderr(run.child), -1);
	run_script(&second, &s, CHILD_STREAMS, NULL,
	    "(: </dev/tty) 2>/dev/null || echo none");
	assert_string_equal(second.text, "none\n");
	assert_string_equal(child_tty(second.child), "");
	run_end(&run);
	run_end(&second);
	spin_finish(&s);
}

static void
S13_the_user_can_open_terminal_and_pipes_by_name(void **state)
{
	struct child_user	user = { .uid = 1234, .gid = 1234,
				    .change = true };
	struct spin		s;
	struct run		run;

	(void)state;
	NEED_ROOT();
	spin_init(&s, true);
	run_script(&run, &s, CHILD_PTY, &user,
	    "echo by name >$(tty); stat -c '%u %a' $(tty)");
	assert_string_equal(run.text, "by name\r\n1234 620\r\n");
	run_end(&run);
	run_script(&run, &s, CHILD_STREAMS, &user, "echo again >/dev/stdout");
	assert_string_equal(run.text, "again\n");
	run_end(&run);
	spin_finish(&s);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		T(SH_22_modes_are_sane_without_any_from_the_client),
		T(SH_04_the_window_has_its_size_before_the_program_runs),
		T(T17_a_terminal_is_controlling_named_and_never_shared),
		T(S13_the_user_can_open_terminal_and_pipes_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
