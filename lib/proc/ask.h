/*
 * ask - a question that may take for ever, asked by a forked child.
 *
 * The child gives its answer through a pipe and ends; whoever waits for it
 * gets the bytes, or at the deadline -ETIMEDOUT and those that came until
 * then.  A child the kernel holds on to (a file server that is gone) is killed
 * but may stay: as long as it does, the same ask refuses the next question, so
 * that never more than one is stuck.
 *
 * The child keeps no descriptor but the pipe; 0 to 2 lead nowhere.  It still
 * has our ids: a question about a user's things drops them itself.
 */
#ifndef PROC_ASK_H
#define PROC_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "loop/loop.h"
#include "proc/reap.h"

/* In the child: writes the answer to fd, then returns or exits. */
typedef void ask_work_fn(void *arg, int fd);

/*
 * Once per question: r is 0 with the bytes (none if the child failed), or
 * -ETIMEDOUT, -EFBIG or -errno of reading with those that came before.  May
 * ask again, which is -EBUSY until the child is collected.
 */
typedef void ask_done_fn(void *arg, int r, const void *p, size_t n);

/* Embedded in its owner. */
struct ask {
	struct loop	*loop;
	struct reap	*reap;
	struct loop_io	 io;
	struct loop_timer timer;
	struct reap_entry child;
	int		 fd;		/* -1: no answer is awaited */
	bool		 running;	/* not collected yet */
	struct buf	 answer;
	ask_done_fn	*done;
	void		*arg;
};

/* max: bytes of the largest answer. */
void	 ask_init(struct ask *a, struct loop *l, struct reap *r, size_t max,
	    ask_done_fn *done, void *arg);
/* A running child is killed; done is not called. */
void	 ask_finish(struct ask *a);

/* 0; -EBUSY: the child of an earlier question is still there; or -errno. */
int	 ask_start(struct ask *a, ask_work_fn *work, void *arg,
	    unsigned timeout_ms);

/* In the child: all n bytes, or it exits. */
void	 ask_write(int fd, const void *p, size_t n);

#endif
