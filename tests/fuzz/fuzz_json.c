/*
 * Whatever is taken must survive being written again: the first byte is the
 * room for decoded strings, the rest is the document.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"
#include "tests/fuzz/fuzz.h"

static void
copy_string(const struct json *j, char *text, size_t room)
{
	int	r = json_text(j, text, room);

	check(r == 0 || r == -EINVAL || r == -ENOBUFS);
	if (r == 0)
		check(json_is(j, text) && utf8_valid(text, strlen(text)));
	else if (room > 0)
		check(text[0] == '\0');
}

static void
copy_number(const struct json *j, struct json_out *o, const char *key)
{
	int64_t	v = 0;

	(void)json_int(j, &v);
	json_put_int(o, key, v);
}

/* Copies one document; true if it was well-formed. */
static bool
copy(const uint8_t *p, size_t n, size_t room, struct json_out *o)
{
	char		key[256] = "", text[256] = "";
	const char	*k;
	struct json	j;
	enum json_type	t;

	json_init(&j, p, n);
	while ((t = json_next(&j)) != JSON_END && t != JSON_ERROR) {
		k = j.depth > 0 && j.stack[j.depth - 1] == '{' ? key : NULL;
		if (t == JSON_OBJECT || t == JSON_ARRAY)
			k = j.depth > 1 && j.stack[j.depth - 2] == '{' ? key :
			    NULL;
		if (t == JSON_OBJECT)
			json_put_object(o, k);
		else if (t == JSON_ARRAY)
			json_put_array(o, k);
		else if (t == JSON_OBJECT_END || t == JSON_ARRAY_END)
			json_put_end(o, t == JSON_OBJECT_END ? '}' : ']');
		else if (t == JSON_KEY)
			copy_string(&j, key, room);
		else if (t == JSON_NUMBER)
			copy_number(&j, o, k);
		else if (t == JSON_NULL)
			json_put_null(o, k);
		else if (t == JSON_TRUE || t == JSON_FALSE)
			json_put_bool(o, k, t == JSON_TRUE);
		if (t == JSON_STRING) {
			copy_string(&j, text, room);
			json_put_string(o, k, text);
		}
		check(json_offset(&j) <= n);
	}
	check(json_next(&j) == t);
	return t == JSON_END;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct json_out	o;
	struct buf	first, second;
	size_t		room;

	if (n < 1)
		return 0;
	room = *data++;
	n--;
	buf_init(&first, 8 * n + 100);
	buf_init(&second, 8 * n + 100);
	json_out_init(&o, &first);
	if (copy(data, n, room, &o)) {
		check(json_put_done(&o) == 0);
		json_out_init(&o, &second);
		check(copy(buf_head(&first), first.len, 255, &o));
		check(json_put_done(&o) == 0 && first.len == second.len);
		check(memcmp(buf_head(&first), buf_head(&second),
		    first.len) == 0);
	}
	buf_finish(&first);
	buf_finish(&second);
	return 0;
}
