/*
 * scrollback - what a terminal session said last, for who attaches later.
 *
 * A ring of SCROLLBACK_MAX bytes, taken lazily.  A replay starts between
 * characters and sequences, sets the private modes whose switching was lost
 * (see vt.h), and leaves out every sequence that makes a terminal answer: the
 * answer would be typed into the shell (T16).  Its end is not touched, since
 * live output goes on from there.  Source: spec/grpc.md 4.3, D12.
 */
#ifndef WORKSPACE_SCROLLBACK_H
#define WORKSPACE_SCROLLBACK_H

#include "base/ring.h"
#include "workspace/vt.h"

#define SCROLLBACK_MAX	(256u * 1024)

struct buf;

struct scrollback {
	struct ring	ring;
	struct vt	lost;		/* state where the ring begins */
};

void	 scrollback_init(struct scrollback *h);
void	 scrollback_finish(struct scrollback *h);

/* Never fails; without memory less is remembered. */
void	 scrollback_put(struct scrollback *h, const void *p, size_t n);

/*
 * Appends the replay to out, which needs room for SCROLLBACK_MAX +
 * VT_RESTORE_MAX.  0, -ENOBUFS or -ENOMEM with out unchanged.
 */
int	 scrollback_replay(const struct scrollback *h, struct buf *out);

/* The sequence s, whole, makes a terminal answer, or is such an answer. */
bool	 scrollback_is_query(const uint8_t *s, size_t n);

#endif
