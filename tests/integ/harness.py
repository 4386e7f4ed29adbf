"""Start the real daemon and talk to it with foreign clients.

Daemon starts build/k8shell (or $K8SHELL) with a config of its own and stops it
again, checking that it leaves no process behind.  Stub is the platform's kind
of client: grpcio with the messages protoc makes from proto/.
"""

import atexit
import contextlib
import importlib
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import grpc
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build")


def for_everybody(path):
    """The file, or a copy where other users can get at it."""
    folder = os.path.dirname(os.path.abspath(path))
    while os.stat(folder).st_mode & 0o001:
        if folder == "/":
            return path
        folder = os.path.dirname(folder)
    public = tempfile.mkdtemp(prefix="k8shell-bin-", dir="/tmp")
    atexit.register(shutil.rmtree, public, ignore_errors=True)
    os.chmod(public, 0o755)
    # The name of the folder tells a sanitizer's build.
    own = os.path.join(public, os.path.basename(os.path.dirname(path)))
    os.mkdir(own, 0o755)
    return shutil.copy(path, own)


BINARY = for_everybody(os.environ.get("K8SHELL",
                                      os.path.join(BUILD, "k8shell")))
DEADLINE = 20.0     # of anything that should be quick

# Nobody on the machine has this uid, so whatever runs as it is ours.
USER, UID, GID = "alice", 34567, 34567


def load_protos():
    """Compile proto/ into build/py once and import the modules."""
    out = os.path.join(BUILD, "py")
    src = os.path.join(ROOT, "proto")
    names = sorted(n for n in os.listdir(src) if n.endswith(".proto"))
    stamp = os.path.join(out, "stamp")
    newest = max(os.path.getmtime(os.path.join(src, n)) for n in names)
    if not os.path.exists(stamp) or os.path.getmtime(stamp) < newest:
        os.makedirs(out, exist_ok=True)
        subprocess.run(["protoc", "-I", src, "--python_out", out] + names,
                       check=True)
        open(stamp, "w").close()
    if out not in sys.path:
        sys.path.insert(0, out)
    return {n[:-6]: importlib.import_module(n[:-6] + "_pb2") for n in names}


PB = load_protos()
ssh, system, app, command = PB["ssh"], PB["system"], PB["app"], PB["command"]


def eventually(check, what, deadline=DEADLINE):
    """Wait until check() is true; for states only the kernel can tell."""
    end = time.monotonic() + deadline
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not in %.0f s: %s" % (deadline, what))
        time.sleep(0.01)


def processes(uid=None, session=None):
    """pids of live (not zombie) processes of a uid or of a session."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name) as f:
                fields = f.read().rpartition(")")[2].split()
            owner = os.stat("/proc/" + name).st_uid
            with open("/proc/%s/status" % name) as f:
                owner = int(re.search(r"^Uid:\t(\d+)", f.read(), re.M)[1])
        except (OSError, TypeError):
            continue
        if fields[0] == "Z":
            continue
        if uid is not None and owner != uid:
            continue
        if session is not None and int(fields[3]) != session:
            continue
        found.append(int(name))
    return found


def need_user_namespaces():
    """Not below chroot(2), nor where an administrator forbids them."""
    r = subprocess.run(["unshare", "--user", "true"], capture_output=True,
                       text=True, user=UID if os.geteuid() == 0 else None)
    if r.returncode != 0:
        pytest.skip("no user namespaces: " + r.stderr.strip())


def let_others_in(tmp_path):
    """To pytest's folder, which is for its owner alone."""
    os.chmod(tmp_path, 0o777)
    for parent in list(tmp_path.parents)[:3]:
        if str(parent).startswith("/tmp/"):
            os.chmod(parent, 0o755)


def zombies_of(pid):
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name) as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] == "Z" and int(fields[1]) == pid:
            found.append(int(name))
    return found


CONFIG = """\
system:
  logLevel: debug
  grpc:
    port: 0
    enableTLS: false
"""


class Daemon:
    """One k8shelld.

    config: text of config.yaml (None: --standalone).  The workspace user is
    USER, with a home of his own, unless env says otherwise.  wrapper: command
    in front, such as ["unshare", "--pid", "--fork"].
    """

    def __init__(self, tmp, config=CONFIG, args=(), env=None, wrapper=(),
                 binary=None, user=None, wait=True):
        self.tmp = str(tmp)
        self.logfile = os.path.join(self.tmp, "k8shelld.log")
        self.run_dir = os.path.join(self.tmp, "run")
        self.rest_sock = os.path.join(
            self.run_dir if config is None else self.tmp, "k8shelld.sock")
        self.port = self.sock = None
        self.client = {}        # what a Stub needs: ca, name, token
        argv = list(wrapper) + [binary or BINARY, "k8shelld"]
        if config is None:
            argv += ["--standalone", "--run-dir", self.run_dir]
        else:
            path = os.path.join(self.tmp, "config.yaml")
            with open(path, "w") as f:
                f.write(config)
            argv += ["--config", path]
            if "--socket" not in args:
                argv += ["--socket", self.rest_sock]
        argv += list(args)
        environ = {"PATH": os.environ["PATH"], "USERNAME": USER,
                   "USER_UID": str(UID), "USER_GID": str(GID),
                   "WORKSPACE": "ws", "K8SHELL_PAT_TOKEN": "pat-secret-42"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                environ[name] = os.environ[name]
        if config is None:
            environ = dict(os.environ)
        environ.update(env or {})
        self.log_fd = open(self.logfile, "wb")
        kwargs = {"user": user} if user is not None else {}
        self.proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                     stdout=self.log_fd, stderr=self.log_fd,
                                     env=environ, start_new_session=True,
                                     **kwargs)
        if wait:
            try:
                eventually(self._up, "daemon up")
            except AssertionError:
                self.proc.kill()
                raise AssertionError("daemon not up:\n" + self.log())

    def log(self):
        with open(self.logfile, "rb") as f:
            return f.read().decode("utf-8", "replace")

    def _up(self):
        if self.proc.poll() is not None:
            raise AssertionError("daemon ended with %d:\n%s"
                                 % (self.proc.returncode, self.log()))
        text = self.log()
        m = re.search(r"serving gRPC on port (\d+)", text)
        if m:
            self.port = int(m[1])
        m = re.search(r"serving gRPC on (/\S+)", text)
        if m:
            self.sock = m[1]
        standalone_tcp = "--port" in self.proc.args
        if "--standalone" in self.proc.args:
            return self.sock and (self.port or not standalone_tcp)
        return self.port

    @property
    def pid(self):
        """pid of k8shelld itself, behind any wrapper."""
        pid = self.proc.pid
        while True:
            with open("/proc/%d/comm" % pid) as f:
                if f.read().strip() not in ("unshare", "strace", "sh",
                                            "faketime", "taskset"):
                    return pid
            with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
                kids = f.read().split()
            if not kids:
                return pid
            pid = int(kids[0])

    def status(self, key):
        """A number of /proc/PID/status, such as VmRSS in KiB."""
        with open("/proc/%d/status" % self.pid) as f:
            return int(re.search(r"^%s:\s+(\d+)" % key, f.read(), re.M)[1])

    def rss_kib(self):
        return self.status("VmRSS")

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def target(self):
        return "127.0.0.1:%d" % self.port if self.port else "unix:" + self.sock

    def stub(self, **kwargs):
        return Stub(self.target(), **dict(self.client, **kwargs))

    def stop(self, sig=signal.SIGTERM, check=True):
        if self.proc.poll() is None:
            os.kill(self.pid, sig)
            try:
                self.proc.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
                if check:
                    raise AssertionError("daemon did not stop:\n" + self.log())
        self.log_fd.close()
        if check:
            text = self.log()
            for bad in ("runtime error:", "ERROR: AddressSanitizer",
                        "ERROR: LeakSanitizer", "Assertion"):
                assert bad not in text, text
            assert self.proc.returncode in (0, -signal.SIGKILL), \
                "exit status %d\n%s" % (self.proc.returncode, text)


class Result:
    """What an Exec brought: bytes, exit code, and every message in order."""

    def __init__(self):
        self.out = self.err = b""
        self.code = self.pty = None
        self.messages = []
        self.status = None
        self.details = ""


class Stub:
    """grpcio client: stub.Exec(...), with every method of the contract."""

    def __init__(self, target, ca=None, name=None, token=None, options=()):
        opts = [("grpc.max_receive_message_length", 32 << 20)] + list(options)
        if ca is not None:
            if name:
                opts.append(("grpc.ssl_target_name_override", name))
            creds = grpc.ssl_channel_credentials(open(ca, "rb").read())
            self.channel = grpc.secure_channel(target, creds, opts)
        else:
            self.channel = grpc.insecure_channel(target, opts)
        self.metadata = [("authorization", "Bearer " + token)] if token else []
        for module in PB.values():
            for service in module.DESCRIPTOR.services_by_name.values():
                for m in service.methods:
                    self._add(module, service, m)

    def _add(self, module, service, m):
        kind = ("stream" if m.client_streaming else "unary") + "_" + \
               ("stream" if m.server_streaming else "unary")
        method = getattr(self.channel, kind)(
            "/%s/%s" % (service.full_name, m.name),
            request_serializer=lambda msg: msg.SerializeToString(),
            response_deserializer=getattr(module, m.output_type.name).FromString)
        # AppService and SystemService both have a GetLogsStream.
        setattr(self, service.name + "_" + m.name, method)
        setattr(self, m.name, method)

    def close(self):
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def exec(self, cmd, input=b"", id="ex-test-1-aa1", metadata=(), end=True,
             timeout=DEADLINE, **details):
        """Run a command to its end; gRPC failures raise grpc.RpcError."""
        r = Result()
        for response in self.exec_call(cmd, input, id, metadata, end, timeout,
                                       **details):
            r.messages.append(response)
            which = response.WhichOneof("response")
            if which == "out":
                r.out += response.out
            elif which == "err":
                r.err += response.err
            elif which == "pty":
                r.pty = response.pty
            elif which == "exit_code":
                assert r.code is None, "two exit codes"
                r.code = response.exit_code
        return r

    def exec_call(self, cmd, input=b"", id="ex-test-1-aa1", metadata=(),
                  end=True, timeout=DEADLINE, **details):
        stop = threading.Event()

        def requests():
            yield ssh.ExecRequest(command_details=ssh.CommandDetails(
                command=cmd, **details))
            pieces = [input] if isinstance(input, bytes) else input
            for piece in pieces:
                if piece:
                    yield ssh.ExecRequest(input=piece)
            if not end:
                stop.wait(timeout)

        call = self.Exec(requests(), timeout=timeout, metadata=self.metadata
                         + [("exec-id", id)] + list(metadata))
        call.add_callback(stop.set)
        return call


class Talk:
    """A bidi call driven from a test: send() what you like, expect() answers.

    kind: "Shell" or "Exec".  Collected text is in .data (Shell) or .out/.err.
    """

    def __init__(self, stub, kind, id, metadata=(), timeout=60):
        self.kind = kind
        self.requests = queue.Queue()
        self.cls = getattr(ssh, kind + "Request")
        key = {"Shell": "session-id", "Exec": "exec-id"}[kind]
        meta = stub.metadata + ([(key, id)] if id is not None else []) \
            + list(metadata)
        self.call = getattr(stub, kind)(iter(self.requests.get, None),
                                        metadata=meta, timeout=timeout)
        self.data, self.out, self.err = bytearray(), bytearray(), bytearray()
        self.messages = []
        self.error = None
        self.ended = threading.Event()
        self.changed = threading.Condition()
        self.paused = threading.Event()
        self.paused.set()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for m in self.call:
                self.paused.wait()
                which = m.WhichOneof("response")
                with self.changed:
                    self.messages.append(m)
                    if which in ("data", "out", "err"):
                        getattr(self, which).extend(getattr(m, which))
                    self.changed.notify_all()
        except grpc.RpcError as e:
            self.error = e
        with self.changed:
            self.ended.set()
            self.changed.notify_all()

    def send(self, **kwargs):
        self.requests.put(self.cls(**kwargs))

    def start(self, pty=True, cols=80, rows=24, **kwargs):
        """Shell: send start_request and wait for start_response."""
        self.send(start_request=ssh.ShellStartRequest(
            usePty=pty, width=cols, height=rows, cmdShell="/bin/sh", **kwargs))
        self.wait(lambda: self.messages or self.ended.is_set(), "an answer")
        return self

    def type(self, text):
        self.send(data=text if isinstance(text, bytes) else text.encode())

    def wait(self, check, what, deadline=DEADLINE):
        with self.changed:
            ok = self.changed.wait_for(check, deadline)
        assert ok, "not in %.0f s: %s; got %r, error %s" % (
            deadline, what, (self.data or self.out)[-2000:], self.error)

    def expect(self, text, deadline=DEADLINE):
        text = text if isinstance(text, bytes) else text.encode()
        self.wait(lambda: text in self.data or text in self.out,
                  "%r" % text, deadline)

    def half_close(self):
        self.requests.put(None)

    def cancel(self):
        self.call.cancel()

    def finish(self, deadline=DEADLINE):
        """Wait for the end; returns the gRPC status code."""
        self.wait(self.ended.is_set, "the end of the call", deadline)
        return self.call.code()


def make_cert(folder, kind="ec", name="workspace.ns"):
    """A CA-less self-signed certificate; returns (cert, key) paths."""
    cert = os.path.join(folder, kind + ".crt")
    key = os.path.join(folder, kind + ".key")
    algo = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
            "rsa": ["rsa:2048"]}[kind]
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-newkey"] + algo +
        ["-keyout", key, "-out", cert, "-days", "30", "-subj", "/CN=" + name,
         "-addext", "subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1" % name],
        check=True, capture_output=True)
    return cert, key


def free_home():
    """A home for USER, made and removed by the caller's fixture."""
    return os.path.join("/home", USER)


@contextlib.contextmanager
def user_home():
    home = free_home()
    made_base = not os.path.isdir("/home")
    os.makedirs(home, exist_ok=True)
    os.chown(home, UID, GID)
    os.chmod(home, 0o700)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)
        if made_base:
            with contextlib.suppress(OSError):
                os.rmdir("/home")


def private_etc(tmp, files):
    """A command prefix that runs in a mount namespace whose /etc has files.

    files: {"passwd": text, "k8shell/profile.yaml": text}; the machine's own
    /etc is below, unchanged.
    """
    upper = os.path.join(str(tmp), "etc-files")
    mount = os.path.join(str(tmp), "etc-mount")
    os.makedirs(mount)
    for name, text in files.items():
        path = os.path.join(upper, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
    script = ('set -e; mount -t tmpfs none "$0"; mkdir "$0/u" "$0/w"; '
              'mount -t overlay none -o "lowerdir=/etc,upperdir=$0/u,'
              'workdir=$0/w" /etc; cp -r "$1/." /etc/; shift; exec "$@"')
    return ["unshare", "-m", "sh", "-c", script, mount, upper]


def passwd_line(name=USER, uid=UID, gid=GID, home=None, shell="/bin/bash"):
    return "%s:x:%d:%d::%s:%s\n" % (name, uid, gid, home or "/home/" + name,
                                    shell)


def profile(**more):
    """profile.yaml of USER."""
    fields = {"username": USER, "uid": '"%d"' % UID, "gid": '"%d"' % GID,
              "shell": "/bin/bash", "sudo": "false"}
    fields.update(more)
    return "".join("%s: %s\n" % kv for kv in fields.items())


def system_passwd():
    with open("/etc/passwd") as f:
        return f.read()
