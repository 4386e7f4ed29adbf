/* See loop.h. */
#include <sys/epoll.h>

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "loop/loop.h"

/* Per turn; the kernel rotates the rest.  Few, since each may bring 32 KiB of
 * output and wake a process that takes the core from us: timers and what is
 * queued for the end of a turn wait for all of it. */
#define EVENTS_MAX	8
/* The same for timers: hundreds of sessions may expire at once. */
#define TIMERS_MAX	16

struct loop {
	int		 epfd;
	bool		 stop;
	uint64_t	 now_us;
	uint64_t	 turns, max_us;
	struct loop_durations durations;
	struct loop_timer *timers;	/* heap */
	struct loop_timer *due;		/* heap of those that fire next */
	struct loop_task *tasks, **tasks_tail;
	struct loop_task *running;	/* tasks of this turn still to run */
	struct loop_io	*files;		/* is_file, want != 0 */
	struct loop_io	*next_file;	/* cursor while dispatching */
	/* Gathered this turn; data.ptr is NULL once its io is forgotten. */
	struct epoll_event events[EVENTS_MAX];
	int		 nevents;
};

/* 10 us to 5 s; 5 ms is among them, the most a turn should take. */
const uint32_t loop_bounds_us[LOOP_BOUNDS] = {
	10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000,
	100000, 200000, 500000, 1000000, 2000000, 5000000
};

uint64_t
loop_clock_us(void)
{
	struct timespec	ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

struct loop *
loop_create(void)
{
	struct loop	*l;

	if ((l = calloc(1, sizeof *l)) == NULL)
		return NULL;
	if ((l->epfd = epoll_create1(EPOLL_CLOEXEC)) == -1) {
		free(l);
		return NULL;
	}
	l->tasks_tail = &l->tasks;
	l->now_us = loop_clock_us();
	return l;
}

uint64_t
loop_now(const struct loop *l)
{
	return l->now_us / 1000;
}

int64_t
loop_wall(void)
{
	struct timespec	ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

void
loop_stop(struct loop *l)
{
	l->stop = true;
}

void
loop_stats(const struct loop *l, uint64_t *turns, uint64_t *max_us)
{
	*turns = l->turns;
	*max_us = l->max_us;
}

const struct loop_durations *
loop_durations(const struct loop *l)
{
	return &l->durations;
}

/* The short turns are the many, and found first. */
static void
count_turn(struct loop *l, uint64_t us)
{
	size_t	i = 0;

	while (i < LOOP_BOUNDS && us > loop_bounds_us[i])
		i++;
	l->durations.count[i]++;
	l->durations.sum_us += us;
	l->turns++;
	if (us > l->max_us)
		l->max_us = us;
}

/* -- descriptors ----------------------------------------------------------- */

static void
file_link(struct loop_io *io)
{
	struct loop	*l = io->loop;

	io->prev = NULL;
	io->next = l->files;
	if (io->next != NULL)
		io->next->prev = io;
	l->files = io;
}

static void
file_unlink(struct loop_io *io)
{
	struct loop	*l = io->loop;

	if (l->next_file == io)
		l->next_file = io->next;
	if (io->next != NULL)
		io->next->prev = io->prev;
	if (io->prev != NULL)
		io->prev->next = io->next;
	else
		l->files = io->next;
	io->next = io->prev = NULL;
}

static int
set_add(struct loop_io *io, struct epoll_event *ev)
{
	if (epoll_ctl(io->loop->epfd, EPOLL_CTL_ADD, io->fd, ev) == 0) {
		io->in_set = true;
		return 0;
	}
	if (errno != EPERM)
		return -errno;
	io->is_file = true;
	file_link(io);
	return 0;
}

/* Events already gathered for io must not reach whoever comes next. */
static void
events_drop(struct loop_io *io)
{
	struct loop	*l = io->loop;
	int		 i;

	for (i = 0; i < l->nevents; i++)
		if (l->events[i].data.ptr == io)
			l->events[i].data.ptr = NULL;
}

static void
set_remove(struct loop_io *io)
{
	if (io->is_file)
		file_unlink(io);
	if (io->in_set)
		epoll_ctl(io->loop->epfd, EPOLL_CTL_DEL, io->fd, NULL);
	io->is_file = io->in_set = false;
}

int
loop_watch(struct loop *l, struct loop_io *io, unsigned want)
{
	int	r;

	loop_forget(io);
	io->loop = l;
	io->want = 0;
	io->in_set = io->is_file = false;
	if ((r = loop_want(io, want)) < 0)
		io->loop = NULL;
	return r;
}

int
loop_want(struct loop_io *io, unsigned want)
{
	struct epoll_event	ev = { 0 };
	int			r = 0;

	if (io->loop == NULL || io->want == want)
		return 0;
	ev.data.ptr = io;
	if (want & LOOP_READ)
		ev.events |= EPOLLIN;
	if (want & LOOP_WRITE)
		ev.events |= EPOLLOUT;
	if (want == 0)
		set_remove(io);
	else if (io->in_set)
		r = epoll_ctl(io->loop->epfd, EPOLL_CTL_MOD, io->fd, &ev) == 0 ?
		    0 : -errno;
	else if (!io->is_file)
		r = set_add(io, &ev);
	if (r == 0)
		io->want = want;
	return r;
}

void
loop_forget(struct loop_io *io)
{
	if (io->loop == NULL)
		return;
	set_remove(io);
	events_drop(io);
	io->want = 0;
	io->loop = NULL;
}

static void
dispatch_events(struct loop *l)
{
	struct loop_io	*io;
	unsigned	 ready;
	uint32_t	 ev;
	int		 i;

	for (i = 0; i < l->nevents; i++) {
		if ((io = l->events[i].data.ptr) == NULL || io->want == 0)
			continue;	/* lost interest earlier this turn */
		ev = l->events[i].events;
		ready = 0;
		if (ev & EPOLLIN)
			ready |= LOOP_READ;
		if (ev & EPOLLOUT)
			ready |= LOOP_WRITE;
		if (ev & (EPOLLHUP | EPOLLERR))
			ready |= LOOP_READ | LOOP_WRITE | LOOP_HANGUP;
		ready &= io->want | LOOP_HANGUP;
		if (ready != 0)
			io->fn(io->arg, ready);
	}
	l->nevents = 0;
}

static void
dispatch_files(struct loop *l)
{
	struct loop_io	*io;

	while ((io = l->next_file) != NULL) {
		l->next_file = io->next;
		io->fn(io->arg, io->want);
	}
}

/* -- timers ---------------------------------------------------------------- */

static struct loop_timer *
heap_meld(struct loop_timer *a, struct loop_timer *b)
{
	struct loop_timer	*t;

	if (a == NULL)
		return b;
	if (b == NULL)
		return a;
	if (b->due_us < a->due_us) {
		t = a;
		a = b;
		b = t;
	}
	b->prev = a;
	b->next = a->child;
	if (b->next != NULL)
		b->next->prev = b;
	a->child = b;
	return a;
}

/* Melds siblings in pairs from the left, then the pairs from the right. */
static struct loop_timer *
heap_join(struct loop_timer *first)
{
	struct loop_timer	*a, *b, *pairs = NULL, *root = NULL;

	while ((a = first) != NULL) {
		if ((b = a->next) != NULL)
			first = b->next;
		else
			first = NULL;
		a->next = a->prev = NULL;
		if (b != NULL)
			b->next = b->prev = NULL;
		a = heap_meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while ((a = pairs) != NULL) {
		pairs = a->next;
		a->next = NULL;
		root = heap_meld(root, a);
	}
	return root;
}

/* t may be anywhere in the heap; what was below it stays. */
static void
heap_remove(struct loop_timer **root, struct loop_timer *t)
{
	struct loop_timer	*below = heap_join(t->child);

	if (*root == t) {
		*root = below;
	} else {
		if (t->prev->child == t)
			t->prev->child = t->next;
		else
			t->prev->next = t->next;
		if (t->next != NULL)
			t->next->prev = t->prev;
		*root = heap_meld(*root, below);
	}
	t->child = t->next = t->prev = NULL;
}

/* Which heap t is in shows only at a root; below it, it does not matter. */
static struct loop_timer **
heap_of(struct loop *l, const struct loop_timer *t)
{
	return l->due == t ? &l->due : &l->timers;
}

void
loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t due_ms)
{
	loop_timer_clear(t);
	t->loop = l;
	t->due_ms = due_ms;
	/* loop_now() was cut to milliseconds; a delay is not. */
	t->due_us = due_ms > UINT64_MAX / 1000 - 1 ? UINT64_MAX :
	    due_ms * 1000 + l->now_us % 1000;
	t->child = t->next = t->prev = NULL;
	l->timers = heap_meld(l->timers, t);
}

void
loop_timer_clear(struct loop_timer *t)
{
	if (t->loop == NULL)
		return;
	heap_remove(heap_of(t->loop, t), t);
	t->loop = NULL;
}

/* What is due moves to a heap of its own first: see loop_timer_set(). */
static void
dispatch_timers(struct loop *l)
{
	struct loop_timer	*t;
	int			 n;

	while ((t = l->timers) != NULL && t->due_us <= l->now_us) {
		heap_remove(&l->timers, t);
		l->due = heap_meld(l->due, t);
	}
	for (n = 0; n < TIMERS_MAX && (t = l->due) != NULL; n++) {
		heap_remove(&l->due, t);
		t->loop = NULL;
		t->fn(t->arg);
	}
}

/* -- tasks ----------------------------------------------------------------- */

void
loop_later(struct loop *l, struct loop_task *t)
{
	if (t->queued)
		return;
	t->queued = true;
	t->next = NULL;
	*l->tasks_tail = t;
	l->tasks_tail = &t->next;
}

void
loop_later_cancel(struct loop *l, struct loop_task *t)
{
	struct loop_task	**p;

	if (!t->queued)
		return;
	t->queued = false;
	for (p = &l->running; *p != NULL; p = &(*p)->next)
		if (*p == t) {
			*p = t->next;
			return;
		}
	for (p = &l->tasks; *p != t; p = &(*p)->next)
		assert(*p != NULL);
	*p = t->next;
	if (t->next == NULL)
		l->tasks_tail = p;
}

static void
dispatch_tasks(struct loop *l)
{
	struct loop_task	*t;

	l->running = l->tasks;
	l->tasks = NULL;
	l->tasks_tail = &l->tasks;
	while ((t = l->running) != NULL) {
		l->running = t->next;
		t->queued = false;
		t->fn(t->arg);
	}
}

/* -- the turn -------------------------------------------------------------- */

/* Milliseconds to sleep, rounded up so that a timer is never early. */
static int
sleep_ms(const struct loop *l, uint64_t now_us)
{
	uint64_t	left;

	if (l->tasks != NULL || l->files != NULL || l->due != NULL)
		return 0;
	if (l->timers == NULL)
		return -1;
	if (l->timers->due_us <= now_us)
		return 0;
	left = (l->timers->due_us - now_us - 1) / 1000 + 1;
	return left > INT_MAX ? INT_MAX : (int)left;
}

/* *now: the clock when it begins and when it ends. */
static int
turn(struct loop *l, uint64_t *now)
{
	uint64_t	start;
	int		n;

	n = epoll_wait(l->epfd, l->events, EVENTS_MAX, sleep_ms(l, *now));
	if (n == -1 && errno != EINTR)
		return -errno;
	start = loop_clock_us();
	l->now_us = start;
	l->nevents = n > 0 ? n : 0;
	l->next_file = l->files;	/* later ones come in front */
	dispatch_events(l);
	dispatch_files(l);
	dispatch_timers(l);
	dispatch_tasks(l);
	*now = loop_clock_us();
	count_turn(l, *now - start);
	return 0;
}

int
loop_run(struct loop *l)
{
	uint64_t	now = loop_clock_us();
	int		r = 0;

	while (!l->stop && r == 0)
		r = turn(l, &now);
	l->stop = false;
	return r;
}

void
loop_drain(struct loop *l)
{
	uint64_t	now = loop_clock_us();

	while ((l->timers != NULL || l->due != NULL || l->tasks != NULL) &&
	    turn(l, &now) == 0)
		continue;
}

void
loop_destroy(struct loop *l)
{
	if (l == NULL)
		return;
	while (l->tasks != NULL)
		dispatch_tasks(l);
	close(l->epfd);
	free(l);
}
