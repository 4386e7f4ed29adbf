#include "applets/kssh_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/version.h"

extern char **environ;

static const char help[] =
"usage: kssh [options] [TARGET [command ...]]\n"
"\n"
"A shell, or a command, in a workspace served by k8shelld.\n"
"\n"
"TARGET is [user@]host[:port], unix:/path/to/grpc.sock, or \".\" for the\n"
"standalone daemon of this user, which is also the default.\n"
"\n"
"  -l user          run as user (root needs the sudo right)\n"
"  -p port          TCP port (default 2822)\n"
"  -t, -tt          terminal for a command; twice: even without one here\n"
"  -T               no terminal\n"
"  -4, -6           only IPv4, only IPv6\n"
"  -n               standard input is /dev/null\n"
"  -e char          escape character (default ~; \"none\")\n"
"  -s               command is the name of a subsystem (sftp)\n"
"  -o option        Port, User, RequestTTY, SendEnv, SetEnv, EscapeChar,\n"
"                   ConnectTimeout; others of ssh's are accepted and ignored\n"
"  -q, -v           say less, say more\n"
"  -G               print the settings and exit\n"
"  -V, --version    print the version and exit\n"
"  --ca FILE        CA that signed the server's certificate (default\n"
"                   /etc/k8shell/ca/ca.crt)\n"
"  --tls-name NAME  name on the certificate, if it is not the host's\n"
"  --token-file F   what to present as bearer token\n"
"  --plaintext      no TLS\n"
"  --run-dir DIR    where the standalone daemon is\n"
"\n"
"Sessions that survive, where the daemon allows it:\n"
"  --detach-on-close  losing kssh, however it ends, leaves the shell running\n"
"  --attach ID        back to a detached session; the start of its id is\n"
"                     enough.  Losing kssh detaches it again\n"
"  --list             what can be attached; --json for scripts\n"
"\n"
"In a session, after Enter: ~. leaves, ~? lists the escapes.  Ctrl+A, then d\n"
"detaches, where the daemon allows it.\n"
"The exit status is the command's, or 255 if the connection failed; an\n"
"interactive shell's own status is not transmitted and counts as 0.\n"
"Not there yet: -A, -D, -f, -J, -L, -N, -O, -Q, -R, -W, -w.\n";

static int
complain(const char *what, const char *arg)
{
	fprintf(stderr, "kssh: %s: %s\n", arg, what);
	return KSSH_TROUBLE;
}

static int
not_yet(char letter)
{
	fprintf(stderr, "kssh: -%c: not available yet\n", letter);
	return KSSH_TROUBLE;
}

/* Of one name the first assignment counts. */
void
kssh_options_env(struct kssh_options *o, const char *assignment)
{
	size_t		n = strcspn(assignment, "=") + 1;
	unsigned	i;

	for (i = 0; i < o->nenv; i++)
		if (strncmp(o->env[i], assignment, n) == 0)
			return;
	o->env = xrealloc(o->env, (o->nenv + 1) * sizeof *o->env);
	o->env[o->nenv++] = xstrdup(assignment);
}

/* A name, or a prefix ended by '*', from our own environment. */
static void
send_env(struct kssh_options *o, const char *pattern, size_t len)
{
	const char	*star = memchr(pattern, '*', len);
	size_t		 n = star != NULL ? (size_t)(star - pattern) : len;
	char		**e;

	for (e = environ; *e != NULL; e++)
		if (strncmp(*e, pattern, n) == 0 &&
		    (star != NULL || (*e)[n] == '='))
			kssh_options_env(o, *e);
}

static int
set_port(struct kssh_options *o, const char *v)
{
	uint32_t	port;

	if (str_to_u32(v, UINT16_MAX, &port) < 0 || port == 0)
		return complain("not a port", v);
	o->port = (uint16_t)port;
	return -1;
}

static int
set_escape(struct kssh_options *o, const char *v)
{
	if (strcmp(v, "none") == 0)
		o->escape = KSSH_ESCAPE_NONE;
	else if (v[0] == '^' && v[1] != '\0' && v[2] == '\0')
		o->escape = v[1] & 0x1f;
	else if (v[0] != '\0' && v[1] == '\0')
		o->escape = (unsigned char)v[0];
	else
		return complain("not an escape character", v);
	return -1;
}

static int
set_tty(struct kssh_options *o, const char *v)
{
	static const struct {
		const char	*word;
		enum kssh_tty	 tty;
	} words[] = {
		{ "no", TTY_NO }, { "yes", TTY_ASK }, { "force", TTY_FORCE },
		{ "auto", TTY_AUTO },
	};
	size_t	i;

	for (i = 0; i < ARRAY_LEN(words); i++)
		if (str_ieq(v, words[i].word)) {
			o->tty = words[i].tty;
			return -1;
		}
	return complain("not a RequestTTY value", v);
}

static int
set_timeout(struct kssh_options *o, const char *v)
{
	if (str_to_u32(v, 3600, &o->connect_timeout_s) < 0)
		return complain("not a number of seconds", v);
	return -1;
}

static int
set_user(struct kssh_options *o, const char *v)
{
	free(o->user);
	o->user = xstrdup(v);
	return -1;
}

static int
set_sendenv(struct kssh_options *o, const char *v)
{
	size_t	n;

	for (; *v != '\0'; v += n, v += strspn(v, " \t"))
		if ((n = strcspn(v, " \t")) > 0)
			send_env(o, v, n);
	return -1;
}

static int
set_setenv(struct kssh_options *o, const char *v)
{
	if (strchr(v, '=') == NULL)
		return complain("not NAME=VALUE", v);
	kssh_options_env(o, v);
	return -1;
}

/* What asks for something else than a plain session. */
static bool
is_not_yet(const char *name, size_t n)
{
	static const char *const names[] = {
		"DynamicForward", "ForkAfterAuthentication", "ForwardAgent",
		"LocalForward", "ProxyCommand", "ProxyJump", "RemoteCommand",
		"RemoteForward", "Tunnel",
	};
	size_t	i;

	for (i = 0; i < ARRAY_LEN(names); i++)
		if (strlen(names[i]) == n &&
		    strncasecmp(names[i], name, n) == 0)
			return true;
	return false;
}

/* "-o Name=value" or "-o 'Name value'". */
static int
set_option(struct kssh_options *o, const char *arg)
{
	static const struct {
		const char	*name;
		int		(*set)(struct kssh_options *o, const char *v);
	} table[] = {
		{ "Port", set_port }, { "User", set_user },
		{ "RequestTTY", set_tty }, { "EscapeChar", set_escape },
		{ "SendEnv", set_sendenv }, { "SetEnv", set_setenv },
		{ "ConnectTimeout", set_timeout },
	};
	size_t		 i, n = strcspn(arg, "= \t");
	const char	*v = arg + n;

	v += strspn(v, " \t");
	v += *v == '=';
	v += strspn(v, " \t");
	for (i = 0; i < ARRAY_LEN(table); i++)
		if (strlen(table[i].name) == n &&
		    strncasecmp(table[i].name, arg, n) == 0)
			return table[i].set(o, v);
	if (is_not_yet(arg, n) && !str_ieq(v, "no") && !str_ieq(v, "none"))
		return complain("not available yet", arg);
	if (o->verbose > 0)
		fprintf(stderr, "kssh: option %s: ignored\n", arg);
	return -1;
}

/* Options of ssh's that take a value and mean nothing here. */
#define IGNORED_VALUE	"bBcEFiImPS"
/* And those that take none. */
#define IGNORED		"2aCgkKMxXYy"
#define NOT_YET		"ADfJLNOQRWw"
#define WITH_VALUE	IGNORED_VALUE "DJLOQRWwloep"

static int
set_letter_value(struct kssh_options *o, char letter, const char *v)
{
	switch (letter) {
	case 'l':
		return set_user(o, v);
	case 'p':
		return set_port(o, v);
	case 'o':
		return set_option(o, v);
	case 'e':
		return set_escape(o, v);
	default:
		return strchr(NOT_YET, letter) != NULL ? not_yet(letter) : -1;
	}
}

/* git asks with -G whether we are a kind of ssh. */
static int
print_settings(const struct kssh_options *o)
{
	if (o->host != NULL)
		printf("hostname %s\nport %u\n", o->host, (unsigned)o->port);
	if (o->user != NULL)
		printf("user %s\n", o->user);
	printf("connecttimeout %u\n", (unsigned)o->connect_timeout_s);
	return 0;
}

static int
set_letter(struct kssh_options *o, char letter)
{
	switch (letter) {
	case 't':
		o->tty = o->tty >= TTY_ASK ? TTY_FORCE : TTY_ASK;
		return -1;
	case 'T':
		o->tty = TTY_NO;
		return -1;
	case 'n':
		o->no_stdin = true;
		return -1;
	case 's':
		o->subsystem = true;
		return -1;
	case 'q':
		o->quiet = true;
		return -1;
	case 'v':
		o->verbose++;
		return -1;
	case 'V':
		version_print("kssh");
		return 0;
	case 'G':
		o->print = true;
		return -1;
	case '4':
		o->family = AF_INET;
		return -1;
	case '6':
		o->family = AF_INET6;
		return -1;
	case 'h':
		fputs(help, stdout);
		return 0;
	default:
		break;
	}
	if (strchr(NOT_YET, letter) != NULL)
		return not_yet(letter);
	if (strchr(IGNORED, letter) != NULL)
		return -1;
	fprintf(stderr, "kssh: unknown option -%c (see kssh --help)\n", letter);
	return KSSH_TROUBLE;
}

/* One cluster of letters; *i moves if a value is the next argument. */
static int
parse_letters(struct kssh_options *o, char **argv, int argc, int *i)
{
	const char	*p;
	int		 r;

	for (p = argv[*i] + 1; *p != '\0'; p++) {
		if (strchr(WITH_VALUE, *p) == NULL) {
			if ((r = set_letter(o, *p)) >= 0)
				return r;
			continue;
		}
		if (p[1] != '\0')
			return set_letter_value(o, *p, p + 1);
		if (++*i == argc)
			return complain("needs a value", argv[argc - 1]);
		return set_letter_value(o, *p, argv[*i]);
	}
	return -1;
}

/* Long ones without a value. */
static bool
set_flag(struct kssh_options *o, const char *arg)
{
	const struct {
		const char	*name;
		bool		*flag;
	} table[] = {
		{ "--plaintext", &o->plaintext },
		{ "--detach-on-close", &o->keep },
		{ "--list", &o->list }, { "--json", &o->json },
	};
	size_t	i;

	for (i = 0; i < ARRAY_LEN(table); i++)
		if (strcmp(arg, table[i].name) == 0)
			return *table[i].flag = true;
	return false;
}

static int
parse_long(struct kssh_options *o, char **argv, int argc, int *i)
{
	const struct {
		const char	*name;
		const char	**target;
	} table[] = {
		{ "--ca", &o->ca }, { "--token-file", &o->token_file },
		{ "--run-dir", &o->run_dir }, { "--tls-name", &o->tls_name },
		{ "--attach", &o->attach },
	};
	const char	*arg = argv[*i];
	size_t		 k, n = strcspn(arg, "=");

	if (set_flag(o, arg))
		return -1;
	if (strcmp(arg, "--help") == 0)
		return set_letter(o, 'h');
	if (strcmp(arg, "--version") == 0)
		return set_letter(o, 'V');
	for (k = 0; k < ARRAY_LEN(table); k++) {
		if (strlen(table[k].name) != n ||
		    strncmp(table[k].name, arg, n) != 0)
			continue;
		if (arg[n] == '\0' && ++*i == argc)
			return complain("needs a value", arg);
		*table[k].target = arg[n] == '=' ? arg + n + 1 : argv[*i];
		return -1;
	}
	return complain("unknown option (see kssh --help)", arg);
}

/* host, host:port, [v6]:port, a bare v6 literal */
static int
set_host(struct kssh_options *o, const char *s)
{
	const char	*colon = strrchr(s, ':'), *end;

	if (s[0] == '[') {
		if ((end = strchr(s, ']')) == NULL ||
		    (end[1] != '\0' && end[1] != ':'))
			return complain("brackets don't match", s);
		o->host = xasprintf("%.*s", (int)(end - s - 1), s + 1);
		return end[1] == ':' ? set_port(o, end + 2) : -1;
	}
	if (colon == s)
		return complain("no host", s);
	if (colon == NULL || strchr(s, ':') != colon) {
		o->host = xstrdup(s);
		return -1;
	}
	o->host = xasprintf("%.*s", (int)(colon - s), s);
	return set_port(o, colon + 1);
}

static int
set_target(struct kssh_options *o, const char *s)
{
	const char	*at = strrchr(s, '@');

	if (str_prefix(s, "unix:")) {
		o->socket = xstrdup(s + 5);
		return -1;
	}
	if (at != NULL) {
		free(o->user);
		o->user = xasprintf("%.*s", (int)(at - s), s);
		s = at + 1;
	}
	if (s[0] == '\0')
		return complain("no host", "target");
	return strcmp(s, ".") == 0 ? -1 : set_host(o, s);
}

static void
join_command(struct kssh_options *o, char **argv, int argc, int i)
{
	size_t	n = 1;
	int	k;
	char	*p;

	for (k = i; k < argc; k++)
		n += strlen(argv[k]) + 1;
	if (n <= 2)			/* nothing or "": a shell, as in ssh */
		return;
	p = o->command = xmalloc(n);
	for (k = i; k < argc; k++) {
		if (k > i)
			*p++ = ' ';
		p = stpcpy(p, argv[k]);
	}
}

/* Options that don't go together, or lack what they need. */
static int
check(const struct kssh_options *o)
{
	bool	session = o->list || o->attach != NULL;

	if (o->subsystem && o->command == NULL)
		return complain("needs a command", "-s");
	if (o->list && (o->attach != NULL || o->keep))
		return complain("only lists", "--list");
	if (o->json && !o->list)
		return complain("goes with --list", "--json");
	if (o->attach != NULL && o->attach[0] == '\0')
		return complain("needs an id (--list shows them)",
		    "--attach");
	if ((session || o->keep) && o->command != NULL)
		return complain("takes no command", o->list ? "--list" :
		    o->attach != NULL ? "--attach" : "--detach-on-close");
	if (!o->list && (o->keep || o->attach != NULL) && o->tty == TTY_NO)
		return complain("needs a terminal, so -T can't be",
		    o->attach != NULL ? "--attach" : "--detach-on-close");
	return -1;
}

void
kssh_options_finish(struct kssh_options *o)
{
	unsigned	i;

	for (i = 0; i < o->nenv; i++)
		free(o->env[i]);
	free(o->env);
	free(o->user);
	free(o->host);
	free(o->socket);
	free(o->command);
	*o = (struct kssh_options){ 0 };
}

int
kssh_options_parse(struct kssh_options *o, int argc, char **argv)
{
	bool	have_target = false;
	int	i, r;

	*o = (struct kssh_options){
		.port = KSSH_PORT, .escape = '~', .connect_timeout_s = 30,
		.family = AF_UNSPEC,
	};
	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (argv[i][0] == '-' && argv[i][1] == '-')
			r = parse_long(o, argv, argc, &i);
		else if (argv[i][0] == '-' && argv[i][1] != '\0')
			r = parse_letters(o, argv, argc, &i);
		else if (!have_target) {
			r = set_target(o, argv[i]);
			have_target = true;
		} else
			break;
		if (r >= 0)
			return r;
	}
	if (!have_target && i < argc && (r = set_target(o, argv[i++])) >= 0)
		return r;
	join_command(o, argv, argc, i);
	if (o->print)
		return print_settings(o);
	return check(o);
}
