/* See orphan.h. */
#include <errno.h>
#include <regex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "proc/ask.h"
#include "proc/orphan.h"
#include "proc/procfs.h"

#define COMPONENT	"orphans"
#define KNOWN_MAX	65536u
#define CMDLINE_MAX	32768
#define VALUE_MAX	129		/* the longest session id */
#define SLICE		64		/* looked at in one turn of the loop */
/*
 * Who keeps quiet is asked three times, last of all; where the kernel holds on
 * to those who asked him, others still can.
 */
#define ASKS		8
#define SILENT_MAX	3

/*
 * Servers of remote editors: their clients come back to them, and not all of
 * them are started with nohup (clients.md 6.4).
 */
static const char editors[] = "JetBrains|"
    "/\\.(vscode|vscodium|vscode-oss|cursor|windsurf|positron|zed)"
    "[_a-z-]*server";

enum verdict {
	UNKNOWN,			/* to be asked about */
	GONE,
	EXCLUDED,
	OWNED,				/* as long as value lives */
	HIDDEN,				/* we may not know whose */
	NOBODYS,
	TOLD,				/* SIGHUP */
	KILLED
};

struct known {
	pid_t	 pid, pgid;
	uint64_t start;
	enum verdict verdict;
	uint8_t	 silent;		/* times it hung who looked */
	bool	 hinted;		/* value says whose it was */
	uint32_t name;			/* index into opt.names */
	char	 value[VALUE_MAX];
	uint64_t told_ms;
};

/* Sorted by pid once complete. */
struct table {
	struct known *k;
	size_t	 n, cap;
};

/* What the child says about each it was asked about, in that order. */
struct answer {
	pid_t	 pid;
	enum verdict verdict;
	bool	 hinted;
	uint32_t name;
	char	 value[VALUE_MAX];
};

/* A scan goes through these in order, some steps in each turn. */
enum phase {
	IDLE,
	KIDS,				/* our children */
	BELOW,				/* and who is below an orphan */
	EVERYBODY,			/* the same, of all there are (T2) */
	ASKING,
	JUDGING
};

struct orphans {
	struct loop	*loop;		/* borrowed */
	struct reap	*reap;		/* borrowed */
	struct orphan_options opt;
	regex_t		*pattern;
	size_t		 npatterns;
	struct loop_timer timer;
	struct ask	 ask[ASKS];
	uint32_t	 asked[ORPHAN_BATCH];	/* indices into found */
	size_t		 nasked;
	struct table	 known;
	enum phase	 phase;
	struct table	 found;		/* while a scan runs */
	size_t		 at, sorted;	/* of found */
	pid_t		*kid;		/* whom we look at now */
	size_t		 nkids, ckids, nextkid;
	bool		 no_children;	/* /proc does not tell them */
	struct loop_timer slice;
	uint64_t	 now_ticks;
	uint64_t	 oldest;	/* start of what lives and is ours */
	struct orphan_counts counts;
};

static const struct orphan_sys kernel = {
	.children = procfs_children, .cmdline = procfs_cmdline,
};

/* -- patterns -------------------------------------------------------------- */

static int
add_pattern(struct orphans *o, const char *pattern)
{
	int	r = regcomp(&o->pattern[o->npatterns], pattern,
		    REG_EXTENDED | REG_NOSUB);

	if (r != 0)
		return r == REG_ESPACE ? -ENOMEM : -EINVAL;
	o->npatterns++;
	return 0;
}

static int
add_patterns(struct orphans *o, const struct orphan_options *opt)
{
	size_t	i;
	int	r;

	o->pattern = calloc(1 + opt->nexclude + opt->nexclude_more,
	    sizeof *o->pattern);
	if (o->pattern == NULL)
		return -ENOMEM;
	r = add_pattern(o, editors);
	for (i = 0; r == 0 && i < opt->nexclude; i++)
		r = add_pattern(o, opt->exclude[i]);
	for (i = 0; r == 0 && i < opt->nexclude_more; i++)
		r = add_pattern(o, opt->exclude_more[i]);
	return r;
}

/* -- the child: what may hang its reader ---------------------------------- */

/*
 * Root without CAP_SYS_PTRACE, as in most containers, may not look into a
 * user's process; that user may.
 */
static void
look_as(const char *path)
{
	struct stat	st;

	if (stat(path, &st) == -1)
		return;
	setfsgid(st.st_gid);
	setfsuid(st.st_uid);
}

static void
look_at(const struct orphans *o, pid_t pid, struct answer *a)
{
	char	path[64], text[CMDLINE_MAX];
	size_t	i;
	int	r;

	a->verdict = NOBODYS;
	str_format(path, sizeof path, "/proc/%d", (int)pid);
	look_as(path);
	if (o->opt.sys->cmdline("", pid, text, sizeof text) < 0) {
		a->verdict = GONE;
		return;
	}
	for (i = 0; i < o->npatterns; i++)
		if (regexec(&o->pattern[i], text, 0, NULL, 0) == 0) {
			a->verdict = EXCLUDED;
			return;
		}
	for (i = 0; o->opt.names != NULL && o->opt.names[i] != NULL; i++) {
		r = procfs_environ("", pid, o->opt.names[i], a->value,
		    sizeof a->value);
		if (r == 1) {
			a->name = (uint32_t)i;
			a->hinted = true;
			a->verdict = OWNED;
			return;
		}
		/* Too long to be one of ours is an answer, too. */
		if (r < 0 && r != -ENAMETOOLONG)
			a->verdict = r == -ESRCH ? GONE : HIDDEN;
	}
}

static void
look(void *arg, int fd)
{
	const struct orphans	*o = arg;
	struct answer		 a;
	size_t			 i;

	for (i = 0; i < o->nasked; i++) {
		memset(&a, 0, sizeof a);
		a.pid = o->found.k[o->asked[i]].pid;
		look_at(o, a.pid, &a);
		setfsuid(geteuid());
		setfsgid(getegid());
		ask_write(fd, &a, sizeof a);
	}
}

/* -- finding --------------------------------------------------------------- */

static int
compare(const void *a, const void *b)
{
	const struct known	*x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static const struct known *
find(const struct table *t, pid_t pid)
{
	struct known	key = { .pid = pid };

	return t->n == 0 ? NULL :
	    bsearch(&key, t->k, t->n, sizeof *t->k, compare);
}

static bool
reserve(struct table *t)
{
	size_t		 cap = t->cap > 0 ? t->cap * 2 : 16;
	struct known	*mem;

	if (t->n < t->cap)
		return true;
	if (t->n >= KNOWN_MAX ||
	    (mem = realloc(t->k, cap * sizeof *mem)) == NULL)
		return false;
	t->k = mem;
	t->cap = cap;
	return true;
}

/* Everything that can change between a look and a signal. */
static bool
is_orphan(const struct orphans *o, const struct procfs_stat *st)
{
	return st->pid > 1 && !procfs_dead(st) && st->sid > 0 &&
	    st->sid != getsid(0) && !reap_is_watched(o->reap, st->pid) &&
	    !reap_is_watched(o->reap, st->sid) &&
	    procfs_ignores("", st->pid, SIGHUP) == 0;
}

static bool
is_old(const struct orphans *o, const struct procfs_stat *st)
{
	return o->now_ticks >= st->start +
	    procfs_hz() * ORPHAN_AGE_MS / 1000;
}

/* Looked at before, or new.  No memory: the next scan tries again. */
static void
take(struct orphans *o, const struct procfs_stat *st)
{
	const struct known	*old = find(&o->known, st->pid);
	bool			 same = old != NULL && old->start == st->start;

	/* Nobody leaves his PID namespace: known ones passed this before. */
	if (!is_orphan(o, st) || !is_old(o, st) ||
	    (!same && procfs_is_nested("", st->pid) != 0) ||
	    !reserve(&o->found))
		return;
	o->found.k[o->found.n] = same ? *old : (struct known){
	    .pid = st->pid, .start = st->start };
	o->found.k[o->found.n++].pgid = st->pgid;
}

static void
look_at_kid(struct orphans *o, pid_t pid)
{
	struct procfs_stat	st;

	if (!reap_is_watched(o->reap, pid) &&
	    procfs_stat("", pid, &st) == 0 && st.ppid == getpid())
		take(o, &st);
}

static void
look_below(struct orphans *o, pid_t pid)
{
	const struct known	*up = &o->found.k[o->at - 1];
	struct procfs_stat	 st;

	if (procfs_stat("", pid, &st) == 0 && st.ppid == up->pid &&
	    st.pgid == up->pgid)
		take(o, &st);
}

/* Anybody: below an orphan that was found, in his group, and not found yet? */
static void
look_above(struct orphans *o, pid_t pid)
{
	struct table		 sorted = { .k = o->found.k, .n = o->sorted };
	const struct known	*up;
	struct procfs_stat	 st;

	if (procfs_stat("", pid, &st) == 0 &&
	    (up = find(&sorted, st.ppid)) != NULL && up->pgid == st.pgid &&
	    find(&sorted, pid) == NULL)
		take(o, &st);
}

static bool
add_kid(void *arg, pid_t pid)
{
	struct orphans	*o = arg;
	size_t		 cap = o->ckids > 0 ? o->ckids * 2 : 64;
	pid_t		*mem;

	if (o->nkids == o->ckids) {
		mem = realloc(o->kid, cap * sizeof *mem);
		if (mem == NULL)
			return false;
		o->kid = mem;
		o->ckids = cap;
	}
	o->kid[o->nkids++] = pid;
	return true;
}

static void
list_kids(struct orphans *o, pid_t pid)
{
	o->nkids = o->nextkid = 0;
	o->no_children = o->opt.sys->children("", pid, add_kid, o) == -ENOSYS;
	if (o->no_children)
		procfs_each("", add_kid, o);
}

static void
sort_found(struct orphans *o)
{
	if (o->found.n > 0)
		qsort(o->found.k, o->found.n, sizeof *o->found.k, compare);
	o->sorted = o->found.n;
}

static void
gather_begin(struct orphans *o)
{
	o->now_ticks = procfs_ticks();
	o->found.n = o->at = 0;
	list_kids(o, getpid());
	o->phase = KIDS;
}

/* The next of those below; false: there is none left. */
static bool
step_below(struct orphans *o)
{
	if (o->nextkid < o->nkids) {
		look_below(o, o->kid[o->nextkid++]);
		return true;
	}
	if (o->at == o->found.n)
		return false;
	list_kids(o, o->found.k[o->at++].pid);
	return true;
}

/* Again and again, until nobody is found any more. */
static bool
step_everybody(struct orphans *o)
{
	if (o->nextkid < o->nkids) {
		look_above(o, o->kid[o->nextkid++]);
		return true;
	}
	if (o->found.n == o->sorted)
		return false;
	sort_found(o);
	o->nextkid = 0;
	return true;
}

/* -- telling --------------------------------------------------------------- */

static int
tell(int fd, pid_t pid, int signo)
{
	return fd == -1 ? kill(pid, signo) :
	    (int)syscall(SYS_pidfd_send_signal, fd, signo, NULL, 0);
}

/*
 * To the very process that was looked at.  False: it is another, or gone, or
 * we have no pidfd to be sure with.  A child of ours keeps its number until we
 * collect it; anybody else's may be given away at any moment.
 */
static bool
send_to(const struct orphans *o, const struct known *k, int signo)
{
	struct procfs_stat	st;
	int			fd, r;

	fd = (int)syscall(SYS_pidfd_open, k->pid, 0);
	if (fd == -1 && errno == ESRCH)
		return false;
	if (procfs_stat("", k->pid, &st) < 0 || st.start != k->start ||
	    !is_orphan(o, &st) || (fd == -1 && st.ppid != getpid())) {
		if (fd != -1)
			close(fd);
		return false;
	}
	r = tell(fd, k->pid, signo);
	if (r == -1)
		log_debug(COMPONENT, "pid %d: %s", (int)k->pid,
		    strerror(errno));
	if (r == 0 && signo == SIGHUP)
		tell(fd, k->pid, SIGCONT);	/* it ends, or sleeps on */
	if (r == 0)
		log_info(COMPONENT, "pid %d (%s): %s: %s%s%s", (int)k->pid,
		    st.name, signo == SIGHUP ? "SIGHUP" : "SIGKILL",
		    k->hinted ? o->opt.names[k->name] : "it is nobody's",
		    k->hinted ? " is over: " : "", k->hinted ? k->value : "");
	if (fd != -1)
		close(fd);
	return r == 0;
}

static bool
lives(const struct orphans *o, const struct known *k)
{
	return o->opt.lives != NULL &&
	    o->opt.lives(o->opt.arg, o->opt.names[k->name], k->value);
}

/*
 * A process that closed itself to us, as ssh-agent does, is somebody's as long
 * as anything lives that we started before it.
 */
static bool
is_nobodys(const struct orphans *o, const struct known *k)
{
	switch (k->verdict) {
	case OWNED:
		return !lives(o, k);
	case HIDDEN:
		return o->oldest > k->start;
	default:
		return k->verdict == NOBODYS;
	}
}

static void
judge_one(struct orphans *o, struct known *k)
{
	uint64_t	now = loop_now(o->loop);

	if (is_nobodys(o, k)) {
		if (!send_to(o, k, SIGHUP))
			return;
		o->counts.hung_up++;
		k->verdict = TOLD;
		k->told_ms = now;
	} else if (k->verdict == TOLD && o->opt.escalate_ms != 0 &&
	    now - k->told_ms >= o->opt.escalate_ms &&
	    send_to(o, k, SIGKILL)) {
		o->counts.killed++;
		k->verdict = KILLED;
	}
}

static void
note_start(void *arg, pid_t pid)
{
	struct orphans		*o = arg;
	struct procfs_stat	 st;

	if (procfs_stat("", pid, &st) == 0 && st.start < o->oldest)
		o->oldest = st.start;
}

static void
judge_begin(struct orphans *o)
{
	bool	hidden = false;
	size_t	i;

	for (i = 0; i < o->found.n; i++)
		hidden |= o->found.k[i].verdict == HIDDEN;
	o->oldest = UINT64_MAX;
	if (hidden)
		reap_each(o->reap, note_start, o);
	o->at = 0;
	o->phase = JUDGING;
}

/* The scan is over: its table is the one we know. */
static void
scan_end(struct orphans *o)
{
	struct table	old = o->known;

	o->known = o->found;
	o->found = old;
	o->found.n = 0;
	o->counts.ended++;
	o->phase = IDLE;
}

/* -- asking ---------------------------------------------------------------- */

/* Who has answered before, or never failed to: first. */
static void
choose(struct orphans *o, bool silent)
{
	const struct known	*k;
	size_t			 i;

	for (i = 0; i < o->found.n && o->nasked < ORPHAN_BATCH; i++) {
		k = &o->found.k[i];
		if (k->verdict == UNKNOWN && (k->silent > 0) == silent)
			o->asked[o->nasked++] = (uint32_t)i;
	}
}

static void
ask_begin(struct orphans *o)
{
	bool	stuck = false;
	size_t	i;

	sort_found(o);
	for (i = 0; i < ASKS; i++)
		stuck |= o->ask[i].running;
	o->nasked = 0;
	choose(o, false);
	if (!stuck)
		choose(o, true);
	o->phase = ASKING;
	for (i = 0; o->nasked > 0 && i < ASKS; i++)
		if (ask_start(&o->ask[i], look, o, ORPHAN_ASK_MS) == 0)
			return;
	judge_begin(o);
}

static void
was_silent(struct known *k)
{
	log_warn(COMPONENT, "pid %d does not let itself be looked at",
	    (int)k->pid);
	if (++k->silent == SILENT_MAX)
		k->verdict = EXCLUDED;
}

static void	on_slice(void *arg);

static void
on_answer(void *arg, int r, const void *p, size_t n)
{
	struct orphans	*o = arg;
	struct answer	 a;
	struct known	*k;
	size_t		 i;

	if (r < 0)
		log_warn(COMPONENT, "looking at processes: %s", strerror(-r));
	/* They come in the order of the questions. */
	for (i = 0; i < o->nasked && n >= sizeof a; i++, n -= sizeof a) {
		memcpy(&a, (const char *)p + i * sizeof a, sizeof a);
		k = &o->found.k[o->asked[i]];
		k->verdict = a.verdict == GONE ? UNKNOWN : a.verdict;
		k->hinted = a.hinted;
		k->name = a.name;
		memcpy(k->value, a.value, sizeof k->value);
	}
	if (r == -ETIMEDOUT && i < o->nasked)
		was_silent(&o->found.k[o->asked[i]]);
	judge_begin(o);
	on_slice(o);
}

/* -- a scan ---------------------------------------------------------------- */

static void
step(struct orphans *o)
{
	switch (o->phase) {
	case KIDS:
		if (o->nextkid < o->nkids) {
			look_at_kid(o, o->kid[o->nextkid++]);
		} else if (o->no_children) {
			o->sorted = 0;
			o->phase = EVERYBODY;
		} else {
			o->phase = BELOW;
		}
		break;
	case BELOW:
		if (!step_below(o))
			ask_begin(o);
		break;
	case EVERYBODY:
		if (!step_everybody(o))
			ask_begin(o);
		break;
	case JUDGING:
		if (o->at < o->found.n)
			judge_one(o, &o->found.k[o->at++]);
		else
			scan_end(o);
		break;
	default:
		break;
	}
}

/* Thousands of them must not keep the loop waiting. */
static void
on_slice(void *arg)
{
	struct orphans	*o = arg;
	unsigned	 i;

	for (i = 0; i < SLICE && o->phase != IDLE && o->phase != ASKING; i++)
		step(o);
	if (o->phase != IDLE && o->phase != ASKING)
		loop_timer_set(o->loop, &o->slice, loop_now(o->loop));
}

void
orphans_scan(struct orphans *o)
{
	if (o->phase != IDLE)
		return;
	o->counts.scans++;
	gather_begin(o);
	on_slice(o);
}

static void
on_timer(void *arg)
{
	struct orphans	*o = arg;

	loop_timer_set(o->loop, &o->timer,
	    loop_now(o->loop) + o->opt.interval_ms);
	orphans_scan(o);
}

/* -- life ------------------------------------------------------------------ */

int
orphans_create(struct orphans **out, struct loop *l, struct reap *r,
    const struct orphan_options *opt)
{
	struct orphans	*o;
	size_t		 i;
	int		 rc;

	if ((o = calloc(1, sizeof *o)) == NULL)
		return -ENOMEM;
	o->loop = l;
	o->reap = r;
	o->opt = *opt;
	if (opt->sys == NULL)
		o->opt.sys = &kernel;
	o->timer.fn = on_timer;
	o->slice.fn = on_slice;
	o->timer.arg = o->slice.arg = o;
	for (i = 0; i < ASKS; i++)
		ask_init(&o->ask[i], l, r, ORPHAN_BATCH *
		    sizeof(struct answer), on_answer, o);
	if ((rc = add_patterns(o, opt)) < 0) {
		orphans_destroy(o);
		return rc;
	}
	loop_timer_set(l, &o->timer, loop_now(l) + opt->interval_ms);
	*out = o;
	return 0;
}

void
orphans_destroy(struct orphans *o)
{
	size_t	i;

	if (o == NULL)
		return;
	loop_timer_clear(&o->timer);
	loop_timer_clear(&o->slice);
	for (i = 0; i < ASKS; i++)
		ask_finish(&o->ask[i]);
	while (o->npatterns > 0)
		regfree(&o->pattern[--o->npatterns]);
	free(o->pattern);
	free(o->kid);
	free(o->known.k);
	free(o->found.k);
	free(o);
}

void
orphans_counts(const struct orphans *o, struct orphan_counts *c)
{
	*c = o->counts;
	c->known = o->known.n;
}
