/*
 * wait: until jobs have ended, or one has said something, or listens.
 */
#include <limits.h>
#include <string.h>

#include "applets/kbox_jobs.h"
#include "base/str.h"
#include "svc/rest.h"

#define SPARE_MS	10000		/* what the daemon may be late */

struct waiting {
	struct kbox	*k;
	const char	*id;
	int64_t		 limit_ms;	/* -1: none */
	int64_t		 left_ms;	/* of it */
};

/* 408: it is not so yet. */
static int
too_late(const struct waiting *w, const char *what)
{
	const char	*limit = w->k->values[OPT_LIMIT];

	(void)kbox_fail(w->k, 0, "%s %s within %s%s", w->id, what, limit,
	    limit[strspn(limit, "0123456789.")] == '\0' ? " s" : "");
	return KBOX_EXACT(KBOX_TOO_LATE);
}

/* ---- until it has ended ---- */

static int
status_of(const struct waiting *w, const struct value *v)
{
	int	code = (int)value_number(v, "exit_code", -1);

	if (strcmp(value_text(v, "status"), "error") == 0)
		(void)kbox_fail(w->k, 0, "%s could not be started: %s", w->id,
		    value_text(v, "message"));
	else if (code < 0)
		(void)kbox_fail(w->k, 0, "%s ended without an exit status",
		    w->id);
	return code < 0 ? KBOX_OWN : KBOX_EXACT(code & 0xff);
}

/* KBOX_OK, and its status; else our own, after a message. */
static int
wait_for_end(const struct waiting *w, int *status)
{
	struct kbox		*k = w->k;
	struct kbox_request	 q = { .method = "GET", .quiet = true };
	struct kbox_answer	 a;
	struct value		*v;
	const char		*limit = "/wait";
	int			 r;

	if (w->limit_ms >= 0)
		limit = kbox_printf(k, "/wait?timeout_ms=%lld",
		    (long long)w->left_ms);
	if ((q.target = kbox_route(k, "jobs", w->id, limit)) == NULL)
		return KBOX_OWN;
	r = kbox_call(k, &q, &a);
	if (a.status == 408)
		return too_late(w, "has not ended");
	if (a.status == 0)
		return kbox_fail(k, KBOX_OWN, "the connection to the daemon "
		    "at %s is lost", k->socket);
	if (r != KBOX_OK)
		return kbox_refused(k, &a, false);
	if ((v = value_parse(k, &a)) == NULL)
		return KBOX_OWN;
	if (k->values[OPT_JSON] != NULL)
		(void)value_print_answer(k, &a);
	*status = status_of(w, v);
	return KBOX_OK;
}

/* The limit is for all of them; the status that of the last. */
static int
wait_for_all(struct waiting *w, const char *const *ids)
{
	int64_t	end_ms = kbox_clock() + w->limit_ms;
	int	r = KBOX_OK, status = KBOX_OK;
	size_t	i;

	w->left_ms = w->limit_ms;
	for (i = 0; i < w->k->nwords && r == KBOX_OK; i++) {
		w->id = ids[i];
		r = wait_for_end(w, &status);
		w->left_ms = end_ms - kbox_clock();
		if (w->left_ms < 0)
			w->left_ms = 0;
	}
	return r != KBOX_OK ? r : status;
}

/* ---- until it is ready ---- */

static int
put_port(const struct waiting *w, struct json_out *o)
{
	struct kbox	*k = w->k;
	const char	*path = k->values[OPT_HTTP];
	uint32_t	 port;

	if (str_to_u32(k->values[OPT_PORT], 65535, &port) < 0 || port == 0)
		return kbox_fail(k, KBOX_USAGE, "--port is a number from 1 to "
		    "65535, not \"%s\"", k->values[OPT_PORT]);
	json_put_int(o, "port", port);
	json_put_string(o, "mode", path != NULL ? "http" : "tcp");
	if (path != NULL)
		json_put_string(o, "path", path[0] == '/' ? path :
		    kbox_printf(k, "/%s", path));
	if (k->values[OPT_STATUS] != NULL)
		json_put_string(o, "status", k->values[OPT_STATUS]);
	return 0;
}

static int
put_condition(const struct waiting *w, struct json_out *o)
{
	const char	*const *values = w->k->values;
	int		 r = 0;

	json_put_object(o, NULL);
	if (values[OPT_PORT] != NULL) {
		r = put_port(w, o);
	} else {
		json_put_string(o, "log", values[OPT_LOG] != NULL ?
		    values[OPT_LOG] : values[OPT_REGEX]);
		if (values[OPT_REGEX] != NULL)
			json_put_bool(o, "regex", true);
	}
	if (w->limit_ms >= 0)
		json_put_int(o, "timeout_ms", w->limit_ms);
	json_put_end(o, '}');
	if (r == 0 && json_put_done(o) < 0)
		r = kbox_fail(w->k, KBOX_USAGE, "the text is too long");
	return r;
}

static int
make_body(const struct waiting *w, char **text)
{
	struct json_out	o;
	struct buf	body;
	int		r;

	buf_init(&body, REST_BODY_MAX);
	json_out_init(&o, &body);
	if ((r = put_condition(w, &o)) == 0)
		*text = kbox_printf(w->k, "%.*s", (int)body.len,
		    (const char *)buf_head(&body));
	buf_finish(&body);
	return r;
}

/* The line that was waited for is worth showing; "ready" is not. */
static int
show_match(struct kbox *k, const struct kbox_answer *a)
{
	const struct value	*v, *line;

	if (k->values[OPT_JSON] != NULL)
		return value_print_answer(k, a);
	if ((v = value_parse(k, a)) == NULL)
		return KBOX_FAILED;
	if ((line = value_get(v, "line")) != NULL)
		puts(kbox_out(k, line->text));
	return KBOX_OK;
}

static int
wait_for_ready(const struct waiting *w)
{
	struct kbox		*k = w->k;
	struct kbox_request	 q = { .method = "POST", .quiet = true };
	struct kbox_answer	 a;
	char			*body = NULL;
	int			 r;

	if ((r = make_body(w, &body)) != 0)
		return r;
	q.body = body;
	if ((q.target = kbox_route(k, "jobs", w->id, "/wait")) == NULL)
		return KBOX_OWN;
	if ((r = kbox_call(k, &q, &a)) == KBOX_OK)
		return show_match(k, &a);
	if (a.status == 408)
		return too_late(w, k->values[OPT_PORT] != NULL ?
		    "was not ready" : "said nothing like that");
	if (a.status == 0)
		return kbox_fail(k, KBOX_OWN, "the connection to the daemon "
		    "at %s is lost", k->socket);
	r = kbox_refused(k, &a, false);
	if (a.status != 500)
		return r;
	kbox_hint("kbox logs %s shows what it said", w->id);
	return KBOX_EXACT(KBOX_FAILED);
}

static bool
is_for_ready(const struct kbox *k)
{
	return k->values[OPT_LOG] != NULL || k->values[OPT_REGEX] != NULL ||
	    k->values[OPT_PORT] != NULL;
}

static int
check_options(struct kbox *k)
{
	if (is_for_ready(k) && k->nwords > 1)
		return kbox_fail(k, KBOX_USAGE,
		    "--log, --regex and --port are for one job");
	if ((k->values[OPT_LOG] != NULL) + (k->values[OPT_REGEX] != NULL) +
	    (k->values[OPT_PORT] != NULL) > 1)
		return kbox_fail(k, KBOX_USAGE,
		    "one of --log, --regex and --port");
	if (k->values[OPT_HTTP] != NULL && k->values[OPT_PORT] == NULL)
		return kbox_fail(k, KBOX_USAGE, "--http needs a --port");
	if (k->values[OPT_STATUS] != NULL && k->values[OPT_HTTP] == NULL)
		return kbox_fail(k, KBOX_USAGE, "--status needs --http");
	return 0;
}

int
kbox_wait(struct kbox *k)
{
	struct waiting	 w = { .k = k, .limit_ms = -1 };
	const char	*limit = k->values[OPT_LIMIT];
	const char	**ids = kbox_alloc(k, k->nwords * sizeof *ids);
	size_t		 i;
	int		 r;

	if ((r = check_options(k)) != 0)
		return r;
	if (limit != NULL && ((w.limit_ms = kbox_parse_span(limit)) < 0 ||
	    w.limit_ms > INT32_MAX - SPARE_MS))
		return kbox_fail(k, KBOX_USAGE, "--timeout is a duration such "
		    "as 90s, 30m or 12h, not \"%s\"", limit);
	for (i = 0; i < k->nwords; i++)
		if ((r = kbox_job_find(k, k->words[i], KBOX_JOBS_LIVE,
		    &ids[i])) != KBOX_OK)
			return r;
	k->timeout_ms = w.limit_ms >= 0 ? (uint32_t)w.limit_ms + SPARE_MS :
	    INT32_MAX;
	if (!is_for_ready(k))
		return wait_for_all(&w, ids);
	w.id = ids[0];
	return wait_for_ready(&w);
}
