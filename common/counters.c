/* SPDX-License-Identifier: Apache-2.0 */
/* The counter table and its JSON. */
#include "common/counters.h"

/* clang-format off */
const struct counter counters[COUNTER_N] = {
#define COUNTER(group, name, kind, unit, help) {GROUP_##group, COUNTER_##kind, #name, unit, help},
#include "common/counters.def"
};
/* clang-format on */

json_t *counters_to_json(const struct counter_set *set, enum counter_group group)
{
	json_t *ret = json_object();

	for (int i = 0; ret && i < COUNTER_N; i++)
		if (counters[i].group == group)
			json_object_set_new(ret, counters[i].name,
				json_integer(atomic_load_explicit(
					&set->value[i], memory_order_relaxed)));
	return ret;
}
