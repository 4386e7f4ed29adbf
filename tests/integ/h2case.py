"""What the HTTP/2 conformance tests share.

The cases are those of the public conformance suite everybody measures servers
with: 147, numbered as there (@case), written anew from RFC 9113, RFC 7540 for
what its successor dropped, and RFC 7541.  They run over plaintext and TLS
against build/k8shell-conformance, which is the release but for a page at "/".
"""

import os
import struct

import pytest

import harness
import raw
from raw import DataFrame, PingFrame, SettingsFrame

BINARY = os.environ.get("K8SHELL_CONFORMANCE",
                        os.path.join(harness.BUILD, "k8shell-conformance"))

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, \
    WINDOW_UPDATE, CONTINUATION = range(10)
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, \
    INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, PRIORITY_FLAG = 0x4, 0x8, 0x20
WHOLE = END_HEADERS | END_STREAM
WINDOW_MAX = (1 << 31) - 1


def case(number):
    """Number of the case in the public suite, for the count at the end."""
    def mark(function):
        function.case = number
        return function
    return mark


@pytest.fixture(scope="module", params=["h2c", "tls"])
def page(request, tmp_path_factory, home, ec_cert):
    """(daemon, certificate or None) of the conformance build."""
    assert os.path.exists(BINARY), "run ./build.sh build conformance"
    config, ca = harness.CONFIG, None
    if request.param == "tls":
        ca, key = ec_cert
        config = ("system:\n  grpc:\n    port: 0\n    enableTLS: true\n"
                  "    certFile: %s\n    keyFile: %s\n" % (ca, key))
    d = harness.Daemon(tmp_path_factory.mktemp(request.param), config=config,
                       binary=BINARY)
    yield d, ca
    d.stop()


@pytest.fixture
def peer(page):
    """A client whose SETTINGS have been exchanged and acknowledged."""
    with connect(page) as p:
        yield p


def connect(page, settings=None):
    d, ca = page
    p = Client(d, ca, settings=settings, timeout=5)
    p.scheme = "https" if ca else "http"
    p.settings()
    p.until(p.settings_acked, "ACK of our SETTINGS")
    return p


class Client(raw.Peer):
    """Frames by number and flag, so that nothing is too wrong to send."""

    scheme = "http"

    def fields(self, method="GET", more=(), drop=(), path="/"):
        fields = [(":method", method), (":scheme", self.scheme),
                  (":path", path), (":authority", "localhost")]
        return [f for f in fields if f[0] not in drop] + list(more)

    def block(self, *args, **kwargs):
        return self.encoder.encode(self.fields(*args, **kwargs))

    def put(self, type, flags=0, stream=0, payload=b"", length=None):
        self.send(raw.frame(type, flags, stream, payload, length))

    def get(self, stream=1, flags=WHOLE, **kwargs):
        self.put(HEADERS, flags, stream, self.block(**kwargs))
        return stream

    def post(self, stream=1, **kwargs):
        """Opens a stream that is to get a body."""
        return self.get(stream, END_HEADERS, method="POST", **kwargs)

    def settings_acked(self):
        return sum(isinstance(f, SettingsFrame) and "ACK" in f.flags
                   for f in self.frames)

    def initial_window(self, *sizes):
        """One SETTINGS frame, and wait until it is in force."""
        before = self.settings_acked()
        self.put(SETTINGS, payload=b"".join(
            setting(INITIAL_WINDOW_SIZE, n) for n in sizes))
        self.until(lambda: self.settings_acked() > before, "ACK of SETTINGS")

    def answered(self, stream=1, body=True):
        """The page has come, whole."""
        self.until(lambda: stream in self.ended, "the page")
        assert dict(self.headers[stream][0])[":status"] == "200"
        if body:
            assert len(self.data[stream]) >= 5
        else:
            assert not self.data.get(stream)
        assert self.goaway is None

    def pongs(self):
        return [f.opaque_data for f in self.frames
                if isinstance(f, PingFrame) and "ACK" in f.flags]

    def ping(self, payload=b"conform1"):
        """The connection is well and what was sent before has been read."""
        n = len(self.pongs())
        self.put(PING, payload=payload)
        self.until(lambda: len(self.pongs()) > n, "PING ACK")
        assert self.pongs()[-1] == payload
        assert self.goaway is None

    def ping_or_close(self):
        """After our GOAWAY either is right, but not a reset connection."""
        try:
            self.put(PING, payload=b"conform2")
            while not self.pongs():
                assert self.step() is not None, "silence"
        except raw.Closed as e:
            assert str(e) == "end of file"

    def refused(self, *codes):
        """A connection error: GOAWAY that says why, then the end."""
        closed = self.drain(5)
        assert self.goaway is not None, "closed %r, but no GOAWAY" % closed
        assert self.goaway.error_code in codes
        assert closed, "GOAWAY, but not closed"

    def reset_or_refused(self, stream, *codes):
        """A stream error, which may be made one of the connection."""
        self.until(lambda: stream in self.resets or self.goaway is not None,
                   "RST_STREAM or GOAWAY")
        if self.goaway is not None:
            self.refused(*codes)
            return
        assert self.resets[stream] in codes
        self.ping()

    def sent(self, stream):
        """Lengths of the DATA frames received on a stream."""
        return [len(f.data) for f in self.frames
                if isinstance(f, DataFrame) and f.stream_id == stream]


def priority(depends_on=0, weight=256, exclusive=False):
    """Payload of PRIORITY, and the first five bytes of HEADERS with it."""
    return struct.pack(">IB", depends_on | exclusive << 31, weight - 1)


def u32(n):
    return struct.pack(">I", n)


def setting(id, value):
    return struct.pack(">HI", id, value)
