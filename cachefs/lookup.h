/* SPDX-License-Identifier: Apache-2.0 */
/* lookup - a process of its own that makes names known to the kernel: it stats them in the mount.
 *
 * Not the daemon itself, which would wait for its own answers. It sees the mount through a copy of it that
 * hangs nowhere (open_tree), so it never keeps the mount busy; it ends as soon as the mount is taken away, as the
 * copy would keep the filesystem alive. Making such a copy needs root. */
#ifndef CACHEFS_LOOKUP_H
#define CACHEFS_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>

struct lookup;

#define LOOKUP_NAMES 32 /* most at once */

/* Starts it for the mount at path. NULL: it cannot be; *ret_why says why, in a few words. */
struct lookup *lookup_new(const char *mountpoint, const char **ret_why);
/* Kills it and waits for its end. NULL is accepted. */
void lookup_free(struct lookup *l);

/* Has it stat these names, and waits. False: it has gone or does not answer; it will not again. */
bool lookup_names(struct lookup *l, const char *const *names, size_t n);

/* What main() has to begin with: true, and *ret_code, where this process is the helper. */
bool lookup_main(int argc, char **argv, int *ret_code);

#endif
