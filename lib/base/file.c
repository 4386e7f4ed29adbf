#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

/* A regular file, or -errno.  O_NONBLOCK: a FIFO must not hold us up. */
static int
open_regular(const char *path, struct stat *st)
{
	int	fd, r;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0)
		return -errno;
	if (fstat(fd, st) < 0)
		r = -errno;
	else if (S_ISDIR(st->st_mode))
		r = -EISDIR;
	else if (!S_ISREG(st->st_mode))
		r = -EINVAL;
	else
		return fd;
	close(fd);
	return r;
}

/* Up to n bytes; fewer only at the end of the file. */
static ssize_t
read_full(int fd, char *p, size_t n)
{
	size_t	got = 0;
	ssize_t	r;

	while (got < n) {
		r = read(fd, p + got, n - got);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

int
file_read(const char *path, size_t max, char **out, size_t *n)
{
	struct stat	 st;
	char		*mem = NULL;
	size_t		 room;
	ssize_t		 got;
	int		 fd, r;

	if ((fd = open_regular(path, &st)) < 0)
		return fd;
	/* Files of /proc say 0: read up to the limit then. */
	room = st.st_size > 0 ? (size_t)st.st_size : max;
	if (room > max) {
		r = -EFBIG;
		goto out;
	}
	/* One byte more than allowed shows a file that grew. */
	if ((mem = malloc(room + 1)) == NULL) {
		r = -ENOMEM;
		goto out;
	}
	if ((got = read_full(fd, mem, room + 1)) < 0) {
		r = (int)got;
		goto out;
	}
	if ((size_t)got > room) {
		r = -EFBIG;
		goto out;
	}
	mem[got] = '\0';
	*out = mem;
	*n = (size_t)got;
	mem = NULL;			/* now the caller's */
	r = 0;
out:
	free(mem);
	close(fd);
	return r;
}
