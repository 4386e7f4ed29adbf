#include <errno.h>
#include <stdlib.h>

#include "base/rfc3339.h"
#include "gen/ssh.pb-c.h"
#include "svc/svc.h"
#include "workspace/session.h"

#define REASON(r) \
	K8SHELLD__ACQUIRE_SESSION_FAILURE_REASON__ACQUIRE_SESSION_FAILURE_##r

static bool
refused(struct grpc_call *c)
{
	const struct svc	*svc = grpc_call_user(c);

	if (!svc->may_detach)
		grpc_finish(c, GRPC_PERMISSION_DENIED,
		    "detaching sessions is disabled");
	return !svc->may_detach;
}

/* What can't be had is an ordinary answer, not an error (AQ-02). */
void
svc_acquire_session(struct grpc_call *c, const ProtobufCMessage *m)
{
	const K8shelld__AcquireSessionRequest *req = (const void *)m;
	K8shelld__AcquireSessionResponse resp;
	const struct svc	*svc = grpc_call_user(c);
	char			 lock[SESSION_LOCK_LEN + 1];
	int			 r;

	if (refused(c))
		return;
	if (req->session_id[0] == '\0') {
		grpc_finish(c, GRPC_INVALID_ARGUMENT, "session_id is empty");
		return;
	}
	r = session_acquire(svc->sessions, req->session_id,
	    grpc_call_subject(c), lock);
	k8shelld__acquire_session_response__init(&resp);
	if (r == 0) {
		resp.success = 1;
		resp.lock_id = lock;
	} else if (r == -ENOENT) {
		resp.failure_reason = REASON(REASON_NOT_FOUND);
	} else if (r == -EBUSY) {
		resp.failure_reason = REASON(REASON_ALREADY_ACQUIRED);
	}
	grpc_reply(c, &resp.base);
}

/* The answer grows as sessions are walked. */
struct listing {
	K8shelld__AcquirableSession	**list;
	size_t				  n, cap;
	bool				  failed;
};

struct row {
	K8shelld__AcquirableSession	msg;
	char				created[RFC3339_LEN];
	char				detached[RFC3339_LEN];
};

static bool
listing_grow(struct listing *l)
{
	size_t	cap = l->cap != 0 ? 2 * l->cap : 16;
	void	*p;

	if (l->n < l->cap)
		return true;
	if ((p = realloc(l->list, cap * sizeof *l->list)) == NULL)
		return false;
	l->list = p;
	l->cap = cap;
	return true;
}

/* id, user and shell are borrowed: the reply is packed before they can go. */
static bool
on_session(void *arg, const struct session_info *info)
{
	struct listing	*l = arg;
	struct row	*row;

	if (!info->pty || info->attached || info->locked)
		return true;
	if (!listing_grow(l) || (row = calloc(1, sizeof *row)) == NULL) {
		l->failed = true;
		return false;
	}
	k8shelld__acquirable_session__init(&row->msg);
	row->msg.session_id = (char *)(uintptr_t)info->id;
	row->msg.owner = (char *)(uintptr_t)info->user;
	row->msg.cmd_shell = (char *)(uintptr_t)info->shell;
	row->msg.pid = info->pid;
	rfc3339_format(info->created, row->created);
	row->msg.created = row->created;
	if (info->detached_at != 0)
		rfc3339_format(info->detached_at, row->detached);
	row->msg.detached_at = row->detached;
	row->msg.ttl_seconds = info->ttl_left_ms < 0 ? -1 :
	    info->ttl_left_ms / 1000 + 1;
	l->list[l->n++] = &row->msg;
	return true;
}

void
svc_list_sessions(struct grpc_call *c, const ProtobufCMessage *m)
{
	K8shelld__ListSessionsResponse	 resp;
	const struct svc		*svc = grpc_call_user(c);
	struct listing			 l = { 0 };
	size_t				 i;

	(void)m;
	if (refused(c))
		return;
	sessions_each(svc->sessions, grpc_call_subject(c), on_session, &l);
	k8shelld__list_sessions_response__init(&resp);
	resp.sessions = l.list;
	resp.n_sessions = l.n;
	if (l.failed)
		grpc_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
	else
		grpc_reply(c, &resp.base);
	for (i = 0; i < l.n; i++)
		free(l.list[i]);	/* msg is the first member of row */
	free(l.list);
}
