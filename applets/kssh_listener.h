/*
 * kssh_listener - whose port is that?
 *
 * On loopback anybody may listen on a port that is free.  The kernel says in
 * /proc/net/tcp and tcp6 which user a listening socket belongs to.
 */
#ifndef APPLETS_KSSH_LISTENER_H
#define APPLETS_KSSH_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Is every listener on this port of this machine ours, and is there one?
 * address: a loopback literal; false for others, and where it can't be told.
 */
bool	 kssh_listener_ours(const char *address, uint16_t port);

/*
 * One line of these tables: 1 if it is a listener of uid on port, 0 if it is
 * something else, -1 if it is a listener of another user or can't be read.
 */
int	 kssh_listener_line(const char *line, uint16_t port, uid_t uid);

#endif
