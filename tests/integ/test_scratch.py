"""Images that hold next to nothing: no shell, no /dev, no /proc, no /etc.

A chroot with the binary as its only file, and a machine whose /proc or
/dev/pts is hidden.  The same as a container: test_container.
"""

import os
import shutil

import grpc
import pytest

import harness
from conftest import need_root
from harness import Talk, ssh

Code = grpc.StatusCode


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    need_root()
    if "/san/" in harness.BINARY:
        pytest.skip("the sanitizer build needs its libraries")
    tmp = tmp_path_factory.mktemp("scratch")
    root = tmp / "root"
    os.makedirs(str(root) + str(tmp))
    shutil.copy(harness.BINARY, root / "k8shell")
    d = harness.Daemon(tmp, config=None, binary="/k8shell", wrapper=[
        "unshare", "-m", "chroot", str(root)])
    d.sock = str(root) + d.sock
    yield d
    d.stop()


def test_command_without_anything_else(scratch):
    with scratch.stub() as stub:
        r = stub.exec("/k8shell k8shelld '--version' \"\"''")
        assert r.code == 2              # the empty word arrived
        r = stub.exec("'/k8shell' --version")
    assert r.code == 0 and r.out.startswith(b"k8shell version: ")
    assert r.err == (b"k8shell: no home directory (No such file or "
                     b"directory), running in /\n")


def test_no_shell_is_said(scratch):
    """For a command as for a session, and at once."""
    with scratch.stub() as stub:
        r = stub.exec("echo hello | cat")
        assert r.code == 127 and r.out == b""
        assert r.err == (b"k8shell: exec: echo: No such file or directory "
                         b"(no shell here to run it)\n")
        t = Talk(stub, "Shell", "sh-scratch-1").start(pty=False)
        assert t.finish() == Code.FAILED_PRECONDITION
        assert b"/bin/sh: No such file or directory\r\n" in t.data


def test_no_terminals_are_said(scratch):
    with scratch.stub() as stub:
        with pytest.raises(grpc.RpcError) as e:
            stub.exec("/k8shell --version", use_pty=True)
        t = Talk(stub, "Shell", "sh-scratch-2").start()
        assert t.finish() == Code.FAILED_PRECONDITION
    assert e.value.code() == Code.FAILED_PRECONDITION
    assert "is /dev/pts mounted?" in e.value.details()
    assert b"is /dev/pts mounted?" in t.data


def hiding(path):
    return ["unshare", "-m", "sh", "-c",
            'mount -t tmpfs none %s && exec "$@"' % path, "sh"]


def test_without_proc(start):
    if "/san/" in harness.BINARY:
        pytest.skip("the leak check reads /proc")
    d = start(wrapper=hiding("/proc"))
    with d.stub() as stub:
        assert stub.exec("echo hello; exit 3").code == 3
        t = Talk(stub, "Shell", "sh-noproc").start()
        with pytest.raises(grpc.RpcError) as e:
            stub.GetCWD(ssh.GetCWDRequest(shell_id="sh-noproc"))
        assert e.value.code() == Code.INTERNAL
        assert "is /proc mounted?" in e.value.details()
        t.type("exit\n")
        assert t.finish() == Code.OK


def test_without_devpts(start):
    d = start(wrapper=hiding("/dev/pts"))
    with d.stub() as stub:
        t = Talk(stub, "Shell", "sh-nopts").start()
        assert t.finish() == Code.FAILED_PRECONDITION
        t = Talk(stub, "Shell", "sh-nopts").start(pty=False)
        t.type("echo works; exit\n")
        assert t.finish() == Code.OK and t.data == b"works\n"


def test_read_only_root(tmp_path, start):
    """A run directory that can't be made is one clear line."""
    ro = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o ro none /mnt && '
          'exec "$@"', "sh"]
    d = harness.Daemon(tmp_path, config=None, wrapper=ro, wait=False,
                       args=["--run-dir", "/mnt/k8shell"])
    assert d.proc.wait(10) == 1
    lines = [l for l in d.log().splitlines() if "/mnt/k8shell" in l]
    d.stop(check=False)
    assert len(lines) == 1 and "Read-only file system" in lines[0]
