#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "conf/yamldoc.h"

#define PATH_SHOWN	256
#define KEY_SHOWN	64
#define TEXT_SHOWN	48
#define FILE_PATH_MAX	4096
#define VAR_NAME_MAX	128

struct reader {
	struct yamldoc	*d;
	const char	*text;
	yaml_parser_t	 parser;
	yaml_event_t	 event;		/* current; deleted by the next */
	bool		 have_event;
};

void
yamldoc_init(struct yamldoc *d, const char *name, bool expand, char *err,
    size_t errlen)
{
	*d = (struct yamldoc){
		.name = name, .expand = expand, .err = err, .errlen = errlen,
	};
	arena_init(&d->arena, YAMLDOC_MEM_MAX);
	if (errlen > 0)
		err[0] = '\0';
}

void
yamldoc_finish(struct yamldoc *d)
{
	arena_finish(&d->arena);
	d->root = NULL;
}

bool
yamldoc_is_null(const struct yamldoc_node *n)
{
	if (n->kind != YAMLDOC_SCALAR || !n->plain || n->expanded)
		return false;
	return n->len == 0 || strcmp(n->text, "~") == 0 ||
	    strcmp(n->text, "null") == 0 || strcmp(n->text, "Null") == 0 ||
	    strcmp(n->text, "NULL") == 0;
}

const struct yamldoc_node *
yamldoc_get(const struct yamldoc_node *map, const char *key)
{
	const struct yamldoc_node	*n;

	if (map == NULL || map->kind != YAMLDOC_MAP)
		return NULL;
	for (n = map->first; n != NULL; n = n->next)
		if (strcmp(n->key, key) == 0)
			return n;
	return NULL;
}

/* Appends the path of n to out; what doesn't fit is left out. */
static void
put_path(const struct yamldoc_node *n, char *out, size_t outlen)
{
	char	key[KEY_SHOWN];
	size_t	used;

	if (n->parent == NULL)
		return;
	put_path(n->parent, out, outlen);
	used = strlen(out);
	if (n->key == NULL) {
		if (n->parent->kind == YAMLDOC_MAP)
			return;		/* the key itself is at fault */
		str_format(key, sizeof key, "[%u]", n->index);
	} else {
		if (used + 1 < outlen && used > 0)
			out[used++] = '.';
		log_escape(n->key, n->key_len, key, sizeof key);
	}
	snprintf(out + used, outlen - used, "%s", key);
}

void
yamldoc_path(const struct yamldoc_node *n, char *out, size_t outlen)
{
	out[0] = '\0';
	put_path(n, out, outlen);
}

void
yamldoc_describe(const struct yamldoc_node *n, char *out, size_t outlen)
{
	char	text[TEXT_SHOWN];
	bool	cut;

	if (n->kind == YAMLDOC_LIST) {
		snprintf(out, outlen, "a list");
	} else if (n->kind == YAMLDOC_MAP) {
		snprintf(out, outlen, "a mapping");
	} else if (n->expanded) {
		/* May be a secret, and messages go to the log. */
		snprintf(out, outlen, "something else from outside");
	} else if (yamldoc_is_null(n)) {
		snprintf(out, outlen, "nothing");
	} else {
		log_escape(n->text, n->len, text, sizeof text);
		cut = n->len >= sizeof text;
		snprintf(out, outlen, "\"%s%s\"", text, cut ? "..." : "");
	}
}

/* Begins the message at a place; returns what is written. */
static size_t
put_place(const struct yamldoc *d, unsigned line, unsigned col)
{
	int	n;

	n = snprintf(d->err, d->errlen, "%s:%u:%u: ", d->name, line, col);
	if (n < 0 || (size_t)n >= d->errlen)
		return d->errlen > 0 ? d->errlen - 1 : 0;
	return (size_t)n;
}

static void
put_text(const struct yamldoc *d, const struct yamldoc_node *n,
    const char *fmt, va_list ap)
{
	char	path[PATH_SHOWN];
	size_t	used;

	used = put_place(d, n->line, n->col);
	yamldoc_path(n, path, sizeof path);
	if (path[0] != '\0') {
		snprintf(d->err + used, d->errlen - used, "%s: ", path);
		used = strlen(d->err);
	}
	vsnprintf(d->err + used, d->errlen - used, fmt, ap);
}

int
yamldoc_error(const struct yamldoc *d, const struct yamldoc_node *n,
    const char *fmt, ...)
{
	va_list	ap;

	va_start(ap, fmt);
	put_text(d, n, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

int
yamldoc_expected(const struct yamldoc *d, const struct yamldoc_node *n,
    const char *fmt, ...)
{
	char	got[TEXT_SHOWN + 16];
	va_list	ap;
	size_t	used;

	va_start(ap, fmt);
	put_text(d, n, fmt, ap);
	va_end(ap);
	yamldoc_describe(n, got, sizeof got);
	used = strlen(d->err);
	snprintf(d->err + used, d->errlen - used, ", got %s", got);
	return -EINVAL;
}

/* NULL with err filled: *r is -ENOMEM, or -E2BIG above our own limit. */
static void *
take(struct yamldoc *d, size_t n, int *r)
{
	void	*p;

	if ((p = arena_alloc(&d->arena, n)) != NULL)
		return p;
	/* Alignment is counted too: near the limit is at the limit. */
	*r = n + 64 > d->arena.max - d->arena.total ? -E2BIG : -ENOMEM;
	snprintf(d->err, d->errlen, "%s: %s", d->name,
	    *r == -E2BIG ? "too much text" : "out of memory");
	return NULL;
}

/* -- ${NAME} -- */

static bool
name_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	    (!first && c >= '0' && c <= '9');
}

/* Length of "${NAME}" at p, 0 if it is something else.  Text such as
 * "${NAME:-x}" is neither: *odd is set. */
static size_t
variable_at(const char *p, bool *odd)
{
	size_t	n = 2;

	*odd = false;
	if (p[0] != '$' || p[1] != '{' || !name_char(p[2], true))
		return 0;
	while (name_char(p[n], false))
		n++;
	if (p[n] == '}')
		return n + 1;
	*odd = true;
	return 0;
}

static int
variable_value(const struct yamldoc *d, const struct yamldoc_node *n,
    const char *p, size_t len, const char **value)
{
	char	name[VAR_NAME_MAX];

	if (len - 3 >= sizeof name)
		return yamldoc_error(d, n, "the name of a variable is too "
		    "long");
	memcpy(name, p + 2, len - 3);
	name[len - 3] = '\0';
	if ((*value = getenv(name)) == NULL)
		return yamldoc_error(d, n, "environment variable %s is not "
		    "set", name);
	return 0;
}

/* n->text with its variables replaced; out NULL only measures.  Returns how
 * many there were. */
static int
replace(const struct yamldoc *d, const struct yamldoc_node *n, char *out,
    size_t *outlen)
{
	const char	*p = n->text, *value = NULL;
	size_t		 len, at = 0;
	bool		 odd;
	int		 found = 0, r;

	while (*p != '\0') {
		len = variable_at(p, &odd);
		if (odd)
			return yamldoc_error(d, n, "only ${NAME} is known, "
			    "without defaults or operators");
		if (len == 0) {
			value = p;
			p += len = 1;
		} else {
			if ((r = variable_value(d, n, p, len, &value)) < 0)
				return r;
			p += len;
			len = strlen(value);
			found++;
		}
		if (out != NULL)
			memcpy(out + at, value, len);
		at += len;
	}
	*outlen = at;
	return found;
}

static int
expand(struct yamldoc *d, struct yamldoc_node *n)
{
	char	*text;
	size_t	 len;
	int	 r;

	if (!d->expand || (r = replace(d, n, NULL, &len)) == 0)
		return 0;
	if (r < 0)
		return r;
	if ((text = take(d, len + 1, &r)) == NULL)
		return r;
	if ((r = replace(d, n, text, &len)) < 0)
		return r;
	text[len] = '\0';
	n->text = text;
	n->len = len;
	n->expanded = true;
	return 0;
}

/* -- !file -- */

static int
file_path(const struct yamldoc *d, const struct yamldoc_node *n, char *out,
    size_t outlen)
{
	const char	*slash = strrchr(d->name, '/');
	int		 r;

	if (n->len == 0)
		return yamldoc_error(d, n, "!file needs a path");
	if (n->text[0] == '/' || slash == NULL)
		r = str_format(out, outlen, "%s", n->text);
	else
		r = str_format(out, outlen, "%.*s/%s",
		    (int)(slash - d->name), d->name, n->text);
	if (r < 0)
		return yamldoc_error(d, n, "!file: the path is too long");
	return 0;
}

static int
include(struct yamldoc *d, struct yamldoc_node *n)
{
	char	 path[FILE_PATH_MAX], shown[PATH_SHOWN];
	char	*mem = NULL, *text, *copy;
	size_t	 len;
	int	 r;

	if (!d->expand)
		return yamldoc_error(d, n, "!file is not allowed here");
	if ((r = file_path(d, n, path, sizeof path)) < 0)
		return r;
	log_escape(path, strlen(path), shown, sizeof shown);
	r = file_read(path, YAMLDOC_FILE_MAX, &mem, &len);
	if (r < 0) {
		yamldoc_error(d, n, "!file %s: %s", shown,
		    r == -EFBIG ? "larger than 64 KiB" : strerror(-r));
		return r == -ENOMEM ? r : -EINVAL;
	}
	if (strlen(mem) != len) {
		r = yamldoc_error(d, n, "!file %s: has a NUL byte", shown);
		goto out;
	}
	text = str_trim(mem);
	len = strlen(text);
	if ((copy = take(d, len + 1, &r)) == NULL)
		goto out;
	memcpy(copy, text, len + 1);
	n->text = copy;
	n->len = len;
	n->expanded = true;
	r = 0;
out:
	free(mem);
	return r;
}

/* -- events to nodes -- */

static void
drop_event(struct reader *r)
{
	if (r->have_event)
		yaml_event_delete(&r->event);
	r->have_event = false;
}

/* Bytes YAML has no use for: control characters, ill-formed UTF-8. */
static int
byte_error(const struct reader *r, size_t offset)
{
	const struct yamldoc	*d = r->d;
	unsigned		 line = 1, col = 1;
	size_t			 i, used;

	for (i = 0; i < offset; i++, col++)
		if (r->text[i] == '\n') {
			line++;
			col = 0;
		}
	used = put_place(d, line, col);
	snprintf(d->err + used, d->errlen - used, "%s", r->parser.problem);
	return -EINVAL;
}

static int
syntax_error(const struct reader *r)
{
	const yaml_parser_t	*p = &r->parser;
	const struct yamldoc	*d = r->d;
	size_t			 used;

	if (p->error == YAML_MEMORY_ERROR) {
		snprintf(d->err, d->errlen, "%s: out of memory", d->name);
		return -ENOMEM;
	}
	if (p->error == YAML_READER_ERROR)
		return byte_error(r, p->problem_offset);
	used = put_place(d, (unsigned)p->problem_mark.line + 1,
	    (unsigned)p->problem_mark.column + 1);
	snprintf(d->err + used, d->errlen - used, "%s%s%s",
	    p->problem != NULL ? p->problem : "not YAML",
	    p->context != NULL ? " " : "",
	    p->context != NULL ? p->context : "");
	return -EINVAL;
}

static int
next_event(struct reader *r)
{
	drop_event(r);
	if (!yaml_parser_parse(&r->parser, &r->event))
		return syntax_error(r);
	r->have_event = true;
	return 0;
}

static int
event_error(const struct reader *r, const char *text)
{
	const struct yamldoc	*d = r->d;
	const yaml_mark_t	*m = &r->event.start_mark;
	size_t			 used;

	used = put_place(d, (unsigned)m->line + 1, (unsigned)m->column + 1);
	snprintf(d->err + used, d->errlen - used, "%s", text);
	return -EINVAL;
}

/* "!!str" and "!" take the freedom to be a number; others of YAML's own leave
 * it as it is.  *file: the one tag of ours. */
static int
read_tag(const struct reader *r, struct yamldoc_node *n, const char *tag,
    bool *file)
{
	static const char	yaml[] = "tag:yaml.org,2002:";

	*file = false;
	if (tag == NULL)
		return 0;
	if (n->kind == YAMLDOC_SCALAR && strcmp(tag, "!file") == 0) {
		*file = true;
		n->plain = false;
		return 0;
	}
	if (strcmp(tag, "!") == 0 || strcmp(tag, YAML_STR_TAG) == 0)
		n->plain = false;
	else if (!str_prefix(tag, yaml))
		return event_error(r, "unknown tag; only !file is known");
	return 0;
}

static int
read_scalar(struct reader *r, struct yamldoc_node *n)
{
	const yaml_char_t	*anchor = r->event.data.scalar.anchor;
	const yaml_char_t	*value = r->event.data.scalar.value;
	size_t			 len = r->event.data.scalar.length;
	bool			 file;
	int			 rc;

	if (anchor != NULL)
		return event_error(r, "anchors and aliases are not supported");
	if (memchr(value, '\0', len) != NULL)
		return event_error(r, "a NUL byte is not text");
	n->plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if ((rc = read_tag(r, n, (char *)r->event.data.scalar.tag, &file)) < 0)
		return rc;
	if ((n->text = take(r->d, len + 1, &rc)) == NULL)
		return rc;
	memcpy(n->text, value, len);
	n->text[len] = '\0';
	n->len = len;
	if ((rc = expand(r->d, n)) < 0)
		return rc;
	return file ? include(r->d, n) : 0;
}

/* A node at the current event, below parent (NULL: the root). */
static int
new_node(struct reader *r, struct yamldoc_node *parent,
    struct yamldoc_node **out)
{
	struct yamldoc_node	*n;
	int			 rc;

	if (++r->d->nodes > YAMLDOC_NODES_MAX)
		return event_error(r, "too many values in one file");
	if ((n = take(r->d, sizeof *n, &rc)) == NULL)
		return rc;
	*n = (struct yamldoc_node){
		.parent = parent,
		.line = (unsigned)r->event.start_mark.line + 1,
		.col = (unsigned)r->event.start_mark.column + 1,
	};
	if (parent != NULL && parent->last != NULL)
		n->index = parent->last->index + 1;
	*out = n;
	return 0;
}

static void
append(struct yamldoc_node *parent, struct yamldoc_node *n)
{
	if (parent->last != NULL)
		parent->last->next = n;
	else
		parent->first = n;
	parent->last = n;
}

/* Reads a key into n, leaving the event of its value current. */
static int
read_key(struct reader *r, struct yamldoc_node *n)
{
	const struct yamldoc_node	*other;
	int				 rc;

	if (r->event.type == YAML_ALIAS_EVENT)
		return event_error(r, "anchors and aliases are not supported");
	if (r->event.type != YAML_SCALAR_EVENT)
		return event_error(r, "a key has to be text");
	if ((rc = read_scalar(r, n)) < 0)
		return rc;
	n->key = n->text;
	n->key_len = n->len;
	n->key_line = n->line;
	n->key_col = n->col;
	for (other = n->parent->first; other != NULL; other = other->next)
		if (other->key_len == n->key_len &&
		    memcmp(other->key, n->key, n->key_len) == 0)
			return yamldoc_error(r->d, n, "given twice, first in "
			    "line %u", other->key_line);
	if ((rc = next_event(r)) < 0)
		return rc;
	n->line = (unsigned)r->event.start_mark.line + 1;
	n->col = (unsigned)r->event.start_mark.column + 1;
	n->expanded = false;
	return 0;
}

static int	read_value(struct reader *r, struct yamldoc_node *n,
		    unsigned depth);

/* Items until the event that ends the list or map n. */
static int
read_items(struct reader *r, struct yamldoc_node *n, yaml_event_type_t end,
    unsigned depth)
{
	struct yamldoc_node	*item;
	int			 rc;

	if (depth > YAMLDOC_DEPTH_MAX)
		return event_error(r, "nested too deeply");
	for (;;) {
		if ((rc = next_event(r)) < 0)
			return rc;
		if (r->event.type == end)
			return 0;
		if ((rc = new_node(r, n, &item)) < 0)
			return rc;
		if (n->kind == YAMLDOC_MAP && (rc = read_key(r, item)) < 0)
			return rc;
		if ((rc = read_value(r, item, depth)) < 0)
			return rc;
		append(n, item);
	}
}

/* The value that begins with the current event. */
static int
read_value(struct reader *r, struct yamldoc_node *n, unsigned depth)
{
	const yaml_event_t	*e = &r->event;
	const yaml_char_t	*anchor, *tag;
	yaml_event_type_t	 end;
	bool			 file;
	int			 rc;

	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return read_scalar(r, n);
	case YAML_SEQUENCE_START_EVENT:
		n->kind = YAMLDOC_LIST;
		anchor = e->data.sequence_start.anchor;
		tag = e->data.sequence_start.tag;
		end = YAML_SEQUENCE_END_EVENT;
		break;
	case YAML_MAPPING_START_EVENT:
		n->kind = YAMLDOC_MAP;
		anchor = e->data.mapping_start.anchor;
		tag = e->data.mapping_start.tag;
		end = YAML_MAPPING_END_EVENT;
		break;
	default:
		return event_error(r, "anchors and aliases are not supported");
	}
	if (anchor != NULL)
		return event_error(r, "anchors and aliases are not supported");
	if ((rc = read_tag(r, n, (const char *)tag, &file)) < 0)
		return rc;
	return read_items(r, n, end, depth + 1);
}

static int
read_document(struct reader *r)
{
	struct yamldoc_node	*root;
	int			 rc;

	if ((rc = next_event(r)) < 0 ||		/* stream start */
	    (rc = next_event(r)) < 0)
		return rc;
	if (r->event.type == YAML_STREAM_END_EVENT)
		return 0;
	if ((rc = next_event(r)) < 0 ||
	    (rc = new_node(r, NULL, &root)) < 0 ||
	    (rc = read_value(r, root, 0)) < 0)
		return rc;
	if (!yamldoc_is_null(root))
		r->d->root = root;
	if ((rc = next_event(r)) < 0 ||		/* document end */
	    (rc = next_event(r)) < 0)
		return rc;
	if (r->event.type != YAML_STREAM_END_EVENT)
		return event_error(r, "a second document begins");
	return 0;
}

int
yamldoc_parse(struct yamldoc *d, const void *text, size_t n)
{
	struct reader	r = { .d = d, .text = text };
	int		rc;

	if (n > YAMLDOC_TEXT_MAX) {
		snprintf(d->err, d->errlen, "%s: larger than 1 MiB", d->name);
		return -E2BIG;
	}
	if (!yaml_parser_initialize(&r.parser)) {
		snprintf(d->err, d->errlen, "%s: out of memory", d->name);
		return -ENOMEM;
	}
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, text, n);
	rc = read_document(&r);
	drop_event(&r);
	yaml_parser_delete(&r.parser);
	return rc;
}
