/*
 * cgroup - what our control group uses and may use, v1 and v2.
 *
 * Each controller is looked up by itself in /proc/self/cgroup, so hybrid
 * set-ups work.  Limits are the tightest of our group and those above it that
 * we can see.  A path that is not there (a container without a cgroup
 * namespace) or leads out of the namespace means the root of the mount.
 * Source: the kernel's cgroup-v2.rst and cgroup-v1/; spec/grpc.md 6.
 */
#ifndef PROC_CGROUP_H
#define PROC_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_NO_LIMIT	UINT64_MAX

struct cgroup_usage {
	bool	 has_cpu, has_memory;
	uint64_t cpu_us;		/* used so far */
	double	 cpu_limit;		/* millicores, -1: none */
	uint64_t memory;		/* bytes, page cache included */
	uint64_t memory_limit;		/* or CGROUP_NO_LIMIT */
};

/* root: "" or the top of a fixture tree.  What can't be read is absent. */
void	 cgroup_read(const char *root, struct cgroup_usage *u);

/*
 * Processes the kernel killed for want of memory, in our group and below it,
 * since it was made.  0, or -ENOENT where nobody counts.
 */
int	 cgroup_oom_kills(const char *root, uint64_t *n);

/*
 * The folder of our own group of v2, also where v1 is mounted besides.  0,
 * -ENOENT if there is none, or -ENAMETOOLONG.
 */
int	 cgroup_own(const char *root, char *path, size_t len);

/* -- the parsers, for tests; text is terminated ---------------------------- */

/*
 * The line of /proc/self/cgroup that has controller ("": the one of v2).
 * list: as it stands there.  0, -ENOENT, or -ENAMETOOLONG.
 */
int	 cgroup_find(const char *text, const char *controller, char *list,
	    char *path, size_t len);
/* The number in the line "key 123" of such a text; 0 or -EINVAL. */
int	 cgroup_line(const char *text, const char *key, uint64_t *v);
/* "max 100000", "50000 100000"; millicores or -1.  0 or -EINVAL. */
int	 cgroup_cpu_max(const char *text, double *millicores);

#endif
