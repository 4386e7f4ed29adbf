/*
 * yamldoc - one YAML document as a tree, with positions.
 *
 * Reads what people write by hand: maps, lists and scalars.  Anchors, aliases,
 * second documents, keys that are not text and keys given twice are refused.
 * Where the options allow it, ${NAME} is replaced from the environment (a
 * variable that is not set is an error) and "!file path" by the trimmed
 * content of that file, which is not expanded again.  An expanded scalar may
 * still be a number or a bool, but never a null.
 *
 * Knows no schema.  Everything lives in one arena until yamldoc_finish().
 */
#ifndef CONF_YAMLDOC_H
#define CONF_YAMLDOC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

#define YAMLDOC_TEXT_MAX	(1024u * 1024)	/* a ConfigMap's limit */
#define YAMLDOC_FILE_MAX	(64u * 1024)	/* behind one !file */
#define YAMLDOC_DEPTH_MAX	16
#define YAMLDOC_NODES_MAX	8192	/* duplicates are found by comparing */
#define YAMLDOC_MEM_MAX		(8u * 1024 * 1024)	/* ${VAR} multiplies */

enum yamldoc_kind { YAMLDOC_SCALAR, YAMLDOC_LIST, YAMLDOC_MAP };

struct yamldoc_node {
	enum yamldoc_kind kind;
	bool		 plain;		/* unquoted: may be a number, ... */
	bool		 expanded;	/* not as written: show nobody */
	unsigned	 line, col;	/* of the value, from 1 */
	char		*text;		/* scalar: terminated, no NUL inside */
	size_t		 len;
	char		*key;		/* member of a map, else NULL */
	size_t		 key_len;
	unsigned	 key_line, key_col;
	unsigned	 index;		/* place among its siblings */
	struct yamldoc_node *parent, *next;
	struct yamldoc_node *first, *last;	/* of a list or map */
};

struct yamldoc {
	const char	*name;		/* borrowed; begins every message */
	bool		 expand;	/* ${NAME} and !file */
	char		*err;		/* borrowed, errlen bytes */
	size_t		 errlen;
	struct yamldoc_node *root;	/* NULL: empty or null */
	unsigned	 nodes;
	struct arena	 arena;
};

/* !file is relative to the folder of name. */
void	 yamldoc_init(struct yamldoc *d, const char *name, bool expand,
	    char *err, size_t errlen);
void	 yamldoc_finish(struct yamldoc *d);

/* 0, or -EINVAL, -E2BIG or -ENOMEM with err filled. */
int	 yamldoc_parse(struct yamldoc *d, const void *text, size_t n);

/* Null, ~ or nothing at all, unquoted. */
bool	 yamldoc_is_null(const struct yamldoc_node *n);

/* Member of a map, or NULL. */
const struct yamldoc_node *yamldoc_get(const struct yamldoc_node *map,
	    const char *key);

/* "a.b[2].c", escaped; cut if it does not fit. */
void	 yamldoc_path(const struct yamldoc_node *n, char *out, size_t outlen);

/* What stands there, for messages: `"text"`, "a list", ... */
void	 yamldoc_describe(const struct yamldoc_node *n, char *out,
	    size_t outlen);

/* Fills err with "name:line:col: path: text"; returns -EINVAL. */
int	 yamldoc_error(const struct yamldoc *d, const struct yamldoc_node *n,
	    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Same, ending in ", got <description>". */
int	 yamldoc_expected(const struct yamldoc *d,
	    const struct yamldoc_node *n, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));

#endif
