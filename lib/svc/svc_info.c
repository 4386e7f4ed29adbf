/*
 * SystemService.SystemInfo and GetBlueprint.
 * Source: spec/grpc.md 3.13 and 6; SY-05, SY-08.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/rfc3339.h"
#include "conf/blueprint.h"
#include "gen/system.pb-c.h"
#include "loop/loop.h"
#include "svc/svc.h"
#include "workspace/monitor.h"
#include "workspace/session.h"

#define INFO_MEM_MAX	(256u * 1024)
#define MOUNTS_MAX	BLUEPRINT_STORAGES_MAX

static char *
text(const char *s)
{
	return (char *)(uintptr_t)s;	/* generated structs lack const */
}

static void
no_memory(struct grpc_call *c)
{
	grpc_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
}

static size_t
count_mounts(const struct monitor *m)
{
	struct monitor_mount	mm;
	size_t			n = 0;

	while (n < MOUNTS_MAX && monitor_mount(m, n, &mm))
		n++;
	return n;
}

/* -- SystemInfo ------------------------------------------------------------ */

static void
fill_system(K8shelld__SystemMetrics *m, const struct svc *svc,
    char started[RFC3339_LEN])
{
	const struct monitor_system	*s = monitor_system(svc->monitor);

	k8shelld__system_metrics__init(m);
	if (s->started != 0)
		rfc3339_format(s->started, started);
	m->uptime = started;
	m->cpuusagemillicores = s->cpu;
	m->cpulimitmillicores = s->cpu_limit;
	m->memoryusagemib = s->memory;
	m->memlimitmib = s->memory_limit;
	m->cpuavg1min = s->cpu_percent[0];
	m->cpuavg5min = s->cpu_percent[1];
	m->cpuavg15min = s->cpu_percent[2];
	m->users = (uint32_t)sessions_count(svc->sessions);
}

/* Cut at commas, in the arena.  0 or -ENOMEM. */
static int
fill_options(K8shelld__MountUsage *m, const char *options, struct arena *a)
{
	size_t	 n = strlen(options) + 1, i, words = 1;
	char	*copy = arena_alloc(a, n);

	for (i = 0; i < n; i++)
		words += options[i] == ',';
	m->options = arena_alloc(a, words * sizeof *m->options);
	if (copy == NULL || m->options == NULL)
		return -ENOMEM;
	memcpy(copy, options, n);
	for (m->n_options = 0; m->n_options < words; m->n_options++) {
		m->options[m->n_options] = copy;
		copy += strcspn(copy, ",");
		*copy++ = '\0';
	}
	return 0;
}

static int
fill_mount(K8shelld__MountUsage *m, const struct monitor_mount *from,
    struct arena *a)
{
	k8shelld__mount_usage__init(m);
	m->mountpoint = text(from->point);
	m->source = text(from->source);
	m->fstype = text(from->type);
	m->readonly = from->read_only;
	m->islikelytemp = from->temporary;
	m->totalbytes = from->usage.total;
	m->usedbytes = from->usage.used;
	m->freebytes = from->usage.free;
	m->availablebytes = from->usage.available;
	m->totalinodes = from->usage.inodes;
	m->freeinodes = from->usage.free_inodes;
	m->declaredsize = from->declared;
	return fill_options(m, from->options, a);
}

static int
fill_mounts(K8shelld__SystemInfoResponse *resp, const struct monitor *m,
    struct arena *a)
{
	struct monitor_mount	 mm;
	K8shelld__MountUsage	*u;
	size_t			 i, n = count_mounts(m);

	if (n == 0)
		return 0;
	resp->mounts = arena_alloc(a, n * sizeof *resp->mounts);
	u = arena_alloc(a, n * sizeof *u);
	if (resp->mounts == NULL || u == NULL)
		return -ENOMEM;
	for (i = 0; i < n && monitor_mount(m, i, &mm); i++) {
		if (fill_mount(&u[i], &mm, a) < 0)
			return -ENOMEM;
		resp->mounts[i] = &u[i];
	}
	resp->n_mounts = i;
	return 0;
}

static void
fill_engine(K8shelld__DockerUsage *d, const struct engine_usage *u,
    uint64_t declared)
{
	k8shelld__docker_usage__init(d);
	d->socketpath = text(u->socket);
	d->apiversion = text(u->api_version);
	d->dockerrootdir = text(u->root_dir);
	d->imagesbytes = u->images;
	d->containersbytes = u->containers;
	d->containersrootfsbytes = u->containers_rootfs;
	d->volumesbytes = u->volumes;
	d->buildcachebytes = u->build_cache;
	d->totalbytes = u->total;
	d->declaredsize = declared;
}

void
svc_system_info(struct grpc_call *c, const ProtobufCMessage *m)
{
	const struct svc		*svc = grpc_call_user(c);
	const struct engine_usage	*engine = monitor_engine(svc->monitor);
	K8shelld__SystemInfoResponse	 resp;
	K8shelld__SystemMetrics		 system;
	K8shelld__DockerUsage		 docker;
	struct arena			 a;
	char				 now[RFC3339_LEN];
	char				 started[RFC3339_LEN] = "";

	(void)m;
	arena_init(&a, INFO_MEM_MAX);
	k8shelld__system_info_response__init(&resp);
	rfc3339_format(loop_wall(), now);
	resp.time = now;
	fill_system(&system, svc, started);
	resp.system = &system;
	if (engine != NULL) {
		fill_engine(&docker, engine,
		    monitor_engine_declared(svc->monitor));
		resp.docker = &docker;
	}
	if (fill_mounts(&resp, svc->monitor, &a) < 0)
		no_memory(c);
	else
		grpc_reply(c, &resp.base);
	arena_finish(&a);
}

/* -- GetBlueprint ---------------------------------------------------------- */

void
svc_get_blueprint(struct grpc_call *c, const ProtobufCMessage *m)
{
	const struct svc		*svc = grpc_call_user(c);
	K8shelld__GetBlueprintResponse	 resp;

	(void)m;
	if (svc->blueprint == NULL) {
		grpc_finish(c, GRPC_NOT_FOUND, "this workspace has no "
		    "blueprint");
		return;
	}
	k8shelld__get_blueprint_response__init(&resp);
	resp.blueprint.data = (uint8_t *)svc->blueprint->text;
	resp.blueprint.len = svc->blueprint->len;
	grpc_reply(c, &resp.base);
}
