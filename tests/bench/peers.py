"""The servers: ours and those it is measured against, on core 0.

Each class starts one in a folder of its own and stops it again; they are
context managers.  Nothing of theirs outlives the folder.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time

from measure import LOAD_CORE, SERVER_CORE, on_core

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
HELPERS = os.path.join(ROOT, "build", "bench")

CIPHER = "ECDHE-ECDSA-AES128-GCM-SHA256"
SSH_CIPHER = "aes128-gcm@openssh.com"
HANDSHAKE = "/k8shelld.SystemService/Handshake"

# Where a limit of ours would end a measurement, not where it would help.
CONFIG = """\
system:
  logLevel: info
limits:
  forksPerSecond: 100000
  forkBurst: 100000
  connections: 256
  unauthenticated: 256
"""


def helper(name):
    return os.path.join(HELPERS, name)


def free_port():
    """A port nobody listens on, outside of what connect() uses by itself."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        low = int(f.read().split()[0])
    for port in range(low - 1, 1024, -1):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port")


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def wait_for(check, what, deadline=20.0):
    end = time.monotonic() + deadline
    while not check():
        if time.monotonic() > end:
            raise RuntimeError("not in %.0f s: %s" % (deadline, what))
        time.sleep(0.01)


class Server:
    """A pinned process with a log; port once it is up."""

    def __init__(self, folder, argv, port=None, core=SERVER_CORE):
        os.makedirs(folder, exist_ok=True)
        self.folder, self.port = folder, port
        self.logfile = os.path.join(folder, "log")
        with open(self.logfile, "wb") as log:
            self.proc = subprocess.Popen(
                on_core(core, argv), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True)
        try:
            wait_for(self._up, argv[0] + " is up")
        except Exception:
            self.stop()
            raise

    def _up(self):
        if self.proc.poll() is not None:
            raise RuntimeError("ended with %d:\n%s" % (self.proc.returncode,
                                                       self.log()))
        return self.ready()

    def ready(self):
        return accepts(self.port)

    def log(self):
        with open(self.logfile, errors="replace") as f:
            return f.read()

    @property
    def pid(self):
        return self.proc.pid            # taskset replaces itself

    def memory(self):
        """(resident, anonymous) bytes."""
        with open("/proc/%d/smaps_rollup" % self.pid) as f:
            text = f.read()
        return tuple(1024 * int(re.search(r"^%s:\s+(\d+)" % key, text,
                                          re.M)[1])
                     for key in ("Rss", "Anonymous"))

    def stop(self):
        if self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(15)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.proc.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.proc.wait()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()


class Ours(Server):
    """k8shelld standalone: TCP with bearer token, and a Unix socket."""

    name = "k8shelld"

    def __init__(self, folder, tls=None, wrapper=(), binary="k8shell"):
        self.run_dir = os.path.join(folder, "run")
        self.socket = os.path.join(self.run_dir, "grpc.sock")
        self.rest = os.path.join(self.run_dir, "k8shelld.sock")
        self.token_file = os.path.join(self.run_dir, "token")
        super().__init__(folder, list(wrapper) + self.argv(
            folder, 0, tls, binary))

    @staticmethod
    def argv(folder, port, tls, binary="k8shell"):
        os.makedirs(folder, exist_ok=True)
        config = os.path.join(folder, "config.yaml")
        with open(config, "w") as f:
            f.write(CONFIG)
        argv = [os.path.join(ROOT, "build", binary), "k8shelld",
                "--standalone", "--run-dir", os.path.join(folder, "run"),
                "--config", config, "--port", str(port)]
        return argv + (["--cert", tls[0], "--key", tls[1]] if tls else [])

    def ready(self):
        found = re.search(r"serving gRPC on port (\d+)", self.log())
        if found:
            self.port = int(found[1])
        return self.port is not None and os.path.exists(self.socket)

    def token(self):
        with open(self.token_file) as f:
            return f.read().strip()


class Nghttpd(Server):
    """nghttp2's own server, with a static file of 5 bytes."""

    name = "nghttpd"
    path = "/five"

    def __init__(self, folder, tls=None):
        port = free_port()
        super().__init__(folder, self.argv(folder, port, tls), port)

    @staticmethod
    def argv(folder, port, tls):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "five"), "w") as f:
            f.write("five\n")
        argv = ["nghttpd", "-a", "127.0.0.1", "-d", folder, "-n", "1"]
        # The key comes before the certificate here.
        return argv + ([str(port), tls[1], tls[0]] if tls
                       else ["--no-tls", str(port)])

    def token(self):
        return "unused"


class GrpcPeer(Server):
    """Handshake on grpc's C++ server, asynchronous, one thread."""

    name = "grpc C++"

    def __init__(self, folder, tls=None):
        super().__init__(folder, [helper("grpc_peer")] + list(tls or ()))

    def ready(self):
        found = re.search(r"port (\d+)", self.log())
        self.port = int(found[1]) if found else None
        return self.port is not None

    def token(self):
        return "unused"


def keygen(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path],
                   check=True, stdin=subprocess.DEVNULL)
    return path


class Sshd(Server):
    """sshd with keys and configuration of its own."""

    name = "sshd"
    config = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
PermitRootLogin yes
StrictModes no
UsePAM no
PasswordAuthentication no
PrintMotd no
PrintLastLog no
MaxStartups 100
LogLevel ERROR
Ciphers {cipher}
SetEnv HOME={folder}
"""
    # Where Debian's sshd wants to be locked into before a login.
    privsep = "/run/sshd"

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        keygen(os.path.join(folder, "host"))
        keygen(os.path.join(folder, "user"))
        port = free_port()
        config = os.path.join(folder, "sshd_config")
        with open(config, "w") as f:
            f.write(self.config.format(port=port, folder=folder,
                                       cipher=SSH_CIPHER))
        self.made = os.geteuid() == 0 and not os.path.isdir(self.privsep)
        if self.made:
            os.mkdir(self.privsep, 0o755)
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
        super().__init__(folder, [sshd, "-D", "-e", "-f", config], port)

    def client(self, *options):
        """The command line of an ssh that gets in without a question."""
        argv = ["ssh", "-F", "none", "-p", str(self.port), "-q"]
        for option in ("IdentityFile=%s/user" % self.folder,
                       "IdentitiesOnly=yes", "StrictHostKeyChecking=no",
                       "UserKnownHostsFile=%s/known" % self.folder,
                       "Ciphers=" + SSH_CIPHER, "BatchMode=yes"):
            argv += ["-o", option]
        return argv + list(options) + ["127.0.0.1"]

    def stop(self):
        super().stop()
        if self.made:
            shutil.rmtree(self.privsep, ignore_errors=True)


class SshMaster(Server):
    """ssh -M: the connection that later ssh -S share; on the load's core."""

    def __init__(self, sshd):
        self.path = os.path.join(sshd.folder, "mux")
        super().__init__(os.path.join(sshd.folder, "master"),
                         sshd.client("-M", "-N", "-S", self.path),
                         core=LOAD_CORE)

    def ready(self):
        return os.path.exists(self.path)


class Tmux(Server):
    """A tmux server in the foreground, with as much history as ours."""

    name = "tmux"

    def __init__(self, folder, history):
        os.makedirs(folder, exist_ok=True)
        self.socket = os.path.join(folder, "tmux")
        self.conf = os.path.join(folder, "conf")
        with open(self.conf, "w") as f:
            f.write("set -g history-limit %d\nset -g status off\n" % history)
        super().__init__(folder, self.client("-D"))

    def client(self, *args):
        return ["tmux", "-u", "-S", self.socket, "-f", self.conf] + list(args)

    def ready(self):
        return os.path.exists(self.socket)

    def new(self, name, command):
        subprocess.run(self.client("new-session", "-d", "-x", "80", "-y",
                                   "24", "-s", name, command), check=True,
                       stdin=subprocess.DEVNULL)

    def stop(self):
        if self.proc.poll() is None:
            subprocess.run(self.client("kill-server"),
                           stdin=subprocess.DEVNULL, check=False)
        super().stop()


class RestPeer(Server):
    """libmicrohttpd on a Unix socket: a body of so many bytes."""

    name = "libmicrohttpd"

    def __init__(self, folder, size):
        self.rest = os.path.join(folder, "http.sock")
        super().__init__(folder, [helper("rest_peer"), self.rest, str(size)])

    def ready(self):
        return os.path.exists(self.rest)


class Awake:
    """Both cores spin instead of halting, in a control group that gets only
    what nobody else wants.

    An idle scheduling class alone does not do: the kernel weighs whole
    sessions against each other, and a session is never idle.  Where there is
    no such group to be had (not root, no cpu controller), cores do halt.
    """

    roots = ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup")
    worked = False

    def __init__(self):
        self.spinners, self.group = [], None

    def _make_group(self):
        for root in self.roots:
            path = os.path.join(root, "k8shell-bench-%d" % os.getpid())
            try:
                os.mkdir(path)
            except OSError:
                continue
            try:
                with open(os.path.join(path, "cpu.idle"), "w") as f:
                    f.write("1")
                return path
            except OSError:
                os.rmdir(path)
        return None

    def __enter__(self):
        self.group = self._make_group()
        if self.group is None:
            return
        for core in (SERVER_CORE, LOAD_CORE):
            spinner = subprocess.Popen(on_core(core, [helper("awake")]),
                                       stdin=subprocess.DEVNULL)
            self.spinners.append(spinner)
            with open(os.path.join(self.group, "cgroup.procs"), "w") as f:
                f.write(str(spinner.pid))
        Awake.worked = True

    def __exit__(self, *exc):
        for spinner in self.spinners:
            spinner.kill()
            spinner.wait()
        if self.group is not None:
            wait_for(self._gone, "the control group is empty")

    def _gone(self):
        try:
            os.rmdir(self.group)
        except OSError:
            return False
        return True


def make_certificate(folder):
    """Self-signed, P-256: (certificate, key)."""
    cert, key = os.path.join(folder, "tls.crt"), os.path.join(folder, "tls.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-keyout", key, "-out", cert, "-days",
         "30", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True)
    return cert, key
