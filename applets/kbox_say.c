/*
 * What every command needs to speak: memory, clean text, times, complaints.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "applets/kbox.h"
#include "base/log.h"
#include "base/str.h"

#define NS		INT64_C(1000000000)
#define ESCAPED_MAX	6	/* bytes one byte can become */

void *
kbox_alloc(struct kbox *k, size_t n)
{
	void	*p = arena_alloc(&k->arena, n);

	if (p == NULL) {
		fprintf(stderr, "kbox: out of memory\n");
		exit(KBOX_FAILED);
	}
	return memset(p, 0, n);
}

char *
kbox_printf(struct kbox *k, const char *fmt, ...)
{
	va_list	 ap, again;
	char	*p;
	int	 n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	p = kbox_alloc(k, n < 0 ? 1 : (size_t)n + 1);
	if (n > 0)
		(void)vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return p;
}

char *
kbox_clean(struct kbox *k, const char *s)
{
	size_t	 n = strlen(s), room = n * ESCAPED_MAX + 1;
	char	*out = kbox_alloc(k, room);

	(void)log_escape(s, n, out, room);
	return out;
}

const char *
kbox_out(struct kbox *k, const char *s)
{
	return k->tty ? kbox_clean(k, s) : s;
}

int
kbox_fail(struct kbox *k, int status, const char *fmt, ...)
{
	char	raw[1024], text[1024 * ESCAPED_MAX];
	va_list	ap;
	int	n;

	va_start(ap, fmt);
	n = vsnprintf(raw, sizeof raw, fmt, ap);
	va_end(ap);
	if (n < 0)
		raw[0] = '\0';
	(void)log_escape(raw, strlen(raw), text, sizeof text);
	fflush(stdout);
	if (k->command != NULL)
		fprintf(stderr, "kbox: %s: %s\n", k->command->name, text);
	else
		fprintf(stderr, "kbox: %s\n", text);
	return status;
}

void
kbox_hint(const char *fmt, ...)
{
	va_list	ap;

	fputs("      ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

char *
kbox_time(struct kbox *k, int64_t ns, const char *format)
{
	time_t		 seconds = (time_t)(ns / NS);
	struct tm	 tm;
	char		*out = kbox_alloc(k, 64);

	if (localtime_r(&seconds, &tm) == NULL ||
	    strftime(out, 64, format, &tm) == 0)
		out[0] = '\0';
	return out;
}

int64_t
kbox_now(void)
{
	struct timespec	ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * NS + ts.tv_nsec;
}

char *
kbox_span(struct kbox *k, int64_t ns)
{
	char	*out = kbox_alloc(k, 40);

	str_from_duration(ns < 0 ? 0 : ns / NS * NS, out, 40);
	return out;
}
