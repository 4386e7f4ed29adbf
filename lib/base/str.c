#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

int
mem_to_u64(const char *s, size_t n, uint64_t max, uint64_t *v)
{
	uint64_t	u = 0;
	size_t		i;

	if (n == 0)
		return -EINVAL;
	for (i = 0; i < n; i++)
		if (s[i] < '0' || s[i] > '9')
			return -EINVAL;
	for (i = 0; i < n; i++) {
		unsigned	d = (unsigned)(s[i] - '0');

		if (u > max / 10 || u * 10 > max - d || d > max)
			return -ERANGE;
		u = u * 10 + d;
	}
	*v = u;
	return 0;
}

int
str_to_u64(const char *s, uint64_t max, uint64_t *v)
{
	return mem_to_u64(s, strlen(s), max, v);
}

int
str_to_u32(const char *s, uint32_t max, uint32_t *v)
{
	uint64_t	u;
	int		r;

	if ((r = str_to_u64(s, max, &u)) == 0)
		*v = (uint32_t)u;
	return r;
}

int
str_format(char *out, size_t outlen, const char *fmt, ...)
{
	va_list	ap;
	int	n;

	va_start(ap, fmt);
	n = vsnprintf(out, outlen, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < outlen)
		return n;
	if (outlen > 0)
		out[0] = '\0';		/* half a path is another path */
	return -ENAMETOOLONG;
}

int
path_join(char *out, size_t outlen, const char *dir, const char *name)
{
	size_t	nd = strlen(dir), nn, slash = nd > 0;

	if (nd > 0) {
		while (nd > 0 && dir[nd - 1] == '/')
			nd--;
		while (*name == '/')
			name++;
	}
	nn = strlen(name);
	if (nd >= outlen || nn >= outlen - nd || slash >= outlen - nd - nn)
		return -ENAMETOOLONG;
	memcpy(out, dir, nd);
	if (slash)
		out[nd] = '/';
	memcpy(out + nd + slash, name, nn + 1);
	return 0;
}

const char *
path_base(const char *path)
{
	const char	*slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

bool
str_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static int
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

int
str_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
str_ieq(const char *a, const char *b)
{
	for (; lower(*a) == lower(*b); a++, b++)
		if (*a == '\0')
			return true;
	return false;
}

static bool
blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

char *
str_trim(char *s)
{
	size_t	n = strlen(s);

	while (n > 0 && blank(s[n - 1]))
		s[--n] = '\0';
	while (blank(*s))
		s++;
	return s;
}

bool
secret_eq(const void *a, size_t na, const void *b, size_t nb)
{
	/* volatile: the compiler may not stop at the first difference. */
	const volatile uint8_t	*p = a, *q = b;
	uint8_t			 diff = 0;
	size_t			 i;

	if (na != nb)
		return false;
	for (i = 0; i < na; i++)
		diff |= p[i] ^ q[i];
	return diff == 0;
}

void
secret_wipe(void *p, size_t n)
{
	/* Neither libc drops this call, unlike a memset before free. */
	if (n > 0)
		explicit_bzero(p, n);
}
