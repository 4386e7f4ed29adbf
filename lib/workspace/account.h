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
#define ACCOUNT_ENV_MAX		1024	/* request variables looked at */

#define ACCOUNT_PATH	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:" \
	"/sbin:/bin"

struct account {
	char	*name, *home;
	char	*login_shell;		/* of passwd or identity; "" if none */
	uint32_t uid, gid;
	gid_t	 groups[ACCOUNT_GROUPS_MAX];	/* none if no group lists it */
	size_t	 ngroups;
	bool	 sudo;			/* of the identity that asked */
};

/* Where to look; tests use a fixture tree. */
struct account_files {
	const char	*passwd, *group;
};
extern const struct account_files account_files_system;

/*
 * as_user "" or the workspace user: the workspace user.  "root": needs the
 * sudo right, else -EACCES.  Any other name, or the decimal uid of somebody
 * the system knows: -EACCES without the sudo right, -ENOENT if the system
 * doesn't know it.  A uid that differs between identity and passwd for the
 * same name is -EPERM (T6).  Where we are not root ourselves, everybody else
 * is -EACCES.  -ENOMEM, or -errno of reading passwd.  *why: static text.
 */
int	 account_resolve(struct account **out, const struct identity *id,
	    const char *as_user, const struct account_files *files,
	    const char **why);
void	 account_destroy(struct account *a);	/* NULL is allowed */

/*
 * Environment of a child: request variables ("NAME=value", the last of a name
 * wins, ill-formed ones dropped), then HOME USER LOGNAME SHELL of the account,
 * which win, PATH and (pty) TERM where the request has none, then extra
 * (NAME=value, NULL ends), which wins over all.  shell: what runs; NULL or "":
 * the login shell.  For root, variables that change what a program loads are
 * dropped from the request (LD_*, BASH_ENV, ENV, ...).  Nothing of our own
 * environment is in it (T8).  A NULL-terminated array in one allocation; NULL
 * if out of memory.
 */
char	**account_environment(const struct account *a,
	    char *const *request, size_t nrequest, const char *shell,
	    bool pty, const char *const *extra);

/*
 * A child as a may gain privileges (sudo, setuid programs): with the sudo
 * right, as root, or if we are not root and so have nothing to guard.
 */
bool	 account_may_gain(const struct account *a);

/*
 * Base name is neither nologin nor false and the file can be executed by
 * someone.  Looks at the file only if it is not in a user's hands, that is in
 * the system's own folders: anything else might hang us, and is found out by
 * the child.
 */
bool	 account_shell_usable(const char *path);

#endif
