/*
 * applet - the programs inside the one binary.
 *
 * Each applet is a main function of its own in applets/NAME.c; the table in
 * applets/main.c is the only list of them.
 */
#ifndef APPLETS_APPLET_H
#define APPLETS_APPLET_H

#include <stdbool.h>
#include <stddef.h>

/* argv[0] is the applet's name, whatever the file was called. */
typedef int (*applet_main_fn)(int argc, char **argv);

struct applet {
	const char	*name;
	const char	*summary;	/* for the usage; NULL hides the row */
	applet_main_fn	 main;		/* NULL: a name kept for later */
	bool		 installed;	/* `install` makes a file of it */
};

int	k8shelld_main(int argc, char **argv);
int	kssh_main(int argc, char **argv);
int	kbox_main(int argc, char **argv);
int	install_main(int argc, char **argv);

/* The i-th row, or NULL past the end. */
const struct applet	*applet_at(size_t i);

#endif
