/* See task.h. */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "workspace/hangup.h"
#include "workspace/task.h"

#define PIECE_MAX	(4u * 1024 * 1024)	/* one message */
#define READ_MORE	512u	/* shorter reads end a batch: a key press */
#define RETRY_MS	100	/* the kernel was short of memory */
#define CELLS_MAX	65535u

enum state {
	STARTING,		/* forked; exec not known yet */
	RUNNING,
	FAILED,			/* never ran; its process is still ours */
	DRAINING,		/* collected; output may be left */
	OVER
};

/* One descriptor of ours; on a PTY `out` is the master, for both ways. */
struct chan {
	struct task	*task;
	enum task_stream stream;
	struct loop_io	 io;		/* io.fd is owned; -1: closed */
	bool		 eof;
};

struct task {
	struct loop	*loop;		/* borrowed */
	const struct task_ops *ops;
	void		*arg;
	struct child	*child;
	enum state	 state;
	bool		 pty;
	struct chan	 in, out, err;
	struct buf	 input;
	size_t		*total;		/* of all tasks, or NULL */
	size_t		 counted;	/* our part of it */
	bool		 input_ended;	/* close stdin behind the queue */
	bool		 input_gone;	/* nobody reads it any more */
	bool		 input_high;	/* writable() is owed */
	uint64_t	 signals;	/* asked for before exec, bit n - 1 */
	struct reap_exit exit;
	uint64_t	 exit_ms;
	size_t		 owed;		/* output from before exit, unread */
	struct loop_timer drain;	/* quiet since exit */
	struct loop_timer kill;		/* hang-up's last resort */
	struct loop_timer retry;	/* interest could not be set */
	struct loop_task end;
	bool		 hung_up, destroyed;
	void		(*done)(void *arg);
	void		*done_arg;
};

static const char *const state_names[] = {
	[STARTING] = "starting", [RUNNING] = "running", [FAILED] = "failed",
	[DRAINING] = "draining", [OVER] = "over",
};

static void
set_state(struct task *t, enum state s)
{
	assert(s > t->state && (size_t)s < ARRAY_LEN(state_names));
	log_debug("task", "pid %d: %s -> %s", (int)child_pid(t->child),
	    state_names[t->state], state_names[s]);
	t->state = s;
}

static struct chan *
input_chan(struct task *t)
{
	return t->pty ? &t->out : &t->in;
}

static void
chan_close(struct chan *c)
{
	loop_forget(&c->io);
	if (c->io.fd >= 0)
		close(c->io.fd);
	c->io.fd = -1;
	c->eof = true;
}

/* After any change of the queue. */
static void
input_count(struct task *t)
{
	if (t->total == NULL)
		return;
	*t->total += t->input.len - t->counted;
	t->counted = t->input.len;
}

static bool
total_full(const struct task *t)
{
	return t->total != NULL && *t->total >= TASK_INPUT_TOTAL;
}

static void
close_all(struct task *t)
{
	chan_close(&t->in);
	chan_close(&t->out);
	chan_close(&t->err);
	t->input_gone = true;
	buf_finish(&t->input);
	input_count(t);
}

static size_t
room_of(const struct task *t)
{
	return t->hung_up ? 0 : t->ops->room(t->arg);
}

/* -- what we wait for ------------------------------------------------------ */

/*
 * Interest follows from state, queue and room.  A finished stream is taken out
 * of the set: its hang-up would be reported for ever.
 */
static unsigned
chan_interest(const struct chan *c, size_t room)
{
	struct task	*t = c->task;
	unsigned	 want = 0;

	if (t->state != RUNNING && t->state != DRAINING)
		return 0;
	if (c != &t->in && !c->eof && room > 0)
		want |= LOOP_READ;
	if (c == input_chan(t) && t->input.len > 0)
		want |= LOOP_WRITE;
	return want;
}

static void
update_interest(struct task *t)
{
	size_t	room;
	int	r = 0;

	if (t->state == STARTING || t->hung_up)
		return;
	room = room_of(t);
	r |= loop_want(&t->in.io, chan_interest(&t->in, room));
	r |= loop_want(&t->out.io, chan_interest(&t->out, room));
	r |= loop_want(&t->err.io, chan_interest(&t->err, room));
	if (r < 0)
		loop_timer_set(t->loop, &t->retry,
		    loop_now(t->loop) + RETRY_MS);
}

static void
on_retry(void *arg)
{
	update_interest(arg);
}

/* -- the end --------------------------------------------------------------- */

static void
task_free(struct task *t)
{
	close_all(t);
	child_destroy(t->child);
	free(t);
}

/* Runs at the end of a turn: no caller on the stack holds t. */
static void
on_end(void *arg)
{
	struct task	*t = arg;

	if (t->done != NULL)
		t->done(t->done_arg);
	task_free(t);
}

static void
finish(struct task *t)
{
	set_state(t, OVER);
	loop_timer_clear(&t->drain);
	loop_timer_clear(&t->kill);
	loop_timer_clear(&t->retry);
	close_all(t);
	if (t->hung_up)
		loop_later(t->loop, &t->end);
	else
		t->ops->finished(t->arg, &t->exit);
}

/* Bytes that wait in a channel. */
static size_t
chan_pending(const struct chan *c)
{
	int	n;

	return !c->eof && ioctl(c->io.fd, FIONREAD, &n) == 0 && n > 0 ?
	    (size_t)n : 0;
}

/*
 * After exit, silence means the end; but a taker without room is not silence,
 * task_resume() comes back then.
 */
static void
drain_on(struct task *t)
{
	if (t->state != DRAINING)
		return;			/* room() had enough of it */
	if ((t->out.eof && t->err.eof) || (t->owed == 0 &&
	    loop_now(t->loop) >= t->exit_ms + TASK_DRAIN_MAX_MS))
		finish(t);
	else if (room_of(t) > 0)
		loop_timer_set(t->loop, &t->drain,
		    loop_now(t->loop) + TASK_DRAIN_MS);
	else
		loop_timer_clear(&t->drain);
}

/* -- output ---------------------------------------------------------------- */

/*
 * Gathers what is there, up to one batch, into p.  EIO is a terminal's way to
 * say end of file: no slave is open.
 */
static size_t
chan_gather(struct chan *c, uint8_t *p, size_t max)
{
	size_t	n = 0;
	ssize_t	r;

	while (n < max) {
		r = read(c->io.fd, p + n, max - n);
		if (r == -1 && errno == EINTR)
			continue;
		if (r == -1 && errno == EAGAIN)
			break;
		if (r <= 0) {
			c->eof = true;
			break;
		}
		n += (size_t)r;
		if ((size_t)r < READ_MORE)
			break;
	}
	return n;
}

/* True if something came. */
static bool
chan_read(struct chan *c)
{
	struct task	*t = c->task;
	/* Zeroing 32 KiB for every key press is what the compiler would do. */
	uint8_t		 mem[TASK_READ_MAX] __attribute__((uninitialized));
	size_t		 room, n;

	if (c->eof || (room = room_of(t)) == 0)
		return false;
	n = chan_gather(c, mem, room < sizeof mem ? room : sizeof mem);
	t->owed -= n < t->owed ? n : t->owed;
	if (n > 0)
		t->ops->output(t->arg, c->stream, mem, n);
	return n > 0;
}

static void
on_silence(void *arg)
{
	struct task	*t = arg;
	bool		 more;

	more = chan_read(&t->out);
	more |= chan_read(&t->err);	/* after a hang-up both are at eof */
	if (t->hung_up)
		return;
	if (more || room_of(t) == 0) {
		drain_on(t);
		if (t->state != OVER)
			update_interest(t);
	} else {
		finish(t);
	}
}

/* -- input ----------------------------------------------------------------- */

static void
input_drop(struct task *t)
{
	t->input_gone = true;
	buf_finish(&t->input);
	input_count(t);
	chan_close(&t->in);	/* a PTY's master is still read */
}

/* As much as the child takes now. */
static void
input_flush(struct task *t)
{
	struct chan	*c = input_chan(t);
	ssize_t		 r;

	while (t->input.len > 0) {
		r = write(c->io.fd, buf_head(&t->input), t->input.len);
		if (r >= 0) {
			buf_drain(&t->input, (size_t)r);
			input_count(t);
		} else if (errno == EAGAIN) {
			return;
		} else if (errno != EINTR) {
			input_drop(t);		/* EX-11 */
			return;
		}
	}
	buf_trim(&t->input);
	if (t->input_ended && !t->pty)
		input_drop(t);			/* EX-10 */
}

static void
input_tell_writable(struct task *t)
{
	if (!t->input_high || t->input.len > TASK_INPUT_MAX / 2 ||
	    (t->input.len > 0 && total_full(t)))
		return;
	t->input_high = false;
	if (!t->hung_up && t->ops->writable != NULL)
		t->ops->writable(t->arg);
}

static void
on_ready(void *arg, unsigned ready)
{
	struct chan	*c = arg;
	struct task	*t = c->task;

	if (c == input_chan(t) && (ready & LOOP_WRITE)) {
		input_flush(t);
		input_tell_writable(t);
	}
	if (c != &t->in && (ready & LOOP_READ))
		chan_read(c);
	if (t->hung_up || t->state == OVER)
		return;
	if (t->state == DRAINING)
		drain_on(t);
	if (t->state != OVER)
		update_interest(t);
}

/* -- the process ----------------------------------------------------------- */

static void
on_kill(void *arg)
{
	struct task	*t = arg;

	child_signal_group(t->child, SIGKILL);
}

static void
hang_up_session(struct task *t)
{
	if (child_shim(t->child) != 0 ||
	    hangup_session(t->loop, child_pid(t->child)) < 0)
		child_signal_group(t->child, SIGHUP);
}

static void
hang_up(struct task *t)
{
	if (t->state == RUNNING) {
		input_flush(t);			/* SH-13 */
		hang_up_session(t);
	}
	close_all(t);
}

static void
send_signals(struct task *t)
{
	int	signo;

	for (signo = 1; signo <= 64; signo++)
		if (t->signals & UINT64_C(1) << (signo - 1))
			child_signal_group(t->child, signo);
	t->signals = 0;
}

static void
on_started(void *arg, enum child_stage stage, int err, const char *path,
    int cwd_err)
{
	struct task	*t = arg;

	set_state(t, stage == CHILD_OK ? RUNNING : FAILED);
	if (t->hung_up)
		hang_up(t);
	else
		t->ops->started(t->arg, stage, err, path, cwd_err);
	if (stage == CHILD_OK && !t->hung_up) {
		send_signals(t);
		input_flush(t);
		input_tell_writable(t);
		update_interest(t);
	}
	if (stage != CHILD_TIMEOUT)
		return;
	/* A killed child may hang in the kernel for hours: don't wait. */
	t->exit = (struct reap_exit){ .pid = child_pid(t->child),
	    .signaled = true, .value = SIGKILL };
	finish(t);
}

static void
on_exited(void *arg, const struct reap_exit *e)
{
	struct task	*t = arg;

	if (t->state == OVER)
		return;
	t->exit = *e;
	/* Who was just being forked may have missed the hang-up. */
	if (t->hung_up || (t->pty && t->state == RUNNING)) {
		child_signal_group(t->child, SIGHUP);
		hangup_group(t->loop, child_pid(t->child));
	}
	if (t->hung_up || t->state == FAILED) {
		finish(t);
		return;
	}
	set_state(t, DRAINING);
	input_drop(t);
	input_tell_writable(t);		/* what still comes is dropped */
	t->exit_ms = loop_now(t->loop);
	t->owed = chan_pending(&t->out) + chan_pending(&t->err);
	drain_on(t);
	if (t->state != OVER)
		update_interest(t);
}

static void
on_emptied(void *arg, bool sure)
{
	struct task	*t = arg;

	if (!t->hung_up && !t->destroyed && t->ops->emptied != NULL)
		t->ops->emptied(t->arg, sure);
}

static const struct child_ops task_child_ops = {
	.started = on_started, .exited = on_exited, .emptied = on_emptied,
};

/* -- interface ------------------------------------------------------------- */

static int
chan_init(struct chan *c, struct task *t, enum task_stream s, int fd)
{
	c->task = t;
	c->stream = s;
	c->io = (struct loop_io){ .fd = fd, .fn = on_ready, .arg = c };
	c->eof = fd == -1;
	return fd == -1 ? 0 : loop_watch(t->loop, &c->io, 0);
}

static int
take_channels(struct task *t)
{
	int	in = child_take_stdin(t->child);
	int	out = child_take_stdout(t->child);
	int	err = child_take_stderr(t->child), a, b, c;

	t->pty = child_tty(t->child)[0] != '\0';
	a = chan_init(&t->in, t, TASK_STDOUT, t->pty ? -1 : in);
	b = chan_init(&t->out, t, TASK_STDOUT, t->pty ? in : out);
	c = chan_init(&t->err, t, TASK_STDERR, err);
	t->input_gone = in == -1;
	return a < 0 ? a : b < 0 ? b : c;
}

int
task_create(struct task **out, struct loop *l, struct reap *r,
    const struct child_spec *spec, const struct task_ops *ops, void *arg)
{
	struct task	*t;
	int		 rc;

	if ((t = calloc(1, sizeof *t)) == NULL)
		return -ENOMEM;
	t->loop = l;
	t->ops = ops;
	t->arg = arg;
	t->drain.fn = on_silence;
	t->kill.fn = on_kill;
	t->retry.fn = on_retry;
	t->end.fn = on_end;
	t->drain.arg = t->kill.arg = t->retry.arg = t->end.arg = t;
	buf_init(&t->input, TASK_INPUT_MAX + PIECE_MAX);
	rc = child_spawn(&t->child, l, r, spec, &task_child_ops, t);
	if (rc < 0) {
		free(t);
		return rc;
	}
	if ((rc = take_channels(t)) < 0) {
		task_free(t);
		return rc;
	}
	*out = t;
	return 0;
}

int
task_input(struct task *t, const void *p, size_t n)
{
	if (t->input_gone || t->input_ended)
		return -EPIPE;
	if (t->input.len >= TASK_INPUT_MAX ||
	    (n > TASK_INPUT_PIECE && total_full(t)))
		return -ENOBUFS;
	return task_input_rest(t, p, n);
}

int
task_input_rest(struct task *t, const void *p, size_t n)
{
	int	r;

	if (t->input_gone || t->input_ended)
		return -EPIPE;
	if ((r = buf_put(&t->input, p, n)) < 0)
		return r;
	/* Behind older bytes it has to wait, else it needn't. */
	if (t->state == RUNNING && t->input.len == n)
		input_flush(t);
	input_count(t);
	if (t->input.len > TASK_INPUT_MAX / 2 || task_input_full(t))
		t->input_high = true;
	update_interest(t);
	return t->input_gone ? -EPIPE : 0;
}

bool
task_input_full(const struct task *t)
{
	return t->input.len >= TASK_INPUT_MAX ||
	    (t->input.len > 0 && total_full(t));
}

void
task_share_input(struct task *t, size_t *total)
{
	t->total = total;
	input_count(t);
}

size_t
task_input_queued(const struct task *t)
{
	return t->input.len;
}

void
task_input_end(struct task *t)
{
	if (t->pty || t->input_ended)
		return;
	t->input_ended = true;
	if (t->state == RUNNING && t->input.len == 0)
		input_drop(t);
}

void
task_resume(struct task *t)
{
	if (t->state == DRAINING && t->drain.loop == NULL && room_of(t) > 0)
		loop_timer_set(t->loop, &t->drain,
		    loop_now(t->loop) + TASK_DRAIN_MS);
	update_interest(t);
}

int
task_signal(struct task *t, int signo)
{
	if (signo < 1 || signo > 64)
		return -EINVAL;
	if (t->state != STARTING)
		return child_signal_group(t->child, signo);
	t->signals |= UINT64_C(1) << (signo - 1);
	return 0;
}

void
task_hang_up_session(struct task *t)
{
	if (t->state == STARTING)
		(void)task_signal(t, SIGHUP);
	else if (t->state == RUNNING)
		hang_up_session(t);
}

int
task_resize(struct task *t, uint32_t cols, uint32_t rows)
{
	if (!t->pty)
		return -ENOTTY;
	if (t->out.io.fd == -1)
		return -EPIPE;
	return tty_resize(t->out.io.fd,
	    (uint16_t)(cols < CELLS_MAX ? cols : CELLS_MAX),
	    (uint16_t)(rows < CELLS_MAX ? rows : CELLS_MAX));
}

int
task_redraw(struct task *t)
{
	pid_t	group;

	if (!t->pty || t->out.io.fd == -1)
		return -ENOTTY;
	if ((group = tty_foreground(t->out.io.fd)) <= 0)
		return -ESRCH;
	return kill(-group, SIGWINCH) < 0 ? -errno : 0;
}

void
task_hangup(struct task *t, void (*done)(void *arg), void *arg)
{
	if (t->hung_up)
		return;
	t->hung_up = true;
	t->done = done;
	t->done_arg = arg;
	loop_timer_clear(&t->drain);
	loop_timer_clear(&t->retry);
	if (t->state == OVER) {
		loop_later(t->loop, &t->end);
		return;
	}
	if (t->state == DRAINING) {
		finish(t);
		return;
	}
	loop_timer_set(t->loop, &t->kill, loop_now(t->loop) + TASK_HANGUP_MS);
	/* Before the start it has to wait: what is queued is the program's. */
	if (t->state != STARTING)
		hang_up(t);
}

/* Later: the caller may stand on finish()'s stack. */
void
task_destroy(struct task *t)
{
	if (t == NULL || t->destroyed)
		return;
	assert(t->state == OVER);
	t->destroyed = true;
	loop_later(t->loop, &t->end);
}

pid_t
task_pid(const struct task *t)
{
	return child_pid(t->child);
}

bool
task_alive(const struct task *t)
{
	return child_alive(t->child);
}

bool
task_draining(const struct task *t)
{
	return t->state == DRAINING;
}

pid_t
task_shim(const struct task *t)
{
	return child_shim(t->child);
}

const char *
task_tty(const struct task *t)
{
	return child_tty(t->child);
}
