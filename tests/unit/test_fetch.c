/*
 * The other end is BearSSL itself on loopback, in a process of the test's,
 * with a certificate made here.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/spin.h"

#include "auth/fetch.h"
#include "auth/oidc.h"
#include "base/log.h"
#include "base/str.h"
#include "tests/unit/failmalloc.h"
#include "tests/unit/tokens.h"

#define BODY_MAX	100000

static struct tokens_key	key, stranger;
static char			ca_path[] = "/tmp/test_fetch.XX" "XX" "XX";
static char			token_path[] = "/tmp/test_fetch.XX" "XX" "XX";
static uint8_t			cert[2048];
static size_t			cert_len;

static struct spin		spin;
static struct fetch		*fetch;

/* What came back. */
static struct {
	bool	done;
	char	why[FETCH_WHY_MAX];
	char	*body;
	size_t	n;
} got;

/* The server. */
static int			server_port;
static pid_t			server_pid;

static size_t
put_name(uint8_t *out, const char *cn)
{
	uint8_t	a[256] = { 0x06, 3, 0x55, 4, 3 }, b[256];
	size_t	n;

	n = 5 + tokens_der(a + 5, 0x0c, cn, strlen(cn));
	n = tokens_der(b, 0x30, a, n);
	n = tokens_der(a, 0x31, b, n);
	return tokens_der(out, 0x30, a, n);
}

/* Its own issuer, good for cn, valid at the time the tests run. */
static size_t
make_certificate(const struct tokens_key *k, const char *cn, uint8_t *out)
{
	static const uint8_t	ecdsa[] = { 0x30, 0x0a, 6, 8, 0x2a, 0x86,
		0x48, 0xce, 0x3d, 4, 3, 2 };
	static const uint8_t	head[] = { 0xa0, 3, 2, 1, 2, 2, 1, 1 };
	static const uint8_t	ca[] = { 0xa3, 0x13, 0x30, 0x11, 0x30, 0x0f,
		6, 3, 0x55, 0x1d, 0x13, 1, 1, 0xff, 4, 5, 0x30, 3, 1, 1,
		0xff };
	uint8_t			a[2048], tbs[2048], hash[32];
	br_sha256_context	sha;
	size_t			n, m;

	memcpy(a, head, n = sizeof head);
	memcpy(a + n, ecdsa, sizeof ecdsa);
	n += sizeof ecdsa;
	n += put_name(a + n, cn);
	m = tokens_der(tbs, 0x17, "200101000000Z", 13);
	m += tokens_der(tbs + m, 0x17, "491231235959Z", 13);
	n += tokens_der(a + n, 0x30, tbs, m);
	n += put_name(a + n, cn);
	n += tokens_spki(k, a + n);
	memcpy(a + n, ca, sizeof ca);
	n += sizeof ca;
	n = tokens_der(tbs, 0x30, a, n);
	br_sha256_init(&sha);
	br_sha256_update(&sha, tbs, n);
	br_sha256_out(&sha, hash);
	a[0] = 0;
	m = br_ecdsa_sign_asn1_get_default()(br_ec_get_default(),
	    &br_sha256_vtable, hash, &k->esk, a + 1);
	assert_true(m > 0);
	memcpy(tbs + n, ecdsa, sizeof ecdsa);
	n += sizeof ecdsa;
	n += tokens_der(tbs + n, 0x03, a, m + 1);
	return tokens_der(out, 0x30, tbs, n);
}

static void
write_bytes(const char *path, const void *p, size_t n)
{
	FILE	*f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void
trust(const struct tokens_key *k, const char *cn)
{
	char	pem[4096];
	uint8_t	der[2048];
	size_t	n = make_certificate(k, cn, der);

	write_bytes(ca_path, pem, tokens_pem("CERTIFICATE", der, n, pem));
}

static int
sock_read(void *arg, unsigned char *p, size_t n)
{
	ssize_t	r = read(*(int *)arg, p, n);

	return r <= 0 ? -1 : (int)r;
}

static int
sock_write(void *arg, const unsigned char *p, size_t n)
{
	ssize_t	r = write(*(int *)arg, p, n);

	return r <= 0 ? -1 : (int)r;
}

/* Reads a request, sends it back behind the answer if asked to. */
static void
serve_one(int fd, const char *answer, size_t n, bool echo, bool cut)
{
	static br_ssl_server_context	sc;
	static unsigned char		buf[BR_SSL_BUFSIZE_BIDI];
	br_x509_certificate		chain = { cert, cert_len };
	br_sslio_context		io;
	char				request[8192];
	size_t				len = 0;

	br_ssl_server_init_full_ec(&sc, &chain, 1, BR_KEYTYPE_EC, &key.esk);
	br_ssl_engine_set_buffer(&sc.eng, buf, sizeof buf, 1);
	br_ssl_server_reset(&sc);
	br_sslio_init(&io, &sc.eng, sock_read, &fd, sock_write, &fd);
	while (len < 4 || memcmp(request + len - 4, "\r\n\r\n", 4) != 0)
		if (len == sizeof request ||
		    br_sslio_read_all(&io, request + len++, 1) < 0)
			return;
	br_sslio_write_all(&io, answer, n);
	if (echo)
		br_sslio_write_all(&io, request, len);
	br_sslio_flush(&io);
	if (!cut)
		br_sslio_close(&io);
}

/* Listens on loopback; port 0: only reserves an address nobody answers. */
static int
listen_somewhere(bool really)
{
	struct sockaddr_in	a = { .sin_family = AF_INET };
	socklen_t		len = sizeof a;
	int			fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_true(!really || listen(fd, 8) == 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	server_port = ntohs(a.sin_port);
	return fd;
}

enum manner { ANSWER, ECHO, CUT, SILENT };

static void
serve(const char *answer, size_t n, enum manner how)
{
	int	fd = listen_somewhere(true), c;

	if ((server_pid = fork()) > 0) {
		close(fd);
		return;
	}
	assert_int_equal(server_pid, 0);
	signal(SIGPIPE, SIG_IGN);
	alarm(60);
	while ((c = accept(fd, NULL, NULL)) >= 0) {
		if (how == SILENT)
			pause();
		serve_one(c, answer, n, how == ECHO, how == CUT);
		close(c);
	}
	_exit(0);
}

static void
stop_server(void)
{
	if (server_pid <= 0)
		return;
	kill(server_pid, SIGKILL);
	assert_int_equal(waitpid(server_pid, NULL, 0), server_pid);
	server_pid = 0;
}

static int
setup_all(void **state)
{
	int	a = mkstemp(ca_path), b = mkstemp(token_path);

	(void)state;
	log_setup(LOG_FATAL, 2);
	tokens_key_make(&key, "server", 0);
	tokens_key_make(&stranger, "stranger", 0);
	cert_len = make_certificate(&key, "localhost", cert);
	return a < 0 || b < 0 || close(a) < 0 || close(b) < 0;
}

static int
teardown_all(void **state)
{
	(void)state;
	unlink(ca_path);
	unlink(token_path);
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	memset(&got, 0, sizeof got);
	fetch = NULL;
	server_pid = 0;
	trust(&key, "localhost");
	write_bytes(token_path, "pod-token\n", 10);
	spin_init(&spin, false);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	stop_server();
	free(got.body);
	fetch_destroy(fetch);
	spin_finish(&spin);
	return 0;
}

static void
on_fetched(void *arg, const void *body, size_t n, const char *why)
{
	(void)arg;
	assert_false(got.done);
	got.done = true;
	tokens_format(got.why, sizeof got.why, "%s", why != NULL ? why : "");
	if ((got.body = calloc(1, n + 1)) != NULL && n > 0)
		memcpy(got.body, body, n);
	got.n = n;
	spin_wake(&spin);
}

static void
start(const char *host, unsigned seconds)
{
	struct fetch_url	u;
	struct fetch_spec	s = { .url = &u, .ca_file = ca_path,
		.token_file = token_path, .body_max = BODY_MAX,
		.seconds = seconds };
	char			url[200];

	tokens_format(url, sizeof url, "https://%s:%d/issuer/", host,
	    server_port);
	assert_int_equal(fetch_url_parse(&u, url, "/keys"), 0);
	assert_int_equal(fetch_start(&fetch, spin.loop, spin.reap, &s,
	    on_fetched, NULL), 0);
}

/* "" or why not. */
static const char *
run(const char *host)
{
	free(got.body);
	memset(&got, 0, sizeof got);
	fetch_destroy(fetch);
	fetch = NULL;
	start(host, 10);
	spin_until(&spin, &got.done);
	return got.why;
}

static const char *
run_answer(const char *answer, enum manner how)
{
	stop_server();
	serve(answer, strlen(answer), how);
	return run("localhost");
}

static void
body_comes_back_and_the_token_goes_out(void **state)
{
	char	host[64];

	(void)state;
	assert_string_equal(run_answer("HTTP/1.1 200 OK\r\n\r\n", ECHO), "");
	tokens_format(host, sizeof host, "\r\nHost: localhost:%d\r\n",
	    server_port);
	assert_ptr_equal(strstr(got.body, "GET /issuer/keys HTTP/1.1\r\n"),
	    got.body);
	assert_non_null(strstr(got.body, host));
	assert_non_null(strstr(got.body,
	    "\r\nAuthorization: Bearer pod-token\r\n"));
	/* The file is read anew each time. */
	write_bytes(token_path, "next", 4);
	assert_string_equal(run("localhost"), "");
	assert_non_null(strstr(got.body, "Bearer next\r\n"));
	assert_int_equal(unlink(token_path), 0);
	assert_string_equal(run("localhost"), "");
	assert_null(strstr(got.body, "Authorization"));
}

static void
bodies_up_to_the_limit(void **state)
{
	static char	answer[BODY_MAX + 200];
	size_t		n, at;

	(void)state;
	for (n = BODY_MAX; n <= BODY_MAX + 1; n++) {
		at = tokens_format(answer, sizeof answer, "HTTP/1.1 200 OK\r\n"
		    "Content-Length: %zu\r\n\r\n", n);
		memset(answer + at, 'b', n);
		stop_server();
		serve(answer, at + n, ANSWER);
		assert_string_equal(run("localhost"), n == BODY_MAX ? "" :
		    "body is too large");
		assert_int_equal(got.n, n == BODY_MAX ? n : 0);
	}
}

static void
only_a_whole_200_is_an_answer(void **state)
{
	(void)state;
	assert_string_equal(run_answer("HTTP/1.1 403 Forbidden\r\n"
	    "Content-Length: 0\r\n\r\n", ANSWER), "HTTP status 403");
	assert_string_equal(run_answer("HTTP/1.1 302 Found\r\n"
	    "Location: https://evil.example/\r\n\r\n", ANSWER),
	    "HTTP status 302");
	assert_string_equal(run_answer("SSH-2.0-OpenSSH\r\n", ANSWER),
	    "not an HTTP/1 answer");
	assert_string_equal(run_answer("HTTP/1.1 200 OK\r\n"
	    "Content-Length: 9\r\n\r\nshort", ANSWER), "answer is cut short");
	/* Without TLS's own goodbye, anyone may have cut it. */
	assert_string_equal(run_answer("HTTP/1.1 200 OK\r\n\r\n{}", CUT),
	    "connection was cut");
	assert_string_equal(run_answer("HTTP/1.1 200 OK\r\n\r\n{}", ANSWER),
	    "");
	assert_string_equal(got.body, "{}");
}

static void
only_the_named_and_trusted_server_is_heard(void **state)
{
	(void)state;
	trust(&stranger, "localhost");
	assert_ptr_equal(strstr(run_answer("HTTP/1.1 200 OK\r\n\r\n", ECHO),
	    "TLS: "), got.why);
	trust(&stranger, "other");
	assert_ptr_equal(strstr(run("localhost"), "TLS: "), got.why);
	/* Trusted, but not the host we wanted to talk to. */
	trust(&key, "localhost");
	assert_ptr_equal(strstr(run("127.0.0.1"), "TLS: "), got.why);
	assert_string_equal(run("localhost"), "");
}

static void
unusable_files_are_named(void **state)
{
	(void)state;
	close(listen_somewhere(false));
	write_bytes(ca_path, "nonsense", 8);
	assert_ptr_equal(strstr(run("localhost"), ca_path), got.why);
	trust(&key, "localhost");
	write_bytes(token_path, "two\nlines", 9);
	serve("HTTP/1.1 200 OK\r\n\r\n", 19, ECHO);
	assert_string_equal(run("localhost"),
	    "token file is not one line of text");
	assert_int_equal(unlink(token_path), 0);
	assert_int_equal(mkdir(token_path, 0700), 0);
	assert_ptr_equal(strstr(run("localhost"), token_path), got.why);
	assert_int_equal(rmdir(token_path), 0);
}

static void
nobody_there_is_said(void **state)
{
	int	fd = listen_somewhere(false);

	(void)state;
	assert_non_null(strstr(run("localhost"), "Connection refused"));
	close(fd);
}

static void
silence_ends_with_the_alarm(void **state)
{
	(void)state;
	serve("", 0, SILENT);
	start("localhost", 1);
	spin_until(&spin, &got.done);
	assert_string_equal(got.why, "no answer within 1 s");
}

/* Parent or child, whoever goes without memory: an error, no more. */
static void
failing_allocations_are_reported(void **state)
{
	struct fetch_url	u;
	struct fetch_spec	s = { .url = &u, .ca_file = ca_path,
		.token_file = token_path, .body_max = BODY_MAX,
		.seconds = 10 };
	unsigned		n;
	int			r;

	(void)state;
	close(listen_somewhere(false));
	assert_int_equal(fetch_url_parse(&u, "https://localhost:1", ""), 0);
	for (n = 1; n < 12; n++) {
		got.done = false;
		failmalloc_arm(n);
		r = fetch_start(&fetch, spin.loop, spin.reap, &s, on_fetched,
		    NULL);
		if (r == 0) {
			spin_until(&spin, &got.done);
			assert_true(got.why[0] != '\0');
			free(got.body);
			got.body = NULL;
			fetch_destroy(fetch);
		} else {
			assert_int_equal(r, -ENOMEM);
		}
		fetch = NULL;
		(void)failmalloc_disarm();
	}
}

static bool
no_children(void *arg)
{
	(void)arg;
	return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD;
}

static void
destroying_kills_the_child(void **state)
{
	(void)state;
	serve("", 0, SILENT);
	start("localhost", 10);
	fetch_destroy(fetch);
	fetch = NULL;
	stop_server();
	spin_poll(&spin, no_children, NULL);
	assert_false(got.done);
}

/* Descriptors and user of the fetching child; false: not as it should be. */
static bool
child_is_bare(void *arg)
{
	char	path[64], line[256];
	pid_t	pid = *(pid_t *)arg;
	unsigned uid = 0;
	FILE	*f;
	DIR	*d;
	int	n = 0;

	tokens_format(path, sizeof path, "/proc/%d/fd", (int)pid);
	if ((d = opendir(path)) == NULL)
		return false;
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	tokens_format(path, sizeof path, "/proc/%d/status", (int)pid);
	if ((f = fopen(path, "r")) == NULL)
		return false;
	while (fgets(line, sizeof line, f) != NULL)
		if (sscanf(line, "Uid: %u", &uid) == 1)
			break;
	fclose(f);
	/* "." and "..", 0 to 2, the pipe, the connection. */
	return n == 7 && (geteuid() != 0 || uid == FETCH_NOBODY);
}

static pid_t
fetching_child(void)
{
	char	path[64], text[256] = "", *p = text;
	FILE	*f;
	long	pid;

	tokens_format(path, sizeof path, "/proc/self/task/%d/children",
	    (int)getpid());
	if ((f = fopen(path, "r")) == NULL)
		return 0;
	if (fgets(text, sizeof text, f) == NULL)
		text[0] = '\0';
	fclose(f);
	while ((pid = strtol(p, &p, 10)) > 0)
		if ((pid_t)pid != server_pid)
			return (pid_t)pid;
	return 0;
}

static void
test_T18_child_keeps_one_pipe_and_is_nobody(void **state)
{
	pid_t	pid;

	(void)state;
	serve("", 0, SILENT);
	start("localhost", 10);
	if ((pid = fetching_child()) == 0)
		skip();		/* a kernel that doesn't list children */
	spin_poll(&spin, child_is_bare, &pid);
	assert_false(got.done);
}

static bool
has_key(void *arg)
{
	return oidc_key(arg, "k") != NULL;
}

static void
keys_of_an_issuer_arrive(void **state)
{
	struct oidc_options	opt = { .ca_file = ca_path,
		.token_file = token_path };
	struct oidc		*o;
	char			jwk[2048], answer[4096], issuer[64];

	(void)state;
	tokens_jwk(&key, "k", "", jwk, sizeof jwk);
	tokens_format(answer, sizeof answer, "HTTP/1.1 200 OK\r\n"
	    "Content-Length: %zu\r\n\r\n{\"keys\":[%s]}", strlen(jwk) + 11,
	    jwk);
	serve(answer, strlen(answer), ANSWER);
	tokens_format(issuer, sizeof issuer, "https://localhost:%d",
	    server_port);
	opt.issuer_url = issuer;
	assert_int_equal(oidc_create(&o, spin.loop, spin.reap, &opt), 0);
	spin_poll(&spin, has_key, o);
	oidc_destroy(o);
}

static void
urls_are_taken_apart(void **state)
{
	static const struct {
		const char	*url, *host, *port, *target, *authority;
	} good[] = {
		{ "https://a", "a", "443", "/x", "a" },
		{ "https://a/", "a", "443", "/x", "a" },
		{ "https://a.b-c:8443/d/e%20/", "a.b-c", "8443", "/d/e%20/x",
		    "a.b-c:8443" },
		{ "https://10.0.0.1:1", "10.0.0.1", "1", "/x", "10.0.0.1:1" },
		{ "https://[fd00::1]:6443/", "fd00::1", "6443", "/x",
		    "[fd00::1]:6443" },
		{ "https://[::1]", "::1", "443", "/x", "[::1]" },
	};
	struct fetch_url	u;
	size_t			i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(fetch_url_parse(&u, good[i].url, "/x"), 0);
		assert_string_equal(u.host, good[i].host);
		assert_string_equal(u.port, good[i].port);
		assert_string_equal(u.target, good[i].target);
		assert_string_equal(u.authority, good[i].authority);
	}
}

static void
other_urls_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "https:/a", "http://a", "HTTPS://a", "ftp://a",
		"https://", "https:///", "https://a:", "https://a:0",
		"https://a:080", "https://a:65536", "https://a:-1",
		"https://a:1:2", "https://u@a", "https://u:p@a",
		"https://a?q", "https://a/?q", "https://a/#f", "https://a#f",
		"https://a b", "https://a/b c", "https://a/\r\nX:1",
		"https://a\\b", "https://.a", "https://a..b", "https://a.",
		"https://1.2.3", "https://1.2.3.4.5", "https://256.0.0.1",
		"https://[", "https://[]", "https://[::1", "https://[::g]",
		"https://[1.2.3.4]", "https://[::1]x", "https://[::1]:",
		"https://::1", "https://\xc3\xa9", "https://a/\xc3\xa9",
	};
	struct fetch_url	u;
	char			longest[600] = "https://";
	size_t			i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(fetch_url_parse(&u, bad[i], "/x"), -EINVAL);
	memset(longest + 8, 'a', 63);
	assert_int_equal(fetch_url_parse(&u, longest, "/x"), 0);
	longest[8 + 63] = 'a';
	assert_int_equal(fetch_url_parse(&u, longest, "/x"), -EINVAL);
	for (i = 0; i < 127; i++)
		memcpy(longest + 8 + 2 * i, "a.", 3);
	longest[8 + 253] = '\0';
	assert_int_equal(fetch_url_parse(&u, longest, "/x"), 0);
	memcpy(longest + 8 + 253, ".a", 3);
	assert_int_equal(fetch_url_parse(&u, longest, "/x"), -EINVAL);
}

#define CASE(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_are_taken_apart),
		cmocka_unit_test(other_urls_are_refused),
		CASE(body_comes_back_and_the_token_goes_out),
		CASE(bodies_up_to_the_limit),
		CASE(only_a_whole_200_is_an_answer),
		CASE(only_the_named_and_trusted_server_is_heard),
		CASE(unusable_files_are_named),
		CASE(nobody_there_is_said),
		CASE(failing_allocations_are_reported),
		CASE(silence_ends_with_the_alarm),
		CASE(destroying_kills_the_child),
		CASE(test_T18_child_keeps_one_pipe_and_is_nobody),
		CASE(keys_of_an_issuer_arrive),
	};

	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
