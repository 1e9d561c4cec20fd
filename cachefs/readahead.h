/* SPDX-License-Identifier: Apache-2.0 */
/* readahead - sees who reads a large file in sequence, and has the next blocks fetched meanwhile; and how much
 * misses may fetch beyond what they ask for.
 *
 *      reads   [0,128K) [128K,256K) ...        a stream: each read begins about where one ended
 *              next ──┐        ahead ──┐
 *      file    ███████▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒······ window: doubled with each read, up to readahead.max
 *
 * A first read counts if it begins at the front; a read elsewhere may begin another stream. What is fetched for nothing has a
 * bound: fetching ahead spends credit, reading what was fetched gives it back, and any read of a large file
 * earns a share of its bytes (readahead.waste). Random readers, whose streams end at once, run out of it, and then
 * hardly anything is fetched ahead. Credit is at most a quarter of mem.capacity, and so is what lies there
 * unread: else blocks would be pushed out before they are read, and fetched twice. All streams share that
 * evenly; what a stream fetched that nobody reads on for a while is not counted any more.
 *
 * A miss fetches whole blocks too, so that what lies beside it is there, as long as that is at most
 * cache.amplification times what is read: it has an account of its own, beginning with SPARE_MAX. Readers
 * in sequence earn more than they spend; when random ones have emptied it, misses fetch what they ask for, and
 * nothing is kept.
 *
 * Small files (one block) are not looked at. Kernel readahead sends reads on several threads, so "about"
 * is two blocks either way. Locks: one a shard of streams; the flights' and tiers' are taken inside. */
#ifndef CACHEFS_READAHEAD_H
#define CACHEFS_READAHEAD_H

#include <pthread.h>

#include "cachefs/credit.h"
#include "cachefs/store.h"

#define READAHEAD_SHARDS 64
#define READAHEAD_WAYS 8

struct stream {
	uint64_t key;         /* of name and version; 0: free */
	uint64_t next;        /* where its next read should begin */
	uint64_t from, ahead; /* fetched ahead: from, up to */
	uint64_t unread;      /* of these bytes, cost credit and were not read */
	uint64_t window;      /* 0: nothing is fetched ahead */
	int64_t used_ns;      /* when it was read last */
};

struct readahead {
	struct store *mem;
	uint64_t block_size, max;
	double waste;
	struct credit credit;
	_Atomic int64_t unread;  /* of all streams */
	_Atomic int64_t streams; /* with a window */
	_Atomic unsigned sweep;  /* the shard to look for idle streams next */
	_Atomic int64_t fetched_bytes, read_bytes;
	double amplification;
	struct credit spare; /* bytes that misses may fetch beyond what they ask for */
	struct readahead_shard {
		pthread_mutex_t lock; /* below */
		struct stream stream[READAHEAD_WAYS];
	} shard[READAHEAD_SHARDS];
};

/* mem: whose prefetch() is called. */
void readahead_init(struct readahead *ra, const struct config *cfg, struct store *mem);
void readahead_done(struct readahead *ra);

/* Somebody reads [off, off+len) of obj, which lies inside it. Never waits for the origin. */
void readahead_note(struct readahead *ra, const struct object *obj, uint64_t off, uint64_t len);

/* Whether a miss of [off, off+len) of obj may fetch the whole of its blocks, which is then paid for. */
bool readahead_whole(struct readahead *ra, const struct object *obj, uint64_t off, uint64_t len);

/* {"fetched_bytes":..,"read_bytes":..,"unread_bytes":..,"credit_bytes":..,"spare_bytes":..}: read: of what was
 * fetched ahead. */
json_t *readahead_stats(struct readahead *ra);

#endif
