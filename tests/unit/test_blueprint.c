/* blueprint and quantity: what the workspace was made from. */
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

#include "base/log.h"
#include "base/str.h"
#include "conf/blueprint.h"
#include "conf/quantity.h"
#include "tests/unit/failmalloc.h"

static char	warned[2048];

static void
on_line(void *arg, enum log_level level, const char *component,
    const char *text)
{
	size_t	n = strlen(warned);

	(void)arg;
	(void)component;
	assert_int_equal(level, LOG_WARN);
	snprintf(warned + n, sizeof warned - n, "%s\n", text);
}

static struct blueprint *
parse(const char *text)
{
	struct blueprint	*b = NULL;

	warned[0] = '\0';
	log_setup(LOG_INFO, -1);
	log_set_sink(on_line, NULL);
	assert_int_equal(blueprint_parse(&b, "b.yaml", text, strlen(text)), 0);
	log_set_sink(NULL, NULL);
	assert_non_null(b);
	assert_int_equal(b->len, strlen(text));
	assert_string_equal(b->text, text);
	return b;
}

/* As the provisioner writes it: every field, also the empty ones. */
static const char	platform[] =
    "# inheritance: base <- python\n"
    "metadata:\n"
    "  name: python\n"
    "  repoName: tool\n"
    "  repoRef: main\n"
    "  repoOwner: acme\n"
    "  repoAddress: https://git.example.org\n"
    "blueprint:\n"
    "  splash: |\n"
    "    Hello {{.ShellUsername}}\n"
    "  showInitScriptStatus: true\n"
    "  initScripts: []\n"
    "  enableApps: false\n"
    "  apps: null\n"
    "  image: {name: x, tag: 1}\n"
    "  podman:\n"
    "    enabled: true\n"
    "    createDockerSockSymlink: true\n"
    "    storages:\n"
    "    - path: /var/lib/containers/\n"
    "      claimSpec: {resources: {requests: {storage: 20Gi}}}\n"
    "  storages:\n"
    "  - path: /home/alice\n"
    "    fsOwner: \"1000\"\n"
    "    claimSpec:\n"
    "      accessModes: [ReadWriteOnce]\n"
    "      resources:\n"
    "        requests:\n"
    "          storage: 1.5Gi\n"
    "  - path: /data\n"
    "    claimSpec: null\n"
    "obligations: {}\n";

static void
assert_platform(const struct blueprint *b)
{
	assert_string_equal(b->name, "python");
	assert_string_equal(b->repo_name, "tool");
	assert_string_equal(b->repo_ref, "main");
	assert_string_equal(b->repo_owner, "acme");
	assert_string_equal(b->repo_address, "https://git.example.org");
	assert_string_equal(b->splash, "Hello {{.ShellUsername}}\n");
	assert_true(b->show_init_script_status);
	assert_false(b->enable_apps);
	assert_true(b->podman.enabled);
	assert_true(b->podman.create_docker_sock_symlink);
	assert_int_equal(b->podman.storages.n, 1);
	assert_string_equal(b->podman.storages.item[0].path,
	    "/var/lib/containers");
	assert_int_equal(b->podman.storages.item[0].declared,
	    UINT64_C(20) << 30);
	assert_int_equal(b->storages.n, 2);
	assert_string_equal(b->storages.item[0].path, "/home/alice");
	assert_int_equal(b->storages.item[0].declared, 3 << 29);
	assert_string_equal(b->storages.item[1].path, "/data");
	assert_int_equal(b->storages.item[1].declared, 0);
}

static void
the_file_of_the_provisioner_is_read_whole(void **state)
{
	struct blueprint	*b = parse(platform);

	(void)state;
	assert_string_equal(warned, "");
	assert_int_equal(b->warnings, 0);
	assert_platform(b);
	blueprint_destroy(b);
	blueprint_destroy(NULL);
}

static void
what_is_missing_is_empty(void **state)
{
	static const char *const	texts[] = {
		"", "# nothing\n", "{}", "blueprint:\n", "blueprint: {}",
		"blueprint: {podman: null, storages: [], splash: ~}",
	};
	struct blueprint	*b;
	size_t			 i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(texts); i++) {
		b = parse(texts[i]);
		assert_string_equal(warned, "");
		assert_string_equal(b->name, "");
		assert_string_equal(b->splash, "");
		assert_false(b->podman.enabled);
		assert_int_equal(b->storages.n, 0);
		blueprint_destroy(b);
	}
}

static void
weakness_5_a_bad_pattern_is_left_out_and_told(void **state)
{
	struct blueprint	*b;
	char			 text[1024];
	size_t			 i, n;

	(void)state;
	b = parse("blueprint:\n  k8shelld:\n    ignoreOrphans:\n"
	    "    - ^tmux\n    - \"a(\"\n    - {}\n    - ''\n"
	    "    - gpg-agent|ssh-agent\n");
	assert_int_equal(b->nignore_orphans, 2);
	assert_string_equal(b->ignore_orphans[0], "^tmux");
	assert_string_equal(b->ignore_orphans[1], "gpg-agent|ssh-agent");
	assert_int_equal(b->warnings, 3);
	assert_non_null(strstr(warned, ":5:7:"));
	assert_non_null(strstr(warned, ":6:7:"));
	assert_non_null(strstr(warned, ":7:7:"));
	blueprint_destroy(b);
	b = parse("blueprint: {k8shelld: {ignoreOrphans: tmux}}");
	assert_int_equal(b->nignore_orphans, 0);
	assert_int_equal(b->warnings, 1);
	blueprint_destroy(b);
	n = (size_t)snprintf(text, sizeof text,
	    "blueprint: {k8shelld: {ignoreOrphans: [");
	for (i = 0; i <= BLUEPRINT_PATTERNS_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "x, ");
	snprintf(text + n, sizeof text - n, "]}}");
	b = parse(text);
	assert_int_equal(b->nignore_orphans, BLUEPRINT_PATTERNS_MAX);
	assert_int_equal(b->warnings, 1);
	blueprint_destroy(b);
}

static void
W37_one_bad_field_leaves_the_others(void **state)
{
	struct blueprint	*b;

	(void)state;
	b = parse("metadata: [1]\n"
	    "blueprint:\n"
	    "  splash: {a: b}\n"
	    "  showInitScriptStatus: 7\n"
	    "  enableApps: true\n"
	    "  podman:\n"
	    "    enabled: true\n"
	    "    createDockerSockSymlink: \"true\"\n"
	    "    storages: {}\n"
	    "  storages:\n"
	    "  - 1\n"
	    "  - path: relative\n"
	    "  - path: [a]\n"
	    "  - name: no path\n"
	    "  - path: /a\n"
	    "    claimSpec: {resources: {requests: {storage: lots}}}\n"
	    "  - path: /b\n"
	    "    claimSpec: {resources: []}\n"
	    "  - path: /c\n"
	    "    claimSpec: {resources: {requests: {storage: 7}}}\n");
	assert_string_equal(warned,
	    "b.yaml:1:11: metadata: expected a mapping, got a list\n"
	    "b.yaml:3:11: blueprint.splash: expected text, got a mapping\n"
	    "b.yaml:4:25: blueprint.showInitScriptStatus: expected true or "
	    "false, got \"7\"\n"
	    "b.yaml:11:5: blueprint.storages[0]: expected a storage, "
	    "got \"1\"\n"
	    "b.yaml:12:11: blueprint.storages[1].path: expected an absolute "
	    "path, got \"relative\"\n"
	    "b.yaml:13:11: blueprint.storages[2].path: expected text, "
	    "got a list\n"
	    "b.yaml:16:49: blueprint.storages[4].claimSpec.resources."
	    "requests.storage: expected a quantity such as 10Gi, "
	    "got \"lots\"\n"
	    "b.yaml:18:28: blueprint.storages[5].claimSpec.resources: "
	    "expected a mapping, got a list\n"
	    "b.yaml:8:30: blueprint.podman.createDockerSockSymlink: expected "
	    "true or false, got \"true\"\n"
	    "b.yaml:9:15: blueprint.podman.storages: expected a list, "
	    "got a mapping\n");
	assert_int_equal(b->warnings, 10);
	assert_true(b->enable_apps);
	assert_true(b->podman.enabled);
	assert_int_equal(b->storages.n, 3);
	assert_string_equal(b->storages.item[1].path, "/b");
	assert_int_equal(b->storages.item[2].declared, 7);
	blueprint_destroy(b);
}

static void
W37_text_that_is_no_YAML_is_kept_as_it_was(void **state)
{
	struct blueprint	*b;

	(void)state;
	b = parse("blueprint: [");
	assert_int_equal(b->warnings, 1);
	assert_true(str_prefix(warned, "b.yaml:"));
	assert_string_equal(b->splash, "");
	blueprint_destroy(b);
	b = parse("- a\n");
	assert_string_equal(warned, "b.yaml:1:1: expected a mapping, got a "
	    "list\n");
	blueprint_destroy(b);
}

static void
storages_are_limited(void **state)
{
	char			 text[4096] = "blueprint: {storages: [";
	struct blueprint	*b;
	size_t			 i, n = strlen(text);

	(void)state;
	for (i = 0; i < BLUEPRINT_STORAGES_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof text - n,
		    "{path: /s%zu}, ", i);
	snprintf(text + n, sizeof text - n, "]}");
	b = parse(text);
	assert_string_equal(warned, "");
	assert_int_equal(b->storages.n, BLUEPRINT_STORAGES_MAX);
	blueprint_destroy(b);
	snprintf(text + n, sizeof text - n, "{path: /more}]}");
	b = parse(text);
	assert_int_equal(b->warnings, 1);
	assert_int_equal(b->storages.n, BLUEPRINT_STORAGES_MAX);
	blueprint_destroy(b);
}

static void
a_path_lies_in_the_first_storage_that_holds_it(void **state)
{
	struct blueprint_storage	items[] = {
		{ (char *)(uintptr_t)"/var/lib/containers", 1 },
		{ (char *)(uintptr_t)"/var/lib", 2 },
		{ (char *)(uintptr_t)"/", 3 },
	};
	struct blueprint_storages	s = { items, ARRAY_LEN(items) };

	(void)state;
	assert_int_equal(blueprint_declared(&s, "/var/lib/containers"), 1);
	assert_int_equal(blueprint_declared(&s, "/var/lib/containers/x"), 1);
	assert_int_equal(blueprint_declared(&s, "/var/lib/containersx"), 2);
	assert_int_equal(blueprint_declared(&s, "/home"), 3);
	s.n = 2;
	assert_int_equal(blueprint_declared(&s, "/home"), 0);
	assert_int_equal(blueprint_declared(&s, ""), 0);
}

static void
a_missing_file_is_no_blueprint_and_no_error(void **state)
{
	char			 path[] = "/tmp/test_blueprint." "XX" "XX" "XX";
	struct blueprint	*b = (void *)path;
	int			 fd;

	(void)state;
	assert_int_equal(blueprint_load(&b, "/nonexistent/b"), 0);
	assert_null(b);
	assert_int_equal(blueprint_load(&b, "/tmp"), -EISDIR);
	assert_true((fd = mkstemp(path)) >= 0);
	assert_int_equal(write(fd, platform, sizeof platform - 1),
	    sizeof platform - 1);
	close(fd);
	assert_int_equal(blueprint_load(&b, path), 0);
	assert_platform(b);
	assert_int_equal(b->len, sizeof platform - 1);
	blueprint_destroy(b);
	unlink(path);
}

static void
every_shortened_file_is_read(void **state)
{
	struct blueprint	*b;
	size_t			 n;

	(void)state;
	log_setup(LOG_FATAL, -1);
	for (n = 0; n < sizeof platform - 1; n++) {
		assert_int_equal(blueprint_parse(&b, "b", platform, n), 0);
		assert_int_equal(b->len, n);
		assert_non_null(b->splash);
		blueprint_destroy(b);
	}
}

static void
out_of_memory_is_an_error_at_every_allocation(void **state)
{
	struct blueprint	*b = NULL;
	unsigned		 n;
	int			 r;

	(void)state;
	for (n = 1; ; n++) {
		failmalloc_arm(n);
		r = blueprint_parse(&b, "b", platform, sizeof platform - 1);
		if (!failmalloc_disarm())
			break;
		assert_int_equal(r, -ENOMEM);
		assert_null(b);
	}
	assert_int_equal(r, 0);
	assert_true(n > 12);
	assert_platform(b);
	blueprint_destroy(b);
}

static void
quantities_are_read_as_Kubernetes_does(void **state)
{
	static const struct {
		const char	*text;
		uint64_t	 v;
	} cases[] = {
		{ "0", 0 }, { "1", 1 }, { "+5", 5 }, { "-5", 0 },
		{ "10Gi", UINT64_C(10) << 30 }, { "1Ki", 1024 },
		{ "1.5Mi", 3 << 19 }, { ".5Ki", 512 }, { "1.Ki", 1024 },
		{ "1Ei", UINT64_C(1) << 60 }, { "2Pi", UINT64_C(2) << 50 },
		{ "3Ti", UINT64_C(3) << 40 },
		{ "5k", 5000 }, { "5M", 5000000 }, { "1G", 1000000000 },
		{ "1T", UINT64_C(1000000000000) },
		{ "1P", UINT64_C(1000000000000000) },
		{ "1E", UINT64_C(1000000000000000000) },
		{ "1e3", 1000 }, { "1E3", 1000 }, { "12E+2", 1200 },
		{ "15e-1", 2 }, { "1e-30", 1 }, { "0e9", 0 },
		{ "1500m", 2 }, { "1m", 1 }, { "1u", 1 }, { "1n", 1 },
		{ "1000m", 1 }, { "0.1", 1 }, { "0.0001Ki", 1 },
		{ "1.0000000000000000000000000001", 2 },
		{ "9223372036854775807", INT64_MAX },
		{ "18446744073709551620", UINT64_MAX },
		{ "99999999999999999999999999999", UINT64_MAX },
		{ "16Ei", UINT64_MAX }, { "1e99", UINT64_MAX },
		{ "1e999999999", UINT64_MAX },
		{ "0.000000000000000000001E", 1 },
	};
	static const char *const	wrong[] = {
		"", "-", "Gi", ".", "1.2.3", "1 Gi", " 1", "1ki", "1K",
		"1gi", "0x10", "1e", "1e+", "1e1.5", "1Gib", "--1", "+-1",
		"1e1k", "ten", "1e-", "1e1000000000",
	};
	uint64_t	v;
	size_t		i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(cases); i++)
		if (quantity_parse(cases[i].text, &v) != 0 ||
		    v != cases[i].v)
			fail_msg("%s is not %llu", cases[i].text,
			    (unsigned long long)v);
	for (i = 0; i < ARRAY_LEN(wrong); i++)
		if (quantity_parse(wrong[i], &v) != -EINVAL)
			fail_msg("%s was read", wrong[i]);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(the_file_of_the_provisioner_is_read_whole),
		cmocka_unit_test(what_is_missing_is_empty),
		cmocka_unit_test(weakness_5_a_bad_pattern_is_left_out_and_told),
		cmocka_unit_test(W37_one_bad_field_leaves_the_others),
		cmocka_unit_test(W37_text_that_is_no_YAML_is_kept_as_it_was),
		cmocka_unit_test(storages_are_limited),
		cmocka_unit_test(
		    a_path_lies_in_the_first_storage_that_holds_it),
		cmocka_unit_test(a_missing_file_is_no_blueprint_and_no_error),
		cmocka_unit_test(every_shortened_file_is_read),
		cmocka_unit_test(
		    out_of_memory_is_an_error_at_every_allocation),
		cmocka_unit_test(quantities_are_read_as_Kubernetes_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
