/*
 * A tree below the daemon's own shim: started, scoped and collected as the
 * daemon does it with a job, in a control group of its own where that works.
 * The program of the job is fell itself; it gets what grove.h shares by paths
 * below /proc, since nothing is inherited.
 */
#include <string.h>
#include <sys/syscall.h>

#include "base/str.h"
#include "proc/mark.h"
#include "tests/bench/fell.h"

#define PATH_LEN	64
#define COLLECT_MS	10000

static void
on_started(void *arg, enum child_stage stage, int err, const char *path,
    int cwd_err)
{
	struct fell	*f = arg;

	(void)path;
	(void)cwd_err;
	errno = err;
	if (stage != CHILD_OK)
		fell_die("the job's program");
	f->started = true;
	loop_stop(f->loop);
}

static void
on_exited(void *arg, const struct reap_exit *e)
{
	struct fell	*f = arg;

	(void)e;
	f->exited = true;
}

/* As the daemon: it trusts nobody but the shim. */
static void
on_emptied(void *arg, bool sure)
{
	struct fell	*f = arg;

	f->emptied = true;
	f->lost += !sure && f->kill != NULL;
	f->unsure = !sure;
	if (sure && f->kill != NULL)
		treekill_emptied(f->kill);
}

static const struct child_ops	ops = {
	.started = on_started, .exited = on_exited, .emptied = on_emptied
};

static void
on_tick(void *arg)
{
	loop_stop(arg);
}

static void
on_give_up(void *arg)
{
	errno = ETIMEDOUT;
	fell_die(arg);
}

static void
turn_until(struct fell *f, const bool *flag, char *what)
{
	struct loop_timer	t = { .fn = on_give_up, .arg = what };
	struct loop_timer	tick = { .fn = on_tick, .arg = f->loop };

	loop_timer_set(f->loop, &t, loop_now(f->loop) + COLLECT_MS);
	while (!*flag) {
		loop_timer_set(f->loop, &tick, loop_now(f->loop) + 1);
		loop_run(f->loop);
	}
	loop_timer_clear(&t);
	loop_timer_clear(&tick);
}

static void
spawn(struct fell *f, int shared, int life)
{
	static char	 memory[PATH_LEN], gate[PATH_LEN], n[16];
	const char	*paths[] = { "/proc/self/exe", NULL };
	const char	*argv[] = { "fell", "grow", memory, gate,
			    grove_names[f->shape], n, NULL };
	const char	*envp[] = { NULL };
	struct child_spec spec = { .paths = paths, .argv = argv, .envp = envp,
			    .user.may_gain = true, .io = CHILD_OUTPUT,
			    .cgroup = f->cgroup ? &f->cg : NULL,
			    .mark = f->mark,
			    .shim = f->shim };

	str_format(memory, sizeof memory, "/proc/%d/fd/%d", (int)getpid(),
	    shared);
	str_format(gate, sizeof gate, "/proc/%d/fd/%d", (int)getpid(), life);
	str_format(n, sizeof n, "%d", f->n);
	f->started = f->exited = f->emptied = f->unsure = false;
	if (child_spawn(&f->child, f->loop, f->reap, &spec, &ops, f) < 0)
		fell_die("child_spawn");
	turn_until(f, &f->started, "the program does not start");
}

static void
open_cgroup(struct fell *f, unsigned round)
{
	char	id[32];
	int	r;

	str_format(id, sizeof id, "fell-%d-%u", (int)getpid(), round);
	if ((r = cgjob_open(&f->cg, f->cg_home, id)) < 0) {
		errno = -r;
		fell_die("cgroup");
	}
}

bool
fell_shim_begin(struct fell *f)
{
	static unsigned	round;
	struct grove	*g = &f->g;
	int		 shared, life[2];

	f->mark = mark_make();
	if (f->cgroup)
		open_cgroup(f, ++round);
	*g = (struct grove){ .shape = f->shape, .n = f->n };
	shared = (int)syscall(SYS_memfd_create, "fell", 1u);
	if (shared < 0 || ftruncate(shared, sizeof *g->sh) == -1 ||
	    pipe2(life, O_CLOEXEC | O_NONBLOCK) == -1)
		return false;
	g->sh = mmap(NULL, sizeof *g->sh, PROT_READ | PROT_WRITE, MAP_SHARED,
	    shared, 0);
	if (g->sh == MAP_FAILED)
		return false;
	g->life = life[0];
	grove_flags(g, f->how);
	spawn(f, shared, life[1]);
	g->shim = child_shim(f->child);
	g->sh->leader = child_pid(f->child);
	g->sh->shim_up = 1;
	if (!grove_ready(g))
		return false;
	close(shared);
	close(life[1]);
	return true;
}

_Noreturn void
fell_grow(char **argv)
{
	int	 shared = open(argv[0], O_RDWR | O_CLOEXEC), shape;
	uint32_t n;

	for (shape = 0; shape < GROVE_SHAPES; shape++)
		if (strcmp(grove_names[shape], argv[2]) == 0)
			break;
	if (open(argv[1], O_WRONLY) < 0 || shared < 0 ||
	    shape == GROVE_SHAPES || str_to_u32(argv[3], 100000, &n) < 0)
		fell_die("grow");
	grove_sh = mmap(NULL, sizeof *grove_sh, PROT_READ | PROT_WRITE,
	    MAP_SHARED, shared, 0);
	if (grove_sh == MAP_FAILED)
		fell_die("mmap");
	grove_root((enum grove_shape)shape, (int)n);
}

void
fell_shim_scope(const struct fell *f, struct tree_scope *scope)
{
	*scope = (struct tree_scope){ .shim = f->g.shim };
	if (f->shim == NULL)
		return;
	scope->shim = child_shim(f->child);
	scope->emptied = f->emptied && !f->unsure;
	scope->mark = f->mark;
	scope->reap = f->reap;
	if (child_alive(f->child))
		scope->leader = f->g.leader;
}

void
fell_shim_lose(struct fell *f, uint64_t within_us)
{
	int	fd = (int)syscall(SYS_pidfd_open, f->g.shim, 0);

	if (fd < 0)
		fell_die("the shim's pidfd");
	if (fork() == 0) {
		usleep((useconds_t)((uint64_t)rand() % (within_us + 1)));
		syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
		_exit(0);
	}
	close(fd);
}

void
fell_shim_end(struct fell *f)
{
	int	r;

	turn_until(f, &f->exited, "the program is not collected");
	turn_until(f, &f->emptied, "the shim is not collected");
	child_destroy(f->child);
	f->child = NULL;
	if ((r = cgjob_close(&f->cg)) < 0) {
		errno = -r;
		fell_die("the control group stays");
	}
}

void
fell_shim_probe(struct fell *f)
{
	int	r;

	if (!f->cgroup)
		return;
	r = cgjob_probe("", f->cg_home, sizeof f->cg_home);
	if (r == 0)
		return;
	fprintf(stderr, "fell: no control groups of our own: %s\n",
	    strerror(-r));
	exit(FELL_SKIP);
}
