"""The second client stack, @grpc/grpc-js, over plaintext and TLS."""

import base64
import json
import os
import subprocess

import pytest

import harness

NODE = os.path.join(os.path.dirname(__file__), "node")
CLIENT = os.path.join(NODE, "client.js")
MODULES = os.path.join(harness.BUILD, "node", "node_modules")

OK, CANCELLED, INVALID_ARGUMENT, DEADLINE_EXCEEDED = 0, 1, 3, 4
NOT_FOUND, PERMISSION_DENIED, UNIMPLEMENTED = 5, 7, 12


def as_bytes(b):
    return {"$bytes": base64.b64encode(b).decode()}


def from_bytes(v):
    return base64.b64decode(v["$bytes"])


@pytest.fixture(params=["plaintext", "ec", "rsa"])
def served(request, start, ec_cert, rsa_cert):
    """(target, extra arguments of the client) of a daemon."""
    if not os.path.isdir(os.path.join(MODULES, "@grpc", "grpc-js")):
        pytest.skip("@grpc/grpc-js is not installed: ./build.sh test does it")
    shells = "shells:\n  allowSessionDetach: true\n"
    if request.param == "plaintext":
        d = start(config=harness.CONFIG + shells)
        return d, {}
    cert, key = {"ec": ec_cert, "rsa": rsa_cert}[request.param]
    d = start(config="system:\n  grpc:\n    enableTLS: true\n"
              "    certFile: %s\n    keyFile: %s\n" % (cert, key) + shells)
    return d, {"ca": cert, "name": "workspace.ns"}


def ask(served, method, **kwargs):
    d, more = served
    return node(CLIENT, dict(more, target=d.target(), method=method,
                             **kwargs))


def node(script, request):
    p = subprocess.run(["node", script, json.dumps(request)],
                       capture_output=True, timeout=60)
    assert p.returncode == 0, p.stderr.decode()
    return json.loads(p.stdout)


def test_SY_01_handshake(served):
    r = ask(served, "Handshake")
    assert r["code"] == OK
    assert r["messages"][0]["accepted"] is True
    assert r["messages"][0]["server_version"]


def test_SY_03_deadline(served):
    r = ask(served, "Exec", metadata={"exec-id": "ex-js-1"}, deadline=700,
            end=False, send=[{"command_details": {"command": "sleep 60"}}])
    assert r["code"] == DEADLINE_EXCEEDED
    harness.eventually(lambda: not harness.processes(uid=harness.UID),
                       "the command is gone")


def test_EX_01_EX_13_exec(served):
    r = ask(served, "Exec", metadata={"exec-id": "ex-js-2"}, send=[
        {"command_details": {"command": "cat; echo err >&2; exit 3"}},
        {"input": as_bytes(bytes(range(256)) * 200)}])
    assert r["code"] == OK
    out = b"".join(from_bytes(m["out"]) for m in r["messages"] if "out" in m)
    err = b"".join(from_bytes(m["err"]) for m in r["messages"] if "err" in m)
    assert out == bytes(range(256)) * 200 and err == b"err\n"
    assert r["messages"][-1]["exit_code"] == 3


def test_EX_18_terminal(served):
    r = ask(served, "Exec", metadata={"exec-id": "ex-js-3"}, send=[
        {"command_details": {"command": "stty size", "use_pty": True,
                             "width": 101, "height": 33}}])
    assert r["messages"][0]["pty"].startswith("/dev/pts/")
    out = b"".join(from_bytes(m["out"]) for m in r["messages"] if "out" in m)
    assert out == b"33 101\r\n"


def test_SH_01_SH_09_shell(served):
    r = ask(served, "Shell", metadata={"session-id": "sh-js-1"}, end=False,
            send=[{"start_request": {"usePty": True, "width": 80,
                                     "height": 24, "cmdShell": "/bin/sh"}},
                  {"data": as_bytes(b"echo he''llo; exit\n")}])
    assert r["code"] == OK
    assert r["messages"][0]["start_response"]["pty"].startswith("/dev/pts/")
    assert r["messages"][-1]["terminate"] is True
    text = b"".join(from_bytes(m["data"]) for m in r["messages"]
                    if "data" in m)
    assert b"hello" in text


def test_TR_15_cancel(served):
    r = ask(served, "Exec", metadata={"exec-id": "ex-js-4"}, end=False,
            cancel_after=5, send=[{"command_details": {"command": "yes"}}])
    assert r["code"] == CANCELLED
    harness.eventually(lambda: not harness.processes(uid=harness.UID),
                       "yes is gone")


def test_refusals(served):
    assert ask(served, "GetCWD", send=[{"shell_id": "sh-none"}])["code"] \
        == NOT_FOUND
    assert ask(served, "ResizeTerminal", send=[{"width": 80, "height": 24}],
               )["code"] == INVALID_ARGUMENT
    assert ask(served, "Exec", metadata={"exec-id": "ex-js-5"}, send=[
        {"command_details": {"command": "id", "as_user": "root"}}])["code"] \
        == PERMISSION_DENIED
    for method in ("ListApps", "PortForward", "CommandListener"):
        assert ask(served, method)["code"] == UNIMPLEMENTED, method


def test_SH_15_AQ_02_reload_as_the_platforms_console_does(served):
    """The same with grpcio: test_sessions.py."""
    d, more = served
    r = node(os.path.join(NODE, "reload.js"),
             dict(more, target=d.target(), rounds=5))
    for i, seen in enumerate(r["rounds"]):
        assert seen == {
            "old": CANCELLED, "first": "start_response",
            "listed": 0,                # it is locked
            "again": NOT_FOUND,         # the lock was for one use
            "taken": "ACQUIRE_SESSION_FAILURE_REASON_ALREADY_ACQUIRED",
            "seen": ["round%d" % n for n in range(i + 1)]}
    assert r["code"] == OK and r["terminate"] is True
