/* SPDX-License-Identifier: Apache-2.0 */
/* lru - gives up the block that was not touched for longest.
 *
 * A doubly linked list through two arrays of slot numbers, with a sentinel at index `slots`:
 * next[sentinel] is the most recently used slot, prev[sentinel] the least. A tier sees only what
 * the kernel's page cache misses, so over files that are read once an epoch this is a fifo. */
#include "cachefs/policy.h"

#include <stdlib.h>

#include "common/cleanup.h"

extern const struct policy_ops lru_policy;

struct lru {
	struct policy base;
	uint32_t slots, *next, *prev;
};

static void lru_free(struct policy *p)
{
	struct lru *l = container_of(p, struct lru, base);

	free(l->next);
	free(l->prev);
	free(l);
}

static struct policy *lru_new(uint32_t slots)
{
	struct lru *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->base.ops = &lru_policy;
	l->slots = slots;
	/* Zero pages until used: a tier may have room for far more slots than it ever fills. */
	l->next = calloc((size_t)slots + 1, sizeof(*l->next));
	l->prev = calloc((size_t)slots + 1, sizeof(*l->prev));
	if (!l->next || !l->prev) {
		lru_free(&l->base);
		return NULL;
	}
	l->next[slots] = l->prev[slots] = slots;
	return &l->base;
}

static bool lru_admit(struct policy *p, uint64_t key, bool full)
{
	return true;
}

static void lru_insert(struct policy *p, uint32_t slot, uint64_t key)
{
	struct lru *l = container_of(p, struct lru, base);
	uint32_t first = l->next[l->slots];

	l->next[slot] = first;
	l->prev[slot] = l->slots;
	l->prev[first] = l->next[l->slots] = slot;
}

static void lru_remove(struct policy *p, uint32_t slot)
{
	struct lru *l = container_of(p, struct lru, base);

	l->next[l->prev[slot]] = l->next[slot];
	l->prev[l->next[slot]] = l->prev[slot];
}

static void lru_hit(struct policy *p, uint32_t slot)
{
	lru_remove(p, slot);
	lru_insert(p, slot, 0);
}

static uint32_t lru_evict(struct policy *p, may_evict_fn *may, void *arg)
{
	struct lru *l = container_of(p, struct lru, base);

	for (uint32_t slot = l->prev[l->slots]; slot != l->slots; slot = l->prev[slot])
		if (may(slot, arg)) {
			lru_remove(p, slot);
			return slot;
		}
	return SLOT_NONE;
}

const struct policy_ops lru_policy = {
	.name = "lru",
	.summary = "Gives up the block that was not touched for longest.",
	.new = lru_new,
	.free = lru_free,
	.admit = lru_admit,
	.insert = lru_insert,
	.hit = lru_hit,
	.remove = lru_remove,
	.evict = lru_evict,
};
