#include "workspace/splash.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/str.h"

#define BLANKS	" \t\r\n"

/* One {{...}}. */
struct action {
	const char	*name;		/* behind the dot */
	size_t		 len;
	bool		 trim_left, trim_right;
	const char	*end;		/* behind the braces */
};

/* s is behind "{{".  False: not one of those we know to read. */
static bool
parse(const char *s, struct action *a)
{
	a->trim_left = s[0] == '-' && s[1] != '\0' &&
	    strchr(BLANKS, s[1]) != NULL;
	s += a->trim_left;
	s += strspn(s, BLANKS);
	if (*s++ != '.')
		return false;
	a->name = s;
	a->len = strcspn(s, BLANKS "-}");
	s += a->len;
	a->trim_right = s[0] != '\0' && strchr(BLANKS, s[0]) != NULL &&
	    s[strspn(s, BLANKS)] == '-';
	s += strspn(s, BLANKS);
	s += a->trim_right;
	if (strncmp(s, "}}", 2) != 0)
		return false;
	a->end = s + 2;
	return true;
}

static bool
is_name(const struct action *a, const char *name)
{
	return a->len == strlen(name) && memcmp(a->name, name, a->len) == 0;
}

/* NULL: no such field. */
static const char *
value_of(const struct action *a, const struct splash_names *n, char date[16])
{
	time_t		 now = (time_t)n->now;
	struct tm	 tm;

	if (is_name(a, "Version"))
		return n->version;
	if (is_name(a, "Commit"))
		return n->commit;
	if (is_name(a, "Username"))
		return "";
	if (is_name(a, "ShellUsername"))
		return n->user;
	if (is_name(a, "Hostname"))
		return n->hostname;
	if (!is_name(a, "Date") || gmtime_r(&now, &tm) == NULL ||
	    strftime(date, 16, "%Y-%m-%d", &tm) == 0)
		return NULL;
	return date;
}

static size_t
without_blanks(const char *s, size_t n)
{
	while (n > 0 && strchr(BLANKS, s[n - 1]) != NULL)
		n--;
	return n;
}

/* 0; -EINVAL for what is not understood; or the failure of out. */
static int
expand(const char *s, const struct splash_names *names, struct buf *out)
{
	struct action	 a;
	const char	*open, *value;
	char		 date[16];
	int		 r;

	while ((open = strstr(s, "{{")) != NULL) {
		if (!parse(open + 2, &a) ||
		    (value = value_of(&a, names, date)) == NULL)
			return -EINVAL;
		if ((r = buf_put(out, s, a.trim_left ? without_blanks(s,
		    (size_t)(open - s)) : (size_t)(open - s))) < 0 ||
		    (r = buf_put(out, value, strlen(value))) < 0)
			return r;
		s = a.end + (a.trim_right ? strspn(a.end, BLANKS) : 0);
	}
	return buf_put(out, s, strlen(s));
}

/* "\r\n" and "\r" are ends of lines, too. */
static int
put_lines(struct buf *out, const char *s, size_t n)
{
	size_t	i, from = 0;
	int	r;

	for (i = 0; i < n; i++) {
		if (s[i] != '\r')
			continue;
		if ((r = buf_put(out, s + from, i - from)) < 0 ||
		    (r = buf_put_u8(out, '\n')) < 0)
			return r;
		if (i + 1 < n && s[i + 1] == '\n')
			i++;
		from = i + 1;
	}
	if ((r = buf_put(out, s + from, n - from)) < 0)
		return r;
	return n > 0 && s[n - 1] != '\n' && s[n - 1] != '\r' ?
	    buf_put_u8(out, '\n') : 0;
}

int
splash_expand(const char *text, const struct splash_names *n, struct buf *out)
{
	struct buf	tmp;
	int		r;

	buf_init(&tmp, SPLASH_MAX);
	if ((r = expand(text, n, &tmp)) == 0)
		r = put_lines(out, (const char *)buf_head(&tmp), tmp.len);
	else if (r == -EINVAL)
		r = put_lines(out, text, strlen(text));
	buf_finish(&tmp);
	return r;
}
