/* SPDX-License-Identifier: Apache-2.0 */
/* worker - what each FUSE thread has of its own: a buffer to read tier files into, and its place in
 * the counters threads, threads_created and threads_busy. A thread becomes a worker when it takes
 * its first request, and ends being one when it ends. */
#ifndef CACHEFS_WORKER_H
#define CACHEFS_WORKER_H

#include <pthread.h>
#include <stddef.h>

#include "common/counters.h"
#include "common/knob.h"
#include "common/topology.h"

struct workers {
	struct counter_set *counters;
	pthread_key_t key;
	int cpus;      /* cpu.count resolved */
	int *order;    /* CPUs that threads are bound to, in turn; NULL: they are not */
	int n_ordered; /* cpu.count at most; 0: nobody is bound */
	struct topology topology;
	_Atomic unsigned next_cpu;
};

struct worker {
	struct workers *set;
	void *scratch;
	size_t scratch_len;
};

/* One set a process at a time; counters outlive it. Returns 0 or -errno. */
int workers_init(struct workers *set, const struct config *cfg, struct counter_set *count);
/* After all workers have ended. */
void workers_done(struct workers *set);

/* The calling thread as a busy worker, until worker_leave(); NULL without memory. */
struct worker *worker_enter(struct workers *set);
void worker_leave(struct worker *w); /* NULL is accepted */

/* A page-aligned buffer of at least len bytes, valid until the thread asks again. */
void *worker_scratch(struct worker *w, size_t len);

#endif
