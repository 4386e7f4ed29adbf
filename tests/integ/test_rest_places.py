"""Answers that last have places of their own: they lock nobody out."""

import json
import re

import pexpect
import pytest

import harness
from jobs import JOBS, Following, Jobs
from rest import API, Raw
from test_kbox import call, good
from test_kbox_jobs_daemon import KBOX

PLACES = 128                    # REST_LASTING_MAX


@pytest.fixture
def daemon(start, tmp_path):
    """Standalone: there terminals can be attached."""
    return start(config=None, env={"HOME": str(tmp_path), "ENV": ""})


@pytest.fixture
def jobs(daemon):
    j = Jobs(daemon.rest_sock)
    yield j
    j.clear()


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
    assert good(kbox("run", "-d", "--id", "new", "sleep 600")) == "new\n"
    assert good(kbox("kill", "new", "front9")) == (
        "new has ended, exit status 143\n"
        "front9 has ended, exit status 143\n")
    assert "s1" in good(kbox("shells"))
    assert good(kbox("kill", "s1")) == "s1 has ended\n"

    held.pop().sock.close()         # whoever leaves makes room
    harness.eventually(lambda: lasting(daemon) < PLACES, "a place is free")
    good(kbox("logs", "-n", "5"))
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
