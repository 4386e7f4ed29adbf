#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/str.h"
#include "proc/cgroup.h"
#include "proc/procfile.h"
#include "proc/procfs.h"
#include "proc/sysinfo.h"

#define TEXT_MAX	1024	/* the lines we want come first */
#define PATH_LEN	512
#define UPTIME_MAX	(UINT64_C(1) << 40)	/* seconds */
#define TICKS_MAX	(UINT64_C(1) << 60)

/* The number at the n-th blank-separated word of text, from 0. */
static int
word_number(const char *text, unsigned n, uint64_t *v)
{
	const char	*p = text + strspn(text, " ");

	for (; n > 0; n--) {
		p += strcspn(p, " \n");
		p += strspn(p, " ");
	}
	return mem_to_u64(p, strcspn(p, " \n"), TICKS_MAX, v) == 0 ? 0 :
	    -EINVAL;
}

int
sysinfo_start_ticks(const char *text, uint64_t *ticks)
{
	struct procfs_stat	s;
	int			r;

	if ((r = procfs_parse_stat(text, strlen(text), &s)) < 0)
		return r;
	if (s.start > TICKS_MAX)
		return -EINVAL;
	*ticks = s.start;
	return 0;
}

int
sysinfo_uptime(const char *text, uint64_t *ms)
{
	size_t		n = strcspn(text, ".");
	uint64_t	seconds, part = 0;

	if (mem_to_u64(text, n, UPTIME_MAX, &seconds) < 0)
		return -EINVAL;
	if (text[n] == '.' && mem_to_u64(text + n + 1,
	    strcspn(text + n + 1, " \n"), 99, &part) < 0)
		return -EINVAL;
	*ms = seconds * 1000 + part * 10;
	return 0;
}

int
sysinfo_busy_ticks(const char *text, uint64_t *ticks)
{
	/* user nice system (idle iowait) irq softirq steal */
	static const unsigned	fields[] = { 1, 2, 3, 6, 7, 8 };
	uint64_t		sum = 0, v;
	size_t			i;

	if (!str_prefix(text, "cpu "))
		return -EINVAL;
	for (i = 0; i < ARRAY_LEN(fields); i++) {
		if (word_number(text, fields[i], &v) < 0)
			return -EINVAL;
		sum += v;
	}
	*ticks = sum;
	return 0;
}

int
sysinfo_meminfo(const char *text, const char *key, uint64_t *bytes)
{
	const char	*p = text;

	while (p != NULL && !str_prefix(p, key))
		if ((p = strchr(p, '\n')) != NULL)
			p++;
	if (p == NULL || word_number(p + strlen(key), 0, bytes) < 0 ||
	    *bytes > UINT64_MAX / 1024)
		return -EINVAL;
	*bytes *= 1024;
	return 0;
}

static int
read_proc(const char *root, const char *name, char text[TEXT_MAX])
{
	char	path[PATH_LEN];
	int	r = str_format(path, sizeof path, "%s/proc/%s", root, name);

	return r < 0 ? r : procfile_read(path, text, TEXT_MAX);
}

void
sysinfo_read(const char *root, struct cgroup_usage *u)
{
	char		text[TEXT_MAX];
	uint64_t	ticks, total, available;

	cgroup_read(root, u);
	if (!u->has_cpu && read_proc(root, "stat", text) == 0 &&
	    sysinfo_busy_ticks(text, &ticks) == 0) {
		u->has_cpu = true;
		u->cpu_us = ticks / procfs_hz() * 1000000 +
		    ticks % procfs_hz() * 1000000 / procfs_hz();
	}
	if (!u->has_memory && read_proc(root, "meminfo", text) == 0 &&
	    sysinfo_meminfo(text, "MemTotal:", &total) == 0 &&
	    sysinfo_meminfo(text, "MemAvailable:", &available) == 0 &&
	    available <= total) {
		u->has_memory = true;
		u->memory = total - available;
	}
}

int
sysinfo_started(const char *root, int64_t now_ms, int64_t *seconds)
{
	char		text[TEXT_MAX];
	uint64_t	uptime, ticks;
	int		r;

	if ((r = read_proc(root, "uptime", text)) < 0 ||
	    (r = sysinfo_uptime(text, &uptime)) < 0)
		return r;
	if (read_proc(root, "1/stat", text) < 0 &&
	    (r = read_proc(root, "self/stat", text)) < 0)
		return r;
	if ((r = sysinfo_start_ticks(text, &ticks)) < 0)
		return r;
	*seconds = (now_ms - (int64_t)uptime +
	    (int64_t)(ticks / procfs_hz() * 1000)) / 1000;
	return 0;
}
