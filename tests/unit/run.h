/*
 * run - spawns one program and keeps what came of it.
 */
#ifndef TESTS_UNIT_RUN_H
#define TESTS_UNIT_RUN_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc/child.h"
#include "tests/unit/failmalloc.h"
#include "tests/unit/spin.h"

/* For mkstemp() and mkdtemp(). */
#define TEMPLATE	"/tmp/k8shell-unit.XX" "XX" "XX"

#define TEXT_MAX	65536

/* The shim stays a copy of us. */
#define RUN_NO_SHIM	"/no/such/shim"

/* One spawned program: what it was told to be, and what came of it. */
struct run {
	struct spin	*spin;
	struct child	*child;
	bool		 started, over;
	bool		 emptied, sure;		/* below a shim */
	bool		 destroy_early;		/* in started() */
	enum child_stage stage;
	int		 err, cwd_err;
	char		 path[4096];
	struct reap_exit exit;
	int		 hup_at_exit;		/* of child_signal_group() */
	char		*text;			/* what read_all() got */
};

static inline void
on_started(void *arg, enum child_stage stage, int err, const char *path,
    int cwd_err)
{
	struct run	*run = arg;

	assert_false(run->started);
	run->started = true;
	run->stage = stage;
	run->err = err;
	run->cwd_err = cwd_err;
	snprintf(run->path, sizeof run->path, "%s", path != NULL ? path : "");
	if (run->destroy_early) {
		child_destroy(run->child);
		run->child = NULL;
	}
	spin_wake(run->spin);
}

static inline void
on_exited(void *arg, const struct reap_exit *e)
{
	struct run	*run = arg;

	assert_true(run->started);
	assert_false(run->over);
	run->over = true;
	run->exit = *e;
	assert_true(child_alive(run->child));
	run->hup_at_exit = child_signal_group(run->child, SIGHUP);
	spin_wake(run->spin);
}

static inline void
on_emptied(void *arg, bool sure)
{
	struct run	*run = arg;

	assert_true(run->over);
	assert_false(run->emptied);
	run->emptied = true;
	run->sure = sure;
	spin_wake(run->spin);
}

static const struct child_ops run_ops = {
	.started = on_started, .exited = on_exited, .emptied = on_emptied,
};

static const char *const env_plain[] = { "PATH=/usr/bin:/bin", "A=b", NULL };

/* A spec to start from; the two arrays must outlive the spawn. */
static inline struct child_spec
spec_of(const char *const *paths, const char *const *argv, enum child_io io)
{
	return (struct child_spec){ .paths = paths, .argv = argv,
		.envp = env_plain, .io = io, .cols = 80, .rows = 24,
		.user = { .may_gain = true } };
}

static inline void
run_spawn(struct run *run, struct spin *s, const struct child_spec *spec)
{
	*run = (struct run){ .spin = s };
	assert_int_equal(child_spawn(&run->child, s->loop, s->reap, spec,
	    &run_ops, run), 0);
}

/* To end of file, which a terminal spells EIO. */
static inline void
read_all(struct run *run, int fd)
{
	struct pollfd	p = { .fd = fd, .events = POLLIN };
	size_t		n = 0;
	ssize_t		r;

	free(run->text);
	assert_non_null(run->text = calloc(1, TEXT_MAX));
	while (n < TEXT_MAX - 1) {
		assert_int_equal(poll(&p, 1, SPIN_DEADLINE_MS), 1);
		if ((r = read(fd, run->text + n, TEXT_MAX - 1 - n)) > 0)
			n += (size_t)r;
		else if (r == 0 || errno == EIO)
			break;
		else
			assert_int_equal(errno, EAGAIN);
	}
	close(fd);
}

static inline void
run_end(struct run *run)
{
	spin_until(run->spin, &run->over);
	assert_false(child_alive(run->child));
	assert_int_equal(child_signal_group(run->child, SIGTERM), -ESRCH);
	child_destroy(run->child);
	free(run->text);
	run->text = NULL;
}

/* Runs to the end and keeps what it wrote to stdout in run->text. */
static inline void
run_all(struct run *run, struct spin *s, const struct child_spec *spec)
{
	int	fd;

	run_spawn(run, s, spec);
	spin_until(s, &run->started);
	assert_int_equal(run->stage, CHILD_OK);
	fd = spec->io == CHILD_PTY ? child_take_stdin(run->child) :
	    child_take_stdout(run->child);
	read_all(run, fd);
}

/* sh -c script, with its output in run->text. */
static inline void
run_script(struct run *run, struct spin *s, enum child_io io,
    const struct child_user *user, const char *script)
{
	static const char *const paths[] = { "/bin/sh", NULL };
	const char		*argv[] = { NULL, "-c", script, NULL };
	struct child_spec	 spec = spec_of(paths, argv, io);

	if (user != NULL)
		spec.user = *user;
	run_all(run, s, &spec);
}

/* The rest of the line that starts with key, blanks squeezed to one. */
static inline const char *
field(const char *text, const char *key)
{
	static char	 line[512];
	const char	*p = text;
	size_t		 n = 0;

	while (p != NULL && strncmp(p, key, strlen(key)) != 0)
		if ((p = strchr(p, '\n')) != NULL)
			p++;
	if (p == NULL)
		return "?";
	for (p += strlen(key); *p != '\n' && *p != '\0'; p++)
		if (*p != '\t' && *p != ' ')
			line[n++] = *p;
		else if (n > 0 && line[n - 1] != ' ')
			line[n++] = ' ';
	while (n > 0 && line[n - 1] == ' ')
		n--;
	line[n] = '\0';
	return line;
}

#define NEED_ROOT()							\
	do {								\
		if (geteuid() != 0) {					\
			print_message("skipped: needs root\n");		\
			skip();						\
		}							\
	} while (0)

/* Of a process that may not be our child. */
static inline bool
run_is_gone(void *pid)
{
	return kill(*(pid_t *)pid, 0) == -1 && errno == ESRCH;
}

/*
 * A FUSE mount whose server never answers is as hung as a dead NFS home.
 * Returns the server's end, or -1 where this can't be done here.
 */
static inline int
run_mount_hung(const char *dir)
{
	char	opts[128];
	int	fd;

	if (unshare(CLONE_NEWNS) == -1 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
	    (fd = open("/dev/fuse", O_RDWR | O_CLOEXEC)) == -1)
		return -1;
	snprintf(opts, sizeof opts, "fd=%d,rootmode=40000,user_id=0,"
	    "group_id=0,allow_other", fd);
	if (mount("hung", dir, "fuse", 0, opts) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

/* On a new folder, dir its template; skips the test where it can't be done. */
static inline int
run_hung_folder(char *dir)
{
	int	fd;

	assert_non_null(mkdtemp(dir));
	if ((fd = run_mount_hung(dir)) == -1) {
		rmdir(dir);
		print_message("skipped: no FUSE mount: %s\n", strerror(errno));
		skip();
	}
	return fd;
}

/* Every allocation fails once (T28), then none does. */
static inline void
run_out_of_memory(struct run *run, struct spin *s,
    const struct child_spec *spec)
{
	unsigned	n;
	int		r;

	for (n = 1; ; n++) {
		*run = (struct run){ .spin = s };
		failmalloc_arm(n);
		r = child_spawn(&run->child, s->loop, s->reap, spec, &run_ops,
		    run);
		if (!failmalloc_disarm())
			break;
		assert_int_equal(r, -ENOMEM);
	}
	assert_int_equal(r, 0);
}

/* With too few descriptors, up to `most` more than there are.  0: the last
 * one was started, and destroyed. */
static inline int
run_out_of_files(struct spin *s, const struct child_spec *spec, unsigned most)
{
	struct rlimit	 old, rl;
	struct child	*c;
	struct run	 run = { .spin = s };
	unsigned	 n;
	int		 r = -EMFILE;

	getrlimit(RLIMIT_NOFILE, &old);
	for (rl = old, n = 0; n < most; n++) {
		rl.rlim_cur = (rlim_t)s->fds - 1 + n;
		setrlimit(RLIMIT_NOFILE, &rl);
		r = child_spawn(&c, s->loop, s->reap, spec, &run_ops, &run);
		setrlimit(RLIMIT_NOFILE, &old);
		if (r == 0)
			child_destroy(c);
		else
			assert_int_equal(r, -EMFILE);
	}
	return r;
}

static inline bool
run_nobody_left(void *arg)
{
	siginfo_t	si;

	(void)arg;
	return waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == -1;
}

#define T(name)		cmocka_unit_test(name)
#define T_EACH(name)	cmocka_unit_test_prestate(name, &yes),		\
			cmocka_unit_test_prestate(name, &no)

#endif
