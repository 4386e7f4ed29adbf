#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "net/http1.h"

#define CHUNK_DIGITS_MAX	8

static int
fail(struct http1 *h, int why, const char *text)
{
	h->state = HTTP1_BROKEN;
	h->error = text;
	return why;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* RFC 9110 5.6.2 */
static bool
is_token_char(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z') ||
	    (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool
is_token(const char *s)
{
	size_t	i;

	for (i = 0; is_token_char(s[i]); i++)
		;
	return i > 0 && s[i] == '\0';
}

/* RFC 9110 5.5: visible, blank, or above ASCII. */
static bool
is_text(const char *s)
{
	for (; *s != '\0'; s++)
		if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
			return false;
	return true;
}

static void
restart(struct http1 *h)
{
	h->state = HTTP1_START;
	h->status = 0;
	h->chunked = h->has_length = h->cr = h->old = false;
	h->length = 0;
	h->line = h->used = 0;
	h->nfields = h->ntrailers = 0;
}

void
http1_init_response(struct http1 *h, uint64_t body_max)
{
	memset(h, 0, sizeof *h);
	h->body_max = body_max;
	restart(h);
}

void
http1_expect_no_body(struct http1 *h)
{
	h->no_body = true;
}

/*
 * Collects one line in head, which is not filled beyond max.  1: complete,
 * terminated, without its CRLF, at h->head + h->line; 0: more is needed; or
 * the failure.
 */
static int
line_take(struct http1 *h, struct buf *in, size_t max)
{
	const uint8_t	*p = buf_head(in);
	size_t		 i;
	int		 r = 0;

	for (i = 0; r == 0 && i < in->len; i++) {
		if (h->used == max) {
			r = fail(h, -EMSGSIZE, "header is too large");
		} else if (h->cr) {
			if (p[i] != '\n')
				r = fail(h, -EPROTO, "bare CR in header");
			h->head[h->used++] = '\0';
			h->cr = false;
			r = r == 0 ? 1 : r;
		} else if (p[i] == '\r') {
			h->cr = true;
		} else if (p[i] == '\n' || p[i] == '\0') {
			r = fail(h, -EPROTO, "bare LF or NUL in header");
		} else {
			h->head[h->used++] = (char)p[i];
		}
	}
	buf_drain(in, i);
	return r;
}

/* RFC 9112 4: "HTTP/1.1 200 reason"; the reason may be empty. */
static int
status_line(struct http1 *h, const char *s)
{
	if (strncmp(s, "HTTP/1.1 ", 9) != 0 &&
	    strncmp(s, "HTTP/1.0 ", 9) != 0)
		return fail(h, -EPROTO, "not an HTTP/1 answer");
	h->old = s[7] == '0';
	s += 9;
	if (!is_digit(s[0]) || !is_digit(s[1]) || !is_digit(s[2]) ||
	    s[3] != ' ' || !is_text(s + 4))
		return fail(h, -EPROTO, "malformed status line");
	h->status = (unsigned)((s[0] - '0') * 100 + (s[1] - '0') * 10 +
	    (s[2] - '0'));
	if (h->status < 100 || h->status > 599)
		return fail(h, -EPROTO, "status code out of range");
	return 0;
}

/* RFC 9112 5: no blank before the colon, no folding, blanks round the value
 * are not part of it. */
static int
field_split(struct http1 *h, char *s, struct http1_field *f)
{
	char	*colon = strchr(s, ':'), *end, *c;

	if (colon == NULL)
		return fail(h, -EPROTO, "header line without a colon");
	*colon = '\0';
	if (!is_token(s) || !is_text(colon + 1))
		return fail(h, -EPROTO, "malformed header field");
	for (c = s; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	c = colon + 1 + strspn(colon + 1, " \t");
	for (end = c + strlen(c); end > c && strchr(" \t", end[-1]) != NULL; )
		end--;
	*end = '\0';
	f->name = (uint16_t)(s - h->head);
	f->value = (uint16_t)(c - h->head);
	return 0;
}

/* The two fields that say where the message ends, RFC 9112 6. */
static int
field_framing(struct http1 *h, const struct http1_field *f)
{
	const char	*name = h->head + f->name, *value = h->head + f->value;

	if (strcmp(name, "content-length") == 0) {
		if (h->has_length)
			return fail(h, -EPROTO, "content-length twice");
		if (str_to_u64(value, INT64_MAX, &h->length) < 0)
			return fail(h, -EPROTO, "malformed content-length");
		h->has_length = true;
	} else if (strcmp(name, "transfer-encoding") == 0) {
		if (h->chunked)
			return fail(h, -EPROTO, "transfer-encoding twice");
		if (!str_ieq(value, "chunked"))
			return fail(h, -EPROTO, "unknown transfer-encoding");
		h->chunked = true;
	}
	return 0;
}

static int
field_line(struct http1 *h)
{
	struct http1_field	f;
	int			r;

	if (h->nfields == HTTP1_FIELDS_MAX)
		return fail(h, -EMSGSIZE, "too many header fields");
	if ((r = field_split(h, h->head + h->line, &f)) < 0 ||
	    (r = field_framing(h, &f)) < 0)
		return r;
	h->fields[h->nfields++] = f;
	h->line = h->used;
	return HTTP1_MORE;
}

/* RFC 9112 6.3: how the end of the body will be known. */
static int
head_end(struct http1 *h)
{
	if (h->chunked && (h->has_length || h->old))
		return fail(h, -EPROTO, "transfer-encoding with "
		    "content-length or HTTP/1.0");
	if (h->status == 101)
		return fail(h, -EPROTO, "upgrade that was not asked for");
	if (h->status < 200) {
		if (h->ninterim++ == HTTP1_INTERIM_MAX)
			return fail(h, -EMSGSIZE, "too many interim answers");
		restart(h);
		return HTTP1_MORE;
	}
	h->left = h->length;
	if (h->no_body || h->status == 204 || h->status == 304)
		h->state = HTTP1_ENDED;
	else if (h->chunked)
		h->state = HTTP1_CHUNK_SIZE;
	else if (h->has_length && h->length > h->body_max)
		return fail(h, -EMSGSIZE, "body is too large");
	else if (h->has_length)
		h->state = h->left > 0 ? HTTP1_LENGTH : HTTP1_ENDED;
	else
		h->state = HTTP1_UNTIL_CLOSE;
	h->line = h->used;
	return HTTP1_HEAD;
}

static int
parse_start(struct http1 *h, struct buf *in)
{
	int	r;

	if ((r = line_take(h, in, HTTP1_HEAD_MAX)) <= 0)
		return r;
	if ((r = status_line(h, h->head + h->line)) < 0)
		return r;
	h->line = h->used;
	h->state = HTTP1_FIELDS;
	return HTTP1_MORE;
}

static int
parse_field(struct http1 *h, struct buf *in)
{
	int	r;

	if ((r = line_take(h, in, HTTP1_HEAD_MAX)) <= 0)
		return r;
	if (h->head[h->line] == '\0')
		return head_end(h);
	return field_line(h);
}

static int
hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* RFC 9112 7.1: size, then extensions, which nobody defines: skipped. */
static int
chunk_line(struct http1 *h, const char *s)
{
	uint64_t	size = 0;
	int		i;

	for (i = 0; i < CHUNK_DIGITS_MAX && hex_digit(s[i]) >= 0; i++)
		size = size << 4 | (unsigned)hex_digit(s[i]);
	if (i == 0 || (s[i] != '\0' && s[i] != ';') || !is_text(s + i))
		return fail(h, -EPROTO, "malformed chunk size");
	if (size > h->body_max - h->taken)
		return fail(h, -EMSGSIZE, "body is too large");
	h->left = size;
	h->state = size > 0 ? HTTP1_CHUNK_DATA : HTTP1_TRAILERS;
	return HTTP1_MORE;
}

/* Line by line in the room behind the head, which is used again and again. */
static int
parse_chunk_line(struct http1 *h, struct buf *in)
{
	bool	end = h->state == HTTP1_CHUNK_END;
	int	r;

	if ((r = line_take(h, in, h->line + HTTP1_LINE_MAX)) <= 0)
		return r;
	h->used = h->line;
	if (!end)
		return chunk_line(h, h->head + h->line);
	if (h->head[h->line] != '\0')
		return fail(h, -EPROTO, "chunk is longer than its size");
	h->state = HTTP1_CHUNK_SIZE;
	return HTTP1_MORE;
}

/* Checked like fields, then dropped: nothing in them may matter. */
static int
parse_trailer(struct http1 *h, struct buf *in)
{
	struct http1_field	f;
	int			r;

	if ((r = line_take(h, in, h->line + HTTP1_LINE_MAX)) <= 0)
		return r;
	h->used = h->line;
	if (h->head[h->line] == '\0') {
		h->state = HTTP1_ENDED;
		return HTTP1_MORE;
	}
	if (h->ntrailers++ == HTTP1_FIELDS_MAX)
		return fail(h, -EMSGSIZE, "too many trailer fields");
	return field_split(h, h->head + h->line, &f);
}

static int
parse_body(struct http1 *h, struct buf *in)
{
	size_t	n = in->len;

	if (n == 0)
		return HTTP1_MORE;
	if (h->state != HTTP1_UNTIL_CLOSE && n > h->left)
		n = (size_t)h->left;
	if (n > h->body_max - h->taken)
		return fail(h, -EMSGSIZE, "body is too large");
	h->data = buf_head(in);
	h->len = n;
	h->taken += n;
	buf_drain(in, n);
	if (h->state == HTTP1_UNTIL_CLOSE)
		return HTTP1_BODY;
	h->left -= n;
	if (h->left == 0)
		h->state = h->state == HTTP1_LENGTH ? HTTP1_ENDED :
		    HTTP1_CHUNK_END;
	return HTTP1_BODY;
}

static int
step(struct http1 *h, struct buf *in)
{
	switch ((enum http1_state)h->state) {
	case HTTP1_START:
		return parse_start(h, in);
	case HTTP1_FIELDS:
		return parse_field(h, in);
	case HTTP1_CHUNK_SIZE:
	case HTTP1_CHUNK_END:
		return parse_chunk_line(h, in);
	case HTTP1_TRAILERS:
		return parse_trailer(h, in);
	case HTTP1_LENGTH:
	case HTTP1_UNTIL_CLOSE:
	case HTTP1_CHUNK_DATA:
		return parse_body(h, in);
	case HTTP1_ENDED:
		return HTTP1_DONE;
	case HTTP1_BROKEN:
		break;
	}
	return -EPROTO;
}

int
http1_parse(struct http1 *h, struct buf *in)
{
	int	r;

	while ((r = step(h, in)) == HTTP1_MORE)
		if (in->len == 0 && h->state != HTTP1_ENDED)
			break;
	return r;
}

int
http1_close(struct http1 *h)
{
	if (h->state == HTTP1_UNTIL_CLOSE)
		h->state = HTTP1_ENDED;
	if (h->state == HTTP1_ENDED)
		return HTTP1_DONE;
	if (h->state == HTTP1_BROKEN)
		return -EPROTO;
	return fail(h, -EPROTO, "answer is cut short");
}

const char *
http1_field(const struct http1 *h, const char *name)
{
	size_t	i;

	for (i = 0; i < h->nfields; i++)
		if (strcmp(h->head + h->fields[i].name, name) == 0)
			return h->head + h->fields[i].value;
	return NULL;
}

/* No blank, control or other byte that could split the request line. */
static bool
is_visible(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if (*s <= 0x20 || *s >= 0x7f)
			return false;
	return true;
}

/* All of it or nothing: half a line would change what follows. */
static int
put_line(struct buf *out, const char *const *part, size_t n)
{
	uint8_t	*p;
	size_t	 i, len = 0;
	int	 r;

	for (i = 0; i < n; i++)
		len += strlen(part[i]);
	if ((r = buf_reserve(out, len, &p)) < 0)
		return r;
	for (i = 0; i < n; i++) {
		memcpy(p, part[i], strlen(part[i]));
		p += strlen(part[i]);
	}
	buf_commit(out, len);
	return 0;
}

int
http1_put_request(struct buf *out, const char *method, const char *target,
    const char *host)
{
	const char	*part[] = { method, " ", target,
		" HTTP/1.1\r\nHost: ", host, "\r\n" };

	if (!is_token(method) || target[0] != '/' || !is_visible(target) ||
	    !is_visible(host))
		return -EINVAL;
	return put_line(out, part, ARRAY_LEN(part));
}

int
http1_put_field(struct buf *out, const char *name, const char *value)
{
	const char	*part[] = { name, ": ", value, "\r\n" };

	if (!is_token(name) || !is_text(value))
		return -EINVAL;
	return put_line(out, part, ARRAY_LEN(part));
}

int
http1_put_end(struct buf *out)
{
	return buf_put(out, "\r\n", 2);
}
