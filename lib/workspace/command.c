#include "workspace/command.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "workspace/account.h"

/* The path the platform's clients ask for; our own binary answers to it. */
#define SFTP_PATH	"/usr/local/bin/sftp"
#define LAST_SHELL	"/bin/sh"

/*
 * State of the word splitter: POSIX quoting, no expansion (spec/grpc.md 3.7).
 * Words are written into one block behind the pointer table; the text only
 * ever shrinks, so the block is as long as the input.
 */
struct splitter {
	char	**words;
	size_t	 n;
	char	*out;
	bool	 inside;	/* a word has begun */
};

static void
word_begin(struct splitter *sp)
{
	if (!sp->inside) {
		sp->words[sp->n++] = sp->out;
		sp->inside = true;
	}
}

static void
word_put(struct splitter *sp, char c)
{
	word_begin(sp);
	*sp->out++ = c;
}

static void
word_end(struct splitter *sp)
{
	if (sp->inside)
		*sp->out++ = '\0';
	sp->inside = false;
}

/* Behind an opening quote; returns what follows the closing one, or NULL. */
static const char *
quoted(struct splitter *sp, const char *s, char quote)
{
	word_begin(sp);
	for (; *s != quote; s++) {
		if (*s == '\0')
			return NULL;
		if (quote == '"' && *s == '\\' && s[1] != '\0' &&
		    strchr("\"\\$`\n", s[1]) != NULL) {
			s++;
			if (*s == '\n')
				continue;
		}
		word_put(sp, *s);
	}
	return s + 1;
}

static bool
split(struct splitter *sp, const char *s)
{
	while (*s != '\0') {
		if (strchr(" \t\n", *s) != NULL) {
			word_end(sp);
			s++;
		} else if (*s == '#' && !sp->inside) {
			s += strcspn(s, "\n");
		} else if (*s == '\'' || *s == '"') {
			if ((s = quoted(sp, s + 1, *s)) == NULL)
				return false;
		} else if (*s == '\\') {
			if (*++s == '\0')
				return false;
			if (*s != '\n')
				word_put(sp, *s);
			s++;
		} else {
			word_put(sp, *s++);
		}
	}
	word_end(sp);
	return true;
}

char **
command_words(const char *s, size_t *n)
{
	struct splitter	 sp = { 0 };
	size_t		 len = strlen(s), max = len / 2 + 2;

	/* A word takes at least one byte and one separator. */
	sp.words = malloc(max * sizeof *sp.words + len + 2);
	if (sp.words == NULL)
		return NULL;
	sp.out = (char *)(sp.words + max);
	if (!split(&sp, s)) {
		free(sp.words);
		return NULL;
	}
	sp.words[sp.n] = NULL;
	*n = sp.n;
	return sp.words;
}

static bool
is_blank(const char *s)
{
	return s[strspn(s, " \t\r\n")] == '\0';
}

/*
 * SFTP must not pass through a shell: an rc file that prints would corrupt
 * the protocol (EX-07).  The stream's id or the well-known path tells.
 */
static bool
is_sftp(const char *exec_id, const char *command)
{
	return strcmp(command, SFTP_PATH) == 0 ||
	    (str_prefix(exec_id, "sf-") && strpbrk(command, " \t\n") == NULL);
}

/* Shells to try, best first, without repeats. */
static size_t
shells(const struct account *a, const char *wanted, const char **out)
{
	const char	*all[] = { wanted, a->login_shell, LAST_SHELL };
	size_t		 i, n = 0;

	for (i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i][0] == '\0' ||
		    (n > 0 && strcmp(all[i], out[n - 1]) == 0))
			continue;
		if (account_shell_usable(all[i]))
			out[n++] = all[i];
	}
	return n;
}

/* mem = pointer tables, then the strings; nothing else to free. */
static int
fill(struct command *c, const char *const *paths, size_t npaths,
    const char *const *args, size_t nargs)
{
	size_t	 i, bytes = (npaths + nargs + 2) * sizeof(char *);
	char	*text;

	for (i = 0; i < npaths; i++)
		bytes += strlen(paths[i]) + 1;
	for (i = 0; i < nargs; i++)
		bytes += args[i] != NULL ? strlen(args[i]) + 1 : 0;
	if ((c->mem = malloc(bytes)) == NULL)
		return -ENOMEM;
	c->paths = c->mem;
	c->argv = c->paths + npaths + 1;
	text = (char *)(c->argv + nargs + 1);
	for (i = 0; i < npaths; i++) {
		c->paths[i] = text;
		text = stpcpy(text, paths[i]) + 1;
	}
	c->paths[npaths] = NULL;
	for (i = 0; i < nargs; i++) {
		c->argv[i] = NULL;
		if (args[i] != NULL) {
			c->argv[i] = text;
			text = stpcpy(text, args[i]) + 1;
		}
	}
	c->argv[nargs] = NULL;
	return 0;
}

/* No shell to hand: the words are the program and its arguments. */
static int
build_words(struct command *c, const char *command)
{
	char	**words;
	size_t	 n;
	int	 r;

	if ((words = command_words(command, &n)) == NULL)
		return -EINVAL;
	if (n == 0 || n > COMMAND_WORDS_MAX)
		r = -EINVAL;
	else
		r = fill(c, (const char *const *)words, 1,
		    (const char *const *)words, n);
	free(words);
	return r;
}

int
command_build(struct command *c, const struct account *a, const char *exec_id,
    const char *command, const char *shell)
{
	const char	*paths[3];
	const char	*args[] = { NULL, "-c", command };
	size_t		 n;

	*c = (struct command){ 0 };
	if (is_blank(command))
		return -EINVAL;
	if (is_sftp(exec_id, command)) {
		args[0] = paths[0] = command;
		return fill(c, paths, 1, args, 1);
	}
	if ((n = shells(a, shell, paths)) == 0) {
		c->no_shell = true;
		return build_words(c, command);
	}
	return fill(c, paths, n, args, ARRAY_LEN(args));
}

void
command_finish(struct command *c)
{
	free(c->mem);
	*c = (struct command){ 0 };
}

static const struct {
	const char	*name;
	int		 signo;
} signals[] = {
	{ "ABRT", SIGABRT }, { "ALRM", SIGALRM }, { "CHLD", SIGCHLD },
	{ "CONT", SIGCONT }, { "FPE", SIGFPE }, { "HUP", SIGHUP },
	{ "ILL", SIGILL }, { "INT", SIGINT }, { "KILL", SIGKILL },
	{ "PIPE", SIGPIPE }, { "QUIT", SIGQUIT }, { "SEGV", SIGSEGV },
	{ "STOP", SIGSTOP }, { "TERM", SIGTERM }, { "TSTP", SIGTSTP },
	{ "TTIN", SIGTTIN }, { "TTOU", SIGTTOU }, { "URG", SIGURG },
	{ "USR1", SIGUSR1 }, { "USR2", SIGUSR2 }, { "WINCH", SIGWINCH },
	{ "XCPU", SIGXCPU }, { "XFSZ", SIGXFSZ },
};

int
command_signal(const char *name)
{
	size_t	i;

	if (str_prefix(name, "SIG"))
		name += 3;
	for (i = 0; i < ARRAY_LEN(signals); i++)
		if (strcmp(name, signals[i].name) == 0)
			return signals[i].signo;
	return 0;
}
