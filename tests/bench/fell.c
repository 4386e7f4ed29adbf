/*
 * fell - grows trees of processes and kills them, round after round.
 *
 *   fell KILLER SHAPE N GRACE_MS ROUNDS [OPTIONS] [-- PEER ARGS...]
 *
 * KILLER: ours; numbers (ours, of a kernel without pidfds); killpg; peer: a
 * program that reads a pid a line, kills what is below it, and answers with a
 * line.  OPTIONS:
 *   sprout		a member keeps forking
 *   decoys		bystanders, who take over the numbers of the dead
 *   aim		they choose whose (ns_last_pid: best in a namespace)
 *   holdout		a member ignores SIGTERM; the grace ends early, once
 *			FELL_ENOUGH decoys have a number of the round's dead
 *   shim=PROGRAM	below the daemon's shim, not a stand-in
 *   cgroup		and in a control group, that is killed as a whole
 *   lose-shim		and somebody kills the shim meanwhile
 *   uid=N pid_max=N	as somebody else; as process 1 only
 *
 * Prints one line: rounds, trees with survivors, survivors, decoys hit,
 * zombies a second after a batch of rounds, the time a kill took, in
 * microseconds, decoys that were born, those that had a dead member's number
 * while the kill still ran, the rounds with such, and those that lost the shim
 * in time.  Exit status FELL_SKIP: not on this machine.
 */
#include "base/str.h"
#include "proc/procfs.h"
#include "tests/bench/fell.h"

#define BATCH		100	/* rounds, then zombies are counted */
#define ZOMBIE_MS	1000	/* until all are collected, at the latest */
#define PEER_WAIT_MS	1000	/* for the last one, where nobody says so */
#define WATCH_MS	2
#define TICK_US		20000	/* two of those that start times come in */
#define LOSE_US		500	/* at least */

_Noreturn void
fell_die(const char *what)
{
	fprintf(stderr, "fell: %s: %s\n", what, strerror(errno));
	exit(1);
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
	f->kill = NULL;
	loop_timer_clear(&f->watch);
	loop_stop(f->loop);
}

/* Whom the kill holds: all but those that were up from the start. */
static void
on_step(void *arg, enum tree_step step, pid_t pid)
{
	struct fell	*f = arg;

	if (step == TREE_VERIFIED && (unsigned)pid < FELL_PIDS)
		f->sh->member[pid] = f->sh->round;
}

/* There has been reuse enough: now for SIGKILL. */
static void
on_watch(void *arg)
{
	struct fell	*f = arg;

	if (f->sh->sitting >= FELL_ENOUGH)
		treekill_hasten(f->kill, 0);
	else
		loop_timer_set(f->loop, &f->watch,
		    loop_now(f->loop) + WATCH_MS);
}

static void
kill_ours(struct fell *f)
{
	struct treekill_spec	 spec = { .grace_ms = f->grace_ms,
				    .cgroup = f->cgroup ? f->cg.kill : -1 };

	fell_shim_scope(f, &spec.scope);
	f->sys = tree_kernel;
	f->sys.step = on_step;
	f->sys.arg = f;
	if (f->killer == NUMBERS)
		f->sys.open = no_pidfd;
	spec.scope.sys = &f->sys;
	f->done = false;
	f->watch = (struct loop_timer){ .fn = on_watch, .arg = f };
	if (f->holdout)
		loop_timer_set(f->loop, &f->watch, 0);
	if (treekill_start(&f->kill, f->loop, &spec, on_done, f) < 0)
		fell_die("treekill_start");
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
		fell_die("the peer");
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
grow(struct fell *f)
{
	bool	ok;

	if (f->shim != NULL)
		ok = fell_shim_begin(f);
	else
		ok = grove_begin(&f->g, f->shape, f->n, f->how) &&
		    grove_ready(&f->g);
	if (!ok)
		fell_die("no tree");
	/* Who takes a number over within a tick is the one who had it. */
	if (f->aim && (f->killer == NUMBERS || f->lose_shim))
		usleep(TICK_US);
}

static void
fell_tree(struct fell *f)
{
	if (f->killer == KILLPG)
		kill_group(f);
	else if (f->killer == PEER)
		kill_peer(f);
	else
		kill_ours(f);
}

static void
clear(struct fell *f)
{
	struct tree_scope	scope;
	int			left;

	if (!f->gone) {
		left = grove_count(&f->g);
		f->dirty++;
		f->survivors += (unsigned)(left > 0 ? left : 1);
	}
	fell_shim_scope(f, &scope);
	treekill_now(&scope, -1);
	grove_finish(&f->g);
	if (f->shim != NULL)
		fell_shim_end(f);
	reap_run(f->reap);
}

static void
one_round(struct fell *f, unsigned i)
{
	uint64_t	last = i > 0 ? f->took_us[i - 1] : 0;

	grow(f);
	fell_decoys_begin(f, i + 1);
	if (f->lose_shim)
		fell_shim_lose(f, last > LOSE_US ? last : LOSE_US);
	f->at_us = loop_clock_us();
	fell_tree(f);
	f->took_us[i] = loop_clock_us() - f->at_us;
	fell_decoys_end(f);
	clear(f);
}

static void
count_zombies(struct fell *f)
{
	unsigned	i, n;

	for (i = 0; (n = zombies()) > 0 && i < ZOMBIE_MS / 20; i++)
		idle(f, 20);
	f->lingering += n;
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
	    "p99=%llu max=%llu decoys=%d reused=%d taken=%u lost=%u\n",
	    f->rounds, f->dirty, f->survivors, f->sh->hits, f->lingering,
	    (unsigned long long)f->took_us[f->rounds / 2],
	    (unsigned long long)f->took_us[f->rounds * 99 / 100],
	    (unsigned long long)f->took_us[f->rounds - 1],
	    f->sh->born, f->sh->reused, f->taken, f->lost);
}

static void
start_peer(struct fell *f, char **argv)
{
	int	to[2], from[2];

	if (pipe2(to, O_CLOEXEC) == -1 || pipe2(from, O_CLOEXEC) == -1)
		fell_die("pipe");
	if (fork() == 0) {
		sig_restore();
		dup2(to[0], 0);
		dup2(from[1], 1);
		execvp(argv[0], argv);
		fell_die(argv[0]);
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
		fell_die("pid_max");
}

/* The words that only set something. */
static bool
flag(struct fell *f, const char *arg)
{
	const struct {
		const char	*name;
		bool		*flag;
		unsigned	 how;
	} flags[] = {
		{ "decoys", &f->decoys, 0 }, { "aim", &f->aim, 0 },
		{ "cgroup", &f->cgroup, 0 }, { "lose-shim", &f->lose_shim, 0 },
		{ "holdout", &f->holdout, GROVE_HOLDOUT },
		{ "sprout", &f->sprout, GROVE_SPROUT },
	};
	size_t	i;

	for (i = 0; i < ARRAY_LEN(flags); i++)
		if (strcmp(arg, flags[i].name) == 0) {
			*flags[i].flag = true;
			f->how |= flags[i].how;
			return true;
		}
	return false;
}

static void
option(struct fell *f, const char *arg)
{
	if (flag(f, arg))
		return;
	if (str_prefix(arg, "pid_max="))
		set_pid_max(arg + 8);
	else if (str_prefix(arg, "shim="))
		f->shim = arg + 5;
	else if (str_prefix(arg, "uid=") &&
	    str_to_u32(arg + 4, UINT32_MAX, &f->uid) == 0)
		f->drop = true;
	else
		fell_die(arg);
}

static unsigned
word(const char *const *names, unsigned n, const char *name)
{
	unsigned	i;

	for (i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	fell_die(name);
}

static unsigned
number(const char *text)
{
	uint32_t	v;

	if (str_to_u32(text, 10000000, &v) < 0)
		fell_die(text);
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
		fell_die("KILLER SHAPE N GRACE_MS ROUNDS [OPTIONS] [-- PEER]");
	}
	f->killer = word(killers, ARRAY_LEN(killers), argv[1]);
	f->shape = word(grove_names, GROVE_SHAPES, argv[2]);
	f->n = (int)number(argv[3]);
	f->grace_ms = number(argv[4]);
	f->rounds = number(argv[5]);
	for (i = 6; i < argc && strcmp(argv[i], "--") != 0; i++)
		option(f, argv[i]);
	if ((f->cgroup || f->lose_shim) && f->shim == NULL)
		fell_die("shim=");
	if (f->killer == PEER && i + 1 < argc)
		start_peer(f, argv + i + 1);
}

int
main(int argc, char **argv)
{
	static const int	signos[] = { SIGCHLD, 0 };
	struct fell		f = { 0 };
	unsigned		i;

	if (argc == 6 && strcmp(argv[1], "grow") == 0)
		fell_grow(argv + 2);
	parse(&f, argc, argv);
	reap_become_subreaper();
	fell_decoys_start(&f);
	fell_shim_probe(&f);
	f.loop = loop_create();
	f.reap = reap_create(true);
	f.took_us = calloc(f.rounds + 1, sizeof *f.took_us);
	if (f.loop == NULL || f.reap == NULL || f.took_us == NULL ||
	    (f.sig = sig_create(f.loop, signos, on_chld, &f)) == NULL)
		fell_die("start");
	for (i = 0; i < f.rounds; i++) {
		one_round(&f, i);
		if ((i + 1) % BATCH == 0 || i + 1 == f.rounds)
			count_zombies(&f);
	}
	fell_decoys_stop(&f);
	report(&f);
	if (f.to != NULL)
		fclose(f.to);
	return 0;
}
