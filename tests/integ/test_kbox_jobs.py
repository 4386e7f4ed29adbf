"""kbox run, ps, kill, wait, logs ID, rm: against a fake daemon whose jobs do
what a script says.  The real daemon's are in test_kbox_jobs_daemon.py.
"""

import json
import os
import re
import signal
import subprocess
import time

import pytest

import fake_rest
import harness
from test_kbox import (API, FAILED, NO_DAEMON, NOT_FOUND, OK,  # noqa: F401
                       USAGE, bad, binary, call, complete, environment, fake,
                       good, kbox, older)

from test_kbox_terminal import end, on, screen  # noqa: F401

OWN, TOO_LATE = 125, 124
JOBS = API + "/jobs"


@pytest.fixture
def popen(binary, fake):  # noqa: F811
    """popen("run", ...): kbox while it runs, its output in pipes."""
    running = []

    def go(*args, **kwargs):
        p = subprocess.Popen([binary, "--socket", fake.path] + list(args),
                             stdin=subprocess.DEVNULL, env=environment(),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True, **kwargs)
        running.append(p)
        return p
    yield go
    for p in running:
        p.kill()
        p.wait()
        p.stdout.close()
        p.stderr.close()


def posted(fake):  # noqa: F811
    """The body of the last POST /jobs."""
    return [b for m, p, b in fake.bodies if (m, p) == ("POST", JOBS)][-1]


def orders(fake, id):  # noqa: F811
    return [b for m, p, b in fake.bodies
            if p == "%s/%s/kill" % (JOBS, id)]


def done(id, jobs, code=0, **more):
    job = jobs.add(id)
    job.exit(code, **more)
    return job


# ---- run: what is asked ----------------------------------------------------

def test_run_sends_words_as_they_stand_and_one_as_a_line(kbox, fake, tmp_path):
    good(kbox("run", "make", "-j4", "a b", cwd=str(tmp_path)))
    assert posted(fake) == {"argv": ["make", "-j4", "a b"],
                            "cwd": str(tmp_path), "attached": True}
    good(kbox("run", "make all && echo ok", cwd="/"))
    assert posted(fake) == {"command": "make all && echo ok", "cwd": "/",
                            "attached": True}
    good(kbox("run", "--", "-odd", "-d"))
    assert posted(fake)["argv"] == ["-odd", "-d"]


def test_run_options_reach_the_daemon(kbox, fake, tmp_path):
    assert good(kbox("run", "-d", "--id", "web", "-C", "sub", "-e", "A=b=c",
                     "-e", "B=", "--timeout", "1m30s", "--grace", "2",
                     "--session", "sh-1", "server", "-p", "80",
                     cwd=str(tmp_path))) == "web\n"
    assert posted(fake) == {
        "argv": ["server", "-p", "80"], "id": "web", "detached": True,
        "cwd": str(tmp_path) + "/sub", "env": {"A": "b=c", "B": ""},
        "timeout_ms": 90000, "grace_ms": 2000, "session": "sh-1"}
    good(kbox("run", "-d", "-C", "/", "x",
              env={"K8SHELL_SESSION_ID": "sh-web-1"}))
    assert posted(fake) == {"command": "x", "cwd": "/", "detached": True,
                            "session": "sh-web-1"}


def test_run_detached_json_is_the_daemons(kbox, fake):
    job = json.loads(good(kbox("run", "--detach", "--json", "x")))
    assert job == fake.jobs.list[0].record


@pytest.mark.parametrize("words", [
    [], ["--nonsense", "x"], ["-e", "nothing", "x"], ["--timeout", "x", "y"],
    ["--timeout", "0", "y"], ["--grace", "soon", "y"], ["--grace", "61m", "y"],
    ["--color=blue", "x"]])
def test_run_own_failures_are_125(kbox, fake, words):
    """No job could be told from "wrong usage" by 2."""
    bad(kbox("run", *words), OWN)
    assert fake.jobs.list == []


@pytest.mark.parametrize("command", ["run", "shell"])
def test_a_folder_that_is_gone_is_no_reason_to_start_elsewhere(
        binary, fake, tmp_path, command):
    def go(*args):
        gone = tmp_path / "gone"
        gone.mkdir()
        code = "cd %s && rmdir . 2>/dev/null || rmdir %s; exec \"$@\"" % (
            gone, gone)
        return call("sh", "-c", code, "sh", binary, "--socket", fake.path,
                    command, "-d", *args)

    own = OWN if command == "run" else USAGE
    for args in (["x"], ["-C", "sub", "x"], ["-C", "", "x"]):
        bad(go(*args), own, "this folder", "No such file", "--cwd")
    assert all(m != "POST" for m, p, b in fake.bodies)
    good(go("-C", "/", "x"))
    assert fake.bodies[-1][2]["cwd"] == "/"


@pytest.mark.parametrize("command", ["run", "shell"])
def test_a_folder_is_meant_from_here(kbox, fake, tmp_path, command):
    good(kbox(command, "-d", "-C", "../b", "x", cwd=str(tmp_path)))
    assert fake.bodies[-1][2]["cwd"] == str(tmp_path) + "/../b"
    good(kbox(command, "-d", "-C", "etc", "x", cwd="/"))
    assert fake.bodies[-1][2]["cwd"] == "/etc"
    good(kbox(command, "-d", "x", cwd="/"))
    assert fake.bodies[-1][2]["cwd"] == "/"
    r = subprocess.run([harness.BINARY, "kbox", "--socket", fake.path, command,
                        "-d", "-C", b"/tmp/\xff", "x"], capture_output=True)
    assert r.returncode == (OWN if command == "run" else USAGE)
    assert b"the folder's name is not UTF-8" in r.stderr


def test_run_refuses_words_it_would_change(binary, fake):
    r = subprocess.run([binary.encode(), b"--socket", fake.path.encode(),
                        b"run", b"cat", b"\xff.txt"], capture_output=True)
    assert r.returncode == OWN and b"argument 1 is not UTF-8" in r.stderr
    assert fake.jobs.list == []


def test_run_without_a_daemon_is_125(binary, tmp_path):
    for words in (["run", "x"], ["run", "-d", "x"], ["wait", "x"]):
        bad(call(binary, "--socket", tmp_path / "none", *words), OWN,
            "cannot reach the daemon")


# ---- run: in front ----------------------------------------------------------

@pytest.mark.parametrize("code", [0, 1, 2, 3, 124, 125, 130, 137, 143, 255])
def test_run_exits_with_the_jobs_code(kbox, fake, code):
    fake.jobs.script = lambda job: job.exit(code)
    r = kbox("run", "x")
    assert (r.returncode, r.stdout, r.stderr) == (code, "", "")


def test_run_keeps_streams_apart_and_bytes_as_they_are(binary, fake):
    raw = bytes(range(256)) * 3
    evil = "\033]0;title\007 caf\u00e9 \u65e5\u672c\r\n"

    def script(job):
        job.out("one\n")
        job.err("two\n")
        job.out(raw)
        job.err(raw[::-1])
        job.out(evil)
        job.out("no end")
        job.exit(7)
    fake.jobs.script = script
    r = subprocess.run([binary, "--socket", fake.path, "run", "x"],
                       capture_output=True, env=environment())
    assert r.returncode == 7
    assert r.stdout == b"one\n" + raw + evil.encode() + b"no end"
    assert r.stderr == b"two\n" + raw[::-1]


def test_run_output_comes_when_it_is_written(popen, fake):
    def script(job):
        job.out("first\n")
        job.killed()
        job.exit(0)
    fake.jobs.script = script
    p = popen("run", "x")
    assert p.stdout.readline() == "first\n"
    assert p.poll() is None
    p.send_signal(signal.SIGINT)
    assert p.wait(harness.DEADLINE) == 0


def test_run_much_output_and_a_slow_reader(popen, fake):
    line = "x" * 9999 + "\n"

    def script(job):
        for _ in range(300):
            job.out(line)
        job.exit(0)
    fake.jobs.script = script
    p = popen("run", "x")
    harness.eventually(lambda: fake.jobs.list and fake.jobs.list[0].ended,
                       "all events")
    assert p.stdout.read() == line * 300
    assert p.wait(harness.DEADLINE) == 0


def test_run_json_prints_events(kbox, fake):
    def script(job):
        job.out("a\n")
        job.exit(3)
    fake.jobs.script = script
    r = kbox("run", "--json", "x")
    assert r.returncode == 3
    events = [json.loads(line) for line in r.stdout.splitlines()]
    assert events == fake.jobs.list[0].events


@pytest.mark.parametrize("text,code", [
    ("cannot start: exec: nosuch: No such file or directory", 127),
    ("cannot start: exec: ./x: Permission denied", 126),
    ("cannot start: directory: /x: No such file or directory", 125),
    ("out of processes", 125)])
@pytest.mark.parametrize("words", [["run"], ["run", "-d"]])
def test_run_of_what_cannot_start_exits_as_env_does(kbox, fake, words, text,
                                                    code):
    fake.jobs.refuse_start = (500, "job job-1: " + text)
    said = bad(kbox(*words, "nosuch", "x"), code, text)
    assert "HTTP" not in said


def test_run_is_refused_in_words(kbox, fake):
    fake.jobs.refuse_start = (409, "web is running")
    bad(kbox("run", "-d", "--id", "web", "x"), OWN, "web is running",
        "another --id")
    fake.jobs.refuse_start = (503, "too many jobs")
    bad(kbox("run", "x"), OWN, "too many jobs (HTTP 503)")


def test_run_says_that_the_connection_is_lost(kbox, fake):
    fake.jobs.cut_after = "exit"
    r = kbox("run", "x")
    assert r.returncode == OWN
    assert "the connection to the daemon at" in r.stderr
    assert "did not answer" not in r.stderr


def test_run_says_that_the_end_is_missing(kbox, fake):
    fake.replies["POST " + JOBS] = (200, b'{"seq":1,"type":"start","id":"w"}'
                                    b'\n{"seq":2,"type":"stdout","data":"a"}')
    r = kbox("run", "x")
    assert (r.returncode, r.stdout) == (OWN, "a")
    assert "before w has ended" in r.stderr


@pytest.mark.parametrize("reason,text", [("timeout", "its time was over"),
                                         ("oom", "out of memory")])
def test_run_says_why_a_job_was_killed(kbox, fake, reason, text):
    fake.jobs.script = lambda job: job.exit(137, "killed", reason)
    r = kbox("run", "--id", "w", "x")
    assert r.returncode == 137
    assert r.stderr == "kbox: run: w was killed: %s\n" % text


def test_run_into_a_closed_pipe_ends_quietly_and_lets_go(fake, binary):
    """The daemon then ends the job."""
    def script(job):
        while not job.lost and not job.jobs.closing:
            job.out("y\n" * 100)
            time.sleep(0.01)
    fake.jobs.script = script
    r = call("sh", "-c", '"$1" --socket "$2" run yes | head -n 1', "sh",
             binary, fake.path)
    assert (r.returncode, r.stdout, r.stderr) == (0, "y\n", "")
    harness.eventually(lambda: fake.jobs.list[0].lost, "the connection closed")


def test_run_when_output_cannot_be_written(binary, fake):
    def script(job):
        job.out("x\n")
        job.killed(5)
    fake.jobs.script = script
    with open("/dev/full", "w") as full:
        r = subprocess.run([binary, "--socket", fake.path, "run", "x"],
                           stdout=full, stderr=subprocess.PIPE, text=True,
                           env=environment(), timeout=harness.DEADLINE)
    assert r.returncode == OWN and "No space left" in r.stderr


# ---- run: signals -----------------------------------------------------------

def obedient(code):
    """A job that says when it runs and ends when it is told to."""
    def script(job):
        job.out("up\n")
        job.killed()
        job.exit(code)
    return script


@pytest.mark.parametrize("sig,order", [
    (signal.SIGINT, {"signal": "INT", "scope": "group"}),
    (signal.SIGQUIT, {"signal": "QUIT", "scope": "group"}),
    (signal.SIGTERM, {"signal": "TERM"}), (signal.SIGHUP, {"signal": "HUP"}),
    (signal.SIGUSR1, {"signal": "USR1", "scope": "root"}),
    (signal.SIGUSR2, {"signal": "USR2", "scope": "root"})])
def test_run_forwards_signals_and_keeps_the_jobs_code(popen, fake, sig, order):
    fake.jobs.script = obedient(42)
    p = popen("run", "x")
    assert p.stdout.readline() == "up\n"
    p.send_signal(sig)
    assert p.wait(harness.DEADLINE) == 42
    assert orders(fake, fake.jobs.list[0].id) == [dict(order, wait=False)]


def test_run_second_interrupt_kills(popen, fake):
    def script(job):
        job.out("up\n")
        job.killed()
        job.out("no\n")
        job.killed()
        job.exit(137, "killed", "requested", 9)
    fake.jobs.script = script
    p = popen("run", "x")
    assert p.stdout.readline() == "up\n"
    p.send_signal(signal.SIGINT)
    assert p.stdout.readline() == "no\n"
    p.send_signal(signal.SIGINT)
    assert p.wait(harness.DEADLINE) == 137
    assert orders(fake, fake.jobs.list[0].id)[1] == {"signal": "KILL",
                                                     "wait": False}


def test_run_third_interrupt_leaves(popen, fake):
    def script(job):
        job.out("up\n")
        for _ in range(2):
            job.killed()
            job.out("no\n")
        job.killed()
    fake.jobs.script = script
    p = popen("run", "--id", "w", "x")
    for text in ("up\n", "no\n", "no\n"):
        assert p.stdout.readline() == text
        p.send_signal(signal.SIGINT)
    assert p.wait(harness.DEADLINE) == 130
    assert "left; the daemon ends w" in p.stderr.read()
    harness.eventually(lambda: fake.jobs.list[0].lost, "the connection closed")


def test_run_hears_an_interrupt_though_nobody_reads_its_output(popen, fake):
    def script(job):
        for _ in range(100):
            job.out("x" * 10000)
        job.killed()
        job.exit(130)
    fake.jobs.script = script
    p = popen("run", "--id", "w", "x")
    harness.eventually(lambda: fake.jobs.find("w") and
                       len(fake.jobs.find("w").events) > 100, "full pipes")
    time.sleep(0.2)
    p.send_signal(signal.SIGINT)
    harness.eventually(lambda: orders(fake, "w"), "the interrupt")
    p.stdout.read()
    assert p.wait(harness.DEADLINE) == 130


def test_run_leaves_ignored_signals_ignored(popen, fake):
    """nohup kbox run: the hangup is not for the job either."""
    fake.jobs.script = obedient(5)
    p = popen("run", "x", preexec_fn=lambda: signal.signal(signal.SIGHUP,
                                                           signal.SIG_IGN))
    assert p.stdout.readline() == "up\n"
    p.send_signal(signal.SIGHUP)
    p.send_signal(signal.SIGTERM)
    assert p.wait(harness.DEADLINE) == 5
    assert [o["signal"] for o in orders(fake, fake.jobs.list[0].id)] == \
        ["TERM"]


def test_run_on_a_terminal_takes_ctrl_c(on, fake):
    """As typed: the first asks, the second kills; the job's bytes are not
    escaped, its colours are its own."""
    def script(job):
        job.out("\033[31mred\033[0m\n")
        job.killed()
        job.out("not yet\n")
        job.killed()
        job.exit(137, "killed", "requested", 9)
    fake.jobs.script = script
    p = on("run", "--id", "w", "x")
    p.expect_exact("\033[31mred\033[0m")
    p.send("\x03")
    p.expect_exact("not yet")
    p.send("\x03")
    assert end(p) == 137
    assert [o["signal"] for o in orders(fake, "w")] == ["INT", "KILL"]


def test_run_hangs_up_with_its_terminal(on, fake):
    fake.jobs.script = obedient(129)
    p = on("run", "--id", "w", "x")
    p.expect_exact("up")
    p.close(force=False)
    harness.eventually(lambda: orders(fake, "w"), "the hangup")
    assert orders(fake, "w")[0] == {"signal": "HUP", "wait": False}


# ---- ps ------------------------------------------------------------------------

def several(fake):  # noqa: F811
    fake.jobs.add("web", "python3 -m http.server", pid=11,
                  start_time=fake_rest.stamp(12))
    done("build", fake.jobs, 2).record.update(
        command="make all", argv=["make", "all"], start_time="2026-01-02T03:04:04Z",
        end_time="2026-01-02T04:04:05.5Z", pid=12)
    done("big", fake.jobs, 137, status="killed", reason="oom").record.update(
        start_time="2026-01-02T03:04:03Z", end_time="2026-01-02T03:04:09Z")
    done("left", fake.jobs, 0).record.update(
        lingering=2, start_time="2026-01-02T03:04:02Z",
        end_time="2026-01-02T03:04:02.9Z")


def test_ps_shows_a_script_in_one_line(kbox, fake):
    fake.jobs.add("script", "\nset -e\n\n\tmake \\\n  all\n")
    row = good(kbox("ps", "--no-headers"))
    assert row.endswith("  set -e make \\ all\n") and row.count("\n") == 1
    assert "\\n" in good(kbox("ps", "--json"))


def test_docker_words(kbox, fake):
    several(fake)
    assert good(kbox("jobs", "-a")) == good(kbox("ps", "-a"))
    assert good(kbox("stop", "build")) == "build had ended before\n"
    assert "Also known as: stop" in good(kbox("stop", "--help"))
    for word, ours in (("exec", "run"), ("inspect", "ps"), ("list", "ps"),
                       ("start", "run"), ("log", "logs")):
        bad(kbox(word, "x"), USAGE, "did you mean kbox %s?" % ours)
    good(kbox("run", "-d", "--name", "named", "x"))
    assert posted(fake)["id"] == "named"
    bad(kbox("run", "-it", "sh"), OWN, "unknown option -i", "kbox shell is")
    bad(kbox("run", "--rm", "x"), OWN, "unknown option --rm", "kbox rm")
    bad(kbox("rm", "-f", "web"), USAGE, "unknown option -f", "kbox kill")


def test_ps_table(kbox, fake):
    several(fake)
    lines = good(kbox("ps", "-a")).splitlines()
    assert lines[0].split() == ["ID", "STATUS", "EXIT", "PID", "STARTED",
                                "RUNTIME", "COMMAND"]
    assert [x.split()[0] for x in lines[1:]] == ["web", "build", "big", "left"]
    assert re.search(r"web    running             -     11    "
                     r"\S+ +\d+ [\d:]+  1\ds  +python3 -m http.server$",
                     lines[1])
    assert re.search(r"failed              2 .*  1h0m1s +  make all$",
                     lines[2])
    assert "killed (oom)" in lines[3] and "completed (2 left)" in lines[4]


def test_ps_shows_what_is_alive_unless_asked(kbox, fake):
    several(fake)

    def ids(*args):
        return good(kbox("ps", "-q", *args)).split()
    assert ids() == ["web", "left"]
    assert ids("--all") == ["web", "build", "big", "left"]
    assert ids("--status", "failed,killed") == ["build", "big"]
    assert ids("-a", "--sort", "id") == ["big", "build", "left", "web"]
    assert ids("-a", "--sort", "exit,-id")[-1] == "big"
    fake.jobs.find("web").record["session"] = "sh-web-1"
    assert ids("--session", "sh-web-1") == ["web"]
    bad(kbox("ps", "--status", "dead"), USAGE, "running", '"dead"')
    bad(kbox("ps", "--sort", "size"), USAGE, "RUNTIME")
    assert "STATUS" not in good(kbox("ps", "--no-headers"))


def test_ps_json(kbox, fake):
    assert good(kbox("ps", "--json")) == "[]\n"
    several(fake)
    assert json.loads(good(kbox("ps", "-a", "--json", "--sort", ""))) == \
        [j.record for j in fake.jobs.list]
    assert [j["id"] for j in json.loads(good(kbox("ps", "--json")))] == \
        ["web", "left"]
    assert json.loads(good(kbox("ps", "buil", "--json"))) == \
        fake.jobs.find("build").record


def test_ps_of_one_tells_all(kbox, fake):
    several(fake)
    text = good(kbox("ps", "bui"))
    for line in ("  ID:        build", "  Status:    failed, exit status 2",
                 "  Command:   make all", "  Folder:    /home/alice",
                 "  Runtime:   1h0m1s", "  Log file:  /home/alice/x.log"):
        assert line in text.splitlines()
    assert "killed: out of memory, exit status 137" in good(kbox("ps", "big"))
    assert "2 below it; kbox kill ends them" in good(kbox("ps", "left"))
    bad(kbox("ps", "b"), FAILED, "build", "big")
    bad(kbox("ps", "nobody"), NOT_FOUND, 'no job "nobody"', "kbox ps --all")


def test_ps_fits_narrow_terminals(kbox, fake):
    several(fake)
    fake.jobs.find("web").record["command"] = "python3 " + "x" * 300
    for width in (1, 20, 40, 80):
        text = good(kbox("ps", "-a", env={"COLUMNS": str(width)}))
        assert max(map(len, text.splitlines())) <= width
        if width >= 40:
            for title in ("ID", "STATUS", "COMMAND"):
                assert title in text.splitlines()[0]
    assert "x" * 300 in good(kbox("ps"))
    assert "x" * 300 in good(kbox("ps", "--no-trunc", env={"COLUMNS": "40"}))


@pytest.mark.parametrize("columns,titles", [
    (80, "ID STATUS EXIT PID STARTED RUNTIME COMMAND"), (40, "ID STATUS COMMAND")])
def test_screen_ps(screen, fake, columns, titles):
    several(fake)
    lines = screen(columns, "ps", "-a")
    assert lines[0].split() == titles.split()
    assert len(lines) == 5 and max(map(len, lines)) <= columns
    assert lines[4].startswith("left   completed (2 left)  ")
    lines = screen(columns, "ps", "big")
    assert max(map(len, lines)) <= columns
    assert "  Status:    killed: out of memory, exit" in lines[2]


def test_ps_colours(kbox, fake):
    several(fake)
    assert "\033" not in good(kbox("ps", "-a"))
    text = good(kbox("ps", "-a", "--color=always"))
    assert "\033[31mbuild" in text and "\033[33mbig" in text
    assert "\033[2mleft" in text


def test_ps_watch(popen, fake):
    several(fake)
    p = popen("ps", "--watch=0.1")
    seen = [p.stdout.readline() for _ in range(12)]
    assert sum(line.startswith("ID ") for line in seen) >= 2


def test_T25_what_jobs_are_called_moves_no_cursor(kbox, fake):
    evil = "\033]0;pwned\007\n\u202e\u009b2J\x7f"
    fake.jobs.add("x", evil, cwd=evil, session=evil, message=evil)
    fake.jobs.add("y", reason=evil, status="killed" + evil)
    for args in (["ps", "-a"], ["ps", "x"], ["ps", "y"]):
        text = good(kbox(*args))
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
        assert "\\x1b]0;pwned\\x07\\x0a\\u202e\\u009b2J\\x7f" in text
    fake.replies["POST %s/x/kill" % JOBS] = (200, {
        "killed": True, "survivors": [{"pid": 1, "state": "D",
                                       "name": evil}]})
    r = kbox("kill", "x")
    assert r.returncode == FAILED and "\033" not in r.stderr


# ---- kill -----------------------------------------------------------------------

def test_kill_ends_a_job_and_says_how(kbox, fake, popen):
    def script(job):
        assert job.killed() == {"wait": True}
        job.exit(143, "killed", "requested", 15)
    fake.jobs.script = script
    good(kbox("run", "-d", "--id", "web", "x"))
    assert good(kbox("kill", "we")) == "web has ended, exit status 143\n"
    assert good(kbox("kill", "web")) == "web had ended before\n"


def test_kill_orders(kbox, fake):
    for args, order in (
            (["--grace", "30s"], {"wait": True, "grace_ms": 30000}),
            (["--grace", "1h"], {"wait": True, "grace_ms": 3600000}),
            (["--now"], {"wait": True, "grace_ms": 0}),
            (["-9"], {"wait": True, "grace_ms": 0}),
            (["--no-wait"], {"wait": False}),
            (["-s", "sigusr1"], {"wait": True, "signal": "SIGUSR1"}),
            (["-s", "10"], {"wait": True, "signal": 10}),
            (["--signal=HUP", "--scope", "root"],
             {"wait": True, "signal": "HUP", "scope": "root"})):
        job = fake.jobs.add("web")
        fake.replies["POST %s/web/kill" % JOBS] = lambda body: (
            200, {"id": "web", "killed": True, "already_exited": False,
                  "phase": "kill", "status": "killed", "exit_code": 137,
                  "survivors": []})
        text = good(kbox("kill", *args, "web"))
        assert orders(fake, "web")[-1] == order
        if "--no-wait" in args:
            assert text == "web is being ended\n"
        elif "signal" in order:
            assert text == "web: signal sent\n"
        else:
            assert text == "web has ended, exit status 137 (it took SIGKILL)\n"
        fake.jobs.list.remove(job)


@pytest.mark.parametrize("args", [
    ["--now", "--grace", "5s"], ["-9", "-s", "USR1"], ["-9", "-s", "TERM"],
    ["-s", "USR1", "--grace", "5s"], ["-s", "KILL", "--grace", "5s"],
    ["--all", "--now", "--grace", "0"], ["--scope", "root", "--now"],
    ["--scope", "group", "--grace", "5s"]])
def test_kill_refuses_what_it_could_only_ignore(kbox, fake, args):
    fake.jobs.add("web")
    bad(kbox("kill", *args, *([] if "--all" in args else ["web"])), USAGE,
        "--now" if "--now" in args or "-9" in args else "--grace")
    assert not orders(fake, "web")
    assert all("kill-all" not in p for m, p, b in fake.bodies)


@pytest.mark.parametrize("name", ["NOSUCH", "0", "65", "-1", "1.5", "", "SIG"])
def test_kill_knows_its_signals(kbox, fake, name):
    fake.jobs.add("web")
    bad(kbox("kill", "--signal=" + name, "web"), USAGE, '"%s"' % name, "64")
    assert not orders(fake, "web")


def test_kill_of_a_part_is_a_signal(kbox, fake):
    """Only the whole tree is waited for."""
    fake.jobs.add("web")
    fake.replies["POST %s/web/kill" % JOBS] = lambda body: (
        200, {"id": "web", "killed": True, "already_exited": False,
              "phase": "none", "status": "running", "survivors": []})
    assert good(kbox("kill", "--scope", "root", "web")) == (
        "web: signal sent\n")
    assert good(kbox("kill", "--scope", "group", "-s", "TERM", "web")) == (
        "web: signal sent\n")


def test_kill_waits_longer_than_the_grace(kbox, fake):
    """--timeout is for the answer, and follows --grace by itself."""
    fake.jobs.add("web")
    fake.replies["POST %s/web/kill" % JOBS] = lambda body: (
        time.sleep(1.2), (200, {"id": "web", "exit_code": 143}))[1]
    good(kbox("kill", "web", "--grace", "0.1"))
    bad(kbox("kill", "web", "--timeout", "0.3"), NO_DAEMON, "within 0.3 s")


def test_kill_finds_jobs_and_shells(kbox, fake):
    fake.jobs.add("sh-job")
    fake.jobs.add("web")
    bad(kbox("kill", "sh"), FAILED, "job sh-job, shell sh-web-1, shell "
        "sh-web-2")
    assert good(kbox("kill", "sh-web-1")) == "sh-web-1 has ended\n"
    fake.jobs.script = None
    for job in fake.jobs.list:
        job.exit(0)
    done("webold", fake.jobs)
    fake.jobs.find("web").record["lingering"] = 1
    assert good(kbox("kill", "webo")) == "webold had ended before\n"
    assert good(kbox("kill", "we")) == \
        "web had ended before; what it had left has, now\n"
    assert fake.requests[-1] == "POST %s/web/kill" % JOBS
    bad(kbox("kill", "nobody"), NOT_FOUND, "no job and no shell",
        "kbox ps and kbox shells")
    fake.jobs.add("sh-web-2")
    fake.replies["POST %s/sh-web-2/kill" % JOBS] = (200, {"exit_code": 0})
    good(kbox("kill", "sh-web-2"))
    assert fake.requests[-1] == "POST %s/sh-web-2/kill" % JOBS


def test_kill_of_a_shell_takes_no_signal(kbox, fake):
    bad(kbox("kill", "-s", "HUP", "sh-web-1"), USAGE, "is a shell")
    assert not [r for r in fake.requests if r.startswith("DELETE")]


def test_kill_names_who_survives(kbox, fake):
    fake.jobs.add("disk")
    fake.replies["POST %s/disk/kill" % JOBS] = (200, {
        "killed": True, "status": "killed", "exit_code": 137, "phase": "kill",
        "survivors": [{"pid": 71, "state": "D", "name": "dd"},
                      {"pid": 72, "state": "D", "name": "sync"}]})
    r = kbox("kill", "disk")
    assert r.returncode == FAILED
    assert r.stderr == \
        "kbox: kill: disk: still there: 71 dd (D), 72 sync (D)\n"
    assert json.loads(kbox("kill", "disk", "--json").stdout)["killed"] is True


def test_kill_says_what_is_not_sure(kbox, fake):
    fake.jobs.add("web")
    fake.replies["POST %s/web/kill" % JOBS] = (200, {
        "killed": True, "unsure": True, "status": "killed", "exit_code": 143,
        "phase": "term", "survivors": [{"pid": 71, "state": "S", "name":
                                        "sudo", "why": "not permitted"}]})
    r = kbox("kill", "web")
    assert r.stdout == "web has ended, exit status 143\n"
    assert "somebody killed a k8shell-shim: who hid on purpose may" in r.stderr
    assert "web: still there: 71 sudo (not permitted)\n" in r.stderr


def test_kill_all(kbox, fake):
    several(fake)
    assert good(kbox("kill", "--all")) == "1 job has ended\n"
    assert fake.bodies[-1][2] == {}
    good(kbox("kill", "--all", "--session", "s", "--grace", "2s"))
    assert fake.bodies[-1][2] == {"session": "s", "grace_ms": 2000}
    assert json.loads(good(kbox("kill", "--all", "--json"))) == \
        {"killed": 0, "survivors": []}
    bad(kbox("kill", "--all", "web"), USAGE)
    bad(kbox("kill", "--session", "s", "web"), USAGE, "--all")
    bad(kbox("kill", "web", "--scope", "world"), USAGE, "tree, group or root")
    bad(kbox("kill", "web", "--grace", "x"), USAGE, "5s")
    bad(kbox("kill", "web", "-s", 'a"b'), USAGE, "--signal is a name")


def test_kill_goes_on_behind_a_failure(kbox, fake):
    fake.jobs.add("web")
    fake.replies["POST %s/web/kill" % JOBS] = (200, {"exit_code": 143})
    r = kbox("kill", "nobody", "web")
    assert (r.returncode, r.stdout) == (NOT_FOUND,
                                        "web has ended, exit status 143\n")


# ---- wait -------------------------------------------------------------------------

@pytest.mark.parametrize("code", [0, 3, 125, 143])
def test_wait_exits_with_the_jobs_code(kbox, fake, code):
    done("build", fake.jobs, code)
    assert kbox("wait", "bu").returncode == code
    r = kbox("wait", "build", "--json")
    assert json.loads(r.stdout)["exit_code"] == code == r.returncode


def test_wait_waits(popen, fake):
    job = fake.jobs.add("build")
    p = popen("wait", "build")
    harness.eventually(lambda: [r for r in fake.requests if "/wait" in r],
                       "the question")
    assert p.poll() is None
    job.exit(9)
    assert p.wait(harness.DEADLINE) == 9


def test_wait_for_several_ends_as_the_last_one(kbox, fake, popen):
    done("lint", fake.jobs, 3)
    unit = fake.jobs.add("unit")
    done("docs", fake.jobs, 5)
    p = popen("wait", "lint", "unit", "docs", "--json")
    harness.eventually(lambda: [r for r in fake.requests if
                                r.endswith("/unit/wait")], "the question")
    assert p.poll() is None
    unit.exit(4)
    assert p.wait(harness.DEADLINE) == 5
    assert [json.loads(s)["id"] for s in re.split(
        r"(?<=^})\n", p.stdout.read(), flags=re.M) if s] == \
        ["lint", "unit", "docs"]


def test_wait_for_several_has_one_limit(kbox, fake):
    for id in "slow", "other":
        fake.jobs.add(id)
    done("build", fake.jobs, 3)
    bad(kbox("wait", "build", "slow", "other", "--timeout", "0.2"), TOO_LATE,
        "slow has not ended within 0.2 s")
    waits = [r for r in fake.requests if "/wait" in r]
    assert waits[0].endswith("/build/wait?timeout_ms=200")
    assert 0 <= int(waits[1].partition("=")[2]) <= 200 and len(waits) == 2
    bad(kbox("wait", "build", "nobody"), OWN, 'no job "nobody"')
    assert len([r for r in fake.requests if "/wait" in r]) == 2
    for option in "--log", "--regex", "--port":
        bad(kbox("wait", "build", "slow", option, "1"), OWN, "for one job")


def test_wait_gives_up_in_time_with_124(kbox, fake):
    fake.jobs.add("build")
    bad(kbox("wait", "build", "--timeout", "0.2"), TOO_LATE,
        "build has not ended within 0.2 s")
    assert fake.requests[-1].endswith("/build/wait?timeout_ms=200")
    bad(kbox("wait", "build", "--log", "x", "--timeout", "200ms"), TOO_LATE)
    bad(kbox("wait", "build", "--port", "1", "--timeout", "200ms"), TOO_LATE,
        "was not ready")


def test_wait_own_failures_are_125(kbox, fake):
    bad(kbox("wait", "nobody"), OWN, 'no job "nobody"')
    job = fake.jobs.add("bad", status="error", message="exec x: ENOEXEC")
    bad(kbox("wait", "bad", "--json", "--log", "a", "--regex", "b"), OWN)
    assert job.ended
    bad(kbox("wait", "bad"), OWN, "could not be started: exec x: ENOEXEC")
    for args in (["--port", "0"], ["--port", "x"], ["--http", "/"],
                 ["--timeout", "x"], ["--port", "1", "--status", "200"], []):
        bad(kbox("wait", *(args + ["bad"] if args else [])), OWN)
    fake.replies["GET %s/bad/wait" % JOBS] = (404, "no job bad")
    bad(kbox("wait", "bad"), OWN, "no job bad (HTTP 404)")


def test_wait_for_a_line(kbox, fake):
    job = fake.jobs.add("db")
    job.out("starting\nlistening on 5432\n")
    assert good(kbox("wait", "db", "--log", "listening on")) == \
        "listening on 5432\n"
    assert fake.bodies[-1][2] == {"log": "listening on"}
    assert json.loads(good(kbox("wait", "db", "--regex", "on [0-9]+",
                                "--json")))["seq"] == 2
    assert fake.bodies[-1][2] == {"log": "on [0-9]+", "regex": True}


def test_wait_for_a_port(kbox, fake):
    fake.jobs.add("web")
    fake.replies["POST %s/web/wait" % JOBS] = (200, {"ready": True})
    assert good(kbox("wait", "web", "--port", "8080")) == ""
    assert fake.bodies[-1][2] == {"port": 8080, "mode": "tcp"}
    good(kbox("wait", "web", "--port", "8080", "--http", "health", "--status",
              "204", "--timeout", "30s"))
    assert fake.bodies[-1][2] == {
        "port": 8080, "mode": "http", "path": "/health", "status": "204",
        "timeout_ms": 30000}


def test_wait_says_that_it_ended_before(kbox, fake):
    done("db", fake.jobs, 3)
    bad(kbox("wait", "db", "--log", "ready"), FAILED,
        "exited before ready, status 3", "kbox logs db")


# ---- logs ID -------------------------------------------------------------------------

def test_logs_of_a_job(kbox, fake):
    job = fake.jobs.add("build")
    job.out("one\n")
    job.err("two\n")
    job.out(b"\xff\x00")
    r = call("sh", "-c", '"$@" | od -An -tx1', "sh", harness.BINARY, "kbox",
             "--socket", fake.path, "logs", "bui")
    assert r.stdout.split() == ["6f", "6e", "65", "0a", "ff", "00"]
    assert r.stderr == "two\n"
    assert kbox("logs", "build", "--stream", "stderr").stdout == ""
    assert fake.requests[-1].endswith("/build/logs?follow=0&stream=stderr")
    good(kbox("logs", "build", "-n", "5", "--since", "4"))
    assert fake.requests[-1].endswith("/logs?follow=0&tail=5&since=4")
    assert [json.loads(x) for x in
            good(kbox("logs", "build", "--json")).splitlines()] == job.events


def test_logs_follow_ends_with_the_job_and_without_its_code(popen, fake):
    job = fake.jobs.add("build")
    job.out("one\n")
    p = popen("logs", "-f", "build")
    assert p.stdout.readline() == "one\n"
    job.out("two\n")
    assert p.stdout.readline() == "two\n"
    job.exit(3)
    assert p.wait(harness.DEADLINE) == 0
    assert p.stdout.read() == p.stderr.read() == ""


def test_logs_follow_ends_when_its_reader_does(fake, binary):
    """Before the next line comes, and in silence; the job goes on."""
    job = fake.jobs.add("build")
    job.out("one\n")
    r = call("sh", "-c", '"$1" --socket "$2" logs -f build | head -n 1', "sh",
             binary, fake.path)
    assert (r.returncode, r.stdout, r.stderr) == (0, "one\n", "")
    assert not job.ended and job.orders == []


def test_logs_with_times(kbox, fake):
    """One before each line, however it came, and each stream on its own."""
    job = fake.jobs.add("build")
    for stream, text in (("stdout", "a"), ("stderr", "E\n"),
                         ("stdout", "b\n\nc\n"), ("stdout", "d")):
        job.event(stream, data=text)
    when = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z "
    for how in ("-t", "--timestamps"):
        r = kbox("logs", how, "build")
        assert re.fullmatch("%sab\n%s\n%sc\n%sd" % ((when,) * 4), r.stdout)
        assert re.fullmatch(when + "E\n", r.stderr)
    assert kbox("logs", "build").stdout == "ab\n\nc\nd"
    good(kbox("logs", "-t"))


def test_logs_since_a_time(kbox, fake):
    job = fake.jobs.add("build")
    job.out("old\n")
    job.events[-1]["time"] = "2020-01-01T00:00:00Z"
    job.out("new\n")
    assert good(kbox("logs", "build", "--since", "1h")) == "new\n"
    assert good(kbox("logs", "build", "--since",
                     "2019-01-01T00:00:00Z")) == "old\nnew\n"
    bad(kbox("logs", "build", "--since", "yore"), USAGE, "number of an event")


def test_logs_say_what_is_forgotten(kbox, fake):
    job = fake.jobs.add("build")
    job.events[0] = {"type": "truncated", "first": 812}
    job.out("tail\n")
    r = kbox("logs", "build")
    assert (r.returncode, r.stdout) == (OK, "tail\n")
    assert "before event 812 is forgotten" in r.stderr
    assert "the log file has more" in r.stderr
    job.record["log_file"] = ""
    r = kbox("logs", "build")
    assert "before event 812 is forgotten" in r.stderr
    assert "log file" not in r.stderr


FILE_MAX = 10 << 20


def said(first, end):
    """These bytes of what a job has said: every 8 tell where they are."""
    return b"".join(b"%07d\n" % i for i in range(first // 8, end // 8))


def write_file(path, first, end):
    with open(path, "wb") as f:
        f.write(said(first, end))


class Logged:
    """A job with a log file, of which the daemon remembers "tail\\n"."""

    def __init__(self, fake, folder, offset):
        self.path = str(folder / "big.log")
        self.job = fake.jobs.add("big", log_file=self.path)
        self.job.events[0] = {"type": "truncated", "first": 812,
                              "offset": offset}
        self.job.out("tail\n")
        self.job.exit(0)
        self.asked = 0
        fake.replies["GET %s/big" % JOBS] = self.answer
        self.on_ask = {}
        self.first = self.end = 0

    def write(self, first, end):
        write_file(self.path, first, end)
        self.first, self.end = first, end

    def rotate(self, end):
        """It goes on to say all until `end`, in files that begin anew."""
        while end > self.first + FILE_MAX:
            self.write(self.first, self.first + FILE_MAX)
            os.rename(self.path, self.path + ".1")
            self.first += FILE_MAX
            self.write(self.first, self.first)
        self.write(self.first, end)

    def answer(self, _):
        self.asked += 1
        self.on_ask.get(self.asked, lambda: None)()
        return 200, dict(self.job.record, bytes_out=self.end)

    def read(self, argv):
        r = subprocess.run(argv, capture_output=True, env=environment(),
                           stdin=subprocess.DEVNULL, timeout=harness.DEADLINE)
        return r.returncode, r.stdout, r.stderr.decode()


@pytest.fixture
def logged(fake, tmp_path):  # noqa: F811
    return lambda offset: Logged(fake, tmp_path, offset)


@pytest.fixture
def logs_big(binary, fake):  # noqa: F811
    return [binary, "--socket", fake.path, "logs", "big"]


@pytest.mark.parametrize("grown", [12, 14, 15, 19])
def test_logs_file_begun_anew_while_it_is_opened(logged, logs_big, grown):
    """Between its opening and what had been said by then."""
    big = logged(11 << 20)
    big.write(0, 4 << 20)
    big.on_ask[2] = lambda: big.rotate(grown << 20)
    assert big.read(logs_big) == (0, said(0, 11 << 20) + b"tail\n", "")


def test_logs_file_that_grows_while_it_is_opened(logged, logs_big):
    """The bytes that came since have to be counted as such."""
    big = logged(3 << 20)
    big.write(0, 1 << 20)

    def grow():
        with open(big.path, "ab") as f:
            f.write(said(big.end, 8 << 20))
        big.end = 8 << 20
    big.on_ask[2] = grow
    assert big.read(logs_big) == (0, said(0, 3 << 20) + b"tail\n", "")


def test_logs_file_too_fast_to_be_sure_of_is_not_printed(logged, logs_big):
    big = logged(11 << 20)
    big.write(0, 4 << 20)

    def again():
        os.rename(big.path, big.path + ".1")
        write_file(big.path, 0, 4 << 20)
        big.end += FILE_MAX
    for i in range(1, 50):
        big.on_ask[i] = again
    code, out, err = big.read(logs_big)
    assert (code, out) == (0, b"tail\n")
    assert "before event 812 is forgotten" in err
    assert "the log file has more" in err and big.asked < 20


def test_logs_file_that_is_not_all_there_is_not_guessed(logged, logs_big):
    """Somebody has cut it: where it begins can't be told."""
    big = logged(9 << 20)
    big.write(0, 1 << 20)
    big.end = 9 << 20
    code, out, err = big.read(logs_big)
    assert (code, out) == (0, b"tail\n") and "is forgotten" in err


def test_logs_file_begun_anew_twice_while_it_is_read(logged, logs_big):
    big = logged(11 << 20)
    big.write(0, FILE_MAX)
    big.end = 11 << 20
    p = subprocess.Popen(logs_big, stdout=subprocess.PIPE, bufsize=0,
                         stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                         env=environment())
    first = p.stdout.read(8)                # it is opened, and read
    os.rename(big.path, big.path + ".0")
    write_file(big.path + ".1", FILE_MAX, 2 * FILE_MAX)
    write_file(big.path, 2 * FILE_MAX, 2 * FILE_MAX + 8)
    out, err = p.communicate(timeout=harness.DEADLINE)
    assert first + out == said(0, FILE_MAX) + b"tail\n"
    assert b"%d bytes that came before" % (1 << 20) in err


def test_logs_reader_that_goes_while_the_file_is_late(logged, logs_big):
    """It ends then, and says nothing of what nobody wants any more."""
    big = logged(1 << 20)
    big.write(0, 8)
    big.end = 1 << 20
    p = subprocess.Popen(logs_big, stdout=subprocess.PIPE, bufsize=0,
                         stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                         env=environment())
    assert p.stdout.read(8) == said(0, 8)
    p.stdout.close()
    assert p.wait(harness.DEADLINE) == 128 + signal.SIGPIPE
    assert p.stderr.read() == b""
    p.stderr.close()


def test_logs_of_a_job_and_of_the_daemon_have_their_options(kbox, fake):
    fake.jobs.add("build")
    bad(kbox("logs", "build", "-l", "warn"), USAGE, "the daemon's log")
    bad(kbox("logs", "--stream", "stdout"), USAGE, "id of a job")
    bad(kbox("logs", "build", "--stream", "both"), USAGE, "stdout or stderr")
    bad(kbox("logs", "build", "-n", "x"), USAGE)
    bad(kbox("logs", "nobody"), NOT_FOUND, 'no job "nobody"')
    assert "component=" in good(kbox("logs"))


def test_logs_follow_says_that_the_daemon_is_gone(popen, fake):
    job = fake.jobs.add("build")
    job.out("one\n")
    p = popen("logs", "-f", "build")
    assert p.stdout.readline() == "one\n"
    fake.close()
    assert p.wait(harness.DEADLINE) == NO_DAEMON
    assert "lost" in p.stderr.read()


# ---- rm ------------------------------------------------------------------------------

def test_rm(kbox, fake):
    several(fake)
    assert good(kbox("rm", "bui")) == "build is removed\n"
    bad(kbox("rm", "web"), FAILED, "web is running", "kbox kill web ends it")
    assert json.loads(good(kbox("rm", "big", "--json"))) == {"removed": 1}
    assert good(kbox("rm", "--done")) == "1 finished job removed\n"
    assert json.loads(good(kbox("rm", "--done", "--json"))) == {"removed": 0}
    bad(kbox("rm"), USAGE, "--done")
    bad(kbox("rm", "web", "--done"), USAGE)
    bad(kbox("rm", "nobody"), NOT_FOUND)


def test_rm_prefers_what_has_ended(kbox, fake):
    fake.jobs.add("build-2")
    done("build-1", fake.jobs)
    assert good(kbox("rm", "build")) == "build-1 is removed\n"


# ---- older daemons, completion -------------------------------------------------------

@pytest.mark.parametrize("words,status", [
    (["ps"], NOT_FOUND), (["run", "x"], OWN), (["run", "-d", "x"], OWN),
    (["wait", "x"], OWN), (["rm", "x"], NOT_FOUND),
    (["rm", "--done"], NOT_FOUND), (["logs", "x"], NOT_FOUND),
    (["kill", "--all"], NOT_FOUND)])
def test_older_daemons_have_no_jobs(kbox, older, words, status):
    bad(kbox(*words), status, "too old for that")


def test_completion_knows_jobs(kbox, fake):
    several(fake)
    assert complete(kbox, "kill", "") == ["left", "web", "sh-web-1",
                                          "sh-web-2"]
    assert complete(kbox, "rm", "") == ["left", "big", "build"]
    assert complete(kbox, "wait", "") == ["left", "web"]
    assert complete(kbox, "wait", "web", "l") == ["left"]
    assert complete(kbox, "logs", "b") == ["big", "build"]
    assert complete(kbox, "ps", "-a", "w") == ["web"]
    assert complete(kbox, "ps", "--status", "f") == ["failed"]
    assert complete(kbox, "kill", "-s", "US") == ["USR1", "USR2"]
    assert complete(kbox, "run", "--session", "") == ["sh-web-1", "sh-web-2"]
    assert complete(kbox, "run", "--id", "x", "-d", "--time") == ["--timeout"]
    assert complete(kbox, "run", "-d", "make", "--") == []
    assert complete(kbox, "logs", "--stream", "") == ["stdout", "stderr"]
    fake.jobs.add("$(reboot)")
    assert "$(reboot)" not in complete(kbox, "ps", "")


def test_completion_behind_an_equals_sign(kbox, fake):
    """zsh and fish leave the word whole, bash makes three of it."""
    several(fake)
    assert complete(kbox, "ps", "--status=f") == ["--status=failed"]
    assert complete(kbox, "ps", "--status", "=", "f") == ["failed"]
    assert complete(kbox, "ps", "--status", "=")[0] == "starting"
    assert complete(kbox, "--color=al") == ["--color=always"]
    assert complete(kbox, "--color", "=", "always", "kill", "w") == ["web"]
    assert complete(kbox, "--color=always", "kill", "w") == ["web"]
    assert complete(kbox, "ps", "--all=", "") != []
    assert complete(kbox, "ps", "--all=") == []
    assert complete(kbox, "run", "--session=sh-web-2") == [
        "--session=sh-web-2"]


def test_completion_offers_no_id_that_would_be_an_option(kbox, fake):
    fake.jobs.add("-now-")
    fake.jobs.add("..now")
    assert complete(kbox, "kill", "")[:1] == ["..now"]
    assert "-now-" not in complete(kbox, "kill", "-")
    assert complete(kbox, "kill", "--", "-") == ["-now-"]
    assert "now" in good(kbox("ps", "--", "-now-"))


def test_completion_of_200_jobs_with_dots_and_dashes(kbox, fake):
    for i in range(200):
        fake.jobs.add("db-%d.main_x.%d" % (i, i % 7))
    assert len([x for x in complete(kbox, "kill", "") if "main" in x]) == 200
    assert len(complete(kbox, "kill", "db-1")) == 111
    assert complete(kbox, "logs", "db-199.") == ["db-199.main_x.3"]
    assert complete(kbox, "wait", "db.199") == []


def test_completion_asks_the_daemon_that_is_named(binary, fake, tmp_path):
    several(fake)
    for named in (["--socket", fake.path], ["--socket=" + fake.path],
                  ["--run-dir", os.path.dirname(fake.path)]):
        for words in (named + ["kill", "w"], ["kill"] + named + ["w"]):
            assert good(call(binary, "__complete", "--", *words)) == "web\n"
    assert good(call(binary, "__complete", "--socket", fake.path, "--",
                     "--socket", tmp_path / "none", "kill", "w")) == ""
    assert good(call(binary, "__complete", "--socket", fake.path, "--",
                     "kill", "w", "--socket")) == "--socket\n"


BASH = ('source <(kbox completion bash); COMP_WORDS=(kbox %s); COMP_CWORD=%d; '
        '_kbox; echo "${COMPREPLY[@]}"')
ZSH = ('compdef() { :; }; compadd() { shift; print -r -- "$@"; }; '
       'source <(kbox completion zsh); words=(kbox %s); CURRENT=%d; _kbox')
FISH = 'kbox completion fish | source; complete -C "kbox %s"'


@pytest.mark.parametrize("shell,script,want", [
    ("bash", BASH % ("kill w", 2), "web"),
    ("zsh", ZSH % ("kill w", 3), "web"),
    ("fish", FISH % "kill w", "web"),
    ("bash", BASH % ("ps --status = fa", 4), "failed"),
    ("zsh", ZSH % ("ps --status=fa", 3), "--status=failed"),
    ("fish", FISH % "ps --status=fa", "--status=failed"),
    ("fish", FISH % "run -C /etc/ss", "/etc/ssl/")])
def test_completion_in_shells(binary, fake, tmp_path, shell, script, want):
    import shutil
    if shutil.which(shell) is None:
        pytest.skip(shell + " is not installed")
    several(fake)
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "kbox").write_text('#!/bin/sh\nexec "%s" --socket "%s" "$@"\n'
                              % (binary, fake.path))
    (bin / "kbox").chmod(0o755)
    r = call(shell, "-c", script,
             env={"PATH": "%s:%s" % (bin, os.environ["PATH"]),
                  "HOME": str(tmp_path)})
    found = r.stdout.split()
    assert want in found if want[0] == "/" else found == [want], r
