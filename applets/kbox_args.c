/*
 * Options as getopt_long has them: "--name value", "--name=value", "-fn10",
 * "--" and words anywhere.  What a command takes stands in its row.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "applets/kbox.h"
#include "base/str.h"

#define NS_PER_MS	1000000
#define WORD_MAX	32	/* of one that may be a misspelt command */

static const struct kbox_option *
find_in(const struct kbox_option *o, const char *name, size_t n, char letter)
{
	for (; o != NULL && o->name != NULL; o++)
		if (letter != '\0' ? o->letter == letter :
		    strlen(o->name) == n && memcmp(o->name, name, n) == 0)
			return o;
	return NULL;
}

/* A command's own options come first: its -v is not the common one. */
static const struct kbox_option *
find_option(const struct kbox *k, const char *name, size_t n, char letter)
{
	const struct kbox_option	*o = NULL;

	if (k->command != NULL)
		o = find_in(k->command->options, name, n, letter);
	return o != NULL ? o :
	    find_in(kbox_common_options(), name, n, letter);
}

const struct kbox_option *
kbox_option_find(const struct kbox_command *c, const char *word)
{
	const struct kbox	k = { .command = c };

	if (str_prefix(word, "--"))
		return find_option(&k, word + 2, strcspn(word + 2, "="), '\0');
	return word[0] == '-' && word[1] != '\0' && word[2] == '\0' ?
	    find_option(&k, NULL, 0, word[1]) : NULL;
}

static int
set_option(struct kbox *k, const struct kbox_option *o, const char *value)
{
	if (o->id == OPT_ENV) {
		if (k->nlisted == KBOX_LISTED_MAX)
			return kbox_fail(k, KBOX_USAGE,
			    "more than %d of --%s", KBOX_LISTED_MAX, o->name);
		k->listed[k->nlisted++] = value;
	}
	k->values[o->id] = value;
	return 0;
}

/* Options of docker's that are something else here. */
static const struct {
	const char	*command, *option, *hint;
} habits[] = {
	{ "run", "-i", "kbox shell is for what needs a terminal or input" },
	{ "run", "-t", "kbox shell is for what needs a terminal or input" },
	{ "run", "--rm", "kbox rm forgets it; the newest 64 are kept anyway" },
	{ "rm", "-f", "kbox kill ends it first" },
	{ "rm", "--force", "kbox kill ends it first" },
};

static int
unknown(struct kbox *k, const char *option)
{
	const char	*command = k->command != NULL ? k->command->name : "";
	size_t		 i;

	(void)kbox_fail(k, 0, "unknown option %s", option);
	for (i = 0; i < ARRAY_LEN(habits); i++)
		if (strcmp(habits[i].command, command) == 0 &&
		    strcmp(habits[i].option, option) == 0) {
			kbox_hint("%s", habits[i].hint);
			return KBOX_USAGE;
		}
	kbox_hint("kbox %s%s--help lists the options", command,
	    command[0] != '\0' ? " " : "");
	return KBOX_USAGE;
}

/* "--name[=value]"; *used is set if next was its value. */
static int
long_option(struct kbox *k, const char *arg, const char *next, bool *used)
{
	const char			*name = arg + 2;
	size_t				 n = strcspn(name, "=");
	const struct kbox_option	*o = find_option(k, name, n, '\0');

	if (o == NULL)
		return unknown(k, arg);
	if (name[n] == '=' && o->value == NULL) {
		if (strcmp(name + n + 1, "true") == 0)
			return set_option(k, o, "");
		if (strcmp(name + n + 1, "false") == 0)
			return 0;
		return kbox_fail(k, KBOX_USAGE, "--%s takes no value", o->name);
	}
	if (name[n] == '=')
		return set_option(k, o, name + n + 1);
	if (o->value == NULL || o->value[0] == '[')
		return set_option(k, o, "");
	if (next == NULL)
		return kbox_fail(k, KBOX_USAGE, "--%s needs a value (%s)",
		    o->name, o->value);
	*used = true;
	return set_option(k, o, next);
}

/* "-abc": flags, the last perhaps with its value. */
static int
short_options(struct kbox *k, const char *arg, const char *next, bool *used)
{
	const struct kbox_option	*o;
	const char			*p;
	char				 bad[3] = "-?";
	int				 r;

	for (p = arg + 1; *p != '\0'; p++) {
		if ((o = find_option(k, NULL, 0, *p)) == NULL) {
			bad[1] = *p;
			return unknown(k, bad);
		}
		if (o->value == NULL || (o->value[0] == '[' && p[1] != '=')) {
			if ((r = set_option(k, o, "")) != 0)
				return r;
			continue;
		}
		p += p[1] == '=' ? 2 : 1;
		if (*p != '\0')
			return set_option(k, o, p);
		if (next == NULL)
			return kbox_fail(k, KBOX_USAGE,
			    "-%c needs a value (%s)", o->letter, o->value);
		*used = true;
		return set_option(k, o, next);
	}
	return 0;
}

static int
check_words(struct kbox *k)
{
	const struct kbox_command	*c = k->command;

	if (k->values[OPT_HELP] != NULL || k->values[OPT_VERSION] != NULL)
		return 0;
	if (c != NULL && k->nwords > c->max_words)
		(void)kbox_fail(k, 0, "too many arguments: \"%s\"",
		    k->words[c->max_words]);
	else if (c != NULL && k->nwords < c->min_words)
		(void)kbox_fail(k, 0, "an argument is missing");
	else
		return 0;
	kbox_hint("usage: %s [OPTION...] %s", k->name, c->usage);
	return KBOX_USAGE;
}

int
kbox_args(struct kbox *k, int argc, char **argv)
{
	bool	rest = false, used;
	int	i, r;

	k->words = kbox_alloc(k, ((size_t)argc + 1) * sizeof *k->words);
	for (i = 0; i < argc; i++) {
		used = false;
		if (rest || argv[i][0] != '-' || argv[i][1] == '\0') {
			k->words[k->nwords++] = argv[i];
			rest |= k->command != NULL && k->command->rest;
			continue;
		}
		if (strcmp(argv[i], "--") == 0)
			rest = true;
		else if ((r = argv[i][1] == '-' ?
		    long_option(k, argv[i], argv[i + 1], &used) :
		    short_options(k, argv[i], argv[i + 1], &used)) != 0)
			return r;
		i += used;
	}
	return check_words(k);
}

/* What docker, kubectl and systemctl say. */
static const struct {
	const char	*word, *ours;
} elsewhere[] = {
	{ "exec", "run" }, { "start", "run" }, { "inspect", "ps" },
	{ "list", "ps" }, { "ls", "ps" }, { "status", "ps" },
	{ "top", "ps" }, { "sessions", "shells" },
};

/* Letters to change, add or take away (Levenshtein's distance). */
static size_t
distance(const char *a, const char *b)
{
	size_t	row[WORD_MAX + 1], i, j, above, left_above, best;
	size_t	na = strlen(a), nb = strlen(b);

	if (na > WORD_MAX || nb > WORD_MAX)
		return SIZE_MAX;
	for (j = 0; j <= nb; j++)
		row[j] = j;
	for (i = 1; i <= na; i++) {
		left_above = row[0];
		row[0] = i;
		for (j = 1; j <= nb; j++) {
			above = row[j];
			best = left_above + (a[i - 1] != b[j - 1]);
			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
			left_above = above;
		}
	}
	return row[nb];
}

const char *
kbox_nearest(const char *word)
{
	const struct kbox_command	*c;
	const char			*nearest = NULL;
	size_t				 i, d, best = strlen(word) / 3 + 2;

	for (i = 0; i < ARRAY_LEN(elsewhere); i++)
		if (strcmp(elsewhere[i].word, word) == 0)
			return elsewhere[i].ours;
	for (i = 0; (c = kbox_command_at(i)) != NULL; i++) {
		if (c->summary == NULL)
			continue;
		d = distance(word, c->name);
		if (d < best) {
			best = d;
			nearest = c->name;
		}
	}
	return nearest;
}

int64_t
kbox_parse_span(const char *s)
{
	int64_t	 ns;
	char	*end;
	double	 seconds;

	if (str_to_duration(s, &ns) == 0)
		return ns < 0 ? -EINVAL : ns / NS_PER_MS;
	if (s[0] < '0' || s[0] > '9')
		return -EINVAL;
	seconds = strtod(s, &end);
	if (*end != '\0' || !(seconds < 1e9))
		return -EINVAL;
	return (int64_t)(seconds * 1000);
}

bool
kbox_in_list(const char *list, const char *word)
{
	size_t	n, len = strlen(word);

	for (; list != NULL; list = list[n] == ',' ? list + n + 1 : NULL) {
		n = strcspn(list, ",");
		if (n == len && memcmp(list, word, n) == 0)
			return true;
	}
	return false;
}
