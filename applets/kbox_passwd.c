/*
 * kbox passwd: asks for the password, which is the API server's, without
 * showing it.
 *
 * The current one is asked for whoever says that he came by sudo: the
 * environment is anybody's to write, and the server has the last word
 * (weakness 7.1.7 of spec/rest-kbox.md).  Enter alone leaves it out.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "applets/kbox.h"
#include "applets/kbox_tty.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#define PASSWORD_MAX	256

struct secret {
	char	 text[PASSWORD_MAX];
	int	 signal;		/* has ended the asking, or 0 */
};

/* Until a line or a signal is there. */
static int
wait_line(struct kbox_tty *t, int *signal)
{
	struct pollfd	fds[2] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = t->signals, .events = POLLIN },
	};
	int		sig;

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return -errno;
		while ((sig = kbox_tty_signal(t)) != 0) {
			if (sig == SIGWINCH)
				continue;
			*signal = sig;
			return -EINTR;
		}
		if (fds[0].revents != 0)
			return 0;
	}
}

/*
 * The keyboard's own editing and Ctrl-C stay; only the echo goes.  A signal
 * comes out of t, so that the echo is there again behind it.
 */
static int
read_line(struct kbox_tty *t, struct secret *s)
{
	struct termios	quiet = t->state.saved;
	ssize_t		n;
	int		r;

	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_lflag |= ICANON | ISIG;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) < 0)
		return -errno;
	if ((r = wait_line(t, &s->signal)) < 0)
		return r;
	n = read(STDIN_FILENO, s->text, sizeof s->text - 1);
	if (n <= 0 || s->text[n - 1] != '\n')
		return -EINVAL;
	s->text[n - 1] = '\0';
	return 0;
}

/* A line from the terminal, unseen.  0 or -errno. */
static int
ask(const char *prompt, struct secret *s)
{
	struct kbox_tty	t;
	int		r;

	if ((r = kbox_tty_take(&t)) < 0)
		return r;
	fputs(prompt, stdout);
	fflush(stdout);
	r = read_line(&t, s);
	kbox_tty_give_back(&t, r < 0);	/* half a password is not for sh */
	putchar('\n');
	fflush(stdout);
	return r;
}

static int
ask_all(struct secret *old, struct secret *new, struct secret *again)
{
	int	r;

	if ((r = ask("Current password: ", old)) == 0)
		r = ask("New password: ", new);
	if (r == 0 && new->text[0] == '\0')
		r = -EINVAL;
	if (r == 0)
		r = ask("New password again: ", again);
	return r;
}

static int
send_password(struct kbox *k, const char *old, const char *new)
{
	struct kbox_request	 q = {
		.method = "PUT", .target = KBOX_API "/password"
	};
	struct kbox_answer	 a;
	struct json_out		 o;
	struct buf		 body;
	int			 r = KBOX_FAILED;

	buf_init(&body, 8 * PASSWORD_MAX);
	json_out_init(&o, &body);
	json_put_object(&o, NULL);
	json_put_string(&o, "password", new);
	if (old[0] != '\0')
		json_put_string(&o, "currentPassword", old);
	json_put_end(&o, '}');
	if (json_put_done(&o) == 0 && buf_put_u8(&body, 0) == 0) {
		q.body = (const char *)buf_head(&body);
		r = kbox_call(k, &q, &a);
	}
	buf_wipe(&body);
	return r;
}

int
kbox_passwd(struct kbox *k)
{
	struct secret	old = { .signal = 0 }, new = old, again = old;
	int		r = ask_all(&old, &new, &again);

	if (r == -EINTR)
		r = 128 + (old.signal | new.signal | again.signal);
	else if (r < 0)
		r = kbox_fail(k, KBOX_FAILED, r == -EINVAL ?
		    "no password was given" :
		    "standard input has to be a terminal");
	else if (strcmp(new.text, again.text) != 0)
		r = kbox_fail(k, KBOX_FAILED, "the two are not the same");
	else if ((r = send_password(k, old.text, new.text)) == KBOX_OK)
		puts("The password is changed.");
	secret_wipe(&old, sizeof old);
	secret_wipe(&new, sizeof new);
	secret_wipe(&again, sizeof again);
	return r;
}
