/*
 * loop - descriptors, timers and end-of-turn work on one thread.
 *
 * Level-triggered epoll; the only epoll_wait in the tree.  Handles are
 * embedded in their owner, so arming one never allocates.  An owner that dies
 * in a callback queues its free with loop_later(): events already gathered in
 * this turn then still point at live memory and are skipped.
 *
 * A descriptor added in a turn is first dispatched in the next one.  Within a
 * turn the order is: descriptors, timers, tasks; of the first two only some,
 * the rest follows in the next turn, which then doesn't sleep.
 *
 * Files epoll refuses (a regular file as standard input) count as always
 * ready, as they do for poll(2).
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#define LOOP_READ	0x1u
#define LOOP_WRITE	0x2u
#define LOOP_HANGUP	0x4u	/* reported, never asked for */

#define LOOP_BOUNDS	18	/* of turns by duration */

struct loop;

/*
 * ready: LOOP_* bits.  A hang-up or an error also sets every wanted bit, so
 * that the next read() or write() tells what happened.
 */
typedef void loop_io_fn(void *arg, unsigned ready);
typedef void loop_fn(void *arg);

struct loop_io {
	struct loop	*loop;		/* borrowed; NULL: not watched */
	int		 fd;		/* borrowed */
	unsigned	 want;		/* LOOP_READ | LOOP_WRITE */
	bool		 in_set;	/* epoll knows the fd */
	bool		 is_file;	/* epoll refuses the fd */
	loop_io_fn	*fn;
	void		*arg;
	struct loop_io	*next, *prev;	/* of the files */
};

struct loop_timer {
	struct loop	*loop;		/* NULL: not armed */
	uint64_t	 due_ms;	/* as loop_now() */
	uint64_t	 due_us;	/* the same, by loop_clock_us() */
	loop_fn		*fn;
	void		*arg;
	/* Pairing heap; prev of a first child is its parent. */
	struct loop_timer *child, *next, *prev;
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

/*
 * Until loop_stop(), which may come first and then makes the next run return
 * at once; 0, or -errno if epoll itself fails.
 */
int	 loop_run(struct loop *l);
void	 loop_stop(struct loop *l);

/*
 * Turns until no timer is armed and no task is queued: what goes on without
 * an owner, such as a connection that lingers, ends by a time of its own.
 */
void	 loop_drain(struct loop *l);

/* Milliseconds on the monotonic clock, read once per turn. */
uint64_t loop_now(const struct loop *l);

/* The same clock in microseconds, read when asked. */
uint64_t loop_clock_us(void);

/* Wall clock, seconds, read when asked. */
int64_t	 loop_wall(void);

/*
 * Watches io->fd with io->fn and io->arg, all set by the caller.  want == 0
 * is allowed and keeps the fd out of the set: a hang-up can't be masked.
 * 0, -ENOMEM or -ENOSPC.
 */
int	 loop_watch(struct loop *l, struct loop_io *io, unsigned want);

/* Cheap if nothing changes; no-op if not watched.  0, -ENOMEM or -ENOSPC. */
int	 loop_want(struct loop_io *io, unsigned want);

/* Before close(); any number of times.  No event for io comes any more. */
void	 loop_forget(struct loop_io *io);

/*
 * Sets or moves the timer (t->fn, t->arg set by the caller).  due_ms is a
 * moment of loop_now(), so mostly loop_now(l) + something: never less than
 * that after this turn began.  A timer set by a timer fires in the next turn
 * at the earliest.
 */
void	 loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t due_ms);
void	 loop_timer_clear(struct loop_timer *t);

/*
 * Runs task once at the end of this turn, in the order of queuing; queued
 * twice counts once.  Queued by a task: at the end of the next turn, which
 * then doesn't sleep, so I/O is never starved.
 */
void	 loop_later(struct loop *l, struct loop_task *t);
void	 loop_later_cancel(struct loop *l, struct loop_task *t);

/* Longest turn and number of turns since the start, for /metrics. */
void	 loop_stats(const struct loop *l, uint64_t *turns, uint64_t *max_us);

/*
 * Turns since the start by duration: from the return of epoll_wait to the end
 * of the turn's work, which is how long everybody else had to wait.
 * count[i]: above loop_bounds_us[i - 1], up to and with loop_bounds_us[i]; the
 * last one: above all of them.
 */
struct loop_durations {
	uint64_t	 count[LOOP_BOUNDS + 1];
	uint64_t	 sum_us;
};
extern const uint32_t loop_bounds_us[LOOP_BOUNDS];
const struct loop_durations *loop_durations(const struct loop *l);

#endif
