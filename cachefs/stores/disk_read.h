/* SPDX-License-Identifier: Apache-2.0 */
/* disk_read - how the bytes of tier files are read.
 *
 *      in the page cache?  yes ─> read there, and forget the pages (drop)
 *             no: of a segment, and there is credit ─> the mebibyte around is asked of the disk at once,
 *                                                      and ours read from it
 *             no ─> read past the page cache (drop), or through it (keep)
 *
 * **Reading around**: what lies beside a small file in a segment was fetched next to it, and is often read
 * soon; a mebibyte costs the disk little more than a file does. What is read around is paid from a credit
 * and paid back when it is asked for, so the bytes that nobody has asked for yet, and those that nobody
 * ever does, are never more than its `max`. */
#ifndef CACHEFS_STORES_DISK_READ_H
#define CACHEFS_STORES_DISK_READ_H

#include "cachefs/credit.h"
#include "cachefs/store.h"
#include "cachefs/stores/disk_files.h"

struct disk_reader {
	struct disk_files *files;
	struct counter_set *counters;
	bool drop;            /* leave nothing of what was read in the page cache */
	bool exact;           /* nor what the kernel would read ahead */
	struct credit credit; /* of 0 bytes: nothing is read around */
};

void disk_reader_init(struct disk_reader *rd, struct disk_files *files, struct counter_set *count,
	const struct config *cfg);

/* disk.page_cache resolved: whether tier files leave nothing in the page cache. */
bool disk_drops_pages(const struct config *cfg);

/* Reads ext of file f into buf, as extent_read(). */
int disk_read(struct disk_reader *rd, struct disk_file *f, const struct extent *ext, void *buf);

#endif
