/* SPDX-License-Identifier: Apache-2.0 */
/* probe - how fast a folder gives images when nobody paces the readers, in two seconds (four
 * if nothing comes in the first two). */
#ifndef HARNESS_PROBE_H
#define HARNESS_PROBE_H

#include <stdint.h>

#include "harness/matrix.h"

#define PROBE_BYTES (1LL << 30) /* read at most */

struct probe {
	double images_per_s;  /* 0: not one image came in time */
	uint32_t image_bytes; /* mean; 0: unknown */
	int64_t bytes;        /* read */
};

/* Reads data in dir as the readers of the cell would, all of its GPUs' at once, but in another
 * order, max_bytes at most. 0, or -errno and err: the storage fails or hangs. */
int probe_run(const struct cell *c, const struct dataset *data, const char *dir, int64_t max_bytes,
	struct probe *ret, struct err *err);

#endif
