"""kbox as people and scripts meet it, against a fake workspace API.

What all commands have to do is in test_kbox_matrix.py; sessions, the picker
and screens are in test_kbox_terminal.py.
"""

import json
import os
import re
import subprocess
import time

import pytest

import fake_rest
import harness

OK, FAILED, USAGE, NOT_FOUND, NO_DAEMON, NO_API, REFUSED = range(7)
API = "/api/v1"


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    path = tmp_path_factory.mktemp("bin") / "kbox"
    path.symlink_to(harness.BINARY)
    return str(path)


@pytest.fixture
def fake(tmp_path):
    f = fake_rest.Fake(tmp_path)
    yield f
    f.close()


@pytest.fixture
def older(tmp_path):
    f = fake_rest.Fake(tmp_path, older=True)
    yield f
    f.close()


def environment(**more):
    env = {k: v for k, v in os.environ.items()
           if k not in ("COLUMNS", "NO_COLOR", "K8SHELL_SESSION_ID",
                        "CLICOLOR_FORCE")}
    env.update(TZ="UTC", TERM="xterm")
    env.update(more)
    return env


def call(*argv, env=None, **kwargs):
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([str(a) for a in argv], capture_output=True,
                          text=True, timeout=harness.DEADLINE,
                          env=environment(**(env or {})), **kwargs)


@pytest.fixture
def kbox(binary, tmp_path):
    """kbox("streams", "-q"): against the fake of this test."""
    def go(*args, **kwargs):
        return call(binary, "--socket", tmp_path / "k8shelld.sock", *args,
                    **kwargs)
    return go


def good(result):
    assert (result.returncode, result.stderr) == (OK, ""), result
    return result.stdout


def bad(result, status, *texts):
    """Failures: on standard error, in one line and perhaps a hint."""
    assert result.returncode == status, result
    assert result.stdout == ""
    assert re.match(r"kbox: [^\n]+\n(      [^\n]+\n)?\Z", result.stderr), \
        result.stderr
    for text in texts:
        assert text in result.stderr
    return result.stderr


# ---- what all commands share ------------------------------------------------

def test_kbox_alone_shows_all_commands(binary):
    text = good(call(binary))
    for command in ("streams", "attach", "help"):
        assert re.search(r"^  %s +\S" % command, text, re.M), command
    assert "__complete" not in text
    assert good(call(binary, "--help")) == text == good(call(binary, "help"))


def test_version_in_every_place(binary):
    text = good(call(binary, "version"))
    assert re.fullmatch(r"kbox version: \S+ \(commit: [0-9a-f]{7}\)\n", text)
    assert good(call(binary, "--version")) == text
    assert good(call(binary, "-v")) == text
    assert good(call(binary, "streams", "-v")) == text
    parsed = json.loads(good(call(binary, "version", "--json")))
    assert parsed["version"] in text and parsed["commit"] in text


def test_a_misspelt_command_gets_a_hint(binary):
    bad(call(binary, "strems"), USAGE, "did you mean kbox streams?")
    bad(call(binary, "frobnicate"), USAGE, "kbox help lists")
    bad(call(binary, "help", "shels"), USAGE, "did you mean kbox shell")


def test_wrong_usage_is_on_stderr_with_status_2(kbox):
    bad(kbox("streams", "--nonsense"), USAGE, "unknown option --nonsense",
        "kbox streams --help")
    bad(kbox("streams", "word"), USAGE, "too many arguments")
    bad(kbox("kill"), USAGE, "usage: kbox kill")
    bad(kbox("--timeout", "x", "streams"), USAGE, "--timeout")
    bad(kbox("--color=blue", "streams"), USAGE, "--color")


def test_the_run_directory_is_searched(binary, tmp_path):
    folder = tmp_path / "k8shell"
    folder.mkdir(0o700)
    f = fake_rest.Fake(folder)
    try:
        r = call(binary, "user", "name",
                 env={"XDG_RUNTIME_DIR": str(tmp_path)})
        if not os.path.exists("/var/run/k8shelld.sock"):
            assert good(r) == "Alice Example\n"
        assert good(call(binary, "--run-dir", folder, "user", "name")) == \
            "Alice Example\n"
    finally:
        f.close()


def test_wrapper_names_are_commands(tmp_path, fake, binary):
    """uptime, last, shutdown, passwd (spec/bootstrap.md 2.6)."""
    for name in ("uptime", "last", "shutdown", "passwd"):
        (tmp_path / name).symlink_to(harness.BINARY)
        text = good(call(tmp_path / name, "--help"))
        assert text.startswith("usage: %s " % name)
    assert "load average" in good(call(tmp_path / "uptime", "--socket",
                                       fake.path))
    bad(call(tmp_path / "last", "--socket", fake.path), NO_API)


def test_weakness_7_1_9_a_daemon_that_hangs_is_left_in_time(kbox, fake):
    fake.replies["GET /api/v1/streams"] = lambda _: time.sleep(3) or (200, [])
    start = time.monotonic()
    bad(kbox("--timeout", "0.3", "streams"), NO_DAEMON, "within 0.3 s")
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("body", [b"<html>", b"", b"{", b"[1,", b"[] x"])
def test_an_answer_that_is_not_json_is_said(kbox, fake, body):
    fake.replies["GET /api/v1/streams"] = (200, body)
    bad(kbox("streams"), FAILED, "not JSON")


def test_output_that_cannot_be_written_is_a_failure(binary, fake):
    with open("/dev/full", "w") as full:
        r = subprocess.run([binary, "--socket", fake.path, "streams"],
                           stdout=full, stderr=subprocess.PIPE, text=True,
                           env=environment())
    assert r.returncode == FAILED and "No space left" in r.stderr


# ---- tables -------------------------------------------------------------------

def test_streams_table(kbox, fake):
    lines = good(kbox("streams")).splitlines()
    assert lines[0].split() == ["ID", "CREATED", "DURATION", "STATUS",
                                "BYTES_IN", "BYTES_OUT", "PARAMS"]
    rows = {line.split()[0]: line for line in lines[1:]}
    assert list(rows) == ["pf-web-1", "sh-web-1", "sh-web-2", "ex-web-9"]
    assert re.search(r" [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d  10m\ds +DETACHED"
                     r"  17B       2.45K      cmd=/bin/zsh, pid=12, "
                     r"ttl=29m59s$", rows["sh-web-2"])
    assert "3.00G" in rows["pf-web-1"]


def test_weakness_7_2_7_a_stopped_stream_grows_no_older(kbox,
                                                                    fake):
    line = [x for x in good(kbox("streams")).splitlines() if "STOPPED" in x][0]
    assert " 42s " in line


def test_streams_json_is_the_daemons(kbox, fake):
    assert json.loads(good(kbox("streams", "--json", "--sort", ""))) == \
        fake.streams
    text = good(kbox("streams", "--json", "--sort=id"))
    assert text.startswith('[\n  {\n    "id": "ex-web-9",\n')
    fake.streams = []
    assert good(kbox("streams", "--json")) == "[]\n"
    assert good(kbox("streams")).split()[0] == "ID"


def test_streams_order_and_parts(kbox, fake):
    def ids(*args):
        return good(kbox("streams", "-q", *args)).split()
    assert ids("--sort", "id") == ["ex-web-9", "pf-web-1", "sh-web-1",
                                   "sh-web-2"]
    assert ids("--sort", "-BYTES_OUT,id")[0] == "pf-web-1"
    assert ids("--sort", "status,-id") == ["sh-web-1", "pf-web-1", "sh-web-2",
                                           "ex-web-9"]
    bad(kbox("streams", "--sort", "size"), USAGE, "cannot sort by", "ID")
    assert "CREATED" not in good(kbox("streams", "--no-headers"))


def test_weakness_7_2_7_narrow_terminals_and_pipes(kbox, fake):
    fake.streams[0]["params"] = "cmd=" + "x" * 300
    assert "x" * 300 in good(kbox("streams"))
    for width in (1, 2, 3, 20, 40, 80, 132):
        text = good(kbox("streams", env={"COLUMNS": str(width)}))
        assert max(map(len, text.splitlines())) <= width
        assert "x" * 300 in good(kbox("streams", "--no-trunc",
                                      env={"COLUMNS": str(width)}))
    text = good(kbox("streams", env={"COLUMNS": "80"}))
    assert "\u2026" in text and "ID" in text and "PARAMS" in text


def test_weakness_7_2_7_wide_and_combining_characters(kbox, fake):
    fake.streams = [fake_rest.stream("sh-\u65e5\u672c", params="one"),
                    fake_rest.stream("sh-e\u0301e", params="two")]
    lines = good(kbox("streams")).splitlines()
    cells = {"\u65e5": 2, "\u672c": 2, "\u0301": 0}
    ends = [sum(cells.get(c, 1) for c in line[:line.index(word)])
            for line, word in zip(lines, ("PARAMS", "one", "two"))]
    assert len(set(ends)) == 1


def test_colours_are_for_terminals_or_who_asks(kbox, fake):
    assert "\033" not in good(kbox("streams"))
    assert "\033[33msh-web-2" in good(kbox("streams", "--color=always"))
    assert "\033" in good(kbox("streams", env={"CLICOLOR_FORCE": "1"}))
    assert "\033" not in good(kbox("streams", env={"CLICOLOR_FORCE": "1",
                                                   "NO_COLOR": "1"}))
    assert "\033" not in good(kbox("streams", "--color=always", "--no-ansi"))


def test_T25_what_the_daemon_says_moves_no_cursor(kbox, fake):
    evil = "\033]0;pwned\007\n\u202e\u009b2J\x7f"
    fake.streams = [fake_rest.stream("sh-" + evil, params=evil)]
    fake.profile["name"] = evil
    fake.scripts = [{"name": "__init_" + evil, "status": "pending",
                     "has_error": False}]
    fake.sysinfo["repository"] = evil
    for args in (["streams"], ["shells"], ["init-status"], ["info"],
                 ["profile"]):
        text = good(kbox(*args))
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
        assert "\\x1b]0;pwned\\x07\\x0a\\u202e\\u009b2J\\x7f" in text
    fake.replies["GET /api/v1/streams"] = (400, evil)
    assert "\033" not in bad(kbox("streams"), FAILED, "\\x1b")


def test_shells_table(kbox, fake):
    lines = good(kbox("shells")).splitlines()
    assert lines[0].split() == ["ID", "STATUS", "PID", "AGE", "TTL", "COMMAND"]
    assert [x.split()[0] for x in lines[1:]] == ["sh-web-1", "sh-web-2"]
    assert lines[2].split() == ["sh-web-2", "DETACHED", "12",
                                lines[2].split()[3], "29m59s", "/bin/zsh"]
    assert good(kbox("shells", "-dq")) == "sh-web-2\n"
    assert json.loads(good(kbox("shells", "--json"))) == fake.shells
    assert fake.requests[-1].endswith("/shells?all=true")
    good(kbox("shells", "--json", "--detached"))
    assert fake.requests[-1].endswith("/shells")


def test_watch_goes_on_until_interrupted(binary, fake):
    p = subprocess.Popen([binary, "--socket", fake.path, "streams",
                          "--watch=0.1", "--sort=id"], text=True,
                         stdout=subprocess.PIPE, env=environment())
    try:
        seen = [p.stdout.readline() for _ in range(20)]
        assert sum(line.startswith("ID ") for line in seen) >= 3
    finally:
        p.terminate()
        p.wait()
        p.stdout.close()


# ---- one answer, one text -----------------------------------------------------

def test_info(kbox, fake):
    text = good(kbox("info", env={"WORKSPACE": "demo", "IMAGE": "img:1"}))
    for line in ("  Name:         demo", "  Blueprint:    n/a",
                 "  k8shelld:     1.2.3-abcdef0", "  Users:        2",
                 "  CPU usage:     12.34m / 500m (2.47%)",
                 "  Load average:  0.12, 0.34, 0.56",
                 "  Memory usage:  123.45MiB / 512MiB (24.11%)",
                 "  /home/alice:  1.50GiB / 10GiB (15.00%)  "
                 "[fs=ext4, src=/dev/sdb]",
                 "  /data:        0B / 1TiB (0.00%)  "
                 "[fs=nfs4, src=nfs:/x, ro]",
                 "  API version:          1.41 (Podman 4.3.1)",
                 "  Containers:           3 total (1 running, 2 stopped)"):
        assert line in text.splitlines()
    assert text.index("/data") < text.index("/home/alice")
    assert json.loads(good(kbox("info", "--json"))) == fake.sysinfo


def test_info_says_how_callers_are_authenticated(kbox, fake):
    assert "Authentication" not in good(kbox("info"))       # an older daemon
    fake.sysinfo["auth"] = "identity, peer"
    assert "  Authentication:  identity, peer\n" in good(kbox("info"))
    fake.sysinfo["auth"] = "none"
    warning = "NONE: whoever reaches the gRPC port gets a shell here"
    assert "  Authentication:  %s\n" % warning in good(kbox("info"))
    assert "\033[1;31m%s\033[0m\n" % warning in good(
        kbox("info", "--color=always"))


def test_weakness_7_2_8_sizes_are_not_rounded_to_whole_ones(kbox, fake):
    for used, shown in ((3 << 29, "1.50GiB / 10GiB"), (0, "0B / 10GiB"),
                        (1023, "1023B /"), ((5 << 20) + (1 << 18), "5.25MiB /")):
        fake.sysinfo["mounts"][0]["usedBytes"] = used
        assert "  /home/alice:  " + shown in good(kbox("info"))


def test_weakness_7_2_10_the_reason_is_told(kbox, fake):
    """Not only "failed", also behind a 5xx."""
    fake.replies["POST /api/v1/shutdown"] = (502, "listener: in use by bob")
    bad(kbox("shutdown"), NO_API, "listener: in use by bob (HTTP 502)")
    fake.replies["GET /api/v1/sysinfo"] = (500, "cgroup: no such file")
    bad(kbox("info"), FAILED, "cgroup: no such file (HTTP 500)")


def test_weakness_7_2_8_no_limit_is_said_in_words(kbox, fake):
    fake.sysinfo["system"].update(cpuLimitMillicores=-1, memLimitMiB=-1)
    fake.sysinfo.update(mounts=None, docker=None, podman=None)
    text = good(kbox("info"))
    assert "12.34m, no limit" in text and "123.45MiB, no limit" in text
    assert "/ -1" not in text and "Podman" not in text


def test_weakness_7_2_3_uptime(kbox, fake):
    """On standard output: weakness 7.2, $(uptime) was empty."""
    fake.sysinfo["system"]["uptime"] = fake_rest.stamp(
        (2 * 24 + 3) * 3600 + 10 * 60)
    assert re.fullmatch(r"\d\d:\d\d:\d\d up 2 days,  3:10, 2 users, "
                        r"load average: 0.12, 0.34, 0.56\n",
                        good(kbox("uptime")))
    assert re.fullmatch(r"2 days, 3 hours, 10 minutes, \d+ seconds?\n",
                        good(kbox("uptime", "-p")))
    since = fake.sysinfo["system"]["uptime"]
    assert good(kbox("uptime", "--since")) == \
        since.replace("T", " ").replace("Z", "") + "\n"
    assert json.loads(good(kbox("uptime", "--json"))) == fake.sysinfo
    fake.sysinfo["system"].update(uptime=fake_rest.stamp(65), users=1)
    assert " up 0:01, 1 user, load" in good(kbox("uptime"))


def test_profile_and_user(kbox, fake):
    text = good(kbox("profile"))
    for line in ("  Username:      alice", "  Sudo:          no",
                 "  Roles:         user, dev", "  Organization:  acme"):
        assert line in text.splitlines()
    assert good(kbox("identity")) == text == good(kbox("user"))
    assert json.loads(good(kbox("profile", "--json"))) == fake.profile
    assert good(kbox("user", "name")) == "Alice Example\n"
    assert good(kbox("user", "email")) == "alice@example.org\n"
    assert good(kbox("user", "username")) == "alice\n"
    fake.profile["name"] = ""
    assert good(kbox("user", "name")) == "n/a\n"
    bad(kbox("user", "shoe-size"), USAGE, "name, email")


def test_splash(kbox, fake):
    assert good(kbox("splash")) == "Welcome to the workspace\n\n"
    assert json.loads(good(kbox("splash", "--json"))) == {"text": fake.splash}


def test_init_status(kbox, fake):
    assert good(kbox("init-status")) == "No init scripts are registered.\n"
    fake.scripts = [
        {"name": "__init_one", "status": "completed", "has_error": False,
         "started_at": "2026-01-01T00:00:00Z",
         "finished_at": "2026-01-01T00:00:01.25Z"},
        {"name": "__init_two", "status": "completed", "has_error": True,
         "started_at": "2026-01-01T00:00:00Z",
         "finished_at": "2026-01-01T00:00:03Z"},
        {"name": "__init_three", "status": "running", "has_error": False,
         "started_at": fake_rest.stamp(5)},
        {"name": "__init_four", "status": "pending", "has_error": False}]
    lines = good(kbox("init-status")).splitlines()
    assert lines[:2] == ["[\u2713] one: 1.2s", "[\u2717] two: 3.0s"]
    assert re.fullmatch(r"\[\*\] three: running\.\.\. [5-8]\.\ds", lines[2])
    assert lines[3] == "[-] four: waiting..."
    coloured = good(kbox("init-status", "--color=always")).splitlines()
    assert coloured[0] == "\033[32m" + lines[0] + "\033[0m"
    assert json.loads(good(kbox("init-status", "--json"))) == fake.scripts
    r = kbox("init-status", "--errors")
    assert (r.returncode, r.stdout) == (FAILED, lines[1] + "\n")


def test_init_status_waits_for_the_end(kbox, fake):
    script = {"name": "__init_one", "status": "running", "has_error": False,
              "started_at": fake_rest.stamp(1)}
    answers = iter([200, 200])

    def reply(_):
        if next(answers, None) is None:
            script.update(status="completed", has_error=True,
                          finished_at=fake_rest.stamp(0))
        return 200, [script]
    fake.replies["GET /api/v1/initscripts"] = reply
    r = kbox("init-status", "--wait")
    assert r.returncode == FAILED
    assert "Ctrl-C to skip" in r.stdout and "\u2717" in r.stdout
    assert "\033" not in r.stdout


# ---- logs ---------------------------------------------------------------------

def messages(text):
    return [re.match(r"\S+ [A-Z]{3} (.*) component=\S+$", line)[1]
            for line in text.splitlines()]


def test_logs(kbox, fake):
    first = good(kbox("logs")).splitlines()[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000 INF serving "
                        r"component=grpc", first)
    assert messages(good(kbox("logs"))) == ["serving", "GET /streams", "one",
                                            "two", "three"]
    assert messages(good(kbox("logs", "-c", "grpc"))) == ["serving", "three"]
    assert messages(good(kbox("logs", "-c", "grpc,rest"))) == \
        ["serving", "GET /streams", "three"]
    assert messages(good(kbox("logs", "-l", "WARN"))) == ["one", "two"]
    assert messages(good(kbox("logs", "--grep", "t"))) == ["GET /streams",
                                                           "two", "three"]
    assert "\033" not in good(kbox("logs"))
    assert "\033[31mERR\033[0m two" in good(kbox("logs", "--color=always"))
    bad(kbox("logs", "-l", "loud"), USAGE, "debug, info")
    bad(kbox("logs", "-n", "few"), USAGE)
    bad(kbox("logs", "--since", "noon"), USAGE, "10m")


def test_weakness_7_2_12_last_n_counts_what_matches(kbox, fake):
    assert messages(good(kbox("logs", "-n", "1", "-l", "error"))) == ["two"]
    assert messages(good(kbox("logs", "--tail", "2"))) == ["two", "three"]
    assert messages(good(kbox("logs", "-n0"))) == messages(good(kbox("logs")))


def test_logs_since(kbox, fake):
    fake.logs[0]["time"] = "2020-01-01T00:00:00.000"
    assert messages(good(kbox("logs", "--since", "10m")))[0] == "GET /streams"
    assert len(messages(good(kbox("logs", "--since",
                                  "2019-12-31T23:00:00Z")))) == 5


def test_logs_json_is_unchanged(kbox, fake):
    lines = good(kbox("logs", "-j", "-n", "2")).splitlines()
    assert lines == [json.dumps(e) for e in fake.logs[-2:]]


@pytest.mark.parametrize("generation", ["fake", "older"])
def test_logs_follow_has_no_gap_and_no_repeat(binary, request, generation):
    fake = request.getfixturevalue(generation)
    p = subprocess.Popen([binary, "--socket", fake.path, "logs", "-f", "-n",
                          "2"], stdout=subprocess.PIPE, text=True,
                         env=environment())
    try:
        got = [p.stdout.readline() for _ in range(2)]
        for i in range(50):
            fake.log("session", "info", "new %d" % i)
        got += [p.stdout.readline() for _ in range(50)]
        assert messages("".join(got)) == ["two", "three"] + \
            ["new %d" % i for i in range(50)]
        fake.close()
        assert p.wait(harness.DEADLINE) == NO_DAEMON
    finally:
        p.kill()
        p.wait()
        p.stdout.close()


def test_a_log_line_of_a_megabyte(kbox, fake):
    fake.log("grpc", "info", "x" * 900000)
    assert len(good(kbox("logs", "-n", "1"))) > 900000


# ---- sessions without a terminal ------------------------------------------------

def test_detach(kbox, fake):
    text = good(kbox("detach", env={"K8SHELL_SESSION_ID": "sh-web-1"}))
    assert text == ("Detached from sh-web-1; it keeps running.\n"
                    "kbox attach sh-web-1 brings it back.\n")
    assert fake.bodies[-1] == ("POST", API + "/shells/sh-web-1/detach", None)
    good(kbox("detach", "sh-web-1", "--ttl", "90m"))
    assert fake.bodies[-1][2] == {"ttl": "90m"}
    good(kbox("detach", "sh-web-1", "--ttl=0"))
    assert fake.bodies[-1][2] == {"ttl": "0s"}
    bad(kbox("detach"), FAILED, "K8SHELL_SESSION_ID")
    bad(kbox("detach", "--ttl", "-5m"), USAGE, "12h")
    bad(kbox("detach", "--ttl", "soon"), USAGE)
    bad(kbox("detach", "nobody"), NOT_FOUND, "no session nobody")


def test_detach_tells_refused_from_unknown(kbox, fake):
    fake.replies["POST %s/shells/sh-web-1/detach" % API] = (
        400, "detaching sessions is disabled")
    bad(kbox("detach", "sh-web-1"), FAILED, "is disabled (HTTP 400)")


def test_ids_may_be_given_by_their_start(kbox, fake):
    fake.streams[0]["id"] = "sh-one"
    good(kbox("detach", "sh-o"))
    assert fake.requests[-1] == "POST %s/shells/sh-one/detach" % API
    bad(kbox("detach", "sh"), FAILED, "sh-one, sh-web-2")


def test_weakness_7_2_15_ids_are_escaped_in_urls(kbox, fake):
    bad(kbox("detach", "../../x y"), NOT_FOUND)
    assert "POST %s/shells/..%%2F..%%2Fx%%20y/detach" % API in fake.requests


def test_kill(kbox, fake):
    assert good(kbox("kill", "sh-web-1")) == "sh-web-1 has ended\n"
    r = kbox("kill", "sh-web-2", "gone")
    assert (r.returncode, r.stdout) == (NOT_FOUND, "sh-web-2 has ended\n")
    assert 'no job and no shell "gone"' in r.stderr


def test_shell_detached(kbox, fake, tmp_path):
    text = good(kbox("shell", "-d", "--name", "build", "-e", "A=b=c", "make",
                     "-j4", cwd=str(tmp_path)))
    assert text == "sh-new-1\n"
    body = fake.bodies[-1][2]
    assert body.pop("width") > 0 and body.pop("height") > 0
    assert body == {"name": "build", "command": "make -j4",
                    "cwd": str(tmp_path), "env": {"A": "b=c"}}
    bad(kbox("shell", "-d", "-e", "nothing"), USAGE, "NAME=VALUE")
    assert json.loads(good(kbox("shell", "--json"))) == {"id": "sh-new-1"}


@pytest.mark.parametrize("command", [["attach"], ["attach", "sh-web-2"],
                                     ["shell"]])
def test_weakness_7_2_2_no_terminal_hurts_no_session(kbox, fake, command):
    """Weakness 7.2: kbox attach </dev/null killed the shell."""
    bad(kbox(*command), FAILED, "terminal")
    assert fake.requests == []


# ---- what is not configured ------------------------------------------------------

@pytest.mark.parametrize("command", [
    "last", "credentials git", "validate /etc/passwd", "shutdown"])
def test_what_needs_the_api_server_says_so(kbox, fake, command):
    bad(kbox(*command.split()), NO_API, "the API server is not configured")


def test_weakness_7_2_4_last(kbox, fake):
    fake.replies["GET /api/v1/sessions"] = (200, [
        {"sessionID": "a", "username": "alice", "clientIP": "10.0.0.7",
         "startTime": "2026-01-02T03:04:05Z", "endTime": None, "bytesIn": 17,
         "bytesOut": 4096, "ptyName": "pts/3"},
        {"sessionID": "b", "username": "alice", "clientIP": "10.0.0.7",
         "startTime": "2026-01-01T03:04:05Z",
         "endTime": "2026-01-01T04:04:05.5Z", "bytesIn": 0, "bytesOut": 0,
         "ptyName": ""}])
    lines = good(kbox("last", "-n", "2")).splitlines()
    assert fake.requests[-1].endswith("?num=2")
    assert "pts/3" in lines[1] and "still logged in" in lines[1]
    assert "Fri Jan  2 03:04" in lines[1]
    assert "Fri Jan  2 12:04" in good(kbox("last", env={"TZ": "JST-9"}))
    assert "1h0m0s" in lines[2]
    fake.replies["GET /api/v1/sessions"] = (200, None)
    assert json.loads(good(kbox("last", "--json"))) is None
    bad(kbox("last", "-n", "500"), USAGE)


def test_apps(kbox, fake):
    assert good(kbox("apps")).split()[0] == "NAME"
    assert good(kbox("apps", "ls", "--json")) == "[]\n"
    fake.replies["GET /api/v1/apps"] = (200, [
        {"name": "code", "status": "RUNNING", "version": "1.2", "port": 8080,
         "pid": 7, "age": "2h5m", "restarts": 0, "protocol": "http"}])
    assert good(kbox("apps", "list")).splitlines()[1].split() == \
        ["code", "RUNNING", "1.2", "8080", "http", "7", "2h5m", "0"]
    bad(kbox("apps", "install", "code"), FAILED, "not configured")


def test_weakness_7_2_14_validate(kbox, fake, tmp_path):
    name = "a file & more.yaml"
    (tmp_path / name).write_text("x")
    fake.replies["POST /api/v1/validate"] = (200, {
        "status": "invalid", "filename": name, "errors": ["CPU: required"]})
    r = kbox("validate", tmp_path / name)
    assert (r.returncode, r.stdout.splitlines()[1]) == (FAILED,
                                                        " - CPU: required")
    assert fake.requests[-1].endswith("a%20file%20%26%20more.yaml")
    fake.replies["POST /api/v1/validate"] = (200, {"status": "valid"})
    assert "is valid" in good(kbox("validate", "-f", tmp_path / name))
    bad(kbox("validate", "/nowhere"), NOT_FOUND, "No such file")


def test_weakness_7_1_8_shutdown_asks_before_it_deletes(kbox, fake):
    fake.replies["POST /api/v1/shutdown"] = (204, None)
    assert "stopped" in good(kbox("shutdown"))
    assert fake.requests[-1].endswith("?action=stop")
    n = len(fake.requests)
    bad(kbox("shutdown", "--delete"), FAILED, "nothing done")
    assert len(fake.requests) == n
    assert "deleted" in good(kbox("shutdown", "--delete", "--yes"))
    assert fake.requests[-1].endswith("?action=delete")


def test_passwd_needs_a_terminal(kbox, fake):
    bad(kbox("passwd"), FAILED, "terminal")


# ---- older daemons (8.2) -----------------------------------------------------------

def test_older_daemon(kbox, older):
    assert "sh-web-2" in good(kbox("streams"))
    assert older.requests == ["GET /api/v1/streams",
                              "GET /api/v1/ssh/channels"]
    assert "Alice Example" in good(kbox("profile"))
    assert good(kbox("user", "email")) == "alice@example.org\n"
    older.streams, older.shells, older.scripts = [], [], []
    assert good(kbox("streams")).split()[0] == "ID"
    assert good(kbox("streams", "--json")) == "[]\n"
    assert "registered" in good(kbox("init-status"))
    assert good(kbox("apps")).split()[0] == "NAME"
    older.shells = [fake_rest.shell("sh-web-2")]
    bad(kbox("kill", "sh-web-2"), FAILED, "HTTP 405", "too old for that")
    bad(kbox("shell", "-d"), NOT_FOUND, "HTTP 404", "too old for that")


# ---- completion ----------------------------------------------------------------------

def complete(kbox, *words):
    return good(kbox("__complete", "--", *words)).split()


def test_completion_offers_what_fits(kbox, fake):
    assert complete(kbox, "sh") == ["shells", "shell", "shutdown"]
    assert complete(kbox, "attach", "") == ["sh-web-2"]
    assert complete(kbox, "detach", "sh") == ["sh-web-1"]
    assert complete(kbox, "kill", "") == ["sh-web-1", "sh-web-2"]
    assert complete(kbox, "logs", "--level", "e") == ["error"]
    assert "--follow" in complete(kbox, "logs", "--")
    assert complete(kbox, "streams", "--so") == ["--sort", "--socket"]
    assert complete(kbox, "user", "e") == ["email"]
    assert complete(kbox, "completion", "") == ["bash", "zsh", "fish"]
    assert "attach" in complete(kbox, "help", "")
    fake.streams[1]["id"] = "$(reboot)"
    assert complete(kbox, "attach", "") == []


def test_completion_is_silent_without_a_daemon(binary, tmp_path):
    assert good(call(binary, "__complete", "--socket", tmp_path / "none",
                     "--", "attach", "")) == ""


def test_bash_completion_in_bash(binary, fake, tmp_path):
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "kbox").write_text('#!/bin/sh\nexec "%s" --socket "%s" "$@"\n'
                              % (binary, fake.path))
    (bin / "kbox").chmod(0o755)
    script = ('source <(kbox completion bash); COMP_WORDS=(kbox attach s); '
              'COMP_CWORD=2; _kbox; echo "${COMPREPLY[@]}"')
    r = call("bash", "-c", script,
             env={"PATH": "%s:%s" % (bin, os.environ["PATH"])})
    assert r.stdout == "sh-web-2\n"
    bad(call(binary, "completion", "tcsh"), USAGE, "bash, zsh and fish")
