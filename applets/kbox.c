/*
 * kbox - the command table and what all commands share: options, help, the
 * terminal, --watch.
 */
#include "applets/kbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "applets/applet.h"
#include "applets/kbox_text.h"
#include "base/str.h"
#include "base/version.h"

#define ARENA_MAX	((size_t)1 << 29)
#define TIMEOUT_MS	10000
#define WATCH_MS	2000
#define WATCH_MIN_MS	100
#define HELP_COLUMN	24

#define JSON		{ OPT_JSON, "json", '\0', NULL, \
	"print the daemon's JSON" }
#define WATCH		{ OPT_WATCH, "watch", '\0', "[SECONDS]", \
	"again every 2 s, or as said, until interrupted" }
#define SORT(f)		{ OPT_SORT, "sort", '\0', "FIELDS", \
	"columns, comma between, - before: descending; " f }
#define TABLE \
	{ OPT_NO_HEADERS, "no-headers", '\0', NULL, "rows only" }, \
	{ OPT_NO_TRUNC, "no-trunc", '\0', NULL, \
	    "every column in full, however narrow the terminal" }, \
	{ OPT_QUIET, "quiet", 'q', NULL, "ids only" }
#define END		{ 0, NULL, '\0', NULL, NULL }

static const struct kbox_option common[] = {
	{ OPT_HELP, "help", 'h', NULL, "show this and do nothing" },
	{ OPT_VERSION, "version", 'v', NULL, "show the version" },
	{ OPT_SOCKET, "socket", '\0', "FILE", "the daemon's socket" },
	{ OPT_RUN_DIR, "run-dir", '\0', "DIR",
	    "where a standalone daemon keeps it" },
	{ OPT_TIMEOUT, "timeout", '\0', "SECONDS",
	    "how long to wait for an answer; 10" },
	{ OPT_COLOR, "color", '\0', "[WHEN]", "auto, always or never" },
	{ OPT_NO_ANSI, "no-ansi", '\0', NULL, "no colours, no redrawing" },
	END
};

static const struct kbox_option json_option[] = { JSON, END };
static const struct kbox_option watch_options[] = { JSON, WATCH, END };

static const struct kbox_option streams_options[] = {
	JSON, SORT("-created"), WATCH, TABLE, END
};

static const struct kbox_option shells_options[] = {
	{ OPT_DETACHED, "detached", 'd', NULL, "only those" },
	JSON, SORT("-created"), WATCH, TABLE, END
};

static const struct kbox_option uptime_options[] = {
	{ OPT_PRETTY, "pretty", 'p', NULL, "in words" },
	{ OPT_SINCE, "since", 's', NULL, "since when" },
	JSON, END
};

static const struct kbox_option logs_options[] = {
	{ OPT_COMPONENT, "component", 'c', "NAME",
	    "only this, or these with a comma between" },
	{ OPT_LEVEL, "level", 'l', "LEVEL",
	    "this and worse: debug, info, warn, error, fatal" },
	{ OPT_FOLLOW, "follow", 'f', NULL, "go on with lines as they come" },
	{ OPT_LAST, "last-n", 'n', "N", "only the last N of what matches" },
	{ OPT_LAST, "tail", '\0', "N", "the same" },
	{ OPT_SINCE, "since", '\0', "WHEN",
	    "10m ago, an RFC 3339 time, or a job's event number" },
	{ OPT_STREAM, "stream", '\0', "NAME",
	    "of a job: only stdout, or only stderr" },
	{ OPT_TIMES, "timestamps", 't', NULL,
	    "of a job: when each line came (the daemon's have it)" },
	{ OPT_GREP, "grep", 'g', "TEXT", "only messages with this in them" },
	{ OPT_JSON, "json", 'j', NULL, "the daemon's lines, unchanged" },
	{ OPT_WRAP, "wrap", 'w', NULL, "do not cut at the terminal's edge" },
	END
};

static const struct kbox_option init_options[] = {
	{ OPT_PROGRESS, "progress", 'p', NULL, "until all are done" },
	{ OPT_PROGRESS, "wait", '\0', NULL, "the same" },
	{ OPT_ERRORS, "errors", 'e', NULL, "only those that failed" },
	JSON, END
};

static const struct kbox_option attach_options[] = {
	{ OPT_NEWEST, "last", 'l', NULL, "the one detached last" },
	END
};

static const struct kbox_option detach_options[] = {
	{ OPT_TTL, "ttl", '\0', "DURATION",
	    "how long it may wait: 90s, 30m, 12h; 0 for ever" },
	END
};

static const struct kbox_option shell_options[] = {
	{ OPT_NAME, "name", 'n', "NAME", "its id, in place of a made-up one" },
	{ OPT_CWD, "cwd", 'C', "DIR", "start there, not here" },
	{ OPT_ENV, "env", 'e', "NAME=VALUE",
	    "for its environment; may be repeated" },
	{ OPT_DETACHED, "detached", 'd', NULL,
	    "print its id and leave it alone" },
	JSON, END
};

static const struct kbox_option run_options[] = {
	{ OPT_DETACHED, "detach", 'd', NULL,
	    "run in the background, print its id" },
	{ OPT_DETACHED, "detached", '\0', NULL, "the same" },
	{ OPT_ID, "id", '\0', "ID", "its id, in place of a made-up one" },
	{ OPT_ID, "name", 'n', "ID", "the same" },
	{ OPT_CWD, "cwd", 'C', "DIR", "start there, not here" },
	{ OPT_ENV, "env", 'e', "NAME=VALUE",
	    "for its environment; may be repeated" },
	{ OPT_LIMIT, "timeout", '\0', "TIME",
	    "end it after that (143): 90s, 30m, 12h" },
	{ OPT_GRACE, "grace", '\0', "TIME",
	    "to end, before SIGKILL does it; 5s, at most 1h" },
	{ OPT_SESSION, "session", '\0', "ID",
	    "without -d it ends with that session; yours" },
	{ OPT_JSON, "json", '\0', NULL,
	    "the daemon's events, one a line; with -d the job" },
	END
};

static const struct kbox_option ps_options[] = {
	{ OPT_ALL, "all", 'a', NULL, "also those that have ended" },
	{ OPT_STATUS, "status", '\0', "STATUS",
	    "running, completed, failed, killed, error; a list" },
	{ OPT_SESSION, "session", '\0', "ID", "only those of that session" },
	JSON, SORT("-started"), WATCH, TABLE, END
};

static const struct kbox_option kill_options[] = {
	{ OPT_SIGNAL, "signal", 's', "SIGNAL",
	    "send only this, once: HUP, USR1, 10; TERM ends it" },
	{ OPT_GRACE, "grace", '\0', "TIME",
	    "how long they may take, then SIGKILL; 5s, at most 1h" },
	{ OPT_NOW, "now", '9', NULL, "SIGKILL at once" },
	{ OPT_SCOPE, "scope", '\0', "SCOPE",
	    "who gets --signal: tree, group or root" },
	{ OPT_NO_WAIT, "no-wait", '\0', NULL, "do not wait for the end" },
	{ OPT_ALL, "all", 'a', NULL, "all jobs" },
	{ OPT_SESSION, "session", '\0', "ID", "with --all: of that session" },
	{ OPT_TIMEOUT, "timeout", '\0', "SECONDS",
	    "how long to wait for an answer; the grace and 30" },
	JSON, END
};

static const struct kbox_option wait_options[] = {
	{ OPT_LIMIT, "timeout", '\0', "TIME",
	    "give up after that: 90s, 30m" },
	{ OPT_LOG, "log", '\0', "TEXT", "until a line of it has this in it" },
	{ OPT_REGEX, "regex", '\0', "ERE", "or matches this" },
	{ OPT_PORT, "port", '\0', "N", "until something listens there" },
	{ OPT_HTTP, "http", '\0', "PATH", "and answers GET PATH" },
	{ OPT_STATUS, "status", '\0', "CODES",
	    "with one of these: 204, 200-399; that is the default" },
	JSON, END
};

static const struct kbox_option rm_options[] = {
	{ OPT_DONE, "done", '\0', NULL, "all that have ended" },
	JSON, END
};

static const struct kbox_option last_options[] = {
	{ OPT_LAST, "num", 'n', "N", "how many, 15" },
	{ OPT_NO_TRUNC, "wide", 'w', NULL, "every column in full" },
	JSON, END
};

static const struct kbox_option apps_options[] = {
	JSON, SORT("name"), WATCH, TABLE, END
};

static const struct kbox_option validate_options[] = {
	{ OPT_FILE, "file", 'f', "FILE", "a .k8shell file" },
	{ OPT_COMPOSE, "compose", 'c', NULL, "also let the API server try" },
	JSON, END
};

static const struct kbox_option shutdown_options[] = {
	{ OPT_DELETE, "delete", '\0', NULL, "and delete the workspace" },
	{ OPT_YES, "yes", 'y', NULL, "delete without a question" },
	END
};

#define MANY	1000u

static const struct kbox_command commands[] = {
	{ .name = "streams", .alias = "channels", .usage = "",
	    .summary = "everything that is connected or running",
	    .text = "Shells, commands, forwarded ports and sockets, newest "
	    "first. DETACHED shells\nshow the time they have left as ttl.",
	    .options = streams_options, .run = kbox_streams },
	{ .name = "shells", .usage = "",
	    .summary = "shells, attached and detached",
	    .options = shells_options, .run = kbox_shells },
	{ .name = "shell", .usage = "[COMMAND [ARGUMENT...]]",
	    .summary = "start a session here and sit in it",
	    .text = "A shell, or a command, that goes on when the terminal is "
	    "closed. Ctrl-A D\nleaves it running, kbox attach comes back.",
	    .options = shell_options, .max_words = MANY, .rest = true,
	    .run = kbox_shell },
	{ .name = "attach", .usage = "[ID]", .max_words = 1,
	    .summary = "bring a detached shell to this terminal",
	    .text = "ID may be the start of one. Without it there is a choice. "
	    "Ctrl-A D detaches\nagain; a lost connection does the same.",
	    .options = attach_options, .run = kbox_attach },
	{ .name = "detach", .usage = "[ID]", .max_words = 1,
	    .summary = "leave this session, or another one, running",
	    .text = "Without ID: the session of this terminal. It waits for "
	    "kbox attach as long as\nthe daemon's configuration or --ttl "
	    "says.",
	    .options = detach_options, .run = kbox_detach },
	{ .name = "run", .usage = "COMMAND [ARGUMENT...]",
	    .summary = "run a job, here or in the background",
	    .text = "In the foreground its output is written here; its input "
	    "is /dev/null.\nCtrl-C interrupts it, again kills it, a "
	    "third time leaves it to the daemon to\nend. With -d it "
	    "outlives this terminal and this session. One word is a "
	    "command\nline for your shell, several are run as they "
	    "stand:\n"
	    "  kbox run -d --id web python3 -m http.server 8080\n"
	    "  kbox run 'make all && make install'\n"
	    "kbox shell is for what needs a terminal.\n\n"
	    "exit status:\n"
	    "  the command's own, 128+N if signal N ended it\n"
	    "  127  there is no such command\n"
	    "  126  it could not be started\n"
	    "  125  kbox itself failed: usage, no daemon, connection lost",
	    .options = run_options, .min_words = 1, .max_words = MANY,
	    .rest = true, .of_job = true, .run = kbox_run },
	{ .name = "ps", .alias = "jobs", .usage = "[ID]", .max_words = 1,
	    .summary = "jobs: what runs in the background",
	    .text = "Those that run, or have left processes behind; with ID "
	    "everything about one.",
	    .options = ps_options, .run = kbox_ps },
	{ .name = "wait", .usage = "ID...", .min_words = 1, .max_words = MANY,
	    .summary = "wait until jobs have ended, or one is ready",
	    .text = "  kbox wait build\n"
	    "  kbox wait lint unit docs --timeout 10m\n"
	    "  kbox wait web --port 8080 --http /health --timeout 30s\n"
	    "  kbox wait db --log 'ready to accept connections'\n\n"
	    "exit status:\n"
	    "  the job's own, of several the last one's; with --log, --regex "
	    "or --port\n  0: it is so, 1: it ended before\n"
	    "  124  --timeout is over\n"
	    "  125  kbox itself failed: usage, no such job, no daemon",
	    .options = wait_options, .of_job = true, .run = kbox_wait },
	{ .name = "kill", .alias = "stop", .usage = "ID...",
	    .max_words = MANY,
	    .summary = "end jobs, with all they have started, and shells",
	    .text = "Jobs: SIGTERM to every process, after the grace SIGKILL "
	    "to those that are left.\nShells: SIGHUP as if the terminal was "
	    "closed, then SIGKILL.",
	    .options = kill_options, .run = kbox_kill },
	{ .name = "rm", .usage = "ID... | --done", .max_words = MANY,
	    .summary = "forget jobs that have ended",
	    .options = rm_options, .run = kbox_rm },
	{ .name = "info", .usage = "",
	    .summary = "the workspace and what it uses",
	    .options = watch_options, .run = kbox_info },
	{ .name = "uptime", .usage = "",
	    .summary = "how long the workspace is up",
	    .text = "The load average is the use of the CPU limit in percent.",
	    .options = uptime_options, .run = kbox_uptime },
	{ .name = "logs", .usage = "[ID]", .max_words = 1,
	    .summary = "what a job has written, or the daemon has logged",
	    .text = "With ID: the job's output, unchanged, each stream on its "
	    "own; -f until it ends.\nWhat the daemon no longer has of it comes "
	    "from the job's log file.\nWithout: the daemon's log.",
	    .options = logs_options, .run = kbox_logs },
	{ .name = "splash", .usage = "", .options = json_option,
	    .summary = "the greeting of this workspace", .run = kbox_splash },
	{ .name = "profile", .alias = "identity", .usage = "",
	    .summary = "who you are here", .options = json_option,
	    .run = kbox_profile },
	{ .name = "user", .usage = "[name|email|username]", .max_words = 1,
	    .summary = "one line of the profile, for scripts",
	    .text = "name is the full name. Without a word it is kbox "
	    "profile.",
	    .options = json_option, .run = kbox_user },
	{ .name = "init-status", .usage = "",
	    .summary = "what became of the init scripts",
	    .options = init_options, .run = kbox_init_status },
	{ .name = "last", .usage = "",
	    .summary = "past sessions (needs the API server)",
	    .options = last_options, .run = kbox_last },
	{ .name = "apps", .usage = "[ls]", .max_words = 2,
	    .summary = "apps of this workspace",
	    .options = apps_options, .run = kbox_apps },
	{ .name = "credentials", .usage = "git|docker|kubernetes [ACTION]",
	    .min_words = 1, .max_words = 2,
	    .summary = "credential helpers (need the API server)",
	    .run = kbox_credentials },
	{ .name = "validate", .usage = "FILE", .max_words = 1,
	    .summary = "check a .k8shell file (needs the API server)",
	    .options = validate_options, .run = kbox_validate },
	{ .name = "shutdown", .usage = "",
	    .summary = "stop a standalone daemon; elsewhere by the API server",
	    .options = shutdown_options, .run = kbox_shutdown },
	{ .name = "passwd", .usage = "",
	    .summary = "change your password (needs the API server)",
	    .run = kbox_passwd },
	{ .name = "completion", .usage = "bash|zsh|fish", .min_words = 1,
	    .max_words = 1, .summary = "completion for your shell",
	    .text = "bash: source <(kbox completion bash)\n"
	    "zsh:  source <(kbox completion zsh)\n"
	    "fish: kbox completion fish | source",
	    .run = kbox_completion },
	{ .name = "help", .usage = "[COMMAND]", .max_words = 1,
	    .summary = "this, or what a command does", .run = kbox_help },
	{ .name = "version", .usage = "", .options = json_option,
	    .summary = "which kbox this is", .run = kbox_show_version },
	{ .name = "__complete", .usage = "", .max_words = MANY,
	    .run = kbox_complete },
};

const struct kbox_command *
kbox_command_at(size_t i)
{
	return i < ARRAY_LEN(commands) ? &commands[i] : NULL;
}

const struct kbox_command *
kbox_command_find(const char *name)
{
	size_t	i;

	for (i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, name) == 0 ||
		    (commands[i].alias != NULL &&
		    strcmp(commands[i].alias, name) == 0))
			return &commands[i];
	return NULL;
}

const struct kbox_option *
kbox_common_options(void)
{
	return common;
}

/* ---- help ---- */

/* A common option of which the command has something of its own to say. */
static bool
is_hidden(const struct kbox_option *o, const struct kbox_command *c)
{
	const struct kbox_option	*own = c != NULL ? c->options : NULL;

	for (; own != NULL && own->name != NULL; own++)
		if (strcmp(own->name, o->name) == 0)
			return true;
	return false;
}

static void
show_options(const struct kbox_option *o, const struct kbox_command *c)
{
	char	text[64];
	size_t	n;

	for (; o != NULL && o->name != NULL; o++) {
		if (is_hidden(o, c))
			continue;
		n = (size_t)snprintf(text, sizeof text, "  %c%c%s --%s%s%s",
		    o->letter != '\0' ? '-' : ' ',
		    o->letter != '\0' ? o->letter : ' ',
		    o->letter != '\0' ? "," : " ", o->name,
		    o->value == NULL ? "" : o->value[0] == '[' ? "[=" : " ",
		    o->value == NULL ? "" :
		    o->value + (o->value[0] == '['));
		if (n >= HELP_COLUMN)
			printf("%s\n%*s%s\n", text, HELP_COLUMN + 2, "",
			    o->help);
		else
			printf("%-*s  %s\n", HELP_COLUMN, text, o->help);
	}
}

static void
show_command(const struct kbox_command *c, const char *name)
{
	printf("usage: %s [OPTION...]%s%s\n\n%s\n", name,
	    c->usage[0] != '\0' ? " " : "", c->usage,
	    c->summary != NULL ? c->summary : "");
	if (c->text != NULL)
		printf("\n%s\n", c->text);
	if (c->alias != NULL)
		printf("\nAlso known as: %s\n", c->alias);
	printf("\noptions:\n");
	show_options(c->options, NULL);
	show_options(common, c);
}

static void
show_all(void)
{
	size_t	i;

	printf("usage: kbox [OPTION...] COMMAND [ARGUMENT...]\n\n"
	    "Talks to the daemon of this workspace.\n\ncommands:\n");
	for (i = 0; i < ARRAY_LEN(commands); i++)
		if (commands[i].summary != NULL)
			printf("  %-12s %s\n", commands[i].name,
			    commands[i].summary);
	printf("\noptions:\n");
	show_options(common, NULL);
	printf("\nexit status: 0 done, 1 failed, 2 wrong usage, 3 not found, "
	    "4 daemon not\nreachable, 5 API server needed, 6 refused, "
	    "130 interrupted;\nof run and wait the job's own, see their "
	    "help\n");
}

static int
no_command(struct kbox *k, const char *word)
{
	const char	*near = kbox_nearest(word);

	(void)kbox_fail(k, 0, "no command \"%s\"", word);
	if (near != NULL)
		kbox_hint("did you mean kbox %s?", near);
	else
		kbox_hint("kbox help lists the commands");
	return KBOX_USAGE;
}

int
kbox_help(struct kbox *k)
{
	const struct kbox_command	*c;

	if (k->nwords == 0) {
		show_all();
		return KBOX_OK;
	}
	if ((c = kbox_command_find(k->words[0])) == NULL)
		return no_command(k, k->words[0]);
	show_command(c, kbox_printf(k, "kbox %s", c->name));
	return KBOX_OK;
}

int
kbox_show_version(struct kbox *k)
{
	if (k->values[OPT_JSON] != NULL)
		printf("{\n  \"version\": \"%s\",\n  \"commit\": \"%s\"\n}\n",
		    version_string(), version_commit());
	else
		version_print("kbox");
	return KBOX_OK;
}

/* ---- the terminal ---- */

/* COLUMNS, else the terminal's own idea; a pipe has no width. */
static unsigned
find_columns(const struct kbox *k)
{
	const char	*env = getenv("COLUMNS");
	struct winsize	 ws;
	uint32_t	 n;

	if (env != NULL && str_to_u32(env, UINT16_MAX, &n) == 0 && n > 0)
		return n;
	if (!k->tty)
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0)
		return ws.ws_col;
	return 80;
}

static bool
is_set(const char *name)
{
	const char	*v = getenv(name);

	return v != NULL && v[0] != '\0';
}

static int
find_color(struct kbox *k)
{
	const char	*when = k->values[OPT_COLOR], *term = getenv("TERM");

	if (when != NULL && strcmp(when, "never") != 0 &&
	    strcmp(when, "always") != 0 && strcmp(when, "auto") != 0 &&
	    when[0] != '\0')
		return kbox_fail(k, KBOX_USAGE, "--color is auto, always or "
		    "never, not \"%s\"", when);
	if (k->values[OPT_NO_ANSI] != NULL)
		k->color = false;
	else if (when != NULL && strcmp(when, "auto") != 0)
		k->color = strcmp(when, "never") != 0;
	else if (is_set("NO_COLOR"))
		k->color = false;
	else
		k->color = is_set("CLICOLOR_FORCE") || (k->tty &&
		    (term == NULL || strcmp(term, "dumb") != 0));
	return 0;
}

static int
find_timeout(struct kbox *k)
{
	const char	*text = k->values[OPT_TIMEOUT];
	int64_t		 ms = TIMEOUT_MS;

	if (text != NULL && ((ms = kbox_parse_span(text)) <= 0 ||
	    ms > INT32_MAX))
		return kbox_fail(k, KBOX_USAGE, "--timeout is a number of "
		    "seconds, not \"%s\"", text);
	k->timeout_ms = (uint32_t)ms;
	return 0;
}

/* ---- running ---- */

static int
watch(struct kbox *k)
{
	const char	*text = k->values[OPT_WATCH];
	int64_t		 ms = text[0] != '\0' ? kbox_parse_span(text) :
			    WATCH_MS;
	struct arena	 kept = k->arena;
	struct timespec	 pause;

	if (ms < WATCH_MIN_MS)
		return kbox_fail(k, KBOX_USAGE, "--watch is a number of "
		    "seconds from 0.1 up, not \"%s\"", text);
	pause = (struct timespec){ ms / 1000, ms % 1000 * 1000000 };
	for (;;) {
		arena_init(&k->arena, ARENA_MAX);
		k->columns = find_columns(k);
		if (k->tty && k->values[OPT_NO_ANSI] == NULL)
			fputs("\033[H\033[2J", stdout);
		(void)k->command->run(k);
		if (!k->tty || k->values[OPT_NO_ANSI] != NULL)
			putchar('\n');
		if (fflush(stdout) != 0)
			break;
		arena_finish(&k->arena);
		(void)nanosleep(&pause, NULL);
	}
	arena_finish(&k->arena);
	k->arena = kept;
	return KBOX_OK;
}

static int
run(struct kbox *k)
{
	int	r;

	if (k->values[OPT_VERSION] != NULL)
		return kbox_show_version(k);
	if (k->values[OPT_HELP] != NULL) {
		if (k->command == NULL)
			show_all();
		else
			show_command(k->command, k->name);
		return KBOX_OK;
	}
	if (k->command == NULL) {
		show_all();
		return KBOX_OK;
	}
	k->tty = isatty(STDOUT_FILENO) == 1;
	k->columns = find_columns(k);
	if ((r = find_color(k)) != 0 || (r = find_timeout(k)) != 0)
		return r;
	return k->values[OPT_WATCH] != NULL ? watch(k) : k->command->run(k);
}

/*
 * Common options may stand before the command: the command is the first word
 * that is not one of theirs or the value of one.
 */
static int
command_index(int argc, char **argv)
{
	const struct kbox_option	*o;
	int				 i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--") == 0)
			return i + 1;
		for (o = common; o->name != NULL; o++)
			if (str_prefix(argv[i], "--") &&
			    strcmp(argv[i] + 2, o->name) == 0 &&
			    o->value != NULL && o->value[0] != '[')
				i++;
	}
	return i;
}

static int
start(struct kbox *k, int argc, char **argv)
{
	int	at = command_index(argc, argv), i, r;
	char	**rest;

	if (strcmp(argv[0], "kbox") != 0 &&
	    (k->command = kbox_command_find(argv[0])) != NULL) {
		k->name = argv[0];	/* a wrapper's name, such as uptime */
		r = kbox_args(k, argc - 1, argv + 1);
		return r != 0 ? r : run(k);
	}
	k->name = "kbox";
	if (at < argc && (k->command = kbox_command_find(argv[at])) == NULL)
		return no_command(k, argv[at]);
	if (k->command != NULL)
		k->name = kbox_printf(k, "kbox %s", k->command->name);
	rest = kbox_alloc(k, ((size_t)argc + 1) * sizeof *rest);
	for (i = 1, r = 0; i < argc; i++)
		if (i != at)
			rest[r++] = argv[i];
	r = kbox_args(k, r, rest);
	return r != 0 ? r : run(k);
}

/* What a job would mean by a number, we must not. */
static int
exit_status(const struct kbox *k, int r)
{
	if ((r & KBOX_EXACT(0)) != 0)
		return r & 0xff;
	if (r != KBOX_OK && k->command != NULL && k->command->of_job)
		return KBOX_OWN;
	return r;
}

int
kbox_main(int argc, char **argv)
{
	struct kbox	k = { .command = NULL };
	char		*base;
	int		 r;

	arena_init(&k.arena, ARENA_MAX);
	base = kbox_printf(&k, "%s", path_base(argv[0]));
	argv[0] = base;
	r = exit_status(&k, start(&k, argc, argv));
	if (fflush(stdout) != 0 || ferror(stdout) != 0) {
		if (errno != EPIPE)
			fprintf(stderr, "kbox: standard output: %s\n",
			    strerror(errno));
		r = r != KBOX_OK ? r : exit_status(&k, KBOX_FAILED);
	}
	arena_finish(&k.arena);
	return r;
}
