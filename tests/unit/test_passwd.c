/* passwd: strict readers of passwd(5) and group(5). */
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
#include "conf/passwd.h"

static char	path[] = "/tmp/test_passwd." "XX" "XX" "XX";

static void
put_bytes(const void *p, size_t n)
{
	FILE	*f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void
put(const char *text)
{
	put_bytes(text, strlen(text));
}

static void
an_entry_is_found_by_name_and_by_uid(void **state)
{
	struct passwd_entry	e;

	(void)state;
	put("root:x:0:0:root:/root:/bin/bash\n"
	    "alice:x:1001:100:Alice,,,:/home/alice:/bin/zsh\n"
	    "shy:!:1002:100:::");
	assert_int_equal(passwd_by_name(path, "alice", &e), 0);
	assert_string_equal(e.name, "alice");
	assert_int_equal(e.uid, 1001);
	assert_int_equal(e.gid, 100);
	assert_string_equal(e.home, "/home/alice");
	assert_string_equal(e.shell, "/bin/zsh");
	assert_int_equal(passwd_by_uid(path, 0, &e), 0);
	assert_string_equal(e.name, "root");
	/* No newline at the end, and nothing in most fields. */
	assert_int_equal(passwd_by_uid(path, 1002, &e), 0);
	assert_string_equal(e.name, "shy");
	assert_string_equal(e.home, "");
	assert_string_equal(e.shell, "");
	assert_int_equal(passwd_by_uid(path, 1003, &e), -ENOENT);
}

static void
T6_names_are_compared_exactly(void **state)
{
	static const char *const	others[] = {
		"Alice", "alic", "alice2", "alice ", " alice", "alice\n",
		"alice:x", "alice:x:1001:100:Alice:/home/alice:/bin/zsh", "",
		"1001", "+1001", "x",
	};
	struct passwd_entry	e;
	size_t			i;

	(void)state;
	put("alice:x:1001:100:Alice:/home/alice:/bin/zsh\n");
	for (i = 0; i < ARRAY_LEN(others); i++)
		assert_int_equal(passwd_by_name(path, others[i], &e),
		    -ENOENT);
	assert_int_equal(passwd_by_name(path, "alice", &e), 0);
}

static void
the_first_match_counts(void **state)
{
	struct passwd_entry	e;

	(void)state;
	put("a:x:1:1::/first:\na:x:2:2::/second:\nb:x:1:1::/third:\n");
	assert_int_equal(passwd_by_name(path, "a", &e), 0);
	assert_string_equal(e.home, "/first");
	assert_int_equal(passwd_by_uid(path, 1, &e), 0);
	assert_string_equal(e.name, "a");
}

static void
ill_formed_lines_do_not_exist(void **state)
{
	static const char *const	lines[] = {
		"u", "u:x", "u:x:5", "u:x:5:5", "u:x:5:5::/home",
		"u:x:5:5::/home:/bin/sh:", "u:x::5::/home:/bin/sh",
		"u:x:5:::/home:/bin/sh", "u:x:+5:5::/home:/bin/sh",
		"u:x:-5:5::/home:/bin/sh", "u:x: 5:5::/home:/bin/sh",
		"u:x:5x:5::/home:/bin/sh", "u:x:0x5:5::/home:/bin/sh",
		"u:x:4294967295:5::/home:/bin/sh",
		"u:x:4294967296:5::/home:/bin/sh",
		"u:x:5:4294967295::/home:/bin/sh",
		":x:5:5::/home:/bin/sh", "#u:x:5:5::/home:/bin/sh",
		"+u:x:5:5::/home:/bin/sh", "-u:x:5:5::/home:/bin/sh",
		" u:x:5:6::/home:/bin/sh",
	};
	struct passwd_entry	e;
	char			text[256];
	size_t			i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(lines); i++) {
		snprintf(text, sizeof text, "%s\nlast:x:7:7::/:\n", lines[i]);
		put(text);
		assert_int_equal(passwd_by_name(path, "u", &e), -ENOENT);
		assert_int_equal(passwd_by_name(path, "", &e), -ENOENT);
		if (strstr(lines[i], ":6:") == NULL)
			assert_int_equal(passwd_by_uid(path, 5, &e), -ENOENT);
		assert_int_equal(passwd_by_name(path, "last", &e), 0);
	}
	put_bytes("u:x:5:5::/ho\0me:/bin/sh\nv:x:7:7::/:\n", 37);
	assert_int_equal(passwd_by_uid(path, 5, &e), -ENOENT);
	assert_int_equal(passwd_by_name(path, "v", &e), 0);
}

/* A line for u of exactly n bytes, and one behind it. */
static void
put_long_line(size_t n)
{
	char	*text = malloc(n + 64);
	size_t	 len;

	assert_non_null(text);
	memset(text, 'c', n);
	memcpy(text, "u:x:5:5:", 8);
	memcpy(text + n - 9, ":/:/bin/h", 9);
	len = n + (size_t)snprintf(text + n, 64, "\nlast:x:7:7::/:\n");
	put_bytes(text, len);
	free(text);
}

static void
lines_are_limited(void **state)
{
	struct passwd_entry	e;

	(void)state;
	put_long_line(PASSWD_LINE_MAX);
	assert_int_equal(passwd_by_name(path, "u", &e), 0);
	assert_string_equal(e.shell, "/bin/h");
	put_long_line(PASSWD_LINE_MAX + 1);
	assert_int_equal(passwd_by_name(path, "u", &e), -ENOENT);
	assert_int_equal(passwd_by_name(path, "last", &e), 0);
	put_long_line(3 * PASSWD_LINE_MAX);
	assert_int_equal(passwd_by_name(path, "u", &e), -ENOENT);
	assert_int_equal(passwd_by_name(path, "last", &e), 0);
}

static void
a_missing_file_has_no_entries(void **state)
{
	struct passwd_entry	e;
	gid_t			gid[4];
	size_t			n = 9;

	(void)state;
	assert_int_equal(passwd_by_name("/nonexistent/passwd", "root", &e),
	    -ENOENT);
	assert_int_equal(group_ids("/nonexistent/group", "root", gid, 4, &n),
	    0);
	assert_int_equal(n, 0);
	assert_int_equal(passwd_by_name("/tmp", "root", &e), -EIO);
	assert_int_equal(group_ids("/tmp", "root", gid, 4, &n), -EIO);
	assert_int_equal(n, 0);
}

static void
groups_are_those_that_list_the_name(void **state)
{
	gid_t	gid[8];
	size_t	n;

	(void)state;
	put("root:x:0:\n"
	    "alice:x:1001:\n"
	    "sudo:x:27:bob,alice\n"
	    "docker:x:998:alice\n"
	    "again:x:27:alice\n"
	    "near:x:50:alice2,malice,Alice, alice,alic\n"
	    "bad:x:51\n"
	    "bad:x:+52:alice\n"
	    "bad:x:4294967295:alice\n"
	    "bad:x:53:alice:alice\n"
	    "#no:x:54:alice\n"
	    "empty:x:55:,,\n"
	    "last:x:56:x,,alice");
	assert_int_equal(group_ids(path, "alice", gid, 8, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(gid[0], 27);
	assert_int_equal(gid[1], 998);
	assert_int_equal(gid[2], 56);
	assert_int_equal(group_ids(path, "carol", gid, 8, &n), 0);
	assert_int_equal(n, 0);
	/* Empty members are no member. */
	assert_int_equal(group_ids(path, "", gid, 8, &n), 0);
	assert_int_equal(n, 0);
}

static void
number_of_groups_is_limited(void **state)
{
	gid_t	gid[3];
	size_t	n;

	(void)state;
	put("a:x:1:u\nb:x:2:u\n");
	assert_int_equal(group_ids(path, "u", gid, 3, &n), 0);
	assert_int_equal(n, 2);
	put("a:x:1:u\nb:x:2:u\nc:x:3:u\n");
	assert_int_equal(group_ids(path, "u", gid, 3, &n), 0);
	assert_int_equal(n, 3);
	put("a:x:1:u\nb:x:2:u\nc:x:3:u\nd:x:4:u\n");
	assert_int_equal(group_ids(path, "u", gid, 3, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(gid[2], 3);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(an_entry_is_found_by_name_and_by_uid),
		cmocka_unit_test(T6_names_are_compared_exactly),
		cmocka_unit_test(the_first_match_counts),
		cmocka_unit_test(ill_formed_lines_do_not_exist),
		cmocka_unit_test(lines_are_limited),
		cmocka_unit_test(a_missing_file_has_no_entries),
		cmocka_unit_test(groups_are_those_that_list_the_name),
		cmocka_unit_test(number_of_groups_is_limited),
	};
	int	fd, r;

	if ((fd = mkstemp(path)) < 0)
		return 1;
	close(fd);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return r;
}
