#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "conf/passwd.h"

/*
 * Next line without its newline, terminated; lines that don't fit or hold a
 * NUL are skipped.  False at the end.
 */
static bool
next_line(FILE *f, char *line)
{
	size_t	n = 0;
	bool	ok = true;
	int	c;

	while ((c = getc(f)) != EOF) {
		if (c != '\n') {
			if (c == '\0' || n == PASSWD_LINE_MAX)
				ok = false;
			else
				line[n++] = (char)c;
			continue;
		}
		if (ok) {
			line[n] = '\0';
			return true;
		}
		n = 0;
		ok = true;
	}
	line[n] = '\0';
	return ok && n > 0;
}

/* Cuts at colons; exactly n fields, the first not empty and no comment. */
static bool
split(char *line, char **field, size_t n)
{
	size_t	i;

	if (line[0] == '#' || line[0] == '+' || line[0] == '-' ||
	    line[0] == ':')
		return false;
	for (i = 0; i + 1 < n; i++) {
		field[i] = line;
		if ((line = strchr(line, ':')) == NULL)
			return false;
		*line++ = '\0';
	}
	field[i] = line;
	return strchr(line, ':') == NULL;
}

static bool
split_passwd(struct passwd_entry *e)
{
	char	*field[7];

	if (!split(e->line, field, ARRAY_LEN(field)) ||
	    str_to_u32(field[2], PASSWD_ID_MAX, &e->uid) < 0 ||
	    str_to_u32(field[3], PASSWD_ID_MAX, &e->gid) < 0)
		return false;
	e->name = field[0];
	e->home = field[5];
	e->shell = field[6];
	return true;
}

/* By name, or by uid if name is NULL. */
static int
search(const char *path, const char *name, uint32_t uid,
    struct passwd_entry *e)
{
	FILE	*f;
	int	 r = -ENOENT;

	if ((f = fopen(path, "re")) == NULL)
		return -errno;
	while (r != 0 && next_line(f, e->line)) {
		if (!split_passwd(e))
			continue;
		if (name != NULL ? strcmp(e->name, name) == 0 : e->uid == uid)
			r = 0;
	}
	if (r != 0 && ferror(f))
		r = -EIO;
	fclose(f);
	return r;
}

int
passwd_by_name(const char *path, const char *name, struct passwd_entry *e)
{
	return search(path, name, 0, e);
}

int
passwd_by_uid(const char *path, uint32_t uid, struct passwd_entry *e)
{
	return search(path, NULL, uid, e);
}

/* Is name one of "a,b,c"? */
static bool
lists(const char *members, const char *name)
{
	size_t	len = strlen(name), n;

	for (;;) {
		n = strcspn(members, ",");
		if (n == len && memcmp(members, name, n) == 0)
			return true;
		if (members[n] == '\0')
			return false;
		members += n + 1;
	}
}

static void
add_once(gid_t gid, gid_t *out, size_t max, size_t *n)
{
	size_t	i;

	for (i = 0; i < *n; i++)
		if (out[i] == gid)
			return;
	if (*n < max)
		out[(*n)++] = gid;
}

int
group_ids(const char *path, const char *name, gid_t *out, size_t max,
    size_t *n)
{
	char		 line[PASSWD_LINE_MAX + 1], *field[4];
	uint32_t	 gid;
	FILE		*f;
	int		 r;

	*n = 0;
	if ((f = fopen(path, "re")) == NULL)
		return errno == ENOENT ? 0 : -errno;
	while (next_line(f, line)) {
		if (name[0] != '\0' && split(line, field, ARRAY_LEN(field)) &&
		    str_to_u32(field[2], PASSWD_ID_MAX, &gid) == 0 &&
		    lists(field[3], name))
			add_once(gid, out, max, n);
	}
	r = ferror(f) ? -EIO : 0;
	fclose(f);
	return r;
}
