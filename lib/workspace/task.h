/*
 * task - a running child together with its terminal or its pipes.
 *
 * Input is queued (bounded) and written as the child takes it; output is read
 * only while the taker has room, so a stalled client stops the child and not
 * our memory.  finished() comes once, after the child was collected and its
 * output drained: to end of file, or, where somebody else still holds the pipe
 * (EX-17), until nothing new came for TASK_DRAIN_MS.  Somebody who goes on
 * writing is listened to for TASK_DRAIN_MAX_MS; what the child itself left is
 * never cut off.
 */
#ifndef WORKSPACE_TASK_H
#define WORKSPACE_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proc/child.h"

#define TASK_INPUT_MAX	(1024u * 1024)	/* EX-15 */
#define TASK_INPUT_TOTAL	(32u * 1024 * 1024) /* of all that share */
#define TASK_INPUT_PIECE	(64u * 1024)	/* one piece, over that */
#define TASK_READ_MAX	(32u * 1024)	/* one output() */
#define TASK_DRAIN_MS	200
#define TASK_DRAIN_MAX_MS	2000	/* from exit */
#define TASK_HANGUP_MS	2000		/* SIGHUP to SIGKILL */

struct task;

enum task_stream { TASK_STDOUT, TASK_STDERR };

struct task_ops {
	/* As child_ops.started. */
	void	(*started)(void *arg, enum child_stage stage, int err,
		    const char *path, int cwd_err);
	/* Bytes output() may bring now; 0 stops reading until task_resume().*/
	size_t	(*room)(void *arg);
	void	(*output)(void *arg, enum task_stream s, const void *p,
		    size_t n);
	/* Half of the input queue is free again, all of it over
	 * TASK_INPUT_TOTAL.  NULL: don't care. */
	void	(*writable)(void *arg);
	/* Everything is over; also after a failed start.  e is what the child
	 * left, or SIGKILL where a hung one can't be waited for. */
	void	(*finished)(void *arg, const struct reap_exit *e);
	/* As child_ops.emptied, of a task below a shim: after the child was
	 * collected, so before or after finished(); never once task_hangup()
	 * or task_destroy() was called.  NULL: don't care. */
	void	(*emptied)(void *arg, bool sure);
};

int	 task_create(struct task **out, struct loop *l, struct reap *r,
	    const struct child_spec *spec, const struct task_ops *ops,
	    void *arg);

/*
 * Counts t's waiting input in *total, too, which outlives t.  While that is
 * TASK_INPUT_TOTAL or more, a queue that is not empty counts as full and a
 * piece over TASK_INPUT_PIECE is refused.
 */
void	 task_share_input(struct task *t, size_t *total);

/*
 * Takes a whole piece of any size (a message is at most 4 MiB) while fewer
 * than TASK_INPUT_MAX bytes wait, so the caller can test before it takes the
 * piece from its peer.  0, -ENOBUFS at or over TASK_INPUT_MAX, -EPIPE if
 * stdin is gone (input is then dropped, EX-11), -ENOMEM.
 */
int	 task_input(struct task *t, const void *p, size_t n);
/* The same, also when it is full: the rest of somebody who has gone.
 * -ENOBUFS where TASK_INPUT_MAX and 4 MiB wait. */
int	 task_input_rest(struct task *t, const void *p, size_t n);
/* Wait for writable() before the next piece. */
bool	 task_input_full(const struct task *t);
size_t	 task_input_queued(const struct task *t);
/* Closes stdin behind what is queued; nothing on a PTY (EX-10, EX-20). */
void	 task_input_end(struct task *t);
void	 task_resume(struct task *t);

int	 task_signal(struct task *t, int signo);	/* the group */

/*
 * SIGHUP and SIGCONT to the program and whoever is below it in its session;
 * of those, who stays is killed (hangup.h).  All else goes on, so that its
 * client hears of the end.
 */
void	 task_hang_up_session(struct task *t);
int	 task_resize(struct task *t, uint32_t cols, uint32_t rows);
/* SIGWINCH to who is in the foreground, though the size stays. */
int	 task_redraw(struct task *t);

/*
 * The client is gone: input already accepted is written as far as the child
 * takes it at once (SH-13), then SIGHUP (and SIGCONT) to the group and to who
 * is below it in its session (hangup.h says when those are killed), the
 * terminal is closed, and SIGKILL to the program after TASK_HANGUP_MS.  A task
 * still starting is hung up once it has started, or killed after the same time.
 * Who left the session (setsid) or ignores SIGHUP (nohup) stays.  The task
 * frees itself when the child is collected; no callback follows except done(),
 * then.  Instead of task_destroy(), it is allowed after finished(), too.
 */
void	 task_hangup(struct task *t, void (*done)(void *arg), void *arg);

/* After finished() only.  What is below a shim stays there. */
void	 task_destroy(struct task *t);		/* NULL is allowed */

pid_t	 task_pid(const struct task *t);
bool	 task_alive(const struct task *t);	/* as child_alive() */
/* The program is over, its output not yet. */
bool	 task_draining(const struct task *t);
pid_t	 task_shim(const struct task *t);	/* 0: none, or gone */
const char *task_tty(const struct task *t);

#endif
