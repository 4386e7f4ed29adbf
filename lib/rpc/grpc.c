/*
 * grpc - status codes, timeouts, grpc-message text and message framing.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "net/h2.h"
#include "rpc/grpc.h"

/* A finished message that took more than this gives its memory back. */
#define PART_KEEP	(64u * 1024)

#define DIGITS_MAX	8	/* of grpc-timeout, PROTOCOL-HTTP2 */

static const char *const status_names[] = {
	[GRPC_OK] = "OK",
	[GRPC_CANCELLED] = "CANCELLED",
	[GRPC_UNKNOWN] = "UNKNOWN",
	[GRPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
	[GRPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
	[GRPC_NOT_FOUND] = "NOT_FOUND",
	[GRPC_ALREADY_EXISTS] = "ALREADY_EXISTS",
	[GRPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
	[GRPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
	[GRPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
	[GRPC_ABORTED] = "ABORTED",
	[GRPC_OUT_OF_RANGE] = "OUT_OF_RANGE",
	[GRPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
	[GRPC_INTERNAL] = "INTERNAL",
	[GRPC_UNAVAILABLE] = "UNAVAILABLE",
	[GRPC_DATA_LOSS] = "DATA_LOSS",
	[GRPC_UNAUTHENTICATED] = "UNAUTHENTICATED",
};

const char *
grpc_status_name(enum grpc_status s)
{
	if ((unsigned)s >= ARRAY_LEN(status_names))
		return "UNKNOWN";
	return status_names[s];
}

enum grpc_status
grpc_status_of_h2(uint32_t code)
{
	switch (code) {
	case H2_REFUSED_STREAM:
		return GRPC_UNAVAILABLE;
	case H2_CANCEL:
		return GRPC_CANCELLED;
	case H2_ENHANCE_YOUR_CALM:
		return GRPC_RESOURCE_EXHAUSTED;
	case H2_INADEQUATE_SECURITY:
		return GRPC_PERMISSION_DENIED;
	case H2_HTTP_1_1_REQUIRED:
		return GRPC_UNKNOWN;		/* not in the table */
	default:
		return code < H2_HTTP_1_1_REQUIRED ? GRPC_INTERNAL
		    : GRPC_UNKNOWN;
	}
}

/* grpc's http-grpc-status-mapping. */
enum grpc_status
grpc_status_of_http(unsigned code)
{
	switch (code) {
	case 400:
		return GRPC_INTERNAL;
	case 401:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
		return GRPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}

/* Eight digits of hours are 3.6e14 ms: nothing here can overflow. */
int
grpc_timeout_parse(const char *s, uint64_t *ms)
{
	uint64_t	v = 0;
	size_t		i;

	for (i = 0; s[i] >= '0' && s[i] <= '9'; i++) {
		if (i == DIGITS_MAX)
			return -EINVAL;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	/* The value is a positive integer: zero is as malformed as none. */
	if (v == 0 || s[i] == '\0' || s[i + 1] != '\0')
		return -EINVAL;
	switch (s[i]) {
	case 'H':
		*ms = v * 3600 * 1000;
		return 0;
	case 'M':
		*ms = v * 60 * 1000;
		return 0;
	case 'S':
		*ms = v * 1000;
		return 0;
	case 'm':
		*ms = v;
		return 0;
	case 'u':
		*ms = (v + 999) / 1000;
		return 0;
	case 'n':
		*ms = (v + 999999) / 1000000;
		return 0;
	default:
		return -EINVAL;
	}
}

int
grpc_percent_encode(const char *s, char *out, size_t outlen)
{
	static const char	 hex[] = "0123456789ABCDEF";
	size_t			 n = 0;
	uint8_t			 c;

	for (; (c = (uint8_t)*s) != '\0'; s++) {
		if (c >= 0x20 && c <= 0x7e && c != '%') {
			if (n + 1 >= outlen)
				return -ENOBUFS;
			out[n++] = (char)c;
			continue;
		}
		if (n + 3 >= outlen)
			return -ENOBUFS;
		out[n++] = '%';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	if (n >= outlen)
		return -ENOBUFS;
	out[n] = '\0';
	return 0;
}

/* What is not an escape stays as it is: better an odd text than none. */
void
grpc_percent_decode(const char *s, char *out, size_t outlen)
{
	size_t	n = 0;
	int	hi, lo;

	if (outlen == 0)
		return;
	while (*s != '\0' && n + 1 < outlen) {
		if (*s == '%' && (hi = str_hex_digit(s[1])) >= 0 &&
		    (lo = str_hex_digit(s[2])) >= 0) {
			out[n++] = (char)(hi << 4 | lo);
			s += 3;
		} else {
			out[n++] = *s++;
		}
	}
	out[n] = '\0';
}

static int
prefix_check(const uint8_t *p)
{
	if (p[0] > 1)
		return -EPROTO;
	if (be32_read(p + 1) > GRPC_MESSAGE_MAX)
		return -EMSGSIZE;
	return 0;
}

/* The whole message, prefix included, waits in part: it was handed out. */
static bool
part_complete(const struct buf *part)
{
	return part->len >= GRPC_PREFIX_LEN && part->len ==
	    GRPC_PREFIX_LEN + (size_t)be32_read(buf_head(part) + 1);
}

static void
cut_set(struct grpc_cut *out, const uint8_t *p)
{
	out->compressed = p[0] == 1;
	out->n = be32_read(p + 1);
	out->p = p + GRPC_PREFIX_LEN;
}

/* A message starts at p. */
static int
cut_fresh(struct grpc_cutter *c, const uint8_t *p, size_t n, size_t *used,
    struct grpc_cut *out)
{
	int	r;

	if (n >= GRPC_PREFIX_LEN) {
		if ((r = prefix_check(p)) < 0)
			return r;
		if (n - GRPC_PREFIX_LEN >= be32_read(p + 1)) {
			cut_set(out, p);
			*used = GRPC_PREFIX_LEN + out->n;
			return 1;
		}
	}
	if ((r = buf_put(c->part, p, n)) < 0)
		return r;
	*used = n;
	return 0;
}

/* Moves min(want, n) bytes into part. */
static int
cut_take(struct grpc_cutter *c, const uint8_t *p, size_t n, size_t want,
    size_t *used)
{
	int	r;

	if (n > want)
		n = want;
	if ((r = buf_put(c->part, p, n)) < 0)
		return r;
	*used += n;
	return 0;
}

int
grpc_cut(struct grpc_cutter *c, const uint8_t *p, size_t n, size_t *used,
    struct grpc_cut *out)
{
	struct buf	*part = c->part;
	size_t		 want;
	int		 r;

	*used = 0;
	if (part_complete(part)) {
		buf_clear(part);
		if (part->cap > PART_KEEP)
			buf_trim(part);
	}
	if (n == 0)
		return 0;
	if (part->len == 0)
		return cut_fresh(c, p, n, used, out);
	if (part->len < GRPC_PREFIX_LEN) {
		r = cut_take(c, p, n, GRPC_PREFIX_LEN - part->len, used);
		if (r < 0 || part->len < GRPC_PREFIX_LEN)
			return r;
		if ((r = prefix_check(buf_head(part))) < 0)
			return r;
	}
	want = GRPC_PREFIX_LEN + be32_read(buf_head(part) + 1) - part->len;
	if ((r = cut_take(c, p + *used, n - *used, want, used)) < 0)
		return r;
	if (!part_complete(part))
		return 0;
	cut_set(out, buf_head(part));
	return 1;
}

bool
grpc_cut_idle(const struct grpc_cutter *c)
{
	return c->part->len == 0 || part_complete(c->part);
}

static size_t
put_varint(uint8_t *out, uint64_t v)
{
	size_t	n = 0;

	for (; v >= 0x80; v >>= 7)
		out[n++] = (uint8_t)(v | 0x80);
	out[n++] = (uint8_t)v;
	return n;
}

size_t
grpc_bytes_head(uint32_t field, size_t n, uint8_t *out)
{
	size_t	len = GRPC_PREFIX_LEN;

	assert(n <= GRPC_MESSAGE_MAX);
	len += put_varint(out + len, (uint64_t)field << 3 | 2);
	len += put_varint(out + len, n);
	out[0] = 0;
	be32_write(out + 1, (uint32_t)(len - GRPC_PREFIX_LEN + n));
	return len;
}
