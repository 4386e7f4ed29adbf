"""Jobs: starting, their record, their end (S, B, E, X of process-tree.md)."""

import contextlib
import json
import os
import re
import select
import shlex
import signal
import subprocess
import tempfile
import time

import pytest

import harness
import rest
from jobs import (JOBS, Following, HungFolder, Jobs, dead, follow, group_of,
                  output)
from rest import Raw

PID_1 = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


CONFIG = harness.CONFIG + "shells:\n  allowSessionDetach: true\n"


def own_daemon(start, folder):
    """A standalone one of the workspace user, who has folder; its jobs."""
    d = start(config=None, user=harness.UID,
              args=["--run-dir", folder + "/run"],
              env={"HOME": folder, "PATH": os.environ["PATH"]})
    return d, Jobs(folder + "/run/k8shelld.sock")


@pytest.fixture
def alone(start):
    """A daemon of one's own, and its jobs."""
    d = start()
    return d, Jobs(d.rest_sock)


# -- the record ----------------------------------------------------------------

def test_a_job_is_started_looked_at_and_forgotten(jobs):
    a = jobs.ask("POST", "", {"command": "echo hello", "id": "one"})
    assert a.status == 201
    j = a.json
    assert j["id"] == "one" and j["command"] == "echo hello"
    assert j["status"] in ("running", "completed") and j["pid"] > 1
    assert j["session"] == "" and j["detached"] is False
    j = jobs.wait("one")
    assert (j["status"], j["exit_code"], j["reason"]) == ("completed", 0, "")
    assert "signal" not in j and j["lingering"] == 0
    assert j["bytes_out"] == 6 and j["seq"] == 3
    assert jobs.get("one") == j
    assert jobs.ask("DELETE", "/one").status == 204
    assert jobs.ask("GET", "/one").status == 404
    assert jobs.ask("DELETE", "/one").status == 404


def test_ids_are_made_up_where_none_is_given(jobs):
    ids = [jobs.start("true") for _ in range(5)]
    assert len(set(ids)) == 5
    assert all(i.startswith("job-") and len(i) == 9 for i in ids)


def test_runs_as_the_user_with_his_environment(jobs, daemon, home):
    id = jobs.start("id -u; id -g; pwd; echo $HOME $USER; "
                    "echo [$FOO] $K8SHELL_JOB_ID; "
                    "echo [$K8SHELL_PAT_TOKEN]; umask",
                    id="env", env={"FOO": "a = b", "K8SHELL_JOB_ID": "forged"})
    jobs.wait(id)
    assert jobs.raw(id).decode().splitlines() == [
        str(harness.UID), str(harness.GID), home, "%s %s" % (home,
        harness.USER), "[a = b] env", "[]", "0022"]


def test_argv_is_verbatim_and_no_shell_is_there(jobs):
    id = jobs.start(["printf", "[%s]", "$HOME", "", "a b", "*", "tail"])
    assert jobs.wait(id)["argv"][2:] == ["$HOME", "", "a b", "*", "tail"]
    assert jobs.raw(id) == b"[$HOME][][a b][*][tail]"


def test_stdin_is_dev_null_and_nothing_else_is_open(jobs):
    id = jobs.start("readlink /proc/self/fd/0; wc -c; ls /proc/self/fd")
    jobs.wait(id)
    assert jobs.raw(id).split() == [b"/dev/null", b"0", b"0", b"1", b"2",
                                    b"3"]


def test_X1_each_has_directory_and_environment_of_its_own(jobs):
    a = jobs.start("cd /tmp; export A=1; pwd; sleep 0.1", cwd="/usr")
    b = jobs.start("pwd; echo [$A]", cwd="/etc")
    jobs.wait(a)
    jobs.wait(b)
    assert jobs.raw(a) == b"/tmp\n"
    assert jobs.raw(b) == b"/etc\n[]\n"


def test_X3_all_see_the_same_files(jobs, home):
    jobs.wait(jobs.start("echo x > shared", session="one"))
    id = jobs.start("cat shared; rm shared", session="two")
    jobs.wait(id)
    assert jobs.raw(id) == b"x\n"


def test_X4_jobs_run_beside_each_other(jobs):
    ids = [jobs.start("echo %d; sleep 100" % i) for i in range(5)]
    for i, id in enumerate(ids):
        assert jobs.until(id, str(i))["line"] == str(i)


def test_list_is_newest_first_and_can_be_filtered(jobs):
    jobs.start("sleep 100", id="a", session="s1")
    jobs.start("exit 3", id="b", session="s2")
    jobs.wait("b")
    jobs.start("sleep 100", id="c", session="s2")
    ids = lambda q: [j["id"] for j in jobs.list(q)]
    assert ids("") == ["c", "b", "a"]
    assert ids("?status=running") == ["c", "a"]
    assert ids("?status=failed") == ["b"]
    assert ids("?session=s2") == ["c", "b"]
    assert ids("?session=s2&status=running") == ["c"]
    assert ids("?session=nobody") == []
    assert jobs.ask("GET", "?status=odd").status == 400
    assert jobs.ask("GET", "?session=" + "s" * 129).status == 400
    assert jobs.ask("GET", "?session=" + "s" * 128).json == []


def test_a_full_list_of_the_longest_texts_fits(alone):
    """Each of them escaped, which makes it six times as long."""
    d, jobs = alone
    long = "\1" * 4090
    for i in range(64):
        body = {"id": "n%d" % i, "argv": ["true", long], "cwd": "/" + long}
        harness.eventually(lambda: jobs.ask("POST", "", body).status == 500,
                           "a start that fails, not one too many")
    assert len(jobs.list()) == 64
    j = jobs.list()[0]
    assert len(j["command"]) == 512 and j["cut"] is True
    assert "argv" not in j
    assert "cwd" not in j               # cut, it would be another folder
    whole = jobs.get(j["id"])
    assert whole["cwd"] == "/" + long and "cut" not in whole


def test_the_list_has_what_is_just_short_enough(jobs):
    def listed(n):
        jobs.ask("POST", "", {"command": "#" * n, "cwd": "/" + "x" * (n - 1)})
        return jobs.list()[0]

    j = listed(512)
    assert j["command"] == "#" * 512 and j["cwd"] == "/" + "x" * 511
    assert "cut" not in j
    j = listed(513)
    assert j["command"] == "#" * 512 and j["cut"] is True
    assert "cwd" not in j


def test_a_live_id_is_taken_an_ended_one_is_free(jobs):
    jobs.start("sleep 100", id="x")
    a = jobs.ask("POST", "", {"command": "true", "id": "x"})
    assert a.status == 409
    jobs.kill("x")
    assert jobs.start("exit 4", id="x") == "x"
    assert jobs.wait("x")["exit_code"] == 4
    assert [j["id"] for j in jobs.list()] == ["x"]


def test_a_running_one_is_not_removed(jobs):
    id = jobs.start("sleep 100")
    a = jobs.ask("DELETE", "/" + id)
    assert a.status == 409 and "runs" in a.text
    jobs.start("true", id="t")
    jobs.wait("t")
    a = jobs.ask("DELETE", "?terminal=1")
    assert a.json == {"removed": 1}
    assert [j["id"] for j in jobs.list()] == [id]
    assert jobs.ask("DELETE", "").status == 400


@pytest.mark.parametrize("body", [
    "", "x", "[]", "{", "{}", '{"command": ""}', '{"command": " \\n"}',
    '{"command": 5}', '{"argv": []}', '{"argv": [""]}', '{"argv": "x"}',
    '{"argv": [5]}', '{"argv": ["a", ["b"]]}', '{"argv": ["a\\u0000b"]}',
    '{"command": "x", "argv": ["x"]}', '{"command": "x", "cwd": "here"}',
    '{"command": "x", "cwd": "/%s"}' % ("d" * 4095),
    '{"command": "x", "cwd": ""}', '{"command": "x", "env": []}',
    '{"command": "x", "env": {"A": 5}}', '{"command": "x", "env": {"": ""}}',
    '{"command": "x", "env": {"A=B": ""}}',
    '{"command": "x", "timeout_ms": -1}',
    '{"command": "x", "timeout_ms": "5"}',
    '{"command": "x", "timeout_ms": 4294967296}',
    '{"command": "x", "grace_ms": 1.5}',
    '{"command": "x", "grace_ms": 3600001}',
    '{"command": "x", "detached": 1}',
    '{"command": "x", "detached": true, "attached": true}',
    '{"command": "x", "session": "a/b"}', '{"command": "x"} y',
    '{"argv": [%s]}' % ",".join(['"x"'] * 1025)])
def test_a_start_that_is_not_understood_is_refused(jobs, body):
    a = jobs.ask("POST", "", body)
    assert a.status == 400 and a.text.count("\n") == 1
    assert jobs.list() == []


@pytest.mark.parametrize("id", [
    "", ".", "..", "a/b", "../x", "kill-all", "a b", "a\n", "\u00e4", "x" * 65,
    "%2e%2e", "a\u0000"])
def test_ids_are_names_and_never_paths(jobs, id):
    a = jobs.ask("POST", "", {"command": "true", "id": id})
    assert a.status == 400
    assert jobs.list() == []


@pytest.mark.parametrize("id", ["x" * 64, "...", "a.b", "-rf", "_", "0"])
def test_odd_but_good_ids(jobs, id):
    assert jobs.start("echo hi", id=id) == id
    assert jobs.wait(id)["exit_code"] == 0
    assert jobs.raw(id) == b"hi\n"


def test_unknown_members_are_somebody_elses(jobs):
    id = jobs.start("true", future={"a": [1, {}]})
    assert jobs.wait(id)["status"] == "completed"


# -- S: outcome ------------------------------------------------------------------

@pytest.mark.parametrize("code", [0, 1, 2, 124, 126, 127, 130, 134, 137, 139,
                                  143, 255])
def test_S1_status_by_exit_code(jobs, code):
    j = jobs.wait(jobs.start("exit %d" % code))
    want = {0: "completed", 137: "killed", 143: "killed"}.get(code, "failed")
    assert (j["status"], j["exit_code"]) == (want, code)


def test_S2_bad_directory_is_an_error_and_nothing_ran(jobs, home):
    mark = os.path.join(home, "ran")
    a = jobs.ask("POST", "", {"command": "touch " + mark, "id": "x",
                              "cwd": "/nonexistent"})
    assert a.status == 500 and "/nonexistent: No such file" in a.text
    j = jobs.get("x")
    assert j["status"] == "error" and "exit_code" not in j
    assert "/nonexistent" in j["message"] and j["end_time"]
    assert not os.path.exists(mark)
    assert jobs.list("?status=running") == []
    e = jobs.events("x", "?follow=1")
    assert [x["type"] for x in e] == ["exit"] and e[0]["status"] == "error"
    assert jobs.kill("x")["already_exited"] is True
    assert jobs.ask("GET", "/x/wait").json["status"] == "error"
    assert jobs.ask("DELETE", "/x").status == 204


@pytest.mark.parametrize("argv, why", [
    (["/nonexistent"], "No such file"), (["no-such-program"], "No such file"),
    (["/etc"], "ermission"), (["/etc/passwd"], "ermission")])
def test_S2_exec_error(jobs, argv, why):
    a = jobs.ask("POST", "", {"argv": argv, "id": "x"})
    assert a.status == 500 and why in a.text
    assert jobs.get("x")["status"] == "error"


def test_L7_unknown_command_in_a_shell_is_127(jobs):
    j = jobs.wait(jobs.start("no-such-program"))
    assert (j["status"], j["exit_code"]) == ("failed", 127)


@pytest.mark.parametrize("command, code, signo, status", [
    ("kill -SEGV $$", 139, 11, "failed"),
    ("kill -KILL $$", 137, 9, "killed"),
    ("kill -TERM $$", 143, 15, "killed"),
    ("sh -c 'kill -SEGV $$'; exit $?", 139, 11, "failed"),
    ("sh -c 'kill -KILL $$'; exit $?", 137, 9, "killed")])
def test_S3_S4_a_signal_is_128_plus_n_and_a_field(jobs, command, code, signo,
                                                  status):
    j = jobs.wait(jobs.start(command))
    assert (j["exit_code"], j["signal"]) == (code, signo)
    assert (j["status"], j["reason"]) == (status, "signal")


def test_S5_exit_0_on_request_is_killed_with_its_real_code(jobs):
    id = jobs.start("trap 'exit 0' TERM; echo up; while :; do sleep 0.05; "
                    "done")
    jobs.until(id, "up")
    k = jobs.kill(id)
    assert (k["status"], k["exit_code"]) == ("killed", 0)
    j = jobs.get(id)
    assert (j["status"], j["exit_code"], j["reason"]) == ("killed", 0,
                                                          "requested")


def test_S6_killing_what_has_ended_is_success_and_changes_nothing(jobs):
    id = jobs.start("exit 3")
    before = jobs.wait(id)
    for _ in range(2):
        k = jobs.kill(id)
        assert k["already_exited"] is True and k["killed"] is True
        assert (k["status"], k["exit_code"]) == ("failed", 3)
    assert jobs.kill(id, signal="USR1")["already_exited"] is True
    assert jobs.get(id) == before


@pytest.mark.parametrize("method, target", [
    ("GET", ""), ("DELETE", ""), ("POST", "/kill"), ("GET", "/logs"),
    ("GET", "/wait")])
@pytest.mark.parametrize("id", ["nobody", "..%2fa", "kill-all", "%41"])
def test_S7_E1_unknown_ids(jobs, id, method, target):
    a = jobs.ask(method, "/%s%s" % (id, target))
    assert a.status == 404 and "no job" in a.text


def test_S8_every_waiter_gets_one_answer_after_all_output(jobs):
    id = jobs.start("trap 'echo late; exit 7' TERM; echo up; "
                    "while :; do sleep 0.05; done")
    jobs.until(id, "up")
    followers = [follow(jobs, id) for _ in range(4)]
    waiters = [Raw(jobs.path) for _ in range(4)]
    for w in waiters:
        w.send("GET %s/%s/wait HTTP/1.1\r\nHost: x\r\n\r\n" % (JOBS, id))
    jobs.kill(id)
    for w in waiters:
        assert w.answer().json["exit_code"] == 7
        w.sock.close()
    for f in followers:
        e = f.rest_of_it()
        assert [x["type"] for x in e].count("exit") == 1
        assert e[-1]["type"] == "exit" and e[-1]["exit_code"] == 7
        assert output(e, "stdout") == b"up\nlate\n"
        f.sock.close()


def test_S10_whoever_holds_the_pipe_does_not_hold_up_the_end(jobs):
    id = jobs.start("setsid sleep 100 & echo pid $!; exit 5")
    t = time.monotonic()
    assert jobs.wait(id)["exit_code"] == 5
    assert time.monotonic() - t < 10
    e = jobs.events(id, "?follow=1")
    assert e[-1]["type"] == "exit"


def test_S11_times_and_pid_are_consistent(jobs):
    id = jobs.start("sleep 0.2; exit 1")
    first = jobs.get(id)
    assert first["end_time"] == "" and "exit_code" not in first
    j = jobs.wait(id)
    assert j["start_time"] == first["start_time"] < j["end_time"]
    assert j["pid"] == first["pid"]
    time.sleep(0.05)
    jobs.kill(id)
    assert jobs.get(id)["end_time"] == j["end_time"]


def test_S12_what_is_left_is_counted_and_kill_ends_it(jobs):
    id = jobs.start("setsid sleep 100 >/dev/null 2>&1 & echo pid $!; "
                    "sleep 100 >/dev/null 2>&1 & echo pid $!")
    j = jobs.wait(id)
    pids = jobs.pids(id, 2)
    assert j["status"] == "completed" and j["lingering"] == 2
    a = jobs.ask("DELETE", "/" + id)
    assert a.status == 409 and "2 processes" in a.text
    assert jobs.ask("POST", "", {"command": "true", "id": id}).status == 409
    assert jobs.ask("DELETE", "?terminal=1").json == {"removed": 0}
    k = jobs.kill(id)
    assert all(dead(p) for p in pids)
    assert k["already_exited"] is True and k["killed"] is True
    assert (k["status"], k["exit_code"]) == ("completed", 0)
    j = jobs.get(id)
    assert j["lingering"] == 0 and j["reason"] == ""
    harness.eventually(lambda: jobs.ask("DELETE", "/" + id).status == 204,
                       "it can be removed")


CGROUP = """\
mount -t tmpfs none /sys/fs/cgroup && cd /sys/fs/cgroup && mkdir memory &&
echo memory > cgroup.controllers && echo "oom_kill 3" > memory.events &&
echo "oom_kill 3" > memory/memory.oom_control && chmod -R a+rwX . &&
exec "$@"
"""
OOM = "for f in memory.events memory/memory.oom_control; do " \
      "echo 'oom_kill %d' > /sys/fs/cgroup/$f; done; "


def test_S4_out_of_memory_is_a_reason(start):
    """A control group that counts, or says it does."""
    d = start(wrapper=["unshare", "--mount", "sh", "-c", CGROUP, "-"])
    jobs = Jobs(d.rest_sock)
    j = jobs.wait(jobs.start("kill -KILL $$"))
    assert (j["status"], j["reason"]) == ("killed", "signal")
    id = jobs.start(OOM % 4 + "echo up; sleep 100")
    jobs.until(id, "up")
    jobs.kill(id, grace_ms=0)           # that was us
    assert jobs.get(id)["reason"] == "requested"
    j = jobs.wait(jobs.start(OOM % 5 + "kill -KILL $$"))
    assert (j["status"], j["exit_code"], j["reason"]) == ("killed", 137,
                                                          "oom")
    j = jobs.wait(jobs.start("kill -KILL $$"))      # that was before it
    assert j["reason"] == "signal"


def test_S4_somebody_elses_want_of_memory_is_not_the_reason(start):
    """It was a while ago, and the job went on."""
    d = start(wrapper=["unshare", "--mount", "sh", "-c", CGROUP, "-"])
    jobs = Jobs(d.rest_sock)
    id = jobs.start("sleep 100")
    jobs.wait(jobs.start(OOM % 4))
    time.sleep(6)                       # until it is seen, and then some
    os.kill(jobs.get(id)["pid"], signal.SIGKILL)
    j = jobs.wait(id)
    assert (j["exit_code"], j["reason"]) == (137, "signal")


@pytest.fixture
def small_group():
    """A memory control group of 128 MiB, to start a daemon in."""
    with open("/proc/self/cgroup") as f:
        text = f.read()
    m = re.search(r"^\d+:memory:(/.*)", text, re.M)
    top, limit = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
    if not m:
        m = re.search(r"^0::(/.*)", text, re.M)
        top, limit = "/sys/fs/cgroup", "memory.max"
    path = "%s%s/k8shell-oom-%s" % (top, m[1] if m else "",
                                    os.urandom(4).hex())
    try:
        os.mkdir(path)
    except OSError as e:
        pytest.skip("no control group can be made: %s" % e)
    try:
        with open(path + "/" + limit, "w") as f:
            f.write(str(128 << 20))
        yield path
    except OSError as e:
        pytest.skip("no memory limit can be set: %s" % e)
    finally:
        harness.eventually(lambda: os.rmdir(path) is None, "it is gone")


@pytest.mark.skipif(not re.search(r"SwapTotal: +0 kB",
                                  open("/proc/meminfo").read()),
                    reason="there is swap")
def test_S4_the_kernel_runs_out_of_memory_for_a_job(start, small_group):
    d = start(wrapper=["sh", "-c", "echo $$ > %s/cgroup.procs && exec \"$@\""
                       % small_group, "-"])
    jobs = Jobs(d.rest_sock)
    other = jobs.start("sleep 100")
    eats = ["python3", "-c", "b = bytearray(b'x') * (400 << 20)"]
    j = jobs.wait(jobs.start(eats))
    assert (j["status"], j["exit_code"], j["signal"], j["reason"]) == (
        "killed", 137, 9, "oom")
    j = jobs.wait(jobs.start("%s; exit $?" % shlex.join(eats)))
    assert (j["status"], j["exit_code"], j["reason"]) == ("killed", 137,
                                                          "oom")
    assert jobs.get(other)["status"] == "running"
    d.stop()


# -- timeouts ----------------------------------------------------------------------

def test_X8_X11_a_timeout_ends_the_tree(jobs):
    id = jobs.start("sleep 100 & echo pid $!; wait", timeout_ms=300)
    pid = jobs.pids(id, 1)[0]
    j = jobs.wait(id)
    assert (j["status"], j["reason"]) == ("killed", "timeout")
    assert j["exit_code"] == 143
    harness.eventually(lambda: dead(pid), "it was told first")


def test_X8_a_stubborn_one_is_killed_after_the_grace(jobs):
    id = jobs.start("trap '' TERM; while :; do sleep 0.05; done",
                    timeout_ms=200, grace_ms=300)
    j = jobs.wait(id)
    assert (j["exit_code"], j["signal"], j["reason"]) == (137, 9, "timeout")


@pytest.mark.parametrize("wrapper", [[], PID_1], ids=["subreaper", "pid1"])
@pytest.mark.parametrize("to", ["", " >/dev/null 2>&1"],
                         ids=["pipe", "redirected"])
def test_S12_a_timeout_ends_what_an_ended_job_left(start, wrapper, to):
    """process-tree.md 3.6: the lifetime is that of all, not of the first."""
    d = start(wrapper=wrapper)
    jobs = Jobs(d.rest_sock)
    id = jobs.start("(trap '' HUP; exec setsid sleep 9999)%s & "
                    "sleep 9999%s & exit 3" % (to, to), timeout_ms=1500)
    j = jobs.wait(id)
    assert (j["status"], j["exit_code"]) == ("failed", 3)
    harness.eventually(lambda: jobs.get(id)["lingering"] == 0, "they ended")
    harness.eventually(lambda: not running(), "nobody is left")
    harness.eventually(lambda: not harness.zombies_of(d.pid), "no zombies")
    assert jobs.get(id) == dict(j, lingering=0)
    assert "job %s: kill by its timeout" % id in d.log()
    d.stop()


def test_X10_a_timeout_that_is_not_reached_does_nothing(jobs):
    id = jobs.start("exit 3", timeout_ms=60000)
    assert jobs.wait(id)["status"] == "failed"


# -- E, K: kill --------------------------------------------------------------------

def test_E2_pid_and_output_of_a_short_one(jobs):
    a = jobs.ask("POST", "", {"command": "echo quick"})
    assert isinstance(a.json["pid"], int) and a.json["pid"] > 0
    jobs.wait(a.json["id"])
    assert jobs.raw(a.json["id"]) == b"quick\n"


def test_E3_a_kill_takes_the_child_along(jobs):
    id = jobs.start("echo pid $$; sleep 120 & echo pid $!; wait")
    pids = jobs.pids(id, 2)
    k = jobs.kill(id)
    assert all(dead(p) for p in pids)
    assert k["killed"] is True and k["survivors"] == []
    assert k["already_exited"] is False and k["phase"] == "term"
    # Leaves are told first: the shell may be through with its wait by then.
    assert k["status"] == "killed" and k["exit_code"] in (143, 0)
    assert jobs.wait(id)["status"] == "killed"


def test_E4_four_generations(jobs):
    id = jobs.start("echo pid $$; sh -c 'echo pid $$; sh -c \"echo pid \\$\\$;"
                    " sleep 120 & echo pid \\$!; wait\"; :'; :")
    pids = jobs.pids(id, 4)
    assert len(set(pids)) == 4
    jobs.kill(id)
    assert all(dead(p) for p in pids)


def test_E5_kill_all(jobs):
    ids = [jobs.start("sleep 120 & echo pid $!; echo pid $$; wait")
           for _ in range(3)]
    pids = [p for id in ids for p in jobs.pids(id, 2)]
    a = jobs.ask("POST", "/kill-all")
    assert a.status == 200
    assert a.json == {"killed": 3, "unsure": False, "survivors": []}
    assert all(dead(p) for p in pids)
    assert {jobs.get(i)["status"] for i in ids} == {"killed"}
    assert jobs.ask("POST", "/kill-all").json["killed"] == 0


def test_E6_a_busy_one_that_ignores_TERM(jobs):
    id = jobs.start("trap '' TERM; echo pid $$; while :; do :; done")
    pid = jobs.pids(id, 1)[0]
    t = time.monotonic()
    k = jobs.kill(id, grace_ms=1000)
    assert time.monotonic() - t >= 1.0
    assert dead(pid) and k["phase"] == "kill"
    assert (k["status"], k["exit_code"]) == ("killed", 137)


def test_K2_the_grace_is_five_seconds_unless_said_otherwise(jobs):
    id = jobs.start("trap '' TERM; echo pid $$; while :; do sleep 0.1; done")
    pid = jobs.pids(id, 1)[0]
    t = time.monotonic()
    jobs.kill(id)
    assert dead(pid) and time.monotonic() - t >= 5.0
    id = jobs.start("trap '' TERM; echo pid $$; while :; do sleep 0.1; done")
    pid = jobs.pids(id, 1)[0]
    t = time.monotonic()
    k = jobs.kill(id, grace_ms=0)
    assert dead(pid) and k["phase"] == "kill"
    assert time.monotonic() - t < 4.0


def test_K3_a_root_that_goes_at_once_leaves_the_others_their_grace(jobs,
                                                                   home):
    mark = os.path.join(home, "handled")
    id = jobs.start("(trap 'sleep 0.5; echo x > %s; exit' TERM; echo up; "
                    "while :; do sleep 0.05; done) & wait" % mark)
    jobs.until(id, "up")
    k = jobs.kill(id)
    assert k["phase"] == "term" and os.path.exists(mark)
    os.unlink(mark)


def test_K4_a_polite_tree_costs_no_tick(jobs):
    best = 1.0
    for _ in range(5):
        id = jobs.start("for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; "
                        "echo up; wait")
        jobs.until(id, "up")
        t = time.monotonic()
        jobs.kill(id)
        best = min(best, time.monotonic() - t)
    assert best < 0.2       # the grace is 5 s, a slow machine is allowed for


def test_K9_N8_a_stopped_one_sees_SIGTERM(jobs, home):
    mark = os.path.join(home, "stopped")
    id = jobs.start("trap 'echo x > %s; exit' TERM; echo pid $$; "
                    "while :; do sleep 0.05; done" % mark)
    pid = jobs.pids(id, 1)[0]
    os.kill(pid, signal.SIGSTOP)
    k = jobs.kill(id)
    assert k["phase"] == "term" and os.path.exists(mark)
    os.unlink(mark)


@pytest.mark.parametrize("body", [
    '{"signal": 0}', '{"signal": 65}', '{"signal": 1.5}', '{"signal": -9}',
    '{"signal": "NOPE"}', '{"signal": ""}', '{"signal": null}',
    '{"signal": 1e1}', '{"scope": "world"}', '{"scope": 1}',
    '{"grace_ms": -1}', '{"grace_ms": 3600001}', '{"wait": 1}', "x", "[]"])
def test_K11_a_kill_that_is_not_understood_sends_nothing(jobs, body):
    id = jobs.start("trap 'echo got' TERM HUP; echo up; "
                    "while :; do sleep 0.05; done")
    jobs.until(id, "up")
    a = jobs.ask("POST", "/%s/kill" % id, body)
    assert a.status == 400 and a.text.count("\n") == 1
    assert jobs.get(id)["status"] == "running"
    assert b"got" not in jobs.raw(id)


def test_K13_E8_a_kill_waits_for_nobody(jobs):
    slow = jobs.start("trap '' TERM; echo up; while :; do sleep 0.1; done")
    quick = jobs.start("echo pid $$; sleep 100")
    jobs.until(slow, "up")
    pid = jobs.pids(quick, 1)[0]
    with Raw(jobs.path) as c:
        c.send("POST %s/%s/kill HTTP/1.1\r\nHost: x\r\n\r\n" % (JOBS, slow))
        t = time.monotonic()
        jobs.kill(quick)
        assert dead(pid)
        jobs.wait(jobs.start("echo foreground"))
        assert time.monotonic() - t < 4
        assert jobs.get(slow)["status"] == "running"
        assert c.answer().json["phase"] == "kill"


def test_K14_two_kills_are_one(jobs, daemon):
    id = jobs.start("n=0; trap 'n=$((n+1)); echo term $n' TERM; echo up; "
                    "while :; do sleep 0.05; done")
    jobs.until(id, "up")
    with Raw(jobs.path) as a, Raw(jobs.path) as b:
        for c in (a, b):
            c.send("POST %s/%s/kill HTTP/1.1\r\nHost: x\r\nContent-Length: "
                   "18\r\n\r\n{\"grace_ms\": 1000}" % (JOBS, id))
        one, two = a.answer().json, b.answer().json
    assert one == two and one["phase"] == "kill"
    assert jobs.raw(id).count(b"term") == 1
    assert daemon.log().count("job %s: tree ended" % id) == 1


def test_K14_a_shorter_grace_hastens(jobs):
    id = jobs.start("trap '' TERM; echo up; while :; do sleep 0.05; done")
    jobs.until(id, "up")
    with Raw(jobs.path) as c:
        c.send("POST %s/%s/kill HTTP/1.1\r\nHost: x\r\nContent-Length: 19"
               "\r\n\r\n{\"grace_ms\": 60000}" % (JOBS, id))
        time.sleep(0.2)
        jobs.kill(id, grace_ms=100)
        assert c.answer().json["exit_code"] == 137


@pytest.mark.parametrize("scope, who", [
    ("root", ["root"]), ("group", ["root", "child"]),
    ("tree", ["root", "child", "apart"]), (None, ["root", "child", "apart"])])
def test_K15_other_signals_are_delivered_once(jobs, scope, who):
    body = ("trap \"echo $0 got\" USR1; echo $0 up; "
            "while :; do sleep 0.05; done")
    id = jobs.start(["sh", "-c",
                     "sh -c '%s' child & setsid sh -c '%s' apart & %s"
                     % (body, body, body), "root"])
    for name in ("root", "child", "apart"):
        jobs.until(id, name + " up")
    wish = {"signal": "USR1"}
    if scope:
        wish["scope"] = scope
    t = time.monotonic()
    k = jobs.kill(id, **wish)
    assert time.monotonic() - t < 4 and k["phase"] == "none"
    assert k["killed"] is False and k["already_exited"] is False
    for name in who:
        jobs.until(id, name + " got")
    time.sleep(0.3)
    assert jobs.raw(id).count(b"got") == len(who)
    assert jobs.get(id)["status"] == "running"


@pytest.mark.parametrize("name", ["KILL", "SIGKILL", 9])
def test_SIGKILL_is_at_once(jobs, name):
    id = jobs.start("trap 'exit 0' TERM; echo up; sleep 100 & wait")
    jobs.until(id, "up")
    k = jobs.kill(id, signal=name)
    assert (k["phase"], k["exit_code"]) == ("kill", 137)


def test_a_kill_need_not_be_waited_for(jobs):
    id = jobs.start("trap '' TERM; echo up; while :; do sleep 0.05; done")
    jobs.until(id, "up")
    k = jobs.kill(id, wait=False, grace_ms=300)
    assert k["phase"] == "none" and k["status"] == "running"
    assert k["killed"] is False and k["already_exited"] is False
    assert jobs.wait(id)["status"] == "killed"
    k = jobs.kill(id, wait=False)
    assert k["killed"] is True and k["already_exited"] is True
    id = jobs.start("sleep 100 >/dev/null 2>&1 &")
    jobs.wait(id)                       # over, but not gone
    k = jobs.kill(id, wait=False, grace_ms=60000, signal="CONT")
    assert k["killed"] is False and k["already_exited"] is True


def test_a_kill_goes_on_when_its_caller_leaves(jobs):
    id = jobs.start("trap '' TERM; echo up; while :; do sleep 0.05; done")
    jobs.until(id, "up")
    with Raw(jobs.path) as c:
        c.send("POST %s/%s/kill HTTP/1.1\r\nHost: x\r\nContent-Length: 17"
               "\r\n\r\n{\"grace_ms\": 300}" % (JOBS, id))
    assert jobs.wait(id)["exit_code"] == 137


def test_E10_list_kill_list(jobs):
    ids = [jobs.start("sleep 30") for _ in range(2)]
    assert {j["id"] for j in jobs.list("?status=running")} == set(ids)
    jobs.kill(ids[0])
    assert [j["id"] for j in jobs.list("?status=running")] == [ids[1]]
    jobs.ask("POST", "/kill-all")
    assert jobs.list("?status=running") == []


@pytest.mark.skipif(not os.access("/sys/fs/cgroup", os.W_OK),
                    reason="control groups can't be written here")
def test_K6_a_control_group_goes_with_its_job(alone):
    d, jobs = alone
    m = re.search(r"jobs get control groups in (\S+)", d.log())
    if m is None:
        pytest.skip("no writable v2 hierarchy here")
    id = jobs.start("echo pid $$; setsid sleep 100 & echo pid $!; "
                    "cat /proc/self/cgroup; echo up; sleep 100")
    pids = jobs.pids(id, 2)
    jobs.until(id, "up")
    name = re.search(rb"^0::.*/(k8shell-\S+)$", jobs.raw(id), re.M)[1]
    group = os.path.join(m[1], name.decode())
    with open(os.path.join(group, "cgroup.procs")) as f:
        assert set(map(int, f.read().split())) >= set(pids)
    k = jobs.kill(id, grace_ms=0)
    assert all(dead(p) for p in pids) and k["exit_code"] == 137
    harness.eventually(lambda: not os.path.exists(group), "it is gone")


CGROUP2 = ["unshare", "--mount", "sh", "-c", "mount -t cgroup2 none "
           "/sys/fs/cgroup && exec \"$@\"", "sh"]


def test_K6_who_hides_in_the_control_group_dies_with_it(start):
    """Without shim, session and mark: standalone, where one may."""
    if subprocess.run(CGROUP2 + ["test", "-e", "/sys/fs/cgroup/cgroup.procs"],
                      capture_output=True).returncode != 0:
        pytest.skip("no v2 hierarchy can be mounted here")
    d = start(wrapper=CGROUP2)
    jobs = Jobs(d.rest_sock)
    if "jobs get control groups in" not in d.log():
        pytest.skip("no cgroup.kill here")
    id = jobs.start("(env -i setsid prlimit --locks=1:1 sh -c 'echo pid $$; "
                    "exec sleep 100' &) ; echo pid $$; sleep 100")
    pids = jobs.pids(id, 2)
    shim = ppid(jobs.get(id)["pid"])
    os.kill(shim, signal.SIGKILL)
    harness.eventually(lambda: dead(shim), "the shim is dead")
    k = jobs.kill(id)
    assert all(dead(p) for p in pids)
    assert k["killed"] is True and k["phase"] == "kill"


# -- N -----------------------------------------------------------------------------

def test_N3_T9_a_root_that_is_gone_hides_nobody(jobs):
    id = jobs.start("for i in 1 2 3; do sleep 100 & echo pid $!; done")
    pids = jobs.pids(id, 3)
    jobs.wait(id)
    time.sleep(0.1)
    k = jobs.kill(id)
    assert all(dead(p) for p in pids) and k["killed"] is True


def test_N4_T11_a_daemon_with_a_cleared_environment(jobs):
    id = jobs.start("(env -i setsid sh -c 'echo pid $$; exec sleep 100' &) ; "
                    "sleep 100")
    pid = jobs.pids(id, 1)[0]
    jobs.kill(id)
    assert dead(pid)


def test_N9_B1_twenty_stubborn_ones_take_one_grace(jobs):
    ids = [jobs.start("trap '' TERM; echo pid $$; "
                      "while :; do sleep 0.2; done") for _ in range(21)]
    pids = [jobs.pids(id, 1)[0] for id in ids]
    t = time.monotonic()
    jobs.kill(ids.pop(), grace_ms=1500)
    one = time.monotonic() - t
    t = time.monotonic()
    a = jobs.ask("POST", "/kill-all", {"grace_ms": 1500})
    took = time.monotonic() - t
    assert a.json["killed"] == 20
    assert all(dead(p) for p in pids)
    assert 1.5 <= took < 2 * one


@contextlib.contextmanager
def hung_folder(**kind):
    folder = HungFolder(tempfile.mkdtemp(prefix="k8shell-hung-"), **kind)
    if not folder.there:
        os.rmdir(folder.path)
        pytest.skip("no FUSE here")
    yield folder
    folder.let_go()


@pytest.fixture
def hung():
    with hung_folder() as folder:
        yield folder


def test_N11_K10_S8_S9_somebody_hangs_in_the_kernel(jobs, hung):
    id = jobs.start(["cat", hung.path + "/file"])
    pid = jobs.get(id)["pid"]
    harness.eventually(lambda: hung.asked, "it hangs")
    with Raw(jobs.path) as c, follow(jobs, id) as f:
        c.send("POST %s/%s/kill HTTP/1.1\r\nHost: x\r\nContent-Length: 17"
               "\r\n\r\n{\"grace_ms\": 200}" % (JOBS, id))
        other = jobs.start("sleep 100")     # nobody else is held up
        t = time.monotonic()
        jobs.kill(other)
        assert time.monotonic() - t < 4
        k = c.answer().json
        assert k["killed"] is False and k["phase"] == "kill"
        assert k["survivors"] == [{
            "pid": pid, "state": "D", "name": "cat",
            "why": "state D: it hangs in the kernel"}]
        assert (k["status"], k["exit_code"]) == ("killed", 137)
        e = f.rest_of_it()[-1]
        assert (e["type"], e["exit_code"]) == ("exit", 137)
    before = jobs.get(id)
    assert before["lingering"] == 1 and before["signal"] == 9
    assert jobs.ask("DELETE", "/" + id).status == 409
    hung.let_go()
    harness.eventually(lambda: jobs.get(id)["lingering"] == 0, "it died")
    after = jobs.get(id)                    # the first status stays (S9)
    assert after == dict(before, lingering=0)
    harness.eventually(lambda: jobs.ask("DELETE", "/" + id).status == 204,
                       "it can be removed")


def test_S2_a_directory_that_hangs(jobs, hung):
    t = time.monotonic()
    a = jobs.ask("POST", "", {"command": "true", "id": "x",
                              "cwd": hung.path + "/sub"})
    assert a.status == 500 and "start" in a.text
    assert time.monotonic() - t < 15
    assert jobs.get("x")["status"] == "error"
    hung.let_go()


def test_N13_orphans_of_a_job_are_collected(jobs, daemon):
    id = jobs.start("i=0; while [ $i -lt 2500 ]; do (true &); i=$((i+1)); "
                    "done; echo all; sleep 100")
    jobs.until(id, "all")
    pid = jobs.get(id)["pid"]
    shim = ppid(pid)
    harness.eventually(lambda: not harness.zombies_of(shim)
                       and not harness.zombies_of(daemon.pid), "no zombies")
    jobs.kill(id)


def running():
    """Of the user, but for the writer of log files."""
    found = []
    for pid in harness.processes(uid=harness.UID):
        with contextlib.suppress(FileNotFoundError):
            with open("/proc/%d/comm" % pid) as f:
                if f.read() != "k8shell-joblog\n":
                    found.append(pid)
    return found


def ppid(pid):
    with open("/proc/%d/stat" % pid) as f:
        return int(f.read().rpartition(")")[2].split()[1])


def test_N14_killed_while_it_starts(jobs):
    with Raw(jobs.path) as a, Raw(jobs.path) as b:
        for i in range(20):
            body = json.dumps({"id": "n%d" % i, "command":
                               "echo pid $$; sleep 100 & sleep 100"})
            kill = '{"grace_ms": 0}'
            a.send("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                   "%s" % (JOBS, len(body), body))
            while True:
                k = b.ask("POST", "%s/n%d/kill" % (JOBS, i), kill)
                if k.status == 200:
                    break
                assert k.status == 404
            assert running() == []
            assert k.json["status"] == "killed"
            assert a.answer().status in (201, 500)


def start_in(jobs, c, folder):
    """Job "x" on its way into a folder that hangs; c waits for the answer."""
    body = json.dumps({"id": "x", "command": "true", "cwd": folder + "/sub"})
    c.send("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
           % (JOBS, len(body), body))
    harness.eventually(lambda: jobs.ask("GET", "/x").status == 200, "a job")
    harness.eventually(running, "its first process")
    assert jobs.get("x")["status"] == "starting"


@pytest.mark.parametrize("grace", [0, 200])
def test_N14_killed_on_its_way_into_a_folder_that_hangs(jobs, grace):
    """Who can be killed is, without waiting until the start is given up."""
    with hung_folder(deaf=True) as folder, Raw(jobs.path) as c:
        start_in(jobs, c, folder.path)
        t = time.monotonic()
        k = jobs.kill("x", grace_ms=grace)
        assert running() == [] and time.monotonic() - t < 4
        assert k["killed"] is True and k["status"] == "killed"
        assert k["exit_code"] == (137 if grace == 0 else 143)
        a = c.answer()
        assert a.status == 201 and a.json["status"] == "killed"
        j = jobs.get("x")
        assert (j["reason"], j["message"]) == ("requested", "")


def test_N14_N11_killed_where_nothing_kills_it(jobs, hung):
    with Raw(jobs.path) as c:
        start_in(jobs, c, hung.path)
        harness.eventually(lambda: hung.asked, "it hangs")
        pid = running()[0]
        k = jobs.kill("x", grace_ms=0)
        assert k["killed"] is False and k["status"] == "killed"
        assert [(s["pid"], s["state"]) for s in k["survivors"]] == [(pid, "D")]
        assert c.answer().json["status"] == "killed"
    before = jobs.get("x")
    assert before["exit_code"] == 137
    hung.let_go()
    harness.eventually(lambda: jobs.ask("DELETE", "/x").status == 204,
                       "it can be removed")
    assert running() == []


def test_N15_somebody_kills_the_shim(jobs, daemon):
    id = jobs.start("setsid sleep 100 & echo pid $!; sleep 100 & echo pid $!;"
                    " sleep 101")
    pids = jobs.pids(id, 2) + [jobs.get(id)["pid"]]
    shim = ppid(pids[2])
    assert shim not in (1, daemon.pid)
    os.kill(shim, signal.SIGKILL)
    harness.eventually(lambda: dead(shim), "the shim is dead")
    jobs.kill(id)
    assert all(dead(p) for p in pids)
    assert jobs.get(id)["status"] == "killed"


def test_a_shim_holds_none_of_the_daemons_memory(jobs, daemon):
    """Keys and histories, that is; by its name, and by what is its own."""
    big = jobs.start("head -c 900000 /dev/zero | tr '\\0' x; sleep 1000")
    harness.eventually(lambda: jobs.get(big)["bytes_out"] == 900000, "output")
    id = jobs.start(["sleep", "1000"])
    shim = ppid(jobs.get(id)["pid"])
    with open("/proc/%d/cmdline" % shim) as f:
        assert f.read().split("\0")[0] == "k8shell-shim"
    with open("/proc/%d/environ" % shim) as f:
        assert f.read() == ""
    with open("/proc/%d/smaps_rollup" % shim) as f:
        anonymous = int(re.search(r"^Anonymous: +(\d+) kB", f.read(), re.M)[1])
    assert anonymous < (8192 if "san" in harness.BINARY else 256)
    for j in big, id:
        jobs.kill(j, grace_ms=0)


def test_a_shim_is_started_by_nobody_else():
    done = subprocess.run([harness.BINARY, "k8shell-shim", "1", "2"],
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "k8shell-shim: only the daemon starts this\n"


def test_T20_no_user_may_kill_a_shim(jobs):
    id = jobs.start("kill -9 $PPID; echo $?; sleep 100")
    jobs.until(id, "1")
    assert b"ermitted" in jobs.raw(id) and jobs.get(id)["status"] == "running"


# -- B: sessions, bulk ----------------------------------------------------------------

def stubborn(jobs, **wish):
    id = jobs.start("trap '' TERM HUP; echo pid $$; (trap '' TERM HUP; "
                    "echo pid $(exec sh -c 'echo $PPID'); while :; do "
                    "sleep 0.1; done) & while :; do sleep 0.1; done", **wish)
    return id, jobs.pids(id, 2)


def all_end(pidfds, seconds):
    end = time.monotonic() + seconds
    for fd in pidfds:
        p = select.poll()
        p.register(fd, select.POLLIN)
        left = max(0, end - time.monotonic())
        assert p.poll(left * 1000), "it lives on"
        os.close(fd)


def test_B2_E7_destroying_a_session_is_immediate(jobs):
    id, pids = stubborn(jobs, session="s1")
    pidfds = [os.pidfd_open(p) for p in pids]
    other = jobs.start("sleep 100", session="s2")
    f = follow(jobs, id)
    t = time.monotonic()
    a = jobs.ask("DELETE", "?session=s1")
    assert time.monotonic() - t < 2
    all_end(pidfds, 1)
    assert a.status == 200 and a.json == {"destroyed": 1}
    e = f.rest_of_it()[-1]
    assert (e["status"], e["exit_code"], e["reason"]) == ("killed", 137,
                                                          "requested")
    f.sock.close()
    assert jobs.get(other)["status"] == "running"


def test_B3_B4_destroy_ends_detached_and_attached_ones_alike(jobs):
    d, dp = stubborn(jobs, session="s1", detached=True)
    with Following(jobs, "POST", "", {"command": "echo up; sleep 100",
                                      "session": "s1",
                                      "attached": True}) as f:
        assert f.event()["type"] == "start"
        assert jobs.ask("DELETE", "?session=s1").json == {"destroyed": 2}
        assert f.rest_of_it()[-1]["exit_code"] == 137
    assert jobs.wait(d)["exit_code"] == 137


def test_B5_destroy_twice_is_no_error(jobs):
    jobs.start("sleep 100", session="s1")
    assert jobs.ask("DELETE", "?session=s1").json == {"destroyed": 1}
    harness.eventually(lambda: jobs.ask("DELETE", "?session=s1").json ==
                       {"destroyed": 0}, "none is left")
    assert jobs.ask("DELETE", "?session=nobody").json == {"destroyed": 0}


def test_B6_nothing_of_ours_is_left_behind(alone):
    d, jobs = alone
    before = children(d.pid)
    started = [stubborn(jobs, session="s1") for _ in range(3)]
    groups = [group_of(pids[0]) for id, pids in started]
    jobs.ask("DELETE", "?session=s1")
    for id, pids in started:
        jobs.wait(id)
    harness.eventually(lambda: children(d.pid) == before, "no helper left")
    assert not [g for g in groups if g and os.path.exists(g)]


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return f.read().split()


def test_B7_the_daemons_end_is_the_jobs_end(start):
    d = start()
    jobs = Jobs(d.rest_sock)
    a = jobs.start("trap 'echo bye > bye; exit' TERM; echo pid $$; "
                   "while :; do sleep 0.05; done")
    b = jobs.start("setsid sleep 100 & echo pid $!")
    pids = jobs.pids(a, 1) + jobs.pids(b, 1)
    groups = [group_of(p) for p in pids]
    f = follow(jobs, a)
    d.stop()
    assert all(dead(p) for p in pids)
    assert not [g for g in groups if g and os.path.exists(g)]
    assert f.rest_of_it()[-1]["type"] == "exit"
    f.sock.close()
    assert "by the daemon's end" in d.log()


def test_B8_X2_a_job_is_everybodys(jobs):
    id = jobs.start("sleep 100", session="s1")
    with Raw(jobs.path) as other:
        assert other.ask("GET", JOBS + "?session=s1").json[0]["id"] == id
        assert other.ask("POST", "%s/%s/kill" % (JOBS, id)).status == 200
    assert "exit_code" in jobs.wait(id)


def test_B9_a_shells_end_takes_its_jobs_but_not_detached_ones(jobs, daemon):
    a = rest.ask(jobs.path, "POST", rest.API + "/shells", '{"name": "sh1"}')
    assert a.status == 201
    gone, pids = stubborn(jobs, session="sh1")
    pidfds = [os.pidfd_open(p) for p in pids]
    stays = jobs.start("sleep 100", session="sh1", detached=True)
    other = jobs.start("sleep 100", session="sh2")
    assert rest.ask(jobs.path, "DELETE",
                    rest.API + "/shells/sh1").status == 204
    all_end(pidfds, 1)
    assert jobs.wait(gone)["exit_code"] == 137
    assert jobs.get(stays)["status"] == "running"
    assert jobs.get(other)["status"] == "running"
    assert "job %s: kill by the end of its session" % gone in daemon.log()


def test_B9_a_shell_that_exits_by_itself_does_the_same(jobs):
    id = jobs.start("sleep 100", session="sh3")
    rest.ask(jobs.path, "POST", rest.API + "/shells",
             '{"name": "sh3", "command": "exit"}')
    assert jobs.wait(id)["exit_code"] == 137


def test_B9_every_kill_is_on_record(jobs, daemon):
    id = jobs.start("sleep 100")
    jobs.kill(id, grace_ms=123)
    assert "job %s: kill by uid 0, pid %d, grace 123 ms" % (
        id, os.getpid()) in daemon.log()


def test_kill_all_of_one_session(jobs):
    a = jobs.start("sleep 100", session="s1")
    b = jobs.start("sleep 100", session="s2")
    assert jobs.ask("POST", "/kill-all",
                    {"session": "s1"}).json["killed"] == 1
    assert jobs.get(a)["status"] == "killed"
    assert jobs.get(b)["status"] == "running"


# -- attached ------------------------------------------------------------------------

def test_L6_an_attached_run_streams_and_ends_with_the_code(jobs):
    with Following(jobs, "POST", "", {
            "command": "for i in 1 2 3; do echo $i; sleep 0.2; done; exit 3",
            "attached": True}) as f:
        assert f.status == 200
        assert f.headers["content-type"] == "application/x-ndjson"
        e = f.rest_of_it()
    assert e[0]["type"] == "start" and e[-1]["type"] == "exit"
    assert e[-1]["exit_code"] == 3 and output(e) == b"1\n2\n3\n"
    assert [x["seq"] for x in e] == list(range(1, len(e) + 1))


@pytest.mark.parametrize("command, code", [
    ("echo out; echo err >&2; exit 7", 7), ("no-such-command-here", 127),
    ("kill -SEGV $$", 139)])
def test_L7_an_attached_run_that_fails_ends_with_its_code(jobs, command, code):
    with Following(jobs, "POST", "", {"command": command,
                                      "attached": True}) as f:
        e = f.rest_of_it()
    assert e[0]["type"] == "start"
    assert [x["type"] for x in e].count("exit") == 1
    assert (e[-1]["type"], e[-1]["status"], e[-1]["exit_code"]) == (
        "exit", "failed", code)
    assert code != 127 or b"not found" in output(e, "stderr")
    assert code != 7 or output(e, "stderr") == b"err\n"


def test_an_attached_start_that_fails_is_an_error(jobs):
    a = jobs.ask("POST", "", {"argv": ["/nonexistent"], "attached": True})
    assert a.status == 500 and "No such file" in a.text


def test_E11_start_running_killed_on_one_connection(jobs):
    with Raw(jobs.path) as c:
        a = c.ask("POST", JOBS, '{"command": "sleep 100", "id": "x"}')
        assert a.status == 201 and a.json["status"] == "running"
        assert c.ask("GET", JOBS + "/x").json["status"] == "running"
        pid = a.json["pid"]
        a = c.ask("POST", JOBS + "/x/kill")
        assert a.status == 200 and dead(pid)
        assert c.ask("GET", JOBS + "/x").json["status"] == "killed"
        assert c.ask("GET", JOBS + "?status=running").json == []


def test_the_client_is_lost_and_so_is_the_job(jobs, daemon):
    with Following(jobs, "POST", "", {"command": "echo pid $$; sleep 100",
                                      "id": "x", "attached": True}) as f:
        f.event()
        pid = jobs.pids("x", 1)[0]
    j = jobs.wait("x")
    assert (j["status"], j["reason"]) == ("killed", "requested") and dead(pid)
    assert "job x: kill by the loss of its client" in daemon.log()


def test_the_client_is_lost_before_the_start_is_known(jobs):
    for i in range(5):
        body = json.dumps({"command": "sleep 100", "id": "l%d" % i,
                           "attached": True})
        with Raw(jobs.path) as c:
            c.send("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                   "%s" % (JOBS, len(body), body))
    for i in range(5):
        harness.eventually(lambda: jobs.ask(
            "GET", "/l%d" % i).status == 200, "it was started")
        assert jobs.wait("l%d" % i)["status"] == "killed"


def test_S10_an_attached_reader_who_stops_does_not_hold_up_the_end(jobs):
    with Following(jobs, "POST", "", {"command": "yes & sleep 0.5; exit 5",
                                      "id": "x", "attached": True}) as f:
        t = time.monotonic()
        assert jobs.wait("x")["exit_code"] == 5
        assert time.monotonic() - t < 10
        e = f.rest_of_it()
        assert e[0]["type"] == "start" and e[-1]["exit_code"] == 5


def test_a_follower_who_leaves_does_not_touch_the_job(jobs):
    id = jobs.start("echo up; sleep 100")
    with follow(jobs, id) as f:
        f.event()
    time.sleep(0.2)
    assert jobs.get(id)["status"] == "running"


# -- limits ----------------------------------------------------------------------------

def test_64_ended_jobs_are_kept_and_live_ones_never_go(alone):
    d, jobs = alone
    live = jobs.start("sleep 100", id="live")
    for i in range(75):
        jobs.wait(jobs.start("true", id="n%d" % i))
    ids = [j["id"] for j in jobs.list()]
    assert "live" in ids and "n74" in ids and "n0" not in ids
    assert 65 <= len(ids) <= 70     # the last ones may not be collected yet
    jobs.kill(live)


def test_256_live_jobs_and_not_one_more(alone):
    d, jobs = alone
    with Raw(jobs.path) as c:
        def begin(i):
            return c.ask("POST", JOBS, json.dumps(
                {"id": "n%d" % i, "argv": ["sleep", "300"]})).status
        for i in range(256):
            harness.eventually(lambda: begin(i) == 201, "it starts")
        harness.eventually(lambda: c.ask(
            "POST", JOBS, '{"argv": ["true"]}').text ==
            "too many jobs or processes\n", "the limit, not the rate")
        a = c.ask("GET", JOBS)
        assert len(a.json) == 256
        a = c.ask("POST", JOBS + "/kill-all", '{"grace_ms": 3000}')
        assert a.json == {"killed": 256, "unsure": False, "survivors": []}
    assert running() == []


def test_too_large_a_body(jobs):
    a = jobs.ask("POST", "", b"x" * 70000)
    assert a.status == 413


def test_metrics_count_jobs(jobs):
    id = jobs.start("sleep 100")
    text = rest.get(jobs.path, "/metrics").text
    assert "\nk8shell_jobs 1\n" in text
    jobs.kill(id)
    assert 'k8shell_jobs_ended_total{status="killed"}' in rest.get(
        jobs.path, "/metrics").text


def limit(d, name, value, **who):
    subprocess.run(["prlimit", "--pid", str(d.pid), "--%s=%s" % (name, value)],
                   check=True, **who)


def test_T28_a_start_without_a_process_is_refused_and_costs_nothing(start):
    with rest.public_folder(0o1777) as folder:
        d, jobs = own_daemon(start, folder)
        first = jobs.start("sleep 100")
        fds = d.fds()
        limit(d, "nproc", "1:", user=harness.UID)
        for wish in ({}, {"attached": True}):
            a = jobs.ask("POST", "", dict(wish, command="true", id="x"))
            assert a.status == 503 and "too many" in a.text
        assert jobs.ask("GET", "/x").status == 404
        assert jobs.get(first)["status"] == "running"
        harness.eventually(lambda: d.fds() <= fds, "no descriptor is left")
        limit(d, "nproc", "10000:", user=harness.UID)
        assert jobs.wait(jobs.start("exit 3"))["exit_code"] == 3
        jobs.kill(first)
        d.stop()


def test_T28_a_start_without_descriptors_is_refused_and_costs_nothing(alone):
    d, jobs = alone
    first = jobs.start("sleep 100")
    harness.eventually(lambda: jobs.get(first)["log_file"], "its file")
    with Raw(jobs.path) as c:
        assert c.ask("GET", JOBS).status == 200
        fds = d.fds()
        for spare in range(0, 16):
            limit(d, "nofile", "%d:" % (fds + spare))
            a = c.ask("POST", JOBS, '{"command": "true", "id": "x"}')
            if a.status == 201:
                break
            assert a.status == 503 and "descriptors" in a.text
            assert c.ask("GET", JOBS + "/x").status == 404
            assert d.fds() == fds
        assert a.status == 201 and spare > 3
        limit(d, "nofile", "1024:")
        assert c.ask("GET", JOBS + "/" + first).json["status"] == "running"
        assert jobs.wait("x")["exit_code"] == 0


# -- who may ----------------------------------------------------------------------------

def test_T9_others_are_refused(start):
    with rest.public_folder() as folder:
        sock = os.path.join(folder, "k8shelld.sock")
        d = start(args=["--socket", sock])
        rest.appears(sock)
        prefix = rest.as_uid(34568, harness.GID)
        for target, *args in ([JOBS], [JOBS, "-d", '{"command": "true"}'],
                              [JOBS + "/kill-all", "-X", "POST"],
                              [JOBS + "/x/logs?follow=1"],
                              [JOBS + "/x/wait"]):
            out, code = rest.curl(sock, "http://x" + target, *args,
                                  prefix=prefix)
            assert code == 403 and out.count("\n") == 1
        out, code = rest.curl(sock, "http://x" + JOBS, "-d",
                              '{"command": "id -u"}',
                              prefix=rest.as_uid(harness.UID))
        assert code == 201


# -- standalone ---------------------------------------------------------------------------

def test_standalone_as_a_user_of_no_privilege(start):
    with rest.public_folder(0o1777) as folder:
        d, jobs = own_daemon(start, folder)
        id = jobs.start("id -u; setsid sleep 100 & echo pid $!; sleep 100")
        pid = jobs.pids(id, 1)[0]
        assert jobs.raw(id).startswith(b"%d\n" % harness.UID)
        k = jobs.kill(id)
        assert dead(pid) and k["killed"] is True and k["exit_code"] == 143
        d.stop()


DENIED = """
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	if (setuid(0) != 0)
		return 9;
	write(1, "root\\n", 5);
	sleep(argc > 1 ? atoi(argv[1]) : 100);
	return 3;
}
"""


@pytest.fixture
def powerful():
    """A program that runs as root, whoever starts it."""
    with rest.public_folder(0o1777) as folder:
        path = os.path.join(folder, "powerful")
        done = subprocess.run(["cc", "-static", "-o", path, "-xc", "-"],
                              input=DENIED, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        os.chmod(path, 0o4755)
        if subprocess.run(rest.as_uid(harness.UID) + [path, "0"],
                          capture_output=True).returncode != 3:
            pytest.skip("no setuid programs here")
        yield folder, path


def test_K12_who_is_not_ours_to_kill_is_told_and_others_die(start, powerful):
    folder, path = powerful
    d, jobs = own_daemon(start, folder)
    # A member: the job ends, and says who lives on.
    id = jobs.start(path + " & echo pid $!; sleep 100 & echo pid $!; wait")
    jobs.until(id, "root")
    denied, other = jobs.pids(id, 2)
    k = jobs.kill(id, grace_ms=300)
    assert k["killed"] is False and k["status"] == "killed"
    assert dead(other) and not dead(denied)
    assert k["survivors"] == [{"pid": denied, "state": "S", "name": "powerful",
                               "why": "not permitted"}]
    assert "pid %d (powerful) is still there: not permitted" % denied \
        in d.log()
    os.kill(denied, signal.SIGKILL)
    # The program itself: it runs on, supervised, and says so itself.
    id = jobs.start([path])
    jobs.until(id, "root")
    pid = jobs.get(id)["pid"]
    for _ in range(2):
        k = jobs.kill(id, grace_ms=100)
        assert k["killed"] is False and "exit_code" not in k
        assert k["status"] == jobs.get(id)["status"] == "running"
        assert [s["why"] for s in k["survivors"]] == ["not permitted"]
        assert not dead(pid)
    out = subprocess.run([harness.BINARY, "kbox", "kill", "-9", id,
                          "--socket", jobs.path], text=True,
                         capture_output=True)
    assert (out.returncode, out.stdout) == (1, ""), out
    assert "still there: %d powerful (not permitted)" % pid in out.stderr
    a = jobs.ask("POST", "/%s/kill" % id, {"signal": "USR1", "scope": "root"})
    assert a.status == 500 and "not permitted" in a.text
    a = jobs.ask("POST", "/kill-all", {"grace_ms": 0})
    assert a.json["killed"] == 0 and a.json["unsure"] is False
    assert [s["why"] for s in a.json["survivors"]] == ["not permitted"]
    os.kill(pid, signal.SIGTERM)
    j = jobs.wait(id)
    assert (j["status"], j["exit_code"], j["reason"]) == ("killed", 143,
                                                          "signal")
    # Nor does he hold up the daemon's end; but it ends before what it has of
    # him, which a sanitizer takes for a leak.
    if "san" in harness.BINARY:
        return
    id = jobs.start([path])
    jobs.until(id, "root")
    pid = jobs.get(id)["pid"]
    try:
        os.kill(d.pid, signal.SIGTERM)
        harness.eventually(lambda: "stopping" in d.log(), "it stops")
        d.stop()                # the second one: at once
        assert "pid %d (powerful) is still there: not permitted" % pid \
            in d.log()
    finally:
        os.kill(pid, signal.SIGKILL)


def test_standalone_as_root_for_a_user(start, home):
    d = start(config=None, env={"USERNAME": harness.USER,
                                "USER_UID": str(harness.UID),
                                "USER_GID": str(harness.GID)})
    jobs = Jobs(d.rest_sock)
    id = jobs.start("id -u; setsid sleep 100 & echo pid $!; sleep 100")
    pid = jobs.pids(id, 1)[0]
    assert jobs.raw(id).startswith(b"%d\n" % harness.UID)
    assert jobs.get(id)["log_file"].startswith(home)
    jobs.kill(id)
    assert dead(pid)


def test_N2_N15_as_process_1(start):
    d = start(wrapper=PID_1)
    jobs = Jobs(d.rest_sock)
    for shim_dies in (False, True):
        id = jobs.start("(setsid sh -c 'sleep 100 & sleep 101' &); "
                        "env -i setsid sleep 100 & echo up; sleep 102")
        jobs.until(id, "up")
        harness.eventually(lambda: len(running()) >= 5, "all run")
        if shim_dies:
            shims = harness.eventually(lambda: [
                p for p in children(d.pid) if open(
                    "/proc/%s/comm" % p).read() == "k8shell-shim\n"],
                "its shim, executed anew")
            os.kill(int(shims[0]), signal.SIGKILL)
            harness.eventually(lambda: dead(int(shims[0])), "it is dead")
        k = jobs.kill(id)
        assert running() == []
        assert k["killed"] is True and k["unsure"] is shim_dies
        harness.eventually(lambda: not harness.zombies_of(d.pid),
                           "no zombies")


def test_the_table_of_processes_returns_to_its_start(alone):
    d, jobs = alone
    jobs.wait(jobs.start("true"))
    harness.eventually(lambda: not children(d.pid), "no children")
    fds = len(os.listdir("/proc/%d/fd" % d.pid))
    for i in range(10):
        jobs.start("sleep 100 & setsid sleep 100 & wait", id="r%d" % i)
    jobs.ask("POST", "/kill-all", {"grace_ms": 200})
    jobs.ask("DELETE", "?terminal=1")
    harness.eventually(lambda: not children(d.pid), "no children")
    harness.eventually(lambda: len(os.listdir("/proc/%d/fd" % d.pid)) <= fds,
                       "no descriptors")
