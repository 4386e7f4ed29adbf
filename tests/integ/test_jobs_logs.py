"""Jobs: what they say, and waiting for it (L and R of process-tree.md)."""

import glob
import hashlib
import json
import os
import signal
import socket
import stat
import threading
import time

import pytest

import attack
import harness
import rest
from jobs import JOBS, Following, Jobs, follow, output
from rest import Raw

MiB = 1024 * 1024
LOGS = ".local/state/k8shell/jobs"


def healthy(jobs):
    id = jobs.start("echo fine")
    jobs.wait(id)
    assert jobs.raw(id) == b"fine\n"


# -- events ----------------------------------------------------------------------

def test_events_carry_numbers_times_and_streams(jobs):
    id = jobs.start("echo out; sleep 0.1; echo err >&2; sleep 0.1; exit 3")
    jobs.wait(id)
    e = jobs.events(id)
    assert [x["seq"] for x in e] == [1, 2, 3, 4]
    assert [x["type"] for x in e] == ["start", "stdout", "stderr", "exit"]
    assert e[0]["pid"] == jobs.get(id)["pid"]
    assert (e[1]["data"], e[2]["data"]) == ("out\n", "err\n")
    assert (e[3]["status"], e[3]["exit_code"]) == ("failed", 3)
    times = [x["time"] for x in e]
    assert times == sorted(times) and times[0].endswith("Z")
    assert jobs.get(id)["seq"] == 4


def test_streams_can_be_asked_for_apart(jobs):
    id = jobs.start("echo 1; echo 2 >&2; echo 3")
    jobs.wait(id)
    assert output(jobs.events(id, "?stream=stdout")) == b"1\n3\n"
    assert output(jobs.events(id, "?stream=stderr")) == b"2\n"
    assert jobs.events(id, "?stream=stderr")[-1]["type"] == "exit"
    assert jobs.raw(id, "&stream=stdout") == b"1\n3\n"
    assert jobs.ask("GET", "/%s/logs?stream=both" % id).status == 400


def test_since_goes_on_where_one_was(jobs):
    id = jobs.start("for i in 1 2 3; do echo $i; sleep 0.05; done")
    jobs.wait(id)
    e = jobs.events(id)
    for x in e:
        assert jobs.events(id, "?since=%d" % x["seq"]) == e[x["seq"]:]
    for bad in ("x", "-1", "1.0", str(e[-1]["seq"] + 1), "9" * 30, "1%00"):
        a = jobs.ask("GET", "/%s/logs?since=%s" % (id, bad))
        assert a.status == 400, bad
    assert jobs.events(id, "?since=0") == e


def test_tail_gives_the_last_lines(jobs):
    id = jobs.start("printf 'a\\nb\\nc\\nd\\ne'; sleep 0.1; echo E >&2")
    jobs.wait(id)
    tail = lambda n, more="": output(jobs.events(id, "?tail=%d%s" % (n, more)))
    assert tail(2, "&stream=stdout") == b"d\ne"
    assert tail(1, "&stream=stderr") == b"E\n"
    assert tail(0) == b""
    assert tail(100) == b"a\nb\nc\nd\neE\n"
    assert jobs.raw(id, "&tail=3&stream=stdout") == b"c\nd\ne"
    assert jobs.ask("GET", "/%s/logs?tail=x" % id).status == 400
    assert jobs.events(id, "?tail=0")[-1:] == []
    id = jobs.start("echo a; sleep 0.1; echo b")
    jobs.wait(id)
    e = jobs.events(id, "?tail=1")
    assert [x.get("data") for x in e if x["type"] == "stdout"] == ["b\n"]


def test_bytes_that_are_no_text_come_exactly(jobs):
    """Spec 3.6: 0xFF on stdout, byte-exact."""
    want = bytes(range(256)) * 40
    id = jobs.start("i=0; while [ $i -lt 40 ]; do printf '%s'; i=$((i+1)); "
                    "done" % "".join("\\%03o" % b for b in range(256)))
    jobs.wait(id)
    assert jobs.raw(id) == want
    assert output(jobs.events(id)) == want


def test_text_is_never_cut_inside_a_character(jobs):
    id = jobs.start("i=0; while [ $i -lt 9000 ]; do printf '\\342\\202\\254"
                    "<&>\\360\\237\\230\\200'; i=$((i+1)); done")
    jobs.wait(id)
    e = jobs.events(id)
    assert output(e) == "\u20ac<&>\U0001f600".encode() * 9000
    assert not any("data_base64" in x for x in e)


def test_a_character_that_never_ends_comes_at_the_end(jobs):
    id = jobs.start("printf 'a\\342\\202'")
    jobs.wait(id)
    assert jobs.raw(id) == b"a\xe2\x82"


def test_L8_E9_output_comes_while_it_is_made(jobs):
    id = jobs.start("for i in 1 2 3 4; do echo $i; sleep 0.3; done")
    with follow(jobs, id) as f:
        times = []
        for e in iter(f.event, None):
            times.append(time.monotonic())
            if e["type"] == "exit":
                break
    assert times[-1] - times[1] > 0.6


def test_follow_replays_and_goes_live_with_no_gap(jobs):
    id = jobs.start("i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); "
                    "done")
    followers = []
    for _ in range(6):
        followers.append(follow(jobs, id))
        time.sleep(0.01)
    want = "".join("%d\n" % i for i in range(2000)).encode()
    for f in followers:
        e = f.rest_of_it()
        assert output(e) == want
        seqs = [x["seq"] for x in e]
        assert seqs == list(range(1, len(e) + 1))
        f.sock.close()


def test_follow_of_an_ended_job_ends(jobs):
    id = jobs.start("echo x")
    jobs.wait(id)
    with follow(jobs, id) as f:
        assert f.rest_of_it() == jobs.events(id)
    with follow(jobs, id, "&raw=1") as f:
        assert b"".join(f._lines) == b"x"


# -- L: streams that are left --------------------------------------------------------

def test_L1_one_event_and_away(jobs):
    id = jobs.start("for i in $(seq 100); do echo $i; sleep 0.01; done")
    with follow(jobs, id) as f:
        f.event()
    healthy(jobs)
    assert jobs.wait(id)["exit_code"] == 0


def test_L2_rapid_attach_and_leave_of_an_endless_printer(jobs):
    id = jobs.start("yes")
    for _ in range(5):
        with follow(jobs, id) as f:
            f.event()
    healthy(jobs)
    jobs.kill(id)


def test_L3_left_as_it_completes(jobs):
    for _ in range(5):
        id = jobs.start("sleep 0.05; echo done")
        with follow(jobs, id) as f:
            time.sleep(0.05)
    healthy(jobs)


def test_L4_three_streams_left_at_different_times(jobs):
    id = jobs.start("for i in $(seq 50); do echo $i; sleep 0.01; done")
    streams = [follow(jobs, id) for _ in range(3)]
    for n, f in enumerate(streams):
        for _ in range(5 * n + 1):
            f.event()
        f.sock.close()
    assert jobs.wait(id)["exit_code"] == 0
    healthy(jobs)


def test_L5_an_attached_run_that_is_left(jobs):
    with Following(jobs, "POST", "", {
            "command": "for i in $(seq 50); do echo $i; sleep 0.1; done",
            "id": "x", "attached": True}) as f:
        f.event()
        f.event()
    assert jobs.wait("x")["status"] == "killed"
    healthy(jobs)


def test_L9_a_silent_stream_stays(start):
    d = start()
    jobs = Jobs(d.rest_sock)
    id = jobs.start("sleep 11; echo late")
    with follow(jobs, id) as f:     # longer than a request may idle
        f.sock.settimeout(30)
        assert output(f.rest_of_it()) == b"late\n"


# -- the ring --------------------------------------------------------------------------

def noise(mib):
    return ("i=0; while [ $i -lt %d ]; do dd if=/dev/zero bs=64k count=16 "
            "2>/dev/null | tr '\\0' x; i=$((i+1)); done" % mib)


def test_the_ring_keeps_the_newest_mebibyte(jobs):
    id = jobs.start(noise(3) + "; echo; echo end")
    j = jobs.wait(id)
    assert j["bytes_out"] == 3 * MiB + 5
    e = jobs.events(id)
    assert e[0]["type"] == "truncated" and e[0]["first"] == e[1]["seq"] > 1
    assert [x["type"] for x in e].count("truncated") == 1
    got = output(e)
    assert MiB - 8192 <= len(got) <= MiB and got.endswith(b"x\nend\n")
    assert e[0]["offset"] == j["bytes_out"] - len(got)
    assert e[-1]["type"] == "exit"
    raw = jobs.raw(id)
    assert raw == got
    e = jobs.events(id, "?tail=1")
    assert output(e) == b"end\n" and e[0]["type"] != "truncated"
    last = jobs.get(id)["seq"]
    assert jobs.events(id, "?since=%d" % (last - 2))[0]["type"] == "stdout"


def test_ten_thousand_events_are_kept(jobs):
    id = jobs.start(["python3", "-c", "import os\nfor i in range(12000):\n"
                     " os.write(1 + i % 2, b'%d\\n' % i)"])
    jobs.wait(id)
    e = jobs.events(id)
    n = sum(x["type"] != "truncated" for x in e)
    assert n <= 10000 and e[-1]["type"] == "exit"
    assert output(e).splitlines()[-1] in (b"11999", b"11998")


def test_a_reader_who_does_not_read_costs_neither_memory_nor_speed(start):
    d = start()
    jobs = Jobs(d.rest_sock)
    jobs.wait(jobs.start("true"))
    before = d.status("VmRSS")
    id = jobs.start("sleep 1; " + noise(40) + "; echo end")
    readers = []
    for _ in range(8):
        c = Raw(jobs.path)
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.send("GET %s/%s/logs?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n"
               % (JOBS, id))
        readers.append(c)
    assert jobs.wait(id)["exit_code"] == 0      # within 15 s
    if not attack.sanitized():
        assert d.status("VmRSS") - before < 10 * 1024
    for c in readers[:2]:                       # and it was not cut off
        status, _ = c.head()
        e = [json.loads(x) for x in c.lines()]
        assert status == 200 and e[-1]["type"] == "exit"
        cuts = [i for i, x in enumerate(e) if x["type"] == "truncated"]
        assert len(cuts) >= 1
        seqs = [x.get("seq", 0) for x in e]
        for i in cuts:
            assert e[i]["first"] == e[i + 1]["seq"]
        gaps = [i for i in range(1, len(e)) if seqs[i] and seqs[i - 1] and
                seqs[i] != seqs[i - 1] + 1]
        assert gaps == []           # none without its mark
        assert output(e).endswith(b"end\n")
    for c in readers:
        c.sock.close()


def test_a_slow_reader_of_what_there_was_comes_to_an_end(jobs):
    """All he asked for is overwritten while he sleeps."""
    id = jobs.start("yes | head -c 1000000; sleep 0.5; " + noise(4) +
                    "; echo end")
    harness.eventually(lambda: jobs.get(id)["bytes_out"] == 1000000, "some")
    last = jobs.get(id)["seq"]
    with Raw(jobs.path) as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.send("GET %s/%s/logs HTTP/1.1\r\nHost: x\r\n\r\n" % (JOBS, id))
        jobs.wait(id)
        assert c.head()[0] == 200
        e = [json.loads(x) for x in c.lines()]
    assert e[-1]["type"] == "truncated" and e[-1]["first"] > last
    assert all(x["seq"] <= last for x in e[:-1])


def test_an_ended_job_keeps_no_more_than_it_said(start):
    d = start()
    jobs = Jobs(d.rest_sock)
    for i in range(20):
        jobs.wait(jobs.start("echo %d" % i))
    text = rest.get(jobs.path, "/metrics").text
    held = int(text.split("\nk8shell_jobs_log_bytes ")[1].split("\n")[0])
    assert 0 < held < 20 * 256


# -- R: readiness ------------------------------------------------------------------------

def test_R1_a_line_that_comes_later(jobs):
    id = jobs.start("sleep 0.5; echo server ready now; sleep 100")
    a = jobs.until(id, "ready")
    assert a["matched"] is True and a["line"] == "server ready now"
    assert a["stream"] == "stdout" and a["groups"] == []
    assert jobs.events(id)[a["seq"] - 1]["data"] == "server ready now\n"


def test_R1_a_line_that_was_there_before(jobs):
    id = jobs.start("echo one; echo two; sleep 100")
    harness.eventually(lambda: b"two" in jobs.raw(id), "output")
    assert jobs.until(id, "one")["line"] == "one"
    j = jobs.start("echo over")
    jobs.wait(j)
    assert jobs.until(j, "over")["line"] == "over"


def test_R1_a_prompt_without_an_end(jobs):
    id = jobs.start("printf 'name? '; sleep 100")
    assert jobs.until(id, "name?")["line"] == "name? "
    id = jobs.start("printf 'no end'")
    assert jobs.until(id, "no end")["line"] == "no end"


def test_R1_split_over_many_writes(jobs):
    id = jobs.start("for c in r e a d y; do printf $c; sleep 0.05; done; "
                    "echo; sleep 100")
    assert jobs.until(id, "ready")["line"].startswith("ready")


def test_R1_an_expression_with_groups(jobs):
    id = jobs.start("echo 'listening on 0.0.0.0:8080 (http)'; sleep 100")
    a = jobs.until(id, "on ([0-9.]+):([0-9]+)( tls)?", regex=True)
    assert a["groups"] == ["0.0.0.0", "8080", None]


def test_an_expression_sees_characters(jobs):
    id = jobs.start("printf 'caf\\303\\251\\303\\251\\377.\\n'; sleep 100")
    a = jobs.until(id, "^caf(\u00e9+)([^a-z])[.]$", regex=True)
    assert a["groups"] == ["\u00e9\u00e9", "\ufffd"]
    assert jobs.until(id, "f[\u00e0\u00e9]{2}.", regex=True)["matched"]


def test_R3_R2_a_line_then_a_port(jobs):
    id = jobs.start(["python3", "-u", "-c", SERVER, "0.5"])
    port = int(jobs.until(id, "port ([0-9]+)", regex=True)["groups"][0])
    a = jobs.ask("POST", "/%s/wait" % id,
                 {"port": port, "timeout_ms": 15000})
    assert a.status == 200 and a.json == {"ready": True, "status_code": 200}
    a = jobs.ask("POST", "/%s/wait" % id,
                 {"port": port, "mode": "tcp", "timeout_ms": 15000})
    assert a.json == {"ready": True}
    a = jobs.ask("POST", "/%s/wait" % id,
                 {"port": port, "path": "/missing", "status": 404,
                  "timeout_ms": 15000})
    assert a.json["status_code"] == 404
    a = jobs.ask("POST", "/%s/wait" % id,
                 {"port": port, "path": "/missing", "interval_ms": 100,
                  "timeout_ms": 700})
    assert a.status == 408


SERVER = """\
import http.server, socket, sys, time
host = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"
fam = socket.AF_INET6 if ":" in host else socket.AF_INET
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404 if self.path == "/missing" else 200)
        self.end_headers()
s = socket.socket(fam)
s.bind((host, 0))
print("port", s.getsockname()[1])
time.sleep(float(sys.argv[1]))
http.server.HTTPServer.address_family = fam
srv = http.server.HTTPServer((host, 0), H, bind_and_activate=False)
srv.socket.close()
srv.socket = s
s.listen(5)
srv.serve_forever()
"""


def test_R2_a_server_on_the_other_loopback(jobs):
    with contextlib_skip_v6():
        id = jobs.start(["python3", "-u", "-c", SERVER, "0.1", "::1"])
    port = int(jobs.until(id, "port ([0-9]+)", regex=True)["groups"][0])
    a = jobs.ask("POST", "/%s/wait" % id,
                 {"port": port, "timeout_ms": 15000})
    assert a.status == 200, a.text


class contextlib_skip_v6:
    """There is no IPv6 in some containers."""

    def __enter__(self):
        try:
            with socket.socket(socket.AF_INET6) as s:
                s.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 loopback here")

    def __exit__(self, *exc):
        pass


def test_a_port_that_never_answers_http(jobs):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(50)
        id = jobs.start("sleep 100")
        port = s.getsockname()[1]
        a = jobs.ask("POST", "/%s/wait" % id, {"port": port,
                                               "timeout_ms": 600})
        assert a.status == 408
        a = jobs.ask("POST", "/%s/wait" % id, {
            "port": port, "mode": "tcp", "timeout_ms": 15000})
        assert a.status == 200


def test_R4_a_line_that_never_comes(jobs):
    id = jobs.start("echo other; sleep 100")
    t = time.monotonic()
    a = jobs.ask("POST", "/%s/wait" % id, {"log": "never",
                                           "timeout_ms": 500})
    assert a.status == 408 and "timeout after 500 ms" in a.text
    assert time.monotonic() - t >= 0.5
    assert jobs.get(id)["status"] == "running"


def test_R5_it_ends_before_it_is_ready(jobs):
    id = jobs.start("echo other; sleep 0.3; exit 3")
    for wish in ({"log": "never"}, {"port": 1}, {"port": 1, "mode": "tcp"}):
        a = jobs.ask("POST", "/%s/wait" % id, dict(wish, timeout_ms=15000))
        assert a.status == 500
        assert "exited before ready, status 3" in a.text


def test_R6_a_line_on_stderr(jobs):
    id = jobs.start("echo warning: ready >&2; sleep 100")
    assert jobs.until(id, "ready")["stream"] == "stderr"


def test_waiting_for_the_end_has_a_timeout(jobs):
    id = jobs.start("sleep 100")
    a = jobs.ask("GET", "/%s/wait?timeout_ms=300" % id)
    assert a.status == 408 and a.text.count("\n") == 1
    assert jobs.ask("GET", "/%s/wait?timeout_ms=x" % id).status == 400
    with Raw(jobs.path) as c:
        c.send("GET %s/%s/wait HTTP/1.1\r\nHost: x\r\n\r\n" % (JOBS, id))
        jobs.kill(id)
        assert c.answer().json["status"] == "killed"


def test_waiters_who_leave_make_room_for_others(jobs):
    """Of 32 connections."""
    id = jobs.start("sleep 100")
    for _ in range(60):
        with Raw(jobs.path) as c:
            c.send("GET %s/%s/wait HTTP/1.1\r\nHost: x\r\n\r\n" % (JOBS, id))
            time.sleep(0.005)
    for what in ({"log": "never"}, {"port": 9}):
        for _ in range(60):
            with Raw(jobs.path) as c:
                body = json.dumps(what)
                c.send("POST %s/%s/wait HTTP/1.1\r\nHost: x\r\n"
                       "Content-Length: %d\r\n\r\n%s" % (JOBS, id, len(body),
                                                         body))
                time.sleep(0.005)
    assert jobs.get(id)["status"] == "running"
    jobs.kill(id)


@pytest.mark.parametrize("body", [
    "", "x", "[]", "{}", '{"log": ""}', '{"log": 5}', '{"port": 0}',
    '{"port": 65536}', '{"port": "80"}', '{"log": "x", "port": 80}',
    '{"log": "%s"}' % ("x" * 1025), '{"log": "x", "regex": "yes"}',
    '{"log": "(", "regex": true}', '{"log": "(a)\\\\1", "regex": true}',
    '{"log": "((a{200}){200}){200}", "regex": true}',
    '{"log": "a{1,99999}", "regex": true}',
    '{"port": 80, "mode": "udp"}', '{"port": 80, "path": "x"}',
    '{"port": 80, "path": "/a b"}', '{"port": 80, "path": "/a\\r\\nX: y"}',
    '{"port": 80, "status": "2xx"}', '{"port": 80, "status": "399-200"}',
    '{"port": 80, "status": 99}', '{"port": 80, "interval_ms": -1}',
    '{"port": 80, "timeout_ms": "5s"}'])
def test_a_wait_that_is_not_understood_is_refused(jobs, body):
    id = jobs.start("sleep 100")
    a = jobs.ask("POST", "/%s/wait" % id, body)
    assert a.status == 400 and a.text.count("\n") == 1


def test_an_expression_does_not_stop_the_daemon(start):
    """A costly one over a full ring is looked for in steps: the longest turn
    of the loop is a small part of it."""
    d = start()
    jobs = Jobs(d.rest_sock)
    id = jobs.start(noise(1))
    jobs.wait(id)
    t = time.monotonic()
    a = jobs.ask("POST", "/%s/wait" % id, {"log": "(x?){40}y", "regex": True},
                 timeout=120)
    took = time.monotonic() - t
    assert a.status == 500 and "exited before ready" in a.text
    text = rest.get(jobs.path, "/metrics").text
    longest = float(text.split("\nk8shell_loop_turn_seconds_max ")[1].split()[0])
    assert longest < took / 4


# -- the file ---------------------------------------------------------------------------------

def log_of(home, id):
    return os.path.join(home, LOGS, id + ".log")


def file_is(path, want):
    def look():
        try:
            with open(path, "rb") as f:
                return f.read() == want
        except FileNotFoundError:
            return False
    harness.eventually(look, "%s holds it" % path)


def test_the_file_has_the_bytes_as_they_came(jobs, home):
    id = jobs.start("echo out; sleep 0.05; printf 'err\\377' >&2")
    jobs.wait(id)
    path = log_of(home, id)
    assert jobs.get(id)["log_file"] == path
    file_is(path, b"out\nerr\xff")
    st = os.stat(path)
    assert (st.st_uid, st.st_gid) == (harness.UID, harness.GID)
    assert stat.S_IMODE(st.st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


def test_the_file_of_an_earlier_job_is_the_older_one(jobs, home):
    for text in ("one", "two", "three"):
        jobs.wait(jobs.start("echo " + text, id="again"))
        file_is(log_of(home, "again"), text.encode() + b"\n")
    file_is(log_of(home, "again") + ".1", b"two\n")
    assert len(glob.glob(log_of(home, "again") + "*")) == 2


def test_the_file_is_complete_and_goes_on_in_a_new_one(jobs, home):
    """10 MiB, and one older; nothing is lost between."""
    id = jobs.start(["python3", "-c", "import os\nfor i in range(13 * 16):\n"
                     " b = (b'%07d\\n' % i) * 8192\n"
                     " while b: b = b[os.write(1, b):]"], id="big")
    jobs.wait(id)
    path = log_of(home, id)
    want = b"".join((b"%07d\n" % i) * 8192 for i in range(13 * 16))
    assert len(want) == 13 * MiB
    file_is(path, want[10 * MiB:])
    file_is(path + ".1", want[:10 * MiB])
    for p in (path, path + ".1"):
        os.unlink(p)


def test_the_file_is_never_written_through_a_link(jobs, home, tmp_path):
    victim = str(tmp_path / "victim")
    with open(victim, "w") as f:
        f.write("precious")
    os.makedirs(os.path.join(home, LOGS), exist_ok=True)
    os.symlink(victim, log_of(home, "linked"))
    jobs.wait(jobs.start("echo x", id="linked"))
    file_is(log_of(home, "linked"), b"x\n")
    assert not os.path.islink(log_of(home, "linked"))
    with open(victim) as f:
        assert f.read() == "precious"


def test_without_a_file_the_job_runs(start, home, tmp_path):
    """A home that is not there, and one that can't be written."""
    d = start(env={"USERNAME": "nobody-here"})
    jobs = Jobs(d.rest_sock)
    passed = jobs.start("echo fine", cwd="/", id="x")
    j = jobs.wait(passed)
    assert j["exit_code"] == 0 and jobs.raw("x") == b"fine\n"
    harness.eventually(lambda: jobs.get("x")["log_file"] == "" and
                       "job x: no log file" in d.log(), "a note")
    d.stop()


# A home of 64 KiB, in the daemon's own mount namespace.
SMALL_HOME = """\
mount -t tmpfs -o size=64k,uid=%d,gid=%d,mode=755 none "$0" && exec "$@"
"""


def with_small_home(start, home):
    return start(wrapper=["unshare", "--mount", "sh", "-c",
                          SMALL_HOME % (harness.UID, harness.GID), home])


def test_T28_a_full_home_costs_the_file_and_not_the_job(start, home):
    d = with_small_home(start, home)
    jobs = Jobs(d.rest_sock)
    j = jobs.wait(jobs.start("head -c 300000 /dev/zero; echo end", id="big"))
    assert j["exit_code"] == 0 and j["bytes_out"] == 300004
    assert jobs.raw("big") == bytes(300000) + b"end\n"
    harness.eventually(lambda: jobs.get("big")["log_file"] == "", "no file")
    lines = [x for x in d.log().splitlines() if "job big: no log file" in x]
    assert len(lines) == 1 and "No space left on device" in lines[0]
    jobs.wait(jobs.start("rm -f .local/state/k8shell/jobs/big.log"))
    jobs.wait(jobs.start("echo fine", id="next"))
    harness.eventually(lambda: jobs.get("next")["log_file"], "a file again")


def test_T28_a_failure_that_comes_late_is_told_of_the_right_job(start, home):
    """As the job is over, and its place in the writer's table wanted."""
    d = with_small_home(start, home)
    jobs = Jobs(d.rest_sock)
    a = jobs.start("echo up; sleep 0.3; head -c 100000 /dev/zero", id="a")
    harness.eventually(lambda: jobs.get(a)["log_file"], "a file")
    os.kill(writer_pid(), signal.SIGSTOP)
    jobs.wait(a)
    b = jobs.start("true", id="b")
    jobs.wait(b)
    os.kill(writer_pid(), signal.SIGCONT)
    harness.eventually(lambda: jobs.get(b)["log_file"], "its file")
    harness.eventually(lambda: "job a: no log file" in d.log(), "a note")
    assert jobs.get(a)["log_file"] == ""
    assert d.log().count("no log file") == 1


def test_a_home_that_hangs_costs_the_file_and_not_the_job(start, home):
    """Its writer is stopped, as a dead file server would stop it."""
    d = start()
    jobs = Jobs(d.rest_sock)
    first = jobs.start("echo up; sleep 100")
    harness.eventually(lambda: jobs.get(first)["log_file"], "a file")
    writer = writer_pid()
    os.kill(writer, signal.SIGSTOP)
    second = jobs.start(noise(3) + "; echo end")
    j = jobs.wait(second)
    assert j["exit_code"] == 0 and j["bytes_out"] == 3 * MiB + 4
    assert j["log_file"] == "" and jobs.get(first)["log_file"] == ""
    assert "the home directory does not answer" in d.log()
    third = jobs.start("echo fine")
    assert jobs.wait(third)["log_file"] == ""
    jobs.kill(first)
    harness.eventually(lambda: not os.path.exists("/proc/%d" % writer),
                       "the writer is gone")


def test_a_file_that_is_opened_late_is_told_all_the_same(start, home):
    d = start()
    jobs = Jobs(d.rest_sock)
    first = jobs.start("echo up; sleep 100")
    harness.eventually(lambda: jobs.get(first)["log_file"], "a file")
    os.kill(writer_pid(), signal.SIGSTOP)
    id = jobs.start("echo quick")
    assert jobs.wait(id)["log_file"] == ""
    os.kill(writer_pid(), signal.SIGCONT)
    path = log_of(home, id)
    harness.eventually(lambda: jobs.get(id)["log_file"] == path, "its name")
    file_is(path, b"quick\n")


def writer_pid():
    found = [p for p in harness.processes(uid=harness.UID)
             if open("/proc/%d/comm" % p).read() == "k8shell-joblog\n"]
    assert len(found) == 1
    return found[0]


def test_a_writer_that_is_killed_costs_the_files(start):
    d = start()
    jobs = Jobs(d.rest_sock)
    id = jobs.start("echo up; sleep 0.5; echo down")
    harness.eventually(lambda: jobs.get(id)["log_file"], "a file")
    os.kill(writer_pid(), signal.SIGKILL)
    assert jobs.wait(id)["exit_code"] == 0
    assert jobs.get(id)["log_file"] == ""
    assert jobs.raw(id) == b"up\ndown\n"


def test_T8_the_writer_holds_nothing_a_user_could_read(start):
    d = start()
    jobs = Jobs(d.rest_sock)
    id = jobs.start("echo up; sleep 100")
    harness.eventually(lambda: jobs.get(id)["log_file"], "a file")
    writer = writer_pid()
    st = os.stat("/proc/%d/environ" % writer)
    assert st.st_uid == 0       # undumpable
    fds = os.listdir("/proc/%d/fd" % writer)
    assert len(fds) <= 6        # three nulls, socket, folder, file
    with open("/proc/%d/status" % writer) as f:
        status = f.read()
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status


def test_a_flood_reaches_file_and_followers_alike(jobs, home):
    """Every byte, in order, while it is faster than the disk may be."""
    id = jobs.start(["python3", "-c", "import os,hashlib\n"
                     "h = hashlib.sha256()\n"
                     "for i in range(9 * 64):\n"
                     " b = (b'%015d\\n' % i) * 1024\n"
                     " h.update(b)\n"
                     " while b: b = b[os.write(1, b):]\n"
                     "os.write(2, h.hexdigest().encode())"], id="flood")
    f = follow(jobs, id, "&raw=1&stream=stdout")
    got = []
    t = threading.Thread(target=lambda: got.extend(iter(f.chunk, b"")))
    t.start()
    jobs.wait(id)
    t.join(15)
    f.sock.close()
    digest = jobs.raw(id, "&stream=stderr").decode()
    path = log_of(home, id)
    harness.eventually(lambda: os.stat(path).st_size == 9 * MiB + 64, "file")
    with open(path, "rb") as f:
        body = f.read()
    at = body.index(digest.encode())    # two pipes have no order
    assert at > 8 * MiB
    body = body[:at] + body[at + 64:]
    assert hashlib.sha256(body).hexdigest() == digest
    os.unlink(path)
