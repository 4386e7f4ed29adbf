/* See procfs.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "proc/procfs.h"

#define PATH_LEN	512
#define STAT_MAX	1024		/* 52 numbers and a name */
#define CHUNK		4096		/* what one read() of /proc gives */

/* -- /proc/PID/stat ------------------------------------------------------- */

/* Fields of proc(5), from 1. */
enum { PPID = 4, PGRP = 5, SESSION = 6, FLAGS = 9, THREADS = 20, START = 22 };

#define PF_EXITING	0x4u		/* the kernel's sched.h */

/* A negative number counts as 0: a group that is gone already is -1. */
static int
number_of(const char *word, size_t n, uint64_t *v)
{
	bool	minus = n > 1 && word[0] == '-';
	int	r;

	r = mem_to_u64(word + minus, n - minus, UINT64_MAX, v);
	if (r == 0 && minus)
		*v = 0;
	return r;
}

static int
pid_of(uint64_t v, pid_t *out)
{
	if (v > INT_MAX)
		return -EINVAL;
	*out = (pid_t)v;
	return 0;
}

static int
set_field(struct procfs_stat *s, int field, uint64_t v)
{
	switch (field) {
	case PPID:
		return pid_of(v, &s->ppid);
	case PGRP:
		return pid_of(v, &s->pgid);
	case SESSION:
		return pid_of(v, &s->sid);
	case FLAGS:
		s->exiting = (v & PF_EXITING) != 0;
		return 0;
	case THREADS:
		s->threads = v > UINT_MAX ? UINT_MAX : (unsigned)v;
		return 0;
	case START:
		s->start = v;
		return 0;
	default:
		return 0;
	}
}

/* "123 (name": up to the last bracket; name may be longer than we keep. */
static int
parse_name(const char *text, const char *close, struct procfs_stat *s)
{
	const char	*open;
	uint64_t	 v;
	size_t		 n;

	open = memchr(text, '(', (size_t)(close - text));
	if (open == NULL || open - text < 2 || open[-1] != ' ' ||
	    mem_to_u64(text, (size_t)(open - 1 - text), INT_MAX, &v) < 0)
		return -EINVAL;
	s->pid = (pid_t)v;
	n = (size_t)(close - open - 1);
	if (n > sizeof s->name - 1)
		n = sizeof s->name - 1;
	memcpy(s->name, open + 1, n);
	s->name[n] = '\0';
	return 0;
}

int
procfs_parse_stat(const char *text, size_t n, struct procfs_stat *out)
{
	struct procfs_stat	 s = { 0 };
	const char		*end = text + n, *p, *word;
	uint64_t		 v;
	int			 field, r;

	if ((p = memrchr(text, ')', n)) == NULL)
		return -EINVAL;
	if ((r = parse_name(text, p, &s)) < 0)
		return r;
	if (end - p < 4 || p[1] != ' ' || p[3] != ' ')
		return -EINVAL;
	s.state = p[2];
	for (p += 4, field = PPID; field <= START; field++) {
		for (word = p; p < end && *p != ' ' && *p != '\n'; p++)
			continue;
		if ((r = number_of(word, (size_t)(p - word), &v)) < 0 ||
		    (r = set_field(&s, field, v)) < 0)
			return -EINVAL;
		p += p < end;
	}
	*out = s;
	return 0;
}

bool
procfs_dead(const struct procfs_stat *s)
{
	return (s->state == 'Z' || s->state == 'X' || s->state == 'x') &&
	    s->threads <= 1;
}

/* From the kernel: musl's sysconf() knows only 100. */
uint64_t
procfs_hz(void)
{
	unsigned long	v = getauxval(AT_CLKTCK);

	return v > 0 ? v : 100;
}

uint64_t
procfs_ticks(void)
{
	struct timespec	ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * procfs_hz() +
	    (uint64_t)ts.tv_nsec * procfs_hz() / 1000000000u;
}

/* -- files ---------------------------------------------------------------- */

/* A process that is gone has no files; a fixture's has none at all. */
static int
error_of(int err)
{
	return err == ENOENT || err == ESRCH || err == ENOTDIR ? -ESRCH :
	    err == EPERM ? -EACCES : -err;
}

static int
open_file(const char *root, pid_t pid, const char *name)
{
	char	path[PATH_LEN];
	int	fd, r;

	r = str_format(path, sizeof path, "%s/proc/%d/%s", root, (int)pid,
	    name);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd >= 0 ? fd : error_of(errno);
}

/* Bytes, 0 at the end, or -errno. */
static ssize_t
read_some(int fd, char *out, size_t len)
{
	ssize_t	n;

	do
		n = read(fd, out, len);
	while (n == -1 && errno == EINTR);
	return n >= 0 ? n : error_of(errno);
}

int
procfs_stat(const char *root, pid_t pid, struct procfs_stat *out)
{
	char	text[STAT_MAX];
	ssize_t	n;
	int	fd;

	if ((fd = open_file(root, pid, "stat")) < 0)
		return fd;
	n = read_some(fd, text, sizeof text);	/* always in one piece */
	close(fd);
	return n < 0 ? (int)n : procfs_parse_stat(text, (size_t)n, out);
}

/* Calls fn for each entry of a folder that is a number. */
static int
each_number(const char *path, procfs_pid_fn *fn, void *arg)
{
	struct dirent	*e;
	uint64_t	 v;
	DIR		*d;
	int		 r;

	if ((d = opendir(path)) == NULL)
		return error_of(errno);
	while ((errno = 0, e = readdir(d)) != NULL)
		if (str_to_u64(e->d_name, INT_MAX, &v) == 0 && v > 0 &&
		    !fn(arg, (pid_t)v))
			break;
	r = e == NULL && errno != 0 ? error_of(errno) : 0;
	closedir(d);
	return r;
}

int
procfs_each(const char *root, procfs_pid_fn *fn, void *arg)
{
	char	path[PATH_LEN];
	int	r = str_format(path, sizeof path, "%s/proc", root);

	return r < 0 ? r : each_number(path, fn, arg);
}

/* -- children ------------------------------------------------------------- */

/* Numbers as they come, cut anywhere by the end of a read. */
struct numbers {
	uint64_t	 v;
	bool		 any, stop;
	procfs_pid_fn	*fn;
	void		*arg;
};

static void
number_end(struct numbers *m)
{
	if (m->any && m->v > 0 && m->v <= INT_MAX)
		m->stop = !m->fn(m->arg, (pid_t)m->v);
	m->any = false;
	m->v = 0;
}

static void
number_feed(struct numbers *m, const char *p, size_t n)
{
	for (; n > 0 && !m->stop; p++, n--)
		if (*p < '0' || *p > '9') {
			number_end(m);
		} else {
			m->any = true;
			if (m->v <= INT_MAX)
				m->v = m->v * 10 + (uint64_t)(*p - '0');
		}
}

/* Which of the two is missing: the thread, or the kernel's option? */
static int
missing(const char *root, pid_t pid, pid_t tid)
{
	char	path[PATH_LEN];
	int	r;

	r = str_format(path, sizeof path, "%s/proc/%d/task/%d", root, (int)pid,
	    (int)tid);
	if (r < 0)
		return r;
	return access(path, F_OK) == 0 ? -ENOSYS : -ESRCH;
}

int
procfs_thread_children(const char *root, pid_t pid, pid_t tid,
    procfs_pid_fn *fn, void *arg)
{
	struct numbers	m = { .fn = fn, .arg = arg };
	char		name[64], text[CHUNK];
	ssize_t		n = 0;
	int		fd;

	str_format(name, sizeof name, "task/%d/children", (int)tid);
	if ((fd = open_file(root, pid, name)) < 0)
		return fd == -ESRCH ? missing(root, pid, tid) : fd;
	while (!m.stop && (n = read_some(fd, text, sizeof text)) > 0)
		number_feed(&m, text, (size_t)n);
	close(fd);
	if (!m.stop)
		number_end(&m);
	return n < 0 ? (int)n : 0;
}

struct threads {
	const char	*root;
	pid_t		 pid;
	procfs_pid_fn	*fn;
	void		*arg;
	bool		 stopped;
	int		 r;
};

static bool
pass_child(void *arg, pid_t pid)
{
	struct threads	*t = arg;

	t->stopped = !t->fn(t->arg, pid);
	return !t->stopped;
}

/* A thread that left meanwhile is nobody's concern. */
static bool
each_thread(void *arg, pid_t tid)
{
	struct threads	*t = arg;
	int		 r;

	r = procfs_thread_children(t->root, t->pid, tid, pass_child, t);
	if (r < 0 && r != -ESRCH)
		t->r = r;
	return t->r == 0 && !t->stopped;
}

int
procfs_children(const char *root, pid_t pid, procfs_pid_fn *fn, void *arg)
{
	struct threads	t = { .root = root, .pid = pid, .fn = fn, .arg = arg };
	char		path[PATH_LEN];
	int		r;

	r = str_format(path, sizeof path, "%s/proc/%d/task", root, (int)pid);
	if (r < 0)
		return r;
	r = each_number(path, each_thread, &t);
	return r < 0 ? r : t.r;
}

/* -- records: "NAME=value" up to a NUL, "Name:\tvalue" up to a newline ---- */

struct record {
	const char	*name;
	char		 mark, end;
	char		*out;
	size_t		 outlen;
	size_t		 at;		/* bytes of this record so far */
	bool		 other;		/* it isn't the one */
	int		 r;		/* 1: found, -ENAMETOOLONG */
};

static void
record_end(struct record *w)
{
	size_t	len = strlen(w->name);

	if (!w->other && w->at > len) {
		w->out[w->at - len - 1] = '\0';
		w->r = 1;
	}
	w->at = 0;
	w->other = false;
}

static void
record_feed(struct record *w, const char *p, size_t n)
{
	size_t	len = strlen(w->name);

	for (; n > 0 && w->r == 0; p++, n--) {
		if (*p == w->end) {
			record_end(w);
			continue;
		}
		if (w->other)
			continue;
		if (w->at < len)
			w->other = *p != w->name[w->at];
		else if (w->at == len)
			w->other = *p != w->mark;
		else if (w->at - len >= w->outlen)
			w->r = -ENAMETOOLONG;
		else
			w->out[w->at - len - 1] = *p;
		w->at++;
	}
}

/* 1, 0: no such record, or -errno. */
static int
find_record(const char *root, pid_t pid, const char *file, struct record *w)
{
	char	text[CHUNK];
	ssize_t	n;
	int	fd;

	if ((fd = open_file(root, pid, file)) < 0)
		return fd;
	while ((n = read_some(fd, text, sizeof text)) > 0 && w->r == 0)
		record_feed(w, text, (size_t)n);
	close(fd);
	if (n == 0 && w->r == 0)
		record_end(w);
	return w->r != 0 ? w->r : (int)n;
}

int
procfs_environ(const char *root, pid_t pid, const char *name, char *out,
    size_t outlen)
{
	struct record	w = { .name = name, .mark = '=', .end = '\0',
			    .out = out, .outlen = outlen };
	int		r = find_record(root, pid, "environ", &w);

	if (r != 1)
		out[0] = '\0';
	return r;
}

/* "\t0000000000000001", the lowest bit is signal 1. */
static int
mask_has(const char *text, int signo)
{
	size_t		 n = strspn(text, "\t ");
	size_t		 digits = strspn(text + n, "0123456789abcdefABCDEF");
	size_t		 digit = (size_t)(signo - 1) / 4;
	char		 c;
	unsigned	 v;

	if (digits == 0 || text[n + digits] != '\0')
		return -EINVAL;
	if (digit >= digits)
		return 0;
	c = text[n + digits - 1 - digit];
	v = c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
	return (v >> ((unsigned)(signo - 1) % 4)) & 1u;
}

int
procfs_ignores(const char *root, pid_t pid, int signo)
{
	char		mask[64];
	struct record	w = { .name = "SigIgn", .mark = ':', .end = '\n',
			    .out = mask, .outlen = sizeof mask };
	int		r = find_record(root, pid, "status", &w);

	return r == 1 ? mask_has(mask, signo) : r == 0 ? -EINVAL : r;
}

/* "\t812\t1": one number for each namespace from ours down to its own. */
int
procfs_is_nested(const char *root, pid_t pid)
{
	char		numbers[32];
	struct record	w = { .name = "NSpid", .mark = ':', .end = '\n',
			    .out = numbers, .outlen = sizeof numbers };
	int		r = find_record(root, pid, "status", &w);

	if (r != 1)
		return r == -ENAMETOOLONG ? 1 : r;
	return strchr(numbers + strspn(numbers, "\t"), '\t') != NULL;
}

/* The second one of "   1024        524288        files". */
static int
second_number(const char *text, uint64_t *out)
{
	size_t	n;

	text += strspn(text, " ");
	text += strcspn(text, " ");
	text += strspn(text, " ");
	n = strcspn(text, " ");
	if (n == strlen("unlimited") && memcmp(text, "unlimited", n) == 0) {
		*out = UINT64_MAX;
		return 0;
	}
	return mem_to_u64(text, n, UINT64_MAX, out);
}

int
procfs_hard_limit(const char *root, pid_t pid, const char *name, uint64_t *out)
{
	char		limits[128];
	struct record	w = { .name = name, .mark = ' ', .end = '\n',
			    .out = limits, .outlen = sizeof limits };
	int		r = find_record(root, pid, "limits", &w);

	return r == 1 ? second_number(limits, out) : r == 0 ? -EINVAL : r;
}

int
procfs_cmdline(const char *root, pid_t pid, char *out, size_t outlen)
{
	size_t	n = 0, i;
	ssize_t	r = 1;
	int	fd;

	out[0] = '\0';
	if ((fd = open_file(root, pid, "cmdline")) < 0)
		return fd;
	while (n < outlen - 1 &&
	    (r = read_some(fd, out + n, outlen - 1 - n)) > 0)
		n += (size_t)r;
	close(fd);
	while (n > 0 && out[n - 1] == '\0')
		n--;
	for (i = 0; i < n; i++)
		if (out[i] == '\0')
			out[i] = ' ';
	out[n] = '\0';
	return r < 0 ? (int)r : 0;
}
