/*
 * identity - the workspace user: name, ids, shell, sudo right.
 *
 * First that exists (DESIGN 2): identity JWT, profile.yaml, environment
 * (USERNAME, USER_UID, USER_GID), else, standalone, the uid that started us.
 * Verified on load; the token file is looked at every IDENTITY_POLL_MS and an
 * invalid renewal keeps the old one and says so; a renewal for another
 * subject, uid, gid or source is refused the same way, a changed sudo right
 * is taken over.  uid 0 is refused unless standalone as root.
 */
#ifndef AUTH_IDENTITY_H
#define AUTH_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/jwt.h"

struct conf;
struct loop;

#define IDENTITY_POLL_MS	15000

enum identity_source {
	IDENTITY_JWT, IDENTITY_PROFILE, IDENTITY_ENV, IDENTITY_STANDALONE
};

struct identity {
	enum identity_source from;
	char	*username;		/* owned, all of them; "" if unset */
	char	*home;			/* /home/<username>; standalone: passwd */
	char	*shell;			/* "" : not said */
	char	*fullname, *email, *organization, *source;
	uint32_t uid, gid;
	bool	 sudo;
	char	**roles;
	size_t	 nroles;
	/* JWT only; NULL otherwise. */
	struct jwt_key *key;
	char	*token;			/* compared with what callers send */
	int64_t	 exp;
	uint32_t generation;		/* changes with every renewal */
	struct identity_watch *watch;
};

/* profile_path: NULL for the default.  0, or -errno with err filled. */
int	 identity_load(struct identity **out, const struct conf *c,
	    const char *profile_path, bool standalone, char *err,
	    size_t errlen);
/* Starts looking at the token file; no-op for other sources. */
int	 identity_watch_start(struct identity *id, struct loop *l,
	    const struct conf *c);
void	 identity_destroy(struct identity *id);

/* ^[a-z_][a-z0-9_.-]{0,31}$: used in paths and file names. */
bool	 identity_name_valid(const char *name);

#endif
