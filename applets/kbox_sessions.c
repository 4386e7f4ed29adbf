#include "applets/kbox_sessions.h"

#include <string.h>

#include "base/str.h"

int
kbox_sessions_get(struct kbox *k, const struct value **list)
{
	struct kbox_answer	 a;
	struct value		*v;
	int			 r;

	r = kbox_get(k, KBOX_API "/streams", KBOX_API "/ssh/channels", &a);
	if (r != KBOX_OK)
		return r;
	if ((v = value_parse(k, &a)) == NULL)
		return KBOX_FAILED;
	if (v->type != JSON_ARRAY && v->type != JSON_NULL)
		return kbox_fail(k, KBOX_FAILED,
		    "the daemon's answer is not a list");
	*list = v;
	return KBOX_OK;
}

/* "cmd=/bin/sh, pid=7, ttl=29m": the value behind a name. */
static const char *
param(struct kbox *k, const char *params, const char *name)
{
	const char	*p;
	size_t		 n = strlen(name);

	for (p = params; (p = strstr(p, name)) != NULL; p += n)
		if ((p == params || p[-1] == ' ') && p[n] == '=')
			return kbox_printf(k, "%.*s",
			    (int)strcspn(p + n + 1, ","), p + n + 1);
	return "";
}

bool
kbox_session_read(struct kbox *k, const struct value *v,
    struct kbox_session *s)
{
	const char	*params = value_text(v, "params");

	*s = (struct kbox_session){
		.id = value_text(v, "id"), .status = value_text(v, "status"),
		.shell = param(k, params, "cmd"),
		.pid = param(k, params, "pid"), .ttl = param(k, params, "ttl"),
		.value = v
	};
	return strcmp(value_text(v, "name"), "shell") == 0 &&
	    strcmp(s->status, "STOPPED") != 0;
}

static int
ambiguous(struct kbox *k, const char *word, const struct value *list)
{
	struct kbox_session	 s;
	const struct value	*v;
	const char		*all = "";

	for (v = list->kids; v != NULL; v = v->next)
		if (kbox_session_read(k, v, &s) && str_prefix(s.id, word))
			all = kbox_printf(k, "%s%s%s", all,
			    all[0] != '\0' ? ", " : "", s.id);
	return kbox_fail(k, KBOX_FAILED, "\"%s\" is the start of several: %s",
	    word, all);
}

int
kbox_session_find(struct kbox *k, const char *word, const char **id)
{
	const struct value	*list, *v;
	struct kbox_session	 s;
	const char		*found = NULL;
	unsigned		 n = 0;
	int			 r;

	if ((r = kbox_sessions_get(k, &list)) != 0)
		return r;
	*id = word;
	for (v = list->kids; v != NULL; v = v->next) {
		if (!kbox_session_read(k, v, &s))
			continue;
		if (strcmp(s.id, word) == 0)
			return KBOX_OK;
		if (str_prefix(s.id, word)) {
			found = s.id;
			n++;
		}
	}
	if (n > 1)
		return ambiguous(k, word, list);
	if (n == 1)
		*id = found;
	return KBOX_OK;
}
