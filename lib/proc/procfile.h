/*
 * procfile - small files of /proc and /sys, read whole into a caller's room.
 */
#ifndef PROC_PROCFILE_H
#define PROC_PROCFILE_H

#include <stddef.h>

/*
 * Terminated text, cut at what fits.  0 or -errno; out is empty then.  NULs
 * inside end it early for whoever reads a string.
 */
int	 procfile_read(const char *path, char *out, size_t outlen);

#endif
