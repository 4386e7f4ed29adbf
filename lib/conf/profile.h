/*
 * profile - who the workspace belongs to, as a file says (profile.yaml).
 *
 * Flat map of spec/bootstrap.md 3.3; a `profile:` wrapper is tolerated.  ids
 * are decimal, quoted or not.  Unknown keys are ignored, ${VAR} and "!file" are
 * not expanded: the text comes from users of the platform.
 */
#ifndef CONF_PROFILE_H
#define CONF_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct profile {
	/* "" if unset, once parsed */
	char	*username, *organization, *fullname, *email;
	char	*shell, *source;
	bool	 has_uid, has_gid;
	uint32_t uid, gid;
	bool	 sudo;
	char	**roles;
	size_t	 nroles;
};

void	 profile_init(struct profile *p);
void	 profile_finish(struct profile *p);

/* 0, or -EINVAL or -errno with err filled ("profile.yaml:3:6: uid: ..."); p is
 * then to be finished. */
int	 profile_load(struct profile *p, const char *path, char *err,
	    size_t errlen);
int	 profile_parse(struct profile *p, const char *name, const void *text,
	    size_t n, char *err, size_t errlen);

#endif
