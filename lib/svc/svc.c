#include "svc/svc.h"

#include <errno.h>

#include "base/str.h"
#include "gen/app.pb-c.h"
#include "gen/command.pb-c.h"
#include "loop/loop.h"
#include "workspace/stream.h"

#define START_COST	1000000u	/* micro-tokens */
#define MONTH_MS	(UINT64_C(31) * 24 * 60 * 60 * 1000)

bool
svc_may_start(struct svc *s)
{
	struct svc_rate	*r = &s->rate;
	uint64_t	 now = loop_now(s->loop);
	uint64_t	 passed = now - r->last_ms;
	uint64_t	 max = (uint64_t)r->burst * START_COST;

	/* A month fills any bucket, and can't overflow.  Full at first. */
	if (r->last_ms == 0 || passed > MONTH_MS ||
	    passed * r->per_s * 1000 > max - r->micro_tokens)
		r->micro_tokens = max;
	else
		r->micro_tokens += passed * r->per_s * 1000;
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

const char *
svc_caller(const struct grpc_call *c)
{
	const char	*subject = grpc_call_subject(c);

	return subject[0] != '\0' ? subject : "anybody";
}

static const struct {
	int		 err;
	enum grpc_status status;
	const char	*why;		/* if that came from the kernel */
} refusals[] = {
	{ EEXIST, GRPC_ALREADY_EXISTS, NULL },
	{ EINVAL, GRPC_INVALID_ARGUMENT, NULL },
	{ ENOENT, GRPC_NOT_FOUND, NULL },
	{ EACCES, GRPC_PERMISSION_DENIED, NULL },
	{ EPERM, GRPC_PERMISSION_DENIED, NULL },
	{ EAGAIN, GRPC_RESOURCE_EXHAUSTED, "cannot start: no more processes" },
	{ ENOMEM, GRPC_RESOURCE_EXHAUSTED, "cannot start: out of memory" },
	{ EMFILE, GRPC_RESOURCE_EXHAUSTED,
	    "cannot start: the daemon is out of descriptors" },
	{ ENFILE, GRPC_RESOURCE_EXHAUSTED,
	    "cannot start: the machine is out of descriptors" },
	{ ENOSPC, GRPC_RESOURCE_EXHAUSTED,
	    "cannot start: all terminals are taken" },
};

/* Only terminals fail in other ways: /dev/ptmx and /dev/pts. */
enum grpc_status
svc_refusal(int err, const char **why)
{
	size_t	i;

	for (i = 0; i < ARRAY_LEN(refusals); i++)
		if (refusals[i].err == -err &&
		    (*why != NULL || refusals[i].why != NULL)) {
			if (*why == NULL)
				*why = refusals[i].why;
			return refusals[i].status;
		}
	if (*why != NULL)
		return GRPC_INTERNAL;
	*why = "cannot start: no terminals here (is /dev/pts mounted?)";
	return GRPC_FAILED_PRECONDITION;
}

static const struct grpc_method app_methods[] = {
	SVC_MISSING("ListApps", GRPC_UNARY, list_apps_request),
	SVC_MISSING("InstallApp", GRPC_UNARY, install_app_request),
	SVC_MISSING("StartApp", GRPC_UNARY, start_app_request),
	SVC_MISSING("StopApp", GRPC_UNARY, stop_app_request),
	SVC_MISSING("GetLogs", GRPC_UNARY, get_logs_request),
	SVC_MISSING("GetLogsStream", GRPC_SERVER_STREAM,
	    get_logs_stream_request),
};

const struct grpc_service svc_app = {
	"/k8shelld.AppService/", app_methods, ARRAY_LEN(app_methods)
};

static const struct grpc_method command_methods[] = {
	SVC_MISSING("CommandListener", GRPC_BIDI, command_message),
};

const struct grpc_service svc_command = {
	"/k8shelld.CommandService/", command_methods,
	ARRAY_LEN(command_methods)
};
