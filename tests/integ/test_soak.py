"""Minutes of everything at once, as process 1: nothing is left, nobody is hit.

Random shells, commands, jobs, detaches and kills from several clients at a
time.  A shell and a job that nobody touches live through all of it.
"""

import json
import os
import random
import signal
import threading
import time

import grpc
import pytest

import harness
import rest
from harness import Talk

SECONDS = int(os.environ.get("K8SHELL_SOAK_SECONDS", 300))
WORKERS = 6
RSS_SLACK_KIB = 512
ENDED_STREAMS_S = 60        # stream.h: STREAM_KEEP_MS
LOG_LINES = 11000           # logring.h: LOGRING_ENTRIES_MAX, and some more

CONFIG = harness.CONFIG.replace("debug", "info") + """\
terminateOrphans: {enabled: true, checkInterval: 1}
shells: {allowSessionDetach: true, detachedTTL: 2s}
limits: {forksPerSecond: 100000, forkBurst: 100000}
"""

# Each leaves something that is not its own child or does not want to go.
DAEMON = "setsid sh -c '(sleep 1000 &) ; sleep 1000' </dev/null >/dev/null 2>&1 &"
STUBBORN = "trap '' TERM HUP INT; while :; do sleep 1; done"
TREE = "for i in 1 2 3; do sh -c 'sleep 1000 & sleep 1000; :' & done; wait"
FORKING = "trap 'sleep 1000 & sleep 1000 & wait' TERM; sleep 1000 & wait; wait"


class Client:
    """One user with his own connections, doing one thing after the other."""

    def __init__(self, daemon, number, seed):
        self.daemon, self.number = daemon, number
        self.random = random.Random(seed * 1000 + number)
        self.count = 0
        self.done = {}          # name of an action -> how often
        self.stub = daemon.stub()

    def id(self, kind):
        self.count += 1
        return "%s-soak-%d-%d" % (kind, self.number, self.count)

    def ask(self, method, target, body=None):
        return rest.ask(self.daemon.rest_sock, method, rest.API + target,
                        json.dumps(body) if body is not None else None)

    def job(self, command, **more):
        id = self.id("job")
        a = self.ask("POST", "/jobs", dict(more, id=id, command=command))
        assert a.status == 201, a.body
        return id

    def end_job(self, id, **how):
        a = self.ask("POST", "/jobs/%s/kill" % id, how)
        assert a.status == 200, a.body
        assert a.json["survivors"] == [], a.json
        assert self.ask("DELETE", "/jobs/" + id).status == 204

    # -- what a user does --

    def command(self):
        code = self.random.randrange(256)
        r = self.stub.exec("echo out; echo err >&2; exit %d" % code,
                           id=self.id("ex"))
        assert (r.out, r.err, r.code) == (b"out\n", b"err\n", code)

    def command_cancelled(self):
        t = Talk(self.stub, "Exec", self.id("ex"))
        t.send(command_details=harness.ssh.CommandDetails(
            command="echo on; " + TREE))
        t.expect("on")
        t.cancel()

    def command_with_background(self):
        r = self.stub.exec("sleep 1000 & " + DAEMON + " exit 3",
                           id=self.id("ex"))
        assert r.code == 3

    def shell(self):
        t = Talk(self.stub, "Shell", self.id("sh")).start()
        t.type("echo 4$((1+1)); sleep 1000 &\n")
        t.expect("42")
        t.type("exit\n")
        assert t.finish() == grpc.StatusCode.OK

    def shell_lost(self):
        t = Talk(self.stub, "Shell", self.id("sh")).start()
        t.type(self.random.choice([TREE, STUBBORN, "sleep 1000"]) + "\n")
        t.cancel()

    def shell_detached(self):
        id = self.id("sh")
        t = Talk(self.stub, "Shell", id).start()
        t.type("echo 4$((1+1))\n")
        t.expect("42")
        t.type("\x01d")
        t.finish()
        if self.random.random() < 0.5:
            return              # its time runs out
        with rest.Raw(self.daemon.rest_sock) as c:
            c.send("POST %s/shells/%s/attach HTTP/1.1\r\nHost: u\r\n"
                   "Upgrade: k8shell-pty\r\nConnection: Upgrade\r\n"
                   "Content-Length: 0\r\n\r\n" % (rest.API, id))
            status, _ = c.head()
            assert status == 101
            c.until(b"42")
            c.send("exit\n")
            c.rest()

    def shell_killed(self):
        a = self.ask("POST", "/shells", {"command": TREE})
        assert a.status == 201, a.body
        a = self.ask("DELETE", "/shells/" + a.json["id"])
        assert a.status == 204, a.body

    def job_to_its_end(self):
        id = self.job("echo one; sleep 0.1; echo two >&2; exit 7")
        a = self.ask("GET", "/jobs/%s/wait?timeout_ms=20000" % id)
        assert (a.status, a.json["exit_code"]) == (200, 7), a.body
        self.end_job(id)

    def job_killed(self):
        tree = self.random.choice([TREE, DAEMON + " " + TREE, FORKING,
                                   STUBBORN, DAEMON + " exit 0"])
        id = self.job(tree, detached=self.random.random() < 0.5)
        time.sleep(self.random.random() / 5)
        self.end_job(id, grace_ms=self.random.choice([0, 100, 300]))

    def job_destroyed(self):
        session = self.id("session")
        ids = [self.job(TREE, session=session) for _ in range(3)]
        a = self.ask("DELETE", "/jobs?session=" + session)
        assert (a.status, a.json["destroyed"]) == (200, 3), a.body
        for id in ids:
            a = self.ask("GET", "/jobs/%s/wait?timeout_ms=20000" % id)
            assert (a.status, a.json["status"]) == (200, "killed"), a.body

    def job_left(self):
        """Attached, and the connection is cut."""
        with rest.Raw(self.daemon.rest_sock) as c:
            body = json.dumps({"id": self.id("job"), "command": TREE,
                               "attached": True, "grace_ms": 200})
            c.send("POST %s/jobs HTTP/1.1\r\nHost: u\r\nContent-Length: %d"
                   "\r\n\r\n%s" % (rest.API, len(body), body))
            status, _ = c.head()
            assert status == 200
            next(c.lines())

    def job_watched(self):
        id = self.job("i=0; while [ $i -lt 2000 ]; do echo line $i; "
                      "i=$((i+1)); done; sleep 1000")
        with rest.Raw(self.daemon.rest_sock) as c:
            c.send("GET %s/jobs/%s/logs?follow=1 HTTP/1.1\r\nHost: u\r\n\r\n"
                   % (rest.API, id))
            assert c.head()[0] == 200
            for event in c.lines():
                if b"line 1999" in event or self.random.random() < 0.2:
                    break
        self.end_job(id, grace_ms=0)

    ACTIONS = [command, command_cancelled, command_with_background, shell,
               shell_lost, shell_detached, shell_killed, job_to_its_end,
               job_killed, job_destroyed, job_left, job_watched]

    def run(self, until, errors):
        try:
            while time.monotonic() < until and not errors:
                action = self.random.choice(self.ACTIONS)
                try:
                    action(self)
                except BaseException as e:
                    raise AssertionError("client %d, %s" % (
                        self.number, action.__name__)) from e
                name = action.__name__
                self.done[name] = self.done.get(name, 0) + 1
        except AssertionError as e:
            errors.append(e)


class Keeper:
    """A shell and a job in the middle of it all, with a child each."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.talk = Talk(daemon.stub(), "Shell", "sh-keeper-1-aa1",
                         timeout=SECONDS * 3 + 300).start()
        self.talk.type("sleep 100000 & echo pid $((0+$!)).\n")
        self.talk.wait(lambda: b"pid " in self.talk.data
                       and b"." in self.talk.data.rpartition(b"pid ")[2],
                       "the keeper's child")
        a = rest.ask(daemon.rest_sock, "POST", rest.API + "/jobs",
                     json.dumps({"id": "keeper", "detached": True,
                                 "argv": ["sleep", "100000"]}))
        assert a.status == 201, a.body

    def check(self):
        self.talk.type("jobs -l; echo still $((40+2))\n")
        self.talk.expect("still 42")
        tail = bytes(self.talk.data).rpartition(b"jobs -l")[2]
        assert b"Running" in tail, tail
        a = rest.get(self.daemon.rest_sock, "/jobs/keeper")
        assert a.json["status"] == "running", a.json

    def leave(self):
        self.talk.type("kill %1; exit\n")
        assert self.talk.finish() == grpc.StatusCode.OK
        rest.ask(self.daemon.rest_sock, "POST",
                 rest.API + "/jobs/keeper/kill", json.dumps({"grace_ms": 0}))


def children(daemon):
    with open("/proc/%d/task/%d/children" % (daemon.pid, daemon.pid)) as f:
        return f.read().split()


def crowd(daemon, seconds, seed):
    errors, until = [], time.monotonic() + seconds
    clients = [Client(daemon, i, seed) for i in range(WORKERS)]
    threads = [threading.Thread(target=c.run, args=(until, errors))
               for c in clients]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for c in clients:
        c.stub.close()
    if errors:
        raise errors[0]
    done = {}
    for c in clients:
        for name, n in c.done.items():
            done[name] = done.get(name, 0) + n
    return done


def cool(daemon, keepers):
    """Nothing is left but the keepers', and what is kept for a while goes."""
    def quiet():
        return len(harness.processes(harness.UID)) <= keepers
    harness.eventually(quiet, "only the keepers' processes are left", 60)
    rest.ask(daemon.rest_sock, "DELETE", rest.API + "/jobs?terminal=1")
    assert harness.zombies_of(daemon.pid) == []
    end = time.monotonic() + ENDED_STREAMS_S + 2
    while time.monotonic() < end:
        time.sleep(1)


def fill_log(daemon):
    """Its ring takes memory until it is full: one audited line a request."""
    with rest.Raw(daemon.rest_sock) as c:
        for _ in range(LOG_LINES):
            assert c.ask("DELETE", rest.API + "/shells/nobody").status == 404


def soak(start, seconds, warm):
    seed = random.SystemRandom().randrange(1 << 30)
    print("seed", seed)
    d = start(config=CONFIG, wrapper=["unshare", "--pid", "--fork",
                                      "--kill-child", "--mount-proc"])
    keeper = Keeper(d)
    keepers = len(harness.processes(harness.UID))
    fds = d.fds()
    fill_log(d)
    crowd(d, warm, seed)
    cool(d, keepers)
    rss = d.rss_kib()
    done = crowd(d, seconds, seed + 1)
    cool(d, keepers)
    keeper.check()
    print("done", done, "rss", rss, d.rss_kib())
    harness.eventually(lambda: d.fds() <= fds, "descriptors are back")
    assert d.rss_kib() - rss <= RSS_SLACK_KIB
    assert len(done) == len(Client.ACTIONS) or seconds < 60
    keeper.leave()
    harness.eventually(lambda: children(d) == [], "no child is left")
    d.stop(signal.SIGTERM)
    assert harness.processes(harness.UID) == []


@pytest.mark.long
def test_soak(start):
    soak(start, SECONDS, warm=SECONDS / 5)


def test_soak_in_short(start, monkeypatch):
    monkeypatch.setattr("test_soak.ENDED_STREAMS_S", 0)
    monkeypatch.setattr("test_soak.RSS_SLACK_KIB", 1 << 20)
    soak(start, 10, warm=2)
