/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are whole: sealed ones, which somebody else reads without asking the cache, and the blocks that
 * this process has not read back yet. See cache.h.
 *
 * A sealed file that goes, goes in one hold of the lock: all its blocks become DOOMED. Each gets a pin
 * then, so that it is buried by whoever unpins it last, as any other, and the file lives until the
 * last pin was given back. */
#include "cachefs/cache.h"

#include <errno.h>

#include "common/cleanup.h"

#define SLOTS_AT_ONCE 1024 /* looked at in one hold of the lock */

/* ---- sealing ---- */

/* 0, or why f may not be sealed; then *ret is the block. Locked. */
static int whole_and_verified(struct cache *c, const struct cache_file *f, struct block **ret)
{
	for (uint32_t i = 0; i < f->blocks; i++) {
		struct block *b = f->slot[i] == SLOT_NONE ? NULL : &c->block[f->slot[i]];

		*ret = b;
		if (!b || b->state != BLOCK_READY)
			return -EAGAIN;
		if (b->unverified)
			return -EINPROGRESS;
	}
	return 0;
}

/* Locked; all blocks are READY. */
static void seal(struct cache *c, struct cache_file *f)
{
	for (uint32_t i = 1; i < f->blocks; i++)
		c->policy->ops->remove(c->policy, f->slot[i]);
	f->sealed = true;
}

int cache_seal(struct cache *c, const struct object *obj, struct block **ret)
{
	HOLD(&c->lock);
	struct cache_file *f = cache_find(c, obj);
	int r = f && f->held == f->blocks ? 0 : -EAGAIN;

	if (!r && !f->verified)
		r = whole_and_verified(c, f, ret);
	if (r < 0)
		return r;
	struct block *first = &c->block[f->slot[0]];

	if (first->state != BLOCK_READY)
		return -EAGAIN;
	if (!f->sealed)
		seal(c, f);
	f->verified = true;
	first->pins++;
	c->policy->ops->hit(c->policy, f->slot[0]);
	*ret = first;
	return 0;
}

void cache_reseal(struct cache *c, struct cache_file *f)
{
	HOLD(&c->lock);
	bool whole = f->held == f->blocks;

	for (uint32_t i = 0; i < f->blocks && !whole; i++)
		if (f->slot[i] != SLOT_NONE)
			c->policy->ops->remove(c->policy, f->slot[i]);
	if (whole) {
		seal(c, f);
	} else {
		f->sealed = true;
		cache_unseal(c, f);
	}
}

void cache_unseal(struct cache *c, struct cache_file *f)
{
	uint32_t end = 0; /* f is gone when the last of its blocks has been unpinned */

	for (uint32_t i = 0; i < f->blocks; i++) {
		if (f->slot[i] == SLOT_NONE)
			continue;
		struct block *b = &c->block[f->slot[i]];

		b->state = BLOCK_DOOMED;
		b->pins++;
		end = i + 1;
	}
	pthread_mutex_unlock(&c->lock);
	for (uint32_t i = 0; i < end; i++)
		if (f->slot[i] != SLOT_NONE)
			cache_unpin(c, &c->block[f->slot[i]]);
	pthread_mutex_lock(&c->lock);
}

/* ---- reading back ---- */

struct block *cache_next_unverified(struct cache *c, uint64_t larger_than, uint32_t *cursor)
{
	HOLD(&c->lock);
	uint32_t end = c->slots_used - *cursor < SLOTS_AT_ONCE ? c->slots_used
							       : *cursor + SLOTS_AT_ONCE;

	while (*cursor < end) {
		struct block *b = &c->block[(*cursor)++];

		if (b->state != BLOCK_READY || !b->unverified || b->file->size <= larger_than)
			continue;
		b->pins++;
		return b;
	}
	if (*cursor >= c->slots_used)
		*cursor = 0;
	return NULL;
}

void cache_verified(struct cache *c, struct block *b)
{
	HOLD(&c->lock);
	c->unverified -= b->unverified;
	b->unverified = false;
}

int64_t cache_unverified(struct cache *c)
{
	HOLD(&c->lock);
	return (int64_t)c->unverified;
}
