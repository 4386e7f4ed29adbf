/*
 * sysinfo - what this workspace uses: the control group's numbers, or the
 * machine's where no control group tells; and when it was started.
 *
 * Only reads files; who calls it how often is the monitor's business.
 * Source: spec/grpc.md 6, proc(5).
 */
#ifndef PROC_SYSINFO_H
#define PROC_SYSINFO_H

#include <stddef.h>
#include <stdint.h>

struct cgroup_usage;

/* root: "" or the top of a fixture tree. */
void	 sysinfo_read(const char *root, struct cgroup_usage *u);

/*
 * Wall clock, in seconds, at which process 1 started (ourselves if we may not
 * look at it); now_ms: the wall clock now.  0 or -errno.
 */
int	 sysinfo_started(const char *root, int64_t now_ms, int64_t *seconds);

/* -- the parsers, for tests; text is terminated ---------------------------- */

/* Field 22 of /proc/PID/stat, in ticks; the name before may hold anything. */
int	 sysinfo_start_ticks(const char *text, uint64_t *ticks);
/* "123.45 ..." in milliseconds. */
int	 sysinfo_uptime(const char *text, uint64_t *ms);
/* First line of /proc/stat: ticks not idle. */
int	 sysinfo_busy_ticks(const char *text, uint64_t *ticks);
/* "MemTotal:  123 kB" in bytes. */
int	 sysinfo_meminfo(const char *text, const char *key, uint64_t *bytes);

#endif
