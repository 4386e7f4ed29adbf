/*
 * fell - grows trees of processes and kills them, round after round.
 *
 *   fell KILLER SHAPE N GRACE_MS ROUNDS [OPTIONS] [-- PEER ARGS...]
 *
 * KILLER: ours; numbers (ours, of a kernel without pidfds); killpg; peer: a
 * program that reads a pid a line, kills what is below it, and answers with a
 * line.  OPTIONS: sprout (a member keeps forking), decoys (bystanders who take
 * over the numbers of the dead), uid=N, pid_max=N.
 *
 * Prints one line: rounds, trees with survivors, survivors, decoys hit,
 * zombies a second later, and the time a kill took, in microseconds.
 */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "loop/loop.h"
#include "loop/sig.h"
#include "proc/procfs.h"
#include "proc/reap.h"
#include "proc/tree_impl.h"
#include "proc/treekill.h"
#include "tests/unit/grove.h"

#define DECOYS		8
#define DECOY_US	3000
#define ZOMBIE_MS	1000	/* until all are collected, at the latest */
#define PEER_WAIT_MS	1000	/* for the last one, where nobody says so */

enum killer { OURS, NUMBERS, KILLPG, PEER };

struct decoys {
	int	hits, born;
	bool	stop;
};

struct fell {
	enum killer	 killer;
	enum grove_shape shape;
	int		 n;
	uint32_t	 grace_ms;
	unsigned	 rounds, how;
	bool		 decoys;
	struct loop	*loop;
	struct reap	*reap;
	struct sig	*sig;
	struct grove	 g;
	struct tree_sys	 sys;
	bool		 done, gone;
	FILE		*to, *from;		/* the peer */
	struct decoys	*sh;			/* of decoys */
	pid_t		 churner;
	uint64_t	 at_us, *took_us;
	unsigned	 dirty, survivors, lingering;
};

static uint64_t
now_us(void)
{
	struct timespec	ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

_Noreturn static void
die(const char *what)
{
	fprintf(stderr, "fell: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* -- bystanders ----------------------------------------------------------- */

static void
decoy_hit(int signo)
{
	(void)signo;
	_exit(1);
}

static void
decoy(void)
{
	static const int	signos[] = { SIGTERM, SIGCONT, SIGHUP };
	sigset_t		none;
	size_t			i;

	for (i = 0; i < ARRAY_LEN(signos); i++)
		signal(signos[i], decoy_hit);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	usleep(DECOY_US);
	_exit(0);
}

/* Whoever doesn't end as a decoy does was hit. */
static void
churn(struct decoys *sh)
{
	int	status, i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(3600);
	for (i = 0; !sh->stop || i > 0; ) {
		for (; i < DECOYS && !sh->stop; i++, sh->born++)
			if (fork() == 0)
				decoy();
		if (waitpid(-1, &status, WUNTRACED) == -1)
			break;
		i -= !WIFSTOPPED(status);
		sh->hits += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	}
	_exit(0);
}

static void
start_decoys(struct fell *f)
{
	f->sh = mmap(NULL, sizeof *f->sh, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (f->sh == MAP_FAILED)
		die("mmap");
	if (!f->decoys)
		return;
	if ((f->churner = fork()) == 0)
		churn(f->sh);
}

/* -- one tree ------------------------------------------------------------- */

static int
no_pidfd(void *arg, pid_t pid)
{
	(void)arg;
	(void)pid;
	return -EPERM;
}

static void
on_done(void *arg, const struct treekill_result *r)
{
	struct fell	*f = arg;

	f->gone = grove_all_dead(&f->g) && r->nsurvivors == 0;
	f->done = true;
	loop_stop(f->loop);
}

static void
kill_ours(struct fell *f)
{
	struct treekill		*k;
	struct treekill_spec	 spec = { .grace_ms = f->grace_ms,
				    .cgroup = -1,
				    .scope.shim = f->g.shim };

	f->sys = tree_kernel;
	f->sys.open = no_pidfd;
	if (f->killer == NUMBERS)
		spec.scope.sys = &f->sys;
	f->done = false;
	if (treekill_start(&k, f->loop, &spec, on_done, f) < 0)
		die("treekill_start");
	while (!f->done && loop_run(f->loop) == 0)
		continue;
}

/* Those who only send signals don't know: the time is the tree's. */
static void
await_end(struct fell *f)
{
	struct pollfd	p = { .fd = f->g.life, .events = POLLIN };

	poll(&p, 1, PEER_WAIT_MS);
	f->gone = grove_all_dead(&f->g);
}

static void
kill_group(struct fell *f)
{
	kill(-f->g.leader, SIGTERM);
	await_end(f);
}

static void
kill_peer(struct fell *f)
{
	char	line[256];

	if (fprintf(f->to, "%d\n", (int)f->g.leader) < 0 ||
	    fflush(f->to) != 0 ||
	    fgets(line, sizeof line, f->from) == NULL)
		die("the peer");
	await_end(f);
}

static bool
push_zombie(void *arg, pid_t pid)
{
	struct procfs_stat	st;
	unsigned		*n = arg;

	*n += procfs_stat("", pid, &st) == 0 && procfs_dead(&st) &&
	    st.ppid == getpid();
	return true;
}

/* Children of ours that are dead and still there. */
static unsigned
zombies(void)
{
	unsigned	n = 0;

	procfs_children("", getpid(), push_zombie, &n);
	return n;
}

static void
on_chld(void *arg, int signo)
{
	struct fell	*f = arg;

	(void)signo;
	reap_run(f->reap);
}

static void
on_tick(void *arg)
{
	loop_stop(arg);
}

/* Turns the loop for that long. */
static void
idle(struct fell *f, unsigned ms)
{
	struct loop_timer	t = { .fn = on_tick, .arg = f->loop };

	loop_timer_set(f->loop, &t, loop_now(f->loop) + ms);
	loop_run(f->loop);
	loop_timer_clear(&t);
}

static void
one_round(struct fell *f, unsigned i)
{
	int	left;

	if (!grove_begin(&f->g, f->shape, f->n, f->how) ||
	    !grove_ready(&f->g))
		die("no tree");
	f->at_us = now_us();
	if (f->killer == KILLPG)
		kill_group(f);
	else if (f->killer == PEER)
		kill_peer(f);
	else
		kill_ours(f);
	f->took_us[i] = now_us() - f->at_us;
	if (!f->gone) {
		left = grove_count(&f->g);
		f->dirty++;
		f->survivors += (unsigned)(left > 0 ? left : 1);
	}
	treekill_now(&(struct tree_scope){ .shim = f->g.shim }, -1);
	grove_finish(&f->g);
	reap_run(f->reap);
}

/* -- all of them ---------------------------------------------------------- */

static int
compare(const void *a, const void *b)
{
	uint64_t	x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
report(struct fell *f)
{
	qsort(f->took_us, f->rounds, sizeof *f->took_us, compare);
	printf("rounds=%u dirty=%u survivors=%u hits=%d zombies=%u p50=%llu "
	    "p99=%llu max=%llu decoys=%d\n", f->rounds, f->dirty, f->survivors,
	    f->sh->hits, f->lingering,
	    (unsigned long long)f->took_us[f->rounds / 2],
	    (unsigned long long)f->took_us[f->rounds * 99 / 100],
	    (unsigned long long)f->took_us[f->rounds - 1], f->sh->born);
}

static void
start_peer(struct fell *f, char **argv)
{
	int	to[2], from[2];

	if (pipe2(to, O_CLOEXEC) == -1 || pipe2(from, O_CLOEXEC) == -1)
		die("pipe");
	if (fork() == 0) {
		sig_restore();
		dup2(to[0], 0);
		dup2(from[1], 1);
		execvp(argv[0], argv);
		die(argv[0]);
	}
	close(to[0]);
	close(from[1]);
	f->to = fdopen(to[1], "w");
	f->from = fdopen(from[0], "r");
}

/* The smaller the space of numbers, the sooner one comes back. */
static void
set_pid_max(const char *value)
{
	FILE	*f = fopen("/proc/sys/kernel/pid_max", "w");

	if (getpid() != 1 || f == NULL || fputs(value, f) < 0 ||
	    fclose(f) != 0)
		die("pid_max");
}

static void
option(struct fell *f, const char *arg)
{
	uint32_t	v;

	if (strcmp(arg, "sprout") == 0)
		f->how |= GROVE_SPROUT;
	else if (strcmp(arg, "decoys") == 0)
		f->decoys = true;
	else if (str_prefix(arg, "pid_max="))
		set_pid_max(arg + 8);
	else if (!str_prefix(arg, "uid=") ||
	    str_to_u32(arg + 4, UINT32_MAX, &v) < 0 ||
	    setgroups(0, NULL) != 0 || setresgid(v, v, v) != 0 ||
	    setresuid(v, v, v) != 0)
		die(arg);
}

static unsigned
word(const char *const *names, unsigned n, const char *name)
{
	unsigned	i;

	for (i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	die(name);
}

static unsigned
number(const char *text)
{
	uint32_t	v;

	if (str_to_u32(text, 10000000, &v) < 0)
		die(text);
	return v;
}

static void
parse(struct fell *f, int argc, char **argv)
{
	static const char *const	killers[] = {
		"ours", "numbers", "killpg", "peer"
	};
	int				i;

	if (argc < 6) {
		errno = EINVAL;
		die("KILLER SHAPE N GRACE_MS ROUNDS [OPTIONS] [-- PEER]");
	}
	f->killer = word(killers, ARRAY_LEN(killers), argv[1]);
	f->shape = word(grove_names, GROVE_SHAPES, argv[2]);
	f->n = (int)number(argv[3]);
	f->grace_ms = number(argv[4]);
	f->rounds = number(argv[5]);
	for (i = 6; i < argc && strcmp(argv[i], "--") != 0; i++)
		option(f, argv[i]);
	if (f->killer == PEER && i + 1 < argc)
		start_peer(f, argv + i + 1);
}

int
main(int argc, char **argv)
{
	static const int	signos[] = { SIGCHLD, 0 };
	struct fell		f = { 0 };
	unsigned		i;

	parse(&f, argc, argv);
	reap_become_subreaper();
	start_decoys(&f);
	f.loop = loop_create();
	f.reap = reap_create(true);
	f.took_us = calloc(f.rounds + 1, sizeof *f.took_us);
	if (f.loop == NULL || f.reap == NULL || f.took_us == NULL ||
	    (f.sig = sig_create(f.loop, signos, on_chld, &f)) == NULL)
		die("start");
	for (i = 0; i < f.rounds; i++)
		one_round(&f, i);
	f.sh->stop = true;
	for (i = 0; i < ZOMBIE_MS / 20 && zombies() > 0; i++)
		idle(&f, 20);
	f.lingering = zombies();
	report(&f);
	if (f.to != NULL)
		fclose(f.to);
	return 0;
}
