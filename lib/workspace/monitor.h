/*
 * monitor - resources of the workspace, looked at every 30 s.
 *
 * Answers are what was seen last, so nobody who asks waits.  Whatever may
 * hang (a file server, a container engine) is asked by forked children, one
 * for each mount, all in the same burst; a child that hangs costs its mount
 * the sample and nothing else.  A day of samples is kept (proc/history.h).
 * Source: spec/grpc.md 3.13 and 6, spec/rest-kbox.md 1.4.
 */
#ifndef WORKSPACE_MONITOR_H
#define WORKSPACE_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proc/mounts.h"
#include "workspace/engine.h"

struct blueprint;
struct history;
struct loop;
struct monitor;
struct reap;

#define MONITOR_FIRST_MS	2000	/* to the second sample, the first
					 * one that can tell CPU usage */
#define MONITOR_STATFS_MS	2000
#define MONITOR_ENGINE_MS	15000	/* seven requests */
#define MONITOR_MIB		1048576.0

struct monitor_options {
	const struct blueprint *blueprint;	/* borrowed; NULL: none */
	/* What tests replace; zero: the real thing. */
	const char	*root;			/* of /proc and /sys */
	const char	*const *sockets;	/* of engines; NULL ends */
	uint32_t	 first_ms, interval_ms, statfs_ms;
	int		(*statfs)(const char *path, struct mount_usage *u);
	void		(*collected)(void *arg);	/* a round began */
	void		*arg;
};

/* NULL: out of memory.  The first look is in the loop's next turn. */
struct monitor *monitor_create(struct loop *l, struct reap *r,
	    const struct monitor_options *opt);
void	 monitor_destroy(struct monitor *m);	/* NULL is allowed */

struct monitor_system {
	int64_t	 started;	/* process 1, Unix time; 0: unknown */
	double	 cpu;		/* millicores; 0 before the second look */
	double	 cpu_limit;	/* millicores, -1: none */
	double	 memory, memory_limit;	/* MiB, -1: none */
	double	 cpu_percent[3];	/* of the limit: 1, 5, 15 minutes */
};
const struct monitor_system *monitor_system(const struct monitor *m);

/* A storage of the blueprint that is mounted.  Text is UTF-8. */
struct monitor_mount {
	const char	*point, *source, *type;
	const char	*options;	/* "rw,relatime" */
	bool		 read_only, temporary;
	struct mount_usage usage;	/* zeros before the first answer */
	uint64_t	 declared;
	const struct history *history;	/* used, total */
};
/* The i-th in order of mount points; false: there are no more. */
bool	 monitor_mount(const struct monitor *m, size_t i,
	    struct monitor_mount *out);

/* NULL: not configured or not reachable. */
const struct engine_usage *monitor_engine(const struct monitor *m);
uint64_t monitor_engine_declared(const struct monitor *m);

/* cpu, cpu_limit, memory, memory_limit; and total, declared. */
const struct history *monitor_system_history(const struct monitor *m);
const struct history *monitor_engine_history(const struct monitor *m);

#endif
