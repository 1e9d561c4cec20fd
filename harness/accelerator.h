/* SPDX-License-Identifier: Apache-2.0 */
/* accelerator - an emulated GPU: the rate at which it consumes images, and who says so. */
#ifndef HARNESS_ACCELERATOR_H
#define HARNESS_ACCELERATOR_H

#include <stdbool.h>

#include "common/profile.h"

struct accelerator {
	char *name, *label, *source;
	double images_per_s; /* of one GPU */
	int batch;
	bool allreduce_included; /* in images_per_s */
	bool calibrated;         /* derived from a job's time, not published as a rate */
};

/* Section [accelerator.NAME] of profile (may be NULL), else of the profile "accelerators". The
 * result is released by accelerator_done(). err names the nearest name, or FILE:LINE of what is
 * missing or wrong. */
int accelerator_find(
	const struct profile *profile, const char *name, struct accelerator *ret, struct err *err);
void accelerator_done(struct accelerator *a);

#endif
