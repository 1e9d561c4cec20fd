/* SPDX-License-Identifier: Apache-2.0 */
/* A queue and its threads: see pool.h.
 *
 * Work goes straight to the thread that became idle last, whose stack and connections are the
 * warmest: it is woken once, without the lock, with the work in hand. Only when none is idle is work
 * queued, in a ring that grows up to its bound, so that an idle mount pays nothing for a generous one. */
#include "cachefs/pool.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/cleanup.h"

#define RING_FIRST 64

struct work {
	void (*fn)(void *arg);
	void *arg;
};

struct pool_thread {
	struct pool *pool;
	pthread_t id;
	struct pool_thread *next_idle; /* pool.lock */
	sem_t woken;
	struct work work; /* set before woken is posted; fn NULL: the pool closes */
};

struct pool {
	pthread_mutex_t lock; /* all below */
	struct work *ring;
	int size, first, queued, queue_max;
	struct pool_thread *thread, *idle;
	int threads, threads_max;
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
	for (struct pool_thread *t = p->idle; t; t = t->next_idle)
		sem_post(&t->woken);
	p->idle = NULL;
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < p->threads; i++) {
		pthread_join(p->thread[i].id, NULL);
		sem_destroy(&p->thread[i].woken);
	}
	pthread_mutex_destroy(&p->lock);
	pthread_attr_destroy(&p->attr);
	free(p->thread);
	free(p->ring);
	free(p);
}

/* The next work for t, queued or handed to it; fn NULL: there will be none. */
static struct work next_work(struct pool_thread *t)
{
	struct pool *p = t->pool;
	struct work w = {NULL, NULL};

	pthread_mutex_lock(&p->lock);
	if (p->queued) {
		w = p->ring[p->first];
		p->first = (p->first + 1) % p->size;
		p->queued--;
	}
	bool idle = !w.fn && !p->closing;

	if (idle) {
		t->work = w;
		t->next_idle = p->idle;
		p->idle = t;
	}
	pthread_mutex_unlock(&p->lock);
	if (!idle)
		return w;
	while (sem_wait(&t->woken) < 0) /* a signal */
		;
	return t->work;
}

static void *work_until_closed(void *arg)
{
	for (;;) {
		struct work w = next_work(arg);

		if (!w.fn)
			return NULL;
		w.fn(w.arg);
	}
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

/* Another thread, as none is idle. A pool that cannot grow goes on with the threads it has. */
static int add_thread(struct pool *p)
{
	struct pool_thread *t = &p->thread[p->threads];

	if (p->threads == p->threads_max)
		return 0;
	*t = (struct pool_thread){.pool = p};
	sem_init(&t->woken, 0, 0);
	if (pthread_create(&t->id, &p->attr, work_until_closed, t)) {
		sem_destroy(&t->woken);
		return p->threads ? 0 : -EAGAIN;
	}
	p->threads++;
	return 0;
}

static int queue_work(struct pool *p, struct work w)
{
	if (p->queued == p->queue_max)
		return -EAGAIN;
	if (p->queued == p->size && grow_ring(p) < 0)
		return -EAGAIN;
	if (add_thread(p) < 0)
		return -EAGAIN;
	p->ring[(p->first + p->queued) % p->size] = w;
	p->queued++;
	return 0;
}

int pool_submit(struct pool *p, void (*fn)(void *arg), void *arg)
{
	struct work w = {fn, arg};

	pthread_mutex_lock(&p->lock);
	struct pool_thread *t = p->idle;
	int r = p->closing ? -EAGAIN : 0;

	if (!r && t)
		p->idle = t->next_idle;
	else if (!r)
		r = queue_work(p, w);
	pthread_mutex_unlock(&p->lock);
	if (!r && t) {
		t->work = w;
		sem_post(&t->woken);
	}
	return r;
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
