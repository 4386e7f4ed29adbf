/*
 * file - a small regular file, read whole.
 *
 * For configuration, keys and tokens: files of root's.  Symbolic links are
 * followed, Kubernetes mounts consist of them; anything that is not a regular
 * file is refused without waiting for it.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>

/*
 * *out is terminated beyond its *n bytes and freed by the caller.  0, -EFBIG
 * above max bytes, -EISDIR, -EINVAL (not a regular file), -ENOMEM or what the
 * system says.
 */
int	 file_read(const char *path, size_t max, char **out, size_t *n);

#endif
