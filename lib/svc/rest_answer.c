/*
 * Answers of the workspace API, and what handlers ask about a request.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "net/conn.h"
#include "svc/rest_impl.h"

#define TEXT		"text/plain; charset=utf-8"
#define RETRY_AFTER	"5"	/* seconds */

/* ---- the head of an answer ---- */

/* RFC 9110 5.6.7: "Sun, 22 Nov 2026 00:24:58 GMT". */
static int
put_date(struct buf *out)
{
	time_t		 now = (time_t)loop_wall();
	struct tm	 tm;
	char		 text[64];

	if (gmtime_r(&now, &tm) == NULL ||
	    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
		return 0;
	return http1_put_field(out, "Date", text);
}

static int
put_head(struct rest_conn *c, unsigned status, const char *type)
{
	struct buf	*out = &c->head;
	int		 r;

	rest_conn_settle(c);
	if ((r = http1_put_status(out, status)) < 0 ||
	    (r = put_date(out)) < 0)
		return r;
	if (c->full &&
	    (r = http1_put_field(out, "Retry-After", RETRY_AFTER)) < 0)
		return r;
	if (type != NULL &&
	    ((r = http1_put_field(out, "Content-Type", type)) < 0 ||
	    (r = http1_put_field(out, "X-Content-Type-Options",
	    "nosniff")) < 0))
		return r;
	if (!c->keep && status != 101)
		r = http1_put_field(out, "Connection", "close");
	return r;
}

static void
note(struct rest_conn *c, unsigned status)
{
	c->rest->counts.answers[status / 100]++;
	if ((c->route == NULL || (c->route->flags & REST_QUIET) == 0) &&
	    c->http.target != NULL)
		log_debug("rest", "%s %s: %u", c->http.method, c->http.target,
		    status);
}

/*
 * No memory even for that: the connection has to say it.  Whoever answers
 * knows already, and lets go of what he waited with.
 */
static void
give_up(struct rest_conn *c)
{
	c->gone = NULL;
	conn_close(c->conn, -ENOMEM);
}

static void
send_answer(struct rest_conn *c, unsigned status, const char *type,
    const char *field, const char *value)
{
	if (put_head(c, status, type) < 0 ||
	    (field != NULL && http1_put_field(&c->head, field, value) < 0) ||
	    (status != 204 &&
	    http1_put_length(&c->head, c->answer.len) < 0) ||
	    http1_put_end(&c->head) < 0) {
		give_up(c);
		return;
	}
	note(c, status);
	rest_conn_send(c);
}

/* ---- answers ---- */

void
rest_text(struct rest_conn *c, unsigned status, const char *type)
{
	send_answer(c, status, type, NULL, NULL);
}

void
rest_empty(struct rest_conn *c, unsigned status)
{
	buf_clear(&c->answer);
	send_answer(c, status, NULL, NULL, NULL);
}

void
rest_redirect(struct rest_conn *c, const char *location)
{
	send_answer(c, 301, NULL, "Location", location);
}

void
rest_not_allowed(struct rest_conn *c, const char *allow)
{
	send_answer(c, 405, NULL, "Allow", allow);
}

static void
error_json(struct rest_conn *c, unsigned status, const char *text)
{
	struct json_out	o;

	json_out_init(&o, &c->answer);
	json_put_object(&o, NULL);
	json_put_int(&o, "status", status);
	json_put_string(&o, "msg", text);
	json_put_end(&o, '}');
	rest_json(c, status, &o);
}

void
rest_error(struct rest_conn *c, unsigned status, const char *fmt, ...)
{
	char	raw[512], text[1024];
	va_list	ap;

	va_start(ap, fmt);
	(void)vsnprintf(raw, sizeof raw, fmt, ap);
	va_end(ap);
	(void)log_escape(raw, strlen(raw), text, sizeof text);
	buf_clear(&c->answer);
	if (http1_lists(&c->http, "accept", "application/json")) {
		error_json(c, status, text);
		return;
	}
	if (buf_put(&c->answer, text, strlen(text)) < 0 ||
	    buf_put_u8(&c->answer, '\n') < 0)
		give_up(c);
	else
		rest_text(c, status, TEXT);
}

/* Length of the character at p that HTML would read, or 0; *as it leaves. */
static size_t
special(const uint8_t *p, size_t n, const char **as)
{
	switch (p[0]) {
	case '<':
		*as = "\\u003c";
		return 1;
	case '>':
		*as = "\\u003e";
		return 1;
	case '&':
		*as = "\\u0026";
		return 1;
	case 0xe2:
		if (n < 3 || p[1] != 0x80 || (p[2] != 0xa8 && p[2] != 0xa9))
			return 0;
		*as = p[2] == 0xa8 ? "\\u2028" : "\\u2029";
		return 3;
	default:
		return 0;
	}
}

/* These only occur inside strings, where an escape means the same. */
int
rest_put_json(struct buf *out, const void *json, size_t n)
{
	const uint8_t	*p = json;
	const char	*as;
	size_t		 i, skip, from = 0;
	int		 r;

	for (i = 0; i < n; i += skip > 0 ? skip : 1) {
		if ((skip = special(p + i, n - i, &as)) == 0)
			continue;
		if ((r = buf_put(out, p + from, i - from)) < 0 ||
		    (r = buf_put(out, as, strlen(as))) < 0)
			return r;
		from = i + skip;
	}
	return buf_put(out, p + from, n - from);
}

void
rest_json(struct rest_conn *c, unsigned status, struct json_out *o)
{
	struct buf	escaped;
	int		 r = json_put_done(o);

	buf_init(&escaped, REST_ANSWER_MAX);
	if (r == 0)
		r = rest_put_json(&escaped, buf_head(&c->answer),
		    c->answer.len);
	if (r == 0)
		r = buf_put_u8(&escaped, '\n');
	buf_finish(&c->answer);
	if (r < 0) {
		buf_finish(&escaped);
		rest_error(c, 500, "the answer is too large or memory is out");
		return;
	}
	(void)buf_move(&c->answer, &escaped, escaped.len, NULL);
	buf_finish(&escaped);
	rest_text(c, status, "application/json");
}

void
rest_stream(struct rest_conn *c, const char *type,
    const struct rest_source *source, void *arg)
{
	bool	patient = rest_may_last(c);

	c->source = source;
	c->fn_arg = arg;
	c->gone = NULL;
	if (c->http.old)
		c->keep = false;
	if (put_head(c, 200, type) < 0 ||
	    http1_put_field(&c->head, "Cache-Control", "no-cache") < 0 ||
	    (!c->http.old && http1_put_field(&c->head, "Transfer-Encoding",
	    "chunked") < 0) || http1_put_end(&c->head) < 0) {
		give_up(c);
		return;
	}
	note(c, 200);
	c->state = REST_STREAMING;
	buf_finish(&c->answer);
	buf_init(&c->answer, REST_PIECE_MAX);
	/* Whoever reads a log at leisure may pause for as long as he likes,
	 * unless he is in the way. */
	if (patient)
		conn_set_times(c->conn, 0, UINT32_MAX);
	conn_kick(c->conn);
}

bool
rest_upgrade(struct rest_conn *c, const char *protocol,
    const struct rest_raw *raw, void *arg)
{
	c->raw = raw;
	c->fn_arg = arg;
	c->gone = NULL;
	c->keep = false;
	if (http1_put_status(&c->head, 101) < 0 ||
	    http1_put_field(&c->head, "Upgrade", protocol) < 0 ||
	    http1_put_field(&c->head, "Connection", "Upgrade") < 0 ||
	    http1_put_end(&c->head) < 0) {
		give_up(c);
		return false;
	}
	note(c, 101);
	c->state = REST_RAW;
	conn_set_times(c->conn, 0, UINT32_MAX);
	conn_resume(c->conn);	/* what came behind the request is raw, too */
	return true;
}

void
rest_wait(struct rest_conn *c, void (*gone)(void *arg), void *arg)
{
	c->state = REST_WAITING;
	c->gone = gone;
	c->fn_arg = arg;
}

/* ---- what was asked ---- */

static int
hex(char c)
{
	static const char	digits[] = "0123456789abcdefABCDEF";
	const char		*d = c != '\0' ? strchr(digits, c) : NULL;

	if (d == NULL)
		return -1;
	return (int)(d - digits) < 16 ? (int)(d - digits) :
	    (int)(d - digits) - 6;
}

int
rest_unescape(const char *s, size_t n, bool plus, char *out, size_t outlen)
{
	size_t	i, len = 0;
	int	hi, lo;
	char	ch;

	for (i = 0; i < n; i++) {
		ch = s[i];
		if (ch == '%') {
			if (i + 2 >= n || (hi = hex(s[i + 1])) < 0 ||
			    (lo = hex(s[i + 2])) < 0 || hi + lo == 0)
				return -EINVAL;
			ch = (char)(hi << 4 | lo);
			i += 2;
		} else if (ch == '+' && plus) {
			ch = ' ';
		}
		if (len + 1 >= outlen)
			return -ENAMETOOLONG;
		out[len++] = ch;
	}
	out[len] = '\0';
	return 0;
}

int
rest_query(const struct rest_conn *c, const char *name, char *out,
    size_t outlen)
{
	const char	*s = strchr(c->http.target, '?');
	size_t		 n, len = strlen(name);
	int		 r;

	out[0] = '\0';
	if (s == NULL)
		return 0;
	for (s++; *s != '\0'; s += n + (s[n] != '\0')) {
		n = strcspn(s, "&");
		if (n < len || strncmp(s, name, len) != 0 ||
		    (n > len && s[len] != '='))
			continue;
		if (n == len)
			return 1;		/* there, and empty */
		r = rest_unescape(s + len + 1, n - len - 1, true, out,
		    outlen);
		if (r < 0)
			out[0] = '\0';
		return r < 0 ? r : 1;
	}
	return 0;
}

bool
rest_query_true(const struct rest_conn *c, const char *name)
{
	char	value[8];

	return rest_query(c, name, value, sizeof value) == 1 &&
	    (strcmp(value, "true") == 0 || strcmp(value, "1") == 0);
}
