#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "net/http1.h"
#include "net/http1_impl.h"

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

	if (!http1_is_token(method) || target[0] != '/' ||
	    !http1_is_visible(target) || host[0] == '\0' ||
	    !http1_is_visible(host))
		return -EINVAL;
	return put_line(out, part, ARRAY_LEN(part));
}

int
http1_put_field(struct buf *out, const char *name, const char *value)
{
	const char	*part[] = { name, ": ", value, "\r\n" };

	if (!http1_is_token(name) || !http1_is_text(value))
		return -EINVAL;
	return put_line(out, part, ARRAY_LEN(part));
}

int
http1_put_end(struct buf *out)
{
	return buf_put(out, "\r\n", 2);
}

int
http1_put_length(struct buf *out, uint64_t n)
{
	char	text[24];

	(void)snprintf(text, sizeof text, "%" PRIu64, n);
	return http1_put_field(out, "Content-Length", text);
}

/* RFC 9110 15; what we answer with. */
static const struct {
	unsigned	 status;
	const char	*reason;
} reasons[] = {
	{ 100, "Continue" },
	{ 101, "Switching Protocols" },
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 301, "Moved Permanently" },
	{ 400, "Bad Request" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 413, "Content Too Large" },
	{ 415, "Unsupported Media Type" },
	{ 417, "Expectation Failed" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
};

const char *
http1_reason(unsigned status)
{
	size_t	i;

	for (i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "";
}

int
http1_put_status(struct buf *out, unsigned status)
{
	char		 code[8];
	const char	*part[] = { "HTTP/1.1 ", code, " ",
		http1_reason(status), "\r\n" };

	if (status < 100 || status > 599)
		return -EINVAL;
	(void)snprintf(code, sizeof code, "%u", status);
	return put_line(out, part, ARRAY_LEN(part));
}

/* RFC 9112 7.1 */
int
http1_put_chunk(struct buf *out, const void *p, size_t n)
{
	char	 size[HTTP1_CHUNK_COST];
	uint8_t	*to;
	size_t	 len;
	int	 r;

	if (n > UINT32_MAX)
		return -EINVAL;
	len = (size_t)snprintf(size, sizeof size, "%zx\r\n", n);
	if ((r = buf_reserve(out, len + n + 2, &to)) < 0)
		return r;
	memcpy(to, size, len);
	if (n > 0)
		memcpy(to + len, p, n);
	memcpy(to + len + n, "\r\n", 2);
	buf_commit(out, len + n + 2);
	return 0;
}
