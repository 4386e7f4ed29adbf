/*
 * grpc - the parts of gRPC over HTTP/2 that both ends share: status codes,
 * message prefix, timeouts, percent-encoding, wire checks.  No I/O, no clock.
 * Source: grpc's PROTOCOL-HTTP2; rules G1..G20 of spec/security.md 2.3.
 */
#ifndef RPC_GRPC_H
#define RPC_GRPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

struct arena;
struct buf;
struct h2_stream;

enum grpc_status {
	GRPC_OK = 0, GRPC_CANCELLED = 1, GRPC_UNKNOWN = 2,
	GRPC_INVALID_ARGUMENT = 3, GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_NOT_FOUND = 5, GRPC_ALREADY_EXISTS = 6,
	GRPC_PERMISSION_DENIED = 7, GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_FAILED_PRECONDITION = 9, GRPC_ABORTED = 10,
	GRPC_OUT_OF_RANGE = 11, GRPC_UNIMPLEMENTED = 12, GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14, GRPC_DATA_LOSS = 15, GRPC_UNAUTHENTICATED = 16
};

/* Inbound message; the buffer grows as bytes arrive, not by the prefix. */
#define GRPC_MESSAGE_MAX	(4u * 1024 * 1024)
#define GRPC_PREFIX_LEN		5u
#define GRPC_DATA_MAX		(32u * 1024)	/* outbound data chunk */
#define GRPC_DEPTH_MAX		16	/* nesting of messages (G17) */
#define GRPC_FIELDS_MAX		65536u	/* per message: an empty field is
					 * 2 bytes sent, 50 decoded */

const char *grpc_status_name(enum grpc_status s);	/* "NOT_FOUND" */

/* RST_STREAM code to status, table of PROTOCOL-HTTP2 (G16). */
enum grpc_status grpc_status_of_h2(uint32_t code);
/* HTTP status of an answer that is not gRPC, to status. */
enum grpc_status grpc_status_of_http(unsigned code);

/* "4999876u" to milliseconds, rounded up, saturated; 0 or -EINVAL (G5). */
int	 grpc_timeout_parse(const char *s, uint64_t *ms);

/* grpc-message (G8): all but 0x20..0x7e, and '%', encoded.  0 or -ENOBUFS. */
int	 grpc_percent_encode(const char *s, char *out, size_t outlen);
void	 grpc_percent_decode(const char *s, char *out, size_t outlen);

/*
 * Cuts messages out of DATA.  Bytes of an unfinished message wait in `part`;
 * a message that lies whole in the input is not copied.
 */
struct grpc_cutter {
	struct buf	*part;		/* borrowed, max GRPC_MESSAGE_MAX + 5 */
};
struct grpc_cut {
	const uint8_t	*p;	/* without prefix, until the next call */
	size_t		 n;
	bool		 compressed;
};
/*
 * 1: *out is a message and *used bytes of p were taken; 0: all taken, no
 * message yet; -EMSGSIZE: longer than the limit; -EPROTO: flag above 1;
 * -ENOMEM.
 */
int	 grpc_cut(struct grpc_cutter *c, const uint8_t *p, size_t n,
	    size_t *used, struct grpc_cut *out);
bool	 grpc_cut_idle(const struct grpc_cutter *c);	/* between messages */

/*
 * Looks at the raw bytes before protobuf-c does (G17, G18): depth, lengths,
 * varints of at most 10 bytes, no groups, every string of the schema valid
 * UTF-8 without NUL.  Unknown fields are skipped.  *why: static text.
 * 0 or -EINVAL.
 */
int	 grpc_wire_check(const ProtobufCMessageDescriptor *d,
	    const uint8_t *p, size_t n, const char **why);

/*
 * Checks, then decodes into arena.  NULL: *why says what, GRPC_WHY_MEMORY if
 * the arena was at fault.
 */
#define GRPC_WHY_MEMORY		"memory"
ProtobufCMessage *grpc_decode(const ProtobufCMessageDescriptor *d,
	    const uint8_t *p, size_t n, struct arena *a, const char **why);

/*
 * The head of a message whose only content is bytes field `field` of length
 * n: prefix, tag, length, into out[GRPC_HEAD_MAX].  Returns its length.  The
 * payload follows from where it is, without a copy through a message struct.
 */
#define GRPC_HEAD_MAX	16u
size_t	 grpc_bytes_head(uint32_t field, size_t n, uint8_t *out);

/*
 * m with its prefix, in scratch, whose content is lost: *frame and *n, good
 * until scratch is used again.  0, -EMSGSIZE if m packs to more than max
 * bytes, -ENOBUFS or -ENOMEM.
 */
int	 grpc_frame(struct buf *scratch, const ProtobufCMessage *m, size_t max,
	    const uint8_t **frame, size_t *n);

/*
 * Payload that one grpc_bytes_head() message may carry now, at most
 * GRPC_DATA_MAX.  0: too little to be worth a message; then *want_room is set
 * and writable() of the session will tell.
 */
size_t	 grpc_stream_room(struct h2_stream *s, bool *want_room);

#endif
