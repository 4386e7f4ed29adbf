/*
 * loop - descriptors, timers and end-of-turn work on one thread.
 *
 * Level-triggered epoll; the only epoll_wait in the tree.  Handles are
 * embedded in their owner, so arming one never allocates.  An owner that dies
 * in a callback queues its free with loop_later(): events already gathered in
 * this turn then still point at live memory and are skipped.
 *
 * A descriptor added in a turn is first dispatched in the next one.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#define LOOP_READ	0x1u
#define LOOP_WRITE	0x2u
#define LOOP_HANGUP	0x4u	/* reported, never asked for */

struct loop;

/* ready: LOOP_* bits. */
typedef void loop_io_fn(void *arg, unsigned ready);
typedef void loop_fn(void *arg);

struct loop_io {
	struct loop	*loop;		/* borrowed; NULL: not watched */
	int		 fd;		/* borrowed */
	unsigned	 want;		/* LOOP_READ | LOOP_WRITE */
	bool		 in_set;	/* epoll knows the fd */
	loop_io_fn	*fn;
	void		*arg;
};

struct loop_timer {
	struct loop	*loop;		/* NULL: not armed */
	uint64_t	 due_ms;
	loop_fn		*fn;
	void		*arg;
	struct loop_timer *child, *next, *prev;	/* pairing heap */
};

struct loop_task {
	bool		 queued;
	loop_fn		*fn;
	void		*arg;
	struct loop_task *next;
};

/* NULL: out of memory or descriptors. */
struct loop *loop_create(void);

/* NULL is allowed.  Runs what loop_later() still holds. */
void	 loop_destroy(struct loop *l);

/* Until loop_stop(); 0, or -errno if epoll itself fails. */
int	 loop_run(struct loop *l);
void	 loop_stop(struct loop *l);

/* Milliseconds on the monotonic clock, read once per turn. */
uint64_t loop_now(const struct loop *l);

/* Wall clock, seconds, read when asked. */
int64_t	 loop_wall(void);

/*
 * Watches io->fd with io->fn and io->arg, all set by the caller.  want == 0
 * is allowed and keeps the fd out of the set: a hang-up can't be masked.
 * 0, -ENOMEM or -ENOSPC.
 */
int	 loop_watch(struct loop *l, struct loop_io *io, unsigned want);

/* Cheap if nothing changes; no-op if not watched. */
int	 loop_want(struct loop_io *io, unsigned want);

/* Before close(); any number of times. */
void	 loop_forget(struct loop_io *io);

/* Sets or moves the timer (t->fn, t->arg set by the caller). */
void	 loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t due_ms);
void	 loop_timer_clear(struct loop_timer *t);

/* Runs task once at the end of this turn; queued twice counts once. */
void	 loop_later(struct loop *l, struct loop_task *t);
void	 loop_later_cancel(struct loop *l, struct loop_task *t);

/* Longest turn and number of turns since the start, for /metrics. */
void	 loop_stats(const struct loop *l, uint64_t *turns, uint64_t *max_us);

#endif
