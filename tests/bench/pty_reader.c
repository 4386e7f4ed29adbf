/*
 * pty_reader - the least a terminal can cost: cat writes a file into a raw
 * PTY, we read the master and throw it away.
 *
 *   pty_reader FILE		prints MB/s
 */
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define CHUNK	(64 * 1024)

static double
now(void)
{
	struct timespec	t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Waits for a byte, so that the clock starts with nothing but cat ahead. */
static void
writer(const char *file)
{
	char	go;

	if (read(STDIN_FILENO, &go, 1) == 1)
		execlp("cat", "cat", file, (char *)NULL);
	_exit(127);
}

int
main(int argc, char **argv)
{
	static char	chunk[CHUNK];
	struct termios	raw = { 0 };
	struct stat	st;
	double		start, took;
	ssize_t		n;
	off_t		total = 0;
	pid_t		pid;
	int		master, status;

	if (argc != 2 || stat(argv[1], &st) < 0) {
		fprintf(stderr, "usage: pty_reader FILE\n");
		return 2;
	}
	cfmakeraw(&raw);
	raw.c_cflag |= CREAD;
	if ((pid = forkpty(&master, NULL, &raw, NULL)) < 0) {
		perror("forkpty");
		return 1;
	}
	if (pid == 0)
		writer(argv[1]);
	start = now();
	if (write(master, "\n", 1) != 1)
		return 1;
	while (total < st.st_size &&
	    (n = read(master, chunk, sizeof chunk)) > 0)
		total += n;
	took = now() - start;
	waitpid(pid, &status, 0);
	if (total != st.st_size) {
		fprintf(stderr, "pty_reader: %lld of %lld bytes\n",
		    (long long)total, (long long)st.st_size);
		return 1;
	}
	printf("%.3f\n", (double)total / took / 1e6);
	return 0;
}
