#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/hpack.h"
#include "net/hpack_huffman.h"
#include "tests/unit/failmalloc.h"

/* A decoder with everything it needs. */
struct side {
	struct hpack_table	t;
	struct arena		arena;
	struct hpack_list	list;
	char			text[64 * 1024];	/* "name: value\n" ... */
};

static struct side *
side_new(size_t max)
{
	struct side	*d = calloc(1, sizeof *d);

	assert_non_null(d);
	assert_int_equal(hpack_table_init(&d->t, max), 0);
	arena_init(&d->arena, HPACK_ARENA_MAX);
	return d;
}

static void
side_free(struct side *d)
{
	hpack_table_finish(&d->t);
	arena_finish(&d->arena);
	free(d);
}

static int
decode(struct side *d, const uint8_t *p, size_t n)
{
	const struct hpack_field	*f;
	size_t				 used = 0, i;
	int				 r;

	arena_reset(&d->arena);
	hpack_list_init(&d->list, &d->arena);
	r = hpack_decode(&d->t, p, n, &d->list);
	d->text[0] = '\0';
	for (i = 0; r == 0 && i < d->list.count; i++) {
		f = &d->list.fields[i];
		assert_int_equal(f->name[f->name_len], '\0');
		assert_int_equal(f->value[f->value_len], '\0');
		used += (size_t)snprintf(d->text + used,
		    sizeof d->text - used, "%s: %s\n", f->name, f->value);
	}
	return r;
}

static size_t
unhex(const char *hex, uint8_t *out)
{
	size_t		n = 0;
	unsigned	v;
	int		took;

	while (sscanf(hex, " %2x%n", &v, &took) == 1) {
		out[n++] = (uint8_t)v;
		hex += took;
	}
	return n;
}

static int
decode_hex(struct side *d, const char *hex)
{
	uint8_t	*p = malloc(strlen(hex) + 1);	/* so ASan sees its end */
	size_t	 n = unhex(hex, p);
	uint8_t	*exact = malloc(n > 0 ? n : 1);
	int	 r;

	memcpy(exact, p, n);
	r = decode(d, exact, n);
	free(exact);
	free(p);
	return r;
}

static void
expect(struct side *d, const char *hex, const char *text, size_t table)
{
	assert_int_equal(decode_hex(d, hex), 0);
	assert_string_equal(d->text, text);
	assert_int_equal(d->t.size, table);
}

static void
refuse(const char *hex)
{
	struct side	*d = side_new(4096);

	assert_int_equal(decode_hex(d, hex), -EPROTO);
	side_free(d);
}

/* -- RFC 7541 appendix C ---------------------------------------------------- */

static void
rfc7541_c2_single_fields(void **state)
{
	struct side	*d = side_new(4096);

	(void)state;
	expect(d, "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164"
	    "6572", "custom-key: custom-header\n", 55);
	expect(d, "040c 2f73 616d 706c 652f 7061 7468",
	    ":path: /sample/path\n", 55);
	expect(d, "1008 7061 7373 776f 7264 0673 6563 7265 74",
	    "password: secret\n", 55);
	assert_true(d->list.fields[0].sensitive);
	expect(d, "82", ":method: GET\n", 55);
	side_free(d);
}

#define C3_1	":method: GET\n:scheme: http\n:path: /\n" \
		":authority: www.example.com\n"
#define C3_2	C3_1 "cache-control: no-cache\n"
#define C3_3	":method: GET\n:scheme: https\n:path: /index.html\n" \
		":authority: www.example.com\ncustom-key: custom-value\n"

static void
rfc7541_c3_requests_plain(void **state)
{
	struct side	*d = side_new(4096);

	(void)state;
	expect(d, "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", C3_1,
	    57);
	expect(d, "8286 84be 5808 6e6f 2d63 6163 6865", C3_2, 110);
	expect(d, "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d"
	    "7661 6c75 65", C3_3, 164);
	side_free(d);
}

static void
rfc7541_c4_requests_huffman(void **state)
{
	struct side	*d = side_new(4096);

	(void)state;
	expect(d, "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", C3_1, 57);
	expect(d, "8286 84be 5886 a8eb 1064 9cbf", C3_2, 110);
	expect(d, "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
	    C3_3, 164);
	side_free(d);
}

#define C5_TAIL	"cache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\n" \
		"location: https://www.example.com\n"
#define C5_1	":status: 302\n" C5_TAIL
#define C5_2	":status: 307\n" C5_TAIL
#define C5_3	":status: 200\ncache-control: private\n" \
		"date: Mon, 21 Oct 2013 20:13:22 GMT\n" \
		"location: https://www.example.com\ncontent-encoding: gzip\n" \
		"set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; " \
		"version=1\n"

static void
rfc7541_c5_responses_plain_with_eviction(void **state)
{
	struct side	*d = side_new(256);

	(void)state;
	expect(d, "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120"
	    "4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474"
	    "7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", C5_1, 222);
	expect(d, "4803 3330 37c1 c0bf", C5_2, 222);
	expect(d, "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a"
	    "3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a"
	    "4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d"
	    "6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31", C5_3,
	    215);
	assert_int_equal(d->t.count, 3);
	side_free(d);
}

static void
rfc7541_c6_responses_huffman_with_eviction(void **state)
{
	struct side	*d = side_new(256);

	(void)state;
	expect(d, "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005"
	    "9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae"
	    "82ae 43d3", C5_1, 222);
	expect(d, "4883 640e ffc1 c0bf", C5_2, 222);
	expect(d, "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d"
	    "1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960"
	    "d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106"
	    "3d50 07", C5_3, 215);
	side_free(d);
}

/* -- malformed blocks ------------------------------------------------------- */

static void
malformed_blocks_are_refused(void **state)
{
	(void)state;
	refuse("80");				/* index 0 */
	refuse("be");				/* nothing at 62 */
	refuse("ff 00");			/* nothing at 127 */
	refuse("7e 01 61");			/* literal with such a name */
	refuse("ff ff ff ff ff 0f");		/* integer too long */
	refuse("ff 80 80 80 80 00");		/* even of leading zeroes */
	refuse("ff");				/* cut short */
	refuse("40");
	refuse("40 01");
	refuse("40 01 61");
	refuse("40 01 61 02 62");
	refuse("00 7f ff ff ff 0f 61");
	refuse("3f e2 1f");			/* size update of 4097 */
	refuse("82 20");			/* size update behind a field */
}

static void
bad_huffman_is_refused(void **state)
{
	(void)state;
	refuse("00 85 f2b2 4a84 ff 84 4950 9fff");	/* > 7 bits padding */
	refuse("00 85 f2b2 4a84 ff 83 4950 90");	/* padding of zeroes */
	refuse("00 85 f2b2 4a87 ff ff ff fe 83 49 50 9f");	/* EOS */
	refuse("00 01 61 84 ffff ffff");		/* EOS and padding */
	refuse("00 01 61 81 ff");			/* 8 bits of padding */
}

static void
every_cut_of_a_good_block_is_refused_or_shorter(void **state)
{
	static const char	hex[] = "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90"
	    "f4 ff 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf";
	uint8_t			block[64], *p;
	size_t			n = unhex(hex, block), i, good = 0;

	(void)state;
	for (i = 0; i <= n; i++) {
		struct side	*d = side_new(4096);

		p = malloc(i > 0 ? i : 1);
		memcpy(p, block, i);
		if (decode(d, p, i) == 0)
			good++;
		free(p);
		side_free(d);
	}
	assert_int_equal(good, 6);	/* behind each field, and before all */
}

/* -- table size ------------------------------------------------------------- */

static void
test_G19_size_update_to_0_then_4096_is_honoured(void **state)
{
	struct side	*d = side_new(4096);

	(void)state;
	expect(d, "4001 6101 62", "a: b\n", 34);
	expect(d, "20 3f e1 1f 4001 6301 64 be", "c: d\nc: d\n", 34);
	assert_int_equal(d->t.count, 1);
	expect(d, "20", "", 0);
	expect(d, "4001 6101 62", "a: b\n", 0);
	expect(d, "3f e1 1f 4001 6101 62", "a: b\n", 34);
	side_free(d);
}

static void
a_lowered_limit_has_to_be_confirmed(void **state)
{
	struct side	*d = side_new(4096);

	(void)state;
	expect(d, "4001 6101 62", "a: b\n", 34);
	hpack_table_limit(&d->t, 0);
	assert_int_equal(d->t.count, 0);
	assert_int_equal(decode_hex(d, "82"), -EPROTO);
	expect(d, "20 82", ":method: GET\n", 0);
	assert_int_equal(decode_hex(d, "21"), -EPROTO);
	side_free(d);
}

static void
entries_at_and_above_the_table_size(void **state)
{
	struct side	*d = side_new(36);

	(void)state;
	expect(d, "4002 6161 02 6262", "aa: bb\n", 36);
	expect(d, "4002 6161 03 626262", "aa: bbb\n", 0);
	expect(d, "4001 6101 62", "a: b\n", 34);
	/* The name comes from the entry that is pushed out. */
	expect(d, "7e 02 6363", "a: cc\n", 35);
	expect(d, "be", "a: cc\n", 35);
	side_free(d);
}

static void
the_table_survives_many_turns(void **state)
{
	struct side	*d = side_new(4096);
	char		 value[800];
	uint8_t		 block[900];
	size_t		 n, i, len, last = 0;

	(void)state;
	for (i = 0; i < 3000; i++) {
		len = i * 37 % 700;
		memset(value, 'a' + (int)(i % 26), sizeof value);
		memcpy(block, "\x40\x01x", 3);
		n = 3;
		if (len < 127) {
			block[n++] = (uint8_t)len;
		} else {
			block[n++] = 127;
			block[n++] = (uint8_t)((len - 127) % 128 | 128);
			block[n++] = (uint8_t)((len - 127) / 128);
		}
		memcpy(block + n, value, len);
		assert_int_equal(decode(d, block, n + len), 0);
		assert_int_equal(d->list.fields[0].value_len, len);
		assert_true(d->t.size <= 4096);
		if (i > 0) {
			assert_int_equal(decode_hex(d, "bf"), 0);
			assert_int_equal(d->list.fields[0].value_len, last);
		}
		last = len;
	}
	side_free(d);
}

/* -- limits ----------------------------------------------------------------- */

static void
field_count_at_and_above_the_limit(void **state)
{
	struct side	*d = side_new(4096);
	uint8_t		 block[HPACK_FIELDS_MAX + 1];

	(void)state;
	memset(block, 0x82, sizeof block);
	assert_int_equal(decode(d, block, HPACK_FIELDS_MAX), 0);
	assert_int_equal(d->list.count, HPACK_FIELDS_MAX);
	assert_false(d->list.oversize);
	assert_int_equal(decode(d, block, sizeof block), 0);
	assert_true(d->list.oversize && d->list.too_many);
	side_free(d);
}

/* One field of `value` bytes; fixed length prefix so that n is simple. */
static size_t
long_field(uint8_t *out, size_t value, uint8_t first)
{
	out[0] = first;
	out[1] = 1;
	out[2] = 'x';
	out[3] = 127;
	out[4] = (uint8_t)((value - 127) % 128 | 128);
	out[5] = (uint8_t)((value - 127) / 128 % 128 | 128);
	out[6] = (uint8_t)((value - 127) / 128 / 128);
	memset(out + 7, 'v', value);
	return value + 7;
}

static void
list_size_at_and_above_the_limit(void **state)
{
	struct side	*d = side_new(4096);
	uint8_t		*block = malloc(HPACK_LIST_MAX + 16);
	size_t		 n;

	(void)state;
	n = long_field(block, HPACK_LIST_MAX - 33, 0x00);
	assert_int_equal(decode(d, block, n), 0);
	assert_false(d->list.oversize);
	assert_int_equal(d->list.size, HPACK_LIST_MAX);
	assert_int_equal(d->list.count, 1);
	n = long_field(block, HPACK_LIST_MAX - 32, 0x00);
	assert_int_equal(decode(d, block, n), 0);
	assert_true(d->list.oversize && !d->list.too_many);
	assert_int_equal(d->list.count, 0);
	free(block);
	side_free(d);
}

static void
an_oversize_block_keeps_the_table_in_step(void **state)
{
	struct side	*d = side_new(4096);
	uint8_t		*block = malloc(HPACK_LIST_MAX + 64);
	size_t		 n;

	(void)state;
	n = long_field(block, HPACK_LIST_MAX, 0x00);
	n += unhex("4001 6101 62 7e 01 63 4081 1f 82 1c64", block + n);
	assert_int_equal(decode(d, block, n), 0);
	assert_true(d->list.oversize);
	expect(d, "be bf c0", "a: abc\na: c\na: b\n", 36 + 34 + 34);
	side_free(d);
	free(block);
}

static void
hpack_bomb_costs_no_memory(void **state)
{
	struct side	*d = side_new(4096);
	uint8_t		*block = malloc(64 * 1024);
	size_t		 n;

	(void)state;
	n = long_field(block, 4096 - 33, 0x40);
	assert_int_equal(decode(d, block, n), 0);
	assert_int_equal(d->t.size, 4096);
	memset(block, 0xbe, 64 * 1024);
	assert_int_equal(decode(d, block, 64 * 1024), 0);
	assert_true(d->list.oversize);
	assert_true(d->arena.total <= HPACK_ARENA_MAX);
	assert_int_equal(d->list.count, 4);
	free(block);
	side_free(d);
}

/* The largest text that the arena can be asked for. */
static void
the_arena_is_always_large_enough(void **state)
{
	struct side	*d = side_new(4096);
	uint8_t		*block = malloc(64 * 1024);
	size_t		 n = 0, i;

	(void)state;
	/* 40 fields of "1" x 370 in Huffman code: 232 bytes each. */
	for (i = 0; i < 40; i++) {
		block[n++] = 0x00;
		block[n++] = 1;
		block[n++] = 'x';
		block[n++] = 0xff;
		block[n++] = 232 - 127;
		memset(block + n, 0, 231);
		block[n + 231] = 0x07;
		n += 232;
	}
	n += long_field(block + n, 20000, 0x40);
	for (i = 0; i < 5; i++)
		n += long_field(block + n, 4000, 0x40);
	assert_int_equal(decode(d, block, n), 0);
	assert_true(d->list.oversize);
	assert_int_equal(d->list.count, 40);
	assert_int_equal(d->t.size, 4033);
	free(block);
	side_free(d);
}

/* -- field syntax (RFC 9113 8.2.1) ------------------------------------------ */

static void
malformed_fields_are_marked(void **state)
{
	static const struct {
		const char	*hex;
		bool		 malformed;
	} rows[] = {
		{ "0001 61 01 62", false },
		{ "0001 61 00", false },
		{ "0005 3a70617468 01 2f", false },
		{ "0000 01 62", true },		/* no name (CVE-2019-9516) */
		{ "0001 41 01 62", true },	/* upper case */
		{ "0002 6120 01 62", true },
		{ "0002 613a 01 62", true },
		{ "0002 617f 01 62", true },
		{ "0002 6180 01 62", true },
		{ "0001 61 01 00", true },
		{ "0001 61 03 61 0d 62", true },
		{ "0001 61 03 61 0a 62", true },
		{ "0001 61 02 20 62", true },
		{ "0001 61 02 62 09", true },
		{ "0001 61 03 62 20 62", false },
		{ "0001 61 01 ff", false },
		{ "0001 61 01 01", false },
	};
	struct side	*d = side_new(4096);
	size_t		 i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(decode_hex(d, rows[i].hex), 0);
		assert_int_equal(d->list.count, 1);
		assert_int_equal(d->list.fields[0].malformed,
		    rows[i].malformed);
	}
	/* The mark stays with an entry. */
	assert_int_equal(decode_hex(d, "4001 41 01 62 be"), 0);
	assert_true(d->list.fields[1].malformed);
	side_free(d);
}

static void
a_field_of_no_text_can_be_indexed(void **state)
{
	struct side	*d = side_new(4096);

	(void)state;
	expect(d, "400000 be", ": \n: \n", 32);
	assert_true(d->list.fields[1].malformed);
	side_free(d);
}

/* -- encoder ---------------------------------------------------------------- */

#define F(n, v)	{ .name = n, .value = v, .name_len = sizeof n - 1, \
		    .value_len = sizeof v - 1 }

static const struct hpack_field answer[] = {
	F(":status", "200"), F("content-type", "application/grpc"),
};
static const struct hpack_field ok[] = { F("grpc-status", "0") };

static void
an_answer_is_a_few_indexed_bytes(void **state)
{
	struct hpack_table	t;
	struct buf		out;

	(void)state;
	hpack_table_init(&t, 4096);
	buf_init(&out, 1024);
	assert_int_equal(hpack_encode(&t, answer, 2, &out), 0);
	assert_int_equal(hpack_encode(&t, ok, 1, &out), 0);
	buf_clear(&out);
	assert_int_equal(hpack_encode(&t, answer, 2, &out), 0);
	assert_int_equal(out.len, 2);
	assert_int_equal(hpack_encode(&t, ok, 1, &out), 0);
	assert_int_equal(out.len, 3);
	assert_memory_equal(buf_head(&out), "\x88\xbf\xbe", 3);
	buf_finish(&out);
	hpack_table_finish(&t);
}

static void
sensitive_fields_are_never_indexed(void **state)
{
	struct hpack_field	f = F("authorization", "Bearer x");
	struct hpack_table	t;
	struct buf		out;
	struct side		*d = side_new(4096);

	(void)state;
	hpack_table_init(&t, 4096);
	buf_init(&out, 1024);
	f.sensitive = true;
	assert_int_equal(hpack_encode(&t, &f, 1, &out), 0);
	assert_int_equal(buf_head(&out)[0], 0x1f);
	assert_int_equal(t.count, 0);
	assert_int_equal(decode(d, buf_head(&out), out.len), 0);
	assert_true(d->list.fields[0].sensitive);
	assert_string_equal(d->text, "authorization: Bearer x\n");
	side_free(d);
	buf_finish(&out);
	hpack_table_finish(&t);
}

static void
a_full_output_changes_nothing(void **state)
{
	struct hpack_table	t;
	struct buf		out;

	(void)state;
	hpack_table_init(&t, 4096);
	buf_init(&out, 8);
	assert_int_equal(hpack_encode(&t, answer, 2, &out), -ENOBUFS);
	assert_int_equal(out.len, 0);
	assert_int_equal(t.count, 0);
	buf_finish(&out);
	hpack_table_finish(&t);
}

static void
size_updates_tell_the_lowest_and_the_last(void **state)
{
	struct hpack_table	t;
	struct buf		out;

	(void)state;
	hpack_table_init(&t, 4096);
	buf_init(&out, 1024);
	assert_int_equal(hpack_encode(&t, answer, 2, &out), 0);
	hpack_table_limit(&t, 100);
	hpack_table_limit(&t, 0);
	hpack_table_limit(&t, 1u << 30);
	assert_int_equal(t.count, 0);
	buf_clear(&out);
	assert_int_equal(hpack_encode(&t, answer, 1, &out), 0);
	assert_int_equal(out.len, 5);
	assert_memory_equal(buf_head(&out), "\x20\x3f\xe1\x1f\x88", 5);
	hpack_table_limit(&t, 0);
	buf_clear(&out);
	assert_int_equal(hpack_encode(&t, answer, 2, &out), 0);
	assert_int_equal(buf_head(&out)[0], 0x20);
	assert_int_equal(t.count, 0);
	buf_finish(&out);
	hpack_table_finish(&t);
}

/* A small generator, so that every run is the same. */
static uint32_t
next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void
what_is_encoded_is_decoded(void **state)
{
	static const char *const names[] = {
		":path", "content-type", "x", "grpc-message", "cookie",
		"a-rather-long-header-name-that-is-not-in-the-table"
	};
	struct hpack_table	t;
	struct side		*d = side_new(4096);
	struct hpack_field	 f[8];
	struct buf		 out;
	char			 value[8][300];
	uint32_t		 seed = 1;
	size_t			 i, k, round, n;

	(void)state;
	hpack_table_init(&t, 4096);
	buf_init(&out, 64 * 1024);
	for (round = 0; round < 2000; round++) {
		n = next(&seed) % 8;
		for (i = 0; i < n; i++) {
			const char	*name = names[next(&seed) % 6];

			f[i] = (struct hpack_field){
				.name = name, .name_len = strlen(name),
				.value = value[i],
				.value_len = next(&seed) % 3 == 0 ?
				    next(&seed) % 300 : next(&seed) % 4,
				.sensitive = next(&seed) % 9 == 0
			};
			for (k = 0; k < f[i].value_len; k++)
				value[i][k] = (char)(f[i].value_len < 4 ?
				    'a' : (int)(next(&seed) % 256));
		}
		if (next(&seed) % 50 == 0) {
			k = next(&seed) % 5000;
			hpack_table_limit(&t, k);
			hpack_table_limit(&d->t, k);
		}
		buf_clear(&out);
		assert_int_equal(hpack_encode(&t, f, n, &out), 0);
		assert_true(out.len <= hpack_encode_bound(f, n));
		arena_reset(&d->arena);
		hpack_list_init(&d->list, &d->arena);
		assert_int_equal(hpack_decode(&d->t, buf_head(&out), out.len,
		    &d->list), 0);
		assert_int_equal(d->list.count, n);
		assert_int_equal(d->t.size, t.size);
		for (i = 0; i < n; i++) {
			const struct hpack_field *g = &d->list.fields[i];

			assert_int_equal(g->value_len, f[i].value_len);
			assert_memory_equal(g->value, f[i].value, g->value_len);
			assert_string_equal(g->name, f[i].name);
			assert_int_equal(g->sensitive, f[i].sensitive);
		}
	}
	buf_finish(&out);
	hpack_table_finish(&t);
	side_free(d);
}

static void
every_byte_survives_huffman(void **state)
{
	uint8_t	coded[1024];
	char	in[256], out[256];
	size_t	n, len, i;

	(void)state;
	for (i = 0; i < 256; i++)
		in[i] = (char)i;
	n = hpack_huffman_length(in, 256);
	assert_true(n <= sizeof coded);
	assert_ptr_equal(hpack_huffman_encode(in, 256, coded), coded + n);
	assert_int_equal(hpack_huffman_decode(coded, n, out, 256, &len), 0);
	assert_int_equal(len, 256);
	assert_memory_equal(in, out, 256);
	/* Too small an output: the length is right all the same. */
	assert_int_equal(hpack_huffman_decode(coded, n, out, 10, &len), 0);
	assert_int_equal(len, 256);
}

static void
out_of_memory_is_reported_and_leaks_nothing(void **state)
{
	uint8_t		block[64];
	size_t		len = unhex("4001 6101 62 8286 84be 5802 6e6f", block);
	unsigned	n;
	bool		failed;
	int		r;

	(void)state;
	for (n = 1, failed = true; failed; n++) {
		struct side	*d = side_new(4096);

		failmalloc_arm(n);
		r = decode(d, block, len);
		failed = failmalloc_disarm();
		assert_int_equal(r, failed ? -ENOMEM : 0);
		side_free(d);
	}
	assert_true(n > 4);
}

/* An encoder without memory for its table does without the table. */
static void
encoding_goes_on_without_memory_for_the_table(void **state)
{
	struct hpack_table	t;
	struct side		*d = side_new(4096);
	struct buf		out;

	(void)state;
	hpack_table_init(&t, 4096);
	buf_init(&out, 1024);
	assert_int_equal(buf_put(&out, "x", 1), 0);
	buf_clear(&out);
	failmalloc_arm_all(1);
	assert_int_equal(hpack_encode(&t, answer, 2, &out), 0);
	assert_true(failmalloc_disarm());
	assert_int_equal(t.count, 0);
	assert_int_equal(decode(d, buf_head(&out), out.len), 0);
	assert_string_equal(d->text,
	    ":status: 200\ncontent-type: application/grpc\n");
	buf_finish(&out);
	hpack_table_finish(&t);
	side_free(d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc7541_c2_single_fields),
		cmocka_unit_test(rfc7541_c3_requests_plain),
		cmocka_unit_test(rfc7541_c4_requests_huffman),
		cmocka_unit_test(rfc7541_c5_responses_plain_with_eviction),
		cmocka_unit_test(rfc7541_c6_responses_huffman_with_eviction),
		cmocka_unit_test(malformed_blocks_are_refused),
		cmocka_unit_test(bad_huffman_is_refused),
		cmocka_unit_test(every_cut_of_a_good_block_is_refused_or_shorter),
		cmocka_unit_test(test_G19_size_update_to_0_then_4096_is_honoured),
		cmocka_unit_test(a_lowered_limit_has_to_be_confirmed),
		cmocka_unit_test(entries_at_and_above_the_table_size),
		cmocka_unit_test(the_table_survives_many_turns),
		cmocka_unit_test(field_count_at_and_above_the_limit),
		cmocka_unit_test(list_size_at_and_above_the_limit),
		cmocka_unit_test(an_oversize_block_keeps_the_table_in_step),
		cmocka_unit_test(hpack_bomb_costs_no_memory),
		cmocka_unit_test(the_arena_is_always_large_enough),
		cmocka_unit_test(malformed_fields_are_marked),
		cmocka_unit_test(a_field_of_no_text_can_be_indexed),
		cmocka_unit_test(an_answer_is_a_few_indexed_bytes),
		cmocka_unit_test(sensitive_fields_are_never_indexed),
		cmocka_unit_test(a_full_output_changes_nothing),
		cmocka_unit_test(size_updates_tell_the_lowest_and_the_last),
		cmocka_unit_test(what_is_encoded_is_decoded),
		cmocka_unit_test(every_byte_survives_huffman),
		cmocka_unit_test(out_of_memory_is_reported_and_leaks_nothing),
		cmocka_unit_test(encoding_goes_on_without_memory_for_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
