"""Sessions against others who want them (T15), and against what they once
said (T16)."""

import contextlib
import os
import re
import shutil
import subprocess
import time

import grpc
import pytest

import harness
import jose
import rest
from harness import Talk, ssh
from rest import API
from test_rest_threats import AsOther
from test_sessions import acquire, attach, config, detached, leave, listed
from test_sessions import shell

CODE = grpc.StatusCode


# -- T15: whose session it is ---------------------------------------------------

class Prison:
    """A daemon, and a client of it for each of two service accounts."""

    def __init__(self, start, folder):
        key = jose.Key(folder)
        (folder / "jwks.json").write_text(jose.jwks(("k", key)))
        self.daemon = start(config=config().replace(
            "shells:", "    authEnabled: true\n    audience: k8shelld\n"
            "    issuerURL: https://issuer.test\n"
            "    jwksFile: %s/jwks.json\n    allowed:\n"
            "    - {namespace: prod, serviceAccount: '*'}\nshells:" % folder))
        self.stack = contextlib.ExitStack()
        self.mine, self.yours = [
            self.stack.enter_context(self.daemon.stub(token=key.token(
                jose.service_account(name=name, life=3600), kid="k")))
            for name in ("ssh-proxy", "web-proxy")]


@pytest.fixture
def two(start, tmp_path):
    p = Prison(start, tmp_path)
    with p.stack:
        yield p


def answer(call, *args, **kwargs):
    """All that a caller learns: the message, or status and text."""
    try:
        return call(*args, timeout=10, **kwargs).SerializeToString()
    except grpc.RpcError as e:
        return e.code(), e.details()


def resize(stub, id):
    return answer(stub.ResizeTerminal, ssh.ResizeTerminalRequest(
        width=99, height=33), metadata=stub.metadata + [("session-id", id)])


def cwd(stub, id):
    return answer(stub.GetCWD, ssh.GetCWDRequest(shell_id=id),
                  metadata=stub.metadata)


def lock_of(stub, id):
    return answer(stub.AcquireSession, ssh.AcquireSessionRequest(
        session_id=id), metadata=stub.metadata)


def ended_as(t):
    t.finish()
    return t.call.code(), t.call.details(), len(t.messages)


@pytest.mark.parametrize("state", ["attached", "detached"])
def test_T15_a_session_of_another_subject_is_an_unknown_one(two, state):
    t = shell(two.mine, "sh-t15-1")
    if state == "detached":
        leave(t, "chord")
    for ask in (resize, cwd, lock_of):
        assert ask(two.yours, "sh-t15-1") == ask(two.yours, "sh-nobody")
        assert ask(two.mine, "sh-t15-1") != ask(two.mine, "sh-nobody")
    found = two.yours.ListSessions(ssh.ListSessionsRequest(),
                                   metadata=two.yours.metadata)
    assert not found.sessions
    # The size others asked for is not there.
    if state == "detached":
        lock = ssh.AcquireSessionResponse.FromString(
            lock_of(two.mine, "sh-t15-1"))
        assert not lock.success         # the loop above has taken it
    else:
        t.type("stty size\n")
        t.expect("33 99")               # ours, said last
        t.cancel()


def test_T15_a_lock_is_for_the_subject_it_was_given_to(two):
    t = shell(two.mine, "sh-t15-2")
    leave(t, "chord")
    lock = ssh.AcquireSessionResponse.FromString(
        lock_of(two.mine, "sh-t15-2")).lock_id
    assert len(lock) == 35              # "lk-" and 128 bits in hex
    stolen = Talk(two.yours, "Shell", "sh-t15-3").start(lock_id=lock)
    unknown = Talk(two.yours, "Shell", "sh-t15-3").start(
        lock_id="lk-" + 32 * "0")
    assert ended_as(stolen) == ended_as(unknown)
    assert stolen.call.code() == CODE.NOT_FOUND
    # The shell is there still, and its owner's.
    assert cwd(two.mine, "sh-t15-2") != cwd(two.mine, "sh-nobody")


def test_T15_without_authentication_all_sessions_are_the_users(start):
    """Also what kbox has started; what is listed can be had."""
    d = start(config=config())
    a = rest.ask(d.rest_sock, "POST", API + "/shells", '{"name": "sh-t15-5"}')
    assert a.status == 201
    with d.stub() as stub:
        assert list(listed(stub)) == ["sh-t15-5"]
        assert resize(stub, "sh-t15-5") == b""
        assert b"/" in cwd(stub, "sh-t15-5")
        t = attach(stub, "sh-t15-5")
        t.type("stty size; exit\n")
        t.expect("24 80")
        t.finish()


def test_T15_another_uid_learns_and_changes_nothing(start):
    with rest.public_folder() as folder:
        sock = os.path.join(folder, "k8shelld.sock")
        d = start(config=config(), args=["--socket", sock])
        rest.appears(sock)
        with d.stub() as stub:
            t = shell(stub, "sh-t15-4")
            for id in ("sh-t15-4", "sh-nobody"):
                for method, verb in (("POST", "/attach"), ("POST", "/detach"),
                                     ("POST", "/resize"), ("DELETE", "")):
                    with AsOther(sock) as c:
                        a = c.ask(method, "%s/shells/%s%s" % (API, id, verb),
                                  '{"width": 9, "height": 9}')
                        assert a.status == 403 and id not in a.text
            t.type("stty size; echo al''ive\n")
            t.expect("alive")
            assert b"24 80" in t.data
            t.cancel()


# -- T16: what a replay must not do ------------------------------------------------

# What a terminal is asked, and what one that knows it all would answer.
QUESTIONS = {
    rb"\x1b\[6n": b"\x1b[1;1R", rb"\x1b\[5n": b"\x1b[0n",
    rb"\x1b\[\?6n": b"\x1b[?1;1;1R",
    rb"\x1b\[0?c": b"\x1b[?62;c", rb"\x1b\[>0?c": b"\x1b[>1;2;3c",
    rb"\x1b\[=0?c": b"\x1bP!|0\x1b\\", rb"\x1bZ": b"\x1b[?62;c",
    rb"\x1b\[>0?q": b"\x1bP>|term\x1b\\",
    rb"\x1b\[\??\d+\$p": b"\x1b[?25;1$y",
    rb"\x1b\[\?u": b"\x1b[?1u", rb"\x1b\[[01]?x": b"\x1b[2;1;1;1;1;1;0x",
    rb"\x1b\[(?:1[1-9]|2[01])t": b"\x1b[8;24;80t",
    rb"\x1b\]1[0-9];\?(?:\x07|\x1b\\)": b"\x1b]11;rgb:0/0/0\x07",
    rb"\x1b\]4;\d+;\?(?:\x07|\x1b\\)": b"\x1b]4;1;rgb:0/0/0\x07",
    rb"\x1b\]52;c;\?(?:\x07|\x1b\\)": b"\x1b]52;c;cm0gLXJm\x07",
    rb"\x1bP\$q[^\x1b]*\x1b\\": b"\x1bP1$r0m\x1b\\",
    rb"\x1bP\+q[^\x1b]*\x1b\\": b"\x1bP1+r544e=78\x1b\\",
    rb"\x05": b"answerback",
}
ASKED = (r"\033[6n\033[5n\033[?6n\033[c\033[0c\033[>c\033[=c\033Z\033[>q"
         r"\033[?25$p\033[4$p\033[?u\033[x\033[18t\033[21t"
         r"\033]11;?\007\033]10;?\033\\\033]4;1;?\007\033]52;c;?\007"
         r"\033P$qm\033\\\033P+q544e\033\\\005")

# Asks, waits for a file, then shows what has been typed meanwhile.
PROGRAM = ("stty raw -echo min 0 time 0; sleep 0.1; printf 'be''gin%s'; "
           "printf 'as''ked'; while ! test -e %s; do sleep 0.05; done; "
           "printf 'READ<'; cat | od -An -v -tx1 | tr -d ' \\n'; "
           "printf '>'; stty sane\n")


def answer_questions(t, seconds=1.0):
    """Be a terminal for a while: answer what comes."""
    at = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for m in re.finditer(b"|".join(QUESTIONS), bytes(t.data[at:])):
            for question, said in QUESTIONS.items():
                if re.fullmatch(question, m[0]):
                    t.type(said)
                    break
            at += m.end()
        time.sleep(0.05)


@pytest.fixture
def served(start):
    d = start(config=config())
    with d.stub() as s:
        yield d, s


@pytest.mark.parametrize("replayed", [True, False])
def test_T16_the_shell_reads_nothing_after_a_replay(served, home, replayed):
    """Not replayed: the same is answered, so the terminal here is one."""
    go = os.path.join(home, "t16-go-%d" % replayed)
    _, stub = served
    t = shell(stub, "sh-t16-2")
    t.type(PROGRAM % (ASKED, go))
    t.expect("asked")
    if replayed:
        leave(t, "chord")
        t = attach(stub, "sh-t16-2")
        t.expect("asked")
        for question in QUESTIONS:
            assert not re.search(question, bytes(t.data)), question
    answer_questions(t)
    open(go, "w").close()
    t.wait(lambda: re.search(rb"READ<[0-9a-f]*>", t.data), "what was read")
    read = bytes.fromhex(re.search(rb"READ<([0-9a-f]*)>", t.data)[1].decode())
    if replayed:
        assert read == b""
    else:
        assert b"\x1b[1;1R" in read and read.count(b"\x1b") > 20
    t.cancel()


def test_T16_a_terminal_of_the_world_answers_nothing_either(served, home,
                                                           tmp_path):
    """tmux knows the usual questions; kbox is the client."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    d, stub = served
    go = os.path.join(home, "t16-go-tmux")
    t = shell(stub, "sh-t16-3")
    t.type(PROGRAM % (ASKED, go))
    t.expect("asked")
    leave(t, "chord")
    tmux = ["tmux", "-S", str(tmp_path / "tmux"), "-f", "/dev/null"]
    subprocess.run(tmux + ["new-session", "-d", "-x", "80", "-y", "24",
                           "%s kbox --socket %s attach sh-t16-3"
                           % (harness.BINARY, d.rest_sock)], check=True)

    def screen():
        return subprocess.run(tmux + ["capture-pane", "-p"],
                              capture_output=True, check=True).stdout
    try:
        harness.eventually(lambda: b"asked" in screen(), "the replay")
        time.sleep(0.5)
        open(go, "w").close()
        harness.eventually(lambda: b"READ<>" in screen(), "nothing was read")
    finally:
        subprocess.run(tmux + ["kill-server"])
    detached(stub, "sh-t16-3")


UNIT = "a\u00e9\u20ac\U0001f600\033[38;5;123mb\033]0;t\007"


def test_T16_a_ring_never_starts_inside_a_character_or_a_sequence(served):
    """Full rings, cut at each place of what is repeated in them."""
    _, stub = served
    t = shell(stub, "sh-t16-4", detach_on_close=True)
    t.type("stty -echo -onlcr; PS1=; u=$(printf '%s'); w() { yes \"$u\" | "
           "head -n 12000; printf '%%*sDONE%%d.\\n' $1 '' $1; }\n"
           % UNIT.replace("\033", r"\033").replace("\007", r"\007"))
    whole = re.compile("(\033\\[38;5;123m|\033\\]0;t\007|[a\u00e9\u20ac"
                       "\U0001f600b\n]| *DONE\\d+\\.)")
    begun = set()
    for i in range(1, len(UNIT.encode()) + 2):
        t.type("w %d\n" % i)
        t.expect("DONE%d." % i)
        leave(t, "cancel")
        detached(stub, "sh-t16-4")
        t = attach(stub, "sh-t16-4", detach_on_close=True)
        t.expect("DONE%d." % i)
        assert len(t.data) > 250000
        text = t.data.decode("utf-8")
        # What makes the terminal what it was at that place comes first.
        restored = re.match(r"(\x1b(\[[0-9;?]*[A-Za-z]|\([A-B0]))*", text)
        pieces = whole.split(text)
        assert set(pieces[2::2]) == {""}
        assert pieces[0] in ("", restored[0])
        begun.add(pieces[1])
    assert len(begun) >= 5              # the places did differ
    t.type("exit\n")
    t.finish()
