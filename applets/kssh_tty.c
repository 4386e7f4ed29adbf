#include "applets/kssh_tty.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "applets/kssh_options.h"

int
kssh_tty_raw(struct kssh_tty_state *t)
{
	struct termios	raw;

	/* Raw already: what it was before must not be forgotten. */
	if (!t->raw && tcgetattr(STDIN_FILENO, &t->saved) < 0)
		return -errno;
	raw = t->saved;
	cfmakeraw(&raw);
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
		return -errno;
	t->raw = true;
	return 0;
}

void
kssh_tty_restore(struct kssh_tty_state *t)
{
	if (t->raw)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &t->saved);
	t->raw = false;
}

void
kssh_tty_size(uint32_t *cols, uint32_t *rows)
{
	struct winsize	ws;

	*cols = 80;
	*rows = 24;
	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col != 0 &&
	    ws.ws_row != 0) {
		*cols = ws.ws_col;
		*rows = ws.ws_row;
	}
}

static enum kssh_escape
meaning(uint8_t c)
{
	switch (c) {
	case '.':
		return ESCAPE_LEAVE;
	case 0x1a:		/* Ctrl-Z */
		return ESCAPE_SUSPEND;
	case '?':
		return ESCAPE_HELP;
	default:
		return ESCAPE_NONE;
	}
}

enum kssh_escape
kssh_escape_filter(struct kssh_escapes *e, const uint8_t *in, size_t n,
    size_t *used, uint8_t *out, size_t *outlen)
{
	enum kssh_escape	what;
	size_t			i, len = 0;

	for (i = 0; i < n; i++) {
		if (e->pending) {
			e->pending = false;
			if ((what = meaning(in[i])) != ESCAPE_NONE) {
				*used = i + 1;
				*outlen = len;
				return what;
			}
			/* The character twice sends it once. */
			if (in[i] != (uint8_t)e->character)
				out[len++] = (uint8_t)e->character;
		} else if (e->line_start && in[i] == e->character) {
			e->pending = true;
			continue;
		}
		out[len++] = in[i];
		e->line_start = in[i] == '\r' || in[i] == '\n';
	}
	*used = n;
	*outlen = len;
	return ESCAPE_NONE;
}
