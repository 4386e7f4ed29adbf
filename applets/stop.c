#include "applets/stop.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/loop.h"
#include "proc/shim.h"
#include "proc/tree.h"
#include "proc/treekill.h"

#define COMPONENT	"k8shelld"
#define PROGRESS_MS	1000

struct stop {
	struct loop	*loop;
	struct treekill	*kill;		/* NULL: done */
	struct loop_timer progress;
	void		(*done)(void *arg);
	void		*arg;
};

/* Those that shims hold the place for are counted, the shims are not. */
static size_t
count_left(void)
{
	const struct tree_scope	below = { .shim = getpid() };
	struct tree		t = { 0 };
	size_t			i, n = 0;

	tree_walk(&t, &below);
	for (i = 0; i < t.n; i++)
		n += !t.member[i].dead &&
		    strcmp(t.member[i].stat.name, SHIM_NAME) != 0;
	tree_finish(&t);
	return n;
}

static void
on_progress(void *arg)
{
	struct stop	*s = arg;

	log_info(COMPONENT, "stopping: %zu processes left", count_left());
	loop_timer_set(s->loop, &s->progress,
	    loop_now(s->loop) + PROGRESS_MS);
}

static void
on_killed(void *arg, const struct treekill_result *r)
{
	struct stop	*s = arg;
	size_t		 i;

	s->kill = NULL;
	loop_timer_clear(&s->progress);
	for (i = 0; i < r->nsurvivors && i < TREEKILL_SURVIVORS_MAX; i++)
		log_warn(COMPONENT, "stopping: pid %d (%s) is still there: %s",
		    (int)r->survivor[i].pid, r->survivor[i].name,
		    treekill_why(&r->survivor[i]));
	log_info(COMPONENT, "stopping: %zu processes left%s", r->nsurvivors,
	    r->phase == TREEKILL_KILL ? ", some had to be killed" : "");
	s->done(s->arg);
}

int
stop_start(struct stop **out, struct loop *l, uint32_t grace_ms,
    void (*done)(void *arg), void *arg)
{
	struct treekill_spec	 spec = { .scope.shim = getpid(),
				    .cgroup = -1 };
	struct stop		*s;
	size_t			 n = count_left();

	if ((s = calloc(1, sizeof *s)) == NULL)
		return -ENOMEM;
	s->loop = l;
	s->done = done;
	s->arg = arg;
	s->progress.fn = on_progress;
	s->progress.arg = s;
	spec.grace_ms = grace_ms < STOP_TERM_MS ? grace_ms : STOP_TERM_MS;
	if (treekill_start(&s->kill, l, &spec, on_killed, s) < 0) {
		free(s);
		return -ENOMEM;
	}
	if (n > 0)
		log_info(COMPONENT, "stopping: %zu processes left: SIGTERM, "
		    "in %u ms SIGKILL", n, spec.grace_ms);
	loop_timer_set(l, &s->progress, loop_now(l) + PROGRESS_MS);
	*out = s;
	return 0;
}

void
stop_hasten(struct stop *s)
{
	if (s->kill != NULL)
		treekill_hasten(s->kill, 0);
}

void
stop_destroy(struct stop *s)
{
	if (s == NULL)
		return;
	if (s->kill != NULL)
		treekill_abandon(s->kill);
	loop_timer_clear(&s->progress);
	free(s);
}
