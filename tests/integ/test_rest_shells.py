"""Shells by way of the workspace API: start, list, attach, detach."""

import hashlib
import json
import os
import re
import signal
import socket
import time

import pytest

import harness
import rest
from rest import API, Raw, ask, get

CONFIG = harness.CONFIG + """\
shells:
  allowSessionDetach: true
  detachedTTL: 10m
"""


@pytest.fixture
def path(daemon):
    yield daemon.rest_sock
    for s in get(daemon.rest_sock, "/shells?all=true").json:
        ask(daemon.rest_sock, "DELETE", API + "/shells/" + s["id"])


def start(path, **wish):
    a = ask(path, "POST", API + "/shells", json.dumps(wish))
    assert a.status == 201, a.text
    return a.json["id"]


def stream(path, id):
    return [s for s in get(path, "/streams").json if s["id"] == id][0]


class Sitting(Raw):
    """Attached to a shell."""

    def __init__(self, path, id, more=b"", query=""):
        super().__init__(path)
        self.send(b"POST %s/shells/%s/attach%s HTTP/1.1\r\nHost: unix\r\n"
                  b"Content-Length: 0\r\n\r\n%s" % (
                      API.encode(), id.encode(), query.encode(), more))
        status, headers = self.head()
        assert status == 101, self.data
        assert headers["upgrade"] == "k8shell-pty"
        assert headers["connection"] == "Upgrade"

    def expect(self, text):
        while text not in self.data:
            assert self.fill(), self.data
        out, _, self.data = self.data.partition(text)
        return out


def attach_status(path, id):
    with Raw(path) as c:
        c.send("POST %s/shells/%s/attach HTTP/1.1\r\nHost: unix\r\n\r\n"
               % (API, id))
        return c.head()[0]


# -- start and list ------------------------------------------------------------

def test_start_list_and_end(path):
    a = ask(path, "POST", API + "/shells")
    assert a.status == 201
    s = a.json
    assert re.match(r"sh-[a-z0-9]{5}-[a-z0-9]{5}$", s["id"])
    assert s["pid"] in harness.processes(uid=harness.UID)
    listed = get(path, "/shells").json
    assert [x["id"] for x in listed] == [s["id"]]
    assert list(listed[0])[:5] == ["id", "cmd_shell", "pid", "created",
                                   "detached_at"]
    assert listed[0]["cmd_shell"] == s["cmd_shell"] != ""
    assert re.match(r"\d{4}-.*Z$", listed[0]["detached_at"])
    assert 595 < listed[0]["ttl_seconds"] <= 600
    st = stream(path, s["id"])
    assert st["status"] == "DETACHED"
    assert re.match(r"cmd=\S+, pid=%d, ttl=(10m0s|9m59s)$" % s["pid"],
                    st["params"])
    assert ask(path, "DELETE", API + "/shells/" + s["id"]).status == 204
    assert get(path, "/shells").json == []
    assert stream(path, s["id"])["status"] == "STOPPED"


def test_start_with_everything(path):
    id = start(path, name="build", cwd="/usr", width=101, height=37,
               env={"COLOUR": "blue = green", "EMPTY": ""},
               command="pwd; stty size; echo [$COLOUR] [${EMPTY-x}]; cat")
    assert id == "build"
    with Sitting(path, id) as t:
        out = t.expect(b"[blue = green] []")
        assert b"/usr\r\n37 101\r\n" in out


def test_a_name_is_taken_once(path):
    start(path, name="one")
    a = ask(path, "POST", API + "/shells", '{"name": "one"}')
    assert a.status == 409


@pytest.mark.parametrize("body", [
    "x", "[]", '"x"', "{", '{"name": ""}', '{"name": "a/b"}',
    '{"name": "a b"}', '{"name": 5}', '{"name": "%s"}' % ("x" * 129),
    '{"cwd": "here"}', '{"cwd": ""}', '{"command": ""}', '{"command": [1]}',
    '{"command": "a\\u0000b"}', '{"env": ["A=b"]}', '{"env": {"A": 5}}',
    '{"env": {"": "x"}}', '{"env": {"A=B": "x"}}', '{"width": "80"}',
    '{"width": -1}', '{"width": 4294967296}', '{"other": }', '{} x',
    '{"env": {%s}}' % ",".join('"V%d":""' % i for i in range(1025))])
def test_start_refuses_what_it_does_not_understand(path, body):
    a = ask(path, "POST", API + "/shells", body)
    assert a.status == 400 and a.text.count("\n") == 1
    assert get(path, "/shells?all=true").json == []


def test_a_command_that_ends_at_once_is_an_answer_all_the_same(path):
    a = ask(path, "POST", API + "/shells", '{"command": "exit 3"}')
    assert a.status in (201, 500)
    harness.eventually(lambda: get(path, "/shells").json == [], "gone")


def test_a_caller_who_does_not_wait_gets_his_shell_all_the_same(path):
    with Raw(path) as c:
        c.send('POST %s/shells HTTP/1.1\r\nHost: x\r\nContent-Length: 16'
               '\r\n\r\n{"name": "left"}' % API)
    harness.eventually(
        lambda: [s["id"] for s in get(path, "/shells").json] == ["left"],
        "it is there")


def test_all_shells(path, daemon):
    start(path, name="one")
    with daemon.stub() as stub:
        t = harness.Talk(stub, "Shell", "two").start()
        rows = {s["id"]: s for s in get(path, "/shells?all=true").json}
        assert rows["one"]["attached"] is False
        assert rows["two"]["attached"] is True
        assert [s["id"] for s in get(path, "/shells").json] == ["one"]
        t.type("exit\n")
        t.finish()


# -- attach ----------------------------------------------------------------------

def test_attach_replays_and_goes_live(path):
    id = start(path, command="echo first; cat")
    harness.eventually(lambda: stream(path, id)["bytes_out"] >= 7, "output")
    with Sitting(path, id) as t:
        t.expect(b"first\r\n")
        assert stream(path, id)["status"] == "ACTIVE"
        t.send(b"hello\n")
        t.expect(b"hello\r\nhello\r\n")
    with Sitting(path, id) as t:
        assert t.expect(b"hello\r\nhello\r\n").endswith(b"first\r\n")


def test_T26_bytes_behind_the_request_are_typed(path):
    id = start(path, command="cat")
    with Sitting(path, id, more=b"typed ahead\n") as t:
        t.expect(b"typed ahead\r\ntyped ahead\r\n")


def test_attach_takes_the_size(path):
    id = start(path)
    with Sitting(path, id, query="?width=99&height=33") as t:
        t.send(b"stty size\n")
        t.expect(b"33 99")
    a = ask(path, "POST", API + "/shells/%s/attach?width=x" % id)
    assert a.status == 400


def test_the_chord_detaches_and_closes(path):
    id = start(path, command="cat")
    with Sitting(path, id) as t:
        t.send(b"before\n\x01")
        t.expect(b"before\r\nbefore\r\n")
        t.send(b"dlost")
        assert t.closed()
    assert stream(path, id)["status"] == "DETACHED"


def test_one_client_at_a_time(path):
    id = start(path)
    with Sitting(path, id):
        assert attach_status(path, id) == 409
    harness.eventually(lambda: stream(path, id)["status"] == "DETACHED",
                       "detached")


def test_the_end_of_the_shell_ends_the_connection(path):
    id = start(path)
    with Sitting(path, id) as t:
        t.send(b"echo good''bye; exit\n")
        t.expect(b"goodbye\r\n")
        while t.fill():
            pass
    assert attach_status(path, id) == 404


@pytest.mark.parametrize("how", ["close", "half", "reset"])
def test_weakness_7_2_2_losing_attach_leaves_the_shell(path, how):
    """rest-kbox 7.2: losing `kbox attach` kills the shell."""
    id = start(path, command="cat")
    t = Sitting(path, id)
    t.send(b"typed before\n")
    if how == "half":
        t.sock.shutdown(socket.SHUT_WR)
        t.rest()
    t.sock.close()
    harness.eventually(lambda: stream(path, id)["status"] == "DETACHED",
                       "detached")
    with Sitting(path, id) as t:
        t.expect(b"typed before\r\ntyped before\r\n")


@pytest.fixture
def start_daemon(request):
    """conftest's `start`, whose name is a shell's here."""
    return request.getfixturevalue("start")


def test_killOnLostAttach_restores_the_old_way(start_daemon):
    d = start_daemon(config=CONFIG + "  killOnLostAttach: true\n")
    id = start(d.rest_sock)
    Sitting(d.rest_sock, id).sock.close()
    harness.eventually(lambda: get(d.rest_sock, "/shells?all=true").json
                       == [], "the shell is gone")


def test_refusals_of_attach(path, daemon, start_daemon):
    assert attach_status(path, "nobody") == 404
    with daemon.stub() as stub:
        t = harness.Talk(stub, "Shell", "plain").start(pty=False)
        assert attach_status(path, "plain") == 400
        assert ask(path, "POST", API + "/shells/plain/detach").status == 400
        t.half_close()
        t.finish()
    off = start_daemon(config=CONFIG.replace("Detach: true", "Detach: false"))
    with off.stub() as stub:
        t = harness.Talk(stub, "Shell", "sh").start()
        assert attach_status(off.rest_sock, "sh") == 403
        assert ask(off.rest_sock, "POST", API + "/shells").status == 403
        a = ask(off.rest_sock, "POST", API + "/shells/sh/detach")
        assert a.status == 400 and "allowSessionDetach" in a.text
        t.type("exit\n")
        t.finish()


def test_output_while_a_client_does_not_read_is_not_lost(path):
    id = start(path, command="read x; seq 60000; cat")
    with Sitting(path, id) as t:
        t.send(b"\n")
        time.sleep(0.5)
        out = t.expect(b"\r\n60000\r\n")
    numbers = [int(n) for n in re.findall(rb"\b\d+\b", out)]
    assert numbers == list(range(1, 60000))


def test_input_is_not_lost_when_the_shell_is_slow(path):
    id = start(path, command="stty raw -echo; echo go; sleep 1; "
                             "head -c 3000000 | sha256sum; cat")
    data = bytes(range(2, 250)) * 12097
    with Sitting(path, id) as t:
        t.expect(b"go")
        t.sock.settimeout(60)
        t.send(data[:3000000])
        t.expect(hashlib.sha256(data[:3000000]).hexdigest().encode())


@pytest.mark.parametrize("most", [
    (1 << 20) + extra for extra in (90000, 110000, 130000)] + [4 << 20])
def test_what_a_client_left_reaches_a_shell_that_is_slow(path, most):
    """More than the shell's queue takes, and he is gone before it reads."""
    id = start(path, command="stty raw -echo; echo go; read x; sleep 1; "
                             "stty min 0 time 10; sha256sum; cat")
    block = bytes(range(20, 250)) * 1000
    sent = 0
    with Sitting(path, id) as t:
        t.expect(b"go")
        t.send(b"\n")
        seen = hashlib.sha256()
        t.sock.settimeout(0.3)
        try:
            while sent < most:
                n = t.sock.send(block[:most - sent])
                seen.update(block[:n])
                sent += n
        except TimeoutError:
            pass
    assert (1 << 20) < sent < 4 << 20
    harness.eventually(lambda: stream(path, id)["status"] == "DETACHED",
                       "detached")
    assert stream(path, id)["bytes_in"] == sent + 1
    with Sitting(path, id) as t:
        t.expect(seen.hexdigest().encode())


# -- ended before anybody came -----------------------------------------------------

def ended(path, **wish):
    id = start(path, **wish)
    harness.eventually(lambda: stream(path, id)["status"] == "STOPPED",
                       "it has ended")
    return id


def last_words(path, id):
    with Sitting(path, id) as t:
        return t.rest()


def test_a_command_that_ended_before_the_attach_is_heard(path):
    id = ended(path, command="echo hello; exit 3")
    assert get(path, "/shells?all=true").json == []
    assert last_words(path, id) == b"hello\r\n"
    assert attach_status(path, id) == 404, "once"


def test_all_of_its_output_is_heard(path):
    id = ended(path, command="seq 30000")
    assert last_words(path, id) == b"".join(
        b"%d\r\n" % i for i in range(1, 30001))


def test_one_that_ended_in_silence_just_ends(path):
    assert last_words(path, ended(path, command="true")) == b""


def test_an_ended_one_is_forgotten_after_two_seconds(path):
    id = ended(path, command="echo hello")
    at = time.monotonic()
    time.sleep(1)
    if time.monotonic() - at < 1.8:
        assert ask(path, "POST", API + "/shells/%s/detach" % id).status == 400
        assert ask(path, "DELETE", API + "/shells/" + id).status == 404
    rest.sleep_until(at + 2.2)
    assert attach_status(path, id) == 404


def test_its_name_is_free_at_once(path):
    ended(path, name="again", command="echo one")
    ended(path, name="again", command="echo two")
    assert last_words(path, "again") == b"two\r\n"


def test_a_deleted_one_is_not_kept(path):
    id = start(path, command="echo hello; exec cat")
    assert ask(path, "DELETE", API + "/shells/" + id).status == 204
    assert attach_status(path, id) == 404


def test_ending_one_ends_its_jobs_that_catch_the_hangup_too(path):
    id = start(path, command="/bin/bash")
    with Sitting(path, id) as t:
        t.send(b"set -m; (trap 'echo ignored' HUP; echo m''ember $BASHPID; "
               b"while :; do sleep 0.1; done) & (trap '' HUP; "
               b"echo n''ohup $BASHPID; exec sleep 999) & \n")
        while not (m := re.search(rb"member (\d+)\r", t.data)) or \
                not re.search(rb"nohup \d+\r", t.data):
            assert t.fill(), t.data
        member = int(m[1])
        assert ask(path, "DELETE", API + "/shells/" + id).status == 204
    harness.eventually(lambda: member not in harness.processes(), "its end")
    stays = [p for p in harness.processes(uid=harness.UID)
             if open("/proc/%d/cmdline" % p).read() == "sleep\x00999\x00"]
    assert len(stays) == 1
    os.kill(stays[0], signal.SIGKILL)


def test_one_that_was_attached_once_is_not_kept(path):
    id = start(path, command="echo hello; sleep 0.5")
    with Sitting(path, id) as t:
        t.expect(b"hello")
    harness.eventually(lambda: stream(path, id)["status"] == "STOPPED",
                       "it has ended")
    assert attach_status(path, id) == 404


def test_no_more_than_16_are_kept(path):
    ids = [start(path, command="echo hello") for _ in range(20)]
    harness.eventually(lambda: all(stream(path, i)["status"] == "STOPPED"
                                   for i in ids), "all have ended")
    kept = [attach_status(path, i) == 101 for i in ids]
    assert sum(kept) <= 16 and not any(kept[:4])


def test_stopping_does_not_wait_for_ended_ones(start_daemon):
    d = start_daemon(config=CONFIG)
    ended(d.rest_sock, command="echo hello")
    d.stop()


# -- detach -----------------------------------------------------------------------

def test_detach_lets_a_grpc_client_go(path, daemon):
    with daemon.stub() as stub:
        t = harness.Talk(stub, "Shell", "sh").start()
        t.type("echo he''re\n")
        t.expect("here")
        a = ask(path, "POST", API + "/shells/sh/detach", '{"ttl": "90s"}')
        assert (a.status, a.body) == (204, b"")
        t.finish()
    assert 85 < get(path, "/shells").json[0]["ttl_seconds"] <= 90
    with Sitting(path, "sh") as t:
        t.expect(b"here\r\n")


def test_detaching_what_is_detached_gives_it_a_new_time(path):
    id = start(path)
    for body, low, high in (('{"ttl": "2m"}', 118, 120), ("", 118, 120),
                            ('{"ttl": ""}', 118, 120),
                            ('{"ttl": "1ns"}', None, None)):
        a = ask(path, "POST", API + "/shells/%s/detach" % id, body)
        assert a.status == 204, a.text
        if low is not None:
            left = get(path, "/shells").json[0]["ttl_seconds"]
            assert low < left <= high
    harness.eventually(lambda: get(path, "/shells").json == [], "expired")


@pytest.mark.parametrize("body", [
    '{"ttl": "0s"}', '{"ttl": "11m"}', '{"ttl": "-1s"}', '{"ttl": "x"}',
    '{"ttl": 5}', '{"ttl": "5"}', '{"ttl": "9999999h"}', "x", "[]",
    '{"ttl": "292y"}', '{"ttl": "2562047h"}', '{} {}'])
def test_refusals_of_detach(path, body):
    id = start(path)
    a = ask(path, "POST", API + "/shells/%s/detach" % id, body)
    assert a.status == 400 and a.text.count("\n") == 1
    assert len(get(path, "/shells").json) == 1


def test_detach_takes_a_chunked_body(path):
    """rest-kbox 1.12: a chunked body is ignored."""
    id = start(path)
    with Raw(path) as c:
        c.send("POST %s/shells/%s/detach HTTP/1.1\r\nHost: x\r\n"
               "Transfer-Encoding: chunked\r\n\r\n"
               "d\r\n{\"ttl\": \"30s\"\r\n1\r\n}\r\n0\r\n\r\n" % (API, id))
        assert c.answer().status == 204
    assert get(path, "/shells").json[0]["ttl_seconds"] <= 30


def test_unlimited_where_it_is_allowed(start_daemon):
    d = start_daemon(config=CONFIG + "  allowUnlimittedTTL: true\n")
    id = start(d.rest_sock)
    a = ask(d.rest_sock, "POST", API + "/shells/%s/detach" % id,
            '{"ttl": "0s"}')
    assert a.status == 204
    assert stream(d.rest_sock, id)["params"].endswith(", ttl=\u221e")
    assert "ttl_seconds" not in get(d.rest_sock, "/shells").json[0]
    a = ask(d.rest_sock, "POST", API + "/shells/%s/detach" % id,
            '{"ttl": "12h"}')
    assert a.status == 204      # more than detachedTTL, less than for ever


def test_stopping_with_everything_under_way(start_daemon):
    d = start_daemon(config=CONFIG)
    ids = [start(d.rest_sock) for _ in range(5)]
    pids = [s["pid"] for s in get(d.rest_sock, "/shells").json]
    assert len(pids) == 5
    held = [Sitting(d.rest_sock, i) for i in ids[:3]]
    with Raw(d.rest_sock) as c:
        c.send("POST %s/shells HTTP/1.1\r\nHost: x\r\n\r\n" % API)
        d.stop()
    for t in held:
        t.rest()
        t.sock.close()
    assert not set(pids) & set(harness.processes(uid=harness.UID))
