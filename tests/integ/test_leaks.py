"""Thousands of short commands and shells leave nothing behind.

Three builds see the same crowd: the real one (memory back to where it was, no
descriptor, no zombie), the one with ASan and LeakSanitizer, and one under
valgrind, which counts descriptors and bytes at exit.
"""

import os
import re
import shutil
import struct
import subprocess

import pytest

import harness
import raw
from harness import ssh

SANITIZED = os.path.join(harness.BUILD, "san", "k8shell")
DEBUG = os.path.join(harness.BUILD, "dbg", "k8shell")

CONFIG = harness.CONFIG.replace("debug", "info") + """\
limits: {forksPerSecond: 100000, forkBurst: 100000}
"""

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK = 1, 1
AT_ONCE = 16                # calls under way at a time
PER_CONNECTION = 250
ROUNDS = 8
RSS_SLACK_KIB = 48          # 48 bytes lost per call would be 51


class Crowd:
    """One connection and many calls on it; frames parsed just as needed."""

    def __init__(self, daemon):
        self.peer = raw.Peer(daemon, settings={4: 1 << 20}, timeout=60.0)
        self.peer.send_frame(raw.WindowUpdateFrame(0,
                                                   window_increment=1 << 30))
        self.buffer = bytearray()
        self.running = {}       # stream -> bytes of its messages

    def frame(self):
        while True:
            if len(self.buffer) >= 9:
                high, low, type, flags, stream = \
                    struct.unpack(">BHBBI", self.buffer[:9])
                n = 9 + (high << 16 | low)
                if len(self.buffer) >= n:
                    payload = bytes(self.buffer[9:n])
                    del self.buffer[:n]
                    return type, flags, stream, payload
            got = self.peer.sock.recv(1 << 16)
            assert got, "closed by the daemon"
            self.buffer += got

    def answer(self):
        """Wait for the next call to end; its stream and messages."""
        while True:
            type, flags, stream, payload = self.frame()
            assert type != GOAWAY, payload
            if type == SETTINGS and not flags & ACK:
                self.peer.send(raw.frame(SETTINGS, ACK, 0))
            elif type == PING and not flags & ACK:
                self.peer.send(raw.frame(PING, ACK, 0, payload))
            elif type == DATA and stream in self.running:
                self.running[stream] += payload
            if stream in self.running and \
                    (type == RST_STREAM or flags & END_STREAM
                     and type in (DATA, HEADERS)):
                return stream, self.running.pop(stream)

    def begin(self, path, key, requests, end):
        n = self.peer.next_stream
        stream = self.peer.open(path=path, extra=[(key, "%s-leak-%d"
                                                   % (key[:2], n))])
        self.peer.send_data(stream, b"".join(
            raw.message(r.SerializeToString()) for r in requests), end=end)
        self.running[stream] = b""
        return stream

    def cancel(self, stream):
        self.peer.reset(stream)
        del self.running[stream]


def messages(cls, data):
    while data:
        n = struct.unpack(">xI", data[:5])[0]
        yield cls.FromString(data[5:5 + n])
        data = data[5 + n:]


def details(command, **more):
    return ssh.ExecRequest(command_details=ssh.CommandDetails(
        command=command, shell_binary="/bin/sh", **more))


# Every way a command comes to its end: (requests, half-close, exit code).
COMMANDS = [
    ([details("exit 7")], True, 7),
    ([details("cat"), ssh.ExecRequest(input=b"x" * 5000)], True, 0),
    ([details("exit 5", use_pty=True, width=80, height=24)], True, 5),
    ([details("kill -9 $$")], False, 137),
    ([details("/no/such/program")], True, 127),
    ([details("exec 0<&- >&- 2>&-; exit 3"),
      ssh.ExecRequest(input=b"y" * 5000)], False, 3),
    ([details("sleep 100")], False, None),          # cancelled
    ([details("true & exit 2")], True, 2),
]
SHELLS = [
    (True, b"exit\n", True), (False, b"exit 3\n", True),
    (True, b"sleep 100\n", False), (False, b"sleep 100\n", False),
]


def execs(daemon, count):
    done = 0
    while done < count:
        crowd = Crowd(daemon)
        wanted, codes = {}, {}
        todo = min(count - done, PER_CONNECTION)
        for i in range(todo):
            requests, end, code = COMMANDS[(done + i) % len(COMMANDS)]
            s = crowd.begin(raw.EXEC, "exec-id", requests, end)
            if code is None:
                crowd.cancel(s)
                continue
            wanted[s] = code
            if len(crowd.running) >= AT_ONCE:
                s, data = crowd.answer()
                codes[s] = data
        while crowd.running:
            s, data = crowd.answer()
            codes[s] = data
        for s, data in codes.items():
            last = list(messages(ssh.ExecResponse, data))[-1]
            assert last.WhichOneof("response") == "exit_code"
            assert last.exit_code == wanted[s]
        done += todo
        crowd.peer.close()


def shells(daemon, count):
    """Half of them still run when their connection goes."""
    done = 0
    while done < count:
        crowd = Crowd(daemon)
        todo = min(count - done, PER_CONNECTION // 5)
        started = ended = left = 0
        for i in range(todo):
            pty, text, ends = SHELLS[(done + i) % len(SHELLS)]
            start = ssh.ShellRequest(start_request=ssh.ShellStartRequest(
                usePty=pty, width=80, height=24, cmdShell="/bin/sh"))
            crowd.begin(raw.SHELL, "session-id",
                        [start, ssh.ShellRequest(data=text)], False)
            started += ends
            left += not ends
            while len(crowd.running) >= AT_ONCE + left and ended < started:
                crowd.answer()
                ended += 1
        while ended < started:
            crowd.answer()
            ended += 1
        done += todo
        crowd.peer.close()


def settled(daemon):
    """No process is left: the daemon is a subreaper, orphans are its own."""
    def children():
        with open("/proc/%d/task/%d/children" % (daemon.pid, daemon.pid)) as f:
            return f.read()
    harness.eventually(lambda: not children(), "no child of the daemon", 60)


def crowd_comes_and_goes(daemon, nexecs, nshells):
    fds = daemon.fds()
    execs(daemon, nexecs)
    shells(daemon, nshells)
    settled(daemon)
    harness.eventually(lambda: daemon.fds() == fds, "descriptors are back")


COUNTS = [
    pytest.param(1000, 100, id="1000-100"),
    pytest.param(10000, 1000, id="10000-1000", marks=pytest.mark.long),
]


@pytest.mark.parametrize("nexecs, nshells", COUNTS)
def test_memory_and_descriptors_are_back(start, nexecs, nshells):
    """Records of ended streams stay a while and the heap has to find its
    shape; from then on one crowd more is not one page more."""
    d = start(config=CONFIG)
    seen = [d.rss_kib()]
    for _ in range(ROUNDS):
        crowd_comes_and_goes(d, nexecs, nshells)
        seen.append(d.rss_kib())
        if seen[-1] - seen[-2] < RSS_SLACK_KIB:
            return
    pytest.fail("resident KiB after each crowd: %r" % seen)


@pytest.mark.parametrize("nexecs, nshells", COUNTS)
def test_no_byte_is_lost_says_the_sanitizer(start, nexecs, nshells):
    """Daemon.stop() looks for LeakSanitizer's report and the exit status."""
    assert os.path.exists(SANITIZED), "run make san"
    d = start(config=CONFIG, binary=SANITIZED)
    crowd_comes_and_goes(d, nexecs, nshells)
    d.stop()


@pytest.mark.parametrize("nexecs, nshells", COUNTS)
def test_no_byte_and_no_descriptor_says_valgrind(start, nexecs, nshells):
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed")
    assert os.path.exists(DEBUG), "run make dbg"
    d = start(config=CONFIG, binary=DEBUG, wrapper=[
        "valgrind", "--track-fds=yes", "--leak-check=full",
        "--show-leak-kinds=all", "--error-exitcode=99",
        "--child-silent-after-fork=yes"])
    crowd_comes_and_goes(d, nexecs, nshells)
    d.stop()
    report = re.findall(r"^==%d== (.*)$" % d.proc.pid, d.log(), re.M)
    text = "\n".join(report)
    assert re.search(r"ERROR SUMMARY: 0 errors", text), text
    assert re.search(r"All heap blocks were freed", text), text
    opened, standard = re.search(
        r"FILE DESCRIPTORS: (\d+) open \((\d+) std\) at exit", text).groups()
    # Valgrind's own log may count as one.
    assert int(opened) - int(standard) <= 0, text


@pytest.mark.parametrize("args", [
    [".", "exit 0"], ["-tt", ".", "tty"], ["-T", "."], ["-G", "host"],
    ["-V"], ["-Z"], ["-l", "x", "-l", "y", "a@[::1]:1", "true"],
    ["unix:/no/such/socket"], ["-oSetEnv=A=b", "-oSendEnv=*", ".", "true"],
    ["--ca", "/dev/null", "localhost", "true"], [".", "yes | head -c 300000"],
    ["--plaintext", "127.0.0.1:1", "true"],
])
def test_kssh_frees_all_it_has(start, args):
    assert os.path.exists(SANITIZED), "run make san"
    d = start(config=None)
    r = subprocess.run([SANITIZED, "kssh", "--run-dir", d.run_dir] + args,
                       stdin=subprocess.DEVNULL, capture_output=True,
                       timeout=harness.DEADLINE)
    assert b"Sanitizer" not in r.stderr, r.stderr.decode()
    assert r.returncode in (0, 255)
