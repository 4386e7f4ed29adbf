#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/str.h"

/* A packet pipe keeps apart what came in separate writes. */
struct pipes {
	int	r, w;
};

static struct pipes
log_into_pipe(enum log_level min)
{
	int	fd[2];

	assert_int_equal(pipe2(fd, O_DIRECT | O_NONBLOCK | O_CLOEXEC), 0);
	log_setup(min, fd[1]);
	return (struct pipes){ fd[0], fd[1] };
}

static void
log_finish(struct pipes p)
{
	log_setup(LOG_INFO, STDERR_FILENO);
	close(p.r);
	close(p.w);
}

/* One write as one string; empty if there was none. */
static size_t
next_line(struct pipes p, char out[2 * LOG_LINE_MAX])
{
	ssize_t	n = read(p.r, out, 2 * LOG_LINE_MAX - 1);

	if (n < 0)
		n = 0;
	out[n] = '\0';
	return (size_t)n;
}

/* d is a digit, anything else itself. */
static bool
looks_like(const char *s, const char *pattern)
{
	for (; *pattern != '\0'; s++, pattern++) {
		if (*pattern == 'd' && (*s < '0' || *s > '9'))
			return false;
		if (*pattern != 'd' && *pattern != *s)
			return false;
	}
	return true;
}

static void
line_has_time_level_text_and_fields(void **state)
{
	struct pipes	p = log_into_pipe(LOG_DEBUG);
	char		line[2 * LOG_LINE_MAX], tail[64];

	(void)state;
	log_info("k8shelld", "listening on %d", 50051);
	assert_true(next_line(p, line) > 0);
	assert_true(looks_like(line, "dddd-dd-ddTdd:dd:dd.ddd INF "));
	(void)snprintf(tail, sizeof tail,
	    "listening on 50051 component=k8shelld pid=%d\n", (int)getpid());
	assert_string_equal(line + 28, tail);
	log_debug("x", "a");
	log_warn("x", "a");
	log_error("x", "a");
	log_at(LOG_FATAL, "x", "a");
	assert_true(next_line(p, line) > 0 && strstr(line, " DBG a comp"));
	assert_true(next_line(p, line) > 0 && strstr(line, " WRN a comp"));
	assert_true(next_line(p, line) > 0 && strstr(line, " ERR a comp"));
	assert_true(next_line(p, line) > 0 && strstr(line, " FTL a comp"));
	assert_int_equal(next_line(p, line), 0);
	log_finish(p);
}

static void
lower_levels_are_left_out(void **state)
{
	struct pipes	p = log_into_pipe(LOG_WARN);
	char		line[2 * LOG_LINE_MAX];

	(void)state;
	assert_false(log_wanted(LOG_INFO));
	assert_true(log_wanted(LOG_WARN));
	log_debug("x", "no");
	log_info("x", "no");
	assert_int_equal(next_line(p, line), 0);
	log_set_level(LOG_DEBUG);
	log_debug("x", "yes");
	assert_true(next_line(p, line) > 0);
	log_finish(p);
}

static void
level_names_are_exact(void **state)
{
	static const char	*bad[] = {
		"", "Info", "INFO", "warning", "trace", "info ", "inf"
	};
	enum log_level		level, got;
	size_t			i;

	(void)state;
	for (level = LOG_DEBUG; level <= LOG_FATAL; level++) {
		assert_int_equal(log_level_parse(log_level_name(level), &got),
		    0);
		assert_int_equal(got, level);
	}
	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(log_level_parse(bad[i], &got), -EINVAL);
	assert_int_equal(got, LOG_FATAL);
}

static const struct {
	const char	*text, *escaped;
} escapes[] = {
	{ "plain text, \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
	    "plain text, \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
	{ "a\nb\rc\td", "a\\x0ab\\x0dc\\x09d" },
	{ "\x1b[2J\x1b]0;t\a", "\\x1b[2J\\x1b]0;t\\x07" },
	{ "\x7f", "\\x7f" },
	{ "\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0",
	    "\\u0080\\u009b\\u009f\xc2\xa0" },
	{ "\x80\x9b\xff", "\\x80\\x9b\\xff" },
	{ "\xc0\x8a", "\\xc0\\x8a" },		/* overlong newline */
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },
	{ "\xe2\x82", "\\xe2\\x82" },
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
	{ "\xd8\x9b\xd8\x9c\xd8\x9d", "\xd8\x9b\\u061c\xd8\x9d" },
	{ "\xe2\x80\x8d\xe2\x80\x8e\xe2\x80\x8f\xe2\x80\x90",
	    "\xe2\x80\x8d\\u200e\\u200f\xe2\x80\x90" },
	{ "\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9",
	    "\xe2\x80\xa7\\u2028\\u2029" },
	{ "\xe2\x80\xaa\xe2\x80\xab\xe2\x80\xac\xe2\x80\xad\xe2\x80\xae"
	    "\xe2\x80\xaf", "\\u202a\\u202b\\u202c\\u202d\\u202e\xe2\x80\xaf" },
	{ "\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa7\xe2\x81\xa8\xe2\x81\xa9"
	    "\xe2\x81\xaa", "\xe2\x81\xa5\\u2066\\u2067\\u2068\\u2069"
	    "\xe2\x81\xaa" },
};

static void
hostile_text_is_escaped(void **state)
{
	char	out[128], want[8], c;
	size_t	i, n;

	(void)state;
	for (i = 0; i < ARRAY_LEN(escapes); i++) {
		n = log_escape(escapes[i].text, strlen(escapes[i].text), out,
		    sizeof out);
		assert_string_equal(out, escapes[i].escaped);
		assert_int_equal(n, strlen(out));
	}
	for (i = 0; i < 0x20; i++) {
		c = (char)i;
		assert_int_equal(log_escape(&c, 1, out, sizeof out), 4);
		(void)snprintf(want, sizeof want, "\\x%02x", (unsigned)i);
		assert_string_equal(out, want);
	}
}

/* A byte of another kind each time, most of them the interesting ones. */
static uint8_t
random_byte(uint32_t *seed)
{
	static const uint8_t	odd[] = {
		0x00, 0x07, 0x0a, 0x1b, 0x7f, 0xc2, 0x80, 0x85, 0x9b, 0xd8,
		0x9c, 0xe2, 0x80, 0x8e, 0xa8, 0xae, 0x81, 0xa6, 0xa9, 0xff
	};

	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed % 4 == 0 ? (uint8_t)(*seed >> 8) :
	    odd[(*seed >> 8) % ARRAY_LEN(odd)];
}

/* Written out, owing nothing to the code under test. */
static bool
is_harmless(const uint8_t *p, size_t n)
{
	size_t	i;

	for (i = 0; i < n; i++) {
		if (p[i] < 0x20 || p[i] == 0x7f)
			return false;
		if (i + 1 < n && ((p[i] == 0xc2 && p[i + 1] < 0xa0) ||
		    (p[i] == 0xd8 && p[i + 1] == 0x9c)))
			return false;
		if (i + 2 < n && p[i] == 0xe2 && ((p[i + 1] == 0x80 &&
		    (p[i + 2] == 0x8e || p[i + 2] == 0x8f ||
		    (p[i + 2] >= 0xa8 && p[i + 2] <= 0xae))) ||
		    (p[i + 1] == 0x81 && p[i + 2] >= 0xa6 &&
		    p[i + 2] <= 0xa9)))
			return false;
	}
	return true;
}

static void
T25_a_million_random_strings_leave_harmless(void **state)
{
	uint8_t		text[24];
	char		out[6 * sizeof text + 1];
	uint32_t	seed = 2463534242u;
	size_t		i, j, n;

	(void)state;
	for (i = 0; i < 1000000; i++) {
		for (j = 0; j < i % sizeof text; j++)
			text[j] = random_byte(&seed);
		n = log_escape(text, j, out, sizeof out);
		if (!is_harmless((uint8_t *)out, n) || !utf8_valid(out, n))
			fail_msg("string %zu: %s", i, out);
	}
}

static void
escape_is_never_cut_in_half(void **state)
{
	static const char	text[] = "a\n\xe2\x80\xae\xe2\x82\xac";
	static const size_t	want[] = {
		0, 0, 1, 1, 1, 1, 5, 5, 5, 5, 5, 5, 11, 11, 11, 14, 14
	};
	char			out[32];
	size_t			room;

	(void)state;
	for (room = 0; room < ARRAY_LEN(want); room++) {
		memset(out, '#', sizeof out);
		assert_int_equal(log_escape(text, sizeof text - 1, out, room),
		    want[room]);
		assert_int_equal(out[room], '#');
		if (room > 0)
			assert_int_equal(strlen(out), want[room]);
	}
}

static bool
harmless(const char *line, size_t n)
{
	char	again[8 * LOG_LINE_MAX];

	return n > 0 && n <= LOG_LINE_MAX && line[n - 1] == '\n' &&
	    log_escape(line, n - 1, again, sizeof again) == n - 1;
}

/* xorshift64: the same strings in every run. */
static uint64_t
noise(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void
no_text_forges_a_line(void **state)
{
	struct pipes	p = log_into_pipe(LOG_INFO);
	char		line[2 * LOG_LINE_MAX], text[64];
	uint64_t	seed = 88172645463325252;
	size_t		i, k, n;

	(void)state;
	for (i = 0; i < 20000; i++) {
		n = noise(&seed) % sizeof text;
		for (k = 0; k < n; k++)
			text[k] = (char)noise(&seed);
		log_info("fuzz", "%.*s", (int)n, text);
		n = next_line(p, line);
		assert_true(harmless(line, n));
		assert_int_equal(next_line(p, line), 0);
	}
	log_finish(p);
}

static void
lines_stop_at_four_kib(void **state)
{
	static const char	*units[] = {
		"a", "\n", "\xe2\x82\xac", "\xe2\x80\xae", "\xff"
	};
	struct pipes		p = log_into_pipe(LOG_INFO);
	char			line[2 * LOG_LINE_MAX], text[6000];
	size_t			i, k, n, size;

	(void)state;
	for (i = 0; i < ARRAY_LEN(units); i++) {
		size = strlen(units[i]);
		for (n = 0; n + size < sizeof text; n += size)
			memcpy(text + n, units[i], size);
		for (k = 900; k < n; k += k < 4000 || k > 4200 ? 97 : 1) {
			log_info("x", "%.*s", (int)k, text);
			assert_true(harmless(line, next_line(p, line)));
			assert_non_null(strstr(line, " component=x pid="));
		}
		log_info("x", "%s", text);
		n = next_line(p, line);
		assert_true(n > LOG_LINE_MAX - 8);
		assert_non_null(strstr(line, "... component=x"));
	}
	log_finish(p);
}

static void
longest_whole_line_is_not_marked(void **state)
{
	struct pipes	p = log_into_pipe(LOG_INFO);
	char		line[2 * LOG_LINE_MAX], text[LOG_LINE_MAX];
	size_t		n;

	(void)state;
	memset(text, 'a', sizeof text);
	log_info("x", "%s", "");
	n = LOG_LINE_MAX - next_line(p, line);
	log_info("x", "%.*s", (int)n, text);
	assert_int_equal(next_line(p, line), LOG_LINE_MAX);
	assert_null(strstr(line, "..."));
	log_info("x", "%.*s", (int)n + 1, text);
	assert_int_equal(next_line(p, line), LOG_LINE_MAX);
	assert_non_null(strstr(line, "aaa... component=x"));
	log_finish(p);
}

static void
errno_survives(void **state)
{
	struct pipes	p = log_into_pipe(LOG_INFO);
	char		line[2 * LOG_LINE_MAX];

	(void)state;
	errno = ENOENT;
	log_info("x", "\n%s", "written");
	assert_int_equal(errno, ENOENT);
	assert_true(next_line(p, line) > 0);
	log_setup(LOG_INFO, -1);
	errno = ENOENT;
	log_info("x", "nobody reads this");
	assert_int_equal(errno, ENOENT);
	log_debug("x", "nor this");
	assert_int_equal(errno, ENOENT);
	log_finish(p);
}

struct seen {
	int		 calls;
	enum log_level	 level;
	char		 text[64];
};

static void
on_line(void *arg, enum log_level level, const char *component,
    const char *text)
{
	struct seen	*s = arg;

	s->calls++;
	s->level = level;
	(void)snprintf(s->text, sizeof s->text, "%s:%s", component, text);
	log_info("sink", "logging from here must not recurse");
	errno = EPERM;
}

static void
sink_sees_wanted_lines_escaped(void **state)
{
	struct pipes	p = log_into_pipe(LOG_INFO);
	char		line[2 * LOG_LINE_MAX];
	struct seen	s = { 0 };

	(void)state;
	log_set_sink(on_line, &s);
	log_debug("x", "not wanted");
	errno = 0;
	log_warn("grpc", "a\nb");
	assert_int_equal(errno, 0);
	log_set_sink(NULL, NULL);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.level, LOG_WARN);
	assert_string_equal(s.text, "grpc:a\\x0ab");
	assert_true(next_line(p, line) > 0);
	assert_true(next_line(p, line) > 0 && strstr(line, "recurse"));
	log_info("x", "after");
	assert_int_equal(s.calls, 1);
	log_finish(p);
}

static void
limit_lets_a_burst_through_and_refills(void **state)
{
	struct log_limit	l = { .burst = 3, .every_ms = 100 };
	uint32_t		skipped = 9;
	int			i;

	(void)state;
	for (i = 0; i < 3; i++) {
		assert_true(log_allow(&l, 5, &skipped));
		assert_int_equal(skipped, 0);
	}
	skipped = 9;
	assert_false(log_allow(&l, 5, &skipped));
	assert_false(log_allow(&l, 104, &skipped));
	assert_int_equal(skipped, 9);
	assert_true(log_allow(&l, 105, &skipped));
	assert_int_equal(skipped, 2);
	assert_false(log_allow(&l, 204, NULL));
	assert_true(log_allow(&l, 205, NULL));
	for (i = 0; i < 3; i++)			/* full again, not more */
		assert_true(log_allow(&l, 1000000, NULL));
	assert_false(log_allow(&l, 1000000, NULL));
}

static void
limit_survives_a_clock_that_jumps(void **state)
{
	struct log_limit	l = { .burst = 1, .every_ms = 1000 };
	struct log_limit	open = { .burst = 1 }, shut = { 0 };

	(void)state;
	assert_true(log_allow(&l, 5000, NULL));
	assert_false(log_allow(&l, 10, NULL));	/* back: not stuck */
	assert_true(log_allow(&l, 1010, NULL));
	assert_true(log_allow(&l, UINT64_MAX, NULL));
	assert_true(log_allow(&open, 0, NULL));
	assert_true(log_allow(&open, 0, NULL));
	assert_false(log_allow(&shut, 0, NULL));
	shut.skipped = UINT32_MAX;
	assert_false(log_allow(&shut, 0, NULL));
	assert_true(shut.skipped == UINT32_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_has_time_level_text_and_fields),
		cmocka_unit_test(lower_levels_are_left_out),
		cmocka_unit_test(level_names_are_exact),
		cmocka_unit_test(hostile_text_is_escaped),
		cmocka_unit_test(T25_a_million_random_strings_leave_harmless),
		cmocka_unit_test(escape_is_never_cut_in_half),
		cmocka_unit_test(no_text_forges_a_line),
		cmocka_unit_test(lines_stop_at_four_kib),
		cmocka_unit_test(longest_whole_line_is_not_marked),
		cmocka_unit_test(errno_survives),
		cmocka_unit_test(sink_sees_wanted_lines_escaped),
		cmocka_unit_test(limit_lets_a_burst_through_and_refills),
		cmocka_unit_test(limit_survives_a_clock_that_jumps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
