#include "workspace/chord.h"

#include <string.h>

bool
chord_idle(const struct chord *c, const void *p, size_t n)
{
	return !c->held && (n == 0 || memchr(p, CHORD_PREFIX, n) == NULL);
}

size_t
chord_filter(struct chord *c, const uint8_t *p, size_t n, uint8_t *out)
{
	size_t	i, len = 0;

	for (i = 0; i < n && !c->found; i++) {
		if (!c->held) {
			if (p[i] == CHORD_PREFIX)
				c->held = true;
			else
				out[len++] = p[i];
			continue;
		}
		c->held = false;
		if (p[i] == 'd' || p[i] == 'D') {
			c->found = true;
			continue;
		}
		out[len++] = CHORD_PREFIX;
		out[len++] = p[i];
	}
	return len;
}
