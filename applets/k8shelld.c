/*
 * k8shelld - the daemon's command line.
 *
 * Flags take one dash or two, and "-flag value" or "-flag=value", as the
 * platform's charts and scripts write them (spec/bootstrap.md 2.1).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "applets/applet.h"
#include "applets/daemon.h"
#include "base/str.h"
#include "base/version.h"

#define EXIT_USAGE	2

static const char help[] =
"usage: k8shelld [flags]\n"
"\n"
"Serves shells and commands of this container over gRPC.\n"
"\n"
"  --config FILE      configuration (default /etc/k8shell/config.yaml)\n"
"  --standalone       no platform: serve this user on a Unix socket; needs\n"
"                     no file at all, --config is optional\n"
"  --run-dir DIR      where a standalone daemon puts its sockets (default\n"
"                     $XDG_RUNTIME_DIR/k8shell, else /tmp/k8shell-UID)\n"
"  --port N           TCP port; standalone: listen on loopback as well\n"
"                     (0: a free one, see the log)\n"
"  --cert FILE --key FILE\n"
"                     PEM certificate chain and key; standalone: use TLS\n"
"  --token-file FILE  standalone: what TCP callers have to present (default:\n"
"                     RUN-DIR/token, made if it is missing)\n"
"  --socket FILE      the workspace API's socket (default\n"
"                     /var/run/k8shelld.sock; standalone: in the run\n"
"                     directory)\n"
"  --test             run without root and without an identity file\n"
"  -v, --version      print version and commit\n"
"  -h, --help         print this\n";

enum { FLAG_TEXT, FLAG_BOOL, FLAG_PORT };

struct flag {
	const char	*name;
	int		 type;
	void		*target;
};

/* The flag named by arg; *value is what follows '=', or NULL. */
static const struct flag *
find_flag(const struct flag *flags, const char *arg, const char **value)
{
	const char	*name = arg + (arg[0] == '-') + (arg[1] == '-');
	size_t		 n = strcspn(name, "=");

	if (arg[0] != '-' || n == 0)
		return NULL;
	*value = name[n] == '=' ? name + n + 1 : NULL;
	for (; flags->name != NULL; flags++)
		if (strlen(flags->name) == n &&
		    strncmp(flags->name, name, n) == 0)
			return flags;
	return NULL;
}

static bool
set_bool(bool *target, const char *value)
{
	if (value == NULL || strcmp(value, "true") == 0)
		*target = true;
	else if (strcmp(value, "false") == 0)
		*target = false;
	else
		return false;
	return true;
}

static bool
set_flag(const struct flag *f, const char *value, struct daemon_options *opt)
{
	uint32_t	port;

	switch (f->type) {
	case FLAG_BOOL:
		return set_bool(f->target, value);
	case FLAG_PORT:
		if (str_to_u32(value, UINT16_MAX, &port) < 0)
			return false;
		opt->has_port = true;
		opt->port = (uint16_t)port;
		return true;
	default:
		*(const char **)f->target = value;
		return true;
	}
}

static int
complain(const char *what, const char *arg)
{
	fprintf(stderr, "k8shelld: %s: %s (see k8shelld --help)\n", arg, what);
	return EXIT_USAGE;
}

/* 0, or the exit status after a message. */
static int
parse(int argc, char **argv, const struct flag *flags,
    struct daemon_options *opt)
{
	const struct flag	*f;
	const char		*value, *arg;
	int			 i;

	for (i = 1; i < argc; i++) {
		arg = argv[i];
		if ((f = find_flag(flags, arg, &value)) == NULL)
			return complain("unknown flag or argument", arg);
		if (f->type != FLAG_BOOL && value == NULL) {
			if (++i == argc)
				return complain("needs a value", arg);
			value = argv[i];
		}
		if (!set_flag(f, value, opt))
			return complain("value not understood", arg);
	}
	if ((opt->cert != NULL) != (opt->key != NULL))
		return complain("one without the other", "--cert, --key");
	return 0;
}

int
k8shelld_main(int argc, char **argv)
{
	struct daemon_options	opt = { 0 };
	bool			version = false, want_help = false;
	const struct flag	flags[] = {
		{ "config", FLAG_TEXT, &opt.config },
		{ "standalone", FLAG_BOOL, &opt.standalone },
		{ "run-dir", FLAG_TEXT, &opt.run_dir },
		{ "port", FLAG_PORT, NULL },
		{ "cert", FLAG_TEXT, &opt.cert },
		{ "key", FLAG_TEXT, &opt.key },
		{ "token-file", FLAG_TEXT, &opt.token_file },
		{ "socket", FLAG_TEXT, &opt.socket },
		{ "test", FLAG_BOOL, &opt.test },
		{ "v", FLAG_BOOL, &version },
		{ "version", FLAG_BOOL, &version },
		{ "h", FLAG_BOOL, &want_help },
		{ "help", FLAG_BOOL, &want_help },
		{ NULL, 0, NULL },
	};
	int			r;

	if ((r = parse(argc, argv, flags, &opt)) != 0)
		return r;
	if (want_help) {
		fputs(help, stdout);
		return 0;
	}
	if (version) {
		version_print("k8shelld");
		return 0;
	}
	return daemon_main(&opt);
}
