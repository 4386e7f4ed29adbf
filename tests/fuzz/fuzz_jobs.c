/*
 * Requests about jobs, and what is looked for in their output: the first byte
 * picks a reader, the second is a size to cut by, the rest is the text.
 */
#include <string.h>

#include "base/str.h"
#include "svc/rest_jobs.h"
#include "workspace/joblog.h"
#include "tests/fuzz/fuzz.h"

#define TEXT_MAX	4096

static void
start(const uint8_t *p, size_t n, size_t step)
{
	struct jobs_wish	*w = calloc(1, sizeof *w);
	const char		*why = NULL;
	size_t			 i;

	(void)step;
	if (w == NULL)
		return;
	arena_init(&w->arena, JOBS_MEM_MAX);
	if (jobs_read_start(w, p, n, &why) == 0) {
		check((w->command != NULL) != (w->nargv > 0));
		check(w->id == NULL || job_id_valid(w->id));
		check(w->cwd == NULL || w->cwd[0] == '/');
		check(w->nargv == 0 || w->argv[w->nargv] == NULL);
		check(!w->detached || !w->attached);
		for (i = 0; i < w->nenv; i++)
			check(strchr(w->env[i], '=') > w->env[i]);
	} else {
		check(why != NULL);
	}
	arena_finish(&w->arena);
	free(w);
}

static void
end(const uint8_t *p, size_t n, size_t step)
{
	struct jobs_kill_wish	w;
	const char		*why = NULL;

	(void)step;
	if (jobs_read_kill(&w, p, n, &why) == 0)
		check(w.signo >= 1 && w.signo <= 64);
	else
		check(why != NULL);
}

/* What is taken can be looked for, in pieces of any size. */
static void
look(const char *text, bool regex, const uint8_t *p, size_t n, size_t step)
{
	struct jobmatch		m;
	struct jobmatch_found	f;
	const char		*why = NULL;
	size_t			i, len;
	int			r;

	if ((r = jobmatch_init(&m, text, regex, &why)) < 0) {
		check(why != NULL);
		return;
	}
	for (i = 0; i < n; i += len) {
		len = n - i < step ? n - i : step;
		if (jobmatch_feed(&m, i & 1, p + i, len, &f)) {
			check(strlen(f.line) <= JOBMATCH_LINE_MAX);
			check(f.ngroups <= JOBMATCH_GROUPS_MAX);
			break;
		}
	}
	(void)jobmatch_rest(&m, 0, &f);
	(void)jobmatch_rest(&m, 1, &f);
	jobmatch_finish(&m);
}

static void
await(const uint8_t *p, size_t n, size_t step)
{
	struct jobs_wait_wish	w;
	const char		*why = NULL;

	if (jobs_read_wait(&w, p, n, &why) < 0) {
		check(why != NULL);
	} else if (w.spec.what == JOB_AWAIT_PORT) {
		check(w.spec.probe.port != 0 && w.path[0] == '/');
		check(w.spec.status_min >= 100 &&
		    w.spec.status_min <= w.spec.status_max);
		check(w.spec.interval_ms >= JOBS_PROBE_MIN &&
		    w.spec.interval_ms <= JOBS_PROBE_MAX);
	} else {
		look(w.text, w.spec.regex, p, n, step);
	}
}

/* An expression, a NUL, a text. */
static void
expression(const uint8_t *p, size_t n, size_t step)
{
	char	text[TEXT_MAX + 1];
	size_t	len;

	memcpy(text, p, n);
	text[n] = '\0';
	len = strlen(text);
	look(text, true, p + len, n - len, step);
}

static void
probe(const uint8_t *p, size_t n, size_t step)
{
	int	status = probe_status((const char *)p, n);

	(void)step;
	check(status < 0 || status == 0 || (status >= 100 && status <= 999));
}

struct copy {
	uint8_t	 mem[TEXT_MAX + 8];
	size_t	 n;
};

static bool
put_back(void *arg, const struct joblog_event *e)
{
	struct copy	*c = arg;

	check(e->n <= JOBLOG_PIECE_MAX);
	if (e->type == JOBLOG_STDOUT) {
		memcpy(c->mem + c->n, e->p, e->n);
		c->n += e->n;
	}
	return true;
}

/* Whatever the pieces were, the bytes are the same. */
static void
output(const uint8_t *p, size_t n, size_t step)
{
	struct joblog	 l;
	struct copy	 c = { .n = 0 };
	size_t		 i, len;

	joblog_init(&l);
	for (i = 0; i < n; i += len) {
		len = n - i < step ? n - i : step;
		joblog_put(&l, JOBLOG_STDOUT, 0, p + i, len);
		joblog_put(&l, JOBLOG_STDERR, 0, p + i, len);
	}
	joblog_put(&l, JOBLOG_EXIT, 0, NULL, 0);
	joblog_trim(&l);
	(void)joblog_read(&l, 1, put_back, &c);
	check(c.n == n && memcmp(c.mem, p, n) == 0);
	joblog_finish(&l);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static void	(*const readers[])(const uint8_t *, size_t, size_t) = {
		start, end, await, expression, probe, output
	};

	if (n < 2 || n - 2 > TEXT_MAX)
		return 0;
	readers[data[0] % ARRAY_LEN(readers)](data + 2, n - 2, 1 + data[1]);
	return 0;
}
