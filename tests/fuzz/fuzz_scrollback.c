/*
 * The replay of a terminal's history: whatever was put, in whatever pieces,
 * what comes out has no query in it, so stripping it again changes nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "workspace/scrollback.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
put_in_pieces(struct scrollback *h, const uint8_t *p, size_t n, size_t step)
{
	size_t	take;

	for (; n > 0; p += take, n -= take) {
		take = n < step ? n : step;
		scrollback_put(h, p, take);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct scrollback	first, second;
	struct buf	once, twice;
	size_t		step;

	if (n < 2)
		return 0;
	step = 1 + data[0];
	scrollback_init(&first);
	scrollback_init(&second);
	/* A small ring wraps with small inputs. */
	first.ring.max = 16 + data[1];
	buf_init(&once, SCROLLBACK_MAX);
	buf_init(&twice, SCROLLBACK_MAX);
	put_in_pieces(&first, data + 2, n - 2, step);
	if (scrollback_replay(&first, &once) == 0) {
		put_in_pieces(&second, buf_head(&once), once.len, step);
		if (scrollback_replay(&second, &twice) == 0 &&
		    (once.len != twice.len || (once.len > 0 &&
		    memcmp(buf_head(&once), buf_head(&twice), once.len) != 0)))
			abort();
	}
	buf_finish(&once);
	buf_finish(&twice);
	scrollback_finish(&first);
	scrollback_finish(&second);
	return 0;
}
