/*
 * kbox_text - text for a terminal: how wide it is, where to cut it, how
 * quantities are written.
 *
 * Widths are cells of a terminal, not bytes.  Everything here takes well-formed
 * UTF-8; what came from outside goes through log_escape() first.
 */
#ifndef APPLETS_KBOX_TEXT_H
#define APPLETS_KBOX_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* kbox_width.c: 0, 1 or 2; control characters do not occur. */
unsigned kbox_width_of(uint32_t cp);

/* Cells of s.  An ill-formed byte counts one. */
size_t	 kbox_width(const char *s);

/*
 * Bytes of the longest start of s that is at most `width` cells wide, *cells
 * what it takes.  Combining characters stay with what they combine with.
 */
size_t	 kbox_fit(const char *s, size_t width, size_t *cells);

/* 1024-based, as "17B", "2.45K", "1.10M", "3.00G"; G is the largest. */
void	 kbox_bytes_short(uint64_t n, char *out, size_t outlen);

/* "17B", "3.00KiB", "1.50GiB", "2.00TiB"; without decimals if they are 0. */
void	 kbox_bytes_long(uint64_t n, char *out, size_t outlen);

/* "12.34%"; "n/a" of nothing. */
void	 kbox_percent(double part, double whole, char *out, size_t outlen);

/* RFC 3986 2.3: everything but unreserved characters leaves as %XX. */
int	 kbox_url_escape(const char *s, char *out, size_t outlen);

#endif
