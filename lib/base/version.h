/*
 * version - which release this is.
 *
 * The text comes from the file VERSION and from git at build time; a tree
 * without git says commit 0000000.  Nothing else of the build machine, no date
 * and no path, is in the binary.
 */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

/* "1.2.3"; static storage. */
const char	*version_string(void);

/* Seven hexadecimal digits; static storage. */
const char	*version_commit(void);

/* "1.2.3-abcdef0", as the two ends of Handshake write it. */
const char	*version_full(void);

/*
 * Prints "NAME version: VERSION (commit: COMMIT)" and a newline on stdout;
 * this is what `k8shelld -v` has to say (spec/bootstrap.md 2.1).
 */
void		 version_print(const char *name);

#endif
