"""spec/clients.md 5.1 with raw frames, over plaintext and TLS."""

import os
import socket
import ssl
import struct
import subprocess
import time

import pytest

import harness
import raw
from harness import ssh
from raw import (GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame,
                 SettingsFrame, WindowUpdateFrame)


def tls_config(cert, key, more=""):
    return ("system:\n  logLevel: debug\n  grpc:\n    enableTLS: true\n"
            "    certFile: %s\n    keyFile: %s\n%s" % (cert, key, more))


@pytest.fixture(params=["plaintext", "ec", "rsa"])
def served(request, start, ec_cert, rsa_cert):
    if request.param == "plaintext":
        return start(), None
    cert, key = {"ec": ec_cert, "rsa": rsa_cert}[request.param]
    return start(config=tls_config(cert, key)), cert


def exec_details(command):
    return raw.message(ssh.ExecRequest(command_details=ssh.CommandDetails(
        command=command)).SerializeToString())


def open_exec(peer, command, id="ex-raw-1"):
    s = peer.open(path=raw.EXEC, extra=[("exec-id", id)])
    peer.send_data(s, exec_details(command))
    return s


def exec_out(peer, s):
    out = b""
    for m in peer.messages(s):
        r = ssh.ExecResponse.FromString(m)
        out += r.out
    return out


def test_TR_01_settings_come_first_and_unasked(served):
    d, ca = served
    with raw.Peer(d, ca, preface=False) as p:
        f = p.step()
        assert isinstance(f, SettingsFrame) and "ACK" not in f.flags


@pytest.fixture
def refusing(start, ec_cert):
    """(daemon, certificate); it has to be rid of whom it refused."""
    cert, key = ec_cert
    d = start(config=tls_config(cert, key))
    fds = d.fds()
    yield d, cert
    harness.eventually(lambda: d.fds() == fds, "connections are gone")


def test_TR_02_alpn_is_h2_and_suites_are_forward_secret(refusing):
    d, cert = refusing
    for suite in ("ECDHE-ECDSA-AES128-GCM-SHA256",
                  "ECDHE-ECDSA-AES256-GCM-SHA384",
                  "ECDHE-ECDSA-CHACHA20-POLY1305"):
        ctx = raw.tls_context(cert)
        ctx.maximum_version = ssl.TLSVersion.TLSv1_2
        ctx.set_ciphers(suite)
        with socket.create_connection(("127.0.0.1", d.port)) as s:
            with ctx.wrap_socket(s) as t:
                assert t.selected_alpn_protocol() == "h2"
                assert t.version() == "TLSv1.2"
                assert t.cipher()[0] == suite
    for suite in ("AES128-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"):
        ctx = raw.tls_context(cert)
        ctx.maximum_version = ssl.TLSVersion.TLSv1_2
        ctx.set_ciphers(suite + ":@SECLEVEL=0")
        with socket.create_connection(("127.0.0.1", d.port)) as s:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                ctx.wrap_socket(s)


@pytest.mark.parametrize("alpn", [None, ("http/1.1",)])
def test_TR_02_without_h2_in_alpn_there_is_no_connection(refusing, alpn):
    d, cert = refusing
    with socket.create_connection(("127.0.0.1", d.port)) as s:
        s.settimeout(5)
        try:
            t = raw.tls_context(cert, alpn).wrap_socket(s)
            t.sendall(raw.PREFACE + SettingsFrame(0).serialize())
            got = t.recv(100)
        except (ssl.SSLError, ConnectionError):
            got = b""
        assert got == b""


def test_TR_02_tls_1_1_is_refused(refusing):
    d, cert = refusing
    p = subprocess.run(["openssl", "s_client", "-connect",
                        "127.0.0.1:%d" % d.port, "-tls1_1", "-alpn", "h2",
                        "-cipher", "ALL:@SECLEVEL=0"],
                       stdin=subprocess.DEVNULL, capture_output=True,
                       timeout=10)
    assert b"Cipher is (NONE)" in p.stdout or p.returncode != 0


def test_TR_03_client_hello_in_pieces(start, ec_cert):
    cert, key = ec_cert
    d = start(config=tls_config(cert, key))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    obj = raw.tls_context(cert).wrap_bio(incoming, outgoing)
    with socket.create_connection(("127.0.0.1", d.port)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.settimeout(10)
        while True:
            try:
                obj.do_handshake()
                break
            except ssl.SSLWantReadError:
                hello = outgoing.read()
                for i in range(0, len(hello), 50):
                    s.sendall(hello[i:i + 50])
                    time.sleep(0.002)
                incoming.write(s.recv(65536))
        assert obj.selected_alpn_protocol() == "h2"


def test_TR_04_plaintext_with_prior_knowledge(start):
    d = start()
    p = subprocess.run(["nghttp", "-v", "-H", ":method: POST", "-H",
                        "content-type: application/grpc", "-d", "/dev/null",
                        "http://127.0.0.1:%d%s" % (d.port, raw.HANDSHAKE)],
                       capture_output=True, timeout=10)
    assert b"grpc-status: " in p.stdout, p.stdout


def test_TR_05_empty_settings_are_acknowledged_frames_stay_small(served):
    d, ca = served
    with raw.Peer(d, ca) as p:
        p.until(lambda: any(isinstance(f, SettingsFrame) and "ACK" in f.flags
                            for f in p.frames), "ACK")
        p.send_frame(WindowUpdateFrame(0, window_increment=1 << 24))
        s = open_exec(p, "head -c 300000 /dev/zero")
        p.send_frame(WindowUpdateFrame(s, window_increment=1 << 24))
        p.send_data(s, b"", end=True)
        assert p.status(s) == 0
        assert len(exec_out(p, s)) == 300000
        assert max(f.body_len for f in p.frames) <= 16384


@pytest.mark.parametrize("payload", [bytes([2, 4, 16, 16, 9, 14, 7, 7]),
                                     b"12345678"])
def test_TR_06_ping_is_answered_ahead_of_data(served, payload):
    d, ca = served
    with raw.Peer(d, ca) as p:
        s = open_exec(p, "yes")
        p.until(lambda: len(p.data.get(s, b"")) > 60000, "a full window")
        p.send_frame(PingFrame(0, payload))
        p.until(lambda: any(isinstance(f, PingFrame) for f in p.frames),
                "PING ACK")
        ack = [f for f in p.frames if isinstance(f, PingFrame)][0]
        assert "ACK" in ack.flags and ack.opaque_data == payload


def test_TR_06_bdp_probes_at_one_per_round_trip_are_fine(served):
    """What grpc-go does on DATA: opens the window by it, and measures."""
    d, ca = served
    with raw.Peer(d, ca) as p:
        s = open_exec(p, "cat")
        for n in range(1, 401):
            had = len(p.data.get(s, b""))
            m = ssh.ExecRequest(input=b"x" * 100).SerializeToString()
            p.send_data(s, raw.message(m))
            p.until(lambda: len(p.data.get(s, b"")) >= had + 100, "the echo")
            p.send_frame(WindowUpdateFrame(0, window_increment=200),
                         PingFrame(0, bytes([2, 4, 16, 16, 9, 14, 7, 7])))
            p.until(lambda: sum(isinstance(f, PingFrame)
                                for f in p.frames) >= n, "ACK %d" % n)
        assert p.goaway is None
        p.send_data(s, b"", end=True)
        assert p.status(s) == 0


def test_TR_07_new_initial_window_reaches_open_streams(served):
    d, ca = served
    with raw.Peer(d, ca) as p:
        p.send_frame(WindowUpdateFrame(0, window_increment=1 << 28))
        streams = [open_exec(p, "head -c 100000 /dev/zero", "ex-w-%d" % i)
                   for i in range(50)]
        for s in streams:
            p.send_data(s, b"", end=True)
        p.until(lambda: all(len(p.data.get(s, b"")) >= 65535
                            for s in streams), "full windows", 20)
        assert not any(p.over(s) for s in streams)
        p.send_frame(SettingsFrame(0, settings={
            SettingsFrame.INITIAL_WINDOW_SIZE: 16 << 20}))
        for s in streams:
            assert p.status(s, 20) == 0
            assert len(exec_out(p, s)) == 100000
        acks = [f for f in p.frames if isinstance(f, SettingsFrame)
                and "ACK" in f.flags]
        assert len(acks) == 2


def test_TR_08_two_hundred_streams_at_once(served):
    d, ca = served
    with raw.Peer(d, ca, timeout=30) as p:
        limit = p.settings().get(SettingsFrame.MAX_CONCURRENT_STREAMS, 1 << 31)
        assert limit >= 200
        streams = [open_exec(p, "read x", "ex-c-%d" % i) for i in range(200)]
        p.drain(0.5)
        assert not any(p.over(s) for s in streams)
        for s in streams:
            p.send_data(s, b"", end=True)
        for s in streams:
            assert p.status(s) == 0


def test_TR_09_large_indexed_authorization(served):
    d, ca = served
    token = ("Bearer " + "eyJhbGciOiJSUzI1NiJ9" * 100)[:2048]
    with raw.Peer(d, ca) as p:
        sizes = []
        for _ in range(3):
            headers = p.request_headers(extra=[("authorization", token)])
            block = p.encoder.encode(headers)
            sizes.append(len(block))
            s = p.next_stream
            p.next_stream += 2
            f = HeadersFrame(s, block)
            f.flags.add("END_HEADERS")
            p.send_frame(f)
            p.send_data(s, raw.message(), end=True)
            assert p.status(s) == 0
        assert sizes[1] < 100 < sizes[0], "not indexed: %r" % sizes


def test_TR_10_metadata_in_any_order(served):
    d, ca = served
    with raw.Peer(d, ca) as p:
        assert p.unary(extra=[("x-unknown", "1"), ("zzz", "2"),
                              ("x-connection-affinity", "a"),
                              ("grpc-previous-rpc-attempts", "1")]) == 0
        h = p.request_headers()
        s = p.open(headers=h[:4] + list(reversed(h[4:])))
        p.send_data(s, raw.message(), end=True)
        assert p.status(s) == 0


def test_TR_11_messages_and_frames_are_independent(served):
    d, ca = served
    with raw.Peer(d, ca) as p:
        s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-tr11-1")])
        data = exec_details("cat")
        data += b"".join(raw.message(ssh.ExecRequest(
            input=b"%d\n" % i).SerializeToString()) for i in range(100))
        for i in range(0, len(data), 7):
            p.send_data(s, data[i:i + 7])
        p.send_data(s, b"", end=True)
        assert p.status(s) == 0
        assert exec_out(p, s) == b"".join(b"%d\n" % i for i in range(100))
        s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-tr11-2")])
        p.send_data(s, data, end=True)
        assert p.status(s) == 0
        assert exec_out(p, s) == b"".join(b"%d\n" % i for i in range(100))


def test_TR_12_message_sizes(served):
    d, ca = served
    target, opts = d.target(), ()
    stub = harness.Stub(target, ca=ca, name="workspace.ns" if ca else None)
    with stub:
        r = stub.exec("wc -c", input=[b"x" * (1 << 20)] * 2, timeout=30)
        assert r.out.strip() == b"2097152"
    with raw.Peer(d, ca) as p:
        s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-tr12-1")])
        p.send_data(s, struct.pack(">BI", 0, (4 << 20) + 1))
        assert p.status(s) == 8
        assert p.alive()


def test_TR_13_answers_are_never_compressed(served):
    d, ca = served
    with raw.Peer(d, ca) as p:
        s = p.open(extra=[("grpc-accept-encoding", "gzip,identity")])
        p.send_data(s, raw.message(), end=True)
        assert p.status(s) == 0
        assert p.data[s][0] == 0
        for fields in p.headers[s]:
            assert dict(fields).get("grpc-encoding", "identity") == "identity"


@pytest.mark.parametrize("path", ["/k8shelld.SshService/Nope",
                                  "/nope.Service/Shell",
                                  "/k8shelld.AppService/ListApps"])
def test_TR_14_unimplemented_is_trailers_only(served, path):
    d, ca = served
    with raw.Peer(d, ca) as p:
        s = p.open(path=path)
        p.send_data(s, raw.message(), end=True)
        assert p.status(s) == 12
        assert len(p.headers[s]) == 1
        h = p.trailers(s)
        assert h[":status"] == "200"
        assert h["content-type"].startswith("application/grpc")


def test_TR_15_cancel_stops_the_work(served):
    d, ca = served
    with raw.Peer(d, ca) as p:
        s = open_exec(p, "echo up; sleep 300")
        p.until(lambda: exec_out(p, s) == b"up\n", "output")
        p.reset(s)
        harness.eventually(lambda: not harness.processes(uid=harness.UID),
                           "the command is gone")
        assert p.alive()
        assert not any(f.stream_id == s and isinstance(f, RstStreamFrame)
                       for f in p.frames)


def test_TR_16_reset_of_an_ended_stream(served):
    d, ca = served
    with raw.Peer(d, ca) as p:
        for code in (raw.NO_ERROR, raw.CANCEL):
            s = p.open()
            p.send_data(s, raw.message(), end=True)
            assert p.status(s) == 0
            p.reset(s, code)
        assert p.alive()


@pytest.mark.parametrize("at_once", [1, 200])
def test_TR_16_a_client_that_cancels_every_finished_call_is_served(
        start, at_once):
    """5 000 answers, a RST_STREAM behind each: none is held against it."""
    with raw.Peer(start()) as p:
        p.send_frame(WindowUpdateFrame(0, window_increment=1 << 30))
        data = raw.message()
        for _ in range(5000 // at_once):
            streams = []
            for _ in range(at_once):
                streams.append(p.open())
                p.send_data(streams[-1], data, end=True)
            for s in streams:
                assert p.status(s) == 0
            p.send_frame(*[RstStreamFrame(s, error_code=raw.CANCEL)
                           for s in streams])
            del p.frames[:]
        assert p.alive() and p.goaway is None


@pytest.mark.parametrize("how", ["goaway", "fin", "rst"])
def test_TR_17_lost_connection_cancels_every_stream(served, how):
    d, ca = served
    p = raw.Peer(d, ca)
    streams = [open_exec(p, "echo up; sleep 300", "ex-l-%d" % i)
               for i in range(5)]
    p.until(lambda: all(exec_out(p, s) == b"up\n" for s in streams), "output")
    if how == "goaway":
        p.send_frame(GoAwayFrame(0, last_stream_id=0, error_code=0,
                                 additional_data=b"client transport shutdown"))
    if how == "rst":
        p.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                          struct.pack("ii", 1, 0))
    p.close()
    harness.eventually(lambda: not harness.processes(uid=harness.UID),
                       "commands are gone")


def test_TR_18_silent_peer_is_pinged_and_dropped(start):
    d = start(config=harness.CONFIG + "limits:\n  h2:\n    keepalive: 300ms\n"
              "    keepaliveWait: 300ms\n")
    p = raw.Peer(d, polite=False)
    p.send_frame(SettingsFrame(0, flags=["ACK"]))
    s = open_exec(p, "echo up; sleep 300")
    p.until(lambda: any(isinstance(f, PingFrame) for f in p.frames), "PING")
    harness.eventually(lambda: not harness.processes(uid=harness.UID),
                       "the command of the dead client is gone")
    assert p.drain(3), "connection is still open"
    assert not p.over(s)


def test_TR_18_peer_that_answers_stays(start):
    d = start(config=harness.CONFIG + "limits:\n  h2:\n    keepalive: 200ms\n"
              "    keepaliveWait: 200ms\n")
    with raw.Peer(d) as p:
        s = open_exec(p, "cat")
        p.drain(0.15)
        p.until(lambda: sum(isinstance(f, PingFrame) for f in p.frames) >= 4,
                "four PINGs")
        p.send_data(s, b"", end=True)
        assert p.status(s) == 0


def test_TR_19_full_window_of_one_stream_leaves_the_others(served):
    d, ca = served
    with raw.Peer(d, ca) as p:
        p.send_frame(WindowUpdateFrame(0, window_increment=1 << 28))
        stalled = open_exec(p, "yes", "ex-tr19-1")
        p.until(lambda: len(p.data.get(stalled, b"")) >= 65535, "a full window")
        for i in range(20):
            s = open_exec(p, "head -c 50000 /dev/zero", "ex-tr19-%d" % (i + 2))
            p.send_data(s, b"", end=True)
            assert p.status(s) == 0
            assert len(exec_out(p, s)) == 50000


def test_TR_20_graceful_stop(served):
    d, ca = served
    with raw.Peer(d, ca) as p:
        s = open_exec(p, "echo up; read x; echo end")
        p.until(lambda: exec_out(p, s) == b"up\n", "output")
        os.kill(d.pid, 15)
        p.until(lambda: sum(isinstance(f, GoAwayFrame)
                            for f in p.frames) >= 2, "two GOAWAYs")
        first, second = [f for f in p.frames if isinstance(f, GoAwayFrame)][:2]
        assert first.last_stream_id == (1 << 31) - 1
        assert first.error_code == second.error_code == 0
        assert second.last_stream_id == s
        late = p.open()
        p.send_data(late, raw.message(), end=True)
        p.send_data(s, raw.message(ssh.ExecRequest(
            input=b"\n").SerializeToString()), end=True)
        assert p.status(s) == 0
        assert exec_out(p, s) == b"up\nend\n"
        assert p.drain(2), "still open"
        assert late not in p.headers
    assert d.proc.wait(5) == 0


def test_TR_22_grpc_message_is_percent_encoded(served):
    d, ca = served
    with raw.Peer(d, ca) as p:
        s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-tr22-1")])
        p.send_data(s, raw.message(ssh.ExecRequest(
            command_details=ssh.CommandDetails(
                command="true", as_user="no\u00e9%\n")).SerializeToString()),
            end=True)
        assert p.status(s) != 0
        text = p.trailers(s).get("grpc-message", "")
        assert all(0x20 <= ord(c) <= 0x7e for c in text)


def test_TR_24_token_with_auth_off_is_accepted_and_not_logged(served):
    d, ca = served
    secret = "very-secret-token-0123456789"
    with raw.Peer(d, ca) as p:
        assert p.unary(extra=[("authorization", "Bearer " + secret)]) == 0
        s = open_exec(p, "true")
        p.send_data(s, b"", end=True)
        assert p.status(s) == 0
    assert secret not in d.log()


def test_TR_25_renewed_certificate(start, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    old = harness.make_cert(str(tmp_path / "a"), "ec")
    new = harness.make_cert(str(tmp_path / "b"), "rsa")
    cert, key = str(tmp_path / "tls.crt"), str(tmp_path / "tls.key")
    for src, dst in zip(old, (cert, key)):
        with open(src) as f, open(dst, "w") as g:
            g.write(f.read())
    d = start(config=tls_config(cert, key, "    certReloadDelay: 100ms\n"))
    with raw.Peer(d, old[0]) as p:
        s = open_exec(p, "cat")
        # A broken pair first: the old one must stay in use.
        with open(key, "w") as f:
            f.write("not a key\n")
        harness.eventually(lambda: "not a key" not in d.log() and
                           "key" in d.log().split("TLS with")[-1],
                           "word about the bad key")
        with raw.Peer(d, old[0]) as q:
            assert q.alive()
        for src, dst in zip(new, (cert, key)):
            with open(src) as f, open(dst + ".new", "w") as g:
                g.write(f.read())
            os.rename(dst + ".new", dst)

        def renewed():
            try:
                with raw.Peer(d, new[0]) as q:
                    return q.alive()
            except ssl.SSLError:
                return False
        harness.eventually(renewed, "the new certificate")
        p.send_data(s, raw.message(ssh.ExecRequest(
            input=b"survived").SerializeToString()), end=True)
        assert p.status(s) == 0 and exec_out(p, s) == b"survived"


# ---- SystemService ----

def test_SY_01_handshake_of_zero_length(served):
    d, ca = served
    with raw.Peer(d, ca) as p:
        s = p.open()
        p.send_data(s, raw.message(), end=True)
        assert p.status(s) == 0
        resp = harness.system.HandshakeResponse.FromString(p.messages(s)[0])
        assert resp.accepted and resp.server_version


def test_SY_02_older_clients_send_user_token_and_token_metadata(served):
    d, ca = served
    with raw.Peer(d, ca) as p:
        payload = b"\x12\x05token"
        assert p.unary(payload=payload, extra=[("token", "abc")]) == 0


def test_SY_03_timeout_units_and_expiry(served):
    d, ca = served
    with raw.Peer(d, ca) as p:
        for t in ("4999876u", "99999999n", "5000m", "5S", "5M", "5H",
                  "99999999H"):
            s = p.open(extra=[("grpc-timeout", t)])
            p.send_data(s, raw.message(), end=True)
            assert p.status(s) == 0, t
        s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-sy3-1"),
                                         ("grpc-timeout", "300m")])
        p.send_data(s, exec_details("sleep 300"))
        p.until(lambda: p.over(s), "the deadline")
        if s in p.headers:
            assert p.status(s) == 4
        else:
            assert p.resets[s] == raw.CANCEL
        harness.eventually(lambda: not harness.processes(uid=harness.UID),
                           "the command is gone")


def test_SY_04_no_handshake_is_needed(served):
    d, ca = served
    with raw.Peer(d, ca) as p:
        s = open_exec(p, "echo first")
        p.send_data(s, b"", end=True)
        assert p.status(s) == 0 and exec_out(p, s) == b"first\n"


def test_handshake_compares_major_versions(start):
    with start().stub() as stub:
        ask = stub.Handshake
        ours = ask(harness.system.HandshakeRequest()).server_version
        major = int(ours.split(".")[0])
        for version, accepted in (("", True), (ours, True),
                                  ("v9.0", True), ("nonsense", True),
                                  ("%d.99-abc" % major, True),
                                  ("%d.0.0" % (major + 1), False)):
            r = ask(harness.system.HandshakeRequest(client_version=version))
            assert r.accepted is accepted, version
            assert (version in r.message and ours in r.message) \
                if not accepted else r.message == ""
