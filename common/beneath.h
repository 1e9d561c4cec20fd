/* SPDX-License-Identifier: Apache-2.0 */
/* Opening names that others chose (object keys, origin names) without ever leaving a root folder.
 *
 * A name is relative to the root; "" is the root itself. ".." and absolute or symbolic links that
 * lead out of the root fail, whatever changes in the tree meanwhile. Links that stay inside are
 * followed where the kernel has openat2(2) (Linux 5.6); elsewhere no link is. */
#ifndef FEEDRATE_BENEATH_H
#define FEEDRATE_BENEATH_H

#include <dirent.h>
#include <stdbool.h>
#include <sys/stat.h>

/* As openat(root, name, flags); O_CLOEXEC, O_NOCTTY and O_NONBLOCK are added, so that opening a
 * FIFO or a terminal by mistake neither hangs nor takes it over. A descriptor or -errno; a name
 * that leads out is -EXDEV. */
int beneath_open(int root, const char *name, int flags);

/* The same one component at a time, for kernels without openat2. Links are -ELOOP, or -ENOTDIR
 * where a folder should be. */
int beneath_open_walk(int root, const char *name, int flags);

/* Attributes of an entry just read from dir, which beneath_open() opened as dir_name beneath
 * root; a link is followed as beneath_open() does. */
int beneath_stat_entry(
	int root, const char *dir_name, DIR *dir, const struct dirent *entry, struct stat *ret);

/* Whether key is a path of plain components: none empty, "." or "..", at most 4095 bytes. */
bool beneath_plain(const char *key);

#endif
