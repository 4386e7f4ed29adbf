/*
 * h2 - an HTTP/2 session (RFC 9113), server or client, without I/O or clock.
 *
 * Bytes in by h2_recv(), bytes out by h2_send(), events by callbacks; `now`
 * is in milliseconds and is an argument.  No server push, no priorities.
 * A peer's fault costs the stream, or the connection where RFC 9113 or
 * spec/security.md 2.1 say so; then h2_recv() returns -EPROTO, the GOAWAY is
 * queued and the owner flushes and closes.
 */
#ifndef NET_H2_H
#define NET_H2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/hpack.h"

struct buf;
struct h2;
struct h2_stream;

/* RFC 9113 section 7 */
enum h2_error {
	H2_NO_ERROR = 0x0, H2_PROTOCOL_ERROR = 0x1, H2_INTERNAL_ERROR = 0x2,
	H2_FLOW_CONTROL_ERROR = 0x3, H2_SETTINGS_TIMEOUT = 0x4,
	H2_STREAM_CLOSED = 0x5, H2_FRAME_SIZE_ERROR = 0x6,
	H2_REFUSED_STREAM = 0x7, H2_CANCEL = 0x8, H2_COMPRESSION_ERROR = 0x9,
	H2_CONNECT_ERROR = 0xa, H2_ENHANCE_YOUR_CALM = 0xb,
	H2_INADEQUATE_SECURITY = 0xc, H2_HTTP_1_1_REQUIRED = 0xd
};

/* Limits of spec/security.md 2.1; tests lower them, h2_limits_default() sets
 * them.  Each constant carries its reason in h2_limits.h. */
struct h2_limits {
	uint32_t max_streams;		/* concurrent, announced */
	uint32_t header_block_max;	/* bytes on the wire */
	uint32_t continuations_max;	/* per block */
	uint32_t header_block_ms;	/* block complete within */
	uint32_t settings_entries_max;	/* per frame */
	uint32_t settings_burst, settings_per_s;
	uint32_t reset_burst, reset_per_s;
	uint32_t ping_burst, ping_per_s;
	uint32_t ping_strikes, ping_strike_ms;
	uint32_t glitch_burst, glitch_per_s;
	uint32_t empty_frames_max;	/* consecutive */
	uint32_t control_queue_pause, control_queue_max;	/* frames */
	uint32_t stream_window, stream_window_max;	/* receive, bytes */
	uint32_t conn_window;
	uint32_t send_buffer;		/* per stream, bytes */
	uint32_t settings_ack_ms;
	uint32_t keepalive_ms, keepalive_wait_ms;
	uint32_t preface_ms;		/* preface and SETTINGS */
	uint32_t frames_per_turn, bytes_per_turn;
};
void	 h2_limits_default(struct h2_limits *l);

struct h2_ops {
	/*
	 * A header block: request (server), response or trailers (client).
	 * list is valid during the call.  list->oversize: answer and forget.
	 * Pseudo-header rules of RFC 9113 8.3 and field rules of 8.2 have
	 * been checked.
	 */
	void	(*headers)(void *arg, struct h2_stream *s,
		    const struct hpack_list *list, bool end);
	/*
	 * Payload, already counted against the windows.  The stream window
	 * opens again only with h2_consume(); the connection window did so on
	 * receipt.
	 */
	void	(*data)(void *arg, struct h2_stream *s, const uint8_t *p,
		    size_t n, bool end);
	/* The send queue, full before, has room again. */
	void	(*writable)(void *arg, struct h2_stream *s);
	/* The stream is over and s dies; code as sent or received, or
	 * H2_NO_ERROR.  Once per stream that headers() or h2_open() showed. */
	void	(*closed)(void *arg, struct h2_stream *s, uint32_t code);
	/* GOAWAY received; streams above last were not processed. */
	void	(*goaway)(void *arg, uint32_t last, uint32_t code);
};

/* NULL if out of memory.  Queues preface (client) and SETTINGS at once. */
struct h2 *h2_create(bool server, const struct h2_limits *limits,
	    const struct h2_ops *ops, void *arg, uint64_t now);
void	 h2_destroy(struct h2 *h);	/* closed() for every live stream */

/*
 * Consumes from p; *used < n when the turn's budget is spent or the peer's
 * control frames pile up (call again when output has been written).  0, or
 * -EPROTO after queuing GOAWAY, or -ENOMEM.
 */
int	 h2_recv(struct h2 *h, const uint8_t *p, size_t n, size_t *used,
	    uint64_t now);

/* Appends frames to out while it has room; fair between streams. */
void	 h2_send(struct h2 *h, struct buf *out);
bool	 h2_wants_send(const struct h2 *h);

/* Next moment something is due, UINT64_MAX if nothing; and its handler,
 * which may return -ETIMEDOUT: the connection has to go (GOAWAY queued). */
uint64_t h2_deadline(const struct h2 *h);
int	 h2_tick(struct h2 *h, uint64_t now);

/*
 * Graceful stop: GOAWAY(2^31-1), one round trip later GOAWAY(last), newer
 * streams are refused.  h2_drained(): no stream left and GOAWAY sent.
 */
void	 h2_shutdown(struct h2 *h);
bool	 h2_drained(const struct h2 *h);
/* At once, with code; then the owner flushes and closes.  debug is static
 * text or NULL. */
void	 h2_terminate(struct h2 *h, uint32_t code, const char *debug);
size_t	 h2_stream_count(const struct h2 *h);
/* The peer's first SETTINGS have arrived: it speaks HTTP/2. */
bool	 h2_peer_ready(const struct h2 *h);
/* h2_recv() takes nothing until h2_send() has emptied the control queue. */
bool	 h2_recv_paused(const struct h2 *h);
/* Why the session failed, one line, or NULL. */
const char *h2_reason(const struct h2 *h);

/* Client: a new request.  0, -EAGAIN at the peer's limit, -EPIPE after
 * GOAWAY, -ENOMEM. */
int	 h2_open(struct h2 *h, struct h2_stream **out,
	    const struct hpack_field *f, size_t n, bool end);

/*
 * Response headers or trailers (end = true).  0; -EPIPE if already ended or
 * reset; -EINVAL: behind data only trailers may come; -ENOMEM.  Trailers wait
 * for queued data.  closed() never comes out of this call or of h2_data(),
 * but out of the h2_send() that sends the end.
 */
int	 h2_headers(struct h2_stream *s, const struct hpack_field *f, size_t n,
	    bool end);
/*
 * Queues payload; all or nothing.  0, -ENOBUFS when the send buffer is full
 * (writable() will tell), -EPIPE, -ENOMEM.
 */
int	 h2_data(struct h2_stream *s, const void *p, size_t n, bool end);
/*
 * Room for h2_data() now, bytes; a message of header + payload should be
 * put in two calls only if both fit.  While nothing is queued one piece may
 * be longer than that (an answer in one message).
 */
size_t	 h2_room(const struct h2_stream *s);
/* What h2_room() said is too little: writable() will tell, as if h2_data()
 * had been tried. */
void	 h2_want_room(struct h2_stream *s);
/* Same as h2_data for two pieces, together or not at all. */
int	 h2_data2(struct h2_stream *s, const void *a, size_t na,
	    const void *b, size_t nb, bool end);

/* The application has used n bytes of payload. */
void	 h2_consume(struct h2_stream *s, size_t n);

/* RST_STREAM, unless both sides have ended; closed() follows within the call
 * or at the end of it. */
void	 h2_reset(struct h2_stream *s, uint32_t code);
/*
 * The answer is complete and the peer has not ended its side: sends RST
 * NO_ERROR behind what is queued (G9); not charged to the reset budget.
 */
void	 h2_finish(struct h2_stream *s);

uint32_t h2_stream_id(const struct h2_stream *s);
void	 h2_stream_set_arg(struct h2_stream *s, void *arg);
void	*h2_stream_arg(const struct h2_stream *s);
bool	 h2_stream_remote_ended(const struct h2_stream *s);
/* Data is queued that the peer's windows do not let out. */
bool	 h2_stream_blocked(const struct h2_stream *s);
struct h2 *h2_stream_session(const struct h2_stream *s);

#endif
