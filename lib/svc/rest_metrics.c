/*
 * GET /metrics: Prometheus' text format, version 0.0.4.
 */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/str.h"
#include "base/version.h"
#include "proc/procfile.h"
#include "rpc/server.h"
#include "svc/rest_impl.h"
#include "svc/svc.h"
#include "workspace/job.h"
#include "workspace/session.h"
#include "workspace/stream.h"

#define TYPE	"text/plain; version=0.0.4; charset=utf-8"

struct page {
	struct buf	*out;
	bool		 failed;
};

static void __attribute__((format(printf, 2, 3)))
put(struct page *p, const char *fmt, ...)
{
	char	line[256];
	va_list	ap;
	int	n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof line ||
	    buf_put(p->out, line, (size_t)n) < 0)
		p->failed = true;
}

static void
about(struct page *p, const char *name, const char *type, const char *help)
{
	put(p, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
one(struct page *p, const char *name, const char *type, const char *help,
    uint64_t v)
{
	about(p, name, type, help);
	put(p, "%s %llu\n", name, (unsigned long long)v);
}

static void
put_seconds(struct page *p, const char *name, uint64_t us)
{
	put(p, "%s %llu.%06u\n", name, (unsigned long long)(us / 1000000),
	    (unsigned)(us % 1000000));
}

/* ---- sessions and streams ---- */

static void
put_streams(struct page *p, const struct svc *svc)
{
	struct stream_totals	t[STREAM_UNIX_SOCKET + 1];
	int			k;

	for (k = STREAM_EXEC; k <= STREAM_UNIX_SOCKET; k++)
		streams_totals(svc->streams, (enum stream_kind)k, &t[k]);
	one(p, "k8shell_sessions", "gauge", "Shells that live.",
	    svc->sessions != NULL ? sessions_count(svc->sessions) : 0);
	about(p, "k8shell_streams", "gauge", "Streams that live.");
	for (k = STREAM_EXEC; k <= STREAM_UNIX_SOCKET; k++)
		put(p, "k8shell_streams{kind=\"%s\"} %llu\n",
		    stream_kind_name((enum stream_kind)k),
		    (unsigned long long)t[k].live);
	about(p, "k8shell_streams_started_total", "counter",
	    "Streams since the start.");
	for (k = STREAM_EXEC; k <= STREAM_UNIX_SOCKET; k++)
		put(p, "k8shell_streams_started_total{kind=\"%s\"} %llu\n",
		    stream_kind_name((enum stream_kind)k),
		    (unsigned long long)t[k].started);
	about(p, "k8shell_stream_bytes_total", "counter",
	    "Bytes of streams; in is from the client.");
	for (k = STREAM_EXEC; k <= STREAM_UNIX_SOCKET; k++) {
		put(p, "k8shell_stream_bytes_total{kind=\"%s\","
		    "direction=\"in\"} %llu\n",
		    stream_kind_name((enum stream_kind)k),
		    (unsigned long long)t[k].bytes_in);
		put(p, "k8shell_stream_bytes_total{kind=\"%s\","
		    "direction=\"out\"} %llu\n",
		    stream_kind_name((enum stream_kind)k),
		    (unsigned long long)t[k].bytes_out);
	}
}

/* ---- jobs ---- */

static void
put_jobs(struct page *p, const struct svc *svc)
{
	struct jobs_totals	t = { 0 };
	int			s;

	if (svc->jobs != NULL)
		jobs_totals(svc->jobs, &t);
	one(p, "k8shell_jobs", "gauge", "Jobs of which a process lives.",
	    t.live);
	one(p, "k8shell_jobs_kept", "gauge", "Jobs that are over and kept.",
	    t.kept);
	one(p, "k8shell_jobs_started_total", "counter",
	    "Jobs since the start.", t.started);
	about(p, "k8shell_jobs_ended_total", "counter", "Jobs that are over.");
	for (s = JOB_COMPLETED; s <= JOB_ERROR; s++)
		put(p, "k8shell_jobs_ended_total{status=\"%s\"} %llu\n",
		    job_status_name((enum job_status)s),
		    (unsigned long long)t.ended[s]);
	one(p, "k8shell_jobs_log_bytes", "gauge",
	    "Memory of what jobs have said.", t.log_memory);
}

/* ---- callers ---- */

static void
put_grpc(struct page *p, const struct grpc_server *server)
{
	struct grpc_stats	st = { 0 };

	if (server != NULL)
		grpc_server_stats(server, &st);
	one(p, "k8shell_grpc_connections", "gauge",
	    "Connections of gRPC callers.", st.conns);
	one(p, "k8shell_grpc_connections_total", "counter",
	    "The same since the start.", st.conns_total);
	one(p, "k8shell_grpc_handshakes_total", "counter",
	    "Connections that became ready, TLS included.", st.handshakes);
	one(p, "k8shell_grpc_connections_refused_total", "counter",
	    "Closed because of a limit.", st.conns_refused);
	one(p, "k8shell_grpc_calls", "gauge", "Calls that run.", st.calls);
	one(p, "k8shell_grpc_calls_total", "counter",
	    "Calls since the start.", st.calls_total);
	one(p, "k8shell_grpc_calls_refused_total", "counter",
	    "Calls that were not let in.", st.calls_refused);
	about(p, "k8shell_grpc_bytes_total", "counter",
	    "Bytes of HTTP/2, inside TLS.");
	put(p, "k8shell_grpc_bytes_total{direction=\"in\"} %llu\n",
	    (unsigned long long)st.bytes_in);
	put(p, "k8shell_grpc_bytes_total{direction=\"out\"} %llu\n",
	    (unsigned long long)st.bytes_out);
}

static void
put_rest(struct page *p, const struct rest *r)
{
	unsigned	i;

	one(p, "k8shell_rest_connections", "gauge",
	    "Connections to the workspace API.", r->nconns + r->nlasting);
	one(p, "k8shell_rest_lasting", "gauge",
	    "Of these: followers, waiters, terminals.", r->nlasting);
	one(p, "k8shell_rest_connections_total", "counter",
	    "The same since the start.", r->counts.conns_total);
	about(p, "k8shell_rest_refused_total", "counter",
	    "Connections that were not served; lasting: requests.");
	put(p, "k8shell_rest_refused_total{reason=\"uid\"} %llu\n",
	    (unsigned long long)r->counts.refused_uid);
	put(p, "k8shell_rest_refused_total{reason=\"busy\"} %llu\n",
	    (unsigned long long)r->counts.refused_busy);
	put(p, "k8shell_rest_refused_total{reason=\"lasting\"} %llu\n",
	    (unsigned long long)r->counts.refused_lasting);
	about(p, "k8shell_rest_requests_total", "counter", "Answers given.");
	for (i = 1; i < ARRAY_LEN(r->counts.answers); i++)
		put(p, "k8shell_rest_requests_total{code=\"%uxx\"} %llu\n", i,
		    (unsigned long long)r->counts.answers[i]);
}

/* ---- this process ---- */

/* Bytes of a field of /proc/self/statm, counted in pages; 0: unknown. */
static uint64_t
memory(unsigned field)
{
	char		 text[128];
	const char	*s = text;
	uint64_t	 pages = 0;

	if (procfile_read("/proc/self/statm", text, sizeof text) < 0)
		return 0;
	for (; field > 0 && *s != '\0'; field--)
		s += strcspn(s, " ") + (strchr(s, ' ') != NULL);
	for (; *s >= '0' && *s <= '9'; s++)
		pages = 10 * pages + (uint64_t)(*s - '0');
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t
open_descriptors(void)
{
	DIR		*d = opendir("/proc/self/fd");
	uint64_t	 n = 0;

	if (d == NULL)
		return 0;
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n > 3 ? n - 3 : 0;	/* ".", "..", and d itself */
}

static void
put_process(struct page *p, const struct rest *r)
{
	struct rusage	ru = { 0 };

	(void)getrusage(RUSAGE_SELF, &ru);
	about(p, "process_cpu_seconds_total", "counter",
	    "CPU time of the daemon itself.");
	put_seconds(p, "process_cpu_seconds_total",
	    (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000 +
	    (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec));
	one(p, "process_resident_memory_bytes", "gauge",
	    "Memory of the daemon.", memory(1));
	one(p, "process_virtual_memory_bytes", "gauge",
	    "Address space of the daemon.", memory(0));
	one(p, "process_open_fds", "gauge", "Descriptors of the daemon.",
	    open_descriptors());
	one(p, "process_start_time_seconds", "gauge",
	    "Unix time of the start.", (uint64_t)r->started);
}

/* The buckets of a histogram count what is below, too. */
static void
put_durations(struct page *p, const struct loop_durations *d)
{
	uint64_t	n = 0;
	size_t		i;

	about(p, "k8shell_loop_turn_seconds", "histogram",
	    "Turns of the event loop by duration.");
	for (i = 0; i < LOOP_BOUNDS; i++) {
		n += d->count[i];
		put(p, "k8shell_loop_turn_seconds_bucket{le=\"%u.%06u\"} "
		    "%llu\n", loop_bounds_us[i] / 1000000,
		    loop_bounds_us[i] % 1000000, (unsigned long long)n);
	}
	n += d->count[LOOP_BOUNDS];
	put(p, "k8shell_loop_turn_seconds_bucket{le=\"+Inf\"} %llu\n",
	    (unsigned long long)n);
	put_seconds(p, "k8shell_loop_turn_seconds_sum", d->sum_us);
	put(p, "k8shell_loop_turn_seconds_count %llu\n",
	    (unsigned long long)n);
}

static void
put_loop(struct page *p, const struct rest *r)
{
	uint64_t	turns, max_us;

	loop_stats(r->loop, &turns, &max_us);
	one(p, "k8shell_loop_turns_total", "counter",
	    "Turns of the event loop.", turns);
	about(p, "k8shell_loop_turn_seconds_max", "gauge",
	    "Longest turn since the start.");
	put_seconds(p, "k8shell_loop_turn_seconds_max", max_us);
	put_durations(p, loop_durations(r->loop));
}

void
rest_metrics(struct rest_conn *c)
{
	struct rest	*r = c->rest;
	struct page	 p = { .out = &c->answer };

	about(&p, "k8shell_build_info", "gauge", "What runs.");
	put(&p, "k8shell_build_info{version=\"%s\",commit=\"%s\"} 1\n",
	    version_string(), version_commit());
	put_streams(&p, r->opt.svc);
	put_jobs(&p, r->opt.svc);
	put_grpc(&p, *r->opt.server);
	put_rest(&p, r);
	put_loop(&p, r);
	put_process(&p, r);
	if (p.failed)
		rest_error(c, 500, "out of memory");
	else
		rest_text(c, 200, TYPE);
}
