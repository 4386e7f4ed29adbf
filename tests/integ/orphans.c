/*
 * orphans N - leaves N processes without a parent, says "ready", and lets all
 * of them end at the same moment, once a line comes.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void
wait_for_all(int fd)
{
	char	c;

	_exit(read(fd, &c, 1) == 0 ? 3 : 4);
}

int
main(int argc, char **argv)
{
	long	n = argc > 1 ? strtol(argv[1], NULL, 10) : 0, i;
	int	p[2], st = 1;
	pid_t	starter, pid;

	signal(SIGHUP, SIG_IGN);
	if (pipe(p) == -1 || (starter = fork()) == -1)
		return 1;
	if (starter == 0) {
		close(p[1]);
		for (i = 0; i < n; i++) {
			if ((pid = fork()) == -1)
				_exit(1);
			if (pid == 0)
				wait_for_all(p[0]);
		}
		_exit(0);
	}
	waitpid(starter, &st, 0);
	puts(st == 0 ? "ready" : "failed");
	fflush(stdout);
	getchar();
	close(p[0]);
	close(p[1]);
	return st == 0 ? 0 : 1;
}
