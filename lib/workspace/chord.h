/*
 * chord - finds Ctrl+A d in what a user types.
 *
 * The chord detaches a session (spec/grpc.md 4.2).  It is found anywhere in
 * the byte stream, also split over messages.  Ctrl+A and any other key pass
 * through, a second Ctrl+A included; a lone Ctrl+A is held back until the next
 * byte or until the owner's patience ends.
 */
#ifndef WORKSPACE_CHORD_H
#define WORKSPACE_CHORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHORD_PREFIX	0x01	/* Ctrl+A */
#define CHORD_HOLD_MS	500

/* Zeroed memory is ready. */
struct chord {
	bool	held;		/* a Ctrl+A that waits for its key */
	bool	found;		/* what followed the chord is dropped */
};

/* Nothing of the chord is, or can be, in these bytes: they pass as they are. */
bool	 chord_idle(const struct chord *c, const void *p, size_t n);

/* Copies to out (room for n + 1) what passes; returns its length. */
size_t	 chord_filter(struct chord *c, const uint8_t *p, size_t n,
	    uint8_t *out);

#endif
