#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "auth/gate.h"
#include "auth/identity.h"
#include "auth/jwt.h"
#include "auth/oidc.h"
#include "base/log.h"
#include "base/str.h"
#include "conf/conf.h"
#include "loop/loop.h"
#include "proc/reap.h"
#include "tests/unit/failmalloc.h"
#include "tests/unit/tokens.h"

#define NOW	INT64_C(1700000000)
#define ISSUER	"https://issuer.example"

/* What the server keeps of a call, as far as the gate can see. */
struct grpc_call {
	char	subject[400];
	int	verdict;
	int	answers;
	char	why[200];
};

int
grpc_call_set_subject(struct grpc_call *c, const char *subject)
{
	tokens_format(c->subject, sizeof c->subject, "%s", subject);
	return 0;
}

void
grpc_authorized(struct grpc_call *c, int verdict, const char *why)
{
	c->verdict = verdict;
	c->answers++;
	tokens_format(c->why, sizeof c->why, "%s", why != NULL ? why : "");
}

static struct tokens_key	cluster, rotated, workspace;
static char			jwks_path[] = "/tmp/test_gate.XX" "XX" "XX";
static char			shared_path[] = "/tmp/test_gate.XX" "XX" "XX";
static int64_t			wall;

static struct loop		*l;
static struct reap		*reaper;
static struct oidc		*oidc;
static struct gate		*gate;
static struct gate_options	opt;
static struct grpc_auth		auth;
static struct conf_grpc		conf;
static struct conf_allowed	rules[4];
static struct identity		identity;
static struct grpc_peer		peer;
static struct grpc_call		call;
static char			token[TOKENS_TEXT_MAX];
static char			header[TOKENS_TEXT_MAX + 16];
static const char		*why;

static int64_t
test_wall(void)
{
	return wall;
}

static void
write_file(const char *path, const char *text)
{
	FILE	*f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static void
write_jwks(const struct tokens_key *k, const char *kid)
{
	char	text[4096], jwk[2048];

	tokens_jwk(k, kid, "", jwk, sizeof jwk);
	tokens_format(text, sizeof text, "{\"keys\":[%s]}", jwk);
	write_file(jwks_path, text);
}

static int
setup_all(void **state)
{
	int	a, b;

	(void)state;
	log_setup(LOG_FATAL, 2);
	tokens_key_make(&cluster, "cluster", 0);
	tokens_key_make(&rotated, "rotated", 0);
	tokens_key_make(&workspace, "workspace", 0);
	a = mkstemp(jwks_path);
	b = mkstemp(shared_path);
	return a < 0 || b < 0 || close(a) < 0 || close(b) < 0;
}

static int
teardown_all(void **state)
{
	(void)state;
	unlink(jwks_path);
	unlink(shared_path);
	return 0;
}

static size_t
make_sa(const struct tokens_key *k, const char *kid, const char *claims)
{
	size_t	n = tokens_make(k, kid, claims, token);

	tokens_format(header, sizeof header, "Bearer %s", token);
	return n;
}

#define SA(iss, aud, ns, name, exp)					\
	"{\"iss\":\"" iss "\",\"aud\":[\"" aud "\"],\"exp\":" exp ","	\
	"\"nbf\":1699999990,\"kubernetes.io\":{\"namespace\":\"" ns "\"," \
	"\"serviceaccount\":{\"name\":\"" name "\"}}}"
#define GOOD_SA	SA(ISSUER, "k8shelld", "prod", "ssh-proxy", "1700000600")

static char *
own_token(const char *jti)
{
	char	claims[256];

	tokens_format(claims, sizeof claims, "{\"sub\":\"alice\",\"uid\":1000,"
	    "\"iss\":\"k8shell\",\"jti\":\"%s\",\"exp\":1700000600}", jti);
	tokens_make(&workspace, NULL, claims, token);
	tokens_format(header, sizeof header, "Bearer %s", token);
	return strdup(token);
}

static int
setup(void **state)
{
	struct oidc_options	o = { .issuer_url = ISSUER,
	    .jwks_file = jwks_path };
	char			pem[2048];
	size_t			n;

	(void)state;
	wall = NOW;
	write_jwks(&cluster, "c1");
	assert_non_null(l = loop_create());
	assert_non_null(reaper = reap_create(false));
	assert_int_equal(oidc_create(&oidc, l, reaper, &o), 0);
	memset(&identity, 0, sizeof identity);
	identity.from = IDENTITY_JWT;
	identity.username = (char *)"alice";
	identity.uid = 1000;
	identity.generation = 1;
	n = tokens_public_pem(&workspace, pem);
	assert_int_equal(jwt_key_from_pem(&identity.key, pem, n, JWT_ES256,
	    &why), 0);
	identity.token = own_token("1");
	memset(&conf, 0, sizeof conf);
	conf.issuer_url = (char *)ISSUER;
	conf.audience = (char *)"k8shelld";
	rules[0] = (struct conf_allowed){ (char *)"prod",
	    (char *)"ssh-proxy" };
	rules[1] = (struct conf_allowed){ (char *)"", (char *)"api-server" };
	conf.allowed = rules;
	conf.nallowed = 2;
	memset(&opt, 0, sizeof opt);
	opt.conf = &conf;
	opt.own_namespace = "workspaces";
	opt.oidc = oidc;
	opt.identity = &identity;
	opt.enabled = true;
	opt.owner_uid = 1000;
	opt.wall = test_wall;
	assert_non_null(gate = gate_create(l, &opt));
	gate_fill(gate, &auth);
	memset(&peer, 0, sizeof peer);
	memset(&call, 0, sizeof call);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	auth.forget(auth.arg, &peer);
	gate_destroy(gate);
	oidc_destroy(oidc);
	reap_destroy(reaper);
	loop_destroy(l);
	jwt_key_destroy(identity.key);
	free(identity.token);
	return 0;
}

/* The same callers through another gate. */
static void
new_gate(void)
{
	auth.forget(auth.arg, &peer);
	gate_destroy(gate);
	assert_non_null(gate = gate_create(l, &opt));
	gate_fill(gate, &auth);
}

static int
check(const char *authorization)
{
	memset(&call, 0, sizeof call);
	why = NULL;
	return auth.check(auth.arg, &peer, &call, authorization, &why);
}

static int
check_sa(const char *claims)
{
	make_sa(&cluster, "c1", claims);
	return check(header);
}

static void
stop(void *arg)
{
	loop_stop(arg);
}

/* Lets what is queued happen. */
static void
turn(void)
{
	struct loop_task	t = { .fn = stop, .arg = l };

	loop_later(l, &t);
	assert_int_equal(loop_run(l), 0);
}

static void
test_T1_calls_without_a_good_token_are_unauthenticated(void **state)
{
	static const char *const bad[] = {
		NULL, "", " ", "Bearer", "Bearer ", "bearer\t", "Basic abc",
		"Bearerabc", "Token abc", "Bearer abc", "Bearer a.b.c",
		"Bearer bearer x", "Bear er",
	};
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(check(bad[i]), GRPC_UNAUTHENTICATED);
		assert_non_null(why);
		assert_string_equal(call.subject, "");
	}
	assert_null(peer.auth);
}

static void
bearer_scheme_and_blanks_are_forgiving(void **state)
{
	static const char *const forms[] = {
		"Bearer %s", "bearer %s", "BEARER  %s ", "\t bEaReR \t%s\t ",
	};
	static char	text[TOKENS_TEXT_MAX];
	size_t		i;

	(void)state;
	make_sa(&cluster, "c1", GOOD_SA);
	for (i = 0; i < ARRAY_LEN(forms); i++) {
		tokens_format(text, sizeof text, forms[i], token);
		assert_int_equal(check(text), GRPC_OK);
		assert_string_equal(call.subject, "sa:prod/ssh-proxy");
	}
}

static void
test_T9_unix_peers_are_the_owner_or_root(void **state)
{
	(void)state;
	peer.has_uid = true;
	peer.uid = 1000;
	assert_int_equal(check(NULL), GRPC_OK);
	assert_string_equal(call.subject, "uid:1000");
	peer.uid = 0;
	assert_int_equal(check("Bearer whatever"), GRPC_OK);
	assert_string_equal(call.subject, "uid:0");
	peer.uid = 1001;
	assert_int_equal(check(NULL), GRPC_PERMISSION_DENIED);
	make_sa(&cluster, "c1", GOOD_SA);
	assert_int_equal(check(header), GRPC_PERMISSION_DENIED);
	assert_string_equal(call.subject, "");
}

static void
test_TR_24_tokens_are_ignored_when_authentication_is_off(void **state)
{
	(void)state;
	opt.enabled = false;
	new_gate();
	assert_int_equal(check(NULL), GRPC_OK);
	assert_int_equal(check("Bearer nonsense"), GRPC_OK);
	assert_string_equal(call.subject, "");
	assert_null(peer.auth);
	peer.has_uid = true;
	peer.uid = 1001;
	assert_int_equal(check(NULL), GRPC_PERMISSION_DENIED);
}

static void
test_T5_issuer_and_audience_are_compared(void **state)
{
	(void)state;
	assert_int_equal(check_sa(GOOD_SA), GRPC_OK);
	assert_int_equal(check_sa(SA(ISSUER "/", "k8shelld", "prod",
	    "ssh-proxy", "1700000600")), GRPC_UNAUTHENTICATED);
	assert_int_equal(check_sa(SA("", "k8shelld", "prod", "ssh-proxy",
	    "1700000600")), GRPC_UNAUTHENTICATED);
	assert_int_equal(check_sa(SA(ISSUER, "api", "prod", "ssh-proxy",
	    "1700000600")), GRPC_UNAUTHENTICATED);
	assert_int_equal(check_sa("{\"iss\":\"" ISSUER "\","
	    "\"exp\":1700000600}"), GRPC_UNAUTHENTICATED);
	/* Nothing configured: nobody is let in. */
	conf.audience = (char *)"";
	assert_int_equal(check_sa(SA(ISSUER, "", "prod", "ssh-proxy",
	    "1700000601")), GRPC_UNAUTHENTICATED);
}

static void
empty_issuer_is_the_clusters_own(void **state)
{
	(void)state;
	conf.issuer_url = (char *)"";
	assert_int_equal(check_sa(SA(OIDC_ISSUER_DEFAULT, "k8shelld", "prod",
	    "ssh-proxy", "1700000600")), GRPC_OK);
	assert_int_equal(check_sa(GOOD_SA), GRPC_UNAUTHENTICATED);
}

static void
test_TR_23_accounts_must_be_allowed(void **state)
{
	(void)state;
	assert_int_equal(check_sa(SA(ISSUER, "k8shelld", "prod", "other",
	    "1700000600")), GRPC_PERMISSION_DENIED);
	assert_int_equal(check_sa(SA(ISSUER, "k8shelld", "dev", "ssh-proxy",
	    "1700000600")), GRPC_PERMISSION_DENIED);
	assert_int_equal(check_sa(SA(ISSUER, "k8shelld", "", "ssh-proxy",
	    "1700000600")), GRPC_PERMISSION_DENIED);
	assert_int_equal(check_sa(SA(ISSUER, "k8shelld", "prod", "",
	    "1700000600")), GRPC_PERMISSION_DENIED);
	assert_int_equal(check_sa("{\"iss\":\"" ISSUER "\","
	    "\"aud\":\"k8shelld\",\"exp\":1700000600}"),
	    GRPC_PERMISSION_DENIED);
	/* A rule without namespace means our own, not any. */
	assert_int_equal(check_sa(SA(ISSUER, "k8shelld", "workspaces",
	    "api-server", "1700000600")), GRPC_OK);
	assert_string_equal(call.subject, "sa:workspaces/api-server");
	assert_int_equal(check_sa(SA(ISSUER, "k8shelld", "prod",
	    "api-server", "1700000600")), GRPC_PERMISSION_DENIED);
	conf.nallowed = 0;
	assert_int_equal(check_sa(SA(ISSUER, "k8shelld", "prod",
	    "ssh-proxy", "1700000601")), GRPC_PERMISSION_DENIED);
}

static void
stars_allow_any(void **state)
{
	(void)state;
	rules[0] = (struct conf_allowed){ (char *)"*", (char *)"ssh-proxy" };
	rules[1] = (struct conf_allowed){ (char *)"ci", (char *)"*" };
	assert_int_equal(check_sa(SA(ISSUER, "k8shelld", "x", "ssh-proxy",
	    "1700000600")), GRPC_OK);
	assert_int_equal(check_sa(SA(ISSUER, "k8shelld", "ci", "y",
	    "1700000600")), GRPC_OK);
	assert_int_equal(check_sa(SA(ISSUER, "k8shelld", "x", "y",
	    "1700000600")), GRPC_PERMISSION_DENIED);
	assert_int_equal(check_sa(SA(ISSUER, "k8shelld", "", "ssh-proxy",
	    "1700000600")), GRPC_PERMISSION_DENIED);
	rules[0].account = (char *)"*";
	assert_int_equal(check_sa(SA(ISSUER, "k8shelld", "x", "y",
	    "1700000600")), GRPC_OK);
	/* Part of a name is no wildcard. */
	rules[0].ns = (char *)"x*";
	assert_int_equal(check_sa(SA(ISSUER, "k8shelld", "xy", "y",
	    "1700000600")), GRPC_PERMISSION_DENIED);
}

static void
test_T5_only_the_workspaces_own_token_opens_it(void **state)
{
	char	*other;

	(void)state;
	tokens_format(header, sizeof header, "Bearer %s", identity.token);
	assert_int_equal(check(header), GRPC_OK);
	assert_string_equal(call.subject, "user:alice");
	/* Same user, same signer, another workspace. */
	other = own_token("2");
	assert_string_not_equal(other, identity.token);
	assert_true(check(header) != GRPC_OK);
	free(other);
	opt.oidc = NULL;
	new_gate();
	free(own_token("2"));
	assert_int_equal(check(header), GRPC_UNAUTHENTICATED);
	tokens_format(header, sizeof header, "Bearer %s", identity.token);
	assert_int_equal(check(header), GRPC_OK);
}

static void
own_token_is_nothing_to_other_identities(void **state)
{
	(void)state;
	opt.oidc = NULL;
	identity.from = IDENTITY_PROFILE;
	new_gate();
	tokens_format(header, sizeof header, "Bearer %s", identity.token);
	assert_int_equal(check(header), GRPC_UNAUTHENTICATED);
	opt.identity = NULL;
	new_gate();
	assert_int_equal(check(header), GRPC_UNAUTHENTICATED);
}

static void
token_before_the_renewal_is_good_until_it_expires(void **state)
{
	char	old[TOKENS_TEXT_MAX / 8];

	(void)state;
	opt.oidc = NULL;
	new_gate();
	tokens_format(old, sizeof old, "Bearer %s", identity.token);
	assert_int_equal(check(old), GRPC_OK);
	free(identity.token);
	identity.token = own_token("2");
	identity.generation++;
	assert_int_equal(check(old), GRPC_OK);
	assert_int_equal(check(header), GRPC_OK);
	wall = 1700000629;
	assert_int_equal(check(old), GRPC_OK);
	wall = 1700000630;
	assert_int_equal(check(old), GRPC_UNAUTHENTICATED);
	wall = NOW;
	/* Only one generation back. */
	free(identity.token);
	identity.token = own_token("3");
	identity.generation++;
	assert_int_equal(check(header), GRPC_OK);
	assert_int_equal(check(old), GRPC_UNAUTHENTICATED);
}

static void
test_T7_cached_verdict_dies_at_exp(void **state)
{
	(void)state;
	assert_int_equal(check_sa(GOOD_SA), GRPC_OK);
	assert_non_null(peer.auth);
	wall = 1700000629;
	assert_int_equal(check(header), GRPC_OK);
	wall = 1700000630;
	assert_int_equal(check(header), GRPC_UNAUTHENTICATED);
	assert_string_equal(why, "token has expired");
	/* The clock went back before nbf. */
	wall = 1699999959;
	assert_int_equal(check(header), GRPC_UNAUTHENTICATED);
	wall = NOW;
	assert_int_equal(check(header), GRPC_OK);
}

static void
test_T7_one_changed_bit_misses_the_cache(void **state)
{
	size_t	i, n;

	(void)state;
	assert_int_equal(check_sa(GOOD_SA), GRPC_OK);
	n = strlen(header);
	for (i = 7; i < n; i++) {
		header[i] ^= 1;
		assert_true(check(header) != GRPC_OK);
		header[i] ^= 1;
	}
	header[n - 1] = '\0';
	assert_true(check(header) != GRPC_OK);
}

/* With the signature spoilt in place, only the cache could say yes. */
static void
test_T7_cache_is_of_the_connection(void **state)
{
	struct grpc_peer	other;

	(void)state;
	assert_int_equal(check_sa(GOOD_SA), GRPC_OK);
	memset(&other, 0, sizeof other);
	conf.nallowed = 0;		/* a fresh judgement would refuse */
	assert_int_equal(check(header), GRPC_OK);
	assert_int_equal(auth.check(auth.arg, &other, &call, header, &why),
	    GRPC_PERMISSION_DENIED);
	auth.forget(auth.arg, &peer);
	assert_null(peer.auth);
	assert_int_equal(check(header), GRPC_PERMISSION_DENIED);
}

static void
test_T7_cached_verdict_dies_with_the_keys(void **state)
{
	struct grpc_call	pending;

	(void)state;
	assert_int_equal(check_sa(GOOD_SA), GRPC_OK);
	/* The key that signed it is withdrawn; someone makes us look. */
	write_jwks(&rotated, "c2");
	make_sa(&rotated, "c2", GOOD_SA);
	assert_int_equal(check(header), GRPC_AUTH_PENDING);
	turn();
	pending = call;
	assert_int_equal(pending.answers, 1);
	assert_int_equal(pending.verdict, GRPC_OK);
	assert_int_equal(check_sa(GOOD_SA), GRPC_UNAUTHENTICATED);
	/* The identity's key set is another one. */
	tokens_format(header, sizeof header, "Bearer %s", identity.token);
	assert_int_equal(check(header), GRPC_OK);
	identity.generation++;
	identity.username = (char *)"bob";
	assert_int_equal(check(header), GRPC_UNAUTHENTICATED);
}

static void
unknown_key_waits_for_a_fetch_and_fails_after_it(void **state)
{
	(void)state;
	make_sa(&rotated, "c9", GOOD_SA);
	assert_int_equal(check(header), GRPC_AUTH_PENDING);
	assert_int_equal(call.answers, 0);
	turn();
	assert_int_equal(call.answers, 1);
	assert_int_equal(call.verdict, GRPC_UNAUTHENTICATED);
	assert_string_equal(call.why, "signing key of the token is not known");
	/* The next one comes too soon. */
	assert_int_equal(check(header), GRPC_UNAUTHENTICATED);
	/* A wrong signature under a known id is no reason to fetch. */
	make_sa(&rotated, "c1", GOOD_SA);
	assert_int_equal(check(header), GRPC_UNAUTHENTICATED);
	assert_string_equal(why, "signature is wrong");
}

static void
cancelled_calls_are_not_answered(void **state)
{
	static struct grpc_call	calls[3];
	struct grpc_peer	other;
	size_t			i;

	(void)state;
	memset(calls, 0, sizeof calls);
	memset(&other, 0, sizeof other);
	make_sa(&rotated, "c9", GOOD_SA);
	for (i = 0; i < ARRAY_LEN(calls); i++)
		assert_int_equal(auth.check(auth.arg, i == 2 ? &other : &peer,
		    &calls[i], header, &why), GRPC_AUTH_PENDING);
	auth.cancel(auth.arg, &calls[0]);
	auth.forget(auth.arg, &other);
	turn();
	assert_int_equal(calls[0].answers, 0);
	assert_int_equal(calls[1].answers, 1);
	assert_int_equal(calls[2].answers, 0);
	auth.cancel(auth.arg, &calls[1]);
}

static void
sixty_four_calls_wait_and_no_more(void **state)
{
	static struct grpc_call	calls[GATE_WAITING_MAX + 1];
	size_t			i;

	(void)state;
	memset(calls, 0, sizeof calls);
	write_jwks(&rotated, "c9");
	make_sa(&rotated, "c9", GOOD_SA);
	for (i = 0; i <= GATE_WAITING_MAX; i++)
		assert_int_equal(auth.check(auth.arg, &peer, &calls[i],
		    header, &why), i < GATE_WAITING_MAX ? GRPC_AUTH_PENDING :
		    GRPC_UNAUTHENTICATED);
	turn();
	for (i = 0; i < GATE_WAITING_MAX; i++) {
		assert_int_equal(calls[i].answers, 1);
		assert_int_equal(calls[i].verdict, GRPC_OK);
		assert_string_equal(calls[i].subject, "sa:prod/ssh-proxy");
	}
	assert_int_equal(calls[i].answers, 0);
}

static void
a_gate_may_go_while_calls_wait(void **state)
{
	(void)state;
	make_sa(&rotated, "c9", GOOD_SA);
	assert_int_equal(check(header), GRPC_AUTH_PENDING);
	new_gate();
	turn();
	assert_int_equal(call.answers, 0);
}

static void
shared_token_of_a_file(void **state)
{
	(void)state;
	opt.token_file = shared_path;
	opt.oidc = NULL;
	write_file(shared_path, " 0123456789abcdef\n");
	new_gate();
	assert_int_equal(check("Bearer 0123456789abcdef"), GRPC_OK);
	assert_string_equal(call.subject, "token");
	assert_int_equal(check("Bearer 0123456789abcdeg"),
	    GRPC_UNAUTHENTICATED);
	assert_int_equal(check("Bearer 0123456789abcde"),
	    GRPC_UNAUTHENTICATED);
	assert_int_equal(check(NULL), GRPC_UNAUTHENTICATED);
	/* A new one counts within a second, the old one no more. */
	write_file(shared_path, "fedcba9876543210\n");
	wall++;
	assert_int_equal(check("Bearer fedcba9876543210"), GRPC_OK);
	assert_int_equal(check("Bearer 0123456789abcdef"),
	    GRPC_UNAUTHENTICATED);
	/* Too short, and gone. */
	write_file(shared_path, "0123456789abcde\n");
	wall++;
	assert_int_equal(check("Bearer 0123456789abcde"),
	    GRPC_UNAUTHENTICATED);
	opt.token_file = "/nonexistent/token";
	new_gate();
	assert_int_equal(check("Bearer 0123456789abcdef"),
	    GRPC_UNAUTHENTICATED);
}

static void
failing_allocations_never_let_anyone_in(void **state)
{
	unsigned	n;
	int		r;

	(void)state;
	for (n = 1; ; n++) {
		make_sa(&rotated, "c9", GOOD_SA);
		failmalloc_arm(n);
		r = check(header);
		if (!failmalloc_disarm())
			break;
		assert_int_equal(r, GRPC_UNAUTHENTICATED);
	}
	assert_int_equal(r, GRPC_AUTH_PENDING);
	auth.cancel(auth.arg, &call);
	for (n = 1; ; n++) {
		make_sa(&cluster, "c1", GOOD_SA);
		auth.forget(auth.arg, &peer);
		failmalloc_arm(n);
		r = check(header);
		/* Not kept is judged again: right, only slower. */
		assert_int_equal(r, GRPC_OK);
		if (!failmalloc_disarm())
			break;
		assert_null(peer.auth);
	}
	for (n = 1; ; n++) {
		struct gate	*g;

		failmalloc_arm(n);
		g = gate_create(l, &opt);
		if (!failmalloc_disarm()) {
			gate_destroy(g);
			break;
		}
		gate_destroy(g);
	}
}

#define CASE(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_T1_calls_without_a_good_token_are_unauthenticated),
		CASE(bearer_scheme_and_blanks_are_forgiving),
		CASE(test_T9_unix_peers_are_the_owner_or_root),
		CASE(test_TR_24_tokens_are_ignored_when_authentication_is_off),
		CASE(test_TR_23_accounts_must_be_allowed),
		CASE(stars_allow_any),
		CASE(test_T5_issuer_and_audience_are_compared),
		CASE(empty_issuer_is_the_clusters_own),
		CASE(test_T5_only_the_workspaces_own_token_opens_it),
		CASE(own_token_is_nothing_to_other_identities),
		CASE(token_before_the_renewal_is_good_until_it_expires),
		CASE(test_T7_cached_verdict_dies_at_exp),
		CASE(test_T7_one_changed_bit_misses_the_cache),
		CASE(test_T7_cache_is_of_the_connection),
		CASE(test_T7_cached_verdict_dies_with_the_keys),
		CASE(unknown_key_waits_for_a_fetch_and_fails_after_it),
		CASE(cancelled_calls_are_not_answered),
		CASE(sixty_four_calls_wait_and_no_more),
		CASE(a_gate_may_go_while_calls_wait),
		CASE(shared_token_of_a_file),
		CASE(failing_allocations_never_let_anyone_in),
	};

	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
