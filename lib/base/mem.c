#include <assert.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

/*
 * The block a message of keystrokes needs, and the largest worth keeping:
 * it holds a message of 64 KiB with everything around it.
 */
#define ARENA_BLOCK_MIN		(4 * 1024)
#define ARENA_BLOCK_KEEP	(128 * 1024)

/* Left beside a large payload, so that its message fits one block. */
#define ARENA_SLACK		512

struct arena_block {
	struct arena_block	*next;
	size_t			 size;		/* of data */
	alignas(max_align_t) uint8_t data[];
};

static _Noreturn void
out_of_memory(void)
{
	static const char	text[] = "out of memory\n";
	ssize_t			w;

	w = write(STDERR_FILENO, text, sizeof text - 1);
	(void)w;
	exit(1);
}

static void *
check(void *p)
{
	if (p == NULL)
		out_of_memory();
	return p;
}

/* One byte for none: NULL then always means that memory is out. */
void *
xmalloc(size_t n)
{
	return check(malloc(n > 0 ? n : 1));
}

void *
xcalloc(size_t n, size_t size)
{
	return check(n > 0 && size > 0 ? calloc(n, size) : calloc(1, 1));
}

void *
xrealloc(void *p, size_t n)
{
	return check(realloc(p, n > 0 ? n : 1));
}

char *
xstrdup(const char *s)
{
	return check(strdup(s));
}

char *
xasprintf(const char *fmt, ...)
{
	va_list	 ap;
	char	*s;
	int	 n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		out_of_memory();
	return s;
}

void
arena_init(struct arena *a, size_t max)
{
	*a = (struct arena){ .max = max };
}

static void
free_blocks(struct arena_block *b, const struct arena_block *except)
{
	struct arena_block	*next;

	for (; b != NULL; b = next) {
		next = b->next;
		if (b != except)
			free(b);
	}
}

void
arena_finish(struct arena *a)
{
	free_blocks(a->blocks, NULL);
	arena_init(a, a->max);
}

/* The largest that may stay and of which the last message used a quarter. */
static struct arena_block *
choose_kept(const struct arena *a)
{
	struct arena_block	*b, *best = NULL;

	for (b = a->blocks; b != NULL; b = b->next) {
		if (b->size > ARENA_BLOCK_KEEP)
			continue;
		if (b->size > ARENA_BLOCK_MIN && a->total < b->size / 4)
			continue;
		if (best == NULL || b->size > best->size)
			best = b;
	}
	return best;
}

void
arena_reset(struct arena *a)
{
	struct arena_block	*kept = choose_kept(a);

	free_blocks(a->blocks, kept);
	if (kept != NULL)
		kept->next = NULL;
	a->blocks = kept;
	a->used = a->total = 0;
}

/* Sizes double up to the largest kept one; beyond that they are exact. */
static int
add_block(struct arena *a, size_t need)
{
	struct arena_block	*b;
	size_t			 size = ARENA_BLOCK_MIN;

	while (size < ARENA_BLOCK_KEEP && (size < need + ARENA_SLACK ||
	    (a->blocks != NULL && size <= a->blocks->size)))
		size *= 2;
	if (size < need)
		size = need;
	if (size > SIZE_MAX - sizeof *b ||
	    (b = malloc(sizeof *b + size)) == NULL)
		return -1;
	b->next = a->blocks;
	b->size = size;
	a->blocks = b;
	a->used = 0;
	return 0;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	const size_t	 unit = alignof(max_align_t);
	void		*p;

	if (n > SIZE_MAX - unit - ARENA_SLACK)
		return NULL;
	n = n > 0 ? (n + unit - 1) / unit * unit : unit;
	if (n > a->max - a->total)
		return NULL;
	if ((a->blocks == NULL || n > a->blocks->size - a->used) &&
	    add_block(a, n) < 0)
		return NULL;
	p = a->blocks->data + a->used;
	a->used += n;
	a->total += n;
	return p;
}
