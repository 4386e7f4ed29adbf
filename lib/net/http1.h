/*
 * http1 - HTTP/1.1 messages: an incremental parser and a writer.
 *
 * Bytes in, events out; no descriptor, no clock, no allocation.  As strict as
 * T26 of spec/security.md asks: lines end in CRLF, no folded or repeated
 * framing fields, Content-Length or chunked but never both, every size
 * limited before it is believed.  Source: RFC 9112, section numbers at the
 * checks.  Not known here: compression, redirects.
 *
 * Only the start line and the rules for an absent body differ between the two
 * kinds of message.  After HTTP1_DONE the parser has taken nothing of what
 * follows: a pipelined request, or the bytes of another protocol.
 */
#ifndef NET_HTTP1_H
#define NET_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

#define HTTP1_HEAD_MAX		8192u	/* start line, fields, line ends */
#define HTTP1_FIELDS_MAX	64u	/* fields, trailers counted again */
#define HTTP1_LINE_MAX		1024u	/* chunk size line, trailer */
#define HTTP1_INTERIM_MAX	8u	/* 1xx answers before the real one */

enum http1_event {
	HTTP1_MORE,		/* all taken, more is needed */
	HTTP1_HEAD,		/* start line and fields are there, once */
	HTTP1_BODY,		/* data, len: a piece of the body */
	HTTP1_DONE		/* the message ended; what follows stays */
};

enum http1_state {
	HTTP1_START, HTTP1_FIELDS, HTTP1_LENGTH, HTTP1_UNTIL_CLOSE,
	HTTP1_CHUNK_SIZE, HTTP1_CHUNK_DATA, HTTP1_CHUNK_END, HTTP1_TRAILERS,
	HTTP1_ENDED, HTTP1_BROKEN
};

/* Positions in head, where both are terminated; names are lower case. */
struct http1_field {
	uint16_t	name, value;
};

struct http1 {
	/* Valid from HTTP1_HEAD on. */
	unsigned	 status;	/* response: 200..599 */
	const char	*method, *target;	/* request; in head */
	bool		 old;		/* HTTP/1.0 */
	bool		 chunked;
	bool		 has_length;
	uint64_t	 length;	/* of Content-Length */

	/* Valid at HTTP1_BODY, until the input buffer changes. */
	const uint8_t	*data;
	size_t		 len;

	const char	*error;		/* static text, after a failure */
	unsigned	 refusal;	/* request: status to answer it with */

	/* The rest is private. */
	uint8_t		 state;
	bool		 request;
	bool		 no_body;	/* answer to HEAD */
	bool		 cr;		/* the last byte of the line was CR */
	bool		 has_host;
	uint64_t	 body_max, taken, left;
	size_t		 line;		/* where the current line starts */
	size_t		 used;		/* bytes of head in use */
	size_t		 nfields, ntrailers;
	unsigned	 ninterim;
	struct http1_field fields[HTTP1_FIELDS_MAX];
	char		 head[HTTP1_HEAD_MAX + HTTP1_LINE_MAX];
};

/* body_max: most bytes of body that are accepted, in all. */
void	 http1_init_response(struct http1 *h, uint64_t body_max);
/*
 * A request needs exactly one well-formed Host (T26) and a target that begins
 * with a slash; without framing fields it has no body.  One empty line before
 * it is skipped, RFC 9112 2.2.
 */
void	 http1_init_request(struct http1 *h, uint64_t body_max);
/* The answer to a HEAD request has no body whatever it says. */
void	 http1_expect_no_body(struct http1 *h);

/*
 * Takes bytes from in up to the next event.  An event (see above), or
 * -EPROTO, -EMSGSIZE (a limit) with h->error set; then the connection is of
 * no more use.  Interim answers (1xx) are skipped, 101 is refused.
 */
int	 http1_parse(struct http1 *h, struct buf *in);

/*
 * The peer closed its side cleanly.  HTTP1_DONE if the message may end here,
 * else -EPROTO.
 */
int	 http1_close(struct http1 *h);

/* First value of a field (name in lower case), or NULL. */
const char *http1_field(const struct http1 *h, const char *name);
/* Some field of that name lists the token; without regard to case. */
bool	 http1_lists(const struct http1 *h, const char *name,
	    const char *token);
/* Request: the connection may be used again after the answer. */
bool	 http1_keep_alive(const struct http1 *h);

/*
 * Writer (http1_out.c): request line with Host, then fields, then the empty
 * line.  host as it stands in a URL, with brackets and port.  Text that could
 * end a line or start a second request is refused: 0, -EINVAL, -ENOBUFS,
 * -ENOMEM.
 */
int	 http1_put_request(struct buf *out, const char *method,
	    const char *target, const char *host);
int	 http1_put_field(struct buf *out, const char *name, const char *value);
int	 http1_put_length(struct buf *out, uint64_t n);
int	 http1_put_end(struct buf *out);

/* Status line of an answer.  "" for a status without a name of its own. */
int	 http1_put_status(struct buf *out, unsigned status);
const char *http1_reason(unsigned status);

/* One chunk of n bytes, all of it or nothing; n 0 is the end of the body. */
#define HTTP1_CHUNK_COST	12u	/* bytes round those of a chunk */
int	 http1_put_chunk(struct buf *out, const void *p, size_t n);

#endif
