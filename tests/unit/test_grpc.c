/* test_grpc - framing, timeouts, text and wire checks of lib/rpc/grpc. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "gen/ssh.pb-c.h"
#include "net/h2.h"
#include "rpc/grpc.h"
#include "tests/unit/failmalloc.h"

#define SHELL_REQ	(&k8shelld__shell_request__descriptor)
#define EXEC_REQ	(&k8shelld__exec_request__descriptor)

/* -- timeouts ------------------------------------------------------------- */

static void
test_G5_timeout_units(void **state)
{
	static const struct {
		const char	*s;
		uint64_t	 ms;
	} good[] = {
		{ "1H", 3600000 }, { "2M", 120000 }, { "3S", 3000 },
		{ "4m", 4 }, { "1u", 1 }, { "1000u", 1 }, { "1001u", 2 },
		{ "1n", 1 }, { "1000000n", 1 }, { "1000001n", 2 },
		{ "00000001S", 1000 }, { "12345678m", 12345678 },
		{ "99999999H", 99999999ull * 3600000 },
	};
	static const char *const bad[] = {
		"", "S", "1", "123456789S", "-1S", "+1S", " 1S", "1S ", "1 S",
		"1s", "1h", "1SS", "1.5S", "0S", "0H", "00000000n", "0x1S",
		"\xd9\xa1S",
	};
	uint64_t	ms;
	size_t		i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(good); i++) {
		ms = 77;
		assert_int_equal(grpc_timeout_parse(good[i].s, &ms), 0);
		assert_true(ms == good[i].ms);
	}
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		ms = 77;
		assert_int_equal(grpc_timeout_parse(bad[i], &ms), -EINVAL);
		assert_true(ms == 77);
	}
}

static void
test_SY_03_client_timeout_is_rounded_up(void **state)
{
	uint64_t	ms;

	(void)state;
	assert_int_equal(grpc_timeout_parse("4999876u", &ms), 0);
	assert_true(ms == 5000);
}

/* -- grpc-message --------------------------------------------------------- */

static void
test_G8_special_status_message_round_trips(void **state)
{
	static const char	 text[] =
	    "\t\ntest with whitespace\r\nand Unicode BMP \xe2\x98\xba and "
	    "non-BMP \xf0\x9f\x98\x88\t\n";
	char			 enc[256], dec[256];

	(void)state;
	assert_int_equal(grpc_percent_encode(text, enc, sizeof enc), 0);
	assert_string_equal(enc, "%09%0Atest with whitespace%0D%0Aand "
	    "Unicode BMP %E2%98%BA and non-BMP %F0%9F%98%88%09%0A");
	grpc_percent_decode(enc, dec, sizeof dec);
	assert_string_equal(dec, text);
}

static void
test_TR_22_every_byte_is_encoded_or_printable(void **state)
{
	char	s[2] = "", enc[8], dec[8];
	int	c;

	(void)state;
	for (c = 1; c < 256; c++) {
		s[0] = (char)c;
		assert_int_equal(grpc_percent_encode(s, enc, sizeof enc), 0);
		assert_int_equal(strlen(enc),
		    c >= 0x20 && c <= 0x7e && c != '%' ? 1 : 3);
		grpc_percent_decode(enc, dec, sizeof dec);
		assert_string_equal(dec, s);
	}
}

static void
test_G8_encoding_never_overruns(void **state)
{
	char	out[8];

	(void)state;
	assert_int_equal(grpc_percent_encode("1234567", out, 8), 0);
	assert_int_equal(grpc_percent_encode("12345678", out, 8), -ENOBUFS);
	assert_int_equal(grpc_percent_encode("1234%", out, 8), 0);
	assert_string_equal(out, "1234%25");
	assert_int_equal(grpc_percent_encode("12345%", out, 8), -ENOBUFS);
	assert_int_equal(grpc_percent_encode("", out, 1), 0);
	assert_int_equal(grpc_percent_encode("", out, 0), -ENOBUFS);
}

static void
test_G8_decoding_keeps_what_is_not_an_escape(void **state)
{
	char	out[16];

	(void)state;
	grpc_percent_decode("a%zz%4", out, sizeof out);
	assert_string_equal(out, "a%zz%4");
	grpc_percent_decode("%", out, sizeof out);
	assert_string_equal(out, "%");
	grpc_percent_decode("abcdef", out, 4);
	assert_string_equal(out, "abc");
}

/* -- status tables -------------------------------------------------------- */

static void
test_G16_reset_codes_map_as_the_table_says(void **state)
{
	static const enum grpc_status want[] = {
		[H2_NO_ERROR] = GRPC_INTERNAL,
		[H2_PROTOCOL_ERROR] = GRPC_INTERNAL,
		[H2_INTERNAL_ERROR] = GRPC_INTERNAL,
		[H2_FLOW_CONTROL_ERROR] = GRPC_INTERNAL,
		[H2_SETTINGS_TIMEOUT] = GRPC_INTERNAL,
		[H2_STREAM_CLOSED] = GRPC_INTERNAL,
		[H2_FRAME_SIZE_ERROR] = GRPC_INTERNAL,
		[H2_REFUSED_STREAM] = GRPC_UNAVAILABLE,
		[H2_CANCEL] = GRPC_CANCELLED,
		[H2_COMPRESSION_ERROR] = GRPC_INTERNAL,
		[H2_CONNECT_ERROR] = GRPC_INTERNAL,
		[H2_ENHANCE_YOUR_CALM] = GRPC_RESOURCE_EXHAUSTED,
		[H2_INADEQUATE_SECURITY] = GRPC_PERMISSION_DENIED,
		[H2_HTTP_1_1_REQUIRED] = GRPC_UNKNOWN,
	};
	uint32_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(want); i++)
		assert_int_equal(grpc_status_of_h2(i), want[i]);
	assert_int_equal(grpc_status_of_h2(0xffffffff), GRPC_UNKNOWN);
}

static void
test_http_codes_map_to_statuses(void **state)
{
	(void)state;
	assert_int_equal(grpc_status_of_http(400), GRPC_INTERNAL);
	assert_int_equal(grpc_status_of_http(401), GRPC_UNAUTHENTICATED);
	assert_int_equal(grpc_status_of_http(403), GRPC_PERMISSION_DENIED);
	assert_int_equal(grpc_status_of_http(404), GRPC_UNIMPLEMENTED);
	assert_int_equal(grpc_status_of_http(429), GRPC_UNAVAILABLE);
	assert_int_equal(grpc_status_of_http(503), GRPC_UNAVAILABLE);
	assert_int_equal(grpc_status_of_http(418), GRPC_UNKNOWN);
	assert_string_equal(grpc_status_name(GRPC_NOT_FOUND), "NOT_FOUND");
	assert_string_equal(grpc_status_name((enum grpc_status)99), "UNKNOWN");
}

/* -- cutter --------------------------------------------------------------- */

struct seen {
	size_t	 count;
	size_t	 len[8];
	uint8_t	 sum[8];
	bool	 compressed[8];
};

static int
cut_all(struct grpc_cutter *c, const uint8_t *p, size_t n, struct seen *s)
{
	struct grpc_cut	cut;
	size_t		used, i;
	int		r;

	for (;;) {
		r = grpc_cut(c, p, n, &used, &cut);
		assert_true(used <= n);
		if (r <= 0) {
			assert_true(r < 0 || used == n);
			return r;
		}
		s->len[s->count] = cut.n;
		s->compressed[s->count] = cut.compressed;
		for (i = 0; i < cut.n; i++)
			s->sum[s->count] = (uint8_t)(s->sum[s->count] * 31 +
			    cut.p[i]);
		s->count++;
		p += used;
		n -= used;
	}
}

/* Three messages of 0, 3 and 300 bytes; the second says it is compressed. */
static size_t
three_messages(uint8_t *out)
{
	size_t	n = 0, i;

	be32_write(out + n + 1, 0);
	out[n] = 0;
	n += 5;
	out[n] = 1;
	be32_write(out + n + 1, 3);
	memcpy(out + n + 5, "abc", 3);
	n += 8;
	out[n] = 0;
	be32_write(out + n + 1, 300);
	for (i = 0; i < 300; i++)
		out[n + 5 + i] = (uint8_t)i;
	return n + 305;
}

static void
check_three(const struct seen *s)
{
	assert_int_equal(s->count, 3);
	assert_int_equal(s->len[0], 0);
	assert_int_equal(s->len[1], 3);
	assert_int_equal(s->len[2], 300);
	assert_false(s->compressed[0]);
	assert_true(s->compressed[1]);
	assert_false(s->compressed[2]);
	assert_int_equal(s->sum[1],
	    (uint8_t)(('a' * 31 + 'b') * 31 + 'c'));
}

static void
test_G12_message_split_at_every_byte(void **state)
{
	uint8_t			wire[400];
	struct grpc_cutter	c;
	struct seen		s, whole = { 0 };
	struct buf		part;
	size_t			n = three_messages(wire), i;

	(void)state;
	buf_init(&part, GRPC_MESSAGE_MAX + GRPC_PREFIX_LEN);
	c.part = &part;
	assert_int_equal(cut_all(&c, wire, n, &whole), 0);
	check_three(&whole);
	assert_true(grpc_cut_idle(&c));
	for (i = 0; i <= n; i++) {
		memset(&s, 0, sizeof s);
		assert_int_equal(cut_all(&c, wire, i, &s), 0);
		assert_true(i != n || grpc_cut_idle(&c));
		assert_int_equal(cut_all(&c, wire + i, n - i, &s), 0);
		check_three(&s);
		assert_memory_equal(s.sum, whole.sum, sizeof s.sum);
		assert_true(grpc_cut_idle(&c));
	}
	buf_finish(&part);
}

static void
test_TR_11_message_fed_byte_by_byte(void **state)
{
	uint8_t			wire[400];
	struct grpc_cutter	c;
	struct seen		s = { 0 };
	struct buf		part;
	size_t			n = three_messages(wire), i;

	(void)state;
	buf_init(&part, GRPC_MESSAGE_MAX + GRPC_PREFIX_LEN);
	c.part = &part;
	for (i = 0; i < n; i++) {
		assert_int_equal(cut_all(&c, wire + i, 1, &s), 0);
		assert_int_equal(grpc_cut_idle(&c),
		    i == 4 || i == 12 || i == n - 1);
	}
	check_three(&s);
	buf_finish(&part);
}

static void
test_TR_11_several_messages_in_one_piece(void **state)
{
	uint8_t			wire[800];
	struct grpc_cutter	c;
	struct seen		s = { 0 };
	struct buf		part;
	size_t			n = three_messages(wire);

	(void)state;
	n += three_messages(wire + n);
	buf_init(&part, GRPC_MESSAGE_MAX + GRPC_PREFIX_LEN);
	c.part = &part;
	assert_int_equal(cut_all(&c, wire, n, &s), 0);
	assert_int_equal(s.count, 6);
	assert_int_equal(part.cap, 0);		/* nothing was copied */
	buf_finish(&part);
}

static int
cut_prefix(uint8_t flag, uint32_t len, bool split)
{
	uint8_t			p[5] = { flag };
	struct grpc_cutter	c;
	struct seen		s = { 0 };
	struct buf		part;
	int			r;

	be32_write(p + 1, len);
	buf_init(&part, GRPC_MESSAGE_MAX + GRPC_PREFIX_LEN);
	c.part = &part;
	r = cut_all(&c, p, split ? 3 : 5, &s);
	if (split && r == 0)
		r = cut_all(&c, p + 3, 2, &s);
	assert_true(part.cap < 4096);
	buf_finish(&part);
	return r;
}

static void
test_TR_12_limit_of_a_message(void **state)
{
	int	split;

	(void)state;
	for (split = 0; split < 2; split++) {
		assert_int_equal(cut_prefix(0, GRPC_MESSAGE_MAX - 1, split), 0);
		assert_int_equal(cut_prefix(0, GRPC_MESSAGE_MAX, split), 0);
		assert_int_equal(cut_prefix(0, GRPC_MESSAGE_MAX + 1, split),
		    -EMSGSIZE);
		assert_int_equal(cut_prefix(0, 0xffffffff, split), -EMSGSIZE);
	}
}

static void
test_G11_flag_above_one_is_an_error(void **state)
{
	int	split;

	(void)state;
	for (split = 0; split < 2; split++) {
		assert_int_equal(cut_prefix(1, 0, split), 0);
		assert_int_equal(cut_prefix(2, 0, split), -EPROTO);
		assert_int_equal(cut_prefix(255, 0, split), -EPROTO);
	}
}

static void
test_TR_12_largest_message_arrives_and_its_memory_goes(void **state)
{
	static uint8_t		chunk[65536];
	struct grpc_cutter	c;
	struct grpc_cut		cut;
	struct buf		part;
	uint8_t			head[5] = { 0 };
	size_t			left = GRPC_MESSAGE_MAX, used, n;
	int			r;

	(void)state;
	buf_init(&part, GRPC_MESSAGE_MAX + GRPC_PREFIX_LEN);
	c.part = &part;
	be32_write(head + 1, GRPC_MESSAGE_MAX);
	assert_int_equal(grpc_cut(&c, head, 5, &used, &cut), 0);
	for (;;) {
		n = left < sizeof chunk ? left : sizeof chunk;
		if ((r = grpc_cut(&c, chunk, n, &used, &cut)) != 0)
			break;
		left -= used;
		assert_true(part.cap <= 4 * part.len);	/* grows as it comes */
	}
	assert_int_equal(r, 1);
	assert_int_equal(cut.n, GRPC_MESSAGE_MAX);
	assert_int_equal(grpc_cut(&c, NULL, 0, &used, &cut), 0);
	assert_int_equal(part.cap, 0);
	buf_finish(&part);
}

static void
test_cutter_survives_a_failing_allocator(void **state)
{
	uint8_t			wire[400];
	struct grpc_cutter	c;
	struct seen		s;
	struct buf		part;
	size_t			total = three_messages(wire);
	unsigned		n;
	int			r;

	(void)state;
	for (n = 1; ; n++) {
		memset(&s, 0, sizeof s);
		buf_init(&part, GRPC_MESSAGE_MAX + GRPC_PREFIX_LEN);
		c.part = &part;
		failmalloc_arm(n);
		if ((r = cut_all(&c, wire, 100, &s)) == 0)
			r = cut_all(&c, wire + 100, total - 100, &s);
		buf_finish(&part);
		if (!failmalloc_disarm())
			break;
		assert_int_equal(r, -ENOMEM);
	}
	assert_int_equal(r, 0);
	check_three(&s);
}

/* -- bytes head ----------------------------------------------------------- */

static void
check_head(uint32_t field, size_t n)
{
	uint8_t				*wire = calloc(1, GRPC_HEAD_MAX + n);
	K8shelld__ShellResponse		*m;
	size_t				 len;

	assert_non_null(wire);
	len = grpc_bytes_head(field, n, wire);
	assert_true(len <= GRPC_HEAD_MAX);
	memset(wire + len, 'x', n);
	assert_int_equal(wire[0], 0);
	assert_int_equal(be32_read(wire + 1), len - 5 + n);
	if (field == 2) {
		m = k8shelld__shell_response__unpack(NULL, len - 5 + n,
		    wire + 5);
		assert_non_null(m);
		assert_int_equal(m->response_case,
		    K8SHELLD__SHELL_RESPONSE__RESPONSE_DATA);
		assert_int_equal(m->data.len, n);
		assert_true(n == 0 || m->data.data[n - 1] == 'x');
		k8shelld__shell_response__free_unpacked(m, NULL);
	}
	free(wire);
}

static void
test_bytes_head_is_what_the_encoder_would_write(void **state)
{
	(void)state;
	check_head(2, 0);
	check_head(2, 1);
	check_head(2, 127);
	check_head(2, 128);
	check_head(2, GRPC_DATA_MAX);
	check_head(2, 262144);
	check_head(15, 1);
	check_head(16, 1);
	check_head((1u << 29) - 1, GRPC_MESSAGE_MAX - 20);
}

/* -- wire check ----------------------------------------------------------- */

static int
wire(const ProtobufCMessageDescriptor *d, const void *p, size_t n)
{
	const char	*why = NULL;
	struct arena	 a;
	int		 r;

	r = grpc_wire_check(d, p, n, &why);
	assert_true((r == 0) == (why == NULL));
	why = NULL;
	arena_init(&a, 1 << 20);
	if (grpc_decode(d, p, n, &a, &why) == NULL) {
		assert_non_null(why);
	} else {
		assert_int_equal(r, 0);
	}
	arena_finish(&a);
	return r;
}

#define WIRE(d, bytes)	wire(d, bytes, sizeof bytes - 1)

static void
test_G17_unknown_fields_are_skipped(void **state)
{
	(void)state;
	assert_int_equal(WIRE(SHELL_REQ, ""), 0);
	assert_int_equal(WIRE(SHELL_REQ, "\x1a\x02hi"), 0);
	assert_int_equal(WIRE(SHELL_REQ, "\xa0\x06\x05"), 0);	/* 100 varint */
	assert_int_equal(WIRE(SHELL_REQ, "\xa1\x06" "12345678"), 0);
	assert_int_equal(WIRE(SHELL_REQ, "\xa2\x06\x03\xff\x00\xfe"), 0);
	assert_int_equal(WIRE(SHELL_REQ, "\xa5\x06" "1234"), 0);
	assert_int_equal(WIRE(SHELL_REQ, "\xf8\xff\xff\xff\x0f\x01"), 0);
}

static void
test_G17_lengths_past_the_end_are_refused(void **state)
{
	(void)state;
	assert_int_equal(WIRE(SHELL_REQ, "\x1a\x03hi"), -EINVAL);
	assert_int_equal(WIRE(SHELL_REQ, "\x1a"), -EINVAL);
	assert_int_equal(WIRE(SHELL_REQ, "\x1a\x80"), -EINVAL);
	assert_int_equal(WIRE(SHELL_REQ, "\x1a\xff\xff\xff\xff\x0f"), -EINVAL);
	assert_int_equal(WIRE(SHELL_REQ,
	    "\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), -EINVAL);
	assert_int_equal(WIRE(SHELL_REQ, "\xa1\x06" "1234567"), -EINVAL);
	assert_int_equal(WIRE(SHELL_REQ, "\xa5\x06" "123"), -EINVAL);
	/* A length that fits the outer message but not the inner one. */
	assert_int_equal(WIRE(SHELL_REQ, "\x0a\x02\x0a\x01" "a"), -EINVAL);
}

static void
test_G17_varints_of_more_than_ten_bytes_are_refused(void **state)
{
	(void)state;
	assert_int_equal(WIRE(SHELL_REQ,
	    "\xa0\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 0);
	assert_int_equal(WIRE(SHELL_REQ,
	    "\xa0\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), -EINVAL);
	assert_int_equal(WIRE(SHELL_REQ,
	    "\xa0\x06\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), -EINVAL);
}

static void
test_G17_groups_and_odd_types_are_refused(void **state)
{
	(void)state;
	assert_int_equal(WIRE(SHELL_REQ, "\x0b\x0c"), -EINVAL);
	assert_int_equal(WIRE(SHELL_REQ, "\xa3\x06\xa4\x06"), -EINVAL);
	assert_int_equal(WIRE(SHELL_REQ, "\x0e"), -EINVAL);
	assert_int_equal(WIRE(SHELL_REQ, "\x0f"), -EINVAL);
}

static void
test_G17_field_numbers_are_checked(void **state)
{
	(void)state;
	assert_int_equal(WIRE(SHELL_REQ, "\x02\x00"), -EINVAL);	/* 0 */
	assert_int_equal(WIRE(SHELL_REQ, "\x80\x80\x80\x80\x10\x00"),
	    -EINVAL);
	assert_int_equal(WIRE(SHELL_REQ, "\x9a\x80\x80\x80\x80\x00\x00"),
	    -EINVAL);
}

static void
test_G17_wrong_type_of_a_known_field_is_refused(void **state)
{
	const char	*why = NULL;
	struct arena	 a;

	(void)state;
	arena_init(&a, 1 << 20);
	assert_null(grpc_decode(SHELL_REQ, (const uint8_t *)"\x18\x01", 2, &a,
	    &why));
	assert_string_equal(why, "field of the wrong type");
	arena_finish(&a);
}

/* message Nest { Nest inner = 1; } */
extern const ProtobufCMessageDescriptor nest;
struct nest {
	ProtobufCMessage base;
	struct nest	*inner;
};
static const ProtobufCFieldDescriptor nest_field = {
	.name = "inner", .id = 1, .label = PROTOBUF_C_LABEL_NONE,
	.type = PROTOBUF_C_TYPE_MESSAGE, .offset = offsetof(struct nest, inner),
	.descriptor = &nest,
};
static const unsigned nest_order[] = { 0 };
static const ProtobufCIntRange nest_range[] = { { 1, 0 }, { 0, 1 } };
const ProtobufCMessageDescriptor nest = {
	.magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC, .name = "Nest",
	.short_name = "Nest", .c_name = "Nest", .package_name = "",
	.sizeof_message = sizeof(struct nest), .n_fields = 1,
	.fields = &nest_field, .fields_sorted_by_name = nest_order,
	.n_field_ranges = 1, .field_ranges = nest_range,
};

static void
test_G17_depth_at_below_and_above_the_limit(void **state)
{
	uint8_t	p[64];
	size_t	n = 0;
	int	depth;

	(void)state;
	for (depth = 1; depth <= GRPC_DEPTH_MAX + 4; depth++) {
		assert_int_equal(wire(&nest, p + sizeof p - n, n),
		    depth <= GRPC_DEPTH_MAX ? 0 : -EINVAL);
		n += 2;
		p[sizeof p - n] = 0x0a;
		p[sizeof p - n + 1] = (uint8_t)(n - 2);
	}
}

static void
test_G17_number_of_fields_is_bounded(void **state)
{
	size_t		 n = 2 * (GRPC_FIELDS_MAX + 1), i;
	uint8_t		*p = malloc(n);

	(void)state;
	assert_non_null(p);
	for (i = 0; i < n; i += 2) {
		p[i] = 0x78;			/* field 15, varint */
		p[i + 1] = 1;
	}
	assert_int_equal(wire(SHELL_REQ, p, n), -EINVAL);
	assert_int_equal(wire(SHELL_REQ, p, n - 2), 0);
	free(p);
}

static void
test_G18_strings_are_utf8_without_nul(void **state)
{
	(void)state;
	assert_int_equal(WIRE(EXEC_REQ, "\x1a\x03" "INT"), 0);
	assert_int_equal(WIRE(EXEC_REQ, "\x1a\x02\xc3\xa4"), 0);
	assert_int_equal(WIRE(EXEC_REQ, "\x1a\x02\xc3\x28"), -EINVAL);
	assert_int_equal(WIRE(EXEC_REQ, "\x1a\x03" "I\0T"), -EINVAL);
	assert_int_equal(WIRE(EXEC_REQ, "\x1a\x02\xc0\x80"), -EINVAL);
	assert_int_equal(WIRE(EXEC_REQ, "\x1a\x03\xed\xa0\x80"), -EINVAL);
	/* The same inside a nested message: user name, then environment. */
	assert_int_equal(WIRE(EXEC_REQ, "\x0a\x03\x0a\x01" "u"), 0);
	assert_int_equal(WIRE(EXEC_REQ, "\x0a\x03\x0a\x01\0"), -EINVAL);
	assert_int_equal(WIRE(EXEC_REQ, "\x0a\x05\x22\x03" "A=\xff"), -EINVAL);
	/* bytes may be anything */
	assert_int_equal(WIRE(EXEC_REQ, "\x12\x03\xff\0\xc0"), 0);
}

static void
test_G17_every_cut_of_a_message_is_refused_or_valid(void **state)
{
	static const char	 env[] = "LANG=C.UTF-8";
	K8shelld__CommandDetails det = K8SHELLD__COMMAND_DETAILS__INIT;
	K8shelld__ExecRequest	 req = K8SHELLD__EXEC_REQUEST__INIT;
	char			*vars[2] = { (char *)(uintptr_t)env,
				    (char *)(uintptr_t)env };
	uint8_t			 p[256], *q;
	size_t			 n, i;
	const char		*why;
	struct arena		 a;

	(void)state;
	det.command = vars[0];
	det.env_vars = vars;
	det.n_env_vars = 2;
	det.width = 80;
	req.request_case = K8SHELLD__EXEC_REQUEST__REQUEST_COMMAND_DETAILS;
	req.command_details = &det;
	n = k8shelld__exec_request__pack(&req, p);
	arena_init(&a, 1 << 20);
	for (i = 0; i <= n; i++) {
		/* Exact allocation: a read past the end is caught. */
		q = malloc(i + !i);
		assert_non_null(q);
		memcpy(q, p, i);
		assert_int_equal(grpc_decode(EXEC_REQ, q, i, &a, &why) != NULL,
		    i == 0 || i == n);
		arena_reset(&a);
		free(q);
	}
	arena_finish(&a);
}

static void
test_decode_gives_the_message(void **state)
{
	K8shelld__ShellRequest	*m;
	const char		*why;
	struct arena		 a;

	(void)state;
	arena_init(&a, 4096);
	m = (K8shelld__ShellRequest *)grpc_decode(SHELL_REQ,
	    (const uint8_t *)"\x1a\x02hi", 4, &a, &why);
	assert_non_null(m);
	assert_int_equal(m->request_case,
	    K8SHELLD__SHELL_REQUEST__REQUEST_DATA);
	assert_int_equal(m->data.len, 2);
	assert_memory_equal(m->data.data, "hi", 2);
	arena_finish(&a);
}

static void
test_decode_says_when_memory_is_out(void **state)
{
	const char	*why = NULL;
	struct arena	 a;

	(void)state;
	arena_init(&a, 16);
	assert_null(grpc_decode(SHELL_REQ, (const uint8_t *)"\x1a\x02hi", 4,
	    &a, &why));
	assert_string_equal(why, GRPC_WHY_MEMORY);
	arena_finish(&a);

	arena_init(&a, 4096);
	failmalloc_arm_all(1);
	assert_null(grpc_decode(SHELL_REQ, (const uint8_t *)"\x1a\x02hi", 4,
	    &a, &why));
	assert_true(failmalloc_disarm());
	assert_string_equal(why, GRPC_WHY_MEMORY);
	arena_finish(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_G5_timeout_units),
		cmocka_unit_test(test_SY_03_client_timeout_is_rounded_up),
		cmocka_unit_test(test_G8_special_status_message_round_trips),
		cmocka_unit_test(
		    test_TR_22_every_byte_is_encoded_or_printable),
		cmocka_unit_test(test_G8_encoding_never_overruns),
		cmocka_unit_test(test_G8_decoding_keeps_what_is_not_an_escape),
		cmocka_unit_test(test_G16_reset_codes_map_as_the_table_says),
		cmocka_unit_test(test_http_codes_map_to_statuses),
		cmocka_unit_test(test_G12_message_split_at_every_byte),
		cmocka_unit_test(test_TR_11_message_fed_byte_by_byte),
		cmocka_unit_test(test_TR_11_several_messages_in_one_piece),
		cmocka_unit_test(test_TR_12_limit_of_a_message),
		cmocka_unit_test(test_G11_flag_above_one_is_an_error),
		cmocka_unit_test(
		    test_TR_12_largest_message_arrives_and_its_memory_goes),
		cmocka_unit_test(test_cutter_survives_a_failing_allocator),
		cmocka_unit_test(
		    test_bytes_head_is_what_the_encoder_would_write),
		cmocka_unit_test(test_G17_unknown_fields_are_skipped),
		cmocka_unit_test(test_G17_lengths_past_the_end_are_refused),
		cmocka_unit_test(
		    test_G17_varints_of_more_than_ten_bytes_are_refused),
		cmocka_unit_test(test_G17_groups_and_odd_types_are_refused),
		cmocka_unit_test(test_G17_field_numbers_are_checked),
		cmocka_unit_test(
		    test_G17_wrong_type_of_a_known_field_is_refused),
		cmocka_unit_test(test_G17_depth_at_below_and_above_the_limit),
		cmocka_unit_test(test_G17_number_of_fields_is_bounded),
		cmocka_unit_test(test_G18_strings_are_utf8_without_nul),
		cmocka_unit_test(
		    test_G17_every_cut_of_a_message_is_refused_or_valid),
		cmocka_unit_test(test_decode_gives_the_message),
		cmocka_unit_test(test_decode_says_when_memory_is_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
