"""Numbered weaknesses of spec/grpc.md section 8, one test each.

Those of sessions are in test_weaknesses_sessions.py, those of the workspace
API and kbox (spec/rest-kbox.md 7.1, 7.2 by paragraph) beside its tests, named
test_weakness_7_2_1_*.  ELSEWHERE says where, LATER what comes with its part.
"""

import hashlib
import os
import re
import time

import grpc
import pytest

import harness
import raw
from harness import Talk, ssh

# Held by a test of another name, or in another file.
ELSEWHERE = {
    "S1": "test_threats.py test_T1_",
    "S2": "test_process.py test_T31_plaintext_is_loud",
    "S3": "test_shell.py test_SH_07_",
    "S8": "test_threats.py test_T8_",
    "S10": "test_process.py test_T19_supplementary_",
    "S11": "test_auth.py test_TR_23_keys_are_fetched_",
    "S13": "test_shell.py test_SH_22_terminal_",
    "C4": "test_auth.py test_TR_23_",        # there is no test mode
    "D1": "test_process.py test_T21_no_exit_status_is_lost",
    "D10": "test_shell.py test_SH_09_all_output_",
    "D14": "test_transport.py test_TR_25_",
    "D15": "test_exec.py test_start_failure_codes",
    "L11": "../unit/test_reap.c the_owner_is_told_while_",
    "L20": "test_process.py test_T22_",
}
# Orphans, forwarded ports and sockets, app logs, apps.
LATER = "S4 S5 S6 S7 C1 C2 D8 D9 L2 L3 L9 L10 L14 L22".split()
# Credential helpers, init scripts, apps, what asks the API server.
LATER += "7_1_1 7_1_2 7_1_5 7_2_5 7_2_6 7_2_11 7_2_13".split()
NUMBERED = ["%s%d" % (letter, i + 1) for letter, n in (
    ("S", 13), ("C", 4), ("D", 15), ("L", 22)) for i in range(n)]
NUMBERED += ["7_1_%d" % (i + 1) for i in range(9)]
NUMBERED += ["7_2_%d" % (i + 1) for i in range(16)]


@pytest.fixture(scope="module")
def names():
    """{file: the names of its tests}"""
    here = os.path.dirname(os.path.abspath(__file__))
    found = {}
    for folder in (here, os.path.join(here, "..", "unit")):
        for name in os.listdir(folder):
            if name.startswith("test_") and name.endswith((".py", ".c")):
                with open(os.path.join(folder, name)) as f:
                    key = name if folder == here else "../unit/" + name
                    found[key] = re.findall(r"^(?:def (?=test_))?(\w+)\(",
                                            f.read(), re.M)
    return found


@pytest.mark.parametrize("id", [i for i in NUMBERED if i not in LATER])
def test_each_weakness_has_a_test_of_its_name(names, id):
    file, prefix = ELSEWHERE.get(id, " ").split(" ")
    if file:
        assert [t for t in names[file] if t.startswith(prefix)]
    else:
        assert [t for tests in names.values() for t in tests
                if re.search("(^|_)%s(_|$)" % id, t)]


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_S9_environment_of_requests_is_not_logged(shared, stub):
    """At level debug; logs are for more eyes than a session."""
    r = stub.exec("echo $SECRET", env_vars=["SECRET=s9-hunter2"])
    assert r.out == b"s9-hunter2\n"
    t = Talk(stub, "Shell", "sh-s9").start(
        setEnvVars=["SECRET=s9-hunter2"])
    t.type("test $SECRET = s9-hunt''er2 && echo y''es; exit\n")
    t.finish()
    assert b"yes" in t.data
    assert "s9-hunter2" not in shared.log()


def test_S12_who_called_is_logged(start):
    d = start(config=None, args=["--port", "0"])
    with open(os.path.join(d.run_dir, "token")) as f:
        token = f.read().strip()
    with d.stub(token=token) as stub:
        stub.exec("true", id="ex-s12-1")
        t = Talk(stub, "Shell", "sh-s12-1").start()
        t.type("exit\n")
        t.finish()
    for id in ("ex-s12-1", "sh-s12-1"):
        assert [l for l in d.log().splitlines()
                if id in l and "for token" in l], id
    assert token not in d.log()


def test_D2_tail_of_output_is_not_lost(stub):
    """The program is gone long before its output has been read."""
    want = hashlib.sha256(b"\0" * 60000).digest()
    for i in range(20):
        r = stub.exec("head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2")
        assert hashlib.sha256(r.out).digest() == want
        assert hashlib.sha256(r.err).digest() == want


def test_D3_two_outputs_never_mix_in_one_message(stub):
    r = stub.exec("for i in $(seq 300); do echo out$i; echo err$i >&2; done")
    assert r.out == b"".join(b"out%d\n" % i for i in range(1, 301))
    assert r.err == b"".join(b"err%d\n" % i for i in range(1, 301))


def test_D7_detach_key_is_nothing_special_where_nobody_detaches(stub):
    """Ctrl-A and what follows arrive at once, and as they were sent."""
    t = Talk(stub, "Shell", "sh-d7").start()
    t.type("stty raw -echo; echo re''ady; head -c 8 | od -An -c; exit\n")
    t.expect("ready")
    t.type(b"\x01dab\x01Dc")
    time.sleep(0.2)
    t.type(b"\x01")
    assert t.finish() == grpc.StatusCode.OK
    assert b"001   d   a   b 001   D   c 001" in t.data


def test_D11_half_close_behind_a_command(stub):
    """SH-12 decides: on a terminal it is a hang-up.  Without one, what was
    sent still runs."""
    t = Talk(stub, "Shell", "sh-d11").start(pty=False)
    t.type("sleep 0.3; echo ran\n")
    t.half_close()
    assert t.finish() == grpc.StatusCode.OK
    assert bytes(t.data) == b"ran\n"


def test_D13_signals_and_input_go_on_after_a_signal(stub):
    t = Talk(stub, "Exec", "ex-d13")
    t.send(command_details=ssh.CommandDetails(command=(
        "trap 'echo usr1' USR1; trap 'echo usr2' USR2; echo up; "
        "while :; do read x && echo got $x && test $x = end && exit 4; "
        "done")))
    t.expect("up\n")
    for name, answer in (("USR1", "usr1\n"), ("USR2", "usr2\n"),
                         ("USR1", "usr2\nusr1\n")):
        t.send(signal=name)
        t.expect(answer)
    t.send(input=b"still\n")
    t.expect("got still\n")
    t.send(input=b"end\n")
    assert t.finish() == grpc.StatusCode.OK
    assert t.messages[-1].exit_code == 4


def test_L1_no_busy_loop_after_a_half_close(start):
    d = start()
    with d.stub() as stub:
        t = Talk(stub, "Shell", "sh-l1").start(pty=False)
        t.type("sleep 1.5; echo done\n")
        t.half_close()
        e = Talk(stub, "Exec", "ex-l1")
        e.send(command_details=ssh.CommandDetails(
            command="exec <&-; sleep 1.5; echo done"))
        e.half_close()
        time.sleep(0.3)
        before = cpu_seconds(d.pid)
        t.finish()
        e.finish()
        assert cpu_seconds(d.pid) - before < 0.3
        assert bytes(t.data) == bytes(e.out) == b"done\n"


@pytest.mark.parametrize("pty", [False, True])
def test_L4_client_gone_in_front_of_full_output(shared, pty):
    """Nothing is left: no process, no descriptor."""
    before = shared.fds()
    with raw.Peer(shared) as p:
        p.send_frame(raw.WindowUpdateFrame(0, window_increment=65535))
        s = p.open(path=raw.EXEC, extra=[("exec-id", "ex-l4")])
        p.send_data(s, raw.message(ssh.ExecRequest(
            command_details=ssh.CommandDetails(
                command="exec -a l4-marker yes", use_pty=pty,
                shell_binary="/bin/bash")).SerializeToString()))
        p.until(lambda: len(p.data.get(s, b"")) >= 65535, "a full window")
        p.reset(s)
        assert p.alive()
    harness.eventually(lambda: not harness.processes(uid=harness.UID),
                       "the command is gone")
    harness.eventually(lambda: shared.fds() <= before, "descriptors back")


def test_L5_failed_start_leaves_the_id_free(stub):
    for i in range(3):
        assert stub.exec("/no/such", id="ex-l5").code == 127
        with pytest.raises(grpc.RpcError) as e:
            stub.exec("id", id="ex-l5", as_user="root")
        assert e.value.code() == grpc.StatusCode.PERMISSION_DENIED
        t = Talk(stub, "Shell", "sh-l5").start(as_user="root")
        assert t.finish() == grpc.StatusCode.PERMISSION_DENIED
    assert stub.exec("echo ok", id="ex-l5").out == b"ok\n"
    t = Talk(stub, "Shell", "sh-l5").start()
    t.type("exit\n")
    assert t.finish() == grpc.StatusCode.OK


def test_L15_equal_ids_of_execs_do_not_touch_each_other(stub):
    """Also EX_24; a shell's id is refused while it lives, SH_14."""
    a, b = Talk(stub, "Exec", "ex-l15"), Talk(stub, "Exec", "ex-l15")
    for t, text in ((a, "a"), (b, "b")):
        t.send(command_details=ssh.CommandDetails(
            command="echo %s; read x; echo %s$x" % (text, text)))
        t.expect(text + "\n")
    a.send(input=b"1\n")
    assert a.finish() == grpc.StatusCode.OK and a.out == b"a\na1\n"
    b.send(input=b"2\n")
    assert b.finish() == grpc.StatusCode.OK and b.out == b"b\nb2\n"


def test_L17_size_is_there_before_the_program(stub):
    """The failures of ResizeTerminal: test_RS_02 to RS_04."""
    for i in range(10):
        r = stub.exec("stty size", use_pty=True, width=101, height=31)
        assert r.out == b"31 101\r\n"


def test_L18_directory_without_help_from_the_image(shared, stub):
    """No process is started for it."""
    t = Talk(stub, "Shell", "sh-l18").start()
    t.type("cd /usr; echo m''oved\n")
    t.expect("moved")

    def forks():
        with open("/proc/stat") as f:
            return int(re.search(r"^processes (\d+)", f.read(), re.M)[1])

    counts = []
    for i in range(5):          # other programs of the machine fork, too
        before = forks()
        for i in range(200):
            assert stub.GetCWD(ssh.GetCWDRequest(
                shell_id="sh-l18")).path == "/usr"
        counts.append(forks() - before)
    assert min(counts) < 100
    t.cancel()


def test_L19_no_zombies_with_reaping_of_others_off(start):
    d = start(config=harness.CONFIG + "  reapZombies:\n    enabled: false\n")
    with d.stub() as stub:
        for i in range(5):
            assert stub.exec("exit 3").code == 3
            t = Talk(stub, "Shell", "sh-l19").start()
            t.type("exit\n")
            t.finish()
        t = Talk(stub, "Shell", "sh-l19").start()
        t.cancel()
    harness.eventually(lambda: not harness.zombies_of(d.pid), "no zombies")


def test_L21_one_HOME_and_a_TERM(stub, home):
    r = stub.exec("tr '\\0' '\\n' </proc/self/environ", use_pty=True,
                  env_vars=["HOME=/evil", "PATH=/a:/usr/bin:/bin", "A=1",
                            "A=2"])
    lines = r.out.decode().split("\r\n")
    names = [l.partition("=")[0] for l in lines if l]
    assert len(names) == len(set(names)), names
    assert {"HOME=" + home, "A=2", "PATH=/a:/usr/bin:/bin"} <= set(lines)
    assert any(l.startswith("TERM=") and len(l) > 5 for l in lines)
