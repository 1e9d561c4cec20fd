/* SPDX-License-Identifier: Apache-2.0 */
/* A token bucket as one atomic word: the time at which the debt is paid.
 *
 * Charging n units moves that time forward by n / rate and returns how long the caller must wait.
 * So any number of threads share a rate without a lock, in the order they arrive, and a bucket
 * that was idle has at most `burst` of credit. Used for bandwidth (bytes) and IOPS (requests) by
 * synth-remote, by the `throttle` layer and by the harness's emulated remote disk. */
#ifndef FEEDRATE_BUCKET_H
#define FEEDRATE_BUCKET_H

#include <stdatomic.h>
#include <stdint.h>

struct bucket {
	_Atomic int64_t paid_until_ns; /* CLOCK_MONOTONIC */
	double rate;                   /* units a second; 0: unlimited */
	int64_t burst_ns;              /* credit of an idle bucket, as time */
};

/* burst_ns: 50 ms at most wherever figures are measured. A new bucket is empty (no credit). */
void bucket_init(struct bucket *b, double rate_per_s, int64_t burst_ns);

/* Charges n units at time now_ns; returns the CLOCK_MONOTONIC time until which the caller must
 * wait before the units count as delivered (may be in the past). Never sleeps. */
int64_t bucket_charge(struct bucket *b, uint64_t n, int64_t now_ns);

/* bucket_charge() and sleep. Returns the nanoseconds slept. */
int64_t bucket_wait(struct bucket *b, uint64_t n);

/* Forgets credit and debt: as after bucket_init(). */
void bucket_reset(struct bucket *b);

#endif
