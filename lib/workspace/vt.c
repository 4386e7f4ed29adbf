#include "workspace/vt.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define ESC	0x1b
#define BEL	0x07
#define CAN	0x18
#define SUB	0x1a

#define UTF8_LONGEST	4

/*
 * Private modes worth bringing back, by bit.  What an application turned on is
 * set again; the cursor and autowrap are on by default, so there being turned
 * off is what counts.
 */
static const struct {
	uint16_t	mode;
	bool		default_on;
} modes[] = {
	{ 1, false },		/* application cursor keys */
	{ 7, true },		/* autowrap */
	{ 25, true },		/* cursor visible */
	{ 47, false }, { 1047, false }, { 1049, false }, /* other screen */
	{ 66, false },		/* application keypad */
	{ 1000, false }, { 1002, false }, { 1003, false },	/* mouse */
	{ 1004, false },	/* focus */
	{ 1005, false }, { 1006, false }, { 1015, false },	/* its coding */
	{ 2004, false },	/* bracketed paste */
};

_Static_assert(ARRAY_LEN(modes) <= 32, "one bit each");

static void
set_mode(struct vt *vt, uint16_t mode, bool on)
{
	size_t	 i;
	uint32_t bit;

	for (i = 0; i < ARRAY_LEN(modes); i++) {
		if (modes[i].mode != mode)
			continue;
		bit = 1u << i;
		vt->on &= ~bit;
		vt->off &= ~bit;
		if (on && !modes[i].default_on)
			vt->on |= bit;
		if (!on && modes[i].default_on)
			vt->off |= bit;
	}
}

static void
csi_end(struct vt *vt, uint8_t final)
{
	unsigned	i;

	if (vt->marker == '?' && (final == 'h' || final == 'l'))
		for (i = 0; i < vt->nparams && i < VT_PARAMS_MAX; i++)
			set_mode(vt, vt->params[i], final == 'h');
}

static enum vt_event
begin(struct vt *vt)
{
	vt->state = VT_ESCAPE;
	vt->utf8_left = 0;
	return VT_BEGIN;
}

static enum vt_event
end(struct vt *vt)
{
	vt->state = VT_GROUND;
	return VT_END;
}

static uint8_t
continuations(uint8_t c)
{
	if (c >= 0xc2 && c <= 0xdf)
		return 1;
	if (c >= 0xe0 && c <= 0xef)
		return 2;
	if (c >= 0xf0 && c <= 0xf4)
		return 3;
	return 0;
}

static enum vt_event
on_ground(struct vt *vt, uint8_t c)
{
	if (c == ESC)
		return begin(vt);
	if (vt->utf8_left > 0 && (c & 0xc0) == 0x80)
		vt->utf8_left--;
	else
		vt->utf8_left = continuations(c);
	return VT_NOTHING;
}

static enum vt_event
on_escape(struct vt *vt, uint8_t c)
{
	if (c == '[') {
		vt->state = VT_CSI;
		vt->marker = vt->nparams = 0;
		vt->params[0] = 0;
		return VT_NOTHING;
	}
	if (c == ']') {
		vt->state = VT_OSC;
		return VT_NOTHING;
	}
	if (c == 'P' || c == 'X' || c == '^' || c == '_') {
		vt->state = VT_STRING;
		return VT_NOTHING;
	}
	if (c >= 0x20 && c <= 0x2f)
		return VT_NOTHING;		/* intermediate */
	if (c == 'c')
		vt->on = vt->off = 0;		/* full reset */
	return end(vt);
}

static void
csi_param(struct vt *vt, uint8_t c)
{
	uint16_t	*v;

	if (vt->nparams == 0)
		vt->nparams = 1;
	if (c == ';' || c == ':') {
		if (vt->nparams < UINT8_MAX)
			vt->nparams++;
		if (vt->nparams <= VT_PARAMS_MAX)
			vt->params[vt->nparams - 1] = 0;
		return;
	}
	if (vt->nparams > VT_PARAMS_MAX)
		return;
	v = &vt->params[vt->nparams - 1];
	if (*v <= 9999)
		*v = (uint16_t)(*v * 10 + (c - '0'));
}

static enum vt_event
on_csi(struct vt *vt, uint8_t c)
{
	if (c >= '0' && c <= ';')
		csi_param(vt, c);
	else if (c >= '<' && c <= '?')
		vt->marker = c;
	else if (c >= 0x40 && c <= 0x7e) {
		csi_end(vt, c);
		return end(vt);
	}
	return VT_NOTHING;	/* intermediates, controls acted on inside */
}

/*
 * ESC \ ends a string; ESC and anything else ends it as well, and starts a
 * sequence of its own.
 */
static enum vt_event
on_string_escape(struct vt *vt, uint8_t c)
{
	if (c == '\\')
		return end(vt);
	if (c == ESC)
		return begin(vt);
	vt->state = VT_ESCAPE;
	return on_escape(vt, c);
}

enum vt_event
vt_byte(struct vt *vt, uint8_t c)
{
	if (vt->state == VT_GROUND)
		return on_ground(vt, c);
	if (c == CAN || c == SUB)
		return end(vt);
	switch ((enum vt_state)vt->state) {
	case VT_OSC:
		if (c == BEL)
			return end(vt);
		if (c == ESC)
			vt->state = VT_OSC_ESCAPE;
		return VT_NOTHING;
	case VT_STRING:
		if (c == ESC)
			vt->state = VT_STRING_ESCAPE;
		return VT_NOTHING;
	case VT_OSC_ESCAPE:
	case VT_STRING_ESCAPE:
		return on_string_escape(vt, c);
	default:
		break;
	}
	if (c == ESC)			/* a new one; the old is abandoned */
		return begin(vt);
	return vt->state == VT_CSI ? on_csi(vt, c) : on_escape(vt, c);
}

/*
 * All that text leaves behind is the character it ends in, so what lies before
 * its last few bytes need not be looked at.  Returns what has to be.
 */
static const uint8_t *
pass_text(struct vt *vt, const uint8_t *c, const uint8_t *last)
{
	const uint8_t	*esc;

	if (vt->state != VT_GROUND)
		return c;
	if ((esc = memchr(c, ESC, (size_t)(last - c))) == NULL)
		esc = last;
	if (esc - c <= UTF8_LONGEST)
		return c;
	vt->utf8_left = 0;
	return esc - UTF8_LONGEST;
}

void
vt_feed(struct vt *vt, const void *p, size_t n)
{
	const uint8_t	*c = p, *last = c + n;

	for (; c < last; c++) {
		c = pass_text(vt, c, last);
		vt_byte(vt, *c);
	}
}

bool
vt_at_ground(const struct vt *vt)
{
	return vt->state == VT_GROUND && vt->utf8_left == 0;
}

size_t
vt_skip(const struct vt *vt, const void *p, size_t n)
{
	struct vt	 copy = *vt;
	const uint8_t	*c = p;
	size_t		 i;

	for (i = 0; i < n && !vt_at_ground(&copy); i++) {
		/* A character that was cut wrongly ends before this byte. */
		if (copy.state == VT_GROUND && (c[i] & 0xc0) != 0x80)
			break;
		vt_byte(&copy, c[i]);
	}
	return i;
}

static size_t
put_mode(char *out, size_t len, uint16_t mode, char final)
{
	int	n = snprintf(out + len, VT_RESTORE_MAX - len, "\x1b[?%u%c",
		    (unsigned)mode, final);

	return len + (n > 0 ? (size_t)n : 0);
}

size_t
vt_restore(const struct vt *vt, char out[VT_RESTORE_MAX])
{
	size_t	i, len = 0;

	for (i = 0; i < ARRAY_LEN(modes); i++) {
		if ((vt->on >> i & 1) != 0)
			len = put_mode(out, len, modes[i].mode, 'h');
		if ((vt->off >> i & 1) != 0)
			len = put_mode(out, len, modes[i].mode, 'l');
	}
	return len;
}

size_t
vt_undo(const struct vt *vt, char out[VT_RESTORE_MAX])
{
	size_t	i, len = 0;

	if (!vt_at_ground(vt)) {
		out[len++] = ESC;	/* ST ends strings, ESC the others */
		out[len++] = '\\';
	}
	for (i = 0; i < ARRAY_LEN(modes); i++) {
		if ((vt->on >> i & 1) != 0)
			len = put_mode(out, len, modes[i].mode, 'l');
		if ((vt->off >> i & 1) != 0)
			len = put_mode(out, len, modes[i].mode, 'h');
	}
	return len;
}
