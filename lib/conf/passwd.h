/*
 * passwd - reader of passwd(5) and group(5) files.
 *
 * No NSS, no libc database calls: a static program can't have the first, and
 * the second guess.  Names are compared byte by byte.  A line that is longer
 * than PASSWD_LINE_MAX, has a NUL, or not exactly the fields and decimal ids
 * the manual asks for, does not exist; nor does one that begins with '#', '+'
 * or '-' (comments, NIS).  The first match counts.
 */
#ifndef CONF_PASSWD_H
#define CONF_PASSWD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PASSWD_LINE_MAX	4096	/* without its newline */

/* (uid_t)-1 means "leave as it is" to setresuid(2): never an id. */
#define PASSWD_ID_MAX	(UINT32_MAX - 1)

struct passwd_entry {
	const char	*name, *home, *shell;	/* into line */
	uint32_t	 uid, gid;
	char		 line[PASSWD_LINE_MAX + 1];
};

/* 0, -ENOENT (no such entry, or no such file), or what the system says. */
int	 passwd_by_name(const char *path, const char *name,
	    struct passwd_entry *e);
int	 passwd_by_uid(const char *path, uint32_t uid, struct passwd_entry *e);

/*
 * Ids of the groups that list the name as a member, each once, in order of
 * the file; *n of them, at most max, the rest is left out.  0 (also without
 * the file), or what the system says with *n as far as it came.
 */
int	 group_ids(const char *path, const char *name, gid_t *out, size_t max,
	    size_t *n);

#endif
