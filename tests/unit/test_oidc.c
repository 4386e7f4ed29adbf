#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "auth/oidc.h"
#include "base/log.h"
#include "base/str.h"
#include "loop/loop.h"
#include "proc/reap.h"
#include "tests/unit/failmalloc.h"
#include "tests/unit/tokens.h"

static struct tokens_key	first, second;
static char			path[] = "/tmp/test_oidc.XX" "XX" "XX";
static char			logged[64 * 1024];

static struct loop		*l;
static struct reap		*reaper;
static struct oidc		*o;

/* Counts its calls. */
struct caller {
	struct oidc_wait	wait;
	int			calls;
	struct caller		*drop;	/* cancelled by this one's call */
};

static void
on_keys(void *arg)
{
	struct caller	*c = arg;

	c->calls++;
	if (c->drop != NULL)
		oidc_wait_cancel(&c->drop->wait);
}

static int
ask(struct caller *c)
{
	memset(c, 0, sizeof *c);
	c->wait.fn = on_keys;
	c->wait.arg = c;
	return oidc_refetch(o, &c->wait);
}

static void
on_log(void *arg, enum log_level level, const char *component,
    const char *text)
{
	size_t	n = strlen(logged);

	(void)arg;
	(void)level;
	(void)component;
	tokens_format(logged + n, sizeof logged - n, "%s\n", text);
}

static void
write_text(const char *text)
{
	FILE	*f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static void
write_key(const struct tokens_key *k, const char *kid, const char *more)
{
	char	text[8192], jwk[2048];

	tokens_jwk(k, kid, "", jwk, sizeof jwk);
	tokens_format(text, sizeof text, "{\"keys\":[%s%s]}", jwk, more);
	write_text(text);
}

static int
setup_all(void **state)
{
	int	fd = mkstemp(path), null = open("/dev/null", O_WRONLY);

	(void)state;
	log_setup(LOG_INFO, null);
	log_set_sink(on_log, NULL);
	tokens_key_make(&first, "first", 0);
	tokens_key_make(&second, "second", 0);
	return fd < 0 || null < 0 || close(fd) < 0;
}

static int
teardown_all(void **state)
{
	(void)state;
	return unlink(path);
}

static int
setup(void **state)
{
	(void)state;
	logged[0] = '\0';
	o = NULL;
	assert_non_null(l = loop_create());
	assert_non_null(reaper = reap_create(false));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	oidc_destroy(o);
	reap_destroy(reaper);
	loop_destroy(l);
	return 0;
}

static void
open_file(void)
{
	const struct oidc_options	opt = { .issuer_url = "https://i",
		.jwks_file = path };

	assert_int_equal(oidc_create(&o, l, reaper, &opt), 0);
}

static void
stop(void *arg)
{
	loop_stop(arg);
}

static void
turn(void)
{
	struct loop_task	t = { .fn = stop, .arg = l };

	loop_later(l, &t);
	assert_int_equal(loop_run(l), 0);
}

static void
keys_of_a_file_are_there_at_once(void **state)
{
	(void)state;
	write_key(&first, "a", "");
	open_file();
	assert_non_null(oidc_key(o, "a"));
	assert_null(oidc_key(o, "b"));
	/* A token without key id means the only key. */
	assert_ptr_equal(oidc_key(o, ""), oidc_key(o, "a"));
	assert_non_null(strstr(logged, "1 signing keys from /tmp/test_oidc."));
}

static void
two_keys_need_a_key_id(void **state)
{
	char	more[2048];

	(void)state;
	more[0] = ',';
	tokens_jwk(&second, "b", "", more + 1, sizeof more - 1);
	write_key(&first, "a", more);
	open_file();
	assert_non_null(oidc_key(o, "a"));
	assert_non_null(oidc_key(o, "b"));
	assert_null(oidc_key(o, ""));
}

static void
an_unknown_key_makes_the_file_be_read_again(void **state)
{
	struct caller	a, b, c;
	uint32_t	generation;

	(void)state;
	write_key(&first, "a", "");
	open_file();
	generation = oidc_generation(o);
	write_key(&second, "bb", "");
	assert_null(oidc_key(o, "bb"));
	assert_int_equal(ask(&a), 0);
	assert_int_equal(ask(&b), 0);
	assert_int_equal(a.calls, 0);
	turn();
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 1);
	assert_non_null(oidc_key(o, "bb"));
	assert_null(oidc_key(o, "a"));
	assert_true(oidc_generation(o) != generation);
	/* Not again for ten seconds, and nobody is kept waiting for it. */
	assert_int_equal(ask(&c), -EAGAIN);
	turn();
	assert_int_equal(c.calls, 0);
	oidc_wait_cancel(&c.wait);
}

static void
the_same_keys_are_no_new_generation(void **state)
{
	struct caller	a;
	uint32_t	generation;

	(void)state;
	write_key(&first, "a", "");
	open_file();
	generation = oidc_generation(o);
	write_key(&first, "a", " ");
	assert_int_equal(ask(&a), 0);
	turn();
	assert_int_equal(a.calls, 1);
	assert_int_equal(oidc_generation(o), generation);
}

static void
keys_stay_when_the_file_goes_bad(void **state)
{
	static const char *const bad[] = { "", "nonsense", "{\"keys\":[]}" };
	struct caller		 a;
	size_t			 i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		write_key(&first, "a", "");
		open_file();
		logged[0] = '\0';
		write_text(bad[i]);
		assert_int_equal(ask(&a), 0);
		turn();
		assert_int_equal(a.calls, 1);
		assert_non_null(oidc_key(o, "a"));
		assert_non_null(strstr(logged, "known keys stay in use"));
		oidc_destroy(o);
	}
	write_key(&first, "a", "");
	open_file();
	assert_int_equal(truncate(path, OIDC_BODY_MAX + 1), 0);
	assert_int_equal(ask(&a), 0);
	turn();
	assert_non_null(oidc_key(o, "a"));
}

static void
a_missing_file_may_come_later(void **state)
{
	struct caller	a;

	(void)state;
	assert_int_equal(unlink(path), 0);
	open_file();
	assert_null(oidc_key(o, "a"));
	assert_null(oidc_key(o, ""));
	assert_non_null(strstr(logged, "no service account can be verified"));
	write_key(&first, "a", "");
	assert_int_equal(ask(&a), 0);
	turn();
	assert_non_null(oidc_key(o, "a"));
}

static void
waiting_callers_may_cancel_each_other(void **state)
{
	struct caller	a, b, c;

	(void)state;
	write_key(&first, "a", "");
	open_file();
	assert_int_equal(ask(&a), 0);
	assert_int_equal(ask(&b), 0);
	assert_int_equal(ask(&c), 0);
	a.drop = &c;
	c.drop = &a;
	turn();
	assert_int_equal(a.calls + c.calls, 1);
	assert_int_equal(b.calls, 1);
}

static void
destroying_calls_nobody(void **state)
{
	struct caller	a;

	(void)state;
	write_key(&first, "a", "");
	open_file();
	assert_int_equal(ask(&a), 0);
	oidc_destroy(o);
	o = NULL;
	turn();
	assert_int_equal(a.calls, 0);
	oidc_wait_cancel(&a.wait);
}

static void
a_bad_issuer_is_said_once_and_never_fetched(void **state)
{
	static const char *const bad[] = { "http://issuer", "issuer",
		"https://", "https://h:0", "https://h:65536", "https://u@h" };
	struct oidc_options	 opt = { .ca_file = "/nonexistent" };
	struct caller		 a;
	size_t			 i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		logged[0] = '\0';
		opt.issuer_url = bad[i];
		assert_int_equal(oidc_create(&o, l, reaper, &opt), 0);
		assert_non_null(strstr(logged, "is not an https://"));
		assert_int_equal(ask(&a), -EAGAIN);
		oidc_destroy(o);
	}
	o = NULL;
}

static void
failing_allocations_keep_the_keys(void **state)
{
	struct caller	a;
	unsigned	n;
	int		r;
	const struct oidc_options opt = { .issuer_url = "https://i",
		.jwks_file = path };

	(void)state;
	for (n = 1; ; n++) {
		write_key(&first, "a", "");
		open_file();
		write_key(&second, "bb", "");
		failmalloc_arm(n);
		assert_int_equal(ask(&a), 0);
		turn();
		assert_int_equal(a.calls, 1);
		if (!failmalloc_disarm())
			break;
		assert_non_null(oidc_key(o, "a"));
		oidc_destroy(o);
	}
	assert_non_null(oidc_key(o, "bb"));
	oidc_destroy(o);
	o = NULL;
	failmalloc_arm(1);
	r = oidc_create(&o, l, reaper, &opt);
	assert_true(failmalloc_disarm());
	assert_int_equal(r, -ENOMEM);
	assert_null(o);
}

#define CASE(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(keys_of_a_file_are_there_at_once),
		CASE(two_keys_need_a_key_id),
		CASE(an_unknown_key_makes_the_file_be_read_again),
		CASE(the_same_keys_are_no_new_generation),
		CASE(keys_stay_when_the_file_goes_bad),
		CASE(a_missing_file_may_come_later),
		CASE(waiting_callers_may_cancel_each_other),
		CASE(destroying_calls_nobody),
		CASE(a_bad_issuer_is_said_once_and_never_fetched),
		CASE(failing_allocations_keep_the_keys),
	};

	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
