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
	    "    kbox __complete -- $words[2..-1] 2>/dev/null\n"
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

/* Nothing a shell could take for more than a word. */
static void
offer(const char *word, const char *start)
{
	static const char	plain[] = "abcdefghijklmnopqrstuvwxyz"
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,:@=";

	if (word[0] != '\0' && word[strspn(word, plain)] == '\0' &&
	    str_prefix(word, start))
		puts(word);
}

static void
offer_list(const char *list, const char *start)
{
	char	word[64];
	size_t	n;

	for (; *list != '\0'; list += n + (list[n] != '\0')) {
		n = strcspn(list, " ");
		if (str_format(word, sizeof word, "%.*s", (int)n, list) > 0)
			offer(word, start);
	}
}

static void
offer_commands(const char *start)
{
	const struct kbox_command	*c;
	size_t				 i;

	for (i = 0; (c = kbox_command_at(i)) != NULL; i++)
		if (c->summary != NULL)
			offer(c->name, start);
}

/* A common option may be hidden by one of the command's. */
static void
offer_options(const struct kbox_command *c, const struct kbox_option *o,
    const char *start)
{
	char	name[64];

	for (; o != NULL && o->name != NULL; o++)
		if (str_format(name, sizeof name, "--%s", o->name) > 0 &&
		    kbox_option_find(c, name) == o)
			offer(name, start);
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
offer_ids(struct kbox *k, const char *status, const char *start)
{
	struct kbox_session	 s;
	const struct value	*v;

	for (v = live(k, KBOX_API "/streams"); v != NULL; v = v->next)
		if (kbox_session_read(k, v, &s) &&
		    (status == NULL || strcmp(s.status, status) == 0))
			offer(s.id, start);
}

static void
offer_jobs(struct kbox *k, enum kbox_jobs_which which, const char *start)
{
	struct kbox_job		 j;
	const struct value	*v;

	for (v = live(k, KBOX_API "/jobs"); v != NULL; v = v->next) {
		kbox_job_read(v, &j);
		if (kbox_job_is(&j, which))
			offer(j.id, start);
	}
}

static void
offer_living(struct kbox *k, const char *start)
{
	offer_jobs(k, KBOX_JOBS_LIVE, start);
	offer_ids(k, NULL, start);
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
offer_words(struct kbox *k, const struct kbox_command *c, const char *start)
{
	size_t	i;

	if (strcmp(c->name, "help") == 0)
		offer_commands(start);
	else if (strcmp(c->name, "attach") == 0)
		offer_ids(k, "DETACHED", start);
	else if (strcmp(c->name, "detach") == 0)
		offer_ids(k, "ACTIVE", start);
	else if (strcmp(c->name, "rm") == 0)
		offer_jobs(k, KBOX_JOBS_ENDED, start);
	else if (strcmp(c->name, "ps") == 0 || strcmp(c->name, "logs") == 0)
		offer_jobs(k, KBOX_JOBS_ANY, start);
	else if (strcmp(c->name, "wait") == 0)
		offer_jobs(k, KBOX_JOBS_LIVE, start);
	else if (strcmp(c->name, "kill") == 0)
		offer_living(k, start);
	for (i = 0; i < ARRAY_LEN(known_words); i++)
		if (strcmp(known_words[i].command, c->name) == 0)
			offer_list(known_words[i].words, start);
}

static void
offer_values(struct kbox *k, const struct kbox_command *c, enum kbox_opt option,
    const char *start)
{
	size_t	i;

	if (option == OPT_SESSION)
		offer_ids(k, NULL, start);
	for (i = 0; i < ARRAY_LEN(known_values); i++)
		if (known_values[i].option == option &&
		    (known_values[i].command == NULL || (c != NULL &&
		    strcmp(known_values[i].command, c->name) == 0))) {
			offer_list(known_values[i].words, start);
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

/* The words behind "kbox", the last of them begun. */
int
kbox_complete(struct kbox *k)
{
	const struct kbox_command	*c = NULL;
	const struct kbox_option	*before = NULL;
	const char			*start;
	size_t				 last, at;

	if (k->nwords == 0)
		return KBOX_OK;
	last = k->nwords - 1;
	start = k->words[last];
	if ((at = next_word(k, NULL, 0, last)) < last)
		c = kbox_command_find(k->words[at++]);
	if (c != NULL && c->rest && next_word(k, c, at, last) < last)
		return KBOX_OK;		/* a command's own words */
	if (last > 0)
		before = kbox_option_find(c, k->words[last - 1]);
	if (before != NULL && takes_next(before, k->words[last - 1])) {
		offer_values(k, c, before->id, start);
	} else if (start[0] == '-') {
		offer_options(c, c != NULL ? c->options : NULL, start);
		offer_options(c, kbox_common_options(), start);
	} else if (c == NULL) {
		offer_commands(start);
	} else {
		offer_words(k, c, start);
	}
	return KBOX_OK;
}
