"""The workspace API: what each endpoint answers (spec/rest-kbox.md 1)."""

import concurrent.futures
import json
import os
import re
import socket
import time

import pytest

import attack
import harness
import raw
from rest import API, Raw, ask, curl, get

STRICT_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")


@pytest.fixture
def path(shared):
    return shared.rest_sock


@pytest.fixture
def shell(stub):
    t = harness.Talk(stub, "Shell", "sh-rest-1-aa1").start()
    yield t
    if not t.ended.is_set():
        t.type("exit\n")
        t.finish()


def streams(path):
    return {s["id"]: s for s in get(path, "/streams").json}


# -- answers in general ------------------------------------------------------

def test_success_is_compact_json_with_a_newline(path):
    a = get(path, "/profile")
    assert a.status == 200
    assert a.body.endswith(b"}\n") and b": " not in a.body
    assert int(a.headers["content-length"]) == len(a.body)


def test_errors_are_one_line_of_text(path):
    a = get(path, "/nothing")
    assert (a.status, a.text) == (404, "no such path\n")
    assert a.headers["content-type"] == "text/plain; charset=utf-8"
    assert a.headers["x-content-type-options"] == "nosniff"


def test_errors_are_json_for_who_accepts_it(path):
    a = get(path, "/nothing", headers=[("Accept", "application/json")])
    assert (a.status, a.json) == (404, {"status": 404, "msg": "no such path"})


@pytest.mark.parametrize("target", [
    "/", "/api", "/api/v1", "/api/v1/", "/api/v1/streams/", "/api/v2/streams",
    "/api/v1/Streams", "/api/v1/shells/x", "/api/v1/shells//attach",
    "/api/v1/shells/%00/attach", "/api/v1/shells/%zz/attach",
    "/api/v1/shells/%2/attach", "/api/v1/docker/dns",
    "/api/v1/shells/" + 300 * "x" + "/attach"])
def test_unknown_paths(path, target):
    assert ask(path, "POST", target).status in (301, 404, 405)
    assert ask(path, "PATCH", target).status in (301, 404, 405)


def test_a_wrong_method_is_405_with_an_empty_body(path):
    for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS", "get", "X"):
        a = ask(path, method, API + "/streams")
        assert (a.status, a.body) == (405, b"")
        assert a.headers["allow"] == "GET"
    assert ask(path, "GET", API + "/shells/x").headers["allow"] == "DELETE"
    a = ask(path, "PUT", API + "/shells")
    assert a.headers["allow"] == "GET, POST"


@pytest.mark.parametrize("dirty,clean", [
    (API + "//streams", API + "/streams"),
    (API + "/x/../streams?a=b", API + "/streams?a=b"),
    (API + "/./streams", API + "/streams"),
    ("//evil/..", "/"), ("/../../..", "/"), ("///", "/"),
    ("//evil.example/x", "/evil.example/x")])
def test_a_path_that_needs_cleaning_is_redirected(path, dirty, clean):
    a = ask(path, "GET", dirty)
    assert (a.status, a.headers["location"]) == (301, clean)


def test_curl_and_any_host_work(path):
    for host in ("localhost", "unix", "x:80", "[::1]"):
        out, code = curl(path, "http://%s%s/healthz" % (host, API))
        assert code == 200 and json.loads(out)["status"] == "ok"
    out, code = curl(path, "--http1.0", "http://x%s/healthz" % API)
    assert code == 200 and json.loads(out)["status"] == "ok"


def test_many_requests_on_one_connection(path):
    with Raw(path) as c:
        for _ in range(100):
            assert c.ask("GET", API + "/streams").status == 200
        a = c.ask("GET", API + "/streams", headers=[("Connection", "close")])
        assert a.headers["connection"] == "close"
        assert c.closed()


def test_pipelined_requests_are_answered_in_order(path):
    with Raw(path) as c:
        c.send("".join("GET %s/%s HTTP/1.1\r\nHost: x\r\n\r\n" % (API, p)
                       for p in ["healthz", "nothing", "shells"] * 20))
        for _ in range(20):
            assert [c.answer().status for _ in range(3)] == [200, 404, 200]


def test_half_closing_does_not_cost_the_answers(path):
    with Raw(path) as c:
        c.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        c.sock.shutdown(socket.SHUT_WR)
        assert [c.answer().status for _ in range(3)] == [200] * 3
        assert c.closed()


def test_text_is_escaped_as_the_platform_does(path, stub):
    assert stub.exec("true '<&>\u2028\"\\'", id="ex-rest-1-aa9").code == 0
    a = get(path, "/streams")
    mine = [s for s in a.json if s["id"] == "ex-rest-1-aa9"][0]
    assert "<&>\u2028\"\\" in mine["params"]
    for raw in (b"<", b">", b"&", "\u2028".encode()):
        assert raw not in a.body


# -- endpoints ---------------------------------------------------------------

def test_streams(path, shell):
    shell.type("echo ab''c\n")
    shell.expect("abc")
    s = streams(path)["sh-rest-1-aa1"]
    assert list(s) == ["id", "name", "created", "deleted", "status",
                       "bytes_in", "bytes_out", "params"]
    assert s["name"] == "shell" and s["status"] == "ACTIVE"
    assert STRICT_TIME.match(s["created"]) and s["deleted"] == ""
    assert re.match(r"cmd=/\S+sh, pid=\d+", s["params"])
    assert s["bytes_in"] == 11 and s["bytes_out"] > 11
    shell.type("exit\n")
    shell.finish()
    stopped = harness.eventually(
        lambda: [s for s in get(path, "/streams").json
                 if s["id"] == "sh-rest-1-aa1" and s["status"] == "STOPPED"],
        "the stream stopped")[0]
    assert STRICT_TIME.match(stopped["deleted"])


def test_streams_are_grouped_exec_first(path, shell, stub):
    assert stub.exec("true", id="ex-rest-1-aa2").code == 0
    names = [s["name"] for s in get(path, "/streams").json]
    order = ["exec", "port-forward", "shell", "unix-socket"]
    assert names == sorted(names, key=order.index) and len(set(names)) == 2


def test_the_old_name_of_streams(path):
    assert get(path, "/ssh/channels").status == 200


@pytest.mark.parametrize("name", ["profile", "identity"])
def test_profile(path, name):
    p = get(path, "/" + name).json
    assert p == {"username": harness.USER, "uid": harness.UID,
                 "gid": harness.GID, "shell": "/bin/sh", "sudo": False,
                 "expiresAt": ""}


def test_sysinfo(path, shell):
    info = get(path, "/sysinfo").json
    assert STRICT_TIME.match(info["time"])
    assert info["mounts"] == []
    s = info["system"]
    assert list(s) == ["uptime", "cpuUsageMillicores", "cpuLimitMillicores",
                       "memoryUsageMiB", "memLimitMiB", "cpuAvg1min",
                       "cpuAvg5min", "cpuAvg15min", "users"]
    assert STRICT_TIME.match(s["uptime"]) and s["uptime"] < info["time"]
    assert s["users"] >= 1 and s["memoryUsageMiB"] > 0
    assert re.match(r"\d+\.\d+\.\d+-[0-9a-f]{7}$", info["version"])


def test_sysinfo_names_the_repository(start):
    d = start(env={"GIT_ADDRESS": "https://git.example/",
                   "GIT_REPOOWNER": "me", "GIT_REPONAME": "it"})
    info = get(d.rest_sock, "/sysinfo").json
    assert info["repository"] == "https://git.example/me/it"


def test_health(path):
    a = get(path, "/healthz").json
    assert a["status"] == "ok" and a["uptime_seconds"] >= 0
    assert ask(path, "GET", "/healthz").json["version"] == a["version"]


def test_lists_of_what_is_not_there_are_empty(path):
    for name in ("apps", "initscripts", "shells"):
        assert get(path, "/" + name).body == b"[]\n"
    assert get(path, "/splash").json == {"text": ""}


def test_splash_comes_from_the_blueprint(start, tmp_path):
    mount = harness.private_etc(tmp_path, {
        "k8shell/blueprint.yaml":
            'blueprint:\n  splash: "Hi {{ .ShellUsername }} <{{.Date}}>"\n'})
    d = start(wrapper=mount)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    a = get(d.rest_sock, "/splash")
    assert a.json == {"text": "Hi %s <%s>\n" % (harness.USER, today)}
    assert b"\\u003c" in a.body


@pytest.mark.parametrize("method,target,what", [
    ("GET", "/creds?type=git&address=x", "system.apiServer"),
    ("GET", "/sessions", "system.apiServer"),
    ("POST", "/validate?file=/x", "system.apiServer"),
    ("PUT", "/password", "system.apiServer"),
    ("POST", "/shutdown", "system.apiServer"),
    ("POST", "/shutdown?action=delete", "system.apiServer"),
    ("POST", "/apps/x/install", "apps"), ("POST", "/apps/x/start", "apps"),
    ("POST", "/apps/x/stop", "apps"), ("GET", "/apps/x/logs", "apps"),
    ("GET", "/apps/x/install/log", "apps")])
def test_what_is_missing_is_503_and_says_what(path, method, target, what):
    a = ask(path, method, API + target)
    assert a.status == 503 and what in a.text
    a = ask(path, method, API + target,
            headers=[("Accept", "application/json")])
    assert a.status == 503 and what in a.json["msg"]


def test_shutdown_knows_two_actions(path):
    for action in ("restart", "STOP", "", "%zz", 99 * "x"):
        assert ask(path, "POST", API + "/shutdown?action=" + action).status \
            == 400


# -- resize and the end of a shell --------------------------------------------

RESIZE = API + "/shells/sh-rest-1-aa1/resize"


def test_resize(path, shell):
    a = ask(path, "POST", RESIZE, '{"width": 101, "height": 37, "x": [{}]}')
    assert (a.status, a.body) == (204, b"")
    assert "content-length" not in a.headers
    shell.type("stty size\n")
    shell.expect("37 101")


def test_resize_takes_a_chunked_body_and_clamps(path, shell):
    with Raw(path) as c:
        c.send("POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
               "\r\n\r\n9\r\n{\"width\":\r\n17\r\n4294967295,\"height\":24}"
               "\r\n0\r\n\r\n" % RESIZE)
        assert c.answer().status == 204
    shell.type("stty size\n")
    shell.expect("24 65535")


@pytest.mark.parametrize("body", [
    None, "", "{", "{}", "[]", "null", '{"width": 80}', '{"height": 24}',
    '{"width": 0, "height": 24}', '{"width": -1, "height": 24}',
    '{"width": 1.5, "height": 24}', '{"width": "80", "height": 24}',
    '{"width": 4294967296, "height": 24}', '{"width": 80, "height": 24} x',
    '{"width": 80, "height": 24, "x": }', 5000 * "[", "\xff"])
def test_resize_refuses_malformed_bodies(path, shell, body):
    a = ask(path, "POST", RESIZE, body)
    assert a.status == 400 and "width" in a.text


def test_resize_of_an_unknown_session_is_400(path):
    a = ask(path, "POST", API + "/shells/a%2fb%0a/resize",
            '{"width": 80, "height": 24}')
    assert (a.status, a.text) == (400, "no session a/b\\x0a\n")


def test_delete_ends_a_shell_and_waits_for_it(path, shell):
    pid = int(re.search(r"pid=(\d+)",
                        streams(path)["sh-rest-1-aa1"]["params"])[1])
    assert ask(path, "DELETE", API + "/shells/sh-rest-1-aa1").status == 204
    assert not os.path.exists("/proc/%d" % pid)
    shell.finish()
    assert ask(path, "DELETE", API + "/shells/sh-rest-1-aa1").status == 404


def test_delete_ends_a_shell_that_ignores_the_hangup(path, shell):
    shell.type("trap '' HUP TERM INT; echo de''af\n")
    shell.expect("deaf")
    assert ask(path, "DELETE", API + "/shells/sh-rest-1-aa1").status == 204
    shell.finish()


def test_delete_survives_a_caller_who_hangs_up(path, shell):
    shell.type("trap '' HUP; echo de''af\n")
    shell.expect("deaf")
    with Raw(path) as c:
        c.send("DELETE %s/shells/sh-rest-1-aa1 HTTP/1.1\r\nHost: x\r\n\r\n"
               % API)
        time.sleep(0.1)
    assert get(path, "/healthz").status == 200
    shell.type("trap - HUP; exit\n")
    shell.finish()


# -- logs ----------------------------------------------------------------------

def lines(answer):
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["cache-control"] == "no-cache"
    return [json.loads(s) for s in answer.text.splitlines()]


def test_logs(path):
    every = lines(get(path, "/logs"))
    assert list(every[0]) == ["id", "time", "component", "level", "message"]
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}$",
                    every[0]["time"])
    ids = [e["id"] for e in every]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_weakness_7_2_12_logs_filter_first_and_cut_then(path):
    """rest-kbox 7.2: `logs -n 10 -l error` filters after cutting."""
    for _ in range(20):
        get(path, "/healthz")       # debug lines behind the info ones
    got = lines(get(path, "/logs?level=info&lastN=2"))
    assert [e["level"] for e in got] == ["info", "info"]
    got = lines(get(path, "/logs?component=k8shelld&lastN=1"))
    assert len(got) == 1 and got[0]["component"] == "k8shelld"
    assert lines(get(path, "/logs?component=nobody")) == []
    assert lines(get(path, "/logs?component=" + 500 * "x")) == []


def test_logs_by_id(path):
    every = lines(get(path, "/logs"))
    mid = every[len(every) // 2]["id"]
    assert lines(get(path, "/logs?since=%d&lastN=99999" % mid))[0]["id"] \
        > mid
    page = lines(get(path, "/logs?before=%d&limit=2" % mid))
    assert [e["id"] for e in page] == [mid - 2, mid - 1]
    assert lines(get(path, "/logs?before=1")) == []
    assert lines(get(path, "/logs?before=0&limit=5")) == []
    assert lines(get(path, "/logs?since=999999999")) == []
    assert lines(get(path, "/logs?lastN=0"))[0] == every[0]


@pytest.mark.parametrize("query", [
    "lastN=x", "lastN=-1", "lastN=1.5", "lastN=99999999999999999999",
    "lastN=%zz", "since=x", "before=x", "limit=-1", "level=trace",
    "level=INFO", "level=%0", "component=%zz", "before=5&follow=true"])
def test_logs_refuse_malformed_queries(path, query):
    a = get(path, "/logs?" + query)
    assert a.status == 400 and a.text.count("\n") == 1


def test_logs_follow(path, stub):
    with Raw(path) as c:
        c.send("GET %s/logs?follow=true&lastN=1 HTTP/1.1\r\nHost: x\r\n\r\n"
               % API)
        status, headers = c.head()
        assert status == 200 and headers["transfer-encoding"] == "chunked"
        entries = map(json.loads, c.lines())
        last = next(entries)["id"]
        assert stub.exec("true", id="ex-rest-follow-1").code == 0
        for e in entries:
            assert e["id"] == last + 1
            last = e["id"]
            if "ex-rest-follow-1" in e["message"]:
                break


def test_weakness_7_2_1_logs_follow_a_full_ring(start):
    """rest-kbox 7.2: `kbox logs -f` goes silent after 10 001 lines."""
    d = start()
    with Raw(d.rest_sock) as c, Raw(d.rest_sock) as busy:
        c.send("GET %s/logs?follow=true HTTP/1.1\r\nHost: x\r\n\r\n" % API)
        for _ in range(105):
            busy.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
            for _ in range(100):
                busy.answer()
        busy.ask("GET", API + "/the-last")
        c.until(b"the-last")


def test_a_follower_who_reads_nothing_costs_little_and_goes_on(start):
    d = start()
    with Raw(d.rest_sock) as c, Raw(d.rest_sock) as busy:
        c.send("GET %s/logs?follow=true HTTP/1.1\r\nHost: x\r\n\r\n" % API)
        c.head()
        before = d.rss_kib()
        for _ in range(60):
            busy.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
            for _ in range(100):
                busy.answer()
        assert d.rss_kib() - before < 4096 or attack.sanitized()
        busy.ask("GET", API + "/the-last")
        c.until(b"the-last")


def test_logs_follow_ends_when_the_daemon_stops(start):
    d = start()
    with Raw(d.rest_sock) as c:
        c.send("GET %s/logs?follow=true HTTP/1.1\r\nHost: x\r\n\r\n" % API)
        c.head()
        d.stop()
        messages = [json.loads(s)["message"] for s in c.lines()]
    assert any("stopping" in m for m in messages)


# -- metrics -------------------------------------------------------------------

def metrics(path):
    a = ask(path, "GET", API + "/metrics")
    assert a.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {}
    typed = set()
    for line in a.text.splitlines():
        if line.startswith("# TYPE "):
            typed.add(line.split()[2])
        elif not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            family = name.partition("{")[0]
            for part in ("_bucket", "_sum", "_count"):
                family = family.removesuffix(part)
            assert name not in found and family in typed
            found[name] = float(value)
    return found


def test_metrics(path, shell, stub):
    before = metrics(path)
    assert stub.exec("cat", b"x" * 1000, id="ex-rest-1-aa3").code == 0
    get(path, "/nothing")
    after = metrics(path)

    def grown(name):
        return after[name] - before[name]

    assert after["k8shell_sessions"] >= 1
    assert after['k8shell_streams{kind="shell"}'] >= 1
    assert grown('k8shell_streams_started_total{kind="exec"}') == 1
    for way in ("in", "out"):
        assert grown('k8shell_stream_bytes_total{kind="exec",direction="%s"}'
                     % way) == 1000
    assert grown("k8shell_grpc_calls_total") == 1
    assert grown('k8shell_rest_requests_total{code="4xx"}') == 1
    assert grown("k8shell_loop_turns_total") > 0
    assert after["k8shell_grpc_handshakes_total"] >= 1
    assert after["k8shell_grpc_connections"] >= 1
    assert after["process_resident_memory_bytes"] > 100000
    assert after["process_open_fds"] > 5
    assert abs(after["process_start_time_seconds"] - time.time()) < 3600
    assert 0 < after["k8shell_loop_turn_seconds_max"] < 60


def test_metrics_turns_of_the_loop_are_a_histogram(path):
    get(path, "/nothing")
    found = metrics(path)
    name = "k8shell_loop_turn_seconds_bucket{le="
    buckets = [(n[len(name) + 1:-2], v) for n, v in found.items()
               if n.startswith(name)]
    counts = [v for _, v in buckets]
    assert counts == sorted(counts) and buckets[-1][0] == "+Inf"
    assert "0.005000" in dict(buckets)
    assert counts[-1] == found["k8shell_loop_turn_seconds_count"] \
        == found["k8shell_loop_turns_total"] > 0
    assert found["k8shell_loop_turn_seconds_sum"] \
        >= found["k8shell_loop_turn_seconds_max"]


def test_metrics_count_calls_that_were_rejected(path, shared):
    before = metrics(path)["k8shell_grpc_calls_refused_total"]
    with raw.Peer(shared) as p:
        p.settings()
        p.send_frame(raw.HeadersFrame(1, p.encoder.encode(
            p.request_headers(path="/no.Such/Method")),
            flags=["END_HEADERS", "END_STREAM"]))
        harness.eventually(
            lambda: metrics(path)["k8shell_grpc_calls_refused_total"]
            == before + 1, "a refused call")


def test_many_callers_at_once(path):
    def work(_):
        with Raw(path) as c:
            return [c.ask("GET", API + "/streams").status
                    for _ in range(50)]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for statuses in pool.map(work, range(16)):
            assert set(statuses) == {200}
