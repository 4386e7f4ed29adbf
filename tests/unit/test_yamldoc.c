/* yamldoc, through conf: what YAML we read, ${NAME} and !file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/str.h"
#include "conf/conf.h"
#include "conf/yamldoc.h"
#include "tests/unit/conf_check.h"

static void
duplicate_keys_are_errors(void **state)
{
	(void)state;
	bad("system:\n  logLevel: info\n  pprof: no\n  logLevel: debug\n",
	    "config.yaml:4:3: system.logLevel: given twice, first in "
	    "line 2");
	bad("x: 1\n\"x\": 2\n", "config.yaml:2:1: x: given twice, first in "
	    "line 1");
}

static void
anchors_aliases_and_strange_documents_are_errors(void **state)
{
	(void)state;
	bad("a: &x 1\nb: *x\n", "config.yaml:1:4: anchors and aliases are "
	    "not supported");
	bad("a: &x [1]\n", "config.yaml:1:4: anchors and aliases are not "
	    "supported");
	bad("a: &x {}\n", "config.yaml:1:4: anchors and aliases are not "
	    "supported");
	bad("a: *x\n", "config.yaml:1:4: anchors and aliases are not "
	    "supported");
	bad("*x : 1\n", "config.yaml:1:1: anchors and aliases are not "
	    "supported");
	bad("? [a]\n: 1\n", "config.yaml:1:3: a key has to be text");
	bad("a: 1\n---\nb: 2\n", "config.yaml:2:1: a second document "
	    "begins");
	bad("a: !exec ls\n", "config.yaml:1:4: unknown tag; only !file is "
	    "known");
	bad("a: !file [x]\n", "config.yaml:1:4: unknown tag; only !file is "
	    "known");
	bad("a: \"x\\0y\"\n", "config.yaml:1:4: a NUL byte is not text");
}

static void
broken_yaml_is_an_error_with_its_place(void **state)
{
	(void)state;
	bad("system:\n\tlogLevel: info\n", "config.yaml:2:1: found character "
	    "that cannot start any token while scanning for the next token");
	bad("a: [1\n", "config.yaml:2:1: did not find expected ',' or ']' "
	    "while parsing a flow sequence");
	bad("a: 1\nb: \xff\n", "config.yaml:2:4: invalid leading UTF-8 octet");
	bad("a: 1\nb: x\x01\n", "config.yaml:2:5: control characters are not "
	    "allowed");
}

static char *
put_text(char *p, const char *text)
{
	size_t	n = strlen(text);

	memcpy(p, text, n + 1);
	return p + n;
}

/* n levels of "a: " and "[" around nothing. */
static void
nested(char *text, unsigned levels)
{
	*text++ = 'a';
	*text++ = ':';
	*text++ = ' ';
	memset(text, '[', levels - 1);
	memset(text + levels - 1, ']', levels - 1);
	text[2 * (levels - 1)] = '\0';
}

static void
depth_is_limited(void **state)
{
	char		text[128];
	struct conf	c;

	(void)state;
	nested(text, YAMLDOC_DEPTH_MAX - 1);
	good(&c, text);
	conf_finish(&c);
	nested(text, YAMLDOC_DEPTH_MAX);
	good(&c, text);
	conf_finish(&c);
	nested(text, YAMLDOC_DEPTH_MAX + 1);
	bad(text, "config.yaml:1:19: nested too deeply");
}

static void
number_of_values_is_limited(void **state)
{
	char		*text, err[CONF_ERROR_MAX];
	struct conf	 c;
	size_t		 i;

	(void)state;
	text = malloc(2 * YAMLDOC_NODES_MAX + 16);
	assert_non_null(text);
	memcpy(text, "a: [", 4);
	/* The root and the list are values too. */
	for (i = 0; i < YAMLDOC_NODES_MAX - 2; i++)
		memcpy(text + 4 + 2 * i, "1,", 2);
	memcpy(text + 4 + 2 * i, "]", 2);
	good(&c, text);
	conf_finish(&c);
	memcpy(text + 4 + 2 * i, "1]", 3);
	assert_int_equal(parse(&c, text, err), -EINVAL);
	assert_non_null(strstr(err, ": too many values in one file"));
	conf_finish(&c);
	free(text);
}

static void
size_is_limited(void **state)
{
	char		*text, err[CONF_ERROR_MAX];
	struct conf	 c;
	size_t		 n = YAMLDOC_TEXT_MAX;

	(void)state;
	text = malloc(n + 1);
	assert_non_null(text);
	memset(text, '#', n + 1);
	conf_init(&c);
	assert_int_equal(conf_parse(&c, "c", text, n, err, sizeof err), 0);
	assert_int_equal(conf_parse(&c, "c", text, n + 1, err, sizeof err),
	    -E2BIG);
	assert_string_equal(err, "c: larger than 1 MiB");
	conf_finish(&c);
	free(text);
}

static void
lists_are_limited(void **state)
{
	char		text[3 * 1024 + 64], *p = text;
	struct conf	c;
	size_t		i;

	(void)state;
	p = put_text(p, "terminateOrphans: {exclude: [");
	for (i = 0; i < 1024; i++)
		p = put_text(p, "a,");
	memcpy(p, "]}", 3);
	good(&c, text);
	assert_int_equal(c.terminate_orphans.nexclude, 1024);
	conf_finish(&c);
	memcpy(p, "a]}", 4);
	bad(text, "config.yaml:1:29: terminateOrphans.exclude: "
	    "expected at most 1024 patterns, got 1025");
}

/* -- ${NAME} -- */

static void
variables_are_expanded_in_any_scalar(void **state)
{
	struct conf	c;

	(void)state;
	setenv("CONF_A", "alpha", 1);
	setenv("CONF_N", "2822", 1);
	setenv("CONF_E", "", 1);
	setenv("CONF_NULL", "null", 1);
	good(&c, "system:\n  grpc:\n    port: ${CONF_N}\n"
	    "    audience: \"x-${CONF_A}-${CONF_A}${CONF_E}\"\n"
	    "    certFile: ${CONF_NULL}\n    keyFile: $CONF_A ${ $${1} $\n"
	    "    issuerURL: ${CONF_E}\n"
	    "    allowed: [{namespace: '${CONF_A}'}]\n"
	    "terminateOrphans: {exclude: ['${CONF_A}']}\n");
	assert_int_equal(c.grpc.port, 2822);
	assert_string_equal(c.grpc.audience, "x-alpha-alpha");
	assert_string_equal(c.grpc.cert_file, "null");
	assert_string_equal(c.grpc.key_file, "$CONF_A ${ $${1} $");
	assert_string_equal(c.grpc.allowed[0].ns, "alpha");
	assert_string_equal(c.terminate_orphans.exclude[0], "alpha");
	conf_finish(&c);
	setenv("CONF_A", "logLevel", 1);
	good(&c, "system: {\"${CONF_A}\": error}");
	assert_int_equal(c.log_level, LOG_ERROR);
	conf_finish(&c);
}

static void
variables_are_not_expanded_twice(void **state)
{
	struct conf	c;

	(void)state;
	setenv("CONF_A", "${CONF_N}", 1);
	good(&c, "system: {grpc: {audience: '${CONF_A}'}}");
	assert_string_equal(c.grpc.audience, "${CONF_N}");
	conf_finish(&c);
}

static void
variables_that_are_not_set_are_errors(void **state)
{
	(void)state;
	unsetenv("CONF_NOT");
	bad("system:\n  grpc:\n    audience: a${CONF_NOT}\n",
	    "config.yaml:3:15: system.grpc.audience: environment variable "
	    "CONF_NOT is not set");
	bad("unknown:\n- ${CONF_NOT}\n", "config.yaml:2:3: unknown[0]: "
	    "environment variable CONF_NOT is not set");
	bad("a:\n  ${CONF_NOT}: 1\n", "config.yaml:2:3: a: "
	    "environment variable CONF_NOT is not set");
	bad("system: {grpc: {audience: '${CONF_NOT:-x}'}}",
	    "config.yaml:1:27: system.grpc.audience: only ${NAME} is known, "
	    "without defaults or operators");
}

static void
names_of_variables_are_limited(void **state)
{
	char		name[129], text[192];
	struct conf	c;

	(void)state;
	memset(name, 'N', sizeof name);
	name[127] = '\0';
	snprintf(text, sizeof text, "a: ${%s}", name);
	setenv(name, "", 1);
	good(&c, text);
	conf_finish(&c);
	unsetenv(name);
	name[127] = 'N';
	name[128] = '\0';
	snprintf(text, sizeof text, "a: ${%s}", name);
	bad(text, "config.yaml:1:4: a: the name of a variable is too long");
}

static void
values_from_outside_are_not_shown(void **state)
{
	(void)state;
	setenv("CONF_SECRET", "hunter2", 1);
	bad("saToken: {enabled: '${CONF_SECRET}'}", "config.yaml:1:20: "
	    "saToken.enabled: expected true or false, "
	    "got something else from outside");
}

static void
expansion_is_limited(void **state)
{
	const size_t	 big = 64 * 1024, uses = 200;
	char		*value, *text, *p, err[CONF_ERROR_MAX];
	struct conf	 c;
	size_t		 i;

	(void)state;
	value = malloc(big + 1);
	text = malloc(uses * 16);
	assert_non_null(value);
	assert_non_null(text);
	memset(value, 'v', big);
	value[big] = '\0';
	setenv("CONF_BIG", value, 1);
	p = text;
	p = put_text(p, "a: [");
	for (i = 0; i < uses; i++)
		p = put_text(p, "'${CONF_BIG}',");
	memcpy(p, "]", 2);
	assert_int_equal(parse(&c, text, err), -E2BIG);
	assert_string_equal(err, "config.yaml: too much text");
	conf_finish(&c);
	unsetenv("CONF_BIG");
	free(value);
	free(text);
}

/* -- !file -- */

struct tree {
	char	dir[64];
};

static void
put_file(const struct tree *t, const char *name, const void *p, size_t n)
{
	char	 path[128];
	FILE	*f;

	snprintf(path, sizeof path, "%s/%s", t->dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static int
make_tree(void **state)
{
	static struct tree	t;

	snprintf(t.dir, sizeof t.dir, "/tmp/test_yamldoc." "XX" "XX" "XX");
	if (mkdtemp(t.dir) == NULL)
		return -1;
	*state = &t;
	return 0;
}

static int
remove_tree(void **state)
{
	static const char *const	names[] = {
		"config.yaml", "value", "link", "fifo", "nul", "big", "",
	};
	struct tree	*t = *state;
	char		 path[128];
	size_t		 i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof path, "%s/%s", t->dir, names[i]);
		remove(path);
	}
	return 0;
}

static int
load(const struct tree *t, struct conf *c, const char *text, char *err)
{
	char	path[128];

	put_file(t, "config.yaml", text, strlen(text));
	snprintf(path, sizeof path, "%s/config.yaml", t->dir);
	conf_init(c);
	return conf_load(c, path, err, CONF_ERROR_MAX);
}

/* err has to end like this; the folder's name is not known. */
static void
load_bad(const struct tree *t, const char *text, const char *tail)
{
	char		err[CONF_ERROR_MAX];
	struct conf	c;

	assert_int_equal(load(t, &c, text, err), -EINVAL);
	conf_finish(&c);
	assert_true(strlen(err) > strlen(tail));
	assert_string_equal(err + strlen(err) - strlen(tail), tail);
}

static void
file_is_relative_to_the_config_and_trimmed(void **state)
{
	struct tree	*t = *state;
	char		 err[CONF_ERROR_MAX], text[256], path[128];
	struct conf	 c;

	put_file(t, "value", "  a ${HOME}\nb \n\n", 15);
	assert_int_equal(load(t, &c, "system:\n  grpc:\n    audience: !file "
	    "value\n    certFile: !file \"./value\"\n", err), 0);
	assert_string_equal(c.grpc.audience, "a ${HOME}\nb");
	assert_string_equal(c.grpc.cert_file, "a ${HOME}\nb");
	conf_finish(&c);

	snprintf(path, sizeof path, "%s/link", t->dir);
	assert_int_equal(symlink("value", path), 0);
	setenv("CONF_DIR", t->dir, 1);
	snprintf(text, sizeof text, "system:\n  grpc:\n    audience: !file "
	    "${CONF_DIR}/link\n");
	assert_int_equal(load(t, &c, text, err), 0);
	assert_string_equal(c.grpc.audience, "a ${HOME}\nb");
	conf_finish(&c);

	put_file(t, "value", "null\n", 5);
	assert_int_equal(load(t, &c, "identity:\n  tokenPath: !file value\n",
	    err), 0);
	assert_string_equal(c.identity.token_path, "null");
	conf_finish(&c);
}

static void
files_that_can_not_be_read_are_errors(void **state)
{
	struct tree	*t = *state;
	static char	 text[4096 + 32];
	char		 path[128];

	load_bad(t, "system:\n  grpc:\n    audience: !file absent\n",
	    "/absent: No such file or directory");
	load_bad(t, "a: !file .\n", "/.: Is a directory");
	load_bad(t, "a: !file \"x\\ny\"\n",
	    "/x\\x0ay: No such file or directory");
	snprintf(text, sizeof text, "a: !file /%04096d\n", 1);
	load_bad(t, text, "a: !file: the path is too long");
	load_bad(t, "a: !file ''\n", "config.yaml:1:4: a: !file needs a path");
	snprintf(path, sizeof path, "%s/fifo", t->dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	load_bad(t, "a: !file fifo\n", "/fifo: Invalid argument");
	put_file(t, "nul", "a\0b", 3);
	load_bad(t, "a: !file nul\n", "/nul: has a NUL byte");
}

static void
included_files_are_limited(void **state)
{
	struct tree	*t = *state;
	char		*mem, err[CONF_ERROR_MAX];
	struct conf	 c;
	size_t		 n = YAMLDOC_FILE_MAX;

	mem = malloc(n + 1);
	assert_non_null(mem);
	memset(mem, 'x', n + 1);
	put_file(t, "big", mem, n);
	assert_int_equal(load(t, &c, "system: {grpc: {audience: !file big}}",
	    err), 0);
	assert_int_equal(strlen(c.grpc.audience), n);
	conf_finish(&c);
	put_file(t, "big", mem, n + 1);
	load_bad(t, "a: !file big\n", "/big: larger than 64 KiB");
	free(mem);
}

static void
a_config_that_can_not_be_read_is_an_error(void **state)
{
	struct tree	*t = *state;
	char		 err[CONF_ERROR_MAX], path[128];
	struct conf	 c;

	conf_init(&c);
	assert_int_equal(conf_load(&c, "/nonexistent/c.yaml", err,
	    sizeof err), -ENOENT);
	assert_string_equal(err, "/nonexistent/c.yaml: No such file or "
	    "directory");
	assert_int_equal(conf_load(&c, t->dir, err, sizeof err), -EISDIR);
	snprintf(path, sizeof path, "%s/config.yaml", t->dir);
	put_file(t, "config.yaml", "system: 1", 9);
	assert_int_equal(conf_load(&c, path, err, sizeof err), -EINVAL);
	assert_non_null(strstr(err, "config.yaml:1:9: system: expected a "
	    "mapping"));
	conf_finish(&c);
}

static void
file_read_knows_its_limit(void **state)
{
	struct tree	*t = *state;
	char		 path[128], *out;
	size_t		 n;

	put_file(t, "value", "12345678", 8);
	snprintf(path, sizeof path, "%s/value", t->dir);
	assert_int_equal(file_read(path, 7, &out, &n), -EFBIG);
	assert_int_equal(file_read(path, 8, &out, &n), 0);
	assert_int_equal(n, 8);
	assert_string_equal(out, "12345678");
	free(out);
	assert_int_equal(file_read(path, 9, &out, &n), 0);
	free(out);
	put_file(t, "value", "", 0);
	assert_int_equal(file_read(path, 0, &out, &n), 0);
	assert_string_equal(out, "");
	free(out);
	/* No length of its own. */
	assert_int_equal(file_read("/proc/self/status", 65536, &out, &n), 0);
	assert_true(n > 0);
	free(out);
	assert_int_equal(file_read("/proc/self/status", 10, &out, &n),
	    -EFBIG);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(duplicate_keys_are_errors),
		cmocka_unit_test(
		    anchors_aliases_and_strange_documents_are_errors),
		cmocka_unit_test(broken_yaml_is_an_error_with_its_place),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(number_of_values_is_limited),
		cmocka_unit_test(size_is_limited),
		cmocka_unit_test(lists_are_limited),
		cmocka_unit_test(variables_are_expanded_in_any_scalar),
		cmocka_unit_test(variables_are_not_expanded_twice),
		cmocka_unit_test(variables_that_are_not_set_are_errors),
		cmocka_unit_test(names_of_variables_are_limited),
		cmocka_unit_test(values_from_outside_are_not_shown),
		cmocka_unit_test(expansion_is_limited),
		cmocka_unit_test_setup_teardown(
		    file_is_relative_to_the_config_and_trimmed,
		    make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(
		    files_that_can_not_be_read_are_errors,
		    make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(
		    included_files_are_limited, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(
		    a_config_that_can_not_be_read_is_an_error,
		    make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(
		    file_read_knows_its_limit, make_tree, remove_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
