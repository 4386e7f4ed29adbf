/*
 * grove - grows process trees of all shapes below a stand-in for the shim.
 *
 * Everybody in a tree holds the write end of a pipe from birth to death: the
 * read end is at its end of file when, and only when, nobody is left, whoever
 * it was and wherever he hides.  Nobody outlives GROVE_LIFE_S.
 */
#ifndef TESTS_UNIT_GROVE_H
#define TESTS_UNIT_GROVE_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GROVE_LIFE_S	60
#define GROVE_UP_MS	20000		/* for all to be there */
#define GROVE_PIDS_MAX	2048
#define GROVE_SLOW_US	150000

enum grove_shape {
	GROVE_FLAT,		/* n below the root */
	GROVE_CHAIN,		/* n, each below the one before */
	GROVE_FAN,		/* 9 below each, n levels */
	GROVE_THREADS,		/* n forked by threads, 3 levels */
	GROVE_SETSID,		/* n in sessions of their own */
	GROVE_DAEMONS,		/* n forked twice, in their own sessions */
	GROVE_ROOT_GONE,	/* n whose root has ended */
	GROVE_TERM_FORKS,	/* n that fork one more when asked to end */
	GROVE_FORK_CHAIN,	/* n times: forks its successor and ends */
	GROVE_STOPPED,		/* n, all stopped */
	GROVE_STUBBORN,		/* n that ignore SIGTERM */
	GROVE_BUSY,		/* n that keep forking short lives */
	GROVE_MAIN_GONE,	/* n whose first thread has ended */
	GROVE_MIXED,		/* n, every other one ignores SIGTERM */
	GROVE_SLOW,		/* n that take GROVE_SLOW_US to end */
	GROVE_SHAPES
};

static const char *const grove_names[GROVE_SHAPES] = {
	"flat", "chain", "fan", "threads", "setsid", "daemons", "root-gone",
	"term-forks", "fork-chain", "stopped", "stubborn", "busy", "main-gone",
	"mixed", "slow"
};

/* Seen by all of them. */
struct grove_shared {
	int	 up;			/* are where they should be */
	int	 shim_up;		/* holds the pipe no more */
	int	 termed;		/* saw SIGTERM */
	int	 births;		/* by fork chains and busy ones */
	int	 npids;
	pid_t	 pid[GROVE_PIDS_MAX];
	pid_t	 leader, root;		/* as the shim and as it knows it */
	bool	 slow;
	bool	 hold;			/* the shim waits before it forks */
	bool	 sprout;		/* one more, that keeps forking */
	unsigned long mark;		/* proc/mark.h; 0: none */
	bool	 holdout;		/* one more, that ignores SIGTERM */
};

struct grove {
	enum grove_shape shape;
	int	 n;
	pid_t	 shim;			/* 0: no shim, the root is ours */
	pid_t	 leader;
	int	 life;			/* end of file: all are dead */
	struct grove_shared *sh;
};

static struct grove_shared *grove_sh;	/* in its processes */

static inline void
grove_here(void)
{
	int	i = __atomic_fetch_add(&grove_sh->npids, 1, __ATOMIC_SEQ_CST);

	alarm(GROVE_LIFE_S);
	if (i < GROVE_PIDS_MAX)
		grove_sh->pid[i] = getpid();
	__atomic_fetch_add(&grove_sh->up, 1, __ATOMIC_SEQ_CST);
}

_Noreturn static inline void
grove_sleep(void)
{
	grove_here();
	for (;;)
		pause();
}

/* Without memory a test can't be run; the deadline will tell. */
static inline pid_t
grove_fork(void)
{
	pid_t	pid = fork();

	if (pid == -1)
		_exit(99);
	if (pid == 0)
		alarm(GROVE_LIFE_S);
	return pid;
}

static inline void
grove_fan(int levels)
{
	int	i;

	for (i = 0; i < 9 && levels > 0; i++)
		if (grove_fork() == 0) {
			grove_fan(levels - 1);
			grove_sleep();
		}
}

static inline void
grove_chain(int n)
{
	for (; n > 0; n--)
		if (grove_fork() > 0)
			grove_sleep();
	grove_sleep();
}

struct grove_thread {
	int	levels, forked;
};

static inline void *grove_forks_thread(void *arg);

/* One at a time: nobody holds a lock when another one forks. */
static inline void
grove_thread_forks(int levels)
{
	static struct grove_thread	all[GROVE_PIDS_MAX];
	static int			n;
	struct grove_thread		*t = &all[n++];
	pthread_t			id;

	*t = (struct grove_thread){ .levels = levels };
	if (pthread_create(&id, NULL, grove_forks_thread, t) != 0)
		_exit(99);
	while (!__atomic_load_n(&t->forked, __ATOMIC_SEQ_CST))
		usleep(100);
}

static inline void *
grove_forks_thread(void *arg)
{
	struct grove_thread	*t = arg;

	if (grove_fork() == 0) {
		if (t->levels > 1)
			grove_thread_forks(t->levels - 1);
		grove_sleep();
	}
	__atomic_store_n(&t->forked, 1, __ATOMIC_SEQ_CST);
	for (;;)
		pause();
}

_Noreturn static inline void
grove_threads(int n)
{
	int	i;

	for (i = 0; i < n; i++)
		grove_thread_forks(3);
	grove_sleep();
}

static inline void *
grove_sleep_thread(void *arg)
{
	(void)arg;
	/* The kernel shows the first thread as a zombie by then. */
	usleep(20000);
	grove_sleep();
}

static inline void
grove_main_gone(void)
{
	pthread_t	t;

	pthread_create(&t, NULL, grove_sleep_thread, NULL);
	pthread_exit(NULL);
}

static inline void
grove_on_term(int signo)
{
	(void)signo;
	__atomic_fetch_add(&grove_sh->termed, 1, __ATOMIC_SEQ_CST);
	if (fork() == 0) {
		sigset_t	none;

		signal(SIGTERM, SIG_DFL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		alarm(GROVE_LIFE_S);
		for (;;)
			pause();
	}
	_exit(0);
}

static inline void
grove_counts_term(int signo)
{
	(void)signo;
	if (grove_sh->slow)
		usleep(GROVE_SLOW_US);
	__atomic_fetch_add(&grove_sh->termed, 1, __ATOMIC_SEQ_CST);
	_exit(0);
}

static inline void
grove_fork_chain(int n)
{
	grove_here();
	for (; n > 0; n--) {
		__atomic_fetch_add(&grove_sh->births, 1, __ATOMIC_SEQ_CST);
		if (fork() > 0)
			_exit(0);
	}
	_exit(0);
}

static inline void
grove_busy(void)
{
	grove_here();
	for (;;) {
		if (grove_fork() == 0) {
			if (grove_fork() == 0)
				usleep(200);
			_exit(0);
		}
		__atomic_fetch_add(&grove_sh->births, 1, __ATOMIC_SEQ_CST);
		while (waitpid(-1, NULL, 0) > 0)
			continue;
	}
}

/* Goes on as soon as it has another parent. */
static inline void
grove_await_orphaned(pid_t parent)
{
	while (getppid() == parent)
		usleep(200);
}

/* One of n. */
static inline void
grove_one(enum grove_shape shape)
{
	pid_t	parent;

	switch (shape) {
	case GROVE_SETSID:
		setsid();
		break;
	case GROVE_DAEMONS:
		setsid();
		parent = getpid();
		if (grove_fork() > 0)
			_exit(0);
		grove_await_orphaned(parent);
		break;
	case GROVE_ROOT_GONE:
		grove_await_orphaned(grove_sh->root);
		break;
	case GROVE_TERM_FORKS:
		signal(SIGTERM, grove_on_term);
		break;
	case GROVE_STUBBORN:
		signal(SIGTERM, SIG_IGN);
		break;
	case GROVE_SLOW:
		signal(SIGTERM, grove_counts_term);
		break;
	case GROVE_STOPPED:
		signal(SIGTERM, grove_counts_term);
		grove_here();
		raise(SIGSTOP);
		for (;;)
			pause();
	case GROVE_BUSY:
		grove_busy();
		break;
	case GROVE_MAIN_GONE:
		grove_main_gone();
		break;
	default:
		break;
	}
	grove_sleep();
}

_Noreturn static inline void
grove_root(enum grove_shape shape, int n)
{
	int	i;

	setsid();
	alarm(GROVE_LIFE_S);
	grove_sh->root = getpid();
	if (grove_sh->mark != 0)
		setrlimit(RLIMIT_LOCKS, &(struct rlimit){
		    .rlim_cur = grove_sh->mark, .rlim_max = grove_sh->mark });
	if (grove_sh->sprout && grove_fork() == 0)
		grove_busy();
	if (grove_sh->holdout && grove_fork() == 0)
		grove_one(GROVE_STUBBORN);
	if (shape == GROVE_CHAIN)
		grove_chain(n);
	if (shape == GROVE_FORK_CHAIN)
		grove_fork_chain(n);
	if (shape == GROVE_THREADS)
		grove_threads(n);
	if (shape == GROVE_FAN) {
		grove_fan(n);
		grove_sleep();
	}
	for (i = 0; i < n; i++)
		if (grove_fork() == 0)
			grove_one(shape == GROVE_MIXED && i % 2 == 0 ?
			    GROVE_STUBBORN : shape);
	if (shape == GROVE_ROOT_GONE)
		_exit(0);
	if (shape == GROVE_STUBBORN)
		signal(SIGTERM, SIG_IGN);
	grove_sleep();
}

/* How many say that they are up. */
static inline int
grove_size(enum grove_shape shape, int n)
{
	switch (shape) {
	case GROVE_FAN:
		return n == 1 ? 10 : n == 2 ? 91 : n == 3 ? 820 : 1;
	case GROVE_THREADS:
		return 3 * n + 1;
	case GROVE_ROOT_GONE:
		return n;
	case GROVE_FORK_CHAIN:
		return 1;
	default:
		return n + 1;
	}
}

/* Reaps what comes to it, and ends with the last of them. */
_Noreturn static inline void
grove_shim_run(enum grove_shape shape, int n, int life)
{
	sigset_t	all;
	pid_t		pid;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_NAME, "grove-shim");
	setsid();
	alarm(GROVE_LIFE_S);
	while (__atomic_load_n(&grove_sh->hold, __ATOMIC_SEQ_CST))
		usleep(500);
	if ((pid = grove_fork()) == 0)
		grove_root(shape, n);
	__atomic_store_n(&grove_sh->leader, pid, __ATOMIC_SEQ_CST);
	close(life);
	sigfillset(&all);
	sigdelset(&all, SIGALRM);
	sigprocmask(SIG_BLOCK, &all, NULL);
	__atomic_store_n(&grove_sh->shim_up, 1, __ATOMIC_SEQ_CST);
	while ((pid = waitpid(-1, NULL, __WALL)) > 0 || errno == EINTR)
		continue;
	_exit(0);
}

static inline bool
grove_wait(const int *value, int want)
{
	struct timespec	ts = { 0, 500000 };
	int		i;

	for (i = 0; i < GROVE_UP_MS * 2; i++) {
		if (__atomic_load_n(value, __ATOMIC_SEQ_CST) >= want)
			return true;
		nanosleep(&ts, NULL);
	}
	return false;
}

/* Until the tree is in the state that it is to be killed in. */
static inline bool
grove_ready(struct grove *g)
{
	int	size = grove_size(g->shape, g->n);
	bool	ok = grove_wait(&g->sh->up, size + g->sh->sprout +
		    g->sh->holdout);

	if (g->shim != 0)
		ok = ok && grove_wait(&g->sh->shim_up, 1);

	g->leader = g->sh->leader;
	if (g->shape == GROVE_FORK_CHAIN)
		ok = ok && grove_wait(&g->sh->births, 50);
	return ok;
}

/* how: */
#define GROVE_NO_SHIM	1u	/* the root is our own child */
#define GROVE_HOLD	2u	/* nothing before g->sh->hold is false */
#define GROVE_SPROUT	4u
#define GROVE_HOLDOUT	8u

static inline void
grove_flags(struct grove *g, unsigned how)
{
	g->sh->slow = g->shape == GROVE_SLOW;
	g->sh->hold = (how & GROVE_HOLD) != 0;
	g->sh->sprout = (how & GROVE_SPROUT) != 0;
	g->sh->holdout = (how & GROVE_HOLDOUT) != 0;
}

/* False: no resources. */
static inline bool
grove_begin(struct grove *g, enum grove_shape shape, int n, unsigned how)
{
	bool	shim = (how & GROVE_NO_SHIM) == 0;
	int	life[2];
	pid_t	pid;

	*g = (struct grove){ .shape = shape, .n = n, .life = -1 };
	g->sh = mmap(NULL, sizeof *g->sh, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (g->sh == MAP_FAILED || pipe2(life, O_CLOEXEC | O_NONBLOCK) == -1)
		return false;
	grove_flags(g, how);
	if ((pid = fork()) == 0) {
		sigset_t	none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		grove_sh = g->sh;
		close(life[0]);
		if (shim)
			grove_shim_run(shape, n, life[1]);
		g->sh->leader = getpid();
		grove_root(shape, n);
	}
	close(life[1]);
	g->life = life[0];
	if (shim)
		g->shim = pid;
	else
		g->sh->leader = pid;
	return pid > 0;
}

static inline bool
grove_start(struct grove *g, enum grove_shape shape, int n)
{
	return grove_begin(g, shape, n, 0) && grove_ready(g);
}

/* Nobody of the tree is alive, zombies don't count. */
static inline bool
grove_all_dead(const struct grove *g)
{
	char	c;

	return read(g->life, &c, 1) == 0;
}

/* How many of those that were up are alive. */
static inline int
grove_count(const struct grove *g)
{
	char	 path[32], line[256], *p;
	int	 i, n = 0, all = g->sh->npids;
	FILE	*f;

	for (i = 0; i < all && i < GROVE_PIDS_MAX; i++) {
		snprintf(path, sizeof path, "/proc/%d/stat",
		    (int)g->sh->pid[i]);
		if ((f = fopen(path, "r")) == NULL)
			continue;
		p = fgets(line, sizeof line, f) != NULL ?
		    strrchr(line, ')') : NULL;
		n += p != NULL && p[2] != 'Z' && p[2] != 'X';
		fclose(f);
	}
	return n;
}

/* Whatever a failed test left; the shim is collected. */
static inline void
grove_finish(struct grove *g)
{
	int	i, n = g->sh->npids;

	if (!grove_all_dead(g))
		for (i = 0; i < n && i < GROVE_PIDS_MAX; i++)
			kill(g->sh->pid[i], SIGKILL);
	close(g->life);
	munmap(g->sh, sizeof *g->sh);
}

#endif
