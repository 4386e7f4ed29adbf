/*
 * log - one line per event, on a descriptor.
 *
 * Text from outside is escaped here, so no peer can forge a line or move a
 * cursor (T25): every byte below 0x20, 0x7f, C1 controls, ill-formed UTF-8 and
 * bidirectional controls leave as \xNN or \uNNNN; a line is at most 4 KiB.
 * A line is one write(2): "2026-11-22T00:24:58.123 INF text component=grpc
 * pid=1", in UTC, without colours (spec/bootstrap.md 8).
 * errno survives a call.  Tokens, keys and typed bytes are never passed in.
 *
 * The one piece of process-wide state in the tree: where lines go.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_FATAL };

#define LOG_LINE_MAX	4096

/* component: static text such as "grpc-exec". */
#define log_debug(component, ...) \
	log_at(LOG_DEBUG, component, __VA_ARGS__)
#define log_info(component, ...) \
	log_at(LOG_INFO, component, __VA_ARGS__)
#define log_warn(component, ...) \
	log_at(LOG_WARN, component, __VA_ARGS__)
#define log_error(component, ...) \
	log_at(LOG_ERROR, component, __VA_ARGS__)

/* Until called: level info, descriptor 2. */
void	 log_setup(enum log_level min, int fd);
void	 log_set_level(enum log_level min);
bool	 log_wanted(enum log_level level);

void	 log_at(enum log_level level, const char *component,
	    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* "debug" "info" "warn" "error" "fatal"; 0 or -EINVAL. */
int	 log_level_parse(const char *name, enum log_level *level);
const char *log_level_name(enum log_level level);

/* A second taker of every wanted line (the ring of `kbox logs`), or NULL. */
typedef void log_sink_fn(void *arg, enum log_level level,
	    const char *component, const char *text);
void	 log_set_sink(log_sink_fn *fn, void *arg);

/*
 * A character that is escaped: it moves a cursor, ends a line for some reader
 * (U+2028 and 9), or turns the direction of text round (T25).
 */
bool	 log_is_hostile(uint32_t cp);
/* Escaped copy, terminated, cut at a whole character; returns its length. */
size_t	 log_escape(const void *p, size_t n, char *out, size_t outlen);

/*
 * For events a peer can repeat at will: true at most `burst` times, refilled
 * at one per `every_ms`; *skipped is what was held back since the last true
 * and written only then; NULL is allowed.
 */
struct log_limit {
	uint32_t	 burst, every_ms;	/* set these, zero the rest */
	uint32_t	 used, skipped;
	uint64_t	 last_ms;
};
bool	 log_allow(struct log_limit *l, uint64_t now_ms, uint32_t *skipped);

#endif
