/*
 * str - strict text: numbers, Go durations, base64, paths, UTF-8.
 *
 * Strict means: the whole input has to match, nothing is guessed, overflow is
 * an error.  Out-parameters are written only on success.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

/* Decimal digits only, no sign, no space; 0, -EINVAL or -ERANGE. */
int	 str_to_u64(const char *s, uint64_t max, uint64_t *v);
int	 str_to_u32(const char *s, uint32_t max, uint32_t *v);

/* The same on bytes that are not terminated; n == 0 is -EINVAL. */
int	 mem_to_u64(const char *s, size_t n, uint64_t max, uint64_t *v);

/*
 * Go's time.ParseDuration: "300ms", "-1.5h", "2h45m", "0"; units ns us (and
 * its two micro signs) ms s m h.  Nanoseconds; 0, -EINVAL or -ERANGE.
 */
int	 str_to_duration(const char *s, int64_t *ns);

/* Go's Duration.String(): "1h0m0s", "1.5s", "0s".  32 bytes are enough. */
void	 str_from_duration(int64_t ns, char *out, size_t outlen);

/*
 * base64url without padding (RFC 7515 section 2) and base64 (RFC 4648, with
 * or without padding where `loose`, else padding as the length demands).
 * Non-canonical last bits, blanks and foreign characters are refused.
 * *outlen: in the room, out the length.  0, -EINVAL or -ENOBUFS; on
 * -EINVAL bytes of out may have been written.
 */
int	 base64url_decode(const char *s, size_t n, uint8_t *out,
	    size_t *outlen);
int	 base64_decode(const char *s, size_t n, bool loose, uint8_t *out,
	    size_t *outlen);

/* Unpadded; writes a terminator, needs 4*(n+2)/3 + 1 bytes.  Length. */
size_t	 base64_encode(const uint8_t *p, size_t n, char *out);

/* Well-formed UTF-8 by RFC 3629 (no surrogates, no overlong forms). */
bool	 utf8_valid(const void *p, size_t n);

/* Length of the well-formed sequence at p, *cp its code point; or 0. */
size_t	 utf8_next(const void *p, size_t n, uint32_t *cp);

/* Writes 1 to 4 bytes, no terminator; cp must be a Unicode scalar value. */
size_t	 utf8_put(uint32_t cp, char *out);

/*
 * Copies with every ill-formed sequence replaced by U+FFFD.  The result is
 * terminated and cut at a character boundary; returns its length.
 */
size_t	 utf8_repair(const void *p, size_t n, char *out, size_t outlen);

/*
 * snprintf that treats truncation as an error: length, or -ENAMETOOLONG with
 * out empty.
 */
int	 str_format(char *out, size_t outlen, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));

/*
 * dir + "/" + name with exactly one slash; an empty dir adds nothing.  0 or
 * -ENAMETOOLONG.
 */
int	 path_join(char *out, size_t outlen, const char *dir, const char *name);

/* Part after the last slash. */
const char *path_base(const char *path);

bool	 str_prefix(const char *s, const char *prefix);
bool	 str_ieq(const char *a, const char *b);	/* ASCII, case-insensitive */

/* Value of a hexadecimal digit, -1 for any other character. */
int	 str_hex_digit(char c);

/* In place; returns the first character that is not blank. */
char	*str_trim(char *s);

/* Constant time; the lengths are not secret. */
bool	 secret_eq(const void *a, size_t na, const void *b, size_t nb);
void	 secret_wipe(void *p, size_t n);

#endif
