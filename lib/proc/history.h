/*
 * history - a day of samples, and their means over the buckets of a window.
 *
 * A sample is 20 bytes: when, and either four floats or two 64-bit numbers.
 * Memory grows as samples come, up to a day's worth; then the oldest go.
 * Source: spec/grpc.md 3.13.
 */
#ifndef PROC_HISTORY_H
#define PROC_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#define HISTORY_STEP_S		30u		/* a sample is taken so often */
#define HISTORY_SPAN_S		(24u * 3600)
#define HISTORY_SAMPLES		(HISTORY_SPAN_S / HISTORY_STEP_S)
#define HISTORY_POINTS_MAX	720u		/* of one answer */
#define HISTORY_FLOATS		4u
#define HISTORY_NUMBERS		2u

struct history_sample;

struct history {
	struct history_sample *mem;
	size_t	 cap, len, head;	/* head: the oldest */
};

/* Zeroed memory is an empty history. */
void	 history_finish(struct history *h);

/*
 * when: wall clock, seconds.  Without memory the oldest sample goes, or this
 * one is lost.  A history holds one kind or the other.  NAN: not known.
 */
void	 history_add_floats(struct history *h, int64_t when,
	    const double v[HISTORY_FLOATS]);
void	 history_add_numbers(struct history *h, int64_t when,
	    const uint64_t v[HISTORY_NUMBERS]);

/* Nanoseconds of Unix time; n buckets of step_ns begin at from_ns. */
struct history_window {
	int64_t	 from_ns, to_ns, step_ns;
	size_t	 n;			/* 1 to HISTORY_POINTS_MAX */
};

/*
 * What a client asks for, NULL or "" for nothing: from and to in RFC 3339,
 * used if both are there, else range ending now (a Go duration, 1 h if not
 * given), and step.  The window is cut to the last 24 hours and to now, and
 * becomes one second if nothing is left; step is raised to HISTORY_STEP_S and
 * to a 720th of the window, in whole seconds.  0, or -EINVAL with *why.
 */
struct history_request {
	const char	*from, *to, *range, *step;
};
int	 history_window(struct history_window *w,
	    const struct history_request *req, int64_t now_ns,
	    const char **why);

/* Where bucket i begins, seconds of Unix time. */
int64_t	 history_bucket(const struct history_window *w, size_t i);

/* mean[0..n-1] of one column; NAN where no sample knows it. */
void	 history_floats(const struct history *h,
	    const struct history_window *w, unsigned column, double *mean);
void	 history_numbers(const struct history *h,
	    const struct history_window *w, unsigned column, double *mean);

/* Mean of known floats taken after `since`, seconds; NAN if there is none. */
double	 history_mean_since(const struct history *h, int64_t since,
	    unsigned column);

#endif
