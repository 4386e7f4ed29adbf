/* conf: the schema, its messages and its defaults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "conf/conf.h"
#include "tests/unit/conf_check.h"
#include "tests/unit/failmalloc.h"

#define SECOND	INT64_C(1000000000)

/* Last warning, and how many; the log's sink. */
struct heard {
	unsigned	count;
	char		last[512];
};

static void
hear(void *arg, enum log_level level, const char *component, const char *text)
{
	struct heard	*h = arg;

	if (level != LOG_WARN)
		return;
	assert_string_equal(component, "conf");
	h->count++;
	snprintf(h->last, sizeof h->last, "%s", text);
}

static void
warns(const char *text, const char *message)
{
	struct conf	c;
	struct heard	h = { 0 };

	log_set_sink(hear, &h);
	good(&c, text);
	log_set_sink(NULL, NULL);
	assert_int_equal(h.count, 1);
	assert_int_equal(c.warnings, 1);
	assert_string_equal(h.last, message);
	conf_finish(&c);
}

/* What spec/bootstrap.md 3.1 says of a key that is not there. */
static void
assert_defaults(const struct conf *c)
{
	assert_false(c->pprof);
	assert_int_equal(c->log_level, LOG_DEBUG);
	assert_false(c->api_server.enabled);
	assert_string_equal(c->api_server.address, "");
	assert_int_equal(c->grpc.port, 0);
	assert_int_equal(c->grpc.enable_tls, CONF_UNSET);
	assert_string_equal(c->grpc.cert_file, "");
	assert_string_equal(c->grpc.key_file, "");
	assert_int_equal(c->grpc.cert_reload_delay_ns, 2 * SECOND);
	assert_false(c->grpc.auth_enabled);
	assert_string_equal(c->grpc.issuer_url,
	    "https://kubernetes.default.svc.cluster.local");
	assert_string_equal(c->grpc.audience, "");
	assert_string_equal(c->grpc.jwks_file, "");
	assert_int_equal(c->grpc.nallowed, 0);
	assert_false(c->sa_token.enabled);
	assert_false(c->sa_token.cache_tokens);
	assert_true(c->terminate_orphans.enabled);
	assert_int_equal(c->terminate_orphans.check_interval_s, 10);
	assert_int_equal(c->terminate_orphans.nexclude, 0);
	assert_int_equal(c->terminate_orphans.escalate_after_ns, 0);
	assert_int_equal(c->shutdown_grace_ns, INT64_C(10000000000));
	assert_true(c->reap_zombies.enabled);
	assert_int_equal(c->shells.detached_ttl_ns, 1800 * SECOND);
	assert_false(c->shells.allow_unlimited_ttl);
	assert_false(c->shells.allow_session_detach);
	assert_false(c->shells.kill_on_lost_attach);
	assert_string_equal(c->identity.token_path, "");
	assert_string_equal(c->identity.public_key_path, "");
	assert_int_equal(c->identity.signing_method, CONF_RS256);
	assert_int_equal(c->limits.forks_per_second, 200);
	assert_int_equal(c->limits.fork_burst, 256);
	assert_int_equal(c->limits.starting_max, 256);
	assert_int_equal(c->limits.connections, 64);
	assert_int_equal(c->limits.unauthenticated, 16);
	assert_int_equal(c->limits.h2.max_streams, 0);
	assert_int_equal(c->limits.h2.write_stall_ms, 0);
}

static void
defaults_are_those_of_the_platform(void **state)
{
	struct conf	c;

	(void)state;
	conf_init(&c);
	assert_defaults(&c);
	conf_finish(&c);
}

static void
empty_documents_are_defaults_and_a_warning(void **state)
{
	static const char *const	docs[] = {
		"", "\n", "# nothing\n", "---\n", "null\n", "~", "--- \n...\n",
	};
	struct conf	c;
	size_t		i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(docs); i++) {
		warns(docs[i], "config.yaml: empty, defaults are used");
		good(&c, docs[i]);
		assert_defaults(&c);
		conf_finish(&c);
	}
}

/* As the provisioner of today writes it. */
static const char	platform[] =
    "system:\n"
    "  pprof: false\n"
    "  apiServer:\n"
    "    enabled: true\n"
    "    address: http://api-server.k8shell:9101\n"
    "  grpc:\n"
    "    port: 2822\n"
    "    enableTLS: true\n"
    "    certFile: /etc/tls/k8shelld/tls.crt\n"
    "    keyFile: \"/etc/tls/k8shelld/tls.key\"\n"
    "    certReloadDelay: 0s\n"
    "    issuerURL: \"\"\n"
    "    audience: k8shelld\n"
    "    allowed:\n"
    "    - namespace: k8shell\n"
    "      serviceAccount: ssh-proxy\n"
    "    - {namespace: \"\", serviceAccount: \"*\"}\n"
    "saToken:\n"
    "  enabled: true\n"
    "  cacheTokens: true\n"
    "terminateOrphans:\n"
    "  enabled: true\n"
    "  checkInterval: 5\n"
    "  exclude: ['^/usr/bin/dockerd( |$)', \"tmux: server\"]\n"
    "reapZombies:\n"
    "  enabled: false\n"
    "shells:\n"
    "  detachedTTL: 1h30m\n"
    "  allowUnlimittedTTL: true\n"
    "  allowSessionDetach: true\n";

static void
assert_platform(const struct conf *c)
{
	assert_int_equal(c->warnings, 0);
	assert_true(c->api_server.enabled);
	assert_string_equal(c->api_server.address,
	    "http://api-server.k8shell:9101");
	assert_int_equal(c->grpc.port, 2822);
	assert_int_equal(c->grpc.enable_tls, CONF_ON);
	assert_string_equal(c->grpc.cert_file, "/etc/tls/k8shelld/tls.crt");
	assert_string_equal(c->grpc.key_file, "/etc/tls/k8shelld/tls.key");
	assert_int_equal(c->grpc.cert_reload_delay_ns, 2 * SECOND);
	assert_false(c->grpc.auth_enabled);
	assert_string_equal(c->grpc.issuer_url,
	    "https://kubernetes.default.svc.cluster.local");
	assert_string_equal(c->grpc.audience, "k8shelld");
	assert_int_equal(c->grpc.nallowed, 2);
	assert_string_equal(c->grpc.allowed[0].ns, "k8shell");
	assert_string_equal(c->grpc.allowed[0].account, "ssh-proxy");
	assert_string_equal(c->grpc.allowed[1].ns, "");
	assert_string_equal(c->grpc.allowed[1].account, "*");
	assert_true(c->sa_token.enabled);
	assert_true(c->sa_token.cache_tokens);
	assert_int_equal(c->terminate_orphans.check_interval_s, 5);
	assert_int_equal(c->terminate_orphans.nexclude, 2);
	assert_string_equal(c->terminate_orphans.exclude[0],
	    "^/usr/bin/dockerd( |$)");
	assert_string_equal(c->terminate_orphans.exclude[1], "tmux: server");
	assert_false(c->reap_zombies.enabled);
	assert_int_equal(c->shells.detached_ttl_ns, 5400 * SECOND);
	assert_true(c->shells.allow_unlimited_ttl);
	assert_true(c->shells.allow_session_detach);
}

static void
the_file_of_the_provisioner_is_read_whole(void **state)
{
	struct conf	c;

	(void)state;
	good(&c, platform);
	assert_platform(&c);
	conf_finish(&c);
}

static void
our_own_keys_are_read(void **state)
{
	struct conf	c;

	(void)state;
	good(&c, "system: {grpc: {jwksFile: /k}, logLevel: warn}\n"
	    "shells: {killOnLostAttach: yes}\n"
	    "identity: {tokenPath: /t, publicKeyPath: /p,\n"
	    "  signingMethod: es256}\n"
	    "limits: {forksPerSecond: 1, forkBurst: 2, starting: 3,\n"
	    "  connections: 4, unauthenticated: 5, h2: {maxStreams: 6,\n"
	    "  resetBurst: 7, resetPerSecond: 8, keepalive: 9s,\n"
	    "  keepaliveWait: 10ms, settingsAck: 11s, idle: 12m,\n"
	    "  handshake: 13s, firstToken: 14s, writeStall: 1.5s}}\n");
	assert_int_equal(c.warnings, 0);
	assert_string_equal(c.grpc.jwks_file, "/k");
	assert_int_equal(c.log_level, LOG_WARN);
	assert_true(c.shells.kill_on_lost_attach);
	assert_string_equal(c.identity.token_path, "/t");
	assert_string_equal(c.identity.public_key_path, "/p");
	assert_int_equal(c.identity.signing_method, CONF_ES256);
	assert_int_equal(c.limits.forks_per_second, 1);
	assert_int_equal(c.limits.fork_burst, 2);
	assert_int_equal(c.limits.starting_max, 3);
	assert_int_equal(c.limits.connections, 4);
	assert_int_equal(c.limits.unauthenticated, 5);
	assert_int_equal(c.limits.h2.max_streams, 6);
	assert_int_equal(c.limits.h2.reset_burst, 7);
	assert_int_equal(c.limits.h2.reset_per_second, 8);
	assert_int_equal(c.limits.h2.keepalive_ms, 9000);
	assert_int_equal(c.limits.h2.keepalive_wait_ms, 10);
	assert_int_equal(c.limits.h2.settings_ack_ms, 11000);
	assert_int_equal(c.limits.h2.idle_ms, 720000);
	assert_int_equal(c.limits.h2.handshake_ms, 13000);
	assert_int_equal(c.limits.h2.first_token_ms, 14000);
	assert_int_equal(c.limits.h2.write_stall_ms, 1500);
	conf_finish(&c);
}

static void
unknown_keys_warn_with_place_and_path(void **state)
{
	(void)state;
	warns("system:\n  grpc:\n    prot: 1\n",
	    "config.yaml:3:5: system.grpc.prot: unknown key, ignored");
	warns("  mainUser: {a: {b: [1]}}\n",
	    "config.yaml:1:3: mainUser: unknown key, ignored");
	warns("system.logLevel: info\n",
	    "config.yaml:1:1: system.logLevel: unknown key, ignored");
	warns("system: {grpc: {allowed: [{serviceAccount: a, ns: b}]}}\n",
	    "config.yaml:1:47: system.grpc.allowed[0].ns: "
	    "unknown key, ignored");
	warns("System: {}\n", "config.yaml:1:1: System: unknown key, ignored");
	warns("\"a\\nb\": 1\n",
	    "config.yaml:1:1: a\\x0ab: unknown key, ignored");
}

static void
what_can_not_work_warns(void **state)
{
	(void)state;
	warns("system: {pprof: true}\n",
	    "config.yaml:1:10: system.pprof: not available, ignored");
	warns("system: {grpc: {allowed: [{namespace: a}]}}\n",
	    "config.yaml:1:27: system.grpc.allowed[0]: no serviceAccount, "
	    "so it allows nobody");
}

static void
bools_are_those_of_go_yaml(void **state)
{
	static const char *const	yes[] = {
		"true", "True", "TRUE", "yes", "on", "y", "Y",
	};
	static const char *const	no[] = {
		"false", "False", "FALSE", "no", "off", "n", "N",
	};
	char		text[64];
	struct conf	c;
	size_t		i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(yes); i++) {
		snprintf(text, sizeof text, "saToken: {enabled: %s}", yes[i]);
		good(&c, text);
		assert_true(c.sa_token.enabled);
		conf_finish(&c);
		snprintf(text, sizeof text, "reapZombies: {enabled: %s}",
		    no[i]);
		good(&c, text);
		assert_false(c.reap_zombies.enabled);
		conf_finish(&c);
	}
}

static void
wrong_bools_are_errors(void **state)
{
	(void)state;
	bad("saToken:\n  enabled: 1\n", "config.yaml:2:12: saToken.enabled: "
	    "expected true or false, got \"1\"");
	bad("saToken:\n  enabled: \"true\"\n", "config.yaml:2:12: "
	    "saToken.enabled: expected true or false, got \"true\"");
	bad("saToken:\n  enabled: [true]\n", "config.yaml:2:12: "
	    "saToken.enabled: expected true or false, got a list");
	bad("saToken:\n  enabled: {}\n", "config.yaml:2:12: "
	    "saToken.enabled: expected true or false, got a mapping");
	bad("saToken: {enabled: tru\x7e}", "config.yaml:1:20: "
	    "saToken.enabled: expected true or false, got \"tru~\"");
}

static void
weakness_5_a_bad_pattern_is_an_error_with_its_place(void **state)
{
	(void)state;
	bad("terminateOrphans:\n exclude: [sshd, 'a(b']",
	    "config.yaml:2:18: terminateOrphans.exclude[1]: expected an "
	    "extended regular expression (Unmatched ( or \\(), got \"a(b\"");
	bad("terminateOrphans: {exclude: ['[a']}",
	    "config.yaml:1:30: terminateOrphans.exclude[0]: expected an "
	    "extended regular expression (Unmatched [, [^, [:, [., or [=), "
	    "got \"[a\"");
	bad("terminateOrphans: {escalateAfter: 25h}",
	    "config.yaml:1:35: terminateOrphans.escalateAfter: expected a "
	    "duration from 0s to 24h0m0s, got \"25h\"");
	bad("system: {shutdown: {grace: 17s}}", "config.yaml:1:28: "
	    "system.shutdown.grace: expected a duration from 0s to 16s, "
	    "got \"17s\"");
}

static void
integers_hold_their_range(void **state)
{
	struct conf	c;

	(void)state;
	good(&c, "system: {grpc: {port: 65535}}");
	assert_int_equal(c.grpc.port, 65535);
	conf_finish(&c);
	good(&c, "system: {grpc: {port: 0}}");
	conf_finish(&c);
	bad("system: {grpc: {port: 65536}}", "config.yaml:1:23: "
	    "system.grpc.port: expected an integer from 0 to 65535, "
	    "got \"65536\"");
	bad("terminateOrphans:\n checkInterval: -1", "config.yaml:2:17: "
	    "terminateOrphans.checkInterval: expected an integer from "
	    "0 to 86400, got \"-1\"");
	bad("limits: {starting: 0}", "config.yaml:1:20: limits.starting: "
	    "expected an integer from 1 to 4096, got \"0\"");
	bad("limits: {starting: 4097}", "config.yaml:1:20: limits.starting: "
	    "expected an integer from 1 to 4096, got \"4097\"");
	good(&c, "limits: {starting: 4096}");
	assert_int_equal(c.limits.starting_max, 4096);
	conf_finish(&c);
}

static void
other_ways_to_write_integers_are_errors(void **state)
{
	static const char *const	wrong[] = {
		"2822.0", "0x10", "0o17", "010", "1_000", "+5", "5 6", "1e3",
		"18446744073709551616", "x", ".inf",
	};
	char	text[64], message[160];
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(wrong); i++) {
		snprintf(text, sizeof text, "system:\n grpc:\n  port: %s",
		    wrong[i]);
		snprintf(message, sizeof message, "config.yaml:3:9: "
		    "system.grpc.port: expected an integer from 0 to 65535, "
		    "got \"%s\"", wrong[i]);
		bad(text, message);
	}
	bad("system: {grpc: {port: '2822'}}", "config.yaml:1:23: "
	    "system.grpc.port: expected an integer from 0 to 65535, "
	    "got \"2822\"");
	bad("system: {grpc: {port: !!str 2822}}", "config.yaml:1:23: "
	    "system.grpc.port: expected an integer from 0 to 65535, "
	    "got \"2822\"");
}

static void
ttl_empty_is_thirty_minutes_and_zero_is_never(void **state)
{
	struct conf	c;

	(void)state;
	good(&c, "shells: {detachedTTL: \"\"}");
	assert_int_equal(c.shells.detached_ttl_ns, 1800 * SECOND);
	conf_finish(&c);
	good(&c, "shells: {detachedTTL: 0s}");
	assert_int_equal(c.shells.detached_ttl_ns, 0);
	conf_finish(&c);
	good(&c, "shells: {detachedTTL: \"500ms\"}");
	assert_int_equal(c.shells.detached_ttl_ns, SECOND / 2);
	conf_finish(&c);
}

static void
wrong_durations_are_errors(void **state)
{
	(void)state;
	bad("shells: {detachedTTL: 30}", "config.yaml:1:23: "
	    "shells.detachedTTL: expected a duration such as 30m or 1h30m, "
	    "got \"30\"");
	bad("shells: {detachedTTL: 5 minutes}", "config.yaml:1:23: "
	    "shells.detachedTTL: expected a duration such as 30m or 1h30m, "
	    "got \"5 minutes\"");
	bad("shells: {detachedTTL: [1s]}", "config.yaml:1:23: "
	    "shells.detachedTTL: expected a duration such as 30m or 1h30m, "
	    "got a list");
	bad("shells: {detachedTTL: -1s}", "config.yaml:1:23: "
	    "shells.detachedTTL: expected a duration of at least 0s, "
	    "got \"-1s\"");
	bad("system: {grpc: {certReloadDelay: 25h}}", "config.yaml:1:34: "
	    "system.grpc.certReloadDelay: expected a duration from 0s to "
	    "24h0m0s, got \"25h\"");
	bad("system: {grpc: {certReloadDelay: ''}}", "config.yaml:1:34: "
	    "system.grpc.certReloadDelay: expected a duration such as 30m "
	    "or 1h30m, got \"\"");
	bad("limits: {h2: {idle: 1us}}", "config.yaml:1:21: limits.h2.idle: "
	    "expected a duration from 1ms to 24h0m0s, got \"1us\"");
}

static void
log_level_is_one_of_five(void **state)
{
	struct conf	c;

	(void)state;
	good(&c, "system: {logLevel: fatal}");
	assert_int_equal(c.log_level, LOG_FATAL);
	conf_finish(&c);
	bad("system: {logLevel: \"\"}", "config.yaml:1:20: system.logLevel: "
	    "expected debug, info, warn, error or fatal, got \"\"");
	bad("system: {logLevel: verbose}", "config.yaml:1:20: "
	    "system.logLevel: expected debug, info, warn, error or fatal, "
	    "got \"verbose\"");
}

static void
signing_method_ignores_case(void **state)
{
	struct conf	c;

	(void)state;
	good(&c, "identity: {signingMethod: Es256}");
	assert_int_equal(c.identity.signing_method, CONF_ES256);
	conf_finish(&c);
	good(&c, "identity: {signingMethod: 'rs256'}");
	assert_int_equal(c.identity.signing_method, CONF_RS256);
	conf_finish(&c);
	bad("identity: {signingMethod: hs256}", "config.yaml:1:27: "
	    "identity.signingMethod: expected RS256 or ES256, got \"hs256\"");
	bad("identity: {signingMethod: none}", "config.yaml:1:27: "
	    "identity.signingMethod: expected RS256 or ES256, got \"none\"");
}

static void
wrong_text_and_lists_are_errors(void **state)
{
	(void)state;
	bad("system: {grpc: {audience: [a]}}", "config.yaml:1:27: "
	    "system.grpc.audience: expected text, got a list");
	bad("system: {grpc: {allowed: x}}", "config.yaml:1:26: "
	    "system.grpc.allowed: expected a list of callers, got \"x\"");
	bad("system: {grpc: {allowed: [x]}}", "config.yaml:1:27: "
	    "system.grpc.allowed[0]: expected {namespace, serviceAccount}, "
	    "got \"x\"");
	bad("system: {grpc: {allowed: [{}, {namespace: []}]}}",
	    "config.yaml:1:43: system.grpc.allowed[1].namespace: "
	    "expected text, got a list");
	bad("terminateOrphans: {exclude: a}", "config.yaml:1:29: "
	    "terminateOrphans.exclude: expected a list of patterns, "
	    "got \"a\"");
	bad("terminateOrphans: {exclude: [a, '']}", "config.yaml:1:33: "
	    "terminateOrphans.exclude[1]: expected a pattern, got \"\"");
	bad("terminateOrphans:\n  exclude:\n  -\n", "config.yaml:3:4: "
	    "terminateOrphans.exclude[0]: expected a pattern, got nothing");
	bad("terminateOrphans: {exclude: [[a]]}", "config.yaml:1:30: "
	    "terminateOrphans.exclude[0]: expected a pattern, got a list");
	bad("system: 5", "config.yaml:1:9: system: expected a mapping, "
	    "got \"5\"");
	bad("- a\n", "config.yaml:1:1: expected a mapping, got a list");
	bad("hello", "config.yaml:1:1: expected a mapping, got \"hello\"");
}

static void
long_and_hostile_values_stay_one_short_line(void **state)
{
	char		text[300], err[CONF_ERROR_MAX];
	struct conf	c;

	(void)state;
	bad("saToken: {enabled: \"\\n\\e[31m\"}", "config.yaml:1:20: "
	    "saToken.enabled: expected true or false, "
	    "got \"\\x0a\\x1b[31m\"");
	memset(text, 'x', sizeof text);
	memcpy(text, "saToken: {enabled: ", 19);
	memcpy(text + sizeof text - 2, "}", 2);
	assert_int_equal(parse(&c, text, err), -EINVAL);
	assert_non_null(strstr(err, "xxx...\""));
	assert_true(strlen(err) < 160);
	conf_finish(&c);
}

static void
null_is_the_default(void **state)
{
	struct conf	c;

	(void)state;
	good(&c, "system:\n  logLevel:\n  grpc:\n    port: ~\n    audience: "
	    "null\n    allowed: Null\n    certReloadDelay:\n"
	    "saToken:\nshells:\n  detachedTTL: NULL\n"
	    "terminateOrphans: {exclude: , enabled: }\n"
	    "identity: {signingMethod: }\n");
	assert_int_equal(c.warnings, 0);
	assert_defaults(&c);
	conf_finish(&c);
	good(&c, "system: {grpc: {audience: \"null\"}}");
	assert_string_equal(c.grpc.audience, "null");
	conf_finish(&c);
}

/* -- robustness -- */

static void
every_shortened_file_is_read_or_refused(void **state)
{
	char		err[CONF_ERROR_MAX];
	struct conf	c;
	size_t		n;
	int		r;

	(void)state;
	log_set_level(LOG_ERROR);
	for (n = 0; n < sizeof platform - 1; n++) {
		conf_init(&c);
		r = conf_parse(&c, "config.yaml", platform, n, err,
		    sizeof err);
		assert_true(r == 0 || r == -EINVAL);
		assert_true(r == 0 || str_prefix(err, "config.yaml:"));
		conf_finish(&c);
	}
	log_set_level(LOG_INFO);
}

static void
short_error_buffers_are_filled_and_terminated(void **state)
{
	char		err[CONF_ERROR_MAX];
	struct conf	c;
	size_t		n;

	(void)state;
	for (n = 1; n < 90; n++) {
		conf_init(&c);
		memset(err, '!', sizeof err);
		assert_int_equal(conf_parse(&c, "config.yaml",
		    "saToken: {enabled: x}", 21, err, n), -EINVAL);
		assert_true(strlen(err) < n);
		assert_int_equal(err[n], '!');
		conf_finish(&c);
	}
}

static void
out_of_memory_is_an_error_at_every_allocation(void **state)
{
	char		err[CONF_ERROR_MAX];
	struct conf	c;
	unsigned	n;
	int		r;

	(void)state;
	for (n = 1; ; n++) {
		conf_init(&c);
		failmalloc_arm(n);
		r = conf_parse(&c, "config.yaml", platform,
		    sizeof platform - 1, err, sizeof err);
		if (!failmalloc_disarm())
			break;
		assert_int_equal(r, -ENOMEM);
		assert_string_equal(err, "config.yaml: out of memory");
		conf_finish(&c);
	}
	assert_int_equal(r, 0);
	assert_true(n > 10);
	assert_platform(&c);
	conf_finish(&c);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_platform),
		cmocka_unit_test(empty_documents_are_defaults_and_a_warning),
		cmocka_unit_test(the_file_of_the_provisioner_is_read_whole),
		cmocka_unit_test(our_own_keys_are_read),
		cmocka_unit_test(unknown_keys_warn_with_place_and_path),
		cmocka_unit_test(what_can_not_work_warns),
		cmocka_unit_test(bools_are_those_of_go_yaml),
		cmocka_unit_test(wrong_bools_are_errors),
		cmocka_unit_test(weakness_5_a_bad_pattern_is_an_error_with_its_place),
		cmocka_unit_test(integers_hold_their_range),
		cmocka_unit_test(other_ways_to_write_integers_are_errors),
		cmocka_unit_test(ttl_empty_is_thirty_minutes_and_zero_is_never),
		cmocka_unit_test(wrong_durations_are_errors),
		cmocka_unit_test(log_level_is_one_of_five),
		cmocka_unit_test(signing_method_ignores_case),
		cmocka_unit_test(wrong_text_and_lists_are_errors),
		cmocka_unit_test(long_and_hostile_values_stay_one_short_line),
		cmocka_unit_test(null_is_the_default),
		cmocka_unit_test(every_shortened_file_is_read_or_refused),
		cmocka_unit_test(short_error_buffers_are_filled_and_terminated),
		cmocka_unit_test(out_of_memory_is_an_error_at_every_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
