/* See mark.h. */
#include <errno.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "proc/mark.h"
#include "proc/procfs.h"

#define TOP	(UINT64_C(1) << 62)	/* a signed number, too */
#define ROOM	(UINT64_C(1) << 32)	/* to choose from, at least */

/* In the upper half of what we may set: a daemon below us has room, too. */
uint64_t
mark_make(void)
{
	struct rlimit	rl;
	uint64_t	top = TOP, r;

	if (getrlimit(RLIMIT_LOCKS, &rl) == -1 ||
	    getrandom(&r, sizeof r, 0) != (ssize_t)sizeof r)
		return 0;
	if (rl.rlim_max < top)
		top = rl.rlim_max;
	return top / 2 < ROOM ? 0 : top / 2 + r % (top / 2);
}

int
mark_put(uint64_t mark)
{
	struct rlimit	rl = { .rlim_cur = mark, .rlim_max = mark };

	if (mark == 0)
		return 0;
	return setrlimit(RLIMIT_LOCKS, &rl) == 0 ? 0 : -errno;
}

bool
mark_is(const char *root, pid_t pid, uint64_t mark)
{
	uint64_t	v;

	return mark != 0 && procfs_hard_limit(root, pid, "Max file locks",
	    &v) == 0 && v == mark;
}
