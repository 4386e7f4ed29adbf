/*
 * mem - allocation helpers.
 *
 * The x-functions end the program with one line when memory is out: only for
 * start-up and for short-lived applets.  Once the loop runs, allocations are
 * checked and the peer pays.
 *
 * An arena hands out memory that is freed all at once: one message, one
 * request.  One block is kept between resets, the largest up to 128 KiB that
 * the last message made use of: a steady stream of messages costs no malloc.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void	*xmalloc(size_t n);
void	*xcalloc(size_t n, size_t size);
void	*xrealloc(void *p, size_t n);
char	*xstrdup(const char *s);
char	*xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

struct arena_block;

struct arena {
	struct arena_block	*blocks;	/* newest first */
	size_t			 used;		/* bytes of the newest block */
	size_t			 total;		/* handed out, rounded up */
	size_t			 max;		/* total never exceeds this */
};

void	 arena_init(struct arena *a, size_t max);
void	 arena_finish(struct arena *a);
void	 arena_reset(struct arena *a);		/* see above */

/* Aligned for any type, not zeroed; NULL at the limit or out of memory. */
void	*arena_alloc(struct arena *a, size_t n);

#endif
