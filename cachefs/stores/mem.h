/* SPDX-License-Identifier: Apache-2.0 */
/* What the stack needs to know of its memory tier, where fetched blocks land. */
#ifndef CACHEFS_STORES_MEM_H
#define CACHEFS_STORES_MEM_H

#include "cachefs/flight.h"

extern const struct store_ops mem_ops;

struct flights *mem_flights(struct store *st);

/* Parks piece on the flight of its block; see flight_join(). */
int mem_join(struct store *st, const struct object *obj, struct piece *piece, bool fill,
	struct flight **ret);

/* Bytes from off to the end of its block. */
size_t mem_block_left(struct store *st, const struct object *obj, uint64_t off);

/* Whether the block at off would be kept if it was fetched, here or below. */
bool mem_keeps(struct store *st, const struct object *obj, uint64_t off);

/* Copies [off, off+len), which lies in one block, checked; -EAGAIN: it is not in memory. */
int mem_copy(struct store *st, const struct object *obj, uint64_t off, size_t len, void *to);

/* Fetches the block of f, which the caller claimed, from below, answers its pieces as their bytes come, offers it to the
 * tiers below, and ends the flight. May wait. */
void mem_fill(struct store *st, struct flight *f);

/* How prefetch() has a flight filled that nobody waits for. queue: 0, and it will be; else -errno. Without
 * one there is no prefetch. Set before the first read. */
typedef int mem_queue_fn(void *arg, struct flight *f);
void mem_set_queue(struct store *st, mem_queue_fn *queue, void *arg);

/* Offers the block at off to the tiers below, as after a fetch: see store_ops.keep. -EAGAIN: it is
 * not in memory, or half of that waits for them already. */
int mem_offer(struct store *st, const struct object *obj, uint64_t off);

#endif
