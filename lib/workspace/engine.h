/*
 * engine - what podman or docker takes up, asked over its socket.
 *
 * HTTP and JSON of a process we don't trust, so engine_query() runs in a
 * forked child (proc/ask.h), as the owner of the socket, with 2 s for each
 * request.  Source: spec/grpc.md 6, spec/rest-kbox.md 1.4.
 */
#ifndef WORKSPACE_ENGINE_H
#define WORKSPACE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENGINE_REQUEST_MS	2000
#define ENGINE_BODY_MAX		(8u * 1024 * 1024)

/* Plain memory: goes through the pipe as it is.  Text is UTF-8. */
struct engine_usage {
	char	 socket[112], api_version[32];
	char	 root_dir[1024];
	uint64_t images, containers, containers_rootfs, volumes, build_cache;
	uint64_t total;
	bool	 podman;		/* the rest is known */
	char	 version[32], driver[64], run_root[1024];
	int64_t	 running, paused, stopped, all;	/* containers */
};

/* Where podman and docker listen; NULL ends. */
extern const char *const engine_sockets[];

/*
 * Blocks; changes our ids if it has to.  0; -ENOENT: none of paths is a
 * socket; or -errno if its version is not to be had.  What else fails is zero.
 */
int	 engine_query(const char *const *paths, struct engine_usage *u);

/* -- answers of the engine, for tests; 0 or -EINVAL, then u is as before --- */

int	 engine_read_version(struct engine_usage *u, const void *p, size_t n);
int	 engine_read_libpod(struct engine_usage *u, const void *p, size_t n);
int	 engine_read_info(struct engine_usage *u, const void *p, size_t n);
int	 engine_read_df(struct engine_usage *u, const void *p, size_t n);

#endif
