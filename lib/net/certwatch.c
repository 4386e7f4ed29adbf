/* See certwatch.h. */
#include <sys/inotify.h>
#include <sys/stat.h>

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "loop/loop.h"
#include "net/certwatch.h"
#include "net/tls.h"

#define SIGNS	(IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | \
	    IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)

/* Two equal ones: the file behind the path is the same and unchanged. */
struct stamp {
	dev_t		 dev;
	ino_t		 ino;
	off_t		 size;
	struct timespec	 mtime;
};

struct file {
	char		*path;
	struct stamp	 stamp;		/* zero: not there */
	int		 wd;		/* watch of its folder, -1: none */
};

struct certwatch {
	struct loop	*loop;		/* borrowed */
	struct loop_io	 io;
	struct loop_timer timer;
	struct loop_task free_task;
	int		 fd;		/* inotify, -1: none */
	struct file	 cert, key;
	uint64_t	 delay_ms;
	bool		 signalled;	/* the timer is at the short delay */
	bool		 dead;
	certwatch_fn	*fn;
	void		*arg;
};

static struct stamp
stamp_of(const char *path)
{
	struct stamp	s;
	struct stat	st;

	memset(&s, 0, sizeof s);
	if (stat(path, &st) == 0) {
		s.dev = st.st_dev;
		s.ino = st.st_ino;
		s.size = st.st_size;
		s.mtime = st.st_mtim;
	}
	return s;
}

/* True if the file is another one than before. */
static bool
renewed(struct file *f)
{
	struct stamp	now = stamp_of(f->path);
	bool		same;

	same = now.dev == f->stamp.dev && now.ino == f->stamp.ino &&
	    now.size == f->stamp.size &&
	    now.mtime.tv_sec == f->stamp.mtime.tv_sec &&
	    now.mtime.tv_nsec == f->stamp.mtime.tv_nsec;
	f->stamp = now;
	return !same;
}

/* -- watching -------------------------------------------------------------- */

static void
watch_folder(struct certwatch *w, struct file *f)
{
	const char	*slash = strrchr(f->path, '/');
	char		 dir[PATH_MAX];
	int		 n;

	if (slash == NULL)
		n = str_format(dir, sizeof dir, ".");
	else
		n = str_format(dir, sizeof dir, "%.*s/",
		    (int)(slash - f->path), f->path);
	f->wd = n < 0 ? -1 :
	    inotify_add_watch(w->fd, dir, SIGNS | IN_ONLYDIR);
}

/* Adding a folder again is cheap and finds the one that is there now. */
static void
watch(struct certwatch *w)
{
	if (w->fd == -1)
		return;
	watch_folder(w, &w->cert);
	watch_folder(w, &w->key);
}

static void
schedule(struct certwatch *w)
{
	bool	 watched = w->cert.wd != -1 && w->key.wd != -1;

	loop_timer_set(w->loop, &w->timer, loop_now(w->loop) +
	    (watched ? CERTWATCH_RECHECK_MS : CERTWATCH_POLL_MS));
}

/* The first sign starts the delay; more of them do not prolong it. */
static void
on_ready(void *arg, unsigned ready)
{
	_Alignas(struct inotify_event) char
			  events[16 * (sizeof(struct inotify_event) + 64)];
	struct certwatch *w = arg;

	(void)ready;
	/* What it was does not matter: the files are compared. */
	if (read(w->fd, events, sizeof events) <= 0 || w->signalled)
		return;
	w->signalled = true;
	loop_timer_set(w->loop, &w->timer, loop_now(w->loop) + w->delay_ms);
}

static void
reload(struct certwatch *w)
{
	struct tls_identity	*id;
	const char		*why = NULL;
	int			 r;

	r = tls_identity_load(&id, w->cert.path, w->key.path, &why);
	if (r < 0) {
		log_error("certwatch", "%s: %s%s%s; the old certificate stays",
		    w->cert.path, why, r == -EINVAL ? "" : ": ",
		    r == -EINVAL ? "" : strerror(-r));
		return;
	}
	w->fn(w->arg, id);
	tls_identity_unref(id);
}

static void
on_timer(void *arg)
{
	struct certwatch	*w = arg;
	bool			 cert, key;

	w->signalled = false;
	watch(w);
	cert = renewed(&w->cert);
	key = renewed(&w->key);
	if (cert || key)
		reload(w);
	if (!w->dead)
		schedule(w);
}

/* -- life ------------------------------------------------------------------ */

static void
on_free(void *arg)
{
	struct certwatch	*w = arg;

	free(w->cert.path);
	free(w->key.path);
	free(w);
}

static void
start_inotify(struct certwatch *w)
{
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->fd == -1)
		return;
	w->io = (struct loop_io){ .fd = w->fd, .fn = on_ready, .arg = w };
	if (loop_watch(w->loop, &w->io, LOOP_READ) < 0) {
		close(w->fd);
		w->fd = -1;
	}
}

int
certwatch_create(struct certwatch **out, struct loop *l, const char *cert_file,
    const char *key_file, uint64_t delay_ms, certwatch_fn *fn, void *arg)
{
	struct certwatch	*w;

	if ((w = calloc(1, sizeof *w)) == NULL)
		return -ENOMEM;
	w->loop = l;
	w->fn = fn;
	w->arg = arg;
	w->delay_ms = delay_ms > 0 ? delay_ms : CERTWATCH_DELAY_MS;
	w->timer = (struct loop_timer){ .fn = on_timer, .arg = w };
	w->free_task = (struct loop_task){ .fn = on_free, .arg = w };
	w->cert = (struct file){ .path = strdup(cert_file), .wd = -1 };
	w->key = (struct file){ .path = strdup(key_file), .wd = -1 };
	if (w->cert.path == NULL || w->key.path == NULL) {
		on_free(w);
		return -ENOMEM;
	}
	start_inotify(w);
	watch(w);		/* first, so that no change falls between */
	renewed(&w->cert);
	renewed(&w->key);
	schedule(w);
	*out = w;
	return 0;
}

void
certwatch_destroy(struct certwatch *w)
{
	if (w == NULL || w->dead)
		return;
	w->dead = true;
	loop_timer_clear(&w->timer);
	if (w->fd != -1) {
		loop_forget(&w->io);
		close(w->fd);
	}
	loop_later(w->loop, &w->free_task);
}
