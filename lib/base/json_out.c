/*
 * The writer of json.h.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"

void
json_out_init(struct json_out *o, struct buf *out)
{
	*o = (struct json_out){ .out = out };
}

static void
put(struct json_out *o, const char *p, size_t n)
{
	if (o->error == 0)
		o->error = buf_put(o->out, p, n);
}

/* Length of the run at p that needs no escape. */
static size_t
plain_run(const char *p, size_t n)
{
	uint32_t	cp;
	size_t		i, take;

	for (i = 0; i < n; i += take) {
		if (p[i] == '"' || p[i] == '\\')
			break;
		if (p[i] >= ' ' && p[i] <= '~') {	/* most of it */
			take = 1;
			continue;
		}
		take = utf8_next(p + i, n - i, &cp);
		if (take == 0 || cp < 0x20 || cp == 0x7f)
			break;
	}
	return i;
}

static void
put_escape(struct json_out *o, char c)
{
	static const char	from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char		*e = strchr(from, c);
	char			 text[8];

	if (e != NULL)
		(void)snprintf(text, sizeof text, "\\%c", to[e - from]);
	else
		(void)snprintf(text, sizeof text, "\\u%04x", c & 0xff);
	put(o, text, strlen(text));
}

/* JSON is UTF-8; what is not leaves as U+FFFD. */
static void
put_quoted(struct json_out *o, const char *s)
{
	size_t	n = strlen(s), run;

	put(o, "\"", 1);
	while (n > 0 && o->error == 0) {
		run = plain_run(s, n);
		put(o, s, run);
		s += run;
		n -= run;
		if (n == 0)
			break;
		if (((unsigned char)*s & 0x80) != 0)
			put(o, "\xef\xbf\xbd", 3);
		else
			put_escape(o, *s);
		s++;
		n--;
	}
	put(o, "\"", 1);
}

static void
put_key(struct json_out *o, const char *key)
{
	if (o->comma)
		put(o, ",", 1);
	o->comma = true;
	if (key != NULL) {
		put_quoted(o, key);
		put(o, ":", 1);
	}
}

static void
put_word(struct json_out *o, const char *key, const char *word)
{
	put_key(o, key);
	put(o, word, strlen(word));
}

static void
put_open(struct json_out *o, const char *key, const char *bracket)
{
	put_word(o, key, bracket);
	o->comma = false;
	o->depth++;
}

void
json_put_object(struct json_out *o, const char *key)
{
	put_open(o, key, "{");
}

void
json_put_array(struct json_out *o, const char *key)
{
	put_open(o, key, "[");
}

void
json_put_end(struct json_out *o, char bracket)
{
	assert(o->depth > 0 && (bracket == '}' || bracket == ']'));
	o->depth--;
	put(o, &bracket, 1);
	o->comma = true;
}

void
json_put_string(struct json_out *o, const char *key, const char *v)
{
	if (v == NULL) {
		json_put_null(o, key);
		return;
	}
	put_key(o, key);
	put_quoted(o, v);
}

void
json_put_int(struct json_out *o, const char *key, int64_t v)
{
	char	text[24];

	(void)snprintf(text, sizeof text, "%" PRId64, v);
	put_word(o, key, text);
}

void
json_put_double(struct json_out *o, const char *key, double v)
{
	char	text[320 + 8];		/* DBL_MAX has 309 digits */
	size_t	n;

	if (!isfinite(v)) {
		json_put_null(o, key);
		return;
	}
	(void)snprintf(text, sizeof text, "%.6f", v);
	for (n = strlen(text); text[n - 1] == '0'; n--)
		;
	text[text[n - 1] == '.' ? n - 1 : n] = '\0';
	put_word(o, key, strcmp(text, "-0") == 0 ? "0" : text);
}

void
json_put_bool(struct json_out *o, const char *key, bool v)
{
	put_word(o, key, v ? "true" : "false");
}

void
json_put_null(struct json_out *o, const char *key)
{
	put_word(o, key, "null");
}

int
json_put_done(struct json_out *o)
{
	if (o->error == 0 && o->depth != 0)
		o->error = -EINVAL;
	return o->error;
}
