/* SPDX-License-Identifier: Apache-2.0 */
/* pipeline - from reader threads to full batches, for every emulated GPU.
 *
 *   lane (one a GPU)   slots 0,1,2,... of an epoch; slot s is sample s % size of batch s / size
 *     worker (reader thread) --claims slots--> reads --delivers--> batch --stamp--> pacer
 *                                                                    ^                |
 *                                                                    +--- releases ---+
 *
 * A lane has memory for `depth` batches: a worker may claim any slot, but waits until its batch has
 * memory. Batch k lies in ring element k % depth, so order needs no queue. Claiming is one atomic
 * add; waiting is a gate; no lock is taken on the way of a sample.
 *
 * Threads: workers, one pacer, and the thread that called epoch_run(), which watches. */
#ifndef HARNESS_PIPELINE_H
#define HARNESS_PIPELINE_H

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/hist.h"
#include "harness/gate.h"
#include "harness/order.h"
#include "harness/run.h"
#include "harness/slab.h"

struct decoder;
struct page_cache;
struct reader_ops;

#define SAMPLE_UNKNOWN UINT32_MAX /* index in a set without a manifest */

struct sample {
	const uint8_t *data;
	struct slab *slab; /* holds data; one reference; NULL: slot not delivered */
	uint32_t len, index;
};

struct batch {
	struct sample *samples;
	_Atomic uint32_t filled;
	_Atomic int64_t full_ns; /* stamp; 0: not full */
};

struct lane {
	_Alignas(64) _Atomic uint64_t claimed;
	_Alignas(64) _Atomic uint32_t freed; /* batches whose step has ended */
	struct gate space;                   /* rung when freed grows */
	_Alignas(64) _Atomic uint32_t full;  /* batches filled in this epoch */
	_Atomic uint32_t next_segment;
	struct batch *batches; /* [depth] */
	struct slab_pool pool;
};

struct worker {
	struct pipeline *p;
	struct lane *lane;
	int gpu, number; /* number: of its lane, from 0 */
	pthread_t thread;
	bool started;
	struct decoder *decoder; /* NULL unless bench.decode=jpeg */
	struct slab *arena;      /* samples that are copied go here, one after another */
	size_t arena_used;
	struct hist reads;
	_Atomic uint64_t bytes, samples, checked; /* of this epoch */
	/* What it is waiting for, for the watchdog. */
	_Atomic int64_t busy_since_ns; /* 0: nothing */
	_Atomic uint32_t busy_file;
	_Atomic uint64_t busy_off;
};

struct pipeline {
	/* Fixed for the run; copies, because a thread stuck in a dead filesystem outlives it. */
	struct source *src;
	const struct source_ops *ops;
	const struct dataset *data;
	const struct reader_ops *reader;
	int gpus, readers, depth;
	uint32_t batch, steps;
	uint64_t seed;
	bool verify;
	int64_t decode; /* BENCH_DECODE_NONE, BENCH_DECODE_JPEG or ns */
	int64_t timeout_ns, max_bytes;
	bool pin;
	cpu_set_t cpus;
	struct page_cache *page_cache;
	_Atomic bool *opened; /* [data->n_files] whether a reader has opened it in this run */

	struct lane *lanes;
	struct worker *workers; /* [gpus * readers] */
	struct order order;
	struct gate batch_full; /* wakes the pacer that waits for a batch */
	struct gate stopping;   /* wakes the pacer that sleeps to a deadline */
	struct gate watch;      /* wakes epoch_run(): the pacer is done, a worker left, a failure */
	_Atomic bool stop;
	_Atomic bool full_up; /* bench.max_bytes reached: end early */
	_Atomic int alive;    /* workers still running */
	_Atomic uint64_t read_bytes, crc_errors;
	pthread_mutex_t lock;
	_Atomic int status;           /* first failure; written under lock */
	struct err err;               /* guarded by lock until every worker has left */
	struct pipeline *left_before; /* see pipeline_leave() */
};

/* A pattern of access: what one worker thread does in an epoch. */
struct reader_ops {
	const char *name;
	/* Claims slots, reads, delivers, until the epoch or the pipeline ends. 0, or the negative
	 * value of pipeline_fail(). */
	int (*work)(struct worker *w);
};

extern const struct reader_ops reader_tfrecord, reader_imagefolder, reader_memory;

/* Batches a GPU may hold at once, the one in use included: bench.prefetch + 1; where workers own
 * whole batches (imagefolder), at least one for each and the one in use. */
int pipeline_depth(const struct run_spec *spec);

/* src is borrowed. Memory is allocated and touched here. */
struct pipeline *pipeline_new(const struct run_spec *spec, struct source *src, struct err *err);
void pipeline_free(struct pipeline *p); /* no thread may be running; accepts NULL */

/* Instead of pipeline_free() when a thread is stuck in it: keeps it for as long as the process
 * lives. */
void pipeline_leave(struct pipeline *p);

/* Before an epoch: order, counts, empty batches. */
int pipeline_reset(struct pipeline *p, uint64_t epoch);

/* ---- for the pacer ---- */
int64_t pipeline_stamp(struct pipeline *p, int gpu, uint32_t batch); /* 0: not full yet */
void pipeline_release(struct pipeline *p, int gpu);                  /* the oldest batch */
uint32_t pipeline_full_batches(struct pipeline *p);                  /* all lanes, not released */
/* What readers have brought in this epoch for n GPUs from `first` on, in batches; parts count. */
double pipeline_delivered(struct pipeline *p, int first, int n);
bool pipeline_stopped(const struct pipeline *p);

/* ---- ending ---- */
void pipeline_stop(struct pipeline *p); /* wakes everybody; they leave as soon as they can */
/* Keeps the first message, stops the pipeline, returns -code. Messages say what to do. */
int pipeline_fail(struct pipeline *p, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- for workers (worker.c) ---- */
bool worker_claim(struct worker *w, uint64_t *ret_slot); /* false: no more, or stopped */
bool worker_wait_space(struct worker *w, uint64_t batch);

/* Checks, decodes and hands over; takes the sample's reference in any case. */
int worker_deliver(struct worker *w, uint64_t slot, const struct sample *s);

/* len bytes of memory for a sample that nobody else writes to; sets data, slab and len. */
uint8_t *worker_alloc(struct worker *w, size_t len, struct sample *ret);

/* Makes the newest sample shorter and gives back the memory behind it. */
void worker_trim(struct worker *w, struct sample *s, size_t len);

/* Source calls under the watchdog. -errno after pipeline_fail(); -ECANCELED when stopped. */
int worker_open(struct worker *w, uint32_t file, struct source_file *ret);
ssize_t worker_pread(struct worker *w, struct source_file *f, uint32_t file, void *buf, size_t len,
	uint64_t off);
void worker_close(struct worker *w, struct source_file *f);

void *worker_main(void *arg); /* struct worker * */

/* Fails the pipeline if a worker has been in one call for more than the timeout. */
void worker_watchdog(struct pipeline *p, int64_t now_ns);

/* -ETIMEDOUT, and err says who does not return from which file. */
int worker_explain_stuck(const struct pipeline *p, int64_t now_ns, struct err *err);

/* Whether bench.cpus names CPUs that this process may use: 0, or -EINVAL and err. */
int pipeline_check_cpus(const struct config *cfg, struct err *err);

#endif
