"""Trees of all shapes are killed whole, and nobody else, round after round.

build/bench/fell grows and kills them with the daemon's own code.  Everybody in
a tree holds the end of a pipe: at its end of file, looked at the moment the
kill says that it is done, nobody is left (process-tree.md 1, Done-when 2).
"""

import os
import re
import subprocess

import pytest

import harness

FELL = os.path.join(harness.BUILD, "bench", "fell")
SKIP = 77

# shape, members, grace in ms, a member that keeps forking
SHAPES = [
    ("flat", 99, 5000), ("chain", 60, 5000), ("fan", 1, 5000),
    ("fan", 2, 5000), ("threads", 20, 5000), ("setsid", 40, 5000),
    ("daemons", 40, 5000), ("root-gone", 40, 5000),
    ("term-forks", 40, 5000), ("fork-chain", 20000, 300),
    ("stopped", 40, 5000), ("stubborn", 20, 20), ("mixed", 40, 30),
    ("busy", 20, 50), ("main-gone", 20, 5000),
]
# Scenarios of process-tree.md 3.7.
SCENARIOS = {"threads": "N1", "daemons": "N2", "root-gone": "N3",
             "term-forks": "N5", "fork-chain": "N6", "stopped": "N8",
             "main-gone": "T1"}
IDS = ["%s%s-%d" % (SCENARIOS[s[0]] + "_" if s[0] in SCENARIOS else "",
                    *s[:2]) for s in SHAPES]
NAMESPACE = ["unshare", "--pid", "--fork", "--mount", "--mount-proc"]
# Somebody else is process 1, and doesn't make way.
SECOND = ["sh", "-c", '"$@"; exit $?', "sh"]
NEXT_PID = "/proc/sys/kernel/ns_last_pid"


def own_pid_max():
    """Has a PID namespace a pid_max of its own?  Else it is the machine's."""
    major, minor = re.match(r"(\d+)\.(\d+)", os.uname().release).groups()
    return (int(major), int(minor)) >= (6, 14)


@pytest.fixture(scope="module")
def fell():
    subprocess.run(["make", "--no-print-directory", "-f",
                    "tests/bench/bench.mk", "build/bench/fell"],
                   cwd=harness.ROOT, check=True, capture_output=True)

    def run(killer, shape, rounds, *options, wrapper=(), each=2):
        argv = list(wrapper) + [FELL, killer] + [str(x) for x in shape]
        out = subprocess.run(argv + [str(rounds)] + list(options), text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             timeout=60 + each * rounds)
        if out.returncode == SKIP:
            pytest.skip(out.stderr.strip())
        assert out.returncode == 0, out.stderr
        return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", out.stdout)}
    return run


def check(got, rounds):
    assert got["rounds"] == rounds
    assert got["dirty"] == got["survivors"] == 0, "survivors"
    assert got["hits"] == 0, "bystanders"
    assert got["zombies"] == 0, "zombies a second later"


def way_of(way, crowded=True):
    """What stands in front of fell, and what it is told.  crowded: numbers
    come back at once, as decoys choose them."""
    options = ["uid=%d" % harness.UID] if way == "plain" else []
    if os.geteuid() != 0:
        if way != "subreaper":
            pytest.skip("needs root for a PID namespace, or to drop it")
        return (), options
    if crowded and os.path.exists(NEXT_PID):
        options.append("aim")
    if way == "pid1" and own_pid_max():
        options.append("pid_max=1000")
    return NAMESPACE + ([] if way == "pid1" else SECOND), options


WAYS = ["pid1", "subreaper", "plain"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_T1_T11_K5_K6_no_survivor_and_no_bystander(fell, shape, way):
    wrapper, options = way_of(way)
    rounds = 25
    check(fell("ours", shape, rounds, "sprout", "decoys", *options,
               wrapper=wrapper), rounds)


@pytest.mark.parametrize("shape", [s for s in SHAPES if s[0] in (
    "flat", "daemons", "fork-chain", "mixed")], ids=lambda s: s[0])
def test_T8_the_same_by_number_and_start_time(fell, shape):
    # A number that comes back within the tick of a start time (10 ms) is the
    # same process to whoever has no pidfds: nobody aims at newborn ones.
    wrapper, options = way_of("pid1", crowded=False)
    check(fell("numbers", shape, 8, "sprout", "decoys", *options,
               wrapper=wrapper), 8)


def test_N6_a_chain_of_forks_is_gone_in_no_time(fell):
    """In units of one system call for its group: a second is 10 000 of them,
    and so would a tick or the grace be."""
    ours, peer = (fell(killer, ("fork-chain", 20000, 5000), 20)
                  for killer in ("ours", "killpg"))
    assert ours["survivors"] == 0
    assert ours["p50"] < 1000 * max(peer["p50"], 50)


@pytest.mark.parametrize("shape", ["chain", "flat"])
def test_N10_500_below_each_other_and_side_by_side(fell, shape):
    check(fell("ours", (shape, 500, 20000), 1, "sprout", "decoys"), 1)


# One more member ignores SIGTERM.  The grace is cut short as soon as a few
# decoys have dead members' numbers; so SIGKILL comes when it could hit them.
HELD = [("flat", 40, 10000), ("chain", 20, 10000), ("setsid", 20, 10000),
        ("daemons", 20, 10000), ("mixed", 20, 10000)]


def crowded_way(way):
    if os.geteuid() != 0 or not os.path.exists(NEXT_PID):
        pytest.skip("needs root and %s" % NEXT_PID)
    return way_of(way)


def check_reuse(got, rounds):
    check(got, rounds)
    assert got["reused"] >= rounds
    assert got["taken"] == rounds, "rounds without reuse"


@pytest.mark.parametrize("killer", ["ours", "numbers"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", HELD, ids=lambda s: s[0])
def test_N7_T8_who_got_a_dead_members_number_is_not_hit(fell, shape, way,
                                                        killer):
    wrapper, options = crowded_way(way)
    check_reuse(fell(killer, shape, 20, "decoys", "holdout", *options,
                     wrapper=wrapper), 20)


def test_a_kill_of_the_group_is_not_enough(fell):
    """That what is measured here can fail."""
    got = fell("killpg", ("setsid", 5, 0), 2)
    assert got["dirty"] == 2
    assert got["survivors"] == 10


# -- below the daemon's own shim ------------------------------------------

SHIM = "shim=" + harness.BINARY
BELOW = [(way, kind) for kind in ((), ("cgroup",), ("lose-shim",))
         for way in WAYS if (way, kind) != ("plain", ("cgroup",))]
SHARES = len(BELOW)


def check_below(fell, shape, way, kind, rounds, killer="ours"):
    wrapper, options = way_of(way, crowded=killer == "ours")
    got = fell(killer, shape, rounds, SHIM, "sprout", "decoys", *kind,
               *options, wrapper=wrapper)
    check(got, rounds)
    if "lose-shim" in kind:
        assert got["lost"] > 0, "the shim was never killed in time"


def some_of(all_of_them):
    """Every shape in three of the combinations, these in turn."""
    for i, shape in enumerate(SHAPES):
        for j in range(i, i + 3):
            way, kind = all_of_them[j * 3 % SHARES]
            name = "-".join((shape[0], str(shape[1]), way) + kind)
            yield pytest.param(shape, way, kind, id=name)


@pytest.mark.parametrize("shape,way,kind", some_of(BELOW))
def test_N4_N15_the_same_below_the_daemons_shim(fell, shape, way, kind):
    check_below(fell, shape, way, kind, 15)


# -- thousands ------------------------------------------------------------

@pytest.mark.long
@pytest.mark.parametrize("killer", ["ours", "numbers"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_T1_T11_K5_K6_a_thousand_rounds(fell, shape, way, killer):
    wrapper, options = way_of(way, crowded=killer == "ours")
    rounds = 1000 if killer == "ours" else 200
    check(fell(killer, shape, rounds, "sprout", "decoys", *options,
               wrapper=wrapper), rounds)


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", HELD, ids=lambda s: s[0])
def test_N7_a_thousand_rounds(fell, shape, way):
    wrapper, options = crowded_way(way)
    check_reuse(fell("ours", shape, 1000, "decoys", "holdout", *options,
                     wrapper=wrapper), 1000)


@pytest.mark.long
@pytest.mark.parametrize("way,kind", BELOW, ids=lambda x: x if isinstance(
    x, str) else "".join(x) or "shim")
@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_N4_N15_a_thousand_rounds_below_the_daemons_shim(fell, shape, way,
                                                         kind):
    check_below(fell, shape, way, kind, 1000)


@pytest.mark.long
@pytest.mark.parametrize("shape", [("fan", 3, 20000), ("chain", 500, 20000),
                                   ("flat", 500, 20000)],
                         ids=lambda s: "%s-%d" % s[:2])
def test_N10_large_trees(fell, shape):
    check(fell("ours", shape, 100, "sprout", "decoys", each=10), 100)
