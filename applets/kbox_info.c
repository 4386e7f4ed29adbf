/*
 * info: the workspace, its processor, memory and storage (GET /sysinfo).
 */
#include <stdlib.h>
#include <string.h>

#include "applets/kbox_table.h"
#include "applets/kbox_text.h"
#include "base/str.h"

static const char *
env_text(const char *name)
{
	const char	*v = getenv(name);

	return v != NULL ? v : "";
}

/* Daemons before ours do not say. */
static void
add_auth(struct kbox *k, struct kbox_group *g, const struct value *v)
{
	const char	*auth = value_text(v, "auth");
	bool		 none = strcmp(auth, "none") == 0;

	if (auth[0] == '\0')
		return;
	kbox_group_add(k, g, "Authentication", none ?
	    "NONE: whoever reaches the gRPC port gets a shell here" : auth);
	if (none)
		kbox_group_color(g, "1;31");
}

static void
show_workspace(struct kbox *k, const struct value *v)
{
	const struct value	*sys = value_get(v, "system");
	struct kbox_group	 g = { .title = "Workspace" };
	int64_t			 start;

	kbox_group_add(k, &g, "Name", env_text("WORKSPACE"));
	kbox_group_add(k, &g, "Start time", value_time(sys, "uptime", &start) ?
	    kbox_time(k, start, "%Y-%m-%d %H:%M:%S %Z") : "");
	kbox_group_add(k, &g, "Provisioner", env_text("PROVISIONER_VERSION"));
	kbox_group_add(k, &g, "k8shelld", value_text(v, "version"));
	kbox_group_add(k, &g, "Image", env_text("IMAGE"));
	kbox_group_add(k, &g, "Blueprint", env_text("BLUEPRINT"));
	kbox_group_add(k, &g, "Repository", value_text(v, "repository"));
	kbox_group_add(k, &g, "Users", value_text(sys, "users"));
	add_auth(k, &g, v);
	kbox_group_print(k, &g);
}

/* limit < 0: there is none, and so no percentage. */
static char *
use_of(struct kbox *k, double used, double limit, const char *unit)
{
	char	percent[32];

	if (limit < 0)
		return kbox_printf(k, "%.2f%s, no limit", used, unit);
	kbox_percent(used, limit, percent, sizeof percent);
	return kbox_printf(k, "%.2f%s / %.10g%s (%s)", used, unit, limit, unit,
	    percent);
}

static void
show_resources(struct kbox *k, const struct value *sys)
{
	struct kbox_group	g = { .title = "CPU and Memory" };

	kbox_group_add(k, &g, "CPU usage", use_of(k,
	    value_number(sys, "cpuUsageMillicores", 0),
	    value_number(sys, "cpuLimitMillicores", -1), "m"));
	kbox_group_add(k, &g, "Load average", kbox_printf(k,
	    "%.2f, %.2f, %.2f", value_number(sys, "cpuAvg1min", 0),
	    value_number(sys, "cpuAvg5min", 0),
	    value_number(sys, "cpuAvg15min", 0)));
	kbox_group_add(k, &g, "Memory usage", use_of(k,
	    value_number(sys, "memoryUsageMiB", 0),
	    value_number(sys, "memLimitMiB", -1), "MiB"));
	kbox_group_print(k, &g);
}

/* ---- storage ---- */

static char *
bytes_of(struct kbox *k, uint64_t n)
{
	char	text[32];

	kbox_bytes_long(n, text, sizeof text);
	return kbox_printf(k, "%s", text);
}

static char *
part_of(struct kbox *k, uint64_t used, uint64_t whole)
{
	char	percent[32];

	kbox_percent((double)used, (double)whole, percent, sizeof percent);
	return kbox_printf(k, "%s / %s (%s)", bytes_of(k, used),
	    bytes_of(k, whole), percent);
}

static int
compare_mounts(const void *a, const void *b)
{
	return strcmp(value_text(*(const struct value *const *)a,
	    "mountPoint"), value_text(*(const struct value *const *)b,
	    "mountPoint"));
}

static char *
mount_text(struct kbox *k, const struct value *m)
{
	uint64_t	 declared = value_count(m, "declaredSize");

	return kbox_printf(k, "%s  [fs=%s, src=%s%s]", part_of(k,
	    value_count(m, "usedBytes"), declared > 0 ? declared :
	    value_count(m, "totalBytes")), value_text(m, "fsType"),
	    value_text(m, "source"), value_true(m, "readOnly") ? ", ro" : "");
}

static void
show_storage(struct kbox *k, const struct value *mounts)
{
	struct kbox_group	 g = { .title = "Storage" };
	const struct value	*m, **all;
	size_t			 n = 0, i = 0;

	if (mounts == NULL || mounts->kids == NULL)
		return;
	for (m = mounts->kids; m != NULL; m = m->next)
		n++;
	all = kbox_alloc(k, n * sizeof *all);
	for (m = mounts->kids; m != NULL; m = m->next)
		all[i++] = m;
	qsort(all, n, sizeof *all, compare_mounts);
	for (i = 0; i < n; i++)
		kbox_group_add(k, &g, value_text(all[i], "mountPoint"),
		    mount_text(k, all[i]));
	kbox_group_print(k, &g);
}

/* ---- podman ---- */

static void
add_if(struct kbox *k, struct kbox_group *g, const char *key,
    const char *text)
{
	if (text[0] != '\0')
		kbox_group_add(k, g, key, text);
}

static void
add_containers(struct kbox *k, struct kbox_group *g, const struct value *p)
{
	uint64_t	paused = value_count(p, "containersPaused");
	char		*text;

	text = kbox_printf(k, "%llu total (%llu running",
	    (unsigned long long)value_count(p, "containersTotal"),
	    (unsigned long long)value_count(p, "containersRunning"));
	if (paused > 0)
		text = kbox_printf(k, "%s, %llu paused", text,
		    (unsigned long long)paused);
	kbox_group_add(k, g, "Containers", kbox_printf(k, "%s, %llu stopped)",
	    text, (unsigned long long)value_count(p, "containersStopped")));
}

static void
add_sizes(struct kbox *k, struct kbox_group *g, const struct value *d)
{
	static const struct {
		const char	*key, *member;
	} sizes[] = {
		{ "Images", "imagesBytes" },
		{ "Containers (rw)", "containersBytes" },
		{ "Containers (rootfs)", "containersRootFsBytes" },
		{ "Volumes", "volumesBytes" },
		{ "Build cache", "buildCacheBytes" },
	};
	uint64_t	declared = value_count(d, "declaredSize");
	uint64_t	all = value_count(d, "totalBytes");
	size_t		i;

	for (i = 0; i < ARRAY_LEN(sizes); i++)
		kbox_group_add(k, g, sizes[i].key,
		    bytes_of(k, value_count(d, sizes[i].member)));
	kbox_group_add(k, g, "Total", declared > 0 ?
	    part_of(k, all, declared) : bytes_of(k, all));
}

static void
show_podman(struct kbox *k, const struct value *d, const struct value *p)
{
	struct kbox_group	 g = { .title = "Podman" };
	const char		*api = value_text(d, "apiVersion");
	const char		*version = value_text(p, "podmanVersion");

	if (d == NULL || d->type != JSON_OBJECT)
		return;
	add_if(k, &g, "Socket", value_text(d, "socketPath"));
	add_if(k, &g, "API version", version[0] == '\0' ? api :
	    kbox_printf(k, "%s (Podman %s)", api, version));
	add_if(k, &g, "Graph driver", value_text(p, "graphDriver"));
	add_if(k, &g, "Graph root", value_text(d, "dockerRootDir"));
	add_if(k, &g, "Run root", value_text(p, "runRoot"));
	if (p != NULL && p->type == JSON_OBJECT)
		add_containers(k, &g, p);
	add_sizes(k, &g, d);
	kbox_group_print(k, &g);
}

int
kbox_info(struct kbox *k)
{
	struct kbox_answer	 a;
	const struct value	*v;
	int			 r;

	if ((r = kbox_get(k, KBOX_API "/sysinfo", NULL, &a)) != KBOX_OK)
		return r;
	if (k->values[OPT_JSON] != NULL)
		return value_print_answer(k, &a);
	if ((v = value_parse(k, &a)) == NULL)
		return KBOX_FAILED;
	show_workspace(k, v);
	show_resources(k, value_get(v, "system"));
	show_storage(k, value_get(v, "mounts"));
	show_podman(k, value_get(v, "docker"), value_get(v, "podman"));
	return KBOX_OK;
}
