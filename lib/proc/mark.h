/*
 * mark - whose a process is, by a limit that nobody enforces.
 *
 * RLIMIT_LOCKS has had no effect since Linux 2.4.25.  But it is inherited over
 * fork and exec like any other limit, whatever environment, session and parent
 * somebody leaves behind; once lowered, the hard limit is raised again by
 * nobody without CAP_SYS_RESOURCE; and /proc/PID/limits shows it without a
 * look into the memory of the process, which may hang who takes it.  So a
 * number of one's own, far above all that anybody would lock, is a mark.
 *
 * It is no proof against who lowers it further on purpose.
 * Source: getrlimit(2), proc(5).
 */
#ifndef PROC_MARK_H
#define PROC_MARK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A new one, by chance; 0: our own limit leaves no room for any. */
uint64_t mark_make(void);

/* The calling process bears it from now on, and all it starts.  0: nothing
 * happens.  Async-signal-safe.  0 or -errno. */
int	 mark_put(uint64_t mark);

/* Whether pid bears it.  root: as procfs.h.  False for 0. */
bool	 mark_is(const char *root, pid_t pid, uint64_t mark);

#endif
