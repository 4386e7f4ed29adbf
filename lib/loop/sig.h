/*
 * sig - signals as ordinary events of the loop (signalfd).
 *
 * The daemon blocks everything it handles before anything else happens, so
 * no handler ever runs; children restore the mask and the dispositions they
 * were born with (sig_restore).  SIGPIPE is ignored in the daemon.
 */
#ifndef LOOP_SIG_H
#define LOOP_SIG_H

#include <signal.h>
#include <stdbool.h>

struct loop;
struct sig;

typedef void sig_fn(void *arg, int signo);

/*
 * Blocks signos (ended by 0), ignores SIGPIPE, reports each to fn.  As PID 1
 * a signal nobody handles is dropped by the kernel (T22): list what matters.
 * Equal signals that come together are reported once.
 * NULL: out of memory or descriptors.
 */
struct sig *sig_create(struct loop *l, const int *signos, sig_fn *fn,
	    void *arg);

/*
 * Leaves one of the signals pending, or reports it again: for who knows that
 * it comes often and looks later anyway.  A signal that is not ours: no-op.
 */
void	 sig_hold(struct sig *s, int signo, bool hold);

/*
 * Stops reporting; the signals stay blocked, so that a second SIGTERM can't
 * cut the clean-up short.  NULL is allowed, and so is a call from fn.
 */
void	 sig_destroy(struct sig *s);

/*
 * In a child, before exec: every disposition default, nothing blocked.
 * Async-signal-safe.
 */
void	 sig_restore(void);

#endif
