/*
 * rpc_world - a gRPC server and two kinds of client on one loop.
 *
 * "Raw" is an HTTP/2 client or server without gRPC, for what our own client
 * would never send and our own server never answer.  Nothing sleeps: the loop
 * runs until what a test waits for has happened, or fails after 5 s.
 */
#ifndef TESTS_UNIT_RPC_WORLD_H
#define TESTS_UNIT_RPC_WORLD_H

#include <sys/socket.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "gen/ssh.pb-c.h"
#include "loop/loop.h"
#include "net/conn.h"
#include "net/h2.h"
#include "rpc/client.h"
#include "rpc/grpc.h"
#include "rpc/server.h"
#include "tests/unit/failmalloc.h"

#define UNUSED		__attribute__((unused))
#define PATIENCE_MS	5000
#define CALLS_MAX	300
#define PAUSED_MAX	600
#define FIELD(n, v)	{ .name = n, .value = v, .name_len = sizeof n - 1, \
			    .value_len = sizeof v - 1 }

/* What the handlers of the test service do; zero is an echo. */
struct script {
	bool	 pause;			/* pause at the first message */
	bool	 pause_all;		/* of every call */
	bool	 finish_first;		/* OK at the first message */
	bool	 keep_open;		/* don't finish when the peer ends */
	bool	 work;			/* begin work at the first message */
	bool	 silent;		/* unary: no answer */
	size_t	 pour;			/* bytes to send at the first message */
	size_t	 answer;		/* unary: length of the answer */
	enum grpc_status status;	/* of unary */
	const char *text;
};

struct world {
	struct loop	*loop;
	struct grpc_server *server;
	struct loop_timer patience;
	struct loop_task turn;
	int		 turns;
	bool		 impatient;
	const bool	*want;
	struct script	 script;

	/* seen by the handlers */
	struct grpc_call *call;		/* the last one */
	struct grpc_work *works[CALLS_MAX];
	struct grpc_call *paused[PAUSED_MAX];
	unsigned	 messages, ended, gone, writable, nworks, npaused;
	size_t		 bytes;		/* of data messages */
	size_t		 poured;
	char		 last[64];
	char		 metadata[64];
	bool		 told;		/* any of the above changed */

	/* authoriser */
	unsigned	 checks, cancels, forgets;
	int		 verdict;
	struct grpc_call *pending;
	char		 authorization[64];
};

struct out {			/* a call of our client */
	struct grpc_out_call *call;
	unsigned	 messages, dones, writable;
	size_t		 bytes;
	bool		 pause;		/* at the first message */
	bool		 done;
	enum grpc_status status;
	char		 text[2048];
	char		 last[64];
	struct world	*w;
};

struct link {			/* a connection of our client */
	struct grpc_client *client;
	bool		 ready, lost;
	char		 reason[256];
	struct world	*w;
};

/* -- loop ----------------------------------------------------------------- */

static void
world_wake(struct world *w)
{
	w->told = true;
	if (w->want != NULL && *w->want)
		loop_stop(w->loop);
}

static void
world_on_patience(void *arg)
{
	struct world	*w = arg;

	w->impatient = true;
	loop_stop(w->loop);
}

static void
world_on_turn(void *arg)
{
	struct world	*w = arg;

	if ((w->want != NULL && *w->want) || --w->turns <= 0)
		loop_stop(w->loop);
	else
		loop_later(w->loop, &w->turn);
}

/* Until *flag is true. */
static UNUSED bool
world_reach(struct world *w, const bool *flag)
{
	if (*flag)
		return true;
	w->impatient = false;
	w->want = flag;
	loop_timer_set(w->loop, &w->patience, loop_now(w->loop) + PATIENCE_MS);
	while (!*flag && !w->impatient)
		assert_int_equal(loop_run(w->loop), 0);
	loop_timer_clear(&w->patience);
	w->want = NULL;
	return *flag;
}

#define world_until(w, flag)	assert_true(world_reach(w, flag))

/* Some turns of the loop: enough for what is under way to arrive. */
static UNUSED void
world_turns(struct world *w, int n)
{
	w->turns = n;
	loop_later(w->loop, &w->turn);
	assert_int_equal(loop_run(w->loop), 0);
}

/* Until *n reaches value. */
static UNUSED void
world_count(struct world *w, const unsigned *n, unsigned value)
{
	int	i;

	for (i = 0; i < 2000 && *n < value; i++)
		world_turns(w, 5);
	assert_int_equal(*n, value);
}

/* -- service -------------------------------------------------------------- */

static void
world_pour(struct world *w)
{
	static const uint8_t	zeros[GRPC_DATA_MAX];
	size_t			n;

	while (w->poured < w->script.pour &&
	    (n = grpc_room(w->call)) > 0) {
		if (n > w->script.pour - w->poured)
			n = w->script.pour - w->poured;
		assert_int_equal(grpc_send_bytes(w->call, 2, zeros, n), 0);
		w->poured += n;
	}
	if (w->script.pour > 0 && w->poured == w->script.pour) {
		grpc_finish(w->call, GRPC_OK, NULL);
		w->call = NULL;
	}
}

static void
svc_see(struct grpc_call *c)
{
	struct world	*w = grpc_call_user(c);
	const char	*md = grpc_metadata(c, "session-id");

	w->call = c;
	w->messages++;
	if (md != NULL)
		snprintf(w->metadata, sizeof w->metadata, "%s", md);
	if (w->script.work && grpc_call_arg(c) == NULL) {
		grpc_call_set_arg(c, w);
		w->works[w->nworks++] = grpc_work_begin(c);
	}
	world_wake(w);
}

static void
svc_unary(struct grpc_call *c, const ProtobufCMessage *m)
{
	const K8shelld__GetCWDRequest	*req = (const void *)m;
	K8shelld__GetCWDResponse	 resp = K8SHELLD__GET_CWDRESPONSE__INIT;
	struct world			*w = grpc_call_user(c);
	char				*text = NULL;

	svc_see(c);
	snprintf(w->last, sizeof w->last, "%s", req->shell_id);
	if (w->script.silent)
		return;
	if (w->script.status != GRPC_OK) {
		grpc_finish(c, w->script.status, "%s", w->script.text);
		w->call = NULL;
		return;
	}
	resp.path = req->shell_id;
	if (w->script.answer > 0) {
		text = malloc(w->script.answer + 1);
		if (text != NULL) {
			memset(text, 'a', w->script.answer);
			text[w->script.answer] = '\0';
			resp.path = text;
		}
	}
	grpc_reply(c, &resp.base);
	w->call = NULL;
	free(text);
}

static void
svc_bidi(struct grpc_call *c, const ProtobufCMessage *m)
{
	const K8shelld__ShellRequest	*req = (const void *)m;
	struct world			*w = grpc_call_user(c);

	svc_see(c);
	w->bytes += req->data.len;
	snprintf(w->last, sizeof w->last, "%.*s", (int)(req->data.len < 60 ?
	    req->data.len : 60), (const char *)req->data.data);
	if (w->script.pause_all && grpc_call_arg(c) == NULL &&
	    w->npaused < PAUSED_MAX) {
		grpc_call_set_arg(c, w);
		w->paused[w->npaused++] = c;
		grpc_pause(c);
	} else if (w->script.pause && w->messages == 1) {
		grpc_pause(c);
	} else if (w->script.finish_first) {
		grpc_finish(c, GRPC_OK, NULL);
		w->call = NULL;
	} else if (w->script.pour > 0) {
		world_pour(w);
	} else if (!w->script.keep_open) {
		grpc_send_bytes(c, 2, req->data.data, req->data.len);
	}
}

static void
svc_ended(struct grpc_call *c)
{
	struct world	*w = grpc_call_user(c);

	w->call = c;
	w->ended++;
	if (!w->script.keep_open && w->script.pour == 0) {
		grpc_finish(c, GRPC_OK, NULL);
		w->call = NULL;
	}
	world_wake(w);
}

static void
svc_writable(struct grpc_call *c)
{
	struct world	*w = grpc_call_user(c);

	w->writable++;
	if (w->script.pour > 0)
		world_pour(w);
	world_wake(w);
}

static void
svc_gone(struct grpc_call *c)
{
	struct world	*w = grpc_call_user(c);

	w->gone++;
	w->call = NULL;
	assert_int_equal(grpc_room(c), 0);
	assert_int_equal(grpc_send_bytes(c, 2, "x", 1), -EPIPE);
	world_wake(w);
}

#define CWD_REQ		(&k8shelld__get_cwdrequest__descriptor)
#define CWD_RESP	(&k8shelld__get_cwdresponse__descriptor)
#define SHELL_REQ	(&k8shelld__shell_request__descriptor)
#define SHELL_RESP	(&k8shelld__shell_response__descriptor)

static const struct grpc_method svc_methods[] = {
	{ "Unary", GRPC_UNARY, CWD_REQ, svc_unary, NULL, NULL, svc_gone },
	{ "Stream", GRPC_SERVER_STREAM, CWD_REQ, svc_unary, NULL,
	    svc_writable, svc_gone },
	{ "Bidi", GRPC_BIDI, SHELL_REQ, svc_bidi, svc_ended, svc_writable,
	    svc_gone },
	{ .name = "Missing", .kind = GRPC_BIDI, .request = SHELL_REQ },
};

static const struct grpc_service svc = {
	"/test.Svc/", svc_methods, ARRAY_LEN(svc_methods)
};
static const struct grpc_service *const svc_list[] = { &svc };

/* -- authoriser ----------------------------------------------------------- */

static UNUSED int
auth_check(void *arg, struct grpc_peer *peer, struct grpc_call *c,
    const char *authorization, const char **why)
{
	struct world	*w = arg;

	assert_true(peer->has_uid);
	w->checks++;
	snprintf(w->authorization, sizeof w->authorization, "%s",
	    authorization != NULL ? authorization : "(none)");
	if (w->verdict == GRPC_AUTH_PENDING)
		w->pending = c;
	else if (w->verdict != GRPC_OK)
		*why = "token expired";
	else
		assert_int_equal(grpc_call_set_subject(c, "alice"), 0);
	world_wake(w);
	return w->verdict;
}

static UNUSED void
auth_forget(void *arg, struct grpc_peer *peer)
{
	struct world	*w = arg;

	(void)peer;
	w->forgets++;
}

static UNUSED void
auth_cancel(void *arg, struct grpc_call *c)
{
	struct world	*w = arg;

	w->cancels++;
	if (w->pending == c)
		w->pending = NULL;
	world_wake(w);
}

/* -- set up --------------------------------------------------------------- */

static UNUSED void
world_options(struct world *w, struct grpc_options *opt)
{
	*opt = (struct grpc_options){
		.services = svc_list, .nservices = 1, .user = w
	};
}

static UNUSED void
world_init(struct world *w, const struct grpc_options *opt)
{
	struct grpc_options	dflt;

	*w = (struct world){ 0 };
	log_setup(getenv("RPC_DEBUG") ? LOG_DEBUG : LOG_FATAL, 2);
	w->loop = loop_create();
	assert_non_null(w->loop);
	w->patience.fn = world_on_patience;
	w->patience.arg = w;
	w->turn.fn = world_on_turn;
	w->turn.arg = w;
	world_options(w, &dflt);
	if (opt != NULL) {
		dflt = *opt;
		dflt.user = w;
		dflt.auth.arg = w;
	}
	w->server = grpc_server_create(w->loop, &dflt);
	assert_non_null(w->server);
}

static UNUSED void
world_finish(struct world *w)
{
	grpc_server_destroy(w->server);
	world_turns(w, 3);
	loop_timer_clear(&w->patience);
	loop_destroy(w->loop);
}

/* Our end of a new connection to the server. */
static UNUSED int
world_dial(struct world *w)
{
	int	sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0, sv), 0);
	grpc_server_accept(w->server, sv[0], NULL);
	return sv[1];
}

/* -- our client ----------------------------------------------------------- */

static void
link_on_lost(void *arg, const char *reason)
{
	struct link	*l = arg;

	assert_false(l->lost);
	l->lost = true;
	snprintf(l->reason, sizeof l->reason, "%s", reason);
	world_wake(l->w);
}

static void
link_on_ready(void *arg)
{
	struct link	*l = arg;

	l->ready = true;
	world_wake(l->w);
}

static const struct grpc_client_ops link_ops = {
	.lost = link_on_lost, .ready = link_on_ready
};

static UNUSED int
link_attach(struct world *w, struct link *l, int fd)
{
	*l = (struct link){ .w = w };
	return grpc_client_create(&l->client, w->loop, fd, false, NULL,
	    "test", &link_ops, l);
}

static UNUSED void
link_open(struct world *w, struct link *l)
{
	assert_int_equal(link_attach(w, l, world_dial(w)), 0);
	world_until(w, &l->ready);
}

static UNUSED void
link_close(struct link *l)
{
	grpc_client_destroy(l->client);
	l->client = NULL;
	world_turns(l->w, 20);
}

static void
out_on_message(void *arg, const ProtobufCMessage *m)
{
	const K8shelld__ShellResponse	*shell = (const void *)m;
	const K8shelld__GetCWDResponse	*cwd = (const void *)m;
	struct out			*o = arg;

	assert_false(o->done);
	o->messages++;
	if (m->descriptor == CWD_RESP) {
		o->bytes += strlen(cwd->path);
		snprintf(o->last, sizeof o->last, "%.60s", cwd->path);
	} else {
		o->bytes += shell->data.len;
		snprintf(o->last, sizeof o->last, "%.*s",
		    (int)(shell->data.len < 60 ? shell->data.len : 60),
		    (const char *)shell->data.data);
	}
	if (o->pause && o->messages == 1)
		grpc_out_pause(o->call);
	world_wake(o->w);
}

static void
out_on_done(void *arg, enum grpc_status status, const char *text)
{
	struct out	*o = arg;

	o->dones++;
	o->done = true;
	o->status = status;
	snprintf(o->text, sizeof o->text, "%s", text);
	world_wake(o->w);
}

static void
out_on_writable(void *arg)
{
	struct out	*o = arg;

	o->writable++;
	world_wake(o->w);
}

static const struct grpc_out_ops out_ops = {
	out_on_message, out_on_done, out_on_writable
};

static UNUSED int
out_start(struct link *l, struct out *o, const char *path, uint32_t ms)
{
	static const struct hpack_field	md[] = {
		FIELD("session-id", "sh-1"),
		FIELD("session-id", "sh-2"),
		FIELD("authorization", "Bearer abc"),
	};
	struct grpc_request		req = {
		.path = path, .metadata = md, .nmetadata = 3,
		.response = strcmp(path, "/test.Svc/Bidi") == 0 ?
		    SHELL_RESP : CWD_RESP, .timeout_ms = ms
	};
	bool				pause = o->pause;

	*o = (struct out){ .w = l->w, .pause = pause };
	return grpc_start(l->client, &o->call, &req, &out_ops, o);
}

static UNUSED int
out_unary(struct link *l, struct out *o, const char *text)
{
	K8shelld__GetCWDRequest	req = K8SHELLD__GET_CWDREQUEST__INIT;
	int			r;

	if ((r = out_start(l, o, "/test.Svc/Unary", 0)) < 0)
		return r;
	req.shell_id = (char *)(uintptr_t)text;
	if ((r = grpc_out_send(o->call, &req.base)) < 0)
		return r;
	grpc_out_end(o->call);
	return 0;
}

/* -- raw HTTP/2 ----------------------------------------------------------- */

struct answer {
	struct h2_stream *stream;
	unsigned	 blocks;	/* of headers */
	char		 http[8], status[8], message[128], type[64];
	char		 accept[32], encoding[32], allow[16];
	bool		 ended, closed;
	uint32_t	 code;
	uint8_t		 data[256];
	size_t		 ndata;
};

struct raw {
	struct conn	*conn;
	struct h2	*h2;
	struct world	*w;
	bool		 ready, lost;
	unsigned	 requests, goaways;
	uint32_t	 goaway_id;
	struct h2_stream *request;	/* raw server: the last one */
	struct answer	*answers[CALLS_MAX];
};

static void
raw_copy(const struct hpack_list *list, const char *name, char *to, size_t n)
{
	size_t	i;

	for (i = 0; i < list->count; i++)
		if (strcmp(list->fields[i].name, name) == 0)
			snprintf(to, n, "%s", list->fields[i].value);
}

static void
raw_on_headers(void *arg, struct h2_stream *s, const struct hpack_list *list,
    bool end)
{
	struct raw	*r = arg;
	struct answer	*a = h2_stream_arg(s);

	if (a == NULL) {
		r->request = s;
		r->requests++;
		world_wake(r->w);
		return;
	}
	a->blocks++;
	a->ended = end;
	raw_copy(list, ":status", a->http, sizeof a->http);
	raw_copy(list, "grpc-status", a->status, sizeof a->status);
	raw_copy(list, "grpc-message", a->message, sizeof a->message);
	raw_copy(list, "content-type", a->type, sizeof a->type);
	raw_copy(list, "grpc-accept-encoding", a->accept, sizeof a->accept);
	raw_copy(list, "grpc-encoding", a->encoding, sizeof a->encoding);
	raw_copy(list, "allow", a->allow, sizeof a->allow);
	world_wake(r->w);
}

static void
raw_on_data(void *arg, struct h2_stream *s, const uint8_t *p, size_t n,
    bool end)
{
	struct raw	*r = arg;
	struct answer	*a = h2_stream_arg(s);

	h2_consume(s, n);
	if (a != NULL) {
		if (n <= sizeof a->data - a->ndata)
			memcpy(a->data + a->ndata, p, n);
		a->ndata += n;
		a->ended = end;
	}
	world_wake(r->w);
}

static void
raw_on_closed(void *arg, struct h2_stream *s, uint32_t code)
{
	struct raw	*r = arg;
	struct answer	*a = h2_stream_arg(s);

	if (r->request == s)
		r->request = NULL;
	if (a != NULL) {
		a->stream = NULL;
		a->closed = true;
		a->code = code;
	}
	world_wake(r->w);
}

static void
raw_on_stream_writable(void *arg, struct h2_stream *s)
{
	(void)arg;
	(void)s;
}

static void
raw_on_goaway(void *arg, uint32_t last, uint32_t code)
{
	struct raw	*r = arg;

	(void)code;
	r->goaways++;
	r->goaway_id = last;
	world_wake(r->w);
}

static const struct h2_ops raw_h2_ops = {
	raw_on_headers, raw_on_data, raw_on_stream_writable, raw_on_closed,
	raw_on_goaway
};

static void
raw_on_ready(void *arg)
{
	struct raw	*r = arg;

	r->ready = true;
	world_wake(r->w);
}

static int
raw_on_input(void *arg, struct buf *in)
{
	struct raw	*r = arg;
	size_t		 used;
	int		 e;

	do {
		e = h2_recv(r->h2, buf_head(in), in->len, &used,
		    loop_now(r->w->loop));
		buf_drain(in, used);
	} while (e == 0 && in->len > 0 && used > 0);
	conn_kick(r->conn);
	return e;
}

static void
raw_on_output(void *arg, struct buf *out)
{
	struct raw	*r = arg;

	h2_send(r->h2, out);
}

static void
raw_on_lost(void *arg, int why, const char *reason)
{
	struct raw	*r = arg;

	(void)why;
	(void)reason;
	r->lost = true;
	world_wake(r->w);
}

static const struct conn_ops raw_ops = {
	.ready = raw_on_ready, .input = raw_on_input,
	.output = raw_on_output, .closed = raw_on_lost
};

static UNUSED void
raw_open(struct world *w, struct raw *r, int fd, bool server)
{
	struct h2_limits	limits;

	*r = (struct raw){ .w = w };
	h2_limits_default(&limits);
	r->h2 = h2_create(server, &limits, &raw_h2_ops, r, loop_now(w->loop));
	assert_non_null(r->h2);
	assert_int_equal(conn_create(&r->conn, w->loop, fd, false, NULL,
	    &raw_ops, r), 0);
	world_until(w, &r->ready);
}

static UNUSED void
raw_close(struct raw *r)
{
	if (!r->lost)
		conn_close(r->conn, 0);
	h2_destroy(r->h2);
	world_turns(r->w, 10);
}

/* Fields are name, value, ..., NULL; later ones replace earlier ones, a value
 * of NULL removes the field, a leading '+' adds another of the name. */
static UNUSED void
raw_request(struct raw *r, struct answer *a, bool end, ...)
{
	struct hpack_field	f[64] = {
		FIELD(":method", "POST"),
		FIELD(":scheme", "http"),
		FIELD(":path", "/test.Svc/Unary"),
		FIELD(":authority", "x"),
		FIELD("content-type", "application/grpc"),
		FIELD("te", "trailers"),
	};
	size_t			n = 6, i;
	const char		*name, *value;
	va_list			ap;

	va_start(ap, end);
	while ((name = va_arg(ap, const char *)) != NULL) {
		value = va_arg(ap, const char *);
		for (i = 0; i < n && strcmp(f[i].name, name) != 0; )
			i++;
		if (name[0] == '+') {
			name++;
			i = n;
		}
		if (value == NULL && i < n) {
			memmove(&f[i], &f[i + 1], (--n - i) * sizeof f[0]);
			continue;
		}
		f[i].name = name;
		f[i].name_len = strlen(name);
		f[i].value = value;
		f[i].value_len = strlen(value);
		n += i == n;
	}
	va_end(ap);
	*a = (struct answer){ 0 };
	assert_int_equal(h2_open(r->h2, &a->stream, f, n, end), 0);
	h2_stream_set_arg(a->stream, a);
	conn_kick(r->conn);
}

static UNUSED void
raw_data(struct raw *r, struct answer *a, const void *p, size_t n, bool end)
{
	assert_int_equal(h2_data(a->stream, p, n, end), 0);
	conn_kick(r->conn);
}

#define MSG(flag, len, body)	flag "\0\0\0" len body
#define RAW_DATA(r, a, s, end)	raw_data(r, a, s, sizeof s - 1, end)

#endif
