"""kssh as its users meet it: a person, a script, git, rsync, scp and sftp."""

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pexpect
import pytest

import harness

TROUBLE = 255


@pytest.fixture(scope="module")
def kssh(tmp_path_factory):
    """The client under its own name, as other programs call it."""
    path = tmp_path_factory.mktemp("bin") / "kssh"
    path.symlink_to(harness.BINARY)
    return str(path)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A standalone daemon of the user who runs the tests."""
    d = harness.Daemon(tmp_path_factory.mktemp("own"), config=None)
    yield d
    d.stop()


@pytest.fixture(scope="module", params=["ec", "rsa"])
def tcp(request, tmp_path_factory, ec_cert, rsa_cert):
    """The same with TLS on a port of loopback, callers present its token."""
    cert, key = {"ec": ec_cert, "rsa": rsa_cert}[request.param]
    d = harness.Daemon(tmp_path_factory.mktemp("tcp"), config=None,
                       args=["--port", "0", "--cert", cert, "--key", key])
    d.cert = cert
    yield d
    d.stop()


@pytest.fixture
def run(kssh, own):
    """run("-n", ".", "id"): kssh to our daemon; bytes in, bytes out."""
    def go(*args, **kwargs):
        return call(kssh, "--run-dir", own.run_dir, *args, **kwargs)
    return go


@pytest.fixture
def script(kssh, own):
    """script('$K . id | wc'): a line of sh, or of another shell."""
    def go(text, shell="sh", **kwargs):
        return call(shell, "-c", text.replace("$K", "\"$0\" --run-dir \"$1\""),
                    kssh, own.run_dir, **kwargs)
    return go


@pytest.fixture
def at_home(own, tmp_path):
    """An environment in which our daemon is where kssh looks by itself."""
    folder = tmp_path / "k8shell"
    folder.mkdir(0o700)
    (folder / "grpc.sock").symlink_to(own.sock)
    return dict(os.environ, XDG_RUNTIME_DIR=str(tmp_path))


def call(*argv, **kwargs):
    if "stdin" not in kwargs and "input" not in kwargs:
        kwargs["stdin"] = subprocess.DEVNULL
    kwargs.setdefault("stdout", subprocess.PIPE)
    kwargs.setdefault("stderr", subprocess.PIPE)
    kwargs.setdefault("timeout", harness.DEADLINE)
    return subprocess.run([a if isinstance(a, bytes) else str(a)
                           for a in argv], **kwargs)


def tcp_args(d, token=None):
    return ["--ca", d.cert, "--tls-name", "localhost", "--token-file",
            token or os.path.join(d.run_dir, "token"),
            "127.0.0.1:%d" % d.port]


# -- one command ---------------------------------------------------------------

@pytest.mark.parametrize("command, status", [
    ("true", 0), ("exit 1", 1), ("exit 3", 3), ("exit 255", 255),
    ("kill -TERM $$", 143), ("kill -KILL $$", 137), ("no-such-command", 127),
])
def test_exit_status_is_the_commands(run, command, status):
    assert run(".", command).returncode == status


def test_output_and_errors_stay_apart(run):
    r = run(".", "echo out; echo err >&2")
    assert (r.stdout, r.stderr) == (b"out\n", b"err\n")


def test_arguments_are_joined_by_blanks(run):
    assert run(".", "echo", "a", "'b  c'").stdout == b"a b  c\n"


def test_options_may_follow_the_target_but_not_the_command(run):
    assert run(".", "-T", "echo", "-T").stdout == b"-T\n"


def test_empty_command_is_a_shell(run):
    assert run(".", "", input=b"echo $((6 * 7))\nexit\n").stdout == b"42\n"


# -- standard input and output -------------------------------------------------

def random_file(path, n):
    """n bytes that compress and repeat nowhere."""
    with open(path, "wb") as f:
        p = subprocess.Popen(
            ["openssl", "enc", "-aes-128-ctr", "-K", "42" * 16, "-iv",
             "00" * 16, "-in", "/dev/zero"], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        left = n
        while left > 0:
            piece = p.stdout.read(min(left, 1 << 20))
            f.write(piece)
            left -= len(piece)
        p.stdout.close()
        p.terminate()
        p.wait()


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    path = tmp_path_factory.mktemp("big") / "data"
    random_file(path, 24 << 20)
    return path


def digest(data):
    return hashlib.sha256(data).hexdigest()


def test_stdin_is_a_file(run, big):
    with open(big, "rb") as f:
        r = run(".", "cat", stdin=f)
    assert r.returncode == 0
    assert digest(r.stdout) == digest(big.read_bytes())


def test_stdin_is_a_pipe_and_the_far_reader_is_slow(run, big):
    r = run(".", "sleep 1; sha256sum", input=big.read_bytes())
    assert r.stdout.split()[0].decode() == digest(big.read_bytes())


def test_reader_here_is_slow(script, big):
    r = script("$K . cat <'%s' | (sleep 1; sha256sum)" % big)
    assert r.stdout.split()[0].decode() == digest(big.read_bytes())


def test_stdin_trickles(script):
    """Ends only after the last piece, and each is sent as it comes."""
    r = script("(echo a; sleep 0.3; echo b) | $K . 'read x; echo got $x; cat'")
    assert r.stdout == b"got a\nb\n"


def test_stdin_dev_null_and_n(run):
    assert run(".", "cat; echo end").stdout == b"end\n"
    r = run("-n", ".", "cat; echo end", input=b"unread\n")
    assert r.stdout == b"end\n"


def test_streams_that_are_closed(script):
    """Nothing of ours comes to be number 0, 1 or 2."""
    for redirect, out in (("<&-", b"x\n"), (">&-", b""), ("2>&-", b"x\n"),
                          ("<&- >&- 2>&-", b"")):
        r = script("$K . 'cat; echo x' </dev/null " + redirect)
        assert (r.returncode, r.stdout, r.stderr) == (0, out, b""), redirect


def test_standard_input_that_cannot_be_read(script):
    r = script("$K . 'cat; echo x' </")
    assert r.stdout == b"x\n"
    assert b"standard input: Is a directory" in r.stderr


def test_full_disk_is_told(run):
    with open("/dev/full", "wb") as full:
        r = run(".", "echo x", stdout=full)
    assert r.returncode == TROUBLE
    assert b"No space left on device" in r.stderr


def test_reader_that_leaves_ends_it_quietly(script, own):
    begin = time.monotonic()
    r = script("$K . yes | head -n 1; echo ${PIPESTATUS[0]}", shell="bash")
    assert r.stdout == b"y\n141\n" and r.stderr == b""
    assert time.monotonic() - begin < 5
    harness.eventually(lambda: not far_children(own), "yes is gone")


def far_children(daemon):
    path = "/proc/%d/task/%d/children" % (daemon.pid, daemon.pid)
    with open(path) as f:
        return f.read().split()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGHUP,
                                 signal.SIGINT, signal.SIGQUIT])
def test_signal_ends_it_while_nobody_takes_the_output(kssh, own, sig):
    p = subprocess.Popen([kssh, "--run-dir", own.run_dir, ".", "yes"],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    p.stdout.read(1)
    time.sleep(0.3)         # all queues on the way are full
    p.send_signal(sig)
    assert p.wait(5) == 128 + sig
    p.stdout.close()
    harness.eventually(lambda: not far_children(own), "yes is gone")


def test_ignored_hangup_stays_ignored(kssh, own):
    """nohup kssh ... & goes on when its terminal goes."""
    p = subprocess.Popen(["nohup", kssh, "--run-dir", own.run_dir, ".",
                          "echo on; read x; echo $x"], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert p.stdout.readline() == b"on\n"
    p.send_signal(signal.SIGHUP)
    assert p.communicate(b"still here\n", 10)[0] == b"still here\n"
    assert p.returncode == 0


# -- a terminal ----------------------------------------------------------------

class Terminal:
    """A shell on a terminal of its own, in which kssh is started."""

    def __init__(self, kssh, run_dir, shell=("/bin/sh",)):
        env = dict(os.environ, PS1="$ ", TERM="xterm", KSSH=kssh,
                   RUN=run_dir, ENV="")
        self.child = pexpect.spawn(shell[0], list(shell[1:]), env=env,
                                   echo=False, timeout=harness.DEADLINE,
                                   dimensions=(30, 90))
        self.child.delaybeforesend = None
        self.before = self.settings("before")

    def type(self, text):
        self.child.send(text)

    def expect(self, pattern):
        self.child.expect(pattern)
        return self.child.match

    def settings(self, mark):
        self.type("echo %s=$(stty -g)=\r" % mark)
        return self.expect(mark + r"=([0-9a-f:]+)=\r\n").group(1)

    def kssh(self, *args):
        """Starts it; its far shell has answered when this returns."""
        line = " ".join(["\"$KSSH\" --run-dir \"$RUN\""] + list(args))
        self.type(line + "; echo status=$?=\r")

    def far_shell(self):
        self.kssh()
        self.type("stty -echo; PS1='far> '; echo re''ady\r")
        self.expect("ready\r\n")

    def kssh_pid(self):
        def find():
            with open("/proc/%d/task/%d/children"
                      % (self.child.pid, self.child.pid)) as f:
                for pid in f.read().split():
                    with open("/proc/%s/cmdline" % pid, "rb") as f:
                        if b"--run-dir" in f.read():
                            return int(pid)
        return harness.eventually(find, "kssh runs")

    def status(self):
        return int(self.expect(r"status=(\d+)=\r\n").group(1))

    def close(self):
        self.child.close(force=True)


@pytest.fixture
def terminal(kssh, own):
    opened = []

    def begin(run_dir=own.run_dir, **kwargs):
        opened.append(Terminal(kssh, run_dir, **kwargs))
        return opened[-1]
    yield begin
    for t in opened:
        t.close()
    harness.eventually(lambda: own.proc.poll() is not None
                       or not far_children(own), "far processes are gone")


def test_shell_on_a_terminal(terminal):
    t = terminal()
    t.far_shell()
    t.type("echo $((20 + 22)) $TERM; tty; stty size\r")
    t.expect(r"42 xterm\r\n/dev/pts/\d+\r\n30 90\r\n")
    t.type("exit 5\r")
    assert t.status() == 0      # the protocol has no status for a shell
    assert t.settings("after") == t.before


def test_control_characters_reach_the_far_side(terminal):
    t = terminal()
    t.far_shell()
    t.type("echo sta''rt; sleep 100\r")
    t.expect("start\r\n")
    time.sleep(0.2)
    t.type("\x03")
    t.type("echo inter''rupted\r")
    t.expect("interrupted\r\n")
    t.expect("far> ")
    t.type("\x04")
    assert t.status() == 0


@pytest.mark.parametrize("how", ["shell", "command"])
def test_window_change_arrives(terminal, how):
    t = terminal()
    if how == "shell":
        t.far_shell()
    else:
        t.kssh("-t", ".", "'stty -echo; echo ready; exec sh'")
        t.expect("ready\r\n")
    t.type("trap 'stty size' WINCH\r")
    t.child.setwinsize(41, 101)
    t.type("\r")
    for _ in range(100):        # the change and the question may race
        t.type("stty size\r")
        if t.expect(r"(\d+ \d+)\r\n").group(1) == b"41 101":
            break
        time.sleep(0.05)
    else:
        pytest.fail("the far terminal never had 41 rows")


ENDS = {
    "exit": 0, "leave": TROUBLE, "daemon": TROUBLE,
    "TERM": 143, "HUP": 129, "INT": 130, "QUIT": 131,
}


@pytest.mark.parametrize("how", sorted(ENDS))
def test_terminal_is_itself_again_after(terminal, start_own, how):
    d = start_own()
    t = terminal(d.run_dir)
    t.far_shell()
    if how == "exit":
        t.type("exit\r")
    elif how == "leave":
        t.type("\r~.")
        t.expect("connection ended by ~")
    elif how == "daemon":
        d.stop(signal.SIGKILL)
        t.expect("kssh: connection")
    else:
        os.kill(t.kssh_pid(), getattr(signal, "SIG" + how))
    assert t.status() == ENDS[how]
    assert t.settings("after") == t.before


@pytest.fixture
def start_own(tmp_path):
    running = []

    def begin(**kwargs):
        folder = tmp_path / ("own%d" % len(running))
        folder.mkdir()
        running.append(harness.Daemon(folder, config=None, **kwargs))
        return running[-1]
    yield begin
    for d in running:
        d.stop()


def test_terminal_after_stop_and_continue(terminal):
    """Continued twice, it still knows what the terminal was before."""
    t = terminal()
    t.far_shell()
    pid = t.kssh_pid()
    for _ in range(2):
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.1)
    t.type("echo still $((40 + 2))\r")
    t.expect("still 42\r\n")
    t.type("exit\r")
    assert t.status() == 0
    assert t.settings("after") == t.before


def test_escape_suspends_and_fg_resumes(terminal):
    t = terminal(shell=("/bin/bash", "--norc", "--noprofile", "-i"))
    t.far_shell()
    t.type("\r~\x1a")
    t.expect("Stopped")
    assert t.settings("meanwhile") == t.before
    t.type("fg\r")
    t.expect("--run-dir")
    t.type("echo again $((40 + 2))\r")
    t.expect("again 42\r\n")
    t.type("exit\r")
    t.expect(r"exit|\$ ")
    assert t.settings("after") == t.before


def test_escape_help_and_the_character_itself(terminal):
    t = terminal()
    t.kssh("-t", ".", "'stty -echo; echo ready; cat'")
    t.expect("ready\r\n")
    t.type("~?")
    t.expect("Supported escapes:\r\n")
    t.expect("send the escape character\r\n")
    t.type("~~one\ra~.b\r~xtwo\r")
    t.expect("~one\r\na~.b\r\n~xtwo\r\n")
    t.type("~.")
    assert t.status() == TROUBLE


@pytest.mark.parametrize("option", ["-e none", "-e%", "-o EscapeChar=none"])
def test_escape_character_can_be_another(terminal, option):
    t = terminal()
    t.kssh(option, "-t", ".", "'stty -echo; echo ready; cat'")
    t.expect("ready\r\n")
    t.type("~.still\r")
    t.expect("~.still\r\n")
    t.type("%.\r\x04" if "none" in option else "%.")
    assert t.status() == (0 if "none" in option else TROUBLE)


def test_exit_status_with_a_terminal(terminal):
    t = terminal()
    t.kssh("-t", ".", "'tty; exit 9'")
    t.expect("/dev/pts/")
    assert t.status() == 9
    assert t.settings("after") == t.before


def test_vanished_terminal_ends_it(kssh, own):
    """Also where no SIGHUP comes: the terminal is not the controlling one."""
    master, slave = os.openpty()
    p = subprocess.Popen([kssh, "--run-dir", own.run_dir, "."], stdin=slave,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         start_new_session=True)
    os.close(slave)
    assert p.stdout.read(1)
    os.close(master)
    assert p.wait(10) == 128 + signal.SIGHUP
    p.stdout.close()


def test_tt_forces_a_terminal_and_t_says_why_not(run):
    r = run("-tt", ".", "tty")
    assert r.stdout.startswith(b"/dev/pts/")
    r = run("-t", ".", "tty")
    assert b"not a tty" in r.stdout
    assert b"no terminal here" in r.stderr
    r = run("-ttt", ".", "tty")
    assert r.stdout.startswith(b"/dev/pts/")


def test_T_has_no_terminal(terminal):
    t = terminal()
    t.kssh("-T", ".", "tty")
    t.expect("not a tty")
    assert t.status() == 1


# -- trouble ------------------------------------------------------------------

def check_trouble(r, *words):
    text = r.stderr.decode()
    assert r.returncode == TROUBLE, text
    assert r.stdout == b""
    assert text.startswith("kssh: ") and text.endswith("\n")
    for w in words:
        assert w in text, text


def test_255_no_such_socket(kssh, tmp_path):
    check_trouble(call(kssh, "unix:%s/none" % tmp_path, "true"),
                  "%s/none" % tmp_path, "No such file or directory")


def test_255_no_daemon_of_ours(kssh, tmp_path):
    env = dict(os.environ, XDG_RUNTIME_DIR=str(tmp_path))
    check_trouble(call(kssh, ".", "true", env=env),
                  "%s/k8shell" % tmp_path, "is k8shelld --standalone running?")


def test_T9_socket_folder_of_somebody_else_is_not_entered(kssh, at_home):
    """Whoever made it first would read what is typed."""
    folder = at_home["XDG_RUNTIME_DIR"] + "/k8shell"
    assert call(kssh, ".", "echo in", env=at_home).stdout == b"in\n"
    os.chmod(folder, 0o777)
    check_trouble(call(kssh, ".", "echo in", env=at_home), "somebody else")
    os.chmod(folder, 0o700)
    if os.geteuid() == 0:
        os.chown(folder, harness.UID, harness.GID)
        check_trouble(call(kssh, ".", "echo in", env=at_home),
                      "somebody else")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_255_refused(kssh):
    port = free_port()
    check_trouble(call(kssh, "--plaintext", "127.0.0.1:%d" % port, "true"),
                  "127.0.0.1 port %d" % port, "Connection refused")


def test_255_no_such_host(kssh):
    check_trouble(call(kssh, "--plaintext", "no-such-host.invalid", "true"),
                  "no-such-host.invalid")


class Listener:
    """A server that is none of ours: says `hello` and, perhaps, goes."""

    def __init__(self, hello=b"", close=False):
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.hello, self.close_at_once = hello, close
        self.open = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        try:
            while True:
                c = self.sock.accept()[0]
                c.sendall(self.hello)
                if self.close_at_once:
                    c.close()
                else:
                    self.open.append(c)
        except OSError:
            pass

    def __enter__(self):
        return "127.0.0.1:%d" % self.port

    def __exit__(self, *exc):
        for s in [self.sock] + self.open:
            s.close()


@pytest.mark.parametrize("hello", [b"SSH-2.0-OpenSSH_9.2\r\n",
                                   b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_255_not_http2(kssh, hello):
    with Listener(hello) as target:
        check_trouble(call(kssh, "--plaintext", target, "true"),
                      "the first frame is not SETTINGS")


def test_255_closes_at_once(kssh):
    with Listener(close=True) as target:
        check_trouble(call(kssh, "--plaintext", target, "true"), "cannot")


def test_255_says_nothing(kssh):
    with Listener() as target:
        begin = time.monotonic()
        check_trouble(call(kssh, "--plaintext", "-oConnectTimeout=1", target,
                           "true"), "timed out")
        assert 0.9 < time.monotonic() - begin < 8


def test_TR_21_over_TLS_with_a_token(kssh, tcp, big):
    assert call(kssh, *tcp_args(tcp), "echo $((6*7))").stdout == b"42\n"
    with open(big, "rb") as f:
        r = call(kssh, *tcp_args(tcp), "cat", stdin=f)
    assert digest(r.stdout) == digest(big.read_bytes())


def test_own_token_is_found_on_loopback(kssh, tcp):
    r = call(kssh, "--run-dir", tcp.run_dir, "--ca", tcp.cert,
             "localhost:%d" % tcp.port, "echo in")
    assert r.stdout == b"in\n", r.stderr


def test_token_from_a_pipe(kssh, tcp):
    args = tcp_args(tcp, "/dev/stdin")
    with open(os.path.join(tcp.run_dir, "token"), "rb") as f:
        assert call(kssh, "-T", *args, "echo in",
                    input=f.read()).stdout == b"in\n"


def test_255_wrong_ca(kssh, tcp, tmp_path):
    other, _ = harness.make_cert(str(tmp_path))
    args = tcp_args(tcp)
    args[args.index("--ca") + 1] = other
    check_trouble(call(kssh, *args, "true"), "certificate")


def test_255_wrong_name(kssh, tcp):
    args = tcp_args(tcp)
    args[args.index("localhost")] = "other.example"
    check_trouble(call(kssh, *args, "true"), "certificate", "name")


def test_255_no_ca_says_what_to_do(kssh, tcp, tmp_path):
    r = call(kssh, "--ca", tmp_path / "none", "localhost", "true")
    check_trouble(r, "%s/none" % tmp_path)


def test_255_wrong_token(kssh, tcp, tmp_path):
    bad = tmp_path / "token"
    bad.write_text("0" * 64 + "\n")
    check_trouble(call(kssh, *tcp_args(tcp, bad), "true"), "token")


@pytest.mark.parametrize("text", ["", "two words\n", "tab\tbed", "x" * 9000,
                                  "caf\u00e9"])
def test_255_file_that_holds_no_token(kssh, tcp, tmp_path, text):
    bad = tmp_path / "token"
    bad.write_text(text)
    check_trouble(call(kssh, *tcp_args(tcp, bad), "true"), str(bad),
                  "does not hold one token")
    check_trouble(call(kssh, *tcp_args(tcp, tmp_path / "none"), "true"),
                  "No such file")


def test_255_plaintext_to_TLS_and_back(kssh, tcp, own):
    check_trouble(call(kssh, "--plaintext", "127.0.0.1:%d" % tcp.port,
                       "true"), "cannot connect")
    with Listener(b"HTTP/1.1 400 Bad Request\r\n\r\n") as target:
        check_trouble(call(kssh, "--ca", tcp.cert, target, "true"),
                      "cannot connect")


def test_255_connection_lost(kssh, start_own):
    d = start_own()
    p = subprocess.Popen([kssh, "--run-dir", d.run_dir, ".",
                          "echo on; sleep 100"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert p.stdout.readline() == b"on\n"
    d.stop(signal.SIGKILL)
    _, err = p.communicate(timeout=10)
    assert p.returncode == TROUBLE
    assert err.startswith(b"kssh: ") and b"connection" in err.lower()


def test_q_says_nothing_of_it(kssh, tmp_path):
    r = call(kssh, "-q", "unix:%s/none" % tmp_path, "true")
    assert (r.returncode, r.stderr) == (TROUBLE, b"")


def test_dead_peer_does_not_hold_the_exit(kssh, start_own):
    """The daemon is stopped, not gone: the client still leaves at once."""
    d = start_own()
    p = subprocess.Popen([kssh, "--run-dir", d.run_dir, ".",
                          "echo on; sleep 100"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"on\n"
    os.kill(d.pid, signal.SIGSTOP)
    try:
        p.terminate()
        assert p.wait(5) == 143
    finally:
        os.kill(d.pid, signal.SIGCONT)
    p.stdout.close()


# -- options -------------------------------------------------------------------

@pytest.mark.parametrize("args", [
    ["-Z"], ["--colour"], ["-p"], ["-p", "0"], ["-p", "65536"], ["-p", "x"],
    ["-e", "ab"], ["-o", "RequestTTY=perhaps"], ["-o", "SetEnv=x"],
    ["-o", "ConnectTimeout=soon"], ["-s"], ["--ca"], ["[::1:22"], [":22"],
    ["host:http"], ["user@"],
])
def test_what_is_wrong_with_the_command_line(kssh, args):
    check_trouble(call(kssh, *args))


@pytest.mark.parametrize("args", [
    ["-A"], ["-D", "1080"], ["-L", "1:h:2"], ["-R1:h:2"], ["-W", "h:1"],
    ["-N"], ["-f"], ["-J", "h"], ["-w", "0"], ["-O", "exit"],
    ["-Q", "cipher"], ["-oLocalForward=1 h:2"], ["-oForwardAgent=yes"],
    ["-o", "ProxyJump h"], ["-oRemoteCommand=x"],
])
def test_what_is_not_there_yet_is_refused_not_ignored(run, args):
    letter = args[0][:2] if args[0][:2] != "-o" else ""
    check_trouble(run(*args, ".", "true"), "not available yet", letter)


def test_ssh_options_that_mean_nothing_here(run):
    r = run("-2aCkMxXYyKg", "-b", "a", "-c", "aes", "-E/dev/null", "-F", "x",
            "-i", "key", "-I", "x", "-m", "y", "-S", "none", "-oBatchMode=yes",
            "-o", "StrictHostKeyChecking no", "-oForwardAgent=no",
            "-oClearAllForwardings yes", "-oRemoteCommand=none", ".",
            "echo in")
    assert (r.returncode, r.stdout, r.stderr) == (0, b"in\n", b"")


def test_v_tells_more(run):
    r = run("-v", "-oBatchMode=yes", ".", "true")
    assert b"server version" in r.stderr and b"BatchMode" in r.stderr


def test_version_help_and_settings(kssh):
    r = call(kssh, "-V")
    assert r.returncode == 0 and re.match(rb"kssh version: \d", r.stdout)
    assert call(kssh, "--version").stdout == r.stdout
    r = call(kssh, "--help")
    assert r.returncode == 0 and r.stdout.startswith(b"usage: kssh")
    r = call(kssh, "-G", "-p", "99", "al@host.example")
    assert r.returncode == 0
    assert r.stdout.decode().splitlines()[:3] == \
        ["hostname host.example", "port 99", "user al"]


def test_environment_is_sent_on_request(kssh, own):
    env = dict(os.environ, KS_ONE="1", KS_TWO="two words", LANG="C.UTF-8",
               OTHER="no")

    def shown(*args):
        r = call(kssh, "--run-dir", own.run_dir, *args, ".",
                 "echo ${KS_ONE-}:${KS_TWO-}:${OTHER-}:${LANG-}", env=env)
        return r.stdout.decode().rstrip("\n")

    assert shown() == ":::C.UTF-8"
    assert shown("-oSendEnv=KS_ONE") == "1:::C.UTF-8"
    assert shown("-oSendEnv=KS_ONE OTHER") == "1::no:C.UTF-8"
    assert shown("-o", "SendEnv KS_*") == "1:two words::C.UTF-8"
    assert shown("-oSetEnv=LANG=C", "-oSetEnv=KS_ONE=x") == "x:::C"


def test_text_that_is_not_utf8_cannot_be_sent(run):
    check_trouble(run(".", b"echo \xe9"), "command: not valid UTF-8")


def test_SH_07_EX_21_user_option(kssh, start):
    """-l root and root@ ask for root, which needs the sudo right."""
    d = start()
    for args in (["-l", "root", "127.0.0.1"], ["root@127.0.0.1"],
                 ["-oUser=root", "127.0.0.1"]):
        r = call(kssh, "--plaintext", "-p", d.port, *args, "id -u")
        assert (r.returncode, r.stdout) == (TROUBLE, b"")
        assert r.stderr.count(b"sudo right") == 1       # said once
    r = call(kssh, "--plaintext", "-p", d.port, "127.0.0.1", "id -u")
    assert r.stdout.decode() == "%d\n" % harness.UID


# -- called by other programs --------------------------------------------------

def need(program):
    if shutil.which(program) is None:
        pytest.skip("%s is not installed" % program)


@pytest.fixture
def git(kssh, at_home, tmp_path):
    """git("clone", ...) with kssh as its ssh and no configuration."""
    need("git")
    env = dict(at_home, GIT_SSH=kssh, HOME=str(tmp_path),
               GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="a",
               GIT_AUTHOR_EMAIL="a@example.org", GIT_COMMITTER_NAME="a",
               GIT_COMMITTER_EMAIL="a@example.org")
    env.pop("GIT_SSH_VARIANT", None)

    def go(*args, cwd=tmp_path):
        r = call("git", *args, cwd=cwd, env=env)
        assert r.returncode == 0, r.stderr.decode()
        return r.stdout.decode()
    return go


@pytest.mark.parametrize("url", ["ssh://.%s", ".:%s"])
def test_git_clones_and_pushes(git, tmp_path, url):
    bare, work = tmp_path / "bare.git", tmp_path / "work"
    git("init", "-q", "--bare", bare)
    git("clone", "-q", url % bare, work)
    random_file(work / "file", 3 << 20)
    git("add", "file", cwd=work)
    git("commit", "-q", "-m", "one", cwd=work)
    git("push", "-q", "origin", "HEAD:refs/heads/main", cwd=work)
    git("clone", "-q", "-b", "main", url % bare, tmp_path / "again")
    assert (tmp_path / "again" / "file").read_bytes() == \
        (work / "file").read_bytes()
    assert "refs/heads/main" in git("ls-remote", url % bare)


def test_git_finds_out_that_we_are_a_kind_of_ssh(git, kssh, tmp_path):
    """By -G; then it sends its protocol version along."""
    git("init", "-q", "--bare", tmp_path / "bare.git")
    trace = tmp_path / "args"
    wrapper = tmp_path / "some-ssh"
    wrapper.write_text("#!/bin/sh\necho \"$@\" >>'%s'\nexec '%s' \"$@\"\n"
                       % (trace, kssh))
    wrapper.chmod(0o755)
    git("-c", "protocol.version=2", "-c", "core.sshCommand=%s" % wrapper,
        "ls-remote", "ssh://.%s/bare.git" % tmp_path)
    lines = trace.read_text().splitlines()
    assert lines[0].startswith("-G ")
    assert "SendEnv=GIT_PROTOCOL" in lines[1]


def test_rsync_both_ways(kssh, at_home, tmp_path):
    need("rsync")
    src = tmp_path / "src"
    (src / "sub").mkdir(parents=True)
    random_file(src / "big", 5 << 20)
    (src / "sub" / "small").write_text("small\n")
    os.symlink("big", src / "link")

    def rsync(*args):
        r = call("rsync", "-a", "-e", kssh, *args, env=at_home)
        assert (r.returncode, r.stderr) == (0, b"")
        return r.stdout
    rsync("%s/" % src, ".:%s/there/" % tmp_path)
    rsync(".:%s/there/" % tmp_path, "%s/back/" % tmp_path)
    assert call("diff", "-r", "--no-dereference", src,
                tmp_path / "back").returncode == 0
    assert rsync("-i", "%s/" % src, ".:%s/there/" % tmp_path) == b""


def test_scp_the_old_way(kssh, at_home, tmp_path):
    need("scp")
    random_file(tmp_path / "one", 3 << 20)
    for src, dst in (("%s/one", ".:%s/two"), (".:%s/two", "%s/three")):
        r = call("scp", "-O", "-p", "-S", kssh, src % tmp_path,
                 dst % tmp_path, env=at_home)
        assert r.returncode == 0, r.stderr.decode()
    assert (tmp_path / "one").read_bytes() == \
        (tmp_path / "three").read_bytes()
    r = call("scp", "-O", "-S", kssh, ".:%s/none" % tmp_path, tmp_path,
             env=at_home)
    assert r.returncode != 0 and b"No such file" in r.stderr


@pytest.mark.parametrize("program", ["scp", "sftp"])
def test_sftp_is_asked_for(kssh, at_home, tmp_path, program):
    """All their options are understood; the server comes with issue 4."""
    need(program)
    if os.path.exists("/usr/local/bin/sftp"):
        pytest.skip("this machine has an sftp server at our path")
    args = {"scp": ["-r", "-p", "-q", ".:/etc/passwd", str(tmp_path)],
            "sftp": ["-b", "/dev/null", "-p", "."]}[program]
    r = call(program, "-S", kssh, "-P", "22", "-l" if program == "sftp"
             else "-C", *(["1000"] if program == "sftp" else []), *args,
             env=at_home)
    assert r.returncode != 0
    assert b"/usr/local/bin/sftp" in r.stderr, r.stderr
    assert b"unknown option" not in r.stderr


# -- ./build.sh try ------------------------------------------------------------

TRY = os.path.join(harness.ROOT, "tests", "try.sh")


@pytest.fixture
def try_env(tmp_path):
    """TMPDIR is watched: what try made has to be gone after the test."""
    folder = tmp_path / "t"
    folder.mkdir()
    yield dict(os.environ, TMPDIR=str(folder), PS1="$ ")
    mark = str(folder).encode()

    def left():
        found = os.listdir(folder)
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    if mark in f.read():
                        found.append(pid)
            except OSError:
                pass
        return found
    harness.eventually(lambda: not left(), "nothing of try is left", 15)


def test_try_without_a_terminal_gives_a_tour(try_env):
    home = os.path.join(try_env["TMPDIR"], os.pardir, "home")
    os.mkdir(home)
    r = call("sh", TRY, env=dict(try_env, HOME=home), timeout=60)
    text = r.stdout.decode()
    assert os.listdir(home) == []
    assert (r.returncode, r.stderr) == (0, b""), r.stderr.decode()
    for words in ("hello from pid", "\n(exit status 3)\n", "HELLO, PIPE",
                  "with a terminal: /dev/pts/", "a login shell: ",
                  "\ntick  running ", "\ntick has ended, exit status 143\n",
                  "memory of the daemon: ", "Stopped; nothing is left"):
        assert words in text, text


def test_try_on_a_terminal_opens_a_shell(try_env):
    c = pexpect.spawn("sh", [TRY], env=try_env, timeout=60)
    c.expect("A shell through k8shelld")
    c.send("stty -echo; echo in $((40 + 2))\r")
    c.expect("in 42\r\n")
    c.send("exit\r")
    c.expect("Stopped; nothing is left running")
    c.expect(pexpect.EOF)
    c.close()
    assert c.exitstatus == 0


@pytest.mark.parametrize("sig, status", [("TERM", 143), ("HUP", 143),
                                         ("INT", 130)])
def test_try_interrupted_on_a_terminal(try_env, sig, status):
    c = pexpect.spawn("sh", ["-c", "before=$(stty -g); sh '%s'; echo $?=;"
                             " [ \"$(stty -g)\" = \"$before\" ] &&"
                             " echo as it was" % TRY],
                      env=try_env, timeout=60)
    c.expect("A shell through k8shelld \\(pid (\\d+)\\)")
    with open("/proc/%d/stat" % int(c.match.group(1))) as f:
        script = int(f.read().rpartition(")")[2].split()[1])
    c.send("stty -echo; echo in $((40 + 2)); sleep 1000\r")
    c.expect("in 42\r\n")
    os.kill(script, getattr(signal, "SIG" + sig))
    c.expect("%d=\r\n" % status)
    c.expect("as it was")
    c.close()


def test_try_interrupted_on_its_tour(try_env):
    p = subprocess.Popen(["sh", TRY], env=try_env, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, start_new_session=True)
    assert p.stdout.readline().startswith(b"k8shelld runs")
    os.killpg(p.pid, signal.SIGINT)
    assert p.wait(20) == 130
    p.stdout.close()
