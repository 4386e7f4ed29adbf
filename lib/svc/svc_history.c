/*
 * SystemService.SystemInfoHistory: means over the buckets of a window.
 *
 * Absent is not zero: a bucket without a sample is a point that has nothing
 * but its time.  Source: spec/grpc.md 3.13, SY-08.
 */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/rfc3339.h"
#include "base/str.h"
#include "gen/system.pb-c.h"
#include "proc/history.h"
#include "svc/svc.h"
#include "workspace/monitor.h"

#define MEM_MAX		(8u * 1024 * 1024)	/* 64 mounts, 720 points */
#define MOUNTS_MAX	64u
#define STEP_LEN	32
#define NS_PER_S	INT64_C(1000000000)

/* Of the generated enums, whose names are long. */
#define SYSTEM(member)	K8SHELLD__SYSTEM_METRICS_POINT__MAYBE_##member
#define MOUNT(member)	K8SHELLD__MOUNT_USAGE_POINT__MAYBE_##member
#define DOCKER(member)	K8SHELLD__DOCKER_USAGE_POINT__MAYBE_##member

/* One answer being built. */
struct answer {
	const struct monitor	*m;
	struct history_window	 w;
	struct arena		 a;
	char			**times;	/* of the buckets */
	double			*mean[HISTORY_FLOATS];
	K8shelld__SystemInfoHistoryResponse resp;
	char			 from[RFC3339_LEN], to[RFC3339_LEN];
	char			 step[STEP_LEN];
};

static int
prepare(struct answer *h)
{
	char	*at = arena_alloc(&h->a, h->w.n * RFC3339_LEN);
	size_t	 i;

	h->times = arena_alloc(&h->a, h->w.n * sizeof *h->times);
	if (at == NULL || h->times == NULL)
		return -ENOMEM;
	for (i = 0; i < h->w.n; i++, at += RFC3339_LEN) {
		rfc3339_format(history_bucket(&h->w, i), at);
		h->times[i] = at;
	}
	for (i = 0; i < HISTORY_FLOATS; i++) {
		h->mean[i] = arena_alloc(&h->a, h->w.n * sizeof **h->mean);
		if (h->mean[i] == NULL)
			return -ENOMEM;
	}
	rfc3339_format(h->w.from_ns / NS_PER_S, h->from);
	rfc3339_format(h->w.to_ns / NS_PER_S, h->to);
	str_from_duration(h->w.step_ns, h->step, sizeof h->step);
	h->resp.from = h->from;
	h->resp.to = h->to;
	h->resp.step = h->step;
	return 0;
}

/* n pointers to n structs of size bytes, NULL if out of memory. */
static void *
points(struct answer *h, size_t size)
{
	char	*p = arena_alloc(&h->a, h->w.n * size);
	void	**list = arena_alloc(&h->a, h->w.n * sizeof *list);
	size_t	 i;

	if (p == NULL || list == NULL)
		return NULL;
	for (i = 0; i < h->w.n; i++)
		list[i] = p + i * size;
	return list;
}

/* -- system ---------------------------------------------------------------- */

static void
fill_system_point(K8shelld__SystemMetricsPoint *p, double *const mean[],
    size_t i)
{
	if (!isnan(mean[0][i])) {
		p->maybe_cpu_usage_millicores_case = SYSTEM(
		    CPU_USAGE_MILLICORES_CPU_USAGE_MILLICORES);
		p->cpuusagemillicores = mean[0][i];
	}
	if (!isnan(mean[1][i])) {
		p->maybe_cpu_limit_millicores_case = SYSTEM(
		    CPU_LIMIT_MILLICORES_CPU_LIMIT_MILLICORES);
		p->cpulimitmillicores = mean[1][i];
	}
	if (!isnan(mean[2][i])) {
		p->maybe_memory_usage_mi_b_case = SYSTEM(
		    MEMORY_USAGE_MI_B_MEMORY_USAGE_MI_B);
		p->memoryusagemib = mean[2][i];
	}
	if (!isnan(mean[3][i])) {
		p->maybe_mem_limit_mi_b_case = SYSTEM(
		    MEM_LIMIT_MI_B_MEM_LIMIT_MI_B);
		p->memlimitmib = mean[3][i];
	}
}

static int
fill_system(struct answer *h)
{
	const struct history		*from = monitor_system_history(h->m);
	K8shelld__SystemMetricsPoint	*p;
	unsigned			 column;
	size_t				 i;

	if ((h->resp.system = points(h, sizeof *p)) == NULL)
		return -ENOMEM;
	for (column = 0; column < HISTORY_FLOATS; column++)
		history_floats(from, &h->w, column, h->mean[column]);
	for (i = 0; i < h->w.n; i++) {
		p = h->resp.system[i];
		k8shelld__system_metrics_point__init(p);
		p->time = h->times[i];
		fill_system_point(p, h->mean, i);
	}
	h->resp.n_system = h->w.n;
	return 0;
}

/* -- mounts ---------------------------------------------------------------- */

static int
fill_series(struct answer *h, K8shelld__MountUsageSeries *s,
    const struct history *from)
{
	K8shelld__MountUsagePoint	*p;
	size_t				 i;

	k8shelld__mount_usage_series__init(s);
	if ((s->points = points(h, sizeof *p)) == NULL)
		return -ENOMEM;
	history_numbers(from, &h->w, 0, h->mean[0]);
	history_numbers(from, &h->w, 1, h->mean[1]);
	for (i = 0; i < h->w.n; i++) {
		p = s->points[i];
		k8shelld__mount_usage_point__init(p);
		p->time = h->times[i];
		if (isnan(h->mean[0][i]))
			continue;
		p->maybe_used_bytes_case = MOUNT(USED_BYTES_USED_BYTES);
		p->usedbytes = (uint64_t)h->mean[0][i];
		p->maybe_total_bytes_case = MOUNT(TOTAL_BYTES_TOTAL_BYTES);
		p->totalbytes = (uint64_t)h->mean[1][i];
	}
	s->n_points = h->w.n;
	return 0;
}

static int
fill_mounts(struct answer *h)
{
	K8shelld__MountUsageEntry	*e;
	struct monitor_mount		 m;
	size_t				 i;

	for (i = 0; i < MOUNTS_MAX && monitor_mount(h->m, i, &m); i++) {
		if (i == 0)
			h->resp.mounts = arena_alloc(&h->a,
			    MOUNTS_MAX * sizeof *h->resp.mounts);
		if (h->resp.mounts == NULL ||
		    (e = arena_alloc(&h->a, sizeof *e)) == NULL)
			return -ENOMEM;
		k8shelld__mount_usage_entry__init(e);
		e->key = (char *)(uintptr_t)m.point;
		e->value = arena_alloc(&h->a, sizeof *e->value);
		if (e->value == NULL ||
		    fill_series(h, e->value, m.history) < 0)
			return -ENOMEM;
		h->resp.mounts[i] = e;
		h->resp.n_mounts = i + 1;
	}
	return 0;
}

/* -- container engine ------------------------------------------------------ */

static int
fill_docker(struct answer *h)
{
	const struct history		*from = monitor_engine_history(h->m);
	K8shelld__DockerUsagePoint	*p;
	size_t				 i;

	h->resp.docker_available = monitor_engine(h->m) != NULL;
	if (!h->resp.docker_available)
		return 0;
	if ((h->resp.docker = points(h, sizeof *p)) == NULL)
		return -ENOMEM;
	history_numbers(from, &h->w, 0, h->mean[0]);
	history_numbers(from, &h->w, 1, h->mean[1]);
	for (i = 0; i < h->w.n; i++) {
		p = h->resp.docker[i];
		k8shelld__docker_usage_point__init(p);
		p->time = h->times[i];
		if (isnan(h->mean[0][i]))
			continue;
		p->maybe_total_bytes_case = DOCKER(TOTAL_BYTES_TOTAL_BYTES);
		p->totalbytes = (uint64_t)h->mean[0][i];
		p->maybe_declared_size_case = DOCKER(
		    DECLARED_SIZE_DECLARED_SIZE);
		p->declaredsize = (uint64_t)h->mean[1][i];
	}
	h->resp.n_docker = h->w.n;
	return 0;
}

void
svc_system_history(struct grpc_call *c, const ProtobufCMessage *m)
{
	const K8shelld__SystemInfoHistoryRequest *req = (const void *)m;
	const struct svc	*svc = grpc_call_user(c);
	struct history_request	 r = { req->from, req->to, req->range,
	    req->step };
	struct answer		 h = { .m = svc->monitor };
	struct timespec		 now = { 0, 0 };
	const char		*why;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (history_window(&h.w, &r, (int64_t)now.tv_sec * NS_PER_S +
	    now.tv_nsec, &why) < 0) {
		grpc_finish(c, GRPC_INVALID_ARGUMENT, "%s", why);
		return;
	}
	arena_init(&h.a, MEM_MAX);
	k8shelld__system_info_history_response__init(&h.resp);
	if (prepare(&h) < 0 || fill_system(&h) < 0 || fill_mounts(&h) < 0 ||
	    fill_docker(&h) < 0)
		grpc_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
	else
		grpc_reply(c, &h.resp.base);
	arena_finish(&h.a);
}
