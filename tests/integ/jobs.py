"""Jobs through the real socket."""

import base64
import ctypes
import json
import os
import re
import struct
import threading

import harness
import rest
from rest import API

JOBS = API + "/jobs"


def dead(pid):
    """Gone or a zombie, right now."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] in "ZXx"
    except (FileNotFoundError, ProcessLookupError):
        return True


def group_of(pid):
    """The folder of its job's own control group, or None."""
    with open("/proc/%d/cgroup" % pid) as f:
        m = re.search(r"^0::(.*/k8shell-job-[^/\n]+)", f.read(), re.M)
    for top in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        if m and os.path.exists(top + m[1]):
            return top + m[1]


class Jobs:
    """The API of one daemon."""

    def __init__(self, path):
        self.path = path

    def ask(self, method, target, body=None, timeout=harness.DEADLINE):
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        with rest.Raw(self.path, timeout) as c:
            return c.ask(method, JOBS + target, body)

    def start(self, command=None, **wish):
        if isinstance(command, str):
            wish["command"] = command
        elif command is not None:
            wish["argv"] = command
        a = self.ask("POST", "", wish)
        assert a.status == 201, a.text
        return a.json["id"]

    def get(self, id):
        a = self.ask("GET", "/" + id)
        assert a.status == 200, a.text
        return a.json

    def list(self, query=""):
        a = self.ask("GET", query)
        assert a.status == 200, a.text
        return a.json

    def kill(self, id, **wish):
        a = self.ask("POST", "/%s/kill" % id, wish)
        assert a.status == 200, a.text
        return a.json

    def wait(self, id):
        a = self.ask("GET", "/%s/wait?timeout_ms=15000" % id)
        assert a.status == 200, a.text
        return a.json

    def until(self, id, text, **wish):
        """Its line with text; also makes sure that a script got so far."""
        a = self.ask("POST", "/%s/wait" % id,
                     dict({"log": text, "timeout_ms": 15000}, **wish))
        assert a.status == 200, a.text
        return a.json

    def events(self, id, query=""):
        a = self.ask("GET", "/%s/logs%s" % (id, query))
        assert a.status == 200, a.text
        assert a.headers["content-type"] == "application/x-ndjson"
        return [json.loads(x) for x in a.body.splitlines()]

    def raw(self, id, query=""):
        a = self.ask("GET", "/%s/logs?raw=1%s" % (id, query))
        assert a.status == 200
        assert a.headers["content-type"] == "application/octet-stream"
        return a.body

    def pids(self, id, n):
        """n numbers the job printed as "pid N"."""
        def look():
            found = re.findall(rb"pid (\d+)\n", self.raw(id))
            return [int(x) for x in found] if len(found) >= n else None
        return harness.eventually(look, "%d pids of %s" % (n, id))

    def clear(self):
        self.ask("POST", "/kill-all", {"grace_ms": 0})
        harness.eventually(lambda: not self.live(), "no live jobs")
        self.ask("DELETE", "?terminal=1")

    def live(self):
        self.ask("DELETE", "?terminal=1")
        return self.list()


def data(e):
    if "data_base64" in e:
        return base64.b64decode(e["data_base64"], validate=True)
    return e["data"].encode()


def output(events, stream=None):
    return b"".join(data(e) for e in events if e["type"] in
                    ([stream] if stream else ["stdout", "stderr"]))


class Following(rest.Raw):
    """A connection that reads events as they come."""

    def __init__(self, jobs, method, target, body=None):
        super().__init__(jobs.path)
        body = json.dumps(body).encode() if body is not None else b""
        self.send(("%s %s%s HTTP/1.1\r\nHost: unix\r\nContent-Length: %d"
                   "\r\n\r\n" % (method, JOBS, target, len(body))).encode()
                  + body)
        self.status, self.headers = self.head()
        self._lines = self.lines()

    def event(self):
        return json.loads(next(self._lines))

    def rest_of_it(self):
        return [json.loads(x) for x in self._lines]


def follow(jobs, id, query=""):
    f = Following(jobs, "GET", "/%s/logs?follow=1%s" % (id, query))
    assert f.status == 200
    return f


class HungFolder:
    """A mount whose server takes every question and answers none.

    deaf: nor does it take any; who waits then can still be killed.
    """

    HEAD, REPLY = "<IIQQIIII", "<IiQ"
    INIT = 26

    def __init__(self, path, deaf=False):
        self.path, self.asked, self.there = path, 0, False
        self.deaf = deaf
        os.makedirs(path, exist_ok=True)
        try:
            self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return
        self.libc = ctypes.CDLL(None, use_errno=True)
        options = ("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other"
                   % self.fd).encode()
        if self.libc.mount(b"hung", path.encode(), b"fuse", 0, options) < 0:
            os.close(self.fd)
            return
        self.there = True
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        size = struct.calcsize(self.HEAD)
        while True:
            try:
                ask = os.read(self.fd, 1 << 17)
            except OSError:
                return                      # unmounted
            _, op, unique = struct.unpack(self.HEAD, ask[:size])[:3]
            if op != self.INIT:
                self.asked += 1
                continue
            body = struct.pack("<IIIIHHIIHHIIIIIIII", 7, 31, 0, 0, 1, 1,
                               4096, 1, 1, 0, *[0] * 8)
            os.write(self.fd, struct.pack(
                self.REPLY, 16 + len(body), 0, unique) + body)
            if self.deaf:
                return

    def let_go(self):
        if not self.there:
            return
        self.there = False
        self.libc.umount2(self.path.encode(), 1)    # MNT_FORCE: aborts
        self.libc.umount2(self.path.encode(), 2)    # MNT_DETACH
        self.thread.join(5)
        os.close(self.fd)
        os.rmdir(self.path)
