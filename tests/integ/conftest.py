"""Fixtures of the integration tests."""

import os
import signal
import subprocess

import pytest

import harness
import jose
from jobs import Jobs


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true",
                     help="also run soaks and long campaigns")


def pytest_configure(config):
    # In the background of a script they are ignored, and stay so over exec.
    for signo in (signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(signo) == signal.SIG_IGN:
            signal.signal(signo, signal.SIG_DFL)
    config.addinivalue_line("markers", "long: minutes, only with --long")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--long"):
        return
    skip = pytest.mark.skip(reason="long: ./build.sh test --long")
    for item in items:
        if "long" in item.keywords:
            item.add_marker(skip)


def need_root():
    if os.geteuid() != 0:
        pytest.skip("needs root to become the workspace user")


@pytest.fixture(scope="module")
def daemon(request, tmp_path_factory, home):
    """The file's own daemon, of its CONFIG."""
    d = harness.Daemon(tmp_path_factory.mktemp(request.module.__name__),
                       config=getattr(request.module, "CONFIG",
                                      harness.CONFIG))
    yield d
    d.stop()


@pytest.fixture
def jobs(daemon):
    """The jobs of the file's own daemon; none is left behind."""
    j = Jobs(daemon.rest_sock)
    yield j
    j.clear()


@pytest.fixture(scope="session")
def home():
    """The workspace user's home directory, for the whole run."""
    need_root()
    with harness.user_home() as path:
        yield path


@pytest.fixture(scope="module")
def shared(tmp_path_factory, home):
    """A plaintext daemon with no authentication, shared by a module."""
    d = harness.Daemon(tmp_path_factory.mktemp("shared"))
    yield d
    d.stop()


def served(way, folder, ec_cert, rsa_cert):
    """A daemon as clients may meet it.

    way: "plaintext", "tls-rsa", or "tls-ecdsa-auth", where every call of its
    stub() and of a raw.Peer carries a service-account token.
    """
    if way == "plaintext":
        return harness.Daemon(folder)
    cert, key = ec_cert if way == "tls-ecdsa-auth" else rsa_cert
    config = harness.CONFIG.replace("enableTLS: false", "enableTLS: true") + (
        "    certFile: %s\n    keyFile: %s\n" % (cert, key))
    client = {"ca": cert, "name": "workspace.ns"}
    if way == "tls-ecdsa-auth":
        signer = jose.Key(folder)
        (folder / "jwks.json").write_text(jose.jwks(("k", signer)))
        config += ("    authEnabled: true\n    audience: k8shelld\n"
                   "    issuerURL: https://issuer.test\n"
                   "    jwksFile: %s/jwks.json\n    allowed:\n"
                   "    - {namespace: prod, serviceAccount: ssh-proxy}\n"
                   % folder)
        client["token"] = signer.token(jose.service_account(life=3600),
                                       kid="k")
    d = harness.Daemon(folder, config=config)
    d.client = client
    return d


@pytest.fixture(scope="module",
                params=["plaintext", "tls-rsa", "tls-ecdsa-auth"])
def every_way(request, tmp_path_factory, home, ec_cert, rsa_cert):
    """Like shared, once for each way of being reached."""
    d = served(request.param, tmp_path_factory.mktemp("way"), ec_cert,
               rsa_cert)
    yield d
    d.stop()


@pytest.fixture
def stub(shared):
    with shared.stub() as s:
        yield s


@pytest.fixture
def start(tmp_path, home):
    """Start daemons of one's own: start(config=..., args=...)."""
    running = []

    def begin(**kwargs):
        folder = tmp_path / ("daemon%d" % len(running))
        folder.mkdir()
        d = harness.Daemon(folder, **kwargs)
        running.append(d)
        return d

    yield begin
    errors = []
    for d in running:
        try:
            d.stop()
        except AssertionError as e:
            errors.append(str(e))
    assert not errors, "\n".join(errors)


@pytest.fixture(scope="session")
def ec_cert(tmp_path_factory):
    return harness.make_cert(str(tmp_path_factory.mktemp("ec")), "ec")


@pytest.fixture(scope="session")
def rsa_cert(tmp_path_factory):
    return harness.make_cert(str(tmp_path_factory.mktemp("rsa")), "rsa")


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind():
    """After the run no process of the workspace user may live."""
    yield
    harness.eventually(lambda: not harness.processes(uid=harness.UID),
                       "no process of uid %d left" % harness.UID)


def run(*argv, **kwargs):
    kwargs.setdefault("capture_output", True)
    kwargs.setdefault("timeout", harness.DEADLINE)
    return subprocess.run(argv, **kwargs)
