/* See addr.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "net/addr.h"

int
addr_parse(struct addr *a, const char *literal, uint16_t port)
{
	struct addr	t = { .len = 0 };

	if (inet_pton(AF_INET, literal, &t.in.sin_addr) == 1) {
		t.in.sin_family = AF_INET;
		t.in.sin_port = htons(port);
		t.len = sizeof t.in;
	} else if (inet_pton(AF_INET6, literal, &t.in6.sin6_addr) == 1) {
		t.in6.sin6_family = AF_INET6;
		t.in6.sin6_port = htons(port);
		t.len = sizeof t.in6;
	} else {
		return -EINVAL;
	}
	*a = t;
	return 0;
}

int
addr_unix(struct addr *a, const char *path)
{
	size_t	n = strlen(path);

	if (n == 0)
		return -EINVAL;
	if (n >= sizeof a->un.sun_path)
		return -ENAMETOOLONG;
	memset(a, 0, sizeof *a);
	a->un.sun_family = AF_UNIX;
	memcpy(a->un.sun_path, path, n + 1);
	a->len = sizeof a->un;
	return 0;
}

static void
format_v6(const struct sockaddr_in6 *in6, char *out, size_t outlen)
{
	char		text[INET6_ADDRSTRLEN];
	unsigned	port = ntohs(in6->sin6_port);

	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, text,
		    sizeof text);
		snprintf(out, outlen, "%s:%u", text, port);
	} else {
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
		snprintf(out, outlen, "[%s]:%u", text, port);
	}
}

static void
format_unix(int fd, char *out, size_t outlen)
{
	struct ucred	cred;
	socklen_t	len = sizeof cred;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
		snprintf(out, outlen, "unix uid %u", (unsigned)cred.uid);
	else
		snprintf(out, outlen, "unix");
}

void
addr_peer(int fd, char *out, size_t outlen)
{
	char		text[INET_ADDRSTRLEN];
	struct addr	a = { .len = sizeof a.un };

	if (getpeername(fd, &a.sa, &a.len) == -1)
		a.sa.sa_family = AF_UNSPEC;
	switch (a.sa.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &a.in.sin_addr, text, sizeof text);
		snprintf(out, outlen, "%s:%u", text,
		    (unsigned)ntohs(a.in.sin_port));
		break;
	case AF_INET6:
		format_v6(&a.in6, out, outlen);
		break;
	case AF_UNIX:
		format_unix(fd, out, outlen);
		break;
	default:
		snprintf(out, outlen, "unknown");
	}
}
