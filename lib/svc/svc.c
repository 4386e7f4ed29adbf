#include "svc/svc.h"

#include <errno.h>

#include "base/str.h"
#include "gen/app.pb-c.h"
#include "gen/command.pb-c.h"
#include "loop/loop.h"
#include "workspace/stream.h"

#define START_COST	1000000u	/* micro-tokens */

bool
svc_may_start(struct svc *s)
{
	struct svc_rate	*r = &s->rate;
	uint64_t	 now = loop_now(s->loop);
	uint64_t	 max = (uint64_t)r->burst * START_COST;
	uint64_t	 gain = (now - r->last_ms) * r->per_s * 1000;

	r->micro_tokens = gain > max - r->micro_tokens ? max :
	    r->micro_tokens + gain;
	r->last_ms = now;
	if (r->micro_tokens < START_COST || s->starting >= s->starting_max)
		return false;
	r->micro_tokens -= START_COST;
	return true;
}

const char *
svc_stream_id(struct grpc_call *c, const char *key)
{
	const char	*id = grpc_metadata(c, key);

	if (id == NULL)
		grpc_finish(c, GRPC_INVALID_ARGUMENT, "no %s in metadata", key);
	else if (!stream_id_valid(id)) {
		grpc_finish(c, GRPC_INVALID_ARGUMENT, "%s is not 1 to %d "
		    "printable characters without a slash", key,
		    STREAM_ID_MAX);
		id = NULL;
	}
	return id;
}

void
svc_unimplemented(struct grpc_call *c, const ProtobufCMessage *req)
{
	(void)req;
	grpc_finish(c, GRPC_UNIMPLEMENTED, "not served by this daemon");
}

enum grpc_status
svc_status_of_errno(int err)
{
	switch (err < 0 ? -err : err) {
	case EEXIST:
		return GRPC_ALREADY_EXISTS;
	case EINVAL:
		return GRPC_INVALID_ARGUMENT;
	case ENOENT:
		return GRPC_NOT_FOUND;
	case EACCES:
	case EPERM:
		return GRPC_PERMISSION_DENIED;
	case EAGAIN:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
	case ENOSPC:
		return GRPC_RESOURCE_EXHAUSTED;
	default:
		return GRPC_INTERNAL;
	}
}

#define MISSING(method, how, type) \
	{ .name = method, .kind = how, \
	  .request = &k8shelld__##type##__descriptor, \
	  .message = svc_unimplemented }

static const struct grpc_method app_methods[] = {
	MISSING("ListApps", GRPC_UNARY, list_apps_request),
	MISSING("InstallApp", GRPC_UNARY, install_app_request),
	MISSING("StartApp", GRPC_UNARY, start_app_request),
	MISSING("StopApp", GRPC_UNARY, stop_app_request),
	MISSING("GetLogs", GRPC_UNARY, get_logs_request),
	MISSING("GetLogsStream", GRPC_SERVER_STREAM, get_logs_stream_request),
};

const struct grpc_service svc_app = {
	"/k8shelld.AppService/", app_methods, ARRAY_LEN(app_methods)
};

static const struct grpc_method command_methods[] = {
	MISSING("CommandListener", GRPC_BIDI, command_message),
};

const struct grpc_service svc_command = {
	"/k8shelld.CommandService/", command_methods,
	ARRAY_LEN(command_methods)
};
