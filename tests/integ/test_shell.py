"""SshService.Shell, ResizeTerminal and GetCWD with grpcio."""

import os
import signal
import time

import grpc
import pytest

import harness
import raw
from harness import Talk, ssh

# What /etc/profile makes of a login sh that is not root.
PROMPT = "$ "


@pytest.fixture(scope="module")
def shared(every_way):
    return every_way


def shell(stub, id, **kwargs):
    kwargs.setdefault("setEnvVars", ["TERM=xterm"])
    return Talk(stub, "Shell", id).start(**kwargs)


def pid_of(t):
    t.type("echo PID=$$=\n")
    t.wait(lambda: t.data.count(b"PID=") >= 2 or b"PID=" in
           t.data.replace(b"PID=$$", b""), "the pid")
    text = t.data.replace(b"PID=$$=", b"").split(b"PID=")[1]
    return int(text.split(b"=")[0])


def gone(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_SH_01_start_response_then_the_prompt(stub):
    t = shell(stub, "sh-01-1-aa1")
    first = t.messages[0]
    assert first.WhichOneof("response") == "start_response"
    assert first.start_response.pty.startswith("/dev/pts/")
    t.expect(PROMPT)
    t.type("tty\n")
    t.expect("\n" + first.start_response.pty)
    t.type("exit\n")
    assert t.finish() == grpc.StatusCode.OK


def test_SH_02_login_shell_of_the_account(start, tmp_path):
    files = {"passwd": harness.system_passwd() + harness.passwd_line()}
    d = start(wrapper=harness.private_etc(tmp_path, files))
    with d.stub() as stub:
        t = shell(stub, "sh-02-1-aa1", pty=False)
        t.type("echo $0 $BASH_VERSION; shopt login_shell; exit\n")
        assert t.finish() == grpc.StatusCode.OK
    assert t.data.startswith(b"-/bin/bash ")
    assert b"login_shell    \ton" in t.data


@pytest.mark.parametrize("broken", ["/no/such/shell", "/usr/sbin/nologin",
                                    "/bin/false", "/etc/passwd"])
def test_SH_02_unusable_login_shell_falls_back(start, tmp_path, broken):
    files = {"passwd": harness.system_passwd()
             + harness.passwd_line(shell=broken)}
    d = start(wrapper=harness.private_etc(tmp_path, files))
    with d.stub() as stub:
        t = shell(stub, "sh-02-2-aa1", pty=False)
        t.type("echo $0; exit\n")
        assert t.finish() == grpc.StatusCode.OK
    assert t.data == b"-/bin/sh\n"


def test_SH_03_no_terminal(stub):
    t = shell(stub, "sh-03-1-aa1", pty=False)
    assert t.messages[0].SerializeToString() == b"\x0a\x00"
    t.type("echo out; echo err >&2; tty; exit 3\n")
    assert t.finish() == grpc.StatusCode.OK
    assert t.data == b"out\nerr\nnot a tty\n"


def test_SH_04_size_zero_is_80_by_24(stub):
    t = shell(stub, "sh-04-1-aa1", cols=0, rows=0)
    t.type("stty size\n")
    t.expect("24 80")
    t.cancel()


def test_SH_05_last_TERM_wins(stub):
    t = shell(stub, "sh-05-1-aa1", pty=False,
              setEnvVars=["TERM=first", "X=1", "TERM=last"])
    t.type("echo $TERM\n")
    t.expect("last")
    t.cancel()
    assert b"first" not in t.data


def test_SH_06_account_variables_are_the_servers(stub, home):
    t = shell(stub, "sh-06-1-aa1", pty=False,
              setEnvVars=["USER=mallory", "LOGNAME=mallory", "HOME=/tmp",
                          "SHELL=/bin/evil"])
    t.type('echo "$USER,$LOGNAME,$HOME,$SHELL,$K8SHELL_SESSION_ID"; '
           'test -n "$PATH" && echo path; exit\n')
    assert t.finish() == grpc.StatusCode.OK
    assert t.data.decode() == "%s,%s,%s,/bin/sh,sh-06-1-aa1\npath\n" % (
        harness.USER, harness.USER, home)


def test_SH_07_root_needs_the_sudo_right(stub):
    t = Talk(stub, "Shell", "sh-07-1-aa1")
    t.start(as_user="root")
    assert t.finish() == grpc.StatusCode.PERMISSION_DENIED


def test_SH_08_all_bytes_reach_the_terminal(stub):
    t = shell(stub, "sh-08-1-aa1")
    t.expect(PROMPT)
    t.type("stty raw -echo; echo GO; head -c 256 | od -An -v -tu1; echo E''ND\n")
    t.expect("GO\n")
    t.type(bytes(range(256)))
    t.expect("END")
    numbers = t.data.split(b"GO\n")[-1].split(b"END")[0].split()
    assert [int(n) for n in numbers] == list(range(256))
    t.cancel()


def test_SH_09_all_output_then_terminate_then_ok(stub):
    for i in range(20):
        t = shell(stub, "sh-09-%d-aa1" % i, pty=False)
        t.type("exec seq 20000\n")
        assert t.finish() == grpc.StatusCode.OK
        assert t.data == b"".join(b"%d\n" % n for n in range(1, 20001))
        assert t.messages[-1].SerializeToString() == b"\x18\x01"


def test_SH_09_tail_of_terminal_output_is_not_lost(stub):
    for i in range(20):
        t = shell(stub, "sh-09-p%d-aa1" % i)
        t.type("stty -echo -onlcr; exec seq 5000\n")
        assert t.finish() == grpc.StatusCode.OK
        assert t.data.endswith(b"4999\n5000\n")


def commands():
    """Command lines of the workspace user's processes."""
    found = {}
    for p in harness.processes(uid=harness.UID):
        try:
            with open("/proc/%d/cmdline" % p) as f:
                found[p] = f.read()
        except OSError:
            pass
    return found


def test_SH_10_cancel_hangs_up(stub):
    t = shell(stub, "sh-10-1-aa1")
    pid = pid_of(t)
    t.type("nohup sleep 300 >/dev/null 2>&1 & sleep 301 &\n")
    # Until nohup has become sleep, the child is one that heeds SIGHUP.
    harness.eventually(lambda: "sleep\x00300\x00" in commands().values(),
                       "nohup has run")
    t.cancel()
    harness.eventually(lambda: gone(pid), "shell gone")
    left = commands()
    for p in left:
        os.kill(p, signal.SIGKILL)
    assert "sleep\x00300\x00" in left.values(), left


def test_SH_10_lost_connection_hangs_up(shared):
    s = shared.stub(options=[("grpc.use_local_subchannel_pool", 1)])
    t = shell(s, "sh-10-2-aa1")
    pid = pid_of(t)
    s.close()
    harness.eventually(lambda: gone(pid), "shell gone")


def test_SH_10_shell_that_ignores_hangup_is_killed(stub):
    t = shell(stub, "sh-10-3-aa1")
    pid = pid_of(t)
    t.type("trap '' HUP; echo READY\n")
    t.wait(lambda: t.data.count(b"READY") >= 2, "ready")
    t.cancel()
    harness.eventually(lambda: gone(pid), "shell killed")


def test_SH_12_half_close_is_a_hangup_not_a_ctrl_d(stub):
    t = shell(stub, "sh-12-1-aa1")
    pid = pid_of(t)
    t.type("exec sh -c 'trap \"echo HUP >~/hup; exit\" HUP; echo REA\"\"DY; "
           "while :; do sleep 0.1; done'\n")
    t.expect("READY")
    t.half_close()
    harness.eventually(lambda: gone(pid), "shell gone")
    path = os.path.join("/home", harness.USER, "hup")
    harness.eventually(lambda: os.path.exists(path), "trap ran")
    os.unlink(path)


def test_SH_13_input_before_a_reset_is_written(shared, home):
    """Data, END_STREAM and RST_STREAM in one packet."""
    path = os.path.join(home, "script-ran")
    with raw.Peer(shared) as p:
        s = p.open(path=raw.SHELL, extra=[("session-id", "sh-13-1-aa1")])
        p.send_data(s, raw.message(ssh.ShellRequest(
            start_request=ssh.ShellStartRequest()).SerializeToString()))
        p.send_data(s, raw.message(ssh.ShellRequest(
            data=b"trap '' HUP; echo up\n").SerializeToString()))
        p.until(lambda: b"up" in p.data.get(s, b""), "the shell")
        data = raw.DataFrame(s, raw.message(ssh.ShellRequest(
            data=b"touch ~/script-ran\n").SerializeToString()),
            flags=["END_STREAM"])
        p.send_frame(data, raw.RstStreamFrame(s, error_code=raw.CANCEL))
        harness.eventually(lambda: os.path.exists(path), "script ran")
    os.unlink(path)


def test_SH_13_script_on_stdin_runs_to_its_end(stub):
    t = shell(stub, "sh-13-2-aa1", pty=False)
    t.type("sleep 0.3\necho done\n")
    t.half_close()
    assert t.finish() == grpc.StatusCode.OK
    assert t.data == b"done\n"


def test_SH_14_second_stream_with_the_same_id(stub):
    a = shell(stub, "sh-14-1-aa1")
    b = Talk(stub, "Shell", "sh-14-1-aa1").start()
    assert b.finish() == grpc.StatusCode.ALREADY_EXISTS
    a.type("echo un''harmed\n")
    a.expect("unharmed")
    a.cancel()


def test_SH_14_id_is_free_again_after_the_end(stub):
    for _ in range(3):
        t = shell(stub, "sh-14-2-aa1", pty=False)
        t.type("exit\n")
        assert t.finish() == grpc.StatusCode.OK


def test_SH_18_no_status_text_without_init_scripts(stub):
    t = shell(stub, "sh-18-1-aa1", show_init_script_status=True)
    t.expect(PROMPT)
    assert t.data.split(PROMPT.encode())[0].strip() == b""
    t.cancel()


def test_SH_19_data_first_and_start_twice(stub):
    t = Talk(stub, "Shell", "sh-19-1-aa1")
    t.type("hello")
    assert t.finish() == grpc.StatusCode.INVALID_ARGUMENT
    t = Talk(stub, "Shell", "sh-19-2-aa1")
    t.half_close()
    assert t.finish() == grpc.StatusCode.INVALID_ARGUMENT
    t = shell(stub, "sh-19-3-aa1")
    t.send(start_request=ssh.ShellStartRequest(usePty=True))
    t.type("echo al''ive\n")
    t.expect("alive")
    t.cancel()


def test_SH_20_stalled_reader_and_ctrl_c(shared, stub):
    t = shell(stub, "sh-20-1-aa1")
    t.expect(PROMPT)
    t.paused.clear()
    before = shared.rss_kib()
    t.type("yes\n")
    time.sleep(1)
    assert shared.rss_kib() - before < 2048
    other = shell(stub, "sh-20-2-aa1", pty=False)
    other.type("echo liv''ing\n")
    other.expect("living")
    other.cancel()
    t.type(b"\x03")
    t.paused.set()
    t.type("echo interr''upted\n")
    t.expect("interrupted", 60)
    t.cancel()


def test_SH_21_start_failure_is_told_as_data(stub):
    t = Talk(stub, "Shell", "sh-21-1-aa1").start(as_user="nobody-here")
    status = t.finish()
    assert status not in (grpc.StatusCode.OK, grpc.StatusCode.CANCELLED)
    assert "EOF" not in t.error.details()
    assert t.data.startswith(b"k8shell: ") and t.data.endswith(b"\r\n")


def test_SH_22_sane_terminal_modes(stub):
    t = shell(stub, "sh-22-1-aa1")
    t.type("stty -a; echo E''ND\n")
    t.expect("END")
    text = t.data.decode()
    words = text.split()
    for word in ("icanon", "echo", "onlcr", "iutf8", "isig", "ixon"):
        assert word in words, (word, text)
    assert "erase = ^?" in text and "intr = ^C" in text
    t.cancel()


def test_SH_22_terminal_belongs_to_the_user(stub):
    """S13: opening /dev/pts/N by name works."""
    t = shell(stub, "sh-22-2-aa1")
    t.type("echo by''name >$(tty); stat -c %u:%a $(tty)\n")
    t.expect("byname")
    t.expect("%d:620" % harness.UID)
    t.cancel()


def test_SH_23_agent_socket_that_is_not_there_yet(stub):
    t = shell(stub, "sh-23-1-aa1", pty=False, setEnvVars=[
        "SSH_AUTH_SOCK=/var/run/ssh-agent-ux-test-1-aa2.sock"])
    t.type("echo $SSH_AUTH_SOCK\n")
    t.expect("/var/run/ssh-agent-ux-test-1-aa2.sock")
    t.cancel()


@pytest.mark.parametrize("id", [None, "a/b", "..", "sh bad", "x" * 129,
                                "sh-\x7f", ""])
def test_SH_24_bad_session_ids(stub, id):
    try:
        t = Talk(stub, "Shell", id)
    except (TypeError, ValueError, grpc.RpcError):
        pytest.skip("this client can't even send it")
    t.start()
    assert t.finish() == grpc.StatusCode.INVALID_ARGUMENT


def test_SH_24_longest_id_is_fine(stub):
    t = shell(stub, "x" * 128, pty=False)
    t.type("exit\n")
    assert t.finish() == grpc.StatusCode.OK


def test_detaching_is_refused_while_it_cannot_be_honoured(stub):
    for more in ({"detach_on_close": True}, {"lock_id": "lk-1"}):
        t = Talk(stub, "Shell", "sh-det-1-aa1").start(**more)
        assert t.finish() == grpc.StatusCode.PERMISSION_DENIED
    assert not harness.processes(uid=harness.UID)


# ---- ResizeTerminal ----

def resize(stub, id, width, height):
    meta = stub.metadata + ([("session-id", id)] if id is not None else [])
    return stub.ResizeTerminal(
        ssh.ResizeTerminalRequest(width=width, height=height),
        metadata=meta, timeout=5)


def test_RS_01_resize_reaches_the_terminal(stub):
    t = shell(stub, "sh-rs1-1-aa1")
    t.type("trap 'stty size' WINCH; echo READY\n")
    t.wait(lambda: t.data.count(b"READY") >= 2, "ready")
    resize(stub, "sh-rs1-1-aa1", 121, 41)
    t.type("\n")
    t.expect("41 121")
    t.cancel()


@pytest.mark.parametrize("id,code", [
    ("sh-unknown-1", grpc.StatusCode.NOT_FOUND),
    (None, grpc.StatusCode.INVALID_ARGUMENT)])
def test_RS_02_unknown_session(stub, id, code):
    with pytest.raises(grpc.RpcError) as e:
        resize(stub, id, 80, 24)
    assert e.value.code() == code


def test_RS_03_session_without_terminal(stub):
    t = shell(stub, "sh-rs3-1-aa1", pty=False)
    with pytest.raises(grpc.RpcError) as e:
        resize(stub, "sh-rs3-1-aa1", 80, 24)
    assert e.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    t.cancel()


def test_RS_04_extremes(stub):
    t = shell(stub, "sh-rs4-1-aa1")
    for w, h in ((0, 0), (0, 24), (80, 0)):
        with pytest.raises(grpc.RpcError) as e:
            resize(stub, "sh-rs4-1-aa1", w, h)
        assert e.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    resize(stub, "sh-rs4-1-aa1", 65536 + 80, 65536 + 24)
    t.type("stty size\n")
    t.expect("65535 65535")
    t.cancel()


# ---- GetCWD ----

def cwd(stub, id):
    return stub.GetCWD(ssh.GetCWDRequest(shell_id=id), timeout=5,
                       metadata=stub.metadata).path


def test_CW_01_directory_of_the_shell(stub, home):
    t = shell(stub, "sh-cw1-1-aa1", pty=False)
    t.type("echo R''1\n")
    t.expect("R1")
    assert cwd(stub, "sh-cw1-1-aa1") == home
    t.type("cd /usr/lib; echo R''2\n")
    t.expect("R2")
    assert cwd(stub, "sh-cw1-1-aa1") == "/usr/lib"
    t.cancel()


def test_TR_21_CW_01_directory_that_is_not_utf8(stub, home):
    t = shell(stub, "sh-cw1-2-aa1", pty=False)
    t.type(b"mkdir 'x\xff'; cd 'x\xff'; echo R''1\n")
    t.expect("R1")
    assert cwd(stub, "sh-cw1-2-aa1") == home + "/x\ufffd"
    t.type(b"cd; rmdir 'x\xff'; echo R''2\n")
    t.expect("R2")
    t.cancel()


def test_CW_02_unknown_and_dead_sessions(stub):
    for id, code in (("sh-nope-1", grpc.StatusCode.NOT_FOUND),
                     ("", grpc.StatusCode.INVALID_ARGUMENT)):
        with pytest.raises(grpc.RpcError) as e:
            cwd(stub, id)
        assert e.value.code() == code
    t = shell(stub, "sh-cw2-1-aa1", pty=False)
    t.type("exit\n")
    t.finish()
    with pytest.raises(grpc.RpcError) as e:
        cwd(stub, "sh-cw2-1-aa1")
    assert e.value.code() == grpc.StatusCode.NOT_FOUND
