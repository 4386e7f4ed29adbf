/*
 * history - what a terminal session said last, for who attaches later.
 *
 * A ring of HISTORY_MAX bytes, taken lazily.  A replay starts between
 * characters and sequences, sets the private modes whose switching was lost
 * (see vt.h), and leaves out every sequence that makes a terminal answer: the
 * answer would be typed into the shell (T16).  Its end is not touched, since
 * live output goes on from there.  Source: spec/grpc.md 4.3, D12.
 */
#ifndef WORKSPACE_HISTORY_H
#define WORKSPACE_HISTORY_H

#include "base/ring.h"
#include "workspace/vt.h"

#define HISTORY_MAX	(256u * 1024)

struct buf;

struct history {
	struct ring	ring;
	struct vt	lost;		/* state where the ring begins */
};

void	 history_init(struct history *h);
void	 history_finish(struct history *h);

/* Never fails; without memory less is remembered. */
void	 history_put(struct history *h, const void *p, size_t n);

/*
 * Appends the replay to out, which needs room for HISTORY_MAX +
 * VT_RESTORE_MAX.  0, -ENOBUFS or -ENOMEM with out unchanged.
 */
int	 history_replay(const struct history *h, struct buf *out);

/* The sequence s, whole, makes a terminal answer, or is such an answer. */
bool	 history_is_query(const uint8_t *s, size_t n);

#endif
