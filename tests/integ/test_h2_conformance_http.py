"""HTTP/2 conformance: what makes a request.

Cases http2/8 of the suite h2case.py speaks of, by the section numbers of
RFC 9113, and what the release binary has instead of the page at "/".
"""

import pytest

import harness
import raw
from h2case import (DATA, END_HEADERS, END_STREAM, HEADERS, PUSH_PROMISE,
                    WHOLE, case, page, peer, u32)
from raw import PROTOCOL_ERROR


def malformed(p, **kwargs):
    p.get(**kwargs)
    p.reset_or_refused(1, PROTOCOL_ERROR)


# ---- 8.1 framing ----

@case("http2/8.1/1")
def test_RFC9113_8_1_second_headers_without_end_stream(peer):
    peer.post()
    peer.put(DATA, 0, 1, b"test")
    peer.put(HEADERS, END_HEADERS, 1, peer.encoder.encode([("x-test", "ok")]))
    peer.reset_or_refused(1, PROTOCOL_ERROR)


@case("http2/8.1.2.6/1")
def test_RFC9113_8_1_1_content_length_is_not_that_of_data(peer):
    peer.post(more=[("content-length", "1")])
    peer.put(DATA, END_STREAM, 1, b"test")
    peer.reset_or_refused(1, PROTOCOL_ERROR)


@case("http2/8.1.2.6/2")
def test_RFC9113_8_1_1_content_length_is_not_that_of_all_data(peer):
    peer.post(more=[("content-length", "1")])
    peer.put(DATA, 0, 1, b"test")
    peer.put(DATA, END_STREAM, 1, b"test")
    peer.reset_or_refused(1, PROTOCOL_ERROR)


def test_RFC9113_8_1_1_content_length_without_data(peer):
    malformed(peer, more=[("content-length", "1")])


# ---- 8.2 fields (RFC 7540 8.1.2) ----

@case("http2/8.1.2/1")
def test_RFC9113_8_2_1_upper_case_in_a_name(peer):
    malformed(peer, more=[("X-TEST", "ok")])


@case("http2/8.1.2.2/1")
def test_RFC9113_8_2_2_connection_specific_field(peer):
    malformed(peer, more=[("connection", "keep-alive")])


@case("http2/8.1.2.2/2")
def test_RFC9113_8_2_2_te_other_than_trailers(peer):
    malformed(peer, more=[("trailers", "test"), ("te", "trailers, deflate")])


@pytest.mark.parametrize("value", [" a", "a ", "\ta", "a\t", "a\rb", "a\nb",
                                   "a\0b"])
def test_RFC9113_8_2_1_control_or_outer_blank_in_a_value(peer, value):
    malformed(peer, more=[("x-test", value)])


# ---- 8.3 pseudo-header fields (RFC 7540 8.1.2.1, 8.1.2.3) ----

@case("http2/8.1.2.1/1")
def test_RFC9113_8_3_unknown_pseudo_header(peer):
    malformed(peer, more=[(":test", "ok")])


@case("http2/8.1.2.1/2")
def test_RFC9113_8_3_pseudo_header_of_responses(peer):
    malformed(peer, more=[(":status", "200")])


@case("http2/8.1.2.1/3")
def test_RFC9113_8_3_pseudo_header_in_trailers(peer):
    peer.post()
    peer.put(DATA, 0, 1, b"test")
    peer.put(HEADERS, WHOLE, 1, peer.encoder.encode([(":method", "200")]))
    peer.reset_or_refused(1, PROTOCOL_ERROR)


@case("http2/8.1.2.1/4")
def test_RFC9113_8_3_pseudo_header_behind_regular_ones(peer):
    peer.put(HEADERS, WHOLE, 1, peer.encoder.encode(
        peer.fields(drop=(":path",), more=[("x-test", "ok"), (":path", "/")])))
    peer.reset_or_refused(1, PROTOCOL_ERROR)


@case("http2/8.1.2.3/1")
def test_RFC9113_8_3_1_empty_path(peer):
    malformed(peer, path="")


@case("http2/8.1.2.3/2")
def test_RFC9113_8_3_1_no_method(peer):
    malformed(peer, drop=(":method",))


@case("http2/8.1.2.3/3")
def test_RFC9113_8_3_1_no_scheme(peer):
    malformed(peer, drop=(":scheme",))


@case("http2/8.1.2.3/4")
def test_RFC9113_8_3_1_no_path(peer):
    malformed(peer, drop=(":path",))


@case("http2/8.1.2.3/5")
def test_RFC9113_8_3_1_two_methods(peer):
    malformed(peer, more=[(":method", "GET")])


@case("http2/8.1.2.3/6")
def test_RFC9113_8_3_1_two_schemes(peer):
    malformed(peer, more=[(":scheme", "http")])


@case("http2/8.1.2.3/7")
def test_RFC9113_8_3_1_two_paths(peer):
    malformed(peer, more=[(":path", "/")])


# ---- 8.4 push (RFC 7540 8.2) ----

@case("http2/8.2/1")
def test_RFC9113_8_4_push_promise_of_a_client(peer):
    peer.get(flags=END_HEADERS)
    peer.put(PUSH_PROMISE, END_HEADERS, 1, u32(2) + peer.block())
    peer.refused(PROTOCOL_ERROR)


# ---- the release ----

@pytest.mark.parametrize("method,status", [("GET", "405"), ("HEAD", "405"),
                                           ("POST", "415")])
def test_the_release_has_no_page(shared, method, status):
    with raw.Peer(shared) as p:
        s = p.open(method=method, path="/", content_type=None, end=True)
        p.until(lambda: p.over(s), "the answer")
        assert dict(p.headers[s][0])[":status"] == status
        assert not p.data.get(s)


def test_the_release_has_no_text_of_the_page():
    """Only the conformance build links tests/conformance/route.c."""
    with open(harness.BINARY, "rb") as f:
        assert b"k8shell\n\0" not in f.read()
