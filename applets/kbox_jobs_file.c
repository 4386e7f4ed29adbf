/*
 * What a job said before all that the daemon still remembers: from its log
 * file, which only we may read, as the user we run for.
 *
 * The daemon says where its oldest event begins in all that the job has said;
 * the file has the same bytes in the same order.  It begins anew every
 * JOBFILE_SIZE_MAX bytes, so its length and how much was said until now tell
 * where it stands: as long as the two are of the same moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "applets/kbox_jobs.h"
#include "applets/kbox_value.h"
#include "base/str.h"
#include "workspace/job.h"
#include "workspace/jobfile.h"

#define PIECE		(64u * 1024)
#define OPEN_TRIES	3		/* it may be begun anew meanwhile */
#define FIND_TRIES	5
#define LATE_MS		50		/* what was said is still on its way */
#define LATE_MAX_MS	2000
/* The same in bytes, with room for what the kernel has on its way. */
#define LATE_MAX	(4u * JOBFILE_QUEUE_MAX)

struct logfile {
	const char	*path;
	int		 older, newer;	/* -1: none */
	uint64_t	 base;		/* where newer begins */
	size_t		 size;		/* of newer, when opened */
	bool		 lost;		/* what comes next is overwritten */
};

/* ---- which files there are ---- */

static int
open_plain(const char *path, struct stat *st)
{
	int	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd != -1 && fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	if (fd != -1)
		close(fd);
	return -1;
}

static void
close_both(struct logfile *f)
{
	if (f->older != -1)
		close(f->older);
	if (f->newer != -1)
		close(f->newer);
	f->older = f->newer = -1;
}

static bool
open_both(struct kbox *k, struct logfile *f)
{
	const char	*older = kbox_printf(k, "%s.1", f->path);
	struct stat	 a, b;
	int		 tries;

	f->older = f->newer = -1;
	for (tries = 0; tries < OPEN_TRIES; tries++) {
		if ((f->newer = open_plain(f->path, &a)) == -1)
			return false;
		f->older = open_plain(older, &b);
		if (f->older == -1 || a.st_ino != b.st_ino)
			break;
		close_both(f);
	}
	if (f->older != -1 && b.st_size != JOBFILE_SIZE_MAX) {
		close(f->older);	/* of an earlier job */
		f->older = -1;
	}
	f->size = f->newer != -1 ? (size_t)a.st_size : 0;
	return f->newer != -1 && a.st_size <= JOBFILE_SIZE_MAX;
}

static bool
are_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/*
 * Where newer begins, of what had been said some time between its opening and
 * now.  It is at its path still, so it was all that time: then the file had at
 * least f->size bytes, and at most those it has now and those that are late.
 * False unless only one beginning fits.
 */
static bool
place(struct logfile *f, uint64_t said)
{
	struct stat	now, there;
	uint64_t	size;

	if (fstat(f->newer, &now) == -1 || lstat(f->path, &there) == -1 ||
	    !are_same(&now, &there))
		return false;
	size = (uint64_t)now.st_size;
	if (said < f->size || size < f->size || size > JOBFILE_SIZE_MAX ||
	    size - f->size + LATE_MAX >= JOBFILE_SIZE_MAX)
		return false;
	f->base = (said - f->size) / JOBFILE_SIZE_MAX * JOBFILE_SIZE_MAX;
	return said <= f->base + size + LATE_MAX;
}

static bool
find(struct kbox *k, const char *id, struct logfile *f)
{
	const struct value	*v = kbox_job_get(k, id);
	int			 tries;

	*f = (struct logfile){ .path = value_text(v, "log_file"),
	    .older = -1, .newer = -1 };
	if (f->path[0] == '\0')
		return false;
	for (tries = 0; v != NULL && tries < FIND_TRIES; tries++) {
		if (open_both(k, f) && (v = kbox_job_get(k, id)) != NULL &&
		    place(f, value_count(v, "bytes_out"))) {
			if (f->base == 0 && f->older != -1) {
				close(f->older);	/* an earlier job's */
				f->older = -1;
			}
			return true;
		}
		close_both(f);
	}
	return false;
}

/* ---- what is in them ---- */

static bool
is_same(int a, int b)
{
	struct stat	sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && are_same(&sa, &sb);
}

/*
 * The file is full: the next one, if it is there and ours is just before.
 * Neither of the two is ours if it was begun anew twice.
 */
static bool
go_on(struct kbox *k, struct logfile *f)
{
	struct logfile	next = { .path = f->path };

	if (!open_both(k, &next) || is_same(next.newer, f->newer)) {
		close_both(&next);
		return false;
	}
	if (!is_same(next.older, f->newer)) {
		close_both(&next);
		f->lost = true;
		return false;
	}
	close_both(f);
	next.base = f->base + JOBFILE_SIZE_MAX;
	*f = next;
	return true;
}

/* Bytes of all that was said, from `at' on; 0: not (yet) there. */
static size_t
read_at(struct kbox *k, struct logfile *f, uint64_t at, char *p, size_t n)
{
	ssize_t	r;

	if (at == f->base + JOBFILE_SIZE_MAX && !go_on(k, f))
		return 0;
	if (at >= f->base) {
		r = pread(f->newer, p, n, (off_t)(at - f->base));
	} else {
		if (n > f->base - at)
			n = (size_t)(f->base - at);
		r = pread(f->older, p, n, (off_t)(at + JOBFILE_SIZE_MAX -
		    f->base));
	}
	return r > 0 ? (size_t)r : 0;
}

/* What is missing may be late; false: nobody wants it any more. */
static bool
wait_late(const struct kbox_wake *wake)
{
	struct pollfd	p = { .fd = wake->fd, .events = wake->events };

	return poll(&p, 1, LATE_MS) <= 0 || wake->fn(wake->arg);
}

static void
copy(struct kbox *k, struct logfile *f, struct kbox_copy *c)
{
	char	*piece = kbox_alloc(k, PIECE);
	size_t	 n;
	int	 waited = 0;

	while (c->at < c->to && !f->lost && !c->stopped &&
	    waited < LATE_MAX_MS) {
		n = c->to - c->at < PIECE ? (size_t)(c->to - c->at) : PIECE;
		if ((n = read_at(k, f, c->at, piece, n)) == 0) {
			c->stopped = !wait_late(c->wake);
			waited += LATE_MS;
			continue;
		}
		waited = 0;
		c->stopped = !c->put(c->arg, piece, n);
		c->at += n;
	}
}

bool
kbox_joblog_copy(struct kbox *k, const char *id, struct kbox_copy *c)
{
	struct logfile	f;
	uint64_t	first;

	if (!find(k, id, &f))
		return false;
	first = f.older != -1 ? f.base - JOBFILE_SIZE_MAX : f.base;
	if (c->at < first) {
		c->missing = (first < c->to ? first : c->to) - c->at;
		c->at += c->missing;
	}
	copy(k, &f, c);
	close_both(&f);
	return true;
}

bool
kbox_joblog_forgotten(struct kbox *k, const char *id, struct kbox_copy *c)
{
	const char	*home = getenv("HOME");
	struct logfile	 f = { .older = -1 };
	struct stat	 st;

	if (home == NULL || home[0] != '/' || !job_id_valid(id))
		return false;
	f.path = kbox_printf(k, "%s" JOBFILE_DIR "/%s.log", home, id);
	if ((f.newer = open_plain(f.path, &st)) == -1)
		return false;
	c->path = f.path;
	c->to = (uint64_t)st.st_size;
	copy(k, &f, c);
	close_both(&f);
	return true;
}
