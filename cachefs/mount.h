/* SPDX-License-Identifier: Apache-2.0 */
/* mount - the place where a mount will be: is it fit, is something there already, what does the
 * kernel say about it. Reads mountinfo rather than asking the mount itself, which may be dead. */
#ifndef CACHEFS_MOUNT_H
#define CACHEFS_MOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

#define MOUNTINFO "/proc/self/mountinfo"
#define MOUNT_TYPE "fuse.cachefs"

struct mount_entry {
	char type[64];
	char source[512]; /* as the filesystem calls it, cut if longer */
	unsigned major, minor;
};

/* The uppermost mount at exactly this absolute path. -ENOENT: none. */
int mount_find(const char *mountinfo, const char *path, struct mount_entry *ret);

/* Undoes mountinfo's \040 and the like, in place. */
void mount_unescape(char *s);

/* N of "/dev/fd/N", a /dev/fuse that the caller has opened and mounted; -1 for any other path. */
int mount_given_fd(const char *path);

/* Whether fd is one; -EINVAL and err. */
int mount_check_fd(int fd, struct err *err);

/* The absolute path of a mount point, which may be a dead mount. malloc'ed; NULL and err. */
char *mount_resolve(const char *path, struct err *err);

/* Checks that path is an empty folder (any, with nonempty) and no cachefs mount. A dead cachefs
 * mount there is detached. -EINVAL and err when it is not fit. */
int mount_prepare(const char *path, bool nonempty, struct err *err);

/* Whether this process may open /dev/fuse; -errno and err with the remedy. */
int mount_check_device(struct err *err);

/* Takes a mount away even if it is in use or dead: umount2(MNT_DETACH), else fusermount3 -uz. */
int mount_detach(const char *path);

/* The device number of the mount that a /dev/fuse descriptor serves, from its fdinfo (a file of
 * /proc/self/fdinfo). -ENOENT: nothing is mounted with it, or the kernel is too old to tell. */
int mount_of_fd(const char *fdinfo, struct mount_entry *ret);

/* Kernel readahead of a mount, by its device number, in bytes; -errno. Setting it needs root. */
int mount_get_readahead(const struct mount_entry *mount, int64_t *ret);
int mount_set_readahead(const struct mount_entry *mount, int64_t bytes);

#endif
