"""What it takes to be there: memory, start, file size."""

import os
import socket
import ssl
import time

from measure import SERVER_CORE, Row, run
from peers import HANDSHAKE, ROOT, Nghttpd, Ours, free_port, helper

MIB = 1 << 20
IDLE_S = 5.0
CONNECTIONS = 50


class Idle:
    """A TLS connection that made one call and now does nothing."""

    def __init__(self, server, cert):
        context = ssl.create_default_context(cafile=cert)
        context.set_alpn_protocols(["h2"])
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        raw = socket.create_connection(("127.0.0.1", server.port), 10)
        self.socket = context.wrap_socket(raw, server_hostname="localhost")
        self._call(getattr(server, "path", HANDSHAKE), server.token())

    @staticmethod
    def _field(name, value):
        """HPACK: literal, new name, not indexed; lengths below 127."""
        return b"".join([b"\0", bytes([len(name)]), name.encode(),
                         bytes([len(value)]), value.encode()])

    @staticmethod
    def _frame(kind, flags, stream, payload=b""):
        return (len(payload).to_bytes(3, "big") + bytes([kind, flags])
                + stream.to_bytes(4, "big") + payload)

    def _call(self, path, token):
        headers = b"".join(self._field(*f) for f in (
            (":method", "POST"), (":scheme", "https"), (":path", path),
            (":authority", "localhost"), ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("authorization", "Bearer " + token)))
        self.socket.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self._frame(4, 0, 0)
            + self._frame(4, 1, 0) + self._frame(1, 4, 1, headers)
            + self._frame(0, 1, 1, bytes(5)))
        data = b""
        while not self._ended(data):
            got = self.socket.recv(65536)
            if not got:
                raise RuntimeError("connection closed")
            data += got

    @staticmethod
    def _ended(data):
        """Is there a frame that ends stream 1?"""
        while len(data) >= 9:
            length = int.from_bytes(data[:3], "big")
            if data[3] in (0, 1) and data[4] & 1:
                return True
            data = data[9 + length:]
        return False

    def close(self):
        self.socket.close()


def per_connection(bench, kind):
    with kind(bench.folder(), bench.cert) as server:
        Idle(server, bench.cert[0]).close()     # what is loaded only once
        time.sleep(1)
        before = server.memory()[0]
        held = [Idle(server, bench.cert[0]) for _ in range(CONNECTIONS)]
        time.sleep(IDLE_S)
        grown = server.memory()[0] - before
        for connection in held:
            connection.close()
    return grown / CONNECTIONS


def memory(bench):
    runs = 3
    bench.say("memory")
    resident, anonymous, theirs = [], [], []
    for _ in range(runs):
        with Ours(bench.folder(), bench.cert) as ours, \
                Nghttpd(bench.folder(), bench.cert) as peer:
            time.sleep(IDLE_S)
            for got, kept in zip(ours.memory(), (resident, anonymous)):
                kept.append(got / MIB)
            theirs.append(peer.memory()[0] / MIB)
    yield Row("idle memory, TLS loaded (nghttpd beside it)", "MiB", floor=2,
              aim=1.1, lower=True, bound="MiB").of_values(resident, theirs)
    yield Row("  of it anonymous", "MiB", floor=0.5, lower=True,
              bound="MiB").of_values(anonymous)
    couples = [(per_connection(bench, Ours) / 1024,
                per_connection(bench, Nghttpd) / 1024) for _ in range(runs)]
    yield Row("memory per idle TLS connection vs nghttpd", "KiB", floor=1,
              aim=0.75, lower=True).of_pairs((couples, 0))


def cold_start(bench):
    """Alternating, so that both see the same machine."""
    bench.say("cold start")
    times = {Ours: [], Nghttpd: []}
    folder = bench.folder()
    for _ in range(bench.starts):
        for kind in times:
            port = free_port()
            out = run([helper("coldstart"), str(SERVER_CORE), str(port)]
                      + kind.argv(os.path.join(folder, kind.name), port,
                                  bench.cert))
            times[kind].append(float(out) / 1000)
    yield Row("cold start to accepting, TLS, median", "ms", floor=20, aim=2,
              lower=True, bound="ms").of_values(times[Ours], times[Nghttpd])
    yield Row("  best of %d" % bench.starts).of_text(
        "%.3g ms" % min(times[Ours]), "%.3g ms" % min(times[Nghttpd]))


def file_size(_bench):
    size = os.path.getsize(os.path.join(ROOT, "build", "k8shell"))
    yield Row("file size, the only file", "KB", floor=900, aim=600,
              lower=True, bound="KB").of_values([size / 1000])


def rows(bench):
    yield from memory(bench)
    yield from cold_start(bench)
    yield from file_size(bench)
