"""Sessions that survive: full-screen programs, counters, and what was typed.

Programs are looked at in the panes of a tmux of our own.  What comes between
them and the daemon can be reset, go silent, or be killed and started again.
"""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time

import pytest

import harness
from rest import API, Raw
from test_kssh import kssh, need  # noqa: F401  (fixture)

CHORD = b"\x01d"

# Lost peers are noticed within four seconds here, not within 80.
CONFIG = harness.CONFIG + """\
shells:
  allowSessionDetach: true
limits:
  h2:
    keepalive: 1500ms
    keepaliveWait: 2500ms
"""


@pytest.fixture(autouse=True)
def nothing_is_left(daemon):
    yield
    with Raw(daemon.rest_sock) as r:
        for s in r.ask("GET", API + "/shells?all=true").json:
            r.ask("DELETE", API + "/shells/" + s["id"])


def detached(daemon):
    with Raw(daemon.rest_sock) as r:
        return [s["id"] for s in r.ask("GET", API + "/shells").json]


# -- between client and daemon -------------------------------------------------

PROXY = r"""
import selectors, socket, struct, sys
sel = selectors.DefaultSelector()
ear = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(ear.getsockname()[1], flush=True)
other = {}
sel.register(ear, selectors.EVENT_READ)
sel.register(sys.stdin, selectors.EVENT_READ)

def drop(s):
    for s in (s, other[s]):
        sel.unregister(s)
        del other[s]
        s.close()

while True:
    for key, _ in sel.select():
        s = key.fileobj
        if s is ear:
            a = ear.accept()[0]
            b = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
            other.update({a: b, b: a})
            sel.register(a, selectors.EVENT_READ)
            sel.register(b, selectors.EVENT_READ)
        elif s is sys.stdin:
            word = sys.stdin.readline().strip()
            if not word:
                sys.exit()
            for s in list(other):
                if word == "silent":
                    sel.unregister(s)
                elif s in other:        # reset
                    for end in (s, other[s]):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
                    drop(s)
            print("done", flush=True)
        elif s in other:
            try:
                data = s.recv(65536)
                if data:
                    other[s].sendall(data)
            except OSError:
                data = b""
            if not data:
                drop(s)
"""


class Proxy:
    """A process that passes a TCP port on, as an ssh proxy would."""

    def __init__(self, target):
        self.target, self.port = target, 0
        self.start()

    def start(self):
        self.proc = subprocess.Popen(
            [sys.executable, "-c", PROXY, str(self.port), str(self.target)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.proc.stdout.readline())

    def say(self, word):
        self.proc.stdin.write(word + "\n")
        self.proc.stdin.flush()
        assert self.proc.stdout.readline() == "done\n"

    def stop(self):
        self.proc.kill()
        self.proc.wait()
        self.proc.stdin.close()
        self.proc.stdout.close()

    def restart(self):
        self.stop()
        self.start()


@pytest.fixture
def proxy(daemon):
    p = Proxy(daemon.port)
    yield p
    p.stop()


# -- panes ---------------------------------------------------------------------

class Tmux:
    """A server of our own.  Each pane is a session with a size of its own."""

    def __init__(self, folder):
        self.socket = os.path.join(str(folder), "tmux")
        self.count = 0

    def do(self, *args):
        r = subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null"]
                           + list(args), capture_output=True, text=True,
                           env=dict(os.environ, LC_ALL="C.UTF-8"))
        assert r.returncode == 0, r.stderr
        return r.stdout

    def pane(self, columns, rows):
        self.count += 1
        name = "p%d" % self.count
        self.do("new-session", "-d", "-s", name, "-x", str(columns), "-y",
                str(rows), "env", "ENV=", "LC_ALL=C.UTF-8", "sh")
        return Pane(self, name + ":")

    def stop(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"],
                       capture_output=True)


class Pane:
    def __init__(self, tmux, name):
        self.tmux, self.name = tmux, name
        self.type("PS1='outs''ide> '", "Enter")
        self.see("outside>")
        self.settings = self.stty()

    def type(self, *keys):
        """Words such as Enter and C-a are keys, all else is text."""
        self.tmux.do("send-keys", "-t", self.name, *keys)

    def screen(self):
        return self.tmux.do("capture-pane", "-p", "-t", self.name)

    def see(self, text, times=1):
        def look():
            shown = self.screen()
            return shown if shown.count(text) >= times else None
        try:
            return harness.eventually(look, text)
        except AssertionError as e:
            raise AssertionError("%s; it shows:\n%s" % (e, self.screen()))

    def stty(self):
        self.type("clear; stty -g; echo do''ne", "Enter")
        return re.search(r"[0-9a-f:]{30,}", self.see("done").replace(
            "\n", "")).group(0)

    def pid_of(self, word):
        """Of the child of the pane's shell that has word in its name."""
        shell = self.tmux.do("display", "-p", "-t", self.name,
                             "#{pane_pid}").strip()

        def find():
            with open("/proc/%s/task/%s/children" % (shell, shell)) as f:
                for pid in f.read().split():
                    with open("/proc/%s/cmdline" % pid, "rb") as f:
                        if word.encode() in f.read():
                            return int(pid)
        return harness.eventually(find, word)

    def kill(self):
        self.tmux.do("kill-pane", "-t", self.name)

    def check_sane(self):
        """No mode of a program is left, and a line can be typed and seen."""
        flags = self.tmux.do(
            "display", "-p", "-t", self.name, "#{alternate_on}#{cursor_flag}"
            "#{mouse_any_flag}#{keypad_cursor_flag}#{wrap_flag}"
            "#{insert_flag}")
        assert flags.strip() == "010010", flags
        assert self.stty() == self.settings


@pytest.fixture
def tmux(tmp_path):
    need("tmux")
    t = Tmux(tmp_path)
    yield t
    t.stop()


# -- full-screen programs --------------------------------------------------------

class Vim:
    """Types into a file, saves it, leaves."""
    names = ("vim.tiny", "vim", "vi")

    def start(self, pane, program, file):
        self.file = file
        pane.type("%s -u NONE -N '%s'" % (program, file), "Enter")
        pane.see("line 3 of the file")
        pane.type("Gofirst words", "Escape")
        pane.see("first words")

    def use(self, pane):
        pane.see("line 3 of the file")
        pane.see("first words")
        pane.type("osecond words", "Escape")
        pane.see("second words")
        pane.type(":w", "Enter")
        pane.see("written")
        with open(self.file) as f:
            assert f.read().endswith("first words\nsecond words\n")
        pane.type(":q", "Enter")


class Less:
    names = ("less",)

    def start(self, pane, program, file):
        with open(file, "a") as f:
            f.writelines("line %d of the file\n" % i for i in range(4, 500))
        pane.type("%s '%s'" % (program, file), "Enter")
        pane.see("line 3 of the file")

    def use(self, pane):
        pane.see("line 3 of the file")
        pane.type("G")
        pane.see("line 499 of the file")
        pane.type("g")
        pane.see("line 1 of the file")
        pane.type("q")


class Top:
    names = ("top",)

    def start(self, pane, program, file):
        pane.type("%s -d 0.3" % program, "Enter")
        pane.see("Tasks:")

    def use(self, pane):
        pane.see("Tasks:")
        pane.type("h")
        pane.see("Type 'q' or <Esc> to continue")
        pane.type("q")
        pane.see("Tasks:")
        pane.type("q")


def lose(how, pane, proxy):
    """The client goes; True if its pane is there to be looked at after."""
    if how == "chord":
        pane.type("C-a", "d")
        pane.see("detached from sh-")
        pane.see("status=0")
    elif how == "kill-pane":
        pane.kill()
    elif how == "kill -9":
        os.kill(pane.pid_of("--detach-on-close"), signal.SIGKILL)
        pane.see("status=137")
    elif how == "restart":
        proxy.restart()
        pane.see("status=255")
    elif how == "reset":
        proxy.say("reset")
        pane.see("status=255")
    else:
        proxy.say("silent")
    return how in ("chord", "restart", "reset")


ALL = ["chord", "kill-pane", "kill -9", "reset", "silent", "restart"]


@pytest.mark.parametrize("program, how", [(Vim, how) for how in ALL] + [
    (Less, "chord"), (Less, "kill -9"), (Top, "kill-pane"), (Top, "reset")])
def test_full_screen_program_comes_back(daemon, kssh, proxy, tmux, home,
                                        program, how):  # noqa: F811
    found = [n for n in program.names if shutil.which(n)]
    if not found:
        pytest.skip("none of %s is installed" % ", ".join(program.names))
    file = os.path.join(home, "survive.txt")
    with open(file, "w") as f:
        f.write("line 1 of the file\nline 2 of the file\n"
                "line 3 of the file\n")
    os.chown(file, harness.UID, harness.GID)
    first = tmux.pane(90, 30)
    first.type("clear; '%s' --detach-on-close --plaintext 127.0.0.1:%d; "
               "echo status=$?" % (kssh, proxy.port), "Enter")
    first.see("$")
    first.type("PS1='ins''ide> '; clear", "Enter")
    first.see("inside>")
    p = program()
    p.start(first, found[0], file)
    if lose(how, first, proxy):
        first.check_sane()
    id, = harness.eventually(lambda: detached(daemon), "detached")

    second = tmux.pane(71, 20)
    second.type("clear; '%s' kbox --socket '%s' attach %s; echo status=$?"
                % (harness.BINARY, daemon.rest_sock, id), "Enter")
    p.use(second)
    second.see("inside>")
    second.type("clear; stty size", "Enter")
    second.see("20 71")
    second.type("exit", "Enter")
    second.see("[%s has ended]" % id)
    second.see("status=0")
    second.check_sane()


def test_kssh_goes_on_through_a_proxy_that_was_restarted(
        kssh, daemon, proxy, tmux):  # noqa: F811
    """The way back over the same proxy, three times."""
    pane = tmux.pane(80, 24)
    go = "clear; '%s' --plaintext 127.0.0.1:%d" % (kssh, proxy.port)
    pane.type(go + " --detach-on-close; echo status=$?", "Enter")
    pane.see("$")
    pane.type("x=0; PS1='ins''ide> '; clear", "Enter")
    pane.see("inside>")
    for turn in range(1, 4):
        pane.type("x=$((x + 1)); echo turn=$x=", "Enter")
        pane.see("turn=%d=" % turn)
        proxy.restart()
        pane.see("status=255")
        pane.see("brings it back]")
        pane.check_sane()
        harness.eventually(lambda: detached(daemon), "detached")
        pane.type(go + " --attach sh-; echo status=$?", "Enter")
        pane.see("inside>")
    pane.type("exit", "Enter")
    pane.see("status=0")
    pane.check_sane()


# -- a counter -------------------------------------------------------------------

COUNTER = r"""
import os, sys, time
i = 0
while not os.path.exists(sys.argv[1]):
    sys.stdout.write("".join("N=%d=\n" % n for n in range(i, i + 20)))
    sys.stdout.flush()
    i += 20
    time.sleep(0.004)
print("ALL=%d=" % i, flush=True)
sys.stdin.read()
"""


class Client:
    """Somebody attached: bytes in .data; leave() goes, one way or another."""

    data = b""

    def fill(self, timeout):
        if not select.select([self.fd], [], [], timeout)[0]:
            return None
        try:
            got = os.read(self.fd, 65536)
        except (OSError, ConnectionResetError):
            got = b""
        self.data += got
        return len(got) > 0

    def until(self, text):
        end = time.monotonic() + harness.DEADLINE
        while text not in self.data:
            assert self.fill(1) is not False, self.data[-300:]
            assert time.monotonic() < end, self.data[-300:]

    def rest(self):
        end = time.monotonic() + harness.DEADLINE
        while self.fill(harness.DEADLINE):
            assert time.monotonic() < end, "it never ends"

    def watch(self, until):
        """Reads on, replay and live part, until a number is past `until`
        and 20 ms went by since the first bytes."""
        end = time.monotonic() + harness.DEADLINE
        live = None
        while True:
            assert self.fill(harness.DEADLINE), "ended: %r" % self.data[-300:]
            now = time.monotonic()
            live = live or now + 0.02
            last = re.findall(rb"N=(\d+)=", self.data[-4000:])
            if now > live and last and int(last[-1]) > until:
                return
            assert now < end, self.data[-300:]

    def numbers(self):
        return [int(n) for n in re.findall(rb"N=(\d+)=", self.data)]


class OnTerminal(Client):
    """A program on a terminal; it is told to leave, or killed."""

    def __init__(self, *argv):
        self.fd, slave = os.openpty()
        self.proc = subprocess.Popen(argv, stdin=slave, stdout=slave,
                                     stderr=slave, start_new_session=True)
        os.close(slave)

    def type(self, data):
        os.write(self.fd, data)

    def leave(self, how):
        if how == "kill":
            self.proc.kill()
        elif how == "chord":
            self.type(CHORD)
        self.rest()
        os.close(self.fd)
        self.proc.wait(harness.DEADLINE)


class OnSocket(Client):
    """The workspace API by hand."""

    def __init__(self, daemon, id):
        self.raw = Raw(daemon.rest_sock)
        self.raw.send("POST %s/shells/%s/attach?width=80&height=24 HTTP/1.1\r\n"
                      "Host: unix\r\n\r\n" % (API, id))
        status, _ = self.raw.head()
        assert status == 101, status
        self.data = self.raw.data
        self.fd = self.raw.sock.fileno()

    def type(self, data):
        self.raw.sock.sendall(data)

    def leave(self, how):
        if how == "chord":
            self.type(CHORD)
        if how != "close":
            self.rest()
        self.raw.sock.close()


class OverTcp(Client):
    """kssh in pipes; the connection is cut, or it is killed."""

    def __init__(self, kssh, proxy, id):  # noqa: F811
        self.proxy = proxy
        self.proc = subprocess.Popen(
            [kssh, "--plaintext", "-tt", "--attach", id,
             "127.0.0.1:%d" % proxy.port], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.fd = self.proc.stdout.fileno()

    def type(self, data):
        os.write(self.proc.stdin.fileno(), data)

    def leave(self, how):
        if how == "cut":
            self.proxy.say("reset")
        elif how == "kill":
            self.proc.kill()
        elif how == "chord":
            self.type(CHORD)
        self.rest()
        self.proc.stdin.close()
        self.proc.stdout.close()
        self.proc.wait(harness.DEADLINE)


WAYS = [("kbox", "chord"), ("socket", "close"), ("kssh", "cut"),
        ("kbox", "kill"), ("socket", "chord"), ("kssh", "kill"),
        ("kssh", "chord")]


@pytest.fixture
def come(daemon, kssh, proxy):  # noqa: F811
    """come("kbox", "counter"): attaches as soon as nobody else is."""
    def go(kind, id):
        harness.eventually(lambda: id in detached(daemon), "detached")
        if kind == "kbox":
            return OnTerminal(harness.BINARY, "kbox", "--socket",
                              daemon.rest_sock, "attach", id)
        if kind == "kssh":
            return OverTcp(kssh, proxy, id)
        if kind == "kssh on a terminal":
            return OnTerminal(kssh, "--plaintext", "--attach", id,
                              "127.0.0.1:%d" % proxy.port)
        return OnSocket(daemon, id)
    return go


def begin(daemon, name, command):
    with Raw(daemon.rest_sock) as r:
        a = r.ask("POST", API + "/shells",
                  json.dumps({"name": name, "command": command}))
        assert a.status == 201, a.text


@pytest.mark.parametrize("rounds", [
    210, pytest.param(2100, marks=pytest.mark.long)])
def test_counter_loses_and_repeats_nothing(daemon, come, home, rounds):
    """Replay and live part are one run of numbers, and the next one goes on
    where this one was left, whoever left and however."""
    program, stop = home + "/counter.py", home + "/stop"
    with open(program, "w") as f:
        f.write(COUNTER)
    begin(daemon, "counter", "stty -echo; exec %s '%s' '%s'"
          % (sys.executable, program, stop))
    seen = -1
    for turn in range(rounds):
        kind, how = WAYS[turn % len(WAYS)]
        c = come(kind, "counter")
        c.watch(seen + 40)
        c.leave(how)
        numbers = c.numbers()
        assert numbers == list(range(numbers[0], numbers[-1] + 1)), how
        assert numbers[0] <= seen + 1 and numbers[-1] > seen, how
        seen = numbers[-1]
    open(stop, "w").close()
    try:
        c = come("socket", "counter")
        c.until(b"ALL=")
        numbers = c.numbers()
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert numbers[0] <= seen + 1
        assert b"ALL=%d=" % (numbers[-1] + 1) in c.data[-100:]
        c.leave("close")
    finally:
        os.unlink(stop)


@pytest.mark.parametrize("kind, how", [
    ("kbox", "chord"), ("socket", "chord"), ("socket", "close"),
    ("kssh", "chord"), ("kssh on a terminal", "chord"),
    ("kssh on a terminal", "escape")])
def test_what_was_typed_before_leaving_arrives(daemon, come, home, kind,
                                               how):
    """Typed and gone in one breath: what the daemon was sent it types."""
    file = home + "/typed"
    begin(daemon, "typed", "stty -echo; echo re''ady; exec cat >'%s'" % file)
    expected = ""
    for turn in range(12):
        c = come(kind, "typed")
        c.until(b"ready")
        text = "turn %d " % turn * 50 + "\n"
        expected += text
        last = {"chord": CHORD, "escape": b"~."}.get(how, b"")
        c.type(text.encode() + last)
        c.leave("nothing more" if last else how)

    def arrived():
        with open(file) as f:
            return f.read() == expected
    harness.eventually(arrived, "all that was typed")


@pytest.mark.parametrize("kind, how", [("kbox", "kill"), ("kssh", "kill"),
                                       ("kssh", "cut")])
def test_what_was_echoed_stays(daemon, come, home, kind, how):
    """Killed and cut clients: what came back is there, half a line, too."""
    file = home + "/echoed"
    begin(daemon, "echoed", "echo re''ady; exec cat >'%s'" % file)
    expected = ""
    for turn in range(12):
        c = come(kind, "echoed")
        c.until(b"ready\r\n" + expected.encode())
        text = "(turn %d)" % turn
        expected += text
        c.type(text.encode())
        c.until(expected.encode())
        c.leave(how)
    c = come("socket", "echoed")
    c.type(b"\n")

    def arrived():
        with open(file) as f:
            return f.read() == expected + "\n"
    harness.eventually(arrived, "all that was typed")
    c.leave("close")
