/*
 * kssh - an ssh-like client: one connection, one shell or one command.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "applets/applet.h"
#include "applets/kssh.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/sig.h"
#include "net/tls.h"

#define SFTP_COMMAND	"/usr/local/bin/sftp"

void
kssh_say(const struct kssh *k, const char *what, const char *why)
{
	char	text[1024], clean[1024];

	if (k->opt.quiet)
		return;
	snprintf(text, sizeof text, "%s%s%s", what, why != NULL ? ": " : "",
	    why != NULL ? why : "");
	log_escape(text, strlen(text), clean, sizeof clean);
	fprintf(stderr, "kssh: %s%s\n", clean, k->tty.raw ? "\r" : "");
}

void
kssh_say_last(struct kssh *k, const char *what, const char *why)
{
	if (k->words[0] == '\0')
		snprintf(k->words, sizeof k->words, "%s%s%s", what,
		    why != NULL ? ": " : "", why != NULL ? why : "");
}

void
kssh_debug(const struct kssh *k, const char *what, const char *detail)
{
	if (k->opt.verbose > 0)
		fprintf(stderr, "kssh: debug: %s %s%s\n", what, detail,
		    k->tty.raw ? "\r" : "");
}

/* Ends once what was received has been written. */
void
kssh_try_stop(struct kssh *k)
{
	if (k->over && k->out.queue.len == 0 && k->err.queue.len == 0)
		loop_stop(k->loop);
}

void
kssh_finish(struct kssh *k, int status)
{
	if (k->over)
		return;
	k->over = true;
	k->status = status;
	loop_forget(&k->in);
	kssh_try_stop(k);
}

/* What is still queued may have nobody to take it. */
void
kssh_quit(struct kssh *k, int status)
{
	buf_clear(&k->out.queue);
	buf_clear(&k->err.queue);
	kssh_finish(k, status);
	kssh_try_stop(k);
}

void
kssh_fail(struct kssh *k, const char *what, const char *why)
{
	if (!k->over)
		kssh_say_last(k, what, why);
	kssh_finish(k, KSSH_TROUBLE);
}

static void
connect_on_timeout(void *arg)
{
	struct kssh	*k = arg;

	kssh_fail(k, "no answer from the server", "timed out");
}

static void
on_signal(void *arg, int signo)
{
	struct kssh	*k = arg;

	switch (signo) {
	case SIGWINCH:
		kssh_resize(k);
		break;
	case SIGCONT:
		if (k->tty.raw) {
			kssh_tty_raw(&k->tty);
			kssh_resize(k);
		}
		break;
	default:
		kssh_quit(k, 128 + signo);
		break;
	}
}

static void
make_id(struct kssh *k)
{
	static const char	letters[] =
		    "abcdefghijklmnopqrstuvwxyz0123456789";
	uint8_t			r[2] = { 0, 0 };

	(void)getrandom(r, sizeof r, 0);
	snprintf(k->id, sizeof k->id, "%s-local-%d-%c%c1",
	    k->opt.subsystem ? "sf" : k->exec ? "ex" : "sh", (int)getpid(),
	    letters[r[0] % 36], letters[r[1] % 36]);
}

/* Like ssh on Debian: the terminal's type and the locale go along. */
static void
default_env(struct kssh *k)
{
	static const char *const names[] = {
		"LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "LC_COLLATE",
		"LC_TIME", "LC_NUMERIC", "LC_MONETARY", "TERM", "COLORTERM",
	};
	const char	*v;
	char		*assignment;
	size_t		 i, n = k->pty ? ARRAY_LEN(names) :
			    ARRAY_LEN(names) - 2;

	for (i = 0; i < n; i++) {
		if ((v = getenv(names[i])) == NULL)
			continue;
		assignment = xasprintf("%s=%s", names[i], v);
		kssh_options_env(&k->opt, assignment);
		free(assignment);
	}
}

static int
check_text(const struct kssh *k, const char *what, const char *s)
{
	if (utf8_valid(s, strlen(s)))
		return 0;
	kssh_say(k, what, "not valid UTF-8, which the protocol demands");
	return -1;
}

static int
choose_command(struct kssh *k)
{
	unsigned	i;

	if (k->opt.subsystem) {
		if (strcmp(k->opt.command, "sftp") != 0) {
			kssh_say(k, "unknown subsystem", k->opt.command);
			return -1;
		}
		free(k->opt.command);
		k->opt.command = xstrdup(SFTP_COMMAND);
	}
	for (i = 0; i < k->opt.nenv; i++)
		if (check_text(k, "environment", k->opt.env[i]) < 0)
			return -1;
	return !k->exec ? 0 : check_text(k, "command", k->opt.command);
}

static int
choose_mode(struct kssh *k)
{
	enum kssh_tty	tty = k->opt.tty;
	bool		terminal = isatty(STDIN_FILENO) != 0;

	k->exec = k->opt.command != NULL;
	k->pty = tty == TTY_FORCE || (tty == TTY_ASK && terminal) ||
	    (tty == TTY_AUTO && !k->exec && terminal);
	if (tty == TTY_ASK && !terminal)
		kssh_say(k, "no terminal here, so none there (-tt to force)",
		    NULL);
	if ((k->opt.keep || k->opt.attach != NULL) && !k->pty) {
		kssh_say(k, "standard input is not a terminal, and only a "
		    "shell on one can be detached", "-tt does without ours");
		return -1;
	}
	k->escapes = (struct kssh_escapes){
		.character = k->opt.escape, .line_start = true,
	};
	make_id(k);
	default_env(k);
	return choose_command(k);
}

/* A descriptor of ours must not come to be number 0, 1 or 2. */
static int
standard_fds(const struct kssh *k)
{
	int	fd, r = 0;

	while ((fd = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0 &&
	    fd <= STDERR_FILENO)
		continue;
	if (k->opt.no_stdin && (r = dup2(fd, STDIN_FILENO)) < 0)
		kssh_say(k, "/dev/null", strerror(errno));
	if (fd > STDERR_FILENO)
		close(fd);
	return r;
}

/* What nohup or a shell's "&" has us ignore stays ignored. */
static struct sig *
take_signals(struct kssh *k)
{
	static const int	wanted[] = {
		SIGWINCH, SIGCONT, SIGINT, SIGTERM, SIGHUP, SIGQUIT,
	};
	struct sigaction	now;
	int			signals[ARRAY_LEN(wanted) + 1] = { 0 };
	size_t			i, n = 0;

	for (i = 0; i < ARRAY_LEN(wanted); i++)
		if (sigaction(wanted[i], NULL, &now) < 0 ||
		    now.sa_handler != SIG_IGN)
			signals[n++] = wanted[i];
	return sig_create(k->loop, signals, on_signal, k);
}

static int
set_up(struct kssh *k)
{
	if (standard_fds(k) < 0 || choose_mode(k) < 0 || kssh_prepare(k) < 0)
		return -1;
	if ((k->loop = loop_create()) == NULL ||
	    (k->sig = take_signals(k)) == NULL ||
	    kssh_sink_init(k, &k->out, STDOUT_FILENO) < 0 ||
	    kssh_sink_init(k, &k->err, STDERR_FILENO) < 0) {
		kssh_say(k, "cannot start", strerror(errno));
		return -1;
	}
	k->connect_timer.fn = connect_on_timeout;
	k->connect_timer.arg = k;
	if (k->opt.connect_timeout_s > 0)
		loop_timer_set(k->loop, &k->connect_timer, loop_now(k->loop) +
		    k->opt.connect_timeout_s * 1000ull);
	return 0;
}

/*
 * A program that goes on without us keeps its screen, mouse and colours; our
 * terminal doesn't.  One try: a terminal that is stopped is not waited for.
 */
static void
give_back(struct kssh *k)
{
	char	out[VT_RESTORE_MAX + 8];
	size_t	n = 0;

	if (k->out.vt != NULL) {
		n = vt_undo(&k->vt, out);
		if (k->fate != FATE_NONE)
			n += (size_t)snprintf(out + n, sizeof out - n,
			    "\033[0m\r\n");
	}
	if (n > 0 && write(k->out.io.fd, out, n) < 0)
		kssh_debug(k, "terminal:", strerror(errno));
	kssh_tty_restore(&k->tty);
}

static void
last_words(const struct kssh *k)
{
	char	id[4 * sizeof k->id];

	if (k->words[0] != '\0')
		kssh_say(k, k->words, NULL);
	if (k->opt.quiet)
		return;
	log_escape(k->id, strlen(k->id), id, sizeof id);
	if (k->fate == FATE_DETACHED)
		fprintf(stderr, "[detached from %s; kssh --attach %s brings it "
		    "back]\n", id, id);
	else if (k->fate == FATE_STAYS)
		fprintf(stderr, "[kssh --attach %s brings it back]\n", id);
}

static void
tear_down(struct kssh *k)
{
	if (k->loop != NULL) {
		give_back(k);
		loop_forget(&k->in);
		kssh_sink_finish(&k->out);
		kssh_sink_finish(&k->err);
		loop_timer_clear(&k->connect_timer);
		grpc_client_abort(k->client);
		sig_destroy(k->sig);
		loop_drain(k->loop);
		loop_destroy(k->loop);
	}
	tls_trust_destroy(k->trust);
	if (k->bearer != NULL)
		secret_wipe(k->bearer, strlen(k->bearer));
	free(k->bearer);
	last_words(k);
}

static int
run(struct kssh *k)
{
	int	r;

	k->status = KSSH_TROUBLE;
	log_setup(k->opt.verbose > 1 ? LOG_DEBUG : LOG_ERROR, STDERR_FILENO);
	if (set_up(k) == 0) {
		kssh_connect(k, "no address");
		if (!k->over && (r = loop_run(k->loop)) < 0)
			kssh_fail(k, "cannot go on", strerror(-r));
	}
	tear_down(k);
	return k->status;
}

int
kssh_main(int argc, char **argv)
{
	struct kssh	*k = xcalloc(1, sizeof *k);
	int		 r;

	if ((r = kssh_options_parse(&k->opt, argc, argv)) < 0)
		r = run(k);
	kssh_options_finish(&k->opt);
	free(k);
	return r;
}
