/* SPDX-License-Identifier: Apache-2.0 */
/* pool - threads that wait so that others need not. Threads start when work finds none idle, up to
 * a limit, and stay. Work starts in the order it came, each on one thread. */
#ifndef CACHEFS_POOL_H
#define CACHEFS_POOL_H

struct pool;

/* threads, queue: most of each. NULL without memory. */
struct pool *pool_new(int threads, int queue);

/* Runs what is queued, then joins. NULL is accepted. */
void pool_free(struct pool *p);

/* fn(arg) on a pool thread. -EAGAIN: the queue is full (or no thread can be started). */
int pool_submit(struct pool *p, void (*fn)(void *arg), void *arg);

int pool_threads(struct pool *p); /* alive now */
int pool_queued(struct pool *p);  /* waiting for a thread */

#endif
