/*
 * The detach chord: however the bytes are cut, the same passes and the chord
 * is found in the same place; nothing is made up.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "workspace/chord.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static size_t
run(const uint8_t *p, size_t n, size_t step, uint8_t *out, struct chord *c)
{
	size_t	take, len = 0;

	for (; n > 0; p += take, n -= take) {
		take = n < step ? n : step;
		len += chord_filter(c, p, take, out + len);
	}
	return len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct chord	a = { 0 }, b = { 0 };
	uint8_t		*whole, *cut;
	size_t		 nwhole, ncut;

	if (n < 1)
		return 0;
	whole = malloc(n + 1);
	cut = malloc(n + 1);
	if (whole == NULL || cut == NULL)
		abort();
	nwhole = run(data + 1, n - 1, n, whole, &a);
	ncut = run(data + 1, n - 1, 1 + data[0] % 16, cut, &b);
	if (nwhole != ncut || memcmp(whole, cut, nwhole) != 0 ||
	    a.found != b.found || a.held != b.held ||
	    (!a.found && nwhole + a.held != n - 1))
		abort();
	free(whole);
	free(cut);
	return 0;
}
