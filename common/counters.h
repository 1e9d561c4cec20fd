/* SPDX-License-Identifier: Apache-2.0 */
/* Counters: one row of counters.def each; statistics, records and documentation derive from it.
 *
 * A set belongs to a layer, to the FUSE session or to an origin. Adding is a relaxed atomic; sets
 * are aligned to cache lines so that layers do not disturb each other. */
#ifndef FEEDRATE_COUNTERS_H
#define FEEDRATE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>
#include <jansson.h>

enum counter_group { GROUP_LAYER, GROUP_ORIGIN, GROUP_FUSE, GROUP_PLAN };
enum counter_kind { COUNTER_TOTAL, COUNTER_GAUGE };

enum counter_id {
#define COUNTER(group, name, kind, unit, help) COUNT_##group##_##name,
#include "common/counters.def"
	COUNTER_N
};

struct counter {
	enum counter_group group;
	enum counter_kind kind;
	const char *name, *unit, *help;
};

extern const struct counter counters[COUNTER_N];

struct counter_set {
	_Alignas(64) _Atomic int64_t value[COUNTER_N];
};

#define counter_add(set, id, n)                                                                    \
	atomic_fetch_add_explicit(&(set)->value[COUNT_##id], (n), memory_order_relaxed)
#define counter_put(set, id, n)                                                                    \
	atomic_store_explicit(&(set)->value[COUNT_##id], (n), memory_order_relaxed)
#define counter_get(set, id) atomic_load_explicit(&(set)->value[COUNT_##id], memory_order_relaxed)

/* {"reads":1,...} of one group. */
json_t *counters_to_json(const struct counter_set *set, enum counter_group group);

#endif
