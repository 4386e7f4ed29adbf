/*
 * orphans N MS - leaves N processes without a parent, says "ready", and once a
 * line comes lets all of them end, spread evenly over MS milliseconds.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define GATES	100

static _Noreturn void
wait_for_all(int fd)
{
	char	c;

	_exit(read(fd, &c, 1) == 0 ? 3 : 4);
}

static _Noreturn void
start(int gates[GATES][2], long n)
{
	pid_t	pid;
	long	i;
	int	k;

	for (k = 0; k < GATES; k++)
		close(gates[k][1]);
	for (i = 0; i < n; i++) {
		if ((pid = fork()) == -1)
			_exit(1);
		if (pid == 0)
			wait_for_all(gates[i % GATES][0]);
	}
	_exit(0);
}

int
main(int argc, char **argv)
{
	long	n = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
	long	ms = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
	int	gates[GATES][2], st = 1, k;
	pid_t	starter;

	signal(SIGHUP, SIG_IGN);
	for (k = 0; k < GATES; k++)
		if (pipe(gates[k]) == -1)
			return 1;
	if ((starter = fork()) == -1)
		return 1;
	if (starter == 0)
		start(gates, n);
	waitpid(starter, &st, 0);
	puts(st == 0 ? "ready" : "failed");
	fflush(stdout);
	for (k = 0; k < GATES; k++)
		close(gates[k][0]);
	getchar();
	for (k = 0; k < GATES; k++) {
		close(gates[k][1]);
		usleep((useconds_t)(ms * 1000 / GATES));
	}
	return st == 0 ? 0 : 1;
}
