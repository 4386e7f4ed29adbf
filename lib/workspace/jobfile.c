#include "workspace/jobfile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "loop/loop.h"
#include "proc/reap.h"
#include "workspace/jobfile_impl.h"

#define COMPONENT	"job"
/* Who asked just before it was full adds a piece; all may close and open. */
#define QUEUE_LIMIT	(JOBFILE_QUEUE_MAX + 4 * JOBFILE_PIECE_MAX)

struct jobfiles {
	struct loop	*loop;			/* borrowed, both */
	struct reap	*reap;
	struct reap_entry child;
	struct loop_io	 io;			/* fd -1: no child */
	struct buf	 out;
	struct loop_timer stall;
	bool		 full;			/* writable() is owed */
	uint64_t	 pause_until_ms;
	size_t		 nopen, opening;	/* opening: no reply yet */
	struct jobfile	*file[JOBFILE_FILES_MAX];
	bool		 pending[JOBFILE_FILES_MAX];
};

/* -- the child ------------------------------------------------------------- */

static void
let_go(struct jobfiles *fs)
{
	loop_forget(&fs->io);
	if (fs->io.fd != -1)
		close(fs->io.fd);
	fs->io.fd = -1;
	loop_timer_clear(&fs->stall);
	buf_finish(&fs->out);
	fs->full = false;
	fs->opening = 0;
	memset(fs->pending, 0, sizeof fs->pending);
}

static void
forget(struct jobfiles *fs, uint32_t slot)
{
	fs->file[slot]->files = NULL;
	fs->file[slot] = NULL;
	fs->nopen--;
}

static void
fail(struct jobfiles *fs, uint32_t slot, int err)
{
	struct jobfile	*f = fs->file[slot];

	if (f == NULL)
		return;
	forget(fs, slot);
	f->told(f->arg, err);
	f->writable(f->arg);
}

/* No child any more: every file ends here. */
static void
lose(struct jobfiles *fs, int err)
{
	uint32_t	i;

	let_go(fs);
	fs->pause_until_ms = loop_now(fs->loop) + JOBFILE_PAUSE_MS;
	for (i = 0; i < JOBFILE_FILES_MAX; i++)
		fail(fs, i, err);
}

static void
on_stall(void *arg)
{
	struct jobfiles	*fs = arg;

	log_warn(COMPONENT, "log files: the home directory does not answer");
	if (fs->child.reap != NULL)
		kill(fs->child.pid, SIGKILL);
	lose(fs, -ETIMEDOUT);
}

static void
on_collected(void *arg, const struct reap_exit *e)
{
	struct jobfiles	*fs = arg;

	if (fs->io.fd == -1)
		return;
	log_warn(COMPONENT, "log files: their writer ended (%d)",
	    reap_exit_code(e));
	lose(fs, -EPIPE);
}

static void
watch_stall(struct jobfiles *fs, bool progress)
{
	if (fs->out.len == 0 && fs->opening == 0)
		loop_timer_clear(&fs->stall);
	else if (progress || fs->stall.loop == NULL)
		loop_timer_set(fs->loop, &fs->stall,
		    loop_now(fs->loop) + JOBFILE_STALL_MS);
}

/* -- what goes there and comes back ---------------------------------------- */

static void
tell_writable(struct jobfiles *fs)
{
	uint32_t	i;

	if (!fs->full || fs->out.len > JOBFILE_QUEUE_MAX / 2)
		return;
	fs->full = false;
	for (i = 0; i < JOBFILE_FILES_MAX; i++)
		if (fs->file[i] != NULL)
			fs->file[i]->writable(fs->file[i]->arg);
}

/* The last file is closed and everything is out: the child may go. */
static void
end_if_idle(struct jobfiles *fs)
{
	if (fs->io.fd == -1 || fs->nopen > 0 || jobfiles_pending(fs))
		return;
	let_go(fs);
	reap_forget(&fs->child);
}

static void
flush(struct jobfiles *fs)
{
	ssize_t	n = 0;

	if (fs->io.fd == -1)
		return;
	if (fs->out.len > 0)
		n = send(fs->io.fd, buf_head(&fs->out), fs->out.len,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0)
		buf_drain(&fs->out, (size_t)n);
	if (fs->out.len == 0)
		buf_trim(&fs->out);
	watch_stall(fs, n > 0);
	(void)loop_want(&fs->io, LOOP_READ |
	    (fs->out.len > 0 ? LOOP_WRITE : 0));
}

static void
take_reply(struct jobfiles *fs, const struct jobfile_reply *r)
{
	struct jobfile	*f;

	if (r->slot >= JOBFILE_FILES_MAX)
		return;
	f = fs->file[r->slot];
	if (fs->pending[r->slot]) {
		fs->pending[r->slot] = false;
		fs->opening--;
		watch_stall(fs, true);
	}
	if (f == NULL)
		return;
	if (r->err < 0) {
		fail(fs, r->slot, r->err);
		return;
	}
	if (f->closed)
		forget(fs, r->slot);
	f->told(f->arg, 0);
}

/* Replies come in one piece each, they are that short. */
static void
read_replies(struct jobfiles *fs)
{
	struct jobfile_reply	r;

	while (fs->io.fd != -1 && recv(fs->io.fd, &r, sizeof r,
	    MSG_DONTWAIT) == (ssize_t)sizeof r)
		take_reply(fs, &r);
}

static void
on_ready(void *arg, unsigned ready)
{
	struct jobfiles	*fs = arg;

	if ((ready & LOOP_HANGUP) != 0) {
		read_replies(fs);
		if (fs->io.fd != -1)
			lose(fs, -EPIPE);
		return;
	}
	if ((ready & LOOP_READ) != 0)
		read_replies(fs);
	if ((ready & LOOP_WRITE) != 0)
		flush(fs);
	tell_writable(fs);
	end_if_idle(fs);
}

static int
start_child(struct jobfiles *fs, const struct account *a)
{
	int	fds[2], r;

	if (fs->child.reap != NULL)
		return -EBUSY;		/* the one that hung */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1)
		return -errno;
	fs->io.fd = fds[0];
	r = loop_watch(fs->loop, &fs->io, LOOP_READ);
	if (r == 0 && (fs->child.pid = fork()) == -1)
		r = -errno;
	if (r == 0 && fs->child.pid == 0)
		jobwriter_run(a, fds[1]);
	close(fds[1]);
	if (r < 0) {
		let_go(fs);
		return r;
	}
	reap_watch(fs->reap, &fs->child);
	return 0;
}

static int
put_order(struct jobfiles *fs, enum jobfile_op op, uint32_t slot,
    const void *p, size_t n)
{
	struct jobfile_order	o = { .op = op, .slot = slot,
				    .len = (uint32_t)n };
	uint8_t			*to;
	int			 r;

	if ((r = buf_reserve(&fs->out, sizeof o + n, &to)) < 0)
		return r;
	memcpy(to, &o, sizeof o);
	if (n > 0)
		memcpy(to + sizeof o, p, n);
	buf_commit(&fs->out, sizeof o + n);
	flush(fs);
	return 0;
}

/* -- interface ------------------------------------------------------------- */

struct jobfiles *
jobfiles_create(struct loop *l, struct reap *r)
{
	struct jobfiles	*fs;

	if ((fs = calloc(1, sizeof *fs)) == NULL)
		return NULL;
	fs->loop = l;
	fs->reap = r;
	fs->io = (struct loop_io){ .fd = -1, .fn = on_ready, .arg = fs };
	fs->stall.fn = on_stall;
	fs->child.fn = on_collected;
	fs->stall.arg = fs->child.arg = fs;
	buf_init(&fs->out, QUEUE_LIMIT);
	return fs;
}

void
jobfiles_destroy(struct jobfiles *fs)
{
	uint32_t	i;

	if (fs == NULL)
		return;
	for (i = 0; i < JOBFILE_FILES_MAX; i++)
		if (fs->file[i] != NULL)
			forget(fs, i);
	let_go(fs);
	reap_forget(&fs->child);
	free(fs);
}

bool
jobfiles_pending(const struct jobfiles *fs)
{
	return fs->io.fd != -1 && (fs->out.len > 0 || fs->opening > 0);
}

int
jobfile_open(struct jobfiles *fs, struct jobfile *f, const struct account *a,
    const char *id)
{
	uint32_t	slot;
	int		r;

	if (loop_now(fs->loop) < fs->pause_until_ms)
		return -EBUSY;
	for (slot = 0; slot < JOBFILE_FILES_MAX; slot++)
		if (fs->file[slot] == NULL && !fs->pending[slot])
			break;
	if (slot == JOBFILE_FILES_MAX)
		return -ENFILE;
	if (fs->io.fd == -1 && (r = start_child(fs, a)) < 0)
		return r;
	fs->opening++;
	fs->pending[slot] = true;
	if ((r = put_order(fs, JOBFILE_OPEN, slot, id, strlen(id))) < 0) {
		fs->opening--;
		fs->pending[slot] = false;
		end_if_idle(fs);
		return r;
	}
	f->files = fs;
	f->slot = slot;
	f->closed = false;
	fs->file[slot] = f;
	fs->nopen++;
	return 0;
}

void
jobfile_put(struct jobfile *f, const void *p, size_t n)
{
	struct jobfiles	*fs = f->files;
	int		 r;

	if (fs == NULL || f->closed)
		return;
	if ((r = put_order(fs, JOBFILE_DATA, f->slot, p, n)) < 0)
		fail(fs, f->slot, r);	/* a file with a hole is none */
	else if (fs->out.len >= JOBFILE_QUEUE_MAX)
		fs->full = true;
}

bool
jobfile_full(const struct jobfile *f)
{
	return f->files != NULL && f->files->full;
}

void
jobfile_close(struct jobfile *f)
{
	struct jobfiles	*fs = f->files;

	if (fs == NULL || f->closed)
		return;
	f->closed = true;
	(void)put_order(fs, JOBFILE_CLOSE, f->slot, NULL, 0);
	if (!fs->pending[f->slot])
		jobfile_forget(f);
}

void
jobfile_forget(struct jobfile *f)
{
	struct jobfiles	*fs = f->files;

	if (fs == NULL)
		return;
	if (!f->closed)
		(void)put_order(fs, JOBFILE_CLOSE, f->slot, NULL, 0);
	forget(fs, f->slot);
	end_if_idle(fs);
}
