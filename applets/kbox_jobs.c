/*
 * ps, rm: which jobs there are, and which are not any more.
 */
#include "applets/kbox_jobs.h"

#include <string.h>

#include "applets/kbox_text.h"
#include "base/str.h"

/* ---- which there are ---- */

void
kbox_job_read(const struct value *v, struct kbox_job *j)
{
	*j = (struct kbox_job){
		.id = value_text(v, "id"), .status = value_text(v, "status"),
		.reason = value_text(v, "reason"),
		.command = value_text(v, "command"),
		.lingering = value_count(v, "lingering"), .value = v
	};
	j->ended = strcmp(j->status, "starting") != 0 &&
	    strcmp(j->status, "running") != 0;
}

int
kbox_jobs_try(struct kbox *k, const struct value **list)
{
	struct kbox_request	 q = {
		.method = "GET", .target = KBOX_API "/jobs", .quiet = true
	};
	struct kbox_answer	 a;
	int			 r = kbox_call(k, &q, &a);

	*list = NULL;
	if (kbox_is_older(&a))
		return KBOX_OK;
	if (r != KBOX_OK && a.status == 0) {
		q.quiet = false;	/* what it is has to be said */
		r = kbox_call(k, &q, &a);
	} else if (r != KBOX_OK) {
		return kbox_refused(k, &a, false);
	}
	if (r != KBOX_OK)
		return r;
	if ((*list = value_parse(k, &a)) == NULL)
		return KBOX_FAILED;
	if ((*list)->type != JSON_ARRAY && (*list)->type != JSON_NULL)
		return kbox_fail(k, KBOX_FAILED,
		    "the daemon's answer is not a list");
	return KBOX_OK;
}

static int
get_list(struct kbox *k, const struct value **list)
{
	int	r = kbox_jobs_try(k, list);

	if (r == KBOX_OK && *list == NULL) {
		r = kbox_fail(k, KBOX_NOT_FOUND,
		    "this daemon is too old for that: it knows no jobs");
		kbox_hint("kbox shell --detached starts what goes on");
	}
	return r;
}

const struct value *
kbox_job_get(struct kbox *k, const char *id)
{
	struct kbox_request	 q = { .method = "GET", .quiet = true };
	struct kbox_answer	 a;

	q.target = kbox_route(k, "jobs", id, "");
	return q.target != NULL && kbox_call(k, &q, &a) == KBOX_OK ?
	    value_parse(k, &a) : NULL;
}

bool
kbox_job_is(const struct kbox_job *j, enum kbox_jobs_which which)
{
	switch (which) {
	case KBOX_JOBS_LIVE:
		return !j->ended || j->lingering > 0;
	case KBOX_JOBS_ENDED:
		return j->ended;
	case KBOX_JOBS_ANY:
		break;
	}
	return true;
}

/* ---- which one a word means ---- */

struct search {
	const char	*exact, *first;
	const char	*all;		/* "a, b": those that begin so */
	unsigned	 n;
};

static void
look_for(struct kbox *k, const struct value *list, const char *word,
    enum kbox_jobs_which which, struct search *s)
{
	const struct value	*v;
	struct kbox_job		 j;

	s->all = "";
	s->n = 0;
	for (v = list->kids; v != NULL; v = v->next) {
		kbox_job_read(v, &j);
		if (strcmp(j.id, word) == 0)
			s->exact = j.id;
		if (!str_prefix(j.id, word) || !kbox_job_is(&j, which))
			continue;
		s->first = j.id;
		s->all = kbox_printf(k, "%s%s%s", s->all,
		    s->n++ > 0 ? ", " : "", j.id);
	}
}

int
kbox_job_look(struct kbox *k, const char *word, enum kbox_jobs_which which,
    const char **id)
{
	const struct value	*list;
	struct search		 s = { .exact = NULL };
	int			 r;

	if ((r = get_list(k, &list)) != KBOX_OK)
		return r;
	look_for(k, list, word, which, &s);
	if (s.exact == NULL && s.n == 0)
		look_for(k, list, word, KBOX_JOBS_ANY, &s);
	if (s.exact != NULL || s.n == 1) {
		*id = s.exact != NULL ? s.exact : s.first;
		return KBOX_OK;
	}
	*id = NULL;
	return s.n == 0 ? KBOX_OK : kbox_fail(k, KBOX_FAILED,
	    "\"%s\" is the start of several: %s", word, s.all);
}

int
kbox_job_none(struct kbox *k, const char *word)
{
	int	r = kbox_fail(k, KBOX_NOT_FOUND, "there is no job \"%s\"",
		    word);

	kbox_hint("kbox ps --all lists them");
	return r;
}

int
kbox_job_find(struct kbox *k, const char *word, enum kbox_jobs_which which,
    const char **id)
{
	int	r = kbox_job_look(k, word, which, id);

	return r != KBOX_OK || *id != NULL ? r : kbox_job_none(k, word);
}

/* ---- ps ---- */

enum { ID, STATUS, EXIT, PID, STARTED, RUNTIME, COMMAND };

static const struct kbox_column columns[] = {
	[ID]		= { "ID", "id", 0, 0 },
	[STATUS]	= { "STATUS", "status", 0, 0 },
	[EXIT]		= { "EXIT", "exit_code", 0, 4 },
	[PID]		= { "PID", "pid", 0, 2 },
	[STARTED]	= { "STARTED", "start_time", 0, 1 },
	[RUNTIME]	= { "RUNTIME", "-start_time", 0, 3 },
	[COMMAND]	= { "COMMAND", "command", 12, 0 },
};

static const struct look {
	const char	*status, *sgr;
} looks[] = {
	{ "starting", NULL }, { "running", NULL }, { "completed", "2" },
	{ "failed", "31" }, { "killed", "33" }, { "error", "31" },
};

static const struct look *
look_of(const char *status)
{
	size_t	i;

	for (i = 0; i < ARRAY_LEN(looks); i++)
		if (strcmp(looks[i].status, status) == 0)
			return &looks[i];
	return NULL;
}

/* "killed (oom)", "completed (2 left)". */
static char *
status_text(struct kbox *k, const struct kbox_job *j)
{
	if (j->ended && j->lingering > 0)
		return kbox_printf(k, "%s (%llu left)", j->status,
		    (unsigned long long)j->lingering);
	if (strcmp(j->reason, "oom") == 0 || strcmp(j->reason, "timeout") == 0)
		return kbox_printf(k, "%s (%s)", j->status, j->reason);
	return kbox_printf(k, "%s", j->status);
}

static char *
runtime(struct kbox *k, const struct value *v)
{
	int64_t	from, to;

	if (!value_time(v, "start_time", &from))
		return kbox_printf(k, "%s", "");
	if (!value_time(v, "end_time", &to))
		to = kbox_now();
	return kbox_span(k, to - from);
}

static const char *
start_text(struct kbox *k, const struct value *v, const char *member)
{
	int64_t	ns;

	return value_time(v, member, &ns) ?
	    kbox_time(k, ns, "%b %e %H:%M:%S") : "";
}

static const char *
pid_text(const struct value *v)
{
	return value_count(v, "pid") > 0 ? value_text(v, "pid") : "";
}

/* A script takes one line here. */
static char *
on_one_line(struct kbox *k, const char *command)
{
	char	*out = kbox_printf(k, "%s", command), *p = out;
	size_t	 n;

	while (*command != '\0') {
		n = strcspn(command, "\t\n\v\f\r");
		memmove(p, command, n);
		p += n;
		command += n;
		command += n = strspn(command, " \t\n\v\f\r");
		if (n > 0 && p > out && *command != '\0')
			*p++ = ' ';
	}
	*p = '\0';
	return out;
}

static void
add_job(struct kbox *k, struct kbox_table *t, const struct kbox_job *j)
{
	struct kbox_row		*row = kbox_table_add(k, t, j->value);
	const struct look	*look = look_of(j->status);

	row->sgr = look != NULL ? look->sgr : NULL;
	kbox_row_set(k, row, ID, j->id);
	kbox_row_set(k, row, STATUS, status_text(k, j));
	kbox_row_set(k, row, EXIT, value_text(j->value, "exit_code"));
	kbox_row_set(k, row, PID, pid_text(j->value));
	kbox_row_set(k, row, STARTED,
	    start_text(k, j->value, "start_time"));
	kbox_row_set(k, row, RUNTIME, runtime(k, j->value));
	kbox_row_set(k, row, COMMAND, on_one_line(k, j->command));
}

static bool
is_wanted(const struct kbox *k, const struct kbox_job *j)
{
	const char	*session = k->values[OPT_SESSION];

	if (session != NULL &&
	    strcmp(value_text(j->value, "session"), session) != 0)
		return false;
	if (k->values[OPT_STATUS] != NULL)
		return kbox_in_list(k->values[OPT_STATUS], j->status);
	return kbox_job_is(j, k->values[OPT_ALL] != NULL ? KBOX_JOBS_ANY :
	    KBOX_JOBS_LIVE);
}

static int
check_statuses(struct kbox *k)
{
	char		*list = kbox_printf(k, "%s",
			    k->values[OPT_STATUS] != NULL ?
			    k->values[OPT_STATUS] : "running"), *word;

	while ((word = strsep(&list, ",")) != NULL)
		if (look_of(word) == NULL)
			return kbox_fail(k, KBOX_USAGE, "--status is starting, "
			    "running, completed, failed, killed or error, not "
			    "\"%s\"", word);
	return 0;
}

/* "failed, exit status 3"; "killed on request, exit status 143". */
static char *
status_sentence(struct kbox *k, const struct kbox_job *j)
{
	static const struct {
		const char	*reason, *text;
	} reasons[] = {
		{ "requested", " on request" }, { "oom", ": out of memory" },
		{ "timeout", ": its time was over" },
		{ "signal", " by a signal" },
	};
	const char	*why = "", *code = value_text(j->value, "exit_code");
	size_t		 i;

	for (i = 0; i < ARRAY_LEN(reasons); i++)
		if (strcmp(reasons[i].reason, j->reason) == 0)
			why = reasons[i].text;
	return kbox_printf(k, "%s%s%s%s", j->status, why,
	    code[0] != '\0' ? ", exit status " : "", code);
}

static int
show_one(struct kbox *k, const char *id)
{
	struct kbox_group	 g = { .title = "Job" };
	struct kbox_answer	 a;
	struct kbox_job		 j;
	struct value		*v;
	char			*target = kbox_route(k, "jobs", id, "");
	int			 r;

	if (target == NULL)
		return KBOX_USAGE;
	if ((r = kbox_get(k, target, NULL, &a)) != KBOX_OK)
		return r;
	if (k->values[OPT_JSON] != NULL)
		return value_print_answer(k, &a);
	if ((v = value_parse(k, &a)) == NULL)
		return KBOX_FAILED;
	kbox_job_read(v, &j);
	kbox_group_add(k, &g, "ID", j.id);
	kbox_group_add(k, &g, "Status", status_sentence(k, &j));
	if (value_text(v, "message")[0] != '\0')
		kbox_group_add(k, &g, "Message", value_text(v, "message"));
	kbox_group_add(k, &g, "Command", j.command);
	kbox_group_add(k, &g, "Folder", value_text(v, "cwd"));
	if (value_text(v, "session")[0] != '\0')
		kbox_group_add(k, &g, "Session", value_text(v, "session"));
	kbox_group_add(k, &g, "Detached", value_true(v, "detached") ? "yes" :
	    "no");
	kbox_group_add(k, &g, "PID", pid_text(v));
	if (j.ended && j.lingering > 0)
		kbox_group_add(k, &g, "Left over", kbox_printf(k,
		    "%llu below it; kbox kill ends them",
		    (unsigned long long)j.lingering));
	kbox_group_add(k, &g, "Started", start_text(k, v, "start_time"));
	if (j.ended)
		kbox_group_add(k, &g, "Ended", start_text(k, v, "end_time"));
	kbox_group_add(k, &g, "Runtime", runtime(k, v));
	kbox_group_add(k, &g, "Log file", value_text(v, "log_file"));
	kbox_group_print(k, &g);
	return KBOX_OK;
}

int
kbox_ps(struct kbox *k)
{
	const struct value	*list, *v;
	struct kbox_table	 t;
	struct kbox_job		 j;
	const char		*id;
	int			 r;

	if (k->nwords > 0) {
		r = kbox_job_find(k, k->words[0], KBOX_JOBS_ANY, &id);
		return r != KBOX_OK ? r : show_one(k, id);
	}
	if ((r = check_statuses(k)) != 0 ||
	    (r = get_list(k, &list)) != KBOX_OK)
		return r;
	kbox_table_init(&t, columns, ARRAY_LEN(columns));
	for (v = list->kids; v != NULL; v = v->next) {
		kbox_job_read(v, &j);
		if (is_wanted(k, &j))
			add_job(k, &t, &j);
	}
	return kbox_table_show(k, &t, "-start_time");
}

/* ---- rm ---- */

static int
remove_one(struct kbox *k, const char *word)
{
	struct kbox_request	 q = { .method = "DELETE" };
	struct kbox_answer	 a;
	const char		*id;
	int			 r;

	r = kbox_job_find(k, word, KBOX_JOBS_ENDED, &id);
	if (r != KBOX_OK)
		return r;
	if ((q.target = kbox_route(k, "jobs", id, "")) == NULL)
		return KBOX_USAGE;
	r = kbox_call(k, &q, &a);
	if (r == KBOX_OK && k->values[OPT_JSON] == NULL)
		printf("%s is removed\n", kbox_clean(k, id));
	else if (a.status == 409)
		kbox_hint("kbox kill %s ends it", kbox_clean(k, id));
	return r;
}

int
kbox_jobs_bulk(struct kbox *k, const struct kbox_request *q,
    const struct value **v)
{
	struct kbox_answer	a;
	int			r;

	*v = NULL;
	if ((r = kbox_call(k, q, &a)) != KBOX_OK) {
		kbox_hint_if_older(&a);
		return r;
	}
	if (k->values[OPT_JSON] != NULL)
		return value_print_answer(k, &a);
	*v = value_parse(k, &a);
	return *v != NULL ? KBOX_OK : KBOX_FAILED;
}

static int
remove_done(struct kbox *k)
{
	struct kbox_request	 q = {
		.method = "DELETE", .target = KBOX_API "/jobs?terminal=1"
	};
	const struct value	*v;
	uint64_t		 n;
	int			 r;

	if ((r = kbox_jobs_bulk(k, &q, &v)) != KBOX_OK || v == NULL)
		return r;
	n = value_count(v, "removed");
	printf("%llu finished job%s removed\n", (unsigned long long)n,
	    n == 1 ? "" : "s");
	return KBOX_OK;
}

int
kbox_rm(struct kbox *k)
{
	unsigned	n = 0;
	size_t		i;
	int		r = KBOX_OK, one;

	if ((k->nwords > 0) == (k->values[OPT_DONE] != NULL)) {
		(void)kbox_fail(k, 0, "either ids or --done");
		kbox_hint("kbox rm --done removes all that have ended");
		return KBOX_USAGE;
	}
	if (k->values[OPT_DONE] != NULL)
		return remove_done(k);
	for (i = 0; i < k->nwords; i++) {
		if ((one = remove_one(k, k->words[i])) != KBOX_OK)
			r = one;
		else
			n++;
	}
	if (k->values[OPT_JSON] != NULL)
		printf("{\n  \"removed\": %u\n}\n", n);
	return r;
}
