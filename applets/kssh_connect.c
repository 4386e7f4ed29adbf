#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "applets/kssh.h"
#include "applets/rundir.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/conn.h"
#include "net/listen.h"
#include "net/tls.h"

#define CA_DEFAULT	"/etc/k8shell/ca/ca.crt"
#define TOKEN_MAX	(8u * 1024)

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

static const char *
where(const struct kssh *k)
{
	return k->opt.host != NULL ? k->opt.host : k->opt.socket;
}

static int
connect_to(struct kssh *k, const char *address, struct tls **tls)
{
	const char	*name = k->opt.tls_name;

	if (k->opt.host == NULL)
		return connect_unix(k->opt.socket);
	kssh_debug(k, "connecting to", address);
	if (k->trust != NULL && (*tls = tls_client_create(k->trust,
	    name != NULL ? name : k->opt.host, "h2")) == NULL)
		return -ENOMEM;
	return connect_tcp_literal(address, k->opt.port);
}

/* The next address that can be tried, or the end with the last reason. */
void
kssh_connect(struct kssh *k, const char *why)
{
	char		 what[300];
	struct tls	*tls = NULL;
	int		 fd, r;

	while (k->next_address < k->naddresses) {
		grpc_client_destroy(k->client);
		k->client = NULL;
		fd = connect_to(k, k->addresses[k->next_address++], &tls);
		if (fd < 0) {
			tls_destroy(tls);
			why = strerror(-fd);
			tls = NULL;
			continue;
		}
		r = grpc_client_create(&k->client, k->loop, fd, true, tls,
		    k->opt.host != NULL ? k->opt.host : "localhost",
		    &client_ops, k);
		if (r == 0)
			return;
		why = strerror(-r);
	}
	snprintf(what, sizeof what, "cannot connect to %.200s", where(k));
	kssh_fail(k, what, why);
}

static int
resolve(struct kssh *k)
{
	struct addrinfo	 hints = { .ai_socktype = SOCK_STREAM }, *list, *ai;
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

static int
read_token(struct kssh *k, const char *path, bool must)
{
	char	text[TOKEN_MAX + 1];
	ssize_t	n = -1;
	int	fd, err;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0) {
		n = read(fd, text, TOKEN_MAX);
		close(fd);
	}
	if (n < 0) {
		err = errno;
		if (must)
			kssh_say(k, path, strerror(err));
		return must ? -1 : 0;
	}
	text[n] = '\0';
	k->bearer = xasprintf("Bearer %s", str_trim(text));
	secret_wipe(text, sizeof text);
	return 0;
}

static bool
is_loopback(const char *host)
{
	return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
	    str_prefix(host, "127.");
}

static int
local_paths(struct kssh *k)
{
	char	dir[512], path[600];

	if (k->opt.run_dir != NULL)
		snprintf(dir, sizeof dir, "%s", k->opt.run_dir);
	else if (rundir_default(dir, sizeof dir) < 0)
		return -1;
	if (k->opt.host == NULL && k->opt.socket == NULL) {
		snprintf(path, sizeof path, "%s/" RUNDIR_GRPC_SOCKET, dir);
		k->opt.socket = xstrdup(path);
	}
	if (k->opt.token_file != NULL)
		return read_token(k, k->opt.token_file, true);
	/* A standalone daemon on this machine left its token there. */
	snprintf(path, sizeof path, "%s/" RUNDIR_TOKEN, dir);
	if (k->opt.host != NULL && is_loopback(k->opt.host))
		return read_token(k, path, false);
	return 0;
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
	if (local_paths(k) < 0 || load_trust(k) < 0)
		return -1;
	return resolve(k);
}
