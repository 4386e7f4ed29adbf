/*
 * h2_priv - what the files of h2 share.
 *
 * Lifetime: a stream that is over leaves the table at once, but its memory
 * and its closed() wait in `dead` until h2_reap(), which runs only where no
 * callback is on the stack.  So a stream pointer is good until then.
 *
 * Order: header blocks have to leave in the order they were encoded in.  They
 * go to `ctl`, or, for trailers behind data, straight to the output while ctl
 * is empty.
 */
#ifndef NET_H2_PRIV_H
#define NET_H2_PRIV_H

#include "base/buf.h"
#include "base/mem.h"
#include "net/h2.h"
#include "net/h2_frame.h"
#include "net/h2_limits.h"
#include "net/hpack.h"

#define H2_HOLD_MAX	(H2_SETTINGS_ENTRIES_MAX * H2_SETTING_LEN)
#define H2_NO_LENGTH	UINT64_MAX

/* Our PINGs, by payload. */
#define H2_PING_KEEPALIVE	UINT64_C(0x6b65657020616c76)
#define H2_PING_SHUTDOWN	UINT64_C(0x7368757464777277)

struct h2_queue {
	struct h2_stream	*head, *tail;
};

struct h2_stream {
	struct h2	*h;
	void		*arg;			/* the application's */
	struct h2_queue	*in;			/* that next, prev are of */
	struct h2_stream *next, *prev;
	uint32_t	 id;
	uint32_t	 code;			/* for closed() */
	int64_t		 send_window, recv_window;
	uint32_t	 window;		/* receive window we aim at */
	uint32_t	 credit;		/* consumed, not announced */
	size_t		 unread;		/* delivered, not consumed */
	uint64_t	 content_length;	/* H2_NO_LENGTH: not given */
	uint64_t	 received;
	struct buf	 queue;			/* DATA, then packed trailers */
	size_t		 data_len;		/* bytes of it that are DATA */
	size_t		 need;			/* for writable(), or 0 */
	bool		 remote_ended;
	bool		 answered;		/* client: response seen */
	bool		 end_queued;		/* nothing can be added */
	bool		 trailers;		/* packed behind the data */
	bool		 end_in_ctl;		/* END_STREAM is in ctl */
	bool		 local_ended;		/* END_STREAM has gone out */
	bool		 finish;		/* RST NO_ERROR at the end */
	bool		 dead;
};

enum h2_in_state {
	H2_IN_PREFACE,
	H2_IN_HEAD,
	H2_IN_SMALL,		/* a control frame, collected whole */
	H2_IN_PREFIX,		/* pad length and priority */
	H2_IN_DATA,
	H2_IN_BLOCK,		/* a piece of a header block */
	H2_IN_SKIP		/* padding, and what nobody wants */
};

/* What the header block being received is for. */
enum h2_block_use {
	H2_BLOCK_NONE,		/* none is being received */
	H2_BLOCK_OPEN,		/* a new request */
	H2_BLOCK_STREAM,	/* response or trailers of a stream */
	H2_BLOCK_REFUSE,	/* over a limit */
	H2_BLOCK_IGNORE		/* of a stream that we have reset */
};

struct h2 {
	bool		 server;
	struct h2_limits limits;
	struct h2_ops	 ops;
	void		*arg;
	uint64_t	 now;
	unsigned	 depth;			/* callbacks on the stack */
	int		 failed;		/* 0 or -errno, final */
	const char	*reason;		/* static text */

	/* input */
	enum h2_in_state in;
	struct h2_head	 head;
	uint8_t		 hold[H2_HOLD_MAX];
	uint32_t	 hold_len;
	uint32_t	 left;			/* of this state to come */
	uint32_t	 pad;
	bool		 settings_seen;

	/* header block */
	enum h2_block_use block_use;
	uint32_t	 block_stream;
	bool		 block_end;		/* HEADERS had END_STREAM */
	uint32_t	 block_len, continuations;
	uint64_t	 block_ms;		/* begun */
	struct buf	 block;
	struct arena	 arena;
	struct hpack_table dec, enc;

	/* output */
	struct buf	 ctl;			/* whole frames */
	uint32_t	 ctl_frames;		/* control frames in it */
	struct h2_queue	 ready;			/* can send */
	struct h2_queue	 stalled;		/* wait for the connection */
	size_t		 queued;		/* DATA of all streams */
	int64_t		 send_window;
	uint64_t	 data_frames;

	/* receive window of the connection */
	int64_t		 recv_window;
	uint32_t	 recv_credit;

	/* streams */
	struct h2_stream **slots;		/* by id, open addressing */
	uint32_t	 slot_cap, count;
	struct h2_stream *pool;			/* by next */
	uint32_t	 pool_len;
	struct h2_queue	 dead;
	uint32_t	 last_id;		/* highest seen, or opened */
	uint64_t	 recent;		/* bit n: last_id - 2n opened */
	uint64_t	 opened;		/* ever */
	uint32_t	*completed;		/* ids; NULL: none lately */
	uint32_t	*resets;		/* ring of ids we reset last */
	uint32_t	 reset_cap, reset_at;

	/* settings */
	bool		 settings_acked;
	uint64_t	 settings_ms;		/* ours sent */
	uint32_t	 peer_window, peer_streams;

	/* abuse */
	struct h2_bucket resets_left, pings_left, settings_left, glitches_left;
	uint32_t	 ping_strikes;
	uint64_t	 ping_ms;		/* last one, with ping_seen */
	bool		 ping_seen;
	bool		 sent_since_ping;	/* DATA or HEADERS */
	bool		 got_since_ping;	/* DATA with payload */
	uint32_t	 empty_frames;
	uint64_t	 priorities, updates;

	/* time */
	uint64_t	 created_ms, recv_ms;
	bool		 keepalive_sent;
	uint64_t	 keepalive_ms;		/* sent at */
	bool		 trim_due;
	uint64_t	 trim_ms;

	/* stop */
	bool		 stopping;		/* GOAWAY sent or received */
	bool		 stopped;		/* final GOAWAY sent */
	uint64_t	 stop_ms;
	uint32_t	 stop_id;		/* of the final GOAWAY */
};

/* -- h2.c ----------------------------------------------------------------- */

/* Connection error: GOAWAY, every stream closed.  Returns -EPROTO. */
int	 h2_fail(struct h2 *h, uint32_t code, const char *reason);
/* Same without a GOAWAY, there is no memory for one.  -ENOMEM. */
int	 h2_fail_memory(struct h2 *h);
/* An oddity that is no error until there are too many.  0 or -EPROTO. */
int	 h2_glitch(struct h2 *h);
/* A reset received, or sent because of the peer.  0 or -EPROTO. */
int	 h2_charge_reset(struct h2 *h);
/* The answer to our shutdown PING, or its time, has come. */
void	 h2_stop(struct h2 *h);

/* -- h2_stream.c ---------------------------------------------------------- */

struct h2_stream *h2_find(const struct h2 *h, uint32_t id);
/* Notes that id exists from now on; ids only grow. */
void	 h2_note_id(struct h2 *h, uint32_t id);
bool	 h2_was_opened(const struct h2 *h, uint32_t id);
bool	 h2_is_idle(const struct h2 *h, uint32_t id);
/* In the table, windows set; NULL if out of memory. */
struct h2_stream *h2_stream_new(struct h2 *h, uint32_t id);
/* Takes it back: it never was, and there is no closed(). */
void	 h2_stream_discard(struct h2_stream *s);
/* Over; closed(code) follows in h2_reap(). */
void	 h2_stream_close(struct h2_stream *s, uint32_t code);
/* Same, and all of our side has gone out: one late RST_STREAM is expected. */
void	 h2_stream_complete(struct h2_stream *s);
/* Was id completed, and not asked for since?  Answers true once. */
bool	 h2_take_completed(struct h2 *h, uint32_t id);
void	 h2_close_all(struct h2 *h, uint32_t code, uint32_t above);
void	 h2_remember_reset(struct h2 *h, uint32_t id);
bool	 h2_was_reset(const struct h2 *h, uint32_t id);
/* Tells and frees the dead, unless a callback is running. */
void	 h2_reap(struct h2 *h);
void	 h2_queue_push(struct h2_queue *q, struct h2_stream *s);
void	 h2_queue_remove(struct h2_stream *s);
/* Has something to send that the stream's window lets out. */
void	 h2_stream_wake(struct h2_stream *s);
/* Adds delta to every send window; -EOVERFLOW past 2^31-1. */
int	 h2_shift_send_windows(struct h2 *h, int64_t delta);
void	 h2_shift_recv_windows(struct h2 *h, int64_t delta);
/* Gives pools and buffers back; only what can be made again. */
void	 h2_trim(struct h2 *h);

/* -- h2_send.c ------------------------------------------------------------ */

/* Queues a control frame; *payload is to be filled.  0 or the failure. */
int	 h2_control(struct h2 *h, const struct h2_head *head,
	    uint8_t **payload);
int	 h2_send_reset(struct h2 *h, uint32_t id, uint32_t code);
int	 h2_send_update(struct h2 *h, uint32_t id, uint32_t n);
int	 h2_send_ping(struct h2 *h, uint64_t payload);
int	 h2_send_goaway(struct h2 *h, uint32_t last, uint32_t code,
	    const char *debug);
/* A stream error, s may be NULL: RST_STREAM, charged, remembered. */
int	 h2_stream_error(struct h2 *h, uint32_t id, uint32_t code);
/* The peer's END_STREAM has been handled. */
void	 h2_remote_end(struct h2_stream *s);

/* -- h2_block.c ----------------------------------------------------------- */

/* At the frame header: may this block begin, or go on? */
int	 h2_block_begin(struct h2 *h);
int	 h2_block_continue(struct h2 *h);
/* The last frame of the block is complete. */
int	 h2_block_done(struct h2 *h, const uint8_t *p, size_t n);

/* -- h2_fields.c ---------------------------------------------------------- */

struct h2_fields {
	uint64_t	content_length;		/* or H2_NO_LENGTH */
	unsigned	status;			/* responses */
};

/* RFC 9113 8.2 and 8.3; NULL, or what is wrong with it. */
const char *h2_check_request(const struct hpack_list *list,
	    struct h2_fields *f);
const char *h2_check_response(const struct hpack_list *list,
	    struct h2_fields *f);
const char *h2_check_trailers(const struct hpack_list *list);

/* -- h2_control.c --------------------------------------------------------- */

int	 h2_on_priority(struct h2 *h, const uint8_t *p);
int	 h2_on_reset(struct h2 *h, const uint8_t *p);
int	 h2_on_settings(struct h2 *h, const uint8_t *p);
int	 h2_on_ping(struct h2 *h, const uint8_t *p);
int	 h2_on_goaway(struct h2 *h, const uint8_t *p);
int	 h2_on_update(struct h2 *h, const uint8_t *p);

#endif
