/*
 * What /proc, /sys, the blueprint and the container engine say: every input
 * is read as all of them.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/rfc3339.h"
#include "base/str.h"
#include "conf/blueprint.h"
#include "conf/quantity.h"
#include "proc/cgroup.h"
#include "proc/mounts.h"
#include "proc/procfs.h"
#include "proc/sysinfo.h"
#include "workspace/engine.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct bounds {
	const char	*start, *end;
};

static void
check_text(const struct bounds *b, const char *s)
{
	if (s < b->start || s + strlen(s) > b->end)
		abort();
}

static void
on_mount(void *arg, const struct mount_line *m)
{
	check_text(arg, m->point);
	check_text(arg, m->options);
	check_text(arg, m->type);
	check_text(arg, m->source);
}

static void
use_blueprint(const uint8_t *data, size_t n)
{
	struct blueprint	*b;
	size_t			 i;

	if (blueprint_parse(&b, "b", data, n) < 0)
		return;
	if (b->len != n || memcmp(b->text, data, n) != 0 || b->name == NULL ||
	    b->splash == NULL || b->storages.n > BLUEPRINT_STORAGES_MAX)
		abort();
	for (i = 0; i < b->storages.n; i++)
		if (b->storages.item[i].path[0] != '/' ||
		    !utf8_valid(b->storages.item[i].path,
		    strlen(b->storages.item[i].path)))
			abort();
	blueprint_declared(&b->podman.storages, "/var/lib/containers");
	blueprint_destroy(b);
}

static void
use_engine(const uint8_t *data, size_t n)
{
	struct engine_usage	u = { 0 };

	engine_read_version(&u, data, n);
	engine_read_libpod(&u, data, n);
	engine_read_info(&u, data, n);
	engine_read_df(&u, data, n);
	if (memchr(u.root_dir, '\0', sizeof u.root_dir) == NULL ||
	    !utf8_valid(u.root_dir, strlen(u.root_dir)) ||
	    u.all < 0 || u.running < 0)
		abort();
}

/* As the kernel gives it: not terminated. */
static void
use_stat(const uint8_t *data, size_t n)
{
	struct procfs_stat	s;
	char			*copy = malloc(n > 0 ? n : 1);

	if (copy == NULL)
		return;
	if (n > 0)
		memcpy(copy, data, n);
	if (procfs_parse_stat(copy, n, &s) == 0 && (s.pid < 0 || s.ppid < 0 ||
	    s.pgid < 0 || s.sid < 0 ||
	    memchr(s.name, '\0', sizeof s.name) == NULL))
		abort();
	free(copy);
}

static void
use_text(const char *text)
{
	char		list[64], path[64];
	uint64_t	v;
	int64_t		ns;
	double		limit;

	cgroup_find(text, "cpu", list, path, sizeof path);
	cgroup_find(text, "", list, path, sizeof path);
	cgroup_line(text, "oom_kill", &v);
	if (cgroup_cpu_max(text, &limit) == 0 && limit < -1)
		abort();
	sysinfo_start_ticks(text, &v);
	sysinfo_uptime(text, &v);
	sysinfo_busy_ticks(text, &v);
	sysinfo_meminfo(text, "MemTotal:", &v);
	quantity_parse(text, &v);
	if (rfc3339_parse(text, &ns) == 0 && ns < -INT64_C(86400000000000))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct bounds	b;
	char		*text = malloc(n + 1);

	if (text == NULL)
		return 0;
	log_set_level(LOG_FATAL);
	if (n > 0)
		memcpy(text, data, n);
	text[n] = '\0';
	use_text(text);
	use_stat(data, n);
	use_blueprint(data, n);
	use_engine(data, n);
	b.start = text;
	b.end = text + n;
	mounts_each(text, on_mount, &b);
	free(text);
	return 0;
}
