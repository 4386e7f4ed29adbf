#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"

/* What may come next; the names are those of the grammar, RFC 8259 2-7. */
enum json_state {
	WANT_VALUE,
	WANT_VALUE_OR_END,	/* behind '[' */
	WANT_KEY,
	WANT_KEY_OR_END,	/* behind '{' */
	WANT_COLON,
	WANT_COMMA_OR_END	/* behind a value; at depth 0: the end */
};

void
json_init(struct json *j, const void *p, size_t n)
{
	const char	*s = n > 0 ? p : "";

	*j = (struct json){
		.p = s, .end = s + n, .start = s, .text = s,
		.state = WANT_VALUE
	};
}

static enum json_type
fail(struct json *j, const char *why)
{
	j->error = why;
	j->text = j->p;
	j->len = 0;
	return JSON_ERROR;
}

/* What stands at the reading position, 0 at the end. */
static int
peek(const struct json *j)
{
	return j->p < j->end ? (unsigned char)*j->p : 0;
}

static void
skip_blanks(struct json *j)
{
	while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' ||
	    *j->p == '\n' || *j->p == '\r'))
		j->p++;
}

/* Four hexadecimal digits, or -1. */
static int32_t
hex4(const char *p, const char *end)
{
	int32_t	v = 0;
	int	i, d;

	if (end - p < 4)
		return -1;
	for (i = 0; i < 4; i++) {
		if ((d = str_hex_digit(p[i])) < 0)
			return -1;
		v = v * 16 + d;
	}
	return v;
}

/* The escape \uNNNN, or the two of a surrogate pair; 0 if there is none. */
static size_t
unicode_escape(const char *p, const char *end, uint32_t *cp)
{
	int32_t	hi, lo;

	if ((hi = hex4(p + 2, end)) < 0 || (hi >= 0xdc00 && hi <= 0xdfff))
		return 0;
	*cp = (uint32_t)hi;
	if (hi < 0xd800 || hi > 0xdbff)
		return 6;
	if (end - p < 12 || p[6] != '\\' || p[7] != 'u' ||
	    (lo = hex4(p + 8, end)) < 0xdc00 || lo > 0xdfff)
		return 0;
	*cp = 0x10000 + ((uint32_t)(hi - 0xd800) << 10) +
	    (uint32_t)(lo - 0xdc00);
	return 12;
}

/*
 * One character of a string: its code point, and the bytes it takes in the
 * source.  0 if nothing that is allowed in a string stands there.
 */
static size_t
character(const char *p, const char *end, uint32_t *cp)
{
	static const char	from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char		*e;

	if (p == end || (unsigned char)*p < 0x20)
		return 0;
	if (*p != '\\')
		return utf8_next(p, (size_t)(end - p), cp);
	if (end - p < 2 || p[1] == '\0')
		return 0;
	if (p[1] == 'u')
		return unicode_escape(p, end, cp);
	if ((e = strchr(from, p[1])) == NULL)
		return 0;
	*cp = (unsigned char)to[e - from];
	return 2;
}

static enum json_type
read_string(struct json *j, enum json_type type)
{
	const char	*s = ++j->p;
	uint32_t	 cp;
	size_t		 n;

	while (j->p < j->end && *j->p != '"') {
		if ((n = character(j->p, j->end, &cp)) == 0)
			return fail(j, "bad character in a string");
		j->p += n;
	}
	if (j->p == j->end)
		return fail(j, "string without an end");
	j->text = s;
	j->len = (size_t)(j->p++ - s);
	return type;
}

static size_t
skip_digits(struct json *j)
{
	const char	*s = j->p;

	while (peek(j) >= '0' && peek(j) <= '9')
		j->p++;
	return (size_t)(j->p - s);
}

/* number = [ minus ] int [ frac ] [ exp ], section 6 */
static enum json_type
read_number(struct json *j)
{
	const char	*s = j->p;

	if (peek(j) == '-')
		j->p++;
	if (peek(j) == '0')
		j->p++;
	else if (skip_digits(j) == 0)
		return fail(j, "unexpected character");
	if (peek(j) == '.') {
		j->p++;
		if (skip_digits(j) == 0)
			return fail(j, "bad number");
	}
	if (peek(j) == 'e' || peek(j) == 'E') {
		j->p++;
		if (peek(j) == '+' || peek(j) == '-')
			j->p++;
		if (skip_digits(j) == 0)
			return fail(j, "bad number");
	}
	j->text = s;
	j->len = (size_t)(j->p - s);
	return JSON_NUMBER;
}

static enum json_type
read_literal(struct json *j)
{
	static const struct {
		const char	*text;
		enum json_type	 type;
	} literals[] = {
		{ "true", JSON_TRUE },
		{ "false", JSON_FALSE },
		{ "null", JSON_NULL },
	};
	size_t	i, n;

	for (i = 0; i < ARRAY_LEN(literals); i++) {
		n = strlen(literals[i].text);
		if ((size_t)(j->end - j->p) < n ||
		    memcmp(j->p, literals[i].text, n) != 0)
			continue;
		j->text = j->p;
		j->len = n;
		j->p += n;
		return literals[i].type;
	}
	return fail(j, j->p == j->end ? "cut short" : "unexpected character");
}

static enum json_type
open_container(struct json *j)
{
	bool	object = *j->p == '{';

	if (j->depth == JSON_DEPTH_MAX)
		return fail(j, "nested too deeply");
	j->stack[j->depth++] = (uint8_t)*j->p;
	j->state = object ? WANT_KEY_OR_END : WANT_VALUE_OR_END;
	j->text = j->p++;
	j->len = 1;
	return object ? JSON_OBJECT : JSON_ARRAY;
}

static enum json_type
close_container(struct json *j)
{
	j->depth--;
	j->state = WANT_COMMA_OR_END;
	j->text = j->p++;
	j->len = 1;
	return *j->text == '}' ? JSON_OBJECT_END : JSON_ARRAY_END;
}

static enum json_type
read_value(struct json *j)
{
	int	c = peek(j);

	if (c == '{' || c == '[')
		return open_container(j);
	j->state = WANT_COMMA_OR_END;
	if (c == '"')
		return read_string(j, JSON_STRING);
	if (c == '-' || (c >= '0' && c <= '9'))
		return read_number(j);
	return read_literal(j);
}

static enum json_type
read_key(struct json *j)
{
	if (peek(j) != '"')
		return fail(j, j->p == j->end ? "cut short" : "key expected");
	j->state = WANT_COLON;
	return read_string(j, JSON_KEY);
}

static enum json_type
read_colon(struct json *j)
{
	if (peek(j) != ':')
		return fail(j, j->p == j->end ? "cut short" : "':' expected");
	j->p++;
	skip_blanks(j);
	return read_value(j);
}

static bool
at_closing(const struct json *j)
{
	return peek(j) == (j->stack[j->depth - 1] == '{' ? '}' : ']');
}

static enum json_type
read_comma_or_end(struct json *j)
{
	bool	object;

	if (j->depth == 0) {
		j->text = j->p;
		j->len = 0;
		if (j->p == j->end)
			return JSON_END;
		return fail(j, "text behind the document");
	}
	if (at_closing(j))
		return close_container(j);
	object = j->stack[j->depth - 1] == '{';
	if (peek(j) != ',')
		return fail(j, j->p == j->end ? "cut short" :
		    "',' or closing bracket expected");
	j->p++;
	skip_blanks(j);
	return object ? read_key(j) : read_value(j);
}

enum json_type
json_next(struct json *j)
{
	if (j->error != NULL)
		return JSON_ERROR;
	skip_blanks(j);
	switch ((enum json_state)j->state) {
	case WANT_VALUE:
		return read_value(j);
	case WANT_VALUE_OR_END:
		return at_closing(j) ? close_container(j) : read_value(j);
	case WANT_KEY:
		return read_key(j);
	case WANT_KEY_OR_END:
		return at_closing(j) ? close_container(j) : read_key(j);
	case WANT_COLON:
		return read_colon(j);
	case WANT_COMMA_OR_END:
		return read_comma_or_end(j);
	}
	return fail(j, "not initialised");
}

int
json_skip(struct json *j, enum json_type first)
{
	int		depth = j->depth - 1;
	enum json_type	t;

	switch (first) {
	case JSON_STRING:
	case JSON_NUMBER:
	case JSON_TRUE:
	case JSON_FALSE:
	case JSON_NULL:
		return 0;
	case JSON_OBJECT:
	case JSON_ARRAY:
		break;
	default:
		return -EINVAL;
	}
	do
		t = json_next(j);
	while (t != JSON_ERROR && j->depth > depth);
	return t == JSON_ERROR ? -EINVAL : 0;
}

size_t
json_offset(const struct json *j)
{
	return (size_t)(j->text - j->start);
}

int
json_text(const struct json *j, char *out, size_t outlen)
{
	const char	*p = j->text, *end = p + j->len;
	char		 one[4];
	uint32_t	 cp;
	size_t		 n, put, len = 0;

	if (outlen == 0)
		return -ENOBUFS;
	out[0] = '\0';
	for (; p < end; p += n) {
		if ((n = character(p, end, &cp)) == 0 || cp == 0) {
			out[0] = '\0';
			return -EINVAL;
		}
		put = utf8_put(cp, one);
		if (put > outlen - 1 - len) {
			out[0] = '\0';
			return -ENOBUFS;
		}
		memcpy(out + len, one, put);
		len += put;
	}
	out[len] = '\0';
	return 0;
}

bool
json_is(const struct json *j, const char *text)
{
	const char	*p = j->text, *end = p + j->len;
	char		 one[4];
	uint32_t	 cp;
	size_t		 n, put;

	for (; p < end; p += n, text += put) {
		if ((n = character(p, end, &cp)) == 0 || cp == 0)
			return false;
		put = utf8_put(cp, one);
		if (strncmp(text, one, put) != 0)
			return false;
	}
	return *text == '\0';
}

int
json_int(const struct json *j, int64_t *v)
{
	const char	*p = j->text;
	size_t		 n = j->len;
	uint64_t	 u, max = INT64_MAX;
	bool		 minus = n > 0 && *p == '-';

	if (minus) {
		p++;
		n--;
		max++;
	}
	if (mem_to_u64(p, n, max, &u) < 0)
		return -ERANGE;
	if (minus)
		*v = u > INT64_MAX ? INT64_MIN : -(int64_t)u;
	else
		*v = (int64_t)u;
	return 0;
}
