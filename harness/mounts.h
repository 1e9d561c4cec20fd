/* SPDX-License-Identifier: Apache-2.0 */
/* mounts - what is mounted, from /proc/self/mountinfo alone.
 *
 * Nothing here looks at a mount itself: a stat() on a dead NFS or FUSE mount may never return. */
#ifndef HARNESS_MOUNTS_H
#define HARNESS_MOUNTS_H

#include <stdbool.h>
#include <jansson.h>

#include "common/err.h"

struct mount_entry {
	char *path, *type, *source; /* inside the line it was parsed from */
};

/* Takes one line of mountinfo apart, in place; false if it is none. */
bool mounts_parse_line(char *line, struct mount_entry *ret);

/* Calls each mount; non-zero ends the walk and is returned. */
typedef int mount_fn(const struct mount_entry *m, void *arg);
int mounts_each(mount_fn *each, void *arg);

bool mounts_is_mounted(const char *path);
bool mounts_any_below(const char *dir); /* or at it */

/* Whether a type is a network or FUSE filesystem that could hold training data. */
bool mounts_type_is_remote(const char *type);

/* [{"path","type","source"}]: network and FUSE mounts. */
json_t *mounts_remote(void);

/* Unmounts now, busy or not (fusermount3 where umount is not permitted); mount by mount what is at
 * or below dir, deepest first. 0 when nothing is mounted there any more. */
int mounts_detach_below(const char *dir);

/* 0 if there is a /dev/fuse for this user, else -errno and err. Mounts nothing. */
int mounts_fuse_there(struct err *err);

/* 0 if this user can mount FUSE, else -errno and err says what is missing. Tries it on scratch, an
 * empty folder. */
int mounts_fuse_usable(const char *scratch, struct err *err);

#endif
