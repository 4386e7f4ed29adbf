"""Every endpoint of the workspace API, by its route table.

The rows are read from lib/svc/rest.c: a route that has no example here fails.
For each: success, each refusal, malformed input, another uid, oversize, a slow
client.  What the answers say is in test_rest.py and test_rest_shells.py.
"""

import json
import os
import re
import shlex
import socket
import subprocess
import time

import pytest

import harness
import rest
from rest import API, Raw, ask, get
from test_rest_threats import AsOther

CONFIG = harness.CONFIG + """\
shells:
  allowSessionDetach: true
  detachedTTL: 10m
"""


def route_table():
    """["GET /api/v1/streams", ...] of the daemon's source."""
    with open(os.path.join(harness.ROOT, "lib/svc/rest.c")) as f:
        table = re.search(r"rest_route routes\[\] = \{(.*?)\n\};", f.read(),
                          re.S)[1]
    rows = re.findall(r'(?:\{ |[A-Z_]+\()"([A-Z]+)",\s+(API )?"([^"]+)"',
                      table)
    assert len(rows) == len(re.findall(r"^\t[A-Z{]", table, re.M))
    return ["%s %s%s" % (method, API if api else "", path)
            for method, api, path in rows]


class Row:
    """ok: (rest of the target, body, status) of what works.  no: of each
    refusal.  A bare status stands for ("", None, status)."""

    def __init__(self, ok, *no):
        self.ok = ok if isinstance(ok, tuple) else ("", None, ok)
        self.no = [r if isinstance(r, tuple) else ("", None, r) for r in no]


READ = Row(200)
QUERY = [("?lastN=" + v, None, 400) for v in ("x", "-1", "%zz", 30 * "9")]
NOT_SIZES = [("", b, 400) for b in (
    None, "{", "[]", '{"width": 80}', '{"width": 0, "height": 1}', 9 * "{")]
NOT_TTLS = [("", '{"ttl": %s}' % t, 400) for t in (
    '"-1s"', '"-1ms"', '"x"', "5", '"11m"', '"0s"', "")]
NOT_WISHES = [("", b, 400) for b in (
    "x", "[]", '{"name": "a/b"}', '{"cwd": "x"}', '{"env": []}',
    '{"command": ""}', '{"width": -1}')]
NOT_JOBS = [("", b, 400) for b in (
    None, "x", "[]", '{"command": ""}', '{"argv": []}',
    '{"command": "x", "id": "a/b"}', '{"command": "x", "cwd": "here"}',
    '{"command": "x", "env": []}', '{"command": "x", "timeout_ms": -1}')]
NOT_KILLS = [("", b, 400) for b in (
    "x", "[]", '{"grace_ms": -1}', '{"grace_ms": "5"}')]
ROWS = {
    "GET /api/v1/creds": Row(503),
    "GET /api/v1/sessions": Row(503),
    "POST /api/v1/validate": Row(503),
    "PUT /api/v1/password": Row(503),
    "POST /api/v1/shutdown": Row(503, ("?action=x", None, 400),
                                 ("?action=%zz", None, 400)),
    "GET /api/v1/streams": READ,
    "GET /api/v1/ssh/channels": READ,
    "GET /api/v1/sysinfo": READ,
    "GET /api/v1/logs": Row(("?lastN=1", None, 200), *QUERY,
                            ("?level=loud", None, 400),
                            ("?component=%zz", None, 400),
                            ("?since=x", None, 400),
                            ("?before=x", None, 400),
                            ("?before=1&limit=x", None, 400),
                            ("?before=1&follow=true", None, 400)),
    "GET /api/v1/profile": READ,
    "GET /api/v1/identity": READ,
    "GET /api/v1/splash": READ,
    "GET /api/v1/initscripts": READ,
    "GET /api/v1/apps": READ,
    "POST /api/v1/apps/{name}/install": Row(503),
    "GET /api/v1/apps/{name}/install/log": Row(503),
    "GET /api/v1/apps/{name}/logs": Row(503),
    "POST /api/v1/apps/{name}/start": Row(503),
    "POST /api/v1/apps/{name}/stop": Row(503),
    "GET /api/v1/shells": Row(200),
    "POST /api/v1/shells": Row(("", '{"name": "two"}', 201),
                               ("", '{"name": "one"}', 409), *NOT_WISHES),
    "DELETE /api/v1/shells/{id}": Row(204),
    "POST /api/v1/shells/{id}/attach": Row(
        101, ("?width=x", None, 400), ("?height=-1", None, 400)),
    "POST /api/v1/shells/{id}/detach": Row(("", '{"ttl": "5m"}', 204),
                                           *NOT_TTLS),
    "POST /api/v1/shells/{id}/resize": Row(
        ("", '{"width": 99, "height": 33}', 204), *NOT_SIZES),
    "GET /api/v1/jobs": Row(200, ("?status=odd", None, 400)),
    "POST /api/v1/jobs": Row(("", '{"command": "true", "id": "two"}', 201),
                             *NOT_JOBS),
    "DELETE /api/v1/jobs": Row(("?terminal=1", None, 200), 400),
    "POST /api/v1/jobs/kill-all": Row(200, *NOT_KILLS),
    "GET /api/v1/jobs/{id}": READ,
    "DELETE /api/v1/jobs/{id}": Row(204),
    "POST /api/v1/jobs/{id}/kill": Row(
        200, ("", '{"signal": "NOPE"}', 400), ("", '{"scope": "x"}', 400),
        *NOT_KILLS),
    "GET /api/v1/jobs/{id}/logs": Row(
        200, ("?stream=x", None, 400), ("?since=x", None, 400),
        ("?since=99", None, 400), ("?tail=-1", None, 400)),
    "GET /api/v1/jobs/{id}/wait": Row(200, ("?timeout_ms=x", None, 400)),
    "POST /api/v1/jobs/{id}/wait": Row(
        ("", '{"log": "hi"}', 200), ("", None, 400), ("", "{}", 400),
        ("", '{"log": ""}', 400), ("", '{"port": 65536}', 400),
        ("", '{"log": "x", "port": 1}', 400)),
    "GET /api/v1/healthz": READ,
    "GET /healthz": READ,
    "GET /api/v1/metrics": READ,
    "GET /metrics": READ,
}
# What an id that nobody has is answered with.
UNKNOWN = dict.fromkeys([r for r in ROWS if "{id}" in r], 404)
UNKNOWN.update({"POST /api/v1/shells/{id}/detach": 400,
                "POST /api/v1/shells/{id}/resize": 400})
# Where detaching is disabled.
DISABLED = {"POST /api/v1/shells": 403,
            "POST /api/v1/shells/{id}/attach": 403,
            "POST /api/v1/shells/{id}/detach": 400}

ROUTES = route_table()
WITH_BODY = [r for r in ROUTES if ROWS.get(r, READ).ok[1] is not None]
every_route = pytest.mark.parametrize("route", ROUTES)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory, home):
    with rest.public_folder() as folder:
        sock = os.path.join(folder, "k8shelld.sock")
        d = harness.Daemon(tmp_path_factory.mktemp("matrix"), config=CONFIG,
                           args=["--socket", sock])
        d.rest_sock = sock
        rest.appears(sock)
        yield d
        d.stop()


@pytest.fixture
def path(daemon):
    """With a detached shell and a job that has ended, "one" both."""
    sock = daemon.rest_sock
    assert ask(sock, "POST", API + "/shells",
               '{"name": "one", "command": "cat"}').status == 201
    assert ask(sock, "POST", API + "/jobs",
               '{"id": "one", "command": "echo hi"}').status == 201
    assert get(sock, "/jobs/one/wait").status == 200
    yield sock
    for s in get(sock, "/shells?all=true").json:
        ask(sock, "DELETE", API + "/shells/" + s["id"])
    ask(sock, "POST", API + "/jobs/kill-all", '{"grace_ms": 0}')
    ask(sock, "DELETE", API + "/jobs?terminal=1")


def split(route, id="one"):
    method, target = route.split(" ")
    return method, target.replace("{id}", id).replace("{name}", "code")


def running(path):
    """What a request may change."""
    return [s["id"] + ":%d" % s["pid"]
            for s in get(path, "/shells?all=true").json], \
        [j["id"] for j in get(path, "/jobs").json]


def methods_of(path):
    return {r.split(" ")[0] for r in ROUTES if re.fullmatch(
        re.sub(r"\\?\{\w+\\?\}", "[^/]+", re.escape(r.split(" ")[1])), path)}


def head_of(route, more, headers=()):
    method, target = split(route)
    return "".join("%s\r\n" % line for line in [
        "%s %s%s HTTP/1.1" % (method, target, more), "Host: unix"]
        + list(headers))


def status_of(c):
    """Of one answer, its body read, the connection good for another."""
    status, headers = c.head()
    if headers.get("transfer-encoding") == "chunked":
        for _ in iter(c.chunk, b""):
            pass
    elif status != 101:
        c.take(int(headers.get("content-length", 0)))
    return status


def test_every_route_has_its_row():
    assert sorted(ROWS) == sorted(ROUTES), \
        "lib/svc/rest.c and the examples here differ"


@every_route
def test_success(path, route):
    more, body, status = ROWS[route].ok
    method, target = split(route)
    with Raw(path) as c:
        a = c.ask(method, target + more, body)
        assert a.status == status
        if status == 503:
            assert a.text.count("\n") == 1
        if status != 101:       # and the connection is good for another
            assert c.ask("GET", API + "/healthz").status == 200


REFUSALS = [(r, no) for r in ROUTES for no in getattr(ROWS.get(r), "no", [])]


@pytest.mark.parametrize("route,refusal", REFUSALS)
def test_refusal(path, route, refusal):
    """One line of text, or JSON for who likes it; nothing has changed."""
    more, body, status = refusal
    method, target = split(route)
    before = running(path)
    a = ask(path, method, target + more, body)
    assert a.status == status and re.fullmatch(r"[ -~]+\n", a.text)
    b = ask(path, method, target + more, body,
            headers=[("Accept", "application/json")])
    assert (b.status, b.json) == (status, {"status": status,
                                           "msg": a.text[:-1]})
    assert running(path) == before


@pytest.mark.parametrize("route", [r for r in ROUTES if "{id}" in r])
@pytest.mark.parametrize("id", ["nobody", "one%2F", "%2e%2e%2fone", "on",
                                "%1b%5b2J", 200 * "x"])
def test_refusal_of_an_id_nobody_has(path, route, id):
    method, target = split(route, id)
    before = running(path)
    a = ask(path, method, target + ROWS[route].ok[0], ROWS[route].ok[1])
    assert a.status == UNKNOWN[route]
    assert re.fullmatch(r"[ -~]+\n", a.text)
    assert running(path) == before


@pytest.mark.parametrize("route", [r for r in ROUTES if "{" in r])
@pytest.mark.parametrize("id", ["%00", "%zz", "%4", "", 300 * "x"])
def test_malformed_ids(path, route, id):
    method, target = split(route, id)
    if "{name}" in route:
        target = route.split(" ")[1].replace("{name}", id)
    assert ask(path, method, target).status in (301, 404, 405)


@pytest.mark.parametrize("route", sorted(DISABLED))
def test_refusal_where_detaching_is_disabled(start, route):
    d = start(config=CONFIG.replace("Detach: true", "Detach: false"))
    with d.stub() as stub:
        t = harness.Talk(stub, "Shell", "one").start()
        method, target = split(route)
        a = ask(d.rest_sock, method, target, ROWS[route].ok[1])
        assert a.status == DISABLED[route]
        assert "allowSessionDetach" in a.text
        t.cancel()


@every_route
def test_malformed_method(path, route):
    method, target = split(route)
    mine = methods_of(target)
    before = running(path)
    for other in {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"} - mine:
        a = ask(path, other, target)
        assert (a.status, a.body) == (405, b"")
        assert set(a.headers["allow"].split(", ")) == mine
    assert running(path) == before


@every_route
@pytest.mark.parametrize("what", ["bare LF", "two lengths", "no host",
                                  "chunk"])
def test_T26_malformed_requests_do_nothing(path, route, what):
    more, body, _ = ROWS[route].ok
    head = head_of(route, more)
    body = body or ""
    text = {
        "bare LF": head.replace("\r\nHost", "\nHost") + "\r\n",
        "two lengths": head + 2 * ("Content-Length: %d\r\n" % len(body))
        + "\r\n" + body,
        "no host": head.replace("Host: unix\r\n", "")
        + "Content-Length: %d\r\n\r\n%s" % (len(body), body),
        "chunk": head + "Transfer-Encoding: chunked\r\n\r\nx\r\n" + body,
    }[what]
    before = running(path)
    with Raw(path) as c:
        c.send(text)
        a = c.answer()
        assert (a.status, a.headers["connection"]) == (400, "close")
        assert c.closed()
    assert running(path) == before


@every_route
def test_T9_another_uid(path, route):
    more, body, _ = ROWS[route].ok
    method, target = split(route)
    before = running(path)
    with AsOther(path) as c:
        a = c.ask(method, target + more, body)
        assert (a.status, a.headers["connection"]) == (403, "close")
        assert a.text == "only the workspace user may ask\n"
        assert c.closed()
    assert running(path) == before


@every_route
@pytest.mark.parametrize("what", ["header", "target", "length", "chunks"])
def test_oversize(path, route, what):
    """Refused, and nothing done: 8 KiB of header, 64 KiB of body."""
    more = ROWS[route].ok[0]
    head = head_of(route, more)
    text = {
        "header": head + "X: %s\r\n\r\n" % (8192 * "x"),
        "target": head.replace(" HTTP", "%s%s HTTP" % (
            "&" if more else "?", 8192 * "x")) + "\r\n",
        "length": head + "Content-Length: 65537\r\n\r\n" + 70000 * " ",
        "chunks": head + "Transfer-Encoding: chunked\r\n\r\n"
        + 3 * ("8000\r\n%s\r\n" % (32768 * " ")) + "0\r\n\r\n",
    }[what]
    before = running(path)
    with Raw(path) as c:
        try:
            c.send(text)
        except OSError:
            pass                # it has heard enough
        status = 431 if what in ("header", "target") else 413
        assert status_of(c) == status
    assert running(path) == before


@every_route
def test_slow_byte_by_byte(path, route):
    more, body, status = ROWS[route].ok
    body = body or ""
    with Raw(path) as c:
        for b in (head_of(route, more) + "Content-Length: %d\r\n\r\n%s"
                  % (len(body), body)):
            c.send(b)
        assert status_of(c) == status


@every_route
def test_slow_reader_gets_every_answer(path, route):
    """400 requests before one answer is read; others do not wait."""
    more, body, status = ROWS[route].ok
    method, target = split(route)
    if method != "GET" and status != 503:       # once is enough of these
        method, target = split(route, "nobody")
        more, body, status = ROWS[route].no[-1] if ROWS[route].no else \
            ("", None, UNKNOWN[route])
    body = body or ""
    request = "%s %s%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" \
        % (method, target, more, len(body), body)
    with Raw(path) as c:
        c.sock.settimeout(1)
        sent = 0
        try:
            for sent in range(1, 401):
                c.send(request)
        except OSError:         # it reads no more before we do
            sent -= 1
        assert get(path, "/healthz").status == 200
        c.sock.settimeout(harness.DEADLINE)
        assert sent > 20
        for _ in range(sent):
            assert status_of(c) == status


@pytest.mark.parametrize("half", [0, 1])
def test_slow_requests_are_closed_after_10_s(path, half):
    """Each sends a header that never ends, or a body."""
    routes = ROUTES[half::2]
    texts = [head_of(r, ROWS[r].ok[0]) + "X: " for r in routes]
    texts += [head_of(r, ROWS[r].ok[0], ["Content-Length: 9999"]) + "\r\n{"
              for r in routes if r in WITH_BODY]
    held = [Raw(path) for _ in texts]
    before = running(path)
    began = time.monotonic()
    for c, text in zip(held, texts):
        c.send(text)
    ended = {}
    while len(ended) < len(held) and time.monotonic() - began < 30:
        for i, c in enumerate(held):
            if i not in ended:
                try:
                    c.send("x")
                except OSError:
                    ended[i] = time.monotonic() - began
        time.sleep(0.2)
    assert len(ended) == len(held)
    assert min(ended.values()) > 9
    assert running(path) == before
    for c in held:
        c.sock.close()


# -- the README ------------------------------------------------------------------

def examples():
    """(its two definitions, the lines of the README that use them)"""
    with open(os.path.join(harness.ROOT, "README.md")) as f:
        block = re.search(r"```sh\n(api\(\) \{ curl.*?)\n```", f.read(),
                          re.S)[1]
    lines = block.split("\n")
    return lines[:2], [s for s in lines[2:] if s.strip()]


def run_example(sock, definitions, line):
    """Output and HTTP status of one line; api() learns to tell it."""
    script = "\n".join(definitions).replace("/var/run/k8shelld.sock",
                                            shlex.quote(sock))
    script = script.replace("curl -sS", "curl -sS -w '\\n%{http_code}'")
    done = subprocess.run(["sh", "-c", script + "\n" + line],
                          capture_output=True, text=True,
                          timeout=harness.DEADLINE)
    assert (done.returncode, done.stderr) == (0, ""), line
    out, _, status = done.stdout.rpartition("\n")
    return out, int(status)


def test_the_curl_examples_of_the_readme_work(start):
    """In their order: a shell is started, left, and ended."""
    d = start(config=None)
    rest.appears(d.rest_sock)
    definitions, lines = examples()
    assert len(lines) >= 9
    wanted = set(re.findall(r"\$w/(\w+)", "\n".join(lines)))
    assert wanted >= {"streams", "sysinfo", "logs", "profile", "metrics",
                      "shells"}
    for line in lines:
        assert line.startswith("api ")
        out, status = run_example(d.rest_sock, definitions, line)
        assert 200 <= status < 300, (line, out)
        if "/logs" in line:
            out = "[%s]" % ",".join(out.splitlines())
        if out and "metrics" not in line:
            json.loads(out)
        if line.startswith("api $w/shells "):
            assert [s["id"] for s in json.loads(out)] == ["build"]
    assert get(d.rest_sock, "/shells?all=true").json == []


def test_the_job_examples_of_the_readme_work(start):
    with open(os.path.join(harness.ROOT, "README.md")) as f:
        block = re.search(r"```sh\n(J=\$w/jobs\n.*?)\n```", f.read(), re.S)[1]
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        block = block.replace("8000", str(s.getsockname()[1]), 2)
    d = start(config=None)
    rest.appears(d.rest_sock)
    definitions, _ = examples()
    first, *lines = block.split("\n")
    assert len(lines) >= 9
    for line in lines:
        assert line.startswith("api ")
        out, status = run_example(d.rest_sock, definitions + [first], line)
        assert 200 <= status < 300, (line, out)
    assert [j["id"] for j in get(d.rest_sock, "/jobs").json] == ["build"]


def test_the_readme_names_every_route():
    with open(os.path.join(harness.ROOT, "README.md")) as f:
        table = f.read().partition("## The workspace API")[2] \
            .partition("\n## Map")[0]
    for route in ROUTES:
        method, path = route.split(" ")
        path = path.replace(API, "")
        if path.startswith("/apps/{name}/"):
            path = "/apps/{name}/..."
        assert "`%s`" % path in table, route
