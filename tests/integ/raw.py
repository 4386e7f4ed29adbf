"""HTTP/2 frames by hand: the third client, and the attacker.

Peer sends whatever bytes a test wants and collects what comes back, frame by
frame (hyperframe), with headers decoded (hpack).  Nothing here follows the
protocol by itself, except that SETTINGS and PING are acknowledged unless
polite is off.
"""

import socket
import ssl
import struct
import time

import hpack
from hyperframe.frame import (ContinuationFrame, DataFrame, Frame,
                              GoAwayFrame, HeadersFrame, PingFrame,
                              PriorityFrame, PushPromiseFrame, RstStreamFrame,
                              SettingsFrame, WindowUpdateFrame)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR,
 SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL,
 COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY,
 HTTP_1_1_REQUIRED) = range(14)

HANDSHAKE = "/k8shelld.SystemService/Handshake"
EXEC = "/k8shelld.SshService/Exec"
SHELL = "/k8shelld.SshService/Shell"


def message(payload=b"", flag=0):
    """One gRPC message with its prefix."""
    return struct.pack(">BI", flag, len(payload)) + payload


def frame(type, flags, stream, payload=b"", length=None):
    """A frame hyperframe would refuse to make."""
    n = len(payload) if length is None else length
    return struct.pack(">HBBBI", n >> 8, n & 0xff, type, flags,
                       stream) + payload


def tls_context(ca, alpn=("h2",)):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.load_verify_locations(ca)
    if alpn:
        ctx.set_alpn_protocols(list(alpn))
    return ctx


class Closed(Exception):
    """The server ended the connection."""


class Peer:
    def __init__(self, daemon, ca=None, preface=True, settings=None,
                 polite=True, timeout=10.0):
        if daemon.port:
            sock = socket.create_connection(("127.0.0.1", daemon.port),
                                            timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(timeout)
            sock.connect(daemon.sock)
        client = getattr(daemon, "client", {})
        ca = ca or client.get("ca")
        self.token = client.get("token")
        if ca is not None:
            sock = tls_context(ca).wrap_socket(sock)
        self.sock = sock
        self.timeout = timeout
        self.polite = polite
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.buffer = b""
        self.frames = []        # every frame received
        self.headers = {}       # stream -> list of header lists
        self.data = {}          # stream -> bytes
        self.resets = {}        # stream -> code
        self.ended = set()      # streams the server has ended
        self.goaway = None      # last GoAwayFrame
        self.closed = False
        self.next_stream = 1
        if preface:
            self.send(PREFACE)
            self.send_frame(SettingsFrame(0, settings=settings or {}))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    # ---- sending ----

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError) as e:
            raise Closed(str(e))

    def send_frame(self, *frames):
        self.send(b"".join(f.serialize() for f in frames))

    def request_headers(self, path=HANDSHAKE, extra=(), method="POST",
                        content_type="application/grpc", drop=()):
        h = [(":method", method), (":scheme", "http"), (":path", path),
             (":authority", "test")]
        if content_type is not None:
            h.append(("content-type", content_type))
        h += [("te", "trailers"), ("user-agent", "raw/1")]
        h += list(extra)
        if self.token and not any(n == "authorization" for n, _ in h):
            h.append(("authorization", "Bearer " + self.token))
        return [f for f in h if f[0] not in drop]

    def open(self, headers=None, end=False, stream=None, **kwargs):
        """HEADERS of a request; returns the stream id."""
        if stream is None:
            stream = self.next_stream
            self.next_stream += 2
        block = self.encoder.encode(headers if headers is not None
                                    else self.request_headers(**kwargs))
        f = HeadersFrame(stream, block)
        f.flags.add("END_HEADERS")
        if end:
            f.flags.add("END_STREAM")
        self.send_frame(f)
        return stream

    def send_data(self, stream, data, end=False):
        while True:
            piece, data = data[:16384], data[16384:]
            f = DataFrame(stream, piece)
            if end and not data:
                f.flags.add("END_STREAM")
            self.send_frame(f)
            if not data:
                return

    def reset(self, stream, code=CANCEL):
        self.send_frame(RstStreamFrame(stream, error_code=code))

    # ---- receiving ----

    def _frame(self):
        if len(self.buffer) < 9:
            return None
        f, length = Frame.parse_frame_header(memoryview(self.buffer[:9]))
        if len(self.buffer) < 9 + length:
            return None
        f.parse_body(memoryview(self.buffer[9:9 + length]))
        self.buffer = self.buffer[9 + length:]
        return f

    def _note(self, f):
        self.frames.append(f)
        if isinstance(f, (HeadersFrame, ContinuationFrame)):
            fields = [(n, v) for n, v in self.decoder.decode(f.data)]
            self.headers.setdefault(f.stream_id, []).append(fields)
        elif isinstance(f, DataFrame):
            self.data[f.stream_id] = self.data.get(f.stream_id, b"") + f.data
        elif isinstance(f, RstStreamFrame):
            self.resets[f.stream_id] = f.error_code
        elif isinstance(f, GoAwayFrame):
            self.goaway = f
        elif isinstance(f, SettingsFrame) and "ACK" not in f.flags:
            if self.polite:
                self.send_frame(SettingsFrame(0, flags=["ACK"]))
        elif isinstance(f, PingFrame) and "ACK" not in f.flags:
            if self.polite:
                self.send_frame(PingFrame(0, f.opaque_data, flags=["ACK"]))
        if "END_STREAM" in f.flags:
            self.ended.add(f.stream_id)

    def step(self, timeout=None):
        """The next frame; None at the timeout; Closed at the end."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            f = self._frame()
            if f is not None:
                try:
                    self._note(f)
                except Closed:
                    pass
                return f
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.sock.settimeout(left)
            try:
                got = self.sock.recv(65536)
            except (socket.timeout, ssl.SSLWantReadError):
                return None
            except (ConnectionResetError, OSError) as e:
                self.closed = True
                raise Closed(str(e))
            finally:
                self.sock.settimeout(self.timeout)
            if not got:
                self.closed = True
                raise Closed("end of file")
            self.buffer += got

    def until(self, check, what="the answer", timeout=None):
        """Read frames until check(); AssertionError at the timeout."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        while not check():
            try:
                f = self.step(max(0.0, end - time.monotonic()))
            except Closed:
                assert check(), "closed before %s; goaway %r" % (
                    what, self.goaway)
                return
            assert f is not None or check(), "no %s; got %r" % (
                what, self.frames[-5:])

    def drain(self, seconds=0.2):
        """Everything that comes within a while; True if it was closed."""
        try:
            while self.step(seconds) is not None:
                pass
        except Closed:
            return True
        return False

    # ---- answers ----

    def over(self, stream):
        return stream in self.ended or stream in self.resets

    def trailers(self, stream):
        return dict(self.headers[stream][-1])

    def status(self, stream, timeout=None):
        """gRPC status of a stream, waiting for its end."""
        self.until(lambda: self.over(stream), "end of stream %d" % stream,
                   timeout)
        assert stream in self.headers, "reset %r" % self.resets.get(stream)
        return int(self.trailers(stream)["grpc-status"])

    def messages(self, stream):
        """Payloads of the gRPC messages received whole."""
        data, out = self.data.get(stream, b""), []
        while len(data) >= 5:
            flag, n = struct.unpack(">BI", data[:5])
            if len(data) < 5 + n:
                break
            assert flag == 0
            out.append(data[5:5 + n])
            data = data[5 + n:]
        return out

    def unary(self, path=HANDSHAKE, payload=b"", extra=(), timeout=None):
        """A whole unary call; its status."""
        s = self.open(path=path, extra=extra)
        self.send_data(s, message(payload), end=True)
        return self.status(s, timeout)

    def settings(self):
        """The server's SETTINGS, once they came."""
        def found():
            return [f for f in self.frames if isinstance(f, SettingsFrame)
                    and "ACK" not in f.flags]
        self.until(found, "SETTINGS")
        return found()[0].settings

    def goaway_code(self, timeout=None):
        """Code of the GOAWAY, None if the connection just closed."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        try:
            while self.goaway is None:
                if self.step(max(0.0, end - time.monotonic())) is None:
                    raise AssertionError("neither GOAWAY nor close")
        except Closed:
            return self.goaway.error_code if self.goaway else None
        return self.goaway.error_code

    def alive(self):
        """The connection still answers a call."""
        return self.unary() == 0
