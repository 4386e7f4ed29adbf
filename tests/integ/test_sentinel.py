"""T20: who got the number of somebody who ended is never hit.

build/bench/sentinel ends sessions with the daemon's own code, in a PID
namespace of a hundred numbers, while bystanders are born and die.
"""

import os
import re
import subprocess

import pytest

import harness
from test_tree import NAMESPACE, own_pid_max

SENTINEL = os.path.join(harness.BUILD, "bench", "sentinel")


@pytest.fixture(scope="module")
def sentinel():
    subprocess.run(["make", "--no-print-directory", "-f",
                    "tests/bench/bench.mk", "build/bench/sentinel"],
                   cwd=harness.ROOT, check=True, capture_output=True)
    if os.geteuid() != 0 or not own_pid_max():
        pytest.skip("no PID namespace with a pid_max of its own")

    def run(rounds, *options):
        out = subprocess.run(NAMESPACE + [SENTINEL, str(rounds), "pid_max=400",
                                     *options], text=True, timeout=
                             60 + rounds / 20, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        assert out.returncode == 0, out.stderr
        got = {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", out.stdout)}
        assert got["rounds"] == rounds
        assert got["wraps"] > rounds / 100 and got["bystanders"] > rounds / 2
        assert got["hits"] == 0, "bystanders"
        assert got["left"] == 0, "members"
    return run


how = pytest.mark.parametrize("options", [[], ["no_pidfds"]],
                              ids=["pidfds", "numbers"])


@how
def test_T20_no_bystander_is_hit_by_a_hangup(sentinel, options):
    sentinel(500, *options)


@pytest.mark.long
@how
def test_T20_a_hundred_thousand_kills(sentinel, options):
    sentinel(100000, *options)
