#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/identity.h"
#include "base/log.h"
#include "base/str.h"
#include "conf/passwd.h"
#include "workspace/account.h"

#define NAME_MAX_LEN	255	/* of a variable */

_Static_assert(ACCOUNT_LINE_MAX == PASSWD_LINE_MAX, "one limit");

const struct account_files account_files_system = {
	"/etc/passwd", "/etc/group"
};

static const char	no_memory[] = "out of memory";

/* Everything but the groups. */
struct facts {
	const char	*name, *home, *shell;
	uint32_t	 uid, gid;
};

void
account_destroy(struct account *a)
{
	if (a == NULL)
		return;
	free(a->name);
	free(a->home);
	free(a->login_shell);
	free(a);
}

/* A failed look-up costs groups, never grants one (spec/grpc.md 3.0). */
static void
find_groups(struct account *a, const char *path)
{
	gid_t	listed[ACCOUNT_GROUPS_MAX];
	size_t	n, i;
	int	r;

	r = group_ids(path, a->name, listed, ARRAY_LEN(listed), &n);
	if (r < 0) {
		log_warn("account", "%s: %s: groups of %s are not known",
		    path, strerror(-r), a->name);
		return;
	}
	/* As initgroups(3): with the primary one, or a set-gid program
	 * would lose it. */
	if (n > 0)
		a->groups[a->ngroups++] = a->gid;
	for (i = 0; i < n && a->ngroups < ACCOUNT_GROUPS_MAX; i++)
		if (listed[i] != a->gid)
			a->groups[a->ngroups++] = listed[i];
}

static int
make_account(struct account **out, const struct facts *f, bool sudo,
    const char *group_path, const char **why)
{
	struct account	*a;

	if (geteuid() != 0 && f->uid != geteuid()) {
		*why = "not running as root: cannot become another user";
		return -EACCES;
	}
	if ((a = calloc(1, sizeof *a)) == NULL ||
	    (a->name = strdup(f->name)) == NULL ||
	    (a->home = strdup(f->home)) == NULL ||
	    (a->login_shell = strdup(f->shell)) == NULL) {
		account_destroy(a);
		*why = no_memory;
		return -ENOMEM;
	}
	a->uid = f->uid;
	a->gid = f->gid;
	a->sudo = sudo;
	find_groups(a, group_path);
	*out = a;
	return 0;
}

/* Who it is comes from the identity; passwd only adds a login shell. */
static int
resolve_own(struct account **out, const struct identity *id,
    const struct account_files *files, const char **why)
{
	struct passwd_entry	pw;
	struct facts		f = {
		id->username, id->home, id->shell, id->uid, id->gid
	};
	int			r;

	r = passwd_by_name(files->passwd, id->username, &pw);
	if (r < 0 && r != -ENOENT && geteuid() == 0) {
		*why = "cannot read the passwd file";
		return r;		/* T6 can't be checked */
	}
	if (r == 0 && pw.uid != id->uid) {
		*why = "passwd has another uid for the workspace user";
		return -EPERM;
	}
	if (r == 0 && pw.shell[0] != '\0')
		f.shell = pw.shell;
	return make_account(out, &f, id->sudo, files->group, why);
}

/* root is uid 0 even where passwd has no line for it, or another one. */
static int
resolve_root(struct account **out, const struct identity *id,
    const struct account_files *files, const char **why)
{
	struct passwd_entry	pw;
	struct facts		f = { "root", "/root", "", 0, 0 };

	if (passwd_by_name(files->passwd, "root", &pw) == 0) {
		if (pw.uid != 0) {
			*why = "passwd has another uid for root";
			return -EPERM;
		}
		if (pw.home[0] == '/')
			f.home = pw.home;
		f.shell = pw.shell;
		f.gid = pw.gid;
	}
	return make_account(out, &f, id->sudo, files->group, why);
}

static int
resolve_other(struct account **out, const struct identity *id,
    const char *as_user, const struct account_files *files, const char **why)
{
	struct passwd_entry	pw;
	uint32_t		uid;
	struct facts		f;
	int			r;

	r = passwd_by_name(files->passwd, as_user, &pw);
	if (r == -ENOENT && str_to_u32(as_user, PASSWD_ID_MAX, &uid) == 0)
		r = passwd_by_uid(files->passwd, uid, &pw);
	if (r < 0) {
		*why = r == -ENOENT ? "no such user" :
		    "cannot read the passwd file";
		return r;
	}
	f = (struct facts){
		pw.name, pw.home[0] == '/' ? pw.home : "/", pw.shell, pw.uid,
		pw.gid
	};
	return make_account(out, &f, id->sudo, files->group, why);
}

int
account_resolve(struct account **out, const struct identity *id,
    const char *as_user, const struct account_files *files, const char **why)
{
	if (as_user == NULL || as_user[0] == '\0' ||
	    strcmp(as_user, id->username) == 0)
		return resolve_own(out, id, files, why);
	if (!id->sudo) {
		*why = "becoming another user needs the sudo right";
		return -EACCES;
	}
	if (strcmp(as_user, "root") == 0)
		return resolve_root(out, id, files, why);
	return resolve_other(out, id, as_user, files, why);
}

/* -- environment -- */

struct environment {
	char	**var;		/* room for all, in front of the text */
	size_t	 n;
	char	*text;		/* next free byte */
};

/* Loaders, locales and start-up files: what turns root's programs into
 * somebody else's.  A star stands for any rest. */
static const char *const	root_drops[] = {
	"BASHOPTS", "BASH_ENV", "BASH_FUNC_*", "CDPATH", "ENV", "GCONV_PATH",
	"GETCONF_DIR", "GLIBC_TUNABLES", "HOSTALIASES", "IFS", "LD_*",
	"LOCALDOMAIN", "LOCPATH", "MALLOC_*", "NIS_PATH", "NLSPATH",
	"NODE_OPTIONS", "NODE_PATH", "PERL5DB", "PERL5LIB", "PERL5OPT",
	"PERLLIB", "PROMPT_COMMAND", "PS4", "PYTHONHOME", "PYTHONINSPECT",
	"PYTHONPATH", "PYTHONSTARTUP", "RESOLV_HOST_CONF", "RES_OPTIONS",
	"RUBYLIB", "RUBYOPT", "SHELLOPTS", "TZDIR",
};

static bool
dropped_for_root(const char *name, size_t len)
{
	size_t	i, n;

	for (i = 0; i < ARRAY_LEN(root_drops); i++) {
		n = strlen(root_drops[i]);
		if (root_drops[i][n - 1] == '*' ?
		    len >= n - 1 && memcmp(name, root_drops[i], n - 1) == 0 :
		    len == n && memcmp(name, root_drops[i], n) == 0)
			return true;
	}
	return false;
}

/* Length of the name of "NAME=value", 0 if it is none or absurd: names are
 * compared with each other. */
static size_t
name_length(const char *var)
{
	size_t	n;

	for (n = 0; var[n] != '='; n++)
		if ((unsigned char)var[n] < ' ' || var[n] == 0x7f)
			return 0;	/* also the end of the text */
	return n <= NAME_MAX_LEN ? n : 0;
}

/* The place of a name: where it already is, or the next free one. */
static size_t
place_of(const struct environment *e, const char *name, size_t len)
{
	size_t	i;

	for (i = 0; i < e->n; i++)
		if (strncmp(e->var[i], name, len) == 0 &&
		    e->var[i][len] == '=')
			break;
	return i;
}

static bool
has(const struct environment *e, const char *name)
{
	return place_of(e, name, strlen(name)) < e->n;
}

/* name: len bytes of it. */
static void
put(struct environment *e, const char *name, size_t len, const char *value)
{
	size_t	i = place_of(e, name, len), n = strlen(value);

	e->var[i] = e->text;
	if (i == e->n)
		e->n++;
	memcpy(e->text, name, len);
	e->text[len] = '=';
	memcpy(e->text + len + 1, value, n + 1);
	e->text += len + n + 2;
}

/* "NAME=value" texts, at most n or up to NULL. */
static void
put_all(struct environment *e, const char *const *var, size_t n, bool root)
{
	size_t	i, len;

	for (i = 0; i < n && var[i] != NULL; i++) {
		len = name_length(var[i]);
		if (len > 0 && !(root && dropped_for_root(var[i], len)))
			put(e, var[i], len, var[i] + len + 1);
	}
}

/* Adds up what put_all() may need: pointers and text. */
static void
measure(const char *const *var, size_t n, size_t *count, size_t *bytes)
{
	size_t	i;

	for (i = 0; i < n && var[i] != NULL; i++) {
		++*count;
		*bytes += strlen(var[i]) + 1;
	}
}

char **
account_environment(const struct account *a, char *const *request,
    size_t nrequest, const char *shell, bool pty, const char *const *extra)
{
	static const char	names[] =
	    "HOME=USER=LOGNAME=SHELL=PATH=" ACCOUNT_PATH "TERM=xterm";
	static const char *const none[] = { NULL };
	const char *const	*vars = (const char *const *)request;
	struct environment	 e = { 0 };
	size_t			 count = 7, bytes = sizeof names + 6;

	if (extra == NULL)
		extra = none;
	if (nrequest > ACCOUNT_ENV_MAX)
		nrequest = ACCOUNT_ENV_MAX;
	if (shell == NULL || shell[0] == '\0')
		shell = a->login_shell[0] != '\0' ? a->login_shell : "/bin/sh";
	measure(vars, nrequest, &count, &bytes);
	measure(extra, SIZE_MAX, &count, &bytes);
	bytes += strlen(a->home) + 2 * strlen(a->name) + strlen(shell);

	if ((e.var = malloc(count * sizeof *e.var + bytes)) == NULL)
		return NULL;
	e.text = (char *)(e.var + count);
	put_all(&e, vars, nrequest, a->uid == 0);
	put(&e, "HOME", 4, a->home);
	put(&e, "USER", 4, a->name);
	put(&e, "LOGNAME", 7, a->name);
	put(&e, "SHELL", 5, shell);
	if (!has(&e, "PATH"))
		put(&e, "PATH", 4, ACCOUNT_PATH);
	if (pty && !has(&e, "TERM"))
		put(&e, "TERM", 4, "xterm");
	put_all(&e, extra, SIZE_MAX, false);
	e.var[e.n] = NULL;
	return e.var;
}

/* -- shells -- */

/* Folders only root writes to, and that are no mounts of the user's. */
static bool
in_system_folder(const char *path)
{
	static const char *const	folders[] = {
		"/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/",
		"/usr/local/bin/", "/usr/local/sbin/",
	};
	size_t	i;

	for (i = 0; i < ARRAY_LEN(folders); i++)
		if (str_prefix(path, folders[i]))
			return strchr(path + strlen(folders[i]), '/') == NULL;
	return false;
}

bool
account_may_gain(const struct account *a)
{
	return a->sudo || a->uid == 0 || geteuid() != 0;
}

bool
account_shell_usable(const char *path)
{
	const char	*base = path_base(path);
	struct stat	 st;

	if (path[0] != '/' || base[0] == '\0' ||
	    strcmp(base, "nologin") == 0 || strcmp(base, "false") == 0)
		return false;
	if (!in_system_folder(path))
		return true;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_mode & 0111) != 0;
}
