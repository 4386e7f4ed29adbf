"""kbox run, ps, kill, wait, logs ID, rm and the real daemon."""

import json
import os
import re
import signal
import socket
import subprocess
import threading

import pexpect
import pytest

import harness
import rest
from test_kbox import bad, call, environment, good

KBOX = os.environ.get("K8SHELL_KBOX", harness.BINARY)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    tmp = tmp_path_factory.mktemp("own")
    d = harness.Daemon(tmp, config=None,
                       env={"PS1": "$ ", "HISTFILE": "", "HOME": str(tmp),
                            "ENV": ""})
    yield d
    d.stop()


@pytest.fixture
def kbox(daemon):
    def go(*args, **kwargs):
        return call(KBOX, "kbox", "--run-dir", daemon.run_dir, *args,
                    **kwargs)
    go.argv = lambda *args: [KBOX, "kbox", "--run-dir", daemon.run_dir, *args]
    yield go
    go("kill", "--all", "--now")
    go("rm", "--done")


@pytest.fixture
def popen(daemon, kbox):
    running = []

    def go(*args, **kwargs):
        p = subprocess.Popen([KBOX, "kbox", "--run-dir", daemon.run_dir] +
                             list(args), stdin=subprocess.DEVNULL,
                             env=environment(), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, **kwargs)
        watchdog = threading.Timer(harness.DEADLINE * 2, p.kill)
        watchdog.start()
        running.append((p, watchdog))
        return p
    yield go
    for p, watchdog in running:
        watchdog.cancel()
        p.kill()
        p.wait()
        p.stdout.close()
        p.stderr.close()


def status(kbox, id):
    return json.loads(good(kbox("ps", id, "--json")))["status"]


def alive(tag):
    """Processes with that word in their command line, but our own."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                line = f.read()
            with open("/proc/%s/stat" % pid) as f:
                state = f.read().rpartition(") ")[2][0]
        except OSError:
            continue
        if tag.encode() in line and b"kbox" not in line and state not in "ZX":
            found.append(int(pid))
    return found


# ---- in front -----------------------------------------------------------------

@pytest.mark.parametrize("code", [0, 3, 125, 255])
def test_S1_run_has_the_status_of_the_command(kbox, code):
    r = kbox("run", "exit %d" % code)
    assert (r.returncode, r.stdout, r.stderr) == (code, "", "")


def test_S3_run_of_what_a_signal_ends(kbox):
    assert kbox("run", "kill -KILL $$").returncode == 137
    assert kbox("run", "sh", "-c", "kill -SEGV $$").returncode == 139


def test_S2_run_of_what_cannot_start(kbox, tmp_path):
    r = kbox("run", "no-such-command-here", "x")
    assert r.returncode == 127 and "No such file" in r.stderr
    (tmp_path / "plain").write_text("")
    r = kbox("run", str(tmp_path / "plain"), "x")
    assert r.returncode == 126 and "Permission denied" in r.stderr
    assert kbox("run", "no-such-command-here").returncode == 127
    bad(kbox("run", "-C", "/no/such/folder", "true", "x"), 125,
        "/no/such/folder")


def test_run_words_folder_environment_and_no_input(kbox, tmp_path):
    assert good(kbox("run", "printf", "<%s>", "a b", "*")) == "<a b><*>"
    assert good(kbox("run", "-C", str(tmp_path), "pwd")) == \
        "%s\n" % tmp_path
    assert good(kbox("run", "pwd", cwd=str(tmp_path))) == "%s\n" % tmp_path
    assert good(kbox("run", "-e", "A=b c", 'echo "$A"; cat')) == "b c\n"


def test_run_keeps_streams_apart_and_bytes_as_they_are(daemon):
    r = subprocess.run(
        [KBOX, "kbox", "--run-dir", daemon.run_dir, "run",
         r"printf 'a\000\377\303\251\033[31m'; printf 'e\376' >&2"],
        capture_output=True, stdin=subprocess.DEVNULL, env=environment())
    assert r.stdout == b"a\0\xff\xc3\xa9\x1b[31m"
    assert (r.returncode, r.stderr) == (0, b"e\xfe")


def test_run_much_output_arrives_whole(daemon):
    r = subprocess.run(
        [KBOX, "kbox", "--run-dir", daemon.run_dir, "run",
         "head -c 20000000 /dev/zero | tr '\\0' x; exit 4"],
        capture_output=True, stdin=subprocess.DEVNULL, env=environment(),
        timeout=harness.DEADLINE * 3)
    assert (r.returncode, len(r.stdout), r.stderr) == (4, 20000000, b"")
    assert r.stdout.count(b"x") == 20000000


def test_S10_a_reader_that_stands_still_stops_no_kill(popen, kbox):
    popen("run", "--id", "full", "yes yes-32199")
    harness.eventually(lambda: json.loads(good(kbox("ps", "full", "--json")))
                       ["bytes_out"] > 65536 if good(kbox("ps", "-q")) else
                       False, "output")
    sizes = []

    def stands():
        sizes.append(json.loads(good(kbox("ps", "full", "--json")))
                     ["bytes_out"])
        return len(sizes) > 3 and len(set(sizes[-3:])) == 1
    harness.eventually(stands, "the job waiting for its reader")
    assert good(kbox("kill", "full", "--now")).startswith("full has ended")
    assert not alive("yes-32199")


def test_run_output_comes_when_it_is_written(popen):
    p = popen("run", "echo one; while :; do sleep 0.05; done")
    assert p.stdout.readline() == "one\n"
    assert p.poll() is None
    p.send_signal(signal.SIGTERM)
    assert p.wait(harness.DEADLINE) == 143


def test_run_ctrl_c(popen):
    p = popen("run", "trap 'echo no' INT; echo up; "
              "while :; do sleep 0.05; done")
    assert p.stdout.readline() == "up\n"
    p.send_signal(signal.SIGINT)
    assert p.stdout.readline() == "no\n"
    p.send_signal(signal.SIGINT)
    assert p.wait(harness.DEADLINE) == 137


def test_run_usr1_reaches_the_command(popen):
    p = popen("run", "trap 'echo told; exit 9' USR1; echo up; "
              "while :; do sleep 0.05; done")
    assert p.stdout.readline() == "up\n"
    p.send_signal(signal.SIGUSR1)
    assert p.stdout.readline() == "told\n"
    assert p.wait(harness.DEADLINE) == 9


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGHUP])
def test_run_in_front_ends_with_kbox(popen, kbox, sig):
    tag = "31%03d" % sig
    p = popen("run", "--id", "front", "echo up; sleep %s & sleep %s; :" %
              (tag, tag))
    assert p.stdout.readline() == "up\n"
    p.send_signal(sig)
    harness.eventually(lambda: not alive(tag), "the end of all of it")
    harness.eventually(lambda: status(kbox, "front") in ("killed", "failed"),
                       "its status")


def test_run_into_a_closed_pipe_ends_the_job(kbox, daemon):
    r = call("sh", "-c", '"$1" kbox --run-dir "$2" run yes yes-31777 | '
             "head -n 1", "sh", KBOX, daemon.run_dir)
    assert (r.returncode, r.stdout, r.stderr) == (0, "yes-31777\n", "")
    harness.eventually(lambda: not alive("yes-31777"), "the end of yes")


def test_run_timeout_is_said(kbox):
    r = kbox("run", "--timeout", "300ms", "--id", "late", "sleep 1000")
    assert r.returncode == 143
    assert r.stderr == "kbox: run: late was killed: its time was over\n"
    assert "killed (timeout)" in good(kbox("ps", "-a"))


# ---- detached ------------------------------------------------------------------

def test_a_job_from_start_to_end(kbox):
    assert good(kbox("run", "-d", "--id", "build",
                     "echo out; echo err >&2; sleep 1000")) == "build\n"
    assert re.search(r"^build +running +- +\d+ +\w+ +\d+ [\d:]+ +\d+s +echo",
                     good(kbox("ps")), re.M)
    harness.eventually(lambda: "out" in kbox("logs", "build").stdout, "output")
    r = kbox("logs", "bu")
    assert (r.stdout, r.stderr) == ("out\n", "err\n")
    assert kbox("logs", "build", "--stream=stderr").stdout == ""
    bad(kbox("rm", "build"), 1, "kbox kill build")
    assert good(kbox("kill", "build")) == "build has ended, exit status 143\n"
    assert kbox("wait", "build").returncode == 143
    assert good(kbox("ps", "-q")) == ""
    assert good(kbox("ps", "-aq")) == "build\n"
    assert good(kbox("kill", "build")) == "build had ended before\n"
    assert good(kbox("rm", "build")) == "build is removed\n"
    assert good(kbox("ps", "-aq")) == ""


def test_an_id_is_taken_only_once(kbox):
    good(kbox("run", "-d", "--id", "one", "sleep 1000"))
    bad(kbox("run", "-d", "--id", "one", "sleep 1000"), 125, "another --id")
    for id in ("../x", "a b", "..", "x" * 65, "kill-all"):
        r = kbox("run", "-d", "--id", id, "true")
        assert (r.returncode, r.stdout) == (125, "")
        assert "HTTP 400" in r.stderr


def test_kill_leaves_nothing(kbox):
    """Sessions of their own, double forks, a deaf child."""
    good(kbox("run", "-d", "--id", "tree",
              "setsid sleep 32101 & (sleep 32102 &) ; "
              "(trap '' TERM; while :; do sleep 3.2103; done) & "
              "echo ready; wait"))
    good(kbox("wait", "tree", "--log", "ready", "--timeout", "10s"))
    harness.eventually(lambda: alive("sleep\x0032101") and
                       alive("sleep\x0032102"), "the tree")
    text = good(kbox("kill", "tree", "--grace", "300ms"))
    assert text.startswith("tree has ended, exit status ")
    assert not alive("3210") and not alive("3.2103")


def test_K15_a_signal_is_only_sent(kbox):
    good(kbox("run", "-d", "--id", "sig", "trap 'echo got' USR1; echo up; "
              "while :; do sleep 0.05; done"))
    good(kbox("wait", "sig", "--log", "up"))
    assert good(kbox("kill", "-s", "USR1", "--scope", "root", "sig")) == \
        "sig: signal sent\n"
    assert good(kbox("wait", "sig", "--log", "got",
                     "--timeout", "10s")) == "got\n"
    assert status(kbox, "sig") == "running"
    bad(kbox("kill", "-s", "NONSENSE", "sig"), 2, "NONSENSE")


def test_following_from_the_end_of_what_has_ended(kbox, popen, daemon):
    good(kbox("run", "-d", "--id", "past", "echo old; sleep 0.1"))
    good(kbox("wait", "past"))
    assert good(kbox("logs", "-f", "-n", "0", "past")) == ""
    seq = json.loads(good(kbox("ps", "past", "--json")))["seq"]
    assert good(kbox("logs", "-f", "--since", str(seq), "past")) == ""
    good(kbox("run", "-d", "--id", "now",
              "echo old; trap 'echo new; exit' USR1; echo up >&2; "
              "while :; do sleep 0.05; done"))
    good(kbox("wait", "now", "--log", "up"))
    p = popen("logs", "-f", "-n", "0", "now")
    harness.eventually(lambda: b"k8shell_rest_lasting 1\n" in rest.ask(
        daemon.rest_sock, "GET", "/metrics").body, "it follows")
    good(kbox("kill", "-s", "USR1", "--scope", "root", "now"))
    assert p.communicate(timeout=harness.DEADLINE) == ("new\n", "")
    assert p.returncode == 0


def test_kill_all_and_shells_beside(kbox):
    for id in ("a1", "a2"):
        good(kbox("run", "-d", "--id", id, "sleep 1000"))
    good(kbox("shell", "-d", "--name", "a3", "cat"))
    bad(kbox("kill", "a"), 1, "job a", "shell a3")
    assert good(kbox("kill", "--all")) == "2 jobs have ended\n"
    assert good(kbox("kill", "a3")) == "a3 has ended\n"


def test_what_is_left_is_shown_and_can_be_ended(kbox):
    good(kbox("run", "-d", "--id", "left", "setsid sleep 32111 & exit 0"))
    assert kbox("wait", "left").returncode == 0
    assert re.search(r"^left +completed \(1 left\) +0 ", good(kbox("ps")),
                     re.M)
    assert "what it had left has, now" in good(kbox("kill", "left"))
    assert not alive("sleep\x0032111")


# ---- wait, logs ----------------------------------------------------------------------

def test_wait_for_the_end_and_for_lines(kbox):
    good(kbox("run", "-d", "--id", "w",
              "echo 'listening on 5432'; sleep 0.5; exit 6"))
    assert good(kbox("wait", "w", "--log", "listening")) == \
        "listening on 5432\n"
    assert good(kbox("wait", "w", "--regex", "on [0-9]+$")) == \
        "listening on 5432\n"
    assert kbox("wait", "w").returncode == 6
    bad(kbox("wait", "w", "--log", "never"), 1, "status 6", "kbox logs w")
    assert json.loads(kbox("wait", "w", "--json").stdout)["exit_code"] == 6


def test_wait_for_longer_than_idle_connections_live(kbox):
    """10 s: a connection that waits for its answer is not idle."""
    good(kbox("run", "-d", "--id", "long", "sleep 11; exit 3"))
    assert kbox("wait", "long").returncode == 3


def test_wait_gives_up_in_time(kbox):
    good(kbox("run", "-d", "--id", "slow", "sleep 1000"))
    bad(kbox("wait", "slow", "--timeout", "300ms"), 124)
    bad(kbox("wait", "slow", "--timeout", "300ms", "--log", "x"), 124)
    bad(kbox("wait", "slow", "--timeout", "300ms", "--port", "1"), 124)


def test_wait_for_a_port(kbox):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    good(kbox("run", "-d", "--id", "web", "/usr/bin/python3", "-m",
              "http.server", "--bind", "127.0.0.1", str(port)))
    good(kbox("wait", "web", "--port", str(port), "--timeout", "20s"))
    good(kbox("wait", "web", "--port", str(port), "--http", "/",
              "--timeout", "20s"))
    bad(kbox("wait", "web", "--port", str(port), "--http", "/none",
             "--timeout", "1s"), 124)
    good(kbox("wait", "web", "--port", str(port), "--http", "/none",
              "--status", "404", "--timeout", "20s"))


def test_logs_follow(popen, kbox):
    good(kbox("run", "-d", "--id", "f", "for i in 1 2 3; do echo $i; "
              "sleep 0.3; done; exit 2"))
    p = popen("logs", "-f", "f")
    assert [p.stdout.readline() for _ in range(3)] == ["1\n", "2\n", "3\n"]
    assert p.wait(harness.DEADLINE) == 0
    assert kbox("logs", "f", "-n", "1").stdout == "3\n"
    events = [json.loads(x) for x in
              good(kbox("logs", "f", "--json")).splitlines()]
    assert events[0]["type"] == "start" and events[-1]["type"] == "exit"
    assert kbox("logs", "f", "--since",
                str(events[1]["seq"])).stdout == "2\n3\n"


def test_logs_follow_leaving_does_not_touch_the_job(popen, kbox):
    good(kbox("run", "-d", "--id", "f", "echo 1; sleep 1000"))
    p = popen("logs", "-f", "f")
    assert p.stdout.readline() == "1\n"
    p.send_signal(signal.SIGINT)
    assert p.wait(harness.DEADLINE) == -signal.SIGINT
    assert status(kbox, "f") == "running"


def lines(first, last):
    return "".join("%d\n" % i for i in range(first, last + 1))


def test_logs_of_more_than_the_daemon_remembers_are_from_the_file(kbox):
    good(kbox("run", "--id", "big", "seq 300000"))
    r = kbox("logs", "big")
    assert (r.returncode, r.stderr) == (0, "")
    assert r.stdout == lines(1, 300000)
    assert kbox("logs", "-f", "big").stdout == lines(1, 300000)
    log = json.loads(good(kbox("ps", "big", "--json")))["log_file"]
    assert log in good(kbox("ps", "big")).replace("\n", "")
    with open(log) as f:
        assert f.read() == lines(1, 300000)
    for more in (["--stream", "stdout"], ["--tail", "290000"], ["-t"]):
        r = kbox("logs", "big", *more)
        assert r.stdout.endswith("300000\n")
        assert "is forgotten" in r.stderr and "log file" in r.stderr
    os.unlink(log)
    r = kbox("logs", "big")
    assert r.stdout.endswith("\n300000\n") and "is forgotten" in r.stderr


def test_logs_where_the_file_began_anew(kbox):
    """Twice, so that the first 10 MiB of some 24 are gone."""
    good(kbox("run", "-d", "--id", "vast", "seq 3200000"))
    good(kbox("wait", "vast"))
    r = kbox("logs", "vast")
    whole = lines(1, 3200000)
    assert 20 << 20 < len(whole) < 30 << 20
    assert r.stdout == whole[10 << 20:]
    assert "%d bytes that came before" % (10 << 20) in r.stderr


def test_logs_of_both_streams_and_cut_characters_fit_together(kbox):
    """Where a character is cut, the other stream's output may come first."""
    good(kbox("run", "-d", "--id", "cut", """exec python3 -c '
import os
b = "\u20ac\U0001f600x".encode()
for i in range(40000):
    os.write(1, b[i % 8:][:3])
    os.write(2, b[i % 5:][:5])
'"""))
    good(kbox("wait", "cut"))
    job = json.loads(good(kbox("ps", "cut", "--json")))
    harness.eventually(lambda: os.stat(job["log_file"]).st_size ==
                       job["bytes_out"], "all of it is written")
    with open(job["log_file"], "rb") as f:
        whole = f.read()
    r = subprocess.run(kbox.argv("logs", "cut"), stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, env=environment())
    assert r.stdout == whole


def test_logs_follow_of_more_than_the_daemon_remembers(popen, kbox):
    """Also where the reader is so slow that it is overtaken again."""
    good(kbox("run", "-d", "--id", "slow",
              "seq 300000; sleep 1; seq 300001 900000; echo end"))
    good(kbox("wait", "slow", "--log", "300000"))
    p = popen("logs", "-f", "slow")
    first = [p.stdout.readline() for _ in range(100)]
    good(kbox("wait", "slow"))          # it doesn't wait for us
    rest = p.stdout.read()
    assert "".join(first) + rest == lines(1, 900000) + "end\n"
    assert p.wait(harness.DEADLINE) == 0


def test_logs_of_a_job_that_the_daemon_has_forgotten(daemon, kbox):
    home = {"HOME": daemon.tmp}
    good(kbox("run", "--id", "once", "echo what it said"))
    good(kbox("rm", "once"))
    r = kbox("logs", "once", env=home)
    assert (r.returncode, r.stdout) == (0, "what it said\n")
    assert "the daemon has no job \"once\" any more" in r.stderr
    bad(kbox("logs", "once", "--json", env=home), 3, "there is no job")
    bad(kbox("logs", "onc", env=home), 3, "there is no job")
    bad(kbox("logs", "../jobs/once", env=home), 3, "there is no job")
    log = os.path.join(daemon.tmp, ".local/state/k8shell/jobs/%s.log")
    os.symlink(log % "once", log % "linked")
    bad(kbox("logs", "linked", env=home), 3, "there is no job")


# ---- sessions ---------------------------------------------------------------------------

def test_B9_what_is_detached_outlives_its_session(daemon, kbox):
    p = pexpect.spawn(KBOX, ["kbox", "--run-dir", daemon.run_dir, "shell",
                             "--name", "sit", "sh"],
                      timeout=harness.DEADLINE, env=environment(),
                      encoding="utf-8", dimensions=(24, 200))
    p.expect("[$#] ")
    k = "%s kbox --run-dir %s" % (KBOX, daemon.run_dir)
    p.sendline("%s run -d --id stays 'sleep 32121'" % k)
    p.sendline("%s run --id goes 'echo u''p; sleep 32122' & sleep 1; "
               "echo do''ne" % k)
    p.expect_exact("done")
    harness.eventually(lambda: alive("sleep\x0032122") or
                       alive("sleep 32122"), "both")
    assert good(kbox("ps", "-q", "--session", "sit")).split() == \
        ["goes", "stays"]
    good(kbox("kill", "sit"))
    p.expect(pexpect.EOF)
    p.close()
    harness.eventually(lambda: not alive("32122"), "the end of that in front")
    assert status(kbox, "stays") == "running"


def test_completion_knows_the_ids_of_now(kbox):
    good(kbox("run", "-d", "--id", "alive", "sleep 1000"))
    good(kbox("run", "--id", "over", "true"))
    assert good(kbox("__complete", "--", "kill", "")) == "alive\n"
    assert good(kbox("__complete", "--", "rm", "")) == "over\n"
    assert sorted(good(kbox("__complete", "--", "logs", "")).split()) == \
        ["alive", "over"]


def test_jobs_end_with_the_daemon(tmp_path):
    d = harness.Daemon(tmp_path, config=None, env={"HOME": str(tmp_path)})
    try:
        k = [KBOX, "kbox", "--run-dir", d.run_dir]
        good(call(*k, "run", "-d", "setsid sleep 32131"))
        p = subprocess.Popen(k + ["run", "echo up; sleep 32132"], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             stdin=subprocess.DEVNULL, env=environment())
        assert p.stdout.readline() == "up\n"
    finally:
        d.stop()
    p.wait(harness.DEADLINE)
    p.communicate()
    assert p.returncode in (125, 143)
    assert not alive("3213")
