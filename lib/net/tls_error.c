/* tls_error - what BearSSL's numbers and TLS alerts mean. */
#include "base/str.h"
#include "net/tls_impl.h"

#define RECEIVED(alert)	(BR_ERR_RECV_FATAL_ALERT + (alert))
#define SENT(alert)	(BR_ERR_SEND_FATAL_ALERT + (alert))

static const struct {
	int		 err;
	const char	*text;
} errors[] = {
	{ BR_ERR_BAD_PARAM, "wrong use of the TLS engine (1)" },
	{ BR_ERR_BAD_STATE, "wrong state of the TLS engine (2)" },
	{ BR_ERR_UNSUPPORTED_VERSION, "unsupported TLS version (3)" },
	{ BR_ERR_BAD_VERSION, "record with another TLS version (4)" },
	{ BR_ERR_BAD_LENGTH, "record with a bad length (5)" },
	{ BR_ERR_TOO_LARGE, "record too large (6)" },
	{ BR_ERR_BAD_MAC, "record was corrupted on the way (7)" },
	{ BR_ERR_NO_RANDOM, "no source of randomness (8)" },
	{ BR_ERR_UNKNOWN_TYPE, "not TLS: unknown record type (9)" },
	{ BR_ERR_UNEXPECTED, "unexpected message (10)" },
	{ BR_ERR_BAD_CCS, "bad ChangeCipherSpec (12)" },
	{ BR_ERR_BAD_ALERT, "malformed alert (13)" },
	{ BR_ERR_BAD_HANDSHAKE, "malformed handshake message (14)" },
	{ BR_ERR_OVERSIZED_ID, "session id too long (15)" },
	{ BR_ERR_BAD_CIPHER_SUITE, "no common cipher suite (16)" },
	{ BR_ERR_BAD_COMPRESSION, "no common compression (17)" },
	{ BR_ERR_BAD_FRAGLEN, "bad fragment length (18)" },
	{ BR_ERR_BAD_SECRENEG, "no secure renegotiation (19)" },
	{ BR_ERR_EXTRA_EXTENSION, "extension nobody asked for (20)" },
	{ BR_ERR_BAD_SNI, "bad server name extension (21)" },
	{ BR_ERR_BAD_HELLO_DONE, "bad ServerHelloDone (22)" },
	{ BR_ERR_LIMIT_EXCEEDED, "key larger than supported (23)" },
	{ BR_ERR_BAD_FINISHED, "handshake was tampered with (24)" },
	{ BR_ERR_RESUME_MISMATCH, "resumed session differs (25)" },
	{ BR_ERR_INVALID_ALGORITHM, "no common signature or curve (26)" },
	{ BR_ERR_BAD_SIGNATURE, "bad handshake signature (27)" },
	{ BR_ERR_WRONG_KEY_USAGE, "key not meant for this use (28)" },
	{ BR_ERR_NO_CLIENT_AUTH, "client certificate missing (29)" },
	{ BR_ERR_X509_INVALID_VALUE, "certificate is malformed (33)" },
	{ BR_ERR_X509_TRUNCATED, "certificate is cut short (34)" },
	{ BR_ERR_X509_EMPTY_CHAIN, "no certificate was sent (35)" },
	{ BR_ERR_X509_BAD_TIME, "certificate has a malformed date (48)" },
	{ BR_ERR_X509_UNSUPPORTED,
	    "certificate with an unsupported feature (49)" },
	{ BR_ERR_X509_LIMIT_EXCEEDED, "certificate is too large (50)" },
	{ BR_ERR_X509_WRONG_KEY_TYPE,
	    "certificate with an unexpected type of key (51)" },
	{ BR_ERR_X509_BAD_SIGNATURE,
	    "certificate signature is invalid (52)" },
	{ BR_ERR_X509_TIME_UNKNOWN, "the current time is not known (53)" },
	{ BR_ERR_X509_EXPIRED,
	    "certificate has expired or is not valid yet (54)" },
	{ BR_ERR_X509_DN_MISMATCH, "certificate chain is broken (55)" },
	{ BR_ERR_X509_BAD_SERVER_NAME,
	    "certificate is for another name (56)" },
	{ BR_ERR_X509_CRITICAL_EXTENSION,
	    "certificate with an unknown critical extension (57)" },
	{ BR_ERR_X509_NOT_CA, "an issuer in the chain is not a CA (58)" },
	{ BR_ERR_X509_FORBIDDEN_KEY_USAGE,
	    "certificate key not meant for this use (59)" },
	{ BR_ERR_X509_WEAK_PUBLIC_KEY, "certificate key is too weak (60)" },
	{ BR_ERR_X509_NOT_TRUSTED,
	    "certificate is not signed by a trusted CA (62)" },
	{ RECEIVED(10), "peer says: unexpected message (alert 10)" },
	{ RECEIVED(20), "peer says: corrupted record (alert 20)" },
	{ RECEIVED(40), "peer says: handshake failure (alert 40)" },
	{ RECEIVED(42), "peer says: bad certificate (alert 42)" },
	{ RECEIVED(43), "peer says: unsupported certificate (alert 43)" },
	{ RECEIVED(44), "peer says: certificate revoked (alert 44)" },
	{ RECEIVED(45), "peer says: certificate expired (alert 45)" },
	{ RECEIVED(46), "peer says: certificate unknown (alert 46)" },
	{ RECEIVED(47), "peer says: illegal parameter (alert 47)" },
	{ RECEIVED(48), "peer says: unknown CA (alert 48)" },
	{ RECEIVED(49), "peer says: access denied (alert 49)" },
	{ RECEIVED(50), "peer says: decode error (alert 50)" },
	{ RECEIVED(51), "peer says: decrypt error (alert 51)" },
	{ RECEIVED(70), "peer says: unsupported version (alert 70)" },
	{ RECEIVED(71), "peer says: insufficient security (alert 71)" },
	{ RECEIVED(80), "peer says: internal error (alert 80)" },
	{ RECEIVED(86), "peer says: inappropriate fallback (alert 86)" },
	{ RECEIVED(90), "peer says: canceled by its user (alert 90)" },
	{ RECEIVED(112), "peer says: unrecognized name (alert 112)" },
	{ RECEIVED(116), "peer says: certificate required (alert 116)" },
	{ RECEIVED(120), "peer says: no common protocol (alert 120)" },
	{ SENT(10), "peer sent an unexpected message (alert 10)" },
	{ SENT(40), "no common cipher suite (alert 40)" },
	{ SENT(47), "peer sent an illegal parameter (alert 47)" },
	{ SENT(70), "peer offers only old TLS versions (alert 70)" },
	{ SENT(86), "inappropriate fallback (alert 86)" },
	{ SENT(100), "peer wanted to renegotiate (alert 100)" },
	{ SENT(120), "no common ALPN protocol (alert 120)" },
};

const char *
tls_error_text(int err)
{
	size_t	i;

	for (i = 0; i < ARRAY_LEN(errors); i++)
		if (errors[i].err == err)
			return errors[i].text;
	return NULL;
}
