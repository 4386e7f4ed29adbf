/*
 * kssh_options - ssh's command line, as far as kssh understands it.
 *
 * scp, sftp, rsync and git call us with options of ssh's that mean nothing
 * here: those are accepted and dropped.  Options that ask for something not
 * there yet (-A, -D, -L, -N, -R, -W, ...) are an error, never ignored.
 */
#ifndef APPLETS_KSSH_OPTIONS_H
#define APPLETS_KSSH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define KSSH_PORT	2822
#define KSSH_TROUBLE	255	/* exit status: not the command's own */
#define KSSH_ESCAPE_NONE	(-1)

enum kssh_tty { TTY_AUTO, TTY_NO, TTY_ASK, TTY_FORCE };	/* in this order */

struct kssh_options {
	char		*user;		/* NULL: the workspace user */
	char		*host;		/* NULL: the socket below */
	char		*socket;	/* NULL: the standalone daemon's */
	uint16_t	 port;
	const char	*ca, *token_file, *run_dir;
	const char	*tls_name;	/* name on the certificate */
	bool		 plaintext;
	enum kssh_tty	 tty;
	bool		 subsystem;	/* -s: command is its name */
	bool		 quiet, no_stdin;
	int		 verbose;
	int		 escape;	/* character or KSSH_ESCAPE_NONE */
	uint32_t	 connect_timeout_s;
	char		*command;	/* joined by blanks; NULL: a shell */
	char		**env;		/* NAME=value to send */
	unsigned	 nenv;
	int		 family;	/* AF_UNSPEC, AF_INET, AF_INET6 */
	bool		 print;		/* -G: show what was understood */
	bool		 keep;		/* losing us detaches the shell */
	const char	*attach;	/* a session's id, or how it starts */
	bool		 list, json;
};

/*
 * Fills o; what it holds is freed by kssh_options_finish(), whatever comes
 * back.  Returns -1 to go on, or the exit status after -V, -G, --help or a
 * message.  ca, token_file, run_dir, tls_name and attach point into argv.
 */
int	 kssh_options_parse(struct kssh_options *o, int argc, char **argv);
void	 kssh_options_finish(struct kssh_options *o);

/* Adds "NAME=value" unless the name is there already. */
void	 kssh_options_env(struct kssh_options *o, const char *assignment);

#endif
