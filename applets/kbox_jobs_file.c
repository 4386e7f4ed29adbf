/*
 * What a job said before all that the daemon still remembers: from its log
 * file, which only we may read, as the user we run for.
 *
 * The daemon says where its oldest event begins in all that the job has said;
 * the file has the same bytes in the same order.  It begins anew every
 * JOBFILE_SIZE_MAX bytes, so its length and how much was said until now tell
 * where it stands.
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
#define LATE_MS		50		/* what was said is still on its way */
#define LATE_MAX_MS	2000

struct logfile {
	const char	*path;
	int		 older, newer;	/* -1: none */
	uint64_t	 base;		/* where newer begins */
	size_t		 size;		/* of newer, when opened */
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

static const struct value *
ask(struct kbox *k, const char *id)
{
	struct kbox_request	 q = { .method = "GET", .quiet = true };
	struct kbox_answer	 a;

	q.target = kbox_route(k, "jobs", id, "");
	return q.target != NULL && kbox_call(k, &q, &a) == KBOX_OK ?
	    value_parse(k, &a) : NULL;
}

/* What was said is asked for last: then the file can't have more. */
static bool
find(struct kbox *k, const char *id, struct logfile *f)
{
	const struct value	*v = ask(k, id);
	uint64_t		 said;

	*f = (struct logfile){ .path = value_text(v, "log_file"),
	    .older = -1, .newer = -1 };
	if (f->path[0] == '\0' || !open_both(k, f) ||
	    (v = ask(k, id)) == NULL)
		return false;
	if ((said = value_count(v, "bytes_out")) < f->size)
		return false;		/* it is not what we think */
	f->base = (said - f->size) / JOBFILE_SIZE_MAX * JOBFILE_SIZE_MAX;
	if (f->base == 0 && f->older != -1) {
		close(f->older);
		f->older = -1;
	}
	return true;
}

/* ---- what is in them ---- */

/* The file is full: the next one, if it is there and ours is just before. */
static bool
go_on(struct kbox *k, struct logfile *f)
{
	struct logfile	next = { .path = f->path };
	struct stat	ours, before;

	if (!open_both(k, &next) || next.older == -1 ||
	    fstat(f->newer, &ours) == -1 ||
	    fstat(next.older, &before) == -1 ||
	    ours.st_ino != before.st_ino) {
		close_both(&next);
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

static void
copy(struct kbox *k, struct logfile *f, struct kbox_copy *c)
{
	char	*piece = kbox_alloc(k, PIECE);
	size_t	 n;
	int	 waited = 0;

	while (c->at < c->to && waited < LATE_MAX_MS) {
		n = c->to - c->at < PIECE ? (size_t)(c->to - c->at) : PIECE;
		if ((n = read_at(k, f, c->at, piece, n)) == 0) {
			(void)poll(NULL, 0, LATE_MS);
			waited += LATE_MS;
			continue;
		}
		waited = 0;
		if (!c->put(c->arg, piece, n)) {
			c->stopped = true;
			return;
		}
		c->at += n;
	}
}

bool
kbox_joblog_copy(struct kbox *k, const char *id, struct kbox_copy *c)
{
	struct logfile	f;
	uint64_t	first;

	if (!find(k, id, &f)) {
		close_both(&f);
		return false;
	}
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
