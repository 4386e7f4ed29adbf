#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "conf/blueprint.h"
#include "conf/conf.h"
#include "conf/quantity.h"
#include "conf/yamldoc.h"

#define COMPONENT	"k8shelld"
#define ERROR_MAX	512

struct reader {
	struct blueprint *b;
	struct yamldoc	 doc;
	bool		 no_memory;
	char		 err[ERROR_MAX];
};

/* Says what doc.err holds; the field stays as it is. */
static void
warn(struct reader *r)
{
	log_warn(COMPONENT, "%s", r->err);
	r->b->warnings++;
}

/* Member that is there and is not null, or NULL. */
static const struct yamldoc_node *
find(const struct yamldoc_node *map, const char *key)
{
	const struct yamldoc_node	*n;

	if (map == NULL || map->kind != YAMLDOC_MAP)
		return NULL;
	n = yamldoc_get(map, key);
	return n != NULL && !yamldoc_is_null(n) ? n : NULL;
}

/* The same, of one kind. */
static const struct yamldoc_node *
find_kind(struct reader *r, const struct yamldoc_node *map, const char *key,
    enum yamldoc_kind kind)
{
	static const char *const	 names[] = {
		[YAMLDOC_SCALAR] = "text", [YAMLDOC_LIST] = "a list",
		[YAMLDOC_MAP] = "a mapping",
	};
	const struct yamldoc_node	*n = find(map, key);

	if (n == NULL || n->kind == kind)
		return n;
	yamldoc_expected(&r->doc, n, "expected %s", names[kind]);
	warn(r);
	return NULL;
}

static char *
copy(struct reader *r, const char *s)
{
	char	*p = strdup(s);

	if (p == NULL)
		r->no_memory = true;
	return p;
}

static char *
read_text(struct reader *r, const struct yamldoc_node *map, const char *key)
{
	const struct yamldoc_node	*n;

	n = find_kind(r, map, key, YAMLDOC_SCALAR);
	return copy(r, n != NULL ? n->text : "");
}

static bool
read_bool(struct reader *r, const struct yamldoc_node *map, const char *key)
{
	const struct yamldoc_node	*n;

	if ((n = find_kind(r, map, key, YAMLDOC_SCALAR)) == NULL)
		return false;
	if (n->plain && str_ieq(n->text, "true"))
		return true;
	if (!n->plain || !str_ieq(n->text, "false")) {
		yamldoc_expected(&r->doc, n, "expected true or false");
		warn(r);
	}
	return false;
}

/* claimSpec.resources.requests.storage */
static uint64_t
read_claim(struct reader *r, const struct yamldoc_node *storage)
{
	static const char *const	 path[] = {
		"claimSpec", "resources", "requests"
	};
	const struct yamldoc_node	*n = storage;
	uint64_t			 v;
	size_t				 i;

	for (i = 0; i < ARRAY_LEN(path) && n != NULL; i++)
		n = find_kind(r, n, path[i], YAMLDOC_MAP);
	n = find_kind(r, n, "storage", YAMLDOC_SCALAR);
	if (n == NULL)
		return 0;
	if (quantity_parse(n->text, &v) == 0)
		return v;
	yamldoc_expected(&r->doc, n, "expected a quantity such as 10Gi");
	warn(r);
	return 0;
}

static void
read_storage(struct reader *r, const struct yamldoc_node *n,
    struct blueprint_storages *s)
{
	struct blueprint_storage	*item = &s->item[s->n];
	const struct yamldoc_node	*path;
	size_t				 len;

	if (n->kind != YAMLDOC_MAP) {
		yamldoc_expected(&r->doc, n, "expected a storage");
		warn(r);
		return;
	}
	if ((path = find_kind(r, n, "path", YAMLDOC_SCALAR)) == NULL)
		return;
	if (path->text[0] != '/') {
		yamldoc_expected(&r->doc, path, "expected an absolute path");
		warn(r);
		return;
	}
	item->declared = read_claim(r, n);
	if ((item->path = copy(r, path->text)) == NULL)
		return;
	for (len = path->len; len > 1 && item->path[len - 1] == '/'; len--)
		item->path[len - 1] = '\0';
	s->n++;
}

static void
read_storages(struct reader *r, const struct yamldoc_node *map,
    struct blueprint_storages *s)
{
	const struct yamldoc_node	*list, *n;
	size_t				 count;

	list = find_kind(r, map, "storages", YAMLDOC_LIST);
	if (list == NULL || list->first == NULL)
		return;
	count = list->last->index + 1;
	if (count > BLUEPRINT_STORAGES_MAX) {
		yamldoc_error(&r->doc, list, "only the first %u are looked at",
		    BLUEPRINT_STORAGES_MAX);
		warn(r);
		count = BLUEPRINT_STORAGES_MAX;
	}
	if ((s->item = calloc(count, sizeof *s->item)) == NULL) {
		r->no_memory = true;
		return;
	}
	for (n = list->first; n != NULL && n->index < count; n = n->next)
		read_storage(r, n, s);
}

static void
read_pattern(struct reader *r, const struct yamldoc_node *n)
{
	struct blueprint	*b = r->b;
	char			 why[128] = "empty";

	if (n->kind != YAMLDOC_SCALAR || n->len == 0 ||
	    conf_pattern_check(n->text, why, sizeof why) < 0) {
		yamldoc_expected(&r->doc, n, "expected an extended regular "
		    "expression (%s)", n->kind == YAMLDOC_SCALAR ? why :
		    "not text");
		warn(r);
		return;
	}
	b->ignore_orphans[b->nignore_orphans] = copy(r, n->text);
	if (b->ignore_orphans[b->nignore_orphans] != NULL)
		b->nignore_orphans++;
}

static void
read_patterns(struct reader *r, const struct yamldoc_node *map)
{
	const struct yamldoc_node	*list, *n;

	list = find_kind(r, map, "ignoreOrphans", YAMLDOC_LIST);
	if (list == NULL || list->first == NULL)
		return;
	r->b->ignore_orphans = calloc(BLUEPRINT_PATTERNS_MAX,
	    sizeof *r->b->ignore_orphans);
	if (r->b->ignore_orphans == NULL) {
		r->no_memory = true;
		return;
	}
	for (n = list->first; n != NULL &&
	    r->b->nignore_orphans < BLUEPRINT_PATTERNS_MAX; n = n->next)
		read_pattern(r, n);
	if (n != NULL) {
		yamldoc_error(&r->doc, n, "only the first %u are looked at",
		    BLUEPRINT_PATTERNS_MAX);
		warn(r);
	}
}

static void
read_fields(struct reader *r)
{
	const struct yamldoc_node	*root = r->doc.root, *map;
	struct blueprint		*b = r->b;

	if (root != NULL && root->kind != YAMLDOC_MAP) {
		yamldoc_expected(&r->doc, root, "expected a mapping");
		warn(r);
	}
	map = find_kind(r, root, "metadata", YAMLDOC_MAP);
	b->name = read_text(r, map, "name");
	b->repo_name = read_text(r, map, "repoName");
	b->repo_ref = read_text(r, map, "repoRef");
	b->repo_owner = read_text(r, map, "repoOwner");
	b->repo_address = read_text(r, map, "repoAddress");
	map = find_kind(r, root, "blueprint", YAMLDOC_MAP);
	b->splash = read_text(r, map, "splash");
	b->show_init_script_status = read_bool(r, map, "showInitScriptStatus");
	b->enable_apps = read_bool(r, map, "enableApps");
	read_storages(r, map, &b->storages);
	read_patterns(r, find_kind(r, map, "k8shelld", YAMLDOC_MAP));
	map = find_kind(r, map, "podman", YAMLDOC_MAP);
	b->podman.enabled = read_bool(r, map, "enabled");
	b->podman.create_docker_sock_symlink = read_bool(r, map,
	    "createDockerSockSymlink");
	read_storages(r, map, &b->podman.storages);
}

int
blueprint_parse(struct blueprint **out, const char *name, const void *text,
    size_t n)
{
	struct reader	*r = calloc(1, sizeof *r);
	int		 err = 0;

	if (r == NULL || (r->b = calloc(1, sizeof *r->b)) == NULL ||
	    (r->b->text = malloc(n + 1)) == NULL) {
		if (r != NULL)
			blueprint_destroy(r->b);
		free(r);
		return -ENOMEM;
	}
	if (n > 0)
		memcpy(r->b->text, text, n);
	r->b->text[n] = '\0';
	r->b->len = n;
	yamldoc_init(&r->doc, name, false, r->err, sizeof r->err);
	if ((err = yamldoc_parse(&r->doc, text, n)) < 0 && err != -ENOMEM) {
		r->doc.root = NULL;
		err = 0;
		warn(r);
	}
	if (err == 0)
		read_fields(r);
	if (err < 0 || r->no_memory) {
		err = -ENOMEM;
		blueprint_destroy(r->b);
	} else {
		*out = r->b;		/* now the caller's */
	}
	yamldoc_finish(&r->doc);
	free(r);
	return err;
}

int
blueprint_load(struct blueprint **out, const char *path)
{
	char	*text;
	size_t	 n;
	int	 r;

	r = file_read(path, YAMLDOC_TEXT_MAX, &text, &n);
	if (r == -ENOENT || r == -ENOTDIR) {
		*out = NULL;
		return 0;
	}
	if (r < 0)
		return r;
	r = blueprint_parse(out, path, text, n);
	free(text);
	return r;
}

static void
storages_finish(struct blueprint_storages *s)
{
	size_t	i;

	for (i = 0; i < s->n; i++)
		free(s->item[i].path);
	free(s->item);
}

void
blueprint_destroy(struct blueprint *b)
{
	if (b == NULL)
		return;
	storages_finish(&b->storages);
	storages_finish(&b->podman.storages);
	free(b->name);
	free(b->repo_name);
	free(b->repo_ref);
	free(b->repo_owner);
	free(b->repo_address);
	free(b->splash);
	while (b->nignore_orphans > 0)
		free(b->ignore_orphans[--b->nignore_orphans]);
	free(b->ignore_orphans);
	free(b->text);
	free(b);
}

uint64_t
blueprint_declared(const struct blueprint_storages *s, const char *path)
{
	size_t	i, n;

	for (i = 0; i < s->n; i++) {
		n = strlen(s->item[i].path);
		if (str_prefix(path, s->item[i].path) &&
		    (path[n] == '\0' || path[n] == '/' || n == 1))
			return s->item[i].declared;
	}
	return 0;
}
