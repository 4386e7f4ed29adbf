/* See orphan.h. */
#include <errno.h>
#include <regex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "proc/ask.h"
#include "proc/orphan.h"
#include "proc/procfile.h"
#include "proc/procfs.h"

#define COMPONENT	"orphans"
#define KNOWN_MAX	65536u
#define CMDLINE_MAX	32768
#define STATUS_MAX	4096
#define VALUE_MAX	129		/* the longest session id */
#define SLICE		256		/* looked at in one turn of the loop */

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
	NOBODYS,
	TOLD,				/* SIGHUP */
	KILLED
};

struct known {
	pid_t	 pid, pgid;
	uint64_t start;
	enum verdict verdict;
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

struct orphans {
	struct loop	*loop;		/* borrowed */
	struct reap	*reap;		/* borrowed */
	struct orphan_options opt;
	regex_t		*pattern;
	size_t		 npatterns;
	struct loop_timer timer;
	struct ask	 ask;
	bool		 asking;
	struct table	 known;
	struct table	 found;		/* while a scan runs */
	pid_t		*kid;		/* our children when it began */
	size_t		 nkids, ckids, at;
	bool		 gathering;
	struct loop_timer slice;
	pid_t		 group;		/* of whom we look below */
	bool		 below;
	uint64_t	 now_ticks;
	long		 hz;
	struct orphan_counts counts;
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

/* -- the child: what may hang its reader ------------------------------------ */

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

	a->verdict = NOBODYS;
	str_format(path, sizeof path, "/proc/%d", (int)pid);
	look_as(path);
	if (procfs_cmdline("", pid, text, sizeof text) < 0) {
		a->verdict = GONE;
		return;
	}
	for (i = 0; i < o->npatterns; i++)
		if (regexec(&o->pattern[i], text, 0, NULL, 0) == 0) {
			a->verdict = EXCLUDED;
			return;
		}
	for (i = 0; o->opt.names != NULL && o->opt.names[i] != NULL; i++)
		if (procfs_environ("", pid, o->opt.names[i], a->value,
		    sizeof a->value) == 1) {
			a->name = (uint32_t)i;
			a->hinted = true;
			a->verdict = OWNED;
			return;
		}
}

static void
look(void *arg, int fd)
{
	const struct orphans	*o = arg;
	struct answer		 a;
	unsigned		 n = 0;
	size_t			 i;

	for (i = 0; i < o->found.n && n < ORPHAN_BATCH; i++) {
		if (o->found.k[i].verdict != UNKNOWN)
			continue;
		memset(&a, 0, sizeof a);
		a.pid = o->found.k[i].pid;
		look_at(o, a.pid, &a);
		setfsuid(geteuid());
		setfsgid(getegid());
		ask_write(fd, &a, sizeof a);
		n++;
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

/* As /proc shows it to us: "NSpid:\t812\t1" is a container of ours. */
static bool
has_own_namespace(pid_t pid)
{
	char	path[64], text[STATUS_MAX], *p;

	str_format(path, sizeof path, "/proc/%d/status", (int)pid);
	if (procfile_read(path, text, sizeof text) < 0 ||
	    (p = strstr(text, "\nNSpid:\t")) == NULL)
		return false;
	p += strlen("\nNSpid:\t");
	return p[strspn(p, "0123456789")] == '\t';
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
	    (uint64_t)o->hz * ORPHAN_AGE_MS / 1000;
}

/* One of our children, or of the group below one of them. */
static bool
consider(void *arg, pid_t pid)
{
	struct orphans		*o = arg;
	const struct known	*old;
	struct procfs_stat	 st;

	if (pid == getpid() || reap_is_watched(o->reap, pid) ||
	    procfs_stat("", pid, &st) < 0 || !is_orphan(o, &st) ||
	    (o->below ? st.pgid != o->group : st.ppid != getpid()) ||
	    !is_old(o, &st) || has_own_namespace(pid))
		return true;
	if (!reserve(&o->found))
		return false;
	old = find(&o->known, pid);
	if (old != NULL && old->start == st.start)
		o->found.k[o->found.n] = *old;
	else
		o->found.k[o->found.n] = (struct known){ .pid = pid,
		    .start = st.start };
	o->found.k[o->found.n++].pgid = st.pgid;
	return true;
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
gather_begin(struct orphans *o)
{
	struct timespec	ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	o->now_ticks = (uint64_t)ts.tv_sec * (uint64_t)o->hz +
	    (uint64_t)ts.tv_nsec / (1000000000u / (uint64_t)o->hz);
	o->found.n = o->nkids = o->at = 0;
	o->below = false;
	if (procfs_children("", getpid(), add_kid, o) == -ENOSYS)
		procfs_each("", add_kid, o);
	o->gathering = true;
}

/* True at the end: ten thousand of them must not keep the loop waiting. */
static bool
gather_slice(struct orphans *o)
{
	size_t	i, end = o->nkids - o->at > SLICE ? o->at + SLICE : o->nkids;

	while (o->at < end)
		consider(o, o->kid[o->at++]);
	if (o->at < o->nkids)
		return false;
	o->below = true;
	for (i = 0; i < o->found.n; i++) {
		o->group = o->found.k[i].pgid;
		procfs_children("", o->found.k[i].pid, consider, o);
	}
	if (o->found.n > 0)
		qsort(o->found.k, o->found.n, sizeof *o->found.k, compare);
	o->gathering = false;
	return true;
}

/* -- telling --------------------------------------------------------------- */

/* To the very process that was looked at.  False: it is another, or gone. */
static bool
send_to(const struct orphans *o, const struct known *k, int signo)
{
	struct procfs_stat	st;
	int			fd, r;

	fd = (int)syscall(SYS_pidfd_open, k->pid, 0);
	if (fd == -1 && errno == ESRCH)
		return false;
	if (procfs_stat("", k->pid, &st) < 0 || st.start != k->start ||
	    !is_orphan(o, &st)) {
		if (fd != -1)
			close(fd);
		return false;
	}
	if (fd == -1)			/* no such call: ours stay ours */
		r = kill(k->pid, signo);
	else
		r = (int)syscall(SYS_pidfd_send_signal, fd, signo, NULL, 0);
	if (r == -1)
		log_debug(COMPONENT, "pid %d: %s", (int)k->pid,
		    strerror(errno));
	if (r == 0 && signo == SIGHUP)
		kill(k->pid, SIGCONT);	/* it ends, or sleeps on */
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

static void
judge_one(struct orphans *o, struct known *k)
{
	uint64_t	now = loop_now(o->loop);

	if (k->verdict == NOBODYS || (k->verdict == OWNED && !lives(o, k))) {
		o->counts.hung_up += send_to(o, k, SIGHUP);
		k->verdict = TOLD;
		k->told_ms = now;
	} else if (k->verdict == TOLD && o->opt.escalate_ms != 0 &&
	    now - k->told_ms >= o->opt.escalate_ms) {
		o->counts.killed += send_to(o, k, SIGKILL);
		k->verdict = KILLED;
	}
}

/* The scan is over: its table is the one we know. */
static void
judge(struct orphans *o)
{
	struct table	old = o->known;
	size_t		i;

	for (i = 0; i < o->found.n; i++)
		judge_one(o, &o->found.k[i]);
	o->known = o->found;
	o->found = old;
	o->found.n = 0;
}

static void
on_answer(void *arg, int r, const void *p, size_t n)
{
	struct orphans	*o = arg;
	struct answer	 a;
	struct known	*k;

	o->asking = false;
	if (r < 0)
		log_warn(COMPONENT, "a process does not let itself be looked "
		    "at: %s", strerror(-r));
	for (; n >= sizeof a; p = (const char *)p + sizeof a, n -= sizeof a) {
		memcpy(&a, p, sizeof a);
		k = (struct known *)(uintptr_t)find(&o->found, a.pid);
		if (k == NULL)
			continue;
		k->verdict = a.verdict == GONE ? UNKNOWN : a.verdict;
		k->hinted = a.hinted;
		k->name = a.name;
		memcpy(k->value, a.value, sizeof k->value);
	}
	judge(o);
}

static void
on_slice(void *arg)
{
	struct orphans	*o = arg;
	bool		 ask = false;
	size_t		 i;

	if (!gather_slice(o)) {
		loop_timer_set(o->loop, &o->slice, loop_now(o->loop));
		return;
	}
	for (i = 0; i < o->found.n; i++)
		ask |= o->found.k[i].verdict == UNKNOWN;
	o->asking = ask && ask_start(&o->ask, look, o, ORPHAN_ASK_MS) == 0;
	if (!o->asking)
		judge(o);
}

void
orphans_scan(struct orphans *o)
{
	if (o->asking || o->gathering)
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
	int		 rc;

	if ((o = calloc(1, sizeof *o)) == NULL)
		return -ENOMEM;
	o->loop = l;
	o->reap = r;
	o->opt = *opt;
	o->hz = sysconf(_SC_CLK_TCK);
	o->timer.fn = on_timer;
	o->slice.fn = on_slice;
	o->timer.arg = o->slice.arg = o;
	ask_init(&o->ask, l, r, ORPHAN_BATCH * sizeof(struct answer),
	    on_answer, o);
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
	if (o == NULL)
		return;
	loop_timer_clear(&o->timer);
	loop_timer_clear(&o->slice);
	ask_finish(&o->ask);
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
