/* tree: the walk through a /proc that is made up. */
#include <sys/resource.h>
#include <sys/stat.h>

#include "proc/reap.h"
#include "proc/treekill.h"
#include "tests/unit/fixture.h"
#include "tests/unit/spin.h"
#include "tests/unit/tree_world.h"

#define DEPTH		10000
#define HEAP		20000
#define STRANGERS	2000
#define LOOK_FOR_MS	300

static void
make_root(struct world *w)
{
	static const char	template[] = "/tmp/test_tree." "XX" "XX" "XX";
	char			path[2 * PATH_LEN];

	memcpy(w->root, template, sizeof template);
	assert_non_null(mkdtemp(w->root));
	snprintf(path, sizeof path, "%s/proc", w->root);
	assert_int_equal(mkdir(path, 0700), 0);
	w->sys.root = w->root;
}

/* kids NULL: a kernel that doesn't tell. */
static void
put_process(const struct world *w, pid_t pid, const char *kids)
{
	char	name[64];

	if (kids != NULL) {
		snprintf(name, sizeof name, "/proc/%d/task/%d/children",
		    (int)pid, (int)pid);
		fixture_put(w->root, name, kids, strlen(kids));
		return;
	}
	snprintf(name, sizeof name, "/proc/%d/task/%d/comm", (int)pid,
	    (int)pid);
	fixture_put(w->root, name, "", 0);
}

static void
T2_without_children_files_the_same_ones_are_found(void **state)
{
	struct world	w;
	int		j;

	(void)state;
	plant(&w, GROVE_FAN, 2);
	make_root(&w);
	put_process(&w, w.g.shim, NULL);
	for (j = 0; j < w.g.sh->npids; j++)
		put_process(&w, w.g.sh->pid[j], NULL);
	put_process(&w, 1, NULL);
	put_process(&w, getpid(), NULL);
	assert_int_equal(walk(&w), 91);
	for (j = 0; j < w.g.sh->npids; j++)
		assert_true(has(&w, w.g.sh->pid[j]));
	assert_int_equal(w.t.member[90].stat.pid, w.g.leader);
	assert_int_equal(fixture_remove(w.root), 0);
	clear(&w);
}

/* Number n hangs below n - 1; the first one below the shim. */
static int
chain_stat(void *arg, const char *root, pid_t pid, struct procfs_stat *out)
{
	struct world	*w = arg;

	(void)root;
	if (pid == w->g.shim || pid == getpid())
		return procfs_stat("", pid, out);
	*out = (struct procfs_stat){ .pid = pid, .state = 'S', .threads = 1,
	    .start = (uint64_t)pid,
	    .ppid = pid == w->whose ? w->g.shim : pid - 1 };
	return 0;
}

static void
T6_depth_10000_is_no_deeper_than_any_other(void **state)
{
	struct rlimit	small = { 256 * 1024, 0 }, old;
	struct world	w;
	char		path[2 * PATH_LEN];
	int		i;

	(void)state;
	plant(&w, GROVE_FLAT, 1);
	make_root(&w);
	put_process(&w, w.g.shim, NULL);
	w.whose = 1000000;
	w.sys.stat = chain_stat;
	w.open_error = -ENOSYS;
	for (i = 0; i < DEPTH; i++) {
		snprintf(path, sizeof path, "%s/proc/%d", w.root,
		    w.whose + i);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	getrlimit(RLIMIT_STACK, &old);
	small.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_STACK, &small);
	assert_int_equal(walk(&w), DEPTH);
	setrlimit(RLIMIT_STACK, &old);
	for (i = 0; i < DEPTH; i++)
		assert_int_equal(w.t.member[i].stat.pid,
		    w.whose + DEPTH - 1 - i);
	assert_int_equal(fixture_remove(w.root), 0);
	clear(&w);
}

static void
T6_a_circle_is_walked_once(void **state)
{
	struct world	w;
	char		kids[64];

	(void)state;
	plant(&w, GROVE_FLAT, 1);
	make_root(&w);
	w.whose = 1000000;
	w.sys.stat = chain_stat;
	w.open_error = -ENOSYS;
	snprintf(kids, sizeof kids, "1000000 1000000 1000001 %d 1 %d",
	    (int)w.g.shim, (int)getpid());
	put_process(&w, w.g.shim, kids);
	put_process(&w, 1000000, "1000001 1000000 1000001");
	put_process(&w, 1000001, "1000000 1000002");
	put_process(&w, 1000002, "1000001 1000002");
	assert_int_equal(walk(&w), 3);
	assert_int_equal(fixture_remove(w.root), 0);
	clear(&w);
}

/* A heap of zombies with somebody alive at either end of it. */
static int
heap_stat(void *arg, const char *root, pid_t pid, struct procfs_stat *out)
{
	struct world	*w = arg;

	(void)root;
	if (pid == w->g.shim || pid == getpid())
		return procfs_stat("", pid, out);
	*out = (struct procfs_stat){ .pid = pid, .state = 'Z', .threads = 1,
	    .start = (uint64_t)pid, .ppid = w->g.shim };
	if (pid == w->whose || pid == w->whose + HEAP - 1)
		out->state = 'S';
	return 0;
}

static void
a_walk_through_a_heap_of_zombies_is_cut_short(void **state)
{
	static char	kids[HEAP * 8 + 1];
	struct world	w;
	size_t		n = 0;
	int		i;

	(void)state;
	plant(&w, GROVE_FLAT, 1);
	make_root(&w);
	w.whose = 1000000;
	w.sys.stat = heap_stat;
	w.sys.patience_us = 0;
	w.open_error = -ENOSYS;
	for (i = 0; i < HEAP; i++)
		n += (size_t)snprintf(kids + n, sizeof kids - n, "%d ",
		    w.whose + i);
	put_process(&w, w.g.shim, kids);
	assert_int_equal(walk(&w), -ETIME);
	assert_true(w.t.changes > 0 && w.t.n < HEAP / 2);
	assert_true(has(&w, w.whose));
	assert_false(has(&w, w.whose + HEAP - 1));
	assert_int_equal(walk(&w), -ETIME);
	assert_true(has(&w, w.whose + HEAP - 1));
	assert_int_equal(w.t.live, 2);
	assert_int_equal(fixture_remove(w.root), 0);
	clear(&w);
}

/* He may have left somebody: only a second look tells. */
static void
K6_an_unknown_zombie_is_a_change_once(void **state)
{
	struct world	w;

	(void)state;
	plant(&w, GROVE_FLAT, 1);
	make_root(&w);
	w.whose = 1000000;
	w.sys.stat = heap_stat;
	w.open_error = -ENOSYS;
	put_process(&w, w.g.shim, "1000001");
	assert_int_equal(walk(&w), 1);
	assert_int_equal(w.t.live, 0);
	assert_int_equal(w.t.changes, 1);
	assert_int_equal(walk(&w), 0);
	assert_int_equal(w.t.changes, 0);
	assert_int_equal(fixture_remove(w.root), 0);
	clear(&w);
}

/* -- many others ----------------------------------------------------------- */

/* Children of ours, of other jobs. */
static int
stranger_stat(void *arg, const char *root, pid_t pid, struct procfs_stat *out)
{
	(void)arg;
	(void)root;
	*out = (struct procfs_stat){ .pid = pid, .state = 'S', .threads = 1,
	    .start = (uint64_t)pid, .ppid = getpid() };
	return 0;
}

static void
is_counted(struct world *w)
{
	(void)w;
}

static void
nobody_is_done(void *arg, const struct treekill_result *r)
{
	(void)arg;
	(void)r;
	fail();
}

static bool
is_over(void *arg)
{
	return loop_clock_us() >= *(uint64_t *)arg;
}

/* A walk per turn, for the whole grace, would leave nothing to the others. */
static void
a_walk_that_gets_lost_among_others_is_not_repeated_at_once(void **state)
{
	static char		kids[STRANGERS * 8 + 1];
	struct treekill_spec	spec = { .grace_ms = 60000, .cgroup = -1,
				    .cgroup_events = -1 };
	struct treekill		*k;
	uint64_t		end;
	struct world		w;
	struct spin		s;
	size_t			n = 0;
	int			i;

	(void)state;
	plant(&w, GROVE_FLAT, 1);
	make_root(&w);
	spin_init(&s, true);
	w.sys.stat = stranger_stat;
	w.sys.patience_us = 0;
	w.open_error = -ENOSYS;
	w.when = TREE_LISTED;
	w.whose = getpid();
	w.happens = is_counted;
	for (i = 0; i < STRANGERS; i++)
		n += (size_t)snprintf(kids + n, sizeof kids - n, "%d ",
		    1000000 + i);
	put_process(&w, getpid(), kids);
	w.scope.shim = 0;
	w.scope.mark = 42;
	assert_int_equal(walk(&w), -ETIME);
	assert_true(w.t.cut && w.t.live == 0 && w.t.changes > 0);
	tree_finish(&w.t);
	spec.scope = w.scope;
	w.happened = 0;
	end = loop_clock_us() + LOOK_FOR_MS * 1000;
	assert_int_equal(treekill_start(&k, s.loop, &spec, nobody_is_done,
	    NULL), 0);
	spin_poll(&s, is_over, &end);
	print_message("%u walks in %d ms\n", w.happened, LOOK_FOR_MS);
	/* A busy machine makes it fewer. */
	assert_true(w.happened >= 1 && w.happened <= LOOK_FOR_MS / 7);
	treekill_abandon(k);
	spin_finish(&s);
	assert_int_equal(fixture_remove(w.root), 0);
	clear(&w);
}

/* -- many groups ----------------------------------------------------------- */

/* Everybody lives, below the shim, in a group: his own, or of all. */
static int
crowd_stat(void *arg, const char *root, pid_t pid, struct procfs_stat *out)
{
	struct world	*w = arg;

	(void)root;
	if (pid == w->g.shim || pid == getpid())
		return procfs_stat("", pid, out);
	*out = (struct procfs_stat){ .pid = pid, .state = 'S', .threads = 1,
	    .start = (uint64_t)pid, .ppid = w->g.shim,
	    .pgid = w->masked != 0 ? w->masked : pid,
	    .sid = w->masked != 0 ? w->masked : pid };
	return 0;
}

static int
kill_nobody(void *arg, pid_t pid, int signo)
{
	struct world	*w = arg;

	w->kills += pid < 0 && signo == SIGKILL;
	return 0;
}

/* Processor time of a forced end of HEAP members; how many groups were hit. */
static clock_t
fell_crowd(pid_t group, unsigned *groups)
{
	static char	kids[HEAP * 8 + 1];
	struct world	w;
	clock_t		took;
	size_t		n = 0;
	int		i;

	plant(&w, GROVE_FLAT, 1);
	make_root(&w);
	w.whose = 1000000;
	w.masked = group;
	w.sys.stat = crowd_stat;
	w.sys.kill = kill_nobody;
	w.open_error = -ENOSYS;
	for (i = 0; i < HEAP; i++)
		n += (size_t)snprintf(kids + n, sizeof kids - n, "%d ",
		    w.whose + i);
	put_process(&w, w.g.shim, kids);
	took = clock();
	assert_int_equal(treekill_now(&w.scope, -1), HEAP);
	took = clock() - took;
	*groups = w.kills;
	assert_int_equal(fixture_remove(w.root), 0);
	clear(&w);
	return took;
}

static void
a_group_for_each_costs_no_more_than_one_for_all(void **state)
{
	unsigned	groups;
	clock_t		one, each;

	(void)state;
	one = fell_crowd(1000000, &groups);
	assert_true(groups >= 1 && groups <= 8);
	each = fell_crowd(0, &groups);
	assert_true(groups >= HEAP);
	print_message("%d members: one group %ld us, own groups %ld us\n",
	    HEAP, (long)one, (long)each);
	assert_true(each < 3 * one);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(
		    T2_without_children_files_the_same_ones_are_found),
		cmocka_unit_test(T6_depth_10000_is_no_deeper_than_any_other),
		cmocka_unit_test(K6_an_unknown_zombie_is_a_change_once),
		cmocka_unit_test(T6_a_circle_is_walked_once),
		cmocka_unit_test(
		    a_walk_through_a_heap_of_zombies_is_cut_short),
		cmocka_unit_test(
		    a_walk_that_gets_lost_among_others_is_not_repeated_at_once),
		cmocka_unit_test(
		    a_group_for_each_costs_no_more_than_one_for_all),
	};

	reap_become_subreaper();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
