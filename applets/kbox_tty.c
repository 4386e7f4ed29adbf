#include "applets/kbox_tty.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

int
kbox_tty_take(struct kbox_tty *t)
{
	sigset_t	set;
	int		r;

	t->state.raw = false;
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	if (sigprocmask(SIG_BLOCK, &set, &t->before) < 0)
		return -errno;
	t->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	r = t->signals < 0 ? -errno : kssh_tty_raw(&t->state);
	if (r < 0)
		kbox_tty_give_back(t, false);
	return r;
}

void
kbox_tty_give_back(struct kbox_tty *t, bool flush)
{
	if (flush && t->state.raw)
		(void)tcflush(STDIN_FILENO, TCIFLUSH);
	kssh_tty_restore(&t->state);
	if (t->signals >= 0)
		close(t->signals);
	t->signals = -1;
	(void)sigprocmask(SIG_SETMASK, &t->before, NULL);
}

int
kbox_tty_signal(struct kbox_tty *t)
{
	struct signalfd_siginfo	si;

	if (read(t->signals, &si, sizeof si) != (ssize_t)sizeof si)
		return 0;
	return (int)si.ssi_signo;
}
