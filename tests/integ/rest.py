"""Clients of the workspace API: curl, and a socket with bytes of one's own."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

import harness

API = "/api/v1"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()


class Raw:
    """One connection.  ask() sends a request and reads one answer."""

    def __init__(self, path, timeout=harness.DEADLINE):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)         # waits for a full backlog
        self.sock.settimeout(timeout)
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def fill(self):
        got = self.sock.recv(65536)
        self.data += got
        return len(got) > 0

    def until(self, mark):
        while mark not in self.data:
            assert self.fill(), "closed after %r" % self.data
        head, _, self.data = self.data.partition(mark)
        return head

    def take(self, n):
        while len(self.data) < n:
            assert self.fill(), "closed after %r" % self.data
        out, self.data = self.data[:n], self.data[n:]
        return out

    def head(self):
        lines = self.until(b"\r\n\r\n").decode().split("\r\n")
        version, status, reason = lines[0].split(" ", 2)
        assert version == "HTTP/1.1" and reason
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, "%s twice" % name
            headers[name.lower()] = value
        return int(status), headers

    def chunk(self):
        n = int(self.until(b"\r\n"), 16)
        data = self.take(n)
        assert self.take(2) == b"\r\n"
        return data

    def lines(self):
        """Of a body in chunks, as they come."""
        rest = b""
        for data in iter(self.chunk, b""):
            rest += data
            while b"\n" in rest:
                line, _, rest = rest.partition(b"\n")
                yield line
        assert not rest

    def answer(self):
        status, headers = self.head()
        if headers.get("transfer-encoding") == "chunked":
            body = b"".join(iter(self.chunk, b""))
        else:
            body = self.take(int(headers.get("content-length", 0)))
        return Answer(status, headers, body)

    def ask(self, method, target, body=None, headers=(), host="unix"):
        lines = ["%s %s HTTP/1.1" % (method, target), "Host: " + host]
        lines += ["%s: %s" % h for h in headers]
        if body is not None:
            body = body.encode() if isinstance(body, str) else body
            lines.append("Content-Length: %d" % len(body))
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))
        return self.answer()

    def closed(self):
        """The server has closed, cleanly or not, with nothing more said."""
        try:
            return not self.fill() and not self.data
        except ConnectionResetError:
            return not self.data

    def rest(self):
        with contextlib.suppress(ConnectionResetError):
            while self.fill():
                pass
        out, self.data = self.data, b""
        return out


def ask(path, method, target, body=None, headers=(), **kwargs):
    with Raw(path) as c:
        return c.ask(method, target, body, headers, **kwargs)


def get(path, target, **kwargs):
    return ask(path, "GET", API + target, **kwargs)


def curl(path, *args, prefix=(), check=True):
    """Standard output and the status, as curl -w prints it behind."""
    done = subprocess.run(
        list(prefix) + ["curl", "-sS", "-m", "15", "-w", "\n%{http_code}",
                        "--unix-socket", path] + list(args),
        capture_output=True, timeout=harness.DEADLINE)
    if check:
        assert done.returncode == 0, done.stderr
    out, _, code = done.stdout.decode().rpartition("\n")
    return out, int(code or 0)


def as_uid(uid, gid=None):
    """A command prefix."""
    return ["setpriv", "--reuid", str(uid), "--regid", str(gid or uid),
            "--clear-groups"]


@contextlib.contextmanager
def public_folder(mode=0o755):
    """Others than root can reach it, unlike pytest's."""
    path = tempfile.mkdtemp(prefix="k8shell-rest-", dir="/tmp")
    os.chmod(path, mode)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def appears(path):
    harness.eventually(lambda: os.path.exists(path), path)


def sleep_until(moment):
    time.sleep(max(0, moment - time.monotonic()))
