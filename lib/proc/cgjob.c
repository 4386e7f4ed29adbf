/* See cgjob.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "proc/cgjob.h"
#include "proc/cgroup.h"
#include "proc/procfile.h"

#define PREFIX		"k8shell-job-"
#define PROBE		"probe"
#define TYPE_MAX	64
#define EVENTS_MAX	128
#define CLOSED		{ .procs = -1, .kill = -1, .events = -1 }
#define DEPTH_MAX	32		/* of groups that a job made itself */
#define OPEN_TRIES	3u
#define LOCK_TRIES	5u
#define LOCK_WAIT_NS	200000		/* a sweep has it for as long as a
					 * rmdir() takes */

static int
open_file(const char *path, const char *name, int how)
{
	char	file[CGJOB_PATH_MAX + 32];
	int	fd, r;

	if ((r = str_format(file, sizeof file, "%s/%s", path, name)) < 0)
		return r;
	fd = open(file, how | O_CLOEXEC);
	return fd >= 0 ? fd : -errno;
}

static int
open_control(const char *path, const char *name)
{
	return open_file(path, name, O_WRONLY);
}

/* A threaded group takes no cgroup.kill, an invalid one no process. */
static int
check_type(const char *path)
{
	char	file[CGJOB_PATH_MAX + 32], type[TYPE_MAX];
	int	r;

	r = str_format(file, sizeof file, "%s/cgroup.type", path);
	if (r < 0)
		return r;
	if ((r = procfile_read(file, type, sizeof type)) < 0)
		return r == -ENOENT ? -ENOSYS : r;
	return strcmp(type, "domain\n") == 0 ? 0 : -EOPNOTSUPP;
}

/* Against cgjob_sweep(), which may be looking at it right now. */
static void
lock(int procs)
{
	static const struct timespec	wait = { .tv_nsec = LOCK_WAIT_NS };
	unsigned			n;

	for (n = 0; n < LOCK_TRIES && flock(procs, LOCK_EX | LOCK_NB) == -1;
	    n++)
		nanosleep(&wait, NULL);
}

static bool
is_there(const struct cgjob *g)
{
	return access(g->path, F_OK) == 0;
}

static int
open_controls(struct cgjob *g)
{
	int	r;

	if ((r = check_type(g->path)) < 0)
		return r;
	if ((g->kill = open_control(g->path, "cgroup.kill")) < 0)
		return g->kill == -ENOENT ? -ENOSYS : g->kill;
	if ((g->procs = open_control(g->path, "cgroup.procs")) < 0)
		return g->procs;
	if ((g->events = open_file(g->path, "cgroup.events", O_RDONLY)) < 0)
		return g->events;
	lock(g->procs);
	return is_there(g) ? 0 : -ENOENT;
}

static int
make(struct cgjob *g, const char *home, const char *id)
{
	int	r;

	*g = (struct cgjob)CLOSED;
	r = str_format(g->path, sizeof g->path, "%s/" PREFIX "%s", home, id);
	if (r < 0)
		return r;
	if (mkdir(g->path, 0755) == -1 && (errno != EEXIST ||
	    rmdir(g->path) == -1 || mkdir(g->path, 0755) == -1)) {
		r = -errno;
		g->path[0] = '\0';
		return r;
	}
	return 0;
}

/* Until it is locked, another daemon's sweep may take it away. */
int
cgjob_open(struct cgjob *g, const char *home, const char *id)
{
	unsigned	n;
	bool		gone = true;
	int		r = -ENOENT;

	for (n = 0; n < OPEN_TRIES && gone; n++) {
		if ((r = make(g, home, id)) < 0 || (r = open_controls(g)) == 0)
			return r;
		gone = !is_there(g);
		cgjob_close(g);
	}
	return r;
}

int
cgjob_probe(const char *root, char *home, size_t len)
{
	char		procs[CGJOB_PATH_MAX + 32];
	struct cgjob	g;
	int		r;

	if ((r = cgroup_own(root, home, len)) < 0)
		return r;
	/* To move a process both ends' lists have to be ours. */
	r = str_format(procs, sizeof procs, "%s/cgroup.procs", home);
	if (r < 0)
		return r;
	if (access(procs, W_OK) == -1)
		return -errno;
	if ((r = cgjob_open(&g, home, PROBE)) < 0)
		return r;
	return cgjob_close(&g);
}

int
cgjob_join(int procs)
{
	ssize_t	n;

	do
		n = write(procs, "0", 1);
	while (n == -1 && errno == EINTR);
	return n == 1 ? 0 : -errno;
}

void
cgjob_kill(int kill)
{
	while (pwrite(kill, "1", 1, 0) == -1 && errno == EINTR)
		continue;
}

bool
cgjob_lives(int events)
{
	char	text[EVENTS_MAX];
	ssize_t	n;

	while ((n = pread(events, text, sizeof text - 1, 0)) == -1 &&
	    errno == EINTR)
		continue;
	if (n <= 0)
		return false;
	text[n] = '\0';
	return strstr(text, "populated 1\n") != NULL;
}

/* The groups below path; its files are the kernel's and go with it. */
static void
remove_below(const char *path, unsigned depth)
{
	char		 below[CGJOB_PATH_MAX];
	struct dirent	*e;
	DIR		*d;

	if (depth == 0 || (d = opendir(path)) == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if (e->d_type != DT_DIR || strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0 ||
		    path_join(below, sizeof below, path, e->d_name) < 0)
			continue;
		remove_below(below, depth - 1);
		rmdir(below);
	}
	closedir(d);
}

/* Or nobody can tell. */
static bool
is_lived_in(const char *path)
{
	int	fd = open_file(path, "cgroup.events", O_RDONLY);
	bool	lives;

	if (fd < 0)
		return fd != -ENOENT;
	lives = cgjob_lives(fd);
	close(fd);
	return lives;
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int
cgjob_close(struct cgjob *g)
{
	if (g->path[0] == '\0')
		return 0;
	close_fd(&g->kill);
	close_fd(&g->procs);
	close_fd(&g->events);
	if (rmdir(g->path) == -1) {
		if (is_lived_in(g->path))
			return -EBUSY;
		remove_below(g->path, DEPTH_MAX);
		if (rmdir(g->path) == -1 && errno != ENOENT)
			return -errno;
	}
	g->path[0] = '\0';
	return 0;
}

/*
 * The lock of who has it open, held while it is removed: who is just making it
 * finds out by his own.
 */
static void
sweep_one(const char *path)
{
	struct cgjob	g = CLOSED;
	int		fd = open_control(path, "cgroup.procs");

	if (fd < 0 && fd != -ENOENT)
		return;
	if ((fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0) &&
	    str_format(g.path, sizeof g.path, "%s", path) >= 0)
		(void)cgjob_close(&g);
	close_fd(&fd);
}

void
cgjob_sweep(const char *root)
{
	char		 home[CGJOB_PATH_MAX], path[CGJOB_PATH_MAX];
	struct dirent	*e;
	DIR		*d;

	if (cgroup_own(root, home, sizeof home) < 0 ||
	    (d = opendir(home)) == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		if (str_prefix(e->d_name, PREFIX) &&
		    strcmp(e->d_name, PREFIX PROBE) != 0 &&
		    path_join(path, sizeof path, home, e->d_name) >= 0)
			sweep_one(path);
	closedir(d);
}
