/*
 * fixture - a made-up /proc and /sys in a folder of its own, for what reads
 * them below a root.
 */
#ifndef TESTS_UNIT_FIXTURE_H
#define TESTS_UNIT_FIXTURE_H

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define FIXTURE_PATH_MAX	512

/* A file below root, with the folders above it. */
static inline void
fixture_put(const char *root, const char *name, const void *p, size_t n)
{
	char	 path[FIXTURE_PATH_MAX], *slash;
	FILE	*f;

	assert_true((size_t)snprintf(path, sizeof path, "%s%s", root, name) <
	    sizeof path);
	for (slash = strchr(path + strlen(root) + 1, '/'); slash != NULL;
	    slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
		*slash = '/';
	}
	assert_non_null(f = fopen(path, "w"));
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static inline int
fixture_remove_one(const char *path, const struct stat *st, int kind,
    struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

/* Root and all below it; 0, or -1 as nftw(3). */
static inline int
fixture_remove(const char *root)
{
	return nftw(root, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
