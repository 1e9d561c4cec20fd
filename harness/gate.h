/* SPDX-License-Identifier: Apache-2.0 */
/* gate - sleep until something may have changed, without a mutex to queue up for.
 *
 *   waiter:  seen = gate_look(g); if (condition holds) go on; else gate_sleep(g, seen, until);
 *   ringer:  make the condition true; gate_ring(g);
 *
 * A ring between look and sleep is never lost: sleep returns at once. All sleepers wake and look
 * again. The condition lives in atomics of the caller's own; a gate orders nothing but itself.
 * A mutex and condition variable here made eighty readers wake into one lock, one after another. */
#ifndef HARNESS_GATE_H
#define HARNESS_GATE_H

#include <stdint.h>

struct gate {
	_Atomic uint32_t rung, sleepers;
};

uint32_t gate_look(struct gate *g);
void gate_ring(struct gate *g);

/* until_ns: CLOCK_MONOTONIC, INT64_MAX for never. May return early; callers loop. */
void gate_sleep(struct gate *g, uint32_t seen, int64_t until_ns);

#endif
