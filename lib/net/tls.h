/*
 * tls - one end of one TLS 1.2 connection, as a byte pump.
 *
 * Never sees a file descriptor: the caller carries bytes between the socket
 * and the two wire buffers.  Must not be moved once created, the BearSSL
 * contexts inside point at each other.  Profile of spec/security.md 2.2:
 * ECDHE with AES-GCM or ChaCha20-Poly1305, X25519 and P-256, SHA-2 only, no
 * renegotiation, and the handshake fails unless ALPN settled on the protocol
 * asked for (h2), also when the peer sent no ALPN at all.  37 KiB each, of
 * which an idle connection has touched less than half.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct tls;
struct tls_identity;
struct tls_trust;

struct tls_io {
	struct buf	*wire_in, *wire_out;	/* ciphertext, owned by conn */
	struct buf	*app_in, *app_out;	/* plaintext, owned by conn */
};

/*
 * Server certificate chain and its key, PEM, RSA >= 2048 or EC P-256/P-384.
 * Reference counted: connections hold what they started with, a reload only
 * changes what new ones get (TR-25).  *err: static text of what is wrong.
 * 0, -EINVAL, -ENOMEM, or -errno of reading the file.
 */
int	 tls_identity_load(struct tls_identity **out, const char *cert_file,
	    const char *key_file, const char **err);
struct tls_identity *tls_identity_ref(struct tls_identity *id);
void	 tls_identity_unref(struct tls_identity *id);	/* NULL is allowed */

/* "EC P-256", "RSA 2048": for the log. */
const char *tls_identity_kind(const struct tls_identity *id);

/* Trust anchors, PEM file with any number of certificates. */
int	 tls_trust_load(struct tls_trust **out, const char *ca_file,
	    const char **err);
void	 tls_trust_destroy(struct tls_trust *t);

/*
 * Takes a reference on id.  alpn: "h2", or NULL for any.  NULL if out of
 * memory or of randomness.
 */
struct tls *tls_server_create(struct tls_identity *id, const char *alpn);

/*
 * Borrows trust, which must outlive the result.  host: name the certificate
 * must carry, also sent as SNI, 1 to 255 bytes; an IP address is compared with
 * the CN and is not sent.  alpn: NULL for none (HTTP/1.1).  NULL if out of
 * memory or of randomness, or if host is no possible name.
 */
struct tls *tls_client_create(const struct tls_trust *trust, const char *host,
	    const char *alpn);
void	 tls_destroy(struct tls *t);			/* NULL is allowed */

/*
 * Moves whatever can move; bytes that do not fit stay where they are.
 * Returns 0, -EPIPE after the peer's close_notify, -EPROTO, or -ENOMEM; all
 * but 0 are final, and wire_out may hold an alert that should still be sent.
 */
int	 tls_pump(struct tls *t, const struct tls_io *io);

/* The handshake, ALPN included, is complete. */
bool	 tls_ready(const struct tls *t);

/* Sends close_notify with the next pump. */
void	 tls_shut(struct tls *t);

/* Why -EPROTO, one line: "certificate has expired (54)". */
const char *tls_reason(const struct tls *t);

/* Plaintext bytes waiting inside the engine, which epoll can't see. */
bool	 tls_pending(const struct tls *t);

#endif
