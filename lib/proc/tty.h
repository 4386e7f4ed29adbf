/*
 * tty - pseudo-terminals: a fresh pair per session (T17).
 */
#ifndef PROC_TTY_H
#define PROC_TTY_H

#include <stdint.h>
#include <sys/types.h>

#define TTY_NAME_MAX	32	/* "/dev/pts/4294967295" and its end */

struct tty {
	int	 master;	/* non-blocking */
	int	 slave;
	char	 name[TTY_NAME_MAX];
};

/*
 * Both ends close on exec; modes as SH-22 wants them (cooked, echo, UTF-8,
 * erase is DEL), since no client sends any.  0 columns or rows: no size.
 * 0, -ENOSPC if all are taken, -ENOENT or the like without a devpts, -EMFILE.
 */
int	 tty_open(struct tty *t, uint16_t cols, uint16_t rows);

/* Makes the slave the user's, so that it can be opened by name (S13). */
int	 tty_give(const struct tty *t, uid_t uid);

/* TIOCSWINSZ on a master; 0 in either is refused: -EINVAL. */
int	 tty_resize(int master, uint16_t cols, uint16_t rows);

/* Process group in the foreground, or 0 if there is none. */
pid_t	 tty_foreground(int master);

#endif
