/*
 * gate - may this call run?
 *
 * Ways in, by configuration (DESIGN 2):
 *
 *  - uid of a Unix socket's peer: the owner or root, subject "uid:N", no
 *    token looked at; anyone else is PERMISSION_DENIED.
 *  - the workspace's own JWT, subject "user:NAME": the very token the
 *    workspace holds, compared byte by byte as spec/grpc.md 2.4 does, or the
 *    one it held before the last renewal until that one expires.  A token
 *    that merely carries the same sub, uid and iss is refused, for a user's
 *    two workspaces differ in nothing else, and the token of one must not
 *    open the other (T5).  A token that is not known makes the identity look
 *    for a renewal, once a second, so callers with the new token need not
 *    wait for its poll.
 *  - the shared token of a standalone daemon, subject "token".  The file is
 *    read again when the last look is a second old, so that a new or removed
 *    one counts.
 *  - service-account token, subject "sa:NAMESPACE/NAME", spec/grpc.md 2.3:
 *    issuer, audience, then the allow list, whose misses are
 *    PERMISSION_DENIED.
 *
 * Everything else is UNAUTHENTICATED.  A verdict is cached per connection
 * under the full token; exp, nbf, iat and the key generation are checked
 * again on every call (T7).  Fits struct grpc_auth; never logs.
 */
#ifndef AUTH_GATE_H
#define AUTH_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "rpc/server.h"

/* Calls waiting for an unknown key; more are refused at once. */
#define GATE_WAITING_MAX	64
#define GATE_SHARED_MIN		16	/* bytes of a shared token */

struct conf_grpc;
struct gate;
struct identity;
struct loop;
struct oidc;

struct gate_options {
	/* All pointers are borrowed. */
	const struct conf_grpc	*conf;		/* issuer, audience, allowed */
	const char		*own_namespace;	/* "default" if unknown */
	struct oidc		*oidc;		/* NULL: no such tokens */
	struct identity		*identity;	/* NULL: no JWT */
	/*
	 * A shared secret (standalone --token-file): TCP callers present the
	 * file's content, blanks trimmed, at least GATE_SHARED_MIN bytes;
	 * compared in constant time, checked before JWT and SA tokens.
	 * Subject "token".  NULL: none.
	 */
	const char		*token_file;
	bool			 enabled;	/* false: TCP callers are not
						 * authenticated */
	uint32_t		 owner_uid;	/* Unix peers: this uid or 0 */
	int64_t			 (*wall)(void);	/* NULL: loop_wall; tests */
};

/* 0 if path holds a token that may be shared, else -errno; *why: static text
 * that names the fault. */
int	 gate_token_check(const char *path, const char **why);

/* NULL: out of memory. */
struct gate *gate_create(struct loop *l, const struct gate_options *opt);
/* Before its oidc; pending calls are forgotten.  NULL is allowed. */
void	 gate_destroy(struct gate *g);
/* Callbacks for grpc_options.auth. */
void	 gate_fill(struct gate *g, struct grpc_auth *auth);

#endif
