/*
 * Bystanders: they take over the numbers of a tree's dead and tell if anybody
 * takes them for one of it.
 */
#include <grp.h>

#include "base/str.h"
#include "tests/bench/fell.h"

#define DECOYS		8
#define DECOYS_AIMED	16
#define DECOY_US	3000
#define SIT_MAX		20000		/* ms; longer than any grace here */
#define STOP_MAX	4000		/* ms, for the last of them */
#define LAST_PID	"/proc/sys/kernel/ns_last_pid"

static struct decoys	*decoys;	/* for the signal handler */

static void
decoy_hit(int signo)
{
	(void)signo;
	__atomic_fetch_add(&decoys->hits, 1, __ATOMIC_SEQ_CST);
	_exit(0);
}

static void
become(const struct fell *f)
{
	if (f->drop && (setgroups(0, NULL) != 0 ||
	    setresgid(f->uid, f->uid, f->uid) != 0 ||
	    setresuid(f->uid, f->uid, f->uid) != 0))
		fell_die("uid");
}

static unsigned
running(const struct decoys *sh)
{
	return __atomic_load_n(&sh->round, __ATOMIC_SEQ_CST);
}

/* Whoever has such a number keeps it until the kill is over. */
static void
sit(struct decoys *sh)
{
	unsigned	round = running(sh), i;

	if (round == 0 || sh->member[getpid()] != round)
		return;
	__atomic_fetch_add(&sh->reused, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&sh->sitting, 1, __ATOMIC_SEQ_CST);
	for (i = 0; i < SIT_MAX && running(sh) == round; i++)
		usleep(1000);
}

_Noreturn static void
decoy(const struct fell *f)
{
	static const int	signos[] = { SIGTERM, SIGCONT, SIGHUP };
	sigset_t		none;
	size_t			i;

	for (i = 0; i < ARRAY_LEN(signos); i++)
		signal(signos[i], decoy_hit);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	become(f);
	sit(f->sh);
	usleep(DECOY_US);
	_exit(0);
}

/* The next number the kernel gives is that of somebody who is gone. */
static void
aim(struct decoys *sh, int last_pid, int *next)
{
	char	text[16];
	int	i, n = sh->ntargets, len;
	pid_t	pid;

	for (i = 0; i < n && running(sh) != 0; i++) {
		pid = sh->target[(*next)++ % n];
		if (kill(pid, 0) == 0 || errno != ESRCH)
			continue;
		len = str_format(text, sizeof text, "%d", (int)pid - 1);
		if (len < 0 || pwrite(last_pid, text, (size_t)len, 0) != len)
			fell_die(LAST_PID);
		return;
	}
}

/* Whoever doesn't end as a decoy does was hit. */
_Noreturn static void
churn(const struct fell *f, int last_pid, pid_t parent)
{
	struct decoys	*sh = f->sh;
	int		 status, alive = 0, next = 0;
	int		 most = last_pid >= 0 ? DECOYS_AIMED : DECOYS;
	pid_t		 pid;

	alarm(3600);
	decoys = sh;
	while ((!sh->stop && getppid() == parent) || alive > 0) {
		for (; alive < most && !sh->stop; alive++, sh->born++) {
			if (last_pid >= 0)
				aim(sh, last_pid, &next);
			if (fork() == 0)
				decoy(f);
		}
		if ((pid = waitpid(-1, &status, WUNTRACED)) == -1)
			break;
		if (WIFSTOPPED(status))
			kill(pid, SIGKILL);
		else
			alive--;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			__atomic_fetch_add(&sh->hits, 1, __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&sh->over, true, __ATOMIC_SEQ_CST);
	_exit(0);
}

void
fell_decoys_start(struct fell *f)
{
	pid_t	parent = getpid();
	int	last_pid = -1;

	f->sh = mmap(NULL, sizeof *f->sh, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (f->sh == MAP_FAILED)
		fell_die("mmap");
	f->sh->over = !f->decoys;
	if (f->aim && (last_pid = open(LAST_PID, O_WRONLY | O_CLOEXEC)) < 0)
		fell_die(LAST_PID);
	if (f->decoys && fork() == 0)
		churn(f, last_pid, parent);
	if (last_pid >= 0)
		close(last_pid);
	become(f);
	/* Or a program of ours could not open what is ours in /proc. */
	prctl(PR_SET_DUMPABLE, 1);
}

void
fell_decoys_begin(struct fell *f, unsigned round)
{
	struct decoys	*sh = f->sh;
	int		 i, n = f->g.sh->npids;

	sh->ntargets = n < GROVE_PIDS_MAX ? n : GROVE_PIDS_MAX;
	for (i = 0; i < sh->ntargets; i++) {
		sh->target[i] = f->g.sh->pid[i];
		sh->member[sh->target[i]] = round;
	}
	sh->sitting = 0;
	__atomic_store_n(&sh->round, round, __ATOMIC_SEQ_CST);
}

void
fell_decoys_end(struct fell *f)
{
	__atomic_store_n(&f->sh->round, 0, __ATOMIC_SEQ_CST);
	f->taken += f->sh->sitting > 0;
}

void
fell_decoys_stop(struct fell *f)
{
	int	i;

	f->sh->stop = true;
	for (i = 0; i < STOP_MAX && !f->sh->over; i++)
		usleep(1000);
	if (!f->sh->over)
		fell_die("a decoy is still there");
}
