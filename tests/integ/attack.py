"""What the tests of attacks and limits share: the attacker's bystander.

Each such test checks what the attacker gets, that the daemon's memory stays
where it was, and that another client is served meanwhile.
"""

import socket
import time

import pytest

import harness
import raw
from harness import ssh
from raw import HeadersFrame, SettingsFrame

CALM, PROTOCOL = raw.ENHANCE_YOUR_CALM, raw.PROTOCOL_ERROR
MEMORY_KIB = 4096       # spec/performance.md 5.2: under attack + <= 4 MB
LATENCY = 0.05          # of the second client's calls, spec/security.md 4
SANITIZED_KIB = 262144  # ASan's quarantine of freed memory


def sanitized():
    with open(harness.BINARY, "rb") as f:
        return b"__asan_init" in f.read()


def memory_bound(kib=MEMORY_KIB):
    return kib + SANITIZED_KIB if sanitized() else kib


class Bystander:
    """A second client, asked before, during and after the attack."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.peer = raw.Peer(daemon)
        assert self.peer.alive()
        self.rss = daemon.rss_kib()
        self.bound = memory_bound()
        self.took = []

    def check(self):
        began = time.monotonic()
        assert self.peer.alive()
        self.took.append(time.monotonic() - began)
        grown = self.daemon.rss_kib() - self.rss
        assert grown < self.bound, "%d KiB more" % grown

    def finish(self):
        """Half of the calls at least were quick; the machine is shared."""
        self.check()
        median = sorted(self.took)[len(self.took) // 2]
        assert median < LATENCY * (10 if sanitized() else 1), self.took
        self.peer.close()


@pytest.fixture
def attack(shared):
    """(attacker, bystander) on one daemon; checked again at the end."""
    other = Bystander(shared)
    with raw.Peer(shared) as p:
        p.settings()
        yield p, other
    other.finish()
    with raw.Peer(shared) as fresh:
        assert fresh.alive()


def flood(p, data, times, other=None, every=200):
    """Send data many times; stops when the server has had enough."""
    try:
        for i in range(times):
            p.send(data)
            if i % every == 0:
                p.drain(0)
                if other is not None:
                    other.check()
                if p.goaway is not None:
                    return
    except raw.Closed:
        pass


def exec_details(command):
    return raw.message(ssh.ExecRequest(command_details=ssh.CommandDetails(
        command=command)).SerializeToString())


def header_start(p, stream, extra=()):
    block = p.encoder.encode(p.request_headers(extra=extra))
    return HeadersFrame(stream, block, flags=[]), block


def starve(p):
    """No stream may send us anything."""
    p.send_frame(SettingsFrame(0, settings={
        SettingsFrame.INITIAL_WINDOW_SIZE: 0}))


def closes_within(sock, seconds):
    sock.settimeout(seconds)
    try:
        while sock.recv(4096):
            pass
        return True
    except socket.timeout:
        return False
    except OSError:
        return True
