/*
 * daemon - wires the modules of k8shelld together: create bottom-up, run the
 * loop, destroy top-down.
 */
#ifndef APPLETS_DAEMON_H
#define APPLETS_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

/* What the command line says; strings are borrowed, NULL if not given. */
struct daemon_options {
	const char	*config;	/* path */
	const char	*run_dir;	/* standalone */
	const char	*cert, *key;	/* both or none */
	const char	*token_file;	/* standalone TCP callers */
	const char	*socket;	/* path of the REST socket */
	bool		 has_port;
	uint16_t	 port;
	bool		 standalone;
	bool		 test;		/* not root, no identity file needed */
};

/* Exit status: 0 after a graceful stop, 1 if it could not start. */
int	 daemon_main(const struct daemon_options *opt);

#endif
