/*
 * child - fork and exec one program as one user.
 *
 * The child is a session leader with its own PTY or its own pipes, default
 * signals, no inherited descriptor (T18), only the environment it is given,
 * and the ids it is given: setgroups, setresgid, setresuid, verified (T19).
 * It enters its directory after the drop; a missing one falls back to "/" and
 * says so, a hung one hangs the child, never us: whether exec worked is
 * learned from a pipe, asynchronously.
 */
#ifndef PROC_CHILD_H
#define PROC_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "loop/loop.h"
#include "proc/reap.h"
#include "proc/tty.h"

#define CHILD_START_MS	5000	/* fork to exec; a hung home is given up */

struct cgjob;
struct rlimit;

struct child_user {
	uint32_t	 uid, gid;
	const gid_t	*groups;
	size_t		 ngroups;
	bool		 change;	/* false: keep our own (not root) */
	bool		 may_gain;	/* sudo right: keep bounding set, no
					 * no_new_privs; so it is for uid 0 */
};

enum child_io {
	CHILD_PTY,		/* one terminal */
	CHILD_STREAMS,		/* stdin, stdout and stderr apart: pipes */
	CHILD_MERGED,		/* stderr goes where stdout goes */
	CHILD_OUTPUT		/* /dev/null as stdin, the others as STREAMS */
};

struct child_spec {
	/* Tried in order until one exists and executes: absolute, or a bare
	 * name looked up on PATH of envp. */
	const char	*const *paths;		/* NULL ends */
	/* argv[0] is always there, and NULL for "as the path", or "-" for
	 * "-" + path (login shell); NULL ends the rest. */
	const char	*const *argv;
	const char	*const *envp;
	const char	*cwd;			/* NULL: "/" */
	struct child_user user;
	enum child_io	 io;
	uint16_t	 cols, rows;		/* PTY, set before exec */
	bool		 strict_cwd;		/* cwd or nothing: no "/" */
	const struct rlimit *nofile;		/* RLIMIT_NOFILE; NULL: ours */
	uint64_t	 mark;			/* mark.h; 0: none */
	const struct cgjob *cgroup;		/* entered if possible */
	/* What has shim_main(), to run below: see shim.h, it costs a second
	 * fork.  NULL: without a shim. */
	const char	*shim;
};

/* Where starting failed; the text for the user is child_stage_name(). */
enum child_stage {
	CHILD_OK, CHILD_FORK, CHILD_TTY, CHILD_IDS, CHILD_EXEC, CHILD_TIMEOUT,
	CHILD_CWD			/* strict_cwd: err is about that */
};

struct child;

struct child_ops {
	/*
	 * exec worked (stage CHILD_OK; path is the program that runs; cwd_err
	 * is 0, or why "/" was used instead) or did not (err is the errno,
	 * path the one of spec->paths it is about, or NULL).
	 */
	void	(*started)(void *arg, enum child_stage stage, int err,
		    const char *path, int cwd_err);
	/* Collected; at this moment still a zombie, see reap.h.  After
	 * started(), always, once; late if the kernel holds a killed child
	 * on a hung file system. */
	void	(*exited)(void *arg, const struct reap_exit *e);
	/*
	 * With a shim: the last process below it is gone.  After exited(),
	 * once; also if somebody killed the shim (sure is false): then
	 * nobody knows, and child_shim() is 0 from that moment on, which may
	 * be long before the program itself ends.  NULL: don't care.
	 */
	void	(*emptied)(void *arg, bool sure);
};

/*
 * *out is live until child_destroy().  0, or -errno with nothing started
 * (EAGAIN, ENOMEM, EMFILE; of tty_open() for CHILD_PTY); exec failures come
 * through started().  spec is not needed afterwards.
 */
int	 child_spawn(struct child **out, struct loop *l, struct reap *r,
	    const struct child_spec *spec, const struct child_ops *ops,
	    void *arg);

/* Our ends, non-blocking, owned by the child until taken: -1 afterwards or
 * if none. */
int	 child_take_stdin(struct child *c);	/* PTY: the master */
int	 child_take_stdout(struct child *c);	/* PTY: -1 */
int	 child_take_stderr(struct child *c);

/* The program's; with a shim 0 until it is known, before started(). */
pid_t	 child_pid(const struct child *c);
pid_t	 child_shim(const struct child *c);	/* 0: none, or gone */
bool	 child_alive(const struct child *c);	/* not collected yet */
const char *child_tty(const struct child *c);	/* "/dev/pts/3" or "" */

/*
 * To the process group (the child is its leader) while its number is surely
 * its own: from exited() on it is -ESRCH.  Also SIGCONT after SIGHUP, SIGINT,
 * SIGQUIT and SIGTERM, so stopped members notice.  Before started() it goes to
 * the child alone; as long as child_pid() is 0, only SIGKILL does.
 */
int	 child_signal_group(struct child *c, int signo);

/*
 * Callbacks stop; a live child is left running and still collected, unless
 * it has not started: then nobody would ever know of it, and it is killed.
 * A shim stays until nobody is left below it.  Safe from any callback.
 */
void	 child_destroy(struct child *c);	/* NULL is allowed */

const char *child_stage_name(enum child_stage s);

#endif
