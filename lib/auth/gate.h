/*
 * gate - may this call run?
 *
 * Three ways in, by configuration (DESIGN 2): service-account token, the
 * workspace's own JWT, uid of a Unix socket's peer.  A verdict is cached per
 * connection under the full token; exp, nbf and the key generation are
 * checked again on every call (T7).  Fits struct grpc_auth.
 */
#ifndef AUTH_GATE_H
#define AUTH_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "rpc/server.h"

struct conf_grpc;
struct gate;
struct identity;
struct loop;
struct oidc;

struct gate_options {
	const struct conf_grpc	*conf;		/* borrowed; allow list */
	const char		*own_namespace;	/* "default" if unknown */
	struct oidc		*oidc;		/* borrowed, NULL: no SA tokens */
	const struct identity	*identity;	/* borrowed, NULL: no JWT */
	/*
	 * A shared secret (standalone --token-file): TCP callers present the
	 * file's content, blanks trimmed, at least 16 bytes; compared in
	 * constant time, re-read when the file changes, checked before JWT
	 * and SA tokens.  Subject "token".  NULL: none.
	 */
	const char		*token_file;
	bool			 enabled;	/* false: TCP callers are not
						 * authenticated */
	uint32_t		 owner_uid;	/* Unix peers: this uid or 0 */
};

struct gate *gate_create(struct loop *l, const struct gate_options *opt);
void	 gate_destroy(struct gate *g);
/* Callbacks for grpc_options.auth. */
void	 gate_fill(struct gate *g, struct grpc_auth *auth);

#endif
