/*
 * spawnrate - a command again and again, one after the other.
 *
 *   spawnrate COUNT PROGRAM ARG...	prints runs per second
 *
 * What the command says is thrown away.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double
now(void)
{
	struct timespec	t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	posix_spawn_file_actions_t quiet;
	unsigned long	count, i;
	double		start;
	pid_t		pid;
	int		status;

	count = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
	if (count == 0) {
		fprintf(stderr, "usage: spawnrate COUNT PROGRAM ARG...\n");
		return 2;
	}
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	start = now();
	for (i = 0; i < count; i++) {
		if ((errno = posix_spawnp(&pid, argv[2], &quiet, NULL,
		    argv + 2, environ)) != 0 || waitpid(pid, &status, 0) < 0) {
			fprintf(stderr, "spawnrate: %s: %s\n", argv[2],
			    strerror(errno));
			return 1;
		}
		if (status != 0) {
			fprintf(stderr, "spawnrate: %s: wait status %d\n",
			    argv[2], status);
			return 1;
		}
	}
	printf("%.2f\n", (double)count / (now() - start));
	return 0;
}
