"""What sessions leave behind: who is hung up, and who is left alone."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid

import pytest

import harness
from harness import Talk

CONFIG = harness.CONFIG + """\
terminateOrphans:
  checkInterval: 1
  exclude: ["^[^ ]*spare-me", "rsyslogd?$"]
shells:
  allowSessionDetach: true
"""
PID_1 = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def command_line(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read()
    except OSError:
        return b""


class Mark:
    """Processes that carry a word of their own in their command line."""

    def __init__(self):
        self.word = "mark-" + uuid.uuid4().hex[:12]

    def sleeper(self, how="", name="sleeper"):
        """A shell that waits; how: run before it does."""
        return ("sh -c '%s; while :; do sleep 0.2; done' %s %s"
                % (how or ":", name, self.word))

    def pids(self):
        return [p for p in harness.processes(uid=harness.UID)
                if self.word.encode() in command_line(p).split(b"\0")]

    def gone(self):
        harness.eventually(lambda: not self.pids(), "%s is gone" % self.word)

    def end(self):
        for p in self.pids():
            os.kill(p, signal.SIGKILL)


@pytest.fixture
def mark():
    made = []

    def make():
        made.append(Mark())
        return made[-1]
    yield make
    for m in made:
        m.end()


def scans(d, n=2):
    """Waits until the scanner has looked n more times."""
    # Each scan collects what a child of its own found; its log is silent, so
    # a decoy that has to go tells that a scan is over.
    for i in range(n):
        decoy = Mark()
        with d.stub() as stub:
            stub.exec("(setsid %s >/dev/null 2>&1 </dev/null &)"
                      % decoy.sleeper(), id="ex-decoy-%d" % i)
        decoy.gone()


@pytest.fixture
def daemon(start):
    return start(config=CONFIG)


both_ways = pytest.mark.parametrize("wrapper", [[], PID_1],
                                    ids=["subreaper", "pid1"])


def leave(d, command, **kwargs):
    with d.stub() as stub:
        stub.exec("(setsid %s >/dev/null 2>&1 </dev/null &)" % command,
                  **kwargs)


def test_T23_an_orphan_is_hung_up_and_said_so(daemon, mark):
    m = mark()
    leave(daemon, m.sleeper())
    m.gone()
    assert re.search(r"pid \d+ \(sh\): SIGHUP: K8SHELL_EXEC_ID is over: ex-",
                     daemon.log())


def test_T23_an_orphan_of_nobody_is_hung_up_and_said_so(daemon, mark):
    m = mark()
    leave(daemon, "env -u K8SHELL_EXEC_ID " + m.sleeper())
    m.gone()
    assert re.search(r"pid \d+ \(sh\): SIGHUP: it is nobody's", daemon.log())


@both_ways
def test_T23_who_is_kept(start, mark, wrapper):
    daemon = start(config=CONFIG, wrapper=wrapper)
    nohup, excluded, told, last = mark(), mark(), mark(), mark()
    leave(daemon, "nohup " + nohup.sleeper())
    leave(daemon, "bash -c 'exec -a /opt/spare-me bash -c \"while :; "
          "do sleep 0.2; done\" x %s'" % excluded.word)
    leave(daemon, told.sleeper("trap : HUP"))
    leave(daemon, last.sleeper())
    last.gone()
    scans(daemon)
    assert nohup.pids() and excluded.pids()
    # It handled SIGHUP and stays: told once, and never again.
    assert len(told.pids()) == 1
    assert daemon.log().count("pid %s (" % seen_by(daemon, told.pids()[0])) \
        == 1


def seen_by(d, pid):
    """The number a process has for d."""
    with open("/proc/%d/status" % pid) as f:
        numbers = re.search(r"^NSpid:\s+(.*)$", f.read(), re.M)[1].split()
    inside = d.pid != d.proc.pid
    return numbers[-1] if inside else numbers[0]


@pytest.mark.parametrize("line", [
    "/home/u/.cache/JetBrains/RemoteDev/dist/jbr/bin/java",
    "/home/u/.vscode-server/bin/0123/node",
    "/home/u/.cursor-server/cli/servers/Stable/server/node"])
def test_EX_17_servers_of_editors_survive_without_nohup(start, mark, line):
    d = start(config=CONFIG)
    m = mark()
    leave(d, "bash -c 'exec -a %s bash -c \"while :; do sleep 0.2; done\" x "
          "%s'" % (line, m.word))
    scans(d)
    assert m.pids()


@both_ways
def test_L9_children_of_a_live_or_detached_session_are_kept(start, mark,
                                                            wrapper):
    daemon = start(config=CONFIG, wrapper=wrapper)
    same, own = mark(), mark()
    with daemon.stub() as stub:
        t = Talk(stub, "Shell", "sh-live-1",
                 metadata=(("detach_on_close", "true"),)).start()
        # In its session; and out of it, told by its environment alone.
        t.type("set +m; (%s >/dev/null 2>&1 </dev/null &)\n" % same.sleeper())
        t.type("(setsid %s >/dev/null 2>&1 </dev/null &); echo u''p\n"
               % own.sleeper())
        t.expect("up")
        harness.eventually(lambda: same.pids() and own.pids(), "they run")
        scans(daemon)
        assert same.pids() and own.pids()
        t.type("exit\n")
        t.finish()
    same.gone()
    own.gone()
    assert "K8SHELL_SESSION_ID is over: sh-live-1" in daemon.log()


@both_ways
def test_L9_children_of_a_live_exec_are_kept(start, mark, wrapper):
    """Also those that left its session, as a compiler's server does."""
    daemon = start(config=CONFIG, wrapper=wrapper)
    same, own = mark(), mark()
    with daemon.stub() as stub:
        t = Talk(stub, "Exec", "ex-live-1")
        t.send(command_details=harness.ssh.CommandDetails(
            command="(%s >/dev/null 2>&1 </dev/null &); (setsid %s >/dev/null "
            "2>&1 </dev/null &); echo up; read x"
            % (same.sleeper(), own.sleeper())))
        t.expect(b"up")
        harness.eventually(lambda: same.pids() and own.pids(), "they run")
        scans(daemon)
        assert same.pids() and own.pids()
        t.send(input=b"go\n")
        t.finish()
    same.gone()
    own.gone()
    assert "K8SHELL_EXEC_ID is over: ex-live-1" in daemon.log()


# What root has not in most containers.
NO_PTRACE = ["setpriv", "--bounding-set=-sys_ptrace,-sys_admin,-perfmon"]


@pytest.mark.skipif(not shutil.which("ssh-agent") or
                    not shutil.which("setpriv"), reason="not installed")
def test_B9_ssh_agent_lives_as_long_as_its_session(start):
    """It closes itself to everybody, and leaves its session at once."""
    d = start(config=CONFIG, wrapper=NO_PTRACE)
    with d.stub() as stub:
        t = Talk(stub, "Shell", "sh-agent-1").start(pty=False)
        t.type("eval $(ssh-agent)\n")
        t.expect("Agent pid")
        t.wait(lambda: re.search(rb"Agent pid \d+\n", bytes(t.data)), "pid")
        pid = int(re.search(rb"Agent pid (\d+)", bytes(t.data))[1])
        harness.eventually(lambda: parent_of(pid) == d.pid, "an orphan")
        scans(d, 3)
        assert command_line(pid) == b"ssh-agent\0"
        t.type("exit\n")
        t.finish()
    harness.eventually(lambda: not command_line(pid), "the agent is gone")
    assert "pid %d (ssh-agent): SIGHUP" % pid in d.log()


def parent_of(pid):
    with open("/proc/%d/stat" % pid) as f:
        return int(f.read().rsplit(")", 1)[1].split()[1])


def test_T23_another_pid_namespace_is_never_touched(daemon, mark):
    """Process 1 of a container whose parent is gone is a child of ours."""
    harness.need_user_namespaces()
    m = mark()
    leave(daemon, "unshare --user --map-root-user --pid --fork " + m.sleeper())
    harness.eventually(m.pids, "it runs")

    def insiders():
        return [p for p in m.pids() if nested(p)]
    harness.eventually(insiders, "its process 1")
    # Of those two the scanner hangs up the one outside.
    harness.eventually(lambda: len(m.pids()) == 1, "its parent is gone")
    inside = m.pids()
    scans(daemon, 3)
    assert m.pids() == inside == insiders()
    assert parent_of(inside[0]) == daemon.pid
    assert "pid %d (" % inside[0] not in daemon.log()


def nested(pid):
    with open("/proc/%d/status" % pid) as f:
        return len(re.search(r"^NSpid:(.*)$", f.read(), re.M)[1].split()) > \
            len(re.search(r"^NSpid:(.*)$", open("/proc/self/status").read(),
                          re.M)[1].split())


def test_weakness_2_a_scan_forgets_no_session(daemon, mark):
    """A hundred scans' worth of tables later the leader is still known."""
    m = mark()
    with daemon.stub() as stub:
        t = Talk(stub, "Shell", "sh-keep-1").start()
        t.type("env -u K8SHELL_SESSION_ID sh -c '(%s) >/dev/null 2>&1 "
               "</dev/null &'; echo u''p\n" % m.sleeper().replace("'", '"'))
        t.expect("up")
        harness.eventually(m.pids, "it runs")
        scans(daemon, 4)
        assert m.pids()
        t.cancel()
    m.gone()


def test_weakness_4_what_we_start_ourselves_is_never_hung_up(start):
    d = start(config=CONFIG)
    with d.stub() as stub:
        for i in range(5):
            assert stub.exec("sleep 0.5; echo ok", id="ex-w4-%d" % i,
                             use_pty=i % 2 == 1).code == 0
    assert "SIGHUP:" not in d.log()


def test_weakness_6_nobody_outside_our_descendants_is_touched(start, mark):
    """As in a shared PID namespace: an orphan beside us, child of init."""
    m, ours = mark(), mark()
    d = start(config=CONFIG)
    subprocess.run(["sh", "-c", "(setsid %s >/dev/null 2>&1 </dev/null &)"
                    % m.sleeper()], user=harness.UID, check=True)
    leave(d, ours.sleeper())
    ours.gone()
    scans(d)
    assert len(m.pids()) == 1


def test_weakness_7_one_hangup_and_then_escalation_if_asked_for(start, mark):
    config = CONFIG.replace("exclude:", "escalateAfter: 2s\n  exclude:")
    d = start(config=config)
    deaf, nohup = mark(), mark()
    leave(d, deaf.sleeper("trap : HUP"))
    leave(d, "nohup " + nohup.sleeper())
    deaf.gone()
    assert len(re.findall(r"SIGHUP: ", d.log())) == 1
    assert len(re.findall(r"SIGKILL: ", d.log())) == 1
    assert nohup.pids()


def test_T23_a_name_full_of_brackets(daemon, mark):
    m, kept = mark(), mark()
    name = "import ctypes; ctypes.CDLL(None).prctl(15, b\"%s\")"
    python = ("python3 -c '%s; import time\nwhile True: time.sleep(0.2)' %s")
    leave(daemon, python % (name % "x) Z 1 (\\n 1", m.word))
    leave(daemon, "nohup " + python % (name % ") S 0 (", kept.word))
    m.gone()
    scans(daemon)
    assert kept.pids()
    log = daemon.log()
    assert re.search(r"pid \d+ \(x\) Z 1 \(.*1\): SIGHUP", log), log


def test_EX_16_the_group_of_an_orphan_is_told_but_not_its_nohup(start, mark):
    d = start(config=CONFIG)
    top, below, spared = mark(), mark(), mark()
    inner = ("(trap \"\" HUP; exec %s) & %s & wait"
             % (spared.sleeper().replace("'", '"'),
                below.sleeper().replace("'", '"')))
    leave(d, "sh -c 'trap : HUP; %s; while :; do sleep 0.2; done' top %s"
          % (inner.replace("'", "'\\''"), top.word))
    harness.eventually(lambda: top.pids() and below.pids() and spared.pids(),
                       "all run")
    below.gone()
    scans(d, 2)
    assert top.pids() and spared.pids()


@pytest.mark.parametrize("how", ["interval", "disabled"])
def test_interval_0_and_disabled_mean_off(start, mark, how):
    d = start(config=CONFIG.replace("checkInterval: 1", "checkInterval: 0")
              if how == "interval" else
              CONFIG.replace("checkInterval: 1", "enabled: false"))
    m = mark()
    leave(d, m.sleeper())
    harness.eventually(m.pids, "it runs")
    time.sleep(3)
    assert m.pids()


def test_weakness_5_a_bad_pattern_is_a_configuration_error(tmp_path, home):
    d = harness.Daemon(tmp_path, wait=False, config=harness.CONFIG +
                       "terminateOrphans:\n  exclude:\n  - ok\n  - 'a(b'\n")
    assert d.proc.wait(10) == 1
    d.log_fd.close()
    assert re.search(r"config\.yaml:9:5: terminateOrphans\.exclude\[1\]: "
                     r"expected an extended regular expression", d.log())


def test_ignoreOrphans_of_the_blueprint(start, mark, tmp_path):
    files = {"k8shell/profile.yaml": harness.profile(),
             "k8shell/blueprint.yaml":
             "blueprint:\n  k8shelld:\n    ignoreOrphans: [blue-print]\n"}
    d = start(config=CONFIG, wrapper=harness.private_etc(tmp_path, files))
    m = mark()
    leave(d, m.sleeper(name="blue-print"))
    scans(d)
    assert m.pids()


def test_weakness_8_children_from_before_are_collected(start):
    d = start(config=CONFIG, wrapper=["sh", "-c", "sleep 0.01 & sleep 1000 & "
                                      'echo $! >&2; exec "$@"', "sh"])
    harness.eventually(lambda: not harness.zombies_of(d.pid), "no zombie")
    older = int(d.log().split()[0])
    scans(d)
    os.kill(older, signal.SIGKILL)      # ours, but no session's: it was kept


def test_weakness_3_a_number_used_again_protects_nobody(start, mark):
    """Told once, as a process, not as a number."""
    d = start(config=CONFIG, wrapper=PID_1)
    first = mark()
    leave(d, "env -u K8SHELL_EXEC_ID " + first.sleeper("trap : HUP"))
    harness.eventually(lambda: "SIGHUP: it is" in d.log(), "the first is told")
    number = int(re.search(r"pid (\d+) \(sh\): SIGHUP", d.log())[1])
    first.end()
    harness.eventually(lambda: not os.path.exists(
        "/proc/%d/root/proc/%d" % (d.pid, number)), "its number is free")
    # Its parent goes at once: an orphan, whoever started it.
    r = subprocess.run(["nsenter", "-t", str(d.pid), "-p", "-m", sys.executable,
                        "-c", AGAIN, str(number), str(harness.UID)],
                       capture_output=True, text=True)
    if r.returncode != 0:
        pytest.skip("the number can't be had again: " + r.stderr[-100:])
    harness.eventually(lambda: len(re.findall(
        r"pid %d \(\w+\): SIGHUP" % number, d.log())) == 2, "told, too")


AGAIN = """
import os, sys
number, uid = int(sys.argv[1]), int(sys.argv[2])
for i in range(200):
    with open("/proc/sys/kernel/ns_last_pid", "w") as f:
        f.write(str(number - 1))
    pid = os.fork()
    if pid == 0:
        if os.getpid() != number:
            os._exit(0)
        os.setsid()
        os.setuid(uid)
        os.closerange(0, 3)
        os.execv("/bin/sleep", ["sleep", "1000"])
    if pid == number:
        os._exit(0)
    os.waitpid(pid, 0)
sys.exit("taken")
"""
