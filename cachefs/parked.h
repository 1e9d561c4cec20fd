/* SPDX-License-Identifier: Apache-2.0 */
/* parked - reads that wait for flights, with nobody's thread: the inside of stack_read_later(). */
#ifndef CACHEFS_PARKED_H
#define CACHEFS_PARKED_H

#include <pthread.h>

#include "cachefs/pool.h"
#include "cachefs/stack.h"

struct wait;

struct waits {
	struct store *mem, *top;
	bool direct; /* layers above mem have to see each read: a pool thread goes through them */
	struct pool *pool;
	int threads;              /* of the pool */
	_Atomic int fills, ahead; /* queued or running; those of them that nobody asked for */
	pthread_t timekeeper;
	pthread_mutex_t lock; /* all below; taken before the lock of the flights */
	pthread_cond_t due;
	struct wait *first;
	int64_t wake_ns; /* when the timekeeper looks next */
	bool late;       /* pieces wait for flights_poke(), which the timekeeper calls */
	bool closing;
};

/* threads: of the pool. */
int waits_init(struct waits *ws, struct store *mem, struct store *top, bool direct,
	struct pool *pool, int threads);
void waits_done(struct waits *ws); /* after waits_shutdown(), and when the pool is idle */

/* See stack_read_later() and stack_cancel(). whole: the blocks are fetched and kept; else only what p asks for. */
int waits_park(struct waits *ws, const struct object *obj, struct parked *p, bool whole);
void waits_cancel(struct waits *ws, struct parked *p);

/* Answers everything with -ESHUTDOWN and lets nothing new in. */
void waits_shutdown(struct waits *ws);

#endif
