"""What build.sh promises: one small static file, the same from any folder on
any day, with no network after fetch, and an error one can read."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
BINARY = BUILD / "k8shell"
AARCH64 = BUILD / "aarch64" / "k8shell"
SIZE_MAX = 900 * 1024
SOURCES = ["build.sh", "deps.lock", "VERSION", "LICENSE", "Makefile",
           "patches", "proto", "lib", "applets", "tests"]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def run(*args, **kw):
    kw.setdefault("timeout", 600)
    return subprocess.run([str(a) for a in args], capture_output=True,
                          text=True, **kw)


def copy_tree(folder):
    """A clone of the sources as they are now, with deps/ carried along."""
    folder.mkdir()
    for name in SOURCES:
        src = ROOT / name
        if src.is_dir():
            shutil.copytree(src, folder / name,
                            ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(src, folder / name)
    shutil.copytree(ROOT / "deps", folder / "deps",
                    ignore=shutil.ignore_patterns(".new"))
    return folder


def quiet_env(**more):
    env = dict(os.environ, **more)
    env.pop("MAKEFLAGS", None)
    return env


# -- the file ---------------------------------------------------------------

@pytest.mark.parametrize("path", [BINARY, AARCH64], ids=["host", "aarch64"])
def test_static_pie_and_nothing_to_load(path):
    if not path.exists():
        pytest.skip("not built here")
    kind = run("file", "-b", path).stdout
    assert "static-pie linked" in kind and "stripped" in kind
    assert "not stripped" not in kind
    segments = run("readelf", "-lW", path).stdout
    assert "INTERP" not in segments
    assert "GNU_RELRO" in segments
    assert re.search(r"GNU_STACK.* RW ", segments)
    assert not re.search(r"LOAD.*RWE", segments)
    dynamic = run("readelf", "-dW", path).stdout
    assert "NEEDED" not in dynamic
    assert "BIND_NOW" in dynamic or " NOW" in dynamic


@pytest.mark.parametrize("path", [BINARY, AARCH64], ids=["host", "aarch64"])
def test_size(path):
    if not path.exists():
        pytest.skip("not built here")
    size = path.stat().st_size
    print(f"{path.name}: {size} bytes")
    assert size <= SIZE_MAX


def test_no_path_of_this_machine_inside():
    data = BINARY.read_bytes()
    for text in (str(ROOT), os.environ.get("HOME", "/root") + "/",
                 os.uname().nodename):
        if len(text) > 6:
            assert text.encode() not in data, text


def test_vector_code_is_in():
    """AES-NI and PCLMUL: without them TLS is twenty times slower."""
    if os.uname().machine != "x86_64":
        pytest.skip("x86-64 only")
    code = run("objdump", "-d", "--no-show-raw-insn", BINARY).stdout
    for insn in ("aesenc", "pclmul", "rdrand"):
        assert insn in code, insn


def test_names_are_the_same_file():
    for name in ("k8shelld", "kssh"):
        assert (BUILD / name).stat().st_ino == BINARY.stat().st_ino


def test_notices_of_all_four_libraries():
    text = (BUILD / "NOTICES.txt").read_text()
    for name in ("k8shell authors", "musl as a whole", "Thomas Pornin",
                 "Dave Benson", "Kirill Simonov"):
        assert name in text, name


def test_private_key_decoder_stays_in_its_buffer(tmp_path):
    """security.md finding 6, against the very library that we ship."""
    sys_ = BUILD / "deps" / os.uname().machine
    gcc_include = run("gcc", "-print-file-name=include").stdout.strip()
    lib = sys_ / "lib"
    r = run("gcc", "-O1", "-fPIE", "-nostdinc", "-isystem", sys_ / "include",
            "-isystem", gcc_include, "-c", "-o", tmp_path / "t.o",
            ROOT / "tests" / "integ" / "skey_bound.c")
    assert r.returncode == 0, r.stderr
    r = run("gcc", "-static-pie", "-nostdlib", "-nostartfiles",
            lib / "rcrt1.o", lib / "crti.o", tmp_path / "t.o",
            lib / "libbearssl.a", lib / "libc.a", "-lgcc",
            lib / "crtn.o", "-o", tmp_path / "t")
    assert r.returncode == 0, r.stderr
    r = run(tmp_path / "t")
    assert r.returncode == 0, r.stdout
    unpatched = run("gcc", "-w", "-o", tmp_path / "u",
                    ROOT / "tests" / "integ" / "skey_bound.c", "-lbearssl")
    assert unpatched.returncode == 0, unpatched.stderr
    assert run(tmp_path / "u").returncode == 1, \
        "the check no longer sees the defect in Debian's own build"


# -- the command line -----------------------------------------------------------

VERSION = (ROOT / "VERSION").read_text().strip()
VERSION_LINE = re.escape(VERSION) + r" \(commit: [0-9a-f]{7}\)\n"


@pytest.mark.parametrize("flag", ["-v", "--version"])
def test_version_of_the_daemon(flag):
    r = run(BUILD / "k8shelld", flag)
    assert r.returncode == 0
    assert re.fullmatch("k8shelld version: " + VERSION_LINE, r.stdout)


def test_version_of_the_binary():
    r = run(BINARY, "--version")
    assert r.returncode == 0
    assert re.fullmatch("k8shell version: " + VERSION_LINE, r.stdout)
    assert run(BINARY, "k8shelld", "-v").stdout == \
        run(BUILD / "k8shelld", "-v").stdout


@pytest.mark.parametrize("args", [[], ["no-such-applet"], ["-x"]])
def test_no_applet_is_a_usage_with_the_list_and_exit_2(args):
    r = run(BINARY, *args)
    assert r.returncode == 2 and r.stdout == ""
    for name in ("k8shelld", "kssh", "install"):
        assert re.search(rf"^  {name} ", r.stderr, re.M)


def test_any_other_file_name_takes_the_applet_as_argument(tmp_path):
    os.link(BINARY, tmp_path / "busybox") if \
        os.stat(tmp_path).st_dev == BINARY.stat().st_dev else \
        shutil.copy(BINARY, tmp_path / "busybox")
    r = run(tmp_path / "busybox", "k8shelld", "-v")
    assert r.returncode == 0 and r.stdout.startswith("k8shelld version: ")


# -- the build ----------------------------------------------------------------------

def test_second_build_has_nothing_to_do():
    first = run("./build.sh", "build", cwd=ROOT)
    assert first.returncode == 0, first.stdout + first.stderr
    before = BINARY.stat()
    start = time.monotonic()
    again = run("./build.sh", "build", cwd=ROOT)
    print(f"second build: {time.monotonic() - start:.2f} s")
    assert again.returncode == 0
    assert "cc " not in again.stdout and "once" not in again.stdout
    assert BINARY.stat().st_mtime_ns == before.st_mtime_ns
    assert run("make", "-q", "release", cwd=ROOT).returncode == 0


@needs_root
def test_other_folder_no_network_other_day_same_bytes(tmp_path):
    """Libraries and all, from deps/ alone, in 2031, with another umask."""
    there = copy_tree(tmp_path / "a-longer-folder-name")
    here = tmp_path / "b"
    shutil.copytree(there, here)
    assert run("unshare", "-n", "true").returncode == 0
    r = run("unshare", "-n", "faketime", "2031-05-05 12:00:00", "sh", "-c",
            "umask 077; exec ./build.sh build", cwd=there,
            env=quiet_env(HOME=str(tmp_path), TZ="Asia/Tokyo"),
            stdin=subprocess.DEVNULL)
    assert r.returncode == 0, r.stdout + r.stderr
    ours = (there / "build" / "k8shell").read_bytes()

    # Here and now, on the libraries that this tree has already.
    (here / "build").mkdir()
    shutil.copytree(BUILD / "deps", here / "build" / "deps", symlinks=True)
    r = run("./build.sh", "build", cwd=here, env=quiet_env())
    assert r.returncode == 0, r.stdout + r.stderr
    assert "once" not in r.stdout, "the libraries were compiled again"
    assert (here / "build" / "k8shell").read_bytes() == ours


@needs_root
def test_aarch64_answers_and_runs_a_command_under_qemu(tmp_path):
    if shutil.which("qemu-aarch64-static") is None:
        pytest.skip("no qemu-aarch64-static")
    r = run("./build.sh", "build", "--arch", "aarch64", cwd=ROOT)
    assert r.returncode == 0, r.stdout + r.stderr
    r = run("qemu-aarch64-static", AARCH64, "--version")
    assert r.returncode == 0
    assert re.fullmatch("k8shell version: " + VERSION_LINE, r.stdout)

    daemon = subprocess.Popen(
        ["qemu-aarch64-static", AARCH64, "k8shelld", "--standalone",
         "--run-dir", tmp_path / "run"], stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 30
        while not (tmp_path / "run" / "grpc.sock").exists():
            assert daemon.poll() is None, daemon.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.05)
        for kssh in ([BUILD / "kssh"],
                     ["qemu-aarch64-static", AARCH64, "kssh"]):
            r = run(*kssh, "--run-dir", tmp_path / "run", ".",
                    "echo one Exec; exit 7", stdin=subprocess.DEVNULL)
            assert (r.stdout, r.returncode) == ("one Exec\n", 7), r.stderr
    finally:
        daemon.terminate()
        daemon.wait(20)
        daemon.stderr.close()


# -- fetch -----------------------------------------------------------------------------

def assert_one_line_error(r, *words):
    assert r.returncode != 0
    assert r.stderr.count("\n") == 1 and r.stderr.startswith("build.sh: ")
    for w in words:
        assert w in r.stderr, r.stderr


def sources_without_deps(folder):
    folder.mkdir()
    for name in ("build.sh", "deps.lock", "VERSION", "LICENSE"):
        shutil.copy2(ROOT / name, folder / name)
    shutil.copytree(ROOT / "patches", folder / "patches")
    return folder


@needs_root
def test_fetch_when_all_is_there_needs_no_network(tmp_path):
    there = copy_tree(tmp_path / "t")
    r = run("unshare", "-n", "./build.sh", "fetch", cwd=there)
    assert r.returncode == 0, r.stderr
    assert "complete" in r.stdout


@needs_root
def test_fetch_without_network_says_so(tmp_path):
    there = sources_without_deps(tmp_path / "t")
    r = run("unshare", "-n", "./build.sh", "fetch", cwd=there)
    assert_one_line_error(r, "fetch: Failed to fetch")


@needs_root
def test_fetch_onto_a_full_disk_says_so(tmp_path):
    if run("unshare", "-m", "true").returncode != 0:
        pytest.skip("no mount namespaces here")
    there = sources_without_deps(tmp_path / "t")
    (there / "deps").mkdir()
    r = run("unshare", "-m", "sh", "-c",
            "mount -t tmpfs -o size=1m none deps; ./build.sh fetch",
            cwd=there)
    assert_one_line_error(r, "the disk is full")


def stub(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n" + text)
    (folder / name).chmod(0o755)
    return dict(os.environ, PATH=f"{folder}:{os.environ['PATH']}")


def test_fetch_refuses_a_wrong_checksum(tmp_path):
    """A mirror that serves other bytes, played by a stand-in for apt-get."""
    there = sources_without_deps(tmp_path / "t")
    env = stub(tmp_path / "bin", "apt-get", """
        case "$*" in *--download-only*)
            cp "$DEPS"/* . && echo x >>libyaml_0.2.5.orig.tar.gz ;;
        esac""")
    env["DEPS"] = str(ROOT / "deps")
    r = run("./build.sh", "fetch", cwd=there, env=env)
    assert_one_line_error(r, "checksum", "libyaml_0.2.5.orig.tar.gz")
    assert not (there / "deps" / "libyaml_0.2.5.orig.tar.gz").exists()


def test_build_refuses_changed_sources_in_deps(tmp_path):
    there = copy_tree(tmp_path / "t")
    with open(there / "deps" / "musl_1.2.3.orig.tar.gz", "ab") as f:
        f.write(b"x")
    env = stub(tmp_path / "bin", "apt-get", "echo E: no network; exit 100")
    r = run("./build.sh", "build", cwd=there, env=env)
    assert_one_line_error(r, "fetch: ")


def test_missing_package_without_root_is_named(tmp_path):
    there = sources_without_deps(tmp_path / "t")
    bin_ = tmp_path / "bin"
    env = stub(bin_, "dpkg-query", 'case "$*" in *" gcc "*|*" gcc") ;; '
               '*) echo "installed " ;; esac')
    env = stub(bin_, "id", "echo 1000")
    for tool in ("bash", "awk", "env", "dirname", "uname", "nproc", "df",
                 "grep", "apt-get"):
        (bin_ / tool).symlink_to(shutil.which(tool))
    env["PATH"] = str(bin_)
    r = run("./build.sh", "fetch", cwd=there, env=env)
    assert_one_line_error(r, "gcc", "neither root nor sudo")


def test_verbs():
    r = run("./build.sh", cwd=ROOT)
    assert r.returncode == 0
    for verb in ("fetch", "build", "try", "test", "bench", "fuzz", "clean"):
        assert re.search(rf"^  {verb}\b", r.stdout, re.M), verb
    r = run("./build.sh", "nonsense", cwd=ROOT)
    assert r.returncode == 2 and r.stdout == ""


def test_no_package_host_in_our_files():
    """Where packages come from is the machine's business."""
    hosts = re.compile(rb"(registry\.[a-z]|deb\.[a-z]+\.org|snapshot\.debian)")
    for name in SOURCES + [".ci", "Dockerfile.init"]:
        top = ROOT / name
        files = [top] if top.is_file() else top.rglob("*")
        for f in files:
            if f.is_file() and f != Path(__file__).resolve() and \
                    "corpus" not in f.parts and "__pycache__" not in f.parts:
                assert not hosts.search(f.read_bytes()), f
