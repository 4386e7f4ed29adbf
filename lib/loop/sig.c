/* See sig.h. */
#include <sys/signalfd.h>

#include <stdlib.h>
#include <unistd.h>

#include "loop/loop.h"
#include "loop/sig.h"

#define SIGNALS_MAX	64	/* numbers the kernel knows: 1 to 64 */

struct sig {
	struct loop	*loop;		/* borrowed */
	struct loop_io	 io;
	struct loop_task free_task;
	int		 fd;		/* -1: destroyed */
	sigset_t	 all, reported;
	sig_fn		*fn;
	void		*arg;
};

static void
sig_on_ready(void *arg, unsigned ready)
{
	struct signalfd_siginfo	 si;
	struct sig		*s = arg;

	(void)ready;
	/* One by one: what is read when fn destroys us would be lost. */
	while (s->fd != -1 && read(s->fd, &si, sizeof si) == sizeof si)
		s->fn(s->arg, (int)si.ssi_signo);
}

/*
 * An inherited SIG_IGN must not survive: for SIGCHLD it would make the kernel
 * reap our children itself.
 */
static void
take_over(const int *signos, sigset_t *set)
{
	struct sigaction	sa = { .sa_handler = SIG_DFL };

	sigemptyset(set);
	for (; *signos != 0; signos++) {
		sigaddset(set, *signos);
		sigaction(*signos, &sa, NULL);
	}
	sigprocmask(SIG_BLOCK, set, NULL);
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
}

struct sig *
sig_create(struct loop *l, const int *signos, sig_fn *fn, void *arg)
{
	struct sig	*s;

	if ((s = calloc(1, sizeof *s)) == NULL)
		return NULL;
	take_over(signos, &s->all);
	s->reported = s->all;
	s->loop = l;
	s->fn = fn;
	s->arg = arg;
	s->free_task.fn = free;
	s->free_task.arg = s;
	s->fd = signalfd(-1, &s->all, SFD_CLOEXEC | SFD_NONBLOCK);
	s->io.fd = s->fd;
	s->io.fn = sig_on_ready;
	s->io.arg = s;
	if (s->fd == -1 || loop_watch(l, &s->io, LOOP_READ) < 0) {
		if (s->fd != -1)
			close(s->fd);
		free(s);
		return NULL;
	}
	return s;
}

void
sig_hold(struct sig *s, int signo, bool hold)
{
	if (s->fd == -1 || sigismember(&s->all, signo) != 1 ||
	    sigismember(&s->reported, signo) == (int)!hold)
		return;
	if (hold)
		sigdelset(&s->reported, signo);
	else
		sigaddset(&s->reported, signo);
	(void)signalfd(s->fd, &s->reported, 0);
}

void
sig_destroy(struct sig *s)
{
	if (s == NULL || s->fd == -1)
		return;
	loop_forget(&s->io);
	close(s->fd);
	s->fd = -1;
	loop_later(s->loop, &s->free_task);
}

void
sig_restore(void)
{
	struct sigaction	sa = { .sa_handler = SIG_DFL };
	sigset_t		none;
	int			i;

	/* SIGKILL, SIGSTOP and what the C library keeps for itself fail. */
	for (i = 1; i <= SIGNALS_MAX; i++)
		sigaction(i, &sa, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}
