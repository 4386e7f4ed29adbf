/*
 * kbox_tty - the terminal while kbox has it for itself: raw, and given back
 * on every way out, signals included.
 */
#ifndef APPLETS_KBOX_TTY_H
#define APPLETS_KBOX_TTY_H

#include <signal.h>
#include <stdbool.h>

#include "applets/kssh_tty.h"

struct kbox_tty {
	struct kssh_tty_state	 state;
	sigset_t		 before;	/* the signal mask */
	int			 signals;	/* signalfd, or -1 */
};

/*
 * Standard input goes raw; SIGWINCH, SIGHUP, SIGTERM, SIGINT and SIGQUIT come
 * out of signals.  0 or -errno with nothing changed.
 */
int	 kbox_tty_take(struct kbox_tty *t);
/* For every way out.  Keys nobody has read are forgotten if flush. */
void	 kbox_tty_give_back(struct kbox_tty *t, bool flush);
/* A signal that has come, or 0. */
int	 kbox_tty_signal(struct kbox_tty *t);

#endif
