#include <errno.h>

#include "net/h2_priv.h"

/* A block that came in pieces is rare; its memory is not kept beyond this. */
#define BLOCK_KEEP	4096u

/* RFC 9113 5.1 and 5.1.1, as a server sees it. */
static int
use_of_request(struct h2 *h, uint32_t id, enum h2_block_use *use)
{
	struct h2_stream	*s = h2_find(h, id);

	*use = H2_BLOCK_STREAM;
	if (s != NULL && s->remote_ended)
		return h2_fail(h, H2_STREAM_CLOSED,
		    "HEADERS behind END_STREAM");
	if (s != NULL)
		return 0;
	if (id % 2 == 0)
		return h2_fail(h, H2_PROTOCOL_ERROR,
		    "even stream id from a client");
	*use = H2_BLOCK_IGNORE;
	if (!h2_is_idle(h, id) && h2_was_reset(h, id))
		return h2_glitch(h);
	if (!h2_is_idle(h, id))
		return h2_was_opened(h, id) ?
		    h2_fail(h, H2_STREAM_CLOSED, "HEADERS on a closed stream") :
		    h2_fail(h, H2_PROTOCOL_ERROR,
		    "stream id smaller than a former one");
	h2_note_id(h, id);
	*use = H2_BLOCK_OPEN;
	if ((h->stopped && id > h->stop_id) ||
	    h->count >= h->limits.max_streams)
		*use = H2_BLOCK_REFUSE;
	if (id >= H2_ID_EXHAUSTED && !h->stopping)
		h2_shutdown(h);
	return h->failed;
}

static int
use_of_response(struct h2 *h, uint32_t id, enum h2_block_use *use)
{
	struct h2_stream	*s = h2_find(h, id);

	*use = H2_BLOCK_STREAM;
	if (s != NULL && !s->remote_ended)
		return 0;
	if (h2_is_idle(h, id))
		return h2_fail(h, H2_PROTOCOL_ERROR,
		    "HEADERS on a stream we did not open");
	if (s != NULL || !h2_was_reset(h, id))
		return h2_fail(h, H2_STREAM_CLOSED,
		    "HEADERS on a closed stream");
	*use = H2_BLOCK_IGNORE;
	return h2_glitch(h);
}

static int
count_block(struct h2 *h)
{
	h->block_len += h->head.length;
	if (h->block_len > h->limits.header_block_max)
		return h2_fail(h, H2_ENHANCE_YOUR_CALM,
		    "header block too long");
	return 0;
}

int
h2_block_begin(struct h2 *h)
{
	const uint32_t	 id = h->head.stream;
	int		 r;

	r = h->server ? use_of_request(h, id, &h->block_use) :
	    use_of_response(h, id, &h->block_use);
	if (r < 0)
		return r;
	h->block_stream = id;
	h->block_end = (h->head.flags & H2_FLAG_END_STREAM) != 0;
	h->block_ms = h->now;
	h->block_len = h->continuations = 0;
	return count_block(h);
}

/* Counted here, at the frame header: an empty one costs as much. */
int
h2_block_continue(struct h2 *h)
{
	if (h->block_use == H2_BLOCK_NONE)
		return h2_fail(h, H2_PROTOCOL_ERROR,
		    "CONTINUATION without HEADERS");
	if (++h->continuations > h->limits.continuations_max)
		return h2_fail(h, H2_ENHANCE_YOUR_CALM,
		    "too many CONTINUATIONs");
	return count_block(h);
}

/* The body's length is known to be wrong now that END_STREAM is here. */
static bool
length_wrong(const struct h2_stream *s)
{
	return s->content_length != H2_NO_LENGTH &&
	    s->received != s->content_length;
}

static void
tell(struct h2_stream *s, const struct hpack_list *list, bool end)
{
	struct h2	*h = s->h;

	if (end)
		s->remote_ended = true;
	if (!s->finish) {
		h->depth++;
		h->ops.headers(h->arg, s, list, end);
		h->depth--;
	}
	if (end)
		h2_remote_end(s);
}

static int
on_request(struct h2 *h, const struct hpack_list *list)
{
	const uint32_t		 id = h->block_stream;
	struct h2_fields	 f;
	struct h2_stream	*s;

	if (list->too_many)
		return h2_stream_error(h, id, H2_ENHANCE_YOUR_CALM);
	if (h2_check_request(list, &f) != NULL ||
	    (h->block_end && f.content_length != H2_NO_LENGTH &&
	    f.content_length > 0))
		return h2_stream_error(h, id, H2_PROTOCOL_ERROR);
	if ((s = h2_stream_new(h, id)) == NULL)
		return h2_fail_memory(h);
	s->content_length = f.content_length;
	tell(s, list, h->block_end);
	return 0;
}

static int
on_trailers(struct h2 *h, struct h2_stream *s, const struct hpack_list *list)
{
	if (list->too_many)
		return h2_stream_error(h, s->id, H2_ENHANCE_YOUR_CALM);
	if (!h->block_end || h2_check_trailers(list) != NULL ||
	    length_wrong(s))
		return h2_stream_error(h, s->id, H2_PROTOCOL_ERROR);
	tell(s, list, true);
	return 0;
}

/* Informational responses are passed over (RFC 9113 8.1); 101 is none. */
static int
on_response(struct h2 *h, struct h2_stream *s, const struct hpack_list *list)
{
	struct h2_fields	f;

	if (list->too_many)
		return h2_stream_error(h, s->id, H2_ENHANCE_YOUR_CALM);
	if (h2_check_response(list, &f) != NULL || f.status == 101)
		return h2_stream_error(h, s->id, H2_PROTOCOL_ERROR);
	if (f.status >= 100 && f.status < 200) {
		return h->block_end ?
		    h2_stream_error(h, s->id, H2_PROTOCOL_ERROR) : 0;
	}
	s->answered = true;
	s->content_length = f.content_length;
	if (h->block_end && length_wrong(s))
		return h2_stream_error(h, s->id, H2_PROTOCOL_ERROR);
	tell(s, list, h->block_end);
	return 0;
}

static int
on_block(struct h2 *h, enum h2_block_use use, const struct hpack_list *list)
{
	struct h2_stream	*s;

	switch (use) {
	case H2_BLOCK_NONE:
	case H2_BLOCK_IGNORE:
		break;
	case H2_BLOCK_REFUSE:
		return h2_stream_error(h, h->block_stream, H2_REFUSED_STREAM);
	case H2_BLOCK_OPEN:
		return on_request(h, list);
	case H2_BLOCK_STREAM:
		/* It may have been reset between two CONTINUATIONs. */
		if ((s = h2_find(h, h->block_stream)) == NULL)
			break;
		if (h->server || s->answered)
			return on_trailers(h, s, list);
		return on_response(h, s, list);
	}
	return 0;
}

int
h2_block_done(struct h2 *h, const uint8_t *p, size_t n)
{
	struct hpack_list	list
	    __attribute__((uninitialized));	/* 5 KiB, most of it unused */
	enum h2_block_use	use = h->block_use;
	int			r;

	h->block_use = H2_BLOCK_NONE;
	arena_reset(&h->arena);
	hpack_list_init(&list, &h->arena);
	r = hpack_decode(&h->dec, n > 0 ? p : h->hold, n, &list);
	if (h->block.cap > BLOCK_KEEP)
		buf_finish(&h->block);
	else
		buf_clear(&h->block);
	if (r == -ENOMEM)
		return h2_fail_memory(h);
	if (r < 0)
		return h2_fail(h, H2_COMPRESSION_ERROR,
		    "header block cannot be decoded");
	return on_block(h, use, &list);
}
