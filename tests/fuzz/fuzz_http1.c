/*
 * HTTP/1.1 messages.  The first byte picks the kind, a request above 127, and
 * the step in which the rest arrives; the outcome must be the same as when it
 * comes whole.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "net/http1.h"

#define BODY_MAX	4096

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct outcome {
	struct http1	h;
	int		result;
	size_t		body_len, left;
	unsigned	heads;
	uint8_t		body[BODY_MAX];
};

static int
drain(struct outcome *o, struct buf *in)
{
	int	r;

	while ((r = http1_parse(&o->h, in)) > 0 && r != HTTP1_DONE) {
		if (r == HTTP1_HEAD) {
			o->heads++;
			continue;
		}
		if (o->heads != 1 || o->h.len == 0 ||
		    o->h.len > BODY_MAX - o->body_len)
			abort();
		memcpy(o->body + o->body_len, o->h.data, o->h.len);
		o->body_len += o->h.len;
	}
	return r;
}

static void
run(struct outcome *o, bool request, const uint8_t *data, size_t n,
    size_t step)
{
	struct buf	in;
	size_t		i, take;

	memset(o, 0, sizeof *o);
	buf_init(&in, n);
	if (request)
		http1_init_request(&o->h, BODY_MAX);
	else
		http1_init_response(&o->h, BODY_MAX);
	for (i = 0; i < n && o->result == 0; i += take) {
		take = n - i < step ? n - i : step;
		if (buf_put(&in, data + i, take) < 0)
			break;
		o->result = drain(o, &in);
	}
	o->left = n - i + in.len;
	if (o->result == 0)
		o->result = http1_close(&o->h);
	if ((o->result < 0) != (o->h.error != NULL) ||
	    (o->result < 0) != (o->h.refusal != 0))
		abort();
	buf_finish(&in);
}

/* What T26 promises of every request that gets through. */
static void
check_request(const struct http1 *h)
{
	if (h->method[0] == '\0' || h->target[0] != '/' ||
	    (h->chunked && (h->has_length || h->old)) ||
	    (!h->old && http1_field(h, "host") == NULL))
		abort();
	(void)http1_lists(h, "connection", "close");
	(void)http1_keep_alive(h);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct outcome	whole, parts;
	bool			request;

	if (n < 2)
		return 0;
	request = data[0] > 127;
	run(&whole, request, data + 1, n - 1, n - 1);
	run(&parts, request, data + 1, n - 1, 1u + data[0] % 64);
	if (whole.result != parts.result || whole.heads != parts.heads ||
	    whole.h.status != parts.h.status)
		abort();
	if (whole.result == HTTP1_DONE && (whole.left != parts.left ||
	    whole.body_len != parts.body_len ||
	    memcmp(whole.body, parts.body, whole.body_len) != 0))
		abort();
	if (request && whole.heads > 0)
		check_request(&whole.h);
	(void)http1_field(&whole.h, "content-type");
	return 0;
}
