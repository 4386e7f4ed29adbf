#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "proc/tree_impl.h"
#include "proc/treekill.h"
#include "tests/unit/failmalloc.h"
#include "tests/unit/grove.h"
#include "tests/unit/spin.h"

/* One tree, its kill, and what came of it. */
struct felling {
	struct spin	 s;
	struct grove	 g;
	struct treekill	*kill;
	struct treekill_spec spec;
	struct treekill_result result;
	bool		 done, dead_when_done;
	unsigned	 calls;
	uint64_t	 from_ms, took_ms;
	struct tree_sys	 sys;
	pid_t		 denied;		/* refuses signals */
	bool		 deaf;			/* all of them get none */
	bool		 hung;			/* and are in state D */
	int		 open_error;
	pid_t		 killed[32];		/* groups, SIGKILL was sent to */
	size_t		 nkilled;
	unsigned	 alone;			/* told by number though in one */
	pid_t		 order[512], up[512];	/* who was told, his parent */
	size_t		 norder;
	struct loop_timer later;
	struct reap_entry shim;
};

static uint64_t
now_ms(void)
{
	return loop_clock_us() / 1000;
}

static void
on_done(void *arg, const struct treekill_result *r)
{
	struct felling	*f = arg;

	f->result = *r;
	f->dead_when_done = grove_all_dead(&f->g);
	f->took_ms = now_ms() - f->from_ms;
	f->done = true;
	f->calls++;
	f->kill = NULL;
	spin_wake(&f->s);
}

/* -- the kernel, as asked for --------------------------------------------- */

static int
fake_open(void *arg, pid_t pid)
{
	struct felling	*f = arg;

	return f->open_error != 0 ? f->open_error : tree_kernel.open(NULL, pid);
}

static int
fake_send(void *arg, int pidfd, int signo, unsigned flags)
{
	struct felling	*f = arg;

	if (signo != 0 && (f->deaf || flags != 0))
		return f->deaf ? 0 : -EINVAL;
	/* Who it is shows in step(), right before. */
	if (signo != 0 && f->denied != 0 &&
	    f->order[f->norder - 1] == f->denied)
		return -EPERM;
	return tree_kernel.send(NULL, pidfd, signo, flags);
}

/* A number may be somebody else's as soon as its group got SIGKILL. */
static void
note_kill(struct felling *f, pid_t pid)
{
	size_t	i;

	if (pid < 0 && f->nkilled < ARRAY_LEN(f->killed))
		f->killed[f->nkilled++] = -pid;
	for (i = 0; pid > 0 && i < f->nkilled; i++)
		f->alone += getpgid(pid) == f->killed[i];
}

static int
fake_kill(void *arg, pid_t pid, int signo)
{
	struct felling	*f = arg;

	if (signo == SIGKILL)
		note_kill(f, pid);
	assert_true(pid > 1 || pid < -1);
	assert_true(pid != getpid() && pid != f->g.shim);
	if (f->deaf || (f->denied != 0 && pid < 0))
		return 0;
	return pid == f->denied ? -EPERM : tree_kernel.kill(NULL, pid, signo);
}

static int
fake_stat(void *arg, const char *root, pid_t pid, struct procfs_stat *out)
{
	struct felling	*f = arg;
	int		 r = procfs_stat(root, pid, out);

	if (r == 0 && f->hung && pid != f->g.shim && !procfs_dead(out))
		out->state = 'D';
	return r;
}

static void
fake_step(void *arg, enum tree_step step, pid_t pid)
{
	struct felling		*f = arg;
	struct procfs_stat	 st = { 0 };

	if (step != TREE_SIGNALLING)
		return;
	if (f->norder == ARRAY_LEN(f->order))
		f->norder = 0;
	procfs_stat("", pid, &st);
	f->up[f->norder] = st.ppid;
	f->order[f->norder++] = pid;
}

static void
plant_some(struct felling *f, enum grove_shape shape, int n, unsigned how)
{
	memset(f, 0, sizeof *f);
	spin_init(&f->s, true);
	assert_true(grove_begin(&f->g, shape, n, how));
	if ((how & GROVE_HOLD) == 0)
		assert_true(grove_ready(&f->g));
	f->spec = (struct treekill_spec){ .grace_ms = 4 * TREEKILL_GRACE_MS,
	    .cgroup = -1, .cgroup_events = -1,
	    .scope = { .shim = f->g.shim, .sys = &f->sys } };
	f->sys = (struct tree_sys){ "", fake_open, fake_send, fake_kill,
	    fake_stat, fake_step, f,
	    UINT64_MAX / 2 };
}

static void
plant(struct felling *f, enum grove_shape shape, int n)
{
	plant_some(f, shape, n, 0);
}

static void
start(struct felling *f)
{
	f->from_ms = now_ms();
	assert_int_equal(treekill_start(&f->kill, f->s.loop, &f->spec, on_done,
	    f), 0);
	assert_false(f->done);
}

static bool
nobody_left(void *arg)
{
	siginfo_t	si;

	(void)arg;
	return waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == -1 &&
	    errno == ECHILD;
}

/* Everybody is collected, zombies as well. */
static void
clear(struct felling *f)
{
	assert_int_equal(f->calls, 1);
	spin_poll(&f->s, nobody_left, NULL);
	grove_finish(&f->g);
	spin_finish(&f->s);
}

/* Dead at the moment of done(), not some time later. */
static void
fell(struct felling *f)
{
	start(f);
	spin_until(&f->s, &f->done);
	assert_true(f->dead_when_done);
	assert_int_equal(f->result.nsurvivors, 0);
	assert_int_equal(f->result.denied, 0);
}

struct shape {
	enum grove_shape shape;
	int	 n;
	uint32_t grace;
	enum treekill_phase phase;
};

static void
a_shape_is_gone_when_done(void **state)
{
	const struct shape	*s = *state;
	struct felling		 f;

	plant(&f, s->shape, s->n);
	f.spec.grace_ms = s->grace;
	f.spec.scope.sys = NULL;		/* the real one */
	fell(&f);
	if (s->phase != TREEKILL_NONE)
		assert_int_equal(f.result.phase, s->phase);
	if (s->shape == GROVE_STOPPED)		/* they saw SIGTERM */
		assert_int_equal(f.g.sh->termed, s->n);
	clear(&f);
}

/* -- in turn -------------------------------------------------------------- */

static void
T7_K1_leaves_are_told_first(void **state)
{
	struct felling	f;
	size_t		i, j;

	(void)state;
	plant(&f, GROVE_FAN, 2);
	start(&f);
	assert_int_equal(f.norder, 91);		/* nobody is stopped */
	for (i = 0; i < 91; i++)
		for (j = 0; j < i; j++)
			assert_int_not_equal(f.order[j], f.up[i]);
	for (i = 0; i < f.norder; i++) {	/* K11 */
		assert_true(f.order[i] > 1);
		assert_int_not_equal(f.order[i], getpid());
		assert_int_not_equal(f.order[i], f.g.shim);
	}
	spin_until(&f.s, &f.done);
	assert_true(f.dead_when_done);
	assert_int_equal(f.result.told, 91);
	clear(&f);
}

static void
K3_a_root_that_dies_at_once_leaves_the_others_their_grace(void **state)
{
	struct felling	f;

	(void)state;
	plant(&f, GROVE_SLOW, 4);
	fell(&f);
	assert_int_equal(f.result.phase, TREEKILL_TERM);
	assert_int_equal(f.g.sh->termed, 4);
	clear(&f);
}

static void
K4_without_pidfds_it_takes_a_tick(void **state)
{
	static const struct shape	shapes[] = {
		{ GROVE_FLAT, 5, 20000, TREEKILL_TERM },
		{ GROVE_DAEMONS, 5, 20000, TREEKILL_TERM },
		{ GROVE_STUBBORN, 5, 50, TREEKILL_KILL },
		{ GROVE_MAIN_GONE, 5, 20000, TREEKILL_TERM },
	};
	struct felling			f;
	size_t				i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(shapes); i++) {
		plant(&f, shapes[i].shape, shapes[i].n);
		f.open_error = i % 2 == 0 ? -ENOSYS : -EPERM;
		f.spec.grace_ms = shapes[i].grace;
		fell(&f);
		assert_int_equal(f.result.phase, shapes[i].phase);
		assert_int_equal(f.alone, 0);
		assert_true(f.nkilled > 0 || f.result.phase == TREEKILL_TERM);
		clear(&f);
	}
}

static void
K5_K6_who_is_forked_during_the_grace_is_found(void **state)
{
	struct felling	f;

	(void)state;
	plant_some(&f, GROVE_STUBBORN, 3, GROVE_SPROUT);
	f.spec.grace_ms = 50;
	fell(&f);
	assert_int_equal(f.result.phase, TREEKILL_KILL);
	clear(&f);
}

static void
K7_K10_N11_who_hangs_in_the_kernel_is_named(void **state)
{
	struct felling	f;
	size_t		i;

	(void)state;
	plant(&f, GROVE_FLAT, 2);
	f.deaf = f.hung = true;
	f.spec.grace_ms = 0;
	start(&f);
	spin_until(&f.s, &f.done);
	assert_false(f.dead_when_done);
	assert_int_equal(f.result.phase, TREEKILL_KILL);
	assert_int_equal(f.result.nsurvivors, 3);
	for (i = 0; i < 3; i++) {
		assert_int_equal(f.result.survivor[i].state, 'D');
		assert_false(f.result.survivor[i].denied);
		assert_int_equal(treekill_why(&f.result.survivor[i])[6], 'D');
		assert_true(f.result.survivor[i].pid > 1);
		assert_true(f.result.survivor[i].name[0] != '\0');
	}
	assert_true(f.took_ms + 100 >= TREEKILL_SETTLE_MS);
	assert_true(treekill_now(&(struct tree_scope){ .shim = f.g.shim },
	    -1) == 3);
	clear(&f);
}

static void
K8_a_zombie_that_nobody_collects_is_dead(void **state)
{
	struct felling	f;

	(void)state;
	plant(&f, GROVE_FLAT, 3);
	kill(f.g.shim, SIGSTOP);
	fell(&f);
	kill(f.g.shim, SIGCONT);
	clear(&f);
}

static void
K12_who_refuses_is_reported_and_the_others_die(void **state)
{
	struct felling	f;

	(void)state;
	plant(&f, GROVE_FLAT, 3);
	f.denied = f.spec.scope.leader = f.g.leader;
	f.spec.grace_ms = 50;
	start(&f);
	spin_until(&f.s, &f.done);
	assert_int_equal(f.result.denied, 1);
	assert_int_equal(f.result.nsurvivors, 1);
	assert_int_equal(f.result.survivor[0].pid, f.g.leader);
	assert_true(f.result.survivor[0].denied && f.result.root_denied);
	assert_string_equal(treekill_why(&f.result.survivor[0]),
	    "not permitted");
	assert_int_equal(grove_count(&f.g), 1);
	assert_true(f.took_ms < TREEKILL_SETTLE_MS);
	kill(f.g.leader, SIGKILL);
	clear(&f);
}

static void
K14_a_shorter_grace_shortens_a_longer_one_doesnt(void **state)
{
	struct felling	f;

	(void)state;
	plant(&f, GROVE_STUBBORN, 2);
	f.spec.grace_ms = 3600000;
	start(&f);
	treekill_hasten(f.kill, 20);
	treekill_hasten(f.kill, 3600000);
	spin_until(&f.s, &f.done);
	assert_true(f.dead_when_done);
	assert_int_equal(f.result.phase, TREEKILL_KILL);
	clear(&f);
}

static void
K15_one_signal_once_to_whom_it_is_for(void **state)
{
	struct tree_scope	 scope;
	struct felling		 f;

	(void)state;
	plant(&f, GROVE_SETSID, 3);
	scope = (struct tree_scope){ .shim = f.g.shim };
	assert_int_equal(treekill_signal(&scope, f.g.leader, TREEKILL_TREE, 0),
	    -EINVAL);
	assert_int_equal(treekill_signal(&scope, f.g.leader, TREEKILL_TREE,
	    65), -EINVAL);
	assert_int_equal(treekill_signal(&scope, f.g.leader, TREEKILL_TREE,
	    -1), -EINVAL);
	assert_int_equal(treekill_signal(&scope, f.g.leader, TREEKILL_TREE,
	    SIGCONT), 4);
	assert_int_equal(treekill_signal(&scope, f.g.leader, TREEKILL_ROOT,
	    SIGCONT), 1);
	assert_int_equal(treekill_signal(&scope, f.g.leader, TREEKILL_GROUP,
	    SIGCONT), 1);
	assert_int_equal(treekill_signal(&scope, 0, TREEKILL_ROOT, SIGCONT),
	    -ESRCH);
	assert_int_equal(treekill_signal(&scope, getpid(), TREEKILL_ROOT,
	    SIGKILL), -ESRCH);
	assert_int_equal(treekill_signal(&scope, getpgrp(), TREEKILL_GROUP,
	    SIGKILL), -ESRCH);
	assert_int_equal(grove_count(&f.g), 4);
	fell(&f);
	assert_int_equal(treekill_signal(&scope, f.g.leader, TREEKILL_TREE,
	    64), -ESRCH);
	clear(&f);
}

/* -- the shim ------------------------------------------------------------- */

static void
release_hold(void *arg)
{
	struct felling	*f = arg;

	f->g.sh->hold = false;
}

static void
N14_a_kill_before_the_program_is_there_waits_for_it(void **state)
{
	struct felling	f;

	(void)state;
	plant_some(&f, GROVE_STUBBORN, 2, GROVE_HOLD);
	f.spec.grace_ms = 200;
	f.later.fn = release_hold;
	f.later.arg = &f;
	loop_timer_set(f.s.loop, &f.later, loop_now(f.s.loop) + 40);
	fell(&f);
	assert_true(f.result.told > 0);
	clear(&f);
}

static void
on_shim_exit(void *arg, const struct reap_exit *e)
{
	struct felling	*f = arg;

	f->shim.reap = NULL;
	if (f->kill != NULL && !e->signaled)
		treekill_emptied(f->kill);
}

static void
watch_shim(struct felling *f)
{
	f->shim = (struct reap_entry){ .pid = f->g.shim, .fn = on_shim_exit,
	    .arg = f };
	reap_watch(f->s.reap, &f->shim);
}

static void
N15_the_shim_may_be_killed_on_the_way(void **state)
{
	static const enum grove_shape	shapes[] = {
		GROVE_MIXED, GROVE_DAEMONS, GROVE_STUBBORN
	};
	struct felling			f;
	size_t				i;
	bool				before;

	(void)state;
	for (i = 0; i < 2 * ARRAY_LEN(shapes); i++) {
		before = i % 2 == 0;
		plant_some(&f, shapes[i / 2], 6, GROVE_HOLD);
		f.spec.scope.mark = f.g.sh->mark = 42;
		f.g.sh->hold = false;
		assert_true(grove_ready(&f.g));
		watch_shim(&f);
		f.spec.scope.reap = f.s.reap;
		f.spec.grace_ms = 100;
		if (before)		/* nobody was seen below it */
			kill(f.g.shim, SIGKILL);
		start(&f);
		if (!before)
			kill(f.g.shim, SIGKILL);
		spin_until(&f.s, &f.done);
		assert_true(f.dead_when_done);
		/* Polite ones may have left it no time to be killed. */
		assert_true(f.result.unsure ||
		    (!before && shapes[i / 2] == GROVE_DAEMONS));
		assert_int_equal(f.result.nsurvivors, 0);
		clear(&f);
	}
}

static void
a_shim_that_was_killed_before_it_had_anybody(void **state)
{
	struct felling	f;

	(void)state;
	plant_some(&f, GROVE_FLAT, 0, GROVE_HOLD);
	kill(f.g.shim, SIGKILL);
	watch_shim(&f);
	fell(&f);
	assert_int_equal(f.result.phase, TREEKILL_NONE);
	assert_int_equal(f.result.told, 0);
	assert_true(f.result.unsure);
	clear(&f);
}

/* What the shim says is the last word: no look at anybody's processes. */
static void
a_shim_that_ends_by_itself_ends_the_kill(void **state)
{
	struct felling	f;
	pid_t		stranger;

	(void)state;
	plant(&f, GROVE_STUBBORN, 2);
	if ((stranger = fork()) == 0) {
		setrlimit(RLIMIT_LOCKS, &(struct rlimit){ 42, 42 });
		alarm(GROVE_LIFE_S);
		for (;;)
			pause();
	}
	watch_shim(&f);
	f.spec.scope.mark = 42;
	start(&f);
	killpg(f.g.leader, SIGKILL);
	spin_until(&f.s, &f.done);
	assert_true(f.dead_when_done);
	assert_false(f.result.unsure);
	assert_int_equal(f.result.nsurvivors, 0);
	assert_int_equal(kill(stranger, SIGKILL), 0);
	assert_int_equal(waitpid(stranger, NULL, 0), stranger);
	clear(&f);
}

/* -- the rest ------------------------------------------------------------- */

static bool
all_dead(void *arg)
{
	return grove_all_dead(arg);
}

static void
B2_now_means_without_waiting(void **state)
{
	static const struct shape	shapes[] = {
		{ GROVE_FAN, 2, 0, 0 }, { GROVE_STUBBORN, 5, 0, 0 },
		{ GROVE_BUSY, 5, 0, 0 }, { GROVE_STOPPED, 5, 0, 0 }
	};
	struct felling			f;
	size_t				i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(shapes); i++) {
		plant(&f, shapes[i].shape, shapes[i].n);
		assert_true(treekill_now(&f.spec.scope, -1) >=
		    (unsigned)shapes[i].n);
		spin_poll(&f.s, all_dead, &f.g);
		f.calls = 1;			/* as clear() wants it */
		clear(&f);
	}
}

static void
an_abandoned_kill_tells_nobody_anything(void **state)
{
	struct felling	f;
	size_t		told;

	(void)state;
	plant(&f, GROVE_STUBBORN, 3);
	f.spec.grace_ms = 20;
	start(&f);
	told = f.norder;
	treekill_abandon(f.kill);
	treekill_abandon(NULL);
	loop_timer_set(f.s.loop, &f.s.poll, loop_now(f.s.loop) + 60);
	loop_run(f.s.loop);
	assert_int_equal(f.norder, told);
	assert_int_equal(f.calls, 0);
	assert_int_equal(grove_count(&f.g), 4);
	f.spec.grace_ms = 0;
	fell(&f);
	clear(&f);
}

/* An unlinked file with that text. */
static int
some_file(const char *text)
{
	char	path[] = "/tmp/test_treekill." "XX" "XX" "XX";
	int	fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static void
the_group_of_the_job_is_killed_when_force_is_needed(void **state)
{
	struct felling	f;
	char		c = 0;
	int		fd = some_file("");

	(void)state;
	plant(&f, GROVE_FLAT, 2);
	f.spec.cgroup = fd;
	fell(&f);
	assert_int_equal(pread(fd, &c, 1, 0), 0);
	clear(&f);
	plant(&f, GROVE_STUBBORN, 2);
	f.spec.cgroup = fd;
	f.spec.grace_ms = 10;
	fell(&f);
	assert_int_equal(pread(fd, &c, 1, 0), 1);
	assert_int_equal(c, '1');
	clear(&f);
	close(fd);
}

static void
group_empties(void *arg)
{
	struct felling	*f = arg;

	(void)!pwrite(f->spec.cgroup_events, "populated 0\n", 12, 0);
}

/* He is where no walk finds him, but in the group he is in. */
static void
who_hides_in_the_group_of_the_job_dies_with_it(void **state)
{
	struct felling	f;
	char		c = 0;

	(void)state;
	plant(&f, GROVE_FLAT, 2);
	f.spec.cgroup = some_file("");
	f.spec.cgroup_events = some_file("populated 1\nfrozen 0\n");
	f.later.fn = group_empties;
	f.later.arg = &f;
	loop_timer_set(f.s.loop, &f.later, loop_now(f.s.loop) + 100);
	fell(&f);
	assert_int_equal(pread(f.spec.cgroup_events, &c, 1, 10), 1);
	assert_int_equal(c, '0');		/* it waited for that */
	assert_int_equal(pread(f.spec.cgroup, &c, 1, 0), 1);
	assert_int_equal(f.result.phase, TREEKILL_KILL);
	close(f.spec.cgroup);
	close(f.spec.cgroup_events);
	clear(&f);
}

static void
no_memory_makes_it_slower_not_wrong(void **state)
{
	struct felling	f;
	unsigned	i;
	bool		failed = true;
	int		r;

	(void)state;
	for (i = 1; failed; i += 3) {
		plant(&f, GROVE_DAEMONS, 4);
		f.spec.grace_ms = 100;
		failmalloc_arm(i);
		r = treekill_start(&f.kill, f.s.loop, &f.spec, on_done, &f);
		if (r == 0)
			spin_until(&f.s, &f.done);
		failed = failmalloc_disarm();
		if (r == -ENOMEM) {
			assert_int_equal(i, 1);
			f.spec.grace_ms = 0;
			fell(&f);
		}
		assert_true(f.dead_when_done);
		clear(&f);
	}
}

#define SHAPE(title, what, how_many, ms, last)				\
	{ title, a_shape_is_gone_when_done, NULL, NULL,			\
	    &(struct shape){ what, how_many, ms, last } }

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		SHAPE("flat", GROVE_FLAT, 20, 20000, TREEKILL_TERM),
		SHAPE("N10_chain", GROVE_CHAIN, 100, 20000, TREEKILL_TERM),
		SHAPE("N10_fan_out", GROVE_FLAT, 200, 20000, TREEKILL_TERM),
		SHAPE("fan", GROVE_FAN, 2, 20000, TREEKILL_TERM),
		SHAPE("T1_N1_threads", GROVE_THREADS, 4, 20000, TREEKILL_TERM),
		SHAPE("T10_setsid", GROVE_SETSID, 5, 20000, TREEKILL_TERM),
		SHAPE("T11_N2_N4_daemons", GROVE_DAEMONS, 3, 20000,
		    TREEKILL_TERM),
		SHAPE("T9_N3_root_gone", GROVE_ROOT_GONE, 3, 20000,
		    TREEKILL_TERM),
		SHAPE("N5_term_forks", GROVE_TERM_FORKS, 5, 20000,
		    TREEKILL_TERM),
		SHAPE("N6_fork_chain", GROVE_FORK_CHAIN, 20000, 0,
		    TREEKILL_NONE),
		SHAPE("N6_fork_chain_asked", GROVE_FORK_CHAIN, 20000, 300,
		    TREEKILL_NONE),
		SHAPE("K9_N8_stopped", GROVE_STOPPED, 5, 20000, TREEKILL_TERM),
		SHAPE("K1_K5_stubborn", GROVE_STUBBORN, 5, 100, TREEKILL_KILL),
		SHAPE("K2_no_grace", GROVE_STUBBORN, 5, 0, TREEKILL_KILL),
		SHAPE("busy", GROVE_BUSY, 5, 200, TREEKILL_NONE),
		SHAPE("first_threads_gone", GROVE_MAIN_GONE, 5, 20000,
		    TREEKILL_TERM),
		cmocka_unit_test(T7_K1_leaves_are_told_first),
		cmocka_unit_test(
		    K3_a_root_that_dies_at_once_leaves_the_others_their_grace),
		cmocka_unit_test(K4_without_pidfds_it_takes_a_tick),
		cmocka_unit_test(K5_K6_who_is_forked_during_the_grace_is_found),
		cmocka_unit_test(K7_K10_N11_who_hangs_in_the_kernel_is_named),
		cmocka_unit_test(K8_a_zombie_that_nobody_collects_is_dead),
		cmocka_unit_test(
		    K12_who_refuses_is_reported_and_the_others_die),
		cmocka_unit_test(
		    K14_a_shorter_grace_shortens_a_longer_one_doesnt),
		cmocka_unit_test(K15_one_signal_once_to_whom_it_is_for),
		cmocka_unit_test(
		    N14_a_kill_before_the_program_is_there_waits_for_it),
		cmocka_unit_test(N15_the_shim_may_be_killed_on_the_way),
		cmocka_unit_test(a_shim_that_was_killed_before_it_had_anybody),
		cmocka_unit_test(a_shim_that_ends_by_itself_ends_the_kill),
		cmocka_unit_test(B2_now_means_without_waiting),
		cmocka_unit_test(an_abandoned_kill_tells_nobody_anything),
		cmocka_unit_test(
		    the_group_of_the_job_is_killed_when_force_is_needed),
		cmocka_unit_test(
		    who_hides_in_the_group_of_the_job_dies_with_it),
		cmocka_unit_test(no_memory_makes_it_slower_not_wrong),
	};

	signal(SIGALRM, SIG_DFL);
	reap_become_subreaper();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
