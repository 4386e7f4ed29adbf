#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "gen/ssh.pb-c.h"
#include "svc/svc.h"
#include "workspace/session.h"

#define CELLS_MAX	65535u
#define PATH_TEXT_MAX	(3u * 4096)	/* a repaired byte becomes three */

static void
resize_terminal(struct grpc_call *c, const ProtobufCMessage *m)
{
	const K8shelld__ResizeTerminalRequest *req = (const void *)m;
	K8shelld__ResizeTerminalResponse resp;
	const struct svc	*svc = grpc_call_user(c);
	struct session		*ss;
	const char		*id;
	int			 r;

	if ((id = svc_stream_id(c, "session-id")) == NULL)
		return;
	if ((ss = session_find(svc->sessions, id,
	    grpc_call_subject(c))) == NULL) {
		grpc_finish(c, GRPC_NOT_FOUND, "no such session");
		return;
	}
	if (req->width == 0 || req->height == 0) {
		grpc_finish(c, GRPC_INVALID_ARGUMENT, "a terminal has at "
		    "least one column and one row");
		return;
	}
	r = session_resize(ss, req->width > CELLS_MAX ? CELLS_MAX : req->width,
	    req->height > CELLS_MAX ? CELLS_MAX : req->height);
	if (r < 0) {
		grpc_finish(c, GRPC_FAILED_PRECONDITION, "%s",
		    r == -ENOTTY ? "the session has no terminal" :
		    strerror(-r));
		return;
	}
	k8shelld__resize_terminal_response__init(&resp);
	grpc_reply(c, &resp.base);
}

static void
get_cwd(struct grpc_call *c, const ProtobufCMessage *m)
{
	const K8shelld__GetCWDRequest	*req = (const void *)m;
	K8shelld__GetCWDResponse	 resp;
	const struct svc	*svc = grpc_call_user(c);
	struct session		*ss;
	char			 path[PATH_TEXT_MAX];
	int			 r = -ESRCH;

	if (req->shell_id[0] == '\0') {
		grpc_finish(c, GRPC_INVALID_ARGUMENT, "shell_id is empty");
		return;
	}
	ss = session_find(svc->sessions, req->shell_id, grpc_call_subject(c));
	if (ss != NULL)
		r = session_cwd(ss, path, sizeof path);
	if (r == -ESRCH) {
		grpc_finish(c, GRPC_NOT_FOUND, "no such session");
		return;
	}
	if (r < 0) {
		grpc_finish(c, GRPC_INTERNAL, "directory of the shell: %s%s",
		    strerror(-r), r == -ENOENT ? " (is /proc mounted?)" : "");
		return;
	}
	k8shelld__get_cwdresponse__init(&resp);
	resp.path = path;
	grpc_reply(c, &resp.base);
}

static const struct grpc_method methods[] = {
	{ .name = "Shell", .kind = GRPC_BIDI,
	  .request = &k8shelld__shell_request__descriptor,
	  .message = svc_shell_message, .ended = svc_shell_ended,
	  .writable = svc_shell_writable, .gone = svc_shell_gone },
	{ .name = "Exec", .kind = GRPC_BIDI,
	  .request = &k8shelld__exec_request__descriptor,
	  .message = svc_exec_message, .ended = svc_exec_ended,
	  .writable = svc_exec_writable, .gone = svc_exec_gone },
	{ .name = "ResizeTerminal", .kind = GRPC_UNARY,
	  .request = &k8shelld__resize_terminal_request__descriptor,
	  .message = resize_terminal },
	{ .name = "GetCWD", .kind = GRPC_UNARY,
	  .request = &k8shelld__get_cwdrequest__descriptor,
	  .message = get_cwd },
	SVC_MISSING("PortForward", GRPC_BIDI, port_forward_request),
	SVC_MISSING("UnixSocket", GRPC_BIDI, unix_socket_request),
	{ .name = "AcquireSession", .kind = GRPC_UNARY,
	  .request = &k8shelld__acquire_session_request__descriptor,
	  .message = svc_acquire_session },
	{ .name = "ListSessions", .kind = GRPC_UNARY,
	  .request = &k8shelld__list_sessions_request__descriptor,
	  .message = svc_list_sessions },
};

const struct grpc_service svc_ssh = {
	"/k8shelld.SshService/", methods, ARRAY_LEN(methods)
};
