/* Parsing a config in memory, for the tests of conf and of yamldoc. */
#ifndef TESTS_UNIT_CONF_CHECK_H
#define TESTS_UNIT_CONF_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "conf/conf.h"

static inline int
parse(struct conf *c, const char *text, char *err)
{
	conf_init(c);
	return conf_parse(c, "config.yaml", text, strlen(text), err,
	    CONF_ERROR_MAX);
}

/* Has to be read without an error; c is then to be finished. */
static inline void
good(struct conf *c, const char *text)
{
	char	err[CONF_ERROR_MAX];
	int	r;

	if ((r = parse(c, text, err)) != 0)
		fail_msg("%s: %d: %s", text, r, err);
}

/* Has to be refused with exactly this message. */
static inline void
bad(const char *text, const char *message)
{
	struct conf	c;
	char		err[CONF_ERROR_MAX];

	assert_int_equal(parse(&c, text, err), -EINVAL);
	assert_string_equal(err, message);
	conf_finish(&c);
}

#endif
