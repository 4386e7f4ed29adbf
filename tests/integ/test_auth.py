"""Who may call: service accounts, workspace tokens, Unix peers (T1..T7)."""

import http.server
import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading
import time

import grpc
import pytest

import harness
import jose
from harness import ssh, system

OK = grpc.StatusCode.OK
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
DENIED = grpc.StatusCode.PERMISSION_DENIED

ALLOWED = """\
    allowed:
      - {namespace: prod, serviceAccount: ssh-proxy}
      - {namespace: ci, serviceAccount: "*"}
"""


def sa_config(folder):
    return harness.CONFIG + """\
    authEnabled: true
    issuerURL: https://issuer.test
    audience: k8shelld
    jwksFile: %s/jwks.json
""" % folder + ALLOWED


class Cluster:
    """A daemon that believes the service-account keys in a file."""

    def __init__(self, start, folder):
        self.folder = str(folder)
        self.key = jose.Key(folder, "cluster", "RS256")
        self.ec = jose.Key(folder, "cluster-ec", "ES256")
        self.stranger = jose.Key(folder, "stranger", "RS256")
        self.publish(("r", self.key), ("e", self.ec))
        self.daemon = start(config=sa_config(folder))

    def publish(self, *keys):
        path = os.path.join(self.folder, "jwks.json")
        with open(path + ".new", "w") as f:
            f.write(jose.jwks(*keys))
        os.rename(path + ".new", path)

    def token(self, header=None, **more):
        return self.key.token(jose.service_account(**more), header=header,
                              kid="r")


@pytest.fixture
def cluster(start, tmp_path):
    return Cluster(start, tmp_path)


def handshake(stub, token=None, authorization=None):
    """Status of one unary call."""
    meta = []
    if token is not None:
        meta = [("authorization", "Bearer " + token)]
    if authorization is not None:
        meta = [("authorization", authorization)]
    try:
        stub.Handshake(system.HandshakeRequest(), metadata=meta, timeout=10)
        return OK
    except grpc.RpcError as e:
        return e.code()


def fresh(daemon, token=None, authorization=None):
    """The same on a connection of its own: nothing is cached there."""
    with daemon.stub(options=[("grpc.use_local_subchannel_pool", 1)]) as s:
        return handshake(s, token, authorization)


def methods():
    """Every method of the contract: (path, request class, kind)."""
    for module in harness.PB.values():
        for service in module.DESCRIPTOR.services_by_name.values():
            for m in service.methods:
                yield ("/%s/%s" % (service.full_name, m.name),
                       getattr(module, m.input_type.name),
                       m.client_streaming, m.server_streaming)


def call(stub, path, request, client_streaming, server_streaming, metadata):
    """Status of any method, called the way its kind wants it."""
    kind = ("stream" if client_streaming else "unary") + "_" + \
           ("stream" if server_streaming else "unary")
    method = getattr(stub.channel, kind)(
        path, request_serializer=lambda m: m.SerializeToString())
    argument = iter([request()]) if client_streaming else request()
    try:
        answer = method(argument, metadata=metadata, timeout=10)
        if server_streaming:
            for _ in answer:
                pass
        return OK
    except grpc.RpcError as e:
        return e.code()


class Trace:
    """System calls of a daemon while a block runs; text is in .calls."""

    def __init__(self, daemon, what, folder):
        self.out = os.path.join(str(folder), "strace")
        self.proc = subprocess.Popen(
            ["strace", "-f", "-o", self.out, "-e", "trace=" + what, "-p",
             str(daemon.pid)], stderr=subprocess.PIPE)
        line = self.proc.stderr.readline()
        if b"attached" not in line:
            self.proc.kill()
            self.proc.wait()
            pytest.skip("strace cannot attach here: %r" % line)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.proc.send_signal(signal.SIGINT)
        self.proc.wait()
        self.proc.stderr.close()
        with open(self.out) as f:
            self.calls = [line for line in f if "(" in line]


def need_strace():
    if shutil.which("strace") is None:
        pytest.skip("needs strace")


def test_TR_23_T1_every_method_needs_a_token(cluster, tmp_path):
    need_strace()
    bad = {
        "none": [],
        "garbage": [("authorization", "Bearer a.b.c")],
        "expired": [("authorization", "Bearer " + cluster.token(life=-60))],
        "foreign": [("authorization", "Bearer " + cluster.stranger.token(
            jose.service_account(), kid="r"))],
    }
    ids = [("session-id", "sh-t-1"), ("exec-id", "ex-t-1"),
           ("portforward-id", "pf-t-1"), ("unixsocket-id", "ux-t-1")]
    before = cluster.daemon.fds()
    with cluster.daemon.stub() as stub:
        assert handshake(stub) == UNAUTHENTICATED
        with Trace(cluster.daemon, "fork,vfork,clone,clone3,execve,socket,"
                   "connect", tmp_path) as t:
            for path, request, cs, ss in methods():
                for what, meta in bad.items():
                    assert call(stub, path, request, cs, ss, meta + ids) == \
                        UNAUTHENTICATED, "%s, token %s" % (path, what)
    assert t.calls == []
    harness.eventually(lambda: cluster.daemon.fds() <= before, "fds closed")


def test_TR_23_streams_and_unary_calls_run_with_a_token(cluster):
    with cluster.daemon.stub(token=cluster.token()) as stub:
        stub.Handshake(system.HandshakeRequest(), metadata=stub.metadata,
                       timeout=10)
        assert stub.exec("echo yes").out == b"yes\n"
        # The same connection is nobody again without it.
        with pytest.raises(grpc.RpcError) as e:
            list(stub.Exec(iter([ssh.ExecRequest()]), timeout=10))
        assert e.value.code() == UNAUTHENTICATED


def test_TR_23_accounts_off_the_list_are_denied(cluster):
    d = cluster.daemon
    for claims, expected in (
            (dict(namespace="prod", name="ssh-proxy"), OK),
            (dict(namespace="ci", name="anyone"), OK),
            (dict(namespace="prod", name="other"), DENIED),
            (dict(namespace="dev", name="ssh-proxy"), DENIED),
            ({"kubernetes.io": None}, DENIED),
            ({"kubernetes.io": {"namespace": "prod"}}, DENIED)):
        assert fresh(d, cluster.token(**claims)) == expected, claims
    assert fresh(d, cluster.ec.token(jose.service_account(), kid="e")) == OK


def test_TR_24_scheme_is_case_insensitive_and_trimmed(cluster):
    token = cluster.token()
    for form in ("Bearer %s", "bearer %s", "BEARER   %s"):
        assert fresh(cluster.daemon, authorization=form % token) == OK
    for form in ("%s", "Basic %s", "Bearer%s", "Bearer %s x"):
        assert fresh(cluster.daemon,
                     authorization=form % token) == UNAUTHENTICATED


def test_T2_algorithm_is_never_the_tokens(cluster):
    d, claims = cluster.daemon, jose.service_account()
    with open(cluster.key.public, "rb") as f:
        pem = f.read()
    body = jose.b64(json.dumps(claims).encode())
    for alg in ("none", "None", "NONE"):
        head = jose.b64(json.dumps({"alg": alg, "kid": "r"}).encode())
        assert fresh(d, "%s.%s." % (head, body)) == UNAUTHENTICATED
        assert fresh(d, "%s.%s.AAAA" % (head, body)) == UNAUTHENTICATED
    assert fresh(d, jose.hs256(pem, claims)) == UNAUTHENTICATED
    # RS256 under the key id of the ES256 key, and the other way round.
    assert fresh(d, cluster.key.token(claims, kid="e")) == UNAUTHENTICATED
    assert fresh(d, cluster.ec.token(claims, kid="r")) == UNAUTHENTICATED
    assert fresh(d, cluster.key.token(
        claims, {"alg": "rs256", "kid": "r"})) == UNAUTHENTICATED


def test_T3_header_fields_lead_nowhere(cluster, tmp_path):
    need_strace()
    d = cluster.daemon
    lures = [{"kid": "../../../../etc/passwd"}, {"kid": "/dev/zero"},
             {"jku": "https://127.0.0.1:1/keys"},
             {"x5u": "https://127.0.0.1:1/cert"}, {"x5u": "file:///etc/passwd"},
             {"jwk": cluster.stranger.jwk("r")}]
    with d.stub() as stub:
        handshake(stub)
        with Trace(d, "open,openat,socket,connect,clone,fork", tmp_path) as t:
            for lure in lures:
                header = {"alg": "RS256", "kid": "r", **lure}
                assert handshake(stub, cluster.stranger.token(
                    jose.service_account(), header)) == UNAUTHENTICATED
    assert [c for c in t.calls if "passwd" in c or "zero" in c
            or "connect" in c or "socket" in c] == []
    for crit in (["exp"], [], None):
        assert fresh(d, cluster.token(
            {"alg": "RS256", "kid": "r", "crit": crit})) == UNAUTHENTICATED


def test_T4_syntax(cluster):
    d = cluster.daemon
    good = cluster.token()
    head, body, sig = good.split(".")
    assert fresh(d, good) == OK
    bad = ["." + good, good + ".", good + ".AAAA", head + ".." + body + sig,
           head + "." + body, good + "=", good.replace(".", "..", 1),
           head + "+." + body + "." + sig, head + "/." + body + "." + sig,
           head[:5] + " " + head[5:] + "." + body + "." + sig,
           head + "." + body + ".", "A" * 9000,
           cluster.token(pad="x" * 8000)]
    # Last bits that must be zero.
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    bad.append(good[:-1] + last[last.index(good[-1]) ^ 1])
    for token in bad:
        assert fresh(d, token) == UNAUTHENTICATED, token
    exp = int(time.time()) + 600
    text = json.dumps(jose.service_account())
    for claims in (text[:-1] + ', "exp": %d}' % exp,
                   text[:-1] + ', "iss": "https://issuer.test"}',
                   text.replace('"exp"', '"\\u0065xp"')):
        assert fresh(d, cluster.key.token(claims, kid="r")) == UNAUTHENTICATED
    for value in (None, "%d" % exp, exp + 0.5, float(exp), -exp, 0, True):
        assert fresh(d, cluster.token(exp=value)) == UNAUTHENTICATED, value
    for value in ("1e400", "1e10", "99999999999999999999"):
        claims = text.replace('"exp": ', '"exp": %s, "x": ' % value)
        assert fresh(d, cluster.key.token(claims, kid="r")) == UNAUTHENTICATED
    der = jose.openssl("dgst", "-sha256", "-sign", cluster.ec.path,
                       input=b"x")
    token = cluster.ec.token(jose.service_account(), kid="e")
    assert fresh(d, token) == OK
    assert fresh(d, token.rpartition(".")[0] + "."
                 + jose.b64(der)) == UNAUTHENTICATED


def test_T4_weak_keys_are_not_loaded(start, tmp_path):
    weak = jose.Key(tmp_path, "weak", "RS256", bits=1024)
    (tmp_path / "jwks.json").write_text(jose.jwks(("w", weak)))
    d = start(config=sa_config(tmp_path))
    assert "no usable RS256 or ES256 key" in d.log()
    assert fresh(d, weak.token(jose.service_account(),
                               kid="w")) == UNAUTHENTICATED


def test_T5_claims(cluster):
    d, now = cluster.daemon, int(time.time())
    for more, expected in (
            (dict(aud="k8shelld"), OK),
            (dict(aud=["x", "k8shelld"]), OK),
            (dict(aud="k8shell"), UNAUTHENTICATED),
            (dict(aud=[]), UNAUTHENTICATED),
            (dict(aud=None), UNAUTHENTICATED),
            (dict(iss="https://issuer.test/"), UNAUTHENTICATED),
            (dict(iss=None), UNAUTHENTICATED),
            # The exact seconds are in the unit tests; here the clock runs.
            (dict(exp=now - 20), OK),
            (dict(exp=now - 31), UNAUTHENTICATED),
            (dict(nbf=now + 29), OK),
            (dict(nbf=now + 60), UNAUTHENTICATED),
            (dict(iat=now + 29), OK),
            (dict(iat=now + 60), UNAUTHENTICATED)):
        assert fresh(d, cluster.token(**more)) == expected, more


def test_T5_no_audience_configured_lets_nobody_in(start, tmp_path):
    key = jose.Key(tmp_path, "cluster", "ES256")
    (tmp_path / "jwks.json").write_text(jose.jwks(("k", key)))
    d = start(config=sa_config(tmp_path).replace("audience: k8shelld",
                                                 'audience: ""'))
    for aud in ("", "k8shelld", [""]):
        assert fresh(d, key.token(jose.service_account(aud=aud),
                                  kid="k")) == UNAUTHENTICATED


def test_T7_cached_verdict_dies_at_exp(cluster):
    token = cluster.token(exp=int(time.time()) - 27)
    with cluster.daemon.stub() as stub:
        assert handshake(stub, token) == OK
        harness.eventually(lambda: handshake(stub, token) == UNAUTHENTICATED,
                           "the token of this connection expires")


def test_T7_one_changed_bit_is_another_token(cluster):
    token = cluster.token()
    with cluster.daemon.stub() as stub:
        assert handshake(stub, token) == OK
        for i in range(0, len(token), 41):
            other = token[:i] + chr(ord(token[i]) ^ 1) + token[i + 1:]
            assert handshake(stub, other) == UNAUTHENTICATED
        assert handshake(stub, token) == OK


def test_T7_new_keys_count_and_old_ones_no_more(cluster):
    new = jose.Key(cluster.folder, "rotated", "ES256")
    old_token = cluster.token()
    with cluster.daemon.stub() as stub:
        assert handshake(stub, old_token) == OK
        cluster.publish(("n", new))
        # The unknown key id makes the daemon look.
        assert handshake(stub, new.token(jose.service_account(),
                                         kid="n")) == OK
        assert handshake(stub, old_token) == UNAUTHENTICATED


def test_T8_tokens_are_not_logged(cluster):
    good, bad = cluster.token(), cluster.stranger.token(
        jose.service_account(), kid="r")
    assert fresh(cluster.daemon, good) == OK
    assert fresh(cluster.daemon, bad) == UNAUTHENTICATED
    for token in (good, bad):
        for part in token.split("."):
            assert part not in cluster.daemon.log()


# ---- the workspace's own token ----


class Workspace:
    """A daemon whose user comes from a token."""

    def __init__(self, start, folder, alg="ES256"):
        self.folder = str(folder)
        self.key = jose.Key(folder, "identity", alg)
        self.path = os.path.join(self.folder, "token")
        self.current = self.renew()
        self.daemon = start(config=harness.CONFIG + """\
identity:
  tokenPath: %s
  publicKeyPath: %s
  signingMethod: %s
""" % (self.path, self.key.public, alg.lower()))

    def claims(self, **more):
        now = int(time.time())
        claims = {"iss": "k8shell", "sub": harness.USER, "uid": harness.UID,
                  "gid": harness.GID, "source": "test", "iat": now,
                  "exp": now + 600, "jti": os.urandom(8).hex()}
        claims.update(more)
        return claims

    def renew(self, **more):
        token = self.key.token(self.claims(**more))
        with open(self.path + ".new", "w") as f:
            f.write(token + "\n")
        os.rename(self.path + ".new", self.path)
        return token


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_T5_only_this_workspaces_token_opens_it(start, tmp_path, alg):
    w = Workspace(start, tmp_path, alg)
    assert fresh(w.daemon, w.current) == OK
    assert fresh(w.daemon) == UNAUTHENTICATED
    # The same user's other workspace: same signer, same claims.
    assert fresh(w.daemon, w.key.token(w.claims())) == UNAUTHENTICATED
    stranger = jose.Key(tmp_path, "stranger", alg)
    assert fresh(w.daemon, stranger.token(w.claims())) == UNAUTHENTICATED
    with w.daemon.stub(token=w.current) as stub:
        assert stub.exec("id -u").out == b"%d\n" % harness.UID


def test_T2_identity_token_of_another_algorithm(start, tmp_path):
    w = Workspace(start, tmp_path)
    with open(w.key.public, "rb") as f:
        assert fresh(w.daemon, jose.hs256(f.read(), w.claims())) == \
            UNAUTHENTICATED


def test_T7_renewed_identity_token_is_known_at_once(start, tmp_path):
    w = Workspace(start, tmp_path)
    old = w.current
    with w.daemon.stub() as stub:
        assert handshake(stub, old) == OK
        new = w.renew()
        assert handshake(stub, new) == OK
        assert handshake(stub, old) == OK       # until it expires
        w.renew()
        newest = w.renew()
        harness.eventually(lambda: handshake(stub, newest) == OK, "renewal")
        assert handshake(stub, old) == UNAUTHENTICATED


# ---- keys fetched from the issuer ----

# In a mount namespace of its own the daemon finds a pod's usual files.
POD = """
set -e
mount -t tmpfs none /run
[ -e /var/run/secrets ] || mkdir -p /var/run/secrets
mkdir -p /var/run/secrets/kubernetes.io/serviceaccount
mount --bind "$0" /var/run/secrets/kubernetes.io/serviceaccount
exec "$@"
"""


class Issuer:
    """An HTTPS server that hands out keys and remembers who asked."""

    def __init__(self, folder, cert, key):
        self.requests, self.body, self.status = [], "{}", 200
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.requests.append((self.path,
                                        self.headers.get("Authorization")))
                body = issuer.body.encode()
                self.send_response(issuer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.server.socket = context.wrap_socket(self.server.socket,
                                                 server_side=True)
        self.url = "https://localhost:%d" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def issuer(tmp_path, ec_cert):
    if subprocess.run(["unshare", "-m", "true"],
                      capture_output=True).returncode != 0:
        pytest.skip("needs a mount namespace")
    server = Issuer(tmp_path, *ec_cert)
    yield server
    server.close()


def pod(tmp_path, ec_cert):
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    shutil.copy(ec_cert[0], folder / "ca.crt")
    (folder / "token").write_text("pod-token-1\n")
    (folder / "namespace").write_text("own\n")
    return folder


def start_pod(start, folder, issuer):
    return start(config=harness.CONFIG + """\
    authEnabled: true
    issuerURL: %s
    audience: k8shelld
    allowed:
      - {serviceAccount: ssh-proxy}
""" % issuer.url, wrapper=["unshare", "-m", "sh", "-c", POD, str(folder)])


def test_TR_23_keys_are_fetched_from_the_issuer(start, tmp_path, issuer,
                                                ec_cert):
    folder = pod(tmp_path, ec_cert)
    one, two = (jose.Key(tmp_path, n, "RS256") for n in ("one", "two"))
    issuer.body = jose.jwks(("1", one))
    d = start_pod(start, folder, issuer)

    def claims(**more):
        return jose.service_account(iss=issuer.url, **more)

    assert fresh(d, one.token(claims(namespace="own"), kid="1")) == OK
    # A rule without namespace is about the pod's own.
    assert fresh(d, one.token(claims(namespace="prod"), kid="1")) == DENIED
    assert issuer.requests == [("/openid/v1/jwks", "Bearer pod-token-1")]
    # Rotation: an unknown key id asks again, with the token of that moment,
    # but not more often than every ten seconds.
    issuer.body = jose.jwks(("2", two))
    (folder / "token").write_text("pod-token-2\n")
    harness.eventually(lambda: fresh(d, two.token(
        claims(namespace="own"), kid="2")) == OK, "key rotation")
    assert issuer.requests[1:] == [("/openid/v1/jwks", "Bearer pod-token-2")]
    assert fresh(d, one.token(claims(namespace="own"),
                              kid="1")) == UNAUTHENTICATED
    for secret in ("pod-token-1", "pod-token-2"):
        assert secret not in d.log()


def test_TR_23_issuer_that_fails_is_asked_again(start, tmp_path, issuer,
                                                ec_cert):
    folder = pod(tmp_path, ec_cert)
    key = jose.Key(tmp_path, "one", "ES256")
    issuer.status = 503
    d = start_pod(start, folder, issuer)
    harness.eventually(lambda: "HTTP status 503" in d.log(), "the reason")
    issuer.status, issuer.body = 200, jose.jwks(("1", key))
    harness.eventually(lambda: fresh(d, key.token(jose.service_account(
        namespace="own", iss=issuer.url), kid="1")) == OK, "another try")


def test_TR_23_issuer_of_another_ca_is_not_believed(start, tmp_path, issuer,
                                                    rsa_cert):
    folder = pod(tmp_path, rsa_cert)
    key = jose.Key(tmp_path, "one", "ES256")
    issuer.body = jose.jwks(("1", key))
    d = start_pod(start, folder, issuer)
    harness.eventually(lambda: "TLS: " in d.log(), "the reason")
    assert issuer.requests == []
    assert fresh(d, key.token(jose.service_account(
        namespace="own", iss=issuer.url), kid="1")) == UNAUTHENTICATED


# ---- Unix sockets ----


THIRD_UID = """
import grpc, sys
call = grpc.insecure_channel("unix:" + sys.argv[1]).unary_unary(
    "/k8shelld.SystemService/Handshake")
try:
    call(b"", timeout=10)
    print("OK")
except grpc.RpcError as e:
    print(e.code().name)
"""


def test_T9_unix_socket_is_for_its_owner_and_root(start):
    # The folders of pytest are closed to other users.
    with tempfile.TemporaryDirectory(prefix="k8shell-auth-") as folder:
        run = os.path.join(folder, "run")
        d = start(config=None, args=["--run-dir", run])
        assert d.sock.startswith(run)
        with harness.Stub("unix:" + d.sock) as stub:
            assert handshake(stub) == OK
            assert handshake(stub, "anything at all") == OK
        # Another user, even with every door open.
        os.chmod(folder, 0o755)
        os.chmod(run, 0o755)
        os.chmod(d.sock, 0o777)
        out = subprocess.run(["/usr/bin/python3", "-c", THIRD_UID, d.sock],
                             user=harness.UID, capture_output=True, text=True,
                             timeout=30, env={"PATH": os.environ["PATH"]})
        assert out.stdout.strip() == "PERMISSION_DENIED", out.stderr
        d.stop()
