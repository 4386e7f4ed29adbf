#include <errno.h>

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
};

static uint64_t
now_ms(void)
{
	struct timespec	ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
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

static void
plant(struct felling *f, enum grove_shape shape, int n)
{
	memset(f, 0, sizeof *f);
	spin_init(&f->s, true);
	assert_true(grove_start(&f->g, shape, n));
	f->spec = (struct treekill_spec){ .grace_ms = TREEKILL_GRACE_MS,
	    .cgroup = -1, .scope.shim = f->g.shim };
	f->sys = tree_kernel;
	f->sys.arg = f;
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
	fell(&f);
	if (s->phase != TREEKILL_NONE)
		assert_int_equal(f.result.phase, s->phase);
	print_message("%s %d: %u ms, told %u\n", grove_names[s->shape], s->n,
	    (unsigned)f.took_ms, f.result.told);
	clear(&f);
}

#define SHAPE(title, what, how_many, ms, last)				\
	{ title, a_shape_is_gone_when_done, NULL, NULL,			\
	    &(struct shape){ what, how_many, ms, last } }

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		SHAPE("K1_flat", GROVE_FLAT, 20, 5000, TREEKILL_TERM),
		SHAPE("chain", GROVE_CHAIN, 100, 20000,
		    TREEKILL_TERM),
		SHAPE("fan_out", GROVE_FLAT, 200, 20000,
		    TREEKILL_TERM),
		SHAPE("fan_of_91", GROVE_FAN, 2, 20000, TREEKILL_TERM),
		SHAPE("T1_N1_threads", GROVE_THREADS, 4, 5000, TREEKILL_TERM),
		SHAPE("T10_setsid", GROVE_SETSID, 5, 5000, TREEKILL_TERM),
		SHAPE("T11_N2_daemons", GROVE_DAEMONS, 3, 5000, TREEKILL_TERM),
		SHAPE("T9_N3_root_gone", GROVE_ROOT_GONE, 3, 5000,
		    TREEKILL_TERM),
		SHAPE("N5_term_forks", GROVE_TERM_FORKS, 5, 5000,
		    TREEKILL_TERM),
		SHAPE("N6_fork_chain", GROVE_FORK_CHAIN, 20000, 0,
		    TREEKILL_NONE),
		SHAPE("N6_fork_chain asked", GROVE_FORK_CHAIN, 20000, 5000,
		    TREEKILL_NONE),
		SHAPE("K9_stopped", GROVE_STOPPED, 5, 20000, TREEKILL_TERM),
		SHAPE("K5_stubborn", GROVE_STUBBORN, 5, 100, TREEKILL_KILL),
		SHAPE("busy", GROVE_BUSY, 5, 200, TREEKILL_NONE),
		SHAPE("main_gone", GROVE_MAIN_GONE, 5, 5000, TREEKILL_TERM),
	};

	signal(SIGALRM, SIG_DFL);
	reap_become_subreaper();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
