/*
 * reap - pid -> owner registry, the only waitid in the tree.
 *
 * Driven by SIGCHLD: collects until nothing is left, every status is
 * delivered once to whoever registered the pid (T21).  The owner is called
 * while the child is still a zombie: its pid and process group can't be
 * anybody else's yet, so that is the moment to signal the group (T20).
 * Register in the same thread right after fork, before the loop turns: no
 * status can slip by.
 *
 * With adopt, children nobody registered (orphans handed to PID 1 or to a
 * subreaper) are collected as well; without it only our own are.
 */
#ifndef PROC_REAP_H
#define PROC_REAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What one call collects, and the time after which it stops: ten thousand
 * that end must not keep the loop waiting.  With that many children a single
 * look takes a millisecond, as the kernel walks past all who still live.
 */
#define REAP_BATCH	64u
#define REAP_SPEND_US	1000u

struct reap;

struct reap_exit {
	pid_t	pid;
	bool	signaled;
	int	value;			/* exit status, or signal number */
};

/* Embedded in the owner. */
struct reap_entry {
	pid_t	 pid;
	void	(*fn)(void *arg, const struct reap_exit *e);
	void	*arg;
	struct reap *reap;		/* NULL: not registered */
	struct reap_entry *next, **prevp;
};

/* NULL: out of memory. */
struct reap *reap_create(bool adopt);
/* NULL is allowed.  Entries still registered are unregistered, uncalled. */
void	 reap_destroy(struct reap *r);

/* fn may register, forget and spawn; it may not call reap_run(). */
void	 reap_watch(struct reap *r, struct reap_entry *e);

/*
 * The child is then collected, its status dropped.  Without adopt this needs
 * a few bytes; if there are none, the child stays a zombie.  No-op if e is
 * not registered.
 */
void	 reap_forget(struct reap_entry *e);

/* The same where e came from malloc: the registry frees it; can't fail. */
void	 reap_forget_owned(struct reap_entry *e);

/*
 * For an entry made for somebody else's child, in case it becomes ours: as if
 * it had never been watched.  No-op if e is not registered.
 */
void	 reap_unwatch(struct reap_entry *e);

/* Whether pid is a child of ours right now, ended or not; and if it ended. */
bool	 reap_is_child(pid_t pid);
bool	 reap_has_ended(pid_t pid);

/*
 * On SIGCHLD, and once after start.  Returns how many were collected.  A call
 * that stops at its limit sends SIGCHLD to ourselves, so that the rest comes
 * next turn, those somebody waits for first.
 */
unsigned reap_run(struct reap *r);

/*
 * Whether that call stopped at its limit.  A caller who has more to do leaves
 * the rest alone for some milliseconds: who still has to end wants the
 * processor, too, and who spent his share on collecting has none left for a
 * key press.
 */
bool	 reap_left_some(const struct reap *r);

size_t	 reap_watched(const struct reap *r);	/* children still owned */
bool	 reap_is_watched(const struct reap *r, pid_t pid);
void	 reap_each(const struct reap *r, void (*fn)(void *arg, pid_t pid),
	    void *arg);
uint64_t reap_adopted(const struct reap *r);	/* collected orphans so far */

/* Shell's way: status, or 128 + signal number (EX-03). */
int	 reap_exit_code(const struct reap_exit *e);

/* Orphans below us become our children, as they do for PID 1.  0 or -errno. */
int	 reap_become_subreaper(void);

#endif
