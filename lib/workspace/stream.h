/*
 * stream - registry of live and recently ended streams, with counters.
 *
 * What `kbox streams` shows: exec, port-forward, shell, unix-socket, each
 * under the id its client chose (spec/grpc.md 3.14).  Ids are names, not
 * secrets and not paths; duplicates are allowed except where a kind says so.
 */
#ifndef WORKSPACE_STREAM_H
#define WORKSPACE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct streams;

#define STREAM_ID_MAX		128	/* SH-24 */
#define STREAM_KEEP_MS		60000	/* ended ones stay visible */
#define STREAM_ENDED_MAX	1024	/* of them, oldest go first */

enum stream_kind {
	STREAM_EXEC, STREAM_PORT_FORWARD, STREAM_SHELL, STREAM_UNIX_SOCKET
};

/* Embedded in its owner while live. */
struct stream {
	char		 id[STREAM_ID_MAX + 1];
	enum stream_kind kind;
	char		 params[256];		/* "cmd=..., pid=..." */
	uint64_t	 bytes_in, bytes_out;	/* in: client to process */
	int64_t		 created;		/* wall clock, seconds */
	bool		 detached;		/* a shell without a client */
	uint64_t	 expires_ms;		/* loop_now(); 0: never */
	struct stream	*next, **prevp;
	struct streams	*owner;			/* NULL: not listed */
};

struct streams *streams_create(struct loop *l);
void	 streams_destroy(struct streams *s);

/* 1..128 bytes of printable ASCII without '/', not "." or ".." (SH-24). */
bool	 stream_id_valid(const char *id);

/* Bytes of input that wait for the processes behind all streams: what
 * task_share_input() counts in. */
size_t	*streams_input(struct streams *s);

void	 stream_add(struct streams *s, struct stream *st);
/* Leaves a record of it behind for STREAM_KEEP_MS. */
void	 stream_end(struct stream *st);

struct stream_record {
	char		 id[STREAM_ID_MAX + 1];
	enum stream_kind kind;
	char		 params[256];
	uint64_t	 bytes_in, bytes_out;
	int64_t		 created, deleted;	/* deleted 0: live */
	bool		 detached;		/* live, that is */
	int64_t		 ttl_left_ms;		/* -1: does not expire */
};
typedef bool stream_fn(void *arg, const struct stream_record *r);
/* Whether one of that kind and id is live. */
bool	 streams_live(const struct streams *s, enum stream_kind k,
	    const char *id);
/* Live ones first, in order of creation; false stops. */
void	 streams_each(struct streams *s, stream_fn *fn, void *arg);

/* Of one kind, since the start; bytes of live and of ended ones. */
struct stream_totals {
	uint64_t live, started, bytes_in, bytes_out;
};
void	 streams_totals(const struct streams *s, enum stream_kind k,
	    struct stream_totals *t);
const char *stream_kind_name(enum stream_kind k);	/* "port-forward" */

#endif
