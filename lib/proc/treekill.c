/* See treekill.h. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop/loop.h"
#include "proc/cgjob.h"
#include "proc/tree_impl.h"
#include "proc/treekill.h"

#define NOW_PASSES	8u	/* of treekill_now() */
#define EMPTY_ENOUGH	2u	/* walks in a row that find nobody */
#define GROUP_LOOKS	3u	/* until who is dead has left the group */

/*
 * Looks for late forks, in ms: apart by 4 times what the last one took, but
 * not by more than IDLE_MS; the hunt doesn't wait.
 */
#define HUNT_MS		1u	/* nobody alive, but there was somebody */
#define SOON_MS		10u	/* somebody died, or has no pidfd, or the walk
				 * did not get round */
#define BIRTH_MS	2u	/* the shim has not forked yet */
#define IDLE_MS		100u

#define DEAD_SPARE	64u		/* beyond who lives, until let go */

/* tree_member.told */
#define TOLD		0x01u	/* any signal */
#define TOLD_TERM	0x02u
#define TOLD_CONT	0x04u
#define TOLD_STOP	0x08u
#define TOLD_KILL	0x10u
#define DENIED		0x20u

/* One member's pidfd in the loop. */
struct watch {
	struct loop_io	 io;
	struct treekill	*kill;
	size_t		 i;
};

struct treekill {
	struct loop	*loop;
	struct treekill_spec spec;
	treekill_fn	*done;
	void		*arg;
	struct tree	 tree;		/* a member's owner is his watch */
	struct loop_timer end;		/* of the grace, or of the settling */
	struct loop_timer tick;
	struct loop_task look;
	uint64_t	 walked_at;	/* past all of them, ms */
	uint64_t	 forced_at;
	unsigned	 passes, look_ms, group_looks;
	bool		 forcing, settled, killed, emptied, ending;
	struct treekill_result result;
};

/* -- signals -------------------------------------------------------------- */

/* Each of them once.  True: it went out. */
static bool
tell(struct tree *t, size_t i, int signo, unsigned mark)
{
	struct tree_member	*m = &t->member[i];
	int			 r;

	if (m->dead || (m->told & mark) != 0)
		return false;
	r = tree_signal(t, i, signo);
	m->told |= (uint8_t)(mark | (r == 0 ? TOLD : r == -EPERM ? DENIED : 0));
	if (r == 0)
		m->told &= (uint8_t)~DENIED;
	return r == 0;
}

static void
tell_all(struct tree *t, int signo, unsigned mark)
{
	size_t	i;

	for (i = 0; i < t->n; i++)
		tell(t, i, signo, mark);
}

/* mark: one bit.  The dead count, too. */
static unsigned
count_told(const struct tree *t, unsigned mark)
{
	size_t	i, n = t->past[__builtin_ctz(mark)];

	for (i = 0; i < t->n; i++)
		n += (t->member[i].told & mark) != 0;
	return (unsigned)n;
}

/*
 * Who is stopped can't fork any more: those we know first, then each that the
 * walk finds, before it asks for his children.  So the set is complete, but
 * for those whose parent died on the way.
 */
static void
stop_all(struct tree *t, const struct tree_scope *scope)
{
	size_t	i;

	for (i = 0; i < t->n; i++)
		if ((t->member[i].told & TOLD_KILL) == 0)
			tell(t, i, SIGSTOP, TOLD_STOP);
	t->greet = SIGSTOP;
	t->greet_told = TOLD | TOLD_STOP;
	tree_walk(t, scope);
	t->greet = 0;
}

struct in_group {
	pid_t	 pgid;
	uint32_t i;			/* the member */
};

static int
compare_groups(const void *a, const void *b)
{
	const struct in_group	*x = a, *y = b;

	return (x->pgid > y->pgid) - (x->pgid < y->pgid);
}

/*
 * Each group of those who get their SIGKILL in this pass, once.  Without
 * memory each member alone gets it: the next pass finds who got away.
 *
 * Who has no pidfd gets it by his group alone, in each pass: he is dying now,
 * and before we could tell him his number may be somebody else's (T8).
 */
static void
kill_groups(struct tree *t)
{
	struct in_group		*g;
	struct tree_member	*m;
	size_t			 i, n = 0;
	int			 r = 0;

	if (t->live == 0 || (g = malloc(t->live * sizeof *g)) == NULL)
		return;
	for (i = 0; i < t->n && n < t->live; i++) {
		m = &t->member[i];
		if (!m->dead && (m->pidfd < 0 || (m->told & TOLD_KILL) == 0))
			g[n++] = (struct in_group){ m->stat.pgid, (uint32_t)i };
	}
	qsort(g, n, sizeof *g, compare_groups);
	for (i = 0; i < n; i++) {
		m = &t->member[g[i].i];
		if (i == 0 || g[i].pgid != g[i - 1].pgid || r == -ESRCH)
			r = tree_signal_group(t, g[i].i, SIGKILL);
		if (r == 0 && m->pidfd < 0)
			m->told |= TOLD | TOLD_KILL;
	}
	free(g);
}

/* Returns how many were told who had not been before. */
static unsigned
force_pass(struct tree *t, const struct tree_scope *scope, int cgroup)
{
	unsigned	before = count_told(t, TOLD_KILL);

	stop_all(t, scope);
	if (cgroup >= 0)
		cgjob_kill(cgroup);
	kill_groups(t);
	tell_all(t, SIGKILL, TOLD_KILL);
	return count_told(t, TOLD_KILL) - before;
}

/* -- deaths --------------------------------------------------------------- */

static void
watch_drop(struct treekill *k, size_t i)
{
	struct watch	*w = k->tree.member[i].owner;

	if (w == NULL)
		return;
	loop_forget(&w->io);
	free(w);
	k->tree.member[i].owner = NULL;
}

static void
watch_drop_all(struct treekill *k)
{
	size_t	i;

	for (i = 0; i < k->tree.n; i++)
		watch_drop(k, i);
}

/* The next look not later than ms from now. */
static void
tick_within(struct treekill *k, unsigned ms)
{
	uint64_t	due;

	if (ms > HUNT_MS && ms < 4 * k->look_ms)
		ms = 4 * k->look_ms < IDLE_MS ? 4 * k->look_ms : IDLE_MS;
	due = loop_now(k->loop) + ms;
	if (k->tick.loop == NULL || due < k->tick.due_ms)
		loop_timer_set(k->loop, &k->tick, due);
}

static void
on_death(void *arg, unsigned ready)
{
	struct watch	*w = arg;
	struct treekill	*k = w->kill;
	size_t		 i = w->i;

	(void)ready;
	watch_drop(k, i);
	tree_bury(&k->tree, i);
	if (k->tree.live == 0)
		loop_later(k->loop, &k->look);
	else
		tick_within(k, SOON_MS);
}

static bool
watch_one(struct treekill *k, size_t i)
{
	struct tree_member	*m = &k->tree.member[i];
	struct watch		*w = m->owner;

	if (w != NULL)
		return true;
	if (m->pidfd < 0 || (w = calloc(1, sizeof *w)) == NULL)
		return false;
	*w = (struct watch){ .kill = k, .i = i };
	w->io.fd = m->pidfd;
	w->io.fn = on_death;
	w->io.arg = w;
	if (loop_watch(k->loop, &w->io, LOOP_READ) < 0) {
		free(w);
		return false;
	}
	m->owner = w;
	return true;
}

/*
 * Everybody alive is watched, everybody dead is not.  False: somebody has to
 * be looked at again and again.
 */
static bool
watch_all(struct treekill *k)
{
	bool	all = true;
	size_t	i;

	for (i = 0; i < k->tree.n; i++) {
		if (!k->tree.member[i].dead) {
			all = watch_one(k, i) && all;
		} else if (k->tree.member[i].pidfd >= 0) {
			watch_drop(k, i);
			tree_bury(&k->tree, i);
		}
	}
	return all;
}

/* A grace may last, and those who come and go in it may be many. */
static void
let_dead_go(struct treekill *k)
{
	struct tree	*t = &k->tree;
	struct watch	*w;
	size_t		 i;

	if (t->n - t->live <= t->live + DEAD_SPARE)
		return;
	for (i = 0; i < t->n; i++)
		if (t->member[i].dead)
			watch_drop(k, i);
	tree_compact(t);
	for (i = 0; i < t->n; i++)
		if ((w = t->member[i].owner) != NULL)
			w->i = i;
}

/* -- the phases ----------------------------------------------------------- */

/*
 * The children of the shim will do right after a death: that is where those
 * come who lost their parent.  Now and then, and in the end, everybody.
 */
static void
find_all(struct treekill *k)
{
	struct tree	*t = &k->tree;
	uint64_t	 now = loop_clock_us() / 1000;

	t->shallow = t->live > 0 && now - k->walked_at < IDLE_MS;
	if (tree_walk(t, &k->spec.scope) >= 0 && !t->shallow)
		let_dead_go(k);
	if (!t->shallow)
		k->walked_at = now;
	t->shallow = false;
}

static bool
is_stopped(const struct tree_member *m)
{
	return m->stat.state == 'T' || m->stat.state == 't';
}

/* SIGTERM, leaves first, once; then SIGCONT to those who can't see it. */
static void
tell_term(struct treekill *k)
{
	struct tree	*t = &k->tree;
	size_t		 i;

	find_all(k);
	tell_all(t, SIGTERM, TOLD_TERM);
	for (i = 0; i < t->n; i++)
		if (is_stopped(&t->member[i]))
			tell(t, i, SIGCONT, TOLD_CONT);
}

/* Nobody is there, and nobody was who could have left somebody. */
static bool
is_empty(const struct tree *t)
{
	return t->live == 0 && t->changes == 0;
}

/*
 * A shim that never had anybody below it is about to fork the program (N14),
 * or about to end.  We ourselves are not.
 */
static bool
expecting(const struct treekill *k)
{
	return k->tree.shim && k->spec.scope.shim != getpid() &&
	    k->tree.met == 0 && !k->settled;
}

static bool
all_denied(const struct tree *t)
{
	size_t	i;

	for (i = 0; i < t->n; i++)
		if (!t->member[i].dead && (t->member[i].told & DENIED) == 0)
			return false;
	return t->live > 0;
}

/* When to look again, if nobody dies before. */
static void
plan(struct treekill *k)
{
	bool	watched = watch_all(k);

	if (k->tree.live == 0 && k->tree.changes > 0)
		tick_within(k, k->tree.cut ? SOON_MS : HUNT_MS);
	else if (expecting(k))
		tick_within(k, BIRTH_MS);
	else
		tick_within(k, watched ? IDLE_MS : SOON_MS);
}

/* True: it is over. */
static bool
look_asking(struct treekill *k)
{
	unsigned	empty = 0;

	do
		tell_term(k);
	while (is_empty(&k->tree) && ++empty < EMPTY_ENOUGH);
	if (empty == EMPTY_ENOUGH && !expecting(k))
		return true;
	plan(k);
	return false;
}

static bool
look_forcing(struct treekill *k)
{
	unsigned	empty = 0, fresh;

	do
		fresh = force_pass(&k->tree, &k->spec.scope, k->spec.cgroup);
	while (is_empty(&k->tree) && ++empty < EMPTY_ENOUGH);
	k->killed = k->killed || fresh > 0;
	if (k->settled || all_denied(&k->tree) ||
	    (empty == EMPTY_ENOUGH && !expecting(k)))
		return true;
	if (++k->passes >= TREEKILL_PASSES ||
	    loop_now(k->loop) - k->forced_at >= TREEKILL_FORCE_MS)
		tick_within(k, watch_all(k) ? IDLE_MS : SOON_MS);
	else if (fresh > 0)
		loop_later(k->loop, &k->look);
	else
		plan(k);
	return false;
}

static void
force(struct treekill *k)
{
	k->forcing = true;
	k->forced_at = loop_now(k->loop);
	loop_timer_set(k->loop, &k->end, k->forced_at + TREEKILL_SETTLE_MS);
}

/*
 * The walk finds nobody any more: so who is still in the group has hidden from
 * it, and nobody can ask him.  True: nobody is.
 */
static bool
end_group(struct treekill *k)
{
	if (k->spec.cgroup < 0 || k->settled ||
	    !cgjob_lives(k->spec.cgroup_events))
		return true;
	if (++k->group_looks > GROUP_LOOKS) {
		if (!k->forcing)
			force(k);
		k->killed = true;
		cgjob_kill(k->spec.cgroup);
	}
	tick_within(k, HUNT_MS);
	return false;
}

static bool
look(struct treekill *k)
{
	uint64_t	before = loop_clock_us() / 1000;
	bool		over;

	loop_timer_clear(&k->tick);
	over = k->forcing ? look_forcing(k) : look_asking(k);
	k->look_ms = (unsigned)(loop_clock_us() / 1000 - before);
	return over && end_group(k);
}

const char *
treekill_why(const struct treekill_survivor *s)
{
	return s->denied ? "not permitted" :
	    s->state == 'D' ? "state D: it hangs in the kernel" :
	    "not dead yet";
}

static void
name_survivors(struct treekill *k)
{
	struct treekill_result		*res = &k->result;
	struct treekill_survivor	*s;
	const struct tree_member	*m;
	size_t				 i;
	bool				 denied;

	for (i = 0; i < k->tree.n; i++) {
		m = &k->tree.member[i];
		if (m->dead)
			continue;
		denied = (m->told & DENIED) != 0;
		res->root_denied |= denied && m->stat.pid ==
		    k->spec.scope.leader;
		if (res->nsurvivors++ >= TREEKILL_SURVIVORS_MAX)
			continue;
		s = &res->survivor[res->nsurvivors - 1];
		s->pid = m->stat.pid;
		s->state = m->stat.state;
		s->denied = denied;
		memcpy(s->name, m->stat.name, sizeof s->name);
	}
}

static void
release(struct treekill *k)
{
	watch_drop_all(k);
	loop_timer_clear(&k->end);
	loop_timer_clear(&k->tick);
	loop_later_cancel(k->loop, &k->look);
	tree_finish(&k->tree);
}

static void
finish(struct treekill *k)
{
	k->ending = true;
	if (!k->emptied) {
		name_survivors(k);
		k->result.unsure = k->tree.lost || (k->spec.cgroup >= 0 &&
		    cgjob_lives(k->spec.cgroup_events));
	}
	k->result.told = count_told(&k->tree, TOLD);
	k->result.denied = count_told(&k->tree, DENIED);
	k->result.phase = k->killed ? TREEKILL_KILL :
	    k->result.told > 0 ? TREEKILL_TERM : TREEKILL_NONE;
	release(k);
	k->done(k->arg, &k->result);
	free(k);
}

static void
on_look(void *arg)
{
	struct treekill	*k = arg;

	if (k->emptied || look(k))
		finish(k);
}

/* The grace is over, and later the time to die. */
static void
on_end(void *arg)
{
	struct treekill	*k = arg;

	if (k->forcing)
		k->settled = true;
	else
		force(k);
	on_look(k);
}

int
treekill_start(struct treekill **out, struct loop *l,
    const struct treekill_spec *spec, treekill_fn *done, void *arg)
{
	struct treekill	*k;

	if ((k = calloc(1, sizeof *k)) == NULL)
		return -ENOMEM;
	k->loop = l;
	k->spec = *spec;
	k->done = done;
	k->arg = arg;
	k->end.fn = on_end;
	k->tick.fn = k->look.fn = on_look;
	k->end.arg = k->tick.arg = k->look.arg = k;
	if (spec->grace_ms == 0)
		force(k);
	else
		loop_timer_set(l, &k->end, loop_now(l) + spec->grace_ms);
	if (look(k))
		loop_later(l, &k->look);
	*out = k;
	return 0;
}

void
treekill_hasten(struct treekill *k, uint32_t grace_ms)
{
	uint64_t	due = loop_now(k->loop) + grace_ms;

	if (!k->ending && !k->forcing && due < k->end.due_ms)
		loop_timer_set(k->loop, &k->end, due);
}

void
treekill_emptied(struct treekill *k)
{
	if (k->ending)
		return;
	k->emptied = true;
	loop_later(k->loop, &k->look);
}

void
treekill_abandon(struct treekill *k)
{
	if (k == NULL || k->ending)
		return;
	release(k);
	free(k);
}

/* -- without waiting ------------------------------------------------------ */

unsigned
treekill_now(const struct tree_scope *scope, int cgroup)
{
	struct tree	t = { 0 };
	unsigned	pass, calm = 0, told;

	for (pass = 0; pass < NOW_PASSES && calm < EMPTY_ENOUGH; pass++)
		if (force_pass(&t, scope, cgroup) == 0 && t.changes == 0)
			calm++;
		else
			calm = 0;
	told = count_told(&t, TOLD);
	tree_finish(&t);
	return told;
}

static int
signal_members(struct tree *t, pid_t only, int signo)
{
	int	told = 0, r = -ESRCH, one;
	size_t	i;

	for (i = 0; i < t->n; i++) {
		if (t->member[i].dead || (only != 0 &&
		    t->member[i].stat.pid != only))
			continue;
		one = tree_signal(t, i, signo);
		if (one == 0)
			told++;
		else if (r == -ESRCH)
			r = one;
	}
	return told > 0 ? told : r;
}

static int
signal_group(struct tree *t, pid_t pgid, int signo)
{
	int	told = 0, r = -ESRCH;
	size_t	i;

	for (i = 0; i < t->n; i++) {
		if (t->member[i].dead || t->member[i].stat.pgid != pgid)
			continue;
		if (r == -ESRCH)
			r = tree_signal_group(t, i, signo);
		told++;
	}
	return r < 0 ? r : told;
}

int
treekill_signal(const struct tree_scope *scope, pid_t leader,
    enum treekill_whom whom, int signo)
{
	struct tree	t = { 0 };
	int		r = -ESRCH;

	if (signo < 1 || signo > 64)
		return -EINVAL;
	if (whom != TREEKILL_TREE && leader <= 1)
		return -ESRCH;
	tree_walk(&t, scope);
	if (whom == TREEKILL_GROUP)
		r = signal_group(&t, leader, signo);
	else
		r = signal_members(&t, whom == TREEKILL_ROOT ? leader : 0,
		    signo);
	tree_finish(&t);
	return r;
}
