/* SPDX-License-Identifier: Apache-2.0 */
/* tier_check - whether the knobs of the tiers can be meant so, on this machine and at this place: before
 * anything is made, by cachefs and by run-bench alike. */
#ifndef FEEDRATE_TIER_CHECK_H
#define FEEDRATE_TIER_CHECK_H

#include "common/err.h"
#include "common/knob.h"

/* -EINVAL and err: a watermark, a capacity or disk.path that cannot be. What may turn out badly is
 * logged. mountpoint, origin (absolute paths): a disk tier lies in neither; NULL: not known. */
int tier_check(
	const struct config *cfg, const char *origin, const char *mountpoint, struct err *err);

#endif
