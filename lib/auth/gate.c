#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/gate.h"
#include "auth/identity.h"
#include "auth/jwt.h"
#include "auth/oidc.h"
#include "base/file.h"
#include "base/str.h"
#include "conf/conf.h"
#include "loop/loop.h"

/* "sa:", the longest namespace and account name, a slash. */
#define SUBJECT_MAX	328

/* Internal verdict: the key of the token is not known (yet). */
#define UNKNOWN_KEY	(-2)

static const char	no_memory[] = "out of memory";

/* What a connection's last good token was worth. */
struct verdict {
	char	*token;			/* the whole of it */
	size_t	 n;
	int64_t	 exp, nbf, iat;
	bool	 own;			/* the workspace's token */
	uint32_t generation;		/* of the identity or the key set */
	char	 subject[SUBJECT_MAX];
};

/* A call that waits for keys. */
struct waiting {
	struct oidc_wait	 wait;
	struct gate		*gate;		/* borrowed, all three */
	struct grpc_peer	*peer;
	struct grpc_call	*call;
	char			*token;
	size_t			 n;
	struct waiting		*next, **prevp;
};

struct gate {
	struct gate_options	 opt;
	/* The workspace's token as last seen, and the one before. */
	uint32_t		 generation;
	char			*token, *previous;
	int64_t			 renewal_sought;
	/* The shared token, and the second it was read in. */
	char			*shared;
	int64_t			 shared_time;
	struct waiting		*waiting;
	unsigned		 nwaiting;
};

static void
token_free(char *token)
{
	if (token == NULL)
		return;
	secret_wipe(token, strlen(token));
	free(token);
}

/* The caller's bytes up to n, terminated. */
static char *
token_copy(const char *token, size_t n)
{
	char	*copy = malloc(n + 1);

	if (copy != NULL) {
		memcpy(copy, token, n);
		copy[n] = '\0';
	}
	return copy;
}

/*
 * "Bearer TOKEN", RFC 6750 2.1, the scheme in any case and blanks around the
 * token forgiven.  False if that is not what it is.
 */
static bool
bearer_find(const char *value, const char **token, size_t *n)
{
	static const char	scheme[] = "bearer";
	static const char	blank[] = " \t";
	char			word[sizeof scheme];
	size_t			len;

	if (value == NULL)
		return false;
	value += strspn(value, blank);
	len = strcspn(value, blank);
	if (len != sizeof scheme - 1)
		return false;
	memcpy(word, value, len);
	word[len] = '\0';
	if (!str_ieq(word, scheme))
		return false;
	value += len;
	value += strspn(value, blank);
	len = strlen(value);
	while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		len--;
	*token = value;
	*n = len;
	return len > 0 && len <= JWT_TOKEN_MAX;
}

static int64_t
now(const struct gate *g)
{
	return g->opt.wall != NULL ? g->opt.wall() : loop_wall();
}

static bool
has_own_token(const struct gate *g)
{
	const struct identity	*id = g->opt.identity;

	return id != NULL && id->from == IDENTITY_JWT && id->key != NULL &&
	    id->token != NULL;
}

/* Keeps the token before the current one: callers may still hold it. */
static void
own_tokens_update(struct gate *g)
{
	const struct identity	*id = g->opt.identity;

	if (!has_own_token(g) ||
	    (g->token != NULL && g->generation == id->generation))
		return;
	token_free(g->previous);
	g->previous = g->token;
	g->token = token_copy(id->token, strlen(id->token));
	g->generation = id->generation;
}

static bool
is_own(const struct gate *g, const char *token, size_t n)
{
	const char	*own = g->opt.identity->token;

	return secret_eq(token, n, own, strlen(own)) || (g->previous != NULL &&
	    secret_eq(token, n, g->previous, strlen(g->previous)));
}

static void
verdict_times(struct verdict *v, const struct jwt_claims *c)
{
	v->exp = c->exp;
	v->nbf = c->nbf;
	v->iat = c->iat;
}

/* The token is one of the workspace's own; is it good now? */
static int
judge_own(const struct gate *g, const char *token, size_t n,
    struct verdict *v, const char **why)
{
	const struct identity	*id = g->opt.identity;
	struct jwt_claims	 c;

	if (jwt_verify(id->key, token, n, now(g), &c, why) < 0)
		return GRPC_UNAUTHENTICATED;
	if (strcmp(c.sub, id->username) != 0 ||
	    (c.has_uid && c.uid != id->uid)) {
		*why = "token is another user's";
		return GRPC_UNAUTHENTICATED;
	}
	verdict_times(v, &c);
	v->own = true;
	v->generation = id->generation;
	snprintf(v->subject, sizeof v->subject, "user:%s", id->username);
	return GRPC_OK;
}

static bool
rule_allows(const struct gate *g, const struct conf_allowed *rule,
    const struct jwt_claims *c)
{
	const char	*ns = rule->ns[0] != '\0' ? rule->ns :
	    g->opt.own_namespace;

	return (strcmp(ns, "*") == 0 || strcmp(ns, c->k8s_namespace) == 0) &&
	    (strcmp(rule->account, "*") == 0 ||
	    strcmp(rule->account, c->k8s_account) == 0);
}

/* spec/grpc.md 2.3, steps 3 and 4. */
static int
judge_account(const struct gate *g, const struct jwt_claims *c,
    const char **why)
{
	const struct conf_grpc	*conf = g->opt.conf;
	size_t			 i;

	if (c->k8s_namespace[0] == '\0' || c->k8s_account[0] == '\0') {
		*why = "token names no service account";
		return GRPC_PERMISSION_DENIED;
	}
	for (i = 0; i < conf->nallowed; i++)
		if (rule_allows(g, &conf->allowed[i], c))
			return GRPC_OK;
	*why = "service account is not allowed";
	return GRPC_PERMISSION_DENIED;
}

static int
judge_claims(const struct gate *g, const struct jwt_claims *c,
    const char **why)
{
	const struct conf_grpc	*conf = g->opt.conf;
	const char		*iss = conf->issuer_url[0] != '\0' ?
	    conf->issuer_url : OIDC_ISSUER_DEFAULT;

	if (strcmp(c->iss, iss) != 0) {
		*why = "token is of another issuer";
		return GRPC_UNAUTHENTICATED;
	}
	/* An empty audience in the configuration lets nobody in. */
	if (conf->audience[0] == '\0' ||
	    !jwt_has_audience(c, conf->audience)) {
		*why = "token is for another audience";
		return GRPC_UNAUTHENTICATED;
	}
	return judge_account(g, c, why);
}

static int
judge_service(const struct gate *g, const char *token, size_t n,
    struct verdict *v, const char **why)
{
	const struct jwt_key	*key;
	struct jwt_claims	 c;
	char			 kid[JWT_KID_MAX + 1];
	int			 r;

	if (g->opt.oidc == NULL) {
		*why = "token is not this workspace's";
		return GRPC_UNAUTHENTICATED;
	}
	if (jwt_peek_kid(token, n, kid, why) < 0)
		return GRPC_UNAUTHENTICATED;
	if ((key = oidc_key(g->opt.oidc, kid)) == NULL) {
		*why = "signing key of the token is not known";
		return UNKNOWN_KEY;
	}
	if (jwt_verify(key, token, n, now(g), &c, why) < 0)
		return GRPC_UNAUTHENTICATED;
	if ((r = judge_claims(g, &c, why)) != GRPC_OK)
		return r;
	verdict_times(v, &c);
	v->own = false;
	v->generation = oidc_generation(g->opt.oidc);
	snprintf(v->subject, sizeof v->subject, "sa:%s/%s", c.k8s_namespace,
	    c.k8s_account);
	return GRPC_OK;
}

/* Perhaps the caller got a renewal before we looked. */
static bool
is_renewal(struct gate *g, const char *token, size_t n)
{
	int64_t	t = now(g);

	if (t == g->renewal_sought)
		return false;
	g->renewal_sought = t;
	if (!identity_refresh(g->opt.identity))
		return false;
	own_tokens_update(g);
	return has_own_token(g) && is_own(g, token, n);
}

static int
judge(struct gate *g, const char *token, size_t n, struct verdict *v,
    const char **why)
{
	own_tokens_update(g);
	if (has_own_token(g) &&
	    (is_own(g, token, n) || is_renewal(g, token, n)))
		return judge_own(g, token, n, v, why);
	return judge_service(g, token, n, v, why);
}

static void
verdict_forget(struct grpc_peer *peer)
{
	struct verdict	*v = peer->auth;

	peer->auth = NULL;
	if (v != NULL) {
		token_free(v->token);
		free(v);
	}
}

/* Without memory the next call is judged anew, nothing worse. */
static void
verdict_keep(struct grpc_peer *peer, const struct verdict *v,
    const char *token, size_t n)
{
	struct verdict	*kept;

	verdict_forget(peer);
	if ((kept = malloc(sizeof *kept)) == NULL)
		return;
	*kept = *v;
	kept->n = n;
	if ((kept->token = token_copy(token, n)) == NULL) {
		free(kept);
		return;
	}
	peer->auth = kept;
}

/* Is this the token judged before, and is all it was judged by as it was? */
static bool
verdict_holds(const struct gate *g, const struct verdict *v,
    const char *token, size_t n)
{
	uint32_t	generation;

	if (v == NULL || !secret_eq(v->token, v->n, token, n))
		return false;
	generation = v->own ? g->opt.identity->generation :
	    oidc_generation(g->opt.oidc);
	return v->generation == generation &&
	    jwt_times_wrong(v->exp, v->nbf, v->iat, now(g)) == NULL;
}

static int
admit(struct grpc_call *c, const char *subject, const char **why)
{
	if (grpc_call_set_subject(c, subject) < 0) {
		*why = no_memory;
		return GRPC_RESOURCE_EXHAUSTED;
	}
	return GRPC_OK;
}

static void
waiting_free(struct waiting *w)
{
	oidc_wait_cancel(&w->wait);
	*w->prevp = w->next;
	if (w->next != NULL)
		w->next->prevp = w->prevp;
	w->gate->nwaiting--;
	token_free(w->token);
	free(w);
}

/* The key set was fetched anew, or could not be. */
static void
on_keys(void *arg)
{
	struct waiting		*w = arg;
	struct grpc_call	*c = w->call;
	struct verdict		 v;
	const char		*why = NULL;
	int			 r;

	r = judge(w->gate, w->token, w->n, &v, &why);
	if (r == GRPC_OK) {
		verdict_keep(w->peer, &v, w->token, w->n);
		r = admit(c, v.subject, &why);
	} else if (r == UNKNOWN_KEY) {
		r = GRPC_UNAUTHENTICATED;
	}
	waiting_free(w);
	grpc_authorized(c, r, why);
}

static int
wait_for_keys(struct gate *g, struct grpc_peer *peer, struct grpc_call *c,
    const char *token, size_t n)
{
	struct waiting	*w;

	if (g->nwaiting == GATE_WAITING_MAX)
		return GRPC_UNAUTHENTICATED;
	if ((w = calloc(1, sizeof *w)) == NULL)
		return GRPC_UNAUTHENTICATED;
	w->wait.fn = on_keys;
	w->wait.arg = w;
	w->gate = g;
	w->peer = peer;
	w->call = c;
	w->n = n;
	if ((w->token = token_copy(token, n)) == NULL ||
	    oidc_refetch(g->opt.oidc, &w->wait) < 0) {
		token_free(w->token);
		free(w);
		return GRPC_UNAUTHENTICATED;
	}
	w->next = g->waiting;
	w->prevp = &g->waiting;
	if (w->next != NULL)
		w->next->prevp = &w->next;
	g->waiting = w;
	g->nwaiting++;
	return GRPC_AUTH_PENDING;
}

/* The token in a file, without the blanks around it.  0, or -errno, *why. */
static int
shared_read(const char *path, char **token, const char **why)
{
	char	*text, *start;
	size_t	 n;
	int	 r;

	if ((r = file_read(path, JWT_TOKEN_MAX, &text, &n)) < 0) {
		*why = r == -EFBIG ? "too long for a token" : strerror(-r);
		return r;
	}
	start = str_trim(text);
	if (strlen(start) < GATE_SHARED_MIN) {
		*why = "shorter than 16 bytes";
		r = -EINVAL;
	} else if ((*token = token_copy(start, strlen(start))) == NULL) {
		*why = no_memory;
		r = -ENOMEM;
	}
	secret_wipe(text, n);
	free(text);
	return r;
}

_Static_assert(GATE_SHARED_MIN == 16, "as the text says");

int
gate_token_check(const char *path, const char **why)
{
	char	*token = NULL;
	int	 r;

	r = shared_read(path, &token, why);
	token_free(token);
	return r;
}

/* The file again, if the last look was in another second. */
static void
shared_update(struct gate *g)
{
	const char	*why;
	int64_t		 t = now(g);

	if (t == g->shared_time)
		return;
	g->shared_time = t;
	token_free(g->shared);
	g->shared = NULL;
	(void)shared_read(g->opt.token_file, &g->shared, &why);
}

static bool
is_shared(struct gate *g, const char *token, size_t n)
{
	if (g->opt.token_file == NULL)
		return false;
	shared_update(g);
	return g->shared != NULL &&
	    secret_eq(g->shared, strlen(g->shared), token, n);
}

static int
check_token(struct gate *g, struct grpc_peer *peer, struct grpc_call *c,
    const char *authorization, const char **why)
{
	struct verdict	 v, *kept = peer->auth;
	const char	*token;
	size_t		 n;
	int		 r;

	if (!bearer_find(authorization, &token, &n)) {
		*why = authorization == NULL ? "authorization is missing" :
		    "authorization is not a bearer token";
		return GRPC_UNAUTHENTICATED;
	}
	if (verdict_holds(g, kept, token, n))
		return admit(c, kept->subject, why);
	if (is_shared(g, token, n))
		return admit(c, "token", why);
	r = judge(g, token, n, &v, why);
	if (r == UNKNOWN_KEY)
		return wait_for_keys(g, peer, c, token, n);
	if (r != GRPC_OK)
		return r;
	verdict_keep(peer, &v, token, n);
	return admit(c, v.subject, why);
}

static int
check(void *arg, struct grpc_peer *peer, struct grpc_call *c,
    const char *authorization, const char **why)
{
	struct gate	*g = arg;
	char		 subject[32];

	if (peer->has_uid) {
		if (peer->uid != g->opt.owner_uid && peer->uid != 0) {
			*why = "user of the socket's other end is not allowed";
			return GRPC_PERMISSION_DENIED;
		}
		snprintf(subject, sizeof subject, "uid:%u",
		    (unsigned)peer->uid);
		return admit(c, subject, why);
	}
	if (!g->opt.enabled)
		return GRPC_OK;
	return check_token(g, peer, c, authorization, why);
}

static void
cancel(void *arg, struct grpc_call *c)
{
	struct gate	*g = arg;
	struct waiting	*w, *next;

	for (w = g->waiting; w != NULL; w = next) {
		next = w->next;
		if (w->call == c)
			waiting_free(w);
	}
}

static void
forget(void *arg, struct grpc_peer *peer)
{
	struct gate	*g = arg;
	struct waiting	*w, *next;

	for (w = g->waiting; w != NULL; w = next) {
		next = w->next;
		if (w->peer == peer)
			waiting_free(w);
	}
	verdict_forget(peer);
}

struct gate *
gate_create(struct loop *l, const struct gate_options *opt)
{
	struct gate	*g = calloc(1, sizeof *g);

	(void)l;
	if (g == NULL)
		return NULL;
	g->opt = *opt;
	own_tokens_update(g);
	return g;
}

void
gate_destroy(struct gate *g)
{
	if (g == NULL)
		return;
	while (g->waiting != NULL)
		waiting_free(g->waiting);
	token_free(g->token);
	token_free(g->previous);
	token_free(g->shared);
	free(g);
}

void
gate_fill(struct gate *g, struct grpc_auth *auth)
{
	auth->check = check;
	auth->forget = forget;
	auth->cancel = cancel;
	auth->arg = g;
}
