/*
 * account - the user a child runs as, from identity, passwd and group files.
 *
 * Reads /etc/passwd and /etc/group itself: no NSS, and an image without them
 * works.  Source: spec/grpc.md 3.0, clients.md SH-06, EX-22.
 */
#ifndef WORKSPACE_ACCOUNT_H
#define WORKSPACE_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct identity;

#define ACCOUNT_GROUPS_MAX	256
#define ACCOUNT_LINE_MAX	4096	/* of passwd and group */

struct account {
	char	*name, *home;
	char	*login_shell;		/* of passwd or identity; "" if none */
	uint32_t uid, gid;
	gid_t	 groups[ACCOUNT_GROUPS_MAX];
	size_t	 ngroups;
	bool	 sudo;
};

/* Where to look; tests use a fixture tree. */
struct account_files {
	const char	*passwd, *group;
};
extern const struct account_files account_files_system;

/*
 * as_user "" or the workspace user: the workspace user.  "root": needs the
 * sudo right, else -EACCES.  Any other name: -EACCES without the sudo right,
 * -ENOENT if the system doesn't know it.  A uid that differs between token
 * and passwd for the same name is -EPERM (T6).  *why: static text.
 */
int	 account_resolve(struct account **out, const struct identity *id,
	    const char *as_user, const struct account_files *files,
	    const char **why);
void	 account_destroy(struct account *a);	/* NULL is allowed */

/*
 * Environment of a child: request variables ("NAME=value", the last of a name
 * wins, ill-formed ones dropped), then HOME USER LOGNAME SHELL of the account,
 * which win, PATH and TERM defaults, then extra (NAME=value, NULL ends).
 * For root, variables that change what a program loads are dropped
 * (LD_*, BASH_ENV, ENV, ...).  A NULL-terminated array in one allocation.
 */
char	**account_environment(const struct account *a,
	    char *const *request, size_t nrequest, const char *shell,
	    bool pty, const char *const *extra);

/* Base name is neither nologin nor false and the file can be executed by
 * someone; looks at the file only if it is not in a user's hands. */
bool	 account_shell_usable(const char *path);

#endif
