/*
 * completion: the shells' part is a few lines that ask "kbox __complete",
 * where all knowledge is: commands, options, values, ids as they are now.
 */
#include <string.h>

#include "applets/kbox_jobs.h"
#include "applets/kbox_sessions.h"
#include "base/str.h"

#define LIVE_TIMEOUT_MS	1000	/* somebody waits behind a Tab */

static const struct script {
	const char	*shell, *text;
} scripts[] = {
	{ "bash",
	    "_kbox() {\n"
	    "    local IFS=$'\\n'\n"
	    "    mapfile -t COMPREPLY < <(kbox __complete -- "
	    "\"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
	    "}\n"
	    "complete -o default -F _kbox kbox\n" },
	{ "zsh",
	    "#compdef kbox\n"
	    "_kbox() {\n"
	    "    local -a found\n"
	    "    found=(\"${(@f)$(kbox __complete -- "
	    "\"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
	    "    (( $#found )) && compadd -- $found || _files\n"
	    "}\n"
	    "compdef _kbox kbox\n" },
	{ "fish",
	    "function __kbox_complete\n"
	    "    set -l words (commandline -opc) (commandline -ct)\n"
	    "    set -l found (kbox __complete -- $words[2..-1] "
	    "2>/dev/null)\n"
	    "    if set -q found[1]\n"
	    "        printf '%s\\n' $found\n"
	    "    else\n"
	    "        __fish_complete_path (commandline -ct)\n"
	    "    end\n"
	    "end\n"
	    "complete -c kbox -f -a '(__kbox_complete)'\n" },
};

int
kbox_completion(struct kbox *k)
{
	size_t	i;

	for (i = 0; i < ARRAY_LEN(scripts); i++)
		if (strcmp(scripts[i].shell, k->words[0]) == 0) {
			fputs(scripts[i].text, stdout);
			return KBOX_OK;
		}
	return kbox_fail(k, KBOX_USAGE, "there is bash, zsh and fish, not "
	    "\"%s\"", k->words[0]);
}

/* ---- what could stand here ---- */

/* The word that is begun.  "--status=f": its value is completed, and given
 * with what is before it to shells that keep the word whole. */
struct begun {
	const char	*start, *before;
	bool		 verbatim;	/* behind "--" */
};

/* Nothing a shell could take for more than a word, nor kbox for an option. */
static void
offer(const char *word, const struct begun *b)
{
	static const char	plain[] = "abcdefghijklmnopqrstuvwxyz"
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,:@=";

	if (word[0] != '\0' && word[strspn(word, plain)] == '\0' &&
	    str_prefix(word, b->start))
		printf("%s%s\n", b->before, word);
}

static void
offer_list(const char *list, const struct begun *b)
{
	char	word[64];
	size_t	n;

	for (; *list != '\0'; list += n + (list[n] != '\0')) {
		n = strcspn(list, " ");
		if (str_format(word, sizeof word, "%.*s", (int)n, list) > 0)
			offer(word, b);
	}
}

static void
offer_commands(const struct begun *b)
{
	const struct kbox_command	*c;
	size_t				 i;

	for (i = 0; (c = kbox_command_at(i)) != NULL; i++)
		if (c->summary != NULL)
			offer(c->name, b);
}

/* A common option may be hidden by one of the command's. */
static void
offer_options(const struct kbox_command *c, const struct kbox_option *o,
    const struct begun *b)
{
	char	name[64];

	for (; o != NULL && o->name != NULL; o++)
		if (str_format(name, sizeof name, "--%s", o->name) > 0 &&
		    kbox_option_find(c, name) == o)
			offer(name, b);
}

/* The first of what the daemon lists there; NULL: none, or nobody answers. */
static const struct value *
live(struct kbox *k, const char *target)
{
	struct kbox_request	 q = {
		.method = "GET", .target = target, .quiet = true
	};
	struct kbox_answer	 a;
	const struct value	*list;

	k->timeout_ms = LIVE_TIMEOUT_MS;
	if (kbox_call(k, &q, &a) != KBOX_OK ||
	    (list = value_parse(k, &a)) == NULL)
		return NULL;
	return list->kids;
}

/* status NULL: any. */
static void
offer_ids(struct kbox *k, const char *status, const struct begun *b)
{
	struct kbox_session	 s;
	const struct value	*v;

	for (v = live(k, KBOX_API "/streams"); v != NULL; v = v->next)
		if (kbox_session_read(k, v, &s) &&
		    (status == NULL || strcmp(s.status, status) == 0))
			offer(s.id, b);
}

static void
offer_jobs(struct kbox *k, enum kbox_jobs_which which, const struct begun *b)
{
	struct kbox_job		 j;
	const struct value	*v;

	for (v = live(k, KBOX_API "/jobs"); v != NULL; v = v->next) {
		kbox_job_read(v, &j);
		if (kbox_job_is(&j, which) && (j.id[0] != '-' || b->verbatim))
			offer(j.id, b);
	}
}

static void
offer_living(struct kbox *k, const struct begun *b)
{
	offer_jobs(k, KBOX_JOBS_LIVE, b);
	offer_ids(k, NULL, b);
}

/* Words a command takes, by its name. */
static const struct words {
	const char	*command, *words;
} known_words[] = {
	{ "completion", "bash zsh fish" },
	{ "user", "name email username" },
	{ "apps", "ls" },
	{ "credentials", "git docker kubernetes" },
};

/* Values an option takes; of one command, or of all that have it. */
static const struct values {
	const char	*command;	/* NULL: any */
	enum kbox_opt	 option;
	const char	*words;
} known_values[] = {
	{ NULL, OPT_LEVEL, "debug info warn error fatal" },
	{ NULL, OPT_COLOR, "auto always never" },
	{ "ps", OPT_SORT, "id status exit pid started -started runtime "
	    "command" },
	{ NULL, OPT_SORT, "id created -created duration status bytes_in "
	    "-bytes_in bytes_out -bytes_out params" },
	{ NULL, OPT_TTL, "10m 30m 1h 8h 0" },
	{ NULL, OPT_COMPONENT, "k8shelld grpc rest session task" },
	{ "ps", OPT_STATUS, "starting running completed failed killed error" },
	{ "wait", OPT_STATUS, "200-399 200 204" },
	{ NULL, OPT_SIGNAL, "TERM KILL HUP INT QUIT USR1 USR2 STOP CONT" },
	{ NULL, OPT_SCOPE, "tree group root" },
	{ NULL, OPT_STREAM, "stdout stderr" },
};

static void
offer_words(struct kbox *k, const struct kbox_command *c, const struct begun *b)
{
	size_t	i;

	if (strcmp(c->name, "help") == 0)
		offer_commands(b);
	else if (strcmp(c->name, "attach") == 0)
		offer_ids(k, "DETACHED", b);
	else if (strcmp(c->name, "detach") == 0)
		offer_ids(k, "ACTIVE", b);
	else if (strcmp(c->name, "rm") == 0)
		offer_jobs(k, KBOX_JOBS_ENDED, b);
	else if (strcmp(c->name, "ps") == 0 || strcmp(c->name, "logs") == 0)
		offer_jobs(k, KBOX_JOBS_ANY, b);
	else if (strcmp(c->name, "wait") == 0)
		offer_jobs(k, KBOX_JOBS_LIVE, b);
	else if (strcmp(c->name, "kill") == 0)
		offer_living(k, b);
	for (i = 0; i < ARRAY_LEN(known_words); i++)
		if (strcmp(known_words[i].command, c->name) == 0)
			offer_list(known_words[i].words, b);
}

static void
offer_values(struct kbox *k, const struct kbox_command *c, enum kbox_opt option,
    const struct begun *b)
{
	size_t	i;

	if (option == OPT_SESSION)
		offer_ids(k, NULL, b);
	for (i = 0; i < ARRAY_LEN(known_values); i++)
		if (known_values[i].option == option &&
		    (known_values[i].command == NULL || (c != NULL &&
		    strcmp(known_values[i].command, c->name) == 0))) {
			offer_list(known_values[i].words, b);
			return;
		}
}

/* Does an option want the word behind it? */
static bool
takes_next(const struct kbox_option *o, const char *word)
{
	return o != NULL && o->value != NULL && o->value[0] != '[' &&
	    strchr(word, '=') == NULL;
}

/*
 * The first word from i on that is neither an option nor the value of one; at
 * most `end`, and end if that is a value itself.
 */
static size_t
next_word(const struct kbox *k, const struct kbox_command *c, size_t i,
    size_t end)
{
	const char	*word;

	for (; i < end && k->words[i][0] == '-'; i++) {
		word = k->words[i];
		if (strcmp(word, "--") == 0)
			return i + 1 < end ? i + 1 : end;
		if (takes_next(kbox_option_find(c, word), word))
			i++;
	}
	return i < end ? i : end;
}

/*
 * bash takes "--status=f" for three words: makes them one again.  Whether the
 * last was such a one.
 */
static bool
join_words(struct kbox *k)
{
	char	**w = k->words;
	size_t	 i, n = 0;
	bool	 joined = false;

	for (i = 0; i < k->nwords; i++, n++) {
		w[n] = w[i];
		joined = str_prefix(w[i], "--") && w[i][2] != '\0' &&
		    i + 1 < k->nwords && strcmp(w[i + 1], "=") == 0;
		if (!joined)
			continue;
		w[n] = kbox_printf(k, "%s=%s", w[i],
		    i + 2 < k->nwords ? w[i + 2] : "");
		i += i + 2 < k->nwords ? 2 : 1;
	}
	k->nwords = n;
	return joined;
}

/* Where the daemon is that knows the ids. */
static void
find_daemon(struct kbox *k, const struct kbox_command *c, size_t last)
{
	const struct kbox_option	*o;
	const char			*eq;
	size_t				 i;

	for (i = 0; i < last && strcmp(k->words[i], "--") != 0; i++) {
		o = kbox_option_find(c, k->words[i]);
		if (o == NULL || (o->id != OPT_SOCKET && o->id != OPT_RUN_DIR))
			continue;
		eq = strchr(k->words[i], '=');
		if (eq != NULL)
			k->values[o->id] = eq + 1;
		else if (i + 1 < last)
			k->values[o->id] = k->words[i + 1];
	}
}

/* The option whose value is begun, or NULL. */
static const struct kbox_option *
begin(struct kbox *k, const struct kbox_command *c, size_t last, bool joined,
    struct begun *b)
{
	const struct kbox_option	*o;
	char				*word = k->words[last];
	size_t				 n = strcspn(word, "=");
	size_t				 i;

	*b = (struct begun){ .start = word, .before = "" };
	for (i = 0; i < last; i++)
		b->verbatim = b->verbatim || strcmp(k->words[i], "--") == 0;
	if (b->verbatim)
		return NULL;
	if (str_prefix(word, "--") && word[n] == '=') {
		b->start = word + n + 1;
		b->before = joined ? "" : kbox_printf(k, "%.*s=", (int)n,
		    word);
		o = kbox_option_find(c, word);
		return o != NULL && o->value != NULL ? o : NULL;
	}
	if (last == 0)
		return NULL;
	o = kbox_option_find(c, k->words[last - 1]);
	return takes_next(o, k->words[last - 1]) ? o : NULL;
}

/* The words behind "kbox", the last of them begun. */
int
kbox_complete(struct kbox *k)
{
	const struct kbox_command	*c = NULL;
	const struct kbox_option	*o;
	struct begun			 b;
	size_t				 last, at;
	bool				 joined = join_words(k);

	if (k->nwords == 0)
		return KBOX_OK;
	last = k->nwords - 1;
	if ((at = next_word(k, NULL, 0, last)) < last)
		c = kbox_command_find(k->words[at++]);
	if (c != NULL && c->rest && next_word(k, c, at, last) < last)
		return KBOX_OK;		/* a command's own words */
	find_daemon(k, c, last);
	o = begin(k, c, last, joined, &b);
	if (o != NULL) {
		offer_values(k, c, o->id, &b);
	} else if (b.start != k->words[last]) {
		return KBOX_OK;		/* "--all=" takes nothing */
	} else if (b.start[0] == '-' && !b.verbatim) {
		offer_options(c, c != NULL ? c->options : NULL, &b);
		offer_options(c, kbox_common_options(), &b);
	} else if (c == NULL) {
		offer_commands(&b);
	} else {
		offer_words(k, c, &b);
	}
	return KBOX_OK;
}
