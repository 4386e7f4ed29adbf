/*
 * uptime: how long process 1 has been there, as uptime(1) says it, and on
 * standard output.
 */
#include <string.h>

#include "applets/kbox_value.h"
#include "base/str.h"

#define NS	INT64_C(1000000000)

static char *
pretty(struct kbox *k, int64_t seconds)
{
	static const struct {
		const char	*name;
		int64_t		 seconds;
	} units[] = {
		{ "day", 86400 }, { "hour", 3600 }, { "minute", 60 },
		{ "second", 1 },
	};
	char	*text = kbox_printf(k, "%s", "");
	int64_t	 n;
	size_t	 i;

	for (i = 0; i < ARRAY_LEN(units); i++) {
		n = seconds / units[i].seconds;
		seconds %= units[i].seconds;
		if (n > 0 || units[i].seconds == 1)
			text = kbox_printf(k, "%s%s%lld %s%s", text,
			    text[0] != '\0' ? ", " : "", (long long)n,
			    units[i].name, n == 1 ? "" : "s");
	}
	return text;
}

static void
classic(struct kbox *k, const struct value *sys, int64_t s)
{
	long long	days = s / 86400, hours = s / 3600 % 24;
	long long	users = (long long)value_count(sys, "users");

	printf("%s up ", kbox_time(k, kbox_now(), "%H:%M:%S"));
	if (days > 0)
		printf("%lld day%s, ", days, days == 1 ? "" : "s");
	printf("%*lld:%02lld, %lld user%s, load average: %.2f, %.2f, "
	    "%.2f\n", days > 0 ? 2 : 1, hours, (long long)s / 60 % 60, users,
	    users == 1 ? "" : "s", value_number(sys, "cpuAvg1min", 0),
	    value_number(sys, "cpuAvg5min", 0),
	    value_number(sys, "cpuAvg15min", 0));
}

int
kbox_uptime(struct kbox *k)
{
	struct kbox_answer	 a;
	const struct value	*v, *sys;
	int64_t			 start, up;
	int			 r;

	if ((r = kbox_get(k, KBOX_API "/sysinfo", NULL, &a)) != KBOX_OK)
		return r;
	if (k->values[OPT_JSON] != NULL)
		return value_print_answer(k, &a);
	if ((v = value_parse(k, &a)) == NULL)
		return KBOX_FAILED;
	sys = value_get(v, "system");
	if (!value_time(sys, "uptime", &start))
		return kbox_fail(k, KBOX_FAILED,
		    "the daemon does not say when it started");
	up = (kbox_now() - start) / NS;
	if (up < 0)
		up = 0;
	if (k->values[OPT_PRETTY] != NULL)
		puts(pretty(k, up));
	else if (k->values[OPT_SINCE] != NULL)
		puts(kbox_time(k, start, "%Y-%m-%d %H:%M:%S"));
	else
		classic(k, sys, up);
	return KBOX_OK;
}
