#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/failmalloc.h"

static struct {
	unsigned	at;	/* 0: off */
	unsigned	seen;
	bool		all;
	bool		failed;
} fm;

/* Names that the linker's --wrap gives. */
void	*__real_malloc(size_t n);
void	*__real_calloc(size_t n, size_t size);
void	*__real_realloc(void *p, size_t n);
void	*__real_reallocarray(void *p, size_t n, size_t size);
char	*__real_strdup(const char *s);
char	*__real_strndup(const char *s, size_t n);
void	*__wrap_malloc(size_t n);
void	*__wrap_calloc(size_t n, size_t size);
void	*__wrap_realloc(void *p, size_t n);
void	*__wrap_reallocarray(void *p, size_t n, size_t size);
char	*__wrap_strdup(const char *s);
char	*__wrap_strndup(const char *s, size_t n);

void
failmalloc_arm(unsigned n)
{
	memset(&fm, 0, sizeof fm);
	fm.at = n;
}

void
failmalloc_arm_all(unsigned n)
{
	failmalloc_arm(n);
	fm.all = true;
}

bool
failmalloc_disarm(void)
{
	fm.at = 0;
	return fm.failed;
}

unsigned
failmalloc_count(void)
{
	return fm.seen;
}

static bool
must_fail(void)
{
	fm.seen++;
	if (fm.at == 0 || fm.seen < fm.at || (fm.seen > fm.at && !fm.all))
		return false;
	fm.failed = true;
	errno = ENOMEM;
	return true;
}

void *
__wrap_malloc(size_t n)
{
	return must_fail() ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return must_fail() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t n)
{
	return must_fail() ? NULL : __real_realloc(p, n);
}

void *
__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return must_fail() ? NULL : __real_reallocarray(p, n, size);
}

char *
__wrap_strdup(const char *s)
{
	return must_fail() ? NULL : __real_strdup(s);
}

char *
__wrap_strndup(const char *s, size_t n)
{
	return must_fail() ? NULL : __real_strndup(s, n);
}
