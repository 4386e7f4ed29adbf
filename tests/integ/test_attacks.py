"""Every attack of spec/security.md section 1, by raw frames."""

import socket
import struct
import time

import pytest

import harness
import raw
from attack import (CALM, PROTOCOL, Bystander, attack, closes_within,
                    exec_details, flood, header_start, starve)
from raw import (ContinuationFrame, DataFrame, HeadersFrame, PingFrame,
                 PriorityFrame, RstStreamFrame, SettingsFrame,
                 WindowUpdateFrame)


def test_CVE_2019_9511_data_dribble(attack):
    """Ask for much, open the window one byte at a time."""
    p, other = attack
    p.send_frame(SettingsFrame(0, settings={
        SettingsFrame.INITIAL_WINDOW_SIZE: 0}))
    streams = []
    for i in range(20):
        s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-drib-%d" % i)])
        p.send_data(s, exec_details("head -c 1000000 /dev/zero"))
        streams.append(s)
    for _ in range(50):
        try:
            p.send_frame(*[WindowUpdateFrame(s, window_increment=1)
                           for s in streams])
        except raw.Closed:
            break
        p.drain(0.01)
        other.check()


def test_CVE_2019_9512_ping_flood(attack):
    p, other = attack
    p.polite = False
    flood(p, PingFrame(0, b"floodfld").serialize() * 10, 2000, other)
    assert p.goaway_code() == CALM
    assert b"too_many_pings" in p.goaway.additional_data


def test_CVE_2019_9512_ping_flood_without_reading(shared):
    other = Bystander(shared)
    p = raw.Peer(shared)
    p.sock.settimeout(2)
    try:
        for _ in range(5000):
            p.send(PingFrame(0, b"floodfld").serialize() * 50)
    except (raw.Closed, socket.timeout):
        pass
    other.finish()
    p.close()


def test_CVE_2019_9513_priority_loop(attack):
    p, other = attack
    s = p.open()
    data = b"".join(PriorityFrame(s, depends_on=0, stream_weight=i % 256,
                                  exclusive=bool(i & 1)).serialize()
                    for i in range(100))
    flood(p, data, 200, other)
    assert p.goaway_code() == CALM


def test_CVE_2019_9514_reset_flood(attack):
    """Streams the server itself has to reset."""
    p, other = attack
    try:
        for i in range(2000):
            p.open(extra=[("connection", "close")])
            if i % 100 == 0:
                p.drain(0)
                other.check()
                if p.goaway is not None:
                    break
    except raw.Closed:
        pass
    assert p.goaway_code() in (CALM, PROTOCOL)


def test_CVE_2019_9515_settings_flood(attack):
    p, other = attack
    p.polite = False
    flood(p, SettingsFrame(0).serialize() * 10, 1000, other)
    assert p.goaway_code() == CALM


def test_CVE_2019_9516_zero_length_header_names(attack):
    p, other = attack
    for _ in range(3):
        s = p.next_stream
        p.next_stream += 2
        block = p.encoder.encode(p.request_headers()) + b"\x00\x00\x01x" * 50
        f = HeadersFrame(s, block, flags=["END_HEADERS", "END_STREAM"])
        p.send_frame(f)
        p.until(lambda: s in p.resets, "RST")
        assert p.resets[s] == PROTOCOL
    assert p.alive()


def test_CVE_2019_9517_internal_buffering(attack):
    """HTTP/2 windows wide open, the TCP window shut."""
    p, other = attack
    p.send_frame(SettingsFrame(0, settings={
        SettingsFrame.INITIAL_WINDOW_SIZE: (1 << 31) - 1}))
    p.send_frame(WindowUpdateFrame(0, window_increment=(1 << 31) - 65536))
    for i in range(10):
        s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-int-%d" % i)])
        p.send_data(s, exec_details("head -c 100000000 /dev/zero"))
    for _ in range(5):
        time.sleep(0.1)         # not a byte is read here
        other.check()


def test_CVE_2019_9518_empty_frames(attack):
    p, other = attack
    s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-emp-1")])
    flood(p, DataFrame(s, b"").serialize() * 10, 500, other)
    assert p.goaway_code() == CALM


def test_CVE_2019_9518_empty_padded_frames(attack):
    p, other = attack
    s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-emp-2")])
    f = DataFrame(s, b"", flags=["PADDED"])
    f.pad_length = 10
    flood(p, f.serialize() * 10, 500, other)
    assert p.goaway_code() == CALM


def test_CVE_2016_1546_slow_read_unary(start):
    d = start()
    other = Bystander(d)
    with raw.Peer(d) as p:
        starve(p)
        for _ in range(100):
            s = p.open()
            p.send_data(s, raw.message(), end=True)
        p.drain(0.3)
        other.finish()


def test_CVE_2023_44487_rapid_reset(attack):
    p, other = attack
    details = exec_details("sleep 30")
    begin = time.monotonic()
    try:
        for i in range(3000):
            s = p.next_stream
            p.next_stream += 2
            block = p.encoder.encode(p.request_headers(
                path=raw.EXEC, extra=[("exec-id", "ex-rr-1")]))
            p.send_frame(HeadersFrame(s, block, flags=["END_HEADERS"]),
                         DataFrame(s, details),
                         RstStreamFrame(s, error_code=raw.CANCEL))
            if i % 100 == 0:
                p.drain(0)
                other.check()
                # forkBurst, and forkRate a second since
                n = len(harness.processes(uid=harness.UID))
                assert n <= 256 + 200 * (time.monotonic() - begin)
                if p.goaway is not None:
                    break
    except raw.Closed:
        pass
    assert p.goaway_code() == CALM
    harness.eventually(lambda: not harness.processes(uid=harness.UID),
                       "every command is gone")


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_CVE_2024_27316_continuation_flood(attack, size):
    """Also CVE-2023-45288, CVE-2024-27983, -28182, -30255, -31309, and
    CVE-2026-33871: counted by frames, so that zero length counts."""
    p, other = attack
    f, _ = header_start(p, 1)
    p.send_frame(f)
    flood(p, ContinuationFrame(1, b"\x00" * size).serialize(), 100, other, 10)
    assert p.goaway_code() in (CALM, PROTOCOL, raw.COMPRESSION_ERROR)


@pytest.mark.parametrize("what", ["window 0", "window overflow",
                                  "priority length", "priority itself",
                                  "headers after end", "data after end"])
def test_CVE_2025_8671_made_you_reset(attack, what):
    p, other = attack
    s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-myr-1")])
    p.send_data(s, exec_details("sleep 30"),
                end=what.endswith("after end"))
    bad = {
        "window 0": raw.frame(8, 0, s, struct.pack(">I", 0)),
        "window overflow": raw.frame(8, 0, s, struct.pack(">I", (1 << 31) - 1)),
        "priority length": raw.frame(2, 0, s, b"1234"),
        "priority itself": raw.frame(2, 0, s, struct.pack(">IB", s, 1)),
        "headers after end": None,
        "data after end": DataFrame(s, b"late").serialize(),
    }[what]
    if bad is None:
        bad = HeadersFrame(s, p.encoder.encode([("x", "y")]), flags=[
            "END_HEADERS", "END_STREAM"]).serialize()
    p.send(bad)
    assert p.goaway_code() in (PROTOCOL, raw.FLOW_CONTROL_ERROR,
                               raw.STREAM_CLOSED, raw.FRAME_SIZE_ERROR)
    harness.eventually(lambda: not harness.processes(uid=harness.UID),
                       "the command is gone")


def test_hpack_bomb(attack):
    """A 4 KiB entry referred to by one-byte indexes."""
    p, other = attack
    big = [("x-bomb", "b" * 3900)]
    p.open(extra=big)
    for _ in range(20):
        s = p.next_stream
        p.next_stream += 2
        block = p.encoder.encode(p.request_headers()) + b"\xbe" * 4000
        f = HeadersFrame(s, block, flags=["END_HEADERS", "END_STREAM"])
        p.send_frame(f)
        p.until(lambda: p.over(s) or p.goaway, "a refusal")
        if p.goaway:
            break
        if s in p.headers:
            assert p.status(s) == 8
        other.check()


def test_garbage_instead_of_a_preface(shared):
    other = Bystander(shared)
    for junk in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00",
                 b"\x00" * 1000, b"SSH-2.0-x\r\n"):
        with socket.create_connection(("127.0.0.1", shared.port)) as s:
            s.sendall(junk + b"\x00" * 24)
            assert closes_within(s, 5)
    other.finish()
