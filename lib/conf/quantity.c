#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/str.h"
#include "conf/quantity.h"

#define EXPONENT_MAX	64	/* beyond any 64-bit number */

__extension__ typedef unsigned __int128 wide;

/* digits * 10^exp10 * 2^exp2 */
struct decimal {
	uint64_t digits;
	int	 exp10, exp2;
	bool	 rest;		/* and a little more */
};

static const struct {
	const char	*suffix;
	int		 exp10, exp2;
} suffixes[] = {
	{ "", 0, 0 }, { "n", -9, 0 }, { "u", -6, 0 }, { "m", -3, 0 },
	{ "k", 3, 0 }, { "M", 6, 0 }, { "G", 9, 0 }, { "T", 12, 0 },
	{ "P", 15, 0 }, { "E", 18, 0 }, { "Ki", 0, 10 }, { "Mi", 0, 20 },
	{ "Gi", 0, 30 }, { "Ti", 0, 40 }, { "Pi", 0, 50 }, { "Ei", 0, 60 },
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Takes a digit where it still matters; true if it was taken. */
static bool
digit(struct decimal *d, char c)
{
	if (d->digits > (UINT64_MAX - 9) / 10) {
		d->rest = d->rest || c != '0';
		return false;
	}
	d->digits = d->digits * 10 + (uint64_t)(c - '0');
	return true;
}

/* Digits with at most one dot; returns what follows, or NULL if none. */
static const char *
number(const char *s, struct decimal *d)
{
	bool	any = false;

	for (; is_digit(*s); s++, any = true)
		d->exp10 += !digit(d, *s);
	if (*s == '.')
		for (s++; is_digit(*s); s++, any = true)
			d->exp10 -= digit(d, *s);
	return any ? s : NULL;
}

/* "e3", "E-6"; a lone "E" is a suffix. */
static bool
exponent(const char *s, struct decimal *d)
{
	bool		minus = s[1] == '-';
	uint32_t	v;

	s += 1 + (s[1] == '-' || s[1] == '+');
	if (!is_digit(*s) || strlen(s) > 9 || str_to_u32(s, UINT32_MAX, &v) < 0)
		return false;
	if (v > EXPONENT_MAX)
		v = EXPONENT_MAX;
	d->exp10 += minus ? -(int)v : (int)v;
	return true;
}

static bool
suffix(const char *s, struct decimal *d)
{
	size_t	i;

	if ((*s == 'e' || *s == 'E') && s[1] != '\0' && s[1] != 'i')
		return exponent(s, d);
	for (i = 0; i < ARRAY_LEN(suffixes); i++)
		if (strcmp(s, suffixes[i].suffix) == 0) {
			d->exp10 += suffixes[i].exp10;
			d->exp2 = suffixes[i].exp2;
			return true;
		}
	return false;
}

static uint64_t
round_up(const struct decimal *d)
{
	wide	v = (wide)d->digits << d->exp2;		/* below 2^124 */
	bool	rest = d->rest;
	int	e;

	for (e = d->exp10; e > 0 && v <= UINT64_MAX; e--)
		v *= 10;
	for (; e < 0; e++) {
		rest = rest || v % 10 != 0;
		v /= 10;
	}
	v += rest;
	return v > UINT64_MAX ? UINT64_MAX : (uint64_t)v;
}

int
quantity_parse(const char *s, uint64_t *v)
{
	struct decimal	d = { 0 };
	bool		minus = *s == '-';

	if (*s == '-' || *s == '+')
		s++;
	if ((s = number(s, &d)) == NULL || !suffix(s, &d))
		return -EINVAL;
	*v = minus ? 0 : round_up(&d);
	return 0;
}
