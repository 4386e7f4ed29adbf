/*
 * main - one binary, many names.
 *
 * The base name of argv[0] chooses the applet; called by any other name, the
 * first argument does.
 */
#include <stdio.h>
#include <string.h>

#include "applets/applet.h"
#include "base/version.h"
#include "proc/shim.h"

#define EXIT_USAGE	2

/*
 * sftp is installed from the start because a workspace mounts it by
 * name, and a mount of a missing file becomes a directory
 * (spec/bootstrap.md 1.7).
 */
static const struct applet applets[] = {
	{ "k8shelld", "the daemon: serves shells and commands over gRPC",
	    k8shelld_main, true },
	{ "kssh", "open a shell or run a command through a k8shelld",
	    kssh_main, true },
	{ "install", "put this program and its names into a folder",
	    install_main, false },
	{ "kbox", "talk to the daemon of this workspace", kbox_main, true },
	{ "sftp", NULL, NULL, true },
	{ SHIM_NAME, NULL, shim_main, false },
	/* The workspace calls these by name: spec/bootstrap.md 2.6. */
	{ "uptime", NULL, kbox_main, false },
	{ "last", NULL, kbox_main, false },
	{ "shutdown", NULL, kbox_main, false },
	{ "passwd", NULL, kbox_main, false },
};

#define NAPPLETS	(sizeof applets / sizeof applets[0])

const struct applet *
applet_at(size_t i)
{
	return i < NAPPLETS ? &applets[i] : NULL;
}

static const struct applet *
find_applet(const char *name)
{
	size_t	i;

	for (i = 0; i < NAPPLETS; i++)
		if (strcmp(applets[i].name, name) == 0)
			return &applets[i];
	return NULL;
}

static const char *
base_name(const char *path)
{
	const char	*slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static void
usage(FILE *f)
{
	size_t	i;

	fprintf(f, "usage: k8shell APPLET [ARGUMENT...]\n"
	    "       k8shell --version | --help\n\napplets:\n");
	for (i = 0; i < NAPPLETS; i++)
		if (applets[i].summary != NULL)
			fprintf(f, "  %-10s %s\n", applets[i].name,
			    applets[i].summary);
}

static int
run_applet(const struct applet *a, int argc, char **argv)
{
	if (a->main == NULL) {
		fprintf(stderr, "%s: not part of k8shell %s\n", a->name,
		    version_string());
		return EXIT_USAGE;
	}
	return a->main(argc, argv);
}

int
main(int argc, char **argv)
{
	const struct applet	*a;

	if (argc < 1)
		return EXIT_USAGE;
	if ((a = find_applet(base_name(argv[0]))) != NULL)
		return run_applet(a, argc, argv);
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if ((a = find_applet(argv[1])) != NULL)
		return run_applet(a, argc - 1, argv + 1);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-v") == 0) {
		version_print("k8shell");
		return 0;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		usage(stdout);
		return 0;
	}
	fprintf(stderr, "k8shell: no applet \"%s\"\n", argv[1]);
	usage(stderr);
	return EXIT_USAGE;
}
