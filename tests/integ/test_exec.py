"""SshService.Exec with grpcio: spec/clients.md 5.5 and its weaknesses."""

import hashlib
import os
import signal
import threading
import time

import grpc
import pytest

import harness
import raw
from harness import Talk, ssh


@pytest.fixture(scope="module")
def shared(every_way):
    return every_way


def code_of(call):
    try:
        for _ in call:
            pass
    except grpc.RpcError as e:
        return e.code()
    return grpc.StatusCode.OK


def test_EX_01_exit_0_is_sent_as_two_bytes(stub):
    r = stub.exec("exit 0")
    assert r.messages[-1].SerializeToString() == b"\x18\x00"
    assert r.code == 0


def test_EX_02_exit_status(stub):
    r = stub.exec("exit 3")
    assert r.messages[-1].SerializeToString() == b"\x18\x03"


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGKILL,
                                   signal.SIGSEGV])
def test_EX_03_death_by_signal_is_128_plus_n(stub, signo):
    r = stub.exec("kill -%d $$" % signo)
    assert r.code == 128 + signo


def test_EX_04_one_exit_code_after_all_output(stub):
    for _ in range(30):
        r = stub.exec("seq 2000; seq 2000 >&2; exit 7")
        assert [m.WhichOneof("response") for m in r.messages].count(
            "exit_code") == 1
        assert r.messages[-1].WhichOneof("response") == "exit_code"
        want = b"".join(b"%d\n" % i for i in range(1, 2001))
        assert (r.out, r.err, r.code) == (want, want, 7)


def test_EX_05_older_clients_never_see_pty_or_an_empty_message(stub):
    r = stub.exec("echo hi; echo ho >&2")
    kinds = {m.WhichOneof("response") for m in r.messages}
    assert kinds == {"out", "err", "exit_code"}


def test_EX_06_shell_binary_runs_the_string_as_one_argument(stub):
    r = stub.exec("diff <(echo a) <(echo a) && echo same",
                  shell_binary="/bin/bash")
    assert (r.out, r.code) == (b"same\n", 0)


def test_EX_06_empty_shell_binary_is_the_login_shell(start, tmp_path):
    files = {"passwd": harness.system_passwd() + harness.passwd_line()}
    d = start(wrapper=harness.private_etc(tmp_path, files))
    with d.stub() as stub:
        r = stub.exec("echo $BASH_VERSION; echo $SHELL")
    lines = r.out.decode().split("\n")
    assert lines[0] != "" and lines[1] == "/bin/bash"


@pytest.mark.parametrize("shell", ["", "/bin/sh"])
def test_EX_07_sftp_passes_by_every_rc_file(start, tmp_path, home, shell):
    """The program at the SFTP path is started without a shell around it."""
    marker = b"RC FILE OUTPUT"
    for rc in (".bashrc", ".profile", ".bash_profile", ".env"):
        with open(os.path.join(home, rc), "wb") as f:
            f.write(b"echo " + marker + b"\n")
    program = tmp_path / "sftp"
    program.write_text("#!/bin/sh\necho args=$# parent=$(cat /proc/$PPID/comm)\n")
    program.chmod(0o755)
    mount = ("set -e; test -e /usr/local/bin/sftp || : >/usr/local/bin/sftp; "
             "mount --bind %s /usr/local/bin/sftp; exec \"$@\"" % program)
    existed = os.path.exists("/usr/local/bin/sftp")
    d = start(wrapper=["unshare", "-m", "sh", "-c", mount, "sh"],
              env={"ENV": home + "/.env", "BASH_ENV": home + "/.env"})
    try:
        with d.stub() as stub:
            r = stub.exec("/usr/local/bin/sftp", id="sf-test-1-aa1",
                          shell_binary=shell)
    finally:
        if not existed:
            os.unlink("/usr/local/bin/sftp")
        for rc in (".bashrc", ".profile", ".bash_profile", ".env"):
            os.unlink(os.path.join(home, rc))
    assert marker not in r.out and r.code == 0
    assert r.out.startswith(b"args=0 parent=k8shell")


def test_EX_08_missing_shell_binary_falls_back(stub):
    r = stub.exec("echo ok", shell_binary="/no/such/shell")
    assert (r.out, r.code) == (b"ok\n", 0)


def test_EX_09_end_of_stream_right_after_the_details(stub):
    r = stub.exec("cat; echo done; exit 4")
    assert (r.out, r.code) == (b"done\n", 4)


def test_EX_10_half_close_comes_after_all_input(stub):
    data = os.urandom(3 << 20)
    pieces = [data[i:i + 30000] for i in range(0, len(data), 30000)]
    r = stub.exec("sleep 0.2; sha256sum; echo after", input=pieces)
    digest = hashlib.sha256(data).hexdigest().encode()
    assert r.out == digest + b"  -\nafter\n" and r.code == 0


def test_EX_11_child_that_does_not_read_its_input(stub):
    pieces = [b"x" * 32768] * 200
    r = stub.exec("exec 0<&-; sleep 0.2; exit 5", input=pieces)
    assert r.code == 5
    assert stub.exec("echo alive").out == b"alive\n"


def test_EX_12_binary_both_ways(stub):
    data = os.urandom(16 << 20)
    r = stub.exec("cat", input=[data[i:i + 32768]
                                for i in range(0, len(data), 32768)],
                  timeout=60)
    assert hashlib.sha256(r.out).digest() == hashlib.sha256(data).digest()
    assert r.code == 0


def test_EX_13_stdout_and_stderr_stay_apart(stub):
    r = stub.exec("for i in 1 2 3 4 5; do echo o$i; echo e$i >&2; done")
    assert r.out == b"o1\no2\no3\no4\no5\n"
    assert r.err == b"e1\ne2\ne3\ne4\ne5\n"


@pytest.mark.parametrize("name", ["TERM", "SIGTERM"])
def test_EX_14_signal_reaches_the_group(stub, name):
    t = Talk(stub, "Exec", "ex-sig-1")
    t.send(command_details=ssh.CommandDetails(
        command="trap 'echo got; exit 9' TERM; (trap 'echo child; exit 0' "
                "TERM; echo ready; while :; do sleep 0.1; done) & wait"))
    t.expect(b"ready")
    t.send(signal=name)
    assert t.finish() == grpc.StatusCode.OK
    assert b"got" in t.out and b"child" in t.out
    assert t.messages[-1].exit_code == 9


def test_EX_14_unknown_signals_are_ignored(stub):
    t = Talk(stub, "Exec", "ex-sig-2")
    t.send(command_details=ssh.CommandDetails(command="cat"))
    for name in ("INFO@openssh.com", "FOO", "", "sigterm", "SIG", "9"):
        t.send(signal=name)
    t.send(input=b"still here\n")
    t.expect(b"still here")
    t.half_close()
    assert t.finish() == grpc.StatusCode.OK
    assert t.messages[-1].exit_code == 0


def test_EX_14_more_than_one_signal(stub):
    """D13: input and signals go on after the first signal."""
    t = Talk(stub, "Exec", "ex-sig-3")
    t.send(command_details=ssh.CommandDetails(
        command="trap 'echo u1' USR1; trap 'echo u2; two=1' USR2; echo ready; "
                "until test -n \"$two\"; do sleep 0.05; done; "
                "read l; echo $l"))
    t.expect(b"ready")
    t.send(signal="USR1")
    t.expect(b"u1")
    t.send(signal="USR2")
    t.expect(b"u2")
    t.send(input=b"and input\n")
    t.expect(b"and input")
    assert t.finish() == grpc.StatusCode.OK


def test_EX_15_signal_gets_through_behind_unread_input(stub):
    t = Talk(stub, "Exec", "ex-sig-4")
    t.send(command_details=ssh.CommandDetails(
        command="trap 'exit 11' TERM; echo ready; sleep 60 & wait"))
    t.expect(b"ready")
    for _ in range(30):
        t.send(input=b"y" * 32768)      # 960 KiB, below the queue's limit
    t.send(signal="TERM")
    assert t.finish() == grpc.StatusCode.OK
    assert t.messages[-1].exit_code == 11


def test_EX_16_lost_client_hangs_the_group_up(stub):
    t = Talk(stub, "Exec", "ex-gone-1")
    t.send(command_details=ssh.CommandDetails(
        command="setsid sleep 300 & sleep 0.3; echo $!; echo $$; "
                "trap '' HUP; sleep 301 & wait; wait"))
    t.expect(b"\n")
    t.wait(lambda: t.out.count(b"\n") >= 2, "two pids")
    keeper, shell = (int(x) for x in t.out.split()[:2])
    t.cancel()
    harness.eventually(lambda: not os.path.exists("/proc/%d" % shell),
                       "shell %d gone" % shell)
    alive = [p for p in harness.processes(uid=harness.UID)]
    cmds = {p: open("/proc/%d/cmdline" % p).read() for p in alive}
    kept = [p for p, c in cmds.items() if "300" in c]
    assert kept, "setsid process was killed: %r" % cmds
    assert not [c for c in cmds.values() if "301" in c]
    for p in kept:
        os.kill(p, signal.SIGKILL)


def test_EX_17_background_child_holding_the_pipe_does_not_hang(stub):
    begin = time.monotonic()
    r = stub.exec("sleep 5 & echo started; exit 6")
    assert r.code == 6 and r.out == b"started\n"
    assert time.monotonic() - begin < 4, "waited for the grandchild"
    for p in harness.processes(uid=harness.UID):
        os.kill(p, signal.SIGKILL)


def test_EX_18_terminal_of_the_size_asked_for(stub):
    r = stub.exec("tty; stty size; echo err >&2", use_pty=True, width=100,
                  height=30)
    assert r.messages[0].WhichOneof("response") == "pty"
    lines = r.out.replace(b"\r", b"").split(b"\n")
    assert lines[0].decode() == r.pty
    assert lines[1] == b"30 100" and lines[2] == b"err" and r.err == b""


def test_EX_19_resize(stub):
    t = Talk(stub, "Exec", "ex-size-1")
    t.send(command_details=ssh.CommandDetails(
        command="trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; "
                "done", use_pty=True, width=80, height=24))
    t.expect(b"ready")
    t.send(resize=ssh.TerminalSize(width=132, height=50))
    t.expect(b"50 132")
    t.cancel()


def test_EX_19_resize_without_a_terminal_is_ignored(stub):
    t = Talk(stub, "Exec", "ex-size-2")
    t.send(command_details=ssh.CommandDetails(command="cat"))
    t.send(resize=ssh.TerminalSize(width=132, height=50))
    t.send(input=b"fine\n")
    t.expect(b"fine")
    t.half_close()
    assert t.finish() == grpc.StatusCode.OK


def test_EX_20_half_close_types_nothing_and_kills_nothing(stub):
    t = Talk(stub, "Exec", "ex-half-1")
    t.send(command_details=ssh.CommandDetails(
        command="echo ready; sleep 0.5; if read -t 0.3 x; then echo typed; "
                "fi; echo end; exit 8", use_pty=True, width=80, height=24,
        shell_binary="/bin/bash"))
    t.expect(b"ready")
    t.half_close()
    assert t.finish() == grpc.StatusCode.OK
    assert b"end" in t.out and b"typed" not in t.out
    assert t.messages[-1].exit_code == 8


@pytest.mark.parametrize("id,command", [
    ("ex-root-1", "id"), ("sf-root-1", "/usr/local/bin/sftp")])
def test_EX_21_root_needs_the_sudo_right(stub, id, command):
    with pytest.raises(grpc.RpcError) as e:
        stub.exec(command, id=id, as_user="root")
    assert e.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_EX_21_root_with_the_sudo_right(start, tmp_path):
    files = {"k8shell/profile.yaml": harness.profile(sudo="true")}
    d = start(wrapper=harness.private_etc(tmp_path, files))
    with d.stub() as stub:
        r = stub.exec("id -u; echo $HOME", as_user="root")
    assert r.out == b"0\n/root\n"


def test_EX_22_missing_account_never_runs_as_root(start, tmp_path):
    files = {"k8shell/profile.yaml": harness.profile(sudo="true")}
    d = start(wrapper=harness.private_etc(tmp_path, files))
    with d.stub() as stub:
        for name in ("nobody-here", "0x0", "+0", "alice\n"):
            try:
                r = stub.exec("id -u", as_user=name)
            except grpc.RpcError as e:
                assert e.code() in (grpc.StatusCode.NOT_FOUND,
                                    grpc.StatusCode.PERMISSION_DENIED,
                                    grpc.StatusCode.INVALID_ARGUMENT)
            else:
                assert r.code != 0 and r.err and r.out == b""


def test_EX_23_environment_without_any_from_the_client(stub, home):
    r = stub.exec("echo $HOME; echo $USER; echo $LOGNAME; echo $PATH; "
                  "echo $SHELL; pwd", id="sf-env-1")
    lines = r.out.decode().split("\n")
    assert lines[0] == home and lines[1] == lines[2] == harness.USER
    assert "/usr/bin" in lines[3] and lines[4] == "/bin/sh"
    assert lines[5] == home


def test_EX_24_two_streams_with_one_id(stub):
    a = Talk(stub, "Exec", "ex-same-1")
    b = Talk(stub, "Exec", "ex-same-1")
    for t, word in ((a, b"first"), (b, b"second")):
        t.send(command_details=ssh.CommandDetails(command="cat"))
        t.send(input=word)
        t.expect(word)
    for t in (a, b):
        t.half_close()
        assert t.finish() == grpc.StatusCode.OK
        assert t.messages[-1].exit_code == 0
    assert (a.out, b.out) == (b"first", b"second")


def test_EX_25_end_of_stream_ends_a_server_on_stdin(stub):
    """Stand-in for the SFTP server: ends by itself at end of file."""
    r = stub.exec("/bin/cat", id="sf-eof-1", input=b"last reply")
    assert (r.out, r.code) == (b"last reply", 0)


def test_EX_26_too_long_a_command_is_126_on_stderr(stub):
    r = stub.exec("echo " + "x" * (200 << 10))
    assert r.code == 126 and b"long" in r.err.lower()
    assert stub.exec("echo alive").out == b"alive\n"


def test_EX_27_stalled_client_stops_the_child(shared, stub):
    t = Talk(stub, "Exec", "ex-stall-1", timeout=120)
    t.paused.clear()
    before = shared.rss_kib()
    t.send(command_details=ssh.CommandDetails(command="yes | head -c 300M"))
    time.sleep(1.5)
    assert shared.rss_kib() - before < 4096, "queue grew"
    assert stub.exec("echo other").out == b"other\n"
    t.paused.set()
    assert t.finish(90) == grpc.StatusCode.OK
    assert len(t.out) == 300 << 20 and t.messages[-1].exit_code == 0


def test_EX_28_tiny_writes_come_at_once_floods_in_batches(stub):
    t = Talk(stub, "Exec", "ex-tiny-1")
    t.send(command_details=ssh.CommandDetails(
        command="for i in 1 2 3; do printf $i; read x; done"))
    for i in (b"1", b"12", b"123"):
        t.expect(i)         # each arrives although nothing follows it
        t.send(input=b"\n")
    assert t.finish() == grpc.StatusCode.OK
    # A flood is more than one write at a time, or the reader keeps pace.
    r = stub.exec("dd if=/dev/zero bs=64k count=300 2>/dev/null", timeout=60)
    sizes = [len(m.out) for m in r.messages if m.HasField("out")]
    assert sum(sizes) == 300 << 16
    assert sum(sizes) / len(sizes) >= 16 << 10, "small messages in a flood"


def test_start_failure_codes(stub):
    """D15: 127 for a missing program, also by absolute path."""
    assert stub.exec("/no/such/program").code == 127
    assert stub.exec("no-such-program-here").code == 127
    assert stub.exec("/etc/passwd").code == 126


def test_blank_command_and_wrong_first_message(stub):
    for cmd in ("", "   ", "\n\t"):
        with pytest.raises(grpc.RpcError) as e:
            stub.exec(cmd)
        assert e.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    t = Talk(stub, "Exec", "ex-first-1")
    t.send(input=b"data first")
    assert t.finish() == grpc.StatusCode.INVALID_ARGUMENT
    t = Talk(stub, "Exec", "ex-first-2")
    t.half_close()
    assert t.finish() == grpc.StatusCode.INVALID_ARGUMENT
    t = Talk(stub, "Exec", None)
    t.send(command_details=ssh.CommandDetails(command="true"))
    assert t.finish() == grpc.StatusCode.INVALID_ARGUMENT


def test_many_at_once(stub):
    results = {}

    def one(i):
        results[i] = stub.exec("read x; echo $x; exit %d" % (i % 100),
                               input=b"%d\n" % i, id="ex-many-%d" % i)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(60)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for i in range(60):
        assert (results[i].out, results[i].code) == (b"%d\n" % i, i % 100)


def test_no_home_directory_runs_in_root_and_says_so(start):
    d = start(env={"USERNAME": "homeless"})
    with d.stub() as stub:
        r = stub.exec("pwd")
    assert r.out == b"/\n" and r.code == 0
    assert b"home" in r.err


def test_EX_17_grandchild_that_never_stops_talking(stub):
    """It is listened to for a while, then the exit code counts."""
    begin = time.monotonic()
    r = stub.exec("(while :; do echo noise; sleep 0.05; done) & echo mine; "
                  "exit 7")
    assert r.code == 7 and b"mine\n" in r.out
    assert time.monotonic() - begin < 5


def test_EX_17_EX_27_own_output_outlives_any_grace(shared):
    """The reader is away for longer than a grandchild may talk."""
    with raw.Peer(shared, settings={4: 0}) as p:
        s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-17-slow")])
        p.send_data(s, raw.message(ssh.ExecRequest(
            command_details=ssh.CommandDetails(
                command="(while :; do echo noise >&2; sleep 0.05; done) & "
                        "head -c 120000 /dev/zero; exit 7",
                shell_binary="/bin/sh")).SerializeToString()))
        p.drain(2.5)
        assert not p.over(s)
        p.send_frame(raw.SettingsFrame(0, settings={4: 1 << 20}))
        p.send_frame(raw.WindowUpdateFrame(0, window_increment=1 << 20))
        assert p.status(s) == 0
        got = [ssh.ExecResponse.FromString(m) for m in p.messages(s)]
        assert sum(len(m.out) for m in got) == 120000
        assert [m.exit_code for m in got if m.HasField("exit_code")] == [7]


def test_EX_11_EX_27_program_has_ended_input_and_output_both_wait(shared):
    """A client that writes all its input before it reads must not hang."""
    with raw.Peer(shared, settings={4: 0}) as p:
        s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-11-both")])
        p.send_data(s, raw.message(ssh.ExecRequest(
            command_details=ssh.CommandDetails(
                command="exec 3<&0; sleep 5 <&3 & sleep 1; "
                        "exec head -c 120000 /dev/zero"))
            .SerializeToString()))
        piece = raw.message(ssh.ExecRequest(input=b"\n" * 16000)
                            .SerializeToString())
        sent = 0
        while sent < 4 << 20:
            p.until(lambda: credit_of(p, s) + 65535 - sent >= len(piece),
                    "credit after %d bytes" % sent, timeout=5)
            p.send_data(s, piece)
            sent += len(piece)
        p.send_frame(raw.SettingsFrame(0, settings={4: 1 << 20}))
        p.send_frame(raw.WindowUpdateFrame(0, window_increment=1 << 20))
        assert p.status(s) == 0


def credit_of(p, stream):
    """Bytes of window the server has given back to us."""
    return sum(f.window_increment for f in p.frames
               if isinstance(f, raw.WindowUpdateFrame)
               and f.stream_id == stream)


def test_order_on_the_wire_with_a_window_that_opens_late(shared):
    """pty, output, exit_code: all of it waits, nothing is lost."""
    with raw.Peer(shared, settings={4: 0}) as p:
        e = p.open(path=raw.EXEC, extra=[("exec-id", "ex-late-1")])
        p.send_data(e, raw.message(ssh.ExecRequest(
            command_details=ssh.CommandDetails(
                command="echo out; exit 3", use_pty=True))
            .SerializeToString()))
        h = p.open(path=raw.SHELL, extra=[("session-id", "sh-late-1")])
        p.send_data(h, raw.message(ssh.ShellRequest(
            start_request=ssh.ShellStartRequest()).SerializeToString()))
        p.send_data(h, raw.message(ssh.ShellRequest(
            data=b"echo out; exit\n").SerializeToString()))
        p.drain(0.7)
        assert not p.data and not p.over(e) and not p.over(h)
        for i in range(400):
            for s in (e, h):
                p.send_frame(raw.WindowUpdateFrame(s, window_increment=1))
            if p.over(e) and p.over(h):
                break
            p.drain(0.002)
        assert p.status(e) == 0 and p.status(h) == 0
        kinds = [ssh.ExecResponse.FromString(m).WhichOneof("response")
                 for m in p.messages(e)]
        assert kinds[0] == "pty" and kinds[-1] == "exit_code"
        assert set(kinds[1:-1]) == {"out"}
        kinds = [ssh.ShellResponse.FromString(m).WhichOneof("response")
                 for m in p.messages(h)]
        assert kinds[0] == "start_response" and kinds[-1] == "terminate"
        assert set(kinds[1:-1]) == {"data"}


def test_notice_of_a_missing_home_waits_for_room(start):
    """Other streams of the connection have filled its send buffer."""
    d = start(env={"USERNAME": "homeless"})
    with raw.Peer(d, settings={4: 0}) as p:
        for i in range(12):
            s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-full-%d" % i)])
            p.send_data(s, raw.message(ssh.ExecRequest(
                command_details=ssh.CommandDetails(command="yes"))
                .SerializeToString()))
        p.drain(1)
        calls = []
        for pty in (False, True):
            s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-note")])
            p.send_data(s, raw.message(ssh.ExecRequest(
                command_details=ssh.CommandDetails(
                    command="pwd", use_pty=pty)).SerializeToString()))
            calls.append((s, ssh.ExecResponse))
            s = p.open(path=raw.SHELL, extra=[("session-id", "sh-note-%d"
                                               % pty)])
            p.send_data(s, raw.message(ssh.ShellRequest(
                start_request=ssh.ShellStartRequest(usePty=pty))
                .SerializeToString()) + raw.message(ssh.ShellRequest(
                    data=b"pwd; exit\n").SerializeToString()))
            calls.append((s, ssh.ShellResponse))
        p.drain(0.7)
        for s, cls in calls:
            p.send_frame(raw.WindowUpdateFrame(s, window_increment=60000))
        for s, cls in calls:
            assert p.status(s) == 0
            got = [cls.FromString(m) for m in p.messages(s)]
            text = b"".join(getattr(m, "data", b"") or getattr(m, "err", b"")
                            for m in got)
            assert text.count(b"no home directory") == 1, got
