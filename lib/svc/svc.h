/*
 * svc - the gRPC services: decode, call the workspace, encode.
 *
 * One const table per service; one struct that all handlers share.  Methods
 * of the contract that have no handler yet are in the tables all the same:
 * a caller has to be authorised before it learns what is missing (T1).
 */
#ifndef SVC_SVC_H
#define SVC_SVC_H

#include <sys/resource.h>

#include "rpc/server.h"

struct blueprint;
struct identity;
struct jobs;
struct logring;
struct loop;
struct monitor;
struct reap;
struct sessions;
struct streams;

/*
 * Children started per second, Shell and Exec together, so that no caller
 * can turn PID 1 into a fork bomb.  A token bucket.
 */
struct svc_rate {
	uint32_t	 burst, per_s;
	uint64_t	 micro_tokens;		/* millionths of a start */
	uint64_t	 last_ms;		/* 0: never, a full bucket */
};

/* grpc_call_user(); borrowed pointers, owned by the daemon. */
struct svc {
	struct loop		*loop;
	struct reap		*reap;
	struct sessions		*sessions;
	struct streams		*streams;
	struct jobs		*jobs;
	const struct identity	*identity;
	bool			 may_detach;	/* as the sessions' rules */
	/* How gRPC callers are authenticated: "none", or of
	 * "service-account, identity, token, peer" those that are there. */
	const char		*auth;
	const struct blueprint	*blueprint; /* NULL: none */
	struct logring		*logs;		/* NULL: no memory */
	struct monitor		*monitor;
	struct rlimit		 nofile;	/* of children (T28) */
	struct svc_rate		 rate;
	uint32_t		 starting, starting_max; /* before exec */
};

/* Takes one start; false: over the rate, or too many still starting. */
bool	 svc_may_start(struct svc *s);

/* The id of a stream from metadata key, or NULL after INVALID_ARGUMENT. */
const char *svc_stream_id(struct grpc_call *c, const char *key);

/* For the log; nobody's name where nobody is authenticated. */
const char *svc_caller(const struct grpc_call *c);

/* What is in the contract and not served: its row in a method table. */
#define SVC_MISSING(method, how, type) \
	{ .name = method, .kind = how, \
	  .request = &k8shelld__##type##__descriptor }

/*
 * Why a child was not started: err is -errno, *why the reason if there is one
 * already, else it is set to static text here.  The status a client
 * understands.
 */
enum grpc_status svc_refusal(int err, const char **why);

/* SshService.Shell, svc_shell.c. */
void	 svc_shell_message(struct grpc_call *c, const ProtobufCMessage *req);
void	 svc_shell_ended(struct grpc_call *c);
void	 svc_shell_writable(struct grpc_call *c);
void	 svc_shell_gone(struct grpc_call *c);

/* SshService.Exec, svc_exec.c. */
void	 svc_exec_message(struct grpc_call *c, const ProtobufCMessage *req);
void	 svc_exec_ended(struct grpc_call *c);
void	 svc_exec_writable(struct grpc_call *c);
void	 svc_exec_gone(struct grpc_call *c);

/* SystemService: svc_info.c, svc_history.c, svc_logs.c. */
void	 svc_system_info(struct grpc_call *c, const ProtobufCMessage *req);
void	 svc_get_blueprint(struct grpc_call *c, const ProtobufCMessage *req);
void	 svc_system_history(struct grpc_call *c, const ProtobufCMessage *req);
void	 svc_logs_stream(struct grpc_call *c, const ProtobufCMessage *req);
void	 svc_logs_writable(struct grpc_call *c);
void	 svc_logs_gone(struct grpc_call *c);
void	 svc_logs_page(struct grpc_call *c, const ProtobufCMessage *req);

/* SshService.AcquireSession and ListSessions, svc_sessions.c. */
void	 svc_acquire_session(struct grpc_call *c,
	    const ProtobufCMessage *req);
void	 svc_list_sessions(struct grpc_call *c, const ProtobufCMessage *req);

extern const struct grpc_service svc_ssh;
extern const struct grpc_service svc_system;
extern const struct grpc_service svc_app;
extern const struct grpc_service svc_command;

#endif
