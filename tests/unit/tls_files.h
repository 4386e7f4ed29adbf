/*
 * tls_files - a folder with good and bad certificates and keys, for the tests
 * of what loads them.
 */
#ifndef TESTS_UNIT_TLS_FILES_H
#define TESTS_UNIT_TLS_FILES_H

#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "net/tls.h"
#include "tests/unit/certs.h"

/* Files of this test; the names say what is inside. */
static const struct {
	const char	*name, *text;
} files[] = {
	{ "ca.crt", CA_CERT },
	{ "ec.crt", EC_CERT CA_CERT },
	{ "ec.key", EC_KEY },
	{ "ec8.key", EC_KEY_PKCS8 },
	{ "ec.pem", EC_KEY EC_CERT },
	{ "two.key", EC_KEY P384_KEY },
	{ "encrypted.key", EC_KEY_ENCRYPTED },
	{ "ip.crt", IP_CERT },
	{ "expired.crt", EXPIRED_CERT },
	{ "p384.crt", P384_CERT },
	{ "p384.key", P384_KEY },
	{ "p521.crt", P521_CERT },
	{ "p521.key", P521_KEY },
	{ "rsa.crt", RSA_CERT },
	{ "rsa.key", RSA_KEY },
	{ "rsa8.key", RSA_KEY_PKCS8 },
	{ "small.crt", SMALL_CERT },
	{ "small.key", SMALL_KEY },
	{ "junk", "no PEM at all\n" },
	{ "cut", "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIj3\n" },
	{ "bad64", "-----BEGIN EC PRIVATE KEY-----\n!!!!\n"
	    "-----END EC PRIVATE KEY-----\n" },
	{ "noend.key", "" },
	{ "long.crt", "" },
};

static char	dir[64];

static inline const char *
path(char *out, const char *name)
{
	str_format(out, 128, "%s/%s", dir, name);
	return out;
}

static inline void
put_file(const char *name, const void *text, size_t n)
{
	char	p[128];
	int	fd = open(path(p, name), O_CREAT | O_WRONLY | O_APPEND, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, n), n);
	close(fd);
}

static inline int
files_create(void **state)
{
	size_t	i;

	(void)state;
	str_format(dir, sizeof dir, "/tmp/test_tls.%d", getpid());
	if (mkdir(dir, 0700) == -1)
		return -1;
	for (i = 0; i < ARRAY_LEN(files); i++)
		put_file(files[i].name, files[i].text, strlen(files[i].text));
	for (i = 0; i < 9; i++)
		put_file("long.crt", EC_CERT, strlen(EC_CERT));
	/* The last line needs no newline. */
	put_file("noend.key", EC_KEY, strlen(EC_KEY) - 1);
	return 0;
}

static inline int
files_remove(void **state)
{
	char	p[128];
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(files); i++)
		unlink(path(p, files[i].name));
	unlink(path(p, "der.key"));
	return rmdir(dir);
}

static inline int
load(struct tls_identity **id, const char *crt, const char *key,
    const char **err)
{
	char	a[128], b[128];

	*err = NULL;
	return tls_identity_load(id, path(a, crt), path(b, key), err);
}

static inline struct tls_identity *
identity(const char *crt, const char *key)
{
	struct tls_identity	*id = NULL;
	const char		*err;

	if (load(&id, crt, key, &err) < 0)
		fail_msg("%s %s: %s", crt, key, err);
	return id;
}

static inline struct tls_trust *
trust(void)
{
	struct tls_trust	*t = NULL;
	const char		*err;
	char			 p[128];

	assert_int_equal(tls_trust_load(&t, path(p, "ca.crt"), &err), 0);
	return t;
}

static inline void
replace_file(const char *name, const void *text, size_t n)
{
	char	p[128];

	unlink(path(p, name));
	put_file(name, text, n);
}

#endif
