/*
 * UTF-8 by RFC 3629.  Declared in str.h.
 */
#include <string.h>

#include "base/str.h"

/*
 * What may follow a lead byte: how many bytes, and the range of the first of
 * them, which is where overlong forms and surrogates are excluded (RFC 3629
 * section 4).
 */
static const struct lead {
	uint8_t	from, to, more, min, max;
} leads[] = {
	{ 0xc2, 0xdf, 1, 0x80, 0xbf },
	{ 0xe0, 0xe0, 2, 0xa0, 0xbf },
	{ 0xe1, 0xec, 2, 0x80, 0xbf },
	{ 0xed, 0xed, 2, 0x80, 0x9f },
	{ 0xee, 0xef, 2, 0x80, 0xbf },
	{ 0xf0, 0xf0, 3, 0x90, 0xbf },
	{ 0xf1, 0xf3, 3, 0x80, 0xbf },
	{ 0xf4, 0xf4, 3, 0x80, 0x8f },
};

static const struct lead *
lead_find(uint8_t c)
{
	size_t	i;

	for (i = 0; i < ARRAY_LEN(leads); i++)
		if (c >= leads[i].from && c <= leads[i].to)
			return &leads[i];
	return NULL;
}

/*
 * Length of the sequence at p, n > 0.  An ill-formed one ends before the
 * first byte that cannot belong to it, and *ok is false.
 */
static size_t
sequence(const uint8_t *p, size_t n, uint32_t *cp, bool *ok)
{
	const struct lead	*l;
	size_t			 i;

	*cp = p[0];
	*ok = p[0] < 0x80;
	if (*ok || (l = lead_find(p[0])) == NULL)
		return 1;
	*cp = p[0] & (0x3fu >> l->more);
	for (i = 1; i <= l->more; i++) {
		uint8_t	min = i == 1 ? l->min : 0x80;
		uint8_t	max = i == 1 ? l->max : 0xbf;

		if (i == n || p[i] < min || p[i] > max)
			return i;
		*cp = *cp << 6 | (p[i] & 0x3f);
	}
	*ok = true;
	return i;
}

size_t
utf8_next(const void *p, size_t n, uint32_t *cp)
{
	uint32_t	u;
	size_t		len;
	bool		ok;

	if (n == 0)
		return 0;
	len = sequence(p, n, &u, &ok);
	if (!ok)
		return 0;
	*cp = u;
	return len;
}

/* Bytes of the ASCII run at p, in steps of eight. */
static size_t
ascii_run(const uint8_t *p, size_t n)
{
	uint64_t	w;
	size_t		i;

	for (i = 0; n - i >= sizeof w; i += sizeof w) {
		memcpy(&w, p + i, sizeof w);
		if ((w & UINT64_C(0x8080808080808080)) != 0)
			break;
	}
	return i;
}

bool
utf8_valid(const void *text, size_t n)
{
	const uint8_t	*p = text;
	uint32_t	 cp;
	size_t		 i = 0;
	bool		 ok;

	while (i < n) {
		if (p[i] < 0x80 && n - i >= 8)
			i += ascii_run(p + i, n - i);
		if (i == n)
			break;
		i += sequence(p + i, n - i, &cp, &ok);
		if (!ok)
			return false;
	}
	return true;
}

size_t
utf8_repair(const void *text, size_t n, char *out, size_t outlen)
{
	const uint8_t	*p = text;
	const void	*from;
	uint32_t	 cp;
	size_t		 i, len = 0, take, put;
	bool		 ok;

	if (outlen == 0)
		return 0;
	for (i = 0; i < n; i += take) {
		take = sequence(p + i, n - i, &cp, &ok);
		from = ok ? (const void *)(p + i) : "\xef\xbf\xbd";
		put = ok ? take : 3;
		if (put > outlen - 1 - len)
			break;
		memcpy(out + len, from, put);
		len += put;
	}
	out[len] = '\0';
	return len;
}

size_t
utf8_put(uint32_t cp, char *out)
{
	size_t	more = cp < 0x80 ? 0 : cp < 0x800 ? 1 : cp < 0x10000 ? 2 : 3;
	size_t	i;

	for (i = more; i > 0; i--, cp >>= 6)
		out[i] = (char)(0x80 | (cp & 0x3f));
	out[0] = (char)(more == 0 ? cp : (0xf0u << (3 - more) & 0xff) | cp);
	return more + 1;
}
