/*
 * jobfile_impl - what the two ends of the log writer's socket say.
 */
#ifndef WORKSPACE_JOBFILE_IMPL_H
#define WORKSPACE_JOBFILE_IMPL_H

#include <stdint.h>

enum jobfile_op { JOBFILE_OPEN, JOBFILE_DATA, JOBFILE_CLOSE };

/* To the child; len bytes follow: the id, or data. */
struct jobfile_order {
	uint32_t op, slot, len;
};

/*
 * From the child: of each opening and each closing, and, as DATA, of the first
 * failure between the two.  A closing's is the last about that file.
 */
struct jobfile_reply {
	uint32_t op, slot;
	int32_t	 err;			/* 0 or -errno */
};

struct account;

/* jobwriter.c: the child's whole life; fd is the only thing it keeps. */
_Noreturn void	 jobwriter_run(const struct account *a, int fd);

#endif
