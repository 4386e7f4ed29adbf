"""The workspace API against those it does not serve: other users, whoever
wants its socket's place, and requests that are not what they seem."""

import os
import socket
import stat
import time

import pytest

import attack
import harness
import rest
from rest import API, Raw, ask, curl, get

OTHER = 34568           # nobody's uid
HEAD = "Host: unix\r\n"


@pytest.fixture
def folder():
    with rest.public_folder() as path:
        yield path


@pytest.fixture
def public(start, folder):
    """A daemon whose socket others can get at, but for its mode."""
    sock = os.path.join(folder, "k8shelld.sock")
    d = start(args=["--socket", sock])
    rest.appears(sock)
    return d, sock


# -- T9: who calls -------------------------------------------------------------

def test_T9_socket_belongs_to_root_and_the_users_group(public):
    _, sock = public
    st = os.lstat(sock)
    assert (st.st_uid, st.st_gid) == (0, harness.GID)
    assert stat.S_IMODE(st.st_mode) == 0o660


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_T9_mode_does_not_depend_on_the_umask(start, folder, umask):
    sock = os.path.join(folder, "k8shelld.sock")
    start(args=["--socket", sock],
          wrapper=["sh", "-c", 'umask %o; exec "$@"' % umask, "-"])
    rest.appears(sock)
    assert stat.S_IMODE(os.lstat(sock).st_mode) == 0o660


def test_T9_the_workspace_user_and_root_are_served(public):
    _, sock = public
    url = "http://x%s/profile" % API
    for prefix in ([], rest.as_uid(harness.UID)):
        out, code = curl(sock, url, prefix=prefix)
        assert code == 200 and harness.USER in out


def test_T9_a_third_uid_cannot_even_connect(public):
    _, sock = public
    out, code = curl(sock, "http://x%s/profile" % API, check=False,
                     prefix=rest.as_uid(OTHER))
    assert (out, code) == ("", 0)


def test_T9_a_third_uid_in_the_group_is_refused(public):
    d, sock = public
    prefix = rest.as_uid(OTHER, harness.GID)
    for args in ([API + "/profile"], [API + "/nothing"],
                 [API + "/metrics"], [API + "/logs?follow=true"],
                 [API + "/shells/x/attach", "-X", "POST"]):
        out, code = curl(sock, "http://x" + args[0], *args[1:],
                         prefix=prefix)
        assert code == 403 and out.count("\n") == 1, args
    assert "uid %d, pid " % OTHER in d.log()
    assert get(sock, "/profile").status == 200


class AsOther(Raw):
    """Raw, connected as OTHER: the peer is who called connect()."""

    def __init__(self, path):
        self.data = b""
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            os.setgroups([])
            os.setresgid(harness.GID, harness.GID, harness.GID)
            os.setresuid(OTHER, OTHER, OTHER)
            s = socket.socket(socket.AF_UNIX)
            s.connect(path)
            socket.send_fds(theirs, [b"x"], [s.fileno()])
            os._exit(0)
        fd = socket.recv_fds(ours, 1, 1)[1][0]
        os.waitpid(pid, 0)
        ours.close()
        theirs.close()
        self.sock = socket.socket(fileno=fd)
        self.sock.settimeout(harness.DEADLINE)


def test_T9_refused_before_the_body_is_read(public):
    _, sock = public
    with AsOther(sock) as c:
        c.send("POST %s/shells HTTP/1.1\r\n%sContent-Length: 60000\r\n"
               "Expect: 100-continue\r\n\r\n" % (API, HEAD))
        assert c.answer().status == 403
        assert c.closed()
    with AsOther(sock) as c:        # and not told what else is wrong
        c.send("POST / HTTP/1.1\r\nContent-Length: 999999\r\n\r\n")
        assert c.answer().status == 403


def test_T9_others_cannot_take_the_places_of_the_user(public):
    _, sock = public
    held = [AsOther(sock) for _ in range(40)]
    try:
        assert get(sock, "/healthz").status == 200
        ours = [Raw(sock) for _ in range(16)]
        for c in ours:
            assert c.ask("GET", API + "/healthz").status == 200
            c.sock.close()
    finally:
        for c in held:
            c.sock.close()


def test_T9_standalone_is_for_one_user(start):
    d = start(config=None)
    st = os.lstat(d.rest_sock)
    assert st.st_uid == os.geteuid() and stat.S_IMODE(st.st_mode) == 0o600
    assert get(d.rest_sock, "/profile").json["uid"] == os.geteuid()


def test_weakness_7_1_4_secrets_are_asked_for_on_record(public):
    d, sock = public
    for method, target in (("GET", "/creds?type=git"), ("PUT", "/password"),
                           ("POST", "/shutdown")):
        ask(sock, method, API + target)
        assert "%s %s%s by uid 0, pid %d" % (
            method, API, target.partition("?")[0], os.getpid()) in d.log()


# -- T10: whose place it is ------------------------------------------------------

def refused(d, why):
    harness.eventually(lambda: "no workspace API" in d.log(), "the refusal")
    assert why in d.log()
    with d.stub() as s:     # everything else works
        assert s.exec("echo on", id="ex-rest-2-aa1").out == b"on\n"


@pytest.mark.parametrize("what", ["file", "symlink", "dangling", "folder",
                                  "fifo", "foreign socket"])
def test_T10_what_is_not_our_socket_is_not_touched(start, folder, what):
    sock = os.path.join(folder, "k8shelld.sock")
    target = os.path.join(folder, "target")
    if what == "file":
        open(sock, "w").write("mine")
    elif what == "folder":
        os.mkdir(sock)
    elif what == "fifo":
        os.mkfifo(sock)
    elif what == "foreign socket":
        s = socket.socket(socket.AF_UNIX)
        s.bind(sock)
        s.close()
        os.chown(sock, OTHER, OTHER)
    else:
        if what == "symlink":
            open(target, "w").write("mine")
        os.symlink(target, sock)
    before = os.lstat(sock)
    d = start(args=["--socket", sock])
    refused(d, "something that is not a socket of ours is there")
    after = os.lstat(sock)
    assert (before.st_ino, before.st_mode, before.st_uid) == \
        (after.st_ino, after.st_mode, after.st_uid)
    assert what != "dangling" or not os.path.exists(target)


@pytest.mark.parametrize("mode,uid", [(0o777, 0), (0o1777, 0), (0o775, 0),
                                      (0o755, harness.UID)])
def test_T10_a_folder_others_can_write_is_refused(start, mode, uid):
    with rest.public_folder(mode) as folder:
        os.chown(folder, uid, uid)
        sock = os.path.join(folder, "k8shelld.sock")
        refused(start(args=["--socket", sock]),
                "its folder can be written by others")
        assert not os.path.exists(sock)


def test_T10_weakness_7_2_9_a_stale_socket_is_replaced(start, folder):
    """rest-kbox 7.2: after SIGKILL the file blocks the API for ever."""
    sock = os.path.join(folder, "k8shelld.sock")
    first = start(args=["--socket", sock])
    rest.appears(sock)
    first.stop(sig=9)
    assert os.path.exists(sock)
    start(args=["--socket", sock])
    harness.eventually(lambda: get(sock, "/healthz").status == 200, "up")


def test_T10_a_live_socket_is_left_alone(public, start):
    _, sock = public
    second = start(args=["--socket", sock])
    refused(second, "another process listens there")
    second.stop()
    assert get(sock, "/healthz").status == 200


def test_the_socket_goes_with_the_daemon(public):
    d, sock = public
    d.stop()
    assert not os.path.exists(sock)


def test_a_missing_folder_is_made(start, folder):
    sock = os.path.join(folder, "a/b/k8shelld.sock")
    start(args=["--socket", sock])
    rest.appears(sock)
    assert stat.S_IMODE(os.stat(os.path.dirname(sock)).st_mode) == 0o755


def test_no_socket_is_no_reason_to_stop_and_is_tried_again(start, folder):
    """rest-kbox 7.2: read-only file system; a folder that comes later."""
    sock = os.path.join(folder, "k8shelld.sock")
    open(sock, "w").close()
    d = start(args=["--socket", sock])
    refused(d, "trying again")
    os.unlink(sock)
    rest.appears(sock)
    assert get(sock, "/healthz").status == 200
    assert d.log().count("no workspace API") == 1


def test_weakness_7_2_16_a_read_only_file_system_is_said_once(start, folder):
    d = start(args=["--socket", "/proc/k8shelld.sock"])
    refused(d, "/proc/k8shelld.sock")


def test_a_path_too_long_for_a_socket_is_said(start, folder):
    refused(start(args=["--socket", folder + "/" + 200 * "x"]), "too long")


# -- T26: what a request is --------------------------------------------------------

BAD = {
    "no host": "GET / HTTP/1.1\r\n\r\n",
    "two hosts": "GET / HTTP/1.1\r\n" + HEAD + HEAD + "\r\n",
    "odd host": "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "two lengths": "POST / HTTP/1.1\r\n" + HEAD +
                   "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "length and chunks": "POST / HTTP/1.1\r\n" + HEAD + "Content-Length: 1"
                         "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "other coding": "POST / HTTP/1.1\r\n" + HEAD +
                    "Transfer-Encoding: gzip\r\n\r\n",
    "bare LF": "GET / HTTP/1.1\n" + HEAD + "\n",
    "bare LF in a field": "GET / HTTP/1.1\r\nHost: unix\nX: y\r\n\r\n",
    "bare CR": "GET / HTTP/1.1\r\nHost: unix\rX: y\r\n\r\n",
    "folded": "GET / HTTP/1.1\r\n" + HEAD + "X: a\r\n b\r\n\r\n",
    "blank before colon": "GET / HTTP/1.1\r\nHost : unix\r\n\r\n",
    "NUL": "GET /\0 HTTP/1.1\r\n" + HEAD + "\r\n",
    "control": "GET / HTTP/1.1\r\n" + HEAD + "X: \x01\r\n\r\n",
    "absolute": "GET http://x/ HTTP/1.1\r\n" + HEAD + "\r\n",
    "HTTP/0.9": "GET /\r\n",
    "not HTTP": "SSH-2.0-x\r\n",
    "TLS": "\x16\x03\x01\x00\xa5\x01\x00\x00\r\n",
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "odd chunk": "POST %s/shells/x/resize HTTP/1.1\r\n" % API + HEAD +
                 "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_T26_malformed(shared, name):
    """One answer, the connection is over, and nothing behind is believed."""
    smuggled = "GET %s/healthz HTTP/1.1\r\n%s\r\n" % (API, HEAD)
    with Raw(shared.rest_sock) as c:
        c.send((BAD[name] + smuggled).encode("latin-1"))
        a = c.answer()
        assert a.status == 400 and a.headers["connection"] == "close"
        assert c.closed()
    assert get(shared.rest_sock, "/healthz").status == 200


@pytest.mark.parametrize("name", sorted(BAD))
def test_T26_malformed_byte_by_byte(shared, name):
    with Raw(shared.rest_sock) as c:
        try:
            for b in BAD[name].encode("latin-1"):
                c.send(bytes([b]))
        except OSError:
            pass        # refused already
        assert c.answer().status == 400


def test_T26_a_version_we_do_not_speak(shared):
    with Raw(shared.rest_sock) as c:
        c.send("GET / HTTP/3.0\r\n" + HEAD + "\r\n")
        assert c.answer().status == 505


def test_T26_a_request_byte_by_byte(shared):
    text = ("POST %s/shells/x/resize HTTP/1.1\r\n%sContent-Length: 26\r\n"
            "\r\n{\"width\":80, \"height\":24 }" % (API, HEAD))
    with Raw(shared.rest_sock) as c:
        for _ in range(2):
            for ch in text:
                c.send(ch)
            a = c.answer()
            assert (a.status, a.text) == (400, "no session x\n")


def test_T26_upgrade_only_where_a_route_allows_it(shared):
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "k8shell-pty")]
    for target in ("/streams", "/healthz", "/logs"):
        a = get(shared.rest_sock, target, headers=upgrade)
        assert a.status == 200 and "upgrade" not in a.headers
    a = get(shared.rest_sock, "/streams", headers=[
        ("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"),
        ("HTTP2-Settings", "")])
    assert a.status == 200


# -- limits -------------------------------------------------------------------------

def test_header_at_and_above_8_KiB(shared):
    start = "GET %s/healthz HTTP/1.1\r\n%sX: " % (API, HEAD)
    room = 8192 - (len(start) - 2) - 2      # one byte per end of a line
    for extra, status in ((-1, 200), (0, 200), (1, 431), (100000, 431)):
        with Raw(shared.rest_sock) as c:
            c.send(start + "x" * (room + extra) + "\r\n\r\n")
            assert c.answer().status == status, extra
    with Raw(shared.rest_sock) as c:
        c.send("GET /" + 9000 * "x" + " HTTP/1.1\r\n" + HEAD + "\r\n")
        assert c.answer().status == 431
    with Raw(shared.rest_sock) as c:
        c.send("GET / HTTP/1.1\r\n" + HEAD + 64 * "X: 1\r\n" + "\r\n")
        assert c.answer().status == 431


def test_body_at_and_above_64_KiB(shared):
    target = API + "/shells/x/resize"
    body = '{"width": 80, "height": 24, "x": "%s"}'
    body %= "x" * (65536 - len(body) + 2)
    assert len(body) == 65536
    assert "no session" in ask(shared.rest_sock, "POST", target, body).text
    with Raw(shared.rest_sock) as c:
        a = c.ask("POST", target, body + " ")
        assert a.status == 413 and a.headers["connection"] == "close"
        assert c.closed()
    with Raw(shared.rest_sock) as c:
        c.send("POST %s HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n"
               % (target, HEAD) + ("8000\r\n" + 32768 * "x" + "\r\n") * 2 +
               "1\r\nx\r\n0\r\n\r\n")
        assert c.answer().status == 413
    with Raw(shared.rest_sock) as c:    # said before a byte of it is sent
        c.send("POST %s HTTP/1.1\r\n%sContent-Length: 65537\r\n"
               "Expect: 100-continue\r\n\r\n" % (target, HEAD))
        assert c.answer().status == 413


def test_expect_continue(shared):
    target = API + "/shells/x/resize"
    with Raw(shared.rest_sock) as c:
        c.send("POST %s HTTP/1.1\r\n%sContent-Length: 26\r\n"
               "Expect: 100-continue\r\n\r\n" % (target, HEAD))
        assert c.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
        c.send('{"width":80, "height":24 }')
        assert "no session x" in c.answer().text
        a = c.ask("POST", target, "x", headers=[("Expect", "a miracle")])
        assert a.status == 417


def test_a_body_nobody_asked_for(shared):
    with Raw(shared.rest_sock) as c:
        assert c.ask("GET", API + "/healthz", "x" * 1000).status == 200
        assert c.ask("GET", API + "/healthz").status == 200
        assert c.ask("GET", API + "/nothing", "x" * 1000).status == 404
        assert c.closed()


def served(sock):
    try:
        return get(sock, "/healthz").status == 200
    except (OSError, AssertionError):       # closed without a word
        return False


def metrics(sock):
    with Raw(sock) as c:
        return c.ask("GET", "/metrics").text


def test_more_than_32_connections_are_told_so(start):
    d = start()
    held = [Raw(d.rest_sock) for _ in range(32)]
    for c in held:
        assert c.ask("GET", API + "/healthz").status == 200
    with Raw(d.rest_sock) as c:
        a = c.ask("GET", API + "/healthz")
        assert a.status == 503 and "32" in a.text
        assert c.closed()
    flood = [Raw(d.rest_sock) for _ in range(200)]
    assert held[0].ask("GET", API + "/healthz").status == 200
    for c in flood + held[1:2]:
        c.sock.close()
    harness.eventually(lambda: served(d.rest_sock), "a place is free")
    harness.eventually(lambda: 'k8shell_rest_refused_total{reason="busy"} '
                       in metrics(d.rest_sock), "the refusals are counted")
    for c in held:
        c.sock.close()


def test_an_idle_connection_is_closed_after_10_s(shared):
    with Raw(shared.rest_sock) as c, Raw(shared.rest_sock) as used:
        began = time.monotonic()
        assert used.ask("GET", API + "/healthz").status == 200
        assert c.closed() and used.closed()
        assert 9 < time.monotonic() - began < 14


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_request_that_trickles_is_closed_after_10_s(shared, part):
    """Each byte comes in time, the request does not."""
    text = "POST %s/shells/x/resize HTTP/1.1\r\n%s" % (API, HEAD)
    text += "X: " if part == "head" else "Content-Length: 9999\r\n\r\n"
    with Raw(shared.rest_sock) as c:
        c.send(text)
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - began < 20:
                c.send("x")
                time.sleep(0.2)
        assert 9 < time.monotonic() - began < 14


def test_a_follower_is_not_idle(shared):
    with Raw(shared.rest_sock) as c:
        c.send("GET %s/logs?follow=true&component=rest&level=error "
               "HTTP/1.1\r\n%s\r\n" % (API, HEAD))
        assert c.head()[0] == 200
        c.sock.settimeout(12)
        with pytest.raises(socket.timeout):
            c.fill()


def test_a_client_who_does_not_read_is_closed(start):
    d = start()
    with d.stub() as s:
        for i in range(40):
            s.exec("true " + 200 * "x", id="ex-rest-slow-%d" % i)
    with Raw(d.rest_sock) as c:
        c.send("GET %s/streams HTTP/1.1\r\n%s\r\n" % (API, HEAD))
        c.answer()
        c.sock.settimeout(1)
        try:
            for _ in range(2000):
                c.send("GET %s/streams HTTP/1.1\r\n%s\r\n" % (API, HEAD))
        except OSError:
            pass
        assert d.rss_kib() < 30000 or attack.sanitized()
        assert get(d.rest_sock, "/healthz").status == 200
        c.sock.settimeout(harness.DEADLINE)
        harness.eventually(
            lambda: "k8shell_rest_connections 1\n" in
            ask(d.rest_sock, "GET", "/metrics").text, "it was closed")


def test_weakness_7_1_6_requests_leave_no_memory_behind(start):
    d = start()
    with Raw(d.rest_sock) as c:
        c.ask("GET", API + "/metrics")
        before, fds = d.rss_kib(), d.fds()
        for _ in range(20):
            c.send("GET %s/metrics HTTP/1.1\r\n%s\r\n" % (API, HEAD) * 50)
            for _ in range(50):
                assert c.answer().status == 200
        for _ in range(300):
            Raw(d.rest_sock).sock.close()
        assert d.rss_kib() - before < attack.memory_bound(1024)
        harness.eventually(lambda: d.fds() <= fds, "descriptors are back")
