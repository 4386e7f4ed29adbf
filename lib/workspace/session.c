#include "workspace/session.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "workspace/account.h"
#include "workspace/session_impl.h"

#define COLS_DEFAULT	80u
#define ROWS_DEFAULT	24u
#define SIZE_MAX_CELLS	65535u	/* struct winsize has 16 bits */
#define LAST_SHELL	"/bin/sh"
#define UNSEEN_MAX	4096u	/* one read of output nobody looks at */

struct sessions *
sessions_create(struct loop *l, struct reap *r, struct streams *st,
    const struct rlimit *nofile, const struct session_rules *rules)
{
	struct sessions	*s;

	if ((s = calloc(1, sizeof *s)) == NULL)
		return NULL;
	s->loop = l;
	s->reap = r;
	s->streams = st;
	s->nofile = nofile;
	s->rules = *rules;
	return s;
}

void
sessions_destroy(struct sessions *s)
{
	struct session	*ss, *next;

	if (s == NULL)
		return;
	for (ss = s->list; ss != NULL; ss = next) {
		next = ss->next;
		if (session_running(ss))
			session_kill(ss, NULL, NULL);
		else if (ss->lingers && ss->client == NULL)
			session_free(ss);
	}
	for (ss = s->list; ss != NULL; ss = ss->next)
		ss->owner = NULL;
	free(s);
}

void
sessions_on_end(struct sessions *s, void (*fn)(void *arg, const char *id),
    void *arg)
{
	s->on_end = fn;
	s->on_end_arg = arg;
}

static void
tell_others(const struct session *ss)
{
	if (ss->owner != NULL && ss->owner->on_end != NULL)
		ss->owner->on_end(ss->owner->on_end_arg, ss->stream.id);
}

void
sessions_hangup(struct sessions *s)
{
	struct session	*ss;

	s->stopping = true;
	for (ss = s->list; ss != NULL; ss = ss->next)
		if (session_running(ss))
			task_signal(ss->task, SIGHUP);
}

size_t
sessions_count(const struct sessions *s)
{
	return s->count - s->nlingering;
}

static void
session_unlink(struct session *ss)
{
	if (ss->owner == NULL)
		return;
	*ss->prevp = ss->next;
	if (ss->next != NULL)
		ss->next->prevp = ss->prevp;
	ss->owner->count--;
	ss->owner->nlingering -= ss->lingers;
}

void
session_free(struct session *ss)
{
	loop_later_cancel(ss->loop, &ss->end);
	session_detach_finish(ss);
	stream_end(&ss->stream);
	session_unlink(ss);
	if (ss->state == SESSION_ENDED)
		task_destroy(ss->task);
	free(ss->subject);
	free(ss->user);
	free(ss->shell);
	free(ss);
}

static void
on_started(void *arg, enum child_stage stage, int err, const char *path,
    int cwd_err)
{
	struct session	*ss = arg;
	const char	*id = ss->stream.id;

	if (stage != CHILD_OK) {
		snprintf(ss->why, sizeof ss->why, "cannot start a shell: "
		    "%s: %.128s: %s", child_stage_name(stage),
		    path != NULL ? path : "no shell in this image",
		    strerror(err));
		log_warn("grpc-shell", "session %s: %s", id, ss->why);
		return;
	}
	ss->state = SESSION_LIVE;
	ss->shell = strdup(path);
	snprintf(ss->stream.params, sizeof ss->stream.params,
	    "cmd=%.200s, pid=%d", path, (int)task_pid(ss->task));
	log_info("grpc-shell", "session %s: started %s as pid %d", id, path,
	    (int)task_pid(ss->task));
	if (ss->client == NULL)
		return;
	ss->client->started(ss->client_arg, task_tty(ss->task));
	if (cwd_err != 0) {
		snprintf(ss->notice, sizeof ss->notice, "k8shell: no home "
		    "directory (%s), starting in /%s\n", strerror(cwd_err),
		    ss->pty ? "\r" : "");
		log_warn("grpc-shell", "session %s: home: %s", id,
		    strerror(cwd_err));
	}
}

/* Asked before anything is read, so the notice comes first. */
static size_t
on_room(void *arg)
{
	struct session	*ss = arg;
	size_t		 room, n = strlen(ss->notice);

	if (ss->client == NULL)		/* into the scrollback only */
		return UNSEEN_MAX;
	if (!session_replay_flush(ss) || !session_running(ss))
		return 0;
	if (ss->client == NULL)
		return UNSEEN_MAX;
	room = ss->client->room(ss->client_arg);
	if (n == 0 || room < n)
		return n == 0 ? room : 0;
	ss->client->output(ss->client_arg, ss->notice, n);
	ss->notice[0] = '\0';
	return ss->client != NULL ? ss->client->room(ss->client_arg) :
	    UNSEEN_MAX;
}

static void
on_output(void *arg, enum task_stream s, const void *p, size_t n)
{
	struct session	*ss = arg;

	(void)s;		/* a shell has one stream of output */
	ss->stream.bytes_out += n;
	if (ss->pty)
		scrollback_put(&ss->scrollback, p, n);
	if (ss->client != NULL)
		ss->client->output(ss->client_arg, p, n);
}

static void
on_writable(void *arg)
{
	struct session	*ss = arg;

	if (ss->client != NULL)
		ss->client->writable(ss->client_arg);
}

/* The client may release the session in ended(). */
static void
session_tell_end(void *arg)
{
	struct session	*ss = arg;

	if (ss->client != NULL)
		ss->client->ended(ss->client_arg,
		    ss->why[0] != '\0' ? ss->why : NULL);
	else
		session_free(ss);
}

static void
on_finished(void *arg, const struct reap_exit *e)
{
	struct session	*ss = arg;

	ss->state = SESSION_ENDED;
	log_info("grpc-shell", "session %s: ended, status %d", ss->stream.id,
	    reap_exit_code(e));
	tell_others(ss);
	if (ss->expected && ss->client == NULL && ss->owner != NULL &&
	    !ss->owner->stopping)
		session_linger(ss);
	else
		loop_later(ss->loop, &ss->end);
}

static const struct task_ops shell_task = {
	.started = on_started,
	.room = on_room,
	.output = on_output,
	.writable = on_writable,
	.finished = on_finished,
};

/*
 * Best shell first (SH-02): the account's, the request's, the last resort.
 * The first that can be used is what SHELL says.
 */
static const char *
pick_shells(const struct session_spec *spec, const char **paths)
{
	const char	*all[] = { spec->account->login_shell,
			    spec->fallback_shell, LAST_SHELL };
	size_t		 i, n = 0;

	for (i = 0; i < ARRAY_LEN(all); i++)
		if (all[i][0] != '\0' && account_shell_usable(all[i]))
			paths[n++] = all[i];
	if (n == 0)
		paths[n++] = LAST_SHELL;	/* for its error message */
	paths[n] = NULL;
	return paths[0];
}

static int
session_spawn(struct session *ss, const struct session_spec *spec)
{
	static const char *const login_argv[] = { "-", NULL };
	const char		*const command_argv[] = {
		NULL, "-c", spec->command, NULL
	};
	const struct account	*a = spec->account;
	char			 id_env[32 + STREAM_ID_MAX];
	const char		*extra[] = { id_env, NULL };
	const char		*paths[4];
	char			**env;
	struct child_spec	 cs = {
		.paths = paths,
		.argv = spec->command != NULL ? command_argv : login_argv,
		.cwd = spec->cwd != NULL ? spec->cwd : a->home,
		.user = { .uid = a->uid, .gid = a->gid, .groups = a->groups,
		    .ngroups = a->ngroups, .change = geteuid() == 0,
		    .may_gain = account_may_gain(a) },
		.nofile = ss->owner->nofile,
		.io = spec->pty ? CHILD_PTY : CHILD_MERGED,
		.cols = (uint16_t)(spec->cols != 0 ? spec->cols : COLS_DEFAULT),
		.rows = (uint16_t)(spec->rows != 0 ? spec->rows : ROWS_DEFAULT),
	};
	int			 r;

	snprintf(id_env, sizeof id_env, "K8SHELL_SESSION_ID=%s", spec->id);
	env = account_environment(a, spec->env, spec->nenv,
	    pick_shells(spec, paths), spec->pty, extra);
	if (env == NULL)
		return -ENOMEM;
	cs.envp = (const char *const *)env;
	r = task_create(&ss->task, ss->owner->loop, ss->owner->reap, &cs,
	    &shell_task, ss);
	free(env);
	if (r == 0)
		task_share_input(ss->task, streams_input(ss->owner->streams));
	return r;
}

static bool
id_taken(const struct sessions *s, const char *id)
{
	const struct session	*ss;

	for (ss = s->list; ss != NULL; ss = ss->next)
		if (ss->state != SESSION_HUNG_UP &&
		    strcmp(ss->stream.id, id) == 0)
			return true;
	return false;
}

static void
session_link(struct sessions *s, struct session *ss)
{
	ss->owner = s;
	ss->prevp = &s->list;
	ss->next = s->list;
	if (s->list != NULL)
		s->list->prevp = &ss->next;
	s->list = ss;
	s->count++;
}

int
session_start(struct sessions *s, struct session **out,
    const struct session_spec *spec, const struct session_client *cl,
    void *arg)
{
	struct session	*ss = NULL;
	int		 r;

	session_replace(s, spec->id);
	if (id_taken(s, spec->id))
		return -EEXIST;
	if (spec->cols > SIZE_MAX_CELLS || spec->rows > SIZE_MAX_CELLS)
		return -EINVAL;
	if ((ss = calloc(1, sizeof *ss)) == NULL)
		return -ENOMEM;
	ss->subject = strdup(spec->subject);
	ss->user = strdup(spec->account->name);
	if (ss->subject == NULL || ss->user == NULL) {
		r = -ENOMEM;
		goto out;
	}
	snprintf(ss->stream.id, sizeof ss->stream.id, "%s", spec->id);
	ss->stream.kind = STREAM_SHELL;
	ss->pty = spec->pty;
	ss->keep = spec->keep;
	ss->expected = spec->linger;
	ss->client = cl;
	ss->client_arg = arg;
	ss->end.fn = session_tell_end;
	ss->end.arg = ss;
	ss->loop = s->loop;
	ss->owner = s;
	session_detach_init(ss);
	if ((r = session_spawn(ss, spec)) < 0)
		goto out;
	session_link(s, ss);
	stream_add(s->streams, &ss->stream);
	*out = ss;
	ss = NULL;
out:
	if (ss != NULL) {
		free(ss->subject);
		free(ss->user);
	}
	free(ss);
	return r;
}

struct session *
session_by_id(struct sessions *s, const char *id)
{
	struct session	*ss;

	for (ss = s->list; ss != NULL; ss = ss->next)
		if (session_running(ss) &&
		    strcmp(ss->stream.id, id) == 0)
			return ss;
	return NULL;
}

struct session *
session_find(struct sessions *s, const char *id, const char *subject)
{
	struct session	*ss = session_by_id(s, id);

	return ss != NULL && session_owned(ss, subject) ? ss : NULL;
}

int
session_signal(struct session *ss, int signo)
{
	return task_signal(ss->task, signo);
}

void
session_hang_up(struct session *ss)
{
	task_hang_up_session(ss->task);
}

static int
take_input(struct session *ss, const void *p, size_t n)
{
	int	r;

	if (n == 0)
		return 0;
	r = ss->input_rest ? task_input_rest(ss->task, p, n) :
	    task_input(ss->task, p, n);
	if (r == 0)
		ss->stream.bytes_in += n;
	return r;
}

/* Bytes with a Ctrl+A among them; one piece in, at most one piece out. */
static int
filter_input(struct session *ss, const void *p, size_t n)
{
	uint8_t	*out;
	size_t	 len;
	int	 r;

	if ((out = malloc(n + 1)) == NULL)
		return -ENOMEM;
	len = chord_filter(&ss->chord, p, n, out);
	r = take_input(ss, out, len);
	free(out);
	loop_timer_clear(&ss->chord_timer);
	if (ss->chord.held)
		loop_timer_set(ss->loop, &ss->chord_timer,
		    loop_now(ss->loop) + CHORD_HOLD_MS);
	if (r == 0 && ss->chord.found)
		session_detach(ss, SESSION_TTL_RULE);
	return r;
}

int
session_input(struct session *ss, const void *p, size_t n)
{
	if (!session_running(ss))
		return -EPIPE;
	if (!ss->pty || !ss->owner->rules.may_detach ||
	    chord_idle(&ss->chord, p, n))
		return take_input(ss, p, n);
	return filter_input(ss, p, n);
}

bool
session_input_full(const struct session *ss)
{
	return session_running(ss) && !ss->input_rest &&
	    task_input_full(ss->task);
}

void
session_input_rest(struct session *ss)
{
	ss->input_rest = true;
}

void
session_input_end(struct session *ss)
{
	if (session_running(ss))
		task_input_end(ss->task);
}

void
session_resume(struct session *ss)
{
	if (!session_replay_flush(ss))
		return;
	if (session_running(ss))
		task_resume(ss->task);
	else if (ss->lingers && ss->client != NULL)
		loop_later(ss->loop, &ss->end);
}

int
session_resize(struct session *ss, uint32_t cols, uint32_t rows)
{
	if (!ss->pty)
		return -ENOTTY;
	return task_resize(ss->task, cols, rows);
}

static void
on_gone(void *arg)
{
	struct session	*ss = arg;

	if (ss->done != NULL)
		ss->done(ss->done_arg);
	session_free(ss);
}

void
session_kill(struct session *ss, void (*done)(void *arg), void *arg)
{
	ss->client = NULL;
	if (ss->state == SESSION_ENDED) {
		if (done != NULL)
			done(arg);
		session_free(ss);
		return;
	}
	log_info("grpc-shell", "session %s: hanging up", ss->stream.id);
	tell_others(ss);
	ss->state = SESSION_HUNG_UP;
	session_detach_finish(ss);
	ss->done = done;
	ss->done_arg = arg;
	task_hangup(ss->task, on_gone, ss);
}

void
session_lost(struct session *ss, void (*done)(void *arg), void *arg)
{
	if (!session_running(ss) || !ss->pty || !ss->keep ||
	    !ss->owner->rules.may_detach) {
		session_kill(ss, done, arg);
		return;
	}
	session_leave(ss, SESSION_TTL_RULE);
	if (done != NULL)
		done(arg);
}

void
session_release(struct session *ss)
{
	session_free(ss);
}

bool
session_has_pty(const struct session *ss)
{
	return ss->pty;
}

int
session_cwd(const struct session *ss, char *out, size_t outlen)
{
	char	link[64], raw[4096];
	ssize_t	n;

	if (ss->state != SESSION_LIVE)
		return -ESRCH;
	snprintf(link, sizeof link, "/proc/%d/cwd", (int)task_pid(ss->task));
	/* A zombie has no directory any more, nobody has one without /proc. */
	if ((n = readlink(link, raw, sizeof raw)) < 0 && errno == ENOENT)
		return access("/proc/self", F_OK) == 0 ? -ESRCH : -ENOENT;
	if (n < 0)
		return -errno;
	utf8_repair(raw, (size_t)n, out, outlen);
	return 0;
}
