/*
 * orphans - children that lose their parent and end, for whoever is PID 1.
 *
 *   orphans COUNT	prints what PID 1 spent on them, in CPU microseconds
 *
 * To be run in the PID namespace, with its /proc.  A generation of them waits
 * for its parent to end, then all end at once.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GENERATION	250
#define WAIT_MS		20000

static void
die(const char *what)
{
	fprintf(stderr, "orphans: %s: %s\n", what, strerror(errno));
	exit(1);
}

static unsigned long long
spent_ns(void)
{
	unsigned long long	ns = 0;
	FILE			*f = fopen("/proc/1/schedstat", "r");

	if (f == NULL || fscanf(f, "%llu", &ns) != 1)
		die("/proc/1/schedstat");
	fclose(f);
	return ns;
}

/* Zombies count: PID 1 has to be done with them. */
static int
processes(void)
{
	struct dirent	*e;
	DIR		*d = opendir("/proc");
	int		 n = 0;

	if (d == NULL)
		die("/proc");
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] >= '1' && e->d_name[0] <= '9';
	closedir(d);
	return n;
}

static void
await(int n)
{
	int	i;

	for (i = 0; i < WAIT_MS; i++) {
		if (processes() <= n)
			return;
		usleep(1000);
	}
	errno = ETIMEDOUT;
	die("zombies");
}

static void
generation(int n)
{
	int	gate[2], status;
	char	c;
	pid_t	pid;

	if (pipe(gate) == -1)
		die("pipe");
	if ((pid = fork()) == 0) {
		close(gate[1]);
		while (n-- > 0)
			if (fork() == 0)
				_exit(read(gate[0], &c, 1) == 0 ? 0 : 1);
		_exit(0);
	}
	close(gate[0]);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		die("fork");
	close(gate[1]);
}

int
main(int argc, char **argv)
{
	unsigned long long	before;
	long			left = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
	int			others = processes();

	before = spent_ns();
	for (; left > 0; left -= GENERATION) {
		generation(left < GENERATION ? (int)left : GENERATION);
		await(others);
	}
	printf("%.1f\n", (double)(spent_ns() - before) / 1000);
	return 0;
}
