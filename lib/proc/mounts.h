/*
 * mounts - /proc/self/mountinfo, and how full a mounted file system is.
 *
 * The parser works in place on the text it is given.  mounts_statfs() may hang
 * for as long as a file server does not answer: only for a forked child (see
 * ask.h).  Source: proc(5), spec/grpc.md 6, weakness L16.
 */
#ifndef PROC_MOUNTS_H
#define PROC_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOUNTS_TEXT_MAX	(1024u * 1024)	/* thousands of mounts */

/* Octal escapes are decoded; bytes may be anything but NUL. */
struct mount_line {
	char	*point, *options;	/* options: "rw,relatime" */
	char	*type, *source;
};

/* Called in the order of the file: of stacked mounts the last is on top. */
typedef void mounts_fn(void *arg, const struct mount_line *m);

/* text is terminated and changed; lines that make no sense are skipped. */
void	 mounts_each(char *text, mounts_fn *fn, void *arg);

/* Sizes in bytes, by f_frsize. */
struct mount_usage {
	uint64_t total, used, free, available;
	uint64_t inodes, free_inodes;
};

/* 0 or -errno. */
int	 mounts_statfs(const char *path, struct mount_usage *u);

#endif
