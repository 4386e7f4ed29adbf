#include "applets/kbox_text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* One character of s: its length in bytes and its width. */
static size_t
step(const char *s, size_t n, unsigned *width)
{
	uint32_t	cp;
	size_t		len = utf8_next(s, n, &cp);

	*width = len == 0 ? 1 : kbox_width_of(cp);
	return len == 0 ? 1 : len;
}

size_t
kbox_width(const char *s)
{
	size_t	n = strlen(s), cells;

	return kbox_fit(s, SIZE_MAX, &cells) == n ? cells : 0;
}

size_t
kbox_fit(const char *s, size_t width, size_t *cells)
{
	size_t		n = strlen(s), i = 0, len, used = 0;
	unsigned	w;

	while (i < n) {
		len = step(s + i, n - i, &w);
		if (w > width - used)
			break;
		used += w;
		i += len;
	}
	*cells = used;
	return i;
}

void
kbox_bytes_short(uint64_t n, char *out, size_t outlen)
{
	static const char	units[] = "KMG";
	double			v = (double)n / 1024;
	size_t			i = 0;

	if (n < 1024) {
		snprintf(out, outlen, "%lluB", (unsigned long long)n);
		return;
	}
	for (; v >= 1024 && i + 2 < sizeof units; i++)
		v /= 1024;
	snprintf(out, outlen, "%.2f%c", v, units[i]);
}

void
kbox_bytes_long(uint64_t n, char *out, size_t outlen)
{
	static const char	units[] = "KMGTPE";
	double			v = (double)n / 1024;
	size_t			i = 0;

	if (n < 1024) {
		snprintf(out, outlen, "%lluB", (unsigned long long)n);
		return;
	}
	for (; v >= 1024 && i + 2 < sizeof units; i++)
		v /= 1024;
	snprintf(out, outlen, v == (double)(uint64_t)v ? "%.0f%ciB" :
	    "%.2f%ciB", v, units[i]);
}

void
kbox_percent(double part, double whole, char *out, size_t outlen)
{
	if (whole > 0)
		snprintf(out, outlen, "%.2f%%", part / whole * 100);
	else
		snprintf(out, outlen, "n/a");
}

int
kbox_url_escape(const char *s, char *out, size_t outlen)
{
	static const char	hex[] = "0123456789ABCDEF";
	size_t			len = 0;
	unsigned char		c;

	for (; (c = (unsigned char)*s) != '\0'; s++) {
		if (len + 4 > outlen)
			return -ENAMETOOLONG;
		if (c < 0x80 && (isalnum(c) || strchr("-._~", c) != NULL)) {
			out[len++] = (char)c;
			continue;
		}
		out[len++] = '%';
		out[len++] = hex[c >> 4];
		out[len++] = hex[c & 0xf];
	}
	out[len] = '\0';
	return 0;
}
