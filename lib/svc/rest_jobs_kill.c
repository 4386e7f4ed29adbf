/*
 * POST /jobs/{id}/kill, POST /jobs/kill-all.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "svc/rest_impl.h"
#include "svc/rest_jobs.h"
#include "svc/svc.h"

/* ---- what is said ---- */

static void
put_survivors(struct json_out *o, const struct treekill_result *r)
{
	char	state[2] = "";
	size_t	i;

	for (i = 0; r != NULL && i < r->nsurvivors &&
	    i < TREEKILL_SURVIVORS_MAX; i++) {
		state[0] = r->survivor[i].state;
		json_put_object(o, NULL);
		json_put_int(o, "pid", r->survivor[i].pid);
		json_put_string(o, "state", state);
		json_put_string(o, "name", r->survivor[i].name);
		json_put_string(o, "why", treekill_why(&r->survivor[i]));
		json_put_end(o, '}');
	}
}

/* r NULL: nobody was waited for.  Killed is what is known to be gone. */
static void
answer(struct rest_conn *c, struct job *j, bool already,
    const struct treekill_result *r)
{
	static const char *const phases[] = { "none", "term", "kill" };
	struct json_out		 o;
	struct job_info		 i;

	job_info(j, &i);
	json_out_init(&o, &c->answer);
	json_put_object(&o, NULL);
	json_put_string(&o, "id", i.id);
	json_put_bool(&o, "killed", r != NULL ? r->nsurvivors == 0 :
	    !job_alive(j));
	json_put_bool(&o, "unsure", r != NULL && r->unsure);
	json_put_bool(&o, "already_exited", already);
	json_put_string(&o, "phase", phases[r != NULL ? r->phase : 0]);
	json_put_array(&o, "survivors");
	put_survivors(&o, r);
	json_put_end(&o, ']');
	json_put_string(&o, "status", job_status_name(i.status));
	if (i.exit_code >= 0)
		json_put_int(&o, "exit_code", i.exit_code);
	json_put_end(&o, '}');
	rest_json(c, 200, &o);
}

/* ---- one ---- */

struct killing_one {
	struct rest_conn	*conn;
	struct job_killing	 killing;
};

static void
on_done(void *arg, struct job *j, bool already,
    const struct treekill_result *r)
{
	struct killing_one	*w = arg;

	answer(w->conn, j, already, r);
	free(w);
}

static void
on_gone(void *arg)
{
	struct killing_one	*w = arg;

	job_killing_cancel(&w->killing);
	free(w);
}

/* Where nobody can be let wait, nobody is; the job is ended in any case. */
static void
end_job(struct rest_conn *c, struct job *j, const struct jobs_kill_wish *wish,
    const char *who)
{
	struct killing_one	*w = NULL;

	if (wish->wait && rest_may_last(c))
		w = calloc(1, sizeof *w);
	if (w == NULL) {
		job_kill(j, wish->grace_ms, JOB_REASON_REQUESTED, who, NULL);
		answer(c, j, job_terminal(j), NULL);
		return;
	}
	w->conn = c;
	w->killing = (struct job_killing){ .done = on_done, .arg = w };
	job_kill(j, wish->grace_ms, JOB_REASON_REQUESTED, who, &w->killing);
	rest_wait(c, on_gone, w);
}

static void
signal_job(struct rest_conn *c, struct job *j,
    const struct jobs_kill_wish *wish, const char *who)
{
	int	r = job_signal(j, wish->whom, wish->signo, who);

	if (r == 0 || (r == -ESRCH && job_terminal(j)))
		answer(c, j, job_terminal(j), NULL);
	else if (r == -ESRCH)
		rest_error(c, 409, "job %s: nobody is there to get it",
		    c->arg);
	else
		rest_error(c, r == -EINVAL ? 400 : 500, "job %s: %s", c->arg,
		    strerror(-r));
}

void
rest_job_kill(struct rest_conn *c)
{
	struct jobs_kill_wish	 wish;
	struct job		*j;
	const char		*why = NULL;
	char			 who[JOBS_WHO_MAX];

	if (jobs_read_kill(&wish, buf_head(&c->body), c->body.len, &why) < 0) {
		rest_error(c, 400, "%s", why);
		return;
	}
	if ((j = jobs_find(c)) == NULL)
		return;
	jobs_who(c, who);
	if (wish.once)
		signal_job(c, j, &wish, who);
	else
		end_job(c, j, &wish, who);
}

/* ---- all ---- */

struct killing_all {
	struct rest_conn *conn;
	const char	*session;	/* "": of all */
	const char	*who;
	uint32_t	 grace_ms;
	size_t		 n, pending, killed;
	struct treekill_result left;	/* survivors of all */
	struct job_killing killing[];	/* n, live jobs */
};

static bool
belongs(const struct killing_all *a, const struct job *j)
{
	struct job_info	i;

	job_info(j, &i);
	return (!job_terminal(j) || job_lingering(j) > 0) &&
	    (a->session[0] == '\0' || strcmp(a->session, i.session) == 0);
}

static void
tell(struct killing_all *a)
{
	struct json_out	o;

	json_out_init(&o, &a->conn->answer);
	json_put_object(&o, NULL);
	json_put_int(&o, "killed", (int64_t)a->killed);
	if (a->pending > 0)		/* not waited for */
		json_put_int(&o, "pending", (int64_t)a->pending);
	json_put_bool(&o, "unsure", a->left.unsure);
	json_put_array(&o, "survivors");
	put_survivors(&o, &a->left);
	json_put_end(&o, ']');
	json_put_end(&o, '}');
	rest_json(a->conn, 200, &o);
}

static void
on_one_done(void *arg, struct job *j, bool already,
    const struct treekill_result *r)
{
	struct killing_all	*a = arg;
	size_t			 i;

	(void)j;
	(void)already;
	a->killed += r->nsurvivors == 0;
	a->left.unsure |= r->unsure;
	for (i = 0; i < r->nsurvivors && i < TREEKILL_SURVIVORS_MAX &&
	    a->left.nsurvivors < TREEKILL_SURVIVORS_MAX; i++)
		a->left.survivor[a->left.nsurvivors++] = r->survivor[i];
	if (--a->pending > 0)
		return;
	tell(a);
	free(a);
}

static void
on_all_gone(void *arg)
{
	struct killing_all	*a = arg;
	size_t			 i;

	for (i = 0; i < a->n; i++)
		job_killing_cancel(&a->killing[i]);
	free(a);
}

static bool
kill_one(void *arg, struct job *j)
{
	struct killing_all	*a = arg;
	struct job_killing	*k = &a->killing[a->n];

	if (a->n == JOBS_LIVE_MAX || !belongs(a, j))
		return a->n < JOBS_LIVE_MAX;
	*k = (struct job_killing){ .done = on_one_done, .arg = a };
	a->n++;
	a->pending++;
	job_kill(j, a->grace_ms, JOB_REASON_REQUESTED, a->who, k);
	return true;
}

/* All at once: nobody's grace waits for another's (B1). */
void
rest_jobs_kill(struct rest_conn *c)
{
	struct jobs_kill_wish	 wish;
	struct killing_all	*a;
	const char		*why = NULL;
	char			 who[JOBS_WHO_MAX];

	if (jobs_read_kill(&wish, buf_head(&c->body), c->body.len, &why) < 0) {
		rest_error(c, 400, "%s", why);
		return;
	}
	a = calloc(1, sizeof *a + JOBS_LIVE_MAX * sizeof a->killing[0]);
	if (a == NULL) {
		rest_error(c, 503, "out of memory");
		return;
	}
	jobs_who(c, who);
	a->conn = c;
	a->session = wish.session;
	a->who = who;
	a->grace_ms = wish.grace_ms;
	jobs_each(c->rest->opt.svc->jobs, kill_one, a);
	a->session = a->who = NULL;
	if (a->n > 0 && wish.wait && rest_may_last(c)) {
		rest_wait(c, on_all_gone, a);
		return;
	}
	tell(a);
	on_all_gone(a);
}
