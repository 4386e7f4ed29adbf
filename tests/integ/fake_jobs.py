"""Jobs of the fake workspace API: nothing runs, a script says what happens.

fake.jobs.script(job) is called in a thread of its own for every job that is
started: job.out(), job.err(), job.exit() are what it would have done, and
job.killed() waits for the next order to kill it.
"""

import base64
import json
import re
import socket
import threading
import time

LIVE = ("starting", "running")


def now():
    t = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(t)) + \
        ".%03dZ" % (t % 1 * 1000)


class Job:
    def __init__(self, jobs, body):
        self.jobs = jobs
        self.orders = []            # bodies of POST kill
        self.events = []
        self.lost = False           # the attached client has gone
        argv = body.get("argv")
        self.body = body
        self.record = {
            "id": body.get("id") or "job-%05d" % len(jobs.list),
            "command": body.get("command") or " ".join(argv),
            "argv": argv or ["/bin/sh", "-c", body["command"]],
            "cwd": body.get("cwd", "/home/alice"),
            "session": body.get("session", ""),
            "detached": body.get("detached", False), "status": "running",
            "reason": "", "message": "", "pid": 4242, "start_time": now(),
            "end_time": "", "lingering": 0, "timeout_ms": 0,
            "log_file": "/home/alice/x.log", "seq": 0, "bytes_out": 0}
        self.event("start", id=self.id, pid=4242)

    @property
    def id(self):
        return self.record["id"]

    @property
    def ended(self):
        return self.record["status"] not in LIVE

    def event(self, type, **more):
        with self.jobs.changed:
            self.record["seq"] += 1
            e = {"seq": self.record["seq"], "type": type, "time": now()}
            e.update(more)
            self.events.append(e)
            self.jobs.changed.notify_all()

    def _output(self, type, data):
        if isinstance(data, bytes):
            self.event(type, data_base64=base64.b64encode(data).decode())
        else:
            self.event(type, data=data)

    def out(self, data):
        self._output("stdout", data)

    def err(self, data):
        self._output("stderr", data)

    def exit(self, code=0, status=None, reason="", signal=None):
        with self.jobs.changed:
            if self.ended:
                return
            self.record.update(
                status=status or ("failed" if code else "completed"),
                exit_code=code, reason=reason, end_time=now())
            if signal:
                self.record["signal"] = signal
        self.event("exit", status=self.record["status"], exit_code=code,
                   reason=reason)

    def killed(self, deadline=20):
        """The next order, taken from the queue; None if none comes."""
        end = time.monotonic() + deadline
        with self.jobs.changed:
            while not self.orders and time.monotonic() < end and \
                    not self.jobs.closing:
                self.jobs.changed.wait(0.1)
            return self.orders.pop(0) if self.orders else None


class Jobs:
    def __init__(self, fake):
        self.fake = fake
        self.changed = fake.changed
        self.list = []
        self.script = lambda job: job.exit(0)
        self.refuse_start = None        # (status, text)
        self.cut_after = None           # type of event the stream is cut at

    @property
    def closing(self):
        return self.fake.closing

    def add(self, id, command="sleep 1000", **more):
        job = Job(self, {"command": command, "id": id})
        job.record.update(more)
        self.list.insert(0, job)
        return job

    def find(self, id):
        for job in self.list:
            if job.id == id:
                return job
        return None

    def serve(self, conn, method, parts, asked, body):
        """The answer as (status, body), or None if it was streamed."""
        if not parts:
            return self._all(conn, method, asked, body)
        if parts == ["kill-all"]:
            live = [j for j in self.list if not j.ended]
            for j in live:
                j.exit(143, "killed", "requested")
            return 200, {"killed": len(live), "survivors": []}
        job = self.find(parts[0])
        if job is None:
            return 404, "no job " + parts[0]
        name = " ".join([method] + parts[1:])
        if name == "GET":
            return 200, job.record
        if name == "DELETE":
            if not job.ended:
                return 409, job.id + " is running"
            self.list.remove(job)
            return 204, None
        if name == "POST kill":
            return self._kill(job, body)
        if name == "GET wait":
            return self._wait(job, asked)
        if name == "POST wait":
            return self._ready(job, body)
        if name == "GET logs":
            self._stream(conn, job, asked.get("follow") == "1", asked)
            return None
        return 405, ""

    def _all(self, conn, method, asked, body):
        if method == "GET":
            return 200, [j.record for j in self.list]
        if method == "DELETE":
            kept = [j for j in self.list if not j.ended]
            n = len(self.list) - len(kept)
            self.list = kept
            return 200, {"removed": n}
        if self.refuse_start:
            return self.refuse_start
        job = Job(self, body)
        self.list.insert(0, job)
        self.fake.start_thread(self.script, job)
        if not body.get("attached"):
            return 201, job.record
        self._stream(conn, job, True, {})
        return None

    def _kill(self, job, body):
        if job.ended:
            return 200, {"id": job.id, "killed": True, "survivors": [],
                         "already_exited": True, "phase": "none",
                         "status": job.record["status"]}
        if body.get("signal") == "NONSENSE":
            return 400, "bad signal"
        with self.changed:
            job.orders.append(body)
            self.changed.notify_all()
        if body.get("wait", True) and body.get("signal") in (None, "TERM"):
            self._until(lambda: job.ended, 20)
        return 200, dict({k: job.record[k] for k in ("id", "status",
                                                     "exit_code")
                          if k in job.record}, killed=True, survivors=[],
                         already_exited=False, phase="term")

    def _until(self, is_so, seconds):
        end = time.monotonic() + seconds
        with self.changed:
            while not is_so() and time.monotonic() < end and \
                    not self.closing:
                self.changed.wait(0.05)
        return is_so()

    def _wait(self, job, asked):
        limit = float(asked.get("timeout_ms", 20000)) / 1000
        if self._until(lambda: job.ended, limit):
            return 200, job.record
        return 408, job.id + " has not ended"

    def _ready(self, job, body):
        found = []

        def is_so():
            for e in job.events:
                for line in e.get("data", "").splitlines():
                    if body.get("regex"):
                        m = re.search(body["log"], line)
                    else:
                        m = body.get("log") and body["log"] in line
                    if m:
                        found.append((e, line))
            return found or job.ended
        self._until(is_so, float(body.get("timeout_ms", 20000)) / 1000)
        if found:
            return 200, {"matched": True, "stream": found[0][0]["type"],
                         "line": found[0][1], "seq": found[0][0]["seq"],
                         "groups": []}
        if job.ended:
            return 500, "exited before ready, status %d" % \
                job.record.get("exit_code", -1)
        return 408, "not yet"

    def _stream(self, conn, job, follow, asked):
        try:
            self._send_events(conn, job, follow, asked)
        except OSError:
            job.lost = True

    def _send_events(self, conn, job, follow, asked):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson"
                     b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        at = int(asked.get("since", 0))
        while True:
            with self.changed:
                if at == len(job.events) and follow and not self.closing:
                    self.changed.wait(0.1)
                events = job.events[at:]
                at += len(events)
            for e in events:
                if e["type"] == self.cut_after:
                    return
                if asked.get("stream", e["type"]) != e["type"] and \
                        e["type"] in ("stdout", "stderr"):
                    continue
                text = json.dumps(e).encode() + b"\n"
                conn.sendall(b"%x\r\n%s\r\n" % (len(text), text))
                if e["type"] == "exit":
                    follow = False
            if not events and self._has_left(conn):
                job.lost = True
                return
            if self.closing:
                return
            if not follow and at == len(job.events):
                break
        conn.sendall(b"0\r\n\r\n")

    @staticmethod
    def _has_left(conn):
        try:
            return conn.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
        except OSError as e:
            return not isinstance(e, BlockingIOError)
