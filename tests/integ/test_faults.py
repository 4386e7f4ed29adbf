"""System calls that fail: the call costs what it must, the daemon lives.

strace makes calls of a running daemon fail (not of its children).  Threat
T28; C library and sanitizer builds name their calls differently, so every
variant is listed.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time

import grpc
import pytest

import harness
import raw
from harness import Talk, ssh

FORKS = "fork,vfork,clone,clone3"
OPENS = "open,openat"
Code = grpc.StatusCode


@pytest.fixture(autouse=True)
def needs_strace():
    if shutil.which("strace") is None:
        pytest.skip("no strace here")


@contextlib.contextmanager
def failing(daemon, calls, error, path=None, when="1+"):
    """Within this, the daemon's system calls fail with error."""
    log = os.path.join(daemon.tmp, "strace.log")
    argv = ["strace", "-qq", "-o", log, "-p", str(daemon.pid), "-e",
            "trace=" + calls, "-e", "inject=%s:error=%s:when=%s"
            % (calls, error, when)]
    argv += ["-P", path] if path else []
    tracer = subprocess.Popen(argv)
    try:
        harness.eventually(lambda: daemon.status("TracerPid"), "strace")
        time.sleep(0.05)
        yield log
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)


def refused(stub, cmd="echo hello", **details):
    """Status and text of an Exec that must not work."""
    with pytest.raises(grpc.RpcError) as e:
        stub.exec(cmd, **details)
    return e.value.code(), e.value.details()


def refused_shell(stub, id, pty=True):
    t = Talk(stub, "Shell", id).start(pty=pty)
    return t.finish(), t.call.details(), bytes(t.data)


NO_PROCESSES = (Code.RESOURCE_EXHAUSTED, "cannot start: no more processes")
NO_DESCRIPTORS = (Code.RESOURCE_EXHAUSTED,
                  "cannot start: the daemon is out of descriptors")
NO_TERMINALS = (Code.FAILED_PRECONDITION,
                "cannot start: no terminals here (is /dev/pts mounted?)")


@pytest.mark.parametrize("calls,error,answer", [
    (FORKS, "EAGAIN", NO_PROCESSES),
    (FORKS, "ENOMEM", (Code.RESOURCE_EXHAUSTED,
                       "cannot start: out of memory")),
    ("pipe2", "EMFILE", NO_DESCRIPTORS),
    ("epoll_ctl", "ENOSPC", (Code.RESOURCE_EXHAUSTED,
                             "cannot start: out of memory")),
], ids=lambda v: v if isinstance(v, str) else "")
def test_T28_start_without_resources(shared, stub, calls, error, answer):
    """Also EX_22, SH_21: the reason as text and as a status."""
    stub.exec("true")
    with failing(shared, calls, error):
        assert refused(stub) == answer
        code, details, data = refused_shell(stub, "sh-fault-1")
        assert (code, details) == answer
        assert data == b"k8shell: %s\r\n" % details.encode()
        assert stub.Handshake(harness.system.HandshakeRequest()).accepted
    assert stub.exec("echo alive").out == b"alive\n"


@pytest.mark.parametrize("error,answer", [
    ("ENOSPC", (Code.RESOURCE_EXHAUSTED,
                "cannot start: all terminals are taken")),
    ("EMFILE", NO_DESCRIPTORS),
    ("ENODEV", NO_TERMINALS),
    ("EIO", NO_TERMINALS),
])
def test_T28_SH_21_no_terminal_left(shared, stub, error, answer):
    stub.exec("true")
    with failing(shared, OPENS, error, path="/dev/ptmx"):
        assert refused_shell(stub, "sh-fault-2")[:2] == answer
        assert refused(stub, use_pty=True) == answer
        assert stub.exec("echo pipes").out == b"pipes\n"
    assert stub.exec("echo alive", use_pty=True).out == b"alive\r\n"


def test_T28_T6_passwd_cannot_be_opened_for_want_of_descriptors(shared, stub):
    """Not the caller's fault, so not PERMISSION_DENIED."""
    stub.exec("true")
    with failing(shared, OPENS, "EMFILE", path="/etc/passwd"):
        assert refused(stub) == (Code.RESOURCE_EXHAUSTED,
                                 "cannot read the passwd file")


@pytest.mark.parametrize("error", ["ENOSPC", "ENOMEM"])
def test_T28_interest_that_cannot_be_set_is_set_later(shared, stub, error):
    """The kernel is short of memory just after the program has started."""
    stub.exec("true")
    for when in range(2, 6):
        with failing(shared, "epoll_ctl", error, when="%d..%d"
                     % (when, when + 3)):
            r = stub.exec("cat; echo end", input=b"x" * 200000)
        assert r.out == b"x" * 200000 + b"end\n", when


def test_T28_EX_04_lost_input_is_no_success(shared, stub):
    """What the daemon had no memory for is missing from the middle."""
    if "/san/" in harness.BINARY:
        pytest.skip("the sanitizer itself dies without memory")
    t = Talk(stub, "Exec", "ex-fault-mem")
    t.send(command_details=ssh.CommandDetails(command="sleep 1; wc -c"))
    time.sleep(0.3)
    with failing(shared, "brk,mmap,mremap", "ENOMEM"):
        for i in range(40):
            t.send(input=b"x" * 30000)
        t.half_close()
        code = t.finish()
    codes = [m.exit_code for m in t.messages if m.HasField("exit_code")]
    if code == Code.OK:
        assert codes == [0] and int(t.out) == 1200000
    else:
        assert codes == []
    assert stub.exec("echo alive").out == b"alive\n"
