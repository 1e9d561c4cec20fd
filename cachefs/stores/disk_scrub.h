/* SPDX-License-Identifier: Apache-2.0 */
/* disk_scrub - reads back what an earlier process left in files of their own.
 *
 * A block that was restored from the index is checked whenever it is read, but a file that the kernel
 * reads by itself must have been checked before: by this thread, which begins when somebody asks
 * for such a file, with that one, and goes on through all others at disk.scrub bytes a second. It
 * leaves no pages behind, and what is wrong it rejects. When nothing is left to check it ends. */
#ifndef CACHEFS_STORES_DISK_SCRUB_H
#define CACHEFS_STORES_DISK_SCRUB_H

#include <pthread.h>

#include "cachefs/cache.h"
#include "cachefs/stores/disk_files.h"

struct scrub {
	struct cache *cache;
	struct disk_files *files;
	double rate; /* bytes a second; 0: never */
	pthread_mutex_t lock;
	pthread_cond_t stopping; /* below: lock */
	bool started, stop, asked;
	uint32_t slot; /* asked: go on there */
	pthread_t thread;
};

void scrub_init(struct scrub *s, struct cache *c, struct disk_files *files, double rate);

/* The block of this slot next, and those behind it. Never waits. */
void scrub_ask(struct scrub *s, uint32_t slot);

void scrub_stop(struct scrub *s); /* joins; may be called twice */
void scrub_done(struct scrub *s);

#endif
