/*
 * joblog - what a job said, as numbered events in bounded memory.
 *
 * Numbers start at 1, rise by one and are never used again.  Output is cut
 * into events of at most JOBLOG_PIECE_MAX bytes, never inside a character: up
 * to three bytes that begin one wait for the rest of it.  Memory is taken as
 * output comes; of more than the limits the oldest events go.  Without memory
 * the oldest make room for the new.
 *
 * Readers hold a number, never a pointer: one that is slow goes on with what
 * is still there, and can tell by the number what it has missed.
 */
#ifndef WORKSPACE_JOBLOG_H
#define WORKSPACE_JOBLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOBLOG_BYTES_MAX	(1024u * 1024)	/* of output, in one log */
#define JOBLOG_EVENTS_MAX	10000u
#define JOBLOG_PIECE_MAX	4096u		/* of one event */

enum joblog_type { JOBLOG_START, JOBLOG_STDOUT, JOBLOG_STDERR, JOBLOG_EXIT };

struct joblog_chunk;

struct joblog {
	struct joblog_chunk *oldest, *newest;
	size_t		 head;		/* of the first event, in oldest */
	uint64_t	 first, next;	/* numbers: oldest kept, next new */
	size_t		 bytes;		/* of output that is kept */
	size_t		 memory;	/* allocated */
	uint64_t	 total;		/* bytes of output ever */
	uint64_t	 given;		/* of them, those in events, kept or
					 * not */
	/* All output, in the order of the events; the owner's, or NULL. */
	void		(*sink)(void *arg, const void *p, size_t n);
	void		*sink_arg;
	bool		 ended;
	int64_t		 end_ms;	/* of an end there was no memory for */
	struct partial {
		uint8_t	 p[4];
		size_t	 n;
	} partial[2];			/* of a character, by stream */
};

struct joblog_event {
	uint64_t	 seq;
	int64_t		 time_ms;	/* wall clock, Unix time */
	enum joblog_type type;
	const uint8_t	*p;		/* output; valid until the next put */
	size_t		 n;
};

void	 joblog_init(struct joblog *l);
void	 joblog_finish(struct joblog *l);

/* Nothing may be put after JOBLOG_EXIT, which is never lost. */
void	 joblog_put(struct joblog *l, enum joblog_type type, int64_t time_ms,
	    const void *p, size_t n);
/* What waits for the rest of a character goes out as it is.  The end does it,
 * too; after it nothing is left. */
void	 joblog_flush(struct joblog *l, int64_t time_ms);
/* Gives back what a log that is over has no use for. */
void	 joblog_trim(struct joblog *l);
/* Forgets the oldest events until at most max bytes are allocated. */
void	 joblog_shrink(struct joblog *l, size_t max);

/* Of the newest event; 0: none yet. */
uint64_t joblog_newest(const struct joblog *l);
/* Bytes of output before the oldest event that is kept: where it begins in
 * what the sink was given. */
uint64_t joblog_offset(const struct joblog *l);

/* False stops; the event is then read again. */
typedef bool joblog_fn(void *arg, const struct joblog_event *e);

/* Events from number seq on, or from the oldest that is left; returns the
 * number to go on with. */
uint64_t joblog_read(const struct joblog *l, uint64_t seq, joblog_fn *fn,
	    void *arg);

/*
 * Where the last `lines` lines of output begin: event *seq, after *skip bytes
 * of it.  types: bits 1 << JOBLOG_STDOUT and 1 << JOBLOG_STDERR.  False if
 * there are not that many and some may have been lost.
 */
bool	 joblog_tail(const struct joblog *l, unsigned types, uint64_t lines,
	    uint64_t *seq, size_t *skip);

#endif
