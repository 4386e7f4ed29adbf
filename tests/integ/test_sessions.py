"""Sessions that survive: detach, lock, attach, expiry (AQ-*, LS-*, SH-11..)."""

import calendar
import os
import re
import time

import grpc
import pytest

import harness
import rest
from harness import Talk, ssh

CODE = grpc.StatusCode
NOT_FOUND = ssh.ACQUIRE_SESSION_FAILURE_REASON_NOT_FOUND
TAKEN = ssh.ACQUIRE_SESSION_FAILURE_REASON_ALREADY_ACQUIRED
CHORD = b"\x01d"


def config(**shells):
    shells.setdefault("allowSessionDetach", "true")
    return harness.CONFIG + "shells:\n" + "".join(
        "  %s: %s\n" % kv for kv in shells.items())


@pytest.fixture(scope="module")
def served(tmp_path_factory, home):
    d = harness.Daemon(tmp_path_factory.mktemp("sessions"), config=config())
    yield d
    d.stop()


@pytest.fixture
def stub(served):
    with served.stub() as s:
        yield s
        # Whatever a test left detached ends with it.
        for found in s.ListSessions(ssh.ListSessionsRequest()).sessions:
            attach(s, found.session_id).type("exit\n")
        harness.eventually(
            lambda: not s.ListSessions(ssh.ListSessionsRequest()).sessions,
            "no session left")


def shell(stub, id, **kwargs):
    t = Talk(stub, "Shell", id).start(setEnvVars=["TERM=xterm"], **kwargs)
    t.expect("$ ")
    return t


def acquire(stub, id):
    return stub.AcquireSession(ssh.AcquireSessionRequest(session_id=id),
                               timeout=5)


def attach(stub, id, lock=None, **kwargs):
    if lock is None:
        def taken():
            r = acquire(stub, id)
            return r.lock_id if r.success else None
        lock = harness.eventually(taken, "a lock on " + id)
    return Talk(stub, "Shell", id).start(lock_id=lock, **kwargs)


def listed(stub):
    return {s.session_id: s for s in
            stub.ListSessions(ssh.ListSessionsRequest()).sessions}


def detached(stub, id):
    harness.eventually(lambda: id in listed(stub), id + " detached")


def pid_of(t):
    t.type("echo P=$$=\n")
    t.wait(lambda: re.search(rb"P=\d+=", t.data), "the pid")
    return int(re.search(rb"P=(\d+)=", t.data)[1])


def gone(pid):
    return not os.path.exists("/proc/%d" % pid)


def leave(t, how):
    if how == "chord":
        t.type(CHORD)
        assert t.finish() == CODE.OK
        assert t.messages[-1].terminate is True
    elif how == "cancel":
        t.cancel()
    else:
        t.half_close()


def test_SH_11_lost_client_with_detach_on_close(stub):
    t = shell(stub, "sh-11-1-aa1", detach_on_close=True)
    t.type("x=kept; echo read''y\n")
    t.expect("ready")
    t.cancel()
    detached(stub, "sh-11-1-aa1")
    a = attach(stub, "sh-11-1-aa1")
    a.type("echo $x-alive; exit\n")
    a.expect("kept-alive")
    assert a.finish() == CODE.OK


def test_SH_11_lost_connection_with_detach_on_close(served, stub):
    other = served.stub(options=[("grpc.use_local_subchannel_pool", 1)])
    t = shell(other, "sh-11-2-aa1", detach_on_close=True)
    t.type("sleep 0.4; echo from''afar\n")
    time.sleep(0.1)
    other.close()
    detached(stub, "sh-11-2-aa1")
    time.sleep(0.5)
    a = attach(stub, "sh-11-2-aa1")
    a.expect("fromafar")        # said while nobody was there
    a.type("exit\n")
    a.finish()


@pytest.mark.parametrize("how", ["half close", "cancel"])
def test_D4_no_race_between_keeping_and_killing(stub, how):
    for i in range(10):
        id = "sh-d4-%d-aa1" % i
        t = shell(stub, id, detach_on_close=True)
        leave(t, how)
        detached(stub, id)
        a = attach(stub, id)
        a.type("exit\n")
        assert a.finish() == CODE.OK


def test_SH_15_attach_replays_then_goes_live(stub):
    t = shell(stub, "sh-15-1-aa1")
    t.type("echo be''fore\n")
    t.expect("before")
    leave(t, "chord")
    a = attach(stub, "sh-15-1-aa1", cols=123, rows=45)
    assert a.messages[0].start_response.pty == ""
    a.expect("before")
    a.type("stty size; echo af''ter\n")
    a.expect("after")
    assert b"45 123" in a.data
    a.type("exit\n")
    assert a.finish() == CODE.OK


def test_SH_15_lock_is_for_one_use(stub):
    t = shell(stub, "sh-15-2-aa1")
    leave(t, "chord")
    detached(stub, "sh-15-2-aa1")
    lock = acquire(stub, "sh-15-2-aa1").lock_id
    a = attach(stub, "sh-15-2-aa1", lock=lock)
    b = attach(stub, "sh-15-2-aa1", lock=lock)
    assert b.finish() == CODE.NOT_FOUND
    a.type("echo st''ill; exit\n")
    a.expect("still")


def test_SH_16_unknown_lock_starts_no_shell(stub):
    before = set(harness.processes(uid=harness.UID))
    t = Talk(stub, "Shell", "sh-16-1-aa1").start(lock_id="lk-0123456789abcdef")
    assert t.finish() == CODE.NOT_FOUND
    assert set(harness.processes(uid=harness.UID)) <= before
    t = Talk(stub, "Shell", "sh-16-2-aa1").start(pty=False, lock_id="lk-x")
    assert t.finish() == CODE.INVALID_ARGUMENT


def test_SH_17_kbox_detach_ends_the_call_and_keeps_the_shell(start):
    """Typed into the session, as people do; which one, its environment says.
    """
    with rest.public_folder() as folder:
        sock = os.path.join(folder, "k8shelld.sock")
        d = start(config=config(), args=["--socket", sock])
        rest.appears(sock)
        with d.stub() as stub:
            t = shell(stub, "sh-17-1-aa1")
            pid = pid_of(t)
            t.type("x=ke''pt; %s kbox --socket %s detach --ttl 5m\n"
                   % (harness.BINARY, sock))
            assert t.finish() == CODE.OK
            assert [m.terminate for m in t.messages
                    if m.WhichOneof("response") == "terminate"] == [True]
            assert t.messages[-1].terminate
            assert listed(stub)["sh-17-1-aa1"].pid == pid
            a = attach(stub, "sh-17-1-aa1")
            a.type("echo $x-$?; exit\n")
            a.expect("kept-0")
            a.finish()


def test_AQ_01_lock_is_unguessable(stub):
    locks = set()
    for i in range(3):
        t = shell(stub, "sh-aq1-%d" % i)
        leave(t, "chord")
        detached(stub, "sh-aq1-%d" % i)
        r = acquire(stub, "sh-aq1-%d" % i)
        assert r.success and re.fullmatch(r"lk-[0-9a-f]{32}", r.lock_id)
        locks.add(r.lock_id)
        attached_now(stub, "sh-aq1-%d" % i, r.lock_id)
    assert len(locks) == 3


def attached_now(stub, id, lock):
    a = attach(stub, id, lock=lock)
    a.type("exit\n")
    a.finish()


def test_AQ_02_failures_are_ordinary_answers(stub):
    r = acquire(stub, "sh-nobody-1")
    assert not r.success and r.failure_reason == NOT_FOUND
    t = shell(stub, "sh-aq2-1")
    r = acquire(stub, "sh-aq2-1")
    assert not r.success and r.failure_reason == TAKEN and r.lock_id == ""
    leave(t, "chord")
    detached(stub, "sh-aq2-1")
    first = acquire(stub, "sh-aq2-1")
    r = acquire(stub, "sh-aq2-1")
    assert not r.success and r.failure_reason == TAKEN
    assert "sh-aq2-1" not in listed(stub)
    attached_now(stub, "sh-aq2-1", first.lock_id)
    with pytest.raises(grpc.RpcError) as e:
        acquire(stub, "")
    assert e.value.code() == CODE.INVALID_ARGUMENT
    p = Talk(stub, "Shell", "sh-aq2-2").start(pty=False)
    r = acquire(stub, "sh-aq2-2")
    assert not r.success and r.failure_reason == 0
    p.cancel()


def test_AQ_03_SH_16_a_lock_not_used_expires_after_30_s(stub):
    """And then it opens nothing, and starts nothing either."""
    ids = ("sh-aq3-1", "sh-aq3-2")
    locks = []
    for id in ids:
        leave(shell(stub, id), "chord")
        detached(stub, id)
        locks.append(acquire(stub, id).lock_id)
    given = time.monotonic()
    before = set(harness.processes(uid=harness.UID))
    time.sleep(25)
    assert acquire(stub, ids[0]).failure_reason == TAKEN
    assert not listed(stub)
    harness.eventually(lambda: sorted(listed(stub)) == sorted(ids),
                       "both can be had again")
    assert time.monotonic() - given > 29
    assert Talk(stub, "Shell", "sh-aq3-3").start(lock_id=locks[1]).finish() \
        == CODE.FAILED_PRECONDITION
    assert set(harness.processes(uid=harness.UID)) <= before
    again = acquire(stub, ids[0])
    assert again.success and again.lock_id != locks[0]
    attached_now(stub, ids[0], again.lock_id)
    attached_now(stub, ids[1], acquire(stub, ids[1]).lock_id)


def test_LS_01_only_detached_and_unlocked_sessions(stub):
    begin = int(time.time())
    held = shell(stub, "sh-ls1-1")
    plain = Talk(stub, "Shell", "sh-ls1-3").start(pty=False)
    left = shell(stub, "sh-ls1-2")
    pid = pid_of(left)
    leave(left, "chord")
    detached(stub, "sh-ls1-2")
    found = listed(stub)
    assert list(found) == ["sh-ls1-2"]
    s = found["sh-ls1-2"]
    assert s.owner == harness.USER and s.cmd_shell == "/bin/sh"
    assert s.pid == pid
    times = [calendar.timegm(time.strptime(t, "%Y-%m-%dT%H:%M:%SZ"))
             for t in (s.created, s.detached_at)]
    assert begin <= times[0] <= times[1] <= time.time()
    held.cancel()
    plain.cancel()


@pytest.mark.parametrize("pieces", [
    [b"\x01d"], [b"\x01", b"d"], [b"\x01D"], [b"ls\x01", b"D"],
    [b"x" * 1000 + b"\x01d"], [b"\x01\x01d"[1:]]])
def test_chord_is_found_however_it_is_split(stub, pieces):
    t = shell(stub, "sh-chord-1")
    for p in pieces:
        t.type(p)
    assert t.finish() == CODE.OK
    detached(stub, "sh-chord-1")
    a = attach(stub, "sh-chord-1")
    a.type(b"\x15exit\n")
    a.finish()


def test_bytes_before_the_chord_reach_the_shell(stub):
    t = shell(stub, "sh-chord-2")
    t.type(b"echo DO''NE\n\x01d")
    assert t.finish() == CODE.OK
    a = attach(stub, "sh-chord-2")
    a.expect("DONE")
    a.type("exit\n")
    a.finish()


def test_other_keys_after_ctrl_a_pass_through(stub):
    t = shell(stub, "sh-chord-3")
    t.type("stty raw -echo; echo GO; head -c 8 | od -An -tx1; stty sane\n")
    t.expect("GO\n")
    t.type(b"\x01x\x01\x01a\x01")
    t.type(b"bz")
    t.expect("01 78 01 01 61 01 62 7a")
    t.type("exit\n")
    t.finish()


def test_weakness_7_2_2_a_lone_ctrl_a_is_not_held(stub):
    t = shell(stub, "sh-chord-4")
    t.type("stty raw -echo; echo GO; head -c 1 | od -An -tx1; stty sane\n")
    t.expect("GO\n")
    t.type(b"\x01")
    t.expect(" 01")
    t.type("exit\n")
    t.finish()


def test_D7_nothing_is_filtered_where_detaching_is_off(start):
    d = start()
    with d.stub() as s:
        t = shell(s, "sh-d7-1")
        t.type("stty raw -echo; echo GO; head -c 4 | od -An -tx1; "
               "stty sane\n")
        t.expect("GO\n")
        t.type(b"\x01d\x01D")
        t.expect("01 64 01 44")
        t.cancel()
        for call in (lambda: s.ListSessions(ssh.ListSessionsRequest()),
                     lambda: acquire(s, "sh-d7-1")):
            with pytest.raises(grpc.RpcError) as e:
                call()
            assert e.value.code() == CODE.PERMISSION_DENIED


def test_T16_replay_makes_no_terminal_answer(stub):
    t = shell(stub, "sh-t16-1")
    t.type("printf 'mark\\033[6n\\033[c\\033]11;?\\007done\\n'\n")
    t.expect("done\r\n")
    leave(t, "chord")
    a = attach(stub, "sh-t16-1")
    a.expect("markdone")
    a.type("exit\n")
    a.finish()


def test_D5_counter_loses_and_repeats_nothing(stub):
    """Leave and come back while a counter runs."""
    t = shell(stub, "sh-count-1", detach_on_close=True)
    t.type("stty -echo; i=0; while test $i -lt 4000; do echo N=$i=; "
           "i=$((i+1)); done; echo A''LL\n")
    t.expect("N=3=")
    for turn in range(20):
        if t.ended.is_set():
            break
        leave(t, ("cancel", "half close", "chord")[turn % 3])
        t = attach(stub, "sh-count-1", detach_on_close=True)
    t.expect("ALL")
    numbers = [int(n) for n in re.findall(rb"N=(\d+)=", bytes(t.data))]
    assert numbers == list(range(4000))
    t.type("exit\n")
    t.finish()


def test_ring_keeps_the_last_256_kib(served, stub):
    t = shell(stub, "sh-ring-1", detach_on_close=True)
    t.type("stty -echo; seq 200000; echo E''ND\n")
    t.expect("END", 60)
    t.cancel()
    detached(stub, "sh-ring-1")
    a = attach(stub, "sh-ring-1")
    a.expect("END")
    size = len(a.data)
    assert 200 << 10 < size <= 257 << 10
    lines = re.findall(rb"\n(\d+)\r", bytes(a.data))
    assert [int(n) for n in lines] == list(
        range(int(lines[0]), int(lines[-1]) + 1)) and lines[-1] == b"200000"
    a.type("exit\n")
    a.finish()


def test_expiry_to_the_second(start):
    d = start(config=config(detachedTTL="2s"))
    with d.stub() as s:
        t = shell(s, "sh-ttl-1")
        pid = pid_of(t)
        leave(t, "chord")
        begin = time.monotonic()
        harness.eventually(lambda: not listed(s), "expiry")
        assert 1.0 < time.monotonic() - begin < 4.0
        harness.eventually(lambda: gone(pid), "its process is gone")


def test_attaching_stops_the_clock(start):
    d = start(config=config(detachedTTL="1s"))
    with d.stub() as s:
        t = shell(s, "sh-ttl-2")
        pid = pid_of(t)
        leave(t, "chord")
        a = attach(s, "sh-ttl-2")
        time.sleep(2)
        a.type("echo st''ill\n")
        a.expect("still")
        leave(a, "chord")
        harness.eventually(lambda: gone(pid), "expiry")


def test_L6_attached_without_detach_on_close_ends_with_its_client(stub):
    t = shell(stub, "sh-l6-1")
    pid = pid_of(t)
    leave(t, "chord")
    a = attach(stub, "sh-l6-1")
    a.cancel()
    harness.eventually(lambda: gone(pid), "the shell is gone")


def test_shell_that_ends_while_detached(served, stub):
    t = shell(stub, "sh-end-1")
    t.type(b"sleep 0.3; exit\n\x01d")
    t.finish()
    harness.eventually(lambda: "sh-end-1" not in listed(stub), "its end")
    assert acquire(stub, "sh-end-1").failure_reason == NOT_FOUND
    harness.eventually(lambda: not harness.zombies_of(served.pid),
                       "no zombie")


def test_slow_reader_of_a_replay(stub):
    t = shell(stub, "sh-slow-1", detach_on_close=True)
    t.type("stty -echo; seq 60000; echo E''ND\n")
    t.expect("END", 60)
    t.cancel()
    detached(stub, "sh-slow-1")
    a = Talk(stub, "Shell", "sh-slow-1")
    a.paused.clear()
    a.send(start_request=ssh.ShellStartRequest(
        usePty=True, lock_id=acquire(stub, "sh-slow-1").lock_id))
    a.type("echo LI''VE\n")
    time.sleep(0.5)
    a.paused.set()
    a.expect("LIVE")
    text = bytes(a.data)
    assert text.index(b"END") < text.index(b"LIVE")
    assert text.count(b"\n59999\r") == 1
    a.type("exit\n")
    a.finish()


def test_SH_15_AQ_02_reload_as_the_platforms_console_does(served):
    """AcquireSession, Shell with the same id and the lock, old stream gone.
    The same with grpc-js: test_grpc_js.py."""
    with served.stub() as s:
        t = shell(s, "ws-tab-1", detach_on_close=True)
        for i in range(5):
            t.type("echo ro''und%d\n" % i)
            t.expect("round%d" % i)
            t.cancel()
            old, t = t, attach(s, "ws-tab-1", detach_on_close=True)
            t.expect("round%d" % i)
            assert old.finish() == CODE.CANCELLED
            assert acquire(s, "ws-tab-1").failure_reason == TAKEN
        assert re.findall(rb"round\d", bytes(t.data)) == [
            b"round%d" % i for i in range(5)]
        s.ResizeTerminal(ssh.ResizeTerminalRequest(width=99, height=33),
                         metadata=[("session-id", "ws-tab-1")])
        t.type("stty size\n")
        t.expect("33 99")
        t.type("exit\n")
        assert t.finish() == CODE.OK
