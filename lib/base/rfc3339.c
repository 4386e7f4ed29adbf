#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/rfc3339.h"

#define DAY_S		86400
#define NS_PER_S	INT64_C(1000000000)
#define YEAR_MAX	2199

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void
put_digits(char *out, int v, int n)
{
	for (; n > 0; v /= 10)
		out[--n] = (char)('0' + v % 10);
}

/* By hand: a list has two of them in each row. */
void
rfc3339_format(int64_t seconds, char out[RFC3339_LEN])
{
	time_t		 t = (time_t)seconds;
	struct tm	 tm;

	out[0] = '\0';
	if (gmtime_r(&t, &tm) == NULL || tm.tm_year < -1900 ||
	    tm.tm_year > 9999 - 1900)
		return;
	put_digits(out, tm.tm_year + 1900, 4);
	put_digits(out + 5, tm.tm_mon + 1, 2);
	put_digits(out + 8, tm.tm_mday, 2);
	put_digits(out + 11, tm.tm_hour, 2);
	put_digits(out + 14, tm.tm_min, 2);
	put_digits(out + 17, tm.tm_sec, 2);
	out[4] = out[7] = '-';
	out[10] = 'T';
	out[13] = out[16] = ':';
	out[19] = 'Z';
	out[20] = '\0';
}

/* n digits and perhaps the character behind them; advances *s. */
static bool
number(const char **s, int n, char behind, int *v)
{
	int	i;

	for (*v = 0, i = 0; i < n; i++) {
		if (!is_digit((*s)[i]))
			return false;
		*v = *v * 10 + ((*s)[i] - '0');
	}
	*s += n;
	if (behind == '\0')
		return true;
	return *(*s)++ == behind;
}

static int
month_days(int year, int month)
{
	static const int	days[] = {
		31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
	};
	bool			leap = year % 4 == 0 &&
	    (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01. */
static int64_t
day_number(int year, int month, int day)
{
	int64_t	y = year - 1, days;
	int	m;

	days = y * 365 + y / 4 - y / 100 + y / 400 - 719162;
	for (m = 1; m < month; m++)
		days += month_days(year, m);
	return days + day - 1;
}

static bool
date(const char **s, int64_t *days)
{
	int	y, m, d;

	if (!number(s, 4, '-', &y) || !number(s, 2, '-', &m) ||
	    !number(s, 2, '\0', &d))
		return false;
	if (y < 1970 || y > YEAR_MAX || m < 1 || m > 12 || d < 1 ||
	    d > month_days(y, m))
		return false;
	*days = day_number(y, m, d);
	return true;
}

static bool
clock_time(const char **s, int64_t *ns)
{
	int64_t	unit = NS_PER_S;
	int	h, m, sec;

	if (!number(s, 2, ':', &h) || !number(s, 2, ':', &m) ||
	    !number(s, 2, '\0', &sec) || h > 23 || m > 59 || sec > 60)
		return false;
	*ns = ((int64_t)h * 3600 + m * 60 + sec) * NS_PER_S;
	if (**s != '.')
		return true;
	if (!is_digit(*++*s))
		return false;
	for (; is_digit(**s); ++*s) {
		unit /= 10;
		*ns += (**s - '0') * unit;
	}
	return true;
}

/* "Z", "+01:00"; what is to be subtracted. */
static bool
offset(const char **s, int64_t *seconds)
{
	char	sign = *(*s)++;
	int	h, m;

	*seconds = 0;
	if (sign == 'Z' || sign == 'z')
		return true;
	if ((sign != '+' && sign != '-') || !number(s, 2, ':', &h) ||
	    !number(s, 2, '\0', &m) || h > 23 || m > 59)
		return false;
	*seconds = (sign == '-' ? -1 : 1) * (h * 3600 + m * 60);
	return true;
}

int
rfc3339_parse(const char *s, int64_t *ns)
{
	int64_t	days, time_ns, zone;

	if (!date(&s, &days) || (*s != 'T' && *s != 't'))
		return -EINVAL;
	s++;
	if (!clock_time(&s, &time_ns) || *s == '\0' || !offset(&s, &zone) ||
	    *s != '\0')
		return -EINVAL;
	*ns = (days * DAY_S - zone) * NS_PER_S + time_ns;
	return 0;
}
