/*
 * h2_limits - every limit of an HTTP/2 session and why it is what it is
 * (spec/security.md 2.1), and the token bucket most of them are kept by.
 */
#ifndef NET_H2_LIMITS_H
#define NET_H2_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "net/h2.h"

/* One proxy carries all its users' channels over one connection, and a client
 * queues silently above the limit; 200 must fit (TR-08). */
#define H2_STREAMS_MAX			256u

/* Huffman work on headers that will be refused anyway (CVE-2023-45288). */
#define H2_HEADER_BLOCK_MAX		(64u * 1024)
/* Counted at the frame header, because an empty one costs as much
 * (CVE-2024-28182, CVE-2026-33871). */
#define H2_CONTINUATIONS_MAX		8u
/* A block holds up every other stream until it is complete. */
#define H2_HEADER_BLOCK_MS		10000u

/* Six settings exist; CVE-2019-9515 sends thousands. */
#define H2_SETTINGS_ENTRIES_MAX		32u
/* A client that grows its window sends a handful per connection. */
#define H2_SETTINGS_BURST		20u
#define H2_SETTINGS_PER_S		1u

/* RST_STREAM received and sent because of the peer, in one bucket
 * (CVE-2023-44487, CVE-2025-8671).  Twice the streams: a console may close
 * all of them at once. */
#define H2_RESET_BURST			512u
#define H2_RESET_PER_S			33u

/* CVE-2019-9512.  A PING after DATA or HEADERS of ours is free, and gRPC's
 * probe after DATA of the peer's: that is how bandwidth is measured, once per
 * round trip (TR-06). */
#define H2_PING_BURST			100u
#define H2_PING_PER_S			10u
/* gRPC's own rule: two strikes for PINGs less than 10 s apart. */
#define H2_PING_STRIKES			2u
#define H2_PING_STRIKE_MS		10000u

/* Completed streams whose reset may still be on its way: a client counts a
 * stream until it has seen its end, so as many as it may have open.  1 KiB,
 * given back with the pools. */
#define H2_COMPLETED_MAX		H2_STREAMS_MAX

/* Oddities that are no error.  We are no browser's server, so a tenth of what
 * such servers allow. */
#define H2_GLITCH_BURST			1000u
#define H2_GLITCH_PER_S			100u

/* Frames without payload and without END_STREAM, in a row (CVE-2019-9518). */
#define H2_EMPTY_FRAMES_MAX		8u

/* Answers the peer does not read: stop reading, then give up. */
#define H2_CONTROL_QUEUE_PAUSE		64u
#define H2_CONTROL_QUEUE_MAX		1000u

/* A stalled stream costs at most this; one that drains gets more. */
#define H2_STREAM_WINDOW		(64u * 1024)
#define H2_STREAM_WINDOW_MAX		(256u * 1024)
/* Credited on receipt: four stalled shells must not block the others. */
#define H2_CONN_WINDOW			(1024u * 1024)

/* Per stream; what one message of terminal output needs, twice. */
#define H2_SEND_BUFFER			(64u * 1024)
/* All streams; above it a stream gets room only when its queue is empty, so
 * slow readers cannot starve the others. */
#define H2_CONN_SEND_BUFFER		(512u * 1024)
/* A single piece may be longer than the buffer if nothing else is queued. */
#define H2_PIECE_MAX			(8u * 1024 * 1024)
/* DATA put into the output in one go: what comes later, a PING say, waits
 * behind no more than this. */
#define H2_OUTPUT_MAX			(128u * 1024)
/* Header blocks and control frames waiting for output, bytes. */
#define H2_CONTROL_BYTES_MAX		(1024u * 1024)

/* RFC 9113 6.5.3 leaves it open; a live peer needs one round trip. */
#define H2_SETTINGS_ACK_MS		10000u
/* Dead proxies have to be noticed so that sessions detach (TR-18). */
#define H2_KEEPALIVE_MS			60000u
#define H2_KEEPALIVE_WAIT_MS		20000u
/* Slow-loris. */
#define H2_PREFACE_MS			10000u
/* The second GOAWAY of a graceful stop comes after the answer to a PING, or
 * after this. */
#define H2_SHUTDOWN_MS			1000u
/* Pools of a session without streams go back after this. */
#define H2_TRIM_MS			2000u

/* Then the next connection has its turn. */
#define H2_FRAMES_PER_TURN		64u
#define H2_BYTES_PER_TURN		(256u * 1024)

/* Envoy's formulas for frames we answer to with nothing:
 * PRIORITY 100 * (1 + streams), WINDOW_UPDATE 5 + 2 * (streams + 10 * DATA
 * frames sent); streams are all that were ever opened. */
#define H2_PRIORITY_PER_STREAM		100u
#define H2_UPDATE_BASE			5u
#define H2_UPDATE_FACTOR		2u
#define H2_UPDATE_PER_DATA		10u

/* Where a connection is told to go and fetch a new one: 75 % of the ids. */
#define H2_ID_EXHAUSTED			0x60000000u

struct h2_bucket {
	uint64_t	 level;		/* thousandths of a token */
	uint64_t	 last_ms;
	uint32_t	 burst, per_s;
};

void	 h2_bucket_init(struct h2_bucket *b, uint32_t burst, uint32_t per_s,
	    uint64_t now);
/* False: nothing left. */
bool	 h2_bucket_take(struct h2_bucket *b, uint64_t now);

#endif
