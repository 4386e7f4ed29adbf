/*
 * command - how an Exec request becomes a program: shell, words, signals.
 *
 * "<shell> -c <command>" with the request's shell, the account's, or /bin/sh;
 * the built-in SFTP path and ids of SFTP streams run without a shell (EX-06,
 * EX-07); an image with no shell at all runs the words directly.
 */
#ifndef WORKSPACE_COMMAND_H
#define WORKSPACE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

struct account;

#define COMMAND_WORDS_MAX	1024

struct command {
	char	**paths;	/* to try, NULL ends; each absolute, or a
				 * bare name looked up on PATH in the child */
	char	**argv;		/* NULL ends; argv[0] may be NULL */
	void	*mem;		/* one allocation behind all of it */
	bool	 no_shell;	/* there is none: the words as they are */
};

/* 0, -EINVAL (blank command, unbalanced quotes without a shell), -ENOMEM. */
int	 command_build(struct command *c, const struct account *a,
	    const char *exec_id, const char *command, const char *shell);
void	 command_finish(struct command *c);

/* POSIX quoting without expansion.  Words in one allocation; *n set.
 * NULL: unbalanced quote or out of memory. */
char	**command_words(const char *s, size_t *n);

/* "TERM" or "SIGTERM", case as written; 0 if unknown (EX-14). */
int	 command_signal(const char *name);

#endif
