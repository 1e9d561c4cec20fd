/* SPDX-License-Identifier: Apache-2.0 */
/* Files: whole reads and writes, atomic replacement, trees, the cache home. */
#ifndef FEEDRATE_FILE_H
#define FEEDRATE_FILE_H

#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

/* Reads or writes all of len; -EIO when a read ends early. Retries EINTR. */
int file_pread_all(int fd, void *buf, size_t len, off_t off);
int file_pwrite_all(int fd, const void *buf, size_t len, off_t off);

/* The whole file as a NUL-terminated string, *ret_len without the NUL; refuses files over max. */
int file_read(const char *path, size_t max, char **ret_data, size_t *ret_len);

/* Writes PATH.tmp.PID, fsyncs, renames over PATH, fsyncs the folder: PATH is old or new, never
 * half-written. */
int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *err);

int file_make_dirs(const char *path, mode_t mode); /* mkdir -p; 0 when it is there already */
int file_remove_tree(const char *path);            /* rm -r, never follows symbolic links */

/* Bytes that a tree takes on its disk; what lies on other filesystems below it is left out. */
int64_t file_tree_bytes(const char *path);

/* $XDG_CACHE_HOME/feedrate or ~/.cache/feedrate; not created. */
char *file_cache_home(void);

/* Bytes free for this user on the filesystem of the nearest existing parent of path. */
int file_free_bytes(const char *path, int64_t *ret_bytes);

/* Pages of [off, off+len) (len 0: to the end) that the page cache holds or is fetching, by cachestat(2) of
 * Linux 6.5. -ENOSYS, or -EOPNOTSUPP: not to be had. */
int64_t file_cached_pages(int fd, off_t off, size_t len);

/* What lies at path as seen from the folder of this executable, without symbolic links; NULL if
 * there is nothing. */
char *file_beside_program(const char *path);

/* The path of a program of ours: beside this executable, else as found in PATH. */
char *file_sibling_program(const char *name);

#endif
