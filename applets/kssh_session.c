/*
 * Sessions that are there already: the list of them, attaching to one, and
 * whether ours goes on without us.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "applets/kbox.h"
#include "applets/kbox_table.h"
#include "applets/kssh.h"
#include "base/json.h"
#include "base/str.h"
#include "gen/ssh.pb-c.h"

#define FAREWELL_MS	2000
#define TABLE_MAX	(16u * 1024 * 1024)
#define S_NS		INT64_C(1000000000)

typedef K8shelld__AcquirableSession	row_of;

/* ListSessions, for whatever purpose. */
static int
ask_list(struct kssh *k, const struct grpc_out_ops *ops, uint32_t timeout_ms)
{
	const struct kssh_method	method = {
		"/k8shelld.SshService/ListSessions", NULL,
		&k8shelld__list_sessions_response__descriptor, timeout_ms,
	};
	K8shelld__ListSessionsRequest	req;

	k8shelld__list_sessions_request__init(&req);
	return kssh_ask(k, &k->ask, &method, ops, &req.base);
}

/* ---- --list ---- */

enum { ID, USER, PID, CREATED, STATE, TTL };

static const struct kbox_column columns[] = {
	[ID]		= { "ID", NULL, 0, 0 },
	[USER]		= { "USER", NULL, 0, 3 },
	[PID]		= { "PID", NULL, 0, 1 },
	[CREATED]	= { "CREATED", NULL, 0, 2 },
	[STATE]		= { "STATE", NULL, 0, 4 },
	[TTL]		= { "TTL", NULL, 0, 0 },
};

static int
older_first(const void *a, const void *b)
{
	const row_of	*x = *(row_of *const *)a, *y = *(row_of *const *)b;
	int		 r = strcmp(x->created, y->created);

	return r != 0 ? r : strcmp(x->session_id, y->session_id);
}

static void
set_up_table(struct kbox *b)
{
	struct winsize	ws;

	*b = (struct kbox){ .tty = isatty(STDOUT_FILENO) == 1 };
	arena_init(&b->arena, TABLE_MAX);
	if (b->tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0)
		b->columns = ws.ws_col;
}

static void
print_table(const K8shelld__ListSessionsResponse *resp)
{
	struct kbox		 b;
	struct kbox_table	 t;
	struct kbox_row		*row;
	const row_of		*s;
	size_t			 i;

	set_up_table(&b);
	kbox_table_init(&t, columns, ARRAY_LEN(columns));
	for (i = 0; i < resp->n_sessions; i++) {
		s = resp->sessions[i];
		row = kbox_table_add(&b, &t, NULL);
		kbox_row_set(&b, row, ID, s->session_id);
		kbox_row_set(&b, row, USER, s->owner);
		kbox_row_set(&b, row, PID, kbox_printf(&b, "%d", s->pid));
		kbox_row_set(&b, row, CREATED, s->created);
		kbox_row_set(&b, row, STATE, "DETACHED");
		if (s->ttl_seconds != 0)
			kbox_row_set(&b, row, TTL, s->ttl_seconds < 0 ?
			    "\u221e" : kbox_span(&b, s->ttl_seconds * S_NS));
	}
	kbox_table_print(&b, &t);
	arena_finish(&b.arena);
}

/* The names of GET /shells, and what the table has more. */
static int
print_json(const K8shelld__ListSessionsResponse *resp)
{
	struct buf	 text;
	struct json_out	 o;
	const row_of	*s;
	size_t		 i;
	int		 r;

	buf_init(&text, TABLE_MAX);
	json_out_init(&o, &text);
	json_put_array(&o, NULL);
	for (i = 0; i < resp->n_sessions; i++) {
		s = resp->sessions[i];
		json_put_object(&o, NULL);
		json_put_string(&o, "id", s->session_id);
		json_put_string(&o, "user", s->owner);
		json_put_string(&o, "cmd_shell", s->cmd_shell);
		json_put_int(&o, "pid", s->pid);
		json_put_string(&o, "created", s->created);
		json_put_string(&o, "detached_at", s->detached_at);
		json_put_string(&o, "state", "DETACHED");
		if (s->ttl_seconds != 0)
			json_put_int(&o, "ttl_seconds", s->ttl_seconds);
		json_put_end(&o, '}');
	}
	json_put_end(&o, ']');
	if ((r = json_put_done(&o)) == 0) {
		fwrite(buf_head(&text), 1, text.len, stdout);
		putchar('\n');
	}
	buf_finish(&text);
	return r;
}

static void
list_on_message(void *arg, const ProtobufCMessage *m)
{
	const K8shelld__ListSessionsResponse	*resp = (const void *)m;
	struct kssh				*k = arg;
	int					 r = 0;

	if (resp->n_sessions > 0)
		qsort(resp->sessions, resp->n_sessions,
		    sizeof *resp->sessions, older_first);
	if (k->opt.json)
		r = print_json(resp);
	else
		print_table(resp);
	if (r == 0 && (fflush(stdout) != 0 || ferror(stdout) != 0))
		r = -errno;
	if (r < 0)
		kssh_fail(k, "output", strerror(-r));
}

static void
list_on_done(void *arg, enum grpc_status status, const char *text)
{
	struct kssh	*k = arg;

	k->ask = NULL;
	if (status == GRPC_OK)
		kssh_finish(k, 0);
	else
		kssh_refused(k, status, text);
}

void
kssh_list(struct kssh *k)
{
	static const struct grpc_out_ops	ops = {
		.message = list_on_message, .done = list_on_done,
	};
	int					r;

	if ((r = ask_list(k, &ops, 0)) < 0)
		kssh_fail(k, "cannot list", strerror(-r));
}

/* ---- --attach ---- */

static void	acquire(struct kssh *k);

/* All that start as asked, for the message; the first is the one to take. */
static void
find_on_message(void *arg, const ProtobufCMessage *m)
{
	const K8shelld__ListSessionsResponse	*resp = (const void *)m;
	struct kssh				*k = arg;
	size_t					 i, n;

	for (i = 0; i < resp->n_sessions; i++) {
		const char	*id = resp->sessions[i]->session_id;

		if (!str_prefix(id, k->opt.attach) ||
		    strlen(id) >= sizeof k->id)
			continue;
		if (k->matches++ == 0)
			snprintf(k->id, sizeof k->id, "%s", id);
		n = strlen(k->candidates);
		snprintf(k->candidates + n, sizeof k->candidates - n,
		    "%s%s", n > 0 ? ", " : "", id);
	}
}

static void
find_on_done(void *arg, enum grpc_status status, const char *text)
{
	struct kssh	*k = arg;

	k->ask = NULL;
	if (status != GRPC_OK && status != GRPC_UNIMPLEMENTED)
		kssh_refused(k, status, text);
	else if (k->matches == 1)
		acquire(k);
	else if (k->matches > 1)
		kssh_fail(k, "the start of several ids", k->candidates);
	else
		kssh_fail(k, k->opt.attach, "no such session is detached "
		    "(kssh --list shows those that are)");
}

/* Not an id: perhaps how one starts. */
static void
find(struct kssh *k)
{
	static const struct grpc_out_ops	ops = {
		.message = find_on_message, .done = find_on_done,
	};
	int					r;

	if ((r = ask_list(k, &ops, 0)) < 0)
		kssh_fail(k, "cannot attach", strerror(-r));
}

#define REASON(r) \
	K8SHELLD__ACQUIRE_SESSION_FAILURE_REASON__ACQUIRE_SESSION_FAILURE_##r

static void
acquire_on_message(void *arg, const ProtobufCMessage *m)
{
	const K8shelld__AcquireSessionResponse	*resp = (const void *)m;
	struct kssh				*k = arg;

	k->refusal = (int)resp->failure_reason;
	if (resp->success)
		snprintf(k->lock, sizeof k->lock, "%s", resp->lock_id);
}

static void
acquire_on_done(void *arg, enum grpc_status status, const char *text)
{
	struct kssh	*k = arg;

	k->ask = NULL;
	if (status != GRPC_OK)
		kssh_refused(k, status, text);
	else if (k->lock[0] != '\0')
		kssh_begin(k);
	else if (k->refusal == REASON(REASON_NOT_FOUND) && k->matches == 0)
		find(k);
	else if (k->refusal == REASON(REASON_NOT_FOUND))
		kssh_fail(k, k->id, "it has just ended (kssh --list shows "
		    "what is there)");
	else if (k->refusal == REASON(REASON_ALREADY_ACQUIRED))
		kssh_fail(k, k->id, "somebody is attached to it, or about to "
		    "(Ctrl+A d there, or kbox detach, lets go)");
	else
		kssh_fail(k, k->id, "it has no terminal, so it can't be "
		    "attached");
}

static void
acquire(struct kssh *k)
{
	static const struct kssh_method		method = {
		"/k8shelld.SshService/AcquireSession", NULL,
		&k8shelld__acquire_session_response__descriptor, 0,
	};
	static const struct grpc_out_ops	ops = {
		.message = acquire_on_message, .done = acquire_on_done,
	};
	K8shelld__AcquireSessionRequest		req;
	int					r;

	k8shelld__acquire_session_request__init(&req);
	req.session_id = k->id;
	if ((r = kssh_ask(k, &k->ask, &method, &ops, &req.base)) < 0)
		kssh_fail(k, "cannot attach", strerror(-r));
}

void
kssh_attach(struct kssh *k)
{
	if (str_format(k->id, sizeof k->id, "%s", k->opt.attach) < 0)
		kssh_fail(k, k->opt.attach, "no id is that long");
	else
		acquire(k);
}

/* ---- still there? ---- */

static void
farewell_on_message(void *arg, const ProtobufCMessage *m)
{
	const K8shelld__ListSessionsResponse	*resp = (const void *)m;
	struct kssh				*k = arg;
	size_t					 i;

	for (i = 0; i < resp->n_sessions; i++)
		if (strcmp(resp->sessions[i]->session_id, k->id) == 0)
			k->fate = FATE_DETACHED;
}

/* A server without sessions, or none any more: then it was the end. */
static void
farewell_on_done(void *arg, enum grpc_status status, const char *text)
{
	struct kssh	*k = arg;

	(void)status;
	(void)text;
	k->ask = NULL;
	kssh_finish(k, 0);
}

void
kssh_farewell(struct kssh *k)
{
	static const struct grpc_out_ops	ops = {
		.message = farewell_on_message, .done = farewell_on_done,
	};

	k->fate = FATE_NONE;
	k->input_over = true;
	loop_forget(&k->in);
	if (ask_list(k, &ops, FAREWELL_MS) < 0)
		kssh_finish(k, 0);
}
