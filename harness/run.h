/* SPDX-License-Identifier: Apache-2.0 */
/* run - one run: a source, a number of emulated GPUs, epochs; measured.
 *
 *   per GPU  readers -> batch queue (prefetch depth) -> pacer: one timeline for all GPUs,
 *                                                       computed from time stamps (pacer.h)
 */
#ifndef HARNESS_RUN_H
#define HARNESS_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>

#include "harness/source.h"

struct run_progress {
	int epoch, epochs, step, steps;
	double images_per_s, au;
	uint64_t bytes;
};

struct run_spec {
	const struct config *cfg;
	const struct source_ops *source;
	const struct dataset *data;
	const char *data_dir, *work_dir;
	int gpus, batch, prefetch, readers; /* readers: a GPU */
	int steps, epochs;
	double images_per_s; /* of one accelerator */
	int64_t step_ns;     /* batch / images_per_s */
	int64_t allreduce_ns;
	int64_t capacity_bytes;
	uint64_t seed;
	bool want_cold;                 /* chill before epoch 1 */
	int64_t max_time_ns, max_bytes; /* 0: no limit */
	/* Called about 4 times a second from run_execute()'s thread while it runs; may be NULL. */
	void (*progress)(const struct run_progress *p, void *arg);
	void *progress_arg;
	const volatile bool *stop; /* set by a signal handler: end early with -EINTR */
};

/* One part of a run. A negative figure means "not measured" and becomes null in the record. */
struct run_part {
	double images, seconds, images_per_s, au, origin_bytes, page_cache_bytes, bytes_consumed,
		hit_ratio, step_wait_p50_ms, step_wait_p99_ms, read_p50_ms, read_p99_ms;
	double *au_per_gpu; /* [gpus], NULL if not measured */
};

struct run_result {
	struct run_part cold, steady, job;
	double startup_s;
	uint64_t late_steps;   /* deadlines the pacer itself missed by > 1% of a step */
	uint64_t samples_read; /* delivered by readers; those of unfinished steps included */
	uint64_t samples_checked, samples_twice, samples_missing, crc_errors;
	int queue_start, queue_end; /* full batches at the start and end of timing */
	bool chilled, ended_early;
	bool page_cache_verified;
	int64_t page_cache_max_seen;
	double cpu_harness_s, cpu_cachefs_s, cpu_remote_s; /* negative: not measured */
	json_t *counters;
};

/* 0, or -errno with err naming what failed (a short or failed read fails the run). The result is
 * owned by the caller: run_result_done(). Nothing is left mounted or running, whatever happens. */
int run_execute(const struct run_spec *spec, struct run_result *ret, struct err *err);
void run_result_done(struct run_result *r);

/* Bytes of memory a run will hold (batches, buffers); refused above half of RAM. */
int64_t run_memory_bytes(const struct run_spec *spec);

#endif
