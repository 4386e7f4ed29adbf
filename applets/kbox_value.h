/*
 * kbox_value - an answer of the daemon as a tree, and JSON for people.
 *
 * Nodes are in the arena of kbox and point into the answer for what was
 * written there.
 */
#ifndef APPLETS_KBOX_VALUE_H
#define APPLETS_KBOX_VALUE_H

#include "applets/kbox.h"
#include "base/json.h"

struct value {
	enum json_type	 type;		/* never an _END, KEY or ERROR */
	const char	*key;		/* decoded; "" in an array */
	const char	*text;		/* of a string decoded, of a number */
	const char	*raw;		/* as it came */
	size_t		 rawlen;
	struct value	*kids, *next;
};

/* NULL after a message if it is not one JSON value. */
struct value *value_parse(struct kbox *k, const struct kbox_answer *a);

/* Member of an object; NULL if v is NULL, not an object, or has none. */
const struct value *value_get(const struct value *v, const char *key);
/* Text of a string or number member; "" if there is none or it is null. */
const char *value_text(const struct value *v, const char *key);
double	 value_number(const struct value *v, const char *key, double none);
uint64_t value_count(const struct value *v, const char *key);	/* 0: none */
bool	 value_true(const struct value *v, const char *key);
/* An RFC 3339 member; false if it is not one. */
bool	 value_time(const struct value *v, const char *key, int64_t *ns);

/* Two spaces a level; the text of strings and numbers is not touched. */
int	 value_print(struct kbox *k, const char *json, size_t n);
/* Every --env as a member "env"; nothing without.  0, or KBOX_USAGE after a
 * message.  (kbox_shell.c) */
int	 kbox_put_env(struct kbox *k, struct json_out *o);
/* "cwd" by --cwd, seen from here; else here.  As above. */
int	 kbox_put_folder(struct kbox *k, struct json_out *o);
/* What --json does with an answer. */
int	 value_print_answer(struct kbox *k, const struct kbox_answer *a);

#endif
