"""Scenarios of process-tree.md 3.2, 3.4 to 3.6, with sessions as they are
here: a session is a terminal that stays, a job is a command that does not
remember anything, and may name the session it belongs to.
"""

import http.client
import json
import re
import signal
import subprocess
import time

import pytest

import harness
import rest
from jobs import Following, dead, follow, output
from rest import API, Raw
from test_kbox import call
from test_kbox_jobs_daemon import KBOX
from test_rest_shells import Sitting

CONFIG = harness.CONFIG + "shells:\n  allowSessionDetach: true\n"


@pytest.fixture
def kbox(daemon):
    # A job starts where we are, and this folder may be ours alone.
    return lambda *args: call(KBOX, "kbox", "--socket", daemon.rest_sock,
                              *args, cwd="/")


class Shell(Sitting):
    """A session with somebody at its terminal."""

    def __init__(self, path, name):
        super().__init__(path, name)
        self.path, self.name, self.n = path, name, 0

    def run(self, line):
        """Status and what was seen."""
        self.n += 1
        self.send("%s\necho =%d=$?=\n" % (line, self.n))
        mark = b"=%d=" % self.n
        while not re.search(mark + rb"\d+=", self.data):
            assert self.fill(), self.data
        seen = re.search(mark + rb"(\d+)=", self.data)
        out, self.data = self.data[:seen.start()], self.data[seen.end():]
        return int(seen[1]), out.replace(b"\r\n", b"\n").decode()

    def value(self, name):
        return re.search(r"^<(.*)>$", self.run('echo "<$%s>"' % name)[1],
                         re.M)[1]


@pytest.fixture
def shell(daemon):
    """shell("one", env={...}): a new session; its name must be free."""
    path, sitting = daemon.rest_sock, []

    def begin(name, **wish):
        wish["env"] = dict({"PS1": "", "PS2": "", "ENV": ""},
                           **wish.get("env", {}))
        a = rest.ask(path, "POST", API + "/shells",
                     json.dumps(dict({"name": name, "command": "exec sh"},
                                     **wish)))
        assert a.status == 201, a.text
        s = Shell(path, name)
        s.pid = a.json["pid"]
        sitting.append(s)
        return s
    yield begin
    for s in sitting:
        s.sock.close()
    for s in rest.get(path, "/shells?all=true").json:
        delete(path, s["id"])


def delete(path, name):
    return rest.ask(path, "DELETE", API + "/shells/" + name).status


def alive(daemon):
    assert rest.get(daemon.rest_sock, "/healthz").status == 200


# -- 3.2: readiness ------------------------------------------------------------

SERVER = """\
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"page of %s" % self.path.encode()
        self.send_response(200 if self.path == "/there" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
s = http.server.HTTPServer(("127.0.0.1", 0), H)
print("listening on", s.server_port, flush=True)
s.serve_forever()
"""


def test_R2_a_port_that_is_ready_serves_its_page(jobs, kbox):
    """It is served for whoever asks next, not only for the daemon."""
    id = jobs.start(["python3", "-c", SERVER])
    r = kbox("wait", id, "--regex", "listening on [0-9]+")
    port = r.stdout.split()[-1]
    r = kbox("wait", id, "--port", port, "--http", "/there", "--timeout",
             "15s")
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")
    c = http.client.HTTPConnection("127.0.0.1", int(port),
                                   timeout=harness.DEADLINE)
    c.request("GET", "/there")
    a = c.getresponse()
    assert (a.status, a.read()) == (200, b"page of /there")
    c.close()
    assert kbox("wait", id, "--port", port).returncode == 0
    jobs.kill(id)
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", int(port)).connect()


# -- 3.4: sessions ----------------------------------------------------------------

def test_X1_what_one_session_sets_no_other_has(shell, jobs):
    one, two = shell("one"), shell("two")
    one.run("cd /usr; export A=1; B=2; f() { echo f-ran; }; alias g='echo h'")
    assert one.run("pwd; f; g")[1].split()[-3:] == ["/usr", "f-ran", "h"]
    assert (two.value("A"), two.value("B")) == ("", "")
    assert two.run("f 2>/dev/null")[0] == 127
    assert two.run("alias g >/dev/null 2>&1")[0] != 0
    assert "\n/usr\n" not in two.run("pwd")[1]
    id = jobs.start("pwd; echo [$A$B]; f", session="one")
    jobs.wait(id)
    assert b"/usr\n" not in jobs.raw(id) and b"[]\n" in jobs.raw(id)


def test_X5_three_at_once_in_one_session_keep_apart(shell):
    """A terminal takes them one after the other, however they come."""
    s = shell("serial")
    lines = "".join("echo START$((%d)); sleep 0.2; echo END$((%d))\n" % (i, i)
                    for i in (1, 2, 3))
    out = s.run(lines)[1]
    marks = re.findall(r"^(?:START|END)\d$", out, re.M)
    assert marks == ["START1", "END1", "START2", "END2", "START3", "END3"]


def test_X5_three_jobs_of_one_session_run_beside_each_other(shell, jobs):
    """Each waits for the others: in a row they would wait for ever.  What
    they say is kept apart."""
    shell("beside")
    meet = "mkdir -p ~/meet; touch ~/meet/%d; until [ $(ls ~/meet | wc -l) " \
           "= 3 ]; do sleep 0.05; done"
    ids = [jobs.start("echo START%d; %s; echo END%d" % (i, meet % i, i),
                      session="beside") for i in range(3)]
    for i, id in enumerate(ids):
        assert jobs.wait(id)["status"] == "completed"
        assert jobs.raw(id) == b"START%d\nEND%d\n" % (i, i)
    jobs.wait(jobs.start("rm -r ~/meet"))


def test_X6_a_session_deleted_and_made_again_is_fresh(shell, daemon, jobs):
    s = shell("again", env={"GIVEN": "first"}, cwd="/usr")
    s.run("export MADE=later; cd /etc; alias g='echo h'")
    assert (s.value("GIVEN"), s.value("MADE")) == ("first", "later")
    id = jobs.start("echo pid $$; sleep 600", session="again")
    pid = jobs.pids(id, 1)[0]
    assert delete(daemon.rest_sock, "again") == 204
    assert dead(s.pid)
    assert jobs.wait(id)["status"] == "killed" and dead(pid)
    alive(daemon)
    s = shell("again")
    assert (s.value("GIVEN"), s.value("MADE")) == ("", "")
    out = s.run("pwd; alias g")
    assert out[0] != 0 and "/usr" not in out[1] and "/etc" not in out[1]


def test_X7_exit_in_one_session_is_its_end_alone(shell, daemon, jobs):
    gone, other = shell("gone", env={"GIVEN": "x"}), shell("other")
    other.run("STAYS=1; cd /usr")
    id = jobs.start("sleep 600", session="other")
    gone.send("exit 42\n")
    gone.rest()                         # the connection ends, once
    with Raw(daemon.rest_sock) as c:
        assert c.ask("POST", API + "/shells/gone/attach", "").status == 404
    assert delete(daemon.rest_sock, "gone") == 404
    fresh = shell("gone")
    assert fresh.pid != gone.pid and fresh.value("GIVEN") == ""
    assert other.value("STAYS") == "1"
    assert other.run("pwd")[1].endswith("/usr\n")
    assert jobs.get(id)["status"] == "running"
    id = jobs.start("exit 42", session="other")
    assert jobs.wait(id)["exit_code"] == 42
    assert other.value("STAYS") == "1"


def test_X9_the_time_of_a_session_ends_what_runs_in_it(shell, daemon, jobs):
    """Its time is that without somebody: it has none while he is there."""
    s = shell("short")
    s.send("sh -c 'echo pid $(($$)); exec sleep 30'\n")
    s.expect(b"pid ")
    while not re.search(rb"pid \d+\r\n|^\d+\r\n", s.data):
        assert s.fill()
    pid = int(re.search(rb"\d+(?=\r\n)", s.data)[0])
    id = jobs.start("sleep 30", session="short")
    a = rest.ask(daemon.rest_sock, "POST", API + "/shells/short/detach",
                 '{"ttl": "1s"}')
    assert a.status == 204
    began = time.monotonic()
    harness.eventually(lambda: dead(pid) and dead(s.pid), "its time is over")
    assert time.monotonic() - began > 0.8
    assert jobs.wait(id)["status"] == "killed"


def test_X10_the_limit_of_a_command_comes_before_that_of_its_session(
        shell, daemon, jobs):
    s = shell("long")
    a = rest.ask(daemon.rest_sock, "POST", API + "/shells/long/detach",
                 '{"ttl": "30s"}')
    assert a.status == 204
    began = time.monotonic()
    id = jobs.start("sleep 30", session="long", timeout_ms=300)
    j = jobs.wait(id)
    assert (j["status"], j["reason"]) == ("killed", "timeout")
    assert time.monotonic() - began < 10
    assert not dead(s.pid)


def test_X11_nothing_of_a_deleted_session_goes_on(shell, daemon, jobs):
    """A marker that would need 120 s shows nothing: the sleep's pid does."""
    s = shell("marks")
    s.send("cd; touch m1; sh -c 'echo p$((0))=$$=; exec sleep 120'; "
           "touch m2\n")
    s.expect(b"p0=")
    pid = int(s.expect(b"="))
    assert not dead(pid)
    id = jobs.start("echo pid $$; sh -c 'echo pid $$; exec sleep 120'; "
                    "touch m2", session="marks", timeout_ms=1000,
                    grace_ms=60000)
    pids = jobs.pids(id, 2)
    assert delete(daemon.rest_sock, "marks") == 204
    assert dead(pid) and dead(s.pid)
    jobs.wait(id)
    assert all(dead(p) for p in pids)
    id = jobs.start("ls m1 m2; rm m1")
    jobs.wait(id)
    assert jobs.raw(id, "&stream=stdout") == b"m1\n"


def test_X12_without_a_session_nothing_is_remembered(jobs, daemon, kbox):
    for go in (lambda cmd: jobs.raw(ended(jobs, cmd)).decode(),
               lambda cmd: kbox("run", "-C", "/tmp", cmd).stdout,
               lambda cmd: exec_out(daemon, cmd)):
        was = go("pwd")
        go("cd /usr; export KEPT=1; umask 0; alias g='echo h'; pwd")
        assert go("pwd; echo [$KEPT]") == was + "[]\n"


def ended(jobs, command, **wish):
    id = jobs.start(command, **wish)
    jobs.wait(id)
    return id


def exec_out(daemon, command):
    with daemon.stub() as stub:
        return stub.exec(command).out.decode()


def test_X12_a_stream_remembers_nothing_either(jobs):
    for text in ("export KEPT=1; cd /usr; pwd", "pwd; echo [$KEPT]"):
        f = Following(jobs, "POST", "", {"command": text, "attached": True})
        events = f.rest_of_it()
        f.sock.close()
        assert [e["type"] for e in events][::len(events) - 1] == \
            ["start", "exit"]
        assert events[-1]["exit_code"] == 0
    assert b"[]" in output(events) and b"/usr" not in output(events)


def test_X12_fifty_milliseconds(jobs, kbox):
    id = jobs.start("sleep 10", timeout_ms=50)
    j = jobs.wait(id)
    assert (j["status"], j["reason"], j["exit_code"]) == (
        "killed", "timeout", 143)
    r = kbox("run", "--timeout", "0.05", "sleep 10")
    assert r.returncode == 143
    assert re.fullmatch(r"kbox: run: \S+ was killed: its time was over\n",
                        r.stderr)
    id = jobs.start("sleep 600")
    r = kbox("wait", id, "--timeout", "0.05")
    assert r.returncode == 124 and r.stderr.count("\n") == 1
    assert jobs.get(id)["status"] == "running"


def test_X12_a_session_is_as_good_as_ever(shell, jobs, kbox):
    """Beside it all, and after it; codes are what they are."""
    s = shell("state")
    s.run("cd /usr; export KEPT=1")
    jobs.wait(jobs.start("cd /etc; KEPT=2", session="state"))
    assert s.value("KEPT") == "1" and s.run("pwd")[1].endswith("/usr\n")
    for code in (0, 1, 2, 7, 124, 126, 127, 130, 255):
        assert kbox("run", "exit %d" % code).returncode == code
        assert s.run("(exit %d)" % code)[0] == code
    assert s.value("KEPT") == "1"


# -- 3.5: a session's shell, without numbers there ----------------------------------

def test_a_here_document_does_not_block_the_next_command(shell, jobs):
    s = shell("here")
    assert s.run("cat <<X\nin $((1 + 1))\nX")[1].endswith("in 2\n")
    assert s.run("cat <<'X' | tr a-z A-Z\nquoted $HOME\nX")[1].endswith(
        "QUOTED $HOME\n")
    assert s.run("true")[0] == 0
    text = "cat <<X\nin $((1 + 1))\nX\necho after | cat\nf() {\n  echo f\n}\nf"
    assert jobs.raw(ended(jobs, text)) == b"in 2\nafter\nf\n"


def test_env_of_one_command_is_quoted_and_gone_with_it(jobs):
    odd = {"A": "a b'c\"d$HOME`id`\\", "B": "", "_x9": "line\nline",
           "UTF": "h\u00e9 \u4e16"}
    id = ended(jobs, ["sh", "-c", 'printf "%s|" "$A" "$B" "$_x9" "$UTF"'],
               env=odd)
    assert jobs.raw(id).decode() == "|".join(
        [odd["A"], "", odd["_x9"], odd["UTF"], ""])
    assert jobs.raw(ended(jobs, "echo [$A$_x9$UTF]")) == b"[]\n"


@pytest.mark.parametrize("name", ["", "A=B", "A\u0000"])
def test_env_names_that_are_none_are_refused(jobs, name):
    a = jobs.ask("POST", "", {"command": "true", "env": {name: "x"}})
    assert a.status == 400


@pytest.mark.parametrize("how", ["removed", "link"])
def test_a_folder_that_changes_under_a_job(jobs, how, home):
    """It goes on in the one it was started in."""
    jobs.wait(jobs.start("mkdir -p ~/under ~/elsewhere"))
    folder = home + "/under"
    id = jobs.start("echo ready; until [ ! -d %s -o -L %s ]; do sleep 0.05; "
                    "done; touch mine; echo over" % (folder, folder),
                    cwd=folder)
    jobs.until(id, "ready")
    jobs.wait(jobs.start("rmdir ~/under" + (
        "; ln -s elsewhere ~/under" if how == "link" else "")))
    j = jobs.wait(id)
    assert j["status"] == "completed" and b"over\n" in jobs.raw(id)
    a = jobs.ask("POST", "", {"command": "pwd", "cwd": folder})
    assert a.status == (201 if how == "link" else 500)
    out = ended(jobs, "ls -A ~/elsewhere; rm -rf ~/under ~/elsewhere")
    assert jobs.raw(out) == b""


def test_output_that_is_nothing_and_output_that_is_much(jobs):
    id = ended(jobs, "true")
    assert jobs.raw(id) == b"" and jobs.get(id)["bytes_out"] == 0
    id = ended(jobs, "seq 100000; seq 10 >&2")
    want = b"".join(b"%d\n" % i for i in range(1, 100001))
    assert jobs.get(id)["bytes_out"] == len(want) + 21
    assert jobs.raw(id, "&stream=stdout") == want
    line = b"x" * 300000
    assert jobs.raw(ended(jobs, "head -c 300000 /dev/zero | tr '\\0' x")) == \
        line


def test_using_a_session_after_its_end_is_an_error_that_says_so(shell,
                                                                daemon):
    shell("over")
    assert delete(daemon.rest_sock, "over") == 204
    for method, what, body, status in (
            ("DELETE", "", None, 404), ("POST", "/attach", "", 404),
            ("POST", "/detach", "{}", 400),
            ("POST", "/resize", '{"width": 80, "height": 24}', 400)):
        a = rest.ask(daemon.rest_sock, method, API + "/shells/over" + what,
                     body)
        assert a.status == status and "over" in a.text


def test_two_who_make_one_session_get_one(daemon):
    body = '{"name": "both", "command": "sleep 600"}'
    with Raw(daemon.rest_sock) as a, Raw(daemon.rest_sock) as b:
        for c in (a, b):
            c.send("POST %s/shells HTTP/1.1\r\nHost: x\r\nContent-Length: %d"
                   "\r\n\r\n%s" % (API, len(body), body))
        assert sorted(c.answer().status for c in (a, b)) == [201, 409]
    assert delete(daemon.rest_sock, "both") == 204


# -- 3.6: what the other branch promises ----------------------------------------------

def test_words_are_passed_verbatim(jobs):
    id = ended(jobs, ["printf", "%s|", "$HOME", "", "*", "a b", "tail"])
    assert jobs.raw(id) == b"$HOME||*|a b|tail|"


@pytest.mark.parametrize("signo", [15, 9])
def test_a_kill_shows_its_signal(jobs, signo):
    id = jobs.start("exec sleep 600")
    jobs.kill(id, signal=signo)
    j = jobs.get(id)
    assert (j["exit_code"], j["signal"]) == (128 + signo, signo)


@pytest.mark.parametrize("to", ["", " >/dev/null 2>&1 </dev/null"],
                         ids=["pipe", "redirected"])
@pytest.mark.parametrize("how", ["kill", "timeout", "destroy"])
def test_what_a_leader_left_is_dead_when_the_answer_comes(jobs, to, how):
    id = jobs.start("(trap '' HUP TERM; echo pid $(exec sh -c 'echo $PPID'); "
                    "sleep 600; sleep 600)%s & echo pid $!; exit 3" % to,
                    session="left", detached=True,
                    timeout_ms=700 if how == "timeout" else 0, grace_ms=100)
    pid = jobs.pids(id, 1)[0]
    j = jobs.wait(id)
    assert (j["status"], j["exit_code"]) == ("failed", 3)
    if how == "kill":
        assert jobs.get(id)["lingering"] > 0 and not dead(pid)
        jobs.kill(id, grace_ms=0)
        assert dead(pid)
    elif how == "destroy":
        assert jobs.ask("DELETE", "?session=left").status == 200
    harness.eventually(lambda: dead(pid), "it is gone")
    harness.eventually(lambda: jobs.get(id)["lingering"] == 0, "all are")
    assert jobs.get(id)["exit_code"] == 3


def test_waits_repeat_and_a_late_kill_signals_nobody(jobs):
    id = jobs.start("sleep 0.2; exit 7")
    first = jobs.wait(id)
    with subprocess.Popen(["sleep", "600"]) as decoy:
        try:
            for _ in range(3):
                assert jobs.wait(id) == first
                k = jobs.kill(id, signal=9)
                assert k["already_exited"] is True and k["phase"] == "none"
            assert jobs.wait(id) == first
            assert decoy.poll() is None
        finally:
            decoy.kill()


def test_output_comes_before_the_one_end(jobs):
    id = jobs.start("trap 'echo last; exit 0' TERM; echo first; "
                    "while :; do sleep 0.05; done")
    with follow(jobs, id) as f:
        assert f.event()["type"] == "start"
        assert f.event()["data"] == "first\n"
        jobs.kill(id)
        events = [e for e in f.rest_of_it() if e["type"] != "stderr"]
    assert [e["type"] for e in events] == ["stdout", "exit"]
    assert events[0]["data"] == "last\n" and events[1]["exit_code"] == 0
    assert jobs.events(id)[-1] == events[-1]


def test_a_follower_or_waiter_who_leaves_changes_nothing(jobs):
    id = jobs.start("echo up; sleep 600")
    before = jobs.until(id, "up") and jobs.get(id)
    for _ in range(5):
        follow(jobs, id).sock.close()
        with Raw(jobs.path) as c:
            c.send("GET %s/jobs/%s/wait HTTP/1.1\r\nHost: x\r\n\r\n"
                   % (API, id))
    after = jobs.get(id)
    assert after == before and not dead(after["pid"])


@pytest.mark.parametrize("program", [
    "exec >&- 2>&- <&-; sleep 0.3; exit 5",         # its end comes last
    "(sleep 600) & exit 5",                         # its terminal's does
    "trap '' TERM HUP; (trap '' TERM; sleep 600); exit 5",
    "(trap '' TERM; sleep 600; sleep 600) & exec sleep 600"],
    ids=["eof-first", "exit-first", "stubborn-child", "root-gone"])
def test_a_terminal_has_one_end_and_takes_all_along(daemon, program):
    a = rest.ask(daemon.rest_sock, "POST", API + "/shells", json.dumps(
        {"name": "pty", "command": "echo up; read go; " + program}))
    assert a.status == 201
    with Sitting(daemon.rest_sock, "pty") as c:
        c.expect(b"up")
        c.send("\n")
        assert delete(daemon.rest_sock, "pty") in (204, 404)
        c.rest()                        # ends, and only once
    harness.eventually(lambda: not members(a.json["pid"]), "all are gone")
    assert delete(daemon.rest_sock, "pty") == 404


def members(sid):
    """Living processes of a session."""
    found = []
    for pid in harness.processes(uid=harness.UID):
        try:
            with open("/proc/%d/stat" % pid) as f:
                state, _, _, session = f.read().rpartition(") ")[2].split()[:4]
        except OSError:
            continue
        if int(session) == sid and state not in "ZX":
            found.append(pid)
    return found


def test_signal_numbers_from_1_to_64_are_taken_and_no_others(jobs):
    id = jobs.start("exec sleep 600")
    for n in (signal.SIGURG, signal.SIGWINCH, signal.SIGCONT):
        assert jobs.kill(id, signal=int(n))["status"] == "running"
    for n in (0, 65, 1.5, -1, "NaN", 1 << 40, None, True):
        assert jobs.ask("POST", "/%s/kill" % id,
                        {"signal": n}).status == 400, n
    assert jobs.get(id)["status"] == "running"
    jobs.kill(id, signal=64)
    assert jobs.wait(id)["exit_code"] == 128 + 64
