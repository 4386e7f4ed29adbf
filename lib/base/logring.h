/*
 * logring - the last log lines of this process, numbered, in bounded memory.
 *
 * A taker of log lines (log_set_sink()).  Ids start at 1, rise by one and are
 * never used again.  Lines live in 16 KiB chunks that are allocated as lines
 * come and freed as the oldest lines leave: 10 000 lines or 2 MiB, whichever
 * is reached first.  Without memory the oldest lines make room for new ones.
 *
 * Readers hold an id, never a pointer: one that was slow goes on with what is
 * still there.  Followers are woken, not fed: more() may only note the fact,
 * since any line of code of the process may be the one that logs.
 *
 * Filters are equality, on component and on level (spec/grpc.md 3.11).
 */
#ifndef BASE_LOGRING_H
#define BASE_LOGRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

#define LOGRING_ENTRIES_MAX	10000u
#define LOGRING_CHUNK		(16u * 1024)
#define LOGRING_BYTES_MAX	(2u * 1024 * 1024)
#define LOGRING_TIME_LEN	24	/* of logring_time(), with its end */

struct logring;

/* Strings are terminated and valid until the next line is logged. */
struct logring_entry {
	int64_t		 id;
	int64_t		 time_ms;	/* wall clock, Unix time */
	enum log_level	 level;
	const char	*component, *text;
};

struct logring_filter {
	const char	*component;	/* NULL or "": any */
	bool		 has_level;
	enum log_level	 level;
};

/* Embedded in its owner. */
struct logring_follower {
	/* A line was added.  May queue work for the loop and nothing else. */
	void	(*more)(void *arg);
	/* logring_end() was called: say goodbye.  f is unlinked already. */
	void	(*end)(void *arg);
	void	*arg;
	struct logring_follower *next, **prevp;
};

/* NULL: out of memory. */
struct logring *logring_create(void);
/* NULL is allowed.  Followers are unlinked, uncalled. */
void	 logring_destroy(struct logring *r);

/* For log_set_sink(); arg is the ring. */
void	 logring_sink(void *arg, enum log_level level, const char *component,
	    const char *text);
/* The same with a time of one's own; cut at LOG_LINE_MAX bytes. */
void	 logring_add(struct logring *r, int64_t time_ms,
	    enum log_level level, const char *component, const char *text);

/* Id of the newest line ever, 0 if there was none; of the oldest still held,
 * newest + 1 if none is. */
int64_t	 logring_newest(const struct logring *r);
int64_t	 logring_oldest(const struct logring *r);
size_t	 logring_bytes(const struct logring *r);	/* allocated */

/*
 * Calls fn for matching lines with after < id <= last, oldest first, until fn
 * returns false: that line was not taken.  fn must not log.  Returns the id
 * to go on from.
 */
typedef bool logring_fn(void *arg, const struct logring_entry *e);
int64_t	 logring_read(const struct logring *r,
	    const struct logring_filter *f, int64_t after, int64_t last,
	    logring_fn *fn, void *arg);

/*
 * Where the newest n matching lines with id < before begin (before 0: from
 * the end): pass *after to logring_read().  Returns how many there are, n at
 * most.  *more: n were found, and a line older than all of them, matching or
 * not, is still held.
 */
size_t	 logring_back(const struct logring *r,
	    const struct logring_filter *f, int64_t before, size_t n,
	    int64_t *after, bool *more);

void	 logring_follow(struct logring *r, struct logring_follower *f);
/* No-op if f does not follow. */
void	 logring_unfollow(struct logring_follower *f);
/* Ends every follower; for a process that stops. */
void	 logring_end(struct logring *r);

/* "2026-11-22T00:24:58.123", UTC without zone, as on every line. */
void	 logring_time(int64_t time_ms, char out[LOGRING_TIME_LEN]);

#endif
