/*
 * probe - is somebody listening on a port of this machine, and well?
 *
 * Connects to 127.0.0.1, then to ::1; over HTTP it asks for a path and reads
 * the status.  Never blocks, and never takes longer than PROBE_MS.
 */
#ifndef WORKSPACE_PROBE_H
#define WORKSPACE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"

#define PROBE_MS	5000
#define PROBE_PATH_MAX	1024	/* with its end */
#define PROBE_HEAD_MAX	256	/* of an answer that is looked at */

struct probe_spec {
	uint16_t	 port;
	bool		 http;
	const char	*path;		/* borrowed for as long as it runs */
};

/* err: 0 with the HTTP status (0 for TCP), or why not: -errno. */
typedef void probe_fn(void *arg, int err, unsigned status);

/* Embedded in its owner. */
struct probe {
	struct loop	*loop;
	struct probe_spec spec;
	unsigned	 attempt;	/* 0: IPv4, 1: IPv6 */
	bool		 running, connected;
	struct loop_io	 io;
	struct loop_timer timer;
	struct loop_task task;
	char		 head[PROBE_HEAD_MAX];
	size_t		 nhead;
	int		 err;
	unsigned	 status;
	probe_fn	*done;
	void		*arg;
};

void	 probe_init(struct probe *p, struct loop *l, probe_fn *done,
	    void *arg);
/* done() comes once, never from within; nothing may be running. */
void	 probe_start(struct probe *p, const struct probe_spec *spec);
void	 probe_stop(struct probe *p);	/* any number of times; no done() */

/* "HTTP/1.1 200 ...": the status, 0 if more is needed, -EPROTO.  For tests. */
int	 probe_status(const char *head, size_t n);

#endif
