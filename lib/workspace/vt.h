/*
 * vt - as much of a terminal's state as a cut history needs.
 *
 * A history that lost its oldest bytes may start inside an escape sequence or
 * a character, and may have lost what switched the alternate screen, the mouse
 * or bracketed paste on.  vt is fed the bytes that are lost and knows both:
 * what to skip, and which private modes to set again.  It draws nothing.
 *
 * Sequences are those of ECMA-48 and xterm: CSI, OSC, DCS, APC, PM, SOS, two
 * and three byte escapes; strings end at ST, OSC also at BEL.
 */
#ifndef WORKSPACE_VT_H
#define WORKSPACE_VT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VT_PARAMS_MAX	16	/* more are ignored */
#define VT_RESTORE_MAX	256	/* bytes of vt_restore() */

enum vt_state {
	VT_GROUND,
	VT_ESCAPE,		/* ESC, perhaps intermediates */
	VT_CSI,
	VT_OSC,
	VT_STRING,		/* DCS, APC, PM, SOS */
	VT_OSC_ESCAPE,		/* ESC inside: ST or a new sequence */
	VT_STRING_ESCAPE
};

struct vt {
	uint8_t		state;		/* enum vt_state */
	uint8_t		utf8_left;	/* continuation bytes still due */
	uint8_t		marker;		/* of CSI: '<' '=' '>' '?' or 0 */
	uint8_t		nparams;
	uint16_t	params[VT_PARAMS_MAX];
	uint32_t	on, off;	/* modes away from their default */
};

/* What one byte did. */
enum vt_event {
	VT_NOTHING,		/* inside, or plain text */
	VT_BEGIN,		/* first byte of a sequence */
	VT_END			/* last byte of a sequence */
};

/* Zeroed memory is the ground state. */
enum vt_event vt_byte(struct vt *vt, uint8_t c);
void	 vt_feed(struct vt *vt, const void *p, size_t n);

/* Between characters and sequences: text may start here. */
bool	 vt_at_ground(const struct vt *vt);

/* Bytes of p that belong to what was cut, 0..n. */
size_t	 vt_skip(const struct vt *vt, const void *p, size_t n);

/* Sequences that bring a fresh terminal into the modes of vt; returns the
 * length, at most VT_RESTORE_MAX. */
size_t	 vt_restore(const struct vt *vt, char out[VT_RESTORE_MAX]);

/* The way back: ends what was begun and gives a terminal that vt was fed its
 * own screen, cursor and keys again.  Length as above. */
size_t	 vt_undo(const struct vt *vt, char out[VT_RESTORE_MAX]);

#endif
