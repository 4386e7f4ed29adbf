/*
 * wire - protobuf bytes checked against the schema, then decoded; and messages
 * encoded, with their prefix, for the stream they go out on.
 *
 * protobuf-c trusts what it reads more than we trust our peers, so every
 * length, depth and string is looked at first, by a walk that allocates
 * nothing.  The source of the format is protobuf's "Encoding" document.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/h2.h"
#include "rpc/grpc.h"

#define VARINT_MAX	10	/* bytes */
#define TAG_MAX		5	/* bytes: 29 bits of number, 3 of type */
#define ROOM_MIN	1024u	/* bytes: less is not worth a message */

enum wire_type {
	WIRE_VARINT = 0, WIRE_I64 = 1, WIRE_LEN = 2, WIRE_GROUP = 3,
	WIRE_GROUP_END = 4, WIRE_I32 = 5
};

struct walk {
	unsigned	 depth;
	unsigned	 fields;	/* seen so far, at all depths */
	const char	*why;
};

static int
fail(struct walk *w, const char *why)
{
	w->why = why;
	return -EINVAL;
}

/* Length of the varint at p, 0 if it is cut short or does not fit 64 bits. */
static size_t
get_varint(const uint8_t *p, size_t n, uint64_t *v)
{
	uint64_t	x = 0;
	size_t		i;

	for (i = 0; i < n && i < VARINT_MAX; i++) {
		if (i == VARINT_MAX - 1 && p[i] > 1)
			return 0;
		x |= (uint64_t)(p[i] & 0x7f) << (7 * i);
		if ((p[i] & 0x80) == 0) {
			*v = x;
			return i + 1;
		}
	}
	return 0;
}

static int	check_message(struct walk *w,
    const ProtobufCMessageDescriptor *d, const uint8_t *p, size_t n);

/* The payload of a length-delimited field; f is NULL if it is unknown. */
static int
check_bytes(struct walk *w, const ProtobufCFieldDescriptor *f,
    const uint8_t *p, size_t n)
{
	int	r;

	if (f == NULL)
		return 0;
	if (f->type == PROTOBUF_C_TYPE_STRING) {
		if (memchr(p, '\0', n) != NULL)
			return fail(w, "string with a NUL byte");
		if (!utf8_valid(p, n))
			return fail(w, "string is not valid UTF-8");
		return 0;
	}
	if (f->type != PROTOBUF_C_TYPE_MESSAGE)
		return 0;
	if (++w->depth > GRPC_DEPTH_MAX)
		return fail(w, "messages nested too deeply");
	r = check_message(w, f->descriptor, p, n);
	w->depth--;
	return r;
}

/* One field's value; *used of n bytes. */
static int
check_value(struct walk *w, const ProtobufCFieldDescriptor *f,
    unsigned type, const uint8_t *p, size_t n, size_t *used)
{
	uint64_t	len;
	size_t		k;

	switch (type) {
	case WIRE_VARINT:
		*used = get_varint(p, n, &len);
		return *used > 0 ? 0 : fail(w, "bad varint");
	case WIRE_I64:
		*used = 8;
		return n >= 8 ? 0 : fail(w, "field cut short");
	case WIRE_I32:
		*used = 4;
		return n >= 4 ? 0 : fail(w, "field cut short");
	case WIRE_LEN:
		if ((k = get_varint(p, n, &len)) == 0)
			return fail(w, "bad length");
		if (len > n - k)
			return fail(w, "length past the end");
		*used = k + (size_t)len;
		return check_bytes(w, f, p + k, (size_t)len);
	case WIRE_GROUP:
	case WIRE_GROUP_END:
		return fail(w, "groups are not supported");
	default:
		return fail(w, "unknown wire type");
	}
}

static int
check_message(struct walk *w, const ProtobufCMessageDescriptor *d,
    const uint8_t *p, size_t n)
{
	const ProtobufCFieldDescriptor	*f;
	uint64_t			 tag;
	size_t				 k;
	int				 r;

	while (n > 0) {
		k = get_varint(p, n, &tag);
		if (k == 0 || k > TAG_MAX || tag > UINT32_MAX || tag >> 3 == 0)
			return fail(w, "bad field number");
		if (++w->fields > GRPC_FIELDS_MAX)
			return fail(w, "too many fields");
		p += k;
		n -= k;
		f = protobuf_c_message_descriptor_get_field(d,
		    (unsigned)(tag >> 3));
		if ((r = check_value(w, f, tag & 7, p, n, &k)) < 0)
			return r;
		p += k;
		n -= k;
	}
	return 0;
}

int
grpc_wire_check(const ProtobufCMessageDescriptor *d, const uint8_t *p,
    size_t n, const char **why)
{
	struct walk	w = { .depth = 1 };
	int		r;

	if ((r = check_message(&w, d, p, n)) < 0)
		*why = w.why;
	return r;
}

struct pool {
	struct arena	*arena;
	bool		 failed;
};

static void *
pool_alloc(void *data, size_t n)
{
	struct pool	*pool = data;
	void		*p = arena_alloc(pool->arena, n);

	if (p == NULL)
		pool->failed = true;
	return p;
}

/* The arena goes as a whole. */
static void
pool_free(void *data, void *p)
{
	(void)data;
	(void)p;
}

ProtobufCMessage *
grpc_decode(const ProtobufCMessageDescriptor *d, const uint8_t *p, size_t n,
    struct arena *a, const char **why)
{
	struct pool		 pool = { .arena = a };
	ProtobufCAllocator	 alloc = { pool_alloc, pool_free, &pool };
	ProtobufCMessage	*m;

	if (grpc_wire_check(d, p, n, why) < 0)
		return NULL;
	m = protobuf_c_message_unpack(d, &alloc, n, p);
	if (m == NULL)
		*why = pool.failed ? GRPC_WHY_MEMORY
		    : "field of the wrong type";
	return m;
}

int
grpc_frame(struct buf *scratch, const ProtobufCMessage *m, size_t max,
    const uint8_t **frame, size_t *n)
{
	size_t	 len = protobuf_c_message_get_packed_size(m);
	uint8_t	*p;
	int	 r;

	if (len > max)
		return -EMSGSIZE;
	buf_clear(scratch);
	if ((r = buf_reserve(scratch, GRPC_PREFIX_LEN + len, &p)) < 0)
		return r;
	p[0] = 0;
	be32_write(p + 1, (uint32_t)len);
	protobuf_c_message_pack(m, p + GRPC_PREFIX_LEN);
	*frame = p;
	*n = GRPC_PREFIX_LEN + len;
	return 0;
}

size_t
grpc_stream_room(struct h2_stream *s, bool *want_room)
{
	size_t	n = h2_room(s);

	if (n < GRPC_HEAD_MAX + ROOM_MIN) {
		*want_room = true;
		h2_want_room(s);
		return 0;
	}
	n -= GRPC_HEAD_MAX;
	return n < GRPC_DATA_MAX ? n : GRPC_DATA_MAX;
}
