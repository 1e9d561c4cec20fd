/* SPDX-License-Identifier: Apache-2.0 */
/* disk_probe - how fast the disk under a folder's files is when nothing is cached. */
#ifndef HARNESS_DISK_PROBE_H
#define HARNESS_DISK_PROBE_H

/* Bytes a second that `threads` threads get from the files below dir by O_DIRECT, in at most about
 * `seconds`, and as long again for files that are not written back yet. Negative if it cannot be
 * told: no O_DIRECT there, no files, or all of them too small. */
double disk_probe_rate(const char *dir, int threads, double seconds);

#endif
