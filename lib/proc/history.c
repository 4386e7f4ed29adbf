#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/rfc3339.h"
#include "base/str.h"
#include "proc/history.h"

#define NS_PER_S	INT64_C(1000000000)
#define CAP_MIN		32u

struct history_sample {
	uint32_t when;			/* until 2106 */
	union {
		float	 f[HISTORY_FLOATS];
		uint32_t u[2 * HISTORY_NUMBERS];	/* low, high */
	} v;
};

_Static_assert(sizeof(struct history_sample) == 20, "a sample is compact");

void
history_finish(struct history *h)
{
	free(h->mem);
	*h = (struct history){ 0 };
}

static const struct history_sample *
sample(const struct history *h, size_t i)
{
	return &h->mem[(h->head + i) % h->cap];
}

/* Room for one more, if memory and a day allow. */
static void
grow(struct history *h)
{
	struct history_sample	*mem;
	size_t			 cap = h->cap > 0 ? h->cap * 2 : CAP_MIN, i;

	if (h->len < h->cap || h->cap == HISTORY_SAMPLES)
		return;
	if (cap > HISTORY_SAMPLES)
		cap = HISTORY_SAMPLES;
	if ((mem = malloc(cap * sizeof *mem)) == NULL)
		return;
	for (i = 0; i < h->len; i++)
		mem[i] = *sample(h, i);
	free(h->mem);
	h->mem = mem;
	h->cap = cap;
	h->head = 0;
}

/* Place of a new sample, or NULL. */
static struct history_sample *
append(struct history *h, int64_t when)
{
	struct history_sample	*s;

	grow(h);
	if (h->cap == 0)
		return NULL;
	if (h->len == h->cap) {
		h->head = (h->head + 1) % h->cap;
		h->len--;
	}
	s = &h->mem[(h->head + h->len++) % h->cap];
	s->when = when < 0 ? 0 : when > UINT32_MAX ? UINT32_MAX :
	    (uint32_t)when;
	return s;
}

void
history_add_floats(struct history *h, int64_t when,
    const double v[HISTORY_FLOATS])
{
	struct history_sample	*s = append(h, when);
	size_t			 i;

	for (i = 0; s != NULL && i < HISTORY_FLOATS; i++)
		s->v.f[i] = (float)v[i];
}

void
history_add_numbers(struct history *h, int64_t when,
    const uint64_t v[HISTORY_NUMBERS])
{
	struct history_sample	*s = append(h, when);
	size_t			 i;

	for (i = 0; s != NULL && i < HISTORY_NUMBERS; i++) {
		s->v.u[2 * i] = (uint32_t)v[i];
		s->v.u[2 * i + 1] = (uint32_t)(v[i] >> 32);
	}
}

/* -- windows --------------------------------------------------------------- */

static bool
given(const char *s)
{
	return s != NULL && s[0] != '\0';
}

static int
positive_duration(const char *s, int64_t *ns)
{
	return str_to_duration(s, ns) < 0 || *ns <= 0 ? -EINVAL : 0;
}

static int
set_bounds(struct history_window *w, const struct history_request *req,
    int64_t now_ns, const char **why)
{
	int64_t	range = 3600 * NS_PER_S;

	if (given(req->from) && given(req->to)) {
		*why = "from and to are not RFC 3339 times";
		if (rfc3339_parse(req->from, &w->from_ns) < 0 ||
		    rfc3339_parse(req->to, &w->to_ns) < 0)
			return -EINVAL;
		*why = "to is not after from";
		return w->to_ns > w->from_ns ? 0 : -EINVAL;
	}
	*why = "range is not a positive duration";
	if (given(req->range) && positive_duration(req->range, &range) < 0)
		return -EINVAL;
	if (range > HISTORY_SPAN_S * NS_PER_S)
		range = HISTORY_SPAN_S * NS_PER_S;
	w->to_ns = now_ns;
	w->from_ns = now_ns - range;
	return 0;
}

int
history_window(struct history_window *w, const struct history_request *req,
    int64_t now_ns, const char **why)
{
	int64_t	day_ago = now_ns - HISTORY_SPAN_S * NS_PER_S, least;

	w->step_ns = 0;
	if (set_bounds(w, req, now_ns, why) < 0)
		return -EINVAL;
	*why = "step is not a positive duration";
	if (given(req->step) && positive_duration(req->step, &w->step_ns) < 0)
		return -EINVAL;
	if (w->from_ns < day_ago)
		w->from_ns = day_ago;
	if (w->to_ns > now_ns)
		w->to_ns = now_ns;
	if (w->to_ns <= w->from_ns)
		w->from_ns = w->to_ns - NS_PER_S;
	/* Rounded up twice, so never a bucket too many. */
	least = (w->to_ns - w->from_ns + HISTORY_POINTS_MAX - 1) /
	    HISTORY_POINTS_MAX;
	least = (least + NS_PER_S - 1) / NS_PER_S * NS_PER_S;
	if (least < HISTORY_STEP_S * NS_PER_S)
		least = HISTORY_STEP_S * NS_PER_S;
	if (w->step_ns < least)
		w->step_ns = least;
	w->n = (size_t)((w->to_ns - w->from_ns - 1) / w->step_ns) + 1;
	*why = NULL;
	return 0;
}

int64_t
history_bucket(const struct history_window *w, size_t i)
{
	return (w->from_ns + (int64_t)i * w->step_ns) / NS_PER_S;
}

/* -- means ----------------------------------------------------------------- */

static double
number_of(const struct history_sample *s, unsigned column)
{
	return (double)((uint64_t)s->v.u[2 * column + 1] << 32 |
	    s->v.u[2 * column]);
}

/* Index of the bucket of a moment, or n. */
static size_t
bucket_of(const struct history_window *w, uint32_t when)
{
	int64_t	ns = (int64_t)when * NS_PER_S;

	if (ns < w->from_ns || ns >= w->to_ns)
		return w->n;
	return (size_t)((ns - w->from_ns) / w->step_ns);
}

static void
means(const struct history *h, const struct history_window *w,
    unsigned column, bool floats, double *mean)
{
	uint16_t			 counts[HISTORY_POINTS_MAX] = { 0 };
	const struct history_sample	*s;
	double				 v;
	size_t				 i, at;

	for (i = 0; i < w->n; i++)
		mean[i] = 0;
	for (i = 0; i < h->len; i++) {
		s = sample(h, i);
		v = floats ? (double)s->v.f[column] : number_of(s, column);
		at = bucket_of(w, s->when);
		if (at >= w->n || isnan(v))
			continue;
		mean[at] += v;
		counts[at]++;
	}
	for (i = 0; i < w->n; i++)
		mean[i] = counts[i] > 0 ? mean[i] / counts[i] : (double)NAN;
}

void
history_floats(const struct history *h, const struct history_window *w,
    unsigned column, double *mean)
{
	means(h, w, column, true, mean);
}

void
history_numbers(const struct history *h, const struct history_window *w,
    unsigned column, double *mean)
{
	means(h, w, column, false, mean);
}

double
history_mean_since(const struct history *h, int64_t since, unsigned column)
{
	double	sum = 0, v;
	size_t	i, n = 0;

	for (i = 0; i < h->len; i++) {
		v = (double)sample(h, i)->v.f[column];
		if ((int64_t)sample(h, i)->when <= since || isnan(v))
			continue;
		sum += v;
		n++;
	}
	return n > 0 ? sum / (double)n : (double)NAN;
}
