/* SPDX-License-Identifier: Apache-2.0 */
/* none - nothing goes: what came first stays, and once the tier is full misses bypass it. The best
 * policy without knowledge for epochs over data larger than the tier, since each held block is hit
 * once an epoch, where lru would have given it up just before. */
#include "cachefs/policy.h"

#include <stdlib.h>

extern const struct policy_ops none_policy;

static struct policy *none_new(uint32_t slots)
{
	struct policy *p = calloc(1, sizeof(*p));

	if (p)
		p->ops = &none_policy;
	return p;
}

static void none_free(struct policy *p)
{
	free(p);
}

static bool none_admit(struct policy *p, uint64_t key, bool full)
{
	return !full;
}

static void none_insert(struct policy *p, uint32_t slot, uint64_t key)
{
}

static void none_touch(struct policy *p, uint32_t slot)
{
}

static uint32_t none_evict(struct policy *p, may_evict_fn *may, void *arg)
{
	return SLOT_NONE;
}

const struct policy_ops none_policy = {
	.name = "none",
	.summary = "Never evicts: misses bypass a full tier.",
	.new = none_new,
	.free = none_free,
	.admit = none_admit,
	.insert = none_insert,
	.hit = none_touch,
	.remove = none_touch,
	.evict = none_evict,
};
