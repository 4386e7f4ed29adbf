/* See child.h; what happens between fork and exec is in launch.c. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "proc/child.h"
#include "proc/launch.h"

#define REPORTS_MAX	64		/* per read */

struct child {
	struct loop	 *loop;		/* borrowed */
	const struct child_ops *ops;
	void		 *arg;
	struct reap_entry *entry;	/* on the heap: reap may inherit it */
	pid_t		  pid;
	bool		  started, collected, destroyed;
	struct launch_plan *plan;	/* until started */
	struct launch_report last;
	bool		  reported;	/* last is valid */
	struct loop_io	  status;	/* fd -1 once started */
	struct loop_timer timer;
	struct loop_task  free_task;
	int		  fd[3];	/* ours; stdin, stdout, stderr */
	char		  tty[TTY_NAME_MAX];
};

/* -- descriptors ----------------------------------------------------------- */

/* What the child gets, and our ends; -1 where there is none. */
struct ends {
	int	theirs[3], ours[3];
};

static void
fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* One descriptor may stand in several places of theirs. */
static void
close_theirs(struct ends *e)
{
	int	i;

	for (i = 2; i >= 0; i--)
		if (i > 0 && e->theirs[i] == e->theirs[i - 1])
			e->theirs[i] = -1;
		else
			fd_close(&e->theirs[i]);
}

static void
close_ours(int *ours)
{
	int	i;

	for (i = 0; i < 3; i++)
		fd_close(&ours[i]);
}

/*
 * One direction between us and the child's descriptor i, on which it reads if
 * that is stdin.  It belongs to the user: /dev/stdout can be opened by name.
 */
static int
make_channel(struct ends *e, int i, const struct child_spec *spec)
{
	int	fds[2], mine = i == STDIN_FILENO, r;

	if (spec->io == CHILD_SOCKETS)
		r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
	else
		r = pipe2(fds, O_CLOEXEC);
	if (r == -1)
		return -errno;
	e->ours[i] = fds[mine];
	e->theirs[i] = fds[!mine];
	if (spec->io == CHILD_SOCKETS)
		shutdown(fds[mine], mine ? SHUT_RD : SHUT_WR);
	else if (spec->user.change &&
	    fchown(fds[!mine], spec->user.uid, spec->user.gid) == -1)
		errno = 0;		/* a comfort, not a need */
	return fcntl(fds[mine], F_SETFL, O_NONBLOCK) == -1 ? -errno : 0;
}

static int
make_tty(struct ends *e, const struct child_spec *spec, char *name)
{
	struct tty	t;
	int		r;

	if ((r = tty_open(&t, spec->cols, spec->rows)) < 0)
		return r;
	if (spec->user.change && tty_give(&t, spec->user.uid) < 0)
		errno = 0;		/* works, but for opening it by name */
	e->ours[0] = t.master;
	e->theirs[0] = e->theirs[1] = e->theirs[2] = t.slave;
	memcpy(name, t.name, sizeof t.name);
	return 0;
}

static int
make_null(struct ends *e)
{
	int	fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd == -1)
		return -errno;
	e->theirs[0] = e->theirs[1] = e->theirs[2] = fd;
	return 0;
}

/* On failure e holds what was made so far. */
static int
make_ends(struct ends *e, const struct child_spec *spec, char *name)
{
	int	r;

	if (spec->io == CHILD_PTY)
		return make_tty(e, spec, name);
	if (spec->io == CHILD_NULL)
		return make_null(e);
	if ((r = make_channel(e, STDIN_FILENO, spec)) < 0 ||
	    (r = make_channel(e, STDOUT_FILENO, spec)) < 0)
		return r;
	if (spec->io != CHILD_MERGED)
		return make_channel(e, STDERR_FILENO, spec);
	e->theirs[STDERR_FILENO] = e->theirs[STDOUT_FILENO];
	return 0;
}

/* -- what the child reports ------------------------------------------------ */

/* Says once how the start went, and stops waiting for it. */
static void
settle(struct child *c, enum child_stage stage, int err, int cwd_err)
{
	struct launch_plan	*p = c->plan;
	struct launch_file	*f = NULL;
	const char		*path = NULL;

	loop_forget(&c->status);
	fd_close(&c->status.fd);
	loop_timer_clear(&c->timer);
	c->started = true;
	c->plan = NULL;
	if (p->nfiles > 0)
		f = &p->files[c->reported ? (size_t)c->last.file : 0];
	if (f != NULL)
		path = stage == CHILD_OK ? launch_file_path(f) : f->asked;
	c->ops->started(c->arg, stage, err, path, cwd_err);
	launch_plan_destroy(p);
}

/* True at end of file: exec closed the pipe, or the child is gone. */
static bool
read_reports(struct child *c)
{
	struct launch_report	rep[REPORTS_MAX];
	ssize_t			n;

	/* Writes this short come in one piece. */
	while ((n = read(c->status.fd, rep, sizeof rep)) > 0 ||
	    (n == -1 && errno == EINTR))
		if (n >= (ssize_t)sizeof rep[0]) {
			c->last = rep[(size_t)n / sizeof rep[0] - 1];
			c->reported = true;
		}
	return n == 0 || errno != EAGAIN;
}

static void
settle_by_report(struct child *c)
{
	if (c->reported)
		settle(c, (enum child_stage)c->last.stage, c->last.err,
		    c->last.cwd_err);
	else
		settle(c, CHILD_FORK, ECANCELED, 0);	/* killed before exec */
}

static void
on_status(void *arg, unsigned ready)
{
	struct child	*c = arg;

	(void)ready;
	if (read_reports(c))
		settle_by_report(c);
}

static void
on_late(void *arg)
{
	struct child	*c = arg;

	kill(c->pid, SIGKILL);
	settle(c, CHILD_TIMEOUT, ETIMEDOUT, 0);
}

/* The pipe's end may still wait in the loop: started() has to come first. */
static void
on_reaped(void *arg, const struct reap_exit *e)
{
	struct child	*c = arg;

	if (!c->started) {
		read_reports(c);
		settle_by_report(c);
	}
	if (!c->destroyed)
		c->ops->exited(c->arg, e);
	c->collected = true;
}

/* -- life ------------------------------------------------------------------ */

static void
child_free(void *arg)
{
	struct child	*c = arg;

	close_ours(c->fd);
	fd_close(&c->status.fd);
	launch_plan_destroy(c->plan);
	free(c->entry);
	free(c);
}

/* Everything that needs memory, before there is anything to undo. */
static struct child *
child_alloc(struct loop *l, const struct child_spec *spec,
    const struct child_ops *ops, void *arg)
{
	struct child	*c;

	if ((c = calloc(1, sizeof *c)) == NULL)
		return NULL;
	c->loop = l;
	c->ops = ops;
	c->arg = arg;
	c->fd[0] = c->fd[1] = c->fd[2] = -1;
	c->status = (struct loop_io){ .fd = -1, .fn = on_status, .arg = c };
	c->timer.fn = on_late;
	c->timer.arg = c;
	c->free_task.fn = child_free;
	c->free_task.arg = c;
	c->plan = launch_plan_create(spec);
	c->entry = calloc(1, sizeof *c->entry);
	if (c->plan == NULL || c->entry == NULL) {
		child_free(c);
		return NULL;
	}
	return c;
}

/* The parent's half of the status pipe is watched before the fork. */
static int
watch_status(struct child *c, int *write_end)
{
	int	fds[2], r;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return -errno;
	c->status.fd = fds[0];
	*write_end = fds[1];
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) == -1)
		return -errno;
	r = loop_watch(c->loop, &c->status, LOOP_READ);
	return r == -ENOSPC ? -ENOMEM : r;	/* of watches, not of ttys */
}

static int
child_fork(struct child *c, const struct child_spec *spec,
    const struct ends *e, int status)
{
	struct launch_fds	fds = { .status = status };

	memcpy(fds.io, e->theirs, sizeof fds.io);
	if ((c->pid = fork()) == -1)
		return -errno;
	if (c->pid == 0)
		launch_run(spec, c->plan, &fds);
	return 0;
}

int
child_spawn(struct child **out, struct loop *l, struct reap *r,
    const struct child_spec *spec, const struct child_ops *ops, void *arg)
{
	struct ends	 e = { { -1, -1, -1 }, { -1, -1, -1 } };
	struct child	*c;
	int		 status = -1, rc;

	if ((c = child_alloc(l, spec, ops, arg)) == NULL)
		return -ENOMEM;
	if ((rc = make_ends(&e, spec, c->tty)) < 0 ||
	    (rc = watch_status(c, &status)) < 0 ||
	    (rc = child_fork(c, spec, &e, status)) < 0)
		goto out;

	*c->entry = (struct reap_entry){ .pid = c->pid, .fn = on_reaped,
	    .arg = c };
	reap_watch(r, c->entry);
	loop_timer_set(l, &c->timer, loop_now(l) + CHILD_START_MS);
	memcpy(c->fd, e.ours, sizeof c->fd);
	e.ours[0] = e.ours[1] = e.ours[2] = -1;	/* now c's */
	*out = c;
	c = NULL;				/* now the caller's */
	rc = 0;
out:
	close_theirs(&e);
	close_ours(e.ours);
	fd_close(&status);
	if (c != NULL) {
		loop_forget(&c->status);
		child_free(c);
	}
	return rc;
}

void
child_destroy(struct child *c)
{
	if (c == NULL || c->destroyed)
		return;
	c->destroyed = true;
	if (!c->started)
		kill(c->pid, SIGKILL);
	loop_forget(&c->status);
	fd_close(&c->status.fd);
	loop_timer_clear(&c->timer);
	close_ours(c->fd);
	reap_forget_owned(c->entry);
	c->entry = NULL;
	loop_later(c->loop, &c->free_task);
}

static int
take(struct child *c, int i)
{
	int	fd = c->fd[i];

	c->fd[i] = -1;
	return fd;
}

int
child_take_stdin(struct child *c)
{
	return take(c, STDIN_FILENO);
}

int
child_take_stdout(struct child *c)
{
	return take(c, STDOUT_FILENO);
}

int
child_take_stderr(struct child *c)
{
	return take(c, STDERR_FILENO);
}

pid_t
child_pid(const struct child *c)
{
	return c->pid;
}

bool
child_alive(const struct child *c)
{
	return !c->collected;
}

const char *
child_tty(const struct child *c)
{
	return c->tty;
}

int
child_signal_group(struct child *c, int signo)
{
	/* Before exec the group may not exist yet. */
	pid_t	to = c->started ? -c->pid : c->pid;

	if (c->collected)
		return -ESRCH;
	if (kill(to, signo) == -1)
		return -errno;
	if (signo == SIGHUP || signo == SIGTERM || signo == SIGINT ||
	    signo == SIGQUIT)
		kill(to, SIGCONT);
	return 0;
}

const char *
child_stage_name(enum child_stage s)
{
	static const char *const names[] = {
		[CHILD_OK] = "ok", [CHILD_FORK] = "fork",
		[CHILD_TTY] = "terminal", [CHILD_IDS] = "user ids",
		[CHILD_EXEC] = "exec", [CHILD_TIMEOUT] = "start",
	};

	return (size_t)s < ARRAY_LEN(names) ? names[s] : "unknown";
}
