"""HTTP/2 conformance: states of streams, and every frame's own rules.

Cases http2/3.5 to http2/7 of the suite h2case.py speaks of.  Section numbers
of RFC 9113, and of RFC 7540 for priorities, which its successor dropped: a
server that ignores them still refuses what was an error there.
"""

import raw
from h2case import (ACK, CONTINUATION, DATA, ENABLE_PUSH, END_HEADERS,
                    END_STREAM, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE,
                    MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE, PADDED, PING,
                    PRIORITY, PRIORITY_FLAG, RST_STREAM, SETTINGS, WHOLE,
                    WINDOW_MAX, WINDOW_UPDATE, case, page, peer, priority,
                    setting, u32)
from raw import (CANCEL, COMPRESSION_ERROR, FLOW_CONTROL_ERROR,
                 FRAME_SIZE_ERROR, PROTOCOL_ERROR, REFUSED_STREAM,
                 STREAM_CLOSED)


# ---- 3.4 the preface (RFC 7540 3.5) ----

@case("http2/3.5/1")
def test_RFC9113_3_4_valid_preface(peer):
    peer.ping()


@case("http2/3.5/2")
def test_RFC9113_3_4_invalid_preface(page):
    d, ca = page
    with raw.Peer(d, ca, preface=False, timeout=5) as p:
        p.send(b"INVALID CONNECTION PREFACE\r\n\r\n")
        assert p.drain(5), "not closed"
        assert p.goaway is None or p.goaway.error_code == PROTOCOL_ERROR


# ---- 4 frames ----

@case("http2/4.1/1")
def test_RFC9113_4_1_unknown_type_is_ignored(peer):
    peer.put(0x16, 0, 0, b"\0" * 8)
    peer.ping()


@case("http2/4.1/2")
def test_RFC9113_4_1_undefined_flags_are_ignored(peer):
    peer.put(PING, 0xfe, 0, b"flagged!")
    peer.until(peer.pongs, "PING ACK")
    assert peer.pongs() == [b"flagged!"]


@case("http2/4.1/3")
def test_RFC9113_4_1_reserved_bit_is_ignored(peer):
    peer.put(PING, 0, 1 << 31, b"reserved")
    peer.until(peer.pongs, "PING ACK")
    assert peer.pongs() == [b"reserved"]


@case("http2/4.2/1")
def test_RFC9113_4_2_data_of_16384_bytes(peer):
    peer.post()
    peer.put(DATA, END_STREAM, 1, b"x" * 16384)
    peer.answered()


@case("http2/4.2/2")
def test_RFC9113_4_2_data_above_the_frame_size(peer):
    peer.post()
    peer.put(DATA, END_STREAM, 1, b"x" * 16385)
    peer.reset_or_refused(1, FRAME_SIZE_ERROR)


@case("http2/4.2/3")
def test_RFC9113_4_2_headers_above_the_frame_size(peer):
    block = peer.block(more=[("x-dummy%d" % i, "~" * 4000) for i in range(6)])
    assert len(block) > 16384
    peer.put(HEADERS, WHOLE, 1, block[:16385])
    peer.refused(FRAME_SIZE_ERROR)


@case("http2/4.3/1")
def test_RFC9113_4_3_block_that_cannot_be_decoded(peer):
    # A literal whose name says it is longer than the block.
    peer.put(HEADERS, WHOLE, 1, b"\x00\x7f")
    peer.refused(COMPRESSION_ERROR)


def begin_block(p, flags=END_STREAM):
    """HEADERS whose END_HEADERS is still to come; returns what is left."""
    block = p.block()
    p.put(HEADERS, flags, 1, block[:3])
    return block[3:]


@case("http2/4.3/2")
def test_RFC9113_4_3_priority_inside_a_block(peer):
    rest = begin_block(peer)
    peer.put(PRIORITY, 0, 1, priority())
    peer.put(CONTINUATION, END_HEADERS, 1, rest)
    peer.refused(PROTOCOL_ERROR)


@case("http2/4.3/3")
def test_RFC9113_4_3_headers_of_another_stream_inside_a_block(peer):
    rest = begin_block(peer)
    peer.put(HEADERS, WHOLE, 3, peer.block())
    peer.put(CONTINUATION, END_HEADERS, 1, rest)
    peer.refused(PROTOCOL_ERROR)


# ---- 5.1 states ----

@case("http2/5.1/1")
def test_RFC9113_5_1_idle_sends_data(peer):
    peer.put(DATA, END_STREAM, 1, b"test")
    peer.refused(PROTOCOL_ERROR)


@case("http2/5.1/2")
def test_RFC9113_5_1_idle_sends_rst_stream(peer):
    peer.put(RST_STREAM, 0, 1, u32(CANCEL))
    peer.refused(PROTOCOL_ERROR)


@case("http2/5.1/3")
def test_RFC9113_5_1_idle_sends_window_update(peer):
    peer.put(WINDOW_UPDATE, 0, 1, u32(100))
    peer.refused(PROTOCOL_ERROR)


@case("http2/5.1/4")
def test_RFC9113_5_1_idle_sends_continuation(peer):
    peer.put(CONTINUATION, END_HEADERS, 1, peer.block())
    peer.refused(PROTOCOL_ERROR)


def half_closed(p):
    """We have said all on stream 1; the page can't come, for want of window."""
    p.initial_window(0)
    p.get()
    p.until(lambda: 1 in p.headers, "HEADERS")
    assert 1 not in p.ended


@case("http2/5.1/5")
def test_RFC9113_5_1_half_closed_remote_sends_data(peer):
    half_closed(peer)
    peer.put(DATA, END_STREAM, 1, b"test")
    peer.reset_or_refused(1, STREAM_CLOSED)


@case("http2/5.1/6")
def test_RFC9113_5_1_half_closed_remote_sends_headers(peer):
    half_closed(peer)
    peer.get()
    peer.reset_or_refused(1, STREAM_CLOSED)


@case("http2/5.1/7")
def test_RFC9113_5_1_half_closed_remote_sends_continuation(peer):
    half_closed(peer)
    peer.put(CONTINUATION, END_HEADERS, 1, peer.block())
    peer.reset_or_refused(1, STREAM_CLOSED, PROTOCOL_ERROR)


def closed_by_us(p):
    p.post()
    p.put(RST_STREAM, 0, 1, u32(CANCEL))


@case("http2/5.1/8")
def test_RFC9113_5_1_closed_sends_data_after_rst_stream(peer):
    closed_by_us(peer)
    peer.put(DATA, END_STREAM, 1, b"test")
    peer.reset_or_refused(1, STREAM_CLOSED)


@case("http2/5.1/9")
def test_RFC9113_5_1_closed_sends_headers_after_rst_stream(peer):
    closed_by_us(peer)
    peer.get()
    peer.reset_or_refused(1, STREAM_CLOSED)


@case("http2/5.1/10")
def test_RFC9113_5_1_closed_sends_continuation_after_rst_stream(peer):
    closed_by_us(peer)
    peer.put(CONTINUATION, END_HEADERS, 1, peer.block())
    peer.reset_or_refused(1, STREAM_CLOSED, PROTOCOL_ERROR)


def closed_by_both(p):
    p.get()
    p.answered()


@case("http2/5.1/11")
def test_RFC9113_5_1_closed_sends_data(peer):
    closed_by_both(peer)
    peer.put(DATA, END_STREAM, 1, b"test")
    peer.reset_or_refused(1, STREAM_CLOSED)


@case("http2/5.1/12")
def test_RFC9113_5_1_closed_sends_headers(peer):
    closed_by_both(peer)
    peer.get()
    peer.refused(STREAM_CLOSED)


@case("http2/5.1/13")
def test_RFC9113_5_1_closed_sends_continuation(peer):
    closed_by_both(peer)
    peer.put(CONTINUATION, END_HEADERS, 1, peer.block())
    peer.refused(STREAM_CLOSED, PROTOCOL_ERROR)


@case("http2/5.1.1/1")
def test_RFC9113_5_1_1_even_stream_id(peer):
    peer.get(2)
    peer.refused(PROTOCOL_ERROR)


@case("http2/5.1.1/2")
def test_RFC9113_5_1_1_smaller_stream_id(peer):
    peer.get(5)
    peer.answered(5)
    peer.get(3)
    peer.refused(PROTOCOL_ERROR)


@case("http2/5.1.2/1")
def test_RFC9113_5_1_2_more_streams_than_the_limit(peer):
    limit = peer.settings()[MAX_CONCURRENT_STREAMS]
    peer.initial_window(0)
    last = 2 * limit + 1
    for stream in range(1, last, 2):
        peer.get(stream, END_HEADERS)
    peer.get(last, END_HEADERS)
    peer.reset_or_refused(last, PROTOCOL_ERROR, REFUSED_STREAM)
    assert set(peer.resets) <= {last}


@case("http2/5.3.1/1")
def test_RFC7540_5_3_1_headers_depend_on_themselves(peer):
    peer.put(HEADERS, WHOLE | PRIORITY_FLAG, 1,
             priority(depends_on=1) + peer.block())
    peer.reset_or_refused(1, PROTOCOL_ERROR)


@case("http2/5.3.1/2")
def test_RFC7540_5_3_1_priority_depends_on_itself(peer):
    peer.put(PRIORITY, 0, 2, priority(depends_on=2))
    peer.reset_or_refused(2, PROTOCOL_ERROR)


@case("http2/5.4.1/1")
def test_RFC9113_5_4_1_connection_error_closes(peer):
    peer.put(PING, 0, 3, b"\0" * 8)
    assert peer.drain(5), "not closed"


@case("http2/5.4.1/2")
def test_RFC9113_5_4_1_goaway_is_not_lost(peer):
    """Not even when much more comes in than the server will ever read."""
    peer.put(PING, 0, 3, b"\0" * 8)
    peer.send(raw.frame(PING, 0, 0, b"too late") * 100)
    peer.refused(PROTOCOL_ERROR)
    assert peer.goaway.last_stream_id == 0


@case("http2/5.5/1")
def test_RFC9113_5_5_unknown_frame_is_ignored(peer):
    peer.put(0xff, 0, 0, b"unknown!")
    peer.ping()


@case("http2/5.5/2")
def test_RFC9113_5_5_unknown_frame_inside_a_block(peer):
    rest = begin_block(peer)
    peer.put(0xff, 0, 1, b"unknown!")
    peer.put(CONTINUATION, END_HEADERS, 1, rest)
    peer.refused(PROTOCOL_ERROR)


# ---- 6.1 DATA ----

@case("http2/6.1/1")
def test_RFC9113_6_1_data_without_a_stream(peer):
    peer.put(DATA, END_STREAM, 0, b"test")
    peer.refused(PROTOCOL_ERROR)


@case("http2/6.1/2")
def test_RFC9113_6_1_data_on_a_stream_that_is_not_open(peer):
    half_closed(peer)
    peer.put(DATA, 0, 1, b"test")
    peer.reset_or_refused(1, STREAM_CLOSED)


@case("http2/6.1/3")
def test_RFC9113_6_1_padding_longer_than_the_frame(peer):
    peer.post()
    peer.put(DATA, END_STREAM | PADDED, 1, b"\x06test!")
    peer.refused(PROTOCOL_ERROR)


# ---- 6.2 HEADERS ----

@case("http2/6.2/1")
def test_RFC9113_6_2_block_interrupted_by_priority(peer):
    begin_block(peer, flags=0)
    peer.put(PRIORITY, 0, 3, priority())
    peer.refused(PROTOCOL_ERROR)


@case("http2/6.2/2")
def test_RFC9113_6_2_block_interrupted_by_headers(peer):
    begin_block(peer, flags=0)
    peer.get(3)
    peer.refused(PROTOCOL_ERROR)


@case("http2/6.2/3")
def test_RFC9113_6_2_headers_without_a_stream(peer):
    peer.get(0)
    peer.refused(PROTOCOL_ERROR)


@case("http2/6.2/4")
def test_RFC9113_6_2_padding_longer_than_the_frame(peer):
    block = peer.block()
    peer.put(HEADERS, WHOLE | PADDED, 1, bytes([len(block) + 1]) + block)
    peer.refused(PROTOCOL_ERROR)


# ---- 6.3 PRIORITY ----

@case("http2/6.3/1")
def test_RFC9113_6_3_priority_without_a_stream(peer):
    peer.put(PRIORITY, 0, 0, priority(depends_on=1))
    peer.refused(PROTOCOL_ERROR)


@case("http2/6.3/2")
def test_RFC9113_6_3_priority_of_a_wrong_length(peer):
    peer.get(flags=END_HEADERS)
    peer.put(PRIORITY, 0, 1, b"\x80\0\0\1")
    peer.reset_or_refused(1, FRAME_SIZE_ERROR)


# ---- 6.4 RST_STREAM ----

@case("http2/6.4/1")
def test_RFC9113_6_4_rst_stream_without_a_stream(peer):
    peer.put(RST_STREAM, 0, 0, u32(CANCEL))
    peer.refused(PROTOCOL_ERROR)


@case("http2/6.4/2")
def test_RFC9113_6_4_rst_stream_of_an_idle_stream(peer):
    peer.put(RST_STREAM, 0, 1, u32(CANCEL))
    peer.refused(PROTOCOL_ERROR)


@case("http2/6.4/3")
def test_RFC9113_6_4_rst_stream_of_a_wrong_length(peer):
    peer.post()
    peer.put(RST_STREAM, 0, 1, b"\0\0\0")
    peer.refused(FRAME_SIZE_ERROR)


# ---- 6.5 SETTINGS ----

@case("http2/6.5/1")
def test_RFC9113_6_5_ack_with_a_payload(peer):
    peer.put(SETTINGS, ACK, 0, b"\0" * 6)
    peer.refused(FRAME_SIZE_ERROR)


@case("http2/6.5/2")
def test_RFC9113_6_5_settings_of_a_stream(peer):
    peer.put(SETTINGS, 0, 1, setting(MAX_CONCURRENT_STREAMS, 100))
    peer.refused(PROTOCOL_ERROR)


@case("http2/6.5/3")
def test_RFC9113_6_5_settings_of_a_wrong_length(peer):
    peer.put(SETTINGS, 0, 0, b"\0\3\0")
    peer.refused(FRAME_SIZE_ERROR)


@case("http2/6.5.2/1")
def test_RFC9113_6_5_2_enable_push_above_1(peer):
    peer.put(SETTINGS, 0, 0, setting(ENABLE_PUSH, 2))
    peer.refused(PROTOCOL_ERROR)


@case("http2/6.5.2/2")
def test_RFC9113_6_5_2_initial_window_size_above_the_maximum(peer):
    peer.put(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, WINDOW_MAX + 1))
    peer.refused(FLOW_CONTROL_ERROR)


@case("http2/6.5.2/3")
def test_RFC9113_6_5_2_max_frame_size_below_the_minimum(peer):
    peer.put(SETTINGS, 0, 0, setting(MAX_FRAME_SIZE, 16383))
    peer.refused(PROTOCOL_ERROR)


@case("http2/6.5.2/4")
def test_RFC9113_6_5_2_max_frame_size_above_the_maximum(peer):
    peer.put(SETTINGS, 0, 0, setting(MAX_FRAME_SIZE, 1 << 24))
    peer.refused(PROTOCOL_ERROR)


@case("http2/6.5.2/5")
def test_RFC9113_6_5_2_unknown_setting_is_ignored(peer):
    peer.put(SETTINGS, 0, 0, setting(0xff, 1))
    peer.ping()


@case("http2/6.5.3/1")
def test_RFC9113_6_5_3_values_are_taken_in_order(peer):
    peer.put(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 100) +
             setting(INITIAL_WINDOW_SIZE, 1))
    peer.get()
    peer.until(lambda: peer.sent(1), "DATA")
    peer.ping()
    assert peer.sent(1) == [1]


@case("http2/6.5.3/2")
def test_RFC9113_6_5_3_settings_are_acknowledged(peer):
    before = peer.settings_acked()
    peer.put(SETTINGS)
    peer.until(lambda: peer.settings_acked() == before + 1, "ACK")


# ---- 6.7 PING, 6.8 GOAWAY ----

@case("http2/6.7/1")
def test_RFC9113_6_7_ping_is_answered(peer):
    peer.ping(b"same 8 b")


@case("http2/6.7/2")
def test_RFC9113_6_7_ack_is_not_answered(peer):
    peer.put(PING, ACK, 0, b"answered")
    peer.ping(b"question")
    assert peer.pongs() == [b"question"]


@case("http2/6.7/3")
def test_RFC9113_6_7_ping_of_a_stream(peer):
    peer.put(PING, 0, 1, b"\0" * 8)
    peer.refused(PROTOCOL_ERROR)


@case("http2/6.7/4")
def test_RFC9113_6_7_ping_of_a_wrong_length(peer):
    peer.put(PING, 0, 0, b"\0" * 6)
    peer.refused(FRAME_SIZE_ERROR)


@case("http2/6.8/1")
def test_RFC9113_6_8_goaway_of_a_stream(peer):
    peer.put(GOAWAY, 0, 1, u32(0) + u32(0))
    peer.refused(PROTOCOL_ERROR)


# ---- 6.9 WINDOW_UPDATE ----

@case("http2/6.9/1")
def test_RFC9113_6_9_increment_of_0(peer):
    peer.put(WINDOW_UPDATE, 0, 0, u32(0))
    peer.refused(PROTOCOL_ERROR)


@case("http2/6.9/2")
def test_RFC9113_6_9_increment_of_0_on_a_stream(peer):
    peer.get(flags=END_HEADERS)
    peer.put(WINDOW_UPDATE, 0, 1, u32(0))
    peer.reset_or_refused(1, PROTOCOL_ERROR)


@case("http2/6.9/3")
def test_RFC9113_6_9_window_update_of_a_wrong_length(peer):
    peer.put(WINDOW_UPDATE, 0, 0, b"\0\0\1")
    peer.refused(FRAME_SIZE_ERROR)


@case("http2/6.9.1/1")
def test_RFC9113_6_9_1_window_of_one_byte(peer):
    peer.initial_window(1)
    peer.get()
    peer.until(lambda: peer.sent(1), "DATA")
    peer.ping()
    assert peer.sent(1) == [1]
    for n in range(2, 5):       # and byte by byte, never more
        peer.put(WINDOW_UPDATE, 0, 1, u32(1))
        peer.until(lambda: len(peer.sent(1)) == n, "another byte")
    peer.put(WINDOW_UPDATE, 0, 1, u32(100))
    peer.answered()
    assert peer.sent(1)[:4] == [1] * 4


@case("http2/6.9.1/2")
def test_RFC9113_6_9_1_window_of_the_connection_overflows(peer):
    peer.put(WINDOW_UPDATE, 0, 0, u32(WINDOW_MAX))
    peer.put(WINDOW_UPDATE, 0, 0, u32(WINDOW_MAX))
    peer.refused(FLOW_CONTROL_ERROR)


@case("http2/6.9.1/3")
def test_RFC9113_6_9_1_window_of_a_stream_overflows(peer):
    peer.get(flags=END_HEADERS)
    peer.put(WINDOW_UPDATE, 0, 1, u32(WINDOW_MAX))
    peer.put(WINDOW_UPDATE, 0, 1, u32(WINDOW_MAX))
    peer.reset_or_refused(1, FLOW_CONTROL_ERROR)


def test_RFC9113_6_9_1_windows_may_be_as_large_as_31_bits(peer):
    """65535 and what is lacking to the maximum, on both; nothing else."""
    peer.put(WINDOW_UPDATE, 0, 0, u32(WINDOW_MAX - 65535))
    peer.initial_window(0)
    peer.get()
    peer.put(WINDOW_UPDATE, 0, 1, u32(WINDOW_MAX))
    peer.answered()
    peer.initial_window(WINDOW_MAX)
    peer.get(3)
    peer.answered(3)


@case("http2/6.9.2/1")
def test_RFC9113_6_9_2_initial_window_changes_under_a_stream(peer):
    peer.initial_window(0)
    peer.get()
    peer.until(lambda: 1 in peer.headers, "HEADERS")
    peer.ping()
    assert not any(peer.sent(1))
    peer.initial_window(1)
    peer.until(lambda: peer.sent(1), "DATA")
    assert peer.sent(1) == [1]


@case("http2/6.9.2/2")
def test_RFC9113_6_9_2_window_below_zero(peer):
    peer.initial_window(3)
    peer.get()
    peer.until(lambda: peer.sent(1), "DATA")
    assert peer.sent(1) == [3]
    peer.initial_window(2)                          # -1 now
    peer.put(WINDOW_UPDATE, 0, 1, u32(1))           # 0
    peer.ping()
    assert peer.sent(1) == [3]
    peer.put(WINDOW_UPDATE, 0, 1, u32(1))           # 1
    peer.until(lambda: len(peer.sent(1)) > 1, "more DATA")
    assert peer.sent(1) == [3, 1]


@case("http2/6.9.2/3")
def test_RFC9113_6_9_2_initial_window_above_the_maximum(peer):
    peer.get(flags=END_HEADERS)
    peer.put(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, (1 << 32) - 1))
    peer.refused(FLOW_CONTROL_ERROR)


def test_RFC9113_6_9_2_new_initial_window_overflows_a_stream(peer):
    peer.post()
    peer.put(WINDOW_UPDATE, 0, 1, u32(100))
    peer.put(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, WINDOW_MAX))
    peer.refused(FLOW_CONTROL_ERROR)


# ---- 6.10 CONTINUATION ----

@case("http2/6.10/1")
def test_RFC9113_6_10_several_continuations_behind_headers(peer):
    rest = begin_block(peer)
    for i in range(3):
        peer.put(CONTINUATION, 0, 1, rest[i:i + 1])
    peer.put(CONTINUATION, END_HEADERS, 1, rest[3:])
    peer.answered()


@case("http2/6.10/2")
def test_RFC9113_6_10_another_frame_behind_continuation(peer):
    rest = begin_block(peer, flags=0)
    peer.put(CONTINUATION, 0, 1, rest)
    peer.put(DATA, END_STREAM, 1, b"test")
    peer.refused(PROTOCOL_ERROR)


@case("http2/6.10/3")
def test_RFC9113_6_10_continuation_without_a_stream(peer):
    rest = begin_block(peer)
    peer.put(CONTINUATION, END_HEADERS, 0, rest)
    peer.refused(PROTOCOL_ERROR)


@case("http2/6.10/4")
def test_RFC9113_6_10_continuation_behind_complete_headers(peer):
    peer.post()
    peer.put(CONTINUATION, END_HEADERS, 1, peer.block())
    peer.refused(PROTOCOL_ERROR)


@case("http2/6.10/5")
def test_RFC9113_6_10_continuation_behind_the_last_one(peer):
    rest = begin_block(peer, flags=0)
    peer.put(CONTINUATION, END_HEADERS, 1, rest)
    peer.put(CONTINUATION, END_HEADERS, 1, peer.block())
    peer.refused(PROTOCOL_ERROR)


@case("http2/6.10/6")
def test_RFC9113_6_10_continuation_behind_data(peer):
    peer.post()
    peer.put(DATA, 0, 1, b"test")
    peer.put(CONTINUATION, END_HEADERS, 1, peer.block())
    peer.refused(PROTOCOL_ERROR)


# ---- 7 error codes ----

@case("http2/7/1")
def test_RFC9113_7_goaway_of_an_unknown_code(peer):
    peer.put(GOAWAY, 0, 0, u32(0) + u32(0xff))
    peer.ping_or_close()


@case("http2/7/2")
def test_RFC9113_7_rst_stream_of_an_unknown_code(peer):
    peer.post()
    peer.put(RST_STREAM, 0, 1, u32(0xff))
    peer.ping()
