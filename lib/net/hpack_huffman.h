/*
 * hpack_huffman - the string code of RFC 7541 appendix B.  No allocation.
 */
#ifndef NET_HPACK_HUFFMAN_H
#define NET_HPACK_HUFFMAN_H

#include <stddef.h>
#include <stdint.h>

/* The shortest code has 5 bits: n coded bytes give at most this many. */
#define HPACK_HUFFMAN_BOUND(n)	((n) / 5 * 8 + (n) % 5 * 8 / 5)

/*
 * Writes at most cap bytes; *len is the whole length, cap or not, so that a
 * string that is too long is still checked to its end.  0, or -EPROTO: EOS
 * inside, or padding that is longer than 7 bits or not all ones.
 */
int	 hpack_huffman_decode(const uint8_t *p, size_t n, char *out, size_t cap,
	    size_t *len);

/* Bytes that the code for p takes. */
size_t	 hpack_huffman_length(const char *p, size_t n);

/* Writes exactly that many; returns the first byte behind them. */
uint8_t	*hpack_huffman_encode(const char *p, size_t n, uint8_t *out);

#endif
