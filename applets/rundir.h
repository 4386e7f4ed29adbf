/*
 * rundir - where a standalone daemon and its clients meet.
 *
 * A folder of this user alone: "$XDG_RUNTIME_DIR/k8shell", else
 * "/tmp/k8shell-UID".  It holds grpc.sock, k8shelld.sock and, with --port, the
 * token that TCP callers present.
 */
#ifndef APPLETS_RUNDIR_H
#define APPLETS_RUNDIR_H

#include <stddef.h>

#define RUNDIR_GRPC_SOCKET	"grpc.sock"
#define RUNDIR_TOKEN		"token"

/* 0 or -ENAMETOOLONG. */
int	 rundir_default(char *out, size_t outlen);

/*
 * Creates path with mode 0700; one that exists must be a directory of ours
 * that nobody else can enter.  0, or -errno with *why (static text).
 */
int	 rundir_create(const char *path, const char **why);

/*
 * The second half of it, for clients: in /tmp anybody may have been there
 * first, and would be told what is typed.
 */
int	 rundir_check(const char *path, const char **why);

/*
 * The secret TCP callers of a standalone daemon present: 256 random bits in
 * "path/token", mode 0600, made if it is missing.  0 or -errno.
 */
int	 rundir_token(const char *path, char *token_file, size_t len);

#endif
