/*
 * route - conformance build only: something for public HTTP/2 suites to get.
 *
 * Any method on "/" is answered with 200 and a short body; a body that comes
 * with the request is read and thrown away by the server.  Takes the place of
 * lib/rpc/route_none.c.
 */
#include <string.h>

#include "net/h2.h"
#include "net/hpack.h"
#include "rpc/route.h"

#define FIELD(n, v)	{ .name = n, .value = v, .name_len = sizeof n - 1, \
			    .value_len = sizeof v - 1 }

/* Not empty: suites skip their flow control cases without DATA. */
static const char	body[] = "k8shell\n";

static const char *
value_of(const struct hpack_list *list, const char *name)
{
	size_t	i;

	for (i = 0; i < list->count; i++)
		if (strcmp(list->fields[i].name, name) == 0)
			return list->fields[i].value;
	return "";
}

static void
answer(struct h2_stream *s, bool head)
{
	static const struct hpack_field	fields[] = {
		FIELD(":status", "200"),
		FIELD("content-type", "text/plain"),
		FIELD("content-length", "8"),
	};

	if (h2_headers(s, fields, sizeof fields / sizeof fields[0], head) < 0 ||
	    (!head && h2_data(s, body, sizeof body - 1, true) < 0))
		h2_reset(s, H2_INTERNAL_ERROR);
}

bool
route_request(struct h2_stream *s, const struct hpack_list *list, bool end)
{
	if (strcmp(value_of(list, ":path"), "/") != 0)
		return false;
	if (end)
		answer(s, strcmp(value_of(list, ":method"), "HEAD") == 0);
	return true;
}

/* Not before: curl 7.88 spins when an upload is answered early. */
void
route_ended(struct h2_stream *s)
{
	answer(s, false);
}
