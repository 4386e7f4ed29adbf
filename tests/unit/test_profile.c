/* profile: who the workspace belongs to, as a file says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "conf/profile.h"
#include "tests/unit/failmalloc.h"

#define ERROR_MAX	512

static int
parse(struct profile *p, const char *text, char *err)
{
	profile_init(p);
	return profile_parse(p, "profile.yaml", text, strlen(text), err,
	    ERROR_MAX);
}

static void
good(struct profile *p, const char *text)
{
	char	err[ERROR_MAX];
	int	r;

	if ((r = parse(p, text, err)) != 0)
		fail_msg("%s: %d: %s", text, r, err);
}

static void
bad(const char *text, const char *message)
{
	struct profile	p;
	char		err[ERROR_MAX];

	assert_int_equal(parse(&p, text, err), -EINVAL);
	assert_string_equal(err, message);
	profile_finish(&p);
}

/* As the provisioner of today writes it. */
static const char	platform[] =
    "username: alice\n"
    "organization: acme\n"
    "fullname: \"Alice Doe\"\n"
    "email: alice@example.org\n"
    "uid: \"166548839\"\n"
    "gid: \"4294967295\"\n"
    "shell: /bin/zsh\n"
    "sudo: true\n"
    "source: ldap\n"
    "is_valid: true\n"
    "account_locked: false\n"
    "password_locked_until: null\n"
    "blueprints: [{name: a}]\n"
    "roles:\n"
    "- admin\n"
    "- dev\n";

static void
assert_platform(const struct profile *p)
{
	assert_string_equal(p->username, "alice");
	assert_string_equal(p->organization, "acme");
	assert_string_equal(p->fullname, "Alice Doe");
	assert_string_equal(p->email, "alice@example.org");
	assert_string_equal(p->shell, "/bin/zsh");
	assert_string_equal(p->source, "ldap");
	assert_true(p->has_uid);
	assert_int_equal(p->uid, 166548839);
	assert_true(p->has_gid);
	assert_int_equal(p->gid, UINT32_MAX);
	assert_true(p->sudo);
	assert_int_equal(p->nroles, 2);
	assert_string_equal(p->roles[0], "admin");
	assert_string_equal(p->roles[1], "dev");
}

static void
the_file_of_the_provisioner_is_read_whole(void **state)
{
	struct profile	p;

	(void)state;
	good(&p, platform);
	assert_platform(&p);
	profile_finish(&p);
}

static void
what_is_missing_or_null_is_empty(void **state)
{
	struct profile	p;

	(void)state;
	good(&p, "username: bob\nuid:\ngid: null\nsudo: ~\nroles:\n");
	assert_string_equal(p.username, "bob");
	assert_string_equal(p.email, "");
	assert_string_equal(p.shell, "");
	assert_false(p.has_uid);
	assert_false(p.has_gid);
	assert_false(p.sudo);
	assert_int_equal(p.nroles, 0);
	profile_finish(&p);
	good(&p, "username: bob\nroles: []\n");
	assert_int_equal(p.nroles, 0);
	profile_finish(&p);
}

static void
a_profile_wrapper_is_tolerated(void **state)
{
	struct profile	p;

	(void)state;
	good(&p, "profile:\n  username: carol\n  uid: 1001\n  gid: 1002\n"
	    "  accountLocked: false\n");
	assert_string_equal(p.username, "carol");
	assert_int_equal(p.uid, 1001);
	assert_int_equal(p.gid, 1002);
	profile_finish(&p);
	/* The flat form wins; a wrapper of another type is just unknown. */
	good(&p, "profile: {username: x}\nusername: dave\n");
	assert_string_equal(p.username, "dave");
	profile_finish(&p);
	good(&p, "profile: [1]\nemail: e\n");
	assert_string_equal(p.username, "");
	profile_finish(&p);
}

static void
ids_are_decimal_and_fit_32_bits(void **state)
{
	static const char *const	wrong[] = {
		"-1", "+1", "4294967296", "0x10", "010", "1.0", "1e3", "x",
		"1 2", "99999999999999999999",
	};
	struct profile	p;
	char		text[64], message[128];
	size_t		i;

	(void)state;
	good(&p, "uid: 0\ngid: '0'\n");
	assert_true(p.has_uid && p.has_gid);
	assert_int_equal(p.uid, 0);
	profile_finish(&p);
	for (i = 0; i < ARRAY_LEN(wrong); i++) {
		snprintf(text, sizeof text, "sudo: true\nuid: \"%s\"\n",
		    wrong[i]);
		snprintf(message, sizeof message, "profile.yaml:2:6: uid: "
		    "expected a decimal id from 0 to 4294967295, got \"%s\"",
		    wrong[i]);
		bad(text, message);
	}
	bad("gid: ''", "profile.yaml:1:6: gid: expected a decimal id from 0 "
	    "to 4294967295, got \"\"");
	bad("gid: [1]", "profile.yaml:1:6: gid: expected a decimal id from 0 "
	    "to 4294967295, got a list");
}

static void
wrong_types_are_errors_with_their_place(void **state)
{
	(void)state;
	bad("username: {a: b}", "profile.yaml:1:11: username: expected text, "
	    "got a mapping");
	bad("profile:\n  email: [a]\n", "profile.yaml:2:10: profile.email: "
	    "expected text, got a list");
	bad("sudo: 1", "profile.yaml:1:7: sudo: expected true or false, "
	    "got \"1\"");
	bad("sudo: \"true\"", "profile.yaml:1:7: sudo: expected true or "
	    "false, got \"true\"");
	bad("sudo: yes", "profile.yaml:1:7: sudo: expected true or false, "
	    "got \"yes\"");
	bad("roles: admin", "profile.yaml:1:8: roles: expected a list of "
	    "roles, got \"admin\"");
	bad("roles: [a, {}]", "profile.yaml:1:12: roles[1]: expected a role, "
	    "got a mapping");
	bad("roles: [a, ]\nroles: []", "profile.yaml:2:1: roles: given "
	    "twice, first in line 1");
	bad("roles: ['']", "profile.yaml:1:9: roles[0]: expected a role, "
	    "got \"\"");
	bad("- a", "profile.yaml:1:1: expected a mapping, got a list");
	bad("", "profile.yaml: is empty");
	bad("# nothing\n", "profile.yaml: is empty");
}

static void
T8_nothing_is_expanded(void **state)
{
	struct profile	p;

	(void)state;
	setenv("PROFILE_SECRET", "token", 1);
	good(&p, "fullname: \"${PROFILE_SECRET}\"\nemail: '${NOT_SET}'\n");
	assert_string_equal(p.fullname, "${PROFILE_SECRET}");
	assert_string_equal(p.email, "${NOT_SET}");
	profile_finish(&p);
	bad("fullname: !file /etc/shadow\n", "profile.yaml:1:11: fullname: "
	    "!file is not allowed here");
}

static void
roles_are_limited(void **state)
{
	char		text[8 + 257 * 2 + 2], err[ERROR_MAX], *at;
	struct profile	p;
	size_t		i;

	(void)state;
	memcpy(text, "roles: [", 8);
	for (i = 0, at = text + 8; i < 256; i++, at += 2)
		memcpy(at, "r,", 2);
	memcpy(at, "]", 2);
	good(&p, text);
	assert_int_equal(p.nroles, 256);
	profile_finish(&p);
	memcpy(at, "r]", 3);
	assert_int_equal(parse(&p, text, err), -EINVAL);
	assert_string_equal(err, "profile.yaml:1:8: roles: expected at most "
	    "256 roles");
	profile_finish(&p);
}

static void
loading_says_what_is_wrong_with_the_file(void **state)
{
	char		path[] = "/tmp/test_profile." "XX" "XX" "XX";
	char		err[ERROR_MAX], message[ERROR_MAX];
	struct profile	p;
	int		fd;

	(void)state;
	profile_init(&p);
	assert_int_equal(profile_load(&p, "/nonexistent/p", err, sizeof err),
	    -ENOENT);
	assert_string_equal(err, "/nonexistent/p: No such file or directory");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "uid: x\n", 7), 7);
	assert_int_equal(profile_load(&p, path, err, sizeof err), -EINVAL);
	snprintf(message, sizeof message, "%s:1:6: uid: expected a decimal "
	    "id from 0 to 4294967295, got \"x\"", path);
	assert_string_equal(err, message);
	profile_finish(&p);
	assert_int_equal(pwrite(fd, "uid: 7\n", 7, 0), 7);
	profile_init(&p);
	assert_int_equal(profile_load(&p, path, err, sizeof err), 0);
	assert_int_equal(p.uid, 7);
	profile_finish(&p);
	close(fd);
	unlink(path);
}

static void
every_shortened_file_is_read_or_refused(void **state)
{
	char		err[ERROR_MAX];
	struct profile	p;
	size_t		n;
	int		r;

	(void)state;
	for (n = 0; n < sizeof platform - 1; n++) {
		profile_init(&p);
		r = profile_parse(&p, "p", platform, n, err, sizeof err);
		assert_true(r == 0 || (r == -EINVAL && str_prefix(err, "p:")));
		profile_finish(&p);
	}
}

static void
out_of_memory_is_an_error_at_every_allocation(void **state)
{
	char		err[ERROR_MAX];
	struct profile	p;
	unsigned	n;
	int		r;

	(void)state;
	for (n = 1; ; n++) {
		failmalloc_arm(n);
		r = parse(&p, platform, err);
		if (!failmalloc_disarm())
			break;
		assert_int_equal(r, -ENOMEM);
		assert_string_equal(err, "profile.yaml: out of memory");
		profile_finish(&p);
	}
	assert_int_equal(r, 0);
	assert_true(n > 5);
	assert_platform(&p);
	profile_finish(&p);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(the_file_of_the_provisioner_is_read_whole),
		cmocka_unit_test(what_is_missing_or_null_is_empty),
		cmocka_unit_test(a_profile_wrapper_is_tolerated),
		cmocka_unit_test(ids_are_decimal_and_fit_32_bits),
		cmocka_unit_test(wrong_types_are_errors_with_their_place),
		cmocka_unit_test(T8_nothing_is_expanded),
		cmocka_unit_test(roles_are_limited),
		cmocka_unit_test(loading_says_what_is_wrong_with_the_file),
		cmocka_unit_test(every_shortened_file_is_read_or_refused),
		cmocka_unit_test(
		    out_of_memory_is_an_error_at_every_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
