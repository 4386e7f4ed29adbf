/*
 * A line of /proc/net/tcp: no other port than the one asked for is ours.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* An applet is in no library. */
#include "applets/kssh_listener.c"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char	line[2 * LINE_LEN_MAX];

	if (n >= sizeof line)
		return 0;
	memcpy(line, data, n);
	line[n] = '\0';
	if (kssh_listener_line(line, 2822, 1000) == 1) {
		assert(kssh_listener_line(line, 2822, 1001) == -1);
		assert(kssh_listener_line(line, 2823, 1000) == 0);
	}
	return 0;
}
