/*
 * identity - the workspace user: name, ids, shell, sudo right.
 *
 * First that exists (DESIGN 2): identity JWT, profile.yaml, environment
 * (USERNAME, USER_UID, USER_GID), else, standalone, the uid that started us.
 * Verified on load; the token file is looked at every IDENTITY_POLL_MS and an
 * invalid renewal keeps the old one and says so; a renewal for another
 * subject, uid, gid or source is refused the same way, a changed sudo right
 * is taken over.  uid 0 is refused unless standalone as root; a missing uid or
 * gid is not 0 but an error (spec/bootstrap.md 11.15).  USERNAME, if set, has
 * to name the same user as token or profile.
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
#define IDENTITY_PROFILE_PATH	"/etc/k8shell/profile.yaml"

enum identity_source {
	IDENTITY_JWT, IDENTITY_PROFILE, IDENTITY_ENV, IDENTITY_STANDALONE
};

struct identity {
	enum identity_source from;
	char	*username;		/* owned, all of them; "" if unset */
	char	*home;			/* /home/<username>; standalone: HOME
					 * or passwd */
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

/*
 * profile_path: NULL for the default.  A configured token that can't be
 * read or verified, or a profile that can't be used, is an error and never a
 * reason to try the next source.  0, or -errno with err filled (one line).
 */
int	 identity_load(struct identity **out, const struct conf *c,
	    const char *profile_path, bool standalone, char *err,
	    size_t errlen);
/* Starts looking at the token file; no-op for other sources.  Copies what it
 * needs of c; l has to outlive id.  0 or -ENOMEM. */
int	 identity_watch_start(struct identity *id, struct loop *l,
	    const struct conf *c);
/* One look, what the timer does: true if a renewal was taken over.  username,
 * home and source stay at their addresses, other pointers may change. */
bool	 identity_refresh(struct identity *id);
void	 identity_destroy(struct identity *id);	/* NULL is allowed */

/* ^[a-z_][a-z0-9_.-]{0,31}$: used in paths and file names. */
bool	 identity_name_valid(const char *name);

#endif
