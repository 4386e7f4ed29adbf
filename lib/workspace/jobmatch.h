/*
 * jobmatch - looks for a text or a regular expression in lines of output.
 *
 * Regular expressions are POSIX extended ones, matched by the C library in the
 * daemon itself: only such are taken whose cost is bounded, without back
 * references and with few positions once repetitions are written out.  They
 * see characters; what is none is U+FFFD to them.
 */
#ifndef WORKSPACE_JOBMATCH_H
#define WORKSPACE_JOBMATCH_H

#include <locale.h>
#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define JOBMATCH_TEXT_MAX	1024u	/* of what is looked for */
#define JOBMATCH_COST_MAX	256u	/* positions of an expression */
#define JOBMATCH_LINE_MAX	4096u	/* longer ones: in pieces */
#define JOBMATCH_GROUPS_MAX	9u

struct jobmatch {
	char		*text;
	bool		 is_regex;
	regex_t		 regex;
	locale_t	 utf8;		/* (locale_t)0: bytes then */
	size_t		 cost;		/* of one byte, at least 1 */
	struct buf	 line[2];	/* begun, by stream */
	char		*clean;		/* a line as UTF-8, or NULL */
};

struct jobmatch_found {
	const char	*line;		/* terminated, without its end */
	size_t		 ngroups;
	regmatch_t	 group[JOBMATCH_GROUPS_MAX];	/* rm_so -1: none */
};

/* 0, -EINVAL with *why set (static text), or -ENOMEM. */
int	 jobmatch_init(struct jobmatch *m, const char *text, bool regex,
	    const char **why);
void	 jobmatch_finish(struct jobmatch *m);

/* More of stream 0 or 1.  True: *found is the first such line in it, valid
 * until the next call; nothing more is fed then. */
bool	 jobmatch_feed(struct jobmatch *m, unsigned stream, const void *p,
	    size_t n, struct jobmatch_found *found);

/* Whether a line is begun, and the same for it as it is. */
bool	 jobmatch_pending(const struct jobmatch *m);
bool	 jobmatch_rest(struct jobmatch *m, unsigned stream,
	    struct jobmatch_found *found);

/* Positions of an expression with its repetitions written out, 0 if it is
 * not one we take, with *why set.  For tests. */
size_t	 jobmatch_cost(const char *regex, const char **why);

#endif
