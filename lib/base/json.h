/*
 * json - pull reader and writer, RFC 8259.
 *
 * The reader walks bytes that stay where they are; it allocates nothing, is
 * limited in depth, refuses trailing bytes, ill-formed UTF-8 and half surrogate
 * pairs.  Strings come out decoded into a caller's buffer.  Keys may repeat:
 * who reads an object knows which it has seen.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

#define JSON_DEPTH_MAX	32

enum json_type {
	JSON_END,		/* of the document */
	JSON_OBJECT, JSON_OBJECT_END,
	JSON_ARRAY, JSON_ARRAY_END,
	JSON_KEY, JSON_STRING,	/* text, len: raw, between the quotes */
	JSON_NUMBER,		/* text, len: as written */
	JSON_TRUE, JSON_FALSE, JSON_NULL,
	JSON_ERROR		/* sticky */
};

struct json {
	const char	*p, *end, *start;
	const char	*text;		/* of the last token */
	size_t		 len;
	int		 depth;
	uint8_t		 stack[JSON_DEPTH_MAX];	/* '{' or '[' */
	uint8_t		 state;
	const char	*error;		/* static text, or NULL */
};

void	 json_init(struct json *j, const void *p, size_t n);
enum json_type json_next(struct json *j);

/* Skips the value whose first token was just read.  0 or -EINVAL. */
int	 json_skip(struct json *j, enum json_type first);

/* Offset of the last token or of the error, for messages. */
size_t	 json_offset(const struct json *j);

/*
 * Decodes the last KEY or STRING (escapes, surrogate pairs) and terminates
 * it.  A NUL inside is refused.  0, -EINVAL, -ENOBUFS; out is empty then.
 */
int	 json_text(const struct json *j, char *out, size_t outlen);
bool	 json_is(const struct json *j, const char *text);

/* The last NUMBER as an integer: no fraction, no exponent; 0 or -ERANGE. */
int	 json_int(const struct json *j, int64_t *v);

/*
 * Writer: puts into a buf, commas and quotes are its business.  Text that is
 * not UTF-8 leaves with U+FFFD in it, a NULL string as null.  The first failure
 * sticks and is returned by json_put_done(): -ENOBUFS, -ENOMEM, or -EINVAL if
 * something was left open; the buf then holds an unusable part.
 */
struct json_out {
	struct buf	*out;		/* borrowed */
	int		 error;
	int		 depth;
	bool		 comma;
};

void	 json_out_init(struct json_out *o, struct buf *out);
void	 json_put_object(struct json_out *o, const char *key);	/* NULL: none */
void	 json_put_array(struct json_out *o, const char *key);
void	 json_put_end(struct json_out *o, char bracket);	/* '}' or ']' */
void	 json_put_string(struct json_out *o, const char *key, const char *v);
void	 json_put_int(struct json_out *o, const char *key, int64_t v);
/* At most six digits behind the point; what is not finite leaves as null. */
void	 json_put_double(struct json_out *o, const char *key, double v);
void	 json_put_bool(struct json_out *o, const char *key, bool v);
void	 json_put_null(struct json_out *o, const char *key);
int	 json_put_done(struct json_out *o);

#endif
