/*
 * splash - the greeting of a workspace, from its blueprint.
 *
 * A template with {{.Version}} {{.Commit}} {{.Username}} (always empty)
 * {{.ShellUsername}} {{.Hostname}} {{.Date}}, blanks inside and trim markers
 * ("{{- .Date -}}") allowed.  A text that asks for anything else is shown as
 * it stands.  Source: spec/rest-kbox.md 1.8.
 */
#ifndef WORKSPACE_SPLASH_H
#define WORKSPACE_SPLASH_H

#include <stdint.h>

#define SPLASH_MAX	(64u * 1024)

struct buf;

struct splash_names {
	const char	*version, *commit, *user, *hostname;
	int64_t		 now;			/* Unix time, for the date */
};

/*
 * Appends the text with "\n" at the ends of lines and of itself; nothing for
 * an empty template.  0, -ENOBUFS or -ENOMEM.
 */
int	 splash_expand(const char *text, const struct splash_names *n,
	    struct buf *out);

#endif
