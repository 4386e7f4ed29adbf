/*
 * kbox_jobs - the jobs of this workspace: which there are, which one a word
 * means, and what they say as they say it.
 *
 * A daemon from before there were jobs has no such route; that is said in
 * words, once.
 */
#ifndef APPLETS_KBOX_JOBS_H
#define APPLETS_KBOX_JOBS_H

#include "applets/kbox_table.h"
#include "base/buf.h"

struct kbox_job {
	const char	*id, *status, *reason;	/* "" where not said */
	const char	*command;	/* words with blanks between, or many
					 * lines */
	bool		 ended;		/* its status is final */
	uint64_t	 lingering;	/* processes it has left */
	const struct value *value;
};

void	 kbox_job_read(const struct value *v, struct kbox_job *j);

/*
 * All of them, newest first: an array, or null.  *list is NULL, and nothing
 * said, if the daemon is from before there were jobs.
 */
int	 kbox_jobs_try(struct kbox *k, const struct value **list);
/* One by its whole id, as it is now.  NULL, and nothing said: there is none. */
const struct value *kbox_job_get(struct kbox *k, const char *id);

/* Those whose ids are looked at first when a start of one is given. */
enum kbox_jobs_which { KBOX_JOBS_ANY, KBOX_JOBS_LIVE, KBOX_JOBS_ENDED };

bool	 kbox_job_is(const struct kbox_job *j, enum kbox_jobs_which which);

/*
 * The job a word means: its whole id, or a start only one of them has.
 * KBOX_NOT_FOUND or KBOX_FAILED after a message.
 */
int	 kbox_job_find(struct kbox *k, const char *word,
	    enum kbox_jobs_which which, const char **id);

/* The same, but says nothing if there is none: *id is NULL then. */
int	 kbox_job_look(struct kbox *k, const char *word,
	    enum kbox_jobs_which which, const char **id);
/* Says so: KBOX_NOT_FOUND. */
int	 kbox_job_none(struct kbox *k, const char *word);

/*
 * A request about many jobs, answered with how many it was.  *v is that answer,
 * or NULL after --json has printed it, or after a message.
 */
int	 kbox_jobs_bulk(struct kbox *k, const struct kbox_request *q,
	    const struct value **v);

/* ---- kbox_jobs_feed.c: events, one JSON object a line ---- */

/*
 * What a job writes leaves as it came, on the descriptor it was meant for.
 * Whoever asks meanwhile (wake) is heard even if nobody reads our output.
 */
struct kbox_feed {
	struct kbox	*k;
	void		 (*started)(void *arg, const char *id);	/* or NULL */
	void		*arg;		/* of started */
	struct kbox_wake wake;
	int64_t		 since_ns;	/* older output is left out */
	bool		 inside[3];	/* a line, of this descriptor */
	const char	*id;		/* NULL: not known before it starts */
	bool		 whole;		/* what was forgotten is wanted, too:
					 * from its log file */
	uint64_t	 at;		/* bytes of output so far */
	struct buf	 line;		/* begun, not ended */
	bool		 ended;		/* the last event has come */
	bool		 gone;		/* nobody reads our output */
	bool		 stopped;	/* wake said so */
	int		 error;		/* errno of our output */
	int		 exit_code;	/* -1: not known */
	char		 status[16], reason[16];
};

/*
 * Sends q and follows the events of its answer to their end.  KBOX_OK if
 * there is nothing to complain about but what stands in f; else as
 * kbox_call(), after a message.
 */
int	 kbox_feed_run(struct kbox_feed *f, struct kbox_request *q,
	    struct kbox_answer *a);

/* ---- kbox_jobs_file.c: what the daemon does not remember ---- */

struct kbox_copy {
	/* False: no more of it. */
	bool		 (*put)(void *arg, const char *p, size_t n);
	void		*arg;
	const struct kbox_wake *wake;	/* while it waits for what is late */
	uint64_t	 at, to;	/* of all bytes that the job said */
	uint64_t	 missing;	/* they are not kept any more */
	bool		 stopped;	/* put or wake said so */
	const char	*path;		/* of a forgotten one: the file */
};

/*
 * The bytes from c->at to c->to of what job id said, from its log file; c->at
 * is then the first that is not there.  False, and nothing is put: there is no
 * such file, or it is written so fast that nobody can say what is in it.
 */
bool	 kbox_joblog_copy(struct kbox *k, const char *id, struct kbox_copy *c);
/* All of the log file in our home of a job the daemon has forgotten. */
bool	 kbox_joblog_forgotten(struct kbox *k, const char *id,
	    struct kbox_copy *c);

#endif
