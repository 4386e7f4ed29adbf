"""The end of the daemon: who is asked, who is waited for, who is killed."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

import harness
import rest
from harness import Talk, ssh
from jobs import Jobs, group_of
from test_jobs_logs import writer_pid
from test_kbox import bad, call, good

GRACE = harness.CONFIG + "  shutdown:\n    grace: %s\n"
PID_1 = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]

# A daemon of the old school that nothing but SIGKILL ends.
STUBBORN = ("trap '' TERM HUP INT; (setsid env -i sh -c "
            "\"trap '' TERM HUP INT; while :; do sleep 1000; done\" "
            ">/dev/null 2>&1 </dev/null &); echo up")


def of_user():
    return harness.processes(uid=harness.UID)


def begin(stub, command, id):
    t = Talk(stub, "Exec", id)
    t.send(command_details=ssh.CommandDetails(command=command))
    t.expect(b"up")
    return t


def ended(d, status=0, deadline=28):
    assert d.proc.wait(deadline) == status, d.log()


@pytest.mark.parametrize("wrapper", [[], PID_1], ids=["subreaper", "pid1"])
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_B7_who_ignores_everything_is_killed_and_nobody_is_left(start, wrapper,
                                                                sig):
    d = start(config=GRACE % "500ms", wrapper=wrapper)
    with d.stub() as stub:
        assert stub.exec(STUBBORN).out == b"up\n"
        t = Talk(stub, "Shell", "sh-b7-1").start()
        t.type("trap '' HUP TERM; sleep 1000 & echo u''p\n")
        t.expect("up")
        before = of_user()
        assert len(before) >= 4
        os.kill(d.pid, sig)
        ended(d)
    assert not set(before) & set(of_user())
    assert re.search(r"stopping: \d+ processes left: SIGTERM, in 500 ms",
                     d.log())
    assert "some had to be killed" in d.log()
    assert " INF stopped " in d.log().splitlines()[-1]


def test_nobody_is_waited_for_where_nobody_is(start):
    """Once it looks, sees that, and ends; not again until the grace is over."""
    d = start()
    d.stop()
    assert d.log().count("processes left") <= 1


def test_shutdown_9_who_is_polite_has_his_say(start):
    """A daemonized server gets SIGTERM and the time to save its data."""
    d = start(config=GRACE % "5s")
    saved = "/tmp/k8shell-saved.%d" % d.pid
    server = ("(setsid sh -c \"trap 'sleep 0.3; echo yes >%s; exit' TERM; "
              "while :; do sleep 0.1; done\" >/dev/null 2>&1 </dev/null &);"
              "echo up" % saved)
    try:
        with d.stub() as stub:
            stub.exec(server)
            os.kill(d.pid, signal.SIGTERM)
            ended(d)
        with open(saved) as f:
            assert f.read() == "yes\n"
    finally:
        if os.path.exists(saved):
            os.unlink(saved)
    assert "had to be killed" not in d.log()
    assert not of_user()


def test_a_running_command_may_finish_and_its_code_arrives(start):
    d = start(config=GRACE % "10s")
    with d.stub() as stub:
        t = begin(stub, "echo up; sleep 1; echo done; exit 7", "ex-fin-1")
        s = Talk(stub, "Shell", "sh-fin-1").start()
        s.type("echo u''p\n")
        s.expect("up")
        os.kill(d.pid, signal.SIGTERM)
        s.finish()                      # hung up at once
        t.finish()
        assert t.out == b"up\ndone\n"
        assert t.messages[-1].exit_code == 7
        ended(d)


def test_T22_a_second_signal_kills_at_once(start):
    d = start(config=GRACE % "16s")
    with d.stub() as stub:
        begin(stub, "trap '' TERM HUP; echo up; while :; do sleep 1; done",
              "ex-2nd-1")
        os.kill(d.pid, signal.SIGTERM)
        harness.eventually(lambda: "1 commands" in d.log(), "progress")
        os.kill(d.pid, signal.SIGTERM)
        ended(d)
    assert "in 0 ms SIGKILL" in d.log()
    assert not of_user()


def test_T22_a_third_signal_shortens_the_second_part(start):
    d = start(config=GRACE % "16s")
    with d.stub() as stub:
        stub.exec(STUBBORN)
        os.kill(d.pid, signal.SIGTERM)
        harness.eventually(lambda: "in 5000 ms SIGKILL" in d.log(), "sweep")
        os.kill(d.pid, signal.SIGINT)
        ended(d)
    assert "again: not waiting" in d.log()
    assert not of_user()


def test_T22_other_signals_do_not_end_process_1(start):
    d = start(wrapper=PID_1)
    for sig in (signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGUSR1,
                signal.SIGUSR2):
        os.kill(d.pid, sig)
    handled = ["Hangup", "User defined signal 1", "User defined signal 2"]

    def counts():
        return [d.log().count(name + " ignored") for name in handled]
    harness.eventually(lambda: counts() == [1, 1, 1], "they came")
    # Also from inside its namespace, as root: a user's kill is EPERM.
    subprocess.run(["nsenter", "-t", str(d.pid), "-p", "-m", "sh", "-ec",
                    "for s in HUP CHLD PIPE USR1 USR2 ALRM QUIT SEGV KILL; "
                    "do kill -$s 1; done"], check=True)
    with d.stub() as stub:
        assert stub.exec("echo here").out == b"here\n"
    assert counts() == [2, 2, 2]
    os.kill(d.pid, signal.SIGTERM)
    ended(d)


@pytest.mark.long
def test_T22_the_longest_grace_ends_two_seconds_before_the_pod(start):
    d = start(config=GRACE % "16s", wrapper=PID_1)
    with d.stub() as stub:
        assert stub.exec(STUBBORN).out == b"up\n"
        begin(stub, "trap '' TERM HUP; echo up; while :; do sleep 1; done",
              "ex-28-1")
        since = time.monotonic()
        os.kill(d.pid, signal.SIGTERM)
        ended(d, deadline=40)
        assert 16 <= time.monotonic() - since <= 28
    assert not of_user()


def test_shutdown_6_nobody_outside_is_touched(start):
    """What lives beside us in the PID namespace is not ours to end."""
    beside = subprocess.Popen(["sleep", "1000"], user=harness.UID,
                              start_new_session=True)
    try:
        d = start(config=GRACE % "0s")
        with d.stub() as stub:
            stub.exec(STUBBORN)
            os.kill(d.pid, signal.SIGTERM)
            ended(d)
        assert of_user() == [beside.pid]
        assert beside.poll() is None
    finally:
        beside.kill()
        beside.wait()


@pytest.fixture
def standalone(tmp_path):
    harness.let_others_in(tmp_path)
    d = harness.Daemon(tmp_path, config=None, user=harness.UID,
                       env={"HOME": "/tmp"})
    yield d
    d.stop()


def kbox(d, *args):
    return call(harness.BINARY, "kbox", "--run-dir", d.run_dir, *args)


def test_kbox_shutdown_ends_a_standalone_daemon_and_all_it_started(standalone):
    d = standalone
    with d.stub() as stub:
        assert stub.exec("(setsid env -i sleep 1000 >/dev/null 2>&1 &);"
                         "echo up").out == b"up\n"
        t = Talk(stub, "Shell", "sh-sd-1").start()
        t.type("sleep 1000 & echo u''p\n")
        t.expect("up")
        assert len(of_user()) >= 4
        assert "stopping" in good(kbox(d, "shutdown"))
        t.finish()
        ended(d)
    assert not of_user()
    assert not os.path.exists(os.path.join(d.run_dir, "k8shelld.sock"))
    bad(kbox(d, "shutdown"), 4, "is k8shelld running?")


def test_shutdown_over_rest(standalone):
    d = standalone
    r = rest.ask(d.rest_sock, "POST", rest.API + "/shutdown?action=delete")
    assert r.status == 400 and "stopped, not deleted" in r.text
    r = rest.ask(d.rest_sock, "POST", rest.API + "/shutdown?action=x")
    assert r.status == 400
    r = rest.ask(d.rest_sock, "POST", rest.API + "/shutdown")
    assert r.status == 202 and r.json == {"status": "stopping"}
    ended(d)


def test_on_the_platform_shutdown_is_the_api_servers_business(start):
    d = start()
    r = rest.ask(d.rest_sock, "POST", rest.API + "/shutdown")
    assert r.status == 503 and "API server" in r.text
    assert d.proc.poll() is None


def start_job(d, **job):
    r = rest.ask(d.rest_sock, "POST", rest.API + "/jobs", body=json.dumps(job))
    assert r.status == 201, r.text
    return r.json


def test_B6_a_killed_daemon_takes_its_jobs_along(start):
    """And the next one removes the control groups they were in."""
    d = start()
    pid = start_job(d, id="stubborn", command=STUBBORN + "; while :; do "
                    "sleep 1; done")["pid"]
    harness.eventually(lambda: len(of_user()) >= 4, "all run")
    group = group_of(pid)
    os.kill(d.pid, signal.SIGKILL)
    harness.eventually(lambda: not of_user(), "the job is gone")
    d = start()
    start_job(d, command="true")
    assert group is None or not os.path.exists(group)


@pytest.mark.parametrize("wrapper", [[], PID_1], ids=["subreaper", "pid1"])
def test_B7_no_control_group_is_left(start, wrapper):
    """Not even of those who die while we look away."""
    d = start(config=GRACE % "0s", wrapper=wrapper)
    pids = [start_job(d, command="trap '' TERM; sleep 1000 & sleep 1000")
            ["pid"] for _ in range(8)]
    if wrapper:
        pids = of_user()
    groups = {group_of(p) for p in pids} - {None}
    os.kill(d.pid, signal.SIGTERM)
    ended(d)
    assert not [g for g in groups if os.path.exists(g)]
    assert not of_user()


def test_B7_jobs_get_sigterm_at_once_and_the_grace(start):
    d = start(config=GRACE % "3s")
    start_job(d, id="polite",
              command="trap 'sleep 0.2; exit 0' TERM; while :; do sleep 0.1; "
                      "done")
    harness.eventually(of_user, "it runs")
    os.kill(d.pid, signal.SIGTERM)
    ended(d)
    assert "had to be killed" not in d.log()
    d = start(config=GRACE % "300ms")
    start_job(d, id="stubborn", command=STUBBORN + "; while :; do sleep 1; "
              "done")
    harness.eventually(lambda: len(of_user()) >= 4, "all run")
    os.kill(d.pid, signal.SIGTERM)
    ended(d)
    assert not of_user()


# 16 KiB, so many times, when it is to end; nothing is started for that.
LAST_WORDS = """
import os, signal, sys
def bye(*_):
    for i in range(int(sys.argv[1])):
        b = (b"%015d\\n" % i) * 1024
        while b:
            b = b[os.write(1, b):]
    os._exit(0)
signal.signal(signal.SIGTERM, bye)
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("up", flush=True)
while True:
    signal.pause()
"""


def say_at_the_end(d, n):
    """A job that says so much; the path of its log file, what it will hold."""
    id = start_job(d, argv=["python3", "-c", LAST_WORDS, str(n)])["id"]
    jobs = Jobs(d.rest_sock)
    jobs.until(id, "up")
    path = harness.eventually(lambda: jobs.get(id)["log_file"], "a file")
    harness.eventually(lambda: holds(path, b"up\n"), "what it said")
    return path, b"up\n" + b"".join((b"%015d\n" % i) * 1024
                                    for i in range(n))


def holds(path, want):
    with open(path, "rb") as f:
        return f.read() == want


@pytest.mark.parametrize("wrapper", [[], PID_1], ids=["subreaper", "pid1"])
def test_B7_what_jobs_say_at_the_end_is_written(start, wrapper):
    d = start(config=GRACE % "10s", wrapper=wrapper)
    path, said = say_at_the_end(d, 5 * 64)
    os.kill(d.pid, signal.SIGTERM)
    ended(d)
    assert holds(path, said)
    assert "had to be killed" not in d.log()


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM,
                                 signal.SIGHUP])
def test_B7_the_writer_outlives_a_signal_to_the_daemons_group(standalone, sig):
    """Ctrl-C, or "kill %1", where it runs in the foreground."""
    d = standalone
    path, said = say_at_the_end(d, 5 * 64)
    assert os.getpgid(d.pid) == d.pid
    os.killpg(d.pid, sig)
    if sig == signal.SIGHUP:
        os.kill(d.pid, signal.SIGTERM)
    ended(d)
    assert holds(path, said)
    os.unlink(path)


def test_B7_a_slow_disk_gets_what_was_said_before_the_end(start):
    """Its writer stands still while the job ends, and then goes on."""
    d = start(config=GRACE % "10s")
    path, said = say_at_the_end(d, 24)      # all of it may wait
    writer = writer_pid()
    os.kill(writer, signal.SIGSTOP)
    os.kill(d.pid, signal.SIGTERM)
    harness.eventually(lambda: re.search("job .*: killed", d.log()), "its end")
    time.sleep(0.3)
    os.kill(writer, signal.SIGCONT)
    ended(d)
    assert holds(path, said)


def test_B7_a_home_that_hangs_does_not_hold_up_the_end(start):
    """For JOBFILE_STALL_MS, that is."""
    d = start(config=GRACE % "10s")
    say_at_the_end(d, 24)
    os.kill(writer_pid(), signal.SIGSTOP)
    t = time.monotonic()
    os.kill(d.pid, signal.SIGTERM)
    ended(d)
    assert time.monotonic() - t < 10
    assert "the home directory does not answer" in d.log()
    assert not of_user()
