/*
 * echo - round trip of a key press through two remote shells, in turn.
 *
 *   echo COUNT PROGRAM ARG... -- PROGRAM ARG...
 *
 * Each program (kssh, ssh) is to open an interactive shell on a terminal of
 * the other side; we write to its standard input and read its standard output.
 * A block of key presses here, then a block there: what slows the machine
 * down for a moment hits both.  Prints median and 99th percentile in us of
 * the first and of the second.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK		100
#define WARM_UP		500
#define QUIET_MS	300	/* nothing more comes from the shell's start */
#define PATIENCE_MS	20000

extern char **environ;

struct far {
	pid_t	 pid;
	int	 in, out;
	double	*us;
};

static void
die(const char *what)
{
	fprintf(stderr, "echo: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double
now_us(void)
{
	struct timespec	t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void
start(struct far *f, char **argv)
{
	posix_spawn_file_actions_t	 acts;
	int				 in[2], out[2];

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		die("pipe");
	posix_spawn_file_actions_init(&acts);
	posix_spawn_file_actions_adddup2(&acts, in[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&acts, out[1], STDOUT_FILENO);
	if ((errno = posix_spawnp(&f->pid, argv[0], &acts, NULL, argv,
	    environ)) != 0)
		die(argv[0]);
	posix_spawn_file_actions_destroy(&acts);
	close(in[0]);
	close(out[1]);
	f->in = in[1];
	f->out = out[0];
}

/* Bytes that came within ms; 0: none. */
static size_t
take(const struct far *f, char *p, size_t n, int ms)
{
	struct pollfd	pfd = { .fd = f->out, .events = POLLIN };
	ssize_t		got;

	if (poll(&pfd, 1, ms) <= 0)
		return 0;
	if ((got = read(f->out, p, n)) <= 0)
		die("the session ended");
	return (size_t)got;
}

/* Quotes keep the terminal's own echo of the line from looking like it. */
static void
become_cat(const struct far *f)
{
	static const char	line[] =
				    "stty raw -echo; echo REA''DY; exec cat\n";
	static char		text[65536];
	size_t			len = 0, n;

	if (write(f->in, line, sizeof line - 1) != (ssize_t)sizeof line - 1)
		die("write");
	do {
		n = take(f, text + len, sizeof text - 1 - len, PATIENCE_MS);
		if (n == 0)
			die("no prompt");
		len += n;
		text[len] = '\0';
	} while (strstr(text, "READY") == NULL);
	while (take(f, text, sizeof text, QUIET_MS) > 0)
		;
}

static double
press(const struct far *f, char key)
{
	double	t = now_us();
	char	back;

	if (write(f->in, &key, 1) != 1)
		die("write");
	if (take(f, &back, 1, PATIENCE_MS) != 1 || back != key)
		die("wrong echo");
	return now_us() - t;
}

static int
by_size(const void *a, const void *b)
{
	const double	*x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
press_block(struct far *f, size_t at, size_t count)
{
	size_t	i;

	for (i = at; i < at + BLOCK && i < count; i++)
		f->us[i] = press(f, (char)('a' + i % 26));
}

static void
open_session(struct far *f, char **argv, size_t count)
{
	size_t	i;

	if ((f->us = calloc(count, sizeof *f->us)) == NULL)
		die("memory");
	start(f, argv);
	become_cat(f);
	for (i = 0; i < WARM_UP; i++)
		press(f, 'w');
}

static void
close_session(struct far *f, size_t count)
{
	kill(f->pid, SIGTERM);
	waitpid(f->pid, NULL, 0);
	qsort(f->us, count, sizeof *f->us, by_size);
	printf("%.2f %.2f ", f->us[count / 2], f->us[count * 99 / 100]);
	free(f->us);
}

/* Position of "--", which becomes the end of the first command. */
static int
split(int argc, char **argv)
{
	int	i;

	for (i = 2; i < argc; i++)
		if (strcmp(argv[i], "--") == 0) {
			argv[i] = NULL;
			return i;
		}
	return argc;
}

int
main(int argc, char **argv)
{
	struct far	 f[2];
	size_t		 count, i;
	int		 second = split(argc, argv) + 1;

	count = second < argc ? strtoul(argv[1], NULL, 10) : 0;
	if (count == 0) {
		fprintf(stderr, "usage: echo COUNT COMMAND... -- COMMAND...\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	open_session(&f[0], argv + 2, count);
	open_session(&f[1], argv + second, count);
	for (i = 0; i < count; i += BLOCK) {
		press_block(&f[0], i, count);
		press_block(&f[1], i, count);
	}
	close_session(&f[0], count);
	close_session(&f[1], count);
	printf("\n");
	return 0;
}
