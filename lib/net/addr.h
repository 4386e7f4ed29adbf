/*
 * addr - socket addresses from text and back.  Literals only: resolving a
 * name may block, which is a child's job.
 */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include <sys/socket.h>
#include <sys/un.h>

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

/* "[" address "%" scope "]:" port */
#define ADDR_TEXT_MAX	80

struct addr {
	union {
		struct sockaddr		sa;
		struct sockaddr_in	in;
		struct sockaddr_in6	in6;
		struct sockaddr_un	un;
	};
	socklen_t	len;
};

/* "10.0.0.7", "::1"; 0 or -EINVAL. */
int	 addr_parse(struct addr *a, const char *literal, uint16_t port);

/* 0, -EINVAL if path is empty, or -ENAMETOOLONG. */
int	 addr_unix(struct addr *a, const char *path);

/*
 * Who is at the other end: "10.0.0.7:41222" (also for IPv4 mapped into
 * IPv6), "[fd00::7]:41222", "unix uid 1000", or "unknown".
 */
void	 addr_peer(int fd, char *out, size_t outlen);

#endif
