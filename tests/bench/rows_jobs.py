"""The end of jobs as users ask for it: through the daemon's REST API."""

import http.client
import json
import os
import select
import signal
import socket
import struct
import subprocess
import time

from measure import Row
from peers import Ours, helper, wait_for

JOBS = "/api/v1/jobs"
STUBBORN = 20           # jobs of a kill-all
MANY = 91               # members: 2 levels of 9
# Targets of the specification (process-tree.md 5.4), in ms.
RETURNS, GONE, OVER_GRACE, ALL_OVER_GRACE, WAKE = 5, 100, 50, 500, 5


class Rest(http.client.HTTPConnection):
    """One request; connected before the clock starts."""

    def __init__(self, path):
        super().__init__("unix")
        self.path = path
        self.connect()

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def begin(self, method, target, body=None):
        self.request(method, JOBS + target,
                     json.dumps(body) if body is not None else None)

    def end(self):
        answer = self.getresponse()
        text = answer.read()
        self.close()
        if answer.status not in (200, 201):
            raise RuntimeError("%d: %s" % (answer.status, text))
        return json.loads(text)

    def ask(self, *request):
        self.begin(*request)
        return self.end()


class Grove:
    """A tree that fell grows: its pipe is at its end with the last of it."""

    def __init__(self, folder, shape, n, size):
        shared, self.gate = (os.path.join(folder, x)
                             for x in ("shared", "gate"))
        self.size, self.shared = size, shared
        with open(shared, "wb") as f:
            f.truncate(1 << 16)
        os.mkfifo(self.gate)
        self.life = os.open(self.gate, os.O_RDONLY | os.O_NONBLOCK)
        self.argv = [helper("fell"), "grow", shared, self.gate, shape, str(n)]

    def up(self):
        with open(self.shared, "rb") as f:
            return struct.unpack("i", f.read(4))[0] >= self.size

    def start(self, rest, **wish):
        """As a job; its id."""
        id = Rest(rest).ask("POST", "", dict(wish, argv=self.argv))["id"]
        wait_for(self.up, "the tree is up")
        return id

    def await_end(self):
        """When it came, at the latest after a minute."""
        poll = select.poll()
        poll.register(self.life, select.POLLIN)
        if not poll.poll(60000):
            raise RuntimeError("the tree is still there")
        return time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        os.close(self.life)


def ms(since, until):
    return 1000 * (until - since)


def killpg_once(bench):
    """SIGKILL to the group of such a tree, until it is gone."""
    with Grove(bench.folder(), "fan", 2, MANY) as grove:
        proc = subprocess.Popen(grove.argv, stdin=subprocess.DEVNULL,
                                start_new_session=True)
        wait_for(grove.up, "the tree is up")
        start = time.monotonic()
        os.killpg(proc.pid, signal.SIGKILL)
        end = grove.await_end()
        proc.wait()
    return ms(start, end)


def destroy_once(bench, rest):
    with Grove(bench.folder(), "fan", 2, MANY) as grove:
        grove.start(rest, session="bench")
        client = Rest(rest)
        start = time.monotonic()
        client.ask("DELETE", "?session=bench")
        returned = time.monotonic()
        return ms(start, returned), ms(start, grove.await_end())


def destroy(bench, rest):
    bench.say("destroy of a session")
    got, group = [], []
    for _ in range(10 if bench.quick else 50):
        got.append(destroy_once(bench, rest))
        group.append(killpg_once(bench))
    returns, gone = zip(*got)
    yield Row("destroy a session with a tree of %d, answer" % MANY, "ms",
              floor=2 * RETURNS, aim=RETURNS, lower=True,
              bound="ms").of_values(returns)
    yield Row("  until the tree is gone, vs SIGKILL by killpg", "ms",
              floor=GONE, aim=GONE, lower=True,
              bound="ms").of_values(gone, group)


def kill_all_once(bench, rest, grace):
    groves = [Grove(bench.folder(), "stubborn", 1, 2)
              for _ in range(STUBBORN)]
    for grove in groves:
        grove.start(rest)
    client = Rest(rest)
    start = time.monotonic()
    client.ask("POST", "/kill-all", {"grace_ms": grace})
    took = ms(start, time.monotonic())
    for grove in groves:
        with grove:
            grove.await_end()
    return took, grace


def kill_all(bench, rest):
    bench.say("kill-all")
    grace = 1000 if bench.quick else 5000
    most = (grace + ALL_OVER_GRACE) / grace
    yield Row("kill-all of %d jobs that ignore SIGTERM, vs the grace"
              % STUBBORN, "ms", floor=most, aim=most, lower=True).of_pairs(
        ([kill_all_once(bench, rest, grace) for _ in range(3)], 0))


def stubborn_once(bench, rest, grace):
    with Grove(bench.folder(), "stubborn", 20, 21) as grove:
        id = grove.start(rest)
        client = Rest(rest)
        start = time.monotonic()
        client.ask("POST", "/%s/kill" % id, {"grace_ms": grace})
        took = ms(start, time.monotonic())
        grove.await_end()
    return took - grace


def stubborn(bench, rest):
    bench.say("a job that ignores SIGTERM")
    rounds = 10 if bench.quick else 30
    yield Row("kill a job that ignores SIGTERM, beyond the grace", "ms",
              floor=OVER_GRACE, aim=OVER_GRACE, lower=True,
              bound="ms").of_values([stubborn_once(bench, rest, 200)
                                     for _ in range(rounds)])


def wake_once(bench, rest):
    """From the end of the only process to the answer for who waits."""
    with Grove(bench.folder(), "flat", 0, 1) as grove:
        id = grove.start(rest)
        waiter, killer = Rest(rest), Rest(rest)
        waiter.begin("GET", "/%s/wait" % id)
        time.sleep(0.01)            # it waits
        killer.begin("POST", "/%s/kill" % id, {})
        dead = grove.await_end()
        waiter.end()
        took = ms(dead, time.monotonic())
        killer.end()
    return took


def wake(bench, rest):
    bench.say("who waits for a job")
    rounds = 20 if bench.quick else 100
    yield Row("answer to who waits for a job, after its last death", "ms",
              floor=WAKE, aim=WAKE, lower=True, bound="ms").of_values(
        [wake_once(bench, rest) for _ in range(rounds)])


def rows(bench):
    with Ours(bench.folder()) as server:
        for family in (destroy, kill_all, stubborn, wake):
            yield from family(bench, server.rest)
            Rest(server.rest).ask("DELETE", "?terminal=1")
