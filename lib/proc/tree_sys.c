/* See tree_impl.h. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc/tree_impl.h"

static int
kernel_open(void *arg, pid_t pid)
{
	long	fd = syscall(SYS_pidfd_open, pid, 0);

	(void)arg;
	return fd >= 0 ? (int)fd : -errno;
}

static int
kernel_send(void *arg, int pidfd, int signo, unsigned flags)
{
	(void)arg;
	return syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, flags) == 0 ?
	    0 : -errno;
}

static int
kernel_kill(void *arg, pid_t pid, int signo)
{
	(void)arg;
	return kill(pid, signo) == 0 ? 0 : -errno;
}

static int
kernel_stat(void *arg, const char *root, pid_t pid, struct procfs_stat *out)
{
	(void)arg;
	return procfs_stat(root, pid, out);
}

static void
kernel_step(void *arg, enum tree_step step, pid_t pid)
{
	(void)arg;
	(void)step;
	(void)pid;
}

const struct tree_sys tree_kernel = {
	"", kernel_open, kernel_send, kernel_kill, kernel_stat, kernel_step,
	NULL, 10000
};

uint64_t
tree_pidfd_number(int fd)
{
	struct stat	st;

	return fd >= 0 && fstat(fd, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

bool
tree_pidfd_ended(int fd)
{
	struct pollfd	p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}
