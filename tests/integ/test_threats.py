"""Threats T1, T6 and T8 of spec/security.md; tokens are in test_auth.py."""

import os
import re

import grpc
import pytest

import harness
import raw
from harness import PB, Talk, ssh

CODE = grpc.StatusCode


def every_method():
    for module in PB.values():
        for service in module.DESCRIPTOR.services_by_name.values():
            for m in service.methods:
                yield "/%s/%s" % (service.full_name, m.name)


def handshake(d, token):
    """Status of a call with this authorization value."""
    extra = [("authorization", token)] if token is not None else []
    with raw.Peer(d) as p:
        return p.unary(extra=extra)


def test_T1_refused_calls_start_nothing(start, tmp_path):
    """strace sees neither clone nor connect."""
    (tmp_path / "jwks.json").write_text('{"keys": []}')
    trace = tmp_path / "trace"
    d = start(config=harness.CONFIG + "    authEnabled: true\n"
              "    audience: k8shelld\n    jwksFile: %s/jwks.json\n" % tmp_path,
              env={"ASAN_OPTIONS": "detect_leaks=0"},
              wrapper=["strace", "-f", "-o", str(trace),
                       "-e", "trace=clone,clone3,fork,vfork,connect,socket"])
    before = len(trace.read_text().splitlines())
    with raw.Peer(d) as p:
        for path in every_method():
            s = p.open(path=path, extra=[("exec-id", "ex-t1-2"),
                                         ("session-id", "sh-t1-2")])
            payload = ssh.ExecRequest(command_details=ssh.CommandDetails(
                command="touch /tmp/owned")).SerializeToString()
            p.send_data(s, raw.message(payload))
            assert p.status(s) == 16, path
    new = trace.read_text().splitlines()[before:]
    assert not [l for l in new if re.search(r"clone|fork|connect|socket", l)]


@pytest.mark.parametrize("name", ["root", "0", "+0", "alice\n", "nobody",
                                  "no-such-user", "00", "-1", "daemon"])
def test_T6_requested_user_differs(stub, name):
    with pytest.raises(grpc.RpcError) as e:
        stub.exec("id", as_user=name)
    assert e.value.code() in (CODE.PERMISSION_DENIED, CODE.NOT_FOUND)
    t = Talk(stub, "Shell", "sh-t6-1").start(as_user=name)
    assert t.finish() in (CODE.PERMISSION_DENIED, CODE.NOT_FOUND)


def test_T6_uid_of_identity_and_passwd_differ(start, tmp_path):
    files = {"k8shell/profile.yaml": harness.profile(),
             "passwd": harness.system_passwd()
             + harness.passwd_line(uid=harness.UID + 1)}
    d = start(wrapper=harness.private_etc(tmp_path, files))
    with d.stub() as stub:
        with pytest.raises(grpc.RpcError) as e:
            stub.exec("id")
        assert e.value.code() == CODE.PERMISSION_DENIED


def test_T8_children_see_none_of_our_environment(stub):
    r = stub.exec("tr '\\0' '\\n' </proc/self/environ")
    t = Talk(stub, "Shell", "sh-t8-1").start(pty=False)
    t.type("tr '\\0' '\\n' </proc/self/environ; exit\n")
    t.finish()
    for text in (r.out, bytes(t.data)):
        assert b"pat-secret" not in text and b"K8SHELL_PAT" not in text
        names = {l.split(b"=")[0] for l in text.split(b"\n") if l}
        assert names <= {b"HOME", b"USER", b"LOGNAME", b"SHELL", b"PATH",
                         b"PWD", b"OLDPWD", b"SHLVL", b"_", b"TERM", b"PS1",
                         b"K8SHELL_SESSION_ID", b"K8SHELL_EXEC_ID"}, names


def test_T8_daemon_is_closed_to_its_user(shared, stub):
    pid = shared.pid
    for what in ("environ", "mem", "maps", "fd/0", "cwd/"):
        r = stub.exec("head -c 1 /proc/%d/%s" % (pid, what))
        assert r.code != 0 and b"ermission denied" in r.err, what
    assert stub.exec("ls /proc/%d/fd" % pid).code != 0


def test_standalone_port_needs_the_token(start):
    d = start(config=None, args=["--port", "0"])
    path = os.path.join(d.run_dir, "token")
    with open(path) as f:
        token = f.read().strip()
    assert os.stat(path).st_mode & 0o777 == 0o600
    d.sock = None
    assert handshake(d, None) == 16
    assert handshake(d, "Bearer " + token[:-1]) == 16
    assert handshake(d, "Bearer " + token) == 0


@pytest.mark.parametrize("text,why", [
    (None, "No such file or directory"),
    ("", "shorter than 16 bytes"),
    ("  fifteen-bytes-x\n\n", "shorter than 16 bytes"),
    ("x" * 9000, "too long for a token"),
    ("folder", "directory"),
])
def test_standalone_token_file_must_hold_a_token(tmp_path, text, why):
    """Nobody could call, and nobody would know why."""
    path = tmp_path / "the-token"
    if text == "folder":
        path.mkdir()
    elif text is not None:
        path.write_text(text)
    d = harness.Daemon(tmp_path, config=None, wait=False,
                       args=["--port", "0", "--token-file", str(path)])
    assert d.proc.wait(10) == 1
    lines = [l for l in d.log().splitlines() if "the-token" in l]
    d.stop(check=False)
    assert len(lines) == 1 and "token file: " in lines[0]
    assert why in lines[0]


def test_standalone_token_file_of_sixteen_bytes_is_fine(start, tmp_path):
    path = tmp_path / "the-token"
    path.write_text("sixteen-bytes-xy\n")
    d = start(config=None, args=["--port", "0", "--token-file", str(path)])
    d.sock = None
    assert handshake(d, "Bearer sixteen-bytes-xy") == 0
    assert handshake(d, "Bearer sixteen-bytes-xz") == 16


def test_standalone_broken_token_of_its_own_is_told(tmp_path):
    """A crash in the middle of writing it, say."""
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    (run / "token").write_text("")
    d = harness.Daemon(tmp_path, config=None, wait=False,
                       args=["--port", "0"])
    assert d.proc.wait(10) == 1
    assert "run/token: shorter than 16 bytes" in d.log()
    d.stop(check=False)


def test_token_file_is_not_ignored_by_a_platform_daemon(tmp_path, home):
    path = tmp_path / "the-token"
    path.write_text("sixteen-bytes-xy\n")
    d = harness.Daemon(tmp_path, wait=False,
                       args=["--token-file", str(path)])
    assert d.proc.wait(10) == 1
    assert "the-token: only with --standalone" in d.log()
    d.stop(check=False)
