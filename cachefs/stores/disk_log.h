/* SPDX-License-Identifier: Apache-2.0 */
/* disk_log - the file `index` of the disk tier's folder: read at start, appended to, compacted.
 * Records are those of disk_index.h. Lock: `lock`, taken before the cache's; held over appends. */
#ifndef CACHEFS_STORES_DISK_LOG_H
#define CACHEFS_STORES_DISK_LOG_H

#include <pthread.h>

#include "cachefs/cache.h"

struct disk_log {
	int dir;
	pthread_mutex_t lock; /* all below, and block.logged */
	int fd;
	uint64_t bytes, compacted_bytes;
};

/* Puts what the log names into c, and opens it for appending. A log that is missing, or that was
 * made with another block size, is begun anew. */
int disk_log_open(struct disk_log *log, struct cache *c, int dir);
void disk_log_done(struct disk_log *log);

void disk_log_put(struct disk_log *log, struct cache *c, struct block *b); /* written, FILLING */
void disk_log_gone(
	struct disk_log *log, struct cache *c, struct block *b); /* before it is erased */

/* Rewrites the log when most of it is out of date. */
void disk_log_compact(struct disk_log *log, struct cache *c);

#endif
