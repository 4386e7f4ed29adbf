#include "svc/rest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "net/conn.h"
#include "net/listen.h"
#include "svc/rest_impl.h"
#include "svc/svc.h"

#define API	"/api/v1"

#define NEEDS_API_SERVER(m, p, f) \
	{ .method = m, .path = p, .fn = rest_upstream, .flags = f }
#define MISSING(m, p, what) \
	{ .method = m, .path = p, .fn = rest_missing, .missing = what }
#define APPS		"apps are not served by this version of the daemon"

static const struct rest_route routes[] = {
	NEEDS_API_SERVER("GET", API "/creds", REST_AUDIT),
	NEEDS_API_SERVER("GET", API "/sessions", 0),
	NEEDS_API_SERVER("POST", API "/validate", 0),
	NEEDS_API_SERVER("PUT", API "/password", REST_AUDIT),
	{ "POST", API "/shutdown", rest_shutdown, REST_AUDIT, NULL },
	{ "GET", API "/streams", rest_streams, 0, NULL },
	{ "GET", API "/ssh/channels", rest_streams, 0, NULL },
	{ "GET", API "/sysinfo", rest_sysinfo, 0, NULL },
	{ "GET", API "/logs", rest_logs, REST_QUIET, NULL },
	{ "GET", API "/profile", rest_profile, 0, NULL },
	{ "GET", API "/identity", rest_profile, 0, NULL },
	{ "GET", API "/splash", rest_splash, 0, NULL },
	{ "GET", API "/initscripts", rest_none, 0, NULL },
	{ "GET", API "/apps", rest_none, 0, NULL },
	MISSING("POST", API "/apps/{name}/install", APPS),
	MISSING("GET", API "/apps/{name}/install/log", APPS),
	MISSING("GET", API "/apps/{name}/logs", APPS),
	MISSING("POST", API "/apps/{name}/start", APPS),
	MISSING("POST", API "/apps/{name}/stop", APPS),
	{ "GET", API "/shells", rest_shells, 0, NULL },
	{ "POST", API "/shells", rest_shell_start, REST_BODY, NULL },
	{ "DELETE", API "/shells/{id}", rest_shell_end, REST_AUDIT, NULL },
	{ "POST", API "/shells/{id}/attach", rest_shell_attach, REST_LASTS,
	    NULL },
	{ "POST", API "/shells/{id}/detach", rest_shell_detach, REST_BODY,
	    NULL },
	{ "POST", API "/shells/{id}/resize", rest_shell_resize, REST_BODY,
	    NULL },
	{ "GET", API "/jobs", rest_jobs, 0, NULL },
	{ "POST", API "/jobs", rest_job_start, REST_BODY, NULL },
	{ "DELETE", API "/jobs", rest_jobs_remove, REST_AUDIT, NULL },
	{ "POST", API "/jobs/kill-all", rest_jobs_kill, REST_BODY, NULL },
	{ "GET", API "/jobs/{id}", rest_job, 0, NULL },
	{ "DELETE", API "/jobs/{id}", rest_job_remove, REST_AUDIT, NULL },
	{ "POST", API "/jobs/{id}/kill", rest_job_kill, REST_BODY, NULL },
	{ "GET", API "/jobs/{id}/logs", rest_job_logs, REST_QUIET, NULL },
	{ "GET", API "/jobs/{id}/wait", rest_job_wait, REST_LASTS, NULL },
	{ "POST", API "/jobs/{id}/wait", rest_job_await,
	    REST_BODY | REST_LASTS, NULL },
	{ "GET", API "/healthz", rest_health, 0, NULL },
	{ "GET", "/healthz", rest_health, 0, NULL },
	{ "GET", API "/metrics", rest_metrics, 0, NULL },
	{ "GET", "/metrics", rest_metrics, 0, NULL },
};

/* ---- finding a route ---- */

/*
 * "/a/{id}/b": a name in braces stands for one segment, which goes into arg.
 * The table has one such name in a path at most.
 */
static bool
matches(const char *pattern, const char *path, size_t n, char *arg)
{
	const char	*end = path + n;
	size_t		 len;

	while (*pattern != '\0' && path < end) {
		if (*pattern != '{') {
			if (*pattern++ != *path++)
				return false;
			continue;
		}
		pattern = strchr(pattern, '}') + 1;
		for (len = 0; path + len < end && path[len] != '/'; len++)
			;
		if (len == 0 ||
		    rest_unescape(path, len, false, arg, REST_ARG_MAX) < 0)
			return false;
		path += len;
	}
	return *pattern == '\0' && path == end;
}

/* Goes back to the slash before the last segment. */
static size_t
parent_of(const char *path, size_t n)
{
	while (n > 0 && path[--n] != '/')
		;
	return n;
}

/*
 * The path without empty segments and dots, RFC 3986 5.2.4; false if it is
 * clean already.  A slash at the end stays.
 */
static bool
clean(const char *path, size_t n, char *out)
{
	size_t	i = 0, len = 0, seg;

	while (i < n) {
		for (seg = 0; i + 1 + seg < n && path[i + 1 + seg] != '/'; )
			seg++;
		if (seg == 2 && memcmp(path + i, "/..", 3) == 0) {
			len = parent_of(out, len);
		} else if (seg > 1 || (seg == 1 && path[i + 1] != '.')) {
			memcpy(out + len, path + i, seg + 1);
			len += seg + 1;
		}
		i += seg + 1;
	}
	if (len == 0 || path[n - 1] == '/')
		out[len++] = '/';
	if (len == n && memcmp(path, out, n) == 0)
		return false;
	out[len] = '\0';
	return true;
}

static bool
redirected(struct rest_conn *c, size_t n)
{
	char	to[HTTP1_HEAD_MAX + 1];

	if (!clean(c->http.target, n, to))
		return false;
	if (strlen(to) + strlen(c->http.target + n) < sizeof to)
		memcpy(to + strlen(to), c->http.target + n,
		    strlen(c->http.target + n) + 1);
	rest_redirect(c, to);
	return true;
}

/* Methods a path knows, for 405. */
static void
allow(char *out, size_t outlen, const char *method)
{
	size_t	n = strlen(out);

	(void)str_format(out + n, outlen - n, "%s%s", n > 0 ? ", " : "",
	    method);
}

bool
rest_find_route(struct rest_conn *c)
{
	size_t	i, n = strcspn(c->http.target, "?");
	char	allowed[64] = "";

	if (redirected(c, n))
		return false;
	for (i = 0; i < ARRAY_LEN(routes); i++) {
		if (!matches(routes[i].path, c->http.target, n, c->arg))
			continue;
		if (strcmp(routes[i].method, c->http.method) == 0) {
			c->route = &routes[i];
			return true;
		}
		allow(allowed, sizeof allowed, routes[i].method);
	}
	if (allowed[0] != '\0')
		rest_not_allowed(c, allowed);
	else
		rest_error(c, 404, "no such path");
	return false;
}

/* ---- life ---- */

static void
on_retry(void *arg)
{
	rest_listen(arg);
}

struct rest *
rest_create(const struct rest_options *opt)
{
	struct rest	*r;

	if ((r = calloc(1, sizeof *r)) == NULL)
		return NULL;
	r->opt = *opt;
	if (r->opt.idle_ms == 0)
		r->opt.idle_ms = REST_IDLE_MS;
	r->loop = opt->svc->loop;
	r->retry.fn = on_retry;
	r->retry.arg = r;
	r->retry_ms = REST_RETRY_MS;
	r->refusals.burst = 1;
	r->refusals.every_ms = 1000;
	r->started = loop_wall();
	rest_listen(r);
	return r;
}

void
rest_stop(struct rest *r)
{
	struct rest_conn	*c, *next;

	r->stopping = true;
	r->stop_ms = loop_now(r->loop);
	loop_timer_clear(&r->retry);
	listener_destroy(r->listener);
	r->listener = NULL;
	for (c = r->conns; c != NULL; c = next) {
		next = c->next;
		rest_conn_stop(c);
	}
}

bool
rest_drained(const struct rest *r)
{
	const struct rest_conn	*c;

	if (loop_now(r->loop) >= r->stop_ms + REST_STOP_MS)
		return true;
	for (c = r->conns; c != NULL; c = c->next)
		if (c->state != REST_ENDED || conn_queued(c->conn) > 0)
			return false;
	return true;
}

void
rest_destroy(struct rest *r)
{
	if (r == NULL)
		return;
	rest_stop(r);
	while (r->conns != NULL)
		rest_conn_close(r->conns);
	free(r);
}
