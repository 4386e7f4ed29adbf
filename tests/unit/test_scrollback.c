#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/str.h"
#include "tests/unit/failmalloc.h"
#include "workspace/scrollback.h"

/* The replay of text put in pieces of `step`, as a string to be freed. */
static char *
replay_of(const char *text, size_t n, size_t step)
{
	struct scrollback	 h;
	struct buf	 out;
	char		*s;
	size_t		 i, take;

	scrollback_init(&h);
	for (i = 0; i < n; i += take) {
		take = n - i < step ? n - i : step;
		scrollback_put(&h, text + i, take);
	}
	buf_init(&out, SCROLLBACK_MAX + VT_RESTORE_MAX);
	assert_int_equal(scrollback_replay(&h, &out), 0);
	s = calloc(1, out.len + 1);
	assert_non_null(s);
	if (out.len > 0)
		memcpy(s, buf_head(&out), out.len);
	buf_finish(&out);
	scrollback_finish(&h);
	return s;
}

static void
check_replay(const char *text, const char *want)
{
	char	*s = replay_of(text, strlen(text), strlen(text) + 1);

	assert_string_equal(s, want);
	free(s);
}

static void
T16_queries_are_left_out(void **state)
{
	static const char *const	queries[] = {
		"\x1b[6n", "\x1b[5n", "\x1b[?6n", "\x1b[c", "\x1b[0c",
		"\x1b[>c", "\x1b[=c", "\x1b[?1;2c", "\x1b[12;40R",
		"\x1b[?25$p", "\x1b[4$p", "\x1b[?25;1$y", "\x1b[>q",
		"\x1b[?u", "\x1b[x", "\x1b[18t", "\x1b[14;2t", "\x1b[21t",
		"\x1b]10;?\x07", "\x1b]11;?\x1b\\", "\x1b]4;1;?\x07",
		"\x1b]4;1;?;2;red\x07", "\x1b]52;c;?\x07",
		"\x1b]11;rgb:1c1c/1c1c/1c1c\x07", "\x1bP$qm\x1b\\",
		"\x1bP+q544e\x1b\\", "\x1bZ", "\x05", "\x1b_Ga=q,i=1;\x1b\\",
		"\x1b[\x05" "6n", "\x1b[6\nn"
	};
	char				text[128];
	size_t				i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(queries); i++) {
		snprintf(text, sizeof text, "before%safter", queries[i]);
		check_replay(text, "beforeafter");
	}
}

static void
T16_what_surrounds_a_query_does_not_become_one(void **state)
{
	(void)state;
	check_replay("a\x1b\x1b[6n[6nb", "a[6nb");
	check_replay("a\x1b[\x1b[6n6nb", "a6nb");
	check_replay("a\x1bPjunk\x1b[6nb", "ab");
	check_replay("a\x1b]0;t\x1b[cb", "ab");
	check_replay("a\x1b]0;t\x1b\x1b[c[cb", "a[cb");
}

static void
D12_everything_else_is_replayed(void **state)
{
	static const char *const	kept[] = {
		"plain text\r\n", "\x1b[1;31mred\x1b[m", "\x1b[2J\x1b[H",
		"\x1b[?1049h", "\x1b[4q", "\x1b[2 q", "\x1b[u", "\x1b[s",
		"\x1b[8;24;80t", "\x1b[22;0t", "\x1b[3;4r", "\x1b[!p",
		"\x1b]0;a title\x07", "\x1b]8;;http://x/?a\x1b\\link",
		"\x1b]10;#ffffff\x07", "\x1bPq#0;2;0;0;0~~\x1b\\",
		"\x1bPtmux;x\x1b\\", "\x1b(B\x1b)0", "\x1b=\x1b>", "50%   \r",
		"\xe2\x94\x80\xf0\x9f\x98\x80", "\x18\x1a"
	};
	size_t				i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(kept); i++)
		check_replay(kept[i], kept[i]);
}

static void
the_end_is_left_open_for_live_output(void **state)
{
	(void)state;
	check_replay("text\x1b[3", "text\x1b[3");
	check_replay("text\x1b]0;half", "text\x1b]0;half");
	check_replay("text\xe2\x94", "text\xe2\x94");
}

/* Fills the ring so that its oldest byte is text + cut. */
static char *
cut_replay(const char *text, size_t cut)
{
	size_t	 n = strlen(text), total = SCROLLBACK_MAX + cut;
	char	*all = malloc(total), *s;

	assert_non_null(all);
	memset(all, '.', total);
	memcpy(all, text, n);
	s = replay_of(all, total, 1000);
	free(all);
	return s;
}

static void
a_cut_history_starts_between_sequences_and_characters(void **state)
{
	static const char	text[] = "ab\x1b[31mred\x1b]0;ti\ntle\x07x"
		    "\xe2\x94\x80y\x1bPsix\nel\x1b\\z\x1b(Bend";
	/* How many bytes of text go when the ring starts at each place. */
	char			*s;
	size_t			 cut, i;
	struct vt		 vt;

	(void)state;
	for (cut = 0; cut < sizeof text; cut++) {
		s = cut_replay(text, cut);
		vt = (struct vt){ 0 };
		vt_feed(&vt, text, cut);
		for (i = cut; i < sizeof text - 1 && !vt_at_ground(&vt); i++)
			vt_byte(&vt, (uint8_t)text[i]);
		assert_memory_equal(s, text + i, sizeof text - 1 - i);
		free(s);
	}
}

static void
lost_modes_are_set_again(void **state)
{
	char	*s;

	(void)state;
	s = cut_replay("\x1b[?1049h\x1b[?25l\x1b[?1002;1006h\x1b[?2004h"
	    "\x1b[?1002l", 100);
	assert_true(str_prefix(s, "\x1b[?25l\x1b[?1049h\x1b[?1006h"
	    "\x1b[?2004h...."));
	free(s);
	s = cut_replay("\x1b[?1049h\x1b[?1049l\x1b[?25l\x1b[?25h", 100);
	assert_true(str_prefix(s, "...."));
	free(s);
	s = cut_replay("\x1b[?1049h\x1b[?25l\x1b" "c", 100);
	assert_true(str_prefix(s, "...."));
	free(s);
}

static void
a_terminal_gets_its_own_modes_back(void **state)
{
	static const struct {
		const char	*fed, *undo;
	} table[] = {
		{ "", "" }, { "text \xc3\xa9\r\n\x1b[1;31m", "" },
		{ "\x1b[?1049h\x1b[?25l\x1b[?2004h",
		  "\x1b[?25h\x1b[?1049l\x1b[?2004l" },
		{ "\x1b[?1049h\x1b[?1000;1006h\x1b[?1049l",
		  "\x1b[?1000l\x1b[?1006l" },
		{ "\x1b[?7l\x1b]0;half a title", "\x1b\\\x1b[?7h" },
		{ "half a \xe2\x82", "\x1b\\" },
	};
	char		out[VT_RESTORE_MAX + 1];
	struct vt	vt;
	size_t		i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(table); i++) {
		vt = (struct vt){ 0 };
		vt_feed(&vt, table[i].fed, strlen(table[i].fed));
		out[vt_undo(&vt, out)] = '\0';
		assert_string_equal(out, table[i].undo);
	}
}

/* vt_feed() passes over text; it must not show. */
static void
feeding_at_once_is_feeding_byte_by_byte(void **state)
{
	static const uint8_t	alphabet[] = {
		'a', 'b', '7', ';', '?', '[', ']', '\\', 'h', 'l', 0x1b, 0x07,
		0x18, 0x80, 0xbf, 0xc3, 0xe2, 0xf0, 0xff, 'P',
	};
	struct vt	whole = { 0 }, each = { 0 };
	uint8_t		text[24];
	unsigned	seed = 1, round;
	size_t		i, n;

	(void)state;
	for (round = 0; round < 20000; round++) {
		n = round % sizeof text;
		for (i = 0; i < n; i++) {
			seed = seed * 1103515245u + 12345u;
			text[i] = alphabet[(seed >> 16) % sizeof alphabet];
		}
		vt_feed(&whole, text, n);
		for (i = 0; i < n; i++)
			vt_byte(&each, text[i]);
		assert_memory_equal(&whole, &each, sizeof whole);
	}
}

static void
memory_comes_with_the_bytes_and_never_beyond_the_limit(void **state)
{
	struct scrollback	h;
	char		block[5000];
	int		i;

	(void)state;
	scrollback_init(&h);
	assert_null(h.ring.mem);
	scrollback_put(&h, "x", 1);
	assert_true(h.ring.cap <= 8192);
	memset(block, 'y', sizeof block);
	for (i = 0; i < 1000; i++)
		scrollback_put(&h, block, sizeof block);
	assert_int_equal(ring_len(&h.ring), SCROLLBACK_MAX);
	assert_true(h.ring.cap <= SCROLLBACK_MAX);
	scrollback_finish(&h);
	assert_null(h.ring.mem);
}

static void
without_memory_less_is_remembered(void **state)
{
	struct scrollback	h;
	struct buf	out;

	(void)state;
	scrollback_init(&h);
	failmalloc_arm_all(1);
	scrollback_put(&h, "\x1b[31mlost", 9);
	failmalloc_disarm();
	scrollback_put(&h, "kept", 4);
	buf_init(&out, SCROLLBACK_MAX + VT_RESTORE_MAX);
	failmalloc_arm(1);
	assert_int_equal(scrollback_replay(&h, &out), -ENOMEM);
	assert_true(failmalloc_disarm());
	assert_int_equal(out.len, 0);
	assert_int_equal(scrollback_replay(&h, &out), 0);
	assert_memory_equal(buf_head(&out) + out.len - 4, "kept", 4);
	buf_finish(&out);
	scrollback_finish(&h);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(T16_queries_are_left_out),
		cmocka_unit_test(
		    T16_what_surrounds_a_query_does_not_become_one),
		cmocka_unit_test(D12_everything_else_is_replayed),
		cmocka_unit_test(the_end_is_left_open_for_live_output),
		cmocka_unit_test(
		    a_cut_history_starts_between_sequences_and_characters),
		cmocka_unit_test(lost_modes_are_set_again),
		cmocka_unit_test(a_terminal_gets_its_own_modes_back),
		cmocka_unit_test(feeding_at_once_is_feeding_byte_by_byte),
		cmocka_unit_test(
		    memory_comes_with_the_bytes_and_never_beyond_the_limit),
		cmocka_unit_test(without_memory_less_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
