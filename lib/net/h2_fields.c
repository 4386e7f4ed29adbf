#include <string.h>

#include "base/str.h"
#include "net/h2_priv.h"

enum {
	SEEN_METHOD = 1 << 0,
	SEEN_SCHEME = 1 << 1,
	SEEN_PATH = 1 << 2,
	SEEN_AUTHORITY = 1 << 3,
	SEEN_STATUS = 1 << 4,
	SEEN_HOST = 1 << 5,
	SEEN_REGULAR = 1 << 6
};

#define REQUEST_PSEUDO	(SEEN_METHOD | SEEN_SCHEME | SEEN_PATH | \
			    SEEN_AUTHORITY)

static const struct pseudo {
	const char	*name;
	size_t		 len;
	unsigned	 bit;
} pseudos[] = {
	{ ":path", 5, SEEN_PATH },
	{ ":method", 7, SEEN_METHOD },
	{ ":scheme", 7, SEEN_SCHEME },
	{ ":authority", 10, SEEN_AUTHORITY },
	{ ":status", 7, SEEN_STATUS },
};

/* RFC 9113 8.2.2: they speak of a connection, which is not ours to know. */
static const struct pseudo hop_by_hop[] = {
	{ "connection", 10, 0 },
	{ "keep-alive", 10, 0 },
	{ "proxy-connection", 16, 0 },
	{ "transfer-encoding", 17, 0 },
	{ "upgrade", 7, 0 },
};

struct check {
	unsigned		 seen;
	unsigned		 allowed;	/* pseudo-headers */
	const struct hpack_field *method, *authority, *host, *path, *status;
	struct h2_fields	*out;		/* NULL: trailers */
};

static bool
name_is(const struct hpack_field *f, const char *name, size_t len)
{
	return f->name_len == len && memcmp(f->name, name, len) == 0;
}

static bool
value_is(const struct hpack_field *f, const char *value)
{
	return f->value_len == strlen(value) &&
	    memcmp(f->value, value, f->value_len) == 0;
}

static const char *
check_pseudo(struct check *c, const struct hpack_field *f)
{
	unsigned	bit = 0;
	size_t		i;

	for (i = 0; i < ARRAY_LEN(pseudos) && bit == 0; i++)
		if (name_is(f, pseudos[i].name, pseudos[i].len))
			bit = pseudos[i].bit;
	if ((bit & c->allowed) == 0)
		return "pseudo-header field out of place";
	if (c->seen & SEEN_REGULAR)
		return "pseudo-header field behind a regular one";
	if (c->seen & bit)
		return "pseudo-header field twice";
	c->seen |= bit;
	if (bit == SEEN_METHOD)
		c->method = f;
	else if (bit == SEEN_AUTHORITY)
		c->authority = f;
	else if (bit == SEEN_PATH)
		c->path = f;
	else if (bit == SEEN_STATUS)
		c->status = f;
	return NULL;
}

static const char *
check_length(struct check *c, const struct hpack_field *f)
{
	uint64_t	n;

	if (c->out == NULL)
		return NULL;
	if (mem_to_u64(f->value, f->value_len, INT64_MAX, &n) < 0)
		return "content-length is no number";
	if (c->out->content_length != H2_NO_LENGTH &&
	    c->out->content_length != n)
		return "two different content-length";
	c->out->content_length = n;
	return NULL;
}

static const char *
check_regular(struct check *c, const struct hpack_field *f)
{
	size_t	i;

	c->seen |= SEEN_REGULAR;
	if (name_is(f, "te", 2))
		return value_is(f, "trailers") ? NULL :
		    "te with another value than trailers";
	if (name_is(f, "host", 4)) {
		if (c->seen & SEEN_HOST)
			return "host twice";
		c->seen |= SEEN_HOST;
		c->host = f;
		return NULL;
	}
	if (name_is(f, "content-length", 14))
		return check_length(c, f);
	for (i = 0; i < ARRAY_LEN(hop_by_hop); i++)
		if (name_is(f, hop_by_hop[i].name, hop_by_hop[i].len))
			return "connection-specific field";
	return NULL;
}

static const char *
check_all(struct check *c, const struct hpack_list *list)
{
	const struct hpack_field	*f;
	const char			*why;
	size_t				 i;

	for (i = 0; i < list->count; i++) {
		f = &list->fields[i];
		if (f->malformed)
			return "malformed field name or value";
		why = f->name[0] == ':' ? check_pseudo(c, f) :
		    check_regular(c, f);
		if (why != NULL)
			return why;
	}
	return NULL;
}

const char *
h2_check_request(const struct hpack_list *list, struct h2_fields *out)
{
	struct check	 c = { .allowed = REQUEST_PSEUDO, .out = out };
	unsigned	 want = SEEN_METHOD | SEEN_SCHEME | SEEN_PATH;
	const char	*why;

	out->content_length = H2_NO_LENGTH;
	if ((why = check_all(&c, list)) != NULL)
		return why;
	if (list->oversize)
		return NULL;	/* what is missing may be what was cut off */
	if (c.method != NULL && value_is(c.method, "CONNECT"))
		want = SEEN_METHOD | SEEN_AUTHORITY;
	if ((c.seen & (REQUEST_PSEUDO & ~(unsigned)SEEN_AUTHORITY)) !=
	    (want & ~(unsigned)SEEN_AUTHORITY) || (want & ~c.seen) != 0)
		return "pseudo-header field missing";
	if (c.path != NULL && c.path->value_len == 0)
		return "empty :path";
	if (c.authority != NULL && c.host != NULL &&
	    (c.authority->value_len != c.host->value_len ||
	    memcmp(c.authority->value, c.host->value,
	    c.host->value_len) != 0))
		return "host differs from :authority";
	return NULL;
}

const char *
h2_check_response(const struct hpack_list *list, struct h2_fields *out)
{
	struct check	 c = { .allowed = SEEN_STATUS, .out = out };
	const char	*why;
	uint64_t	 status;

	*out = (struct h2_fields){ .content_length = H2_NO_LENGTH };
	if ((why = check_all(&c, list)) != NULL)
		return why;
	if (c.status == NULL)
		return list->oversize ? NULL : ":status missing";
	if (c.status->value_len != 3 ||
	    mem_to_u64(c.status->value, 3, 999, &status) < 0 || status < 100)
		return ":status is no status";
	out->status = (unsigned)status;
	if (status == 204 || status == 304)
		out->content_length = H2_NO_LENGTH;
	return NULL;
}

const char *
h2_check_trailers(const struct hpack_list *list)
{
	struct check	c = { .allowed = 0 };

	return check_all(&c, list);
}
