#include "workspace/job.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "proc/mark.h"
#include "proc/tree.h"
#include "workspace/account.h"
#include "workspace/command.h"
#include "workspace/job_impl.h"

#define ID_TRIES	16

/* -- names ----------------------------------------------------------------- */

static const char *const status_names[] = {
	[JOB_STARTING] = "starting", [JOB_RUNNING] = "running",
	[JOB_COMPLETED] = "completed", [JOB_FAILED] = "failed",
	[JOB_KILLED] = "killed", [JOB_ERROR] = "error",
};

const char *
job_status_name(enum job_status s)
{
	return status_names[s];
}

const char *
job_reason_name(enum job_reason r)
{
	static const char *const names[] = {
		"", "requested", "signal", "oom", "timeout"
	};

	return names[r];
}

int
job_status_parse(const char *name, enum job_status *s)
{
	size_t	i;

	for (i = 0; i < ARRAY_LEN(status_names); i++)
		if (strcmp(name, status_names[i]) == 0) {
			*s = (enum job_status)i;
			return 0;
		}
	return -EINVAL;
}

bool
job_id_valid(const char *id)
{
	size_t	n = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		    "abcdefghijklmnopqrstuvwxyz0123456789._-");

	return n > 0 && n <= JOB_ID_MAX && id[n] == '\0' &&
	    strcmp(id, ".") != 0 && strcmp(id, "..") != 0 &&
	    strcmp(id, "kill-all") != 0;
}

static int64_t
wall_ms(void)
{
	struct timespec	t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* -- memory ---------------------------------------------------------------- */

struct job *
job_ref(struct job *j)
{
	j->refs++;
	return j;
}

void
job_unref(struct job *j)
{
	if (--j->refs > 0)
		return;
	(void)cgjob_close(&j->cgroup);
	jobfile_forget(&j->file);
	joblog_finish(&j->log);
	free(j->command);
	free(j->cwd);
	free(j->argv);
	free(j->path);
	free(j);
}

static void
notify(struct job *j)
{
	struct job_watch	*w, *next;

	for (w = j->watches; w != NULL; w = next) {
		next = w->next;
		w->more(w->arg);
	}
	job_waits_poke(j);
}

static void
put_log(struct job *j, enum joblog_type type, const void *p, size_t n)
{
	size_t	before = j->log.memory;

	joblog_put(&j->log, type, wall_ms(), p, n);
	jobs_count_log(j, before);
	notify(j);
}

void
job_flush_log(struct job *j)
{
	size_t	before = j->log.memory;

	joblog_flush(&j->log, wall_ms());
	jobs_count_log(j, before);
}

/* -- processes ------------------------------------------------------------- */

int
job_cgroup(const struct job *j)
{
	return j->cgroup.path[0] != '\0' ? j->cgroup.kill : -1;
}

void
job_scope(const struct job *j, struct tree_scope *scope)
{
	*scope = (struct tree_scope){ .mark = j->mark,
	    .emptied = j->emptied && !j->unsure, .reap = j->owner->reap };
	if (j->task == NULL)
		return;
	scope->shim = task_shim(j->task);
	if (task_alive(j->task))
		scope->leader = task_pid(j->task);	/* also at its start */
}

/* A second look at nobody: one walk may just have missed him. */
static size_t
count_members(const struct job *j)
{
	struct tree_scope	scope;
	struct tree		t = { 0 };
	size_t			n;

	job_scope(j, &scope);
	(void)tree_walk(&t, &scope);
	if (t.live == 0)
		(void)tree_walk(&t, &scope);
	n = t.live;
	tree_finish(&t);
	return n;
}

bool
job_busy(const struct job *j)
{
	return !job_terminal(j) || j->kill != NULL || j->task != NULL ||
	    j->unsure;
}

/*
 * Between the end of the last process and that of the shim, which we hear of,
 * the walk knows better.
 */
bool
job_alive(struct job *j)
{
	if (!job_busy(j))
		return false;
	if (!job_terminal(j) || j->kill != NULL ||
	    (j->task != NULL && !j->finished))
		return true;
	if (count_members(j) > 0)
		return true;
	j->unsure = false;
	return false;
}

size_t
job_lingering(const struct job *j)
{
	return job_terminal(j) && (j->task != NULL || j->unsure) ?
	    count_members(j) : 0;
}

/* The task goes when its program is collected and its shim is, too. */
static void
release_task(struct job *j)
{
	if (!j->finished || !j->emptied)
		return;
	task_destroy(j->task);
	j->task = NULL;
	if (j->unsure)
		return;
	loop_timer_clear(&j->timeout);
	(void)cgjob_close(&j->cgroup);
}

static void
on_emptied(void *arg, bool sure)
{
	struct job	*j = arg;

	if (!sure)
		log_warn(JOB_COMPONENT, "job %s: somebody killed its shim",
		    j->id);
	j->emptied = true;
	j->unsure = !sure;
	if (sure)
		job_kill_emptied(j);
	release_task(j);
	notify(j);
}

/* -- the end --------------------------------------------------------------- */

static enum job_reason
reason_of(const struct job *j)
{
	if (j->kill_reason != JOB_REASON_NONE)
		return j->kill_reason;
	if (j->signo == 0)
		return JOB_REASON_NONE;
	return j->signo == SIGKILL && jobs_oom_recent(j->owner, j->oom_kills) ?
	    JOB_REASON_OOM : JOB_REASON_SIGNAL;
}

void
job_end(struct job *j, enum job_status status, int exit_code, int signo)
{
	size_t	memory;

	if (job_terminal(j))
		return;
	j->status = status;
	j->exit_code = exit_code;
	j->signo = signo;
	j->end_ms = wall_ms();
	if (status != JOB_ERROR)
		j->reason = reason_of(j);
	j->owner->totals.ended[status]++;
	if (status != JOB_ERROR)
		log_info(JOB_COMPONENT, "job %s: %s, status %d%s%s", j->id,
		    job_status_name(status), exit_code,
		    j->reason != JOB_REASON_NONE ? ", " : "",
		    job_reason_name(j->reason));
	put_log(j, JOBLOG_EXIT, NULL, 0);
	jobfile_close(&j->file);
	memory = j->log.memory;
	joblog_trim(&j->log);
	jobs_count_log(j, memory);
	job_kill_ended(j);
}

/* S1, S3, S5. */
static void
end_by_exit(struct job *j, const struct reap_exit *e)
{
	int		code = reap_exit_code(e), signo = 0;
	enum job_status	status = JOB_FAILED;

	if (e->signaled)
		signo = e->value;
	else if (code > 128 && code < 160)
		signo = code - 128;	/* a shell tells it that way */
	if (j->kill_reason != JOB_REASON_NONE || code == 128 + SIGKILL ||
	    code == 128 + SIGTERM)
		status = JOB_KILLED;
	else if (code == 0)
		status = JOB_COMPLETED;
	job_end(j, status, code, signo);
}

static void
on_finished(void *arg, const struct reap_exit *e)
{
	struct job	*j = arg;

	j->finished = true;
	if (j->status == JOB_STARTING && j->message[0] != '\0')
		job_end(j, JOB_ERROR, -1, 0);
	else
		end_by_exit(j, e);
	release_task(j);
}

/* -- life ------------------------------------------------------------------ */

/* Of all its processes: also of those that a program which is over left. */
static void
on_timeout(void *arg)
{
	struct job	*j = arg;

	job_kill(j, j->grace_ms, JOB_REASON_TIMEOUT, "its timeout", NULL);
}

static void
on_started(void *arg, enum child_stage stage, int err, const char *path,
    int cwd_err)
{
	struct job	*j = arg;

	(void)cwd_err;			/* strict: it would be a failure */
	if (job_terminal(j))
		return;			/* killed, and didn't die */
	if (stage == CHILD_OK) {
		j->status = JOB_RUNNING;
		j->pid = task_pid(j->task);
		log_info(JOB_COMPONENT, "job %s: started %s as pid %d", j->id,
		    path, (int)j->pid);
		put_log(j, JOBLOG_START, NULL, 0);
	} else if (j->kill_reason == JOB_REASON_NONE ||
	    (stage != CHILD_TIMEOUT && err != ECANCELED)) {
		(void)snprintf(j->message, sizeof j->message,
		    "cannot start: %s: %.160s: %s", child_stage_name(stage),
		    stage == CHILD_CWD ? j->cwd : path != NULL ? path :
		    "no such program", strerror(err));
		log_warn(JOB_COMPONENT, "job %s: %s", j->id, j->message);
	}
	job_kill_started(j);
}

static bool
is_held(const struct job *j)
{
	/* What an ended program left fits in. */
	return j->held != 0 && j->task != NULL && !task_draining(j->task) &&
	    joblog_newest(&j->log) >= j->held + JOB_HOLD_EVENTS;
}

/*
 * The file's writer may make us wait, for a moment; a reader only if the job
 * was started to be read by him.
 */
static size_t
on_room(void *arg)
{
	const struct job	*j = arg;

	return jobfile_full(&j->file) || is_held(j) ? 0 : TASK_READ_MAX;
}

void
job_hold(struct job *j, uint64_t at)
{
	bool	held = is_held(j);

	j->held = j->kill_reason == JOB_REASON_NONE ? at : 0;
	if (held && !is_held(j) && j->task != NULL && !j->finished)
		task_resume(j->task);
}

static void
on_output(void *arg, enum task_stream s, const void *p, size_t n)
{
	struct job	*j = arg;

	if (job_terminal(j))
		return;
	put_log(j, s == TASK_STDERR ? JOBLOG_STDERR : JOBLOG_STDOUT, p, n);
}

static const struct task_ops ops = {
	.started = on_started, .room = on_room, .output = on_output,
	.finished = on_finished, .emptied = on_emptied,
};

/* In the log's order, so that readers of both can tell where they are. */
static void
on_logged(void *arg, const void *p, size_t n)
{
	struct job	*j = arg;

	jobfile_put(&j->file, p, n);
}

static void
on_file(void *arg, int err)
{
	struct job	*j = arg;

	j->file_there = err == 0;
	if (err < 0)
		log_warn(JOB_COMPONENT, "job %s: no log file: %s: %s", j->id,
		    j->path != NULL ? j->path : "", strerror(-err));
	notify(j);
}

static void
on_file_writable(void *arg)
{
	struct job	*j = arg;

	if (j->task != NULL && !j->finished)
		task_resume(j->task);
}

/* -- starting -------------------------------------------------------------- */

/* The words and a blank between each. */
static char *
join(char *const *argv)
{
	size_t	n = 1, i;
	char	*s, *p;

	for (i = 0; argv[i] != NULL; i++)
		n += strlen(argv[i]) + 1;
	if ((s = p = malloc(n)) == NULL)
		return NULL;
	for (i = 0; argv[i] != NULL; i++) {
		if (i > 0)
			*p++ = ' ';
		p = stpcpy(p, argv[i]);
	}
	*p = '\0';
	return s;
}

static char **
copy_words(char *const *argv)
{
	size_t	n, bytes = 0;
	char	**copy, *p;

	for (n = 0; argv[n] != NULL; n++)
		bytes += strlen(argv[n]) + 1;
	if ((copy = malloc((n + 1) * sizeof *copy + bytes)) == NULL)
		return NULL;
	p = (char *)(copy + n + 1);
	for (n = 0; argv[n] != NULL; n++) {
		copy[n] = p;
		p = stpcpy(p, argv[n]) + 1;
	}
	copy[n] = NULL;
	return copy;
}

static int
make_id(struct jobs *js, char *out)
{
	static const char	set[] = "abcdefghijkmnpqrstuvwxyz23456789";
	uint8_t			r[5];
	size_t			i;
	int			tries;

	for (tries = 0; tries < ID_TRIES; tries++) {
		if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r)
			return -EIO;
		memcpy(out, "job-", 4);
		for (i = 0; i < sizeof r; i++)
			out[4 + i] = set[r[i] % (sizeof set - 1)];
		out[4 + i] = '\0';
		if (job_find(js, out) == NULL)
			return 0;
	}
	return -EEXIST;
}

static int
job_new(struct jobs *js, struct job **out, const struct job_spec *spec)
{
	struct job	*j;
	int		 r = 0;

	if ((j = calloc(1, sizeof *j)) == NULL)
		return -ENOMEM;
	j->owner = js;
	j->refs = 1;
	j->exit_code = -1;
	j->detached = spec->detached;
	j->timeout_ms = spec->timeout_ms;
	j->grace_ms = spec->grace_ms;
	joblog_init(&j->log);
	j->log.sink = on_logged;
	j->log.sink_arg = j;
	j->file = (struct jobfile){ .told = on_file,
	    .writable = on_file_writable, .arg = j };
	j->timeout.fn = on_timeout;
	j->timeout.arg = j;
	j->mark = mark_make();
	if (spec->id == NULL)
		r = make_id(js, j->id);
	else
		(void)snprintf(j->id, sizeof j->id, "%s", spec->id);
	(void)snprintf(j->session, sizeof j->session, "%s", spec->session);
	j->cwd = strdup(spec->cwd != NULL ? spec->cwd : spec->account->home);
	j->command = spec->argv != NULL ? join(spec->argv) :
	    strdup(spec->command);
	if (spec->argv != NULL)
		j->argv = copy_words(spec->argv);
	if (r == 0 && (j->cwd == NULL || j->command == NULL ||
	    (spec->argv != NULL && j->argv == NULL)))
		r = -ENOMEM;
	if (r < 0)
		job_unref(j);
	else
		*out = j;
	return r;
}

/* Named by what no other daemon's job has; where there is no mark, too. */
static void
open_cgroup(struct job *j)
{
	char		name[17];
	uint64_t	r;

	if (j->owner->cgroup_home[0] == '\0' ||
	    getrandom(&r, sizeof r, 0) != (ssize_t)sizeof r)
		return;
	(void)snprintf(name, sizeof name, "%016llx", (unsigned long long)r);
	(void)cgjob_open(&j->cgroup, j->owner->cgroup_home, name);
}

static int
spawn(struct job *j, const struct job_spec *spec, const char *const *paths,
    const char *const *argv)
{
	const struct account	*a = spec->account;
	char			 id[sizeof "K8SHELL_JOB_ID=" + JOB_ID_MAX];
	char			 session[sizeof "K8SHELL_SESSION_ID=" +
				    JOB_SESSION_MAX];
	const char		*extra[] = { id, NULL, NULL };
	struct child_spec	 cs = {
		.paths = paths, .argv = argv, .cwd = j->cwd,
		.user = { .uid = a->uid, .gid = a->gid, .groups = a->groups,
		    .ngroups = a->ngroups, .change = geteuid() == 0,
		    .may_gain = account_may_gain(a) },
		.io = CHILD_OUTPUT, .nofile = j->owner->nofile,
		.shim = j->owner->shim, .mark = j->mark,
		.strict_cwd = true,
	};
	char			**env;
	int			 r;

	(void)snprintf(id, sizeof id, "K8SHELL_JOB_ID=%s", j->id);
	(void)snprintf(session, sizeof session, "K8SHELL_SESSION_ID=%s",
	    j->session);
	if (j->session[0] != '\0')
		extra[1] = session;
	open_cgroup(j);
	if (j->cgroup.path[0] != '\0')
		cs.cgroup = &j->cgroup;
	env = account_environment(a, spec->env, spec->nenv,
	    spec->argv != NULL ? NULL : paths[0], false, extra);
	if (env == NULL)
		return -ENOMEM;
	cs.envp = (const char *const *)env;
	r = task_create(&j->task, j->owner->loop, j->owner->reap, &cs, &ops,
	    j);
	free(env);
	return r;
}

static int
launch(struct job *j, const struct job_spec *spec)
{
	struct command	 c = { 0 };
	const char	*one[] = { NULL, NULL };
	int		 r;

	if (j->argv != NULL) {
		one[0] = j->argv[0];
		return spawn(j, spec, one, (const char *const *)j->argv);
	}
	if ((r = command_build(&c, spec->account, "", j->command, "")) < 0)
		return r;
	r = spawn(j, spec, (const char *const *)c.paths,
	    (const char *const *)c.argv);
	command_finish(&c);
	return r;
}

static void
open_file(struct job *j, const struct account *a)
{
	char	path[4096];
	int	r;

	if (str_format(path, sizeof path, "%s" JOBFILE_DIR "/%s.log", a->home,
	    j->id) >= 0)
		j->path = strdup(path);
	if ((r = jobfile_open(j->owner->files, &j->file, a, j->id)) < 0)
		log_warn(JOB_COMPONENT, "job %s: no log file: %s", j->id,
		    strerror(-r));
}

int
job_start(struct jobs *js, struct job **out, const struct job_spec *spec)
{
	struct job	*j = NULL;
	int		 r;

	if ((r = jobs_may_start(js, spec->id)) < 0 ||
	    (r = job_new(js, &j, spec)) < 0)
		return r;
	if ((r = launch(j, spec)) < 0) {
		job_unref(j);
		return r;
	}
	j->start_ms = wall_ms();
	j->oom_kills = jobs_oom_kills(js);
	jobs_add(js, j);
	if (j->timeout_ms > 0)
		loop_timer_set(js->loop, &j->timeout,
		    loop_now(js->loop) + j->timeout_ms);
	open_file(j, spec->account);
	log_info(JOB_COMPONENT, "job %s: start by %s", j->id, spec->who);
	*out = j;
	return 0;
}

/* -- what others want to know ---------------------------------------------- */

bool
job_terminal(const struct job *j)
{
	return j->status > JOB_RUNNING;
}

void
job_info(const struct job *j, struct job_info *info)
{
	*info = (struct job_info){
		.id = j->id, .command = j->command, .cwd = j->cwd,
		.session = j->session,
		.argv = (const char *const *)j->argv,
		.detached = j->detached, .status = j->status,
		.reason = j->reason, .message = j->message, .pid = j->pid,
		.exit_code = j->exit_code, .signo = j->signo,
		.start_ms = j->start_ms, .end_ms = j->end_ms,
		.timeout_ms = j->timeout_ms, .log = &j->log,
		.log_file = j->file_there && j->path != NULL ? j->path : "",
	};
}

void
job_watch(struct job *j, struct job_watch *w)
{
	w->job = j;
	w->prevp = &j->watches;
	w->next = j->watches;
	if (w->next != NULL)
		w->next->prevp = &w->next;
	j->watches = w;
}

void
job_unwatch(struct job_watch *w)
{
	if (w->job == NULL)
		return;
	*w->prevp = w->next;
	if (w->next != NULL)
		w->next->prevp = w->prevp;
	w->job = NULL;
}
