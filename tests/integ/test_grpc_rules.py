"""Rules G1..G20 of spec/security.md 2.3, by raw frames.

G5, G8, G10..G12, G16 and G17 also have unit tests; here is what a peer sees.
"""

import os

import pytest

import harness
import raw
from harness import ssh
from raw import SettingsFrame

UNIMPLEMENTED, INTERNAL, INVALID_ARGUMENT = 12, 13, 3
RESOURCE_EXHAUSTED = 8


@pytest.fixture
def peer(shared):
    with raw.Peer(shared) as p:
        yield p
        # Whatever a test did to its stream, the connection goes on.
        if not p.closed and p.goaway is None:
            assert p.alive()


def http_status(p, s):
    p.until(lambda: s in p.headers or s in p.resets, "an answer")
    return dict(p.headers[s][0])[":status"]


def exec_details(**kwargs):
    return ssh.ExecRequest(command_details=ssh.CommandDetails(
        **kwargs)).SerializeToString()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_G1_other_methods_are_405(peer, method):
    s = peer.open(method=method, end=True)
    assert http_status(peer, s) == "405"


@pytest.mark.parametrize("content_type", [
    None, "text/plain", "application/json", "application/grp", ""])
def test_G1_other_content_types_are_415(peer, content_type):
    s = peer.open(content_type=content_type, end=True)
    assert http_status(peer, s) == "415"


def test_G2_content_type_must_be_exactly_grpc(peer):
    s = peer.open(content_type="application/grpcfoo", end=True)
    assert http_status(peer, s) == "415"
    for good in ("application/grpc+proto", "application/grpc;charset=utf-8",
                 "application/grpc"):
        s = peer.open(content_type=good)
        peer.send_data(s, raw.message(), end=True)
        assert peer.status(s) == 0, good


@pytest.mark.parametrize("path", [
    "k8shelld.SystemService/Handshake", "/",
    "//k8shelld.SystemService/Handshake",
    "/k8shelld.SystemService/k8shelld.SystemService/Handshake",
    "/k8shelld.SystemService/Handshake/", "/k8shelld.SystemService%2fHandshake",
    "/k8shelld.SystemService/%48andshake", "/k8shelld.systemservice/handshake",
    "/k8shelld.SystemService/Handshake?x", "*"])
def test_G3_strange_paths_are_never_routed(peer, path):
    s = peer.open(path=path)
    peer.send_data(s, raw.message(), end=True)
    assert peer.status(s) == UNIMPLEMENTED


def test_G4_unknown_service_and_method(peer):
    for path in ("/k8shelld.SystemService/Nope", "/Nope/Nope",
                 "/grpc.health.v1.Health/Check",
                 "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"):
        s = peer.open(path=path)
        peer.send_data(s, raw.message(), end=True)
        assert peer.status(s) == UNIMPLEMENTED


@pytest.mark.parametrize("timeout", ["123456789S", "-1S", "", "1", "S", "1 S",
                                     "1x", "+1S", "0x1S", "1.5S"])
def test_G5_malformed_timeout_is_internal(peer, timeout):
    s = peer.open(extra=[("grpc-timeout", timeout)])
    peer.send_data(s, raw.message(), end=True)
    assert peer.status(s) == INTERNAL


@pytest.mark.parametrize("timeout", [" 1S", "1S "])
def test_G5_blanks_round_a_timeout_are_no_field_at_all(peer, timeout):
    """RFC 9113 8.2.1 comes first: no value begins or ends with a blank."""
    s = peer.open(extra=[("grpc-timeout", timeout)])
    peer.until(lambda: s in peer.resets, "RST")
    assert peer.resets[s] == raw.PROTOCOL_ERROR


def test_G5_largest_timeout_does_not_overflow(peer):
    assert peer.unary(extra=[("grpc-timeout", "99999999H")]) == 0


def test_G6_deadline_kills_the_command(peer):
    s = peer.open(path=raw.EXEC, extra=[("exec-id", "ex-g6-1"),
                                        ("grpc-timeout", "200m")])
    peer.send_data(s, raw.message(exec_details(command="sleep 300")))
    peer.until(lambda: peer.over(s), "the deadline")
    harness.eventually(lambda: not harness.processes(uid=harness.UID),
                       "the command is gone")


def test_G7_status_is_always_in_trailers(peer):
    s = peer.open()
    peer.send_data(s, raw.message(), end=True)
    assert peer.status(s) == 0
    assert len(peer.headers[s]) == 2
    assert "grpc-status" not in dict(peer.headers[s][0])
    assert peer.headers[s][1] == [("grpc-status", "0")]
    s = peer.open(path="/nope/nope")
    peer.send_data(s, raw.message(), end=True)
    assert peer.status(s) == UNIMPLEMENTED
    assert len(peer.headers[s]) == 1 and s not in peer.data


def test_G8_message_text_is_percent_encoded(peer):
    """The id comes back in no message; the text of a refused path does."""
    s = peer.open(path=raw.SHELL, extra=[("session-id", "a/b")])
    peer.send_data(s, raw.message(ssh.ShellRequest(
        start_request=ssh.ShellStartRequest()).SerializeToString()))
    assert peer.status(s) == INVALID_ARGUMENT
    text = peer.trailers(s)["grpc-message"]
    assert all(0x20 <= ord(c) <= 0x7e for c in text)


def test_G9_answer_before_the_end_of_the_request(peer):
    s = peer.open(path="/nope/nope")
    peer.until(lambda: s in peer.resets, "RST NO_ERROR")
    assert peer.status(s) == UNIMPLEMENTED
    assert peer.resets[s] == raw.NO_ERROR
    s = peer.open(path=raw.EXEC, extra=[("exec-id", "ex-g9-1")])
    peer.send_data(s, raw.message(exec_details(command="exit 3")))
    assert peer.status(s) == 0
    peer.until(lambda: s in peer.resets, "RST NO_ERROR")
    assert peer.resets[s] == raw.NO_ERROR


def test_G10_binary_metadata(peer):
    assert peer.unary(extra=[("x-bin", "AAEC"), ("y-bin", "AAE="),
                             ("z-bin", "AAE"), ("m-bin", "AAEC,AAE")]) == 0
    s = peer.open(extra=[("x-bin", "*not base64*")])
    peer.send_data(s, raw.message(), end=True)
    assert peer.status(s) != 0


def test_G11_compressed_messages(peer):
    s = peer.open(extra=[("grpc-encoding", "gzip")])
    peer.send_data(s, raw.message(b"\x1f\x8b", flag=1), end=True)
    assert peer.status(s) == UNIMPLEMENTED
    all_fields = dict(f for block in peer.headers[s] for f in block)
    assert "identity" in all_fields["grpc-accept-encoding"]
    s = peer.open()
    peer.send_data(s, raw.message(b"x", flag=1), end=True)
    assert peer.status(s) == INTERNAL
    s = peer.open()
    peer.send_data(s, raw.message(b"", flag=2), end=True)
    assert peer.status(s) == INTERNAL


def test_G12_message_split_at_every_byte(peer):
    data = raw.message(exec_details(command="echo whole"))
    for cut in range(len(data) + 1):
        s = peer.open(path=raw.EXEC, extra=[("exec-id", "ex-g12-%d" % cut)])
        peer.send_data(s, data[:cut])
        peer.send_data(s, data[cut:], end=True)
        assert peer.status(s) == 0
        out = b"".join(ssh.ExecResponse.FromString(m).out
                       for m in peer.messages(s))
        assert out == b"whole\n"


def test_G13_two_authorities_and_connection_header(peer):
    h = peer.request_headers()
    s = peer.open(headers=h[:4] + [("host", "other")] + h[4:])
    peer.send_data(s, raw.message(), end=True)
    peer.until(lambda: peer.over(s), "a refusal")
    assert s in peer.resets or dict(peer.headers[s][0])[":status"] == "400" \
        or peer.status(s) == INTERNAL
    s = peer.open(headers=h[:4] + [(":authority", "b")] + h[4:])
    peer.until(lambda: peer.over(s), "a refusal")
    for name in ("connection", "keep-alive", "transfer-encoding", "upgrade",
                 "proxy-connection"):
        s = peer.open(extra=[(name, "x")])
        peer.until(lambda: s in peer.resets, "RST for " + name)
        assert peer.resets[s] == raw.PROTOCOL_ERROR


def test_G14_te_is_trailers_only(peer):
    s = peer.open(extra=[("te", "gzip")], drop=("te",))
    headers = [f for f in peer.request_headers() if f[0] != "te"]
    s = peer.open(headers=headers + [("te", "gzip")])
    peer.until(lambda: s in peer.resets, "RST")
    assert peer.resets[s] == raw.PROTOCOL_ERROR
    s = peer.open(headers=headers)
    peer.send_data(s, raw.message(), end=True)
    assert peer.status(s) == 0


def test_G15_goaway_twice_on_shutdown(start):
    d = start()
    with raw.Peer(d) as p:
        assert p.alive()
        os.kill(d.pid, 15)
        p.drain(2)
        ids = [f.last_stream_id for f in p.frames
               if isinstance(f, raw.GoAwayFrame)]
        assert ids == [(1 << 31) - 1, 1]
        assert p.closed


@pytest.mark.parametrize("code", range(14))
def test_G16_any_reset_code_ends_the_work(peer, code):
    s = peer.open(path=raw.EXEC, extra=[("exec-id", "ex-g16-%d" % code)])
    peer.send_data(s, raw.message(exec_details(command="sleep 300")))
    peer.reset(s, code)
    harness.eventually(lambda: not harness.processes(uid=harness.UID),
                       "the command is gone")


def varint(n):
    out = b""
    while n > 0x7f:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


@pytest.mark.parametrize("payload", [
    b"\x0a\x7f\x00",                    # length past the end
    b"\x0a" + b"\xff" * 11,             # varint of eleven bytes
    b"\x0a",                            # cut short
    b"\x0b\x0c",                        # groups
    b"\x07\x00",                        # wire type 7
    b"\x00\x00",                        # field 0
    b"\x0a\xff\xff\xff\xff\x0f",        # length near 4 GiB
    b"\x0a\x03\x12\x01\xff",            # ill-formed UTF-8 in a string
], ids=range(8))
def test_G17_malformed_protobuf(peer, payload):
    s = peer.open(path=raw.EXEC, extra=[("exec-id", "ex-g17-1")])
    peer.send_data(s, raw.message(payload), end=True)
    assert peer.status(s) == INVALID_ARGUMENT


def test_G17_unknown_fields_are_skipped(peer):
    more = b"\x98\x06\x05" + b"\xa2\x06\x03abc" + b"\xa9\x06" + b"8bytes!!" \
        + b"\xad\x06" + b"four"
    s = peer.open(path=raw.EXEC, extra=[("exec-id", "ex-g17-2")])
    peer.send_data(s, raw.message(exec_details(command="echo ok") + more),
                   end=True)
    assert peer.status(s) == 0
    assert ssh.ExecResponse.FromString(peer.messages(s)[0]).out == b"ok\n"


@pytest.mark.parametrize("field", ["command", "as_user", "shell_binary", "env"])
@pytest.mark.parametrize("bad", [b"a\x00b", b"a\xffb", b"\xed\xa0\x80"],
                         ids=["nul", "byte", "surrogate"])
def test_G18_bad_strings_are_refused(peer, field, bad):
    number = {"as_user": 1, "command": 2, "shell_binary": 3, "env": 4}[field]
    details = b"\x12\x02id" if field != "command" else b""
    details += bytes([number << 3 | 2]) + varint(len(bad)) + bad
    payload = b"\x0a" + varint(len(details)) + details
    s = peer.open(path=raw.EXEC, extra=[("exec-id", "ex-g18-1")])
    peer.send_data(s, raw.message(payload), end=True)
    assert peer.status(s) == INVALID_ARGUMENT


def test_G19_table_size_0_then_4096(peer):
    peer.until(lambda: any(isinstance(f, SettingsFrame) for f in peer.frames),
               "SETTINGS")
    assert peer.alive()
    peer.encoder.header_table_size = 0
    assert peer.alive()
    peer.encoder.header_table_size = 4096
    assert peer.alive() and peer.alive()


def test_G20_unknown_grpc_headers_are_ignored(peer):
    assert peer.unary(extra=[("grpc-tags-bin", "AAEC"),
                             ("grpc-whatever", "x"),
                             ("grpc-previous-rpc-attempts", "1")]) == 0


def test_unary_with_no_or_two_messages(peer):
    s = peer.open(end=True)
    assert peer.status(s) == INTERNAL
    s = peer.open()
    peer.send_data(s, raw.message() + raw.message(), end=True)
    assert peer.status(s) in (0, INTERNAL)


def test_stream_cut_inside_a_message(peer):
    s = peer.open(path=raw.EXEC, extra=[("exec-id", "ex-cut-1")])
    data = raw.message(exec_details(command="id"))
    peer.send_data(s, data[:-1], end=True)
    assert peer.status(s) == INTERNAL
