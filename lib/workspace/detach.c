/*
 * Sessions without a client: leaving, locks, attaching, expiry.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/str.h"
#include "workspace/session_impl.h"

#define LOCK_BYTES	16	/* 128 bits (T15) */

_Static_assert(SESSION_LOCK_LEN == 3 + 2 * LOCK_BYTES, "lk- and hex");

/*
 * A session belongs to who started it.  The workspace's own user, its token,
 * and its Unix peers (whose uid the gate has compared) see all of them; a
 * service account sees its own.
 */
bool
session_owned(const struct session *ss, const char *subject)
{
	return subject[0] == '\0' || str_prefix(subject, "uid:") ||
	    str_prefix(subject, "user:") || strcmp(subject, "token") == 0 ||
	    strcmp(subject, ss->subject) == 0;
}

static void
on_expiry(void *arg)
{
	struct session	*ss = arg;

	if (ss->lingers) {
		session_free(ss);
		return;
	}
	log_info("grpc-shell", "session %s: detached for too long",
	    ss->stream.id);
	session_kill(ss, NULL, NULL);
}

/* Nobody typed what would have made it the chord: it was meant for the shell.*/
static void
on_chord_timer(void *arg)
{
	static const uint8_t	prefix = CHORD_PREFIX;
	struct session		*ss = arg;

	ss->chord.held = false;
	if (session_running(ss) && task_input(ss->task, &prefix, 1) == 0)
		ss->stream.bytes_in++;
}

void
session_detach_init(struct session *ss)
{
	ss->chord_timer.fn = on_chord_timer;
	ss->chord_timer.arg = ss;
	ss->expiry.fn = on_expiry;
	ss->expiry.arg = ss;
	scrollback_init(&ss->scrollback);
	buf_init(&ss->replay, SCROLLBACK_MAX + VT_RESTORE_MAX);
}

void
session_detach_finish(struct session *ss)
{
	loop_timer_clear(&ss->chord_timer);
	loop_timer_clear(&ss->expiry);
	scrollback_finish(&ss->scrollback);
	buf_finish(&ss->replay);
	ss->lock[0] = '\0';
}

static void
start_ttl(struct session *ss, int64_t ttl_ms)
{
	uint64_t	due;

	ss->ttl_ms = ttl_ms == SESSION_TTL_RULE ? ss->owner->rules.ttl_ms :
	    ttl_ms;
	due = loop_now(ss->loop) + (uint64_t)ss->ttl_ms;
	loop_timer_clear(&ss->expiry);
	if (ss->ttl_ms != SESSION_TTL_NONE)
		loop_timer_set(ss->loop, &ss->expiry, due);
	ss->stream.detached = true;
	ss->stream.expires_ms = ss->ttl_ms != SESSION_TTL_NONE ? due : 0;
}

void
session_leave(struct session *ss, int64_t ttl_ms)
{
	ss->client = NULL;
	ss->input_rest = false;
	if (ss->chord.held)
		on_chord_timer(ss);
	ss->chord = (struct chord){ 0 };
	loop_timer_clear(&ss->chord_timer);
	buf_finish(&ss->replay);	/* the scrollback has it all */
	ss->notice[0] = '\0';
	ss->detached_at = loop_wall();
	start_ttl(ss, ttl_ms);
	log_info("grpc-shell", "session %s: detached, ttl %lld s",
	    ss->stream.id, (long long)(ss->ttl_ms / 1000));
	task_resume(ss->task);		/* whatever the client held up */
}

/* Who may wait for ever may wait for twelve hours. */
static bool
ttl_allowed(const struct session_rules *r, int64_t ttl_ms)
{
	if (ttl_ms == SESSION_TTL_RULE)
		return true;
	if (r->may_stay || r->ttl_ms == 0)
		return ttl_ms >= 0;
	return ttl_ms > 0 && ttl_ms <= r->ttl_ms;
}

int
session_detach(struct session *ss, int64_t ttl_ms)
{
	const struct session_client	*client = ss->client;
	void				*arg = ss->client_arg;

	if (!ss->owner->rules.may_detach)
		return -EPERM;
	if (!ss->pty)
		return -ENOTTY;
	if (client == NULL || !session_running(ss))
		return -EALREADY;
	if (!ttl_allowed(&ss->owner->rules, ttl_ms))
		return -ERANGE;
	session_leave(ss, ttl_ms);
	client->detached(arg);
	return 0;
}

int
session_retain(struct session *ss, int64_t ttl_ms)
{
	if (!ss->owner->rules.may_detach)
		return -EPERM;
	if (ss->client != NULL || !session_running(ss))
		return -ENOTCONN;
	if (!ttl_allowed(&ss->owner->rules, ttl_ms))
		return -ERANGE;
	start_ttl(ss, ttl_ms);
	return 0;
}

static bool
is_locked(const struct session *ss)
{
	return ss->lock[0] != '\0' && loop_now(ss->loop) < ss->lock_until_ms;
}

int
session_acquire(struct sessions *s, const char *id, const char *subject,
    char lock[SESSION_LOCK_LEN + 1])
{
	struct session	*ss = session_find(s, id, subject);
	uint8_t		 raw[LOCK_BYTES];
	size_t		 i;

	if (ss == NULL)
		return -ENOENT;
	if (!ss->pty)
		return -ENOTTY;
	if (ss->client != NULL || is_locked(ss))
		return -EBUSY;
	if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
		return -EIO;
	snprintf(ss->lock, sizeof ss->lock, "lk-");
	for (i = 0; i < sizeof raw; i++)
		snprintf(ss->lock + 3 + 2 * i, 3, "%02x", raw[i]);
	ss->lock_until_ms = loop_now(ss->loop) + SESSION_LOCK_MS;
	memcpy(lock, ss->lock, sizeof ss->lock);
	return 0;
}

/* Also SIGWINCH where the size stays: a full-screen program draws itself. */
static void
fit(struct session *ss, uint32_t cols, uint32_t rows)
{
	if (cols != 0 && rows != 0)
		(void)task_resize(ss->task, cols, rows);
	(void)task_redraw(ss->task);
}

static int
take(struct session *ss, const struct session_attach *at)
{
	int	r;

	if (ss->client != NULL)
		return -EBUSY;
	if ((r = scrollback_replay(&ss->scrollback, &ss->replay)) < 0)
		return r;
	ss->client = at->client;
	ss->client_arg = at->arg;
	ss->keep = at->keep;
	ss->expected = false;
	loop_timer_clear(&ss->expiry);
	ss->stream.detached = false;
	fit(ss, at->cols, at->rows);
	log_info("grpc-shell", "session %s: attached", ss->stream.id);
	return 0;
}

int
session_attach_lock(struct sessions *s, struct session **out,
    const char *lock, const char *subject, const struct session_attach *at)
{
	struct session	*ss;
	size_t		 n = strlen(lock);
	bool		 in_time;
	int		 r;

	for (ss = s->list; ss != NULL; ss = ss->next)
		if (ss->lock[0] != '\0' &&
		    secret_eq(ss->lock, SESSION_LOCK_LEN, lock, n))
			break;
	if (ss == NULL)
		return -ENOENT;
	in_time = is_locked(ss);
	ss->lock[0] = '\0';
	if (!session_running(ss) || !session_owned(ss, subject))
		return -ENOENT;
	if (!in_time)
		return -ETIMEDOUT;
	if ((r = take(ss, at)) == 0)
		*out = ss;
	return r;
}

int
session_attach(struct session *ss, const struct session_attach *at)
{
	if (!ss->owner->rules.may_detach)
		return -EPERM;
	if (!ss->pty)
		return -ENOTTY;
	if (!ss->lingers && (!session_running(ss) || is_locked(ss)))
		return -EBUSY;
	return take(ss, at);
}

/* -- ended before anybody came -------------------------------------------- */

static struct session *
oldest_lingering(struct sessions *s)
{
	struct session	*ss, *found = NULL;

	for (ss = s->list; ss != NULL; ss = ss->next)
		if (ss->lingers && ss->client == NULL)
			found = ss;	/* new ones come in front */
	return found;
}

void
session_linger(struct session *ss)
{
	struct session	*oldest;

	ss->lingers = true;
	ss->owner->nlingering++;
	stream_end(&ss->stream);
	loop_timer_set(ss->loop, &ss->expiry, loop_now(ss->loop) +
	    SESSION_LINGER_MS);
	if (ss->owner->nlingering > SESSION_LINGER_MAX &&
	    (oldest = oldest_lingering(ss->owner)) != NULL)
		session_free(oldest);
}

struct session *
session_lingering(struct sessions *s, const char *id)
{
	struct session	*ss;

	for (ss = s->list; ss != NULL; ss = ss->next)
		if (ss->lingers && strcmp(ss->stream.id, id) == 0)
			return ss;
	return NULL;
}

void
session_replace(struct sessions *s, const char *id)
{
	struct session	*ss = session_lingering(s, id);

	if (ss != NULL && ss->client == NULL)
		session_free(ss);
}

void
session_unexpect(struct session *ss)
{
	ss->expected = false;
}

/* -- attached ------------------------------------------------------------- */

bool
session_replay_flush(struct session *ss)
{
	size_t	n;

	while (ss->replay.len > 0) {
		if (ss->client == NULL)
			return true;
		n = ss->client->room(ss->client_arg);
		if (n == 0)
			return false;
		if (n > ss->replay.len)
			n = ss->replay.len;
		if (n > TASK_READ_MAX)
			n = TASK_READ_MAX;
		ss->client->output(ss->client_arg, buf_head(&ss->replay), n);
		if (ss->replay.len == 0)	/* output() detached us */
			return true;
		buf_drain(&ss->replay, n);
	}
	buf_finish(&ss->replay);
	return true;
}

void
sessions_each(const struct sessions *s, const char *subject, session_fn *fn,
    void *arg)
{
	const struct session	*ss;
	struct session_info	 info;
	uint64_t		 now = loop_now(s->loop);

	for (ss = s->list; ss != NULL; ss = ss->next) {
		if (!session_running(ss) || !session_owned(ss, subject))
			continue;
		info = (struct session_info){
			.id = ss->stream.id, .user = ss->user,
			.shell = ss->shell != NULL ? ss->shell : "",
			.pid = task_pid(ss->task),
			.created = ss->stream.created,
			.detached_at = ss->detached_at, .pty = ss->pty,
			.attached = ss->client != NULL,
			.locked = is_locked(ss), .ttl_left_ms = -1,
		};
		if (ss->client == NULL && ss->expiry.loop != NULL)
			info.ttl_left_ms = ss->expiry.due_ms > now ?
			    (int64_t)(ss->expiry.due_ms - now) : 0;
		if (!fn(arg, &info))
			return;
	}
}
