#include "workspace/scrollback.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"

#define ESC	0x1b
#define BEL	0x07
#define ENQ	0x05	/* answered with the terminal's answerback text */

void
scrollback_init(struct scrollback *h)
{
	ring_init(&h->ring, SCROLLBACK_MAX);
	h->lost = (struct vt){ 0 };
}

void
scrollback_finish(struct scrollback *h)
{
	ring_finish(&h->ring);
	h->lost = (struct vt){ 0 };
}

/* The ring is about to forget its n oldest bytes: learn what they did. */
static void
forget(struct scrollback *h, size_t n)
{
	struct ring_span	span[2];
	int			i, count = ring_peek(&h->ring, 0, span);
	size_t			take;

	for (i = 0; i < count && n > 0; i++, n -= take) {
		take = n < span[i].n ? n : span[i].n;
		vt_feed(&h->lost, span[i].p, take);
	}
}

/*
 * The ring keeps what it had when memory is out, so what it forgets is known
 * only from its length before and after; put in pieces that fit, the bytes
 * forgotten are always among the oldest ones seen before the put.
 */
static void
put_piece(struct scrollback *h, const uint8_t *p, size_t n)
{
	struct scrollback	 before = *h;
	size_t		 len = ring_len(&h->ring), now;

	if (len + n > h->ring.max)
		forget(h, len + n - h->ring.max);
	ring_put(&h->ring, p, n);
	now = ring_len(&h->ring);
	if (now < len + n && now < h->ring.max) {
		/* Out of memory: bytes of unknown place are gone. */
		h->lost = before.lost;
		h->lost.state = VT_GROUND;
		h->lost.utf8_left = 0;
	}
}

void
scrollback_put(struct scrollback *h, const void *p, size_t n)
{
	const uint8_t	*c = p;
	size_t		 take;

	for (; n > 0; c += take, n -= take) {
		take = n < h->ring.max / 2 ? n : h->ring.max / 2;
		put_piece(h, c, take);
	}
}

/* CSI: parameters, then intermediates, then the final byte. */
static bool
csi_is_query(const uint8_t *s, size_t n)
{
	uint8_t	final = s[n - 1];
	uint8_t	mid = n > 1 && s[n - 2] >= 0x20 && s[n - 2] <= 0x2f ?
		    s[n - 2] : 0;
	uint8_t	marker = s[0] >= '<' && s[0] <= '?' ? s[0] : 0;

	switch (final) {
	case 'n':		/* status, cursor position */
	case 'c':		/* device attributes, and the answer */
		return mid == 0;
	case 'R':		/* a cursor position somebody echoed */
		return mid == 0 && n > 1;
	case 'p':		/* is this mode set? */
		return mid == '$';
	case 'y':		/* the answer */
		return mid == '$';
	case 'q':		/* name and version */
		return marker == '>' && mid == 0;
	case 'u':		/* keyboard protocol */
		return marker == '?' && mid == 0;
	case 'x':		/* terminal parameters */
		return mid == 0;
	case 't':		/* window reports are 11 to 21 */
		return mid == 0 && n >= 3 && ((s[0] == '1' && s[1] >= '1' &&
		    s[1] <= '9') || (s[0] == '2' && s[1] <= '1'));
	default:
		return false;
	}
}

/* OSC with a parameter "?", and the answers with colours. */
static bool
osc_is_query(const uint8_t *s, size_t n)
{
	size_t	i;

	for (i = 1; i + 1 < n; i++)
		if (s[i - 1] == ';' && s[i] == '?' &&
		    (s[i + 1] == ';' || s[i + 1] == BEL || s[i + 1] == ESC))
			return true;
	return n > 7 && s[0] == '1' && s[1] >= '0' && s[1] <= '9' &&
	    memcmp(s + 2, ";rgb:", 5) == 0;
}

bool
scrollback_is_query(const uint8_t *s, size_t n)
{
	if (n < 2 || s[0] != ESC)
		return n == 1 && s[0] == ENQ;
	switch (s[1]) {
	case '[':
		return n > 2 && csi_is_query(s + 2, n - 2);
	case ']':
		return osc_is_query(s + 2, n - 2);
	case 'P':		/* which setting, which capability? */
		return n > 4 && (s[2] == '$' || s[2] == '+') && s[3] == 'q';
	case 'Z':		/* identify yourself */
		return true;
	case '_':		/* graphics, which are acknowledged */
		return n > 2 && s[2] == 'G';
	default:
		return false;
	}
}

/*
 * In place; returns the new length.  A sequence cut short by the next one goes
 * as well: left behind, its start could join what follows a stripped query and
 * make a new one.
 */
static size_t
strip_queries(uint8_t *p, size_t n)
{
	struct vt	 vt = { 0 };
	size_t		 i, start = 0, len = 0;
	uint8_t		 was;
	bool		 inside = false;

	for (i = 0; i < n; i++) {
		was = vt.state;
		if ((was == VT_OSC_ESCAPE || was == VT_STRING_ESCAPE) &&
		    p[i] != '\\') {
			len = start;		/* its ESC began another */
			p[len++] = ESC;
		}
		switch (vt_byte(&vt, p[i])) {
		case VT_BEGIN:
			if (inside)
				len = start;
			start = len;
			inside = true;
			p[len++] = p[i];
			break;
		case VT_END:
			p[len++] = p[i];
			if (scrollback_is_query(p + start, len - start))
				len = start;
			inside = false;
			break;
		case VT_NOTHING:
			/* Acted on at once, also inside a sequence. */
			if (p[i] != ENQ || was == VT_OSC || was == VT_STRING)
				p[len++] = p[i];
			break;
		}
	}
	return len;
}

int
scrollback_replay(const struct scrollback *h, struct buf *out)
{
	char		 modes[VT_RESTORE_MAX];
	size_t		 n = ring_len(&h->ring), skip, len;
	size_t		 nmodes = vt_restore(&h->lost, modes);
	uint8_t		*p;
	int		 r;

	if (nmodes + n == 0)
		return 0;
	if ((r = buf_reserve(out, nmodes + n, &p)) < 0)
		return r;
	memcpy(p, modes, nmodes);
	ring_copy(&h->ring, 0, p + nmodes, n);
	skip = vt_skip(&h->lost, p + nmodes, n);
	memmove(p + nmodes, p + nmodes + skip, n - skip);
	len = strip_queries(p + nmodes, n - skip);
	buf_commit(out, nmodes + len);
	return 0;
}
