/*
 * stop - the end of every process below the daemon.
 *
 * As process 1 these are all of the PID namespace that were not entered from
 * outside; else our descendants, which as a subreaper we find wherever they
 * went.  SIGTERM, a grace, SIGKILL until nobody is left; the log says how many
 * there are.  Nobody outside is touched (spec/bootstrap.md 11, weakness 6).
 */
#ifndef APPLETS_STOP_H
#define APPLETS_STOP_H

#include <stdint.h>

#define STOP_TERM_MS	5000		/* at most, SIGTERM to SIGKILL */

struct loop;
struct stop;

/* 0 or -ENOMEM.  done() comes once, never from within; free it then. */
int	 stop_start(struct stop **out, struct loop *l, uint32_t grace_ms,
	    void (*done)(void *arg), void *arg);
void	 stop_hasten(struct stop *s);		/* SIGKILL now */
void	 stop_destroy(struct stop *s);		/* NULL is allowed */

#endif
