#include "workspace/jobmatch.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define DEPTH_MAX	32		/* of groups */
#define CLEAN_MAX	(3 * JOBMATCH_LINE_MAX + 1)	/* all ill-formed */

/* -- what an expression costs ---------------------------------------------- */

struct scan {
	const char	*p;
	size_t		 size[DEPTH_MAX + 1];	/* of each open group */
	size_t		 last;		/* of the last atom in it */
	unsigned	 depth;
	const char	*why;
};

static bool
refuse(struct scan *s, const char *why)
{
	s->why = why;
	return false;
}

static bool
add(struct scan *s, size_t n)
{
	s->size[s->depth] += n;
	return s->size[s->depth] <= JOBMATCH_COST_MAX ||
	    refuse(s, "the expression is too large");
}

/* Behind '['; "]" as the first member, and [:class:] inside. */
static bool
skip_bracket(struct scan *s)
{
	char	kind;

	s->p += *s->p == '^';
	s->p += *s->p == ']';
	for (; *s->p != '\0' && *s->p != ']'; s->p++) {
		if (*s->p != '[' || s->p[1] == '\0' ||
		    strchr(":.=", s->p[1]) == NULL)
			continue;
		kind = s->p[1];
		for (s->p += 2; *s->p != '\0' &&
		    (*s->p != kind || s->p[1] != ']'); s->p++)
			;
		if (*s->p == '\0')
			break;
		s->p++;
	}
	if (*s->p == '\0')
		return refuse(s, "a bracket is not closed");
	s->p++;
	return true;
}

/* Behind '{': "n}", "n,}" or "n,m}"; *times is the larger. */
static bool
read_bounds(struct scan *s, size_t *times)
{
	uint64_t	v[2] = { 0, 0 };
	size_t		n, i;

	for (i = 0; i < 2; i++) {
		n = strspn(s->p, "0123456789");
		if (n > 0 && mem_to_u64(s->p, n, RE_DUP_MAX, &v[i]) < 0)
			return refuse(s, "a repetition is too large");
		s->p += n;
		if (i == 0 && n > 0 && *s->p == ',')
			s->p++;
		else
			break;
	}
	if (*s->p++ != '}')
		return refuse(s, "a repetition is not closed");
	*times = (size_t)(v[0] + 1 > v[1] ? v[0] + 1 : v[1]);
	return true;
}

static bool
repeat(struct scan *s, char c)
{
	size_t	times = 2;

	if (c == '{' && !read_bounds(s, &times))
		return false;
	if (!add(s, (times - 1) * s->last))
		return false;
	s->last *= times;
	return true;
}

static bool
scan_one(struct scan *s)
{
	char	c = *s->p++;

	if (strchr("*+?{", c) != NULL)
		return repeat(s, c);
	if (c == ')') {
		if (s->depth == 0)
			return refuse(s, "a group is not opened");
		s->last = s->size[s->depth--];
		return add(s, s->last);
	}
	if (c == '(') {
		if (s->depth == DEPTH_MAX)
			return refuse(s, "groups are nested too deeply");
		s->size[++s->depth] = 1;
		s->last = 1;
		return true;
	}
	if (c == '\\') {
		if (*s->p == '\0' || (*s->p >= '0' && *s->p <= '9'))
			return refuse(s, "back references are not taken");
		s->p++;
	}
	if (c == '[' && !skip_bracket(s))
		return false;
	s->last = 1;
	return add(s, 1);
}

size_t
jobmatch_cost(const char *regex, const char **why)
{
	struct scan	s = { .p = regex, .last = 1, .size = { 1 } };

	while (*s.p != '\0')
		if (!scan_one(&s)) {
			*why = s.why;
			return 0;
		}
	if (s.depth == 0)
		return s.size[0];
	*why = "a group is not closed";
	return 0;
}

/* -- life ------------------------------------------------------------------ */

static int
compile(struct jobmatch *m, const char **why)
{
	locale_t	old;
	int		r;

	if ((m->cost = jobmatch_cost(m->text, why)) == 0)
		return -EINVAL;
	m->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	if ((m->clean = malloc(CLEAN_MAX)) == NULL)
		return -ENOMEM;
	old = uselocale(m->utf8);
	r = regcomp(&m->regex, m->text, REG_EXTENDED);
	uselocale(old);
	if (r == REG_ESPACE)
		return -ENOMEM;
	*why = "not a POSIX extended regular expression";
	m->is_regex = r == 0;
	return r == 0 ? 0 : -EINVAL;
}

int
jobmatch_init(struct jobmatch *m, const char *text, bool regex,
    const char **why)
{
	int	r = 0;

	*m = (struct jobmatch){ .cost = 1 };
	buf_init(&m->line[0], JOBMATCH_LINE_MAX + 1);
	buf_init(&m->line[1], JOBMATCH_LINE_MAX + 1);
	*why = "what to look for is 1 to 1024 bytes";
	if (text[0] == '\0' || strlen(text) > JOBMATCH_TEXT_MAX)
		return -EINVAL;
	if ((m->text = strdup(text)) == NULL)
		return -ENOMEM;
	if (regex && (r = compile(m, why)) < 0)
		jobmatch_finish(m);
	return r;
}

void
jobmatch_finish(struct jobmatch *m)
{
	if (m->is_regex)
		regfree(&m->regex);
	m->is_regex = false;
	if (m->utf8 != (locale_t)0)
		freelocale(m->utf8);
	m->utf8 = (locale_t)0;
	free(m->text);
	free(m->clean);
	m->text = m->clean = NULL;
	buf_finish(&m->line[0]);
	buf_finish(&m->line[1]);
}

/* -- lines ----------------------------------------------------------------- */

static bool
run(struct jobmatch *m, struct jobmatch_found *found)
{
	regmatch_t	group[JOBMATCH_GROUPS_MAX + 1];	/* 0: all of it */
	locale_t	old = uselocale(m->utf8);
	int		r;

	r = regexec(&m->regex, found->line, ARRAY_LEN(group), group, 0);
	uselocale(old);
	if (r != 0)
		return false;
	found->ngroups = m->regex.re_nsub < JOBMATCH_GROUPS_MAX ?
	    m->regex.re_nsub : JOBMATCH_GROUPS_MAX;
	memcpy(found->group, group + 1, sizeof found->group);
	return true;
}

/* The line in b, terminated here.  A NUL in it ends what is looked at. */
static bool
matches(struct jobmatch *m, struct buf *b, struct jobmatch_found *found)
{
	char	*line;

	*found = (struct jobmatch_found){ .ngroups = 0 };
	if (buf_put_u8(b, '\0') < 0)
		return false;
	line = (char *)buf_head(b);
	if (b->len >= 2 && line[b->len - 2] == '\r')
		line[b->len - 2] = '\0';
	found->line = line;
	if (!m->is_regex)
		return strstr(line, m->text) != NULL;
	if (!utf8_valid(line, strlen(line))) {
		(void)utf8_repair(line, strlen(line), m->clean, CLEAN_MAX);
		found->line = m->clean;
	}
	return run(m, found);
}

bool
jobmatch_feed(struct jobmatch *m, unsigned stream, const void *p, size_t n,
    struct jobmatch_found *found)
{
	struct buf	*b = &m->line[stream];
	const char	*s = p, *end;
	size_t		 len;

	while (n > 0) {
		end = memchr(s, '\n', n);
		len = end != NULL ? (size_t)(end - s) : n;
		if (len > JOBMATCH_LINE_MAX - b->len) {
			len = JOBMATCH_LINE_MAX - b->len;
			end = NULL;
		}
		if (buf_put(b, s, len) < 0)
			return false;		/* no memory: it is lost */
		s += len + (end != NULL);
		n -= len + (end != NULL);
		if (end == NULL && b->len < JOBMATCH_LINE_MAX)
			continue;
		if (matches(m, b, found))
			return true;
		buf_clear(b);
	}
	return false;
}

bool
jobmatch_pending(const struct jobmatch *m)
{
	return m->line[0].len > 0 || m->line[1].len > 0;
}

bool
jobmatch_rest(struct jobmatch *m, unsigned stream,
    struct jobmatch_found *found)
{
	struct buf	*b = &m->line[stream];
	size_t		 len = b->len;
	bool		 yes;
	uint8_t		 last;

	if (len == 0)
		return false;
	last = buf_head(b)[len - 1];
	yes = matches(m, b, found);
	if (!yes) {
		b->len = len;		/* it may go on */
		buf_head(b)[len - 1] = last;
	}
	return yes;
}
