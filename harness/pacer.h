/* SPDX-License-Identifier: Apache-2.0 */
/* pacer - the emulated GPUs: one timeline, computed from time stamps alone.
 *
 *   start(k)    = max(deadline(k-1), stamps of batch k of all GPUs)
 *   deadline(k) = start(k) + step + all-reduce
 *
 * A stamp is the time at which the last sample of a batch was in memory, taken by the thread that
 * put it there. One thread sleeps to deadline(k) and frees the batches of step k. If it wakes late,
 * the timeline does not move: the readers get their memory late, and the step is counted as late.
 * Time lost by waiting for data is never won back. With sync=none every GPU has a timeline of its
 * own. (Barriers among threads that sleep, stamped when they wake, charge the storage with the
 * scheduler's delays: 96% at 8 GPUs and 84% at 32 where this gives 100%.)
 *
 * AU = steps x (step + all-reduce) / (last deadline - start(1) + credit). Without the credit that is
 * MLPerf Storage's rule. What is in memory at start(1) was read before the clock began, and steps
 * that take it wait less than they would have later; see timeline_credit_ns(). */
#ifndef HARNESS_PACER_H
#define HARNESS_PACER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/hist.h"

/* Pure: time stamps in, times out. */
struct timeline {
	int64_t period_ns; /* step + all-reduce */
	int64_t first_start_ns, deadline_ns, last_stamp_ns;
	uint32_t steps;
};

void timeline_init(struct timeline *t, int64_t period_ns);

/* Starts the next step of n GPUs whose batches were full at stamps_ns[]; its deadline is then
 * t->deadline_ns. ret_wait_ns[i]: how long after the previous deadline batch i came (0 in the first
 * step, whose wait is the start-up). Returns the longest of them. */
int64_t timeline_step(struct timeline *t, const int64_t *stamps_ns, int n, int64_t *ret_wait_ns);

/* Time from the first start to the last deadline, the one part of it that was work, their ratio
 * (NaN without a step). */
int64_t timeline_span_ns(const struct timeline *t);
int64_t timeline_busy_ns(const struct timeline *t);
double timeline_au(const struct timeline *t);

/* The epoch was stopped while the next step waited for data: until now_ns that was waiting too. */
void timeline_stop(struct timeline *t, int64_t now_ns);

/* Time missing in the span because `ahead` batches of a GPU (1 at least; parts count) were in memory
 * at the first start: what they would have taken at the rate at which the others came. That rate is
 * the GPUs' own where nobody waited, so it is `ahead` times all the waiting at most. */
int64_t timeline_credit_ns(const struct timeline *t, double ahead);

/* What the pacer has measured in one epoch. */
struct pace {
	int64_t first_start_ns, last_deadline_ns; /* over all GPUs */
	int64_t span_ns, busy_ns;                 /* summed over GPUs */
	int64_t credit_ns;                        /* too: AU = busy / (span + credit) */
	uint64_t steps;                           /* ended, summed over GPUs */
	uint64_t late_steps;
	uint32_t queue_start, queue_end; /* full batches at start(1) and at the last deadline */
	int64_t *wait_ns;                /* [gpus] time that each GPU's own data was late */
	uint64_t *gpu_steps;             /* [gpus] */
	struct hist waits;               /* of each step */
};

struct pipeline;

struct pacer {
	struct pipeline *pipeline;
	int gpus;
	uint32_t steps; /* of the epoch */
	int64_t period_ns;
	bool sync;
	struct pace *pace;            /* result; valid when done */
	_Atomic uint32_t steps_ended; /* for progress: of GPU 0 */
	_Atomic int64_t live_span_ns; /* for progress */
	_Atomic bool done;
};

/* The body of the pacer's thread: returns when all steps have ended or the pipeline is stopped;
 * then sets done and rings pipeline->watch. 0 or -ENOMEM. */
int pacer_run(struct pacer *p);

#endif
