/*
 * svc - the gRPC services: decode, call the workspace, encode.
 *
 * One const table per service; one struct that all handlers share.
 */
#ifndef SVC_SVC_H
#define SVC_SVC_H

#include "rpc/server.h"

struct identity;
struct loop;
struct reap;
struct sessions;
struct streams;

/* grpc_call_user(); borrowed pointers, owned by the daemon. */
struct svc {
	struct loop	*loop;
	struct reap	*reap;
	struct sessions	*sessions;
	struct streams	*streams;
	const struct identity *identity;
	/* Fork rate of Shell and Exec together, spec/security.md 2.1. */
	struct svc_rate {
		unsigned running;	/* children alive at once */
		unsigned tokens;
		uint64_t last_ms;
	} rate;
};

#define SVC_CHILDREN_MAX	64	/* at once */
#define SVC_FORK_BURST		32
#define SVC_FORK_PER_S		20

extern const struct grpc_service svc_ssh;
extern const struct grpc_service svc_system;
extern const struct grpc_service svc_app;
extern const struct grpc_service svc_command;

#endif
