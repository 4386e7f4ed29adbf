#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "conf/profile.h"
#include "conf/yamldoc.h"

#define PROFILE_ROLES_MAX	256
#define PROFILE_FILE_MAX	(256u * 1024)

static const struct text_key {
	const char	*key;
	size_t		 offset;
} text_keys[] = {
	{ "username", offsetof(struct profile, username) },
	{ "organization", offsetof(struct profile, organization) },
	{ "fullname", offsetof(struct profile, fullname) },
	{ "email", offsetof(struct profile, email) },
	{ "shell", offsetof(struct profile, shell) },
	{ "source", offsetof(struct profile, source) },
};

static char **
text_field(struct profile *p, const struct text_key *k)
{
	return (char **)(void *)((char *)p + k->offset);
}

void
profile_init(struct profile *p)
{
	memset(p, 0, sizeof *p);
}

void
profile_finish(struct profile *p)
{
	size_t	i;

	for (i = 0; i < ARRAY_LEN(text_keys); i++)
		free(*text_field(p, &text_keys[i]));
	for (i = 0; i < p->nroles; i++)
		free(p->roles[i]);
	free(p->roles);
	profile_init(p);
}

static int
no_memory(const struct yamldoc *d)
{
	snprintf(d->err, d->errlen, "%s: out of memory", d->name);
	return -ENOMEM;
}

/* Member that is there and is not null, or NULL. */
static const struct yamldoc_node *
find(const struct yamldoc_node *map, const char *key)
{
	const struct yamldoc_node	*n = yamldoc_get(map, key);

	return n != NULL && !yamldoc_is_null(n) ? n : NULL;
}

static int
read_text(const struct yamldoc *d, const struct yamldoc_node *map,
    const char *key, char **out)
{
	const struct yamldoc_node	*n = find(map, key);
	char				*s;

	if (n != NULL && n->kind != YAMLDOC_SCALAR)
		return yamldoc_expected(d, n, "expected text");
	if ((s = strdup(n != NULL ? n->text : "")) == NULL)
		return no_memory(d);
	free(*out);
	*out = s;
	return 0;
}

static int
read_id(const struct yamldoc *d, const struct yamldoc_node *map,
    const char *key, bool *has, uint32_t *id)
{
	const struct yamldoc_node	*n = find(map, key);

	if (n == NULL)
		return 0;
	/* 010 is eight to one YAML and ten to the next. */
	if (n->kind != YAMLDOC_SCALAR || (n->text[0] == '0' && n->len > 1) ||
	    str_to_u32(n->text, UINT32_MAX, id) < 0)
		return yamldoc_expected(d, n, "expected a decimal id from 0 "
		    "to 4294967295");
	*has = true;
	return 0;
}

static int
read_sudo(const struct yamldoc *d, const struct yamldoc_node *map, bool *sudo)
{
	const struct yamldoc_node	*n = find(map, "sudo");

	if (n == NULL)
		return 0;
	if (n->kind == YAMLDOC_SCALAR && n->plain &&
	    (str_ieq(n->text, "true") || str_ieq(n->text, "false"))) {
		*sudo = str_ieq(n->text, "true");
		return 0;
	}
	return yamldoc_expected(d, n, "expected true or false");
}

static int
read_roles(const struct yamldoc *d, const struct yamldoc_node *map,
    struct profile *p)
{
	const struct yamldoc_node	*n = find(map, "roles"), *item;

	if (n == NULL)
		return 0;
	if (n->kind != YAMLDOC_LIST)
		return yamldoc_expected(d, n, "expected a list of roles");
	if (n->first == NULL)
		return 0;
	if (n->last->index >= PROFILE_ROLES_MAX)
		return yamldoc_error(d, n, "expected at most %u roles",
		    PROFILE_ROLES_MAX);
	p->roles = calloc(n->last->index + 1, sizeof *p->roles);
	if (p->roles == NULL)
		return no_memory(d);
	for (item = n->first; item != NULL; item = item->next) {
		if (item->kind != YAMLDOC_SCALAR || item->len == 0)
			return yamldoc_expected(d, item, "expected a role");
		if ((p->roles[p->nroles] = strdup(item->text)) == NULL)
			return no_memory(d);
		p->nroles++;
	}
	return 0;
}

static int
read_map(const struct yamldoc *d, const struct yamldoc_node *map,
    struct profile *p)
{
	size_t	i;
	int	r;

	for (i = 0; i < ARRAY_LEN(text_keys); i++) {
		r = read_text(d, map, text_keys[i].key,
		    text_field(p, &text_keys[i]));
		if (r < 0)
			return r;
	}
	if ((r = read_id(d, map, "uid", &p->has_uid, &p->uid)) < 0 ||
	    (r = read_id(d, map, "gid", &p->has_gid, &p->gid)) < 0 ||
	    (r = read_sudo(d, map, &p->sudo)) < 0)
		return r;
	return read_roles(d, map, p);
}

int
profile_parse(struct profile *p, const char *name, const void *text, size_t n,
    char *err, size_t errlen)
{
	const struct yamldoc_node	*map, *inner;
	struct yamldoc			 d;
	int				 r;

	yamldoc_init(&d, name, false, err, errlen);
	if ((r = yamldoc_parse(&d, text, n)) < 0)
		goto out;
	if ((map = d.root) == NULL) {
		snprintf(err, errlen, "%s: is empty", name);
		r = -EINVAL;
		goto out;
	}
	if (map->kind != YAMLDOC_MAP) {
		r = yamldoc_expected(&d, map, "expected a mapping");
		goto out;
	}
	/* A form the platform had for a while. */
	inner = yamldoc_get(map, "profile");
	if (inner != NULL && inner->kind == YAMLDOC_MAP &&
	    yamldoc_get(map, "username") == NULL)
		map = inner;
	r = read_map(&d, map, p);
out:
	yamldoc_finish(&d);
	return r;
}

int
profile_load(struct profile *p, const char *path, char *err, size_t errlen)
{
	char	*text;
	size_t	 n;
	int	 r;

	if ((r = file_read(path, PROFILE_FILE_MAX, &text, &n)) < 0) {
		snprintf(err, errlen, "%s: %s", path, strerror(-r));
		return r;
	}
	r = profile_parse(p, path, text, n, err, errlen);
	free(text);
	return r;
}
