#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/str.h"
#include "loop/loop.h"
#include "net/certwatch.h"
#include "net/tls.h"
#include "tests/unit/certs.h"
#include "tests/unit/failmalloc.h"

/* Stands in for the C library's, so that time can be made to pass. */
static time_t	skew;

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int	r = (int)syscall(SYS_clock_gettime, id, ts);

	ts->tv_sec += skew;
	return r;
}

struct place {
	struct loop	*loop;
	struct certwatch *w;
	char		 dir[64], crt[96], key[96];
	int		 calls;
	char		 kind[16], error[256];
	bool		 destroy;
};

static void
on_new(void *arg, struct tls_identity *id)
{
	struct place	*p = arg;

	p->calls++;
	str_format(p->kind, sizeof p->kind, "%s", tls_identity_kind(id));
	if (p->destroy)
		certwatch_destroy(p->w);
}

static void
on_line(void *arg, enum log_level level, const char *component,
    const char *text)
{
	struct place	*p = arg;

	(void)component;
	if (level == LOG_ERROR)
		str_format(p->error, sizeof p->error, "%s", text);
}

static void
stop(void *arg)
{
	loop_stop(arg);
}

/* Lets ms go by. */
static void
pass(struct place *p, unsigned ms)
{
	int	i;

	skew += ms / 1000 + 1;
	for (i = 0; i < 3; i++) {
		struct loop_timer	t = { .fn = stop, .arg = p->loop };

		loop_timer_set(p->loop, &t, 0);
		assert_int_equal(loop_run(p->loop), 0);
	}
}

/* A sign is seen, and then the delay is over. */
static void
settle(struct place *p)
{
	pass(p, 0);
	pass(p, CERTWATCH_DELAY_MS);
}

static void
put(const char *path, const char *text)
{
	char	tmp[128];
	int	fd;

	str_format(tmp, sizeof tmp, "%s.tmp", path);
	fd = open(tmp, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	assert_int_equal(rename(tmp, path), 0);
}

static int
setup(void **state)
{
	struct place	*p = calloc(1, sizeof *p);

	assert_non_null(p);
	p->loop = loop_create();
	str_format(p->dir, sizeof p->dir, "/tmp/test_certwatch.%d", getpid());
	assert_int_equal(mkdir(p->dir, 0700), 0);
	str_format(p->crt, sizeof p->crt, "%s/tls.crt", p->dir);
	str_format(p->key, sizeof p->key, "%s/tls.key", p->dir);
	log_set_sink(on_line, p);
	log_setup(LOG_ERROR, open("/dev/null", O_WRONLY | O_CLOEXEC));
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct place	*p = *state;

	certwatch_destroy(p->w);
	log_set_sink(NULL, NULL);
	unlink(p->crt);
	unlink(p->key);
	assert_int_equal(rmdir(p->dir), 0);
	loop_destroy(p->loop);
	free(p);
	return 0;
}

static void
start(struct place *p)
{
	put(p->crt, EC_CERT);
	put(p->key, EC_KEY);
	assert_int_equal(certwatch_create(&p->w, p->loop, p->crt, p->key, 0,
	    on_new, p), 0);
	settle(p);
	assert_int_equal(p->calls, 0);
}

static void
renewal_by_rename_is_loaded_once(void **state)
{
	struct place	*p = *state;

	start(p);
	put(p->crt, P384_CERT);
	put(p->key, P384_KEY);
	pass(p, 0);
	assert_int_equal(p->calls, 0);		/* not before the delay */
	pass(p, CERTWATCH_DELAY_MS);
	assert_int_equal(p->calls, 1);
	assert_string_equal(p->kind, "EC P-384");
	settle(p);
	pass(p, CERTWATCH_RECHECK_MS);
	assert_int_equal(p->calls, 1);
}

static void
rewrite_in_place_is_loaded(void **state)
{
	struct place	*p = *state;
	int		 fd;

	start(p);
	fd = open(p->crt, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, RSA_CERT, strlen(RSA_CERT)),
	    strlen(RSA_CERT));
	close(fd);
	put(p->key, RSA_KEY);
	settle(p);
	assert_int_equal(p->calls, 1);
	assert_string_equal(p->kind, "RSA 2048");
}

/* tls.crt -> ..data/tls.crt, ..data -> ..1, then ..data flips to ..2. */
static void
flip_of_the_kubernetes_link_is_loaded(void **state)
{
	struct place	*p = *state;
	char		 a[128], b[128], data[128], tmp[128], f[160];

	str_format(a, sizeof a, "%s/..1", p->dir);
	str_format(b, sizeof b, "%s/..2", p->dir);
	str_format(data, sizeof data, "%s/..data", p->dir);
	str_format(tmp, sizeof tmp, "%s/..data_tmp", p->dir);
	mkdir(a, 0700);
	mkdir(b, 0700);
	str_format(f, sizeof f, "%s/tls.crt", a);
	put(f, EC_CERT);
	str_format(f, sizeof f, "%s/tls.key", a);
	put(f, EC_KEY);
	assert_int_equal(symlink("..1", data), 0);
	assert_int_equal(symlink("..data/tls.crt", p->crt), 0);
	assert_int_equal(symlink("..data/tls.key", p->key), 0);
	assert_int_equal(certwatch_create(&p->w, p->loop, p->crt, p->key, 0,
	    on_new, p), 0);

	str_format(f, sizeof f, "%s/tls.crt", b);
	put(f, P384_CERT);
	str_format(f, sizeof f, "%s/tls.key", b);
	put(f, P384_KEY);
	settle(p);
	assert_int_equal(p->calls, 0);
	assert_int_equal(symlink("..2", tmp), 0);
	assert_int_equal(rename(tmp, data), 0);
	settle(p);
	assert_int_equal(p->calls, 1);
	assert_string_equal(p->kind, "EC P-384");

	unlink(data);
	str_format(f, sizeof f, "%s/tls.crt", a);
	unlink(f);
	str_format(f, sizeof f, "%s/tls.key", a);
	unlink(f);
	rmdir(a);
	str_format(f, sizeof f, "%s/tls.crt", b);
	unlink(f);
	str_format(f, sizeof f, "%s/tls.key", b);
	unlink(f);
	rmdir(b);
}

static void
broken_pair_is_logged_and_the_next_one_loaded(void **state)
{
	struct place	*p = *state;

	start(p);
	put(p->crt, P384_CERT);			/* and the key is late */
	settle(p);
	assert_int_equal(p->calls, 0);
	assert_non_null(strstr(p->error,
	    "tls.crt: certificate and private key do not belong together; "
	    "the old certificate stays"));
	p->error[0] = '\0';
	pass(p, CERTWATCH_RECHECK_MS);		/* said once */
	assert_string_equal(p->error, "");
	put(p->key, P384_KEY);
	settle(p);
	assert_int_equal(p->calls, 1);

	unlink(p->key);
	settle(p);
	assert_int_equal(p->calls, 1);
	assert_non_null(strstr(p->error, "cannot read the key file: "));
}

static void
other_files_and_modes_do_not_matter(void **state)
{
	struct place	*p = *state;
	char		 other[128];

	start(p);
	str_format(other, sizeof other, "%s/notes", p->dir);
	put(other, "x");
	chmod(p->crt, 0644);
	settle(p);
	unlink(other);
	settle(p);
	assert_int_equal(p->calls, 0);
	assert_string_equal(p->error, "");
}

static void
folder_replaced_is_found_by_looking(void **state)
{
	struct place	*p = *state;

	start(p);
	unlink(p->crt);
	unlink(p->key);
	assert_int_equal(rmdir(p->dir), 0);
	settle(p);
	assert_int_equal(p->calls, 0);
	assert_int_equal(mkdir(p->dir, 0700), 0);
	put(p->crt, P384_CERT);
	put(p->key, P384_KEY);
	pass(p, CERTWATCH_POLL_MS);
	assert_int_equal(p->calls, 1);
	/* And from now on it is watched again. */
	put(p->crt, EC_CERT);
	put(p->key, EC_KEY);
	settle(p);
	assert_int_equal(p->calls, 2);
}

static void
handler_may_destroy_its_watch(void **state)
{
	struct place	*p = *state;

	start(p);
	p->destroy = true;
	put(p->crt, P384_CERT);
	put(p->key, P384_KEY);
	settle(p);
	assert_int_equal(p->calls, 1);
	p->w = NULL;
	certwatch_destroy(NULL);
}

static void
create_without_memory_fails(void **state)
{
	struct place	*p = *state;
	unsigned	 n;
	int		 r;

	for (n = 1; ; n++) {
		failmalloc_arm(n);
		r = certwatch_create(&p->w, p->loop, p->crt, p->key, 0,
		    on_new, p);
		if (!failmalloc_disarm())
			break;
		assert_int_equal(r, -ENOMEM);
	}
	assert_int_equal(r, 0);
	assert_int_equal(n, 4);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(renewal_by_rename_is_loaded_once),
		T(rewrite_in_place_is_loaded),
		T(flip_of_the_kubernetes_link_is_loaded),
		T(broken_pair_is_logged_and_the_next_one_loaded),
		T(other_files_and_modes_do_not_matter),
		T(folder_replaced_is_found_by_looking),
		T(handler_may_destroy_its_watch),
		T(create_without_memory_fails),
	};

	return cmocka_run_group_tests_name("certwatch", tests, NULL, NULL);
}
