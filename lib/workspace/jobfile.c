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
	size_t		 nfiles, opening, closing;	/* no reply yet */
	/* A slot is free once nobody has it and the child owes no reply. */
	struct slot {
		struct jobfile	*file;
		bool		 opening, closing;
	} slot[JOBFILE_FILES_MAX];
};

/* -- the child ------------------------------------------------------------- */

static void
let_go(struct jobfiles *fs)
{
	uint32_t	i;

	loop_forget(&fs->io);
	if (fs->io.fd != -1)
		close(fs->io.fd);
	fs->io.fd = -1;
	loop_timer_clear(&fs->stall);
	buf_finish(&fs->out);
	fs->full = false;
	fs->opening = fs->closing = 0;
	for (i = 0; i < JOBFILE_FILES_MAX; i++)
		fs->slot[i].opening = fs->slot[i].closing = false;
}

static void
forget(struct jobfiles *fs, uint32_t slot)
{
	fs->slot[slot].file->files = NULL;
	fs->slot[slot].file = NULL;
	fs->nfiles--;
}

static void
fail(struct jobfiles *fs, uint32_t slot, int err)
{
	struct jobfile	*f = fs->slot[slot].file;

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
	struct jobfile	*f;
	uint32_t	 i;

	if (!fs->full || fs->out.len > JOBFILE_QUEUE_MAX / 2)
		return;
	fs->full = false;
	for (i = 0; i < JOBFILE_FILES_MAX; i++)
		if ((f = fs->slot[i].file) != NULL)
			f->writable(f->arg);
}

/* The last file is closed and everything is out: the child may go. */
static void
end_if_idle(struct jobfiles *fs)
{
	if (fs->io.fd == -1 || fs->nfiles > 0 || fs->closing > 0 ||
	    jobfiles_pending(fs))
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
settle(struct jobfiles *fs, bool *owed, size_t *all)
{
	if (*owed)
		--*all;
	*owed = false;
	watch_stall(fs, true);
}

/* Also after the close: what was still on the way may have failed. */
static void
take_reply(struct jobfiles *fs, const struct jobfile_reply *r)
{
	struct slot	*s = &fs->slot[r->slot];

	if (r->op == JOBFILE_OPEN)
		settle(fs, &s->opening, &fs->opening);
	else if (r->op == JOBFILE_CLOSE)
		settle(fs, &s->closing, &fs->closing);
	if (r->err < 0)
		fail(fs, r->slot, r->err);
	else if (s->file != NULL && r->op == JOBFILE_CLOSE)
		forget(fs, r->slot);
	else if (s->file != NULL)
		s->file->told(s->file->arg, 0);
}

/* Replies come in one piece each, they are that short. */
static void
read_replies(struct jobfiles *fs)
{
	struct jobfile_reply	r;

	while (fs->io.fd != -1 && recv(fs->io.fd, &r, sizeof r,
	    MSG_DONTWAIT) == (ssize_t)sizeof r)
		if (r.slot < JOBFILE_FILES_MAX)
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
		if (fs->slot[i].file != NULL)
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

static struct slot *
find_slot(struct jobfiles *fs)
{
	struct slot	*s;

	for (s = fs->slot; s < fs->slot + JOBFILE_FILES_MAX; s++)
		if (s->file == NULL && !s->opening && !s->closing)
			return s;
	return NULL;
}

int
jobfile_open(struct jobfiles *fs, struct jobfile *f, const struct account *a,
    const char *id)
{
	struct slot	*s;
	uint32_t	 n;
	int		 r;

	if (loop_now(fs->loop) < fs->pause_until_ms)
		return -EBUSY;
	if ((s = find_slot(fs)) == NULL)
		return -ENFILE;
	if (fs->io.fd == -1 && (r = start_child(fs, a)) < 0)
		return r;
	n = (uint32_t)(s - fs->slot);
	fs->opening++;
	s->opening = true;
	if ((r = put_order(fs, JOBFILE_OPEN, n, id, strlen(id))) < 0) {
		fs->opening--;
		s->opening = false;
		end_if_idle(fs);
		return r;
	}
	*f = (struct jobfile){ .files = fs, .slot = n, .told = f->told,
	    .writable = f->writable, .arg = f->arg };
	s->file = f;
	fs->nfiles++;
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
	if (put_order(fs, JOBFILE_CLOSE, f->slot, NULL, 0) < 0) {
		forget(fs, f->slot);	/* the slot's next one closes it */
		end_if_idle(fs);
		return;
	}
	fs->slot[f->slot].closing = true;
	fs->closing++;
}

void
jobfile_forget(struct jobfile *f)
{
	jobfile_close(f);
	if (f->files == NULL)
		return;
	forget(f->files, f->slot);
}
