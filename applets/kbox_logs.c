/*
 * logs: the daemon's own log lines (GET /logs, one JSON object a line).  Those
 * of a job are kbox_jobs_feed.c's.
 *
 * The daemon filters by one component; everything else is done here, so that
 * "the last 10" are the last 10 that are shown, and every generation of the
 * daemon will do.  Following is a second request behind a first that ended:
 * lines the first one had are known by their id, or where there are none by
 * how many they were.
 */
#include <string.h>

#include "applets/kbox_text.h"
#include "applets/kbox_value.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "base/str.h"

#define LINE_MAX_BYTES	(1024u * 1024)
#define LAST_MAX	1000000u
#define ARENA_MAX	((size_t)1 << 29)
#define ELLIPSIS	"\xe2\x80\xa6"

struct wanted {
	const char	*components;	/* comma between; NULL: any */
	enum log_level	 level;
	const char	*grep;
	int64_t		 since_ns;
	uint32_t	 last;		/* 0: all */
};

struct logs {
	struct kbox	*k;
	struct wanted	 want;
	struct buf	 line;		/* begun, not ended */
	struct buf	 kept;		/* lines that wait for the end */
	size_t		 nkept;
	uint64_t	 seen, skip;	/* lines in all; known already */
	int64_t		 last_id, known_id;
	bool		 keeping;
	bool		 failed;	/* memory */
};

/* ---- one line ---- */

/* The daemon's lines have no zone: ours are in UTC. */
static bool
line_time(const struct value *v, int64_t *ns)
{
	char	text[64];

	if (value_time(v, "time", ns))
		return true;
	return str_format(text, sizeof text, "%sZ", value_text(v, "time")) > 0
	    && rfc3339_parse(text, ns) == 0;
}

static bool
is_wanted(const struct logs *l, const struct value *v)
{
	enum log_level	level;
	int64_t		ns;

	if (l->want.components != NULL &&
	    !kbox_in_list(l->want.components, value_text(v, "component")))
		return false;
	if (log_level_parse(value_text(v, "level"), &level) == 0 &&
	    level < l->want.level)
		return false;
	if (l->want.grep != NULL &&
	    strstr(value_text(v, "message"), l->want.grep) == NULL)
		return false;
	return l->want.since_ns == 0 || !line_time(v, &ns) ||
	    ns >= l->want.since_ns;
}

static const struct look {
	const char	*name, *letters, *sgr;
} looks[] = {
	{ "debug", "DBG", "90" }, { "info", "INF", "32" },
	{ "warn", "WRN", "33" }, { "error", "ERR", "31" },
	{ "fatal", "FTL", "1;91" },
};

static struct look
look_of(struct kbox *k, const char *level)
{
	struct look	other = { level, "", "37" };
	char		*p;
	size_t		 i;

	for (i = 0; i < ARRAY_LEN(looks); i++)
		if (strcmp(looks[i].name, level) == 0)
			return looks[i];
	other.letters = p = kbox_clean(k, level);
	for (; *p != '\0'; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 'a' + 'A');
	return other;
}

/* time LVL message component=name, cut to the terminal. */
static void
show_fields(struct kbox *k, const struct value *v)
{
	struct look	 look = look_of(k, value_text(v, "level"));
	const char	*when = kbox_clean(k, value_text(v, "time"));
	char		*rest = kbox_printf(k, "%s component=%s",
			    value_text(v, "message"),
			    value_text(v, "component"));
	size_t		 room, used, n;

	rest = kbox_clean(k, rest);
	if (k->color)
		printf("%s \033[%sm%s\033[0m ", when, look.sgr, look.letters);
	else
		printf("%s %s ", when, look.letters);
	used = kbox_width(when) + kbox_width(look.letters) + 2;
	room = k->columns > used + 1 ? k->columns - used : 1;
	if (!k->tty || k->columns == 0 || k->values[OPT_WRAP] != NULL ||
	    kbox_width(rest) <= room) {
		puts(rest);
		return;
	}
	n = kbox_fit(rest, room - 1, &used);
	fwrite(rest, 1, n, stdout);
	puts(ELLIPSIS);
}

static void
show_line(struct kbox *k, const char *json, size_t n)
{
	struct arena		 kept = k->arena;
	struct kbox_answer	 a = { .len = n };
	struct value		*v;

	arena_init(&k->arena, ARENA_MAX);
	a.body = kbox_printf(k, "%.*s", (int)n, json);
	if ((v = value_parse(k, &a)) != NULL) {
		if (k->values[OPT_JSON] == NULL)
			show_fields(k, v);
		else
			puts(kbox_out(k, a.body));
	}
	arena_finish(&k->arena);
	k->arena = kept;
}

/* ---- the last N ---- */

static void
keep_line(struct logs *l, const char *json, size_t n)
{
	const uint8_t	*p, *end;

	if (buf_put(&l->kept, json, n) < 0 || buf_put_u8(&l->kept, '\n') < 0) {
		l->failed = true;
		return;
	}
	if (l->want.last == 0 || ++l->nkept <= l->want.last)
		return;
	p = buf_head(&l->kept);
	end = memchr(p, '\n', l->kept.len);
	buf_drain(&l->kept, (size_t)(end - p) + 1);
	l->nkept--;
}

static void
show_kept(struct logs *l)
{
	const char	*p, *end;

	while (l->kept.len > 0) {
		p = (const char *)buf_head(&l->kept);
		end = memchr(p, '\n', l->kept.len);
		show_line(l->k, p, (size_t)(end - p));
		buf_drain(&l->kept, (size_t)(end - p) + 1);
	}
}

/* ---- lines as they come ---- */

static bool
is_known(struct logs *l, const struct value *v)
{
	int64_t	id = (int64_t)value_count(v, "id");

	if (id > l->last_id)
		l->last_id = id;
	l->seen++;
	if (id > 0)
		return id <= l->known_id;
	return l->seen <= l->skip;
}

static void
take_line(struct logs *l, const char *json, size_t n)
{
	struct kbox		*k = l->k;
	struct arena		 kept = k->arena;
	struct kbox_answer	 a = { .len = n };
	const struct value	*v;
	bool			 show;

	if (n == 0)
		return;
	arena_init(&k->arena, ARENA_MAX);
	a.body = kbox_printf(k, "%.*s", (int)n, json);
	v = value_parse(k, &a);
	show = v != NULL && !is_known(l, v) && is_wanted(l, v);
	arena_finish(&k->arena);
	k->arena = kept;
	if (show && l->keeping)
		keep_line(l, json, n);
	else if (show)
		show_line(k, json, n);
}

static bool
on_piece(void *arg, const char *p, size_t n)
{
	struct logs	*l = arg;
	const char	*end;
	size_t		 len;

	while ((end = memchr(p, '\n', n)) != NULL) {
		len = (size_t)(end - p);
		if (buf_put(&l->line, p, len) < 0)
			l->failed = true;
		else
			take_line(l, (const char *)buf_head(&l->line),
			    l->line.len);
		buf_clear(&l->line);
		n -= len + 1;
		p = end + 1;
	}
	if (n > 0 && buf_put(&l->line, p, n) < 0)
		l->failed = true;
	if (!l->keeping && fflush(stdout) != 0)
		return false;
	return !l->failed;
}

/* ---- requests ---- */

static int
request(struct logs *l, bool follow)
{
	struct kbox		*k = l->k;
	char			 component[256] = "";
	struct kbox_request	 q = {
		.method = "GET", .piece = on_piece, .arg = l
	};
	struct kbox_answer	 a;
	int			 r;

	if (l->want.components != NULL &&
	    strchr(l->want.components, ',') == NULL &&
	    kbox_url_escape(l->want.components, component,
	    sizeof component) < 0)
		return kbox_fail(k, KBOX_USAGE, "the component is too long");
	q.target = kbox_printf(k, KBOX_API "/logs?follow=%s%s%s",
	    follow ? "true" : "false", component[0] != '\0' ? "&component=" :
	    "", component);
	if (l->known_id > 0)
		q.target = kbox_printf(k, "%s&since=%lld", q.target,
		    (long long)l->known_id);
	l->seen = 0;
	r = kbox_call(k, &q, &a);
	if (r == KBOX_OK && l->failed)
		r = kbox_fail(k, KBOX_FAILED, "a line is too long");
	if (l->line.len > 0)
		take_line(l, (const char *)buf_head(&l->line), l->line.len);
	buf_clear(&l->line);
	return r;
}

static int
follow(struct logs *l)
{
	int	r;

	fflush(stdout);
	l->known_id = l->last_id;
	l->skip = l->seen;
	l->keeping = false;
	if ((r = request(l, true)) == KBOX_OK)
		r = kbox_fail(l->k, KBOX_NO_DAEMON,
		    "the daemon has ended the log");
	return r;
}

static int
read_wishes(struct kbox *k, struct wanted *w)
{
	const char	*level = k->values[OPT_LEVEL];
	const char	*since = k->values[OPT_SINCE];
	const char	*last = k->values[OPT_LAST];
	char		*lower;
	int64_t		 ms;
	size_t		 i;

	w->components = k->values[OPT_COMPONENT];
	w->grep = k->values[OPT_GREP];
	lower = kbox_printf(k, "%s", level != NULL ? level : "debug");
	for (i = 0; lower[i] != '\0'; i++)
		if (lower[i] >= 'A' && lower[i] <= 'Z')
			lower[i] = (char)(lower[i] - 'A' + 'a');
	if (log_level_parse(lower, &w->level) < 0)
		return kbox_fail(k, KBOX_USAGE, "levels are debug, info, "
		    "warn, error and fatal, not \"%s\"", level);
	if (last != NULL && str_to_u32(last, LAST_MAX, &w->last) < 0)
		return kbox_fail(k, KBOX_USAGE, "--last-n is a number of "
		    "lines, not \"%s\"", last);
	if (since == NULL || rfc3339_parse(since, &w->since_ns) == 0)
		return 0;
	if ((ms = kbox_parse_span(since)) < 0)
		return kbox_fail(k, KBOX_USAGE, "--since is a span such as "
		    "10m or a moment such as 2026-11-22T10:00:00Z");
	w->since_ns = kbox_now() - ms * 1000000;
	return 0;
}

int
kbox_logs(struct kbox *k)
{
	struct logs	l = { .k = k, .keeping = true };
	int		r;

	if (k->nwords > 0)
		return kbox_job_logs(k);
	if (k->values[OPT_STREAM] != NULL)
		return kbox_fail(k, KBOX_USAGE, "--stream needs the id of a "
		    "job");
	if ((r = read_wishes(k, &l.want)) != 0)
		return r;
	buf_init(&l.line, LINE_MAX_BYTES);
	buf_init(&l.kept, ARENA_MAX);
	l.keeping = l.want.last > 0;
	r = request(&l, false);
	if (r == KBOX_OK)
		show_kept(&l);
	if (r == KBOX_OK && k->values[OPT_FOLLOW] != NULL)
		r = follow(&l);
	buf_finish(&l.line);
	buf_finish(&l.kept);
	return r;
}
