#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/identity.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "conf/conf.h"
#include "conf/passwd.h"
#include "conf/profile.h"
#include "loop/loop.h"

#define NAME_MAX_LEN	32
#define KEY_FILE_MAX	(64u * 1024)
#define TOKEN_FILE_MAX	(JWT_TOKEN_MAX + 64)	/* blanks around it */
#define ERROR_MAX	512

/* What the sources are loaded from, and into. */
struct loader {
	struct identity		*id;
	const struct conf	*c;
	const char		*profile;
	bool			 standalone;
	char			*err;
	size_t			 errlen;
};

/* The two files a token identity comes from. */
struct token_files {
	char		*token, *pem;
	size_t		 token_len, pem_len;
	uint64_t	 print;		/* of both contents */
};

struct identity_watch {
	struct loop		*loop;		/* borrowed */
	struct loop_timer	 timer;
	char			*token_path, *key_path;
	enum jwt_alg		 alg;
	uint64_t		 seen;		/* print of what is in use */
	uint64_t		 refused;	/* what was complained about */
	bool			 expiry_said;
};

bool
identity_name_valid(const char *name)
{
	size_t	i;
	char	c;

	for (i = 0; name[i] != '\0'; i++) {
		c = name[i];
		if ((c >= 'a' && c <= 'z') || c == '_')
			continue;
		if (i == 0 || !((c >= '0' && c <= '9') || c == '.' ||
		    c == '-'))
			return false;
	}
	return i > 0 && i <= NAME_MAX_LEN;
}

static int	fail(const struct loader *l, int r, const char *fmt, ...)
		    __attribute__((format(printf, 3, 4)));

static int
fail(const struct loader *l, int r, const char *fmt, ...)
{
	va_list	ap;

	va_start(ap, fmt);
	vsnprintf(l->err, l->errlen, fmt, ap);
	va_end(ap);
	return r;
}

static int
no_memory(const struct loader *l)
{
	return fail(l, -ENOMEM, "identity: out of memory");
}

/* NULL counts as "".  0 or -ENOMEM. */
static int
set_text(char **field, const char *text)
{
	char	*s;

	if ((s = strdup(text != NULL ? text : "")) == NULL)
		return -ENOMEM;
	free(*field);
	*field = s;
	return 0;
}

/* Fields no source filled become "". */
static int
complete(const struct loader *l)
{
	struct identity	*id = l->id;
	char		**field[] = {
		&id->username, &id->home, &id->shell, &id->fullname,
		&id->email, &id->organization, &id->source,
	};
	size_t		 i;

	for (i = 0; i < ARRAY_LEN(field); i++)
		if (*field[i] == NULL && set_text(field[i], NULL) < 0)
			return no_memory(l);
	return 0;
}

/* /home/<username>: the platform's rule, whatever passwd says. */
static int
set_home(struct identity *id)
{
	char	path[sizeof "/home/" + NAME_MAX_LEN];

	if (str_format(path, sizeof path, "/home/%s", id->username) < 0)
		return -EINVAL;
	return set_text(&id->home, path);
}

/* The rules for every source; where: which one, for messages. */
static int
check_ids(const struct loader *l, const char *where)
{
	const struct identity	*id = l->id;

	if (!identity_name_valid(id->username))
		return fail(l, -EINVAL, "%s: user name \"%.64s\": expected up "
		    "to 32 of a-z 0-9 _ . - beginning with a-z or _", where,
		    id->username);
	if (id->uid > PASSWD_ID_MAX || id->gid > PASSWD_ID_MAX)
		return fail(l, -EINVAL, "%s: 4294967295 is no user or group "
		    "id", where);
	if (id->uid == 0 && !(l->standalone && geteuid() == 0))
		return fail(l, -EINVAL, "%s: user id 0 (root) can't own a "
		    "workspace", where);
	if (id->uid != 0 && strcmp(id->username, "root") == 0)
		return fail(l, -EINVAL, "%s: user name root with user id %u",
		    where, id->uid);
	return 0;
}

static int
check_username_variable(const struct loader *l, const char *where)
{
	const char	*name = getenv("USERNAME");

	if (name == NULL || name[0] == '\0' ||
	    strcmp(name, l->id->username) == 0)
		return 0;
	return fail(l, -EINVAL, "%s: user name \"%.64s\" differs from "
	    "USERNAME=%.64s", where, l->id->username, name);
}

/* -- workspace token -- */

static void
token_files_finish(struct token_files *f)
{
	if (f->token != NULL)
		secret_wipe(f->token, f->token_len);
	free(f->token);
	free(f->pem);
	*f = (struct token_files){ 0 };
}

/* FNV-1a: only to notice a change. */
static uint64_t
print_of(uint64_t h, const void *p, size_t n)
{
	const uint8_t	*b = p;

	while (n-- > 0)
		h = (h ^ *b++) * UINT64_C(1099511628211);
	return h;
}

static int
token_files_read(struct token_files *f, const struct loader *l,
    const char *token_path, const char *key_path)
{
	int	r;

	*f = (struct token_files){ 0 };
	r = file_read(token_path, TOKEN_FILE_MAX, &f->token, &f->token_len);
	if (r < 0)
		return fail(l, r, "identity.tokenPath: %s: %s", token_path,
		    r == -EFBIG ? "too large for a token" : strerror(-r));
	r = file_read(key_path, KEY_FILE_MAX, &f->pem, &f->pem_len);
	if (r < 0)
		return fail(l, r, "identity.publicKeyPath: %s: %s", key_path,
		    r == -EFBIG ? "larger than 64 KiB" : strerror(-r));
	f->print = print_of(UINT64_C(14695981039346656037), f->token,
	    f->token_len);
	f->print = print_of(f->print, f->pem, f->pem_len);
	return 0;
}

static int
copy_roles(struct identity *id, char *const *roles, size_t n)
{
	if (n == 0)
		return 0;
	if ((id->roles = calloc(n, sizeof *id->roles)) == NULL)
		return -ENOMEM;
	for (; id->nroles < n; id->nroles++) {
		id->roles[id->nroles] = strdup(roles[id->nroles]);
		if (id->roles[id->nroles] == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int
copy_claims(struct identity *id, struct jwt_claims *c)
{
	char	*roles[ARRAY_LEN(c->roles)];
	size_t	 i;
	int	 r;

	for (i = 0; i < c->nroles; i++)
		roles[i] = c->roles[i];
	if ((r = set_text(&id->username, c->sub)) < 0 ||
	    (r = set_text(&id->fullname, c->name)) < 0 ||
	    (r = set_text(&id->email, c->email)) < 0 ||
	    (r = set_text(&id->organization, c->org)) < 0 ||
	    (r = set_text(&id->source, c->source)) < 0 ||
	    (r = set_text(&id->shell, c->shell)) < 0 ||
	    (r = copy_roles(id, roles, c->nroles)) < 0)
		return r;
	id->uid = c->uid;
	id->gid = c->gid;
	id->sudo = c->sudo;
	id->exp = c->exp;
	return 0;
}

/* Verifies what was read and fills l->id; path: of the token. */
static int
accept_token(const struct loader *l, const struct token_files *f,
    const char *path, const char *key_path, enum jwt_alg alg)
{
	struct identity		*id = l->id;
	struct jwt_claims	 claims;
	const char		*why = "";
	char			*token;
	int			 r;

	if (strlen(f->token) != f->token_len)
		return fail(l, -EINVAL, "%s: has a NUL byte", path);
	token = str_trim(f->token);
	r = jwt_key_from_pem(&id->key, f->pem, f->pem_len, alg, &why);
	if (r < 0)
		return r == -ENOMEM ? no_memory(l) : fail(l, r,
		    "identity.publicKeyPath: %s: %s", key_path, why);
	r = jwt_verify(id->key, token, strlen(token), loop_wall(), &claims,
	    &why);
	if (r < 0)
		return fail(l, r, "%s: %s", path, why);
	if (!claims.has_uid || !claims.has_gid)
		return fail(l, -EINVAL, "%s: claim %s is missing", path,
		    claims.has_uid ? "gid" : "uid");
	id->from = IDENTITY_JWT;
	if (set_text(&id->token, token) < 0 || copy_claims(id, &claims) < 0)
		return no_memory(l);
	if ((r = check_ids(l, path)) < 0)
		return r;
	return set_home(id) < 0 ? no_memory(l) : 0;
}

static enum jwt_alg
algorithm(const struct conf *c)
{
	return c->identity.signing_method == CONF_ES256 ? JWT_ES256 :
	    JWT_RS256;
}

static bool
token_applies(const struct loader *l)
{
	return l->c->identity.token_path[0] != '\0';
}

static int
token_load(const struct loader *l)
{
	const char		*path = l->c->identity.token_path;
	const char		*key_path = l->c->identity.public_key_path;
	struct token_files	 f;
	int			 r;

	if (key_path[0] == '\0')
		return fail(l, -EINVAL, "identity.publicKeyPath: not set, but "
		    "identity.tokenPath is");
	if ((r = token_files_read(&f, l, path, key_path)) == 0)
		r = accept_token(l, &f, path, key_path, algorithm(l->c));
	token_files_finish(&f);
	/* Desktops set USERNAME for their own purposes. */
	if (r == 0 && !l->standalone)
		r = check_username_variable(l, path);
	return r;
}

/* -- profile -- */

static bool
profile_applies(const struct loader *l)
{
	return access(l->profile, F_OK) == 0 || errno != ENOENT;
}

static int
copy_profile(struct identity *id, const struct profile *p)
{
	int	r;

	if ((r = set_text(&id->username, p->username)) < 0 ||
	    (r = set_text(&id->fullname, p->fullname)) < 0 ||
	    (r = set_text(&id->email, p->email)) < 0 ||
	    (r = set_text(&id->organization, p->organization)) < 0 ||
	    (r = set_text(&id->source, p->source)) < 0 ||
	    (r = set_text(&id->shell, p->shell)) < 0)
		return r;
	id->uid = p->uid;
	id->gid = p->gid;
	id->sudo = p->sudo;
	return copy_roles(id, p->roles, p->nroles);
}

static int
use_profile(const struct loader *l, const struct profile *p)
{
	int	r;

	if (p->username[0] == '\0')
		return fail(l, -EINVAL, "%s: username is missing", l->profile);
	if (!p->has_uid || !p->has_gid)
		return fail(l, -EINVAL, "%s: %s is missing", l->profile,
		    p->has_uid ? "gid" : "uid");
	if (copy_profile(l->id, p) < 0)
		return no_memory(l);
	if ((r = check_ids(l, l->profile)) < 0 ||
	    (r = check_username_variable(l, l->profile)) < 0)
		return r;
	l->id->from = IDENTITY_PROFILE;
	return set_home(l->id) < 0 ? no_memory(l) : 0;
}

static int
profile_use(const struct loader *l)
{
	struct profile	p;
	int		r;

	profile_init(&p);
	r = profile_load(&p, l->profile, l->err, l->errlen);
	if (r == 0)
		r = use_profile(l, &p);
	profile_finish(&p);
	return r;
}

/* -- environment -- */

static const char *
variable(const char *name)
{
	const char	*v = getenv(name);

	return v != NULL ? v : "";
}

static bool
env_applies(const struct loader *l)
{
	(void)l;
	return variable("USERNAME")[0] != '\0' &&
	    variable("USER_UID")[0] != '\0';
}

static int
env_id(const struct loader *l, const char *name, uint32_t *id)
{
	if (str_to_u32(variable(name), UINT32_MAX, id) == 0)
		return 0;
	return fail(l, -EINVAL, "environment variable %s: expected a decimal "
	    "id, got \"%.64s\"", name, variable(name));
}

static int
env_load(const struct loader *l)
{
	struct identity	*id = l->id;
	int		 r;

	id->from = IDENTITY_ENV;
	if ((r = env_id(l, "USER_UID", &id->uid)) < 0 ||
	    (r = env_id(l, "USER_GID", &id->gid)) < 0)
		return r;
	if (set_text(&id->username, variable("USERNAME")) < 0 ||
	    set_text(&id->email, variable("USEREMAIL")) < 0 ||
	    set_text(&id->fullname, variable("USERFULLNAME")) < 0)
		return no_memory(l);
	if ((r = check_ids(l, "environment")) < 0)
		return r;
	return set_home(id) < 0 ? no_memory(l) : 0;
}

/* -- whoever started us -- */

static bool
process_applies(const struct loader *l)
{
	return l->standalone;
}

/* A machine of one's own may have names the platform does not allow. */
static bool
plain_name(const char *name)
{
	size_t	i;

	for (i = 0; name[i] != '\0'; i++)
		if (name[i] <= ' ' || name[i] == 0x7f || name[i] == '/')
			return false;
	return i > 0 && i < 256 && name[0] != '-';
}

static int
process_load(const struct loader *l)
{
	struct passwd_entry	 pw;
	struct identity		*id = l->id;
	const char		*home = variable("HOME");
	char			 name[32];
	bool			 known;

	id->from = IDENTITY_STANDALONE;
	id->uid = geteuid();
	id->gid = getegid();
	id->sudo = id->uid == 0;
	known = passwd_by_uid("/etc/passwd", id->uid, &pw) == 0;
	if (home[0] != '/')
		home = known && pw.home[0] == '/' ? pw.home : "/";
	str_format(name, sizeof name, "uid%u", id->uid);
	if (set_text(&id->username, known && plain_name(pw.name) ? pw.name :
	    name) < 0 ||
	    set_text(&id->shell, known ? pw.shell : "") < 0 ||
	    set_text(&id->home, home) < 0)
		return no_memory(l);
	return 0;
}

/* In the order of DESIGN 2: the first that applies decides. */
static const struct {
	bool	(*applies)(const struct loader *l);
	int	(*load)(const struct loader *l);
} sources[] = {
	{ token_applies,	token_load },
	{ profile_applies,	profile_use },
	{ env_applies,		env_load },
	{ process_applies,	process_load },
};

int
identity_load(struct identity **out, const struct conf *c,
    const char *profile_path, bool standalone, char *err, size_t errlen)
{
	struct loader	l = {
		.c = c, .standalone = standalone, .err = err, .errlen = errlen,
		.profile = profile_path != NULL ? profile_path :
		    IDENTITY_PROFILE_PATH,
	};
	size_t		i;
	int		r;

	if ((l.id = calloc(1, sizeof *l.id)) == NULL)
		return no_memory(&l);
	for (i = 0; i < ARRAY_LEN(sources); i++)
		if (sources[i].applies(&l))
			break;
	if (i < ARRAY_LEN(sources))
		r = sources[i].load(&l);
	else
		r = fail(&l, -ENOENT, "nobody owns this workspace: no "
		    "identity.tokenPath, no %s, and USERNAME, USER_UID, "
		    "USER_GID are not set", l.profile);
	if (r == 0)
		r = complete(&l);
	if (r < 0) {
		identity_destroy(l.id);
		return r;
	}
	if (l.id->gid == 0 && l.id->uid != 0)
		log_warn("identity", "user %s has group id 0 (root)",
		    l.id->username);
	*out = l.id;
	return 0;
}

/* -- renewal -- */

static void
free_roles(struct identity *id)
{
	while (id->nroles > 0)
		free(id->roles[--id->nroles]);
	free(id->roles);
	id->roles = NULL;
}

static void
watch_destroy(struct identity_watch *w)
{
	if (w == NULL)
		return;
	loop_timer_clear(&w->timer);
	free(w->token_path);
	free(w->key_path);
	free(w);
}

void
identity_destroy(struct identity *id)
{
	if (id == NULL)
		return;
	watch_destroy(id->watch);
	free(id->username);
	free(id->home);
	free(id->shell);
	free(id->fullname);
	free(id->email);
	free(id->organization);
	free(id->source);
	free_roles(id);
	jwt_key_destroy(id->key);
	if (id->token != NULL)
		secret_wipe(id->token, strlen(id->token));
	free(id->token);
	free(id);
}

static int
check_same_user(const struct loader *l, const struct identity *old)
{
	const struct identity	*id = l->id;

	if (strcmp(id->username, old->username) != 0)
		return fail(l, -EPERM, "it is for user %s", id->username);
	if (id->uid != old->uid || id->gid != old->gid)
		return fail(l, -EPERM, "it changes the ids to %u:%u", id->uid,
		    id->gid);
	if (strcmp(id->source, old->source) != 0)
		return fail(l, -EPERM, "it changes the source to \"%.64s\"",
		    id->source);
	return 0;
}

static void
swap_text(char **a, char **b)
{
	char	*t = *a;

	*a = *b;
	*b = t;
}

/* What may change; the rest was compared, and others may point at it. */
static void
take_over(struct identity *id, struct identity *fresh)
{
	struct jwt_key	 *key = id->key;
	char		**roles = id->roles;
	size_t		  nroles = id->nroles;

	swap_text(&id->token, &fresh->token);
	swap_text(&id->shell, &fresh->shell);
	swap_text(&id->fullname, &fresh->fullname);
	swap_text(&id->email, &fresh->email);
	swap_text(&id->organization, &fresh->organization);
	id->key = fresh->key;
	fresh->key = key;
	id->roles = fresh->roles;
	fresh->roles = roles;
	id->nroles = fresh->nroles;
	fresh->nroles = nroles;
	id->exp = fresh->exp;
	id->sudo = fresh->sudo;
	id->generation++;
}

/* Once per change of content or reason, not every 15 seconds. */
static void
complain(struct identity_watch *w, uint64_t print, const char *why)
{
	print = print_of(print, why, strlen(why));
	if (print == w->refused)
		return;
	w->refused = print;
	log_warn("identity", "%s: renewal refused, the old token stays: %s",
	    w->token_path, why);
}

static void
mention_expiry(const struct identity *id)
{
	struct identity_watch	*w = id->watch;

	if (w->expiry_said || loop_wall() <= id->exp + JWT_LEEWAY_S)
		return;
	w->expiry_said = true;
	log_warn("identity", "%s: the token has expired and there is no "
	    "renewal", w->token_path);
}

/* True if fresh, from other files than seen before, replaced id. */
static bool
renew(struct identity *id, struct identity *fresh,
    const struct token_files *f, struct loader *l)
{
	struct identity_watch	*w = id->watch;
	int			 r;

	r = accept_token(l, f, w->token_path, w->key_path, w->alg);
	if (r == 0)
		r = check_same_user(l, id);
	if (r < 0) {
		complain(w, f->print, l->err);
		return false;
	}
	w->seen = f->print;
	w->refused = 0;
	if (strcmp(id->token, fresh->token) == 0)
		return false;
	take_over(id, fresh);
	w->expiry_said = false;
	log_info("identity", "user %s: token renewed, sudo %s", id->username,
	    id->sudo ? "allowed" : "not allowed");
	return true;
}

bool
identity_refresh(struct identity *id)
{
	struct identity_watch	*w = id->watch;
	struct token_files	 f;
	char			 err[ERROR_MAX];
	struct loader		 l = { .err = err, .errlen = sizeof err };
	bool			 taken = false;

	if (w == NULL || (l.id = calloc(1, sizeof *l.id)) == NULL)
		return false;
	l.standalone = id->uid == 0;	/* was allowed once */
	if (token_files_read(&f, &l, w->token_path, w->key_path) < 0)
		complain(w, 0, err);
	else if (f.print != w->seen)
		taken = renew(id, l.id, &f, &l);
	mention_expiry(id);
	token_files_finish(&f);
	identity_destroy(l.id);
	return taken;
}

static void
on_timer(void *arg)
{
	struct identity		*id = arg;
	struct identity_watch	*w = id->watch;

	identity_refresh(id);
	loop_timer_set(w->loop, &w->timer, loop_now(w->loop) +
	    IDENTITY_POLL_MS);
}

int
identity_watch_start(struct identity *id, struct loop *l,
    const struct conf *c)
{
	struct identity_watch	*w;

	if (id->from != IDENTITY_JWT || id->watch != NULL)
		return 0;
	if ((w = calloc(1, sizeof *w)) == NULL)
		return -ENOMEM;
	w->loop = l;
	w->alg = algorithm(c);
	w->timer.fn = on_timer;
	w->timer.arg = id;
	if (set_text(&w->token_path, c->identity.token_path) < 0 ||
	    set_text(&w->key_path, c->identity.public_key_path) < 0) {
		watch_destroy(w);
		return -ENOMEM;
	}
	id->watch = w;
	loop_timer_set(l, &w->timer, loop_now(l) + IDENTITY_POLL_MS);
	return 0;
}
