/* SPDX-License-Identifier: Apache-2.0 */
/* A queue and its threads: see pool.h. The queue is a ring that grows up to its bound, so that an
 * idle mount pays nothing for a generous one. */
#include "cachefs/pool.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/cleanup.h"

#define RING_FIRST 64

struct work {
	void (*fn)(void *arg);
	void *arg;
};

struct pool {
	pthread_mutex_t lock; /* all below */
	pthread_cond_t more;
	struct work *ring;
	int size, first, queued, queue_max;
	pthread_t *thread;
	int threads, threads_max, idle;
	bool closing;
	pthread_attr_t attr; /* CPUs of whoever made the pool, not of whoever gives it work */
};

struct pool *pool_new(int threads, int queue)
{
	struct pool *p = calloc(1, sizeof(*p));
	cpu_set_t cpus;

	if (!p)
		return NULL;
	p->thread = calloc((size_t)threads, sizeof(*p->thread));
	p->size = queue < RING_FIRST ? queue : RING_FIRST;
	p->ring = calloc((size_t)p->size, sizeof(*p->ring));
	p->threads_max = threads;
	pthread_attr_init(&p->attr);
	if (!pthread_getaffinity_np(pthread_self(), sizeof(cpus), &cpus))
		pthread_attr_setaffinity_np(&p->attr, sizeof(cpus), &cpus);
	p->queue_max = queue;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	if (!p->thread || !p->ring) {
		pool_free(p);
		return NULL;
	}
	return p;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < p->threads; i++)
		pthread_join(p->thread[i], NULL);
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->lock);
	pthread_attr_destroy(&p->attr);
	free(p->thread);
	free(p->ring);
	free(p);
}

static void *work_until_closed(void *arg)
{
	struct pool *p = arg;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!p->queued && !p->closing) {
			p->idle++;
			pthread_cond_wait(&p->more, &p->lock);
			p->idle--;
		}
		if (!p->queued)
			break;
		struct work w = p->ring[p->first];

		p->first = (p->first + 1) % p->size;
		p->queued--;
		pthread_mutex_unlock(&p->lock);
		w.fn(w.arg);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static int grow_ring(struct pool *p)
{
	int size = p->size * 2 < p->queue_max ? p->size * 2 : p->queue_max;
	struct work *ring = calloc((size_t)size, sizeof(*ring));

	if (!ring)
		return -EAGAIN;
	for (int i = 0; i < p->queued; i++)
		ring[i] = p->ring[(p->first + i) % p->size];
	free(p->ring);
	p->ring = ring;
	p->size = size;
	p->first = 0;
	return 0;
}

/* Another thread when no idle one is left for this piece of work. A pool that cannot grow goes on
 * with the threads it has. */
static int ensure_thread(struct pool *p)
{
	if (p->idle > p->queued || p->threads == p->threads_max)
		return 0;
	if (pthread_create(&p->thread[p->threads], &p->attr, work_until_closed, p))
		return p->threads ? 0 : -EAGAIN;
	p->threads++;
	return 0;
}

int pool_submit(struct pool *p, void (*fn)(void *arg), void *arg)
{
	HOLD(&p->lock);
	if (p->closing || p->queued == p->queue_max)
		return -EAGAIN;
	if (p->queued == p->size && grow_ring(p) < 0)
		return -EAGAIN;
	if (ensure_thread(p) < 0)
		return -EAGAIN;
	p->ring[(p->first + p->queued) % p->size] = (struct work){fn, arg};
	p->queued++;
	pthread_cond_signal(&p->more);
	return 0;
}

int pool_threads(struct pool *p)
{
	HOLD(&p->lock);
	return p->threads;
}

int pool_queued(struct pool *p)
{
	HOLD(&p->lock);
	return p->queued;
}
