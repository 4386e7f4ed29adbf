/*
 * Feeds BearSSL's private-key decoder RSA keys whose parts add up to less,
 * exactly and more than its buffer, and looks behind the buffer.  0.6 as
 * released writes there; patches/bearssl-skey-decoder-bound.patch is why ours
 * must not.  Linked by test_build.py against the library we ship.
 */
#include <bearssl.h>
#include <stdio.h>
#include <string.h>

#define BUFFER_SIZE	((size_t)(3 * BR_X509_BUFSIZE_SIG))
#define GUARD_SIZE	64
#define GUARD_BYTE	0xaa
#define PARTS		5		/* p, q, dp, dq, iq */

/* An INTEGER of n bytes at out; returns its length with the header. */
static size_t
put_integer(unsigned char *out, size_t n)
{
	out[0] = 0x02;
	out[1] = 0x82;
	out[2] = (unsigned char)(n >> 8);
	out[3] = (unsigned char)n;
	memset(out + 4, 0x55, n);
	return n + 4;
}

/* An RSAPrivateKey whose five kept parts have total bytes together. */
static size_t
make_key(unsigned char *out, size_t total)
{
	static const unsigned char version[] = { 0x02, 0x01, 0x00 };
	size_t	n = 4, i;

	memcpy(out + n, version, sizeof version);
	n += sizeof version;
	for (i = 0; i < 3; i++)		/* n, e, d: read and dropped */
		n += put_integer(out + n, 256);
	for (i = 0; i < PARTS - 1; i++)
		n += put_integer(out + n, total / PARTS);
	n += put_integer(out + n, total - total / PARTS * (PARTS - 1));
	out[0] = 0x30;
	out[1] = 0x82;
	out[2] = (unsigned char)((n - 4) >> 8);
	out[3] = (unsigned char)(n - 4);
	return n;
}

int
main(void)
{
	static unsigned char	key[8192];
	struct {
		br_skey_decoder_context	ctx;
		unsigned char		guard[GUARD_SIZE];
	} x;
	size_t	total, len, i;
	int	err;

	for (total = BUFFER_SIZE - 32; total <= BUFFER_SIZE + 64; total++) {
		len = make_key(key, total);
		memset(x.guard, GUARD_BYTE, sizeof x.guard);
		br_skey_decoder_init(&x.ctx);
		br_skey_decoder_push(&x.ctx, key, len);
		err = br_skey_decoder_last_error(&x.ctx);
		for (i = 0; i < GUARD_SIZE; i++)
			if (x.guard[i] != GUARD_BYTE)
				return printf("%zu: overflow\n", total), 1;
		if ((err == 0) != (total <= BUFFER_SIZE))
			return printf("%zu: error %d\n", total, err), 1;
	}
	return 0;
}
