#include "applets/kssh_listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

#define LISTENING	0x0au		/* TCP_LISTEN */
#define UID_UNKNOWN	65534u		/* of a user that has no name here */
#define LINE_LEN_MAX	1024

/* Columns, divided by blanks; the queues and timers are one each. */
enum { NUMBER, LOCAL, REMOTE, STATE, QUEUES, TIMER, RETRIES, OWNER, COLUMNS };

static int
split(char *line, char *column[COLUMNS])
{
	char	*save = NULL, *p = strtok_r(line, " \n", &save);
	int	 n;

	for (n = 0; n < COLUMNS && p != NULL; n++) {
		column[n] = p;
		p = strtok_r(NULL, " \n", &save);
	}
	return n;
}

static bool
number(const char *s, int base, unsigned *v)
{
	char		*end;
	unsigned long	 n;

	errno = 0;
	n = strtoul(s, &end, base);
	*v = (unsigned)n;
	return errno == 0 && end != s && *end == '\0' && n <= UINT32_MAX;
}

int
kssh_listener_line(const char *line, uint16_t port, uid_t uid)
{
	char		 copy[LINE_LEN_MAX], *column[COLUMNS], *colon;
	unsigned	 p, state, owner;

	if (str_format(copy, sizeof copy, "%s", line) < 0)
		return -1;
	if (split(copy, column) < COLUMNS)
		return -1;
	if (strcmp(column[LOCAL], "local_address") == 0)
		return 0;
	colon = strchr(column[LOCAL], ':');
	if (colon == NULL || !number(colon + 1, 16, &p) ||
	    !number(column[STATE], 16, &state) ||
	    !number(column[OWNER], 10, &owner))
		return -1;
	if (p != port || state != LISTENING)
		return 0;
	return owner == uid && owner != UID_UNKNOWN ? 1 : -1;
}

/* A listener of no particular address takes what comes to each: so all count,
 * whatever they are bound to.  How many, or -1. */
static int
count(const char *path, uint16_t port, uid_t uid)
{
	char	 line[LINE_LEN_MAX];
	FILE	*f = fopen(path, "re");
	int	 r = 0, n = 0;

	if (f == NULL)
		return errno == ENOENT ? 0 : -1;	/* no IPv6 */
	while (r >= 0 && fgets(line, sizeof line, f) != NULL)
		n += r = kssh_listener_line(line, port, uid);
	if (r < 0 || ferror(f) != 0)
		n = -1;
	fclose(f);
	return n;
}

bool
kssh_listener_ours(const char *address, uint16_t port)
{
	uid_t	uid = geteuid();
	int	v4, v6;

	if (!str_prefix(address, "127.") && strcmp(address, "::1") != 0)
		return false;
	v4 = count("/proc/net/tcp", port, uid);
	v6 = count("/proc/net/tcp6", port, uid);
	return v4 >= 0 && v6 >= 0 && v4 + v6 > 0;
}
