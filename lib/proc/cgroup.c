#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "proc/cgroup.h"
#include "proc/procfile.h"

#define TEXT_MAX	1024		/* of one file of a cgroup */
#define SELF_MAX	(8u * 1024)	/* of /proc/self/cgroup */
#define PATH_LEN	1024
#define MOUNT		"/sys/fs/cgroup"

/* v1 says "no limit" with the largest number of pages, in bytes. */
#define V1_NO_LIMIT	(UINT64_C(1) << 62)

/* Where one controller's files are. */
struct place {
	char	 base[PATH_LEN];	/* the mount */
	char	 rel[PATH_LEN];		/* below it, "" or "/a/b" */
	bool	 v2;
};

/* -- parsers --------------------------------------------------------------- */

/* Whether the comma-separated list has item. */
static bool
list_has(const char *list, size_t n, const char *item)
{
	size_t	len = strlen(item), i = 0, end;

	if (n == 0 || len == 0)
		return n == len;
	while (i < n) {
		for (end = i; end < n && list[end] != ','; end++)
			;
		if (end - i == len && memcmp(list + i, item, len) == 0)
			return true;
		i = end + 1;
	}
	return false;
}

static int
copy(char *out, size_t len, const char *p, size_t n)
{
	if (n >= len)
		return -ENAMETOOLONG;
	memcpy(out, p, n);
	out[n] = '\0';
	return 0;
}

int
cgroup_find(const char *text, const char *controller, char *list, char *path,
    size_t len)
{
	const char	*p = text, *names, *colon;
	size_t		 line;

	for (; *p != '\0'; p += line + (p[line] == '\n')) {
		line = strcspn(p, "\n");
		if ((names = memchr(p, ':', line)) == NULL)
			continue;
		names++;
		colon = memchr(names, ':', line - (size_t)(names - p));
		if (colon == NULL ||
		    !list_has(names, (size_t)(colon - names), controller))
			continue;
		if (copy(list, len, names, (size_t)(colon - names)) < 0)
			return -ENAMETOOLONG;
		return copy(path, len, colon + 1,
		    line - (size_t)(colon + 1 - p));
	}
	return -ENOENT;
}

int
cgroup_line(const char *text, const char *key, uint64_t *v)
{
	const char	*p = text;
	size_t		 n = strlen(key);

	while (p != NULL && (!str_prefix(p, key) || p[n] != ' '))
		if ((p = strchr(p, '\n')) != NULL)
			p++;
	if (p == NULL)
		return -EINVAL;
	p += n + 1;
	return mem_to_u64(p, strcspn(p, "\n"), UINT64_MAX, v) == 0 ? 0 :
	    -EINVAL;
}

int
cgroup_cpu_max(const char *text, double *millicores)
{
	size_t		n = strcspn(text, " "), rest;
	uint64_t	quota, period;

	if (text[n] != ' ')
		return -EINVAL;
	rest = strcspn(text + n + 1, "\n");
	if (mem_to_u64(text + n + 1, rest, UINT64_MAX, &period) < 0 ||
	    period == 0)
		return -EINVAL;
	if (n == 3 && memcmp(text, "max", 3) == 0) {
		*millicores = -1;
		return 0;
	}
	if (mem_to_u64(text, n, UINT64_MAX, &quota) < 0)
		return -EINVAL;
	*millicores = (double)quota / (double)period * 1000;
	return 0;
}

/* -- files ----------------------------------------------------------------- */

/* Text of base + rel + "/" + name; 0 or -errno. */
static int
read_text(const struct place *at, const char *rel, const char *name,
    char text[TEXT_MAX])
{
	char	path[2 * PATH_LEN + 64];
	int	r;

	r = str_format(path, sizeof path, "%s%s/%s", at->base, rel, name);
	return r < 0 ? r : procfile_read(path, text, TEXT_MAX);
}

/* 0, -EINVAL if it is no number ("max"), or -errno. */
static int
read_number(const struct place *at, const char *rel, const char *name,
    uint64_t *v)
{
	char	text[TEXT_MAX];
	int	r = read_text(at, rel, name, text);

	return r < 0 ? r : mem_to_u64(text, strcspn(text, "\n"), UINT64_MAX, v);
}

static bool
exists(const char *a, const char *b)
{
	char	path[2 * PATH_LEN];

	return str_format(path, sizeof path, "%s%s", a, b) >= 0 &&
	    access(path, F_OK) == 0;
}

/* A way out of the namespace, as "/../.." is. */
static bool
leads_out(const char *path)
{
	const char	*p = path;

	while ((p = strstr(p, "/..")) != NULL) {
		if (p[3] == '/' || p[3] == '\0')
			return true;
		p += 3;
	}
	return path[0] != '/';
}

static int
set_base(struct place *at, const char *root, const char *list,
    const char *controller)
{
	int	r;

	r = str_format(at->base, sizeof at->base, "%s" MOUNT "%s%s", root,
	    list[0] != '\0' ? "/" : "", list);
	if (r >= 0 && exists(at->base, ""))
		return 0;
	r = str_format(at->base, sizeof at->base, "%s" MOUNT "/%s", root,
	    controller);
	return r >= 0 && exists(at->base, "") ? 0 : -ENOENT;
}

/* Where the group itself can't be seen, its mount has to do. */
static void
check_rel(struct place *at)
{
	if (leads_out(at->rel) || strcmp(at->rel, "/") == 0 ||
	    !exists(at->base, at->rel))
		at->rel[0] = '\0';
}

static int
find_v2(struct place *at, const char *root, const char *self)
{
	char	list[PATH_LEN];

	if (cgroup_find(self, "", list, at->rel, sizeof list) < 0 ||
	    set_base(at, root, "", "") < 0)
		return -ENOENT;
	if (!exists(at->base, "/cgroup.controllers") &&
	    exists(at->base, "/unified") &&
	    set_base(at, root, "unified", "") < 0)
		return -ENOENT;
	check_rel(at);
	return 0;
}

/* self: text of /proc/self/cgroup. */
static int
find_place(struct place *at, const char *root, const char *self,
    const char *controller)
{
	char	list[PATH_LEN];
	int	r;

	r = cgroup_find(self, controller, list, at->rel, sizeof list);
	at->v2 = r < 0;
	if (r < 0)
		return find_v2(at, root, self);
	if (set_base(at, root, list, controller) < 0)
		return -ENOENT;
	check_rel(at);
	return 0;
}

int
cgroup_own(const char *root, char *path, size_t len)
{
	char		file[PATH_LEN], self[SELF_MAX];
	struct place	at;
	int		r;

	r = str_format(file, sizeof file, "%s/proc/self/cgroup", root);
	if (r < 0)
		return r;
	if (procfile_read(file, self, sizeof self) < 0 ||
	    find_v2(&at, root, self) < 0 ||
	    !exists(at.base, "/cgroup.controllers"))
		return -ENOENT;
	r = str_format(path, len, "%s%s", at.base, at.rel);
	return r < 0 ? r : 0;
}

/* rel becomes the group above; false: there is none. */
static bool
go_up(char *rel)
{
	char	*slash = strrchr(rel, '/');

	if (slash == NULL)
		return false;
	*slash = '\0';
	return true;
}

/* -- cpu ------------------------------------------------------------------- */

static int
cpu_used(const struct place *at, uint64_t *us)
{
	char	text[TEXT_MAX];
	int	r;

	if (at->v2) {
		r = read_text(at, at->rel, "cpu.stat", text);
		return r < 0 ? r : cgroup_line(text, "usage_usec", us);
	}
	if ((r = read_number(at, at->rel, "cpuacct.usage", us)) == 0)
		*us /= 1000;
	return r;
}

static double
cpu_limit_of(const struct place *at, const char *rel)
{
	char		text[TEXT_MAX];
	uint64_t	quota, period;
	double		v;

	if (at->v2)
		return read_text(at, rel, "cpu.max", text) == 0 &&
		    cgroup_cpu_max(text, &v) == 0 ? v : -1;
	if (read_number(at, rel, "cpu.cfs_quota_us", &quota) < 0 ||
	    read_number(at, rel, "cpu.cfs_period_us", &period) < 0 ||
	    period == 0)
		return -1;		/* the quota of no limit is -1 */
	return (double)quota / (double)period * 1000;
}

static double
cpu_limit(struct place *at)
{
	double	limit = -1, v;

	do {
		v = cpu_limit_of(at, at->rel);
		if (v >= 0 && (limit < 0 || v < limit))
			limit = v;
	} while (go_up(at->rel));
	return limit;
}

/* -- memory ---------------------------------------------------------------- */

static uint64_t
memory_limit(struct place *at)
{
	const char	*name = at->v2 ? "memory.max" :
	    "memory.limit_in_bytes";
	uint64_t	 limit = CGROUP_NO_LIMIT, v;

	do
		if (read_number(at, at->rel, name, &v) == 0 &&
		    (at->v2 || v < V1_NO_LIMIT) && v < limit)
			limit = v;
	while (go_up(at->rel));
	return limit;
}

/* Text of /proc/self/cgroup; 0 or -errno. */
static int
read_self(const char *root, char self[SELF_MAX])
{
	char	path[PATH_LEN];
	int	r;

	r = str_format(path, sizeof path, "%s/proc/self/cgroup", root);
	return r < 0 ? r : procfile_read(path, self, SELF_MAX);
}

int
cgroup_oom_kills(const char *root, uint64_t *n)
{
	char		self[SELF_MAX], text[TEXT_MAX];
	struct place	at;

	if (read_self(root, self) < 0 ||
	    find_place(&at, root, self, "memory") < 0 ||
	    read_text(&at, at.rel, at.v2 ? "memory.events" :
	    "memory.oom_control", text) < 0 ||
	    cgroup_line(text, "oom_kill", n) < 0)
		return -ENOENT;
	return 0;
}

void
cgroup_read(const char *root, struct cgroup_usage *u)
{
	char		self[SELF_MAX];
	struct place	at;

	*u = (struct cgroup_usage){ .cpu_limit = -1,
	    .memory_limit = CGROUP_NO_LIMIT };
	if (read_self(root, self) < 0)
		return;
	if (find_place(&at, root, self, "cpuacct") == 0)
		u->has_cpu = cpu_used(&at, &u->cpu_us) == 0;
	if (find_place(&at, root, self, "cpu") == 0)
		u->cpu_limit = cpu_limit(&at);
	if (find_place(&at, root, self, "memory") == 0) {
		u->has_memory = read_number(&at, at.rel, at.v2 ?
		    "memory.current" : "memory.usage_in_bytes",
		    &u->memory) == 0;
		u->memory_limit = memory_limit(&at);
	}
}
