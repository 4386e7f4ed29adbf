/* tree: the walk, and what may happen between two steps of it. */
#include <sys/resource.h>

#include "base/str.h"
#include "proc/mark.h"
#include "proc/reap.h"
#include "tests/unit/failmalloc.h"
#include "tests/unit/tree_world.h"

/* -- finding -------------------------------------------------------------- */

static void
every_shape_is_found_whole(void **state)
{
	static const struct {
		enum grove_shape	shape;
		int			n;
	} shapes[] = {
		{ GROVE_FLAT, 30 },	{ GROVE_CHAIN, 60 },
		{ GROVE_FAN, 2 },	{ GROVE_THREADS, 4 },	/* T1, N1 */
		{ GROVE_SETSID, 5 },	/* T10 */
		{ GROVE_DAEMONS, 5 },	/* T11, N2 */
		{ GROVE_ROOT_GONE, 5 },	/* T9, N3 */
		{ GROVE_STOPPED, 3 },	{ GROVE_MAIN_GONE, 3 }
	};
	struct world	w;
	size_t		i;
	int		j;

	(void)state;
	for (i = 0; i < ARRAY_LEN(shapes); i++) {
		plant(&w, shapes[i].shape, shapes[i].n);
		assert_true(walk(&w) >= grove_size(shapes[i].shape,
		    shapes[i].n));
		assert_true(w.t.shim);
		assert_int_equal(w.t.live,
		    grove_size(shapes[i].shape, shapes[i].n));
		for (j = 0; j < w.g.sh->npids; j++)
			assert_true(has(&w, w.g.sh->pid[j]));
		/* Once more, and nothing is new. */
		assert_int_equal(walk(&w), 0);
		assert_int_equal(w.t.changes, 0);
		assert_false(has(&w, getpid()));
		assert_false(has(&w, w.g.shim));
		clear(&w);
	}
}

static const struct tree_member *
member_of(const struct world *w, pid_t pid)
{
	size_t	i;

	for (i = 0; i < w->t.n; i++)
		if (w->t.member[i].stat.pid == pid)
			return &w->t.member[i];
	return NULL;
}

static void
T7_children_come_before_their_parents_in_one_piece(void **state)
{
	const struct tree_member	*m, *up;
	size_t				 size[128] = { 0 }, i;
	struct world			 w;

	(void)state;
	plant(&w, GROVE_FAN, 2);
	assert_int_equal(walk(&w), 91);
	for (i = 0; i < w.t.n; i++) {
		m = &w.t.member[i];
		size[i]++;
		if ((up = member_of(&w, m->stat.ppid)) != NULL) {
			assert_true(up > m);
			/* What lies between is below the same parent. */
			size[up - w.t.member] += size[i];
		}
	}
	for (i = 0; i < w.t.n; i++)
		if ((up = member_of(&w, w.t.member[i].stat.ppid)) != NULL)
			assert_true((size_t)(up - w.t.member) - i <
			    size[up - w.t.member]);
	assert_int_equal(size[w.t.n - 1], 91);
	clear(&w);
}

/* -- races: something happens between two steps --------------------------- */

static void
he_dies(struct world *w)
{
	end_for_good(w->whose);
}

static void
T5_who_vanishes_on_the_way_is_no_error(void **state)
{
	static const enum tree_step	steps[] = { TREE_BOUND, TREE_VERIFIED };
	struct world			w;
	size_t				i;
	int				n;

	(void)state;
	for (i = 0; i < ARRAY_LEN(steps); i++) {
		plant(&w, GROVE_DAEMONS, 5);
		w.when = steps[i];
		w.whose = some_leaf(&w);
		w.happens = he_dies;
		n = walk(&w);
		assert_true(n >= 5);
		assert_int_equal(w.happened, 1);
		assert_true(w.t.changes > 0);
		w.happens = NULL;
		walk(&w);
		assert_int_equal(w.t.live, 5);
		assert_false(has(&w, w.whose));
		clear(&w);
	}
}

/* His number goes to somebody who lives elsewhere. */
static void
number_goes(struct world *w)
{
	if (w->masked == 0) {
		end_for_good(w->whose);
		w->masked = w->whose;
	}
}

static void
take_number(enum tree_step when, bool sibling, int open_error)
{
	struct world	w, other;
	pid_t		decoy;
	size_t		i;

	plant(&w, GROVE_DAEMONS, 3);
	usleep(20000);			/* a start time of its own */
	plant(&other, GROVE_FLAT, 1);
	decoy = sibling ? w.g.sh->pid[2] : other.g.leader;
	w.when = when;
	w.whose = w.g.sh->pid[1];
	if (w.whose == w.g.leader)
		w.whose = w.g.sh->pid[3];
	w.by = decoy;
	w.open_error = open_error;
	w.happens = number_goes;
	assert_true(walk(&w) >= 0);
	for (i = 0; i < w.t.n; i++)
		tree_signal(&w.t, i, SIGKILL);
	assert_true(w.happened > 0);
	/* A stranger is left alone; a sibling got it under his own number. */
	assert_true(sibling || alive(decoy));
	assert_false(has(&w, w.whose) && when < TREE_VERIFIED);
	clear(&other);
	clear(&w);
}

static void
T8_a_number_that_changes_hands_leads_to_nobody(void **state)
{
	static const enum tree_step	steps[] = {
		TREE_BOUND, TREE_VERIFIED, TREE_SIGNALLING
	};
	size_t				i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(steps); i++) {
		take_number(steps[i], false, 0);
		take_number(steps[i], false, -ENOSYS);
	}
	/* Bound, gone, and the next one has the same parent. */
	take_number(TREE_BOUND, true, 0);
}

/* Between list and bind. */
static void
T8_a_number_that_changed_hands_before_is_not_taken(void **state)
{
	struct world	w, other;

	(void)state;
	plant(&w, GROVE_DAEMONS, 3);
	plant(&other, GROVE_FLAT, 1);
	w.when = TREE_LISTED;
	w.whose = w.g.shim;
	w.happens = he_dies;
	w.masked = some_leaf(&w);
	w.by = other.g.leader;
	w.happens = NULL;
	walk(&w);
	assert_int_equal(w.t.live, 3);
	assert_false(has(&w, w.masked));
	assert_true(w.t.changes > w.t.n);
	clear(&other);
	clear(&w);
}

/* Its parent dies between list and look: the next walk finds it. */
static void
T8_who_moved_meanwhile_is_found_the_next_time(void **state)
{
	struct world	w;

	(void)state;
	plant(&w, GROVE_FLAT, 3);
	w.when = TREE_LISTED;
	w.whose = w.g.leader;
	w.happens = he_dies;
	walk(&w);
	assert_int_equal(w.happened, 1);
	assert_true(w.t.changes > 0);
	w.happens = NULL;
	walk(&w);
	assert_int_equal(w.t.live, 3);
	clear(&w);
}

/* -- signals -------------------------------------------------------------- */

static void
T8_without_pidfds_the_start_time_has_to_do(void **state)
{
	static const int	errors[] = { -ENOSYS, -EPERM, -EMFILE };
	struct world		w;
	size_t			i, j;

	(void)state;
	for (j = 0; j < ARRAY_LEN(errors); j++) {
		plant(&w, GROVE_FLAT, 10);
		w.open_error = errors[j];
		w.opens_left = errors[j] == -EMFILE ? 4 : 0;
		assert_int_equal(walk(&w), 11);
		assert_int_equal(w.t.npidfds, errors[j] == -EMFILE ? 4 : 0);
		for (i = 0; i < w.t.n; i++)
			assert_int_equal(tree_signal(&w.t, i, SIGKILL), 0);
		assert_int_equal(w.kills, 11 - w.t.npidfds);
		while (!grove_all_dead(&w.g))
			usleep(1000);
		clear(&w);
	}
}

static void
no_descriptor_left_is_no_reason_to_stop(void **state)
{
	struct rlimit	few, old;
	struct world	w;
	size_t		i;

	(void)state;
	plant(&w, GROVE_FAN, 2);
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = 40;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	w.t.max_pidfds = 1000;		/* it won't know before it fails */
	assert_int_equal(walk(&w), 91);
	assert_true(w.t.npidfds > 10 && w.t.npidfds < 40);
	assert_int_equal(walk(&w), 0);
	assert_int_equal(w.t.live, 91);
	for (i = 0; i < w.t.n; i++)
		assert_int_equal(tree_signal(&w.t, i, SIGKILL), 0);
	setrlimit(RLIMIT_NOFILE, &old);
	clear(&w);
	/* Otherwise half of them are for others. */
	plant(&w, GROVE_FAN, 2);
	few.rlim_cur = 60;
	setrlimit(RLIMIT_NOFILE, &few);
	assert_int_equal(walk(&w), 91);
	assert_int_equal(w.t.npidfds, 30);
	setrlimit(RLIMIT_NOFILE, &old);
	clear(&w);
}

static void
K12_gone_is_ESRCH_and_refused_is_EPERM(void **state)
{
	struct world	w;
	pid_t		pid;
	size_t		i;

	(void)state;
	plant(&w, GROVE_DAEMONS, 2);
	assert_true(walk(&w) >= 3);
	for (i = 0; w.t.member[i].dead; )
		i++;
	w.send_error = w.kill_error = -EPERM;
	assert_int_equal(tree_signal(&w.t, i, SIGTERM), -EPERM);
	/* A filter refuses the one call only. */
	w.kill_error = 0;
	assert_int_equal(tree_signal(&w.t, i, SIGCONT), 0);
	w.send_error = 0;
	pid = some_leaf(&w);
	end_for_good(pid);
	for (i = 0; i < w.t.n; i++)
		assert_int_equal(tree_signal(&w.t, i, 0),
		    w.t.member[i].stat.pid == pid || w.t.member[i].dead ?
		    -ESRCH : 0);
	clear(&w);
}

static void
K11_a_group_is_hit_only_if_it_is_the_jobs(void **state)
{
	pid_t		others[] = { 0, 1, -1, getpgrp(), 0, 999999 };
	struct world	w;
	size_t		i;
	int		status;

	(void)state;
	plant(&w, GROVE_FLAT, 3);
	others[4] = w.g.shim;
	walk(&w);
	for (i = 0; i < ARRAY_LEN(others); i++) {
		w.t.member[0].stat.pgid = others[i];
		assert_int_equal(tree_signal_group(&w.t, 0, SIGKILL),
		    others[i] == 999999 ? -ESRCH : -EPERM);
	}
	assert_int_equal(w.kills, 0);
	w.t.member[0].stat.pgid = w.g.leader;
	/* By number where the kernel knows no better. */
	w.send_error = -EINVAL;
	assert_int_equal(tree_signal_group(&w.t, 0, SIGKILL), 0);
	assert_int_equal(w.kills, 1);
	while (!grove_all_dead(&w.g))
		usleep(1000);
	assert_int_equal(waitpid(w.g.shim, &status, 0), w.g.shim);
	assert_true(WIFEXITED(status));		/* by itself */
	w.g.shim = 0;
	clear(&w);
}

/* -- without a shim ------------------------------------------------------- */

/* Killed, and collected: its processes are ours. */
static void
kill_shim(struct world *w)
{
	kill(w->g.shim, SIGKILL);
	assert_int_equal(waitpid(w->g.shim, NULL, 0), w->g.shim);
}

static void
N15_who_killed_the_shim_is_found_all_the_same(void **state)
{
	static const enum grove_shape	shapes[] = {
		GROVE_SETSID, GROVE_DAEMONS, GROVE_FAN, GROVE_THREADS,
		GROVE_ROOT_GONE
	};
	struct world			w, other;
	size_t				i;
	int				j, n;

	(void)state;
	plant_marked(&other, GROVE_FLAT, 2, 41u);
	for (i = 0; i < ARRAY_LEN(shapes); i++) {
		/* Those of the last one may still be dying. */
		plant_marked(&w, shapes[i], 2, 50u + i);
		n = grove_size(shapes[i], 2);
		/* Seen before: they are known wherever they are now. */
		assert_true(walk(&w) >= n);
		assert_false(w.t.lost);
		kill_shim(&w);
		assert_true(walk(&w) >= 0);
		assert_true(!w.t.shim && w.t.lost);
		assert_int_equal(w.t.live, n);
		/* A fresh look knows the mark, and what is below it. */
		tree_finish(&w.t);
		assert_true(walk(&w) >= n);
		assert_int_equal(w.t.live, n);
		for (j = 0; j < other.g.sh->npids; j++)
			assert_false(has(&w, other.g.sh->pid[j]));
		assert_false(has(&w, other.g.shim));
		w.g.shim = 0;
		clear(&w);
	}
	clear(&other);
}

static pid_t
sleeper(uint64_t mark, bool session)
{
	int	ready[2];
	char	c;
	pid_t	pid;

	assert_int_equal(pipe(ready), 0);
	if ((pid = fork()) == 0) {
		if (session)
			setsid();
		(void)mark_put(mark);
		close(ready[0]);
		close(ready[1]);
		alarm(GROVE_LIFE_S);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 0);
	close(ready[0]);
	return pid;
}

/* He was never seen, bears no mark, and his parent is dead. */
static void
a_session_tells_whose_it_is_while_a_member_lives_in_it(void **state)
{
	struct world	w;
	pid_t		parent;

	(void)state;
	plant(&w, GROVE_TERM_FORKS, 3);
	assert_int_equal(walk(&w), 4);
	kill_shim(&w);
	parent = some_leaf(&w);
	kill(parent, SIGTERM);
	while (alive(parent))
		usleep(1000);
	assert_int_equal(walk(&w), 1);
	assert_int_equal(w.t.live, 4);
	/* A fresh look knows nobody in it. */
	tree_finish(&w.t);
	assert_int_equal(walk(&w), 0);
	w.g.shim = 0;
	killpg(w.g.leader, SIGKILL);
	clear(&w);
}

static void
nobody_asks(void *arg, const struct reap_exit *e)
{
	(void)arg;
	(void)e;
}

static void
without_a_shim_the_mark_tells_whose_it_is(void **state)
{
	struct reap_entry	e = { .fn = nobody_asks };
	struct world		w;
	struct reap		*reap = reap_create(false);
	pid_t			ours, theirs, bare;

	(void)state;
	plant(&w, GROVE_FLAT, 1);
	ours = sleeper(42, true);
	theirs = sleeper(41, true);
	bare = sleeper(0, false);
	w.scope.shim = 0;
	assert_int_equal(walk(&w), 0);		/* nothing to tell it by */
	w.scope.mark = 42;
	assert_int_equal(walk(&w), 1);
	assert_true(has(&w, ours));
	/* Whom we started for something else is nobody's, whatever it bears;
	 * the job's first process is watched, too. */
	tree_finish(&w.t);
	w.scope.reap = reap;
	e.pid = ours;
	reap_watch(reap, &e);
	assert_int_equal(walk(&w), 0);
	w.scope.leader = ours;
	assert_int_equal(walk(&w), 1);
	tree_finish(&w.t);
	w.scope.leader = theirs;		/* the root's before */
	assert_int_equal(walk(&w), 0);
	/* Its shim said that nobody is left. */
	w.scope.leader = ours;
	w.scope.emptied = true;
	assert_int_equal(walk(&w), 0);
	assert_false(w.t.lost);
	kill(ours, SIGKILL);
	kill(theirs, SIGKILL);
	kill(bare, SIGKILL);
	reap_unwatch(&e);
	reap_destroy(reap);
	clear(&w);
}

/* A sandbox may refuse the mark, a low limit leaves no room for one. */
static void
without_a_mark_the_first_process_is_found_while_it_is_ours(void **state)
{
	struct reap_entry	e = { .fn = nobody_asks };
	struct reap		*reap = reap_create(false);
	struct world		w;
	uint64_t		mark;
	pid_t			first, other;

	(void)state;
	plant(&w, GROVE_FLAT, 1);
	first = sleeper(0, false);
	usleep(20000);			/* a start time of its own */
	other = sleeper(0, false);
	w.scope.shim = 0;
	w.scope.reap = reap;
	w.scope.leader = e.pid = first;
	for (mark = 0; mark <= 77; mark += 77) {	/* nobody's */
		w.scope.mark = mark;
		/* Collected: the number may be anybody's. */
		assert_int_equal(walk(&w), 0);
		reap_watch(reap, &e);
		assert_int_equal(walk(&w), 1);
		assert_true(has(&w, first) && w.t.lost);
		assert_false(has(&w, other));
		/* Its number goes to somebody else whom we started. */
		w.masked = first;
		w.by = other;
		assert_int_equal(walk(&w), 0);
		assert_int_equal(w.t.live, 0);
		w.masked = 0;
		tree_finish(&w.t);
		reap_unwatch(&e);
	}
	kill(first, SIGKILL);
	kill(other, SIGKILL);
	reap_destroy(reap);
	clear(&w);
}

/* The number is a shell's by now: what is below that is no business of ours. */
static void
a_shims_number_with_somebody_else_is_not_the_shim(void **state)
{
	struct world	w, other;

	(void)state;
	plant_marked(&w, GROVE_FLAT, 2, 60u);
	usleep(20000);			/* a start time of its own */
	plant(&other, GROVE_FLAT, 2);
	assert_int_equal(walk(&w), 3);
	kill_shim(&w);
	w.masked = w.g.shim;
	w.by = other.g.shim;
	assert_int_equal(walk(&w), 0);
	assert_true(w.t.lost);
	assert_int_equal(w.t.live, 3);
	w.g.shim = 0;
	clear(&w);
	clear(&other);
}

static void
a_shim_that_ended_by_itself_left_nobody(void **state)
{
	siginfo_t	si;
	struct world	w;
	pid_t		stranger = sleeper(61, true);

	(void)state;
	plant_marked(&w, GROVE_FLAT, 2, 61u);
	assert_int_equal(walk(&w), 3);
	killpg(w.g.leader, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)w.g.shim, &si,
	    WEXITED | WNOWAIT), 0);
	assert_int_equal(walk(&w), 0);
	assert_false(w.t.shim || w.t.lost);
	assert_int_equal(w.t.live, 0);
	assert_false(has(&w, stranger));
	kill(stranger, SIGKILL);
	clear(&w);
}

static void
who_has_died_and_was_collected_is_let_go(void **state)
{
	struct world	w;
	size_t		i, max = 0;
	int		n;

	(void)state;
	plant(&w, GROVE_BUSY, 5);
	for (n = 0; n < 20000 && w.g.sh->births < 1500; n++) {
		assert_true(walk(&w) >= 0);
		for (i = 0; i < w.t.n; i++)
			w.t.member[i].told = 3;
		tree_compact(&w.t);
		if (w.t.n > max)
			max = w.t.n;
		usleep(200);
	}
	assert_true(w.g.sh->births >= 1500);
	assert_true(w.t.met > 200);
	assert_true(max < 100);
	assert_int_equal(w.t.past[0] + w.t.n, w.t.met);
	assert_int_equal(w.t.past[1], w.t.past[0]);
	assert_int_equal(w.t.past[2], 0);
	/* Who is left is found as before. */
	for (n = 0; n < w.g.sh->npids; n++)
		assert_true(has(&w, w.g.sh->pid[n]));
	for (i = 0; i < w.t.n; i++)
		tree_signal(&w.t, i, SIGKILL);
	clear(&w);
}

static void
no_memory_ends_a_walk_and_the_next_one_goes_on(void **state)
{
	struct world	w;
	unsigned	i;
	int		r;

	(void)state;
	plant(&w, GROVE_FAN, 2);
	for (i = 1; ; i++) {
		tree_finish(&w.t);
		failmalloc_arm(i);
		r = walk(&w);
		if (!failmalloc_disarm())
			break;
		/* A folder that can't be opened is no children: harmless. */
		assert_true(r == -ENOMEM || r <= 91);
		assert_true(r != -ENOMEM || w.t.changes > 0);
		assert_true(walk(&w) >= 0);
		assert_int_equal(w.t.live, 91);
	}
	assert_int_equal(r, 91);
	clear(&w);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(every_shape_is_found_whole),
		cmocka_unit_test(
		    T7_children_come_before_their_parents_in_one_piece),
		cmocka_unit_test(T5_who_vanishes_on_the_way_is_no_error),
		cmocka_unit_test(
		    T8_a_number_that_changes_hands_leads_to_nobody),
		cmocka_unit_test(
		    T8_a_number_that_changed_hands_before_is_not_taken),
		cmocka_unit_test(T8_who_moved_meanwhile_is_found_the_next_time),
		cmocka_unit_test(T8_without_pidfds_the_start_time_has_to_do),
		cmocka_unit_test(no_descriptor_left_is_no_reason_to_stop),
		cmocka_unit_test(K12_gone_is_ESRCH_and_refused_is_EPERM),
		cmocka_unit_test(K11_a_group_is_hit_only_if_it_is_the_jobs),
		cmocka_unit_test(N15_who_killed_the_shim_is_found_all_the_same),
		cmocka_unit_test(without_a_shim_the_mark_tells_whose_it_is),
		cmocka_unit_test(
		    without_a_mark_the_first_process_is_found_while_it_is_ours),
		cmocka_unit_test(
		    a_session_tells_whose_it_is_while_a_member_lives_in_it),
		cmocka_unit_test(
		    a_shims_number_with_somebody_else_is_not_the_shim),
		cmocka_unit_test(a_shim_that_ended_by_itself_left_nobody),
		cmocka_unit_test(who_has_died_and_was_collected_is_let_go),
		cmocka_unit_test(
		    no_memory_ends_a_walk_and_the_next_one_goes_on),
	};

	reap_become_subreaper();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
