/*
 * What the daemon knows of itself and of its user.
 */
#include <string.h>

#include "auth/identity.h"
#include "base/rfc3339.h"
#include "base/str.h"
#include "base/version.h"
#include "conf/conf.h"
#include "svc/rest_impl.h"
#include "svc/svc.h"
#include "workspace/stream.h"

#define LAST_SHELL	"/bin/sh"

/* ---- GET /streams ---- */

struct listing {
	struct json_out	 json;
	enum stream_kind kind;
};

static void
put_time(struct json_out *o, const char *key, int64_t seconds)
{
	char	text[RFC3339_LEN] = "";

	if (seconds != 0)
		rfc3339_format(seconds, text);
	json_put_string(o, key, text);
}

/* Behind them, of a detached shell, the time it has left (1.3). */
static void
put_params(const struct stream_record *r, char *out, size_t outlen)
{
	char	ttl[32] = "\xe2\x88\x9e";	/* infinity */

	if (r->ttl_left_ms >= 0)
		str_from_duration((r->ttl_left_ms + 500) / 1000 *
		    INT64_C(1000000000), ttl, sizeof ttl);
	if (!r->detached || str_format(out, outlen, "%s, ttl=%s", r->params,
	    ttl) < 0)
		(void)str_format(out, outlen, "%s", r->params);
}

static bool
put_stream(void *arg, const struct stream_record *r)
{
	struct listing	*l = arg;
	struct json_out	*o = &l->json;
	char		 params[sizeof r->params + 64];

	if (r->kind != l->kind)
		return true;
	json_put_object(o, NULL);
	json_put_string(o, "id", r->id);
	json_put_string(o, "name", stream_kind_name(r->kind));
	put_time(o, "created", r->created);
	put_time(o, "deleted", r->deleted);
	json_put_string(o, "status", r->deleted != 0 ? "STOPPED" :
	    r->detached ? "DETACHED" : "ACTIVE");
	json_put_int(o, "bytes_in", (int64_t)r->bytes_in);
	json_put_int(o, "bytes_out", (int64_t)r->bytes_out);
	put_params(r, params, sizeof params);
	json_put_string(o, "params", params);
	json_put_end(o, '}');
	return true;
}

void
rest_streams(struct rest_conn *c)
{
	struct listing	l;
	int		kind;

	json_out_init(&l.json, &c->answer);
	json_put_array(&l.json, NULL);
	for (kind = STREAM_EXEC; kind <= STREAM_UNIX_SOCKET; kind++) {
		l.kind = (enum stream_kind)kind;
		streams_each(c->rest->opt.svc->streams, put_stream, &l);
	}
	json_put_end(&l.json, ']');
	rest_json(c, 200, &l.json);
}

/* ---- GET /profile ---- */

static void
put_unless_empty(struct json_out *o, const char *key, const char *v)
{
	if (v != NULL && v[0] != '\0')
		json_put_string(o, key, v);
}

void
rest_profile(struct rest_conn *c)
{
	const struct identity	*id = c->rest->opt.svc->identity;
	struct json_out		 o;
	size_t			 i;

	json_out_init(&o, &c->answer);
	json_put_object(&o, NULL);
	json_put_string(&o, "username", id->username);
	put_unless_empty(&o, "name", id->fullname);
	put_unless_empty(&o, "email", id->email);
	json_put_int(&o, "uid", id->uid);
	json_put_int(&o, "gid", id->gid);
	json_put_string(&o, "shell", id->shell != NULL &&
	    id->shell[0] != '\0' ? id->shell : LAST_SHELL);
	json_put_bool(&o, "sudo", id->sudo);
	if (id->nroles > 0) {
		json_put_array(&o, "roles");
		for (i = 0; i < id->nroles; i++)
			json_put_string(&o, NULL, id->roles[i]);
		json_put_end(&o, ']');
	}
	put_unless_empty(&o, "organization", id->organization);
	put_unless_empty(&o, "source", id->source);
	put_time(&o, "expiresAt", id->from == IDENTITY_JWT ? id->exp : 0);
	json_put_end(&o, '}');
	rest_json(c, 200, &o);
}

/* ---- small ones ---- */

void
rest_health(struct rest_conn *c)
{
	struct json_out	o;

	json_out_init(&o, &c->answer);
	json_put_object(&o, NULL);
	json_put_string(&o, "status", c->rest->stopping ? "stopping" : "ok");
	json_put_string(&o, "version", version_full());
	json_put_int(&o, "uptime_seconds", loop_wall() - c->rest->started);
	json_put_end(&o, '}');
	rest_json(c, 200, &o);
}

void
rest_none(struct rest_conn *c)
{
	struct json_out	o;

	json_out_init(&o, &c->answer);
	json_put_array(&o, NULL);
	json_put_end(&o, ']');
	rest_json(c, 200, &o);
}

/* ---- what is missing ---- */

void
rest_missing(struct rest_conn *c)
{
	rest_error(c, 503, "%s", c->route->missing);
}

/* What only the API server can answer. */
void
rest_upstream(struct rest_conn *c)
{
	if (!c->rest->opt.conf->api_server.enabled)
		rest_error(c, 503, "the API server is not configured "
		    "(system.apiServer.enabled)");
	else
		rest_error(c, 503, "the API server is not asked by this "
		    "version of the daemon");
}

/* Nobody is above a standalone daemon: it ends itself. */
static void
stop_daemon(struct rest_conn *c)
{
	struct json_out	o;

	json_out_init(&o, &c->answer);
	json_put_object(&o, NULL);
	json_put_string(&o, "status", "stopping");
	json_put_end(&o, '}');
	rest_json(c, 202, &o);
	c->rest->opt.stop(c->rest->opt.stop_arg);
}

void
rest_shutdown(struct rest_conn *c)
{
	char	action[16];
	int	r = rest_query(c, "action", action, sizeof action);

	if (r < 0 || (r == 1 && strcmp(action, "stop") != 0 &&
	    strcmp(action, "delete") != 0))
		rest_error(c, 400, "action is neither stop nor delete");
	else if (c->rest->opt.stop == NULL)
		rest_upstream(c);
	else if (r == 1 && action[0] == 'd')
		rest_error(c, 400, "a standalone daemon can be stopped, not "
		    "deleted");
	else
		stop_daemon(c);
}
