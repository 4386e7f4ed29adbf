/*
 * kssh - an ssh-like client: one connection, one shell or one command.
 */
#include <errno.h>
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

void
kssh_fail(struct kssh *k, const char *what, const char *why)
{
	if (!k->over)
		kssh_say(k, what, why);
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
		kssh_finish(k, 128 + signo);
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
	size_t		 i, n = k->pty ? ARRAY_LEN(names) :
			    ARRAY_LEN(names) - 2;

	for (i = 0; i < n && k->opt.nenv < KSSH_ENV_MAX; i++)
		if ((v = getenv(names[i])) != NULL)
			k->opt.env[k->opt.nenv++] = xasprintf("%s=%s",
			    names[i], v);
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
		kssh_say(k, "no terminal here, so none there (-tt to force)", NULL);
	if (k->opt.subsystem) {
		if (strcmp(k->opt.command, "sftp") != 0) {
			kssh_say(k, "unknown subsystem", k->opt.command);
			return -1;
		}
		free(k->opt.command);
		k->opt.command = xstrdup(SFTP_COMMAND);
	}
	k->escapes = (struct kssh_escapes){
		.character = k->opt.escape, .line_start = true,
	};
	make_id(k);
	default_env(k);
	return 0;
}

static int
set_up(struct kssh *k)
{
	static const int	signals[] = {
		SIGWINCH, SIGCONT, SIGINT, SIGTERM, SIGHUP, SIGQUIT, 0
	};

	if (choose_mode(k) < 0 || kssh_prepare(k) < 0)
		return -1;
	if ((k->loop = loop_create()) == NULL ||
	    (k->sig = sig_create(k->loop, signals, on_signal, k)) == NULL ||
	    kssh_sink_init(k, &k->out, STDOUT_FILENO) < 0 ||
	    kssh_sink_init(k, &k->err, STDERR_FILENO) < 0) {
		kssh_say(k, "cannot start", strerror(ENOMEM));
		return -1;
	}
	k->connect_timer.fn = connect_on_timeout;
	k->connect_timer.arg = k;
	loop_timer_set(k->loop, &k->connect_timer, loop_now(k->loop) +
	    k->opt.connect_timeout_s * 1000ull);
	return 0;
}

static void
tear_down(struct kssh *k)
{
	kssh_tty_restore(&k->tty);
	if (k->loop == NULL)
		return;
	loop_forget(&k->in);
	loop_forget(&k->out.io);
	loop_forget(&k->err.io);
	loop_timer_clear(&k->connect_timer);
	grpc_client_destroy(k->client);
	buf_finish(&k->out.queue);
	buf_finish(&k->err.queue);
	sig_destroy(k->sig);
	loop_destroy(k->loop);
	tls_trust_destroy(k->trust);
}

int
kssh_main(int argc, char **argv)
{
	struct kssh	*k = xcalloc(1, sizeof *k);
	int		 r;

	if ((r = kssh_options_parse(&k->opt, argc, argv)) >= 0)
		return r;
	k->status = KSSH_TROUBLE;
	log_setup(k->opt.verbose > 1 ? LOG_DEBUG : LOG_ERROR, STDERR_FILENO);
	if (set_up(k) == 0) {
		kssh_connect(k, "no address");
		if (!k->over)
			loop_run(k->loop);
	}
	tear_down(k);
	r = k->status;
	if (k->bearer != NULL)
		secret_wipe(k->bearer, strlen(k->bearer));
	free(k);
	return r;
}
