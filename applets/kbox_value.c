#include "applets/kbox_value.h"

#include <stdlib.h>
#include <string.h>

#include "applets/kbox_text.h"
#include "base/rfc3339.h"
#include "base/log.h"
#include "base/str.h"

/* Decoded text of the last token; as it came where that can't be. */
static const char *
text_of(struct kbox *k, const struct json *j)
{
	char	*out = kbox_alloc(k, j->len + 1);

	if (json_text(j, out, j->len + 1) < 0)
		memcpy(out, j->text, j->len);
	return out;
}

static struct value *build(struct kbox *k, struct json *j, enum json_type t);

/* What is inside brackets, up to the closing one. */
static int
build_kids(struct kbox *k, struct json *j, struct value *v)
{
	enum json_type	 end = v->type == JSON_OBJECT ? JSON_OBJECT_END :
			    JSON_ARRAY_END, t;
	struct value	**tail = &v->kids;
	const char	*key;

	while ((t = json_next(j)) != end) {
		key = "";
		if (t == JSON_KEY) {
			key = text_of(k, j);
			t = json_next(j);
		}
		if ((*tail = build(k, j, t)) == NULL)
			return -1;
		(*tail)->key = key;
		tail = &(*tail)->next;
	}
	return 0;
}

/* The depth is limited by the reader. */
static struct value *
build(struct kbox *k, struct json *j, enum json_type t)
{
	struct value	*v;
	const char	*from = j->text;

	if (t == JSON_ERROR || t == JSON_END)
		return NULL;
	v = kbox_alloc(k, sizeof *v);
	v->type = t;
	v->key = v->text = "";
	if (t == JSON_STRING) {
		from--;			/* the quote */
		v->text = text_of(k, j);
	} else if (t == JSON_NUMBER) {
		v->text = kbox_printf(k, "%.*s", (int)j->len, j->text);
	} else if (t == JSON_OBJECT || t == JSON_ARRAY) {
		if (build_kids(k, j, v) < 0)
			return NULL;
	}
	v->raw = from;
	v->rawlen = (size_t)(j->p - from);
	return v;
}

struct value *
value_parse(struct kbox *k, const struct kbox_answer *a)
{
	struct json	 j;
	struct value	*v;

	json_init(&j, a->body, a->len);
	v = build(k, &j, json_next(&j));
	if (v != NULL && json_next(&j) == JSON_END)
		return v;
	(void)kbox_fail(k, 0, "the daemon's answer is not JSON: %s at byte %zu",
	    j.error != NULL ? j.error : "it ends too early", json_offset(&j));
	return NULL;
}

const struct value *
value_get(const struct value *v, const char *key)
{
	const struct value	*kid;

	if (v == NULL || v->type != JSON_OBJECT)
		return NULL;
	for (kid = v->kids; kid != NULL; kid = kid->next)
		if (strcmp(kid->key, key) == 0)
			return kid;
	return NULL;
}

const char *
value_text(const struct value *v, const char *key)
{
	const struct value	*kid = value_get(v, key);

	return kid != NULL ? kid->text : "";
}

double
value_number(const struct value *v, const char *key, double none)
{
	const struct value	*kid = value_get(v, key);

	if (kid == NULL || kid->type != JSON_NUMBER)
		return none;
	return strtod(kid->text, NULL);
}

uint64_t
value_count(const struct value *v, const char *key)
{
	uint64_t	n;

	return str_to_u64(value_text(v, key), UINT64_MAX, &n) == 0 ? n : 0;
}

bool
value_true(const struct value *v, const char *key)
{
	const struct value	*kid = value_get(v, key);

	return kid != NULL && kid->type == JSON_TRUE;
}

bool
value_time(const struct value *v, const char *key, int64_t *ns)
{
	return rfc3339_parse(value_text(v, key), ns) == 0;
}

/* ---- JSON for people ---- */

/* What could act on a terminal leaves as an escape that means the same. */
static void
put_text(struct kbox *k, const char *p, size_t n)
{
	uint32_t	cp;
	size_t		i, len;

	for (i = 0; i < n; i += len) {
		len = utf8_next(p + i, n - i, &cp);
		if (len == 0)
			len = 1;
		else if (k->tty && cp < 0x10000 && log_is_hostile(cp)) {
			printf("\\u%04x", cp);
			continue;
		}
		fwrite(p + i, 1, len, stdout);
	}
}

static void
new_line(int depth)
{
	printf("\n%*s", depth * 2, "");
}

static void
put_token(struct kbox *k, const struct json *j, enum json_type t)
{
	if (t == JSON_KEY || t == JSON_STRING) {
		putchar('"');
		put_text(k, j->text, j->len);
		fputs(t == JSON_KEY ? "\": " : "\"", stdout);
	} else {
		fwrite(j->text, 1, j->len, stdout);
	}
}

int
value_print(struct kbox *k, const char *json, size_t n)
{
	enum json_type	 t, last = JSON_END;
	struct json	 j;
	int		 depth = 0;

	json_init(&j, json, n);
	while ((t = json_next(&j)) != JSON_END && t != JSON_ERROR) {
		if (t == JSON_OBJECT_END || t == JSON_ARRAY_END) {
			depth--;
			if (last != JSON_OBJECT && last != JSON_ARRAY)
				new_line(depth);
			putchar(t == JSON_OBJECT_END ? '}' : ']');
		} else {
			if (last != JSON_END && last != JSON_OBJECT &&
			    last != JSON_ARRAY && last != JSON_KEY)
				putchar(',');
			if (depth > 0 && last != JSON_KEY)
				new_line(depth);
			if (t == JSON_OBJECT || t == JSON_ARRAY) {
				putchar(t == JSON_OBJECT ? '{' : '[');
				depth++;
			} else {
				put_token(k, &j, t);
			}
		}
		last = t;
	}
	putchar('\n');
	return t == JSON_END ? KBOX_OK : KBOX_FAILED;
}

int
value_print_answer(struct kbox *k, const struct kbox_answer *a)
{
	if (value_parse(k, a) == NULL)
		return KBOX_FAILED;
	return value_print(k, a->body, a->len);
}
