/*
 * Go's notation for durations.  Declared in str.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define NS_US	INT64_C(1000)
#define NS_MS	(1000 * NS_US)
#define NS_S	(1000 * NS_MS)
#define NS_MIN	(60 * NS_S)
#define NS_HOUR	(60 * NS_MIN)

/* -2^63 ns has a notation although 2^63 does not fit. */
#define DURATION_LIMIT	(UINT64_C(1) << 63)

static const struct unit {
	const char	*name;
	uint64_t	 ns;
} units[] = {
	{ "ns",		1 },
	{ "us",		NS_US },
	{ "\xc2\xb5s",	NS_US },	/* U+00B5, micro sign */
	{ "\xce\xbcs",	NS_US },	/* U+03BC, Greek mu */
	{ "ms",		NS_MS },
	{ "s",		NS_S },
	{ "m",		NS_MIN },
	{ "h",		NS_HOUR },
};

static bool
digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A unit reaches up to the next number. */
static uint64_t
parse_unit(const char **s)
{
	size_t	n = 0, i;

	while ((*s)[n] != '\0' && (*s)[n] != '.' && !digit((*s)[n]))
		n++;
	for (i = 0; i < ARRAY_LEN(units); i++)
		if (strlen(units[i].name) == n &&
		    memcmp(units[i].name, *s, n) == 0) {
			*s += n;
			return units[i].ns;
		}
	return 0;
}

/*
 * Computed in double as Go does, so that both round alike; digits that no
 * longer fit are below a nanosecond and dropped.
 */
static uint64_t
fraction_ns(const char *s, uint64_t unit)
{
	uint64_t	f = 0;
	double		scale = 1;

	for (; digit(*s) && f < DURATION_LIMIT / 10 - 1; s++) {
		f = f * 10 + (uint64_t)(*s - '0');
		scale *= 10;
	}
	return (uint64_t)((double)f * ((double)unit / scale));
}

/* "1.5h" at *s: its nanoseconds are added to *sum. */
static int
parse_term(const char **s, uint64_t *sum)
{
	const char	*whole = *s, *frac = "";
	size_t		 nwhole, nfrac = 0;
	uint64_t	 unit, v = 0;

	nwhole = strspn(whole, "0123456789");
	*s += nwhole;
	if (**s == '.') {
		frac = *s + 1;
		nfrac = strspn(frac, "0123456789");
		*s = frac + nfrac;
	}
	if (nwhole + nfrac == 0 || (unit = parse_unit(s)) == 0)
		return -EINVAL;
	if (nwhole > 0 &&
	    mem_to_u64(whole, nwhole, DURATION_LIMIT / unit, &v) < 0)
		return -ERANGE;
	v = v * unit + fraction_ns(frac, unit);
	if (v > DURATION_LIMIT || *sum > DURATION_LIMIT - v)
		return -ERANGE;
	*sum += v;
	return 0;
}

int
str_to_duration(const char *s, int64_t *ns)
{
	uint64_t	sum = 0;
	bool		minus = *s == '-', range = false;
	int		r;

	if (*s == '-' || *s == '+')
		s++;
	if (strcmp(s, "0") == 0) {
		*ns = 0;
		return 0;
	}
	if (*s == '\0')
		return -EINVAL;
	while (*s != '\0') {
		r = parse_term(&s, &sum);
		if (r == -ERANGE)
			range = true;	/* text behind it may be worse */
		else if (r < 0)
			return r;
	}
	if (range || (sum == DURATION_LIMIT && !minus))
		return -ERANGE;
	if (sum == DURATION_LIMIT)
		*ns = INT64_MIN;
	else
		*ns = minus ? -(int64_t)sum : (int64_t)sum;
	return 0;
}

/* v/unit in decimal without trailing zeros; unit is at most a second. */
static void
format_decimal(char *out, size_t outlen, uint64_t v, uint64_t unit)
{
	uint64_t	nano = v % unit * ((uint64_t)NS_S / unit);
	char		frac[32];
	size_t		n;

	(void)snprintf(frac, sizeof frac, ".%09" PRIu64, nano);
	for (n = strlen(frac); frac[n - 1] == '0'; )
		n--;
	frac[n > 1 ? n : 0] = '\0';
	(void)snprintf(out, outlen, "%" PRIu64 "%s", v / unit, frac);
}

void
str_from_duration(int64_t ns, char *out, size_t outlen)
{
	const char	*minus = ns < 0 ? "-" : "", *name = "s";
	uint64_t	 v = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
	uint64_t	 unit = NS_S, minutes = v / NS_MIN;
	char		 sec[64];

	if (v > 0 && v < NS_S) {
		unit = v < NS_US ? 1 : v < NS_MS ? NS_US : NS_MS;
		name = v < NS_US ? "ns" : v < NS_MS ? "\xc2\xb5s" : "ms";
	}
	format_decimal(sec, sizeof sec, v % NS_MIN, unit);
	if (minutes >= 60)
		(void)snprintf(out, outlen, "%s%" PRIu64 "h%" PRIu64 "m%ss",
		    minus, minutes / 60, minutes % 60, sec);
	else if (minutes > 0)
		(void)snprintf(out, outlen, "%s%" PRIu64 "m%ss", minus,
		    minutes, sec);
	else
		(void)snprintf(out, outlen, "%s%s%s", minus, sec, name);
}
