/*
 * client_call - one call of a gRPC client.
 *
 * done() comes after the last answer, also when the application has paused
 * and the stream is long closed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "base/version.h"
#include "net/conn.h"
#include "rpc/client_impl.h"

#define FIELD(n, v)	{ .name = n, .value = v, .name_len = sizeof n - 1, \
			    .value_len = sizeof v - 1 }

static void	call_flow(struct grpc_out_call *c);

/* -- life ----------------------------------------------------------------- */

static void
unlist(struct grpc_out_call *c)
{
	if (!c->listed)
		return;
	c->listed = false;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		c->client->calls = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
}

void
out_release(struct grpc_out_call *c)
{
	if (--c->busy > 0 || c->stream != NULL || !c->forgotten)
		return;
	loop_later_cancel(c->client->loop, &c->run);
	unlist(c);
	buf_finish(&c->part);
	buf_finish(&c->held);
	free(c);
}

/* The stream, if it is still there, ends without us. */
void
out_forget(struct grpc_out_call *c)
{
	c->forgotten = true;
	loop_timer_clear(&c->deadline);
	unlist(c);
	if (c->stream == NULL)
		return;
	h2_stream_set_arg(c->stream, NULL);
	h2_reset(c->stream, H2_CANCEL);
	c->stream = NULL;
}

/* The status is known and nothing is left to deliver. */
static void
call_done(struct grpc_out_call *c)
{
	if (!c->final || c->forgotten || c->paused || c->held.len > 0)
		return;
	out_forget(c);
	if (c->ops->done != NULL)
		c->ops->done(c->arg, c->status, c->text);
}

void
out_end(struct grpc_out_call *c, enum grpc_status status, const char *text)
{
	if (c->forgotten)
		return;
	if (!c->final) {
		c->final = true;
		c->status = status;
		utf8_repair(text, strlen(text), c->text, sizeof c->text);
		loop_timer_clear(&c->deadline);
	}
	call_done(c);
}

static void
on_deadline(void *arg)
{
	struct grpc_out_call	*c = arg;
	struct grpc_client	*cl = c->client;

	cl->busy++;
	c->busy++;
	buf_clear(&c->held);
	c->paused = false;
	out_end(c, GRPC_DEADLINE_EXCEEDED, "deadline exceeded");
	out_release(c);
	client_leave(cl);
}

/* -- answers -------------------------------------------------------------- */

static const struct hpack_field *
find(const struct hpack_list *list, const char *name)
{
	size_t	i, n = strlen(name);

	for (i = 0; i < list->count; i++)
		if (list->fields[i].name_len == n &&
		    memcmp(list->fields[i].name, name, n) == 0)
			return &list->fields[i];
	return NULL;
}

/* grpc-status and grpc-message; false: there is no status. */
static bool
read_status(struct grpc_out_call *c, const struct hpack_list *list)
{
	const struct hpack_field	*status = find(list, "grpc-status");
	const struct hpack_field	*message = find(list, "grpc-message");
	char				 text[OUT_TEXT_MAX] = "";
	uint32_t			 code;

	if (status == NULL)
		return false;
	if (str_to_u32(status->value, GRPC_UNAUTHENTICATED, &code) < 0)
		code = GRPC_UNKNOWN;
	if (message != NULL)
		grpc_percent_decode(message->value, text, sizeof text);
	out_end(c, (enum grpc_status)code, text);
	return true;
}

/* An answer that is not gRPC: a proxy's, or another server's. */
static void
not_grpc(struct grpc_out_call *c, const struct hpack_field *status,
    const struct hpack_field *type)
{
	uint32_t	code = 0;
	char		text[128];

	if (status != NULL)
		(void)str_to_u32(status->value, 999, &code);
	snprintf(text, sizeof text, "answer is not gRPC: HTTP status %u, "
	    "content-type %.60s", code, type != NULL ? type->value : "absent");
	out_end(c, grpc_status_of_http(code), text);
}

static void
response_headers(struct grpc_out_call *c, const struct hpack_list *list,
    bool end)
{
	const struct hpack_field	*status = find(list, ":status");
	const struct hpack_field	*type = find(list, "content-type");

	if (status != NULL && status->value[0] == '1' && !end)
		return;				/* informational */
	c->answered = true;
	if (end && read_status(c, list))
		return;				/* Trailers-Only */
	if (status == NULL || strcmp(status->value, "200") != 0 ||
	    type == NULL || strncasecmp(type->value, "application/grpc",
	    16) != 0)
		not_grpc(c, status, type);
	else if (end)
		out_end(c, GRPC_INTERNAL, "answer without a status");
}

void
out_headers(struct grpc_out_call *c, const struct hpack_list *list, bool end)
{
	c->busy++;
	if (list->oversize)
		out_end(c, GRPC_INTERNAL, "answer's headers are too large");
	else if (!c->answered)
		response_headers(c, list, end);
	else if (!end || !read_status(c, list))
		out_end(c, GRPC_INTERNAL, "answer without a status");
	out_release(c);
}

static void
deliver(struct grpc_out_call *c, const struct grpc_cut *cut)
{
	struct grpc_client	*cl = c->client;
	const ProtobufCMessage	*m = NULL;
	const char		*why = "compressed without grpc-encoding";

	if (!cut->compressed)
		m = grpc_decode(c->response, cut->p, cut->n, &cl->decoded,
		    &why);
	if (m == NULL) {
		buf_clear(&c->held);
		out_end(c, GRPC_INTERNAL, why);
	} else if (c->ops->message != NULL) {
		c->ops->message(c->arg, m);
	}
	arena_reset(&cl->decoded);
}

/* Nothing behind it can be made out either. */
static void
cut_failed(struct grpc_out_call *c, int r)
{
	buf_clear(&c->held);
	if (r == -EMSGSIZE)
		out_end(c, GRPC_RESOURCE_EXHAUSTED, "answer above 4 MiB");
	else
		out_end(c, GRPC_INTERNAL, "malformed answer");
}

/* Returns the bytes taken. */
static size_t
cut_messages(struct grpc_out_call *c, const uint8_t *p, size_t n)
{
	struct grpc_cutter	cutter = { &c->part };
	struct grpc_cut		cut;
	size_t			taken = 0, used;
	int			r = 1;

	while (r == 1 && taken < n && !c->forgotten && !c->paused) {
		r = grpc_cut(&cutter, p + taken, n - taken, &used, &cut);
		taken += used;
		if (r == 1)
			deliver(c, &cut);
		else if (r < 0)
			cut_failed(c, r);
	}
	if (grpc_cut_idle(&cutter))
		buf_finish(&c->part);		/* it has been delivered */
	if (c->stream != NULL && taken > 0)
		h2_consume(c->stream, taken);
	return taken;
}

void
out_data(struct grpc_out_call *c, const uint8_t *p, size_t n, bool end)
{
	size_t	taken = 0;

	c->busy++;
	if (c->held.len == 0 && !c->final)
		taken = cut_messages(c, p, n);
	if (c->final || c->forgotten) {
		if (c->stream != NULL && n > taken)
			h2_consume(c->stream, n - taken);
	} else if (n > taken && buf_put(&c->held, p + taken, n - taken) < 0) {
		out_end(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
	}
	if (end)
		out_end(c, GRPC_INTERNAL, "answer without a status");
	out_release(c);
}

/* Delivers what was held back, then the end. */
static void
call_flow(struct grpc_out_call *c)
{
	size_t	taken;

	taken = cut_messages(c, buf_head(&c->held), c->held.len);
	if (c->forgotten)
		return;
	if (c->held.len > 0)		/* not cleared on a fault */
		buf_drain(&c->held, taken);
	call_done(c);
}

static void
on_run(void *arg)
{
	struct grpc_out_call	*c = arg;
	struct grpc_client	*cl = c->client;

	cl->busy++;
	c->busy++;
	call_flow(c);
	out_release(c);
	client_leave(cl);
}

void
out_writable(struct grpc_out_call *c)
{
	if (!c->want_room)
		return;
	c->want_room = false;
	c->busy++;
	if (!c->forgotten && c->ops->writable != NULL)
		c->ops->writable(c->arg);
	out_release(c);
}

void
out_closed(struct grpc_out_call *c, uint32_t code)
{
	char	text[64];

	c->busy++;
	c->stream = NULL;
	if (!c->final) {
		snprintf(text, sizeof text, "stream reset by the server, "
		    "code %u", code);
		out_end(c, grpc_status_of_h2(code), text);
	}
	out_release(c);
}

void
grpc_out_pause(struct grpc_out_call *c)
{
	c->paused = true;
}

void
grpc_out_resume(struct grpc_out_call *c)
{
	if (!c->paused)
		return;
	c->paused = false;
	loop_later(c->client->loop, &c->run);
}

/* -- requests ------------------------------------------------------------- */

static void
touch(const struct grpc_out_call *c)
{
	struct grpc_client	*cl = c->client;

	if (!cl->torn && h2_wants_send(cl->h2))
		conn_kick(cl->conn);
}

static bool
is_binary(const struct hpack_field *f)
{
	return f->name_len > 4 &&
	    memcmp(f->name + f->name_len - 4, "-bin", 4) == 0;
}

/* Copies of binary values, encoded (G10: sent without padding). */
static int
encode_field(struct hpack_field *f, struct arena *a)
{
	char	*text;

	if (!is_binary(f))
		return 0;
	text = arena_alloc(a, 4 * (f->value_len + 2) / 3 + 2);
	if (text == NULL)
		return -ENOMEM;
	f->value_len = base64_encode((const uint8_t *)f->value, f->value_len,
	    text);
	f->value = text;
	return 0;
}

static void
put_field(struct hpack_field *f, const char *name, const char *value)
{
	*f = (struct hpack_field){
		.name = name, .name_len = strlen(name),
		.value = value, .value_len = strlen(value),
	};
}

/* Eight digits at most; beyond a day seconds are exact enough. */
static void
put_timeout(struct hpack_field *f, char *text, size_t n, uint32_t ms)
{
	if (ms < 100000000)
		snprintf(text, n, "%um", ms);
	else
		snprintf(text, n, "%uS", ms / 1000);
	put_field(f, "grpc-timeout", text);
}

#define FIXED_FIELDS	8

static int
open_stream(struct grpc_out_call *c, const struct grpc_request *req)
{
	struct grpc_client	*cl = c->client;
	struct hpack_field	 f[HPACK_FIELDS_MAX];
	char			 agent[64], timeout[16];
	size_t			 n = 0, i;
	int			 r = 0;

	snprintf(agent, sizeof agent, "k8shell/%s", version_string());
	put_field(&f[n++], ":method", "POST");
	put_field(&f[n++], ":scheme", cl->tls ? "https" : "http");
	put_field(&f[n++], ":path", req->path);
	put_field(&f[n++], ":authority", cl->authority);
	put_field(&f[n++], "content-type", "application/grpc");
	put_field(&f[n++], "te", "trailers");
	put_field(&f[n++], "user-agent", agent);
	if (req->timeout_ms > 0)
		put_timeout(&f[n++], timeout, sizeof timeout, req->timeout_ms);
	if (req->nmetadata > HPACK_FIELDS_MAX - FIXED_FIELDS)
		return -EINVAL;
	for (i = 0; i < req->nmetadata && r == 0; i++) {
		f[n] = req->metadata[i];
		r = encode_field(&f[n++], &cl->decoded);
	}
	if (r == 0)
		r = h2_open(cl->h2, &c->stream, f, n, false);
	arena_reset(&cl->decoded);
	return r;
}

int
grpc_start(struct grpc_client *cl, struct grpc_out_call **out,
    const struct grpc_request *req, const struct grpc_out_ops *ops, void *arg)
{
	struct grpc_out_call	*c;
	int			 r;

	if (cl->dead || cl->lost || cl->stopping || cl->leaving)
		return -EPIPE;
	if (cl->h2 == NULL)
		return -EAGAIN;
	if ((c = calloc(1, sizeof *c)) == NULL)
		return -ENOMEM;
	c->client = cl;
	c->ops = ops;
	c->arg = arg;
	c->response = req->response;
	buf_init(&c->part, GRPC_MESSAGE_MAX + GRPC_PREFIX_LEN);
	buf_init(&c->held, GRPC_MESSAGE_MAX + GRPC_PREFIX_LEN);
	c->run.fn = on_run;
	c->deadline.fn = on_deadline;
	c->run.arg = c->deadline.arg = c;
	if ((r = open_stream(c, req)) < 0) {
		free(c);
		return r;
	}
	h2_stream_set_arg(c->stream, c);
	c->listed = true;
	if ((c->next = cl->calls) != NULL)
		c->next->prev = c;
	cl->calls = c;
	if (req->timeout_ms > 0)
		loop_timer_set(cl->loop, &c->deadline, loop_now(cl->loop) +
		    req->timeout_ms);
	touch(c);
	*out = c;
	return 0;
}

static int
send_pieces(struct grpc_out_call *c, const void *a, size_t na, const void *b,
    size_t nb)
{
	int	r;

	if (c->stream == NULL || c->forgotten)
		return -EPIPE;
	r = h2_data2(c->stream, a, na, b, nb, false);
	if (r == 0)
		touch(c);
	else if (r == -ENOBUFS)
		c->want_room = true;
	return r;
}

int
grpc_out_send(struct grpc_out_call *c, const ProtobufCMessage *m)
{
	struct buf	*b = &c->client->scratch;
	const uint8_t	*p;
	size_t		 n;
	int		 r;

	if ((r = grpc_frame(b, m, GRPC_MESSAGE_MAX, &p, &n)) < 0)
		return r;
	r = send_pieces(c, p, n, NULL, 0);
	buf_trim(b);
	return r;
}

int
grpc_out_send_bytes(struct grpc_out_call *c, uint32_t field, const void *p,
    size_t n)
{
	uint8_t	head[GRPC_HEAD_MAX];

	return send_pieces(c, head, grpc_bytes_head(field, n, head), p, n);
}

size_t
grpc_out_room(struct grpc_out_call *c)
{
	return c->stream == NULL ? 0 :
	    grpc_stream_room(c->stream, &c->want_room);
}

void
grpc_out_end(struct grpc_out_call *c)
{
	if (c->stream == NULL)
		return;
	(void)h2_data(c->stream, NULL, 0, true);
	touch(c);
}

void
grpc_out_cancel(struct grpc_out_call *c)
{
	struct grpc_client	*cl = c->client;

	cl->busy++;
	c->busy++;
	out_forget(c);
	out_release(c);
	client_leave(cl);
}
