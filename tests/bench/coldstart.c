/*
 * coldstart - from fork to the first accepted connection.
 *
 *   coldstart CORE PORT PROGRAM ARG...	  prints microseconds
 *
 * PROGRAM runs on CORE and is to listen on 127.0.0.1:PORT; a connection is
 * tried every 0.2 ms.  It is killed afterwards.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STEP_NS		200000
#define PATIENCE_US	10e6

static double
now_us(void)
{
	struct timespec	t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void
run(int core, char **argv)
{
	cpu_set_t	set;
	int		null;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	sched_setaffinity(0, sizeof set, &set);
	if ((null = open("/dev/null", O_RDWR)) >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
	execvp(argv[0], argv);
	_exit(127);
}

static bool
accepts(uint16_t port)
{
	struct sockaddr_in	a = {
		.sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int			fd, r;

	if ((fd = socket(AF_INET, SOCK_STREAM, 0)) < 0)
		return false;
	r = connect(fd, (struct sockaddr *)&a, sizeof a);
	close(fd);
	return r == 0;
}

int
main(int argc, char **argv)
{
	const struct timespec	step = { .tv_nsec = STEP_NS };
	double			start, took;
	uint16_t		port;
	pid_t			pid;
	bool			up = false;

	if (argc < 4) {
		fprintf(stderr, "usage: coldstart CORE PORT PROGRAM ARG...\n");
		return 2;
	}
	port = (uint16_t)strtoul(argv[2], NULL, 10);
	if (accepts(port)) {
		fprintf(stderr, "coldstart: port %u is taken\n", port);
		return 1;
	}
	start = now_us();
	if ((pid = fork()) == 0)
		run((int)strtol(argv[1], NULL, 10), argv + 3);
	if (pid < 0)
		return 1;
	do {
		nanosleep(&step, NULL);
		up = accepts(port);
		took = now_us() - start;
	} while (!up && took < PATIENCE_US && waitpid(pid, NULL, WNOHANG) == 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (!up) {
		fprintf(stderr, "coldstart: %s never listened\n", argv[3]);
		return 1;
	}
	printf("%.1f\n", took);
	return 0;
}
