/*
 * The small readers of str.h and the escaping of the log: the first byte
 * picks one, the second the room for its output, the rest is the text.
 */
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "tests/fuzz/fuzz.h"

#define TEXT_MAX	1024

/* What was escaped needs no more escaping (T25). */
static void
escape(const char *s, size_t n, size_t room)
{
	char	once[6 * TEXT_MAX + 1], twice[6 * TEXT_MAX + 1];
	size_t	len = log_escape(s, n, once, sizeof once);

	check(utf8_valid(once, len) && memchr(once, '\n', len) == NULL);
	check(log_escape(once, len, twice, sizeof twice) == len);
	check(memcmp(once, twice, len) == 0);
	len = log_escape(s, n, twice, room);
	check(room == 0 ? len == 0 : len < room && twice[len] == '\0');
	check(memcmp(once, twice, len) == 0);
}

static void
repair(const char *s, size_t n, size_t room)
{
	char	out[3 * TEXT_MAX + 1];
	size_t	len = utf8_repair(s, n, out, sizeof out);

	check(utf8_valid(out, len));
	if (utf8_valid(s, n))
		check(len == n && memcmp(s, out, n) == 0);
	check(utf8_valid(out, utf8_repair(s, n, out, room)));
}

/* What was taken is what its value is written as. */
static void
base64(const char *s, size_t n, size_t room)
{
	uint8_t	out[TEXT_MAX];
	char	text[4 * (TEXT_MAX + 2) / 3 + 1];
	size_t	len = sizeof out, bare = n, small = room;

	if (base64_decode(s, n, true, out, &len) == 0) {
		while (bare > 0 && s[bare - 1] == '=')
			bare--;
		check(base64_encode(out, len, text) == bare);
		check(memcmp(text, s, bare) == 0);
	}
	if (base64url_decode(s, n, out, &small) == 0)
		check(small <= room && memchr(s, '=', n) == NULL);
}

static void
number(const char *s, size_t n, size_t room)
{
	uint64_t	v;

	if (mem_to_u64(s, n, room, &v) == 0)
		check(v <= room && n > 0);
}

static void
duration(const char *s, size_t n, size_t room)
{
	char	out[32];
	int64_t	v, again;

	(void)n;
	(void)room;
	if (str_to_duration(s, &v) < 0)
		return;
	str_from_duration(v, out, sizeof out);
	check(str_to_duration(out, &again) == 0);
	check(v == again);
}

static void
join(const char *s, size_t n, size_t room)
{
	char	out[2 * TEXT_MAX];

	(void)n;
	if (path_join(out, room, s, "/name") == 0)
		check(strcmp(path_base(out), "name") == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static void	(*const readers[])(const char *, size_t, size_t) = {
		escape, repair, base64, number, duration, join
	};
	char		*text;
	size_t		 room;

	if (n < 2 || n - 2 > TEXT_MAX || (text = malloc(n - 1)) == NULL)
		return 0;
	room = data[1];
	memcpy(text, data + 2, n - 2);
	text[n - 2] = '\0';
	readers[data[0] % ARRAY_LEN(readers)](text, n - 2, room);
	free(text);
	return 0;
}
