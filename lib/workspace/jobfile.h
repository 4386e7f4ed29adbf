/*
 * jobfile - the log files of jobs, written by a child with the user's ids.
 *
 * The home directory is the user's: it may hang, be full, or be made of links.
 * So we never touch it.  One child writes for all jobs; it is there while any
 * file is, and gets its bytes through a socket.  What waits for it is bounded:
 * whoever produces has to stop while jobfile_full(), for at most
 * JOBFILE_STALL_MS; a child that takes nothing for so long is killed, its files
 * end there, and no file is opened for JOBFILE_PAUSE_MS.  It ignores the
 * signals that ask for an end: it ends when it has written all.
 *
 * HOME/.local/state/k8shell/jobs/ID.log, 0600; at JOBFILE_SIZE_MAX it becomes
 * ID.log.1, as the file of an earlier job of that id does.
 */
#ifndef WORKSPACE_JOBFILE_H
#define WORKSPACE_JOBFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOBFILE_DIR		"/.local/state/k8shell/jobs"
#define JOBFILE_SIZE_MAX	(10u * 1024 * 1024)
#define JOBFILE_QUEUE_MAX	(512u * 1024)	/* full; a piece may exceed */
#define JOBFILE_PIECE_MAX	(64u * 1024)
#define JOBFILE_STALL_MS	2000
#define JOBFILE_PAUSE_MS	60000
#define JOBFILE_FILES_MAX	512u

struct account;
struct jobfiles;
struct loop;
struct reap;

/* Embedded in its owner. */
struct jobfile {
	struct jobfiles	*files;			/* NULL: not open */
	uint32_t	 slot;
	bool		 closed;
	/* err 0: the file is there.  Else there is none, or no more of it:
	 * -errno, once, and it is not open any more. */
	void		(*told)(void *arg, int err);
	/* jobfile_full() may be over. */
	void		(*writable)(void *arg);
	void		*arg;
};

/* NULL: out of memory. */
struct jobfiles *jobfiles_create(struct loop *l, struct reap *r);
/* NULL is allowed; files are not open any more, nobody is told.  What the child
 * has already, it still writes. */
void	 jobfiles_destroy(struct jobfiles *fs);
/* Something waits for the child; for at most JOBFILE_STALL_MS, if it is
 * stuck. */
bool	 jobfiles_pending(const struct jobfiles *fs);

/*
 * f->told, writable and arg are set by the caller; told() never comes from
 * within.  0, -EBUSY within the pause, -ENFILE, or -errno of the fork.
 */
int	 jobfile_open(struct jobfiles *fs, struct jobfile *f,
	    const struct account *a, const char *id);
/* At most JOBFILE_PIECE_MAX bytes.  Nothing if f is not open. */
void	 jobfile_put(struct jobfile *f, const void *p, size_t n);
bool	 jobfile_full(const struct jobfile *f);
/* Nothing more; told() may still come, also of what was put before.  Any number
 * of times. */
void	 jobfile_close(struct jobfile *f);
/* No callback any more: f may go. */
void	 jobfile_forget(struct jobfile *f);

#endif
