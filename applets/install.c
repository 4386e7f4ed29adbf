/*
 * install - puts the binary and its names into a folder.
 *
 * One copy, complete and synced before it gets its name, then hard links.
 * Every name changes by rename, so a running k8shelld may be replaced, and
 * whoever looks sees the old file or the new one, never a part of it.
 */
#include <sys/file.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "applets/applet.h"
#include "base/version.h"

#define COPY_BUF_MAX	65536
#define EXE_NAME	"k8shell"
#define EXE_MODE	0755

/* One fixed name: the next run takes away what a killed one left. */
#define TEMP_NAME	".k8shell.new"

struct target {
	const char	*path;		/* borrowed, for messages */
	int		 fd;		/* the folder */
};

static int
complain(const char *what, const char *dir, const char *name, int err)
{
	fprintf(stderr, "install: cannot %s %s%s%s: %s\n", what, dir,
	    name != NULL ? "/" : "", name != NULL ? name : "", strerror(err));
	return -err;
}

static int
copy_bytes(int from, int to)
{
	char	 buf[COPY_BUF_MAX];
	ssize_t	 n, done, w;

	while ((n = read(from, buf, sizeof buf)) != 0) {
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		for (done = 0; done < n; done += w) {
			w = write(to, buf + done, (size_t)(n - done));
			if (w < 0 && errno != EINTR)
				return -errno;
			if (w < 0)
				w = 0;
		}
	}
	return 0;
}

/* Fills the temporary file.  Nothing of it is left after a failure. */
static int
write_temp(const struct target *t, int from)
{
	int	fd, r;

	if (unlinkat(t->fd, TEMP_NAME, 0) == -1 && errno != ENOENT)
		return -errno;
	fd = openat(t->fd, TEMP_NAME,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return -errno;
	r = copy_bytes(from, fd);
	if (r == 0 && (fchmod(fd, EXE_MODE) == -1 || fsync(fd) == -1))
		r = -errno;
	if (close(fd) == -1 && r == 0)
		r = -errno;
	if (r < 0)
		unlinkat(t->fd, TEMP_NAME, 0);
	return r;
}

static int
install_copy(const struct target *t, const char *source)
{
	struct stat	st;
	int		from, r = 0;

	if ((from = open(source, O_RDONLY | O_CLOEXEC)) == -1)
		return complain("open", source, NULL, errno);
	if (fstat(from, &st) == -1)
		r = complain("read", source, NULL, errno);
	else if (!S_ISREG(st.st_mode) || st.st_size == 0)
		r = complain("install", source, NULL, EINVAL);
	else if ((r = write_temp(t, from)) < 0)
		r = complain("write", t->path, EXE_NAME, -r);
	else if (renameat(t->fd, TEMP_NAME, t->fd, EXE_NAME) == -1) {
		r = complain("replace", t->path, EXE_NAME, errno);
		unlinkat(t->fd, TEMP_NAME, 0);
	}
	close(from);
	return r;
}

/* File systems without hard links get a relative symbolic one. */
static int
link_or_symlink(const struct target *t)
{
	if (unlinkat(t->fd, TEMP_NAME, 0) == -1 && errno != ENOENT)
		return -errno;
	if (linkat(t->fd, EXE_NAME, t->fd, TEMP_NAME, 0) == 0)
		return 0;
	if (errno != EPERM && errno != EOPNOTSUPP && errno != EMLINK &&
	    errno != ENOSYS && errno != EXDEV)
		return -errno;
	return symlinkat(EXE_NAME, t->fd, TEMP_NAME) == 0 ? 0 : -errno;
}

static int
install_name(const struct target *t, const char *name)
{
	int	r;

	if ((r = link_or_symlink(t)) == 0 &&
	    renameat(t->fd, TEMP_NAME, t->fd, name) == -1)
		r = -errno;
	/* Between links to one file, rename does nothing and leaves both. */
	unlinkat(t->fd, TEMP_NAME, 0);
	return r < 0 ? complain("create", t->path, name, -r) : 0;
}

static int
install_into(const struct target *t, const char *source)
{
	const struct applet	*a;
	size_t			 i;
	int			 r;

	/* One at a time, where the file system knows locks. */
	flock(t->fd, LOCK_EX);
	if ((r = install_copy(t, source)) < 0)
		return r;
	for (i = 0; (a = applet_at(i)) != NULL; i++)
		if (a->installed && (r = install_name(t, a->name)) < 0)
			return r;
	if (fsync(t->fd) == -1 && errno != EINVAL)
		return complain("sync", t->path, NULL, errno);
	return 0;
}

static int
open_target(struct target *t, const char *path)
{
	t->path = path;
	if (mkdir(path, 0755) == -1 && errno != EEXIST && errno != EROFS)
		return complain("create", path, NULL, errno);
	t->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->fd == -1)
		return complain("open", path, NULL, errno);
	return 0;
}

static int
usage(FILE *f, int status)
{
	fprintf(f, "usage: install DIR [--source FILE]\n"
	    "Copies this program (or FILE) to DIR/" EXE_NAME
	    " and links its names there.\n");
	return status;
}

int
install_main(int argc, char **argv)
{
	const char	*source = "/proc/self/exe", *dir = NULL;
	struct target	 t;
	int		 i, r;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0)
			return usage(stdout, 0);
		if (strcmp(argv[i], "--source") == 0 && i + 1 < argc)
			source = argv[++i];
		else if (dir == NULL && argv[i][0] != '-')
			dir = argv[i];
		else
			return usage(stderr, 2);
	}
	if (dir == NULL || *dir == '\0')
		return usage(stderr, 2);
	if (open_target(&t, dir) < 0)
		return 1;
	r = install_into(&t, source);
	close(t.fd);
	if (r < 0)
		return 1;
	printf("installed k8shell %s into %s\n", version_string(), dir);
	return 0;
}
