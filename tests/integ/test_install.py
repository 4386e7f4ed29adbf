"""`k8shell install`: the init container's only job, and Dockerfile.init's."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "k8shell"
NAMES = ["k8shelld", "kbox", "kssh", "sftp"]
TEMP = ".k8shell.new"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def install(*args, binary=BINARY, **kw):
    return subprocess.run([str(binary), "install", *map(str, args)],
                          capture_output=True, text=True, timeout=60, **kw)


def in_mounts(script, *args):
    """Runs a shell script in a mount namespace of its own."""
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True)
    if probe.returncode != 0:
        pytest.skip("no mount namespaces here")
    return subprocess.run(["unshare", "-m", "sh", "-ec", script, "sh",
                           *map(str, args)],
                          capture_output=True, text=True, timeout=60)


def one_line(err):
    assert err.count("\n") == 1 and err.startswith("install: "), err
    return err


def assert_installed(folder, names=NAMES):
    main = (folder / "k8shell").stat()
    assert stat.S_IMODE(main.st_mode) == 0o755
    assert (folder / "k8shell").read_bytes() == BINARY.read_bytes()
    for name in names:
        assert (folder / name).stat().st_ino == main.st_ino, name
    assert sorted(p.name for p in folder.iterdir()) == \
        sorted(["k8shell", *names])


def test_one_copy_and_hard_links(tmp_path):
    r = install(tmp_path)
    assert r.returncode == 0, r.stderr
    assert_installed(tmp_path)
    assert (tmp_path / "k8shell").stat().st_nlink == 1 + len(NAMES)


def test_strict_umask_does_not_matter(tmp_path):
    r = install(tmp_path, preexec_fn=lambda: os.umask(0o077))
    assert r.returncode == 0, r.stderr
    assert_installed(tmp_path)


def test_again_changes_nothing_but_the_file(tmp_path):
    install(tmp_path)
    first = (tmp_path / "k8shell").stat().st_ino
    r = install(tmp_path)
    assert r.returncode == 0, r.stderr
    assert_installed(tmp_path)
    assert (tmp_path / "k8shell").stat().st_ino != first


def test_from_the_installed_copy_onto_itself(tmp_path):
    install(tmp_path)
    r = install(tmp_path, binary=tmp_path / "k8shell")
    assert r.returncode == 0, r.stderr
    assert_installed(tmp_path)


def test_left_over_of_a_killed_run_goes_away(tmp_path):
    (tmp_path / TEMP).write_text("half")
    assert install(tmp_path).returncode == 0
    assert_installed(tmp_path)


def test_a_running_program_is_replaced(tmp_path):
    for name in ("k8shell", "k8shelld"):
        shutil.copy("/bin/sleep", tmp_path / name)
    busy = subprocess.Popen([str(tmp_path / "k8shelld"), "60"])
    try:
        r = install(tmp_path)
        assert r.returncode == 0, r.stderr
        assert busy.poll() is None
    finally:
        busy.kill()
        busy.wait()
    assert_installed(tmp_path)


def test_a_symbolic_link_in_the_way_is_replaced_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("keep me")
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("k8shell", "kbox", TEMP):
        (folder / name).symlink_to(victim)
    assert install(folder).returncode == 0
    assert_installed(folder)
    assert victim.read_text() == "keep me"


def test_source_option(tmp_path):
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho other\n")
    folder = tmp_path / "bin"
    r = install(folder, "--source", other)
    assert r.returncode == 0, r.stderr
    out = subprocess.run([str(folder / "kbox")], capture_output=True,
                         text=True)
    assert out.stdout == "other\n"


def test_folder_is_created_one_level_deep(tmp_path):
    assert install(tmp_path / "new").returncode == 0
    assert_installed(tmp_path / "new")
    r = install(tmp_path / "no" / "where")
    assert r.returncode == 1
    assert "No such file or directory" in one_line(r.stderr)


def test_missing_and_empty_sources_are_refused(tmp_path):
    r = install(tmp_path / "bin", "--source", tmp_path / "gone")
    assert r.returncode == 1 and "gone" in one_line(r.stderr)
    (tmp_path / "empty").touch()
    r = install(tmp_path / "bin", "--source", tmp_path / "empty")
    assert r.returncode == 1 and "empty" in one_line(r.stderr)
    r = install(tmp_path / "bin", "--source", "/")
    assert r.returncode == 1
    one_line(r.stderr)
    assert list((tmp_path / "bin").iterdir()) == []


def test_a_folder_in_the_place_of_a_name(tmp_path):
    (tmp_path / "kbox").mkdir()
    r = install(tmp_path)
    assert r.returncode == 1
    assert "kbox" in one_line(r.stderr)
    assert not (tmp_path / TEMP).exists()


def test_wrong_usage_is_exit_2():
    for args in ([], ["a", "b"], ["--frobnicate"], ["x", "--source"]):
        r = install(*args)
        assert r.returncode == 2 and r.stderr.startswith("usage: "), args


@needs_root
def test_read_only_target(tmp_path):
    r = in_mounts('mount -t tmpfs -o ro none "$2"; "$1" install "$2"',
                  BINARY, tmp_path)
    assert r.returncode == 1
    assert "Read-only file system" in one_line(r.stderr)


@needs_root
def test_full_target_keeps_the_old_files(tmp_path):
    r = in_mounts('mount -t tmpfs -o size=16k none "$2"; cd "$2"\n'
                  'echo old >k8shell; ln k8shell kbox\n'
                  '"$1" install . || echo status $?\n'
                  'ls -A; cat k8shell kbox', BINARY, tmp_path)
    assert "No space left on device" in one_line(r.stderr)
    assert r.stdout.split() == ["status", "1", "k8shell", "kbox",
                                "old", "old"]


@needs_root
def test_without_permission(tmp_path):
    tmp_path.chmod(0o755)
    probe = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups",
                            "test", "-x", str(BINARY)])
    if probe.returncode != 0:
        pytest.skip("the build folder is not readable for other users")
    r = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups",
                        str(BINARY), "install", str(tmp_path)],
                       capture_output=True, text=True)
    assert r.returncode == 1
    assert "Permission denied" in one_line(r.stderr)
    assert list(tmp_path.iterdir()) == []


def strace_or_skip():
    probe = subprocess.run(["strace", "-o", "/dev/null", "true"],
                           capture_output=True)
    if probe.returncode != 0:
        pytest.skip("strace may not trace here")


def test_no_hard_links_on_this_file_system(tmp_path):
    strace_or_skip()
    r = subprocess.run(["strace", "-qq", "-o", "/dev/null", "-e",
                        "inject=linkat:error=EPERM", str(BINARY),
                        "install", str(tmp_path)],
                       capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    for name in NAMES:
        assert os.readlink(tmp_path / name) == "k8shell"
    assert_installed(tmp_path)


@pytest.mark.parametrize("call", ["write", "fchmod", "fsync", "renameat",
                                  "openat"])
def test_any_failing_call_leaves_the_old_file(tmp_path, call):
    strace_or_skip()
    (tmp_path / "k8shell").write_text("old")
    r = subprocess.run(["strace", "-qq", "-o", "/dev/null", "-e",
                        f"inject={call}:error=EIO:when=1", str(BINARY),
                        "install", str(tmp_path)],
                       capture_output=True, text=True)
    assert r.returncode == 1
    assert "I/O error" in one_line(r.stderr)
    assert [p.name for p in tmp_path.iterdir()] == ["k8shell"]
    assert (tmp_path / "k8shell").read_text() == "old"
