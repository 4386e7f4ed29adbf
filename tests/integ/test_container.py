"""The binary as the only file of a container, and the init image."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "k8shell"
CONTROLLERS = Path("/sys/fs/cgroup/unified/cgroup.controllers")

# A host may need a wrapper that lowers what podman asks of the kernel.
WRAPPER = ROOT.parent / "shared" / "tools" / "podman"

# On a host with both cgroup versions crun wants all controllers on the old
# one; a mount in a namespace of our own does that while podman runs.
HYBRID = """
for c in $(cat "$0" 2>/dev/null); do
    mkdir -p "/sys/fs/cgroup/$c" &&
    mount -t cgroup -o "$c" cgroup "/sys/fs/cgroup/$c" || :
done
exec "$@"
"""


def podman(*args, **kw):
    program = os.environ.get("PODMAN") or \
        (str(WRAPPER) if WRAPPER.exists() else "podman")
    cmd = [program, *map(str, args)]
    if CONTROLLERS.exists():
        cmd = ["unshare", "-m", "sh", "-c", HYBRID, str(CONTROLLERS), *cmd]
    kw.setdefault("timeout", 120)
    return subprocess.run(cmd, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, **kw)


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory):
    """A root file system of one file."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if shutil.which("podman") is None:
        pytest.skip("no podman here")
    folder = tmp_path_factory.mktemp("rootfs")
    shutil.copy(BINARY, folder / "k8shell")
    r = podman("run", "--rm", "--network", "none", "--rootfs", folder,
               "/k8shell", "--version")
    if r.returncode != 0:
        pytest.skip("containers do not run here: " + r.stderr.strip()[-200:])
    assert r.stdout.startswith("k8shell version: ")
    return folder


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


def test_pid_1_and_the_only_file_of_a_container(rootfs, tmp_path):
    """Starts as PID 1 on nothing, serves a command, stops on TERM."""
    name = f"k8shell-test-{os.getpid()}"
    r = podman("run", "--detach", "--network", "none", "--name", name,
               "--rootfs", rootfs, "/k8shell", "k8shelld", "--standalone",
               "--run-dir", "/run/k8shell")
    try:
        assert r.returncode == 0, r.stderr

        def run():
            return podman("exec", name, "/k8shell", "kssh", "--run-dir",
                          "/run/k8shell", ".", "/k8shell --version")

        def answers():
            return run().stdout
        if not wait_for(answers) and "crun: " in run().stderr:
            pytest.skip("podman exec does not run here: " +
                        run().stderr.strip()[-200:])
        assert answers(), podman("logs", name)
        assert answers().startswith("k8shell version: ")
        top = podman("exec", name, "/k8shell", "kssh", "--run-dir",
                     "/run/k8shell", ".", "/k8shell nosuch")
        assert top.returncode == 2
        start = time.monotonic()
        assert podman("stop", "--time", "30", name).returncode == 0
        assert time.monotonic() - start < 25, "TERM did not stop it"
        state = podman("inspect", "-f", "{{.State.ExitCode}}", name)
        assert state.stdout.strip() == "0", podman("logs", name)
    finally:
        podman("rm", "--force", "--time", "1", name)


def test_init_image_installs_into_the_mounted_folder(rootfs, tmp_path):
    """The last stage of Dockerfile.init; the first is `./build.sh build`."""
    stages = (ROOT / "Dockerfile.init").read_text().split("FROM scratch\n")
    assert len(stages) == 2
    lines = [line.replace("--from=build /out/", "out/")
             .replace("--from=build /src/build/", "")
             for line in stages[1].splitlines()]
    r = subprocess.run([str(BINARY), "install", str(tmp_path / "out")])
    assert r.returncode == 0
    shutil.copy(ROOT / "build" / "NOTICES.txt", tmp_path)
    (tmp_path / "Dockerfile").write_text(
        "\n".join(["FROM scratch", *lines]) + "\n")
    tag = f"k8shell-init-test-{os.getpid()}"
    target = tmp_path / "target"
    target.mkdir()
    try:
        r = podman("build", "--network", "none", "--tag", tag, tmp_path)
        assert r.returncode == 0, r.stderr
        for _ in range(2):
            r = podman("run", "--rm", "--network", "none", "--volume",
                       f"{target}:/usr/local/bin", tag)
            assert r.returncode == 0, r.stderr
        names = sorted(p.name for p in target.iterdir())
        assert names == ["k8shell", "k8shelld", "kbox", "kssh", "sftp"]
        assert len({p.stat().st_ino for p in target.iterdir()}) == 1
        assert (target / "k8shelld").read_bytes() == BINARY.read_bytes()
        r = podman("run", "--rm", "--network", "none", "--volume",
                   f"{target}:/usr/local/bin:ro", tag)
        assert r.returncode == 1
        assert "Read-only file system" in r.stderr
    finally:
        podman("rmi", "--force", tag)
