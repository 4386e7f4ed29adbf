#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "applets/kssh.h"
#include "base/str.h"
#include "base/version.h"
#include "gen/ssh.pb-c.h"
#include "gen/system.pb-c.h"

#define META_MAX	2

#define FIELD_SHELL_DATA	3u
#define FIELD_EXEC_INPUT	2u

void
kssh_send_input(struct kssh *k, const uint8_t *p, size_t n)
{
	int	r;

	if (n == 0)
		return;
	r = grpc_out_send_bytes(k->call,
	    k->exec ? FIELD_EXEC_INPUT : FIELD_SHELL_DATA, p, n);
	if (r < 0 && r != -EPIPE)	/* -EPIPE: the call's end is coming */
		kssh_fail(k, "input", strerror(-r));
}

/* For clients that show no status the daemon says in the output, too, why it
 * refused; once is enough here. */
static void
remember(struct kssh *k, const ProtobufCBinaryData *output)
{
	size_t	n = output->len < sizeof k->last - 1 ? output->len :
		    sizeof k->last - 1;

	memcpy(k->last, output->data, n);
	k->last[n] = '\0';
}

static void
shell_started(struct kssh *k, const char *tty)
{
	kssh_debug(k, "terminal", tty);
	if (k->pty)
		k->fate = k->opt.keep || k->opt.attach != NULL ? FATE_STAYS :
		    FATE_RUNS;
	/* A server may not look at the size in the request to attach. */
	if (k->lock[0] != '\0' && isatty(STDIN_FILENO) == 1)
		kssh_resize(k);
}

/* It ended, or was detached: the stream does not say which. */
static void
shell_left(struct kssh *k)
{
	if (k->fate == FATE_NONE)
		kssh_finish(k, 0);
	else if (k->ask == NULL && !k->over)
		kssh_farewell(k);
}

static void
shell_on_message(void *arg, const ProtobufCMessage *m)
{
	const K8shelld__ShellResponse	*resp = (const void *)m;
	struct kssh			*k = arg;

	switch (resp->response_case) {
	case K8SHELLD__SHELL_RESPONSE__RESPONSE_DATA:
		kssh_sink_put(&k->out, resp->data.data, resp->data.len);
		remember(k, &resp->data);
		break;
	case K8SHELLD__SHELL_RESPONSE__RESPONSE_START_RESPONSE:
		shell_started(k, resp->start_response->pty);
		break;
	case K8SHELLD__SHELL_RESPONSE__RESPONSE_TERMINATE:
		if (resp->terminate)
			shell_left(k);
		break;
	default:
		break;
	}
}

static void
exec_on_message(void *arg, const ProtobufCMessage *m)
{
	const K8shelld__ExecResponse	*resp = (const void *)m;
	struct kssh			*k = arg;

	switch (resp->response_case) {
	case K8SHELLD__EXEC_RESPONSE__RESPONSE_OUT:
		kssh_sink_put(&k->out, resp->out.data, resp->out.len);
		break;
	case K8SHELLD__EXEC_RESPONSE__RESPONSE_ERR:
		kssh_sink_put(&k->err, resp->err.data, resp->err.len);
		remember(k, &resp->err);
		break;
	case K8SHELLD__EXEC_RESPONSE__RESPONSE_EXIT_CODE:
		kssh_finish(k, resp->exit_code & 0xff);
		break;
	default:
		break;
	}
}

/* What we know better than the server. */
static const char *
hint(const struct kssh *k, enum grpc_status status, const char *text)
{
	if (status == GRPC_UNAUTHENTICATED && k->withheld)
		return "the standalone daemon's token was not sent, since "
		    "who listens there is not known to be it (--token-file "
		    "sends it)";
	if (status == GRPC_PERMISSION_DENIED && strstr(text, "detach") != NULL)
		return "shells.allowSessionDetach of the daemon's "
		    "configuration says so";
	if (k->lock[0] == '\0' || k->fate != FATE_NONE)
		return NULL;
	if (status == GRPC_NOT_FOUND)
		return "it has just ended (kssh --list shows what is there)";
	if (status == GRPC_FAILED_PRECONDITION ||
	    status == GRPC_DEADLINE_EXCEEDED)
		return "it took us too long to get there, try again";
	return NULL;
}

void
kssh_refused(struct kssh *k, enum grpc_status status, const char *text)
{
	const char	*more = hint(k, status, text);

	if (text[0] == '\0')
		text = grpc_status_name(status);
	else if (more == NULL && strstr(k->last, text) != NULL) {
		kssh_finish(k, KSSH_TROUBLE);	/* it has been shown */
		return;
	}
	kssh_fail(k, text, more);
}

static void
call_on_done(void *arg, enum grpc_status status, const char *text)
{
	struct kssh	*k = arg;

	k->call = NULL;
	if (k->ask != NULL)		/* it said before that it leaves */
		return;
	if (status == GRPC_OK && !k->exec)
		shell_left(k);
	else if (status == GRPC_OK)
		kssh_fail(k, "the command ended without an exit status", NULL);
	else
		kssh_refused(k, status, text);
}

static void
call_on_writable(void *arg)
{
	kssh_input_resume(arg);
}

static const struct grpc_out_ops shell_ops = {
	.message = shell_on_message, .done = call_on_done,
	.writable = call_on_writable,
};

static const struct grpc_out_ops exec_ops = {
	.message = exec_on_message, .done = call_on_done,
	.writable = call_on_writable,
};

static size_t
metadata(const struct kssh *k, struct hpack_field *f, const char *id_key)
{
	size_t	n = 0;

	if (id_key != NULL)
		f[n++] = (struct hpack_field){ .name = id_key,
		    .name_len = strlen(id_key), .value = k->id,
		    .value_len = strlen(k->id) };
	if (k->bearer != NULL && !k->withheld)
		f[n++] = (struct hpack_field){ .name = "authorization",
		    .name_len = sizeof "authorization" - 1,
		    .value = k->bearer, .value_len = strlen(k->bearer),
		    .sensitive = true };
	return n;
}

int
kssh_start_call(struct kssh *k, struct grpc_out_call **out,
    const struct kssh_method *m, const struct grpc_out_ops *ops)
{
	struct hpack_field	f[META_MAX];
	struct grpc_request	req = {
		.path = m->path, .metadata = f, .response = m->response,
		.timeout_ms = m->timeout_ms,
	};

	req.nmetadata = metadata(k, f, m->id_key);
	return grpc_start(k->client, out, &req, ops, k);
}

int
kssh_ask(struct kssh *k, struct grpc_out_call **out,
    const struct kssh_method *m, const struct grpc_out_ops *ops,
    const ProtobufCMessage *req)
{
	int	r;

	if ((r = kssh_start_call(k, out, m, ops)) < 0)
		return r;
	(void)grpc_out_send(*out, req);	/* small: there is room */
	grpc_out_end(*out);
	return 0;
}

static const char *
user_of(const struct kssh *k)
{
	return k->opt.user != NULL ? k->opt.user : "";
}

static int
send_shell_start(struct kssh *k, uint32_t cols, uint32_t rows)
{
	K8shelld__ShellStartRequest	start;
	K8shelld__ShellRequest		req;

	k8shelld__shell_start_request__init(&start);
	k8shelld__shell_request__init(&req);
	start.as_user = (char *)(uintptr_t)user_of(k);
	start.cmdshell = (char *)(uintptr_t)"/bin/sh";
	start.setenvvars = k->opt.env;
	start.n_setenvvars = k->opt.nenv;
	start.usepty = k->pty;
	start.width = cols;
	start.height = rows;
	start.show_init_script_status = k->pty;
	start.lock_id = k->lock;
	start.detach_on_close = k->opt.keep || k->opt.attach != NULL;
	req.request_case = K8SHELLD__SHELL_REQUEST__REQUEST_START_REQUEST;
	req.start_request = &start;
	return grpc_out_send(k->call, &req.base);
}

static int
send_exec_start(struct kssh *k, uint32_t cols, uint32_t rows)
{
	K8shelld__CommandDetails	details;
	K8shelld__ExecRequest		req;

	k8shelld__command_details__init(&details);
	k8shelld__exec_request__init(&req);
	details.as_user = (char *)(uintptr_t)user_of(k);
	details.command = k->opt.command;
	details.env_vars = k->opt.env;
	details.n_env_vars = k->opt.nenv;
	details.use_pty = k->pty;
	details.width = cols;
	details.height = rows;
	req.request_case = K8SHELLD__EXEC_REQUEST__REQUEST_COMMAND_DETAILS;
	req.command_details = &details;
	return grpc_out_send(k->call, &req.base);
}

void
kssh_begin(struct kssh *k)
{
	static const struct kssh_method	exec = {
		"/k8shelld.SshService/Exec", "exec-id",
		&k8shelld__exec_response__descriptor, 0,
	}, shell = {
		"/k8shelld.SshService/Shell", "session-id",
		&k8shelld__shell_response__descriptor, 0,
	};
	uint32_t	cols, rows;
	int		r;

	kssh_tty_size(&cols, &rows);
	/* Without a terminal of our own we have no size to bring along. */
	if (k->lock[0] != '\0' && isatty(STDIN_FILENO) == 0)
		cols = rows = 0;
	r = kssh_start_call(k, &k->call, k->exec ? &exec : &shell,
	    k->exec ? &exec_ops : &shell_ops);
	if (r == 0)
		r = k->exec ? send_exec_start(k, cols, rows) :
		    send_shell_start(k, cols, rows);
	if (r < 0) {
		kssh_fail(k, "cannot start", strerror(-r));
		return;
	}
	if (k->pty && isatty(STDIN_FILENO) &&
	    (r = kssh_tty_raw(&k->tty)) < 0) {
		kssh_fail(k, "terminal", strerror(-r));
		return;
	}
	if (k->tty.raw && isatty(STDOUT_FILENO) == 1)
		k->out.vt = &k->vt;
	kssh_input_start(k);
}

static void
resize_shell(struct kssh *k, uint32_t cols, uint32_t rows)
{
	static const struct grpc_out_ops	ignore = { 0 };
	static const struct kssh_method		method = {
		"/k8shelld.SshService/ResizeTerminal", "session-id",
		&k8shelld__resize_terminal_response__descriptor, 0,
	};
	K8shelld__ResizeTerminalRequest		req;
	struct grpc_out_call			*c;

	k8shelld__resize_terminal_request__init(&req);
	req.width = cols;
	req.height = rows;
	(void)kssh_ask(k, &c, &method, &ignore, &req.base);
}

void
kssh_resize(struct kssh *k)
{
	K8shelld__TerminalSize	size;
	K8shelld__ExecRequest	req;

	if (k->call == NULL || !k->pty)
		return;
	k8shelld__terminal_size__init(&size);
	kssh_tty_size(&size.width, &size.height);
	if (!k->exec) {
		resize_shell(k, size.width, size.height);
		return;
	}
	k8shelld__exec_request__init(&req);
	req.request_case = K8SHELLD__EXEC_REQUEST__REQUEST_RESIZE;
	req.resize = &size;
	grpc_out_send(k->call, &req.base);
}

static void
hello_on_message(void *arg, const ProtobufCMessage *m)
{
	const K8shelld__HandshakeResponse *resp = (const void *)m;
	struct kssh	*k = arg;

	kssh_debug(k, "server version", resp->server_version);
	if (!resp->accepted) {
		kssh_fail(k, "the server refused us", resp->message);
		return;
	}
	k->connected = true;
	loop_timer_clear(&k->connect_timer);
}

static void
hello_on_done(void *arg, enum grpc_status status, const char *text)
{
	struct kssh	*k = arg;

	k->hello = NULL;
	if (k->over)
		return;
	if (status != GRPC_OK)
		kssh_refused(k, status, text);
	else if (!k->connected)
		kssh_fail(k, "the server did not answer the handshake", NULL);
	else if (k->opt.list)
		kssh_list(k);
	else if (k->opt.attach != NULL)
		kssh_attach(k);
	else
		kssh_begin(k);
}

static const struct grpc_out_ops hello_ops = {
	.message = hello_on_message, .done = hello_on_done,
};

void
kssh_hello(struct kssh *k)
{
	static const struct kssh_method	 method = {
		"/k8shelld.SystemService/Handshake", NULL,
		&k8shelld__handshake_response__descriptor, 0,
	};
	K8shelld__HandshakeRequest	 req;
	int				 r;

	k8shelld__handshake_request__init(&req);
	req.client_version = (char *)(uintptr_t)version_full();
	r = kssh_ask(k, &k->hello, &method, &hello_ops, &req.base);
	if (r < 0)
		kssh_fail(k, "cannot start", strerror(-r));
}
