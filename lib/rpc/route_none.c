/*
 * route_none - nothing but gRPC is served.
 */
#include "rpc/route.h"

bool
route_request(struct h2_stream *s, const struct hpack_list *list, bool end)
{
	(void)s;
	(void)list;
	(void)end;
	return false;
}

void
route_ended(struct h2_stream *s)
{
	(void)s;
}
