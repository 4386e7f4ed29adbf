/*
 * SshService.Shell: one stream, one session.  Order on the wire: one
 * start_response, data, terminate, then the trailers (SH-01, SH-09).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "gen/ssh.pb-c.h"
#include "loop/loop.h"
#include "svc/svc.h"
#include "workspace/account.h"
#include "workspace/session.h"

#define FIELD_DATA	2u		/* ShellResponse.data */
#define CELLS_MAX	65535u

struct shell {
	struct svc	*svc;
	struct grpc_call *call;
	struct session	*session;
	bool		 starting;	/* counted in svc->starting */
	bool		 over;		/* waits for room to say so */
	struct loop_task end;		/* say_end() from a clean stack */
	char		 why[256];	/* of a failed start, or "" */
};

static void
left_start(struct shell *sh)
{
	if (sh->starting)
		sh->svc->starting--;
	sh->starting = false;
}

static void
shell_free(struct shell *sh)
{
	left_start(sh);
	loop_later_cancel(sh->svc->loop, &sh->end);
	free(sh);
}

static void
send_start(struct grpc_call *c, const char *tty)
{
	K8shelld__ShellStartResponse	start;
	K8shelld__ShellResponse		resp;

	k8shelld__shell_start_response__init(&start);
	k8shelld__shell_response__init(&resp);
	start.pty = (char *)(uintptr_t)tty;
	resp.response_case =
	    K8SHELLD__SHELL_RESPONSE__RESPONSE_START_RESPONSE;
	resp.start_response = &start;
	grpc_send(c, &resp.base);
}

/* Text for the eyes of the user, whose client shows nothing else (SH-21). */
static void
send_text(struct grpc_call *c, const char *text)
{
	char	line[512];
	int	n = snprintf(line, sizeof line, "k8shell: %s\r\n", text);

	if (n > 0 && (size_t)n < sizeof line)
		grpc_send_bytes(c, FIELD_DATA, line, (size_t)n);
}

static void
refuse(struct grpc_call *c, enum grpc_status status, const char *why)
{
	send_text(c, why);
	grpc_finish(c, status, "%s", why);
}

/*
 * A slot of the server stays taken until the processes behind the call are
 * gone: a client can't start shells faster than they end (Rapid Reset).
 */
static void
work_done(void *arg)
{
	grpc_work_done(arg);
}

static void
hang_up(struct shell *sh)
{
	if (sh->session != NULL)
		session_lost(sh->session, work_done,
		    grpc_work_begin(sh->call));
	left_start(sh);
}

/* Bytes were lost: what follows would not be what was typed or printed. */
static void
give_up(struct shell *sh, const char *what, int err)
{
	log_warn("grpc-shell", "%s lost: %s", what, strerror(-err));
	hang_up(sh);
	grpc_finish(sh->call, GRPC_RESOURCE_EXHAUSTED, "%s lost: %s", what,
	    strerror(-err));
	shell_free(sh);
}

static void
on_started(void *arg, const char *tty)
{
	struct shell	*sh = arg;

	left_start(sh);
	send_start(sh->call, tty);
}

static size_t
on_room(void *arg)
{
	struct shell	*sh = arg;

	return grpc_room(sh->call);
}

static void
on_output(void *arg, const void *p, size_t n)
{
	struct shell	*sh = arg;
	int		 r;

	if ((r = grpc_send_bytes(sh->call, FIELD_DATA, p, n)) < 0)
		give_up(sh, "output", r);
}

static void
on_writable(void *arg)
{
	struct shell	*sh = arg;

	grpc_resume(sh->call);
}

/* If there is room; else svc_shell_writable() comes back. */
static void
say_end(struct shell *sh)
{
	K8shelld__ShellResponse	resp;

	k8shelld__shell_response__init(&resp);
	resp.response_case = K8SHELLD__SHELL_RESPONSE__RESPONSE_TERMINATE;
	resp.terminate = 1;
	if (sh->why[0] == '\0' && grpc_send(sh->call, &resp.base) == -ENOBUFS)
		return;
	if (sh->why[0] != '\0')
		refuse(sh->call, GRPC_FAILED_PRECONDITION, sh->why);
	else
		grpc_finish(sh->call, GRPC_OK, "%s", "");
	shell_free(sh);
}

static void
on_end(void *arg)
{
	say_end(arg);
}

/* Comes out of session_input() too, so the answer has to wait. */
static void
on_detached(void *arg)
{
	struct shell	*sh = arg;

	left_start(sh);
	sh->session = NULL;
	sh->over = true;
	loop_later(sh->svc->loop, &sh->end);
}

static void
on_ended(void *arg, const char *why)
{
	struct shell	*sh = arg;

	left_start(sh);
	if (why != NULL)
		snprintf(sh->why, sizeof sh->why, "%s", why);
	session_release(sh->session);
	sh->session = NULL;
	sh->over = true;
	grpc_resume(sh->call);		/* what still comes is dropped */
	say_end(sh);
}

static const struct session_client shell_client = {
	.started = on_started,
	.room = on_room,
	.output = on_output,
	.writable = on_writable,
	.ended = on_ended,
	.detached = on_detached,
};

static struct shell *
shell_new(struct grpc_call *c)
{
	struct shell	*sh;

	if ((sh = calloc(1, sizeof *sh)) == NULL)
		return NULL;
	sh->svc = grpc_call_user(c);
	sh->call = c;
	sh->end.fn = on_end;
	sh->end.arg = sh;
	return sh;
}

static uint32_t
clamp_cells(uint32_t v)
{
	return v > CELLS_MAX ? CELLS_MAX : v;
}

static int
start_session(struct shell *sh, const K8shelld__ShellStartRequest *req,
    const char *id, const struct account *a)
{
	struct session_spec	spec = {
		.id = id, .subject = grpc_call_subject(sh->call),
		.account = a, .fallback_shell = req->cmdshell,
		.env = req->setenvvars, .nenv = req->n_setenvvars,
		.pty = req->usepty, .cols = clamp_cells(req->width),
		.rows = clamp_cells(req->height),
		.keep = req->detach_on_close,
	};

	return session_start(sh->svc->sessions, &sh->session, &spec,
	    &shell_client, sh);
}

static void
shell_begin(struct grpc_call *c, const K8shelld__ShellStartRequest *req,
    const char *id)
{
	struct svc	*svc = grpc_call_user(c);
	struct account	*a = NULL;
	struct shell	*sh = NULL;
	const char	*why = NULL;
	enum grpc_status status;
	int		 r;

	if (req->detach_on_close && !svc->may_detach)
		why = "detaching sessions is disabled", r = -EACCES;
	else if (!svc_may_start(svc))
		why = "too many starts at once", r = -EAGAIN;
	else if ((r = account_resolve(&a, svc->identity, req->as_user,
	    &account_files_system, &why)) == 0)
		r = (sh = shell_new(c)) == NULL ? -ENOMEM : 0;
	if (r == 0)
		r = start_session(sh, req, id, a);
	account_destroy(a);
	if (r < 0) {
		free(sh);
		if (r == -EEXIST)
			why = "session-id is in use";
		status = svc_refusal(r, &why);
		log_info("grpc-shell", "session %s: refused: %s", id, why);
		refuse(c, status, why);
		return;
	}
	log_info("grpc-shell", "session %s: for %s", id, svc_caller(c));
	sh->starting = true;
	svc->starting++;
	grpc_call_set_arg(c, sh);
}

static void
refuse_attach(struct grpc_call *c, int err)
{
	if (err == -ENOENT)
		grpc_finish(c, GRPC_NOT_FOUND, "no such lock or session");
	else if (err == -ETIMEDOUT)
		grpc_finish(c, GRPC_FAILED_PRECONDITION,
		    "the lock has expired");
	else
		grpc_finish(c, GRPC_FAILED_PRECONDITION, "cannot attach: %s",
		    strerror(-err));
}

/* Everything of the request but the size and detach_on_close is ignored. */
static void
shell_attach(struct grpc_call *c, const K8shelld__ShellStartRequest *req)
{
	struct svc		*svc = grpc_call_user(c);
	struct shell		*sh;
	struct session_attach	 at = {
		.client = &shell_client, .cols = clamp_cells(req->width),
		.rows = clamp_cells(req->height),
		.keep = req->detach_on_close,
	};
	int			 r;

	if (!svc->may_detach) {
		refuse(c, GRPC_PERMISSION_DENIED,
		    "detaching sessions is disabled");
		return;
	}
	if (!req->usepty) {
		grpc_finish(c, GRPC_INVALID_ARGUMENT,
		    "a detached session has a terminal: usePty is needed");
		return;
	}
	if ((sh = shell_new(c)) == NULL) {
		refuse_attach(c, -ENOMEM);
		return;
	}
	at.arg = sh;
	if ((r = session_attach_lock(svc->sessions, &sh->session, req->lock_id,
	    grpc_call_subject(c), &at)) < 0) {
		free(sh);
		refuse_attach(c, r);
		return;
	}
	grpc_call_set_arg(c, sh);
	send_start(c, "");
	session_resume(sh->session);
}

void
svc_shell_message(struct grpc_call *c, const ProtobufCMessage *m)
{
	const K8shelld__ShellRequest	*req = (const void *)m;
	struct shell			*sh = grpc_call_arg(c);
	const char			*id;
	int				 r;

	if (sh == NULL) {
		if ((id = svc_stream_id(c, "session-id")) == NULL)
			return;
		if (req->request_case !=
		    K8SHELLD__SHELL_REQUEST__REQUEST_START_REQUEST)
			grpc_finish(c, GRPC_INVALID_ARGUMENT,
			    "the first message is not start_request");
		else if (req->start_request->lock_id[0] != '\0')
			shell_attach(c, req->start_request);
		else
			shell_begin(c, req->start_request, id);
		return;
	}
	/* A second start_request, or a member we don't know, is ignored. */
	if (req->request_case != K8SHELLD__SHELL_REQUEST__REQUEST_DATA ||
	    sh->session == NULL)
		return;
	r = session_input(sh->session, req->data.data, req->data.len);
	if (sh->session == NULL)	/* the chord was in it */
		return;
	if (r < 0 && r != -EPIPE)	/* that is the shell's own wish */
		give_up(sh, "input", r);
	else if (session_input_full(sh->session))
		grpc_pause(c);
}

void
svc_shell_ended(struct grpc_call *c)
{
	struct shell	*sh = grpc_call_arg(c);

	if (sh == NULL) {
		grpc_finish(c, GRPC_INVALID_ARGUMENT, "no start_request");
		return;
	}
	if (sh->session == NULL)
		return;
	if (!session_has_pty(sh->session)) {
		session_input_end(sh->session);
		return;
	}
	/* The terminal's other side is gone: a hang-up, not a Ctrl-D. */
	hang_up(sh);
	grpc_finish(c, GRPC_OK, "%s", "");
	shell_free(sh);
}

void
svc_shell_writable(struct grpc_call *c)
{
	struct shell	*sh = grpc_call_arg(c);

	if (sh == NULL)
		return;
	if (sh->over)
		say_end(sh);
	else if (sh->session != NULL)
		session_resume(sh->session);
}

void
svc_shell_gone(struct grpc_call *c)
{
	struct shell	*sh = grpc_call_arg(c);

	if (sh == NULL)
		return;
	hang_up(sh);
	shell_free(sh);
}
