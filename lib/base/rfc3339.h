/*
 * rfc3339 - moments as text, RFC 3339 section 5.6.
 *
 * We write UTC ("Z"): reading a zone file in the workspace is nothing for
 * PID 1.  We read any offset, fractions down to nanoseconds, and the years
 * 1970 to 2199; leap seconds are read as the second after them.
 */
#ifndef BASE_RFC3339_H
#define BASE_RFC3339_H

#include <stdint.h>

#define RFC3339_LEN	21	/* "2026-11-22T00:24:58Z" and its end */

/* seconds: Unix time; what the format can't say becomes "". */
void	 rfc3339_format(int64_t seconds, char out[RFC3339_LEN]);

/* Nanoseconds of Unix time; the whole of s must match.  0 or -EINVAL. */
int	 rfc3339_parse(const char *s, int64_t *ns);

#endif
