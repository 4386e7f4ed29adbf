/*
 * blueprint - what the platform made this workspace from (blueprint.yaml).
 *
 * The text is kept as it was read; of its meaning only what the daemon uses.
 * A field of the wrong type is warned about, with line and column, and left
 * out; the others stand (spec/bootstrap.md 3.2, weakness 37).  Text that is not
 * YAML leaves every field empty.  Nothing is expanded.
 */
#ifndef CONF_BLUEPRINT_H
#define CONF_BLUEPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLUEPRINT_STORAGES_MAX	64u	/* of either kind */
#define BLUEPRINT_PATTERNS_MAX	64u

struct blueprint_storage {
	char	*path;		/* absolute, no slash at its end */
	uint64_t declared;	/* bytes of the claim; 0: none or unreadable */
};

struct blueprint_storages {
	struct blueprint_storage *item;
	size_t	 n;
};

struct blueprint {
	char	*text;			/* terminated beyond its len bytes */
	size_t	 len;
	/* The metadata beside the `blueprint` map; "" if unset. */
	char	*name, *repo_name, *repo_ref, *repo_owner, *repo_address;
	char	*splash;		/* "" if unset */
	bool	 show_init_script_status;
	bool	 enable_apps;
	/* k8shelld.ignoreOrphans: valid patterns, as terminateOrphans.exclude
	 * of the configuration. */
	char	**ignore_orphans;
	size_t	 nignore_orphans;
	struct blueprint_storages storages;
	struct {
		bool	 enabled, create_docker_sock_symlink;
		struct blueprint_storages storages;
	} podman;
	unsigned warnings;		/* logged while reading */
};

/*
 * *out is NULL if there is no such file: that is 0, too.  Warnings go to the
 * log.  Otherwise -ENOMEM, or -errno if the file can't be read.
 */
int	 blueprint_load(struct blueprint **out, const char *path);
/* 0 or -ENOMEM; name begins the warnings. */
int	 blueprint_parse(struct blueprint **out, const char *name,
	    const void *text, size_t n);
void	 blueprint_destroy(struct blueprint *b);	/* NULL is allowed */

/* Claim of the first storage that path lies in, or 0. */
uint64_t blueprint_declared(const struct blueprint_storages *s,
	    const char *path);

#endif
