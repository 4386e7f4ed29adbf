"""SystemInfo, its history, the daemon's log and the blueprint, over gRPC."""

import contextlib
import datetime
import http.server
import json
import os
import re
import socket
import socketserver
import subprocess
import threading
import time

import grpc
import pytest

import harness
from harness import Talk, system

CODE = grpc.StatusCode
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}$")
LEVELS = {"debug": 1, "info": 2, "warn": 3, "error": 4, "fatal": 5}


def info(stub):
    return stub.SystemInfo(system.SystemInfoRequest(), timeout=10)


def history(stub, **kwargs):
    return stub.SystemInfoHistory(system.SystemInfoHistoryRequest(**kwargs),
                                  timeout=10)


def logs(stub, **kwargs):
    """The call: iterate or cancel."""
    return stub.SystemService_GetLogsStream(
        system.SystemLogsStreamRequest(**kwargs), timeout=60)


def page(stub, **kwargs):
    return stub.GetLogsPage(system.GetLogsPageRequest(**kwargs), timeout=10)


def when(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def log_something(stub, n):
    """n lines of component "grpc", level debug: one for each call."""
    for _ in range(n):
        stub.Handshake(system.HandshakeRequest(), timeout=10)


# -- SystemInfo ---------------------------------------------------------------


def test_SY_05_system_is_filled_and_docker_is_absent(stub):
    r = harness.eventually(
        lambda: (lambda r: r.system.memoryUsageMiB > 0 and r)(info(stub)),
        "a first look")
    assert not r.HasField("docker")
    assert r.HasField("system")
    assert r.repository == ""
    now = datetime.datetime.now(datetime.timezone.utc)
    assert abs((when(r.time) - now).total_seconds()) < 5
    assert r.system.cpuLimitMillicores == -1 or r.system.cpuLimitMillicores > 0
    assert r.system.memLimitMiB == -1 or \
        r.system.memLimitMiB > r.system.memoryUsageMiB / 2
    with open("/proc/uptime") as f:
        up = float(f.read().split()[0])
    with open("/proc/1/stat") as f:
        ticks = int(f.read().rpartition(")")[2].split()[19])
    start = time.time() - up + ticks / os.sysconf("SC_CLK_TCK")
    assert abs(when(r.system.uptime).timestamp() - start) <= 2


def test_SY_05_cpu_usage_is_there_within_seconds(stub):
    r = harness.eventually(
        lambda: (lambda r: r.system.cpuUsageMillicores > 0 and r)(info(stub)),
        "CPU usage", deadline=10)
    assert r.system.cpuUsageMillicores < 1000 * 2 * os.cpu_count()
    if r.system.cpuLimitMillicores < 0:
        assert r.system.cpuAvg1Min == 0


def test_SY_05_users_are_live_shells(stub):
    before = info(stub).system.users
    shells = [Talk(stub, "Shell", "sh-users-%d" % i).start(pty=i > 0)
              for i in range(3)]
    assert info(stub).system.users == before + 3
    stub.exec("true")
    for t in shells:
        t.type("exit\n")
        t.finish()
    harness.eventually(lambda: info(stub).system.users == before,
                       "shells ended")


BLUEPRINT = """\
# inheritance: base <- python
metadata:
  name: python
blueprint:
  splash: [wrong]
  podman:
    enabled: true
    storages:
    - path: /var/lib
      claimSpec: {resources: {requests: {storage: 20Gi}}}
  storages:
  - path: /mnt
    claimSpec: {resources: {requests: {storage: 1.5Gi}}}
  - path: /not-mounted
"""


@pytest.fixture
def furnished(start, tmp_path):
    """A daemon with a blueprint, a storage on /mnt, and /run/podman of ours."""
    files = {"k8shell/blueprint.yaml": BLUEPRINT}
    podman = tmp_path / "podman"
    podman.mkdir()
    script = ("mount -t tmpfs hidden /mnt; mount -t tmpfs -o size=1m,ro "
              "'two words' /mnt; mkdir -p /run/podman; "
              "mount --bind %s /run/podman; exec \"$@\"" % podman)
    made = not os.path.isdir("/run/podman")
    d = start(wrapper=harness.private_etc(tmp_path, files)
              + ["sh", "-c", script, "sh"])
    d.podman = str(podman)
    yield d
    if made and os.path.isdir("/run/podman"):
        os.rmdir("/run/podman")


def test_SY_05_L16_mounts_of_the_blueprint(furnished):
    with furnished.stub() as stub:
        r = harness.eventually(
            lambda: (lambda r: len(r.mounts) and r.mounts[0].totalBytes
                     and r)(info(stub)), "a mount", deadline=10)
        assert len(r.mounts) == 1
        m = r.mounts[0]
        assert m.mountPoint == "/mnt"
        assert m.source == "two words"          # of the topmost
        assert m.fsType == "tmpfs" and m.isLikelyTemp and m.readOnly
        assert "ro" in m.options and len(m.options) >= 2
        assert m.totalBytes == 1 << 20
        assert m.usedBytes + m.freeBytes == m.totalBytes
        assert m.availableBytes <= m.freeBytes
        assert 0 < m.freeInodes <= m.totalInodes
        assert m.declaredSize == 3 << 29
        h = history(stub)
        assert [e.key for e in h.mounts] == ["/mnt"]
        points = h.mounts[0].value.points
        assert points[-1].totalBytes == 1 << 20
        assert points[0].WhichOneof("maybe_totalBytes") is None
        assert not h.docker_available and not h.docker


class Engine(http.server.BaseHTTPRequestHandler):
    answers = {
        "/version": {"Version": "4.3.1", "ApiVersion": "1.41"},
        "/v4.3.1/libpod/info": {"store": {
            "graphRoot": "/var/lib/containers", "graphRootUsed": 0}},
        "/v1.41/system/df": {
            "Images": [{"Size": 100}, {"VirtualSize": 20}],
            "Containers": [{"SizeRw": 3, "SizeRootFs": 50}],
            "Volumes": [{"UsageData": {"Size": 4}}, {"UsageData": {
                "Size": -1}}]},
    }
    seen = []

    def do_GET(self):
        self.seen.append(self.path)
        body = json.dumps(self.answers.get(self.path, {})).encode()
        self.send_response(200 if self.path in self.answers else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "unix"

    def log_message(self, *args):
        pass


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def test_SY_05_docker_usage_comes_over_the_socket(furnished):
    path = os.path.join(furnished.podman, "podman.sock")
    with UnixServer(path, Engine) as server:
        os.chown(path, harness.UID, harness.GID)
        os.chmod(furnished.podman, 0o755)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with furnished.stub() as stub:
            r = harness.eventually(
                lambda: (lambda r: r.HasField("docker") and r)(info(stub)),
                "the engine", deadline=45)
            h = history(stub)
        server.shutdown()
    d = r.docker
    assert d.socketPath == "/run/podman/podman.sock"
    assert d.apiVersion == "1.41"
    assert d.dockerRootDir == "/var/lib/containers"
    assert (d.imagesBytes, d.containersBytes, d.containersRootFsBytes,
            d.volumesBytes, d.buildCacheBytes) == (120, 3, 50, 4, 0)
    assert d.totalBytes == 127
    assert d.declaredSize == 20 << 30
    assert Engine.seen[:3] == ["/version", "/v4.3.1/libpod/info",
                               "/v1.41/system/df"]
    assert h.docker_available and h.docker[-1].totalBytes == 127


def test_SY_05_an_engine_that_hangs_delays_nobody(furnished):
    path = os.path.join(furnished.podman, "podman.sock")
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen(8)
    with furnished.stub() as stub:
        end = time.monotonic() + 4
        worst = 0.0
        while time.monotonic() < end:
            before = time.monotonic()
            assert not info(stub).HasField("docker")
            worst = max(worst, time.monotonic() - before)
            time.sleep(0.05)
        assert worst < 1
    s.close()


# -- SystemInfoHistory --------------------------------------------------------


def test_SY_08_history_of_the_last_hour(stub):
    h = harness.eventually(
        lambda: (lambda h: h.system[-1].WhichOneof(
            "maybe_cpuUsageMillicores") and h)(history(stub)),
        "a second look", deadline=10)
    assert h.step == "30s"
    assert len(h.system) == 120
    assert (when(h.to) - when(getattr(h, "from"))).seconds == 3600
    first, last = h.system[0], h.system[-1]
    assert first.time == getattr(h, "from")
    assert first.WhichOneof("maybe_memoryUsageMiB") is None
    assert last.memoryUsageMiB > 0
    assert last.WhichOneof("maybe_memLimitMiB") and last.memLimitMiB != 0
    step = when(h.system[1].time) - when(first.time)
    assert step.seconds == 30


def test_SY_08_history_windows(stub):
    h = history(stub, range="24h", step="1s")
    assert (h.step, len(h.system)) == ("2m0s", 720)
    h = history(stub, range="5m", step="1m")
    assert (h.step, len(h.system)) == ("1m0s", 5)
    now = datetime.datetime.now(datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)
    request = {"from": (now - hour).isoformat(), "to": (now + hour).isoformat(),
               "range": "nonsense"}
    h = history(stub, **request)
    assert when(h.to) <= now + datetime.timedelta(seconds=5)
    assert 119 <= len(h.system) <= 121
    # The last bucket may have begun a moment ago.
    assert any(p.WhichOneof("maybe_memoryUsageMiB") for p in h.system[-3:])


@pytest.mark.parametrize("request_", [
    {"range": "0s"}, {"range": "-5m"}, {"range": "yesterday"},
    {"step": "0"}, {"step": "-1s"}, {"step": "x"},
    {"from": "2026-11-22T00:00:00Z", "to": "2026-11-22T00:00:00Z"},
    {"from": "2026-11-22", "to": "2026-11-23"},
])
def test_SY_08_bad_windows_are_refused(stub, request_):
    with pytest.raises(grpc.RpcError) as e:
        history(stub, **request_)
    assert e.value.code() == CODE.INVALID_ARGUMENT
    assert e.value.details()


# -- GetBlueprint -------------------------------------------------------------


def test_SY_08_no_blueprint_is_not_found(stub):
    with pytest.raises(grpc.RpcError) as e:
        stub.GetBlueprint(system.GetBlueprintRequest(), timeout=10)
    assert e.value.code() == CODE.NOT_FOUND


def test_SY_08_W37_the_blueprint_is_what_was_read(furnished):
    with furnished.stub() as stub:
        r = stub.GetBlueprint(system.GetBlueprintRequest(), timeout=10)
    assert r.blueprint == BLUEPRINT.encode()
    # The bad field is named, and cost nothing but itself.
    assert "blueprint.splash: expected text, got a list" in furnished.log()


# -- logs ---------------------------------------------------------------------


def test_SY_06_all_that_is_buffered_then_OK(shared, stub):
    call = logs(stub)
    entries = list(call)
    assert call.code() == CODE.OK
    assert [e.id for e in entries] == list(range(1, len(entries) + 1))
    assert entries[0].message.startswith("k8shelld ")
    assert entries[0].component == "k8shelld" and entries[0].level == "info"
    for e in entries:
        assert STAMP.match(e.time) and e.level in LEVELS
    # As the daemon wrote it to its own output.
    first = shared.log().splitlines()[0]
    assert entries[0].message in first


def test_SY_06_last_n_counts_what_matches(stub):
    log_something(stub, 10)
    stub.exec("true")
    entries = list(logs(stub, component="grpc", level=1, last_n=4))
    assert len(entries) == 4
    assert all(e.component == "grpc" and e.level == "debug" for e in entries)
    everything = list(logs(stub, component="grpc", level=1))
    assert [e.id for e in everything][-5:-1] == [e.id for e in entries] or \
        entries[-1].id >= everything[-6].id
    assert list(logs(stub, component="grp")) == []
    # Equality, not "at least".
    infos = list(logs(stub, level=2))
    assert infos and all(e.level == "info" for e in infos)
    assert list(logs(stub, last_n=-1))[0].id == 1


@pytest.mark.parametrize("level", [-1, 6, 99])
def test_SY_06_unknown_levels_are_refused(stub, level):
    for call in (lambda: list(logs(stub, level=level)),
                 lambda: page(stub, level=level)):
        with pytest.raises(grpc.RpcError) as e:
            call()
        assert e.value.code() == CODE.INVALID_ARGUMENT


def test_SY_06_following_until_cancelled(shared, stub):
    call = logs(stub, follow=True, last_n=1)
    first = next(call)
    with shared.stub() as other:
        log_something(other, 3)
    ids, calls = [first.id], 0
    while calls < 3:
        e = next(call)
        ids.append(e.id)
        calls += "Handshake" in e.message
    assert ids == list(range(first.id, first.id + len(ids)))
    call.cancel()
    with pytest.raises(grpc.RpcError) as error:
        next(call)
    assert error.value.code() == CODE.CANCELLED
    harness.eventually(lambda: "GetLogsStream" not in
                       page(stub, limit=1).entries[0].message, "quiet")


def swallow(call):
    with contextlib.suppress(grpc.RpcError):
        for _ in call:
            pass


def test_SY_06_a_follower_hears_nothing_of_itself(start):
    d = start()
    with d.stub() as stub:
        call = logs(stub, follow=True)
        threading.Thread(target=swallow, args=(call,), daemon=True).start()
        log_something(stub, 1)
        time.sleep(0.5)
        before = page(stub, limit=1).entries[0].id
        time.sleep(1)
        # One line for the page call before, and nothing in between.
        assert page(stub, limit=1).entries[0].id <= before + 1
        call.cancel()


def test_L13_followers_cost_nothing_while_nothing_is_logged(start):
    d = start()
    with d.stub() as stub:
        calls = [logs(stub, follow=True, last_n=1) for _ in range(20)]
        for c in calls:
            next(c)
        time.sleep(2.5)                 # past the second look at resources

        def switches():
            return d.status("voluntary_ctxt_switches")

        before = switches()
        time.sleep(3)
        assert switches() - before <= 3
        for c in calls:
            c.cancel()


def test_SY_06_a_slow_follower_holds_up_nobody(start):
    d = start()
    with d.stub() as slow, d.stub() as stub:
        call = logs(slow, follow=True)
        next(call)                      # and then no more
        for _ in range(60):
            log_something(stub, 200)
            if d.log().count("\n") > 11000:
                break
        rss = d.rss_kib()
        assert rss < 16 * 1024 or "/san/" in harness.BINARY
        newest = page(stub, limit=1).entries[0].id
        assert newest > 10000
        last = 0
        for e in call:
            assert e.id > last
            last = e.id
            if last >= newest:
                break
        call.cancel()


def test_SY_06_followers_are_told_that_the_daemon_stops(start):
    d = start()
    with d.stub() as stub:
        call = logs(stub, follow=True)
        next(call)
        before = time.monotonic()
        d.stop()
        assert time.monotonic() - before < 5
        with pytest.raises(grpc.RpcError) as e:
            for entry in call:
                last = entry
        assert e.value.code() == CODE.UNAVAILABLE
        assert "stopping" in last.message


def test_SY_07_newest_page_oldest_first(stub):
    log_something(stub, 10)
    r = page(stub, limit=5)
    ids = [e.id for e in r.entries]
    assert ids == list(range(ids[0], ids[0] + 5))
    assert r.has_more
    older = page(stub, limit=5, before_id=ids[0])
    assert [e.id for e in older.entries] == list(range(ids[0] - 5, ids[0]))
    stream = {e.id: (e.time, e.component, e.level, e.message)
              for e in logs(stub)}
    for e in r.entries:
        assert stream[e.id] == (e.time, e.component, e.level, e.message)


def test_SY_07_pages_reach_the_beginning(stub):
    log_something(stub, 130)
    r = page(stub)
    assert len(r.entries) == 100 and r.has_more
    before, pages = r.entries[0].id, 1
    while r.has_more:
        r = page(stub, before_id=before, limit=50)
        assert r.entries[-1].id == before - 1
        before = r.entries[0].id
        pages += 1
    assert before == 1 and pages > 1
    assert not page(stub, before_id=1).entries
    assert not page(stub, before_id=1).has_more


def test_SY_07_filters_and_limits_of_pages(stub):
    log_something(stub, 3)
    r = page(stub, component="k8shelld", level=2, limit=2)
    assert [e.level for e in r.entries] == ["info"] * 2
    assert all(e.component == "k8shelld" for e in r.entries)
    whole = page(stub, limit=2**31 - 1)
    assert whole.entries[0].id == 1 and not whole.has_more
    for bad in ({"before_id": -1}, {"limit": -1}):
        with pytest.raises(grpc.RpcError) as e:
            page(stub, **bad)
        assert e.value.code() == CODE.INVALID_ARGUMENT


def test_TR_21_log_text_is_escaped_UTF_8(stub):
    with pytest.raises(grpc.RpcError):
        stub.exec("true", as_user="nobody\x1b[31m\u202e\u00e9")
    t = Talk(stub, "Exec", "ex-tr21-1")
    t.cancel()
    for e in logs(stub):
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202e]", e.message)


def test_SY_09_a_command_listener_does_not_harm_the_connection(stub):
    waiting = threading.Event()
    call = stub.CommandListener(iter(waiting.wait, None), timeout=30)
    for _ in range(3):
        assert stub.Handshake(system.HandshakeRequest(), timeout=10).accepted
    assert call.code() == CODE.UNIMPLEMENTED    # without a message of ours
    waiting.set()
    assert stub.Handshake(system.HandshakeRequest(), timeout=10).accepted


def test_SY_09_also_if_the_client_only_half_closes(stub):
    call = stub.CommandListener(iter(()), timeout=10)
    assert call.code() == CODE.UNIMPLEMENTED
    assert stub.Handshake(system.HandshakeRequest(), timeout=10).accepted


def test_idle_daemon_with_logs_and_monitor_stays_small(start):
    d = start()
    time.sleep(3)
    if "/san/" not in harness.BINARY:
        assert d.rss_kib() <= 2048
    assert subprocess.run(["pgrep", "-P", str(d.pid)]).returncode == 1
