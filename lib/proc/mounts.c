#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/str.h"
#include "proc/mounts.h"

/* Fields before the optional ones: ids, device, root, point, options. */
enum { FIELD_POINT = 4, FIELD_OPTIONS = 5, FIELDS };

static bool
is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* "\040" is a blank; what is not three octal digits stays. */
static void
unescape(char *s)
{
	char		*out = s;
	unsigned	 v;

	for (; *s != '\0'; s++) {
		if (s[0] == '\\' && is_octal(s[1]) && is_octal(s[2]) &&
		    is_octal(s[3])) {
			v = (unsigned)(s[1] - '0') * 64 +
			    (unsigned)(s[2] - '0') * 8 +
			    (unsigned)(s[3] - '0');
			if (v > 0 && v <= 0xff) {
				*out++ = (char)v;
				s += 3;
				continue;
			}
		}
		*out++ = *s;
	}
	*out = '\0';
}

/* Cuts the next word off *p, perhaps an empty one; NULL at the end. */
static char *
word(char **p)
{
	char	*s = *p;

	if (*s == '\0')
		return NULL;
	*p = s + strcspn(s, " ");
	if (**p != '\0')
		*(*p)++ = '\0';
	return s;
}

static bool
parse_line(char *line, struct mount_line *m)
{
	char	*f[FIELDS], *w;
	size_t	 i;

	for (i = 0; i < FIELDS; i++)
		if ((f[i] = word(&line)) == NULL)
			return false;
	do				/* any number of optional fields */
		if ((w = word(&line)) == NULL)
			return false;
	while (strcmp(w, "-") != 0);
	m->point = f[FIELD_POINT];
	m->options = f[FIELD_OPTIONS];
	if ((m->type = word(&line)) == NULL ||
	    (m->source = word(&line)) == NULL)
		return false;
	unescape(m->point);
	unescape(m->type);
	unescape(m->source);
	return true;
}

void
mounts_each(char *text, mounts_fn *fn, void *arg)
{
	struct mount_line	 m;
	char			*next;

	for (; text != NULL; text = next) {
		if ((next = strchr(text, '\n')) != NULL)
			*next++ = '\0';
		if (parse_line(text, &m))
			fn(arg, &m);
	}
}

int
mounts_statfs(const char *path, struct mount_usage *u)
{
	struct statvfs	s;
	uint64_t	unit;

	if (statvfs(path, &s) < 0)
		return -errno;
	unit = s.f_frsize > 0 ? s.f_frsize : s.f_bsize;
	*u = (struct mount_usage){
		.total = s.f_blocks * unit, .free = s.f_bfree * unit,
		.available = s.f_bavail * unit,
		.inodes = s.f_files, .free_inodes = s.f_ffree,
	};
	u->used = u->total > u->free ? u->total - u->free : 0;
	return 0;
}
