"""Numbered weaknesses of spec/grpc.md section 8 and spec/rest-kbox.md 7 that
are about sessions; the list of all of them is in test_weaknesses.py."""

import json
import os
import re
import socket
import threading
import time

import pytest

import harness
import raw
from harness import Talk, ssh
from rest import API, Raw, ask, get
from test_rest_shells import Sitting, attach_status, stream
from test_sessions import CODE, acquire, attach, config, detached, leave
from test_sessions import listed, pid_of, shell


@pytest.fixture(scope="module")
def daemon(tmp_path_factory, home):
    d = harness.Daemon(tmp_path_factory.mktemp("weak"), config=config())
    yield d
    d.stop()


@pytest.fixture
def path(daemon):
    yield daemon.rest_sock
    for s in get(daemon.rest_sock, "/shells?all=true").json:
        ask(daemon.rest_sock, "DELETE", API + "/shells/" + s["id"])


@pytest.fixture
def stub(daemon, path):
    with daemon.stub() as s:
        yield s


def at_once(*calls):
    """All of them started together; their results."""
    barrier = threading.Barrier(len(calls))
    results = [None] * len(calls)

    def run(i, call):
        barrier.wait()
        results[i] = call()

    threads = [threading.Thread(target=run, args=c) for c in enumerate(calls)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results


def test_C3_a_session_detached_from_all_sides_at_once(path, stub):
    """By REST many times, by its keys, and by losing its client."""
    pid = None
    for i in range(10):
        t = shell(stub, "sh-c3") if i == 0 else \
            attach(stub, "sh-c3", detach_on_close=True)
        pid = pid or pid_of(t)
        statuses = at_once(
            *[lambda: ask(path, "POST",
                          API + "/shells/sh-c3/detach").status] * 8,
            lambda: t.type(b"\x01d") or 204,
            lambda: (t.cancel() if i else None) or 204)
        assert set(statuses) == {204}
        t.finish()
        detached(stub, "sh-c3")
        assert listed(stub)["sh-c3"].pid == pid


COUNTER = ("i=0; while test $i -lt %d; do i=$((i+1)); echo N=$i=; "
           "test $((i %% 200)) = 0 && sleep 0.02; done; echo E''ND; cat")


def test_D6_history_comes_before_what_is_live(path):
    """Attach and leave while a counter runs: each number once, in order."""
    a = ask(path, "POST", API + "/shells", json.dumps(
        {"name": "d6", "command": "stty -echo; " + COUNTER % 12000}))
    assert a.status == 201
    rounds = 0
    while True:
        with Sitting(path, "d6") as t:
            t.expect(b"N=")
            deadline = time.monotonic() + 0.1
            while time.monotonic() < deadline and b"END" not in t.data:
                assert t.fill()
            data = b"N=" + t.data
        rounds += 1
        numbers = [int(n) for n in re.findall(rb"N=(\d+)=", data)]
        assert numbers == list(range(1, len(numbers) + 1))
        if b"END" in data:
            break
        harness.eventually(lambda: stream(path, "d6")["status"] == "DETACHED",
                           "detached")
    assert numbers[-1] == 12000 and rounds > 2


def test_D12_a_replay_keeps_pictures_and_drops_reports(path, stub):
    """But not what is wrapped for tmux: elsewhere its second escape ends it.
    """
    kept = [rb"\033Pq#0;2;0;0;0~-\033\\", rb"\033P0;1|17/1b\033\\",
            rb"\033[?2026h", rb"\033]8;;http://x\033\\"]
    gone = [rb"\033[?25;1$y", rb"\033[?25$p", rb"\033[c"]
    t = shell(stub, "sh-d12")
    t.type(b"stty -echo; printf 'be''gin %s be''hind\\n'\n"
           % b"".join(kept + gone))
    t.expect("behind")
    leave(t, "chord")
    a = attach(stub, "sh-d12")
    a.expect("behind")

    def sequence(s):
        return s.replace(rb"\033", b"\x1b").replace(rb"\\", b"\\") \
            .replace(rb"\a", b"\x07")

    for s in kept:
        assert sequence(s) in a.data, s
    for s in gone:
        assert sequence(s) not in a.data.partition(b"begin")[2], s


def test_L7_a_lock_is_respected_on_every_way(path, stub):
    """REST attach ignored locks; Shell(lock_id) did not look who is there."""
    leave(shell(stub, "sh-l7"), "chord")
    detached(stub, "sh-l7")
    lock = acquire(stub, "sh-l7").lock_id
    assert attach_status(path, "sh-l7") == 409      # locked
    a = attach(stub, "sh-l7", lock=lock)
    assert attach_status(path, "sh-l7") == 409      # attached
    a.type("echo mi''ne\n")
    a.expect("mine")
    leave(a, "chord")
    detached(stub, "sh-l7")
    with Sitting(path, "sh-l7") as t:
        t.expect(b"mine")
        assert not acquire(stub, "sh-l7").success
        assert attach_status(path, "sh-l7") == 409


def test_weakness_7_2_2_one_of_many_clients_wins(path):
    """Check and attach are one step."""
    assert ask(path, "POST", API + "/shells",
               '{"name": "race", "command": "cat"}').status == 201
    for _ in range(10):
        conns = [Raw(path) for _ in range(12)]
        request = "POST %s/shells/race/attach HTTP/1.1\r\nHost: x\r\n\r\n" \
            % API
        at_once(*[lambda c=c: c.send(request) for c in conns])
        statuses = sorted(c.head()[0] for c in conns)
        assert statuses == [101] + [409] * 11
        for c in conns:
            c.sock.close()
        harness.eventually(lambda: stream(path, "race")["status"]
                           == "DETACHED", "detached")


def test_L8_a_client_lost_in_the_middle_of_output_is_not_for_ever(start):
    """It reads nothing, output waits for it, and its connection breaks."""
    d = start(config=config(detachedTTL="5s"))
    with raw.Peer(d) as p:
        s = p.open(path=raw.SHELL, extra=[("session-id", "sh-l8")])
        p.send_data(s, raw.message(ssh.ShellRequest(
            start_request=ssh.ShellStartRequest(
                usePty=True, cmdShell="/bin/sh",
                detach_on_close=True)).SerializeToString()))
        p.send_data(s, raw.message(ssh.ShellRequest(
            data=b"echo P=$$=; exec yes\n").SerializeToString()))
        p.until(lambda: len(p.data.get(s, b"")) >= 65535, "a full window")
        pid = int(re.search(rb"P=(\d+)=", bytes(p.data[s]))[1])
        p.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                          b"\1\0\0\0\0\0\0\0")      # a reset
    with d.stub() as stub:
        harness.eventually(lambda: "sh-l8" in listed(stub), "detached")
        assert stream(d.rest_sock, "sh-l8")["params"].endswith("s")
        # Nobody holds it up, and it does not stay.
        before = stream(d.rest_sock, "sh-l8")["bytes_out"]
        harness.eventually(lambda: not listed(stub), "expiry")
        assert stream(d.rest_sock, "sh-l8")["bytes_out"] > before
    harness.eventually(lambda: not os.path.exists("/proc/%d" % pid), "gone")


def test_L8_a_slow_client_stops_its_own_shell_only(daemon, stub):
    slow = Talk(stub, "Shell", "sh-l8-slow")
    slow.paused.clear()
    slow.send(start_request=ssh.ShellStartRequest(
        usePty=True, cmdShell="/bin/sh"))
    slow.type("exec yes\n")
    harness.eventually(
        lambda: [s for s in get(daemon.rest_sock, "/streams").json
                 if s["id"] == "sh-l8-slow" and s["bytes_out"] > 65535],
        "output")
    before = daemon.rss_kib()
    t = shell(stub, "sh-l8-quick")
    for i in range(20):
        t.type("echo qu''ick%d\n" % i)
        t.expect("quick%d" % i)
    assert daemon.rss_kib() - before < 4096
    t.type("exit\n")
    assert t.finish() == CODE.OK
    slow.paused.set()
    slow.cancel()


def test_weakness_7_1_3_sessions_see_nothing_of_our_environment(path):
    """Started by kbox shell, whose own environment is not sent either."""
    a = ask(path, "POST", API + "/shells", json.dumps(
        {"name": "env", "command": "tr '\\0' '\\n' </proc/self/environ; "
         "env; echo E''ND; cat", "env": {"ASKED": "for"}}))
    assert a.status == 201
    with Sitting(path, "env") as t:
        text = t.expect(b"END\r\n").decode()
    assert "ASKED=for" in text and "HOME=" in text
    assert "pat-secret-42" not in text and "K8SHELL_PAT_TOKEN" not in text
