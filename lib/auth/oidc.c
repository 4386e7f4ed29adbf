#include <sys/stat.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "auth/fetch.h"
#include "auth/oidc.h"
#include "base/file.h"
#include "base/log.h"
#include "loop/loop.h"

#define JWKS_PATH	"/openid/v1/jwks"

static const char	component[] = "oidc";

struct oidc {
	struct loop		*loop;		/* borrowed, both */
	struct reap		*reap;
	struct oidc_options	 opt;
	const char		*issuer;	/* borrowed; never empty */
	bool			 url_valid;
	struct fetch_url	 url;
	struct fetch		*fetch;		/* NULL: none runs */
	struct loop_timer	 timer;		/* next fetch, next look */
	struct loop_task	 answer;	/* waiting callers, file mode */
	struct oidc_wait	*waiting;
	bool			 limited;	/* started_ms counts */
	uint64_t		 started_ms;	/* of the last fetch or load */
	unsigned		 retry_ms;	/* 0: the last one was good */
	struct stat		 seen;		/* the file as last read */
	struct jwt_keys		 keys;
	uint32_t		 generation;
};

static void
wait_unlink(struct oidc_wait *w)
{
	*w->prevp = w->next;
	if (w->next != NULL)
		w->next->prevp = w->prevp;
	w->next = NULL;
	w->prevp = NULL;
}

/* A caller that waits again meanwhile is not called in this round. */
static void
answer_waiting(struct oidc *o)
{
	struct oidc_wait	*round, *w;

	if ((round = o->waiting) == NULL)
		return;
	o->waiting = NULL;
	round->prevp = &round;
	while ((w = round) != NULL) {
		wait_unlink(w);
		w->fn(w->arg);
	}
}

static const char *
origin(const struct oidc *o)
{
	return o->opt.jwks_file != NULL ? o->opt.jwks_file : o->issuer;
}

/* Takes the key set over if it is another one.  NULL, or why not. */
static const char *
take_keys(struct oidc *o, const void *text, size_t n)
{
	struct jwt_keys	 fresh;
	const char	*err;

	if (jwt_keys_from_jwks(&fresh, text, n, &err) < 0)
		return err;
	if (jwt_keys_same(&o->keys, &fresh)) {
		jwt_keys_finish(&fresh);
		return NULL;
	}
	jwt_keys_finish(&o->keys);
	o->keys = fresh;
	o->generation++;
	log_info(component, "%zu signing keys from %s", o->keys.count,
	    origin(o));
	return NULL;
}

/* "keys in use stay": what a failure means for callers. */
static const char *
consequence(const struct oidc *o)
{
	return o->keys.count > 0 ? "known keys stay in use" :
	    "no service account can be verified";
}

/* A file that is gone looks like an empty one of no device. */
static bool
file_changed(struct oidc *o)
{
	struct stat	st;

	if (stat(o->opt.jwks_file, &st) < 0)
		memset(&st, 0, sizeof st);
	if (st.st_ino == o->seen.st_ino && st.st_dev == o->seen.st_dev &&
	    st.st_size == o->seen.st_size &&
	    st.st_mtim.tv_sec == o->seen.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == o->seen.st_mtim.tv_nsec)
		return false;
	o->seen = st;
	return true;
}

static void
file_load(struct oidc *o)
{
	const char	*why;
	char		*text;
	size_t		 n;
	int		 r;

	r = file_read(o->opt.jwks_file, OIDC_BODY_MAX, &text, &n);
	if (r < 0) {
		why = strerror(-r);
	} else {
		why = take_keys(o, text, n);
		free(text);
	}
	if (why != NULL)
		log_warn(component, "keys in %s: %s; %s", o->opt.jwks_file,
		    why, consequence(o));
}

static void
on_file_timer(void *arg)
{
	struct oidc	*o = arg;

	if (file_changed(o))
		file_load(o);
	loop_timer_set(o->loop, &o->timer, loop_now(o->loop) + OIDC_FILE_MS);
}

static void
on_file_asked(void *arg)
{
	struct oidc	*o = arg;

	o->limited = true;
	o->started_ms = loop_now(o->loop);
	if (file_changed(o))
		file_load(o);
	answer_waiting(o);
}

/* Sets the timer for the next fetch. */
static void
fetch_ended(struct oidc *o, const char *why)
{
	unsigned	wait_ms = OIDC_REFRESH_MS;

	if (why == NULL) {
		o->retry_ms = 0;
	} else {
		wait_ms = o->retry_ms == 0 ? OIDC_RETRY_MS : o->retry_ms * 2;
		if (wait_ms > OIDC_RETRY_MAX_MS)
			wait_ms = OIDC_RETRY_MAX_MS;
		o->retry_ms = wait_ms;
		log_warn(component, "keys of %s: %s; %s; next try in %u s",
		    o->issuer, why, consequence(o), wait_ms / 1000);
	}
	loop_timer_set(o->loop, &o->timer, loop_now(o->loop) + wait_ms);
	answer_waiting(o);
}

static void
on_fetched(void *arg, const void *body, size_t n, const char *why)
{
	struct oidc	*o = arg;

	if (why == NULL)
		why = take_keys(o, body, n);
	fetch_destroy(o->fetch);
	o->fetch = NULL;
	fetch_ended(o, why);
}

/* 0, or -errno when not even the child could be started. */
static int
fetch_begin(struct oidc *o)
{
	const struct fetch_spec	spec = {
		.url = &o->url, .ca_file = o->opt.ca_file,
		.token_file = o->opt.token_file, .body_max = OIDC_BODY_MAX,
		.seconds = OIDC_FETCH_MS / 1000,
	};

	loop_timer_clear(&o->timer);
	o->limited = true;
	o->started_ms = loop_now(o->loop);
	return fetch_start(&o->fetch, o->loop, o->reap, &spec, on_fetched, o);
}

static void
on_fetch_timer(void *arg)
{
	struct oidc	*o = arg;
	int		 r;

	if ((r = fetch_begin(o)) < 0)
		fetch_ended(o, strerror(-r));
}

static void
start_fetching(struct oidc *o)
{
	if (fetch_url_parse(&o->url, o->issuer, JWKS_PATH) < 0) {
		log_error(component, "issuer \"%s\" is not an "
		    "https://host[:port][/path] address; %s", o->issuer,
		    consequence(o));
		return;
	}
	o->url_valid = true;
	on_fetch_timer(o);
}

int
oidc_create(struct oidc **out, struct loop *l, struct reap *r,
    const struct oidc_options *opt)
{
	struct oidc	*o;

	if ((o = calloc(1, sizeof *o)) == NULL)
		return -ENOMEM;
	o->loop = l;
	o->reap = r;
	o->opt = *opt;
	o->issuer = opt->issuer_url != NULL && opt->issuer_url[0] != '\0' ?
	    opt->issuer_url : OIDC_ISSUER_DEFAULT;
	o->timer.fn = opt->jwks_file != NULL ? on_file_timer : on_fetch_timer;
	o->timer.arg = o->answer.arg = o;
	o->answer.fn = on_file_asked;
	if (opt->jwks_file == NULL) {
		start_fetching(o);
	} else {
		(void)file_changed(o);
		file_load(o);
		loop_timer_set(l, &o->timer, loop_now(l) + OIDC_FILE_MS);
	}
	*out = o;
	return 0;
}

void
oidc_destroy(struct oidc *o)
{
	if (o == NULL)
		return;
	while (o->waiting != NULL)
		wait_unlink(o->waiting);
	loop_timer_clear(&o->timer);
	loop_later_cancel(o->loop, &o->answer);
	fetch_destroy(o->fetch);
	jwt_keys_finish(&o->keys);
	free(o);
}

const struct jwt_key *
oidc_key(const struct oidc *o, const char *kid)
{
	size_t	i;

	if (kid[0] == '\0')
		return o->keys.count == 1 ? o->keys.key[0] : NULL;
	for (i = 0; i < o->keys.count; i++)
		if (strcmp(o->keys.kid[i], kid) == 0)
			return o->keys.key[i];
	return NULL;
}

uint32_t
oidc_generation(const struct oidc *o)
{
	return o->generation;
}

/* Makes sure that keys are on their way. */
static int
refetch(struct oidc *o)
{
	if (o->fetch != NULL || o->answer.queued)
		return 0;
	if (o->limited && loop_now(o->loop) - o->started_ms < OIDC_REFETCH_MS)
		return -EAGAIN;
	if (o->opt.jwks_file != NULL) {
		loop_later(o->loop, &o->answer);
		return 0;
	}
	if (!o->url_valid || fetch_begin(o) < 0) {
		if (o->url_valid)
			loop_timer_set(o->loop, &o->timer,
			    loop_now(o->loop) + OIDC_RETRY_MS);
		return -EAGAIN;
	}
	return 0;
}

int
oidc_refetch(struct oidc *o, struct oidc_wait *w)
{
	int	r;

	w->next = NULL;
	w->prevp = NULL;
	if ((r = refetch(o)) < 0)
		return r;
	w->next = o->waiting;
	w->prevp = &o->waiting;
	if (w->next != NULL)
		w->next->prevp = &w->next;
	o->waiting = w;
	return 0;
}

void
oidc_wait_cancel(struct oidc_wait *w)
{
	if (w->prevp != NULL)
		wait_unlink(w);
}
