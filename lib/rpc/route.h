/*
 * route - what to say to a request that is not gRPC.
 *
 * The release answers as gRPC rules ask (G1: 405, 415).  The conformance
 * build links another file in its place, which also serves "/" so that public
 * HTTP/2 test suites have something to fetch; no such code is in the release.
 */
#ifndef RPC_ROUTE_H
#define RPC_ROUTE_H

#include <stdbool.h>

struct h2_stream;
struct hpack_list;

/* True: the request is taken, and answered unless its body is to come. */
bool	 route_request(struct h2_stream *s, const struct hpack_list *list,
	    bool end);

/* The body of a request that was taken has ended; its bytes are gone. */
void	 route_ended(struct h2_stream *s);

#endif
