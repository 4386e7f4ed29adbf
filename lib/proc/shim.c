/* See shim.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "proc/child.h"
#include "proc/launch.h"
#include "proc/reap.h"
#include "proc/shim.h"
#include "proc/treekill.h"

#define LINK_FD		3
#define ORPHANED	SIGTERM		/* the kernel's word that we died */
#define PASS_MS		20

struct shim {
	pid_t	parent, root;
	int	link;			/* -1: nobody listens */
	bool	told, taken;		/* about the program's end */
};

static void
ignore(int signo)
{
	(void)signo;
}

/*
 * Two signals are let in, but only while we sleep, and only to wake us: what
 * they would say is asked of the kernel.  All of it is lost by exec.
 */
static void
shut_ears(void)
{
	struct sigaction	sa = { .sa_handler = ignore };
	sigset_t		all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigaction(SIGCHLD, &sa, NULL);
	sigaction(ORPHANED, &sa, NULL);
	prctl(PR_SET_NAME, SHIM_NAME, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* True if there is somebody to be a shim for. */
static bool
become_shim(const struct shim *s)
{
	shut_ears();
	if (reap_become_subreaper() < 0 || setsid() == -1 || chdir("/") == -1)
		return false;
	prctl(PR_SET_PDEATHSIG, ORPHANED, 0, 0, 0);
	return getppid() == s->parent;
}

static void
tell(struct shim *s, const struct shim_report *r)
{
	if (send(s->link, r, sizeof *r, MSG_NOSIGNAL) != (ssize_t)sizeof *r)
		s->taken = true;	/* there is nobody to take it */
}

/* No standard ones either: they are the job's. */
static void
keep_link(struct shim *s)
{
	int	i;

	if (s->link != LINK_FD && dup2(s->link, LINK_FD) == -1)
		_exit(LAUNCH_EXIT);
	s->link = LINK_FD;
	for (i = 0; i < LINK_FD; i++)
		close(i);
	launch_close_from(LINK_FD + 1);
}

static void
collect(pid_t pid)
{
	siginfo_t	si;

	while (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG) == -1 &&
	    errno == EINTR)
		continue;
}

/* True once nobody is left. */
static bool
collect_all(struct shim *s)
{
	struct shim_report	r = { .event = SHIM_EXITED, .pid = s->root };
	siginfo_t		si;

	for (;;) {
		si.si_pid = 0;
		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == -1)
			return errno == ECHILD;
		if (si.si_pid == 0)
			return false;
		r.signaled = si.si_code != CLD_EXITED;
		r.value = si.si_status;
		if (si.si_pid == s->root && !s->told)
			tell(s, &r);
		s->told |= si.si_pid == s->root;
		/* Others wait behind it: an answer takes us one turn. */
		if (si.si_pid == s->root && !s->taken)
			return false;
		collect(si.si_pid);
	}
}

static void
obey(struct shim *s)
{
	char	order;
	ssize_t	n;

	while ((n = recv(s->link, &order, 1, MSG_DONTWAIT)) > 0)
		if (order == SHIM_TAKEN)
			s->taken = true;
		else if (order == SHIM_KILL && !s->taken)
			kill(s->root, SIGKILL);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	close(s->link);
	s->link = -1;
	s->taken = true;
}

static void
sleep_until_news(struct shim *s, const struct timespec *limit)
{
	struct pollfd	p = { .fd = s->link, .events = POLLIN };
	sigset_t	mask;

	sigfillset(&mask);
	sigdelset(&mask, SIGCHLD);
	sigdelset(&mask, ORPHANED);
	if (ppoll(&p, 1, limit, &mask) > 0)
		obey(s);
}

static _Noreturn void
die(struct shim *s)
{
	static const struct timespec	pass = { .tv_nsec = PASS_MS * 1000000 };
	const struct tree_scope		below = { .shim = getpid() };
	int				left = SHIM_DEATH_MS / PASS_MS;

	close(s->link);
	s->link = -1;
	s->taken = true;
	do {
		treekill_now(&below, -1);
		if (collect_all(s))
			break;
		sleep_until_news(s, &pass);
	} while (--left > 0);
	_exit(0);
}

/* The rest of the program's start is the same with and without us. */
static _Noreturn void
be_program(const struct shim *s, const struct child_spec *spec,
    struct launch_plan *p, const struct launch_fds *fds)
{
	struct shim_report	r = { .event = SHIM_STARTED,
				    .pid = getpid() };

	if (send(s->link, &r, sizeof r, MSG_NOSIGNAL) != (ssize_t)sizeof r)
		_exit(LAUNCH_EXIT);
	launch_run(spec, p, fds);
}

static _Noreturn void
watch(struct shim *s)
{
	while (!collect_all(s)) {
		if (getppid() != s->parent)
			die(s);
		sleep_until_news(s, NULL);
	}
	_exit(0);
}

/*
 * What was forked holds a copy of all our memory, keys included, for as long
 * as the job lives; a new program holds next to nothing.  Below us everything
 * stays as it is.  Returns if there is no such program.
 */
static void
renew(const struct shim *s, const char *program)
{
	char	name[] = SHIM_NAME, parent[16], root[16];
	char	*argv[] = { name, parent, root, NULL }, *envp[] = { NULL };

	if (str_format(parent, sizeof parent, "%d", (int)s->parent) < 0 ||
	    str_format(root, sizeof root, "%d", (int)s->root) < 0 ||
	    fcntl(s->link, F_SETFD, 0) == -1)
		return;
	execve(program, argv, envp);
}

_Noreturn void
shim_run(const struct child_spec *spec, struct launch_plan *p,
    const struct launch_fds *fds, int link, pid_t parent)
{
	struct shim	s = { .parent = parent, .link = link };

	if (!become_shim(&s))
		_exit(LAUNCH_EXIT);
	if ((s.root = fork()) == -1)
		launch_give_up(fds->status, errno);
	if (s.root == 0)
		be_program(&s, spec, p, fds);
	keep_link(&s);
	renew(&s, spec->shim);
	watch(&s);
}

int
shim_main(int argc, char **argv)
{
	struct shim	s = { .link = LINK_FD };
	struct stat	st;
	uint32_t	parent, root;

	if (argc != 3 || str_to_u32(argv[1], INT32_MAX, &parent) < 0 ||
	    str_to_u32(argv[2], INT32_MAX, &root) < 0 || root < 2 ||
	    fstat(LINK_FD, &st) == -1 || !S_ISSOCK(st.st_mode)) {
		fprintf(stderr, "%s: only the daemon starts this\n", SHIM_NAME);
		return 2;
	}
	s.parent = (pid_t)parent;
	s.root = (pid_t)root;
	shut_ears();
	watch(&s);
}
