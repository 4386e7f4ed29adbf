/*
 * procfs - what /proc says about one process, and who its children are.
 *
 * Every function takes root, "" or the top of a fixture tree.  A process that
 * vanishes while it is looked at is -ESRCH, never another error (T5).  Only
 * for /proc itself: nothing here touches a file in a user's hands.
 * Source: proc(5); spec/process-tree.md 1.1, T1..T5.
 */
#ifndef PROC_PROCFS_H
#define PROC_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCFS_NAME_MAX	16		/* TASK_COMM_LEN, terminated */

struct procfs_stat {
	pid_t	 pid, ppid, pgid, sid;
	char	 state;			/* 'R', 'S', 'D', 'T', 'Z', ... */
	bool	 exiting;		/* field 9: on its way out, whatever
					 * the state says */
	unsigned threads;		/* field 20 */
	uint64_t start;			/* field 22, as procfs_ticks() */
	char	 name[PROCFS_NAME_MAX];
};

/* Of times in /proc: per second, and now, since boot. */
uint64_t procfs_hz(void);
uint64_t procfs_ticks(void);

/* From the last ')' on: a name may hold anything (T3).  0 or -EINVAL. */
int	 procfs_parse_stat(const char *text, size_t n,
	    struct procfs_stat *out);

/* 0, -ESRCH, or -errno. */
int	 procfs_stat(const char *root, pid_t pid, struct procfs_stat *out);

/*
 * Gone, or as good as gone: Z, X, x (K8).  Not so while other threads live on
 * after the first one has ended: it is shown as Z then, too.
 */
bool	 procfs_dead(const struct procfs_stat *s);

typedef bool procfs_pid_fn(void *arg, pid_t pid);	/* false stops */

/*
 * Children of every thread of pid (T1).  A hint: one may be missing that was
 * there, if another one left meanwhile (T4).  0, -ESRCH, -ENOSYS (a kernel
 * without the file: read everybody, T2), or -errno.
 */
int	 procfs_children(const char *root, pid_t pid, procfs_pid_fn *fn,
	    void *arg);

/* The same of one thread: enough where there is only one. */
int	 procfs_thread_children(const char *root, pid_t pid, pid_t tid,
	    procfs_pid_fn *fn, void *arg);

/* Every process.  0 or -errno. */
int	 procfs_each(const char *root, procfs_pid_fn *fn, void *arg);

/* SIGHUP ignored: nohup(1).  1, 0, or -errno. */
int	 procfs_ignores(const char *root, pid_t pid, int signo);

/*
 * Whether it is in a PID namespace below the one of root's /proc, as a process
 * of a container is.  1, 0 (also on kernels that don't tell), or -errno.
 */
int	 procfs_is_nested(const char *root, pid_t pid);

/*
 * Arguments with blanks between, terminated, cut to what fits; "" of a zombie.
 * 0, -ESRCH, or -errno.
 */
int	 procfs_cmdline(const char *root, pid_t pid, char *out,
	    size_t outlen);

/*
 * A hard limit by its name in /proc/PID/limits ("Max file locks"); UINT64_MAX:
 * unlimited.  Touches no memory of the process.  0, -EINVAL (no such limit),
 * -ESRCH, or -errno.
 */
int	 procfs_hard_limit(const char *root, pid_t pid, const char *name,
	    uint64_t *out);

/*
 * Value of a variable in the environment it was executed with, terminated.
 * 1, 0 if it has none, -ENAMETOOLONG, -EACCES (not ours to look at), -ESRCH.
 */
int	 procfs_environ(const char *root, pid_t pid, const char *name,
	    char *out, size_t outlen);

#endif
