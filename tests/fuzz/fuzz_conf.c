/* config.yaml and profile.yaml: every input is read as both. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "conf/conf.h"
#include "conf/profile.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* 0, or an error with one line that begins with the name. */
static void
check(int r, const char *err)
{
	if (r == 0)
		return;
	if (r > 0 || !str_prefix(err, "no-such-folder/f.yaml:") ||
	    strchr(err, '\n') != NULL || strlen(err) >= CONF_ERROR_MAX)
		abort();
}

/* Strings are never NULL, counts never lie. */
static void
use_conf(const struct conf *c)
{
	size_t	i;

	if (strlen(c->grpc.issuer_url) == 0 ||
	    c->grpc.cert_reload_delay_ns <= 0 ||
	    c->shells.detached_ttl_ns < 0 || c->limits.connections == 0)
		abort();
	for (i = 0; i < c->grpc.nallowed; i++)
		if (strlen(c->grpc.allowed[i].ns) > (1u << 20) ||
		    strlen(c->grpc.allowed[i].account) > (1u << 20))
			abort();
	for (i = 0; i < c->terminate_orphans.nexclude; i++)
		if (c->terminate_orphans.exclude[i][0] == '\0')
			abort();
}

static void
use_profile(const struct profile *p)
{
	size_t	i;

	if (p->username == NULL || p->shell == NULL || p->source == NULL)
		abort();
	for (i = 0; i < p->nroles; i++)
		if (p->roles[i][0] == '\0')
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char	name[] = "no-such-folder/f.yaml";
	char			err[CONF_ERROR_MAX] = "";
	struct conf		c;
	struct profile		p;
	int			r;

	log_set_level(LOG_FATAL);
	setenv("FUZZ", "value: [", 1);
	conf_init(&c);
	r = conf_parse(&c, name, data, n, err, sizeof err);
	check(r, err);
	if (r == 0)
		use_conf(&c);
	conf_finish(&c);

	profile_init(&p);
	r = profile_parse(&p, name, data, n, err, sizeof err);
	check(r, err);
	if (r == 0)
		use_profile(&p);
	profile_finish(&p);
	return 0;
}
