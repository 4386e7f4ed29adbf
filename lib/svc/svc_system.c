#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/version.h"
#include "gen/system.pb-c.h"
#include "svc/svc.h"

/*
 * The number before the first dot, of what stands before the first dash
 * (spec/grpc.md 3.1).  False: not a number, and then anything goes.
 */
static bool
major_of(const char *version, uint64_t *major)
{
	size_t	n = strcspn(version, "-");
	size_t	dot = strcspn(version, ".");

	return mem_to_u64(version, dot < n ? dot : n, UINT32_MAX, major) == 0;
}

static void
handshake(struct grpc_call *c, const ProtobufCMessage *m)
{
	const K8shelld__HandshakeRequest *req = (const void *)m;
	K8shelld__HandshakeResponse	  resp;
	const char	*version = version_full();
	char		text[256];
	uint64_t	theirs, ours;

	k8shelld__handshake_response__init(&resp);
	resp.server_version = (char *)(uintptr_t)version;
	resp.accepted = 1;
	if (major_of(req->client_version, &theirs) &&
	    major_of(version, &ours) && theirs != ours) {
		snprintf(text, sizeof text, "client version %.64s does not "
		    "fit server version %s", req->client_version, version);
		resp.accepted = 0;
		resp.message = text;
	}
	grpc_reply(c, &resp.base);
}

#define UNARY(method, type, handler) \
	{ .name = method, .kind = GRPC_UNARY, \
	  .request = &k8shelld__##type##__descriptor, .message = handler }

static const struct grpc_method methods[] = {
	UNARY("Handshake", handshake_request, handshake),
	UNARY("SystemInfo", system_info_request, svc_system_info),
	{ .name = "GetLogsStream", .kind = GRPC_SERVER_STREAM,
	  .request = &k8shelld__system_logs_stream_request__descriptor,
	  .message = svc_logs_stream, .writable = svc_logs_writable,
	  .gone = svc_logs_gone },
	UNARY("GetLogsPage", get_logs_page_request, svc_logs_page),
	UNARY("SystemInfoHistory", system_info_history_request,
	    svc_system_history),
	UNARY("GetBlueprint", get_blueprint_request, svc_get_blueprint),
};

const struct grpc_service svc_system = {
	"/k8shelld.SystemService/", methods, ARRAY_LEN(methods)
};
