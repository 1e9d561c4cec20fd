/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of prefetch.h, shared by who follows the plan and the cursors behind it. */
#ifndef CACHEFS_PREFETCH_STATE_H
#define CACHEFS_PREFETCH_STATE_H

#include <pthread.h>

#include "cachefs/plan.h"
#include "cachefs/prefetch.h"
#include "cachefs/window.h"

/* A large file of which only a pool thread found out that it is one: the rest of it. */
struct rest {
	struct rest *next;
	struct object obj;
	uint64_t where;
	char name[];
};

struct prefetch {
	struct stack *stack;
	struct counter_set *counters;
	uint64_t block_size;
	uint64_t flying_max;
	uint64_t kept_free; /* bytes of the tier above its watermark */
	int most;
	_Atomic bool watching;  /* window is set up */
	_Atomic uint64_t guess; /* bytes of a small file, as they are here */
	pthread_mutex_t lock;   /* all below */
	pthread_cond_t changed;
	struct window window;
	uint64_t in_flight_bytes;        /* as far as sizes are known */
	int in_flight, refused, cursors; /* cursors: that wait */
	bool waiting;
	char *path; /* of the plan that is watched */
	uint64_t generation;
	struct rest *rest;
	struct prefetch_progress progress;
	struct plan *again; /* the follower's alone: for lines that have been read already */
};

#endif
