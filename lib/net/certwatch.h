/*
 * certwatch - notices a renewed certificate and loads it (TR-25).
 *
 * Watches the folders of both files, so a rename over a file, a rewrite, and
 * the flip of Kubernetes' `..data` link all count, and looks at the files some
 * time after the first sign, when the writer is done with both.  A pair that
 * does not load is logged and changes nothing; the next sign brings the next
 * try.  Signs may be missing (no inotify, a folder replaced, a link into
 * another folder), so the files are also looked at from time to time.
 */
#ifndef NET_CERTWATCH_H
#define NET_CERTWATCH_H

#include <stdint.h>

struct certwatch;
struct loop;
struct tls_identity;

#define CERTWATCH_DELAY_MS	2000	/* where the configuration says 0 */
#define CERTWATCH_POLL_MS	30000	/* without inotify */
#define CERTWATCH_RECHECK_MS	600000	/* with it */

/* A pair that loaded; borrowed for the call.  May destroy its certwatch. */
typedef void certwatch_fn(void *arg, struct tls_identity *id);

/*
 * The files as they are now count as known.  0 or -ENOMEM; that there is no
 * inotify is no error.
 */
int	 certwatch_create(struct certwatch **out, struct loop *l,
	    const char *cert_file, const char *key_file, uint64_t delay_ms,
	    certwatch_fn *fn, void *arg);
void	 certwatch_destroy(struct certwatch *w);	/* NULL is allowed */

#endif
