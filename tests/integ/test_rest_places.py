"""Answers that last have places of their own: they lock nobody out."""

import json
import re

import pexpect
import pytest

import harness
from jobs import JOBS, Following
from rest import API, Raw
from test_kbox import call, good
from test_kbox_jobs_daemon import KBOX

PLACES = 128                    # REST_LASTING_MAX
HALF = 16                       # REST_SLOW_MAX


@pytest.fixture
def daemon(start, tmp_path):
    """Standalone: there terminals can be attached."""
    return start(config=None, env={"HOME": str(tmp_path), "ENV": ""})


def lasting(d):
    with Raw(d.rest_sock) as c:
        text = c.ask("GET", "/metrics").text
    return int(re.search(r"^k8shell_rest_lasting (\d+)$", text, re.M)[1])


def asked(path, method, target, body=None):
    """A connection whose answer is not waited for."""
    body = json.dumps(body) if body is not None else ""
    c = Raw(path)
    c.send("%s %s%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
           % (method, API, target, len(body), body))
    return c


def in_front(jobs, id):
    f = Following(jobs, "POST", "", {"id": id, "command": "sleep 600",
                                     "attached": True})
    assert f.status == 200
    return f


def in_terminal(d, name):
    c = Raw(d.rest_sock)
    a = c.ask("POST", API + "/shells", json.dumps({"name": name}))
    assert a.status == 201, a.text
    c.send("POST %s/shells/%s/attach HTTP/1.1\r\nHost: x\r\n"
           "Content-Length: 0\r\n\r\n" % (API, name))
    assert c.head()[0] == 101
    return c


def occupy(d, jobs):
    """Every place, by everything that lasts."""
    held = [in_terminal(d, "s%d" % i) for i in range(2)]
    held += [in_front(jobs, "front%d" % i) for i in range(10)]
    ways = [("GET", "/jobs/front0/wait"),
            ("POST", "/jobs/front0/wait", {"log": "never"}),
            ("GET", "/logs?follow=true"),
            ("GET", "/jobs/front0/logs?follow=1")]
    while len(held) < PLACES:
        held.append(asked(d.rest_sock, *ways[len(held) % 4]))
        harness.eventually(lambda: lasting(d) == len(held), "a place more")
    return held


def over(d, *way):
    with asked(d.rest_sock, *way) as c:
        a = c.answer()
    assert a.status == 503 and str(PLACES) in a.text
    assert a.text.count("\n") == 1
    assert int(a.headers["retry-after"]) > 0


def test_followers_lock_nobody_out(daemon, jobs):
    def kbox(*args):
        return call(KBOX, "kbox", "--socket", daemon.rest_sock, *args)

    held = occupy(daemon, jobs)
    over(daemon, "GET", "/jobs/front0/logs?follow=1")
    over(daemon, "GET", "/jobs/front0/wait")
    over(daemon, "POST", "/jobs/front0/wait", {"port": 9})
    over(daemon, "POST", "/jobs", {"id": "no", "command": "sleep 601",
                                   "attached": True})
    over(daemon, "POST", "/shells/s0/attach")
    assert jobs.ask("GET", "/no").status == 404         # it did not begin

    r = kbox("logs", "-f", "front0")
    assert r.returncode == 1 and r.stdout == ""
    assert re.fullmatch("kbox: [^\n]*%d[^\n]*\\(HTTP 503\\)\n" % PLACES,
                        r.stderr)
    p = pexpect.spawn(KBOX, ["kbox", "--socket", daemon.rest_sock, "attach",
                             "s1"], timeout=harness.DEADLINE)
    p.expect("%d requests" % PLACES)
    p.expect(pexpect.EOF)
    p.close()
    assert p.exitstatus == 1
    assert kbox("run", "true").returncode == 125
    assert "front3" in good(kbox("ps"))
    good(kbox("logs", "-n", "5"))   # these end, so they come in
    assert good(kbox("logs", "front3")) == ""
    assert good(kbox("run", "-d", "--id", "new", "sleep 600")) == "new\n"
    assert good(kbox("kill", "new", "front9")) == (
        "new has ended, exit status 143\n"
        "front9 has ended, exit status 143\n")
    assert "s1" in good(kbox("shells"))
    assert good(kbox("kill", "s1")) == "s1 has ended\n"

    held.pop().sock.close()         # whoever leaves makes room
    harness.eventually(lambda: lasting(daemon) < PLACES, "a place is free")
    good(kbox("kill", "--all", "--now"))
    for _ in range(10):             # those who are idle now take none away
        good(kbox("ps"))
    for c in held:
        c.sock.close()
    harness.eventually(lambda: lasting(daemon) == 0, "all are free")


def test_a_connection_that_is_used_again_gives_its_place_back(daemon, jobs):
    id = jobs.start("sleep 600")
    with Raw(daemon.rest_sock) as c:
        for _ in range(3):
            c.send("GET %s/%s/wait?timeout_ms=300 HTTP/1.1\r\nHost: x\r\n"
                   "\r\n" % (JOBS, id))
            harness.eventually(lambda: lasting(daemon) == 1, "it waits")
            assert c.answer().status == 408
            assert lasting(daemon) == 0
        assert c.ask("GET", API + "/healthz").status == 200


# -- who may not be refused ---------------------------------------------------

GRACE = {"grace_ms": 600000}


def stubborn(jobs):
    """It does not end by SIGTERM."""
    id = jobs.start("trap '' TERM; echo ready; while :; do sleep 600; done")
    jobs.until(id, "ready")
    return id


def killers(d, id, n):
    """Connections that wait for the end of job id, which does not come."""
    held = []
    for _ in range(n):
        held.append(asked(d.rest_sock, "POST", "/jobs/%s/kill" % id, GRACE))
        lasting(d)                  # that was asked later
    return held


def test_kills_that_wait_lock_nobody_out(daemon, jobs):
    id = stubborn(jobs)
    held = [asked(daemon.rest_sock, "POST", "/jobs/kill-all", GRACE)
            for _ in range(8)] + killers(daemon, id, 40)
    harness.eventually(lambda: lasting(daemon) >= 48 - HALF, "they wait")
    with Raw(daemon.rest_sock) as c:
        assert c.ask("GET", JOBS + "/" + id).json["status"] == "running"
    assert jobs.kill(id, grace_ms=0)["killed"] is True
    for c in held:                  # and all of them are answered
        a = c.answer()
        assert a.status == 200 and a.json["killed"] == 1
        c.sock.close()
    harness.eventually(lambda: lasting(daemon) == 0, "all are free")


def test_a_kill_is_never_refused_but_perhaps_not_waited_for(daemon, jobs):
    def kbox(*args):
        return call(KBOX, "kbox", "--socket", daemon.rest_sock, *args)

    id, other = stubborn(jobs), stubborn(jobs)
    held = occupy(daemon, jobs)
    held += killers(daemon, id, HALF)
    assert good(kbox("logs", id)) == "ready\n"
    k = jobs.kill(other, **GRACE)
    assert k["killed"] is False and k["phase"] == "none"
    assert k["survivors"] == [] and k["status"] == "running"
    assert good(kbox("kill", "--grace", "10m", other)) == (
        other + " is being ended\n")
    assert jobs.kill(other, grace_ms=0)["killed"] is False
    harness.eventually(lambda: jobs.get(other)["status"] == "killed", "dead")
    assert re.fullmatch("0 jobs have ended\n1[12] more: being ended\n",
                        good(kbox("kill", "--all", "--now")))
    harness.eventually(lambda: jobs.get(id)["status"] == "killed", "dead")
    for c in held:
        c.sock.close()


def test_kill_all_need_not_wait(daemon, jobs):
    id = stubborn(jobs)
    a = jobs.ask("POST", "/kill-all", dict(GRACE, wait=False))
    assert a.json == {"killed": 0, "pending": 1, "unsure": False,
                      "survivors": []}
    a = jobs.ask("POST", "/kill-all", {"grace_ms": 0})
    assert a.json == {"killed": 1, "unsure": False, "survivors": []}
    assert jobs.get(id)["status"] == "killed"


# -- what the head promises ---------------------------------------------------

def test_a_followed_log_is_the_last_answer_and_says_so(daemon, jobs):
    id = jobs.start("sleep 0.5; echo end")
    with Raw(daemon.rest_sock) as c:
        a = c.ask("GET", "%s/%s/logs?follow=1" % (JOBS, id))
        assert a.headers["connection"] == "close" and b"end" in a.body
        assert c.closed()
    with Raw(daemon.rest_sock) as c:
        for _ in range(3):
            a = c.ask("GET", "%s/%s/logs" % (JOBS, id))
            assert "connection" not in a.headers and b"end" in a.body


def test_who_comes_back_is_kept_or_told(daemon, jobs):
    """Never told that he may ask again, and then not heard."""
    id = jobs.start("sleep 600")
    waiting = []
    for i in range(24):
        c = asked(daemon.rest_sock, "GET", "/jobs/%s/wait" % id)
        c.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        waiting.append(c)
        harness.eventually(lambda: lasting(daemon) == i + 1, "it waits")
    jobs.kill(id)
    kept = 0
    for c in waiting:
        a = c.answer()
        assert a.status == 200
        if a.headers.get("connection") == "close":
            assert c.closed()
        else:
            assert c.answer().status == 200
            kept += 1
    assert 0 < kept <= HALF
    for c in waiting:
        c.sock.close()
