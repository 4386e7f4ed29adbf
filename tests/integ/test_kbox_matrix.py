"""Every command of kbox, by its own list of them (`kbox help`).

For each: what it prints, JSON, --help, exit status, no daemon, no permission.
A command that has no row here fails.  What the texts say is in test_kbox.py.
"""

import io
import json
import os
import re
import subprocess

import pexpect
import pytest

import harness
from test_kbox import API, FAILED, NO_API, NO_DAEMON, OK, REFUSED, USAGE
from test_kbox import bad, binary, call, environment, fake, good  # noqa: F401
from test_kbox import kbox  # noqa: F401


def commands():
    """The names `kbox help` lists."""
    text = subprocess.run([harness.BINARY, "kbox", "help"],
                          capture_output=True, text=True, check=True).stdout
    return re.findall(r"^  ([a-z-]+) +\S", text.partition("commands:\n")[2]
                      .partition("\n\n")[0], re.M)


class Row:
    """words: what makes it do something.  shows: of its output.  asks: the
    request that decides, None where no daemon is needed.  reply: what makes
    it succeed.  keys: it wants a terminal, and gets these there."""

    def __init__(self, words, shows, asks=None, reply=None, keys=None):
        self.words, self.shows, self.asks = words.split(), shows, asks
        self.reply, self.keys = reply, keys


ROWS = {
    "streams": Row("", r"ID +CREATED ", "GET /streams"),
    "shells": Row("", r"ID +STATUS ", "GET /streams"),
    "shell": Row("-d true", r"sh-new-1\n", "POST /shells"),
    "attach": Row("sh-web-2", r"\[detached from sh-web-2; ",
                  "POST /shells/sh-web-2/attach", keys="\x01d"),
    "detach": Row("sh-web-1", r"Detached from sh-web-1;",
                  "POST /shells/sh-web-1/detach"),
    "kill": Row("sh-web-1", r"sh-web-1 has ended\n",
                "DELETE /shells/sh-web-1"),
    "run": Row("-d true", r"job-\w+\n", "POST /jobs"),
    "ps": Row("", r"ID +STATUS ", "GET /jobs"),
    "wait": Row("build --log up", r"it is up\n", "GET /jobs"),
    "rm": Row("--done", r"1 finished job removed\n", "DELETE /jobs"),
    "info": Row("", r"Workspace\n  Name:", "GET /sysinfo"),
    "uptime": Row("", r"\d\d:\d\d:\d\d up ", "GET /sysinfo"),
    "logs": Row("", r"\S+ INF serving component=grpc\n", "GET /logs"),
    "splash": Row("", r"Welcome", "GET /splash"),
    "profile": Row("", r"Profile\n  Username: +alice\n", "GET /profile"),
    "user": Row("name", r"Alice Example\n", "GET /profile"),
    "init-status": Row("", r"No init scripts", "GET /initscripts"),
    "last": Row("", r"USER +TERMINAL ", "GET /sessions", (200, [])),
    "apps": Row("", r"NAME +STATUS ", "GET /apps"),
    "credentials": Row("git", "", "GET /creds"),
    "validate": Row("/etc/hostname", r"/etc/hostname is valid\n",
                    "POST /validate", (200, {"status": "valid"})),
    "shutdown": Row("", r"The workspace will be stopped",
                    "POST /shutdown", (204, None)),
    "passwd": Row("", r"The password is changed", "PUT /password",
                  (204, None), keys="old\nnew\nnew\n"),
    "completion": Row("bash", r"_kbox"),
    "help": Row("", r"usage: kbox "),
    "version": Row("", r"kbox version: "),
}
COMMANDS = commands()
ASKING = [c for c in COMMANDS if ROWS.get(c, ROWS["help"]).asks]
# run and wait exit with a job's status: own failures have one of their own.
OF_JOB = {"run": {OK: OK}, "wait": {OK: OK}}
every_command = pytest.mark.parametrize("command", COMMANDS)
asking = pytest.mark.parametrize("command", ASKING)


def own(command, status):
    return OF_JOB[command].get(status, 125) if command in OF_JOB else status


class Sitting:
    """A run on a terminal, with the results of one without."""

    def __init__(self, argv, keys):
        self.seen = io.StringIO()
        p = pexpect.spawn(argv[0], argv[1:], timeout=harness.DEADLINE,
                          env=environment(), encoding="utf-8", echo=False)
        p.logfile_read = self.seen
        for key in keys.splitlines(keepends=True):
            if p.expect([r"\$ $", "assword.*: $", pexpect.EOF]) < 2:
                p.send(key)
        p.expect(pexpect.EOF)
        p.close()
        self.returncode = p.exitstatus
        text = self.seen.getvalue().replace("\r\n", "\n")
        where = text.find("kbox: ")
        self.stdout = text if where < 0 else text[:where]
        self.stderr = text[where:] if where >= 0 else ""


@pytest.fixture
def run(binary, fake, tmp_path):  # noqa: F811
    """run("attach"): the command with the words of its row, on a terminal if
    it needs one; socket= and prefix= for other circumstances."""
    def go(command, *more, socket=fake.path, prefix=(), **kwargs):
        row = ROWS[command]
        argv = list(prefix) + [
            harness.BINARY, "kbox", command, "--socket", socket
        ] + row.words + list(more)
        if row.keys is None:
            return call(*argv, **kwargs)
        return Sitting(argv, row.keys)

    job = fake.jobs.add("build")
    job.out("it is up\n")
    job.exit(0)
    for row in ROWS.values():
        if row.reply:
            method, path = row.asks.split()
            fake.replies["%s %s%s" % (method, API, path)] = row.reply
    return go


def test_every_command_has_its_row():
    assert sorted(COMMANDS) == sorted(ROWS), \
        "kbox help and the rows here differ"


@every_command
def test_output_and_status_0(run, command):
    if command == "credentials":
        pytest.skip("comes with the API server")
    r = run(command)
    text = r.stdout
    assert (r.returncode, r.stderr) == (OK, "")
    assert re.search(ROWS[command].shows, text), text
    if ROWS[command].keys is None:
        assert "\033" not in text and text.endswith("\n")


@every_command
def test_json(run, fake, command):  # noqa: F811
    """What the daemon says, wherever it says JSON."""
    if "--json" not in good(run_help(command)):
        assert command in ("attach", "detach", "credentials", "shutdown",
                           "passwd", "completion", "help")
        return
    if command in ("shell", "run"):     # their words end the options
        text = good(call(harness.BINARY, "kbox", command, "-d", "--json",
                         "--socket", fake.path, "true"))
    else:
        text = good(run(command, "--json"))
    lines = text.splitlines() if command == "logs" else [text]
    said = {"streams": fake.streams, "shells": fake.shells,
            "info": fake.sysinfo, "uptime": fake.sysinfo,
            "profile": fake.profile, "user": fake.profile,
            "init-status": [], "apps": [], "last": [],
            "splash": {"text": fake.splash}, "shell": {"id": "sh-new-1"},
            "validate": {"status": "valid"}, "logs": fake.logs, "ps": [],
            "kill": {"killed": True}, "rm": {"removed": 1}}
    parsed = [json.loads(s) for s in lines]
    got = parsed if command == "logs" else parsed[0]
    if command == "version":
        assert set(got) == {"version", "commit"}
    elif command == "streams":          # sorted as the table is
        assert sorted(got, key=str) == sorted(fake.streams, key=str)
    elif command == "run":
        assert got == fake.jobs.list[0].record
    elif command == "wait":
        assert got["line"] == "it is up"
    else:
        assert got == said[command]


def run_help(command, flag="--help"):
    return call(harness.BINARY, "kbox", command, flag)


@every_command
def test_help(command):
    text = good(run_help(command))
    assert text.startswith("usage: kbox %s " % command)
    assert good(run_help(command, "-h")) == text
    assert good(call(harness.BINARY, "kbox", "help", command)) == text
    assert "--socket" in text
    assert max(map(len, text.splitlines())) <= 80


@every_command
def test_usage_is_status_2(run, fake, command):  # noqa: F811
    bad(call(harness.BINARY, "kbox", command, "--no-such-option"),
        own(command, USAGE), "unknown option --no-such-option",
        "kbox %s --help" % command)
    assert fake.requests == []


def status_and_text(r, status, *texts):
    assert r.returncode == status, (r.returncode, r.stdout, r.stderr)
    for text in texts:
        assert text in r.stderr
    assert re.match(r"kbox: [^\n]+\n(      [^\n]+\n)?\Z", r.stderr)
    assert re.fullmatch(r"([A-Za-z ]*password[a-z ]*: \n)*", r.stdout)


@asking
@pytest.mark.parametrize("http,status", [(403, REFUSED), (500, FAILED),
                                         (502, NO_API), (503, NO_API)])
def test_status_of_a_refusal(run, fake, command, http, status):  # noqa: F811
    """With the daemon's own sentence."""
    method, path = ROWS[command].asks.split()
    fake.replies["%s %s%s" % (method, API, path)] = (http, "not for you")
    said = "not for you"
    if (command, http) != ("run", 500):     # the command's, not kbox's
        said += " (HTTP %d)" % http
    status_and_text(run(command), own(command, status), said)


@asking
def test_no_daemon_is_status_4(run, tmp_path, command):
    status_and_text(run(command, socket=str(tmp_path / "none")), own(
        command, NO_DAEMON), "cannot reach the daemon at", "No such file",
        "is k8shelld running?")


@asking
def test_a_dead_daemon_is_status_4(run, fake, command):  # noqa: F811
    fake.stop_listening()
    status_and_text(run(command), own(command, NO_DAEMON),
                    "Connection refused", "has ended")


@asking
def test_no_permission_is_status_4(run, fake, command):  # noqa: F811
    if os.geteuid() != 0:
        pytest.skip("needs root to be somebody else")
    parent = os.path.dirname(fake.path)
    while parent != "/":
        os.chmod(parent, os.stat(parent).st_mode | 0o055)
        parent = os.path.dirname(parent)
    os.chmod(fake.path, 0o600)
    status_and_text(run(command, prefix=[
        "/usr/bin/setpriv", "--reuid", str(harness.UID), "--regid",
        str(harness.GID), "--clear-groups"]),
        own(command, NO_DAEMON), "Permission denied",
        "belongs to uid 0, you are uid")
    assert fake.requests == []


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ASKING])
def test_no_daemon_is_needed_for_the_rest(run, tmp_path, command):
    assert run(command, socket=str(tmp_path / "none")).returncode == OK


def test_the_readme_names_every_command_and_option():
    with open(os.path.join(harness.ROOT, "README.md")) as f:
        text = f.read().partition("## kbox: ")[2].partition("\n## ")[0]
    for command in COMMANDS:
        assert re.search(r"[`|]%s[ `]" % command, text), command
    options = set()
    for command in COMMANDS:
        options |= set(re.findall(r"--[a-z-]+", good(run_help(command))
                                  .partition("options:")[2]))
    # Obvious from their neighbours, and in every --help.
    options -= {"--tail", "--last-n", "--component", "--level", "--grep",
                "--follow", "--quiet", "--pretty", "--num", "--wide",
                "--progress", "--detached", "--cwd", "--env", "--file",
                "--version", "--yes", "--delete", "--compose"}
    assert not {o for o in options if not re.search(o + r"\b", text)}
