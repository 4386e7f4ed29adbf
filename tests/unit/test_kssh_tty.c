/*
 * The escapes of kssh: what goes to the far side, and what is for us.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* An applet is in no library. */
#include "applets/kssh_tty.c"

#define MAX	64

struct result {
	uint8_t			out[MAX];
	size_t			len;
	enum kssh_escape	acts[8];
	size_t			nacts;
};

/* Feeds text in pieces of at most `piece` bytes. */
static void
feed(struct result *r, int character, const char *text, size_t piece)
{
	struct kssh_escapes	 e = { .character = character,
				    .line_start = true };
	const uint8_t		*p = (const uint8_t *)text;
	size_t			 left = strlen(text), n, used, len;
	enum kssh_escape	 what;

	memset(r, 0, sizeof *r);
	for (; left > 0; p += used, left -= used) {
		n = left < piece ? left : piece;
		what = kssh_escape_filter(&e, p, n, &used, r->out + r->len,
		    &len);
		assert_in_range(used, 1, n);
		r->len += len;
		if (what != ESCAPE_NONE)
			r->acts[r->nacts++] = what;
	}
}

static void
expect(int character, const char *in, const char *out,
    enum kssh_escape first, size_t nacts)
{
	struct result	r;
	size_t		piece;

	for (piece = 1; piece <= strlen(in); piece++) {
		feed(&r, character, in, piece);
		assert_int_equal(r.len, strlen(out));
		assert_memory_equal(r.out, out, r.len);
		assert_int_equal(r.nacts, nacts);
		if (nacts > 0)
			assert_int_equal(r.acts[0], first);
	}
}

static void
what_is_no_escape_passes_unchanged(void **state)
{
	(void)state;
	expect('~', "ls -l\r", "ls -l\r", ESCAPE_NONE, 0);
	expect('~', "a~.b", "a~.b", ESCAPE_NONE, 0);
	expect('~', "x~~~.\r", "x~~~.\r", ESCAPE_NONE, 0);
	expect('~', "~xyz", "~xyz", ESCAPE_NONE, 0);
	expect('~', "~\r", "~\r", ESCAPE_NONE, 0);
}

static void
escapes_act_at_the_start_of_a_line(void **state)
{
	(void)state;
	expect('~', "~.", "", ESCAPE_LEAVE, 1);
	expect('~', "ls\r~.", "ls\r", ESCAPE_LEAVE, 1);
	expect('~', "ls\n~?", "ls\n", ESCAPE_HELP, 1);
	expect('~', "\r~\x1a", "\r", ESCAPE_SUSPEND, 1);
	/* Behind one, it is still the start of the line. */
	expect('~', "~?~?~.", "", ESCAPE_HELP, 3);
}

static void
twice_the_character_sends_it_once(void **state)
{
	(void)state;
	expect('~', "~~", "~", ESCAPE_NONE, 0);
	expect('~', "~~.\r", "~.\r", ESCAPE_NONE, 0);
	expect('~', "\r~~~.", "\r~~.", ESCAPE_NONE, 0);
}

static void
character_is_held_until_the_next_one_tells(void **state)
{
	struct result	r;

	(void)state;
	feed(&r, '~', "~", 1);
	assert_int_equal(r.len, 0);
}

static void
character_can_be_another_or_none(void **state)
{
	(void)state;
	expect('%', "~.\r%.", "~.\r", ESCAPE_LEAVE, 1);
	expect(0x1d, "\x1d.", "", ESCAPE_LEAVE, 1);
	expect(KSSH_ESCAPE_NONE, "~.\r~?\r", "~.\r~?\r", ESCAPE_NONE, 0);
	expect(0xff, "\xff.", "", ESCAPE_LEAVE, 1);
}

static void
no_terminal_has_the_usual_size_and_no_modes(void **state)
{
	struct kssh_tty_state	t = { .raw = false };
	uint32_t		cols, rows;
	int			null = open("/dev/null", O_RDONLY);
	int			keep = dup(STDIN_FILENO);

	(void)state;
	assert_true(null >= 0 && keep >= 0);
	assert_int_equal(dup2(null, STDIN_FILENO), STDIN_FILENO);
	kssh_tty_size(&cols, &rows);
	assert_int_equal(cols, 80);
	assert_int_equal(rows, 24);
	assert_int_equal(kssh_tty_raw(&t), -ENOTTY);
	assert_false(t.raw);
	kssh_tty_restore(&t);
	assert_int_equal(dup2(keep, STDIN_FILENO), STDIN_FILENO);
	close(keep);
	close(null);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(what_is_no_escape_passes_unchanged),
		cmocka_unit_test(escapes_act_at_the_start_of_a_line),
		cmocka_unit_test(twice_the_character_sends_it_once),
		cmocka_unit_test(character_is_held_until_the_next_one_tells),
		cmocka_unit_test(character_can_be_another_or_none),
		cmocka_unit_test(no_terminal_has_the_usual_size_and_no_modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
