/*
 * job - runs one task and keeps what it said.
 */
#ifndef TESTS_UNIT_JOB_H
#define TESTS_UNIT_JOB_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/run.h"
#include "workspace/task.h"

#define KEEP_MAX	(4u * 1024 * 1024)

/* One task, what it said, and how its taker behaves. */
struct job {
	struct spin	*spin;
	struct task	*task;
	bool		 started, finished, gone, writable, got;
	bool		 emptied, sure;
	unsigned	 finishes;
	enum child_stage stage;
	struct reap_exit exit;
	size_t		 room;		/* what room() says */
	size_t		 chunks, largest;
	size_t		 nout, nerr;
	char		*out, *err;
	bool		 hang_up_in_output, hang_up_in_started;
	int		 stdin_copy;	/* opened before that hang-up */
	const char	*await;		/* sets got once seen in out */
};

static inline void
job_on_gone(void *arg)
{
	struct job	*j = arg;

	assert_false(j->gone);
	j->gone = true;
	spin_wake(j->spin);
}

static inline void
job_on_started(void *arg, enum child_stage stage, int err, const char *path,
    int cwd_err)
{
	struct job	*j = arg;
	char		 name[32];

	(void)err;
	(void)path;
	(void)cwd_err;
	assert_false(j->started || j->nout > 0 || j->nerr > 0 || j->gone);
	j->started = true;
	j->stage = stage;
	if (j->hang_up_in_started) {
		snprintf(name, sizeof name, "/proc/%d/fd/0",
		    (int)task_pid(j->task));
		j->stdin_copy = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
		task_hangup(j->task, job_on_gone, j);
	}
	spin_wake(j->spin);
}

static inline size_t
job_on_room(void *arg)
{
	struct job	*j = arg;

	return j->room;
}

static inline void
job_on_output(void *arg, enum task_stream s, const void *p, size_t n)
{
	struct job	*j = arg;
	size_t		*len = s == TASK_STDOUT ? &j->nout : &j->nerr;
	char		*text = s == TASK_STDOUT ? j->out : j->err;

	assert_true(j->started && !j->finished && !j->gone);
	assert_true(n > 0 && n <= j->room && n <= TASK_READ_MAX);
	if (*len + n < KEEP_MAX)
		memcpy(text + *len, p, n);
	*len += n;
	j->chunks++;
	j->largest = n > j->largest ? n : j->largest;
	if (j->hang_up_in_output)
		task_hangup(j->task, job_on_gone, j);
	if (j->await != NULL && strstr(j->out, j->await) != NULL)
		j->got = true;
	spin_wake(j->spin);
}

static inline void
job_on_writable(void *arg)
{
	struct job	*j = arg;

	assert_true(task_input_queued(j->task) <= TASK_INPUT_MAX / 2);
	j->writable = true;
	spin_wake(j->spin);
}

static inline void
job_on_finished(void *arg, const struct reap_exit *e)
{
	struct job	*j = arg;

	assert_true(j->started && !j->gone);
	j->finishes++;
	j->finished = true;
	j->exit = *e;
	spin_wake(j->spin);
}

static inline void
job_on_emptied(void *arg, bool sure)
{
	struct job	*j = arg;

	assert_false(j->emptied || j->gone);
	j->emptied = true;
	j->sure = sure;
	spin_wake(j->spin);
}

static const struct task_ops job_ops = {
	job_on_started, job_on_room, job_on_output, job_on_writable,
	job_on_finished, job_on_emptied
};

static inline void
job_spawn(struct job *j, struct spin *s, enum child_io io, bool shim,
    const char *script)
{
	static const char *const paths[] = { "/bin/sh", NULL };
	const char		*argv[] = { NULL, "-c", script, NULL };
	struct child_spec	 spec = spec_of(paths, argv, io);

	spec.shim = shim ? RUN_NO_SHIM : NULL;
	*j = (struct job){ .spin = s, .room = TASK_READ_MAX };
	j->out = calloc(1, KEEP_MAX);
	j->err = calloc(1, KEEP_MAX);
	assert_non_null(j->out);
	assert_non_null(j->err);
	assert_int_equal(task_create(&j->task, s->loop, s->reap, &spec,
	    &job_ops, j), 0);
}

static inline void
job_start(struct job *j, struct spin *s, enum child_io io, const char *script)
{
	job_spawn(j, s, io, false, script);
}

static inline void
job_free(struct job *j)
{
	free(j->out);
	free(j->err);
}

/* Waits for the end; what it wrote stays until job_free(). */
static inline void
job_end(struct job *j)
{
	spin_until(j->spin, &j->finished);
	assert_int_equal(j->finishes, 1);
	task_destroy(j->task);
}

static inline void
job_run(struct job *j, struct spin *s, enum child_io io, const char *script)
{
	job_start(j, s, io, script);
	job_end(j);
}

static inline void
job_await(struct job *j, const char *text)
{
	j->got = strstr(j->out, text) != NULL;
	j->await = text;
	spin_until(j->spin, &j->got);
	j->await = NULL;
}

#endif
