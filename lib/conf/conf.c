#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/conf.h"
#include "conf/yamldoc.h"

#define LIST_MAX	1024	/* patterns, or callers */
#define KEY_PATH_MAX	128	/* longest "a.b.c" we know, and then some */

#define MS	(1000 * 1000)		/* in nanoseconds */
#define SECOND	(1000 * INT64_C(1000000))
#define MINUTE	(60 * SECOND)
#define HOUR	(60 * MINUTE)

/* With what follows it, two seconds less than the pod's thirty. */
#define GRACE_MAX	(16 * SECOND)

struct option;

/* One value of a type: into its field, with the option's rules. */
typedef int set_fn(const struct yamldoc *d, const struct option *o,
    const struct yamldoc_node *n, void *field);
typedef void init_fn(const struct option *o, void *field);
typedef void free_fn(void *field);

struct type {
	set_fn	*set;
	init_fn	*init;
	free_fn	*free;			/* NULL: nothing to free */
	size_t	 size;			/* of a number's field, else 0 */
};

#define EMPTY_IS_DEFAULT	0x1u	/* "": as if it was not there */
#define ZERO_IS_DEFAULT	0x2u
#define NOTHING_BEHIND	0x4u	/* understood, but we do nothing */

struct option {
	const char		*path;
	const struct type	*type;
	size_t			 offset;	/* in struct conf */
	int64_t			 def, min, max;	/* durations: nanoseconds */
	const char		*text;		/* default of a string */
	unsigned		 flags;
};

/* -- bool -- */

static int
set_bool(const struct yamldoc *d, const struct option *o,
    const struct yamldoc_node *n, void *field)
{
	static const char *const yes[] = { "true", "yes", "on", "y" };
	static const char *const no[] = { "false", "no", "off", "n" };
	bool	*v = field;
	size_t	 i;

	(void)o;
	for (i = 0; n->kind == YAMLDOC_SCALAR && n->plain &&
	    i < ARRAY_LEN(yes); i++) {
		if (str_ieq(n->text, yes[i]) || str_ieq(n->text, no[i])) {
			*v = str_ieq(n->text, yes[i]);
			return 0;
		}
	}
	return yamldoc_expected(d, n, "expected true or false");
}

static void
init_bool(const struct option *o, void *field)
{
	*(bool *)field = o->def != 0;
}

static const struct type type_bool = { set_bool, init_bool, NULL, 0 };

static int
set_switch(const struct yamldoc *d, const struct option *o,
    const struct yamldoc_node *n, void *field)
{
	bool	v;
	int	r;

	if ((r = set_bool(d, o, n, &v)) == 0)
		*(enum conf_switch *)field = v ? CONF_ON : CONF_OFF;
	return r;
}

static void
init_switch(const struct option *o, void *field)
{
	(void)o;
	*(enum conf_switch *)field = CONF_UNSET;
}

static const struct type type_switch = { set_switch, init_switch, NULL, 0 };

/* -- integers -- */

static int
get_int(const struct yamldoc *d, const struct option *o,
    const struct yamldoc_node *n, uint64_t *v)
{
	/* 010 is eight to one YAML and ten to the next: ask for another. */
	if (n->kind != YAMLDOC_SCALAR || !n->plain ||
	    (n->text[0] == '0' && n->len > 1) ||
	    str_to_u64(n->text, (uint64_t)o->max, v) < 0 ||
	    *v < (uint64_t)o->min)
		return yamldoc_expected(d, n, "expected an integer from "
		    "%lld to %lld", (long long)o->min, (long long)o->max);
	return 0;
}

/* Ranges are the table's business: what comes here fits. */
static void
store(const struct option *o, void *field, int64_t v)
{
	switch (o->type->size) {
	case sizeof(uint16_t):
		*(uint16_t *)field = (uint16_t)v;
		break;
	case sizeof(uint32_t):
		*(uint32_t *)field = (uint32_t)v;
		break;
	default:
		*(int64_t *)field = v;
		break;
	}
}

static void
init_number(const struct option *o, void *field)
{
	store(o, field, o->def);
}

static int
set_int(const struct yamldoc *d, const struct option *o,
    const struct yamldoc_node *n, void *field)
{
	uint64_t	v;
	int		r;

	if ((r = get_int(d, o, n, &v)) == 0)
		store(o, field, (int64_t)v);
	return r;
}

static const struct type type_u16 = {
	set_int, init_number, NULL, sizeof(uint16_t)
};
static const struct type type_u32 = {
	set_int, init_number, NULL, sizeof(uint32_t)
};

/* -- durations -- */

static int
get_duration(const struct yamldoc *d, const struct option *o,
    const struct yamldoc_node *n, int64_t *v)
{
	char	min[32], max[32];

	if (n->kind == YAMLDOC_SCALAR && n->len == 0 &&
	    (o->flags & EMPTY_IS_DEFAULT)) {
		*v = o->def;
		return 0;
	}
	if (n->kind != YAMLDOC_SCALAR || str_to_duration(n->text, v) < 0)
		return yamldoc_expected(d, n, "expected a duration such as "
		    "30m or 1h30m");
	if (*v == 0 && (o->flags & ZERO_IS_DEFAULT))
		*v = o->def;
	if (*v >= o->min && *v <= o->max)
		return 0;
	str_from_duration(o->min, min, sizeof min);
	str_from_duration(o->max, max, sizeof max);
	if (o->max == INT64_MAX)
		return yamldoc_expected(d, n, "expected a duration of at "
		    "least %s", min);
	return yamldoc_expected(d, n, "expected a duration from %s to %s",
	    min, max);
}

static int
set_duration(const struct yamldoc *d, const struct option *o,
    const struct yamldoc_node *n, void *field)
{
	int64_t	v;
	int	r;

	if ((r = get_duration(d, o, n, &v)) == 0)
		store(o, field, v);
	return r;
}

/* Written as a duration, kept as milliseconds in 32 bits. */
static int
set_ms(const struct yamldoc *d, const struct option *o,
    const struct yamldoc_node *n, void *field)
{
	int64_t	v;
	int	r;

	if ((r = get_duration(d, o, n, &v)) == 0)
		store(o, field, v / MS);
	return r;
}

static const struct type type_duration = {
	set_duration, init_number, NULL, sizeof(int64_t)
};
static const struct type type_ms = {
	set_ms, init_number, NULL, sizeof(uint32_t)
};

/* -- names of a fixed set -- */

static int
set_level(const struct yamldoc *d, const struct option *o,
    const struct yamldoc_node *n, void *field)
{
	enum log_level	*v = field;

	(void)o;
	if (n->kind != YAMLDOC_SCALAR || log_level_parse(n->text, v) < 0)
		return yamldoc_expected(d, n, "expected debug, info, warn, "
		    "error or fatal");
	return 0;
}

static void
init_level(const struct option *o, void *field)
{
	*(enum log_level *)field = (enum log_level)o->def;
}

static int
set_signing(const struct yamldoc *d, const struct option *o,
    const struct yamldoc_node *n, void *field)
{
	enum conf_signing	*v = field;

	(void)o;
	if (n->kind == YAMLDOC_SCALAR && str_ieq(n->text, "RS256"))
		*v = CONF_RS256;
	else if (n->kind == YAMLDOC_SCALAR && str_ieq(n->text, "ES256"))
		*v = CONF_ES256;
	else
		return yamldoc_expected(d, n, "expected RS256 or ES256");
	return 0;
}

static void
init_signing(const struct option *o, void *field)
{
	*(enum conf_signing *)field = (enum conf_signing)o->def;
}

static const struct type type_level = { set_level, init_level, NULL, 0 };
static const struct type type_signing = { set_signing, init_signing, NULL, 0 };

/* -- text -- */

static int
no_memory(const struct yamldoc *d)
{
	snprintf(d->err, d->errlen, "%s: out of memory", d->name);
	return -ENOMEM;
}

static int
set_string(const struct yamldoc *d, const struct option *o,
    const struct yamldoc_node *n, void *field)
{
	char	**v = field, *s;

	if (n->kind != YAMLDOC_SCALAR)
		return yamldoc_expected(d, n, "expected text");
	if (n->len == 0 && (o->flags & EMPTY_IS_DEFAULT))
		s = strdup(o->text);
	else
		s = strdup(n->text);
	if (s == NULL)
		return no_memory(d);
	free(*v);
	*v = s;
	return 0;
}

static void
init_string(const struct option *o, void *field)
{
	*(char **)field = xstrdup(o->text != NULL ? o->text : "");
}

static void
free_string(void *field)
{
	char	**v = field;

	free(*v);
	*v = NULL;
}

static const struct type type_string = {
	set_string, init_string, free_string, 0
};

/* -- lists; the field is the pointer of the table's offset and the count
 * behind it -- */

struct patterns {
	char	**item;
	size_t	 n;
};

struct callers {
	struct conf_allowed	*item;
	size_t			 n;
};

static void
free_patterns(void *field)
{
	struct patterns	*v = field;

	while (v->n > 0)
		free(v->item[--v->n]);
	free(v->item);
	v->item = NULL;
}

static void
free_callers(void *field)
{
	struct callers	*v = field;

	while (v->n > 0) {
		v->n--;
		free(v->item[v->n].ns);
		free(v->item[v->n].account);
	}
	free(v->item);
	v->item = NULL;
}

static int
list_length(const struct yamldoc *d, const struct yamldoc_node *n,
    const char *what, size_t *len)
{
	if (n->kind != YAMLDOC_LIST)
		return yamldoc_expected(d, n, "expected a list of %s", what);
	*len = n->last != NULL ? n->last->index + 1 : 0;
	if (*len > LIST_MAX)
		return yamldoc_error(d, n, "expected at most %u %s, got %zu",
		    LIST_MAX, what, *len);
	return 0;
}

int
conf_pattern_check(const char *pattern, char *why, size_t whylen)
{
	regex_t	re;
	int	r = regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB);

	if (r == 0) {
		regfree(&re);
		return 0;
	}
	regerror(r, &re, why, whylen);
	return -EINVAL;
}

static int
set_patterns(const struct yamldoc *d, const struct option *o,
    const struct yamldoc_node *n, void *field)
{
	const struct yamldoc_node	*item;
	struct patterns			*v = field;
	char				 why[128];
	size_t				 len;
	int				 r;

	(void)o;
	if ((r = list_length(d, n, "patterns", &len)) < 0)
		return r;
	free_patterns(v);
	if ((v->item = calloc(len + 1, sizeof *v->item)) == NULL)
		return no_memory(d);
	for (item = n->first; item != NULL; item = item->next) {
		/* An empty pattern would match everything. */
		if (item->kind != YAMLDOC_SCALAR || item->len == 0)
			return yamldoc_expected(d, item,
			    "expected a pattern");
		if (conf_pattern_check(item->text, why, sizeof why) < 0)
			return yamldoc_expected(d, item, "expected an "
			    "extended regular expression (%s)", why);
		if ((v->item[v->n] = strdup(item->text)) == NULL)
			return no_memory(d);
		v->n++;
	}
	return 0;
}

/* Text of a member, "" if it is missing or null. */
static int
member(const struct yamldoc *d, const struct yamldoc_node *map,
    const char *key, char **out)
{
	const struct yamldoc_node	*n = yamldoc_get(map, key);
	const char			*text = "";

	if (n != NULL && !yamldoc_is_null(n)) {
		if (n->kind != YAMLDOC_SCALAR)
			return yamldoc_expected(d, n, "expected text");
		text = n->text;
	}
	if ((*out = strdup(text)) == NULL)
		return no_memory(d);
	return 0;
}

static int
set_callers(const struct yamldoc *d, const struct option *o,
    const struct yamldoc_node *n, void *field)
{
	const struct yamldoc_node	*item;
	struct conf_allowed		*a;
	struct callers			*v = field;
	size_t				 len;
	int				 r;

	(void)o;
	if ((r = list_length(d, n, "callers", &len)) < 0)
		return r;
	free_callers(v);
	if ((v->item = calloc(len + 1, sizeof *v->item)) == NULL)
		return no_memory(d);
	for (item = n->first; item != NULL; item = item->next) {
		if (item->kind != YAMLDOC_MAP)
			return yamldoc_expected(d, item, "expected "
			    "{namespace, serviceAccount}");
		a = &v->item[v->n++];
		if ((r = member(d, item, "namespace", &a->ns)) < 0 ||
		    (r = member(d, item, "serviceAccount", &a->account)) < 0)
			return r;
	}
	return 0;
}

static void
init_list(const struct option *o, void *field)
{
	/* Two lists, one layout: conf_init() cleared both. */
	(void)o;
	(void)field;
}

static const struct type type_patterns = {
	set_patterns, init_list, free_patterns, 0
};
static const struct type type_callers = {
	set_callers, init_list, free_callers, 0
};

_Static_assert(offsetof(struct conf, terminate_orphans.nexclude) ==
    offsetof(struct conf, terminate_orphans.exclude) +
    offsetof(struct patterns, n), "exclude and nexclude are one list");
_Static_assert(offsetof(struct conf_grpc, nallowed) ==
    offsetof(struct conf_grpc, allowed) + offsetof(struct callers, n),
    "allowed and nallowed are one list");

/* -- the table -- */

#define AT(member)	.offset = offsetof(struct conf, member)
#define BOOL(m, d)	.type = &type_bool, AT(m), .def = (d)
#define SWITCH(m)	.type = &type_switch, AT(m)
#define U16(m, d, lo, hi) \
	.type = &type_u16, AT(m), .def = (d), .min = (lo), .max = (hi)
#define U32(m, d, lo, hi) \
	.type = &type_u32, AT(m), .def = (d), .min = (lo), .max = (hi)
#define TEXT(m)		.type = &type_string, AT(m)
#define DURATION(m, d, lo, hi) \
	.type = &type_duration, AT(m), .def = (d), .min = (lo), .max = (hi)
#define TEST_MS(m) \
	.type = &type_ms, AT(limits.h2.m), .min = MS, .max = 24 * HOUR
#define TEST_COUNT(m)	U32(limits.h2.m, 0, 1, 1000000)

static const struct option options[] = {
	{ "system.pprof", BOOL(pprof, false), .flags = NOTHING_BEHIND },
	{ "system.shutdown.grace", DURATION(shutdown_grace_ns,
	    10 * SECOND, 0, GRACE_MAX) },
	{ "system.logLevel", .type = &type_level, AT(log_level),
	    .def = LOG_DEBUG },
	{ "system.apiServer.enabled", BOOL(api_server.enabled, false) },
	{ "system.apiServer.address", TEXT(api_server.address) },
	{ "system.grpc.port", U16(grpc.port, 0, 0, 65535) },
	{ "system.grpc.enableTLS", SWITCH(grpc.enable_tls) },
	{ "system.grpc.certFile", TEXT(grpc.cert_file) },
	{ "system.grpc.keyFile", TEXT(grpc.key_file) },
	{ "system.grpc.certReloadDelay", DURATION(grpc.cert_reload_delay_ns,
	    2 * SECOND, 0, 24 * HOUR), .flags = ZERO_IS_DEFAULT },
	{ "system.grpc.authEnabled", BOOL(grpc.auth_enabled, false) },
	{ "system.grpc.issuerURL", TEXT(grpc.issuer_url),
	    .text = "https://kubernetes.default.svc.cluster.local",
	    .flags = EMPTY_IS_DEFAULT },
	{ "system.grpc.audience", TEXT(grpc.audience) },
	{ "system.grpc.jwksFile", TEXT(grpc.jwks_file) },
	{ "system.grpc.allowed", .type = &type_callers, AT(grpc.allowed) },
	{ "saToken.enabled", BOOL(sa_token.enabled, false) },
	{ "saToken.cacheTokens", BOOL(sa_token.cache_tokens, false) },
	{ "terminateOrphans.enabled", BOOL(terminate_orphans.enabled, true) },
	{ "terminateOrphans.checkInterval",
	    U32(terminate_orphans.check_interval_s, 10, 0, 86400) },
	{ "terminateOrphans.exclude", .type = &type_patterns,
	    AT(terminate_orphans.exclude) },
	{ "terminateOrphans.escalateAfter",
	    DURATION(terminate_orphans.escalate_after_ns, 0, 0, 24 * HOUR) },
	{ "reapZombies.enabled", BOOL(reap_zombies.enabled, true) },
	{ "shells.detachedTTL", DURATION(shells.detached_ttl_ns, 30 * MINUTE,
	    0, INT64_MAX), .flags = EMPTY_IS_DEFAULT },
	{ "shells.allowUnlimittedTTL",
	    BOOL(shells.allow_unlimited_ttl, false) },
	{ "shells.allowSessionDetach",
	    BOOL(shells.allow_session_detach, false) },
	{ "shells.killOnLostAttach", BOOL(shells.kill_on_lost_attach, false) },
	{ "identity.tokenPath", TEXT(identity.token_path) },
	{ "identity.publicKeyPath", TEXT(identity.public_key_path) },
	{ "identity.signingMethod", .type = &type_signing,
	    AT(identity.signing_method), .def = CONF_RS256 },
	{ "limits.forksPerSecond",
	    U32(limits.forks_per_second, 200, 1, 100000) },
	{ "limits.forkBurst", U32(limits.fork_burst, 256, 1, 100000) },
	{ "limits.starting", U32(limits.starting_max, 256, 1, 4096) },
	{ "limits.connections", U32(limits.connections, 64, 1, 65536) },
	{ "limits.unauthenticated",
	    U32(limits.unauthenticated, 16, 1, 65536) },
	{ "limits.h2.maxStreams", TEST_COUNT(max_streams) },
	{ "limits.h2.resetBurst", TEST_COUNT(reset_burst) },
	{ "limits.h2.resetPerSecond", TEST_COUNT(reset_per_second) },
	{ "limits.h2.keepalive", TEST_MS(keepalive_ms) },
	{ "limits.h2.keepaliveWait", TEST_MS(keepalive_wait_ms) },
	{ "limits.h2.settingsAck", TEST_MS(settings_ack_ms) },
	{ "limits.h2.idle", TEST_MS(idle_ms) },
	{ "limits.h2.handshake", TEST_MS(handshake_ms) },
	{ "limits.h2.firstToken", TEST_MS(first_token_ms) },
	{ "limits.h2.writeStall", TEST_MS(write_stall_ms) },
};

static void *
field_of(struct conf *c, const struct option *o)
{
	return (char *)c + o->offset;
}

static const struct option *
find_option(const char *path)
{
	size_t	i;

	for (i = 0; i < ARRAY_LEN(options); i++)
		if (strcmp(options[i].path, path) == 0)
			return &options[i];
	return NULL;
}

/* Does an option's path go on behind this one? */
static bool
is_section(const char *path)
{
	size_t	i, n = strlen(path);

	for (i = 0; i < ARRAY_LEN(options); i++)
		if (str_prefix(options[i].path, path) &&
		    options[i].path[n] == '.')
			return true;
	return false;
}

void
conf_init(struct conf *c)
{
	size_t	i;

	memset(c, 0, sizeof *c);
	for (i = 0; i < ARRAY_LEN(options); i++)
		options[i].type->init(&options[i], field_of(c, &options[i]));
}

void
conf_finish(struct conf *c)
{
	const struct option	*o;
	size_t			 i;

	for (i = 0; i < ARRAY_LEN(options); i++) {
		o = &options[i];
		if (o->type->free != NULL)
			o->type->free(field_of(c, o));
	}
}

/* -- the document -- */

static void
warn(struct conf *c, const struct yamldoc *d, const struct yamldoc_node *n,
    const char *text)
{
	char	path[256];

	yamldoc_path(n, path, sizeof path);
	log_warn("conf", "%s:%u:%u: %s: %s", d->name, n->key_line, n->key_col,
	    path, text);
	c->warnings++;
}

/* What is odd about allowed callers without being wrong. */
static void
check_callers(struct conf *c, const struct yamldoc *d,
    const struct yamldoc_node *list)
{
	const struct yamldoc_node	*item, *n;
	size_t				 i = 0;

	for (item = list->first; item != NULL; item = item->next, i++) {
		for (n = item->first; n != NULL; n = n->next)
			if (strcmp(n->key, "namespace") != 0 &&
			    strcmp(n->key, "serviceAccount") != 0)
				warn(c, d, n, "unknown key, ignored");
		if (c->grpc.allowed[i].account[0] != '\0')
			continue;
		log_warn("conf", "%s:%u:%u: system.grpc.allowed[%zu]: "
		    "no serviceAccount, so it allows nobody", d->name,
		    item->line, item->col, i);
		c->warnings++;
	}
}

static int
set_option(struct conf *c, const struct yamldoc *d, const struct option *o,
    const struct yamldoc_node *n)
{
	int	r;

	if (yamldoc_is_null(n))
		return 0;
	if ((r = o->type->set(d, o, n, field_of(c, o))) < 0)
		return r;
	if ((o->flags & NOTHING_BEHIND) && *(bool *)field_of(c, o))
		warn(c, d, n, "not available, ignored");
	if (o->type == &type_callers)
		check_callers(c, d, n);
	return 0;
}

static int
read_section(struct conf *c, const struct yamldoc *d,
    const struct yamldoc_node *map, const char *prefix)
{
	const struct yamldoc_node	*n;
	const struct option		*o;
	char				 path[KEY_PATH_MAX];
	int				 r = 0;

	for (n = map->first; n != NULL && r == 0; n = n->next) {
		/* "a.b: 1" is not "a: {b: 1}". */
		if (strchr(n->key, '.') != NULL ||
		    str_format(path, sizeof path, "%s%s%s", prefix,
		    prefix[0] != '\0' ? "." : "", n->key) < 0)
			path[0] = '\0';
		if ((o = find_option(path)) != NULL)
			r = set_option(c, d, o, n);
		else if (!is_section(path))
			warn(c, d, n, "unknown key, ignored");
		else if (n->kind == YAMLDOC_MAP)
			r = read_section(c, d, n, path);
		else if (!yamldoc_is_null(n))
			r = yamldoc_expected(d, n, "expected a mapping");
	}
	return r;
}

int
conf_parse(struct conf *c, const char *name, const void *text, size_t n,
    char *err, size_t errlen)
{
	struct yamldoc	d;
	int		r;

	yamldoc_init(&d, name, true, err, errlen);
	if ((r = yamldoc_parse(&d, text, n)) < 0)
		goto out;
	if (d.root == NULL) {
		log_warn("conf", "%s: empty, defaults are used", name);
		c->warnings++;
	} else if (d.root->kind != YAMLDOC_MAP) {
		r = yamldoc_expected(&d, d.root, "expected a mapping");
	} else {
		r = read_section(c, &d, d.root, "");
	}
out:
	yamldoc_finish(&d);
	return r;
}

int
conf_load(struct conf *c, const char *path, char *err, size_t errlen)
{
	char	*text;
	size_t	 n;
	int	 r;

	if ((r = file_read(path, YAMLDOC_TEXT_MAX, &text, &n)) < 0) {
		snprintf(err, errlen, "%s: %s", path,
		    r == -EFBIG ? "larger than 1 MiB" : strerror(-r));
		return r;
	}
	r = conf_parse(c, path, text, n, err, errlen);
	free(text);
	return r;
}
