/* SPDX-License-Identifier: Apache-2.0 */
/* Reference-counted slabs and their free list: see slab.h. */
#include "harness/slab.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "common/cleanup.h"

void slab_pool_init(struct slab_pool *p)
{
	*p = (struct slab_pool){.free = NULL};
	pthread_mutex_init(&p->lock, NULL);
}

static void slab_free(struct slab *s)
{
	free(s->mem);
	free(s);
}

void slab_pool_done(struct slab_pool *p)
{
	while (p->free) {
		struct slab *s = p->free;

		p->free = s->next;
		slab_free(s);
	}
	pthread_mutex_destroy(&p->lock);
}

static struct slab *slab_new(struct slab_pool *p, size_t min)
{
	size_t cap = min <= SLAB_SIZE ? SLAB_SIZE : (min + SLAB_SIZE - 1) / SLAB_SIZE * SLAB_SIZE;
	struct slab *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->mem = aligned_alloc(SLAB_SIZE, cap);
	if (!s->mem) {
		free(s);
		return NULL;
	}
	madvise(s->mem, cap, MADV_HUGEPAGE); /* saves page faults; best effort */
	s->cap = cap;
	s->pool = p;
	HOLD(&p->lock);
	p->bytes += cap;
	return s;
}

int slab_pool_fill(struct slab_pool *p, size_t bytes)
{
	for (size_t done = 0; done < bytes; done += SLAB_SIZE) {
		struct slab *s = slab_new(p, SLAB_SIZE);

		if (!s)
			return -ENOMEM;
		memset(s->mem, 0, s->cap);
		HOLD(&p->lock);
		s->next = p->free;
		p->free = s;
	}
	return 0;
}

static struct slab *take_free(struct slab_pool *p)
{
	HOLD(&p->lock);
	struct slab *s = p->free;

	if (s)
		p->free = s->next;
	return s;
}

struct slab *slab_get(struct slab_pool *p, size_t min)
{
	struct slab *s = min <= SLAB_SIZE ? take_free(p) : NULL;

	if (!s)
		s = slab_new(p, min);
	if (s)
		atomic_store_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void slab_ref(struct slab *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
}

void slab_put(struct slab *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	struct slab_pool *p = s->pool;
	HOLD(&p->lock);

	if (s->cap > SLAB_SIZE) {
		p->bytes -= s->cap;
		slab_free(s);
		return;
	}
	s->next = p->free;
	p->free = s;
}
