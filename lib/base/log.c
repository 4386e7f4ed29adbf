#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

/* Room for the longest escape, \uNNNN. */
#define ESCAPE_MAX	8
#define CUT_MARK	"..."

static struct {
	enum log_level	 min;
	int		 fd;
	log_sink_fn	*sink;
	void		*sink_arg;	/* borrowed */
	bool		 in_sink;
} state = { .min = LOG_INFO, .fd = STDERR_FILENO };

static const struct {
	const char	*name;
	const char	*letters;
} levels[] = {
	[LOG_DEBUG]	= { "debug", "DBG" },
	[LOG_INFO]	= { "info", "INF" },
	[LOG_WARN]	= { "warn", "WRN" },
	[LOG_ERROR]	= { "error", "ERR" },
	[LOG_FATAL]	= { "fatal", "FTL" },
};

void
log_setup(enum log_level min, int fd)
{
	state.min = min;
	state.fd = fd;
}

void
log_set_level(enum log_level min)
{
	state.min = min;
}

bool
log_wanted(enum log_level level)
{
	return level >= state.min;
}

void
log_set_sink(log_sink_fn *fn, void *arg)
{
	state.sink = fn;
	state.sink_arg = arg;
}

int
log_level_parse(const char *name, enum log_level *level)
{
	size_t	i;

	for (i = 0; i < ARRAY_LEN(levels); i++)
		if (strcmp(name, levels[i].name) == 0) {
			*level = (enum log_level)i;
			return 0;
		}
	return -EINVAL;
}

const char *
log_level_name(enum log_level level)
{
	return levels[level].name;
}

bool
log_is_hostile(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp <= 0x9f) || cp == 0x061c ||
	    cp == 0x200e || cp == 0x200f || (cp >= 0x2028 && cp <= 0x202e) ||
	    (cp >= 0x2066 && cp <= 0x2069);
}

/* One character of p as it may be shown; *take is what it was made from. */
static size_t
escape_one(const uint8_t *p, size_t n, char one[ESCAPE_MAX], size_t *take)
{
	uint32_t	cp;

	*take = utf8_next(p, n, &cp);
	if (*take > 0 && !log_is_hostile(cp)) {
		memcpy(one, p, *take);
		return *take;
	}
	if (*take > 1) {
		(void)snprintf(one, ESCAPE_MAX, "\\u%04x", cp & 0xffff);
		return 6;
	}
	*take = 1;
	(void)snprintf(one, ESCAPE_MAX, "\\x%02x", p[0]);
	return 4;
}

size_t
log_escape(const void *text, size_t n, char *out, size_t outlen)
{
	const uint8_t	*p = text;
	char		 one[ESCAPE_MAX];
	size_t		 i, len = 0, take, put;

	if (outlen == 0)
		return 0;
	for (i = 0; i < n; i += take) {
		put = escape_one(p + i, n - i, one, &take);
		if (put > outlen - 1 - len)
			break;
		memcpy(out + len, one, put);
		len += put;
	}
	out[len] = '\0';
	return len;
}

/* Cuts at a whole character and marks the place, so that n bytes remain. */
static size_t
cut(char *text, size_t n)
{
	size_t	 keep = n - (sizeof CUT_MARK - 1);

	while (keep > 0 && ((uint8_t)text[keep] & 0xc0) == 0x80)
		keep--;
	memcpy(text + keep, CUT_MARK, sizeof CUT_MARK);
	return keep + sizeof CUT_MARK - 1;
}

/* UTC: reading a zone file in the workspace is nothing for PID 1. */
static size_t
timestamp(char *out, size_t outlen)
{
	struct timespec	ts;
	struct tm	tm;
	size_t		n;

	if (clock_gettime(CLOCK_REALTIME, &ts) < 0 ||
	    gmtime_r(&ts.tv_sec, &tm) == NULL)
		return 0;
	n = strftime(out, outlen, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(out + n, outlen - n, ".%03d",
	    (int)(ts.tv_nsec / 1000000));
	return n + 4;
}

static void
write_line(enum log_level level, const char *component, const char *text,
    size_t len)
{
	char	line[LOG_LINE_MAX + 1], tail[128], head[48];
	size_t	nhead = timestamp(head, sizeof head), ntail, room;
	ssize_t	w;

	nhead += (size_t)snprintf(head + nhead, sizeof head - nhead, " %s ",
	    levels[level].letters);
	ntail = (size_t)snprintf(tail, sizeof tail,
	    " component=%.64s pid=%d\n", component, (int)getpid());
	room = LOG_LINE_MAX - nhead - ntail;
	memcpy(line, head, nhead);
	memcpy(line + nhead, text, len <= room ? len : room + 1);
	if (len > room)
		len = cut(line + nhead, room);
	memcpy(line + nhead + len, tail, ntail);
	do
		w = write(state.fd, line, nhead + len + ntail);
	while (w < 0 && errno == EINTR);
}

/* Apart from log_at(), whose callers mostly ask for a level nobody wants:
 * 8 KiB of stack are not for them. */
static void __attribute__((noinline, format(printf, 3, 0)))
log_line(enum log_level level, const char *component, const char *fmt,
    va_list ap)
{
	char	raw[LOG_LINE_MAX], text[LOG_LINE_MAX + ESCAPE_MAX];
	int	n;
	size_t	len;

	n = vsnprintf(raw, sizeof raw, fmt, ap);
	if (n < 0)
		n = 0;
	if ((size_t)n >= sizeof raw)
		n = sizeof raw - 1;
	len = log_escape(raw, (size_t)n, text, sizeof text);
	write_line(level, component, text, len);
	if (state.sink != NULL && !state.in_sink) {
		state.in_sink = true;	/* a sink that logs is not told */
		state.sink(state.sink_arg, level, component, text);
		state.in_sink = false;
	}
}

void
log_at(enum log_level level, const char *component, const char *fmt, ...)
{
	int	saved = errno;
	va_list	ap;

	if (!log_wanted(level))
		return;
	va_start(ap, fmt);
	log_line(level, component, fmt, ap);
	va_end(ap);
	errno = saved;
}

/* The bucket is stored as what is missing, so that zeroed means full. */
static void
refill(struct log_limit *l, uint64_t now_ms)
{
	uint64_t	back;

	if (now_ms < l->last_ms || l->used == 0 || l->every_ms == 0) {
		l->last_ms = now_ms;
		if (l->every_ms == 0)
			l->used = 0;
		return;
	}
	back = (now_ms - l->last_ms) / l->every_ms;
	l->last_ms += back * l->every_ms;
	l->used = back < l->used ? l->used - (uint32_t)back : 0;
}

bool
log_allow(struct log_limit *l, uint64_t now_ms, uint32_t *skipped)
{
	refill(l, now_ms);
	if (l->used >= l->burst) {
		if (l->skipped < UINT32_MAX)
			l->skipped++;
		return false;
	}
	l->used++;
	if (skipped != NULL)
		*skipped = l->skipped;
	l->skipped = 0;
	return true;
}
