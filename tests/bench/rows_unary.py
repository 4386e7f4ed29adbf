"""Unary calls per CPU-second of the server, driven by h2load."""

import os
import re

from measure import Row, cpu_seconds, pairs, run
from peers import CIPHER, HANDSHAKE, GrpcPeer, Nghttpd, Ours

CONNECTIONS, STREAMS = 10, 50
WARM_UP = 20000

# h2load would agree on TLS 1.3 with servers that have it; ours has 1.2.
OPENSSL_CONF = """\
openssl_conf = main
[main]
ssl_conf = ssl
[ssl]
system_default = client
[client]
Protocol = -TLSv1.3
"""


class Load:
    """h2load against one server."""

    def __init__(self, folder, server, tls):
        self.server, self.tls, self.count = server, tls, WARM_UP
        self.body = os.path.join(folder, "request")
        self.conf = os.path.join(folder, "openssl.cnf")
        with open(self.body, "wb") as f:
            f.write(bytes(5))       # HandshakeRequest{} with its prefix
        with open(self.conf, "w") as f:
            f.write(OPENSSL_CONF)

    def warm_up(self, seconds):
        """Then a run is what costs the server so much CPU."""
        rate = max(self.rate() for _ in range(3))
        self.count = max(WARM_UP, int(rate * seconds))

    def run(self, count):
        url = "%s://127.0.0.1:%d%s" % (
            "https" if self.tls else "http", self.server.port,
            getattr(self.server, "path", HANDSHAKE))
        out = run(["h2load", "-n%d" % count, "-c%d" % CONNECTIONS,
                   "-m%d" % STREAMS, "-t1", "-d", self.body,
                   "--ciphers", CIPHER,
                   "-H", "content-type: application/grpc",
                   "-H", "te: trailers",
                   "-H", "authorization: Bearer " + self.server.token(), url],
                  env={"OPENSSL_CONF": self.conf})
        done = re.search(r"(\d+) succeeded, (\d+) failed", out)
        if not done or int(done[1]) != count:
            raise RuntimeError("h2load and %s:\n%s" % (self.server.name, out))
        if self.tls and CIPHER not in out:
            raise RuntimeError("%s chose another cipher:\n%s"
                               % (self.server.name, out))
        return out

    def rate(self):
        before = cpu_seconds(self.server.pid)
        self.run(self.count)
        used = cpu_seconds(self.server.pid) - before
        return self.count / max(used, 0.01)


def check(server):
    """200 says little in gRPC: ask curl for the status behind it."""
    folder = server.folder
    head = os.path.join(folder, "head")
    scheme, mode = ("https", ["--insecure", "--http2"]) if server.tls else \
        ("http", ["--http2-prior-knowledge"])
    run(["curl", "-s", "-o", os.devnull, "-D", head] + mode +
        ["-H", "content-type: application/grpc", "-H", "te: trailers",
         "-H", "authorization: Bearer " + server.token(),
         "--data-binary", "@" + os.path.join(folder, "request"),
         "%s://127.0.0.1:%d%s" % (scheme, server.port, HANDSHAKE)])
    with open(head) as f:
        text = f.read()
    if not re.search(r"^grpc-status: 0", text, re.M):
        raise RuntimeError("Handshake was not answered:\n" + text)


def compare(bench, peer, tls, floor, aim):
    name = "unary/CPU-s vs %s, %s" % (peer.name, "TLS" if tls else "plaintext")
    bench.say(name)
    cert = bench.cert if tls else None
    with Ours(bench.folder(), cert) as ours, \
            peer(bench.folder(), cert) as theirs:
        a, b = Load(ours.folder, ours, tls), Load(theirs.folder, theirs, tls)
        ours.tls = theirs.tls = tls
        check(ours)
        if peer is GrpcPeer:
            check(theirs)
        a.warm_up(bench.cpu_per_run)
        b.warm_up(bench.cpu_per_run)
        return Row(name, floor=floor, aim=aim).of_pairs(
            pairs(bench.pairs, a.rate, b.rate))


def rows(bench):
    for tls in (False, True):
        yield compare(bench, Nghttpd, tls, 0.35, 0.6)
    for tls in (False, True):
        yield compare(bench, GrpcPeer, tls, 2, 3)
