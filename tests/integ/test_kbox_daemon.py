"""kbox and the real daemon: sessions that survive, and what shows them."""

import json
import os
import re
import signal
import subprocess

import pexpect
import pytest

import harness
from conftest import served
from test_kbox import (NOT_FOUND, USAGE, bad, call, environment, good,
                       messages)

DETACH = "\x01d"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    d = harness.Daemon(tmp_path_factory.mktemp("own"), config=None,
                       env={"PS1": "$ ", "HISTFILE": ""})
    yield d
    d.stop()


@pytest.fixture
def kbox(daemon):
    def go(*args, **kwargs):
        return call(harness.BINARY, "kbox", "--run-dir", daemon.run_dir, *args,
                    **kwargs)
    return go


@pytest.fixture
def on(daemon):
    """on("shell"): kbox on a terminal of its own."""
    running = []

    def go(*args, rows=24, cols=80):
        p = pexpect.spawn(harness.BINARY, ["kbox", "--run-dir",
                                           daemon.run_dir] + list(args),
                          timeout=harness.DEADLINE, dimensions=(rows, cols),
                          env=environment(), encoding="utf-8")
        running.append(p)
        return p
    yield go
    for p in running:
        p.close(force=True)


@pytest.fixture
def session(on, kbox):
    """A shell of a name, ended behind the test."""
    names = []

    def go(name, *command, **kwargs):
        names.append(name)
        return on("shell", "--name", name, *command, **kwargs)
    yield go
    for name in names:
        kbox("kill", name)


def status_of(kbox, id):
    for s in json.loads(good(kbox("streams", "--json"))):
        if s["id"] == id and not s["deleted"]:
            return s["status"]
    return None


def end(p):
    p.expect(pexpect.EOF)
    p.close()
    return p.exitstatus


def test_info_says_how_callers_are_authenticated(kbox, tmp_path, home):
    assert "  Authentication:  peer\n" in good(kbox("info"))
    for name, config, args, auth in (
            ("open", harness.CONFIG, (), "none"),
            ("port", None, ("--port", "0"), "token, peer")):
        (tmp_path / name).mkdir()
        d = harness.Daemon(tmp_path / name, config=config, args=args)
        try:
            r = call(harness.BINARY, "kbox", "--socket", d.rest_sock, "info",
                     "--json")
            assert json.loads(good(r))["auth"] == auth
        finally:
            d.stop()


def test_info_says_that_tokens_are_asked_for(tmp_path, home, ec_cert,
                                             rsa_cert):
    d = served("tls-ecdsa-auth", tmp_path, ec_cert, rsa_cert)
    try:
        text = good(call(harness.BINARY, "kbox", "--socket", d.rest_sock,
                         "info"))
        assert "  Authentication:  service-account\n" in text
    finally:
        d.stop()


def test_detach_of_nobody_is_not_found(kbox, session):
    bad(kbox("detach", "nobody"), NOT_FOUND, "no such session")
    p = session("here", "sh", "-c", "'echo ready; cat'")
    p.expect_exact("ready")
    bad(kbox("detach", "here", "--ttl", "-1s"), USAGE)
    good(kbox("detach", "here"))


def test_a_shell_is_left_and_found_again(session, on, kbox):
    p = session("one", "sh", rows=31, cols=97)
    p.sendline("stty size; echo mark-$((6 * 7))")
    p.expect_exact("31 97")
    p.expect_exact("mark-42")
    assert status_of(kbox, "one") == "ACTIVE"
    p.send(DETACH)
    p.expect_exact("[detached from one; kbox attach one brings it back]")
    assert end(p) == 0
    assert "one" in good(kbox("shells", "-dq")).split()
    p = on("attach", "on", rows=40, cols=100)
    p.expect_exact("mark-42")
    p.sendline("stty size")
    p.expect_exact("40 100")
    p.sendline("exit")
    p.expect_exact("[one has ended]")
    assert end(p) == 0
    assert status_of(kbox, "one") is None


def test_a_resize_reaches_the_program(session):
    p = session("size", "sh", "-c", "'trap \"stty size\" WINCH; echo ready; "
                "while :; do sleep 0.05; done'")
    p.expect_exact("ready")
    p.setwinsize(33, 111)
    p.expect_exact("33 111")


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM,
                                 signal.SIGHUP])
def test_weakness_7_2_2_a_lost_kbox_leaves_the_shell(session, on, kbox, sig):
    name = "lost%d" % sig
    p = session(name, "sh")
    p.sendline("x=kept")
    p.sendline("echo ready-$x")
    p.expect_exact("ready-kept")
    p.kill(sig)
    harness.eventually(lambda: status_of(kbox, name) == "DETACHED", "detached")
    p = on("attach", name)
    p.sendline("echo again-$x")
    p.expect_exact("again-kept")


def test_a_closed_terminal_leaves_the_shell(session, kbox):
    p = session("closed", "sh")
    p.sendline("echo ready-$((1 + 1))")
    p.expect_exact("ready-2")
    p.close(force=False)
    harness.eventually(lambda: status_of(kbox, "closed") == "DETACHED",
                       "detached")


def test_a_session_detaches_itself(session, on, kbox):
    p = session("self", "sh")
    p.sendline("%s kbox --socket %s detach --ttl 5m"
               % (harness.BINARY, os.path.join(
                   kbox("streams").args[3], "k8shelld.sock")))
    p.expect_exact("[detached from self;")
    assert end(p) == 0
    assert status_of(kbox, "self") == "DETACHED"
    assert re.search(r"ttl=(5m0s|4m5\ds)", good(kbox("streams")))
    p = on("attach", "self")
    p.expect_exact("Detached from self; it keeps running.")


def test_a_terminal_is_left_as_it_was_found(session):
    """From inside a full-screen program: its modes end with us."""
    p = session("modes", "sh", "-c", "'printf \"\\033[?1049h\\033[?25l"
                "\\033[?1000h\\033[?2004hready\"; cat'")
    p.expect_exact("ready")
    p.send(DETACH)
    p.expect_exact("[detached from modes")
    for sequence in ("1049l", "25h", "1000l", "2004l"):
        assert "\033[?" + sequence in p.before
    assert "\033[0m" in p.before


def test_a_command_that_ends_at_once_is_no_error(on):
    for _ in range(5):
        p = on("shell", "true")
        p.expect(r"\[\S+ has ended( already)?\]")
        assert end(p) == 0


def test_a_command_that_ends_at_once_is_heard(on):
    for i in range(50):
        p = on("shell", "--", "echo", "hello-%d" % i)
        p.expect_exact("hello-%d\r\n" % i)
        p.expect(r"\[\S+ has ended\]")
        assert end(p) == 0


def test_one_client_at_a_time(session, on, kbox):
    p = session("busy", "sh")
    p.sendline("echo ready-$((1 + 1))")
    p.expect_exact("ready-2")
    q = on("attach", "busy")
    q.expect_exact("attached somewhere else (HTTP 409)")
    q.expect_exact("kbox detach busy lets go")
    assert end(q) == 1
    good(kbox("detach", "busy"))
    p.expect_exact("[detached from busy;")
    q = on("attach", "busy")
    q.expect_exact("ready-2")


def test_no_number_is_lost_over_many_attaches(session, on):
    p = session("count", "sh", "-c", "'i=0; while [ $i -lt 400 ]; do "
                "i=$((i + 1)); echo n-$i-; sleep 0.01; done; echo end; cat'")
    p.expect_exact("n-3-")
    p.send(DETACH)
    assert end(p) == 0
    for _ in range(10):
        p = on("attach", "count")
        p.expect(r"n-\d+-")
        p.send(DETACH)
        assert end(p) == 0
    p = on("attach", "count", cols=80)
    p.expect_exact("end\r\n")
    numbers = re.findall(r"n-(\d+)-", p.before)
    assert numbers == [str(i) for i in range(1, 401)]


def test_a_command_its_folder_and_its_environment(session, tmp_path):
    p = session("env", "-C", str(tmp_path), "-e", "COLOUR=blue and green",
                "sh", "-c", "'pwd; echo $COLOUR; cat'")
    p.expect_exact(str(tmp_path))
    p.expect_exact("blue and green")


def test_kill_ends_what_ignores_a_hangup(session, kbox):
    p = session("stubborn", "sh", "-c",
                "'trap \"\" HUP TERM; echo ready; while :; do sleep 1; done'")
    p.expect_exact("ready")
    assert good(kbox("kill", "stubborn")) == "stubborn has ended\n"
    p.expect_exact("[stubborn has ended]")
    assert status_of(kbox, "stubborn") is None


def test_shells_and_streams_agree(kbox):
    assert good(kbox("shell", "-d", "--name", "agree", "cat")) == "agree\n"
    listed = {s["id"]: s for s in json.loads(good(kbox("shells", "--json")))}
    assert listed["agree"]["attached"] is False
    assert "agree" in good(kbox("shells"))
    bad(kbox("shell", "-d", "--name", "agree"), 1, "HTTP 409")
    good(kbox("detach", "agree", "--ttl", "12h"))
    assert re.search(r"agree +DETACHED +\d+ +\S+ +(12h0m0s|11h59m59s)",
                     good(kbox("shells")))
    good(kbox("detach", "agree", "--ttl", "0"))
    assert re.search(r"agree +DETACHED +\d+ +\S+ +\u221e", good(kbox("shells")))
    good(kbox("kill", "agree"))


def test_what_the_daemon_says_of_itself(daemon, kbox):
    info = json.loads(good(kbox("info", "--json")))
    assert info["version"] in good(kbox("info"))
    assert re.match(r"\d\d:\d\d:\d\d up ", good(kbox("uptime")))
    user = json.loads(good(kbox("profile", "--json")))
    assert user["uid"] == os.getuid()
    assert good(kbox("user", "username")) == user["username"] + "\n"
    assert good(kbox("splash")).endswith("\n")
    assert good(kbox("init-status")) == "No init scripts are registered.\n"
    assert good(kbox("apps")).startswith("NAME")
    for command in ("last", "credentials git"):
        bad(kbox(*command.split()), 5, "API server")


def test_logs_of_the_daemon(daemon, kbox):
    shown = messages(good(kbox("logs", "-c", "k8shelld")))
    assert any(m.startswith("serving gRPC on") for m in shown)
    assert len(messages(good(kbox("logs", "-n", "1")))) == 1
    p = subprocess.Popen([harness.BINARY, "kbox", "--run-dir", daemon.run_dir,
                          "logs", "-f", "-n", "1"], text=True,
                         stdout=subprocess.PIPE, env=environment())
    try:
        p.stdout.readline()
        good(kbox("shell", "-d", "--name", "logged", "cat"))
        good(kbox("kill", "logged"))
        while "logged" not in p.stdout.readline():
            assert p.poll() is None
    finally:
        p.kill()
        p.wait()
        p.stdout.close()


def test_another_uid_is_refused(daemon):
    if os.geteuid() != 0:
        pytest.skip("needs root to be somebody else")
    r = call(harness.BINARY, "kbox", "--socket",
             os.path.join(daemon.run_dir, "k8shelld.sock"), "streams",
             user=harness.UID, group=harness.GID, cwd="/")
    bad(r, 4, "Permission denied")
