#include "applets/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

#define TOKEN_BYTES	32

int
rundir_default(char *out, size_t outlen)
{
	const char	*xdg = getenv("XDG_RUNTIME_DIR");
	int		 r;

	if (xdg != NULL && xdg[0] == '/')
		r = str_format(out, outlen, "%s/k8shell", xdg);
	else
		r = str_format(out, outlen, "/tmp/k8shell-%u",
		    (unsigned)getuid());
	return r < 0 ? r : 0;
}

/* An image made from scratch has no /tmp. */
static void
make_parent(const char *path)
{
	char	*copy = strdup(path), *slash;
	mode_t	 old;

	if (copy != NULL && (slash = strrchr(copy, '/')) != NULL &&
	    slash != copy) {
		*slash = '\0';
		old = umask(0);
		(void)mkdir(copy, strcmp(copy, "/tmp") == 0 ? 01777 : 0755);
		umask(old);
	}
	free(copy);
}

int
rundir_create(const char *path, const char **why)
{
	int	r = mkdir(path, 0700);

	*why = "cannot create it";
	if (r < 0 && errno == ENOENT) {
		make_parent(path);
		r = mkdir(path, 0700);
	}
	if (r < 0 && errno != EEXIST)
		return -errno;
	return rundir_check(path, why);
}

int
rundir_check(const char *path, const char **why)
{
	struct stat	st;

	*why = "cannot enter it";
	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode)) {
		*why = "it is not a directory";
		return -ENOTDIR;
	}
	if (st.st_uid != geteuid() || (st.st_mode & 0077) != 0) {
		*why = "it belongs to, or is open to, somebody else";
		return -EPERM;
	}
	return 0;
}

static int
write_token(const char *file)
{
	static const char	hex[] = "0123456789abcdef";
	uint8_t			raw[TOKEN_BYTES];
	char			text[2 * TOKEN_BYTES + 1];
	size_t			i;
	int			fd, r = 0;

	if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
		return -EIO;
	for (i = 0; i < sizeof raw; i++) {
		text[2 * i] = hex[raw[i] >> 4];
		text[2 * i + 1] = hex[raw[i] & 0xf];
	}
	text[sizeof text - 1] = '\n';
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (fd < 0)
		return errno == EEXIST ? 0 : -errno;
	if (write(fd, text, sizeof text) != (ssize_t)sizeof text)
		r = -EIO;
	close(fd);
	secret_wipe(text, sizeof text);
	secret_wipe(raw, sizeof raw);
	if (r < 0)
		unlink(file);
	return r;
}

int
rundir_token(const char *path, char *token_file, size_t len)
{
	int	r;

	if ((r = path_join(token_file, len, path, RUNDIR_TOKEN)) < 0)
		return r;
	return write_token(token_file);
}
