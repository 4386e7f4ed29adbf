/*
 * run: a command below the daemon, in front (what it writes is written here,
 * what interrupts us is sent to it, and its status is ours) or detached.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "applets/kbox_jobs.h"
#include "applets/kbox_text.h"
#include "base/str.h"
#include "proc/treekill.h"
#include "svc/rest.h"

#define FORWARD_MS	5000
#define FORWARD_MEM_MAX	(1024u * 1024)	/* one question, its answer */
#define CANNOT_START	"cannot start: "	/* stage: name: reason */
#define PATIENCE	3		/* Ctrl-C: asks, kills, leaves */

struct run {
	struct kbox		*k;
	struct kbox_feed	 feed;
	char			*id;	/* NULL: not known yet */
	int			 signals;	/* signalfd */
	unsigned		 interrupts;
	int			 waiting;	/* signal that came too early */
};

/* ---- what is asked ---- */

static int
put_words(struct kbox *k, struct json_out *o)
{
	size_t	i;

	for (i = 0; i < k->nwords; i++)
		if (!utf8_valid(k->words[i], strlen(k->words[i])))
			return kbox_fail(k, KBOX_USAGE,
			    "argument %zu is not UTF-8", i);
	if (k->nwords == 1) {
		json_put_string(o, "command", k->words[0]);
		return 0;
	}
	json_put_array(o, "argv");
	for (i = 0; i < k->nwords; i++)
		json_put_string(o, NULL, k->words[i]);
	json_put_end(o, ']');
	return 0;
}

/* A duration of ours as milliseconds of theirs. */
static int
put_span(struct kbox *k, struct json_out *o, enum kbox_opt opt,
    const char *member)
{
	const char	*text = k->values[opt];
	int64_t		 ms;

	if (text == NULL)
		return 0;
	if ((ms = kbox_parse_span(text)) < 0 || (ms == 0 && opt == OPT_LIMIT))
		return kbox_fail(k, KBOX_USAGE, "--%s is a duration such as "
		    "90s, 30m or 12h, not \"%s\"",
		    opt == OPT_LIMIT ? "timeout" : "grace", text);
	if (opt == OPT_GRACE && ms > TREEKILL_GRACE_MAX_MS)
		return kbox_fail(k, KBOX_USAGE, "--grace is an hour at most");
	json_put_int(o, member, ms);
	return 0;
}

static int
put_job(struct kbox *k, struct json_out *o, bool detached)
{
	const char	*session = k->values[OPT_SESSION];
	int		 r;

	if (session == NULL)
		session = getenv("K8SHELL_SESSION_ID");
	json_put_object(o, NULL);
	if ((r = put_words(k, o)) != 0)
		return r;
	if (k->values[OPT_ID] != NULL)
		json_put_string(o, "id", k->values[OPT_ID]);
	if ((r = kbox_put_folder(k, o)) != 0 ||
	    (r = kbox_put_env(k, o)) != 0 ||
	    (r = put_span(k, o, OPT_LIMIT, "timeout_ms")) != 0 ||
	    (r = put_span(k, o, OPT_GRACE, "grace_ms")) != 0)
		return r;
	if (session != NULL && session[0] != '\0')
		json_put_string(o, "session", session);
	json_put_bool(o, detached ? "detached" : "attached", true);
	json_put_end(o, '}');
	if (json_put_done(o) < 0)
		return kbox_fail(k, KBOX_USAGE, "the command is too long");
	return 0;
}

static int
make_body(struct kbox *k, bool detached, char **text)
{
	struct json_out	o;
	struct buf	body;
	int		r;

	buf_init(&body, REST_BODY_MAX);
	json_out_init(&o, &body);
	if ((r = put_job(k, &o, detached)) == 0)
		*text = kbox_printf(k, "%.*s", (int)body.len,
		    (const char *)buf_head(&body));
	buf_finish(&body);
	return r;
}

/* Of a command that could not be started, as env(1) has it. */
static int
cannot_start(struct kbox *k, const struct kbox_answer *a)
{
	const char	*why = strstr(a->body, CANNOT_START);

	kbox_hint_if_older(a);
	if (a->status == 409)
		kbox_hint("another --id, or kbox kill %s first",
		    k->values[OPT_ID] != NULL ?
		    kbox_clean(k, k->values[OPT_ID]) : "that one");
	if (a->status != 500)
		return KBOX_OWN;
	if (why == NULL)
		why = a->body;
	(void)kbox_fail(k, 0, "%.*s", (int)strcspn(why, "\n"), why);
	if (!str_prefix(why, CANNOT_START "exec: "))
		return KBOX_OWN;
	if (strstr(a->body, strerror(ENOENT)) != NULL)
		return KBOX_EXACT(KBOX_NO_PROGRAM);
	return KBOX_EXACT(KBOX_CANNOT_RUN);
}

/* ---- signals ---- */

static const int	caught[] = {
	SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2
};

/* What was ignored when we came (nohup, "&" in a script) stays ignored. */
static int
catch_signals(struct run *r)
{
	struct sigaction	was;
	sigset_t		set;
	size_t			i;

	sigemptyset(&set);
	for (i = 0; i < ARRAY_LEN(caught); i++)
		if (sigaction(caught[i], NULL, &was) == 0 &&
		    was.sa_handler != SIG_IGN)
			sigaddset(&set, caught[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return r->signals < 0 ? -errno : 0;
}

/* TERM and KILL end the whole tree; the others are said once. */
static const char *
order_for(int sig, unsigned interrupts)
{
	switch (sig) {
	case SIGINT:
		return interrupts > 1 ? "\"signal\":\"KILL\"" :
		    "\"signal\":\"INT\",\"scope\":\"group\"";
	case SIGQUIT:
		return "\"signal\":\"QUIT\",\"scope\":\"group\"";
	case SIGHUP:
		return "\"signal\":\"HUP\"";
	case SIGUSR1:
		return "\"signal\":\"USR1\",\"scope\":\"root\"";
	case SIGUSR2:
		return "\"signal\":\"USR2\",\"scope\":\"root\"";
	default:
		return "\"signal\":\"TERM\"";
	}
}

/* A job that has just ended does not care: nothing is said about it. */
static void
forward(struct run *r, int sig)
{
	struct kbox		 quick = *r->k;
	struct kbox_request	 q = { .method = "POST", .quiet = true };
	struct kbox_answer	 a;

	if (r->id == NULL) {
		r->waiting = sig;
		return;
	}
	quick.timeout_ms = FORWARD_MS;
	arena_init(&quick.arena, FORWARD_MEM_MAX);
	q.target = kbox_route(&quick, "jobs", r->id, "/kill");
	q.body = kbox_printf(&quick, "{%s,\"wait\":false}",
	    order_for(sig, r->interrupts));
	if (q.target != NULL)
		(void)kbox_call(&quick, &q, &a);
	arena_finish(&quick.arena);
}

static bool
on_signals(void *arg)
{
	struct run		*r = arg;
	struct signalfd_siginfo	 si;

	while (read(r->signals, &si, sizeof si) == (ssize_t)sizeof si) {
		if (si.ssi_signo == SIGINT && ++r->interrupts >= PATIENCE)
			return false;
		forward(r, (int)si.ssi_signo);
	}
	return true;
}

/* On the arena of one event: the id has to be ours. */
static void
on_started(void *arg, const char *id)
{
	struct run	*r = arg;

	if (r->id == NULL && id[0] != '\0')
		r->id = strdup(id);
	if (r->id != NULL && r->waiting != 0)
		forward(r, r->waiting);
	r->waiting = 0;
}

/* ---- in front ---- */

static int
how_it_ended(struct run *r)
{
	const struct kbox_feed	*f = &r->feed;
	const char		*id = r->id != NULL ? r->id : "the job";

	if (f->gone)
		return KBOX_EXACT(128 + SIGPIPE);
	if (f->stopped) {
		(void)kbox_fail(r->k, 0, "left; the daemon ends %s", id);
		return KBOX_EXACT(KBOX_INTERRUPT);
	}
	if (!f->ended) {
		(void)kbox_fail(r->k, 0, "the daemon has ended the output "
		    "before %s has ended", id);
		kbox_hint("kbox ps --all says what became of it");
		return KBOX_OWN;
	}
	if (strcmp(f->reason, "timeout") == 0)
		(void)kbox_fail(r->k, 0, "%s was killed: its time was over",
		    id);
	else if (strcmp(f->reason, "oom") == 0)
		(void)kbox_fail(r->k, 0, "%s was killed: out of memory", id);
	if (f->exit_code < 0)
		return kbox_fail(r->k, KBOX_OWN, "%s ended without an exit "
		    "status (%s)", id, f->status);
	return KBOX_EXACT(f->exit_code & 0xff);
}

static int
run_in_front(struct kbox *k, struct kbox_request *q)
{
	struct kbox_answer	a;
	struct run		r = {
		.k = k, .feed = { .k = k, .started = on_started }
	};
	int			err, status;

	if ((err = catch_signals(&r)) < 0)
		return kbox_fail(k, KBOX_OWN, "signals: %s", strerror(-err));
	r.feed.arg = &r;
	r.feed.wake = (struct kbox_wake){ r.signals, POLLIN, on_signals, &r };
	status = kbox_feed_run(&r.feed, q, &a);
	close(r.signals);
	if (status == KBOX_OK)
		status = how_it_ended(&r);
	else
		status = cannot_start(k, &a);
	free(r.id);
	return status;
}

/* ---- detached ---- */

static int
run_detached(struct kbox *k, struct kbox_request *q)
{
	struct kbox_answer	 a;
	const struct value	*v;

	if (kbox_call(k, q, &a) != KBOX_OK)
		return cannot_start(k, &a);
	if (k->values[OPT_JSON] != NULL)
		return value_print_answer(k, &a);
	if ((v = value_parse(k, &a)) == NULL)
		return KBOX_OWN;
	puts(kbox_out(k, value_text(v, "id")));
	return KBOX_OK;
}

int
kbox_run(struct kbox *k)
{
	struct kbox_request	 q = {
		.method = "POST", .target = KBOX_API "/jobs", .mine = 500
	};
	bool			 detached = k->values[OPT_DETACHED] != NULL;
	char			*body = NULL;
	int			 r;

	if ((r = make_body(k, detached, &body)) != 0)
		return r;
	q.body = body;
	return detached ? run_detached(k, &q) : run_in_front(k, &q);
}
