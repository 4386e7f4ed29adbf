/*
 * GET /sysinfo (spec/rest-kbox.md 1.4) and GET /splash.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/identity.h"
#include "base/rfc3339.h"
#include "base/str.h"
#include "base/version.h"
#include "conf/blueprint.h"
#include "svc/rest_impl.h"
#include "svc/svc.h"
#include "workspace/monitor.h"
#include "workspace/session.h"
#include "workspace/splash.h"

static void
put_u64(struct json_out *o, const char *key, uint64_t v)
{
	json_put_int(o, key, v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

static void
put_system(struct json_out *o, const struct svc *svc)
{
	const struct monitor_system	*s = monitor_system(svc->monitor);
	char				 started[RFC3339_LEN] = "";

	if (s->started != 0)
		rfc3339_format(s->started, started);
	json_put_object(o, "system");
	json_put_string(o, "uptime", started);
	json_put_double(o, "cpuUsageMillicores", s->cpu);
	json_put_double(o, "cpuLimitMillicores", s->cpu_limit);
	json_put_double(o, "memoryUsageMiB", s->memory);
	json_put_double(o, "memLimitMiB", s->memory_limit);
	json_put_double(o, "cpuAvg1min", s->cpu_percent[0]);
	json_put_double(o, "cpuAvg5min", s->cpu_percent[1]);
	json_put_double(o, "cpuAvg15min", s->cpu_percent[2]);
	json_put_int(o, "users", (int64_t)sessions_count(svc->sessions));
	json_put_end(o, '}');
}

static void
put_options(struct json_out *o, const char *s)
{
	char	word[256];
	size_t	n;

	json_put_array(o, "options");
	for (; *s != '\0'; s += n + (s[n] == ',')) {
		n = strcspn(s, ",");
		if (n > 0 && n < sizeof word) {
			memcpy(word, s, n);
			word[n] = '\0';
			json_put_string(o, NULL, word);
		}
	}
	json_put_end(o, ']');
}

static void
put_mount(struct json_out *o, const struct monitor_mount *m)
{
	json_put_object(o, NULL);
	json_put_string(o, "mountPoint", m->point);
	json_put_string(o, "source", m->source);
	json_put_string(o, "fsType", m->type);
	put_options(o, m->options);
	json_put_bool(o, "readOnly", m->read_only);
	if (m->temporary)
		json_put_bool(o, "isLikelyTemp", true);
	put_u64(o, "totalBytes", m->usage.total);
	put_u64(o, "usedBytes", m->usage.used);
	put_u64(o, "freeBytes", m->usage.free);
	put_u64(o, "availableBytes", m->usage.available);
	put_u64(o, "totalInodes", m->usage.inodes);
	put_u64(o, "freeInodes", m->usage.free_inodes);
	put_u64(o, "declaredSize", m->declared);
	json_put_end(o, '}');
}

static void
put_engine(struct json_out *o, const struct engine_usage *e, uint64_t declared)
{
	json_put_object(o, "docker");
	json_put_string(o, "socketPath", e->socket);
	json_put_string(o, "apiVersion", e->api_version);
	json_put_string(o, "dockerRootDir", e->root_dir);
	put_u64(o, "imagesBytes", e->images);
	put_u64(o, "containersBytes", e->containers);
	put_u64(o, "containersRootFsBytes", e->containers_rootfs);
	put_u64(o, "volumesBytes", e->volumes);
	put_u64(o, "buildCacheBytes", e->build_cache);
	put_u64(o, "totalBytes", e->total);
	put_u64(o, "declaredSize", declared);
	json_put_end(o, '}');
	if (!e->podman)
		return;
	json_put_object(o, "podman");
	json_put_string(o, "podmanVersion", e->version);
	json_put_string(o, "graphDriver", e->driver);
	json_put_string(o, "runRoot", e->run_root);
	json_put_int(o, "containersTotal", e->all);
	json_put_int(o, "containersRunning", e->running);
	json_put_int(o, "containersPaused", e->paused);
	json_put_int(o, "containersStopped", e->stopped);
	json_put_end(o, '}');
}

/* What the platform says it has checked out. */
static void
put_repository(struct json_out *o)
{
	const char	*address = getenv("GIT_ADDRESS");
	const char	*owner = getenv("GIT_REPOOWNER");
	const char	*name = getenv("GIT_REPONAME");
	char		 text[2048];
	size_t		 n;

	if (address == NULL || owner == NULL || name == NULL ||
	    address[0] == '\0' || owner[0] == '\0' || name[0] == '\0')
		return;
	n = strlen(address);
	n -= address[n - 1] == '/';
	if (str_format(text, sizeof text, "%.*s/%s/%s", (int)n, address, owner,
	    name) >= 0)
		json_put_string(o, "repository", text);
}

void
rest_sysinfo(struct rest_conn *c)
{
	const struct svc		*svc = c->rest->opt.svc;
	const struct engine_usage	*engine;
	struct monitor_mount		 m;
	struct json_out			 o;
	char				 now[RFC3339_LEN];
	size_t				 i;

	rfc3339_format(loop_wall(), now);
	json_out_init(&o, &c->answer);
	json_put_object(&o, NULL);
	json_put_string(&o, "time", now);
	put_system(&o, svc);
	json_put_array(&o, "mounts");
	for (i = 0; monitor_mount(svc->monitor, i, &m); i++)
		put_mount(&o, &m);
	json_put_end(&o, ']');
	if ((engine = monitor_engine(svc->monitor)) != NULL)
		put_engine(&o, engine, monitor_engine_declared(svc->monitor));
	put_repository(&o);
	json_put_string(&o, "version", version_full());
	json_put_string(&o, "auth", svc->auth);
	json_put_end(&o, '}');
	rest_json(c, 200, &o);
}

/* ---- GET /splash ---- */

void
rest_splash(struct rest_conn *c)
{
	const struct svc	*svc = c->rest->opt.svc;
	char			 host[256] = "";
	struct splash_names	 names = {
		.version = version_string(), .commit = version_commit(),
		.user = svc->identity->username, .hostname = host,
		.now = loop_wall(),
	};
	struct buf		 text;
	struct json_out		 o;
	int			 r = 0;

	(void)gethostname(host, sizeof host - 1);
	buf_init(&text, 2 * SPLASH_MAX);
	if (svc->blueprint != NULL)
		r = splash_expand(svc->blueprint->splash, &names, &text);
	if (r < 0 || (r = buf_put_u8(&text, '\0')) < 0) {
		buf_finish(&text);
		rest_error(c, 500, "splash: %s", strerror(-r));
		return;
	}
	json_out_init(&o, &c->answer);
	json_put_object(&o, NULL);
	json_put_string(&o, "text", (const char *)buf_head(&text));
	json_put_end(&o, '}');
	buf_finish(&text);
	rest_json(c, 200, &o);
}
