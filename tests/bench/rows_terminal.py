"""Terminals: how much comes out, and how soon a key press comes back."""

import os

from measure import SERVER_CORE, Row, pairs, pairs_at_once, run
from peers import Awake, Ours, Sshd, helper

TEXT_MIB = 256
LINE = b"The quick brown fox jumps over the lazy dog, and then some.....\n"


def kssh(server, *options, tls=None):
    """kssh for the server: by its Unix socket, or by TLS with tls=(cert, key).
    """
    argv = [os.path.join(os.path.dirname(helper("")), "..", "kssh")]
    if tls is None:
        return argv + list(options) + ["unix:" + server.socket]
    return argv + ["--ca", tls[0], "--token-file", server.token_file, "-p",
                   str(server.port)] + list(options) + ["localhost"]


def output(bench):
    name = "PTY output MB/s vs raw master reader"
    bench.say(name)
    text = os.path.join(bench.folder(), "text")
    mib = TEXT_MIB if not bench.quick else TEXT_MIB // 4
    with open(text, "wb") as f:
        for _ in range(mib):
            f.write(LINE * ((1 << 20) // len(LINE)))

    def raw_reader():
        return float(run([helper("pty_reader"), text], core=SERVER_CORE))

    with Ours(bench.folder()) as ours:
        client = []

        def through_shell():
            rate, cpu = run([helper("load"), "output", str(ours.port),
                             ours.token_file, text]).split()
            client.append(float(cpu) * float(rate) / (mib * 1.048576))
            return float(rate)

        raw_reader()
        through_shell()
        row = Row(name, "MB/s", floor=0.4, aim=0.6).of_pairs(
            pairs(bench.pairs, through_shell, raw_reader))
    yield row
    yield Row("  (client's core busy meanwhile)").of_text(
        "%.0f %%" % (100 * max(client)))


def echo(bench):
    name = "key press echo, median, vs sshd + ssh"
    bench.say(name)
    keys = "10000" if not bench.quick else "2000"

    def both(ours, peer):
        """(median, median), (99th percentile, 99th percentile), in turns."""
        a, late_a, b, late_b = map(float, run(
            [helper("echo"), keys] + ours + ["--"] + peer).split())
        return (a, b), (late_a, late_b)

    def swapped(ours, peer):
        return tuple((a, b) for b, a in both(peer, ours))

    with Ours(bench.folder(), bench.cert) as ours, \
            Sshd(bench.folder()) as sshd:
        by_tls = kssh(ours, "-tt", "-e", "none", tls=bench.cert)
        by_socket = kssh(ours, "-tt", "-e", "none")
        by_ssh = sshd.client("-tt", "-e", "none")
        results, dropped = pairs_at_once(
            bench.pairs, lambda: both(by_tls, by_ssh),
            lambda: swapped(by_tls, by_ssh))
        yield Row(name, "us", floor=1, aim=0.7, lower=True).of_pairs(
            ([r[0] for r in results], dropped))
        yield Row("  99th percentile", "us").of_pairs(
            ([r[1] for r in results], dropped))
        results, dropped = pairs_at_once(
            min(3, bench.pairs), lambda: both(by_socket, by_ssh),
            lambda: swapped(by_socket, by_ssh))
        yield Row("  by Unix socket, no TLS", "us").of_pairs(
            ([r[0] for r in results], dropped))


def rows(bench):
    with Awake():
        yield from output(bench)
        yield from echo(bench)
