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
#include "proc/shim.h"

#define REPORTS_MAX	64		/* per read */

struct child {
	struct loop	 *loop;		/* borrowed */
	struct reap	 *reap;		/* borrowed */
	const struct child_ops *ops;
	void		 *arg;
	struct reap_entry *entry;	/* on the heap: reap may inherit it */
	pid_t		  pid;
	bool		  started, collected, destroyed;
	/* With a shim entry is the shim's; should it be killed, the program
	 * becomes our child, or init's. */
	bool		  shimmed;
	pid_t		  shim;		/* 0: none, or collected */
	struct reap_exit  shim_exit;
	struct reap_entry *orphan;	/* the program's, on the heap */
	struct loop_io	  link;		/* fd -1: none, or at its end */
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
	int	fds[2], mine = i == STDIN_FILENO;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return -errno;
	e->ours[i] = fds[mine];
	e->theirs[i] = fds[!mine];
	if (spec->user.change &&
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
	e->theirs[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	return e->theirs[0] == -1 ? -errno : 0;
}

/* On failure e holds what was made so far. */
static int
make_ends(struct ends *e, const struct child_spec *spec, char *name)
{
	int	r;

	if (spec->io == CHILD_PTY)
		return make_tty(e, spec, name);
	r = spec->io == CHILD_OUTPUT ? make_null(e) :
	    make_channel(e, STDIN_FILENO, spec);
	if (r < 0 || (r = make_channel(e, STDOUT_FILENO, spec)) < 0)
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

/* -- below a shim ---------------------------------------------------------- */

static void
order(struct child *c, enum shim_order what)
{
	char	byte = (char)what;

	/* It is there, or it was killed: both is known elsewhere. */
	if (c->link.fd != -1)
		(void)!send(c->link.fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
link_close(struct child *c)
{
	loop_forget(&c->link);
	fd_close(&c->link.fd);
}

/* Lets the program go: it is the shim's, or the registry's to collect. */
static void
orphan_release(struct child *c)
{
	if (c->orphan == NULL)
		return;
	if (c->orphan->reap != NULL && reap_is_child(c->pid)) {
		reap_forget_owned(c->orphan);
	} else {
		reap_unwatch(c->orphan);
		free(c->orphan);
	}
	c->orphan = NULL;
}

/* The pipe's end may still wait in the loop: started() has to come first. */
static void
program_over(struct child *c, const struct reap_exit *e)
{
	if (c->collected)
		return;
	if (!c->started) {
		read_reports(c);
		settle_by_report(c);
	}
	if (!c->destroyed)
		c->ops->exited(c->arg, e);
	c->collected = true;
	if (!c->shimmed || c->destroyed)
		return;
	/* In this order: once it is taken, the number is anybody's. */
	orphan_release(c);
	order(c, SHIM_TAKEN);
}

static void
tell_emptied(struct child *c)
{
	if (!c->destroyed && c->ops->emptied != NULL)
		c->ops->emptied(c->arg, !c->shim_exit.signaled);
}

static void
on_orphan(void *arg, const struct reap_exit *e)
{
	struct child	*c = arg;

	program_over(c, e);
	if (c->shim == 0 && c->link.fd == -1)
		tell_emptied(c);
}

static void
program_known(struct child *c, pid_t pid)
{
	c->pid = pid;
	*c->orphan = (struct reap_entry){ .pid = pid, .fn = on_orphan,
	    .arg = c };
	reap_watch(c->reap, c->orphan);
}

/* Takes what the shim said. */
static void
link_read(struct child *c)
{
	struct shim_report	rep;
	struct reap_exit	e;
	ssize_t			n;

	while (c->link.fd != -1) {
		n = recv(c->link.fd, &rep, sizeof rep, MSG_DONTWAIT);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n != (ssize_t)sizeof rep) {
			link_close(c);
			return;
		}
		e = (struct reap_exit){ .pid = rep.pid,
		    .signaled = rep.signaled, .value = rep.value };
		if (rep.event == SHIM_STARTED)
			program_known(c, rep.pid);
		else
			program_over(c, &e);
	}
}

/*
 * The shim is collected, and nobody else will say anything: a program not yet
 * at exec would hold the link.  If the shim was killed, the program may have
 * become our child, and its status is still to come; if it is somebody
 * else's, nobody can know it.
 */
static void
shim_over(struct child *c)
{
	struct reap_exit	e = c->shim_exit;

	if (!c->collected && reap_is_child(c->pid))
		return;
	if (e.signaled)
		e.value = SIGKILL;
	e.pid = c->pid;
	program_over(c, &e);
	tell_emptied(c);
}

static void
on_link(void *arg, unsigned ready)
{
	struct child	*c = arg;

	(void)ready;
	link_read(c);
	if (c->shim == 0 && c->link.fd == -1 && !c->destroyed)
		shim_over(c);
}

static void
on_shim(void *arg, const struct reap_exit *e)
{
	struct child	*c = arg;

	c->shim = 0;
	c->shim_exit = *e;
	link_read(c);
	if (c->link.fd == -1 && !c->destroyed)
		shim_over(c);
}

/* Whether the number is the program's beyond doubt. */
static bool
program_is_ours(const struct child *c)
{
	if (c->collected || c->pid == 0)
		return false;
	/* The shim holds it; without one we do, unless we adopt nobody. */
	return !c->shimmed || (c->shim != 0 && !reap_has_ended(c->shim)) ||
	    reap_is_child(c->pid);
}

/* It never started, and nobody would ever know of it. */
static void
kill_start(struct child *c)
{
	if (c->shim != 0)
		order(c, SHIM_KILL);
	else if (program_is_ours(c))
		kill(c->pid, SIGKILL);
}

/* -- events ---------------------------------------------------------------- */

static void
on_status(void *arg, unsigned ready)
{
	struct child	*c = arg;

	(void)ready;
	if (!read_reports(c))
		return;
	link_read(c);			/* its pid was told before */
	if (!c->started && !c->destroyed)
		settle_by_report(c);
}

static void
on_late(void *arg)
{
	struct child	*c = arg;

	kill_start(c);
	settle(c, CHILD_TIMEOUT, ETIMEDOUT, 0);
}

static void
on_reaped(void *arg, const struct reap_exit *e)
{
	program_over(arg, e);
}

/* -- life ------------------------------------------------------------------ */

static void
child_free(void *arg)
{
	struct child	*c = arg;

	close_ours(c->fd);
	fd_close(&c->status.fd);
	fd_close(&c->link.fd);
	launch_plan_destroy(c->plan);
	free(c->entry);
	free(c->orphan);
	free(c);
}

/* Everything that needs memory, before there is anything to undo. */
static struct child *
child_alloc(struct loop *l, struct reap *r, const struct child_spec *spec)
{
	struct child	*c;

	if ((c = calloc(1, sizeof *c)) == NULL)
		return NULL;
	c->loop = l;
	c->reap = r;
	c->shimmed = spec->shim != NULL;
	c->fd[0] = c->fd[1] = c->fd[2] = -1;
	c->status = (struct loop_io){ .fd = -1, .fn = on_status, .arg = c };
	c->link = (struct loop_io){ .fd = -1, .fn = on_link, .arg = c };
	c->timer.fn = on_late;
	c->timer.arg = c;
	c->free_task.fn = child_free;
	c->free_task.arg = c;
	c->plan = launch_plan_create(spec);
	c->entry = calloc(1, sizeof *c->entry);
	if (c->shimmed)
		c->orphan = calloc(1, sizeof *c->orphan);
	if (c->plan == NULL || c->entry == NULL ||
	    (c->shimmed && c->orphan == NULL)) {
		child_free(c);
		return NULL;
	}
	return c;
}

/* Our end of a pair is watched before the fork. */
static int
watch_end(struct child *c, struct loop_io *io, const int *fds)
{
	int	r;

	io->fd = fds[0];
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) == -1)
		return -errno;
	r = loop_watch(c->loop, io, LOOP_READ);
	return r == -ENOSPC ? -ENOMEM : r;	/* of watches, not of ttys */
}

/* What the child writes to: the status pipe, and the shim's link. */
struct lines {
	int	status, link;
};

static int
make_lines(struct child *c, struct lines *w)
{
	int	fds[2], r;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return -errno;
	w->status = fds[1];
	if ((r = watch_end(c, &c->status, fds)) < 0 || !c->shimmed)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == -1)
		return -errno;
	w->link = fds[1];
	return watch_end(c, &c->link, fds);
}

static int
child_fork(struct child *c, const struct child_spec *spec,
    const struct ends *e, const struct lines *w)
{
	struct launch_fds	fds = { .status = w->status };
	pid_t			self = getpid(), pid;

	memcpy(fds.io, e->theirs, sizeof fds.io);
	if ((pid = fork()) == -1)
		return -errno;
	if (pid == 0 && c->shimmed)
		shim_run(spec, c->plan, &fds, w->link, self);
	if (pid == 0)
		launch_run(spec, c->plan, &fds);
	if (c->shimmed)
		c->shim = pid;
	else
		c->pid = pid;
	*c->entry = (struct reap_entry){ .pid = pid, .arg = c,
	    .fn = c->shimmed ? on_shim : on_reaped };
	return 0;
}

int
child_spawn(struct child **out, struct loop *l, struct reap *r,
    const struct child_spec *spec, const struct child_ops *ops, void *arg)
{
	struct ends	 e = { { -1, -1, -1 }, { -1, -1, -1 } };
	struct lines	 w = { -1, -1 };
	struct child	*c;
	int		 rc;

	if ((c = child_alloc(l, r, spec)) == NULL)
		return -ENOMEM;
	c->ops = ops;
	c->arg = arg;
	if ((rc = make_ends(&e, spec, c->tty)) < 0 ||
	    (rc = make_lines(c, &w)) < 0 ||
	    (rc = child_fork(c, spec, &e, &w)) < 0)
		goto out;

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
	fd_close(&w.status);
	fd_close(&w.link);
	if (c != NULL) {
		loop_forget(&c->status);
		loop_forget(&c->link);
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
		kill_start(c);
	link_close(c);			/* a shim needs nobody from now on */
	orphan_release(c);
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

pid_t
child_shim(const struct child *c)
{
	return c->shim;
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

	if (!c->started && c->shim != 0 && signo == SIGKILL) {
		order(c, SHIM_KILL);
		return 0;
	}
	if (!program_is_ours(c))
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
		[CHILD_CWD] = "directory",
	};

	return (size_t)s < ARRAY_LEN(names) ? names[s] : "unknown";
}
