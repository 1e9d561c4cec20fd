/* SPDX-License-Identifier: Apache-2.0 */
/* disk_probe - how fast the disk under a data set is when nothing is cached. */
#ifndef HARNESS_DISK_PROBE_H
#define HARNESS_DISK_PROBE_H

struct dataset;

/* Bytes a second that `threads` threads get from files of data in dir by O_DIRECT, in at most about
 * `seconds`. Negative if it cannot be told: no O_DIRECT there, or files too small. */
double disk_probe_rate(const char *dir, const struct dataset *data, int threads, double seconds);

#endif
