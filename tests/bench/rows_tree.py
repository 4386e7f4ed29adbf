"""Process trees: how soon one is gone, who survives, and what PID 1 spends."""

import contextlib
import os
import re
import shutil
import signal
import subprocess

import rows_jobs
from measure import (LOAD_CORE, SERVER_CORE, Row, on_core, pairs, run,
                     shown)
from peers import HELPERS, HERE, Ours, helper, wait_for

TREE_KILL = "1.2.2"
# members, levels of 9, rounds of ours and of tree-kill, aim in ms
TREES = [(10, 1, 300, 5, 2), (91, 2, 100, 3, 10), (820, 3, 50, 1, 80)]
# shape, members, grace in ms
VARIANTS = [("threads", 4, 5000), ("setsid", 5, 5000), ("daemons", 5, 5000),
            ("root-gone", 5, 5000), ("term-forks", 5, 5000),
            ("stopped", 5, 5000), ("stubborn", 5, 50)]
ORPHANS = 10000
NAMESPACE = ["unshare", "--pid", "--fork", "--mount", "--mount-proc"]


def fell(killer, shape, n, grace, rounds, peer=()):
    """Its one line; on all cores, as trees are."""
    argv = [helper("fell"), killer, shape, str(n), str(grace), str(rounds)]
    if peer:
        argv += ["--"] + list(peer)
    out = subprocess.run(argv, stdin=subprocess.DEVNULL, text=True,
                         stdout=subprocess.PIPE, check=True).stdout
    return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", out)}


def tree_kill():
    """The command that runs it, or None: no Node.js, no registry."""
    folder = os.path.join(HELPERS, "node")
    peer = os.path.join(folder, "tree_kill_peer.js")
    os.makedirs(folder, exist_ok=True)
    if not shutil.which("node") or not shutil.which("npm"):
        return None
    if not os.path.isdir(os.path.join(folder, "node_modules", "tree-kill")):
        done = subprocess.run(
            ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund",
             "--loglevel=error", "--no-save", "tree-kill@" + TREE_KILL],
            cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if done.returncode != 0:
            return None
    shutil.copy(os.path.join(HERE, "tree_kill_peer.js"), peer)
    return ["node", peer]


def milliseconds(results, key):
    return [r[key] / 1000 for r in results]


def latency(bench, members, levels, rounds, peer_rounds, aim, peer):
    name = "kill a tree of %d, median, vs tree-kill" % members
    bench.say(name)
    few = max(1, rounds // 5) if bench.quick else rounds
    count = 1 if members > 500 or not peer else min(3, bench.pairs)
    got = []
    for _ in range(count):
        got.append((
            fell("ours", "fan", levels, 5000, few),
            fell("killpg", "fan", levels, 5000, few),
            fell("peer", "fan", levels, 5000, peer_rounds, peer)
            if peer else None))
    ours, group, theirs = zip(*got)
    theirs = [t for t in theirs if t]
    yield Row(name, "ms", floor=aim, aim=aim, lower=True,
              bound="ms").of_values(milliseconds(ours, "p50"),
                                    milliseconds(theirs, "p50") or None)
    yield Row("  99th percentile").of_text(
        shown(max(milliseconds(ours, "p99")), "ms"),
        shown(max(milliseconds(theirs, "p99")), "ms") if theirs else "")
    yield Row("  median vs killpg alone", "ms").of_pairs(
        (list(zip(milliseconds(ours, "p50"), milliseconds(group, "p50"))), 0))
    yield Row("  survivors; tree-kill, killpg").of_text(
        "%d of %d" % total(ours, members),
        ", ".join("%d of %d" % total(r, members)
                  for r in (theirs, group) if r))


def total(results, members=1):
    return (sum(r["survivors"] for r in results),
            sum(r["rounds"] for r in results) * members)


def survivors(bench, peer):
    """Trees, not members: one that is not gone is what counts."""
    bench.say("survivors of other shapes")
    rounds = 3 if bench.quick else 10
    for shape, n, grace in VARIANTS:
        ours = fell("ours", shape, n, grace, rounds)
        group = fell("killpg", shape, n, grace, 2)
        theirs = fell("peer", shape, n, grace, 2, peer) if peer else None
        yield Row("  trees not gone: %s; tree-kill, killpg" % shape).of_text(
            "%d of %d" % (ours["dirty"], ours["rounds"]),
            ", ".join("%d of %d" % (r["dirty"], r["rounds"])
                      for r in (theirs, group) if r))


def child_of(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return int((f.read().split() or [0])[0])


@contextlib.contextmanager
def tini(folder):
    """As PID 1 of a namespace; its pid out here."""
    with open(os.path.join(folder, "log"), "wb") as log:
        proc = subprocess.Popen(on_core(SERVER_CORE, NAMESPACE + [
            "tini", "--", "sleep", "100000"]), stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(lambda: child_of(proc.pid) and child_of(child_of(proc.pid)),
                 "tini is up")
        yield child_of(proc.pid)
    finally:
        inner = child_of(proc.pid)
        if inner:
            os.kill(inner, signal.SIGKILL)
        proc.wait()


@contextlib.contextmanager
def k8shelld(folder):
    with Ours(folder, wrapper=NAMESPACE) as server:
        inner = child_of(server.pid)
        try:
            yield inner
        finally:
            os.kill(inner, signal.SIGTERM)
            server.proc.wait(20)


def reaping(bench):
    name = "CPU of PID 1 for %d orphans, vs tini" % ORPHANS
    bench.say(name)

    def spend(pid):
        return lambda: float(run(
            ["nsenter", "-t", str(pid), "-p", "-m", helper("orphans"),
             str(ORPHANS)], core=LOAD_CORE)) / 1000

    with tini(bench.folder()) as theirs, k8shelld(bench.folder()) as ours:
        spend(ours)(), spend(theirs)()
        yield Row(name, "ms", floor=1.2, lower=True).of_pairs(
            pairs(bench.pairs, spend(ours), spend(theirs)))


def rows(bench):
    peer = tree_kill()
    for tree in TREES:
        yield from latency(bench, *tree, peer)
    yield from survivors(bench, peer)
    yield from rows_jobs.rows(bench)
    yield from reaping(bench)
