"""Every limit of spec/security.md 2.1: at it, and above it."""

import os
import socket
import struct
import time

import pytest

import harness
import raw
from attack import (CALM, PROTOCOL, Bystander, attack, closes_within,
                    exec_details, flood, header_start, memory_bound, starve)
from harness import ssh
from raw import (ContinuationFrame, DataFrame, HeadersFrame, PingFrame,
                 SettingsFrame, WindowUpdateFrame)


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


def answers(p):
    try:
        return p.alive()
    except AssertionError:
        return False


def raw_alive(d):
    try:
        with raw.Peer(d, timeout=2) as p:
            return answers(p)
    except (raw.Closed, OSError):
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
    d = start(config=harness.CONFIG + "limits:\n  h2:\n"
              "    settingsAck: 300ms\n")
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


@pytest.mark.long
def test_limit_unary_answer_nobody_fetches(start):
    """It ends after a minute; a shell's output may wait."""
    d = start()
    with raw.Peer(d) as p:
        starve(p)
        shell = p.open(path=raw.EXEC, extra=[("exec-id", "ex-zero-1")])
        p.send_data(shell, exec_details("echo waits; read x"))
        s = p.open()
        p.send_data(s, raw.message(), end=True)
        p.until(lambda: s in p.resets, "RST", 75)
        assert p.resets[s] == raw.CANCEL
        assert not p.over(shell)
        p.send_frame(WindowUpdateFrame(shell, window_increment=1000))
        p.until(lambda: b"waits" in p.data.get(shell, b""), "the output")


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
    streams = []
    for i in range(256):
        s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-live-%d" % i)])
        p.send_data(s, exec_details(
            "trap '' HUP; echo up; while :; do sleep 1; done"))
        streams.append(s)
        if i % 32 == 31:
            p.until(lambda: all(s in p.data for s in streams), "output")
    for s in streams:
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
    harness.eventually(lambda: answers(p), "slots are free again")


def test_limit_live_handlers_of_the_process(start):
    """Five connections cannot have more than four may."""
    d = start()
    other = Bystander(d)
    peers = [raw.Peer(d) for _ in range(5)]
    for p in peers:
        p.settings()
        for _ in range(240):
            p.open(path=raw.EXEC, extra=[("exec-id", "ex-proc-1")])
        p.drain(0.1)
    refused = [list(p.resets.values()) for p in peers]
    assert refused[:4] == [[]] * 4
    assert set(refused[4]) == {raw.REFUSED_STREAM}
    assert len(refused[4]) == 5 * 240 - 1024
    for p in peers:
        p.close()
    harness.eventually(lambda: raw_alive(d), "slots are free again")
    other.finish()


def test_limit_header_block_time(attack):
    """A block holds up every other stream until it is complete."""
    p, other = attack
    f, _ = header_start(p, 1)
    p.send_frame(f)
    assert p.goaway_code(15) == CALM


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


def test_limit_our_own_no_error_resets_are_free(attack):
    """G9: what follows an early answer is nobody's fault."""
    p, other = attack
    for i in range(700):
        s = p.open(path="/nope/nope")
        if i % 50 == 0:
            p.until(lambda: s in p.resets, "RST NO_ERROR")
    p.until(lambda: s in p.resets, "RST NO_ERROR")
    assert set(p.resets.values()) == {raw.NO_ERROR} and len(p.resets) == 700
    assert p.alive()


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
        p.drain(0.3 if credit - sent < len(m) else 0)
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


def push(p, s, window, piece, tries):
    """Sends as much of tries pieces as the stream's window lets out."""
    sent = 0
    for _ in range(tries):
        credit = window + sum(f.window_increment for f in p.frames
                              if isinstance(f, WindowUpdateFrame)
                              and f.stream_id == s)
        if p.over(s):
            break
        if sent + len(piece) > credit:
            p.drain(0.005)
            continue
        p.send_data(s, piece)
        sent += len(piece)
    return sent


def test_limit_bytes_held_in_all(start):
    """Long messages that never end, on many streams of many connections."""
    d = start()
    other = Bystander(d)
    other.bound = memory_bound((32 + 8) << 10)
    peers = [raw.Peer(d) for _ in range(4)]
    for p in peers:
        p.settings()        # or the last one's ACK would come too late
    total = 0
    for p in peers:
        for i in range(16):
            s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-held-%d" % i)])
            p.send_data(s, struct.pack(">BI", 0, 4 << 20))
            total += push(p, s, 65000, b"x" * 16000, 120)
        other.check()
    assert total > 40 << 20, total
    other.finish()
    for p in peers:
        p.close()


def test_limit_messages_out_are_small(attack):
    p, other = attack
    p.send_frame(WindowUpdateFrame(0, window_increment=1 << 24))
    s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-out-1")])
    p.send_frame(WindowUpdateFrame(s, window_increment=1 << 24))
    p.send_data(s, exec_details("head -c 1000000 /dev/zero"), end=True)
    assert p.status(s) == 0
    sizes = [len(ssh.ExecResponse.FromString(m).out) for m in p.messages(s)]
    assert sum(sizes) == 1000000 and max(sizes) <= 32768


def test_limit_table_we_compress_with_is_the_peers(attack):
    """Never above what it allows, and told so in time."""
    p, other = attack
    assert p.alive()
    p.send_frame(SettingsFrame(0, settings={
        SettingsFrame.HEADER_TABLE_SIZE: 0}))
    p.until(lambda: sum(isinstance(f, SettingsFrame) and "ACK" in f.flags
                        for f in p.frames) == 2, "ACK")
    p.decoder.max_allowed_table_size = 0
    assert p.alive() and p.decoder.header_table_size == 0
    assert p.alive()


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


def test_limit_input_that_waits_in_the_process(start):
    """1 MiB for each command that does not read, 32 MiB for all."""
    d = start()

    def request(**kwargs):
        return raw.message(ssh.ExecRequest(**kwargs).SerializeToString())

    piece = request(input=b"x" * 30000)
    with raw.Peer(d) as p, d.stub() as stub:
        base, credit = d.rss_kib(), {}
        for i in range(90):
            s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-in-%d" % i)])
            start_it = request(command_details=ssh.CommandDetails(
                command="exec sleep 60"))
            p.send_data(s, start_it)
            credit[s] = 65535 - len(start_it)
        idle = 0
        while idle < 3:
            sent = False
            for s in credit:
                while credit[s] >= len(piece):
                    p.send_data(s, piece)
                    credit[s] -= len(piece)
                    sent = True
            del p.frames[:]
            p.drain(0.1)
            for f in p.frames:
                if isinstance(f, raw.WindowUpdateFrame) and f.stream_id:
                    credit[f.stream_id] += f.window_increment
            idle = 0 if sent else idle + 1
        assert d.rss_kib() - base < memory_bound(64 << 10)
        data = os.urandom(1 << 20)
        pieces = [data[i:i + 30000] for i in range(0, len(data), 30000)]
        assert stub.exec("cat", input=pieces).out == data
        for s in credit:
            p.reset(s)
        assert p.alive()
    with d.stub() as stub:
        harness.eventually(lambda: len(harness.processes(uid=harness.UID))
                           == 0, "all are gone")
        assert stub.exec("cat", input=[data]).out == data
