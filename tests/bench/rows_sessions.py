"""Sessions: what one costs while it is detached, how soon it is back, and the
API behind kbox.

tmux is the peer: what people use for sessions that survive.  It is shown
beside attach, not a bound: it draws one screen then, ours brings the whole
history back for the terminal's own scrolling.  Of the HTTP
servers in C that Debian has, libmicrohttpd is the one that can do exactly what
is compared: HTTP/1.1 with keep-alive on a Unix socket, one thread, epoll.
"""

import contextlib
import http.client
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time

from measure import LOAD_CORE, Row, cpu_seconds, on_core, pairs, \
    pairs_at_once, run
from peers import ROOT, Ours, RestPeer, Tmux, helper, wait_for

HELD = 200              # sessions whose memory is measured
LISTED = 20             # sessions in the lists
CONNECTIONS = 10
RING = 256 * 1024
LINE = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
LINES = RING // (len(LINE) + 2)         # CR LF
API = "/api/v1"
EMPTY = "exec sleep 1000"


class UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("unix", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Rest:
    """Our API, on one connection."""

    def __init__(self, server):
        self.http = UnixHTTP(server.rest)

    def ask(self, method, target, body=None):
        self.http.request(method, API + target, body)
        answer = self.http.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise RuntimeError("%s %s: %d %s" % (method, target,
                                                 answer.status, text))
        return json.loads(text) if text else None

    def new(self, name, command):
        return self.ask("POST", "/shells", json.dumps(
            {"name": name, "command": command, "cwd": "/", "width": 80,
             "height": 24}))

    def said(self):
        """Bytes of the shell that said least."""
        return min(s["bytes_out"] for s in self.ask("GET", "/streams"))


def filler(folder):
    """A command that fills the history of a session and then sleeps."""
    path = os.path.join(folder, "text")
    with open(path, "w") as f:
        f.write((LINE + "\n") * LINES)
    return "cat %s; " % path


# -- memory ------------------------------------------------------------------

def grown(server, start, settled):
    """Resident KiB per session; the first one is not counted."""
    start("warm")
    wait_for(settled, "the first session")
    before = server.memory()[0]
    for i in range(HELD):
        start("s%d" % i)
    wait_for(settled, "all sessions", 60)
    time.sleep(1)
    return (server.memory()[0] - before) / HELD / 1024


def ours_grown(bench, command, least):
    with Ours(bench.folder()) as ours:
        rest = Rest(ours)
        return grown(ours, lambda name: rest.new(name, command),
                     lambda: rest.said() >= least)


def tmux_settled(tmux, lines):
    out = subprocess.run(tmux.client("list-panes", "-a", "-F",
                                     "#{history_size}"), check=True,
                         stdout=subprocess.PIPE, text=True).stdout.split()
    return min(int(n) for n in out) >= lines


def tmux_grown(bench, command, lines):
    with Tmux(bench.folder(), LINES) as tmux:
        return grown(tmux, lambda name: tmux.new(name, command),
                     lambda: tmux_settled(tmux, lines))


def memory(bench):
    bench.say("memory per detached session")
    count = min(3, bench.pairs)
    fill = filler(bench.folder()) + EMPTY
    size = (len(LINE) + 2) * LINES
    yield Row("memory per detached session vs tmux", "KiB", floor=1, aim=0.5,
              lower=True).of_pairs(pairs(
                  count, lambda: ours_grown(bench, EMPTY, 0),
                  lambda: tmux_grown(bench, EMPTY, 0)))
    yield Row("  with 256 KiB of output behind it", "KiB", floor=1,
              lower=True).of_pairs(pairs(
                  count, lambda: ours_grown(bench, fill, size),
                  lambda: tmux_grown(bench, fill, LINES - 30)))


# -- attach ------------------------------------------------------------------

class Screen:
    """A program on a terminal of its own, on the load's core."""

    def __init__(self, argv):
        argv = on_core(LOAD_CORE, argv)
        env = dict(os.environ, TERM="xterm-256color")
        env.pop("TMUX", None)
        self.began = time.monotonic()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.execvpe(argv[0], argv, env)
            finally:
                os._exit(127)
        self.data = b""

    def read(self, deadline=20.0):
        if not select.select([self.fd], [], [], deadline)[0]:
            raise RuntimeError("nothing more after %r" % self.data[-200:])
        self.data += os.read(self.fd, 65536)

    def until(self, text):
        while text not in self.data:
            self.read()

    def attach(self, mark):
        """Seconds to the first byte, and until a key comes back."""
        self.read()
        first = time.monotonic() - self.began
        os.write(self.fd, mark)
        self.until(mark)
        return first, time.monotonic() - self.began

    def close(self):
        os.close(self.fd)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGHUP)
        os.waitpid(self.pid, 0)


def mark_of(counter):
    counter[0] += 1
    return b"[mark%d]" % counter[0]


def by_kbox(ours, rest, counter):
    s = Screen([os.path.join(ROOT, "build", "kbox"), "--socket", ours.rest,
                "attach", "full"])
    times = s.attach(mark_of(counter))
    s.close()
    wait_for(lambda: rest.ask("GET", "/shells"), "it is detached")
    return times


def by_tmux(tmux, counter):
    s = Screen(tmux.client("attach", "-t", "full"))
    times = s.attach(mark_of(counter))
    s.close()
    wait_for(lambda: not subprocess.run(
        tmux.client("list-clients"), stdout=subprocess.PIPE).stdout,
        "it is detached")
    return times


def by_api(ours, rest, counter):
    """The same without a program: the bytes of one connection."""
    mark = mark_of(counter)
    began = time.monotonic()
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(ours.rest)
        s.sendall(b"POST %s/shells/full/attach HTTP/1.1\r\nHost: unix\r\n\r\n"
                  % API.encode() + mark)
        data = s.recv(65536)
        first = time.monotonic() - began
        while mark not in data:
            data += s.recv(65536)
        live = time.monotonic() - began
    wait_for(lambda: rest.ask("GET", "/shells"), "it is detached")
    return first, live


def attach(bench):
    name = "attach with a full history, to first byte, vs tmux"
    bench.say(name)
    rounds = 5 if bench.quick else 20
    fill = filler(bench.folder()) + "exec cat"
    counter = [0]

    def best(of, *args):
        """The middle one of some: (first byte, live), in ms."""
        times = sorted(of(*args, counter) for _ in range(rounds))
        return [1000 * sorted(t[i] for t in times)[rounds // 2]
                for i in (0, 1)]

    with Ours(bench.folder()) as ours, \
            Tmux(bench.folder(), LINES) as tmux:
        rest = Rest(ours)
        rest.new("full", fill)
        tmux.new("full", fill)
        wait_for(lambda: rest.said() >= (len(LINE) + 2) * LINES, "our history")
        wait_for(lambda: tmux_settled(tmux, LINES - 30), "tmux's history")

        def straight():
            a = best(by_kbox, ours, rest)
            return a, best(by_tmux, tmux)

        def swapped():
            b = best(by_tmux, tmux)
            return best(by_kbox, ours, rest), b

        results, dropped = pairs_at_once(bench.pairs, straight, swapped)
        for i, text in ((0, name), (1, "  until a key comes back")):
            yield Row(text, "ms").of_pairs(
                ([(a[i], b[i]) for a, b in results], dropped))
        for i, text in ((0, "  by the API alone, to first byte"),
                        (1, "  by the API alone, until a key comes back")):
            yield Row(text, "ms").of_values(
                [best(by_api, ours, rest)[i] for _ in range(bench.pairs)])


# -- lists and requests ------------------------------------------------------

def lists(bench):
    name = "kbox streams/s with %d sessions vs tmux ls" % LISTED
    bench.say(name)
    count = "300" if not bench.quick else "100"
    with Ours(bench.folder()) as ours, Tmux(bench.folder(), LINES) as tmux:
        rest = Rest(ours)
        for i in range(LISTED):
            rest.new("s%d" % i, EMPTY)
            tmux.new("s%d" % i, EMPTY)

        def spawn(argv):
            return lambda: float(run([helper("spawnrate"), count] + argv))

        kbox = spawn([os.path.join(ROOT, "build", "kbox"), "--socket",
                      ours.rest, "streams"])
        tmux_ls = spawn(tmux.client("ls"))
        kbox()
        tmux_ls()
        yield Row(name, floor=1).of_pairs(pairs(bench.pairs, kbox, tmux_ls))


class Load:
    """h2load with HTTP/1.1 by the server's Unix socket."""

    def __init__(self, server, target):
        self.server, self.target, self.count = server, target, 5000

    def run(self):
        out = run(["h2load", "--h1", "-n%d" % self.count,
                   "-c%d" % CONNECTIONS, "-m1", "-t1", "-B",
                   "unix:" + self.server.rest, "http://unix" + self.target])
        done = re.search(r"(\d+) succeeded, (\d+) failed", out)
        if not done or int(done[1]) != self.count:
            raise RuntimeError("h2load and %s:\n%s" % (self.server.name, out))

    def rate(self):
        before = cpu_seconds(self.server.pid)
        self.run()
        used = cpu_seconds(self.server.pid) - before
        return self.count / max(used, 0.01)

    def warm_up(self, seconds):
        rate = max(self.rate() for _ in range(2))
        self.count = max(self.count, int(rate * seconds))
        return self


def requests(bench):
    for target, text in (("/healthz", "REST requests/CPU-s, GET /healthz, "
                          "vs libmicrohttpd"),
                         (API + "/streams", "  GET /streams of %d sessions"
                          % LISTED)):
        bench.say(text.strip())
        with Ours(bench.folder()) as ours:
            rest = Rest(ours)
            for i in range(LISTED):
                rest.new("s%d" % i, EMPTY)
            rest.http.request("GET", target)
            size = len(rest.http.getresponse().read())
            with RestPeer(bench.folder(), size) as peer:
                a = Load(ours, target).warm_up(bench.cpu_per_run)
                b = Load(peer, target).warm_up(bench.cpu_per_run)
                yield Row(text).of_pairs(pairs(bench.pairs, a.rate, b.rate))


def rows(bench):
    yield from memory(bench)
    yield from attach(bench)
    yield from lists(bench)
    yield from requests(bench)
