/*
 * The socket of the workspace API: who could replace it, whose group it is in,
 * and what to do when there can't be one (T10; weaknesses 7.1.4 and 7.2 of
 * spec/rest-kbox.md).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "net/listen.h"
#include "svc/rest_impl.h"

#define PATH_LEN	512	/* more than a socket's address can hold */

/* Missing folders of path; an image made from scratch has no /var/run. */
static void
make_dirs(char *path)
{
	char	*slash;

	for (slash = strchr(path + 1, '/'); slash != NULL;
	    slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0755);
		*slash = '/';
	}
}

/*
 * Who can write to the folder can put another socket in our place, and is
 * then told what we would have been told.
 */
static int
check_dir(char *path, const char **why)
{
	char		*slash = strrchr(path, '/');
	struct stat	 st;
	int		 r;

	if (slash == NULL)
		r = stat(".", &st);
	else if (slash == path)
		r = stat("/", &st);
	else {
		*slash = '\0';
		r = stat(path, &st);
		*slash = '/';
	}
	if (r < 0)
		return -errno;
	if ((st.st_uid != 0 && st.st_uid != geteuid()) ||
	    (st.st_mode & 0022) != 0) {
		*why = "its folder can be written by others";
		return -EPERM;
	}
	return 0;
}

/* The group by way of fsgid, so that there is no moment with another one. */
static int
listen_as_group(struct rest *r)
{
	const struct rest_options	*o = &r->opt;
	int				 old, res;

	if (!o->set_group)
		return listen_unix(&r->listener, r->loop, o->path, o->mode,
		    rest_accept, r);
	old = setfsgid(o->gid);
	res = listen_unix(&r->listener, r->loop, o->path, o->mode,
	    rest_accept, r);
	(void)setfsgid((gid_t)old);
	return res;
}

static int
try_listen(struct rest *r, const char **why)
{
	char	path[PATH_LEN];
	int	res;

	*why = NULL;
	if (str_format(path, sizeof path, "%s", r->opt.path) < 0)
		return -ENAMETOOLONG;
	if (r->opt.make_dir && path[0] == '/')
		make_dirs(path);
	if ((res = check_dir(path, why)) < 0)
		return res;
	res = listen_as_group(r);
	if (res == -EEXIST)
		*why = "something that is not a socket of ours is there";
	else if (res == -ENAMETOOLONG)
		*why = "the path is too long for a socket";
	else if (res == -EADDRINUSE)
		*why = "another process listens there";
	return res;
}

void
rest_listen(struct rest *r)
{
	char		 text[sizeof r->why];
	const char	*why;
	int		 res = try_listen(r, &why);

	if (res == 0) {
		r->why[0] = '\0';
		log_info("rest", "serving the workspace API on %s",
		    r->opt.path);
		return;
	}
	(void)snprintf(text, sizeof text, "%s",
	    why != NULL ? why : strerror(-res));
	if (strcmp(text, r->why) != 0)
		log_warn("rest", "no workspace API, kbox will not work: %s: "
		    "%s; trying again", r->opt.path, text);
	memcpy(r->why, text, sizeof r->why);
	loop_timer_set(r->loop, &r->retry, loop_now(r->loop) + r->retry_ms);
	if (r->retry_ms < REST_RETRY_MAX_MS)
		r->retry_ms *= 2;
}
