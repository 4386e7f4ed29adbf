"""kbox on a terminal: attach, detach, the picker, what it looks like.

Screens are those of a real terminal emulator (tmux), so what is checked is
what somebody would see at 80 and at 40 columns.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess

import pexpect
import pytest

import fake_rest
import harness
from test_kbox import binary, environment, fake  # noqa: F401  (fixtures)

DETACH = "\x01d"


@pytest.fixture
def on(binary, fake):  # noqa: F811
    """on("attach", "sh-web-2"): kbox on a terminal of its own."""
    running = []

    def go(*args, rows=24, cols=80, env=None):
        p = pexpect.spawn(binary, ["--socket", fake.path] + list(args),
                          timeout=harness.DEADLINE, dimensions=(rows, cols),
                          env=environment(**(env or {})), encoding="utf-8")
        running.append(p)
        return p
    yield go
    for p in running:
        p.close(force=True)


def end(p):
    p.expect(pexpect.EOF)
    p.close()
    return p.exitstatus if p.exitstatus is not None else -p.signalstatus


def flags(p):
    """Is the terminal as a person expects it?"""
    import termios
    local = termios.tcgetattr(p.child_fd)[3]
    return bool(local & termios.ICANON) and bool(local & termios.ECHO)


def two(fake):  # noqa: F811
    fake.shells = [fake_rest.shell("sh-old-1", 900, 800, "/bin/bash", 1),
                   fake_rest.shell("sh-new-2", 600, 300, "/bin/zsh", 2)]


# ---- attach -------------------------------------------------------------------

def test_attach_shows_history_takes_keys_and_detaches(on, fake):  # noqa: F811
    p = on("attach", "sh-web-2", rows=30, cols=100)
    p.expect_exact("scrollback of sh-web-2")
    p.send("x")
    p.expect_exact("<x>")
    p.send("\x03")
    p.expect_exact("<\x03>")
    p.send(DETACH)
    p.expect_exact("[detached from sh-web-2; kbox attach sh-web-2 brings it "
                   "back]")
    assert end(p) == 0
    assert fake.typed == b"x\x03" + DETACH.encode()
    assert fake.sizes == [(100, 30)]
    assert "?width=100&height=30" in [r for r in fake.requests
                                      if "/attach" in r][0]


def test_attach_says_that_the_shell_has_ended(on, fake):  # noqa: F811
    p = on("attach", "sh-web-2")
    p.expect_exact("$ ")
    p.send("exit")
    p.expect_exact("[sh-web-2 has ended]")
    assert end(p) == 0


def test_attach_says_that_the_daemon_is_gone(on, fake):  # noqa: F811
    p = on("attach", "sh-web-2")
    p.expect_exact("$ ")
    fake.close()
    fake.attached.shutdown(2)
    p.expect_exact("kbox: attach: the connection to the daemon is lost")
    assert end(p) == 4


def test_attach_follows_the_size(on, fake):  # noqa: F811
    p = on("attach", "sh-web-2")
    p.expect_exact("$ ")
    p.setwinsize(50, 132)
    harness.eventually(lambda: (132, 50) in fake.sizes, "the new size")
    p.send(DETACH)
    assert end(p) == 0


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGHUP])
def test_weakness_7_2_2_a_signal_leaves_the_terminal_in_order(
        on, fake, sig):  # noqa: F811
    p = on("attach", "sh-web-2")
    p.expect_exact("$ ")
    harness.eventually(lambda: not flags(p), "raw mode")
    p.kill(sig)
    harness.eventually(lambda: flags(p), "cooked mode")
    assert end(p) == 128 + sig


def test_weakness_7_2_2_a_lost_terminal_sends_nothing(on, fake):  # noqa: F811
    """The daemon decides what becomes of the shell: no key, no request."""
    p = on("attach", "sh-web-2")
    p.expect_exact("$ ")
    harness.eventually(lambda: fake.sizes, "raw mode")
    before = list(fake.requests)
    p.close(force=False)
    harness.eventually(lambda: fake.attached is None, "the connection closed")
    assert fake.typed == b"" and fake.requests == before


def test_a_paste_arrives_whole(on, fake):  # noqa: F811
    p = on("attach", "sh-web-2")
    p.expect_exact("$ ")
    text = "".join("%06d" % i for i in range(20000))
    for i in range(0, len(text), 1000):
        p.send(text[i:i + 1000])
        p.expect_exact(">")
    p.send(DETACH)
    p.expect_exact("detached from")
    assert bytes(fake.typed) == (text + DETACH).encode()


def test_attach_is_refused_in_words(on, fake):  # noqa: F811
    p = on("attach", "nobody")
    p.expect_exact("kbox: attach: no session nobody (HTTP 404)")
    assert end(p) == 3
    first = on("attach", "sh-web-2")
    first.expect_exact("$ ")
    p = on("attach", "sh-web-2")
    p.expect_exact("a client is attached (HTTP 409)")
    p.expect_exact("kbox detach sh-web-2 lets go")
    assert end(p) == 1
    fake.replies["POST /api/v1/shells/sh-web-1/attach"] = (403, "disabled")
    p = on("attach", "sh-web-1")
    p.expect_exact("disabled (HTTP 403)")
    assert end(p) == 6


def test_attach_finds_an_id_by_its_start(on, fake):  # noqa: F811
    fake.streams[0]["id"] = "sh-one"
    p = on("attach", "sh-w")
    p.expect_exact("scrollback of sh-web-2")
    p.send(DETACH)
    assert end(p) == 0


def test_attach_to_the_only_one(on, fake):  # noqa: F811
    p = on("attach")
    p.expect_exact("Attaching to sh-web-2")
    p.expect_exact("$ ")
    p.send(DETACH)
    assert end(p) == 0
    fake.shells = []
    p = on("attach")
    p.expect_exact("no shell is detached")
    assert end(p) == 1


def test_shell_starts_and_sits_in(on, fake):  # noqa: F811
    p = on("shell", "--name", "build", "vim", "-R", "x", rows=33, cols=90)
    p.expect_exact("scrollback of sh-new-1")
    assert fake.bodies[0][2]["command"] == "vim -R x"
    assert (fake.bodies[0][2]["width"], fake.bodies[0][2]["height"]) == \
        (90, 33)
    p.send(DETACH)
    assert end(p) == 0


# ---- the picker -----------------------------------------------------------------

@pytest.mark.parametrize("keys,id", [
    ("\r", "sh-old-1"), ("\033[B\r", "sh-new-2"), ("\033OB\r", "sh-new-2"),
    ("j\r", "sh-new-2"), ("2\r", "sh-new-2"), ("jk\r", "sh-old-1"),
    ("\033[A\r", "sh-new-2"), ("jj\r", "sh-old-1"), ("G\r", "sh-new-2"),
    ("\033[1~\r", "sh-old-1"), ("9\r", "sh-old-1")])
def test_picker_keys(on, fake, keys, id):  # noqa: F811
    two(fake)
    p = on("attach")
    p.expect_exact("q leaves")
    p.send(keys)
    p.expect_exact("scrollback of " + id)
    p.send(DETACH)
    assert end(p) == 0


@pytest.mark.parametrize("key", ["q", "\x03", "\x04", "\033"])
def test_picker_can_be_left(on, fake, key):  # noqa: F811
    two(fake)
    p = on("attach")
    p.expect_exact("q leaves")
    p.send(key)
    harness.eventually(lambda: flags(p), "cooked mode")
    assert end(p) == 130
    assert not [r for r in fake.requests if r.startswith("POST")]


def test_picker_gives_the_terminal_back_on_a_signal(on, fake):  # noqa: F811
    two(fake)
    p = on("attach")
    p.expect_exact("q leaves")
    p.kill(signal.SIGTERM)
    harness.eventually(lambda: flags(p), "cooked mode")
    assert end(p) == 143


@pytest.mark.parametrize("how", [{"env": {"TERM": "dumb"}}, {}])
def test_numbers_where_arrows_are_not(on, fake, how):  # noqa: F811
    two(fake)
    p = on("attach", *([] if how else ["--no-ansi"]), **how)
    p.expect(r"#  ID +SHELL +PID  CREATED +DETACHED\r\n"
             r"1  sh-old-1  /bin/bash  1    15m\ds ago  13m2\ds ago\r\n"
             r"2  sh-new-2  /bin/zsh   2    10m\ds ago  5m\ds ago\r\n")
    p.expect_exact("number (1-2): ")
    p.sendline("2x")
    p.expect_exact("scrollback of sh-new-2")
    p.send(DETACH)
    assert end(p) == 0
    for wrong in ("0", "3", "x", ""):
        p = on("attach", "--no-ansi")
        p.expect_exact("number (1-2): ")
        p.sendline(wrong)
        p.expect_exact("not a number from 1 to 2")
        assert end(p) == 1


def test_attach_last(on, fake):  # noqa: F811
    two(fake)
    p = on("attach", "--last")
    p.expect_exact("scrollback of sh-new-2")
    p.send(DETACH)
    assert end(p) == 0


def test_detach_picks_among_the_attached(on, fake):  # noqa: F811
    fake.streams += [fake_rest.stream("sh-web-7", ago=9)]
    p = on("detach")
    p.expect_exact("Detach which shell?")
    p.expect_exact("q leaves")
    p.send("j\r")
    p.expect_exact("Detached from sh-web-7; it keeps running.")
    assert end(p) == 0


def ask_password(p, *answers):
    for prompt, text in zip(("Current password: ", "New password: ",
                             "New password again: "), answers):
        p.expect_exact(prompt)
        harness.eventually(lambda: not flags(p), "no echo")
        p.sendline(text)


@pytest.mark.parametrize("env", [{}, {"SUDO_USER": "bob"}])
def test_weakness_7_1_7_passwd_asks_whatever_SUDO_USER_says(
        on, fake, env):  # noqa: F811
    fake.replies["PUT /api/v1/password"] = (204, None)
    p = on("passwd", env=env)
    ask_password(p, "old \"one", "n\\ew", "n\\ew")
    p.expect_exact("The password is changed.")
    assert "old" not in p.before and end(p) == 0
    assert fake.bodies[-1][2] == {"password": "n\\ew",
                                  "currentPassword": "old \"one"}
    p = on("passwd", env=env)
    ask_password(p, "", "new", "new")
    p.expect_exact("The password is changed.")
    assert fake.bodies[-1][2] == {"password": "new"} and end(p) == 0


@pytest.mark.parametrize("answers,why", [
    (("a", ""), "no password was given"),
    (("a", "b", "c"), "the two are not the same"),
    (("a", 300 * "b"), "no password was given"),
    (("a", "b", "b"), "the old one is wrong (HTTP 502)")])
def test_passwd_says_why_not(on, fake, answers, why):  # noqa: F811
    fake.replies["PUT /api/v1/password"] = (502, "the old one is wrong")
    p = on("passwd")
    ask_password(p, *answers)
    p.expect_exact(why)
    assert "bbb" not in p.before
    assert end(p) == (5 if "HTTP" in why else 1)
    assert len(fake.requests) == ("HTTP" in why)


@pytest.mark.parametrize("key,status", [("\x03", 130), ("\x1c", 131),
                                        ("\x04", 1)])
def test_passwd_gives_the_echo_back(on, fake, key, status):  # noqa: F811
    p = on("passwd")
    p.expect_exact("Current password: ")
    harness.eventually(lambda: not flags(p), "no echo")
    p.send(key)
    harness.eventually(lambda: flags(p), "echo")
    assert end(p) == status and fake.requests == []


@pytest.mark.parametrize("answer,deleted", [("yes", True), ("y", False),
                                            ("", False), ("\x04", False)])
def test_weakness_7_1_8_deleting_is_asked_about(
        on, fake, answer, deleted):  # noqa: F811
    fake.replies["POST /api/v1/shutdown"] = (204, None)
    p = on("shutdown", "--delete")
    p.expect_exact("yes")
    p.sendline(answer)
    p.expect_exact("will be deleted" if deleted else "nothing done")
    assert end(p) == (0 if deleted else 1)
    assert fake.requests == deleted * ["POST /api/v1/shutdown?action=delete"]


def test_T25_on_a_terminal_text_is_only_text(on, fake):  # noqa: F811
    evil = "\033]0;pwned\007\u202e"
    fake.profile["name"] = evil
    fake.splash = "\033[32mgreen\033[0m \033[2J" + evil + "\n"
    fake.log("grpc", "info", evil)
    for args in (["user", "name"], ["splash"], ["logs", "-n1"],
                 ["logs", "-j", "-n1"], ["profile", "--json"]):
        p = on(*args)
        p.expect(pexpect.EOF)
        assert "pwned" in p.before
        assert not re.search("\033[^[]|\033\\[2J|\007|\u202e", p.before), args
    # As it may come from elsewhere: JSON allows these as they are.
    fake.replies["GET /api/v1/profile"] = (200, b'{"name": "%s"}'
                                           % "\u202e\u009bpw\x7f".encode())
    p = on("profile", "--json")
    p.expect(pexpect.EOF)
    assert "\\u202e\\u009bpw\\u007f" in p.before
    p = on("splash")
    p.expect_exact("\033[32mgreen\033[0m")
    p = on("splash", env={"NO_COLOR": "1"})
    p.expect(pexpect.EOF)
    assert "\033" not in p.before


# ---- screens ----------------------------------------------------------------------

@pytest.fixture
def screen(binary, fake, tmp_path):  # noqa: F811
    """screen(80, "streams"): the lines a person sees, when they are there."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    sockets = []

    def tmux(*args):
        return subprocess.run(["tmux", "-S", sockets[-1], "-f", "/dev/null"]
                              + list(args), env=environment(LC_ALL="C.UTF-8"),
                              capture_output=True, text=True, check=True)

    def go(columns, *args, until="END"):
        command = "%s; echo END; exec sleep 100" % shlex.join(
            [binary, "--socket", fake.path] + list(args))
        sockets.append(str(tmp_path / ("tmux%d" % len(sockets))))
        tmux("new-session", "-d", "-x", str(columns), "-y", "60", "sh", "-c",
             command)

        def look():
            text = tmux("capture-pane", "-p").stdout
            return text if until in text else None
        try:
            text = harness.eventually(look, until)
        finally:
            tmux("kill-server")
        return [line.rstrip() for line in text.rstrip().split("\n")
                if line != "END"]
    return go


def test_screen_streams_80(screen):
    lines = screen(80, "streams")
    assert len(lines) == 5 and max(map(len, lines)) <= 80
    assert lines[0].split() == ["ID", "DURATION", "STATUS", "BYTES_IN",
                                "BYTES_OUT", "PARAMS"]
    assert lines[3].startswith("sh-web-2")
    assert re.search(r"DETACHED  17B +2.45K +cmd=/bin/zsh, pid=12", lines[3])


def test_screen_streams_40(screen):
    lines = screen(40, "streams")
    assert len(lines) == 5 and max(map(len, lines)) <= 40
    assert lines[0].split() == ["ID", "STATUS", "PARAMS"]
    assert lines[3].endswith("\u2026")


def test_screen_long_ids_leave_no_stubs(screen, fake):  # noqa: F811
    """Either a column has its title in full, or it is not there."""
    fake.streams[0]["id"] = "ws-9f3a-1-demo-abcdef-vm1"
    fake.shells = [fake_rest.shell("a-name-of-very-many-letters-" * n,
                                   cmd="/usr/local/bin/shell")
                   for n in (1, 2)]
    for columns in (80, 60, 50, 40, 36, 30):
        lines = screen(columns, "streams")
        assert max(map(len, lines)) <= columns and len(lines) == 5
        assert set(lines[0].split()) <= {"ID", "CREATED", "DURATION",
                                         "STATUS", "BYTES_IN", "BYTES_OUT",
                                         "PARAMS"}
        lines = screen(columns, "attach", until="arrows")
        assert max(map(len, lines)) <= columns
        assert set(lines[1].split()) <= {"ID", "SHELL", "PID", "CREATED",
                                         "DETACHED"}
        assert columns > 56 or any("\u2026" in line for line in lines)


def test_screen_info_80_and_40(screen):
    wide = screen(80, "info")
    assert "  CPU usage:     12.34m / 500m (2.47%)" in wide
    assert "  /home/alice:  1.50GiB / 10GiB (15.00%)  " \
        "[fs=ext4, src=/dev/sdb]" in wide
    narrow = screen(40, "info")
    assert max(map(len, narrow)) <= 40
    assert narrow[0] == "Workspace"
    # What does not fit goes on under itself.
    i = [n for n, line in enumerate(narrow) if "Repository:" in line][0]
    assert narrow[i].endswith("https://git.example/alic")
    assert narrow[i + 1] == " " * 16 + "e/demo"
    # Between words, where there are some.
    i = [n for n, line in enumerate(narrow) if "Memory usage:" in line][0]
    assert narrow[i:i + 2] == ["  Memory usage:  123.45MiB / 512MiB",
                               " " * 17 + "(24.11%)"]


@pytest.mark.parametrize("columns", [80, 40])
def test_screen_picker(screen, fake, columns):  # noqa: F811
    two(fake)
    lines = screen(columns, "attach", until="q leaves")
    assert len(lines) == 5 and max(map(len, lines)) < columns
    assert lines[0] == "Attach to which shell?"
    assert lines[1].split()[0] == "ID"
    assert lines[2].startswith("> sh-old-1")
    assert lines[3].startswith("  sh-new-2")
    assert lines[4] == "arrows or number, Enter takes, q leaves"


@pytest.mark.parametrize("ansi", [[], ["--no-ansi"]])
def test_weakness_7_2_7_screen_logs_are_cut_and_keep_their_line(
        screen, fake, ansi):  # noqa: F811
    for _ in range(2):
        fake.log("grpc", "info", "\u65e5" * 60)
    lines = screen(80, "logs", "-n", "2", *ansi)
    assert len(lines) == 2
    for line in lines:
        assert line.endswith("\u65e5\u2026")
    assert len(screen(80, "logs", "-n", "2", "--wrap", *ansi)) == 6


def test_screen_watch_draws_in_place(screen, fake):  # noqa: F811
    lines = screen(80, "streams", "--watch=0.1", until="pf-web-1")
    assert lines[0].startswith("ID ") and len(lines) == 5
