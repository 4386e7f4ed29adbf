#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/str.h"
#include "net/http1.h"
#include "net/http1_impl.h"

#define CHUNK_DIGITS_MAX	8

static int
fail(struct http1 *h, int why, const char *text)
{
	h->state = HTTP1_BROKEN;
	h->error = text;
	h->refusal = why == -EMSGSIZE ? 431 : 400;
	return why;
}

static int
too_large(struct http1 *h)
{
	int	r = fail(h, -EMSGSIZE, "body is too large");

	h->refusal = 413;
	return r;
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

bool
http1_is_token(const char *s)
{
	size_t	i;

	for (i = 0; is_token_char(s[i]); i++)
		;
	return i > 0 && s[i] == '\0';
}

/* RFC 9110 5.5: visible, blank, or above ASCII. */
bool
http1_is_text(const char *s)
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
	h->method = h->target = NULL;
	h->chunked = h->has_length = h->has_host = h->cr = h->old = false;
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
http1_init_request(struct http1 *h, uint64_t body_max)
{
	http1_init_response(h, body_max);
	h->request = true;
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
	    s[3] != ' ' || !http1_is_text(s + 4))
		return fail(h, -EPROTO, "malformed status line");
	h->status = (unsigned)((s[0] - '0') * 100 + (s[1] - '0') * 10 +
	    (s[2] - '0'));
	if (h->status < 100 || h->status > 599)
		return fail(h, -EPROTO, "status code out of range");
	return 0;
}

/* No blank, control or other byte that could split the line. */
bool
http1_is_visible(const char *s)
{
	for (; *s != '\0'; s++)
		if (*s <= 0x20 || *s >= 0x7f)
			return false;
	return true;
}

/* "HTTP/1.1" or "HTTP/1.0". */
static int
request_version(struct http1 *h, const char *s)
{
	if (strcmp(s, "HTTP/1.1") == 0 || strcmp(s, "HTTP/1.0") == 0) {
		h->old = s[7] == '0';
		return 0;
	}
	(void)fail(h, -EPROTO, "not an HTTP/1 request");
	if (strncmp(s, "HTTP/", 5) == 0 &&
	    s[5 + strspn(s + 5, "0123456789.")] == '\0')
		h->refusal = 505;
	return -EPROTO;
}

/* RFC 9112 3: "GET /path HTTP/1.1", single blanks, origin form only. */
static int
request_line(struct http1 *h, char *s)
{
	char	*target = strchr(s, ' '), *version;

	if (target == NULL || (version = strchr(target + 1, ' ')) == NULL)
		return fail(h, -EPROTO, "malformed request line");
	*target++ = '\0';
	*version++ = '\0';
	if (!http1_is_token(s) || target[0] != '/' || !http1_is_visible(target))
		return fail(h, -EPROTO, "malformed request line");
	h->method = s;
	h->target = target;
	return request_version(h, version);
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
	if (!http1_is_token(s) || !http1_is_text(colon + 1))
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

/*
 * RFC 9112 3.2: host and port, or nothing.  Which host does not matter: the
 * clients of the platform say "unix".
 */
static bool
is_host(const char *s)
{
	size_t	n = strspn(s, "abcdefghijklmnopqrstuvwxyz"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%!$&'()*+,;=:[]");

	return s[n] == '\0';
}

static int
field_host(struct http1 *h, const char *value)
{
	if (h->has_host)
		return fail(h, -EPROTO, "host twice");
	if (!is_host(value))
		return fail(h, -EPROTO, "malformed host");
	h->has_host = true;
	return 0;
}

/* The fields that say where the message ends, RFC 9112 6, and whose it is. */
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
	} else if (h->request && strcmp(name, "host") == 0) {
		return field_host(h, value);
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

/* RFC 9110 15.2: skipped, but not for ever. */
static int
interim(struct http1 *h)
{
	if (h->status == 101)
		return fail(h, -EPROTO, "upgrade that was not asked for");
	if (h->ninterim++ == HTTP1_INTERIM_MAX)
		return fail(h, -EMSGSIZE, "too many interim answers");
	restart(h);
	return HTTP1_MORE;
}

/* RFC 9112 6.3: how the end of the body will be known. */
static int
head_end(struct http1 *h)
{
	if (h->chunked && (h->has_length || h->old))
		return fail(h, -EPROTO, "transfer-encoding with "
		    "content-length or HTTP/1.0");
	if (h->request && !h->has_host && !h->old)
		return fail(h, -EPROTO, "no host");
	if (!h->request && h->status < 200)
		return interim(h);
	h->left = h->length;
	if (h->no_body || (h->request && !h->chunked && !h->has_length) ||
	    h->status == 204 || h->status == 304)
		h->state = HTTP1_ENDED;
	else if (h->chunked)
		h->state = HTTP1_CHUNK_SIZE;
	else if (h->has_length && h->length > h->body_max)
		return too_large(h);
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
	if (h->request && h->head[h->line] == '\0' && h->ninterim++ == 0) {
		restart(h);
		return HTTP1_MORE;
	}
	if (h->request)
		r = request_line(h, h->head + h->line);
	else
		r = status_line(h, h->head + h->line);
	if (r < 0)
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

/* RFC 9112 7.1: size, then extensions, which nobody defines: skipped. */
static int
chunk_line(struct http1 *h, const char *s)
{
	uint64_t	size = 0;
	int		i;

	for (i = 0; i < CHUNK_DIGITS_MAX && str_hex_digit(s[i]) >= 0; i++)
		size = size << 4 | (unsigned)str_hex_digit(s[i]);
	if (i == 0 || (s[i] != '\0' && s[i] != ';') || !http1_is_text(s + i))
		return fail(h, -EPROTO, "malformed chunk size");
	if (size > h->body_max - h->taken)
		return too_large(h);
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
		return too_large(h);
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
	return fail(h, -EPROTO, h->request ? "request is cut short" :
	    "answer is cut short");
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

/* One element of a comma-separated list, RFC 9110 5.6.1; s goes on. */
static bool
list_next(const char **s, const char **item, size_t *n)
{
	*s += strspn(*s, " \t,");
	*item = *s;
	*s += strcspn(*s, ",");
	for (*n = (size_t)(*s - *item); *n > 0 &&
	    strchr(" \t", (*item)[*n - 1]) != NULL; (*n)--)
		;
	return *n > 0;
}

bool
http1_lists(const struct http1 *h, const char *name, const char *token)
{
	const char	*s, *item;
	size_t		 i, n;

	for (i = 0; i < h->nfields; i++) {
		if (strcmp(h->head + h->fields[i].name, name) != 0)
			continue;
		s = h->head + h->fields[i].value;
		while (list_next(&s, &item, &n))
			if (n == strlen(token) &&
			    strncasecmp(item, token, n) == 0)
				return true;
	}
	return false;
}

bool
http1_keep_alive(const struct http1 *h)
{
	return !h->old && !http1_lists(h, "connection", "close");
}
