"""HTTP/2 conformance: what has to work, and header compression.

The first 44 cases and the last 8 of the suite h2case.py speaks of.
"""

import glob
import os
import re
import struct

import raw
from h2case import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY,
                    HEADERS, PADDED, PRIORITY, PRIORITY_FLAG, RST_STREAM,
                    SETTINGS, WHOLE, WINDOW_UPDATE, case, page, peer,
                    priority)


# ---- starting ----

@case("generic/1/1")
def test_RFC9113_3_4_connection_preface(page):
    d, ca = page
    with raw.Peer(d, ca) as p:
        assert isinstance(p.step(), raw.SettingsFrame), "SETTINGS come first"


# ---- streams ----

@case("generic/2/1")
def test_RFC9113_5_1_idle_priority(peer):
    peer.put(PRIORITY, 0, 1, priority())
    peer.ping()


@case("generic/2/2")
def test_RFC9113_5_1_half_closed_remote_window_update(peer):
    peer.get()
    peer.put(WINDOW_UPDATE, 0, 1, struct.pack(">I", 100))
    peer.answered()


@case("generic/2/3")
def test_RFC9113_5_1_half_closed_remote_priority(peer):
    peer.get()
    peer.put(PRIORITY, 0, 1, priority())
    peer.answered()


@case("generic/2/4")
def test_RFC9113_5_1_half_closed_remote_rst_stream(peer):
    peer.get()
    peer.put(RST_STREAM, 0, 1, struct.pack(">I", raw.CANCEL))
    peer.ping()


@case("generic/2/5")
def test_RFC9113_5_1_closed_priority(peer):
    peer.get()
    peer.answered()
    peer.put(PRIORITY, 0, 1, priority())
    peer.ping()


# ---- frames ----

@case("generic/3.1/1")
def test_RFC9113_6_1_one_data_frame(peer):
    peer.post()
    peer.put(DATA, END_STREAM, 1, b"test")
    peer.answered()


@case("generic/3.1/2")
def test_RFC9113_6_1_several_data_frames(peer):
    peer.post()
    peer.put(DATA, 0, 1, b"test")
    peer.put(DATA, END_STREAM, 1, b"test")
    peer.answered()


@case("generic/3.1/3")
def test_RFC9113_6_1_data_with_padding(peer):
    peer.post()
    peer.put(DATA, END_STREAM | PADDED, 1, b"\x05test" + bytes(5))
    peer.answered()


@case("generic/3.2/1")
def test_RFC9113_6_2_headers(peer):
    peer.get()
    peer.answered()


@case("generic/3.2/2")
def test_RFC9113_6_2_headers_with_padding(peer):
    peer.put(HEADERS, WHOLE | PADDED, 1, b"\x08" + peer.block() + bytes(8))
    peer.answered()


@case("generic/3.2/3")
def test_RFC9113_6_2_headers_with_priority(peer):
    peer.put(HEADERS, WHOLE | PRIORITY_FLAG, 1, priority() + peer.block())
    peer.answered()


@case("generic/3.3/1")
def test_RFC7540_6_3_priority_weight_1(peer):
    peer.get(flags=END_HEADERS)
    peer.put(PRIORITY, 0, 1, priority(weight=1))
    peer.put(DATA, END_STREAM, 1)
    peer.answered()


@case("generic/3.3/2")
def test_RFC7540_6_3_priority_weight_256(peer):
    peer.get(flags=END_HEADERS)
    peer.put(PRIORITY, 0, 1, priority(weight=256))
    peer.put(DATA, END_STREAM, 1)
    peer.answered()


@case("generic/3.3/3")
def test_RFC7540_6_3_priority_with_dependency(peer):
    peer.put(PRIORITY, 0, 3, priority(depends_on=1))
    peer.get()
    peer.answered()


@case("generic/3.3/4")
def test_RFC7540_6_3_priority_exclusive(peer):
    peer.put(PRIORITY, 0, 3, priority(depends_on=1, exclusive=True))
    peer.get()
    peer.answered()


@case("generic/3.3/5")
def test_RFC7540_6_3_priority_opens_no_stream(peer):
    """A PRIORITY on 5 leaves 3 idle, so it can still be opened."""
    peer.put(PRIORITY, 0, 5, priority())
    peer.get(3)
    peer.answered(3)


@case("generic/3.4/1")
def test_RFC9113_6_4_rst_stream(peer):
    peer.post()
    peer.put(RST_STREAM, 0, 1, struct.pack(">I", raw.CANCEL))
    peer.ping()


@case("generic/3.5/1")
def test_RFC9113_6_5_settings(peer):
    before = peer.settings_acked()
    peer.put(SETTINGS, payload=struct.pack(">HI", 3, 100))
    peer.until(lambda: peer.settings_acked() > before, "ACK")


@case("generic/3.7/1")
def test_RFC9113_6_7_ping(peer):
    peer.ping(b"h2 ping!")


@case("generic/3.8/1")
def test_RFC9113_6_8_goaway(peer):
    peer.put(GOAWAY, payload=struct.pack(">II", 0, raw.NO_ERROR) + b"bye")
    peer.ping_or_close()


@case("generic/3.9/1")
def test_RFC9113_6_9_window_update_of_the_connection(peer):
    peer.put(WINDOW_UPDATE, payload=struct.pack(">I", 1))
    peer.ping()


@case("generic/3.9/2")
def test_RFC9113_6_9_window_update_of_a_stream(peer):
    peer.get()
    peer.put(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1))
    peer.answered()


@case("generic/3.10/1")
def test_RFC9113_6_10_one_continuation(peer):
    block = peer.block()
    peer.put(HEADERS, END_STREAM, 1, block[:3])
    peer.put(CONTINUATION, END_HEADERS, 1, block[3:])
    peer.answered()


@case("generic/3.10/2")
def test_RFC9113_6_10_several_continuations(peer):
    block = peer.block()
    peer.put(HEADERS, END_STREAM, 1, block[:3])
    peer.put(CONTINUATION, 0, 1, block[3:5])
    peer.put(CONTINUATION, END_HEADERS, 1, block[5:])
    peer.answered()


# ---- messages ----

@case("generic/4/1")
def test_RFC9113_8_1_get(peer):
    peer.get()
    peer.answered()


@case("generic/4/2")
def test_RFC9113_8_1_head(peer):
    peer.get(method="HEAD")
    peer.answered(body=False)


@case("generic/4/3")
def test_RFC9113_8_1_post(peer):
    peer.post()
    peer.put(DATA, END_STREAM, 1, b"test")
    peer.answered()


@case("generic/4/4")
def test_RFC9113_8_1_post_with_trailers(peer):
    peer.post(more=[("trailer", "x-test")])
    peer.put(DATA, 0, 1, b"test")
    peer.put(HEADERS, WHOLE, 1, peer.encoder.encode([("x-test", "ok")]))
    peer.answered()


# ---- header compression: what every decoder has to know ----

# Index in the static table (RFC 7541 appendix A) of "user-agent".
USER_AGENT = 58
HUFFMAN_TEST = bytes.fromhex("49509f")      # "test"
HUFFMAN_X_TEST = bytes.fromhex("f2b24a84ff")     # "x-test"

# What follows the prefix of RFC 7541 6.2: an index or a name, and a value.
STRINGS = {
    "indexed_name": (True, b"\x04test"),
    "indexed_name_huffman": (True, b"\x83" + HUFFMAN_TEST),
    "new_name": (False, b"\x06x-test\x04test"),
    "new_name_huffman": (False, b"\x85" + HUFFMAN_X_TEST +
                         b"\x83" + HUFFMAN_TEST),
}


def indexed(prefix, bits, index):
    """An integer in a prefix of so many bits (RFC 7541 5.1)."""
    most = (1 << bits) - 1
    if index < most:
        return bytes([prefix | index])
    return bytes([prefix | most, index - most])


def literal_field(prefix, bits, how):
    named, strings = STRINGS[how]
    return indexed(prefix, bits, USER_AGENT if named else 0) + strings


def get_with(p, more):
    p.put(HEADERS, WHOLE, 1, p.block() + more)
    p.answered()


@case("generic/5/1")
def test_RFC7541_6_1_indexed(peer):
    # accept-encoding: gzip, deflate is number 16, and whole.
    get_with(peer, b"\x90")


@case("generic/5/2")
def test_RFC7541_6_2_1_with_indexing_indexed_name(peer):
    get_with(peer, literal_field(0x40, 6, "indexed_name"))


@case("generic/5/3")
def test_RFC7541_6_2_1_with_indexing_indexed_name_huffman(peer):
    get_with(peer, literal_field(0x40, 6, "indexed_name_huffman"))


@case("generic/5/4")
def test_RFC7541_6_2_1_with_indexing_new_name(peer):
    get_with(peer, literal_field(0x40, 6, "new_name"))


@case("generic/5/5")
def test_RFC7541_6_2_1_with_indexing_new_name_huffman(peer):
    get_with(peer, literal_field(0x40, 6, "new_name_huffman"))


@case("generic/5/6")
def test_RFC7541_6_2_2_without_indexing_indexed_name(peer):
    get_with(peer, literal_field(0x00, 4, "indexed_name"))


@case("generic/5/7")
def test_RFC7541_6_2_2_without_indexing_indexed_name_huffman(peer):
    get_with(peer, literal_field(0x00, 4, "indexed_name_huffman"))


@case("generic/5/8")
def test_RFC7541_6_2_2_without_indexing_new_name(peer):
    get_with(peer, literal_field(0x00, 4, "new_name"))


@case("generic/5/9")
def test_RFC7541_6_2_2_without_indexing_new_name_huffman(peer):
    get_with(peer, literal_field(0x00, 4, "new_name_huffman"))


@case("generic/5/10")
def test_RFC7541_6_2_3_never_indexed_indexed_name(peer):
    get_with(peer, literal_field(0x10, 4, "indexed_name"))


@case("generic/5/11")
def test_RFC7541_6_2_3_never_indexed_indexed_name_huffman(peer):
    get_with(peer, literal_field(0x10, 4, "indexed_name_huffman"))


@case("generic/5/12")
def test_RFC7541_6_2_3_never_indexed_new_name(peer):
    get_with(peer, literal_field(0x10, 4, "new_name"))


@case("generic/5/13")
def test_RFC7541_6_2_3_never_indexed_new_name_huffman(peer):
    get_with(peer, literal_field(0x10, 4, "new_name_huffman"))


@case("generic/5/14")
def test_RFC7541_6_3_table_size_update(peer):
    peer.put(HEADERS, WHOLE, 1, indexed(0x20, 5, 30) + peer.block())
    peer.answered()


@case("generic/5/15")
def test_RFC7541_6_3_several_table_size_updates(peer):
    peer.put(HEADERS, WHOLE, 1, b"\x20" + indexed(0x20, 5, 128) +
             peer.block())
    peer.answered()


def test_RFC7541_2_3_3_what_was_indexed_can_be_named(peer):
    """The four kinds of literal leave the two tables in step."""
    for how in STRINGS:
        for prefix, bits in ((0x40, 6), (0x00, 4), (0x10, 4)):
            peer.put(HEADERS, WHOLE, peer.next_stream,
                     peer.block() + literal_field(prefix, bits, how) +
                     (b"\xbe" if prefix == 0x40 else b""))
            peer.answered(peer.next_stream)
            # Our own encoder has not seen that entry: forget the table.
            peer.encoder.header_table_size = 0
            peer.encoder.header_table_size = 4096
            peer.next_stream += 2


# ---- header compression: what no decoder may take ----

def bad_block(p, block):
    p.put(HEADERS, WHOLE, 1, block)
    p.refused(raw.COMPRESSION_ERROR)


@case("hpack/2.3.3/1")
def test_RFC7541_2_3_3_indexed_field_out_of_the_table(peer):
    bad_block(peer, peer.block() + b"\xc6")          # 70


@case("hpack/2.3.3/2")
def test_RFC7541_2_3_3_indexed_name_out_of_the_table(peer):
    bad_block(peer, peer.block() + indexed(0x40, 6, 70) + b"\x04test")


@case("hpack/4.2/1")
def test_RFC7541_4_2_table_size_update_at_the_end(peer):
    bad_block(peer, peer.block() + b"\x21")


def huffman_value(code):
    return b"\x00\x06x-test" + bytes([0x80 | len(code)]) + code


@case("hpack/5.2/1")
def test_RFC7541_5_2_padding_longer_than_seven_bits(peer):
    bad_block(peer, peer.block() + huffman_value(HUFFMAN_TEST + b"\xff"))


@case("hpack/5.2/2")
def test_RFC7541_5_2_padding_of_zeros(peer):
    bad_block(peer, peer.block() + huffman_value(b"\x49\x50\x90"))


@case("hpack/5.2/3")
def test_RFC7541_5_2_end_of_string_symbol(peer):
    bad_block(peer, peer.block() +
              huffman_value(HUFFMAN_TEST + b"\xff\xff\xff\xff"))


@case("hpack/6.1/1")
def test_RFC7541_6_1_index_zero(peer):
    bad_block(peer, peer.block() + b"\x80")


@case("hpack/6.3/1")
def test_RFC7541_6_3_table_size_above_the_setting(peer):
    # 4097: the prefix of five bits full, and 4066 in groups of seven.
    bad_block(peer, b"\x3f\xe2\x1f" + peer.block())


# ---- the suite itself ----

def test_every_case_of_the_suite_is_here():
    numbers = []
    here = os.path.dirname(os.path.abspath(__file__))
    for name in glob.glob(os.path.join(here, "test_h2_conformance_*.py")):
        with open(name) as f:
            numbers += re.findall(r'^@case\("([^"]+)"\)$', f.read(), re.M)
    assert len(set(numbers)) == len(numbers) == 147
    count = {}
    for n in numbers:
        part, section, i = n.rsplit("/", 2)
        count.setdefault((part, section), []).append(int(i))
    for section, found in count.items():
        assert sorted(found) == list(range(1, len(found) + 1)), section
    assert sum(len(v) for k, v in count.items() if k[0] == "generic") == 44
    assert sum(len(v) for k, v in count.items() if k[0] == "http2") == 95
