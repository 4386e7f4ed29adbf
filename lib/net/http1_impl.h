/*
 * http1_impl - what may stand in a message, for its parser and its writer.
 */
#ifndef NET_HTTP1_IMPL_H
#define NET_HTTP1_IMPL_H

#include <stdbool.h>

bool	 http1_is_token(const char *s);		/* RFC 9110 5.6.2 */
bool	 http1_is_text(const char *s);		/* 5.5, a field's value */

/* No blank, control or other byte that could split a start line. */
bool	 http1_is_visible(const char *s);

#endif
