/*
 * profile, user, splash: short answers shown as they are.
 */
#include <string.h>

#include "applets/kbox_table.h"
#include "applets/kbox_text.h"
#include "base/str.h"

#define ESCAPE	0x1b

/* ---- profile, user ---- */

static char *
roles_of(struct kbox *k, const struct value *roles)
{
	const struct value	*v;
	char			*text = kbox_printf(k, "%s", "");

	for (v = roles != NULL ? roles->kids : NULL; v != NULL; v = v->next)
		text = kbox_printf(k, "%s%s%s", text,
		    text[0] != '\0' ? ", " : "", v->text);
	return text[0] != '\0' ? text : kbox_printf(k, "none");
}

static void
add_if(struct kbox *k, struct kbox_group *g, const char *key,
    const char *text)
{
	if (text[0] != '\0')
		kbox_group_add(k, g, key, text);
}

static void
show_profile(struct kbox *k, const struct value *v)
{
	struct kbox_group	g = { .title = "Profile" };
	int64_t			expires;

	kbox_group_add(k, &g, "Username", value_text(v, "username"));
	kbox_group_add(k, &g, "Name", value_text(v, "name"));
	kbox_group_add(k, &g, "Email", value_text(v, "email"));
	kbox_group_add(k, &g, "UID", value_text(v, "uid"));
	kbox_group_add(k, &g, "GID", value_text(v, "gid"));
	kbox_group_add(k, &g, "Shell", value_text(v, "shell"));
	kbox_group_add(k, &g, "Sudo", value_true(v, "sudo") ? "yes" : "no");
	kbox_group_add(k, &g, "Roles", roles_of(k, value_get(v, "roles")));
	add_if(k, &g, "Organization", value_text(v, "organization"));
	add_if(k, &g, "Source", value_text(v, "source"));
	if (value_time(v, "expiresAt", &expires))
		kbox_group_add(k, &g, "Expires",
		    kbox_time(k, expires, "%Y-%m-%d %H:%M:%S %Z"));
	kbox_group_print(k, &g);
}

static int
get_profile(struct kbox *k, struct kbox_answer *a)
{
	return kbox_get(k, KBOX_API "/profile", KBOX_API "/identity", a);
}

int
kbox_profile(struct kbox *k)
{
	struct kbox_answer	 a;
	const struct value	*v;
	int			 r;

	if ((r = get_profile(k, &a)) != KBOX_OK)
		return r;
	if (k->values[OPT_JSON] != NULL)
		return value_print_answer(k, &a);
	if ((v = value_parse(k, &a)) == NULL)
		return KBOX_FAILED;
	show_profile(k, v);
	return KBOX_OK;
}

/* git config --global user.name "$(kbox user name)": the value, no more. */
static int
show_member(struct kbox *k, const struct kbox_answer *a, const char *member)
{
	const struct value	*v = value_parse(k, a);
	const char		*text;

	if (v == NULL)
		return KBOX_FAILED;
	text = value_text(v, member);
	puts(text[0] != '\0' ? kbox_out(k, text) : "n/a");
	return KBOX_OK;
}

int
kbox_user(struct kbox *k)
{
	struct kbox_answer	a;
	const char		*what = k->nwords > 0 ? k->words[0] : NULL;
	int			r;

	if (what != NULL && strcmp(what, "name") != 0 &&
	    strcmp(what, "email") != 0 && strcmp(what, "username") != 0)
		return kbox_fail(k, KBOX_USAGE, "there is name, email and "
		    "username, not \"%s\"", what);
	if (what == NULL)
		return kbox_profile(k);
	if ((r = get_profile(k, &a)) != KBOX_OK)
		return r;
	if (k->values[OPT_JSON] != NULL)
		return value_print_answer(k, &a);
	return show_member(k, &a, what);
}

/* ---- splash ---- */

/* Length of "ESC [ digits m" at p, or 0. */
static size_t
colour_at(const char *p)
{
	size_t	n = 2;

	if (p[0] != ESCAPE || p[1] != '[')
		return 0;
	n += strspn(p + n, "0123456789;:");
	return p[n] == 'm' ? n + 1 : 0;
}

/*
 * Whoever wrote the blueprint may colour his greeting; that is all it may do
 * to a terminal.
 */
static void
put_splash(struct kbox *k, const char *s)
{
	char	piece[2] = "";
	size_t	n;

	while (*s != '\0') {
		if ((n = strcspn(s, "\n\t\033")) > 0) {
			fputs(kbox_clean(k, kbox_printf(k, "%.*s", (int)n,
			    s)), stdout);
		} else if ((n = colour_at(s)) > 0) {
			if (k->color)
				fwrite(s, 1, n, stdout);
		} else {
			piece[0] = *s;
			n = 1;
			fputs(*s == ESCAPE ? kbox_clean(k, piece) : piece,
			    stdout);
		}
		s += n;
	}
}

int
kbox_splash(struct kbox *k)
{
	struct kbox_answer	 a;
	const struct value	*v;
	const char		*text;
	int			 r;

	if ((r = kbox_get(k, KBOX_API "/splash", NULL, &a)) != KBOX_OK)
		return r;
	if (k->values[OPT_JSON] != NULL)
		return value_print_answer(k, &a);
	if ((v = value_parse(k, &a)) == NULL)
		return KBOX_FAILED;
	text = value_text(v, "text");
	if (k->tty)
		put_splash(k, text);
	else
		fputs(text, stdout);
	putchar('\n');
	return KBOX_OK;
}
