/* engine_json - the answers of podman and docker that engine reads. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "workspace/engine.h"

#define PATH_LEN	128

/*
 * Every scalar, and every end of an object, with where it stands:
 * "store.graphRoot", "Images[].Size".
 */
struct walk {
	struct json	 json;
	char		 path[PATH_LEN];
	void		(*fn)(void *arg, const struct walk *w,
			    enum json_type t);
	void		*arg;
};

struct df {
	struct engine_usage u;
	uint64_t	 size, virtual;	/* of the image being read */
};

static int	walk_value(struct walk *w, enum json_type t);

static int
walk_object(struct walk *w)
{
	size_t		len = strlen(w->path), at;
	enum json_type	t;

	while ((t = json_next(&w->json)) == JSON_KEY) {
		at = len;
		if (len > 0 && len < PATH_LEN - 1)
			w->path[at++] = '.';
		if (json_text(&w->json, w->path + at, PATH_LEN - at) < 0)
			/* Too long for any we look for. */
			snprintf(w->path + at, PATH_LEN - at, "?");
		if (walk_value(w, json_next(&w->json)) < 0)
			return -EINVAL;
	}
	w->path[len] = '\0';
	w->fn(w->arg, w, JSON_OBJECT_END);
	return t == JSON_OBJECT_END ? 0 : -EINVAL;
}

static int
walk_array(struct walk *w)
{
	size_t		len = strlen(w->path);
	enum json_type	t;

	while ((t = json_next(&w->json)) != JSON_ARRAY_END) {
		snprintf(w->path + len, PATH_LEN - len, "[]");
		if (walk_value(w, t) < 0)
			return -EINVAL;
	}
	return 0;
}

/* Depth is limited by the reader. */
static int
walk_value(struct walk *w, enum json_type t)
{
	switch (t) {
	case JSON_OBJECT:
		return walk_object(w);
	case JSON_ARRAY:
		return walk_array(w);
	case JSON_STRING:
	case JSON_NUMBER:
		w->fn(w->arg, w, t);
		return 0;
	case JSON_TRUE:
	case JSON_FALSE:
	case JSON_NULL:
		return 0;
	default:
		return -EINVAL;
	}
}

static int
walk(const void *p, size_t n, void (*fn)(void *arg, const struct walk *w,
    enum json_type t), void *arg)
{
	struct walk	w = { .fn = fn, .arg = arg };

	json_init(&w.json, p, n);
	if (walk_value(&w, json_next(&w.json)) < 0 ||
	    json_next(&w.json) != JSON_END)
		return -EINVAL;
	return 0;
}

/* -- what a value is good for ---------------------------------------------- */

static bool
is_at(const struct walk *w, const char *path)
{
	return strcmp(w->path, path) == 0;
}

static void
take_text(const struct walk *w, enum json_type t, const char *path,
    char *out, size_t outlen)
{
	if (t == JSON_STRING && is_at(w, path))
		(void)json_text(&w->json, out, outlen);
}

/* False: not there, no whole number, or negative. */
static bool
take_number(const struct walk *w, enum json_type t, const char *path,
    uint64_t *v)
{
	int64_t	i;

	if (t != JSON_NUMBER || !is_at(w, path) ||
	    json_int(&w->json, &i) < 0 || i < 0)
		return false;
	*v = (uint64_t)i;
	return true;
}

static void
take_count(const struct walk *w, enum json_type t, const char *path,
    int64_t *v)
{
	uint64_t	u;

	if (take_number(w, t, path, &u))
		*v = (int64_t)u;
}

static void
add(uint64_t *sum, uint64_t v)
{
	*sum = v > UINT64_MAX - *sum ? UINT64_MAX : *sum + v;
}

static void
take_sum(const struct walk *w, enum json_type t, const char *path,
    uint64_t *sum)
{
	uint64_t	v;

	if (take_number(w, t, path, &v))
		add(sum, v);
}

/* -- the four answers ------------------------------------------------------ */

static void
on_version(void *arg, const struct walk *w, enum json_type t)
{
	struct engine_usage	*u = arg;

	take_text(w, t, "ApiVersion", u->api_version, sizeof u->api_version);
	take_text(w, t, "Version", u->version, sizeof u->version);
}

static void
on_libpod(void *arg, const struct walk *w, enum json_type t)
{
	struct engine_usage	*u = arg;

	take_text(w, t, "store.graphRoot", u->root_dir, sizeof u->root_dir);
	take_text(w, t, "store.graphDriverName", u->driver,
	    sizeof u->driver);
	take_text(w, t, "store.runRoot", u->run_root, sizeof u->run_root);
	take_text(w, t, "version.Version", u->version, sizeof u->version);
	(void)take_number(w, t, "store.graphRootUsed", &u->total);
	take_count(w, t, "store.containerStore.number", &u->all);
	take_count(w, t, "store.containerStore.running", &u->running);
	take_count(w, t, "store.containerStore.paused", &u->paused);
	take_count(w, t, "store.containerStore.stopped", &u->stopped);
}

static void
on_info(void *arg, const struct walk *w, enum json_type t)
{
	struct engine_usage	*u = arg;

	take_text(w, t, "DockerRootDir", u->root_dir, sizeof u->root_dir);
}

static void
on_df(void *arg, const struct walk *w, enum json_type t)
{
	struct df	*df = arg;

	(void)take_number(w, t, "Images[].Size", &df->size);
	(void)take_number(w, t, "Images[].VirtualSize", &df->virtual);
	if (t == JSON_OBJECT_END && is_at(w, "Images[]")) {
		add(&df->u.images, df->size > 0 ? df->size : df->virtual);
		df->size = df->virtual = 0;
	}
	take_sum(w, t, "Containers[].SizeRw", &df->u.containers);
	take_sum(w, t, "Containers[].SizeRootFs", &df->u.containers_rootfs);
	take_sum(w, t, "Volumes[].UsageData.Size", &df->u.volumes);
	take_sum(w, t, "BuildCache[].Size", &df->u.build_cache);
}

static int
read_into(struct engine_usage *u, const void *p, size_t n,
    void (*fn)(void *arg, const struct walk *w, enum json_type t))
{
	struct engine_usage	copy = *u;
	int			r;

	if ((r = walk(p, n, fn, &copy)) == 0)
		*u = copy;
	return r;
}

int
engine_read_version(struct engine_usage *u, const void *p, size_t n)
{
	return read_into(u, p, n, on_version);
}

int
engine_read_libpod(struct engine_usage *u, const void *p, size_t n)
{
	int	r = read_into(u, p, n, on_libpod);

	u->podman = r == 0;
	return r;
}

int
engine_read_info(struct engine_usage *u, const void *p, size_t n)
{
	return read_into(u, p, n, on_info);
}

int
engine_read_df(struct engine_usage *u, const void *p, size_t n)
{
	struct df	df = { .u = *u };
	int		r;

	df.u.images = df.u.containers = df.u.containers_rootfs = 0;
	df.u.volumes = df.u.build_cache = 0;
	if ((r = walk(p, n, on_df, &df)) == 0)
		*u = df.u;
	return r;
}
