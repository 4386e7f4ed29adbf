"""Commands per second: a static true(1), started again and again."""

from measure import Row, pairs, run
from peers import Ours, Sshd, SshMaster, helper
from rows_terminal import kssh


def rows(bench):
    name = "Exec true(1)/s, a client process each, vs ssh -S"
    bench.say(name)
    count = "400" if not bench.quick else "100"
    true = helper("true")

    def spawn(argv):
        return lambda: float(run([helper("spawnrate"), count] + argv + [true]))

    def one_connection(server, parallel):
        return lambda: float(run([helper("load"), "exec", server.socket, "-",
                                  count, str(parallel), true]))

    with Ours(bench.folder(), bench.cert) as ours, \
            Sshd(bench.folder()) as sshd, SshMaster(sshd) as master:
        shared = spawn(sshd.client("-S", master.path))
        shared()
        by_socket = spawn(kssh(ours))
        by_socket()
        yield Row(name).of_pairs(pairs(bench.pairs, by_socket, shared))
        few = min(3, bench.pairs)
        yield Row("  a new TLS connection each").of_pairs(
            pairs(few, spawn(kssh(ours, tls=bench.cert)), shared))
        yield Row("  all on one connection, one after the other").of_pairs(
            pairs(few, one_connection(ours, 1), shared))
        yield Row("  all on one connection, 8 at a time").of_pairs(
            pairs(few, one_connection(ours, 8), shared))
