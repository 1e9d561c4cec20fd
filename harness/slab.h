/* SPDX-License-Identifier: Apache-2.0 */
/* slab - the memory that samples of batches live in.
 *
 * Readers put bytes into slabs where they are to stay: a TFRecord stream preads whole 256 KiB
 * chunks one after another into a slab, and samples are slices of it. A slab is free again when its
 * writer has left it and the step of every batch that uses a slice of it has ended. So nothing is
 * copied but a record that straddles two slabs.
 *
 * The newest free slab is used first: it is the one most likely still in the CPU's caches. */
#ifndef HARNESS_SLAB_H
#define HARNESS_SLAB_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define SLAB_SIZE (2u << 20) /* one huge page */
#define SLAB_ALIGN 4096u     /* O_DIRECT: memory, offset and length */

struct slab {
	_Atomic uint32_t refs;
	size_t cap;
	uint8_t *mem; /* aligned to SLAB_ALIGN at least */
	struct slab *next;
	struct slab_pool *pool;
};

struct slab_pool {
	pthread_mutex_t lock;
	struct slab *free; /* guarded by lock */
	size_t bytes;      /* allocated and not given back; guarded by lock */
};

void slab_pool_init(struct slab_pool *p);
void slab_pool_done(struct slab_pool *p); /* every slab must have been put */

/* Allocates and touches bytes' worth of slabs, so that a run does not start with page faults. */
int slab_pool_fill(struct slab_pool *p, size_t bytes);

/* One reference; cap >= min. Sizes above SLAB_SIZE are given back to the system when put. */
struct slab *slab_get(struct slab_pool *p, size_t min);
void slab_ref(struct slab *s);
void slab_put(struct slab *s); /* accepts NULL */

#endif
