/* See launch.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"
#include "loop/sig.h"
#include "proc/cgjob.h"
#include "proc/child.h"
#include "proc/launch.h"
#include "proc/mark.h"

#define STATUS_FD	3		/* right behind the standard three */
#define CAP_MAX		64		/* the kernel says where the end is */
#define PATH_DEFAULT	"/usr/local/bin:/usr/bin:/bin"

/* -- before the fork ------------------------------------------------------- */

static const char *
find_path(const char *const *envp)
{
	for (; *envp != NULL; envp++)
		if (str_prefix(*envp, "PATH="))
			return *envp + strlen("PATH=");
	return PATH_DEFAULT;
}

/* No folder holds the empty name or one over NAME_MAX: let exec say so. */
static bool
is_bare(const char *name)
{
	return *name != '\0' && strchr(name, '/') == NULL &&
	    strlen(name) <= NAME_MAX;
}

/*
 * Cuts the next folder off a PATH.  Relative ones, the empty one included,
 * are skipped: they would mean whatever the working directory holds.
 */
static size_t
next_folder(const char **path, const char **dir)
{
	size_t	n;

	while (**path != '\0') {
		*dir = *path;
		n = strcspn(*path, ":");
		*path += n + ((*path)[n] == ':');
		if (**dir == '/' && n < PATH_MAX)
			return n;
	}
	return 0;
}

struct builder {
	struct launch_plan *plan;	/* NULL: only count */
	char		   *mem;
	size_t		    nfiles, bytes;
};

static void
add_file(struct builder *b, const char *asked, const char *dir, size_t n)
{
	size_t	len = strlen(asked), need = 1 + n + 1 + len + 1;
	char	*p = b->mem;

	if (b->plan != NULL) {
		b->plan->files[b->nfiles].login = p;
		*p++ = '-';
		memcpy(p, dir, n);
		p += n;
		if (n > 0)
			*p++ = '/';
		b->plan->files[b->nfiles].asked = p;
		memcpy(p, asked, len + 1);
		b->mem += need;
	}
	b->nfiles++;
	b->bytes += need;
}

static void
add_bare(struct builder *b, const char *name, const char *path)
{
	const char	*dir;
	size_t		 n, dirs = 0;

	while (dirs < LAUNCH_PATH_DIRS_MAX &&
	    (n = next_folder(&path, &dir)) > 0) {
		add_file(b, name, dir, n);
		dirs++;
	}
}

static void
build(struct builder *b, const struct child_spec *spec)
{
	const char	*path = find_path(spec->envp);
	const char	*const *p;

	for (p = spec->paths; *p != NULL; p++)
		if (is_bare(*p))
			add_bare(b, *p, path);
		else
			add_file(b, *p, "", 0);
}

struct launch_plan *
launch_plan_create(const struct child_spec *spec)
{
	struct builder	   b = { 0 };
	struct launch_plan *p;
	size_t		   argc, vec, i;

	for (argc = 1; spec->argv[argc] != NULL; argc++)
		continue;
	build(&b, spec);
	vec = (argc + 1) * sizeof *p->argv;
	p = malloc(sizeof *p + b.nfiles * sizeof *p->files + vec + b.bytes);
	if (p == NULL)
		return NULL;
	p->nfiles = b.nfiles;
	p->files = (struct launch_file *)(p + 1);
	p->argv = (char **)(p->files + p->nfiles);
	p->arg0 = spec->argv[0];
	for (i = 0; i <= argc; i++)	/* execve() takes no const */
		p->argv[i] = (char *)(uintptr_t)spec->argv[i];
	b = (struct builder){ .plan = p, .mem = (char *)p->argv + vec };
	build(&b, spec);
	return p;
}

void
launch_plan_destroy(struct launch_plan *p)
{
	free(p);
}

const char *
launch_file_path(const struct launch_file *f)
{
	return f->login + 1;
}

/* -- after it -------------------------------------------------------------- */

static void
report(int stage, int err, size_t file, int cwd_err)
{
	struct launch_report	r = { .stage = stage, .err = err,
				    .file = (int)file, .cwd_err = cwd_err };

	if (write(STATUS_FD, &r, sizeof r) != (ssize_t)sizeof r)
		_exit(LAUNCH_EXIT);	/* nobody is waiting for us */
}

static _Noreturn void
give_up(int stage, int err, size_t file, int cwd_err)
{
	report(stage, err, file, cwd_err);
	_exit(LAUNCH_EXIT);
}

_Noreturn void
launch_give_up(int status, int err)
{
	struct launch_report	r = { .stage = CHILD_FORK, .err = err };

	if (write(status, &r, sizeof r) != (ssize_t)sizeof r)
		_exit(LAUNCH_EXIT);
	_exit(LAUNCH_EXIT);
}

/* For kernels before 5.9. */
static void
close_each(int first)
{
	struct dirent	*e;
	uint32_t	 fd;
	DIR		*d;

	if ((d = opendir("/proc/self/fd")) == NULL) {
		for (fd = (uint32_t)sysconf(_SC_OPEN_MAX);
		    fd-- > (uint32_t)first; )
			close((int)fd);
		return;
	}
	while ((e = readdir(d)) != NULL)
		if (str_to_u32(e->d_name, INT_MAX, &fd) == 0 &&
		    (int)fd >= first && (int)fd != dirfd(d))
			close((int)fd);
	closedir(d);
}

void
launch_close_from(int first)
{
	if (syscall(SYS_close_range, first, ~0u, 0) == -1)
		close_each(first);
}

int
launch_keep_only(int fd, int as)
{
	int	null, i;

	if (fd != as && dup2(fd, as) == -1)
		return -errno;
	launch_close_from(as + 1);
	if ((null = open("/dev/null", O_RDWR)) == -1)
		return -errno;
	for (i = 0; i < as; i++)
		if (dup2(null, i) == -1)
			return -errno;
	/* It may be one of them, if one was closed. */
	if (null > as)
		close(null);
	return 0;
}

/* Out of the way of the descriptors that get fixed numbers. */
static int
lift(int fd)
{
	return fd > STATUS_FD ? fd : fcntl(fd, F_DUPFD_CLOEXEC, STATUS_FD + 1);
}

/* 0, 1, 2 and the status pipe; nothing else survives (T18). */
static void
take_fds(const struct launch_fds *fds)
{
	int	io[3], status, i;

	status = lift(fds->status);
	for (i = 0; i < 3; i++)
		io[i] = lift(fds->io[i]);
	if (status == -1 || dup3(status, STATUS_FD, O_CLOEXEC) == -1)
		_exit(LAUNCH_EXIT);
	for (i = 0; i < 3; i++)
		if (io[i] == -1 || dup2(io[i], i) == -1)
			give_up(CHILD_FORK, errno, 0, 0);
	launch_close_from(STATUS_FD + 1);
}

/*
 * Without the sudo right nothing the child runs can gain more than it has.
 * Root keeps its set: without it, it would not be root.
 */
static int
shed_capabilities(const struct child_user *u)
{
	unsigned long	cap;

	if (u->may_gain || (u->change ? u->uid : geteuid()) == 0)
		return 0;
	/* Fails without CAP_SETPCAP; no_new_privs alone does it then. */
	for (cap = 0; cap < CAP_MAX; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == -1)
			break;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ? -errno : 0;
}

/*
 * A user namespace may forbid this to its root (user_namespaces(7)).  If he
 * stays who he is, he keeps the groups he has, and gains nothing.
 */
static int
set_groups(const struct child_user *u, bool *kept)
{
	*kept = false;
	if (setgroups(u->ngroups, u->groups) == 0)
		return 0;
	if (errno != EPERM || getuid() != u->uid || getgid() != u->gid)
		return -errno;
	*kept = true;
	return 0;
}

/* 0, or -EPERM if the kernel says we are not who we asked to be. */
static int
verify_ids(const struct child_user *u, bool any_groups)
{
	uid_t	ruid, euid, suid;
	gid_t	rgid, egid, sgid;

	if (getresuid(&ruid, &euid, &suid) == -1 ||
	    getresgid(&rgid, &egid, &sgid) == -1)
		return -errno;
	if (ruid != u->uid || euid != u->uid || suid != u->uid ||
	    rgid != u->gid || egid != u->gid || sgid != u->gid ||
	    (!any_groups && getgroups(0, NULL) != (int)u->ngroups))
		return -EPERM;
	return 0;
}

int
launch_become(const struct child_user *u)
{
	bool	kept;
	int	r;

	if ((r = shed_capabilities(u)) < 0 || !u->change)
		return r;
	if ((r = set_groups(u, &kept)) < 0)
		return r;
	if (setresgid(u->gid, u->gid, u->gid) == -1 ||
	    setresuid(u->uid, u->uid, u->uid) == -1)
		return -errno;
	return verify_ids(u, kept);
}

/* 0, or why it is "/" instead. */
static int
enter(const char *cwd)
{
	int	err;

	if (cwd != NULL && chdir(cwd) == 0)
		return 0;
	err = cwd != NULL ? errno : 0;
	if (chdir("/") == -1 && err == 0)
		err = errno;
	return err;
}

/* Whether another file may still do after this failure. */
static bool
try_next(int err)
{
	switch (err) {
	case ENOENT:
	case ENOTDIR:
	case EACCES:
	case ELOOP:
	case ENAMETOOLONG:
	case ENODEV:
	case ESTALE:
		return true;
	default:
		return false;
	}
}

/* Absent is the weaker reason: "found, but may not be run" is remembered. */
static bool
says_more(int err, int than)
{
	return than == 0 || ((than == ENOENT || than == ENOTDIR) &&
	    err != ENOENT && err != ENOTDIR);
}

static _Noreturn void
exec_first(struct launch_plan *p, const char *const *envp, int cwd_err)
{
	char	**env = (char **)(uintptr_t)envp;
	size_t	  i, at = 0;
	int	  err = 0, e;

	for (i = 0; i < p->nfiles; i++) {
		const char	*path = launch_file_path(&p->files[i]);

		p->argv[0] = p->files[i].login;
		if (p->arg0 == NULL)
			p->argv[0]++;
		else if (strcmp(p->arg0, "-") != 0)
			p->argv[0] = (char *)(uintptr_t)p->arg0;
		report(CHILD_OK, 0, i, cwd_err);
		execve(path, p->argv, env);
		e = errno;
		if (says_more(e, err)) {
			err = e;
			at = i;
		}
		if (!try_next(e))
			break;
	}
	give_up(CHILD_EXEC, err != 0 ? err : ENOENT, at, cwd_err);
}

_Noreturn void
launch_run(const struct child_spec *spec, struct launch_plan *p,
    const struct launch_fds *fds)
{
	int	cwd_err, r;

	sig_restore();
	if (spec->cgroup != NULL)
		(void)cgjob_join(spec->cgroup->procs);
	take_fds(fds);
	if (setsid() == -1)
		give_up(CHILD_FORK, errno, 0, 0);
	if (spec->io == CHILD_PTY && ioctl(STDIN_FILENO, TIOCSCTTY, 0) == -1)
		give_up(CHILD_TTY, errno, 0, 0);
	umask(S_IWGRP | S_IWOTH);
	if (spec->nofile != NULL)
		setrlimit(RLIMIT_NOFILE, spec->nofile);
	(void)mark_put(spec->mark);
	if ((r = launch_become(&spec->user)) < 0)
		give_up(CHILD_IDS, -r, 0, 0);
	if ((cwd_err = enter(spec->cwd)) != 0 && spec->strict_cwd)
		give_up(CHILD_CWD, cwd_err, 0, cwd_err);
	exec_first(p, spec->envp, cwd_err);
}
