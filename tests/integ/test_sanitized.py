"""The raw tests once more, against the program with ASan and UBSan.

Attackers are what sanitizers are for.  In a mount and PID namespace of their
own, so that their user's home and processes are not the other run's.
"""

import os
import subprocess
import sys

import harness

SANITIZED = os.path.join(harness.BUILD, "san", "k8shell")
FILES = ["test_grpc_rules.py", "test_transport.py", "test_attacks.py",
         "test_limits.py"]


def test_raw_frames_against_the_sanitized_build(home):
    assert os.path.exists(SANITIZED), "run make san"
    here = os.path.dirname(os.path.abspath(__file__))
    p = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child",
         "--mount-proc", "sh", "-c", 'mount -t tmpfs none /home && exec "$@"',
         "sh", sys.executable, "-m", "pytest", "-q", "-x", "-p",
         "no:cacheprovider"] + FILES, cwd=here, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
        env=dict(os.environ, K8SHELL=SANITIZED))
    assert p.returncode == 0, p.stdout.decode("utf-8", "replace")[-8000:]
