#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "proc/procfile.h"

int
procfile_read(const char *path, char *out, size_t outlen)
{
	size_t	n = 0;
	ssize_t	r = 1;
	int	fd, err = 0;

	out[0] = '\0';
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0)
		return -errno;
	while (r > 0 && n < outlen - 1) {
		r = read(fd, out + n, outlen - 1 - n);
		if (r > 0)
			n += (size_t)r;
		else if (r < 0 && errno == EINTR)
			r = 1;
		else if (r < 0)
			err = -errno;
	}
	close(fd);
	out[err == 0 ? n : 0] = '\0';
	return err;
}
