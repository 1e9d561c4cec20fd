/* SPDX-License-Identifier: Apache-2.0 */
/* disk_write - how blocks are written to tier files, and what that leaves in the page cache. */
#ifndef CACHEFS_STORES_DISK_WRITE_H
#define CACHEFS_STORES_DISK_WRITE_H

#include "cachefs/stores/disk_files.h"

/* KEEP: the pages stay. BEHIND: a stretch of 4 MiB goes to the disk when the next one begins, and its pages
 * soon after, so the disk gets large requests and a file's last stretches stay. NOTHING: they go with
 * each block, which costs a quarter more CPU for small ones. But for KEEP, whole pages of a large object are
 * written past the page cache, if they lie in memory at a page's beginning and the filesystem can. */
enum written_pages { PAGES_KEEP, PAGES_BEHIND, PAGES_NOTHING };

/* Writes len bytes at off of f, which is a block's place. -errno: any part of them may have been written. */
int disk_write(struct disk_files *fs, struct disk_file *f, const void *data, size_t len, off_t off,
	enum written_pages pages);

#endif
