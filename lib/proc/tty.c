/* See tty.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "proc/tty.h"

#define KEY(c)	((c) & 0x1f)	/* with Ctrl */

static int
open_master(void)
{
	int	flags = O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK, fd;

	/* A container may lack the link but have the devpts instance. */
	fd = open("/dev/ptmx", flags);
	if (fd == -1 && (errno == ENOENT || errno == EACCES))
		fd = open("/dev/pts/ptmx", flags);
	return fd == -1 ? -errno : fd;
}

/*
 * By descriptor: what the name leads to in this mount namespace may be another
 * terminal (T17).  Kernels before 4.13 know only the name.
 */
static int
open_slave(const struct tty *t)
{
	int	flags = O_RDWR | O_NOCTTY | O_CLOEXEC, fd;

	fd = ioctl(t->master, TIOCGPTPEER, flags);
	if (fd == -1 && (errno == ENOTTY || errno == EINVAL))
		fd = open(t->name, flags);
	return fd == -1 ? -errno : fd;
}

static int
set_modes(int slave)
{
	struct termios	m;

	memset(&m, 0, sizeof m);
	m.c_iflag = ICRNL | IXON | IUTF8;
	m.c_oflag = OPOST | ONLCR;
	m.c_cflag = CS8 | CREAD | HUPCL;
	m.c_lflag = ISIG | ICANON | IEXTEN | ECHO | ECHOE | ECHOK | ECHOCTL |
	    ECHOKE;
	m.c_cc[VINTR] = KEY('C');
	m.c_cc[VQUIT] = KEY('\\');
	m.c_cc[VERASE] = 0x7f;
	m.c_cc[VKILL] = KEY('U');
	m.c_cc[VEOF] = KEY('D');
	m.c_cc[VSTART] = KEY('Q');
	m.c_cc[VSTOP] = KEY('S');
	m.c_cc[VSUSP] = KEY('Z');
	m.c_cc[VREPRINT] = KEY('R');
	m.c_cc[VDISCARD] = KEY('O');
	m.c_cc[VWERASE] = KEY('W');
	m.c_cc[VLNEXT] = KEY('V');
	m.c_cc[VMIN] = 1;
	cfsetispeed(&m, B38400);
	cfsetospeed(&m, B38400);
	return tcsetattr(slave, TCSANOW, &m) == -1 ? -errno : 0;
}

int
tty_open(struct tty *t, uint16_t cols, uint16_t rows)
{
	int	master, slave = -1, r;

	if ((master = open_master()) < 0)
		return master;
	if (unlockpt(master) == -1) {
		r = -errno;
		goto out;
	}
	if ((r = -ptsname_r(master, t->name, sizeof t->name)) < 0)
		goto out;
	t->master = master;
	if ((r = slave = open_slave(t)) < 0 ||
	    (r = set_modes(slave)) < 0)
		goto out;
	if (cols > 0 && rows > 0 && (r = tty_resize(master, cols, rows)) < 0)
		goto out;
	t->slave = slave;
	return 0;
out:
	if (slave >= 0)
		close(slave);
	close(master);
	t->master = t->slave = -1;
	return r;
}

int
tty_give(const struct tty *t, uid_t uid)
{
	if (fchown(t->slave, uid, (gid_t)-1) == -1 ||
	    fchmod(t->slave, S_IRUSR | S_IWUSR | S_IWGRP) == -1)
		return -errno;
	return 0;
}

int
tty_resize(int master, uint16_t cols, uint16_t rows)
{
	struct winsize	ws = { .ws_row = rows, .ws_col = cols };

	if (cols == 0 || rows == 0)
		return -EINVAL;
	return ioctl(master, TIOCSWINSZ, &ws) == -1 ? -errno : 0;
}

pid_t
tty_foreground(int master)
{
	pid_t	group = 0;

	return ioctl(master, TIOCGPGRP, &group) == -1 || group < 0 ? 0 : group;
}
