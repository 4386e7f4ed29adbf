#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "conf/blueprint.h"
#include "loop/loop.h"
#include "proc/ask.h"
#include "proc/cgroup.h"
#include "proc/history.h"
#include "proc/sysinfo.h"
#include "workspace/monitor.h"

#define COMPONENT	"sysinfo"
#define PATH_LEN	512
#define STARTED_SLACK_S	2	/* clocks drift; a start does not move */

/* A storage of the blueprint. */
struct storage {
	struct monitor	*m;
	const char	*path;		/* borrowed from the blueprint */
	uint64_t	 declared;
	bool		 mounted;
	bool		 hung;		/* said so */
	char		*source, *type, *options;	/* while mounted */
	struct mount_usage usage;
	struct ask	 ask;
	struct history	 history;
};

struct monitor {
	struct loop	*loop;
	struct monitor_options opt;
	struct loop_timer timer;
	unsigned	 rounds;
	struct cgroup_usage last;	/* of the round before */
	uint64_t	 last_ms;
	struct monitor_system system;
	struct history	 history;
	struct storage	*storages;	/* by path, each once */
	size_t		 nstorages;
	struct ask	 engine_ask;
	bool		 has_engine;
	struct engine_usage *engine;	/* allocated when first needed */
	struct history	 engine_history;
};

static int64_t
wall_ms(void)
{
	struct timespec	ts = { 0, 0 };

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* -- processor and memory -------------------------------------------------- */

/* Millicores since the last look, or NAN. */
static double
cpu_usage(const struct monitor *m, const struct cgroup_usage *u, uint64_t now)
{
	if (!u->has_cpu || !m->last.has_cpu || now <= m->last_ms ||
	    u->cpu_us < m->last.cpu_us)
		return (double)NAN;
	return (double)(u->cpu_us - m->last.cpu_us) /
	    (double)(now - m->last_ms);
}

static double
or_zero(double v)
{
	return isnan(v) ? 0 : v;
}

/* Of the limit, which is taken to have been what it is now. */
static void
set_percentages(struct monitor *m, int64_t now)
{
	static const int64_t	minutes[] = { 1, 5, 15 };
	double			v;
	size_t			i;

	for (i = 0; i < ARRAY_LEN(minutes); i++) {
		v = history_mean_since(&m->history, now - minutes[i] * 60, 0);
		if (m->system.cpu_limit > 0)
			v = v / m->system.cpu_limit * 100;
		else
			v = 0;
		m->system.cpu_percent[i] =
		    (double)(int64_t)(or_zero(v) * 100 + 0.5) / 100;
	}
}

static void
collect_system(struct monitor *m, int64_t now)
{
	struct monitor_system	*s = &m->system;
	uint64_t		 now_ms = loop_now(m->loop);
	struct cgroup_usage	 u;
	double			 v[HISTORY_FLOATS];

	sysinfo_read(m->opt.root, &u);
	v[0] = cpu_usage(m, &u, now_ms);
	v[1] = s->cpu_limit = u.cpu_limit;
	v[2] = u.has_memory ? (double)u.memory / MONITOR_MIB : (double)NAN;
	v[3] = s->memory_limit = u.memory_limit == CGROUP_NO_LIMIT ? -1 :
	    (double)u.memory_limit / MONITOR_MIB;
	s->cpu = or_zero(v[0]);
	s->memory = or_zero(v[2]);
	history_add_floats(&m->history, now, v);
	m->last = u;
	m->last_ms = now_ms;
	set_percentages(m, now);
}

static void
find_start(struct monitor *m)
{
	int64_t	started, *known = &m->system.started;

	if (sysinfo_started(m->opt.root, wall_ms(), &started) < 0)
		return;
	if (*known == 0 || llabs(started - *known) > STARTED_SLACK_S)
		*known = started;
}

/* -- mounts ---------------------------------------------------------------- */

static void
forget_mount(struct storage *s)
{
	free(s->source);
	free(s->type);
	free(s->options);
	s->source = s->type = s->options = NULL;
	s->mounted = false;
}

static char *
copy_text(const char *s)
{
	size_t	 n = strlen(s);
	char	*out = malloc(3 * n + 1);	/* a bad byte becomes three */

	if (out != NULL)
		utf8_repair(s, n, out, 3 * n + 1);
	return out;
}

/* Later lines lie on top of earlier ones. */
static void
on_mount(void *arg, const struct mount_line *line)
{
	struct monitor	*m = arg;
	struct storage	*s = NULL;
	size_t		 i;

	for (i = 0; i < m->nstorages && s == NULL; i++)
		if (strcmp(m->storages[i].path, line->point) == 0)
			s = &m->storages[i];
	if (s == NULL)
		return;
	forget_mount(s);
	s->source = copy_text(line->source);
	s->type = copy_text(line->type);
	s->options = copy_text(line->options);
	s->mounted = s->source != NULL && s->type != NULL &&
	    s->options != NULL;
}

static void
find_mounts(struct monitor *m)
{
	char	path[PATH_LEN], *text;
	size_t	i, n;

	if (str_format(path, sizeof path, "%s/proc/self/mountinfo",
	    m->opt.root) < 0 ||
	    file_read(path, MOUNTS_TEXT_MAX, &text, &n) < 0)
		return;			/* as it was */
	for (i = 0; i < m->nstorages; i++)
		forget_mount(&m->storages[i]);
	mounts_each(text, on_mount, m);
	free(text);
}

/* In the child. */
static void
ask_mount(void *arg, int fd)
{
	const struct storage	*s = arg;
	struct mount_usage	 u;

	if (s->m->opt.statfs(s->path, &u) == 0)
		ask_write(fd, &u, sizeof u);
}

static void
on_mount_usage(void *arg, int r, const void *p, size_t n)
{
	struct storage	*s = arg;

	if (r == -ETIMEDOUT && !s->hung)
		log_warn(COMPONENT, "%s: the file system does not answer",
		    s->path);
	else if (r == 0 && s->hung)
		log_info(COMPONENT, "%s: the file system answers again",
		    s->path);
	s->hung = r == -ETIMEDOUT;
	if (r < 0 || n != sizeof s->usage)
		return;
	memcpy(&s->usage, p, n);
	history_add_numbers(&s->history, loop_wall(),
	    (const uint64_t[]){ s->usage.used, s->usage.total });
}

static void
collect_mounts(struct monitor *m)
{
	struct storage	*s;
	size_t		 i;

	if (m->nstorages == 0)
		return;
	find_mounts(m);
	for (i = 0; i < m->nstorages; i++) {
		s = &m->storages[i];
		/* Busy: the child of an earlier round still hangs. */
		if (s->mounted)
			ask_start(&s->ask, ask_mount, s, m->opt.statfs_ms);
	}
}

/* -- container engine ------------------------------------------------------ */

static void
ask_engine(void *arg, int fd)
{
	const struct monitor	*m = arg;
	struct engine_usage	 u;

	if (engine_query(m->opt.sockets, &u) == 0)
		ask_write(fd, &u, sizeof u);
}

static void
on_engine_usage(void *arg, int r, const void *p, size_t n)
{
	struct monitor		*m = arg;
	struct engine_usage	*u;

	m->has_engine = false;
	if (r < 0 || n != sizeof *u || (m->engine == NULL &&
	    (m->engine = malloc(sizeof *u)) == NULL))
		return;
	u = m->engine;
	memcpy(u, p, n);
	m->has_engine = true;
	history_add_numbers(&m->engine_history, loop_wall(),
	    (const uint64_t[]){ u->total, monitor_engine_declared(m) });
}

/* -- rounds ---------------------------------------------------------------- */

static void
collect(void *arg)
{
	struct monitor	*m = arg;
	uint32_t	 wait = m->opt.interval_ms;

	if (m->rounds++ == 0)
		wait = m->opt.first_ms;
	find_start(m);
	collect_system(m, loop_wall());
	collect_mounts(m);
	if (m->opt.blueprint != NULL && m->opt.blueprint->podman.enabled)
		ask_start(&m->engine_ask, ask_engine, m, MONITOR_ENGINE_MS);
	loop_timer_set(m->loop, &m->timer, loop_now(m->loop) + wait);
	if (m->opt.collected != NULL)
		m->opt.collected(m->opt.arg);
}

static int
by_path(const void *a, const void *b)
{
	const struct storage	*x = a, *y = b;

	return strcmp(x->path, y->path);
}

/* Sorted before anything points at them. */
static int
create_storages(struct monitor *m, struct reap *r)
{
	const struct blueprint_storages	*from;
	struct storage			*s;
	size_t				 i, n = 0;

	if (m->opt.blueprint == NULL || m->opt.blueprint->storages.n == 0)
		return 0;
	from = &m->opt.blueprint->storages;
	if ((m->storages = calloc(from->n, sizeof *s)) == NULL)
		return -ENOMEM;
	for (i = 0; i < from->n; i++) {
		m->storages[i].path = from->item[i].path;
		m->storages[i].declared = from->item[i].declared;
	}
	qsort(m->storages, from->n, sizeof *s, by_path);
	for (i = 0; i < from->n; i++)
		if (n == 0 || by_path(&m->storages[n - 1],
		    &m->storages[i]) != 0)
			m->storages[n++] = m->storages[i];
	m->nstorages = n;
	for (i = 0; i < n; i++) {
		s = &m->storages[i];
		s->m = m;
		ask_init(&s->ask, m->loop, r, sizeof s->usage,
		    on_mount_usage, s);
	}
	return 0;
}

static void
set_defaults(struct monitor_options *o)
{
	if (o->root == NULL)
		o->root = "";
	if (o->sockets == NULL)
		o->sockets = engine_sockets;
	if (o->first_ms == 0)
		o->first_ms = MONITOR_FIRST_MS;
	if (o->interval_ms == 0)
		o->interval_ms = HISTORY_STEP_S * 1000;
	if (o->statfs_ms == 0)
		o->statfs_ms = MONITOR_STATFS_MS;
	if (o->statfs == NULL)
		o->statfs = mounts_statfs;
}

struct monitor *
monitor_create(struct loop *l, struct reap *r,
    const struct monitor_options *opt)
{
	struct monitor	*m = calloc(1, sizeof *m);

	if (m == NULL)
		return NULL;
	m->loop = l;
	m->opt = *opt;
	set_defaults(&m->opt);
	m->system.cpu_limit = m->system.memory_limit = -1;
	m->timer.fn = collect;
	m->timer.arg = m;
	ask_init(&m->engine_ask, l, r, sizeof *m->engine, on_engine_usage, m);
	if (create_storages(m, r) < 0) {
		monitor_destroy(m);
		return NULL;
	}
	loop_timer_set(l, &m->timer, loop_now(l));
	return m;
}

void
monitor_destroy(struct monitor *m)
{
	size_t	i;

	if (m == NULL)
		return;
	loop_timer_clear(&m->timer);
	for (i = 0; i < m->nstorages; i++) {
		ask_finish(&m->storages[i].ask);
		forget_mount(&m->storages[i]);
		history_finish(&m->storages[i].history);
	}
	ask_finish(&m->engine_ask);
	history_finish(&m->history);
	history_finish(&m->engine_history);
	free(m->storages);
	free(m->engine);
	free(m);
}

/* -- what is known --------------------------------------------------------- */

const struct monitor_system *
monitor_system(const struct monitor *m)
{
	return &m->system;
}

/* A word of a comma-separated list. */
static bool
has_option(const char *options, const char *word)
{
	size_t	n = strlen(word);

	while (strncmp(options, word, n) != 0 ||
	    (options[n] != ',' && options[n] != '\0')) {
		options += strcspn(options, ",");
		if (*options++ == '\0')
			return false;
	}
	return true;
}

bool
monitor_mount(const struct monitor *m, size_t i, struct monitor_mount *out)
{
	const struct storage	*s;
	size_t			 at;

	for (at = 0; at < m->nstorages; at++)
		if (m->storages[at].mounted && i-- == 0)
			break;
	if (at == m->nstorages)
		return false;
	s = &m->storages[at];
	*out = (struct monitor_mount){
		.point = s->path, .source = s->source, .type = s->type,
		.options = s->options,
		.read_only = has_option(s->options, "ro"),
		.temporary = strcmp(s->type, "tmpfs") == 0 ||
		    strcmp(s->type, "overlay") == 0,
		.usage = s->usage, .declared = s->declared,
		.history = &s->history,
	};
	return true;
}

const struct engine_usage *
monitor_engine(const struct monitor *m)
{
	return m->has_engine ? m->engine : NULL;
}

uint64_t
monitor_engine_declared(const struct monitor *m)
{
	if (!m->has_engine)
		return 0;
	return blueprint_declared(&m->opt.blueprint->podman.storages,
	    m->engine->root_dir);
}

const struct history *
monitor_system_history(const struct monitor *m)
{
	return &m->history;
}

const struct history *
monitor_engine_history(const struct monitor *m)
{
	return &m->engine_history;
}
