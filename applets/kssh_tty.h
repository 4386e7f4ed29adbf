/*
 * kssh_tty - the user's terminal: raw and back, its size, escape sequences.
 */
#ifndef APPLETS_KSSH_TTY_H
#define APPLETS_KSSH_TTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

struct kssh_tty_state {
	bool		 raw;
	struct termios	 saved;
};

/*
 * Standard input to raw mode, and again after somebody changed it; 0 or
 * -errno.  Nothing restores it but kssh_tty_restore(), which is for every way
 * out and does nothing if it is not raw.
 */
int	 kssh_tty_raw(struct kssh_tty_state *t);
void	 kssh_tty_restore(struct kssh_tty_state *t);

/* Of the terminal; 80 x 24 if it doesn't say. */
void	 kssh_tty_size(uint32_t *cols, uint32_t *rows);

/*
 * Escapes: the escape character counts only at the start of a line, and is
 * held back until the next byte says what it means.
 */
enum kssh_escape { ESCAPE_NONE, ESCAPE_LEAVE, ESCAPE_SUSPEND, ESCAPE_HELP };

struct kssh_escapes {
	int	character;	/* or KSSH_ESCAPE_NONE */
	bool	line_start, pending;
};

/*
 * Copies in[0..n) to out (room for n + 1) without escapes.  Stops behind the
 * first escape that has to be acted on: *used bytes were taken, *outlen
 * bytes are to be sent first.
 */
enum kssh_escape kssh_escape_filter(struct kssh_escapes *e, const uint8_t *in,
	    size_t n, size_t *used, uint8_t *out, size_t *outlen);

#endif
