"""Large amounts both ways: nothing lost, memory bounded, others served.

kssh carries the bytes; Python would be the slow part.  The data is a cipher's
key stream, cheap to make twice and equal nowhere to itself.
"""

import subprocess
import threading
import time

import pytest

import harness
from harness import Talk, ssh

MIB = 1 << 20
OVER_IDLE_KIB = 8 << 10     # what a busy daemon may take more than an idle one
ANSWER = 5.0                # generous bound on one echo on a busy machine

GENERATE = ("head -c %d /dev/zero | openssl enc -aes-128-ctr"
            " -K 000102030405060708090a0b0c0d0e0f"
            " -iv 00000000000000000000000000000000 2>/dev/null")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    d = harness.Daemon(tmp_path_factory.mktemp("bulk"), config=None)
    yield d
    d.stop()


def watch_peak(daemon):
    """From here on VmHWM is the peak of what follows; returns VmRSS."""
    with open("/proc/%d/clear_refs" % daemon.pid, "w") as f:
        f.write("5")
    return daemon.rss_kib()


def check_peak(daemon, idle):
    if "/san/" not in harness.BINARY:
        assert daemon.status("VmHWM") - idle < OVER_IDLE_KIB


class Echo:
    """Someone else's stream, used all the while."""

    def __init__(self, stub, id):
        self.talk = Talk(stub, "Exec", id, timeout=600)
        self.talk.send(command_details=ssh.CommandDetails(command="cat"))
        self.answered, self.error = 0, None
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.stop.wait(0.05):
                text = b"<%d>" % self.answered
                self.talk.send(input=text)
                self.talk.expect(text, ANSWER)
                self.answered += 1
        except AssertionError as e:
            self.error = e

    def check(self, seconds):
        """Alive to the end, and no slower than five a second."""
        self.stop.set()
        self.thread.join(2 * ANSWER)
        assert self.error is None, self.error
        assert self.answered >= min(5 * seconds, 20), self.answered
        self.talk.half_close()
        self.talk.finish()


def pipeline(script, args, deadline=300):
    """A line of bash in which $K is kssh and its target; silent success."""
    line = "set -o pipefail; K() { \"$0\" kssh \"${A[@]}\" \"$@\"; };" \
        " A=(\"$@\"); " + script
    return subprocess.run(["bash", "-c", line, harness.BINARY] + args,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=deadline)


def measure(daemon, script, args):
    idle = watch_peak(daemon)
    with harness.Stub("unix:" + daemon.sock) as stub:
        echo = Echo(stub, "ex-bulk-echo-1")
        begin = time.monotonic()
        r = pipeline(script, args)
        assert (r.returncode, r.stdout, r.stderr) == (0, b"", b"")
        echo.check(time.monotonic() - begin)
    check_peak(daemon, idle)


def there_and_back(n):
    gen = GENERATE % n
    return "%s | K cat | cmp - <(%s)" % (gen, gen)


def terminal_output(n):
    """Raw, or the line discipline would turn each LF into CR LF."""
    gen = GENERATE % n
    return "K 'stty raw -echo; %s' | cmp - <(%s)" % (gen, gen)


def test_EX_12_1_GiB_through_cat_both_ways(daemon):
    measure(daemon, there_and_back(1024 * MIB),
            ["--run-dir", daemon.run_dir, "."])


def test_256_MiB_of_terminal_output(daemon):
    measure(daemon, terminal_output(256 * MIB),
            ["--run-dir", daemon.run_dir, "-tt", "."])


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_EX_12_over_TLS(tmp_path, ec_cert, rsa_cert, kind):
    cert, key = {"ec": ec_cert, "rsa": rsa_cert}[kind]
    d = harness.Daemon(tmp_path, config=None,
                       args=["--port", "0", "--cert", cert, "--key", key])
    try:
        args = ["--run-dir", d.run_dir, "--ca", cert, "--tls-name",
                "localhost", "127.0.0.1:%d" % d.port]
        measure(d, there_and_back(96 * MIB), args)
        measure(d, terminal_output(32 * MIB), ["-tt"] + args)
    finally:
        d.stop()


def test_TR_19_echo_on_the_same_connection(daemon):
    """64 MiB of a shell's output, and of a command's, beside the echo."""
    n = 64 * MIB
    with harness.Stub("unix:" + daemon.sock) as stub:
        idle = watch_peak(daemon)
        echo = Echo(stub, "ex-bulk-echo-2")
        begin = time.monotonic()
        for talk in (Talk(stub, "Shell", "sh-bulk-1").start(pty=False),
                     Talk(stub, "Exec", "ex-bulk-2")):
            if talk.kind == "Shell":
                talk.type("exec head -c %d /dev/zero\n" % n)
            else:
                talk.send(command_details=ssh.CommandDetails(
                    command="exec head -c %d /dev/zero" % n))
            talk.finish(120)
            assert len(talk.data) + len(talk.out) == n
        echo.check(time.monotonic() - begin)
        check_peak(daemon, idle)


def test_SH_20_nobody_reads_and_memory_stays(daemon, tmp_path):
    """Endless output to a client that stopped reading; others go on."""
    idle = watch_peak(daemon)
    p = subprocess.Popen([harness.BINARY, "kssh", "--run-dir", daemon.run_dir,
                          ".", "yes"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE)
    try:
        p.stdout.read(1)
        with harness.Stub("unix:" + daemon.sock) as stub:
            echo = Echo(stub, "ex-bulk-echo-3")
            time.sleep(2)
            echo.check(2)
        check_peak(daemon, idle)
    finally:
        p.terminate()
        p.wait()
        p.stdout.close()


@pytest.mark.long
def test_EX_12_8_GiB_through_cat_both_ways(daemon):
    measure(daemon, there_and_back(8192 * MIB),
            ["--run-dir", daemon.run_dir, "."])
