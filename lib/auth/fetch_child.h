/*
 * fetch_child - what the child of a fetch does; internal to lib/auth.
 */
#ifndef AUTH_FETCH_CHILD_H
#define AUTH_FETCH_CHILD_H

#include "auth/fetch.h"

#define FETCH_OK	0		/* exit status: the pipe has the body */
#define FETCH_FAILED	1		/* the pipe says why */

/* Answers through fd and exits. */
_Noreturn void fetch_child(const struct fetch_spec *spec, int fd);

#endif
