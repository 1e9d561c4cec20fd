/* SPDX-License-Identifier: Apache-2.0 */
/* policy - which slot of a tier to give up next.
 *
 * Pure bookkeeping over slot numbers 0..n-1: no I/O, lock, clock or allocation after new(). So a
 * recorded trace replays to the same decisions, and a policy is tuned without mounting anything.
 * The cache's mutex guards every call. */
#ifndef CACHEFS_POLICY_H
#define CACHEFS_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#define SLOT_NONE UINT32_MAX

struct policy;

/* Whether slot may go now (it is not pinned or being filled). */
typedef bool may_evict_fn(uint32_t slot, void *arg);

struct policy_ops {
	const char *name, *summary;
	struct policy *(*new)(uint32_t slots); /* NULL without memory */
	void (*free)(struct policy *p);
	bool (*admit)(struct policy *p, uint64_t key, bool full); /* keep this block at all? */
	void (*insert)(struct policy *p, uint32_t slot, uint64_t key);
	void (*hit)(struct policy *p, uint32_t slot);
	void (*remove)(struct policy *p, uint32_t slot);
	/* The slot to give up, removed from the bookkeeping; SLOT_NONE when none may go. */
	uint32_t (*evict)(struct policy *p, may_evict_fn *may, void *arg);
};

struct policy {
	const struct policy_ops *ops;
};

/* One line an entry in policy.c, in the order of the words of knob cache.policy. */
extern const struct policy_ops *const policy_registry[];

#endif
