#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "net/hpack_table.h"

#define ENTRIES_MIN	16u
#define TEXT_MIN	512u
/* Everything that can be live, twice: an entry goes in before others go. */
#define TEXT_MAX	(2u * HPACK_TABLE_DEFAULT)

/* RFC 7541 appendix A. */
#define ROW(n, v)	{ n, v, sizeof n - 1, sizeof v - 1, false, false }
static const struct hpack_field static_table[] = {
	ROW(":authority", ""),
	ROW(":method", "GET"),
	ROW(":method", "POST"),
	ROW(":path", "/"),
	ROW(":path", "/index.html"),
	ROW(":scheme", "http"),
	ROW(":scheme", "https"),
	ROW(":status", "200"),
	ROW(":status", "204"),
	ROW(":status", "206"),
	ROW(":status", "304"),
	ROW(":status", "400"),
	ROW(":status", "404"),
	ROW(":status", "500"),
	ROW("accept-charset", ""),
	ROW("accept-encoding", "gzip, deflate"),
	ROW("accept-language", ""),
	ROW("accept-ranges", ""),
	ROW("accept", ""),
	ROW("access-control-allow-origin", ""),
	ROW("age", ""),
	ROW("allow", ""),
	ROW("authorization", ""),
	ROW("cache-control", ""),
	ROW("content-disposition", ""),
	ROW("content-encoding", ""),
	ROW("content-language", ""),
	ROW("content-length", ""),
	ROW("content-location", ""),
	ROW("content-range", ""),
	ROW("content-type", ""),
	ROW("cookie", ""),
	ROW("date", ""),
	ROW("etag", ""),
	ROW("expect", ""),
	ROW("expires", ""),
	ROW("from", ""),
	ROW("host", ""),
	ROW("if-match", ""),
	ROW("if-modified-since", ""),
	ROW("if-none-match", ""),
	ROW("if-range", ""),
	ROW("if-unmodified-since", ""),
	ROW("last-modified", ""),
	ROW("link", ""),
	ROW("location", ""),
	ROW("max-forwards", ""),
	ROW("proxy-authenticate", ""),
	ROW("proxy-authorization", ""),
	ROW("range", ""),
	ROW("referer", ""),
	ROW("refresh", ""),
	ROW("retry-after", ""),
	ROW("server", ""),
	ROW("set-cookie", ""),
	ROW("strict-transport-security", ""),
	ROW("transfer-encoding", ""),
	ROW("user-agent", ""),
	ROW("vary", ""),
	ROW("via", ""),
	ROW("www-authenticate", ""),
};

_Static_assert(ARRAY_LEN(static_table) == HPACK_STATIC_COUNT,
    "RFC 7541 appendix A has 61 rows");

/* Newest first, as the wire counts; cap is a power of two. */
static struct hpack_entry *
entry_at(const struct hpack_table *t, size_t age)
{
	return &t->entries[(t->head + t->count - 1 - age) & (t->cap - 1)];
}

static const char *
entry_text(const struct hpack_table *t, const struct hpack_entry *e)
{
	return t->text + (e->pos - t->text_base);
}

int
hpack_table_init(struct hpack_table *t, size_t max)
{
	if (max > HPACK_TABLE_DEFAULT)
		max = HPACK_TABLE_DEFAULT;
	*t = (struct hpack_table){
		.max = max, .settings_max = max, .lowest = max
	};
	return 0;
}

void
hpack_table_finish(struct hpack_table *t)
{
	free(t->entries);
	free(t->text);
	*t = (struct hpack_table){ .max = 0 };
}

static void
evict(struct hpack_table *t)
{
	const struct hpack_entry	*e = &t->entries[t->head];
	size_t				 n = (size_t)e->name_len + e->value_len;

	t->head = (t->head + 1) & (t->cap - 1);
	t->count--;
	t->size -= n + HPACK_ENTRY_OVERHEAD;
	t->text_start += n;
	if (t->count == 0)
		t->text_start = t->text_end;
}

void
hpack_table_resize(struct hpack_table *t, size_t max)
{
	while (t->size > max)
		evict(t);
	t->max = max;
	if (max < t->lowest)
		t->lowest = max;
}

void
hpack_table_limit(struct hpack_table *t, size_t settings_max)
{
	if (settings_max > HPACK_TABLE_DEFAULT)
		settings_max = HPACK_TABLE_DEFAULT;
	t->settings_max = settings_max;
	if (settings_max < t->max) {
		hpack_table_resize(t, settings_max);
		t->update_due = true;
	}
}

bool
hpack_lookup(const struct hpack_table *t, size_t index, struct hpack_field *f)
{
	const struct hpack_entry	*e;
	const char			*text;

	if (index == 0 || index > HPACK_STATIC_COUNT + t->count)
		return false;
	if (index <= HPACK_STATIC_COUNT) {
		*f = static_table[index - 1];
		return true;
	}
	e = entry_at(t, index - HPACK_STATIC_COUNT - 1);
	text = entry_text(t, e);
	*f = (struct hpack_field){
		.name = text, .name_len = e->name_len,
		.value = text + e->name_len, .value_len = e->value_len,
		.malformed = e->malformed
	};
	return true;
}

/*
 * Where the rows of a name begin, by its hash; 0: nowhere.  The factors were
 * found by trial: with them no two of the 52 names meet.
 */
#define STATIC_HASH_SIZE	128u

static const uint8_t static_rows[STATIC_HASH_SIZE] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 27, 28, 37, 0, 42, 0, 0, 0, 0, 15, 0,
	0, 2, 58, 49, 0, 0, 0, 0, 0, 0, 16, 0, 39, 0, 0, 0, 50, 0, 38, 0, 0,
	0, 36, 0, 46, 0, 0, 32, 0, 61, 0, 51, 0, 1, 57, 0, 0, 0, 0, 0, 17, 0,
	0, 33, 0, 0, 29, 34, 0, 24, 6, 4, 0, 52, 19, 0, 54, 41, 56, 0, 21, 0,
	35, 0, 22, 48, 60, 53, 18, 0, 0, 0, 0, 25, 40, 0, 0, 20, 0, 23, 0, 31,
	0, 47, 0, 0, 0, 26, 0, 0, 30, 44, 43, 0, 0, 55, 8, 45, 0, 59, 0, 0, 0,
	0, 0, 0,
};

static size_t
static_hash(const char *name, size_t n)
{
	return (9 * n + 34 * (size_t)(uint8_t)name[0] +
	    49 * (size_t)(uint8_t)name[n - 1]) % STATIC_HASH_SIZE;
}

static bool
same_name(const struct hpack_field *a, const struct hpack_field *b)
{
	return a->name_len == b->name_len &&
	    memcmp(a->name, b->name, a->name_len) == 0;
}

/* Rows of one name lie together. */
static size_t
find_static(const struct hpack_field *f, bool *whole)
{
	const struct hpack_field	*s = static_table;
	size_t				 first, i;

	if (f->name_len == 0 ||
	    (first = static_rows[static_hash(f->name, f->name_len)]) == 0 ||
	    !same_name(&s[first - 1], f))
		return 0;
	for (i = first; i <= HPACK_STATIC_COUNT; i++) {
		if (i > first && !same_name(&s[i - 1], f))
			break;
		if (s[i - 1].value_len == f->value_len &&
		    memcmp(s[i - 1].value, f->value, f->value_len) == 0) {
			*whole = true;
			return i;
		}
	}
	return first;
}

size_t
hpack_find(const struct hpack_table *t, const struct hpack_field *f,
    bool *whole)
{
	const struct hpack_entry	*e;
	const char			*text;
	size_t				 name, i;

	*whole = false;
	name = find_static(f, whole);
	for (i = 0; i < t->count && !*whole; i++) {
		e = entry_at(t, i);
		text = entry_text(t, e);
		if (e->name_len != f->name_len ||
		    memcmp(text, f->name, f->name_len) != 0)
			continue;
		if (e->value_len == f->value_len &&
		    memcmp(text + e->name_len, f->value, f->value_len) == 0) {
			*whole = true;
			return HPACK_STATIC_COUNT + 1 + i;
		}
		if (name == 0)
			name = HPACK_STATIC_COUNT + 1 + i;
	}
	return name;
}

/* Room for one more entry in the ring. */
static int
grow_ring(struct hpack_table *t)
{
	struct hpack_entry	*ring;
	size_t			 cap, i;

	if (t->count < t->cap)
		return 0;
	cap = t->cap > 0 ? t->cap * 2 : ENTRIES_MIN;
	if ((ring = malloc(cap * sizeof *ring)) == NULL)
		return -ENOMEM;
	for (i = 0; i < t->count; i++)
		ring[i] = t->entries[(t->head + i) & (t->cap - 1)];
	free(t->entries);
	t->entries = ring;
	t->cap = cap;
	t->head = 0;
	return 0;
}

/*
 * Room for n more bytes of text, with nothing evicted yet.  The live text is
 * moved down when that frees half, so a byte is moved once on average.
 */
static int
grow_text(struct hpack_table *t, size_t n)
{
	size_t	 live = t->text_end - t->text_start, cap = t->text_cap;
	char	*text = t->text;

	if (cap > 0 && n <= cap - t->text_end)
		return 0;
	if (cap == 0)
		cap = TEXT_MIN;		/* also for a field of no text */
	while (live + n > cap / 2 && cap < TEXT_MAX)
		cap *= 2;
	if (cap != t->text_cap && (text = malloc(cap)) == NULL)
		return -ENOMEM;
	if (live > 0)
		memmove(text, t->text + t->text_start, live);
	if (text != t->text)
		free(t->text);
	t->text = text;
	t->text_cap = cap;
	t->text_base += (uint32_t)t->text_start;
	t->text_start = 0;
	t->text_end = live;
	return 0;
}

static int
append(struct hpack_table *t, const struct hpack_field *f)
{
	size_t	n = f->name_len + f->value_len;
	int	r;

	if ((r = grow_ring(t)) < 0 || (r = grow_text(t, n)) < 0)
		return r;
	if (f->name_len > 0)
		memcpy(t->text + t->text_end, f->name, f->name_len);
	if (f->value_len > 0)
		memcpy(t->text + t->text_end + f->name_len, f->value,
		    f->value_len);
	t->entries[(t->head + t->count) & (t->cap - 1)] = (struct hpack_entry){
		.pos = t->text_base + (uint32_t)t->text_end,
		.name_len = (uint16_t)f->name_len,
		.value_len = (uint16_t)f->value_len,
		.malformed = f->malformed
	};
	t->count++;
	t->text_end += n;
	t->size += n + HPACK_ENTRY_OVERHEAD;
	return 0;
}

int
hpack_insert(struct hpack_table *t, const struct hpack_field *f)
{
	size_t	need = f->name_len + f->value_len + HPACK_ENTRY_OVERHEAD;
	int	r;

	if (need > t->max) {
		while (t->count > 0)
			evict(t);
		return 0;
	}
	if ((r = append(t, f)) < 0)
		return r;
	while (t->size > t->max)
		evict(t);
	assert(t->count > 0);
	return 0;
}
