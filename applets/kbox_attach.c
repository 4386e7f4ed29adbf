/*
 * attach: the terminal becomes that of a session (POST /shells/{id}/attach,
 * then raw bytes both ways).
 *
 * Nothing typed is looked at here: Ctrl-A D is the daemon's business.  What
 * the daemon does with a session whose client goes is its own, too; so when
 * the terminal is lost, we just go.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "applets/kbox_sessions.h"
#include "applets/kbox_text.h"
#include "applets/kbox_tty.h"
#include "base/buf.h"
#include "base/str.h"
#include "workspace/vt.h"

#define PIECE		(32u * 1024)
#define QUEUE_MAX	(256u * 1024)	/* typed or pasted, not yet taken */
#define HEAD_MAX	8192u
#define RESIZE_MS	2000

struct sitting {
	struct kbox	*k;
	const char	*id;
	char		*path;		/* KBOX_API "/shells/ID" */
	int		 fd;
	struct kbox_tty	 tty;
	struct buf	 up, down;	/* to the daemon, to the terminal */
	struct vt	 vt;		/* what that made of the terminal */
	bool		 fresh;		/* we have just started it */
	bool		 ended;		/* before we came */
	bool		 gone;		/* the daemon has closed */
	int		 signal;	/* that ended us */
	int		 error;		/* of the connection, -errno */
};

/* ---- getting in ---- */

/* The head of the answer and no more: what follows belongs to the session. */
static int
read_head(struct sitting *s, char *head, size_t room)
{
	struct pollfd	p = { .fd = s->fd, .events = POLLIN };
	const char	*end;
	size_t		n = 0, take;
	ssize_t		r;

	while (n + 1 < room) {
		r = recv(s->fd, head + n, room - 1 - n, MSG_PEEK);
		if (r > 0) {
			head[n + (size_t)r] = '\0';
			end = strstr(head, "\r\n\r\n");
			take = end != NULL ? (size_t)(end + 4 - head) - n :
			    (size_t)r;
			(void)recv(s->fd, head + n, take, 0);
			n += take;
			head[n] = '\0';
			if (end != NULL)
				return 0;
		} else if (r == 0) {
			return -ECONNRESET;
		} else if (errno != EAGAIN && errno != EINTR) {
			return -errno;
		} else if (poll(&p, 1, (int)s->k->timeout_ms) == 0) {
			return -ETIMEDOUT;
		}
	}
	return -EMSGSIZE;
}

/* Collects the sentence behind a refusal. */
static int
refused(struct sitting *s, unsigned status, const char *head)
{
	struct kbox_answer	a = {
		.status = status,
		.full = strstr(head, "\r\nRetry-After:") != NULL
	};
	struct pollfd		p = { .fd = s->fd, .events = POLLIN };
	size_t			room = 1024;
	ssize_t			n;
	int			r;

	a.body = kbox_alloc(s->k, room + 1);
	while (a.len < room && poll(&p, 1, RESIZE_MS) == 1) {
		n = recv(s->fd, a.body + a.len, room - a.len, 0);
		if (n <= 0)
			break;
		a.len += (size_t)n;
	}
	if (status == 404 && s->fresh) {
		fprintf(stderr, "[%s has ended already]\n",
		    kbox_clean(s->k, s->id));
		s->ended = true;
		return KBOX_OK;
	}
	r = kbox_refused(s->k, &a, false);
	if (status == 409)
		kbox_hint("somebody is attached to it; kbox detach %s lets go",
		    kbox_clean(s->k, s->id));
	return r;
}

/* Of "HTTP/1.1 404 Not Found"; 0: it is none. */
static unsigned
status_of(const char *head)
{
	char		text[4] = "";
	uint32_t	status = 0;

	if (str_prefix(head, "HTTP/1.") && head[7] != '\0' && head[8] == ' ')
		memcpy(text, head + 9, strnlen(head + 9, 3));
	return str_to_u32(text, 999, &status) == 0 ? status : 0;
}

static int
ask_in(struct sitting *s)
{
	char		*request, head[HEAD_MAX];
	uint32_t	 cols, rows;
	unsigned	 status;
	int		 r;

	kssh_tty_size(&cols, &rows);
	request = kbox_printf(s->k, "POST %s/attach?width=%u&height=%u "
	    "HTTP/1.1\r\nHost: unix\r\nContent-Length: 0\r\n\r\n", s->path,
	    cols, rows);
	if ((s->fd = kbox_connect(s->k, false)) < 0)
		return KBOX_NO_DAEMON;
	if ((r = kbox_send(s->k, s->fd, request, strlen(request))) == 0)
		r = read_head(s, head, sizeof head);
	if (r < 0)
		return kbox_fail(s->k, KBOX_NO_DAEMON, "%s: %s", s->k->socket,
		    strerror(-r));
	if (str_prefix(head, "HTTP/1.1 101"))
		return KBOX_OK;
	if ((status = status_of(head)) < 400)
		return kbox_fail(s->k, KBOX_FAILED, "%s: not an answer to "
		    "attach: %.*s", s->k->socket, (int)strcspn(head, "\r"),
		    head);
	return refused(s, status, head);
}

/* On a connection of its own; a daemon that is slow is not waited for long. */
static void
send_size(struct sitting *s)
{
	struct kbox		 quick = *s->k;
	struct kbox_request	 q = { .method = "POST", .quiet = true };
	struct kbox_answer	 a;
	uint32_t		 cols, rows;

	quick.timeout_ms = RESIZE_MS;
	arena_init(&quick.arena, PIECE * 16);
	kssh_tty_size(&cols, &rows);
	q.target = kbox_printf(&quick, "%s/resize", s->path);
	q.body = kbox_printf(&quick, "{\"width\":%u,\"height\":%u}", cols,
	    rows);
	(void)kbox_call(&quick, &q, &a);
	arena_finish(&quick.arena);
}

/* ---- being there ---- */

static void
on_signals(struct sitting *s)
{
	bool	resized = false;
	int	sig;

	while ((sig = kbox_tty_signal(&s->tty)) != 0) {
		if (sig == SIGWINCH)
			resized = true;
		else
			s->signal = sig;
	}
	if (resized && s->signal == 0)
		send_size(s);
}

static void
on_keys(struct sitting *s)
{
	uint8_t	*p;
	ssize_t	 n;

	if (buf_reserve(&s->up, PIECE, &p) < 0)
		return;
	n = read(STDIN_FILENO, p, PIECE);
	if (n > 0)
		buf_commit(&s->up, (size_t)n);
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		s->signal = SIGHUP;	/* the terminal is not there any more */
}

static void
on_session(struct sitting *s)
{
	uint8_t	*p;
	ssize_t	 n;

	if (buf_reserve(&s->down, PIECE, &p) < 0)
		return;
	n = recv(s->fd, p, PIECE, 0);
	if (n > 0) {
		buf_commit(&s->down, (size_t)n);
	} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
		s->gone = true;
		s->error = n < 0 ? -errno : 0;
	}
}

static void
write_up(struct sitting *s)
{
	ssize_t	n = send(s->fd, buf_head(&s->up), s->up.len, MSG_NOSIGNAL);

	if (n > 0)
		buf_drain(&s->up, (size_t)n);
	else if (n < 0 && errno != EINTR && errno != EAGAIN)
		buf_clear(&s->up);	/* its end comes by reading */
}

/* Blocks if the terminal is stopped (Ctrl-S): that is what it asks for. */
static void
write_down(struct sitting *s)
{
	size_t	n = s->down.len < 4096 ? s->down.len : 4096;
	ssize_t	w = write(STDOUT_FILENO, buf_head(&s->down), n);

	if (w > 0) {
		vt_feed(&s->vt, buf_head(&s->down), (size_t)w);
		buf_drain(&s->down, (size_t)w);
	} else if (w < 0 && errno != EINTR && errno != EAGAIN) {
		s->signal = SIGHUP;
	}
}

/* All output is shown before the end is told. */
static void
sit(struct sitting *s)
{
	struct pollfd	p[4];

	while (s->signal == 0 && (!s->gone || s->down.len > 0)) {
		p[0] = (struct pollfd){ .fd = s->tty.signals,
		    .events = POLLIN };
		p[1] = (struct pollfd){ .fd = s->gone ||
		    buf_room(&s->up) < PIECE ? -1 : STDIN_FILENO,
		    .events = POLLIN };
		p[2] = (struct pollfd){ .fd = s->gone ? -1 : s->fd };
		if (buf_room(&s->down) >= PIECE)
			p[2].events |= POLLIN;
		if (s->up.len > 0)
			p[2].events |= POLLOUT;
		if (p[2].events == 0)
			p[2].fd = -1;
		p[3] = (struct pollfd){ .fd = s->down.len > 0 ?
		    STDOUT_FILENO : -1, .events = POLLOUT };
		if (poll(p, 4, -1) < 0)
			continue;
		if (p[0].revents != 0)
			on_signals(s);
		if (p[1].revents != 0)
			on_keys(s);
		if ((p[2].revents & ~POLLOUT) != 0)
			on_session(s);
		if ((p[2].revents & POLLOUT) != 0 && !s->gone)
			write_up(s);
		if (p[3].revents != 0)
			write_down(s);
	}
}

/* ---- getting out ---- */

/* A program left on its own keeps its screen, mouse and cursor; we don't. */
static void
undo_modes(const struct sitting *s)
{
	char	out[VT_RESTORE_MAX];

	fwrite(out, 1, vt_undo(&s->vt, out), stdout);
	if (s->k->color)
		fputs("\033[0m", stdout);
	fflush(stdout);
}

/* The connection does not say why it ended; the list of shells does. */
static int
tell_end(struct sitting *s)
{
	struct kbox		*k = s->k;
	const struct value	*v;
	struct value		*list;
	struct kbox_request	 q = {
		.method = "GET", .target = KBOX_API "/shells", .quiet = true
	};
	struct kbox_answer	 a;
	const char		*id = kbox_clean(k, s->id);

	if (s->signal != 0)
		return 128 + s->signal;
	fputs("\r\n", stderr);
	if (kbox_call(k, &q, &a) == KBOX_OK &&
	    (list = value_parse(k, &a)) != NULL) {
		for (v = list->kids; v != NULL; v = v->next)
			if (strcmp(value_text(v, "id"), s->id) == 0)
				break;
		fprintf(stderr, v != NULL ?
		    "[detached from %s; kbox attach %s brings it back]\n" :
		    "[%s has ended]\n", id, id);
		return KBOX_OK;
	}
	return kbox_fail(k, KBOX_NO_DAEMON, "the connection to the daemon is "
	    "lost%s%s", s->error != 0 ? ": " : "",
	    s->error != 0 ? strerror(-s->error) : "");
}

static int
check_terminal(struct kbox *k)
{
	if (isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1)
		return KBOX_OK;
	return kbox_fail(k, KBOX_FAILED, "standard input and output have to "
	    "be a terminal");
}

int
kbox_sit_in(struct kbox *k, const char *id, bool fresh)
{
	struct sitting	s = { .k = k, .id = id, .fd = -1, .fresh = fresh };
	char		escaped[1024];
	int		r;

	if (kbox_url_escape(id, escaped, sizeof escaped) < 0)
		return kbox_fail(k, KBOX_USAGE, "the id is too long");
	s.path = kbox_printf(k, KBOX_API "/shells/%s", escaped);
	buf_init(&s.up, QUEUE_MAX);
	buf_init(&s.down, QUEUE_MAX);
	fflush(stdout);
	if ((r = ask_in(&s)) != KBOX_OK || s.ended)
		goto out;
	if ((r = kbox_tty_take(&s.tty)) < 0) {
		r = kbox_fail(k, KBOX_FAILED, "terminal: %s", strerror(-r));
		goto out;
	}
	send_size(&s);
	sit(&s);
	undo_modes(&s);
	kbox_tty_give_back(&s.tty, true);
	r = tell_end(&s);
out:
	if (s.fd >= 0)
		close(s.fd);
	buf_wipe(&s.up);
	buf_wipe(&s.down);
	return r;
}

/* ---- which one ---- */

enum { ID, SHELL, PID, CREATED, DETACHED };

static const struct kbox_column columns[] = {
	[ID]		= { "ID", "id", 0, 0 },
	[SHELL]		= { "SHELL", "cmd_shell", 8, 0 },
	[PID]		= { "PID", "pid", 0, 1 },
	[CREATED]	= { "CREATED", "created", 0, 2 },
	[DETACHED]	= { "DETACHED", "detached_at", 0, 0 },
};

/* "5m0s ago"; what can't be read stays as it is. */
static const char *
ago(struct kbox *k, const struct value *v, const char *member)
{
	int64_t	ns;

	if (!value_time(v, member, &ns))
		return value_text(v, member);
	return kbox_printf(k, "%s ago", kbox_span(k, kbox_now() - ns));
}

static int
list_detached(struct kbox *k, struct kbox_table *t)
{
	struct kbox_answer	 a;
	const struct value	*v;
	struct value		*list;
	struct kbox_row		*row;
	int			 r;

	if ((r = kbox_get(k, KBOX_API "/shells", NULL, &a)) != KBOX_OK)
		return r;
	if ((list = value_parse(k, &a)) == NULL)
		return KBOX_FAILED;
	kbox_table_init(t, columns, ARRAY_LEN(columns));
	for (v = list->kids; v != NULL; v = v->next) {
		row = kbox_table_add(k, t, v);
		kbox_row_set(k, row, ID, value_text(v, "id"));
		kbox_row_set(k, row, SHELL, value_text(v, "cmd_shell"));
		kbox_row_set(k, row, PID, value_text(v, "pid"));
		kbox_row_set(k, row, CREATED, ago(k, v, "created"));
		kbox_row_set(k, row, DETACHED, ago(k, v, "detached_at"));
	}
	return kbox_table_sort(k, t, "created");
}

static int
choose(struct kbox *k, const char **id)
{
	struct kbox_table	t;
	int			r, row = 0;

	if ((r = list_detached(k, &t)) != 0)
		return r;
	if (t.nrows == 0) {
		(void)kbox_fail(k, 0, "no shell is detached");
		kbox_hint("kbox shells lists all; kbox shell starts one");
		return KBOX_FAILED;
	}
	if (t.nrows > 1 && k->values[OPT_NEWEST] != NULL) {
		(void)kbox_table_sort(k, &t, "-detached");
	} else if (t.nrows > 1) {
		if ((row = kbox_pick(k, "Attach to which shell?", &t, &r)) < 0)
			return r;
	} else {
		printf("Attaching to %s\n", kbox_clean(k,
		    value_text(t.rows[0].value, "id")));
	}
	*id = value_text(t.rows[row].value, "id");
	return KBOX_OK;
}

int
kbox_attach(struct kbox *k)
{
	const char	*id;
	int		 r;

	if ((r = check_terminal(k)) != KBOX_OK)
		return r;
	r = k->nwords > 0 ? kbox_session_find(k, k->words[0], &id) :
	    choose(k, &id);
	return r != KBOX_OK ? r : kbox_sit_in(k, id, false);
}
