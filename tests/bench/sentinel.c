/*
 * sentinel - hangs up sessions while their numbers are given away again.
 *
 *   sentinel ROUNDS [pid_max=N] [uid=N] [no_pidfds]
 *
 * Each round starts a program as the daemon does, with a member in its group,
 * and ends it: it goes by itself, its client is lost, or it gets a signal.  In
 * some rounds the member has a handler and has to be killed later, or forks
 * when it is hung up.  Meanwhile bystanders are born and die, each the leader
 * of a session of its own, so that numbers of ended sessions are theirs; some
 * live for longer than a hang-up takes, and one as long as all of it.
 *
 * Prints one line: rounds, signals that hit bystanders, members that were left,
 * how often the numbers began anew, and how many bystanders there were (T20).
 */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "loop/loop.h"
#include "loop/sig.h"
#include "proc/child.h"
#include "proc/procfs.h"
#include "proc/reap.h"
#include "tests/unit/deny.h"
#include "workspace/task.h"

#define AT_ONCE		8u		/* programs */
#define BYSTANDERS	14u
#define LONG_ONES	6u		/* of them */
#define SHORT_US	3000u
#define LATE_US		35000u
#define LONG_MS		1500u		/* more than SIGHUP to SIGKILL */
#define END_SHORT	3		/* exit statuses */
#define END_LONG	4
#define LIFE_S		20u		/* of a member nobody ended */

enum how { BY_ITSELF, LOST, SIGNALLED, DEAF, LATE, HOWS };

static const char *const how_names[] = {
	"by-itself", "lost", "signalled", "deaf", "late"
};

struct shared {
	int	hits, born;
	bool	stop;
};

struct world;

struct slot {
	struct world	*w;
	struct task	*task;		/* NULL: free */
	enum how	 how;
	struct loop_timer timer;
};

struct world {
	struct loop	*loop;
	struct reap	*reap;
	struct sig	*sig;
	struct slot	 slot[AT_ONCE];
	unsigned	 rounds, begun, over, wraps;
	pid_t		 last;
	struct reap_entry churner, sentinel;
	bool		 churned;
	struct shared	*sh;
	unsigned	 seed;
};

_Noreturn static void
die(const char *what)
{
	fprintf(stderr, "sentinel: %s: %s\n", what, strerror(errno));
	exit(1);
}

static unsigned
dice(unsigned *seed, unsigned n)
{
	*seed = *seed * 1103515245u + 12345u;
	return (*seed >> 16) % n;
}

/* -- bystanders ----------------------------------------------------------- */

static void
hit(int signo)
{
	(void)signo;
	_exit(1);
}

static void
watch_signals(void)
{
	static const int	signos[] = {
		SIGHUP, SIGINT, SIGTERM, SIGCONT, SIGQUIT
	};
	size_t			i;

	sig_restore();
	for (i = 0; i < ARRAY_LEN(signos); i++)
		signal(signos[i], hit);
	setsid();
}

static void
bystander(bool lasts, unsigned ms)
{
	watch_signals();
	usleep(lasts ? ms * 1000 : SHORT_US);
	_exit(lasts ? END_LONG : END_SHORT);
}

/* Whoever doesn't end as a bystander does was hit. */
static void
churn(struct shared *sh)
{
	unsigned	seed = 1, n = 0, lasting = 0, ms;
	int		status;
	pid_t		pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!sh->stop || n > 0) {
		for (; n < BYSTANDERS && !sh->stop; n++, sh->born++) {
			ms = dice(&seed, LONG_MS);
			if ((pid = fork()) == 0)
				bystander(lasting < LONG_ONES, ms);
			if (pid == -1)		/* the numbers are used up */
				break;
			lasting += lasting < LONG_ONES;
		}
		if (waitpid(-1, &status, WUNTRACED) == -1) {
			usleep(SHORT_US);
			continue;
		}
		n -= !WIFSTOPPED(status);
		if (WIFEXITED(status) && WEXITSTATUS(status) == END_LONG)
			lasting--;
		else if (!WIFEXITED(status) ||
		    WEXITSTATUS(status) != END_SHORT)
			sh->hits++;
	}
	_exit(0);
}

static void
start_bystanders(struct world *w)
{
	w->sh = mmap(NULL, sizeof *w->sh, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w->sh == MAP_FAILED)
		die("mmap");
	if ((w->churner.pid = fork()) == 0)
		churn(w->sh);
	if ((w->sentinel.pid = fork()) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		watch_signals();
		for (;;)
			pause();
	}
}

/* -- the program ----------------------------------------------------------- */

static void
on_hup(int signo)
{
	(void)signo;
}

static _Noreturn void
be_member(enum how how)
{
	alarm(LIFE_S);
	if (how == DEAF || how == LATE)
		signal(SIGHUP, on_hup);
	pause();
	if (how == LATE) {		/* some ticks of the clock later */
		usleep(LATE_US);
		if (fork() != 0)
			_exit(0);
	}
	alarm(LIFE_S);
	for (;;)
		pause();
}

static int
be_program(const char *name)
{
	enum how	how = 0;

	while (how < HOWS && strcmp(how_names[how], name) != 0)
		how++;
	if (fork() == 0)
		be_member(how);
	alarm(LIFE_S);
	if (how != BY_ITSELF)
		pause();
	return 0;
}

/* -- rounds --------------------------------------------------------------- */

static void	begin(struct slot *s);

static void
next(struct slot *s)
{
	s->task = NULL;
	s->w->over++;
	if (s->w->over == s->w->rounds)
		loop_stop(s->w->loop);
	else if (s->w->begun++ < s->w->rounds)
		begin(s);
}

static void
on_gone(void *arg)
{
	next(arg);
}

static void
on_time(void *arg)
{
	struct slot	*s = arg;

	if (s->task == NULL) {
		begin(s);
		return;
	}
	if (s->how == SIGNALLED)
		task_signal(s->task, SIGTERM);
	task_hangup(s->task, on_gone, s);
}

static void
on_started(void *arg, enum child_stage stage, int err, const char *path,
    int cwd_err)
{
	struct slot	*s = arg;

	(void)path;
	(void)cwd_err;
	errno = err;
	if (stage != CHILD_OK)
		die("start");
	if (s->how != BY_ITSELF)
		loop_timer_set(s->w->loop, &s->timer, loop_now(s->w->loop) +
		    dice(&s->w->seed, 4));
}

static size_t
on_room(void *arg)
{
	(void)arg;
	return 4096;
}

static void
on_output(void *arg, enum task_stream stream, const void *p, size_t n)
{
	(void)arg;
	(void)stream;
	(void)p;
	(void)n;
}

static void
on_finished(void *arg, const struct reap_exit *e)
{
	struct slot	*s = arg;

	(void)e;
	loop_timer_clear(&s->timer);
	task_signal(s->task, SIGTERM);	/* of a client who is late */
	task_destroy(s->task);
	next(s);
}

static const struct task_ops ops = {
	.started = on_started, .room = on_room, .output = on_output,
	.finished = on_finished,
};

static void
begin(struct slot *s)
{
	static const char *const	paths[] = { "/proc/self/exe", NULL };
	static const char *const	envp[] = { NULL };
	struct world			*w = s->w;
	const char			*argv[] = { NULL, "be", NULL, NULL };
	struct child_spec		 spec = { .paths = paths,
					    .argv = argv, .envp = envp };
	int				 r;

	s->how = (enum how)dice(&w->seed, HOWS);
	argv[2] = how_names[s->how];
	/* A program without a terminal that ends leaves its group alone. */
	spec.io = s->how == BY_ITSELF || dice(&w->seed, 2) == 0 ? CHILD_PTY :
	    CHILD_STREAMS;
	r = task_create(&s->task, w->loop, w->reap, &spec, &ops, s);
	if (r == -EAGAIN) {		/* all numbers are in use */
		loop_timer_set(w->loop, &s->timer, loop_now(w->loop) + 5);
		return;
	}
	if (r < 0) {
		errno = -r;
		die("task");
	}
	w->wraps += task_pid(s->task) < w->last;
	w->last = task_pid(s->task);
}

/* -- all of them ---------------------------------------------------------- */

/* The one that lives as long as all of it. */
static void
on_sentinel(void *arg, const struct reap_exit *e)
{
	struct world	*w = arg;

	(void)e;
	w->sh->hits++;
}

static void
on_churner(void *arg, const struct reap_exit *e)
{
	struct world	*w = arg;

	w->churned = true;
	w->sh->hits += !w->sh->stop || reap_exit_code(e) != 0;
}

static bool
count_member(void *arg, pid_t pid)
{
	struct procfs_stat	st;

	/* A bystander of the churner's is not our child. */
	if (procfs_stat("", pid, &st) == 0 && !procfs_dead(&st))
		++*(unsigned *)arg;
	return true;
}

static void
on_chld(void *arg, int signo)
{
	struct world	*w = arg;

	(void)signo;
	reap_run(w->reap);
}

static void
report(struct world *w)
{
	unsigned	left = 0;

	loop_drain(w->loop);		/* hang-ups work on alone */
	w->sh->stop = true;
	while (!w->churned) {
		reap_run(w->reap);
		usleep(1000);
	}
	reap_unwatch(&w->sentinel);
	kill(w->sentinel.pid, SIGKILL);
	while (kill(w->sentinel.pid, 0) == 0)
		reap_run(w->reap);
	procfs_children("", getpid(), count_member, &left);
	printf("rounds=%u hits=%d left=%u wraps=%u bystanders=%d\n", w->over,
	    w->sh->hits, left, w->wraps, w->sh->born);
}

static void
set_pid_max(const char *value)
{
	FILE	*f = fopen("/proc/sys/kernel/pid_max", "w");

	if (getpid() != 1 || f == NULL || fputs(value, f) < 0 ||
	    fclose(f) != 0)
		die("pid_max");
}

static void
option(const char *arg)
{
	uint32_t	v;

	if (str_prefix(arg, "pid_max="))
		set_pid_max(arg + 8);
	else if (strcmp(arg, "no_pidfds") == 0 ?
	    deny(SYS_pidfd_open, EPERM) < 0 :
	    !str_prefix(arg, "uid=") ||
	    str_to_u32(arg + 4, UINT32_MAX, &v) < 0 ||
	    setgroups(0, NULL) != 0 || setresgid(v, v, v) != 0 ||
	    setresuid(v, v, v) != 0)
		die(arg);
}

int
main(int argc, char **argv)
{
	static const int	signos[] = { SIGCHLD, 0 };
	struct world		w = { .seed = 7 };
	unsigned		i;

	if (argc == 3 && strcmp(argv[1], "be") == 0)
		return be_program(argv[2]);
	if (argc < 2 || str_to_u32(argv[1], 10000000, &w.rounds) < 0 ||
	    w.rounds == 0)
		die("ROUNDS [pid_max=N] [uid=N] [no_pidfds]");
	for (i = 2; i < (unsigned)argc; i++)
		option(argv[i]);
	reap_become_subreaper();
	start_bystanders(&w);
	w.loop = loop_create();
	w.reap = reap_create(true);
	if (w.loop == NULL || w.reap == NULL ||
	    (w.sig = sig_create(w.loop, signos, on_chld, &w)) == NULL)
		die("start");
	w.churner.fn = on_churner;
	w.sentinel.fn = on_sentinel;
	w.churner.arg = w.sentinel.arg = &w;
	reap_watch(w.reap, &w.churner);
	reap_watch(w.reap, &w.sentinel);
	for (i = 0; i < AT_ONCE; i++) {
		w.slot[i] = (struct slot){ .w = &w, .timer = {
		    .fn = on_time, .arg = &w.slot[i] } };
		if (w.begun++ < w.rounds)
			begin(&w.slot[i]);
	}
	loop_run(w.loop);
	report(&w);
	return 0;
}
