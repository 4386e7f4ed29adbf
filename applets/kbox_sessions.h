/*
 * kbox_sessions - the shells of this workspace, from GET /streams, which every
 * generation of the daemon has; ids may be given by their start.
 */
#ifndef APPLETS_KBOX_SESSIONS_H
#define APPLETS_KBOX_SESSIONS_H

#include "applets/kbox_table.h"

struct kbox_session {
	const char	*id, *status;	/* "ACTIVE", "DETACHED" */
	const char	*shell, *pid, *ttl;	/* "" where not said */
	const struct value *value;
};

/* All streams, an array; empty if the daemon said null. */
int	 kbox_sessions_get(struct kbox *k, const struct value **list);

/* What a stream says about a shell; false if it is none, or is over. */
bool	 kbox_session_read(struct kbox *k, const struct value *v,
	    struct kbox_session *s);

/*
 * The id that word stands for: the whole of it, or a start that only one id
 * has.  A word that fits nothing stays as it is, for the
 * daemon to judge.  KBOX_FAILED after a message if several fit.
 */
int	 kbox_session_find(struct kbox *k, const char *word,
	    const char **id);

/*
 * kbox_pick.c: one of several, by arrow keys or by number.  The row, or -1;
 * *status is the exit status then (KBOX_INTERRUPT if the user gave up).
 */
int	 kbox_pick(struct kbox *k, const char *title,
	    const struct kbox_table *t, int *status);

#endif
