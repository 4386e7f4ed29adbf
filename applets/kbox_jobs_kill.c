/*
 * kill: ends jobs and shells.  A word is looked for among both; a job has the
 * better right to its own name.
 */
#include <string.h>

#include "applets/kbox_jobs.h"
#include "applets/kbox_sessions.h"
#include "base/str.h"
#include "proc/shim.h"
#include "proc/treekill.h"
#include "workspace/command.h"

#define SIGNAL_MAX	64
#define SHELL_MS	30000	/* SIGHUP, patience, SIGKILL */
#define SPARE_MS	30000	/* SIGKILL may take a while, too */

struct target {
	const char	*id;
	bool		 shell;
	uint64_t	 left;		/* what it has left behind */
};

struct killing {
	struct kbox	*k;
	const struct value *jobs;	/* NULL: the daemon has none */
	const struct value *streams;
	int64_t		 grace_ms;	/* -1: as the daemon likes */
};

/* ---- who is meant ---- */

struct matches {
	struct target	 exact, first;
	const char	*all;		/* "job a, shell b" */
	unsigned	 n;
};

static void
add_match(struct kbox *k, struct matches *m, const struct target *t)
{
	if (m->n == 0)
		m->first = *t;
	m->all = kbox_printf(k, "%s%s%s %s", m->all, m->n++ > 0 ? ", " : "",
	    t->shell ? "shell" : "job", t->id);
}

static void
match_jobs(const struct killing *x, const char *word, bool live,
    struct matches *m)
{
	const struct value	*v = x->jobs != NULL ? x->jobs->kids : NULL;
	struct kbox_job		 j;
	struct target		 t;

	for (; v != NULL; v = v->next) {
		kbox_job_read(v, &j);
		t = (struct target){ j.id, false, j.lingering };
		if (strcmp(j.id, word) == 0)
			m->exact = t;
		if (str_prefix(j.id, word) &&
		    kbox_job_is(&j, KBOX_JOBS_LIVE) == live)
			add_match(x->k, m, &t);
	}
}

static void
match_shells(const struct killing *x, const char *word, struct matches *m)
{
	const struct value	*v = x->streams->kids;
	struct kbox_session	 s;
	struct target		 t;

	for (; v != NULL; v = v->next) {
		if (!kbox_session_read(x->k, v, &s))
			continue;
		t = (struct target){ s.id, true, 0 };
		if (strcmp(s.id, word) == 0 && m->exact.id == NULL)
			m->exact = t;
		if (str_prefix(s.id, word))
			add_match(x->k, m, &t);
	}
}

/* What has ended is meant only if nothing alive can be. */
static int
find_target(const struct killing *x, const char *word, struct target *t)
{
	struct matches	m = { .all = "" };
	int		r;

	match_jobs(x, word, true, &m);
	match_shells(x, word, &m);
	if (m.exact.id == NULL && m.n == 0)
		match_jobs(x, word, false, &m);
	if (m.exact.id != NULL || m.n == 1) {
		*t = m.exact.id != NULL ? m.exact : m.first;
		return KBOX_OK;
	}
	if (m.n > 1)
		return kbox_fail(x->k, KBOX_FAILED,
		    "\"%s\" is the start of several: %s", word, m.all);
	if (x->jobs == NULL) {		/* an older daemon may know better */
		*t = (struct target){ word, true, 0 };
		return KBOX_OK;
	}
	r = kbox_fail(x->k, KBOX_NOT_FOUND, "there is no job and no shell "
	    "\"%s\"", word);
	kbox_hint("kbox ps and kbox shells list them");
	return r;
}

/* ---- what is asked ---- */

/* "TERM", "SIGTERM", "term" or "15" as JSON; NULL after a message. */
static char *
signal_json(struct kbox *k, const char *name)
{
	char		*up = kbox_printf(k, "%s", name), *p;
	uint32_t	 n;

	if (str_to_u32(name, SIGNAL_MAX, &n) == 0 && n > 0)
		return kbox_printf(k, "%u", n);
	for (p = up; *p != '\0'; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 'a' + 'A');
	if (command_signal(up) != 0)
		return kbox_printf(k, "\"%s\"", up);
	(void)kbox_fail(k, 0, "--signal is a name such as HUP or a number "
	    "from 1 to %d, not \"%s\"", SIGNAL_MAX, name);
	return NULL;
}

static char *
order_json(const struct killing *x)
{
	struct kbox	*k = x->k;
	const char	*const *v = k->values;
	char		*body = kbox_printf(k, "{\"wait\":%s",
			    v[OPT_NO_WAIT] != NULL ? "false" : "true"), *sig;

	if (v[OPT_SIGNAL] != NULL) {
		if ((sig = signal_json(k, v[OPT_SIGNAL])) == NULL)
			return NULL;
		body = kbox_printf(k, "%s,\"signal\":%s", body, sig);
	}
	if (v[OPT_SCOPE] != NULL)
		body = kbox_printf(k, "%s,\"scope\":\"%s\"", body,
		    v[OPT_SCOPE]);
	if (x->grace_ms >= 0)
		body = kbox_printf(k, "%s,\"grace_ms\":%lld", body,
		    (long long)x->grace_ms);
	return kbox_printf(k, "%s}", body);
}

/* They have all of the grace, unless --timeout says something else. */
static void
be_patient(const struct killing *x)
{
	if (x->k->values[OPT_TIMEOUT] == NULL)
		x->k->timeout_ms = (uint32_t)(x->grace_ms >= 0 ? x->grace_ms :
		    TREEKILL_GRACE_MS) + SPARE_MS;
}

/* ---- how it went ---- */

/* "123 dd (state D: ...), 124 sudo (not permitted)": who could not be killed;
 * older daemons tell his state only. */
static int
survivors(struct kbox *k, const char *id, const struct value *v)
{
	const struct value	*list = value_get(v, "survivors"), *s;
	char			*all = kbox_printf(k, "%s", "");

	if (value_true(v, "unsure"))
		kbox_hint("somebody killed a %s: who hid on purpose may live "
		    "on", SHIM_NAME);
	if (list == NULL || list->kids == NULL)
		return KBOX_OK;
	for (s = list->kids; s != NULL; s = s->next)
		all = kbox_printf(k, "%s%s%s %s (%s)", all,
		    s != list->kids ? ", " : "", value_text(s, "pid"),
		    value_text(s, "name"), value_text(s,
		    value_get(s, "why") != NULL ? "why" : "state"));
	return kbox_fail(k, KBOX_FAILED, "%s%sstill there: %s", id,
	    id[0] != '\0' ? ": " : "", all);
}

static bool
is_kill(const char *sig)
{
	return str_ieq(sig, "KILL") || str_ieq(sig, "SIGKILL") ||
	    strcmp(sig, "9") == 0;
}

/* A signal that is not to end all of it was only sent. */
static bool
is_ending(const struct kbox *k)
{
	const char	*sig = k->values[OPT_SIGNAL];
	const char	*scope = k->values[OPT_SCOPE];

	if (scope != NULL && strcmp(scope, "tree") != 0)
		return false;
	return sig == NULL || is_kill(sig) || str_ieq(sig, "TERM") ||
	    str_ieq(sig, "SIGTERM") || strcmp(sig, "15") == 0;
}

/* Nor does a daemon that is crowded wait. */
static bool
was_waited_for(const struct kbox *k, const struct value *v)
{
	const struct value	*list = value_get(v, "survivors");

	return k->values[OPT_NO_WAIT] == NULL &&
	    (value_get(v, "killed") == NULL || value_true(v, "killed") ||
	    (list != NULL && list->kids != NULL));
}

static int
show_killed(struct kbox *k, const struct target *t, const struct value *v)
{
	const char	*clean = kbox_clean(k, t->id);
	const char	*code = value_text(v, "exit_code");

	if (value_true(v, "already_exited"))
		printf("%s had ended before%s\n", clean, t->left == 0 ? "" :
		    !was_waited_for(k, v) || !is_ending(k) ?
		    "; what it has left is told" :
		    "; what it had left has, now");
	else if (!is_ending(k))
		printf("%s: signal sent\n", clean);
	else if (!was_waited_for(k, v))
		printf("%s is being ended\n", clean);
	else if (code[0] != '\0')
		printf("%s has ended, exit status %s%s\n", clean, code,
		    strcmp(value_text(v, "phase"), "kill") == 0 ?
		    " (it took SIGKILL)" : "");
	else if (strcmp(value_text(v, "status"), "running") != 0)
		printf("%s has ended\n", clean);
	return survivors(k, t->id, v);
}

static int
kill_job(const struct killing *x, const struct target *t)
{
	struct kbox		*k = x->k;
	struct kbox_request	 q = { .method = "POST" };
	struct kbox_answer	 a;
	const struct value	*v;
	int			 r;

	if ((q.body = order_json(x)) == NULL ||
	    (q.target = kbox_route(k, "jobs", t->id, "/kill")) == NULL)
		return KBOX_USAGE;
	be_patient(x);
	if ((r = kbox_call(k, &q, &a)) != KBOX_OK)
		return r;
	if ((v = value_parse(k, &a)) == NULL)
		return KBOX_FAILED;
	if (k->values[OPT_JSON] == NULL)
		return show_killed(k, t, v);
	(void)value_print_answer(k, &a);
	v = value_get(v, "survivors");
	return v != NULL && v->kids != NULL ? KBOX_FAILED : KBOX_OK;
}

static int
kill_shell(const struct killing *x, const char *id)
{
	struct kbox		*k = x->k;
	struct kbox_request	 q = { .method = "DELETE" };
	struct kbox_answer	 a;
	int			 r;

	if (k->values[OPT_SIGNAL] != NULL || k->values[OPT_GRACE] != NULL ||
	    k->values[OPT_NOW] != NULL || k->values[OPT_SCOPE] != NULL)
		return kbox_fail(k, KBOX_USAGE, "%s is a shell: --signal, "
		    "--scope, --grace and --now are for jobs", id);
	if ((q.target = kbox_route(k, "shells", id, "")) == NULL)
		return KBOX_USAGE;
	if (k->values[OPT_TIMEOUT] == NULL)
		k->timeout_ms = SHELL_MS;
	r = kbox_call(k, &q, &a);
	if (r == KBOX_OK && k->values[OPT_JSON] != NULL)
		return value_print(k, "{\"killed\":true}", 15);
	if (r == KBOX_OK)
		printf("%s has ended\n", kbox_clean(k, id));
	kbox_hint_if_older(&a);
	return r;
}

static int
kill_one(const struct killing *x, const char *word)
{
	struct target	t = { .id = NULL };
	int		r;

	if ((r = find_target(x, word, &t)) != KBOX_OK)
		return r;
	return t.shell ? kill_shell(x, t.id) : kill_job(x, &t);
}

/* ---- all jobs ---- */

static int
kill_all(const struct killing *x)
{
	struct kbox		*k = x->k;
	struct kbox_request	 q = {
		.method = "POST", .target = KBOX_API "/jobs/kill-all"
	};
	const struct value	*v;
	struct json_out		 o;
	struct buf		 body;
	uint64_t		 n;
	int			 r;

	buf_init(&body, 4096);
	json_out_init(&o, &body);
	json_put_object(&o, NULL);
	if (k->values[OPT_SESSION] != NULL)
		json_put_string(&o, "session", k->values[OPT_SESSION]);
	if (x->grace_ms >= 0)
		json_put_int(&o, "grace_ms", x->grace_ms);
	json_put_end(&o, '}');
	r = json_put_done(&o);
	q.body = kbox_printf(k, "%.*s", (int)body.len,
	    (const char *)buf_head(&body));
	buf_finish(&body);
	if (r < 0)
		return kbox_fail(k, KBOX_USAGE, "--session is too long");
	be_patient(x);
	if ((r = kbox_jobs_bulk(k, &q, &v)) != KBOX_OK || v == NULL)
		return r;
	n = value_count(v, "killed");
	printf("%llu job%s ended\n", (unsigned long long)n,
	    n == 1 ? " has" : "s have");
	if ((n = value_count(v, "pending")) > 0)
		printf("%llu more: being ended\n", (unsigned long long)n);
	return survivors(k, "", v);
}

/* Nothing that is asked for is ignored. */
static int
check_grace(struct killing *x)
{
	struct kbox	*k = x->k;
	const char	*grace = k->values[OPT_GRACE];
	const char	*sig = k->values[OPT_SIGNAL];
	bool		 now = k->values[OPT_NOW] != NULL;

	if (now && (grace != NULL || sig != NULL))
		return kbox_fail(k, KBOX_USAGE, "--now is SIGKILL at once: "
		    "it goes with neither --grace nor --signal");
	if ((now || grace != NULL) && !is_ending(k)) {
		(void)kbox_fail(k, 0, "%s is for the end of all of a job, not "
		    "for one signal", now ? "--now" : "--grace");
		kbox_hint("--signal KILL sends that one to --scope root or "
		    "group");
		return KBOX_USAGE;
	}
	if (grace != NULL && sig != NULL && is_kill(sig))
		return kbox_fail(k, KBOX_USAGE, "--grace ends in SIGKILL: "
		    "--signal %s leaves none", sig);
	x->grace_ms = now ? 0 : -1;
	if (grace != NULL && (x->grace_ms = kbox_parse_span(grace)) >
	    TREEKILL_GRACE_MAX_MS)
		return kbox_fail(k, KBOX_USAGE, "--grace is an hour at most");
	if (grace != NULL && x->grace_ms < 0)
		return kbox_fail(k, KBOX_USAGE, "--grace is a duration such "
		    "as 5s or 2m, not \"%s\"", grace);
	return 0;
}

static int
check_options(struct killing *x)
{
	struct kbox	*k = x->k;
	const char	*scope = k->values[OPT_SCOPE];
	bool		 all = k->values[OPT_ALL] != NULL;

	if (all == (k->nwords > 0)) {
		(void)kbox_fail(k, 0, all ? "either ids or --all" :
		    "an argument is missing");
		kbox_hint("usage: %s [OPTION...] ID...", k->name);
		return KBOX_USAGE;
	}
	if (all && (k->values[OPT_SIGNAL] != NULL || scope != NULL ||
	    k->values[OPT_NO_WAIT] != NULL))
		return kbox_fail(k, KBOX_USAGE, "--signal, --scope and "
		    "--no-wait need ids");
	if (!all && k->values[OPT_SESSION] != NULL)
		return kbox_fail(k, KBOX_USAGE, "--session needs --all");
	if (scope != NULL && strcmp(scope, "tree") != 0 &&
	    strcmp(scope, "group") != 0 && strcmp(scope, "root") != 0)
		return kbox_fail(k, KBOX_USAGE, "--scope is tree, group or "
		    "root, not \"%s\"", scope);
	return check_grace(x);
}

int
kbox_kill(struct kbox *k)
{
	struct killing	x = { .k = k };
	size_t		i;
	int		r, one;

	if ((r = check_options(&x)) != 0)
		return r;
	if (k->values[OPT_ALL] != NULL)
		return kill_all(&x);
	if ((r = kbox_sessions_get(k, &x.streams)) != KBOX_OK ||
	    (r = kbox_jobs_try(k, &x.jobs)) != KBOX_OK)
		return r;
	for (i = 0; i < k->nwords; i++)
		if ((one = kill_one(&x, k->words[i])) != KBOX_OK)
			r = one;
	return r;
}
