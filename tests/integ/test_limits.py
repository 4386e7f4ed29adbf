"""Every attack of spec/security.md section 1 and every limit of 2.1.

Each test checks three things: what the attacker gets, that the daemon's memory
stays where it was, and that another client is served meanwhile.
"""

import socket
import ssl
import struct
import time

import pytest

import harness
import raw
from harness import ssh
from raw import (ContinuationFrame, DataFrame, HeadersFrame, PingFrame,
                 PriorityFrame, RstStreamFrame, SettingsFrame,
                 WindowUpdateFrame)

CALM, PROTOCOL = raw.ENHANCE_YOUR_CALM, raw.PROTOCOL_ERROR
MEMORY_KIB = 4096       # spec/performance.md 5.2: under attack + <= 4 MB
QUARANTINE_KIB = 65536  # what a sanitizer holds back of freed memory


def memory_bound(kib=MEMORY_KIB):
    with open(harness.BINARY, "rb") as f:
        return kib if b"__asan_init" not in f.read() else QUARANTINE_KIB


class Bystander:
    """A second client, asked before, during and after the attack."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.peer = raw.Peer(daemon)
        assert self.peer.alive()
        self.rss = daemon.rss_kib()
        self.bound = memory_bound()

    def check(self):
        assert self.peer.alive()
        grown = self.daemon.rss_kib() - self.rss
        assert grown < self.bound, "%d KiB more" % grown


@pytest.fixture
def attack(shared):
    """(attacker, bystander) on one daemon; checked again at the end."""
    other = Bystander(shared)
    with raw.Peer(shared) as p:
        p.settings()
        yield p, other
    other.check()
    with raw.Peer(shared) as fresh:
        assert fresh.alive()
    other.peer.close()


def flood(p, data, times, other=None, every=200):
    """Send data many times; stops when the server has had enough."""
    try:
        for i in range(times):
            p.send(data)
            if i % every == 0:
                p.drain(0)
                if other is not None:
                    other.check()
                if p.goaway is not None:
                    return
    except raw.Closed:
        pass


def exec_details(command):
    return raw.message(ssh.ExecRequest(command_details=ssh.CommandDetails(
        command=command)).SerializeToString())


# ---- the list of attacks ----

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
    other.check()
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
    """A unary answer that can't be sent ends; a shell's may wait."""
    d = start()
    other = Bystander(d)
    with raw.Peer(d) as p:
        p.send_frame(SettingsFrame(0, settings={
            SettingsFrame.INITIAL_WINDOW_SIZE: 0}))
        for _ in range(100):
            s = p.open()
            p.send_data(s, raw.message(), end=True)
        p.drain(0.3)
        other.check()


def test_CVE_2023_44487_rapid_reset(attack):
    p, other = attack
    details = exec_details("sleep 30")
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
                assert len(harness.processes(uid=harness.UID)) < 300
                if p.goaway is not None:
                    break
    except raw.Closed:
        pass
    assert p.goaway_code() == CALM
    harness.eventually(lambda: not harness.processes(uid=harness.UID),
                       "every command is gone")


def header_start(p, stream, extra=()):
    block = p.encoder.encode(p.request_headers(extra=extra))
    return HeadersFrame(stream, block, flags=[]), block


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_CVE_2024_27316_continuation_flood(attack, size):
    """Also CVE-2026-33871: counted by frames, so that zero length counts."""
    p, other = attack
    f, _ = header_start(p, 1)
    p.send_frame(f)
    flood(p, ContinuationFrame(1, b"\x00" * size).serialize(), 100, other, 10)
    assert p.goaway_code() in (CALM, PROTOCOL, raw.COMPRESSION_ERROR)


def test_limit_continuation_eight_is_fine_nine_is_not(attack):
    p, other = attack
    block = p.encoder.encode(p.request_headers())
    cuts = [block[i:i + 1] for i in range(8)] + [block[8:]]
    p.send_frame(HeadersFrame(1, cuts[0], flags=["END_STREAM"]))
    for c in cuts[1:8]:
        p.send_frame(ContinuationFrame(1, c))
    p.send_frame(ContinuationFrame(1, cuts[8], flags=["END_HEADERS"]))
    p.until(lambda: p.over(1), "the answer")
    assert p.goaway is None
    p.next_stream = 3
    p.send_frame(HeadersFrame(3, b"", flags=[]))
    for _ in range(9):
        p.send_frame(ContinuationFrame(3, b""))
    assert p.goaway_code() == CALM


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


# ---- the limits ----

def test_limit_connections_not_authenticated(start):
    d = start(config=harness.CONFIG + "limits:\n  connections: 8\n"
              "  unauthenticated: 4\n")
    with d.stub() as stub:
        assert stub.exec("echo ok").out == b"ok\n"
        idle = [socket.create_connection(("127.0.0.1", d.port))
                for _ in range(12)]
        time.sleep(0.3)
        closed = 0
        for s in idle:
            s.settimeout(0.2)
            try:
                while True:
                    if not s.recv(100):
                        closed += 1
                        break
            except ConnectionResetError:
                closed += 1
            except socket.timeout:
                pass
        assert closed >= 8
        assert stub.exec("echo ok").out == b"ok\n"
        for s in idle:
            s.close()
    harness.eventually(lambda: raw_alive(d), "room again")


def raw_alive(d):
    try:
        with raw.Peer(d, timeout=2) as p:
            return p.alive()
    except (raw.Closed, OSError, AssertionError):
        return False


def test_limit_connections_in_all(start):
    d = start(config=harness.CONFIG + "limits:\n  connections: 6\n"
              "  unauthenticated: 3\n")
    good = []
    for _ in range(6):
        p = raw.Peer(d)
        assert p.alive()
        good.append(p)
    assert not raw_alive(d)
    assert all(p.alive() for p in good)
    good.pop().close()
    harness.eventually(lambda: raw_alive(d), "room again")
    for p in good:
        p.close()


def closes_within(sock, seconds):
    sock.settimeout(seconds)
    try:
        while sock.recv(4096):
            pass
        return True
    except socket.timeout:
        return False
    except OSError:
        return True


def test_limit_tls_handshake_time(start, ec_cert):
    cert, key = ec_cert
    d = start(config="system:\n  grpc:\n    enableTLS: true\n    certFile: %s\n"
              "    keyFile: %s\nlimits:\n  h2:\n    handshake: 400ms\n"
              % (cert, key))
    for first in (b"", b"\x16\x03\x01"):
        with socket.create_connection(("127.0.0.1", d.port)) as s:
            s.sendall(first)
            assert closes_within(s, 5)


def test_limit_preface_time(start):
    d = start(config=harness.CONFIG + "limits:\n  h2:\n    handshake: 400ms\n")
    for first in (b"", raw.PREFACE[:10], raw.PREFACE):
        with socket.create_connection(("127.0.0.1", d.port)) as s:
            s.sendall(first)
            assert closes_within(s, 5), first


def test_limit_first_good_token_time(start):
    d = start(config=harness.CONFIG + "limits:\n  h2:\n    firstToken: 400ms\n")
    with raw.Peer(d) as p:
        p.until(lambda: p.goaway is not None or p.closed, "the end", 5)
    with raw.Peer(d) as p:
        assert p.alive()
        assert not p.drain(1)
        assert p.goaway is None


def test_limit_idle_time(start):
    d = start(config=harness.CONFIG + "limits:\n  h2:\n    idle: 400ms\n")
    with raw.Peer(d) as p:
        assert p.alive()
        s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-idle-1")])
        p.send_data(s, exec_details("sleep 1"))
        assert p.status(s) == 0         # a stream is not idleness
        assert p.goaway_code(5) == raw.NO_ERROR


def test_limit_settings_ack_time(start):
    d = start(config=harness.CONFIG + "limits:\n  h2:\n    settingsAck: 300ms\n")
    with raw.Peer(d, polite=False) as p:
        assert p.goaway_code(5) == raw.SETTINGS_TIMEOUT


def test_limit_write_without_progress(start):
    d = start(config=harness.CONFIG + "limits:\n  h2:\n    writeStall: 500ms\n")
    with raw.Peer(d) as p:
        p.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        p.send_frame(WindowUpdateFrame(0, window_increment=1 << 30),
                     SettingsFrame(0, settings={
                         SettingsFrame.INITIAL_WINDOW_SIZE: 1 << 30}))
        s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-stall-1")])
        p.send_data(s, exec_details("yes"))
        harness.eventually(lambda: harness.processes(uid=harness.UID), "yes")
        harness.eventually(lambda: not harness.processes(uid=harness.UID),
                           "the connection was dropped")


def test_limit_concurrent_streams(start):
    d = start(config=harness.CONFIG + "limits:\n  h2:\n    maxStreams: 10\n")
    with raw.Peer(d) as p:
        assert p.settings()[SettingsFrame.MAX_CONCURRENT_STREAMS] == 10
        streams = []
        for i in range(10):
            s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-max-%d" % i)])
            p.send_data(s, exec_details("read x"))
            streams.append(s)
        extra = p.open()
        p.until(lambda: extra in p.resets, "RST")
        assert p.resets[extra] == raw.REFUSED_STREAM
        p.send_data(streams[0], b"", end=True)
        assert p.status(streams[0]) == 0
        assert p.alive()


def test_limit_live_handlers_outlive_their_streams(attack):
    """Reset streams hold their slot until the process behind has ended."""
    p, other = attack
    for i in range(256):
        s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-live-%d" % i)])
        p.send_data(s, exec_details("trap '' HUP; echo up; while :; do sleep 1; "
                                    "done"))
        p.until(lambda: s in p.data, "output")
        p.reset(s)
    refused = 0
    for i in range(20):
        s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-live-x%d" % i)])
        p.drain(0.01)
        refused += p.resets.get(s) == raw.REFUSED_STREAM
        if not p.over(s):
            p.reset(s)
    assert refused > 0
    harness.eventually(lambda: not harness.processes(uid=harness.UID),
                       "all killed")
    harness.eventually(p.alive, "slots are free again")


def test_limit_header_list(attack):
    p, other = attack
    assert p.settings()[SettingsFrame.MAX_HEADER_LIST_SIZE] == 16384
    assert p.unary(extra=[("x-pad", "a" * 15000)]) == 0
    assert p.unary(extra=[("x-pad", "b" * 17000)]) == 8
    assert p.alive()        # the dynamic table stayed in step
    assert p.unary(extra=[("x-pad", "b" * 17000)]) == 8


def test_limit_header_block_on_the_wire(attack):
    p, other = attack
    block = p.encoder.encode(p.request_headers()) + \
        b"\x10\x01x\x7f\x81\x7f" + b"y" * 16510
    big = b"".join([b"\x00\x01x\x7f\x81\x7f" + b"y" * 16510] * 5)
    p.send_frame(HeadersFrame(1, big[:16384], flags=[]))
    for i in range(1, 6):
        try:
            p.send_frame(ContinuationFrame(1, big[i * 16384:(i + 1) * 16384]))
        except raw.Closed:
            break
    assert p.goaway_code() == CALM


def test_limit_header_fields(attack):
    p, other = attack
    assert p.unary(extra=[("x-%d" % i, "v") for i in range(90)]) == 0
    s = p.open(extra=[("x-%d" % i, "v") for i in range(150)])
    p.until(lambda: p.over(s), "a refusal")
    assert p.alive()


@pytest.mark.parametrize("name,value", [("X-Upper", "v"), ("x-cr", "a\rb"),
                                        ("x-lf", "a\nb"), ("x-nul", "a\0b"),
                                        ("", "v")])
def test_limit_malformed_fields(attack, name, value):
    p, other = attack
    s = p.next_stream
    p.next_stream += 2
    literal = b"\x00" + bytes([len(name)]) + name.encode() + \
        bytes([len(value)]) + value.encode()
    block = p.encoder.encode(p.request_headers()) + literal
    p.send_frame(HeadersFrame(s, block, flags=["END_HEADERS", "END_STREAM"]))
    p.until(lambda: s in p.resets, "RST")
    assert p.resets[s] == PROTOCOL
    assert p.alive()


def test_limit_resets_burst_is_allowed(attack):
    """A console may close all it has at once."""
    p, other = attack
    for _ in range(250):
        s = p.open(path=raw.SHELL)
        p.reset(s)
    assert p.alive() and p.goaway is None


def test_limit_ping_bucket_and_strikes(attack):
    p, other = attack
    for i in range(2):
        p.send_frame(PingFrame(0, b"%08d" % i))
    p.drain(0.1)
    assert p.goaway is None
    p.polite = False
    for i in range(200):
        try:
            p.send_frame(PingFrame(0, b"%08d" % i))
        except raw.Closed:
            break
    assert p.goaway_code() == CALM


def test_limit_settings_entries(attack):
    p, other = attack
    entry = struct.pack(">HI", 0x99, 1)
    p.send(raw.frame(4, 0, 0, entry * 32))
    assert p.alive()
    p.send(raw.frame(4, 0, 0, entry * 33))
    assert p.goaway_code() == CALM


def test_limit_window_updates(attack):
    p, other = attack
    flood(p, WindowUpdateFrame(0, window_increment=1).serialize() * 10, 1000,
          other)
    assert p.goaway_code() == CALM


def test_limit_empty_frames_eight_are_fine(attack):
    p, other = attack
    s = p.open()
    for _ in range(8):
        p.send_frame(DataFrame(s, b""))
    p.send_data(s, raw.message(), end=True)
    assert p.status(s) == 0
    s = p.open()
    for _ in range(9):
        p.send_frame(DataFrame(s, b""))
    assert p.goaway_code() == CALM


def test_limit_glitches_unknown_frame_types(attack):
    p, other = attack
    for _ in range(100):
        p.send(raw.frame(0x77, 0xff, 1, b"whatever"))
    assert p.alive()
    flood(p, raw.frame(0x77, 0, 0, b"x") * 20, 1000, other)
    assert p.goaway_code() == CALM


def test_limit_frame_size(attack):
    p, other = attack
    s = p.open()
    p.send(raw.frame(0, 0, s, b"x" * 16385))
    assert p.goaway_code() == raw.FRAME_SIZE_ERROR


def test_limit_receive_windows(attack):
    """What a handler does not take stays with the sender."""
    p, other = attack
    s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-rw-1")])
    p.send_data(s, exec_details("sleep 30"))
    window = p.settings().get(SettingsFrame.INITIAL_WINDOW_SIZE, 65535)
    sent = len(exec_details("sleep 30"))
    credit = window
    m = raw.message(ssh.ExecRequest(input=b"z" * 16000).SerializeToString())
    total = 0
    while total < 8 << 20:
        p.drain(0.05 if credit - sent < len(m) else 0)
        credit = window + sum(f.window_increment for f in p.frames
                              if isinstance(f, WindowUpdateFrame)
                              and f.stream_id == s)
        if credit - sent < len(m):
            break
        p.send_data(s, m)
        sent += len(m)
        total += len(m)
    assert (1 << 20) <= total < 3 << 20, total
    other.check()
    q = p.open()            # the connection's own window is not used up
    p.send_data(q, raw.message(), end=True)
    assert p.status(q) == 0


def test_limit_receive_window_is_enforced(attack):
    p, other = attack
    s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-rw-2")])
    p.send_data(s, exec_details("sleep 30"))
    try:
        for _ in range(400):
            p.send_data(s, raw.message(ssh.ExecRequest(
                input=b"z" * 16000).SerializeToString()))
    except raw.Closed:
        pass
    assert p.goaway_code() == raw.FLOW_CONTROL_ERROR or s in p.resets


def test_limit_data_before_the_token_is_not_kept(start, tmp_path):
    (tmp_path / "jwks.json").write_text('{"keys": []}')
    d = start(config=harness.CONFIG + "    authEnabled: true\n"
              "    audience: k8shelld\n    jwksFile: %s/jwks.json\n" % tmp_path)
    before = d.rss_kib()
    with raw.Peer(d) as p:
        for _ in range(50):
            s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-na-1")])
            for _ in range(3):
                p.send_frame(DataFrame(s, struct.pack(">BI", 0, 4 << 20)
                                       + b"x" * 16000))
            assert p.status(s) == 16
            assert p.resets.get(s, raw.NO_ERROR) == raw.NO_ERROR
        assert p.goaway is None
    assert d.rss_kib() - before < memory_bound(1024)


def test_limit_message_length_alone_allocates_nothing(attack):
    p, other = attack
    for i in range(100):
        s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-len-%d" % i)])
        p.send_data(s, struct.pack(">BI", 0, 4 << 20) + b"x")
    p.drain(0.2)
    other.check()


def test_limit_fork_rate(start):
    d = start(config=harness.CONFIG + "limits:\n  forksPerSecond: 1\n"
              "  forkBurst: 5\n")
    with raw.Peer(d) as p:
        codes = []
        for i in range(10):
            s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-rate-%d" % i)])
            p.send_data(s, exec_details("true"), end=True)
            codes.append(p.status(s))
        assert codes[:5] == [0] * 5 and 8 in codes[5:]
        assert p.alive()


def test_limit_stream_ids_run_out_gracefully(attack):
    p, other = attack
    s = p.open(stream=(1 << 31) // 4 * 3 + 1)
    p.send_data(s, raw.message(), end=True)
    assert p.status(s) == 0
    assert p.goaway_code() == raw.NO_ERROR


def test_garbage_instead_of_a_preface(shared):
    other = Bystander(shared)
    for junk in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00",
                 b"\x00" * 1000, b"SSH-2.0-x\r\n"):
        with socket.create_connection(("127.0.0.1", shared.port)) as s:
            s.sendall(junk + b"\x00" * 24)
            assert closes_within(s, 5)
    other.check()
    other.peer.close()
