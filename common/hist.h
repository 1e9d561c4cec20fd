/* SPDX-License-Identifier: Apache-2.0 */
/* Latency histogram: log-linear buckets (16 per power of two, so within 6.25%), lock-free, of
 * fixed size, nanoseconds from 1 to 2^40 (18 minutes). The layout is that of HdrHistogram with
 * 4 significant bits; Debian packages no C library for it. */
#ifndef FEEDRATE_HIST_H
#define FEEDRATE_HIST_H

#include <stdatomic.h>
#include <stdint.h>

#define HIST_SUB_BITS 4
#define HIST_BUCKETS ((40 - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

struct hist {
	_Atomic uint64_t count, sum_ns, max_ns;
	_Atomic uint32_t bucket[HIST_BUCKETS];
};

void hist_reset(struct hist *h);
void hist_add(struct hist *h, int64_t ns); /* any thread; negative counts as 0 */
void hist_merge(struct hist *into, const struct hist *from);

/* The smallest value v such that at least q (0..1) of the samples are <= v, taken at the middle of
 * its bucket; -1 when there are no samples. */
int64_t hist_quantile_ns(const struct hist *h, double q);

#endif
