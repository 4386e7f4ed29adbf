/*
 * base64 and base64url, RFC 4648.  Declared in str.h.
 */
#include <errno.h>

#include "base/str.h"

/* Value of a character in the alphabet whose last two are given, or -1. */
static int
value(char c, const char *last)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == last[0])
		return 62;
	return c == last[1] ? 63 : -1;
}

static int
decode(const char *s, size_t n, const char *last, uint8_t *out, size_t *outlen)
{
	size_t		need = n / 4 * 3 + n % 4 - (n % 4 > 0), i;
	uint32_t	bits = 0;
	unsigned	have = 0;	/* bits not written yet */
	int		v;

	if (n % 4 == 1)
		return -EINVAL;
	if (need > *outlen)
		return -ENOBUFS;
	for (i = 0; i < n; i++) {
		if ((v = value(s[i], last)) < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			*out++ = (uint8_t)(bits >> have);
		}
	}
	/* Left-over bits must be zero: one text per value (RFC 4648, 3.5). */
	if ((bits & ((1u << have) - 1)) != 0)
		return -EINVAL;
	*outlen = need;
	return 0;
}

int
base64url_decode(const char *s, size_t n, uint8_t *out, size_t *outlen)
{
	return decode(s, n, "-_", out, outlen);
}

int
base64_decode(const char *s, size_t n, bool loose, uint8_t *out,
    size_t *outlen)
{
	if (n % 4 != 0 && !loose)
		return -EINVAL;
	if (n > 0 && n % 4 == 0 && s[n - 1] == '=')
		n -= s[n - 2] == '=' ? 2 : 1;
	return decode(s, n, "+/", out, outlen);
}

size_t
base64_encode(const uint8_t *p, size_t n, char *out)
{
	static const char	digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t		bits = 0;
	unsigned		have = 0;
	size_t			i, len = 0;

	for (i = 0; i < n; i++) {
		bits = bits << 8 | p[i];
		for (have += 8; have >= 6; have -= 6)
			out[len++] = digits[bits >> (have - 6) & 63];
	}
	if (have > 0)
		out[len++] = digits[bits << (6 - have) & 63];
	out[len] = '\0';
	return len;
}
