#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "applets/kssh.h"
#include "applets/kssh_listener.h"
#include "applets/rundir.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/conn.h"
#include "net/listen.h"
#include "net/tls.h"

#define CA_DEFAULT	"/etc/k8shell/ca/ca.crt"
#define TOKEN_MAX	(8u * 1024)
#define SHARE_MIN_MS	10000u	/* of the time to connect, per address */
#define FOR_EVER_MS	(3600u * 1000)

static void
client_on_lost(void *arg, const char *reason)
{
	struct kssh	*k = arg;

	if (k->over)
		return;
	if (k->connected)
		kssh_fail(k, "connection lost", reason);
	else
		kssh_connect(k, reason);
}

static void
client_on_ready(void *arg)
{
	kssh_hello(arg);
}

static const struct grpc_client_ops client_ops = {
	.ready = client_on_ready, .lost = client_on_lost,
};

/* What the certificate has to name, and ":authority". */
static const char *
server_name(const struct kssh *k)
{
	if (k->opt.host == NULL)
		return "localhost";
	return k->opt.tls_name != NULL ? k->opt.tls_name : k->opt.host;
}

static int
connect_to(struct kssh *k, const char *address, struct tls **tls)
{
	if (k->opt.host == NULL)
		return connect_unix(k->opt.socket);
	kssh_debug(k, "connecting to", address);
	if (k->trust != NULL && (*tls = tls_client_create(k->trust,
	    server_name(k), "h2")) == NULL)
		return -EINVAL;
	return connect_tcp_literal(address, k->opt.port);
}

static void
give_up(struct kssh *k, const char *why)
{
	char	what[600];

	if (k->opt.host != NULL)
		snprintf(what, sizeof what, "cannot connect to %.255s port %u",
		    k->opt.host, (unsigned)k->opt.port);
	else
		snprintf(what, sizeof what, "cannot connect to %.500s",
		    k->opt.socket);
	kssh_fail(k, what, why);
}

/*
 * Where several addresses are left none may use up all the time, though a
 * short time is not cut any shorter.
 */
static uint32_t
patience(const struct kssh *k)
{
	uint64_t	now = loop_now(k->loop), due = k->connect_timer.due_ms;
	uint64_t	left = due > now ? due - now : 1, share;

	if (k->opt.connect_timeout_s == 0)
		return FOR_EVER_MS;
	share = left / (k->naddresses - k->next_address + 1);
	return (uint32_t)(share > SHARE_MIN_MS ? share : SHARE_MIN_MS);
}

/*
 * A token we found ourselves goes to nobody but its daemon: behind a
 * certificate we have checked, or to a listener of this user.
 */
static bool
is_safe_place(const struct kssh *k, const char *address)
{
	return !k->own_token || k->opt.host == NULL || k->trust != NULL ||
	    kssh_listener_ours(address, k->opt.port);
}

/* The next address that can be tried, or the end with the last reason. */
void
kssh_connect(struct kssh *k, const char *why)
{
	char		 authority[300];
	const char	*name = server_name(k), *address;
	struct tls	*tls;
	int		 fd, r;

	snprintf(authority, sizeof authority,
	    strchr(name, ':') != NULL ? "[%s]" : "%s", name);
	while (k->next_address < k->naddresses) {
		grpc_client_destroy(k->client);
		k->client = NULL;
		tls = NULL;
		address = k->addresses[k->next_address++];
		k->withheld = !is_safe_place(k, address);
		fd = r = connect_to(k, address, &tls);
		if (fd < 0)
			tls_destroy(tls);
		else
			r = grpc_client_create(&k->client, k->loop, fd, true,
			    tls, authority, &client_ops, k);
		if (r == 0) {
			grpc_client_set_patience(k->client, patience(k));
			return;
		}
		why = strerror(-r);
		kssh_debug(k, "failed:", why);
	}
	give_up(k, why);
}

static int
resolve(struct kssh *k)
{
	struct addrinfo	 hints = { .ai_socktype = SOCK_STREAM,
			    .ai_family = k->opt.family }, *list, *ai;
	int		 r;

	if (k->opt.host == NULL) {
		k->naddresses = 1;
		return 0;
	}
	if ((r = getaddrinfo(k->opt.host, NULL, &hints, &list)) != 0) {
		kssh_say(k, k->opt.host, gai_strerror(r));
		return -1;
	}
	for (ai = list; ai != NULL && k->naddresses < KSSH_ADDRESSES_MAX;
	    ai = ai->ai_next)
		if (getnameinfo(ai->ai_addr, ai->ai_addrlen,
		    k->addresses[k->naddresses],
		    sizeof k->addresses[0], NULL, 0, NI_NUMERICHOST) == 0)
			k->naddresses++;
	freeaddrinfo(list);
	return 0;
}

/* A pipe is fine, too: --token-file <(fetch-token). */
static ssize_t
read_all(int fd, char *p, size_t max)
{
	size_t	len = 0;
	ssize_t	n;

	while (len < max && (n = read(fd, p + len, max - len)) != 0) {
		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0)
			len += (size_t)n;
	}
	return (ssize_t)len;
}

static bool
is_token(const char *s)
{
	size_t	n = strlen(s);

	while (*s > ' ' && *s < 0x7f)
		s++;
	return n > 0 && *s == '\0';
}

static int
read_token(struct kssh *k, const char *path, bool must)
{
	char	 text[TOKEN_MAX + 2], *token = text;
	ssize_t	 n = -1;
	int	 fd, r = 0;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0) {
		n = read_all(fd, text, sizeof text - 1);
		close(fd);
	}
	if (n < 0) {
		if (must)
			kssh_say(k, path, strerror(errno));
		return must ? -1 : 0;
	}
	text[n] = '\0';
	token = str_trim(text);
	if ((size_t)n > TOKEN_MAX || !is_token(token)) {
		kssh_say(k, path, "does not hold one token");
		r = -1;
	} else {
		k->bearer = xasprintf("Bearer %s", token);
	}
	secret_wipe(text, sizeof text);
	return r;
}

static bool
is_loopback(const char *host)
{
	return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
	    str_prefix(host, "127.");
}

/* The folder of this user's own daemon; owned by the caller, or NULL. */
static char *
find_run_dir(struct kssh *k)
{
	char		 dir[512];
	const char	*why = NULL;
	int		 r;

	if (k->opt.run_dir != NULL)
		return xstrdup(k->opt.run_dir);
	if ((r = rundir_default(dir, sizeof dir)) < 0)
		snprintf(dir, sizeof dir, "run directory");
	else
		r = rundir_check(dir, &why);
	if (r == 0)
		return xstrdup(dir);
	if (r == -ENOENT)
		why = "no such directory; is k8shelld --standalone running?";
	if (k->opt.host == NULL)
		kssh_say(k, dir, why != NULL ? why : strerror(-r));
	return NULL;
}

/* The socket of a standalone daemon, or the token it left for its user. */
static int
use_run_dir(struct kssh *k)
{
	char	*dir, *token;
	int	 r = 0;

	if (k->opt.socket != NULL || (k->opt.host != NULL &&
	    (k->bearer != NULL || !is_loopback(k->opt.host))))
		return 0;
	if ((dir = find_run_dir(k)) == NULL)
		return k->opt.host != NULL ? 0 : -1;
	if (k->opt.host == NULL) {
		k->opt.socket = xasprintf("%s/" RUNDIR_GRPC_SOCKET, dir);
	} else {
		token = xasprintf("%s/" RUNDIR_TOKEN, dir);
		r = read_token(k, token, false);
		k->own_token = true;
		free(token);
	}
	free(dir);
	return r;
}

static int
load_trust(struct kssh *k)
{
	const char	*ca = k->opt.ca != NULL ? k->opt.ca : CA_DEFAULT;
	const char	*why = NULL;
	int		 r;

	if (k->opt.host == NULL || k->opt.plaintext) {
		if (k->opt.host != NULL && k->bearer != NULL &&
		    !is_loopback(k->opt.host))
			kssh_say(k, "warning: the token travels unencrypted",
			    NULL);
		return 0;
	}
	if ((r = tls_trust_load(&k->trust, ca, &why)) == 0)
		return 0;
	kssh_say(k, ca, why != NULL ? why : strerror(-r));
	if (k->opt.ca == NULL)
		kssh_say(k, "give the CA with --ca FILE, or --plaintext", NULL);
	return -1;
}

int
kssh_prepare(struct kssh *k)
{
	if (k->opt.token_file != NULL &&
	    read_token(k, k->opt.token_file, true) < 0)
		return -1;
	if (use_run_dir(k) < 0 || load_trust(k) < 0)
		return -1;
	return resolve(k);
}
