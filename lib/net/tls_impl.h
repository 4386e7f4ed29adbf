/*
 * tls_impl - what the parts of tls share: files, PEM, identities, anchors.
 */
#ifndef NET_TLS_IMPL_H
#define NET_TLS_IMPL_H

#include <bearssl.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

#define TLS_FILE_MAX	(64u * 1024)	/* certificate chain or key */
#define TLS_BUNDLE_MAX	(1024u * 1024)	/* a system's trust anchors: ~220 KiB */
#define TLS_ANCHORS_MAX	1024u
#define TLS_CHAIN_MAX	8u		/* deeper ones are refused by peers */
#define TLS_ALPN_MAX	15u		/* bytes; "http/1.1" is the longest */

struct tls_identity {
	unsigned	 refs;
	br_x509_certificate chain[TLS_CHAIN_MAX];	/* leaf first */
	size_t		 chain_len;
	unsigned	 issuer_key_type;	/* of the leaf's signature */
	br_skey_decoder_context key;		/* holds the key's bytes */
	br_ec_impl	 groups;	/* key exchange: X25519 and P-256 */
	const char	*kind;		/* static text */
};

struct tls_trust {
	br_x509_trust_anchor *anchors;	/* one allocation each: DN, then key */
	size_t		 count, cap;
};

/*
 * Appends the regular file at path to out, limited by out's own limit.
 * 0, -EINVAL (not a regular file), -EFBIG, -ENOMEM or -errno.
 */
int	 tls_file_read(const char *path, struct buf *out);

/* One PEM object; der is valid during the call.  Non-zero ends the walk. */
typedef int tls_pem_fn(void *arg, const char *name, const uint8_t *der,
	    size_t n);

/*
 * Calls fn for each object in text.  0, what fn returned, -EINVAL (broken or
 * cut short), -ENOMEM.  The decoded bytes are wiped afterwards.
 */
int	 tls_pem_each(const struct buf *text, tls_pem_fn *fn, void *arg);

/* Static text for a BearSSL error, number included, or NULL. */
const char *tls_error_text(int err);

#endif
