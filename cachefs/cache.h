/* SPDX-License-Identifier: Apache-2.0 */
/* cache - what the tiers share: which blocks of which objects are held, in how many bytes, and
 * which go when room is needed. The bytes themselves are the tier's.
 *
 * An object is cut into blocks of block_size; (name, version, number) finds a block. A block has
 * a slot, whose number the policy knows:
 *
 *              reserve            commit              drop, reject, evict
 *      FREE ───────────> FILLING ────────> READY ─────────────────────────> DOOMED ──> FREE
 *                           └──────── abort ─────────────────────────────────^  when unpinned
 *                                                                               and erased
 *      state    in index  in policy  pins   lent
 *      FREE     no        no         0      no
 *      FILLING  yes       no         0      no      one thread writes its bytes
 *      READY    yes       yes        any    yes
 *      DOOMED   yes       no         any    no      keeps its place until nobody reads it
 *
 * A DOOMED block stays in the index so that nobody fills the same place while it is still read or
 * being erased: whoever wants to, gets -EEXIST and goes round the tier.
 *
 * A file can be sealed (cache_whole.c): from then on its blocks go all together or not at all, and
 * none is filled again. One slot, that of block 0, stands for all of them in the policy.
 *
 * Room is made when a block needs it, or by a thread of the tier's own between two watermarks
 * (cache.watermark_high, cache.watermark_low). A filler then never waits for a tier that erases: what finds
 * no room is not kept.
 *
 * Locks: one, `lock`, never held over I/O. Tier callbacks marked "locked" run under it. */
#ifndef CACHEFS_CACHE_H
#define CACHEFS_CACHE_H

#include <pthread.h>

#include "cachefs/arena.h"
#include "cachefs/policy.h"
#include "cachefs/store.h"

#define WHERE_ANY UINT64_MAX

enum block_state { BLOCK_FREE, BLOCK_FILLING, BLOCK_READY, BLOCK_DOOMED };

/* One version of one object of which blocks are held. There may be millions: of an object of a single block
 * 60 bytes and the name, in the arena, and 48 with the policy's for the block. */
struct cache_file {
	struct cache_file *next; /* hash chain */
	uint64_t version, size;
	void *tier; /* the tier's own, NULL at first */
	const char *name;
	uint32_t hash; /* the upper half */
	uint32_t blocks, held;
	bool sealed, verified; /* verified: known to be; else ask the blocks */
	uint32_t slot[];       /* by block number, SLOT_NONE where not held; behind it the name */
};

struct block {
	struct cache_file *file;
	uint64_t where; /* the tier's: where the bytes lie */
	uint32_t number, len, pins;
	uint8_t state;
	bool placed : 1;     /* has space */
	bool unwanted : 1;   /* dropped while being filled */
	bool unverified : 1; /* restored, and not read back yet */
	bool logged;         /* the disk tier's */
	bool owed;           /* READY: the tier below should have it and has not */
	union {
		uint32_t one, *many; /* CRC32C of each chunk: many if there are several */
		uint32_t next_free;
	} u;
};

struct cache;

struct cache_ops {
	/* Locked. Finds room for b->len bytes and sets b->where (which is WHERE_ANY, else the only
	 * place that will do); -ENOSPC: more has to go first. */
	int (*place)(struct cache *c, struct block *b);
	/* Locked. Gives b's room back, if b->placed; last: no other block of its file is held, so
	 * b->file->tier goes too. */
	void (*unplace)(struct cache *c, struct block *b, bool last);
	/* NULL, or: makes the bytes unreadable before the room is given back; may do I/O. */
	void (*erase)(struct cache *c, struct block *b);
	/* NULL, or: offers pinned b, which is to go and is owed, to the tier below. 0: that has the
	 * pin now, and b goes when it is put; else b is lost. */
	int (*demote)(struct cache *c, struct block *b);
};

struct cache {
	const struct cache_ops *ops;
	struct store *store; /* whose counters are ours */
	uint32_t block_size;
	uint64_t capacity;
	pthread_mutex_t lock; /* all below */
	uint64_t used;
	struct policy *policy;
	struct block *block;
	uint32_t slots, slots_used, first_free;
	struct arena arena; /* files, but those that are too large for it */
	struct cache_file **bucket;
	size_t buckets, files, unverified; /* unverified: blocks */
	uint64_t high, low;                /* watermarks; 0: off. Constant */
	pthread_t evictor;
	pthread_cond_t crowded;
	bool evicting, stopping; /* the thread runs, should end */
};

int cache_init(struct cache *c, struct store *st, const struct cache_ops *ops,
	const struct config *cfg, uint64_t capacity);
/* Starts the thread that evicts between watermarks, if there are any: not before what an earlier process
 * left is restored, which is done without locks and needs every block to stay. */
int cache_start(struct cache *c);
/* Ends it. */
void cache_stop(struct cache *c);
/* Gives no block back to the tier: what is on disk stays there. */
void cache_done(struct cache *c);

static inline uint32_t block_number(const struct cache *c, uint64_t off)
{
	return (uint32_t)(off / c->block_size);
}

/* Bytes of block number of obj. */
static inline uint32_t block_len(const struct cache *c, const struct object *obj, uint32_t number)
{
	uint64_t off = (uint64_t)number * c->block_size;

	return obj->size - off < c->block_size ? (uint32_t)(obj->size - off) : c->block_size;
}

/* What a policy knows a block by. */
uint64_t block_key(const char *name, uint64_t version, uint32_t number);
uint32_t block_slot(const struct cache *c, const struct block *b);
uint32_t *block_crcs(struct block *b); /* (len + CHUNK_SIZE - 1) / CHUNK_SIZE of them */

/* Whether block number is READY; then pins it for the caller, tells the policy and counts a hit if
 * `count`. NULL: not held (counts a miss if `count`). */
struct block *cache_pin(struct cache *c, const struct object *obj, uint32_t number, bool count);
/* The same for who wants to know no more; not counted. */
bool cache_holds(struct cache *c, const struct object *obj, uint32_t number);
void cache_unpin(struct cache *c, struct block *b);

/* Fills ext with the part of pinned block b that [off, off+len) wants. The pin moves into ext.
 * ext->off is the place in the block: the tier makes mem, or fd and off, of it. */
void cache_extent(struct cache *c, struct block *b, uint64_t off, size_t len, struct extent *ext);
struct block *extent_block(struct cache *c, const struct extent *ext);

/* A place for block number, FILLING, evicting what has to go. -EEXIST: held, filled or doomed;
 * -ENOSPC: nothing may go, or the policy does not want it (a bypass is counted). */
int cache_reserve(struct cache *c, const struct object *obj, uint32_t number, struct block **ret);
/* Whether a block of len bytes would be taken now: a look ahead that saves the work. */
bool cache_admits(struct cache *c, size_t len);

/* As cache_reserve() at a known place and without evicting. */
int cache_restore(struct cache *c, const struct object *obj, uint32_t number, uint64_t where,
	struct block **ret);

/* Takes a restored block out again, if it is held; its bytes stay. */
void cache_forget(struct cache *c, const struct object *obj, uint32_t number);

/* FILLING to READY (pinned for the caller if `pin`), CRCs set by the filler; or to nothing. */
void cache_commit(struct cache *c, struct block *b, bool pin);
void cache_abort(struct cache *c, struct block *b);

/* Pinned b is owed to the tier below, which could not take it now: see cache_ops.demote. */
void cache_owe(struct cache *c, struct block *b);

/* The bytes of pinned b are wrong: counts crc_errors; b goes when it is unpinned. */
void cache_reject(struct cache *c, struct block *b);

int cache_drop(struct cache *c, const char *name);

/* ---- whole files (cache_whole.c) ---- */

/* Pins block 0 of obj, all of which is held and verified, seals the file if it was not, and counts
 * it as used. -EAGAIN: not all is READY. -EINPROGRESS: not all is verified; *ret is a block to
 * begin with, not pinned. */
int cache_seal(struct cache *c, const struct object *obj, struct block **ret);

/* After a restart, of a file that was sealed before: sealed again, or without a block, given up. */
void cache_reseal(struct cache *c, struct cache_file *f);

/* Locked, but for the time of the I/O. Makes the sealed file go, whose first block the policy does
 * not know any more. */
void cache_unseal(struct cache *c, struct cache_file *f);

/* The next unverified READY block of an object larger than this, pinned, from slot *cursor on, which is
 * moved. NULL: none among the next slots; at the end *cursor is 0. */
struct block *cache_next_unverified(struct cache *c, uint64_t larger_than, uint32_t *cursor);
void cache_verified(struct cache *c, struct block *b); /* pinned; was read back and is right */
int64_t cache_unverified(struct cache *c);             /* blocks */

/* Locked. NULL when no block of obj is held. */
struct cache_file *cache_find(const struct cache *c, const struct object *obj);

/* The slot that the policy knows b by. */
static inline uint32_t cache_policy_slot(const struct cache *c, const struct block *b)
{
	return b->file->sealed ? b->file->slot[0] : (uint32_t)(b - c->block);
}

/* For debug builds and tests: aborts when an invariant of the table above does not hold. */
void cache_check(struct cache *c);

#endif
