/* identity: whose workspace this is, and renewals of the token. */
#include <sys/stat.h>

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

#include "auth/identity.h"
#include "base/str.h"
#include "conf/conf.h"
#include "loop/loop.h"
#include "tests/unit/failmalloc.h"
#include "tests/unit/tokens.h"

#define ERROR_MAX	512
#define CLAIMED_MAX	4096	/* a token with our claims */

static struct tokens_key	key_a, key_b;

/* The files of one test, and a config that may name them. */
static struct {
	char		dir[64];
	char		token[96], key[96], profile[96];
	struct conf	conf;
	int64_t		now;
} t;

static void
put(const char *path, const char *text)
{
	FILE	*f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static int
setup(void **state)
{
	(void)state;
	snprintf(t.dir, sizeof t.dir, "/tmp/test_identity." "XX" "XX" "XX");
	if (mkdtemp(t.dir) == NULL)
		return -1;
	snprintf(t.token, sizeof t.token, "%s/token", t.dir);
	snprintf(t.key, sizeof t.key, "%s/key.pem", t.dir);
	snprintf(t.profile, sizeof t.profile, "%s/profile.yaml", t.dir);
	unsetenv("USERNAME");
	unsetenv("USER_UID");
	unsetenv("USER_GID");
	unsetenv("USEREMAIL");
	unsetenv("USERFULLNAME");
	conf_init(&t.conf);
	t.conf.identity.signing_method = CONF_ES256;
	t.now = loop_wall();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(t.token);
	unlink(t.key);
	unlink(t.profile);
	conf_finish(&t.conf);
	return rmdir(t.dir);
}

static void
use_token(void)
{
	free(t.conf.identity.token_path);
	free(t.conf.identity.public_key_path);
	t.conf.identity.token_path = strdup(t.token);
	t.conf.identity.public_key_path = strdup(t.key);
}

/* A signed token with these claims and an hour to live, into the file. */
static void	put_token(const char *fmt, ...)
		    __attribute__((format(printf, 1, 2)));

static void
put_token(const char *fmt, ...)
{
	char	claims[1024], body[900], token[CLAIMED_MAX];
	va_list	ap;

	va_start(ap, fmt);
	vsnprintf(body, sizeof body, fmt, ap);
	va_end(ap);
	snprintf(claims, sizeof claims, "{\"exp\":%lld,%s}",
	    (long long)t.now + 3600, body);
	tokens_make(&key_a, NULL, claims, token);
	put(t.token, token);
}

static void
put_key(const struct tokens_key *key)
{
	char	pem[2048];

	tokens_public_pem(key, pem);
	put(t.key, pem);
}

#define ALICE	"\"sub\":\"alice\",\"uid\":1001,\"gid\":1002"

static struct identity *
load(bool standalone)
{
	struct identity	*id = NULL;
	char		 err[ERROR_MAX] = "";
	int		 r;

	r = identity_load(&id, &t.conf, t.profile, standalone, err,
	    sizeof err);
	if (r != 0)
		fail_msg("%d: %s", r, err);
	return id;
}

/* err has to end like this: in front of it is the file's name.  "": other
 * modules word it. */
static void
refused(const char *tail)
{
	struct identity	*id = NULL;
	char		 err[ERROR_MAX] = "";

	assert_true(identity_load(&id, &t.conf, t.profile, false, err,
	    sizeof err) < 0);
	assert_null(id);
	assert_null(strchr(err, '\n'));
	if (strlen(err) < strlen(tail) ||
	    strcmp(err + strlen(err) - strlen(tail), tail) != 0)
		fail_msg("\"%s\" does not end in \"%s\"", err, tail);
}

/* -- names -- */

static void
names_are_those_of_the_platform(void **state)
{
	static const char *const	yes[] = {
		"a", "_", "alice", "john.doe", "a-b_c.9", "_x",
		"a2345678901234567890123456789012",
	};
	static const char *const	no[] = {
		"", "1a", "-a", ".a", "..", "A", "Alice", "a b", "a/b", "../a",
		"a\n", "\na", "a:b", "\xc3\xa9", "a@b", "a$",
		"a23456789012345678901234567890123",
	};
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(yes); i++)
		assert_true(identity_name_valid(yes[i]));
	for (i = 0; i < ARRAY_LEN(no); i++)
		assert_false(identity_name_valid(no[i]));
}

/* -- token -- */

static void
a_token_is_verified_and_used(void **state)
{
	struct identity	*id;
	char		 text[CLAIMED_MAX + 16], *token;

	(void)state;
	use_token();
	put_key(&key_a);
	put_token(ALICE ",\"name\":\"Alice Doe\",\"email\":\"a@b.c\","
	    "\"roles\":[\"admin\",\"dev\"],\"org\":\"acme\","
	    "\"source\":\"ldap\",\"shell\":\"/bin/zsh\",\"sudo\":true");
	id = load(false);
	assert_int_equal(id->from, IDENTITY_JWT);
	assert_string_equal(id->username, "alice");
	assert_string_equal(id->home, "/home/alice");
	assert_string_equal(id->shell, "/bin/zsh");
	assert_string_equal(id->fullname, "Alice Doe");
	assert_string_equal(id->email, "a@b.c");
	assert_string_equal(id->organization, "acme");
	assert_string_equal(id->source, "ldap");
	assert_int_equal(id->uid, 1001);
	assert_int_equal(id->gid, 1002);
	assert_true(id->sudo);
	assert_int_equal(id->nroles, 2);
	assert_string_equal(id->roles[1], "dev");
	assert_int_equal(id->exp, t.now + 3600);
	assert_int_equal(id->generation, 0);
	assert_non_null(id->key);
	token = strdup(id->token);
	identity_destroy(id);

	/* Blanks around it are the file's, not the token's. */
	snprintf(text, sizeof text, " \n%s\r\n\n", token);
	put(t.token, text);
	id = load(false);
	assert_string_equal(id->token, token);
	identity_destroy(id);
	free(token);
}

static void
a_token_that_fails_is_never_replaced_by_the_profile(void **state)
{
	(void)state;
	put(t.profile, "username: alice\nuid: 1001\ngid: 1001\n");
	use_token();
	refused("/token: No such file or directory");
	put_token(ALICE);
	refused("/key.pem: No such file or directory");
	put(t.key, "no pem at all");
	refused("");
	free(t.conf.identity.public_key_path);
	t.conf.identity.public_key_path = strdup("");
	refused("identity.publicKeyPath: not set, but identity.tokenPath is");
}

/* A good token, a NUL, and more. */
static void
put_nul(void)
{
	FILE	*f = fopen(t.token, "a");

	assert_non_null(f);
	assert_int_equal(fwrite("\0x", 1, 2, f), 2);
	assert_int_equal(fclose(f), 0);
}

static void
T5_T6_unusable_tokens_are_refused(void **state)
{
	char	token[CLAIMED_MAX], claims[128];

	(void)state;
	use_token();
	put_key(&key_a);
	put_token("\"sub\":\"alice\",\"gid\":1001");
	refused("/token: claim uid is missing");
	put_token("\"sub\":\"alice\",\"uid\":1001");
	refused("/token: claim gid is missing");
	put_token("\"sub\":\"alice\",\"uid\":0,\"gid\":1001");
	refused("/token: user id 0 (root) can't own a workspace");
	put_token("\"sub\":\"alice\",\"uid\":4294967295,\"gid\":1001");
	refused("/token: 4294967295 is no user or group id");
	put_token("\"sub\":\"root\",\"uid\":1001,\"gid\":1001");
	refused("/token: user name root with user id 1001");
	put_token("\"sub\":\"../etc\",\"uid\":1001,\"gid\":1001");
	refused("/token: user name \"../etc\": expected up to 32 of a-z 0-9 "
	    "_ . - beginning with a-z or _");

	snprintf(claims, sizeof claims, "{\"exp\":%lld," ALICE "}",
	    (long long)t.now - 3600);
	tokens_make(&key_a, NULL, claims, token);
	put(t.token, token);
	refused("expired");
	put_token(ALICE);
	put_key(&key_b);
	refused("");
	put_key(&key_a);
	put_nul();
	refused("/token: has a NUL byte");
}

static void
token_files_are_limited(void **state)
{
	static char	big[JWT_TOKEN_MAX + 128];

	(void)state;
	use_token();
	put_key(&key_a);
	memset(big, 'a', sizeof big - 1);
	put(t.token, big);
	refused("/token: too large for a token");
}

static void
T6_USERNAME_has_to_agree(void **state)
{
	struct identity	*id;

	(void)state;
	put(t.profile, "username: alice\nuid: 1001\ngid: 1001\n");
	setenv("USERNAME", "bob", 1);
	refused("/profile.yaml: user name \"alice\" differs from "
	    "USERNAME=bob");
	use_token();
	put_key(&key_a);
	put_token(ALICE);
	refused("/token: user name \"alice\" differs from USERNAME=bob");
	/* A desktop's USERNAME says nothing about the workspace. */
	identity_destroy(load(true));
	setenv("USERNAME", "alice", 1);
	id = load(false);
	assert_int_equal(id->from, IDENTITY_JWT);
	identity_destroy(id);
}

/* -- profile -- */

static void
a_profile_is_used_when_there_is_no_token(void **state)
{
	struct identity	*id;

	(void)state;
	setenv("USERNAME", "alice", 1);
	setenv("USER_UID", "7", 1);
	setenv("USER_GID", "7", 1);
	put(t.profile, "username: alice\nuid: \"1001\"\ngid: \"0\"\n"
	    "fullname: Alice\nemail: a@b\norganization: acme\nshell: /bin/sh\n"
	    "source: ldap\nsudo: true\nroles: [r]\n");
	id = load(false);
	assert_int_equal(id->from, IDENTITY_PROFILE);
	assert_string_equal(id->username, "alice");
	assert_string_equal(id->home, "/home/alice");
	assert_string_equal(id->fullname, "Alice");
	assert_string_equal(id->email, "a@b");
	assert_string_equal(id->organization, "acme");
	assert_string_equal(id->shell, "/bin/sh");
	assert_string_equal(id->source, "ldap");
	assert_int_equal(id->uid, 1001);
	assert_int_equal(id->gid, 0);
	assert_true(id->sudo);
	assert_int_equal(id->nroles, 1);
	assert_null(id->token);
	assert_null(id->key);
	identity_destroy(id);
}

static void
an_unusable_profile_is_an_error(void **state)
{
	(void)state;
	setenv("USERNAME", "alice", 1);
	setenv("USER_UID", "7", 1);
	setenv("USER_GID", "7", 1);
	put(t.profile, "username: alice\ngid: 1\n");
	refused("/profile.yaml: uid is missing");
	put(t.profile, "username: alice\nuid: 1\n");
	refused("/profile.yaml: gid is missing");
	put(t.profile, "uid: 1\ngid: 1\n");
	refused("/profile.yaml: username is missing");
	put(t.profile, "username: alice\nuid: '0'\ngid: 1\n");
	refused("/profile.yaml: user id 0 (root) can't own a workspace");
	put(t.profile, "username: alice\nuid: 1\ngid: 4294967295\n");
	refused("/profile.yaml: 4294967295 is no user or group id");
	put(t.profile, "username: Alice\nuid: 1\ngid: 1\n");
	refused("/profile.yaml: user name \"Alice\": expected up to 32 of "
	    "a-z 0-9 _ . - beginning with a-z or _");
	put(t.profile, "username: alice\nuid: one\ngid: 1\n");
	refused("/profile.yaml:2:6: uid: expected a decimal id from 0 to "
	    "4294967295, got \"one\"");
	put(t.profile, "");
	refused("/profile.yaml: is empty");
	unlink(t.profile);
	assert_int_equal(mkdir(t.profile, 0700), 0);
	refused("/profile.yaml: Is a directory");
	assert_int_equal(rmdir(t.profile), 0);
}

/* -- environment -- */

static void
the_environment_is_used_when_there_is_no_profile(void **state)
{
	struct identity	*id;

	(void)state;
	setenv("USERNAME", "alice", 1);
	setenv("USER_UID", "1001", 1);
	setenv("USER_GID", "1002", 1);
	setenv("USEREMAIL", "a@b", 1);
	setenv("USERFULLNAME", "Alice", 1);
	id = load(true);
	assert_int_equal(id->from, IDENTITY_ENV);
	assert_string_equal(id->username, "alice");
	assert_string_equal(id->home, "/home/alice");
	assert_string_equal(id->email, "a@b");
	assert_string_equal(id->fullname, "Alice");
	assert_string_equal(id->shell, "");
	assert_string_equal(id->source, "");
	assert_int_equal(id->uid, 1001);
	assert_int_equal(id->gid, 1002);
	assert_false(id->sudo);
	identity_destroy(id);
}

static void
an_unusable_environment_is_an_error(void **state)
{
	(void)state;
	setenv("USERNAME", "alice", 1);
	refused("/profile.yaml, and USERNAME, USER_UID, USER_GID are not "
	    "set");
	setenv("USER_UID", "1001", 1);
	refused("environment variable USER_GID: expected a decimal id, "
	    "got \"\"");
	setenv("USER_GID", "-1", 1);
	refused("environment variable USER_GID: expected a decimal id, "
	    "got \"-1\"");
	setenv("USER_GID", "1001", 1);
	setenv("USER_UID", "0x1", 1);
	refused("environment variable USER_UID: expected a decimal id, "
	    "got \"0x1\"");
	setenv("USER_UID", "0", 1);
	refused("environment: user id 0 (root) can't own a workspace");
	setenv("USER_UID", "1001", 1);
	setenv("USERNAME", "a/b", 1);
	refused("environment: user name \"a/b\": expected up to 32 of a-z "
	    "0-9 _ . - beginning with a-z or _");
}

/* -- standalone -- */

static void
standalone_is_whoever_started_us(void **state)
{
	struct identity	*id;

	(void)state;
	setenv("USERNAME", "desktop", 1);
	setenv("HOME", "/somewhere", 1);
	id = load(true);
	assert_int_equal(id->from, IDENTITY_STANDALONE);
	assert_int_equal(id->uid, geteuid());
	assert_int_equal(id->gid, getegid());
	assert_string_equal(id->home, "/somewhere");
	assert_string_not_equal(id->username, "desktop");
	assert_true(id->username[0] != '\0');
	assert_int_equal(id->sudo, geteuid() == 0);
	identity_destroy(id);
	setenv("HOME", "relative", 1);
	id = load(true);
	assert_int_equal(id->home[0], '/');
	identity_destroy(id);
}

static void
uid_0_is_allowed_standalone_as_root_only(void **state)
{
	struct identity	*id;

	(void)state;
	if (geteuid() != 0)
		skip();
	put(t.profile, "username: root\nuid: 0\ngid: 0\n");
	refused("/profile.yaml: user id 0 (root) can't own a workspace");
	id = load(true);
	assert_int_equal(id->uid, 0);
	assert_int_equal(id->from, IDENTITY_PROFILE);
	identity_destroy(id);
}

/* -- renewal -- */

struct heard {
	unsigned	warnings;
	char		last[512];
};

static void
hear(void *arg, enum log_level level, const char *component, const char *text)
{
	struct heard	*h = arg;

	(void)component;
	assert_null(strstr(text, "eyJ"));	/* never a token */
	if (level != LOG_WARN)
		return;
	h->warnings++;
	snprintf(h->last, sizeof h->last, "%s", text);
}

/* Alice by token, watched. */
static struct identity *
watched(struct loop *l)
{
	struct identity	*id;
	unsigned	 n;

	use_token();
	put_key(&key_a);
	put_token(ALICE ",\"source\":\"ldap\"");
	id = load(false);
	for (n = 1; n <= 3; n++) {
		failmalloc_arm(n);
		assert_int_equal(identity_watch_start(id, l, &t.conf),
		    -ENOMEM);
		assert_true(failmalloc_disarm());
		assert_null(id->watch);
	}
	assert_int_equal(identity_watch_start(id, l, &t.conf), 0);
	assert_non_null(id->watch);
	assert_int_equal(identity_watch_start(id, l, &t.conf), 0);
	return id;
}

static void
a_renewal_is_taken_over(void **state)
{
	struct loop	*l = loop_create();
	struct identity	*id = watched(l);
	char		*old = strdup(id->token), *name = id->username;

	(void)state;
	assert_false(identity_refresh(id));
	assert_int_equal(id->generation, 0);
	t.now += 60;
	put_token(ALICE ",\"source\":\"ldap\",\"sudo\":true,"
	    "\"email\":\"new@b\",\"roles\":[\"x\"]");
	assert_true(identity_refresh(id));
	assert_int_equal(id->generation, 1);
	assert_string_not_equal(id->token, old);
	assert_true(id->sudo);
	assert_string_equal(id->email, "new@b");
	assert_int_equal(id->nroles, 1);
	assert_int_equal(id->exp, t.now + 3600);
	assert_ptr_equal(id->username, name);
	assert_false(identity_refresh(id));
	assert_int_equal(id->generation, 1);
	put_token(ALICE ",\"source\":\"ldap\",\"sudo\":false");
	assert_true(identity_refresh(id));
	assert_false(id->sudo);
	assert_int_equal(id->nroles, 0);
	assert_int_equal(id->generation, 2);
	free(old);
	identity_destroy(id);
	loop_destroy(l);
}

/* The renewal in the files is refused: said once, and nothing changes. */
static void
kept(struct identity *id, const char *tail)
{
	struct heard	h = { 0 };
	char		token[CLAIMED_MAX];
	size_t		n, skip_n;

	snprintf(token, sizeof token, "%s", id->token);
	log_set_sink(hear, &h);
	assert_false(identity_refresh(id));
	assert_int_equal(h.warnings, 1);
	assert_false(identity_refresh(id));
	assert_int_equal(h.warnings, 1);
	log_set_sink(NULL, NULL);
	assert_int_equal(id->generation, 0);
	assert_string_equal(id->token, token);
	assert_int_equal(id->uid, 1001);
	assert_non_null(strstr(h.last, "/token: renewal refused, the old "
	    "token stays: "));
	n = strlen(h.last);
	skip_n = strlen(tail);
	if (n < skip_n || strcmp(h.last + n - skip_n, tail) != 0)
		fail_msg("\"%s\" does not end in \"%s\"", h.last, tail);
}

static void
T6_a_renewal_for_somebody_else_is_refused(void **state)
{
	struct loop	*l = loop_create();
	struct identity	*id = watched(l);

	(void)state;
	put_token("\"sub\":\"bob\",\"uid\":1001,\"gid\":1002,"
	    "\"source\":\"ldap\"");
	kept(id, "it is for user bob");
	put_token("\"sub\":\"alice\",\"uid\":1009,\"gid\":1002,"
	    "\"source\":\"ldap\"");
	kept(id, "it changes the ids to 1009:1002");
	put_token("\"sub\":\"alice\",\"uid\":1001,\"gid\":1009,"
	    "\"source\":\"ldap\"");
	kept(id, "it changes the ids to 1001:1009");
	put_token(ALICE ",\"source\":\"local\"");
	kept(id, "it changes the source to \"local\"");
	put_token("\"sub\":\"alice\",\"uid\":0,\"gid\":1002,"
	    "\"source\":\"ldap\"");
	kept(id, "user id 0 (root) can't own a workspace");
	identity_destroy(id);
	loop_destroy(l);
}

static void
T5_an_invalid_renewal_keeps_the_old_token(void **state)
{
	struct loop	*l = loop_create();
	struct identity	*id = watched(l);
	char		 token[CLAIMED_MAX], claims[160];

	(void)state;
	unlink(t.token);
	kept(id, "No such file or directory");
	snprintf(claims, sizeof claims, "{\"exp\":%lld," ALICE
	    ",\"source\":\"ldap\"}", (long long)t.now - 3600);
	tokens_make(&key_a, NULL, claims, token);
	put(t.token, token);
	kept(id, "expired");
	snprintf(claims, sizeof claims, "{\"exp\":%lld," ALICE
	    ",\"source\":\"ldap\"}", (long long)t.now + 7200);
	tokens_make(&key_b, NULL, claims, token);
	put(t.token, token);
	kept(id, "");
	/* With the key that made it, the same token is good. */
	put_key(&key_b);
	assert_true(identity_refresh(id));
	assert_string_equal(id->token, token);
	assert_int_equal(id->generation, 1);
	identity_destroy(id);
	loop_destroy(l);
}

static void
an_expired_token_without_renewal_is_mentioned_once(void **state)
{
	struct loop	*l = loop_create();
	struct identity	*id = watched(l);
	struct heard	 h = { 0 };

	(void)state;
	id->exp = t.now - 3600;
	log_set_sink(hear, &h);
	assert_false(identity_refresh(id));
	assert_false(identity_refresh(id));
	log_set_sink(NULL, NULL);
	assert_int_equal(h.warnings, 1);
	assert_non_null(strstr(h.last, "the token has expired and there is "
	    "no renewal"));
	identity_destroy(id);
	loop_destroy(l);
}

static void
other_sources_are_not_watched(void **state)
{
	struct identity	*id;

	(void)state;
	put(t.profile, "username: alice\nuid: 1001\ngid: 1001\n");
	id = load(false);
	assert_int_equal(identity_watch_start(id, NULL, &t.conf), 0);
	assert_null(id->watch);
	assert_false(identity_refresh(id));
	identity_destroy(id);
	identity_destroy(NULL);
}

/* -- memory -- */

static void
out_of_memory_at_every_allocation(void **state)
{
	struct identity	*id;
	char		 err[ERROR_MAX];
	unsigned	 n, source;
	int		 r;

	(void)state;
	put_key(&key_a);
	put_token(ALICE ",\"roles\":[\"a\",\"b\"]");
	put(t.profile, "username: alice\nuid: 1\ngid: 1\nroles: [a]\n");
	for (source = 0; source < 2; source++) {
		if (source == 1)
			use_token();
		for (n = 1; ; n++) {
			id = NULL;
			failmalloc_arm(n);
			r = identity_load(&id, &t.conf, t.profile, false, err,
			    sizeof err);
			if (!failmalloc_disarm())
				break;
			assert_int_equal(r, -ENOMEM);
			assert_null(id);
		}
		assert_int_equal(r, 0);
		assert_true(n > 8);
		identity_destroy(id);
	}
}

static void
a_renewal_without_memory_changes_nothing_or_everything(void **state)
{
	struct loop	*l = loop_create();
	struct identity	*id = watched(l);
	unsigned	 n;
	bool		 taken;

	(void)state;
	t.now += 60;
	put_token(ALICE ",\"source\":\"ldap\",\"sudo\":true");
	for (n = 1; ; n++) {
		failmalloc_arm(n);
		taken = identity_refresh(id);
		if (!failmalloc_disarm())
			break;
		assert_false(taken);
		assert_false(id->sudo);
		assert_int_equal(id->generation, 0);
	}
	assert_true(taken);
	assert_true(id->sudo);
	identity_destroy(id);
	loop_destroy(l);
}

#define CASE(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(names_are_those_of_the_platform),
		CASE(a_token_is_verified_and_used),
		CASE(a_token_that_fails_is_never_replaced_by_the_profile),
		CASE(T5_T6_unusable_tokens_are_refused),
		CASE(token_files_are_limited),
		CASE(T6_USERNAME_has_to_agree),
		CASE(a_profile_is_used_when_there_is_no_token),
		CASE(an_unusable_profile_is_an_error),
		CASE(the_environment_is_used_when_there_is_no_profile),
		CASE(an_unusable_environment_is_an_error),
		CASE(standalone_is_whoever_started_us),
		CASE(uid_0_is_allowed_standalone_as_root_only),
		CASE(a_renewal_is_taken_over),
		CASE(T6_a_renewal_for_somebody_else_is_refused),
		CASE(T5_an_invalid_renewal_keeps_the_old_token),
		CASE(an_expired_token_without_renewal_is_mentioned_once),
		CASE(other_sources_are_not_watched),
		CASE(out_of_memory_at_every_allocation),
		CASE(a_renewal_without_memory_changes_nothing_or_everything),
	};

	tokens_key_make(&key_a, "a", 0);
	tokens_key_make(&key_b, "b", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
