/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of policies, in the order of the words of knob cache.policy. */
#include "cachefs/policy.h"

#include <stddef.h>

extern const struct policy_ops lru_policy, none_policy;

const struct policy_ops *const policy_registry[] = {
	&lru_policy,
	&none_policy,
	NULL,
};
