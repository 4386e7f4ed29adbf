#include "tests/unit/h2_peer.h"

/*
 * What has to come of a conversation: nothing bad, a stream reset, or the end
 * of the connection.
 */
enum { ALIVE, RESET, GOAWAY };

struct row {
	const char	*name;		/* RFC 9113 section, and what happens */
	const char	*bytes;		/* after preface and SETTINGS */
	int		 outcome;
	uint32_t	 code;
	const char	*log;		/* NULL: don't care */
};

static const struct row rows[] = {
	/* 3.4, 4.1: unknown frames, flags and reserved bits are passed over */
	{ "4.1 unknown type", "000008 16 00 00000000 0000000000000000",
	    ALIVE, 0, "" },
	{ "4.1 unknown type on a stream, unknown flags",
	    "000002 ff ff 00000005 0000", ALIVE, 0, "" },
	{ "4.1 undefined flags of PING",
	    "000008 06 16 00000000 0000000000000000", ALIVE, 0, "" },
	{ "4.1 reserved bit of the id",
	    "000003 01 05 80000001" GET, ALIVE, 0, "H1+ C1=0 " },
	{ "4.2 frame above 16384", "004001 00 00 00000001", GOAWAY,
	    H2_FRAME_SIZE_ERROR, NULL },
	{ "4.2 HEADERS above 16384", "004001 01 05 00000001", GOAWAY,
	    H2_FRAME_SIZE_ERROR, NULL },
	{ "4.2 unknown frame above 16384", "004001 16 00 00000001", GOAWAY,
	    H2_FRAME_SIZE_ERROR, NULL },
	{ "4.3 block that cannot be decoded", "000001 01 05 00000001 80",
	    GOAWAY, H2_COMPRESSION_ERROR, NULL },
	{ "4.3 PRIORITY inside a block", "000003 01 00 00000001" GET
	    "000005 02 00 00000001 00000000 ff", GOAWAY, H2_PROTOCOL_ERROR,
	    NULL },
	{ "4.3 HEADERS of another stream inside a block",
	    "000003 01 00 00000001" GET "000003 01 05 00000003" GET, GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },
	{ "4.3 CONTINUATION of another stream",
	    "000003 01 00 00000001" GET "000000 09 04 00000003", GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },
	{ "5.5 unknown frame inside a block", "000003 01 00 00000001" GET
	    "000000 16 00 00000001", GOAWAY, H2_PROTOCOL_ERROR, NULL },

	/* 5.1: stream states */
	{ "5.1 idle: DATA", "000001 00 01 00000001 61", GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },
	{ "5.1 idle: RST_STREAM", "000004 03 00 00000001 00000008", GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },
	{ "5.1 idle: WINDOW_UPDATE", "000004 08 00 00000001 00000064", GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },
	{ "5.1 idle: CONTINUATION", "000000 09 04 00000001", GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },
	{ "5.1 idle: PRIORITY", "000005 02 00 00000001 00000000 ff", ALIVE, 0,
	    "" },
	{ "5.1 half-closed (remote): DATA", "000003 01 05 00000001" POST
	    "000001 00 01 00000001 61", GOAWAY, H2_STREAM_CLOSED, NULL },
	{ "5.1 half-closed (remote): HEADERS", "000003 01 05 00000001" POST
	    "000003 01 05 00000001" POST, GOAWAY, H2_STREAM_CLOSED, NULL },
	{ "5.1 half-closed (remote): CONTINUATION",
	    "000003 01 05 00000001" POST "000000 09 04 00000001", GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },
	{ "5.1 half-closed (remote): PRIORITY", "000003 01 05 00000001" GET
	    "000005 02 00 00000001 00000000 10", ALIVE, 0, "H1+ C1=0 " },
	{ "5.1 closed by RST_STREAM: DATA", "000003 01 04 00000001" POST
	    "000004 03 00 00000001 00000008 000001 00 01 00000001 61",
	    GOAWAY, H2_STREAM_CLOSED, NULL },
	{ "5.1 closed by RST_STREAM: HEADERS", "000003 01 04 00000001" POST
	    "000004 03 00 00000001 00000008 000003 01 05 00000001" POST,
	    GOAWAY, H2_STREAM_CLOSED, NULL },
	{ "5.1 closed by RST_STREAM: PRIORITY", "000003 01 04 00000001" POST
	    "000004 03 00 00000001 00000008"
	    "000005 02 00 00000001 00000000 10", ALIVE, 0, "H1 C1=8 " },
	{ "5.1 closed by RST_STREAM: WINDOW_UPDATE and RST_STREAM",
	    "000003 01 04 00000001" POST "000004 03 00 00000001 00000008"
	    "000004 08 00 00000001 00000001"
	    "000004 03 00 00000001 00000008", ALIVE, 0, "H1 C1=8 " },
	{ "5.1.1 even id", "000003 01 05 00000002" GET, GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },
	{ "5.1.1 id smaller than a former one",
	    "000003 01 04 00000005" POST "000003 01 05 00000003" GET, GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },
	{ "5.1.1 skipped ids are closed: RST_STREAM and WINDOW_UPDATE",
	    "000003 01 04 00000005" POST "000004 03 00 00000003 00000008"
	    "000004 08 00 00000003 00000001", ALIVE, 0, "H5 " },
	{ "5.3.1 HEADERS depend on themselves",
	    "000008 01 25 00000001 00000001 ff" GET, GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },
	{ "5.3.1 PRIORITY depends on itself",
	    "000005 02 00 00000001 00000001 ff", GOAWAY, H2_PROTOCOL_ERROR,
	    NULL },

	/* 6.1 DATA */
	{ "6.1 on stream 0", "000001 00 01 00000000 61", GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },
	{ "6.1 padded", "000003 01 04 00000001" POST
	    "00000c 00 09 00000001 06 6162636465 000000000000", ALIVE, 0,
	    "H1 D1:5+ C1=0 " },
	{ "6.1 padding only", "000003 01 04 00000001" POST
	    "000003 00 09 00000001 02 0000", ALIVE, 0, "H1 D1:0+ C1=0 " },
	{ "6.1 empty with END_STREAM", "000003 01 04 00000001" POST
	    "000000 00 01 00000001", ALIVE, 0, "H1 D1:0+ C1=0 " },
	{ "6.1 padding as long as the payload", "000003 01 04 00000001" POST
	    "000003 00 09 00000001 03 0000", GOAWAY, H2_PROTOCOL_ERROR,
	    NULL },
	{ "6.1 padded without pad length", "000003 01 04 00000001" POST
	    "000000 00 09 00000001", GOAWAY, H2_FRAME_SIZE_ERROR, NULL },

	/* 6.2 HEADERS */
	{ "6.2 on stream 0", "000003 01 05 00000000" GET, GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },
	{ "6.2 padding and priority",
	    "00000b 01 2d 00000001 02 80000000 ff" GET "0000", ALIVE, 0,
	    "H1+ C1=0 " },
	{ "6.2 padding too long", "000004 01 0d 00000001 05" GET, GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },
	{ "6.2 too short for its priority", "000003 01 25 00000001" GET,
	    GOAWAY, H2_FRAME_SIZE_ERROR, NULL },

	/* 6.3 PRIORITY */
	{ "6.3 on stream 0", "000005 02 00 00000000 00000000 ff", GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },
	{ "6.3 length", "000004 02 00 00000001 00000000", GOAWAY,
	    H2_FRAME_SIZE_ERROR, NULL },

	/* 6.4 RST_STREAM */
	{ "6.4 on stream 0", "000004 03 00 00000000 00000008", GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },
	{ "6.4 length", "000003 01 04 00000001" POST
	    "000003 03 00 00000001 000000", GOAWAY, H2_FRAME_SIZE_ERROR,
	    NULL },
	{ "7 RST_STREAM with an unknown code", "000003 01 04 00000001" POST
	    "000004 03 00 00000001 000000ff", ALIVE, 0, "H1 C1=255 " },

	/* 6.5 SETTINGS */
	{ "6.5 ACK with payload", "000006 04 01 00000000 0003 00000064",
	    GOAWAY, H2_FRAME_SIZE_ERROR, NULL },
	{ "6.5 on a stream", "000006 04 00 00000001 0003 00000064", GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },
	{ "6.5 length", "000003 04 00 00000000 000300", GOAWAY,
	    H2_FRAME_SIZE_ERROR, NULL },
	{ "6.5.2 ENABLE_PUSH 2", "000006 04 00 00000000 0002 00000002",
	    GOAWAY, H2_PROTOCOL_ERROR, NULL },
	{ "6.5.2 ENABLE_PUSH 1", "000006 04 00 00000000 0002 00000001",
	    ALIVE, 0, "" },
	{ "6.5.2 INITIAL_WINDOW_SIZE 2^31",
	    "000006 04 00 00000000 0004 80000000", GOAWAY,
	    H2_FLOW_CONTROL_ERROR, NULL },
	{ "6.5.2 INITIAL_WINDOW_SIZE 2^31-1",
	    "000006 04 00 00000000 0004 7fffffff", ALIVE, 0, "" },
	{ "6.5.2 MAX_FRAME_SIZE 16383",
	    "000006 04 00 00000000 0005 00003fff", GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },
	{ "6.5.2 MAX_FRAME_SIZE 2^24", "000006 04 00 00000000 0005 01000000",
	    GOAWAY, H2_PROTOCOL_ERROR, NULL },
	{ "6.5.2 MAX_FRAME_SIZE 2^24-1",
	    "000006 04 00 00000000 0005 00ffffff", ALIVE, 0, "" },
	{ "6.5.2 unknown setting", "000006 04 00 00000000 00ff 00000001",
	    ALIVE, 0, "" },
	{ "6.5.3 values in a row",
	    "00000c 04 00 00000000 0004 00000064 0004 00000001", ALIVE, 0,
	    "" },

	/* 6.6 PUSH_PROMISE */
	{ "6.6 from a client", "000007 05 04 00000001 00000002" GET, GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },

	/* 6.7 PING */
	{ "6.7 on a stream", "000008 06 00 00000001 0000000000000000",
	    GOAWAY, H2_PROTOCOL_ERROR, NULL },
	{ "6.7 length", "000006 06 00 00000000 000000000000", GOAWAY,
	    H2_FRAME_SIZE_ERROR, NULL },
	{ "6.7 ACK of nothing", "000008 06 01 00000000 0000000000000000",
	    ALIVE, 0, "" },

	/* 6.8 GOAWAY */
	{ "6.8 on a stream", "000008 07 00 00000001 00000000 00000000",
	    GOAWAY, H2_PROTOCOL_ERROR, NULL },
	{ "6.8 length", "000007 07 00 00000000 00000000 000000", GOAWAY,
	    H2_FRAME_SIZE_ERROR, NULL },
	{ "6.8 with debug data, unknown code; streams go on",
	    "000003 01 04 00000001" POST
	    "00000b 07 00 00000000 00000000 000000ff 616263"
	    "000001 00 01 00000001 61", ALIVE, 0,
	    "H1 G0=255 D1:1+ C1=0 " },

	/* 6.9 WINDOW_UPDATE */
	{ "6.9 length", "000003 08 00 00000000 000001", GOAWAY,
	    H2_FRAME_SIZE_ERROR, NULL },
	{ "6.9 of 0 for the connection", "000004 08 00 00000000 00000000",
	    GOAWAY, H2_PROTOCOL_ERROR, NULL },
	{ "CVE-2025-8671 WINDOW_UPDATE of 0 on a stream",
	    "000003 01 04 00000001" POST "000004 08 00 00000001 00000000",
	    GOAWAY, H2_PROTOCOL_ERROR, NULL },
	{ "6.9.1 the connection's window overflows",
	    "000004 08 00 00000000 7fffffff 000004 08 00 00000000 7fffffff",
	    GOAWAY, H2_FLOW_CONTROL_ERROR, NULL },
	{ "CVE-2025-8671 a stream's window overflows",
	    "000003 01 04 00000001" POST "000004 08 00 00000001 7fffffff"
	    "000004 08 00 00000001 7fffffff", GOAWAY, H2_FLOW_CONTROL_ERROR,
	    NULL },
	{ "6.9.2 INITIAL_WINDOW_SIZE makes a window overflow",
	    "000003 01 04 00000001" POST "000004 08 00 00000001 7fff0000"
	    "000006 04 00 00000000 0004 7fffffff", GOAWAY,
	    H2_FLOW_CONTROL_ERROR, NULL },

	/* 6.10 CONTINUATION */
	{ "6.10 block in pieces", "000001 01 01 00000001 82"
	    "000000 09 00 00000001 000001 09 00 00000001 86"
	    "000001 09 04 00000001 84", ALIVE, 0, "H1+ C1=0 " },
	{ "6.10 empty HEADERS, then all", "000000 01 01 00000001"
	    "000003 09 04 00000001" GET, ALIVE, 0, "H1+ C1=0 " },
	{ "6.10 behind END_HEADERS", "000003 01 05 00000001" GET
	    "000000 09 04 00000001", GOAWAY, H2_PROTOCOL_ERROR, NULL },
	{ "6.10 on stream 0", "000003 01 01 00000001" GET
	    "000000 09 04 00000000", GOAWAY, H2_PROTOCOL_ERROR, NULL },
	{ "6.10 behind DATA", "000003 01 04 00000001" POST
	    "000001 00 00 00000001 61 000000 09 04 00000001", GOAWAY,
	    H2_PROTOCOL_ERROR, NULL },

	/* 8.1 messages */
	{ "8.1 trailers", "000003 01 04 00000001" POST
	    "000001 00 00 00000001 61 000005 01 05 00000001 4001780179",
	    ALIVE, 0, "H1 D1:1 H1+ C1=0 " },
	{ "8.1 second HEADERS without END_STREAM",
	    "000003 01 04 00000001" POST "000001 00 00 00000001 61"
	    "000005 01 04 00000001 4001780179", RESET, H2_PROTOCOL_ERROR,
	    "H1 D1:1 C1=1 " },
	{ "8.1 pseudo-header in trailers", "000003 01 04 00000001" POST
	    "000001 01 05 00000001 82", RESET, H2_PROTOCOL_ERROR,
	    "H1 C1=1 " },
	{ "8.2 upper case name", "000008 01 05 00000001" GET "0001 58 01 61",
	    RESET, H2_PROTOCOL_ERROR, "" },
	{ "CVE-2019-9516 empty name", "000007 01 05 00000001" GET
	    "0000 01 61", RESET, H2_PROTOCOL_ERROR, "" },
	{ "8.2.1 line break in a value", "000008 01 05 00000001" GET
	    "0001 78 01 0a", RESET, H2_PROTOCOL_ERROR, "" },
	{ "8.2.2 connection", "000013 01 05 00000001" GET
	    "000a 636f6e6e656374696f6e 03 666f6f", RESET, H2_PROTOCOL_ERROR,
	    "" },
	{ "8.2.2 te: gzip", "00000b 01 05 00000001" GET
	    "0002 7465 03 666f6f", RESET, H2_PROTOCOL_ERROR, "" },
	{ "G14 te: trailers", "000010 01 05 00000001" GET
	    "0002 7465 08 747261696c657273", ALIVE, 0, "H1+ C1=0 " },
	{ "8.2.2 upgrade", "00000d 01 05 00000001" GET
	    "0007 75706772616465 00", RESET, H2_PROTOCOL_ERROR, "" },
	{ "8.3 unknown pseudo-header", "000009 01 05 00000001" GET
	    "0002 3a78 01 61", RESET, H2_PROTOCOL_ERROR, "" },
	{ "8.3 response pseudo-header", "000004 01 05 00000001" GET "88",
	    RESET, H2_PROTOCOL_ERROR, "" },
	{ "8.3 pseudo-header behind a regular field",
	    "000008 01 05 00000001 82 86 0001 78 01 61 84", RESET,
	    H2_PROTOCOL_ERROR, "" },
	{ "8.3.1 no :method", "000002 01 05 00000001 86 84", RESET,
	    H2_PROTOCOL_ERROR, "" },
	{ "8.3.1 no :scheme", "000002 01 05 00000001 82 84", RESET,
	    H2_PROTOCOL_ERROR, "" },
	{ "8.3.1 no :path", "000002 01 05 00000001 82 86", RESET,
	    H2_PROTOCOL_ERROR, "" },
	{ "8.3.1 empty :path", "000004 01 05 00000001 82 86 04 00", RESET,
	    H2_PROTOCOL_ERROR, "" },
	{ "G3 :path without a slash is for gRPC to answer",
	    "000005 01 05 00000001 82 86 04 01 78", ALIVE, 0, "H1+ C1=0 " },
	{ "8.3.1 :method twice", "000004 01 05 00000001" GET "82", RESET,
	    H2_PROTOCOL_ERROR, "" },
	{ "8.3.1 :scheme twice", "000004 01 05 00000001" GET "86", RESET,
	    H2_PROTOCOL_ERROR, "" },
	{ "8.3.1 :path twice", "000004 01 05 00000001" GET "84", RESET,
	    H2_PROTOCOL_ERROR, "" },
	{ "G13 :authority twice", "000009 01 05 00000001" GET
	    "01 01 61 01 01 61", RESET, H2_PROTOCOL_ERROR, "" },
	{ "G13 host twice", "00000b 01 05 00000001" GET
	    "0f17 01 61 0f17 01 61", RESET, H2_PROTOCOL_ERROR, "" },
	{ "G13 host differs from :authority", "00000a 01 05 00000001" GET
	    "01 01 61 0f17 01 62", RESET, H2_PROTOCOL_ERROR, "" },
	{ "8.3.1 host like :authority", "00000a 01 05 00000001" GET
	    "01 01 61 0f17 01 61", ALIVE, 0, "H1+ C1=0 " },
	{ "8.1.1 content-length 1, no body", "000007 01 05 00000001" POST
	    "0f0d 01 31", RESET, H2_PROTOCOL_ERROR, "" },
	{ "8.1.1 content-length 1, 4 bytes", "000007 01 04 00000001" POST
	    "0f0d 01 31 000004 00 01 00000001 74657374", RESET,
	    H2_PROTOCOL_ERROR, "H1 C1=1 " },
	{ "8.1.1 content-length 1, 4 bytes in two frames",
	    "000007 01 04 00000001" POST "0f0d 01 31"
	    "000001 00 00 00000001 74 000003 00 01 00000001 657374", RESET,
	    H2_PROTOCOL_ERROR, "H1 D1:1 C1=1 " },
	{ "8.1.1 content-length 4, padded, trailers behind",
	    "000007 01 04 00000001" POST "0f0d 01 34"
	    "000007 00 08 00000001 02 74657374 0000"
	    "000005 01 05 00000001 4001780179", ALIVE, 0,
	    "H1 D1:4 H1+ C1=0 " },
	{ "8.1.1 content-length 4, 1 byte, trailers behind",
	    "000007 01 04 00000001" POST "0f0d 01 34"
	    "000001 00 00 00000001 74 000005 01 05 00000001 4001780179",
	    RESET, H2_PROTOCOL_ERROR, "H1 D1:1 C1=1 " },
	{ "8.1.1 content-length is no number", "000007 01 04 00000001" POST
	    "0f0d 01 78", RESET, H2_PROTOCOL_ERROR, "" },
	{ "8.5 CONNECT is passed up", "00000f 01 05 00000001"
	    "02 07 434f4e4e454354 01 04 613a3830", ALIVE, 0, "H1+ C1=0 " },

	/* streams that go on while others fail */
	{ "a bad request costs its stream only",
	    "000002 01 05 00000001 86 84 000003 01 05 00000003" GET, RESET,
	    H2_PROTOCOL_ERROR, "H3+ C3=0 " },
};

static void
run_row(const struct row *row, size_t chunk)
{
	struct peer	*p = peer_new();

	p->answer = true;
	peer_open(p, true);
	send_hex(p, HELLO);
	forget(p);
	p->chunk = chunk;
	send_hex(p, row->bytes);
	if (row->outcome == GOAWAY) {
		expect_goaway(p, row->code);
	} else if (row->outcome == RESET) {
		struct frame	f;

		assert_int_equal(p->r, 0);
		assert_true(find_frame(p, H2_RST_STREAM, &f));
		assert_int_equal(be32_read(f.p), row->code);
		drop_output(p);
	} else {
		expect_alive(p);
	}
	if (row->log != NULL)
		expect_log(p, row->log);
	peer_free(p);
}

static void
rfc9113_cases(void **state)
{
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++)
		run_row(&rows[i], 0);
}

static void
rfc9113_cases_byte_by_byte(void **state)
{
	size_t	i, chunk;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++)
		for (chunk = 1; chunk < 12; chunk++)
			run_row(&rows[i], chunk);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc9113_cases),
		cmocka_unit_test(rfc9113_cases_byte_by_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
