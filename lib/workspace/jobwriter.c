/*
 * The child of jobfile.h: takes orders, writes files.  May block as long as
 * the files do; nobody waits for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "loop/sig.h"
#include "proc/child.h"
#include "proc/launch.h"
#include "workspace/account.h"
#include "workspace/jobfile.h"
#include "workspace/jobfile_impl.h"

#define SOCKET_FD	3

struct file {
	int	fd;			/* -1: none */
	size_t	size;
	char	name[80];		/* "ID.log" */
};

struct writer {
	const struct account *account;
	int		 dir;		/* -1: not yet */
	struct file	 file[JOBFILE_FILES_MAX];
};

/* -- the user -------------------------------------------------------------- */

/*
 * We end when nobody can write to us any more, and not before: neither with
 * the terminal our daemon was started from, nor with those it asks to end.
 */
static void
outlive(void)
{
	const int	signos[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE,
			    SIGXFSZ };
	size_t		i;

	for (i = 0; i < ARRAY_LEN(signos); i++)
		signal(signos[i], SIG_IGN);
	(void)setsid();
}

static void
become(const struct account *a)
{
	const struct child_user	u = { .uid = a->uid, .gid = a->gid,
				    .groups = a->groups, .ngroups = a->ngroups,
				    .change = geteuid() == 0 };

	/* We hold a copy of the daemon's memory: not for the user (T8). */
	if (launch_become(&u) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		_exit(1);
}

/* -- files ----------------------------------------------------------------- */

/* Each folder on the way, the user's own business until ours begins. */
static int
open_dir(struct writer *w)
{
	char	path[PATH_MAX], *slash;
	int	fd;

	if (w->dir != -1)
		return 0;
	if (str_format(path, sizeof path, "%s" JOBFILE_DIR,
	    w->account->home) < 0)
		return -ENAMETOOLONG;
	slash = path + strlen(w->account->home);
	while ((slash = strchr(slash + 1, '/')) != NULL) {
		*slash = '\0';
		(void)mkdir(path, 0700);
		*slash = '/';
	}
	(void)mkdir(path, 0700);
	if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return -errno;
	w->dir = fd;
	return 0;
}

/* What is there becomes the older one. */
static int
open_new(struct writer *w, struct file *f)
{
	char	older[sizeof f->name + 2];

	(void)snprintf(older, sizeof older, "%s.1", f->name);
	(void)renameat(w->dir, f->name, w->dir, older);
	f->size = 0;
	f->fd = openat(w->dir, f->name, O_WRONLY | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	return f->fd == -1 ? -errno : 0;
}

static void
close_file(struct file *f)
{
	if (f->fd != -1)
		close(f->fd);
	f->fd = -1;
}

static int
write_all(struct file *f, const char *p, size_t n)
{
	ssize_t	r;

	while (n > 0) {
		if ((r = write(f->fd, p, n)) == -1 && errno != EINTR)
			return -errno;
		if (r > 0) {
			p += r;
			n -= (size_t)r;
			f->size += (size_t)r;
		}
	}
	return 0;
}

/* Over the limit it goes on in a new file. */
static int
put(struct writer *w, struct file *f, const char *p, size_t n)
{
	size_t	take;
	int	r;

	while (n > 0) {
		take = JOBFILE_SIZE_MAX - f->size;
		if (take > n)
			take = n;
		if ((r = write_all(f, p, take)) < 0)
			return r;
		p += take;
		n -= take;
		if (n == 0)
			break;
		close_file(f);
		if ((r = open_new(w, f)) < 0)
			return r;
	}
	return 0;
}

/* -- orders ---------------------------------------------------------------- */

static void
reply(const struct jobfile_order *o, int err)
{
	struct jobfile_reply	r = { .op = o->op, .slot = o->slot,
				    .err = err };

	if (write(SOCKET_FD, &r, sizeof r) != (ssize_t)sizeof r)
		_exit(1);
}

static void
take_all(void *p, size_t n)
{
	ssize_t	r;

	while (n > 0) {
		r = read(SOCKET_FD, p, n);
		if (r == 0 || (r == -1 && errno != EINTR))
			_exit(0);		/* nobody writes any more */
		if (r > 0) {
			p = (char *)p + r;
			n -= (size_t)r;
		}
	}
}

static int
open_file(struct writer *w, struct file *f, const char *id, size_t n)
{
	int	r;

	if (str_format(f->name, sizeof f->name, "%.*s.log", (int)n, id) < 0)
		return -ENAMETOOLONG;
	close_file(f);
	if ((r = open_dir(w)) < 0)
		return r;
	if ((r = open_new(w, f)) == -ENOENT) {
		close(w->dir);		/* somebody removed the folder */
		w->dir = -1;
		if ((r = open_dir(w)) == 0)
			r = open_new(w, f);
	}
	return r;
}

static void
obey(struct writer *w, const struct jobfile_order *o, const char *p)
{
	struct file	*f = &w->file[o->slot];
	int		 r;

	switch (o->op) {
	case JOBFILE_OPEN:
		reply(o, open_file(w, f, p, o->len));
		break;
	case JOBFILE_DATA:
		if (f->fd == -1 || (r = put(w, f, p, o->len)) == 0)
			break;
		close_file(f);
		reply(o, r);
		break;
	default:
		close_file(f);
		reply(o, 0);
		break;
	}
}

_Noreturn void
jobwriter_run(const struct account *a, int fd)
{
	struct jobfile_order	 o;
	struct writer		*w;
	char			*data;
	size_t			 i;

	sig_restore();
	outlive();
	(void)prctl(PR_SET_NAME, "k8shell-joblog", 0, 0, 0);
	if (launch_keep_only(fd, SOCKET_FD) < 0)
		_exit(1);
	become(a);
	umask(077);
	w = calloc(1, sizeof *w);
	data = malloc(JOBFILE_PIECE_MAX);
	if (w == NULL || data == NULL)
		_exit(1);
	w->account = a;
	w->dir = -1;
	for (i = 0; i < JOBFILE_FILES_MAX; i++)
		w->file[i].fd = -1;
	for (;;) {
		take_all(&o, sizeof o);
		if (o.slot >= JOBFILE_FILES_MAX || o.len > JOBFILE_PIECE_MAX)
			_exit(1);
		take_all(data, o.len);
		obey(w, &o, data);
	}
}
