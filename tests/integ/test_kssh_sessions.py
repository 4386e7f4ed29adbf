"""kssh --detach-on-close, --attach, --list; what it waits for and whom it trusts.

grpcio is the judge on the other side: what kssh leaves it finds, and the
other way round.
"""

import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import time

import grpc
import pytest

import harness
import jose
from harness import Talk, ssh, system
from test_kssh import (Listener, Terminal, TROUBLE, call,  # noqa: F401
                       check_trouble, far_children, kssh, own, start_own,
                       terminal)
from test_sessions import CODE, acquire, attach, config, gone, listed

CHORD = "\x01d"


@pytest.fixture
def stub(own):  # noqa: F811
    """grpcio on the same daemon; what a test left there ends with it."""
    with grpc_to(own) as s:
        yield s
        for found in listed(s):
            attach(s, found).type("\x15exit\n")
        harness.eventually(lambda: not listed(s), "no session left")


def grpc_to(daemon):
    """Over the Unix socket, where the peer's uid speaks for it."""
    return harness.Stub("unix:" + daemon.sock)


def left(stub, id, text="echo be''fore\n", expect="before"):
    """A session that grpcio started and left."""
    t = Talk(stub, "Shell", id).start(detach_on_close=True)
    t.expect("$ " if os.geteuid() else "# ")
    t.type("stty -echo; PS1='far> '; " + text)
    t.expect(expect)
    t.cancel()
    harness.eventually(lambda: id in listed(stub), id + " detached")


@pytest.fixture
def run(kssh, own):  # noqa: F811
    def go(*args, **kwargs):
        return call(kssh, "--run-dir", own.run_dir, *args, **kwargs)
    return go


# -- list ----------------------------------------------------------------------

def test_list_without_sessions_is_no_failure(run, stub):
    r = run("--list")
    assert (r.returncode, r.stderr) == (0, b"")
    assert r.stdout.split() == b"ID USER PID CREATED STATE TTL".split()
    r = run("--list", "--json")
    assert (r.returncode, r.stdout, r.stderr) == (0, b"[]\n", b"")


def test_list_is_what_ListSessions_says(run, stub):
    left(stub, "sh-two-1")
    left(stub, "sh-one-1")
    left(stub, "sh-three-1")
    held = attach(stub, "sh-three-1", detach_on_close=True)
    held.expect("before")
    judge = listed(stub)
    assert set(judge) == {"sh-one-1", "sh-two-1"}
    r = run("--list")
    assert (r.returncode, r.stderr) == (0, b"")
    rows = [line.split() for line in r.stdout.decode().splitlines()[1:]]
    assert {row[0] for row in rows} == set(judge)
    for id, user, pid, created, state, ttl in rows:
        s = judge[id]
        assert (user, pid, created) == (s.owner, str(s.pid), s.created)
        assert state == "DETACHED" and re.fullmatch(r"(30m0|29m\d+)s", ttl)
    rows = json.loads(run("--list", "--json").stdout)
    assert {row["id"] for row in rows} == set(judge)
    for row in rows:
        s = judge[row["id"]]
        assert row["detached_at"] == s.detached_at and row["pid"] == s.pid
        assert row["cmd_shell"] == s.cmd_shell and row["user"] == s.owner
        assert 1700 < row["ttl_seconds"] <= 1800
    held.type("exit\n")
    held.finish()


# -- attach --------------------------------------------------------------------

def test_kssh_attaches_what_grpcio_left(terminal, stub):  # noqa: F811
    left(stub, "sh-web-1", "x=kept; echo be''fore\n")
    t = terminal()
    t.kssh("--attach", "sh-w")              # the start is enough
    t.expect("before")                      # the replay
    t.type("echo $x-$((40 + 2)); stty size\r")
    t.expect("kept-42\r\n")
    t.expect("30 90\r\n")
    assert "sh-web-1" not in listed(stub)
    t.child.setwinsize(41, 101)
    t.type("while [ \"$(stty size)\" != '41 101' ]; do :; done; echo fi''ts\r")
    t.expect("fits\r\n")
    t.type("echo la''st words\r")
    t.expect("last words\r\n")
    t.type("y=typed" + CHORD)
    t.expect("detached from sh-web-1")
    assert t.status() == 0
    assert t.settings("after") == t.before
    a = attach(stub, "sh-web-1")            # and grpcio goes on
    a.expect("last words")
    a.type("\necho $x-$y; exit\n")
    a.expect("kept-typed")
    assert a.finish() == CODE.OK


def test_attached_shell_ends_as_any_other(terminal, stub):  # noqa: F811
    left(stub, "sh-end-1")
    t = terminal()
    t.kssh("--attach", "sh-end-1", ".")
    t.expect("before")
    t.type("exit 7\r")
    assert t.status() == 0
    assert b"detached" not in t.child.before
    assert t.settings("after") == t.before


@pytest.mark.parametrize("how", ["-9", "-TERM", "leave", "terminal"])
@pytest.mark.parametrize("args", [["--detach-on-close"], ["--attach", "sh-l-1"]],
                         ids=["started", "attached"])
def test_losing_kssh_detaches(terminal, stub, how, args):  # noqa: F811
    if args[0] == "--attach":
        left(stub, "sh-l-1", "x=kept; echo be''fore\n")
    t = terminal()
    t.kssh(*args)
    t.type("stty -echo; x=kept; PS1='far> '; echo re''ady\r")
    t.expect("ready\r\n")
    assert listed(stub) == {}
    if how == "leave":
        t.type("\r~.")
        t.expect("connection ended by ~")
        t.expect("kssh --attach sh-\\S+ brings it back")
    elif how == "terminal":
        t.close()
    else:
        os.kill(t.kssh_pid(), signal.SIGKILL if how == "-9"
                else signal.SIGTERM)
    id, = harness.eventually(lambda: listed(stub), "detached")
    a = attach(stub, id)
    a.type("echo $x-alive; exit\n")
    a.expect("kept-alive")
    assert a.finish() == CODE.OK


def test_losing_kssh_without_the_option_ends_the_shell(
        terminal, own, stub):  # noqa: F811
    t = terminal()
    t.far_shell()
    os.kill(t.kssh_pid(), signal.SIGKILL)
    harness.eventually(lambda: not far_children(own), "the shell is gone")
    assert listed(stub) == {}


def test_detached_by_kbox_from_inside(terminal, own, stub):  # noqa: F811
    """Whoever detaches: kssh says where the shell is."""
    t = terminal()
    t.far_shell()
    t.type("'%s' kbox --run-dir '%s' detach\r" % (harness.BINARY,
                                                  own.run_dir))
    id = t.expect("\\[detached from (\\S+); kssh --attach ").group(1)
    assert t.status() == 0
    assert list(listed(stub)) == [id.decode()]


def test_quiet_says_nothing(terminal, stub):  # noqa: F811
    t = terminal()
    t.kssh("-q")
    t.type("stty -echo; echo re''ady\r")
    t.expect("ready\r\n")
    t.type(CHORD)
    assert t.status() == 0
    assert b"[" not in t.child.before.replace(b"\x1b[", b"")


def test_terminal_gets_its_screen_back(terminal, stub):  # noqa: F811
    """What a full-screen program switched on is switched off again here,
    and on again where it is attached."""
    modes = "printf '\\033[?1049h\\033[?1000h\\033[?25l\\033[31min''side'"
    t = terminal()
    t.far_shell()
    t.type(modes + "\r")
    t.expect("inside")
    t.type(CHORD)
    t.expect_exact = t.child.expect_exact
    for text in ("\x1b[?25h", "\x1b[?1049l", "\x1b[?1000l", "\x1b[0m",
                 "detached from"):
        t.expect_exact(text)
    assert t.status() == 0
    assert t.settings("after") == t.before


def test_without_a_terminal_of_ours_the_size_stays(run, own, stub):  # noqa: F811
    t = Talk(stub, "Shell", "sh-size-1").start(cols=123, rows=45,
                                               detach_on_close=True)
    t.type("stty -echo; echo re''ady\n")
    t.expect("ready")
    t.cancel()
    harness.eventually(lambda: listed(stub), "detached")
    r = run("-tt", "--attach", "sh-size-1", input=b"stty size; exit\n")
    assert b"45 123" in r.stdout and r.returncode == 0


def test_session_started_over_tcp_is_ours_by_socket_too(
        kssh, tmp_path, ec_cert):  # noqa: F811
    """The standalone daemon's token and its user's uid are one owner."""
    cert, key = ec_cert
    d = harness.Daemon(tmp_path, config=None, args=[
        "--port", "0", "--cert", cert, "--key", key])
    try:
        with open(os.path.join(d.run_dir, "token")) as f:
            token = f.read().strip()
        with d.stub(ca=cert, name="localhost", token=token) as s:
            t = Talk(s, "Shell", "sh-tcp-1").start(detach_on_close=True)
            t.type(CHORD)
            assert t.finish() == CODE.OK
            r = call(kssh, "--run-dir", d.run_dir, "-tt", "--attach",
                     "sh-tcp-1", input=b"echo he''re; exit\n")
            assert b"here" in r.stdout and r.returncode == 0, r.stderr
    finally:
        d.stop()


# -- refusals ------------------------------------------------------------------

def one_line(r, *words):
    text = r.stderr.decode()
    assert r.returncode == TROUBLE, text
    assert text.startswith("kssh: ") and text.count("\n") == 1, text
    for w in words:
        assert w in text, text


def test_not_found(run, stub):
    one_line(run("-tt", "--attach", "sh-nobody"), "sh-nobody: no such session",
             "kssh --list")


def test_start_of_several(run, stub):
    left(stub, "sh-many-1")
    left(stub, "sh-many-2")
    one_line(run("-tt", "--attach", "sh-many"), "several", "sh-many-1",
             "sh-many-2")
    # One whose whole id is also how another starts.
    left(stub, "sh-many-11")
    r = run("-tt", "--attach", "sh-many-1", input=b"echo $K8SHELL_SESSION_ID;"
            b"exit\n")
    assert b"sh-many-1\r\n" in r.stdout and r.returncode == 0


def test_busy(run, stub):
    left(stub, "sh-busy-1")
    held = attach(stub, "sh-busy-1", detach_on_close=True)
    held.expect("before")
    one_line(run("-tt", "--attach", "sh-busy-1"), "sh-busy-1: somebody is",
             "Ctrl+A d")
    held.cancel()
    harness.eventually(lambda: listed(stub), "detached")
    lock = acquire(stub, "sh-busy-1").lock_id
    one_line(run("-tt", "--attach", "sh-busy-1"), "sh-busy-1: somebody is")
    a = attach(stub, "sh-busy-1", lock=lock)
    a.type("exit\n")
    a.finish()


def test_no_terminal_here(run, stub):
    for args in (["--attach", "sh-x"], ["--detach-on-close"]):
        one_line(run(*args), "standard input is not a terminal", "-tt")
    r = run("--attach", "sh-x", "-T")
    assert r.returncode == TROUBLE and b"-T" in r.stderr


def test_session_without_a_terminal(run, stub):
    t = Talk(stub, "Shell", "sh-pipe-1").start(pty=False)
    one_line(run("-tt", "--attach", "sh-pipe-1"), "has no terminal")
    t.cancel()


def test_where_detaching_is_forbidden(kssh, start):  # noqa: F811
    d = start()
    to = ["--plaintext", "127.0.0.1:%d" % d.port]
    for args in (["--list"], ["-tt", "--attach", "sh-x"]):
        one_line(call(kssh, *args, *to), "disabled",
                 "shells.allowSessionDetach")
    r = call(kssh, "-tt", "--detach-on-close", *to)
    one_line(r, "disabled", "shells.allowSessionDetach")
    # Ctrl+A d is for the shell there, and nothing survives.
    r = call(kssh, "-tt", *to, input=b"exit\n")
    assert r.returncode == 0 and b"detached" not in r.stderr


def test_T15_not_the_owner_finds_nothing(kssh, start, tmp_path):  # noqa: F811
    """Another service account is told what it would be told of no session."""
    signer = jose.Key(tmp_path)
    (tmp_path / "jwks.json").write_text(jose.jwks(("k", signer)))
    text = config().replace("    enableTLS: false\n", """\
    enableTLS: false
    authEnabled: true
    audience: k8shelld
    issuerURL: https://issuer.test
    jwksFile: %s/jwks.json
    allowed:
    - {namespace: prod, serviceAccount: "*"}
""" % tmp_path)
    d = start(config=text)
    tokens = {}
    for name in ("owner", "other"):
        tokens[name] = tmp_path / name
        tokens[name].write_text(signer.token(
            jose.service_account(name=name), kid="k"))

    def as_(name, *args, **kwargs):
        return call(kssh, "--plaintext", "--token-file", tokens[name], *args,
                    "127.0.0.1:%d" % d.port, **kwargs)
    with d.stub(token=tokens["owner"].read_text()) as s:
        t = Talk(s, "Shell", "sh-own-1").start(detach_on_close=True)
        t.expect("$ ")
        t.cancel()

        def listed_by(name):
            return json.loads(as_(name, "--list", "--json").stdout)
        harness.eventually(lambda: listed_by("owner"), "detached")
        assert listed_by("other") == []
        nothing = as_("other", "-tt", "--attach", "sh-nil-1")
        theirs = as_("other", "-tt", "--attach", "sh-own-1")
        one_line(theirs, "sh-own-1: no such session")
        assert theirs.stderr.replace(b"own", b"nil") == nothing.stderr
        one_line(as_("other", "-tt", "--attach", "sh-own"), "no such session")
        r = as_("owner", "-tt", "--attach", "sh-own", input=b"exit\n")
        assert r.returncode == 0


# -- servers that are not ours -------------------------------------------------

class Fake(grpc.GenericRpcHandler):
    """A gRPC server with the methods a test gives it, on a port of ours."""

    def __init__(self, **methods):
        self.methods = dict({"Handshake": lambda req, ctx:
                             system.HandshakeResponse(accepted=True)},
                            **methods)
        self.seen = []
        pool = concurrent.futures.ThreadPoolExecutor(4)
        self.server = grpc.server(pool)
        self.server.add_generic_rpc_handlers((self,))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def service(self, details):
        name = details.method.rpartition("/")[2]
        self.seen.append(dict(details.invocation_metadata))
        if name not in self.methods:
            return None
        module = system if name == "Handshake" else ssh
        kwargs = {"request_deserializer":
                  getattr(module, name + "Request").FromString,
                  "response_serializer": lambda m: m.SerializeToString()}
        if name == "Shell":
            return grpc.stream_stream_rpc_method_handler(
                self.methods[name], **kwargs)
        return grpc.unary_unary_rpc_method_handler(self.methods[name],
                                                   **kwargs)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.server.stop(None).wait()


def to(fake):
    return ["--plaintext", "127.0.0.1:%d" % fake.port]


def taken(req, ctx):
    return ssh.AcquireSessionResponse(success=True, lock_id="lk-0123")


@pytest.mark.parametrize("code", [CODE.DEADLINE_EXCEEDED,
                                  CODE.FAILED_PRECONDITION])
def test_expired_lock(kssh, code):  # noqa: F811
    """The platform's own daemon and ours have two codes for it."""
    def shell(requests, ctx):
        assert next(requests).start_request.lock_id == "lk-0123"
        ctx.abort(code, "the lock has expired")
        yield
    with Fake(AcquireSession=taken, Shell=shell) as f:
        one_line(call(kssh, "-tt", "--attach", "sh-1", *to(f)), "expired",
                 "try again")


def test_session_that_ends_under_our_hands(kssh):  # noqa: F811
    def shell(requests, ctx):
        next(requests)
        ctx.abort(CODE.NOT_FOUND, "no such lock or session")
        yield
    with Fake(AcquireSession=taken, Shell=shell) as f:
        one_line(call(kssh, "-tt", "--attach", "sh-1", *to(f)), "just ended")


def test_server_that_ignores_the_size_is_told_again(terminal):  # noqa: F811
    sizes = []

    def shell(requests, ctx):
        start = next(requests).start_request
        assert start.detach_on_close and start.usePty
        yield ssh.ShellResponse(start_response=ssh.ShellStartResponse())
        harness.eventually(lambda: sizes, "a size")
        yield ssh.ShellResponse(terminate=True)

    def resize(req, ctx):
        sizes.append((dict(ctx.invocation_metadata())["session-id"],
                      req.width, req.height))
        return ssh.ResizeTerminalResponse()

    with Fake(AcquireSession=taken, Shell=shell, ResizeTerminal=resize) as f:
        t = terminal()
        t.kssh("--attach", "sh-1", *to(f))
        assert t.status() == 0
        assert sizes == [("sh-1", 90, 30)]


def test_server_that_knows_no_ttl(kssh):  # noqa: F811
    evil = "sh-1\x1b]0;x\x07"
    rows = [ssh.AcquirableSession(session_id="sh-2", owner="al", pid=7,
                                  created="2026-01-02T03:04:05Z"),
            ssh.AcquirableSession(session_id=evil, ttl_seconds=-1)]

    def sessions(req, ctx):
        return ssh.ListSessionsResponse(sessions=rows)
    with Fake(ListSessions=sessions) as f:
        r = call(kssh, "--list", *to(f))
        assert r.returncode == 0 and b"\x1b" not in r.stdout
        lines = r.stdout.decode().splitlines()
        assert lines[1].split()[-1] == "\u221e"
        assert lines[2].split() == ["sh-2", "al", "7", "2026-01-02T03:04:05Z",
                                    "DETACHED", "-"]
        rows = json.loads(call(kssh, "--list", "--json", *to(f)).stdout)
        assert "ttl_seconds" not in rows[1] and rows[0]["ttl_seconds"] == -1


def test_full_disk_is_told(kssh):  # noqa: F811
    with Fake(ListSessions=lambda req, ctx: ssh.ListSessionsResponse()) as f, \
            open("/dev/full", "wb") as full:
        for more in ([], ["--json"]):
            r = call(kssh, "--list", *more, *to(f), stdout=full)
            assert r.returncode == TROUBLE
            assert b"No space left on device" in r.stderr


# -- whom the token is shown -----------------------------------------------------

STRANGER = r"""
import concurrent.futures, sys, grpc
class Ear(grpc.GenericRpcHandler):
    def service(self, details):
        print(dict(details.invocation_metadata).get("authorization"),
              flush=True)
s = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
s.add_generic_rpc_handlers((Ear(),))
print(s.add_insecure_port("127.0.0.1:0"), flush=True)
s.start()
sys.stdin.read()
"""


def heard(kssh, run_dir, uid, *args):  # noqa: F811
    """What a server of that uid on loopback is shown; and kssh's result."""
    p = subprocess.Popen([sys.executable, "-c", STRANGER], user=uid, cwd="/",
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL)
    try:
        port = int(p.stdout.readline())
        r = call(kssh, "--run-dir", run_dir, "--plaintext", *args,
                 "127.0.0.1:%d" % port, "true")
        return p.stdout.readline().decode().strip(), r
    finally:
        p.stdin.close()
        p.wait(harness.DEADLINE)
        p.stdout.close()


@pytest.fixture
def tokened(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir(0o700)
    (folder / "token").write_text("secret-of-ours\n")
    return folder


def test_token_is_not_shown_to_a_stranger_on_loopback(
        kssh, tokened, home):  # noqa: F811
    text, r = heard(kssh, tokened, harness.UID)
    assert text == "None" and r.returncode == TROUBLE
    # Said explicitly, it is what the user wants.
    text, _ = heard(kssh, tokened, harness.UID, "--token-file",
                    tokened / "token")
    assert text == "Bearer secret-of-ours"


def test_token_is_shown_to_a_listener_of_our_own(kssh, tokened):  # noqa: F811
    text, _ = heard(kssh, tokened, os.geteuid())
    assert text == "Bearer secret-of-ours"


def test_token_that_was_not_sent_is_spoken_of(
        kssh, tokened, home):  # noqa: F811
    """A daemon of somebody else wants one: the user learns what to do."""
    folder = tokened.parent / "theirs"
    folder.mkdir()
    os.chown(folder, harness.UID, harness.GID)
    for f in (tokened.parent, *tokened.parent.parents):
        if str(f).startswith("/tmp/") and not os.stat(f).st_mode & 1:
            os.chmod(f, 0o711)
    d = harness.Daemon(folder, config=None, args=["--port", "0"],
                       user=harness.UID)
    try:
        r = call(kssh, "--run-dir", tokened, "--plaintext",
                 "127.0.0.1:%d" % d.port, "true")
        one_line(r, "token was not sent", "--token-file")
        with open(os.path.join(d.run_dir, "token")) as f:
            assert f.read() not in r.stderr.decode()
    finally:
        d.stop()


def test_own_standalone_daemon_without_tls_needs_no_option(
        kssh, tmp_path):  # noqa: F811
    d = harness.Daemon(tmp_path, config=None, args=["--port", "0"])
    try:
        for host in ("127.0.0.1", "localhost"):
            r = call(kssh, "--run-dir", d.run_dir, "--plaintext",
                     "%s:%d" % (host, d.port), "echo in")
            assert r.stdout == b"in\n", r.stderr
    finally:
        d.stop()


# -- how long it waits -----------------------------------------------------------

def test_ConnectTimeout_above_ten_seconds(kssh, tmp_path):  # noqa: F811
    """Silent servers, with and without TLS: the user's time counts, and not
    the 10 s that a connection gets otherwise."""
    cert, _ = harness.make_cert(str(tmp_path))
    with Listener() as a, Listener() as b:
        begin = time.monotonic()
        both = [subprocess.Popen([kssh, "-oConnectTimeout=12"] + how,
                                 stdin=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE)
                for how in (["--plaintext", a, "true"],
                            ["--ca", cert, b, "true"])]
        for p in both:
            _, err = p.communicate(timeout=60)
            assert time.monotonic() - begin > 11.5
            assert p.returncode == TROUBLE and b"timed out" in err, err


def test_late_server_is_waited_for(kssh, own):  # noqa: F811
    """It answers after 11 s, and all is well."""
    os.kill(own.pid, signal.SIGSTOP)
    try:
        p = subprocess.Popen([kssh, "--run-dir", own.run_dir,
                              "-oConnectTimeout=30", ".", "echo late"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        time.sleep(11)
        assert p.poll() is None
    finally:
        os.kill(own.pid, signal.SIGCONT)
    assert p.communicate(timeout=30)[0] == b"late\n" and p.returncode == 0
