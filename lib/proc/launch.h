/*
 * launch - the child's side of starting a program: from fork to exec.
 *
 * Everything that needs memory is prepared before the fork; after it only
 * system calls are made, in an order that matters (T19): signals, session and
 * terminal, descriptors, limits, capabilities, groups, ids, and only then the
 * user's directory and the user's program.
 */
#ifndef PROC_LAUNCH_H
#define PROC_LAUNCH_H

#include <stddef.h>

struct child_spec;
struct child_user;

#define LAUNCH_PATH_DIRS_MAX	256	/* of PATH; more are not looked at */
#define LAUNCH_EXIT		126	/* status of a child that didn't exec */

/* One file to try. */
struct launch_file {
	char		*login;		/* "-" and the path, one string */
	const char	*asked;		/* its tail: the caller's word */
};

/* One allocation; argv's strings are borrowed, and only for the child. */
struct launch_plan {
	size_t		  nfiles;
	struct launch_file *files;
	char		**argv;		/* argv[0] is filled in per file */
	const char	 *arg0;		/* NULL: path; "-": "-" + path */
};

/*
 * Absolute paths stand for themselves; a bare name becomes one file for each
 * absolute folder of PATH in the child's environment.  NULL: out of memory.
 */
struct launch_plan *launch_plan_create(const struct child_spec *spec);
void	 launch_plan_destroy(struct launch_plan *p);	/* NULL is allowed */
const char *launch_file_path(const struct launch_file *f);

/*
 * What the child writes into the status pipe: before each try (stage
 * CHILD_OK), and once more when it gave up.  The pipe closes on exec, so the
 * last report before end of file is the truth.
 */
struct launch_report {
	int	stage;			/* enum child_stage */
	int	err;
	int	file;			/* index into the plan */
	int	cwd_err;
};

struct launch_fds {
	int	io[3];			/* 0, 1, 2; may be equal */
	int	status;			/* write end */
};

_Noreturn void launch_run(const struct child_spec *spec,
	    struct launch_plan *p, const struct launch_fds *fds);

/* For who would have run it: says CHILD_FORK, and ends. */
_Noreturn void launch_give_up(int status, int err);

/* For other children of ours: first and all above. */
void	 launch_close_from(int first);

/*
 * Nothing stays open but fd, as that number, and 0 to as - 1, which lead
 * nowhere.  0 or -errno.
 */
int	 launch_keep_only(int fd, int as);

/*
 * Groups, ids, capabilities, and a look whether it is true (T19).  0 or -errno:
 * then there is nothing to do but to exit.
 */
int	 launch_become(const struct child_user *u);

#endif
