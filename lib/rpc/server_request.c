/*
 * server_request - from a header block to a call, or to a refusal.
 *
 * The order is fixed: is it gRPC at all (405, 415), is it well-formed, which
 * method is it, is there a slot, may the caller do it.  The path that is
 * looked up is the path as it came, byte for byte, so nothing can route to
 * one method and be authorised as another (G3).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "net/hpack.h"
#include "rpc/route.h"
#include "rpc/server_impl.h"

#define FIELD(n, v)	{ .name = n, .value = v, .name_len = sizeof n - 1, \
			    .value_len = sizeof v - 1 }

struct request {
	const char	*method, *path, *type, *timeout, *encoding;
	const char	*authorization;		/* NULL: none */
	uint64_t	 timeout_ms;		/* 0: none */
};

/* -- answers without a call ----------------------------------------------- */

static void
answer(struct h2_stream *s, const struct hpack_field *f, size_t n)
{
	bool	ended = h2_stream_remote_ended(s);

	if (h2_headers(s, f, n, true) < 0)
		h2_reset(s, H2_INTERNAL_ERROR);
	else if (!ended)
		h2_finish(s);		/* G9 */
}

/* A plain HTTP response: the peer does not speak gRPC (G1). */
static void
answer_http(struct h2_stream *s, const char *status)
{
	struct hpack_field	f[] = {
		FIELD(":status", "405"),
		FIELD("content-length", "0"),
		FIELD("allow", "POST"),
	};
	bool			not_allowed = strcmp(status, "405") == 0;

	f[0].value = status;
	answer(s, f, not_allowed ? 3 : 2);
}

/* Trailers-Only.  text: plain ASCII without '%'. */
static void
answer_status(struct server_conn *sc, struct h2_stream *s,
    enum grpc_status status, const char *text)
{
	char			number[4];
	struct hpack_field	f[] = {
		FIELD(":status", "200"),
		FIELD("content-type", "application/grpc"),
		FIELD("grpc-status", ""),
		FIELD("grpc-message", ""),
		FIELD("grpc-accept-encoding", "identity"),
	};

	snprintf(number, sizeof number, "%d", (int)status);
	f[2].value = number;
	f[2].value_len = strlen(number);
	f[3].value = text;
	f[3].value_len = strlen(text);
	sc->server->stats.calls_refused++;
	answer(s, f, ARRAY_LEN(f));
}

/* -- reading the fields --------------------------------------------------- */

static bool
is(const struct hpack_field *f, const char *name, size_t len)
{
	return f->name_len == len && memcmp(f->name, name, len) == 0;
}

#define IS(f, name)	is(f, name, sizeof name - 1)

static void
keep_first(const char **to, const struct hpack_field *f)
{
	if (*to == NULL)
		*to = f->value;
}

static void
request_read(struct request *rq, const struct hpack_list *list)
{
	const struct hpack_field	*f;
	size_t				 i;

	*rq = (struct request){ 0 };
	for (i = 0; i < list->count; i++) {
		f = &list->fields[i];
		if (IS(f, ":method"))
			keep_first(&rq->method, f);
		else if (IS(f, ":path"))
			keep_first(&rq->path, f);
		else if (IS(f, "content-type"))
			keep_first(&rq->type, f);
		else if (IS(f, "authorization"))
			keep_first(&rq->authorization, f);
		else if (IS(f, "grpc-timeout"))
			keep_first(&rq->timeout, f);
		else if (IS(f, "grpc-encoding"))
			keep_first(&rq->encoding, f);
	}
}

/* "application/grpc", "application/grpc+proto", either with parameters. */
static bool
type_is_grpc(const char *type)
{
	static const char	grpc[] = "application/grpc";
	static const char	proto[] = "+proto";

	if (type == NULL || strncasecmp(type, grpc, sizeof grpc - 1) != 0)
		return false;
	type += sizeof grpc - 1;
	if (strncasecmp(type, proto, sizeof proto - 1) == 0)
		type += sizeof proto - 1;
	return *type == '\0' || *type == ';';
}

/* NULL: fine; else why it is refused, with *status. */
static const char *
request_fault(struct request *rq, enum grpc_status *status)
{
	*status = GRPC_INTERNAL;
	if (rq->timeout != NULL &&
	    grpc_timeout_parse(rq->timeout, &rq->timeout_ms) < 0)
		return "malformed grpc-timeout";
	*status = GRPC_UNIMPLEMENTED;
	if (rq->encoding != NULL && strcmp(rq->encoding, "identity") != 0)
		return "compression is not supported";
	return NULL;
}

static const struct grpc_method *
method_in(const struct grpc_service *sv, const char *name)
{
	size_t	i;

	for (i = 0; i < sv->nmethods && sv->methods[i].name != NULL; i++)
		if (strcmp(name, sv->methods[i].name) == 0)
			return &sv->methods[i];
	return NULL;
}

static const struct grpc_method *
method_find(const struct grpc_options *opt, const char *path,
    const struct grpc_service **sv)
{
	const struct grpc_method	*m;
	size_t				 i;

	for (i = 0; path != NULL && i < opt->nservices; i++) {
		*sv = opt->services[i];
		if (str_prefix(path, (*sv)->prefix) && (m = method_in(*sv,
		    path + strlen((*sv)->prefix))) != NULL)
			return m;
	}
	return NULL;
}

/* -- metadata ------------------------------------------------------------- */

/* What the transport or this library uses itself (G20: any other grpc-*). */
static bool
is_reserved(const struct hpack_field *f)
{
	static const char *const names[] = {
		"te", "content-type", "content-length", "user-agent",
		"authorization", "host",
	};
	size_t	i;

	if (f->name_len == 0 || f->name[0] == ':' ||
	    str_prefix(f->name, "grpc-"))
		return true;
	for (i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(f->name, names[i]) == 0)
			return true;
	return false;
}

static char *
arena_text(struct arena *a, const char *s, size_t n)
{
	char	*p = arena_alloc(a, n + 1);

	if (p == NULL)
		return NULL;
	memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

/* Every value of a "-bin" list has to be base64; the first one is kept. */
static int
read_binary(struct metadata *md, struct arena *a, const struct hpack_field *f)
{
	const char	*p = f->value, *end = p + f->value_len, *comma;
	uint8_t		*first = arena_alloc(a, f->value_len + 1);
	uint8_t		*rest = NULL;
	size_t		 room;

	if (first == NULL)
		return -ENOMEM;
	for (;; p = comma + 1) {
		comma = memchr(p, ',', (size_t)(end - p));
		room = f->value_len;
		if (base64_decode(p, (size_t)((comma != NULL ? comma : end) -
		    p), true, rest != NULL ? rest : first, &room) < 0)
			return -EINVAL;
		if (rest == NULL) {
			first[room] = '\0';
			md->value = (const char *)first;
			md->value_len = room;
		}
		if (comma == NULL)
			return 0;
		if (rest == NULL &&
		    (rest = arena_alloc(a, f->value_len + 1)) == NULL)
			return -ENOMEM;
	}
}

static int
read_field(struct metadata **out, struct arena *a, const struct hpack_field *f)
{
	struct metadata	*md = arena_alloc(a, sizeof *md);
	int		 r = 0;

	if (md == NULL)
		return -ENOMEM;
	*md = (struct metadata){
		.key = arena_text(a, f->name, f->name_len),
		.value_len = f->value_len,
	};
	if (f->name_len > 4 &&
	    memcmp(f->name + f->name_len - 4, "-bin", 4) == 0)
		r = read_binary(md, a, f);
	else
		md->value = arena_text(a, f->value, f->value_len);
	if (r < 0)
		return r;
	if (md->key == NULL || md->value == NULL)
		return -ENOMEM;
	*out = md;
	return 0;
}

/* In the order of arrival, so that the first value of a key wins. */
static int
read_metadata(struct grpc_call *c, const struct hpack_list *list)
{
	struct metadata	**tail = &c->metadata;
	size_t		  i;
	int		  r;

	for (i = 0; i < list->count; i++) {
		if (is_reserved(&list->fields[i]))
			continue;
		if ((r = read_field(tail, &c->meta, &list->fields[i])) < 0)
			return r;
		tail = &(*tail)->next;
	}
	return 0;
}

/* -- a call --------------------------------------------------------------- */

/* May the caller do it?  Nothing of a message has been kept so far. */
static void
authorise(struct grpc_call *c, const char *authorization)
{
	struct server_conn	*sc = c->conn;
	const struct grpc_auth	*auth = &c->server->opt.auth;
	const char		*why = "";
	int			 verdict = GRPC_OK;

	if (auth->check != NULL)
		verdict = auth->check(auth->arg, &sc->peer, c, authorization,
		    &why);
	if (verdict == GRPC_AUTH_PENDING) {
		c->pending = true;
		if (++sc->pending > PENDING_MAX)
			call_fail(c, GRPC_RESOURCE_EXHAUSTED,
			    "too many calls wait for their token");
	} else {
		call_verdict(c, verdict, why);
	}
}

static bool
slots_left(const struct server_conn *sc)
{
	return sc->live < GRPC_LIVE_CONN_MAX &&
	    sc->server->live < GRPC_LIVE_MAX;
}

static void
request_call(struct server_conn *sc, struct h2_stream *s,
    const struct hpack_list *list, const struct request *rq, bool end)
{
	struct grpc_server	*srv = sc->server;
	const struct grpc_service *sv;
	const struct grpc_method *m;
	struct grpc_call	*c;
	int			 r;

	if ((m = method_find(&srv->opt, rq->path, &sv)) == NULL) {
		answer_status(sc, s, GRPC_UNIMPLEMENTED,
		    "unknown service or method");
		return;
	}
	if (!slots_left(sc) || (c = call_create(sc, s)) == NULL) {
		srv->stats.calls_refused++;
		h2_reset(s, H2_REFUSED_STREAM);
		return;
	}
	call_hold(c);
	h2_stream_set_arg(s, c);
	c->service = sv;
	c->method = m;
	c->ended = end;
	if ((r = read_metadata(c, list)) < 0) {
		call_fail(c, r == -EINVAL ? GRPC_INTERNAL :
		    GRPC_RESOURCE_EXHAUSTED, r == -EINVAL ?
		    "malformed binary metadata" : "out of memory");
	} else {
		if (rq->timeout != NULL)
			loop_timer_set(srv->loop, &c->deadline,
			    loop_now(srv->loop) + rq->timeout_ms);
		authorise(c, rq->authorization);
	}
	call_release(c);
}

void
request_headers(struct server_conn *sc, struct h2_stream *s,
    const struct hpack_list *list, bool end)
{
	struct request		 rq;
	const char		*fault;
	enum grpc_status	 status;
	bool			 grpc;

	conn_stream_set_plain(s, false);	/* until it is a call */
	if (list->oversize) {
		answer_status(sc, s, GRPC_RESOURCE_EXHAUSTED,
		    "header list too large");
		return;
	}
	request_read(&rq, list);
	grpc = type_is_grpc(rq.type);
	if (!grpc && route_request(s, list, end)) {
		conn_stream_set_plain(s, true);
		if (sc->server->opt.auth.check == NULL)
			conn_is_authentic(sc);
	} else if (rq.method == NULL || strcmp(rq.method, "POST") != 0) {
		answer_http(s, "405");
	} else if (!grpc) {
		answer_http(s, "415");
	} else if ((fault = request_fault(&rq, &status)) != NULL) {
		answer_status(sc, s, status, fault);
	} else {
		request_call(sc, s, list, &rq, end);
	}
}
