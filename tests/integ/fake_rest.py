"""A workspace API for tests of kbox: this daemon's shapes, and older ones.

A plain HTTP/1.1 server on a Unix socket.  `older`: no /streams, no /profile,
empty lists are null, no ids in log lines, as before they were there.  Answers
can be replaced: fake.replies["GET /api/v1/sysinfo"] = (status, body).
"""

import json
import os
import socket
import threading
import time

import fake_jobs

API = "/api/v1"


def stamp(ago=0):
    """RFC 3339, `ago` seconds before now."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago))


def stream(id, name="shell", status="ACTIVE", params="cmd=/bin/bash, pid=7",
           ago=60, deleted="", bytes_in=17, bytes_out=2509):
    return {"id": id, "name": name, "created": stamp(ago), "deleted": deleted,
            "status": status, "bytes_in": bytes_in, "bytes_out": bytes_out,
            "params": params}


def shell(id, ago=600, detached=300, cmd="/bin/bash", pid=7):
    return {"id": id, "cmd_shell": cmd, "pid": pid, "created": stamp(ago),
            "detached_at": stamp(detached)}


SYSINFO = {
    "time": "2026-01-02T03:04:05Z",
    "system": {"uptime": stamp(2 * 86400 + 3 * 3600 + 605),
               "cpuUsageMillicores": 12.34, "cpuLimitMillicores": 500,
               "memoryUsageMiB": 123.45, "memLimitMiB": 512,
               "cpuAvg1min": 0.12, "cpuAvg5min": 0.34, "cpuAvg15min": 0.56,
               "users": 2},
    "mounts": [
        {"mountPoint": "/home/alice", "source": "/dev/sdb", "fsType": "ext4",
         "options": ["rw"], "readOnly": False, "totalBytes": 10 << 30,
         "usedBytes": 3 << 29, "freeBytes": 1, "availableBytes": 1,
         "totalInodes": 1, "freeInodes": 1, "declaredSize": 0},
        {"mountPoint": "/data", "source": "nfs:/x", "fsType": "nfs4",
         "options": ["ro"], "readOnly": True, "totalBytes": 1 << 40,
         "usedBytes": 0, "freeBytes": 1, "availableBytes": 1,
         "totalInodes": 1, "freeInodes": 1, "declaredSize": 0}],
    "docker": {"socketPath": "/run/podman.sock", "apiVersion": "1.41",
               "dockerRootDir": "/var/lib/containers", "imagesBytes": 3 << 20,
               "containersBytes": 0, "containersRootFsBytes": 17,
               "volumesBytes": 0, "buildCacheBytes": 0,
               "totalBytes": (3 << 20) + 17, "declaredSize": 1 << 30},
    "podman": {"podmanVersion": "4.3.1", "graphDriver": "overlay",
               "runRoot": "/run/containers", "containersTotal": 3,
               "containersRunning": 1, "containersPaused": 0,
               "containersStopped": 2},
    "repository": "https://git.example/alice/demo",
    "version": "1.2.3-abcdef0",
}

PROFILE = {"username": "alice", "name": "Alice Example",
           "email": "alice@example.org", "uid": 34567, "gid": 34567,
           "shell": "/bin/bash", "sudo": False, "roles": ["user", "dev"],
           "organization": "acme", "expiresAt": ""}


class Fake:
    def __init__(self, folder, older=False):
        self.older = older
        self.path = os.path.join(str(folder), "k8shelld.sock")
        self.streams = [
            stream("sh-web-1", "shell", "ACTIVE", "cmd=/bin/bash, pid=11"),
            stream("sh-web-2", "shell", "DETACHED",
                   "cmd=/bin/zsh, pid=12, ttl=29m59s", ago=600),
            stream("pf-web-1", "port-forward",
                   params="dest=localhost, port=8080", ago=5,
                   bytes_out=3 << 30),
            stream("ex-web-9", "exec", "STOPPED", "cmd=make -j4 all",
                   ago=4000, deleted=stamp(3958))]
        self.shells = [shell("sh-web-2", 600, 300, "/bin/zsh", 12)]
        self.logs = []
        for i, (component, level, text) in enumerate([
                ("grpc", "info", "serving"), ("rest", "debug", "GET /streams"),
                ("session", "warn", "one"), ("session", "error", "two"),
                ("grpc", "debug", "three")], 1):
            self.log(component, level, text)
        self.profile = dict(PROFILE)
        self.sysinfo = json.loads(json.dumps(SYSINFO))
        self.splash = "Welcome to the workspace\n"
        self.scripts = []
        self.replies = {}
        self.requests = []          # "METHOD target"
        self.bodies = []            # (method, path, parsed JSON)
        self.sizes = []
        self.typed = bytearray()
        self.attached = None
        self.changed = threading.Condition()
        self.closing = False
        self.jobs = fake_jobs.Jobs(self)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.closing = True
        with self.changed:
            self.changed.notify_all()
        self.stop_listening()
        if os.path.exists(self.path):
            os.unlink(self.path)

    def stop_listening(self):
        """As if the daemon was killed: its socket stays."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def log(self, component, level, message):
        lock = getattr(self, "changed", None)
        entry = {"id": len(self.logs) + 1,
                 "time": time.strftime("%Y-%m-%dT%H:%M:%S.000", time.gmtime()),
                 "component": component, "level": level, "message": message}
        if self.older:
            del entry["id"]
        self.logs.append(entry)
        if lock:
            with lock:
                lock.notify_all()

    def _accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            self.start_thread(self._serve, conn)

    def start_thread(self, target, *args):
        """A thread, even where the machine has none left just now: if we
        gave up here, nobody would be answered any more."""
        while not self.closing:
            try:
                threading.Thread(target=target, args=args,
                                 daemon=True).start()
                return
            except RuntimeError:
                time.sleep(0.05)

    def _serve(self, conn):
        with conn:
            try:
                self._answer(conn)
            except OSError:
                pass

    def _answer(self, conn):
        data = b""
        while b"\r\n\r\n" not in data:
            piece = conn.recv(65536)
            if not piece:
                return
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        method, target, _ = lines[0].split(" ")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:])
        while len(body) < int(fields.get("content-length", 0)):
            piece = conn.recv(65536)
            if not piece:
                return
            body += piece
        path, _, query = target.partition("?")
        asked = dict(p.partition("=")[::2] for p in query.split("&") if p)
        parsed = json.loads(body) if body else None
        with self.changed:
            self.requests.append(method + " " + target)
            self.bodies.append((method, path, parsed))
            self.changed.notify_all()
        reply = self.replies.get(method + " " + path)
        if reply is not None:
            if callable(reply):
                reply = reply(parsed)
            self._send(conn, *reply)
        elif path.endswith("/attach") and method == "POST":
            self._attach(conn, path.split("/")[-2])
        elif path.startswith(API + "/jobs") and not self.older:
            parts = path[len(API + "/jobs"):].strip("/").split("/")
            answer = self.jobs.serve(conn, method, [p for p in parts if p],
                                     asked, parsed)
            if answer:
                self._send(conn, *answer)
        elif path == API + "/logs":
            self._logs(conn, asked)
        else:
            self._send(conn, *self._route(method, path, parsed))

    def _route(self, method, path, body):
        name = method + " " + path[len(API):]
        lists = {"GET /ssh/channels": self.streams,
                 "GET /shells": self.shells, "GET /initscripts": self.scripts,
                 "GET /apps": []}
        objects = {"GET /sysinfo": self.sysinfo, "GET /identity": self.profile,
                   "GET /splash": {"text": self.splash}}
        if not self.older:
            lists["GET /streams"] = self.streams
            objects["GET /profile"] = self.profile
        if name in lists:
            return 200, lists[name] or (None if self.older else [])
        if name in objects:
            return 200, objects[name]
        if name in ("GET /creds", "GET /sessions", "POST /validate",
                    "PUT /password", "POST /shutdown"):
            return 503, "the API server is not configured"
        parts = path[len(API) + 1:].split("/")
        if parts[0] == "shells" and len(parts) > 1:
            return self._shell(method, parts[1], parts[2:], body)
        if name == "POST /shells" and not self.older:
            self.shells.append(shell("sh-new-1"))
            return 201, {"id": "sh-new-1"}
        return 404, "404 page not found"

    def _shell(self, method, id, verb, body):
        known = id in [s["id"] for s in self.shells + self.streams]
        if verb == ["resize"]:
            self.sizes.append((body["width"], body["height"]))
            return 204, None
        if not known:
            return (404 if method == "DELETE" else 400), "no session " + id
        if verb == ["detach"]:
            return 204, None
        if not verb and method == "DELETE" and not self.older:
            self.streams = [s for s in self.streams if s["id"] != id]
            return 204, None
        return 405, ""

    def _send(self, conn, status, body):
        if isinstance(body, bytes):
            kind = "text/plain"
        elif isinstance(body, str):
            kind, body = "text/plain; charset=utf-8", (body + "\n").encode()
        else:
            kind = "application/json"
            body = b"" if status == 204 else json.dumps(body).encode() + b"\n"
        conn.sendall(b"HTTP/1.1 %d Status\r\nContent-Type: %s\r\n"
                     % (status, kind.encode()) +
                     (b"" if status == 204 else
                      b"Content-Length: %d\r\n" % len(body)) +
                     b"\r\n" + body)

    def _logs(self, conn, asked):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson"
                     b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        follow = asked.get("follow") == "true"
        since = 0 if self.older else int(asked.get("since", 0))
        at = 0
        while True:
            with self.changed:
                if at == len(self.logs) and follow and not self.closing:
                    self.changed.wait(10)
                lines = self.logs[at:]
                at += len(lines)
            for n, e in enumerate(lines):
                if asked.get("component", e["component"]) != e["component"] \
                        or e.get("id", 1) <= since:
                    continue
                text = json.dumps(e).encode() + b"\n"
                conn.sendall(b"%x\r\n%s\r\n" % (len(text), text))
            if not follow or self.closing:
                break
        conn.sendall(b"0\r\n\r\n")

    def _attach(self, conn, id):
        """A terminal that answers: Ctrl-A D detaches, "exit" ends."""
        if id not in [s["id"] for s in self.shells]:
            self._send(conn, 404, "no session " + id)
            return
        if self.attached:
            self._send(conn, 409, "a client is attached")
            return
        with self.changed:
            self.attached = conn
            self.changed.notify_all()
        conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: "
                     b"k8shell-pty\r\nConnection: Upgrade\r\n\r\n"
                     b"scrollback of " + id.encode() + b"\r\n$ ")
        while True:
            data = conn.recv(4096)
            with self.changed:
                self.typed += data
                self.changed.notify_all()
            if not data or b"\x01d" in self.typed:
                break
            conn.sendall(b"<" + data + b">")
            if b"exit" in self.typed:
                self.shells = [s for s in self.shells if s["id"] != id]
                break
        self.attached = None
